//! A part of the journal as one object in shared storage: the same bytes as a file of it, made at once and never changed.

use super::{
    entry::{ENTRY_HEADER, EntryHeader, FILE_HEADER, FileHeader, pending},
    scan::{read_header, scan},
};
use bytes::Bytes;
use playhead_format::{FragmentHead, Hash};
use playhead_model::RecordingId;
use std::collections::HashMap;

/// An object in the making.
pub(crate) struct Object {
    pieces: Vec<Bytes>,
    key: [u8; 32],
    length: u64,
    parts: HashMap<RecordingId, (u64, u64)>,
}

/// A fragment out of an object.
pub(crate) struct ObjectFragment {
    pub(crate) head: FragmentHead,
    pub(crate) hash: Hash,
    /// The chunk record.
    pub(crate) record: Bytes,
    /// One past the newest fragment of its recording that is known to have been acknowledged when it was written.
    pub(crate) acknowledged: u64,
}

/// An object that is not as it was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObjectError {
    #[error("expected a part of a journal, got something else")]
    Foreign,
    #[error("expected {expected} whole bytes, only {actual} can be read")]
    Damaged { expected: u64, actual: u64 },
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
}

impl Object {
    /// An empty object.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub(crate) fn new(number: u64) -> std::io::Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(std::io::Error::other)?;
        let header = FileHeader { number, before: 0, key }.encode();
        let pieces = vec![Bytes::copy_from_slice(&header)];
        Ok(Self { pieces, key, length: FILE_HEADER as u64, parts: HashMap::new() })
    }

    /// Adds a fragment of a recording of which everything before `acknowledged` is. Those of one recording come in order.
    pub(crate) fn add(&mut self, head: &FragmentHead, hash: Hash, record: Bytes, acknowledged: u64) {
        // A record is no longer than MAX_RECORD.
        let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
        let crc = crc32fast::hash(&record);
        let pending = pending(head.seq, acknowledged);
        let header = EntryHeader { length, crc, synced: self.length, pending, hash, head: *head };
        let header = header.encode(&self.key, self.length);
        self.length += (ENTRY_HEADER + record.len()) as u64;
        self.pieces.push(Bytes::copy_from_slice(&header));
        self.pieces.push(record);
        let part = self.parts.entry(head.recording).or_insert((head.seq, head.seq));
        part.1 = head.seq;
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    /// Whether it holds no fragment.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Its bytes, and of each recording the first and the last fragment in it.
    pub(crate) fn finish(self) -> (Vec<Bytes>, HashMap<RecordingId, (u64, u64)>) {
        (self.pieces, self.parts)
    }
}

/// Reads an object.
///
/// # Errors
/// It is not whole.
pub(crate) fn open_object(bytes: &Bytes) -> Result<Vec<ObjectFragment>, ObjectError> {
    if read_header(bytes.as_ref())?.is_none() {
        return Err(ObjectError::Foreign);
    }
    let expected = bytes.len() as u64;
    let scanned = scan(bytes.as_ref(), expected)?;
    let damaged = scanned.lost > 0 || !scanned.damaged.is_empty() || scanned.end != expected;
    if damaged {
        return Err(ObjectError::Damaged { expected, actual: scanned.end - scanned.lost });
    }
    let fragment = |found: super::Found| {
        // Within the bytes, as the scan has read it there.
        let from = usize::try_from(found.offset).unwrap_or(usize::MAX);
        let record = bytes.slice(from..from + found.length as usize);
        ObjectFragment { head: found.head, hash: found.hash, record, acknowledged: found.acknowledged }
    };
    Ok(scanned.entries.into_iter().map(fragment).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use playhead_format::{HEAD_LEN, genesis};

    const ID: RecordingId = RecordingId::from_bytes([3; 16]);
    const ENTRY: usize = ENTRY_HEADER + 40;

    fn head(seq: u64) -> FragmentHead {
        let mut bytes = [0; HEAD_LEN];
        bytes[0] = 1;
        bytes[8..16].copy_from_slice(&seq.to_le_bytes());
        bytes[48..64].copy_from_slice(ID.as_bytes());
        FragmentHead::parse(&bytes).unwrap()
    }

    #[test]
    fn an_object_reads_back_and_every_changed_byte_is_found() {
        let mut object = Object::new(7).unwrap();
        assert!(object.is_empty());
        for seq in 4..7 {
            object.add(&head(seq), genesis(ID), Bytes::from(vec![seq as u8; 40]), 3);
        }
        assert_eq!(object.len(), (FILE_HEADER + 3 * ENTRY) as u64);
        let (pieces, parts) = object.finish();
        assert_eq!(parts, HashMap::from([(ID, (4, 6))]));
        let bytes = pieces.concat();
        let fragments = open_object(&bytes.clone().into()).unwrap();
        assert_eq!(fragments.iter().map(|fragment| fragment.head.seq).collect::<Vec<_>>(), [4, 5, 6]);
        assert_eq!(fragments[1].record, vec![5; 40]);
        assert_eq!(fragments.iter().map(|fragment| fragment.acknowledged).collect::<Vec<_>>(), [3, 3, 3]);
        // The last bytes of a file's header say nothing.
        for at in (0..bytes.len()).filter(|at| !(60..64).contains(at)) {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(open_object(&changed.into()).is_err(), "{at}");
        }
        for cut in
            (0..bytes.len()).filter(|cut| *cut < FILE_HEADER || !(cut - FILE_HEADER).is_multiple_of(ENTRY))
        {
            assert!(open_object(&Bytes::copy_from_slice(&bytes[..cut])).is_err(), "{cut}");
        }
    }
}
