//! The API as its callers see it.

use super::{Access, ENDPOINTS, openapi};
use crate::{
    Password,
    testing::{FakeSite, House, PASSWORD, recording},
};
use axum::body::Body;
use http::{Request, header};
use http_body_util::BodyExt as _;
use playhead_model::{Permission, Role};
use serde_json::{Value, json};

#[tokio::test]
async fn the_first_password_must_be_changed_and_then_works() {
    let house = House::new(Password::Told).await;
    let first = house.console.first_sign_in().unwrap().clone();
    let signed_in = house.sign_in("Admin", &first.password).await;
    assert_eq!(signed_in.status, 200);
    assert_eq!(signed_in.json()["must_change_password"], true);
    let cookie = signed_in.cookie().unwrap();
    assert_eq!(house.get("/api/v1/me", &cookie).await.json()["user"], "admin");
    let refused = house.get("/api/v1/recordings", &cookie).await;
    assert_eq!((refused.status, refused.problem().as_str()), (403, "password-change-required"));

    let change = async |current: &str, new: &str| {
        let body = json!({ "current": current, "new": new });
        house.send("POST", "/api/v1/me/password", &cookie, Some(body)).await
    };
    assert_eq!(change("wrong", PASSWORD).await.problem(), "weak-password");
    assert!(change(&first.password, "short").await.json()["detail"].as_str().unwrap().contains("12"));
    assert_eq!(change(&first.password, &first.password).await.status, 400);
    let changed = change(&first.password, PASSWORD).await;
    assert_eq!(changed.status, 204);
    assert_eq!(house.get("/api/v1/me", &cookie).await.status, 401, "the old session has ended");
    assert_eq!(house.get("/api/v1/recordings", &changed.cookie().unwrap()).await.status, 200);
    assert_eq!(house.sign_in("admin", &first.password).await.status, 401);
    assert_eq!(house.sign_in("admin", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a_kept_password_is_told_at_every_start_until_it_is_changed() {
    let house = House::new(Password::Kept).await;
    let first = house.console.first_sign_in().unwrap().clone();
    let signed_in = house.sign_in(&first.user, &first.password).await;
    assert_eq!(signed_in.json()["must_change_password"], false);
    let folder = house.folder;
    house.console.shutdown().await;

    let house = House::in_folder(folder, Password::Kept).await;
    assert_eq!(house.console.first_sign_in(), Some(&first));
    let cookie = house.sign_in(&first.user, &first.password).await.cookie().unwrap();
    let body = json!({ "current": first.password, "new": PASSWORD });
    assert_eq!(house.send("POST", "/api/v1/me/password", &cookie, Some(body)).await.status, 204);
    let folder = house.folder;
    house.console.shutdown().await;

    let file = folder.path().join("console/admin-password");
    assert!(file.exists());
    let house = House::in_folder(folder, Password::Kept).await;
    assert_eq!(house.console.first_sign_in(), None);
    assert!(!file.exists());
}

#[tokio::test]
async fn a_filed_password_must_be_changed_and_then_goes() {
    let house = House::new(Password::Filed).await;
    let first = house.console.first_sign_in().unwrap().clone();
    let file = first.file.clone().unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), first.password);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let signed_in = house.sign_in(&first.user, &first.password).await;
    assert_eq!(signed_in.json()["must_change_password"], true);
    let body = json!({ "current": first.password, "new": PASSWORD });
    house.send("POST", "/api/v1/me/password", &signed_in.cookie().unwrap(), Some(body)).await;
    let folder = house.folder;
    house.console.shutdown().await;
    let house = House::in_folder(folder, Password::Filed).await;
    assert!(house.console.first_sign_in().is_none() && !file.exists());
}

#[tokio::test]
async fn guessing_is_slowed_down_and_says_for_how_long() {
    let house = House::new(Password::Kept).await;
    for _ in 0..5 {
        assert_eq!(house.sign_in("admin", "wrong").await.problem(), "wrong-password");
    }
    let right = house.console.first_sign_in().unwrap().password.clone();
    let refused = house.sign_in("admin", &right).await;
    assert_eq!((refused.status, refused.headers[header::RETRY_AFTER].to_str().unwrap()), (429, "1"));
    assert_eq!(house.sign_in("nobody", "wrong").await.status, 401, "another name is not held up");
    house.clock.advance_seconds(1);
    assert_eq!(house.sign_in("admin", &right).await.status, 200);
}

#[tokio::test]
async fn a_session_ends_by_idleness_by_age_and_by_signing_out() {
    let house = House::new(Password::Kept).await;
    let first = house.console.first_sign_in().unwrap().clone();
    let sign_in = async || house.sign_in(&first.user, &first.password).await.cookie().unwrap();
    let status = async |cookie: &str| house.get("/api/v1/me", cookie).await.status;

    let idle = sign_in().await;
    house.clock.advance_seconds(8 * 3600 - 1);
    assert_eq!(status(&idle).await, 200, "used just in time");
    house.clock.advance_seconds(8 * 3600);
    assert_eq!(status(&idle).await, 401);

    let old = sign_in().await;
    for _ in 0..23 {
        house.clock.advance_seconds(3600);
        assert_eq!(status(&old).await, 200);
    }
    house.clock.advance_seconds(3600);
    assert_eq!(status(&old).await, 401, "24 hours are the end, however busy");

    let left = sign_in().await;
    let signed_out = house.send("POST", "/api/v1/sign-out", &left, None).await;
    assert_eq!(signed_out.status, 204);
    assert_eq!(signed_out.cookie().unwrap(), "playhead=");
    assert_eq!(status(&left).await, 401);
}

#[tokio::test]
async fn the_database_knows_no_token() {
    let house = House::new(Password::Kept).await;
    let first = house.console.first_sign_in().unwrap().clone();
    let cookie = house.sign_in(&first.user, &first.password).await.cookie().unwrap();
    let token = cookie.split_once('=').unwrap().1.to_owned();
    assert_eq!(token.len(), 43);
    let folder = house.folder;
    house.console.shutdown().await;
    for file in std::fs::read_dir(folder.path().join("console")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(token.len()).any(|window| window == token.as_bytes()));
    }
}

