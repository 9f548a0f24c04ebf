//! What people ask of a recording that another server holds: that one answers, through this one. So the console may ask any server of
//! the site, and whoever watches live sees what comes in wherever it comes in.

use super::Cluster;
use crate::core::Shared;
use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use playhead_db::{
    DbError,
    site::{ServerRow, ServerState},
};
use playhead_model::{RecordingId, RecordingState, ServerId};
use std::{sync::Arc, time::Duration};

/// Header of what another server has passed on: it is not passed on again.
const FORWARDED: &str = "playhead-forwarded";
/// How long the head of the other server's answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Passes a request about a recording on to the server that holds it; answers it here where that cannot be.
pub(crate) async fn forward(State(core): State<Shared>, request: Request, next: Next) -> Response {
    let cluster = &core.cluster;
    let passed_on = request.headers().contains_key(FORWARDED);
    if !cluster.has_peers || passed_on || request.method() != Method::GET {
        return next.run(request).await;
    }
    let Some(id) = recording_of(request.uri().path()) else { return next.run(request).await };
    let holder = match holder(&core, id).await {
        Ok(Some(holder)) => holder,
        Ok(None) => return next.run(request).await,
        Err(error) => {
            tracing::warn!(recording = %id, %error, "cannot find out which server holds a recording");
            return next.run(request).await;
        }
    };
    match cluster.links.pass(cluster, &holder, copy_of(&request), PATIENCE).await {
        // The other one does not know the console, or does not hold the recording any more.
        Ok(response) if response.status() != StatusCode::UNAUTHORIZED => response,
        Ok(_) => next.run(request).await,
        Err(error) => {
            tracing::warn!(recording = %id, server = holder.server.name, %error, "cannot ask the server that holds a recording; giving what is stored");
            next.run(request).await
        }
    }
}

/// Passes a request that changes something on to another server of the site; `None` where that one cannot be asked, or where it was
/// passed on to this one already. Whether the other one has done it is known only from its answer.
pub(crate) async fn pass_to(
    core: &Shared,
    server: ServerId,
    uri: &Uri,
    headers: &HeaderMap,
    body: Vec<u8>,
) -> Option<Response> {
    let cluster = &core.cluster;
    if !cluster.has_peers || headers.contains_key(FORWARDED) {
        return None;
    }
    let holder = match cluster.holder(server).await {
        Ok(holder) => holder?,
        Err(error) => {
            tracing::warn!(%server, %error, "cannot find out where a server of the site is");
            return None;
        }
    };
    let mut request = Request::new(Body::empty());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri.clone();
    *request.headers_mut() = headers.clone();
    let mut copy = copy_of(&request);
    *copy.method_mut() = Method::POST;
    // The body is written anew.
    copy.headers_mut().remove(http::header::CONTENT_LENGTH);
    copy.headers_mut().remove(http::header::TRANSFER_ENCODING);
    copy.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *copy.body_mut() = Body::from(body);
    match cluster.links.pass(cluster, &holder, copy, PATIENCE).await {
        Ok(response) if response.status() == StatusCode::UNAUTHORIZED => None,
        Ok(response) => Some(response),
        Err(error) => {
            tracing::warn!(server = holder.server.name, %error, "cannot ask the server that a session host's agent is connected to");
            let text =
                format!("the server that the session host's agent is connected to does not answer: {error}");
            Some(axum::response::IntoResponse::into_response(crate::api::Problem::unavailable(text)))
        }
    }
}

/// The same request, marked.
fn copy_of(request: &Request) -> Request {
    let mut copy = Request::new(Body::empty());
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    // It was read from an address before.
    *copy.uri_mut() = format!("http://site{path}").parse().unwrap_or_default();
    *copy.headers_mut() = request.headers().clone();
    copy.headers_mut().remove(http::header::HOST);
    copy.headers_mut().insert(FORWARDED, HeaderValue::from_static("1"));
    copy
}

fn recording_of(path: &str) -> Option<RecordingId> {
    let rest = path.strip_prefix("/site/v1/recordings/")?;
    rest.split('/').next()?.parse().ok()
}

/// The other server that has something of the recording in its journal.
async fn holder(core: &Shared, id: RecordingId) -> Result<Option<Arc<ServerRow>>, DbError> {
    let cluster = &core.cluster;
    if core.recordings.get(id).is_some_and(|live| !live.is_leaving()) {
        return Ok(None);
    }
    let Some(row) = core.store.recording(id).await? else { return Ok(None) };
    if row.server == cluster.server.id {
        return Ok(None);
    }
    if row.state != RecordingState::Live {
        let stored = core.store.last_segment(id).await?.map_or(0, |segment| segment.next_seq);
        if stored >= row.fragments {
            return Ok(None);
        }
    }
    cluster.holder(row.server).await
}

impl Cluster {
    /// The other server, if it can be asked.
    async fn holder(&self, id: ServerId) -> Result<Option<Arc<ServerRow>>, DbError> {
        let known = self.known().into_iter().find(|row| row.server.id == id).map(Arc::new);
        // One that has just been started is not among those known yet.
        let row = match known {
            Some(row) => Some(row),
            None => self.row_of(id).await?,
        };
        let alive = |row: &Arc<ServerRow>| matches!(row.state, ServerState::Running | ServerState::Draining);
        Ok(row.filter(|row| alive(row) && !row.server.url.is_empty()))
    }
}
