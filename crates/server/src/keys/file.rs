//! Site keys in a file: one on which nothing else depends, for sites without a key store.

use super::kms::{KeyInfo, Kms, KmsError};
use crate::clock;
use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use nix::fcntl::{Flock, FlockArg};
use playhead_db::site::WrappedKey;
use playhead_model::{RecordingId, WallTime};
use playhead_vault::{DataKey, KeyId, NONCE, SiteKey};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// What ids of keys in files begin with.
const PREFIX: &str = "file:";
const ABOUT: &str = "# The keys of a Playhead site, the newest last. Who has this file and the site's database can read every recording; without it\n\
     # nobody can. Keep a copy of it apart from both, and copy it to every server of the site.\n";

/// Site keys in a file that its owner alone may read. It is read each time, so that a key made beside a running server counts at once.
pub(crate) struct FileKms {
    path: PathBuf,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    #[serde(default)]
    key: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: KeyId,
    created_at: WallTime,
    key: Zeroizing<String>,
}

impl Entry {
    fn site_key(&self) -> Option<SiteKey> {
        let bytes = Zeroizing::new(STANDARD_NO_PAD.decode(self.key.as_str()).ok()?);
        Some(SiteKey::new(bytes.first_chunk::<32>().copied().filter(|_| bytes.len() == 32)?))
    }

    fn name(&self) -> String {
        format!("{PREFIX}{}", self.id)
    }
}

impl FileKms {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Makes the file with a first key, unless it is there.
    ///
    /// # Errors
    /// It cannot be written or read.
    pub(crate) async fn begin(&self) -> Result<(), KmsError> {
        self.with(|path| {
            if path.exists() {
                return read(path).map(|_| ());
            }
            add(path).map(|_| ())
        })
        .await
    }

    /// Does something with the file where it may block.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> Result<T, KmsError> + Send + 'static,
    ) -> Result<T, KmsError> {
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || work(&path)).await.unwrap_or_else(|error| {
            Err(KmsError::Away { address: self.path.display().to_string(), reason: error.to_string() })
        })
    }
}

fn wrong(path: &Path, reason: impl Into<String>) -> KmsError {
    KmsError::File { path: path.to_owned(), reason: reason.into() }
}

fn read(path: &Path) -> Result<Content, KmsError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => KmsError::Missing { path: path.to_owned() },
        _ => wrong(path, error.to_string()),
    };
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(wrong(path, "others than its owner may read it: run 'chmod 600' on it"));
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(failed)?);
    // The reason could show a line of the file, so it is not told.
    let content: Content =
        toml::from_str(&text).map_err(|_| wrong(path, "it does not hold keys: restore it"))?;
    if content.key.is_empty() || content.key.iter().any(|entry| entry.site_key().is_none()) {
        return Err(wrong(path, "expected keys of 32 bytes in base64: restore it"));
    }
    Ok(content)
}

fn write(path: &Path, content: &Content) -> Result<(), KmsError> {
    let text = toml::to_string(content).map_err(|_| wrong(path, "its content cannot be written"))?;
    let text = Zeroizing::new(format!("{ABOUT}\n{text}"));
    playhead_net::write_private(path, text.as_bytes()).map_err(|error| wrong(path, error.to_string()))
}

/// Keeps two programs from changing the file at a time.
fn locked(path: &Path) -> Result<Flock<fs::File>, KmsError> {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    let failed = |error: io::Error| wrong(path, error.to_string());
    let file = fs::File::options().create(true).truncate(false).write(true).open(lock).map_err(failed)?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| failed(error.into()))
}

/// Adds a key, which becomes the current one.
fn add(path: &Path) -> Result<String, KmsError> {
    let _lock = locked(path)?;
    let mut content = match read(path) {
        Err(KmsError::Missing { .. }) => Content::default(),
        content => content?,
    };
    let mut bytes = Zeroizing::new([0u8; 32]);
    getrandom::fill(&mut *bytes).map_err(|error| wrong(path, error.to_string()))?;
    let key = Zeroizing::new(STANDARD_NO_PAD.encode(*bytes));
    let entry = Entry { id: KeyId::now_v7(), created_at: clock::now(), key };
    let name = entry.name();
    content.key.push(entry);
    write(path, &content)?;
    Ok(name)
}

#[async_trait]
impl Kms for FileKms {
    async fn keys(&self) -> Result<Vec<KeyInfo>, KmsError> {
        let content = self.with(read).await?;
        let newest = content.key.last().map(|entry| entry.id);
        let info = |entry: &Entry| KeyInfo {
            id: entry.name(),
            created_at: Some(entry.created_at),
            current: Some(entry.id) == newest,
        };
        Ok(content.key.iter().rev().map(info).collect())
    }

