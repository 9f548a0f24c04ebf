use crate::{
    Password,
    testing::{Answer, FakeSite, House},
};
use axum::body::Body;
use http::{Request, header};
use playhead_model::Role;
use serde_json::{Value, json};

/// Gets a token, or what is said instead.
async fn token(house: &House, customer: &str, form: &str) -> Answer {
    let request = Request::post(format!("/cctrustoauth2/{customer}/tokens/clients"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    Answer::read(house.raw(request.body(Body::from(form.to_owned())).unwrap()).await).await
}

fn form(made: &Value) -> String {
    let (id, secret) = (made["client"]["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    format!("grant_type=client_credentials&client_id={id}&client_secret={secret}")
}

async fn make(house: &House, cookie: &str, name: &str, permissions: &[&str]) -> Value {
    let body = json!({ "name": name, "permissions": permissions, "valid_days": 2 });
    let made = house.send("POST", "/api/v1/api-clients", cookie, Some(body)).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.json()
}

async fn with_token(house: &House, method: &str, path: &str, token: &str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, format!("Bearer {token}"));
    Answer::read(house.raw(request.body(Body::from("{}")).unwrap()).await).await
}

#[tokio::test]
async fn a_client_gets_tokens_until_it_is_revoked_and_its_tokens_go_with_it() {
    let house = House::new(Password::Kept).await;
    let cookie = house.signed_in_as(Role::Full).await;
    house.attach("North", &FakeSite::new(1, Vec::new())).await;
    let made = make(&house, &cookie, "nightly", &["list-recordings", "view-sites"]).await;
    let customer = made["customer_id"].as_str().unwrap();
    assert_eq!(customer.len(), 12);
    assert_eq!(made["sites"][0]["name"], "North");
    assert!(made["token_url"].as_str().unwrap().starts_with("https://console.example:8443/cctrustoauth2/"));

    let given = token(&house, customer, &form(&made)).await;
    assert_eq!((given.status, &given.json()["expires_in"]), (200, &json!("3600")), "{given:?}");
    let word = given.json()["access_token"].as_str().unwrap().to_owned();
    let status = async |method: &str, path: &str| with_token(&house, method, path, &word).await.status;
    assert_eq!(status("GET", "/api/v1/recordings").await, 200);
    assert_eq!(status("GET", "/api/v1/session-hosts").await, 200);
    let beyond = with_token(&house, "GET", "/api/v1/api-clients", &word).await;
    assert!(beyond.json()["detail"].as_str().unwrap().contains("API client"), "{beyond:?}");
    assert_eq!(status("POST", "/api/v1/sites").await, 403);
    assert_eq!(status("GET", "/api/v1/me").await, 403, "that is for people");

    let list = house.get("/api/v1/api-clients", &cookie).await.json();
    assert_eq!((&list["items"][0]["name"], &list["customer_id"]), (&json!("nightly"), &json!(customer)));
    assert!(list["items"][0]["last_used_at"].is_string() && list["items"][0]["expired"] == false);
    assert!(!list.to_string().contains(made["secret"].as_str().unwrap()));

    let path = format!("/api/v1/api-clients/{}", made["client"]["id"].as_str().unwrap());
    assert_eq!(house.send("DELETE", &path, &cookie, None).await.status, 204);
    assert_eq!(status("GET", "/api/v1/recordings").await, 401);
    assert_eq!(token(&house, customer, &form(&made)).await.status, 401);
    assert_eq!(house.send("DELETE", &path, &cookie, None).await.problem(), "not-found");
}

#[tokio::test]
async fn tokens_and_clients_expire() {
    let house = House::new(Password::Kept).await;
    let cookie = house.signed_in_as(Role::Full).await;
    let made = make(&house, &cookie, "c", &["view-sites"]).await;
    let get = async || {
        let answer = token(&house, "root", &form(&made)).await;
        answer.json()["access_token"].as_str().map(str::to_owned)
    };
    let early = get().await.unwrap();
    house.clock.advance_seconds(3_599);
    assert_eq!(with_token(&house, "GET", "/api/v1/sites", &early).await.status, 200);
    house.clock.advance_seconds(1);
    assert_eq!(with_token(&house, "GET", "/api/v1/sites", &early).await.status, 401);
    house.clock.advance_seconds(2 * 86_400 - 3_600 - 60);
    let late = get().await.unwrap();
    house.clock.advance_seconds(60);
    assert_eq!(
        with_token(&house, "GET", "/api/v1/sites", &late).await.status,
        401,
        "no longer than the client"
    );
    let refused = token(&house, "root", &form(&made)).await;
    assert!(refused.json()["error_description"].as_str().unwrap().contains("was good until"), "{refused:?}");
    let again = house.signed_in_as(Role::ReadOnly).await;
    assert_eq!(house.get("/api/v1/api-clients", &again).await.status, 403);
    let core = house.console.core();
    assert_eq!(core.store.remove_expired_api_tokens(house.clock.clock().now()).await.unwrap(), 1);
}

#[tokio::test]
async fn guessing_secrets_is_slowed_down_and_forms_are_checked() {
    let house = House::new(Password::Kept).await;
    let cookie = house.signed_in_as(Role::Full).await;
    let made = make(&house, &cookie, "c", &["view-sites"]).await;
    let right = form(&made);
    let error = async |customer: &str, form: &str| {
        let answer = token(&house, customer, form).await;
        (answer.status, answer.json()["error"].as_str().unwrap_or("").to_owned())
    };
    let of = |status: u16, error: &str| (status, error.to_owned());
    assert_eq!(error("another", &right).await, of(401, "invalid_client"));
    assert_eq!(error("root", "").await, of(400, "unsupported_grant_type"));
    assert_eq!(error("root", "grant_type=password").await, of(400, "unsupported_grant_type"));
    assert_eq!(error("root", "grant_type=client_credentials&client_id=x").await, of(400, "invalid_request"));
    assert_eq!(error("root", "client_id=\u{1}").await, of(400, "invalid_request"));
    assert_eq!(error("root", &"x".repeat(5_000)).await, of(400, "invalid_request"));
    let json =
        Request::post("/cctrustoauth2/root/tokens/clients").header(header::CONTENT_TYPE, "application/json");
    assert_eq!(house.raw(json.body(Body::from("{}")).unwrap()).await.status(), 400);
    let get = Request::get(format!("/cctrustoauth2/root/tokens/clients?{right}"));
    assert_eq!(
        house.raw(get.body(Body::empty()).unwrap()).await.status(),
        405,
        "secrets are no part of addresses"
    );

    let wrong = format!("{right}x");
    for _ in 0..5 {
        assert_eq!(error("root", &wrong).await, of(401, "invalid_client"));
    }
    let held_up = token(&house, "root", &right).await;
    assert_eq!((held_up.status, held_up.headers[header::RETRY_AFTER].to_str().unwrap()), (429, "1"));
    house.clock.advance_seconds(1);
    assert_eq!(token(&house, "root", &right).await.status, 200);
}

#[tokio::test]
async fn clients_are_made_with_care() {
    let house = House::new(Password::Kept).await;
    let cookie = house.signed_in_as(Role::Full).await;
    let send = async |body: Value| house.send("POST", "/api/v1/api-clients", &cookie, Some(body)).await;
    let good = json!({ "name": "c", "permissions": ["view-sites"] });
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    for (name, value) in [
        ("name", json!("")),
        ("name", json!("x".repeat(101))),
        ("name", json!("two\nlines")),
        ("permissions", json!([])),
        ("permissions", json!(["fly"])),
        ("valid_days", json!(0)),
        ("valid_days", json!(3_651)),
        ("secret", json!("mine")),
    ] {
        assert_eq!(send(with(name, value.clone())).await.status, 400, "{name}: {value}");
    }
    assert_eq!(send(good.clone()).await.status, 201);
    assert_eq!(send(with("name", json!(" C "))).await.problem(), "conflict");

    // A client that may make clients gives no more than it holds.
    let maker = make(&house, &cookie, "maker", &["manage-api-clients", "view-sites"]).await;
    let given = token(&house, "root", &form(&maker)).await;
    let word = given.json()["access_token"].as_str().unwrap().to_owned();
    let make = async |permission: &str| {
        let body = json!({ "name": permission, "permissions": [permission] }).to_string();
        let request = Request::post("/api/v1/api-clients")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {word}"));
        house.raw(request.body(Body::from(body)).unwrap()).await.status().as_u16()
    };
    assert_eq!(make("view-sites").await, 201);
    assert_eq!(make("manage-sites").await, 403);
}

#[tokio::test]
async fn the_database_knows_neither_secret_nor_token() {
    let house = House::new(Password::Kept).await;
    let cookie = house.signed_in_as(Role::Full).await;
    let made = make(&house, &cookie, "c", &["view-sites"]).await;
    let given = token(&house, "root", &form(&made)).await.json();
    let words =
        [made["secret"].as_str().unwrap().to_owned(), given["access_token"].as_str().unwrap().to_owned()];
    let folder = house.folder;
    house.console.shutdown().await;
    for file in std::fs::read_dir(folder.path().join("console")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for word in &words {
            assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()));
        }
    }
}

#[test]
fn tokens_are_taken_in_the_ways_that_callers_send_them() {
    let read = |values: &[&str]| {
        let mut headers = http::HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        super::bearer(&headers).map(str::to_owned)
    };
    for good in [
        "CWSAuth bearer=abc",
        "CWSAuth Bearer=abc",
        "CwsAuth bearer=abc",
        "cwsauth BEARER=abc",
        "Bearer abc",
        "bearer  abc ",
    ] {
        assert_eq!(read(&[good]).as_deref(), Some("abc"), "{good}");
    }
    for bad in ["", "abc", "CWSAuth abc", "CWSAuth token=abc", "CWSAuth bearer=", "Bearer ", "Basic abc"] {
        assert_eq!(read(&[bad]), None, "{bad}");
    }
    assert_eq!(read(&["Bearer a", "Bearer b"]), None, "which?");
}
