//! Sessions of users: what their hosts' agents say of them, and which server an agent is connected to.

use super::{Store, list::contains, recordings::fold};
use crate::{DbError, RowExt as _, WriteTx};
use playhead_model::{AgentId, ServerId, SessionId, SessionInfo, SessionState, WallTime};
use sqlx::{AssertSqlSafe, any::AnyRow};
use std::collections::HashSet;

/// A session as the site knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// What its agent said last. Where its end was not seen, the state says so all the same.
    pub info: SessionInfo,
    /// The agent of its host.
    pub agent: AgentId,
    /// The server that the agent was last known to be connected to.
    pub server: Option<ServerId>,
    /// When it ended.
    pub ended_at: Option<WallTime>,
    /// When its agent last said something of it.
    pub heard_at: WallTime,
}

/// What one agent said since it was last written down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionNews {
    /// All sessions there are, where it said so: the others have ended.
    pub all: Option<HashSet<SessionId>>,
    /// Those that are new or changed.
    pub changed: Vec<SessionInfo>,
}

/// What is new of an agent's connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentNews {
    /// Whether it is connected to this server, where that has changed.
    pub connected: Option<bool>,
    /// The policy it goes by, and why not by a newer one.
    pub policy: Option<(u64, Option<String>)>,
}

/// Which sessions to list. What is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionFilter {
    /// Part of the user's name, whatever its case.
    pub user: Option<String>,
    /// Part of the session host's name, whatever its case.
    pub host: Option<String>,
    /// Those in one of these states.
    pub states: Option<Vec<SessionState>>,
    /// Those that are recorded now, or are not.
    pub recorded: Option<bool>,
}

/// One page of the list, those first that began last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionPage {
    /// The sessions, each with the cursor that goes on right after it.
    pub items: Vec<(SessionRow, String)>,
    /// Whether there are more after them.
    pub more: bool,
}

const SELECT: &str = "SELECT s.id, s.agent, s.state, s.started_at, s.ended_at, s.heard_at, s.info, a.server
     FROM sessions s LEFT JOIN agents a ON a.id = s.agent";

impl SessionRow {
    fn read(row: &AnyRow) -> Result<Self, DbError> {
        let unreadable = |_| DbError::Content { column: "info", expected: "particulars of a session" };
        let mut info: SessionInfo = serde_json::from_str(&row.text("info")?).map_err(unreadable)?;
        let ended_at = row.time_or_null("ended_at")?;
        let state = row.parsed("state", "state of a session")?;
        // Pages are sorted by what was said first.
        info.started_at = row.time("started_at")?;
        if info.state != state {
            info.state = state;
            info.changed_at = ended_at.unwrap_or(info.changed_at);
        }
        if state == SessionState::Ended {
            info.recording.recording = None;
        }
        Ok(Self {
            info,
            agent: row.parsed("agent", "id")?,
            server: row.parsed_or_null("server", "id")?,
            ended_at,
            heard_at: row.time("heard_at")?,
        })
    }
}

/// A cursor is the session's id, a dot, and when it began.
fn read_cursor(cursor: &str) -> Result<(SessionId, i64), DbError> {
    let refuse = || DbError::Cursor(cursor.chars().take(80).collect());
    let (id, at) = cursor.split_once('.').ok_or_else(refuse)?;
    Ok((id.parse().map_err(|_| refuse())?, at.parse().map_err(|_| refuse())?))
}

