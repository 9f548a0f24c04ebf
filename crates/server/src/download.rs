//! A recording as one file for handing over: a tar archive of its segments, as they are or encrypted in the age format.

use crate::{
    ServerError, folder,
    keys::Keyring,
    playback::PlaybackError,
    storage::{Locations, StorageError},
};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use playhead_db::{
    DbError,
    site::{RecordingRow, SegmentRow, Store},
};
use playhead_model::{RecordingId, RecordingState};
use playhead_vault::{AgeEncrypter, Secrecy, VaultError};
use std::{io::Write, path::Path, sync::Arc};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinError,
};

/// Pieces that wait for a slow reader.
const WAITING: usize = 4;
/// Bytes of a block of an archive.
const BLOCK: usize = 512;
/// Making a key of a passphrase takes 128 MiB: one at a time.
static PASSPHRASES: Semaphore = Semaphore::const_new(1);

/// Why a recording cannot be given as a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DownloadError {
    #[error("{0}")]
    Db(#[from] DbError),
    #[error("{0}")]
    Storage(#[from] StorageError),
    #[error("{0}")]
    Vault(#[from] VaultError),
    #[error("the recording is not over, or its last segment is not stored yet: try again when it is")]
    NotOver,
    #[error("the recording was shredded: its key is gone, and nobody can read it any more")]
    Shredded,
    #[error("segment {number} changed while it was read: expected {expected} bytes, got {actual}; try again")]
    Changed { number: u32, expected: u64, actual: u64 },
    #[error("interrupted: {0}")]
    Interrupted(#[from] JoinError),
}

impl From<DownloadError> for PlaybackError {
    fn from(error: DownloadError) -> Self {
        match error {
            DownloadError::Db(error) => error.into(),
            DownloadError::Storage(error) => error.into(),
            DownloadError::Interrupted(error) => error.into(),
            other => Self::Download(other.to_string()),
        }
    }
}

/// Begins to give a recording as a file. What goes wrong later ends the stream with an error.
///
/// # Errors
/// It is not over or was shredded; keys, storage and database.
pub(crate) async fn download(
    store: &Store,
    storage: &Arc<Locations>,
    row: &RecordingRow,
    secrecy: Option<Secrecy>,
) -> Result<impl Stream<Item = Result<Bytes, DownloadError>> + Send + use<>, DownloadError> {
    let id = row.info.id;
    if row.privacy.shredded.is_some() {
        return Err(DownloadError::Shredded);
    }
    let segments = store.segments(id).await?;
    let stored = segments.last().map_or(0, |segment| segment.next_seq);
    let whole = row.state == RecordingState::Quarantined || stored >= row.fragments;
    if row.state == RecordingState::Live || segments.is_empty() || !whole {
        return Err(DownloadError::NotOver);
    }
    let (sender, receiver) = mpsc::channel(WAITING);
    let mut out = Vec::new();
    let encrypter = match secrecy {
        Some(secrecy) => {
            // The semaphore is never closed.
            let place = match secrecy {
                Secrecy::Passphrase(_) => PASSPHRASES.acquire().await.ok(),
                Secrecy::Recipients(_) => None,
            };
            let begin = move || {
                let _place = place;
                let mut out = Vec::new();
                let random = |bytes: &mut [u8]| getrandom::fill(bytes).is_ok();
                AgeEncrypter::new(&secrecy, random, &mut out).map(|encrypter| (encrypter, out))
            };
            let (encrypter, head) = tokio::task::spawn_blocking(begin).await??;
            out = head;
            Some(encrypter)
        }
        None => None,
    };
    let archive = Archive { store: store.clone(), storage: Arc::clone(storage), encrypter, out, sender };
    tokio::spawn(async move {
        let sender = archive.sender.clone();
        if let Err(Some(error)) = archive.write(id, segments).await {
            tracing::error!(recording = %id, %error, "a download broke off");
            let _ = sender.send(Err(error)).await;
        }
    });
    Ok(futures_util::stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver))))
}

/// An archive on its way to somebody.
struct Archive {
    store: Store,
    storage: Arc<Locations>,
    encrypter: Option<AgeEncrypter>,
    /// What is ready to be sent.
    out: Vec<u8>,
    sender: mpsc::Sender<Result<Bytes, DownloadError>>,
}

/// `None` when nobody listens any more.
type Broken = Option<DownloadError>;

