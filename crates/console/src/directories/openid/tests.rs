//! The whole way to a provider and back through the console's API, with a provider that may lie.

use super::token::tests::Signer;
use crate::{
    Password,
    testing::{Answer, House},
};
use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use http::{HeaderMap, header};
use playhead_model::Role;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, task::JoinHandle};

type Change = Box<dyn Fn(&mut Value) + Send>;

/// What the provider does next.
struct Plan {
    signer: Signer,
    /// What is published; the signer's unless it is `None`.
    published: Vec<Value>,
    header: Value,
    claims: Value,
    userinfo: Value,
    /// What the discovery document is changed to.
    change: Change,
    /// The form that the token was asked for with, and who asked.
    asked: Option<(HashMap<String, String>, String)>,
    key_requests: u32,
}

struct Fake {
    issuer: String,
    plan: Arc<Mutex<Plan>>,
    serving: JoinHandle<()>,
}

#[derive(Clone)]
struct Serving {
    issuer: String,
    plan: Arc<Mutex<Plan>>,
}

impl Fake {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let signer = Signer::new("k1");
        let plan = Plan {
            published: vec![signer.key()],
            header: json!({ "alg": "ES256", "kid": "k1" }),
            signer,
            claims: json!({}),
            userinfo: json!({}),
            change: Box::new(|_| {}),
            asked: None,
            key_requests: 0,
        };
        let plan = Arc::new(Mutex::new(plan));
        let serving = Serving { issuer: issuer.clone(), plan: Arc::clone(&plan) };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .route(
                "/userinfo",
                get(async |State(serving): State<Serving>| {
                    Json(serving.plan.lock().unwrap().userinfo.clone())
                }),
            )
            .with_state(serving);
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { issuer, plan, serving }
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().unwrap()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn discovery(State(serving): State<Serving>) -> Json<Value> {
    let issuer = &serving.issuer;
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/auth?tenant=1"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "end_session_endpoint": format!("{issuer}/end"),
    });
    (serving.plan.lock().unwrap().change)(&mut document);
    Json(document)
}

async fn keys(State(serving): State<Serving>) -> Json<Value> {
    let mut plan = serving.plan.lock().unwrap();
    plan.key_requests += 1;
    Json(json!({ "keys": plan.published }))
}

async fn token(
    State(serving): State<Serving>,
    headers: HeaderMap,
    body: String,
) -> (http::StatusCode, Json<Value>) {
    let unescaped = body.replace("%3A", ":").replace("%2F", "/");
    let pairs = unescaped.split('&').filter_map(|pair| pair.split_once('='));
    let form: HashMap<String, String> =
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut plan = serving.plan.lock().unwrap();
    if form["code"] != "good" {
        return (http::StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" })));
    }
    let who = headers.get(header::AUTHORIZATION).map_or("", |value| value.to_str().unwrap());
    plan.asked = Some((form, who.to_owned()));
    let token = plan.signer.sign(&plan.header, &plan.claims);
    (http::StatusCode::OK, Json(json!({ "id_token": token, "access_token": "a", "token_type": "Bearer" })))
}

/// A console with the provider as its directory, and the directory's id.
async fn house(fake: &Fake) -> (House, String, String) {
    let house = House::new(Password::Kept).await;
    let admin = house.signed_in_as(Role::Full).await;
    let new = json!({
        "name": "Login",
        "openid": { "issuer": fake.issuer, "client_id": "play head" },
        "secret": "s:&crét",
    });
    let made = house.send("POST", "/api/v1/directories", &admin, Some(new)).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.json()["redirect_uri"], "https://console.example:8443/api/v1/sign-in/openid/callback");
    let id = made.json()["id"].as_str().unwrap().to_owned();
    (house, id, admin)
}

async fn give(house: &House, admin: &str, id: &str, kind: &str, subject: &str, role: &str) -> String {
    let new = json!({ "kind": kind, "subject": subject, "label": subject, "role": role });
    let given = house.send("POST", &format!("/api/v1/directories/{id}/roles"), admin, Some(new)).await;
    assert_eq!(given.status, 201, "{given:?}");
    given.json()["id"].as_str().unwrap().to_owned()
}

