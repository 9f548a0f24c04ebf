//! Segments that lie in storage.

use super::Store;
use crate::{Content as _, DbError, RowExt as _};
use playhead_model::{RecordingId, WallTime};
use sqlx::any::AnyRow;

/// One stored segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRow {
    /// The recording.
    pub recording: RecordingId,
    /// Number of the segment, from 0.
    pub number: u32,
    /// Which of the site's storage locations it lies at.
    pub location: String,
    /// Where it lies there.
    pub path: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// BLAKE3 of the file, 64 hexadecimal digits.
    pub blake3: String,
    /// Number of its first fragment.
    pub first_seq: u64,
    /// Number after its last fragment.
    pub next_seq: u64,
    /// Media time of the first thing in it, microseconds.
    pub start_us: u64,
    /// Media time at which its last fragment ends.
    pub end_us: u64,
    /// How many events were detected in it.
    pub events: u64,
    /// Hash of its last fragment, 64 hexadecimal digits.
    pub head: String,
    /// When it was stored.
    pub stored_at: WallTime,
    /// The header of the encrypted layer around the file, base64; `None` when it is not encrypted.
    pub vault: Option<String>,
}

impl SegmentRow {
    pub(super) fn read(row: &AnyRow) -> Result<Self, DbError> {
        Ok(Self {
            recording: row.parsed("recording", "id")?,
            number: row.small("number")?,
            location: row.text("location")?,
            path: row.text("path")?,
            bytes: row.count("bytes")?,
            blake3: row.text("blake3")?,
            first_seq: row.count("first_seq")?,
            next_seq: row.count("next_seq")?,
            start_us: row.count("start_us")?,
            end_us: row.count("end_us")?,
            events: row.count("events")?,
            head: row.text("head")?,
            stored_at: row.time("stored_at")?,
            vault: row.text_or_null("vault")?,
        })
    }
}

pub(super) const COLUMNS: &str = "recording, number, location, path, bytes, blake3, first_seq, next_seq, start_us, end_us, events, head, \
     stored_at, vault";

impl Store {
    /// Writes down that a segment is stored. Saying so again, after a crash, replaces what was there.
    ///
    /// # Errors
    /// The database's; for one that acts for a server, [`DbError::Fenced`] and [`DbError::NotOwner`].
    pub async fn add_segment(&self, segment: &SegmentRow) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        if let Some(owner) = self.acting {
            self.check(&mut tx, owner).await?;
            self.check_recording(&mut tx, segment.recording, owner).await?;
        }
        sqlx::query(
            "INSERT INTO segments (recording, number, path, bytes, blake3, fragments, first_seq, next_seq, start_us, end_us,
                events, head, stored_at, location, vault)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
             ON CONFLICT (recording, number) DO UPDATE SET location = excluded.location, path = excluded.path, bytes = excluded.bytes,
                blake3 = excluded.blake3, fragments = excluded.fragments, first_seq = excluded.first_seq,
                next_seq = excluded.next_seq, start_us = excluded.start_us, end_us = excluded.end_us,
                events = excluded.events, head = excluded.head, stored_at = excluded.stored_at, vault = excluded.vault",
        )
        .bind(segment.recording.to_string())
        .bind(i64::from(segment.number))
        .bind(segment.path.clone())
        .bind(segment.bytes.stored())
        .bind(segment.blake3.clone())
        .bind(segment.next_seq.saturating_sub(segment.first_seq).stored())
        .bind(segment.first_seq.stored())
        .bind(segment.next_seq.stored())
        .bind(segment.start_us.stored())
        .bind(segment.end_us.stored())
        .bind(segment.events.stored())
        .bind(segment.head.clone())
        .bind(segment.stored_at.as_micros())
        .bind(segment.location.clone())
        .bind(segment.vault.clone())
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// The stored segments of a recording, in order.
    ///
    /// # Errors
    /// The database's.
    pub async fn segments(&self, recording: RecordingId) -> Result<Vec<SegmentRow>, DbError> {
        let text = format!("SELECT {COLUMNS} FROM segments WHERE recording = $1 ORDER BY number");
        let rows = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(recording.to_string())
            .fetch_all(self.db.reader())
            .await?;
        rows.iter().map(SegmentRow::read).collect()
    }

    /// The last stored segment of a recording.
    ///
    /// # Errors
    /// The database's.
    pub async fn last_segment(&self, recording: RecordingId) -> Result<Option<SegmentRow>, DbError> {
        let text =
            format!("SELECT {COLUMNS} FROM segments WHERE recording = $1 ORDER BY number DESC LIMIT 1");
        let row = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(recording.to_string())
            .fetch_optional(self.db.reader())
            .await?;
        row.as_ref().map(SegmentRow::read).transpose()
    }

    /// One stored segment.
    ///
    /// # Errors
    /// The database's.
    pub async fn segment(&self, recording: RecordingId, number: u32) -> Result<Option<SegmentRow>, DbError> {
        let text = format!("SELECT {COLUMNS} FROM segments WHERE recording = $1 AND number = $2");
        let row = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(recording.to_string())
            .bind(i64::from(number))
            .fetch_optional(self.db.reader())
            .await?;
        row.as_ref().map(SegmentRow::read).transpose()
    }
}
