//! Who may do what.

use crate::{WallTime, recording::text_form};
use serde::{Deserialize, Serialize};

/// One thing that a role may allow. Every endpoint names exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// See the list of recordings and their particulars.
    ListRecordings,
    /// Play recordings, live ones included.
    PlayRecordings,
    /// Download original recording files.
    DownloadRecordings,
    /// Make encrypted recordings unreadable for good.
    ShredRecordings,
    /// See sites, servers and session hosts.
    ViewSites,
    /// Create, change and delete sites; make join tokens.
    ManageSites,
    /// See recording policies, ask what they would do, and see what users are told.
    ViewPolicies,
    /// Make, change, activate and delete recording policies; change what users are told.
    ManagePolicies,
    /// See the sessions of users, recorded or not.
    ViewSessions,
    /// Start and stop recording running sessions.
    ManageSessions,
    /// Look users and groups up in the directories, for the pickers of pages.
    SearchDirectories,
    /// Connect directories, and give their users and groups roles.
    ManageDirectories,
    /// See, make and revoke API clients.
    ManageApiClients,
}

/// What a person is at a console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// May do everything.
    Full,
    /// May find, play and download every recording, and change nothing.
    PrivilegedPlayer,
    /// May look at the configuration; plays only what playback permissions allow.
    ReadOnly,
}

impl Role {
    /// Whether the role holds the permission.
    pub const fn allows(self, permission: Permission) -> bool {
        use Permission::{
            DownloadRecordings, ListRecordings, PlayRecordings, ViewPolicies, ViewSessions, ViewSites,
        };
        match self {
            Self::Full => true,
            Self::PrivilegedPlayer => {
                matches!(permission, ListRecordings | PlayRecordings | DownloadRecordings)
            }
            Self::ReadOnly => matches!(permission, ViewSites | ViewPolicies | ViewSessions),
        }
    }

    /// The permissions the role holds, in declaration order.
    pub fn permissions(self) -> Vec<Permission> {
        Permission::ALL.into_iter().filter(|&permission| self.allows(permission)).collect()
    }
}

impl Permission {
    /// All there are.
    pub const ALL: [Self; 13] = [
        Self::ListRecordings,
        Self::PlayRecordings,
        Self::DownloadRecordings,
        Self::ShredRecordings,
        Self::ViewSites,
        Self::ManageSites,
        Self::ViewPolicies,
        Self::ManagePolicies,
        Self::ViewSessions,
        Self::ManageSessions,
        Self::SearchDirectories,
        Self::ManageDirectories,
        Self::ManageApiClients,
    ];
}

text_form!(Permission {
    ListRecordings = "list-recordings",
    PlayRecordings = "play-recordings",
    DownloadRecordings = "download-recordings",
    ShredRecordings = "shred-recordings",
    ViewSites = "view-sites",
    ManageSites = "manage-sites",
    ViewPolicies = "view-policies",
    ManagePolicies = "manage-policies",
    ViewSessions = "view-sessions",
    ManageSessions = "manage-sessions",
    SearchDirectories = "search-directories",
    ManageDirectories = "manage-directories",
    ManageApiClients = "manage-api-clients",
});
text_form!(Role { Full = "full", PrivilegedPlayer = "privileged-player", ReadOnly = "read-only" });

/// Which recordings a statement's bearer may find and play.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// All of the site's.
    All,
    /// None.
    Nothing,
}

/// What a console tells a site of the person on whose behalf it asks. The console signs its JSON; the site checks the
/// signature, that it has not expired, and then the permission itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Name of the person.
    pub user: String,
    /// The person's role at the console.
    pub role: Role,
    /// Of what the role allows only this; a program's permissions are chosen one by one. `None`: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Vec<Permission>>,
    /// What the person may play.
    pub scope: Scope,
    /// From when on the statement is void.
    pub expires_at: WallTime,
}

impl Statement {
    /// Whether it lets its bearer do this.
    pub fn allows(&self, permission: Permission) -> bool {
        let is_named = self.permissions.as_ref().is_none_or(|named| named.contains(&permission));
        self.role.allows(permission) && is_named
    }
}

/// A name that is none of those expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of {expected}, got '{actual}'")]
pub struct UnknownName {
    expected: String,
    actual: String,
}

impl UnknownName {
    pub(crate) fn new(actual: &str, expected: &[&str]) -> Self {
        Self { expected: expected.join(", "), actual: actual.chars().take(64).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_may_do_everything_and_the_others_change_nothing() {
        for permission in Permission::ALL {
            assert!(Role::Full.allows(permission));
        }
        for role in [Role::PrivilegedPlayer, Role::ReadOnly] {
            for change in Permission::ALL {
                let changes = change.as_str().starts_with("manage") || change == Permission::ShredRecordings;
                assert!(!(changes && role.allows(change)), "{role}: {change}");
            }
        }
        assert!(!Role::ReadOnly.allows(Permission::PlayRecordings));
    }

    #[test]
    fn permissions_lists_what_allows_says() {
        assert_eq!(
            Role::ReadOnly.permissions(),
            [Permission::ViewSites, Permission::ViewPolicies, Permission::ViewSessions]
        );
        assert_eq!(Role::Full.permissions(), Permission::ALL);
    }

    #[test]
    fn a_program_may_do_what_is_named_and_never_more_than_the_role() {
        let statement = |role, permissions: Option<Vec<Permission>>| Statement {
            user: "u".into(),
            role,
            permissions,
            scope: Scope::Nothing,
            expires_at: WallTime::from_micros(0),
        };
        let starts = statement(Role::Full, Some(vec![Permission::ManageSessions]));
        assert!(starts.allows(Permission::ManageSessions) && !starts.allows(Permission::ViewSessions));
        assert!(
            !statement(Role::ReadOnly, Some(vec![Permission::ManageSites])).allows(Permission::ManageSites)
        );
        assert!(statement(Role::ReadOnly, None).allows(Permission::ViewSites));
        assert!(!statement(Role::Full, Some(Vec::new())).allows(Permission::ViewSites));
        let json = serde_json::to_value(statement(Role::Full, None)).unwrap();
        assert!(json.get("permissions").is_none());
    }
}
