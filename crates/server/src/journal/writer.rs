//! The thread that writes the journal.

use super::{
    Held, JournalFile, Recovered,
    entry::{ENTRY_HEADER, EntryHeader, FILE_HEADER, FileHeader, pending},
    path_of, scan, sync_folder,
};
use crate::{
    clock,
    metrics::Metrics,
    recordings::{Commit, Live, Recordings, Session, Slot},
    space::Space,
};
use bytes::Bytes;
use playhead_format::{Chain, FragmentHead, Hash, IndexEntry};
use playhead_model::{EndReason, Gap, RecordingId};
use playhead_protocol::message::Refusal;
use std::{
    collections::{HashMap, HashSet},
    fs::OpenOptions,
    io,
    os::unix::fs::FileExt as _,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Most bytes written before a sync.
const GROUP: usize = 16 << 20;
/// Fragments that may wait to be written.
const QUEUE: usize = 4_096;
/// Bytes that may wait to be written, in units of a permit.
const PERMITS: usize = 4_096;
/// Small, so that thousands of small fragments may wait at a time and none of them for another's place.
const PERMIT: usize = 64 << 10;
/// With so many fragments in a group the next one may wait until [`PACE`] after this one's start.
const MANY: usize = 8;
/// Each sync costs the same whatever it covers: when many sessions send, fewer syncs leave the processor to other things, and nobody
/// notices the delay.
const PACE: Duration = Duration::from_millis(20);
/// Bytes gathered before they are handed to the system.
const BUFFER: usize = 1 << 20;

/// The journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the journal at {path}: {source}; check the disk and the permissions")]
pub struct JournalError {
    /// The folder or file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// Where and how large.
#[derive(Debug, Clone)]
pub(crate) struct JournalSettings {
    pub(crate) folder: PathBuf,
    /// A new file is begun when one has this many bytes.
    pub(crate) file_bytes: u64,
}

/// A fragment to write.
pub(crate) struct Append {
    pub(crate) live: Arc<Live>,
    pub(crate) session: Arc<Session>,
    pub(crate) record: Bytes,
    pub(crate) head: FragmentHead,
    pub(crate) hash: Hash,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) end: Option<EndReason>,
    pub(crate) permit: OwnedSemaphorePermit,
    /// When it came in.
    pub(crate) received: Instant,
}

enum Job {
    Append(Box<Append>),
    /// Answers when everything before it is dealt with.
    Barrier(oneshot::Sender<()>),
    /// Removes and compacts files.
    Tidy,
    /// Ends the thread once everything that was queued is written.
    Stop,
}

impl Job {
    /// Whether somebody cannot go on before it is done.
    fn waits(&self) -> bool {
        matches!(self, Self::Barrier(_) | Self::Stop)
    }
}

/// A fragment that is on the journal's disk and that its agent has not heard of yet.
pub(crate) struct Written {
    pub(crate) live: Arc<Live>,
    pub(crate) session: Arc<Session>,
    pub(crate) record: Bytes,
    pub(crate) head: FragmentHead,
    pub(crate) hash: Hash,
    pub(crate) received: Instant,
    /// It takes part in what may wait until it is durable.
    pub(crate) permit: OwnedSemaphorePermit,
}

impl Written {
    /// It is durable: tells everybody who waits for that.
    pub(crate) fn acknowledge(self, metrics: &Metrics) {
        let Self { live, session, head, received, permit, .. } = self;
        session.durable(head.seq + 1);
        drop(permit);
        if !session.is_heard {
            return;
        }
        let took = received.elapsed();
        metrics.acknowledged.observe(took.as_secs_f64());
        let (recording, seq) = (live.id(), head.seq);
        tracing::trace!(target: "playhead::way", step = "acknowledge", %recording, seq, took_us = micros(took));
    }
}

/// Whom the writing thread tells what.
pub(crate) struct Outlets {
    pub(crate) recordings: Arc<Recordings>,
    pub(crate) space: Arc<Space>,
    pub(crate) metrics: Arc<Metrics>,
    /// Takes what is written, where the disk alone is not durable enough. Never full: each group holds at least one of the permits.
    pub(crate) shared: Option<mpsc::Sender<Vec<Written>>>,
}

/// Groups that may wait for shared storage.
pub(crate) const GROUPS: usize = PERMITS + 1;

/// The last file there was, and how much of it is durable.
#[derive(Debug, Clone, Copy)]
pub(super) struct Last {
    pub(super) number: u64,
    pub(super) durable: u64,
}

/// A handle to the writing thread.
#[derive(Clone)]
pub(crate) struct Journal {
    jobs: mpsc::Sender<Job>,
    room: Arc<Semaphore>,
}

/// The thread has ended.
#[derive(Debug, thiserror::Error)]
#[error("the journal is closed")]
pub(crate) struct Closed;

impl Journal {
    /// Starts the thread. It begins a new file; those found stay as long as they are needed.
    pub(crate) fn start(
        settings: JournalSettings,
        recovered: Recovered,
        outlets: Outlets,
    ) -> Result<(Self, JoinHandle<()>), JournalError> {
        let folder = settings.folder.clone();
        let (jobs, queue) = mpsc::channel(QUEUE);
        let Outlets { recordings, space, metrics, shared } = outlets;
        let writer = Writer {
            settings,
            recordings,
            space,
            metrics,
            shared,
            closed: recovered.files,
            current: None,
            last: recovered.last,
            buffer: Vec::new(),
            stuck: HashSet::new(),
        };
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.run(queue))
            .map_err(|source| JournalError { path: folder, source })?;
        Ok((Self { jobs, room: Arc::new(Semaphore::new(PERMITS)) }, thread))
    }

    /// Waits for room for a record of that many bytes.
    pub(crate) async fn room(&self, length: usize) -> Result<OwnedSemaphorePermit, Closed> {
        // At most the largest record, far less than all permits.
        let permits = u32::try_from(length / PERMIT + 1).unwrap_or(u32::MAX);
        Arc::clone(&self.room).acquire_many_owned(permits).await.map_err(|_| Closed)
    }

    /// Queues a fragment. What becomes of it goes to the recording and its session.
    pub(crate) async fn append(&self, append: Append) -> Result<(), Closed> {
        self.jobs.send(Job::Append(Box::new(append))).await.map_err(|_| Closed)
    }

    /// Bytes that may still queue up before those who append have to wait.
    pub(crate) fn free_room(&self) -> u64 {
        (self.room.available_permits() * PERMIT) as u64
    }

    /// Whether the thread has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.jobs.is_closed()
    }

    /// Waits until everything that was queued before is dealt with.
    pub(crate) async fn barrier(&self) -> Result<(), Closed> {
        let (done, waiting) = oneshot::channel();
        self.jobs.send(Job::Barrier(done)).await.map_err(|_| Closed)?;
        waiting.await.map_err(|_| Closed)
    }

    /// Ends the thread once everything that was queued is written; nothing more is taken.
    pub(crate) async fn stop(&self) {
        let _ = self.jobs.send(Job::Stop).await;
    }

    /// Asks for files that are not needed any more to be removed. When much is queued, the next time will do.
    pub(crate) fn tidy(&self) {
        let _ = self.jobs.try_send(Job::Tidy);
    }
}

