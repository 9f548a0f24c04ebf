//! What happened in a recording.

use super::{Problem, recordings::find_readable};
use crate::{
    core::Shared,
    playback::{self, Events, WantedEvents},
};
use axum::{
    Extension, Json,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
};
use playhead_model::{RecordingId, Statement};
use serde::Deserialize;

/// Events on a page, unless another number is asked for.
const ON_A_PAGE: usize = 200;
/// Most events on a page.
const MOST_ON_A_PAGE: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    from_us: Option<u64>,
    limit: Option<usize>,
    cursor: Option<String>,
}

pub(super) async fn events(
    State(core): State<Shared>,
    Extension(statement): Extension<Statement>,
    id: Result<Path<RecordingId>, PathRejection>,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Result<Json<Events>, Problem> {
    let Query(query) = query.map_err(|error| Problem::unreadable(&error.body_text()))?;
    let limit = query.limit.unwrap_or(ON_A_PAGE);
    if !(1..=MOST_ON_A_PAGE).contains(&limit) {
        let text = format!("expected a limit between 1 and {MOST_ON_A_PAGE}, got {limit}");
        return Err(Problem::bad_request(text));
    }
    let mark = query.cursor.as_deref().map(str::parse).transpose().map_err(|()| {
        Problem::bad_request("cursor: expected 'next' of the page before, with everything else unchanged")
    })?;
    let row = find_readable(&core, &statement, id).await?;
    let wanted = WantedEvents { from_us: query.from_us.unwrap_or(0), limit, mark };
    Ok(Json(playback::events(&core, &row, wanted).await?))
}
