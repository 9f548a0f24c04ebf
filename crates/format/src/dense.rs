//! Chunks of sealed segments whose residuals are coded denser than in their packets; docs/dense.md.
//!
//! The thin records are the fragment's Message records without the residuals: a Message record as it is, or one of a screen packet whose
//! residuals were taken out, marked by its opcode.

use crate::{FormatError, HEAD_LEN, MAX_UNCOMPRESSED, compress, input::Input, record::op};
use playhead_screen::DenseUnpacker;

/// MCAP's name of this compression.
pub(crate) const DENSE: &str = "playhead.dense.v1";

/// Stands in place of a Message record's opcode where its packet is thin.
const THIN: u8 = 0x85;
/// Opcode and length, then what stands before the data of a message.
const MESSAGE_HEAD: usize = 22;
/// Place of the picture's size in a fragment's head.
const SIZE_AT: usize = 104;
/// Thin records may be this much longer than the records: what says how to put residuals back.
const MARGIN: usize = 1 << 20;

/// The most residuals that a fragment of so many bytes may have: an honest one has far fewer, and few bytes must not ask for work without
/// end.
const fn most_residuals(size: usize) -> u64 {
    (16 << 20) + size as u64 * 64
}

/// Takes a fragment's records out of a dense chunk.
pub(crate) fn unpack(packed: &[u8], size: usize) -> Result<Vec<u8>, FormatError> {
    let mut input = Input::new(packed, "dense chunk");
    let (thin_size, frame_size) = (input.u32()?, input.u32()?);
    let frame = input.take(frame_size as usize)?;
    if thin_size as usize > size.saturating_add(MARGIN).min(MAX_UNCOMPRESSED) {
        return Err(FormatError::TooLarge {
            what: "fragment without its residuals",
            limit: size as u64,
            actual: thin_size.into(),
        });
    }
    let thin = compress::unpack(compress::ZSTD, frame, thin_size.into())?;
    let (width, height) = picture_size(&thin);
    let mut unpacker = DenseUnpacker::new(width, height, input.rest(), most_residuals(size));
    let mut out = Vec::with_capacity(size);
    let mut rest = thin.as_slice();
    while let Some((&opcode, after)) = rest.split_first() {
        let mut input = Input::new(after, "dense chunk");
        let length = usize::try_from(input.u64()?).unwrap_or(usize::MAX);
        let data = length.checked_sub(MESSAGE_HEAD).filter(|data| *data <= size - out.len());
        let data = data.ok_or_else(|| wrong(format!("it has a message of {length} bytes")))?;
        out.push(op::MESSAGE);
        out.extend((length as u64).to_le_bytes());
        out.extend(input.take(MESSAGE_HEAD)?);
        rest = input.rest();
        match opcode {
            op::MESSAGE => {
                let (of_message, after) =
                    rest.split_at_checked(data).ok_or_else(|| wrong("it ends within a message"))?;
                out.extend_from_slice(of_message);
                rest = after;
            }
            THIN => unpacker.unpack(&mut rest, data, &mut out).map_err(|error| wrong(error.to_string()))?,
            other => return Err(wrong(format!("it has a record {other:#04x}"))),
        }
        if out.len() > size {
            return Err(wrong(format!("it holds more than the {size} bytes that the chunk says")));
        }
    }
    compress::check_size(out.len(), size as u64)?;
    Ok(out)
}

/// The size of the fragment's pictures, as the head says, the first message. 0 where there is none.
fn picture_size(records: &[u8]) -> (u32, u32) {
    let head = records.get(9 + MESSAGE_HEAD..).and_then(|data| data.get(..HEAD_LEN));
    let number = |at: usize| {
        head.and_then(|head| head.get(at..)?.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
    };
    (number(SIZE_AT), number(SIZE_AT + 4))
}

fn wrong(reason: impl Into<String>) -> FormatError {
    FormatError::Compression { reason: format!("the dense chunk cannot be opened: {}", reason.into()) }
}

/// Packs a fragment's records; `None` when there is nothing to take out. The result may be longer than other ways to pack them.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn pack(
    records: &[u8],
    compressor: &mut compress::Compressor,
    level: i32,
) -> Result<Option<Vec<u8>>, FormatError> {
    let (width, height) = picture_size(records);
    let mut packer = playhead_screen::DensePacker::new(width, height, most_residuals(records.len()));
    let mut thin = Vec::with_capacity(records.len() / 2);
    let mut any = false;
    let mut rest = records;
    while !rest.is_empty() {
        let start = thin.len();
        let mut input = Input::new(rest, "fragment");
        let opcode = input.u8()?;
        let mut message = Input::new(input.prefixed_long()?, "message");
        let whole = rest.len() - input.len();
        let channel = message.u16()?;
        message.take(MESSAGE_HEAD - 2)?;
        thin.extend_from_slice(&rest[..9 + MESSAGE_HEAD]);
        if opcode == op::MESSAGE
            && channel == crate::Channel::Screen.id()
            && packer.pack(message.rest(), &mut thin)
        {
            thin[start] = THIN;
            any = true;
        } else {
            thin.truncate(start);
            thin.extend_from_slice(&rest[..whole]);
        }
        rest = &rest[whole..];
    }
    if !any || thin.len() > (records.len() + MARGIN).min(MAX_UNCOMPRESSED) {
        return Ok(None);
    }
    let frame = compressor.pack(&thin, level)?;
    let mut out = Vec::with_capacity(frame.len() + records.len() / 4);
    out.extend((thin.len() as u32).to_le_bytes());
    out.extend((frame.len() as u32).to_le_bytes());
    out.extend(frame);
    out.extend(packer.finish());
    Ok(Some(out))
}
