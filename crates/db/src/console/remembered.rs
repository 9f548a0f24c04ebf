//! What directories answered, kept for when they are away: after a restart too, and for every console of a database.

use super::{Directory, PrincipalKind, Store};
use crate::{Content as _, DbError, RowExt as _, WriteTx};
use playhead_model::WallTime;
use sqlx::any::AnyRow;

/// A user or group that was seen in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenPrincipal {
    /// Which of both.
    pub kind: PrincipalKind,
    /// What tells it from all others of the directory.
    pub subject: String,
    /// What programs call it.
    pub name: String,
    /// What people call it.
    pub label: String,
    /// What else tells people who it is.
    pub detail: Option<String>,
    /// Name of its entry.
    pub dn: String,
    /// When it was seen last.
    pub seen_at: WallTime,
}

/// How much is remembered of one directory.
#[derive(Debug, Clone, Copy)]
pub struct MemoryLimits {
    /// Most users and groups, or most people with their groups; those seen last stay.
    pub most: u32,
    /// What was seen last before this is forgotten.
    pub since: WallTime,
    /// What is remembered already, unchanged, is written again only when it was seen before this.
    pub renew: WallTime,
}

impl Store {
    /// Remembers users and groups that a directory has just given. Nothing is remembered of a directory that is gone or was changed meanwhile.
    ///
    /// # Errors
    /// The database failed.
    pub async fn remember_principals(
        &self,
        directory: &Directory,
        seen: &[SeenPrincipal],
        limits: MemoryLimits,
    ) -> Result<(), DbError> {
        let mut tx = self.database.write().await?;
        for one in seen {
            sqlx::query(
                "INSERT INTO seen_principals (directory, kind, subject, name, label, detail, dn, seen_at)
                 SELECT id, $2, $3, $4, $5, $6, $7, $8 FROM directories WHERE id = $1 AND version = $10
                 ON CONFLICT (directory, kind, subject) DO UPDATE SET name = excluded.name, label = excluded.label,
                     detail = excluded.detail, dn = excluded.dn, seen_at = excluded.seen_at
                 WHERE seen_principals.name <> excluded.name OR seen_principals.label <> excluded.label
                     OR COALESCE(seen_principals.detail, '') <> COALESCE(excluded.detail, '')
                     OR seen_principals.dn <> excluded.dn OR seen_principals.seen_at < $9",
            )
            .bind(&directory.id)
            .bind(one.kind.as_str())
            .bind(&one.subject)
            .bind(&one.name)
            .bind(&one.label)
            .bind(&one.detail)
            .bind(&one.dn)
            .bind(one.seen_at.as_micros())
            .bind(limits.renew.as_micros())
            .bind(directory.version.stored())
            .execute(&mut *tx)
            .await?;
        }
        let forget = "DELETE FROM seen_principals WHERE directory = $1 AND (seen_at < $2 OR seen_at <
             (SELECT seen_at FROM seen_principals WHERE directory = $1 ORDER BY seen_at DESC LIMIT 1 OFFSET $3))";
        keep_within(tx, forget, directory, limits).await
    }

    /// The users and groups that are remembered of a directory, at most `most`, those seen last first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn remembered_principals(
        &self,
        directory: &str,
        most: u32,
    ) -> Result<Vec<SeenPrincipal>, DbError> {
        let rows = sqlx::query(
            "SELECT * FROM seen_principals WHERE directory = $1 ORDER BY seen_at DESC, kind, subject LIMIT $2",
        )
        .bind(directory)
        .bind(i64::from(most))
        .fetch_all(self.database.reader())
        .await?;
        rows.iter().map(principal).collect()
    }

    /// Remembers somebody's groups, as one text, by the name that they sign in with, whose letter case makes no other. Nothing is
    /// remembered of a directory that is gone or was changed meanwhile.
    ///
    /// # Errors
    /// The database failed.
    pub async fn remember_groups(
        &self,
        directory: &Directory,
        login: &str,
        groups: &str,
        now: WallTime,
        limits: MemoryLimits,
    ) -> Result<(), DbError> {
        let mut tx = self.database.write().await?;
        sqlx::query(
            "INSERT INTO seen_groups (directory, login, group_list, seen_at)
             SELECT id, $2, $3, $4 FROM directories WHERE id = $1 AND version = $6
             ON CONFLICT (directory, login) DO UPDATE SET group_list = excluded.group_list, seen_at = excluded.seen_at
             WHERE seen_groups.group_list <> excluded.group_list OR seen_groups.seen_at < $5",
        )
        .bind(&directory.id)
        .bind(login.to_lowercase())
        .bind(groups)
        .bind(now.as_micros())
        .bind(limits.renew.as_micros())
        .bind(directory.version.stored())
        .execute(&mut *tx)
        .await?;
        let forget = "DELETE FROM seen_groups WHERE directory = $1 AND (seen_at < $2 OR seen_at <
             (SELECT seen_at FROM seen_groups WHERE directory = $1 ORDER BY seen_at DESC LIMIT 1 OFFSET $3))";
        keep_within(tx, forget, directory, limits).await
    }

    /// Somebody's groups, as they were remembered, and when they were seen.
    ///
    /// # Errors
    /// The database failed.
    pub async fn remembered_groups(
        &self,
        directory: &str,
        login: &str,
    ) -> Result<Option<(String, WallTime)>, DbError> {
        let row =
            sqlx::query("SELECT group_list, seen_at FROM seen_groups WHERE directory = $1 AND login = $2")
                .bind(directory)
                .bind(login.to_lowercase())
                .fetch_optional(self.database.reader())
                .await?;
        row.map(|row| Ok((row.text("group_list")?, row.time("seen_at")?))).transpose()
    }

    /// Forgets all that a directory has answered.
    ///
    /// # Errors
    /// The database failed.
    pub async fn forget_answers(&self, directory: &str) -> Result<(), DbError> {
        let mut tx = self.database.write().await?;
        for statement in [
            "DELETE FROM seen_principals WHERE directory = $1",
            "DELETE FROM seen_groups WHERE directory = $1",
        ] {
            sqlx::query(statement).bind(directory).execute(&mut *tx).await?;
        }
        tx.commit().await
    }
}

/// Forgets what is over the limits with that statement, and ends the transaction.
async fn keep_within(
    mut tx: WriteTx,
    forget: &'static str,
    directory: &Directory,
    limits: MemoryLimits,
) -> Result<(), DbError> {
    sqlx::query(forget)
        .bind(&directory.id)
        .bind(limits.since.as_micros())
        .bind(i64::from(limits.most.saturating_sub(1)))
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

fn principal(row: &AnyRow) -> Result<SeenPrincipal, DbError> {
    Ok(SeenPrincipal {
        kind: row.parsed("kind", "user or group")?,
        subject: row.text("subject")?,
        name: row.text("name")?,
        label: row.text("label")?,
        detail: row.text_or_null("detail")?,
        dn: row.text("dn")?,
        seen_at: row.time("seen_at")?,
    })
}
