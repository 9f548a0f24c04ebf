//! Content that moved: scrolled pages and dragged windows.
//!
//! Short runs of pixels at fixed places of the new picture are looked up at all places of some rows of the old one; the
//! offsets that many runs agree on are then tried exactly, in cells that are joined to rectangles.

use super::Pending;
use crate::bits;
use crate::geometry::{Area, TILE, View, colour};
use crate::wire::{Writer, op, put_signed, put_varint, stream};
use std::collections::HashMap;
use std::ops::Range;

/// Pixels in a run that is looked up.
const RUN: usize = 16;
/// Side of a cell, in pixels.
const CELL: usize = 16;
/// Changes smaller than this many pixels are not worth a search.
const SMALL: u64 = 768;
/// With more changed tiles than this, fewer runs are taken.
const MANY_TILES: usize = 96;
/// Offsets tried exactly.
const OFFSETS: usize = 6;
/// Runs that have to agree on an offset.
const VOTES: u32 = 4;
/// Rectangles for one offset and for one packet.
const RECTS_EACH: usize = 12;
const RECTS: usize = 40;
/// Pending pixels that a rectangle has to settle.
const GAIN: u32 = 64;
/// Places in the table of runs, a power of two.
const PLACES: usize = 1 << 17;
const PLACE_BITS: u32 = PLACES.trailing_zeros();
/// Mark of a run that stands at several places.
const AMBIGUOUS: u32 = u32::MAX;
/// Factor of the rolling hash.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// A rectangle of the new picture that stood elsewhere in the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) to: Area,
    pub(super) dx: i32,
    pub(super) dy: i32,
}

/// Appends the moves as one operation.
pub(super) fn write(moves: &[Move], writer: &mut Writer) {
    if moves.is_empty() {
        return;
    }
    let ops = writer.stream(stream::OPS);
    ops.push(op::COPY);
    put_varint(ops, moves.len() as u32);
    for m in moves {
        for n in [m.to.x, m.to.y, m.to.w, m.to.h] {
            put_varint(ops, n as u32);
        }
        put_signed(ops, m.dx);
        put_signed(ops, m.dy);
    }
}

/// Finds moves; keeps its tables between calls.
pub(super) struct Finder {
    tags: Vec<u32>,
    places: Vec<u32>,
    /// A bit for each place where the search for a run may begin: small enough to stay in the nearest cache, and mostly enough to
    /// know that a run is not there.
    begun: Vec<u64>,
    powers: [u64; RUN],
    cells: Cells,
    /// Tiles in which searches found nothing, how many in a row, and how many to leave out.
    vain: Vec<bool>,
    searches: u32,
    skip: u32,
}

/// Most searches left out in a row where nothing was found before, as in a film.
const MOST_SKIPPED: u32 = 6;

impl Finder {
    pub(super) fn new() -> Self {
        let mut powers = [1u64; RUN];
        for i in (0..RUN - 1).rev() {
            powers[i] = powers[i + 1].wrapping_mul(FACTOR);
        }
        Self {
            tags: Vec::new(),
            places: Vec::new(),
            begun: vec![0; PLACES / 64],
            powers,
            cells: Cells::default(),
            vain: Vec::new(),
            searches: 0,
            skip: 0,
        }
    }

    /// The moves that settle pending pixels, which are taken out of the set. Together they have at most as many pixels as
    /// the picture.
    pub(super) fn find(&mut self, pending: &mut Pending, old: View<'_>, new: View<'_>) -> Vec<Move> {
        let mut moves = Vec::new();
        let changed: u64 = pending.tiles.iter().map(|&t| u64::from(bits::count(&pending.masks[t]))).sum();
        if changed < SMALL {
            return moves;
        }
        self.vain.resize(pending.grid.tiles(), false);
        if self.skip > 0 && pending.tiles.iter().all(|&t| self.vain[t]) {
            self.skip -= 1;
            return moves;
        }
        self.search(pending, old, new, &mut moves);
        if moves.is_empty() {
            pending.tiles.iter().for_each(|&t| self.vain[t] = true);
            self.searches += 1;
            self.skip = (self.searches / 2).min(MOST_SKIPPED);
        } else {
            self.vain.fill(false);
            (self.searches, self.skip) = (0, 0);
        }
        moves
    }

