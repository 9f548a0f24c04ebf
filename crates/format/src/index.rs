//! The index of a segment: the `playhead/index` attachment.

use crate::{Flags, FormatError, FragmentHead, Hash, genesis, input::Input};
use playhead_model::RecordingId;

/// Name of the attachment.
pub(crate) const NAME: &str = "playhead/index";
/// Media type of the attachment.
pub(crate) const MEDIA_TYPE: &str = "application/x-playhead-index";
/// The most bytes of an index that are read: more than a segment of a day in the shortest fragments needs.
pub(crate) const MAX_INDEX: u64 = 160 << 20;

const VERSION: u8 = 1;
const HEADER_LEN: usize = 96;
const ENTRY_LEN: usize = 72;
const WHAT: &str = "segment index";

/// What a segment's index says of what comes after the segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Closing {
    /// The recording goes on in the next segment.
    Continues,
    /// The last fragment is the last of the recording.
    Ended,
    /// Nothing follows although the last fragment is not marked as the last: the agent was lost, and whoever keeps the
    /// recording closed it.
    Lost,
}

/// One fragment as the index has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntry {
    /// Number of the fragment in the recording.
    pub seq: u64,
    /// Media time of the first thing in it.
    pub start_us: u64,
    /// Media time up to which it tells everything.
    pub end_us: u64,
    /// The fragment with the anchor it rests on.
    pub anchor_seq: u64,
    /// Where its Chunk record starts in the file.
    pub offset: u64,
    /// Bytes of its Chunk record, opcode and length included.
    pub length: u32,
    /// Changed pixels, saturating.
    pub activity: u32,
    /// Number of its events.
    pub events: u32,
    /// What is special about it.
    pub flags: Flags,
    /// Wall clock at its start, microseconds since the Unix epoch.
    pub wall_us: u64,
    /// Width of the picture after it.
    pub width: u32,
    /// Height of the picture after it.
    pub height: u32,
}

impl IndexEntry {
    /// The entry of a fragment whose Chunk record stands at `offset` with `length` bytes.
    pub const fn new(head: &FragmentHead, offset: u64, length: u32) -> Self {
        Self {
            seq: head.seq,
            start_us: head.start_us,
            end_us: head.end_us,
            anchor_seq: head.anchor_seq,
            offset,
            length,
            activity: head.activity,
            events: head.events,
            flags: head.flags,
            wall_us: head.wall_us,
            width: head.width,
            height: head.height,
        }
    }
}

/// Everything needed to play a segment from any time, without touching a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentIndex {
    /// The recording.
    pub recording: RecordingId,
    /// Number of the segment.
    pub segment: u32,
    /// What comes after the segment.
    pub closing: Closing,
    /// The hash that the first fragment names as the one before it.
    pub previous: Hash,
    /// Hash of the last fragment.
    pub head: Hash,
    /// The fragments in order.
    pub entries: Vec<IndexEntry>,
}

impl SegmentIndex {
    /// An index without entries, of a recording's first segment.
    pub fn empty(recording: RecordingId) -> Self {
        let start = genesis(recording);
        Self {
            recording,
            segment: 0,
            closing: Closing::Continues,
            previous: start,
            head: start,
            entries: Vec::new(),
        }
    }

    /// Adds the next fragment, whose Chunk record stands at `offset` with `length` bytes.
    pub(crate) fn push(&mut self, fragment: &FragmentHead, hash: Hash, offset: u64, length: u32) {
        if self.entries.is_empty() {
            self.segment = fragment.segment;
            self.previous = fragment.previous;
        }
        self.closing = if fragment.flags.last { Closing::Ended } else { Closing::Continues };
        self.head = hash;
        self.entries.push(IndexEntry::new(fragment, offset, length));
    }

    /// Position of the newest key frame at or before the media time, where playing from that time must begin; of the
    /// first entry when the time lies before it. A repeated anchor shows no picture of its own and is none. `None` without entries.
    pub fn key_frame_at(&self, media_us: u64) -> Option<usize> {
        let after = self.entries.partition_point(|entry| entry.start_us <= media_us);
        let before = self.entries.get(..after).unwrap_or_default();
        let key = before.iter().rposition(|entry| entry.flags.is_entrance());
        key.or(if self.entries.is_empty() { None } else { Some(0) })
    }

