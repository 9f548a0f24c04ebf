//! What the crate's tests share: a console in a temporary folder, and sites that only pretend.

use crate::{
    Console, LocalSite, Password, Settings,
    api::{
        merge::{Listed, Sort},
        shapes::{Recording, SiteRef},
    },
    clock::tests::HandClock,
};
use axum::{
    Json, Router,
    body::Body,
    extract::{Query, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use playhead_db::console::Account;
use playhead_model::{RecordingId, RecordingState, Role, SiteId, Statement, WallTime};
use playhead_protocol::STATEMENT_HEADER;
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Arc};
use tempfile::TempDir;
use tower::ServiceExt as _;
use uuid::Uuid;

/// A password of which the hash takes no time to make in tests: it is made once for each account.
pub(crate) const PASSWORD: &str = "vier kleine Enten";

/// A console with its folder and a clock that moves only when told to.
pub(crate) struct House {
    pub(crate) folder: TempDir,
    pub(crate) console: Console,
    pub(crate) clock: HandClock,
    pub(crate) router: Router,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl House {
    pub(crate) async fn new(password: Password) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), password).await
    }

    pub(crate) async fn in_folder(folder: TempDir, password: Password) -> Self {
        Self::with(folder, password, HandClock::new()).await
    }

    /// Stopped and started again, at the same time by its clock.
    pub(crate) async fn restarted(self) -> Self {
        self.console.shutdown().await;
        Self::with(self.folder, Password::Kept, self.clock).await
    }

    async fn with(folder: TempDir, password: Password, clock: HandClock) -> Self {
        let settings = Settings {
            data: folder.path().join("console"),
            database: None,
            secure: false,
            public_url: "https://console.example:8443".into(),
            authority: None,
            password,
        };
        let console = Console::start_with(settings, clock.clock()).await.unwrap();
        let router = console.router();
        Self { folder, console, clock, router }
    }

    /// Adds an account with [`PASSWORD`] and signs in. Gives the cookie.
    pub(crate) async fn signed_in_as(&self, role: Role) -> String {
        let core = self.console.core();
        let account = Account {
            id: Uuid::now_v7().to_string(),
            name: format!("{role} person"),
            password: core.passwords.hash(PASSWORD).await.unwrap(),
            role,
            must_change_password: false,
        };
        core.store.create_account(&account, self.clock.clock().now()).await.unwrap();
        self.sign_in(&account.name, PASSWORD).await.cookie().unwrap()
    }

    pub(crate) async fn sign_in(&self, user: &str, password: &str) -> Answer {
        let body = json!({ "user": user, "password": password });
        self.send("POST", "/api/v1/sign-in", "", Some(body)).await
    }

    pub(crate) async fn get(&self, path: &str, cookie: &str) -> Answer {
        self.send("GET", path, cookie, None).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, cookie: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header(header::COOKIE, cookie);
        if method != "GET" {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or(Body::empty(), |body| Body::from(body.to_string()));
        Answer::read(self.raw(request.body(body).unwrap()).await).await
    }

    pub(crate) async fn raw(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Attaches a pretended site in this process.
    pub(crate) async fn attach(&self, name: &str, site: &FakeSite) {
        let local = LocalSite {
            id: site.id,
            name: name.into(),
            server: format!("{name} server"),
            version: "1".into(),
            router: site.router(&self.console.public_key()),
        };
        self.console.attach(local).await.unwrap();
    }
}

impl Answer {
    pub(crate) async fn read(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The last part of the problem's type.
    pub(crate) fn problem(&self) -> String {
        self.json()["type"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
    }

    /// The cookie that was set, as it is sent back.
    pub(crate) fn cookie(&self) -> Option<String> {
        let text = self.headers.get(header::SET_COOKIE)?.to_str().unwrap();
        Some(text.split(';').next().unwrap().to_owned())
    }
}

/// A site that has recordings, but never recorded anything.
#[derive(Clone)]
pub(crate) struct FakeSite {
    pub(crate) id: SiteId,
    pub(crate) recordings: Arc<Vec<Recording>>,
}

impl FakeSite {
    pub(crate) fn new(number: u8, recordings: Vec<Recording>) -> Self {
        Self { id: SiteId::from_bytes([number; 16]), recordings: Arc::new(recordings) }
    }

    /// Its API, which takes statements signed by this key alone.
    pub(crate) fn router(&self, console_key: &str) -> Router {
        let key = console_key.to_owned();
        Router::new()
            .route("/site/v1/recordings", get(list))
            .route("/site/v1/recordings/{id}", get(one))
            .route("/site/v1/recordings/{id}/fragments", get(fragments))
            .route("/site/v1/session-hosts", get(hosts))
            .route("/site/v1/join-tokens", get(join_tokens).post(join_token))
            .route("/site/v1/join-tokens/{id}", axum::routing::delete(revoke))
            .layer(axum::middleware::from_fn(
                move |request: axum::extract::Request, next: axum::middleware::Next| {
                    let key = key.clone();
                    async move {
                        match statement(&key, request.headers()) {
                            Some(_) => next.run(request).await,
                            None => StatusCode::UNAUTHORIZED.into_response(),
                        }
                    }
                },
            ))
            .with_state(self.clone())
    }
}

/// The statement of a request, when it was signed with this key.
pub(crate) fn statement(key: &str, headers: &HeaderMap) -> Option<Statement> {
    let (json, signature) = headers.get(STATEMENT_HEADER)?.to_str().ok()?.split_once('.')?;
    let json = URL_SAFE_NO_PAD.decode(json).ok()?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?.try_into().ok()?;
    playhead_net::verify(key, &json, &signature).then(|| serde_json::from_slice(&json).ok())?
}

async fn list(State(site): State<FakeSite>, Query(query): Query<HashMap<String, String>>) -> Json<Value> {
    let sort: Sort = serde_json::from_value(json!(query["sort"])).unwrap();
    let limit: usize = query["limit"].parse().unwrap();
    let mut all: Vec<Listed> =
        site.recordings.iter().map(|recording| listed(sort, recording.clone())).collect();
    all.sort_by(|a, b| sort.order(a, b));
    let total = all.len();
    if let Some(cursor) = query.get("cursor") {
        // The cursor may be of another site's recording, which this one has never seen.
        let id = cursor.split_once('.').unwrap().0.parse().unwrap();
        let place = Listed { recording: Recording { id, ..recording(0, "", 0) }, cursor: cursor.clone() };
        all.retain(|item| sort.order(item, &place).is_gt());
    }
    let next = (all.len() > limit).then(|| all[limit - 1].cursor.clone());
    all.truncate(limit);
    Json(json!({ "items": all, "next": next, "total": { "value": total, "exact": true } }))
}

/// A recording as a site lists it.
pub(crate) fn listed(sort: Sort, recording: Recording) -> Listed {
    let value = match sort {
        Sort::StartedAt | Sort::StartedAtDown => recording.started_at.as_micros().to_string(),
        Sort::User | Sort::UserDown => recording.user.to_lowercase(),
        Sort::Host | Sort::HostDown => recording.host.to_lowercase(),
        Sort::Duration | Sort::DurationDown => recording.duration_us.to_string(),
        Sort::Bytes | Sort::BytesDown => recording.bytes.to_string(),
    };
    let cursor = format!("{}.{value}", recording.id);
    Listed { recording, cursor }
}

async fn one(
    State(site): State<FakeSite>,
    axum::extract::Path(id): axum::extract::Path<RecordingId>,
) -> Response {
    match site.recordings.iter().find(|recording| recording.id == id) {
        Some(found) => Json(found).into_response(),
        None => crate::problem::Problem::not_found("no such recording").into_response(),
    }
}

/// Says who asked for what, and then never ends.
async fn fragments(axum::extract::RawQuery(query): axum::extract::RawQuery, headers: HeaderMap) -> Response {
    let first = format!("{} {:?}", query.unwrap_or_default(), headers.get(header::RANGE));
    let first = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from(first))]);
    let endless = futures_util::StreamExt::chain(first, futures_util::stream::pending());
    let kind =
        [(header::CONTENT_TYPE, "application/vnd.playhead.fragments"), (header::SET_COOKIE, "stolen=1")];
    (kind, Body::from_stream(endless)).into_response()
}

