//! Cells laid over a picture.

use crate::planes::CELL_PIXELS;
use playhead_format::video::{CELL, cells_across};
use playhead_screen::{Picture, Rect};

/// Side of a cell in pixels.
pub(crate) const SIDE: usize = CELL as usize;
/// The part of a pixel that counts.
pub(crate) const COLOUR: u32 = 0x00ff_ffff;

/// How a picture is cut into cells; those at the right and bottom edge are cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

/// Pixels of a cell that lie within the picture: left, top, right and bottom, the latter two exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Area {
    pub(crate) left: usize,
    pub(crate) top: usize,
    pub(crate) right: usize,
    pub(crate) bottom: usize,
}

impl Grid {
    pub(crate) fn new(width: u32, height: u32) -> Self {
        let (columns, rows) = (cells_across(width) as usize, cells_across(height) as usize);
        Self { width: width as usize, height: height as usize, columns, rows }
    }

    pub(crate) const fn cells(&self) -> usize {
        self.columns * self.rows
    }

    pub(crate) fn area(&self, cell: usize) -> Area {
        let (left, top) = (cell % self.columns * SIDE, cell / self.columns * SIDE);
        Area { left, top, right: (left + SIDE).min(self.width), bottom: (top + SIDE).min(self.height) }
    }

    pub(crate) fn rect(&self, cell: usize) -> Rect {
        let Area { left, top, right, bottom } = self.area(cell);
        let size = |from: usize, to: usize| (to - from) as u32;
        Rect { x: left as u32, y: top as u32, width: size(left, right), height: size(top, bottom) }
    }

    /// The cells that a rectangle touches: columns and rows, the ends exclusive.
    pub(crate) fn touched(&self, rect: &Rect) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
        let end =
            |from: u32, size: u32, most: usize| (from.saturating_add(size) as usize).div_ceil(SIDE).min(most);
        let (right, bottom) = (end(rect.x, rect.width, self.columns), end(rect.y, rect.height, self.rows));
        ((rect.x as usize / SIDE).min(right)..right, (rect.y as usize / SIDE).min(bottom)..bottom)
    }

    /// The up to eight cells around one.
    pub(crate) fn around(&self, cell: usize) -> impl Iterator<Item = usize> {
        let (columns, rows) = (self.columns, self.rows);
        let (column, row) = (cell % columns, cell / columns);
        (row.saturating_sub(1)..(row + 2).min(rows))
            .flat_map(move |y| {
                (column.saturating_sub(1)..(column + 2).min(columns)).map(move |x| y * columns + x)
            })
            .filter(move |&other| other != cell)
    }
}

/// Reads pixels of a picture as X servers deliver it.
pub(crate) struct Source<'a> {
    data: &'a [u8],
    stride: usize,
}

impl<'a> Source<'a> {
    pub(crate) fn new(picture: &Picture<'a>) -> Self {
        Self { data: picture.data, stride: picture.stride }
    }

    /// The bytes of a row's pixels.
    pub(crate) fn row(&self, y: usize, from: usize, to: usize) -> &'a [u8] {
        &self.data[y * self.stride + from * 4..y * self.stride + to * 4]
    }

    /// A cell's pixels; where the picture's edge cuts it off, the last ones again.
    pub(crate) fn cell(&self, area: Area) -> [u32; CELL_PIXELS] {
        let mut pixels = [0; CELL_PIXELS];
        if area.right - area.left == SIDE && area.bottom - area.top == SIDE {
            for (number, line) in pixels.chunks_exact_mut(SIDE).enumerate() {
                let (row, _) = self.row(area.top + number, area.left, area.right).as_chunks::<4>();
                line.iter_mut().zip(row).for_each(|(to, from)| *to = u32::from_le_bytes(*from) & COLOUR);
            }
            return pixels;
        }
        for (number, line) in pixels.chunks_exact_mut(SIDE).enumerate() {
            let row = self.row((area.top + number).min(area.bottom - 1), area.left, area.right);
            let (row, _) = row.as_chunks::<4>();
            let last = row.len() - 1;
            for (at, pixel) in line.iter_mut().enumerate() {
                *pixel = u32::from_le_bytes(row[at.min(last)]) & COLOUR;
            }
        }
        pixels
    }
}
