//! Messages between an agent and a recording server.
//!
//! They are Protocol Buffers messages; unknown fields and unknown kinds are ignored, so that a newer peer may say more.

use bytes::Bytes;
use prost::Message as _;

/// What an agent says.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FromAgent {
    /// Exactly one kind; none when a newer agent says something this version does not know.
    #[prost(oneof = "from_agent::Kind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9")]
    pub kind: Option<from_agent::Kind>,
}

/// The kinds of [`FromAgent`].
pub mod from_agent {
    /// One kind of message.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Kind {
        /// First on every connection.
        #[prost(message, tag = "1")]
        Hello(super::Hello),
        /// A recording begins, or goes on after a break.
        #[prost(message, tag = "2")]
        Open(super::Open),
        /// The next fragment of an open recording.
        #[prost(message, tag = "3")]
        Fragment(super::Fragment),
        /// Still there.
        #[prost(message, tag = "4")]
        Heartbeat(super::Heartbeat),
        /// How the agent's queue stands.
        #[prost(message, tag = "5")]
        Queue(super::Queue),
        /// A session of a user: new, or changed.
        #[prost(message, tag = "6")]
        Session(super::Session),
        /// Which sessions there are.
        #[prost(message, tag = "7")]
        Sessions(super::Sessions),
        /// The agent goes by this policy now, or cannot.
        #[prost(message, tag = "8")]
        PolicyTaken(super::PolicyTaken),
        /// What came of a command.
        #[prost(message, tag = "9")]
        CommandDone(super::CommandDone),
    }
}

/// A session as it is now. Said for each session after [`Sessions`], and whenever anything of one changes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Session {
    /// JSON of `playhead_model::SessionInfo`.
    #[prost(string, tag = "1")]
    pub info: String,
}

/// All sessions that there are on the host. Said after the greeting: those of this agent that are not named have ended unseen.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Sessions {
    /// The 16 bytes of each.
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub sessions: Vec<Bytes>,
}

/// The agent goes by this policy from now on.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PolicyTaken {
    /// Its revision.
    #[prost(uint64, tag = "1")]
    pub revision: u64,
    /// Why it cannot be gone by, for people; the last one stays in force. Empty when all is well.
    #[prost(string, tag = "2")]
    pub error: String,
}

/// What came of a [`Command`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct CommandDone {
    /// The command's 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub command: Bytes,
    /// Why it was not done, for people; empty when it was.
    #[prost(string, tag = "2")]
    pub error: String,
}

/// The agent's greeting.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Hello {
    /// Protocol version, [`crate::VERSION`].
    #[prost(uint32, tag = "1")]
    pub protocol: u32,
    /// Version of the agent.
    #[prost(string, tag = "2")]
    pub version: String,
    /// Name of the session host.
    #[prost(string, tag = "3")]
    pub host: String,
    /// Operating system, for people.
    #[prost(string, tag = "4")]
    pub system: String,
}

/// Opens a recording on this connection.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Open {
    /// The recording's 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub recording: Bytes,
    /// JSON of `playhead_model::RecordingInfo`.
    #[prost(string, tag = "2")]
    pub info: String,
}

/// One fragment.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Fragment {
    /// The recording's 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub recording: Bytes,
    /// Number of the fragment in its recording.
    #[prost(uint64, tag = "2")]
    pub seq: u64,
    /// The chunk record, byte for byte as it will be stored.
    #[prost(bytes = "bytes", tag = "3")]
    pub record: Bytes,
}

/// Said by both sides when they said nothing else for a while.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Heartbeat {}

