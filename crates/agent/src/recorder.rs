//! Pictures and pointer in, fragments out: decides what is a key frame, where a fragment ends and where a segment does.
//!
//! Nothing here waits, reads a clock or writes a file: the caller says what time it is and takes the fragments. A fragment
//! that the caller could not keep is as if it had never been: see [`Recorder::lost`].

mod ending;
mod keys;
mod resume;
mod segment;

pub(crate) use ending::end_after;

use crate::{
    clock::Moment,
    coder::{Coded, Coder},
};
use keys::{AnchorUse, SinceKey};
use playhead_format::{
    AudioMessage, Chain, Channel, CursorMessage, EventMessage, Flags, FormatError, Fragment, FragmentBuilder,
    FragmentHead, MetaMessage, Signer,
};
use playhead_model::{
    AppliedMask, EndReason, Gap, GapCause, Mask, Monitor, PictureSettings, RecordingId, RecordingInfo,
    RecordingSettings,
};
use playhead_screen::{EncodeError, PacketKind, Picture, Rect, Want};

/// zstd's level: 1 costs least, and what the codec leaves over gains little from more.
const LEVEL: i32 = 1;
/// A fragment that has grown to this is closed at once: a seek fetches whole fragments, and a second of a film would be more
/// than all the rest of what it fetches.
const MOST_UNCOMPRESSED: usize = 96 << 10;
/// A segment goes on with the anchor of the one before while key frames cost at most this share of it.
const REPEAT_PERCENT: u64 = 50;
/// Between two pictures at most this counts as activity.
const MOST_ACTIVITY_US: u64 = 1_000_000;

/// A fragment with nothing but sound may take twice as long as others, but not longer than this: nobody waits for its picture.
const MOST_SOUND_MS: u32 = 2_000;