/// The file being written.
struct Current {
    file: Arc<JournalFile>,
    key: [u8; 32],
    /// Where the next entry goes: everything before is durable between groups.
    end: u64,
}

struct Writer {
    settings: JournalSettings,
    recordings: Arc<Recordings>,
    space: Arc<Space>,
    metrics: Arc<Metrics>,
    shared: Option<mpsc::Sender<Vec<Written>>>,
    /// Earlier files, oldest first.
    closed: Vec<Arc<JournalFile>>,
    current: Option<Current>,
    last: Last,
    buffer: Vec<u8>,
    /// Earlier files that cannot be emptied because something in them is damaged.
    stuck: HashSet<u64>,
}

/// Entries on their way into a file, from its durable end on.
struct Group<'a> {
    current: &'a Current,
    buffer: &'a mut Vec<u8>,
    /// Where the buffer's first byte goes.
    start: u64,
}

impl<'a> Group<'a> {
    fn new(current: &'a Current, buffer: &'a mut Vec<u8>) -> Self {
        buffer.clear();
        Self { start: current.end, current, buffer }
    }

    /// Adds an entry of a recording of which everything before `acknowledged` is; gives the place of its record.
    fn put(&mut self, head: &FragmentHead, hash: Hash, record: &[u8], acknowledged: u64) -> io::Result<u64> {
        let at = self.start + self.buffer.len() as u64;
        let length = u32::try_from(record.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let crc = crc32fast::hash(record);
        let (synced, pending) = (self.current.end, pending(head.seq, acknowledged));
        let header = EntryHeader { length, crc, synced, pending, hash, head: *head };
        self.buffer.extend(header.encode(&self.current.key, at));
        if record.len() >= BUFFER {
            self.flush()?;
            self.current.file.file.write_all_at(record, self.start)?;
            self.start += record.len() as u64;
        } else {
            self.buffer.extend(record);
            if self.buffer.len() >= BUFFER {
                self.flush()?;
            }
        }
        Ok(at + ENTRY_HEADER as u64)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.current.file.file.write_all_at(self.buffer, self.start)?;
        self.start += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Makes all of it durable; gives the file's new end.
    fn end(mut self) -> io::Result<u64> {
        self.flush()?;
        self.current.file.file.sync_data()?;
        Ok(self.start)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Keeps what continues its recording, and refuses the rest.
fn follow(appends: Vec<Append>) -> Vec<Append> {
    let mut chains: HashMap<RecordingId, Chain> = HashMap::new();
    let mut follows = |append: &Append| {
        // Sent before its session ended, and not wanted any more.
        if !append.session.is_open() {
            return false;
        }
        if append.live.problem().is_some() {
            append.session.refuse(Refusal::Quarantined, "the recording was set aside at the server");
            return false;
        }
        let chain = chains.entry(append.live.id()).or_insert_with(|| append.live.chain());
        match chain.accept_head(&append.head, append.hash) {
            Ok(()) => true,
            Err(error) => {
                append.session.refuse(Refusal::Mismatch, error.to_string());
                false
            }
        }
    };
    appends.into_iter().filter(&mut follows).collect()
}

impl Writer {
    fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(first) = queue.blocking_recv() {
            let mut jobs = vec![first];
            let mut bytes = 0;
            while bytes < GROUP {
                let Ok(job) = queue.try_recv() else { break };
                if let Job::Append(append) = &job {
                    bytes += append.record.len();
                }
                jobs.push(job);
            }
            let (began, count, waits) = (Instant::now(), jobs.len(), jobs.iter().any(Job::waits));
            if self.group(jobs) {
                queue.close();
            } else if count >= MANY && !waits {
                std::thread::sleep(PACE.saturating_sub(began.elapsed()));
            }
        }
        self.tidy();
    }

    /// Does what has queued up; tells whether it was asked to stop.
    fn group(&mut self, jobs: Vec<Job>) -> bool {
        let (mut appends, mut barriers, mut tidy, mut stop) = (Vec::new(), Vec::new(), false, false);
        for job in jobs {
            match job {
                Job::Append(append) => appends.push(*append),
                Job::Barrier(done) => barriers.push(done),
                Job::Tidy => tidy = true,
                Job::Stop => stop = true,
            }
        }
        if !appends.is_empty() {
            self.write(appends);
        }
        if tidy {
            self.tidy();
        }
        for done in barriers {
            let _ = done.send(());
        }
        stop
    }

    /// Writes a group, syncs once, and tells everybody.
    fn write(&mut self, appends: Vec<Append>) {
        let appends = follow(appends);
        if appends.is_empty() {
            return;
        }
        match self.append_all(&appends) {
            Ok((file, offsets, synced)) => self.commit(&file, appends, offsets, synced),
            Err(error) => {
                tracing::error!(%error, fragments = appends.len(), "cannot write the journal; agents keep their fragments");
                self.metrics.journal_errors.inc();
                self.take_back();
                self.space.failed(&error);
                for append in appends {
                    self.metrics.refused(Refusal::Later);
                    append.session.refuse(Refusal::Later, format!("the server cannot write: {error}"));
                }
            }
        }
    }

    fn append_all(&mut self, appends: &[Append]) -> io::Result<(Arc<JournalFile>, Vec<u64>, Duration)> {
        self.begin()?;
        // `begin` has seen to it that there is one.
        let Some(current) = &mut self.current else { return Err(io::ErrorKind::NotFound.into()) };
        let mut group = Group::new(current, &mut self.buffer);
        let mut offsets = Vec::with_capacity(appends.len());
        for append in appends {
            let acknowledged = append.live.acknowledged();
            offsets.push(group.put(&append.head, append.hash, &append.record, acknowledged)?);
        }
        let before = current.end;
        let began = Instant::now();
        current.end = group.end()?;
        let synced = began.elapsed();
        self.metrics.sync.observe(synced.as_secs_f64());
        self.metrics.group_fragments.observe(appends.len() as f64);
        self.metrics.group_bytes.observe((current.end - before) as f64);
        current.file.bytes.store(current.end, Ordering::Release);
        Ok((Arc::clone(&current.file), offsets, synced))
    }

    /// After a failure nothing of the group may count: cut it off, and go on in a new file, since after a failed sync nobody knows what
    /// the system has kept of this one.
    fn take_back(&mut self) {
        let Some(current) = self.current.take() else { return };
        if let Err(error) = current.file.file.set_len(current.end) {
            // Recovery takes what follows the durable bytes for what it is.
            tracing::error!(%error, file = %current.file.path.display(), "cannot cut the journal back");
        }
        self.last = Last { number: current.file.number, durable: current.end };
        self.closed.push(current.file);
    }

    fn commit(&self, file: &Arc<JournalFile>, appends: Vec<Append>, offsets: Vec<u64>, synced: Duration) {
        let now = clock::now();
        let synced_us = micros(synced);
        let durable = self.shared.is_none();
        let mut written = Vec::new();
        for (append, offset) in appends.into_iter().zip(offsets) {
            let Append { live, session, record, head, hash, gaps, end, permit, received } = append;
            // A record is no longer than MAX_RECORD.
            let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
            let entry = IndexEntry::new(&head, offset, length);
            let slot = Slot { entry, segment: head.segment, file: Held::new(file, length) };
            match live.commit(Commit { head, hash, slot, gaps, end, durable }, Some(now)) {
                Ok(seal) => {
                    let (recording, seq) = (live.id(), head.seq);
                    tracing::trace!(target: "playhead::way", step = "sync", %recording, seq, took_us = synced_us);
                    if seal {
                        self.recordings.want_seal(live.id());
                    }
                    if end.is_some() {
                        self.recordings.progress.notify_one();
                    }
                    let done = Written { live, session, record, head, hash, received, permit };
                    if durable {
                        done.acknowledge(&self.metrics);
                    } else {
                        written.push(done);
                    }
                }
                // Checked before it was written; a quarantine came in between.
                Err(error) => session.refuse(Refusal::Mismatch, error.to_string()),
            }
        }
        if let Some(shared) = self.shared.as_ref().filter(|_| !written.is_empty()) {
            // At the end nobody takes it any more; then nobody hears that it is durable either.
            let _ = shared.blocking_send(written);
        }
    }

    /// Makes sure that there is a file with room.
    fn begin(&mut self) -> io::Result<()> {
        if let Some(current) = self.current.take_if(|current| current.end >= self.settings.file_bytes) {
            self.last = Last { number: current.file.number, durable: current.end };
            self.closed.push(current.file);
        }
        if self.current.is_some() {
            return Ok(());
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
        // A file that could not be begun leaves its number unused.
        self.last.number += 1;
        let number = self.last.number;
        let header = FileHeader { number, before: self.last.durable, key };
        let path = path_of(&self.settings.folder, number);
        let begin = || {
            let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
            file.write_all_at(&header.encode(), 0)?;
            file.sync_all()?;
            sync_folder(&self.settings.folder)?;
            Ok(file)
        };
        match begin() {
            Ok(file) => {
                let end = FILE_HEADER as u64;
                let file = JournalFile::new(number, path, file, end);
                self.current = Some(Current { file, key, end });
                Ok(())
            }
            Err(error) => {
                let _ = std::fs::remove_file(&path);
                Err(error)
            }
        }
    }

    /// Removes files that nobody needs, and copies forward what keeps old ones.
    fn tidy(&mut self) {
        self.remove_unneeded();
        // While more than half of the journal is not needed any more, the oldest file is worth copying: what is copied is less
        // than what becomes free. One that stays all the same, because somebody still reads a recording that has left this server,
        // has its turn again the next time.
        let mut tried = HashSet::new();
        while let Some(oldest) = self.worth_moving(&tried) {
            tried.insert(oldest.number);
            if let Err(error) = self.move_forward(&oldest) {
                tracing::error!(%error, file = %oldest.path.display(), "cannot copy old fragments forward in the journal");
                self.space.failed(&error);
                return;
            }
            self.remove_unneeded();
        }
    }

    fn remove_unneeded(&mut self) {
        self.closed.retain(|file| {
            if file.needed.load(Ordering::Acquire) > 0 {
                return true;
            }
            match std::fs::remove_file(&file.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%error, file = %file.path.display(), "cannot remove a journal file; trying again later");
                    true
                }
                _ => false,
            }
        });
    }

    fn worth_moving(&self, tried: &HashSet<u64>) -> Option<Arc<JournalFile>> {
        let bytes: u64 = self.closed.iter().map(|file| file.bytes.load(Ordering::Acquire)).sum();
        let needed: u64 = self.closed.iter().map(|file| file.needed_bytes.load(Ordering::Acquire)).sum();
        let worth = bytes > 2 * needed + 2 * self.settings.file_bytes;
        let passed = |number: u64| self.stuck.contains(&number) || tried.contains(&number);
        let oldest = self.closed.iter().find(|file| !passed(file.number))?;
        worth.then(|| Arc::clone(oldest))
    }

    /// Copies what is still needed of a file to the end of the journal. A fragment that cannot be read stays where it is, and its
    /// recording is set aside.
    fn move_forward(&mut self, oldest: &Arc<JournalFile>) -> io::Result<()> {
        let key = scan::read_header(&oldest.file)?.map(|header| header.key).unwrap_or_default();
        self.begin()?;
        let Some(current) = &mut self.current else { return Err(io::ErrorKind::NotFound.into()) };
        let mut group = Group::new(current, &mut self.buffer);
        let mut moved = Vec::new();
        for live in self.recordings.all_held() {
            for (seq, file, entry) in live.in_file(oldest.number) {
                let mut bytes = [0; ENTRY_HEADER];
                let at = entry.offset - ENTRY_HEADER as u64;
                file.file.read_exact_at(&mut bytes, at)?;
                let record = file.read(entry.offset, entry.length)?;
                let whole = EntryHeader::parse(&bytes, &key, at);
                match whole.filter(|whole| whole.crc == crc32fast::hash(&record)) {
                    Some(whole) => {
                        let put = group.put(&whole.head, whole.hash, &record, whole.acknowledged());
                        let offset = match put {
                            Ok(offset) => offset,
                            Err(error) => {
                                self.take_back();
                                return Err(error);
                            }
                        };
                        moved.push((Arc::clone(&live), seq, entry.length, offset));
                    }
                    None => {
                        live.quarantine(format!("fragment {seq} was damaged in the server's journal"));
                        self.stuck.insert(oldest.number);
                    }
                }
            }
        }
        match group.end() {
            Ok(end) => {
                current.end = end;
                current.file.bytes.store(end, Ordering::Release);
            }
            Err(error) => {
                self.take_back();
                return Err(error);
            }
        }
        for (live, seq, length, offset) in moved {
            live.moved(seq, oldest.number, Held::new(&current.file, length), offset);
        }
        Ok(())
    }
}
