//! What a notice looks like: where everything is, and painting it.

use super::{
    Kind, Request,
    canvas::{Area, Canvas},
    labels,
    text::{Block, Style, Type},
};

const PAPER: u32 = 0xff_ffff;
const INK: u32 = 0x14_1a24;
const EDGE: u32 = 0x5b_6675;
const ACCENT: u32 = 0x0b_4aa2;
const ACCENT_LIT: u32 = 0x06_3579;
const PLAIN: u32 = 0x3b_4350;
const PLAIN_LIT: u32 = 0x23_2932;
const DOT: u32 = 0xc5_221f;
/// What covers the screen where consent is asked.
pub(super) const COVER: u32 = 0x10_1a2b;

/// How much smaller the text may get before it has to be scrolled.
const STEPS: [f32; 4] = [1.0, 0.9, 0.8, 0.7];
/// No text is smaller, in pixels.
const LEAST_TEXT: f32 = 12.0;
/// A text longer than this has longer lines.
const LONG: usize = 500;

/// What a button does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    Dismiss,
    Accept,
    Deny,
}

/// What changes while a card is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// The button that the keyboard would press.
    pub(super) focus: Option<Choice>,
    /// The button under the pointer.
    pub(super) lit: Option<Choice>,
    /// How far the text is scrolled, in pixels.
    pub(super) scroll: i32,
}

/// A card on one monitor.
pub(super) struct Card {
    /// Where it is on the screen.
    pub(super) area: Area,
    /// Pixels that a line of text is high.
    pub(super) line: i32,
    scale: f32,
    title: (Block, Area),
    body: (Block, Area),
    buttons: Vec<Button>,
}

struct Button {
    choice: Choice,
    label: Block,
    area: Area,
}

/// The buttons in the order of the Tab key.
pub(super) fn choices(kind: Kind) -> &'static [Choice] {
    match kind {
        Kind::Notice => &[Choice::Dismiss],
        Kind::Consent => &[Choice::Deny, Choice::Accept],
    }
}

impl Card {
    /// Finds a place for everything on a monitor, with the largest text that fits. `scale` is 1 for 96 dots per inch.
    pub(super) fn set(fonts: &mut Type, request: &Request, monitor: Area, scale: f32) -> Self {
        let mut card = None;
        for step in STEPS {
            let tried = Self::with(fonts, request, monitor, scale * step);
            let fits = tried.body.0.height <= tried.body.1.height;
            card = Some(tried);
            if fits {
                break;
            }
        }
        // There is at least one step.
        card.unwrap_or_else(|| Self::with(fonts, request, monitor, scale))
    }

    fn with(fonts: &mut Type, request: &Request, monitor: Area, scale: f32) -> Self {
        let px = |length: f32| (length * scale).round() as i32;
        let size = |points: f32| (points * scale).max(LEAST_TEXT);
        let style = |size: f32, bold| Style { size, bold, centred: false };
        let margin = px(20.0).min(monitor.width / 20).min(monitor.height / 20);
        let pad = px(32.0).min(monitor.width / 16);
        let wide = if request.text.chars().count() > LONG { 860.0 } else { 620.0 };
        let width = px(wide).min(monitor.width - 2 * margin).max(1);
        let inner = (width - 2 * pad).max(1);
        let right_to_left = labels::is_right_to_left(&request.language);

        let dot = px(26.0);
        let title = fonts.set(&request.title, style(size(22.0), true), (inner - dot).max(1));
        let body = fonts.set(&request.text, style(size(16.0), false), inner);

        let high = px(46.0).max(28);
        let gap = px(14.0);
        let labels: Vec<_> = choices(request.kind)
            .iter()
            .map(|&choice| {
                let text = request.label(choice);
                let block = fonts.set(text, style(size(16.0), true), inner);
                let wide = (block.width + px(44.0)).max(px(132.0)).min(inner);
                (choice, text, wide)
            })
            .collect();
        let all = labels.iter().map(|(_, _, wide)| wide + gap).sum::<i32>() - gap;
        let stacked = all > inner;
        let rows = if stacked { labels.len() as i32 } else { 1 };
        let below = rows * high + (rows - 1) * gap;

        let (air, bar) = (px(18.0), px(6.0).max(2));
        let around = bar + pad + title.height + air + px(26.0) + below + pad;
        let line = (size(16.0) * 1.45).round() as i32;
        let most = (monitor.height - 2 * margin - around).max(line);
        let view = body.height.clamp(line, most);
        let height = around + view;
        let area = Area::new(
            monitor.x + (monitor.width - width) / 2,
            monitor.y + ((monitor.height - height) / 2).max(0),
            width,
            height,
        );

        let title_left = if right_to_left { pad } else { pad + dot };
        let title_area = Area::new(title_left, bar + pad, (inner - dot).max(1), title.height);
        let body_area = Area::new(pad, title_area.y + title.height + air, inner, view);
        let mut top = body_area.y + view + px(26.0);
        let mut left = if right_to_left { pad } else { pad + inner - all };
        let mut buttons = Vec::with_capacity(labels.len());
        for (choice, text, wide) in labels {
            let area =
                if stacked { Area::new(pad, top, inner, high) } else { Area::new(left, top, wide, high) };
            let label = fonts.set(text, Style { size: size(16.0), bold: true, centred: true }, area.width);
            buttons.push(Button { choice, label, area });
            if stacked {
                top += high + gap;
            } else {
                left += wide + gap;
            }
        }
        Self { area, line, scale, title: (title, title_area), body: (body, body_area), buttons }
    }

