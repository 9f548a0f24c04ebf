//! Local accounts and their sessions.

use super::Store;
use crate::{DbError, RowExt as _};
use playhead_model::{Role, WallTime};
use sqlx::any::AnyRow;

/// A local account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: String,
    /// Its name as it was first written. Letter case makes no other name.
    pub name: String,
    /// The password's hash in PHC form.
    pub password: String,
    /// What its bearer is at the console.
    pub role: Role,
    /// Whether the password must be changed before anything else.
    pub must_change_password: bool,
}

/// A session of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Hash of its token. The token itself is nowhere.
    pub hash: String,
    /// The account.
    pub account: String,
    /// When it was opened.
    pub created_at: WallTime,
    /// When it was last used, to about a minute.
    pub last_seen: WallTime,
    /// The address that it was opened from.
    pub address: String,
    /// What it was opened with, as the program said; empty when it said nothing.
    pub browser: String,
}

impl Store {
    /// How many accounts there are.
    ///
    /// # Errors
    /// The database failed.
    pub async fn accounts(&self) -> Result<u64, DbError> {
        let row = sqlx::query("SELECT COUNT(*) AS accounts FROM accounts")
            .fetch_one(self.database.reader())
            .await?;
        row.count("accounts")
    }

    /// Adds an account. `false` when its name is taken.
    ///
    /// # Errors
    /// The database failed.
    pub async fn create_account(&self, account: &Account, now: WallTime) -> Result<bool, DbError> {
        let mut tx = self.database.write().await?;
        let done = sqlx::query(
            "INSERT INTO accounts
                 (id, name, name_key, password, role, must_change_password, created_at, password_changed_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (name_key) DO NOTHING",
        )
        .bind(&account.id)
        .bind(&account.name)
        .bind(account.name.to_lowercase())
        .bind(&account.password)
        .bind(account.role.as_str())
        .bind(i64::from(account.must_change_password))
        .bind(now.as_micros())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// The account of this name, in any letter case.
    ///
    /// # Errors
    /// The database failed.
    pub async fn account(&self, name: &str) -> Result<Option<Account>, DbError> {
        let row = sqlx::query(
            "SELECT id, name, password, role, must_change_password FROM accounts WHERE name_key = $1",
        )
        .bind(name.to_lowercase())
        .fetch_optional(self.database.reader())
        .await?;
        row.as_ref().map(|row| account(row, "id")).transpose()
    }

    /// Sets an account's password and ends all its sessions.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_password(
        &self,
        account: &str,
        password: &str,
        must_change: bool,
        now: WallTime,
    ) -> Result<(), DbError> {
        let mut tx = self.database.write().await?;
        sqlx::query(
            "UPDATE accounts SET password = $2, must_change_password = $3, password_changed_at = $4 WHERE id = $1",
        )
        .bind(account)
        .bind(password)
        .bind(i64::from(must_change))
        .bind(now.as_micros())
        .execute(&mut *tx)
        .await?;
        sqlx::query("DELETE FROM sessions WHERE account = $1").bind(account).execute(&mut *tx).await?;
        tx.commit().await
    }

    /// Opens a session.
    ///
    /// # Errors
    /// The database failed, or there is no such account.
    pub async fn open_session(&self, session: &Session) -> Result<(), DbError> {
        let mut tx = self.database.write().await?;
        sqlx::query(
            "INSERT INTO sessions (hash, account, created_at, last_seen, address, browser)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&session.hash)
        .bind(&session.account)
        .bind(session.created_at.as_micros())
        .bind(session.last_seen.as_micros())
        .bind(&session.address)
        .bind(&session.browser)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// The session of this hash, and whose it is.
    ///
    /// # Errors
    /// The database failed.
    pub async fn session(&self, hash: &str) -> Result<Option<(Session, Account)>, DbError> {
        let row = sqlx::query(
            "SELECT s.hash, s.account, s.created_at, s.last_seen, s.address, s.browser,
                    a.name, a.password, a.role, a.must_change_password
             FROM sessions s JOIN accounts a ON a.id = s.account WHERE s.hash = $1",
        )
        .bind(hash)
        .fetch_optional(self.database.reader())
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some((session(&row)?, account(&row, "account")?)))
    }

    /// The sessions of an account, those used last first; among them may be some that have expired.
    ///
    /// # Errors
    /// The database failed.
    pub async fn sessions_of(&self, account: &str) -> Result<Vec<Session>, DbError> {
        let rows = sqlx::query(
            "SELECT hash, account, created_at, last_seen, address, browser FROM sessions
             WHERE account = $1 ORDER BY last_seen DESC, hash",
        )
        .bind(account)
        .fetch_all(self.database.reader())
        .await?;
        rows.iter().map(session).collect()
    }

    /// Notes that a session was used.
    ///
    /// # Errors
    /// The database failed.
    pub async fn note_session_use(&self, hash: &str, now: WallTime) -> Result<(), DbError> {
        let mut tx = self.database.write().await?;
        sqlx::query("UPDATE sessions SET last_seen = $2 WHERE hash = $1")
            .bind(hash)
            .bind(now.as_micros())
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    /// Ends a session.
    ///
    /// # Errors
    /// The database failed.
    pub async fn close_session(&self, hash: &str) -> Result<(), DbError> {
        let mut tx = self.database.write().await?;
        sqlx::query("DELETE FROM sessions WHERE hash = $1").bind(hash).execute(&mut *tx).await?;
        tx.commit().await
    }

    /// Ends all sessions of an account. Gives how many there were.
    ///
    /// # Errors
    /// The database failed.
    pub async fn close_sessions(&self, account: &str) -> Result<u64, DbError> {
        let mut tx = self.database.write().await?;
        let done =
            sqlx::query("DELETE FROM sessions WHERE account = $1").bind(account).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(done.rows_affected())
    }

    /// Removes sessions opened before `opened` or last used before `used`, and join tokens that expired before `expired`. Gives
    /// the number of rows removed.
    ///
    /// # Errors
    /// The database failed.
    pub async fn remove_expired(
        &self,
        opened: WallTime,
        used: WallTime,
        expired: WallTime,
    ) -> Result<u64, DbError> {
        let mut tx = self.database.write().await?;
        let sessions = sqlx::query("DELETE FROM sessions WHERE created_at < $1 OR last_seen < $2")
            .bind(opened.as_micros())
            .bind(used.as_micros())
            .execute(&mut *tx)
            .await?;
        let tokens = sqlx::query("DELETE FROM join_tokens WHERE expires_at < $1")
            .bind(expired.as_micros())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(sessions.rows_affected() + tokens.rows_affected())
    }
}

fn session(row: &AnyRow) -> Result<Session, DbError> {
    Ok(Session {
        hash: row.text("hash")?,
        account: row.text("account")?,
        created_at: row.time("created_at")?,
        last_seen: row.time("last_seen")?,
        address: row.text("address")?,
        browser: row.text("browser")?,
    })
}

fn account(row: &AnyRow, id: &'static str) -> Result<Account, DbError> {
    Ok(Account {
        id: row.text(id)?,
        name: row.text("name")?,
        password: row.text("password")?,
        role: row.parsed("role", "role")?,
        must_change_password: row.integer("must_change_password")? != 0,
    })
}
