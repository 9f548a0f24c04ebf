//! The queue of one recording: a folder with append-only files.
//!
//! A new file begins with every segment and when a file has grown enough, so that what is durable at the server can be
//! deleted at the front. The newest file stays until the recording has ended: its last fragment is what a restarted agent
//! continues from.

use super::{
    SpoolError, Usage,
    breaks::{Break, Breaks},
    entry::{self, Entry, HEADER, Scan},
};
use playhead_format::{Fragment, FragmentHead, Hash, MAX_RECORD, open_fragment};
use playhead_model::{RecordingId, RecordingInfo};
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
const FILE_BYTES: u64 = 1 << 20;
/// The longest file there can be: one that was nearly full when the largest fragment came.
const MAX_FILE: u64 = FILE_BYTES + (MAX_RECORD + HEADER) as u64;
const INFO: &str = "info.json";
const BREAKS: &str = "breaks.json";
const SUFFIX: &str = ".queue";

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

struct State {
    folder: PathBuf,
    files: VecDeque<Piece>,
    /// The newest file, open for writing.
    writer: Option<File>,
    breaks: Breaks,
    /// What comes next, once anything has come.
    next_seq: Option<u64>,
    ended: bool,
    /// Set aside: nothing more is taken.
    closed: bool,
    /// Some of the newest fragments could not be read at the start.
    lost_tail: bool,
}

struct Piece {
    path: PathBuf,
    entries: Vec<Entry>,
    /// Bytes of its sound entries, and whatever lies between them.
    length: u64,
}

