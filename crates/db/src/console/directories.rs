//! Directories, the roles that their users and groups hold, and the accounts of those who came in by them.

use super::{Account, DirectoryKind, PrincipalKind, Store};
use crate::{Content as _, DbError, RowExt as _};
use playhead_model::{Role, WallTime};
use sqlx::{AnyConnection, any::AnyRow};

/// A directory that the console is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Its id.
    pub id: String,
    /// Its name. Letter case makes no other name.
    pub name: String,
    /// What it speaks.
    pub kind: DirectoryKind,
    /// Whether it is asked, and people may sign in by it.
    pub enabled: bool,
    /// How it is reached, JSON.
    pub settings: String,
    /// What the console proves itself with there, encrypted.
    pub secret: Option<String>,
    /// Counts its changes.
    pub version: u64,
    /// When it was connected.
    pub created_at: WallTime,
    /// When it was last changed.
    pub changed_at: WallTime,
}

/// What came of changing a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It is changed.
    Done,
    /// There is no such directory.
    Gone,
    /// Another directory has this name.
    NameTaken,
    /// It was changed meanwhile; its version now.
    Meanwhile(u64),
}

/// A role that a user or a group of a directory holds at the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryRole {
    /// Its id.
    pub id: String,
    /// The directory.
    pub directory: String,
    /// Whether it is a user's or a group's.
    pub kind: PrincipalKind,
    /// What tells the user or group from all others of the directory, and stays when it is renamed.
    pub subject: String,
    /// What people call it.
    pub label: String,
    /// The role.
    pub role: Role,
    /// Who gave it.
    pub made_by: String,
    /// When.
    pub created_at: WallTime,
}

/// What is known of an account whose bearer came in by a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryAccount {
    /// The account.
    pub account: String,
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// The directory.
    pub directory: String,
    /// What tells the person from all others of the directory.
    pub subject: String,
    /// Subjects of the groups that the person was in when last looked up, directly or not.
    pub groups: Vec<String>,
    /// Why the person is not let in any more.
    pub refused: Option<String>,
    /// When the directory was last asked.
    pub checked_at: WallTime,
}

/// Somebody whom a directory has just vouched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    /// The directory.
    pub directory: String,
    /// What tells the person from all others of the directory.
    pub subject: String,
    /// Name of the account.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Subjects of the person's groups.
    pub groups: Vec<String>,
}

