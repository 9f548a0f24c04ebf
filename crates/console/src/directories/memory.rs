//! What directories answered, for when they are away; and looking users and groups up in all of them.

use super::{Directories, DirectoryError, Principal};
use crate::core::Core;
use futures_util::future::join_all;
use lru::LruCache;
use playhead_db::console::{Directory, DirectoryKind, PrincipalKind};
use playhead_model::WallTime;
use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Users and groups that are remembered of one directory.
const MOST_PRINCIPALS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4_999);
/// People whose groups are remembered of one directory.
const MOST_PEOPLE: NonZeroUsize = NonZeroUsize::MIN.saturating_add(999);
/// For how long a directory that failed is not asked again: a picker asks with every letter.
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

/// What is remembered of all directories.
#[derive(Default)]
pub(crate) struct Memory(Mutex<HashMap<String, OfDirectory>>);

struct OfDirectory {
    principals: LruCache<(PrincipalKind, String), (Principal, WallTime)>,
    people: LruCache<String, (Vec<Principal>, WallTime)>,
    failed: Option<(WallTime, u64, String)>,
}

impl OfDirectory {
    fn new() -> Self {
        Self { principals: LruCache::new(MOST_PRINCIPALS), people: LruCache::new(MOST_PEOPLE), failed: None }
    }
}

impl Memory {
    /// Forgets a directory.
    pub(crate) fn forget(&self, directory: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(directory);
    }

    fn with<T>(&self, directory: &str, act: impl FnOnce(&mut OfDirectory) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        act(all.entry(directory.to_owned()).or_insert_with(OfDirectory::new))
    }

    /// Why a directory need not be asked now: it failed a moment ago, and was not changed since.
    pub(crate) fn failed(&self, directory: &Directory, now: WallTime) -> Option<String> {
        self.with(&directory.id, |of| {
            let (at, version, why) = of.failed.as_ref()?;
            let age = now.as_micros() - at.as_micros();
            (*version == directory.version && (0..LEFT_ALONE).contains(&age)).then(|| why.clone())
        })
    }

    /// Notes how asking went.
    pub(super) fn note<T>(&self, directory: &Directory, now: WallTime, asked: &Result<T, DirectoryError>) {
        let failed = match asked {
            Ok(_) => None,
            Err(error) => {
                tracing::warn!(directory = directory.name, %error, "directory does not answer as it should");
                Some((now, directory.version, error.to_string()))
            }
        };
        self.with(&directory.id, |of| of.failed = failed);
    }

    fn keep(&self, directory: &str, found: &[Principal], now: WallTime) {
        self.with(directory, |of| {
            for one in found {
                of.principals.put((one.kind, one.subject.clone()), (one.clone(), now));
            }
        });
    }

    /// Who was seen before whose name holds `part`.
    fn recall(
        &self,
        directory: &str,
        part: &str,
        kinds: &[PrincipalKind],
        most: usize,
    ) -> (Vec<Remembered>, bool) {
        let part = part.to_lowercase();
        let holds = |text: &str| text.to_lowercase().contains(&part);
        self.with(directory, |of| {
            let fits = of.principals.iter().filter(|((kind, _), (one, _))| {
                let detail = one.detail.as_deref().is_some_and(holds);
                kinds.contains(kind) && (holds(&one.name) || holds(&one.label) || detail)
            });
            let mut found: Vec<Remembered> = fits
                .map(|(_, (one, at))| Remembered { principal: one.clone(), seen_at: Some(*at) })
                .collect();
            found.sort_by(|a, b| a.principal.name.cmp(&b.principal.name));
            let more = found.len() > most;
            found.truncate(most);
            (found, more)
        })
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
) -> Result<Vec<Searched>, playhead_db::DbError> {
    let directories = searchable(core).await?;
    let asking = directories.into_iter().map(async |directory| {
        let now = core.clock.now();
        let of = &core.directories;
        let asked = ask(of, &directory, now, async {
            let found = of.ldap(&directory)?.search(part, kinds, most).await?;
            of.memory.keep(&directory.id, &found.principals, now);
            Ok(found)
        });
        match asked.await {
            Ok(found) => {
                let fresh = |principal| Remembered { principal, seen_at: None };
                let more = found.more;
                let found = found.principals.into_iter().map(fresh).collect();
                Searched { directory, found, more, problem: None }
            }
            Err(why) => {
                let (found, more) = of.memory.recall(&directory.id, part, kinds, most);
                Searched { directory, found, more, problem: Some(why) }
            }
        }
    });
    Ok(join_all(asking).await)
}

/// The groups of whoever signs in with this name, in each directory.
///
/// # Errors
/// The console's own database failed; a directory that does not answer is none.
pub(crate) async fn groups(core: &Core, login: &str) -> Result<Vec<Searched>, playhead_db::DbError> {
    let directories = searchable(core).await?;
    let key = login.to_lowercase();
    let asking = directories.into_iter().map(async |directory| {
        let now = core.clock.now();
        let of = &core.directories;
        let asked = ask(of, &directory, now, async {
            Ok(of.ldap(&directory)?.groups_of(login).await?.unwrap_or_default())
        });
        let (found, seen_at, problem) = match asked.await {
            Ok(groups) => {
                of.memory.with(&directory.id, |of| of.people.put(key.clone(), (groups.clone(), now)));
                (groups, None, None)
            }
            Err(why) => match of.memory.with(&directory.id, |of| of.people.get(&key).cloned()) {
                Some((groups, at)) => (groups, Some(at), Some(why)),
                None => (Vec::new(), None, Some(why)),
            },
        };
        let found = found.into_iter().map(|principal| Remembered { principal, seen_at }).collect();
        Searched { directory, found, more: false, problem }
    });
    Ok(join_all(asking).await)
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

async fn searchable(core: &Core) -> Result<Vec<Directory>, playhead_db::DbError> {
    let mut all = core.store.directories().await?;
    all.retain(|directory| directory.enabled && directory.kind == DirectoryKind::Ldap);
    Ok(all)
}
