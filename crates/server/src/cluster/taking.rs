//! A recording whose fragments are read out of a shared journal and written into one's own.

use crate::{
    core::Shared,
    journal::{Append, Closed, ObjectFragment},
    recordings::{Incoming, Live, Session},
    start::declared_in,
};
use playhead_model::RecordingId;
use playhead_protocol::message::{Refusal, from_server::Kind};
use std::{collections::HashSet, sync::Arc, time::Instant};

/// Why it does not go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum TakingError {
    #[error("{0}")]
    Journal(#[from] Closed),
    #[error("the own journal does not take fragment {seq} of recording {recording}: {text}")]
    Refused { recording: RecordingId, seq: u64, text: String },
}

/// A recording on its way.
pub(super) struct Taking {
    pub(super) live: Arc<Live>,
    /// Where it is not this server's, or nobody sees it here yet.
    pub(super) incoming: Option<Incoming>,
    session: Arc<Session>,
    /// The fragment that is wanted next.
    pub(super) next: u64,
    /// How many there must be, as the site's database knows and whatever was read so far: so many were acknowledged.
    needed: u64,
    /// How many were written.
    pub(super) count: u64,
    /// Something came that does not continue it.
    pub(super) hole: bool,
    /// Objects with something that did not, or that came after it was set aside.
    passed: HashSet<String>,
}

impl Taking {
    /// One that goes on after what is there, and must have `needed` fragments at the end.
    pub(super) fn new(live: Arc<Live>, incoming: Option<Incoming>, needed: u64) -> Self {
        let session = Session::unheard(live.id());
        let next = live.chain().next_seq();
        Self { live, incoming, session, next, needed, count: 0, hole: false, passed: HashSet::new() }
    }

    /// Whether fragments are missing that had been durable.
    pub(super) fn is_short(&self) -> bool {
        self.next < self.needed
    }

    /// The objects that stay where they are, as evidence.
    pub(super) fn evidence(&self) -> impl Iterator<Item = String> + '_ {
        self.passed.iter().filter(|_| self.live.problem().is_some()).cloned()
    }

    /// Writes a fragment out of the object of that name into the own journal, if it is the next one.
    ///
    /// # Errors
    /// The journal has been closed.
    pub(super) async fn take_out_of(
        &mut self,
        name: &str,
        core: &Shared,
        fragment: ObjectFragment,
    ) -> Result<(), Closed> {
        self.needed = self.needed.max(fragment.acknowledged);
        self.take(core, fragment).await?;
        if (self.hole || self.live.problem().is_some()) && !self.passed.contains(name) {
            self.passed.insert(name.to_owned());
        }
        Ok(())
    }

    /// Writes a fragment into the own journal, if it is the next one. A fragment that nobody understands sets the recording aside.
    ///
    /// # Errors
    /// The journal has been closed.
    pub(super) async fn take(&mut self, core: &Shared, fragment: ObjectFragment) -> Result<(), Closed> {
        let ObjectFragment { head, hash, record, .. } = fragment;
        if head.seq != self.next || self.live.problem().is_some() {
            self.hole |= head.seq > self.next;
            return Ok(());
        }
        let (gaps, end) = if head.flags.gap_before || head.flags.last {
            match declared_in(&record) {
                Ok(declared) => declared,
                Err(problem) => {
                    self.live.quarantine(format!("fragment {} cannot be read: {problem}", head.seq));
                    return Ok(());
                }
            }
        } else {
            (Vec::new(), None)
        };
        let permit = core.journal.room(record.len()).await?;
        let (live, session) = (Arc::clone(&self.live), Arc::clone(&self.session));
        let received = Instant::now();
        core.journal
            .append(Append { live, session, record, head, hash, gaps, end, permit, received })
            .await?;
        self.next += 1;
        self.count += 1;
        self.hole = false;
        Ok(())
    }

    /// Looks, after a barrier of the journal, whether it has taken everything. What does not continue the recording sets it aside.
    ///
    /// # Errors
    /// The journal cannot be written now.
    pub(super) fn check(&self) -> Result<(), TakingError> {
        if self.live.problem().is_some() || self.live.chain().next_seq() >= self.next {
            return Ok(());
        }
        let refused = self.session.outgoing.take().into_iter().find_map(|message| match message.kind {
            Some(Kind::Refused(refused)) => Some(refused),
            _ => None,
        });
        let refused = refused.unwrap_or_default();
        if refused.reason == i32::from(Refusal::Mismatch) {
            self.live
                .quarantine(format!("what lies in shared storage does not continue it: {}", refused.text));
            return Ok(());
        }
        let (recording, seq) = (self.live.id(), self.live.chain().next_seq());
        Err(TakingError::Refused { recording, seq, text: refused.text })
    }
}
