//! The bytes of the journal: file headers and entries.
//!
//! | file header | | entry | |
//! | --- | --- | --- | --- |
//! | 0 | magic `PHJRNL1\0` | 0 | magic `PHJE` |
//! | 8 | u64 number of the file | 4 | u32 length of the record |
//! | 16 | u64 durable bytes of the file before | 8 | 8 bytes check over the rest of the entry's header and its offset |
//! | 24 | 32 bytes key of the checks | 16 | u32 CRC-32 of the record, u32 fragments before this one that were not acknowledged |
//! | 56 | u32 CRC-32 of 0..56, u32 reserved | 24 | u64 bytes of this file known durable when this was written |
//! | | | 32 | 32 bytes hash of the fragment |
//! | | | 64 | 112 bytes head of the fragment |
//! | | | 176 | the record |
//!
//! The check is keyed with a random key of the file: what an agent sends can never pass for an entry, wherever recovery has to
//! look for the next one.

use playhead_format::{FragmentHead, HEAD_LEN, Hash, MAX_RECORD};
use playhead_vault::OVERHEAD;

/// Bytes of a file's header.
pub(crate) const FILE_HEADER: usize = 64;
/// Bytes of an entry before the record.
pub(crate) const ENTRY_HEADER: usize = 64 + HEAD_LEN;
/// First bytes of an entry.
pub(crate) const ENTRY_MAGIC: [u8; 4] = *b"PHJE";
const FILE_MAGIC: [u8; 8] = *b"PHJRNL1\0";

/// What stands at the start of a journal file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileHeader {
    /// The file's number; files follow each other by it.
    pub(crate) number: u64,
    /// How many bytes of the file before were durable when this one was begun.
    pub(crate) before: u64,
    /// Key of the checks in this file.
    pub(crate) key: [u8; 32],
}

impl FileHeader {
    pub(crate) fn encode(&self) -> [u8; FILE_HEADER] {
        let mut bytes = [0; FILE_HEADER];
        bytes[..8].copy_from_slice(&FILE_MAGIC);
        bytes[8..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.before.to_le_bytes());
        bytes[24..56].copy_from_slice(&self.key);
        let crc = crc32fast::hash(&bytes[..56]);
        bytes[56..60].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header; `None` when these bytes are none.
    pub(crate) fn parse(bytes: &[u8; FILE_HEADER]) -> Option<Self> {
        let whole = bytes[..8] == FILE_MAGIC && crc32fast::hash(&bytes[..56]) == u32_at(bytes, 56);
        let key = bytes[24..56].try_into().ok()?;
        whole.then(|| Self { number: u64_at(bytes, 8), before: u64_at(bytes, 16), key })
    }
}

/// What stands before a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryHeader {
    /// Bytes of the record.
    pub(crate) length: u32,
    /// Checksum of the record.
    pub(crate) crc: u32,
    /// How many bytes of this file were known to be durable when this was written.
    pub(crate) synced: u64,
    /// How many fragments of its recording before this one nobody had been told to be durable when this was written.
    pub(crate) pending: u32,
    /// The fragment's hash.
    pub(crate) hash: Hash,
    /// The fragment's head.
    pub(crate) head: FragmentHead,
}

/// [`EntryHeader::pending`] of fragment `seq`, when everything before `acknowledged` was.
pub(crate) fn pending(seq: u64, acknowledged: u64) -> u32 {
    u32::try_from(seq.saturating_sub(acknowledged)).unwrap_or(u32::MAX)
}

impl EntryHeader {
    /// One past the newest fragment of its recording that is known to have been acknowledged when this was written.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.head.seq.saturating_sub(u64::from(self.pending))
    }

    /// The bytes for an entry at `offset` of a file with `key`.
    pub(crate) fn encode(&self, key: &[u8; 32], offset: u64) -> [u8; ENTRY_HEADER] {
        let mut bytes = [0; ENTRY_HEADER];
        bytes[..4].copy_from_slice(&ENTRY_MAGIC);
        bytes[4..8].copy_from_slice(&self.length.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.crc.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.pending.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.synced.to_le_bytes());
        bytes[32..64].copy_from_slice(self.hash.as_bytes());
        bytes[64..].copy_from_slice(&self.head.encode());
        let check = check(&bytes, key, offset);
        bytes[8..16].copy_from_slice(&check);
        bytes
    }

    /// Reads the header of an entry at `offset` of a file with `key`; `None` when these bytes are none.
    pub(crate) fn parse(bytes: &[u8; ENTRY_HEADER], key: &[u8; 32], offset: u64) -> Option<Self> {
        if bytes[..4] != ENTRY_MAGIC || bytes[8..16] != check(bytes, key, offset) {
            return None;
        }
        let length = u32_at(bytes, 4);
        if length as usize > MAX_RECORD + OVERHEAD {
            return None;
        }
        Some(Self {
            length,
            crc: u32_at(bytes, 16),
            pending: u32_at(bytes, 20),
            synced: u64_at(bytes, 24),
            hash: Hash::from_bytes(bytes[32..64].try_into().ok()?),
            head: FragmentHead::parse(&bytes[64..]).ok()?,
        })
    }
}

fn check(bytes: &[u8; ENTRY_HEADER], key: &[u8; 32], offset: u64) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(&offset.to_le_bytes());
    hasher.update(&bytes[4..8]);
    hasher.update(&bytes[16..]);
    let mut check = [0; 8];
    check.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    check
}

/// `at` lies at least four bytes before the end of one of the two headers.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
