//! Recording policies: their versions, and which one is active.

use super::{Store, set};
use crate::{DbError, RowExt as _, WriteTx};
use playhead_model::{
    Notice, WallTime,
    policy::{Policy, SYSTEM_POLICIES, SystemPolicy},
};
use sqlx::any::AnyRow;

/// A version of a policy that somebody made.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyRow {
    /// The policy.
    pub id: String,
    /// From 1.
    pub version: u32,
    /// What it says.
    pub policy: Policy,
    /// When this version was made.
    pub changed_at: WallTime,
    /// By whom.
    pub changed_by: String,
}

/// Which policy is active.
#[derive(Debug, Clone, PartialEq)]
pub struct ActivePolicy {
    /// Grows with each change of what is active; 0 where nobody has ever chosen.
    pub revision: u64,
    /// The policy's or the system policy's id.
    pub id: String,
    /// Version of a policy that somebody made.
    pub version: u32,
    /// What it says; `None` for a system policy.
    pub policy: Option<Policy>,
    /// Since when, and by whom; `None` where nobody has ever chosen.
    pub made: Option<(WallTime, String)>,
}

/// What was active from some time on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Its number.
    pub revision: u64,
    /// The policy's or the system policy's id.
    pub id: String,
    /// Version of a policy that somebody made; 0 for a system policy.
    pub version: u32,
    /// The policy's name then.
    pub name: String,
    /// From when on.
    pub made_at: WallTime,
    /// Who made it so.
    pub made_by: String,
}

/// What came of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyChange {
    /// It was made.
    Made,
    /// There is no such policy.
    Missing,
    /// Somebody else has changed it meanwhile; this is the newest version.
    Newer(u32),
    /// Another policy has this name.
    NameTaken,
    /// The active policy cannot be removed.
    Active,
}

const VERSION: &str = "SELECT v.policy, v.version, v.body, v.changed_at, v.changed_by FROM policies p
     JOIN policy_versions v ON v.policy = p.id";

impl PolicyRow {
    fn read(row: &AnyRow) -> Result<Self, DbError> {
        Ok(Self {
            id: row.text("policy")?,
            version: row.small("version")?,
            policy: read_body(row)?,
            changed_at: row.time("changed_at")?,
            changed_by: row.text("changed_by")?,
        })
    }
}

fn read_body(row: &AnyRow) -> Result<Policy, DbError> {
    serde_json::from_str(&row.text("body")?)
        .map_err(|_| DbError::Content { column: "body", expected: "policy" })
}

fn key(name: &str) -> String {
    name.trim().to_lowercase()
}

impl Store {
    /// The newest versions of all policies that people made, by name.
    ///
    /// # Errors
    /// The database's.
    pub async fn policies(&self) -> Result<Vec<PolicyRow>, DbError> {
        let text =
            format!("{VERSION} AND v.version = p.version WHERE p.deleted_at IS NULL ORDER BY p.name_key");
        let rows = sqlx::query(sqlx::AssertSqlSafe(text)).fetch_all(self.db.reader()).await?;
        rows.iter().map(PolicyRow::read).collect()
    }

    /// The newest version of one that is not removed.
    ///
    /// # Errors
    /// The database's.
    pub async fn policy(&self, id: &str) -> Result<Option<PolicyRow>, DbError> {
        let text = format!("{VERSION} AND v.version = p.version WHERE p.deleted_at IS NULL AND p.id = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(id.to_owned())
            .fetch_optional(self.db.reader())
            .await?;
        row.as_ref().map(PolicyRow::read).transpose()
    }

    /// All versions of one, the newest first, also of one that is removed.
    ///
    /// # Errors
    /// The database's.
    pub async fn policy_versions(&self, id: &str, limit: u32) -> Result<Vec<PolicyRow>, DbError> {
        let text = format!("{VERSION} WHERE p.id = $1 ORDER BY v.version DESC LIMIT $2");
        let rows = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(id.to_owned())
            .bind(i64::from(limit))
            .fetch_all(self.db.reader())
            .await?;
        rows.iter().map(PolicyRow::read).collect()
    }

    /// One version of a policy, also of one that is removed.
    ///
    /// # Errors
    /// The database's.
    pub async fn policy_version(&self, id: &str, version: u32) -> Result<Option<PolicyRow>, DbError> {
        let text = format!("{VERSION} WHERE p.id = $1 AND v.version = $2");
        let row = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(id.to_owned())
            .bind(i64::from(version))
            .fetch_optional(self.db.reader())
            .await?;
        row.as_ref().map(PolicyRow::read).transpose()
    }

    /// Adds a policy as version 1; `id` must be new.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_policy(
        &self,
        id: &str,
        policy: &Policy,
        by: &str,
        now: WallTime,
    ) -> Result<PolicyChange, DbError> {
        let mut tx = self.write().await?;
        if is_taken(&mut tx, id, policy).await? {
            return Ok(PolicyChange::NameTaken);
        }
        sqlx::query("INSERT INTO policies (id, name_key, version) VALUES ($1, $2, 1)")
            .bind(id.to_owned())
            .bind(key(&policy.name))
            .execute(&mut *tx)
            .await?;
        add_version(&mut tx, id, 1, policy, by, now).await?;
        tx.commit().await?;
        Ok(PolicyChange::Made)
    }

