//! Makes the vectors' files.

use crate::{lossy, read, signed};
use playhead_format::{
    AudioMessage, Channel, CursorMessage, Flags, Fragment, FragmentBuilder, FragmentHead, Hash, MetaMessage,
    SegmentIndex, SegmentReader, SegmentWriter, Signer, genesis, open_fragment,
};
use playhead_model::{EndReason, Gap, GapCause, Monitor, RecordingId, RecordingInfo, WallTime};
use playhead_screen::{Encoder, EncoderConfig, PacketKind, Picture, Want};
use std::{collections::BTreeMap, fs, io::Cursor, path::Path};

const RECORDING: RecordingId = RecordingId::from_bytes([
    0x01, 0x9a, 0x3c, 0x00, 0x11, 0x22, 0x73, 0x44, 0x95, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc,
]);
const WALL_US: u64 = 1_793_350_800_000_000;
const SECOND: u64 = 1_000_000;

type Files = BTreeMap<String, Vec<u8>>;

/// A vector: its name, what it is, and the names of its files.
struct Vector {
    name: String,
    about: &'static str,
    files: Vec<String>,
}

/// Writes the files that are missing, or all, and the readings of all.
pub(crate) fn write_all(directory: &Path, anew: bool) {
    let (vectors, files) = all();
    for (name, bytes) in &files {
        let path = directory.join(name);
        if anew || !path.exists() {
            fs::write(path, bytes).unwrap();
        }
    }
    for vector in vectors {
        let read = |name: &String| (name.clone(), fs::read(directory.join(name)).unwrap());
        let files: Vec<_> = vector.files.iter().map(read).collect();
        let reading = read::reading(vector.about, &files);
        let text = serde_json::to_string_pretty(&reading).unwrap();
        fs::write(directory.join(vector.name).with_extension("json"), text + "\n").unwrap();
    }
}

/// A picture with what desktops have: a plain ground, text, a smooth and a noisy part, and a window that moves.
fn picture(width: u32, height: u32, moment: u32) -> Vec<u8> {
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let window = (4 + moment * 2..24 + moment * 2).contains(&x) && (14..28).contains(&y);
            let text = y % 10 < 6 && y / 10 <= moment && (x * 7 + y * 13) % 5 == 0 && x < 40;
            let value = match () {
                () if window => [(x - moment * 2) / 4 * 20, y / 4 * 16, 90],
                () if text => [20, 20, 20],
                () if y >= height - 10 => [(x * x + y * 31 + x * y * 17) ^ (x << 3), x * 89, y * 57],
                () => [225, 230, 235],
            };
            pixels.extend(value.map(|value| value as u8));
            pixels.push(0);
        }
    }
    pixels
}

/// What a fragment of the recording is to be.
#[derive(Clone, Copy, Default)]
struct Plan {
    want: Option<Want>,
    rollover: bool,
    /// The anchor before once more, alone.
    repeat: bool,
    size: (u32, u32),
    /// Media time without a picture before it.
    gap_us: u64,
    /// Whether pictures change in it.
    active: bool,
    last: bool,
}

struct Maker {
    encoder: Encoder,
    builder: FragmentBuilder,
    recording: RecordingId,
    previous: Hash,
    seq: u64,
    segment: u32,
    anchor_seq: u64,
    now_us: u64,
    moment: u32,
    signer: Option<Signer>,
}

impl Maker {
    fn new(recording: RecordingId) -> Self {
        Self {
            encoder: Encoder::new(EncoderConfig { seed: 1 }),
            builder: FragmentBuilder::new(),
            recording,
            previous: genesis(recording),
            seq: 0,
            segment: 0,
            anchor_seq: 0,
            now_us: 0,
            moment: 0,
            signer: None,
        }
    }

