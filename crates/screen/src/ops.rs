//! The operations of a packet: copies, and what is done to tiles.

use crate::{
    DecodeError,
    grid::{Area, Grid},
    packet::Bytes,
    pixels::Predictor,
};

/// Set when the operation is for the whole tile; otherwise four bytes tell the area.
const WHOLE: u8 = 8;
const PREDICTOR_SHIFT: u8 = 4;
const RELATIVE: u8 = 0x40;
/// Set when the tile goes into the ring after the operation.
pub(crate) const STORE: u8 = 0x80;

/// What is done to a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One colour.
    Solid,
    /// Few colours.
    Palette,
    /// What a prediction from the pixels around leaves.
    Spatial,
    /// The difference to what stands there.
    Temporal,
    /// A whole tile from the ring.
    Seen,
    /// What stands there in the anchor.
    Anchor,
}

impl Mode {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Solid => 0,
            Self::Palette => 1,
            Self::Spatial => 2,
            Self::Temporal => 3,
            Self::Seen => 4,
            Self::Anchor => 5,
        }
    }
}

/// An operation's first byte, taken apart.
pub(crate) struct Op {
    pub(crate) mode: Mode,
    pub(crate) store: bool,
    pub(crate) predictor: Predictor,
    pub(crate) relative: bool,
    /// The area it is for, in the picture.
    pub(crate) area: Area,
}

pub(crate) fn predictor_flags(predictor: Predictor, relative: bool) -> u8 {
    let number = Predictor::ALL.iter().position(|&other| other == predictor).unwrap_or_default() as u8;
    number << PREDICTOR_SHIFT | if relative { RELATIVE } else { 0 }
}

/// Appends an operation and its area.
pub(crate) fn put(mode: Mode, flags: u8, tile: Area, area: Area, out: &mut Vec<u8>) {
    let whole = if area == tile { WHOLE } else { 0 };
    out.push(mode.code() | flags | whole);
    if area != tile {
        // A tile's side is 64, so each fits a byte.
        for number in [area.x - tile.x, area.y - tile.y, area.width - 1, area.height - 1] {
            out.push(number as u8);
        }
    }
}

impl Op {
    /// Reads an operation and its area.
    pub(crate) fn read(bytes: &mut Bytes<'_>, tile: Area) -> Result<Self, DecodeError> {
        let code = bytes.byte()?;
        let mode = match code & 7 {
            0 => Mode::Solid,
            1 => Mode::Palette,
            2 => Mode::Spatial,
            3 => Mode::Temporal,
            4 => Mode::Seen,
            5 => Mode::Anchor,
            other => return Err(DecodeError::Mode(other)),
        };
        let is_whole = code & WHOLE != 0 || mode == Mode::Seen;
        let area = if is_whole { tile } else { part(bytes.take(4)?, tile)? };
        let predictor = Predictor::ALL[usize::from(code >> PREDICTOR_SHIFT & 3)];
        Ok(Self { mode, store: code & STORE != 0, predictor, relative: code & RELATIVE != 0, area })
    }
}

fn part(bytes: &[u8], tile: Area) -> Result<Area, DecodeError> {
    let [x, y, width, height] = [0, 1, 2, 3].map(|at| usize::from(bytes[at]));
    let (width, height) = (width + 1, height + 1);
    if x + width > tile.width || y + height > tile.height {
        return Err(DecodeError::Area);
    }
    Ok(Area { x: tile.x + x, y: tile.y + y, width, height })
}

/// A rectangle that stood elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Copy {
    pub(crate) to: Area,
    pub(crate) from_x: usize,
    pub(crate) from_y: usize,
}

/// Reads the copies of a packet. Together they cover no more than the picture.
pub(crate) fn read_copies(bytes: &mut Bytes<'_>, grid: Grid, out: &mut Vec<Copy>) -> Result<(), DecodeError> {
    out.clear();
    let (count, mut left) = (bytes.varint()?, grid.pixels());
    for _ in 0..count {
        let [x, y, width, height] = {
            let mut next = || bytes.varint().map(|number| number.min(1 << 20) as usize);
            [next()?, next()?, next()? + 1, next()? + 1]
        };
        let (dx, dy) = (bytes.signed()?, bytes.signed()?);
        let from = |to: usize, by: i64, length: usize, most: usize| {
            let from = usize::try_from((to as i64).saturating_sub(by)).ok()?;
            (to + length <= most && from.checked_add(length)? <= most).then_some(from)
        };
        let from_x = from(x, dx, width, grid.width).ok_or(DecodeError::Area)?;
        let from_y = from(y, dy, height, grid.height).ok_or(DecodeError::Area)?;
        left = left.checked_sub(width * height).ok_or(DecodeError::Copies)?;
        out.push(Copy { to: Area { x, y, width, height }, from_x, from_y });
    }
    Ok(())
}

/// Does all copies at once: every one reads the picture as it was before the first.
pub(crate) fn apply(copies: &[Copy], picture: &mut [u32], width: usize, moved: &mut Vec<u32>) {
    moved.clear();
    for Copy { to, from_x, from_y } in copies {
        for row in 0..to.height {
            let from = (from_y + row) * width + from_x;
            moved.extend_from_slice(&picture[from..from + to.width]);
        }
    }
    let mut rest = &moved[..];
    for Copy { to, .. } in copies {
        for row in 0..to.height {
            let (line, after) = rest.split_at(to.width);
            let at = (to.y + row) * width + to.x;
            picture[at..at + to.width].copy_from_slice(line);
            rest = after;
        }
    }
}