fn location(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{answer:?}");
    answer.headers[header::LOCATION].to_str().unwrap().to_owned()
}

/// A parameter of an address.
fn parameter(address: &str, name: &str) -> String {
    let (_, query) = address.split_once('?').unwrap();
    let value = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
    value.unwrap_or_else(|| panic!("no {name} in {address}")).to_owned()
}

/// Sets out to the provider: the cookie to keep, the state, and the nonce.
async fn set_out(house: &House, id: &str) -> (String, String, String) {
    let there = house.get(&format!("/api/v1/sign-in/openid/{id}?to=/sites"), "").await;
    let way = location(&there);
    assert!(way.contains("/auth?tenant=1&response_type=code&client_id=play%20head&"), "{way}");
    assert_eq!(parameter(&way, "code_challenge_method"), "S256");
    let set = there.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(set.contains("SameSite=Lax") && set.contains("HttpOnly"), "{set}");
    (there.cookie().unwrap(), parameter(&way, "state"), parameter(&way, "nonce"))
}

fn claims(house: &House, fake: &Fake, nonce: &str) -> Value {
    let now = house.clock.clock().now().as_micros() / 1_000_000;
    json!({
        "iss": fake.issuer, "aud": "play head", "sub": "1234", "nonce": nonce, "iat": now, "exp": now + 60,
        "preferred_username": "anna", "groups": ["staff", "admins"],
    })
}

/// Goes there and comes back with what `change` makes of the claims.
async fn there_and_back(house: &House, fake: &Fake, id: &str, change: impl Fn(&mut Value)) -> Answer {
    let (cookie, state, nonce) = set_out(house, id).await;
    let mut claims = claims(house, fake, &nonce);
    change(&mut claims);
    fake.plan().claims = claims;
    house.get(&format!("/api/v1/sign-in/openid/callback?code=good&state={state}"), &cookie).await
}

/// The session's cookie among those that an answer sets.
fn session(answer: &Answer) -> Option<String> {
    let all = answer.headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap());
    let set = all.filter_map(|text| text.split(';').next()).find(|pair| pair.starts_with("playhead="));
    set.filter(|pair| pair.len() > 20).map(str::to_owned)
}

#[tokio::test]
async fn who_holds_a_role_comes_in_and_leaves_with_it() {
    let fake = Fake::start().await;
    let (house, id, admin) = house(&fake).await;
    let methods = house.get("/api/v1/sign-in/methods", "").await.json();
    assert_eq!(methods["items"][0], json!({ "id": id, "name": "Login", "kind": "openid" }));

    let refused = there_and_back(&house, &fake, &id, |_| {}).await;
    assert_eq!(location(&refused), "/sign-in?problem=no-role&directory=Login&subject=1234");
    assert_eq!(session(&refused), None);
    let group = give(&house, &admin, &id, "group", "admins", "read-only").await;
    give(&house, &admin, &id, "user", "1234", "privileged-player").await;
    let entered = there_and_back(&house, &fake, &id, |_| {}).await;
    assert_eq!(location(&entered), "/sites");
    let cookie = session(&entered).unwrap();
    let me = house.get("/api/v1/me", &cookie).await.json();
    assert_eq!(
        (&me["user"], &me["role"], &me["local"]),
        (&json!("Login\\anna"), &json!("privileged-player"), &json!(false))
    );
    {
        let plan = fake.plan();
        let (form, who) = plan.asked.as_ref().unwrap();
        assert_eq!(form["redirect_uri"], "https://console.example:8443/api/v1/sign-in/openid/callback");
        assert_eq!(form["code_verifier"].len(), 43);
        use base64::Engine as _;
        let basic = base64::engine::general_purpose::STANDARD.encode("play%20head:s%3A%26cr%C3%A9t");
        assert_eq!(*who, format!("Basic {basic}"));
    }
    let password = json!({ "current": "", "new": "vier kleine Gänse" });
    let refused = house.send("POST", "/api/v1/me/password", &cookie, Some(password)).await;
    assert!(refused.status == 409 && refused.json()["detail"].as_str().unwrap().contains("change it there"));

    give(&house, &admin, &id, "user", "1234", "read-only").await;
    assert_eq!(house.get("/api/v1/me", &cookie).await.json()["role"], "read-only", "at once");
    let roles = house.get(&format!("/api/v1/directories/{id}/roles"), &admin).await.json();
    for role in roles["items"].as_array().unwrap() {
        let path = format!("/api/v1/directory-roles/{}", role["id"].as_str().unwrap());
        assert_eq!(house.send("DELETE", &path, &admin, None).await.status, 204);
    }
    assert_eq!(house.get("/api/v1/me", &cookie).await.status, 401, "no role, no session");
    let again = house.send("DELETE", &format!("/api/v1/directory-roles/{group}"), &admin, None).await;
    assert_eq!(again.status, 404);

    give(&house, &admin, &id, "group", "staff", "full").await;
    let cookie = session(&there_and_back(&house, &fake, &id, |_| {}).await).unwrap();
    let out = house.send("POST", "/api/v1/sign-out", &cookie, None).await;
    let next = out.json()["next"].as_str().unwrap().to_owned();
    assert!(next.starts_with(&format!(
        "{}/end?client_id=play%20head&post_logout_redirect_uri=https%3A%2F%2F",
        fake.issuer
    )));
    assert_eq!(house.get("/api/v1/me", &cookie).await.status, 401);
}

