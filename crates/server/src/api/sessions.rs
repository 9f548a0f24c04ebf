//! Sessions of users: the list, one of them, and whether it is recorded.

use super::Problem;
use crate::{
    cluster,
    core::Shared,
    sessions::{self, Query as SessionQuery, SessionList, SessionReport, Wanted},
};
use axum::{
    Extension, Json,
    extract::{
        Path, Query, State,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, Uri};
use playhead_model::{SessionId, Statement};
use serde::{Deserialize, Serialize};

pub(super) async fn list(
    State(core): State<Shared>,
    query: Result<Query<SessionQuery>, QueryRejection>,
) -> Result<Json<SessionList>, Problem> {
    let Query(query) = query.map_err(|error| Problem::unreadable(&error.body_text()))?;
    Ok(Json(sessions::list(&core, query).await?))
}

pub(super) async fn one(
    State(core): State<Shared>,
    id: Result<Path<SessionId>, PathRejection>,
) -> Result<Json<SessionReport>, Problem> {
    Ok(Json(sessions::one(&core, place(id)?).await?))
}

#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Start {
    notify: bool,
}

pub(super) async fn start_recording(
    State(core): State<Shared>,
    Extension(statement): Extension<Statement>,
    id: Result<Path<SessionId>, PathRejection>,
    (uri, headers): (Uri, HeaderMap),
    body: Result<Json<Start>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(start) = body.map_err(|error| Problem::unreadable(&error.body_text()))?;
    let wanted = Wanted::Start { notify: start.notify };
    let body = serde_json::to_vec(&start).map_err(Problem::internal)?;
    command(&core, &statement, place(id)?, wanted, (&uri, &headers, body)).await
}

#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Stop {}

pub(super) async fn stop_recording(
    State(core): State<Shared>,
    Extension(statement): Extension<Statement>,
    id: Result<Path<SessionId>, PathRejection>,
    (uri, headers): (Uri, HeaderMap),
    body: Result<Json<Stop>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(Stop {}) = body.map_err(|error| Problem::unreadable(&error.body_text()))?;
    command(&core, &statement, place(id)?, Wanted::Stop, (&uri, &headers, b"{}".to_vec())).await
}

/// Has it done by the agent, by way of the server that the agent is connected to.
async fn command(
    core: &Shared,
    statement: &Statement,
    id: SessionId,
    wanted: Wanted,
    (uri, headers, body): (&Uri, &HeaderMap, Vec<u8>),
) -> Result<Response, Problem> {
    let row = core.store.session(id).await?;
    let row = row.ok_or_else(|| Problem::not_found(format!("there is no session {id} at this site")))?;
    if !core.agents.has(row.agent)
        && let Some(server) = row.server.filter(|server| *server != core.server)
        && let Some(answer) = cluster::pass_to(core, server, uri, headers, body).await
    {
        return Ok(answer);
    }
    let report = sessions::command(core, &row, wanted, &statement.user).await?;
    Ok(Json(report).into_response())
}

fn place(id: Result<Path<SessionId>, PathRejection>) -> Result<SessionId, Problem> {
    let Path(id) = id.map_err(|_| Problem::not_found("there is no such session at this site"))?;
    Ok(id)
}
