//! Pictures in, packets out.

use crate::{
    MAX_PIXELS, MAX_SIDE, PacketKind, Picture, Rect,
    cache::{Seen, TileBuffer},
    grid::{Area, Grid, TILE},
    motion::{Motion, Offset},
    ops::{self, Copy, Mode},
    packet::{Sections, put_colour, put_signed, put_varint},
    pixels,
};

/// Side of the squares for which is decided whether they are copied.
const BLOCK: usize = 16;
/// Fewest changed tiles for which moves are looked for.
const MOTION_TILES: usize = 3;
/// Most pictures for which no move is looked for after many in vain.
const MOTION_REST: u32 = 8;

/// How an encoder works.
#[derive(Debug, Clone, Default)]
pub struct EncoderConfig {
    /// Secret seed of the hashes by which tiles are recognised. Never leaves the encoder.
    pub seed: u64,
}

/// What kind of packet is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// A new anchor.
    Anchor,
    /// The whole state, coded against the anchor. Becomes an anchor when there is none, when the size changed, or when that
    /// costs little more.
    Key,
    /// What changed. Becomes an anchor when there is none or when the size changed.
    Delta,
}

/// What was encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoded {
    /// The packet's kind.
    pub kind: PacketKind,
    /// Pixels that differ from the picture before; all of them at a new size.
    pub changed_pixels: u64,
}

/// A picture that cannot be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Too large, or empty.
    #[error(
        "expected a picture of 1 to {MAX_SIDE} pixels a side and at most {MAX_PIXELS} in all, got {width}x{height}"
    )]
    Size {
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
    },
    /// Fewer bytes than the size asks for.
    #[error("expected {expected} bytes of pixels, got {actual}")]
    Data {
        /// Bytes needed.
        expected: usize,
        /// Bytes given.
        actual: usize,
    },
}

/// The encoder. Holds the last picture, the anchor, and the names of tiles seen.
pub struct Encoder {
    grid: Grid,
    /// The picture to encode.
    current: Vec<u32>,
    /// The picture as the decoder has it.
    state: Vec<u32>,
    anchor: Vec<u32>,
    /// Bytes of the anchor's sections, to compare the cost of a key frame with. 0 when there is no anchor.
    anchor_bytes: usize,
    seen: Seen,
    motion: Motion,
    /// Searches for moves in vain, and pictures to let pass before the next.
    vain: u32,
    rest: u32,
    /// Which tiles are to be coded.
    marked: Vec<bool>,
    sections: Sections,
    copies: Vec<Copy>,
    moved: Vec<u32>,
    tile: TileCoder,
}

impl Encoder {
    /// An encoder that has seen nothing.
    pub fn new(config: EncoderConfig) -> Self {
        Self {
            grid: Grid::default(),
            current: Vec::new(),
            state: Vec::new(),
            anchor: Vec::new(),
            anchor_bytes: 0,
            seen: Seen::new(config.seed),
            motion: Motion::default(),
            vain: 0,
            rest: 0,
            marked: Vec::new(),
            sections: Sections::default(),
            copies: Vec::new(),
            moved: Vec::new(),
            tile: TileCoder::default(),
        }
    }

    /// Appends a packet for `picture` to `out`. `damage` must cover everything that changed since the last call; it may cover more.
    /// Returns `None`, and appends nothing, when a delta is wanted and nothing changed.
    ///
    /// # Errors
    /// A picture of an impossible size or with too few bytes; nothing was appended.
    pub fn encode(
        &mut self,
        picture: &Picture<'_>,
        damage: &[Rect],
        want: Want,
        out: &mut Vec<u8>,
    ) -> Result<Option<Encoded>, EncodeError> {
        check(picture)?;
        let grid = Grid::new(picture.width, picture.height);
        let resized = grid != self.grid;
        let changed_pixels = if resized { self.resize(grid, picture) } else { self.take_in(picture, damage) };
        let mut kind = match want {
            _ if self.anchor_bytes == 0 => PacketKind::Anchor,
            Want::Anchor => PacketKind::Anchor,
            Want::Key => PacketKind::Key,
            Want::Delta if changed_pixels == 0 => return Ok(None),
            Want::Delta => PacketKind::Delta,
        };
        self.code(kind);
        if kind == PacketKind::Key && self.sections.len() > self.anchor_bytes / 10 * 6 {
            kind = PacketKind::Anchor;
            self.code(kind);
        }
        self.sections.write(kind, picture.width, picture.height, out);
        self.follow(kind);
        Ok(Some(Encoded { kind, changed_pixels }))
    }

