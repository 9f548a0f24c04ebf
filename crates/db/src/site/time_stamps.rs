//! Time stamps by an authority outside the site, over the last seal of a recording.

use super::Store;
use crate::{DbError, RowExt as _};
use playhead_model::{RecordingId, WallTime};
use sqlx::any::AnyRow;

/// The time stamp of a recording, or that one is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeStampRow {
    /// The recording.
    pub recording: RecordingId,
    /// The segment whose seal it is over.
    pub number: u32,
    /// SHA-256 of the seal, hexadecimal.
    pub digest: String,
    /// The authority's answer, base64; `None` while there is none.
    pub response: Option<String>,
    /// When it came.
    pub stamped_at: Option<WallTime>,
    /// How often it was tried in vain.
    pub tries: u32,
    /// What went wrong last.
    pub error: Option<String>,
    /// Location and path where the answer lies in storage.
    pub place: Option<(String, String)>,
}

const COLUMNS: &str = "recording, number, digest, response, stamped_at, tries, error, location, path";

impl TimeStampRow {
    fn read(row: &AnyRow) -> Result<Self, DbError> {
        Ok(Self {
            recording: row.parsed("recording", "id")?,
            number: row.small("number")?,
            digest: row.text("digest")?,
            response: row.text_or_null("response")?,
            stamped_at: row.time_or_null("stamped_at")?,
            tries: row.small("tries")?,
            error: row.text_or_null("error")?,
            place: row.text_or_null("location")?.zip(row.text_or_null("path")?),
        })
    }
}

impl Store {
    /// Asks for a time stamp over the seal with this digest. Asking for another seal of the recording replaces what was asked before.
    ///
    /// # Errors
    /// The database's.
    pub async fn want_time_stamp(
        &self,
        recording: RecordingId,
        number: u32,
        digest: &str,
        now: WallTime,
    ) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO time_stamps (recording, number, digest, tries, try_at) VALUES ($1, $2, $3, 0, $4)
             ON CONFLICT (recording) DO UPDATE SET number = excluded.number, digest = excluded.digest, response = NULL,
                stamped_at = NULL, tries = 0, try_at = excluded.try_at, error = NULL
             WHERE time_stamps.digest <> excluded.digest",
        )
        .bind(recording.to_string())
        .bind(i64::from(number))
        .bind(digest.to_owned())
        .bind(now.as_micros())
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// Those that are wanted and whose time to try has come.
    ///
    /// # Errors
    /// The database's.
    pub async fn time_stamps_to_get(&self, now: WallTime, limit: u32) -> Result<Vec<TimeStampRow>, DbError> {
        let text = format!(
            "SELECT {COLUMNS} FROM time_stamps WHERE response IS NULL AND try_at <= $1 ORDER BY try_at, recording LIMIT $2"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(now.as_micros())
            .bind(i64::from(limit))
            .fetch_all(self.db.reader())
            .await?;
        rows.iter().map(TimeStampRow::read).collect()
    }

    /// Those that do not lie beside the segment they are about.
    ///
    /// # Errors
    /// The database's.
    pub async fn time_stamps_to_put(&self, limit: u32) -> Result<Vec<TimeStampRow>, DbError> {
        let rows = sqlx::query(
            "SELECT t.recording, t.number, t.digest, t.response, t.stamped_at, t.tries, t.error, t.location, t.path
             FROM time_stamps t JOIN segments s ON s.recording = t.recording AND s.number = t.number
             WHERE t.response IS NOT NULL AND (t.location IS NULL OR t.location <> s.location OR t.path <> s.path || '.tsr')
             ORDER BY t.recording LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(self.db.reader())
        .await?;
        rows.iter().map(TimeStampRow::read).collect()
    }

    /// How many are wanted, and what went wrong with the one that waits longest.
    ///
    /// # Errors
    /// The database's.
    pub async fn time_stamps_waiting(&self) -> Result<(u64, Option<String>), DbError> {
        let row = sqlx::query("SELECT COUNT(*) AS waiting FROM time_stamps WHERE response IS NULL")
            .fetch_one(self.db.reader())
            .await?;
        let waiting = row.count("waiting")?;
        let row = sqlx::query(
            "SELECT error FROM time_stamps WHERE response IS NULL AND error IS NOT NULL ORDER BY tries DESC LIMIT 1",
        )
        .fetch_optional(self.db.reader())
        .await?;
        let error = row.map(|row| row.text_or_null("error")).transpose()?.flatten();
        Ok((waiting, error))
    }

    /// The time stamp of a recording.
    ///
    /// # Errors
    /// The database's.
    pub async fn time_stamp(&self, recording: RecordingId) -> Result<Option<TimeStampRow>, DbError> {
        let text = format!("SELECT {COLUMNS} FROM time_stamps WHERE recording = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(recording.to_string())
            .fetch_optional(self.db.reader())
            .await?;
        row.as_ref().map(TimeStampRow::read).transpose()
    }

    /// The authority has answered.
    ///
    /// # Errors
    /// The database's.
    pub async fn time_stamped(
        &self,
        row: &TimeStampRow,
        response: &str,
        now: WallTime,
    ) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE time_stamps SET response = $3, stamped_at = $4, error = NULL WHERE recording = $1 AND digest = $2",
        )
        .bind(row.recording.to_string())
        .bind(row.digest.clone())
        .bind(response.to_owned())
        .bind(now.as_micros())
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// The authority has not answered: it is asked again at `try_at`.
    ///
    /// # Errors
    /// The database's.
    pub async fn time_stamp_failed(
        &self,
        row: &TimeStampRow,
        error: &str,
        try_at: WallTime,
    ) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        sqlx::query("UPDATE time_stamps SET tries = tries + 1, error = $2, try_at = $3 WHERE recording = $1")
            .bind(row.recording.to_string())
            .bind(error.to_owned())
            .bind(try_at.as_micros())
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    /// The answer lies in storage now.
    ///
    /// # Errors
    /// The database's.
    pub async fn time_stamp_put(
        &self,
        row: &TimeStampRow,
        location: &str,
        path: &str,
    ) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        sqlx::query("UPDATE time_stamps SET location = $3, path = $4 WHERE recording = $1 AND digest = $2")
            .bind(row.recording.to_string())
            .bind(row.digest.clone())
            .bind(location.to_owned())
            .bind(path.to_owned())
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }
}
