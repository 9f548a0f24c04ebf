//! The servers of a site: signs of life, and who may act for which recording.
//!
//! Whoever acts names its [`Owner`]: the server and the epoch that it was given at its start. Another server that takes over raises the
//! epoch first, so that what the old one still tries is refused inside the transaction. Times are the database's own; whether a server
//! is alive is told by watching its signs of life change, not by comparing clocks.

use super::Store;
use crate::{Content as _, DbError, Dialect, RowExt as _, WriteTx};
use playhead_model::{RecordingId, ServerId, WallTime};
use sqlx::{AssertSqlSafe, any::AnyRow};
use std::{fmt, str::FromStr};

/// A server at one of its starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The server.
    pub server: ServerId,
    /// Which of its starts, or of the take-overs from it.
    pub epoch: u64,
}

/// What a server is doing, as far as the others know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerState {
    /// It takes recordings in.
    Running,
    /// It is about to stop and hands over what it holds.
    Draining,
    /// It has stopped in order.
    Stopped,
    /// Nothing was heard of it, and another one is taking over what it held.
    Lost,
    /// Another one has taken over everything.
    Gone,
}

impl ServerState {
    /// The name in the database and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
            Self::Lost => "lost",
            Self::Gone => "gone",
        }
    }
}

impl fmt::Display for ServerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no state of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected one of running, draining, stopped, lost, gone")]
pub struct ServerStateError;

impl FromStr for ServerState {
    type Err = ServerStateError;

    fn from_str(text: &str) -> Result<Self, ServerStateError> {
        [Self::Running, Self::Draining, Self::Stopped, Self::Lost, Self::Gone]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(ServerStateError)
    }
}

/// A server that starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewServer {
    /// Its id.
    pub id: ServerId,
    /// Its name for people.
    pub name: String,
    /// Where the others reach it; empty when they cannot.
    pub url: String,
    /// The certificate authority to trust there, DER in unpadded URL-safe base64.
    pub authority: String,
    /// Its public key, unpadded URL-safe base64.
    pub public_key: String,
    /// Its version.
    pub version: String,
    /// Whether what it acknowledges survives its loss.
    pub shared: bool,
    /// For how long it may act after a sign of life, milliseconds.
    pub lease_ms: u64,
}

/// A server as the site knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerRow {
    /// What it said of itself at its last start.
    pub server: NewServer,
    /// Which start, or take-over from it.
    pub epoch: u64,
    /// Signs of life since it is known.
    pub beats: u64,
    /// Microseconds since the last one, by the database's clock.
    pub age_us: u64,
    /// What it is doing.
    pub state: ServerState,
    /// Ids of the storage locations that its shared journal has used.
    pub locations: Vec<String>,
    /// Who takes over what it held.
    pub adopter: Option<ServerId>,
    /// When it was started, by the database's clock.
    pub started_at: WallTime,
    /// How many live recordings belong to it.
    pub live_recordings: u64,
}

impl ServerRow {
    /// The server at its present epoch.
    pub fn owner(&self) -> Owner {
        Owner { server: self.server.id, epoch: self.epoch }
    }

    fn read(row: &AnyRow) -> Result<Self, DbError> {
        let unreadable = |_| DbError::Content { column: "locations", expected: "list of locations" };
        Ok(Self {
            server: NewServer {
                id: row.parsed("id", "id")?,
                name: row.text("name")?,
                url: row.text("url")?,
                authority: row.text("authority")?,
                public_key: row.text("public_key")?,
                version: row.text("version")?,
                shared: row.text("durable")? == SHARED,
                lease_ms: row.count("lease_ms")?,
            },
            epoch: row.count("epoch")?,
            beats: row.count("beats")?,
            age_us: u64::try_from(row.integer("age")?).unwrap_or(0),
            state: row.parsed("state", "state of a server")?,
            locations: serde_json::from_str(&row.text("locations")?).map_err(unreadable)?,
            adopter: row.parsed_or_null("adopter", "id")?,
            started_at: row.time("started_at")?,
            live_recordings: row.count("live")?,
        })
    }
}

/// How a row is kept as it is. A shared lock must not be followed by a change of the row: two who do that wait for each other.
#[derive(Clone, Copy)]
enum Lock {
    Shared,
    Alone,
}

const SHARED: &str = "shared";
const DISK: &str = "disk";

