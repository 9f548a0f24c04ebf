//! Data keys of recordings, wrapped by keys of the site, and their end.

use super::{Store, set};
use crate::{DbError, Dialect, RowExt as _};
use playhead_model::{RecordingId, WallTime};
use sqlx::any::AnyRow;

/// The data key of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataKeyRow {
    /// The recording.
    pub recording: RecordingId,
    /// Which key it is, a UUID.
    pub id: String,
    /// The key, base64, and which of the site's keys wraps it; `None` once it is shredded.
    pub wrapped: Option<WrappedKey>,
    /// When it was made.
    pub created_at: WallTime,
    /// When it was last wrapped.
    pub wrapped_at: WallTime,
}

/// A data key as it may lie in a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// Which of the site's keys wraps it.
    pub site_key: String,
    /// Base64.
    pub wrapped: String,
}

/// That a recording was made unreadable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shredded {
    /// When.
    pub at: WallTime,
    /// By whom.
    pub by: String,
    /// Why, as they said.
    pub why: String,
}

/// Whether a recording is encrypted, and whether its key is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Privacy {
    /// It has or had a data key.
    pub encrypted: bool,
    /// Its key is gone.
    pub shredded: Option<Shredded>,
}

/// How many data keys a key of the site wraps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// Which of the site's keys.
    pub site_key: String,
    /// Data keys.
    pub data_keys: u64,
}

impl DataKeyRow {
    fn read(row: &AnyRow) -> Result<Self, DbError> {
        let wrapped = row.text_or_null("wrapped")?.zip(row.text_or_null("site_key")?);
        Ok(Self {
            recording: row.parsed("recording", "id")?,
            id: row.text("id")?,
            wrapped: wrapped.map(|(wrapped, site_key)| WrappedKey { site_key, wrapped }),
            created_at: row.time("created_at")?,
            wrapped_at: row.time("wrapped_at")?,
        })
    }
}

/// What [`Privacy::read`] needs of a row of recordings.
const PRIVACY: &str = "shredded_at, shredded_by, shredded_why, \
     (SELECT COUNT(*) FROM data_keys WHERE data_keys.recording = recordings.id) AS encrypted";

impl Privacy {
    pub(super) fn read(row: &AnyRow) -> Result<Self, DbError> {
        let shredded = match row.time_or_null("shredded_at")? {
            Some(at) => {
                let text = |column| Ok::<_, DbError>(row.text_or_null(column)?.unwrap_or_default());
                Some(Shredded { at, by: text("shredded_by")?, why: text("shredded_why")? })
            }
            None => None,
        };
        Ok(Self { encrypted: row.count("encrypted")? > 0, shredded })
    }
}

const COLUMNS: &str = "recording, id, site_key, wrapped, created_at, wrapped_at";