#[tokio::test]
async fn lies_are_not_believed() {
    let fake = Fake::start().await;
    let (house, id, admin) = house(&fake).await;
    give(&house, &admin, &id, "group", "admins", "full").await;
    let lies: [(&str, Value); 8] = [
        ("iss", json!("http://127.0.0.1:1")),
        ("aud", json!("somebody else")),
        ("aud", json!(["play head", "somebody else"])),
        ("nonce", json!("another")),
        ("exp", json!(1_700_000_000)),
        ("nbf", json!(9_000_000_000_i64)),
        ("sub", Value::Null),
        ("preferred_username", json!("a\nb")),
    ];
    for (name, value) in lies {
        let back = there_and_back(&house, &fake, &id, |claims| claims[name] = value.clone()).await;
        assert_eq!(location(&back), "/sign-in?problem=provider&directory=Login", "{name} {value}");
        assert_eq!(session(&back), None);
    }
    fake.plan().header = json!({ "alg": "none" });
    assert!(location(&there_and_back(&house, &fake, &id, |_| {}).await).contains("problem=provider"));
    fake.plan().header = json!({ "alg": "ES256", "kid": "k1" });
    fake.plan().signer = Signer::new("k1");
    assert!(
        location(&there_and_back(&house, &fake, &id, |_| {}).await).contains("problem=provider"),
        "another's key"
    );

    let callback = "/api/v1/sign-in/openid/callback";
    let (cookie, state, _) = set_out(&house, &id).await;
    let ends =
        async |query: &str, cookie: &str| location(&house.get(&format!("{callback}?{query}"), cookie).await);
    assert!(
        ends(&format!("code=good&state={state}"), "").await.contains("problem=expired"),
        "another browser"
    );
    assert!(ends("code=good&state=x", &cookie).await.contains("problem=expired"));
    assert!(ends("code=good", &cookie).await.contains("problem=expired"));
    assert!(ends(&format!("error=access_denied&state={state}"), &cookie).await.contains("problem=denied"));
    assert!(ends(&format!("code=bad&state={state}"), &cookie).await.contains("problem=provider"));
    let mixed = ends(&format!("code=good&state={state}&iss=https%3A%2F%2Fevil"), &cookie).await;
    assert!(mixed.contains("problem=provider"), "the answer of another provider");
    assert!(
        ends(&format!("code=good&state={state}"), "playhead-openid=AAAA").await.contains("problem=expired")
    );
    house.clock.advance_seconds(601);
    assert!(ends(&format!("code=good&state={state}"), &cookie).await.contains("problem=expired"), "too late");
    let closed = house.get("/api/v1/sign-in/openid/00000000-0000-0000-0000-000000000000", "").await;
    assert_eq!(location(&closed), "/sign-in?problem=closed");
}

