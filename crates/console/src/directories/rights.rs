//! Which role somebody holds, by what was given to them and to their groups.

use super::read_settings;
use crate::core::Core;
use playhead_db::{
    DbError,
    console::{Directory, DirectoryRole, PrincipalKind},
};
use playhead_model::Role;

/// The highest role that was given to a person or one of their groups; `None` when none was.
pub(super) fn role_of(given: &[DirectoryRole], subject: &str, groups: &[String]) -> Option<Role> {
    let theirs = given.iter().filter(|row| match row.kind {
        PrincipalKind::User => row.subject == subject,
        PrincipalKind::Group => groups.contains(&row.subject),
    });
    theirs.map(|row| row.role).max_by_key(|role| match role {
        Role::ReadOnly => 0,
        Role::PrivilegedPlayer => 1,
        Role::Full => 2,
    })
}

/// Gives everybody who came in by a directory the role that is theirs now, by the groups seen last, and ends the sessions of those who
/// have none any more. To be called when roles, or the directory itself, were changed.
///
/// # Errors
/// The database failed.
pub(crate) async fn settle(core: &Core, directory: &str) -> Result<(), DbError> {
    let Some(directory) = core.store.directory(directory).await? else { return Ok(()) };
    let given = core.store.directory_roles(&directory.id).await?;
    let closed = closed(&directory);
    for account in core.store.directory_accounts(&directory.id).await? {
        if account.refused.is_some() {
            continue;
        }
        let role = role_of(&given, &account.subject, &account.groups);
        match (role, closed) {
            (Some(role), None) if role == account.role => continue,
            (Some(role), None) => {
                core.store.confirm_directory_account(&account.account, role, None).await?;
                tracing::info!(user = account.name, %role, "role changed");
            }
            (_, why) => {
                let why = why.unwrap_or("no role any more");
                refuse(core, &account.account, &account.name, why).await?;
            }
        }
        // What a stream may show was decided when it began.
        core.streams.end_of_account(&account.account);
    }
    Ok(())
}

/// Why nobody may come in by a directory.
pub(super) fn closed(directory: &Directory) -> Option<&'static str> {
    match read_settings(directory) {
        _ if !directory.enabled => Some("the directory is switched off"),
        Ok(super::DirectorySettings::Ldap(settings)) if !settings.sign_in => {
            Some("the directory is not for signing in any more")
        }
        _ => None,
    }
}

/// Ends somebody's sessions.
pub(super) async fn refuse(core: &Core, account: &str, name: &str, why: &str) -> Result<(), DbError> {
    core.store.refuse_directory_account(account, why, core.clock.now()).await?;
    core.streams.end_of_account(account);
    tracing::warn!(user = name, why, "sessions ended");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use playhead_model::WallTime;

    #[test]
    fn the_highest_role_counts_and_none_is_none() {
        let row = |kind, subject: &str, role| DirectoryRole {
            id: String::new(),
            directory: String::new(),
            kind,
            subject: subject.into(),
            label: String::new(),
            role,
            made_by: String::new(),
            created_at: WallTime::from_micros(0),
        };
        let given = [
            row(PrincipalKind::Group, "g1", Role::ReadOnly),
            row(PrincipalKind::Group, "g2", Role::Full),
            row(PrincipalKind::User, "anna", Role::PrivilegedPlayer),
        ];
        let of = |subject: &str, groups: &[&str]| {
            role_of(&given, subject, &groups.iter().map(|&group| group.to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(of("anna", &["g1"]), Some(Role::PrivilegedPlayer));
        assert_eq!(of("anna", &["g1", "g2"]), Some(Role::Full));
        assert_eq!(of("bert", &["g3", "anna"]), None, "a group called like a user is no user");
        assert_eq!(of("g2", &[]), None);
    }
}