    fn make(&mut self, plan: Plan) -> Fragment {
        let first = plan.rollover || self.seq == 0;
        self.segment += u32::from(plan.rollover && self.seq > 0);
        let from_us = self.now_us;
        self.now_us += plan.gap_us;
        let start_us = self.now_us;
        if first {
            self.meta(0, &MetaMessage::Recording { info: Box::new(info(self.recording)) });
        }
        if plan.gap_us > 0 {
            let gap = Gap { from_us, to_us: start_us, cause: GapCause::AgentRestarted };
            self.meta(0, &gap.into());
        }
        let mut kinds = Vec::new();
        let mut changed = 0;
        if plan.repeat {
            let (at_us, encoder) = (self.now_us, &mut self.encoder);
            let again = |out: &mut Vec<u8>| {
                encoder.repeat_anchor(out).unwrap();
                Ok::<_, playhead_format::FormatError>(true)
            };
            self.builder.push_with(Channel::Screen, at_us, WALL_US + at_us, again).unwrap();
        }
        if let Some(want) = plan.want {
            changed += self.screen(plan.size, want, 0, &mut kinds);
            self.cursor(0, &shape());
            self.cursor(0, &CursorMessage::Place { x: self.moment as i32, y: 5, visible: true });
        }
        for after_us in if plan.active { vec![300_000, 600_000] } else { vec![] } {
            self.moment += 1;
            changed += self.screen(plan.size, Want::Delta, after_us, &mut kinds);
            self.cursor(
                after_us + 1,
                &CursorMessage::Place { x: self.moment as i32 * 4, y: -2, visible: true },
            );
        }
        self.now_us = start_us + if plan.repeat { 0 } else { 900_000 };
        if plan.last {
            let end = MetaMessage::End { at_us: self.now_us, reason: EndReason::SessionEnded };
            self.builder.push(Channel::Meta, self.now_us, WALL_US + self.now_us, &end.encode()).unwrap();
        }

        let anchor = kinds.first() == Some(&PacketKind::Anchor);
        assert!(kinds.iter().skip(1).all(|kind| *kind == PacketKind::Delta));
        if anchor {
            self.anchor_seq = self.seq;
        }
        let head = FragmentHead {
            flags: Flags {
                key_frame: plan.want.is_some() || plan.repeat,
                anchor: anchor || plan.repeat,
                repeated: plan.repeat,
                first_of_segment: first,
                last: plan.last,
                gap_before: plan.gap_us > 0,
            },
            segment: self.segment,
            seq: self.seq,
            start_us,
            end_us: self.now_us,
            anchor_seq: self.anchor_seq,
            activity: changed as u32,
            events: 0,
            recording: self.recording,
            previous: self.previous,
            wall_us: WALL_US + start_us,
            width: plan.size.0,
            height: plan.size.1,
        };
        let signer = self.signer.as_ref().filter(|_| self.seq.is_multiple_of(3) || plan.last);
        let fragment = match signer {
            Some(signer) => self.builder.finish_signed(head, 3, signer, head.wall_us).unwrap(),
            None => self.builder.finish(head, 3).unwrap(),
        };
        self.previous = fragment.hash;
        self.seq += 1;
        if !plan.repeat {
            self.now_us = (self.now_us / SECOND + 1) * SECOND;
        }
        fragment
    }

    fn screen(
        &mut self,
        (width, height): (u32, u32),
        want: Want,
        after_us: u64,
        kinds: &mut Vec<PacketKind>,
    ) -> u64 {
        let data = picture(width, height, self.moment);
        let picture = Picture { width, height, stride: width as usize * 4, data: &data };
        let damage = [playhead_screen::Rect { x: 0, y: 0, width, height }];
        let at_us = self.now_us + after_us;
        let mut changed = 0;
        let encoder = &mut self.encoder;
        self.builder
            .push_with(Channel::Screen, at_us, WALL_US + at_us, |out| {
                let encoded = encoder.encode(&picture, &damage, want, out).unwrap();
                if let Some(encoded) = &encoded {
                    kinds.push(encoded.kind);
                    changed = encoded.changed_pixels;
                }
                Ok::<_, playhead_format::FormatError>(encoded.is_some())
            })
            .unwrap();
        changed
    }

    fn meta(&mut self, after_us: u64, message: &MetaMessage) {
        let at_us = self.now_us + after_us;
        self.builder.push(Channel::Meta, at_us, WALL_US + at_us, &message.encode()).unwrap();
    }

    fn cursor(&mut self, after_us: u64, message: &CursorMessage) {
        let at_us = self.now_us + after_us;
        self.builder.push(Channel::Cursor, at_us, WALL_US + at_us, &message.encode()).unwrap();
    }
}

