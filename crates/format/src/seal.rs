//! The seal of a segment: the `playhead/seal` attachment, the site's word for what it stored and by whom it was made.

use crate::{Closing, Hash, PublicKey, SegmentIndex, Signature, Signer};
use playhead_model::{RecordingId, WallTime};
use serde::{Deserialize, Serialize};

/// Name of the attachment.
pub(crate) const NAME: &str = "playhead/seal";
/// Media type of the attachment.
pub(crate) const MEDIA_TYPE: &str = "application/x-playhead-seal";
/// The most bytes of a seal.
pub(crate) const MAX_SEAL: usize = 256 << 10;

/// First bytes of what a site signs.
const CONTEXT: &[u8] = b"playhead 2026-11 segment seal v1\0";
const VERSION: u32 = 1;
const SIGNATURE: usize = 64;

/// What a site says of a segment that it has stored. JSON; later versions may have more fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// Version of the seal, 1.
    pub version: u32,
    /// The recording.
    pub recording: RecordingId,
    /// Number of the segment.
    pub segment: u32,
    /// Number of its first fragment.
    pub first_seq: u64,
    /// Number after its last fragment.
    pub next_seq: u64,
    /// Hash before its first fragment.
    pub previous: Hash,
    /// Hash of its last fragment.
    pub head: Hash,
    /// What comes after it.
    pub closing: Closing,
    /// The site's wall clock when it sealed the segment.
    pub sealed_at: WallTime,
    /// Who sealed it.
    pub sealer: Sealer,
}

/// Who seals segments, and with which certificates all signatures can be checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealer {
    /// Name of the site, for people.
    pub site: String,
    /// The site's key, which signs the seal.
    pub key: PublicKey,
    /// Certificates of that key, PEM, the newest first.
    pub certificates: Vec<String>,
    /// Certificates of the agent's key, PEM, the newest first; none when the agent has none.
    #[serde(default)]
    pub agent_certificates: Vec<String>,
    /// Certificates of those who issued the others, PEM, the root last.
    #[serde(default)]
    pub authorities: Vec<String>,
}

/// A seal as it was read, with its signature not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedSeal {
    /// What it says.
    pub seal: Seal,
    /// The signature of [`Sealer::key`].
    pub signature: Signature,
    /// What must have been signed.
    pub statement: Vec<u8>,
}

/// Why bytes are no seal.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Too short to hold a signature.
    #[error("expected a seal of more than {SIGNATURE} bytes, got {0}")]
    Short(usize),
    /// Not what a seal says.
    #[error("cannot read the seal: {0}")]
    Content(#[from] serde_json::Error),
}

impl Sealer {
    /// The bytes of a seal for a segment with this index, signed by `signer`, whose key is [`Self::key`]. `None` for a segment
    /// without fragments.
    pub fn seal(self, index: &SegmentIndex, signer: &Signer, now: WallTime) -> Option<Vec<u8>> {
        let (first, last) = index.entries.first().zip(index.entries.last())?;
        let seal = Seal {
            version: VERSION,
            recording: index.recording,
            segment: index.segment,
            first_seq: first.seq,
            next_seq: last.seq.saturating_add(1),
            previous: index.previous,
            head: index.head,
            closing: index.closing,
            sealed_at: now,
            sealer: self,
        };
        Some(seal.sign(signer))
    }
}

impl Seal {
    /// The bytes of this seal, signed.
    pub fn sign(&self, signer: &Signer) -> Vec<u8> {
        // Texts, numbers and lists of texts always serialise.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        let signature = signer.sign(&statement(&bytes));
        bytes.extend(signature.as_bytes());
        bytes
    }

    /// Reads a seal.
    ///
    /// # Errors
    /// Bytes that are none.
    pub fn read(bytes: &[u8]) -> Result<SignedSeal, SealError> {
        let (body, signature) = bytes.split_last_chunk::<SIGNATURE>().ok_or(SealError::Short(bytes.len()))?;
        let seal = serde_json::from_slice(body)?;
        Ok(SignedSeal { seal, signature: Signature::from_bytes(*signature), statement: statement(body) })
    }

    /// Whether it is the seal of the segment with this index.
    pub fn is_of(&self, index: &SegmentIndex) -> bool {
        let first = index.entries.first().map(|entry| entry.seq);
        let next = index.entries.last().map(|entry| entry.seq.saturating_add(1));
        (self.recording, self.segment, self.previous, self.head, self.closing)
            == (index.recording, index.segment, index.previous, index.head, index.closing)
            && (Some(self.first_seq), Some(self.next_seq)) == (first, next)
    }
}

fn statement(body: &[u8]) -> Vec<u8> {
    [CONTEXT, body].concat()
}
