//! Signatures: by the agent within fragments, by the site over segments.
//!
//! What is signed and where it stands is defined here. Making signatures needs a key and checking them needs Ed25519 and
//! certificates; neither is this crate's business.

use crate::{Channel, FormatError, Hash, MetaMessage, OpenFragment, hex};
use playhead_model::RecordingId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr, sync::Arc};

/// First bytes of what an agent signs.
const FRAGMENT_CONTEXT: &[u8] = b"playhead 2026-11 fragment signature v1\0";

/// An Ed25519 public key. Shown and serialised as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

/// An Ed25519 signature. Shown and serialised as 128 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature([u8; 64]);

/// A text that is no key or signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} hexadecimal digits, got {actual} characters")]
pub struct SignatureTextError {
    expected: usize,
    actual: usize,
}

macro_rules! bytes {
    ($name:ident, $size:literal) => {
        impl $name {
            /// Takes its bytes.
            pub const fn from_bytes(bytes: [u8; $size]) -> Self {
                Self(bytes)
            }

            /// Its bytes.
            pub const fn as_bytes(&self) -> &[u8; $size] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex::show(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex::show(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = SignatureTextError;

            fn from_str(text: &str) -> Result<Self, SignatureTextError> {
                let refuse = SignatureTextError { expected: $size * 2, actual: text.chars().count() };
                hex::read(text).map(Self).ok_or(refuse)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

bytes!(PublicKey, 32);
bytes!(Signature, 64);

/// Something that signs with an Ed25519 key. Cheap to clone.
#[derive(Clone)]
pub struct Signer {
    key: PublicKey,
    sign: Sign,
}

type Sign = Arc<dyn Fn(&[u8]) -> [u8; 64] + Send + Sync>;

impl Signer {
    /// Signs by `sign`, whose signatures the public key `key` verifies.
    pub fn new(key: [u8; 32], sign: impl Fn(&[u8]) -> [u8; 64] + Send + Sync + 'static) -> Self {
        Self { key: PublicKey(key), sign: Arc::new(sign) }
    }

    /// The public key.
    pub const fn key(&self) -> PublicKey {
        self.key
    }

    /// Signs a message.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature((self.sign)(message))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("key", &self.key).finish_non_exhaustive()
    }
}

/// A signature found in a fragment. Nothing is known of it before its key has verified [`Self::statement`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FragmentSignature {
    /// The key that is said to have made it.
    pub key: PublicKey,
    /// The signature.
    pub signature: Signature,
    /// What must have been signed.
    pub statement: Vec<u8>,
    /// Wall clock of the signer when it signed, microseconds since the Unix epoch.
    pub wall_us: u64,
    /// Whether it is the fragment's last message and its only signature, so that it covers all else. One that does not
    /// proves nothing.
    pub covers_all: bool,
}

/// What an agent signs: the recording, the number of the fragment, the hash of its records before the signature's, media time and
/// wall clock of the signature's message.
pub(crate) fn statement(
    recording: RecordingId,
    seq: u64,
    before: Hash,
    media_us: u64,
    wall_us: u64,
) -> Vec<u8> {
    let mut out = FRAGMENT_CONTEXT.to_vec();
    out.extend(recording.as_bytes());
    out.extend(seq.to_le_bytes());
    out.extend(before.as_bytes());
    out.extend(media_us.to_le_bytes());
    out.extend(wall_us.to_le_bytes());
    out
}

impl OpenFragment {
    /// The fragment's signature; `None` when it has none.
    ///
    /// # Errors
    /// A message that is cut off, which no opened fragment has.
    pub fn signature(&self) -> Result<Option<FragmentSignature>, FormatError> {
        let mut found: Option<FragmentSignature> = None;
        let mut at = 0;
        while let Some((message, next)) = self.message_at(at)? {
            if let Some(found) = &mut found {
                found.covers_all = false;
            }
            // Most meta messages are something else; do not parse those.
            let may_be = message.channel == Channel::Meta.id() && found.is_none();
            if may_be && let MetaMessage::Signature { key, signature } = MetaMessage::parse(message.data) {
                let head = self.head();
                let before = Hash::of(self.records().get(..at).unwrap_or_default());
                let (media_us, wall_us) = (message.log_time_us, message.publish_time_us);
                let statement = statement(head.recording, head.seq, before, media_us, wall_us);
                found = Some(FragmentSignature { key, signature, statement, wall_us, covers_all: true });
            }
            at = next;
        }
        Ok(found)
    }
}
