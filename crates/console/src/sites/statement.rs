//! What the console tells a site of the person who asks, signed.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderValue;
use playhead_model::{Role, Scope, Statement, WallTime};
use playhead_net::NodeKey;

/// How long a statement is good for. A stream that was let in goes on past it.
const LIFE_MICROS: i64 = 60_000_000;

/// The value of the statement's header: the statement's JSON and the signature over it, both in unpadded URL-safe base64, with a dot
/// between them.
pub(crate) fn sign(key: &NodeKey, user: &str, role: Role, now: WallTime) -> HeaderValue {
    let statement = Statement {
        user: user.to_owned(),
        role,
        scope: match role {
            Role::Full | Role::PrivilegedPlayer => Scope::All,
            Role::ReadOnly => Scope::Nothing,
        },
        expires_at: now.plus_micros(LIFE_MICROS),
    };
    // A struct of texts always serialises; an empty statement would be refused by the site.
    let json = serde_json::to_vec(&statement).unwrap_or_default();
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(&json), URL_SAFE_NO_PAD.encode(key.sign(&json)));
    let mut value = HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_reads_back_and_verifies() {
        let key = NodeKey::generate().unwrap();
        let now = WallTime::from_micros(1_790_000_000_000_000);
        let header = sign(&key, "ärzte", Role::ReadOnly, now);
        let (json, signature) = header.to_str().unwrap().split_once('.').unwrap();
        let json = URL_SAFE_NO_PAD.decode(json).unwrap();
        let signature: [u8; 64] = URL_SAFE_NO_PAD.decode(signature).unwrap().try_into().unwrap();
        assert!(playhead_net::verify(&key.public(), &json, &signature));
        let statement: Statement = serde_json::from_slice(&json).unwrap();
        assert_eq!((statement.user.as_str(), statement.scope), ("ärzte", Scope::Nothing));
        assert_eq!(statement.expires_at, now.plus_micros(60_000_000));
    }
}
