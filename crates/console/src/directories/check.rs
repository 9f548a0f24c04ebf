//! Looking people who are signed in up again, so that who left the company, or a group, leaves the console as well.

use super::{
    DirectoryError, DirectorySettings, read_settings,
    rights::{closed, refuse, role_of},
};
use crate::core::{Core, Shared};
use playhead_db::{
    DbError,
    console::{Directory, DirectoryAccount},
};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How often it is looked who is due.
const EVERY: Duration = Duration::from_secs(20);
/// Most people looked up at a time, in one directory.
const AT_A_TIME: u32 = 200;
/// Longest time for one person.
const PATIENCE: Duration = Duration::from_secs(20);
const MINUTE: i64 = 60_000_000;

/// Looks people up until the console stops.
pub(crate) async fn keep_checking(core: Shared) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = core.stop.cancelled() => break,
            _ = tick.tick() => {}
        }
        tokio::select! {
            () = core.stop.cancelled() => break,
            done = round(&core) => if let Err(error) = done {
                tracing::warn!(%error, "cannot look up who is still in the directories");
            }
        }
    }
}

/// Looks everybody up who is due.
///
/// # Errors
/// The console's database failed; a directory that does not answer is none.
pub(super) async fn round(core: &Core) -> Result<(), DbError> {
    for directory in core.store.directories().await? {
        match read_settings(&directory) {
            Ok(DirectorySettings::Ldap(settings)) => {
                look_up(core, &directory, i64::from(settings.check_minutes) * MINUTE).await?;
            }
            Ok(DirectorySettings::OpenId(settings)) => {
                come_by_again(core, &directory, i64::from(settings.session_minutes) * MINUTE).await?;
            }
            Err(error) => tracing::warn!(directory = directory.name, %error, "directory not usable"),
        }
    }
    Ok(())
}

/// A provider cannot be asked about somebody who is not there: sessions end after a while, and who is still welcome comes in again with
/// one click.
async fn come_by_again(core: &Core, directory: &Directory, after: i64) -> Result<(), DbError> {
    let now = core.clock.now();
    for account in core.store.directory_accounts_to_check(&directory.id, now.plus_micros(1), u32::MAX).await?
    {
        if let Some(why) = closed(directory) {
            refuse(core, &account.account, &account.name, why).await?;
            continue;
        }
        for session in core.store.close_old_sessions(&account.account, now.plus_micros(-after)).await? {
            core.streams.end_of_session(&session);
            tracing::info!(user = account.name, "session ended: the provider has to be asked again");
        }
    }
    Ok(())
}

async fn look_up(core: &Core, directory: &Directory, after: i64) -> Result<(), DbError> {
    let now = core.clock.now();
    let due =
        core.store.directory_accounts_to_check(&directory.id, now.plus_micros(-after), AT_A_TIME).await?;
    if due.is_empty() {
        return Ok(());
    }
    let given = core.store.directory_roles(&directory.id).await?;
    for account in due {
        if let Some(why) = closed(directory) {
            refuse(core, &account.account, &account.name, why).await?;
            continue;
        }
        // A directory that is away takes no rights: they stay as they were seen last, and sessions end by their age at the latest.
        if core.directories.memory.failed(directory, core.clock.now()).is_some() {
            break;
        }
        let asked = person(core, directory, &account).await;
        core.directories.memory.note(directory, core.clock.now(), &asked);
        let Ok(person) = asked else { break };
        let Some(person) = person else {
            refuse(core, &account.account, &account.name, "not in the directory any more, or disabled there")
                .await?;
            continue;
        };
        let groups: Vec<String> = person.groups.into_iter().map(|group| group.subject).collect();
        let Some(role) = role_of(&given, &account.subject, &groups) else {
            refuse(core, &account.account, &account.name, "no role any more").await?;
            continue;
        };
        core.store.confirm_directory_account(&account.account, role, Some((&groups, now))).await?;
        if role != account.role {
            core.streams.end_of_account(&account.account);
            tracing::info!(user = account.name, %role, "role changed in the directory");
        }
    }
    Ok(())
}

async fn person(
    core: &Core,
    directory: &Directory,
    account: &DirectoryAccount,
) -> Result<Option<super::ldap::Person>, DirectoryError> {
    let ldap = core.directories.ldap(directory)?;
    match timeout(PATIENCE, ldap.person(&account.subject)).await {
        Ok(person) => Ok(person?),
        Err(_) => Err(DirectoryError::Ldap(super::LdapError::Late {
            server: directory.name.clone(),
            seconds: PATIENCE.as_secs(),
        })),
    }
}
