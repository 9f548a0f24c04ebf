//! Finding and playing recordings. The sites do the work; the console asks them on the reader's behalf and merges.

use super::{
    extract::{Params, Place},
    hosts,
    merge::{Listed, Merged, Page, Sort, merge},
    shapes::{Recording, RecordingPage, Segments, SiteRef, State as StateName, Timeline, Total},
    site,
};
use crate::{
    accounts::Caller,
    core::{Core, Shared},
    problem::Problem,
    sites::{SiteName, SiteRequest, ask_all, ask_for},
};
use axum::{
    Extension, Json,
    extract::{RawQuery, State},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, header};
use playhead_model::{RecordingId, RecordingState, SessionId, SiteId, WallTime};
use serde::Deserialize;
use std::{fmt::Write as _, time::Duration};
use utoipa::IntoParams;

/// How long a site may take to begin a stream.
const STREAM_PATIENCE: Duration = Duration::from_secs(15);
const MOST_ON_A_PAGE: u32 = 500;
/// What a reader may tell a site about the answer it wants.
const ASKED: [HeaderName; 4] = [header::ACCEPT, header::RANGE, header::IF_RANGE, header::IF_NONE_MATCH];
/// What a site may tell a reader about its answer.
const ANSWERED: [HeaderName; 9] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_DISPOSITION,
    header::ACCEPT_RANGES,
    header::CACHE_CONTROL,
    header::ETAG,
    header::LAST_MODIFIED,
    header::RETRY_AFTER,
];

/// Which recordings to list, and how.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only those that go on after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<WallTime>,
    /// Only those that began before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<WallTime>,
    /// Only those whose user's name holds this text, in any letter case.
    user: Option<String>,
    /// Only those whose session host's name holds this text, in any letter case.
    host: Option<String>,
    /// Only those in this state.
    #[param(value_type = Option<StateName>, inline)]
    state: Option<RecordingState>,
    /// Only those of this session.
    #[param(value_type = Option<String>, format = Uuid)]
    session: Option<SessionId>,
    /// Only those of this site.
    #[param(value_type = Option<String>, format = Uuid)]
    site: Option<SiteId>,
    /// How to sort; a minus sign means descending.
    #[serde(default)]
    #[param(value_type = Option<Sort>, inline, default = "-started_at")]
    sort: Sort,
    /// How many to give at most: 1 to 500.
    #[param(default = 50, minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// `next` of the page before, with everything else unchanged.
    cursor: Option<String>,
}

#[derive(Deserialize)]
struct OfSite {
    items: Vec<Listed>,
    next: Option<String>,
    total: Total,
}

/// The recordings
///
/// Of all sites in one list. A site that does not answer stands in `problems`, and the others are shown.
#[utoipa::path(get, path = "/api/v1/recordings", tag = "recordings", params(ListQuery),
    responses((status = 200, body = RecordingPage)))]
pub(crate) async fn list_recordings(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<ListQuery>,
) -> Result<Json<RecordingPage>, Problem> {
    let limit = query.limit.unwrap_or(50);
    if !(1..=MOST_ON_A_PAGE).contains(&limit) {
        return Err(Problem::bad_request(format!(
            "'limit' must lie between 1 and {MOST_ON_A_PAGE}, got {limit}."
        )));
    }
    let sites = hosts::chosen(&core, query.site).await?;
    let request = SiteRequest::get(format!("/site/v1/recordings?{}", query.for_site(limit)));
    let answers = ask_all::<OfSite>(&core, &caller, sites, &request).await?;
    let mut total = Total { value: 0, exact: answers.missing.is_empty() };
    let mut pages = Vec::new();
    for (site, answer) in answers.given {
        total.value = total.value.saturating_add(answer.total.value);
        total.exact &= answer.total.exact;
        let items = answer
            .items
            .into_iter()
            .map(|Listed { recording, cursor }| Listed { recording: at_site(recording, &site), cursor });
        let items = items.collect();
        pages.push(Page { items, more: answer.next.is_some() });
    }
    let Merged { items, more } = merge(pages, query.sort, limit as usize);
    let next = items.last().filter(|_| more).map(|last| last.cursor.clone());
    let items = items.into_iter().map(|listed| listed.recording).collect();
    let problems = answers.missing.into_iter().map(hosts::shown).collect();
    Ok(Json(RecordingPage { items, next, total, problems }))
}