impl Store {
    /// All directories, by name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn directories(&self) -> Result<Vec<Directory>, DbError> {
        let rows = sqlx::query("SELECT * FROM directories ORDER BY name_key")
            .fetch_all(self.database.reader())
            .await?;
        rows.iter().map(directory).collect()
    }

    /// The directory of this id.
    ///
    /// # Errors
    /// The database failed.
    pub async fn directory(&self, id: &str) -> Result<Option<Directory>, DbError> {
        let row = sqlx::query("SELECT * FROM directories WHERE id = $1")
            .bind(id)
            .fetch_optional(self.database.reader())
            .await?;
        row.as_ref().map(directory).transpose()
    }

    /// Adds a directory. `false` when its name is taken.
    ///
    /// # Errors
    /// The database failed.
    pub async fn create_directory(&self, new: &Directory) -> Result<bool, DbError> {
        let mut tx = self.database.write().await?;
        let done = sqlx::query(
            "INSERT INTO directories
                 (id, name, name_key, kind, enabled, settings, secret, version, created_at, changed_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (name_key) DO NOTHING",
        )
        .bind(&new.id)
        .bind(&new.name)
        .bind(new.name.to_lowercase())
        .bind(new.kind.as_str())
        .bind(i64::from(new.enabled))
        .bind(&new.settings)
        .bind(&new.secret)
        .bind(new.version.stored())
        .bind(new.created_at.as_micros())
        .bind(new.changed_at.as_micros())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Writes name, state, settings, secret and time of a directory, whose version there must be the one given, and counts the version
    /// up. Its accounts are renamed with it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn change_directory(&self, changed: &Directory) -> Result<Changed, DbError> {
        let mut tx = self.database.write().await?;
        let row = sqlx::query("SELECT name, version FROM directories WHERE id = $1")
            .bind(&changed.id)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else { return Ok(Changed::Gone) };
        let version = row.count("version")?;
        if version != changed.version {
            return Ok(Changed::Meanwhile(version));
        }
        let done = sqlx::query(
            "UPDATE directories SET name = $2, name_key = $3, enabled = $4, settings = $5, secret = $6,
                 version = version + 1, changed_at = $7
             WHERE id = $1 AND version = $8",
        )
        .bind(&changed.id)
        .bind(&changed.name)
        .bind(changed.name.to_lowercase())
        .bind(i64::from(changed.enabled))
        .bind(&changed.settings)
        .bind(&changed.secret)
        .bind(changed.changed_at.as_micros())
        .bind(version.stored())
        .execute(&mut *tx)
        .await
        .map_err(DbError::from);
        match done {
            Err(error) if error.is_conflict() => return Ok(Changed::NameTaken),
            Err(error) => return Err(error),
            // Another one was faster.
            Ok(done) if done.rows_affected() == 0 => return Ok(Changed::Meanwhile(version + 1)),
            Ok(_) => {}
        }
        let before = row.text("name")?;
        if before != changed.name {
            for account in accounts_of(&mut tx, &changed.id).await? {
                let login = account.name.get(before.len()..).unwrap_or_default();
                rename(&mut tx, &account.account, &format!("{}{login}", changed.name)).await?;
            }
        }
        tx.commit().await?;
        Ok(Changed::Done)
    }

    /// Removes a directory with its roles, accounts and their sessions. Gives the accounts' ids; `None` when there is no such
    /// directory.
    ///
    /// # Errors
    /// The database failed.
    pub async fn remove_directory(&self, id: &str) -> Result<Option<Vec<String>>, DbError> {
        let mut tx = self.database.write().await?;
        let accounts = accounts_of(&mut tx, id).await?;
        for account in &accounts {
            remove_account(&mut tx, &account.account).await?;
        }
        let done = sqlx::query("DELETE FROM directories WHERE id = $1").bind(id).execute(&mut *tx).await?;
        tx.commit().await?;
        let ids = accounts.into_iter().map(|account| account.account).collect();
        Ok((done.rows_affected() == 1).then_some(ids))
    }

    /// The roles that a directory's users and groups hold, in the order in which they were given.
    ///
    /// # Errors
    /// The database failed.
    pub async fn directory_roles(&self, directory: &str) -> Result<Vec<DirectoryRole>, DbError> {
        let rows = sqlx::query("SELECT * FROM directory_roles WHERE directory = $1 ORDER BY created_at, id")
            .bind(directory)
            .fetch_all(self.database.reader())
            .await?;
        rows.iter().map(role).collect()
    }

    /// Gives a role to a user or group, in place of the one held before.
    ///
    /// # Errors
    /// The database failed, or there is no such directory.
    pub async fn give_directory_role(&self, new: &DirectoryRole) -> Result<DirectoryRole, DbError> {
        let mut tx = self.database.write().await?;
        let row = sqlx::query(
            "INSERT INTO directory_roles (id, directory, kind, subject, label, role, made_by, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (directory, kind, subject) DO UPDATE SET label = excluded.label,
                 role = excluded.role, made_by = excluded.made_by, created_at = excluded.created_at
             RETURNING *",
        )
        .bind(&new.id)
        .bind(&new.directory)
        .bind(new.kind.as_str())
        .bind(&new.subject)
        .bind(&new.label)
        .bind(new.role.as_str())
        .bind(&new.made_by)
        .bind(new.created_at.as_micros())
        .fetch_one(&mut *tx)
        .await?;
        let given = role(&row)?;
        tx.commit().await?;
        Ok(given)
    }

    /// Takes a role away. Gives it; `None` when there is none of this id.
    ///
    /// # Errors
    /// The database failed.
    pub async fn take_directory_role(&self, id: &str) -> Result<Option<DirectoryRole>, DbError> {
        let mut tx = self.database.write().await?;
        let row = sqlx::query("DELETE FROM directory_roles WHERE id = $1 RETURNING *")
            .bind(id)
            .fetch_optional(&mut *tx)
            .await?;
        let taken = row.as_ref().map(role).transpose()?;
        tx.commit().await?;
        Ok(taken)
    }

    /// The account of somebody whom a directory has just vouched for: made under the id `new` when there is none yet, brought up to date
    /// otherwise. An account of the same directory and name whose subject is another gives way: that person is gone, and the name was
    /// given to somebody else.
    ///
    /// # Errors
    /// The database failed.
    pub async fn enter_by_directory(
        &self,
        entered: &Entered,
        new: &str,
        now: WallTime,
    ) -> Result<Account, DbError> {
        let mut tx = self.database.write().await?;
        let mut known = None;
        for account in accounts_of(&mut tx, &entered.directory).await? {
            if account.subject == entered.subject {
                known = Some(account.account);
            } else if account.name.to_lowercase() == entered.name.to_lowercase() {
                remove_account(&mut tx, &account.account).await?;
            }
        }
        let id = known.clone().unwrap_or_else(|| new.to_owned());
        if known.is_none() {
            // No password hash reads like this, so no password fits.
            sqlx::query(
                "INSERT INTO accounts
                     (id, name, name_key, password, role, must_change_password, created_at, password_changed_at)
                 VALUES ($1, $2, $3, '', $4, 0, $5, $5)",
            )
            .bind(&id)
            .bind(&entered.name)
            .bind(entered.name.to_lowercase())
            .bind(entered.role.as_str())
            .bind(now.as_micros())
            .execute(&mut *tx)
            .await?;
        } else {
            rename(&mut tx, &id, &entered.name).await?;
        }
        sqlx::query(
            "INSERT INTO directory_accounts (account, directory, subject, group_ids, refused, checked_at)
             VALUES ($1, $2, $3, $4, NULL, $5)
             ON CONFLICT (account) DO UPDATE SET group_ids = excluded.group_ids, refused = NULL, checked_at = excluded.checked_at",
        )
        .bind(&id)
        .bind(&entered.directory)
        .bind(&entered.subject)
        .bind(joined(&entered.groups))
        .bind(now.as_micros())
        .execute(&mut *tx)
        .await?;
        set_role(&mut tx, &id, entered.role).await?;
        tx.commit().await?;
        Ok(Account {
            id,
            name: entered.name.clone(),
            password: String::new(),
            role: entered.role,
            must_change_password: false,
        })
    }

    /// What is known of an account by its directory; `None` for a local one.
    ///
    /// # Errors
    /// The database failed.
    pub async fn directory_account(&self, account: &str) -> Result<Option<DirectoryAccount>, DbError> {
        let row = sqlx::query(
            "SELECT d.*, a.name, a.role FROM directory_accounts d JOIN accounts a ON a.id = d.account
             WHERE d.account = $1",
        )
        .bind(account)
        .fetch_optional(self.database.reader())
        .await?;
        row.as_ref().map(directory_account).transpose()
    }

    /// The accounts of a directory.
    ///
    /// # Errors
    /// The database failed.
    pub async fn directory_accounts(&self, directory: &str) -> Result<Vec<DirectoryAccount>, DbError> {
        let rows = sqlx::query(OF_DIRECTORY).bind(directory).fetch_all(self.database.reader()).await?;
        rows.iter().map(directory_account).collect()
    }

    /// The accounts of a directory that have open sessions and were last looked up before `before`, the oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn directory_accounts_to_check(
        &self,
        directory: &str,
        before: WallTime,
        most: u32,
    ) -> Result<Vec<DirectoryAccount>, DbError> {
        let rows = sqlx::query(
            "SELECT d.*, a.name, a.role FROM directory_accounts d JOIN accounts a ON a.id = d.account
             WHERE d.directory = $1 AND d.checked_at < $2
                 AND EXISTS (SELECT 1 FROM sessions s WHERE s.account = d.account)
             ORDER BY d.checked_at, d.account LIMIT $3",
        )
        .bind(directory)
        .bind(before.as_micros())
        .bind(i64::from(most))
        .fetch_all(self.database.reader())
        .await?;
        rows.iter().map(directory_account).collect()
    }

    /// Notes what a look-up of an account gave: its role now, and its groups where they were looked up (with the time of it).
    ///
    /// # Errors
    /// The database failed.
    pub async fn confirm_directory_account(
        &self,
        account: &str,
        role: Role,
        groups: Option<(&[String], WallTime)>,
    ) -> Result<(), DbError> {
        let mut tx = self.database.write().await?;
        set_role(&mut tx, account, role).await?;
        if let Some((groups, now)) = groups {
            sqlx::query("UPDATE directory_accounts SET group_ids = $2, checked_at = $3 WHERE account = $1")
                .bind(account)
                .bind(joined(groups))
                .bind(now.as_micros())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await
    }

    /// Notes that the bearer of an account is not let in any more, and why; its sessions end.
    ///
    /// # Errors
    /// The database failed.
    pub async fn refuse_directory_account(
        &self,
        account: &str,
        why: &str,
        now: WallTime,
    ) -> Result<(), DbError> {
        let mut tx = self.database.write().await?;
        sqlx::query("UPDATE directory_accounts SET refused = $2, checked_at = $3 WHERE account = $1")
            .bind(account)
            .bind(why)
            .bind(now.as_micros())
            .execute(&mut *tx)
            .await?;
        sqlx::query("DELETE FROM sessions WHERE account = $1").bind(account).execute(&mut *tx).await?;
        tx.commit().await
    }

    /// Ends the sessions of an account that were opened before `opened`. Gives their hashes.
    ///
    /// # Errors
    /// The database failed.
    pub async fn close_old_sessions(&self, account: &str, opened: WallTime) -> Result<Vec<String>, DbError> {
        let mut tx = self.database.write().await?;
        let rows = sqlx::query("DELETE FROM sessions WHERE account = $1 AND created_at < $2 RETURNING hash")
            .bind(account)
            .bind(opened.as_micros())
            .fetch_all(&mut *tx)
            .await?;
        tx.commit().await?;
        rows.iter().map(|row| row.text("hash")).collect()
    }
}

