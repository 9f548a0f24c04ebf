//! One recording that this server holds something of.
//!
//! The journal's writer alone moves it forward ([`Live::commit`]), the sealer alone moves fragments out of it ([`Live::sealed`]).

use super::{Session, lock};
use crate::{
    clock,
    journal::{Held, JournalFile},
};
use playhead_db::site::{Progress, RecordingRow, SegmentRow};
use playhead_format::{Chain, ChainError, FragmentHead, Hash, IndexEntry};
use playhead_model::{Contents, EndReason, Gap, RecordingId, RecordingInfo, RecordingState, WallTime};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::watch;

/// A fragment in the journal.
pub(crate) struct Slot {
    /// What an index says of it; the offset is that in the journal's file.
    pub(crate) entry: IndexEntry,
    /// Number of its segment.
    pub(crate) segment: u32,
    /// The file.
    pub(crate) file: Held,
}

/// A fragment that has become durable.
pub(crate) struct Commit {
    pub(crate) head: FragmentHead,
    pub(crate) hash: Hash,
    pub(crate) slot: Slot,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) end: Option<EndReason>,
    /// Whether it survives what the site is set up for already.
    pub(crate) durable: bool,
}

/// How far a recording has come, for those who follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tip {
    /// The first fragment that is not there yet.
    pub(crate) next_seq: u64,
    /// Whether more may come.
    pub(crate) ended: bool,
    /// The first fragment that does not survive yet what the site is set up for.
    pub(crate) durable: u64,
}

/// Fragments next to each other in the journal, to be read.
pub(crate) type Run = Vec<(Arc<JournalFile>, IndexEntry)>;

/// How a segment that is to be stored ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    /// As its last fragment says.
    Regular,
    /// The agent was lost.
    Lost,
}

/// A whole segment that is not stored yet.
pub(crate) struct Unsealed {
    pub(crate) number: u32,
    pub(crate) run: Run,
    pub(crate) closing: Closing,
}

/// Particulars for lists.
pub(crate) struct Status {
    pub(crate) connected: bool,
    pub(crate) progress: Progress,
    /// What was met in it besides pictures that are exact.
    pub(crate) contents: Contents,
}

pub(crate) struct Live {
    pub(crate) info: RecordingInfo,
    state: Mutex<State>,
    tip: watch::Sender<Tip>,
    /// Held by whoever stores segments of it: one at a time.
    pub(crate) sealing: tokio::sync::Mutex<()>,
    /// How long was waited after the last failure to store a segment.
    pub(crate) seal_wait: Mutex<Option<Duration>>,
}

struct State {
    /// What is durable so far.
    chain: Chain,
    head: Hash,
    segment: u32,
    end_us: u64,
    /// The fragments that are in no stored segment, without holes.
    held: VecDeque<Slot>,
    /// Entries of the journal behind a hole: kept as evidence.
    stray: Vec<Slot>,
    sealed_bytes: u64,
    held_bytes: u64,
    width: u32,
    height: u32,
    events: u64,
    new_gaps: Vec<Gap>,
    contents: Contents,
    /// All that was met is written down.
    contents_noted: bool,
    end: Option<EndReason>,
    problem: Option<String>,
    quarantined_at: Option<WallTime>,
    heard_at: WallTime,
    dirty: bool,
    session: Option<Arc<Session>>,
    watchers: usize,
    /// The first fragment that does not survive yet what the site is set up for.
    durable: u64,
    /// It is being handed over to another server.
    leaving: bool,
    /// It belongs to another server.
    gone: bool,
}

impl State {
    fn tip(&self) -> Tip {
        let ended = self.end.is_some() || self.problem.is_some() || self.gone;
        Tip { next_seq: self.chain.next_seq(), ended, durable: self.durable }
    }

    /// Whether everything that came is durable: only then its end may be told.
    fn is_settled(&self) -> bool {
        self.durable >= self.chain.next_seq()
    }
}

