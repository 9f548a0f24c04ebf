//! A server with a folder, and a console's key to ask it with.

use super::agent::{Enrolment, PATIENCE};
use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::StreamExt as _;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use playhead_model::{RecordingId, Role, Scope, Statement, WallTime};
use playhead_net::NodeKey;
use playhead_protocol::STATEMENT_HEADER;
use playhead_server::{Server, Settings};
use serde_json::Value;
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tempfile::TempDir;
use tower::ServiceExt as _;

pub(crate) struct House {
    _folder: TempDir,
    pub(crate) settings: Settings,
    pub(crate) key: Arc<NodeKey>,
    pub(crate) server: Option<Server>,
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = NodeKey::generate().unwrap();
        let mut settings = Settings {
            name: Some("Test".into()),
            console_keys: vec![key.public()],
            least_free: 0,
            ..Settings::new(folder.path().join("data"))
        };
        change(&mut settings);
        let mut house = Self { _folder: folder, settings, key: Arc::new(key), server: None };
        house.start().await;
        house
    }

    /// A server on a folder that is there already, asked by the same console.
    pub(crate) async fn on(&self, folder: TempDir) -> Self {
        let settings = Settings { data: folder.path().to_owned(), ..self.settings.clone() };
        let mut house = Self { _folder: folder, settings, key: Arc::clone(&self.key), server: None };
        house.start().await;
        house
    }

    pub(crate) async fn start(&mut self) {
        self.server = Some(Server::start(self.settings.clone()).await.unwrap());
    }

    pub(crate) async fn stop(&mut self) {
        self.server.take().unwrap().shutdown().await;
    }

    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.start().await;
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    pub(crate) fn data(&self) -> &Path {
        &self.settings.data
    }

    pub(crate) async fn agent(&self) -> Enrolment {
        let token = self.server().make_join_token(60, 1).await.unwrap();
        Enrolment::new(&token).await.unwrap()
    }

    pub(crate) fn statement(&self) -> String {
        sign(&self.key, &statement(Role::Full, 60))
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Response<Body> {
        let mut request =
            Request::builder().method(method).uri(path).header(STATEMENT_HEADER, self.statement());
        let body = match body {
            Some(json) => {
                request = request.header("content-type", "application/json");
                Body::from(json.to_string())
            }
            None => Body::empty(),
        };
        self.server().router().oneshot(request.body(body).unwrap()).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Response<Body> {
        self.ask(Method::GET, path, None).await
    }

    /// What the server says of its health once it is no longer well.
    pub(crate) async fn degraded(&self) -> Value {
        until(async || {
            let health = self.json("/site/v1/health").await;
            (health["state"] == "degraded").then_some(health)
        })
        .await
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        json(response).await
    }

    /// The fragments asked for, as bytes.
    pub(crate) async fn fragments(&self, id: RecordingId, query: &str) -> Vec<u8> {
        let response = self.get(&format!("/site/v1/recordings/{id}/fragments?{query}")).await;
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&bytes));
        bytes.to_vec()
    }

    pub(crate) async fn refused(&self, path: &str) -> (StatusCode, Value) {
        let response = self.get(path).await;
        let status = response.status();
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{path}: {status}");
        (status, json(response).await)
    }

    /// Waits until the recording is as wanted.
    pub(crate) async fn until(&self, id: RecordingId, wanted: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/site/v1/recordings/{id}");
        until(async || Some(self.json(&path).await).filter(|recording| wanted(recording))).await
    }

    /// Waits until that many segments of the recording are stored.
    pub(crate) async fn stored(&self, id: RecordingId, count: usize) -> Vec<Value> {
        let path = format!("/site/v1/recordings/{id}/segments");
        until(async || {
            let segments = self.json(&path).await["items"].as_array().unwrap().clone();
            let stored = segments.iter().filter(|segment| segment["state"] == "stored").count();
            Some(segments).filter(|_| stored == count)
        })
        .await
    }

    /// Files below a folder, by relative name.
    pub(crate) fn files(&self, below: &str) -> Vec<String> {
        let root = self.data().join(below);
        let (mut found, mut folders) = (Vec::new(), vec![root.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else {
                    found.push(entry.path().strip_prefix(&root).unwrap().to_string_lossy().into_owned());
                }
            }
        }
        // What marks a folder as a storage location is no recording.
        found.retain(|name| !name.ends_with(".playhead-location"));
        found.sort();
        found
    }
}

/// Asks again until there is an answer. The condition ends the waiting, not the time.
pub(crate) async fn until<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(tokio::time::Instant::now() < end, "it never came to be");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) async fn json(response: Response<Body>) -> Value {
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

/// Reads at least that many bytes of a body that goes on.
pub(crate) async fn read_some(body: &mut axum::body::BodyDataStream, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        let piece = tokio::time::timeout(PATIENCE, body.next()).await.expect("nothing comes");
        bytes.extend(piece.expect("the stream ended").unwrap());
    }
    bytes
}

pub(crate) fn statement(role: Role, seconds: i64) -> Statement {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as i64;
    Statement {
        user: "admin".into(),
        role,
        permissions: None,
        scope: if role == Role::ReadOnly { Scope::Nothing } else { Scope::All },
        expires_at: WallTime::from_micros(now + seconds * 1_000_000),
    }
}

pub(crate) fn sign(key: &NodeKey, statement: &Statement) -> String {
    let json = serde_json::to_vec(statement).unwrap();
    format!("{}.{}", URL_SAFE_NO_PAD.encode(&json), URL_SAFE_NO_PAD.encode(key.sign(&json)))
}
