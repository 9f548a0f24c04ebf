//! Reading a journal file in any state: whatever was changed, cut or put in, what is found is what was written.
//!
//! The two modules are taken in by themselves: with them alone the target builds without the server's databases and TLS.
#![no_main]
#![allow(dead_code, reason = "the server uses the rest")]

#[path = "../../crates/server/src/journal/entry.rs"]
mod entry;
#[path = "../../crates/server/src/journal/scan.rs"]
mod scan;

use entry::{ENTRY_HEADER, EntryHeader, FileHeader};
use libfuzzer_sys::fuzz_target;
use playhead_format::{Flags, FragmentHead, Hash, genesis};
use playhead_model::RecordingId;

const KEY: [u8; 32] = [7; 32];

fn head(seq: u64) -> FragmentHead {
    let recording = RecordingId::from_bytes([seq as u8 % 3; 16]);
    FragmentHead {
        flags: Flags { key_frame: true, anchor: true, first_of_segment: true, ..Flags::default() },
        segment: 0,
        seq,
        start_us: seq,
        end_us: seq,
        anchor_seq: seq,
        activity: 0,
        events: 0,
        recording,
        previous: genesis(recording),
        wall_us: 0,
        width: 1,
        height: 1,
    }
}

/// A journal file with the records, and where each stands.
fn file(records: &[&[u8]]) -> (Vec<u8>, Vec<(u64, u32)>) {
    let mut bytes = FileHeader { number: 1, before: 0, key: KEY }.encode().to_vec();
    let mut places = Vec::new();
    for (seq, record) in records.iter().enumerate() {
        let at = bytes.len() as u64;
        let header = EntryHeader {
            length: record.len() as u32,
            crc: crc32fast::hash(record),
            // Every second entry is a group of its own.
            synced: if seq % 2 == 0 { at } else { 0 },
            pending: 0,
            hash: Hash::of(record),
            head: head(seq as u64),
        };
        bytes.extend(header.encode(&KEY, at));
        places.push((at + ENTRY_HEADER as u64, record.len() as u32));
        bytes.extend(*record);
    }
    (bytes, places)
}

fuzz_target!(|data: &[u8]| {
    // Anything at all, and anything after a sound header.
    let _ = scan::scan(data, 0).unwrap();
    let mut after_header = FileHeader { number: 1, before: 0, key: KEY }.encode().to_vec();
    after_header.extend(data);
    assert!(scan::scan(&after_header[..], u64::MAX).unwrap().entries.is_empty());

    // A file of entries made of the data, changed as the first bytes say: kind, two bytes of place, value.
    let Some((&count, rest)) = data.split_first() else { return };
    let changes = usize::from(count % 8) * 4;
    let Some((changes, rest)) = rest.split_at_checked(changes) else { return };
    let records: Vec<&[u8]> = rest.chunks(usize::from(count) + 1).take(64).collect();
    let (mut bytes, places) = file(&records);
    let whole = scan::scan(&bytes[..], 0).unwrap();
    assert_eq!(whole.entries.len(), records.len());
    assert_eq!((whole.end, whole.lost, whole.damaged.len()), (bytes.len() as u64, 0, 0));

    for change in changes.chunks(4) {
        let place = usize::from(u16::from_le_bytes([change[1], change[2]])) % (bytes.len() + 1);
        match change[0] % 4 {
            0 if place < bytes.len() => bytes[place] ^= change[3],
            1 => bytes.truncate(place),
            2 => drop(bytes.splice(place..place, std::iter::repeat_n(change[3], change[3].into()))),
            _ => {
                let end = (place + usize::from(change[3])).min(bytes.len());
                bytes[place..end].fill(0);
            }
        }
    }
    let found = scan::scan(&bytes[..], 0).unwrap();
    assert!(found.end <= bytes.len().max(entry::FILE_HEADER) as u64);
    for entry in &found.entries {
        let seq = entry.head.seq as usize;
        assert_eq!(places[seq], (entry.offset, entry.length));
        let record = &bytes[entry.offset as usize..][..entry.length as usize];
        assert_eq!(record, records[seq]);
    }
});