/// How the agent's queue stands, all recordings together. Said after the greeting, then when something changed, at most every two
/// seconds. Nothing depends on it but what administrators see.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Queue {
    /// Bytes of the fragments that are not durable yet.
    #[prost(uint64, tag = "1")]
    pub waiting_bytes: u64,
    /// How many these are.
    #[prost(uint64, tag = "2")]
    pub waiting_fragments: u64,
    /// Age of the oldest of them in milliseconds.
    #[prost(uint64, tag = "3")]
    pub oldest_ms: u64,
    /// The most bytes there may be.
    #[prost(uint64, tag = "4")]
    pub quota_bytes: u64,
    /// Bytes free on the disk.
    #[prost(uint64, tag = "5")]
    pub free_bytes: u64,
    /// With fewer than these nothing is queued.
    #[prost(uint64, tag = "6")]
    pub least_free_bytes: u64,
    /// What is done when there is no room: `pause`, `keep-newest`, `stop-session`.
    #[prost(string, tag = "7")]
    pub when_full: String,
    /// There is no room now, and it is done.
    #[prost(bool, tag = "8")]
    pub full: bool,
    /// Gaps since the agent started.
    #[prost(uint64, tag = "9")]
    pub gaps: u64,
    /// Cause of the newest gap; empty when there is none.
    #[prost(string, tag = "10")]
    pub last_gap: String,
    /// Queues that were set aside.
    #[prost(uint64, tag = "11")]
    pub refused: u64,
    /// Their bytes.
    #[prost(uint64, tag = "12")]
    pub refused_bytes: u64,
    /// Recordings that were let go of whole, for lack of room, since the agent started.
    #[prost(uint64, tag = "13")]
    pub lost_recordings: u64,
    /// What is wrong, for people; empty when nothing is.
    #[prost(string, tag = "14")]
    pub error: String,
}

/// What a server says.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FromServer {
    /// Exactly one kind; none when a newer server says something this version does not know.
    #[prost(oneof = "from_server::Kind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9")]
    pub kind: Option<from_server::Kind>,
}

/// The kinds of [`FromServer`].
pub mod from_server {
    /// One kind of message.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Kind {
        /// Answers the agent's greeting.
        #[prost(message, tag = "1")]
        Welcome(super::Welcome),
        /// Answers an [`super::Open`].
        #[prost(message, tag = "2")]
        Opened(super::Opened),
        /// Fragments are durable.
        #[prost(message, tag = "3")]
        Durable(super::Durable),
        /// Something about a recording was not taken.
        #[prost(message, tag = "4")]
        Refused(super::Refused),
        /// Somebody begins or ends to watch.
        #[prost(message, tag = "5")]
        Watch(super::Watch),
        /// Still there.
        #[prost(message, tag = "6")]
        Heartbeat(super::Heartbeat),
        /// Connect again at once: the recordings are, or will be, with another server of the site.
        #[prost(message, tag = "7")]
        Elsewhere(super::Elsewhere),
        /// The site's active policy: after the greeting, and whenever it changes.
        #[prost(message, tag = "8")]
        Policy(super::Policy),
        /// Something to do with a session.
        #[prost(message, tag = "9")]
        Command(super::Command),
    }
}

/// The site's active policy. Answered with [`PolicyTaken`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Policy {
    /// JSON of `playhead_model::PolicyDocument`.
    #[prost(string, tag = "1")]
    pub document: String,
}

/// Something to do with a session, once. Answered with [`CommandDone`]; the same id twice is one command.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Command {
    /// 16 bytes that no other command has.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// JSON of `playhead_model::SessionCommand`.
    #[prost(string, tag = "2")]
    pub command: String,
}

/// The agent is to connect again at once, by the same address: the server is about to stop, or another one has the recording.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Elsewhere {}

/// The server's greeting.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Welcome {
    /// Protocol version, [`crate::VERSION`].
    #[prost(uint32, tag = "1")]
    pub protocol: u32,
    /// Version of the server.
    #[prost(string, tag = "2")]
    pub version: String,
    /// After how many seconds without a word each side gives the other up.
    #[prost(uint32, tag = "3")]
    pub silence_seconds: u32,
    /// The newest certificate of the agent's key, PEM, with those of who issued it; empty when there is none.
    #[prost(string, tag = "4")]
    pub certificate: String,
}

/// Where an opened recording stands with the server, and how the site wants it recorded.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Opened {
    /// The recording's 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub recording: Bytes,
    /// The fragment that the server wants next; all before it are durable.
    #[prost(uint64, tag = "2")]
    pub next_seq: u64,
    /// Hash of the last durable fragment, 32 bytes; empty when there is none.
    #[prost(bytes = "bytes", tag = "3")]
    pub head_hash: Bytes,
    /// Segment of the last durable fragment.
    #[prost(uint32, tag = "4")]
    pub segment: u32,
    /// Media time at which the last durable fragment ends.
    #[prost(uint64, tag = "5")]
    pub end_us: u64,
    /// JSON of `playhead_model::RecordingSettings`.
    #[prost(string, tag = "6")]
    pub settings: String,
    /// The recording has ended; nothing more is taken for it.
    #[prost(bool, tag = "7")]
    pub finished: bool,
    /// The fragment whose anchor the last durable one rests on; absent when the server does not know it.
    #[prost(uint64, optional, tag = "8")]
    pub anchor_seq: Option<u64>,
}

