//! The site itself: session hosts, join tokens, settings, health.

use super::Problem;
use crate::{
    VERSION, clock,
    cluster::{self, ServerReport},
    core::Shared,
    recordings::lock,
    server,
    stamps::Stamper,
};
use axum::{
    Extension, Json,
    extract::{Path, State, rejection::JsonRejection},
};
use http::{HeaderName, StatusCode, header};
use playhead_model::{AgentId, RecordingSettings, ServerId, SiteId, Statement, WallTime};
use playhead_protocol::message::Queue;
use serde::{Deserialize, Serialize};

/// Most session hosts in the list.
const MOST_HOSTS: u32 = 10_000;
/// An agent that was seen this recently by another server of the site counts as connected.
const RECENT_MICROS: i64 = 90_000_000;

#[derive(Serialize)]
pub(super) struct SiteName {
    id: SiteId,
    name: String,
}

fn site_name(core: &Shared) -> SiteName {
    SiteName { id: core.site.id, name: core.site.name.clone() }
}

#[derive(Serialize)]
pub(super) struct Hosts {
    items: Vec<Host>,
}

#[derive(Serialize)]
struct Host {
    id: AgentId,
    host: String,
    site: SiteName,
    state: HostState,
    version: String,
    system: String,
    enrolled_at: WallTime,
    last_seen: WallTime,
    live_recordings: u64,
    /// The policy that it goes by; null before it has said so.
    policy: Option<HostPolicy>,
    /// As the agent last said to this server.
    queue: Option<HostQueue>,
}

/// The policy that a host goes by.
#[derive(Serialize)]
struct HostPolicy {
    /// Its revision.
    revision: u64,
    /// Why it does not go by a newer one.
    error: Option<String>,
}

