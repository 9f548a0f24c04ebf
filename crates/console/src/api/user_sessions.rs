//! Sessions of users at the sites' hosts, and whether they are recorded. Sessions of the console's own people are in `session`.

use super::{
    extract::{Body, Params, Place},
    hosts,
    policy_shapes::RuleAction,
    recordings,
    shapes::{SiteProblem, SiteRef},
    site, storage,
};
use crate::{
    accounts::Caller,
    core::{Core, Shared},
    problem::Problem,
    sites::{SiteName, SiteRequest, ask_all, ask_for},
};
use axum::{Extension, Json, extract::State};
use http::Method;
use playhead_model::{
    AgentId, Decided, RecordingId, RemoteProtocol, SessionId, SessionState, SiteId, WallTime, policy::Action,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

const MOST_ON_A_PAGE: u32 = 500;

/// A session of a user at a session host.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = UserSession)]
pub(crate) struct Session {
    /// Its id, as long as it lasts.
    #[schema(value_type = String, format = Uuid)]
    pub(crate) id: SessionId,
    /// The site it belongs to.
    pub(crate) site: SiteRef,
    /// The user's account on the host.
    pub(crate) user: String,
    /// All the user's names.
    pub(crate) users: Vec<String>,
    /// The user's groups.
    pub(crate) groups: Vec<String>,
    /// The session host.
    pub(crate) host: String,
    /// The published application, or `desktop`.
    pub(crate) application: String,
    /// The host's delivery groups.
    pub(crate) delivery_groups: Vec<String>,
    /// Tags of how it was reached.
    pub(crate) tags: Vec<String>,
    /// Address of the user's own machine, where known.
    #[schema(required)]
    pub(crate) address: Option<String>,
    /// Name of that machine, where known.
    #[schema(required)]
    pub(crate) client: Option<String>,
    /// What the client program says of its version.
    #[schema(required)]
    pub(crate) client_version: Option<String>,
    /// The X display.
    pub(crate) display: String,
    /// How the user is connected.
    #[schema(value_type = Protocol)]
    pub(crate) protocol: RemoteProtocol,
    /// Where it stands.
    #[schema(value_type = StateName)]
    pub(crate) state: SessionState,
    /// Whether its host's agent is connected; otherwise what stands here may be old, and nothing can be changed.
    pub(crate) reachable: bool,
    /// Id of its host's agent.
    #[schema(value_type = String, format = Uuid)]
    pub(crate) agent: AgentId,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) started_at: WallTime,
    /// Since when it is in this state.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) changed_at: WallTime,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    pub(crate) ended_at: Option<WallTime>,
    /// When its agent last said something of it.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) heard_at: WallTime,
    /// Whether it is recorded, and why or why not.
    pub(crate) recording: Recorded,
}

/// Whether a session is recorded, and why or why not.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = UserSessionRecording)]
pub(crate) struct Recorded {
    /// What is being done.
    #[schema(value_type = RuleAction)]
    pub(crate) action: Action,
    /// The recording that grows now; null while nothing is recorded.
    #[schema(value_type = Option<String>, format = Uuid, required)]
    pub(crate) recording: Option<RecordingId>,
    /// Who decided.
    #[schema(value_type = DecidedBy)]
    pub(crate) decided: Decided,
    /// Why nothing is recorded although something should be.
    #[schema(required)]
    pub(crate) trouble: Option<String>,
}

/// Who decided whether a session is recorded.
#[derive(ToSchema)]
#[schema(as = Decided)]
#[allow(dead_code, reason = "describes a type of another crate")]
pub(crate) struct DecidedBy {
    /// `policy`; `request`: somebody while it ran; `no-policy`: the host's settings, as its agent has never heard a policy; `settings`: the
    /// host's own settings, which name the display.
    #[schema(example = "policy")]
    by: String,
    /// `policy`: the revision of what was active.
    #[schema(required = false, nullable = false)]
    revision: Option<u64>,
    /// `policy`: its name.
    #[schema(required = false, nullable = false)]
    policy: Option<String>,
    /// `policy`: the rule's name; null where none fits.
    #[schema(required = false)]
    rule: Option<String>,
    /// `request`: who.
    #[schema(required = false, nullable = false)]
    user: Option<String>,
}

