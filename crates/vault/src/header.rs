//! The header of an encrypted file, and how long such a file is.

use crate::{DataKey, KeyId, VaultError, key::TAG};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use playhead_model::RecordingId;
use std::{fmt, str::FromStr};
use zeroize::Zeroizing;

/// Bytes of the header.
pub const HEADER: usize = 96;
/// Bytes of a block before it is encrypted; the last one is shorter.
pub const BLOCK: usize = 64 << 10;

/// Bytes that the checks are made over.
const BOUND: usize = 80;
const MAGIC: [u8; 8] = *b"\x89PHVLT\r\n";
const VERSION: u8 = 1;
/// AES-256-GCM.
const CIPHER: u8 = 1;
const BLOCK_BITS: u8 = 16;
const FILE: &[u8] = b"playhead 2026-11 stored segment v1\0";

/// What stands before the blocks: whose file it is, and all but the data key that is needed to open it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Header([u8; HEADER]);

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Header(recording {}, segment {}, key {})", self.recording(), self.segment(), self.key())
    }
}

/// The keys of one file.
pub(crate) struct FileKey {
    pub(crate) key: Zeroizing<[u8; 32]>,
    check: [u8; 16],
}

impl Header {
    /// The header of a segment's file, with the salt that [`crate::SaltHasher`] made of its content.
    pub fn new(key: &DataKey, recording: RecordingId, segment: u32, salt: [u8; 32]) -> Self {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&[VERSION, CIPHER, BLOCK_BITS, 0]);
        bytes[12..16].copy_from_slice(&segment.to_le_bytes());
        bytes[16..32].copy_from_slice(recording.as_bytes());
        bytes[32..48].copy_from_slice(key.id().as_bytes());
        bytes[48..80].copy_from_slice(&salt);
        let mut header = Self(bytes);
        let check = header.derive(key).check;
        header.0[BOUND..].copy_from_slice(&check);
        header
    }

    /// Reads a header.
    ///
    /// # Errors
    /// Bytes that are none, or of a later version.
    pub fn parse(bytes: &[u8]) -> Result<Self, VaultError> {
        let bytes = *bytes.first_chunk::<HEADER>().ok_or(VaultError::Header("the file is too short"))?;
        let wrong = match &bytes[..12] {
            [magic @ .., _, _, _, _] if *magic != MAGIC => "the first bytes are others",
            [.., version, _, _, _] if *version != VERSION => "the version is another",
            [.., CIPHER, BLOCK_BITS, 0] => return Ok(Self(bytes)),
            _ => "the cipher or the size of its blocks is another",
        };
        Err(VaultError::Header(wrong))
    }

    /// Whether a file that starts with these bytes is encrypted.
    pub fn is_at_start_of(bytes: &[u8]) -> bool {
        bytes.starts_with(&MAGIC)
    }

    /// The header's bytes.
    pub fn as_bytes(&self) -> &[u8; HEADER] {
        &self.0
    }

    /// The recording.
    pub fn recording(&self) -> RecordingId {
        RecordingId::from_bytes(self.array(16))
    }

    /// Number of the segment.
    pub fn segment(&self) -> u32 {
        u32::from_le_bytes(self.array(12))
    }

    /// The data key that it is encrypted with.
    pub fn key(&self) -> KeyId {
        KeyId::from_bytes(self.array(32))
    }

    /// The salt.
    pub(crate) fn salt(&self) -> [u8; 32] {
        self.array(48)
    }

    /// What every block is bound to.
    pub(crate) fn bound(&self) -> &[u8] {
        &self.0[..BOUND]
    }

    /// The key of the file's blocks.
    ///
    /// # Errors
    /// The data key is not the one that the header was made with.
    pub(crate) fn open(&self, key: &DataKey) -> Result<FileKey, VaultError> {
        let file = self.derive(key);
        if key.id() == self.key() && file.check == self.array(BOUND) {
            Ok(file)
        } else {
            Err(VaultError::WrongKey(self.key()))
        }
    }

    fn derive(&self, key: &DataKey) -> FileKey {
        let derived = key.derive::<48>(&self.salt(), &[FILE, self.bound()]);
        let (mut file, mut check) = (Zeroizing::new([0; 32]), [0; 16]);
        file.copy_from_slice(&derived[..32]);
        check.copy_from_slice(&derived[32..]);
        FileKey { key: file, check }
    }

    /// `at` is the start of one of the fields.
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0[at..].first_chunk().copied().unwrap_or([0; N])
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD_NO_PAD.encode(self.0))
    }
}

