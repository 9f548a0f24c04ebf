//! Indexes of stored segments, read once and kept while there is room.

use super::{PlaybackError, sparse::Sparse};
use crate::{
    recordings::lock,
    storage::{Locations, plain_bytes},
};
use bytes::Bytes;
use lru::LruCache;
use playhead_db::site::SegmentRow;
use playhead_format::{Ending, FormatError, IndexEntry, SegmentIndex, SegmentReader};
use playhead_model::RecordingId;
use std::{
    ops::Range,
    sync::{Arc, Mutex},
};

/// Bytes fetched from the end of a segment at first: the whole index of a short segment.
const FIRST: u64 = 64 << 10;
/// Least bytes fetched at a time.
const LEAST: u64 = 64 << 10;
/// Most bytes fetched for one index: it has 72 bytes a fragment, the summary somewhat more.
const MOST: u64 = 64 << 20;

/// Indexes by recording and segment, bounded by their bytes.
pub(crate) struct IndexCache {
    most: usize,
    inside: Mutex<Inside>,
}

struct Inside {
    /// By recording and segment; of the file with this BLAKE3.
    indexes: LruCache<(RecordingId, u32), (String, Arc<SegmentIndex>)>,
    bytes: usize,
}

fn size(index: &SegmentIndex) -> usize {
    size_of::<SegmentIndex>() + index.entries.len() * size_of::<IndexEntry>()
}

impl IndexCache {
    /// A cache that holds at most `most` bytes of indexes.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, inside: Mutex::new(Inside { indexes: LruCache::unbounded(), bytes: 0 }) }
    }

    /// The index of a stored segment.
    pub(crate) async fn get(
        &self,
        storage: &Locations,
        segment: &SegmentRow,
    ) -> Result<Arc<SegmentIndex>, PlaybackError> {
        let key = (segment.recording, segment.number);
        // Another file may have taken the place of the one that was read.
        if let Some((blake3, index)) = lock(&self.inside).indexes.get(&key)
            && *blake3 == segment.blake3
        {
            return Ok(Arc::clone(index));
        }
        let index = Arc::new(read(storage, segment).await?);
        let mut inside = lock(&self.inside);
        inside.bytes += size(&index);
        let entry = (segment.blake3.clone(), Arc::clone(&index));
        if let Some((_, (_, replaced))) = inside.indexes.push(key, entry) {
            inside.bytes -= size(&replaced);
        }
        while inside.bytes > self.most {
            let Some((_, (_, dropped))) = inside.indexes.pop_lru() else { break };
            inside.bytes -= size(&dropped);
        }
        Ok(index)
    }
}

/// Reads an index with as few and as small requests as it takes.
async fn read(storage: &Locations, segment: &SegmentRow) -> Result<SegmentIndex, PlaybackError> {
    let damaged = |reason: String| PlaybackError::Damaged {
        segment: segment.number,
        path: segment.path.clone(),
        reason,
    };
    let length = plain_bytes(segment).map_err(|error| damaged(error.to_string()))?;
    let fetch = async |range: Range<u64>| -> Result<(u64, Bytes), PlaybackError> {
        Ok((range.start, storage.read(segment, range).await?))
    };
    let tail = length.saturating_sub(FIRST);
    let mut parts = vec![fetch(tail..length).await?];
    if tail > 0 {
        parts.push(fetch(0..tail.min(1 << 10)).await?);
    }
    let mut fetched = 0;
    loop {
        let mut sparse = Sparse::new(length);
        for (offset, bytes) in &parts {
            sparse.add(*offset, bytes.clone());
        }
        let mut sparse = sparse;
        let error = match SegmentReader::open(&mut sparse) {
            Ok(reader) if reader.ending() == Ending::Finished => {
                return check(reader.index().clone(), segment).map_err(damaged);
            }
            Ok(_) => return Err(damaged("it has no index".into())),
            Err(error) => error,
        };
        let (FormatError::Io(_), Some((from, wanted))) = (&error, sparse.take_missing()) else {
            return Err(damaged(error.to_string()));
        };
        let end = from.saturating_add(wanted.max(LEAST)).min(length);
        fetched += end - from;
        if fetched > MOST || parts.len() > 64 {
            return Err(damaged("its index cannot be found".into()));
        }
        parts.push(fetch(from..end).await?);
    }
}

/// An index must be of the segment it is taken for, or fragments would be given out under a wrong number.
fn check(index: SegmentIndex, segment: &SegmentRow) -> Result<SegmentIndex, String> {
    let first = index.entries.first().map(|entry| entry.seq);
    let next = index.entries.last().map(|entry| entry.seq + 1);
    let same = (index.recording, index.segment, first, next)
        == (segment.recording, segment.number, Some(segment.first_seq), Some(segment.next_seq));
    if same { Ok(index) } else { Err("its index is that of another segment".into()) }
}
