//! Directories through the console's API, with real slapds behind it.

use super::{check::round, ldap::slapd::*};
use crate::{
    Password,
    testing::{Answer, House},
};
use playhead_model::Role;
use serde_json::{Value, json};

const DIRECTORIES: &str = "/api/v1/directories";

/// A console, its administrator's cookie, and a directory connected to it.
struct Office {
    house: House,
    admin: String,
}

impl Office {
    async fn new() -> Self {
        let house = House::new(Password::Kept).await;
        let admin = house.signed_in_as(Role::Full).await;
        Self { house, admin }
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> Answer {
        self.house.send(method, path, &self.admin, Some(body)).await
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.house.get(path, &self.admin).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    async fn connect(&self, name: &str, slapd: &Slapd) -> String {
        let new = json!({ "name": name, "ldap": settings(slapd), "secret": SECRET });
        let made = self.send("POST", DIRECTORIES, new).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["id"].as_str().unwrap().to_owned()
    }

    /// Gives a role to whoever the search finds first.
    async fn give(&self, directory: &str, kind: &str, name: &str, role: &str) -> String {
        let found = self.get(&format!("{DIRECTORIES}/search?q={name}&kind={kind}")).await;
        let items = found["items"].as_array().unwrap();
        let item = items.iter().find(|item| item["directory"]["id"] == directory).unwrap();
        let new = json!({ "kind": kind, "subject": item["subject"], "label": item["label"], "role": role });
        let given = self.send("POST", &format!("{DIRECTORIES}/{directory}/roles"), new).await;
        assert_eq!(given.status, 201, "{given:?}");
        given.json()["id"].as_str().unwrap().to_owned()
    }

    async fn sign_in(&self, user: &str, password: &str, directory: Option<&str>) -> Answer {
        let body = json!({ "user": user, "password": password, "directory": directory });
        self.house.send("POST", "/api/v1/sign-in", "", Some(body)).await
    }

    async fn status(&self, cookie: &str) -> u16 {
        self.house.get("/api/v1/me", cookie).await.status
    }
}

fn settings(slapd: &Slapd) -> Value {
    serde_json::to_value(slapd.settings()).unwrap()
}

#[tokio::test]
async fn nobody_comes_in_before_a_role_is_given_and_everybody_leaves_with_it() {
    let Some(slapd) = Slapd::start() else { return };
    let office = Office::new().await;
    let corp = office.connect("Corp", &slapd).await;
    let refused = office.sign_in("anna", "anna's password", Some(&corp)).await;
    assert_eq!((refused.status, refused.problem().as_str()), (403, "no-role"));
    assert_eq!(office.get(&format!("{DIRECTORIES}/{corp}")).await["accounts"], 0);

    let role = office.give(&corp, "group", "admins", "read-only").await;
    office.give(&corp, "user", "anna", "privileged-player").await;
    let entered = office.sign_in("anna", "anna's password", Some(&corp)).await;
    assert_eq!(entered.status, 200, "{entered:?}");
    assert_eq!(
        (&entered.json()["user"], &entered.json()["role"]),
        (&json!("Corp\\anna"), &json!("privileged-player"))
    );
    let anna = entered.cookie().unwrap();
    // By the directory's name, in any letter case, and through a group within a group.
    let zoe = office.sign_in("CORP\\zoe", "zoe's password", None).await;
    assert_eq!(zoe.json()["role"], "read-only", "{zoe:?}");
    let zoe = zoe.cookie().unwrap();
    for (user, password) in
        [("anna", ""), ("anna", "x"), ("*", "x"), ("anna)(uid=*", "anna's password"), ("", "")]
    {
        let wrong = office.sign_in(user, password, Some(&corp)).await;
        assert_eq!((wrong.status, wrong.problem().as_str()), (401, "wrong-password"), "{user} {password}");
    }
    assert_eq!(office.sign_in("Corp\\anna", "", None).await.status, 401);
    assert_eq!(office.sign_in("anna", "anna's password", None).await.status, 401, "there is no local anna");
    assert_eq!(office.sign_in("anna", "x", Some("none")).await.status, 400);

    let taken =
        office.house.send("DELETE", &format!("/api/v1/directory-roles/{role}"), &office.admin, None).await;
    assert_eq!((taken.status, office.status(&zoe).await, office.status(&anna).await), (204, 401, 200));
    let change = json!({ "version": 1, "enabled": false });
    assert_eq!(office.send("PATCH", &format!("{DIRECTORIES}/{corp}"), change).await.status, 200);
    assert_eq!(office.status(&anna).await, 401, "switched off");
    assert_eq!(office.house.get("/api/v1/sign-in/methods", "").await.json()["items"], json!([]));
    assert_eq!(office.sign_in("anna", "anna's password", Some(&corp)).await.status, 400);
    let removed = office.house.send("DELETE", &format!("{DIRECTORIES}/{corp}"), &office.admin, None).await;
    assert_eq!(removed.status, 204);
    assert_eq!(office.get(DIRECTORIES).await["items"], json!([]));
}

#[tokio::test]
async fn guessing_at_a_directory_is_slowed_down() {
    let Some(slapd) = Slapd::start() else { return };
    let office = Office::new().await;
    let corp = office.connect("Corp", &slapd).await;
    for _ in 0..5 {
        assert_eq!(office.sign_in("anna", "wrong", Some(&corp)).await.status, 401);
    }
    assert_eq!(office.sign_in("anna", "anna's password", Some(&corp)).await.status, 429);
    assert_eq!(office.sign_in("corp\\ANNA", "x", None).await.status, 429, "the same person");
}

#[tokio::test]
async fn who_leaves_the_directory_leaves_the_console() {
    let Some(mut slapd) = Slapd::start() else { return };
    let office = Office::new().await;
    let corp = office.connect("Corp", &slapd).await;
    office.give(&corp, "group", "admins", "full").await;
    office.give(&corp, "user", "zoe", "read-only").await;
    let mut cookies = Vec::new();
    for login in ["anna", "zoe"] {
        let entered = office.sign_in(login, &format!("{login}'s password"), Some(&corp)).await;
        assert_eq!(entered.json()["role"], "full");
        cookies.push(entered.cookie().unwrap());
    }
    let [anna, zoe] = &cookies[..] else { unreachable!() };
    slapd.add("dn: uid=anna,ou=people,dc=example,dc=org\nchangetype: delete\n");
    slapd.add("dn: cn=team\\, north,ou=groups,dc=example,dc=org\nchangetype: modify\nreplace: member\nmember: uid=bert,ou=people,dc=example,dc=org\n");
    let core = office.house.console.core();
    round(core).await.unwrap();
    assert_eq!((office.status(anna).await, office.status(zoe).await), (200, 200), "not due yet");
    office.house.clock.advance_seconds(301);
    slapd.stop();
    round(core).await.unwrap();
    assert_eq!(
        (office.status(anna).await, office.status(zoe).await),
        (200, 200),
        "a directory that is down takes no rights"
    );
    slapd.start_again();
    office.house.clock.advance_seconds(11);
    round(core).await.unwrap();
    assert_eq!(office.status(anna).await, 401);
    let me = office.house.get("/api/v1/me", zoe).await.json();
    assert_eq!(me["role"], "read-only", "the higher role went with the group");
    // Somebody else of the same name is somebody else.
    slapd.add("dn: uid=anna,ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: anna\ncn: Other\nsn: O\nuserPassword: anna's password\n");
    assert_eq!(office.sign_in("anna", "anna's password", Some(&corp)).await.problem(), "no-role");
}

#[tokio::test]
async fn one_directory_that_is_down_takes_nothing_with_it() {
    let (Some(mut near), Some(far)) = (Slapd::start(), Slapd::start()) else { return };
    let office = Office::new().await;
    let corp = office.connect("Corp", &near).await;
    office.connect("Far", &far).await;
    office.give(&corp, "group", "admins", "full").await;
    let search = format!("{DIRECTORIES}/search?q=ann");
    let both = office.get(&search).await;
    assert_eq!((both["items"].as_array().unwrap().len(), &both["directories"]), (2, &json!(2)), "{both}");
    let groups = office.get(&format!("{DIRECTORIES}/groups?user=anna")).await;
    assert_eq!(groups["items"].as_array().unwrap().len(), 8);
    let seen = office.house.clock.clock().now();

    near.stop();
    office.house.clock.advance_seconds(3600);
    let half = office.get(&search).await;
    let [stale, fresh] = &half["items"].as_array().unwrap()[..] else { panic!("{half}") };
    assert_eq!((&stale["directory"]["name"], &stale["seen_at"]), (&json!("Corp"), &json!(seen)), "{half}");
    assert_eq!((&fresh["directory"]["name"], &fresh["seen_at"]), (&json!("Far"), &Value::Null));
    assert_eq!(
        (&half["problems"][0]["directory"]["name"], &half["problems"][0]["stale"]),
        (&json!("Corp"), &json!(true))
    );
    let groups = office.get(&format!("{DIRECTORIES}/groups?user=anna")).await;
    assert_eq!(groups["items"].as_array().unwrap().len(), 8, "{groups}");
    assert!(
        office.get(DIRECTORIES).await["items"][0]["problem"].as_str().unwrap().contains("cannot connect")
    );

    let away = office.sign_in("anna", "anna's password", Some(&corp)).await;
    assert_eq!((away.status, away.problem().as_str()), (503, "directory-failed"));
    let said = away.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        said.contains("“Corp”") && said.contains("Local accounts work") && !said.contains("127.0.0.1"),
        "{said}"
    );
    let first = office.house.console.first_sign_in().unwrap();
    assert_eq!(office.house.sign_in(&first.user, &first.password).await.status, 200);
    near.start_again();
    office.house.clock.advance_seconds(11);
    assert_eq!(office.sign_in("anna", "anna's password", Some(&corp)).await.status, 200);
    assert_eq!(office.get(&search).await["problems"], json!([]));
}

#[tokio::test]
async fn a_directory_that_is_down_when_the_console_starts_takes_nothing_either() {
    let Some(mut slapd) = Slapd::start() else { return };
    let mut office = Office::new().await;
    let corp = office.connect("Corp", &slapd).await;
    office.give(&corp, "group", "admins", "full").await;
    let (search, groups) = (format!("{DIRECTORIES}/search?q=ann"), format!("{DIRECTORIES}/groups?user=ANNA"));
    let (found, member) = (office.get(&search).await, office.get(&groups).await);
    let anna = office.sign_in("anna", "anna's password", Some(&corp)).await.cookie().unwrap();
    let seen = office.house.clock.clock().now();

    slapd.stop();
    office.house = office.house.restarted().await;
    for (path, before) in [(&search, &found), (&groups, &member)] {
        let now = office.get(path).await;
        let items = now["items"].as_array().unwrap();
        assert_eq!(items.len(), before["items"].as_array().unwrap().len(), "{now}");
        for (item, before) in items.iter().zip(before["items"].as_array().unwrap()) {
            let mut expected = before.clone();
            expected["seen_at"] = json!(seen);
            assert_eq!(item, &expected);
        }
        assert_eq!(now["problems"][0]["stale"], true, "{now}");
    }
    // Who is signed in stays so, with the role seen last; who is not needs the directory, or a local account.
    round(office.house.console.core()).await.unwrap();
    office.house.clock.advance_seconds(301);
    round(office.house.console.core()).await.unwrap();
    assert_eq!(office.house.get("/api/v1/me", &anna).await.json()["role"], "full");
    let away = office.sign_in("anna", "anna's password", Some(&corp)).await;
    assert_eq!((away.status, away.problem().as_str()), (503, "directory-failed"));
    office.house.clock.advance_seconds(8 * 3600 + 1);
    assert_eq!(office.status(&anna).await, 401, "not for longer than a session lasts");

    // What is known of one directory is not taken for another one's answer.
    office.admin = office.house.sign_in("full person", crate::testing::PASSWORD).await.cookie().unwrap();
    let mut other = settings(&slapd);
    other["user_filter"] = json!("(uid=*)");
    let change = json!({ "version": 1, "ldap": other });
    assert_eq!(office.send("PATCH", &format!("{DIRECTORIES}/{corp}"), change).await.status, 200);
    let none = office.get(&search).await;
    assert_eq!((&none["items"], &none["problems"][0]["stale"]), (&json!([]), &json!(false)));
    slapd.start_again();
    office.house.clock.advance_seconds(11);
    assert_eq!(office.sign_in("anna", "anna's password", Some(&corp)).await.status, 200);
}

#[tokio::test]
async fn secrets_are_told_to_nobody_and_go_to_no_other_server() {
    let Some(slapd) = Slapd::start() else { return };
    let office = Office::new().await;
    let corp = office.connect("Corp", &slapd).await;
    let path = format!("{DIRECTORIES}/{corp}");
    let shown = office.get(&path).await;
    assert!(shown["has_secret"] == true && !shown.to_string().contains(SECRET), "{shown}");
    let works = office
        .send("POST", "/api/v1/directories/test", json!({ "directory": corp, "user": "anna" }))
        .await
        .json();
    assert!(
        works["works"] == true && works["steps"][5]["detail"].as_str().unwrap().contains("4 groups"),
        "{works}"
    );

    let mut other = settings(&slapd);
    other["servers"] = json!([format!("ldap://127.0.0.1:{}", slapd.port + 1)]);
    let refused =
        office.send("POST", "/api/v1/directories/test", json!({ "directory": corp, "ldap": other })).await;
    assert!(
        refused.status == 400 && refused.json()["detail"].as_str().unwrap().contains("not meant"),
        "{refused:?}"
    );
    let refused = office.send("PATCH", &path, json!({ "version": 1, "ldap": other })).await;
    assert!(
        refused.status == 400 && refused.json()["detail"].as_str().unwrap().contains("again"),
        "{refused:?}"
    );
    let mut slower = settings(&slapd);
    slower["seconds"] = json!(9);
    assert_eq!(
        office.send("PATCH", &path, json!({ "version": 1, "ldap": slower })).await.json()["version"],
        2
    );
    let late = office.send("PATCH", &path, json!({ "version": 1, "ldap": slower })).await;
    assert_eq!(late.status, 409);
    let openid = json!({ "version": 2, "openid": { "issuer": "https://x", "client_id": "y" } });
    assert_eq!(office.send("PATCH", &path, openid).await.status, 400);
    for bad in [
        json!({ "name": "Corp", "ldap": settings(&slapd), "secret": "x" }),
        json!({ "name": "a\\b", "ldap": settings(&slapd), "secret": "x" }),
        json!({ "name": "New" }),
        json!({ "name": "New", "ldap": settings(&slapd) }),
        json!({ "name": "New", "ldap": { "servers": [], "user_base": "x" } }),
        json!({ "name": "New", "ldap": { "servers": ["ldap://x"], "user_base": "x", "nonsense": 1 } }),
    ] {
        let refused = office.send("POST", DIRECTORIES, bad.clone()).await;
        assert!(matches!(refused.status, 400 | 409), "{bad}: {refused:?}");
    }
    for query in ["q=", "q=a&kind=dog", "q=a&limit=0", "q=a&limit=51", "kind=user", "q=%00"] {
        let answer = office.house.get(&format!("{DIRECTORIES}/search?{query}"), &office.admin).await;
        assert_eq!(answer.status, 400, "{query}");
    }
    let Office { house, .. } = office;
    let folder = house.folder;
    house.console.shutdown().await;
    for file in std::fs::read_dir(folder.path().join("console")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()));
    }
}