fn shape() -> CursorMessage {
    let rgba = (0..4u8).flat_map(|row| [255, row * 60, 0, 255 - row]).collect();
    CursorMessage::Shape { width: 2, height: 2, hot_x: 1, hot_y: 0, rgba }
}

fn info(id: RecordingId) -> RecordingInfo {
    RecordingInfo {
        id,
        host: "host-1".into(),
        user: "alice".into(),
        display: ":10".into(),
        client: Some("laptop-7".into()),
        client_address: Some("192.0.2.7".into()),
        application: "desktop".into(),
        started_at: WallTime::from_micros(WALL_US as i64),
        agent_version: "0.1.0".into(),
        monitors: vec![Monitor { name: "DP-1".into(), x: 0, y: 0, width: 64, height: 40 }],
        session: None,
    }
}

/// Eight fragments: an anchor, changes, a key frame, quiet, an anchor of another size, a key frame after a gap, the end.
/// With rollovers before fragments 3 and 6: the first with the same anchor, which is a fragment more, the second with another.
fn recording(id: RecordingId, rollovers: bool) -> Vec<Fragment> {
    recording_by(Maker::new(id), rollovers)
}

/// The same without rollovers, every third fragment and the last signed.
pub(crate) fn recording_signed(id: RecordingId, signer: &Signer) -> Vec<Fragment> {
    recording_by(Maker { signer: Some(signer.clone()), ..Maker::new(id) }, false)
}

fn recording_by(mut maker: Maker, rollovers: bool) -> Vec<Fragment> {
    let (large, small) = ((64, 40), (49, 31));
    let base = Plan { size: large, active: true, ..Plan::default() };
    let again = Plan { repeat: true, rollover: true, active: false, ..base };
    let after_gap = if rollovers { Want::Anchor } else { Want::Key };
    let plans = [
        Some(Plan { want: Some(Want::Anchor), ..base }),
        Some(base),
        Some(base),
        rollovers.then_some(again),
        Some(Plan { want: Some(Want::Key), ..base }),
        Some(Plan { active: false, ..base }),
        Some(Plan { want: Some(Want::Anchor), size: small, ..base }),
        Some(Plan { gap_us: SECOND / 2, want: Some(after_gap), rollover: rollovers, size: small, ..base }),
        Some(Plan { size: small, last: true, ..base }),
    ];
    plans.into_iter().flatten().map(|plan| maker.make(plan)).collect()
}

fn finished(fragments: &[Fragment], lost: bool) -> Vec<u8> {
    finished_with(fragments, lost, |_| None)
}

pub(crate) fn finished_with(
    fragments: &[Fragment],
    lost: bool,
    seal: impl FnOnce(&SegmentIndex) -> Option<Vec<u8>>,
) -> Vec<u8> {
    let mut writer = SegmentWriter::new(Vec::new()).unwrap();
    for fragment in fragments {
        writer.append(&fragment.bytes, &fragment.head).unwrap();
    }
    writer.finish_with(lost, seal).unwrap();
    writer.into_inner()
}

/// A chunk with other records, its checksum right, not compressed.
fn chunk(records: &[u8], start_us: u64, end_us: u64) -> Vec<u8> {
    let mut content = Vec::new();
    for field in [start_us * 1_000, end_us * 1_000, records.len() as u64] {
        content.extend(field.to_le_bytes());
    }
    content.extend(crc32fast::hash(records).to_le_bytes());
    content.extend(0u32.to_le_bytes());
    content.extend((records.len() as u64).to_le_bytes());
    content.extend(records);
    record(0x06, &content)
}

fn record(opcode: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![opcode];
    bytes.extend((content.len() as u64).to_le_bytes());
    bytes.extend(content);
    bytes
}

fn message(channel: u16, at_us: u64, data: &[u8]) -> Vec<u8> {
    let mut content = channel.to_le_bytes().to_vec();
    content.extend([0; 4]);
    content.extend((at_us * 1_000).to_le_bytes());
    content.extend(((WALL_US + at_us) * 1_000).to_le_bytes());
    content.extend(data);
    record(0x05, &content)
}

