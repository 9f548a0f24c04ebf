//! What can go wrong at a storage location.

use crate::keys::KeyError;
use playhead_vault::VaultError;
use std::{error::Error, io};
use tokio::task::JoinError;

/// Why a storage location did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    #[error("the storage location {location} failed: {source}")]
    Failed { location: String, source: object_store::Error },
    #[error("the storage location {location} did not answer within {seconds} s: check its disk or network")]
    Late { location: String, seconds: u64 },
    #[error("the storage location {location} is not there: {reason}")]
    Gone { location: String, reason: String },
    #[error(
        "the segment lies at the storage location {0}, which this server does not know: name it in the server's storage settings"
    )]
    Unknown(String),
    #[error("the storage location {location} does not lock what is stored: {reason}")]
    Unlocked { location: String, reason: String },
    #[error(
        "the storage location {location} gave back other bytes than it was given: expected {expected}, got {actual}"
    )]
    Differs { location: String, expected: String, actual: String },
    #[error(
        "the storage location {location} has other files under every name that segment could have, the last is {path}"
    )]
    Taken { location: String, path: String },
    #[error("{0}")]
    Key(#[from] KeyError),
    #[error("segment {number} at the storage location {location} cannot be decrypted: {source}")]
    Vault { number: u32, location: String, source: VaultError },
    #[error("interrupted: {0}")]
    Interrupted(#[from] JoinError),
}

impl StorageError {
    /// Whether there is no such file.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Failed { source: object_store::Error::NotFound { .. }, .. })
    }

    /// Whether a file was there already where a new one was to be written.
    pub(super) fn is_taken(&self) -> bool {
        use object_store::Error::{AlreadyExists, Precondition};
        matches!(self, Self::Failed { source: AlreadyExists { .. } | Precondition { .. }, .. })
    }

    /// Whether there is no room.
    pub(super) fn is_full(&self) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = match self {
            Self::Failed { source, .. } => Some(source),
            _ => None,
        };
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<io::Error>()
                && matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_recognised_below_whatever_wraps_it() {
        let failed = |error: i32| StorageError::Failed {
            location: "a".into(),
            source: object_store::Error::Generic {
                store: "LocalFileSystem",
                source: Box::new(io::Error::from_raw_os_error(error)),
            },
        };
        assert!(failed(28).is_full() && failed(122).is_full());
        assert!(!failed(5).is_full());
    }
}
