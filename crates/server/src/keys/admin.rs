//! Showing, rotating and rewrapping the site's keys, and shredding recordings, whether a server runs or not.

use super::{
    Keyring, KmsError, SiteKeyAddress,
    kms::{KeyInfo, Kms},
};
use crate::{ServerError, clock, folder};
use playhead_db::site::{RecordingRow, Shredded, Store};
use playhead_model::{RecordingId, RecordingState, WallTime};
use playhead_vault::KeyId;
use serde::Serialize;
use std::{collections::HashMap, path::Path, sync::Arc};

/// Data keys taken from the database at a time.
const PAGE: u32 = 500;
/// Data keys rewrapped at a time.
const AT_ONCE: usize = 8;
/// Most characters of a reason.
const MOST_WHY: usize = 1_000;

/// The keys of a site.
#[derive(Debug, Serialize)]
pub struct KeyReport {
    /// Whether new recordings are encrypted.
    pub enabled: bool,
    /// Where the key is that wraps new data keys.
    pub address: Option<String>,
    /// The site's keys, those that wrap new data keys first, then the newest.
    pub keys: Vec<SiteKeyReport>,
    /// What is wrong.
    pub problem: Option<String>,
}

/// One key of a site.
#[derive(Debug, Serialize)]
pub struct SiteKeyReport {
    /// Its id.
    pub id: String,
    /// When it was made, where that is known.
    pub created_at: Option<WallTime>,
    /// Whether it wraps new data keys.
    pub current: bool,
    /// Whether it was found: without it, what it wraps cannot be read.
    pub found: bool,
    /// How many data keys it wraps.
    pub data_keys: u64,
}

/// What came of rewrapping.
#[derive(Debug, Default, Serialize)]
pub struct RewrapReport {
    /// Data keys that the current key wraps now and did not before.
    pub rewrapped: u64,
    /// Data keys that could not be rewrapped; they are as they were.
    pub failed: u64,
    /// Why not.
    pub error: Option<String>,
}

/// That a recording was shredded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShredReport {
    /// The recording.
    pub recording: RecordingId,
    /// When; earlier than now if it had been before.
    pub at: WallTime,
    /// By whom.
    pub by: String,
    /// Why, as they said.
    pub why: String,
}

/// Tells of the keys.
///
/// # Errors
/// The database's.
pub(crate) async fn report(store: &Store, keyring: &Keyring) -> Result<KeyReport, ServerError> {
    let (enabled, address) = keyring.setting();
    let (found, problem) = keyring.keys().await;
    let mut used: HashMap<String, u64> =
        store.key_use().await?.into_iter().map(|used| (used.site_key, used.data_keys)).collect();
    let mut keys: Vec<_> = found
        .into_iter()
        .map(|KeyInfo { id, created_at, current }| SiteKeyReport {
            data_keys: used.remove(&id).unwrap_or(0),
            id,
            created_at,
            current,
            found: true,
        })
        .collect();
    let mut missing: Vec<_> = used.into_iter().collect();
    missing.sort();
    keys.extend(missing.into_iter().map(|(id, data_keys)| SiteKeyReport {
        // Without a listing of its own, a key elsewhere may be there all the same.
        found: false,
        id,
        created_at: None,
        current: false,
        data_keys,
    }));
    Ok(KeyReport {
        enabled,
        address: address.map(|address| address.to_string()),
        keys,
        problem: problem.map(|problem| problem.to_string()),
    })
}

/// Deletes the data key of a recording, so that nobody can read it any more, wherever copies of its files lie.
///
/// # Errors
/// There is no such recording, it is not over, or not encrypted; the database's.
pub(crate) async fn shred(
    store: &Store,
    keyring: &Keyring,
    recording: RecordingId,
    by: &str,
    why: &str,
) -> Result<ShredReport, ServerError> {
    let row = store.recording(recording).await?;
    let row =
        row.ok_or_else(|| ServerError::Shred(format!("there is no recording {recording} at this site")))?;
    may_shred(&row)?;
    let why: String = why.chars().take(MOST_WHY).collect();
    let done = store.shred(recording, by, &why, clock::now()).await?;
    keyring.forget(recording);
    let Shredded { at, by, why } = done.ok_or_else(|| not_encrypted(recording))?;
    if let Err(error) = store.purge_deleted_keys().await {
        tracing::warn!(%recording, %error, "the key is deleted, but traces of it may still lie in the database's files");
    }
    tracing::warn!(%recording, by, why, "recording shredded");
    Ok(ShredReport { recording, at, by, why })
}

fn may_shred(row: &RecordingRow) -> Result<(), ServerError> {
    if !row.privacy.encrypted {
        return Err(not_encrypted(row.info.id));
    }
    if row.state == RecordingState::Live {
        return Err(ServerError::Shred(format!(
            "recording {} is still being made: wait until it has ended",
            row.info.id
        )));
    }
    Ok(())
}

fn not_encrypted(recording: RecordingId) -> ServerError {
    ServerError::Shred(format!(
        "recording {recording} is not encrypted, so there is no key to delete: it began before the site's recordings were"
    ))
}

/// The keys of a site, for whoever works on its server's machine. The server may run or not.
pub struct KeyAdmin {
    store: Store,
    keyring: Keyring,
}