#[tokio::test]
async fn forged_requests_are_refused() {
    let house = House::new(Password::Kept).await;
    let cookie = house.signed_in_as(Role::Full).await;
    let send = async |content_type: &str, origin: Option<&str>| {
        let mut request = Request::post("/api/v1/sites")
            .header(header::HOST, "console.example:8443")
            .header(header::COOKIE, &cookie)
            .header(header::CONTENT_TYPE, content_type);
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        let body = Body::from(r#"{"name":"x"}"#);
        house.raw(request.body(body).unwrap()).await.status().as_u16()
    };
    assert_eq!(send("text/plain", None).await, 415);
    assert_eq!(send("application/x-www-form-urlencoded", None).await, 415);
    assert_eq!(send("application/json", Some("https://evil.example")).await, 403);
    assert_eq!(send("application/json", Some("null")).await, 403);
    assert_eq!(send("application/json", Some("https://console.example:9")).await, 403);
    assert_eq!(send("application/json; charset=utf-8", Some("https://console.example:8443")).await, 201);
}

/// Path and body that a request to an endpoint needs to get past everything but the guard.
fn example(path: &str) -> String {
    path.replace("{id}", "01890000-0000-7000-8000-000000000000")
        .replace("{number}", "1")
        .replace("{location}", "a")
        .replace("{link}", "x")
        .replace("{policy}", "p")
}

#[tokio::test]
async fn every_endpoint_refuses_who_is_not_signed_in_and_who_lacks_the_permission() {
    let house = House::new(Password::Kept).await;
    let mut cookies = Vec::new();
    for role in [Role::Full, Role::PrivilegedPlayer, Role::ReadOnly] {
        cookies.push((role, house.signed_in_as(role).await));
    }
    let document: Value = serde_json::from_str(openapi()).unwrap();
    let mut described = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            described.push((method.to_uppercase(), path.clone()));
        }
    }
    let mut declared: Vec<_> =
        ENDPOINTS.iter().map(|entry| (entry.0.to_owned(), entry.1.to_owned())).collect();
    declared.sort();
    described.sort();
    assert_eq!(described, declared, "the document and the table of endpoints differ");

    for &(method, path, access) in ENDPOINTS {
        let send = async |cookie: &str| house.send(method, &example(path), cookie, None).await;
        let nobody = send("").await;
        let forged = send(&format!("playhead={}", "A".repeat(43))).await;
        if matches!(access, Access::Public | Access::Proven) {
            assert_ne!(nobody.status, 401, "{method} {path}");
            continue;
        }
        assert_eq!((nobody.status, nobody.problem().as_str()), (401, "not-signed-in"), "{method} {path}");
        assert_eq!(forged.status, 401, "{method} {path}");
        let Access::Needs(permission) = access else { continue };
        for (role, cookie) in &cookies {
            let answer = send(cookie).await;
            let forbidden = answer.status == 403 && answer.problem() == "forbidden";
            assert_eq!(forbidden, !role.allows(permission), "{method} {path} as {role}: {answer:?}");
        }
    }
    for permission in Permission::ALL {
        let used = ENDPOINTS.iter().any(|entry| entry.2 == Access::Needs(permission));
        assert!(used, "no endpoint needs {permission}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_and_pages_are_pages() {
    let house = House::new(Password::Kept).await;
    let gone = house.get("/api/v1/nonsense", "").await;
    assert_eq!((gone.status, gone.problem().as_str()), (404, "not-found"));
    assert_eq!(gone.headers[header::CACHE_CONTROL], "no-store");
    let wrong = house.send("DELETE", "/api/v1/me", "", None).await;
    assert_eq!((wrong.status, wrong.problem().as_str()), (405, "method-not-allowed"));
    let page = house.get("/recordings/abc", "").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.headers["x-content-type-options"], "nosniff");
    assert!(page.headers.get(header::STRICT_TRANSPORT_SECURITY).is_none());
    let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("frame-ancestors 'none'"));
    assert_eq!(house.get("/health", "").await.json()["status"], "ok");
    assert_eq!(house.get("/api/openapi.json", "").await.json()["openapi"], "3.1.0");
}

