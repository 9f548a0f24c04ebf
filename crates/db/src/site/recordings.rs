//! Recordings: what is known of each, and how far it has come.

use super::{Privacy, Store};
use crate::{Content as _, DbError, RowExt as _};
use playhead_model::{
    AgentId, Contents, EndReason, Gap, RecordingId, RecordingInfo, RecordingState, ServerId, WallTime,
};
use sqlx::{AssertSqlSafe, any::AnyRow};

/// One recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingRow {
    /// What its agent told of it.
    pub info: RecordingInfo,
    /// The agent that makes it.
    pub agent: AgentId,
    /// The server whose journal holds what is not in a stored segment yet.
    pub server: ServerId,
    /// Where it stands.
    pub state: RecordingState,
    /// When it ended.
    pub ended_at: Option<WallTime>,
    /// Media time up to which it goes, microseconds.
    pub duration_us: u64,
    /// Bytes of its fragments.
    pub bytes: u64,
    /// How many fragments are durable.
    pub fragments: u64,
    /// How many segments it has, the one being written included.
    pub segments: u32,
    /// Width of the picture now.
    pub width: u32,
    /// Height of the picture now.
    pub height: u32,
    /// How many gaps are declared.
    pub gaps: u64,
    /// How many events were detected.
    pub events: u64,
    /// Why it ended.
    pub end_reason: Option<EndReason>,
    /// What is wrong with it, for people.
    pub problem: Option<String>,
    /// When it was set aside for that.
    pub quarantined_at: Option<WallTime>,
    /// When something of it last came, or it was opened.
    pub heard_at: WallTime,
    /// Whether it is encrypted, and whether its key is gone.
    pub privacy: Privacy,
    /// Whether its agent was connected to the server that holds it, as of the last progress.
    pub connected: bool,
    /// What it has besides pictures that are exact.
    pub contents: Contents,
}

/// How far a recording has come. Written over what was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The recording.
    pub recording: RecordingId,
    /// Where it stands.
    pub state: RecordingState,
    /// Media time up to which it goes, microseconds.
    pub duration_us: u64,
    /// Bytes of its fragments.
    pub bytes: u64,
    /// How many fragments are durable.
    pub fragments: u64,
    /// How many segments it has, the one being written included.
    pub segments: u32,
    /// Width of the picture now.
    pub width: u32,
    /// Height of the picture now.
    pub height: u32,
    /// How many events were detected.
    pub events: u64,
    /// Why it ended.
    pub end_reason: Option<EndReason>,
    /// What is wrong with it, for people.
    pub problem: Option<String>,
    /// When it was set aside for that.
    pub quarantined_at: Option<WallTime>,
    /// When something of it last came.
    pub heard_at: WallTime,
    /// Whether its agent is connected.
    pub connected: bool,
    /// Gaps that were not written down yet.
    pub new_gaps: Vec<Gap>,
}

/// What came of opening a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// It is there now, or was already.
    Opened(Box<RecordingRow>),
    /// It belongs to another agent.
    NotYours,
}

pub(super) const COLUMNS: &str = "id, agent, server, info, state, started_at, ended_at, duration_us, bytes, fragments, segments, \
     width, height, gaps, events, end_reason, problem, quarantined_at, heard_at, connected, \
     sound, video, masks, \
     shredded_at, shredded_by, shredded_why, \
     (SELECT COUNT(*) FROM data_keys WHERE data_keys.recording = recordings.id) AS encrypted";

