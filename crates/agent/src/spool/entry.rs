//! One fragment in a queue file: a header with a checksum, then the fragment's bytes.
//!
//! | offset | type | field |
//! | --- | --- | --- |
//! | 0 | 4 bytes | `PHQ1` |
//! | 4 | u32 | flags: bit 0 anchor, bit 1 first of its segment, bit 2 last of the recording |
//! | 8 | u64 | number of the fragment |
//! | 16 | u32 | length of the fragment's bytes |
//! | 20 | u32 | CRC-32 over bytes 4 to 20 and the fragment's bytes |

use playhead_format::{Flags, MAX_RECORD};

/// Bytes before a fragment's own.
pub(super) const HEADER: usize = 24;
const MAGIC: [u8; 4] = *b"PHQ1";

/// Where a fragment lies in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its number as it was recorded.
    pub(super) seq: u64,
    /// Where the header starts.
    pub(super) offset: u64,
    /// Length of the fragment, the header left out.
    pub(super) length: u32,
    /// Media time at which the fragment starts, in microseconds.
    pub(super) start_us: u64,
    bits: u8,
}

impl Entry {
    /// The entry at `offset` for a fragment of these bytes.
    pub(super) fn new(seq: u64, offset: u64, fragment: &[u8], flags: Flags) -> Self {
        let bits = u8::from(flags.anchor) | u8::from(flags.first_of_segment) << 1 | u8::from(flags.last) << 2;
        let length = u32::try_from(fragment.len()).unwrap_or(u32::MAX);
        Self { seq, offset, length, start_us: start_us(fragment), bits }
    }

    pub(super) fn is_anchor(&self) -> bool {
        self.bits & 1 != 0
    }

    pub(super) fn is_first_of_segment(&self) -> bool {
        self.bits & 2 != 0
    }

    pub(super) fn is_last(&self) -> bool {
        self.bits & 4 != 0
    }

    /// Where the next entry starts.
    pub(super) fn end(&self) -> u64 {
        self.offset + HEADER as u64 + u64::from(self.length)
    }

    /// The header for a fragment of these bytes.
    pub(super) fn header(&self, fragment: &[u8]) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(&MAGIC);
        header[4..8].copy_from_slice(&u32::from(self.bits).to_le_bytes());
        header[8..16].copy_from_slice(&self.seq.to_le_bytes());
        header[16..20].copy_from_slice(&self.length.to_le_bytes());
        let crc = checksum(&header, fragment);
        header[20..].copy_from_slice(&crc.to_le_bytes());
        header
    }

    /// Reads the entry at `offset` of a file's bytes. `None` when there is no whole, sound entry.
    fn read(file: &[u8], offset: usize) -> Option<Self> {
        let (header, rest) = file.get(offset..)?.split_first_chunk::<HEADER>()?;
        if header[..4] != MAGIC {
            return None;
        }
        let word =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let length = word(16);
        let fragment = rest.get(..length as usize).filter(|fragment| fragment.len() <= MAX_RECORD)?;
        let bits = u8::try_from(word(4)).ok()?;
        let seq = u64::from(word(8)) | u64::from(word(12)) << 32;
        let start_us = start_us(fragment);
        let entry = Self { seq, offset: offset as u64, length, start_us, bits };
        (checksum(header, fragment) == word(20)).then_some(entry)
    }
}

/// Where a fragment starts, without opening it: a Chunk record has its opcode, its length in 64 bits, then this in nanoseconds.
fn start_us(fragment: &[u8]) -> u64 {
    let start = fragment.get(9..).and_then(|rest| rest.first_chunk());
    start.map_or(0, |bytes| u64::from_le_bytes(*bytes) / 1_000)
}

fn checksum(header: &[u8; HEADER], fragment: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[4..20]);
    hasher.update(fragment);
    hasher.finalize()
}

/// Whether a fragment's bytes are still those that the entry's header was made for.
pub(super) fn is_sound(entry: &Entry, bytes: &[u8]) -> bool {
    Entry::read(bytes, 0).is_some_and(|read| Entry { offset: entry.offset, ..read } == *entry)
}

/// What a file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Every sound entry.
    pub(super) entries: Vec<Entry>,
    /// Offset of the first byte that belongs to no sound entry and that sound ones follow.
    pub(super) damaged_at: Option<u64>,
    /// Bytes after the last sound entry.
    pub(super) torn: u64,
}

/// Walks a file's bytes. Where an entry is not sound it looks for the next that is.
pub(super) fn scan(file: &[u8]) -> Scan {
    let mut scan = Scan::default();
    let (mut offset, mut sound_to) = (0, 0);
    while offset < file.len() {
        match Entry::read(file, offset) {
            Some(entry) => {
                if offset != sound_to && scan.damaged_at.is_none() {
                    scan.damaged_at = Some(sound_to as u64);
                }
                offset += HEADER + entry.length as usize;
                sound_to = offset;
                scan.entries.push(entry);
            }
            None => match file[offset + 1..].windows(MAGIC.len()).position(|bytes| bytes == MAGIC) {
                Some(distance) => offset += 1 + distance,
                None => break,
            },
        }
    }
    scan.torn = (file.len() - sound_to) as u64;
    scan
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn file(seqs: &[u64]) -> Vec<u8> {
        let mut file = Vec::new();
        for &seq in seqs {
            let fragment = vec![seq as u8; 10 + seq as usize];
            let flags = Flags { anchor: seq % 4 == 0, ..Flags::default() };
            let entry = Entry::new(seq, file.len() as u64, &fragment, flags);
            file.extend(entry.header(&fragment));
            file.extend(&fragment);
        }
        file
    }

    #[test]
    fn a_file_cut_at_any_byte_yields_every_whole_entry() {
        let whole = file(&[3, 4, 5]);
        let ends: Vec<u64> = scan(&whole).entries.iter().map(Entry::end).collect();
        assert_eq!(*ends.last().unwrap(), whole.len() as u64);
        for cut in 0..=whole.len() {
            let scan = scan(&whole[..cut]);
            let expected = ends.iter().filter(|&&end| end <= cut as u64).count();
            assert_eq!(scan.entries.len(), expected, "cut at {cut}");
            assert_eq!(scan.torn, cut as u64 - ends[..expected].last().copied().unwrap_or(0));
            assert_eq!(scan.damaged_at, None);
        }
    }

    #[test]
    fn every_flipped_bit_costs_its_entry_and_no_other() {
        let whole = file(&[3, 4, 5]);
        let entries = scan(&whole).entries;
        for at in 0..whole.len() {
            let mut bad = whole.clone();
            bad[at] ^= 0x40;
            let hit = entries.iter().position(|entry| (at as u64) < entry.end()).unwrap();
            let scan = scan(&bad);
            let left: Vec<Entry> =
                entries.iter().enumerate().filter(|(n, _)| *n != hit).map(|(_, entry)| *entry).collect();
            assert_eq!(scan.entries, left, "flip at {at}");
            assert_eq!(scan.damaged_at, (hit < 2).then_some(entries[hit].offset));
            assert_eq!(scan.torn > 0, hit == 2);
        }
    }

    #[test]
    fn flags_come_back() {
        let entry = scan(&file(&[4])).entries[0];
        assert!(entry.is_anchor() && !entry.is_first_of_segment() && !entry.is_last());
        assert!(is_sound(&entry, &file(&[4])));
        assert!(!is_sound(&entry, &file(&[5])));
    }
}
