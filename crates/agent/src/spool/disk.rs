//! Free space of the disk that the queues lie on.

use super::SpoolError;
use nix::sys::statvfs::statvfs;
use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// One part in this many of a small disk stays free, however much the settings ask for.
const SHARE: u64 = 50;

/// The disk, and how much of it the queues leave free.
pub(super) struct Disk {
    folder: PathBuf,
    least_bytes: u64,
    /// Bytes that count as taken, besides those that are.
    taken: AtomicU64,
}

/// How full the disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Space {
    /// Bytes that may still be written.
    pub(super) free: u64,
    /// With less than this nothing is queued.
    pub(super) least: u64,
}

impl Disk {
    pub(super) fn new(folder: &Path, least_bytes: u64) -> Self {
        Self { folder: folder.to_owned(), least_bytes, taken: AtomicU64::new(0) }
    }

    /// How full it is now. Of a disk that does not tell, nothing is known to be wrong.
    pub(super) fn space(&self) -> Space {
        let Ok(stat) = statvfs(&self.folder) else { return Space { free: u64::MAX, least: 0 } };
        // The types differ between systems.
        #[allow(clippy::useless_conversion)]
        let (block, blocks, free) =
            (u64::from(stat.fragment_size()), u64::from(stat.blocks()), u64::from(stat.blocks_available()));
        let free = free.saturating_mul(block).saturating_sub(self.taken.load(Ordering::Relaxed));
        Space { free, least: self.least_bytes.min(blocks.saturating_mul(block) / SHARE) }
    }

    /// Whether there is room for `bytes` more.
    ///
    /// # Errors
    /// There is not.
    pub(super) fn check(&self, bytes: u64) -> Result<(), SpoolError> {
        let Space { free, least } = self.space();
        if free >= least.saturating_add(bytes) {
            return Ok(());
        }
        Err(SpoolError::LittleSpace { free, least })
    }

    /// Makes it look as if so much less were free.
    #[cfg(test)]
    pub(crate) fn take(&self, bytes: u64) {
        self.taken.store(bytes, Ordering::Relaxed);
    }
}
