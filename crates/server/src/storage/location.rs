//! One storage location: what is asked of it ends in time, and how it is doing is known.

use super::{
    StorageError,
    backend::Backend,
    settings::{LocationSettings, Place},
};
use crate::{ServerError, clock, recordings::lock};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream, stream::BoxStream};
use nix::sys::statvfs::statvfs;
use object_store::{
    ObjectStoreExt as _, PutMode, PutOptions, PutPayload, PutPayloadMut, WriteMultipart, path::Path,
};
use playhead_model::WallTime;
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    ops::Range,
    path::{Path as FilePath, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::timeout,
};

/// Bytes of a part of an upload: the least that S3 takes for all but the last.
const PART: usize = 5 << 20;
/// Parts under way at a time.
const PARTS: usize = 2;
/// What may be under way at a folder at a time. A disk that hangs takes one thread each, and no more than these.
const AT_ONCE: usize = 32;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// In every folder: without it, an empty folder where a file system should be mounted would look like a new one.
pub(super) const MARKER: &str = ".playhead-location";

/// What the marker file says.
#[derive(Serialize, Deserialize)]
pub(super) struct Marker {
    pub(super) location: String,
    pub(super) site: String,
}

/// How a location is, for people and for the choice of where to store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LocationState {
    /// New segments go there.
    Active,
    /// What is there can be read; nothing new goes there.
    ReadOnly,
    /// There is no room; what is there can be read.
    Full,
    /// It failed, did not answer or is not there. It is tried again.
    Unreachable,
}

/// What is known of it now.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    pub(crate) state: LocationState,
    pub(crate) free_bytes: Option<u64>,
    pub(crate) total_bytes: Option<u64>,
    /// The last thing that went wrong, and when.
    pub(crate) last_error: Option<(String, WallTime)>,
}

#[derive(Default)]
struct Health {
    read_only: bool,
    /// Below the least that must be free.
    low: bool,
    free: Option<u64>,
    total: Option<u64>,
    failing: Option<Failing>,
    /// How long was waited after the last failure to write.
    wait: Option<Duration>,
    last_error: Option<(String, WallTime)>,
}

struct Failing {
    /// Until then it is not tried for storing.
    until: Instant,
    writing: bool,
    full: bool,
}

pub(crate) struct Location {
    pub(crate) id: String,
    pub(crate) settings: LocationSettings,
    pub(super) backend: Backend,
    /// Bytes that must stay free in a folder.
    least: u64,
    places: Arc<Semaphore>,
    health: Mutex<Health>,
    /// Whether somebody is looking at it.
    looking: AtomicBool,
    /// Failures since the start.
    pub(crate) errors: AtomicU64,
}

impl Location {
    /// Opens it without asking anything of it. `least_free` holds where the settings say nothing else.
    pub(super) fn open(
        id: String,
        settings: LocationSettings,
        least_free: u64,
    ) -> Result<Arc<Self>, ServerError> {
        let backend = Backend::open(&settings)?;
        let least = settings.least_free_mib.map_or(least_free, |mib| mib.saturating_mul(1 << 20));
        Ok(Arc::new(Self {
            id,
            settings,
            backend,
            least,
            places: Arc::new(Semaphore::new(AT_ONCE)),
            health: Mutex::default(),
            looking: AtomicBool::new(false),
            errors: AtomicU64::new(0),
        }))
    }

    /// Its address, for people.
    pub(crate) fn url(&self) -> String {
        self.settings.shown()
    }

