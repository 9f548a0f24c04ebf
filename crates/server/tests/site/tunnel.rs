//! The server's side of the tunnel, against a console of a few lines.

use super::{
    agent::PATIENCE,
    house::{House, json, sign, statement},
};
use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    response::IntoResponse as _,
    routing::{get, post},
};
use http::{StatusCode, header};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::TokioExecutor;
use playhead_model::{Role, ServerId};
use playhead_net::{Challenges, Listener, NodeKey};
use playhead_protocol::{
    CHALLENGE_PATH, STATEMENT_HEADER, TUNNEL_CONNECT_PATH, TUNNEL_JOIN_PATH, TUNNEL_UPGRADE,
    join::{Join, JoinKind, JoinToken, Joined},
    login::{Challenge, Proof},
};
use std::sync::{Arc, Mutex};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

const SERVER: ServerId = ServerId::from_bytes([5; 16]);

struct Console {
    key: NodeKey,
    challenges: Challenges,
    joined: Mutex<Vec<Join>>,
    tunnels: mpsc::Sender<SendRequest<Body>>,
}

async fn connect(State(console): State<Arc<Console>>, mut request: Request) -> axum::response::Response {
    let proof: Proof = request.headers()[header::AUTHORIZATION].to_str().unwrap().parse().unwrap();
    let public = console.joined.lock().unwrap()[0].public_key.clone();
    if proof.id != SERVER.to_string() || !console.challenges.check(&proof, "tunnel", &public, 0) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let stream = upgrade.await.unwrap();
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        console.tunnels.send(sender).await.unwrap();
        let _ = connection.await;
    });
    (StatusCode::SWITCHING_PROTOCOLS, [("connection", "upgrade"), ("upgrade", TUNNEL_UPGRADE)])
        .into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_joins_once_and_dials_again_when_the_tunnel_breaks() {
    let (tunnels, mut opened) = mpsc::channel(4);
    let console = Arc::new(Console {
        key: NodeKey::generate().unwrap(),
        challenges: Challenges::new().unwrap(),
        joined: Mutex::default(),
        tunnels,
    });
    let router = Router::new()
        .route(
            CHALLENGE_PATH,
            post(async |State(console): State<Arc<Console>>| {
                Json(Challenge { challenge: console.challenges.issue(0).unwrap() })
            }),
        )
        .route(
            TUNNEL_JOIN_PATH,
            post(async |State(console): State<Arc<Console>>, Json(join): Json<Join>| {
                if join.secret != "secret" {
                    let problem = serde_json::json!({ "detail": "this token is not known" });
                    return (StatusCode::UNAUTHORIZED, Json(problem)).into_response();
                }
                console.joined.lock().unwrap().push(join);
                Json(Joined { server: SERVER, console_key: console.key.public() }).into_response()
            }),
        )
        .route(TUNNEL_CONNECT_PATH, get(connect))
        .with_state(Arc::clone(&console));
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), None).await.unwrap();
    let url = format!("http://{}", listener.address());
    let stop = CancellationToken::new();
    tokio::spawn(listener.serve(router, stop.clone()));

    let token =
        |kind, secret: &str| JoinToken { kind, url: url.clone(), authority: None, secret: secret.into() };
    for (kind, secret, text) in
        [(JoinKind::Server, "wrong", "this token is not known"), (JoinKind::Agent, "secret", "kind 'server'")]
    {
        let folder = tempfile::tempdir().unwrap();
        let settings = playhead_server::Settings {
            console: Some(token(kind, secret)),
            ..playhead_server::Settings::new(folder.path())
        };
        let error = playhead_server::Server::start(settings).await.err().unwrap();
        assert!(error.to_string().contains(text), "{error}");
    }

    let mut house = House::with(|settings| {
        settings.console = Some(token(JoinKind::Server, "secret"));
        settings.console_keys.clear();
    })
    .await;
    assert_eq!(console.joined.lock().unwrap()[0].site, house.server().site());
    let ask = async |sender: &mut SendRequest<Body>| {
        let request = http::Request::get("http://site/site/v1/recordings")
            .header(STATEMENT_HEADER, sign(&console.key, &statement(Role::Full, 60)))
            .body(Body::empty())
            .unwrap();
        let response = timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        json(response.map(Body::new)).await
    };
    let mut first = timeout(PATIENCE, opened.recv()).await.unwrap().unwrap();
    assert_eq!(ask(&mut first).await["total"]["value"], 0);
    // Breaking it off makes the server dial again.
    drop(first);
    let mut second = timeout(PATIENCE, opened.recv()).await.unwrap().unwrap();
    ask(&mut second).await;
    drop(second);
    // With the token of the first start still among the arguments.
    house.restart().await;
    let mut third = timeout(PATIENCE, opened.recv()).await.unwrap().unwrap();
    ask(&mut third).await;
    assert_eq!(console.joined.lock().unwrap().len(), 1);
    house.stop().await;
    stop.cancel();
}