impl Live {
    /// A recording as the database knows it, with its stored segments.
    pub(crate) fn new(row: &RecordingRow, stored: &[SegmentRow]) -> Self {
        let id = row.info.id;
        let (chain, head, segment, end_us) = match stored.last() {
            // The row was written by this program; a head that does not read would have been refused there.
            Some(last) => {
                let head = last.head.parse().unwrap_or_else(|_| playhead_format::genesis(id));
                let chain = Chain::resume(id, last.next_seq, head, last.number, last.end_us);
                (chain, head, last.number, last.end_us)
            }
            None => (Chain::new(id), playhead_format::genesis(id), 0, 0),
        };
        let ended = row.state != RecordingState::Live;
        let durable = chain.next_seq();
        let (tip, _) = watch::channel(Tip { next_seq: chain.next_seq(), ended, durable });
        let state = State {
            chain,
            head,
            segment,
            end_us,
            held: VecDeque::new(),
            stray: Vec::new(),
            sealed_bytes: stored.iter().map(|segment| segment.bytes).sum(),
            held_bytes: 0,
            width: row.width,
            height: row.height,
            events: stored.iter().map(|segment| segment.events).sum(),
            new_gaps: Vec::new(),
            contents: row.contents.clone(),
            contents_noted: true,
            end: row.end_reason,
            problem: row.problem.clone(),
            quarantined_at: row.quarantined_at,
            heard_at: row.heard_at,
            dirty: false,
            session: None,
            watchers: 0,
            durable,
            leaving: false,
            gone: false,
        };
        Self {
            info: row.info.clone(),

            state: Mutex::new(state),
            tip,
            sealing: tokio::sync::Mutex::default(),
            seal_wait: Mutex::default(),
        }
    }

    pub(crate) fn id(&self) -> RecordingId {
        self.info.id
    }

    /// What is durable so far; the writer checks against a copy.
    pub(crate) fn chain(&self) -> Chain {
        lock(&self.state).chain
    }

    /// Hash, segment and end of the last durable fragment.
    pub(crate) fn last(&self) -> (u64, Hash, u32, u64) {
        let state = lock(&self.state);
        (state.chain.next_seq(), state.head, state.segment, state.end_us)
    }

    /// Takes in a fragment that is durable now. Returns whether there may be a segment to store.
    ///
    /// # Errors
    /// It does not follow; nothing was changed.
    pub(crate) fn commit(&self, commit: Commit, now: Option<WallTime>) -> Result<bool, ChainError> {
        let mut state = lock(&self.state);
        let Commit { head, hash, slot, gaps, end, durable } = commit;
        state.chain.accept_head(&head, hash)?;
        let rolled_over = head.flags.first_of_segment && !state.held.is_empty();
        state.head = hash;
        state.segment = head.segment;
        state.end_us = head.end_us;
        state.held_bytes += u64::from(slot.entry.length);
        (state.width, state.height) = (head.width, head.height);
        state.events += u64::from(head.events);
        state.new_gaps.extend(gaps);
        if state.held.len() == state.held.capacity() {
            // A quiet hour is a thousand fragments, and there are thousands of recordings: not twice what is needed for each.
            let more = (state.held.len() / 8).max(16);
            state.held.reserve_exact(more);
        }
        state.held.push_back(slot);
        state.end = state.end.or(end);
        if durable {
            state.durable = state.chain.next_seq();
        }
        state.heard_at = now.unwrap_or(state.heard_at);
        state.dirty = true;
        let tip = state.tip();
        drop(state);
        self.tip.send_replace(tip);
        Ok(rolled_over || tip.ended)
    }

    /// Everything before `next_seq` is durable: it survives what the site is set up for.
    pub(crate) fn durable(&self, next_seq: u64) {
        let mut state = lock(&self.state);
        state.durable = state.durable.max(next_seq).min(state.chain.next_seq());
        state.dirty = true;
        let tip = state.tip();
        drop(state);
        self.tip.send_replace(tip);
    }

