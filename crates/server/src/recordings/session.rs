//! What goes back to an agent, and which of its openings counts.

use super::lock;
use crate::policy::Document;
use bytes::Bytes;
use playhead_model::RecordingId;
use playhead_protocol::message::{Durable, FromServer, Refusal, Refused, Watch};
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// More answers than this can only wait when the agent asks and never reads.
const MOST_WAITING: usize = 4_096;

/// What waits to be sent on one connection. How far recordings are durable is kept once for each, so it is bounded by what is open.
#[derive(Default)]
pub(crate) struct Outgoing {
    waiting: Mutex<Waiting>,
    pub(crate) changed: Notify,
    /// Ends the connection.
    pub(crate) close: CancellationToken,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<FromServer>,
    durable: HashMap<RecordingId, u64>,
    /// The policy to be told, the newest only, and the number of the last one.
    policy: Option<Arc<Document>>,
    told: u64,
}

impl Outgoing {
    pub(crate) fn send(&self, message: impl Into<FromServer>) {
        let mut waiting = lock(&self.waiting);
        if waiting.messages.len() >= MOST_WAITING {
            self.close.cancel();
            return;
        }
        waiting.messages.push_back(message.into());
        drop(waiting);
        self.changed.notify_one();
    }

    /// Tells of a policy, unless a newer one was told of already.
    pub(crate) fn tell(&self, document: Arc<Document>) {
        let mut waiting = lock(&self.waiting);
        if document.number <= waiting.told {
            return;
        }
        waiting.told = document.number;
        waiting.policy = Some(document);
        drop(waiting);
        self.changed.notify_one();
    }

    fn durable(&self, recording: RecordingId, next_seq: u64) {
        lock(&self.waiting).durable.insert(recording, next_seq);
        self.changed.notify_one();
    }

    /// Takes everything that waits. How far recordings are durable comes first: a refusal after it closes the recording.
    pub(crate) fn take(&self) -> Vec<FromServer> {
        let mut waiting = lock(&self.waiting);
        let mut all: Vec<FromServer> = waiting
            .durable
            .drain()
            .map(|(recording, next_seq)| Durable { recording: id_bytes(recording), next_seq }.into())
            .collect();
        all.extend(waiting.messages.drain(..));
        // After the greeting, which is a message.
        all.extend(waiting.policy.take().map(|document| document.message.clone().into()));
        all
    }
}

/// One opening of a recording on one connection. A later opening, here or elsewhere, ends it.
pub(crate) struct Session {
    recording: RecordingId,
    pub(crate) outgoing: Arc<Outgoing>,
    open: AtomicBool,
    /// Whether an agent is at the other end.
    pub(crate) is_heard: bool,
}

impl Session {
    pub(crate) fn new(recording: RecordingId, outgoing: Arc<Outgoing>) -> Arc<Self> {
        Arc::new(Self { recording, outgoing, open: AtomicBool::new(true), is_heard: true })
    }

    /// One of this server's own, for fragments that agents were told of long ago.
    pub(crate) fn unheard(recording: RecordingId) -> Arc<Self> {
        let outgoing = Arc::default();
        Arc::new(Self { recording, outgoing, open: AtomicBool::new(true), is_heard: false })
    }

    /// Whether fragments sent under it still count.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Ends it without a word.
    pub(crate) fn end(&self) {
        self.open.store(false, Ordering::Release);
    }

    /// Ends it and tells the agent why, once.
    pub(crate) fn refuse(&self, reason: Refusal, text: impl Into<String>) {
        if self.open.swap(false, Ordering::AcqRel) {
            self.outgoing.send(refused(self.recording, reason, text));
        }
    }

    pub(crate) fn durable(&self, next_seq: u64) {
        if self.is_open() {
            self.outgoing.durable(self.recording, next_seq);
        }
    }

    pub(crate) fn watch(&self, watched: bool) {
        if self.is_open() {
            self.outgoing.send(Watch { recording: id_bytes(self.recording), watched });
        }
    }
}

pub(crate) fn refused(recording: RecordingId, reason: Refusal, text: impl Into<String>) -> Refused {
    Refused { recording: id_bytes(recording), reason: reason.into(), text: text.into() }
}

pub(crate) fn id_bytes(recording: RecordingId) -> Bytes {
    Bytes::copy_from_slice(recording.as_bytes())
}
