use std::io;
use std::path::{Path, PathBuf};

use x11rb::errors::{ConnectError, ConnectionError, ReplyError, ReplyOrIdError};

/// Why a desktop did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DesktopError {
    /// A program is missing.
    #[error("{program} is not installed: install the Debian package {package}")]
    Missing {
        /// The program looked for.
        program: &'static str,
        /// The package that has it.
        package: &'static str,
    },
    /// The picture asked for is too small to work on.
    #[error("a desktop of {width}x{height} is too small: at least 640x480 are needed")]
    Size {
        /// Width asked for, in pixels.
        width: u16,
        /// Height asked for, in pixels.
        height: u16,
    },
    /// A process could not be started.
    #[error("could not start {program}: {source}")]
    Spawn {
        /// What was to be started.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The X server did not start, or ended.
    #[error("the X server Xvfb: {why}; its own words: {log}")]
    Server {
        /// What was seen from outside.
        why: String,
        /// The end of its error output.
        log: String,
    },
    /// A window did not show up.
    #[error("{program} showed no window within {seconds} s: is the machine overloaded?")]
    NoWindow {
        /// The application waited for.
        program: &'static str,
        /// How long it was waited for.
        seconds: u64,
    },
    /// A request to the X server failed.
    #[error("the X server does not answer: {0}")]
    X(Box<dyn std::error::Error + Send + Sync>),
    /// A file or folder could not be made or removed.
    #[error("{path}: {source}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It was told to stop.
    #[error("the desktop was stopped")]
    Stopped,
}

impl DesktopError {
    /// Adds the path to an I/O error.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}

impl From<ConnectError> for DesktopError {
    fn from(error: ConnectError) -> Self {
        Self::X(Box::new(error))
    }
}

impl From<ConnectionError> for DesktopError {
    fn from(error: ConnectionError) -> Self {
        Self::X(Box::new(error))
    }
}

impl From<ReplyError> for DesktopError {
    fn from(error: ReplyError) -> Self {
        Self::X(Box::new(error))
    }
}

impl From<ReplyOrIdError> for DesktopError {
    fn from(error: ReplyOrIdError) -> Self {
        Self::X(Box::new(error))
    }
}