    /// Gives the recording up for another server to take it: nothing more comes in and nothing is stored until it has gone or stays.
    /// `None` when that is under way already or it is set aside; otherwise the agent's opening, which has ended.
    pub(crate) fn leave(&self) -> Option<Option<Arc<Session>>> {
        let mut state = lock(&self.state);
        if state.leaving || state.gone || state.problem.is_some() {
            return None;
        }
        state.leaving = true;
        let session = state.session.take();
        if let Some(session) = &session {
            session.end();
        }
        Some(session)
    }

    /// Nobody has taken it.
    pub(crate) fn stay(&self) {
        lock(&self.state).leaving = false;
    }

    /// Whether it is being handed over.
    pub(crate) fn is_leaving(&self) -> bool {
        let state = lock(&self.state);
        state.leaving || state.gone
    }

    /// It belongs to another server now: nothing is written down for it any more. Gives the agent's opening, which has ended.
    pub(crate) fn abandon(&self) -> Option<Arc<Session>> {
        let mut state = lock(&self.state);
        state.gone = true;
        let session = state.session.take();
        if let Some(session) = &session {
            session.end();
        }
        let tip = state.tip();
        drop(state);
        self.tip.send_replace(tip);
        session
    }

    /// One past the newest fragment that agents may have been told to be durable.
    pub(crate) fn acknowledged(&self) -> u64 {
        lock(&self.state).durable
    }

    /// Number of the first fragment in the journal.
    pub(crate) fn first_held(&self) -> Option<u64> {
        lock(&self.state).held.front().map(|slot| slot.entry.seq)
    }

    /// Gives the recording to a new opening; the one before is returned.
    pub(crate) fn take_over(&self, session: &Arc<Session>) -> Option<Arc<Session>> {
        let mut state = lock(&self.state);
        let before = state.session.replace(Arc::clone(session));
        if let Some(before) = &before {
            before.end();
        }
        before
    }

    /// The opening has ended; nothing changes when another has taken over meanwhile.
    pub(crate) fn release(&self, session: &Arc<Session>, now: WallTime) {
        session.end();
        let mut state = lock(&self.state);
        if state.session.as_ref().is_some_and(|current| Arc::ptr_eq(current, session)) {
            state.session = None;
            state.heard_at = now;
            state.dirty = true;
        }
    }

    /// Keeps an entry of the journal that lies behind a hole.
    pub(crate) fn keep_stray(&self, slot: Slot) {
        lock(&self.state).stray.push(slot);
    }

    /// An entry of the journal that was kept from behind a hole.
    pub(crate) fn stray(&self, seq: u64) -> Option<(Arc<JournalFile>, IndexEntry)> {
        let state = lock(&self.state);
        let slot = state.stray.iter().find(|slot| slot.entry.seq == seq)?;
        Some((slot.file.file(), slot.entry))
    }

    /// Lets go of what was kept from behind a hole: there is none any more, or its agent still has all from there on. Gives how many
    /// fragments its agent sends again.
    pub(crate) fn drop_strays(&self) -> usize {
        let mut state = lock(&self.state);
        let next = state.chain.next_seq();
        let strays = std::mem::take(&mut state.stray);
        strays.iter().filter(|slot| slot.entry.seq >= next).count()
    }

    /// Sets the recording aside. What is there can still be played.
    pub(crate) fn quarantine(&self, problem: String) {
        tracing::error!(recording = %self.id(), error = problem, "recording quarantined");
        let mut state = lock(&self.state);
        state.problem.get_or_insert(problem);
        state.quarantined_at.get_or_insert_with(clock::now);
        state.dirty = true;
        let tip = state.tip();
        let session = state.session.take();
        drop(state);
        self.tip.send_replace(tip);
        if let Some(session) = session {
            let text = "the recording was set aside at the server; see its entry in the list of recordings";
            session.refuse(playhead_protocol::message::Refusal::Quarantined, text);
        }
    }

    pub(crate) fn problem(&self) -> Option<String> {
        lock(&self.state).problem.clone()
    }

