//! Agents and the tokens by which they join.

use super::Store;
use crate::{Content as _, DbError, RowExt as _};
use playhead_model::{AgentId, WallTime};
use sqlx::any::AnyRow;

/// A join token as it is kept: the secret itself is not.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// BLAKE3 of the secret, hexadecimal.
    pub hash: String,
    /// How many agents may join with it.
    pub uses: u32,
    /// From when on it is void.
    pub expires_at: WallTime,
    /// Who made it.
    pub created_by: String,
}

/// A join token that is still good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// BLAKE3 of the secret, hexadecimal.
    pub hash: String,
    /// How many agents may still join with it.
    pub uses_left: u64,
    /// From when on it is void.
    pub expires_at: WallTime,
    /// When it was made.
    pub created_at: WallTime,
    /// Who made it.
    pub created_by: String,
}

/// An agent that wants to join.
#[derive(Debug, Clone)]
pub struct NewAgent {
    /// The id it gets, unless its key is known already.
    pub id: AgentId,
    /// Name of the session host.
    pub host: String,
    /// Its public key, unpadded URL-safe base64.
    pub public_key: String,
    /// Its version.
    pub version: String,
}

/// What came of an enrolment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enrolment {
    /// It is known now under this id.
    Enrolled(AgentId),
    /// There is no such token.
    Unknown,
    /// The token's time is over.
    Expired,
    /// The token was used as often as it may be.
    UsedUp,
}

/// An enrolled agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Who it is.
    pub id: AgentId,
    /// Name of the session host.
    pub host: String,
    /// Its public key, unpadded URL-safe base64.
    pub public_key: String,
    /// Its version.
    pub version: String,
    /// Its operating system, for people.
    pub system: String,
    /// When it joined.
    pub enrolled_at: WallTime,
    /// When it was last connected.
    pub last_seen: WallTime,
}

/// An agent in the list of session hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRow {
    /// The agent.
    pub agent: Agent,
    /// How many of its recordings are live.
    pub live_recordings: u64,
    /// The revision of the policy that it goes by, and why not by a newer one; `None` before it has said so.
    pub policy: Option<(u64, Option<String>)>,
}

impl Agent {
    fn read(row: &AnyRow) -> Result<Self, DbError> {
        Ok(Self {
            id: row.parsed("id", "id")?,
            host: row.text("host")?,
            public_key: row.text("public_key")?,
            version: row.text("version")?,
            system: row.text("system")?,
            enrolled_at: row.time("enrolled_at")?,
            last_seen: row.time("last_seen")?,
        })
    }
}