    fn search(&mut self, pending: &mut Pending, old: View<'_>, new: View<'_>, moves: &mut Vec<Move>) {
        let many = pending.tiles.len() > MANY_TILES;
        self.index(pending, new, many);
        let offsets = self.vote(pending, old, many);
        if offsets.is_empty() {
            return;
        }
        let mut budget = pending.grid.pixels();
        self.cells.begin(pending);
        for (dx, dy) in offsets {
            if !self.cells.compare(pending, old, new, dx, dy) {
                continue;
            }
            for _ in 0..RECTS_EACH {
                let Some(cells) = self.cells.best(pending) else { break };
                let to = grow(pending, old, new, cells, dx, dy);
                if to.w * to.h > budget || moves.len() == RECTS {
                    return;
                }
                budget -= to.w * to.h;
                moves.push(Move { to, dx, dy });
                self.cells.settle(pending, to);
            }
        }
    }

    fn slot(hash: u64) -> (usize, u32) {
        let mixed = (hash ^ hash >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        ((mixed >> (64 - PLACE_BITS)) as usize, mixed as u32 | 1)
    }

    /// Notes runs of the new picture where something changed.
    fn index(&mut self, pending: &Pending, new: View<'_>, many: bool) {
        self.tags.clear();
        self.tags.resize(PLACES, 0);
        self.begun.fill(0);
        self.places.resize(PLACES, 0);
        let offsets: &[usize] = if many { &[0] } else { &[0, 32] };
        for &tile in &pending.tiles {
            let area = pending.grid.area(tile);
            for (dy, &row) in pending.masks[tile][..area.h].iter().enumerate().filter(|(_, r)| **r != 0) {
                // Where there are enough, every other one will do.
                if many && (tile + dy) % 2 == 1 {
                    continue;
                }
                for &offset in offsets {
                    if row >> offset & bits::low(RUN) == 0 || offset + RUN > area.w {
                        continue;
                    }
                    let (x, y) = (area.x + offset, area.y + dy);
                    let pixels = new.row(x, y, RUN).as_chunks::<4>().0;
                    let first = colour(pixels[0]);
                    let mut hash = 0u64;
                    let mut flat = true;
                    for (p, power) in pixels.iter().zip(&self.powers) {
                        let c = colour(*p);
                        flat &= c == first;
                        hash = hash.wrapping_add(u64::from(c).wrapping_mul(*power));
                    }
                    if !flat {
                        self.insert(hash, (y << 14 | x) as u32);
                    }
                }
            }
        }
    }

    fn insert(&mut self, hash: u64, place: u32) {
        let (start, tag) = Self::slot(hash);
        self.begun[start / 64] |= 1 << (start % 64);
        for at in (start..start + 4).map(|at| at % PLACES) {
            if self.tags[at] == 0 {
                (self.tags[at], self.places[at]) = (tag, place);
                return;
            }
            if self.tags[at] == tag {
                self.places[at] = AMBIGUOUS;
                return;
            }
        }
    }

    fn look_up(&self, hash: u64) -> Option<(i32, i32)> {
        let (start, tag) = Self::slot(hash);
        if self.begun[start / 64] >> (start % 64) & 1 == 0 {
            return None;
        }
        for at in (start..start + 4).map(|at| at % PLACES) {
            match self.tags[at] {
                0 => return None,
                t if t == tag => {
                    let place = self.places[at];
                    return (place != AMBIGUOUS).then_some(((place & 0x3fff) as i32, (place >> 14) as i32));
                }
                _ => {}
            }
        }
        None
    }

    /// The offsets that most runs of the old picture agree on, best first.
    fn vote(&self, pending: &Pending, old: View<'_>, many: bool) -> Vec<(i32, i32)> {
        let grid = pending.grid;
        let step = if many { 8 } else { 4 };
        let mut votes: HashMap<(i32, i32), u32> = HashMap::new();
        let top_power = self.powers[0].wrapping_mul(FACTOR);
        let mut from = 0;
        while from < pending.tiles.len() {
            // A stretch of neighbouring tiles of one row.
            let mut to = from + 1;
            while to < pending.tiles.len()
                && pending.tiles[to] == pending.tiles[to - 1] + 1
                && !pending.tiles[to].is_multiple_of(grid.cols)
            {
                to += 1;
            }
            let (first, last) = (grid.area(pending.tiles[from]), grid.area(pending.tiles[to - 1]));
            from = to;
            let (x0, w) = (first.x, last.x + last.w - first.x);
            if w < RUN {
                continue;
            }
            for y in (first.y..first.y + first.h).step_by(step) {
                let pixels = old.row(x0, y, w).as_chunks::<4>().0;
                let mut hash = 0u64;
                let mut same = 0;
                let mut before = u32::MAX;
                for (at, p) in pixels.iter().enumerate() {
                    let c = colour(*p);
                    same = if c == before { same + 1 } else { 1 };
                    before = c;
                    hash = hash.wrapping_mul(FACTOR).wrapping_add(u64::from(c));
                    if at >= RUN {
                        hash = hash.wrapping_sub(u64::from(colour(pixels[at - RUN])).wrapping_mul(top_power));
                    }
                    if at + 1 < RUN || same >= RUN {
                        continue;
                    }
                    if let Some((x, to_y)) = self.look_up(hash) {
                        let offset = (x - (x0 + at + 1 - RUN) as i32, to_y - y as i32);
                        if offset != (0, 0) {
                            *votes.entry(offset).or_default() += 1;
                        }
                    }
                }
            }
        }
        let mut best: Vec<_> = votes.into_iter().filter(|(_, n)| *n >= VOTES).collect();
        best.sort_unstable_by_key(|&(offset, n)| (std::cmp::Reverse(n), offset));
        best.truncate(OFFSETS);
        best.into_iter().map(|(offset, _)| offset).collect()
    }
}

/// Squares of the picture, with how many pending pixels each has and whether it matches at the offset being tried.
#[derive(Default)]
struct Cells {
    /// In cells: where the tried part of the picture lies.
    x: usize,
    y: usize,
    cols: usize,
    rows: usize,
    pending: Vec<u32>,
    matches: Vec<bool>,
    /// Sums of `pending` over all cells above and left, one row and column more.
    sums: Vec<u32>,
}

impl Cells {
    /// Takes over the changed part of the picture.
    fn begin(&mut self, pending: &Pending) {
        let per = TILE / CELL;
        let columns = pending.tiles.iter().map(|t| t % pending.grid.cols);
        let (left, right) = columns.fold((usize::MAX, 0), |(l, r), c| (l.min(c), r.max(c)));
        let rows = pending.tiles.iter().map(|t| t / pending.grid.cols);
        let (top, bottom) = rows.fold((usize::MAX, 0), |(t, b), r| (t.min(r), b.max(r)));
        (self.x, self.y) = (left * per, top * per);
        self.cols = ((right + 1) * per).min(pending.grid.width.div_ceil(CELL)) - self.x;
        self.rows = ((bottom + 1) * per).min(pending.grid.height.div_ceil(CELL)) - self.y;
        self.count(pending);
    }

