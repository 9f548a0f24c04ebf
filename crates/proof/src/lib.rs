//! By whom a recording was made and kept: checks agents' signatures, sites' seals and their certificates.
//!
//! `playhead-format` proves that a recording is whole and in order; this crate adds who says so. It opens no file, asks no
//! network and reads no clock: what is trusted is given as a [`Trust`].

mod certificate;
mod prove;
mod stamp;
mod trust;

pub use certificate::{Certificate, CertificateError, CertificateInfo, Role};
pub use prove::{
    Covered, Proof, ProofKind, ProofProblem, ProofState, Proved, SealReport, SignerReport, prove,
};
pub use stamp::{MAX_STAMP, StampError, StampInfo, StampTrust, TimeStamp, stamp_request};
pub use trust::{Trust, TrustError};

use ed25519_dalek::VerifyingKey;
use playhead_format::{PublicKey, Signature};

/// Whether `signature` over `statement` was made by the holder of `key`. Keys and signatures of weak or doubtful form verify nothing.
pub fn verify(key: &PublicKey, statement: &[u8], signature: &Signature) -> bool {
    VerifyingKey::from_bytes(key.as_bytes()).is_ok_and(|key| {
        key.verify_strict(statement, &ed25519_dalek::Signature::from_bytes(signature.as_bytes())).is_ok()
    })
}
