//! Looking after what is stored: packing it denser, and reading it through, in the server's idle time.
//!
//! One segment at a time, slower than the disk could, and not at all while much comes in. A segment is taken in the database before it is
//! worked on, so that servers of one site do not do the same twice; a server that dies lets go of it when the time is over.

use super::{
    Locations, StorageError, TendMetrics,
    keep::{KeepError, Kept, keep, plain},
    location::{Location, LocationState},
    repack::{self, PACKING},
    scrub,
    shelf::Cover,
};
use crate::{
    clock,
    core::Shared,
    keys::{KeyError, Keyring},
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use playhead_db::{
    DbError,
    site::{NewFile, SegmentRow, Store, Tending},
};
use playhead_format::Density;
use playhead_model::WallTime;
use playhead_vault::SaltHasher;
use serde::Serialize;
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// Between two looks at what is to be done.
const PERIOD: Duration = Duration::from_secs(10);
/// For how long a segment is taken, in microseconds. What fails is tried again after that.
const TAKEN: i64 = 3_600_000_000;
/// How long a file stays after nothing refers to it any more, in microseconds: who has begun to read it goes on.
const GRACE: i64 = 600_000_000;
/// Segments of more bytes are left as they are: they are worked on in memory.
pub(super) const MOST: u64 = 96 << 20;
/// Bytes handed to an upload at a time.
const PIECE: usize = 1 << 20;
/// Bytes that may come in a second while there is time for this.
const BUSY: u64 = 1 << 20;
/// Names that are tried for a file.
const NAMES: u32 = 100;
/// Damaged segments that are told of.
const DAMAGED: u32 = 50;

/// How sealed segments are packed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Repacking {
    /// Not at all.
    Off,
    /// With zstd, which any reader of MCAP files opens.
    Zstd,
    /// Where that saves much, in a way that only Playhead opens.
    #[default]
    Dense,
}

impl Repacking {
    /// How it is done, if it is.
    pub(super) const fn density(self) -> Option<Density> {
        match self {
            Self::Off => None,
            Self::Zstd => Some(Density::Zstd),
            Self::Dense => Some(Density::Dense { least_percent: repack::LEAST_PERCENT }),
        }
    }
}

/// What a server does with stored segments when it has time.
#[derive(Debug, Clone)]
pub struct TendSettings {
    /// How sealed segments are packed again.
    pub repacking: Repacking,
    /// How long after a segment was stored.
    pub repack_after: Duration,
    /// Every stored file is read through once in this time; `None` for never.
    pub scrub_every: Option<Duration>,
    /// Most bytes read in a second.
    pub bytes_per_second: u64,
    /// Processes that may want to run, for each processor, while there is time for this; what the system calls its load.
    pub most_load: f64,
}

impl Default for TendSettings {
    fn default() -> Self {
        Self {
            repacking: Repacking::Dense,
            repack_after: Duration::from_secs(24 * 3_600),
            scrub_every: Some(Duration::from_secs(30 * 24 * 3_600)),
            bytes_per_second: 8 << 20,
            most_load: 0.7,
        }
    }
}

/// What was done with a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// Its file was replaced by one that is so many bytes shorter.
    Replaced { saved: u64 },
    /// It was fine as it is.
    Fine,
    /// It is damaged.
    Damaged,
    /// Its file was damaged and was replaced by a good copy.
    Mended,
    /// Somebody else has it, or it was moved meanwhile.
    Gone,
}

