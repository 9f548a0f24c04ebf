//! The policies that every site has: one action for every session. They cannot be changed.

use super::{Action, Policy, Rule, RuleOptions, RuleScope};
use crate::{PictureMode, PictureSettings};

/// A policy that every site has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemPolicy {
    /// Its id in the API, in place of a number.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub description: &'static str,
    /// What is done with every session.
    pub action: Action,
    /// Sound as well.
    pub audio: bool,
    /// With lossy pictures.
    pub lossy: bool,
}

/// All of them; the first is active where nobody has chosen another.
pub const SYSTEM_POLICIES: [SystemPolicy; 9] = [
    SystemPolicy {
        id: "do-not-record",
        name: "Do not record",
        description: "No session is recorded.",
        action: Action::Disable,
        audio: false,
        lossy: false,
    },
    SystemPolicy {
        id: "record-with-notice",
        name: "Record entire sessions, with notification",
        description: "Screens and events of every session, without sound. Users are told beforehand.",
        action: Action::RecordWithNotice,
        audio: false,
        lossy: false,
    },
    SystemPolicy {
        id: "record",
        name: "Record entire sessions, without notification",
        description: "Screens and events of every session, without sound. Users are not told.",
        action: Action::Record,
        audio: false,
        lossy: false,
    },
    SystemPolicy {
        id: "record-lossy-with-notice",
        name: "Record entire sessions with lossy pictures, with notification",
        description: "Screens and events of every session, without sound; films and photos as video, which makes smaller files. Users are told beforehand.",
        action: Action::RecordWithNotice,
        audio: false,
        lossy: true,
    },
    SystemPolicy {
        id: "record-lossy",
        name: "Record entire sessions with lossy pictures, without notification",
        description: "Screens and events of every session, without sound; films and photos as video, which makes smaller files. Users are not told.",
        action: Action::Record,
        audio: false,
        lossy: true,
    },
    SystemPolicy {
        id: "record-audio-with-notice",
        name: "Record entire sessions with sound, with notification",
        description: "Screens, events and sound of every session. Users are told beforehand.",
        action: Action::RecordWithNotice,
        audio: true,
        lossy: false,
    },
    SystemPolicy {
        id: "record-audio",
        name: "Record entire sessions with sound, without notification",
        description: "Screens, events and sound of every session. Users are not told.",
        action: Action::Record,
        audio: true,
        lossy: false,
    },
    SystemPolicy {
        id: "events-with-notice",
        name: "Record only events, with notification",
        description: "What the event detection policy names, of every session; neither screens nor sound. Users are told beforehand.",
        action: Action::EventsWithNotice,
        audio: false,
        lossy: false,
    },
    SystemPolicy {
        id: "events",
        name: "Record only events, without notification",
        description: "What the event detection policy names, of every session; neither screens nor sound. Users are not told.",
        action: Action::Events,
        audio: false,
        lossy: false,
    },
];

impl SystemPolicy {
    /// The one with this id.
    pub fn by_id(id: &str) -> Option<&'static Self> {
        SYSTEM_POLICIES.iter().find(|policy| policy.id == id)
    }

    /// How sessions are recorded.
    pub fn options(&self) -> RuleOptions {
        let picture =
            self.lossy.then(|| PictureSettings { mode: PictureMode::Lossy, ..PictureSettings::default() });
        RuleOptions { audio: self.audio, picture, ..RuleOptions::default() }
    }

    /// A policy that does the same with every session, as one rule for everyone: to start one's own from.
    pub fn as_rules(&self, name: String) -> Policy {
        let rule = Rule {
            name: "Everyone".into(),
            description: String::new(),
            action: self.action,
            options: self.options(),
            scope: RuleScope { everyone: true, ..RuleScope::default() },
        };
        Policy { name, description: self.description.into(), rules: vec![rule] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn they_are_all_different() {
        let ids: HashSet<_> = SYSTEM_POLICIES.iter().map(|p| p.id).collect();
        let names: HashSet<_> = SYSTEM_POLICIES.iter().map(|p| p.name).collect();
        let what: HashSet<_> = SYSTEM_POLICIES.iter().map(|p| (p.action, p.audio, p.lossy)).collect();
        assert_eq!((ids.len(), names.len(), what.len()), (9, 9, 9));
        assert_eq!(SYSTEM_POLICIES[0].action, Action::Disable);
        assert_eq!(SystemPolicy::by_id("events").map(|p| p.action), Some(Action::Events));
        assert!(SystemPolicy::by_id("none").is_none());
    }
}
