//! Packets in, pictures out.

use crate::{
    PacketKind, Rect,
    cache::Store,
    grid::Grid,
    ops::{self, Copy, Mode, Op},
    packet::{Packet, packet_kind},
    pixels,
};

/// A packet that cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It ends too early.
    #[error("the packet ends too early")]
    Short,
    /// Another version of the layout.
    #[error("expected a packet of version {expected}, got version {actual}: use a newer player")]
    Version {
        /// What this decoder reads.
        expected: u8,
        /// What the packet says.
        actual: u8,
    },
    /// An unknown kind of packet.
    #[error("expected an anchor, a key or a delta (1 to 3), got kind {0}")]
    Kind(u8),
    /// A number that is too long.
    #[error("a number of more than 35 bits")]
    Number,
    /// A side of no possible length.
    #[error("expected a side of 1 to {max} pixels, got {0}", max = crate::MAX_SIDE)]
    Side(u64),
    /// Too large a picture, or another size than the anchor's.
    #[error(
        "a picture of {width}x{height} is too large, larger than the packet can fill, or not of the anchor's size"
    )]
    Size {
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
    },
    /// Bytes behind the last section or operation.
    #[error("{0} bytes too many")]
    Rest(usize),
    /// Nothing to apply the packet to: an anchor, or a key frame after its anchor, is needed.
    #[error("the packet needs an anchor or key frame before it")]
    NoState,
    /// An unknown operation.
    #[error("unknown tile operation {0}: use a newer player")]
    Mode(u8),
    /// An area outside its tile or the picture.
    #[error("an area outside the picture")]
    Area,
    /// Copies of more pixels than there are.
    #[error("copies of more pixels than the picture has")]
    Copies,
    /// Tiles behind the last.
    #[error("an operation behind the last tile")]
    Tile,
    /// An anchor that leaves tiles out.
    #[error("an anchor that leaves tiles out")]
    Gap,
    /// Too many colours.
    #[error("a palette of {0} colours")]
    Palette(usize),
    /// An index behind the palette's end.
    #[error("a colour that the palette does not have")]
    Index,
    /// A reference to a tile that was never stored.
    #[error("a reference to a tile that was not stored")]
    Slot,
}

/// The decoder. After an error it refuses deltas until the next key frame or anchor.
#[derive(Default)]
pub struct Decoder {
    grid: Grid,
    picture: Vec<u32>,
    anchor: Vec<u32>,
    store: Store,
    /// Whether the picture is what the last packet made it.
    is_sound: bool,
    /// Which tiles changed.
    dirty: Vec<bool>,
    rects: Vec<Rect>,
    copies: Vec<Copy>,
    moved: Vec<u32>,
}

impl Decoder {
    /// A decoder without a picture.
    pub fn new() -> Self {
        Self::default()
    }

    /// Width of the picture, 0 before the first anchor.
    pub fn width(&self) -> u32 {
        self.grid.width as u32
    }

    /// Height of the picture.
    pub fn height(&self) -> u32 {
        self.grid.height as u32
    }

    /// The picture, row by row, `0x00RRGGBB`.
    pub fn pixels(&self) -> &[u32] {
        &self.picture
    }

    /// Applies a packet; tells what changed: the whole picture after an anchor or a key frame.
    ///
    /// # Errors
    /// A malformed packet, or one whose state is missing. The picture is then undefined, and the decoder takes anchors and, if it holds an
    /// anchor, key frames again.
    pub fn decode(&mut self, packet: &[u8]) -> Result<&[Rect], DecodeError> {
        let was_sound = std::mem::take(&mut self.is_sound);
        if packet_kind(packet)? == PacketKind::Delta && !was_sound {
            return Err(DecodeError::NoState);
        }
        self.apply(packet)?;
        self.is_sound = true;
        Ok(&self.rects)
    }

