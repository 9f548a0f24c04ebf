//! Setting text in any script, with the fonts of the host.
//!
//! Fonts come from the folders of the system alone: a font of the user's own could make the text something else, or invisible.

use super::{
    canvas::{Area, Canvas},
    plain::{Plain, PlainBlock},
};
use cosmic_text::{
    Align, Attrs, Buffer, Color, Family, FontSystem, Metrics, Shaping, SwashCache, Weight, Wrap, fontdb,
};
use std::path::Path;

/// Where Debian's and most other systems' fonts are.
const FOLDERS: [&str; 2] = ["/usr/share/fonts", "/usr/local/share/fonts"];

/// Families that look well in a dialogue, best first. What they lack comes from any other font.
const FAMILIES: [&str; 9] = [
    "Noto Sans",
    "Inter",
    "Open Sans",
    "Cantarell",
    "Ubuntu",
    "DejaVu Sans",
    "Liberation Sans",
    "FreeSans",
    "Nimbus Sans",
];

/// How text looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// Pixels.
    pub(super) size: f32,
    pub(super) bold: bool,
    pub(super) centred: bool,
}

/// Sets text.
pub(super) enum Type {
    /// With the fonts of the host.
    Shaped(Box<Shaped>),
    /// With the one font that every X server has built in.
    Plain(Plain),
}

/// The fonts of the host.
pub(super) struct Shaped {
    fonts: FontSystem,
    cache: SwashCache,
    family: String,
}

/// A text that is set, with its size in pixels.
pub(super) struct Block {
    text: Set,
    pub(super) width: i32,
    pub(super) height: i32,
}

enum Set {
    Shaped(Box<Buffer>),
    Plain(PlainBlock),
}

/// Whether the host has fonts that text can be set with.
pub(crate) fn has_fonts(root: &Path) -> bool {
    !load(root).is_empty()
}

fn load(root: &Path) -> fontdb::Database {
    let mut fonts = fontdb::Database::new();
    for folder in FOLDERS {
        fonts.load_fonts_dir(root.join(folder.trim_start_matches('/')));
    }
    fonts
}

impl Type {
    /// With the fonts of the host, if there are any. `language` decides how characters look that several of them share.
    pub(super) fn of_host(language: &str) -> Option<Self> {
        Self::of_fonts(load(Path::new("/")), language)
    }

    fn of_fonts(fonts: fontdb::Database, language: &str) -> Option<Self> {
        let has = |name: &str| fonts.faces().any(|face| face.families.iter().any(|(known, _)| known == name));
        let family = match FAMILIES.into_iter().find(|family| has(family)) {
            Some(family) => family.to_owned(),
            None => fonts.faces().find_map(|face| face.families.first())?.0.clone(),
        };
        let ids: Vec<_> = fonts.faces().map(|face| (face.id, face.weight)).collect();
        let locale = match language.split_once('-') {
            Some(("ja" | "ko", _)) => &language[..2],
            _ => language,
        };
        let mut fonts = FontSystem::new_with_locale_and_db(locale.to_owned(), fonts);
        // Without a single font that can be opened nothing can be set.
        ids.into_iter().find(|&(id, weight)| fonts.get_font(id, weight).is_some())?;
        Some(Self::Shaped(Box::new(Shaped { fonts, cache: SwashCache::new(), family })))
    }

    /// Sets a text in lines of at most `width` pixels.
    pub(super) fn set(&mut self, text: &str, style: Style, width: i32) -> Block {
        match self {
            Self::Shaped(shaped) => shaped.set(text, style, width),
            Self::Plain(plain) => {
                let (block, width, height) = plain.set(text, style, width);
                Block { text: Set::Plain(block), width, height }
            }
        }
    }

