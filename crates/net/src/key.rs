//! The Ed25519 key by which an enrolled program proves who it is.

use crate::{NetError, file};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use std::path::Path;

/// A program's own key pair.
pub struct NodeKey(SigningKey);

impl NodeKey {
    /// Makes a new one.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn generate() -> Result<Self, NetError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// Reads the key from a file, or makes one and writes it there, readable by its owner only.
    ///
    /// # Errors
    /// The file cannot be used or holds no key.
    pub fn load_or_create(path: &Path) -> Result<Self, NetError> {
        if let Some(text) = file::read_text(path)? {
            let seed = URL_SAFE_NO_PAD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
            let content = || NetError::Content { path: path.to_owned(), expected: "private key" };
            return Ok(Self(SigningKey::from_bytes(&seed.ok_or_else(content)?)));
        }
        let key = Self::generate()?;
        file::write_private(path, URL_SAFE_NO_PAD.encode(key.0.to_bytes()).as_bytes())?;
        Ok(key)
    }

    /// The public half, unpadded URL-safe base64.
    pub fn public(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.verifying_key().as_bytes())
    }

    /// The public half.
    pub fn public_bytes(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Makes a new key and writes it to a file in place of the one that is there.
    ///
    /// # Errors
    /// The system gives no random bytes; the file cannot be written.
    pub fn replace(path: &Path) -> Result<Self, NetError> {
        let key = Self::generate()?;
        file::write_private(path, URL_SAFE_NO_PAD.encode(key.0.to_bytes()).as_bytes())?;
        Ok(key)
    }

    /// Signs.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

/// Whether `signature` over `message` was made by the holder of `public` (unpadded URL-safe base64). A malformed key verifies nothing.
pub fn verify(public: &str, message: &[u8], signature: &[u8; 64]) -> bool {
    let bytes = URL_SAFE_NO_PAD.decode(public).ok().and_then(|bytes| bytes.try_into().ok());
    bytes
        .and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok())
        .is_some_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_is_kept_private_and_signs_the_same_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        let first = NodeKey::load_or_create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let second = NodeKey::load_or_create(&path).unwrap();
        assert!(verify(&first.public(), b"text", &second.sign(b"text")));
        assert!(!verify(&first.public(), b"other", &second.sign(b"text")));
        assert!(!verify("nonsense", b"text", &second.sign(b"text")));
    }

    #[test]
    fn a_damaged_key_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        std::fs::write(&path, "short").unwrap();
        let error = NodeKey::load_or_create(&path).err().unwrap();
        assert!(error.to_string().contains("holds no valid private key"), "{error}");
    }
}
