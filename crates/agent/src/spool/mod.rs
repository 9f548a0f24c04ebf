//! The queue on disk: every fragment is written here before it is sent, and stays until the server calls it durable.
//!
//! One folder below `spool/` per recording. A killed agent leaves at most one half-written fragment at the end, which is cut
//! off at the next start. Bytes are not synced one by one: they survive the agent's death at any moment; the machine's own
//! death costs the last seconds, with the sessions on it.

mod breaks;
mod disk;
mod entry;
mod load;
mod queue;
mod refused;
#[cfg(test)]
mod tests;

pub(crate) use queue::{Queue, Started, Waiting};
pub(crate) use refused::Refused;

use crate::settings::{SpoolSettings, WhenFull};
use disk::Disk;
use playhead_format::{FormatError, Fragment};
use playhead_model::{GapCause, RecordingId};
use refused::{Aside, is_aside};
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::sync::Notify;

/// Why the queue on disk did not take or give something.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The system's refusal; when the disk is full, for example.
    #[error("cannot use {path}: {source}; see to room and permissions there")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file could not be written whole.
    #[error(transparent)]
    Write(#[from] playhead_net::NetError),
    /// The quota is used up.
    #[error(
        "the queue is full: {used} of {quota} bytes wait for the server; see why it does not take them, or raise quota_bytes"
    )]
    Full {
        /// Bytes waiting.
        used: u64,
        /// The most there may be.
        quota: u64,
    },
    /// The disk is nearly full.
    #[error(
        "the queue's disk has {free} bytes free, fewer than the {least} that are to stay free: make room, or lower least_free_bytes"
    )]
    LittleSpace {
        /// Bytes free.
        free: u64,
        /// The least that must be.
        least: u64,
    },
    /// A folder that is no recording's.
    #[error("{folder} has no info.json: it is no queue of a recording, or the disk lost it")]
    NoInfo {
        /// The folder.
        folder: PathBuf,
    },
    /// A fragment that was not kept.
    #[error("fragment {seq} of recording {recording} is not in the queue")]
    NotThere {
        /// The recording.
        recording: RecordingId,
        /// The fragment.
        seq: u64,
    },
    /// Bytes that are not what was written.
    #[error("{path} is damaged at byte {offset}: check the disk")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
    },
    /// A fragment that does not follow.
    #[error("expected fragment {expected}, got {actual}")]
    OutOfOrder {
        /// What should come.
        expected: u64,
        /// What came.
        actual: u64,
    },
    /// A recording that is set aside or has ended.
    #[error("the queue of recording {recording} is closed")]
    Closed {
        /// The recording.
        recording: RecordingId,
        /// Whether because the queue failed, and not because the recording is over.
        failed: bool,
    },
    /// What is queued is no fragment.
    #[error("what is queued cannot be read: {0}")]
    Format(#[from] FormatError),
}

impl SpoolError {
    pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { path: path.clone(), source }
    }

    /// Whether there is no room now, but may be later.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } | Self::LittleSpace { .. } => true,
            Self::File { source, .. } => is_no_room(source),
            Self::Write(playhead_net::NetError::File { source, .. }) => is_no_room(source),
            _ => false,
        }
    }
}

fn is_no_room(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// What all queues count together.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    bytes: AtomicU64,
    gaps: AtomicU64,
}

impl Usage {
    fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn remove(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn count_gap(&self, is_new: bool) {
        self.gaps.fetch_add(u64::from(is_new), Ordering::Relaxed);
    }
}

/// The queues of all recordings.
pub(crate) struct Spool {
    folder: PathBuf,
    quota_bytes: AtomicU64,
    settings: SpoolSettings,
    usage: Arc<Usage>,
    disk: Disk,
    aside: Aside,
    /// There was no room when it was last needed.
    full: AtomicBool,
    /// Recordings that were let go of whole since the start.
    let_go: AtomicU64,
    queues: Mutex<HashMap<RecordingId, Arc<Queue>>>,
    /// Something was put in, or a queue came or went.
    changed: Notify,
}

/// How the queues stand, all together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    /// Bytes on disk, what the server has already but was not deleted yet included.
    pub(crate) bytes: u64,
    /// The most there may be.
    pub(crate) quota: u64,
    /// Bytes free on the disk.
    pub(crate) free: u64,
    /// With fewer than these nothing is queued.
    pub(crate) least_free: u64,
    /// There is no room.
    pub(crate) full: bool,
    /// Gaps declared since the start.
    pub(crate) gaps: u64,
    /// Recordings let go of whole since the start.
    pub(crate) let_go: u64,
    /// Queues that were set aside.
    pub(crate) refused: Vec<Refused>,
    /// How many of them were deleted since the start, and their bytes.
    pub(crate) refused_deleted: (u64, u64),
}

