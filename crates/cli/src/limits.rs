//! What the system lets this process have.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the number of files and connections that may be open to the most that the system lets this process have: a server has
/// one for each session, and shells begin with a thousand.
pub(crate) fn raise_open_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(now, most)| {
        if now < most { setrlimit(Resource::RLIMIT_NOFILE, most, most) } else { Ok(()) }
    });
    if let Err(error) = raised {
        tracing::warn!(%error, "cannot raise the number of files that may be open");
    }
}

/// How many files and connections may be open.
pub(crate) fn open_files() -> Option<u64> {
    getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(now, _)| now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_files_as_allowed() {
        raise_open_files();
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(open_files(), Some(most));
    }
}
