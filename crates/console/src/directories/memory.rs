//! What directories answered, for when they are away; and looking users and groups up in all of them.
//!
//! Answers are kept in the console's database: they outlive a restart, and every console of a database has them.

use super::{Directories, DirectoryError, Principal};
use crate::core::Core;
use futures_util::future::join_all;
use playhead_db::{
    DbError,
    console::{Directory, DirectoryKind, MemoryLimits, PrincipalKind, SeenPrincipal, Store},
};
use playhead_model::WallTime;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Users and groups that are remembered of one directory.
const MOST_PRINCIPALS: u32 = 5_000;
/// People whose groups are remembered of one directory.
const MOST_PEOPLE: u32 = 1_000;
/// Longest text with somebody's groups: some thousand of them.
const MOST_GROUPS_TEXT: usize = 512 << 10;
/// For how long something is remembered that was not seen again.
const REMEMBERED: i64 = 90 * 86_400_000_000;
/// How exactly it is known when something was seen last: a picker asks with every letter.
const RENEWED: i64 = 600_000_000;
/// For how long a directory that failed is not asked again, for the same reason.
const LEFT_ALONE: i64 = 10_000_000;
/// Longest wait for one directory.
const PATIENCE: Duration = Duration::from_secs(12);

/// A user or group as it was found, or seen before.
#[derive(Debug, Clone)]
pub(crate) struct Remembered {
    /// Who.
    pub(crate) principal: Principal,
    /// When it was seen, where that is not now.
    pub(crate) seen_at: Option<WallTime>,
}

/// What one directory gave.
#[derive(Debug)]
pub(crate) struct Searched {
    /// The directory.
    pub(crate) directory: Directory,
    /// Who was found.
    pub(crate) found: Vec<Remembered>,
    /// Whether there are more.
    pub(crate) more: bool,
    /// Why it did not answer. What was found is remembered then.
    pub(crate) problem: Option<String>,
}

/// Which directories failed a moment ago: when, in which version, and why.
#[derive(Default)]
pub(crate) struct Memory(Mutex<HashMap<String, (WallTime, u64, String)>>);

impl Memory {
    /// Forgets a directory's failure.
    pub(crate) fn forget(&self, directory: &str) {
        self.failures().remove(directory);
    }

    /// Why a directory need not be asked now: it failed a moment ago, and was not changed since.
    pub(crate) fn failed(&self, directory: &Directory, now: WallTime) -> Option<String> {
        let failures = self.failures();
        let (at, version, why) = failures.get(&directory.id)?;
        let age = now.as_micros() - at.as_micros();
        (*version == directory.version && (0..LEFT_ALONE).contains(&age)).then(|| why.clone())
    }

