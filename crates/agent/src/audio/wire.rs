//! How PulseAudio's native protocol looks on the wire, as far as it is needed to listen to a sink.
//!
//! Everything read here comes from a server that the recorded user may have written: it is bounded before it is looked at.

/// The version of the protocol that is spoken: PulseAudio 5 of 2014, and everything since.
pub(super) const VERSION: u32 = 28;

/// Bytes before every frame: length, channel, offset (two words), flags.
pub(super) const PREFIX: usize = 20;

/// The most bytes of a frame. PulseAudio's blocks of sound have at most 64 KiB, its answers far less.
const MAX_FRAME: usize = 1 << 20;

/// The channel of commands and answers.
const CONTROL: u32 = u32::MAX;

/// Bytes of the secret that lets a client in.
pub(super) const COOKIE: usize = 256;

const ERROR: u32 = 0;
const REPLY: u32 = 2;
const CREATE_RECORD_STREAM: u32 = 5;
const DELETE_RECORD_STREAM: u32 = 6;
const AUTH: u32 = 8;
const SET_CLIENT_NAME: u32 = 9;
const GET_SERVER_INFO: u32 = 20;
const SUBSCRIBE: u32 = 35;
const GET_RECORD_LATENCY: u32 = 57;
const RECORD_STREAM_KILLED: u32 = 65;
const SUBSCRIBE_EVENT: u32 = 66;

/// Tells of changes of the server itself, the default sink among them.
const SERVER_EVENTS: u32 = 0x80;

/// 16 bits, signed, little endian.
const S16LE: u8 = 3;

/// What a server said that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    /// A frame that is too large, or of a kind that was not agreed upon.
    #[error(
        "the sound server sent a frame of {length} bytes with flags {flags:#x}, expected at most {MAX_FRAME} and none"
    )]
    Frame {
        /// Its length.
        length: usize,
        /// Its flags.
        flags: u32,
    },
    /// A message that ends too early or has another field than expected.
    #[error("the sound server sent a message that makes no sense: {0}")]
    Message(String),
}

/// One frame from the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// The answer to the request with this number; the rest depends on the request.
    Reply(u32, Fields<'a>),
    /// The request with this number was refused, with a code of PulseAudio's.
    Refused(u32, u32),
    /// The stream was ended by the server.
    Killed,
    /// Something about the server changed.
    Changed,
    /// Sound of a stream.
    Sound(u32, &'a [u8]),
    /// Anything else.
    Other,
}

/// Takes the first frame off `bytes`; the second is its length. `None` while it is not whole.
///
/// # Errors
/// A frame that makes no sense.
pub(super) fn frame(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, WireError> {
    let Some((prefix, rest)) = bytes.split_at_checked(PREFIX) else { return Ok(None) };
    let word = |at: usize| u32::from_be_bytes([prefix[at], prefix[at + 1], prefix[at + 2], prefix[at + 3]]);
    let (length, channel, flags) = (word(0) as usize, word(4), word(16));
    // The lowest byte says how a block of sound is placed, which is always "next" in what is recorded.
    if length > MAX_FRAME || flags & !0xff != 0 {
        return Err(WireError::Frame { length, flags });
    }
    let Some(content) = rest.get(..length) else { return Ok(None) };
    let whole = PREFIX + length;
    if channel != CONTROL {
        return Ok(Some((Frame::Sound(channel, content), whole)));
    }
    let mut fields = Fields { left: content };
    let (command, tag) = (fields.u32()?, fields.u32()?);
    let frame = match command {
        REPLY => Frame::Reply(tag, fields),
        ERROR => Frame::Refused(tag, fields.u32()?),
        RECORD_STREAM_KILLED => Frame::Killed,
        SUBSCRIBE_EVENT => Frame::Changed,
        _ => Frame::Other,
    };
    Ok(Some((frame, whole)))
}

/// What PulseAudio's codes of refusal mean, as far as they are met here.
pub(super) fn refusal(code: u32) -> &'static str {
    match code {
        1 | 9 => "access denied",
        5 => "no such sink",
        7 | 17 => "another version of the protocol",
        _ => "refused",
    }
}

/// The fields of a message, each preceded by a byte that tells its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fields<'a> {
    left: &'a [u8],
}

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let short = || WireError::Message(format!("expected {count} bytes more, got {}", self.left.len()));
        let (taken, left) = self.left.split_at_checked(count).ok_or_else(short)?;
        self.left = left;
        Ok(taken)
    }

    fn tag(&mut self, expected: u8) -> Result<(), WireError> {
        let actual = self.take(1)?[0];
        if actual == expected {
            return Ok(());
        }
        let (expected, actual) = (char::from(expected), char::from(actual).escape_default());
        Err(WireError::Message(format!("expected a field of kind '{expected}', got '{actual}'")))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, WireError> {
        self.tag(b'L')?;
        self.array().map(u32::from_be_bytes)
    }

    /// A length of time in microseconds.
    pub(super) fn usec(&mut self) -> Result<u64, WireError> {
        self.tag(b'U')?;
        self.array().map(u64::from_be_bytes)
    }

    /// A text; `None` where there is none.
    pub(super) fn text(&mut self) -> Result<Option<&'a [u8]>, WireError> {
        match self.take(1)?[0] {
            b'N' => Ok(None),
            b't' => {
                let end = self.left.iter().position(|&byte| byte == 0);
                let end = end.ok_or_else(|| WireError::Message("a text without an end".into()))?;
                let text = self.take(end)?;
                self.take(1)?;
                Ok(Some(text))
            }
            other => Err(WireError::Message(format!("expected a text, got a field of kind {other}"))),
        }
    }

    /// Passes over a sample format.
    pub(super) fn sample_spec(&mut self) -> Result<(), WireError> {
        self.tag(b'a')?;
        self.take(6).map(|_| ())
    }
}

