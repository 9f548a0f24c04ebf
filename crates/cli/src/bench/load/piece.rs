//! Fragments that many sessions share.
//!
//! Every recording is a chain of its own: each fragment names its recording and the hash of the fragment before, and its checksum
//! and hash cover both. Making thousands of such chains must cost next to nothing, or the generator would be what is measured. So of
//! each fragment everything but its first bytes is prepared once: the compressed blocks, the checksum of what they hold, and the
//! inner nodes of the hash's tree. A session puts its own head before them as an uncompressed block of the same zstd frame, and
//! hashes one kilobyte. What the server gets is a whole fragment of its own in the format's terms; it decompresses, checks and
//! hashes as much as for any other.

use anyhow::{Context as _, Result, ensure};
use blake3::hazmat::{ChainingValue, HasherExt as _, Mode, left_subtree_len};
use playhead_format::{Channel, Fragment, FragmentHead, Hash, MetaMessage, open_fragment};
use playhead_model::{RecordingId, RecordingInfo};

/// zstd's level, as the agent uses it.
const LEVEL: i32 = 1;
/// Bytes of a leaf of the hash's tree.
const LEAF: usize = 1_024;
/// Bytes of an MCAP record's opcode and length.
const RECORD: usize = 9;
/// Bytes of a Message record before its data.
const MESSAGE: usize = RECORD + 22;
/// The largest window that readers accept.
const MAX_WINDOW: usize = 8 << 20;

/// What is prepared of one fragment.
pub(super) struct Piece {
    head: FragmentHead,
    /// Media time of its last message.
    last_us: u64,
    /// Times of the message with the recording's particulars, which is each session's own.
    info_at: Option<(u64, u64)>,
    /// Bytes of all records.
    length: usize,
    /// Bytes at the start that are each session's own.
    own: usize,
    /// What follows them in the tree's first leaf.
    leaf: Vec<u8>,
    /// The nodes right of the first leaf, from the leaf up.
    nodes: Vec<ChainingValue>,
    /// Checksum of everything that is not the session's own.
    crc: crc32fast::Hasher,
    /// The zstd blocks of the same.
    blocks: Vec<u8>,
}

/// The recording that a piece becomes a part of.
pub(super) struct Place<'a> {
    pub(super) info: &'a RecordingInfo,
    /// Hash of the fragment before.
    pub(super) previous: Hash,
    /// Wall clock at media time 0, microseconds since the Unix epoch.
    pub(super) began_us: u64,
}

impl Piece {
    /// Prepares a fragment.
    ///
    /// # Errors
    /// A fragment that cannot be opened, or whose particulars do not stand where the recorder puts them.
    pub(super) fn new(fragment: &Fragment) -> Result<Self> {
        let open = open_fragment(&fragment.bytes)?;
        let records = open.records();
        let messages = open.messages().collect::<Result<Vec<_>, _>>()?;
        let first = messages.first().context("a fragment has a head")?;
        let mut own = MESSAGE + first.data.len();
        let mut info_at = None;
        if let Some(second) = messages.get(1).filter(|_| open.head().flags.first_of_segment) {
            let is_info = second.channel == Channel::Meta.id()
                && matches!(MetaMessage::parse(second.data), MetaMessage::Recording { .. });
            ensure!(is_info, "expected the recording's particulars at the start of a segment");
            info_at = Some((second.log_time_us, second.publish_time_us));
            own += MESSAGE + second.data.len();
        }
        ensure!(own <= LEAF, "expected at most {LEAF} bytes of head and particulars, got {own}");
        let rest = &records[own..];
        let mut crc = crc32fast::Hasher::new();
        crc.update(rest);
        let blocks = if rest.is_empty() { Vec::new() } else { blocks(&zstd::bulk::compress(rest, LEVEL)?)? };
        Ok(Self {
            head: *open.head(),
            last_us: messages.last().map_or(0, |message| message.log_time_us),
            info_at,
            length: records.len(),
            own,
            leaf: records[own..records.len().min(LEAF)].to_vec(),
            nodes: nodes(records),
            crc,
            blocks,
        })
    }

    pub(super) fn head(&self) -> &FragmentHead {
        &self.head
    }

    /// Bytes of the record that [`Self::put`] makes, but for a few.
    pub(super) fn bytes(&self) -> usize {
        self.blocks.len() + self.own
    }

    /// Bytes when decompressed.
    pub(super) fn uncompressed(&self) -> usize {
        self.length
    }