impl Queue {
    /// Makes the queue of a new recording in `folder`.
    pub(super) fn create(folder: PathBuf, started: Started, usage: Arc<Usage>) -> Result<Self, SpoolError> {
        fs::create_dir_all(&folder).map_err(SpoolError::at(&folder))?;
        write_json(&folder.join(INFO), &started)?;
        Ok(Self::with(folder, started, usage, Breaks::default()))
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
            lost_tail: false,
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
        (state.breaks.before(seq).copied(), state.breaks.number(seq) != seq)
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
            return Err(SpoolError::Closed { recording: self.id() });
        }
        if fragment.head.seq != expected {
            return Err(SpoolError::OutOfOrder { expected, actual: fragment.head.seq });
        }
        let before = state.files.back().map_or(0, |file| file.length);
        let grown = state.append(fragment)?;
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
        let first = state.files[keep + 1].entries[0].seq;
        // Noted first: a crash in between deletes the files at the next start.
        let mut breaks = state.breaks.clone();
        breaks.drop_before(first);
        write_json(&state.folder.join(BREAKS), &breaks)?;
        state.breaks = breaks;
        for _ in 0..=keep {
            self.usage.remove(state.delete_front()?);
        }
        Ok(true)
    }

    /// When the oldest fragment was written, as far as the file system knows.
    pub(super) fn oldest(&self) -> Option<std::time::SystemTime> {
        let state = self.lock();
        fs::metadata(&state.files.front()?.path).and_then(|meta| meta.modified()).ok()
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

    /// Takes nothing more, and moves to another folder.
    pub(super) fn close(&self, folder: PathBuf) -> Result<(), SpoolError> {
        let mut state = self.lock();
        state.closed = true;
        state.writer = None;
        fs::rename(&state.folder, &folder).map_err(SpoolError::at(&state.folder))?;
        state.folder = folder;
        Ok(())
    }

    /// Deletes everything.
    pub(super) fn delete(&self) -> Result<(), SpoolError> {
        let mut state = self.lock();
        state.closed = true;
        state.writer = None;
        let length: u64 = state.files.drain(..).map(|file| file.length).sum();
        self.usage.remove(length);
        fs::remove_dir_all(&state.folder).map_err(SpoolError::at(&state.folder))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is made whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn newest(&self) -> Option<&Entry> {
        self.files.iter().rev().find_map(|file| file.entries.last())
    }

    fn append(&mut self, fragment: &Fragment) -> Result<u64, SpoolError> {
        let flags = fragment.head.flags;
        let length = u32::try_from(fragment.bytes.len()).unwrap_or(u32::MAX);
        let full = self.files.back().is_none_or(|file| file.length >= FILE_BYTES);
        if full || flags.first_of_segment || self.writer.is_none() {
            self.next_file(fragment.head.seq, full || flags.first_of_segment)?;
        }
        let (Some(file), Some(writer)) = (self.files.back_mut(), &self.writer) else {
            return Err(SpoolError::OutOfOrder { expected: fragment.head.seq, actual: fragment.head.seq });
        };
        let entry = Entry::new(fragment.head.seq, file.length, length, flags);
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

    fn delete_front(&mut self) -> Result<u64, SpoolError> {
        let Some(front) = self.files.front() else { return Ok(0) };
        match fs::remove_file(&front.path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(SpoolError::File { path: front.path.clone(), source }),
        }
        Ok(self.files.pop_front().map_or(0, |file| file.length))
    }

    /// Reads the folder at the start.
    fn load(&mut self, recording: &RecordingId) -> Result<(), SpoolError> {
        let paths = queue_files(&self.folder)?;
        let count = paths.len();
        let known = self.breaks.clone();
        let dropped_before = known.dropped_before();
        // Something is missing right before what comes next, and no anchor has come since.
        let mut broken = false;
        for (at, path) in paths.into_iter().enumerate() {
            let is_newest = at + 1 == count;
            let bytes = read_bounded(&path)?;
            let Scan { entries, damaged_at, torn } = entry::scan(&bytes);
            if damaged_at.is_some() || (torn > 0 && !is_newest) {
                tracing::error!(%recording, file = %path.display(), offset = ?damaged_at,
                    "the queue is damaged: what cannot be read is left out; check the disk");
            }
            let length = bytes.len() as u64 - if is_newest { torn } else { 0 };
            self.files.push_back(Piece { path, entries: Vec::new(), length });
            let mut sound_to = 0;
            for entry in entries {
                let newest = self.newest().map(|newest| newest.seq);
                let is_old = newest.is_some_and(|newest| entry.seq <= newest);
                if is_old || dropped_before.is_some_and(|first| entry.seq < first) {
                    sound_to = entry.end();
                    continue;
                }
                broken |= entry.offset != sound_to || newest.is_some_and(|newest| entry.seq != newest + 1);
                sound_to = entry.end();
                if broken && entry.is_anchor() {
                    broken = false;
                    match newest {
                        Some(newest) => _ = self.breaks.damaged(newest, entry.seq),
                        None => self.breaks.drop_before(entry.seq),
                    }
                }
                if let (false, Some(file)) = (broken, self.files.back_mut()) {
                    file.entries.push(entry);
                }
            }
            broken |= torn > 0 && !is_newest;
            if is_newest && torn > 0 {
                tracing::warn!(%recording, torn, "cutting off a half-written fragment");
                self.cut_newest(length)?;
            }
        }
        // What was let go of just before a crash may still be there.
        while self.files.len() > 1 && self.files.front().is_some_and(|file| file.entries.is_empty()) {
            self.delete_front()?;
        }
        if broken {
            self.cut_tail()?;
        }
        self.next_seq = self.newest().map(|entry| entry.seq + 1);
        self.ended = self.newest().is_some_and(Entry::is_last);
        if self.breaks != known
            && let Err(error) = write_json(&self.folder.join(BREAKS), &self.breaks)
        {
            // The next start finds the same.
            tracing::error!(%recording, %error, "cannot note what is damaged");
        }
        Ok(())
    }

    /// Nothing after the damage can be used: takes it away, so that what comes next cannot be mistaken for it.
    fn cut_tail(&mut self) -> Result<(), SpoolError> {
        self.lost_tail = true;
        while self.files.len() > 1 && self.files.back().is_some_and(|file| file.entries.is_empty()) {
            if let Some(file) = self.files.pop_back() {
                fs::remove_file(&file.path).map_err(SpoolError::at(&file.path))?;
            }
        }
        self.cut_newest(self.newest().map_or(0, Entry::end))
    }

    fn cut_newest(&mut self, length: u64) -> Result<(), SpoolError> {
        let Some(file) = self.files.back_mut() else { return Ok(()) };
        let cut = File::options().write(true).open(&file.path).and_then(|open| open.set_len(length));
        cut.map_err(SpoolError::at(&file.path))?;
        file.length = length;
        Ok(())
    }
}

fn queue_files(folder: &Path) -> Result<Vec<PathBuf>, SpoolError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(SpoolError::at(folder))? {
        let path = entry.map_err(SpoolError::at(folder))?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(SUFFIX)) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, SpoolError> {
    let failed = SpoolError::at(path);
    let length = fs::metadata(path).map_err(SpoolError::at(path))?.len();
    if length > MAX_FILE {
        let reason = format!("expected at most {MAX_FILE} bytes, got {length}");
        return Err(failed(io::Error::new(io::ErrorKind::InvalidData, reason)));
    }
    fs::read(path).map_err(failed)
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), SpoolError> {
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