    /// Notes how asking went.
    pub(super) fn note<T>(&self, directory: &Directory, now: WallTime, asked: &Result<T, DirectoryError>) {
        match asked {
            Ok(_) => self.forget(&directory.id),
            Err(error) => {
                tracing::warn!(directory = directory.name, %error, "directory does not answer as it should");
                let mut failures = self.failures();
                // No more than there may be directories, but for some that were removed at another console.
                if failures.len() >= 2 * super::MOST_DIRECTORIES {
                    failures.clear();
                }
                failures.insert(directory.id.clone(), (now, directory.version, error.to_string()));
            }
        }
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, HashMap<String, (WallTime, u64, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Users and groups of all directories whose name holds `part`, at most `most` of each kind and directory.
///
/// # Errors
/// The console's own database failed; a directory that does not answer is none.
pub(crate) async fn search(
    core: &Core,
    part: &str,
    kinds: &[PrincipalKind],
    most: usize,
) -> Result<Vec<Searched>, DbError> {
    let directories = searchable(core).await?;
    let asking = directories.into_iter().map(async |directory| {
        let now = core.clock.now();
        let of = &core.directories;
        let asked =
            ask(of, &directory, now, async { Ok(of.ldap(&directory)?.search(part, kinds, most).await?) });
        match asked.await {
            Ok(found) => {
                keep(&core.store, &directory, &found.principals, now).await;
                let fresh = |principal| Remembered { principal, seen_at: None };
                let more = found.more;
                let found = found.principals.into_iter().map(fresh).collect();
                Ok(Searched { directory, found, more, problem: None })
            }
            Err(why) => {
                let (found, more) = recall(&core.store, &directory.id, part, kinds, most).await?;
                Ok(Searched { directory, found, more, problem: Some(why) })
            }
        }
    });
    join_all(asking).await.into_iter().collect()
}

/// The groups of whoever signs in with this name, in each directory.
///
/// # Errors
/// The console's own database failed; a directory that does not answer is none.
pub(crate) async fn groups(core: &Core, login: &str) -> Result<Vec<Searched>, DbError> {
    let directories = searchable(core).await?;
    let asking = directories.into_iter().map(async |directory| {
        let now = core.clock.now();
        let of = &core.directories;
        let asked = ask(of, &directory, now, async {
            Ok(of.ldap(&directory)?.groups_of(login).await?.unwrap_or_default())
        });
        let (found, seen_at, problem) = match asked.await {
            Ok(groups) => {
                keep_groups(&core.store, &directory, login, &groups, now).await;
                (groups, None, None)
            }
            Err(why) => match core.store.remembered_groups(&directory.id, login).await? {
                Some((text, at)) => (read_groups(&text), Some(at), Some(why)),
                None => (Vec::new(), None, Some(why)),
            },
        };
        let found = found.into_iter().map(|principal| Remembered { principal, seen_at }).collect();
        Ok(Searched { directory, found, more: false, problem })
    });
    join_all(asking).await.into_iter().collect()
}

/// Asks one directory, unless it failed a moment ago, not for longer than a picker can wait, and notes how it went.
async fn ask<T>(
    of: &Directories,
    directory: &Directory,
    now: WallTime,
    asking: impl Future<Output = Result<T, DirectoryError>>,
) -> Result<T, String> {
    if let Some(why) = of.memory.failed(directory, now) {
        return Err(why);
    }
    let asked = match tokio::time::timeout(PATIENCE, asking).await {
        Ok(asked) => asked,
        Err(_) => Err(DirectoryError::Ldap(super::LdapError::Late {
            server: directory.name.clone(),
            seconds: PATIENCE.as_secs(),
        })),
    };
    of.memory.note(directory, now, &asked);
    asked.map_err(|error| error.to_string())
}

async fn searchable(core: &Core) -> Result<Vec<Directory>, DbError> {
    let mut all = core.store.directories().await?;
    all.retain(|directory| directory.enabled && directory.kind == DirectoryKind::Ldap);
    Ok(all)
}

fn limits(most: u32, now: WallTime) -> MemoryLimits {
    MemoryLimits { most, since: now.plus_micros(-REMEMBERED), renew: now.plus_micros(-RENEWED) }
}

/// Remembers who was found. The answer is there; that it cannot be kept is no reason to withhold it.
async fn keep(store: &Store, directory: &Directory, found: &[Principal], now: WallTime) {
    if found.is_empty() {
        return;
    }
    let seen = found.iter().map(|one| SeenPrincipal {
        kind: one.kind,
        subject: one.subject.clone(),
        name: one.name.clone(),
        label: one.label.clone(),
        detail: one.detail.clone(),
        dn: one.dn.clone(),
        seen_at: now,
    });
    let seen: Vec<_> = seen.collect();
    if let Err(error) = store.remember_principals(directory, &seen, limits(MOST_PRINCIPALS, now)).await {
        tracing::warn!(directory = directory.name, %error, "cannot remember what the directory answered");
    }
}

/// Who was seen before whose name holds `part`.
async fn recall(
    store: &Store,
    directory: &str,
    part: &str,
    kinds: &[PrincipalKind],
    most: usize,
) -> Result<(Vec<Remembered>, bool), DbError> {
    let part = part.to_lowercase();
    let holds = |text: &str| text.to_lowercase().contains(&part);
    let known = store.remembered_principals(directory, MOST_PRINCIPALS).await?;
    let fits = known.into_iter().filter(|one| {
        let detail = one.detail.as_deref().is_some_and(holds);
        kinds.contains(&one.kind) && (holds(&one.name) || holds(&one.label) || detail)
    });
    let mut found: Vec<Remembered> = fits.map(remembered).collect();
    found.sort_by(|a, b| a.principal.name.cmp(&b.principal.name));
    // As many of each kind as the directory itself would have given.
    let (mut given, all) = ([0; 2], found.len());
    found.retain(|one| {
        let of_kind = &mut given[usize::from(one.principal.kind == PrincipalKind::Group)];
        *of_kind += 1;
        *of_kind <= most
    });
    let more = found.len() < all;
    Ok((found, more))
}

fn remembered(one: SeenPrincipal) -> Remembered {
    let SeenPrincipal { kind, subject, name, label, detail, dn, seen_at } = one;
    Remembered { principal: Principal { kind, name, label, detail, dn, subject }, seen_at: Some(seen_at) }
}

/// Remembers somebody's groups, each as its name, its entry's name and its subject.
async fn keep_groups(store: &Store, directory: &Directory, login: &str, groups: &[Principal], now: WallTime) {
    let list: Vec<[&str; 3]> =
        groups.iter().map(|one| [one.name.as_str(), one.dn.as_str(), one.subject.as_str()]).collect();
    // Lists of texts always serialise.
    let text = serde_json::to_string(&list).unwrap_or_default();
    if text.len() > MOST_GROUPS_TEXT {
        tracing::warn!(user = login, groups = groups.len(), "too many groups to remember them");
        return;
    }
    let kept = store.remember_groups(directory, login, &text, now, limits(MOST_PEOPLE, now)).await;
    if let Err(error) = kept {
        tracing::warn!(directory = directory.name, %error, "cannot remember what the directory answered");
    }
}

fn read_groups(text: &str) -> Vec<Principal> {
    let list: Vec<[String; 3]> = serde_json::from_str(text).unwrap_or_default();
    let group = |[name, dn, subject]: [String; 3]| Principal {
        kind: PrincipalKind::Group,
        label: name.clone(),
        name,
        detail: None,
        dn,
        subject,
    };
    list.into_iter().map(group).collect()
}