impl ListQuery {
    /// The same question for one site.
    fn for_site(&self, limit: u32) -> String {
        let mut query = format!("limit={limit}&sort={}", self.sort.as_str());
        let texts = [
            ("from", self.from.map(|at| at.to_string())),
            ("to", self.to.map(|at| at.to_string())),
            ("user", self.user.clone()),
            ("host", self.host.clone()),
            ("state", self.state.map(|state| state.to_string())),
            ("session", self.session.map(|session| session.to_string())),
            ("cursor", self.cursor.clone()),
        ];
        for (name, text) in texts {
            add(&mut query, name, text.as_deref().unwrap_or_default());
        }
        query
    }
}

/// Adds a parameter to a query, unless there is nothing to say.
pub(super) fn add(query: &mut String, name: &str, text: &str) {
    if text.is_empty() {
        return;
    }
    query.push('&');
    query.push_str(name);
    query.push('=');
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            query.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(query, "%{byte:02X}");
        }
    }
}

/// A recording under the name that its site has at this console.
fn at_site(recording: Recording, site: &SiteName) -> Recording {
    Recording { site: SiteRef { id: site.id, name: site.name.clone() }, ..recording }
}

/// One recording
#[utoipa::path(get, path = "/api/v1/recordings/{id}", tag = "recordings",
    params(("id" = Uuid, Path, description = "The recording")), responses((status = 200, body = Recording)))]
pub(crate) async fn recording(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<RecordingId>,
) -> Result<Json<Recording>, Problem> {
    let site = home(&core, &caller, id).await?;
    let recording =
        ask_for(&core, &caller, &site, &SiteRequest::get(format!("/site/v1/recordings/{id}"))).await;
    if recording.as_ref().is_err_and(|problem| problem.status() == 404) {
        core.homes.forget(id);
    }
    Ok(Json(at_site(recording?, &site)))
}

/// Which activity to show.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes what is handed on to the site")]
pub(crate) struct TimelineQuery {
    /// Into how many buckets to divide it: 1 to 2,000.
    #[param(minimum = 1, maximum = 2000)]
    buckets: Option<u32>,
    /// From which length on a pause counts as idle, milliseconds.
    #[param(default = 5000)]
    idle_ms: Option<u64>,
}

/// Activity, idle periods, gaps and events of a recording
#[utoipa::path(get, path = "/api/v1/recordings/{id}/timeline", tag = "recordings",
    params(("id" = Uuid, Path, description = "The recording"), TimelineQuery), responses((status = 200, body = Timeline)))]
pub(crate) async fn timeline(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<RecordingId>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    hand_on(&core, &caller, id, "/timeline", query, &headers).await
}

/// Which fragments to send.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes what is handed on to the site")]
pub(crate) struct FragmentsQuery {
    /// From the key frame at or before this media time on, microseconds. Either this or `after`.
    at: Option<u64>,
    /// Those with a higher sequence number than this. Either this or `at`.
    after: Option<u64>,
    /// Sequence number of the anchor fragment that the reader holds already; it is not sent again.
    anchor: Option<u64>,
    /// Up to this media time, microseconds.
    until: Option<u64>,
    /// Stop after this many bytes, at a whole fragment.
    max_bytes: Option<u64>,
    /// At the live end wait for more, until the recording ends.
    follow: Option<bool>,
}

