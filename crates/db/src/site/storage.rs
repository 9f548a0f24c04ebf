//! Where segments lie: storage locations, moving segments between them, and files that are to be removed.

use super::{SegmentRow, Store, segments::COLUMNS as SEGMENT};
use crate::{Content as _, DbError, RowExt as _};
use playhead_model::{RecordingId, ServerId, WallTime};
use sqlx::{AssertSqlSafe, any::AnyRow};
use std::{fmt, str::FromStr};

/// One storage location of the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocationRow {
    /// Its id, which stands with every segment that lies there.
    pub id: String,
    /// Its address, without secrets.
    pub url: String,
    /// How a server opens it, JSON without secrets.
    pub settings: String,
    /// Whether people want nothing new stored there.
    pub read_only: bool,
}

/// What lies at a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Id of the location.
    pub location: String,
    /// How many segments.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A file that no segment refers to any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Id of the location.
    pub location: String,
    /// Where it lies there.
    pub path: String,
    /// How often removing it has failed.
    pub tries: u32,
}

/// How far a move is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveState {
    /// Nobody has begun.
    Waiting,
    /// A server is at it.
    Running,
    /// All that was to be moved was moved.
    Done,
    /// It ended, but something could not be moved.
    Failed,
}

impl MoveState {
    /// The name in the database and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing more will happen.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed)
    }
}

impl fmt::Display for MoveState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no state of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected one of waiting, running, done, failed")]
pub struct MoveStateError;

impl FromStr for MoveState {
    type Err = MoveStateError;

    fn from_str(text: &str) -> Result<Self, MoveStateError> {
        [Self::Waiting, Self::Running, Self::Done, Self::Failed]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(MoveStateError)
    }
}

/// A move that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMove {
    /// Its id, a UUID of version 7.
    pub id: String,
    /// The recording, when it is about one.
    pub recording: Option<RecordingId>,
    /// The location, when everything at one is to go.
    pub source: Option<String>,
    /// Where it goes; `None` for wherever there is room.
    pub target: Option<String>,
    /// Who asked.
    pub created_by: String,
}

/// Segments that are moved from one location to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveRow {
    /// What was asked for.
    pub wanted: NewMove,
    /// How far it is.
    pub state: MoveState,
    /// The server that does it.
    pub server: Option<ServerId>,
    /// How many segments were moved.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many could not be moved.
    pub failed: u64,
    /// Why not, for people.
    pub error: Option<String>,
    /// When it was asked for.
    pub created_at: WallTime,
    /// When something last happened.
    pub changed_at: WallTime,
}

const MOVE: &str = "id, recording, source, target, state, server, segments, bytes, failed, error, created_by, created_at, changed_at";

impl MoveRow {
    fn read(row: &AnyRow) -> Result<Self, DbError> {
        Ok(Self {
            wanted: NewMove {
                id: row.text("id")?,
                recording: row.parsed_or_null("recording", "id")?,
                source: row.text_or_null("source")?,
                target: row.text_or_null("target")?,
                created_by: row.text("created_by")?,
            },
            state: row.parsed("state", "state of a move")?,
            server: row.parsed_or_null("server", "id")?,
            segments: row.count("segments")?,
            bytes: row.count("bytes")?,
            failed: row.count("failed")?,
            error: row.text_or_null("error")?,
            created_at: row.time("created_at")?,
            changed_at: row.time("changed_at")?,
        })
    }
}

