//! Text in the font that X servers bring along, for hosts without fonts of their own: Latin letters, enlarged.

use super::{
    canvas::{Area, Canvas},
    text::Style,
};
use x11rb::{
    connection::Connection as _,
    errors::ReplyOrIdError,
    protocol::xproto::{ConnectionExt as _, CreateGCAux, ImageFormat, ImageOrder, Window},
    rust_connection::RustConnection,
};

/// The characters that are taken out of the font: those of ISO 8859-1.
const CHARACTERS: [std::ops::RangeInclusive<u8>; 2] = [0x20..=0x7e, 0xa0..=0xff];
/// Stands for every other.
const UNKNOWN: u8 = b'?';
/// A glyph larger than this is not of the font that is asked for.
const LARGEST: u16 = 64;

/// The glyphs, each `width` x `height` pixels.
pub(super) struct Plain {
    width: i32,
    height: i32,
    /// Row by row, all glyphs side by side.
    ink: Vec<bool>,
}

/// Lines of text, and how much they are enlarged.
pub(super) struct PlainBlock {
    lines: Vec<String>,
    scale: i32,
    /// Within this width they are centred.
    centre: Option<i32>,
}

fn count() -> usize {
    CHARACTERS.iter().map(|range| range.len()).sum()
}

fn position(character: char) -> usize {
    let byte = u8::try_from(character).unwrap_or(UNKNOWN);
    let place = |byte: u8| {
        let [ascii, latin] = &CHARACTERS;
        match byte {
            byte if ascii.contains(&byte) => Some(usize::from(byte - ascii.start())),
            byte if latin.contains(&byte) => Some(ascii.len() + usize::from(byte - latin.start())),
            _ => None,
        }
    };
    place(byte).or_else(|| place(UNKNOWN)).unwrap_or_default()
}

impl Plain {
    /// Has the X server draw every character once, where nobody sees it.
    pub(super) fn load(connection: &RustConnection, root: Window) -> Result<Self, ReplyOrIdError> {
        let (font, pixmap, gc) =
            (connection.generate_id()?, connection.generate_id()?, connection.generate_id()?);
        connection.open_font(font, b"fixed")?;
        let info = connection.query_font(font)?.reply()?;
        let width = u16::try_from(info.max_bounds.character_width).unwrap_or(6).clamp(1, LARGEST);
        let (ascent, descent) = (info.font_ascent.clamp(0, 32), info.font_descent.clamp(0, 32));
        let height = u16::try_from(ascent + descent).unwrap_or(13).max(1);
        let all = width * count() as u16;
        connection.create_pixmap(1, pixmap, root, all, height)?;
        let values = CreateGCAux::new().foreground(1).background(0).font(font).graphics_exposures(0);
        connection.create_gc(gc, pixmap, &values)?;
        for (at, byte) in CHARACTERS.into_iter().flatten().enumerate() {
            connection.image_text8(pixmap, gc, at as i16 * width as i16, ascent, &[byte])?;
        }
        let image =
            connection.get_image(ImageFormat::Z_PIXMAP, pixmap, 0, 0, all, height, u32::MAX)?.reply()?;
        connection.free_gc(gc)?;
        connection.free_pixmap(pixmap)?;
        connection.close_font(font)?;
        let setup = connection.setup();
        let pad = setup.pixmap_formats.iter().find(|format| format.depth == 1).map_or(32, |f| f.scanline_pad);
        let stride = usize::from(all).div_ceil(usize::from(pad.max(8))) * usize::from(pad.max(8)) / 8;
        let least_first = setup.bitmap_format_bit_order == ImageOrder::LSB_FIRST;
        let bit = |x: usize, y: usize| {
            let byte = image.data.get(y * stride + x / 8).copied().unwrap_or_default();
            let shift = if least_first { x % 8 } else { 7 - x % 8 };
            byte >> shift & 1 == 1
        };
        let rows = 0..usize::from(height);
        let ink =
            rows.flat_map(|y| (0..usize::from(all)).map(move |x| (x, y))).map(|(x, y)| bit(x, y)).collect();
        Ok(Self { width: width.into(), height: height.into(), ink })
    }

    /// Lines of at most so many pixels; their width and height too.
    pub(super) fn set(&self, text: &str, style: Style, width: i32) -> (PlainBlock, i32, i32) {
        let scale = ((style.size / self.height as f32 + 0.25).round() as i32).max(1);
        let fits = (width / (self.width * scale)).max(1) as usize;
        let lines: Vec<String> = text.lines().flat_map(|line| wrap(line, fits)).collect();
        let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or_default();
        let (wide, high) = (longest as i32 * self.width * scale, lines.len() as i32 * self.line(scale));
        (PlainBlock { lines, scale, centre: style.centred.then_some(width) }, wide, high)
    }

    pub(super) fn draw(
        &self,
        block: &PlainBlock,
        canvas: &mut Canvas,
        at: (i32, i32),
        clip: Area,
        colour: u32,
    ) {
        let scale = block.scale;
        for (number, line) in block.lines.iter().enumerate() {
            let top = at.1 + number as i32 * self.line(scale) + scale;
            let wide = line.chars().count() as i32 * self.width * scale;
            let left = at.0 + block.centre.map_or(0, |width| (width - wide).max(0) / 2);
            for (place, character) in line.chars().enumerate() {
                let left = left + place as i32 * self.width * scale;
                self.glyph(character, |x, y| {
                    let dot = Area::new(left + x * scale, top + y * scale, scale, scale);
                    canvas.fill(dot.within(&clip), colour);
                });
            }
        }
    }

    /// Height of a line with some air.
    fn line(&self, scale: i32) -> i32 {
        (self.height + 3) * scale
    }

    fn glyph(&self, character: char, mut ink: impl FnMut(i32, i32)) {
        let start = position(character) * self.width as usize;
        let all = count() * self.width as usize;
        for y in 0..self.height {
            for x in 0..self.width {
                if self.ink.get(y as usize * all + start + x as usize) == Some(&true) {
                    ink(x, y);
                }
            }
        }
    }
}

/// Breaks a line at spaces, and words that are too long anywhere.
fn wrap(line: &str, fits: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut length = 0;
    for word in line.split(' ') {
        let count = word.chars().count();
        if length > 0 && length + 1 + count > fits {
            lines.push(String::new());
            length = 0;
        }
        for character in (length > 0).then_some(' ').into_iter().chain(word.chars()) {
            if length == fits {
                lines.push(String::new());
                length = 0;
            }
            if let Some(last) = lines.last_mut() {
                last.push(character);
            }
            length += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::testing::Display;

    #[test]
    fn lines_are_broken_at_spaces_and_words_only_when_they_must() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrap("", 3), [""]);
    }

    #[test]
    fn the_servers_own_font_is_readable() {
        let display = Display::start(200, 100, &[]);
        let plain = Plain::load(&display.connection, display.root).unwrap();
        let shape = |character| {
            let mut dots = Vec::new();
            plain.glyph(character, |x, y| dots.push((x, y)));
            dots
        };
        assert!(shape(' ').is_empty());
        assert!(!shape('ä').is_empty());
        assert_ne!(shape('O'), shape('I'));
        assert_eq!(shape('日'), shape('?'));
        let style = Style { size: 16.0, bold: false, centred: true };
        let (block, width, height) = plain.set("This session is recorded", style, 150);
        assert!(width <= 150 && height > 13, "{width} x {height}");
        let mut canvas = Canvas::new(150, height, 0xff_ffff);
        let clip = canvas.whole();
        plain.draw(&block, &mut canvas, (0, 0), clip, 0);
        assert!(canvas.pixels.contains(&0));
    }
}
