//! Playing a stream of fragments.

use crate::{Pointer, canvas::Canvas, video::Video};
use playhead_format::{
    Chain, ChainError, Channel, CursorMessage, FormatError, FragmentHead, OpenFragment, RecordSplitter,
    StreamState, meta, open_fragment,
};
use playhead_screen::{DecodeError, Decoder, PacketKind, packet_kind};

/// The most meta messages kept until they are taken; the oldest are dropped beyond.
const MAX_META: usize = 1_000;

/// How far a step came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Everything pushed is applied and the moment is not reached.
    NeedMore,
    /// The picture is right for the moment.
    Reached,
    /// The last fragment of the recording is applied.
    End,
    /// A fragment was applied and more are waiting.
    Again,
    /// Nothing more can be played from this stream; [`Player::error`] tells why.
    Error,
}

/// Decodes a stream of fragments up to any moment.
pub struct Player {
    splitter: RecordSplitter,
    decoder: Decoder,
    canvas: Canvas,
    pointer: Pointer,
    video: Video,
    /// The fragment being played repeats what is here already.
    skips_video: bool,
    meta: Vec<(u64, String)>,
    meta_json: Vec<u8>,
    /// The fragment that is being played, and the offset of the next message in it.
    current: Option<(OpenFragment, usize)>,
    /// The fragment that was played last or is being played.
    head: Option<FragmentHead>,
    /// The fragment whose anchor the decoder holds.
    anchor_seq: Option<u64>,
    /// Where play starts, while it has not.
    start: Option<Start>,
    chain: Option<Chain>,
    chain_ok: bool,
    position_us: Option<u64>,
    /// Whether a picture was applied since the last seek.
    shown: bool,
    /// Whether a fragment with sound was met.
    has_sound: bool,
    error: Option<String>,
}

/// With which fragment play starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// With the first that has an anchor.
    AnyAnchor,
    /// With this one, or, when it is missing, the next.
    At(u64),
}

/// What to do with a fragment.
enum Use {
    Play,
    AnchorOnly,
    Nothing,
}

/// Why the stream cannot be played on.
#[derive(Debug, thiserror::Error)]
enum PlayError {
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error("fragment {seq} has a picture that cannot be decoded: {error}; play on from the next key frame")]
    Decode { seq: u64, error: DecodeError },
    #[error("{0}; play on from the next key frame")]
    Gap(ChainError),
    #[error(
        "fragment {seq} belongs to another recording than the one before it; play each recording by itself"
    )]
    Foreign { seq: u64 },
    #[error("expected a key frame to start with, got fragment {seq}, which has none; start at a key frame")]
    NoKey { seq: u64 },
    #[error("fragment {seq} rests on the anchor in fragment {expected}, the player holds {}; push that fragment first", named(*.actual))]
    NoAnchor { seq: u64, expected: u64, actual: Option<u64> },
    #[error(
        "fragment {seq} has a picture of kind {actual:?}, expected {expected:?} at this place; the recording breaks the format's rules"
    )]
    Kind { seq: u64, expected: PacketKind, actual: PacketKind },
}

fn named(seq: Option<u64>) -> String {
    seq.map_or_else(|| "none".to_owned(), |seq| format!("that of fragment {seq}"))
}

fn is_with_sound(fragment: &OpenFragment) -> bool {
    fragment.messages().map_while(Result::ok).any(|message| message.channel == Channel::Audio.id())
}

impl Default for Player {
    fn default() -> Self {
        Self::new()
    }
}

impl Player {
    /// A player before its first stream. It starts with the first anchor it gets.
    pub fn new() -> Self {
        Self {
            splitter: RecordSplitter::new(),
            decoder: Decoder::new(),
            canvas: Canvas::default(),
            pointer: Pointer::default(),
            video: Video::default(),
            skips_video: false,
            meta: Vec::new(),
            meta_json: Vec::new(),
            current: None,
            head: None,
            anchor_seq: None,
            start: Some(Start::AnyAnchor),
            chain: None,
            chain_ok: true,
            position_us: None,
            shown: false,
            has_sound: false,
            error: None,
        }
    }

