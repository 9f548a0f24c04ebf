//! Sessions as people see them.

use crate::{asked::AskError, core::Shared};
use playhead_db::site::{ServerRow, ServerState, SessionFilter, SessionRow, Store};
use playhead_model::{
    AgentId, Decided, RecordingId, RemoteProtocol, ServerId, SessionId, SessionRecording, SessionState,
    SiteId, WallTime, policy::Action,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// One page of the list.
#[derive(Debug, Clone, Serialize)]
pub struct SessionList {
    /// Those first that began last.
    pub items: Vec<SessionListed>,
    /// Where the next page goes on; `None` at the end.
    pub next: Option<String>,
}

/// A session in the list.
#[derive(Debug, Clone, Serialize)]
pub struct SessionListed {
    /// The session.
    #[serde(flatten)]
    pub session: SessionReport,
    /// What goes on right after it.
    pub cursor: String,
}

/// A session.
#[derive(Debug, Clone, Serialize)]
pub struct SessionReport {
    /// Its id, as long as it lasts.
    pub id: SessionId,
    /// The site it belongs to.
    pub site: SessionSite,
    /// The user's account on the host.
    pub user: String,
    /// All the user's names.
    pub users: Vec<String>,
    /// The user's groups.
    pub groups: Vec<String>,
    /// The session host.
    pub host: String,
    /// The published application, or `desktop`.
    pub application: String,
    /// The host's delivery groups.
    pub delivery_groups: Vec<String>,
    /// Tags of how it was reached.
    pub tags: Vec<String>,
    /// Address of the user's own machine, where known.
    pub address: Option<IpAddr>,
    /// Its name, where known.
    pub client: Option<String>,
    /// What the client program says of its version, where it says it.
    pub client_version: Option<String>,
    /// The X display.
    pub display: String,
    /// How the user is connected.
    pub protocol: RemoteProtocol,
    /// Where it stands.
    pub state: SessionState,
    /// Whether its host's agent is connected; otherwise what stands here may be old.
    pub reachable: bool,
    /// Its host's agent.
    pub agent: AgentId,
    /// When it began.
    pub started_at: WallTime,
    /// Since when it is in this state.
    pub changed_at: WallTime,
    /// When it ended.
    pub ended_at: Option<WallTime>,
    /// When its agent last said something of it.
    pub heard_at: WallTime,
    /// Whether it is recorded, and why or why not.
    pub recording: RecordingReport,
}

/// The site that a session belongs to.
#[derive(Debug, Clone, Serialize)]
pub struct SessionSite {
    /// Its id.
    pub id: SiteId,
    /// Its name.
    pub name: String,
}

/// Whether a session is recorded, and who decided.
#[derive(Debug, Clone, Serialize)]
pub struct RecordingReport {
    /// What is being done.
    pub action: Action,
    /// The recording that grows now.
    pub recording: Option<RecordingId>,
    /// Who decided.
    pub decided: Decided,
    /// Why nothing is recorded although something should be.
    pub trouble: Option<String>,
}

/// Which sessions are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionQuery {
    /// Part of the user's name.
    pub user: Option<String>,
    /// Part of the host's name.
    pub host: Option<String>,
    /// Where they stand.
    pub state: Option<StateQuery>,
    /// Those that are recorded now, or are not.
    pub recorded: Option<bool>,
    /// How many at most: 1 to 500, 50 where nothing is said.
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

pub(crate) use SessionQuery as Query;

/// Where wanted sessions stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StateQuery {
    /// Not at an end: the two below.
    Running,
    /// Somebody is connected.
    Connected,
    /// Nobody is.
    Disconnected,
    /// It is over.
    Ended,
}

impl StateQuery {
    fn states(self) -> Vec<SessionState> {
        match self {
            Self::Running => vec![SessionState::Connected, SessionState::Disconnected],
            Self::Connected => vec![SessionState::Connected],
            Self::Disconnected => vec![SessionState::Disconnected],
            Self::Ended => vec![SessionState::Ended],
        }
    }
}

