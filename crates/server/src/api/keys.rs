//! Keys: how the site encrypts, and the end of a recording by that of its key.

use super::Problem;
use crate::{
    ServerError,
    core::Shared,
    keys::{self, KeyReport, ShredReport},
};
use axum::{
    Extension, Json,
    extract::{
        Path, State,
        rejection::{JsonRejection, PathRejection},
    },
};
use playhead_model::{RecordingId, Scope, Statement};
use serde::Deserialize;

pub(super) async fn report(State(core): State<Shared>) -> Result<Json<KeyReport>, Problem> {
    keys::report(&core.store, &core.keys).await.map(Json).map_err(refused)
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Why {
    why: String,
}

pub(super) async fn shred(
    State(core): State<Shared>,
    Extension(statement): Extension<Statement>,
    id: Result<Path<RecordingId>, PathRejection>,
    body: Result<Json<Why>, JsonRejection>,
) -> Result<Json<ShredReport>, Problem> {
    let missing = || Problem::not_found("there is no such recording at this site");
    let Path(id) = id.map_err(|_| missing())?;
    if statement.scope == Scope::Nothing || core.store.recording(id).await?.is_none() {
        return Err(missing());
    }
    let Json(Why { why }) = body.map_err(|error| Problem::unreadable(&error.body_text()))?;
    keys::shred(&core.store, &core.keys, id, &statement.user, &why).await.map(Json).map_err(refused)
}

fn refused(error: ServerError) -> Problem {
    match error {
        ServerError::Shred(text) => Problem::conflict(text),
        ServerError::Db(error) => error.into(),
        error => Problem::internal(error),
    }
}
