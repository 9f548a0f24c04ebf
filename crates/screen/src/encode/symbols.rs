//! Small drawings on a ground: letters, carets, icons. Each is drawn once in full and by its number from then on.

use super::Pending;
use super::history::ByHash;
use crate::geometry::{TILE, View, colour};
use crate::wire::{self, Writer, op, put_signed, put_varint, stream};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// A symbol's box may have this many pixels for each one drawn.
const SPARSE: usize = 8;

/// Neighbouring pending pixels of one row.
#[derive(Clone, Copy)]
struct Run {
    y: u32,
    x: u32,
    end: u32,
    part: u32,
}

/// Connected pending pixels.
#[derive(Clone, Copy)]
struct Part {
    /// Another part that this one was joined with, or itself.
    joined: u32,
    left: u32,
    top: u32,
    right: u32,
    bottom: u32,
    pixels: u32,
    /// Place of its first run in the list of runs sorted by part, once sorted.
    first: u32,
    runs: u32,
}

/// Draws symbols and knows which ones the decoder has.
pub(super) struct Symbols {
    seed: u64,
    numbers: ByHash<u16>,
    hashes: Vec<u128>,
    anchored: usize,
    next: usize,
    in_anchor: bool,
    runs: Vec<Run>,
    sorted: Vec<Run>,
    parts: Vec<Part>,
    content: Vec<u8>,
}

