//! What was on screen before and is gone now: tiles saved when they are covered, loaded when they come back.

use super::Pending;
use crate::bits::{self, TileMask};
use crate::geometry::{Area, Grid, TILE, View};
use crate::wire::{self, Writer, op, put_varint, stream};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use xxhash_rust::xxh3::Xxh3;

/// A tile has to stay the same for this many packets to be worth saving; moving pictures and scrolled pages are not.
const SETTLED: u32 = 3;
/// Fewer matching pixels than this are cheaper to code anew.
const FEW: u32 = 24;
/// Of so many tiles one has room on the shelf: what was covered last comes back first, and a whole picture more is much memory.
const SHELF: usize = 4;
/// Bytes of a tile there.
const TILE_BYTES: usize = TILE * TILE * 4;
/// Most boxes taken from one source for one tile.
const BOXES: usize = 3;

/// Passes keys through that are hashes already.
#[derive(Default)]
pub(super) struct Ready(u64);

impl Hasher for Ready {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 ^= u64::from_le_bytes(word);
        }
    }
}

/// A map keyed by content hashes.
pub(super) type ByHash<V> = HashMap<u128, V, BuildHasherDefault<Ready>>;

struct Slot {
    hash: u128,
    /// Used since the hand last came by.
    used: bool,
}

/// What the shelf has of a tile.
#[derive(Clone, Copy)]
struct Shelved {
    slot: usize,
    hash: u128,
    place: usize,
}

/// The saved tiles, as the encoder knows them: by hash, and by content for the last one at each place.
pub(super) struct History {
    seed: u64,
    grid: Grid,
    slots: Vec<Slot>,
    hand: usize,
    by_hash: ByHash<usize>,
    /// What was saved last, a tile after the other; it grows as tiles are saved.
    shelf: Vec<u8>,
    /// The tiles whose content that is.
    on_shelf: Vec<usize>,
    /// The place on the shelf that is given away next.
    next_on_shelf: usize,
    /// What the shelf has for each tile.
    shelved: Vec<Option<Shelved>>,
    packet: u32,
    changed: Vec<u32>,
}

impl History {
    pub(super) fn new(seed: u64, grid: Grid) -> Self {
        Self {
            seed,
            grid,
            slots: Vec::new(),
            hand: 0,
            by_hash: ByHash::default(),
            shelf: Vec::new(),
            on_shelf: Vec::new(),
            next_on_shelf: 0,
            shelved: Vec::new(),
            packet: SETTLED,
            changed: vec![0; grid.tiles()],
        }
    }

