//! Messages of the video channel: which parts of the picture come from a video stream, and that stream.
//!
//! Cells are squares of [`CELL`] pixels; those at the right and bottom edge are cut off. Sets of cells are told as runs,
//! row by row from the top left, the first run being of cells that do not belong to the set.

use crate::{FormatError, input::Input};

/// Side of a cell, in pixels.
pub const CELL: u32 = 8;
/// Longest side of a stream, in pixels.
pub const MAX_STREAM_SIDE: u16 = 3_840;
/// The most bytes of an access unit.
pub const MAX_UNIT: usize = 16 << 20;
/// The most cells that a set may be of: those of the largest picture.
const MAX_CELLS: u64 = (64 << 20) / 64 + 2 * 2_048;

const WHAT: &str = "video message";
const VERSION: u8 = 1;
const MASK: u8 = 1;
const START: u8 = 2;
const NEXT: u8 = 3;
const NEXT_WITH_CELLS: u8 = 4;
/// Bytes of a number at most.
const MAX_VARINT: usize = 5;

/// A set of cells, as runs of cells outside and inside of it in turn.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CellRuns(Vec<u32>);

impl CellRuns {
    /// The set of those that are true.
    pub fn from_cells(cells: impl IntoIterator<Item = bool>) -> Self {
        let (mut runs, mut inside) = (vec![0], false);
        for cell in cells {
            if cell != inside {
                runs.push(0);
                inside = cell;
            }
            if let Some(last) = runs.last_mut() {
                *last += 1;
            }
        }
        Self(runs)
    }

    /// How many cells there are, inside and outside.
    pub fn cells(&self) -> u64 {
        self.0.iter().map(|&run| u64::from(run)).sum()
    }

    /// Whether no cell belongs to the set.
    pub fn is_empty(&self) -> bool {
        self.ranges().next().is_none()
    }

    /// The runs of cells that belong to the set: number of the first, and of the one after the last.
    pub fn ranges(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let mut at = 0;
        self.0.iter().enumerate().filter_map(move |(number, &run)| {
            let start = at;
            at += run as usize;
            (number % 2 == 1 && run > 0).then_some(start..at)
        })
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_number(self.0.len() as u32, out);
        self.0.iter().for_each(|&run| put_number(run, out));
    }

    fn parse(input: &mut Input<'_>) -> Result<Self, FormatError> {
        let count = number(input)?;
        // Each run takes a byte at least, so no more memory is taken than there are bytes.
        let mut runs = Vec::with_capacity((count as usize).min(input.len()));
        let mut cells = 0;
        for _ in 0..count {
            let run = number(input)?;
            cells += u64::from(run);
            if cells > MAX_CELLS {
                return Err(FormatError::invalid(
                    WHAT,
                    format!("expected a set of at most {MAX_CELLS} cells, got {cells} and more"),
                ));
            }
            runs.push(run);
        }
        Ok(Self(runs))
    }
}

/// A part of the picture that is coded as video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VideoMessage<'a> {
    /// From now on the pixels of this colour within these cells of the picture show what the video has there.
    Mask {
        /// `0x00RRGGBB`.
        colour: u32,
        /// Cells of the whole picture.
        cells: CellRuns,
    },
    /// A stream begins, and the one before ends.
    Start {
        /// Left edge of its picture in the recorded one: a multiple of [`CELL`].
        x: u16,
        /// Top edge of the same.
        y: u16,
        /// Columns of its picture: even, 16 to [`MAX_STREAM_SIDE`].
        width: u16,
        /// Rows.
        height: u16,
        /// Cells of its picture that are taken over.
        cells: CellRuns,
        /// The first picture, decodable by itself: H.264, one access unit in Annex B form.
        unit: &'a [u8],
    },
    /// The stream goes on.
    Next {
        /// Cells that are taken over from now on; as before when there are none.
        cells: Option<CellRuns>,
        /// The next picture.
        unit: &'a [u8],
    },
}

