//! Opening a database and getting connections to it.

use crate::{Area, DbError, migrate};
use sqlx::{Any, AnyConnection, AnyPool, Transaction, any::AnyPoolOptions};
use std::time::Duration;

/// Connections that only read.
const READERS: u32 = 4;
/// Connections to PostgreSQL for writing. SQLite has exactly one: it takes one writer at a time anyway, and waiting for our own
/// connection is fair where waiting for its lock is not.
const POSTGRES_WRITERS: u32 = 4;
const PATIENCE: Duration = Duration::from_secs(10);

/// Which database it is, for the few places where the text must differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite, a file of ours.
    Sqlite,
    /// PostgreSQL, a server.
    Postgres,
}

/// An open database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    readers: AnyPool,
    writers: AnyPool,
    dialect: Dialect,
}

/// A transaction that may write. Rolled back when dropped without [`WriteTx::commit`]. Dereferences to the connection.
pub struct WriteTx(Transaction<'static, Any>);

impl Database {
    /// Opens the database at `url`, `sqlite:PATH` (made when it is not there) or `postgres://…`, and brings the area's tables up
    /// to date. Programs that do so at the same time wait for each other.
    ///
    /// # Errors
    /// An address of another kind, a database that cannot be reached, tables of a newer version.
    pub async fn open(url: &str, area: &Area) -> Result<Self, DbError> {
        sqlx::any::install_default_drivers();
        let (dialect, url) = dialect_of(url)?;
        let opened = |source| DbError::Open { address: without_password(&url), source };
        // The writer first: on SQLite it makes the file and switches it to its write-ahead log.
        let writers = pool(dialect, false).connect(&url).await.map_err(opened)?;
        let readers = pool(dialect, true).connect(&url).await.map_err(opened)?;
        let database = Self { readers, writers, dialect };
        let mut tx = database.write().await?;
        migrate::migrate(&mut tx, dialect, area).await?;
        tx.commit().await?;
        Ok(database)
    }

    /// Connections for queries that only read.
    pub fn reader(&self) -> &AnyPool {
        &self.readers
    }

    /// Begins a transaction that may write. On SQLite there is one at a time.
    ///
    /// # Errors
    /// The database cannot be reached, or is busy for too long.
    pub async fn write(&self) -> Result<WriteTx, DbError> {
        let begin = match self.dialect {
            // Takes the write lock at once: a transaction that begins by reading could not get it later.
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            Dialect::Postgres => "BEGIN",
        };
        // A COMMIT that fails, because the disk is full for example, leaves sqlx with a connection that counts a transaction which
        // the database has ended. Such a connection never begins another: it is closed, and the pool makes a new one.
        for _ in 0..self.writers.options().get_max_connections() {
            match self.writers.begin_with(begin).await {
                Err(sqlx::Error::InvalidSavePointStatement) => self.writers.acquire().await?.close().await?,
                begun => return Ok(WriteTx(begun?)),
            }
        }
        Ok(WriteTx(self.writers.begin_with(begin).await?))
    }

    /// Runs a statement that must not stand in a transaction.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn outside(&self, statement: &'static str) -> Result<(), DbError> {
        sqlx::query(statement).execute(&self.writers).await?;
        Ok(())
    }

    /// Which database it is.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Closes all connections, after what is under way has ended.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}

impl WriteTx {
    /// Makes everything that was written durable and visible.
    ///
    /// # Errors
    /// The database refuses; nothing was written then.
    pub async fn commit(self) -> Result<(), DbError> {
        Ok(self.0.commit().await?)
    }
}

impl std::ops::Deref for WriteTx {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.0
    }
}

impl std::ops::DerefMut for WriteTx {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.0
    }
}

impl std::fmt::Debug for WriteTx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WriteTx")
    }
}

fn pool(dialect: Dialect, reads_only: bool) -> AnyPoolOptions {
    let most = match dialect {
        _ if reads_only => READERS,
        Dialect::Sqlite => 1,
        Dialect::Postgres => POSTGRES_WRITERS,
    };
    AnyPoolOptions::new().max_connections(most).acquire_timeout(PATIENCE).after_connect(
        move |connection, _| {
            Box::pin(async move {
                if dialect == Dialect::Sqlite {
                    prepare_sqlite(connection, reads_only).await?;
                }
                Ok(())
            })
        },
    )
}