    fn count(&mut self, pending: &Pending) {
        self.pending.clear();
        self.pending.resize(self.cols * self.rows, 0);
        self.count_in(pending, 0..self.cols, 0..self.rows);
    }

    /// Counts the pending pixels of some columns and rows of cells anew.
    fn count_in(&mut self, pending: &Pending, cols: Range<usize>, rows: Range<usize>) {
        for row in rows {
            for col in cols.clone() {
                let (x, y) = ((self.x + col) * CELL, (self.y + row) * CELL);
                let mask = &pending.masks[y / TILE * pending.grid.cols + x / TILE];
                let area = Area { x: x % TILE, y: y % TILE, w: CELL, h: CELL };
                self.pending[row * self.cols + col] = bits::count_in(mask, area);
            }
        }
        self.sum();
    }

    fn sum(&mut self) {
        let width = self.cols + 1;
        self.sums.clear();
        self.sums.resize(width * (self.rows + 1), 0);
        for row in 0..self.rows {
            let mut line = 0;
            for col in 0..self.cols {
                line += self.pending[row * self.cols + col];
                self.sums[(row + 1) * width + col + 1] = self.sums[row * width + col + 1] + line;
            }
        }
    }

    /// Pixels of the picture in a cell.
    fn area(&self, pending: &Pending, col: usize, row: usize) -> Area {
        let (x, y) = ((self.x + col) * CELL, (self.y + row) * CELL);
        Area { x, y, w: CELL.min(pending.grid.width - x), h: CELL.min(pending.grid.height - y) }
    }

    /// Finds which cells match at an offset; whether any pending one does.
    fn compare(&mut self, pending: &Pending, old: View<'_>, new: View<'_>, dx: i32, dy: i32) -> bool {
        self.matches.clear();
        let mut gain = 0;
        for row in 0..self.rows {
            for col in 0..self.cols {
                let area = self.area(pending, col, row);
                let matches = moved(pending, old, new, area, dx, dy);
                if matches {
                    gain += self.pending[row * self.cols + col];
                }
                self.matches.push(matches);
            }
        }
        gain >= GAIN
    }

