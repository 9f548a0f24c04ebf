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
use std::cmp::Reverse;
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
    all.sort_by_key(|(session, _)| Reverse((session.started_at, session.id)));
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

#[cfg(test)]
mod tests {
    use crate::{LocalSite, Password, testing::House};
    use axum::{
        Json, Router,
        extract::{Path, Query},
        response::{IntoResponse as _, Response},
        routing::{get, post},
    };
    use http::StatusCode;
    use playhead_model::{Role, SiteId, WallTime};
    use serde_json::{Value, json};
    use std::collections::HashMap;
    use uuid::Uuid;

    const START: i64 = 1_790_000_000_000_000;

    fn session(number: u128, site: u128) -> Value {
        let at = WallTime::from_micros(START + i64::try_from(number / 2).unwrap());
        json!({ "id": Uuid::from_u128(number), "site": { "id": Uuid::from_u128(site), "name": "own" }, "user": "ada",
            "users": ["ada"], "groups": [], "host": "pc1", "application": "desktop", "delivery_groups": [], "tags": [],
            "address": "10.1.1.1", "client": null, "client_version": null, "display": ":10", "protocol": "rdp",
            "state": "connected", "reachable": true, "agent": Uuid::from_u128(1), "started_at": at, "changed_at": at,
            "ended_at": null, "heard_at": at, "recording": { "action": "record", "recording": null,
                "decided": { "by": "policy", "revision": 1, "policy": "Ours", "rule": null }, "trouble": null },
            "cursor": format!("{}.{}", Uuid::from_u128(number), START + i64::try_from(number / 2).unwrap()) })
    }

    /// A site with every third session.
    fn router(site: u128, numbers: Vec<u128>) -> Router {
        let all = numbers.clone();
        let list = async move |Query(query): Query<HashMap<String, String>>| {
            let limit: usize = query["limit"].parse().unwrap();
            let mut items: Vec<Value> = all.iter().rev().map(|number| session(*number, site)).collect();
            if let Some(cursor) = query.get("cursor") {
                let (id, at) = cursor.split_once('.').unwrap();
                let behind = (at.to_owned(), id.to_owned());
                items.retain(|item| {
                    let (id, at) = item["cursor"].as_str().unwrap().split_once('.').unwrap();
                    (at.to_owned(), id.to_owned()) < behind
                });
            }
            let next = (items.len() > limit).then(|| items[limit - 1]["cursor"].clone());
            items.truncate(limit);
            Json(json!({ "items": items, "next": next }))
        };
        let one = async move |Path(id): Path<Uuid>| -> Response {
            match numbers.contains(&id.as_u128()) {
                true => Json(session(id.as_u128(), site)).into_response(),
                false => crate::problem::Problem::not_found("no such session").into_response(),
            }
        };
        let start = async |Path((id, what)): Path<(Uuid, String)>, Json(body): Json<Value>| -> Response {
            if what == "stop-recording" {
                return crate::problem::Problem::conflict("it has ended").into_response();
            }
            let mut session = session(id.as_u128(), 1);
            session["recording"]["decided"] = json!({ "by": "request", "user": body.to_string() });
            (StatusCode::OK, Json(session)).into_response()
        };
        Router::new()
            .route("/site/v1/sessions", get(list))
            .route("/site/v1/sessions/{id}", get(one))
            .route("/site/v1/sessions/{id}/{what}", post(start))
    }

    #[tokio::test]
    async fn sessions_of_all_sites_are_one_list() {
        let house = House::new(Password::Kept).await;
        let cookie = house.signed_in_as(Role::ReadOnly).await;
        for site in 0..3u128 {
            let numbers = (0..20).filter(|number| number % 3 == site).collect();
            let local = LocalSite {
                id: SiteId::from(Uuid::from_u128(site + 1)),
                server: "s".into(),
                name: format!("Site {site}"),
                version: "1".into(),
                router: router(site + 1, numbers),
            };
            house.console.attach(local).await.unwrap();
        }
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = house.get(&format!("/api/v1/sessions?limit=4{cursor}"), &cookie).await.json();
            for item in page["items"].as_array().unwrap() {
                let number: Uuid = item["id"].as_str().unwrap().parse().unwrap();
                assert_eq!(item["site"]["name"], format!("Site {}", number.as_u128() % 3));
                seen.push(number.as_u128());
            }
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, (0..20).rev().collect::<Vec<_>>());
        for wrong in ["limit=0", "limit=501", "state=gone", "sort=user", "recorded=x"] {
            assert_eq!(house.get(&format!("/api/v1/sessions?{wrong}"), &cookie).await.status, 400, "{wrong}");
        }

        let found = house.get(&format!("/api/v1/sessions/{}", Uuid::from_u128(7)), &cookie).await.json();
        assert_eq!(found["site"]["name"], "Site 1");
        let gone = house.get(&format!("/api/v1/sessions/{}", Uuid::from_u128(70)), &cookie).await;
        assert_eq!((gone.status, gone.problem().as_str()), (404, "not-found"));

        let cookie = house.signed_in_as(Role::Full).await;
        let path = format!("/api/v1/sessions/{}", Uuid::from_u128(7));
        let body = Some(json!({ "notify": true }));
        let started = house.send("POST", &format!("{path}/start-recording"), &cookie, body).await;
        assert_eq!(started.status, 200, "{started:?}");
        assert_eq!(started.json()["recording"]["decided"]["user"], r#"{"notify":true}"#);
        assert_eq!(started.json()["site"]["name"], "Site 1");
        let stopped = house.send("POST", &format!("{path}/stop-recording"), &cookie, Some(json!({}))).await;
        assert_eq!((stopped.status, stopped.json()["detail"].clone()), (409, "it has ended".into()));
        let wrong = Some(json!({ "notfy": true }));
        assert_eq!(house.send("POST", &format!("{path}/start-recording"), &cookie, wrong).await.status, 400);
    }
}
