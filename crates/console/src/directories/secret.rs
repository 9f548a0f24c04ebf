//! Secrets at rest: AES-256-GCM by a key in the console's data folder, so that a copy of the database alone gives none away.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use playhead_net::{NetError, write_private};
use std::{fs, io, path::Path};

/// File in the data folder with the key.
pub(crate) const FILE: &str = "directories.key";
const KEY: usize = 32;

/// Encrypts and decrypts what consoles prove themselves with.
pub(crate) struct Keeper(LessSafeKey);

/// Why a secret cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// The key's file.
    #[error("cannot use the key of the directories' secrets, {path}: {source}")]
    File { path: String, source: io::Error },
    /// The key's file holds something else.
    #[error(
        "expected {KEY} bytes in {path}, got {actual}: restore the file from a backup, or delete it and enter the directories' secrets again"
    )]
    Key { path: String, actual: usize },
    /// The file could not be written, or there are no random bytes.
    #[error(transparent)]
    Net(#[from] NetError),
    /// Another key, or damage.
    #[error(
        "the directory's secret was kept by a console with another {FILE} in its data folder: copy that file here, or enter the secret again"
    )]
    Sealed,
}

impl Keeper {
    /// Takes the key from the data folder, where it is made at the first time.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub(crate) fn open(data: &Path) -> Result<Self, SecretError> {
        let path = data.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut key = [0; KEY];
                getrandom::fill(&mut key).map_err(NetError::from)?;
                write_private(&path, &key)?;
                key.to_vec()
            }
            Err(source) => return Err(SecretError::File { path: path.display().to_string(), source }),
        };
        let key = UnboundKey::new(&AES_256_GCM, &bytes)
            .map_err(|_| SecretError::Key { path: path.display().to_string(), actual: bytes.len() })?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Encrypts the secret of the directory of this id.
    ///
    /// # Errors
    /// There are no random bytes.
    pub(crate) fn seal(&self, directory: &str, secret: &str) -> Result<String, SecretError> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(NetError::from)?;
        let mut bytes = secret.as_bytes().to_vec();
        let sealing = Nonce::assume_unique_for_key(nonce);
        self.0
            .seal_in_place_append_tag(sealing, Aad::from(directory), &mut bytes)
            .map_err(|_| SecretError::Sealed)?;
        Ok(STANDARD_NO_PAD.encode([&nonce[..], &bytes].concat()))
    }

    /// Decrypts it.
    ///
    /// # Errors
    /// It was sealed by another key or for another directory.
    pub(crate) fn open_secret(&self, directory: &str, sealed: &str) -> Result<String, SecretError> {
        let bytes = STANDARD_NO_PAD.decode(sealed).map_err(|_| SecretError::Sealed)?;
        let (nonce, bytes) = bytes.split_at_checked(NONCE_LEN).ok_or(SecretError::Sealed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SecretError::Sealed)?;
        let mut bytes = bytes.to_vec();
        let plain =
            self.0.open_in_place(nonce, Aad::from(directory), &mut bytes).map_err(|_| SecretError::Sealed)?;
        String::from_utf8(plain.to_vec()).map_err(|_| SecretError::Sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_by_their_key_for_their_directory_alone() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = Keeper::open(folder.path()).unwrap();
        let sealed = keeper.seal("d1", "schnürsenkel").unwrap();
        assert!(!sealed.contains("schn"));
        assert_ne!(sealed, keeper.seal("d1", "schnürsenkel").unwrap());
        let again = Keeper::open(folder.path()).unwrap();
        assert_eq!(again.open_secret("d1", &sealed).unwrap(), "schnürsenkel");
        assert!(again.open_secret("d2", &sealed).is_err() && again.open_secret("d1", "x").is_err());
        let other = tempfile::tempdir().unwrap();
        let error = Keeper::open(other.path()).unwrap().open_secret("d1", &sealed).unwrap_err();
        assert!(error.to_string().contains("enter the secret again"));
        fs::write(folder.path().join(FILE), b"short").unwrap();
        assert!(matches!(Keeper::open(folder.path()), Err(SecretError::Key { actual: 5, .. })));
    }
}
