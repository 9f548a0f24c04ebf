//! Finding a recording's fragments, wherever they lie at the moment.

use super::{PlaybackError, customary::customarily};
use crate::{
    core::Shared,
    keys::{self, KeyError},
    recordings::{Live, Run},
    storage::StorageError,
};
use bytes::{Bytes, BytesMut};
use playhead_db::site::SegmentRow;
use playhead_format::{IndexEntry, SegmentIndex};
use playhead_model::RecordingId;
use std::sync::Arc;

/// Fragments taken from the journal at a time.
const RUN: usize = 64;
/// Bytes read from storage at a time, unless one fragment is larger.
const READ: u64 = 512 << 10;

/// One recording to read from.
pub(crate) struct Source {
    pub(crate) core: Shared,
    pub(crate) recording: RecordingId,
    /// As this server holds it, unless all of it is stored.
    pub(crate) live: Option<Arc<Live>>,
}

/// Fragments next to each other, to be read one after another.
pub(crate) enum Place {
    /// In the journal.
    Journal(Run),
    /// In a stored segment, from a position of its index on.
    Stored { segment: Arc<SegmentRow>, index: Arc<SegmentIndex>, position: usize },
}

impl Place {
    /// What indexes say of the fragments.
    pub(crate) fn entries(&self) -> impl DoubleEndedIterator<Item = &IndexEntry> {
        let (run, stored) = match self {
            Self::Journal(run) => (run.as_slice(), [].as_slice()),
            Self::Stored { index, position, .. } => {
                ([].as_slice(), index.entries.get(*position..).unwrap_or_default())
            }
        };
        run.iter().map(|(_, entry)| entry).chain(stored)
    }

    /// What is left after `count` fragments, where it is worth keeping: the journal is asked anew each time, since fragments leave it.
    pub(crate) fn after(self, count: usize) -> Option<Self> {
        match self {
            Self::Stored { segment, index, position } if position + count < index.entries.len() => {
                Some(Self::Stored { segment, index, position: position + count })
            }
            _ => None,
        }
    }
}

impl Source {
    pub(crate) fn new(core: &Shared, recording: RecordingId) -> Self {
        Self { core: Arc::clone(core), recording, live: core.recordings.get(recording) }
    }

    /// The fragments from `seq` on, as many as lie together; `None` when that one is not there.
    pub(crate) async fn from(&self, seq: u64) -> Result<Option<Place>, PlaybackError> {
        // The journal first: what leaves it meanwhile is found in storage after, never the other way round.
        if let Some(live) = &self.live {
            let run = live.run_from(seq, RUN);
            if !run.is_empty() {
                return Ok(Some(Place::Journal(run)));
            }
        }
        let segments = self.core.store.segments(self.recording).await?;
        let segment =
            segments.into_iter().find(|segment| (segment.first_seq..segment.next_seq).contains(&seq));
        let Some(segment) = segment else { return Ok(None) };
        self.stored(segment, |index| index.entries.partition_point(|entry| entry.seq < seq)).await.map(Some)
    }

    async fn stored(
        &self,
        segment: SegmentRow,
        position: impl FnOnce(&SegmentIndex) -> usize,
    ) -> Result<Place, PlaybackError> {
        let index = self.core.indexes.get(&self.core.storage, &segment).await?;
        Ok(Place::Stored { position: position(&index), segment: Arc::new(segment), index })
    }

    /// The key frame where playing from `at_us` begins, and the nearest fragment before it that has its anchor.
    pub(crate) async fn key_frame(&self, at_us: u64) -> Result<(IndexEntry, u64), PlaybackError> {
        let held = self.live.as_ref().map(|live| live.entries()).unwrap_or_default();
        let segments = self.core.store.segments(self.recording).await?;
        let first = segments
            .first()
            .map(|segment| segment.start_us)
            .or(held.first().map(|(_, entry)| entry.start_us));
        let stored_end = segments.last().map(|segment| segment.end_us);
        let end = held.last().map(|(_, entry)| entry.end_us).max(stored_end);
        let (Some(from_us), Some(to_us)) = (first, end) else { return Err(PlaybackError::Empty) };
        if at_us > to_us {
            return Err(PlaybackError::OutOfRange { at_us, from_us, to_us });
        }
        // Every segment begins with a key frame, so the segment that has begun by then has one.
        let in_journal = held.iter().rev().skip_while(|(_, entry)| entry.start_us > at_us);
        if let Some((_, entry)) = in_journal.clone().find(|(_, entry)| entry.flags.is_entrance())
            && !segments.iter().any(|segment| segment.next_seq > entry.seq)
        {
            let entries = held.iter().map(|(_, entry)| entry);
            return Ok((*entry, anchor_of(entry, entries)));
        }
        let begun = segments.partition_point(|segment| segment.start_us <= at_us).max(1);
        for segment in segments.iter().take(begun).rev() {
            let index = self.core.indexes.get(&self.core.storage, segment).await?;
            let position = index.key_frame_at(at_us);
            let found = position.and_then(|position| index.entries.get(position));
            // A segment may have been left right after its repeated anchor: the picture then is still that of the one before.
            if let Some(entry) = found.filter(|entry| entry.flags.is_entrance()) {
                return Ok((*entry, anchor_of(entry, index.entries.iter())));
            }
        }
        // Before the first thing there is: begin with that.
        held.first().map(|(_, entry)| (*entry, entry.seq)).ok_or(PlaybackError::Empty)
    }

