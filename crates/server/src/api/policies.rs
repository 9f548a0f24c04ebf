//! Recording policies, and what users are told.

use super::Problem;
use crate::{
    asked::AskError,
    core::Shared,
    policy::{
        self, ActiveReport, DiffReport, HistoryReport, PolicyDetail, PolicyList, Simulation,
        SimulationReport, VersionDetail, VersionsReport,
    },
};
use axum::{
    Extension, Json,
    extract::{
        FromRequest, Path, Query, Request, State,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
};
use http::StatusCode;
use playhead_model::{Notice, Statement, policy::Policy};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Most bytes of a policy: 2,000 rules with hundreds of names each. Agents are told it whole.
const MOST_POLICY: usize = 4 << 20;

/// A body with a policy in it, which may be longer than others.
pub(super) struct Long<T>(T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Long<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let bytes = axum::body::to_bytes(request.into_body(), MOST_POLICY).await.map_err(|_| {
            Problem::bad_request(format!("expected a policy of at most {} MiB", MOST_POLICY >> 20))
        })?;
        let Json(value) = Json::from_bytes(&bytes)
            .map_err(|error: JsonRejection| Problem::unreadable(&error.body_text()))?;
        Ok(Self(value))
    }
}

pub(super) async fn list(State(core): State<Shared>) -> Result<Json<PolicyList>, Problem> {
    Ok(Json(policy::list(&core.store).await?))
}

pub(super) async fn one(
    State(core): State<Shared>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<PolicyDetail>, Problem> {
    Ok(Json(policy::one(&core.store, &place(id)?).await?))
}

pub(super) async fn create(
    State(core): State<Shared>,
    Extension(statement): Extension<Statement>,
    Long(policy): Long<Policy>,
) -> Result<(StatusCode, Json<PolicyDetail>), Problem> {
    let made = policy::create(&core.store, policy, &statement.user).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    /// The version that was read.
    version: u32,
    policy: Policy,
}

pub(super) async fn change(
    State(core): State<Shared>,
    Extension(statement): Extension<Statement>,
    id: Result<Path<String>, PathRejection>,
    Long(Change { version, policy }): Long<Change>,
) -> Result<Json<PolicyDetail>, Problem> {
    let changed = policy::change(&core.store, &place(id)?, version, policy, &statement.user).await?;
    core.policies.look.notify_one();
    Ok(Json(changed))
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Copy {
    name: Option<String>,
}

pub(super) async fn duplicate(
    State(core): State<Shared>,
    Extension(statement): Extension<Statement>,
    id: Result<Path<String>, PathRejection>,
    body: Result<Json<Copy>, JsonRejection>,
) -> Result<(StatusCode, Json<PolicyDetail>), Problem> {
    let Json(Copy { name }) = body.map_err(|error| Problem::unreadable(&error.body_text()))?;
    let made = policy::duplicate(&core.store, &place(id)?, name, &statement.user).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

#[derive(Serialize)]
pub(super) struct Activated {
    active: ActiveReport,
}

pub(super) async fn activate(
    State(core): State<Shared>,
    Extension(statement): Extension<Statement>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Activated>, Problem> {
    let active = policy::activate(&core.store, &place(id)?, &statement.user).await?;
    core.policies.look.notify_one();
    Ok(Json(Activated { active }))
}

#[derive(Serialize)]
pub(super) struct Removed {
    id: String,
}

pub(super) async fn remove(
    State(core): State<Shared>,
    Extension(statement): Extension<Statement>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Removed>, Problem> {
    let id = place(id)?;
    policy::remove(&core.store, &id, &statement.user).await?;
    Ok(Json(Removed { id }))
}

pub(super) async fn versions(
    State(core): State<Shared>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<VersionsReport>, Problem> {
    Ok(Json(policy::versions(&core.store, &place(id)?).await?))
}

pub(super) async fn version(
    State(core): State<Shared>,
    place: Result<Path<(String, u32)>, PathRejection>,
) -> Result<Json<VersionDetail>, Problem> {
    let Path((id, version)) =
        place.map_err(|_| Problem::not_found("there is no such version of a policy at this site"))?;
    Ok(Json(policy::version(&core.store, &id, version).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Between {
    from: u32,
    to: u32,
}

pub(super) async fn diff(
    State(core): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    query: Result<Query<Between>, QueryRejection>,
) -> Result<Json<DiffReport>, Problem> {
    let Query(Between { from, to }) = query.map_err(|error| Problem::unreadable(&error.body_text()))?;
    Ok(Json(policy::diff(&core.store, &place(id)?, from, to).await?))
}

pub(super) async fn history(State(core): State<Shared>) -> Result<Json<HistoryReport>, Problem> {
    Ok(Json(policy::history(&core.store).await?))
}

pub(super) async fn simulate(
    State(core): State<Shared>,
    Long(asked): Long<Simulation>,
) -> Result<Json<SimulationReport>, Problem> {
    Ok(Json(policy::simulate(&core.store, asked).await?))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Notices {
    items: Vec<Notice>,
}

pub(super) async fn notices(State(core): State<Shared>) -> Result<Json<Notices>, Problem> {
    Ok(Json(Notices { items: core.store.notices().await? }))
}

pub(super) async fn set_notices(
    State(core): State<Shared>,
    Extension(statement): Extension<Statement>,
    Long(Notices { items }): Long<Notices>,
) -> Result<Json<Notices>, Problem> {
    policy::set_notices(&core.store, &items, &statement.user).await?;
    core.policies.look.notify_one();
    Ok(Json(Notices { items }))
}

fn place(id: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    let Path(id) = id.map_err(|_| Problem::not_found("there is no such policy at this site"))?;
    Ok(id)
}

impl From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Missing(text) => Self::not_found(text),
            AskError::Invalid(text) => Self::bad_request(text),
            AskError::Conflict(text) => Self::conflict(text),
            AskError::Away(text) => Self::unavailable(text),
            AskError::Late(text) => Self::late(text),
            AskError::Db(error) => error.into(),
        }
    }
}