impl Spool {
    /// Opens the queues below `folder`. One that cannot be opened is set aside; the others go on.
    ///
    /// # Errors
    /// The folder itself cannot be used.
    pub(crate) fn open(folder: &Path, settings: SpoolSettings) -> Result<Self, SpoolError> {
        fs::create_dir_all(folder).map_err(SpoolError::at(folder))?;
        let usage = Arc::new(Usage::default());
        let aside = Aside::open(folder, settings.refused_quota_bytes);
        let mut queues = HashMap::new();
        for entry in fs::read_dir(folder).map_err(SpoolError::at(folder))? {
            let path = entry.map_err(SpoolError::at(folder))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Ok(id) = name.parse::<RecordingId>() else {
                if path.extension().is_some_and(|end| end == queue::GONE) {
                    // The agent was killed while it deleted this.
                    clear(&path);
                } else if !is_aside(&name) {
                    tracing::warn!(path = %path.display(), "no queue of ours: left alone");
                }
                continue;
            };
            match Queue::open(path.clone(), Arc::clone(&usage)) {
                Ok(queue) if queue.id() == id => {
                    queues.insert(id, Arc::new(queue));
                }
                Ok(_) => {
                    tracing::error!(folder = %path.display(), "the folder holds another recording's queue: left alone");
                }
                // The agent was killed while it made this.
                Err(SpoolError::NoInfo { .. }) if !load::has_files(&path) => clear(&path),
                Err(error) => {
                    tracing::error!(folder = %path.display(), %error, "cannot open a recording's queue: setting it aside");
                    let rename = |to: &Path| fs::rename(&path, to).map_err(SpoolError::at(&path));
                    if let Err(error) = aside.take(&path, &error.to_string(), rename) {
                        tracing::error!(folder = %path.display(), %error, "cannot set it aside");
                    }
                }
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            quota_bytes: settings.quota_bytes.into(),
            disk: Disk::new(folder, settings.least_free_bytes),
            settings,
            usage,
            aside,
            full: AtomicBool::new(false),
            let_go: AtomicU64::new(0),
            queues: Mutex::new(queues),
            changed: Notify::new(),
        })
    }

    /// Begins the queue of a new recording.
    ///
    /// # Errors
    /// Nothing can be written.
    pub(crate) fn create(&self, started: Started) -> Result<Arc<Queue>, SpoolError> {
        self.add(started, None)
    }

    /// Begins the queue of a recording whose own was lost. Its fragments are numbered from 0 and follow, after a declared gap, what
    /// the server has.
    ///
    /// # Errors
    /// Nothing can be written.
    pub(crate) fn create_after_loss(
        &self,
        started: Started,
        cause: GapCause,
    ) -> Result<Arc<Queue>, SpoolError> {
        self.add(started, Some(cause))
    }

    fn add(&self, started: Started, lost: Option<GapCause>) -> Result<Arc<Queue>, SpoolError> {
        let id = started.info.id;
        let folder = self.folder.join(id.to_string());
        let queue = Arc::new(Queue::create(folder, started, Arc::clone(&self.usage), lost)?);
        self.lock().insert(id, Arc::clone(&queue));
        Ok(queue)
    }

    /// The queue of a recording.
    pub(crate) fn get(&self, id: RecordingId) -> Option<Arc<Queue>> {
        self.lock().get(&id).cloned()
    }

    /// All queues, oldest recording first.
    pub(crate) fn all(&self) -> Vec<Arc<Queue>> {
        let mut all: Vec<_> = self.lock().values().cloned().collect();
        all.sort_by_key(|queue| queue.id());
        all
    }

    /// Puts a fragment in, and makes room for it where the settings say so.
    ///
    /// # Errors
    /// No room, or the disk's refusal; nothing has changed then.
    pub(crate) fn append(&self, queue: &Queue, fragment: &Fragment) -> Result<(), SpoolError> {
        let began = std::time::Instant::now();
        let appended = self.make_room(queue, fragment).and_then(|()| queue.append(fragment));
        let took_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::trace!(target: "playhead::way", step = "queue", recording = %queue.id(), seq = fragment.head.seq, took_us);
        if let Err(error) = &appended {
            self.full.fetch_or(error.is_full(), Ordering::Relaxed);
            queue.note_full(error.to_string());
        }
        self.changed.notify_one();
        appended
    }

    fn make_room(&self, queue: &Queue, fragment: &Fragment) -> Result<(), SpoolError> {
        let length = fragment.bytes.len() as u64;
        // The end of a recording is small, and without it nobody would know that it ended.
        while !fragment.head.flags.last
            && let Err(lack) = self.check_room(length)
        {
            self.full.store(true, Ordering::Relaxed);
            if self.settings.when_full != WhenFull::KeepNewest || !self.drop_oldest(queue, fragment)? {
                return Err(lack);
            }
        }
        Ok(())
    }

    fn check_room(&self, length: u64) -> Result<(), SpoolError> {
        let (used, quota) = (self.usage.get(), self.quota());
        if used + length > quota {
            return Err(SpoolError::Full { used, quota });
        }
        self.disk.check(length)
    }

