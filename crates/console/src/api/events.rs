//! What happened in a recording: its site knows.

use super::{extract::Place, recordings};
use crate::{accounts::Caller, core::Shared, problem::Problem};
use axum::{
    Extension,
    extract::{RawQuery, State},
    response::Response,
};
use http::HeaderMap;
use playhead_model::{RecordingId, WallTime};
use utoipa::{IntoParams, ToSchema};

/// Which events to give.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes what is handed on to the site")]
pub(crate) struct EventsQuery {
    /// None before this media time, microseconds.
    #[param(default = 0)]
    from_us: Option<u64>,
    /// How many to give at most: 1 to 1,000.
    #[param(default = 200, minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next` of the page before, with everything else unchanged.
    cursor: Option<String>,
}

/// A page of events.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what a site answers; it is handed on as it is")]
pub(crate) struct EventPage {
    /// In order. A page may hold fewer than asked for, even none, although there are more.
    items: Vec<Event>,
    /// Where to go on; null when there is nothing more and nothing can come.
    #[schema(required)]
    next: Option<String>,
    /// Whether there may be more already. While it is false, `next` gives what comes later.
    more: bool,
}

/// Something that happened in a session.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what a site answers")]
pub(crate) struct Event {
    /// Media time, microseconds.
    at_us: u64,
    /// By the session host's clock.
    #[schema(value_type = String, format = DateTime)]
    at: WallTime,
    /// What it is: `notice`, `helper-ended`, or what agents of later versions tell. `unknown`: the agent told nothing that can be read.
    #[schema(rename = "type")]
    kind: String,
    /// What is told besides, as the type has it.
    #[schema(value_type = Object)]
    particulars: serde_json::Map<String, serde_json::Value>,
}

/// Events of a recording
///
/// What happened in the session, live or stored, page by page. Of a live recording the last page's `next` gives what comes later.
#[utoipa::path(get, path = "/api/v1/recordings/{id}/events", tag = "recordings",
    params(("id" = Uuid, Path, description = "The recording"), EventsQuery),
    responses((status = 200, body = EventPage)))]
pub(crate) async fn recording_events(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<RecordingId>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    recordings::hand_on(&core, &caller, id, "/events", query, &headers).await
}
