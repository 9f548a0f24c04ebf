//! Queues that were set aside: what the server will not take, or what could not be read. They wait for the administrator, within a
//! quota of their own, so that they never keep recordings from being queued.

use super::{SpoolError, folder_bytes};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

/// The note that says why.
const WHY: &str = "why.txt";
/// Stands in the name of each.
const MARK: &str = ".refused";
/// Most characters of a note that are told.
const MOST_TOLD: usize = 500;

/// One queue that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Its folder's name, below the spool's.
    pub(crate) name: String,
    /// Bytes in it.
    pub(crate) bytes: u64,
    /// When it was set aside.
    pub(crate) since: SystemTime,
    /// Why.
    pub(crate) why: String,
}

/// All queues that were set aside.
pub(super) struct Aside {
    folder: PathBuf,
    quota_bytes: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Oldest first.
    kept: Vec<Refused>,
    /// How many were deleted to stay within the quota, and their bytes.
    deleted: (u64, u64),
}

impl Aside {
    /// Those below the spool's folder.
    pub(super) fn open(folder: &Path, quota_bytes: u64) -> Self {
        let mut kept: Vec<Refused> = fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| look(&entry.path()))
            .collect();
        kept.sort_by_key(|refused| refused.since);
        let state = Mutex::new(State { kept, deleted: (0, 0) });
        let aside = Self { folder: folder.to_owned(), quota_bytes, state };
        aside.keep_within_quota(&mut aside.lock());
        aside
    }

    /// Sets a folder of the spool's aside by `rename`, which is told the new name.
    ///
    /// # Errors
    /// It cannot be renamed, or the note cannot be written.
    pub(super) fn take(
        &self,
        folder: &Path,
        why: &str,
        rename: impl FnOnce(&Path) -> Result<(), SpoolError>,
    ) -> Result<(), SpoolError> {
        let mut state = self.lock();
        let path = free_name(folder);
        rename(&path)?;
        let note = path.join(WHY);
        let noted = fs::write(&note, format!("{why}\n")).map_err(SpoolError::at(&note));
        state.kept.extend(look(&path));
        self.keep_within_quota(&mut state);
        noted
    }

    /// Those that there are, oldest first, and how many were deleted for lack of room, with their bytes.
    pub(super) fn all(&self) -> (Vec<Refused>, (u64, u64)) {
        let mut state = self.lock();
        // The administrator deletes them by hand.
        state.kept.retain(|refused| self.folder.join(&refused.name).is_dir());
        (state.kept.clone(), state.deleted)
    }

    fn keep_within_quota(&self, state: &mut State) {
        let mut bytes: u64 = state.kept.iter().map(|refused| refused.bytes).sum();
        while bytes > self.quota_bytes && !state.kept.is_empty() {
            let oldest = state.kept.remove(0);
            bytes -= oldest.bytes;
            let folder = self.folder.join(&oldest.name);
            match fs::remove_dir_all(&folder) {
                Ok(()) => {
                    state.deleted = (state.deleted.0 + 1, state.deleted.1 + oldest.bytes);
                    tracing::error!(folder = %folder.display(), bytes = oldest.bytes, reason = oldest.why, quota = self.quota_bytes,
                        "deleted the oldest queue that was set aside: there was no more room for such; raise refused_quota_bytes to keep more");
                }
                Err(error) => {
                    tracing::error!(folder = %folder.display(), %error, "cannot delete a queue that was set aside");
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A list of what was found; the next start finds it anew.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a folder's name says that it was set aside.
pub(super) fn is_aside(name: &str) -> bool {
    name.contains(MARK)
}

/// A name for a folder that is set aside: the same recording may be set aside more than once.
fn free_name(folder: &Path) -> PathBuf {
    let named = |suffix: &str| {
        let mut name = folder.as_os_str().to_owned();
        name.push(MARK);
        name.push(suffix);
        PathBuf::from(name)
    };
    let mut path = named("");
    let mut number = 2u32;
    while path.exists() {
        path = named(&format!("-{number}"));
        number = number.saturating_add(1);
    }
    path
}

fn look(path: &Path) -> Option<Refused> {
    let name = path.file_name()?.to_str().filter(|name| is_aside(name))?.to_owned();
    let note = path.join(WHY);
    let since =
        [&note, path].into_iter().find_map(|path| fs::metadata(path).and_then(|meta| meta.modified()).ok());
    let why =
        fs::read(&note).map(|text| String::from_utf8_lossy(&text).trim().chars().take(MOST_TOLD).collect());
    path.is_dir().then(|| Refused {
        name,
        bytes: folder_bytes(path),
        since: since.unwrap_or(SystemTime::UNIX_EPOCH),
        why: why.unwrap_or_else(|_| "no note says why".into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_when_there_is_no_room_for_more() {
        let folder = tempfile::tempdir().unwrap();
        let aside = Aside::open(folder.path(), 2_500);
        for number in 0..4u32 {
            let queue = folder.path().join("same");
            fs::create_dir(&queue).unwrap();
            fs::write(queue.join("x.queue"), vec![0; 1_000]).unwrap();
            aside
                .take(&queue, &format!("reason {number}"), |to| {
                    fs::rename(&queue, to).map_err(SpoolError::at(&queue))
                })
                .unwrap();
            assert!(!queue.exists());
        }
        let (kept, (deleted, bytes)) = aside.all();
        let why: Vec<&str> = kept.iter().map(|refused| refused.why.as_str()).collect();
        assert_eq!((why, deleted), (vec!["reason 2", "reason 3"], 2));
        assert!(bytes >= 2_000 && kept.iter().map(|refused| refused.bytes).sum::<u64>() <= 2_500);

        let again = Aside::open(folder.path(), 2_500);
        assert_eq!(again.all().0.len(), 2, "found again after a restart");
        fs::remove_dir_all(folder.path().join(&kept[0].name)).unwrap();
        assert_eq!(aside.all().0.len(), 1, "deleted by hand");
        assert!(Aside::open(folder.path(), 10).all().0.is_empty(), "a smaller quota");
    }
}
