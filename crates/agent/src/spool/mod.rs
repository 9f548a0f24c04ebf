//! The queue on disk: every fragment is written here before it is sent, and stays until the server calls it durable.
//!
//! One folder below `spool/` per recording. A killed agent leaves at most one half-written fragment at the end, which is cut
//! off at the next start. Bytes are not synced one by one: they survive the agent's death at any moment; the machine's own
//! death costs the last seconds, with the sessions on it.

mod breaks;
mod entry;
mod queue;
#[cfg(test)]
mod tests;

pub(crate) use queue::{Queue, Started};

use crate::settings::{SpoolSettings, WhenFull};
use playhead_format::{FormatError, Fragment};
use playhead_model::RecordingId;
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
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
    #[error("recording {recording} is closed")]
    Closed {
        /// The recording.
        recording: RecordingId,
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
            Self::Full { .. } => true,
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

/// Bytes used by all queues together.
#[derive(Debug, Default)]
pub(crate) struct Usage(AtomicU64);

impl Usage {
    fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    fn remove(&self, bytes: u64) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The queues of all recordings.
pub(crate) struct Spool {
    folder: PathBuf,
    quota_bytes: AtomicU64,
    when_full: WhenFull,
    usage: Arc<Usage>,
    queues: Mutex<HashMap<RecordingId, Arc<Queue>>>,
    /// Something was put in, or a queue came or went.
    changed: Notify,
}

impl Spool {
    /// Opens the queues below `folder`. One that cannot be opened is set aside; the others go on.
    ///
    /// # Errors
    /// The folder itself cannot be used.
    pub(crate) fn open(folder: &Path, settings: SpoolSettings) -> Result<Self, SpoolError> {
        fs::create_dir_all(folder).map_err(SpoolError::at(folder))?;
        let usage = Arc::new(Usage::default());
        let mut queues = HashMap::new();
        for entry in fs::read_dir(folder).map_err(SpoolError::at(folder))? {
            let path = entry.map_err(SpoolError::at(folder))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Ok(id) = name.parse::<RecordingId>() else {
                // Set aside earlier: it still takes up room.
                usage.add(folder_bytes(&path));
                continue;
            };
            match Queue::open(path.clone(), Arc::clone(&usage)) {
                Ok(queue) if queue.id() == id => {
                    queues.insert(id, Arc::new(queue));
                }
                Ok(_) => {
                    tracing::error!(folder = %path.display(), "the folder holds another recording's queue: left alone");
                }
                Err(error) => {
                    tracing::error!(folder = %path.display(), %error, "cannot open a recording's queue: setting it aside");
                    let _ = fs::rename(&path, aside(&path));
                    usage.add(folder_bytes(&aside(&path)));
                }
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            quota_bytes: settings.quota_bytes.into(),
            when_full: settings.when_full,
            usage,
            queues: Mutex::new(queues),
            changed: Notify::new(),
        })
    }

    /// Begins the queue of a new recording.
    ///
    /// # Errors
    /// Nothing can be written.
    pub(crate) fn create(&self, started: Started) -> Result<Arc<Queue>, SpoolError> {
        let id = started.info.id;
        let folder = self.folder.join(id.to_string());
        let queue = Arc::new(Queue::create(folder, started, Arc::clone(&self.usage))?);
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
        let length = fragment.bytes.len() as u64;
        // The end of a recording is small, and without it nobody would know that it ended.
        while !fragment.head.flags.last && self.usage.get() + length > self.quota() {
            if self.when_full == WhenFull::Pause || !self.drop_oldest()? {
                return Err(SpoolError::Full { used: self.usage.get(), quota: self.quota() });
            }
        }
        queue.append(fragment)?;
        self.changed.notify_one();
        Ok(())
    }

    /// Lets go of the oldest segment of all. Returns whether there was one to let go of.
    fn drop_oldest(&self) -> Result<bool, SpoolError> {
        let mut queues = self.all();
        queues.sort_by_key(|queue| queue.oldest());
        for queue in queues {
            if queue.drop_oldest_segment()? {
                tracing::error!(recording = %queue.id(), quota = self.quota(),
                    "the queue is full: let go of the oldest segment; see why the server does not take it");
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a paused recording may go on: an eighth of the quota is free again.
    pub(crate) fn has_room(&self) -> bool {
        self.usage.get() <= self.quota() / 8 * 7
    }

    fn quota(&self) -> u64 {
        self.quota_bytes.load(Ordering::Relaxed)
    }

    /// Makes room.
    #[cfg(test)]
    pub(crate) fn raise_quota(&self, quota_bytes: u64) {
        self.quota_bytes.store(quota_bytes, Ordering::Relaxed);
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

    /// Keeps what is queued of a recording out of the way, with a note that says why. Nothing more is taken for it.
    ///
    /// # Errors
    /// The folder cannot be renamed.
    pub(crate) fn set_aside(&self, id: RecordingId, why: &str) -> Result<(), SpoolError> {
        let Some(queue) = self.lock().remove(&id) else { return Ok(()) };
        self.changed.notify_one();
        let folder = aside(&self.folder.join(id.to_string()));
        queue.close(folder.clone())?;
        let path = folder.join("why.txt");
        fs::write(&path, format!("{why}\n")).map_err(SpoolError::at(&path))
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

/// Where a recording's folder goes when it is set aside.
fn aside(folder: &Path) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(".refused");
    name.into()
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
