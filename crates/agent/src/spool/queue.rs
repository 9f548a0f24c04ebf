//! The queue of one recording: a folder with append-only files.
//!
//! A new file begins with every segment and when a file has grown enough, so that what is durable at the server can be
//! deleted at the front. The newest file stays until the recording has ended: its last fragment is what a restarted agent
//! continues from.

use super::{
    SpoolError, Usage,
    breaks::{Break, Breaks},
    entry::{self, Entry, HEADER},
};
use playhead_format::{Channel, Fragment, FragmentHead, Hash, MetaMessage, open_fragment};
use playhead_model::{Gap, GapCause, RecordingId, RecordingInfo};
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A file that has grown to this is followed by a new one.
pub(super) const FILE_BYTES: u64 = 1 << 20;
const INFO: &str = "info.json";
pub(super) const BREAKS: &str = "breaks.json";
pub(super) const SUFFIX: &str = ".queue";
/// What follows the name of a queue's folder that is being deleted.
pub(super) const GONE: &str = "gone";

/// What stays the same of a recording from its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Started {
    /// Its particulars.
    pub(crate) info: RecordingInfo,
    /// The run of the machine in which it started.
    pub(crate) boot_id: String,
    /// Media time 0 on the machine's own clock, in microseconds.
    pub(crate) start_boot_us: u64,
}

/// The queue of one recording.
pub(crate) struct Queue {
    started: Started,
    usage: Arc<Usage>,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) folder: PathBuf,
    pub(super) files: VecDeque<Piece>,
    /// The newest file, open for writing.
    writer: Option<File>,
    pub(super) breaks: Breaks,
    /// What comes next, once anything has come.
    pub(super) next_seq: Option<u64>,
    pub(super) ended: bool,
    /// Set aside or deleted: nothing more is taken.
    closed: bool,
    /// Because it failed.
    failed: bool,
    /// Some of the newest fragments could not be read at the start.
    pub(super) lost_tail: bool,
    /// The first number that is not known to be durable.
    durable: u64,
    /// What keeps it from being queued.
    full: Option<String>,
    /// What keeps it from being sent.
    stuck: Option<String>,
    /// The newest gap that this run of the agent has declared.
    last_gap: Option<Gap>,
}

pub(super) struct Piece {
    pub(super) path: PathBuf,
    pub(super) entries: Vec<Entry>,
    /// Bytes of its sound entries, and whatever lies between them.
    pub(super) length: u64,
}

/// What of a recording the server does not have yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Waiting {
    /// Fragments.
    pub(crate) fragments: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Media time at which the oldest of them starts.
    pub(crate) oldest_us: Option<u64>,
    /// What keeps it from being queued or sent.
    pub(crate) trouble: Option<String>,
    /// The newest gap that this run of the agent has declared.
    pub(crate) last_gap: Option<Gap>,
}

impl Queue {
    /// Makes an empty queue in `folder`: of a new recording, or of one whose queue was lost, for the cause given.
    pub(super) fn create(
        folder: PathBuf,
        started: Started,
        usage: Arc<Usage>,
        lost: Option<GapCause>,
    ) -> Result<Self, SpoolError> {
        if lost.is_some() && folder.exists() {
            // It could not be set aside. What is left in it must not be taken for what comes now.
            fs::remove_dir_all(&folder).map_err(SpoolError::at(&folder))?;
        }
        fs::create_dir_all(&folder).map_err(SpoolError::at(&folder))?;
        // First: without it the fragments would be sent under numbers that the server has taken already.
        if let Some(cause) = lost {
            write_json(&folder.join(BREAKS), &Breaks::after_loss(cause))?;
        }
        write_json(&folder.join(INFO), &started)?;
        usage.count_gap(lost.is_some());
        let breaks = lost.map(Breaks::after_loss).unwrap_or_default();
        Ok(Self::with(folder, started, usage, breaks))
    }