async fn hosts(State(site): State<FakeSite>) -> Json<Value> {
    let hosts = site.recordings.iter().map(|recording| {
        json!({ "id": recording.id, "host": recording.host, "site": { "id": site.id, "name": "own" },
            "state": "active", "version": "1", "enrolled_at": recording.started_at, "last_seen": null,
            "live_recordings": 1 })
    });
    Json(json!({ "items": hosts.collect::<Vec<_>>() }))
}

async fn join_token(State(site): State<FakeSite>, Json(wanted): Json<Value>) -> (StatusCode, Json<Value>) {
    let token = format!("{} {}", site.id, wanted);
    (
        StatusCode::CREATED,
        Json(json!({ "token": token, "command": "c", "expires_at": "2026-01-01T00:00:00Z" })),
    )
}

/// Each site has one token, named after its own id.
async fn join_tokens(State(site): State<FakeSite>) -> Json<Value> {
    let at = WallTime::from_micros(1_790_000_000_000_000);
    let token = json!({ "id": site.id.to_string(), "uses_left": 3, "made_by": "m", "created_at": at, "expires_at": at });
    Json(json!({ "items": [token] }))
}

async fn revoke(
    State(site): State<FakeSite>,
    axum::extract::Path(id): axum::extract::Path<String>,
) -> Response {
    if id == site.id.to_string() {
        Json(json!({ "id": id })).into_response()
    } else {
        crate::problem::Problem::not_found("no such token").into_response()
    }
}

/// A recording that differs by number.
pub(crate) fn recording(number: u128, host: &str, started_at: i64) -> Recording {
    Recording {
        id: RecordingId::from(Uuid::from_u128(number)),
        site: SiteRef { id: SiteId::from_bytes([0; 16]), name: "its own name".into() },
        host: host.into(),
        user: format!("user{}", number % 3),
        display: ":10".into(),
        client: None,
        client_address: None,
        application: "desktop".into(),
        state: RecordingState::Finished,
        connected: false,
        started_at: WallTime::from_micros(1_790_000_000_000_000 + started_at),
        ended_at: None,
        duration_us: u64::try_from(number % 5).unwrap(),
        bytes: u64::try_from(number % 7).unwrap(),
        segments: 1,
        width: 1920,
        height: 1080,
        gaps: 0,
        events: 0,
        agent_version: "1".into(),
        end_reason: None,
        problem: None,
        quarantine: None,
        sound: false,
        video: false,
        masks: Vec::new(),
        monitors: Vec::new(),
        encrypted: false,
        shredded: None,
        session: None,
    }
}
