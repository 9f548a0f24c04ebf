//! Connections between the servers of a site. Who dials trusts the certificate authority that the other one has named in the database, and
//! proves by its own key, which stands there too, who it is. Requests then go over one HTTP/2 connection.

use super::{Cluster, transfer};
use crate::{api, api::Problem, core::Shared, recordings::lock};
use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{DefaultBodyLimit, Request as AxumRequest, State},
    response::{IntoResponse as _, Response as AxumResponse},
    routing::{get, post as post_route},
};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use playhead_db::site::ServerRow;
use playhead_model::{RecordingId, ServerId};
use playhead_net::{DialError, Endpoint};
use playhead_protocol::{
    CHALLENGE_PATH, PEER_CONNECT_PATH, PEER_UPGRADE,
    login::{Challenge, Proof},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::Notify, time::timeout};
use tower::ServiceExt as _;

/// Purpose that a server's proof is signed for.
const PURPOSE: &str = "peer";
/// How long the head of an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long dialling may take.
const DIAL: Duration = Duration::from_secs(3);
const PING: Duration = Duration::from_secs(5);
/// Bytes of an answer that may be under way.
const WINDOW: u32 = 4 << 20;

/// Who asks.
#[derive(Clone, Copy)]
pub(super) struct Peer(pub(super) ServerId);

/// Why another server could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    #[error("that server is not there; another one takes over when its lease is over")]
    Away,
    #[error("cannot reach that server: {0}")]
    Dial(#[from] DialError),
    #[error("the connection to that server broke: {0}")]
    Http(#[from] hyper::Error),
    #[error("that server did not answer in time")]
    Late,
    #[error("that server refused ({status}): {detail}")]
    Refused { status: StatusCode, detail: String },
    #[error("that server's answer makes no sense: {0}")]
    Answer(String),
}

/// Connections to other servers, kept while they last.
#[derive(Default)]
pub(crate) struct Links {
    open: Mutex<HashMap<ServerId, (u64, SendRequest<Body>)>>,
    /// Who waits for word that a recording was taken.
    pub(super) taken: Mutex<HashMap<RecordingId, Arc<Notify>>>,
}

impl Links {
    /// Asks another server; its refusal is an error.
    pub(super) async fn send(
        &self,
        cluster: &Cluster,
        peer: &ServerRow,
        request: Request<Body>,
    ) -> Result<Response<Body>, PeerError> {
        self.send_within(cluster, peer, request, PATIENCE).await
    }

    /// The same, waiting so long for the head of its answer.
    pub(super) async fn send_within(
        &self,
        cluster: &Cluster,
        peer: &ServerRow,
        request: Request<Body>,
        patience: Duration,
    ) -> Result<Response<Body>, PeerError> {
        let response = self.pass(cluster, peer, request, patience).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = axum::body::to_bytes(response.into_body(), 64 << 10).await.unwrap_or_default();
        let detail = serde_json::from_slice::<serde_json::Value>(&body).ok();
        let detail = detail.and_then(|problem| Some(problem.get("detail")?.as_str()?.to_owned()));
        Err(PeerError::Refused { status, detail: detail.unwrap_or_default() })
    }

    /// Asks another server, whatever it answers.
    pub(super) async fn pass(
        &self,
        cluster: &Cluster,
        peer: &ServerRow,
        request: Request<Body>,
        patience: Duration,
    ) -> Result<Response<Body>, PeerError> {
        let mut sender = self.sender(cluster, peer).await?;
        let sending = async {
            sender.ready().await?;
            sender.send_request(request).await
        };
        let response = match timeout(patience, sending).await {
            Ok(sent) => sent.map_err(PeerError::from),
            Err(_) => Err(PeerError::Late),
        };
        if response.is_err() {
            lock(&self.open).remove(&peer.server.id);
        }
        Ok(response?.map(Body::new))
    }

    async fn sender(&self, cluster: &Cluster, peer: &ServerRow) -> Result<SendRequest<Body>, PeerError> {
        let id = peer.server.id;
        let known = lock(&self.open).get(&id).cloned();
        if let Some((_, sender)) = known.filter(|(epoch, sender)| *epoch == peer.epoch && !sender.is_closed())
        {
            return Ok(sender);
        }
        let sender = timeout(DIAL, dial(cluster, peer)).await.map_err(|_| PeerError::Late)??;
        lock(&self.open).insert(id, (peer.epoch, sender.clone()));
        Ok(sender)
    }
}

async fn dial(cluster: &Cluster, peer: &ServerRow) -> Result<SendRequest<Body>, PeerError> {
    let endpoint = Endpoint::trusting(&peer.server.url, Some(&peer.server.authority))?;
    let own = cluster.server.id.to_string();
    let connection = endpoint.connect().await?;
    let stream = connection.log_in(PEER_CONNECT_PATH, PEER_UPGRADE, PURPOSE, &own, &cluster.key).await?;
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW * 16);
    let (sender, connection) = builder.handshake(stream.into_inner()).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to another server of the site ended");
        }
    });
    Ok(sender)
}

