//! Recordings made by the agent's recorder, and what a forger needs to make others of them.
#![allow(clippy::unwrap_used, dead_code, reason = "a test may fail by it; not every test needs all")]

use playhead_agent::{Moment, RecordError, Recorder, Sink};
use playhead_format::{
    Channel, Closing, Flags, Fragment, FragmentBuilder, FragmentHead, Hash, IndexEntry, MetaMessage, Sealer,
    SegmentIndex, SegmentWriter, Signer, genesis, open_fragment, scan,
};
use playhead_model::{EndReason, RecordingId, RecordingInfo, RecordingSettings, WallTime};
use playhead_net::{Authority, NodeKey, SigningCertificate};
use playhead_proof::{Proved, Trust, prove};
use playhead_screen::{Picture, Rect};
use std::{io::Cursor, sync::Arc};

pub(crate) const WALL_US: u64 = 1_793_350_800_000_000;
const SECOND: u64 = 1_000_000;
const YEAR: i64 = 365 * 86_400;

/// A key with its signer and certificates.
#[derive(Clone)]
pub(crate) struct Party {
    pub(crate) signer: Signer,
    pub(crate) certificate: String,
}

/// An authority with a folder of its own, deleted at the end.
pub(crate) struct House {
    pub(crate) authority: Authority,
}

impl House {
    pub(crate) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("playhead-proof-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let authority = Authority::load_or_create(&folder, name).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        Self { authority }
    }

    pub(crate) fn party(&self, role: &str, name: &str) -> Party {
        self.party_between(role, name, -YEAR, YEAR)
    }

    /// One whose certificate is valid from and to so many seconds after the recordings.
    pub(crate) fn party_between(&self, role: &str, name: &str, from: i64, to: i64) -> Party {
        let key = Arc::new(NodeKey::generate().unwrap());
        let now = (WALL_US / SECOND) as i64;
        let public = key.public_bytes();
        let wanted = SigningCertificate {
            role,
            id: "00000000-0000-0000-0000-000000000001",
            name,
            key: public,
            not_before: now + from,
            not_after: now + to,
        };
        let certificate = self.authority.issue(wanted).unwrap();
        Party { signer: Signer::new(public, move |statement| key.sign(statement)), certificate }
    }

    pub(crate) fn sealer(&self, site: &Party, agent: Option<&Party>) -> Sealer {
        Sealer {
            site: "site".into(),
            key: site.signer.key(),
            certificates: vec![site.certificate.clone()],
            agent_certificates: agent.iter().map(|agent| agent.certificate.clone()).collect(),
            authorities: vec![self.authority.chain().to_owned()],
        }
    }

    pub(crate) fn trust(&self, more: &str) -> Trust {
        Trust::from_pem(&format!("{}{more}", self.authority.chain())).unwrap()
    }
}

struct Kept(Vec<Fragment>);

