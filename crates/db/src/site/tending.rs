//! Looking after stored segments: which are to be packed denser or read through, and what came of it.

use super::{SegmentRow, Store, segments::COLUMNS as SEGMENT, storage::ADD_REMOVAL};
use crate::{Content as _, DbError, RowExt as _};
use playhead_model::{RecordingId, WallTime};
use sqlx::{AssertSqlSafe, any::AnyRow};

/// A file that was written in place of a segment's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile {
    /// The location that it lies at.
    pub location: String,
    /// Where it lies there.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
    /// BLAKE3 of it, 64 hexadecimal digits.
    pub blake3: String,
    /// The header of the encrypted layer around it.
    pub vault: Option<String>,
    /// How densely it is packed.
    pub packing: u32,
    /// Bytes that this has saved, altogether.
    pub saved: u64,
}

/// A segment whose file is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// The segment.
    pub segment: SegmentRow,
    /// When that was seen.
    pub checked_at: WallTime,
    /// What is wrong.
    pub damage: String,
}

/// A file that a crash may have left unfinished or unused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedFile {
    /// The location.
    pub location: String,
    /// Where it lies there.
    pub path: String,
}

/// How far looking after segments is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tending {
    /// Stored segments.
    pub segments: u64,
    /// Those that were packed denser, or found not to gain by it.
    pub packed: u64,
    /// Bytes that packing denser has saved.
    pub saved: u64,
    /// Those that were read through since they were stored.
    pub checked: u64,
    /// Those that are damaged.
    pub damaged: u64,
    /// When the one that waits longest was stored or last read through.
    pub oldest_check: Option<WallTime>,
}

/// First words of a recording's problem where a stored segment is damaged.
const DAMAGED: &str = "a stored segment is damaged: ";

impl Store {
    /// Segments that are packed in an older way than `packing` and were stored before a time, the oldest first. Those that are damaged,
    /// or that a server works on, are not among them, and only those at some locations are.
    ///
    /// # Errors
    /// The database's.
    pub async fn segments_to_pack(
        &self,
        locations: &[String],
        packing: u32,
        stored_before: WallTime,
        now: WallTime,
        limit: u32,
    ) -> Result<Vec<SegmentRow>, DbError> {
        let text = format!(
            "SELECT {SEGMENT} FROM segments WHERE packing < $1 AND stored_at < $2 AND tended_until < $3 AND damage IS NULL
                AND location IN ({})
             ORDER BY stored_at, recording, number LIMIT $4",
            places(locations, 5)
        );
        let query = sqlx::query(AssertSqlSafe(text))
            .bind(i64::from(packing))
            .bind(stored_before.as_micros())
            .bind(now.as_micros())
            .bind(i64::from(limit));
        let query = locations.iter().fold(query, |query, location| query.bind(location.clone()));
        let rows = query.fetch_all(self.db.reader()).await?;
        rows.iter().map(SegmentRow::read).collect()
    }

    /// Segments at some locations that were neither stored nor read through since a time, the longest waiting first.
    ///
    /// # Errors
    /// The database's.
    pub async fn segments_to_check(
        &self,
        locations: &[String],
        before: WallTime,
        now: WallTime,
        limit: u32,
    ) -> Result<Vec<SegmentRow>, DbError> {
        let text = format!(
            "SELECT {SEGMENT} FROM segments WHERE checked_at < $1 AND stored_at < $1 AND tended_until < $2
                AND location IN ({})
             ORDER BY checked_at, stored_at, recording, number LIMIT $3",
            places(locations, 4)
        );
        let query = sqlx::query(AssertSqlSafe(text))
            .bind(before.as_micros())
            .bind(now.as_micros())
            .bind(i64::from(limit));
        let query = locations.iter().fold(query, |query, location| query.bind(location.clone()));
        let rows = query.fetch_all(self.db.reader()).await?;
        rows.iter().map(SegmentRow::read).collect()
    }

    /// Takes a segment to work on until a time. `false` when it lies elsewhere by now or another server works on it.
    ///
    /// # Errors
    /// The database's.
    pub async fn take_segment(
        &self,
        segment: &SegmentRow,
        by: &str,
        until: WallTime,
        now: WallTime,
    ) -> Result<bool, DbError> {
        let mut tx = self.write().await?;
        let taken = sqlx::query(
            "UPDATE segments SET tended_until = $5, tended_by = $7
             WHERE recording = $1 AND number = $2 AND location = $3 AND path = $4 AND tended_until < $6",
        )
        .bind(segment.recording.to_string())
        .bind(i64::from(segment.number))
        .bind(segment.location.clone())
        .bind(segment.path.clone())
        .bind(until.as_micros())
        .bind(now.as_micros())
        .bind(by.to_owned())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(taken.rows_affected() > 0)
    }

