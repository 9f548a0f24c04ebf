//! Recording policies: what people do with them, and what agents are told.

use super::{
    house::{House, json, until},
    sessions::{post, session},
};
use http::{Method, StatusCode};
use playhead_protocol::message::{PolicyTaken, Session};
use playhead_server::PolicyAdmin;
use serde_json::{Value, json};

fn ours() -> Value {
    json!({ "name": "Ours", "description": "", "rules": [
        { "name": "Finance", "action": "record-with-notice", "options": { "consent": true },
          "scope": { "groups": ["Finance"], "addresses": ["10.0.0.0/8"] } },
        { "name": "Not the boss", "action": "disable", "scope": { "users": ["ada"] } },
    ] })
}

async fn created(house: &House, policy: Value) -> String {
    let (status, made) = post(house, "/site/v1/policies", policy).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    made["id"].as_str().unwrap().to_owned()
}

async fn put(house: &House, path: &str, body: Value) -> (StatusCode, Value) {
    let response = house.ask(Method::PUT, path, Some(body)).await;
    (response.status(), json(response).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_told_of_the_policy_and_of_every_change() {
    let house = House::new().await;
    let enrolled = house.agent().await;
    let mut agent = enrolled.connect().await;
    let told = agent.policy().await;
    assert_eq!(
        (told.revision, told.id.as_str(), told.policy, told.notices),
        (0, "do-not-record", None, vec![])
    );

    let id = created(&house, ours()).await;
    let (status, active) = post(&house, &format!("/site/v1/policies/{id}/activate"), Value::Null).await;
    assert_eq!((status, &active["active"]["revision"]), (StatusCode::OK, &1.into()), "{active}");
    let told = agent.policy().await;
    assert_eq!((told.revision, told.id), (1, id.clone()));
    assert_eq!(
        serde_json::to_value(&told.policy.unwrap().rules[0].scope).unwrap(),
        ours()["rules"][0]["scope"]
    );

    let mut changed = ours();
    changed["rules"][1]["action"] = "record".into();
    let path = format!("/site/v1/policies/{id}");
    assert_eq!(put(&house, &path, json!({ "version": 1, "policy": changed })).await.0, StatusCode::OK);
    assert_eq!(agent.policy().await.revision, 2);
    let notice = json!({ "language": "de", "title": "Hinweis", "text": "Aufgezeichnet.", "consent": "Einverstanden?" });
    assert_eq!(put(&house, "/site/v1/notices", json!({ "items": [notice] })).await.0, StatusCode::OK);
    let told = agent.policy().await;
    assert_eq!((told.revision, told.notices[0].title.as_str()), (3, "Hinweis"));

    // One that comes later is told the newest, and the list of hosts says what each goes by.
    let mut late = enrolled.connect().await;
    assert_eq!(late.policy().await.revision, 3);
    for error in ["", "no room"] {
        late.say(PolicyTaken { revision: 3, error: error.into() }).await;
        until(async || {
            let host = house.json("/site/v1/session-hosts").await["items"][0]["policy"].clone();
            let wanted = if error.is_empty() { Value::Null } else { error.into() };
            (host["revision"] == 3 && host["error"] == wanted).then_some(())
        })
        .await;
    }
    // A command beside the server is seen, too.
    let admin = PolicyAdmin::open(house.data(), None, "root").await.unwrap();
    admin.activate("record").await.unwrap();
    let told = agent.policy().await;
    assert_eq!((told.revision, told.id.as_str(), told.policy), (4, "record", None));
    assert_eq!(late.policy().await.revision, 4);
    let history = house.json("/site/v1/policy-history").await;
    assert_eq!(
        (&history["items"][0]["made_by"], &history["items"][3]["name"]),
        (&"root".into(), &"Ours".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_listed_changed_compared_and_deleted() {
    let house = House::new().await;
    let id = created(&house, ours()).await;
    let path = format!("/site/v1/policies/{id}");
    let list = house.json("/site/v1/policies").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 10);
    assert_eq!((&list["items"][9]["id"], &list["items"][9]["rules"]), (&id.clone().into(), &2.into()));
    assert_eq!((&list["active"]["id"], &list["items"][0]["active"]), (&"do-not-record".into(), &true.into()));
    let system = house.json("/site/v1/policies/record-lossy").await;
    assert_eq!((&system["kind"], &system["options"]["picture"]["mode"]), (&"system".into(), &"lossy".into()));

    let mut changed = ours();
    changed["name"] = "Theirs".into();
    changed["rules"][0]["name"] = "Money".into();
    changed["rules"][1]["scope"]["users"] = json!(["bob"]);
    let (status, detail) = put(&house, &path, json!({ "version": 1, "policy": changed })).await;
    assert_eq!(
        (status, &detail["version"], &detail["changed_by"]),
        (StatusCode::OK, &2.into(), &"admin".into())
    );
    let (status, problem) = put(&house, &path, json!({ "version": 1, "policy": ours() })).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(problem["detail"].as_str().unwrap().contains("admin made version 2 at"), "{problem}");
    let diff = house.json(&format!("{path}/diff?from=1&to=2")).await;
    assert_eq!(
        (&diff["name"], &diff["added"], &diff["reordered"]),
        (&json!(["Ours", "Theirs"]), &json!([]), &false.into())
    );
    assert_eq!(diff["changed"][0]["fields"], json!(["name"]));
    assert_eq!(diff["changed"][1]["fields"], json!(["scope"]));
    let versions = house.json(&format!("{path}/versions")).await;
    assert_eq!(
        (&versions["items"][1]["version"], &versions["items"][1]["name"]),
        (&1.into(), &"Ours".into())
    );
    let first = house.json(&format!("{path}/versions/1")).await;
    assert_eq!(first["policy"]["rules"][0]["name"], "Finance");

    let (status, copy) = post(&house, &format!("{path}/duplicate"), json!({})).await;
    assert_eq!((status, &copy["name"]), (StatusCode::CREATED, &"Theirs (copy)".into()));
    assert_eq!(
        post(&house, &format!("{path}/duplicate"), json!({ "name": "theirs" })).await.0,
        StatusCode::CONFLICT
    );
    post(&house, &format!("{path}/activate"), Value::Null).await;
    assert_eq!(house.ask(Method::DELETE, &path, None).await.status(), StatusCode::CONFLICT);
    post(&house, "/site/v1/policies/events/activate", Value::Null).await;
    assert_eq!(house.ask(Method::DELETE, &path, None).await.status(), StatusCode::OK);
    assert_eq!(house.get(&path).await.status(), StatusCode::NOT_FOUND);
    // What it was can still be looked at.
    assert_eq!(house.json(&format!("{path}/versions/2")).await["policy"]["name"], "Theirs");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_with_words_and_changes_nothing() {
    let house = House::new().await;
    let id = created(&house, ours()).await;
    let rules = |change: fn(&mut Value)| {
        let mut policy = ours();
        policy["name"] = "New".into();
        change(&mut policy);
        policy
    };
    for (policy, word) in [
        (rules(|p| p["rules"][0]["scope"]["addresses"] = json!(["10.0.0.9-10.0.0.1"])), "exchange them"),
        (rules(|p| p["rules"][0]["scope"]["addresses"] = json!(["10.0.0.0/33"])), "at most 32 bits"),
        (rules(|p| p["rules"][1]["name"] = "FINANCE".into()), "two rules are named"),
        (rules(|p| p["rules"][1]["scope"] = json!({})), "names no sessions"),
        (rules(|p| p["rules"][1]["scope"] = json!({ "user": ["x"] })), "unknown field"),
        (rules(|p| p["rules"][1]["action"] = "delete".into()), "unknown variant"),
        (rules(|p| p["rules"][1]["options"] = json!({ "audio": true })), "records the screen"),
        (rules(|p| p["name"] = " ".into()), "1 to 100 characters"),
        (json!([]), "expected"),
        (json!({ "name": "x".repeat(5 << 20) }), "at most 4 MiB"),
    ] {
        let (status, problem) = post(&house, "/site/v1/policies", policy).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{word}: {problem}");
    }
    let path = format!("/site/v1/policies/{id}");
    let mut wrong = ours();
    wrong["rules"][1]["scope"] = json!({});
    assert_eq!(put(&house, &path, json!({ "version": 1, "policy": wrong })).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(house.json(&path).await["version"], 1);
    assert_eq!(post(&house, "/site/v1/policies", ours()).await.0, StatusCode::CONFLICT);
    let system = put(&house, "/site/v1/policies/record", json!({ "version": 0, "policy": ours() })).await;
    assert_eq!(system.0, StatusCode::CONFLICT, "{}", system.1);
    assert_eq!(
        house.ask(Method::DELETE, "/site/v1/policies/record", None).await.status(),
        StatusCode::CONFLICT
    );
    let everyone = |users: Value| json!({ "everyone": true, "users": users });
    assert_eq!(
        post(&house, "/site/v1/policies/recorded/duplicate", json!({})).await.0,
        StatusCode::NOT_FOUND
    );
    let both = rules_with_scope(everyone(json!(["ada"])));
    let (status, problem) = post(&house, "/site/v1/policies", both).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        problem["detail"].as_str().unwrap().contains("is for everyone and has users as well"),
        "{problem}"
    );
    assert_eq!(
        post(&house, "/site/v1/policies/recorded/activate", Value::Null).await.0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(house.get("/site/v1/policies/record/versions").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(house.get(&format!("{path}/diff?from=1&to=2")).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(house.get(&format!("{path}/diff?from=1")).await.status(), StatusCode::BAD_REQUEST);
    let notice = json!({ "language": "??", "title": "t", "text": "t", "consent": "c" });
    assert_eq!(
        put(&house, "/site/v1/notices", json!({ "items": [notice] })).await.0,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(house.json("/site/v1/policies").await["active"]["revision"], 0);
}

fn rules_with_scope(scope: Value) -> Value {
    json!({ "name": "New", "rules": [{ "name": "r", "action": "record", "scope": scope }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_copy_of_a_system_policy_does_the_same_and_can_be_changed() {
    let house = House::new().await;
    let list = house.json("/site/v1/policies").await;
    let system: Vec<&str> =
        list["items"].as_array().unwrap().iter().filter_map(|one| one["id"].as_str()).collect();
    assert_eq!(system.len(), 9);
    let facts = json!({ "users": ["ada"], "host": "pc1" });
    for id in system {
        let (status, copy) = post(&house, &format!("/site/v1/policies/{id}/duplicate"), json!({})).await;
        assert_eq!(status, StatusCode::CREATED, "{copy}");
        assert_eq!((&copy["kind"], &copy["version"]), (&"custom".into(), &1.into()));
        assert!(copy["name"].as_str().unwrap().ends_with(" (copy)"), "{copy}");
        assert_eq!(copy["policy"]["rules"][0]["scope"], json!({ "everyone": true }));
        let ask = async |policy: &Value| {
            post(&house, "/site/v1/policy-simulation", json!({ "facts": facts, "policy": policy })).await.1
        };
        let (theirs, ours) = (ask(&id.into()).await, ask(&copy["id"]).await);
        assert_eq!((&ours["action"], &ours["options"]), (&theirs["action"], &theirs["options"]), "{id}");
        assert_eq!(ours["rule"]["name"], "Everyone");
    }
    let (status, again) = post(&house, "/site/v1/policies/record/duplicate", json!({ "name": "Mine" })).await;
    assert_eq!((status, &again["name"]), (StatusCode::CREATED, &"Mine".into()));
    let path = format!("/site/v1/policies/{}", again["id"].as_str().unwrap());
    let mut changed = again["policy"].clone();
    changed["rules"][0]["scope"] = json!({ "users": ["ada"] });
    let (status, detail) = put(&house, &path, json!({ "version": 1, "policy": changed })).await;
    assert_eq!(
        (status, &detail["policy"]["rules"][0]["scope"]),
        (StatusCode::OK, &json!({ "users": ["ada"] }))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulator_says_what_would_be_done_and_why() {
    let house = House::new().await;
    let ask = async |question: Value| post(&house, "/site/v1/policy-simulation", question).await;
    let facts =
        json!({ "users": ["CORP\\eve"], "groups": ["finance"], "host": "pc1", "address": "10.1.2.3" });
    let (status, answer) = ask(json!({ "facts": facts })).await;
    assert_eq!(
        (status, &answer["action"], &answer["rule"]),
        (StatusCode::OK, &"disable".into(), &Value::Null)
    );
    assert_eq!(answer["policy"]["id"], "do-not-record");
    let id = created(&house, ours()).await;
    let (_, answer) = ask(json!({ "facts": facts, "policy": id })).await;
    assert_eq!(
        (&answer["action"], &answer["rule"]),
        (&"record-with-notice".into(), &json!({ "index": 0, "name": "Finance" }))
    );
    assert_eq!(answer["options"]["consent"], true);
    let rule = &answer["rules"][0];
    assert_eq!((&rule["fits"], &rule["decides"]), (&true.into(), &true.into()));
    assert_eq!(rule["items"][0], json!({ "item": "people", "is": "fits", "entry": "Finance" }));
    assert_eq!(rule["items"][1], json!({ "item": "applications", "is": "not-asked", "entry": null }));
    assert_eq!(answer["rules"][1]["items"][0], json!({ "item": "people", "is": "differs", "entry": null }));
    // Of two that fit, the one that disables comes first.
    let mut both = facts.clone();
    both["users"] = json!(["ADA"]);
    let (_, answer) = ask(json!({ "facts": both, "draft": ours() })).await;
    assert_eq!((&answer["rule"]["name"], &answer["policy"]["id"]), (&"Not the boss".into(), &Value::Null));
    assert_eq!((&answer["rules"][0]["fits"], &answer["rules"][0]["decides"]), (&true.into(), &false.into()));

    // A running session.
    let mut agent = house.agent().await.connect().await;
    let mut info = session(1, "eve");
    info.facts.groups = vec!["Finance".into()];
    info.facts.address = "10.9.9.9".parse().ok();
    agent.say(Session { info: serde_json::to_string(&info).unwrap() }).await;
    until(async || {
        house.get(&format!("/site/v1/sessions/{}", info.id)).await.status().is_success().then_some(())
    })
    .await;
    let (_, answer) = ask(json!({ "session": info.id, "policy": id })).await;
    assert_eq!((&answer["rule"]["name"], &answer["facts"]["users"]), (&"Finance".into(), &json!(["eve"])));

    for (question, status) in [
        (json!({}), 400),
        (json!({ "facts": facts, "session": info.id }), 400),
        (json!({ "facts": { "group": ["x"] } }), 400),
        (json!({ "facts": { "address": "10.0.0" } }), 400),
        (json!({ "facts": facts, "policy": "nothing" }), 404),
        (json!({ "facts": facts, "policy": id, "draft": ours() }), 400),
        (json!({ "facts": facts, "draft": { "name": "" } }), 400),
        (json!({ "session": "00000000-0000-0000-0000-00000000dead" }), 404),
    ] {
        assert_eq!(ask(question.clone()).await.0, status, "{question}");
    }
}
