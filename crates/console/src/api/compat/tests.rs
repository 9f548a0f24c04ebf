//! The calls as scripts make them, against a site that pretends.

use super::{CALLS, What};
use crate::{
    LocalSite, Password,
    api::{
        shapes::SiteRef,
        user_sessions::{Recorded, Session},
    },
    testing::{Answer, House, statement},
};
use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, State},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use http::{HeaderMap, Request, StatusCode, header};
use playhead_model::{
    AgentId, Decided, Permission, RecordingId, RemoteProtocol, Role, SessionId, SessionState, SiteId,
    WallTime, policy::Action,
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use uuid::Uuid;

const SITE: SiteId = SiteId::from_bytes([7; 16]);

/// A session that differs by number; the higher it is, the later it began.
pub(super) fn session(number: u32) -> Session {
    let at = |seconds: i64| WallTime::from_micros(1_790_000_000_000_000 + seconds * 1_000_000 + 250_000);
    Session {
        id: SessionId::from(Uuid::from_u128(u128::from(number))),
        site: SiteRef { id: SITE, name: "its own name".into() },
        user: "ada".into(),
        users: vec!["ada".into(), "CORP\\ada".into(), "ada@corp.example".into()],
        groups: vec!["staff".into()],
        host: format!("ws-{number}"),
        application: "desktop".into(),
        delivery_groups: vec!["Office".into()],
        tags: vec!["outside".into()],
        address: Some(format!("10.0.0.{number}")),
        client: Some(format!("laptop-{number}")),
        client_version: None,
        display: ":10".into(),
        protocol: RemoteProtocol::Rdp,
        state: SessionState::Connected,
        reachable: true,
        agent: AgentId::from_bytes([9; 16]),
        started_at: at(i64::from(number)),
        changed_at: at(i64::from(number) + 60),
        ended_at: None,
        heard_at: at(100),
        recording: Recorded {
            action: Action::Disable,
            recording: None,
            decided: Decided::NoPolicy,
            trouble: None,
        },
    }
}

/// A site with sessions, which does as it is told.
#[derive(Clone)]
struct Pretended {
    key: String,
    sessions: Arc<Mutex<Vec<Session>>>,
    /// What was said, by whom.
    heard: Arc<Mutex<Vec<String>>>,
}

impl Pretended {
    fn router(&self) -> Router {
        Router::new()
            .route("/site/v1/sessions", get(list))
            .route("/site/v1/sessions/{id}", get(one))
            .route("/site/v1/sessions/{id}/{what}", post(command))
            .with_state(self.clone())
    }

    /// Who asks, or why they may not.
    fn may(&self, headers: &HeaderMap, permission: Permission) -> Result<String, StatusCode> {
        let statement = statement(&self.key, headers).ok_or(StatusCode::UNAUTHORIZED)?;
        if statement.allows(permission) { Ok(statement.user) } else { Err(StatusCode::FORBIDDEN) }
    }
}

async fn list(
    State(site): State<Pretended>,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    if let Err(refused) = site.may(&headers, Permission::ViewSessions) {
        return refused.into_response();
    }
    let mut all: Vec<_> = site.sessions.lock().unwrap().clone();
    assert_eq!(query["state"], "running");
    all.retain(|session| session.state != SessionState::Ended);
    let asked = |name: &str| query.get(name).map_or("", String::as_str);
    all.retain(|session| session.host.contains(asked("host")) && session.user.contains(asked("user")));
    // Smaller pages than were asked for, so that there are several.
    let first: usize = query.get("cursor").map_or(0, |cursor| cursor.parse().unwrap());
    let next = (first + 7 < all.len()).then(|| (first + 7).to_string());
    let items = all.into_iter().skip(first).take(7).map(|session| {
        let mut item = serde_json::to_value(session).unwrap();
        item["cursor"] = json!("x");
        item
    });
    Json(json!({ "items": items.collect::<Vec<_>>(), "next": next })).into_response()
}

async fn one(State(site): State<Pretended>, headers: HeaderMap, Path(id): Path<SessionId>) -> Response {
    if let Err(refused) = site.may(&headers, Permission::ViewSessions) {
        return refused.into_response();
    }
    match site.sessions.lock().unwrap().iter().find(|session| session.id == id) {
        Some(session) => Json(session).into_response(),
        None => crate::problem::Problem::not_found("there is no such session").into_response(),
    }
}

async fn command(
    State(site): State<Pretended>,
    headers: HeaderMap,
    Path((id, what)): Path<(SessionId, String)>,
    Json(body): Json<Value>,
) -> Response {
    let user = match site.may(&headers, Permission::ManageSessions) {
        Ok(user) => user,
        Err(refused) => return refused.into_response(),
    };
    site.heard.lock().unwrap().push(format!("{user}: {what} {body}"));
    let mut sessions = site.sessions.lock().unwrap();
    let Some(session) = sessions.iter_mut().find(|session| session.id == id) else {
        return crate::problem::Problem::not_found("there is no such session").into_response();
    };
    if !session.reachable {
        return crate::problem::Problem::site_not_connected("the agent is away").into_response();
    }
    session.recording.recording = (what == "start-recording").then(|| RecordingId::from_bytes([5; 16]));
    Json(&*session).into_response()
}

/// A console with a site and a client.
struct Stage {
    house: House,
    site: Pretended,
    customer: String,
    token: String,
}

impl Stage {
    async fn new(permissions: &[&str], sessions: Vec<Session>) -> Self {
        let house = House::new(Password::Kept).await;
        let site = Pretended {
            key: house.console.public_key(),
            sessions: Arc::new(Mutex::new(sessions)),
            heard: Arc::default(),
        };
        let local = LocalSite {
            id: SITE,
            name: "North".into(),
            server: "n".into(),
            version: "1".into(),
            router: site.router(),
        };
        house.console.attach(local).await.unwrap();
        let cookie = house.signed_in_as(Role::Full).await;
        let body = json!({ "name": "script", "permissions": permissions });
        let made = house.send("POST", "/api/v1/api-clients", &cookie, Some(body)).await.json();
        let customer = made["customer_id"].as_str().unwrap().to_owned();
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}",
            made["client"]["id"].as_str().unwrap(),
            made["secret"].as_str().unwrap()
        );
        let request = Request::post(format!("/cctrustoauth2/{customer}/tokens/clients"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let given = Answer::read(house.raw(request.body(Body::from(form)).unwrap()).await).await;
        let token = given.json()["access_token"].as_str().unwrap().to_owned();
        Self { house, site, customer, token }
    }

    /// The headers that a script sends.
    fn headers(&self) -> Vec<(String, String)> {
        [
            ("authorization", format!("CWSAuth Bearer={}", self.token)),
            ("citrix-customerid", self.customer.clone()),
            ("citrix-instanceid", SITE.to_string()),
            ("content-type", "application/json".into()),
            ("accept", "application/json".into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    async fn send(&self, method: &str, path: &str, headers: &[(String, String)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("/cvad/manage/{path}"));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        Answer::read(self.house.raw(request.body(Body::from(body.to_owned())).unwrap()).await).await
    }

    async fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send(method, path, &self.headers(), body).await
    }

    /// The numbers of the sessions on the page, and where it goes on.
    async fn page(&self, params: &str, search: &Value) -> (Vec<u128>, Option<String>) {
        let answer = self.call("POST", &format!("Sessions/$search?{params}"), &search.to_string()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let json = answer.json();
        let number = |item: &Value| item["Id"].as_str().unwrap().parse::<Uuid>().unwrap().as_u128();
        let numbers = json["Items"].as_array().unwrap().iter().map(number).collect();
        (numbers, json["ContinuationToken"].as_str().map(str::to_owned))
    }
}

const BOTH: &[&str] = &["view-sessions", "manage-sessions"];

#[tokio::test]
async fn a_session_is_found_started_asked_about_and_stopped() {
    let stage = Stage::new(BOTH, vec![session(1), session(2)]).await;
    let me = stage.call("GET", "me", "").await.json();
    assert_eq!(me["Customers"][0]["Id"], stage.customer.as_str());
    assert_eq!(me["Customers"][0]["Sites"], json!([{ "Id": SITE, "Name": "North" }]));
    assert_eq!(me["DisplayName"], "script");

    let filter =
        json!({ "SearchFilters": [{ "Property": "MachineName", "Value": "ws-2", "Operator": "Equals" }] });
    assert_eq!(stage.page("", &filter).await, (vec![2], None));
    let id = session(2).id;
    let status = async || {
        let answer = stage.call("GET", &format!("Sessions/RecordingStatus?id={id}"), "").await;
        answer.json()["IsSessionBeingRecorded"].clone()
    };
    assert_eq!(status().await, false);
    // C# sends neither body nor content type.
    let bare: Vec<_> = stage.headers().into_iter().filter(|(name, _)| name != "content-type").collect();
    for path in ["$startRecording?notifyUser=true", "%24startrecording"] {
        let started = stage.send("POST", &format!("sessions/{id}/{path}"), &bare, "").await;
        assert_eq!((started.status, &started.json()["Id"]), (200, &json!(id)), "{started:?}");
        assert_eq!(started.headers["content-type"], "application/json; charset=utf-8");
    }
    assert_eq!(status().await, true);
    let stopped = stage.call("POST", &format!("Sessions/{id}/$stopRecording"), "").await;
    assert_eq!(stopped.json()["Id"], json!(id));
    assert_eq!(status().await, false);
    let heard = stage.site.heard.lock().unwrap().clone();
    assert_eq!(
        heard,
        [
            "script (API client): start-recording {\"notify\":true}",
            "script (API client): start-recording {\"notify\":false}",
            "script (API client): stop-recording {}"
        ]
    );
}

/// The names in an object, those of objects in it with a dot.
fn names(value: &Value, before: &str, all: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = format!("{before}{name}");
                names(value, &format!("{name}."), all);
                all.push(name);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| names(item, before, all)),
        _ => {}
    }
}

#[test]
fn a_session_has_every_field_that_callers_know_of() {
    let site = crate::sites::SiteName { id: SITE, name: "North".into() };
    let shown = super::session::document(&session(1), &site);
    let mut all = Vec::new();
    names(&shown, "", &mut all);
    all.sort();
    all.dedup();
    let expected: Vec<_> = include_str!("fields.txt").lines().collect();
    assert_eq!(all, expected);
    assert_eq!(shown["StartTime"], "9/21/2026 2:13:21 PM");
    assert_eq!(shown["FormattedStartTime"], "2026-09-21T14:13:21Z");
    assert_eq!(shown["User"]["Name"], "CORP\\ada");
    assert_eq!(shown["User"]["PrincipalName"], "ada@corp.example");
    assert_eq!(shown["Machine"]["Zone"]["Name"], "North");
    assert_eq!((&shown["State"], &shown["ApplicationsInUse"]), (&json!("Active"), &json!([])));
    let app = Session { application: "Ledger".into(), state: SessionState::Disconnected, ..session(1) };
    let shown = super::session::document(&app, &site);
    assert_eq!(shown["ApplicationsInUse"][0]["Name"], "Ledger");
    assert_eq!((&shown["State"], &shown["SessionType"]), (&json!("Disconnected"), &json!("Application")));
}

#[tokio::test]
async fn letter_case_makes_no_other_address_and_no_address_of_the_calls_is_a_page() {
    let stage = Stage::new(BOTH, vec![session(1)]).await;
    let ask = async |method: &str, path: &str| {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in stage.headers() {
            request = request.header(name, value);
        }
        Answer::read(stage.house.raw(request.body(Body::empty()).unwrap()).await).await
    };
    let id = session(1).id.to_string().to_uppercase();
    for (method, path) in [
        ("GET", "/CVAD/Manage/ME".to_owned()),
        ("GET", "/cvad/MANAGE/sessions?limit=1".to_owned()),
        ("POST", format!("/Cvad/Manage/Sessions/{id}/%24StartRecording?notifyUser=true")),
        ("GET", format!("/CVAD/MANAGE/SESSIONS/RECORDINGSTATUS?ID={id}")),
    ] {
        let answer = ask(method, &path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    let form = "grant_type=password";
    let request = Request::post(format!("/CCTrustOAuth2/{}/Tokens/Clients", stage.customer))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let refused = Answer::read(stage.house.raw(request.body(Body::from(form)).unwrap()).await).await;
    assert_eq!(refused.json()["error"], "unsupported_grant_type", "{refused:?}");
    for path in [
        "/cvad",
        "/cvad/",
        "/cvad/manage",
        "/cvad/manage/",
        "/CVAD/Sessions",
        "/cctrustoauth2/x/tokens",
        "/cvad/%zz",
    ] {
        let answer = ask("GET", path).await;
        assert_eq!((answer.status, &answer.json()["ErrorType"]), (404, &json!("NotFound")), "{path}");
    }
    for search in ["[]", " [\"ada\"]", "null", "5", "\"ada\"", "{", ""] {
        let answer = stage.call("POST", "Sessions/$search", search).await;
        assert_eq!(answer.status, 400, "{search}: a search never finds more than was asked for");
    }
}

#[tokio::test]
async fn lists_are_sorted_and_paged_and_everything_comes_once() {
    let mut sessions: Vec<_> = (1..=23).rev().map(session).collect();
    sessions.push(Session { state: SessionState::Ended, ..session(99) });
    let stage = Stage::new(BOTH, sessions).await;
    let by_host = json!({ "SortCriteria": { "Property": "MachineName", "SortDirection": "Ascending" } });
    for (search, limit) in [(json!({}), 5), (by_host.clone(), 5), (by_host.clone(), 23)] {
        let (mut all, mut params) = (Vec::new(), format!("limit={limit}"));
        loop {
            let (numbers, next) = stage.page(&params, &search).await;
            assert!(numbers.len() <= limit);
            all.extend(numbers);
            let Some(next) = next else { break };
            params = format!("limit={limit}&continuationToken={next}");
        }
        let mut sorted: Vec<u128> = (1..=23).rev().collect();
        if search == by_host {
            sorted.sort_by_key(|number| format!("ws-{number}"));
        }
        assert_eq!(all, sorted);
    }
    let list = stage.call("GET", "Sessions?Limit=2&fields=id,machine.name", "").await.json();
    assert_eq!((&list["TotalItems"], list["Items"].as_array().unwrap().len()), (&json!(23), 2));
    let fields: Vec<_> = list["Items"][0].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["Id", "Machine"]);
    let next = list["ContinuationToken"].as_str().unwrap();
    let rest = stage.call("GET", &format!("Sessions?continuationToken={next}"), "").await.json();
    assert_eq!((rest["Items"].as_array().unwrap().len(), &rest["ContinuationToken"]), (21, &Value::Null));
    let skipped = stage.page("skip=20", &json!({})).await;
    assert_eq!(skipped, (vec![3, 2, 1], None));

    let refused = async |path: &str, body: &str| {
        let method = if body.is_empty() { "GET" } else { "POST" };
        let answer = stage.call(method, path, body).await;
        (answer.status, answer.json()["ErrorType"].as_str().unwrap().to_owned())
    };
    let wrong = (400, "BadRequest".to_owned());
    for path in
        ["Sessions?limit=0", "Sessions?limit=1001", "Sessions?limit=x", "Sessions?continuationToken=x"]
    {
        assert_eq!(refused(path, "").await, wrong, "{path}");
    }
    let other = format!("Sessions/$search?continuationToken={next}");
    assert_eq!(refused(&other, &by_host.to_string()).await, wrong, "of another search");
    assert_eq!(refused("Sessions/$search", "[").await, wrong);
    assert_eq!(refused("Sessions/$search", &" ".repeat(70_000)).await, wrong);
}

#[tokio::test]
async fn every_call_is_refused_without_token_customer_site_or_permission() {
    let stage = Stage::new(&["list-recordings"], vec![session(1)]).await;
    for &(method, path, what, permission) in CALLS {
        let path = path.replace("{id}", &session(1).id.to_string());
        let path = if what == What::Status { format!("{path}?id={}", session(1).id) } else { path };
        let with = async |name: &str, value: Option<&str>| {
            let mut headers = stage.headers();
            headers.retain(|(other, _)| other != name);
            headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
            let answer = stage.send(method, &path, &headers, "{}").await;
            assert!(answer.headers.contains_key("citrix-transactionid"), "{answer:?}");
            if answer.status != 200 {
                assert!(answer.json()["ErrorMessage"].is_string(), "{answer:?}");
            }
            answer.status
        };
        assert_eq!(with("authorization", None).await, 401, "{path}");
        assert_eq!(with("authorization", Some("CWSAuth bearer=wrong")).await, 401, "{path}");
        assert_eq!(with("citrix-customerid", Some("another")).await, 403, "{path}");
        let is_me = what == What::Me;
        assert_eq!(with("citrix-customerid", None).await, if is_me { 200 } else { 400 }, "{path}");
        assert_eq!(with("x", None).await, if permission.is_some() { 403 } else { 200 }, "{path}");
    }

    // Who may start and stop needs to see nothing.
    let stage = Stage::new(&["manage-sessions"], vec![session(1)]).await;
    let id = session(1).id;
    assert_eq!(stage.call("POST", &format!("Sessions/{id}/$startRecording"), "").await.status, 200);
    assert_eq!(stage.call("GET", &format!("Sessions/{id}"), "").await.status, 403);
    let at_site = async |instance: Option<&str>| {
        let mut headers = stage.headers();
        headers.retain(|(name, _)| name != "citrix-instanceid");
        headers.extend(instance.map(|value| ("citrix-instanceid".to_owned(), value.to_owned())));
        stage.send("POST", &format!("Sessions/{id}/$stopRecording"), &headers, "").await.status
    };
    assert_eq!(at_site(None).await, 400);
    assert_eq!(at_site(Some("x")).await, 404);
    assert_eq!(at_site(Some("00000000-0000-0000-0000-000000000009")).await, 404);
    assert_eq!(at_site(Some(&SITE.to_string().to_uppercase())).await, 200);
}

#[tokio::test]
async fn failures_are_told_in_the_shape_that_callers_expect() {
    let away = Session { reachable: false, ..session(2) };
    let over = Session { state: SessionState::Ended, ..session(3) };
    let stage = Stage::new(BOTH, vec![session(1), away, over]).await;
    let failure = async |method: &str, path: &str| {
        let answer = stage.call(method, path, "").await;
        let json = answer.json();
        for field in ["ErrorMessage", "SdkErrorId", "ErrorType"] {
            assert!(json[field].is_string(), "{answer:?}");
        }
        assert!(json.get("ErrorDetails").is_some());
        (answer.status, json["SdkErrorId"].as_str().unwrap().to_owned())
    };
    let of = |status: u16, kind: &str| (status, kind.to_owned());
    let id = |number| session(number).id;
    assert_eq!(failure("GET", &format!("Sessions/{}", id(9))).await, of(404, "not-found"));
    assert_eq!(failure("GET", &format!("Sessions/{}", id(3))).await, of(404, "not-found"), "it has ended");
    assert_eq!(
        failure("POST", &format!("Sessions/{}/$stopRecording", id(2))).await,
        of(503, "site-not-connected")
    );
    assert_eq!(failure("GET", "Sessions/RecordingStatus").await, of(400, "bad-request"));
    assert_eq!(failure("GET", "Sessions/..%2f..%2fsettings").await.0, 404);
    assert_eq!(failure("POST", "Sessions/x/$startRecording").await, of(404, "not-found"));
    assert_eq!(failure("POST", &format!("Sessions/{}/$logoff", id(1))).await, of(404, "not-found"));
    assert_eq!(failure("DELETE", &format!("Sessions/{}", id(1))).await, of(405, "method-not-allowed"));
    let notify = format!("Sessions/{}/$startRecording?notifyUser=maybe", id(1));
    assert_eq!(failure("POST", &notify).await, of(400, "bad-request"));
}

#[tokio::test]
async fn ids_of_exchanges_are_given_back_when_they_are_fit_for_it() {
    let stage = Stage::new(BOTH, Vec::new()).await;
    let echoed = async |given: Option<&str>| {
        let mut headers = stage.headers();
        headers.extend(given.map(|given| ("citrix-transactionid".to_owned(), given.to_owned())));
        let answer = stage.send("GET", "me", &headers, "").await;
        answer.headers["citrix-transactionid"].to_str().unwrap().to_owned()
    };
    let given = "44399a9e-18ea-4c16-b549-811fa252c7b6";
    assert_eq!(echoed(Some(given)).await, given);
    for unfit in [None, Some("a b"), Some("<x>"), Some(&*"x".repeat(65))] {
        assert!(echoed(unfit).await.parse::<Uuid>().is_ok(), "{unfit:?}");
    }
}
