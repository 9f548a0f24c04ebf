//! Proving who connects: a signature over a challenge.
//!
//! Before the upgrade the connecting program asks for a challenge on the same connection, signs it with the key it registered when it
//! joined, and sends the signature in the upgrade's `Authorization` header. A challenge from the other side, and not a time stamp, so
//! that a host whose clock is wrong can still connect.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

const SCHEME: &str = "Playhead-Key";

/// Answer to a request for a challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// Text to sign and to send back unchanged.
    pub challenge: String,
}

/// The bytes to sign: what for, who, and the challenge, each ended by a zero byte so that no two mean the same.
pub fn text_to_sign(purpose: &str, id: &str, challenge: &str) -> Vec<u8> {
    let mut text = Vec::new();
    for part in ["playhead login 1", purpose, id, challenge] {
        text.extend_from_slice(part.as_bytes());
        text.push(0);
    }
    text
}

/// The `Authorization` header of a connection: `Playhead-Key <id> <challenge> <signature>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Proof {
    /// Who connects: an agent's or server's id.
    pub id: String,
    /// The challenge that was signed.
    pub challenge: String,
    /// Ed25519 signature over [`text_to_sign`].
    pub signature: [u8; 64],
}

/// A header that is no [`Proof`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected the authorization '{SCHEME} <id> <challenge> <signature>'")]
pub struct ProofError;

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME} {} {} {}", self.id, self.challenge, URL_SAFE_NO_PAD.encode(self.signature))
    }
}

impl FromStr for Proof {
    type Err = ProofError;

    fn from_str(text: &str) -> Result<Self, ProofError> {
        let mut words = text.split(' ');
        let mut word = || words.next().filter(|word| !word.is_empty() && word.len() <= 512).ok_or(ProofError);
        if word()? != SCHEME {
            return Err(ProofError);
        }
        let (id, challenge, signature) = (word()?.to_owned(), word()?.to_owned(), word()?);
        if words.next().is_some() {
            return Err(ProofError);
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).ok().and_then(|bytes| bytes.try_into().ok());
        Ok(Self { id, challenge, signature: signature.ok_or(ProofError)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_reads_back_and_others_are_refused() {
        let proof = Proof { id: "a".into(), challenge: "c".into(), signature: [9; 64] };
        let text = proof.to_string();
        assert!(text.parse::<Proof>().is_ok_and(|read| read == proof));
        for bad in ["", "Bearer a b c", "Playhead-Key a b", &format!("{text} more"), "Playhead-Key a b AAAA"]
        {
            assert!(bad.parse::<Proof>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_parts_of_the_signed_text_cannot_run_together() {
        assert_ne!(text_to_sign("ab", "c", "d"), text_to_sign("a", "bc", "d"));
    }
}