    /// The kind of place.
    pub(crate) fn kind(&self) -> &'static str {
        match self.settings.place() {
            Ok(Place::S3 { .. }) => "s3",
            Ok(Place::Azure { .. }) => "azure",
            Ok(Place::Google { .. }) => "google",
            _ => "folder",
        }
    }

    pub(crate) fn condition(&self) -> Condition {
        let health = lock(&self.health);
        let state = match &health.failing {
            Some(failing) if failing.full => LocationState::Full,
            Some(_) => LocationState::Unreachable,
            None if health.read_only || self.settings.read_only => LocationState::ReadOnly,
            None if health.low => LocationState::Full,
            None => LocationState::Active,
        };
        let (free_bytes, total_bytes) = (health.free, health.total);
        Condition { state, free_bytes, total_bytes, last_error: health.last_error.clone() }
    }

    pub(super) fn set_read_only(&self, read_only: bool) {
        lock(&self.health).read_only = read_only;
    }

    /// Whether people want new segments here, whatever its condition is.
    pub(super) fn is_wanted(&self) -> bool {
        !self.settings.read_only && !lock(&self.health).read_only
    }

    /// How long until it may be tried for storing; `None` when it is read-only or full.
    pub(super) fn usable_in(&self) -> Option<Duration> {
        let health = lock(&self.health);
        if self.settings.read_only || health.read_only || health.low {
            return None;
        }
        let until = health.failing.as_ref().map(|failing| failing.until);
        Some(until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now())))
    }

    /// Something was stored: all is well.
    pub(super) fn worked(&self) {
        let mut health = lock(&self.health);
        health.failing = None;
        health.wait = None;
    }

    /// Something failed.
    pub(super) fn failed(&self, error: &StorageError, writing: bool) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        let full = error.is_full();
        let mut health = lock(&self.health);
        let wait = match (writing, health.wait) {
            (true, Some(wait)) => (wait * 2).min(LONGEST_WAIT),
            _ => FIRST_WAIT,
        };
        if writing {
            health.wait = Some(wait);
        }
        let writing = writing || health.failing.as_ref().is_some_and(|failing| failing.writing);
        if health.failing.is_none() {
            tracing::error!(location = self.id, %error, "a storage location does not work; others take its part");
        }
        health.failing = Some(Failing { until: Instant::now() + wait, writing, full });
        health.last_error = Some((error.to_string(), clock::now()));
    }

    /// Looks how it is. One look at a time; a location that hangs is not asked again before the first look has ended.
    pub(super) async fn look(&self) {
        if self.looking.swap(true, Ordering::AcqRel) {
            return;
        }
        let seen = self.seen().await;
        match seen {
            Ok(space) => {
                let mut health = lock(&self.health);
                if let Some((free, total)) = space {
                    (health.free, health.total) = (Some(free), Some(total));
                    let least = self.least.min(total / 50);
                    // Some more than the least before it counts as free again, so that it does not flutter.
                    let enough = if health.low { least + least / 4 } else { least };
                    let low = free < enough;
                    if low && !health.low {
                        let text = format!(
                            "only {} MiB are free at the storage location {}, expected at least {} MiB: make room there, or add a location",
                            free >> 20,
                            self.id,
                            least >> 20
                        );
                        tracing::warn!(
                            location = self.id,
                            free_bytes = free,
                            error = text,
                            "a storage location is full"
                        );
                        health.last_error = Some((text, clock::now()));
                    }
                    health.low = low;
                }
                // That it can be read says nothing of writing: for that it is tried when the time has come.
                let over = health
                    .failing
                    .as_ref()
                    .is_some_and(|failing| !failing.writing || failing.until <= Instant::now());
                if over {
                    health.failing = None;
                    tracing::info!(location = self.id, "a storage location can be used again");
                }
            }
            Err(error) => self.failed(&error, false),
        }
        self.looking.store(false, Ordering::Release);
    }

    /// Free and total bytes where that is known.
    async fn seen(&self) -> Result<Option<(u64, u64)>, StorageError> {
        let Some(folder) = &self.backend.folder else {
            self.present().await?;
            return Ok(None);
        };
        let folder = folder.clone();
        let work = async move {
            let looking = move || {
                marker(&folder)?;
                let stat = statvfs(&folder).map_err(io::Error::from)?;
                let block = stat.fragment_size();
                Ok((stat.blocks_available().saturating_mul(block), stat.blocks().saturating_mul(block)))
            };
            tokio::task::spawn_blocking(looking).await.unwrap_or_else(|error| Err(io::Error::other(error)))
        };
        Ok(Some(self.within(work).await?.map_err(|error| self.gone(&error))?))
    }

    fn gone(&self, error: &io::Error) -> StorageError {
        let folder = self.backend.folder.as_deref().unwrap_or(FilePath::new("")).display();
        let reason = match error.kind() {
            io::ErrorKind::NotFound => format!(
                "expected {folder}/{MARKER}; is the file system mounted? If this folder is meant to be empty, make that file"
            ),
            _ => error.to_string(),
        };
        StorageError::Gone { location: self.id.clone(), reason }
    }

    /// Whether it answers and does what the settings promise.
    async fn present(&self) -> Result<(), StorageError> {
        if self.backend.folder.is_none() {
            let (store, path) = (Arc::clone(&self.backend.store), self.full("playhead-check"));
            match self.within(async move { store.head(&path).await }).await? {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(source) => return Err(self.failure(source)),
            }
        }
        self.in_place().await
    }

    /// Whether a folder is the one that it should be, and a bucket locks what it should lock. Asked before and after everything that is
    /// written: had a file system been unmounted, all of it would happen in the empty folder below.
    pub(super) async fn in_place(&self) -> Result<(), StorageError> {
        if let Some(folder) = self.backend.folder.clone() {
            let work = async move {
                let looking = tokio::task::spawn_blocking(move || marker(&folder).map(|_| ()));
                looking.await.unwrap_or_else(|error| Err(io::Error::other(error)))
            };
            return self.within(work).await?.map_err(|error| self.gone(&error));
        }
        if let Some(lock) = &self.backend.lock {
            let unlocked = |reason| StorageError::Unlocked { location: self.id.clone(), reason };
            timeout(self.patience(), lock.check()).await.map_err(|_| self.late())?.map_err(unlocked)?;
        }
        Ok(())
    }

    /// Makes a folder that was never used before ready.
    ///
    /// # Errors
    /// The folder cannot be made or written.
    pub(super) async fn begin(&self, site: String) -> Result<(), StorageError> {
        let Some(folder) = self.backend.folder.clone() else { return Ok(()) };
        let marker = Marker { location: self.id.clone(), site };
        let work = async move {
            let begin = move || {
                fs::create_dir_all(&folder)?;
                // Two texts always serialise.
                let text = serde_json::to_vec(&marker).unwrap_or_default();
                match fs::OpenOptions::new().write(true).create_new(true).open(folder.join(MARKER)) {
                    Ok(mut file) => {
                        io::Write::write_all(&mut file, &text)?;
                        file.sync_all()
                    }
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                    Err(error) => Err(error),
                }
            };
            tokio::task::spawn_blocking(begin).await.unwrap_or_else(|error| Err(io::Error::other(error)))
        };
        self.within(work).await?.map_err(|error| {
            let reason = format!("{}: {error}", self.url());
            StorageError::Gone { location: self.id.clone(), reason }
        })
    }

    /// What the marker of a folder says, if there is one that can be read.
    pub(super) async fn marked(&self) -> Option<Marker> {
        let folder = self.backend.folder.clone()?;
        let work = async move {
            tokio::task::spawn_blocking(move || marker(&folder))
                .await
                .unwrap_or_else(|error| Err(io::Error::other(error)))
        };
        self.within(work).await.ok()?.ok()?
    }

    pub(super) fn folder(&self) -> Option<&PathBuf> {
        self.backend.folder.as_ref()
    }

    pub(super) fn full(&self, path: &str) -> Path {
        path.split('/').fold(self.backend.prefix.clone(), |path, part| path.join(part))
    }

    pub(super) fn patience(&self) -> Duration {
        self.settings.patience()
    }

    fn late(&self) -> StorageError {
        StorageError::Late { location: self.id.clone(), seconds: self.patience().as_secs() }
    }

    pub(super) fn failure(&self, source: object_store::Error) -> StorageError {
        StorageError::Failed { location: self.id.clone(), source }
    }

    /// Does something here, for as long as the patience lasts. What hangs in a file system cannot be ended: it keeps its place until it
    /// comes back, so that there is an end to how many threads hang.
    pub(super) async fn within<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, StorageError> {
        let patience = self.patience();
        if self.backend.folder.is_none() {
            return timeout(patience, work).await.map_err(|_| self.late());
        }
        let place = timeout(patience, Arc::clone(&self.places).acquire_owned()).await;
        let place = place.map_err(|_| self.late())?;
        let task = tokio::spawn(async move {
            let _place = place;
            work.await
        });
        Ok(timeout(patience, task).await.map_err(|_| self.late())??)
    }

    /// Uploads what comes through `pieces`. Nobody sees it before [`Location::finish`].
    pub(super) async fn put(
        &self,
        path: &str,
        pieces: &mut mpsc::Receiver<Bytes>,
    ) -> Result<Upload, StorageError> {
        self.in_place().await?;
        self.sweep(path).await;
        let mut hasher = blake3::Hasher::new();
        let mut bytes = 0;
        let mut small = PutPayloadMut::new();
        let mut large: Option<WriteMultipart> = None;
        while let Some(piece) = pieces.recv().await {
            hasher.update(&piece);
            bytes += piece.len() as u64;
            let Some(upload) = &mut large else {
                small.push(piece);
                // What fits one part needs one request.
                if small.content_length() > PART {
                    let (store, path) = (Arc::clone(&self.backend.store), self.full(path));
                    let begun = self.within(async move { store.put_multipart(&path).await }).await?;
                    let begun = begun.map_err(|source| self.failure(source))?;
                    let mut upload = WriteMultipart::new_with_chunk_size(begun, PART);
                    for piece in std::mem::take(&mut small).freeze() {
                        upload.put(piece);
                    }
                    large = Some(upload);
                }
                continue;
            };
            let failed = match timeout(self.patience(), upload.wait_for_capacity(PARTS)).await {
                Ok(Ok(())) => {
                    upload.put(piece);
                    continue;
                }
                Ok(Err(source)) => self.failure(source),
                Err(_) => self.late(),
            };
            if let Some(upload) = large.take() {
                self.drop_upload(upload);
            }
            return Err(failed);
        }
        let body = match large {
            Some(upload) => Body::Large(upload),
            None => Body::Small(small.freeze()),
        };
        Ok(Upload { path: path.to_owned(), body, bytes, blake3: hasher.finalize() })
    }

    /// Makes an upload visible. Object stores do so only where nothing is yet.
    pub(super) async fn finish(&self, upload: Upload) -> Result<(), StorageError> {
        let done = match upload.body {
            Body::Small(payload) => {
                let (store, path) = (Arc::clone(&self.backend.store), self.full(&upload.path));
                // In a folder what is left of a crash is replaced.
                let mode = if self.backend.folder.is_some() { PutMode::Overwrite } else { PutMode::Create };
                let work = async move {
                    use object_store::ObjectStore as _;
                    store.put_opts(&path, payload, PutOptions::from(mode)).await.map(|_| ())
                };
                self.within(work).await?
            }
            // Several parts may still be under way, and each has its own patience.
            Body::Large(upload) => {
                timeout(self.patience() * 2, upload.finish()).await.map_err(|_| self.late())?.map(|_| ())
            }
        };
        done.map_err(|source| self.failure(source))
    }

    /// Drops an upload that nobody has seen.
    pub(super) fn abort(&self, upload: Upload) {
        if let Body::Large(upload) = upload.body {
            self.drop_upload(upload);
        }
    }

    /// Without waiting: where nothing answers, dropping does not either. What it leaves behind the next upload or the bucket's own
    /// rule for incomplete uploads removes.
    fn drop_upload(&self, upload: WriteMultipart) {
        let patience = self.patience();
        tokio::spawn(async move {
            let _ = timeout(patience, upload.abort()).await;
        });
    }

    /// In a folder, a crash while storing leaves the file under a name of its own beside the final one; this is the time to remove it.
    async fn sweep(&self, path: &str) {
        let Some(folder) = &self.backend.folder else { return };
        let path = folder.join(path);
        let work = async move {
            tokio::task::spawn_blocking(move || {
                let (Some(parent), Some(name)) =
                    (path.parent(), path.file_name().and_then(|name| name.to_str()))
                else {
                    return;
                };
                let Ok(files) = fs::read_dir(parent) else { return };
                for file in files.flatten() {
                    let left =
                        |other: &str| other.strip_prefix(name).is_some_and(|rest| rest.starts_with('#'));
                    if file.file_name().to_str().is_some_and(left) {
                        let _ = fs::remove_file(file.path());
                    }
                }
            })
            .await
        };
        // It is in nobody's way.
        let _ = self.within(work).await;
    }

    /// Reads a part.
    pub(super) async fn read(&self, path: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        let (store, path) = (Arc::clone(&self.backend.store), self.full(path));
        let read = self.within(async move { store.get_range(&path, range).await }).await?;
        read.map_err(|source| self.failure(source))
    }

    /// Reads all of it, piece by piece.
    pub(super) async fn stream(
        self: &Arc<Self>,
        path: &str,
    ) -> Result<(u64, BoxStream<'static, Result<Bytes, StorageError>>), StorageError> {
        let (store, path) = (Arc::clone(&self.backend.store), self.full(path));
        let got = self.within(async move { store.get(&path).await }).await?;
        let got = got.map_err(|source| self.failure(source))?;
        let size = got.meta.size;
        let pieces =
            stream::unfold((Arc::clone(self), Some(got.into_stream())), |(location, pieces)| async move {
                let mut pieces = pieces?;
                match timeout(location.patience(), pieces.next()).await {
                    Ok(None) => None,
                    Ok(Some(Ok(piece))) => Some((Ok(piece), (location, Some(pieces)))),
                    Ok(Some(Err(source))) => Some((Err(location.failure(source)), (location, None))),
                    Err(_) => Some((Err(location.late()), (location, None))),
                }
            });
        Ok((size, pieces.boxed()))
    }

    /// Reads all of it back; returns how many bytes it is and their BLAKE3.
    pub(super) async fn digest(self: &Arc<Self>, path: &str) -> Result<(u64, blake3::Hash), StorageError> {
        let (_, mut pieces) = self.stream(path).await?;
        let mut hasher = blake3::Hasher::new();
        let mut bytes = 0;
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            bytes += piece.len() as u64;
            hasher.update(&piece);
        }
        self.in_place().await?;
        Ok((bytes, hasher.finalize()))
    }

    /// Locks a stored object, where that is wanted.
    pub(super) async fn protect(&self, path: &str) -> Result<(), StorageError> {
        let Some(lock) = &self.backend.lock else { return Ok(()) };
        let path = self.full(path);
        let unlocked = |reason| StorageError::Unlocked { location: self.id.clone(), reason };
        timeout(self.patience(), lock.apply(&path)).await.map_err(|_| self.late())?.map_err(unlocked)
    }

    /// Removes a file. One that is not there is removed already.
    pub(super) async fn delete(&self, path: &str) -> Result<(), StorageError> {
        // Not there, because nothing is mounted, would not be the same.
        self.in_place().await?;
        let (store, path) = (Arc::clone(&self.backend.store), self.full(path));
        match self.within(async move { store.delete(&path).await }).await? {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(self.failure(source)),
        }
    }
}

/// The marker of a folder; `None` when it says nothing that makes sense.
fn marker(folder: &FilePath) -> io::Result<Option<Marker>> {
    let bytes = fs::read(folder.join(MARKER))?;
    Ok(serde_json::from_slice(&bytes).ok())
}

/// An object whose bytes are all there but which nobody can see yet.
pub(super) struct Upload {
    path: String,
    body: Body,
    pub(super) bytes: u64,
    pub(super) blake3: blake3::Hash,
}

enum Body {
    Small(PutPayload),
    Large(WriteMultipart),
}
