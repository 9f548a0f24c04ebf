//! Storage locations: how they are, and moving what lies there.

use super::Problem;
use crate::{
    ServerError,
    core::Shared,
    storage::{self, MoveReport, StorageReport, Wanted},
};
use axum::{
    Extension, Json,
    extract::{
        Path, State,
        rejection::{JsonRejection, PathRejection},
    },
};
use http::StatusCode;
use playhead_model::{RecordingId, Scope, Statement};
use serde::Deserialize;

pub(super) async fn report(State(core): State<Shared>) -> Result<Json<StorageReport>, Problem> {
    Ok(Json(storage::report(&core.store, &core.storage, Some(&core.settings.tending)).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    read_only: bool,
}

pub(super) async fn change(
    State(core): State<Shared>,
    Extension(statement): Extension<Statement>,
    id: Result<Path<String>, PathRejection>,
    body: Result<Json<Change>, JsonRejection>,
) -> Result<Json<StorageReport>, Problem> {
    let Path(id) = id.map_err(|error| Problem::unreadable(&error.body_text()))?;
    let Json(Change { read_only }) = body.map_err(|error| Problem::unreadable(&error.body_text()))?;
    storage::set_read_only(&core.store, &core.storage, &id, read_only).await.map_err(refused)?;
    tracing::info!(user = statement.user, location = id, read_only, "storage location changed");
    Ok(Json(storage::report(&core.store, &core.storage, Some(&core.settings.tending)).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MoveTo {
    location: String,
}

pub(super) async fn move_recording(
    State(core): State<Shared>,
    Extension(statement): Extension<Statement>,
    id: Result<Path<RecordingId>, PathRejection>,
    body: Result<Json<MoveTo>, JsonRejection>,
) -> Result<(StatusCode, Json<MoveReport>), Problem> {
    let missing = || Problem::not_found("there is no such recording at this site");
    let Path(id) = id.map_err(|_| missing())?;
    if statement.scope == Scope::Nothing || core.store.recording(id).await?.is_none() {
        return Err(missing());
    }
    let Json(MoveTo { location }) = body.map_err(|error| Problem::unreadable(&error.body_text()))?;
    ask(&core, Wanted::Recording { id, to: location }, &statement).await
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DrainTo {
    location: Option<String>,
}

pub(super) async fn drain(
    State(core): State<Shared>,
    Extension(statement): Extension<Statement>,
    from: Result<Path<String>, PathRejection>,
    body: Result<Json<DrainTo>, JsonRejection>,
) -> Result<(StatusCode, Json<MoveReport>), Problem> {
    let Path(from) = from.map_err(|error| Problem::unreadable(&error.body_text()))?;
    let Json(DrainTo { location }) = body.map_err(|error| Problem::unreadable(&error.body_text()))?;
    ask(&core, Wanted::Drain { from, to: location }, &statement).await
}

async fn ask(
    core: &Shared,
    wanted: Wanted,
    statement: &Statement,
) -> Result<(StatusCode, Json<MoveReport>), Problem> {
    let asked =
        storage::request(&core.store, &core.storage, wanted, &statement.user).await.map_err(refused)?;
    core.mover.wanted.notify_one();
    Ok((StatusCode::ACCEPTED, Json(asked)))
}

fn refused(error: ServerError) -> Problem {
    match error {
        ServerError::Move(text) => Problem::bad_request(text),
        ServerError::Db(error) => error.into(),
        error => Problem::internal(error),
    }
}
