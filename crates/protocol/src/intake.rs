//! A server's view of one agent connection: what may come when.
//!
//! It knows the order of messages only. Whether a fragment's bytes are sound and continue the chain is for `format` to say.

use crate::{VERSION, message::from_agent::Kind, message::*};
use playhead_model::{RecordingId, RecordingInfo, SessionId, SessionInfo};
use std::collections::HashMap;

/// Most recordings open on one connection.
pub const MAX_OPEN: usize = 1_024;
/// Most bytes of a greeting, an opening or the texts of a queue's state.
pub const MAX_SMALL: usize = 64 << 10;

/// Most sessions of one host.
pub const MAX_SESSIONS: usize = 1_024;

/// The connection's state.
#[derive(Debug, Default)]
pub struct Intake {
    greeted: bool,
    /// For each open recording the fragment expected next.
    open: HashMap<RecordingId, u64>,
}

/// What a message means.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// The agent greeted; it wants a [`Welcome`].
    Greeted(Hello),
    /// The agent wants a recording opened; answer with [`Opened`] and call [`Intake::opened`].
    Open(Box<RecordingInfo>),
    /// The expected fragment of an open recording.
    Fragment(RecordingId, Fragment),
    /// A fragment of a recording that is not open here, most likely sent before a refusal reached the agent: to be ignored.
    Stray(RecordingId),
    /// A fragment out of order: refuse with [`Refusal::Mismatch`]. The recording is closed on this connection.
    OutOfOrder {
        /// The recording.
        recording: RecordingId,
        /// What was expected.
        expected: u64,
        /// What came.
        actual: u64,
    },
    /// How the agent's queue stands.
    Queue(Box<Queue>),
    /// A session of the agent's host, new or changed.
    Session(Box<SessionInfo>),
    /// All sessions that there are on the agent's host.
    Sessions(Vec<SessionId>),
    /// What the agent says of a policy.
    PolicyTaken(PolicyTaken),
    /// What the agent says of a command.
    CommandDone(CommandDone),
    /// Nothing to do.
    Nothing,
}

