//! The data keys of recordings: made, unwrapped, and held as long as they are needed.

use super::{
    SiteKeyAddress,
    aws::AwsKms,
    file::FileKms,
    kms::{KeyInfo, Kms, KmsError},
};
use crate::{ServerError, clock, recordings::lock};
use bytes::Bytes;
use lru::LruCache;
use playhead_db::{
    DbError,
    site::{DataKeyRow, Store, WrappedKey},
};
use playhead_model::{EndReason, Gap, RecordingId};
use playhead_vault::{
    DataKey, Declared, KeyId, NONCE, SealedRecord, VaultError, is_sealed, open_record, seal_record,
};
use serde::{Deserialize, Serialize};
use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// File of the site's keys in the data folder, unless they are elsewhere.
const FILE: &str = "site.keys";
/// Data keys held at a time: those of all recordings that a server takes in, and of those that are played.
const MOST: NonZeroUsize = NonZeroUsize::MIN.saturating_add(49_999);
/// A key may be used for so long without asking whether it was shredded, maybe through another server.
const FRESH: Duration = Duration::from_secs(5);
/// Requests to the keeper of the site's keys at a time.
const AT_ONCE: usize = 16;
/// After a failure nothing is asked of the site's keys for so long: thousands of agents come back every few seconds.
const PAUSE: Duration = Duration::from_secs(2);

