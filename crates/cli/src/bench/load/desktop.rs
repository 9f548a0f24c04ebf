//! Sessions that are made up: somebody types, reads, changes windows, looks at a film, and mostly does nothing.
//!
//! What happens is drawn, and the agent's own recorder makes the fragments, so that their number, sizes and contents are those of a real
//! agent. The drawing is plain; its rates lie near those of the traces that `bench corpus` makes of real applications.

use super::{
    Profile,
    surface::{LETTER, Random, Surface},
};
use playhead_format::CursorMessage;
use playhead_screen::Rect;

/// Size of the desktop.
pub(super) const SIZE: (u32, u32) = (1920, 1080);
const PAPER: [u8; 3] = [250, 250, 250];
const BAR: [u8; 3] = [60, 52, 48];
const TITLE: u32 = 28;
const MARGIN: u32 = 24;

/// What somebody does for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activity {
    Pause,
    Type,
    Scroll,
    /// Another window comes to the front.
    Switch,
    /// A new page with a picture in it.
    Browse,
    Film,
}

struct Window {
    x: u32,
    y: u32,
    surface: Surface,
    /// Seed of the next line.
    text: u64,
    /// Where the next letter goes.
    caret: (u32, u32),
}

/// A desktop and somebody at it.
pub(super) struct Desktop {
    profile: Profile,
    random: Random,
    screen: Surface,
    windows: Vec<Window>,
    film: Vec<Surface>,
    activity: Activity,
    /// Ticks until the next activity.
    left: u32,
    /// Ticks until the phase of work or rest is over.
    phase_left: u32,
    working: bool,
    pointer: (i32, i32),
    target: (i32, i32),
    ticks: u32,
    damage: Vec<Rect>,
}

impl Window {
    fn new(rect: Rect, random: &mut Random) -> Self {
        let mut surface = Surface::new(rect.width, rect.height, PAPER);
        surface.fill(Rect { x: 0, y: 0, width: rect.width, height: TITLE }, BAR);
        let mut window = Self { x: rect.x, y: rect.y, surface, text: random.next(), caret: (0, 0) };
        window.rows(0, window.lines());
        window.caret = (0, window.lines() - 1);
        window
    }

    /// Where the text stands.
    fn body(&self) -> Rect {
        let Surface { width, height, .. } = self.surface;
        Rect { x: MARGIN, y: TITLE + 8, width: width - 2 * MARGIN, height: height - TITLE - 16 }
    }

    fn lines(&self) -> u32 {
        self.body().height / LETTER.1
    }

    fn rows(&mut self, from: u32, to: u32) {
        let body = self.body();
        for row in from..to {
            let y = body.y + row * LETTER.1;
            self.surface.fill(Rect { x: body.x, y, width: body.width, height: LETTER.1 }, PAPER);
            self.text = self.text.wrapping_add(1);
            // Now and then an empty line.
            if !self.text.is_multiple_of(7) {
                self.surface.line(self.text, body.x, y, body.width);
            }
        }
    }

    fn scroll(&mut self, rows: u32) -> Rect {
        let body = self.body();
        let all = Rect { height: self.lines() * LETTER.1, ..body };
        self.surface.scroll(all, rows * LETTER.1);
        self.rows(self.lines() - rows, self.lines());
        all
    }

    /// Writes a letter; gives what changed.
    fn write(&mut self, code: u64) -> Rect {
        let body = self.body();
        let (column, row) = self.caret;
        if (column + 2) * LETTER.0 > body.width {
            let all = self.scroll(1);
            let y = body.y + row * LETTER.1;
            self.surface.fill(Rect { x: body.x, y, width: body.width, height: LETTER.1 }, PAPER);
            self.caret.0 = 0;
            return all;
        }
        let (x, y) = (body.x + column * LETTER.0, body.y + row * LETTER.1);
        self.surface.letter(code, x, y);
        self.caret.0 += 1;
        Rect { x, y, width: LETTER.0 + 1, height: LETTER.1 }
    }
}

impl Desktop {
    pub(super) fn new(profile: Profile, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let (width, height) = SIZE;
        let mut screen = Surface::new(width, height, BAR);
        screen.photograph(Rect { x: 0, y: 0, width, height: height - 40 }, seed);
        let windows = [(60, 40, 1_300, 900), (360, 80, 1_480, 920), (140, 120, 1_100, 820)]
            .map(|(x, y, width, height)| Window::new(Rect { x, y, width, height }, &mut random));
        let mut film = Vec::new();
        if matches!(profile, Profile::Video | Profile::Bulk) {
            // A clip that begins again: its pictures differ everywhere, as those of a camera do.
            film = (0..25).map(|at| clip(seed, at)).collect();
        }
        let mut desktop = Self {
            profile,
            random,
            screen,
            windows: windows.into(),
            film,
            activity: Activity::Pause,
            left: 0,
            phase_left: 0,
            working: false,
            pointer: (400, 300),
            target: (400, 300),
            ticks: 0,
            damage: Vec::new(),
        };
        for at in 0..desktop.windows.len() {
            desktop.raise(at);
        }
        // Everybody is somewhere in the middle of something.
        desktop.working = desktop.profile != Profile::Office || desktop.random.chance(33);
        let whole = desktop.phase();
        desktop.phase_left = desktop.random.between(1, whole);
        desktop
    }

    /// The picture now.
    pub(super) fn screen(&self) -> &Surface {
        &self.screen
    }

    pub(super) fn pointer(&self) -> (i32, i32) {
        self.pointer
    }

    /// The pointer's shape.
    pub(super) fn shape() -> CursorMessage {
        let rgba = (0..24 * 24u32).flat_map(|at| if at % 24 <= at / 24 { [0, 0, 0, 255] } else { [0; 4] });
        CursorMessage::Shape { width: 24, height: 24, hot_x: 0, hot_y: 0, rgba: rgba.collect() }
    }