    /// Lets go of the oldest segment of all, so that `fragment` of `queue` finds room. Returns whether there was one to let go of.
    fn drop_oldest(&self, queue: &Queue, fragment: &Fragment) -> Result<bool, SpoolError> {
        let mut queues = self.all();
        queues.sort_by_key(|queue| queue.oldest());
        for queue in &queues {
            if queue.drop_oldest_segment()? {
                tracing::error!(recording = %queue.id(), quota = self.quota(),
                    "the queue is full: let go of the oldest segment; see why the server does not take it");
                return Ok(true);
            }
        }
        // What is left are single segments. Those of sessions that are over go whole.
        if let Some(ended) = queues.iter().find(|queue| queue.has_ended()) {
            tracing::error!(recording = %ended.id(), quota = self.quota(),
                "the queue is full: let go of the rest of a recording that has ended; see why the server does not take it");
            self.let_go.fetch_add(1, Ordering::Relaxed);
            self.remove(ended.id())?;
            return Ok(true);
        }
        let dropped = fragment.head.flags.first_of_segment && queue.drop_all_before(&fragment.head)?;
        if dropped {
            tracing::error!(recording = %queue.id(), quota = self.quota(),
                "the queue is full: let go of all of the recording that was queued; see why the server does not take it");
        }
        Ok(dropped)
    }

    /// Whether a paused recording may go on: an eighth of the quota is free again, and a quarter more than the least of the disk.
    pub(crate) fn has_room(&self) -> bool {
        let disk::Space { free, least } = self.disk.space();
        let has_room = self.usage.get() <= self.quota() / 8 * 7 && free >= least + least / 4;
        if has_room {
            self.full.store(false, Ordering::Relaxed);
        }
        has_room
    }

    /// What is done when there is no room.
    pub(crate) fn when_full(&self) -> WhenFull {
        self.settings.when_full
    }

    /// The command for a session that is stopped for lack of room.
    pub(crate) fn stop_command(&self) -> Option<&str> {
        self.settings.stop_command.as_deref()
    }

    /// How the queues stand.
    pub(crate) fn standing(&self) -> Standing {
        let disk::Space { free, least } = self.disk.space();
        let (refused, refused_deleted) = self.aside.all();
        Standing {
            bytes: self.usage.get(),
            quota: self.quota(),
            free,
            least_free: least,
            full: self.full.load(Ordering::Relaxed) && !self.has_room(),
            gaps: self.usage.gaps.load(Ordering::Relaxed),
            let_go: self.let_go.load(Ordering::Relaxed),
            refused,
            refused_deleted,
        }
    }

    fn quota(&self) -> u64 {
        self.quota_bytes.load(Ordering::Relaxed)
    }

    /// Makes room.
    #[cfg(test)]
    pub(crate) fn raise_quota(&self, quota_bytes: u64) {
        self.quota_bytes.store(quota_bytes, Ordering::Relaxed);
    }

    /// Makes the disk look fuller than it is.
    #[cfg(test)]
    pub(crate) fn take_space(&self, bytes: u64) {
        self.disk.take(bytes);
    }

    /// Bytes on disk.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.usage.get()
    }

    /// Everything of the recording is durable, or nothing of it was ever recorded.
    ///
    /// # Errors
    /// Its files cannot be deleted.
    pub(crate) fn remove(&self, id: RecordingId) -> Result<(), SpoolError> {
        let queue = self.lock().remove(&id);
        self.changed.notify_one();
        queue.map_or(Ok(()), |queue| queue.delete())
    }

    /// Keeps what is queued of a recording out of the way, with a note that says why. Nothing more is taken into this queue: because it
    /// `failed`, or because the recording is over.
    ///
    /// # Errors
    /// The folder cannot be renamed.
    pub(crate) fn set_aside(&self, id: RecordingId, why: &str, failed: bool) -> Result<(), SpoolError> {
        let Some(queue) = self.lock().remove(&id) else { return Ok(()) };
        self.changed.notify_one();
        self.aside.take(&self.folder.join(id.to_string()), why, |to| queue.close(to, failed))
    }

    /// Whether a queue of the recording was set aside and is still there.
    pub(crate) fn has_set_aside(&self, id: RecordingId) -> bool {
        let id = id.to_string();
        self.aside.all().0.iter().any(|refused| refused.name.starts_with(&id))
    }

    /// Returns once something was put in, or a queue came or went, since the last call. For one caller.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Wakes whoever waits for [`Self::changed`].
    pub(crate) fn touch(&self) {
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RecordingId, Arc<Queue>>> {
        // A map of shared pointers: no change of it can be half made.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Deletes a folder that is no queue yet, or none any more.
fn clear(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder) {
        tracing::warn!(folder = %folder.display(), %error, "cannot delete what is left of a queue");
    }
}

fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|meta| meta.len()).sum()
}

/// Bytes on disk below a spool's folder, whoever uses it.
pub(crate) fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries.flatten().map(|entry| folder_bytes(&entry.path())).sum()
}
