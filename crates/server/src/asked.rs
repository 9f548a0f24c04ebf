//! Why something that people ask about policies and sessions is not done.

use playhead_db::DbError;

/// Why it was not done. The words are for whoever asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no such thing.
    #[error("{0}")]
    Missing(String),
    /// It makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// It does not go together with what is there.
    #[error("{0}")]
    Conflict(String),
    /// Whoever would have to do it is away.
    #[error("{0}")]
    Away(String),
    /// Whoever would have to do it has not answered in time.
    #[error("{0}")]
    Late(String),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl AskError {
    pub(crate) fn invalid(error: impl std::fmt::Display) -> Self {
        Self::Invalid(error.to_string())
    }
}
