//! Frames: a 32-bit little-endian length, then that many bytes.

use bytes::{Buf, Bytes, BytesMut};

/// Bytes of the length before a frame.
pub const PREFIX: usize = 4;

/// Most bytes in a frame between an enrolled agent and a server: one fragment of the largest size, and its envelope.
pub const MAX_FRAME: usize = (66 << 20) + 1024;

/// A frame longer than the reader takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a frame of at most {most} bytes, got one of {actual}")]
pub struct FrameError {
    most: usize,
    actual: usize,
}

/// Takes the next whole frame off the front of `buffer`, or leaves it untouched when more bytes are needed.
///
/// # Errors
/// A length over `most`; nothing after it on the stream can be understood.
pub fn take(buffer: &mut BytesMut, most: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(prefix) = buffer.first_chunk::<PREFIX>() else { return Ok(None) };
    let length = u32::from_le_bytes(*prefix) as usize;
    if length > most {
        return Err(FrameError { most, actual: length });
    }
    if buffer.len() < PREFIX + length {
        buffer.reserve(PREFIX + length - buffer.len());
        return Ok(None);
    }
    buffer.advance(PREFIX);
    Ok(Some(buffer.split_to(length).freeze()))
}

/// The prefix for a frame of `length` bytes.
///
/// # Errors
/// A length over [`MAX_FRAME`].
pub fn prefix(length: usize) -> Result<[u8; PREFIX], FrameError> {
    match u32::try_from(length) {
        Ok(short) if length <= MAX_FRAME => Ok(short.to_le_bytes()),
        _ => Err(FrameError { most: MAX_FRAME, actual: length }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_overlong_frame_is_refused_before_its_bytes_come() {
        let mut buffer = BytesMut::from(&u32::MAX.to_le_bytes()[..]);
        let error = take(&mut buffer, 100).unwrap_err();
        assert_eq!(error.to_string(), "expected a frame of at most 100 bytes, got one of 4294967295");
    }

    proptest! {
        #[test]
        fn frames_survive_any_cutting(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
                                      cut in 1usize..9) {
            let mut stream = Vec::new();
            for frame in &frames {
                stream.extend(prefix(frame.len()).unwrap());
                stream.extend(frame);
            }
            let mut buffer = BytesMut::new();
            let mut read = Vec::new();
            for piece in stream.chunks(cut) {
                buffer.extend_from_slice(piece);
                while let Some(frame) = take(&mut buffer, 64).unwrap() {
                    read.push(frame.to_vec());
                }
            }
            prop_assert_eq!(read, frames);
            prop_assert!(buffer.is_empty());
        }
    }
}