#[tokio::test]
async fn bodies_are_bounded_and_explained() {
    let house = House::new(Password::Kept).await;
    let send = async |body: String| {
        let request = Request::post("/api/v1/sign-in").header(header::CONTENT_TYPE, "application/json");
        let response = house.raw(request.body(Body::from(body)).unwrap()).await;
        crate::testing::Answer::read(response).await
    };
    assert_eq!(send(" ".repeat(70_000)).await.status, 413);
    let missing = send(r#"{"user":"admin"}"#.into()).await;
    assert_eq!(missing.status, 400);
    assert!(missing.json()["detail"].as_str().unwrap().contains("password"), "{missing:?}");
    assert_eq!(send(String::new()).await.status, 400);
}

#[test]
fn the_checked_in_document_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/playhead.json");
    let checked_in = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        checked_in == openapi(),
        "openapi/playhead.json differs from the code: run 'cargo run -p playhead-cli -- openapi > openapi/playhead.json' \
         and 'npm run generate' in web/"
    );
}

#[tokio::test]
async fn a_recording_is_found_at_its_site_and_streamed_until_the_session_ends() {
    let house = House::new(Password::Kept).await;
    let cookie = house.signed_in_as(Role::PrivilegedPlayer).await;
    house.attach("North", &FakeSite::new(1, vec![recording(1, "a", 1)])).await;
    house.attach("South", &FakeSite::new(2, vec![recording(2, "b", 2)])).await;
    let found = house.get("/api/v1/recordings/00000000-0000-0000-0000-000000000002", &cookie).await.json();
    assert_eq!(found["site"]["name"], "South");
    let gone = house.get("/api/v1/recordings/00000000-0000-0000-0000-000000000003", &cookie).await;
    assert_eq!((gone.status, gone.problem().as_str()), (404, "not-found"));

    let request =
        Request::get("/api/v1/recordings/00000000-0000-0000-0000-000000000002/fragments?at=5&follow=true")
            .header(header::COOKIE, &cookie)
            .header(header::RANGE, "bytes=0-")
            .body(Body::empty());
    let response = house.raw(request.unwrap()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/vnd.playhead.fragments");
    assert!(!response.headers().contains_key(header::SET_COOKIE));
    let mut body = response.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "at=5&follow=true Some(\"bytes=0-\")");
    house.send("POST", "/api/v1/sign-out", &cookie, None).await;
    assert!(body.frame().await.unwrap().is_err());
}