const OF_DIRECTORY: &str =
    "SELECT d.*, a.name, a.role FROM directory_accounts d JOIN accounts a ON a.id = d.account
     WHERE d.directory = $1 ORDER BY d.account";

async fn accounts_of(
    connection: &mut AnyConnection,
    directory: &str,
) -> Result<Vec<DirectoryAccount>, DbError> {
    let rows = sqlx::query(OF_DIRECTORY).bind(directory).fetch_all(connection).await?;
    rows.iter().map(directory_account).collect()
}

async fn remove_account(connection: &mut AnyConnection, account: &str) -> Result<(), DbError> {
    sqlx::query("DELETE FROM accounts WHERE id = $1").bind(account).execute(connection).await?;
    Ok(())
}

async fn rename(connection: &mut AnyConnection, account: &str, name: &str) -> Result<(), DbError> {
    sqlx::query("UPDATE accounts SET name = $2, name_key = $3 WHERE id = $1")
        .bind(account)
        .bind(name)
        .bind(name.to_lowercase())
        .execute(connection)
        .await?;
    Ok(())
}

async fn set_role(connection: &mut AnyConnection, account: &str, role: Role) -> Result<(), DbError> {
    sqlx::query("UPDATE accounts SET role = $2 WHERE id = $1")
        .bind(account)
        .bind(role.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// Subjects as one text, a line each: no subject holds a line break.
fn joined(groups: &[String]) -> String {
    groups.join("\n")
}

fn directory(row: &AnyRow) -> Result<Directory, DbError> {
    Ok(Directory {
        id: row.text("id")?,
        name: row.text("name")?,
        kind: row.parsed("kind", "kind of directory")?,
        enabled: row.integer("enabled")? != 0,
        settings: row.text("settings")?,
        secret: row.text_or_null("secret")?,
        version: row.count("version")?,
        created_at: row.time("created_at")?,
        changed_at: row.time("changed_at")?,
    })
}

fn role(row: &AnyRow) -> Result<DirectoryRole, DbError> {
    Ok(DirectoryRole {
        id: row.text("id")?,
        directory: row.text("directory")?,
        kind: row.parsed("kind", "user or group")?,
        subject: row.text("subject")?,
        label: row.text("label")?,
        role: row.parsed("role", "role")?,
        made_by: row.text("made_by")?,
        created_at: row.time("created_at")?,
    })
}

fn directory_account(row: &AnyRow) -> Result<DirectoryAccount, DbError> {
    let groups = row.text("group_ids")?;
    Ok(DirectoryAccount {
        account: row.text("account")?,
        name: row.text("name")?,
        role: row.parsed("role", "role")?,
        directory: row.text("directory")?,
        subject: row.text("subject")?,
        groups: groups.lines().map(str::to_owned).collect(),
        refused: row.text_or_null("refused")?,
        checked_at: row.time("checked_at")?,
    })
}
