//! The servers of a site as the site itself knows them: which are alive, and what each holds.

use super::{extract::Place, site};
use crate::{
    accounts::Caller,
    core::Shared,
    problem::Problem,
    sites::{SiteRequest, ask_for},
};
use axum::{Extension, Json, extract::State};
use playhead_model::{ServerId, SiteId, WallTime};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The servers of a site.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct SiteServers {
    /// All that were ever started, by name.
    items: Vec<SiteServer>,
}

/// A server of a site, as the site's database knows it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct SiteServer {
    /// Its id at the site; the console knows it by another one.
    #[schema(value_type = String, format = Uuid)]
    id: ServerId,
    /// Its name.
    name: String,
    /// Its version.
    version: String,
    /// `running`, `draining` (it is about to stop and hands over what it holds), `stopped`, `silent` (no sign of life for longer than
    /// its lease), `lost` (another server takes over) or `gone` (that is done).
    state: String,
    /// What acknowledged fragments survive: a crash of the server (`disk`) or its loss (`shared`).
    durable: String,
    /// How many live recordings belong to it.
    live_recordings: u64,
    /// Milliseconds for which it may act after a sign of life.
    lease_ms: u64,
    /// Milliseconds since the last sign of life.
    age_ms: u64,
    /// Grows with each of its starts and with each take-over from it.
    epoch: u64,
    /// Where the other servers reach it; empty when there are none.
    url: String,
    /// When it was started.
    #[schema(value_type = String, format = DateTime)]
    started_at: WallTime,
    /// Who takes over what it held.
    #[schema(value_type = Option<String>, format = Uuid, required)]
    adopter: Option<ServerId>,
    /// Whether it is the one that has answered.
    this: bool,
}

/// The servers of a site, and who holds how many live recordings
#[utoipa::path(get, path = "/api/v1/sites/{id}/servers", tag = "sites",
    params(("id" = Uuid, Path, description = "The site")), responses((status = 200, body = SiteServers)))]
pub(crate) async fn site_servers(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<SiteId>,
) -> Result<Json<SiteServers>, Problem> {
    let site = site::named(&core, id).await?;
    Ok(Json(ask_for(&core, &caller, &site, &SiteRequest::get("/site/v1/servers")).await?))
}