    fn holds(&self, site_key: &str) -> bool {
        site_key.starts_with(PREFIX)
    }

    async fn wrap(&self, recording: RecordingId, key: &DataKey) -> Result<WrappedKey, KmsError> {
        let key = key.clone();
        self.with(move |path| {
            let content = read(path)?;
            // `read` has seen that there is one, and that all are keys.
            let newest = content.key.last().and_then(|entry| Some((entry.name(), entry.site_key()?)));
            let (site_key, site) = newest.ok_or_else(|| wrong(path, "it holds no key: restore it"))?;
            let mut nonce = [0; NONCE];
            getrandom::fill(&mut nonce).map_err(|error| wrong(path, error.to_string()))?;
            Ok(WrappedKey { site_key, wrapped: STANDARD_NO_PAD.encode(site.wrap(recording, &key, nonce)) })
        })
        .await
    }

    async fn unwrap(
        &self,
        recording: RecordingId,
        id: KeyId,
        wrapped: &WrappedKey,
    ) -> Result<DataKey, KmsError> {
        let wrapped = wrapped.clone();
        self.with(move |path| {
            let content = read(path)?;
            let entry = content.key.iter().find(|entry| entry.name() == wrapped.site_key);
            let site = entry.and_then(Entry::site_key).ok_or_else(|| KmsError::Unknown {
                key: wrapped.site_key.clone(),
                address: path.display().to_string(),
            })?;
            let bytes = STANDARD_NO_PAD.decode(&wrapped.wrapped).unwrap_or_default();
            site.unwrap(recording, id, &bytes)
                .map_err(|error| KmsError::Refused { recording, reason: error.to_string() })
        })
        .await
    }

    async fn rotate(&self) -> Result<String, KmsError> {
        self.with(add).await
    }

    async fn destroy(&self, id: &str) -> Result<(), KmsError> {
        let id = id.to_owned();
        self.with(move |path| {
            let _lock = locked(path)?;
            let mut content = read(path)?;
            if content.key.last().is_some_and(|entry| entry.name() == id) {
                return Err(KmsError::NotHere(format!(
                    "the key {id} is the current one: rotate and rewrap first"
                )));
            }
            let before = content.key.len();
            content.key.retain(|entry| entry.name() != id);
            if content.key.len() == before {
                return Err(KmsError::Unknown { key: id, address: path.display().to_string() });
            }
            write(path, &content)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keys_are_made_kept_rotated_and_destroyed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("site.keys");
        let kms = FileKms::new(path.clone());
        assert!(matches!(kms.keys().await, Err(KmsError::Missing { .. })));
        kms.begin().await.unwrap();
        kms.begin().await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let first = kms.keys().await.unwrap();
        assert_eq!(first.len(), 1);
        let recording = RecordingId::from_bytes([1; 16]);
        let key = DataKey::new(KeyId::from_u128(2), [3; 32]);
        let wrapped = kms.wrap(recording, &key).await.unwrap();
        assert_eq!(wrapped.site_key, first[0].id);

        let second = kms.rotate().await.unwrap();
        assert_eq!(kms.keys().await.unwrap()[0].id, second);
        assert_eq!(kms.wrap(recording, &key).await.unwrap().site_key, second);
        assert_eq!(kms.unwrap(recording, key.id(), &wrapped).await.unwrap(), key, "the old one still opens");
        let other = RecordingId::from_bytes([2; 16]);
        assert!(matches!(kms.unwrap(other, key.id(), &wrapped).await, Err(KmsError::Refused { .. })));

        assert!(kms.destroy(&second).await.unwrap_err().to_string().contains("current"));
        kms.destroy(&first[0].id).await.unwrap();
        assert!(matches!(kms.destroy(&first[0].id).await, Err(KmsError::Unknown { .. })));
        let error = kms.unwrap(recording, key.id(), &wrapped).await.unwrap_err();
        assert!(matches!(error, KmsError::Unknown { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_file_that_others_may_read_or_that_makes_no_sense_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("site.keys");
        let kms = FileKms::new(path.clone());
        kms.begin().await.unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(kms.keys().await.unwrap_err().to_string().contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let id = KeyId::nil();
        for wrong in [
            String::new(),
            "key = 5".into(),
            format!("[[key]]\nid = \"{id}\"\ncreated_at = \"2026-01-01T00:00:00Z\"\nkey = \"c2VjcmV0\"\n"),
        ] {
            fs::write(&path, &wrong).unwrap();
            let error = kms.keys().await.unwrap_err().to_string();
            assert!(error.contains("restore it") && !error.contains("c2VjcmV0"), "{wrong}: {error}");
            assert!(kms.rotate().await.is_err(), "nothing is written over what is not understood");
        }
    }
}
