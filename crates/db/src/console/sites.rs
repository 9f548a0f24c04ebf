//! Sites and their recording servers, as a console knows them.

use super::Store;
use crate::{DbError, RowExt as _};
use playhead_model::{ServerId, SiteId, WallTime};
use sqlx::{AnyConnection, any::AnyRow};

/// A site at this console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its id here.
    pub id: SiteId,
    /// The id that its own database has; none while no server has joined.
    pub database: Option<SiteId>,
    /// Its name; no other site has it.
    pub name: String,
    /// What people should know about it.
    pub description: String,
    /// When it became known here.
    pub created_at: WallTime,
}

/// A recording server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its id here.
    pub id: ServerId,
    /// The site that it belongs to.
    pub site: SiteId,
    /// Its name.
    pub name: String,
    /// The Ed25519 key by which it proves who it is, unpadded URL-safe base64; of no use as a key for one in this process.
    pub public_key: String,
    /// Its version.
    pub version: String,
    /// Since when it is connected. May be left over from a console that was killed.
    pub connected_at: Option<WallTime>,
    /// When it was last heard of.
    pub last_seen: Option<WallTime>,
}

/// What came of deleting a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone.
    Gone,
    /// There was none.
    Unknown,
    /// It was left, because servers belong to it.
    HasServers {
        /// How many.
        count: u64,
    },
}

impl Store {
    /// All sites by name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn sites(&self) -> Result<Vec<Site>, DbError> {
        let rows =
            sqlx::query("SELECT id, database_id, name, description, created_at FROM sites ORDER BY name")
                .fetch_all(self.database.reader())
                .await?;
        rows.iter().map(site).collect()
    }

    /// Adds a site. `false` when its name is taken.
    ///
    /// # Errors
    /// The database failed.
    pub async fn create_site(&self, site: &Site) -> Result<bool, DbError> {
        let mut tx = self.database.write().await?;
        let done = insert_site(&mut tx, site).await;
        taken_or(done)?.then_commit(tx).await
    }

    /// Writes a site's name and description. `false` when the name is taken.
    ///
    /// # Errors
    /// The database failed.
    pub async fn change_site(&self, site: &Site) -> Result<bool, DbError> {
        let mut tx = self.database.write().await?;
        let done = sqlx::query("UPDATE sites SET name = $2, description = $3 WHERE id = $1")
            .bind(site.id.to_string())
            .bind(&site.name)
            .bind(&site.description)
            .execute(&mut *tx)
            .await;
        taken_or(done.map(drop).map_err(DbError::from))?.then_commit(tx).await
    }

    /// Deletes a site that has no servers, and the join tokens made for it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn delete_site(&self, id: SiteId) -> Result<Deleted, DbError> {
        let mut tx = self.database.write().await?;
        let row = sqlx::query("SELECT COUNT(*) AS servers FROM servers WHERE site = $1")
            .bind(id.to_string())
            .fetch_one(&mut *tx)
            .await?;
        let count = row.count("servers")?;
        if count > 0 {
            return Ok(Deleted::HasServers { count });
        }
        let done =
            sqlx::query("DELETE FROM sites WHERE id = $1").bind(id.to_string()).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(if done.rows_affected() == 0 { Deleted::Unknown } else { Deleted::Gone })
    }

    /// All servers by name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn servers(&self) -> Result<Vec<Server>, DbError> {
        let rows = sqlx::query(
            "SELECT id, site, name, public_key, version, connected_at, last_seen FROM servers ORDER BY name, id",
        )
        .fetch_all(self.database.reader())
        .await?;
        rows.iter().map(server).collect()
    }

    /// The server of this id.
    ///
    /// # Errors
    /// The database failed.
    pub async fn server(&self, id: ServerId) -> Result<Option<Server>, DbError> {
        let row = sqlx::query(
            "SELECT id, site, name, public_key, version, connected_at, last_seen FROM servers WHERE id = $1",
        )
        .bind(id.to_string())
        .fetch_optional(self.database.reader())
        .await?;
        row.as_ref().map(server).transpose()
    }

    /// Forgets a server: its key opens nothing any more. `false` when there was none.
    ///
    /// # Errors
    /// The database failed.
    pub async fn remove_server(&self, id: ServerId) -> Result<bool, DbError> {
        let mut tx = self.database.write().await?;
        let done =
            sqlx::query("DELETE FROM servers WHERE id = $1").bind(id.to_string()).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Makes the server in this process known, and its site as well when it is new. `new` is what they get at their first time; of a
    /// server known already, name and version are brought up to date. Gives the ids.
    ///
    /// # Errors
    /// The database failed.
    pub async fn attach(
        &self,
        database: SiteId,
        new: &Server,
        site_name: &str,
        now: WallTime,
    ) -> Result<Server, DbError> {
        let mut tx = self.database.write().await?;
        let site = match site_of(&mut tx, database).await? {
            Some(site) => site.id,
            None => appear(&mut tx, new.site, database, site_name, now).await?,
        };
        let id = put_server(&mut tx, &Server { site, ..new.clone() }, None, now).await?;
        tx.commit().await?;
        Ok(Server { id, site, ..new.clone() })
    }

    /// Notes that a server is connected from now on.
    ///
    /// # Errors
    /// The database failed.
    pub async fn server_connected(&self, id: ServerId, now: WallTime) -> Result<(), DbError> {
        self.note(id, now, "UPDATE servers SET connected_at = $2, last_seen = $2 WHERE id = $1").await
    }

    /// Notes that a server is still there.
    ///
    /// # Errors
    /// The database failed.
    pub async fn server_seen(&self, id: ServerId, now: WallTime) -> Result<(), DbError> {
        self.note(id, now, "UPDATE servers SET last_seen = $2 WHERE id = $1").await
    }

    /// Notes that a server is no longer connected.
    ///
    /// # Errors
    /// The database failed.
    pub async fn server_disconnected(&self, id: ServerId, now: WallTime) -> Result<(), DbError> {
        self.note(id, now, "UPDATE servers SET connected_at = NULL, last_seen = $2 WHERE id = $1").await
    }

    async fn note(&self, id: ServerId, now: WallTime, sql: &'static str) -> Result<(), DbError> {
        let mut tx = self.database.write().await?;
        sqlx::query(sql).bind(id.to_string()).bind(now.as_micros()).execute(&mut *tx).await?;
        tx.commit().await
    }
}

