//! What is asked of whoever holds a site's keys.

use async_trait::async_trait;
use playhead_db::site::WrappedKey;
use playhead_model::{RecordingId, WallTime};
use playhead_vault::{DataKey, KeyId};
use std::path::PathBuf;

/// Why a site's key did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum KmsError {
    /// It cannot be reached, or will not answer now. It is asked again.
    #[error("the site's keys at {address} cannot be used at the moment: {reason}")]
    Away { address: String, reason: String },
    /// The file is not there although it should be.
    #[error(
        "the file with the site's keys {path} is not there: restore it from a backup, or copy it from another server of the site"
    )]
    Missing { path: PathBuf },
    /// The file makes no sense, or others may read it.
    #[error("the file with the site's keys {path} cannot be used: {reason}")]
    File { path: PathBuf, reason: String },
    /// There is no such key.
    #[error(
        "the key {key} of the site is not among those at {address}: restore it; without it nobody can read what it has wrapped"
    )]
    Unknown { key: String, address: String },
    /// The wrapped key was changed, or is another recording's.
    #[error("the data key of recording {recording} cannot be unwrapped: {reason}")]
    Refused { recording: RecordingId, reason: String },
    /// It does not do that.
    #[error("{0}")]
    NotHere(String),
}

/// One of the site's keys, without the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyInfo {
    /// By this it stands with the data keys that it wraps.
    pub(crate) id: String,
    /// When it was made, where that is known.
    pub(crate) created_at: Option<WallTime>,
    /// Whether it wraps new data keys.
    pub(crate) current: bool,
}

/// Whoever holds the site's keys: they wrap data keys and unwrap them, and never come out.
#[async_trait]
pub(crate) trait Kms: Send + Sync {
    /// The keys there are, the newest first.
    async fn keys(&self) -> Result<Vec<KeyInfo>, KmsError>;

    /// Whether a wrapped key with this id is for this one.
    fn holds(&self, site_key: &str) -> bool;

    /// Wraps a data key by the current key.
    async fn wrap(&self, recording: RecordingId, key: &DataKey) -> Result<WrappedKey, KmsError>;

    /// Unwraps a data key.
    async fn unwrap(
        &self,
        recording: RecordingId,
        id: KeyId,
        wrapped: &WrappedKey,
    ) -> Result<DataKey, KmsError>;

    /// Makes a new current key; those before it stay. Returns its id.
    async fn rotate(&self) -> Result<String, KmsError>;

    /// Destroys a key that is not the current one. What it has wrapped is lost for good.
    async fn destroy(&self, id: &str) -> Result<(), KmsError>;
}
