//! One zstd frame per fragment, checked before it is opened.
//!
//! The frame's own headers are read here first, so that every build (C library or pure Rust) accepts and refuses the
//! same bytes, and so that a small record cannot ask for much memory.

use crate::{FormatError, MAX_UNCOMPRESSED, dense, input::Input};

/// The most bytes a frame may refer back to: what MCAP readers and browsers can be expected to hold.
const MAX_WINDOW: u64 = 8 << 20;

/// The most bytes that one block of a frame yields.
const MAX_BLOCK: u64 = 128 << 10;

/// MCAP's names of the compressions that a fragment may have.
pub(crate) const ZSTD: &str = "zstd";
pub(crate) const NONE: &str = "";

/// Takes a chunk's records out of their compression.
pub(crate) fn unpack(
    compression: &str,
    packed: &[u8],
    uncompressed_size: u64,
) -> Result<Vec<u8>, FormatError> {
    let size = usize::try_from(uncompressed_size).unwrap_or(usize::MAX);
    if size > MAX_UNCOMPRESSED {
        return Err(FormatError::TooLarge {
            what: "fragment",
            limit: MAX_UNCOMPRESSED as u64,
            actual: uncompressed_size,
        });
    }
    match compression {
        ZSTD => {
            check_frame(packed, uncompressed_size)?;
            let records = decompress(packed, size)?;
            check_size(records.len(), uncompressed_size)?;
            Ok(records)
        }
        dense::DENSE => dense::unpack(packed, size),
        NONE => {
            check_size(packed.len(), uncompressed_size)?;
            Ok(packed.to_vec())
        }
        other => {
            let other: String = other.chars().take(16).collect();
            Err(wrong(format!("expected compression 'zstd' or none, got '{other}'")))
        }
    }
}

/// Checks that `frame` is one whole zstd frame without a dictionary that says itself that it holds `size` bytes, that its
/// blocks can, and that its window is within bounds.
fn check_frame(frame: &[u8], size: u64) -> Result<(), FormatError> {
    let mut input = Input::new(frame, "zstd frame");
    let magic = input.u32()?;
    if magic != 0xfd2f_b528 {
        return Err(wrong(format!("expected a zstd frame, got magic {magic:08x}")));
    }
    let descriptor = input.u8()?;
    let single_segment = descriptor & 0x20 != 0;
    let has_checksum = descriptor & 0x04 != 0;
    if descriptor & 0x03 != 0 {
        return Err(wrong("the zstd frame needs a dictionary"));
    }
    let window = if single_segment {
        None
    } else {
        let byte = input.u8()?;
        let base = 1u64 << (10 + (byte >> 3));
        Some(base + (base >> 3) * u64::from(byte & 7))
    };
    let content_size = match (descriptor >> 6, single_segment) {
        (0, false) => return Err(wrong("the zstd frame does not say its content size")),
        (0, true) => u64::from(input.u8()?),
        (1, _) => u64::from(input.u16()?) + 256,
        (2, _) => u64::from(input.u32()?),
        _ => input.u64()?,
    };
    if content_size != size {
        return Err(wrong(format!("the chunk says {size} bytes, the zstd frame says {content_size}")));
    }
    let window = window.unwrap_or(content_size);
    if window > MAX_WINDOW {
        return Err(wrong(format!("the zstd window is {window} bytes, more than the {MAX_WINDOW} allowed")));
    }

    let mut yields = 0u64;
    loop {
        let [low, middle, high] = input.array()?;
        let header = u32::from_le_bytes([low, middle, high, 0]);
        let length = header >> 3;
        let (stored, most) = match (header >> 1) & 3 {
            0 => (length as usize, u64::from(length)),
            1 => (1, u64::from(length)),
            2 => (length as usize, MAX_BLOCK),
            _ => return Err(wrong("the zstd frame has a block of a reserved type")),
        };
        input.take(stored)?;
        yields = yields.saturating_add(most);
        if header & 1 != 0 {
            break;
        }
    }
    if has_checksum {
        input.u32()?;
    }
    if yields < size {
        return Err(wrong(format!("the chunk says {size} bytes, its blocks hold {yields} at most")));
    }
    if !input.is_empty() {
        return Err(wrong(format!("{} bytes follow the zstd frame", input.rest().len())));
    }
    Ok(())
}

pub(crate) fn check_size(actual: usize, expected: u64) -> Result<(), FormatError> {
    if actual as u64 == expected {
        Ok(())
    } else {
        Err(wrong(format!("the chunk says {expected} bytes, there are {actual}")))
    }
}

