//! Finding what moved: scrolls, dragged windows.
//!
//! Short horizontal runs of pixels are hashed while the hash rolls along the rows, and those whose hash happens to end in zeros are noted
//! with their place. The same content is noted wherever it stands, so pairs of places in the old and the new picture vote for the
//! offset between them. Votes only propose; what is copied is compared pixel by pixel.

use crate::grid::{Grid, TILE};
use std::collections::HashMap;

/// Pixels of a hashed run.
const RUN: usize = 12;
/// One run in this many is noted.
const SAMPLE: u32 = 1 << 5;
/// Slots of the table of noted runs.
const TABLE: usize = 1 << 14;
/// Fewest votes that make an offset worth trying.
const VOTES: u32 = 5;
/// Most offsets proposed.
pub(crate) const OFFSETS: usize = 4;

const BASE: u32 = 0x9E37_79B1;

/// Where content stands now, relative to where it stood: `(x, y)`.
pub(crate) type Offset = (i32, i32);

/// A noted run of the old picture.
#[derive(Clone, Copy, Default)]
struct Noted {
    hash: u32,
    x: u16,
    y: u16,
}

/// The tables, kept from picture to picture.
pub(crate) struct Motion {
    table: Vec<Noted>,
    votes: HashMap<Offset, u32>,
    /// `BASE` to the power of `RUN`.
    leaving: u32,
}

impl Default for Motion {
    fn default() -> Self {
        let leaving = (0..RUN).fold(1u32, |power, _| power.wrapping_mul(BASE));
        Self { table: vec![Noted::default(); TABLE], votes: HashMap::new(), leaving }
    }
}

impl Motion {
    /// Proposes offsets for the marked tiles, the most wanted first.
    pub(crate) fn find(
        &mut self,
        grid: Grid,
        old: &[u32],
        new: &[u32],
        marked: &[bool],
        out: &mut Vec<Offset>,
    ) {
        out.clear();
        self.table.fill(Noted::default());
        self.votes.clear();
        // Of a large change a part of the columns tells enough.
        let many = marked.iter().filter(|&&mark| mark).count();
        let every = if many > 160 { 3 } else { 1 };
        let (table, votes, leaving) = (&mut self.table, &mut self.votes, self.leaving);
        each_run(grid, old, marked, every, leaving, |hash, x, y| {
            let slot = &mut table[hash as usize % TABLE];
            // What stands in many places says nothing about where it came from: the first place keeps the slot,
            // and a second one makes it void.
            if slot.hash == 0 {
                *slot = Noted { hash, x: x as u16, y: y as u16 };
            } else if slot.hash == hash && usize::from(slot.y) != y {
                slot.x = u16::MAX;
            }
        });
        each_run(grid, new, marked, every, leaving, |hash, x, y| {
            let noted = table[hash as usize % TABLE];
            if noted.hash == hash && noted.x != u16::MAX {
                let offset = (x as i32 - i32::from(noted.x), y as i32 - i32::from(noted.y));
                if offset != (0, 0) {
                    *votes.entry(offset).or_default() += 1;
                }
            }
        });
        let mut wanted: Vec<_> = votes.iter().filter(|&(_, &votes)| votes >= VOTES).collect();
        // The offset itself breaks ties, so that the same pictures always give the same packet.
        wanted.sort_unstable_by_key(|&(&offset, &votes)| (std::cmp::Reverse(votes), offset));
        out.extend(wanted.into_iter().take(OFFSETS).map(|(&offset, _)| offset));
    }
}

/// Calls `note` with hash and place of every sampled run in the marked tiles.
fn each_run(
    grid: Grid,
    picture: &[u32],
    marked: &[bool],
    every: usize,
    leaving: u32,
    mut note: impl FnMut(u32, usize, usize),
) {
    for tile_row in 0..grid.rows {
        let tiles = &marked[tile_row * grid.columns..(tile_row + 1) * grid.columns];
        let mut column = 0;
        while let Some(start) = tiles[column..].iter().position(|&mark| mark).map(|at| column + at) {
            let run = tiles[start..].iter().position(|&mark| !mark).map_or(tiles.len(), |at| start + at);
            // With a part of the columns, each is looked at alone.
            let (end, next) = if every == 1 { (run, run) } else { (start + 1, (start / every + 1) * every) };
            let (from, until) = (start * TILE, (end * TILE).min(grid.width));
            for y in tile_row * TILE..((tile_row + 1) * TILE).min(grid.height) {
                let line = &picture[y * grid.width + from..y * grid.width + until];
                let (mut hash, mut last, mut changed) = (0u32, line[0], 0usize);
                for (at, &pixel) in line.iter().enumerate() {
                    hash = hash.wrapping_mul(BASE).wrapping_add(pixel);
                    if at >= RUN {
                        hash = hash.wrapping_sub(line[at - RUN].wrapping_mul(leaving));
                    }
                    if pixel != last {
                        (last, changed) = (pixel, at);
                    }
                    // A plain run is everywhere; one that starts with a change and goes on is not.
                    if at >= RUN && changed + RUN > at && changed > 0 {
                        let mixed = (hash ^ (hash >> 15)).wrapping_mul(0x85EB_CA6B);
                        if mixed >> 8 & (SAMPLE - 1) == 0 && mixed != 0 {
                            note(mixed, from + at, y);
                        }
                    }
                }
            }
            column = next.min(tiles.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_block_is_found() {
        let grid = Grid::new(256, 256);
        let mut state = 7u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        let old: Vec<u32> = (0..grid.pixels()).map(|_| random() % 5).collect();
        let mut new = old.clone();
        for y in 0..100 {
            for x in 0..120 {
                new[(y + 37) * 256 + x + 21] = old[y * 256 + x];
            }
        }
        let mut offsets = Vec::new();
        Motion::default().find(grid, &old, &new, &vec![true; grid.tiles()], &mut offsets);
        assert_eq!(offsets.first(), Some(&(21, 37)));
    }
}
