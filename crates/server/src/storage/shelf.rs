//! The encrypted layer around stored files: reading through it, and writing it.

use super::StorageError;
use crate::keys::{KeyError, Keyring};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream, stream::BoxStream};
use playhead_db::site::SegmentRow;
use playhead_model::RecordingId;
use playhead_vault::{DataKey, Decrypter, Encrypter, Header, Opener, SaltHasher, VaultError, plain_len};
use std::ops::Range;

/// A read of this size is decrypted where it came in: within a millisecond.
const SMALL: usize = 1 << 20;

/// Bytes that a segment's file has without the encrypted layer.
///
/// # Errors
/// No such file has the length that the database says.
pub(crate) fn plain_bytes(segment: &SegmentRow) -> Result<u64, VaultError> {
    if segment.vault.is_some() { plain_len(segment.bytes) } else { Ok(segment.bytes) }
}

/// What opens a segment's file; `None` when it is not encrypted.
pub(super) async fn opener(
    keys: Option<&Keyring>,
    segment: &SegmentRow,
) -> Result<Option<Opener>, StorageError> {
    let Some(header) = &segment.vault else { return Ok(None) };
    let opened = |error| wrong(segment, error);
    let header: Header = header.parse().map_err(opened)?;
    let bound = (header.recording(), header.segment()) == (segment.recording, segment.number);
    let key = match keys {
        Some(keys) => keys.key(segment.recording).await?,
        None => None,
    };
    let key = key.filter(|_| bound).ok_or_else(|| wrong(segment, VaultError::WrongKey(header.key())))?;
    Opener::new(&key, header, segment.bytes).map(Some).map_err(opened)
}

pub(super) fn wrong(segment: &SegmentRow, source: VaultError) -> StorageError {
    StorageError::Vault { number: segment.number, location: segment.location.clone(), source }
}

/// Opens a part that was read.
pub(super) async fn open(
    opener: Opener,
    segment: &SegmentRow,
    part: Range<u64>,
    read: Bytes,
) -> Result<Bytes, StorageError> {
    let opened = if read.len() <= SMALL {
        opener.open(&part, read.into())
    } else {
        tokio::task::spawn_blocking(move || opener.open(&part, read.into())).await?
    };
    opened.map(Bytes::from).map_err(|error| wrong(segment, error))
}

type Pieces = BoxStream<'static, Result<Bytes, StorageError>>;

/// Opens a whole file as its bytes come.
pub(super) fn open_all(
    opener: Opener,
    segment: &SegmentRow,
    (_, pieces): (u64, Pieces),
) -> Result<(u64, Pieces), StorageError> {
    let size = opener.plain_len();
    let (number, location) = (segment.number, segment.location.clone());
    let state = Some((pieces, Decrypter::new(opener)));
    let plain = stream::unfold(state, move |state| {
        let location = location.clone();
        let wrong = move |source| StorageError::Vault { number, location: location.clone(), source };
        async move {
            let (mut pieces, mut decrypter) = state?;
            loop {
                match pieces.next().await {
                    Some(Ok(piece)) => match decrypter.push(&piece) {
                        Ok(plain) if plain.is_empty() => {}
                        Ok(plain) => return Some((Ok(plain.into()), Some((pieces, decrypter)))),
                        Err(error) => return Some((Err(wrong(error)), None)),
                    },
                    Some(Err(error)) => return Some((Err(error), None)),
                    None => return decrypter.finish().err().map(|error| (Err(wrong(error)), None)),
                }
            }
        }
    });
    Ok((size, plain.boxed()))
}

/// How a segment's file is to be encrypted.
#[derive(Clone)]
pub(super) struct Cover {
    key: DataKey,
    header: Header,
}

impl Cover {
    /// For the file whose content went through this hasher.
    pub(super) fn new(key: DataKey, salt: &SaltHasher, recording: RecordingId, segment: u32) -> Self {
        let header = Header::new(&key, recording, segment, salt.finish());
        Self { key, header }
    }

    /// As it stands in the database.
    pub(super) fn text(&self) -> String {
        self.header.to_string()
    }

    /// Begins a file.
    ///
    /// # Errors
    /// Never for a cover made here.
    pub(super) fn begin(&self, out: &mut Vec<u8>) -> Result<Encrypter, KeyError> {
        Ok(Encrypter::new(&self.key, self.header, out)?)
    }
}
