//! Room on the disks: when there is too little, nothing is taken in, and agents keep what they have.

use crate::recordings::lock;
use nix::sys::statvfs::statvfs;
use std::{
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// Watches the file systems of the journal and of the database, and hears of the storage.
pub(crate) struct Space {
    watched: Vec<Watched>,
    /// Free bytes at the last look where there is least.
    free: AtomicU64,
    closed: Mutex<Closed>,
}

/// One file system.
struct Watched {
    folder: PathBuf,
    /// Below this many free bytes nothing is taken in.
    least: u64,
}

/// Why nothing is taken in.
#[derive(Default)]
struct Closed {
    /// A disk has too little room, or could not be written.
    disk: Option<String>,
    /// All of the storage is full.
    storage: Option<String>,
}

impl Space {
    /// `least` is lowered to 2 % of a file system where that is less. Of several folders on one file system the first is watched.
    ///
    /// # Errors
    /// A folder that cannot be looked at.
    pub(crate) fn new(folders: impl IntoIterator<Item = PathBuf>, least: u64) -> io::Result<Self> {
        let (mut watched, mut devices) = (Vec::new(), Vec::new());
        for folder in folders {
            let device = folder.metadata()?.dev();
            if devices.contains(&device) {
                continue;
            }
            devices.push(device);
            let (_, total) = measure(&folder)?;
            watched.push(Watched { folder, least: least.min(total / 50) });
        }
        let space = Self { watched, free: AtomicU64::new(0), closed: Mutex::default() };
        space.look();
        Ok(space)
    }

    /// Looks again. Called every few seconds.
    pub(crate) fn look(&self) {
        let mut closed = lock(&self.closed);
        let mut problem = None;
        let mut least_free = u64::MAX;
        for watched in &self.watched {
            match measure(&watched.folder) {
                Ok((free, _)) => {
                    least_free = least_free.min(free);
                    problem = problem.or(watched.problem(free, closed.disk.is_some()));
                }
                Err(error) => {
                    tracing::error!(%error, folder = %watched.folder.display(), "cannot look at the disk");
                    let text = format!("cannot look at the disk of {}: {error}", watched.folder.display());
                    problem.get_or_insert(text);
                }
            }
        }
        self.free.store(least_free, Ordering::Relaxed);
        let before = std::mem::replace(&mut closed.disk, problem);
        told(before.as_deref(), closed.disk.as_deref());
    }

    /// Whether all of the storage is full, and what to do about it.
    pub(crate) fn set_storage(&self, problem: Option<String>) {
        let mut closed = lock(&self.closed);
        let before = std::mem::replace(&mut closed.storage, problem);
        told(before.as_deref(), closed.storage.as_deref());
    }

    /// The journal could not be written: nothing is taken in until the next look finds room.
    pub(crate) fn failed(&self, error: &io::Error) {
        // The journal's folder is the first.
        let folder = self.watched.first().map_or(Path::new(""), |watched| &watched.folder).display();
        lock(&self.closed).disk.get_or_insert_with(|| {
            format!("cannot write in {folder}: {error}; make room or repair the disk")
        });
    }

    /// Why nothing is taken in; `None` when all is well.
    pub(crate) fn problem(&self) -> Option<String> {
        let closed = lock(&self.closed);
        closed.disk.as_ref().or(closed.storage.as_ref()).cloned()
    }

    /// Free bytes at the last look where there is least.
    pub(crate) fn free(&self) -> u64 {
        self.free.load(Ordering::Relaxed)
    }
}

impl Watched {
    fn problem(&self, free: u64, closed: bool) -> Option<String> {
        // Some more than the least before it opens again, so that it does not flutter.
        let enough = if closed { self.least + self.least / 4 } else { self.least };
        (free < enough).then(|| {
            format!(
                "only {} MiB are free in {}, expected at least {} MiB: make room there",
                free >> 20,
                self.folder.display(),
                self.least >> 20
            )
        })
    }
}

/// Says in the log when it closes and when it opens.
fn told(before: Option<&str>, now: Option<&str>) {
    match (before, now) {
        (None, Some(error)) => tracing::error!(error, "nothing is taken in; agents keep what they have"),
        (Some(reason), None) => tracing::info!(reason, "taking in again: there is room"),
        _ => {}
    }
}

/// Free and total bytes of the folder's file system.
fn measure(folder: &Path) -> io::Result<(u64, u64)> {
    let stat = statvfs(folder).map_err(io::Error::from)?;
    let block = stat.fragment_size();
    Ok((stat.blocks_available().saturating_mul(block), stat.blocks().saturating_mul(block)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closes_below_the_least_and_opens_again() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_owned(), folder.path().to_owned(), "/proc".into()];
        let mut space = Space::new(folders, 1 << 10).unwrap();
        assert_eq!(space.watched.len(), 2, "one for each file system");
        space.watched.truncate(1);
        space.look();
        assert_eq!(space.problem(), None);
        assert!(space.free() > 0);
        space.failed(&io::Error::from_raw_os_error(28));
        assert!(space.problem().unwrap().contains("No space left"), "{:?}", space.problem());
        space.look();
        assert_eq!(space.problem(), None);
        space.set_storage(Some("every location is full".into()));
        assert!(space.problem().unwrap().contains("every location"));
        space.watched[0].least = u64::MAX / 2;
        space.look();
        assert!(space.problem().unwrap().contains("make room"));
        space.watched[0].least = 0;
        space.look();
        space.set_storage(None);
        assert_eq!(space.problem(), None);
    }
}
