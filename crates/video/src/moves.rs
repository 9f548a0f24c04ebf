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
    /// The colour there (`0x00RRGGBB`).
    fn pixel(&self, x: usize, y: usize) -> u32;
}

/// Where a cell's content was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nowhere.
    New,
    /// Elsewhere.
    Moved,
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
        if !explain(grid, before, *cell, pixels, &offsets)
            && let Some(offset) = along(grid, before, *cell, pixels)
            && offsets.len() < MOST_OFFSETS
        {
            offsets.push(offset);
        }
    }
    if offsets.is_empty() {
        let found = samples()
            .step_by(SAMPLES / WIDE_SAMPLES)
            .find_map(|(cell, pixels)| around(grid, before, *cell, pixels));
        offsets.extend(found);
    }
    let origin = |(cell, pixels): &(usize, [u32; CELL_PIXELS])| {
        if explain(grid, before, *cell, pixels, &offsets) { Origin::Moved } else { Origin::New }
    };
    if offsets.is_empty() { vec![Origin::New; cells.len()] } else { cells.iter().map(origin).collect() }
}

/// Whether one of the offsets explains a cell.
fn explain(
    grid: &Grid,
    before: &impl Before,
    cell: usize,
    pixels: &[u32; CELL_PIXELS],
    offsets: &[(isize, isize)],
) -> bool {
    let area = grid.area(cell);
    offsets.iter().any(|&(dx, dy)| {
        let place = area.left.checked_add_signed(dx).zip(area.top.checked_add_signed(dy));
        place.is_some_and(|place| stood(grid, before, place, pixels))
    })
}

/// Whether a cell's pixels stood at a place.
fn stood(grid: &Grid, before: &impl Before, (x, y): (usize, usize), pixels: &[u32; CELL_PIXELS]) -> bool {
    if x + SIDE > grid.width || y + SIDE > grid.height {
        return false;
    }
    pixels.iter().enumerate().all(|(at, &pixel)| before.pixel(x + at % SIDE, y + at / SIDE) == pixel)
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
        place.is_some_and(|place| stood(grid, before, place, pixels))
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
    let range = |from: usize, size: usize| {
        from.saturating_sub(NEAR)..(from + NEAR).min(size.saturating_sub(SIDE) + 1)
    };
    for y in range(area.top, grid.height) {
        for x in range(area.left, grid.width) {
            if stood(grid, before, (x, y), pixels) {
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
        fn pixel(&self, x: usize, y: usize) -> u32 {
            let (x, y) = (x as isize + self.0, y as isize + self.1);
            ((x * 7_919 + y * 104_729) ^ (x * y)) as u32 & 0xff_ffff
        }
    }

    #[test]
    fn what_moved_is_found_again() {
        let grid = Grid::new(640, 480);
        let cells = |dx, dy| -> Vec<(usize, [u32; CELL_PIXELS])> {
            let at = |cell: usize| {
                let area = grid.area(cell);
                let pixel = |at: usize| Noise(dx, dy).pixel(area.left + at % SIDE, area.top + at / SIDE);
                (cell, std::array::from_fn(pixel))
            };
            (1_000..1_040).chain(3_500..3_520).map(at).collect()
        };
        let moved = |dx, dy| {
            let found = origins(&grid, &Noise(0, 0), &cells(dx, dy));
            found.iter().filter(|&&origin| origin == Origin::Moved).count()
        };
        assert_eq!(moved(0, 37), 60, "scrolled");
        // Some came from beyond the edge.
        assert_eq!(moved(33, -71), 50, "dragged");
        assert_eq!(moved(5_000, 5_000), 0, "new");
    }
}
