//! Packing sealed segments denser: the same fragments with the same hashes and the same seal, in fewer bytes.
//!
//! What is signed is content; how a chunk is packed is not. So a segment can be packed again at any time after it was sealed, by somebody
//! with more time than the agent had, and be proved to hold the same.

use crate::{
    Closing, Ending, FormatError, Hash, OpenFragment, SegmentWriter, build::chunk_bytes, compress,
    compress::Compressor, dense, open_fragment, record, record::op, scan,
};
use std::io::Cursor;

/// zstd's level for what is packed again: the last with a window that every reader accepts.
const LEVEL: i32 = 19;
/// zstd's level for what is unpacked to be sent.
const QUICK: i32 = 1;

/// How a segment is packed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Density {
    /// zstd only: what any reader of MCAP files opens.
    Zstd,
    /// Residuals are coded anew where that saves at least this many hundredths of a fragment; they take time to open.
    Dense {
        /// Hundredths of the fragment's bytes as zstd packs them.
        least_percent: u8,
    },
}

/// A segment that was packed again.
#[derive(Debug, Clone)]
pub struct Repacked {
    /// The file.
    pub bytes: Vec<u8>,
    /// How many fragments it has.
    pub fragments: u64,
    /// How many of them have their residuals coded anew.
    pub dense: u64,
    /// Hash of its last fragment.
    pub head: Hash,
}

/// Packs a finished segment again, and proves that what comes out holds the same: every fragment's hash, the seal byte for byte, what comes
/// after it. `go_on` is asked before every fragment.
///
/// # Errors
/// A segment that is not whole, finished and in order, which then has to be left as it is; `Interrupted` when `go_on` says no.
pub fn repack(
    file: &[u8],
    density: Density,
    mut go_on: impl FnMut() -> bool,
) -> Result<Repacked, FormatError> {
    let found = scan(Cursor::new(file))?;
    if found.ending != Ending::Finished || found.damaged > 0 || !found.problems.is_empty() {
        let reason = found.problems.first().map_or("it is not finished", |problem| &problem.text);
        return Err(FormatError::invalid(
            "segment",
            format!("expected an intact one to pack it denser: {reason}"),
        ));
    }
    let closing = found.index.as_ref().map(|index| index.closing);
    let mut writer = SegmentWriter::new(Vec::with_capacity(file.len()))?;
    let mut compressor = Compressor::default();
    let mut dense = 0;
    for fragment in &found.fragments {
        if !go_on() {
            return Err(FormatError::Io(std::io::ErrorKind::Interrupted.into()));
        }
        let range = fragment.offset as usize..(fragment.offset + fragment.length) as usize;
        let record = file
            .get(range)
            .ok_or_else(|| FormatError::invalid("segment", "a fragment lies outside of it"))?;
        let (packed, open, is_dense) = best(record, density, &mut compressor)?;
        dense += u64::from(is_dense);
        writer.append_open(&packed, &open)?;
    }
    let lost = closing == Some(Closing::Lost);
    let index = writer.finish_with(lost, |_| found.seal.clone())?;
    let bytes = writer.into_inner();
    let again = scan(Cursor::new(&bytes))?;
    let same = again.ending == Ending::Finished
        && again.problems.is_empty()
        && again.index.as_ref().map(|index| index.closing) == closing
        && again.seal == found.seal
        && again.fragments.len() == found.fragments.len()
        && again
            .fragments
            .iter()
            .zip(&found.fragments)
            .all(|(new, old)| (new.hash, &new.head) == (old.hash, &old.head));
    if !same {
        return Err(FormatError::invalid(
            "segment",
            "what was packed denser does not hold the same: this is a defect",
        ));
    }
    Ok(Repacked { bytes, fragments: found.fragments.len() as u64, dense, head: index.head })
}

/// The shortest way to pack a fragment: the record, opened, and whether it is dense.
fn best(
    record: &[u8],
    density: Density,
    compressor: &mut Compressor,
) -> Result<(Vec<u8>, OpenFragment, bool), FormatError> {
    let open = open_fragment(record)?;
    let (start_ns, end_ns) = open.span_ns();
    let packed = compressor.pack(open.records(), LEVEL)?;
    let zstd = chunk_bytes(open.records(), packed, compress::ZSTD, start_ns, end_ns);
    let was_dense = open.is_dense();
    let shortest = if !was_dense && record.len() <= zstd.len() { record } else { &zstd };
    if let Density::Dense { least_percent } = density
        && let Some(packed) = dense::pack(open.records(), compressor, LEVEL)?
    {
        let dense = chunk_bytes(open.records(), packed, dense::DENSE, start_ns, end_ns);
        let most = shortest.len() as u64 * u64::from(100u8.saturating_sub(least_percent)) / 100;
        if dense.len() as u64 <= most
            && let Ok(again) = open_fragment(&dense)
            && again.records() == open.records()
        {
            return Ok((dense, again, true));
        }
    }
    let again = open_fragment(shortest)?;
    Ok((shortest.to_vec(), again, false))
}

/// Whether a Chunk record is packed in a way that only Playhead opens.
pub fn is_dense(record: &[u8]) -> bool {
    record::content(record, op::CHUNK, "fragment")
        .and_then(record::Chunk::parse)
        .is_ok_and(|chunk| chunk.compression == dense::DENSE)
}

/// A Chunk record as any reader opens it: itself, unless it is dense. What is sent to players and other programs is packed so.
///
/// # Errors
/// A dense record that is damaged.
pub fn customary(record: &[u8]) -> Result<std::borrow::Cow<'_, [u8]>, FormatError> {
    if !is_dense(record) {
        return Ok(record.into());
    }
    let open = open_fragment(record)?;
    let (start_ns, end_ns) = open.span_ns();
    let packed = Compressor::default().pack(open.records(), QUICK)?;
    Ok(chunk_bytes(open.records(), packed, compress::ZSTD, start_ns, end_ns).into())
}
