//! The encoder: finds what changed and says it in the cheapest way it knows.
//!
//! Every step takes pixels out of the set of those that are still wrong in the decoder's picture: moved rectangles,
//! what was seen before, fills, symbols, and at last boxes of palette or residual pixels.

mod blocks;
mod fills;
mod history;
mod moves;
mod symbols;

use crate::bits;
use crate::error::EncodeError;
use crate::geometry::{Grid, MAX_SIDE, Picture, Rect, TILE, View};
use crate::wire::{PacketKind, Writer};
use blocks::Blocks;
use history::History;
use moves::Finder;
use symbols::Symbols;

/// A key larger than this share of the last anchor becomes an anchor itself: who seeks fetches both.
const KEY_PERCENT: u64 = 30;
/// More than this of key and anchor together is much to fetch for one who seeks: a fresh anchor alone is less,
const MUCH: usize = 1_700_000;
/// if the key is larger than this share.
const MUCH_KEY_PERCENT: u64 = 15;
/// A key of fewer bytes than this matters little to who seeks,
const SMALL_KEY: usize = 32 << 10;
/// and remains one up to this share.
const SMALL_KEY_PERCENT: u64 = 70;

/// Settings of an encoder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncoderConfig {
    /// Secret that content hashes are keyed with: a random number, a new one for each recording, so that nobody who draws on the
    /// desktop can craft two contents that are taken for one. It does not go into the packets.
    pub seed: u64,
}

/// What the caller asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// A packet that needs nothing.
    Anchor,
    /// A packet that needs the anchor only. Becomes an anchor when there is none, when the size changed or when it would cost about as much.
    Key,
    /// What changed since the last packet. Becomes an anchor when there is none or when the size changed.
    Delta,
}

/// What a call of [`Encoder::encode`] made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoded {
    /// The kind of the packet.
    pub kind: PacketKind,
    /// Pixels that differ from the picture of the packet before; all of them at the first one or at a new size.
    pub changed_pixels: u64,
}

/// The pixels that are still wrong in the decoder's picture.
pub(crate) struct Pending {
    pub(crate) grid: Grid,
    /// 64 rows for each tile.
    pub(crate) masks: Vec<bits::TileMask>,
    /// Tiles that had pixels to code when the packet was begun, ascending.
    pub(crate) tiles: Vec<usize>,
    /// Tiles that some operation of the packet has drawn on.
    pub(crate) drawn: Vec<bool>,
}

impl Pending {
    fn new(grid: Grid) -> Self {
        Self {
            grid,
            masks: vec![[0; TILE]; grid.tiles()],
            tiles: Vec::new(),
            drawn: vec![false; grid.tiles()],
        }
    }

    /// Compares tiles of two pictures; `tiles` must ascend. Returns the number of pixels that differ.
    fn compare(&mut self, old: View<'_>, new: View<'_>, tiles: impl Iterator<Item = usize>) -> u64 {
        for tile in self.tiles.drain(..) {
            self.masks[tile] = [0; TILE];
        }
        self.drawn.fill(false);
        let mut tiles = tiles.peekable();
        while let Some(first) = tiles.next() {
            // Neighbours are compared in one go, which is quickest where nothing changed.
            let mut last = first;
            while let Some(next) = tiles.next_if(|t| *t == last + 1 && !t.is_multiple_of(self.grid.cols)) {
                last = next;
            }
            self.compare_stretch(old, new, first, last);
        }
        let masks = &self.masks;
        self.tiles.iter().map(|&t| u64::from(bits::count(&masks[t]))).sum()
    }

    /// Compares neighbouring tiles of one row.
    fn compare_stretch(&mut self, old: View<'_>, new: View<'_>, first: usize, last: usize) {
        let (from, to) = (self.grid.area(first), self.grid.area(last));
        let width = to.x + to.w - from.x;
        let mut any = [false; MAX_SIDE as usize / TILE];
        for y in 0..from.h {
            let (a, b) = (old.row(from.x, from.y + y, width), new.row(from.x, from.y + y, width));
            if a == b {
                continue;
            }
            let parts = a.chunks(TILE * 4).zip(b.chunks(TILE * 4));
            for ((at, (a, b)), any) in parts.enumerate().zip(&mut any) {
                if a != b {
                    let row = bits::differing(a, b);
                    self.masks[first + at][y] = row;
                    *any |= row != 0;
                }
            }
        }
        self.tiles.extend((first..=last).zip(any).filter(|(_, any)| *any).map(|(tile, _)| tile));
    }

    /// Says that every pixel is wrong.
    fn everything(&mut self) {
        self.tiles.clear();
        for tile in 0..self.grid.tiles() {
            let area = self.grid.area(tile);
            self.masks[tile] = [0; TILE];
            self.masks[tile][..area.h].fill(bits::low(area.w));
            self.tiles.push(tile);
        }
    }
}

