//! The blocks of an encrypted file: making them, reading any part of them, reading all of them.

use crate::{
    BLOCK, DataKey, HEADER, Header, VaultError,
    header::{SEALED_BLOCK, plain_len},
    key::{NONCE, TAG, cipher, open, seal},
};
use aws_lc_rs::aead::LessSafeKey;
use std::{ops::Range, sync::Arc};

const SALT: &[u8] = b"playhead 2026-11 salt v1\0";

/// The nonce of a block. With a key for every file, blocks are all that must be told apart; the last one says that it is.
fn nonce(block: u64, last: bool) -> [u8; NONCE] {
    let mut nonce = [0; NONCE];
    nonce[0] = u8::from(last);
    nonce[4..].copy_from_slice(&block.to_le_bytes());
    nonce
}

/// Makes a file's salt of its content: two files have the same salt, and so the same key, only when they are the same.
///
/// So a file that is made again after a crash comes out as it was, and no key ever encrypts two contents.
#[derive(Clone)]
pub struct SaltHasher(blake3::Hasher);

impl SaltHasher {
    /// For a file that will be encrypted with this key.
    pub fn new(key: &DataKey) -> Self {
        Self(blake3::Hasher::new_keyed(&key.derive::<32>(&[], &[SALT])))
    }

    /// The next bytes of the file.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The salt.
    pub fn finish(&self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}

/// Encrypts a file from its beginning to its end.
pub struct Encrypter {
    header: Header,
    key: LessSafeKey,
    salt: SaltHasher,
    block: u64,
    pending: Vec<u8>,
}

impl Encrypter {
    /// For a file with this header, which goes to `out` first.
    ///
    /// # Errors
    /// A header of another key.
    pub fn new(key: &DataKey, header: Header, out: &mut Vec<u8>) -> Result<Self, VaultError> {
        let file = header.open(key)?;
        out.extend(header.as_bytes());
        let pending = Vec::with_capacity(BLOCK + TAG);
        Ok(Self { header, key: cipher(&file.key), salt: SaltHasher::new(key), block: 0, pending })
    }

    /// Adds bytes of the file; whole blocks go to `out`.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        self.salt.update(bytes);
        while !bytes.is_empty() {
            // A full block waits until more comes: it could be the last.
            if self.pending.len() == BLOCK {
                self.seal(false, out);
            }
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.pending.len()));
            self.pending.extend(now);
            bytes = later;
        }
    }

    /// The end of the file; the last block goes to `out`.
    ///
    /// # Errors
    /// The content is not what the salt was made of: then none of it may be stored.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), VaultError> {
        self.seal(true, out);
        if self.salt.finish() == self.header.salt() { Ok(()) } else { Err(VaultError::Salt) }
    }

    fn seal(&mut self, last: bool, out: &mut Vec<u8>) {
        seal(&self.key, nonce(self.block, last), self.header.bound(), &mut self.pending);
        out.extend(&self.pending);
        self.pending.clear();
        self.block += 1;
    }
}

/// Opens parts of an encrypted file. Cheap to clone.
#[derive(Clone)]
pub struct Opener {
    header: Header,
    key: Arc<LessSafeKey>,
    plain: u64,
}

impl Opener {
    /// For a file with this header and so many bytes.
    ///
    /// # Errors
    /// A wrong key, or a length that no such file has.
    pub fn new(key: &DataKey, header: Header, file_len: u64) -> Result<Self, VaultError> {
        let file = header.open(key)?;
        Ok(Self { header, key: Arc::new(cipher(&file.key)), plain: plain_len(file_len)? })
    }

    /// Bytes that the file holds.
    pub fn plain_len(&self) -> u64 {
        self.plain
    }

    /// Which bytes of the encrypted file are needed for a part of what it holds.
    ///
    /// # Errors
    /// A part that is not within it.
    pub fn span(&self, part: &Range<u64>) -> Result<Range<u64>, VaultError> {
        if part.end > self.plain || part.start > part.end {
            return Err(VaultError::Range { expected: self.plain, actual: part.end });
        }
        if part.is_empty() {
            return Ok(0..0);
        }
        let start = part.start / BLOCK as u64 * SEALED_BLOCK;
        let end = (part.end.div_ceil(BLOCK as u64) * SEALED_BLOCK).min(self.sealed_len());
        Ok(HEADER as u64 + start..HEADER as u64 + end)
    }

    /// Bytes of all blocks.
    fn sealed_len(&self) -> u64 {
        self.plain + self.plain.div_ceil(BLOCK as u64).max(1) * TAG as u64
    }