/// The site that has this database.
pub(super) async fn site_of(tx: &mut AnyConnection, database: SiteId) -> Result<Option<Site>, DbError> {
    let row = sqlx::query(
        "SELECT id, database_id, name, description, created_at FROM sites WHERE database_id = $1",
    )
    .bind(database.to_string())
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(site).transpose()
}

/// The site of this id.
pub(super) async fn site_by_id(tx: &mut AnyConnection, id: SiteId) -> Result<Option<Site>, DbError> {
    let row = sqlx::query("SELECT id, database_id, name, description, created_at FROM sites WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(tx)
        .await?;
    row.as_ref().map(site).transpose()
}

/// Makes a site for a database that comes for the first time. A name that is taken gets a number.
pub(super) async fn appear(
    tx: &mut AnyConnection,
    id: SiteId,
    database: SiteId,
    name: &str,
    now: WallTime,
) -> Result<SiteId, DbError> {
    let rows = sqlx::query("SELECT name FROM sites").fetch_all(&mut *tx).await?;
    let taken = rows.iter().map(|row| row.text("name")).collect::<Result<Vec<_>, _>>()?;
    let numbered =
        (1u64..).map(|number| if number == 1 { name.to_owned() } else { format!("{name} {number}") });
    let mut free = numbered.filter(|name| !taken.contains(name));
    // There are more numbers than sites.
    let name = free.next().unwrap_or_default();
    let site = Site { id, database: Some(database), name, description: String::new(), created_at: now };
    insert_site(tx, &site).await?;
    Ok(id)
}

async fn insert_site(tx: &mut AnyConnection, site: &Site) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO sites (id, database_id, name, description, created_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(site.id.to_string())
    .bind(site.database.map(|database| database.to_string()))
    .bind(&site.name)
    .bind(&site.description)
    .bind(site.created_at.as_micros())
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes a server; one with the same key keeps its id. Gives the id.
pub(super) async fn put_server(
    tx: &mut AnyConnection,
    server: &Server,
    joined_by: Option<&str>,
    now: WallTime,
) -> Result<ServerId, DbError> {
    let row = sqlx::query(
        "INSERT INTO servers (id, site, name, public_key, version, joined_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (public_key) DO UPDATE SET
             site = excluded.site, name = excluded.name, version = excluded.version, joined_by = excluded.joined_by
         RETURNING id",
    )
    .bind(server.id.to_string())
    .bind(server.site.to_string())
    .bind(&server.name)
    .bind(&server.public_key)
    .bind(&server.version)
    .bind(joined_by)
    .bind(now.as_micros())
    .fetch_one(tx)
    .await?;
    row.parsed("id", "server id")
}

/// Whether a write went through or met a name that is taken.
struct Outcome(bool);

impl Outcome {
    async fn then_commit(self, tx: crate::WriteTx) -> Result<bool, DbError> {
        if self.0 {
            tx.commit().await?;
        }
        Ok(self.0)
    }
}

fn taken_or(done: Result<(), DbError>) -> Result<Outcome, DbError> {
    match done {
        Ok(()) => Ok(Outcome(true)),
        Err(error) if error.is_conflict() => Ok(Outcome(false)),
        Err(error) => Err(error),
    }
}

fn site(row: &AnyRow) -> Result<Site, DbError> {
    Ok(Site {
        id: row.parsed("id", "site id")?,
        database: row.parsed_or_null("database_id", "site id")?,
        name: row.text("name")?,
        description: row.text("description")?,
        created_at: row.time("created_at")?,
    })
}

fn server(row: &AnyRow) -> Result<Server, DbError> {
    Ok(Server {
        id: row.parsed("id", "server id")?,
        site: row.parsed("site", "site id")?,
        name: row.text("name")?,
        public_key: row.text("public_key")?,
        version: row.text("version")?,
        connected_at: row.time_or_null("connected_at")?,
        last_seen: row.time_or_null("last_seen")?,
    })
}
