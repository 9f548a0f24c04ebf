//! One recording on its way to the server.

use super::renumber::{Position, renumber};
use crate::spool::{Queue, SpoolError};
use bytes::Bytes;
use playhead_format::{FormatError, Hash, Signer, genesis, open_fragment};
use playhead_model::RecordingId;
use playhead_protocol::{
    message::Opened,
    outbox::{Outbox, OutboxError},
};
use std::sync::Arc;
use tokio::time::Instant;

/// Bytes of a recording that may be under way without an answer.
const WINDOW: u64 = 8 << 20;

/// How far a recording is with opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// To be opened.
    Closed,
    /// The server is asked.
    Asked,
    /// Fragments may go.
    Open,
    /// To be opened again at that time.
    Later(Instant),
}

/// Why a recording cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaneError {
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error("what is queued cannot be read: {0}")]
    Format(#[from] FormatError),
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    #[error("expected a hash of 32 bytes from the server, got {0}")]
    Hash(usize),
}

/// What was sent last, from which the next place follows.
#[derive(Debug, Clone, Copy)]
enum Before {
    Position(Position),
    /// A fragment that went as it was recorded.
    Recorded(u64),
}

/// A recording's state on one connection.
pub(super) struct Lane {
    pub(super) queue: Arc<Queue>,
    pub(super) phase: Phase,
    /// Times that the server found a mismatch since it last took something.
    pub(super) mismatches: u32,
    outbox: Outbox,
    before: Option<Before>,
}

/// A fragment ready to go. Made where blocking is allowed.
pub(super) struct Ready {
    pub(super) recording: RecordingId,
    pub(super) number: u64,
    pub(super) record: Bytes,
    before: Before,
}

/// What is needed to read the next fragment.
pub(super) struct Request {
    queue: Arc<Queue>,
    number: u64,
    before: Option<Before>,
}

impl Lane {
    /// The lane of a queue; blocking.
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        let outbox = unbroken(&queue);
        Self { queue, phase: Phase::Closed, mismatches: 0, outbox, before: None }
    }

    pub(super) fn recording(&self) -> RecordingId {
        self.queue.id()
    }

    /// One past the newest fragment it knows of.
    pub(super) fn end(&self) -> u64 {
        self.outbox.end()
    }

    /// More was queued.
    pub(super) fn queued(&mut self, fragments: &[(u64, u32)]) {
        for &(number, length) in fragments {
            if number == self.outbox.end() {
                self.outbox.spooled(length);
            }
        }
    }

    /// Whether the server has everything.
    pub(super) fn is_empty(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Whether the recording has ended and the server has all of it, also what was queued since this lane last heard of the queue.
    pub(super) fn is_done(&self) -> bool {
        // In this order: what has ended grows no more.
        self.is_empty() && self.queue.has_ended() && self.queue.waiting(self.end()).is_empty()
    }

    /// The server closed it, or does not take it now.
    pub(super) fn close(&mut self, phase: Phase) {
        self.phase = phase;
        self.outbox.closed();
        self.before = None;
    }

    /// The server opened it; blocking. Whatever the queue let go of is settled now.
    ///
    /// # Errors
    /// The server is somewhere else than is possible, or the queue's disk fails.
    pub(super) fn opened(&mut self, opened: &Opened) -> Result<(), LaneError> {
        self.queue.settle(opened.next_seq)?;
        self.outbox = outbox(&self.queue, opened.next_seq);
        self.outbox.opened(opened.next_seq)?;
        let (hash, segment) = match opened.next_seq {
            0 => (genesis(self.recording()), None),
            _ => {
                let bytes = <[u8; 32]>::try_from(&opened.head_hash[..]);
                (
                    Hash::from_bytes(bytes.map_err(|_| LaneError::Hash(opened.head_hash.len()))?),
                    Some(opened.segment),
                )
            }
        };
        let position = Position {
            next: opened.next_seq,
            hash,
            segment,
            end_us: opened.end_us,
            anchor: opened.anchor_seq,
        };
        self.before = Some(Before::Position(position));
        self.phase = Phase::Open;
        self.queue.forget_before(opened.next_seq)?;
        Ok(())
    }

    /// The server has everything before `number`.
    ///
    /// # Errors
    /// It cannot have that much.
    pub(super) fn durable(&mut self, number: u64) -> Result<(), LaneError> {
        let (recording, seq) = (self.recording(), self.outbox.first());
        tracing::trace!(target: "playhead::way", step = "durable", %recording, seq, next_seq = number);
        self.outbox.durable(number)?;
        self.mismatches = 0;
        Ok(())
    }

    /// What to send next, if anything may go.
    pub(super) fn next(&mut self) -> Option<Request> {
        if self.phase != Phase::Open {
            return None;
        }
        let number = self.outbox.take_next()?;
        Some(Request { queue: Arc::clone(&self.queue), number, before: self.before })
    }

    /// A fragment that was asked for is ready.
    pub(super) fn advance(&mut self, ready: &Ready) {
        self.before = Some(ready.before);
    }
}

/// What is queued from number `from` on. What is before it the server has, under whatever numbers.
fn outbox(queue: &Queue, from: u64) -> Outbox {
    let waiting = queue.waiting(from);
    let first = waiting.first().map_or_else(|| queue.end().min(from), |(number, _)| *number);
    Outbox::new(first, waiting.into_iter().map(|(_, length)| length), WINDOW)
}

/// The newest of what is queued, as far back as the numbers follow one another, while it is not known what the server has.
fn unbroken(queue: &Queue) -> Outbox {
    let mut waiting = queue.waiting(0);
    let breaks = waiting.windows(2).rposition(|pair| pair[0].0 + 1 != pair[1].0);
    waiting.drain(..breaks.map_or(0, |at| at + 1));
    let first = waiting.first().map_or_else(|| queue.end(), |(number, _)| *number);
    Outbox::new(first, waiting.into_iter().map(|(_, length)| length), WINDOW)
}

impl Request {
    pub(super) fn recording(&self) -> RecordingId {
        self.queue.id()
    }

    /// Reads the fragment; blocking.
    ///
    /// # Errors
    /// The queue let go of it meanwhile, or its disk fails.
    pub(super) fn read(self, signer: &Signer) -> Result<Ready, LaneError> {
        let Self { queue, number, before } = self;
        let gone = SpoolError::NotThere { recording: queue.id(), seq: number };
        let seq = queue.seq_of(number).ok_or(gone)?;
        let record = queue.read(seq)?;
        let (hole, is_renumbered) = queue.holes(seq);
        if !is_renumbered {
            let before = Before::Recorded(seq);
            return Ok(Ready { recording: queue.id(), number, record: record.into(), before });
        }
        let position = match before {
            Some(Before::Position(position)) => position,
            Some(Before::Recorded(seq)) => {
                let open = open_fragment(&queue.read(seq)?)?;
                Position::after(open.head(), open.hash())
            }
            None => return Err(SpoolError::NotThere { recording: queue.id(), seq }.into()),
        };
        let anchor = queue.number(open_fragment(&record)?.head().anchor_seq);
        let cause = hole.map(|hole| hole.cause);
        let sent = renumber(&record, &position, anchor, cause, &queue.started().info, signer)?;
        let before = Before::Position(Position::after(&sent.head, sent.hash));
        Ok(Ready { recording: queue.id(), number, record: sent.bytes.into(), before })
    }
}
