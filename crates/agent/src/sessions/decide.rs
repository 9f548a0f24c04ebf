//! The policy in force on this host: the last one that was heard, kept for when no server can be reached.

use crate::control::Plan;
use playhead_model::{
    Decided, PolicyDocument,
    policy::{Action, Engine, PolicyError, RuleOptions, SessionFacts, SystemPolicy},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Name of the file, below the data folder.
const FILE: &str = "policy.json";
/// A policy of the largest size has some megabytes.
const MOST_BYTES: usize = 32 << 20;

/// Why a policy cannot be gone by.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecideError {
    #[error("expected a policy of at most {MOST_BYTES} bytes, got {0}")]
    TooLarge(usize),
    #[error("cannot read the policy: {0}; use an agent that is as new as the server")]
    Malformed(#[from] serde_json::Error),
    #[error("this agent knows no system policy '{0}': use one that is as new as the server")]
    Unknown(String),
    #[error(transparent)]
    Wrong(#[from] PolicyError),
    #[error("cannot keep the policy: {0}")]
    Keep(#[from] playhead_net::NetError),
}

/// What is decided by.
pub(super) struct Decider {
    path: PathBuf,
    record_on_error: bool,
    policy: Option<Active>,
}

struct Active {
    document: PolicyDocument,
    name: String,
    engine: Engine,
}

impl Active {
    fn new(document: PolicyDocument) -> Result<Self, DecideError> {
        let (name, engine) = match &document.policy {
            Some(policy) => {
                policy.check()?;
                (policy.name.clone(), Engine::new(policy))
            }
            None => {
                let unknown = || DecideError::Unknown(document.id.clone());
                let system = SystemPolicy::by_id(&document.id).ok_or_else(unknown)?;
                (system.name.to_owned(), Engine::system(system))
            }
        };
        Ok(Self { document, name, engine })
    }

    fn read(text: &[u8]) -> Result<Self, DecideError> {
        if text.len() > MOST_BYTES {
            return Err(DecideError::TooLarge(text.len()));
        }
        Self::new(serde_json::from_slice(text)?)
    }
}

impl Decider {
    /// With the policy that was kept in the data folder, if there is one that can be gone by.
    pub(super) fn load(data: &Path, record_on_error: bool) -> Self {
        let path = data.join(FILE);
        let policy = match fs::read(&path) {
            Ok(text) => Active::read(&text)
                .inspect_err(|error| {
                    tracing::error!(path = %path.display(), %error, "the policy that was kept cannot be used: waiting for the server's");
                })
                .ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "cannot read the policy that was kept");
                None
            }
        };
        Self { path, record_on_error, policy }
    }

    /// Revision of the policy in force.
    pub(super) fn revision(&self) -> Option<u64> {
        Some(self.policy.as_ref()?.document.revision)
    }

    /// What users are told; empty where nobody has said anything.
    pub(super) fn notices(&self) -> &[playhead_model::Notice] {
        self.policy.as_ref().map_or(&[], |policy| &policy.document.notices)
    }

    /// Takes another policy: all of it, or nothing. Returns its revision, and whether it is another than before.
    ///
    /// # Errors
    /// Why it cannot be gone by. One that merely cannot be kept on disk is in force all the same.
    pub(super) fn take(&mut self, text: &str) -> Result<(u64, bool), (u64, DecideError)> {
        let new = match Active::read(text.as_bytes()) {
            Ok(new) => new,
            Err(error) => return Err((revision(text), error)),
        };
        let revision = new.document.revision;
        let is_other = self.policy.as_ref().is_none_or(|old| old.document != new.document);
        self.policy = Some(new);
        if is_other && let Err(error) = playhead_net::write_private(&self.path, text.as_bytes()) {
            let error = DecideError::from(error);
            tracing::error!(%error, "the policy is in force until the agent ends");
        }
        Ok((revision, is_other))
    }

    /// What is to be done with a session. `is_partial` says that not all of its user's names and groups are known.
    pub(super) fn decide(&self, facts: &SessionFacts, is_partial: bool) -> Plan {
        let Some(Active { document, name, engine }) = &self.policy else {
            return self.without();
        };
        let decision = engine.decide(facts);
        // A rule that would have fitted may have been missed for want of a group.
        if is_partial && !decision.action.records() && decision.rule.is_none() && document.policy.is_some() {
            return self.without();
        }
        let rules = document.policy.as_ref().map_or(&[][..], |policy| &policy.rules);
        let rule = decision.rule.and_then(|number| Some(rules.get(number)?.name.clone()));
        Plan {
            number: 0,
            action: decision.action,
            options: decision.options.clone(),
            decided: Decided::Policy { revision: document.revision, policy: name.clone(), rule },
        }
    }

    /// Where there is nothing to go by.
    fn without(&self) -> Plan {
        let action = if self.record_on_error { Action::RecordWithNotice } else { Action::Disable };
        Plan { number: 0, action, options: RuleOptions::default(), decided: Decided::NoPolicy }
    }
}

/// The revision that a document says it is, whatever else is wrong with it.
fn revision(text: &str) -> u64 {
    #[derive(serde::Deserialize)]
    struct Only {
        revision: u64,
    }
    serde_json::from_str(text).map_or(0, |Only { revision }| revision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn facts(user: &str) -> SessionFacts {
        SessionFacts { users: vec![user.into()], ..SessionFacts::default() }
    }

    fn ours(revision: u64, user: &str) -> String {
        let rule = json!({ "name": "Her", "action": "record", "options": { "audio": true }, "scope": { "users": [user] } });
        json!({ "revision": revision, "id": "7", "policy": { "name": "Ours", "rules": [rule] } }).to_string()
    }

    #[test]
    fn the_last_policy_is_kept_and_a_wrong_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut decider = Decider::load(folder.path(), false);
        assert_eq!(decider.decide(&facts("ada"), false).decided, Decided::NoPolicy);
        assert_eq!(decider.decide(&facts("ada"), false).action, Action::Disable);
        assert_eq!(decider.take(&ours(3, "ada")).unwrap(), (3, true));
        assert_eq!(decider.take(&ours(3, "ada")).unwrap(), (3, false));
        let plan = decider.decide(&facts("ADA"), false);
        assert!(plan.action == Action::Record && plan.options.audio);
        let rule = Some("Her".to_owned());
        assert_eq!(plan.decided, Decided::Policy { revision: 3, policy: "Ours".into(), rule });

        for (wrong, expected) in [
            ("{".to_owned(), "cannot read"),
            (ours(4, " "), "among its users"),
            (json!({ "revision": 4, "id": "record-dreams" }).to_string(), "record-dreams"),
        ] {
            let (revision, error) = decider.take(&wrong).unwrap_err();
            assert!(error.to_string().contains(expected) && (revision == 4 || revision == 0), "{error}");
        }
        assert_eq!(decider.revision(), Some(3));

        // The agent starts again, without a server.
        let again = Decider::load(folder.path(), true);
        assert_eq!(again.decide(&facts("ada"), false), plan);
        assert_eq!(again.decide(&facts("bob"), false).action, Action::Disable);
        // Whose groups are not known may be one of those whom a rule names.
        let partial = again.decide(&facts("bob"), true);
        assert_eq!((partial.action, partial.decided), (Action::RecordWithNotice, Decided::NoPolicy));

        fs::write(folder.path().join(FILE), "nonsense").unwrap();
        assert_eq!(Decider::load(folder.path(), true).revision(), None);
    }

    #[test]
    fn a_system_policy_is_for_everybody() {
        let folder = tempfile::tempdir().unwrap();
        let mut decider = Decider::load(folder.path(), true);
        decider.take(r#"{"revision":1,"id":"do-not-record"}"#).unwrap();
        assert_eq!(decider.decide(&facts("x"), true).action, Action::Disable);
        decider.take(r#"{"revision":2,"id":"events-with-notice"}"#).unwrap();
        assert_eq!(decider.decide(&facts("x"), false).action, Action::EventsWithNotice);
    }
}
