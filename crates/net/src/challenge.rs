//! Challenges for [`playhead_protocol::login`], without state: a challenge is a time and a random number under a keyed hash.

use crate::{NetError, key};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use playhead_protocol::login::{Proof, text_to_sign};

/// How long a challenge is good for, in seconds of the issuer's own clock.
const LIFE: u64 = 60;

/// Makes and checks challenges. Good for one process: a restart voids what is under way.
pub struct Challenges {
    key: [u8; 32],
}

impl Challenges {
    /// With a fresh secret.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new() -> Result<Self, NetError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self { key })
    }

    /// A new challenge. `now` is seconds of any clock, the same one at every call.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn issue(&self, now: u64) -> Result<String, NetError> {
        let mut body = [0; 24];
        getrandom::fill(&mut body[8..])?;
        body[..8].copy_from_slice(&now.to_be_bytes());
        let mut whole = body.to_vec();
        whole.extend_from_slice(blake3::keyed_hash(&self.key, &body).as_bytes());
        Ok(URL_SAFE_NO_PAD.encode(whole))
    }

    /// Whether the proof answers a challenge of ours that is still good, and was signed for `purpose` by the holder of `public`.
    pub fn check(&self, proof: &Proof, purpose: &str, public: &str, now: u64) -> bool {
        let Ok(whole) = URL_SAFE_NO_PAD.decode(&proof.challenge) else { return false };
        let Some((body, mac)) = whole.split_first_chunk::<24>() else { return false };
        let Ok(mac) = <[u8; 32]>::try_from(mac) else { return false };
        let Some((issued, _)) = body.split_first_chunk::<8>() else { return false };
        let issued = u64::from_be_bytes(*issued);
        // Comparing BLAKE3 hashes takes the same time whatever differs.
        blake3::keyed_hash(&self.key, body) == blake3::Hash::from_bytes(mac)
            && (issued..=issued.saturating_add(LIFE)).contains(&now)
            && key::verify(public, &text_to_sign(purpose, &proof.id, &proof.challenge), &proof.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeKey;

    #[test]
    fn only_a_fresh_challenge_signed_for_this_purpose_by_this_key_counts() {
        let challenges = Challenges::new().unwrap();
        let key = NodeKey::generate().unwrap();
        let challenge = challenges.issue(100).unwrap();
        let proof = |purpose: &str, key: &NodeKey| Proof {
            id: "a1".into(),
            challenge: challenge.clone(),
            signature: key.sign(&text_to_sign(purpose, "a1", &challenge)),
        };
        let good = proof("agent", &key);
        assert!(challenges.check(&good, "agent", &key.public(), 130));
        assert!(!challenges.check(&good, "agent", &key.public(), 161), "too late");
        assert!(!challenges.check(&good, "agent", &key.public(), 99), "from the future");
        assert!(!challenges.check(&good, "tunnel", &key.public(), 130), "another purpose");
        assert!(!challenges.check(
            &proof("agent", &NodeKey::generate().unwrap()),
            "agent",
            &key.public(),
            130
        ));
        assert!(!Challenges::new().unwrap().check(&good, "agent", &key.public(), 130), "another server's");
        assert!(
            !challenges.check(&Proof { id: "a2".into(), ..good }, "agent", &key.public(), 130),
            "another id"
        );
    }
}