    /// Opens the bytes of [`Opener::span`] and gives the part that was asked for.
    ///
    /// # Errors
    /// A block that was changed, moved, or is not of this file; too few or too many bytes.
    pub fn open(&self, part: &Range<u64>, mut sealed: Vec<u8>) -> Result<Vec<u8>, VaultError> {
        let span = self.span(part)?;
        if sealed.len() as u64 != span.end - span.start {
            return Err(VaultError::Length(sealed.len() as u64));
        }
        let first = part.start / BLOCK as u64;
        let last = self.plain.div_ceil(BLOCK as u64).max(1) - 1;
        let mut plain = Vec::with_capacity(sealed.len());
        for (block, bytes) in (first..).zip(sealed.chunks_mut(SEALED_BLOCK as usize)) {
            let opened = open(&self.key, nonce(block, block == last), self.header.bound(), bytes);
            plain.extend(&*opened.ok_or(VaultError::Block(block))?);
        }
        let skip = usize::try_from(part.start - first * BLOCK as u64).unwrap_or(usize::MAX);
        plain.drain(..skip.min(plain.len()));
        plain.truncate(usize::try_from(part.end - part.start).unwrap_or(usize::MAX));
        Ok(plain)
    }
}

/// Opens an encrypted file from its beginning to its end, as its bytes come.
pub struct Decrypter {
    opener: Opener,
    pending: Vec<u8>,
    block: u64,
    begun: bool,
}

impl Decrypter {
    /// For the file that the opener opens parts of.
    pub fn new(opener: Opener) -> Self {
        Self { opener, pending: Vec::new(), block: 0, begun: false }
    }

