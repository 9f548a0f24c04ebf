//! Recordings made up for tests: real fragments in a real chain, with any bytes for pictures.

use bytes::Bytes;
use playhead_format::{
    Chain, Channel, CursorMessage, Flags, FragmentBuilder, FragmentHead, MetaMessage, Signer, genesis,
};
use playhead_model::{EndReason, Gap, GapCause, RecordingId, RecordingInfo, WallTime};
use playhead_screen::{Encoder, EncoderConfig, Picture, Rect, Want};
use uuid::Uuid;

/// One second of media time, in which a fragment of 0.9 s begins.
pub(crate) const SECOND: u64 = 1_000_000;

#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) seq: u64,
    pub(crate) bytes: Bytes,
}

/// An agent's view of a recording.
pub(crate) struct Tape {
    pub(crate) info: RecordingInfo,
    chain: Chain,
    previous: FragmentHead,
    builder: FragmentBuilder,
    shift: i64,
    /// Signs every fragment, if there is one.
    pub(crate) signer: Option<Signer>,
    /// Paints real pictures, if there is one; otherwise there are bytes that mean nothing.
    pub(crate) painter: Option<Painter>,
    /// Messages of the event channel for the next fragment, which counts them. While there are none, every fifth counts one that is not there.
    pub(crate) events: Vec<Vec<u8>>,
    pub(crate) made: Vec<Made>,
}

impl Tape {
    pub(crate) fn new(user: &str) -> Self {
        let id = RecordingId::from(Uuid::now_v7());
        let info = RecordingInfo {
            id,
            host: "pc1".into(),
            user: user.into(),
            display: ":10".into(),
            client: None,
            client_address: None,
            application: "desktop".into(),
            started_at: WallTime::from_micros(1_790_000_000_000_000),
            agent_version: "1.0".into(),
            monitors: vec![],
            session: None,
        };
        let previous = FragmentHead {
            flags: Flags::default(),
            segment: 0,
            seq: 0,
            start_us: 0,
            end_us: 0,
            anchor_seq: 0,
            activity: 0,
            events: 0,
            recording: id,
            previous: genesis(id),
            wall_us: 0,
            width: 640,
            height: 480,
        };
        Self {
            info,
            chain: Chain::new(id),
            previous,
            builder: FragmentBuilder::new(),
            shift: 0,
            signer: None,
            painter: None,
            events: vec![],
            made: vec![],
        }
    }

    pub(crate) fn id(&self) -> RecordingId {
        self.info.id
    }

    fn now(&self) -> u64 {
        (self.made.len() as u64 * SECOND).saturating_add_signed(self.shift)
    }

