//! How fast a disk takes what is written as the journal writes it: group after group to the end of a file, each followed by a sync.

use anyhow::{Context as _, Result};
use std::{fs::OpenOptions, io::Write as _, path::Path, time::Instant};

/// Bytes between two syncs: what the journal writes at most.
const GROUP: usize = 16 << 20;
/// Bytes handed to the system at a time.
const PIECE: usize = 1 << 20;
const GROUPS: usize = 32;

/// MB a second.
///
/// # Errors
/// The folder cannot be written.
pub(super) fn measure(folder: &Path) -> Result<f64> {
    let path = folder.join(format!("playhead-disk-{}", std::process::id()));
    let failed = || format!("cannot measure the disk at {}", path.display());
    // Not compressible, in case the disk would.
    let mut random = super::surface::Random::new(1);
    let piece: Vec<u8> = (0..PIECE / 8).flat_map(|_| random.next().to_le_bytes()).collect();
    let mut file = OpenOptions::new().create_new(true).write(true).open(&path).with_context(failed)?;
    let began = Instant::now();
    let written = (0..GROUPS).try_for_each(|_| {
        (0..GROUP / PIECE).try_for_each(|_| file.write_all(&piece))?;
        file.sync_data()
    });
    let seconds = began.elapsed().as_secs_f64();
    std::fs::remove_file(&path).with_context(failed)?;
    written.with_context(failed)?;
    Ok((GROUP * GROUPS) as f64 / 1e6 / seconds)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_disk_is_measured_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        assert!(super::measure(folder.path()).unwrap() > 0.0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(super::measure(&folder.path().join("none")).is_err());
    }
}