impl RecordingRow {
    pub(super) fn read(row: &AnyRow) -> Result<Self, DbError> {
        let unreadable = |_| DbError::Content { column: "info", expected: "particulars of a recording" };
        Ok(Self {
            info: serde_json::from_str(&row.text("info")?).map_err(unreadable)?,
            agent: row.parsed("agent", "id")?,
            server: row.parsed("server", "id")?,
            state: row.parsed("state", "state")?,
            ended_at: row.time_or_null("ended_at")?,
            duration_us: row.count("duration_us")?,
            bytes: row.count("bytes")?,
            fragments: row.count("fragments")?,
            segments: row.small("segments")?,
            width: row.small("width")?,
            height: row.small("height")?,
            gaps: row.count("gaps")?,
            events: row.count("events")?,
            end_reason: row.parsed_or_null("end_reason", "end reason")?,
            problem: row.text_or_null("problem")?,
            quarantined_at: row.time_or_null("quarantined_at")?,
            heard_at: row.time("heard_at")?,
            privacy: Privacy::read(row)?,
            connected: row.integer("connected")? != 0,
            contents: Contents {
                sound: row.integer("sound")? != 0,
                video: row.integer("video")? != 0,
                masks: serde_json::from_str(&row.text("masks")?)
                    .map_err(|_| DbError::Content { column: "masks", expected: "masks that were applied" })?,
            },
        })
    }
}

/// Text for comparing without regard to case.
///
/// Without the character NUL, which PostgreSQL cannot keep: one agent that sends it must not stop what all others say from being written.
pub(super) fn fold(text: &str) -> String {
    text.replace('\0', "").to_lowercase()
}