impl Store {
    /// The data key of a recording; `None` when it is not encrypted.
    ///
    /// # Errors
    /// The database's.
    pub async fn data_key(&self, recording: RecordingId) -> Result<Option<DataKeyRow>, DbError> {
        let text = format!("SELECT {COLUMNS} FROM data_keys WHERE recording = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(recording.to_string())
            .fetch_optional(self.db.reader())
            .await?;
        row.as_ref().map(DataKeyRow::read).transpose()
    }

    /// Gives a recording its data key, unless it has one. Returns the one it has then.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_data_key(
        &self,
        recording: RecordingId,
        id: &str,
        key: &WrappedKey,
        now: WallTime,
    ) -> Result<DataKeyRow, DbError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO data_keys (recording, id, site_key, wrapped, created_at, wrapped_at) VALUES ($1, $2, $3, $4, $5, $5)
             ON CONFLICT (recording) DO NOTHING",
        )
        .bind(recording.to_string())
        .bind(id.to_owned())
        .bind(key.site_key.clone())
        .bind(key.wrapped.clone())
        .bind(now.as_micros())
        .execute(&mut *tx)
        .await?;
        let text = format!("SELECT {COLUMNS} FROM data_keys WHERE recording = $1");
        let row =
            sqlx::query(sqlx::AssertSqlSafe(text)).bind(recording.to_string()).fetch_one(&mut *tx).await?;
        let row = DataKeyRow::read(&row)?;
        tx.commit().await?;
        Ok(row)
    }

    /// How many data keys each of the site's keys wraps.
    ///
    /// # Errors
    /// The database's.
    pub async fn key_use(&self) -> Result<Vec<KeyUse>, DbError> {
        let rows = sqlx::query(
            "SELECT site_key, COUNT(*) AS data_keys FROM data_keys WHERE site_key IS NOT NULL GROUP BY site_key ORDER BY site_key",
        )
        .fetch_all(self.db.reader())
        .await?;
        rows.iter()
            .map(|row| Ok(KeyUse { site_key: row.text("site_key")?, data_keys: row.count("data_keys")? }))
            .collect()
    }

    /// Data keys that another key of the site wraps than the current one, in the order of their recordings.
    ///
    /// # Errors
    /// The database's.
    pub async fn data_keys_to_rewrap(
        &self,
        current: &str,
        after: Option<RecordingId>,
        limit: u32,
    ) -> Result<Vec<DataKeyRow>, DbError> {
        let text = format!(
            "SELECT {COLUMNS} FROM data_keys WHERE site_key IS NOT NULL AND site_key <> $1 AND recording > $2
             ORDER BY recording LIMIT $3"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(current.to_owned())
            .bind(after.map(|id| id.to_string()).unwrap_or_default())
            .bind(i64::from(limit))
            .fetch_all(self.db.reader())
            .await?;
        rows.iter().map(DataKeyRow::read).collect()
    }

    /// A data key is wrapped by another key of the site now. Returns whether it was: one that was shredded meanwhile stays so.
    ///
    /// # Errors
    /// The database's.
    pub async fn rewrapped(
        &self,
        before: &DataKeyRow,
        key: &WrappedKey,
        now: WallTime,
    ) -> Result<bool, DbError> {
        let Some(old) = &before.wrapped else { return Ok(false) };
        let mut tx = self.write().await?;
        let changed = sqlx::query(
            "UPDATE data_keys SET site_key = $2, wrapped = $3, wrapped_at = $4 WHERE recording = $1 AND wrapped = $5",
        )
        .bind(before.recording.to_string())
        .bind(key.site_key.clone())
        .bind(key.wrapped.clone())
        .bind(now.as_micros())
        .bind(old.wrapped.clone())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(changed.rows_affected() > 0)
    }

    /// Deletes a recording's data key and writes down by whom. Returns what was written down, also when that was done before;
    /// `None` when the recording has no data key.
    ///
    /// # Errors
    /// The database's; nothing has happened then.
    pub async fn shred(
        &self,
        recording: RecordingId,
        by: &str,
        why: &str,
        now: WallTime,
    ) -> Result<Option<Shredded>, DbError> {
        let mut tx = self.write().await?;
        let found = sqlx::query("UPDATE data_keys SET site_key = NULL, wrapped = NULL WHERE recording = $1")
            .bind(recording.to_string())
            .execute(&mut *tx)
            .await?;
        if found.rows_affected() == 0 {
            return Ok(None);
        }
        sqlx::query(
            "UPDATE recordings SET shredded_at = $2, shredded_by = $3, shredded_why = $4 WHERE id = $1 AND shredded_at IS NULL",
        )
        .bind(recording.to_string())
        .bind(now.as_micros())
        .bind(by.to_owned())
        .bind(why.to_owned())
        .execute(&mut *tx)
        .await?;
        let text = format!("SELECT {PRIVACY} FROM recordings WHERE id = $1");
        let row =
            sqlx::query(sqlx::AssertSqlSafe(text)).bind(recording.to_string()).fetch_one(&mut *tx).await?;
        let privacy = Privacy::read(&row)?;
        tx.commit().await?;
        Ok(privacy.shredded)
    }

    /// Rids the database's files of what was deleted, as far as that is in its power.
    ///
    /// # Errors
    /// The database's. What was deleted stays deleted.
    pub async fn purge_deleted_keys(&self) -> Result<(), DbError> {
        // What is overwritten in a SQLite file is wiped at once (`secure_delete`), but stands in its write-ahead log as well.
        match self.db.dialect() {
            Dialect::Sqlite => self.db.outside("PRAGMA wal_checkpoint(TRUNCATE)").await,
            Dialect::Postgres => self.db.outside("VACUUM data_keys").await,
        }
    }

    /// How the site encrypts, JSON; `None` when nobody has ever said.
    ///
    /// # Errors
    /// The database's.
    pub async fn encryption(&self) -> Result<Option<String>, DbError> {
        let row = sqlx::query("SELECT value FROM settings WHERE name = 'encryption'")
            .fetch_optional(self.db.reader())
            .await?;
        row.map(|row| row.text("value")).transpose()
    }

    /// Says how the site encrypts.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_encryption(&self, value: &str, now: WallTime) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        set(&mut tx, "encryption", value.to_owned(), now).await?;
        tx.commit().await
    }
}