#[tokio::test]
async fn keys_may_change_and_groups_may_stand_elsewhere() {
    let fake = Fake::start().await;
    let (house, id, admin) = house(&fake).await;
    give(&house, &admin, &id, "group", "admins", "full").await;
    let enters = async |change: &dyn Fn(&mut Value)| {
        session(&there_and_back(&house, &fake, &id, change).await).is_some()
    };
    assert!(enters(&|_| {}).await);
    {
        let mut plan = fake.plan();
        plan.signer = Signer::new("k2");
        plan.published = vec![plan.signer.key()];
        plan.header = json!({ "alg": "ES256", "kid": "k2" });
    }
    house.clock.advance_seconds(11);
    assert!(enters(&|_| {}).await, "keys that are not known are asked for");
    let before = fake.plan().key_requests;
    fake.plan().header = json!({ "alg": "ES256", "kid": "made up" });
    for _ in 0..5 {
        assert!(!enters(&|_| {}).await);
    }
    assert_eq!(fake.plan().key_requests, before, "but not again and again");
    fake.plan().header = json!({ "alg": "ES256", "kid": "k2" });

    let bare = |claims: &mut Value| {
        claims.as_object_mut().unwrap().remove("groups");
    };
    fake.plan().userinfo = json!({ "sub": "1234", "groups": ["admins"] });
    assert!(enters(&bare).await, "groups that are not in the token are asked for");
    fake.plan().userinfo = json!({ "sub": "another", "groups": ["admins"] });
    assert!(!enters(&bare).await, "somebody else's do not count");

    let change = json!({ "version": 1, "openid": { "issuer": fake.issuer, "client_id": "play head", "groups_claim": "realm.roles" } });
    let changed = house.send("PATCH", &format!("/api/v1/directories/{id}"), &admin, Some(change)).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert!(enters(&|claims| claims["realm"] = json!({ "roles": "admins" })).await);

    // Groups of several claims count together, wherever each of them stands.
    let change = json!({ "version": 2, "openid": { "issuer": fake.issuer, "client_id": "play head", "groups_claim": "realm.roles, https://x/groups" } });
    let changed = house.send("PATCH", &format!("/api/v1/directories/{id}"), &admin, Some(change)).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    fake.plan().userinfo = json!({ "sub": "1234", "https://x/groups": ["admins"] });
    assert!(enters(&|claims| claims["realm"] = json!({ "roles": ["others"] })).await);
    fake.plan().userinfo = json!({ "sub": "1234" });
    assert!(!enters(&|claims| claims["realm"] = json!({ "roles": ["others"] })).await);
    assert!(enters(&|claims| claims["https://x/groups"] = json!(["admins"])).await);

    // After the time that is set, people have to come by again.
    let entered =
        there_and_back(&house, &fake, &id, |claims| claims["realm"] = json!({ "roles": ["admins"] })).await;
    let cookie = session(&entered).unwrap();
    for _ in 0..8 {
        house.clock.advance_seconds(3600);
        assert_eq!(house.get("/api/v1/me", &cookie).await.status, 200);
    }
    house.clock.advance_seconds(1);
    crate::directories::check::round(house.console.core()).await.unwrap();
    assert_eq!(house.get("/api/v1/me", &cookie).await.status, 401);
}

