//! An encrypted fragment in the journal.
//!
//! | | |
//! | --- | --- |
//! | 0 | `0xE5`, which no fragment begins with |
//! | 1 | version, 1 |
//! | 2 | u16 length of what is declared |
//! | 4 | 16 bytes id of the data key |
//! | 20 | 12 bytes nonce, random |
//! | 32 | what is declared, JSON in the clear |
//! | | the fragment's record, encrypted, and 16 bytes tag |
//!
//! What is declared (gaps, the end) stands in the clear, so that a server can start and list its recordings while nobody can give it the
//! keys. The tag covers all of it, the recording and the fragment's number.

use crate::{
    DataKey, KeyId, VaultError,
    key::{NONCE, TAG, cipher, open, seal},
};
use playhead_model::{EndReason, Gap, RecordingId};
use serde::{Deserialize, Serialize};

/// Most bytes by which an encrypted record is longer than the record.
pub const OVERHEAD: usize = FIXED + MOST_DECLARED + TAG;

const FIXED: usize = 32;
const MOST_DECLARED: usize = u16::MAX as usize;
const MAGIC: u8 = 0xE5;
const VERSION: u8 = 1;
const RECORD: &[u8] = b"playhead 2026-11 journal record v1\0";

/// What a fragment declares of its recording.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// Gaps before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// Why the recording ends with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<EndReason>,
}

/// Whether these bytes are an encrypted record rather than a plain one.
pub fn is_sealed(bytes: &[u8]) -> bool {
    bytes.first() == Some(&MAGIC)
}

/// Encrypts the record of a recording's fragment `seq`. The nonce must be random.
///
/// # Errors
/// More is declared than there is room for.
pub fn seal_record(
    key: &DataKey,
    recording: RecordingId,
    seq: u64,
    declared: &Declared,
    nonce: [u8; NONCE],
    record: &[u8],
) -> Result<Vec<u8>, VaultError> {
    // Numbers and names always serialise.
    let text = serde_json::to_vec(declared).unwrap_or_default();
    let length = u16::try_from(text.len()).map_err(|_| VaultError::TooLong(text.len()))?;
    let mut sealed = Vec::with_capacity(FIXED + text.len() + record.len() + TAG);
    sealed.extend([MAGIC, VERSION]);
    sealed.extend(length.to_le_bytes());
    sealed.extend(key.id().as_bytes());
    sealed.extend(nonce);
    sealed.extend(text);
    let bound = bound(recording, seq, &sealed);
    let mut body = Vec::with_capacity(record.len() + TAG);
    body.extend(record);
    seal(&cipher(&key.derive::<32>(&[], &[RECORD])), nonce, &bound, &mut body);
    sealed.extend(body);
    Ok(sealed)
}

/// An encrypted record, taken apart and not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedRecord<'a> {
    /// The key it is encrypted with.
    pub key: KeyId,
    /// What it declares. Nothing vouches for that before the record is opened.
    pub declared: Declared,
    head: &'a [u8],
    nonce: [u8; NONCE],
    body: &'a [u8],
}

impl<'a> SealedRecord<'a> {
    /// Takes an encrypted record apart.
    ///
    /// # Errors
    /// Bytes that are none.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, VaultError> {
        let (fixed, _) = bytes.split_first_chunk::<FIXED>().ok_or(VaultError::Record("it is too short"))?;
        let [MAGIC, VERSION, low, high, rest @ ..] = fixed else {
            return Err(VaultError::Record("it begins otherwise"));
        };
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        let text = bytes.get(FIXED..FIXED + length).ok_or(VaultError::Record("it is too short"))?;
        let body = bytes.get(FIXED + length..).unwrap_or_default();
        if body.len() < TAG {
            return Err(VaultError::Record("it is too short"));
        }
        let declared = serde_json::from_slice(text)
            .map_err(|_| VaultError::Record("what it declares makes no sense"))?;
        let (key, nonce) = rest.split_at(16);
        Ok(Self {
            // Sixteen and twelve bytes of the 28 that are left of the fixed part.
            key: KeyId::from_slice(key).unwrap_or_default(),
            declared,
            head: &bytes[..FIXED + length],
            nonce: nonce.first_chunk().copied().unwrap_or_default(),
            body,
        })
    }
}

/// Opens an encrypted record of a recording's fragment `seq`.
///
/// # Errors
/// Bytes that are none, another key, or something was changed or belongs elsewhere.
pub fn open_record(
    key: &DataKey,
    recording: RecordingId,
    seq: u64,
    sealed: &SealedRecord<'_>,
) -> Result<Vec<u8>, VaultError> {
    if sealed.key != key.id() {
        return Err(VaultError::WrongKey(sealed.key));
    }
    let bound = bound(recording, seq, sealed.head);
    let mut body = sealed.body.to_vec();
    let cipher = cipher(&key.derive::<32>(&[], &[RECORD]));
    let length = open(&cipher, sealed.nonce, &bound, &mut body).ok_or(VaultError::ChangedRecord)?.len();
    body.truncate(length);
    Ok(body)
}

fn bound(recording: RecordingId, seq: u64, head: &[u8]) -> Vec<u8> {
    [RECORD, recording.as_bytes(), &seq.to_le_bytes(), head].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use playhead_model::GapCause;

    #[test]
    fn a_record_opens_in_its_place_alone() {
        let key = DataKey::new(KeyId::from_u128(1), [1; 32]);
        let (id, other) = (RecordingId::from_bytes([1; 16]), RecordingId::from_bytes([2; 16]));
        let gap = Gap { from_us: 1, to_us: 2, cause: GapCause::QueueFull };
        let declared = Declared { gaps: vec![gap], end: Some(EndReason::SessionEnded) };
        let record = vec![6; 1000];
        let sealed = seal_record(&key, id, 5, &declared, [9; NONCE], &record).unwrap();
        assert!(is_sealed(&sealed) && !is_sealed(&record) && !is_sealed(&[]));
        assert!(sealed.len() <= record.len() + OVERHEAD);
        let parsed = SealedRecord::parse(&sealed).unwrap();
        assert_eq!((parsed.key, &parsed.declared), (key.id(), &declared));
        assert_eq!(open_record(&key, id, 5, &parsed).unwrap(), record);
        for (id, seq) in [(other, 5), (id, 6)] {
            assert_eq!(open_record(&key, id, seq, &parsed), Err(VaultError::ChangedRecord));
        }
        let stranger = DataKey::new(KeyId::from_u128(2), [1; 32]);
        assert_eq!(open_record(&stranger, id, 5, &parsed), Err(VaultError::WrongKey(key.id())));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            let opened = SealedRecord::parse(&changed).and_then(|sealed| open_record(&key, id, 5, &sealed));
            assert!(opened.is_err(), "byte {at}");
            let cut = SealedRecord::parse(&sealed[..at]).and_then(|sealed| open_record(&key, id, 5, &sealed));
            assert!(cut.is_err(), "cut at {at}");
        }
    }

    #[test]
    fn more_than_there_is_room_for_is_refused() {
        let key = DataKey::new(KeyId::from_u128(1), [1; 32]);
        let gap = Gap { from_us: u64::MAX, to_us: u64::MAX, cause: GapCause::QueueFull };
        let declared = Declared { gaps: vec![gap; 2_000], end: None };
        let sealed = seal_record(&key, RecordingId::from_bytes([1; 16]), 0, &declared, [0; NONCE], &[]);
        assert!(matches!(sealed, Err(VaultError::TooLong(_))));
    }
}