fn wrong(reason: impl Into<String>) -> FormatError {
    FormatError::Compression { reason: reason.into() }
}

#[cfg(not(target_arch = "wasm32"))]
fn decompress(frame: &[u8], size: usize) -> Result<Vec<u8>, FormatError> {
    thread_local! {
        /// Making one costs more than decompressing a small fragment.
        static CONTEXT: std::cell::RefCell<Option<zstd::bulk::Decompressor<'static>>> =
            const { std::cell::RefCell::new(None) };
    }
    let mut records = Vec::with_capacity(size);
    CONTEXT.with_borrow_mut(|slot| {
        let context = match slot {
            Some(context) => context,
            None => slot.insert(zstd::bulk::Decompressor::new()?),
        };
        context.decompress_to_buffer(frame, &mut records).map_err(|error| wrong(error.to_string()))
    })?;
    Ok(records)
}

#[cfg(target_arch = "wasm32")]
fn decompress(frame: &[u8], size: usize) -> Result<Vec<u8>, FormatError> {
    let mut records = vec![0; size];
    let mut decoder = ruzstd::decoding::FrameDecoder::new();
    decoder.set_max_window_size(MAX_WINDOW);
    let count = decoder.decode_all(frame, &mut records).map_err(|error| wrong(error.to_string()))?;
    records.truncate(count);
    Ok(records)
}

/// Compresses fragments, keeping its working memory from one to the next.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Default)]
pub(crate) struct Compressor {
    context: Option<(i32, zstd::bulk::Compressor<'static>)>,
}

#[cfg(not(target_arch = "wasm32"))]
impl Compressor {
    /// Compresses to one frame. Levels beyond 1 to 19 are taken as the nearest of these: lower ones gain nothing here,
    /// higher ones make windows that readers refuse.
    pub(crate) fn pack(&mut self, records: &[u8], level: i32) -> Result<Vec<u8>, FormatError> {
        let level = level.clamp(1, 19);
        let context = match &mut self.context {
            Some((of, context)) if *of == level => context,
            slot => &mut slot.insert((level, zstd::bulk::Compressor::new(level)?)).1,
        };
        Ok(context.compress(records)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(records: &[u8], level: i32) -> Vec<u8> {
        Compressor::default().pack(records, level).unwrap()
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1u32;
        let step = |state: &mut u32| {
            *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (*state >> 24) as u8
        };
        (0..length).map(|_| step(&mut state)).collect()
    }

    #[test]
    fn every_size_and_level_goes_both_ways() {
        for size in [0, 1, 255, 256, 257, 65_791, 65_792, 70_000, 9 << 20] {
            for (level, records) in [(1, vec![7; size]), (3, noise(size)), (19, vec![9; size.min(70_000)])] {
                let frame = packed(&records, level);
                let size = records.len() as u64;
                assert_eq!(unpack(ZSTD, &frame, size).unwrap(), records, "size {size} level {level}");
                assert!(unpack(ZSTD, &frame, size + 1).is_err());
                assert!(unpack(ZSTD, &[frame.clone(), vec![0]].concat(), size).is_err());
                assert!(unpack(ZSTD, &[frame.clone(), frame.clone()].concat(), size).is_err());
                assert!(unpack(ZSTD, &frame[..frame.len() - 1], size).is_err());
            }
        }
    }

    #[test]
    fn the_window_stays_within_bounds_at_the_highest_level() {
        let records = noise(9 << 20);
        let frame = packed(&records, 99);
        check_frame(&frame, records.len() as u64).unwrap();
    }

    #[test]
    fn a_bomb_is_refused_before_memory_is_taken() {
        // One empty raw block that claims 60 MiB.
        let size = 60u32 << 20;
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x80, 0x60];
        frame.extend(size.to_le_bytes());
        frame.extend([1, 0, 0]);
        let error = unpack(ZSTD, &frame, size.into()).unwrap_err();
        assert!(error.to_string().contains("hold 0 at most"), "{error}");
        assert_eq!(unpack(ZSTD, &frame, 65 << 20).unwrap_err().kind(), "too-large");
        assert_eq!(unpack(NONE, &frame, u64::MAX).unwrap_err().kind(), "too-large");
    }

    #[test]
    fn other_compressions_are_refused_by_name() {
        assert_eq!(unpack(NONE, b"abc", 3).unwrap(), b"abc");
        assert!(unpack(NONE, b"abc", 4).is_err());
        assert!(unpack("lz4", b"abc", 3).unwrap_err().to_string().contains("'lz4'"));
    }
}