    /// A tenth of a second passes; gives what changed on the screen.
    pub(super) fn tick(&mut self) -> Vec<Rect> {
        self.damage.clear();
        self.ticks += 1;
        if self.phase_left == 0 {
            self.working = !self.working;
            self.phase_left = self.phase();
            self.left = 0;
        }
        self.phase_left -= 1;
        if self.left == 0 {
            self.begin();
        }
        self.left -= 1;
        self.go_on();
        let step = |at: i32, to: i32| at + (to - at).clamp(-180, 180);
        self.pointer = (step(self.pointer.0, self.target.0), step(self.pointer.1, self.target.1));
        std::mem::take(&mut self.damage)
    }

    /// How long somebody works, or rests, in ticks. In an office a third of the time is work: see the rates that the report gives.
    fn phase(&mut self) -> u32 {
        match (self.profile, self.working) {
            (Profile::Office, true) => self.random.between(200, 900),
            (Profile::Office, false) => self.random.between(400, 1_800),
            (_, true) => 1_200,
            (_, false) => 0,
        }
        .max(1)
    }

    fn begin(&mut self) {
        let roll = self.random.below(100);
        self.activity = match self.profile {
            _ if !self.working => Activity::Pause,
            Profile::Office => match roll {
                0..50 => Activity::Type,
                50..58 => Activity::Pause,
                58..76 => Activity::Scroll,
                76..84 => Activity::Switch,
                _ => Activity::Browse,
            },
            Profile::Busy => match roll {
                0..30 => Activity::Type,
                30..65 => Activity::Scroll,
                65..85 => Activity::Switch,
                _ => Activity::Browse,
            },
            Profile::Video | Profile::Bulk => Activity::Film,
        };
        self.left = match self.activity {
            Activity::Pause => 30,
            Activity::Type => self.random.between(30, 200),
            Activity::Scroll => self.random.between(20, 100),
            Activity::Switch => self.random.between(10, 40),
            Activity::Browse => self.random.between(40, 120),
            Activity::Film => 250,
        };
        if !matches!(self.activity, Activity::Pause | Activity::Type) {
            let (width, height) = (SIZE.0 as i32, SIZE.1 as i32);
            self.target = (self.random.below(1_900) as i32 % width, self.random.below(1_000) as i32 % height);
        }
        if self.activity == Activity::Switch {
            let at = self.random.below(self.windows.len() as u32 - 1) as usize;
            self.raise(at);
        }
    }

    fn go_on(&mut self) {
        match self.activity {
            Activity::Type if self.random.chance(55) => {
                let code = self.random.next();
                self.on_top(|window| window.write(code >> 8));
            }
            Activity::Browse if self.left.is_multiple_of(20) => self.browse(),
            Activity::Scroll if self.left % 12 < 3 => self.on_top(|window| window.scroll(2)),
            Activity::Film => {
                let at = self.ticks as usize % self.film.len().max(1);
                if let Some(picture) = self.film.get(at) {
                    let whole = Rect { x: 0, y: 0, width: picture.width, height: picture.height };
                    self.screen.copy(picture, whole, 500, 260);
                    self.damage.push(Rect { x: 500, y: 260, ..whole });
                }
            }
            _ => {}
        }
    }

    /// Changes something in the window on top and shows it.
    fn on_top(&mut self, change: impl FnOnce(&mut Window) -> Rect) {
        let Some(window) = self.windows.last_mut() else { return };
        let part = change(window);
        let (x, y) = (window.x + part.x, window.y + part.y);
        self.screen.copy(&window.surface, part, x, y);
        self.damage.push(Rect { x, y, ..part });
    }

    fn raise(&mut self, at: usize) {
        let window = self.windows.remove(at);
        let Surface { width, height, .. } = window.surface;
        let (x, y) = (window.x, window.y);
        self.screen.copy(&window.surface, Rect { x: 0, y: 0, width, height }, x, y);
        self.damage.push(Rect { x, y, width, height });
        self.windows.push(window);
    }

    fn browse(&mut self) {
        let (seed, x) = (self.random.next(), self.random.between(20, 120));
        let (width, height) = (self.random.between(520, 900), self.random.between(340, 600));
        self.on_top(|window| {
            window.text = seed;
            window.rows(0, window.lines());
            let body = window.body();
            window.surface.photograph(Rect { x: body.x + x, y: body.y + 54, width, height }, seed);
            body
        });
    }
}

/// A picture of a film: a photograph in motion.
fn clip(seed: u64, at: u32) -> Surface {
    let (width, height) = (640, 360);
    let mut large = Surface::new(width + 200, height + 100, PAPER);
    large.photograph(Rect { x: 0, y: 0, width: width + 200, height: height + 100 }, seed ^ 99);
    let mut noise = Random::new(seed + u64::from(at));
    for byte in &mut large.data {
        *byte = byte.saturating_add((noise.next() & 1) as u8);
    }
    let mut picture = Surface::new(width, height, PAPER);
    picture.copy(&large, Rect { x: at * 8, y: at * 4, width, height }, 0, 0);
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_lies_within_the_damage() {
        for profile in [Profile::Office, Profile::Busy, Profile::Video] {
            let mut desktop = Desktop::new(profile, 3);
            let mut changed = 0;
            for _ in 0..4_000 {
                if changed > 40 {
                    break;
                }
                let mut before = desktop.screen().clone();
                let damage = desktop.tick();
                changed += damage.len();
                for rect in damage {
                    before.copy(desktop.screen(), rect, rect.x, rect.y);
                }
                assert!(before.data == desktop.screen().data, "{profile:?}");
            }
            assert!(changed > 20, "{profile:?}");
        }
    }
}