    fn apply(&mut self, packet: &[u8]) -> Result<(), DecodeError> {
        let packet = Packet::read(packet)?;
        let grid = Grid::new(packet.width, packet.height);
        let wrong_size = DecodeError::Size { width: packet.width, height: packet.height };
        match packet.kind {
            // Every tile of an anchor takes at least two bytes, so a few bytes cannot ask for a lot of memory.
            PacketKind::Anchor if packet.ops.len() < grid.tiles() * 2 => return Err(wrong_size),
            PacketKind::Anchor => {
                self.grid = grid;
                self.anchor = Vec::new();
                self.store.clear();
                self.picture.clear();
                self.picture.resize(grid.pixels(), 0);
            }
            PacketKind::Key if self.anchor.is_empty() => return Err(DecodeError::NoState),
            _ if grid != self.grid => return Err(wrong_size),
            PacketKind::Key => {
                self.store.clear();
                self.picture.copy_from_slice(&self.anchor);
            }
            PacketKind::Delta => {}
        }
        self.dirty.clear();
        self.dirty.resize(grid.tiles(), packet.kind != PacketKind::Delta);
        let is_anchor = packet.kind == PacketKind::Anchor;
        self.operations(packet)?;
        if is_anchor {
            self.anchor.clone_from(&self.picture);
        }
        grid.cover(&self.dirty, &mut self.rects);
        Ok(())
    }

    fn operations(&mut self, packet: Packet<'_>) -> Result<(), DecodeError> {
        let grid = self.grid;
        let Packet { kind, mut ops, mut colours, mut indices, mut planes, .. } = packet;
        ops::read_copies(&mut ops, grid, &mut self.copies)?;
        ops::apply(&self.copies, &mut self.picture, grid.width, &mut self.moved);
        for Copy { to, .. } in &self.copies {
            let rect =
                Rect { x: to.x as u32, y: to.y as u32, width: to.width as u32, height: to.height as u32 };
            let (columns, rows) = grid.touched(&rect);
            rows.for_each(|row| self.dirty[row * grid.columns..][columns.clone()].fill(true));
        }
        let mut index = 0usize;
        while !ops.is_empty() {
            let gap = ops.varint()?;
            if kind == PacketKind::Anchor && gap > 0 {
                return Err(DecodeError::Gap);
            }
            index =
                usize::try_from(gap).ok().and_then(|gap| index.checked_add(gap)).ok_or(DecodeError::Tile)?;
            if index >= grid.tiles() {
                return Err(DecodeError::Tile);
            }
            let tile = grid.tile(index);
            let op = Op::read(&mut ops, tile)?;
            let (picture, width, area) = (&mut self.picture[..], grid.width, op.area);
            match op.mode {
                Mode::Solid => {
                    let colour = colours.colour()?;
                    for y in area.y..area.y + area.height {
                        picture[y * width + area.x..][..area.width].fill(colour);
                    }
                }
                Mode::Palette => {
                    let count = ops.byte()?;
                    pixels::read_palette(count, &mut colours, &mut indices, picture, width, area)?;
                }
                Mode::Spatial => {
                    pixels::read_spatial(&mut planes, picture, width, area, op.predictor, op.relative)?;
                }
                Mode::Temporal => pixels::read_temporal(&mut planes, picture, width, area)?,
                Mode::Seen => {
                    let slot = usize::try_from(ops.varint()?).map_err(|_| DecodeError::Slot)?;
                    let stored = self.store.tile(slot).ok_or(DecodeError::Slot)?;
                    if stored.width != area.width || stored.pixels.len() != area.pixels() {
                        return Err(DecodeError::Slot);
                    }
                    for (row, line) in stored.pixels.chunks_exact(area.width).enumerate() {
                        picture[(area.y + row) * width + area.x..][..area.width].copy_from_slice(line);
                    }
                }
                Mode::Anchor if self.anchor.is_empty() => return Err(DecodeError::NoState),
                Mode::Anchor => {
                    for y in area.y..area.y + area.height {
                        let at = y * width + area.x;
                        picture[at..at + area.width].copy_from_slice(&self.anchor[at..at + area.width]);
                    }
                }
            }
            if op.store {
                self.store.store(&self.picture, width, tile);
            }
            self.dirty[index] = true;
            index += 1;
        }
        if kind == PacketKind::Anchor && index < grid.tiles() {
            return Err(DecodeError::Gap);
        }
        colours.finished()?;
        indices.finished()?;
        planes.iter().try_for_each(|plane| plane.finished())
    }
}
