//! How sites encrypt recordings, and making one unreadable for good. The sites do the work.

use super::{
    extract::{Body, Place},
    recordings, site, storage,
};
use crate::{
    accounts::Caller,
    core::Shared,
    problem::Problem,
    sites::{SiteRequest, ask_for},
};
use axum::{Extension, Json, extract::State};
use http::Method;
use playhead_model::{RecordingId, SiteId, WallTime};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a site encrypts, as one of its recording servers sees it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Encryption {
    /// Whether new recordings are encrypted.
    enabled: bool,
    /// Where the key is that wraps the keys of new recordings; null when the site never encrypted.
    #[schema(required)]
    address: Option<String>,
    /// The site's keys, those for new recordings first.
    keys: Vec<SiteKey>,
    /// What is wrong.
    #[schema(required)]
    problem: Option<String>,
}

/// One key of a site. The key itself never leaves it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct SiteKey {
    /// Its id.
    id: String,
    /// When it was made, where that is known.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    created_at: Option<WallTime>,
    /// Whether it wraps the keys of new recordings.
    current: bool,
    /// Whether it was found. What it wraps cannot be read without it.
    found: bool,
    /// How many recordings' keys it wraps.
    data_keys: u64,
}

/// How a site encrypts recordings
#[utoipa::path(get, path = "/api/v1/sites/{id}/encryption", tag = "sites",
    params(("id" = Uuid, Path, description = "The site")), responses((status = 200, body = Encryption)))]
pub(crate) async fn site_encryption(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<SiteId>,
) -> Result<Json<Encryption>, Problem> {
    let site = site::named(&core, id).await?;
    Ok(Json(ask_for(&core, &caller, &site, &SiteRequest::get("/site/v1/encryption")).await?))
}

/// Why a recording is shredded.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shred {
    /// The reason, for the list of recordings; at most 1,000 characters are kept.
    #[serde(default)]
    why: String,
}

/// That a recording was shredded.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Shredded {
    /// The recording.
    #[schema(value_type = String, format = Uuid)]
    recording: RecordingId,
    /// When; earlier than now if it had been before.
    #[schema(value_type = String, format = DateTime)]
    at: WallTime,
    /// By whom.
    by: String,
    /// Why, as they said.
    why: String,
}

/// Shred a recording
///
/// Deletes the key of an encrypted recording, so that nobody can read it any more, wherever copies of its files lie. There is no way back.
/// Its place in the list stays and says by whom and when.
#[utoipa::path(post, path = "/api/v1/recordings/{id}/shred", tag = "recordings",
    params(("id" = Uuid, Path, description = "The recording")), request_body = Shred,
    responses((status = 200, body = Shredded), (status = 409, description = "It is not encrypted, or still being made")))]
pub(crate) async fn shred_recording(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<RecordingId>,
    Body(why): Body<Shred>,
) -> Result<Json<Shredded>, Problem> {
    let site = recordings::home(&core, &caller, id).await?;
    let path = format!("/site/v1/recordings/{id}/shred");
    let shredded = storage::send(&core, &caller, &site, Method::POST, path, &why).await?;
    tracing::warn!(user = caller.user, recording = %id, "recording shredded");
    Ok(Json(shredded))
}
