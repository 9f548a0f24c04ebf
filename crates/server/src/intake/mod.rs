//! Where agents come in: enrolment with a join token, and the connection on which they send.

mod connection;
mod enrol;
mod limiter;

pub(crate) use enrol::token_hash;
pub(crate) use limiter::Limiter;

use crate::{api::Problem, core::Shared};
use axum::{
    Json, Router,
    extract::{ConnectInfo, DefaultBodyLimit, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper_util::rt::TokioIo;
use playhead_db::site::Agent;
use playhead_net::{PeerAddr, count_requests};
use playhead_protocol::{
    AGENT_CONNECT_PATH, AGENT_ENROL_PATH, AGENT_UPGRADE, CHALLENGE_PATH,
    login::{Challenge, Proof},
};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// Purpose that an agent's proof is signed for.
pub(crate) const PURPOSE: &str = "agent";
/// Most bytes of a request by somebody who has not proved anything yet.
const MAX_BODY: usize = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(30);

/// What agents can ask for.
pub(crate) fn router(core: Shared) -> Router {
    Router::new()
        .route(CHALLENGE_PATH, post(challenge))
        .route(AGENT_ENROL_PATH, post(enrol::enrol))
        .route(AGENT_CONNECT_PATH, get(connect))
        .fallback(async || Problem::not_found("agents connect here; people use the console"))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(axum::middleware::from_fn(in_time))
        .layer(axum::middleware::from_fn_with_state(core.metrics.http.clone(), count_requests))
        .with_state(core)
}

/// Nobody who has not proved anything holds a request open for long.
async fn in_time(request: Request, next: Next) -> Response {
    match timeout(PATIENCE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::late("the request took too long: try again").into_response(),
    }
}

async fn challenge(State(core): State<Shared>) -> Result<Json<Challenge>, Problem> {
    let challenge = core.challenges.issue(core.seconds()).map_err(Problem::internal)?;
    Ok(Json(Challenge { challenge }))
}

async fn connect(
    State(core): State<Shared>,
    ConnectInfo(peer): PeerAddr,
    mut request: Request,
) -> Result<Response, Problem> {
    if core.cluster.drain.is_cancelled() {
        return Err(Problem::not_ready("this server is about to stop: connect again to reach another one"));
    }
    let agent = authenticate(&core, request.headers()).await?;
    let wanted = request.headers().get(header::UPGRADE).is_some_and(|wanted| wanted == AGENT_UPGRADE);
    if !wanted {
        return Err(Problem::bad_request(format!(
            "expected an upgrade to {AGENT_UPGRADE}: use an agent and a server of the same major version"
        )));
    }
    let upgrade = hyper::upgrade::on(&mut request);
    let shared = Arc::clone(&core);
    core.tasks.spawn(async move {
        match upgrade.await {
            Ok(stream) => connection::serve(shared, agent, peer, TokioIo::new(stream)).await,
            Err(error) => tracing::debug!(%peer, %error, "an agent's connection broke before it began"),
        }
    });
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static(AGENT_UPGRADE));
    Ok(response)
}

/// Tells which agent the request proves to be from.
async fn authenticate(core: &Shared, headers: &HeaderMap) -> Result<Agent, Problem> {
    let refuse = || {
        Problem::unauthorized(
            "this agent is not enrolled here, or does not prove it: enrol it again with a new join token",
        )
    };
    let text = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(refuse)?;
    let proof: Proof = text.parse().map_err(|_| refuse())?;
    let id = proof.id.parse().map_err(|_| refuse())?;
    let agent = core.store.agent(id).await?.ok_or_else(refuse)?;
    if core.certificates.is_revoked(&agent).await? {
        return Err(Problem::unauthorized(
            "the certificate of this agent was revoked: take its key away and enrol it with a new join token",
        ));
    }
    if core.challenges.check(&proof, PURPOSE, &agent.public_key, core.seconds()) {
        Ok(agent)
    } else {
        Err(refuse())
    }
}