    /// Declares the recording over when nothing was heard of its agent since `before`. Returns whether it did.
    pub(crate) fn end_if_lost(&self, before: WallTime) -> bool {
        let mut state = lock(&self.state);
        if state.end.is_some()
            || state.problem.is_some()
            || state.session.is_some()
            || state.leaving
            || state.gone
            || state.heard_at >= before
        {
            return false;
        }
        state.end = Some(EndReason::AgentLost);
        state.dirty = true;
        let tip = state.tip();
        drop(state);
        self.tip.send_replace(tip);
        true
    }

    /// The first whole segment that is not stored yet.
    pub(crate) fn unsealed(&self) -> Option<Unsealed> {
        let state = lock(&self.state);
        if state.problem.is_some() || state.leaving || state.gone {
            return None;
        }
        let number = state.held.front()?.segment;
        let count = state.held.partition_point(|slot| slot.segment == number);
        if count == state.held.len() && state.end.is_none() {
            return None;
        }
        let closing = match state.end {
            Some(EndReason::AgentLost) if count == state.held.len() && !state.chain.ended() => Closing::Lost,
            _ => Closing::Regular,
        };
        let run = state.held.range(..count).map(|slot| (slot.file.file(), slot.entry)).collect();
        Some(Unsealed { number, run, closing })
    }

    /// A segment is stored and written down: its fragments leave the journal. Returns whether nothing is left to wait for.
    pub(crate) fn sealed(&self, segment: &SegmentRow) -> bool {
        let mut state = lock(&self.state);
        while state.held.front().is_some_and(|slot| slot.entry.seq < segment.next_seq) {
            if let Some(slot) = state.held.pop_front() {
                state.held_bytes = state.held_bytes.saturating_sub(u64::from(slot.entry.length));
            }
        }
        let left = state.held.len() + 16;
        state.held.shrink_to(left);
        state.sealed_bytes += segment.bytes;
        state.dirty = true;
        // What is stored is there, wherever the journal is.
        let news = segment.next_seq > state.durable;
        state.durable = state.durable.max(segment.next_seq);
        let (tip, over) = (state.tip(), state.end.is_some() && state.held.is_empty());
        drop(state);
        if news {
            self.tip.send_replace(tip);
        }
        over
    }

    /// Whether it has ended and everything of it is stored.
    pub(crate) fn is_over(&self) -> bool {
        let state = lock(&self.state);
        state.end.is_some() && state.held.is_empty() && state.problem.is_none() && !state.leaving
    }