/// The state that belongs to one picture size.
struct State {
    pending: Pending,
    /// The picture of the packet before, rows without gaps.
    last: Vec<u8>,
    /// The picture of the last anchor.
    anchor: Vec<u8>,
    /// Bytes of the last anchor's packet.
    anchor_bytes: usize,
    history: History,
}

/// Makes packets from pictures.
///
/// Memory: two pictures of four bytes a pixel (the last one and the anchor's), a quarter of one once tiles are saved, and 2 to 3
/// MB of tables; while an anchor is made, the packet besides.
pub struct Encoder {
    config: EncoderConfig,
    state: Option<State>,
    writer: Writer,
    finder: Finder,
    symbols: Symbols,
    blocks: Box<Blocks>,
    damaged: Vec<bool>,
}

impl Encoder {
    /// An encoder without a picture; its first packet is an anchor.
    pub fn new(config: EncoderConfig) -> Self {
        Self {
            symbols: Symbols::new(config.seed),
            config,
            state: None,
            writer: Writer::new(),
            finder: Finder::new(),
            blocks: Box::default(),
            damaged: Vec::new(),
        }
    }

    /// Codes the current picture and appends the packet to `out`. `damage` covers at least what changed since the last call; pixels outside of
    /// it are taken as unchanged (but may be looked at). It is not needed for an anchor or a key. `None`, and nothing appended, when a delta
    /// was wanted and nothing changed.
    ///
    /// # Errors
    /// See [`EncodeError`]; nothing has happened then.
    pub fn encode(
        &mut self,
        picture: &Picture<'_>,
        damage: &[Rect],
        want: Want,
        out: &mut Vec<u8>,
    ) -> Result<Option<Encoded>, EncodeError> {
        let grid = check(picture)?;
        let new = View { data: picture.data, stride: picture.stride };
        let Some(state) = self.state.as_mut().filter(|s| s.pending.grid == grid) else {
            // The old pictures are given back before new ones are made.
            self.state = None;
            self.state = Some(State {
                pending: Pending::new(grid),
                last: Vec::new(),
                anchor: Vec::new(),
                anchor_bytes: 0,
                history: History::new(self.config.seed, grid),
            });
            self.anchor(new, out);
            let changed_pixels = grid.pixels() as u64;
            return Ok(Some(Encoded { kind: PacketKind::Anchor, changed_pixels }));
        };

        let last = View { data: &state.last, stride: grid.width * 4 };
        let changed_pixels = if want == Want::Delta {
            mark_damage(&grid, damage, &mut self.damaged);
            let tiles = (0..grid.tiles()).filter(|&t| self.damaged[t]);
            state.pending.compare(last, new, tiles)
        } else {
            state.pending.compare(last, new, 0..grid.tiles())
        };
        let kind = match want {
            Want::Delta if changed_pixels == 0 => return Ok(None),
            Want::Delta => {
                self.delta(new, out);
                PacketKind::Delta
            }
            Want::Key => self.key(new, out),
            Want::Anchor => {
                self.anchor(new, out);
                PacketKind::Anchor
            }
        };
        Ok(Some(Encoded { kind, changed_pixels }))
    }

    /// Appends the last anchor's packet once more, byte for byte, and takes its picture as the one before: whoever holds that
    /// anchor can pass over this packet. A key has to follow. `None`, and nothing appended, when there is no anchor.
    pub fn repeat_anchor(&mut self, out: &mut Vec<u8>) -> Option<()> {
        let state = self.state.as_mut()?;
        let stride = state.pending.grid.width * 4;
        let picture = std::mem::take(&mut state.anchor);
        self.anchor(View { data: &picture, stride }, out);
        Some(())
    }

    fn anchor(&mut self, new: View<'_>, out: &mut Vec<u8>) {
        let Some(state) = &mut self.state else { return };
        let grid = state.pending.grid;
        state.pending.everything();
        state.history.clear();
        self.symbols.clear();
        self.writer.clear();
        self.rest(Over::Nothing, new);
        self.blocks.shrink();
        let before = out.len();
        self.writer.finish(PacketKind::Anchor, Some((grid.width, grid.height)), out);
        self.writer.clear();
        self.symbols.end_anchor();
        let Some(state) = &mut self.state else { return };
        state.anchor_bytes = out.len() - before;
        state.anchor.clear();
        for y in 0..grid.height {
            state.anchor.extend_from_slice(new.row(0, y, grid.width));
        }
        state.last.clear();
        state.last.extend_from_slice(&state.anchor);
    }

