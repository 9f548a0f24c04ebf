//! What can go wrong with a database.

/// Why a database could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// An address that names no database of a known kind.
    #[error(
        "expected a database address such as sqlite:/path/file.db or postgres://user@host/name, got one that starts with '{0}'"
    )]
    Address(String),
    /// The database cannot be reached or opened.
    #[error(
        "cannot open the database {address}: {source}; check that it exists, runs and may be used by this program"
    )]
    Open {
        /// Its address without password.
        address: String,
        /// Why.
        source: sqlx::Error,
    },
    /// The database was used by a newer version.
    #[error(
        "the database's {area} tables have version {actual}, this program knows versions up to {expected}: use a newer version of playhead"
    )]
    Newer {
        /// Which tables.
        area: &'static str,
        /// The highest version known here.
        expected: i64,
        /// The version there.
        actual: i64,
    },
    /// A migration failed; the database is as it was.
    #[error("cannot bring the database's {area} tables to version {version}: {source}")]
    Migration {
        /// Which tables.
        area: &'static str,
        /// The version.
        version: i64,
        /// Why.
        source: sqlx::Error,
    },
    /// A query failed.
    #[error("the database failed: {0}")]
    Query(#[from] sqlx::Error),
    /// A value in the database makes no sense.
    #[error("column {column} of the database holds no valid {expected}: restore the database from a backup")]
    Content {
        /// The column.
        column: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// Another server took over what this one held.
    #[error("another server of the site has taken over what this one held: its signs of life came too late")]
    Fenced,
    /// The recording belongs to another server now.
    #[error("recording {0} belongs to another server of the site now")]
    NotOwner(playhead_model::RecordingId),
    /// A cursor that this program did not make.
    #[error("expected the cursor of an earlier answer, got '{0}'")]
    Cursor(String),
}

/// PostgreSQL's code for characters that its texts cannot hold.
const UNFIT_TEXT: &str = "22021";

impl DbError {
    /// Whether a row could not be written because one with the same key is there.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Query(sqlx::Error::Database(error)) if error.is_unique_violation())
    }

    /// Whether a text was given that the database takes none of: PostgreSQL has no character NUL. That is whoever sent it to blame for.
    pub fn is_unfit_text(&self) -> bool {
        matches!(self, Self::Query(sqlx::Error::Database(error)) if error.code().as_deref() == Some(UNFIT_TEXT))
    }
}
