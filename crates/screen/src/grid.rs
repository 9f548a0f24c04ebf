//! Tiles: the picture cut into squares of 64 pixels, smaller at the right and lower edge.

use crate::Rect;

/// Side of a tile.
pub(crate) const TILE: usize = 64;
/// Pixels of a tile.
pub(crate) const TILE_PIXELS: usize = TILE * TILE;

/// A picture's size in pixels and in tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Grid {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

/// A rectangle in `usize`, inside the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Area {
    pub(crate) x: usize,
    pub(crate) y: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl Area {
    pub(crate) fn pixels(&self) -> usize {
        self.width * self.height
    }
}

impl Grid {
    pub(crate) fn new(width: u32, height: u32) -> Self {
        let (width, height) = (width as usize, height as usize);
        Self { width, height, columns: width.div_ceil(TILE), rows: height.div_ceil(TILE) }
    }

    pub(crate) fn pixels(&self) -> usize {
        self.width * self.height
    }

    pub(crate) fn tiles(&self) -> usize {
        self.columns * self.rows
    }

    /// The pixels of a tile.
    pub(crate) fn tile(&self, index: usize) -> Area {
        let (x, y) = (index % self.columns * TILE, index / self.columns * TILE);
        Area { x, y, width: TILE.min(self.width - x), height: TILE.min(self.height - y) }
    }

    /// The tiles that a rectangle touches, as ranges of columns and rows. Parts outside the picture are left out.
    pub(crate) fn touched(&self, rect: &Rect) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
        let range = |from: u32, length: u32, most: usize| {
            let end = (from as usize).saturating_add(length as usize).min(most);
            (from as usize).min(end) / TILE..end.div_ceil(TILE)
        };
        if rect.width == 0
            || rect.height == 0
            || rect.x as usize >= self.width
            || rect.y as usize >= self.height
        {
            return (0..0, 0..0);
        }
        (range(rect.x, rect.width, self.width), range(rect.y, rect.height, self.height))
    }

    /// Rectangles that cover the marked tiles: runs in a row, joined with equal runs in the row above.
    pub(crate) fn cover(&self, marked: &[bool], out: &mut Vec<Rect>) {
        out.clear();
        // Open runs of the row above: first column, one past the last, index in `out`.
        let (mut above, mut here): (Vec<(usize, usize, usize)>, Vec<_>) = (Vec::new(), Vec::new());
        for (row, tiles) in marked.chunks(self.columns.max(1)).enumerate() {
            let (y, mut column) = (row * TILE, 0);
            let height = TILE.min(self.height - y);
            while let Some(start) = tiles[column..].iter().position(|&mark| mark).map(|at| column + at) {
                let end = tiles[start..].iter().position(|&mark| !mark).map_or(tiles.len(), |at| start + at);
                match above.iter().find(|run| (run.0, run.1) == (start, end)) {
                    Some(&(.., index)) => {
                        out[index].height += height as u32;
                        here.push((start, end, index));
                    }
                    None => {
                        let width = (end * TILE).min(self.width) - start * TILE;
                        let (x, y) = ((start * TILE) as u32, y as u32);
                        here.push((start, end, out.len()));
                        out.push(Rect { x, y, width: width as u32, height: height as u32 });
                    }
                }
                column = end;
            }
            std::mem::swap(&mut above, &mut here);
            here.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_at_the_edges_are_smaller_and_covers_join() {
        let grid = Grid::new(130, 65);
        assert_eq!((grid.columns, grid.rows), (3, 2));
        assert_eq!(grid.tile(5), Area { x: 128, y: 64, width: 2, height: 1 });
        let mut rects = Vec::new();
        grid.cover(&[false, true, true, false, true, true], &mut rects);
        assert_eq!(rects, [Rect { x: 64, y: 0, width: 66, height: 65 }]);
    }

    #[test]
    fn touched_tiles_are_clipped() {
        let grid = Grid::new(130, 65);
        let rect = |x, y, width, height| Rect { x, y, width, height };
        assert_eq!(grid.touched(&rect(63, 0, 2, 1)), (0..2, 0..1));
        assert_eq!(grid.touched(&rect(100, 60, u32::MAX, u32::MAX)), (1..3, 0..2));
        assert_eq!(grid.touched(&rect(500, 0, 2, 1)), (0..0, 0..0));
    }
}