#[tokio::test]
async fn who_leaves_the_provider_leaves_the_console_when_it_says_so() {
    let fake = Fake::start().await;
    let (house, id, admin) = house(&fake).await;
    give(&house, &admin, &id, "group", "admins", "full").await;
    let enter = async || session(&there_and_back(&house, &fake, &id, |_| {}).await).unwrap();
    let path = format!("/api/v1/sign-in/openid/{id}/back-channel-logout");
    let tell = async |path: &str, body: String| {
        let request = http::Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ORIGIN, "https://elsewhere.example");
        let answer = house.raw(request.body(body.into()).unwrap()).await;
        Answer::read(answer).await
    };
    let now = || house.clock.clock().now().as_micros() / 1_000_000;
    let token = |change: &dyn Fn(&mut Value)| {
        let mut claims = json!({
            "iss": fake.issuer, "aud": "play head", "sub": "1234", "iat": now(), "exp": now() + 120, "jti": "j", "sid": "s",
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        });
        change(&mut claims);
        let plan = fake.plan();
        format!("logout_token={}", plan.signer.sign(&plan.header, &claims))
    };
    let (one, two) = (enter().await, enter().await);
    let local = admin.clone();
    house.clock.advance_seconds(5);
    let me = async |cookie: &str| house.get("/api/v1/me", cookie).await.status;
    for (body, word) in [
        (token(&|claims| claims["nonce"] = json!("n")), "the nonce"),
        (token(&|claims| claims["events"] = json!({})), "the events"),
        (token(&|claims| claims["aud"] = json!("other")), "the audience"),
        (token(&|claims| claims["exp"] = json!(now() - 61)), "the expiry"),
        ("logout_token=a.b.c".into(), "not believed"),
        (token(&|_| {}).replace("logout_token", "token"), "no form with what is needed"),
        (token(&|_| {}) + "x", "not believed"),
        (format!("logout_token={}", "a".repeat(61 << 10)), "at most 60 KiB"),
    ] {
        let refused = tell(&path, body).await;
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(refused.status == 400 && detail.contains(word), "{word}: {refused:?}");
    }
    let body = token(&|_| {});
    let elsewhere = tell(&path.replace(&id, "00000000-0000-0000-0000-000000000000"), body.clone()).await;
    assert_eq!(elsewhere.status, 404);
    assert_eq!(
        tell(&path, token(&|claims| claims["sub"] = json!("5678"))).await.status,
        200,
        "nobody of ours"
    );
    assert_eq!((me(&one).await, me(&two).await), (200, 200));
    assert_eq!(house.send("POST", &path, "", Some(json!({ "logout_token": "x" }))).await.status, 400);

    let told = tell(&path, body.clone()).await;
    assert_eq!((told.status, told.headers[header::CACHE_CONTROL].to_str().unwrap()), (200, "no-store"));
    assert_eq!((me(&one).await, me(&two).await, me(&local).await), (401, 401, 200));
    // Once more, after the person has come in again.
    house.clock.advance_seconds(62);
    let again = enter().await;
    assert_eq!(tell(&path, body).await.status, 200);
    assert_eq!(me(&again).await, 200, "opened after that farewell");
}

#[tokio::test]
async fn a_provider_that_is_another_or_away_is_said_to_be() {
    let fake = Fake::start().await;
    let (house, id, admin) = house(&fake).await;
    let test = async |issuer: &str| {
        let trial = json!({ "openid": { "issuer": issuer, "client_id": "x" } });
        let tried = house.send("POST", "/api/v1/directories/test", &admin, Some(trial)).await;
        assert_eq!(tried.status, 200, "{tried:?}");
        tried.json()
    };
    let good = test(&fake.issuer).await;
    assert_eq!((&good["works"], &good["steps"][1]["name"]), (&json!(true), &json!("keys")), "{good}");
    let slash = test(&format!("{}/", fake.issuer)).await;
    assert!(
        slash["works"] == false && slash["steps"][0]["detail"].as_str().unwrap().contains("to the letter"),
        "{slash}"
    );
    assert_eq!(slash["steps"][1]["verdict"], "skipped");
    fake.plan().change = Box::new(|document| document["token_endpoint"] = json!("http://evil.example/token"));
    assert!(test(&fake.issuer).await["steps"][0]["detail"].as_str().unwrap().contains("plain HTTP"));
    fake.plan().change = Box::new(|document| document["jwks_uri"] = json!(5));
    assert_eq!(test(&fake.issuer).await["works"], false);
    let away = test("http://127.0.0.1:1").await;
    assert!(away["steps"][0]["detail"].as_str().unwrap().contains("cannot connect"), "{away}");
    let refused = house.get(&format!("/api/v1/sign-in/openid/{id}"), "").await;
    assert_eq!(location(&refused), "/sign-in?problem=provider&directory=Login");
}
