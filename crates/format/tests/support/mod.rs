//! A small recording to try things on. Its pictures are no pictures: this crate does not look into them.

use playhead_format::{
    Channel, Flags, Fragment, FragmentBuilder, FragmentHead, Hash, MetaMessage, SegmentWriter, genesis,
};
use playhead_model::{EndReason, Gap, GapCause, RecordingId, RecordingInfo, WallTime};

pub(crate) const RECORDING: RecordingId = RecordingId::from_bytes(*b"recording--test1");

const WALL_US: u64 = 1_793_350_800_000_000;

/// What a fragment of the small recording is to be.
#[derive(Clone, Copy, Default)]
pub(crate) struct Plan {
    pub(crate) flags: Flags,
    pub(crate) segment: u32,
    pub(crate) anchor_seq: u64,
}

/// Makes fragments that follow one another.
pub(crate) struct Maker {
    pub(crate) recording: RecordingId,
    pub(crate) previous: Hash,
    pub(crate) seq: u64,
    /// Whether a gap is declared in the next fragment, if not as its flags say.
    pub(crate) declare: Option<bool>,
    builder: FragmentBuilder,
}

impl Maker {
    pub(crate) fn new(recording: RecordingId) -> Self {
        Self {
            recording,
            previous: genesis(recording),
            seq: 0,
            declare: None,
            builder: FragmentBuilder::new(),
        }
    }

    /// Makes the next fragment: a second of 0.7 s, starting at its number in seconds.
    pub(crate) fn make(&mut self, plan: Plan) -> Fragment {
        self.make_with(plan, &self.seq.to_le_bytes().repeat(20))
    }

    /// The same with this in place of a screen packet.
    pub(crate) fn make_with(&mut self, plan: Plan, packet: &[u8]) -> Fragment {
        let Plan { flags, segment, anchor_seq } = plan;
        let start_us = self.seq * 1_000_000;
        let wall_us = WALL_US + start_us;
        let mut push = |channel, after_us: u64, data: &[u8]| {
            self.builder.push(channel, start_us + after_us, wall_us + after_us, data).unwrap();
        };
        if flags.first_of_segment {
            push(Channel::Meta, 0, &MetaMessage::Recording { info: Box::new(info(self.recording)) }.encode());
        }
        if self.declare.take().unwrap_or(flags.gap_before) {
            let gap = Gap { from_us: start_us - 300_000, to_us: start_us, cause: GapCause::QueueFull };
            push(Channel::Meta, 0, &MetaMessage::from(gap).encode());
        }
        push(Channel::Screen, 0, packet);
        push(Channel::Cursor, 200_000, &[0, 1, 0, 0, 0, 2, 0, 0, 0, 1]);
        if flags.last {
            let end = MetaMessage::End { at_us: start_us + 700_000, reason: EndReason::SessionEnded };
            push(Channel::Meta, 700_000, &end.encode());
        }
        let head = FragmentHead {
            flags,
            segment,
            seq: self.seq,
            start_us,
            end_us: start_us + 700_000,
            anchor_seq,
            activity: 100,
            events: 0,
            recording: self.recording,
            previous: self.previous,
            wall_us,
            width: 64,
            height: 48,
        };
        let fragment = self.builder.finish(head, 1).unwrap();
        self.previous = fragment.hash;
        self.seq += 1;
        fragment
    }
}

pub(crate) fn info(id: RecordingId) -> RecordingInfo {
    RecordingInfo {
        id,
        host: "host-1".into(),
        user: "alice".into(),
        display: ":10".into(),
        client: None,
        client_address: Some("192.0.2.7".into()),
        application: "desktop".into(),
        started_at: WallTime::from_micros(WALL_US as i64),
        agent_version: "0.1.0".into(),
        monitors: Vec::new(),
        session: None,
    }
}

/// Ten fragments in segments of four: 0-3, 4-7, 8-9. Key frames at 2 and 6, a gap before 6, the end in 9.
pub(crate) fn plans() -> Vec<Plan> {
    (0..10u64)
        .map(|seq| {
            let first = seq.is_multiple_of(4);
            Plan {
                flags: Flags {
                    key_frame: seq.is_multiple_of(2) && seq != 8 || first,
                    anchor: first,
                    first_of_segment: first,
                    last: seq == 9,
                    gap_before: seq == 6,
                    repeated: false,
                },
                segment: (seq / 4) as u32,
                anchor_seq: seq / 4 * 4,
            }
        })
        .collect()
}

pub(crate) fn fragments() -> Vec<Fragment> {
    let mut maker = Maker::new(RECORDING);
    plans().into_iter().map(|plan| maker.make(plan)).collect()
}

/// A finished file of these fragments.
pub(crate) fn file(fragments: &[Fragment]) -> Vec<u8> {
    let mut writer = SegmentWriter::new(Vec::new()).unwrap();
    for fragment in fragments {
        writer.append(&fragment.bytes, &fragment.head).unwrap();
    }
    writer.finish().unwrap();
    writer.into_inner()
}

/// The recording's three files.
pub(crate) fn files() -> Vec<Vec<u8>> {
    fragments().chunks(4).map(file).collect()
}