impl Store {
    /// Keeps a new join token. Tokens that expired more than a day ago go at the same time.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_join_token(&self, token: &NewToken, now: WallTime) -> Result<(), DbError> {
        const DAY: i64 = 86_400_000_000;
        let mut tx = self.write().await?;
        sqlx::query("DELETE FROM join_tokens WHERE expires_at < $1")
            .bind(now.plus_micros(-DAY).as_micros())
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "INSERT INTO join_tokens (hash, uses_left, expires_at, created_at, created_by) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(token.hash.clone())
        .bind(i64::from(token.uses))
        .bind(token.expires_at.as_micros())
        .bind(now.as_micros())
        .bind(token.created_by.clone())
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// The tokens by which agents could still join, the newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn join_tokens(&self, now: WallTime) -> Result<Vec<JoinToken>, DbError> {
        let rows = sqlx::query(
            "SELECT hash, uses_left, expires_at, created_at, created_by FROM join_tokens
             WHERE uses_left > 0 AND expires_at > $1 ORDER BY created_at DESC, hash",
        )
        .bind(now.as_micros())
        .fetch_all(self.db.reader())
        .await?;
        let token = |row: &AnyRow| {
            Ok(JoinToken {
                hash: row.text("hash")?,
                uses_left: row.count("uses_left")?,
                expires_at: row.time("expires_at")?,
                created_at: row.time("created_at")?,
                created_by: row.text("created_by")?,
            })
        };
        rows.iter().map(token).collect()
    }

    /// Revokes a join token. `false` when there was none.
    ///
    /// # Errors
    /// The database's.
    pub async fn remove_join_token(&self, hash: &str) -> Result<bool, DbError> {
        let mut tx = self.write().await?;
        let done = sqlx::query("DELETE FROM join_tokens WHERE hash = $1")
            .bind(hash.to_owned())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Uses up one use of a token and makes its bearer known, both or neither. An agent whose key is known already, because the
    /// answer to its first try was lost, stays who it is.
    ///
    /// # Errors
    /// The database's.
    pub async fn enrol(
        &self,
        token_hash: &str,
        agent: &NewAgent,
        now: WallTime,
    ) -> Result<Enrolment, DbError> {
        let mut tx = self.write().await?;
        let used = sqlx::query(
            "UPDATE join_tokens SET uses_left = uses_left - 1 WHERE hash = $1 AND uses_left > 0 AND expires_at > $2",
        )
        .bind(token_hash.to_owned())
        .bind(now.as_micros())
        .execute(&mut *tx)
        .await?;
        if used.rows_affected() == 0 {
            let row = sqlx::query("SELECT expires_at FROM join_tokens WHERE hash = $1")
                .bind(token_hash.to_owned())
                .fetch_optional(&mut *tx)
                .await?;
            return match row {
                None => Ok(Enrolment::Unknown),
                Some(row) if row.time("expires_at")? <= now => Ok(Enrolment::Expired),
                Some(_) => Ok(Enrolment::UsedUp),
            };
        }
        let row = sqlx::query(
            "INSERT INTO agents (id, host, public_key, version, system, enrolled_at, last_seen)
             VALUES ($1, $2, $3, $4, '', $5, $5)
             ON CONFLICT (public_key) DO UPDATE SET host = excluded.host, version = excluded.version,
                last_seen = excluded.last_seen
             RETURNING id",
        )
        .bind(agent.id.to_string())
        .bind(agent.host.clone())
        .bind(agent.public_key.clone())
        .bind(agent.version.clone())
        .bind(now.as_micros())
        .fetch_one(&mut *tx)
        .await?;
        let id = row.parsed("id", "id")?;
        tx.commit().await?;
        Ok(Enrolment::Enrolled(id))
    }

    /// An agent by its id.
    ///
    /// # Errors
    /// The database's.
    pub async fn agent(&self, id: AgentId) -> Result<Option<Agent>, DbError> {
        let row = sqlx::query(
            "SELECT id, host, public_key, version, system, enrolled_at, last_seen FROM agents WHERE id = $1",
        )
        .bind(id.to_string())
        .fetch_optional(self.db.reader())
        .await?;
        row.as_ref().map(Agent::read).transpose()
    }

    /// Writes down what an agent says of itself in its greeting.
    ///
    /// # Errors
    /// The database's.
    pub async fn agent_greeted(
        &self,
        id: AgentId,
        host: &str,
        version: &str,
        system: &str,
        now: WallTime,
    ) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        sqlx::query("UPDATE agents SET host = $2, version = $3, system = $4, last_seen = $5 WHERE id = $1")
            .bind(id.to_string())
            .bind(host.to_owned())
            .bind(version.to_owned())
            .bind(system.to_owned())
            .bind(now.as_micros())
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    /// Writes down that these agents are connected now.
    ///
    /// # Errors
    /// The database's.
    pub async fn agents_seen(&self, ids: &[AgentId], now: WallTime) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        for id in ids {
            sqlx::query("UPDATE agents SET last_seen = $2 WHERE id = $1")
                .bind(id.to_string())
                .bind(now.as_micros())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await
    }

    /// All agents with the number of their live recordings, by host; at most `limit`.
    ///
    /// # Errors
    /// The database's.
    pub async fn hosts(&self, limit: u32) -> Result<Vec<HostRow>, DbError> {
        let rows = sqlx::query(
            "SELECT id, host, public_key, version, system, enrolled_at, last_seen, policy_revision, policy_error,
                (SELECT COUNT(*) FROM recordings WHERE recordings.agent = agents.id AND recordings.state = 'live') AS live
             FROM agents ORDER BY host, id LIMIT $1",
        )
        .bind(u64::from(limit).stored())
        .fetch_all(self.db.reader())
        .await?;
        let host = |row: &AnyRow| {
            let policy = match row.integer_or_null("policy_revision")? {
                Some(_) => Some((row.count("policy_revision")?, row.text_or_null("policy_error")?)),
                None => None,
            };
            Ok(HostRow { agent: Agent::read(row)?, live_recordings: row.count("live")?, policy })
        };
        rows.iter().map(host).collect()
    }
}
