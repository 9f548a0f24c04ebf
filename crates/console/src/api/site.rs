//! Sites and their recording servers.

use super::{
    extract::{Body, Place},
    shapes::{Server, ServerState, Site, SiteList},
};
use crate::{
    accounts::Caller,
    core::{Core, Shared},
    problem::Problem,
    sites::SiteName,
};
use axum::{Extension, Json, extract::State};
use http::StatusCode;
use playhead_db::console as db;
use playhead_model::{ServerId, SiteId};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Longest name of a site, characters.
const MOST_NAME: usize = 100;
/// Longest description, characters.
const MOST_DESCRIPTION: usize = 1_000;

/// A new site.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSite {
    /// Its name, at most 100 characters.
    name: String,
    /// What people should know about it, at most 1,000 characters.
    #[serde(default)]
    description: String,
}

/// What to change about a site. What is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SiteChange {
    /// A new name.
    name: Option<String>,
    /// A new description.
    description: Option<String>,
}

/// The sites
#[utoipa::path(get, path = "/api/v1/sites", tag = "sites", responses((status = 200, body = SiteList)))]
pub(crate) async fn list_sites(State(core): State<Shared>) -> Result<Json<SiteList>, Problem> {
    let mut servers = core.store.servers().await?;
    let items = core.store.sites().await?.into_iter().map(|site| {
        let of_site = servers.extract_if(.., |server| server.site == site.id).collect();
        shown(&core, site, of_site)
    });
    Ok(Json(SiteList { items: items.collect() }))
}

/// Create a site
///
/// It stays empty until a recording server joins with a join token made for it. Usually nobody needs this: a site appears by itself when
/// its first server joins.
#[utoipa::path(post, path = "/api/v1/sites", tag = "sites", request_body = NewSite,
    responses((status = 201, body = Site)))]
pub(crate) async fn create_site(
    State(core): State<Shared>,
    Body(new): Body<NewSite>,
) -> Result<(StatusCode, Json<Site>), Problem> {
    let site = db::Site {
        id: SiteId::from(Uuid::now_v7()),
        database: None,
        name: checked_name(&new.name)?,
        description: checked_description(&new.description)?,
        created_at: core.clock.now(),
    };
    if !core.store.create_site(&site).await? {
        return Err(name_taken(&site.name));
    }
    Ok((StatusCode::CREATED, Json(shown(&core, site, Vec::new()))))
}

/// Rename or describe a site
#[utoipa::path(patch, path = "/api/v1/sites/{id}", tag = "sites", request_body = SiteChange,
    params(("id" = Uuid, Path, description = "The site")), responses((status = 200, body = Site)))]
pub(crate) async fn change_site(
    State(core): State<Shared>,
    Place(id): Place<SiteId>,
    Body(change): Body<SiteChange>,
) -> Result<Json<Site>, Problem> {
    let mut site = existing(&core, id).await?;
    if let Some(name) = &change.name {
        site.name = checked_name(name)?;
    }
    if let Some(description) = &change.description {
        site.description = checked_description(description)?;
    }
    if !core.store.change_site(&site).await? {
        return Err(name_taken(&site.name));
    }
    let mut servers = core.store.servers().await?;
    servers.retain(|server| server.site == id);
    Ok(Json(shown(&core, site, servers)))
}

/// Delete a site
///
/// Only one without recording servers can be deleted. Recordings are not touched.
#[utoipa::path(delete, path = "/api/v1/sites/{id}", tag = "sites",
    params(("id" = Uuid, Path, description = "The site")), responses((status = 204, description = "Deleted")))]
pub(crate) async fn delete_site(
    State(core): State<Shared>,
    Place(id): Place<SiteId>,
) -> Result<StatusCode, Problem> {
    match core.store.delete_site(id).await? {
        db::Deleted::Gone => Ok(StatusCode::NO_CONTENT),
        db::Deleted::Unknown => Err(unknown(id)),
        db::Deleted::HasServers { count } => Err(Problem::conflict(format!(
            "This site has {count} recording servers. Only a site without any can be deleted."
        ))),
    }
}

/// Remove a recording server
///
/// One that is connected cannot be removed: stop it first. Its key opens nothing any more; to come back it needs a new join token.
/// Recordings are not touched.
#[utoipa::path(delete, path = "/api/v1/servers/{id}", tag = "sites",
    params(("id" = Uuid, Path, description = "The recording server")),
    responses((status = 204, description = "Removed"), (status = 409, description = "It is connected")))]
pub(crate) async fn remove_server(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<ServerId>,
) -> Result<StatusCode, Problem> {
    if core.sites.connected().contains(&id) {
        return Err(Problem::conflict(
            "This recording server is connected. Stop it first; then it can be removed.",
        ));
    }
    if !core.store.remove_server(id).await? {
        return Err(Problem::not_found(format!(
            "There is no recording server {id}. GET /api/v1/sites lists those there are."
        )));
    }
    tracing::info!(user = caller.user, server = %id, "recording server removed");
    Ok(StatusCode::NO_CONTENT)
}

/// The site's name for messages, or a problem when there is no such site.
pub(super) async fn named(core: &Core, id: SiteId) -> Result<SiteName, Problem> {
    let site = existing(core, id).await?;
    Ok(SiteName { id: site.id, name: site.name })
}

/// All sites that could hold something: those of which a server has ever joined.
pub(super) async fn all_joined(core: &Core) -> Result<Vec<SiteName>, Problem> {
    let joined = core.store.sites().await?.into_iter().filter(|site| site.database.is_some());
    Ok(joined.map(|site| SiteName { id: site.id, name: site.name }).collect())
}

async fn existing(core: &Core, id: SiteId) -> Result<db::Site, Problem> {
    let site = core.store.sites().await?.into_iter().find(|site| site.id == id);
    site.ok_or_else(|| unknown(id))
}

fn unknown(id: SiteId) -> Problem {
    Problem::not_found(format!("There is no site {id}. GET /api/v1/sites lists those there are."))
}

fn name_taken(name: &str) -> Problem {
    Problem::conflict(format!("Another site is already named “{name}”. Choose another name."))
}

fn checked_name(name: &str) -> Result<String, Problem> {
    let name = name.trim();
    let characters = name.chars().count();
    if name.is_empty() || characters > MOST_NAME || name.chars().any(char::is_control) {
        return Err(Problem::bad_request(format!(
            "A site's name must have 1 to {MOST_NAME} characters and no control characters; this one has {characters}."
        )));
    }
    Ok(name.to_owned())
}

fn checked_description(text: &str) -> Result<String, Problem> {
    let text = text.trim();
    let characters = text.chars().count();
    if characters > MOST_DESCRIPTION {
        return Err(Problem::bad_request(format!(
            "A description must have at most {MOST_DESCRIPTION} characters; this one has {characters}."
        )));
    }
    Ok(text.to_owned())
}

fn shown(core: &Core, site: db::Site, servers: Vec<db::Server>) -> Site {
    let (connected, now) = (core.sites.connected(), core.clock.now());
    let servers = servers.into_iter().map(|server| {
        let available = connected.contains(&server.id);
        Server {
            id: server.id,
            name: server.name,
            state: if available { ServerState::Available } else { ServerState::Offline },
            version: server.version,
            connected_at: server.connected_at.filter(|_| available),
            last_seen: if available { Some(now) } else { server.last_seen },
        }
    });
    Site {
        id: site.id,
        name: site.name,
        description: site.description,
        created_at: site.created_at,
        servers: servers.collect(),
    }
}
