//! The layout of a packet: a kind, a size, and sections.

use crate::{DecodeError, MAX_PIXELS, MAX_SIDE};

/// Version of the layout, in the upper half of the first byte.
const VERSION: u8 = 1;
/// How many sections there are.
pub(crate) const SECTIONS: usize = 6;

/// What a packet needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PacketKind {
    /// Nothing. What it shows is kept as the anchor.
    Anchor,
    /// The anchor.
    Key,
    /// Every packet since the anchor or the key before it.
    Delta,
}

impl PacketKind {
    const fn code(self) -> u8 {
        match self {
            Self::Anchor => 1,
            Self::Key => 2,
            Self::Delta => 3,
        }
    }
}

/// Tells a packet's kind from its first byte.
///
/// # Errors
/// An empty packet, another version, an unknown kind.
pub fn packet_kind(packet: &[u8]) -> Result<PacketKind, DecodeError> {
    let &first = packet.first().ok_or(DecodeError::Short)?;
    if first >> 4 != VERSION {
        return Err(DecodeError::Version { expected: VERSION, actual: first >> 4 });
    }
    match first & 15 {
        1 => Ok(PacketKind::Anchor),
        2 => Ok(PacketKind::Key),
        3 => Ok(PacketKind::Delta),
        other => Err(DecodeError::Kind(other)),
    }
}

/// What the encoder fills and the decoder reads: each section holds what is alike, so that it compresses well.
#[derive(Debug, Default)]
pub(crate) struct Sections {
    /// Copies, then tile operations.
    pub(crate) ops: Vec<u8>,
    /// Colours of solid and palette tiles, three bytes each: B, G, R.
    pub(crate) colours: Vec<u8>,
    /// Palette indices, a byte each.
    pub(crate) indices: Vec<u8>,
    /// Residuals, a byte each, one section for each of the three planes.
    pub(crate) planes: [Vec<u8>; 3],
}

impl Sections {
    pub(crate) fn clear(&mut self) {
        for section in self.all_mut() {
            section.clear();
        }
    }

    fn all_mut(&mut self) -> [&mut Vec<u8>; SECTIONS] {
        let [first, second, third] = &mut self.planes;
        [&mut self.ops, &mut self.colours, &mut self.indices, first, second, third]
    }

    fn all(&self) -> [&Vec<u8>; SECTIONS] {
        let [first, second, third] = &self.planes;
        [&self.ops, &self.colours, &self.indices, first, second, third]
    }

    /// Bytes in all sections.
    pub(crate) fn len(&self) -> usize {
        self.all().iter().map(|section| section.len()).sum()
    }

    /// Appends the packet.
    pub(crate) fn write(&self, kind: PacketKind, width: u32, height: u32, out: &mut Vec<u8>) {
        out.push(VERSION << 4 | kind.code());
        put_varint(out, width.into());
        put_varint(out, height.into());
        for section in self.all() {
            put_varint(out, section.len() as u64);
        }
        for section in self.all() {
            out.extend_from_slice(section);
        }
    }
}

/// A packet taken apart.
pub(crate) struct Packet<'a> {
    pub(crate) kind: PacketKind,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) ops: Bytes<'a>,
    pub(crate) colours: Bytes<'a>,
    pub(crate) indices: Bytes<'a>,
    pub(crate) planes: [Bytes<'a>; 3],
}

impl<'a> Packet<'a> {
    pub(crate) fn read(packet: &'a [u8]) -> Result<Self, DecodeError> {
        let kind = packet_kind(packet)?;
        let mut bytes = Bytes(&packet[1..]);
        let (width, height) = (bytes.side()?, bytes.side()?);
        if width as usize * height as usize > MAX_PIXELS {
            return Err(DecodeError::Size { width, height });
        }
        let mut lengths = [0; SECTIONS];
        for length in &mut lengths {
            *length = usize::try_from(bytes.varint()?).map_err(|_| DecodeError::Short)?;
        }
        let mut sections = [Bytes(&[]); SECTIONS];
        for (section, length) in sections.iter_mut().zip(lengths) {
            *section = Bytes(bytes.take(length)?);
        }
        bytes.finished()?;
        let [ops, colours, indices, first, second, third] = sections;
        Ok(Self { kind, width, height, ops, colours, indices, planes: [first, second, third] })
    }
}

/// Bytes still to be read.
#[derive(Clone, Copy)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        let (&first, rest) = self.0.split_first().ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(first)
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 127) << shift;
            if byte & 128 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Number)
    }

    /// A number that is written with its sign in the lowest bit.
    pub(crate) fn signed(&mut self) -> Result<i64, DecodeError> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    pub(crate) fn colour(&mut self) -> Result<u32, DecodeError> {
        let bytes = self.take(3)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]))
    }

    pub(crate) fn finished(&self) -> Result<(), DecodeError> {
        if self.is_empty() { Ok(()) } else { Err(DecodeError::Rest(self.len())) }
    }

    fn side(&mut self) -> Result<u32, DecodeError> {
        let side = self.varint()?;
        match u32::try_from(side) {
            Ok(side) if (1..=MAX_SIDE).contains(&side) => Ok(side),
            _ => Err(DecodeError::Side(side)),
        }
    }
}

/// Appends a number, seven bits a byte, the lowest first. At most 35 bits are ever written.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 128 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a number with its sign in the lowest bit.
pub(crate) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Appends a colour.
pub(crate) fn put_colour(out: &mut Vec<u8>, colour: u32) {
    out.extend_from_slice(&colour.to_le_bytes()[..3]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back() {
        let mut out = Vec::new();
        let values = [0, 1, 127, 128, 16_383, 1 << 34];
        values.iter().for_each(|&value| put_varint(&mut out, value));
        [0, -1, 1, -16_384, 16_384].iter().for_each(|&value| put_signed(&mut out, value));
        let mut bytes = Bytes(&out);
        assert!(values.iter().all(|&value| bytes.varint().unwrap() == value));
        assert!([0, -1, 1, -16_384, 16_384].iter().all(|&value| bytes.signed().unwrap() == value));
        bytes.finished().unwrap();
        assert!(matches!(Bytes(&[255; 9]).varint(), Err(DecodeError::Number)));
    }

    #[test]
    fn other_versions_and_kinds_are_refused() {
        assert!(matches!(packet_kind(&[]), Err(DecodeError::Short)));
        assert!(matches!(packet_kind(&[0x21]), Err(DecodeError::Version { actual: 2, .. })));
        assert!(matches!(packet_kind(&[0x14]), Err(DecodeError::Kind(4))));
    }
}
