//! The hash that chains fragments.

use crate::hex;
use playhead_model::RecordingId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};

/// Key-derivation context of the hash before a recording's first fragment.
const GENESIS_CONTEXT: &str = "playhead 2026-11 recording chain v1";

/// BLAKE3 over a fragment's uncompressed records. Shown and serialised as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash([u8; 32]);

/// A text that is not 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hexadecimal digits, got '{0}'")]
pub struct HashError(String);

/// What the first fragment of a recording names as the hash before it.
pub fn genesis(recording: RecordingId) -> Hash {
    Hash(blake3::derive_key(GENESIS_CONTEXT, recording.as_bytes()))
}

impl Hash {
    /// The hash of a fragment's uncompressed records.
    pub fn of(records: &[u8]) -> Self {
        Self(*blake3::hash(records).as_bytes())
    }

    /// Takes a hash from its 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::show(&self.0, f)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        hex::read(text).map(Self).ok_or_else(|| HashError(text.chars().take(80).collect()))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_goes_both_ways() {
        let hash = Hash::of(b"abc");
        assert_eq!(hash.to_string(), "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert!("64".parse::<Hash>().is_err());
        assert!("é".repeat(32).parse::<Hash>().is_err());
    }

    #[test]
    fn genesis_depends_on_the_recording() {
        let one = genesis(RecordingId::from_bytes([1; 16]));
        assert_ne!(one, genesis(RecordingId::from_bytes([2; 16])));
        assert_ne!(one, Hash::of(&[1; 16]));
    }
}