    /// How far the text can be scrolled, in pixels.
    pub(super) fn most_scroll(&self) -> i32 {
        (self.body.0.height - self.body.1.height).max(0)
    }

    /// Pixels of the text that can be seen at a time.
    pub(super) fn page(&self) -> i32 {
        self.body.1.height
    }

    /// The button at a place, relative to the card.
    pub(super) fn choice_at(&self, x: i32, y: i32) -> Option<Choice> {
        self.buttons.iter().find(|button| button.area.holds(x, y)).map(|button| button.choice)
    }

    /// The middle of a button, relative to the card.
    #[cfg(test)]
    pub(super) fn middle_of(&self, choice: Choice) -> (i32, i32) {
        self.buttons.iter().find(|button| button.choice == choice).unwrap().area.middle()
    }

    pub(super) fn paint(&self, fonts: &mut Type, look: Look) -> Canvas {
        let px = |length: f32| ((length * self.scale).round() as i32).max(1);
        let mut canvas = Canvas::new(self.area.width, self.area.height, EDGE);
        let whole = canvas.whole();
        canvas.fill(whole.grown(-px(1.0)), PAPER);
        canvas.fill(Area::new(0, 0, whole.width, px(6.0).max(2)), ACCENT);

        let (title, place) = &self.title;
        let (dot, first) = (px(14.0), px(16.0));
        let on_right = place.x < self.body.1.x + dot;
        let left = if on_right { self.body.1.x + self.body.1.width - dot } else { self.body.1.x };
        canvas.round(Area::new(left, place.y + first - dot / 2, dot, dot), dot / 2, DOT);
        fonts.draw(title, &mut canvas, (place.x, place.y), whole, INK);

        let (body, view) = &self.body;
        let scroll = look.scroll.clamp(0, self.most_scroll());
        fonts.draw(body, &mut canvas, (view.x, view.y - scroll), *view, INK);
        if self.most_scroll() > 0 {
            self.paint_bar(&mut canvas, scroll, px(6.0));
        }

        for button in &self.buttons {
            let Button { choice, label, area } = button;
            let radius = px(6.0);
            if look.focus == Some(*choice) {
                canvas.round(area.grown(px(5.0)), radius + px(5.0), INK);
                canvas.round(area.grown(px(2.0)), radius + px(2.0), PAPER);
            }
            let lit = look.lit == Some(*choice);
            let colour = match (choice, lit) {
                (Choice::Deny, false) => PLAIN,
                (Choice::Deny, true) => PLAIN_LIT,
                (_, false) => ACCENT,
                (_, true) => ACCENT_LIT,
            };
            canvas.round(*area, radius, colour);
            let top = area.y + (area.height - label.height) / 2;
            fonts.draw(label, &mut canvas, (area.x, top), *area, PAPER);
        }
        canvas
    }

    /// Shows which part of the text is seen.
    fn paint_bar(&self, canvas: &mut Canvas, scroll: i32, width: i32) {
        let (body, view) = &self.body;
        let track = Area::new(view.x + view.width + width, view.y, width, view.height);
        canvas.round(track, width / 2, 0xd5_dae1);
        let share =
            |length: i32| (i64::from(length) * i64::from(view.height) / i64::from(body.height)) as i32;
        let thumb = Area::new(track.x, track.y + share(scroll), width, share(view.height).max(width * 2));
        canvas.round(thumb.within(&track), width / 2, EDGE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: Kind, language: &str, text: &str) -> Request {
        Request {
            kind,
            language: language.into(),
            title: "A title".into(),
            text: text.into(),
            ..Request::default()
        }
    }

    #[test]
    fn a_card_stays_on_its_monitor_whatever_it_says() {
        let mut fonts = Type::of_host("en").expect("install fonts-dejavu-core");
        let long = "A long sentence that says a lot. ".repeat(60);
        let lines = "x\n".repeat(1_000);
        for (width, height, scale) in [(800, 600, 1.0), (3840, 2160, 2.0), (1024, 768, 2.5), (640, 480, 1.0)]
        {
            let monitor = Area::new(100, 50, width, height);
            for text in ["", "Short.", &long, &lines] {
                for kind in [Kind::Notice, Kind::Consent] {
                    let card = Card::set(&mut fonts, &request(kind, "en", text), monitor, scale);
                    let what = format!("{kind:?} {width}x{height} {} characters", text.len());
                    assert_eq!(card.area.within(&monitor), card.area, "{what}");
                    for &choice in choices(kind) {
                        let (x, y) = card.middle_of(choice);
                        assert_eq!(card.choice_at(x, y), Some(choice), "{what}");
                    }
                    let look = Look { scroll: i32::MAX, ..Look::default() };
                    let canvas = card.paint(&mut fonts, look);
                    assert_eq!((canvas.width, canvas.height), (card.area.width, card.area.height));
                }
            }
            let card = Card::set(&mut fonts, &request(Kind::Notice, "en", &lines), monitor, scale);
            assert!(card.most_scroll() > 0);
        }
    }

    #[test]
    fn buttons_stand_where_the_language_ends() {
        let mut fonts = Type::of_host("en").expect("install fonts-dejavu-core");
        let monitor = Area::new(0, 0, 1280, 900);
        let at = |fonts: &mut Type, language| {
            let card = Card::set(fonts, &request(Kind::Notice, language, "x"), monitor, 1.0);
            card.middle_of(Choice::Dismiss).0 > card.area.width / 2
        };
        assert!(at(&mut fonts, "en") && !at(&mut fonts, "ar"));
    }
}