    fn resize(&mut self, grid: Grid, picture: &Picture<'_>) -> u64 {
        self.grid = grid;
        self.anchor_bytes = 0;
        // New vectors: the old ones may be far larger than is needed now.
        self.current = Vec::with_capacity(grid.pixels());
        for row in rows(picture) {
            self.current.extend(row.chunks_exact(4).map(pixel));
        }
        self.state = vec![0; grid.pixels()];
        self.anchor = Vec::new();
        self.marked = vec![false; grid.tiles()];
        grid.pixels() as u64
    }

    /// Brings `current` up to date within `damage`, marks the tiles that changed, and counts the pixels.
    fn take_in(&mut self, picture: &Picture<'_>, damage: &[Rect]) -> u64 {
        let grid = self.grid;
        self.marked.fill(false);
        let mut wanted = vec![false; grid.tiles()];
        for rect in damage {
            let (columns, rows) = grid.touched(rect);
            for row in rows {
                wanted[row * grid.columns..][columns.clone()].fill(true);
            }
        }
        let mut changed_pixels = 0;
        for (index, _) in wanted.iter().enumerate().filter(|&(_, &wanted)| wanted) {
            let area = grid.tile(index);
            for y in area.y..area.y + area.height {
                let from = y * picture.stride + area.x * 4;
                let new = &picture.data[from..from + area.width * 4];
                let old = &mut self.current[y * grid.width + area.x..][..area.width];
                let pairs = || new.chunks_exact(4).map(pixel).zip(old.iter());
                if pairs().fold(0, |difference, (new, &old)| difference | (new ^ old)) != 0 {
                    changed_pixels += pairs().filter(|&(new, &old)| new != old).count() as u64;
                    self.marked[index] = true;
                    for (old, new) in old.iter_mut().zip(new.chunks_exact(4)) {
                        *old = pixel(new);
                    }
                }
            }
        }
        changed_pixels
    }

    /// Fills the sections with what leads from what the decoder has, for a packet of this kind, to `current`.
    fn code(&mut self, kind: PacketKind) {
        self.sections.clear();
        match kind {
            PacketKind::Anchor => {
                self.seen.clear();
                self.state.fill(0);
                self.marked.fill(true);
            }
            PacketKind::Key => {
                self.seen.clear();
                self.state.copy_from_slice(&self.anchor);
                for index in 0..self.grid.tiles() {
                    let area = self.grid.tile(index);
                    self.marked[index] =
                        differing(&self.current, &self.state, self.grid.width, area).is_some();
                }
            }
            PacketKind::Delta => {}
        }
        self.copies.clear();
        if kind != PacketKind::Anchor {
            self.find_copies();
        }
        self.write_copies();
        let anchor = if kind == PacketKind::Anchor { None } else { Some(&self.anchor[..]) };
        let mut skipped = 0;
        for index in 0..self.grid.tiles() {
            let tile = self.grid.tile(index);
            let area = match kind {
                PacketKind::Anchor => Some(tile),
                _ if !self.marked[index] => None,
                _ => differing(&self.current, &self.state, self.grid.width, tile),
            };
            match area {
                Some(area) => {
                    put_varint(&mut self.sections.ops, skipped);
                    skipped = 0;
                    let pictures =
                        Pictures { current: &self.current, state: &self.state, anchor, grid: self.grid };
                    self.tile.code(&pictures, tile, area, &mut self.seen, &mut self.sections);
                }
                None => skipped += 1,
            }
        }
    }

    /// After a packet the decoder has `current`.
    fn follow(&mut self, kind: PacketKind) {
        if kind == PacketKind::Anchor {
            self.anchor_bytes = self.sections.len().max(1);
            self.anchor.clone_from(&self.current);
            self.state.copy_from_slice(&self.current);
            return;
        }
        let grid = self.grid;
        for (index, _) in self.marked.iter().enumerate().filter(|&(_, &marked)| marked) {
            let area = grid.tile(index);
            for y in area.y..area.y + area.height {
                let at = y * grid.width + area.x;
                self.state[at..at + area.width].copy_from_slice(&self.current[at..at + area.width]);
            }
        }
    }