    /// Opens what an earlier run left in `folder`. A torn tail is cut off; what is damaged in the middle becomes a hole.
    pub(super) fn open(folder: PathBuf, usage: Arc<Usage>) -> Result<Self, SpoolError> {
        let started: Started =
            read_json(&folder.join(INFO))?.ok_or_else(|| SpoolError::NoInfo { folder: folder.clone() })?;
        let breaks = read_json(&folder.join(BREAKS))?.unwrap_or_default();
        let queue = Self::with(folder, started, usage, breaks);
        queue.lock().load(&queue.started.info.id)?;
        let length: u64 = queue.lock().files.iter().map(|file| file.length).sum();
        queue.usage.add(length);
        Ok(queue)
    }

    fn with(folder: PathBuf, started: Started, usage: Arc<Usage>, breaks: Breaks) -> Self {
        let state = State {
            folder,
            files: VecDeque::new(),
            writer: None,
            breaks,
            next_seq: None,
            ended: false,
            closed: false,
            failed: false,
            lost_tail: false,
            durable: 0,
            full: None,
            stuck: None,
            last_gap: None,
        };
        Self { started, usage, state: Mutex::new(state) }
    }

    pub(crate) fn id(&self) -> RecordingId {
        self.started.info.id
    }

    pub(crate) fn started(&self) -> &Started {
        &self.started
    }

    /// Whether the recording's last fragment is in it.
    pub(crate) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// Whether nothing was ever put into it.
    pub(crate) fn is_unused(&self) -> bool {
        self.lock().next_seq.is_none()
    }

    /// Whether the newest fragments of the run before could not be read.
    pub(crate) fn lost_tail(&self) -> bool {
        self.lock().lost_tail
    }

    /// Notes that the server may have more than what is left here after damage.
    ///
    /// # Errors
    /// It cannot be written down.
    pub(crate) fn note_lost_tail(&self) -> Result<(), SpoolError> {
        let mut state = self.lock();
        let breaks = match state.next_seq {
            Some(next) => {
                let mut breaks = state.breaks.clone();
                breaks.lost_before(next, GapCause::QueueDamaged);
                breaks
            }
            None => Breaks::after_loss(GapCause::QueueDamaged),
        };
        write_json(&state.folder.join(BREAKS), &breaks)?;
        state.breaks = breaks;
        Ok(())
    }

    /// What the server does not have yet.
    pub(crate) fn unsent(&self) -> Waiting {
        let state = self.lock();
        let mut waiting = Waiting {
            trouble: state.full.clone().or(state.stuck.clone()),
            last_gap: state.last_gap.clone(),
            ..Waiting::default()
        };
        for file in state.files.iter().rev() {
            for entry in file.entries.iter().rev() {
                if state.breaks.number(entry.seq) < state.durable {
                    return waiting;
                }
                waiting.fragments += 1;
                waiting.bytes += u64::from(entry.length);
                waiting.oldest_us = Some(entry.start_us);
            }
        }
        waiting
    }

    /// Notes what keeps it from being queued, until something is.
    pub(super) fn note_full(&self, why: String) {
        self.lock().full = Some(why);
    }

    /// Notes what keeps it from being sent, until something is durable.
    pub(crate) fn note_stuck(&self, why: String) {
        self.lock().stuck = Some(why);
    }

