//! The picture as the browser wants it.

use crate::video::Mask;
use playhead_format::video::{CELL, cells_across};
use playhead_screen::Rect;

/// The most rectangles that are kept apart; more are taken as the whole picture.
const MAX_DIRTY: usize = 256;

/// The picture as RGBA bytes, and which parts of it are behind the decoder's.
#[derive(Debug, Default)]
pub(crate) struct Canvas {
    width: u32,
    height: u32,
    rgba: Vec<u8>,
    dirty: Vec<Rect>,
    /// Of the last take: x, y, width, height each.
    taken: Vec<u32>,
    resized: bool,
}

impl Canvas {
    /// Notes that the decoder's picture, now of this size, changed in these places.
    pub(crate) fn note(&mut self, width: u32, height: u32, changed: &[Rect]) {
        if (width, height) != (self.width, self.height) {
            (self.width, self.height) = (width, height);
            self.resized = true;
            self.all();
        } else if self.dirty.len() + changed.len() > MAX_DIRTY {
            self.all();
        } else {
            self.dirty.extend_from_slice(changed);
        }
    }

    /// Notes that the picture may look different all over.
    pub(crate) fn note_all(&mut self) {
        if self.width > 0 {
            self.all();
        }
    }

    fn all(&mut self) {
        self.dirty.clear();
        self.dirty.push(Rect { x: 0, y: 0, width: self.width, height: self.height });
    }

    /// Brings the RGBA bytes up to date with the decoder's pixels; returns the number of rectangles that changed.
    pub(crate) fn take_dirty(&mut self, pixels: &[u32], mask: &Mask) -> usize {
        self.rgba.resize(pixels.len() * 4, 0);
        self.taken.clear();
        let columns = self.width as usize;
        for rect in self.dirty.drain(..) {
            let right = rect.x.saturating_add(rect.width).min(self.width);
            let bottom = rect.y.saturating_add(rect.height).min(self.height);
            if rect.x >= right || rect.y >= bottom {
                continue;
            }
            for row in rect.y as usize..bottom as usize {
                let (start, end) = (row * columns + rect.x as usize, row * columns + right as usize);
                let (Some(from), Some(to)) = (pixels.get(start..end), self.rgba.get_mut(start * 4..end * 4))
                else {
                    continue;
                };
                convert(from, to);
                if !mask.cells.is_empty() {
                    see_through(mask, (columns, row, rect.x as usize), from, to);
                }
            }
            self.taken.extend([rect.x, rect.y, right - rect.x, bottom - rect.y]);
        }
        self.taken.len() / 4
    }

    pub(crate) const fn width(&self) -> u32 {
        self.width
    }

    pub(crate) const fn height(&self) -> u32 {
        self.height
    }

    pub(crate) fn take_resized(&mut self) -> bool {
        std::mem::take(&mut self.resized)
    }

    pub(crate) fn taken(&self) -> &[u32] {
        &self.taken
    }

    pub(crate) fn rgba(&self) -> &[u8] {
        &self.rgba
    }
}

/// 0x00RRGGBB to R, G, B, 255.
fn convert(from: &[u32], to: &mut [u8]) {
    let (to, _) = to.as_chunks_mut::<4>();
    for (to, &from) in to.iter_mut().zip(from) {
        let [blue, green, red, _] = from.to_le_bytes();
        *to = [red, green, blue, 255];
    }
}

/// Makes those pixels of a stretch of a row transparent that show the video.
fn see_through(mask: &Mask, (columns, row, left): (usize, usize, usize), from: &[u32], to: &mut [u8]) {
    let across = cells_across(columns as u32) as usize;
    let first = row / CELL as usize * across;
    let (to, _) = to.as_chunks_mut::<4>();
    for (at, (pixel, to)) in from.iter().zip(to).enumerate() {
        let cell = first + (left + at) / CELL as usize;
        if pixel & 0x00ff_ffff == mask.colour && mask.cells.get(cell).is_some_and(|&shown| shown) {
            to[3] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn rect(x: u32, y: u32, width: u32, height: u32) -> Rect {
        Rect { x, y, width, height }
    }

    #[test]
    fn only_what_changed_is_converted() {
        let mut canvas = Canvas::default();
        let mut pixels = vec![0x0001_0203; 12];
        canvas.note(4, 3, &[]);
        assert!(canvas.take_resized() && !canvas.take_resized());
        assert_eq!(canvas.take_dirty(&pixels, &Mask::default()), 1);
        assert_eq!(canvas.rgba(), [1, 2, 3, 255].repeat(12));
        assert_eq!(canvas.take_dirty(&pixels, &Mask::default()), 0);

        pixels.fill(0xffaa_bbcc);
        // The second lies partly, the third wholly outside.
        canvas.note(4, 3, &[rect(1, 1, 2, 1), rect(3, 2, 9, u32::MAX), rect(7, 7, 1, 1)]);
        assert_eq!(canvas.take_dirty(&pixels, &Mask::default()), 2);
        assert_eq!(canvas.taken(), [1, 1, 2, 1, 3, 2, 1, 1]);
        let changed: Vec<usize> = canvas
            .rgba()
            .chunks(4)
            .enumerate()
            .filter(|(_, pixel)| *pixel == [0xaa, 0xbb, 0xcc, 255])
            .map(|(at, _)| at)
            .collect();
        assert_eq!(changed, [5, 6, 11]);
    }

    #[test]
    fn many_rectangles_become_the_whole_picture() {
        let mut canvas = Canvas::default();
        canvas.note(40, 30, &[]);
        let pixels = vec![0; 1_200];
        canvas.take_dirty(&pixels, &Mask::default());
        for _ in 0..MAX_DIRTY + 1 {
            canvas.note(40, 30, &[rect(0, 0, 1, 1)]);
        }
        assert_eq!(canvas.take_dirty(&pixels, &Mask::default()), 1);
        assert_eq!(canvas.taken(), [0, 0, 40, 30]);
    }

    #[test]
    fn where_the_video_is_shown_the_picture_is_transparent() {
        let mut canvas = Canvas::default();
        canvas.note(20, 9, &[]);
        let mut pixels = vec![0x0001_0203; 180];
        pixels[9] = 0x00aa_bbcc;
        let mask = Mask { colour: 0x0001_0203, cells: vec![false, true, false, false, false, true] };
        assert_eq!(canvas.take_dirty(&pixels, &mask), 1);
        let clear: Vec<usize> = (0..180).filter(|at| canvas.rgba()[at * 4 + 3] == 0).collect();
        let expected = |at: &usize| {
            let (x, y) = (at % 20, at / 20);
            (y < 8 && (8..16).contains(&x) && *at != 9) || (y == 8 && x >= 16)
        };
        assert_eq!(clear, (0..180).filter(expected).collect::<Vec<_>>());
        // A part of it, begun in the midst of a cell.
        canvas.note(20, 9, &[rect(10, 3, 2, 1)]);
        assert_eq!(canvas.take_dirty(&pixels, &Mask::default()), 1);
        assert_eq!(canvas.rgba()[(3 * 20 + 10) * 4 + 3], 255);
    }
}
