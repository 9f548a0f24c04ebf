//! Recordings: the list, particulars, playing, downloading.

use super::Problem;
use crate::{
    core::Shared,
    playback::{self, From, PlaybackError, Timeline, Wanted},
    recordings::Status,
};
use axum::{
    Extension, Json,
    body::Body,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    response::{IntoResponse as _, Response},
};
use futures_util::StreamExt as _;
use http::{HeaderValue, header};
use playhead_db::site::{Filter, Page, RecordingRow, Shredded, Sort};
use playhead_model::{
    AppliedMask, Contents, EndReason, Monitor, RecordedSession, RecordingId, RecordingState, Scope,
    SessionId, SiteId, Statement, WallTime,
};
use serde::{Deserialize, Serialize};

/// Media type of fragments one after another.
const FRAGMENTS: &str = "application/vnd.playhead.fragments";

/// Parameters of the list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    from: Option<WallTime>,
    to: Option<WallTime>,
    user: Option<String>,
    host: Option<String>,
    state: Option<RecordingState>,
    session: Option<SessionId>,
    sort: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

#[derive(Serialize)]
pub(super) struct List {
    items: Vec<Listed>,
    next: Option<String>,
    total: Total,
}

#[derive(Serialize)]
struct Total {
    value: u64,
    exact: bool,
}

/// A recording in the list, with the cursor that goes on right after it.
#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    recording: Recording,
    cursor: String,
}

#[derive(Serialize)]
pub(super) struct SiteRef {
    id: SiteId,
    name: String,
}

/// A recording as the API tells of it.
#[derive(Serialize)]
pub(super) struct Recording {
    id: RecordingId,
    site: SiteRef,
    host: String,
    user: String,
    display: String,
    client: Option<String>,
    client_address: Option<String>,
    application: String,
    state: RecordingState,
    /// Whether its agent is connected to this server.
    connected: bool,
    started_at: WallTime,
    ended_at: Option<WallTime>,
    duration_us: u64,
    bytes: u64,
    segments: u32,
    width: u32,
    height: u32,
    gaps: u64,
    events: u64,
    agent_version: String,
    end_reason: Option<EndReason>,
    problem: Option<String>,
    quarantine: Option<Quarantine>,
    /// Whether there is sound, and whether parts of pictures are video.
    sound: bool,
    video: bool,
    /// Masks that have covered windows.
    masks: Vec<AppliedMask>,
    /// The monitors it began with.
    monitors: Vec<Monitor>,
    /// Whether it is encrypted where it is stored.
    encrypted: bool,
    shredded: Option<Shredding>,
    /// The session it is of; null where a display was recorded that belongs to none.
    session: Option<RecordedSession>,
}

/// That its key was deleted: nobody can read it any more.
#[derive(Serialize)]
struct Shredding {
    at: WallTime,
    by: String,
    why: String,
}

/// Why a recording is set aside, and since when.
#[derive(Serialize)]
struct Quarantine {
    reason: String,
    since: WallTime,
}

/// What is told of a recording that is set aside.
fn quarantine(
    state: RecordingState,
    problem: Option<&str>,
    at: Option<WallTime>,
    heard_at: WallTime,
) -> Option<Quarantine> {
    let reason = problem.filter(|_| state == RecordingState::Quarantined)?.to_owned();
    Some(Quarantine { reason, since: at.unwrap_or(heard_at) })
}

impl Recording {
    /// As the database knows it, or newer, as this server holds it.
    fn new(core: &Shared, row: RecordingRow) -> Self {
        let site = SiteRef { id: core.site.id, name: core.site.name.clone() };
        let RecordingRow { info, .. } = row;
        let mut recording = Self {
            id: info.id,
            site,
            host: info.host,
            user: info.user,
            display: info.display,
            client: info.client,
            client_address: info.client_address,
            application: info.application,
            state: row.state,
            connected: row.connected && row.state == RecordingState::Live,
            started_at: info.started_at,
            ended_at: row.ended_at,
            duration_us: row.duration_us,
            bytes: row.bytes,
            segments: row.segments,
            width: row.width,
            height: row.height,
            gaps: row.gaps,
            events: row.events,
            agent_version: info.agent_version,
            end_reason: row.end_reason,
            quarantine: quarantine(row.state, row.problem.as_deref(), row.quarantined_at, row.heard_at),
            problem: row.problem,
            sound: row.contents.sound,
            video: row.contents.video,
            masks: row.contents.masks,
            monitors: info.monitors,
            encrypted: row.privacy.encrypted,
            session: info.session,
            shredded: row.privacy.shredded.map(|Shredded { at, by, why }| Shredding { at, by, why }),
        };
        if let Some(live) = core.recordings.get(recording.id) {
            recording.update(live.status());
        }
        recording
    }