    /// Bytes on disk.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.lock().files.iter().map(|file| file.length).sum()
    }

    /// The newest fragment's head and hash, from which a recorder goes on.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn tail(&self) -> Result<Option<(FragmentHead, Hash)>, SpoolError> {
        let Some(seq) = self.lock().newest().map(|entry| entry.seq) else { return Ok(None) };
        let open = open_fragment(&self.read(seq)?)?;
        Ok(Some((*open.head(), open.hash())))
    }

    /// The oldest fragment that is kept, as (as recorded, as sent).
    #[cfg(test)]
    pub(crate) fn first(&self) -> Option<(u64, u64)> {
        let state = self.lock();
        let seq = state.files.iter().find_map(|file| file.entries.first())?.seq;
        Some((seq, state.breaks.number(seq)))
    }

    /// Number and length of the fragments from number `from` on, as sent.
    pub(crate) fn waiting(&self, from: u64) -> Vec<(u64, u32)> {
        let state = self.lock();
        let is_wanted =
            |file: &&Piece| file.entries.last().is_some_and(|last| state.breaks.number(last.seq) >= from);
        let files = state.files.iter().filter(is_wanted);
        files
            .flat_map(|file| &file.entries)
            .map(|entry| (state.breaks.number(entry.seq), entry.length))
            .skip_while(|(number, _)| *number < from)
            .collect()
    }

    /// The number under which the next fragment will be sent.
    pub(crate) fn end(&self) -> u64 {
        let state = self.lock();
        state.breaks.number(state.next_seq.unwrap_or(0))
    }

    /// The fragment that is sent under `number`, as recorded.
    pub(crate) fn seq_of(&self, number: u64) -> Option<u64> {
        let state = self.lock();
        let file = state.files.iter().rev().find(|file| {
            file.entries.first().is_some_and(|first| state.breaks.number(first.seq) <= number)
        })?;
        let at = file.entries.binary_search_by_key(&number, |entry| state.breaks.number(entry.seq)).ok()?;
        Some(file.entries[at].seq)
    }

    /// The hole right before a fragment, and whether any hole lies before it.
    pub(crate) fn holes(&self, seq: u64) -> (Option<Break>, bool) {
        let state = self.lock();
        (state.breaks.before(seq).copied(), state.breaks.any_before(seq))
    }

    /// The number under which a fragment is sent.
    pub(crate) fn number(&self, seq: u64) -> u64 {
        self.lock().breaks.number(seq)
    }

    /// Reads a fragment.
    ///
    /// # Errors
    /// It is not there, or its bytes are not those that were written.
    pub(crate) fn read(&self, seq: u64) -> Result<Vec<u8>, SpoolError> {
        let (path, entry) = {
            let state = self.lock();
            let found = state.files.iter().find_map(|file| {
                let at = file.entries.binary_search_by_key(&seq, |entry| entry.seq).ok()?;
                Some((file.path.clone(), file.entries[at]))
            });
            found.ok_or(SpoolError::NotThere { recording: self.id(), seq })?
        };
        let mut bytes = vec![0; HEADER + entry.length as usize];
        let mut read = |path: &Path| File::open(path)?.read_exact_at(&mut bytes, entry.offset);
        read(&path).map_err(SpoolError::at(&path))?;
        if !entry::is_sound(&entry, &bytes) {
            return Err(SpoolError::Damaged { path, offset: entry.offset });
        }
        bytes.drain(..HEADER);
        Ok(bytes)
    }

    /// Puts a fragment in. On an error nothing has changed.
    pub(super) fn append(&self, fragment: &Fragment) -> Result<(), SpoolError> {
        let mut state = self.lock();
        let expected = state.next_seq.unwrap_or(fragment.head.seq);
        if state.closed || state.ended {
            return Err(SpoolError::Closed { recording: self.id(), failed: state.failed });
        }
        if fragment.head.seq != expected {
            return Err(SpoolError::OutOfOrder { expected, actual: fragment.head.seq });
        }
        let before = state.files.back().map_or(0, |file| file.length);
        let grown = state.append(fragment)?;
        state.full = None;
        if fragment.head.flags.gap_before {
            self.usage.count_gap(true);
            state.last_gap = declared(fragment).or(state.last_gap.take());
        }
        self.usage.add(grown);
        tracing::trace!(recording = %self.id(), seq = fragment.head.seq, before, grown, "fragment queued");
        Ok(())
    }

    /// Everything before `number` is durable at the server: deletes whole files of it, but never the newest.
    ///
    /// # Errors
    /// A file cannot be deleted; it is tried again next time.
    pub(crate) fn forget_before(&self, number: u64) -> Result<(), SpoolError> {
        let mut state = self.lock();
        state.durable = state.durable.max(number);
        state.stuck = None;
        while state.files.len() > 1 {
            let last = state.files.front().and_then(|file| file.entries.last());
            if last.is_some_and(|last| state.breaks.number(last.seq) >= number) {
                break;
            }
            self.usage.remove(state.delete_front()?);
        }
        Ok(())
    }

    /// Lets go of the oldest segment, unless it is the newest as well. Returns whether there was one.
    pub(super) fn drop_oldest_segment(&self) -> Result<bool, SpoolError> {
        let mut state = self.lock();
        let starts = |file: &Piece| file.entries.first().is_some_and(Entry::is_first_of_segment);
        let Some(keep) = state.files.iter().skip(1).position(starts) else { return Ok(false) };
        let Entry { seq: first, start_us, .. } = state.files[keep + 1].entries[0];
        self.usage.count_gap(state.note_dropped(first, start_us)?);
        for _ in 0..=keep {
            self.usage.remove(state.delete_front()?);
        }
        Ok(true)
    }

    /// Lets go of everything before a fragment, which comes next and begins a segment. Returns whether there was anything.
    pub(super) fn drop_all_before(&self, next: &FragmentHead) -> Result<bool, SpoolError> {
        let mut state = self.lock();
        if state.files.is_empty() || state.next_seq != Some(next.seq) {
            return Ok(false);
        }
        self.usage.count_gap(state.note_dropped(next.seq, next.start_us)?);
        state.writer = None;
        while !state.files.is_empty() {
            self.usage.remove(state.delete_front()?);
        }
        Ok(true)
    }

    /// Wall clock, in microseconds since the Unix epoch, at the start of the oldest fragment that is kept.
    pub(super) fn oldest(&self) -> Option<i64> {
        let oldest = self.lock().files.iter().find_map(|file| file.entries.first())?.start_us;
        Some(self.started.info.started_at.plus_micros(i64::try_from(oldest).unwrap_or(i64::MAX)).as_micros())
    }

    /// The server wants `number` next. What the queue let go of is counted now.
    ///
    /// # Errors
    /// The outcome cannot be written down; nothing must be sent then.
    pub(crate) fn settle(&self, number: u64) -> Result<(), SpoolError> {
        let mut state = self.lock();
        let mut breaks = state.breaks.clone();
        if breaks.settle(number) {
            write_json(&state.folder.join(BREAKS), &breaks)?;
            state.breaks = breaks;
        }
        Ok(())
    }

    /// Takes nothing more, and moves to another folder. Whoever reads it meanwhile is told that it is gone.
    pub(super) fn close(&self, folder: &Path, failed: bool) -> Result<(), SpoolError> {
        let mut state = self.lock();
        self.usage.remove(state.close());
        state.failed = failed;
        match fs::rename(&state.folder, folder) {
            // It was deleted under our hands: what is left is the note.
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(folder),
            renamed => renamed,
        }
        .map_err(SpoolError::at(&state.folder))
    }

    /// Deletes everything. Killed in between, nothing is left that could be taken for a queue.
    pub(super) fn delete(&self) -> Result<(), SpoolError> {
        let mut state = self.lock();
        self.usage.remove(state.close());
        let gone = state.folder.with_extension(GONE);
        let deleted = fs::rename(&state.folder, &gone).and_then(|()| fs::remove_dir_all(&gone));
        deleted.map_err(SpoolError::at(&state.folder))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is made whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn newest(&self) -> Option<&Entry> {
        self.files.iter().rev().find_map(|file| file.entries.last())
    }

    /// Takes nothing more and gives nothing any more. Returns the bytes it had.
    fn close(&mut self) -> u64 {
        self.closed = true;
        self.writer = None;
        self.files.drain(..).map(|file| file.length).sum()
    }

    /// Writes down that everything before `first`, which starts at `to_us`, is let go of for lack of room. Before it is done: a crash
    /// in between deletes the files at the next start. Returns whether that is a new gap, and not an old one that grows.
    fn note_dropped(&mut self, first: u64, to_us: u64) -> Result<bool, SpoolError> {
        let oldest = self.files.iter().find_map(|file| file.entries.first());
        let from_us = oldest.map_or(to_us, |entry| entry.start_us);
        let mut breaks = self.breaks.clone();
        breaks.drop_before(first, GapCause::QueueFull);
        write_json(&self.folder.join(BREAKS), &breaks)?;
        self.breaks = breaks;
        let before =
            self.last_gap.take().filter(|gap| gap.cause == GapCause::QueueFull && gap.to_us >= from_us);
        let is_new = before.is_none();
        let from_us = before.map_or(from_us, |gap| gap.from_us.min(from_us));
        self.last_gap = Some(Gap { from_us, to_us, cause: GapCause::QueueFull });
        Ok(is_new)
    }

    fn append(&mut self, fragment: &Fragment) -> Result<u64, SpoolError> {
        let flags = fragment.head.flags;
        let full = self.files.back().is_none_or(|file| file.length >= FILE_BYTES);
        if full || flags.first_of_segment || self.writer.is_none() {
            self.next_file(fragment.head.seq, full || flags.first_of_segment)?;
        }
        let (Some(file), Some(writer)) = (self.files.back_mut(), &self.writer) else {
            return Err(SpoolError::OutOfOrder { expected: fragment.head.seq, actual: fragment.head.seq });
        };
        let entry = Entry::new(fragment.head.seq, file.length, &fragment.bytes, flags);
        let written = writer
            .write_all_at(&entry.header(&fragment.bytes), entry.offset)
            .and_then(|()| writer.write_all_at(&fragment.bytes, entry.offset + HEADER as u64));
        if let Err(source) = written {
            // What was written of it is cut off; should that fail too, the next start does it.
            let _ = writer.set_len(file.length);
            return Err(SpoolError::File { path: file.path.clone(), source });
        }
        file.length = entry.end();
        file.entries.push(entry);
        self.next_seq = Some(entry.seq + 1);
        self.ended = flags.last;
        Ok(entry.end() - entry.offset)
    }

    /// Opens the newest file for writing, or makes a new one.
    fn next_file(&mut self, seq: u64, new: bool) -> Result<(), SpoolError> {
        let path = match self.files.back() {
            Some(file) if !new => file.path.clone(),
            _ => self.folder.join(format!("{seq:020}{SUFFIX}")),
        };
        let writer = File::options().create(true).truncate(false).write(true).open(&path);
        let writer = writer.map_err(SpoolError::at(&path))?;
        if self.files.back().is_none_or(|file| file.path != path) {
            // A file of that name can only be what an append that failed left behind.
            writer.set_len(0).map_err(SpoolError::at(&path))?;
            // One that stayed empty for the same reason is no use any more.
            if self.files.back().is_some_and(|file| file.entries.is_empty()) {
                self.files.pop_back();
            }
            self.files.push_back(Piece { path, entries: Vec::new(), length: 0 });
        }
        self.writer = Some(writer);
        Ok(())
    }

    pub(super) fn delete_front(&mut self) -> Result<u64, SpoolError> {
        let Some(front) = self.files.front() else { return Ok(0) };
        match fs::remove_file(&front.path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(SpoolError::File { path: front.path.clone(), source }),
        }
        Ok(self.files.pop_front().map_or(0, |file| file.length))
    }
}

/// The gap that a fragment declares.
fn declared(fragment: &Fragment) -> Option<Gap> {
    let open = open_fragment(&fragment.bytes).ok()?;
    let metas = open.messages().flatten().filter(|message| message.channel == Channel::Meta.id());
    metas.into_iter().find_map(|message| match MetaMessage::parse(message.data) {
        MetaMessage::Gap { from_us, to_us, cause } => Some(Gap { from_us, to_us, cause }),
        _ => None,
    })
}

pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), SpoolError> {
    let json = serde_json::to_vec(value).map_err(|error| SpoolError::at(path)(error.into()))?;
    Ok(playhead_net::write_private(path, &json)?)
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, SpoolError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(SpoolError::File { path: path.to_owned(), source }),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| SpoolError::at(path)(error.into()))
}
