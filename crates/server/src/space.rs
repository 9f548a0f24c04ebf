//! Room on the disk: when there is too little, nothing is taken in, and agents keep what they have.

use crate::recordings::lock;
use nix::sys::statvfs::statvfs;
use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// Watches the file system of the data folder.
pub(crate) struct Space {
    folder: PathBuf,
    /// Below this many free bytes nothing is taken in.
    least: u64,
    free: AtomicU64,
    /// Why nothing is taken in.
    closed: Mutex<Option<String>>,
}

impl Space {
    /// `least` is lowered to 2 % of the file system where that is less.
    ///
    /// # Errors
    /// A folder that cannot be looked at.
    pub(crate) fn new(folder: PathBuf, least: u64) -> io::Result<Self> {
        let (_, total) = measure(&folder)?;
        let space =
            Self { folder, least: least.min(total / 50), free: AtomicU64::new(0), closed: Mutex::new(None) };
        space.look();
        Ok(space)
    }

    /// Looks again. Called every few seconds.
    pub(crate) fn look(&self) {
        let mut closed = lock(&self.closed);
        match measure(&self.folder) {
            Ok((free, _)) => {
                self.free.store(free, Ordering::Relaxed);
                // Some more than the least before it opens again, so that it does not flutter.
                let enough = if closed.is_some() { self.least + self.least / 4 } else { self.least };
                if free >= enough {
                    if closed.take().is_some() {
                        tracing::info!(free_bytes = free, "taking in again");
                    }
                } else if closed.is_none() {
                    let text = format!(
                        "only {} MiB are free in {}, expected at least {} MiB: make room there",
                        free >> 20,
                        self.folder.display(),
                        self.least >> 20
                    );
                    tracing::error!(
                        free_bytes = free,
                        error = text,
                        "nothing is taken in; agents keep what they have"
                    );
                    *closed = Some(text);
                }
            }
            Err(error) => {
                tracing::error!(%error, folder = %self.folder.display(), "cannot look at the disk");
                closed.get_or_insert_with(|| format!("cannot look at the disk: {error}"));
            }
        }
    }

    /// The journal could not be written: nothing is taken in until the next look finds room.
    pub(crate) fn failed(&self, error: &io::Error) {
        lock(&self.closed).get_or_insert_with(|| {
            format!("cannot write in {}: {error}; make room or repair the disk", self.folder.display())
        });
    }

    /// Why nothing is taken in; `None` when all is well.
    pub(crate) fn problem(&self) -> Option<String> {
        lock(&self.closed).clone()
    }

    /// Free bytes at the last look.
    pub(crate) fn free(&self) -> u64 {
        self.free.load(Ordering::Relaxed)
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
        let mut space = Space::new(folder.path().to_owned(), 1 << 10).unwrap();
        assert_eq!(space.problem(), None);
        assert!(space.free() > 0);
        space.failed(&io::Error::from_raw_os_error(28));
        assert!(space.problem().unwrap().contains("No space left"), "{:?}", space.problem());
        space.look();
        assert_eq!(space.problem(), None);
        space.least = u64::MAX / 2;
        space.look();
        assert!(space.problem().unwrap().contains("make room"));
    }
}