impl Store {
    /// The database's own time, as SQL of microseconds since the epoch.
    fn clock(&self) -> &'static str {
        match self.db.dialect() {
            Dialect::Sqlite => "CAST(unixepoch('subsec') * 1000000 AS BIGINT)",
            Dialect::Postgres => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
        }
    }

    /// Keeps a row that was read as it is until the transaction ends. SQLite has one that writes at a time anyway.
    fn locked(&self, lock: Lock) -> &'static str {
        match (self.db.dialect(), lock) {
            (Dialect::Sqlite, _) => "",
            (Dialect::Postgres, Lock::Shared) => " FOR SHARE",
            (Dialect::Postgres, Lock::Alone) => " FOR UPDATE",
        }
    }

    /// Makes a server that starts known, and gives it its epoch. What acts for an earlier one is refused from now on.
    ///
    /// # Errors
    /// The database's.
    pub async fn register_server(&self, server: &NewServer) -> Result<Owner, DbError> {
        let mut tx = self.write().await?;
        let now = self.clock();
        let text = format!(
            "INSERT INTO servers (id, name, url, authority, public_key, version, durable, lease_ms, epoch, beats, beat_at, state,
                locations, started_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, 0, {now}, 'running', '[]', {now})
             ON CONFLICT (id) DO UPDATE SET name = excluded.name, url = excluded.url, authority = excluded.authority,
                public_key = excluded.public_key, version = excluded.version, durable = excluded.durable,
                lease_ms = excluded.lease_ms, epoch = servers.epoch + 1, beats = servers.beats + 1, beat_at = excluded.beat_at,
                state = 'running', adopter = NULL, started_at = excluded.started_at
             RETURNING epoch"
        );
        let row = sqlx::query(AssertSqlSafe(text))
            .bind(server.id.to_string())
            .bind(server.name.clone())
            .bind(server.url.clone())
            .bind(server.authority.clone())
            .bind(server.public_key.clone())
            .bind(server.version.clone())
            .bind(if server.shared { SHARED } else { DISK })
            .bind(server.lease_ms.stored())
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Owner { server: server.id, epoch: row.count("epoch")? })
    }

    /// A sign of life. `false` when another server has taken over meanwhile: then nothing may be done for this epoch any more.
    ///
    /// # Errors
    /// The database's.
    pub async fn beat(&self, owner: Owner, state: ServerState) -> Result<bool, DbError> {
        let mut tx = self.write().await?;
        let text = format!(
            "UPDATE servers SET beats = beats + 1, beat_at = {}, state = $3 WHERE id = $1 AND epoch = $2",
            self.clock()
        );
        let done = sqlx::query(AssertSqlSafe(text))
            .bind(owner.server.to_string())
            .bind(owner.epoch.stored())
            .bind(state.as_str())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Writes down that parts of the server's shared journal lie at a location: whoever takes over looks there.
    ///
    /// # Errors
    /// The database's; [`DbError::Fenced`].
    pub async fn use_journal_location(&self, owner: Owner, location: &str) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        let text =
            format!("SELECT locations FROM servers WHERE id = $1 AND epoch = $2{}", self.locked(Lock::Alone));
        let row = sqlx::query(AssertSqlSafe(text))
            .bind(owner.server.to_string())
            .bind(owner.epoch.stored())
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else { return Err(DbError::Fenced) };
        let mut known: Vec<String> = serde_json::from_str(&row.text("locations")?).unwrap_or_default();
        if !known.iter().any(|known| known == location) {
            known.push(location.to_owned());
        }
        // Texts always serialise.
        let known = serde_json::to_string(&known).unwrap_or_default();
        sqlx::query("UPDATE servers SET locations = $2 WHERE id = $1")
            .bind(owner.server.to_string())
            .bind(known)
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    /// All servers that were ever started, by name.
    ///
    /// # Errors
    /// The database's.
    pub async fn servers(&self) -> Result<Vec<ServerRow>, DbError> {
        let text = format!(
            "SELECT id, name, url, authority, public_key, version, durable, lease_ms, epoch, beats, state, locations, adopter,
                started_at, {} - beat_at AS age,
                (SELECT COUNT(*) FROM recordings WHERE recordings.state = 'live' AND recordings.server = servers.id) AS live
             FROM servers ORDER BY name, id",
            self.clock()
        );
        let rows = sqlx::query(AssertSqlSafe(text)).fetch_all(self.db.reader()).await?;
        rows.iter().map(ServerRow::read).collect()
    }

    /// Takes a server's recordings out of its hands, when it is still as it was seen: what it still tries is refused from now on. Gives
    /// the epoch under which `by` may take its recordings over; `None` when it lives after all, or another one was first.
    ///
    /// # Errors
    /// The database's; [`DbError::Fenced`] when `by` itself was taken over.
    pub async fn fence(&self, seen: &ServerRow, by: Owner) -> Result<Option<Owner>, DbError> {
        let mut tx = self.write().await?;
        self.check(&mut tx, by).await?;
        let row = sqlx::query(
            "UPDATE servers SET epoch = epoch + 1, state = 'lost', adopter = $4
             WHERE id = $1 AND epoch = $2 AND beats = $3 RETURNING epoch",
        )
        .bind(seen.server.id.to_string())
        .bind(seen.epoch.stored())
        .bind(seen.beats.stored())
        .bind(by.server.to_string())
        .fetch_optional(&mut *tx)
        .await?;
        tx.commit().await?;
        row.map(|row| Ok(Owner { server: seen.server.id, epoch: row.count("epoch")? })).transpose()
    }

    /// Offers a recording to whoever takes it by the number: any but 0, another one each time. `false` when it is not the owner's.
    ///
    /// # Errors
    /// The database's; [`DbError::Fenced`].
    pub async fn offer(&self, recording: RecordingId, owner: Owner, number: u32) -> Result<bool, DbError> {
        let mut tx = self.write().await?;
        self.check(&mut tx, owner).await?;
        let done = sqlx::query("UPDATE recordings SET offer = $3 WHERE id = $1 AND server = $2")
            .bind(recording.to_string())
            .bind(owner.server.to_string())
            .bind(i64::from(number))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Withdraws an offer. `false` when the recording was taken.
    ///
    /// # Errors
    /// The database's; [`DbError::Fenced`].
    pub async fn withdraw(&self, recording: RecordingId, owner: Owner) -> Result<bool, DbError> {
        let mut tx = self.write().await?;
        self.check(&mut tx, owner).await?;
        let done = sqlx::query("UPDATE recordings SET offer = 0 WHERE id = $1 AND server = $2")
            .bind(recording.to_string())
            .bind(owner.server.to_string())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Gives recordings from one server to another: those that were offered by that number; without one, all, as from a server that is
    /// lost. Tells which of them were `from`'s and are `to`'s now.
    ///
    /// # Errors
    /// The database's; [`DbError::Fenced`] when one of the two is not what it was.
    pub async fn transfer(
        &self,
        recordings: &[RecordingId],
        from: Owner,
        to: Owner,
        offer: Option<u32>,
    ) -> Result<Vec<RecordingId>, DbError> {
        let mut tx = self.write().await?;
        // In one order everywhere, so that two transfers in opposite directions do not wait for each other.
        let mut both = [from, to];
        both.sort_by_key(|owner| *owner.server.as_bytes());
        for owner in both {
            self.check(&mut tx, owner).await?;
        }
        let mut moved = Vec::new();
        let mut recordings = recordings.to_vec();
        recordings.sort_by_key(|recording| *recording.as_bytes());
        for recording in recordings {
            let done = sqlx::query(
                "UPDATE recordings SET server = $3, offer = 0 WHERE id = $1 AND server = $2 AND ($4 = 0 OR offer = $4)",
            )
            .bind(recording.to_string())
            .bind(from.server.to_string())
            .bind(to.server.to_string())
            .bind(i64::from(offer.unwrap_or(0)))
                .execute(&mut *tx)
                .await?;
            if done.rows_affected() == 1 {
                moved.push(recording);
            }
        }
        tx.commit().await?;
        Ok(moved)
    }

    /// Everything of a lost server was taken over; moves of segments that it had begun are anybody's.
    ///
    /// # Errors
    /// The database's; [`DbError::Fenced`] when it was started again meanwhile.
    pub async fn adopted(&self, lost: Owner) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        let done =
            sqlx::query("UPDATE servers SET state = 'gone', locations = '[]' WHERE id = $1 AND epoch = $2")
                .bind(lost.server.to_string())
                .bind(lost.epoch.stored())
                .execute(&mut *tx)
                .await?;
        if done.rows_affected() == 0 {
            return Err(DbError::Fenced);
        }
        sqlx::query(
            "UPDATE moves SET state = 'waiting', server = NULL WHERE state = 'running' AND server = $1",
        )
        .bind(lost.server.to_string())
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// Refuses what acts for an epoch that is over, and keeps it from ending before the transaction does.
    pub(super) async fn check(&self, tx: &mut WriteTx, owner: Owner) -> Result<(), DbError> {
        let text = format!("SELECT epoch FROM servers WHERE id = $1{}", self.locked(Lock::Shared));
        let row =
            sqlx::query(AssertSqlSafe(text)).bind(owner.server.to_string()).fetch_optional(&mut **tx).await?;
        match row.map(|row| row.count("epoch")).transpose()? {
            Some(epoch) if epoch == owner.epoch => Ok(()),
            _ => Err(DbError::Fenced),
        }
    }

    /// Refuses what acts for a recording that belongs to another server now, and keeps it from changing hands meanwhile.
    pub(super) async fn check_recording(
        &self,
        tx: &mut WriteTx,
        recording: RecordingId,
        owner: Owner,
    ) -> Result<(), DbError> {
        let text = format!("SELECT server FROM recordings WHERE id = $1{}", self.locked(Lock::Alone));
        let row =
            sqlx::query(AssertSqlSafe(text)).bind(recording.to_string()).fetch_optional(&mut **tx).await?;
        match row.map(|row| row.parsed::<ServerId>("server", "id")).transpose()? {
            Some(server) if server == owner.server => Ok(()),
            _ => Err(DbError::NotOwner(recording)),
        }
    }
}