impl Store {
    /// Makes a location known, or changes its address and settings. Whether it is read-only stays as it was.
    ///
    /// # Errors
    /// The database's.
    pub async fn register_location(
        &self,
        id: &str,
        url: &str,
        settings: &str,
        now: WallTime,
    ) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO locations (id, url, settings, read_only, added_at) VALUES ($1, $2, $3, 0, $4)
             ON CONFLICT (id) DO UPDATE SET url = excluded.url, settings = excluded.settings",
        )
        .bind(id.to_owned())
        .bind(url.to_owned())
        .bind(settings.to_owned())
        .bind(now.as_micros())
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// The site's locations, by id.
    ///
    /// # Errors
    /// The database's.
    pub async fn locations(&self) -> Result<Vec<LocationRow>, DbError> {
        let rows = sqlx::query("SELECT id, url, settings, read_only FROM locations ORDER BY id")
            .fetch_all(self.db.reader())
            .await?;
        rows.iter()
            .map(|row| {
                Ok(LocationRow {
                    id: row.text("id")?,
                    url: row.text("url")?,
                    settings: row.text("settings")?,
                    read_only: row.integer("read_only")? != 0,
                })
            })
            .collect()
    }

    /// Says whether something new may be stored at a location. `false` when there is no such location.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_location_read_only(&self, id: &str, read_only: bool) -> Result<bool, DbError> {
        let mut tx = self.write().await?;
        let done = sqlx::query("UPDATE locations SET read_only = $2 WHERE id = $1")
            .bind(id.to_owned())
            .bind(i64::from(read_only))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// What lies where. Looks at every segment: for people who ask, not for every second.
    ///
    /// # Errors
    /// The database's.
    pub async fn location_use(&self) -> Result<Vec<Use>, DbError> {
        let rows = sqlx::query(
            "SELECT location, COUNT(*) AS segments, CAST(SUM(bytes) AS BIGINT) AS bytes FROM segments
             GROUP BY location ORDER BY location",
        )
        .fetch_all(self.db.reader())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Use {
                    location: row.text("location")?,
                    segments: row.count("segments")?,
                    bytes: row.count("bytes")?,
                })
            })
            .collect()
    }

    /// Locations that segments lie at, whether they are known or not.
    ///
    /// # Errors
    /// The database's.
    pub async fn locations_in_use(&self) -> Result<Vec<String>, DbError> {
        // One step in the index for each location, however many segments there are.
        let rows = sqlx::query(
            "WITH RECURSIVE used (location) AS (
                SELECT MIN(location) FROM segments
                UNION ALL
                SELECT (SELECT MIN(segments.location) FROM segments WHERE segments.location > used.location)
                FROM used WHERE used.location IS NOT NULL)
             SELECT location FROM used WHERE location IS NOT NULL",
        )
        .fetch_all(self.db.reader())
        .await?;
        rows.iter().map(|row| row.text("location")).collect()
    }

    /// Segments at a location, by their paths, at most `limit`, from the start or after a path.
    ///
    /// # Errors
    /// The database's.
    pub async fn segments_at(
        &self,
        location: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<SegmentRow>, DbError> {
        let text = format!(
            "SELECT {SEGMENT} FROM segments WHERE location = $1 AND path > $2 ORDER BY path LIMIT $3"
        );
        let rows = sqlx::query(AssertSqlSafe(text))
            .bind(location.to_owned())
            .bind(after.unwrap_or_default().to_owned())
            .bind(i64::from(limit))
            .fetch_all(self.db.reader())
            .await?;
        rows.iter().map(SegmentRow::read).collect()
    }

    /// A copy of the segment has been verified: from now on it lies there, and the file it lay in is to be removed. `false` when the
    /// segment does not lie where it was copied from any more; nothing was changed then.
    ///
    /// # Errors
    /// The database's.
    pub async fn move_segment(
        &self,
        segment: &SegmentRow,
        location: &str,
        path: &str,
        now: WallTime,
    ) -> Result<bool, DbError> {
        let mut tx = self.write().await?;
        let moved = sqlx::query(
            "UPDATE segments SET location = $5, path = $6
             WHERE recording = $1 AND number = $2 AND location = $3 AND path = $4 AND blake3 = $7",
        )
        .bind(segment.recording.to_string())
        .bind(i64::from(segment.number))
        .bind(segment.location.clone())
        .bind(segment.path.clone())
        .bind(location.to_owned())
        .bind(path.to_owned())
        .bind(segment.blake3.clone())
        .execute(&mut *tx)
        .await?;
        if moved.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query(ADD_REMOVAL)
            .bind(segment.location.clone())
            .bind(segment.path.clone())
            .bind(now.as_micros())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Asks for a file to be removed that no segment refers to.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_removal(&self, location: &str, path: &str, now: WallTime) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        sqlx::query(ADD_REMOVAL)
            .bind(location.to_owned())
            .bind(path.to_owned())
            .bind(now.as_micros())
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    /// Whether a file is to be removed: then nothing may be written under its name.
    ///
    /// # Errors
    /// The database's.
    pub async fn is_to_be_removed(&self, location: &str, path: &str) -> Result<bool, DbError> {
        let row = sqlx::query("SELECT path FROM removals WHERE location = $1 AND path = $2")
            .bind(location.to_owned())
            .bind(path.to_owned())
            .fetch_optional(self.db.reader())
            .await?;
        Ok(row.is_some())
    }

    /// Files to be removed whose time has come, the longest waiting first. Those that a segment refers to are not among them.
    ///
    /// # Errors
    /// The database's.
    pub async fn removals(&self, now: WallTime, limit: u32) -> Result<Vec<Removal>, DbError> {
        let rows = sqlx::query(
            "SELECT location, path, tries FROM removals WHERE try_at <= $1 AND NOT EXISTS (SELECT 1 FROM segments
                WHERE segments.location = removals.location AND segments.path = removals.path)
             ORDER BY try_at, location, path LIMIT $2",
        )
        .bind(now.as_micros())
        .bind(i64::from(limit))
        .fetch_all(self.db.reader())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Removal {
                    location: row.text("location")?,
                    path: row.text("path")?,
                    tries: row.small("tries")?,
                })
            })
            .collect()
    }

    /// How many files are to be removed.
    ///
    /// # Errors
    /// The database's.
    pub async fn waiting_removals(&self) -> Result<u64, DbError> {
        let row = sqlx::query("SELECT COUNT(*) AS waiting FROM removals").fetch_one(self.db.reader()).await?;
        row.count("waiting")
    }

    /// A file was removed.
    ///
    /// # Errors
    /// The database's.
    pub async fn removed(&self, removal: &Removal) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        sqlx::query("DELETE FROM removals WHERE location = $1 AND path = $2")
            .bind(removal.location.clone())
            .bind(removal.path.clone())
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    /// A file could not be removed: it is tried again at `try_at`.
    ///
    /// # Errors
    /// The database's.
    pub async fn removal_failed(
        &self,
        removal: &Removal,
        error: &str,
        try_at: WallTime,
    ) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE removals SET tries = tries + 1, error = $3, try_at = $4 WHERE location = $1 AND path = $2",
        )
        .bind(removal.location.clone())
        .bind(removal.path.clone())
        .bind(error.to_owned())
        .bind(try_at.as_micros())
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// Asks for a move.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_move(&self, wanted: &NewMove, now: WallTime) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO moves (id, recording, source, target, state, segments, bytes, failed, created_by, created_at, changed_at)
             VALUES ($1, $2, $3, $4, 'waiting', 0, 0, 0, $5, $6, $6)",
        )
        .bind(wanted.id.clone())
        .bind(wanted.recording.map(|id| id.to_string()))
        .bind(wanted.source.clone())
        .bind(wanted.target.clone())
        .bind(wanted.created_by.clone())
        .bind(now.as_micros())
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// Takes the next move that is to be done: one that waits, one that this server had begun, or one whose server has said nothing
    /// since `silent_since`.
    ///
    /// # Errors
    /// The database's.
    pub async fn take_move(
        &self,
        server: ServerId,
        silent_since: WallTime,
        now: WallTime,
    ) -> Result<Option<MoveRow>, DbError> {
        let mut tx = self.write().await?;
        let condition = "(state = 'waiting' OR (state = 'running' AND (server = $1 OR changed_at < $2)))";
        let text = format!("SELECT {MOVE} FROM moves WHERE {condition} ORDER BY created_at, id LIMIT 1");
        let row = sqlx::query(AssertSqlSafe(text))
            .bind(server.to_string())
            .bind(silent_since.as_micros())
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row.as_ref().map(MoveRow::read).transpose()? else { return Ok(None) };
        // Of two servers that saw the same one, the condition lets one through. What was counted before begins anew with it: a move
        // that was broken off looks at everything again.
        let text = format!(
            "UPDATE moves SET state = 'running', server = $1, changed_at = $3, failed = 0, error = NULL
             WHERE id = $4 AND {condition}"
        );
        let taken = sqlx::query(AssertSqlSafe(text))
            .bind(server.to_string())
            .bind(silent_since.as_micros())
            .bind(now.as_micros())
            .bind(row.wanted.id.clone())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok((taken.rows_affected() > 0).then_some(MoveRow {
            state: MoveState::Running,
            server: Some(server),
            failed: 0,
            error: None,
            changed_at: now,
            ..row
        }))
    }

    /// Writes down how far a move is.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_move(&self, row: &MoveRow, now: WallTime) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE moves SET state = $2, segments = $3, bytes = $4, failed = $5, error = $6, changed_at = $7 WHERE id = $1",
        )
        .bind(row.wanted.id.clone())
        .bind(row.state.as_str())
        .bind(row.segments.stored())
        .bind(row.bytes.stored())
        .bind(row.failed.stored())
        .bind(row.error.clone())
        .bind(now.as_micros())
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// One move.
    ///
    /// # Errors
    /// The database's.
    pub async fn move_by_id(&self, id: &str) -> Result<Option<MoveRow>, DbError> {
        let text = format!("SELECT {MOVE} FROM moves WHERE id = $1");
        let row =
            sqlx::query(AssertSqlSafe(text)).bind(id.to_owned()).fetch_optional(self.db.reader()).await?;
        row.as_ref().map(MoveRow::read).transpose()
    }

    /// The latest moves, at most `limit`.
    ///
    /// # Errors
    /// The database's.
    pub async fn moves(&self, limit: u32) -> Result<Vec<MoveRow>, DbError> {
        let text = format!("SELECT {MOVE} FROM moves ORDER BY created_at DESC, id DESC LIMIT $1");
        let rows =
            sqlx::query(AssertSqlSafe(text)).bind(i64::from(limit)).fetch_all(self.db.reader()).await?;
        rows.iter().map(MoveRow::read).collect()
    }
}

pub(super) const ADD_REMOVAL: &str =
    "INSERT INTO removals (location, path, added_at, tries, try_at) VALUES ($1, $2, $3, 0, $3)
     ON CONFLICT DO NOTHING";
