//! Taking whole segments out of the journal into storage.
//!
//! The order is what keeps everything safe: the object is written and made visible, read back and compared, written down in the
//! database, and only then leaves the journal. A crash anywhere means that the same segment is stored again over itself.

use super::{
    StorageError,
    keep::{KeepError, Kept, keep},
    path_of,
    shelf::Cover,
};
use crate::{
    ServerError,
    certificates::Stamp,
    clock,
    core::Shared,
    keys::{self, KeyError},
    progress,
    recordings::{Closing, Live, Run, Unsealed, lock},
};
use bytes::Bytes;
use playhead_db::{DbError, site::SegmentRow};
use playhead_format::{FormatError, SegmentIndex, SegmentWriter, open_fragment};
use playhead_model::{Contents, RecordingId};
use playhead_vault::{DataKey, Encrypter, SaltHasher, VaultError};
use sha2::{Digest as _, Sha256};
use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::{Semaphore, mpsc};

/// Recordings that are stored at a time.
const AT_ONCE: usize = 2;
/// How long a segment may still take to be stored when the server is told to stop.
const GRACE: Duration = Duration::from_secs(10);
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// How long to wait when locations are full or closed: until somebody has done something about it.
const FULL_WAIT: Duration = Duration::from_secs(5);
const LEAST_WAIT: Duration = Duration::from_millis(200);