    /// The fragment as a part of a recording: its head, its Chunk record, its hash.
    ///
    /// # Errors
    /// Particulars of another length than those the piece was made with.
    pub(super) fn place(&self, place: &Place<'_>) -> Result<(FragmentHead, Vec<u8>, Hash)> {
        let head = FragmentHead {
            recording: place.info.id,
            previous: place.previous,
            wall_us: place.began_us + self.head.start_us,
            ..self.head
        };
        let mut own = Vec::with_capacity(LEAF);
        put_message(&mut own, Channel::Fragment, 0, (head.start_us, head.wall_us), &head.encode());
        if let Some(at) = self.info_at {
            let info = MetaMessage::Recording { info: Box::new(place.info.clone()) }.encode();
            put_message(&mut own, Channel::Meta, 1, at, &info);
        }
        let (expected, actual) = (self.own, own.len());
        ensure!(expected == actual, "expected head and particulars of {expected} bytes, got {actual}");

        let mut crc = crc32fast::Hasher::new();
        crc.update(&own);
        crc.combine(&self.crc);
        let record = self.chunk(&own, crc.finalize())?;
        own.extend_from_slice(&self.leaf);
        Ok((head, record, self.hash(&own)))
    }

    fn hash(&self, leaf: &[u8]) -> Hash {
        let Some((top, lower)) = self.nodes.split_last() else { return Hash::of(leaf) };
        let mut node = blake3::Hasher::new().update(leaf).finalize_non_root();
        for right in lower {
            node = blake3::hazmat::merge_subtrees_non_root(&node, right, Mode::Hash);
        }
        Hash::from_bytes(*blake3::hazmat::merge_subtrees_root(&node, top, Mode::Hash).as_bytes())
    }

    fn chunk(&self, own: &[u8], crc: u32) -> Result<Vec<u8>> {
        let mut frame_head = vec![0x28, 0xb5, 0x2f, 0xfd];
        // Its content size in four bytes; one segment as long as that is no larger than a reader's window.
        if self.length <= MAX_WINDOW {
            frame_head.push(0xa0);
        } else {
            frame_head.extend([0x80, 13 << 3]);
        }
        frame_head.extend(u32::try_from(self.length)?.to_le_bytes());
        let last = u32::from(self.blocks.is_empty());
        let block = u32::try_from(own.len())? << 3 | last;
        frame_head.extend(&block.to_le_bytes()[..3]);
        let packed = frame_head.len() + own.len() + self.blocks.len();

        let content = 8 * 3 + 4 + 4 + 4 + 8 + packed;
        let mut out = Vec::with_capacity(RECORD + content);
        /// MCAP's opcode of a Chunk.
        const CHUNK: u8 = 6;
        out.push(CHUNK);
        let times = [self.head.start_us, self.last_us].map(|us| us * 1_000);
        for field in [content as u64, times[0], times[1], self.length as u64] {
            out.extend(field.to_le_bytes());
        }
        out.extend(crc.to_le_bytes());
        out.extend(4u32.to_le_bytes());
        out.extend(b"zstd");
        out.extend((packed as u64).to_le_bytes());
        out.extend(frame_head);
        out.extend(own);
        out.extend(&self.blocks);
        Ok(out)
    }
}

/// The nodes of a hash's tree right of its first leaf, from the leaf up.
fn nodes(records: &[u8]) -> Vec<ChainingValue> {
    let mut nodes = Vec::new();
    let mut left = records;
    while left.len() > LEAF {
        // No more than the length, which is one of memory.
        let at = left_subtree_len(left.len() as u64) as usize;
        let (rest, right) = left.split_at(at);
        nodes.push(blake3::Hasher::new().set_input_offset(at as u64).update(right).finalize_non_root());
        left = rest;
    }
    nodes.reverse();
    nodes
}

/// A zstd frame's blocks without its header.
fn blocks(frame: &[u8]) -> Result<Vec<u8>> {
    let descriptor = *frame.get(4).context("a zstd frame has a header")?;
    let (single, sized) = (descriptor & 0x20 != 0, usize::from(descriptor >> 6));
    ensure!(descriptor & 0x07 == 0, "expected a zstd frame without checksum and dictionary");
    let size = match (sized, single) {
        (0, single) => usize::from(single),
        (sized, _) => 1 << sized,
    };
    let header = 5 + usize::from(!single) + size;
    Ok(frame.get(header..).context("a zstd frame has blocks")?.to_vec())
}