/// How a user is connected.
#[derive(ToSchema)]
#[schema(as = RemoteProtocol, rename_all = "lowercase")]
#[allow(dead_code, reason = "describes a type of another crate")]
pub(crate) enum Protocol {
    /// xrdp.
    Rdp,
    /// Xvnc.
    Vnc,
    /// At the machine itself.
    Local,
}

/// Where a session stands.
#[derive(ToSchema)]
#[schema(as = SessionState, rename_all = "lowercase")]
#[allow(dead_code, reason = "describes a type of another crate")]
pub(crate) enum StateName {
    /// Its user is connected.
    Connected,
    /// Nobody is; its programs run on.
    Disconnected,
    /// It is over.
    Ended,
}

/// Where wanted sessions stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WantedState {
    /// Not at an end: the two below.
    Running,
    /// Somebody is connected.
    Connected,
    /// Nobody is.
    Disconnected,
    /// It is over.
    Ended,
}

impl WantedState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::Ended => "ended",
        }
    }
}

/// One page of the sessions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UserSessionPage)]
pub(crate) struct Page {
    /// Those first that began last.
    pub(crate) items: Vec<Session>,
    /// The `cursor` of the next page; null at the end.
    pub(crate) next: Option<String>,
    /// Sites that did not answer.
    pub(crate) problems: Vec<SiteProblem>,
}

/// Which sessions to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only those whose user's name holds this text, in any letter case.
    user: Option<String>,
    /// Only those whose session host's name holds this text, in any letter case.
    host: Option<String>,
    /// Only those that stand there.
    #[param(inline)]
    state: Option<WantedState>,
    /// Only those that are recorded now, or only those that are not.
    recorded: Option<bool>,
    /// Only those of this site.
    #[param(value_type = Option<String>, format = Uuid)]
    site: Option<SiteId>,
    /// How many to give at most: 1 to 500.
    #[param(default = 50, minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// `next` of the page before, with everything else unchanged.
    cursor: Option<String>,
}

impl ListQuery {
    /// The same question for one site.
    fn for_site(&self, limit: u32) -> String {
        let mut query = format!("limit={limit}");
        let texts = [
            ("user", self.user.clone()),
            ("host", self.host.clone()),
            ("state", self.state.map(|state| state.as_str().to_owned())),
            ("recorded", self.recorded.map(|recorded| recorded.to_string())),
            ("cursor", self.cursor.clone()),
        ];
        for (name, text) in texts {
            recordings::add(&mut query, name, text.as_deref().unwrap_or_default());
        }
        query
    }
}

#[derive(Deserialize)]
struct OfSite {
    items: Vec<Listed>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(flatten)]
    session: Session,
    /// Its id, a dot, and when it began: it leads on at every site, since all sort alike.
    cursor: String,
}

/// The sessions of users
///
/// Of all sites in one list, recorded or not. Those that have ended are kept for 30 days.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "sessions", params(ListQuery),
    responses((status = 200, body = Page)))]
pub(crate) async fn list_user_sessions(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<ListQuery>,
) -> Result<Json<Page>, Problem> {
    let limit = query.limit.unwrap_or(50);
    if !(1..=MOST_ON_A_PAGE).contains(&limit) {
        return Err(Problem::bad_request(format!(
            "'limit' must lie between 1 and {MOST_ON_A_PAGE}, got {limit}."
        )));
    }
    let sites = hosts::chosen(&core, query.site).await?;
    let request = SiteRequest::get(format!("/site/v1/sessions?{}", query.for_site(limit)));
    let answers = ask_all::<OfSite>(&core, &caller, sites, &request).await?;
    let mut all = Vec::new();
    let mut more = false;
    for (site, answer) in answers.given {
        more |= answer.next.is_some();
        all.extend(
            answer.items.into_iter().map(|Listed { session, cursor }| (at_site(session, &site), cursor)),
        );
    }
    let (items, next) = merged(all, more, limit as usize);
    Ok(Json(Page { items, next, problems: answers.missing.into_iter().map(hosts::shown).collect() }))
}