#[tokio::test]
async fn lists_show_what_there_is_and_name_the_site_that_is_missing() {
    let house = House::new(Password::Kept).await;
    let cookie = house.signed_in_as(Role::Full).await;
    let empty = house.get("/api/v1/recordings", &cookie).await.json();
    assert_eq!(
        empty,
        json!({ "items": [], "next": null, "total": { "value": 0, "exact": true }, "problems": [] })
    );

    let all: Vec<_> = (0..5).map(|number| recording(number, "host", number as i64)).collect();
    house.attach("North", &FakeSite::new(1, all[..2].to_vec())).await;
    house.attach("South", &FakeSite::new(2, all[2..].to_vec())).await;
    // A site of another console: it takes no statement of ours.
    let stranger = crate::LocalSite {
        id: playhead_model::SiteId::from_bytes([3; 16]),
        name: "West".into(),
        server: "w".into(),
        version: "1".into(),
        router: FakeSite::new(3, Vec::new()).router("another key"),
    };
    house.console.attach(stranger).await.unwrap();

    let page = house.get("/api/v1/recordings?limit=3", &cookie).await.json();
    let hosts = |page: &Value| -> Vec<(String, String)> {
        let items = page["items"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        items.iter().map(|item| (text(&item["id"])[35..].to_owned(), text(&item["site"]["name"]))).collect()
    };
    let expected = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter().map(|&(id, site)| (id.to_owned(), site.to_owned())).collect()
    };
    assert_eq!(hosts(&page), expected(&[("4", "South"), ("3", "South"), ("2", "South")]));
    assert_eq!(page["total"], json!({ "value": 5, "exact": false }));
    assert_eq!(page["problems"][0]["site"], "West");
    assert!(page["problems"][0]["detail"].as_str().unwrap().contains("clocks"));
    let next = page["next"].as_str().unwrap();
    let page = house.get(&format!("/api/v1/recordings?limit=3&cursor={next}"), &cookie).await.json();
    assert_eq!(hosts(&page), expected(&[("1", "North"), ("0", "North")]));
    assert_eq!(page["next"], Value::Null);

    let hosts = house.get("/api/v1/session-hosts", &cookie).await.json();
    assert_eq!(hosts["items"].as_array().unwrap().len(), 5);
    let limited = house.get("/api/v1/recordings?limit=501", &cookie).await;
    assert!(limited.json()["detail"].as_str().unwrap().contains("between 1 and 500, got 501"));
    assert_eq!(house.get("/api/v1/recordings?sort=colour", &cookie).await.status, 400);
}