    /// Reads the first `count` fragments of a place, or fewer: as many as make one read of reasonable size, at least one. Returns their
    /// records one after another, and how many there are.
    pub(crate) async fn read(&self, place: &Place, count: usize) -> Result<(Bytes, usize), PlaybackError> {
        let mut bytes = 0u64;
        let mut taken = 0;
        for entry in place.entries().take(count) {
            if taken > 0 && bytes + u64::from(entry.length) > READ {
                break;
            }
            bytes += u64::from(entry.length);
            taken += 1;
        }
        match place {
            Place::Journal(run) => {
                let run: Run = run.iter().take(taken).cloned().collect();
                let key = self.core.keys.key(self.recording).await.map_err(StorageError::from)?;
                let recording = self.recording;
                let read = move || {
                    let mut records = Vec::new();
                    for (file, entry) in run {
                        let record = file.read(entry.offset, entry.length).map_err(PlaybackError::Journal)?;
                        let place = (recording, entry.seq);
                        let record = keys::plain(key.as_ref(), place, record).map_err(KeyError::from);
                        records.extend(record.map_err(StorageError::from)?);
                    }
                    Ok::<_, PlaybackError>(Bytes::from(records))
                };
                Ok((tokio::task::spawn_blocking(read).await??, taken))
            }
            Place::Stored { segment, .. } => {
                // Chunks stand one after another in a segment; should there be anything between two, they are read one by one.
                let mut end = None;
                let mut start = 0;
                let mut together = 0;
                for entry in place.entries().take(taken) {
                    if end.is_some_and(|end| end != entry.offset) {
                        break;
                    }
                    if together == 0 {
                        start = entry.offset;
                    }
                    end = Some(entry.offset + u64::from(entry.length));
                    together += 1;
                }
                let range = start..end.unwrap_or(start);
                let read = self.core.storage.read(segment, range.clone()).await;
                let records = match read {
                    // It may have been moved since this was looked up. The file is the same wherever it lies.
                    Err(error) if error.is_missing() => {
                        let now = self.core.store.segment(segment.recording, segment.number).await?;
                        match now
                            .filter(|now| (&now.location, &now.path) != (&segment.location, &segment.path))
                        {
                            Some(now) if now.blake3 == segment.blake3 => {
                                self.core.storage.read(&now, range).await?
                            }
                            // It was packed again: the same fragments lie elsewhere in another file.
                            Some(now) => return self.read_again(now, place, together).await,
                            None => return Err(error.into()),
                        }
                    }
                    read => read?,
                };
                Ok((customarily(segment, records).await?, together))
            }
        }
    }

    /// Reads the first `count` fragments of a place out of the file that has taken the place of the one they were looked up in.
    async fn read_again(
        &self,
        segment: SegmentRow,
        place: &Place,
        count: usize,
    ) -> Result<(Bytes, usize), PlaybackError> {
        let first = place.entries().next().map_or(0, |entry| entry.seq);
        let index = self.core.indexes.get(&self.core.storage, &segment).await?;
        let position = index.entries.partition_point(|entry| entry.seq < first);
        let mut records = BytesMut::new();
        for entry in index.entries.iter().skip(position).take(count) {
            let range = entry.offset..entry.offset + u64::from(entry.length);
            records.extend_from_slice(&self.core.storage.read(&segment, range).await?);
        }
        Ok((customarily(&segment, records.freeze()).await?, count))
    }
}

/// The nearest fragment that has the anchor of a key frame: in the same segment, where that repeats it.
fn anchor_of<'a>(key: &IndexEntry, entries: impl DoubleEndedIterator<Item = &'a IndexEntry>) -> u64 {
    let before = entries.rev().skip_while(|entry| entry.seq > key.seq);
    let carrier = before.into_iter().find(|entry| entry.flags.anchor && entry.anchor_seq == key.anchor_seq);
    carrier.map_or(key.anchor_seq, |entry| entry.seq)
}
