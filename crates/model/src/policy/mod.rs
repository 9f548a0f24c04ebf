//! Recording policies: which sessions are recorded, and how.
//!
//! A site has one active policy. Of the rules that fit a session the one whose action has the highest priority decides, of several with
//! the same the first; where none fits, nothing is recorded. The same evaluation serves server, agent and simulator: [`Engine`].

mod address;
mod check;
mod diff;
mod engine;
mod explain;
mod names;
mod rollover;
mod system;

pub use address::{AddressRange, AddressRangeError};
pub use check::PolicyError;
pub use diff::{PolicyDiff, RuleChange};
pub use engine::{Decision, Engine};
pub use explain::{Item, Reason, Verdict};
pub use rollover::{AtRollover, at_rollover};
pub use system::{SYSTEM_POLICIES, SystemPolicy};

use crate::{Mask, PictureSettings};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A policy with its rules, in the order in which they were made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Policy {
    /// Shown in lists; 1 to 100 characters.
    pub name: String,
    /// At most 300 characters.
    #[serde(default)]
    pub description: String,
    /// At most 2,000.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// What is done with sessions of a scope.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rule {
    /// 1 to 100 characters, no two of a policy alike.
    pub name: String,
    /// At most 300 characters.
    #[serde(default)]
    pub description: String,
    /// What is done.
    pub action: Action,
    /// How it is recorded, where it is.
    #[serde(default)]
    pub options: RuleOptions,
    /// Which sessions.
    pub scope: RuleScope,
}

/// What is done with a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Nothing is recorded.
    Disable,
    /// Screen and events; the user is told.
    RecordWithNotice,
    /// Events alone; the user is told.
    EventsWithNotice,
    /// Screen and events.
    Record,
    /// Events alone.
    Events,
}

impl Action {
    /// All, the highest priority first.
    pub const BY_PRIORITY: [Self; 5] =
        [Self::Disable, Self::RecordWithNotice, Self::EventsWithNotice, Self::Record, Self::Events];

    /// 0 for the highest priority.
    pub fn priority(self) -> usize {
        self as usize
    }

    /// Whether anything is recorded.
    pub fn records(self) -> bool {
        self != Self::Disable
    }

    /// Whether the screen is recorded.
    pub fn records_screen(self) -> bool {
        matches!(self, Self::RecordWithNotice | Self::Record)
    }

    /// Whether the user is told.
    pub fn notifies(self) -> bool {
        matches!(self, Self::RecordWithNotice | Self::EventsWithNotice)
    }
}

/// How a session is recorded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RuleOptions {
    /// The user has to accept before anything of the session is seen; denying ends it. For actions that notify.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub consent: bool,
    /// Sound as well. For actions that record the screen, as are the ones below.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub audio: bool,
    /// How the picture is recorded; without it, without loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<PictureSettings>,
    /// Applications that are covered; at most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub masks: Vec<Mask>,
}

/// Which sessions a rule is for: those that fit one entry of each list that is not empty. Either at least one list is not, or the rule is
/// for everyone.
///
/// Names are compared without regard to upper and lower case, and as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct RuleScope {
    /// Every session. It is said, and stands alone: lists that were forgotten are no rule for everyone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub everyone: bool,
    /// Users, as the session host names them: `ada`, `CORP\ada` or `ada@corp.example`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// Groups that the user is a member of, directly or not. They stand in one list with the users: one of either is enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Published applications, and `desktop`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applications: Vec<String>,
    /// Delivery groups. They stand in one list with the hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delivery_groups: Vec<String>,
    /// Session hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Addresses of the user's own machine. A session whose client's address is not known fits none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<AddressRange>,
    /// Tags of how the session was reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// What is known of a session when it is decided whether it is recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct SessionFacts {
    /// The user's names; a host that is in a directory knows several of one user.
    #[serde(default)]
    pub users: Vec<String>,
    /// Groups the user is in.
    #[serde(default)]
    pub groups: Vec<String>,
    /// The published application, or `desktop`.
    #[serde(default)]
    pub application: String,
    /// The host's delivery groups.
    #[serde(default)]
    pub delivery_groups: Vec<String>,
    /// Name of the session host.
    #[serde(default)]
    pub host: String,
    /// Address of the user's own machine, where known.
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// Tags of how the session was reached.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// The form in which names are compared.
fn folded(name: &str) -> String {
    name.trim().to_lowercase()
}