/// The records of a fragment as a later version might write them: a longer head, channels, message types and pointer
/// kinds that we do not know.
fn later(fragment: &Fragment, previous: Hash) -> Vec<u8> {
    let open = open_fragment(&fragment.bytes).unwrap();
    let mut head = *open.head();
    head.previous = previous;
    let mut longer = head.encode().to_vec();
    longer[0] = 2;
    longer[1] |= 0x40;
    longer.extend(b"more of it");
    let mut records = message(1, head.start_us, &longer);
    let known: Vec<_> = open.messages().skip(1).map(Result::unwrap).collect();
    for known in &known {
        records.extend(message(known.channel, known.log_time_us, known.data));
    }
    let last_us = known.last().map_or(head.start_us, |known| known.log_time_us);
    records.extend(message(9, last_us, b"a channel of the specification's future"));
    records.extend(message(300, last_us, b"somebody's own channel"));
    records.extend(message(2, last_us, br#"{"type":"signature","by":"somebody"}"#));
    records.extend(message(4, last_us, &[7, 7]));
    chunk(&records, head.start_us, last_us)
}

fn later_version(fragments: &[Fragment]) -> Vec<u8> {
    let mut writer = SegmentWriter::new(Vec::new()).unwrap();
    let mut previous = genesis(RECORDING);
    for fragment in fragments {
        let bytes = later(fragment, previous);
        let open = open_fragment(&bytes).unwrap();
        previous = open.hash();
        writer.append_open(&bytes, &open).unwrap();
    }
    writer.finish().unwrap();
    writer.into_inner()
}

fn header_only(profile: &str) -> Vec<u8> {
    let mut content = (profile.len() as u32).to_le_bytes().to_vec();
    content.extend(profile.bytes());
    content.extend(4u32.to_le_bytes());
    content.extend(b"test");
    let mut bytes = b"\x89MCAP0\r\n".to_vec();
    bytes.extend(record(0x01, &content));
    bytes
}

/// A fragment of a few bytes that claims 60 MiB, the claim being as wrong as can be.
fn bomb() -> Vec<u8> {
    let size = 60u64 << 20;
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
    frame.extend(size.to_le_bytes());
    frame.extend([1, 0, 0]);
    let mut content = [0u8; 16].to_vec();
    content.extend(size.to_le_bytes());
    content.extend([0; 4]);
    content.extend(4u32.to_le_bytes());
    content.extend(b"zstd");
    content.extend((frame.len() as u64).to_le_bytes());
    content.extend(frame);
    record(0x06, &content)
}

/// Where the chunks of a whole file stand.
fn places(file: &[u8]) -> Vec<(usize, usize)> {
    let reader = SegmentReader::open(Cursor::new(file)).unwrap();
    let place = |offset: u64, length: u32| (offset as usize, offset as usize + length as usize);
    reader.index().entries.iter().map(|entry| place(entry.offset, entry.length)).collect()
}

fn flipped(file: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = file.to_vec();
    bytes[at] ^= 0x10;
    bytes
}

fn all() -> (Vec<Vector>, Files) {
    let (mut vectors, mut files) = (Vec::new(), Files::new());
    let mut one = |name: &str, about, bytes: Vec<u8>| {
        let file = format!("{name}.mcap");
        vectors.push(Vector { name: name.to_owned(), about, files: vec![file.clone()] });
        files.insert(file, bytes);
    };
    let fragments = recording(RECORDING, false);
    let whole = finished(&fragments, false);
    check_pictures(&whole);
    let places = places(&whole);
    let (first, last_end) = (places[0].0, places[places.len() - 1].1);
    let chunks: Vec<&[u8]> = places.iter().map(|&(start, end)| &whole[start..end]).collect();
    let of = |chunks: &[&[u8]]| [&whole[..first], &chunks.concat(), &whole[last_end..]].concat();
    let [c0, c1, c2, c3, c4, c5, c6, c7] = chunks[..] else { panic!("expected eight chunks") };

    one("whole", "a whole recording in one segment", whole.clone());
    one(
        "lost",
        "finished without an end: the agent was lost, and the index says so",
        finished(&fragments[..5], true),
    );
    one(
        "no-end",
        "finished without an end: the recording goes on elsewhere",
        finished(&fragments[..5], false),
    );
    one("uncompressed", "the fragments are not compressed", {
        let mut writer = SegmentWriter::new(Vec::new()).unwrap();
        for fragment in &fragments {
            let open = open_fragment(&fragment.bytes).unwrap();
            let last = open.messages().last().unwrap().unwrap().log_time_us;
            writer.append(&chunk(open.records(), open.head().start_us, last), &fragment.head).unwrap();
        }
        writer.finish().unwrap();
        writer.into_inner()
    });
    one("sound", "messages with sound, and some that make none", with_sound(&fragments));
    one(
        "later-version",
        "longer heads, and channels, messages and pointer kinds that version 1 does not know",
        later_version(&fragments),
    );

    one("unfinished", "ends after a fragment, without index and footer", whole[..last_end].to_vec());
    one("unfinished-early", "ends after the third fragment", whole[..places[2].1].to_vec());
    one("truncated", "cut off within a fragment", whole[..(places[5].0 + places[5].1) / 2].to_vec());
    one("truncated-prefix", "cut off within the length of a fragment", whole[..places[4].0 + 5].to_vec());
    one("truncated-index", "cut off within the index", whole[..last_end + 60].to_vec());
    one("truncated-footer", "cut off within the footer", whole[..whole.len() - 20].to_vec());
    one("truncated-magic", "cut off within the magic at the end", whole[..whole.len() - 3].to_vec());
    one("padded-zeros", "zeros follow the end", [&whole[..], &[0; 4_096]].concat());
    one(
        "padded-garbage",
        "text follows the end",
        [&whole[..], b"something that does not belong here"].concat(),
    );
    one("padded-twice", "the whole file follows the file", whole.repeat(2));
    one("unfinished-zeros", "unfinished, then zeros", [&whole[..last_end], &[0; 512]].concat());

    one(
        "flipped-content",
        "a bit changed in a fragment's compressed bytes",
        flipped(&whole, places[2].0 + 70),
    );
    one("flipped-first", "a bit changed in the first fragment", flipped(&whole, places[0].0 + 90));
    one("flipped-checksum", "a bit changed in a fragment's checksum", flipped(&whole, places[3].0 + 33));
    one("flipped-length", "a bit changed in a fragment's length", flipped(&whole, places[3].0 + 6));
    one("flipped-channel", "a bit changed in a channel's name", flipped(&whole, first - 20));
    one("flipped-index", "a bit changed in the index", flipped(&whole, last_end + 200));
    one("flipped-summary", "a bit changed in the summary", flipped(&whole, whole.len() - 100));
    one("flipped-footer", "a bit changed in the footer", flipped(&whole, whole.len() - 20));

    one("removed", "the third fragment was taken out", of(&[c0, c1, c3, c4, c5, c6, c7]));
    one("removed-last", "the last fragment was taken out", of(&[c0, c1, c2, c3, c4, c5, c6]));
    one("swapped", "the second and the third fragment changed places", of(&[c0, c2, c1, c3, c4, c5, c6, c7]));
    one("repeated", "the second fragment comes twice", of(&[c0, c1, c1, c2, c3, c4, c5, c6, c7]));
    one("exchanged", "the third fragment was made anew with another content, all its checksums right", {
        let mut builder = FragmentBuilder::new();
        let at_us = fragments[2].head.start_us + 1;
        let place = CursorMessage::Place { x: 1, y: 1, visible: false };
        builder.push(Channel::Cursor, at_us, WALL_US + at_us, &place.encode()).unwrap();
        let exchanged = builder.finish(fragments[2].head, 3).unwrap().bytes;
        of(&[c0, c1, &exchanged, c3, c4, c5, c6, c7])
    });
    one("foreign-fragment", "a fragment of another recording stands between", {
        let other = recording(RecordingId::from_bytes([7; 16]), false).swap_remove(1).bytes;
        of(&[c0, c1, &other, c2, c3, c4, c5, c6, c7])
    });
    one(
        "bomb",
        "a fragment of a few bytes that claims 60 MiB",
        of(&[c0, &bomb(), c1, c2, c3, c4, c5, c6, c7]),
    );

    one("foreign-profile", "an MCAP file of another program", header_only("ros2"));
    one("newer-profile", "a recording of a later, incompatible version", header_only("playhead/2"));
    one("no-fragments", "a header and nothing else", header_only("playhead"));
    one("not-mcap", "no MCAP file", b"GIF89a, or anything else that is no recording".to_vec());
    one("empty", "no bytes at all", Vec::new());
    one("magic-only", "nothing but the magic", whole[..8].to_vec());

    for (name, about, bytes) in lossy::all(&fragments).into_iter().chain(signed::all()) {
        one(name, about, bytes);
    }

    let segments = recording(RECORDING, true);
    let names: Vec<String> = (0..3).map(|number| format!("segments-{number}.mcap")).collect();
    for (name, fragments) in names.iter().zip([&segments[..3], &segments[3..7], &segments[7..]]) {
        files.insert(name.clone(), finished(fragments, false));
    }
    for (name, about, numbers) in [
        (
            "segments",
            "a recording in three segments, the second with the anchor of the first",
            &[0, 1, 2][..],
        ),
        ("segments-no-first", "the first of three segments is missing", &[1, 2]),
        ("segments-no-middle", "the second of three segments is missing", &[0, 2]),
        ("segments-no-last", "the last of three segments is missing", &[0, 1]),
    ] {
        let files = numbers.iter().map(|&number: &usize| names[number].clone()).collect();
        vectors.push(Vector { name: name.to_owned(), about, files });
    }
    (vectors, files)
}

/// The same fragments, the third and fourth with sound: as it should be, of an unknown kind, cut off, and of a time that cannot be.
fn with_sound(fragments: &[Fragment]) -> Vec<u8> {
    let sound = |at_us, begins, packets: &[&[u8]]| {
        let packets = packets.iter().map(|packet| packet.to_vec()).collect();
        AudioMessage { at_us, begins, channels: 2, packets }.encode()
    };
    let mut writer = SegmentWriter::new(Vec::new()).unwrap();
    let mut previous = fragments[0].head.previous;
    for fragment in fragments {
        let open = open_fragment(&fragment.bytes).unwrap();
        let mut builder = FragmentBuilder::new();
        for message in open.messages().skip(1).map(Result::unwrap) {
            let channel = Channel::from_id(message.channel).unwrap();
            builder.push(channel, message.log_time_us, message.publish_time_us, message.data).unwrap();
        }
        let end_us = fragment.head.end_us;
        let heard_us = end_us.saturating_sub(SECOND);
        let late = [
            // Heard before the fragment begins.
            sound(heard_us.saturating_sub(7), true, &[&[0xfc, 1, 2, 3], &[0xfc, 4], &[0xfc, 0xff]]),
            sound(heard_us + 60_000, false, &[&[0xf8]]),
            [&[9][..], &sound(heard_us, false, &[&[5]])].concat(),
            sound(heard_us, false, &[&[6, 6, 6]])[..16].to_vec(),
            sound(end_us + 1, false, &[&[7]]),
            sound(end_us, false, &[]),
        ];
        if (2..4).contains(&fragment.head.seq) {
            late.iter()
                .for_each(|data| builder.push(Channel::Audio, end_us, WALL_US + end_us, data).unwrap());
        }
        let made = builder.finish(FragmentHead { previous, ..fragment.head }, 3).unwrap();
        previous = made.hash;
        writer.append(&made.bytes, &made.head).unwrap();
    }
    writer.finish().unwrap();
    writer.into_inner()
}

/// Checks that what is played is what was drawn, at the end of every fragment.
fn check_pictures(whole: &[u8]) {
    let mut player = playhead_player::Player::new();
    assert!(player.push(whole));
    let mut moment = 0;
    for seq in 0..8 {
        moment += if seq == 4 { 0 } else { 2 };
        let (width, height) = if seq < 5 { (64, 40) } else { (49, 31) };
        player.step(player.head().map_or(0, |head| head.end_us + 1).max(1));
        while player.head().is_some_and(|head| head.seq < seq) {
            player.step(u64::MAX);
        }
        let end_us = player.head().unwrap().end_us;
        player.step(end_us);
        player.take_dirty();
        let drawn: Vec<u8> = picture(width, height, moment)
            .chunks(4)
            .flat_map(|pixel| [pixel[2], pixel[1], pixel[0], 255])
            .collect();
        assert_eq!((player.width(), player.height()), (width, height));
        assert!(player.rgba() == drawn, "picture after fragment {seq}");
    }
}