fn put_message(
    out: &mut Vec<u8>,
    channel: Channel,
    sequence: u32,
    (media_us, wall_us): (u64, u64),
    data: &[u8],
) {
    /// MCAP's opcode of a Message.
    const OPCODE: u8 = 5;
    out.push(OPCODE);
    out.extend(((MESSAGE - RECORD + data.len()) as u64).to_le_bytes());
    out.extend(channel.id().to_le_bytes());
    out.extend(sequence.to_le_bytes());
    out.extend((media_us * 1_000).to_le_bytes());
    out.extend((wall_us * 1_000).to_le_bytes());
    out.extend(data);
}

/// Particulars that are as long for every session.
pub(super) fn particulars(id: RecordingId, number: usize, began_us: i64) -> RecordingInfo {
    RecordingInfo {
        id,
        host: format!("load-{number:06}"),
        user: format!("user{number:06}"),
        display: ":10".into(),
        client: None,
        client_address: None,
        application: "desktop".into(),
        started_at: playhead_model::WallTime::from_micros(began_us),
        agent_version: env!("CARGO_PKG_VERSION").into(),
        monitors: Vec::new(),
        session: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use playhead_format::{Chain, Flags, FragmentBuilder, genesis};

    const BEGAN: i64 = 1_790_000_000_000_000;

    fn fragment(seq: u64, payload: usize) -> Fragment {
        let id = RecordingId::from_bytes([0; 16]);
        let mut builder = FragmentBuilder::new();
        let flags =
            Flags { key_frame: seq == 0, anchor: seq == 0, first_of_segment: seq == 0, ..Flags::default() };
        if seq == 0 {
            let info = MetaMessage::Recording { info: Box::new(particulars(id, 0, BEGAN)) };
            builder.push(Channel::Meta, 0, 7, &info.encode()).unwrap();
        }
        let mut state = seq as u32;
        let bytes = (0..payload).map(|at| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if at % 3 == 0 { (state >> 24) as u8 } else { 7 }
        });
        builder.push(Channel::Screen, seq * 1_000 + 10, 8, &bytes.collect::<Vec<_>>()).unwrap();
        let head = FragmentHead {
            flags,
            segment: 0,
            seq,
            start_us: seq * 1_000,
            end_us: seq * 1_000 + 900,
            anchor_seq: 0,
            activity: 5,
            events: 0,
            recording: id,
            previous: genesis(id),
            wall_us: 9,
            width: 640,
            height: 480,
        };
        builder.finish(head, 1).unwrap()
    }

    #[test]
    fn every_session_gets_a_sound_chain_of_its_own() {
        let sizes = [0, 1, 300, 881, 882, 2_000, 5_000, 130_000, 300_000, 9 << 20];
        let made: Vec<_> = sizes.iter().enumerate().map(|(seq, &size)| fragment(seq as u64, size)).collect();
        let pieces: Vec<_> = made.iter().map(|fragment| Piece::new(fragment).unwrap()).collect();
        for number in [1, 999_999] {
            let info =
                particulars(RecordingId::from_bytes([number as u8; 16]), number, BEGAN + number as i64);
            let mut chain = Chain::new(info.id);
            for (piece, fragment) in pieces.iter().zip(&made) {
                let place = Place { info: &info, previous: chain.head(), began_us: 77 };
                let (head, record, hash) = piece.place(&place).unwrap();
                let open = open_fragment(&record).unwrap();
                assert_eq!((*open.head(), open.hash()), (head, hash));
                assert_eq!(head.recording, info.id);
                chain.accept(&open).unwrap();
                let before = open_fragment(&fragment.bytes).unwrap();
                assert_eq!(open.records()[piece.own..], before.records()[piece.own..]);
                assert!(
                    record.len() <= fragment.bytes.len() + 200,
                    "{} {}",
                    record.len(),
                    fragment.bytes.len()
                );
            }
        }
    }

    #[test]
    fn particulars_of_another_length_are_refused() {
        let piece = Piece::new(&fragment(0, 10)).unwrap();
        let mut info = particulars(RecordingId::from_bytes([1; 16]), 1, BEGAN);
        info.user = "somebody else".into();
        let place = Place { info: &info, previous: genesis(info.id), began_us: 0 };
        assert!(piece.place(&place).is_err());
    }
}