    /// The rectangle of matching cells with the most pending pixels, in pixels of the picture.
    fn best(&self, pending: &Pending) -> Option<Area> {
        let mut heights = vec![0usize; self.cols + 1];
        let mut stack: Vec<(usize, usize)> = Vec::new();
        let mut best = None;
        let (mut most, mut smallest) = (GAIN - 1, 0);
        for row in 0..self.rows {
            for (height, matches) in heights.iter_mut().zip(&self.matches[row * self.cols..][..self.cols]) {
                *height = if *matches { *height + 1 } else { 0 };
            }
            stack.clear();
            for (col, &height) in heights.iter().enumerate() {
                let mut start = col;
                while let Some(&(from, h)) = stack.last().filter(|(_, h)| *h > height) {
                    stack.pop();
                    start = from;
                    let gain = self.gain(from, row + 1 - h, col - from, h);
                    let size = (col - from) * h;
                    if gain > most || (gain == most && size < smallest) {
                        (most, smallest) = (gain, size);
                        best = Some((from, row + 1 - h, col - from, h));
                    }
                }
                if height > 0 && stack.last().is_none_or(|(_, h)| *h < height) {
                    stack.push((start, height));
                }
            }
        }
        best.map(|(col, row, w, h)| {
            let (first, last) = (self.area(pending, col, row), self.area(pending, col + w - 1, row + h - 1));
            Area { x: first.x, y: first.y, w: last.x + last.w - first.x, h: last.y + last.h - first.y }
        })
    }

    fn gain(&self, col: usize, row: usize, w: usize, h: usize) -> u32 {
        let at = |c: usize, r: usize| self.sums[r * (self.cols + 1) + c];
        at(col + w, row + h) + at(col, row) - at(col, row + h) - at(col + w, row)
    }

    /// Takes a rectangle of pixels out of what is pending.
    fn settle(&mut self, pending: &mut Pending, area: Area) {
        let grid = pending.grid;
        for row in area.y / TILE..(area.y + area.h).div_ceil(TILE) {
            for col in area.x / TILE..(area.x + area.w).div_ceil(TILE) {
                let (x, y) = (area.x.max(col * TILE), area.y.max(row * TILE));
                let (right, bottom) =
                    ((area.x + area.w).min((col + 1) * TILE), (area.y + area.h).min((row + 1) * TILE));
                let part = Area { x: x % TILE, y: y % TILE, w: right - x, h: bottom - y };
                bits::clear(&mut pending.masks[row * grid.cols + col], part);
                pending.drawn[row * grid.cols + col] = true;
            }
        }
        let cells = |from: usize, size: usize, origin: usize, most: usize| {
            let end = (from + size).div_ceil(CELL).saturating_sub(origin).min(most);
            (from / CELL).saturating_sub(origin).min(end)..end
        };
        self.count_in(
            pending,
            cells(area.x, area.w, self.x, self.cols),
            cells(area.y, area.h, self.y, self.rows),
        );
    }
}

/// Whether an area of the new picture equals the old one at an offset.
fn moved(pending: &Pending, old: View<'_>, new: View<'_>, area: Area, dx: i32, dy: i32) -> bool {
    let (x, y) = (area.x as i64 - i64::from(dx), area.y as i64 - i64::from(dy));
    if x < 0 || y < 0 {
        return false;
    }
    let (x, y) = (x as usize, y as usize);
    x + area.w <= pending.grid.width
        && y + area.h <= pending.grid.height
        && (0..area.h).all(|i| old.row(x, y + i, area.w) == new.row(area.x, area.y + i, area.w))
}

/// Widens a rectangle of cells to the pixels beside it that match as well.
fn grow(pending: &Pending, old: View<'_>, new: View<'_>, mut area: Area, dx: i32, dy: i32) -> Area {
    for _ in 0..CELL {
        let beside = Area { x: area.x.wrapping_sub(1), w: 1, ..area };
        if area.x == 0 || !moved(pending, old, new, beside, dx, dy) {
            break;
        }
        area = Area { x: beside.x, w: area.w + 1, ..area };
    }
    for _ in 0..CELL {
        let beside = Area { x: area.x + area.w, w: 1, ..area };
        if beside.x >= pending.grid.width || !moved(pending, old, new, beside, dx, dy) {
            break;
        }
        area.w += 1;
    }
    for _ in 0..CELL {
        let beside = Area { y: area.y.wrapping_sub(1), h: 1, ..area };
        if area.y == 0 || !moved(pending, old, new, beside, dx, dy) {
            break;
        }
        area = Area { y: beside.y, h: area.h + 1, ..area };
    }
    for _ in 0..CELL {
        let beside = Area { y: area.y + area.h, h: 1, ..area };
        if beside.y >= pending.grid.height || !moved(pending, old, new, beside, dx, dy) {
            break;
        }
        area.h += 1;
    }
    area
}
