//! Tiles seen before: the same ring on both sides, filled in the same order.

use crate::grid::{Area, TILE, TILE_PIXELS};
use std::collections::HashMap;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Places in the ring.
pub(crate) const SLOTS: usize = 2_048;

/// A tile's pixels, gathered row by row.
pub(crate) struct TileBuffer {
    pixels: Box<[u32; TILE_PIXELS]>,
    length: usize,
}

impl Default for TileBuffer {
    fn default() -> Self {
        Self { pixels: Box::new([0; TILE_PIXELS]), length: 0 }
    }
}

impl TileBuffer {
    /// Takes the pixels of `area`, which is no larger than a tile, out of a picture of `width`.
    pub(crate) fn gather(&mut self, picture: &[u32], width: usize, area: Area) -> &[u32] {
        self.length = area.pixels();
        for (row, out) in self.pixels[..self.length].chunks_exact_mut(area.width).enumerate() {
            let start = (area.y + row) * width + area.x;
            out.copy_from_slice(&picture[start..start + area.width]);
        }
        &self.pixels[..self.length]
    }
}

/// The encoder's side: which slot holds what, by hash.
pub(crate) struct Seen {
    seed: u64,
    slots: HashMap<u128, u16>,
    /// What each slot holds, in slot order.
    hashes: Vec<u128>,
    next: usize,
    bytes: Vec<u8>,
}

impl Seen {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, slots: HashMap::new(), hashes: Vec::new(), next: 0, bytes: Vec::new() }
    }

    pub(crate) fn clear(&mut self) {
        self.slots.clear();
        self.hashes.clear();
        self.next = 0;
    }

    /// The name of a tile's content. Tiles of other sizes have other names.
    pub(crate) fn name(&mut self, pixels: &[u32], width: usize) -> u128 {
        self.bytes.clear();
        self.bytes.extend(pixels.iter().flat_map(|pixel| pixel.to_le_bytes()));
        xxh3_128_with_seed(&self.bytes, self.seed ^ (width as u64) << 56)
    }

    pub(crate) fn slot(&self, name: u128) -> Option<usize> {
        self.slots.get(&name).map(|&slot| slot.into())
    }

    /// Puts a tile in the next slot, as the decoder does at the same operation.
    pub(crate) fn store(&mut self, name: u128) {
        if let Some(&old) = self.hashes.get(self.next) {
            if self.slots.get(&old) == Some(&(self.next as u16)) {
                self.slots.remove(&old);
            }
            self.hashes[self.next] = name;
        } else {
            self.hashes.push(name);
        }
        self.slots.insert(name, self.next as u16);
        self.next = (self.next + 1) % SLOTS;
    }
}

/// The decoder's side: the tiles themselves.
#[derive(Default)]
pub(crate) struct Store {
    tiles: Vec<Tile>,
    next: usize,
}

/// A stored tile.
#[derive(Default)]
pub(crate) struct Tile {
    pub(crate) width: usize,
    pub(crate) pixels: Vec<u32>,
}

impl Store {
    /// Forgets everything but keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.next = 0;
        for tile in &mut self.tiles {
            tile.pixels.clear();
        }
    }

    pub(crate) fn tile(&self, slot: usize) -> Option<&Tile> {
        self.tiles.get(slot).filter(|tile| !tile.pixels.is_empty())
    }

    /// Puts `area` of a picture in the next slot.
    pub(crate) fn store(&mut self, picture: &[u32], width: usize, area: Area) {
        debug_assert!(area.width <= TILE && area.height <= TILE);
        if self.next == self.tiles.len() {
            self.tiles.push(Tile::default());
        }
        let tile = &mut self.tiles[self.next];
        tile.width = area.width;
        tile.pixels.clear();
        for row in area.y..area.y + area.height {
            let start = row * width + area.x;
            tile.pixels.extend_from_slice(&picture[start..start + area.width]);
        }
        self.next = (self.next + 1) % SLOTS;
    }
}
