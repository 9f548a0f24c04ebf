//! What a recording site keeps: its identity and settings, its agents and join tokens, its recordings and their segments.

mod agents;
mod certificates;
mod commands;
mod keys;
mod list;
mod policies;
mod recordings;
mod segments;
mod servers;
mod sessions;
mod storage;
mod tending;
mod time_stamps;

pub use agents::{Agent, Enrolment, HostRow, JoinToken, NewAgent, NewToken};
pub use certificates::CertificateRow;
pub use commands::WaitingCommand;
pub use keys::{DataKeyRow, KeyUse, Privacy, Shredded, WrappedKey};
pub use list::{Filter, Page, Sort, SortKey};
pub use policies::{ActivePolicy, PolicyChange, PolicyRow, Revision};
pub use recordings::{Opening, Progress, RecordingRow};
pub use segments::SegmentRow;
pub use servers::{NewServer, Owner, ServerRow, ServerState};
pub use sessions::{AgentNews, SessionFilter, SessionNews, SessionPage, SessionRow};
pub use storage::{LocationRow, MoveRow, MoveState, NewMove, Removal, Use};
pub use tending::{Damaged, NewFile, Tending, UnfinishedFile};
pub use time_stamps::TimeStampRow;

use crate::{Area, Database, DbError, RowExt as _, WriteTx};
use playhead_model::{RecordingSettings, SiteId, WallTime};

/// The site's tables.
pub const AREA: Area = Area {
    name: "site",
    migrations: &[
        include_str!("0001.sql"),
        include_str!("0002.sql"),
        include_str!("0003.sql"),
        include_str!("0004_keys.sql"),
        include_str!("0005_servers.sql"),
        include_str!("0006_offers.sql"),
        include_str!("0007_tending.sql"),
        include_str!("0008_policies.sql"),
        include_str!("0009_sessions.sql"),
        include_str!("0010_contents.sql"),
        include_str!("0011_search.sql"),
    ],
};

/// The site's metadata. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    db: Database,
    /// Whoever writes progress and segments through it: refused once another server has taken over.
    acting: Option<Owner>,
}

/// Who a site is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Made once, when the database was made.
    pub id: SiteId,
    /// For people.
    pub name: String,
    /// When it was made.
    pub created_at: WallTime,
}

impl Store {
    /// Opens the site's database; see [`Database::open`].
    ///
    /// # Errors
    /// Those of [`Database::open`].
    pub async fn open(url: &str) -> Result<Self, DbError> {
        Ok(Self { db: Database::open(url, &AREA).await?, acting: None })
    }

    /// The database underneath.
    pub fn database(&self) -> &Database {
        &self.db
    }

    /// The same, acting for a server: progress of recordings that belong to another server is passed over, and segments of them are
    /// refused.
    pub fn acting_for(&self, owner: Owner) -> Self {
        Self { db: self.db.clone(), acting: Some(owner) }
    }

    async fn write(&self) -> Result<WriteTx, DbError> {
        self.db.write().await
    }

    /// The site's identity. `fresh` becomes it when there is none yet; when several servers start at once, one of them wins. The
    /// name is that of `name` from now on, where one is given; a new site without one is called `site`.
    ///
    /// # Errors
    /// The database's.
    pub async fn identity(&self, fresh: SiteId, name: Option<&str>, now: WallTime) -> Result<Site, DbError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO site (one, id, name, created_at) VALUES (1, $1, $2, $3) ON CONFLICT (one) DO NOTHING",
        )
        .bind(fresh.to_string())
        .bind(name.unwrap_or("site").to_owned())
        .bind(now.as_micros())
        .execute(&mut *tx)
        .await?;
        if let Some(name) = name {
            sqlx::query("UPDATE site SET name = $1 WHERE name <> $1")
                .bind(name.to_owned())
                .execute(&mut *tx)
                .await?;
        }
        let row = sqlx::query("SELECT id, name, created_at FROM site").fetch_one(&mut *tx).await?;
        tx.commit().await?;
        Ok(Site { id: row.parsed("id", "id")?, name: row.text("name")?, created_at: row.time("created_at")? })
    }

    /// How the site wants its sessions recorded; the defaults when nobody has changed anything.
    ///
    /// # Errors
    /// The database's, or a stored value that cannot be read.
    pub async fn settings(&self) -> Result<RecordingSettings, DbError> {
        let row = sqlx::query("SELECT value FROM settings WHERE name = 'recording'")
            .fetch_optional(self.db.reader())
            .await?;
        let Some(row) = row else { return Ok(RecordingSettings::default()) };
        let unreadable = |_| DbError::Content { column: "value", expected: "recording settings" };
        serde_json::from_str(&row.text("value")?).map_err(unreadable)
    }

    /// Changes how the site wants its sessions recorded. The caller has checked the bounds.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_settings(&self, settings: &RecordingSettings, now: WallTime) -> Result<(), DbError> {
        // A struct of numbers always serialises.
        let value = serde_json::to_string(settings).unwrap_or_default();
        let mut tx = self.write().await?;
        set(&mut tx, "recording", value, now).await?;
        tx.commit().await
    }
}

/// Sets one of the site's settings.
async fn set(tx: &mut WriteTx, name: &'static str, value: String, now: WallTime) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO settings (name, value, changed_at) VALUES ($1, $2, $3)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at",
    )
    .bind(name)
    .bind(value)
    .bind(now.as_micros())
    .execute(&mut **tx)
    .await?;
    Ok(())
}
