//! How a packet is laid out: kind, size, and streams of bytes of the same nature, so that zstd sees like beside like.

use crate::error::DecodeError;
use crate::geometry::Grid;

/// What a packet rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PacketKind {
    /// Nothing. Its result is kept as the anchor state.
    Anchor,
    /// The anchor state.
    Key,
    /// The state after the packet before it.
    Delta,
}

impl PacketKind {
    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Anchor => 0x11,
            Self::Key => 0x12,
            Self::Delta => 0x13,
        }
    }
}

/// The kind of a packet, from its first byte.
///
/// # Errors
/// `Truncated` for no bytes at all, `Kind` when it is no packet of this version.
pub fn packet_kind(packet: &[u8]) -> Result<PacketKind, DecodeError> {
    match packet.first() {
        None => Err(DecodeError::Truncated { needed: 1 }),
        Some(0x11) => Ok(PacketKind::Anchor),
        Some(0x12) => Ok(PacketKind::Key),
        Some(0x13) => Ok(PacketKind::Delta),
        Some(&actual) => Err(DecodeError::Kind { actual }),
    }
}

/// Operation codes.
pub(crate) mod op {
    pub(crate) const SAVE: u8 = 1;
    pub(crate) const COPY: u8 = 2;
    pub(crate) const LOAD: u8 = 3;
    pub(crate) const LOAD_BOX: u8 = 4;
    pub(crate) const ANCHOR: u8 = 5;
    pub(crate) const ANCHOR_BOX: u8 = 6;
    pub(crate) const FILL: u8 = 7;
    pub(crate) const SYMBOLS: u8 = 8;
    pub(crate) const PALETTE: u8 = 9;
    pub(crate) const PALETTE_BOX: u8 = 10;
    pub(crate) const RESIDUAL: u8 = 11;
    pub(crate) const RESIDUAL_BOX: u8 = 12;
}

/// Bits of a residual's mode.
pub(crate) mod mode {
    /// Red and blue are given as differences from green.
    pub(crate) const APART: u8 = 1;
    /// The planes are differences from what the picture has at that place.
    pub(crate) const OVER: u8 = 2;
    /// From this bit on, two bits: the number of the matrix, 0 for none.
    pub(crate) const MATRIX: u32 = 2;
}

/// Stream numbers.
pub(crate) mod stream {
    pub(crate) const OPS: usize = 0;
    pub(crate) const FILL: usize = 1;
    pub(crate) const COLOURS: usize = 2;
    pub(crate) const SYMBOL_LOW: usize = 3;
    pub(crate) const SYMBOL_HIGH: usize = 4;
    pub(crate) const SYMBOL_X: usize = 5;
    pub(crate) const SYMBOL_Y: usize = 6;
    pub(crate) const SYMBOL_SIZE: usize = 7;
    pub(crate) const SYMBOL_MASK: usize = 8;
    pub(crate) const SYMBOL_G: usize = 9;
    pub(crate) const SYMBOL_R: usize = 10;
    pub(crate) const SYMBOL_B: usize = 11;
    pub(crate) const PALETTE: usize = 12;
    pub(crate) const INDEX_BITS: usize = 13;
    pub(crate) const INDEX_BYTES: usize = 14;
    pub(crate) const TABLES: usize = 15;
    pub(crate) const CODED: usize = 16;
    pub(crate) const PLAIN: usize = 17;
    pub(crate) const WRONG: usize = 18;
    /// All streams.
    pub(crate) const COUNT: usize = 19;
}

/// Code of a fill run that leaves its rows alone, in place of a colour.
pub(crate) const FILL_NONE: u8 = 254;
/// Code of a colour that follows literally.
pub(crate) const COLOUR_LITERAL: u8 = 255;
/// Colours that a packet's table can hold.
pub(crate) const COLOUR_TABLE: usize = 254;
/// Symbols that the state can hold.
pub(crate) const SYMBOLS: usize = 8192;
/// Symbols that an anchor may store; they stay until the next anchor.
pub(crate) const ANCHOR_SYMBOLS: usize = SYMBOLS / 2;
/// Largest side of a symbol.
pub(crate) const SYMBOL_SIDE: usize = 64;
/// Most pixels in a symbol's box.
pub(crate) const SYMBOL_AREA: usize = 1024;
/// Symbol code for "defined here and stored".
pub(crate) const SYMBOL_NEW: usize = 0;
/// Symbol code for "defined here, not stored".
pub(crate) const SYMBOL_ONCE: usize = 0xffff;
/// Most saved tiles.
pub(crate) const MAX_SLOTS: usize = 2048;