/// A request being put together.
struct Request {
    bytes: Vec<u8>,
}

impl Request {
    fn new(command: u32, tag: u32) -> Self {
        Self { bytes: vec![0; PREFIX] }.u32(command).u32(tag)
    }

    fn raw(mut self, kind: u8, bytes: &[u8]) -> Self {
        self.bytes.push(kind);
        self.bytes.extend(bytes);
        self
    }

    fn u32(self, value: u32) -> Self {
        self.raw(b'L', &value.to_be_bytes())
    }

    fn bool(self, value: bool) -> Self {
        self.raw(if value { b'1' } else { b'0' }, &[])
    }

    /// `text` has no zero byte in it: whoever calls made it, or it came out of a text of the same kind.
    fn text(self, text: &[u8]) -> Self {
        self.raw(b't', text).zero()
    }

    fn zero(mut self) -> Self {
        self.bytes.push(0);
        self
    }

    fn arbitrary(self, bytes: &[u8]) -> Self {
        let length = (bytes.len() as u32).to_be_bytes();
        let mut request = self.raw(b'x', &length);
        request.bytes.extend(bytes);
        request
    }

    /// A list of properties with texts as values.
    fn properties(self, properties: &[(&str, &str)]) -> Self {
        let mut request = self.raw(b'P', &[]);
        for (name, value) in properties {
            let value = [value.as_bytes(), &[0]].concat();
            request = request.text(name.as_bytes()).u32(value.len() as u32).arbitrary(&value);
        }
        request.raw(b'N', &[])
    }

    fn finish(mut self) -> Vec<u8> {
        let length = (self.bytes.len() - PREFIX) as u32;
        self.bytes[..4].copy_from_slice(&length.to_be_bytes());
        self.bytes[4..8].copy_from_slice(&CONTROL.to_be_bytes());
        self.bytes
    }
}

/// The first request: which version is spoken, and the secret.
pub(super) fn auth(tag: u32, cookie: &[u8; COOKIE]) -> Vec<u8> {
    Request::new(AUTH, tag).u32(VERSION).arbitrary(cookie).finish()
}

/// The second: who it is.
pub(super) fn set_client_name(tag: u32) -> Vec<u8> {
    let properties = [("application.name", "Playhead"), ("application.id", "playhead")];
    Request::new(SET_CLIENT_NAME, tag).properties(&properties).finish()
}

/// Asks to be told when the default sink changes.
pub(super) fn subscribe(tag: u32) -> Vec<u8> {
    Request::new(SUBSCRIBE, tag).u32(SERVER_EVENTS).finish()
}

/// Asks for the default sink; [`default_sink`] reads the answer.
pub(super) fn get_server_info(tag: u32) -> Vec<u8> {
    Request::new(GET_SERVER_INFO, tag).finish()
}

/// The default sink's name in the answer to [`get_server_info`]; `None` when there is none.
///
/// # Errors
/// Not such an answer.
pub(super) fn default_sink(mut fields: Fields<'_>) -> Result<Option<Vec<u8>>, WireError> {
    // Name and version of the server, its user and host.
    for _ in 0..4 {
        fields.text()?;
    }
    fields.sample_spec()?;
    Ok(fields.text()?.filter(|name| !name.is_empty()).map(<[u8]>::to_vec))
}

/// Asks for 48,000 samples a second of two channels of 16 bits from a source, in pieces of `piece` bytes.
pub(super) fn create_record_stream(tag: u32, source: &[u8], piece: u32) -> Vec<u8> {
    let rate = playhead_format::audio::SAMPLE_RATE.to_be_bytes();
    let spec = [&[S16LE, 2][..], &rate].concat();
    let request = Request::new(CREATE_RECORD_STREAM, tag)
        .raw(b'a', &spec)
        // Left and right.
        .raw(b'm', &[2, 1, 2])
        .u32(u32::MAX)
        .text(source)
        // The most that the server keeps for us: what it takes to be right.
        .u32(u32::MAX)
        // Not held back at first.
        .bool(false)
        .u32(piece)
        // Channels are mixed to two; format, rate and channels are ours.
        .bool(false)
        .bool(false)
        .bool(false)
        .bool(false)
        .bool(false)
        // Never to another source: what a server would choose when a sink goes away may be a microphone.
        .bool(true)
        .bool(false)
        .bool(false)
        // The source's delay is made to suit the pieces.
        .bool(true)
        .properties(&[("media.name", "session recording")])
        .u32(u32::MAX)
        .bool(false)
        // A sink that nobody plays to may go to sleep although we listen.
        .bool(true)
        .bool(false);
    // No other formats, and volume and mute as they are.
    let formats = request.raw(b'B', &[0]).raw(b'v', &[2, 0, 1, 0, 0, 0, 1, 0, 0]);
    formats.bool(false).bool(false).bool(false).bool(false).bool(false).finish()
}

