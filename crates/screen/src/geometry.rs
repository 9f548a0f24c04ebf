//! Pictures, rectangles and the tile grid laid over them.

/// Longest side of a picture, in pixels.
pub const MAX_SIDE: u32 = 16_384;
/// Most pixels in a picture.
pub const MAX_PIXELS: usize = 64 << 20;
/// Side of a tile, in pixels. Tiles at the right and bottom edge are cut off.
pub(crate) const TILE: usize = 64;
/// Pixels in a whole tile.
pub(crate) const TILE_PIXELS: usize = TILE * TILE;
/// The part of a pixel that counts.
pub(crate) const COLOUR: u32 = 0x00ff_ffff;

/// A rectangle in pixels, from the top left corner of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rect {
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// A whole picture as X servers deliver it: rows of pixels of four bytes, blue, green, red and one that is ignored.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Bytes from one row to the next, at least four times the width.
    pub stride: usize,
    /// The rows.
    pub data: &'a [u8],
}

/// Pixels to read from, sizes already checked.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) stride: usize,
}

impl<'a> View<'a> {
    /// The bytes of `width` pixels from (x, y).
    pub(crate) fn row(&self, x: usize, y: usize, width: usize) -> &'a [u8] {
        let at = y * self.stride + x * 4;
        &self.data[at..at + width * 4]
    }
}

/// A pixel's colour from its four bytes.
pub(crate) fn colour(bytes: [u8; 4]) -> u32 {
    u32::from_le_bytes(bytes) & COLOUR
}

/// A box of pixels, in pixels of the picture or of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Area {
    pub(crate) x: usize,
    pub(crate) y: usize,
    pub(crate) w: usize,
    pub(crate) h: usize,
}

/// The tiles of a picture, numbered by rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) cols: usize,
    pub(crate) rows: usize,
}

impl Grid {
    /// The grid of a picture, or `None` when the size is not allowed.
    pub(crate) fn new(width: u64, height: u64) -> Option<Self> {
        let side = 1..=u64::from(MAX_SIDE);
        if !side.contains(&width) || !side.contains(&height) || width * height > MAX_PIXELS as u64 {
            return None;
        }
        let (width, height) = (width as usize, height as usize);
        Some(Self { width, height, cols: width.div_ceil(TILE), rows: height.div_ceil(TILE) })
    }

    /// Number of tiles.
    pub(crate) fn tiles(&self) -> usize {
        self.cols * self.rows
    }

    /// Number of pixels.
    pub(crate) fn pixels(&self) -> usize {
        self.width * self.height
    }

    /// Where tile `index` lies.
    pub(crate) fn area(&self, index: usize) -> Area {
        let (x, y) = (index % self.cols * TILE, index / self.cols * TILE);
        Area { x, y, w: TILE.min(self.width - x), h: TILE.min(self.height - y) }
    }
}