/// Saved tiles that the state holds for a picture of this size: four pictures' worth, at most `MAX_SLOTS`.
pub(crate) fn slots(grid: &Grid) -> usize {
    (grid.tiles() * 4).min(MAX_SLOTS)
}

/// The bound of pixels touched and of table slots filled by one packet: what an encoder needs, rounded up amply, so that no packet
/// can ask for work without end.
pub(crate) fn work_limit(grid: &Grid) -> u64 {
    grid.tiles() as u64 * 4096 * 32 + (1 << 20)
}

/// Appends an unsigned number, seven bits a byte, lowest first.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number, small magnitudes short.
pub(crate) fn put_signed(out: &mut Vec<u8>, value: i32) {
    put_varint(out, ((value << 1) ^ (value >> 31)) as u32);
}

/// The streams of a packet while it is written.
pub(crate) struct Writer {
    streams: Vec<Vec<u8>>,
    tile: usize,
    colours: Vec<u32>,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self { streams: vec![Vec::new(); stream::COUNT], tile: 0, colours: Vec::new() }
    }

    /// Starts a new packet. Large buffers of an anchor are given back.
    pub(crate) fn clear(&mut self) {
        for s in &mut self.streams {
            s.clear();
            s.shrink_to(64 << 10);
        }
        self.tile = 0;
        self.colours.clear();
    }

    /// One stream, to append to.
    pub(crate) fn stream(&mut self, index: usize) -> &mut Vec<u8> {
        &mut self.streams[index]
    }

    /// Appends an operation on a tile.
    pub(crate) fn op(&mut self, code: u8, tile: usize) {
        let ops = &mut self.streams[stream::OPS];
        ops.push(code);
        put_signed(ops, tile as i32 - self.tile as i32);
        self.tile = tile;
    }

    /// Appends a colour's code to stream `to`.
    pub(crate) fn colour(&mut self, to: usize, colour: u32) {
        if let Some(at) = self.colours.iter().position(|&c| c == colour) {
            self.streams[to].push(at as u8);
            return;
        }
        self.streams[to].push(COLOUR_LITERAL);
        self.streams[stream::COLOURS].extend_from_slice(&colour.to_le_bytes()[..3]);
        if self.colours.len() < COLOUR_TABLE {
            self.colours.push(colour);
        }
    }

    /// Appends the whole packet to `out`; the size is given for an anchor only.
    pub(crate) fn finish(&self, kind: PacketKind, size: Option<(usize, usize)>, out: &mut Vec<u8>) {
        out.push(kind.byte());
        if let Some((width, height)) = size {
            put_varint(out, width as u32);
            put_varint(out, height as u32);
        }
        let used = |s: &&Vec<u8>| !s.is_empty();
        let mask =
            self.streams.iter().enumerate().filter(|(_, s)| used(s)).fold(0u32, |m, (i, _)| m | 1 << i);
        put_varint(out, mask);
        for s in self.streams.iter().filter(used) {
            put_varint(out, s.len() as u32);
        }
        for s in &self.streams {
            out.extend_from_slice(s);
        }
    }
}

/// A piece of a packet being read.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn len(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(n)
            .ok_or_else(|| DecodeError::Truncated { needed: n - self.rest.len() })?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        let (&first, rest) = self.rest.split_first().ok_or(DecodeError::Truncated { needed: 1 })?;
        self.rest = rest;
        Ok(first)
    }

    /// What has not been read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn varint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let b = self.byte()?;
            value |= u64::from(b & 0x7f) << shift;
            if b < 0x80 {
                return u32::try_from(value).map_err(|_| range("number", value, 1 << 32));
            }
        }
        Err(range("number", u64::MAX, 1 << 32))
    }

    pub(crate) fn signed(&mut self) -> Result<i32, DecodeError> {
        let v = self.varint()?;
        Ok((v >> 1) as i32 ^ -((v & 1) as i32))
    }
}

/// The error for a value outside of its range.
pub(crate) fn range(what: &'static str, actual: u64, limit: u64) -> DecodeError {
    DecodeError::Range { what, actual, limit }
}