    /// Takes more bytes of the stream: Chunk records one after another, or a whole file; cut anywhere.
    /// Returns whether they were taken; when not, too much is waiting to be played, and [`Self::error`] says so.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        match self.splitter.push(bytes) {
            Ok(()) => true,
            Err(error) => {
                self.error = Some(error.to_string());
                false
            }
        }
    }

    /// Prepares for another position in the recording: drops what was pushed and any error, keeps the anchor. Play
    /// starts with fragment `first_seq`, which must be a key frame; fragments before it that are pushed serve as anchors
    /// only: their anchor's picture is decoded, and nothing of them is shown or told.
    pub fn seek(&mut self, first_seq: u64) {
        self.splitter.clear();
        self.current = None;
        self.start = Some(Start::At(first_seq));
        self.chain = None;
        self.chain_ok = true;
        self.position_us = None;
        self.shown = false;
        self.error = None;
    }

    /// Prepares for the stream's continuation after it broke off: drops the record that is not whole. What is pushed
    /// next must start with fragment [`Self::next_seq`].
    pub fn reset_stream(&mut self) {
        self.splitter.drop_incomplete();
    }

    /// Number of the fragment wanted next, after the whole ones that wait; `None` when not known.
    pub fn next_seq(&self) -> Option<u64> {
        let waiting = self.splitter.whole_records();
        match (&self.chain, self.start) {
            (Some(chain), _) => chain.next_seq().checked_add(waiting),
            (None, Some(Start::At(seq))) if waiting == 0 => Some(seq),
            _ => None,
        }
    }

    /// Applies the messages up to the media time, of at most one fragment.
    pub fn step(&mut self, until_us: u64) -> Step {
        if self.error.is_some() {
            return Step::Error;
        }
        self.try_step(until_us).unwrap_or_else(|error| {
            self.error = Some(error.to_string());
            self.current = None;
            Step::Error
        })
    }

    fn try_step(&mut self, until_us: u64) -> Result<Step, PlayError> {
        while self.current.is_none() {
            if let Some(step) = self.settled(until_us)? {
                return Ok(step);
            }
            let Some(record) = self.splitter.next()? else { return Ok(Step::NeedMore) };
            let fragment = open_fragment(record.bytes)?;
            match self.admit(&fragment)? {
                Use::Play => {
                    self.has_sound |= is_with_sound(&fragment);
                    self.head = Some(*fragment.head());
                    self.skips_video =
                        fragment.head().flags.repeated && self.anchor_seq == Some(fragment.head().anchor_seq);
                    self.current = Some((fragment, 0));
                }
                Use::AnchorOnly => self.take_anchor(&fragment)?,
                Use::Nothing => {}
            }
        }
        let Some((fragment, mut offset)) = self.current.take() else { return Ok(Step::NeedMore) };
        let head = *fragment.head();
        while let Some((message, next)) = fragment.message_at(offset)? {
            if message.log_time_us > until_us {
                self.reach(until_us);
                self.current = Some((fragment, offset));
                return Ok(Step::Reached);
            }
            self.apply(&head, message.channel, message.log_time_us, message.data)?;
            offset = next;
        }
        if head.flags.anchor && !self.skips_video {
            self.video.save();
        }
        self.reach(head.end_us.min(until_us));
        if let Some(step) = self.settled(until_us)? {
            return Ok(step);
        }
        Ok(if self.splitter.pending() > 0 { Step::Again } else { Step::NeedMore })
    }

    /// Whether the fragment played last, which is applied wholly, tells everything up to the moment.
    fn settled(&mut self, until_us: u64) -> Result<Option<Step>, PlayError> {
        let Some(head) = self.head.filter(|_| self.start.is_none()) else { return Ok(None) };
        if head.flags.last && until_us >= head.end_us {
            // What follows in a file is no longer played, but it must be what belongs there.
            while self.splitter.next()?.is_some() {
                self.chain_ok = false;
            }
            return Ok(Some(Step::End));
        }
        if until_us <= head.end_us {
            self.reach(until_us);
            return Ok(Some(Step::Reached));
        }
        Ok(None)
    }

    /// Notes that all is applied up to the moment. Time does not run back without a seek.
    fn reach(&mut self, us: u64) {
        if self.shown {
            self.position_us = Some(us.max(self.position_us.unwrap_or(0)));
        }
    }

    /// Decides what a fragment is good for, and checks that it follows.
    fn admit(&mut self, fragment: &OpenFragment) -> Result<Use, PlayError> {
        let head = fragment.head();
        match self.start {
            Some(Start::At(first)) if head.seq < first => {
                return Ok(if head.flags.anchor { Use::AnchorOnly } else { Use::Nothing });
            }
            Some(start) => {
                if start == Start::AnyAnchor && !head.flags.anchor {
                    return Err(PlayError::NoKey { seq: head.seq });
                }
                self.check_key(head)?;
                self.start = None;
                self.chain_ok = head.seq > 0 || Chain::new(head.recording).accept(fragment).is_ok();
                self.chain = Some(Chain::after(head, fragment.hash()));
                return Ok(Use::Play);
            }
            None => {}
        }
        let Some(chain) = &mut self.chain else { return Ok(Use::Nothing) };
        let Err(error) = chain.accept(fragment) else { return Ok(Use::Play) };
        self.chain_ok = false;
        match error {
            ChainError::Recording { .. } => return Err(PlayError::Foreign { seq: head.seq }),
            ChainError::Repeated { .. } => return Ok(Use::Nothing),
            // After missing fragments only a key frame shows the right picture.
            ChainError::Missing { .. } if self.check_key(head).is_err() => return Err(PlayError::Gap(error)),
            _ => {}
        }
        self.chain = Some(Chain::after(head, fragment.hash()));
        Ok(Use::Play)
    }

    fn check_key(&self, head: &FragmentHead) -> Result<(), PlayError> {
        if !head.flags.key_frame {
            Err(PlayError::NoKey { seq: head.seq })
        } else if !head.flags.anchor && self.anchor_seq != Some(head.anchor_seq) {
            Err(PlayError::NoAnchor { seq: head.seq, expected: head.anchor_seq, actual: self.anchor_seq })
        } else {
            Ok(())
        }
    }

    /// Decodes a fragment's anchor and nothing else.
    fn take_anchor(&mut self, fragment: &OpenFragment) -> Result<(), PlayError> {
        let FragmentHead { seq, anchor_seq, .. } = *fragment.head();
        if self.anchor_seq == Some(anchor_seq) {
            return Ok(());
        }
        for message in fragment.messages() {
            let message = message?;
            let taken = self.anchor_seq == Some(anchor_seq);
            if message.channel == Channel::Screen.id() && taken {
                // Pictures that follow the anchor within its fragment are none of a key frame's business.
                continue;
            }
            if message.channel == Channel::Screen.id() {
                let actual = packet_kind(message.data).map_err(|error| PlayError::Decode { seq, error })?;
                if actual != PacketKind::Anchor {
                    return Err(PlayError::Kind { seq, expected: PacketKind::Anchor, actual });
                }
                self.anchor_seq = None;
                self.decoder.decode(message.data).map_err(|error| PlayError::Decode { seq, error })?;
                self.anchor_seq = Some(anchor_seq);
                self.video.begin(self.decoder.width(), self.decoder.height());
            } else if message.channel == Channel::Video.id() && taken {
                self.video.apply(message.log_time_us, message.data)?;
            }
        }
        self.video.save();
        Ok(())
    }

    fn apply(&mut self, head: &FragmentHead, channel: u16, at_us: u64, data: &[u8]) -> Result<(), PlayError> {
        match Channel::from_id(channel) {
            Some(Channel::Screen) => self.apply_picture(head, data)?,
            Some(Channel::Video) if !self.skips_video => {
                let shows = self.video.apply(at_us, data)?;
                if shows {
                    self.canvas.note_all();
                }
            }
            Some(Channel::Cursor) => {
                if let Some(message) = CursorMessage::parse(data)? {
                    self.pointer.apply(message);
                }
            }
            Some(Channel::Meta) => {
                // Passed on as it is: the page knows the types, and ignores those it does not know.
                if let Some(text) = meta::text(data) {
                    if self.meta.len() >= MAX_META {
                        self.meta.remove(0);
                    }
                    self.meta.push((at_us, text.to_owned()));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn apply_picture(&mut self, head: &FragmentHead, packet: &[u8]) -> Result<(), PlayError> {
        let seq = head.seq;
        let refuse = |error| PlayError::Decode { seq, error };
        let actual = packet_kind(packet).map_err(refuse)?;
        // Seeking trusts the flags: a key frame that they do not tell of, or one of another kind, would show wrong pictures.
        let allowed = match actual {
            PacketKind::Anchor => head.flags.anchor,
            PacketKind::Key => head.flags.key_frame && !head.flags.anchor,
            PacketKind::Delta => !head.flags.repeated,
        };
        if !allowed {
            return Err(PlayError::Kind { seq, expected: PacketKind::Delta, actual });
        }
        let repeated = actual == PacketKind::Anchor && head.flags.repeated;
        if repeated && self.anchor_seq == Some(head.anchor_seq) {
            return Ok(());
        }
        if actual == PacketKind::Anchor {
            self.anchor_seq = None;
        }
        let changed = self.decoder.decode(packet).map_err(refuse)?.to_vec();
        let was_layered = self.is_layered();
        match actual {
            PacketKind::Anchor => {
                self.anchor_seq = Some(head.anchor_seq);
                self.video.begin(self.decoder.width(), self.decoder.height());
            }
            PacketKind::Key => self.video.restore(),
            PacketKind::Delta => {}
        }
        if actual != PacketKind::Delta && (was_layered || self.is_layered()) {
            self.canvas.note_all();
        }
        // What a repeated anchor shows is long past; the key frame after it shows the picture.
        if repeated {
            return Ok(());
        }
        self.shown = true;
        self.canvas.note(self.decoder.width(), self.decoder.height(), &changed);
        Ok(())
    }

    /// Bytes held and not played yet.
    pub const fn pending(&self) -> usize {
        self.splitter.pending()
    }

    /// Media time for which the picture is right; `None` before the first picture.
    pub const fn position_us(&self) -> Option<u64> {
        self.position_us
    }

    /// Head of the fragment played last or being played.
    pub const fn head(&self) -> Option<&FragmentHead> {
        self.head.as_ref()
    }

    /// Number of the fragment whose anchor is held.
    pub const fn anchor_seq(&self) -> Option<u64> {
        self.anchor_seq
    }

    /// Whether every fragment since the last seek followed the one before it.
    pub const fn chain_ok(&self) -> bool {
        self.chain_ok
    }

    /// Whether a fragment with sound was met.
    pub const fn has_sound(&self) -> bool {
        self.has_sound
    }

    /// Columns of the picture, 0 before the first.
    pub fn width(&self) -> u32 {
        self.canvas.width()
    }

    /// Rows of the picture, 0 before the first.
    pub fn height(&self) -> u32 {
        self.canvas.height()
    }

    /// Whether the size changed since last asked.
    pub fn take_resized(&mut self) -> bool {
        self.canvas.take_resized()
    }

    /// Brings [`Self::rgba`] up to date; returns how many rectangles changed since last asked.
    pub fn take_dirty(&mut self) -> usize {
        self.canvas.take_dirty(self.decoder.pixels(), &self.video.mask)
    }

    /// The rectangles of the last take: x, y, width, height each.
    pub fn dirty(&self) -> &[u32] {
        self.canvas.taken()
    }

    /// The picture as of the last take: R, G, B, 255 for each pixel, row by row. Where the video is shown the last is 0.
    pub fn rgba(&self) -> &[u8] {
        self.canvas.rgba()
    }

    /// Whether anything of the picture is shown from the video: pixels of [`Self::rgba`] that are transparent.
    pub fn is_layered(&self) -> bool {
        !self.video.mask.cells.is_empty()
    }

    /// Gives out the tasks for the video's decoder since last asked; returns how many.
    pub fn take_video(&mut self) -> usize {
        self.video.take()
    }

    /// Numbers, rectangles and bytes of these tasks: see [`crate::VIDEO_FIELDS`].
    pub fn video_tasks(&self) -> (&[f64], &[u32], &[u8]) {
        (self.video.fields(), self.video.rects(), self.video.bytes())
    }

    /// The pointer.
    pub const fn pointer(&mut self) -> &mut Pointer {
        &mut self.pointer
    }

    /// The meta messages applied since last asked, as a JSON array of `{"at_us", "message"}`; empty when there are none.
    pub fn take_meta(&mut self) -> &[u8] {
        self.meta_json.clear();
        for (number, (at_us, message)) in self.meta.drain(..).enumerate() {
            let opening = if number == 0 { "[" } else { "," };
            self.meta_json.extend(format!("{opening}{{\"at_us\":{at_us},\"message\":").bytes());
            self.meta_json.extend(message.bytes());
            self.meta_json.push(b'}');
        }
        if !self.meta_json.is_empty() {
            self.meta_json.push(b']');
        }
        &self.meta_json
    }

    /// The JSON of the last take.
    pub fn meta_json(&self) -> &[u8] {
        &self.meta_json
    }

    /// Why the stream cannot be played on; empty when it can.
    pub fn error(&self) -> &str {
        self.error.as_deref().unwrap_or_default()
    }

    /// What kind of stream it is.
    pub const fn stream_state(&self) -> StreamState {
        self.splitter.state()
    }
}