    /// Draws a text with its upper left corner at `at`, as far as it lies within `clip`.
    pub(super) fn draw(
        &mut self,
        block: &Block,
        canvas: &mut Canvas,
        at: (i32, i32),
        clip: Area,
        colour: u32,
    ) {
        match (self, &block.text) {
            (Self::Shaped(shaped), Set::Shaped(buffer)) => shaped.draw(buffer, canvas, at, clip, colour),
            (Self::Plain(plain), Set::Plain(block)) => plain.draw(block, canvas, at, clip, colour),
            // A block is drawn by what has set it.
            _ => {}
        }
    }
}

impl Shaped {
    fn set(&mut self, text: &str, style: Style, width: i32) -> Block {
        let size = style.size.max(1.0);
        let mut buffer = Buffer::new_empty(Metrics::new(size, (size * 1.45).round()));
        buffer.set_wrap(Wrap::WordOrGlyph);
        buffer.set_size(Some(width.max(1) as f32), None);
        let weight = if style.bold { Weight::BOLD } else { Weight::NORMAL };
        let attrs = Attrs::new().family(Family::Name(&self.family)).weight(weight);
        let align = style.centred.then_some(Align::Center);
        buffer.set_text(text, &attrs, Shaping::Advanced, align);
        buffer.shape_until_scroll(&mut self.fonts, false);
        let (mut widest, mut height) = (0.0_f32, 0.0_f32);
        for run in buffer.layout_runs() {
            widest = widest.max(run.line_w);
            height = height.max(run.line_top + run.line_height);
        }
        Block {
            text: Set::Shaped(Box::new(buffer)),
            width: widest.ceil() as i32,
            height: height.ceil() as i32,
        }
    }

    fn draw(&mut self, buffer: &Buffer, canvas: &mut Canvas, at: (i32, i32), clip: Area, colour: u32) {
        let base = Color(0xff00_0000 | colour);
        for run in buffer.layout_runs() {
            let (top, bottom) = (at.1 as f32 + run.line_top, at.1 as f32 + run.line_top + run.line_height);
            if bottom < clip.y as f32 || top > (clip.y + clip.height) as f32 {
                continue;
            }
            for glyph in run.glyphs {
                let placed = glyph.physical((at.0 as f32, at.1 as f32 + run.line_y), 1.0);
                self.cache.with_pixels(&mut self.fonts, placed.cache_key, base, |x, y, pixel| {
                    let (x, y) = (placed.x + x, placed.y + y);
                    if clip.holds(x, y) {
                        canvas.blend(x, y, pixel.0 & 0xff_ffff, pixel.a());
                    }
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: Style = Style { size: 16.0, bold: false, centred: false };

    #[test]
    fn every_script_is_set_in_lines_that_fit() {
        let mut fonts = Type::of_host("ja-JP").expect("install fonts-dejavu-core");
        for text in [
            "Latin text, wrapped",
            "هذه الجلسة مسجلة الآن",
            "このセッションは録画されています",
            "\u{202e}\u{0}\u{1f600}",
        ] {
            let text = [text; 12].join(" ");
            let block = fonts.set(&text, STYLE, 200);
            assert!(block.width <= 200 && block.height >= 23, "{} x {}", block.width, block.height);
            let mut canvas = Canvas::new(200, block.height, 0xff_ffff);
            let clip = Area::new(0, 0, 200, 40);
            fonts.draw(&block, &mut canvas, (0, 0), clip, 0);
            let inked =
                |from: i32, to: i32| (from..to).any(|y| canvas.row(y).iter().any(|&p| p != 0xff_ffff));
            assert!(inked(0, 40), "{text}");
            assert!(!inked(41, block.height), "{text}");
        }
    }

    #[test]
    fn a_host_without_fonts_is_told() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!has_fonts(folder.path()));
        std::fs::create_dir_all(folder.path().join("usr/share/fonts")).unwrap();
        std::fs::write(folder.path().join("usr/share/fonts/broken.ttf"), b"\0\x01\0\0 not a font").unwrap();
        assert!(!has_fonts(folder.path()));
        assert!(Type::of_fonts(load(folder.path()), "en").is_none());
    }
}
