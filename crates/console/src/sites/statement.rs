//! What the console tells a site of the person who asks, signed.

use crate::accounts::Caller;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderValue;
use playhead_model::{Permission, Role, Scope, Statement, WallTime};
use playhead_net::NodeKey;

/// How long a statement is good for. A stream that was let in goes on past it.
const LIFE_MICROS: i64 = 60_000_000;

/// The value of the statement's header: the statement's JSON and the signature over it, both in unpadded URL-safe base64, with a dot
/// between them.
pub(crate) fn sign(key: &NodeKey, caller: &Caller, now: WallTime) -> HeaderValue {
    let is_for_recordings = caller.permissions.as_ref().is_none_or(|named| {
        named.contains(&Permission::ListRecordings) || named.contains(&Permission::PlayRecordings)
    });
    let statement = Statement {
        user: caller.user.clone(),
        role: caller.role,
        permissions: caller.permissions.clone(),
        scope: match caller.role {
            Role::Full | Role::PrivilegedPlayer if is_for_recordings => Scope::All,
            _ => Scope::Nothing,
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
        let caller = |role, permissions| Caller {
            account: "a".into(),
            user: "ärzte".into(),
            role,
            must_change_password: false,
            session_ends: now,
            session: "s".into(),
            permissions,
        };
        let header = sign(&key, &caller(Role::ReadOnly, None), now);
        let (json, signature) = header.to_str().unwrap().split_once('.').unwrap();
        let json = URL_SAFE_NO_PAD.decode(json).unwrap();
        let signature: [u8; 64] = URL_SAFE_NO_PAD.decode(signature).unwrap().try_into().unwrap();
        assert!(playhead_net::verify(&key.public(), &json, &signature));
        let statement: Statement = serde_json::from_slice(&json).unwrap();
        assert_eq!((statement.user.as_str(), statement.scope), ("ärzte", Scope::Nothing));
        assert_eq!(statement.expires_at, now.plus_micros(60_000_000));
        let starts = caller(Role::Full, Some(vec![Permission::ManageSessions]));
        let json = sign(&key, &starts, now).to_str().unwrap().split_once('.').unwrap().0.to_owned();
        let statement: Statement = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(json).unwrap()).unwrap();
        assert_eq!((&statement.permissions, statement.scope), (&starts.permissions, Scope::Nothing));
    }
}
