//! Reading a stored segment through: whether its file is still what was stored, and mending it from another copy where it is not.

use super::{
    StorageError,
    tend::{Done, TendError, Tender, differs},
};
use crate::clock;
use playhead_db::site::SegmentRow;
use playhead_format::{Ending, scan};
use std::{io::Cursor, sync::Arc};

/// Reads a segment through that was taken.
pub(super) async fn one(tender: &Tender, segment: &SegmentRow) -> Result<Done, TendError> {
    let location = Arc::clone(tender.storage.get(&segment.location)?);
    let damage = match location.digest(&segment.path).await {
        Ok((bytes, blake3)) if bytes == segment.bytes && blake3.to_hex().as_str() == segment.blake3 => {
            tender.store.segment_checked(segment, None, clock::now()).await?;
            return Ok(Done::Fine);
        }
        Ok((bytes, blake3)) => differs(segment, bytes, blake3.to_hex().as_str()),
        Err(error) if error.is_missing() => format!(
            "there is no file {} at the storage location {}; restore it from a backup",
            segment.path, segment.location
        ),
        Err(error) => return Err(error.into()),
    };
    // It may have been moved or replaced while it was read.
    let now = tender.store.segment(segment.recording, segment.number).await?;
    if now.as_ref() != Some(segment) {
        return Ok(Done::Gone);
    }
    if let Some(good) = copy(tender, segment).await?
        && tender.replace(segment, good, (0, 0)).await?.is_some()
    {
        tracing::warn!(recording = %segment.recording, segment = segment.number, location = segment.location,
            path = segment.path, damage, "a damaged stored segment was mended from another copy");
        return Ok(Done::Mended);
    }
    tracing::error!(recording = %segment.recording, segment = segment.number, location = segment.location,
        path = segment.path, error = damage, "a stored segment is damaged");
    tender.store.segment_checked(segment, Some(&damage), clock::now()).await?;
    Ok(Done::Damaged)
}

/// A copy of the segment that holds the same fragments: what a move or packing has left and is still to be removed.
async fn copy(tender: &Tender, segment: &SegmentRow) -> Result<Option<Vec<u8>>, TendError> {
    for left in tender.store.files_left(segment.recording).await? {
        let Ok(location) = tender.storage.get(&left.location) else { continue };
        if !is_of(&left.path, segment.number) {
            continue;
        }
        let Ok((bytes, blake3)) = location.digest(&left.path).await else { continue };
        let row = SegmentRow {
            location: left.location,
            path: left.path,
            bytes,
            blake3: blake3.to_hex().to_string(),
            ..segment.clone()
        };
        let file = match tender.read(&row).await {
            Ok(file) => file,
            // Another copy may be better.
            Err(TendError::Storage(StorageError::Interrupted(error))) => return Err(error.into()),
            Err(_) => continue,
        };
        let wanted = segment.clone();
        let checked =
            tokio::task::spawn_blocking(move || holds(&file, &wanted).then(|| file.to_vec())).await?;
        if checked.is_some() {
            return Ok(checked);
        }
    }
    Ok(None)
}

/// Whether a path is that of a segment's file, under any of the names that it may get.
fn is_of(path: &str, number: u32) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let rest = name.strip_prefix(&format!("{number:06}")).and_then(|rest| rest.strip_suffix(".mcap"));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Whether a file is intact and holds exactly the segment's fragments: the last one's hash proves all before it.
fn holds(file: &[u8], segment: &SegmentRow) -> bool {
    let Ok(found) = scan(Cursor::new(file)) else { return false };
    let Some(index) = &found.index else { return false };
    let (first, last) = (found.fragments.first(), found.fragments.last());
    found.ending == Ending::Finished
        && found.problems.is_empty()
        && index.recording == segment.recording
        && index.segment == segment.number
        && first.is_some_and(|first| first.head.seq == segment.first_seq)
        && last.is_some_and(|last| {
            last.head.seq + 1 == segment.next_seq && last.hash.to_string() == segment.head
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_segment_are_known_by_their_names() {
        for name in ["a/b/000007.mcap", "000007-1.mcap", "a/000007-p1.mcap", "a/000007-p2-3.mcap"] {
            assert!(is_of(name, 7), "{name}");
        }
        for name in ["a/000008.mcap", "a/0000071.mcap", "a/000007.mcap.tsr", "000007"] {
            assert!(!is_of(name, 7), "{name}");
        }
    }
}