/// A request without particulars.
pub(super) fn post(path: String, body: Body) -> Request<Body> {
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    // Paths are made of fixed words and ids.
    *request.uri_mut() = format!("http://peer{path}").parse().unwrap_or_default();
    request
}

/// What other servers find at this one's address.
pub(crate) fn router(core: Shared) -> Router {
    Router::new()
        .route(CHALLENGE_PATH, post_route(challenge))
        .route(PEER_CONNECT_PATH, get(connect))
        .fallback(async || Problem::not_found("servers of the same site connect here"))
        .layer(DefaultBodyLimit::max(64 << 10))
        .with_state(core)
}

async fn challenge(State(core): State<Shared>) -> Result<Json<Challenge>, Problem> {
    let challenge = core.challenges.issue(core.seconds()).map_err(Problem::internal)?;
    Ok(Json(Challenge { challenge }))
}

async fn connect(State(core): State<Shared>, mut request: AxumRequest) -> Result<AxumResponse, Problem> {
    let refuse = || {
        Problem::unauthorized(
            "only servers of this site connect here, and prove it by the key that its database knows",
        )
    };
    let text = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let proof: Proof = text.ok_or_else(refuse)?.parse().map_err(|_| refuse())?;
    let id: ServerId = proof.id.parse().map_err(|_| refuse())?;
    let row = core.cluster.row_of(id).await?.ok_or_else(refuse)?;
    if !core.challenges.check(&proof, PURPOSE, &row.server.public_key, core.seconds()) {
        return Err(refuse());
    }
    if request.headers().get(header::UPGRADE).is_none_or(|wanted| wanted != PEER_UPGRADE) {
        return Err(Problem::bad_request(format!(
            "expected an upgrade to {PEER_UPGRADE}: use servers of one version"
        )));
    }
    let upgrade = hyper::upgrade::on(&mut request);
    let shared = Arc::clone(&core);
    core.tasks.spawn(async move {
        match upgrade.await {
            Ok(stream) => serve(shared, id, TokioIo::new(stream).into_inner()).await,
            Err(error) => tracing::debug!(%error, "another server's connection broke before it began"),
        }
    });
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static(PEER_UPGRADE));
    Ok(response)
}

/// Answers another server until it goes or this one has stopped.
async fn serve(core: Shared, id: ServerId, stream: hyper::upgrade::Upgraded) {
    let router = Router::new()
        .route("/peer/v1/recordings/{id}/hand-over", post_route(transfer::hand_over))
        .route("/peer/v1/recordings/{id}/settled", post_route(transfer::decided))
        .route("/peer/v1/take", post_route(transfer::take_some))
        .with_state(Arc::clone(&core))
        .layer(Extension(Peer(id)))
        // What people ask and this server holds; their consoles' statements are checked here like any other.
        .merge(api::router(Arc::clone(&core)));
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        router.clone().oneshot(request.map(Body::new))
    });
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .max_concurrent_streams(4_096)
        .max_header_list_size(64 << 10);
    let connection = builder.serve_connection(stream, service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = core.stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            timeout(Duration::from_secs(2), connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "another server's connection ended");
    }
}