impl Store {
    /// Writes down what agents said, all or nothing.
    ///
    /// # Errors
    /// The database's.
    pub async fn write_sessions(
        &self,
        server: ServerId,
        sessions: &[(AgentId, SessionNews)],
        agents: &[(AgentId, AgentNews)],
        now: WallTime,
    ) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        for (agent, news) in agents {
            write_agent(&mut tx, server, *agent, news).await?;
        }
        for (agent, news) in sessions {
            if let Some(all) = &news.all {
                end_others(&mut tx, *agent, all, now).await?;
            }
            for info in &news.changed {
                write_session(&mut tx, *agent, info, now).await?;
            }
        }
        tx.commit().await
    }

    /// No agent is connected to this server: it has just been started.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_connections(&self, server: ServerId) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        sqlx::query("UPDATE agents SET server = NULL WHERE server = $1")
            .bind(server.to_string())
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    /// A session by its id.
    ///
    /// # Errors
    /// The database's.
    pub async fn session(&self, id: SessionId) -> Result<Option<SessionRow>, DbError> {
        let text = format!("{SELECT} WHERE s.id = $1");
        let row =
            sqlx::query(AssertSqlSafe(text)).bind(id.to_string()).fetch_optional(self.db.reader()).await?;
        row.as_ref().map(SessionRow::read).transpose()
    }

    /// One page of at most `limit` sessions, from the start or after `cursor`.
    ///
    /// # Errors
    /// The database's, or a cursor that is none.
    pub async fn sessions(
        &self,
        filter: &SessionFilter,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<SessionPage, DbError> {
        let mut conditions = Vec::new();
        let mut texts = Vec::new();
        for (column, part) in [("user_key", &filter.user), ("host_key", &filter.host)] {
            if let Some(part) = part {
                texts.push(contains(part));
                conditions.push(format!("s.{column} LIKE ${} ESCAPE '\\'", texts.len()));
            }
        }
        if let Some(states) = &filter.states {
            let names: Vec<_> = states.iter().map(|state| format!("'{}'", state.as_str())).collect();
            conditions.push(format!("s.state IN ({})", names.join(", ")));
        }
        if let Some(recorded) = filter.recorded {
            conditions.push(format!("s.recorded = {}", i64::from(recorded)));
        }
        if let Some(cursor) = cursor {
            let (id, at) = read_cursor(cursor)?;
            texts.push(id.to_string());
            conditions.push(format!("(s.started_at, s.id) < ({at}, ${})", texts.len()));
        }
        let mut text = SELECT.to_owned();
        for (number, condition) in conditions.iter().enumerate() {
            text.push_str(if number == 0 { " WHERE " } else { " AND " });
            text.push_str(condition);
        }
        text.push_str(&format!(" ORDER BY s.started_at DESC, s.id DESC LIMIT {}", u64::from(limit) + 1));
        let mut query = sqlx::query(AssertSqlSafe(text));
        for text in texts {
            query = query.bind(text);
        }
        let rows = query.fetch_all(self.db.reader()).await?;
        let item = |row: &AnyRow| {
            let cursor = format!("{}.{}", row.text("id")?, row.integer("started_at")?);
            Ok((SessionRow::read(row)?, cursor))
        };
        Ok(SessionPage {
            items: rows.iter().take(limit as usize).map(item).collect::<Result<_, DbError>>()?,
            more: rows.len() > limit as usize,
        })
    }

    /// Forgets sessions that ended before then. Those of agents of which nothing was heard since then have ended, too. How many went.
    ///
    /// # Errors
    /// The database's.
    pub async fn prune_sessions(&self, before: WallTime) -> Result<u64, DbError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE sessions SET state = 'ended', recorded = 0, ended_at = heard_at WHERE state <> 'ended' AND heard_at < $1
             AND NOT EXISTS (SELECT 1 FROM agents WHERE agents.id = sessions.agent AND agents.last_seen >= $1)",
        )
        .bind(before.as_micros())
        .execute(&mut *tx)
        .await?;
        let gone = sqlx::query("DELETE FROM sessions WHERE state = 'ended' AND ended_at < $1")
            .bind(before.as_micros())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(gone.rows_affected())
    }
}

async fn write_agent(
    tx: &mut WriteTx,
    server: ServerId,
    agent: AgentId,
    news: &AgentNews,
) -> Result<(), DbError> {
    let text = match news.connected {
        Some(true) => Some("UPDATE agents SET server = $2 WHERE id = $1"),
        // It may have come to another server before it was gone here.
        Some(false) => Some("UPDATE agents SET server = NULL WHERE id = $1 AND server = $2"),
        None => None,
    };
    if let Some(text) = text {
        sqlx::query(text).bind(agent.to_string()).bind(server.to_string()).execute(&mut **tx).await?;
    }
    if let Some((revision, error)) = &news.policy {
        sqlx::query("UPDATE agents SET policy_revision = $2, policy_error = $3 WHERE id = $1")
            .bind(agent.to_string())
            .bind(i64::try_from(*revision).unwrap_or(i64::MAX))
            .bind(error.clone())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// Ends the agent's sessions that it does not name.
async fn end_others(
    tx: &mut WriteTx,
    agent: AgentId,
    all: &HashSet<SessionId>,
    now: WallTime,
) -> Result<(), DbError> {
    let rows = sqlx::query("SELECT id FROM sessions WHERE agent = $1 AND state <> 'ended'")
        .bind(agent.to_string())
        .fetch_all(&mut **tx)
        .await?;
    for row in rows {
        let id: SessionId = row.parsed("id", "id")?;
        if all.contains(&id) {
            continue;
        }
        sqlx::query("UPDATE sessions SET state = 'ended', recorded = 0, ended_at = $2 WHERE id = $1")
            .bind(id.to_string())
            .bind(now.as_micros())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// Writes one down. A session that another agent has told of stays that agent's.
async fn write_session(
    tx: &mut WriteTx,
    agent: AgentId,
    info: &SessionInfo,
    now: WallTime,
) -> Result<(), DbError> {
    let json = serde_json::to_string(info)
        .map_err(|_| DbError::Content { column: "info", expected: "particulars of a session" })?;
    let ended = info.state == SessionState::Ended;
    sqlx::query(
        "INSERT INTO sessions (id, agent, user_key, host_key, state, recorded, started_at, ended_at, heard_at, info)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (id) DO UPDATE SET user_key = excluded.user_key, host_key = excluded.host_key, state = excluded.state,
            recorded = excluded.recorded, ended_at = excluded.ended_at, heard_at = excluded.heard_at, info = excluded.info
         WHERE sessions.agent = excluded.agent",
    )
    .bind(info.id.to_string())
    .bind(agent.to_string())
    .bind(fold(&info.user))
    .bind(fold(&info.facts.host))
    .bind(info.state.as_str())
    .bind(i64::from(info.recording.recording.is_some() && !ended))
    .bind(info.started_at.as_micros())
    .bind(ended.then(|| now.as_micros()))
    .bind(now.as_micros())
    .bind(json)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