    /// Lets go of everything that somebody had taken: it starts anew, and has nothing in hand.
    ///
    /// # Errors
    /// The database's.
    pub async fn release_segments(&self, by: &str) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        sqlx::query("UPDATE segments SET tended_until = 0 WHERE tended_until > 0 AND tended_by = $1")
            .bind(by.to_owned())
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    /// Lets go of a segment. With `packing`, it was found that packing it that way gains nothing.
    ///
    /// # Errors
    /// The database's.
    pub async fn leave_segment(&self, segment: &SegmentRow, packing: Option<u32>) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE segments SET tended_until = 0, packing = COALESCE($5, packing)
             WHERE recording = $1 AND number = $2 AND path = $3 AND location = $4",
        )
        .bind(segment.recording.to_string())
        .bind(i64::from(segment.number))
        .bind(segment.path.clone())
        .bind(segment.location.clone())
        .bind(packing.map(i64::from))
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// Says that a file is about to be written in place of a segment's, so that it is found should nobody come to use it.
    ///
    /// # Errors
    /// The database's.
    pub async fn begin_file(
        &self,
        segment: &SegmentRow,
        location: &str,
        path: &str,
        now: WallTime,
    ) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO unfinished_files (location, path, recording, number, added_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (location, path) DO UPDATE SET added_at = excluded.added_at",
        )
        .bind(location.to_owned())
        .bind(path.to_owned())
        .bind(segment.recording.to_string())
        .bind(i64::from(segment.number))
        .bind(now.as_micros())
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// The new file has been verified: from now on the segment lies there, and its old file is to be removed at `remove_at`, when nobody
    /// reads it any more. `false` when the segment does not lie where it did; the new file is to be removed then.
    ///
    /// # Errors
    /// The database's.
    pub async fn replace_file(
        &self,
        old: &SegmentRow,
        new: &NewFile,
        remove_at: WallTime,
        now: WallTime,
    ) -> Result<bool, DbError> {
        let mut tx = self.write().await?;
        let replaced = sqlx::query(
            "UPDATE segments SET location = $6, path = $7, bytes = $8, blake3 = $9, vault = $10, packing = $11, saved = $12,
                tended_until = 0, checked_at = $13, damage = NULL
             WHERE recording = $1 AND number = $2 AND location = $3 AND path = $4 AND blake3 = $5",
        )
        .bind(old.recording.to_string())
        .bind(i64::from(old.number))
        .bind(old.location.clone())
        .bind(old.path.clone())
        .bind(old.blake3.clone())
        .bind(new.location.clone())
        .bind(new.path.clone())
        .bind(new.bytes.stored())
        .bind(new.blake3.clone())
        .bind(new.vault.clone())
        .bind(i64::from(new.packing))
        .bind(new.saved.stored())
        .bind(now.as_micros())
        .execute(&mut *tx)
        .await?
        .rows_affected()
            > 0;
        sqlx::query("DELETE FROM unfinished_files WHERE location = $1 AND path = $2")
            .bind(new.location.clone())
            .bind(new.path.clone())
            .execute(&mut *tx)
            .await?;
        let (location, path, at) =
            if replaced { (&old.location, &old.path, remove_at) } else { (&new.location, &new.path, now) };
        // Two may have done the same at the same time, and so written the same file.
        let used = sqlx::query("SELECT 1 FROM segments WHERE location = $1 AND path = $2")
            .bind(location.clone())
            .bind(path.clone())
            .fetch_optional(&mut *tx)
            .await?;
        if used.is_none() {
            sqlx::query(ADD_REMOVAL)
                .bind(location.clone())
                .bind(path.clone())
                .bind(at.as_micros())
                .execute(&mut *tx)
                .await?;
        }
        if replaced {
            release(&mut tx, old.recording).await?;
        }
        tx.commit().await?;
        Ok(replaced)
    }

    /// Files that were begun before a time and that nobody has come to use: they are to be removed from now on. Returns how many.
    ///
    /// # Errors
    /// The database's.
    pub async fn give_up_files(&self, before: WallTime, now: WallTime) -> Result<u64, DbError> {
        let mut tx = self.write().await?;
        let rows = sqlx::query(
            "SELECT location, path FROM unfinished_files WHERE added_at < $1 AND NOT EXISTS (SELECT 1 FROM segments
                WHERE segments.location = unfinished_files.location AND segments.path = unfinished_files.path)",
        )
        .bind(before.as_micros())
        .fetch_all(&mut *tx)
        .await?;
        for row in &rows {
            sqlx::query(ADD_REMOVAL)
                .bind(row.text("location")?)
                .bind(row.text("path")?)
                .bind(now.as_micros())
                .execute(&mut *tx)
                .await?;
        }
        sqlx::query("DELETE FROM unfinished_files WHERE added_at < $1")
            .bind(before.as_micros())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(rows.len() as u64)
    }

    /// A segment's file was read through. With `damage`, what is wrong with it: a finished recording is set aside then. Without, what was
    /// said before is taken back.
    ///
    /// # Errors
    /// The database's.
    pub async fn segment_checked(
        &self,
        segment: &SegmentRow,
        damage: Option<&str>,
        now: WallTime,
    ) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        let seen = sqlx::query(
            "UPDATE segments SET checked_at = $5, damage = $6, tended_until = 0
             WHERE recording = $1 AND number = $2 AND location = $3 AND path = $4",
        )
        .bind(segment.recording.to_string())
        .bind(i64::from(segment.number))
        .bind(segment.location.clone())
        .bind(segment.path.clone())
        .bind(now.as_micros())
        .bind(damage.map(str::to_owned))
        .execute(&mut *tx)
        .await?;
        if seen.rows_affected() > 0 {
            match damage {
                Some(damage) => {
                    sqlx::query(
                        "UPDATE recordings SET state = 'quarantined', problem = $2, quarantined_at = $3
                         WHERE id = $1 AND state = 'finished'",
                    )
                    .bind(segment.recording.to_string())
                    .bind(format!("{DAMAGED}{damage}"))
                    .bind(now.as_micros())
                    .execute(&mut *tx)
                    .await?;
                }
                None => release(&mut tx, segment.recording).await?,
            }
        }
        tx.commit().await
    }

    /// Segments whose files are damaged, the latest found first.
    ///
    /// # Errors
    /// The database's.
    pub async fn damaged_segments(&self, limit: u32) -> Result<Vec<Damaged>, DbError> {
        let text = format!(
            "SELECT {SEGMENT}, checked_at, damage FROM segments WHERE damage IS NOT NULL
             ORDER BY checked_at DESC, recording, number LIMIT $1"
        );
        let rows =
            sqlx::query(AssertSqlSafe(text)).bind(i64::from(limit)).fetch_all(self.db.reader()).await?;
        let damaged = |row: &AnyRow| {
            Ok(Damaged {
                segment: SegmentRow::read(row)?,
                checked_at: row.time("checked_at")?,
                damage: row.text("damage")?,
            })
        };
        rows.iter().map(damaged).collect()
    }

    /// Files that wait to be removed and once were a segment's, by the folder of their recording: what a damaged one may be mended from.
    ///
    /// # Errors
    /// The database's.
    pub async fn files_left(&self, recording: RecordingId) -> Result<Vec<UnfinishedFile>, DbError> {
        let rows =
            sqlx::query("SELECT location, path FROM removals WHERE path LIKE $1 ORDER BY added_at DESC")
                .bind(format!("%{recording}/%"))
                .fetch_all(self.db.reader())
                .await?;
        let file =
            |row: &AnyRow| Ok(UnfinishedFile { location: row.text("location")?, path: row.text("path")? });
        rows.iter().map(file).collect()
    }

    /// How densely a segment is packed, and what that has saved.
    ///
    /// # Errors
    /// The database's.
    pub async fn packing_of(&self, segment: &SegmentRow) -> Result<(u32, u64), DbError> {
        let row = sqlx::query("SELECT packing, saved FROM segments WHERE recording = $1 AND number = $2")
            .bind(segment.recording.to_string())
            .bind(i64::from(segment.number))
            .fetch_optional(self.db.reader())
            .await?;
        row.map_or(Ok((0, 0)), |row| Ok((row.small("packing")?, row.count("saved")?)))
    }

    /// How many segments are damaged.
    ///
    /// # Errors
    /// The database's.
    pub async fn tending_damaged(&self) -> Result<u64, DbError> {
        let row = sqlx::query("SELECT COUNT(*) AS damaged FROM segments WHERE damage IS NOT NULL")
            .fetch_one(self.db.reader())
            .await?;
        row.count("damaged")
    }

    /// How far it all is. Looks at every segment: for people who ask.
    ///
    /// # Errors
    /// The database's.
    pub async fn tending(&self, packing: u32) -> Result<Tending, DbError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS segments, COUNT(CASE WHEN packing >= $1 THEN 1 END) AS packed,
                CAST(COALESCE(SUM(saved), 0) AS BIGINT) AS saved, COUNT(CASE WHEN checked_at > 0 THEN 1 END) AS checked,
                COUNT(damage) AS damaged, MIN(CASE WHEN checked_at > 0 THEN checked_at ELSE stored_at END) AS oldest
             FROM segments",
        )
        .bind(i64::from(packing))
        .fetch_one(self.db.reader())
        .await?;
        Ok(Tending {
            segments: row.count("segments")?,
            packed: row.count("packed")?,
            saved: row.count("saved")?,
            checked: row.count("checked")?,
            damaged: row.count("damaged")?,
            oldest_check: row.time_or_null("oldest")?,
        })
    }
}

/// As many parameters as there are values, the first with this number; what matches nothing where there are none.
fn places(values: &[String], first: usize) -> String {
    let places: Vec<_> = (first..first + values.len()).map(|number| format!("${number}")).collect();
    if places.is_empty() { "NULL".into() } else { places.join(", ") }
}

/// A recording that was set aside for a damaged segment alone is good again when it has none any more.
async fn release(tx: &mut crate::WriteTx, recording: RecordingId) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE recordings SET state = 'finished', problem = NULL, quarantined_at = NULL
         WHERE id = $1 AND state = 'quarantined' AND problem LIKE $2
            AND NOT EXISTS (SELECT 1 FROM segments WHERE segments.recording = $1 AND damage IS NOT NULL)",
    )
    .bind(recording.to_string())
    .bind(format!("{DAMAGED}%"))
    .execute(&mut **tx)
    .await?;
    Ok(())
}
