//! What people see of the site's servers.

use crate::{ServerError, core::Shared, folder};
use playhead_db::site::{ServerRow, ServerState, Store};
use playhead_model::{ServerId, WallTime};
use serde::Serialize;
use std::path::Path;

/// A server of the site, as people see it.
#[derive(Debug, Clone, Serialize)]
pub struct ServerReport {
    /// Its id at the site.
    pub id: ServerId,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `running`, `draining`, `stopped`, `silent` (no sign of life for longer than its lease), `lost` (another server takes over) or
    /// `gone` (that is done).
    pub state: &'static str,
    /// `shared` when what it acknowledges survives its loss, otherwise `disk`.
    pub durable: &'static str,
    /// How many live recordings belong to it.
    pub live_recordings: u64,
    /// Milliseconds for which it may act after a sign of life.
    pub lease_ms: u64,
    /// Milliseconds since the last sign of life, by the database's clock.
    pub age_ms: u64,
    /// Which of its starts, or of the take-overs from it.
    pub epoch: u64,
    /// Where the other servers reach it; empty when they cannot.
    pub url: String,
    /// When it was started.
    pub started_at: WallTime,
    /// Who takes over what it held.
    pub adopter: Option<ServerId>,
    /// Whether it is the one that tells this.
    pub this: bool,
}

impl ServerReport {
    fn new(row: ServerRow, this: Option<ServerId>) -> Self {
        let is_alone = row.server.url.is_empty();
        let silent = !is_alone && row.age_us > row.server.lease_ms.saturating_mul(1_000);
        let state = match row.state {
            ServerState::Running | ServerState::Draining if silent => "silent",
            state => state.as_str(),
        };
        Self {
            id: row.server.id,
            state,
            durable: if row.server.shared { "shared" } else { "disk" },
            live_recordings: row.live_recordings,
            lease_ms: row.server.lease_ms,
            age_ms: row.age_us / 1_000,
            epoch: row.epoch,
            started_at: row.started_at,
            adopter: row.adopter.filter(|_| row.state == ServerState::Lost),
            this: this == Some(row.server.id),
            name: row.server.name,
            version: row.server.version,
            url: row.server.url,
        }
    }
}

/// The site's servers now.
///
/// # Errors
/// The database's.
pub(crate) async fn report(core: &Shared) -> Result<Vec<ServerReport>, playhead_db::DbError> {
    let rows = core.cluster.store.servers().await?;
    Ok(rows.into_iter().map(|row| ServerReport::new(row, Some(core.server))).collect())
}

/// Shows the site's servers on a server's own machine, whether it runs or not.
pub struct ServersAdmin {
    store: Store,
    this: Option<ServerId>,
}

impl ServersAdmin {
    /// Opens the data folder of a server that was started before. `database` as the server is told it.
    ///
    /// # Errors
    /// No server was started with this folder, or its database cannot be used.
    pub async fn open(data: &Path, database: Option<&str>) -> Result<Self, ServerError> {
        let store = folder::open_store(data, database).await?;
        // A folder whose id cannot be read still has the site's database.
        Ok(Self { store, this: folder::server_id(data).ok() })
    }

    /// The site's servers.
    ///
    /// # Errors
    /// The database's.
    pub async fn report(&self) -> Result<Vec<ServerReport>, ServerError> {
        let rows = self.store.servers().await?;
        Ok(rows.into_iter().map(|row| ServerReport::new(row, self.this)).collect())
    }

    /// Closes the database.
    pub async fn close(self) {
        self.store.database().close().await;
    }
}
