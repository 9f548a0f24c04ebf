//! Keys: of recordings, and of the site that wraps them.

use crate::VaultError;
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hkdf,
};
use playhead_model::RecordingId;
use std::fmt;
use uuid::Uuid;
use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

/// Bytes of a nonce.
pub const NONCE: usize = 12;
/// Bytes of an authentication tag.
pub(crate) const TAG: usize = 16;
/// Bytes of a data key that a [`SiteKey`] has wrapped: nonce, key, tag.
pub const WRAPPED: usize = NONCE + 32 + TAG;

const WRAP: &[u8] = b"playhead 2026-11 data key v1\0";

/// Which data key: random, and no secret.
pub type KeyId = Uuid;

/// The key of one recording. Wiped when dropped, and never shown.
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct DataKey {
    #[zeroize(skip)]
    id: KeyId,
    bytes: [u8; 32],
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({})", self.id)
    }
}

impl DataKey {
    /// A key of these 32 random bytes.
    pub fn new(id: KeyId, bytes: [u8; 32]) -> Self {
        Self { id, bytes }
    }

    /// Which key it is.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The key itself, for whoever wraps it.
    pub fn expose(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// `N` bytes of a key for one purpose (HKDF with SHA-256).
    pub(crate) fn derive<const N: usize>(&self, salt: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; N]> {
        struct Length(usize);
        impl hkdf::KeyType for Length {
            fn len(&self) -> usize {
                self.0
            }
        }
        let mut out = Zeroizing::new([0; N]);
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(&self.bytes);
        // HKDF gives up to 255 x 32 bytes, and no purpose here asks for more than 64.
        let filled = secret.expand(info, Length(N)).and_then(|okm| okm.fill(&mut *out));
        assert!(filled.is_ok(), "HKDF refuses {N} bytes");
        out
    }
}

/// A key of the site that wraps data keys, where the site keeps it itself.
#[derive(Clone, ZeroizeOnDrop)]
pub struct SiteKey([u8; 32]);

impl fmt::Debug for SiteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SiteKey")
    }
}

impl SiteKey {
    /// A key of these 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key itself, for the file that keeps it.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Wraps a data key for its recording. The nonce must be random.
    pub fn wrap(&self, recording: RecordingId, key: &DataKey, nonce: [u8; NONCE]) -> Vec<u8> {
        let mut secret = Zeroizing::new(key.bytes.to_vec());
        secret.reserve_exact(TAG);
        seal(&cipher(&self.0), nonce, &binding(recording, key.id), &mut secret);
        [&nonce[..], &secret].concat()
    }

    /// Opens what [`SiteKey::wrap`] has wrapped for this recording and key.
    ///
    /// # Errors
    /// It was wrapped by another key, for something else, or changed.
    pub fn unwrap(&self, recording: RecordingId, id: KeyId, wrapped: &[u8]) -> Result<DataKey, VaultError> {
        let (nonce, secret) = wrapped.split_first_chunk::<NONCE>().ok_or(VaultError::Unwrap)?;
        let mut secret = Zeroizing::new(secret.to_vec());
        let opened = open(&cipher(&self.0), *nonce, &binding(recording, id), &mut secret);
        let bytes = opened.and_then(|bytes| bytes.first_chunk::<32>().filter(|_| bytes.len() == 32));
        let mut bytes = *bytes.ok_or(VaultError::Unwrap)?;
        let key = DataKey::new(id, bytes);
        bytes.zeroize();
        Ok(key)
    }
}

/// What a wrapped key is for.
fn binding(recording: RecordingId, id: KeyId) -> Vec<u8> {
    [WRAP, recording.as_bytes(), id.as_bytes()].concat()
}

/// AES-256-GCM with this key.
pub(crate) fn cipher(key: &[u8; 32]) -> LessSafeKey {
    // The algorithm's keys have 32 bytes.
    LessSafeKey::new(
        UnboundKey::new(&AES_256_GCM, key).unwrap_or_else(|_| unreachable!("32 bytes are a key")),
    )
}

/// Encrypts in place and appends the tag.
pub(crate) fn seal(key: &LessSafeKey, nonce: [u8; NONCE], bound: &[u8], bytes: &mut Vec<u8>) {
    let sealed = key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound), bytes);
    // It refuses 64 GiB and more only; blocks have 64 KiB, records at most 65 MiB.
    assert!(sealed.is_ok(), "AES-GCM refuses {} bytes", bytes.len());
}

/// Opens in place; `None` when it does not fit key, nonce or what it is bound to.
pub(crate) fn open<'a>(
    key: &LessSafeKey,
    nonce: [u8; NONCE],
    bound: &[u8],
    bytes: &'a mut [u8],
) -> Option<&'a mut [u8]> {
    key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(bound), bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_key_opens_for_its_recording_by_its_site_alone() {
        let (site, other) = (SiteKey::new([1; 32]), SiteKey::new([2; 32]));
        let (a, b) = (RecordingId::from_bytes([1; 16]), RecordingId::from_bytes([2; 16]));
        let key = DataKey::new(KeyId::from_u128(7), [9; 32]);
        let wrapped = site.wrap(a, &key, [3; NONCE]);
        assert_eq!(wrapped.len(), WRAPPED);
        assert_eq!(site.unwrap(a, key.id(), &wrapped), Ok(key.clone()));
        assert_eq!(other.unwrap(a, key.id(), &wrapped), Err(VaultError::Unwrap));
        assert_eq!(site.unwrap(b, key.id(), &wrapped), Err(VaultError::Unwrap));
        assert_eq!(site.unwrap(a, KeyId::from_u128(8), &wrapped), Err(VaultError::Unwrap));
        for at in 0..wrapped.len() {
            let mut changed = wrapped.clone();
            changed[at] ^= 1;
            assert_eq!(site.unwrap(a, key.id(), &changed), Err(VaultError::Unwrap));
            assert_eq!(site.unwrap(a, key.id(), &wrapped[..at]), Err(VaultError::Unwrap));
        }
        assert_eq!(format!("{key:?} {site:?}"), "DataKey(00000000-0000-0000-0000-000000000007) SiteKey");
    }
}
