//! What packets of the same fragment have shown before, as planes.

use super::planes::Planes;
use crate::geometry::{Area, Grid, TILE};

/// Farthest that something may have moved between two packets, in pixels.
const FAR: i8 = 15;

/// The last known planes of each place. What kind of planes a tile's are stands with the tile.
pub(super) struct History {
    grid: Grid,
    planes: [Vec<u8>; 3],
    kinds: Vec<Option<u8>>,
}

impl History {
    pub(super) fn new(grid: Grid) -> Self {
        Self { grid, planes: [Vec::new(), Vec::new(), Vec::new()], kinds: vec![None; grid.tiles()] }
    }

    fn tile(&self, area: Area) -> usize {
        area.y / TILE * self.grid.cols + area.x / TILE
    }

    /// Whether planes of this kind are known of the tile that an area lies in.
    pub(super) fn knows(&self, area: Area, kind: u8) -> bool {
        self.kinds[self.tile(area)] == Some(kind)
    }

    /// The row `y` of an area, moved, into places 1 to its width, one before and two after. Beyond the picture's edges is what is at them.
    pub(super) fn row(
        &self,
        plane: usize,
        area: Area,
        (dx, dy): (i8, i8),
        y: i32,
        out: &mut [i32; TILE + 3],
    ) {
        let (width, height) = (self.grid.width as i32, self.grid.height as i32);
        let y = (area.y as i32 + y + i32::from(dy)).clamp(0, height - 1);
        let row = &self.planes[plane][y as usize * self.grid.width..][..self.grid.width];
        let from = area.x as i32 + i32::from(dx) - 1;
        let count = area.w + 3;
        if from >= 0 && from as usize + count <= row.len() {
            for (to, &value) in out[..count].iter_mut().zip(&row[from as usize..]) {
                *to = i32::from(value);
            }
            return;
        }
        for (to, x) in out[..count].iter_mut().zip(from..) {
            *to = i32::from(row[x.clamp(0, width - 1) as usize]);
        }
    }

    /// Adds what was shown before less 128 to differences, or takes it away from values.
    pub(super) fn rebase(&self, area: Area, planes: &mut Planes, to_values: bool) {
        for (plane, known) in planes.iter_mut().zip(&self.planes) {
            for (y, row) in plane.chunks_exact_mut(area.w).enumerate() {
                let old = &known[(area.y + y) * self.grid.width + area.x..];
                for (value, &old) in row.iter_mut().zip(old) {
                    let by = old.wrapping_sub(128);
                    *value = if to_values { value.wrapping_add(by) } else { value.wrapping_sub(by) };
                }
            }
        }
    }

    /// Takes a box's values over.
    pub(super) fn keep(&mut self, area: Area, kind: u8, planes: &Planes) {
        if self.planes[0].is_empty() {
            self.planes = [(); 3].map(|()| vec![128; self.grid.pixels()]);
        }
        let tile = self.tile(area);
        self.kinds[tile] = Some(kind);
        for (known, plane) in self.planes.iter_mut().zip(planes) {
            for (y, row) in plane.chunks_exact(area.w).enumerate() {
                let at = (area.y + y) * self.grid.width + area.x;
                known[at..at + area.w].copy_from_slice(row);
            }
        }
    }

    /// What is shown in an area is not known any more.
    pub(super) fn forget(&mut self, area: Area) {
        let tile = self.tile(area);
        self.kinds[tile] = None;
    }

    /// Where what a box shows was before: from the given place and from none, downhill.
    pub(super) fn search(&self, area: Area, planes: &Planes, start: (i8, i8)) -> (i8, i8) {
        let mut row = [0; TILE + 3];
        let mut differs = |moved: (i8, i8)| {
            let mut sum = 0u32;
            for y in 0..area.h {
                self.row(0, area, moved, y as i32, &mut row);
                let values = &planes[0][y * area.w..][..area.w];
                // Every second one tells enough.
                for x in (y & 1..area.w).step_by(2) {
                    sum += row[x + 1].abs_diff(i32::from(values[x]));
                }
            }
            sum
        };
        let mut best = (differs((0, 0)), (0, 0));
        if start != (0, 0) {
            best = best.min((differs(start), start));
        }
        loop {
            let (x, y) = best.1;
            let mut next = best;
            for (dx, dy) in [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (2, 0), (-2, 0)] {
                let moved = (x + dx, y + dy);
                if moved.0.abs() <= FAR && moved.1.abs() <= FAR {
                    let sum = differs(moved);
                    if sum < next.0 {
                        next = (sum, moved);
                    }
                }
            }
            if next.0 >= best.0 {
                return best.1;
            }
            best = next;
        }
    }

    /// Whether a move is one that may be.
    pub(super) fn is_near((x, y): (i8, i8)) -> bool {
        x.unsigned_abs() <= FAR as u8 && y.unsigned_abs() <= FAR as u8
    }
}