/// Why a segment could not be stored.
#[derive(Debug, thiserror::Error)]
enum SealError {
    #[error("{0}")]
    Storage(#[from] StorageError),
    /// None of the locations can take anything at the moment.
    #[error("no storage location takes anything at the moment; see what each of them says")]
    Nowhere { again_in: Option<Duration> },
    #[error("{0}")]
    Db(#[from] DbError),
    #[error("cannot sign: {0}")]
    Sign(#[from] ServerError),
    #[error("cannot encrypt: {0}")]
    Key(#[from] KeyError),
    #[error("interrupted: {0}")]
    Interrupted(#[from] tokio::task::JoinError),
    #[error("cannot read the journal: {0}")]
    Journal(io::Error),
    #[error("a fragment in the server's journal is damaged: {0}")]
    Damaged(FormatError),
    #[error("a fragment in the server's journal is damaged: {0}")]
    Changed(VaultError),
}

/// Stores segments as they become whole.
pub(crate) async fn run(core: Shared) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Some(id) = core.recordings.next_to_seal() else {
            tokio::select! {
                () = core.stop.cancelled() => return,
                () = core.recordings.seal.notified() => continue,
            }
        };
        let Some(live) = core.recordings.get(id) else { continue };
        let place = tokio::select! {
            () = core.stop.cancelled() => return,
            // The semaphore is never closed.
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let core = Arc::clone(&core);
        core.tasks.clone().spawn(async move {
            let _place = place;
            let _turn = live.sealing.lock().await;
            tokio::select! {
                () = recording(&core, &live) => {}
                // The next start stores it.
                () = stopped_for(&core, GRACE) => {
                    tracing::warn!(recording = %live.id(), "stopped while a segment was being stored");
                }
            }
        });
    }
}

/// Waits until the server has been told to stop and the time is over.
async fn stopped_for(core: &Shared, time: Duration) {
    core.stop.cancelled().await;
    tokio::time::sleep(time).await;
}

/// Stores what is whole of one recording. After a failure it is asked for again later.
async fn recording(core: &Shared, live: &Arc<Live>) {
    while let Some(unsealed) = live.unsealed() {
        if core.stop.is_cancelled() {
            return;
        }
        let number = unsealed.number;
        let began = Instant::now();
        match segment(core, live, unsealed).await {
            Ok(row) => {
                let took = began.elapsed();
                core.metrics.stored(&row.location, row.bytes, took);
                let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                tracing::trace!(target: "playhead::way", step = "store", recording = %live.id(), seq = row.first_seq,
                    next_seq = row.next_seq, took_us);
                tracing::info!(recording = %live.id(), segment = number, bytes = row.bytes, "segment stored");
                lock(&core.storage_problem).take();
                lock(&live.seal_wait).take();
                live.sealed(&row);
                core.journal.tidy();
            }
            Err(error @ (SealError::Damaged(_) | SealError::Changed(_))) => {
                live.quarantine(format!("segment {number} cannot be stored: {error}"));
                core.recordings.progress.notify_one();
                return;
            }
            Err(error) => {
                core.metrics.store_errors.inc();
                let wait = match error {
                    SealError::Nowhere { again_in } => again_in.unwrap_or(FULL_WAIT).max(LEAST_WAIT),
                    _ => {
                        let mut wait = lock(&live.seal_wait);
                        let next = wait.map_or(FIRST_WAIT, |wait: Duration| (wait * 2).min(LONGEST_WAIT));
                        *wait.insert(next)
                    }
                };
                let first =
                    lock(&core.storage_problem).replace(format!("cannot store segments: {error}")).is_none();
                // Once for all that wait for the same.
                if first || !matches!(error, SealError::Nowhere { .. }) {
                    tracing::error!(recording = %live.id(), segment = number, %error, retry_seconds = wait.as_secs(),
                        "cannot store a segment; it stays in the journal");
                }
                again_later(core, live.id(), wait);
                return;
            }
        }
    }
    if live.is_over() {
        // Written down once more before it is forgotten here, so that the list is right from now on.
        match progress::write(core, &[Arc::clone(live)]).await {
            Ok(()) => core.recordings.remove(live.id()),
            Err(error) => {
                tracing::error!(recording = %live.id(), %error, "cannot write down the end of a recording; trying again");
                again_later(core, live.id(), FIRST_WAIT);
            }
        }
    }
}

fn again_later(core: &Shared, id: RecordingId, wait: Duration) {
    let shared = Arc::clone(core);
    core.tasks.spawn(async move {
        tokio::select! {
            () = shared.stop.cancelled() => {}
            () = tokio::time::sleep(wait) => shared.recordings.want_seal(id),
        }
    });
}

/// Stores one segment and writes it down. A location that fails is left for another one at once.
async fn segment(core: &Shared, live: &Arc<Live>, unsealed: Unsealed) -> Result<SegmentRow, SealError> {
    let path = path_of(&live.info, unsealed.number);
    let previous = core.store.last_segment(live.id()).await?.map(|segment| segment.location);
    let stamp = core.certificates.stamp(live.id(), unsealed.number, clock::now()).await?;
    let Unsealed { run, closing, number } = unsealed;
    let source = Source { recording: live.id(), run, closing, stamp, key: core.keys.key(live.id()).await? };
    let source = Arc::new(source);
    let cover = cover(&source, number).await?;
    let mut failed = Vec::new();
    let mut last = None;
    let (location, kept) = loop {
        let Some(location) = core.storage.choose(live.id(), previous.as_deref(), &failed) else {
            let again_in = core.storage.usable_in();
            return Err(last.map_or(SealError::Nowhere { again_in }, SealError::Storage));
        };
        let made = keep(&location, &core.store, &path, |sender| {
            let (source, cover) = (Arc::clone(&source), cover.clone());
            tokio::task::spawn_blocking(move || {
                let mut sending = Sending::new(cover.as_ref(), sender)?;
                let built = build(&source, &mut |bytes| sending.pass(bytes))?;
                sending.finish()?;
                Ok(built)
            })
        });
        match made.await {
            Ok(kept) => break (location, kept),
            Err(KeepError::Storage(error)) => {
                location.failed(&error, true);
                tracing::warn!(recording = %live.id(), location = location.id, %error, "a segment was not stored there");
                failed.push(location.id.clone());
                last = Some(error);
            }
            Err(KeepError::Db(error)) => return Err(error.into()),
            Err(KeepError::Made(error)) => return Err(error),
        }
    };
    location.worked();
    for other in &failed {
        // What it may have got of the segment after all.
        core.store.add_removal(other, &path, clock::now()).await?;
    }
    if let Some(digest) =
        kept.made.seal.filter(|_| kept.made.index.closing != playhead_format::Closing::Continues)
        && core.stamper.is_some()
    {
        // Asked for before anything can come in between; that nobody has it yet holds nothing up.
        let text = digest.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        core.store.want_time_stamp(live.id(), number, &text, clock::now()).await?;
    }
    // Met at intake as a rule; after a start only the file tells.
    live.met(kept.made.contents.clone());
    let row = SegmentRow { vault: cover.map(|cover| cover.text()), ..row_of(live.id(), &location.id, kept) };
    // The end and the gaps first: once the segment is written down, the journal's word for them may go.
    progress::write(core, &[Arc::clone(live)]).await?;
    if let Err(error) = core.store.acting_for(core.cluster.owner()).add_segment(&row).await {
        if matches!(error, DbError::NotOwner(_) | DbError::Fenced) {
            // Another server has the recording now, and stores the segment itself.
            core.store.add_removal(&row.location, &row.path, clock::now()).await?;
        }
        return Err(error.into());
    }
    if row.path != path && core.cluster.has_peers {
        // Under the plain name lies what a server left that was lost while it stored the segment: nothing refers to it.
        core.store.add_removal(&row.location, &path, clock::now()).await?;
    }
    Ok(row)
}

fn row_of(recording: RecordingId, location: &str, kept: Kept<Built>) -> SegmentRow {
    let Kept { path, bytes, blake3, made: Built { index, .. } } = kept;
    let first = index.entries.first();
    let last = index.entries.last();
    SegmentRow {
        recording,
        number: index.segment,
        location: location.to_owned(),
        path,
        bytes,
        blake3: blake3.to_hex().to_string(),
        first_seq: first.map_or(0, |entry| entry.seq),
        next_seq: last.map_or(0, |entry| entry.seq + 1),
        start_us: first.map_or(0, |entry| entry.start_us),
        end_us: last.map_or(0, |entry| entry.end_us),
        events: index.entries.iter().map(|entry| u64::from(entry.events)).sum(),
        head: index.head.to_string(),
        stored_at: clock::now(),
        vault: None,
    }
}

/// What a segment's file came to.
struct Built {
    index: SegmentIndex,
    contents: Contents,
    /// SHA-256 of the seal, if there is one.
    seal: Option<[u8; 32]>,
}

/// What a segment's file is made of.
struct Source {
    recording: RecordingId,
    run: Run,
    closing: Closing,
    stamp: Stamp,
    /// The recording's key; `None` when it is not encrypted.
    key: Option<DataKey>,
}

/// Goes through the file to be once, so that its key can be made of what it holds; `None` when it is not encrypted.
async fn cover(source: &Arc<Source>, number: u32) -> Result<Option<Cover>, SealError> {
    let Some(key) = source.key.clone() else { return Ok(None) };
    let source = Arc::clone(source);
    let hashing = move || {
        let mut salt = SaltHasher::new(&key);
        build(&source, &mut |bytes| {
            salt.update(&bytes);
            Ok(())
        })?;
        Ok(Some(Cover::new(key, &salt, source.recording, number)))
    };
    tokio::task::spawn_blocking(hashing).await?
}

/// Makes the segment's file out of the journal and passes it on piece by piece.
fn build(
    source: &Source,
    pass: &mut dyn FnMut(Vec<u8>) -> Result<(), SealError>,
) -> Result<Built, SealError> {
    let out = Pipe::default();
    let mut writer = SegmentWriter::new(out.clone()).map_err(SealError::Damaged)?;
    let mut signed = false;
    let mut contents = Contents::default();
    for (file, entry) in &source.run {
        let record = file.read(entry.offset, entry.length).map_err(SealError::Journal)?;
        let record = keys::plain(source.key.as_ref(), (source.recording, entry.seq), record);
        let record = record.map_err(|error| match error {
            VaultError::ChangedRecord | VaultError::Record(_) => SealError::Changed(error),
            error => SealError::Key(error.into()),
        })?;
        let fragment = open_fragment(&record).map_err(SealError::Damaged)?;
        contents.join(fragment.contents());
        signed |= fragment.signature().map_err(SealError::Damaged)?.is_some();
        writer.append_open(&record, &fragment).map_err(SealError::Damaged)?;
        pass(out.take())?;
    }
    let lost = source.closing == Closing::Lost;
    let mut digest = None;
    let seal = |index: &SegmentIndex| {
        let seal = source.stamp.clone().seal(index, signed);
        digest = seal.as_deref().map(|seal| Sha256::digest(seal).into());
        seal
    };
    let index = writer.finish_with(lost, seal).map_err(SealError::Damaged)?;
    pass(out.take())?;
    Ok(Built { index, contents, seal: digest })
}

/// Sends a file off, encrypted where that is wanted.
struct Sending {
    encrypter: Option<Encrypter>,
    pending: Vec<u8>,
    pieces: mpsc::Sender<Bytes>,
}

impl Sending {
    fn new(cover: Option<&Cover>, pieces: mpsc::Sender<Bytes>) -> Result<Self, SealError> {
        let mut pending = Vec::new();
        let encrypter = cover.map(|cover| cover.begin(&mut pending)).transpose()?;
        Ok(Self { encrypter, pending, pieces })
    }

    fn pass(&mut self, bytes: Vec<u8>) -> Result<(), SealError> {
        match &mut self.encrypter {
            Some(encrypter) => encrypter.push(&bytes, &mut self.pending),
            None => self.pending = bytes,
        }
        self.send()
    }

    fn finish(mut self) -> Result<(), SealError> {
        if let Some(encrypter) = self.encrypter.take() {
            encrypter.finish(&mut self.pending).map_err(KeyError::from)?;
        }
        self.send()
    }

    fn send(&mut self) -> Result<(), SealError> {
        let bytes = std::mem::take(&mut self.pending);
        if bytes.is_empty() {
            return Ok(());
        }
        self.pieces
            .blocking_send(bytes.into())
            .map_err(|_| SealError::Journal(io::Error::other("the upload ended early")))
    }
}

/// Takes what the writer writes and hands it on.
#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Vec<u8>>>);

impl Pipe {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *lock(&self.0))
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