/// `synchronous = FULL`: after a row says that a segment is stored, its copy in the journal goes. With NORMAL a power cut could take
/// back the row although the copy is gone. The price is one sync a commit, about one a second.
async fn prepare_sqlite(connection: &mut AnyConnection, reads_only: bool) -> Result<(), sqlx::Error> {
    let settings: &[&str] = if reads_only {
        &["PRAGMA busy_timeout = 5000", "PRAGMA query_only = ON"]
    } else {
        &[
            "PRAGMA busy_timeout = 5000",
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            "PRAGMA foreign_keys = ON",
            // A key that is deleted must not be found in the file.
            "PRAGMA secure_delete = ON",
        ]
    };
    for &setting in settings {
        sqlx::query(setting).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Tells the dialect and gives the address in sqlx's form: SQLite files are made when absent, whatever characters their path has.
fn dialect_of(url: &str) -> Result<(Dialect, String), DbError> {
    if let Some(path) = url.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        let mut escaped = String::with_capacity(path.len());
        for char in path.chars() {
            match char {
                '%' => escaped.push_str("%25"),
                '?' => escaped.push_str("%3F"),
                '#' => escaped.push_str("%23"),
                _ => escaped.push(char),
            }
        }
        return Ok((Dialect::Sqlite, format!("sqlite:{escaped}?mode=rwc")));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok((Dialect::Postgres, url.to_owned()));
    }
    Err(DbError::Address(url.chars().take_while(|&char| char != ':').take(32).collect()))
}

/// The address for messages: a password between `:` and `@` is left out, and so are parameters.
fn without_password(url: &str) -> String {
    let url = url.split('?').next().unwrap_or(url);
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => {
            let user = &url[scheme + 3..at];
            let user = user.split(':').next().unwrap_or_default();
            format!("{}{user}{}", &url[..scheme + 3], &url[at..])
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_disk_stops_writing_only_while_it_is_full() {
        if !nix::unistd::geteuid().is_root() {
            println!("not run: mounting a small disk needs root");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let size = Some("size=1m");
        nix::mount::mount(Some("tmpfs"), folder.path(), Some("tmpfs"), nix::mount::MsFlags::empty(), size)
            .unwrap();
        let url = format!("sqlite:{}/site.db", folder.path().display());
        let database = Database::open(&url, &crate::site::AREA).await.unwrap();
        let write = async || -> Result<(), DbError> {
            let mut tx = database.write().await?;
            sqlx::query("CREATE TABLE IF NOT EXISTS filler (bytes BLOB)").execute(&mut *tx).await?;
            sqlx::query("INSERT INTO filler VALUES (zeroblob(20000))").execute(&mut *tx).await?;
            tx.commit().await
        };
        let hog = folder.path().join("hog");
        let mut file = std::fs::File::create(&hog).unwrap();
        while std::io::Write::write_all(&mut file, &[0; 512]).is_ok() {}
        let mut refused = 0;
        while refused < 3 {
            refused += u32::from(write().await.is_err());
        }
        drop(file);
        std::fs::remove_file(&hog).unwrap();
        write().await.unwrap();
        database.close().await;
        nix::mount::umount2(folder.path(), nix::mount::MntFlags::MNT_DETACH).unwrap();
    }

    #[test]
    fn addresses_are_told_apart_and_passwords_hidden() {
        assert_eq!(
            dialect_of("sqlite:/a b/50%?.db").unwrap(),
            (Dialect::Sqlite, "sqlite:/a b/50%25%3F.db?mode=rwc".into())
        );
        assert!(matches!(dialect_of("mysql://x"), Err(DbError::Address(text)) if text == "mysql"));
        assert_eq!(without_password("postgres://u:p@ss@h:5/d?password=x"), "postgres://u@h:5/d");
        assert_eq!(without_password("sqlite:/a/b.db?mode=rwc"), "sqlite:/a/b.db");
    }
}