impl Store {
    /// Makes a recording known, or finds it again.
    ///
    /// # Errors
    /// The database's.
    pub async fn open_recording(
        &self,
        agent: AgentId,
        server: ServerId,
        info: &RecordingInfo,
        now: WallTime,
    ) -> Result<Opening, DbError> {
        let opening = |row: RecordingRow| {
            if row.agent == agent { Opening::Opened(Box::new(row)) } else { Opening::NotYours }
        };
        // Thousands of agents that come back after a break must not wait for a write of each.
        if let Some(row) = self.recording(info.id).await? {
            return Ok(opening(row));
        }
        let json = serde_json::to_string(info)
            .map_err(|_| DbError::Content { column: "info", expected: "particulars of a recording" })?;
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO recordings (id, agent, server, info, host_key, user_key, state, started_at, until_at, duration_us, bytes,
                fragments, segments, width, height, gaps, events, heard_at, session)
             VALUES ($1, $2, $3, $4, $5, $6, 'live', $7, $7, 0, 0, 0, 0, 0, 0, 0, 0, $8, $9) ON CONFLICT (id) DO NOTHING",
        )
        .bind(info.id.to_string())
        .bind(agent.to_string())
        .bind(server.to_string())
        .bind(json)
        .bind(fold(&info.host))
        .bind(fold(&info.user))
        .bind(info.started_at.as_micros())
        .bind(now.as_micros())
        .bind(info.session.as_ref().map(|session| session.id.to_string()))
        .execute(&mut *tx)
        .await?;
        let text = format!("SELECT {COLUMNS} FROM recordings WHERE id = $1");
        let row = sqlx::query(AssertSqlSafe(text)).bind(info.id.to_string()).fetch_one(&mut *tx).await?;
        let row = RecordingRow::read(&row)?;
        tx.commit().await?;
        Ok(opening(row))
    }

    /// A recording by its id.
    ///
    /// # Errors
    /// The database's.
    pub async fn recording(&self, id: RecordingId) -> Result<Option<RecordingRow>, DbError> {
        let text = format!("SELECT {COLUMNS} FROM recordings WHERE id = $1");
        let row =
            sqlx::query(AssertSqlSafe(text)).bind(id.to_string()).fetch_optional(self.db.reader()).await?;
        row.as_ref().map(RecordingRow::read).transpose()
    }

    /// The recordings that are live, as far as this server holds them.
    ///
    /// # Errors
    /// The database's.
    pub async fn live_recordings(&self, server: ServerId) -> Result<Vec<RecordingRow>, DbError> {
        let text = format!("SELECT {COLUMNS} FROM recordings WHERE state = 'live' AND server = $1");
        let rows =
            sqlx::query(AssertSqlSafe(text)).bind(server.to_string()).fetch_all(self.db.reader()).await?;
        rows.iter().map(RecordingRow::read).collect()
    }

    /// Writes down how far recordings have come, all or none. One that acts for a server passes over those that are another's now.
    ///
    /// # Errors
    /// The database's; [`DbError::Fenced`].
    pub async fn set_progress(&self, all: &[Progress]) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        if let Some(owner) = self.acting {
            self.check(&mut tx, owner).await?;
        }
        for progress in all {
            if let Some(owner) = self.acting {
                match self.check_recording(&mut tx, progress.recording, owner).await {
                    Err(DbError::NotOwner(_)) => continue,
                    checked => checked?,
                }
            }
            for gap in &progress.new_gaps {
                sqlx::query(
                    "INSERT INTO gaps (recording, from_us, to_us, cause) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                )
                .bind(progress.recording.to_string())
                .bind(gap.from_us.stored())
                .bind(gap.to_us.stored())
                .bind(gap.cause.as_str())
                .execute(&mut *tx)
                .await?;
            }
            sqlx::query(
                "UPDATE recordings SET state = $2, duration_us = $3, until_at = started_at + $3,
                    ended_at = CASE WHEN $4 = 1 THEN started_at + $3 END, bytes = $5, fragments = $6, segments = $7,
                    width = $8, height = $9, events = $10, end_reason = $11, problem = $12, heard_at = $13,
                    quarantined_at = CASE WHEN $2 = 'quarantined' THEN COALESCE(quarantined_at, $14) END,
                    gaps = (SELECT COUNT(*) FROM gaps WHERE gaps.recording = recordings.id), connected = $15
                 WHERE id = $1",
            )
            .bind(progress.recording.to_string())
            .bind(progress.state.as_str())
            .bind(progress.duration_us.stored())
            .bind(i64::from(progress.end_reason.is_some()))
            .bind(progress.bytes.stored())
            .bind(progress.fragments.stored())
            .bind(i64::from(progress.segments))
            .bind(i64::from(progress.width))
            .bind(i64::from(progress.height))
            .bind(progress.events.stored())
            .bind(progress.end_reason.map(EndReason::as_str))
            .bind(progress.problem.clone())
            .bind(progress.heard_at.as_micros())
            .bind(progress.quarantined_at.map(WallTime::as_micros))
            .bind(i64::from(progress.connected))
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await
    }

    /// Writes down all that was met in recordings, all or none.
    ///
    /// # Errors
    /// The database's.
    pub async fn note_contents(&self, all: &[(RecordingId, Contents)]) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        for (recording, Contents { sound, video, masks }) in all {
            let unwritable = |_| DbError::Content { column: "masks", expected: "masks that were applied" };
            sqlx::query("UPDATE recordings SET sound = $2, video = $3, masks = $4 WHERE id = $1")
                .bind(recording.to_string())
                .bind(i64::from(*sound))
                .bind(i64::from(*video))
                .bind(serde_json::to_string(masks).map_err(unwritable)?)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await
    }

    /// Forgets a recording of which nothing ever came.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_empty(&self, id: RecordingId) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        sqlx::query("DELETE FROM recordings WHERE id = $1 AND fragments = 0")
            .bind(id.to_string())
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "DELETE FROM data_keys WHERE recording = $1 AND NOT EXISTS (SELECT 1 FROM recordings WHERE id = $1)",
        )
        .bind(id.to_string())
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// The declared gaps of a recording in order, at most `limit`.
    ///
    /// # Errors
    /// The database's.
    pub async fn gaps(&self, id: RecordingId, limit: u32) -> Result<Vec<Gap>, DbError> {
        let rows = sqlx::query(
            "SELECT from_us, to_us, cause FROM gaps WHERE recording = $1 ORDER BY from_us, to_us LIMIT $2",
        )
        .bind(id.to_string())
        .bind(i64::from(limit))
        .fetch_all(self.db.reader())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Gap {
                    from_us: row.count("from_us")?,
                    to_us: row.count("to_us")?,
                    cause: row.parsed("cause", "cause of a gap")?,
                })
            })
            .collect()
    }
}