impl<'a> VideoMessage<'a> {
    /// Appends the message's bytes as they stand in a fragment.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let kind = match self {
            Self::Mask { .. } => MASK,
            Self::Start { .. } => START,
            Self::Next { cells: None, .. } => NEXT,
            Self::Next { cells: Some(_), .. } => NEXT_WITH_CELLS,
        };
        out.push(VERSION << 4 | kind);
        match self {
            Self::Mask { colour, cells } => {
                out.extend(&colour.to_le_bytes()[..3]);
                cells.put(out);
            }
            Self::Start { x, y, width, height, cells, unit } => {
                [x, y, width, height].into_iter().for_each(|field| out.extend(field.to_le_bytes()));
                cells.put(out);
                out.extend(*unit);
            }
            Self::Next { cells, unit } => {
                cells.iter().for_each(|cells| cells.put(out));
                out.extend(*unit);
            }
        }
    }

    /// Reads a message; `None` for a kind or a version that this version does not know.
    ///
    /// # Errors
    /// A message of a known kind that is too short or too long, or that breaks a rule.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<Self>, FormatError> {
        let mut input = Input::new(bytes, WHAT);
        let opening = input.u8()?;
        if opening >> 4 != VERSION {
            return Ok(None);
        }
        Ok(Some(match opening & 15 {
            MASK => {
                let [blue, green, red] = input.array()?;
                let colour = u32::from_le_bytes([blue, green, red, 0]);
                let cells = CellRuns::parse(&mut input)?;
                input.end()?;
                Self::Mask { colour, cells }
            }
            START => {
                let (x, y, width, height) = (input.u16()?, input.u16()?, input.u16()?, input.u16()?);
                check_place(x, y, width, height)?;
                let cells = CellRuns::parse(&mut input)?;
                check_cells(&cells, width, height)?;
                Self::Start { x, y, width, height, cells, unit: unit(input)? }
            }
            NEXT => Self::Next { cells: None, unit: unit(input)? },
            NEXT_WITH_CELLS => {
                let cells = Some(CellRuns::parse(&mut input)?);
                Self::Next { cells, unit: unit(input)? }
            }
            _ => return Ok(None),
        }))
    }
}

/// Columns or rows of cells that so many pixels have.
pub const fn cells_across(pixels: u32) -> u32 {
    pixels.div_ceil(CELL)
}

/// Checks that a set is of as many cells as a stream's picture has.
///
/// # Errors
/// It is of another number.
pub fn check_cells(cells: &CellRuns, width: u16, height: u16) -> Result<(), FormatError> {
    let expected = u64::from(cells_across(width.into())) * u64::from(cells_across(height.into()));
    if cells.cells() == expected {
        return Ok(());
    }
    Err(FormatError::invalid(WHAT, format!("expected a set of {expected} cells, got {}", cells.cells())))
}

fn check_place(x: u16, y: u16, width: u16, height: u16) -> Result<(), FormatError> {
    let is_side = |side: u16| side.is_multiple_of(2) && (16..=MAX_STREAM_SIDE).contains(&side);
    let is_edge = |edge: u16| u32::from(edge).is_multiple_of(CELL);
    if is_side(width) && is_side(height) && is_edge(x) && is_edge(y) {
        return Ok(());
    }
    Err(FormatError::invalid(
        WHAT,
        format!(
            "expected a stream with edges at multiples of {CELL} and even sides from 16 to {MAX_STREAM_SIDE}, \
             got {width} x {height} at {x}, {y}"
        ),
    ))
}

fn unit(input: Input<'_>) -> Result<&[u8], FormatError> {
    let unit = input.rest();
    if unit.is_empty() || unit.len() > MAX_UNIT {
        return Err(FormatError::invalid(
            WHAT,
            format!("expected an access unit of 1 to {MAX_UNIT} bytes, got {}", unit.len()),
        ));
    }
    Ok(unit)
}

/// Seven bits a byte, lowest first, the top bit set in all bytes but the last.
fn put_number(mut number: u32, out: &mut Vec<u8>) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn number(input: &mut Input<'_>) -> Result<u32, FormatError> {
    let mut number = 0u64;
    for place in 0..MAX_VARINT {
        let byte = input.u8()?;
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return u32::try_from(number).map_err(|_| too_large());
        }
    }
    Err(too_large())
}