/// One page of what several sites gave. A site that has more gave a whole page, so nothing of it can be missing before the end of this one.
fn merged(mut all: Vec<(Session, String)>, more: bool, limit: usize) -> (Vec<Session>, Option<String>) {
    all.sort_by(|(a, _), (b, _)| (b.started_at, b.id).cmp(&(a.started_at, a.id)));
    let more = more || all.len() > limit;
    all.truncate(limit);
    let next = all.last().filter(|_| more).map(|(_, cursor)| cursor.clone());
    (all.into_iter().map(|(session, _)| session).collect(), next)
}

/// A session under the name that its site has at this console.
fn at_site(session: Session, site: &SiteName) -> Session {
    Session { site: SiteRef { id: site.id, name: site.name.clone() }, ..session }
}

/// One session of a user
#[utoipa::path(get, path = "/api/v1/sessions/{id}", tag = "sessions",
    params(("id" = Uuid, Path, description = "The session")), responses((status = 200, body = Session)))]
pub(crate) async fn user_session(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<SessionId>,
) -> Result<Json<Session>, Problem> {
    let (site, session) = find(&core, &caller, id).await?;
    Ok(Json(at_site(session, &site)))
}

/// How to start recording.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartRecording {
    /// Tell the user.
    #[serde(default)]
    notify: bool,
}

/// Start recording a running session
///
/// Screen and events from now on, whatever the policy says. Nothing happens where it is recorded already.
#[utoipa::path(post, path = "/api/v1/sessions/{id}/start-recording", tag = "sessions", request_body = StartRecording,
    params(("id" = Uuid, Path, description = "The session")),
    responses((status = 200, body = Session), (status = 409, description = "It has ended, or its host could not do it"),
        (status = 503, description = "Its host's agent is away")))]
pub(crate) async fn start_recording(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<SessionId>,
    Body(start): Body<StartRecording>,
) -> Result<Json<Session>, Problem> {
    command(&core, &caller, id, "start-recording", &start).await
}

/// Nothing to say.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StopRecording {}

/// Stop recording a running session
///
/// It stays so until somebody starts it, or the user signs in anew.
#[utoipa::path(post, path = "/api/v1/sessions/{id}/stop-recording", tag = "sessions", request_body = StopRecording,
    params(("id" = Uuid, Path, description = "The session")),
    responses((status = 200, body = Session), (status = 409, description = "It has ended, or its host could not do it"),
        (status = 503, description = "Its host's agent is away")))]
pub(crate) async fn stop_recording(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<SessionId>,
    Body(stop): Body<StopRecording>,
) -> Result<Json<Session>, Problem> {
    command(&core, &caller, id, "stop-recording", &stop).await
}

async fn command(
    core: &Core,
    caller: &Caller,
    id: SessionId,
    what: &str,
    body: &impl Serialize,
) -> Result<Json<Session>, Problem> {
    let (site, _) = find(core, caller, id).await?;
    let path = format!("/site/v1/sessions/{id}/{what}");
    let session = storage::send(core, caller, &site, Method::POST, path, body).await?;
    Ok(Json(at_site(session, &site)))
}

/// The session, at the site that has it.
async fn find(core: &Core, caller: &Caller, id: SessionId) -> Result<(SiteName, Session), Problem> {
    let mut sites = site::all_joined(core).await?;
    let request = SiteRequest::get(format!("/site/v1/sessions/{id}"));
    if sites.len() == 1
        && let Some(site) = sites.pop()
    {
        let session = ask_for(core, caller, &site, &request).await?;
        return Ok((site, session));
    }
    let answers = ask_all::<Session>(core, caller, sites, &request).await?;
    if let Some(found) = answers.given.into_iter().next() {
        return Ok(found);
    }
    match answers.missing.into_iter().find(|(_, problem)| problem.status() != 404) {
        // It may be there.
        Some((_, problem)) => Err(problem),
        None => Err(Problem::not_found(format!("There is no session {id} at any site."))),
    }
}