/// Why something encrypted cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("{0}")]
    Db(#[from] DbError),
    #[error("{0}")]
    Kms(#[from] KmsError),
    #[error("{0}")]
    Vault(#[from] VaultError),
    #[error("the recording was shredded: its key is gone, and nobody can read it any more")]
    Shredded,
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
}

/// How the site encrypts; kept in its database, so that all its servers do the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Encryption {
    /// Whether new recordings are encrypted.
    enabled: bool,
    /// Where the key is that wraps new data keys.
    address: SiteKeyAddress,
    /// Where keys are that wrapped data keys before.
    #[serde(default)]
    previous: Vec<SiteKeyAddress>,
}

/// What there is to wrap and unwrap with.
#[derive(Default)]
struct State {
    encryption: Option<Encryption>,
    /// All that can be opened; the first one wraps, if it is that of the settings.
    all: Vec<Arc<dyn Kms>>,
    /// Why the first one cannot be opened.
    broken: Option<KmsError>,
}

#[derive(Clone)]
struct Held {
    /// `None` for a recording that is not encrypted.
    key: Option<DataKey>,
    checked: Instant,
}

/// The data keys of all recordings of the site.
pub(crate) struct Keyring {
    store: Store,
    data: PathBuf,
    state: Mutex<Arc<State>>,
    held: Mutex<LruCache<RecordingId, Held>>,
    places: Semaphore,
    failing: Mutex<Option<(Instant, KmsError)>>,
}

impl Keyring {
    /// Opens what the settings or, without any, the database names. Keys that cannot be used at the moment are no error.
    ///
    /// # Errors
    /// The database's; a file for the site's first key that cannot be written.
    pub(crate) async fn open(
        data: &Path,
        wanted: Option<&SiteKeyAddress>,
        store: Store,
    ) -> Result<Self, ServerError> {
        let keyring = Self {
            store,
            data: data.to_owned(),
            state: Mutex::default(),
            held: Mutex::new(LruCache::new(MOST)),
            places: Semaphore::new(AT_ONCE),
            failing: Mutex::default(),
        };
        keyring.refresh().await?;
        match (wanted, &keyring.state().encryption) {
            (Some(SiteKeyAddress::None), Some(now)) if now.enabled => keyring.set(false, None).await?,
            (Some(SiteKeyAddress::None) | None, _) => {}
            (Some(address), Some(now)) if now.enabled && now.address == *address => {}
            (Some(address), _) => keyring.use_key(address).await?,
        }
        Ok(keyring)
    }

    /// Encrypts new recordings, with the key at this address. A file is made where there is none.
    ///
    /// # Errors
    /// The database's; a key that cannot be used.
    pub(crate) async fn use_key(&self, address: &SiteKeyAddress) -> Result<(), ServerError> {
        let known = match &self.state().encryption {
            Some(now) => now.address == *address || now.previous.contains(address),
            None => false,
        };
        // A file that was in use and is not there any more must not be replaced by one with another key.
        if !known && let SiteKeyAddress::File(path) = address {
            FileKms::new(self.file(path.as_deref())).begin().await.map_err(ServerError::key)?;
        }
        self.set(true, Some(address)).await
    }

    async fn set(&self, enabled: bool, address: Option<&SiteKeyAddress>) -> Result<(), ServerError> {
        let before = self.state().encryption.clone();
        let Some(address) = address.or(before.as_ref().map(|before| &before.address)) else { return Ok(()) };
        let mut previous: Vec<SiteKeyAddress> = Vec::new();
        if let Some(before) = &before {
            previous.push(before.address.clone());
            previous.extend(before.previous.iter().cloned());
        }
        previous.retain(|previous| previous != address);
        let encryption = Encryption { enabled, address: address.clone(), previous };
        // Texts and a truth value always serialise.
        let text = serde_json::to_string(&encryption).unwrap_or_default();
        self.store.set_encryption(&text, clock::now()).await?;
        tracing::info!(enabled, address = %address, "encryption of recordings changed");
        self.refresh().await?;
        Ok(())
    }

    /// Takes over from the database what people or other servers have changed.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn refresh(&self) -> Result<(), DbError> {
        let text = self.store.encryption().await?;
        let unreadable = |_| DbError::Content { column: "value", expected: "settings of encryption" };
        let encryption: Option<Encryption> =
            text.map(|text| serde_json::from_str(&text)).transpose().map_err(unreadable)?;
        if encryption == self.state().encryption && (encryption.is_none() || !self.state().all.is_empty()) {
            return Ok(());
        }
        let mut state = State::default();
        if let Some(encryption) = &encryption {
            match self.kms(&encryption.address) {
                Ok(kms) => state.all.push(kms),
                Err(error) => state.broken = Some(error),
            }
            for previous in &encryption.previous {
                match self.kms(previous) {
                    Ok(kms) => state.all.push(kms),
                    Err(error) => tracing::warn!(%error, "a key of earlier settings cannot be used"),
                }
            }
        }
        state.encryption = encryption;
        *lock(&self.state) = Arc::new(state);
        Ok(())
    }

    fn file(&self, path: Option<&Path>) -> PathBuf {
        path.map_or_else(|| self.data.join(FILE), Path::to_owned)
    }

    fn kms(&self, address: &SiteKeyAddress) -> Result<Arc<dyn Kms>, KmsError> {
        Ok(match address {
            SiteKeyAddress::File(path) => Arc::new(FileKms::new(self.file(path.as_deref()))),
            SiteKeyAddress::Aws(key) => Arc::new(AwsKms::open(key)?),
            SiteKeyAddress::None => return Err(KmsError::NotHere("there is no key".into())),
        })
    }

    fn state(&self) -> Arc<State> {
        Arc::clone(&lock(&self.state))
    }

    /// Whether new recordings are encrypted, and where the key is that wraps their keys.
    pub(crate) fn setting(&self) -> (bool, Option<SiteKeyAddress>) {
        let state = self.state();
        let encryption = state.encryption.as_ref();
        (encryption.is_some_and(|now| now.enabled), encryption.map(|now| now.address.clone()))
    }

    /// The key store that wraps new data keys.
    pub(crate) fn current(&self) -> Result<Arc<dyn Kms>, KmsError> {
        let state = self.state();
        if let Some(error) = &state.broken {
            return Err(error.clone());
        }
        let none =
            "the site has no key: start the server with --site-key, or run 'playhead key rotate --to file'";
        state.all.first().cloned().ok_or_else(|| KmsError::NotHere(none.into()))
    }

    /// All keys of the site that can be seen, those that wrap new data keys first.
    pub(crate) async fn keys(&self) -> (Vec<KeyInfo>, Option<KmsError>) {
        let state = self.state();
        let (mut all, mut problem) = (Vec::new(), state.broken.clone());
        for (at, kms) in state.all.iter().enumerate() {
            let first = at == 0 && state.broken.is_none();
            match kms.keys().await {
                Ok(keys) => {
                    all.extend(keys.into_iter().map(|key| KeyInfo { current: key.current && first, ..key }));
                }
                Err(error) => drop(problem.get_or_insert(error)),
            }
        }
        (all, problem)
    }

    /// What is wrong with the site's keys.
    pub(crate) fn problem(&self) -> Option<String> {
        let state = self.state();
        let failing = lock(&self.failing).as_ref().map(|(_, error)| error.to_string());
        let text = state.broken.as_ref().map(ToString::to_string).or(failing)?;
        let wait = if self.setting().0 {
            "new recordings wait at their agents"
        } else {
            "encrypted recordings cannot be played"
        };
        Some(format!("{text}; {wait}"))
    }

    /// Looks whether the site's keys can be used, and takes over what was changed.
    pub(crate) async fn look(&self) {
        if let Err(error) = self.refresh().await {
            tracing::warn!(%error, "cannot ask the database how recordings are encrypted");
            return;
        }
        let Ok(kms) = self.current() else { return };
        let seen = kms.keys().await.map(|_| ());
        self.note(&seen);
    }

    /// Writes down how a request to the site's keys ended. What is wrong with a single data key is not the keeper's fault.
    fn note<T>(&self, result: &Result<T, KmsError>) {
        let mut failing = lock(&self.failing);
        match result {
            Ok(_) => {
                if failing.take().is_some() {
                    tracing::info!("the site's keys can be used again");
                }
            }
            Err(KmsError::Refused { .. } | KmsError::NotHere(_)) => {}
            Err(error) => {
                if failing.is_none() {
                    tracing::error!(%error, "the site's keys cannot be used; running recordings go on, new ones wait");
                }
                *failing = Some((Instant::now(), error.clone()));
            }
        }
    }

    /// Fails at once while the last failure is fresh.
    fn may_ask(&self) -> Result<(), KmsError> {
        match &*lock(&self.failing) {
            Some((at, error)) if at.elapsed() < PAUSE => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// The key of a recording; `None` when it is not encrypted.
    ///
    /// # Errors
    /// It was shredded; the site's keys cannot be used.
    pub(crate) async fn key(&self, recording: RecordingId) -> Result<Option<DataKey>, KeyError> {
        let held = lock(&self.held).get(&recording).cloned();
        if let Some(held) = &held
            && held.checked.elapsed() < FRESH
        {
            return Ok(held.key.clone());
        }
        let row = self.store.data_key(recording).await?;
        self.take(recording, row, held).await
    }

    /// The same for whoever takes the recording in, and so knows that nobody can have shredded it.
    ///
    /// # Errors
    /// Those of [`Keyring::key`].
    pub(crate) async fn held(&self, recording: RecordingId) -> Result<Option<DataKey>, KeyError> {
        if let Some(held) = lock(&self.held).get(&recording) {
            return Ok(held.key.clone());
        }
        self.key(recording).await
    }

    /// The key of a recording of which nothing has come yet: it gets one, where the site encrypts.
    ///
    /// # Errors
    /// The site's keys cannot be used.
    pub(crate) async fn begin(&self, recording: RecordingId) -> Result<Option<DataKey>, KeyError> {
        if let Some(row) = self.store.data_key(recording).await? {
            return self.take(recording, Some(row), None).await;
        }
        if !self.setting().0 {
            return Ok(None);
        }
        let mut random = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(&mut *random).map_err(KeyError::Random)?;
        let key = DataKey::new(KeyId::new_v4(), *random);
        let wrapped = self.wrap(recording, &key).await?;
        let row = self.store.add_data_key(recording, &key.id().to_string(), &wrapped, clock::now()).await?;
        // Another server may have been faster.
        let own = row.id == key.id().to_string();
        self.take(recording, Some(row), own.then(|| Held { key: Some(key), checked: Instant::now() })).await
    }

    /// Keeps what a row says. A key that is held already need not be unwrapped.
    async fn take(
        &self,
        recording: RecordingId,
        row: Option<DataKeyRow>,
        held: Option<Held>,
    ) -> Result<Option<DataKey>, KeyError> {
        let key = match row {
            None => None,
            Some(DataKeyRow { wrapped: None, .. }) => {
                self.forget(recording);
                return Err(KeyError::Shredded);
            }
            Some(DataKeyRow { id, wrapped: Some(wrapped), .. }) => {
                let unreadable = |_| DbError::Content { column: "id", expected: "id of a data key" };
                let id: KeyId = id.parse().map_err(unreadable)?;
                match held.and_then(|held| held.key).filter(|key| key.id() == id) {
                    Some(key) => Some(key),
                    None => Some(self.unwrap(recording, id, &wrapped).await?),
                }
            }
        };
        lock(&self.held).put(recording, Held { key: key.clone(), checked: Instant::now() });
        Ok(key)
    }

    /// Wraps a data key by the current key of the site.
    ///
    /// # Errors
    /// The site's keys cannot be used.
    pub(crate) async fn wrap(&self, recording: RecordingId, key: &DataKey) -> Result<WrappedKey, KmsError> {
        self.may_ask()?;
        let kms = self.current().inspect_err(|error| self.note::<()>(&Err(error.clone())))?;
        // The semaphore is never closed.
        let _place = self.places.acquire().await;
        self.may_ask()?;
        let wrapped = kms.wrap(recording, key).await;
        self.note(&wrapped);
        wrapped
    }

    /// Unwraps a data key, whichever key of the site has wrapped it.
    ///
    /// # Errors
    /// The site's keys cannot be used, or do not open it.
    pub(crate) async fn unwrap(
        &self,
        recording: RecordingId,
        id: KeyId,
        wrapped: &WrappedKey,
    ) -> Result<DataKey, KmsError> {
        self.may_ask()?;
        let state = self.state();
        let _place = self.places.acquire().await;
        self.may_ask()?;
        let mut last = state.broken.clone();
        for kms in state.all.iter().filter(|kms| kms.holds(&wrapped.site_key)) {
            match kms.unwrap(recording, id, wrapped).await {
                Err(error @ (KmsError::Unknown { .. } | KmsError::Missing { .. })) => last = Some(error),
                done => {
                    self.note(&done);
                    return done;
                }
            }
        }
        Err(last.unwrap_or_else(|| KmsError::Unknown {
            key: wrapped.site_key.clone(),
            address: "any place that the site's settings name".into(),
        }))
    }

    /// Lets go of a recording's key.
    pub(crate) fn forget(&self, recording: RecordingId) {
        lock(&self.held).pop(&recording);
    }

    /// A fragment's record as it goes into the journal: encrypted where the recording is.
    ///
    /// # Errors
    /// Those of [`Keyring::key`].
    pub(crate) async fn protect(
        &self,
        (recording, seq): (RecordingId, u64),
        gaps: &[Gap],
        end: Option<EndReason>,
        record: Bytes,
    ) -> Result<Bytes, KeyError> {
        let Some(key) = self.held(recording).await? else { return Ok(record) };
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(KeyError::Random)?;
        let declared = Declared { gaps: gaps.to_vec(), end };
        Ok(seal_record(&key, recording, seq, &declared, nonce, &record)?.into())
    }
}

/// A fragment's record as its agent sent it, out of what stands in the journal.
///
/// # Errors
/// It is encrypted, and the key does not open it.
pub(crate) fn plain(
    key: Option<&DataKey>,
    (recording, seq): (RecordingId, u64),
    record: Vec<u8>,
) -> Result<Vec<u8>, VaultError> {
    if !is_sealed(&record) {
        return Ok(record);
    }
    let sealed = SealedRecord::parse(&record)?;
    let key = key.ok_or(VaultError::WrongKey(sealed.key))?;
    open_record(key, recording, seq, &sealed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    struct Fixture {
        folder: tempfile::TempDir,
        store: Store,
    }

    impl Fixture {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite:{}", folder.path().join("site.db").display());
            let store = Store::open(&url).await.unwrap();
            Self { folder, store }
        }

        async fn open(&self, wanted: Option<&str>) -> Result<Keyring, ServerError> {
            let wanted = wanted.map(|text| text.parse().unwrap());
            Keyring::open(self.folder.path(), wanted.as_ref(), self.store.clone()).await
        }

        fn file(&self) -> PathBuf {
            self.folder.path().join(FILE)
        }
    }

    fn id(number: u128) -> RecordingId {
        Uuid::from_u128(number).into()
    }

    #[tokio::test]
    async fn the_site_says_whether_recordings_are_encrypted_and_each_has_its_own_key() {
        let fixture = Fixture::new().await;
        let keys = fixture.open(None).await.unwrap();
        assert_eq!(keys.begin(id(1)).await.unwrap(), None);
        assert!(!fixture.file().exists());
        let keys = fixture.open(Some("file")).await.unwrap();
        assert_eq!(keys.key(id(1)).await.unwrap(), None, "what began before stays as it is");
        let second = keys.begin(id(2)).await.unwrap().unwrap();
        assert_ne!(keys.begin(id(3)).await.unwrap().unwrap(), second);
        // The next start, or another server of the site, without the setting.
        let keys = fixture.open(None).await.unwrap();
        assert_eq!(keys.begin(id(2)).await.unwrap(), Some(second.clone()));
        assert!(keys.begin(id(4)).await.unwrap().is_some());
        // Switched off: what is encrypted can still be read.
        let keys = fixture.open(Some("none")).await.unwrap();
        assert_eq!(keys.begin(id(5)).await.unwrap(), None);
        assert_eq!(keys.key(id(2)).await.unwrap(), Some(second));
        assert_eq!(keys.setting(), (false, Some(SiteKeyAddress::File(None))));
    }

    #[tokio::test]
    async fn without_the_sites_key_running_recordings_go_on_and_new_ones_wait() {
        let fixture = Fixture::new().await;
        let keys = fixture.open(Some("file")).await.unwrap();
        let first = keys.begin(id(1)).await.unwrap();
        let away = fixture.folder.path().join("away");
        std::fs::rename(fixture.file(), &away).unwrap();
        assert_eq!(keys.held(id(1)).await.unwrap(), first);
        let error = keys.begin(id(2)).await.unwrap_err().to_string();
        assert!(error.contains("is not there: restore it"), "{error}");
        assert!(keys.problem().unwrap().contains("new recordings wait"));
        // Started like this it does not make another key.
        let started = fixture.open(Some("file")).await.unwrap();
        assert!(started.begin(id(2)).await.is_err() && !fixture.file().exists());
        assert!(matches!(started.key(id(1)).await, Err(KeyError::Kms(_))));
        // A file with another key is not the site's.
        FileKms::new(fixture.file()).begin().await.unwrap();
        let wrong = fixture.open(None).await.unwrap();
        let error = wrong.key(id(1)).await.unwrap_err().to_string();
        assert!(error.contains("is not among those"), "{error}");
        std::fs::rename(&away, fixture.file()).unwrap();
        keys.look().await;
        assert_eq!(keys.problem(), None);
        assert!(keys.begin(id(2)).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_shredded_recording_has_no_key_any_more_anywhere() {
        let fixture = Fixture::new().await;
        let (here, there) = (fixture.open(Some("file")).await.unwrap(), fixture.open(None).await.unwrap());
        here.begin(id(1)).await.unwrap();
        there.key(id(1)).await.unwrap();
        fixture.store.shred(id(1), "anna", "", clock::now()).await.unwrap_err();
        assert!(here.key(id(1)).await.unwrap().is_some(), "nobody knows the recording: nothing has happened");
    }

    #[tokio::test]
    async fn records_come_out_of_the_journal_as_they_went_in() {
        let fixture = Fixture::new().await;
        let keys = fixture.open(Some("file")).await.unwrap();
        let key = keys.begin(id(1)).await.unwrap();
        let record = Bytes::from_static(b"\x06 record");
        let sealed = keys.protect((id(1), 3), &[], None, record.clone()).await.unwrap();
        assert!(is_sealed(&sealed));
        assert_eq!(plain(key.as_ref(), (id(1), 3), sealed.to_vec()).unwrap(), record);
        assert!(plain(key.as_ref(), (id(1), 4), sealed.to_vec()).is_err());
        assert!(plain(None, (id(1), 3), sealed.to_vec()).is_err());
        // A recording that is not encrypted passes as it is.
        let same = keys.protect((id(9), 0), &[], None, record.clone()).await.unwrap();
        assert_eq!(same, record);
        assert_eq!(plain(None, (id(9), 0), same.to_vec()).unwrap(), record);
    }
}