impl SessionReport {
    pub(super) fn new(row: SessionRow, site: SessionSite, reachable: bool) -> Self {
        let SessionRow { info, agent, ended_at, heard_at, .. } = row;
        let SessionRecording { action, recording, decided, trouble } = info.recording;
        Self {
            id: info.id,
            site,
            user: info.user,
            users: info.facts.users,
            groups: info.facts.groups,
            host: info.facts.host,
            application: info.facts.application,
            delivery_groups: info.facts.delivery_groups,
            tags: info.facts.tags,
            address: info.facts.address,
            client: info.client,
            client_version: info.client_version,
            display: info.display,
            protocol: info.protocol,
            state: info.state,
            reachable: reachable && info.state != SessionState::Ended,
            agent,
            started_at: info.started_at,
            changed_at: info.changed_at,
            ended_at,
            heard_at,
            recording: RecordingReport { action, recording, decided, trouble },
        }
    }
}

/// One page of rows, and whether there are more.
pub(super) async fn page(
    store: &Store,
    query: SessionQuery,
) -> Result<(Vec<(SessionRow, String)>, bool), AskError> {
    let limit = query.limit.unwrap_or(50);
    if !(1..=500).contains(&limit) {
        return Err(AskError::Invalid(format!("expected a limit between 1 and 500, got {limit}")));
    }
    let filter = SessionFilter {
        user: query.user,
        host: query.host,
        states: query.state.map(StateQuery::states),
        recorded: query.recorded,
    };
    let page = store.sessions(&filter, limit, query.cursor.as_deref()).await?;
    Ok((page.items, page.more))
}

pub(super) fn listed(
    (rows, more): (Vec<(SessionRow, String)>, bool),
    report: impl Fn(SessionRow) -> SessionReport,
) -> SessionList {
    let items: Vec<_> =
        rows.into_iter().map(|(row, cursor)| SessionListed { session: report(row), cursor }).collect();
    let next = items.last().filter(|_| more).map(|last| last.cursor.clone());
    SessionList { items, next }
}

/// The sessions.
///
/// # Errors
/// A cursor or limit that makes no sense; the database's.
pub(crate) async fn list(core: &Shared, query: SessionQuery) -> Result<SessionList, AskError> {
    let page = page(&core.store, query).await?;
    let servers = core.cluster.known();
    Ok(listed(page, |row| of_core(core, &servers, row)))
}

/// One session.
///
/// # Errors
/// There is none with this id; the database's.
pub(crate) async fn one(core: &Shared, id: SessionId) -> Result<SessionReport, AskError> {
    let row = find(&core.store, id).await?;
    Ok(of_core(core, &core.cluster.known(), row))
}

pub(super) async fn find(store: &Store, id: SessionId) -> Result<SessionRow, AskError> {
    let row = store.session(id).await?;
    row.ok_or_else(|| AskError::Missing(format!("there is no session {id} at this site")))
}

fn of_core(core: &Shared, servers: &[ServerRow], row: SessionRow) -> SessionReport {
    // Of this server's own agents it is known for sure.
    let is_elsewhere = || row.server.is_some_and(|server| server != core.server && is_alive(servers, server));
    let reachable = core.agents.has(row.agent) || is_elsewhere();
    let site = SessionSite { id: core.site.id, name: core.site.name.clone() };
    SessionReport::new(row, site, reachable)
}

/// Whether a server gives signs of life.
pub(super) fn is_alive(servers: &[ServerRow], server: ServerId) -> bool {
    servers.iter().any(|row| {
        let is_alone = row.server.url.is_empty();
        row.server.id == server
            && matches!(row.state, ServerState::Running | ServerState::Draining)
            && (is_alone || row.age_us <= row.server.lease_ms.saturating_mul(1_000))
    })
}
