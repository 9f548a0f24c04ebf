//! Making a new agent known.

use crate::{api::Problem, clock, core::Shared};
use axum::{
    Json,
    extract::{ConnectInfo, State, rejection::JsonRejection},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use playhead_db::site::{Enrolment, NewAgent};
use playhead_model::AgentId;
use playhead_net::PeerAddr;
use playhead_protocol::join::{Enrol, Enrolled};
use uuid::Uuid;

/// Most bytes of a host's name or a version.
const MAX_NAME: usize = 255;

pub(super) async fn enrol(
    State(core): State<Shared>,
    ConnectInfo(peer): PeerAddr,
    body: Result<Json<Enrol>, JsonRejection>,
) -> Result<Json<Enrolled>, Problem> {
    let now = core.seconds();
    core.limiter
        .check(peer.ip(), now)
        .map_err(|seconds| Problem::too_many("too many failed enrolments from this address", seconds))?;
    let Json(enrol) = body.map_err(|error| Problem::unreadable(&error.body_text()))?;
    let key_is_sound = URL_SAFE_NO_PAD.decode(&enrol.public_key).is_ok_and(|key| key.len() == 32);
    let names = [&enrol.host, &enrol.version];
    if !key_is_sound || names.iter().any(|name| name.is_empty() || name.len() > MAX_NAME) {
        return Err(Problem::bad_request(format!(
            "expected a public key of 32 bytes, and a host and version of 1 to {MAX_NAME} bytes"
        )));
    }
    let agent = NewAgent {
        id: Uuid::now_v7().into(),
        host: enrol.host,
        public_key: enrol.public_key,
        version: enrol.version,
    };
    let outcome = core.store.enrol(&token_hash(&enrol.secret), &agent, clock::now()).await?;
    let refusal = match outcome {
        Enrolment::Enrolled(id) => {
            core.limiter.succeeded(peer.ip());
            certify(&core, id).await;
            tracing::info!(agent = %id, host = agent.host, %peer, "agent enrolled");
            return Ok(Json(Enrolled { agent: id, site: core.site.id }));
        }
        Enrolment::Unknown => {
            "this join token is not known here: copy it whole, and use it at the site it was made for"
        }
        Enrolment::Expired => "this join token has expired: make a new one at the console",
        Enrolment::UsedUp => "this join token was used as often as it may be: make a new one at the console",
    };
    core.limiter.failed(peer.ip(), now);
    tracing::warn!(host = agent.host, %peer, reason = refusal, "enrolment refused");
    Err(Problem::unauthorized(refusal))
}

/// Issues the agent's first certificate. Should that fail, the agent gets one when it connects.
async fn certify(core: &Shared, id: AgentId) {
    let issued = async {
        match core.store.agent(id).await? {
            Some(agent) => core.certificates.for_agent(&agent, clock::now()).await.map(|_| ()),
            None => Ok(()),
        }
    };
    if let Err(error) = issued.await {
        tracing::error!(agent = %id, %error, "cannot issue a certificate to an agent");
    }
}

/// What is kept of a join token's secret.
pub(crate) fn token_hash(secret: &str) -> String {
    blake3::hash(secret.as_bytes()).to_hex().to_string()
}
