//! A real S3 server, and one that lies. `PLAYHEAD_TEST_S3` names a bucket, `PLAYHEAD_TEST_S3_LOCKED` one with object lock, both with
//! credentials and endpoint in `AWS_*`; `scripts/with-s3` provides them.

use super::{
    fragments::Tape,
    house::{House, json, until},
};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use playhead_server::{LocationSettings, LockMode, ObjectLock};
use serde_json::{Value, json as object};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::net::TcpStream;

/// The bucket named by the variable, below a prefix of its own; `None`, with a word about it, when there is none.
fn bucket(variable: &str) -> Option<LocationSettings> {
    let Ok(bucket) = std::env::var(variable) else {
        println!("NOT RUN on S3: use scripts/with-s3, as `make test` does");
        return None;
    };
    let own = uuid::Uuid::now_v7();
    Some(LocationSettings { name: Some("s3".into()), ..LocationSettings::new(format!("{bucket}/{own}")) })
}

fn endpoint() -> String {
    std::env::var("AWS_ENDPOINT").unwrap().trim_start_matches("http://").to_owned()
}

/// A recording of two segments: one goes up in parts, one at once.
fn tape() -> Tape {
    let mut tape = Tape::new("u");
    for seq in 0..9 {
        match seq {
            0..4 => tape.tick(2_000_000),
            4 => tape.roll_over(10_000),
            _ => tape.tick(10_000),
        };
    }
    tape.end();
    tape
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_store_keeps_segments_as_a_folder_does() {
    let Some(bucket) = bucket("PLAYHEAD_TEST_S3") else { return };
    let mut house = House::with(|settings| settings.storage = vec![bucket]).await;
    let tape = tape();
    house.agent().await.connect().await.deliver(&tape).await;
    house.stored(tape.id(), 2).await;
    assert!(house.files("recordings").is_empty());
    house.restart().await;
    assert!(house.fragments(tape.id(), "at=0").await == tape.bytes(0, 10));
    assert!(house.fragments(tape.id(), "at=5500000&until=5500000&anchor=4").await == tape.bytes(4, 6));
    assert_eq!(house.json("/site/v1/health").await["state"], "ok");
    let report = house.json("/site/v1/storage").await;
    let location = &report["locations"][0];
    assert_eq!((&location["kind"], &location["state"]), (&"s3".into(), &"active".into()));
    assert_eq!((&location["segments"], &location["free_bytes"]), (&2.into(), &Value::Null));
}

/// Asks S3 itself, without Playhead.
async fn ask(method: Method, path: &str) -> (StatusCode, http::HeaderMap, Vec<u8>) {
    let request = http::Request::builder().method(method).uri(path).body(Full::default()).unwrap();
    forward(request).await
}

async fn forward(mut request: http::Request<Full<bytes::Bytes>>) -> (StatusCode, http::HeaderMap, Vec<u8>) {
    let address = endpoint();
    let stream = TcpStream::connect(&address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    request.headers_mut().entry("host").or_insert_with(|| address.parse().unwrap());
    // The server looks whose key it is, and not whether the signature is right.
    let key = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
    request.headers_mut().entry("authorization").or_insert_with(|| key.parse().unwrap());
    let response = sender.send_request(request).await.unwrap();
    let (parts, body) = response.into_parts();
    (parts.status, parts.headers, body.collect().await.unwrap().to_bytes().to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_objects_are_locked_and_a_bucket_that_cannot_is_not_used() {
    let (Some(mut locked), Some(mut plain)) = (bucket("PLAYHEAD_TEST_S3_LOCKED"), bucket("PLAYHEAD_TEST_S3"))
    else {
        return;
    };
    let lock = Some(ObjectLock { mode: LockMode::Compliance, days: 30 });
    (locked.object_lock, plain.object_lock) = (lock, lock);
    plain.name = Some("plain".into());
    let prefix = locked.url.trim_start_matches("s3://").to_owned();
    let house = House::with(|settings| settings.storage = vec![plain, locked]).await;
    let tape = tape();
    house.agent().await.connect().await.deliver(&tape).await;
    house.stored(tape.id(), 2).await;
    for number in 0..2 {
        let path = format!("/{prefix}/2026/09/21/{}/00000{number}.mcap", tape.id());
        let (status, headers, _) = ask(Method::HEAD, &path).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert_eq!(headers["x-amz-object-lock-mode"], "COMPLIANCE");
        let version = headers["x-amz-version-id"].to_str().unwrap().to_owned();
        let (status, _, _) = ask(Method::DELETE, &format!("{path}?versionId={version}")).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
    }
    let report = house.json("/site/v1/storage").await;
    let state = |id: &str| {
        let all = report["locations"].as_array().unwrap();
        all.iter().find(|location| location["id"] == id).unwrap().clone()
    };
    assert_eq!((&state("s3")["state"], &state("s3")["segments"]), (&"active".into(), &2.into()));
    assert_eq!(state("s3")["object_lock"], object!({ "mode": "compliance", "days": 30 }));
    assert_eq!((&state("plain")["state"], &state("plain")["segments"]), (&"unreachable".into(), &0.into()));
    let error = state("plain")["last_error"]["text"].as_str().unwrap().to_owned();
    assert!(error.contains("the bucket has no object lock"), "{error}");
}

/// What the server in between does to requests about objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Good,
    /// Says that it has an object and throws it away.
    Loses,
    /// Gives back something else than it was given.
    Changes,
    /// Most requests are refused for now.
    Throttles,
    /// Everything is refused.
    Down,
    /// Never answers.
    Silent,
    /// Does what it was asked and then breaks the connection.
    Deaf,
}

/// A server between Playhead and S3 that can be made to misbehave.
#[derive(Clone)]
struct Between {
    address: String,
    mood: Arc<Mutex<Mood>>,
    count: Arc<AtomicU64>,
}

impl Between {
    async fn new() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let between = Self { address, mood: Arc::new(Mutex::new(Mood::Good)), count: Arc::default() };
        let router = Router::new().fallback(Self::answer).with_state(between.clone());
        let router = router.layer(axum::extract::DefaultBodyLimit::disable());
        tokio::spawn(async move { axum::serve(listener, router).await });
        between
    }

    fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn location(&self, bucket: LocationSettings) -> LocationSettings {
        let options = [("endpoint".to_owned(), self.address.clone())].into();
        LocationSettings { options, patience_seconds: Some(3), ..bucket }
    }

    async fn answer(State(this): State<Self>, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let mood = *this.mood.lock().unwrap();
        let count = this.count.fetch_add(1, Ordering::Relaxed);
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let completes = parts.method == Method::POST && query.starts_with("uploadId=")
            || parts.method == Method::PUT && query.is_empty();
        let slow =
            || (StatusCode::SERVICE_UNAVAILABLE, "<Error><Code>SlowDown</Code></Error>").into_response();
        match mood {
            Mood::Down => return slow(),
            Mood::Throttles if !count.is_multiple_of(3) => return slow(),
            Mood::Silent => std::future::pending::<()>().await,
            _ => {}
        }
        let (method, uri) = (parts.method.clone(), parts.uri.clone());
        let (status, headers, mut bytes) = forward(http::Request::from_parts(parts, Full::new(body))).await;
        if mood == Mood::Loses && completes && status.is_success() {
            assert!(ask(Method::DELETE, uri.path()).await.0.is_success());
        }
        if mood == Mood::Deaf && completes {
            return slow();
        }
        if mood == Mood::Changes && method == Method::GET && query.is_empty() && !bytes.is_empty() {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        let mut response = Response::new(Body::from(bytes));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        if method != Method::HEAD {
            // It is sent whole.
            response.headers_mut().remove("content-length");
        }
        response.headers_mut().remove("transfer-encoding");
        response.headers_mut().remove("connection");
        response
    }
}

async fn two_places(between: &Between, bucket: LocationSettings) -> House {
    House::with(|settings| {
        let folder = settings.data.join("spare").to_string_lossy().into_owned();
        let spare =
            LocationSettings { name: Some("spare".into()), read_only: true, ..LocationSettings::new(folder) };
        settings.storage = vec![between.location(bucket), spare];
    })
    .await
}

/// Whatever the bucket does, nothing leaves the journal before it is surely stored, and it is stored once the bucket behaves.
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_lies_or_fails_loses_nothing() {
    for mood in [Mood::Loses, Mood::Changes, Mood::Down, Mood::Silent, Mood::Deaf] {
        let Some(bucket) = bucket("PLAYHEAD_TEST_S3") else { return };
        let between = Between::new().await;
        let house = two_places(&between, bucket).await;
        between.is(mood);
        let tape = tape();
        house.agent().await.connect().await.deliver(&tape).await;
        let health = house.degraded().await;
        let problem = health["problems"].to_string();
        let expected = match mood {
            Mood::Changes => "gave back other bytes",
            Mood::Loses => "not found",
            Mood::Silent => "did not answer",
            _ => "s3",
        };
        assert!(problem.contains(expected), "{mood:?}: {health}");
        assert!(house.fragments(tape.id(), "at=0").await == tape.bytes(0, 10), "it plays from the journal");
        let segments = house.json(&format!("/site/v1/recordings/{}/segments", tape.id())).await;
        assert!(segments["items"].as_array().unwrap().iter().all(|segment| segment["state"] == "writing"));
        between.is(Mood::Good);
        house.stored(tape.id(), 2).await;
        assert!(house.fragments(tape.id(), "at=0").await == tape.bytes(0, 10), "{mood:?}");
        until(async || {
            (house.json("/site/v1/storage").await["locations"][0]["state"] == "active").then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_throttles_is_used_more_slowly() {
    let Some(bucket) = bucket("PLAYHEAD_TEST_S3") else { return };
    let between = Between::new().await;
    let house = two_places(&between, LocationSettings { patience_seconds: Some(20), ..bucket }).await;
    between.is(Mood::Throttles);
    let tape = tape();
    house.agent().await.connect().await.deliver(&tape).await;
    house.stored(tape.id(), 2).await;
    assert!(house.fragments(tape.id(), "at=0").await == tape.bytes(0, 10));
}

/// Another object under the segment's name is nothing of ours: it stays, and the segment gets another name.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_there_already_is_never_replaced() {
    let Some(bucket) = bucket("PLAYHEAD_TEST_S3") else { return };
    let prefix = bucket.url.trim_start_matches("s3://").to_owned();
    let house = House::with(|settings| settings.storage = vec![bucket]).await;
    let tape = tape();
    let path = |name: &str| format!("/{prefix}/2026/09/21/{}/{name}.mcap", tape.id());
    for name in ["000000", "000001"] {
        let body = Full::new("somebody's".into());
        let request = http::Request::builder().method(Method::PUT).uri(path(name)).body(body).unwrap();
        assert_eq!(forward(request).await.0, StatusCode::OK);
    }
    house.agent().await.connect().await.deliver(&tape).await;
    house.stored(tape.id(), 2).await;
    assert!(house.fragments(tape.id(), "at=0").await == tape.bytes(0, 10));
    for name in ["000000", "000001"] {
        assert_eq!(ask(Method::GET, &path(name)).await.2, b"somebody's");
        assert_eq!(ask(Method::HEAD, &path(&format!("{name}-1"))).await.0, StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_drained_into_a_folder_and_back() {
    let Some(bucket) = bucket("PLAYHEAD_TEST_S3") else { return };
    let between = Between::new().await;
    let prefix = bucket.url.trim_start_matches("s3://").to_owned();
    let house = House::with(|settings| {
        let folder = settings.data.join("spare").to_string_lossy().into_owned();
        let spare = LocationSettings { name: Some("spare".into()), ..LocationSettings::new(folder) };
        settings.storage = vec![between.location(bucket), spare];
    })
    .await;
    let tape = tape();
    let path = format!("/{prefix}/2026/09/21/{}/000000.mcap", tape.id());
    let post = async |path: String, body: Value| {
        let response = house.ask(Method::POST, &path, Some(body)).await;
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        json(response).await
    };
    house.agent().await.connect().await.deliver(&tape).await;
    house.stored(tape.id(), 2).await;
    let to = |location: &str| object!({ "location": location });
    let over = async |id: &Value| {
        until(async || {
            let report = house.json("/site/v1/storage").await;
            let found = report["moves"].as_array().unwrap().iter().find(|row| row["id"] == *id).cloned();
            found.filter(|row| row["state"] == "done" || row["state"] == "failed")
        })
        .await
    };
    let moved = post(format!("/site/v1/recordings/{}/move", tape.id()), to("s3")).await;
    assert_eq!(over(&moved["id"]).await["state"], "done");
    assert_eq!(ask(Method::HEAD, &path).await.0, StatusCode::OK);
    assert!(house.files("spare").is_empty());

    let drained = post("/site/v1/storage/s3/drain".into(), object!({})).await;
    let drained = over(&drained["id"]).await;
    assert_eq!((&drained["state"], &drained["segments"]), (&"done".into(), &2.into()));
    assert_eq!(house.files("spare").len(), 2);
    until(async || (ask(Method::HEAD, &path).await.0 == StatusCode::NOT_FOUND).then_some(())).await;
    assert!(house.fragments(tape.id(), "at=0").await == tape.bytes(0, 10));
    let response = house.ask(Method::PUT, "/site/v1/storage/s3", Some(object!({ "read_only": false }))).await;
    assert_eq!(response.status(), StatusCode::OK);

    // A target that loses what it is given: the segments stay where they are, and are moved when asked again.
    between.is(Mood::Loses);
    let moved = post(format!("/site/v1/recordings/{}/move", tape.id()), to("s3")).await;
    let failed = tokio::time::timeout(Duration::from_secs(60), over(&moved["id"])).await.unwrap();
    assert_eq!((&failed["state"], &failed["failed"]), (&"failed".into(), &2.into()));
    assert_eq!(house.files("spare").len(), 2);
    assert!(house.fragments(tape.id(), "at=0").await == tape.bytes(0, 10));
    between.is(Mood::Good);
    let moved = post(format!("/site/v1/recordings/{}/move", tape.id()), to("s3")).await;
    assert_eq!(over(&moved["id"]).await["state"], "done");
    assert!(house.files("spare").is_empty());
    assert!(house.fragments(tape.id(), "at=0").await == tape.bytes(0, 10));
}
