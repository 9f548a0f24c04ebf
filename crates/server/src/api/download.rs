//! A recording as one file.

use super::{Problem, recordings::find_readable};
use crate::{
    core::Shared,
    download::{DownloadError, download},
    playback::PlaybackError,
};
use axum::{
    Extension, Json,
    body::Body,
    extract::{
        Path, State,
        rejection::{JsonRejection, PathRejection},
    },
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, header};
use playhead_model::{RecordingId, Statement};
use playhead_vault::Secrecy;
use serde::Deserialize;

/// Who shall be able to open the file; everybody when nothing is said.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Wanted {
    passphrase: Option<String>,
    recipients: Vec<String>,
}

pub(super) async fn recording(
    State(core): State<Shared>,
    Extension(statement): Extension<Statement>,
    id: Result<Path<RecordingId>, PathRejection>,
    body: Result<Json<Wanted>, JsonRejection>,
) -> Result<Response, Problem> {
    let row = find_readable(&core, &statement, id).await?;
    // What the body holds is not told: it may be a passphrase.
    let Json(Wanted { passphrase, recipients }) = body.map_err(|_| {
        Problem::bad_request(
            "expected a JSON object with 'passphrase', with 'recipients', or with neither of them",
        )
    })?;
    let secrecy =
        Secrecy::of(passphrase, &recipients).map_err(|error| Problem::bad_request(error.to_string()))?;
    let (id, encrypted) = (row.info.id, secrecy.is_some());
    let stream = download(&core.store, &core.storage, &row, secrecy).await.map_err(|error| match error {
        DownloadError::NotOver => Problem::not_ready(error.to_string()),
        DownloadError::Shredded => Problem::shredded(error.to_string()),
        error => PlaybackError::from(error).into(),
    })?;
    tracing::info!(user = statement.user, recording = %id, encrypted, "recording downloaded");
    let mut response = Body::from_stream(stream).into_response();
    let headers = response.headers_mut();
    let (kind, ending) =
        if encrypted { ("application/octet-stream", "tar.age") } else { ("application/x-tar", "tar") };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"{id}.{ending}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}