/// Ends a stream.
pub(super) fn delete_record_stream(tag: u32, channel: u32) -> Vec<u8> {
    Request::new(DELETE_RECORD_STREAM, tag).u32(channel).finish()
}

/// Asks for the delays of a stream; [`source_delay`] reads the answer.
pub(super) fn get_record_latency(tag: u32, channel: u32) -> Vec<u8> {
    // The time is sent back to us, where we do not look at it.
    Request::new(GET_RECORD_LATENCY, tag).u32(channel).raw(b'T', &[0; 8]).finish()
}

/// How long ago the newest sound that was handed to the stream was heard, in microseconds, in the answer to [`get_record_latency`].
///
/// # Errors
/// Not such an answer.
pub(super) fn source_delay(mut fields: Fields<'_>) -> Result<u64, WireError> {
    let (_, source) = (fields.usec()?, fields.usec()?);
    Ok(source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A frame as a server sends it.
    fn sent(command: u32, tag: u32, rest: &[u8]) -> Vec<u8> {
        let mut request = Request::new(command, tag);
        request.bytes.extend(rest);
        request.finish()
    }

    #[test]
    fn frames_are_taken_one_by_one_and_only_when_whole() {
        let mut bytes = sent(REPLY, 7, &[b'L', 0, 0, 1, 2]);
        bytes.extend(sent(ERROR, 8, &[b'L', 0, 0, 0, 5]));
        let mut sound = vec![0; PREFIX];
        (sound[3], sound[7]) = (2, 9);
        bytes.extend(&sound);
        bytes.extend([1, 2]);
        let Some((Frame::Reply(7, mut fields), first)) = frame(&bytes).unwrap() else { panic!() };
        assert_eq!(fields.u32(), Ok(0x102));
        assert!(fields.u32().is_err());
        for cut in 0..first {
            assert_eq!(frame(&bytes[..cut]), Ok(None));
        }
        let (second, length) = frame(&bytes[first..]).unwrap().unwrap();
        assert_eq!(second, Frame::Refused(8, 5));
        let (third, length) = frame(&bytes[first + length..]).unwrap().unwrap();
        assert_eq!((third, length), (Frame::Sound(9, &[1, 2]), PREFIX + 2));
        assert_eq!(frame(&sent(SUBSCRIBE_EVENT, u32::MAX, &[])).unwrap().unwrap().0, Frame::Changed);
        assert_eq!(frame(&sent(RECORD_STREAM_KILLED, u32::MAX, &[])).unwrap().unwrap().0, Frame::Killed);
    }

    #[test]
    fn frames_that_are_too_large_or_in_shared_memory_are_refused() {
        let mut large = sent(REPLY, 1, &[]);
        large[0] = 1;
        assert!(matches!(frame(&large), Err(WireError::Frame { .. })));
        let mut shared = sent(REPLY, 1, &[]);
        shared[16] = 0x80;
        assert!(matches!(frame(&shared), Err(WireError::Frame { .. })));
        assert!(frame(&Request { bytes: vec![0; PREFIX] }.finish()).is_err(), "no command");
    }

    #[test]
    fn answers_are_read() {
        let text = |text: &[u8]| [b"t", text, &[0]].concat();
        let info = [
            text(b"pulseaudio"),
            b"N".to_vec(),
            text(b"anna"),
            text(b"pc1"),
            vec![b'a', 3, 2, 0, 0, 0xbb, 0x80],
            text(b"xrdp-sink"),
        ]
        .concat();
        let read = |bytes: &[u8]| default_sink(Fields { left: bytes });
        assert_eq!(read(&info), Ok(Some(b"xrdp-sink".to_vec())));
        assert!(read(&info[..info.len() - 1]).is_err());
        let without = [&info[..info.len() - 11], &b"N"[..]].concat();
        assert_eq!(read(&without), Ok(None));
        let delays = [&[b'U'][..], &9_u64.to_be_bytes(), b"U", &2_500_u64.to_be_bytes(), b"1"].concat();
        assert_eq!(source_delay(Fields { left: &delays }), Ok(2_500));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), command in 0u32..70) {
            let _ = frame(&bytes);
            let whole = sent(command, 1, &bytes);
            if let Ok(Some((Frame::Reply(_, fields), _))) = frame(&whole) {
                let _ = default_sink(fields);
                let _ = source_delay(fields);
            }
        }
    }
}