    /// Finds blocks of the marked tiles that stood elsewhere, joins them to rectangles, and moves them in `state`.
    fn find_copies(&mut self) {
        if self.marked.iter().filter(|&&marked| marked).count() < MOTION_TILES {
            return;
        }
        if self.rest > 0 {
            self.rest -= 1;
            return;
        }
        let mut offsets: Vec<Offset> = Vec::new();
        self.motion.find(self.grid, &self.state, &self.current, &self.marked, &mut offsets);
        if !offsets.is_empty() {
            self.join_blocks(&offsets);
        }
        if self.copies.is_empty() {
            self.vain = (self.vain + 1).min(MOTION_REST);
            self.rest = if self.vain > 2 { self.vain } else { 0 };
            return;
        }
        self.vain = 0;
        ops::apply(&self.copies, &mut self.state, self.grid.width, &mut self.moved);
    }

    fn join_blocks(&mut self, offsets: &[Offset]) {
        let grid = self.grid;
        // Rectangles that reach down to the row of blocks above: offset and place in `copies`.
        let mut above: Vec<(usize, usize)> = Vec::new();
        let mut here = Vec::new();
        for y in (0..grid.height).step_by(BLOCK) {
            let height = BLOCK.min(grid.height - y);
            let tiles = &self.marked[y / TILE * grid.columns..][..grid.columns];
            let mut run: Option<(usize, Area)> = None;
            for x in (0..grid.width + BLOCK).step_by(BLOCK) {
                let block = Area { x, y, width: BLOCK.min(grid.width.saturating_sub(x)), height };
                let is_marked = block.width > 0 && tiles[x / TILE];
                let by = if is_marked { self.moved_by(block, offsets, run.map(|(by, _)| by)) } else { None };
                match (&mut run, by) {
                    (Some((running, area)), Some(by)) if *running == by => area.width += block.width,
                    (open, by) => {
                        if let Some((by, area)) = open.take() {
                            let same = |&&(with, at): &&(usize, usize)| {
                                let to: Area = self.copies[at].to;
                                with == by && (to.x, to.width) == (area.x, area.width)
                            };
                            let at = match above.iter().find(same) {
                                Some(&(_, at)) => {
                                    self.copies[at].to.height += area.height;
                                    at
                                }
                                None => {
                                    let (dx, dy) = offsets[by];
                                    // `moved_by` has checked that the source lies in the picture.
                                    let from_x = (area.x as i32 - dx) as usize;
                                    let from_y = (area.y as i32 - dy) as usize;
                                    self.copies.push(Copy { to: area, from_x, from_y });
                                    self.copies.len() - 1
                                }
                            };
                            here.push((by, at));
                        }
                        *open = by.map(|by| (by, block));
                    }
                }
            }
            std::mem::swap(&mut above, &mut here);
            here.clear();
        }
    }

    /// By which offset a changed block was moved here, the preferred one if it fits.
    fn moved_by(&self, block: Area, offsets: &[Offset], preferred: Option<usize>) -> Option<usize> {
        let width = self.grid.width;
        let matches = |from: usize| {
            (0..block.height).all(|row| {
                let (to, from) = ((block.y + row) * width + block.x, from + row * width);
                self.current[to..to + block.width] == self.state[from..from + block.width]
            })
        };
        if matches(block.y * width + block.x) {
            return None;
        }
        let order = preferred.into_iter().chain((0..offsets.len()).filter(|&by| Some(by) != preferred));
        order.into_iter().find(|&by| {
            let (x, y) =
                (block.x as i64 - i64::from(offsets[by].0), block.y as i64 - i64::from(offsets[by].1));
            let inside = x >= 0
                && y >= 0
                && x as usize + block.width <= width
                && y as usize + block.height <= self.grid.height;
            inside && matches(y as usize * width + x as usize)
        })
    }

    fn write_copies(&mut self) {
        let ops = &mut self.sections.ops;
        put_varint(ops, self.copies.len() as u64);
        for Copy { to, from_x, from_y } in &self.copies {
            for number in [to.x, to.y, to.width - 1, to.height - 1] {
                put_varint(ops, number as u64);
            }
            put_signed(ops, to.x as i64 - *from_x as i64);
            put_signed(ops, to.y as i64 - *from_y as i64);
        }
    }
}

/// The pictures a tile is coded from.
struct Pictures<'a> {
    current: &'a [u32],
    state: &'a [u32],
    anchor: Option<&'a [u32]>,
    grid: Grid,
}