#[derive(Debug)]
pub(crate) struct KeptError(#[expect(dead_code, reason = "shown when a test fails")] RecordError);

impl From<RecordError> for KeptError {
    fn from(error: RecordError) -> Self {
        Self(error)
    }
}

impl Sink for Kept {
    type Error = KeptError;

    fn keep(&mut self, fragment: &Fragment) -> Result<(), KeptError> {
        self.0.push(fragment.clone());
        Ok(())
    }
}

fn info(id: RecordingId) -> RecordingInfo {
    RecordingInfo {
        id,
        host: "pc1".into(),
        user: "anna".into(),
        display: ":7".into(),
        client: None,
        client_address: None,
        application: "desktop".into(),
        started_at: WallTime::from_micros(WALL_US as i64),
        agent_version: "0.1.0".into(),
        monitors: Vec::new(),
        session: None,
    }
}

/// Records a session of three segments.
pub(crate) fn record(byte: u8, signer: Option<&Signer>) -> Vec<Fragment> {
    let settings = RecordingSettings { rollover_seconds: 60, key_frame_seconds: 20, ..Default::default() };
    let recorder = Recorder::new(info(RecordingId::from_bytes([byte; 16])), settings, 7);
    let mut recorder = match signer {
        Some(signer) => recorder.signed_by(signer.clone()),
        None => recorder,
    };
    let mut kept = Kept(Vec::new());
    let mut data = vec![0x40u8; 48 * 32 * 4];
    let at = |seconds: u64| Moment { media_us: seconds * SECOND, wall_us: WALL_US + seconds * SECOND };
    for step in 0..20u64 {
        for dot in 0..20 {
            let place = ((step * 131 + dot * 37 + u64::from(byte)) % (48 * 32)) as usize * 4;
            data[place] = data[place].wrapping_add(17);
        }
        let picture = Picture { width: 48, height: 32, stride: 48 * 4, data: &data };
        let whole = Rect { x: 0, y: 0, width: 48, height: 32 };
        recorder.picture(at(step * 8), &picture, &[whole], &mut kept).unwrap();
        recorder.tick(at(step * 8 + 1), &mut kept).unwrap();
    }
    recorder.finish(at(161), EndReason::SessionEnded, &mut kept).unwrap();
    kept.0
}

/// Fragments by segment.
pub(crate) fn by_segment(fragments: &[Fragment]) -> Vec<Vec<Fragment>> {
    fragments.chunk_by(|one, two| one.head.segment == two.head.segment).map(<[Fragment]>::to_vec).collect()
}

/// The files of a recording, sealed.
pub(crate) fn files(fragments: &[Fragment], lost: bool, sealer: &Sealer, site: &Signer) -> Vec<Vec<u8>> {
    let segments = by_segment(fragments);
    let count = segments.len();
    let file = |(at, segment): (usize, Vec<Fragment>)| {
        let closing = match (at + 1 == count, lost) {
            (true, true) => Closing::Lost,
            (true, false) => Closing::Ended,
            (false, _) => Closing::Continues,
        };
        assemble(&segment, closing, |index| seal(sealer, site, index))
    };
    segments.into_iter().enumerate().map(file).collect()
}

/// The files as the site writes them, with all their checksums.
pub(crate) fn written(fragments: &[Fragment], sealer: &Sealer, site: &Signer) -> Vec<Vec<u8>> {
    let file = |segment: &Vec<Fragment>| {
        let mut writer = SegmentWriter::new(Vec::new()).unwrap();
        for fragment in segment {
            writer.append(&fragment.bytes, &fragment.head).unwrap();
        }
        writer.finish_with(false, |index| seal(sealer, site, index)).unwrap();
        writer.into_inner()
    };
    by_segment(fragments).iter().map(file).collect()
}

pub(crate) fn seal(sealer: &Sealer, site: &Signer, index: &SegmentIndex) -> Option<Vec<u8>> {
    sealer.clone().seal(index, site, WallTime::from_micros(WALL_US as i64 + 200_000_000))
}

fn put(out: &mut Vec<u8>, opcode: u8, content: &[u8]) {
    out.push(opcode);
    out.extend((content.len() as u64).to_le_bytes());
    out.extend(content);
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

fn attachment(name: &str, data: &[u8]) -> Vec<u8> {
    let times = [0; 16].to_vec();
    let length = (data.len() as u64).to_le_bytes().to_vec();
    // Checksum 0: none was made.
    [times, text(name), text("application/octet-stream"), length, data.to_vec(), vec![0; 4]].concat()
}

/// A finished file of any fragments, whether or not they follow one another, with an index that tells what is there.
pub(crate) fn assemble(
    fragments: &[Fragment],
    closing: Closing,
    seal: impl FnOnce(&SegmentIndex) -> Option<Vec<u8>>,
) -> Vec<u8> {
    const MAGIC: &[u8] = b"\x89MCAP0\r\n";
    let mut out = MAGIC.to_vec();
    put(&mut out, 0x01, &[text("playhead"), text("playhead/0.1.0")].concat());
    let mut index = SegmentIndex::empty(fragments[0].head.recording);
    (index.segment, index.previous, index.closing) =
        (fragments[0].head.segment, fragments[0].head.previous, closing);
    let mut summary = Vec::new();
    for fragment in fragments {
        let (at, length) = (out.len() as u64, fragment.bytes.len());
        index.entries.push(IndexEntry::new(&fragment.head, at, length as u32));
        index.head = fragment.hash;
        let places = [0, 0, at, length as u64].map(u64::to_le_bytes).concat();
        put(&mut summary, 0x08, &[places, vec![0; 12], text("zstd"), vec![0; 16]].concat());
        out.extend(&fragment.bytes);
    }
    put(&mut out, 0x09, &attachment("playhead/index", &index.encode()));
    if let Some(seal) = seal(&index) {
        put(&mut out, 0x09, &attachment("playhead/seal", &seal));
    }
    put(&mut out, 0x0f, &[0; 4]);
    let summary_at = out.len() as u64;
    out.extend(summary);
    put(&mut out, 0x02, &[&summary_at.to_le_bytes()[..], &[0; 12]].concat());
    out.extend(MAGIC);
    out
}

pub(crate) fn judge(files: &[Vec<u8>], trust: Option<&Trust>) -> Proved {
    let scans = files.iter().enumerate();
    prove(scans.map(|(at, file)| (format!("{at}.mcap"), scan(Cursor::new(&file[..])))), trust)
}

/// A fragment taken apart.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) head: FragmentHead,
    pub(crate) messages: Vec<(u16, u64, u64, Vec<u8>)>,
}

impl Part {
    pub(crate) fn of(fragment: &Fragment) -> Self {
        let open = open_fragment(&fragment.bytes).unwrap();
        let messages = open.messages().skip(1).map(Result::unwrap);
        let messages = messages
            .map(|message| {
                (message.channel, message.log_time_us, message.publish_time_us, message.data.to_vec())
            })
            .collect();
        Self { head: fragment.head, messages }
    }

    pub(crate) fn is_signed(&self) -> bool {
        self.messages.iter().any(is_signature)
    }

    /// Takes the signature away.
    pub(crate) fn strip(&mut self) {
        self.messages.retain(|message| !is_signature(message));
    }

    /// Moves everything in it to one moment.
    pub(crate) fn at(&mut self, media_us: u64) {
        (self.head.start_us, self.head.end_us) = (media_us, media_us);
        self.messages.iter_mut().for_each(|message| message.1 = media_us);
    }

    /// The fragment that this is now, signed anew by `signer` where it was signed.
    pub(crate) fn build(mut self, signer: Option<&Signer>) -> Fragment {
        let signer = signer.filter(|_| self.is_signed());
        if signer.is_some() {
            self.strip();
        }
        let mut builder = FragmentBuilder::new();
        for (channel, media_us, wall_us, data) in &self.messages {
            builder.push(Channel::from_id(*channel).unwrap(), *media_us, *wall_us, data).unwrap();
        }
        match signer {
            Some(signer) => builder.finish_signed(self.head, 1, signer, self.head.wall_us).unwrap(),
            None => builder.finish(self.head, 1).unwrap(),
        }
    }
}

fn is_signature(message: &(u16, u64, u64, Vec<u8>)) -> bool {
    message.0 == Channel::Meta.id() && matches!(MetaMessage::parse(&message.3), MetaMessage::Signature { .. })
}

/// Numbers and chains parts anew from `from` on, so that every hash is right again.
pub(crate) fn chained(
    original: &[Fragment],
    parts: Vec<Part>,
    from: usize,
    signer: Option<&Signer>,
) -> Vec<Fragment> {
    let mut out: Vec<Fragment> = original[..from].to_vec();
    let id = original[0].head.recording;
    let mut anchor = out.last().map_or(0, |last| last.head.anchor_seq);
    for mut part in parts.into_iter().skip(from) {
        let seq = out.len() as u64;
        let Flags { anchor: is_anchor, repeated, .. } = part.head.flags;
        if is_anchor && !repeated {
            anchor = seq;
        }
        part.head = FragmentHead {
            recording: id,
            seq,
            anchor_seq: anchor,
            previous: out.last().map_or(genesis(id), |last: &Fragment| last.hash),
            ..part.head
        };
        out.push(part.build(signer));
    }
    out
}

/// BLAKE3 of all files, to see that two recordings differ.
pub(crate) fn digest(files: &[Vec<u8>]) -> Hash {
    Hash::of(&files.concat())
}