    fn update(&mut self, Status { connected, progress, contents }: Status) {
        Contents { sound: self.sound, video: self.video, masks: self.masks } = contents;
        self.state = progress.state;
        self.connected = connected && progress.state == RecordingState::Live;
        self.duration_us = progress.duration_us;
        self.bytes = progress.bytes;
        self.segments = progress.segments;
        (self.width, self.height) = (progress.width, progress.height);
        self.events = progress.events;
        self.end_reason = progress.end_reason;
        self.ended_at = progress
            .end_reason
            .map(|_| self.started_at.plus_micros(i64::try_from(progress.duration_us).unwrap_or(i64::MAX)));
        self.quarantine = quarantine(
            progress.state,
            progress.problem.as_deref(),
            progress.quarantined_at,
            progress.heard_at,
        );
        self.problem = progress.problem;
    }
}

pub(super) async fn list(
    State(core): State<Shared>,
    Extension(statement): Extension<Statement>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<List>, Problem> {
    let Query(query) = query.map_err(|error| Problem::unreadable(&error.body_text()))?;
    let sort: Sort = match &query.sort {
        Some(sort) => sort.parse().map_err(|error| Problem::bad_request(format!("sort: {error}")))?,
        None => Sort::default(),
    };
    let limit = query.limit.unwrap_or(50);
    if !(1..=500).contains(&limit) {
        return Err(Problem::bad_request(format!("expected a limit between 1 and 500, got {limit}")));
    }
    if statement.scope == Scope::Nothing {
        return Ok(Json(List { items: vec![], next: None, total: Total { value: 0, exact: true } }));
    }
    let filter = Filter {
        from: query.from,
        to: query.to,
        user: query.user,
        host: query.host,
        state: query.state,
        session: query.session,
    };
    let Page { items, more, total, total_is_exact } =
        core.store.recordings(&filter, sort, limit, query.cursor.as_deref()).await?;
    let next = items.last().filter(|_| more).map(|(_, cursor)| cursor.clone());
    let items = items
        .into_iter()
        .map(|(row, cursor)| Listed { recording: Recording::new(&core, row), cursor })
        .collect();
    Ok(Json(List { items, next, total: Total { value: total, exact: total_is_exact } }))
}

/// The recording, if the one who asks may know of it.
async fn find(
    core: &Shared,
    statement: &Statement,
    id: Result<Path<RecordingId>, PathRejection>,
) -> Result<RecordingRow, Problem> {
    let missing = || Problem::not_found("there is no such recording at this site");
    let Path(id) = id.map_err(|_| missing())?;
    match statement.scope {
        Scope::All => core.store.recording(id).await?.ok_or_else(missing),
        Scope::Nothing => Err(missing()),
    }
}

/// The same, if there is anything left to read of it.
pub(super) async fn find_readable(
    core: &Shared,
    statement: &Statement,
    id: Result<Path<RecordingId>, PathRejection>,
) -> Result<RecordingRow, Problem> {
    let row = find(core, statement, id).await?;
    match &row.privacy.shredded {
        Some(Shredded { at, by, .. }) => Err(Problem::shredded(format!(
            "the recording was shredded by {by} at {at}: its key is gone, and nobody can read it any more"
        ))),
        None => Ok(row),
    }
}

pub(super) async fn one(
    State(core): State<Shared>,
    Extension(statement): Extension<Statement>,
    id: Result<Path<RecordingId>, PathRejection>,
) -> Result<Json<Recording>, Problem> {
    let row = find(&core, &statement, id).await?;
    Ok(Json(Recording::new(&core, row)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimelineQuery {
    buckets: Option<usize>,
    idle_ms: Option<u64>,
}

pub(super) async fn timeline(
    State(core): State<Shared>,
    Extension(statement): Extension<Statement>,
    id: Result<Path<RecordingId>, PathRejection>,
    query: Result<Query<TimelineQuery>, QueryRejection>,
) -> Result<Json<Timeline>, Problem> {
    let Query(query) = query.map_err(|error| Problem::unreadable(&error.body_text()))?;
    let buckets = query.buckets.unwrap_or(500);
    if !(1..=2_000).contains(&buckets) {
        return Err(Problem::bad_request(format!("expected between 1 and 2000 buckets, got {buckets}")));
    }
    let idle_us = query.idle_ms.unwrap_or(5_000).max(1).saturating_mul(1_000);
    let row = find_readable(&core, &statement, id).await?;
    Ok(Json(playback::timeline(&core, &row, buckets, idle_us).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FragmentsQuery {
    /// Read by hand, so that a time before the start or beyond all numbers is refused as one outside the recording.
    at: Option<String>,
    after: Option<u64>,
    anchor: Option<u64>,
    until: Option<u64>,
    max_bytes: Option<u64>,
    #[serde(default)]
    follow: bool,
}

/// A media time in microseconds.
fn time(text: &str) -> Result<u64, Problem> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || digits.len() > 40 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(Problem::bad_request("at: expected a media time in whole microseconds"));
    }
    text.parse()
        .map_err(|_| Problem::out_of_range(format!("expected a time of 0 us or later, got {text} us")))
}

pub(super) async fn fragments(
    State(core): State<Shared>,
    Extension(statement): Extension<Statement>,
    id: Result<Path<RecordingId>, PathRejection>,
    query: Result<Query<FragmentsQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|error| Problem::unreadable(&error.body_text()))?;
    let from = match (&query.at, query.after) {
        (Some(at), None) => From::At(time(at)?),
        (None, Some(after)) => From::After(after),
        _ => {
            let text = "expected either 'at' (a media time) or 'after' (a fragment's number)";
            return Err(Problem::bad_request(text));
        }
    };
    let row = find_readable(&core, &statement, id).await?;
    let wanted = Wanted {
        from,
        anchor: query.anchor,
        until: query.until,
        max_bytes: query.max_bytes,
        follow: query.follow,
    };
    let recording = row.info.id;
    let stream = playback::fragments(&core, recording, wanted).await?;
    let stream = stream.inspect(move |bytes| {
        // The answer has begun: all that can be done is to break it off.
        if let Err(error) = bytes {
            tracing::error!(%recording, %error, "a stream of fragments broke off");
        }
    });
    let mut response = Body::from_stream(stream).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(FRAGMENTS));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

#[derive(Serialize)]
pub(super) struct Segments {
    items: Vec<Segment>,
}

#[derive(Serialize)]
struct Segment {
    number: u32,
    start_us: u64,
    end_us: u64,
    bytes: u64,
    fragments: u64,
    state: SegmentState,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum SegmentState {
    /// It lies in storage and does not change any more.
    Stored,
    /// It is in the journal: still growing, or about to be stored.
    Writing,
}

pub(super) async fn segments(
    State(core): State<Shared>,
    Extension(statement): Extension<Statement>,
    id: Result<Path<RecordingId>, PathRejection>,
) -> Result<Json<Segments>, Problem> {
    let row = find(&core, &statement, id).await?;
    // The journal first: what leaves it meanwhile is found in storage then.
    let held = core.recordings.get(row.info.id).map(|live| live.entries()).unwrap_or_default();
    let stored = core.store.segments(row.info.id).await?;
    let next_seq = stored.last().map_or(0, |segment| segment.next_seq);
    let mut items: Vec<_> = stored
        .into_iter()
        .map(|segment| Segment {
            number: segment.number,
            start_us: segment.start_us,
            end_us: segment.end_us,
            bytes: segment.bytes,
            fragments: segment.next_seq - segment.first_seq,
            state: SegmentState::Stored,
        })
        .collect();
    for (number, entry) in held.into_iter().filter(|(_, entry)| entry.seq >= next_seq) {
        match items.last_mut().filter(|last| last.number == number) {
            Some(segment) => {
                segment.end_us = entry.end_us;
                segment.bytes += u64::from(entry.length);
                segment.fragments += 1;
            }
            None => items.push(Segment {
                number,
                start_us: entry.start_us,
                end_us: entry.end_us,
                bytes: entry.length.into(),
                fragments: 1,
                state: SegmentState::Writing,
            }),
        }
    }
    Ok(Json(Segments { items }))
}

pub(super) async fn segment(
    State(core): State<Shared>,
    Extension(statement): Extension<Statement>,
    path: Result<Path<(RecordingId, u32)>, PathRejection>,
) -> Result<Response, Problem> {
    let missing = || Problem::not_found("there is no such segment of a recording at this site");
    let Path((id, number)) = path.map_err(|_| missing())?;
    let row = find_readable(&core, &statement, Ok(Path(id))).await?;
    let stored = core.store.segments(id).await?;
    let Some(segment) = stored.into_iter().find(|segment| segment.number == number) else {
        return Err(if number < row.segments {
            Problem::not_ready("this segment is still being written: download it when it is stored")
        } else {
            missing()
        });
    };
    let (bytes, stream) = core.storage.stream(&segment).await.map_err(PlaybackError::Storage)?;
    let mut response = Body::from_stream(stream).into_response();
    let headers = response.headers_mut();
    let name = format!("attachment; filename=\"{id}-{number:06}.mcap\"");
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(playhead_format::MEDIA_TYPE));
    headers.insert(header::CONTENT_LENGTH, bytes.into());
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}
