//! What somebody beside a server wants done with a session. The server that has its agent takes it, and says what came of it.

use super::Store;
use crate::{DbError, RowExt as _};
use playhead_model::{AgentId, ServerId, SessionCommand, WallTime};
use sqlx::any::AnyRow;
use uuid::Uuid;

/// A command that waits to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingCommand {
    /// Its id.
    pub id: Uuid,
    /// The agent of the session's host.
    pub agent: AgentId,
    /// What is to be done.
    pub command: SessionCommand,
}

impl Store {
    /// Leaves a command for the server that has the agent.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_command(&self, waiting: &WaitingCommand, now: WallTime) -> Result<(), DbError> {
        let json = serde_json::to_string(&waiting.command)
            .map_err(|_| DbError::Content { column: "command", expected: "command" })?;
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO session_commands (id, agent, command, made_at, taken) VALUES ($1, $2, $3, $4, 0)",
        )
        .bind(waiting.id.to_string())
        .bind(waiting.agent.to_string())
        .bind(json)
        .bind(now.as_micros())
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// Takes the commands for agents that are connected to this server, if they were made since then. Each is given once.
    ///
    /// # Errors
    /// The database's.
    pub async fn take_commands(
        &self,
        server: ServerId,
        since: WallTime,
    ) -> Result<Vec<WaitingCommand>, DbError> {
        // Most of the time there is nothing, and nothing is written.
        let rows = sqlx::query(
            "SELECT c.id, c.agent, c.command FROM session_commands c JOIN agents a ON a.id = c.agent
             WHERE c.taken = 0 AND c.made_at >= $2 AND a.server = $1 ORDER BY c.made_at",
        )
        .bind(server.to_string())
        .bind(since.as_micros())
        .fetch_all(self.db.reader())
        .await?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let mut taken = Vec::new();
        let mut tx = self.write().await?;
        for row in &rows {
            let waiting = read(row)?;
            let done = sqlx::query("UPDATE session_commands SET taken = 1 WHERE id = $1 AND taken = 0")
                .bind(waiting.id.to_string())
                .execute(&mut *tx)
                .await?;
            if done.rows_affected() == 1 {
                taken.push(waiting);
            }
        }
        tx.commit().await?;
        Ok(taken)
    }

    /// Says what came of a command: why it was not done, or nothing.
    ///
    /// # Errors
    /// The database's.
    pub async fn finish_command(&self, id: Uuid, outcome: &str) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        sqlx::query("UPDATE session_commands SET outcome = $2 WHERE id = $1")
            .bind(id.to_string())
            .bind(outcome.to_owned())
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    /// What came of a command, once something has.
    ///
    /// # Errors
    /// The database's.
    pub async fn command_outcome(&self, id: Uuid) -> Result<Option<String>, DbError> {
        let row = sqlx::query("SELECT outcome FROM session_commands WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.db.reader())
            .await?;
        row.map_or(Ok(None), |row| row.text_or_null("outcome"))
    }

    /// Takes a command back, or clears it away. `false` when a server has taken it and has not said what came of it.
    ///
    /// # Errors
    /// The database's.
    pub async fn remove_command(&self, id: Uuid) -> Result<bool, DbError> {
        let mut tx = self.write().await?;
        let done =
            sqlx::query("DELETE FROM session_commands WHERE id = $1 AND (taken = 0 OR outcome IS NOT NULL)")
                .bind(id.to_string())
                .execute(&mut *tx)
                .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Clears away what nobody waits for any more.
    ///
    /// # Errors
    /// The database's.
    pub async fn prune_commands(&self, before: WallTime) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        sqlx::query("DELETE FROM session_commands WHERE made_at < $1")
            .bind(before.as_micros())
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }
}

fn read(row: &AnyRow) -> Result<WaitingCommand, DbError> {
    Ok(WaitingCommand {
        id: row.parsed("id", "id")?,
        agent: row.parsed("agent", "id")?,
        command: serde_json::from_str(&row.text("command")?)
            .map_err(|_| DbError::Content { column: "command", expected: "command" })?,
    })
}