/// Fragments of a recording, as a stream
///
/// One MCAP Chunk record after another (opcode 0x06, 64-bit little-endian length, content). With `follow` the answer stays open while
/// the recording is live.
#[utoipa::path(get, path = "/api/v1/recordings/{id}/fragments", tag = "recordings",
    params(("id" = Uuid, Path, description = "The recording"), FragmentsQuery),
    responses((status = 200, description = "Chunk records", content_type = "application/vnd.playhead.fragments"),
              (status = 416, description = "The time lies outside the recording")))]
pub(crate) async fn fragments(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<RecordingId>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    hand_on(&core, &caller, id, "/fragments", query, &headers).await
}

/// The segments of a recording
#[utoipa::path(get, path = "/api/v1/recordings/{id}/segments", tag = "recordings",
    params(("id" = Uuid, Path, description = "The recording")), responses((status = 200, body = Segments)))]
pub(crate) async fn segments(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<RecordingId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    hand_on(&core, &caller, id, "/segments", None, &headers).await
}

/// One segment's file
#[utoipa::path(get, path = "/api/v1/recordings/{id}/segments/{number}", tag = "recordings",
    params(("id" = Uuid, Path, description = "The recording"), ("number" = u32, Path, description = "The segment's number")),
    responses((status = 200, description = "An MCAP file", content_type = "application/x-mcap")))]
pub(crate) async fn download_segment(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place((id, number)): Place<(RecordingId, u32)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    hand_on(&core, &caller, id, &format!("/segments/{number}"), None, &headers).await
}

/// Hands a question about a recording on to its site, and the answer back as it comes.
pub(super) async fn hand_on(
    core: &Core,
    caller: &Caller,
    id: RecordingId,
    what: &str,
    query: Option<String>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let site = home(core, caller, id).await?;
    let mut path = format!("/site/v1/recordings/{id}{what}");
    if let Some(query) = query {
        path.push('?');
        path.push_str(&query);
    }
    let request =
        SiteRequest { method: Method::GET, path, headers: picked(headers, &ASKED), body: Bytes::new() };
    let answer = core.sites.ask(&site, caller, &request, STREAM_PATIENCE).await?;
    if answer.status() == http::StatusCode::NOT_FOUND {
        core.homes.forget(id);
    }
    Ok(passed_on(core, caller, answer))
}

/// A site's answer as it goes on to the reader, until the session ends.
pub(super) fn passed_on(core: &Core, caller: &Caller, answer: http::Response<axum::body::Body>) -> Response {
    let (parts, body) = answer.into_parts();
    let longest = caller.session_ends.as_micros().saturating_sub(core.clock.now().as_micros());
    let longest = Duration::from_micros(u64::try_from(longest).unwrap_or(0));
    let mut response = core.streams.guard(body, caller, longest).into_response();
    *response.status_mut() = parts.status;
    *response.headers_mut() = picked(&parts.headers, &ANSWERED);
    response
}

fn picked(headers: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let mut picked = HeaderMap::new();
    for name in names {
        if let Some(value) = headers.get(name) {
            picked.insert(name, value.clone());
        }
    }
    picked
}

/// The site that keeps a recording.
pub(super) async fn home(core: &Core, caller: &Caller, id: RecordingId) -> Result<SiteName, Problem> {
    let mut sites = site::all_joined(core).await?;
    let remembered = core.homes.get(id);
    if let Some(at) = sites.iter().position(|site| Some(site.id) == remembered || sites.len() == 1) {
        return Ok(sites.swap_remove(at));
    }
    let request = SiteRequest::get(format!("/site/v1/recordings/{id}"));
    let answers = ask_all::<serde::de::IgnoredAny>(core, caller, sites, &request).await?;
    if let Some((site, _)) = answers.given.into_iter().next() {
        core.homes.put(id, site.id);
        return Ok(site);
    }
    match answers.missing.into_iter().find(|(_, problem)| problem.status() != 404) {
        // It may be there.
        Some((_, problem)) => Err(problem),
        None => Err(Problem::not_found(format!("There is no recording {id} at any site."))),
    }
}
