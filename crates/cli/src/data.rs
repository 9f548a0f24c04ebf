//! Data folders.

use anyhow::{Context as _, bail};
use nix::fcntl::{Flock, FlockArg};
use std::{
    env,
    fs::{self, File},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

/// A data folder in use. Dropping it lets another process use it.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _lock: Flock<File>,
}

impl Folder {
    /// Makes the folder where it is missing, readable by its owner only, and takes it for this process.
    ///
    /// # Errors
    /// It cannot be made, or another process uses it.
    pub(crate) fn take(path: &Path) -> anyhow::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("cannot make the folder {}", path.display()))?;
        let path =
            path.canonicalize().with_context(|| format!("cannot use the folder {}", path.display()))?;
        let lock = path.join("lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock)
            .with_context(|| format!("cannot write to the folder {}", path.display()))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self { path, _lock: lock }),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => bail!(
                "another playhead uses the folder {}: stop it, or give this one another folder with --data",
                path.display()
            ),
            Err((_, error)) => bail!("cannot lock {}: {error}", lock.display()),
        }
    }

    /// Its absolute path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Where data of this kind lies when nothing else is said: below the user's own data folder.
pub(crate) fn default_folder(kind: &str) -> anyhow::Result<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
    let base =
        base.context("cannot tell where data should lie, because HOME is not set: say it with --data")?;
    Ok(base.join("playhead").join(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_user_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let first = Folder::take(&path).unwrap();
        let error = Folder::take(&path).unwrap_err().to_string();
        assert!(error.starts_with("another playhead uses the folder"), "{error}");
        drop(first);
        Folder::take(&path).unwrap();
    }
}
