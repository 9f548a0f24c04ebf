//! Whether something photographic is new, or was there before at another place.
//!
//! What moved costs the lossless codec nothing, so it stays where it is; what is new costs it most.

use crate::{grid::Grid, grid::SIDE, planes::CELL_PIXELS};

/// So many cells are looked for along rows and columns,
const SAMPLES: usize = 12;
/// and so many all around.
const WIDE_SAMPLES: usize = 4;
/// How far rows and columns are searched, in pixels.
const FAR: usize = 512;
/// How far it is searched all around.
const NEAR: usize = 200;
/// The most offsets that a picture is explained with.
const MOST_OFFSETS: usize = 4;

/// The picture before.
pub(crate) trait Before {
    /// The colour there (`0x00RRGGBB`), and whether it came from the video.
    fn pixel(&self, x: usize, y: usize) -> (u32, bool);
}

/// Where a cell's content was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nowhere.
    New,
    /// Elsewhere, drawn losslessly.
    Sharp,
    /// Elsewhere, in the video.
    Video,
}

/// Finds out of cells, given with their pixels, where each came from.
pub(crate) fn origins(
    grid: &Grid,
    before: &impl Before,
    cells: &[(usize, [u32; CELL_PIXELS])],
) -> Vec<Origin> {
    let mut offsets: Vec<(isize, isize)> = Vec::new();
    let step = cells.len().div_ceil(SAMPLES).max(1);
    let samples = || cells.iter().step_by(step);
    for (cell, pixels) in samples() {
        if explain(grid, before, *cell, pixels, &offsets).is_none()
            && let Some(offset) = along(grid, before, *cell, pixels)
            && offsets.len() < MOST_OFFSETS
        {
            offsets.push(offset);
        }
    }
    if offsets.is_empty() {
        let found = samples().step_by(SAMPLES / WIDE_SAMPLES).find_map(|(cell, pixels)| around(grid, before, *cell, pixels));
        offsets.extend(found);
    }
    let origin = |(cell, pixels): &(usize, [u32; CELL_PIXELS])| {
        match explain(grid, before, *cell, pixels, &offsets) {
            Some(true) => Origin::Video,
            Some(false) => Origin::Sharp,
            None => Origin::New,
        }
    };
    if offsets.is_empty() { vec![Origin::New; cells.len()] } else { cells.iter().map(origin).collect() }
}

/// Whether one of the offsets explains a cell, and whether most of it was video.
fn explain(
    grid: &Grid,
    before: &impl Before,
    cell: usize,
    pixels: &[u32; CELL_PIXELS],
    offsets: &[(isize, isize)],
) -> Option<bool> {
    let area = grid.area(cell);
    offsets.iter().find_map(|&(dx, dy)| {
        let (x, y) = (area.left.checked_add_signed(dx)?, area.top.checked_add_signed(dy)?);
        same(grid, before, (x, y), pixels)
    })
}

/// Whether a cell's pixels stood at a place, and whether most of them were video.
fn same(grid: &Grid, before: &impl Before, (x, y): (usize, usize), pixels: &[u32; CELL_PIXELS]) -> Option<bool> {
    if x + SIDE > grid.width || y + SIDE > grid.height {
        return None;
    }
    let mut video = 0;
    for (at, &pixel) in pixels.iter().enumerate() {
        let (colour, is_video) = before.pixel(x + at % SIDE, y + at / SIDE);
        if colour != pixel {
            return None;
        }
        video += usize::from(is_video);
    }
    Some(video * 2 > CELL_PIXELS)
}

/// Looks up and down, left and right, the nearest first.
fn along(
    grid: &Grid,
    before: &impl Before,
    cell: usize,
    pixels: &[u32; CELL_PIXELS],
) -> Option<(isize, isize)> {
    let area = grid.area(cell);
    (1..FAR as isize).flat_map(|far| [(0, far), (0, -far), (far, 0), (-far, 0)]).find(|&(dx, dy)| {
        let place = area.left.checked_add_signed(dx).zip(area.top.checked_add_signed(dy));
        place.is_some_and(|place| same(grid, before, place, pixels).is_some())
    })
}

/// Looks everywhere near.
fn around(
    grid: &Grid,
    before: &impl Before,
    cell: usize,
    pixels: &[u32; CELL_PIXELS],
) -> Option<(isize, isize)> {
    let area = grid.area(cell);
    let range = |from: usize, size: usize| from.saturating_sub(NEAR)..(from + NEAR).min(size.saturating_sub(SIDE) + 1);
    for y in range(area.top, grid.height) {
        for x in range(area.left, grid.width) {
            if same(grid, before, (x, y), pixels).is_some() {
                return Some((x as isize - area.left as isize, y as isize - area.top as isize));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Noise(isize, isize);

    impl Before for Noise {
        fn pixel(&self, x: usize, y: usize) -> (u32, bool) {
            let (x, y) = (x as isize + self.0, y as isize + self.1);
            (((x * 7_919 + y * 104_729) ^ (x * y)) as u32 & 0xff_ffff, y > 300)
        }
    }

    #[test]
    fn what_moved_is_found_again() {
        let grid = Grid::new(640, 480);
        let cells = |dx, dy| -> Vec<(usize, [u32; CELL_PIXELS])> {
            let at = |cell: usize| {
                let area = grid.area(cell);
                let pixel = |at: usize| Noise(dx, dy).pixel(area.left + at % SIDE, area.top + at / SIDE).0;
                (cell, std::array::from_fn(pixel))
            };
            (1_000..1_040).chain(3_500..3_520).map(at).collect()
        };
        let count = |found: &[Origin], origin| found.iter().filter(|&&other| other == origin).count();
        let scrolled = origins(&grid, &Noise(0, 0), &cells(0, 37));
        assert_eq!((count(&scrolled, Origin::Sharp), count(&scrolled, Origin::Video)), (40, 20));
        let dragged = origins(&grid, &Noise(0, 0), &cells(33, -71));
        assert_eq!(count(&dragged, Origin::New), 0);
        let new = origins(&grid, &Noise(0, 0), &cells(5_000, 5_000));
        assert_eq!(count(&new, Origin::New), 60);
    }
}