    /// The index's bytes as they stand in the attachment.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LEN + self.entries.len() * ENTRY_LEN);
        let closing = match self.closing {
            Closing::Continues => 0,
            Closing::Ended => 1,
            Closing::Lost => 2,
        };
        out.extend([VERSION, closing]);
        out.extend((HEADER_LEN as u16).to_le_bytes());
        out.extend((ENTRY_LEN as u16).to_le_bytes());
        out.extend([0; 2]);
        out.extend(self.segment.to_le_bytes());
        // A segment cannot hold more fragments than this: MAX_INDEX bounds it.
        out.extend((self.entries.len() as u32).to_le_bytes());
        out.extend(self.recording.as_bytes());
        out.extend(self.previous.as_bytes());
        out.extend(self.head.as_bytes());
        for entry in &self.entries {
            for field in [entry.seq, entry.start_us, entry.end_us, entry.anchor_seq, entry.offset] {
                out.extend(field.to_le_bytes());
            }
            for field in [entry.length, entry.activity, entry.events] {
                out.extend(field.to_le_bytes());
            }
            out.extend([entry.flags.bits(), 0, 0, 0]);
            out.extend(entry.wall_us.to_le_bytes());
            out.extend(entry.width.to_le_bytes());
            out.extend(entry.height.to_le_bytes());
        }
        out
    }

    /// Reads an index. A later version may have longer headers and entries; what they have more is passed over.
    ///
    /// # Errors
    /// Lengths that do not fit, entries out of order.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut input = Input::new(bytes, WHAT);
        let (version, closing) = (input.u8()?, input.u8()?);
        let (header_len, entry_len) = (usize::from(input.u16()?), usize::from(input.u16()?));
        input.u16()?;
        let exact = (header_len, entry_len) == (HEADER_LEN, ENTRY_LEN);
        if version == 0 || (version == VERSION && !exact) || header_len < HEADER_LEN || entry_len < ENTRY_LEN
        {
            return Err(invalid(format!(
                "expected version {VERSION} with {HEADER_LEN} + n x {ENTRY_LEN} bytes, got version {version} with \
                 {header_len} + n x {entry_len}"
            )));
        }
        let closing = match closing {
            0 => Closing::Continues,
            1 => Closing::Ended,
            2 => Closing::Lost,
            other => return Err(invalid(format!("expected closing 0 to 2, got {other}"))),
        };
        let (segment, count) = (input.u32()?, input.u32()? as usize);
        let recording = RecordingId::from_bytes(input.array()?);
        let (previous, head) = (Hash::from_bytes(input.array()?), Hash::from_bytes(input.array()?));
        input.take(header_len - HEADER_LEN)?;

        let rows = input.rest();
        if count.checked_mul(entry_len) != Some(rows.len()) {
            return Err(invalid(format!("expected {count} x {entry_len} bytes, got {}", rows.len())));
        }
        let entries: Vec<IndexEntry> =
            rows.chunks_exact(entry_len).map(parse_entry).collect::<Result<_, _>>()?;
        let index = Self { recording, segment, closing, previous, head, entries };
        index.check()?;
        Ok(index)
    }

    fn check(&self) -> Result<(), FormatError> {
        for (entry, next) in self.entries.iter().zip(self.entries.iter().skip(1)) {
            let end = entry.offset.checked_add(u64::from(entry.length));
            let follows = Some(next.seq) == entry.seq.checked_add(1)
                && entry.end_us <= next.start_us
                && end.is_some_and(|end| end <= next.offset);
            if !follows {
                return Err(invalid(format!("entry {} does not follow entry {}", next.seq, entry.seq)));
            }
        }
        match self.entries.iter().find(|entry| entry.start_us > entry.end_us) {
            Some(entry) => Err(invalid(format!("entry {} ends before it starts", entry.seq))),
            None => Ok(()),
        }
    }
}

fn parse_entry(row: &[u8]) -> Result<IndexEntry, FormatError> {
    let mut input = Input::new(row, WHAT);
    Ok(IndexEntry {
        seq: input.u64()?,
        start_us: input.u64()?,
        end_us: input.u64()?,
        anchor_seq: input.u64()?,
        offset: input.u64()?,
        length: input.u32()?,
        activity: input.u32()?,
        events: input.u32()?,
        flags: {
            let [flags, ..] = input.array::<4>()?;
            Flags::from_bits(flags)
        },
        wall_us: input.u64()?,
        width: input.u32()?,
        height: input.u32()?,
    })
}

fn invalid(reason: impl Into<String>) -> FormatError {
    FormatError::invalid(WHAT, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::tests::sample;

    fn index() -> SegmentIndex {
        let mut index = SegmentIndex::empty(sample().recording);
        let mut head = sample();
        for seq in 7..12 {
            head.seq = seq;
            head.start_us = seq * 1_000;
            head.end_us = seq * 1_000 + 900;
            head.flags.key_frame = seq % 3 == 1;
            index.push(&head, Hash::of(&[seq as u8]), seq * 100, 100);
        }
        index
    }

    #[test]
    fn goes_both_ways() {
        let bytes = index().encode();
        assert_eq!(bytes.len(), 96 + 5 * 72);
        assert_eq!(bytes[..8], [1, 0, 96, 0, 72, 0, 0, 0]);
        assert_eq!(bytes[8..16], [4, 3, 2, 1, 5, 0, 0, 0]);
        assert_eq!(SegmentIndex::parse(&bytes).unwrap(), index());
    }

    #[test]
    fn a_longer_later_version_is_read() {
        let bytes = index().encode();
        let mut longer = bytes[..96].to_vec();
        longer[0] = 2;
        longer[2] = 100;
        longer[4] = 80;
        longer.extend([1; 4]);
        for row in bytes[96..].chunks(72) {
            longer.extend(row);
            longer.extend([9; 8]);
        }
        assert_eq!(SegmentIndex::parse(&longer).unwrap(), index());
        longer[0] = 1;
        assert!(SegmentIndex::parse(&longer).is_err());
    }

    #[test]
    fn nonsense_is_refused() {
        let good = index().encode();
        for (at, value) in
            [(0, 0), (1, 3), (2, 95), (4, 71), (12, 6), (15, 255), (96, 8), (96 + 17, 0), (96 + 40, 255)]
        {
            let mut bad = good.clone();
            bad[at] = value;
            assert!(SegmentIndex::parse(&bad).is_err(), "byte {at}");
        }
        for cut in 0..good.len() {
            assert!(SegmentIndex::parse(&good[..cut]).is_err());
        }
    }

    #[test]
    fn playing_begins_at_the_key_frame_before() {
        let index = index();
        assert_eq!(index.key_frame_at(0), Some(0));
        assert_eq!(index.key_frame_at(9_999), Some(0));
        assert_eq!(index.key_frame_at(10_000), Some(3));
        assert_eq!(index.key_frame_at(u64::MAX), Some(3));
        assert_eq!(SegmentIndex::empty(index.recording).key_frame_at(5), None);
    }
}
