//! Recordings as one file, plain or encrypted. The sites make it; it goes through as it comes.
//!
//! A browser saves to disk what it gets by following a link, and a link must not hold a passphrase. So a page first leaves here, for a
//! minute, who shall be able to open the file, and gets a link that is good once and in its own session.

use super::{
    extract::{Body, Place},
    recordings,
    shapes::Recording,
};
use crate::{
    accounts::Caller,
    core::Shared,
    problem::Problem,
    sites::{SiteRequest, ask_for},
};
use axum::{Extension, Json, extract::State, response::Response};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use playhead_model::{RecordingId, RecordingState, WallTime};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use utoipa::ToSchema;

/// How long a site may take to begin.
const PATIENCE: Duration = Duration::from_secs(25);
/// For how long a link is good, microseconds.
const GOOD: i64 = 60_000_000;
/// Links that are good at a time.
const MOST: usize = 1_000;

/// Who shall be able to open the file; everybody when nothing is said.
#[derive(Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DownloadAs {
    /// Encrypt to this passphrase, 12 characters or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    passphrase: Option<String>,
    /// Encrypt to these recipients, `age1…`, 20 at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recipients: Vec<String>,
}

impl fmt::Debug for DownloadAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DownloadAs")
    }
}

/// A link that is good once.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DownloadLink {
    /// Where the file is, below the console's own address.
    url: String,
    /// Until when.
    #[schema(value_type = String, format = DateTime)]
    expires_at: WallTime,
}

struct Left {
    recording: RecordingId,
    wanted: DownloadAs,
    session: String,
    until: WallTime,
}

/// What pages have left here.
#[derive(Default)]
pub(crate) struct Downloads(Mutex<HashMap<String, Left>>);

impl Downloads {
    fn leave(&self, left: Left, now: WallTime) -> Result<String, Problem> {
        let mut random = [0; 24];
        getrandom::fill(&mut random).map_err(|error| Problem::from_error(&error))?;
        let name = URL_SAFE_NO_PAD.encode(random);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, left| left.until > now);
        if all.len() >= MOST {
            return Err(Problem::busy("Too many downloads are being prepared. Try again in a minute."));
        }
        all.insert(name.clone(), left);
        Ok(name)
    }

    fn take(&self, name: &str, session: &str, now: WallTime) -> Option<Left> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, left| left.until > now);
        let own = all.get(name).is_some_and(|left| left.session == session);
        if own { all.remove(name) } else { None }
    }
}

/// A recording as one file
///
/// An archive (tar) of its segments; with a passphrase or recipients encrypted in the age format, which `age -d` opens.
#[utoipa::path(post, path = "/api/v1/recordings/{id}/download", tag = "recordings",
    params(("id" = Uuid, Path, description = "The recording")), request_body = DownloadAs,
    responses((status = 200, description = "An archive, plain or encrypted", content_type = "application/octet-stream"),
              (status = 409, description = "It is not over yet"), (status = 410, description = "It was shredded")))]
pub(crate) async fn download_recording(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<RecordingId>,
    Body(wanted): Body<DownloadAs>,
) -> Result<Response, Problem> {
    send(&core, &caller, id, &wanted).await
}

/// A link to a recording as one file
///
/// Good for a minute, once, and in the session that asked for it. So a passphrase stands in no address.
#[utoipa::path(post, path = "/api/v1/recordings/{id}/download-links", tag = "recordings",
    params(("id" = Uuid, Path, description = "The recording")), request_body = DownloadAs,
    responses((status = 201, body = DownloadLink)))]
pub(crate) async fn create_download_link(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<RecordingId>,
    Body(wanted): Body<DownloadAs>,
) -> Result<(StatusCode, Json<DownloadLink>), Problem> {
    // So that what cannot be downloaded is told of here, and not by a page in place of the file.
    let site = recordings::home(&core, &caller, id).await?;
    let path = format!("/site/v1/recordings/{id}");
    let recording: Recording = ask_for(&core, &caller, &site, &SiteRequest::get(path)).await?;
    if let Some(shredded) = recording.shredded {
        let (by, at) = (shredded.by, shredded.at);
        return Err(Problem::conflict(format!(
            "The recording was shredded by {by} at {at}. Nobody can read it."
        )));
    }
    if recording.state == RecordingState::Live {
        return Err(Problem::conflict("The recording is still being made. Download it when it has ended."));
    }
    let now = core.clock.now();
    let expires_at = now.plus_micros(GOOD);
    let left = Left { recording: id, wanted, session: caller.session.clone(), until: expires_at };
    let name = core.downloads.leave(left, now)?;
    Ok((StatusCode::CREATED, Json(DownloadLink { url: format!("/api/v1/downloads/{name}"), expires_at })))
}

/// The file of a link
#[utoipa::path(get, path = "/api/v1/downloads/{link}", tag = "recordings",
    params(("link" = String, Path, description = "What the link ends with")),
    responses((status = 200, description = "An archive, plain or encrypted", content_type = "application/octet-stream")))]
pub(crate) async fn follow_download_link(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(link): Place<String>,
) -> Result<Response, Problem> {
    let left = core.downloads.take(&link, &caller.session, core.clock.now());
    let left = left.ok_or_else(|| {
        Problem::not_found("This link was used already or is too old. Ask for another one.")
    })?;
    send(&core, &caller, left.recording, &left.wanted).await
}

async fn send(
    core: &Shared,
    caller: &Caller,
    id: RecordingId,
    wanted: &DownloadAs,
) -> Result<Response, Problem> {
    let site = recordings::home(core, caller, id).await?;
    let body = Bytes::from(serde_json::to_vec(wanted).map_err(|error| Problem::from_error(&error))?);
    let json = HeaderValue::from_static("application/json");
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, json)]);
    let path = format!("/site/v1/recordings/{id}/download");
    let request = SiteRequest { method: Method::POST, path, headers, body };
    let answer = core.sites.ask(&site, caller, &request, PATIENCE).await?;
    tracing::info!(user = caller.user, recording = %id, status = answer.status().as_u16(), "recording downloaded");
    Ok(recordings::passed_on(core, caller, answer))
}