impl KeyAdmin {
    /// Opens it. `database` as the server is told it.
    ///
    /// # Errors
    /// No server was ever started with the folder, or its database cannot be used.
    pub async fn open(data: &Path, database: Option<&str>) -> Result<Self, ServerError> {
        let store = folder::open_store(data, database).await?;
        let keyring = Keyring::open(data, None, store.clone()).await?;
        Ok(Self { store, keyring })
    }

    /// Tells of the keys.
    ///
    /// # Errors
    /// The database's.
    pub async fn report(&self) -> Result<KeyReport, ServerError> {
        report(&self.store, &self.keyring).await
    }

    /// Makes a new key that wraps new data keys; with `to`, goes over to the key there, and encrypts new recordings from now on.
    ///
    /// # Errors
    /// A key store that cannot be used or does not rotate; the database's.
    pub async fn rotate(&self, to: Option<&SiteKeyAddress>) -> Result<(), ServerError> {
        match to {
            Some(SiteKeyAddress::None) => Err(ServerError::key(KmsError::NotHere(
                "to stop encrypting, start the server with '--site-key none'".into(),
            ))),
            Some(address) => {
                self.keyring.use_key(address).await?;
                self.current().await.map(drop)
            }
            None => {
                let kms = self.keyring.current().map_err(ServerError::key)?;
                let id = kms.rotate().await.map_err(ServerError::key)?;
                tracing::info!(id, "the site has a new key");
                Ok(())
            }
        }
    }

    /// The current key, asked for at its keeper.
    async fn current(&self) -> Result<(Arc<dyn Kms>, String), ServerError> {
        let kms = self.keyring.current().map_err(ServerError::key)?;
        let keys = kms.keys().await.map_err(ServerError::key)?;
        let id = keys.into_iter().find(|key| key.current).map(|key| key.id);
        let none = || ServerError::key(KmsError::NotHere("the site has no current key".into()));
        Ok((kms, id.ok_or_else(none)?))
    }

    /// Has the current key wrap every data key that another one wraps. Files stay as they are. Broken off, it goes on where it was when it
    /// is called again, since each data key is written down by itself.
    ///
    /// # Errors
    /// The current key cannot be used; the database's. What could not be rewrapped stands in the report.
    pub async fn rewrap(&self, mut progress: impl FnMut(u64)) -> Result<RewrapReport, ServerError> {
        use futures_util::StreamExt as _;
        let (kms, current) = self.current().await?;
        let mut report = RewrapReport::default();
        let mut after = None;
        loop {
            let page = self.store.data_keys_to_rewrap(&current, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(report) };
            after = Some(last.recording);
            let one = |row: playhead_db::site::DataKeyRow| {
                let kms = &kms;
                async move {
                    let Some(wrapped) = &row.wrapped else { return Ok(false) };
                    let failed = |error: KmsError| ServerError::key(error);
                    let id: KeyId = row.id.parse().map_err(|_| {
                        let reason = "its id makes no sense".to_owned();
                        failed(KmsError::Refused { recording: row.recording, reason })
                    })?;
                    let key = self.keyring.unwrap(row.recording, id, wrapped).await.map_err(failed)?;
                    let wrapped = kms.wrap(row.recording, &key).await.map_err(failed)?;
                    Ok::<_, ServerError>(self.store.rewrapped(&row, &wrapped, clock::now()).await?)
                }
            };
            let mut done = futures_util::stream::iter(page).map(one).buffer_unordered(AT_ONCE);
            while let Some(done) = done.next().await {
                match done {
                    Ok(rewrapped) => report.rewrapped += u64::from(rewrapped),
                    Err(error @ ServerError::Db(_)) => return Err(error),
                    Err(error) => {
                        report.failed += 1;
                        report.error.get_or_insert_with(|| error.to_string());
                    }
                }
            }
            progress(report.rewrapped);
        }
    }

    /// Destroys a key of the site that wraps nothing any more, so that what it has wrapped in old copies of the database is lost too.
    ///
    /// # Errors
    /// It is the current one, still wraps something, or does not lie in a file of ours; the database's.
    pub async fn destroy(&self, id: &str) -> Result<(), ServerError> {
        let used = self.store.key_use().await?.into_iter().find(|used| used.site_key == id);
        if let Some(used) = used {
            return Err(ServerError::key(KmsError::NotHere(format!(
                "the key {id} still wraps {} data keys: run 'playhead key rewrap' first",
                used.data_keys
            ))));
        }
        let kms = self.keyring.current().map_err(ServerError::key)?;
        kms.destroy(id).await.map_err(ServerError::key)?;
        tracing::warn!(id, "a key of the site was destroyed");
        Ok(())
    }

    /// Shreds a recording: deletes its data key.
    ///
    /// # Errors
    /// There is no such recording, it is not over, or not encrypted; the database's.
    pub async fn shred(
        &self,
        recording: RecordingId,
        by: &str,
        why: &str,
    ) -> Result<ShredReport, ServerError> {
        shred(&self.store, &self.keyring, recording, by, why).await
    }

    /// Ends.
    pub async fn close(self) {
        self.store.database().close().await;
    }
}