    /// Whether it has ended without a single fragment.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.state).chain.next_seq() == 0
    }

    /// Whether its agent has it open, and how many bytes of it are in the journal.
    pub(crate) fn standing(&self) -> (bool, u64) {
        let state = lock(&self.state);
        (state.session.as_ref().is_some_and(|session| session.is_open()), state.held_bytes)
    }

    /// Whether something happened that should be written down at once: its end, a gap, a defect.
    pub(crate) fn is_news(&self) -> bool {
        let state = lock(&self.state);
        state.dirty && (state.end.is_some() || state.problem.is_some() || !state.new_gaps.is_empty())
    }

    /// How far it has come, when that was not written down yet.
    pub(crate) fn take_progress(&self) -> Option<Progress> {
        let mut state = lock(&self.state);
        if !state.dirty || state.gone {
            return None;
        }
        state.dirty = false;
        let mut progress = self.progress(&state);
        progress.new_gaps = std::mem::take(&mut state.new_gaps);
        Some(progress)
    }

    /// This was met in a fragment.
    pub(crate) fn met(&self, contents: Contents) {
        if contents == Contents::default() {
            return;
        }
        let mut state = lock(&self.state);
        let before = state.contents.clone();
        state.contents.join(contents);
        state.contents_noted &= before == state.contents;
    }

    /// All that was met, if it is to be written down.
    pub(crate) fn take_contents(&self) -> Option<Contents> {
        let mut state = lock(&self.state);
        (!std::mem::replace(&mut state.contents_noted, true)).then(|| state.contents.clone())
    }

    /// What [`Live::take_contents`] gave could not be written down.
    pub(crate) fn give_contents_back(&self) {
        lock(&self.state).contents_noted = false;
    }

    /// What [`Live::take_progress`] gave could not be written down.
    pub(crate) fn give_back(&self, progress: Progress) {
        let mut state = lock(&self.state);
        state.dirty = true;
        state.new_gaps.splice(0..0, progress.new_gaps);
    }

    fn progress(&self, state: &State) -> Progress {
        let end = state.end.filter(|_| state.is_settled());
        let recording_state = match (&state.problem, end) {
            (Some(_), _) => RecordingState::Quarantined,
            (None, Some(_)) => RecordingState::Finished,
            (None, None) => RecordingState::Live,
        };
        let fragments = state.durable;
        Progress {
            recording: self.id(),
            state: recording_state,
            duration_us: state.end_us,
            bytes: state.sealed_bytes + state.held_bytes,
            fragments,
            segments: if fragments == 0 { 0 } else { state.segment.saturating_add(1) },
            width: state.width,
            height: state.height,
            events: state.events,
            end_reason: end,
            problem: state.problem.clone(),
            quarantined_at: state.quarantined_at,
            heard_at: state.heard_at,
            connected: state.session.as_ref().is_some_and(|session| session.is_open()),
            new_gaps: Vec::new(),
        }
    }

    pub(crate) fn status(&self) -> Status {
        let state = lock(&self.state);
        Status {
            connected: state.session.as_ref().is_some_and(|session| session.is_open()),
            progress: self.progress(&state),
            contents: state.contents.clone(),
        }
    }

    /// Up to `most` fragments in the journal from `seq` on; empty when that one is not there.
    pub(crate) fn run_from(&self, seq: u64, most: usize) -> Run {
        let state = lock(&self.state);
        let Some(first) = state.held.front() else { return Run::new() };
        // What is held has no holes.
        let Some(at) = seq.checked_sub(first.entry.seq).and_then(|at| usize::try_from(at).ok()) else {
            return Run::new();
        };
        state.held.iter().skip(at).take(most).map(|slot| (slot.file.file(), slot.entry)).collect()
    }

    /// What an index says of all fragments in the journal, with their segments' numbers.
    pub(crate) fn entries(&self) -> Vec<(u32, IndexEntry)> {
        lock(&self.state).held.iter().map(|slot| (slot.segment, slot.entry)).collect()
    }

    /// The fragments that lie in one file of the journal.
    pub(crate) fn in_file(&self, number: u64) -> Vec<(u64, Arc<JournalFile>, IndexEntry)> {
        let state = lock(&self.state);
        let all = state.held.iter().chain(&state.stray);
        all.filter(|slot| slot.file.number() == number)
            .map(|slot| (slot.entry.seq, slot.file.file(), slot.entry))
            .collect()
    }

    /// A fragment was copied to another place in the journal.
    pub(crate) fn moved(&self, seq: u64, from: u64, file: Held, offset: u64) {
        let mut state = lock(&self.state);
        let State { held, stray, .. } = &mut *state;
        let slot =
            held.iter_mut().chain(stray).find(|slot| slot.entry.seq == seq && slot.file.number() == from);
        if let Some(slot) = slot {
            slot.file = file;
            slot.entry.offset = offset;
        }
    }

    /// Follows the recording.
    pub(crate) fn follow(&self) -> watch::Receiver<Tip> {
        self.tip.subscribe()
    }

    /// Counts somebody who watches live, until the guard is dropped. The agent learns of the first and of the last.
    pub(crate) fn watch(self: &Arc<Self>) -> WatchGuard {
        let mut state = lock(&self.state);
        state.watchers += 1;
        if state.watchers == 1
            && let Some(session) = &state.session
        {
            session.watch(true);
        }
        WatchGuard(Arc::clone(self))
    }

    pub(crate) fn is_watched(&self) -> bool {
        lock(&self.state).watchers > 0
    }
}

/// Somebody watches live.
pub(crate) struct WatchGuard(Arc<Live>);

impl Drop for WatchGuard {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.watchers -= 1;
        if state.watchers == 0
            && let Some(session) = &state.session
        {
            session.watch(false);
        }
    }
}