/// The agent broke the protocol; the connection is to be closed.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The first message was no greeting.
    #[error("expected a greeting first")]
    NotGreeted,
    /// A second greeting.
    #[error("expected one greeting, got a second")]
    GreetedTwice,
    /// Another protocol version.
    #[error(
        "expected protocol version {VERSION}, the agent speaks {0}: use an agent and a server of the same major version"
    )]
    Version(u32),
    /// An id that is no 16 bytes.
    #[error("expected an id of 16 bytes, got {0}")]
    Id(usize),
    /// An opening whose particulars cannot be read.
    #[error("cannot read the recording's particulars: {0}")]
    Info(#[from] serde_json::Error),
    /// An opening whose particulars are for another recording.
    #[error("the opening is for recording {expected}, its particulars for {actual}")]
    OtherInfo {
        /// Named by the message.
        expected: RecordingId,
        /// Named inside the particulars.
        actual: RecordingId,
    },
    /// A greeting, an opening or a queue's state that is too large.
    #[error("expected at most {MAX_SMALL} bytes in a greeting, an opening or a queue's state, got {0}")]
    TooLarge(usize),
    /// A session whose particulars cannot be read.
    #[error("cannot read a session's particulars: {0}")]
    Session(#[source] serde_json::Error),
    /// Too many sessions.
    #[error("expected at most {MAX_SESSIONS} sessions of one host")]
    TooManySessions,
    /// Too many recordings.
    #[error("expected at most {MAX_OPEN} recordings open on a connection")]
    TooMany,
}

impl Intake {
    /// Takes the next message in.
    ///
    /// # Errors
    /// A breach of the protocol: close the connection.
    pub fn receive(&mut self, message: FromAgent) -> Result<Event, IntakeError> {
        match message.kind {
            Some(Kind::Hello(hello)) => self.hello(hello),
            _ if !self.greeted => Err(IntakeError::NotGreeted),
            Some(Kind::Open(open)) => self.open(&open),
            Some(Kind::Fragment(fragment)) => self.fragment(fragment),
            Some(Kind::Queue(queue)) => Self::queue(queue),
            Some(Kind::Session(session)) => Self::session(&session),
            Some(Kind::Sessions(sessions)) => Self::sessions(&sessions),
            Some(Kind::PolicyTaken(taken)) => Self::policy_taken(taken),
            Some(Kind::CommandDone(done)) => Self::command_done(done),
            Some(Kind::Heartbeat(_)) | None => Ok(Event::Nothing),
        }
    }

    /// The server opened the recording and expects `next_seq`.
    pub fn opened(&mut self, recording: RecordingId, next_seq: u64) {
        self.open.insert(recording, next_seq);
    }

    /// The recording ended or was refused.
    pub fn closed(&mut self, recording: RecordingId) {
        self.open.remove(&recording);
    }

    /// The recordings open on this connection.
    pub fn recordings(&self) -> impl Iterator<Item = RecordingId> + '_ {
        self.open.keys().copied()
    }

    fn hello(&mut self, hello: Hello) -> Result<Event, IntakeError> {
        if self.greeted {
            return Err(IntakeError::GreetedTwice);
        }
        if hello.protocol != VERSION {
            return Err(IntakeError::Version(hello.protocol));
        }
        let size = hello.host.len() + hello.version.len() + hello.system.len();
        if size > MAX_SMALL {
            return Err(IntakeError::TooLarge(size));
        }
        self.greeted = true;
        Ok(Event::Greeted(hello))
    }

    fn queue(queue: Queue) -> Result<Event, IntakeError> {
        let size = queue.when_full.len() + queue.last_gap.len() + queue.error.len();
        if size > MAX_SMALL { Err(IntakeError::TooLarge(size)) } else { Ok(Event::Queue(Box::new(queue))) }
    }

    fn session(session: &Session) -> Result<Event, IntakeError> {
        small(session.info.len())?;
        Ok(Event::Session(serde_json::from_str(&session.info).map_err(IntakeError::Session)?))
    }

    fn sessions(sessions: &Sessions) -> Result<Event, IntakeError> {
        if sessions.sessions.len() > MAX_SESSIONS {
            return Err(IntakeError::TooManySessions);
        }
        let id = |bytes: &bytes::Bytes| {
            let length = IntakeError::Id(bytes.len());
            bytes.as_ref().try_into().map(SessionId::from_bytes).map_err(|_| length)
        };
        Ok(Event::Sessions(sessions.sessions.iter().map(id).collect::<Result<_, _>>()?))
    }

    fn policy_taken(taken: PolicyTaken) -> Result<Event, IntakeError> {
        small(taken.error.len())?;
        Ok(Event::PolicyTaken(taken))
    }

    fn command_done(done: CommandDone) -> Result<Event, IntakeError> {
        small(done.error.len() + done.command.len())?;
        Ok(Event::CommandDone(done))
    }

    fn open(&mut self, open: &Open) -> Result<Event, IntakeError> {
        let recording = recording_id(&open.recording)?;
        if open.info.len() > MAX_SMALL {
            return Err(IntakeError::TooLarge(open.info.len()));
        }
        if self.open.len() >= MAX_OPEN {
            return Err(IntakeError::TooMany);
        }
        let info: Box<RecordingInfo> = serde_json::from_str(&open.info)?;
        if info.id != recording {
            return Err(IntakeError::OtherInfo { expected: recording, actual: info.id });
        }
        Ok(Event::Open(info))
    }

    fn fragment(&mut self, fragment: Fragment) -> Result<Event, IntakeError> {
        let recording = recording_id(&fragment.recording)?;
        let Some(expected) = self.open.get_mut(&recording) else { return Ok(Event::Stray(recording)) };
        if fragment.seq != *expected {
            let expected = *expected;
            self.open.remove(&recording);
            return Ok(Event::OutOfOrder { recording, expected, actual: fragment.seq });
        }
        *expected += 1;
        Ok(Event::Fragment(recording, fragment))
    }
}

fn small(size: usize) -> Result<(), IntakeError> {
    if size > MAX_SMALL { Err(IntakeError::TooLarge(size)) } else { Ok(()) }
}