/// Writes one tile after another.
#[derive(Default)]
struct TileCoder {
    whole: TileBuffer,
    part: TileBuffer,
    before: TileBuffer,
    colours: Vec<u32>,
    indices: Vec<u8>,
}

impl TileCoder {
    /// Writes the operation that brings `area`, the differing part of `tile`, up to date.
    fn code(&mut self, from: &Pictures<'_>, tile: Area, area: Area, seen: &mut Seen, out: &mut Sections) {
        let width = from.grid.width;
        let is_delta = from.anchor.is_some();
        let name = if is_delta && area.pixels() * 4 >= tile.pixels() {
            let name = seen.name(self.whole.gather(from.current, width, tile), tile.width);
            if let Some(slot) = seen.slot(name) {
                out.ops.push(Mode::Seen.code());
                put_varint(&mut out.ops, slot as u64);
                return;
            }
            Some(name)
        } else {
            None
        };
        let pixels = self.part.gather(from.current, width, area);
        if pixels.iter().all(|&pixel| pixel == pixels[0]) {
            ops::put(Mode::Solid, 0, tile, area, &mut out.ops);
            put_colour(&mut out.colours, pixels[0]);
            return;
        }
        if from.anchor.is_some_and(|anchor| self.before.gather(anchor, width, area) == pixels) {
            ops::put(Mode::Anchor, 0, tile, area, &mut out.ops);
            return;
        }
        let mut flags = 0;
        if let Some(name) = name {
            seen.store(name);
            flags = ops::STORE;
        }
        if pixels::palette(pixels, &mut self.colours, &mut self.indices) {
            ops::put(Mode::Palette, flags, tile, area, &mut out.ops);
            pixels::write_palette(&self.colours, &self.indices, out);
            return;
        }
        let (predictor, relative, spatial) = pixels::choose(pixels, area.width);
        let before = self.before.gather(from.state, width, area);
        if is_delta && pixels::temporal_cost(pixels, before, area.width) < spatial {
            ops::put(Mode::Temporal, flags, tile, area, &mut out.ops);
            pixels::write_temporal(pixels, before, out);
            return;
        }
        ops::put(Mode::Spatial, flags | ops::predictor_flags(predictor, relative), tile, area, &mut out.ops);
        pixels::write_spatial(pixels, area.width, predictor, relative, out);
    }
}

/// The smallest area of `tile` that holds every pixel in which two pictures differ.
fn differing(one: &[u32], other: &[u32], width: usize, tile: Area) -> Option<Area> {
    let row = |y: usize| {
        let at = y * width + tile.x;
        (&one[at..at + tile.width], &other[at..at + tile.width])
    };
    let differs = |&y: &usize| {
        let (one, other) = row(y);
        one != other
    };
    let top = (tile.y..tile.y + tile.height).find(differs)?;
    // The row at the top differs, so the search from below ends there at the latest.
    let bottom = (top..tile.y + tile.height).rfind(differs).unwrap_or(top);
    let (mut left, mut right) = (tile.width, 0);
    for y in top..=bottom {
        let (one, other) = row(y);
        if let Some(first) = one[..left].iter().zip(other).position(|(one, other)| one != other) {
            left = first;
        }
        if let Some(last) = one[right..].iter().zip(&other[right..]).rposition(|(one, other)| one != other) {
            right += last + 1;
        }
    }
    // A row whose differences all lie right of `left` leaves it as it is, so the bounds are those of all rows.
    Some(Area { x: tile.x + left, y: top, width: right - left, height: bottom - top + 1 })
}

fn check(picture: &Picture<'_>) -> Result<(), EncodeError> {
    let Picture { width, height, stride, data } = *picture;
    let sides = 1..=MAX_SIDE;
    if !sides.contains(&width) || !sides.contains(&height) || width as usize * height as usize > MAX_PIXELS {
        return Err(EncodeError::Size { width, height });
    }
    let row = width as usize * 4;
    let expected = stride.max(row).saturating_mul(height as usize - 1).saturating_add(row);
    if stride < row || data.len() < expected {
        return Err(EncodeError::Data { expected, actual: data.len() });
    }
    Ok(())
}

/// The bytes of a picture's rows.
fn rows<'a>(picture: &Picture<'a>) -> impl Iterator<Item = &'a [u8]> {
    let Picture { width, height, stride, data } = *picture;
    (0..height as usize).map(move |y| &data[y * stride..y * stride + width as usize * 4])
}

#[inline(always)]
fn pixel(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0])
}