/// How an agent's queue stands.
#[derive(Serialize)]
struct HostQueue {
    at: WallTime,
    state: QueueState,
    when_full: String,
    waiting_bytes: u64,
    waiting_fragments: u64,
    oldest_seconds: u64,
    quota_bytes: u64,
    free_bytes: u64,
    least_free_bytes: u64,
    gaps: u64,
    last_gap: Option<String>,
    refused: u64,
    refused_bytes: u64,
    lost_recordings: u64,
    error: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum QueueState {
    Ok,
    Full,
}

impl HostQueue {
    fn new((queue, at): &(Queue, WallTime)) -> Self {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Self {
            at: *at,
            state: if queue.full { QueueState::Full } else { QueueState::Ok },
            when_full: queue.when_full.clone(),
            waiting_bytes: queue.waiting_bytes,
            waiting_fragments: queue.waiting_fragments,
            oldest_seconds: queue.oldest_ms / 1_000,
            quota_bytes: queue.quota_bytes,
            free_bytes: queue.free_bytes,
            least_free_bytes: queue.least_free_bytes,
            gaps: queue.gaps,
            last_gap: text(&queue.last_gap),
            refused: queue.refused,
            refused_bytes: queue.refused_bytes,
            lost_recordings: queue.lost_recordings,
            error: text(&queue.error),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum HostState {
    Active,
    Inactive,
}

#[derive(Serialize)]
pub(super) struct Servers {
    items: Vec<ServerReport>,
}

pub(super) async fn servers(State(core): State<Shared>) -> Result<Json<Servers>, Problem> {
    Ok(Json(Servers { items: cluster::report(&core).await? }))
}

pub(super) async fn hosts(State(core): State<Shared>) -> Result<Json<Hosts>, Problem> {
    let now = clock::now();
    let recent = now.plus_micros(-RECENT_MICROS);
    let rows = core.store.hosts(MOST_HOSTS).await?;
    let queues = lock(&core.queues);
    let items = rows
        .into_iter()
        .map(|row| {
            let here = core.is_connected(row.agent.id);
            // Of this server's own agents it is known for sure.
            let elsewhere = row.agent.last_seen > recent && core.shares_site();
            Host {
                id: row.agent.id,
                host: row.agent.host,
                site: site_name(&core),
                state: if here || elsewhere { HostState::Active } else { HostState::Inactive },
                version: row.agent.version,
                system: row.agent.system,
                enrolled_at: row.agent.enrolled_at,
                last_seen: if here { now } else { row.agent.last_seen },
                live_recordings: row.live_recordings,
                policy: row.policy.map(|(revision, error)| HostPolicy { revision, error }),
                queue: queues.get(&row.agent.id).map(HostQueue::new),
            }
        })
        .collect();
    Ok(Json(Hosts { items }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewJoinToken {
    #[serde(default = "one_hour")]
    valid_seconds: u32,
    #[serde(default = "once")]
    uses: u32,
    /// Consoles pass on what they were asked.
    #[serde(default, rename = "kind")]
    _kind: Option<String>,
    #[serde(default, rename = "site")]
    _site: Option<String>,
}

const fn one_hour() -> u32 {
    3_600
}

const fn once() -> u32 {
    1
}

#[derive(Serialize)]
pub(super) struct MadeJoinToken {
    token: String,
    command: String,
    expires_at: WallTime,
}

pub(super) async fn join_token(
    State(core): State<Shared>,
    Extension(statement): Extension<Statement>,
    body: Result<Json<NewJoinToken>, JsonRejection>,
) -> Result<(StatusCode, [(HeaderName, &'static str); 1], Json<MadeJoinToken>), Problem> {
    let Json(wanted) = body.map_err(|error| Problem::unreadable(&error.body_text()))?;
    if !(60..=30 * 86_400).contains(&wanted.valid_seconds) || !(1..=10_000).contains(&wanted.uses) {
        return Err(Problem::bad_request(
            "expected valid_seconds between 60 and 2592000 and uses between 1 and 10000",
        ));
    }
    let (token, expires_at) =
        server::make_join_token(&core, wanted.valid_seconds, wanted.uses, &statement.user)
            .await
            .map_err(Problem::internal)?;
    let token = token.to_string();
    let command = format!("playhead agent --display :0 --join {token}");
    let made = MadeJoinToken { token, command, expires_at };
    Ok((StatusCode::OK, [(header::CACHE_CONTROL, "no-store")], Json(made)))
}

#[derive(Serialize)]
pub(super) struct JoinTokens {
    items: Vec<GoodToken>,
}

/// A join token that agents can still use. Its id is the hash of its secret, which lets nobody in.
#[derive(Serialize)]
struct GoodToken {
    id: String,
    uses_left: u64,
    made_by: String,
    created_at: WallTime,
    expires_at: WallTime,
}

pub(super) async fn join_tokens(State(core): State<Shared>) -> Result<Json<JoinTokens>, Problem> {
    let tokens = core.store.join_tokens(clock::now()).await?;
    let items = tokens.into_iter().map(|token| GoodToken {
        id: token.hash,
        uses_left: token.uses_left,
        made_by: token.created_by,
        created_at: token.created_at,
        expires_at: token.expires_at,
    });
    Ok(Json(JoinTokens { items: items.collect() }))
}

#[derive(Serialize)]
pub(super) struct Revoked {
    id: String,
}

pub(super) async fn revoke_join_token(
    State(core): State<Shared>,
    Extension(statement): Extension<Statement>,
    Path(id): Path<String>,
) -> Result<Json<Revoked>, Problem> {
    if !core.store.remove_join_token(&id).await? {
        return Err(Problem::not_found("there is no such join token at this site; it may have been used up"));
    }
    tracing::info!(user = statement.user, "join token revoked");
    Ok(Json(Revoked { id }))
}

pub(super) async fn settings(State(core): State<Shared>) -> Result<Json<RecordingSettings>, Problem> {
    Ok(Json(core.store.settings().await?))
}

/// Agents learn of changed settings when they open a recording next.
pub(super) async fn set_settings(
    State(core): State<Shared>,
    Extension(statement): Extension<Statement>,
    body: Result<Json<RecordingSettings>, JsonRejection>,
) -> Result<Json<RecordingSettings>, Problem> {
    let Json(settings) = body.map_err(|error| Problem::unreadable(&error.body_text()))?;
    settings.check().map_err(|error| Problem::bad_request(error.to_string()))?;
    core.store.set_settings(&settings, clock::now()).await?;
    tracing::info!(user = statement.user, ?settings, "recording settings changed");
    Ok(Json(settings))
}

/// How the server is.
#[derive(Serialize)]
pub(super) struct Health {
    state: HealthState,
    /// What is wrong and what to do about it.
    problems: Vec<String>,
    version: &'static str,
    server: ServerId,
    site: SiteName,
    free_bytes: u64,
    agents: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum HealthState {
    Ok,
    /// Something is wrong, but recordings are taken in.
    Degraded,
    /// Nothing is taken in; agents keep what they have.
    IntakeStopped,
}

pub(super) async fn health(State(core): State<Shared>) -> Json<Health> {
    let intake = core.space.problem();
    let storage = lock(&core.storage_problem).clone();
    let locations = core.storage.problems();
    let keys = core.keys.problem();
    let damaged = core.tender.problem();
    let stamps = core.stamper.as_ref().and_then(Stamper::problem);
    let others: Vec<_> = locations.into_iter().chain(keys).chain(damaged).chain(stamps).collect();
    let state = match (&intake, &storage) {
        (Some(_), _) => HealthState::IntakeStopped,
        (None, None) if others.is_empty() => HealthState::Ok,
        (None, _) => HealthState::Degraded,
    };
    Json(Health {
        state,
        problems: intake.into_iter().chain(storage).chain(others).collect(),
        version: VERSION,
        server: core.server,
        site: site_name(&core),
        free_bytes: core.space.free(),
        agents: lock(&core.connected).len(),
    })
}