#[tokio::test]
async fn sites_are_created_renamed_and_deleted_when_empty() {
    let house = House::new(Password::Kept).await;
    let cookie = house.signed_in_as(Role::Full).await;
    let send =
        async |method: &str, path: &str, body: Value| house.send(method, path, &cookie, Some(body)).await;
    let made = send("POST", "/api/v1/sites", json!({ "name": " Oslo ", "description": "fjord" })).await;
    assert_eq!(made.status, 201);
    let made = made.json();
    assert_eq!((&made["name"], &made["servers"]), (&json!("Oslo"), &json!([])));
    let path = format!("/api/v1/sites/{}", made["id"].as_str().unwrap());
    assert_eq!(send("POST", "/api/v1/sites", json!({ "name": "Oslo" })).await.problem(), "conflict");
    assert_eq!(send("POST", "/api/v1/sites", json!({ "name": "" })).await.status, 400);
    assert_eq!(send("PATCH", &path, json!({ "name": "Bergen" })).await.json()["description"], "fjord");
    assert_eq!(send("PATCH", &path, json!({ "nom": "x" })).await.status, 400);

    house.attach("Bergen", &FakeSite::new(1, Vec::new())).await;
    let list = house.get("/api/v1/sites", &cookie).await.json();
    let names: Vec<_> = list["items"].as_array().unwrap().iter().map(|site| &site["name"]).collect();
    assert_eq!(names, ["Bergen", "Bergen 2"]);
    let server = &list["items"][1]["servers"][0];
    assert_eq!((&server["state"], &server["name"]), (&json!("available"), &json!("Bergen server")));
    let busy = format!("/api/v1/sites/{}", list["items"][1]["id"].as_str().unwrap());
    assert_eq!(send("DELETE", &busy, json!({})).await.problem(), "conflict");
    let connected = format!("/api/v1/servers/{}", server["id"].as_str().unwrap());
    assert_eq!(send("DELETE", &connected, json!({})).await.problem(), "conflict");
    assert_eq!(send("DELETE", &path, json!({})).await.status, 204);
    assert_eq!(send("DELETE", &path, json!({})).await.status, 404);
}

#[tokio::test]
async fn join_tokens_are_made_where_they_are_used() {
    let house = House::new(Password::Kept).await;
    let cookie = house.signed_in_as(Role::Full).await;
    let send = async |body: Value| house.send("POST", "/api/v1/join-tokens", &cookie, Some(body)).await;
    let early = send(json!({ "kind": "agent" })).await;
    assert_eq!((early.status, early.problem().as_str()), (409, "conflict"));
    let server = send(json!({ "kind": "server", "valid_seconds": 600 })).await.json();
    let token: playhead_protocol::join::JoinToken = server["token"].as_str().unwrap().parse().unwrap();
    assert_eq!(token.url, "https://console.example:8443");
    assert!(server["command"].as_str().unwrap().ends_with(server["token"].as_str().unwrap()));

    house.attach("North", &FakeSite::new(1, Vec::new())).await;
    let agent = send(json!({ "kind": "agent", "uses": 3 })).await;
    assert_eq!(agent.status, 201);
    let text = agent.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(
        text,
        "01010101-0101-0101-0101-010101010101 {\"kind\":\"agent\",\"uses\":3,\"valid_seconds\":3600}"
    );
    house.attach("South", &FakeSite::new(2, Vec::new())).await;
    assert_eq!(send(json!({ "kind": "agent" })).await.status, 400, "which site?");
    let chosen = send(json!({ "kind": "agent", "site": "02020202-0202-0202-0202-020202020202" })).await;
    assert!(chosen.json()["token"].as_str().unwrap().starts_with("02020202"));
    assert_eq!(send(json!({ "kind": "agent", "uses": 0 })).await.status, 400);
    assert_eq!(send(json!({ "kind": "agent", "valid_seconds": 5 })).await.status, 400);
    assert_eq!(send(json!({ "kind": "spy" })).await.status, 400);
}