    /// Takes the next bytes of the file, gives what they hold as far as its blocks are whole.
    ///
    /// # Errors
    /// A header or block of another file, or a changed one; more bytes than there should be.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.pending.extend(bytes);
        let mut plain = Vec::new();
        let mut at = 0;
        if !self.begun {
            let Some(header) = self.pending.first_chunk::<HEADER>() else { return Ok(plain) };
            if header != self.opener.header.as_bytes() {
                return Err(VaultError::OtherFile);
            }
            (self.begun, at) = (true, HEADER);
        }
        let Opener { header, key, plain: length } = &self.opener;
        let last = length.div_ceil(BLOCK as u64).max(1) - 1;
        while self.block <= last {
            let wanted = if self.block == last {
                (length - last * BLOCK as u64) as usize + TAG
            } else {
                SEALED_BLOCK as usize
            };
            let Some(block) = self.pending.get_mut(at..at + wanted) else { break };
            let opened = open(key, nonce(self.block, self.block == last), header.bound(), block);
            plain.extend(&*opened.ok_or(VaultError::Block(self.block))?);
            at += wanted;
            self.block += 1;
        }
        self.pending.drain(..at);
        if self.block > last && !self.pending.is_empty() {
            return Err(VaultError::Length(self.opener.sealed_len() + self.pending.len() as u64));
        }
        Ok(plain)
    }

    /// Whether everything has come.
    ///
    /// # Errors
    /// Something is missing at the end.
    pub fn finish(self) -> Result<(), VaultError> {
        let last = self.opener.plain.div_ceil(BLOCK as u64).max(1) - 1;
        if self.block > last { Ok(()) } else { Err(VaultError::Block(self.block)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KeyId, file_len};
    use playhead_model::RecordingId;
    use proptest::prelude::*;

    fn key() -> DataKey {
        DataKey::new(KeyId::from_u128(1), [7; 32])
    }

    fn encrypted(plain: &[u8], segment: u32) -> (Header, Vec<u8>) {
        let mut salt = SaltHasher::new(&key());
        salt.update(plain);
        let header = Header::new(&key(), RecordingId::from_bytes([3; 16]), segment, salt.finish());
        let mut out = Vec::new();
        let mut encrypter = Encrypter::new(&key(), header, &mut out).unwrap();
        for piece in plain.chunks(10_007) {
            encrypter.push(piece, &mut out);
        }
        encrypter.finish(&mut out).unwrap();
        (header, out)
    }

    fn decrypted(header: Header, file: &[u8], step: usize) -> Result<Vec<u8>, VaultError> {
        let mut decrypter = Decrypter::new(Opener::new(&key(), header, file.len() as u64)?);
        let mut plain = Vec::new();
        for piece in file.chunks(step) {
            plain.extend(decrypter.push(piece)?);
        }
        decrypter.finish()?;
        Ok(plain)
    }

    fn content(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at * 31 + at / 251) as u8).collect()
    }

    #[test]
    fn files_of_every_length_come_back_whole_and_in_parts() {
        for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 5] {
            let plain = content(length);
            let (header, file) = encrypted(&plain, 0);
            assert_eq!(file.len() as u64, file_len(length as u64));
            assert_eq!(encrypted(&plain, 0).1, file, "made again it is the same");
            for step in [1_000_000, 977] {
                assert_eq!(decrypted(header, &file, step).unwrap(), plain, "{length}");
            }
            let opener = Opener::new(&key(), header, file.len() as u64).unwrap();
            assert_eq!(opener.plain_len(), length as u64);
            for (from, to) in [(0, length), (length / 2, length), (length / 3, length / 2), (length, length)]
            {
                let part = from as u64..to as u64;
                let span = opener.span(&part).unwrap();
                let sealed = file[span.start as usize..span.end as usize].to_vec();
                assert_eq!(opener.open(&part, sealed).unwrap(), plain[from..to], "{length}: {part:?}");
            }
            assert!(opener.span(&(0..length as u64 + 1)).is_err());
        }
    }

    #[test]
    fn whatever_is_changed_is_found() {
        let plain = content(3 * BLOCK + 100);
        let (header, file) = encrypted(&plain, 0);
        let (_, other) = encrypted(&plain, 1);
        let block = SEALED_BLOCK as usize;
        let changed = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut file = file.clone();
            change(&mut file);
            decrypted(header, &file, 1 << 20).unwrap_err()
        };
        let flipped = changed(&|file| file[HEADER + block + 9] ^= 1);
        assert_eq!(flipped, VaultError::Block(1));
        let swapped = changed(&|file| {
            let (a, b) = file[HEADER..].split_at_mut(block);
            a.swap_with_slice(&mut b[..block]);
        });
        assert_eq!(swapped, VaultError::Block(0));
        assert_eq!(
            changed(&|file| file.truncate(HEADER + 2 * block)),
            VaultError::Block(1),
            "cut at a block"
        );
        assert!(matches!(changed(&|file| file.truncate(HEADER + 2 * block + 7)), VaultError::Length(_)));
        assert_eq!(changed(&|file| drop(file.drain(HEADER..HEADER + block))), VaultError::Block(0));
        assert_eq!(
            changed(&|file| file[HEADER..HEADER + block].copy_from_slice(&other[HEADER..HEADER + block])),
            VaultError::Block(0)
        );
        assert_eq!(changed(&|file| file.copy_from_slice(&other)), VaultError::OtherFile);
        assert!(matches!(changed(&|file| file.push(0)), VaultError::Block(3) | VaultError::Length(_)));
        // Parts are found out as well, whatever is asked for.
        let opener = Opener::new(&key(), header, file.len() as u64).unwrap();
        let part = BLOCK as u64 + 3..BLOCK as u64 + 9;
        let span = opener.span(&part).unwrap();
        let mut sealed = file[span.start as usize..span.end as usize].to_vec();
        sealed[70] ^= 4;
        assert_eq!(opener.open(&part, sealed.clone()), Err(VaultError::Block(1)));
        assert!(matches!(opener.open(&part, sealed[1..].to_vec()), Err(VaultError::Length(_))));
    }

    #[test]
    fn a_content_that_differs_from_its_salt_is_not_let_pass() {
        let (header, _) = encrypted(b"first", 0);
        let mut out = Vec::new();
        let mut encrypter = Encrypter::new(&key(), header, &mut out).unwrap();
        encrypter.push(b"other", &mut out);
        assert_eq!(encrypter.finish(&mut out), Err(VaultError::Salt));
    }

    proptest! {
        #[test]
        fn any_part_is_what_was_put_in(length in 0usize..300_000, a in any::<u32>(), b in any::<u32>()) {
            let plain = content(length);
            let (header, file) = encrypted(&plain, 0);
            let opener = Opener::new(&key(), header, file.len() as u64).unwrap();
            let (a, b) = (a as usize % (length + 1), b as usize % (length + 1));
            let part = a.min(b) as u64..a.max(b) as u64;
            let span = opener.span(&part).unwrap();
            let sealed = file[span.start as usize..span.end as usize].to_vec();
            prop_assert!(sealed.len() <= part.clone().count() + 2 * SEALED_BLOCK as usize);
            prop_assert_eq!(&opener.open(&part, sealed).unwrap()[..], &plain[a.min(b)..a.max(b)]);
        }
    }
}