/// The head of a packet.
pub(crate) struct Head<'a> {
    pub(crate) kind: PacketKind,
    /// Width and height, of an anchor only.
    pub(crate) size: Option<(u32, u32)>,
    pub(crate) streams: Streams<'a>,
}

/// The streams of a packet while it is read.
pub(crate) struct Streams<'a> {
    cursors: [Cursor<'a>; stream::COUNT],
    tile: usize,
    colours: Vec<u32>,
}

impl<'a> Streams<'a> {
    pub(crate) fn get(&mut self, index: usize) -> &mut Cursor<'a> {
        &mut self.cursors[index]
    }

    /// Reads which tile an operation means.
    pub(crate) fn tile(&mut self, tiles: usize) -> Result<usize, DecodeError> {
        let step = self.cursors[stream::OPS].signed()?;
        let tile = self.tile as i64 + i64::from(step);
        match usize::try_from(tile) {
            Ok(t) if t < tiles => {
                self.tile = t;
                Ok(t)
            }
            _ => Err(range("tile", tile as u64, tiles as u64)),
        }
    }

    /// Reads a colour whose code stands in stream `from`; `None` for the code `FILL_NONE`.
    pub(crate) fn colour(&mut self, from: usize) -> Result<Option<u32>, DecodeError> {
        match self.cursors[from].byte()? {
            FILL_NONE => Ok(None),
            COLOUR_LITERAL => {
                let b = self.cursors[stream::COLOURS].take(3)?;
                let c = u32::from_le_bytes([b[0], b[1], b[2], 0]);
                if self.colours.len() < COLOUR_TABLE {
                    self.colours.push(c);
                }
                Ok(Some(c))
            }
            code => match self.colours.get(usize::from(code)) {
                Some(&c) => Ok(Some(c)),
                None => Err(range("colour", u64::from(code), self.colours.len() as u64)),
            },
        }
    }

    /// Whether the operations have used up every stream.
    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        match self.cursors.iter().position(|c| c.len() > 0) {
            Some(stream) => Err(DecodeError::LeftOver { stream, extra: self.cursors[stream].len() }),
            None => Ok(()),
        }
    }
}

/// What the head of a packet says of its length and those of its streams.
pub(crate) struct Lengths {
    /// Bytes before the first stream.
    pub(crate) bytes: usize,
    pub(crate) lengths: [usize; stream::COUNT],
}

/// Reads the head alone from the front of `bytes`.
pub(crate) fn read_lengths(bytes: &[u8]) -> Result<Lengths, DecodeError> {
    let kind = packet_kind(bytes)?;
    let mut cursor = Cursor::new(&bytes[1..]);
    if kind == PacketKind::Anchor {
        cursor.varint()?;
        cursor.varint()?;
    }
    let mask = cursor.varint()?;
    if mask >> stream::COUNT != 0 {
        return Err(DecodeError::Reserved { what: "stream", actual: mask.ilog2() });
    }
    let mut lengths = [0; stream::COUNT];
    for (i, length) in lengths.iter_mut().enumerate() {
        if mask >> i & 1 != 0 {
            *length = cursor.varint()? as usize;
        }
    }
    Ok(Lengths { bytes: bytes.len() - cursor.len(), lengths })
}

/// Reads the head of a packet and finds its streams.
pub(crate) fn read_head(packet: &[u8]) -> Result<Head<'_>, DecodeError> {
    let kind = packet_kind(packet)?;
    let mut cursor = Cursor::new(&packet[1..]);
    let size = match kind {
        PacketKind::Anchor => Some((cursor.varint()?, cursor.varint()?)),
        _ => None,
    };
    let mask = cursor.varint()?;
    if mask >> stream::COUNT != 0 {
        return Err(DecodeError::Reserved { what: "stream", actual: mask.ilog2() });
    }
    let mut lengths = [0usize; stream::COUNT];
    for (i, length) in lengths.iter_mut().enumerate() {
        if mask >> i & 1 != 0 {
            *length = cursor.varint()? as usize;
        }
    }
    let mut cursors = [Cursor::default(); stream::COUNT];
    for (c, length) in cursors.iter_mut().zip(lengths) {
        *c = Cursor::new(cursor.take(length)?);
    }
    match cursor.len() {
        0 => Ok(Head { kind, size, streams: Streams { cursors, tile: 0, colours: Vec::new() } }),
        extra => Err(DecodeError::LeftOver { stream: stream::COUNT, extra }),
    }
}