/// All fragments before `next_seq` are durable: the agent may forget them.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Durable {
    /// The recording's 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub recording: Bytes,
    /// First fragment that is not durable.
    #[prost(uint64, tag = "2")]
    pub next_seq: u64,
}

/// The server did not take something. The recording is closed on this connection; the connection goes on.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Refused {
    /// The recording's 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub recording: Bytes,
    /// Why, as a [`Refusal`].
    #[prost(enumeration = "Refusal", tag = "2")]
    pub reason: i32,
    /// Why, for people.
    #[prost(string, tag = "3")]
    pub text: String,
}

/// Why something was refused, and so what the agent does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Refusal {
    /// A reason of a newer version: treated like [`Refusal::Later`].
    Unspecified = 0,
    /// The server cannot take anything now, for example because its disk is full: keep it and open again later.
    Later = 1,
    /// What came does not continue what is there (a hole, another hash, a time that steps back): open again.
    Mismatch = 2,
    /// The bytes are no fragment, or break a limit: this fragment will never be taken.
    Malformed = 3,
    /// The recording was set aside at the server: keep what is here and tell the administrator.
    Quarantined = 4,
    /// The recording belongs to another agent.
    NotYours = 5,
}

/// Somebody watches a recording live, or nobody does any more.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Watch {
    /// The recording's 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub recording: Bytes,
    /// Whether anybody watches.
    #[prost(bool, tag = "2")]
    pub watched: bool,
}

/// Bytes that are no message.
#[derive(Debug, thiserror::Error)]
#[error("expected a message of the agent's protocol: {0}")]
pub struct MessageError(#[from] prost::DecodeError);

macro_rules! wire {
    ($message:ident, $module:ident: $($kind:ident)+) => {
        impl $message {
            /// Reads a message from a frame's bytes. Payloads share the frame's memory.
            ///
            /// # Errors
            /// Bytes that are no Protocol Buffers message.
            pub fn read(frame: Bytes) -> Result<Self, MessageError> {
                Ok(Self::decode(frame)?)
            }

            /// Appends the message with its frame's prefix to `out`.
            ///
            /// # Errors
            /// A message over [`crate::frame::MAX_FRAME`]; nothing was appended.
            pub fn write(&self, out: &mut bytes::BytesMut) -> Result<(), crate::frame::FrameError> {
                let length = self.encoded_len();
                out.extend_from_slice(&crate::frame::prefix(length)?);
                out.reserve(length);
                self.encode_raw(out);
                Ok(())
            }
        }

        $(impl From<$kind> for $message {
            fn from(kind: $kind) -> Self {
                Self { kind: Some($module::Kind::$kind(kind)) }
            }
        })+
    };
}

wire!(FromAgent, from_agent: Hello Open Fragment Heartbeat Queue Session Sessions PolicyTaken CommandDone);
wire!(FromServer, from_server: Welcome Opened Durable Refused Watch Heartbeat Elsewhere Policy Command);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame;
    use bytes::BytesMut;
    use proptest::prelude::*;

    #[test]
    fn a_fragment_comes_through_a_frame_unchanged() {
        let sent = FromAgent::from(Fragment {
            recording: Bytes::from_static(&[7; 16]),
            seq: 9,
            record: Bytes::from(vec![1; 5000]),
        });
        let mut stream = BytesMut::new();
        sent.write(&mut stream).unwrap();
        let frame = frame::take(&mut stream, frame::MAX_FRAME).unwrap().unwrap();
        assert_eq!(FromAgent::read(frame).unwrap(), sent);
        assert!(stream.is_empty());
    }

    #[test]
    fn a_kind_of_a_newer_version_reads_as_none() {
        // Field 15, length-delimited, three bytes.
        let newer = Bytes::from_static(&[0x7a, 3, 1, 2, 3]);
        assert_eq!(FromServer::read(newer).unwrap().kind, None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = FromAgent::read(Bytes::from(bytes.clone()));
            let _ = FromServer::read(Bytes::from(bytes));
        }
    }
}