    /// Forgets everything, as decoders do at an anchor or key.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.hand = 0;
        self.by_hash.clear();
        self.on_shelf.clear();
        self.next_on_shelf = 0;
        self.shelved.clear();
        self.shelved.resize(self.grid.tiles(), None);
        self.packet = self.packet.wrapping_add(1);
    }

    /// Saves what is about to be covered. Comes before all other operations of the packet.
    pub(super) fn save(&mut self, pending: &Pending, anchor: &[u8], last: View<'_>, writer: &mut Writer) {
        self.packet = self.packet.wrapping_add(1);
        let anchor = View { data: anchor, stride: self.grid.width * 4 };
        for &tile in &pending.tiles {
            let settled = self.packet.wrapping_sub(self.changed[tile]) > SETTLED;
            self.changed[tile] = self.packet;
            let area = self.grid.area(tile);
            let covered = bits::count(&pending.masks[tile]) as usize * 4 >= area.w * area.h;
            if settled
                && covered
                && let Some(slot) = self.keep(tile, area, anchor, last)
            {
                writer.op(op::SAVE, tile);
                put_varint(writer.stream(stream::OPS), slot as u32);
            }
        }
    }

    /// Loads what has come back.
    pub(super) fn load(&mut self, pending: &mut Pending, anchor: &[u8], new: View<'_>, writer: &mut Writer) {
        let anchor = View { data: anchor, stride: self.grid.width * 4 };
        for &tile in &pending.tiles {
            pending.drawn[tile] |= self.load_tile(tile, &mut pending.masks[tile], anchor, new, writer);
        }
    }

    fn hash(&self, view: View<'_>, area: Area) -> u128 {
        let mut hash = Xxh3::with_seed(self.seed);
        for y in area.y..area.y + area.h {
            hash.update(view.row(area.x, y, area.w));
        }
        hash.update(&[area.w as u8, area.h as u8]);
        hash.digest128()
    }

    /// Saves the old content of a tile unless it is known; the slot to save it in.
    fn keep(&mut self, tile: usize, area: Area, anchor: View<'_>, last: View<'_>) -> Option<usize> {
        let old = |y: usize| last.row(area.x, area.y + y, area.w);
        if (0..area.h).all(|y| old(y) == anchor.row(area.x, area.y + y, area.w)) || is_plain(last, area) {
            return None;
        }
        let hash = self.hash(last, area);
        let known = self.by_hash.get(&hash).copied();
        let slot = known.unwrap_or_else(|| self.take_slot());
        if known.is_none() {
            self.slots[slot] = Slot { hash, used: false };
            self.by_hash.insert(hash, slot);
        }
        self.slots[slot].used = true;
        let place = self.shelve(tile);
        for (y, row) in self.shelf[place * TILE_BYTES..].chunks_mut(TILE * 4).take(area.h).enumerate() {
            row[..area.w * 4].copy_from_slice(old(y));
        }
        self.shelved[tile] = Some(Shelved { slot, hash, place });
        known.is_none().then_some(slot)
    }

    /// A place on the shelf for a tile: its own, a free one, or that of the tile that has been there longest.
    fn shelve(&mut self, tile: usize) -> usize {
        if let Some(Shelved { place, .. }) = self.shelved[tile] {
            return place;
        }
        let most = (self.grid.tiles() / SHELF).max(1);
        if self.on_shelf.len() < most {
            self.on_shelf.push(tile);
            let needed = self.on_shelf.len() * TILE_BYTES;
            if self.shelf.len() < needed {
                // All of the room at once: growing would copy what is there, and room that is not used costs nothing.
                self.shelf.reserve_exact(most * TILE_BYTES - self.shelf.len());
                self.shelf.resize(needed, 0);
            }
            return self.on_shelf.len() - 1;
        }
        let place = self.next_on_shelf;
        self.next_on_shelf = (place + 1) % most;
        let before = std::mem::replace(&mut self.on_shelf[place], tile);
        self.shelved[before] = None;
        place
    }

    /// A free slot, or the first that was not used since the hand came by.
    fn take_slot(&mut self) -> usize {
        if self.slots.len() < wire::slots(&self.grid) {
            self.slots.push(Slot { hash: 0, used: false });
            return self.slots.len() - 1;
        }
        loop {
            let slot = self.hand;
            self.hand = (self.hand + 1) % self.slots.len();
            if !std::mem::take(&mut self.slots[slot].used) {
                self.by_hash.remove(&self.slots[slot].hash);
                return slot;
            }
        }
    }

    /// Loads what a tile has in common with what is kept; whether there was any.
    fn load_tile(
        &mut self,
        tile: usize,
        mask: &mut TileMask,
        anchor: View<'_>,
        new: View<'_>,
        writer: &mut Writer,
    ) -> bool {
        let left = bits::count(mask);
        if left < FEW {
            return false;
        }
        let area = self.grid.area(tile);
        if left as usize * 4 >= area.w * area.h && !self.by_hash.is_empty() {
            let hash = self.hash(new, area);
            if let Some(&slot) = self.by_hash.get(&hash) {
                self.slots[slot].used = true;
                writer.op(op::LOAD, tile);
                put_varint(writer.stream(stream::OPS), slot as u32);
                *mask = [0; TILE];
                return true;
            }
        }
        let mut found = false;
        boxes(area, mask, (anchor, area.x, area.y), new, |part| {
            found = true;
            writer.op(if part.is_some() { op::ANCHOR_BOX } else { op::ANCHOR }, tile);
            if let Some(part) = part {
                put_box(writer, part);
            }
        });
        let shelved = self.shelved[tile].filter(|shelved| self.slots[shelved.slot].hash == shelved.hash);
        let Some(Shelved { slot, place, .. }) = shelved else { return found };
        let shelf = View { data: &self.shelf[place * TILE_BYTES..], stride: TILE * 4 };
        let mut used = false;
        boxes(area, mask, (shelf, 0, 0), new, |part| {
            used = true;
            writer.op(if part.is_some() { op::LOAD_BOX } else { op::LOAD }, tile);
            if let Some(part) = part {
                put_box(writer, part);
            }
            put_varint(writer.stream(stream::OPS), slot as u32);
        });
        self.slots[slot].used |= used;
        found | used
    }
}

/// Finds boxes of a tile's pending pixels that are as in `old`, where the tile lies at some place, reports them and takes them out; `None` is the whole tile.
fn boxes(
    area: Area,
    mask: &mut TileMask,
    (old, x, top): (View<'_>, usize, usize),
    new: View<'_>,
    mut found: impl FnMut(Option<Area>),
) {
    for _ in 0..BOXES {
        if bits::count(mask) < FEW {
            return;
        }
        let mut same = [0; TILE];
        let mut wanted = [0; TILE];
        for y in (0..area.h).filter(|&y| mask[y] != 0) {
            let (a, b) = (old.row(x, top + y, area.w), new.row(area.x, area.y + y, area.w));
            same[y] = if a == b { bits::low(area.w) } else { !bits::differing(a, b) & bits::low(area.w) };
            wanted[y] = same[y] & mask[y];
        }
        if bits::count(&wanted) < FEW {
            return;
        }
        let Some(part) = bits::largest_box(&same, &wanted) else { return };
        if bits::count_in(mask, part) < FEW {
            return;
        }
        bits::clear(mask, part);
        found((part.w < area.w || part.h < area.h).then_some(part));
    }
}

/// Appends a box inside of a tile.
pub(super) fn put_box(writer: &mut Writer, part: Area) {
    let numbers = [part.x as u8, part.y as u8, (part.w - 1) as u8, (part.h - 1) as u8];
    writer.stream(stream::OPS).extend_from_slice(&numbers);
}

/// Whether an area has one colour only.
fn is_plain(view: View<'_>, area: Area) -> bool {
    let first = &view.row(area.x, area.y, area.w)[..4];
    (area.y..area.y + area.h)
        .all(|y| view.row(area.x, y, area.w).as_chunks::<4>().0.iter().all(|p| p == first))
}
