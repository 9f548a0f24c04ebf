use super::ENDPOINTS;
use crate::{Server, Settings};
use axum::{Router, body::Body};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use playhead_model::{Role, Scope, Statement};
use playhead_net::NodeKey;
use playhead_protocol::STATEMENT_HEADER;
use serde_json::Value;
use tower::ServiceExt as _;

/// A statement that expires in `seconds`, signed.
fn sign(key: &NodeKey, role: Role, seconds: i64) -> String {
    let expires_at = crate::clock::now().plus_micros(seconds * 1_000_000);
    let statement = Statement { user: "u".into(), role, permissions: None, scope: Scope::All, expires_at };
    let json = serde_json::to_vec(&statement).unwrap();
    format!("{}.{}", URL_SAFE_NO_PAD.encode(&json), URL_SAFE_NO_PAD.encode(key.sign(&json)))
}

async fn ask(router: &Router, method: &str, path: &str, statement: Option<&str>) -> (StatusCode, Value) {
    let mut request = Request::builder().method(method.to_uppercase().as_str()).uri(path);
    if let Some(statement) = statement {
        request = request.header(STATEMENT_HEADER, statement);
    }
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn every_endpoint_refuses_whoever_may_not_use_it() {
    let folder = tempfile::tempdir().unwrap();
    let (key, stranger) = (NodeKey::generate().unwrap(), NodeKey::generate().unwrap());
    let server = Server::start(Settings::new(folder.path())).await.unwrap();
    server.trust_console(&key.public());
    let router = server.router();
    let good = sign(&key, Role::Full, 60);
    let (json, signature) = good.split_once('.').unwrap();
    // The same signature under a statement that says more.
    let forged = String::from_utf8(URL_SAFE_NO_PAD.decode(json).unwrap()).unwrap().replace("\"u\"", "\"v\"");
    let forged = format!("{}.{signature}", URL_SAFE_NO_PAD.encode(forged));

    assert!(ENDPOINTS.len() > 10);
    for endpoint in ENDPOINTS {
        let path = endpoint
            .path
            .replace("{id}", "00000000-0000-0000-0000-000000000001")
            .replace("{number}", "0")
            .replace("{location}", "default");
        let what = format!("{} {path}", endpoint.method);
        let (status, _) = ask(&router, endpoint.method, &path, None).await;
        let Some(permission) = endpoint.permission else {
            assert_eq!(status, StatusCode::OK, "{what}");
            continue;
        };
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{what}");
        for (why, statement) in [
            ("nonsense", "x.y"),
            ("empty", ""),
            ("forged", &forged),
            ("expired", &sign(&key, Role::Full, -1)),
            ("good for too long", &sign(&key, Role::Full, 86_400)),
            ("signed by a stranger", &sign(&stranger, Role::Full, 60)),
        ] {
            let (status, problem) = ask(&router, endpoint.method, &path, Some(statement)).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{what}: {why}");
            assert_eq!(problem["status"], 401, "{what}: {why}");
        }
        for role in [Role::Full, Role::PrivilegedPlayer, Role::ReadOnly] {
            let (status, problem) = ask(&router, endpoint.method, &path, Some(&sign(&key, role, 60))).await;
            if role.allows(permission) {
                assert!(
                    status != StatusCode::UNAUTHORIZED && status != StatusCode::FORBIDDEN,
                    "{what} as {role}: {problem}"
                );
            } else {
                assert_eq!(status, StatusCode::FORBIDDEN, "{what} as {role}");
            }
        }
    }
    server.shutdown().await;
}

#[tokio::test]
async fn whoever_may_play_nothing_finds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let key = NodeKey::generate().unwrap();
    let settings = Settings { console_keys: vec![key.public()], ..Settings::new(folder.path()) };
    let server = Server::start(settings).await.unwrap();
    let statement = Statement {
        user: "u".into(),
        role: Role::Full,
        permissions: None,
        scope: Scope::Nothing,
        expires_at: crate::clock::now().plus_micros(60_000_000),
    };
    let json = serde_json::to_vec(&statement).unwrap();
    let statement = format!("{}.{}", URL_SAFE_NO_PAD.encode(&json), URL_SAFE_NO_PAD.encode(key.sign(&json)));
    let (status, list) = ask(&server.router(), "get", "/site/v1/recordings", Some(&statement)).await;
    assert_eq!(
        (status, &list["items"], &list["total"]["value"]),
        (StatusCode::OK, &Value::Array(vec![]), &0.into())
    );
    server.shutdown().await;
}

#[tokio::test]
async fn a_join_token_is_listed_until_it_is_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let key = NodeKey::generate().unwrap();
    let settings = Settings { console_keys: vec![key.public()], ..Settings::new(folder.path()) };
    let server = Server::start(settings).await.unwrap();
    let (router, statement) = (server.router(), sign(&key, Role::Full, 60));
    server.make_join_token(60, 2).await.unwrap();
    let (status, list) = ask(&router, "get", "/site/v1/join-tokens", Some(&statement)).await;
    assert_eq!((status, &list["items"][0]["uses_left"]), (StatusCode::OK, &2.into()));
    let path = format!("/site/v1/join-tokens/{}", list["items"][0]["id"].as_str().unwrap());
    assert_eq!(ask(&router, "delete", &path, Some(&statement)).await.0, StatusCode::OK);
    assert_eq!(ask(&router, "delete", &path, Some(&statement)).await.0, StatusCode::NOT_FOUND);
    let (_, list) = ask(&router, "get", "/site/v1/join-tokens", Some(&statement)).await;
    assert_eq!(list["items"], Value::Array(vec![]));
    server.shutdown().await;
}