/// Why nothing could be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The encoder's refusal.
    #[error("cannot encode the picture: {0}")]
    Encode(#[from] EncodeError),
    /// The video encoder's refusal.
    #[error("cannot encode the picture as video: {0}")]
    Video(#[from] playhead_video::VideoError),
    /// A fragment that cannot be made.
    #[error("cannot make a fragment: {0}")]
    Format(#[from] FormatError),
    /// A fragment that does not follow the one before.
    #[error("cannot make a fragment that follows: {0}")]
    Chain(#[from] playhead_format::ChainError),
}

/// Takes finished fragments. Its error is handed through.
pub trait Sink {
    /// Why a fragment was not kept.
    type Error: From<RecordError>;

    /// Keeps a fragment.
    ///
    /// # Errors
    /// Why it was not kept.
    fn keep(&mut self, fragment: &Fragment) -> Result<(), Self::Error>;
}

/// What the pointer looks like and where it is.
#[derive(Debug, Default)]
struct Pointer {
    shape: Option<Vec<u8>>,
    place: Option<Vec<u8>>,
}

/// What the next picture becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Delta,
    Key,
    Anchor,
    /// A new segment with the same anchor, and a key frame on it.
    Repeated,
}

/// The fragment being filled.
#[derive(Debug, Clone, Copy)]
struct Filling {
    start: Moment,
    flags: Flags,
    activity: u64,
    /// Bytes of the packet at its start when that is a key frame or an anchor.
    key_packet: usize,
    /// Nothing but sound is in it.
    only_sound: bool,
    events: u32,
}

impl Filling {
    fn new(start: Moment) -> Self {
        Self { start, flags: Flags::default(), activity: 0, key_packet: 0, only_sound: false, events: 0 }
    }
}

/// Makes one recording.
pub struct Recorder {
    info: RecordingInfo,
    settings: RecordingSettings,
    watched: bool,
    coder: Coder,
    builder: FragmentBuilder,
    chain: Chain,
    /// The newest fragment that was kept.
    newest: Option<FragmentHead>,
    /// The next picture begins a segment with an anchor.
    fresh: bool,
    /// Declared with it.
    gap: Option<Gap>,
    segment_start_us: u64,
    segment_bytes: u64,
    since_key: SinceKey,
    anchor: AnchorUse,
    filling: Option<Filling>,
    size: (u32, u32),
    pointer: Pointer,
    /// Masks that have covered something.
    masks: Vec<AppliedMask>,
    signer: Option<Signer>,
    /// Media time at which the newest signed fragment ends.
    signed_us: Option<u64>,
    /// No sound from before is recorded: that of a declared gap.
    sound_from_us: u64,
}

impl Recorder {
    /// A recording of which nothing is there yet. `seed` is random and kept from those who are recorded.
    pub fn new(info: RecordingInfo, settings: RecordingSettings, seed: u64) -> Self {
        let chain = Chain::new(info.id);
        Self {
            info,
            settings,
            watched: false,
            coder: Coder::new(seed),
            builder: FragmentBuilder::new(),
            chain,
            newest: None,
            fresh: true,
            gap: None,
            segment_start_us: 0,
            segment_bytes: 0,
            since_key: SinceKey::default(),
            anchor: AnchorUse::default(),
            filling: None,
            size: (0, 0),
            pointer: Pointer::default(),
            masks: Vec::new(),
            signer: None,
            signed_us: None,
            sound_from_us: 0,
        }
    }

    /// The same recording, signed: the first and the last fragment of every segment, as far as it is known to be the last, the end,
    /// and fragments in between as often as the settings say.
    pub fn signed_by(self, signer: Signer) -> Self {
        Self { signer: Some(signer), ..self }
    }

    pub(crate) fn id(&self) -> RecordingId {
        self.info.id
    }

    pub(crate) fn settings(&self) -> &RecordingSettings {
        &self.settings
    }

    /// How the site wants it from now on.
    pub(crate) fn set_settings(&mut self, settings: RecordingSettings) {
        self.settings = settings;
    }

    /// How pictures are coded. It begins with the next picture, for which this is a reason.
    pub fn set_picture(&mut self, settings: PictureSettings) {
        self.coder.set(settings);
    }

    /// How pictures are coded.
    pub fn picture_settings(&self) -> &PictureSettings {
        self.coder.settings()
    }

    /// Whether somebody watches live.
    pub(crate) fn set_watched(&mut self, watched: bool) {
        self.watched = watched;
    }

    /// Whether the next thing must be a picture, even if nothing changed in it, because a segment begins or so much came without
    /// one that a seek would have to fetch too much.
    pub fn needs_picture(&self, at: Moment) -> bool {
        self.fresh || self.coder.needs_anchor() || self.is_segment_full(at) || self.since_key.is_much()
    }

    /// Media time at which [`Self::tick`] has something to do: at the latest when the fragment under way has to be closed.
    pub fn deadline(&self) -> Option<u64> {
        let RecordingSettings { fragment_ms, watched_fragment_ms, .. } = self.settings;
        let close = self.filling.map(|filling| {
            let ms = match (self.watched, filling.only_sound) {
                (true, _) => watched_fragment_ms,
                (false, false) => fragment_ms,
                (false, true) => fragment_ms.saturating_mul(2).min(MOST_SOUND_MS),
            };
            filling.start.media_us + u64::from(ms) * 1_000
        });
        close.into_iter().chain(self.still_at()).min()
    }

    /// Media time at which what moved counts as standing still. Not while a picture is needed anyway.
    fn still_at(&self) -> Option<u64> {
        self.coder.still_at().filter(|_| !self.fresh)
    }

    /// Something after the newest kept fragment is lost, or nothing was recorded for a while. The next picture begins a
    /// new segment and declares the gap.
    pub fn lost(&mut self, cause: GapCause) {
        self.builder.clear();
        self.filling = None;
        self.fresh = true;
        if self.gap.is_none()
            && let Some(newest) = &self.newest
        {
            self.gap = Some(Gap { from_us: newest.end_us, to_us: newest.end_us, cause });
        }
    }

    /// Takes the whole picture; `damage` covers at least what changed since the last.
    ///
    /// # Errors
    /// Those of the encoder and of the sink. Call [`Self::lost`] then.
    pub fn picture<S: Sink>(
        &mut self,
        at: Moment,
        picture: &Picture<'_>,
        damage: &[Rect],
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let next = self.next(at, picture);
        if next != Next::Delta {
            self.close(at, sink)?;
        }
        if next == Next::Repeated {
            self.repeat_anchor(at, sink)?;
        }
        let want = match next {
            Next::Delta => Want::Delta,
            Next::Key | Next::Repeated => Want::Key,
            Next::Anchor => Want::Anchor,
        };
        if self.fresh {
            self.begin_segment(at)?;
        }
        let whole = [Rect { x: 0, y: 0, width: picture.width, height: picture.height }];
        // Something may have been seen and then not been recorded: an anchor looks at everything.
        let damage = if want == Want::Anchor { &whole[..] } else { damage };
        let coded = self.coder.put(at, picture, damage, want, &mut self.builder)?;
        self.count(at, coded, sink)
    }

    /// Notes what was put into the fragment, and closes it when that is called for.
    fn count<S: Sink>(&mut self, at: Moment, coded: Option<Coded>, sink: &mut S) -> Result<(), S::Error> {
        let Some(coded) = coded else {
            debug_assert!(!self.fresh, "an anchor is never left out");
            return Ok(());
        };
        self.size = coded.size;
        self.count_activity(at);
        let filling = self.begin(at);
        filling.activity = filling.activity.saturating_add(coded.changed_pixels);
        if coded.kind != PacketKind::Delta {
            filling.flags.key_frame = true;
            filling.flags.anchor = coded.kind == PacketKind::Anchor;
            filling.key_packet = coded.bytes;
            self.since_key = SinceKey { picture_at: Some(at.media_us), ..SinceKey::default() };
            self.push_pointer(at)?;
        }
        if coded.kind == PacketKind::Anchor {
            self.fresh = false;
            self.anchor = self.anchor.next();
            // Alone in its fragment: whoever fetches the anchor fetches nothing else.
            return self.close(at, sink);
        }
        if self.builder.uncompressed_len() >= MOST_UNCOMPRESSED {
            return self.close(at, sink);
        }
        Ok(())
    }

    /// These masks cover something in the pictures from now on, or have done so before.
    ///
    /// # Errors
    /// A fragment that cannot be made.
    pub fn masked(&mut self, at: Moment, masks: &[Mask]) -> Result<(), RecordError> {
        let before = self.masks.len();
        for mask in masks {
            let is_known = |known: &AppliedMask| mask.applied(known.first_us) == *known;
            if !self.masks.iter().any(is_known) {
                self.masks.push(mask.applied(at.media_us));
            }
        }
        if self.masks.len() > before && !self.fresh {
            self.note_masks(at)?;
        }
        Ok(())
    }

    /// The monitors from now on.
    ///
    /// # Errors
    /// A fragment that cannot be made.
    pub fn monitors(&mut self, at: Moment, monitors: Vec<Monitor>) -> Result<(), RecordError> {
        if monitors == self.info.monitors {
            return Ok(());
        }
        self.info.monitors = monitors;
        if !self.fresh {
            self.begin(at);
            let note = MetaMessage::Monitors { monitors: self.info.monitors.clone() };
            self.builder.push(Channel::Meta, at.media_us, at.wall_us, &note.encode())?;
        }
        Ok(())
    }

    /// The pointer looks like this from now on.
    ///
    /// # Errors
    /// A fragment that cannot be made.
    pub fn shape(&mut self, at: Moment, shape: &CursorMessage) -> Result<(), RecordError> {
        let bytes = shape.encode();
        if self.pointer.shape.as_ref() == Some(&bytes) {
            return Ok(());
        }
        self.push_cursor(at, &bytes)?;
        self.pointer.shape = Some(bytes);
        Ok(())
    }

    /// The pointer is here from now on.
    ///
    /// # Errors
    /// A fragment that cannot be made.
    pub fn place(&mut self, at: Moment, x: i32, y: i32, visible: bool) -> Result<(), RecordError> {
        let bytes = CursorMessage::Place { x, y, visible }.encode();
        if self.pointer.place.as_ref() == Some(&bytes) {
            return Ok(());
        }
        self.push_cursor(at, &bytes)?;
        self.pointer.place = Some(bytes);
        Ok(())
    }

    /// This was heard. Sound is left out where it has no place: before the first picture and in a gap.
    ///
    /// # Errors
    /// A fragment that cannot be made.
    pub fn sound(&mut self, at: Moment, message: &AudioMessage) -> Result<(), RecordError> {
        if self.fresh || message.at_us < self.sound_from_us || !message.fits(at.media_us) {
            return Ok(());
        }
        self.builder.push(Channel::Audio, at.media_us, at.wall_us, &message.encode())?;
        let filling = Filling { only_sound: true, ..Filling::new(at) };
        self.filling.get_or_insert(filling);
        Ok(())
    }

    /// This happened in the session. Not before a segment's first picture.
    ///
    /// # Errors
    /// A fragment that cannot be made.
    pub fn event(&mut self, at: Moment, event: &EventMessage) -> Result<(), RecordError> {
        debug_assert!(!self.fresh, "a segment begins with a picture");
        self.builder.push(Channel::Event, at.media_us, at.wall_us, &event.encode())?;
        let filling = self.begin(at);
        filling.events = filling.events.saturating_add(1);
        Ok(())
    }

    /// Closes the fragment under way if its time is up, and codes what moved and stands still now once more, better.
    ///
    /// # Errors
    /// Those of the sink. Call [`Self::lost`] then.
    pub fn tick<S: Sink>(&mut self, at: Moment, sink: &mut S) -> Result<(), S::Error> {
        if self.still_at().is_some_and(|still_at| still_at <= at.media_us) {
            let coded = self.coder.settle(at, &mut self.builder)?;
            self.count(at, coded, sink)?;
        }
        match self.deadline() {
            Some(deadline) if deadline <= at.media_us => self.close(at, sink),
            _ => Ok(()),
        }
    }

    /// Ends the recording. Without a single fragment there is nothing to end.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn finish<S: Sink>(&mut self, at: Moment, reason: EndReason, sink: &mut S) -> Result<(), S::Error> {
        if self.newest.is_none() && self.filling.is_none() {
            return Ok(());
        }
        let filling = self.begin(at);
        filling.flags.last = true;
        if let Some(gap) = self.gap.take() {
            self.declare(at, gap)?;
        }
        let end = MetaMessage::End { at_us: at.media_us, reason };
        self.builder
            .push(Channel::Meta, at.media_us, at.wall_us, &end.encode())
            .map_err(RecordError::from)?;
        self.close(at, sink)
    }

    fn next(&mut self, at: Moment, picture: &Picture<'_>) -> Next {
        if self.fresh || (picture.width, picture.height) != self.size {
            self.fresh |= self.is_segment_full(at);
            return Next::Anchor;
        }
        if self.coder.needs_anchor() && !self.is_segment_full(at) {
            return Next::Anchor;
        }
        let outlived = self.anchor.is_outlived();
        let SinceKey { activity_us, key_bytes, .. } = self.since_key;
        if self.is_segment_full(at) {
            self.fresh = true;
            let worth = !outlived && key_bytes * 100 <= self.anchor.bytes * REPEAT_PERCENT;
            return if worth { Next::Repeated } else { Next::Anchor };
        }
        let due =
            activity_us >= u64::from(self.settings.key_frame_seconds) * 1_000_000 || self.since_key.is_much();
        match (due, outlived) {
            (false, _) => Next::Delta,
            (true, false) => Next::Key,
            (true, true) => Next::Anchor,
        }
    }

    /// Begins a segment with the anchor of the one before, alone in its fragment.
    fn repeat_anchor<S: Sink>(&mut self, at: Moment, sink: &mut S) -> Result<(), S::Error> {
        self.begin_segment(at)?;
        self.coder.repeat_anchor(at, &mut self.builder)?;
        let filling = self.begin(at);
        filling.flags = Flags { key_frame: true, anchor: true, repeated: true, ..filling.flags };
        self.push_pointer(at)?;
        self.fresh = false;
        self.close(at, sink)
    }

    fn count_activity(&mut self, at: Moment) {
        let since = self.since_key.picture_at.map_or(0, |before| at.media_us.saturating_sub(before));
        self.since_key.activity_us += since.min(MOST_ACTIVITY_US);
        self.since_key.picture_at = Some(at.media_us);
    }

    /// The fragment under way, begun now if there is none.
    fn begin(&mut self, at: Moment) -> &mut Filling {
        let filling = self.filling.get_or_insert(Filling::new(at));
        filling.only_sound = false;
        filling
    }

    /// Puts in what stands at the start of a segment.
    fn begin_segment(&mut self, at: Moment) -> Result<(), RecordError> {
        self.begin(at).flags.first_of_segment = true;
        let info = MetaMessage::Recording { info: Box::new(self.info.clone()) };
        self.builder.push(Channel::Meta, at.media_us, at.wall_us, &info.encode())?;
        if let Some(gap) = self.gap.clone() {
            self.declare(at, gap)?;
        }
        if !self.masks.is_empty() {
            self.note_masks(at)?;
        }
        self.segment_start_us = at.media_us;
        self.segment_bytes = 0;
        Ok(())
    }

    fn note_masks(&mut self, at: Moment) -> Result<(), RecordError> {
        self.begin(at);
        let note = MetaMessage::Mask { masks: self.masks.clone() };
        Ok(self.builder.push(Channel::Meta, at.media_us, at.wall_us, &note.encode())?)
    }

    fn declare(&mut self, at: Moment, gap: Gap) -> Result<(), RecordError> {
        self.begin(at).flags.gap_before = true;
        self.sound_from_us = at.media_us;
        let gap = MetaMessage::from(Gap { to_us: at.media_us, ..gap });
        Ok(self.builder.push(Channel::Meta, at.media_us, at.wall_us, &gap.encode())?)
    }

    fn push_pointer(&mut self, at: Moment) -> Result<(), RecordError> {
        for bytes in [&self.pointer.shape, &self.pointer.place].into_iter().flatten() {
            self.builder.push(Channel::Cursor, at.media_us, at.wall_us, bytes)?;
        }
        Ok(())
    }

    fn push_cursor(&mut self, at: Moment, bytes: &[u8]) -> Result<(), RecordError> {
        // Before a segment's first picture it is only remembered: it comes with that picture.
        if !self.fresh {
            self.builder.push(Channel::Cursor, at.media_us, at.wall_us, bytes)?;
            self.begin(at);
        }
        Ok(())
    }

    fn close<S: Sink>(&mut self, at: Moment, sink: &mut S) -> Result<(), S::Error> {
        let Some(filling) = self.filling.take() else { return Ok(()) };
        let uncompressed = self.builder.uncompressed_len();
        let fragment = self.seal(filling, at)?;
        let (head, length) = (fragment.head, fragment.bytes.len() as u64);
        let mut chain = self.chain;
        chain.accept_head(&head, fragment.hash).map_err(RecordError::from)?;
        sink.keep(&fragment)?;
        (self.chain, self.newest) = (chain, Some(head));
        if head.flags.gap_before {
            self.gap = None;
        }
        self.segment_bytes += length;
        // Its share of the fragment tells what a key frame costs. What one after an anchor costs is not known yet.
        let share = filling.key_packet as u64 * length / (uncompressed as u64).max(1);
        if head.flags.anchor {
            self.anchor.bytes = length;
        } else if head.flags.key_frame {
            self.since_key.key_bytes = share;
            self.anchor.count_key(share);
        }
        self.since_key.bytes += length - share.min(length);
        Ok(())
    }

    fn seal(&mut self, filling: Filling, at: Moment) -> Result<Fragment, RecordError> {
        let flags = filling.flags;
        let seq = self.chain.next_seq();
        let segment = match (&self.newest, flags.first_of_segment) {
            (None, _) => 0,
            (Some(newest), true) => newest.segment + 1,
            (Some(newest), false) => newest.segment,
        };
        let anchor_seq = match &self.newest {
            Some(newest) if !flags.anchor || flags.repeated => newest.anchor_seq,
            _ => seq,
        };
        let start_us = filling.start.media_us.max(self.newest.map_or(0, |newest| newest.end_us));
        let head = FragmentHead {
            flags,
            segment,
            seq,
            start_us,
            end_us: at.media_us.max(start_us),
            anchor_seq,
            activity: u32::try_from(filling.activity).unwrap_or(u32::MAX),
            events: filling.events,
            recording: self.info.id,
            previous: self.chain.head(),
            wall_us: filling.start.wall_us,
            width: self.size.0,
            height: self.size.1,
        };
        let since = self.signed_us.map(|signed| head.end_us.saturating_sub(signed));
        let is_due = flags.last
            || flags.first_of_segment
            || since.is_none_or(|since| since >= u64::from(self.settings.signature_seconds) * 1_000_000)
            || self.is_segment_full(at);
        Ok(match self.signer.as_ref().filter(|_| is_due) {
            Some(signer) => {
                self.signed_us = Some(head.end_us);
                self.builder.finish_signed(head, LEVEL, signer, at.wall_us)?
            }
            None => self.builder.finish(head, LEVEL)?,
        })
    }
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