impl Symbols {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            numbers: ByHash::default(),
            hashes: Vec::new(),
            anchored: 0,
            next: 0,
            in_anchor: true,
            runs: Vec::new(),
            sorted: Vec::new(),
            parts: Vec::new(),
            content: Vec::new(),
        }
    }

    /// Forgets all, as an anchor does.
    pub(super) fn clear(&mut self) {
        self.numbers.clear();
        self.hashes.clear();
        (self.anchored, self.next, self.in_anchor) = (0, 0, true);
    }

    /// What is stored now belongs to the anchor.
    pub(super) fn end_anchor(&mut self) {
        self.anchored = self.hashes.len();
        self.in_anchor = false;
    }

    /// Forgets what is not the anchor's, as a key does.
    pub(super) fn back_to_anchor(&mut self) {
        for hash in self.hashes.drain(self.anchored..) {
            self.numbers.remove(&hash);
        }
        self.next = self.anchored;
    }

    /// Draws connected pending pixels as symbols where they are small, and takes them out.
    pub(super) fn draw(
        &mut self,
        pending: &mut Pending,
        photos: &[bool],
        new: View<'_>,
        writer: &mut Writer,
    ) {
        self.find_runs(pending, photos);
        self.sort_runs();
        let mut order: Vec<u32> = (0..self.parts.len() as u32).filter(|&p| self.is_symbol(p)).collect();
        if order.is_empty() {
            return;
        }
        self.sort_lines(&mut order);
        let ops = writer.stream(stream::OPS);
        ops.push(op::SYMBOLS);
        put_varint(ops, order.len() as u32);
        let (mut right, mut bottom) = (0, 0);
        for part in order {
            let p = self.parts[part as usize];
            self.draw_one(&p, new, writer);
            put_signed(writer.stream(stream::SYMBOL_X), p.left as i32 - right);
            put_signed(writer.stream(stream::SYMBOL_Y), p.bottom as i32 - bottom);
            (right, bottom) = (p.right as i32, p.bottom as i32);
            for run in &self.sorted[p.first as usize..(p.first + p.runs) as usize] {
                clear_run(pending, run);
            }
        }
    }

    fn is_symbol(&self, part: u32) -> bool {
        let p = &self.parts[part as usize];
        let (w, h) = ((p.right - p.left) as usize, (p.bottom - p.top) as usize);
        p.joined == part
            && w <= wire::SYMBOL_SIDE
            && h <= wire::SYMBOL_SIDE
            && w * h <= wire::SYMBOL_AREA
            && w * h <= p.pixels as usize * SPARSE
    }

    /// Finds runs and which of them touch, also at corners.
    fn find_runs(&mut self, pending: &Pending, photos: &[bool]) {
        self.runs.clear();
        self.parts.clear();
        let grid = pending.grid;
        let mut above = 0..0;
        let mut above_y = 0;
        let mut from = 0;
        while from < pending.tiles.len() {
            let row = pending.tiles[from] / grid.cols;
            let to = from + pending.tiles[from..].iter().take_while(|t| **t / grid.cols == row).count();
            let tiles = &pending.tiles[from..to];
            from = to;
            for y in 0..TILE.min(grid.height - row * TILE) {
                let start = self.runs.len();
                let at = (row * TILE + y) as u32;
                for &tile in tiles {
                    let mut word = if photos[tile] { 0 } else { pending.masks[tile][y] };
                    let mut x = (tile % grid.cols * TILE) as u32;
                    while word != 0 {
                        let skip = word.trailing_zeros();
                        word >>= skip;
                        x += skip;
                        let length = (!word).trailing_zeros();
                        word = word.checked_shr(length).unwrap_or(0);
                        match self.runs[start..].last_mut() {
                            Some(last) if last.end == x => last.end += length,
                            _ => self.runs.push(Run { y: at, x, end: x + length, part: 0 }),
                        }
                        x += length;
                    }
                }
                if above_y + 1 != at {
                    above = 0..0;
                }
                self.join_row(above, start);
                (above, above_y) = (start..self.runs.len(), at);
            }
        }
    }

    /// Gives the runs from `start` on to parts of the runs above them, or to new ones.
    fn join_row(&mut self, above: std::ops::Range<usize>, start: usize) {
        let mut first = above.start;
        for at in start..self.runs.len() {
            let run = self.runs[at];
            while first < above.end && self.runs[first].end < run.x {
                first += 1;
            }
            let mut part = None;
            let mut over = first;
            while over < above.end && self.runs[over].x <= run.end {
                let root = self.root(self.runs[over].part);
                part = Some(match part {
                    None => root,
                    Some(p) => self.join(p, root),
                });
                over += 1;
            }
            let part = part.unwrap_or_else(|| {
                let new = self.parts.len() as u32;
                self.parts.push(Part {
                    joined: new,
                    left: run.x,
                    top: run.y,
                    right: run.end,
                    bottom: run.y + 1,
                    pixels: 0,
                    first: 0,
                    runs: 0,
                });
                new
            });
            self.runs[at].part = part;
            let p = &mut self.parts[part as usize];
            p.left = p.left.min(run.x);
            p.right = p.right.max(run.end);
            p.bottom = run.y + 1;
            p.pixels += run.end - run.x;
            p.runs += 1;
        }
    }

    fn root(&mut self, mut part: u32) -> u32 {
        loop {
            let up = self.parts[part as usize].joined;
            if up == part {
                return part;
            }
            let next = self.parts[up as usize].joined;
            self.parts[part as usize].joined = next;
            part = next;
        }
    }

    fn join(&mut self, a: u32, b: u32) -> u32 {
        if a == b {
            return a;
        }
        let (keep, gone) = (a.min(b), a.max(b));
        let g = self.parts[gone as usize];
        self.parts[gone as usize].joined = keep;
        let k = &mut self.parts[keep as usize];
        k.left = k.left.min(g.left);
        k.top = k.top.min(g.top);
        k.right = k.right.max(g.right);
        k.bottom = k.bottom.max(g.bottom);
        k.pixels += g.pixels;
        k.runs += g.runs;
        keep
    }

    /// Brings the runs of each part together.
    fn sort_runs(&mut self) {
        let mut at = 0;
        for part in 0..self.parts.len() {
            if self.parts[part].joined as usize == part {
                self.parts[part].first = at;
                at += self.parts[part].runs;
                self.parts[part].runs = 0;
            }
        }
        self.sorted.clear();
        self.sorted.resize(self.runs.len(), Run { y: 0, x: 0, end: 0, part: 0 });
        for at in 0..self.runs.len() {
            let root = self.root(self.runs[at].part) as usize;
            let p = &mut self.parts[root];
            self.sorted[(p.first + p.runs) as usize] = self.runs[at];
            p.runs += 1;
        }
    }

    /// Brings parts into reading order: lines from the top, each from the left. Words then repeat as sequences.
    fn sort_lines(&self, order: &mut [u32]) {
        let part = |p: &u32| &self.parts[*p as usize];
        order.sort_unstable_by_key(|p| (part(p).top, part(p).left));
        let mut from = 0;
        while from < order.len() {
            let first = part(&order[from]);
            let mut bottom = first.bottom;
            let mut to = from + 1;
            // Letters that start higher than the line's lowest point so far belong to it, within reason.
            while to < order.len() {
                let p = part(&order[to]);
                if p.top + 1 >= bottom || p.top > first.top + 24 {
                    break;
                }
                bottom = bottom.max(p.bottom.min(first.top + 24));
                to += 1;
            }
            order[from..to].sort_unstable_by_key(|p| (part(p).left, part(p).top));
            from = to;
        }
    }

    fn draw_one(&mut self, p: &Part, new: View<'_>, writer: &mut Writer) {
        let (w, h) = ((p.right - p.left) as usize, (p.bottom - p.top) as usize);
        // The content that is hashed: four bytes a pixel, the last tells whether it is drawn, and the size.
        self.content.clear();
        self.content.resize(w * h * 4, 0);
        for run in &self.sorted[p.first as usize..(p.first + p.runs) as usize] {
            let length = (run.end - run.x) as usize;
            let at = ((run.y - p.top) as usize * w + (run.x - p.left) as usize) * 4;
            let row = new.row(run.x as usize, run.y as usize, length);
            for (to, from) in self.content[at..at + length * 4]
                .as_chunks_mut::<4>()
                .0
                .iter_mut()
                .zip(row.as_chunks::<4>().0)
            {
                *to = (colour(*from) | 1 << 24).to_le_bytes();
            }
        }
        self.content.extend_from_slice(&[w as u8, h as u8]);
        let hash = xxh3_128_with_seed(&self.content, self.seed);
        let code = match self.numbers.get(&hash) {
            Some(&number) => usize::from(number) + 1,
            None => {
                let code = self.store(hash);
                self.define(w, h, writer);
                code
            }
        };
        writer.stream(stream::SYMBOL_LOW).push(code as u8);
        writer.stream(stream::SYMBOL_HIGH).push((code >> 8) as u8);
    }

    /// Notes that the decoder will store a symbol, where it still can, and returns the code for it.
    fn store(&mut self, hash: u128) -> usize {
        if self.in_anchor && self.next >= wire::ANCHOR_SYMBOLS {
            return wire::SYMBOL_ONCE;
        }
        if self.next >= wire::SYMBOLS {
            self.next = self.anchored;
        }
        let at = self.next;
        if at < self.hashes.len() {
            self.numbers.remove(&self.hashes[at]);
            self.hashes[at] = hash;
        } else {
            self.hashes.push(hash);
        }
        self.numbers.insert(hash, at as u16);
        self.next += 1;
        wire::SYMBOL_NEW
    }

    /// Appends the size, shape and colours of the symbol in `content`.
    fn define(&self, w: usize, h: usize, writer: &mut Writer) {
        writer.stream(stream::SYMBOL_SIZE).extend_from_slice(&[(w - 1) as u8, (h - 1) as u8]);
        let pixels = &self.content.as_chunks::<4>().0[..w * h];
        for eight in pixels.chunks(8) {
            let byte = eight.iter().enumerate().fold(0, |byte, (i, p)| byte | p[3] << i);
            writer.stream(stream::SYMBOL_MASK).push(byte);
        }
        for &[b, g, r, _] in pixels.iter().filter(|p| p[3] != 0) {
            writer.stream(stream::SYMBOL_G).push(g);
            writer.stream(stream::SYMBOL_R).push(r.wrapping_sub(g));
            writer.stream(stream::SYMBOL_B).push(b.wrapping_sub(g));
        }
    }
}

fn clear_run(pending: &mut Pending, run: &Run) {
    let (y, cols) = (run.y as usize, pending.grid.cols);
    let (mut x, end) = (run.x as usize, run.end as usize);
    while x < end {
        let stop = end.min((x / TILE + 1) * TILE);
        let mask = &mut pending.masks[y / TILE * cols + x / TILE];
        pending.drawn[y / TILE * cols + x / TILE] = true;
        mask[y % TILE] &= !crate::bits::span(x % TILE, stop - x);
        x = stop;
    }
}