#[tokio::test]
async fn a_server_that_is_away_can_be_removed_and_then_its_site() {
    let house = House::new(Password::Kept).await;
    house.attach("North", &FakeSite::new(1, Vec::new())).await;
    let folder = house.folder;
    house.console.shutdown().await;
    // The same console without that server.
    let house = House::in_folder(folder, Password::Kept).await;
    let cookie = house.signed_in_as(Role::Full).await;
    let list = house.get("/api/v1/sites", &cookie).await.json();
    let (site, server) = (&list["items"][0], &list["items"][0]["servers"][0]);
    assert_eq!(server["state"], "offline");
    let server = format!("/api/v1/servers/{}", server["id"].as_str().unwrap());
    let site = format!("/api/v1/sites/{}", site["id"].as_str().unwrap());
    let delete = async |path: &str| house.send("DELETE", path, &cookie, None).await;
    assert_eq!(delete(&site).await.problem(), "conflict");
    assert_eq!(delete(&server).await.status, 204);
    assert_eq!(delete(&server).await.problem(), "not-found");
    assert_eq!(delete(&site).await.status, 204);
}

#[tokio::test]
async fn join_tokens_are_listed_from_everywhere_and_revoked_where_they_are() {
    let house = House::new(Password::Kept).await;
    let cookie = house.signed_in_as(Role::Full).await;
    house.attach("North", &FakeSite::new(1, Vec::new())).await;
    house.attach("South", &FakeSite::new(2, Vec::new())).await;
    let body = json!({ "kind": "server", "uses": 2, "site": "01010101-0101-0101-0101-010101010101" });
    assert_eq!(house.send("POST", "/api/v1/join-tokens", &cookie, Some(body)).await.status, 201);
    let list = async || house.get("/api/v1/join-tokens", &cookie).await.json();
    let shown = list().await;
    let items = shown["items"].as_array().unwrap();
    let of = |kind: &str| items.iter().filter(|item| item["kind"] == kind).collect::<Vec<_>>();
    assert_eq!((of("agent").len(), of("server").len()), (2, 1));
    let server = of("server")[0];
    assert_eq!((&server["site"]["name"], &server["uses_left"]), (&json!("North"), &json!(2)));
    assert_eq!(server["made_by"], "full person");

    let revoke = async |id: &str| {
        house.send("DELETE", &format!("/api/v1/join-tokens/{id}"), &cookie, None).await.status
    };
    assert_eq!(revoke(server["id"].as_str().unwrap()).await, 204);
    assert_eq!(list().await["items"].as_array().unwrap().len(), 2);
    assert_eq!(revoke("02020202-0202-0202-0202-020202020202").await, 204, "of the second site");
    assert_eq!(revoke("03030303-0303-0303-0303-030303030303").await, 404);
    assert_eq!(revoke("..%2fsettings").await, 404, "no way to another address of a site");
}

#[tokio::test]
async fn people_see_and_end_their_own_sessions_and_no_others() {
    let house = House::new(Password::Kept).await;
    let mine = house.signed_in_as(Role::Full).await;
    let other = house.sign_in("full person", PASSWORD).await.cookie().unwrap();
    let stranger = house.signed_in_as(Role::ReadOnly).await;
    let list = async |cookie: &str| house.get("/api/v1/me/sessions", cookie).await.json()["items"].clone();
    let end = async |cookie: &str, id: &Value| {
        let path = format!("/api/v1/me/sessions/{}", id.as_str().unwrap());
        house.send("DELETE", &path, cookie, None).await.status
    };
    let listed = list(&mine).await;
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let away = listed.as_array().unwrap().iter().find(|one| one["current"] == false).unwrap();
    assert_eq!(end(&stranger, &away["id"]).await, 404);
    assert_eq!(end(&mine, &away["id"]).await, 204);
    assert_eq!(house.get("/api/v1/me", &other).await.status, 401);

    let again = house.sign_in("full person", PASSWORD).await.cookie().unwrap();
    let everywhere = house.send("DELETE", "/api/v1/me/sessions", &mine, None).await;
    assert_eq!((everywhere.status, everywhere.cookie().unwrap().as_str()), (204, "playhead="));
    for cookie in [&mine, &again] {
        assert_eq!(house.get("/api/v1/me", cookie).await.status, 401);
    }
    assert_eq!(list(&stranger).await.as_array().unwrap().len(), 1);
}