    /// The next fragment, starting at `start_us`, with `size` bytes that do not compress.
    fn next(&mut self, start_us: u64, flags: Flags, size: usize, meta: &[MetaMessage]) -> Made {
        let seq = self.made.len() as u64;
        let head = FragmentHead {
            flags,
            segment: match (seq, flags.first_of_segment) {
                (0, _) => 0,
                (_, first) => self.previous.segment + u32::from(first),
            },
            seq,
            start_us,
            end_us: start_us + if flags.repeated { 0 } else { SECOND * 9 / 10 },
            anchor_seq: if flags.anchor && !flags.repeated { seq } else { self.previous.anchor_seq },
            activity: 1_000,
            events: match self.events.len() {
                0 => u32::from(seq % 5 == 4),
                count => count as u32,
            },
            previous: self.chain.head(),
            wall_us: 1_790_000_000_000_000 + start_us,
            ..self.previous
        };
        if flags.first_of_segment {
            let info = MetaMessage::Recording { info: Box::new(self.info.clone()) };
            self.builder.push(Channel::Meta, start_us, 0, &info.encode()).unwrap();
        }
        for message in meta {
            self.builder.push(Channel::Meta, start_us, 0, &message.encode()).unwrap();
        }
        let picture = match &mut self.painter {
            Some(painter) => painter.paint(seq, flags),
            None => noise(seq, size),
        };
        self.builder.push(Channel::Screen, start_us, 0, &picture).unwrap();
        let place = CursorMessage::Place { x: seq as i32, y: 2, visible: true }.encode();
        self.builder.push(Channel::Cursor, start_us, 0, &place).unwrap();
        for (number, event) in self.events.drain(..).enumerate() {
            let at_us = start_us + number as u64 * SECOND / 10;
            self.builder.push(Channel::Event, at_us, head.wall_us + at_us - start_us, &event).unwrap();
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let fragment = match &self.signer {
            Some(signer) => self.builder.finish_signed(head, 1, signer, now.as_micros() as u64).unwrap(),
            None => self.builder.finish(head, 1).unwrap(),
        };
        self.chain.accept_head(&fragment.head, fragment.hash).unwrap();
        self.previous = fragment.head;
        let made = Made { seq, bytes: fragment.bytes.into() };
        self.made.push(made.clone());
        made
    }

    /// One fragment a second: number 0 opens the recording, every fourth after that is a key frame.
    pub(crate) fn tick(&mut self, size: usize) -> Made {
        let seq = self.made.len() as u64;
        let first = seq == 0;
        let key_frame = seq.is_multiple_of(4);
        let flags = Flags { key_frame, anchor: first, first_of_segment: first, ..Flags::default() };
        self.next(self.now(), flags, size, &[])
    }

    /// The first fragment of a new segment.
    pub(crate) fn roll_over(&mut self, size: usize) -> Made {
        let flags = Flags { key_frame: true, anchor: true, first_of_segment: true, ..Flags::default() };
        self.next(self.now(), flags, size, &[])
    }

    /// A new segment that begins with the anchor before once more, and the key frame at the same moment.
    pub(crate) fn roll_over_repeated(&mut self, size: usize) -> [Made; 2] {
        let key = Flags { key_frame: true, ..Flags::default() };
        let start_us = self.now();
        let again = Flags { anchor: true, first_of_segment: true, repeated: true, ..key };
        let made = [self.next(start_us, again, size, &[]), self.next(start_us, key, size, &[])];
        self.shift -= SECOND as i64;
        made
    }

    /// A new segment after `seconds` of which nothing is recorded, which the fragment declares.
    pub(crate) fn after_silence(&mut self, seconds: u64) -> (Made, Gap) {
        self.shift += (seconds * SECOND) as i64;
        let start_us = self.now();
        let gap = Gap { from_us: self.previous.end_us, to_us: start_us, cause: GapCause::AgentRestarted };
        let flags = Flags {
            key_frame: true,
            anchor: true,
            first_of_segment: true,
            gap_before: true,
            ..Flags::default()
        };
        (self.next(start_us, flags, 100, &[gap.clone().into()]), gap)
    }

    /// The last fragment.
    pub(crate) fn end(&mut self) -> Made {
        let start_us = self.now();
        let end = MetaMessage::End { at_us: start_us, reason: EndReason::SessionEnded };
        self.next(start_us, Flags { last: true, ..Flags::default() }, 10, &[end])
    }

    /// All records one after another, from `first` up to, but not including, `end`.
    pub(crate) fn bytes(&self, first: u64, end: u64) -> Vec<u8> {
        self.made[first as usize..end as usize].iter().flat_map(|made| made.bytes.to_vec()).collect()
    }
}

/// Bytes that do not compress, the same for the same number.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    (0..size)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

impl Tape {
    /// A tape of the same recording that begins anew.
    pub(crate) fn of(info: &RecordingInfo) -> Self {
        let mut tape = Self::new(&info.user);
        tape.info = info.clone();
        tape.chain = Chain::new(info.id);
        tape.previous = FragmentHead { recording: info.id, previous: genesis(info.id), ..tape.previous };
        tape
    }
}

/// Makes packets of pictures that look like photographs, 640 by 480.
pub(crate) struct Painter(Encoder);

impl Painter {
    pub(crate) fn new() -> Self {
        Self(Encoder::new(EncoderConfig { seed: 1 }))
    }

    fn paint(&mut self, seq: u64, flags: Flags) -> Vec<u8> {
        let (width, height) = (640u32, 480u32);
        let grain = noise(seq, (width * height) as usize);
        let data: Vec<u8> = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .zip(grain)
            .flat_map(|((x, y), grain)| {
                let (fx, fy) = ((x + seq as u32) as f32 / 23.0, y as f32 / 17.0);
                let light = 110.0 + 50.0 * fx.sin() + 40.0 * (fy + fx / 3.0).cos() + f32::from(grain >> 6);
                [(light * 0.8) as u8, light as u8, (light * 0.9) as u8 + 10, 0]
            })
            .collect();
        let want = match (flags.anchor, flags.key_frame) {
            (true, _) => Want::Anchor,
            (_, true) => Want::Key,
            _ => Want::Delta,
        };
        let picture = Picture { width, height, stride: width as usize * 4, data: &data };
        let mut packet = Vec::new();
        self.0.encode(&picture, &[Rect { x: 0, y: 0, width, height }], want, &mut packet).unwrap();
        packet
    }
}
