//! Fragments as every player opens them, whatever way they are packed in storage.

use super::PlaybackError;
use bytes::{Bytes, BytesMut};
use playhead_db::site::SegmentRow;
use playhead_format::{FormatError, customary, is_dense};

/// Opcode and length before a record's content.
const PREFIX: usize = 9;

/// Puts Chunk records in order, one after another, into their customary form. Those that are dense are opened side by side.
pub(super) async fn customarily(segment: &SegmentRow, records: Bytes) -> Result<Bytes, PlaybackError> {
    let damaged = |reason: String| PlaybackError::Damaged {
        segment: segment.number,
        path: segment.path.clone(),
        reason,
    };
    let parts =
        cut(&records).ok_or_else(|| damaged("its fragments do not stand where its index says".into()))?;
    if !parts.iter().any(|part| is_dense(part)) {
        return Ok(records);
    }
    let open = |part: Bytes| {
        tokio::task::spawn_blocking(move || Ok::<_, FormatError>(customary(&part)?.into_owned()))
    };
    let opening: Vec<_> = parts.into_iter().map(open).collect();
    let mut out = BytesMut::with_capacity(records.len() * 2);
    for opened in opening {
        out.extend_from_slice(&opened.await?.map_err(|error| damaged(error.to_string()))?);
    }
    Ok(out.freeze())
}

/// The records by themselves.
fn cut(records: &Bytes) -> Option<Vec<Bytes>> {
    let (mut parts, mut at) = (Vec::new(), 0);
    while at < records.len() {
        let length =
            records.get(at + 1..at + PREFIX)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))?;
        let end = at.checked_add(PREFIX)?.checked_add(usize::try_from(length).ok()?)?;
        if end > records.len() {
            return None;
        }
        parts.push(records.slice(at..end));
        at = end;
    }
    Some(parts)
}
