//! API clients beside a console, by whoever has its data folder.

use super::{ClientSite, KeptApiClient, Made, Refusal, Wanted, customer_id, make, revoke, sites};
use crate::clock::Clock;
use playhead_db::{DbError, console::Store};
use playhead_model::{Permission, WallTime};
use serde::Serialize;
use std::path::Path;

/// The API clients in a console's database, whether the console runs or not.
pub struct ApiClientAdmin {
    store: Store,
    clock: Clock,
    by: String,
}

/// A client that was just made. The secret is told this once.
#[derive(Clone, Serialize)]
pub struct NewApiClient {
    /// Its id.
    pub id: String,
    /// Its secret. Never log it.
    pub secret: String,
    /// Its name.
    pub name: String,
    /// The id under which it addresses the console.
    pub customer_id: String,
    /// The site's id, where there is one site.
    pub site_id: Option<String>,
    /// All sites.
    pub sites: Vec<ClientSite>,
    /// What it may do.
    pub permissions: Vec<Permission>,
    /// From when on it is void.
    pub expires_at: WallTime,
}

impl std::fmt::Debug for NewApiClient {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewApiClient").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why an API client cannot be made, listed or revoked.
#[derive(Debug, thiserror::Error)]
pub enum ApiClientError {
    /// What is wanted makes no sense, or does not go together with what is there.
    #[error("{0}")]
    Refused(String),
    /// The database.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<Refusal> for ApiClientError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Database(error) => Self::Database(error),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl ApiClientAdmin {
    /// Opens the database of the console with this data folder, or the one at this address. `by` is who does it, for the log.
    ///
    /// # Errors
    /// The database cannot be used.
    pub async fn open(data: &Path, database: Option<&str>, by: &str) -> Result<Self, ApiClientError> {
        let own = crate::console::in_folder(data);
        let store = Store::open(database.unwrap_or(&own)).await?;
        Ok(Self { store, clock: Clock::system(), by: by.to_owned() })
    }

    /// Makes a client that is good for so many days (1 to 3,650).
    ///
    /// # Errors
    /// Something wanted makes no sense, the name is taken, or the database failed.
    pub async fn create(
        &self,
        name: &str,
        permissions: &[Permission],
        valid_days: u32,
    ) -> Result<NewApiClient, ApiClientError> {
        let customer_id = customer_id(&self.store).await?;
        let sites = sites(&self.store).await?;
        let wanted = Wanted { name, permissions, valid_days, made_by: &self.by, now: self.clock.now() };
        let Made { client, secret } = make(&self.store, &wanted).await?;
        Ok(NewApiClient {
            id: client.id,
            secret,
            name: client.name,
            customer_id,
            site_id: only(&sites).map(|site| site.id.to_string()),
            sites,
            permissions: client.permissions,
            expires_at: client.expires_at,
        })
    }

    /// All clients by name, those that have expired too.
    ///
    /// # Errors
    /// The database failed.
    pub async fn list(&self) -> Result<Vec<KeptApiClient>, ApiClientError> {
        let now = self.clock.now();
        let kept = self.store.api_clients().await?.into_iter().map(|client| KeptApiClient::new(client, now));
        Ok(kept.collect())
    }

    /// Revokes a client at once, by its id or its name.
    ///
    /// # Errors
    /// There is none, or the database failed.
    pub async fn revoke(&self, client: &str) -> Result<KeptApiClient, ApiClientError> {
        let mut all = self.list().await?.into_iter();
        let found = all.find(|kept| kept.id == client || kept.name.eq_ignore_ascii_case(client));
        let unknown = || {
            let name: String = client.chars().take(100).collect();
            ApiClientError::Refused(format!("there is no API client '{name}': list shows those there are"))
        };
        let found = found.ok_or_else(unknown)?;
        if revoke(&self.store, &found.id, &self.by).await? { Ok(found) } else { Err(unknown()) }
    }

    /// Closes the database.
    pub async fn close(self) {
        self.store.close().await;
    }
}

/// The site, where there is one.
pub(crate) fn only(sites: &[ClientSite]) -> Option<&ClientSite> {
    match sites {
        [site] => Some(site),
        _ => None,
    }
}