fn too_large() -> FormatError {
    FormatError::invalid(WHAT, "expected a number below 2^32, got a larger one")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn runs(text: &str) -> CellRuns {
        CellRuns::from_cells(text.chars().map(|cell| cell == '#'))
    }

    fn bytes(message: &VideoMessage<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        message.encode(&mut out);
        out
    }

    fn start(unit: &[u8]) -> VideoMessage<'_> {
        VideoMessage::Start { x: 8, y: 16, width: 16, height: 32, cells: runs("..####.#"), unit }
    }

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let mask = VideoMessage::Mask { colour: 0x0012_3456, cells: runs(".##.") };
        assert_eq!(bytes(&mask), [0x11, 0x56, 0x34, 0x12, 3, 1, 2, 1]);
        assert_eq!(
            bytes(&start(&[0, 0, 1, 7])),
            [0x12, 8, 0, 16, 0, 16, 0, 32, 0, 4, 2, 4, 1, 1, 0, 0, 1, 7]
        );
        assert_eq!(bytes(&VideoMessage::Next { cells: None, unit: &[9] }), [0x13, 9]);
        let long = CellRuns::from_cells([true; 300]);
        assert_eq!(bytes(&VideoMessage::Next { cells: Some(long), unit: &[9] }), [0x14, 2, 0, 0xac, 2, 9]);
    }

    #[test]
    fn messages_read_back() {
        for message in [
            VideoMessage::Mask { colour: 0xff_ffff, cells: runs("#.#") },
            VideoMessage::Mask { colour: 0, cells: runs("") },
            start(&[1; 50]),
            VideoMessage::Next { cells: None, unit: &[5] },
            VideoMessage::Next { cells: Some(runs("##")), unit: &[5] },
        ] {
            assert_eq!(VideoMessage::parse(&bytes(&message)).unwrap(), Some(message));
        }
        assert_eq!(runs("..####.#").ranges().collect::<Vec<_>>(), [2..6, 7..8]);
        assert!(runs("...").is_empty() && !runs("..#").is_empty());
    }

    #[test]
    fn wrong_messages_are_refused_and_later_ones_ignored() {
        assert_eq!(VideoMessage::parse(&[0x23]).unwrap(), None);
        assert_eq!(VideoMessage::parse(&[0x15, 1]).unwrap(), None);
        let whole = bytes(&start(&[1]));
        for length in 0..whole.len() {
            assert!(VideoMessage::parse(&whole[..length]).is_err(), "{length}");
        }
        for (at, wrong) in [(1, 9), (3, 4), (5, 17), (5, 8), (6, 0xff), (9, 3), (11, 9), (10, 0xff)] {
            let mut bytes = whole.clone();
            bytes[at] = wrong;
            assert!(VideoMessage::parse(&bytes).is_err(), "{at}");
        }
        // Runs of more cells than there can be, and numbers that do not fit.
        assert!(VideoMessage::parse(&[0x11, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff, 0xf, 1]).is_err());
        assert!(VideoMessage::parse(&[0x11, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).is_err());
        assert!(VideoMessage::parse(&[0x11, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xf]).is_err());
        assert!(VideoMessage::parse(&[0x11, 0, 0, 0, 1, 1, 1]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64), kind in 0x10u8..0x16) {
            let mut bytes = bytes;
            bytes.insert(0, kind);
            if let Ok(Some(message)) = VideoMessage::parse(&bytes) {
                let mut again = Vec::new();
                message.encode(&mut again);
                prop_assert_eq!(VideoMessage::parse(&again).unwrap(), Some(message));
            }
        }

        #[test]
        fn any_set_reads_back(cells in prop::collection::vec(any::<bool>(), 0..400)) {
            let runs = CellRuns::from_cells(cells.iter().copied());
            let mut back = vec![false; cells.len()];
            runs.ranges().for_each(|range| back[range].fill(true));
            prop_assert_eq!(back, cells);
        }
    }
}