impl Archive {
    async fn write(mut self, id: RecordingId, segments: Vec<SegmentRow>) -> Result<(), Broken> {
        for segment in segments {
            let name = format!("{id}/{:06}.mcap", segment.number);
            let (number, made) = (segment.number, segment.stored_at.as_micros());
            let (size, mut pieces) = self.open(segment).await.map_err(Some)?;
            self.put(&header(&name, size, made)).await?;
            let mut sent = 0;
            while let Some(piece) = pieces.next().await {
                let piece = piece.map_err(|error| Some(error.into()))?;
                sent += piece.len() as u64;
                self.put(&piece).await?;
            }
            if sent != size {
                return Err(Some(DownloadError::Changed { number, expected: size, actual: sent }));
            }
            self.pad(size).await?;
        }
        let stamp = self.store.time_stamp(id).await.map_err(|error| Some(error.into()))?;
        if let Some((stamp, text)) = stamp.and_then(|stamp| Some((stamp.clone(), stamp.response?))) {
            let bytes = STANDARD_NO_PAD.decode(text).unwrap_or_default();
            let made = stamp.stamped_at.map_or(0, |at| at.as_micros());
            let name = format!("{id}/{:06}.mcap.tsr", stamp.number);
            self.put(&header(&name, bytes.len() as u64, made)).await?;
            self.put(&bytes).await?;
            self.pad(bytes.len() as u64).await?;
        }
        self.put(&[0; 2 * BLOCK]).await?;
        if let Some(encrypter) = self.encrypter.take() {
            encrypter.finish(&mut self.out);
        }
        self.send().await
    }

    /// Opens a segment's file, where it lies now.
    async fn open(
        &self,
        segment: SegmentRow,
    ) -> Result<(u64, futures_util::stream::BoxStream<'static, Result<Bytes, StorageError>>), DownloadError>
    {
        match self.storage.stream(&segment).await {
            Err(error) if error.is_missing() => {
                // It may have been moved or packed anew meanwhile.
                match self.store.segment(segment.recording, segment.number).await? {
                    Some(now) if now != segment => Ok(self.storage.stream(&now).await?),
                    _ => Err(error.into()),
                }
            }
            opened => Ok(opened?),
        }
    }

    async fn pad(&mut self, size: u64) -> Result<(), Broken> {
        let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
        if over > 0 { self.put(&[0; BLOCK][over..]).await } else { Ok(()) }
    }

    async fn put(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        match &mut self.encrypter {
            Some(encrypter) => encrypter.push(bytes, &mut self.out),
            None => self.out.extend(bytes),
        }
        self.send().await
    }

    async fn send(&mut self) -> Result<(), Broken> {
        if self.out.is_empty() {
            return Ok(());
        }
        self.sender.send(Ok(std::mem::take(&mut self.out).into())).await.map_err(|_| None)
    }
}

/// The header of a file in an archive (POSIX ustar).
fn header(name: &str, size: u64, made_us: i64) -> [u8; BLOCK] {
    let mut header = tar::Header::new_ustar();
    // Names here have far fewer than the 100 bytes that fit.
    let _ = header.set_path(name);
    header.set_size(size);
    header.set_mode(0o600);
    header.set_mtime(u64::try_from(made_us / 1_000_000).unwrap_or(0));
    header.set_cksum();
    *header.as_bytes()
}

/// Gives recordings as files, for whoever works on the server's machine. The server may run or not.
pub struct Downloader {
    store: Store,
    storage: Arc<Locations>,
}

impl Downloader {
    /// Opens it. `database` as the server is told it.
    ///
    /// # Errors
    /// No server was ever started with the folder, or its database cannot be used.
    pub async fn open(data: &Path, database: Option<&str>) -> Result<Self, ServerError> {
        let store = folder::open_store(data, database).await?;
        let keys = Arc::new(Keyring::open(data, None, store.clone()).await?);
        let storage = Arc::new(Locations::known(&store).await?.with_keys(&keys));
        Ok(Self { store, storage })
    }

    /// Writes a recording; returns how many bytes that were.
    ///
    /// # Errors
    /// There is no such recording, it is not over, or cannot be read; writing fails.
    pub async fn write(
        &self,
        recording: RecordingId,
        secrecy: Option<Secrecy>,
        out: &mut (dyn Write + Send),
    ) -> Result<u64, ServerError> {
        let failed = |error: DownloadError| ServerError::Download(error.to_string());
        let row = self.store.recording(recording).await?;
        let row = row.ok_or_else(|| {
            ServerError::Download(format!("there is no recording {recording} at this site"))
        })?;
        let pieces = download(&self.store, &self.storage, &row, secrecy).await.map_err(failed)?;
        let mut pieces = std::pin::pin!(pieces);
        let mut bytes = 0;
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(failed)?;
            bytes += piece.len() as u64;
            out.write_all(&piece).map_err(|error| ServerError::Download(error.to_string()))?;
        }
        Ok(bytes)
    }

    /// Ends.
    pub async fn close(self) {
        self.store.database().close().await;
    }
}