    /// Makes a new version of a policy out of `expected`, the newest one that the caller knows. Where it is active, the new version is
    /// active at once.
    ///
    /// # Errors
    /// The database's.
    pub async fn change_policy(
        &self,
        id: &str,
        expected: u32,
        policy: &Policy,
        by: &str,
        now: WallTime,
    ) -> Result<PolicyChange, DbError> {
        let mut tx = self.write().await?;
        let Some(version) = newest(&mut tx, id).await? else { return Ok(PolicyChange::Missing) };
        if version != expected {
            return Ok(PolicyChange::Newer(version));
        }
        if is_taken(&mut tx, id, policy).await? {
            return Ok(PolicyChange::NameTaken);
        }
        sqlx::query("UPDATE policies SET name_key = $2, version = $3 WHERE id = $1")
            .bind(id.to_owned())
            .bind(key(&policy.name))
            .bind(i64::from(version + 1))
            .execute(&mut *tx)
            .await?;
        add_version(&mut tx, id, version + 1, policy, by, now).await?;
        if active_row(&mut tx).await?.is_some_and(|(_, active, _)| active == id) {
            revise(&mut tx, id, version + 1, by, now).await?;
        }
        tx.commit().await?;
        Ok(PolicyChange::Made)
    }

    /// Removes a policy; its versions stay for those who look into the past.
    ///
    /// # Errors
    /// The database's.
    pub async fn remove_policy(&self, id: &str, now: WallTime) -> Result<PolicyChange, DbError> {
        let mut tx = self.write().await?;
        if newest(&mut tx, id).await?.is_none() {
            return Ok(PolicyChange::Missing);
        }
        if active_row(&mut tx).await?.is_some_and(|(_, active, _)| active == id) {
            return Ok(PolicyChange::Active);
        }
        sqlx::query("UPDATE policies SET deleted_at = $2 WHERE id = $1")
            .bind(id.to_owned())
            .bind(now.as_micros())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(PolicyChange::Made)
    }

    /// Makes a policy or a system policy the active one.
    ///
    /// # Errors
    /// The database's.
    pub async fn activate_policy(&self, id: &str, by: &str, now: WallTime) -> Result<PolicyChange, DbError> {
        let mut tx = self.write().await?;
        let version = match SystemPolicy::by_id(id) {
            Some(_) => 0,
            None => match newest(&mut tx, id).await? {
                Some(version) => version,
                None => return Ok(PolicyChange::Missing),
            },
        };
        if active_row(&mut tx).await?.is_none_or(|(_, active, of)| (active.as_str(), of) != (id, version)) {
            revise(&mut tx, id, version, by, now).await?;
        }
        tx.commit().await?;
        Ok(PolicyChange::Made)
    }

    /// The number of the newest revision; 0 where nobody has ever chosen.
    ///
    /// # Errors
    /// The database's.
    pub async fn policy_revision(&self) -> Result<u64, DbError> {
        let row = sqlx::query("SELECT COALESCE(MAX(revision), 0) AS newest FROM policy_revisions")
            .fetch_one(self.db.reader())
            .await?;
        row.count("newest")
    }

    /// What was active when, the newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn policy_revisions(&self, limit: u32) -> Result<Vec<Revision>, DbError> {
        let rows = sqlx::query(
            "SELECT r.revision, r.policy, r.version, r.made_at, r.made_by, v.body FROM policy_revisions r
             LEFT JOIN policy_versions v ON v.policy = r.policy AND v.version = r.version
             ORDER BY r.revision DESC LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(self.db.reader())
        .await?;
        let revision = |row: &AnyRow| {
            let id = row.text("policy")?;
            let name = match row.text_or_null("body")? {
                Some(_) => read_body(row)?.name,
                None => SystemPolicy::by_id(&id).map_or_else(|| id.clone(), |system| system.name.to_owned()),
            };
            Ok(Revision {
                revision: row.count("revision")?,
                id,
                version: row.small("version")?,
                name,
                made_at: row.time("made_at")?,
                made_by: row.text("made_by")?,
            })
        };
        rows.iter().map(revision).collect()
    }

