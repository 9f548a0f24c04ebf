//! The agent's data folder: private, and used by one agent at a time.

use crate::AgentError;
use std::{
    fs::{self, File, TryLockError},
    os::unix::fs::DirBuilderExt as _,
    path::Path,
};

const LOCK: &str = "lock";

/// The folder is this agent's until the value is dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    _lock: File,
}

/// Makes the folder if it is not there, readable by its owner alone, and takes hold of it.
///
/// # Errors
/// It cannot be used, or another agent uses it.
pub(crate) fn take(folder: &Path) -> Result<Hold, AgentError> {
    let failed = |source| AgentError::File { path: folder.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let path = folder.join(LOCK);
    let lock = File::options().create(true).truncate(false).write(true).open(&path);
    let lock = lock.map_err(|source| AgentError::File { path, source })?;
    match lock.try_lock() {
        Ok(()) => Ok(Hold { _lock: lock }),
        Err(TryLockError::WouldBlock) => Err(AgentError::InUse(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Whether an agent uses the folder now.
pub(crate) fn is_in_use(folder: &Path) -> bool {
    let Ok(lock) = File::open(folder.join(LOCK)) else { return false };
    matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn one_agent_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("a/b");
        let hold = take(&data).unwrap();
        assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(is_in_use(&data));
        let error = take(&data).unwrap_err();
        assert!(error.to_string().contains("another agent"), "{error}");
        drop(hold);
        assert!(!is_in_use(&data));
        take(&data).unwrap();
    }
}