/// Why nothing could be done with a segment.
#[derive(Debug, thiserror::Error)]
pub(super) enum TendError {
    #[error("{0}")]
    Storage(#[from] StorageError),
    #[error("{0}")]
    Db(#[from] DbError),
    #[error("its file is damaged: {0}")]
    Damaged(String),
    #[error("every name that a file for it could have is taken")]
    NoName,
    #[error("interrupted: {0}")]
    Interrupted(#[from] tokio::task::JoinError),
    #[error("the server is stopping")]
    Stopped,
}

impl From<KeepError<Infallible>> for TendError {
    fn from(error: KeepError<Infallible>) -> Self {
        match error {
            KeepError::Storage(error) => error.into(),
            KeepError::Db(error) => error.into(),
            KeepError::Made(never) => match never {},
        }
    }
}

/// Looks after segments, for a server or for the command line.
pub(crate) struct Tender {
    pub(crate) store: Store,
    pub(crate) storage: Arc<Locations>,
    pub(crate) keys: Arc<Keyring>,
    pub(crate) settings: TendSettings,
    /// Who takes segments to work on.
    pub(crate) name: String,
    pub(crate) metrics: Arc<TendMetrics>,
    pub(crate) stop: CancellationToken,
    /// Damaged segments, as the database last said.
    pub(crate) damaged: AtomicU64,
}

/// How far looking after segments is.
#[derive(Debug, Clone, Serialize)]
pub struct TendReport {
    /// How sealed segments are packed again; `None` when asked where no server runs.
    pub repacking: Option<Repacking>,
    /// In how many days every file is read through; `None` for never, or when asked where no server runs.
    pub scrub_days: Option<f64>,
    /// Stored segments.
    pub segments: u64,
    /// Those that were packed again, or found not to gain by it.
    pub repacked: u64,
    /// Bytes that this has saved.
    pub saved_bytes: u64,
    /// Those that were read through since they were stored.
    pub scrubbed: u64,
    /// When the one that waits longest was stored or last read through.
    pub oldest_scrub: Option<WallTime>,
    /// How many are damaged.
    pub damaged_segments: u64,
    /// The damaged ones, the latest found first, at most 50.
    pub damaged: Vec<DamageReport>,
}

/// A damaged segment.
#[derive(Debug, Clone, Serialize)]
pub struct DamageReport {
    /// The recording.
    pub recording: playhead_model::RecordingId,
    /// Number of the segment.
    pub segment: u32,
    /// The location it lies at.
    pub location: String,
    /// Where it lies there.
    pub path: String,
    /// What is wrong, and what to do about it.
    pub damage: String,
    /// When that was seen.
    pub at: WallTime,
}

/// Tells how far it is.
///
/// # Errors
/// The database's.
pub(super) async fn report(store: &Store, settings: Option<&TendSettings>) -> Result<TendReport, DbError> {
    let Tending { segments, packed, saved, checked, damaged, oldest_check } = store.tending(PACKING).await?;
    let list = if damaged > 0 { store.damaged_segments(DAMAGED).await? } else { Vec::new() };
    Ok(TendReport {
        repacking: settings.map(|settings| settings.repacking),
        scrub_days: settings
            .and_then(|settings| settings.scrub_every)
            .map(|every| every.as_secs_f64() / 86_400.0),
        segments,
        repacked: packed,
        saved_bytes: saved,
        scrubbed: checked,
        oldest_scrub: oldest_check,
        damaged_segments: damaged,
        damaged: list
            .into_iter()
            .map(|row| DamageReport {
                recording: row.segment.recording,
                segment: row.segment.number,
                location: row.segment.location,
                path: row.segment.path,
                damage: row.damage,
                at: row.checked_at,
            })
            .collect(),
    })
}

/// Looks after segments until the server stops.
pub(crate) async fn run(core: Shared) {
    let tender = &core.tender;
    let mut quiet = Quiet::default();
    let mut failures = 0u32;
    while let Err(error) = tender.store.release_segments(&tender.name).await {
        tracing::warn!(%error, "cannot look after stored segments; trying again");
        tokio::select! {
            () = core.stop.cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
    loop {
        let pause = if quiet.is_now(&core) {
            match tender.next().await {
                Ok(true) => {
                    failures = 0;
                    Duration::ZERO
                }
                Ok(false) => PERIOD,
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(%error, "cannot look after stored segments; trying again");
                    PERIOD * failures.min(30)
                }
            }
        } else {
            PERIOD
        };
        tokio::select! {
            () = core.stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Whether the server has time.
#[derive(Default)]
struct Quiet {
    seen: Option<(Instant, u64)>,
}

impl Quiet {
    fn is_now(&mut self, core: &Shared) -> bool {
        let bytes = core.metrics.fragment_bytes.get();
        let now = Instant::now();
        let (since, before) = self.seen.replace((now, bytes)).unwrap_or((now, bytes));
        let seconds = (now - since).as_secs_f64().max(1.0);
        let busy = (bytes - before) as f64 / seconds > BUSY as f64;
        !busy && core.recordings.waiting_to_seal() == 0 && load() <= core.tender.settings.most_load
    }
}

/// Processes that want to run, for each processor; 0 where the system does not say.
fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = text.split(' ').next().and_then(|first| first.parse::<f64>().ok()).unwrap_or(0.0);
    load / std::thread::available_parallelism().map_or(1.0, |count| count.get() as f64)
}

impl Tender {
    /// Does the next thing that is to be done, if there is one.
    async fn next(&self) -> Result<bool, TendError> {
        let now = clock::now();
        // What another server of the site writes just now is not given up.
        let left = self.store.give_up_files(now.plus_micros(-2 * TAKEN), now).await?;
        if left > 0 {
            tracing::info!(files = left, "files that were left half-way are removed");
        }
        let began = Instant::now();
        let read = match self.scrub_next().await? {
            Some(bytes) => bytes,
            None => match self.repack_next().await? {
                Some(bytes) => bytes,
                None => {
                    self.count_damaged().await?;
                    return Ok(false);
                }
            },
        };
        self.count_damaged().await?;
        // As slow as is wanted, over what was just read.
        let least = Duration::from_secs_f64(read as f64 / self.settings.bytes_per_second.max(1) as f64);
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(least.saturating_sub(began.elapsed())) => {}
        }
        Ok(true)
    }

    async fn count_damaged(&self) -> Result<(), DbError> {
        let damaged = self.store.tending_damaged().await?;
        self.damaged.store(damaged, Ordering::Relaxed);
        self.metrics.damaged.set(i64::try_from(damaged).unwrap_or(i64::MAX));
        Ok(())
    }

    /// Reads the next segment through whose time has come. Returns its bytes.
    async fn scrub_next(&self) -> Result<Option<u64>, TendError> {
        let Some(every) = self.settings.scrub_every else { return Ok(None) };
        let now = clock::now();
        let before = now.plus_micros(i64::try_from(every.as_micros()).unwrap_or(i64::MAX).saturating_neg());
        let some = self.store.segments_to_check(&self.readable(), before, now, 1).await?;
        let Some(segment) = some.into_iter().next() else { return Ok(None) };
        let bytes = segment.bytes;
        self.scrub(&segment).await?;
        Ok(Some(bytes))
    }

    /// Packs the next segment whose time has come. Returns its bytes.
    async fn repack_next(&self) -> Result<Option<u64>, TendError> {
        let Some(density) = self.settings.repacking.density() else { return Ok(None) };
        let now = clock::now();
        let after = i64::try_from(self.settings.repack_after.as_micros()).unwrap_or(i64::MAX);
        let before = now.plus_micros(after.saturating_neg());
        let some = self.store.segments_to_pack(&self.writable(), PACKING, before, now, 1).await?;
        let Some(segment) = some.into_iter().next() else { return Ok(None) };
        let bytes = segment.bytes;
        self.repack(&segment, density).await?;
        Ok(Some(bytes))
    }

    /// Locations that answer.
    pub(super) fn readable(&self) -> Vec<String> {
        self.names(|location| location.condition().state != LocationState::Unreachable)
    }

    /// Locations where a file may be replaced: not those that keep what is stored from being deleted.
    pub(super) fn writable(&self) -> Vec<String> {
        self.names(|location| {
            location.condition().state == LocationState::Active && location.settings.object_lock.is_none()
        })
    }

    fn names(&self, wanted: impl Fn(&Location) -> bool) -> Vec<String> {
        let all = self.storage.all().iter().filter(|location| wanted(location));
        all.map(|location| location.id.clone()).collect()
    }

    /// What is wrong with stored segments, for people.
    pub(crate) fn problem(&self) -> Option<String> {
        let damaged = self.damaged.load(Ordering::Relaxed);
        (damaged > 0).then(|| {
            format!("{damaged} stored segments are damaged: the storage's page names them; restore their files from a backup")
        })
    }

    /// Takes a segment, does something with it, and counts what came of it.
    async fn take(
        &self,
        segment: &SegmentRow,
        work: impl Future<Output = Result<Done, TendError>>,
    ) -> Result<Done, TendError> {
        let now = clock::now();
        if !self.store.take_segment(segment, &self.name, now.plus_micros(TAKEN), now).await? {
            return Ok(Done::Gone);
        }
        let done = tokio::select! {
            done = work => done,
            () = self.stop.cancelled() => Err(TendError::Stopped),
        };
        match done {
            Err(TendError::Stopped) => self.store.leave_segment(segment, None).await?,
            // Nobody will ever read it again.
            Err(TendError::Storage(StorageError::Key(KeyError::Shredded))) => {
                self.store.leave_segment(segment, Some(PACKING)).await?;
                return Ok(Done::Fine);
            }
            _ => {}
        }
        done
    }

    /// Packs one segment again.
    ///
    /// # Errors
    /// Its location's and the database's. A segment that is damaged is none; it is written down.
    pub(super) async fn repack(&self, segment: &SegmentRow, density: Density) -> Result<Done, TendError> {
        let began = Instant::now();
        let done = self.take(segment, repack::one(self, segment, density)).await;
        match &done {
            Ok(Done::Replaced { saved }) => {
                self.metrics.repacked.inc();
                self.metrics.repacked_bytes.inc_by(segment.bytes);
                self.metrics.saved_bytes.inc_by(*saved);
                tracing::info!(recording = %segment.recording, segment = segment.number, bytes = segment.bytes, saved,
                    took_ms = began.elapsed().as_millis(), "segment packed denser");
            }
            Ok(_) | Err(TendError::Stopped) => {}
            Err(error) => {
                self.metrics.errors.inc();
                tracing::warn!(recording = %segment.recording, segment = segment.number, %error,
                    "cannot pack a segment denser; it stays as it is");
            }
        }
        // What is wrong with one must not hold up the others.
        match done {
            Err(TendError::Storage(_) | TendError::NoName | TendError::Damaged(_)) => Ok(Done::Gone),
            done => done,
        }
    }

    /// Reads one segment through.
    ///
    /// # Errors
    /// Its location's and the database's.
    pub(super) async fn scrub(&self, segment: &SegmentRow) -> Result<Done, TendError> {
        let done = self.take(segment, scrub::one(self, segment)).await;
        match &done {
            Ok(Done::Gone) | Err(TendError::Stopped) => {}
            Ok(done) => {
                self.metrics.scrubbed.inc();
                self.metrics.scrubbed_bytes.inc_by(segment.bytes);
                if *done == Done::Mended {
                    self.metrics.mended.inc();
                }
            }
            Err(error) => {
                self.metrics.errors.inc();
                tracing::warn!(recording = %segment.recording, segment = segment.number, %error,
                    "cannot read a stored segment through; trying again later");
            }
        }
        match done {
            Err(TendError::Storage(_) | TendError::NoName) => Ok(Done::Gone),
            done => done,
        }
    }

    /// All of a segment's file, as it was before it was encrypted. `Damaged` where it is not what the database says.
    pub(super) async fn read(&self, segment: &SegmentRow) -> Result<Bytes, TendError> {
        let (size, mut pieces) = self.storage.stream(segment).await?;
        let mut bytes = BytesMut::with_capacity(usize::try_from(size.min(MOST)).unwrap_or(0));
        while let Some(piece) = pieces.next().await {
            bytes.extend_from_slice(&piece?);
            if bytes.len() as u64 > MOST {
                return Err(TendError::Damaged(format!(
                    "it has more than the {} bytes expected",
                    segment.bytes
                )));
            }
        }
        let bytes = bytes.freeze();
        // The encrypted layer has its own proof of every byte.
        if segment.vault.is_none() {
            let compared = bytes.clone();
            let actual = tokio::task::spawn_blocking(move || blake3::hash(&compared)).await?.to_hex();
            if actual.as_str() != segment.blake3 {
                return Err(TendError::Damaged(differs(segment, bytes.len() as u64, actual.as_str())));
            }
        }
        Ok(bytes)
    }

    /// Writes a file in place of a segment's and switches over to it, once it was read back and compared.
    pub(super) async fn replace(
        &self,
        segment: &SegmentRow,
        plain_bytes: Vec<u8>,
        (packing, saved): (u32, u64),
    ) -> Result<Option<NewFile>, TendError> {
        let location = Arc::clone(self.storage.get(&segment.location)?);
        let (file, vault) = self.covered(segment, plain_bytes).await?;
        let path = self.free_name(&location, segment).await?;
        self.store.begin_file(segment, &location.id, &path, clock::now()).await?;
        let kept = keep(&location, &self.store, &path, |sender| {
            let file = file.clone();
            tokio::spawn(async move {
                for start in (0..file.len()).step_by(PIECE) {
                    let piece = file.slice(start..(start + PIECE).min(file.len()));
                    if sender.send(piece).await.is_err() {
                        break;
                    }
                }
                Ok::<_, Infallible>(())
            })
        });
        let Kept { path, bytes, blake3, .. } = match kept.await {
            Ok(kept) => kept,
            Err(error) => {
                if let KeepError::Storage(error) = &error {
                    location.failed(error, true);
                }
                return Err(error.into());
            }
        };
        location.worked();
        let new = NewFile {
            location: location.id.clone(),
            path,
            bytes,
            blake3: blake3.to_hex().to_string(),
            vault,
            packing,
            saved,
        };
        // What was encrypted must be readable too, not only there.
        if new.vault.is_some() {
            let (path, blake3, vault) = (new.path.clone(), new.blake3.clone(), new.vault.clone());
            self.read(&SegmentRow { path, blake3, vault, bytes, ..segment.clone() }).await?;
        }
        let now = clock::now();
        let replaced = self.store.replace_file(segment, &new, now.plus_micros(GRACE), now).await?;
        Ok(replaced.then_some(new))
    }

    /// The bytes to store, and the header of the encrypted layer where the recording is encrypted.
    async fn covered(
        &self,
        segment: &SegmentRow,
        bytes: Vec<u8>,
    ) -> Result<(Bytes, Option<String>), TendError> {
        if segment.vault.is_none() {
            return Ok((bytes.into(), None));
        }
        let key = self.keys.key(segment.recording).await.map_err(StorageError::from)?;
        let key = key.ok_or(StorageError::Key(KeyError::Shredded))?;
        let (recording, number) = (segment.recording, segment.number);
        let cover = move || {
            let mut salt = SaltHasher::new(&key);
            salt.update(&bytes);
            let cover = Cover::new(key, &salt, recording, number);
            let mut file = Vec::with_capacity(bytes.len() + bytes.len() / 64 + 4_096);
            let mut encrypter = cover.begin(&mut file)?;
            encrypter.push(&bytes, &mut file);
            encrypter.finish(&mut file)?;
            Ok::<_, KeyError>((Bytes::from(file), Some(cover.text())))
        };
        Ok(tokio::task::spawn_blocking(cover).await?.map_err(StorageError::from)?)
    }

    /// A name that the segment's file does not have and that nothing is in the way of.
    async fn free_name(&self, location: &Location, segment: &SegmentRow) -> Result<String, TendError> {
        let first = plain(&segment.path);
        let stem = first.strip_suffix(".mcap").unwrap_or(&first);
        for number in 1..NAMES {
            let name = format!("{stem}-p{number}.mcap");
            if name != segment.path && !self.store.is_to_be_removed(&location.id, &name).await? {
                return Ok(name);
            }
        }
        Err(TendError::NoName)
    }
}

/// How a file differs from what the database says of it.
pub(super) fn differs(segment: &SegmentRow, bytes: u64, blake3: &str) -> String {
    format!(
        "expected {} bytes with BLAKE3 {}, got {bytes} bytes with BLAKE3 {blake3}; restore {} at the storage location {} from a backup",
        segment.bytes, segment.blake3, segment.path, segment.location
    )
}
