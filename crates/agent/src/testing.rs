//! What several tests need.

use crate::{
    clock::Moment,
    recorder::{RecordError, Recorder, Sink},
};
use playhead_format::{Fragment, Hash, Signer};
use playhead_model::{RecordingId, RecordingInfo, RecordingSettings, WallTime};
use playhead_screen::{Picture, Rect};

/// Particulars of a recording whose id is made of `byte`.
pub(crate) fn info(byte: u8) -> RecordingInfo {
    RecordingInfo {
        id: RecordingId::from_bytes([byte; 16]),
        host: "pc1".into(),
        user: "anna".into(),
        display: ":7".into(),
        client: None,
        client_address: None,
        application: "desktop".into(),
        started_at: WallTime::from_micros(1_700_000_000_000_000),
        agent_version: "0".into(),
        monitors: Vec::new(),
        session: None,
    }
}

/// A moment of a recording.
pub(crate) fn at(media_us: u64) -> Moment {
    Moment { media_us, wall_us: 1_700_000_000_000_000 + media_us }
}

/// Keeps fragments, as long as there is room.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) fragments: Vec<Fragment>,
    pub(crate) is_full: bool,
}

impl Kept {
    pub(crate) fn new() -> Self {
        Self::default()
    }
}

impl Sink for Kept {
    type Error = KeptError;

    fn keep(&mut self, fragment: &Fragment) -> Result<(), KeptError> {
        if self.is_full {
            return Err(KeptError::Full);
        }
        self.fragments.push(fragment.clone());
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) enum KeptError {
    Full,
    #[expect(dead_code, reason = "shown when a test fails")]
    Record(RecordError),
}

impl From<RecordError> for KeptError {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
}

/// A small picture that can be drawn on.
pub(crate) struct Canvas {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) data: Vec<u8>,
    state: u32,
}

impl Canvas {
    pub(crate) fn new(width: u32, height: u32) -> Self {
        Self { width, height, data: vec![0x40; (width * height * 4) as usize], state: 1 }
    }

    pub(crate) fn picture(&self) -> Picture<'_> {
        Picture { width: self.width, height: self.height, stride: self.width as usize * 4, data: &self.data }
    }

    pub(crate) fn whole(&self) -> Rect {
        Rect { x: 0, y: 0, width: self.width, height: self.height }
    }

    /// Fills everything with noise that no codec can shorten.
    pub(crate) fn noise(&mut self) {
        for byte in &mut self.data {
            self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (self.state >> 24) as u8;
        }
    }

    /// Changes one pixel.
    pub(crate) fn dot(&mut self, number: u32) {
        let at = (number * 37 % (self.width * self.height)) as usize * 4;
        self.data[at] = self.data[at].wrapping_add(1 + (number % 7) as u8);
    }

    /// Its pixels as a decoder gives them.
    pub(crate) fn pixels(&self) -> Vec<u32> {
        let pixel = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
        self.data.chunks_exact(4).map(pixel).collect()
    }
}

/// Fragments of a sound recording: `segments` segments of `each` fragments, the first of each an anchor.
pub(crate) fn fragments(info: &RecordingInfo, segments: u64, each: u64) -> Vec<Fragment> {
    fragments_of(Recorder::new(info.clone(), rolling(), 1), 0, segments, each)
}

/// The same by a recorder that begins at a later time.
pub(crate) fn fragments_of(mut recorder: Recorder, from_us: u64, segments: u64, each: u64) -> Vec<Fragment> {
    let mut kept = Kept::new();
    for segment in 0..segments {
        // Another size makes every anchor one of its own.
        let mut canvas = Canvas::new(32 + segment as u32, 16);
        for number in 0..each {
            let now = at(from_us + segment * 61_000_000 + number * 2_000_000);
            canvas.dot((segment * each + number) as u32);
            recorder.picture(now, &canvas.picture(), &[canvas.whole()], &mut kept).unwrap();
            recorder.tick(at(now.media_us + 1_000_000), &mut kept).unwrap();
        }
    }
    assert_eq!(kept.fragments.len() as u64, segments * each);
    kept.fragments
}

/// A segment a minute.
pub(crate) fn rolling() -> RecordingSettings {
    RecordingSettings { rollover_seconds: 60, key_frame_seconds: 600, ..Default::default() }
}

/// Signs with a key that is the same each time. No test of this crate checks more than that a signature is over the right bytes.
pub(crate) fn signer() -> Signer {
    Signer::new([7; 32], |statement| {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(Hash::of(statement).as_bytes());
        signature
    })
}