/// Reads a recording's id from a message's field.
///
/// # Errors
/// [`IntakeError::Id`] when it is no 16 bytes.
pub fn recording_id(bytes: &[u8]) -> Result<RecordingId, IntakeError> {
    bytes.try_into().map(RecordingId::from_bytes).map_err(|_| IntakeError::Id(bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const ID: RecordingId = RecordingId::from_bytes([3; 16]);

    fn hello() -> FromAgent {
        Hello { protocol: VERSION, host: "pc1".into(), ..Default::default() }.into()
    }

    fn fragment(seq: u64) -> FromAgent {
        Fragment { recording: Bytes::copy_from_slice(ID.as_bytes()), seq, record: Bytes::new() }.into()
    }

    fn greeted() -> Intake {
        let mut intake = Intake::default();
        intake.receive(hello()).unwrap();
        intake
    }

    #[test]
    fn nothing_is_taken_before_the_greeting() {
        assert!(matches!(Intake::default().receive(fragment(0)), Err(IntakeError::NotGreeted)));
        assert!(matches!(greeted().receive(hello()), Err(IntakeError::GreetedTwice)));
        let other = Hello { protocol: 99, ..Default::default() };
        assert!(matches!(Intake::default().receive(other.into()), Err(IntakeError::Version(99))));
    }

    #[test]
    fn fragments_come_in_order_or_close_the_recording() {
        let mut intake = greeted();
        assert_eq!(intake.receive(fragment(0)).unwrap(), Event::Stray(ID));
        intake.opened(ID, 5);
        assert!(matches!(intake.receive(fragment(5)).unwrap(), Event::Fragment(ID, _)));
        assert_eq!(
            intake.receive(fragment(7)).unwrap(),
            Event::OutOfOrder { recording: ID, expected: 6, actual: 7 }
        );
        assert_eq!(intake.receive(fragment(6)).unwrap(), Event::Stray(ID));
    }

    #[test]
    fn a_queues_state_comes_after_the_greeting_and_is_bounded() {
        let queue = Queue { waiting_bytes: 7, full: true, error: "no room".into(), ..Queue::default() };
        assert!(matches!(Intake::default().receive(queue.clone().into()), Err(IntakeError::NotGreeted)));
        assert_eq!(greeted().receive(queue.clone().into()).unwrap(), Event::Queue(Box::new(queue.clone())));
        let long = Queue { error: "x".repeat(MAX_SMALL + 1), ..queue };
        assert!(matches!(greeted().receive(long.into()), Err(IntakeError::TooLarge(_))));
    }

    #[test]
    fn what_is_said_of_sessions_is_read_and_bounded() {
        let sessions = |ids: usize, length: usize| -> FromAgent {
            Sessions { sessions: vec![Bytes::from(vec![7; length]); ids] }.into()
        };
        let all = vec![SessionId::from_bytes([7; 16]); 2];
        assert_eq!(greeted().receive(sessions(2, 16)).unwrap(), Event::Sessions(all));
        assert!(matches!(greeted().receive(sessions(1, 15)), Err(IntakeError::Id(15))));
        assert!(matches!(greeted().receive(sessions(1_025, 16)), Err(IntakeError::TooManySessions)));
        let info = |text: &str| -> FromAgent { Session { info: text.into() }.into() };
        assert!(matches!(greeted().receive(info("{}")), Err(IntakeError::Session(_))));
        assert!(matches!(greeted().receive(info(&" ".repeat(MAX_SMALL + 1))), Err(IntakeError::TooLarge(_))));
        let done = CommandDone { command: Bytes::new(), error: "x".repeat(MAX_SMALL + 1) };
        assert!(matches!(greeted().receive(done.into()), Err(IntakeError::TooLarge(_))));
        let taken = PolicyTaken { revision: 1, error: String::new() };
        assert_eq!(greeted().receive(taken.clone().into()).unwrap(), Event::PolicyTaken(taken));
    }

    #[test]
    fn an_opening_must_be_about_its_own_recording() {
        let open = |info: &str| Open { recording: Bytes::copy_from_slice(ID.as_bytes()), info: info.into() };
        assert!(matches!(greeted().receive(open("{}").into()), Err(IntakeError::Info(_))));
        let other = r#"{"id":"00000000-0000-0000-0000-000000000001","host":"h","user":"u","display":":1",
            "application":"desktop","started_at":"2026-01-01T00:00:00Z","agent_version":"1"}"#;
        assert!(matches!(greeted().receive(open(other).into()), Err(IntakeError::OtherInfo { .. })));
        let short = Open { recording: Bytes::from_static(b"short"), info: String::new() };
        assert!(matches!(greeted().receive(short.into()), Err(IntakeError::Id(5))));
    }
}
