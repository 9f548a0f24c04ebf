//! Messages of the cursor channel. The pointer is never part of the picture.

use crate::{FormatError, input::Input};

/// The most columns or rows a pointer's shape may have.
pub const MAX_SHAPE: u16 = 512;

const WHAT: &str = "pointer message";
const PLACE: u8 = 0;
const SHAPE: u8 = 1;

/// Where the pointer is or what it looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CursorMessage {
    /// Where its hot spot is, in pixels of the picture.
    Place {
        /// Column; may lie outside the picture.
        x: i32,
        /// Row; may lie outside the picture.
        y: i32,
        /// Whether it is shown.
        visible: bool,
    },
    /// What it looks like from now on.
    Shape {
        /// Columns, at most [`MAX_SHAPE`].
        width: u16,
        /// Rows, at most [`MAX_SHAPE`].
        height: u16,
        /// Column of the hot spot.
        hot_x: u16,
        /// Row of the hot spot.
        hot_y: u16,
        /// `width` x `height` x 4 bytes RGBA, row by row, not premultiplied.
        rgba: Vec<u8>,
    },
}

impl CursorMessage {
    /// The message's bytes as they stand in a fragment.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Place { x, y, visible } => {
                let mut bytes = vec![PLACE];
                bytes.extend(x.to_le_bytes());
                bytes.extend(y.to_le_bytes());
                bytes.push(u8::from(*visible));
                bytes
            }
            Self::Shape { width, height, hot_x, hot_y, rgba } => {
                let mut bytes = vec![SHAPE];
                for field in [width, height, hot_x, hot_y] {
                    bytes.extend(field.to_le_bytes());
                }
                bytes.extend(rgba);
                bytes
            }
        }
    }

    /// Reads a message; `None` for a kind that this version does not know.
    ///
    /// # Errors
    /// A message of a known kind that is too short, too long, or whose shape is larger than [`MAX_SHAPE`].
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, FormatError> {
        let mut input = Input::new(bytes, WHAT);
        match input.u8()? {
            PLACE => {
                let (x, y, visible) = (input.i32()?, input.i32()?, input.u8()?);
                input.end()?;
                Ok(Some(Self::Place { x, y, visible: visible != 0 }))
            }
            SHAPE => {
                let (width, height, hot_x, hot_y) = (input.u16()?, input.u16()?, input.u16()?, input.u16()?);
                if width > MAX_SHAPE || height > MAX_SHAPE {
                    return Err(FormatError::invalid(
                        WHAT,
                        format!(
                            "expected a shape of at most {MAX_SHAPE} x {MAX_SHAPE}, got {width} x {height}"
                        ),
                    ));
                }
                let rgba = input.take(usize::from(width) * usize::from(height) * 4)?.to_vec();
                input.end()?;
                Ok(Some(Self::Shape { width, height, hot_x, hot_y, rgba }))
            }
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_go_both_ways() {
        let place = CursorMessage::Place { x: -3, y: 70_000, visible: true };
        assert_eq!(place.encode(), [0, 0xfd, 0xff, 0xff, 0xff, 0x70, 0x11, 1, 0, 1]);
        let shape = CursorMessage::Shape { width: 2, height: 1, hot_x: 1, hot_y: 0, rgba: (0..8).collect() };
        assert_eq!(shape.encode(), [1, 2, 0, 1, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7]);
        for message in [place, shape] {
            assert_eq!(CursorMessage::parse(&message.encode()).unwrap(), Some(message));
        }
    }

    #[test]
    fn short_long_and_large_ones_are_refused_and_unknown_ones_passed_over() {
        let place = CursorMessage::Place { x: 0, y: 0, visible: false }.encode();
        assert!(CursorMessage::parse(&place[..9]).is_err());
        assert!(CursorMessage::parse(&[place, vec![0]].concat()).is_err());
        assert!(CursorMessage::parse(&[1, 1, 2, 1, 2, 0, 0, 0, 0]).is_err());
        assert!(CursorMessage::parse(&[]).is_err());
        assert_eq!(CursorMessage::parse(&[2, 1]).unwrap(), None);
    }
}