    /// What users are told where the policy wants it; nothing where nobody has written anything.
    ///
    /// # Errors
    /// The database's.
    pub async fn notices(&self) -> Result<Vec<Notice>, DbError> {
        let row = sqlx::query("SELECT value FROM settings WHERE name = 'notices'")
            .fetch_optional(self.db.reader())
            .await?;
        let Some(row) = row else { return Ok(Vec::new()) };
        let unreadable = |_| DbError::Content { column: "value", expected: "notices" };
        serde_json::from_str(&row.text("value")?).map_err(unreadable)
    }

    /// Changes what users are told. That makes a revision, so that hosts know of it.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_notices(&self, notices: &[Notice], by: &str, now: WallTime) -> Result<(), DbError> {
        let value = serde_json::to_string(notices)
            .map_err(|_| DbError::Content { column: "value", expected: "notices" })?;
        let mut tx = self.write().await?;
        set(&mut tx, "notices", value, now).await?;
        let (id, version) = match active_row(&mut tx).await? {
            Some((_, id, version)) => (id, version),
            None => (SYSTEM_POLICIES[0].id.to_owned(), 0),
        };
        revise(&mut tx, &id, version, by, now).await?;
        tx.commit().await
    }

    /// The active policy.
    ///
    /// # Errors
    /// The database's.
    pub async fn active_policy(&self) -> Result<ActivePolicy, DbError> {
        let row = sqlx::query(
            "SELECT r.revision, r.policy, r.version, r.made_at, r.made_by, v.body FROM policy_revisions r
             LEFT JOIN policy_versions v ON v.policy = r.policy AND v.version = r.version
             ORDER BY r.revision DESC LIMIT 1",
        )
        .fetch_optional(self.db.reader())
        .await?;
        let Some(row) = row else {
            let id = SYSTEM_POLICIES[0].id.to_owned();
            return Ok(ActivePolicy { revision: 0, id, version: 0, policy: None, made: None });
        };
        Ok(ActivePolicy {
            revision: row.count("revision")?,
            id: row.text("policy")?,
            version: row.small("version")?,
            policy: row.text_or_null("body")?.map(|_| read_body(&row)).transpose()?,
            made: Some((row.time("made_at")?, row.text("made_by")?)),
        })
    }
}

/// The newest version of a policy that is not removed. The row stays locked until the transaction ends.
async fn newest(tx: &mut WriteTx, id: &str) -> Result<Option<u32>, DbError> {
    // Changing nothing locks the row on PostgreSQL, too.
    let row = sqlx::query(
        "UPDATE policies SET version = version WHERE id = $1 AND deleted_at IS NULL RETURNING version",
    )
    .bind(id.to_owned())
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| row.small("version")).transpose()
}

async fn is_taken(tx: &mut WriteTx, id: &str, policy: &Policy) -> Result<bool, DbError> {
    let key = key(&policy.name);
    if SYSTEM_POLICIES.iter().any(|system| self::key(system.name) == key) {
        return Ok(true);
    }
    let row = sqlx::query("SELECT id FROM policies WHERE name_key = $1 AND deleted_at IS NULL AND id <> $2")
        .bind(key)
        .bind(id.to_owned())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(row.is_some())
}

async fn add_version(
    tx: &mut WriteTx,
    id: &str,
    version: u32,
    policy: &Policy,
    by: &str,
    now: WallTime,
) -> Result<(), DbError> {
    let body =
        serde_json::to_string(policy).map_err(|_| DbError::Content { column: "body", expected: "policy" })?;
    sqlx::query(
        "INSERT INTO policy_versions (policy, version, body, changed_at, changed_by) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(id.to_owned())
    .bind(i64::from(version))
    .bind(body)
    .bind(now.as_micros())
    .bind(by.to_owned())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Revision, id and version of what is active.
async fn active_row(tx: &mut WriteTx) -> Result<Option<(i64, String, u32)>, DbError> {
    let row =
        sqlx::query("SELECT revision, policy, version FROM policy_revisions ORDER BY revision DESC LIMIT 1")
            .fetch_optional(&mut **tx)
            .await?;
    row.map(|row| Ok((row.integer("revision")?, row.text("policy")?, row.small("version")?))).transpose()
}

async fn revise(tx: &mut WriteTx, id: &str, version: u32, by: &str, now: WallTime) -> Result<(), DbError> {
    let last = active_row(tx).await?.map_or(0, |(revision, _, _)| revision);
    // Two at once want the same number: one of them fails, and its caller tries again.
    sqlx::query(
        "INSERT INTO policy_revisions (revision, policy, version, made_at, made_by) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(last + 1)
    .bind(id.to_owned())
    .bind(i64::from(version))
    .bind(now.as_micros())
    .bind(by.to_owned())
    .execute(&mut **tx)
    .await?;
    Ok(())
}