    fn key(&mut self, new: View<'_>, out: &mut Vec<u8>) -> PacketKind {
        let Some(state) = &mut self.state else { return PacketKind::Key };
        let grid = state.pending.grid;
        state.history.clear();
        self.symbols.back_to_anchor();
        self.writer.clear();
        let anchor = View { data: &state.anchor, stride: grid.width * 4 };
        state.pending.compare(anchor, new, 0..grid.tiles());
        let moves = self.finder.find(&mut state.pending, anchor, new);
        moves::write(&moves, &mut self.writer);
        self.rest(Over::Anchor, new);
        let before = out.len();
        self.writer.finish(PacketKind::Key, None, out);
        let Some(state) = &mut self.state else { return PacketKind::Key };
        let bytes = out.len() - before;
        let most = match bytes {
            ..SMALL_KEY => SMALL_KEY_PERCENT,
            _ if bytes + state.anchor_bytes > MUCH => MUCH_KEY_PERCENT,
            _ => KEY_PERCENT,
        };
        if bytes as u64 * 100 > state.anchor_bytes as u64 * most {
            out.truncate(before);
            self.anchor(new, out);
            return PacketKind::Anchor;
        }
        for y in 0..grid.height {
            let at = y * grid.width * 4;
            state.last[at..at + grid.width * 4].copy_from_slice(new.row(0, y, grid.width));
        }
        PacketKind::Key
    }

    fn delta(&mut self, new: View<'_>, out: &mut Vec<u8>) {
        let Some(state) = &mut self.state else { return };
        let grid = state.pending.grid;
        self.writer.clear();
        let last = View { data: &state.last, stride: grid.width * 4 };
        let changed: Vec<(usize, u64)> =
            state.pending.tiles.iter().map(|&t| (t, changed_rows(&state.pending.masks[t]))).collect();
        let moves = self.finder.find(&mut state.pending, last, new);
        // What is left now is not just moved but replaced; tiles are saved before anything is drawn.
        state.history.save(&state.pending, &state.anchor, last, &mut self.writer);
        moves::write(&moves, &mut self.writer);
        state.history.load(&mut state.pending, &state.anchor, new, &mut self.writer);
        self.rest(Over::Last, new);
        self.writer.finish(PacketKind::Delta, None, out);
        let Some(state) = &mut self.state else { return };
        for (tile, rows) in changed {
            let area = grid.area(tile);
            for y in (0..area.h).filter(|y| rows >> y & 1 != 0) {
                let at = ((area.y + y) * grid.width + area.x) * 4;
                state.last[at..at + area.w * 4].copy_from_slice(new.row(area.x, area.y + y, area.w));
            }
        }
    }

    /// Fills, symbols and boxes for what is still pending.
    fn rest(&mut self, over: Over, new: View<'_>) {
        let Some(state) = &mut self.state else { return };
        let stride = state.pending.grid.width * 4;
        let old = match over {
            Over::Nothing => None,
            Over::Anchor => Some(View { data: &state.anchor, stride }),
            Over::Last => Some(View { data: &state.last, stride }),
        };
        let photos = fills::fill(&mut state.pending, new, &mut self.writer);
        self.symbols.draw(&mut state.pending, &photos, new, &mut self.writer);
        self.blocks.draw(&state.pending, &photos, old, new, &mut self.writer);
    }
}

/// The picture that a packet is drawn over.
#[derive(Clone, Copy)]
enum Over {
    Nothing,
    Anchor,
    Last,
}

/// Bit y is set when row y has pixels.
fn changed_rows(mask: &bits::TileMask) -> u64 {
    mask.iter().enumerate().fold(0, |rows, (y, row)| rows | u64::from(*row != 0) << y)
}

fn check(picture: &Picture<'_>) -> Result<Grid, EncodeError> {
    let (width, height) = (picture.width, picture.height);
    let grid = Grid::new(width.into(), height.into()).ok_or(EncodeError::Size { width, height })?;
    let row = grid.width * 4;
    let expected = (grid.height - 1).saturating_mul(picture.stride).saturating_add(row);
    if picture.stride < row || picture.data.len() < expected {
        return Err(EncodeError::Buffer { actual: picture.data.len(), expected, stride: picture.stride });
    }
    Ok(grid)
}

/// Marks the tiles that the damage touches.
fn mark_damage(grid: &Grid, damage: &[Rect], damaged: &mut Vec<bool>) {
    damaged.clear();
    damaged.resize(grid.tiles(), false);
    for rect in damage {
        let right = (rect.x as usize).saturating_add(rect.width as usize).min(grid.width);
        let bottom = (rect.y as usize).saturating_add(rect.height as usize).min(grid.height);
        for row in rect.y as usize / TILE..bottom.div_ceil(TILE) {
            for col in rect.x as usize / TILE..right.div_ceil(TILE) {
                damaged[row * grid.cols + col] = true;
            }
        }
    }
}
