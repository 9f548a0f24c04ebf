//! Which parts of the picture a packet has drawn on.

use crate::geometry::{Area, Grid, Rect, TILE};

/// A box drawn on inside of a tile: left, top, right, bottom; empty when right is 0.
type Part = [u8; 4];

/// Gathers drawn boxes, one for each tile, and joins them to rectangles.
#[derive(Default)]
pub(super) struct Touched {
    parts: Vec<Part>,
    all: bool,
    rects: Vec<Rect>,
}

impl Touched {
    /// Starts a packet.
    pub(super) fn begin(&mut self, grid: &Grid) {
        self.all = false;
        self.parts.clear();
        self.parts.resize(grid.tiles(), [TILE as u8, TILE as u8, 0, 0]);
    }

    /// Says that everything has changed.
    pub(super) fn whole(&mut self) {
        self.all = true;
    }

    /// Notes that `area` was drawn on.
    pub(super) fn mark(&mut self, grid: &Grid, area: Area) {
        let (right, bottom) = (area.x + area.w, area.y + area.h);
        for row in area.y / TILE..bottom.div_ceil(TILE) {
            for col in area.x / TILE..right.div_ceil(TILE) {
                let (x, y) = (col * TILE, row * TILE);
                let part = &mut self.parts[row * grid.cols + col];
                part[0] = part[0].min(area.x.saturating_sub(x) as u8);
                part[1] = part[1].min(area.y.saturating_sub(y) as u8);
                part[2] = part[2].max((right - x).min(TILE) as u8);
                part[3] = part[3].max((bottom - y).min(TILE) as u8);
            }
        }
    }

    /// The rectangles of the packet.
    pub(super) fn finish(&mut self, grid: &Grid) -> &[Rect] {
        self.rects.clear();
        if self.all {
            self.rects.push(Rect { x: 0, y: 0, width: grid.width as u32, height: grid.height as u32 });
            return &self.rects;
        }
        for (index, part) in self.parts.iter().enumerate().filter(|(_, p)| p[2] > 0) {
            let area = grid.area(index);
            let [left, top, right, bottom] = part.map(u32::from);
            let rect = Rect {
                x: area.x as u32 + left,
                y: area.y as u32 + top,
                width: right - left,
                height: bottom - top,
            };
            match self.rects.last_mut() {
                Some(last)
                    if last.x + last.width == rect.x && (last.y, last.height) == (rect.y, rect.height) =>
                {
                    last.width += rect.width;
                }
                _ => self.rects.push(rect),
            }
        }
        &self.rects
    }
}
