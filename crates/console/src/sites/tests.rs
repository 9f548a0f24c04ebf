//! Tunnels over real TLS, with a pretended site at the other end.

use crate::{
    Password,
    testing::{FakeSite, House, recording},
};
use axum::{Router, body::Body, routing::get};
use http::{Request, header};
use http_body_util::BodyExt as _;
use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    service::TowerToHyperService,
};
use playhead_model::{Role, SiteId};
use playhead_net::{Authority, DialError, Endpoint, Listener, NodeKey};
use playhead_protocol::{
    TUNNEL_CONNECT_PATH, TUNNEL_JOIN_PATH, TUNNEL_UPGRADE,
    join::{Join, JoinToken, Joined},
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

const LONG: Duration = Duration::from_secs(10);

/// A console behind a TLS listener.
struct Served {
    house: House,
    endpoint: Endpoint,
    cookie: String,
    stop: CancellationToken,
    _authority: TempDir,
}

impl Served {
    async fn new() -> Self {
        let house = House::new(Password::Kept).await;
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(folder.path(), "test").unwrap();
        let tls = authority.server_config(&["127.0.0.1".into()]).unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), Some(tls)).await.unwrap();
        let url = format!("https://{}", listener.address());
        let endpoint = Endpoint::new(&url, Some(authority.der())).unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(listener.serve(house.router.clone(), stop.clone()));
        let cookie = house.signed_in_as(Role::Full).await;
        Self { house, endpoint, cookie, stop, _authority: folder }
    }

    async fn token(&self, more: Value) -> JoinToken {
        let mut body = json!({ "kind": "server" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = self.house.send("POST", "/api/v1/join-tokens", &self.cookie, Some(body)).await.json();
        made["token"].as_str().unwrap().parse().unwrap()
    }

    async fn join(&self, secret: &str, name: &str, key: &NodeKey, site: SiteId) -> Result<Joined, DialError> {
        let join = Join {
            secret: secret.into(),
            name: name.into(),
            public_key: key.public(),
            site,
            version: "1".into(),
        };
        self.endpoint.connect().await?.post(TUNNEL_JOIN_PATH, &join).await
    }

    /// Logs in and serves `router` over the tunnel until the task is aborted.
    async fn serve(
        &self,
        joined: &Joined,
        key: &NodeKey,
        router: Router,
    ) -> Result<JoinHandle<()>, DialError> {
        let connection = self.endpoint.connect().await?;
        let id = joined.server.to_string();
        let stream = connection.log_in(TUNNEL_CONNECT_PATH, TUNNEL_UPGRADE, "tunnel", &id, key).await?;
        Ok(tokio::spawn(async move {
            let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .serve_connection(stream.into_inner(), TowerToHyperService::new(router))
                .await;
        }))
    }

    async fn get(&self, path: &str) -> Value {
        self.house.get(path, &self.cookie).await.json()
    }

    /// Waits until the list of recordings shows as many.
    async fn until_shown(&self, count: usize) -> Value {
        let asking = async {
            loop {
                let page = self.get("/api/v1/recordings").await;
                if page["items"].as_array().unwrap().len() == count {
                    return page;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(LONG, asking).await.expect("the list never showed what it should")
    }
}

#[tokio::test]
async fn a_site_is_asked_through_the_tunnel_its_server_dialled() {
    let served = Served::new().await;
    let site = FakeSite::new(7, vec![recording(1, "host", 1), recording(2, "host", 2)]);
    let key = NodeKey::generate().unwrap();
    let token = served.token(json!({})).await;
    let joined = served.join(&token.secret, "rec-1", &key, site.id).await.unwrap();
    assert_eq!(joined.console_key, served.house.console.public_key());

    let before = served.get("/api/v1/recordings").await;
    assert!(before["problems"][0]["detail"].as_str().unwrap().contains("“rec-1” is connected"), "{before}");
    let one = served.get("/api/v1/recordings/00000000-0000-0000-0000-000000000001").await;
    assert_eq!(one["type"], "/problems/site-not-connected");

    let tunnel = served.serve(&joined, &key, site.router(&joined.console_key)).await.unwrap();
    let page = served.until_shown(2).await;
    assert_eq!(page["items"][0]["site"], json!({ "id": site.id, "name": "rec-1" }));
    let sites = served.get("/api/v1/sites").await;
    assert_eq!(sites["items"][0]["servers"][0]["state"], "available");

    // The connection dies; the next one takes over.
    tunnel.abort();
    let page = served.until_shown(0).await;
    assert_eq!(page["problems"][0]["site"], "rec-1");
    let sites = served.get("/api/v1/sites").await;
    assert_eq!(sites["items"][0]["servers"][0]["state"], "offline");
    let _tunnel = served.serve(&joined, &key, site.router(&joined.console_key)).await.unwrap();
    served.until_shown(2).await;
    served.stop.cancel();
    timeout(LONG, served.house.console.shutdown()).await.expect("the console did not stop");
}

#[tokio::test]
async fn tokens_are_good_for_as_long_and_as_often_as_they_say() {
    let served = Served::new().await;
    let refusal = |result: Result<Joined, DialError>| match result {
        Err(DialError::Refused { status, detail }) => (status.as_u16(), detail),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("let in"),
    };
    let (key, other) = (NodeKey::generate().unwrap(), NodeKey::generate().unwrap());
    let (north, south) = (SiteId::from_bytes([1; 16]), SiteId::from_bytes([2; 16]));
    let (status, detail) = refusal(served.join("guessed", "a", &key, north).await);
    assert_eq!(status, 401);
    assert!(detail.contains("playhead token --kind server"), "{detail}");

    let token = served.token(json!({})).await;
    let joined = served.join(&token.secret, "a", &key, north).await.unwrap();
    let again = served.join(&token.secret, "a", &key, north).await.unwrap();
    assert_eq!(again, joined, "an answer that was lost can be asked for again");
    let (status, detail) = refusal(served.join(&token.secret, "b", &other, north).await);
    assert_eq!(status, 409);
    assert!(detail.contains("as often as it may be"), "{detail}");

    let token = served.token(json!({ "valid_seconds": 60, "uses": 5 })).await;
    served.house.clock.advance_seconds(60);
    assert!(refusal(served.join(&token.secret, "b", &other, north).await).1.contains("expired at"));

    let empty =
        served.house.send("POST", "/api/v1/sites", &served.cookie, Some(json!({ "name": "South" }))).await;
    let empty = empty.json()["id"].clone();
    let token = served.token(json!({ "site": empty, "uses": 5 })).await;
    assert!(refusal(served.join(&token.secret, "b", &other, north).await).1.contains("belongs to site “a”"));
    served.join(&token.secret, "b", &other, south).await.unwrap();
    let third = NodeKey::generate().unwrap();
    let west = SiteId::from_bytes([3; 16]);
    assert!(refusal(served.join(&token.secret, "c", &third, west).await).1.contains("use another database"));
    let sites = served.get("/api/v1/sites").await;
    assert_eq!(sites["items"][0]["id"], empty);
    assert_eq!(sites["items"][0]["servers"][0]["name"], "b");
}

#[tokio::test]
async fn only_the_holder_of_the_key_gets_a_tunnel() {
    let served = Served::new().await;
    let site = FakeSite::new(7, Vec::new());
    let (key, other) = (NodeKey::generate().unwrap(), NodeKey::generate().unwrap());
    let token = served.token(json!({})).await;
    let joined = served.join(&token.secret, "rec-1", &key, site.id).await.unwrap();
    for result in [
        served.serve(&joined, &other, Router::new()).await,
        served
            .serve(
                &Joined { server: playhead_model::ServerId::from_bytes([9; 16]), ..joined.clone() },
                &key,
                Router::new(),
            )
            .await,
    ] {
        assert!(matches!(result, Err(DialError::Refused { status, .. }) if status == 401));
    }
    let malformed = served.endpoint.connect().await.unwrap().upgrade(
        TUNNEL_CONNECT_PATH,
        TUNNEL_UPGRADE,
        Some("Bearer x"),
    );
    assert!(matches!(malformed.await, Err(DialError::Refused { status, .. }) if status == 401));
    let plain = served.endpoint.connect().await.unwrap().get(TUNNEL_CONNECT_PATH).await.unwrap();
    assert_eq!(plain.0, 401);
}

/// Tells when it is dropped.
struct Dropped(Arc<Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_stops_the_site() {
    let served = Served::new().await;
    let gone = Arc::new(Notify::new());
    let site = FakeSite::new(7, vec![recording(1, "host", 1)]);
    let guard = Arc::clone(&gone);
    let endless = get(move || {
        let guard = Dropped(Arc::clone(&guard));
        async move {
            Body::from_stream(futures_util::stream::unfold(guard, async |guard| {
                sleep(Duration::from_millis(1)).await;
                Some((Ok::<_, std::io::Error>(bytes::Bytes::from_static(&[7; 1024])), guard))
            }))
        }
    });
    let router = Router::new()
        .route("/site/v1/recordings/{id}/segments/{number}", endless)
        .fallback_service(site.router(&served.house.console.public_key()));
    let key = NodeKey::generate().unwrap();
    let token = served.token(json!({})).await;
    let joined = served.join(&token.secret, "rec-1", &key, site.id).await.unwrap();
    let _tunnel = served.serve(&joined, &key, router).await.unwrap();
    served.until_shown(1).await;

    let path = "/api/v1/recordings/00000000-0000-0000-0000-000000000001/segments/1";
    let request = Request::get(path).header(header::COOKIE, &served.cookie).body(Body::empty()).unwrap();
    let mut body = served.house.raw(request).await.into_body();
    for _ in 0..20 {
        body.frame().await.unwrap().unwrap();
    }
    assert!(timeout(Duration::from_millis(50), gone.notified()).await.is_err(), "nobody has gone away yet");
    drop(body);
    timeout(LONG, gone.notified()).await.expect("the site went on sending");
}

#[tokio::test]
async fn servers_of_a_site_take_turns_and_stand_in_for_each_other() {
    let served = Served::new().await;
    let id = SiteId::from_bytes([7; 16]);
    let token = served.token(json!({ "uses": 2 })).await;
    let mut tunnels = Vec::new();
    for number in 1..=2 {
        let key = NodeKey::generate().unwrap();
        let name = format!("rec-{number}");
        let joined = served.join(&token.secret, &name, &key, id).await.unwrap();
        let site = FakeSite { id, ..FakeSite::new(7, vec![recording(number, "host", 1)]) };
        tunnels.push(served.serve(&joined, &key, site.router(&joined.console_key)).await.unwrap());
    }
    let all_there = async {
        while served.house.console.core().sites.connected().len() < 2 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, all_there).await.unwrap();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..4 {
        seen.insert(served.until_shown(1).await["items"][0]["id"].to_string());
    }
    assert_eq!(seen.len(), 2, "both were asked");
    tunnels.pop().unwrap().abort();
    for _ in 0..20 {
        let page = served.get("/api/v1/recordings").await;
        assert_eq!(page["problems"], json!([]), "the other one stands in at once");
    }
    let sites = served.get("/api/v1/sites").await;
    assert_eq!(sites["items"].as_array().unwrap().len(), 1);
}