impl FromStr for Header {
    type Err = VaultError;

    fn from_str(text: &str) -> Result<Self, VaultError> {
        let bytes = STANDARD_NO_PAD.decode(text).map_err(|_| VaultError::Header("it is no base64"))?;
        if bytes.len() == HEADER {
            Self::parse(&bytes)
        } else {
            Err(VaultError::Header("its length is another"))
        }
    }
}

/// Bytes of the encrypted file of `plain` bytes.
pub fn file_len(plain: u64) -> u64 {
    let blocks = plain.div_ceil(BLOCK as u64).max(1);
    plain.saturating_add(HEADER as u64).saturating_add(blocks.saturating_mul(TAG as u64))
}

/// Bytes that an encrypted file of `file` bytes holds.
///
/// # Errors
/// No encrypted file has this length.
pub fn plain_len(file: u64) -> Result<u64, VaultError> {
    let wrong = VaultError::Length(file);
    let body = file.checked_sub(HEADER as u64).ok_or_else(|| wrong.clone())?;
    let (full, rest) = (body / SEALED_BLOCK, body % SEALED_BLOCK);
    match (full, rest.checked_sub(TAG as u64)) {
        (1.., None) if rest == 0 => Ok(full * BLOCK as u64),
        // Only the block of an empty file is empty.
        (0, Some(last)) => Ok(last),
        (1.., Some(last @ 1..)) => Ok(full * BLOCK as u64 + last),
        _ => Err(wrong),
    }
}

/// Bytes of an encrypted block that is not the last.
pub(crate) const SEALED_BLOCK: u64 = (BLOCK + TAG) as u64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_go_both_ways_and_others_are_refused() {
        let block = BLOCK as u64;
        for plain in [0, 1, 15, 16, 17, block - 1, block, block + 1, 5 * block, 5 * block + 9, 1 << 40] {
            assert_eq!(plain_len(file_len(plain)), Ok(plain));
        }
        let head = HEADER as u64;
        for wrong in [0, 95, head, head + 15, head + SEALED_BLOCK + 1, head + SEALED_BLOCK + 16] {
            assert_eq!(plain_len(wrong), Err(VaultError::Length(wrong)));
        }
    }

    #[test]
    fn a_header_is_read_as_it_was_made() {
        let key = DataKey::new(KeyId::from_u128(5), [1; 32]);
        let header = Header::new(&key, RecordingId::from_bytes([2; 16]), 3, [4; 32]);
        assert_eq!(header.to_string().parse(), Ok(header));
        assert_eq!((header.segment(), header.key(), header.salt()), (3, key.id(), [4; 32]));
        assert!(header.open(&key).is_ok());
        for other in [DataKey::new(key.id(), [2; 32]), DataKey::new(KeyId::from_u128(6), [1; 32])] {
            assert_eq!(header.open(&other).err(), Some(VaultError::WrongKey(key.id())));
        }
        for at in 0..HEADER {
            let mut bytes = *header.as_bytes();
            bytes[at] ^= 1;
            assert!(Header::parse(&bytes).and_then(|header| header.open(&key)).is_err(), "byte {at}");
        }
        assert!(Header::parse(&header.as_bytes()[..95]).is_err());
        assert!("AAAA".parse::<Header>().is_err() && "?".parse::<Header>().is_err());
        assert!(Header::is_at_start_of(header.as_bytes()) && !Header::is_at_start_of(b"\x89MCAP0\r\n"));
    }
}
