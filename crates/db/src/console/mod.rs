//! What a console keeps: accounts, sessions, directories, API clients, sites, recording servers and join tokens.

mod accounts;
mod api_clients;
mod directories;
mod kinds;
mod remembered;
mod schema;
mod sites;
mod tokens;

pub use accounts::{Account, Session};
pub use api_clients::{ApiClient, ApiToken};
pub use directories::{Changed, Directory, DirectoryAccount, DirectoryRole, Entered};
pub use kinds::{DirectoryKind, PrincipalKind, UnknownKind};
pub use remembered::{MemoryLimits, SeenPrincipal};
pub use sites::{Deleted, Server, Site};
pub use tokens::{JoinOutcome, Joining, NewToken, Token};

use crate::{Database, DbError};

/// A console's database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    database: Database,
}

impl Store {
    /// Opens the console's database at `url`, `sqlite:PATH` or `postgres://…`, and brings its tables up to date.
    ///
    /// # Errors
    /// Those of [`Database::open`].
    pub async fn open(url: &str) -> Result<Self, DbError> {
        Ok(Self { database: Database::open(url, &schema::AREA).await? })
    }

    /// Asks the database for an answer.
    ///
    /// # Errors
    /// There is none.
    pub async fn ping(&self) -> Result<(), DbError> {
        sqlx::query("SELECT COUNT(*) FROM accounts").execute(self.database.reader()).await?;
        Ok(())
    }

    /// Closes the database, after what is under way has ended.
    pub async fn close(&self) {
        self.database.close().await;
    }
}
