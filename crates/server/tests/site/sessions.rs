//! Sessions of users, as agents tell of them, and starting and stopping to record one.

use super::{
    agent::Agent,
    fragments::Tape,
    house::{House, json, until},
};
use bytes::Bytes;
use http::{Method, StatusCode};
use playhead_model::{
    Decided, RecordedSession, RecordingId, RemoteProtocol, SessionCommand, SessionId, SessionInfo,
    SessionRecording, SessionState, WallTime,
    policy::{Action, SessionFacts},
};
use playhead_protocol::message::{Command, CommandDone, Session, Sessions, from_server::Kind};
use playhead_server::{SessionAdmin, SessionQuery};
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) async fn post(house: &House, path: &str, body: Value) -> (StatusCode, Value) {
    let response = house.ask(Method::POST, path, Some(body)).await;
    (response.status(), json(response).await)
}

pub(crate) fn session(number: u128, user: &str) -> SessionInfo {
    let started_at = WallTime::from_micros(1_790_000_000_000_000 + i64::try_from(number).unwrap());
    SessionInfo {
        id: SessionId::from(Uuid::from_u128(number)),
        user: user.into(),
        facts: SessionFacts { users: vec![user.into()], host: "pc1".into(), ..SessionFacts::default() },
        display: ":10".into(),
        protocol: RemoteProtocol::Rdp,
        state: SessionState::Connected,
        client: Some("laptop".into()),
        client_version: None,
        started_at,
        changed_at: started_at,
        recording: SessionRecording {
            action: Action::Disable,
            recording: None,
            decided: Decided::Policy { revision: 0, policy: "Do not record".into(), rule: None },
            trouble: None,
        },
    }
}

pub(crate) async fn tell(agent: &mut Agent, info: &SessionInfo) {
    agent.say(Session { info: serde_json::to_string(info).unwrap() }).await;
}

async fn all(agent: &mut Agent, sessions: &[SessionInfo]) {
    let ids = sessions.iter().map(|info| Bytes::copy_from_slice(info.id.as_bytes()));
    agent.say(Sessions { sessions: ids.collect() }).await;
}

/// Waits until the session is as wanted.
pub(crate) async fn until_session(house: &House, id: SessionId, wanted: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/site/v1/sessions/{id}");
    until(async || {
        let response = house.get(&path).await;
        if response.status() != StatusCode::OK {
            return None;
        }
        Some(json(response).await).filter(|session| wanted(session))
    })
    .await
}

/// Waits for a command.
pub(crate) async fn commanded(agent: &mut Agent) -> (Bytes, SessionCommand) {
    match agent.hear().await {
        Some(Kind::Command(Command { id, command })) => (id, serde_json::from_str(&command).unwrap()),
        other => panic!("{other:?}"),
    }
}

/// Does what an agent does that is told to start recording.
pub(crate) async fn obey(agent: &mut Agent, info: &mut SessionInfo) -> SessionCommand {
    let (id, command) = commanded(agent).await;
    let (recording, by) = match &command {
        SessionCommand::StartRecording { by, .. } => (Some(RecordingId::from(Uuid::from_u128(77))), by),
        SessionCommand::StopRecording { by, .. } => (None, by),
    };
    info.recording.recording = recording;
    info.recording.decided = Decided::Request { user: by.clone() };
    tell(agent, info).await;
    agent.say(CommandDone { command: id, error: String::new() }).await;
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_as_their_agents_say() {
    let house = House::new().await;
    let enrolled = house.agent().await;
    let mut agent = enrolled.connect().await;
    let (mut ada, bob) = (session(1, "ada"), session(2, "bob"));
    all(&mut agent, &[ada.clone(), bob.clone()]).await;
    tell(&mut agent, &ada).await;
    tell(&mut agent, &bob).await;
    let shown = until_session(&house, ada.id, |_| true).await;
    assert_eq!(
        (&shown["user"], &shown["client"], &shown["reachable"]),
        (&"ada".into(), &"laptop".into(), &true.into())
    );
    assert_eq!((&shown["site"]["name"], &shown["protocol"]), (&"Test".into(), &"rdp".into()));
    assert_eq!(
        shown["recording"]["decided"],
        json!({ "by": "policy", "revision": 0, "policy": "Do not record", "rule": null })
    );
    until_session(&house, bob.id, |_| true).await;
    ada.state = SessionState::Disconnected;
    tell(&mut agent, &ada).await;
    until_session(&house, ada.id, |session| session["state"] == "disconnected").await;

    let list = house.json("/site/v1/sessions?limit=1").await;
    assert_eq!((&list["items"][0]["user"], &list["next"]), (&"bob".into(), &list["items"][0]["cursor"]));
    let next = list["next"].as_str().unwrap();
    let list = house.json(&format!("/site/v1/sessions?limit=1&cursor={next}")).await;
    assert_eq!((&list["items"][0]["user"], &list["next"]), (&"ada".into(), &Value::Null));
    let found = house.json("/site/v1/sessions?state=disconnected&user=AD&host=pc&recorded=false").await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    for query in ["state=gone", "limit=0", "limit=501", "cursor=x", "recorded=perhaps", "name=x"] {
        let (status, _) = house.refused(&format!("/site/v1/sessions?{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
    }
    for id in ["nonsense", "00000000-0000-0000-0000-00000000dead"] {
        assert_eq!(house.refused(&format!("/site/v1/sessions/{id}")).await.0, StatusCode::NOT_FOUND);
    }

    // While the agent is away they are shown, as they were.
    drop(agent);
    until_session(&house, bob.id, |session| session["reachable"] == false).await;
    let mut agent = enrolled.connect().await;
    // Meanwhile one has ended.
    all(&mut agent, std::slice::from_ref(&ada)).await;
    let ended = until_session(&house, bob.id, |session| session["state"] == "ended").await;
    assert!(ended["ended_at"].is_string() && ended["reachable"] == false, "{ended}");
    assert_eq!(until_session(&house, ada.id, |s| s["reachable"] == true).await["state"], "disconnected");
    let running = house.json("/site/v1/sessions?state=running").await;
    assert_eq!(running["items"].as_array().unwrap().len(), 1);
    // Beside the server it looks the same.
    let admin = SessionAdmin::open(house.data(), None, "root").await.unwrap();
    let list = admin.list(SessionQuery::default()).await.unwrap();
    assert_eq!((list.items.len(), list.items[1].session.reachable), (2, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_started_and_stopped_by_its_agent() {
    let house = House::new().await;
    let enrolled = house.agent().await;
    let mut agent = enrolled.connect().await;
    let mut ada = session(1, "ada");
    tell(&mut agent, &ada).await;
    until_session(&house, ada.id, |_| true).await;
    let start = format!("/site/v1/sessions/{}/start-recording", ada.id);
    let stop = format!("/site/v1/sessions/{}/stop-recording", ada.id);

    let ((status, shown), command) =
        tokio::join!(post(&house, &start, json!({ "notify": true })), obey(&mut agent, &mut ada));
    assert_eq!(command, SessionCommand::StartRecording { session: ada.id, notify: true, by: "admin".into() });
    assert_eq!(
        (status, &shown["recording"]["decided"]["user"]),
        (StatusCode::OK, &"admin".into()),
        "{shown}"
    );
    assert!(shown["recording"]["recording"].is_string());
    let ((status, shown), command) = tokio::join!(post(&house, &stop, json!({})), obey(&mut agent, &mut ada));
    assert_eq!(command, SessionCommand::StopRecording { session: ada.id, by: "admin".into() });
    assert_eq!((status, &shown["recording"]["recording"]), (StatusCode::OK, &Value::Null));

    // It refuses; it goes; it does not answer.
    let refuse = async |agent: &mut Agent| {
        let (id, _) = commanded(agent).await;
        // An answer to something else is no answer.
        agent.say(CommandDone { command: Bytes::from_static(&[1; 16]), error: String::new() }).await;
        agent.say(CommandDone { command: id, error: "no display".into() }).await;
    };
    let ((status, problem), ()) = tokio::join!(post(&house, &start, json!({})), refuse(&mut agent));
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(problem["detail"].as_str().unwrap().contains("no display"), "{problem}");
    let ((status, problem), _) = tokio::join!(post(&house, &start, json!({})), commanded(&mut agent));
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT, "{problem}");
    let go = async {
        commanded(&mut agent).await;
        drop(agent);
    };
    let ((status, problem), ()) = tokio::join!(post(&house, &start, json!({})), go);
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
    let (status, problem) = post(&house, &start, json!({})).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");

    let mut agent = enrolled.connect().await;
    ada.state = SessionState::Ended;
    tell(&mut agent, &ada).await;
    until_session(&house, ada.id, |session| session["state"] == "ended").await;
    let (status, problem) = post(&house, &stop, json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(problem["detail"].as_str().unwrap().contains("has ended at"), "{problem}");
    let nobody = format!("/site/v1/sessions/{}/start-recording", Uuid::from_u128(5));
    assert_eq!(post(&house, &nobody, json!({})).await.0, StatusCode::NOT_FOUND);
    assert_eq!(post(&house, &start, json!({ "notfy": true })).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_beside_the_server_reaches_the_agent() {
    let mut house = House::new().await;
    let enrolled = house.agent().await;
    let mut agent = enrolled.connect().await;
    let mut ada = session(1, "ada");
    tell(&mut agent, &ada).await;
    until_session(&house, ada.id, |_| true).await;
    let id = ada.id;
    let admin = SessionAdmin::open(house.data(), None, "root").await.unwrap();
    let (done, command) = tokio::join!(admin.start_recording(id, false), obey(&mut agent, &mut ada));
    assert_eq!(command, SessionCommand::StartRecording { session: id, notify: false, by: "root".into() });
    assert!(done.unwrap().recording.recording.is_some());
    let (done, _) = tokio::join!(admin.stop_recording(id), obey(&mut agent, &mut ada));
    assert!(done.unwrap().recording.recording.is_none());
    drop(agent);
    until(async || {
        let list = admin.list(SessionQuery::default()).await.unwrap();
        (!list.items[0].session.reachable).then_some(())
    })
    .await;
    let error = admin.stop_recording(id).await.unwrap_err().to_string();
    assert!(error.contains("is not connected"), "{error}");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_tells_of_too_much_is_cut_off() {
    let house = House::new().await;
    let enrolled = house.agent().await;
    let mut agent = enrolled.connect().await;
    agent.say(Session { info: "{}".into() }).await;
    assert!(agent.hear().await.is_none(), "the connection is closed");
    let mut agent = enrolled.connect().await;
    let ids = vec![Bytes::from_static(&[1; 16]); 1_025];
    agent.say(Sessions { sessions: ids }).await;
    assert!(agent.hear().await.is_none(), "the connection is closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_tell_and_are_found_by_their_session() {
    let house = House::new().await;
    let mut agent = house.agent().await.connect().await;
    let mut tape = Tape::new("ada");
    let of = RecordedSession {
        id: SessionId::from(Uuid::from_u128(9)),
        users: vec!["ada".into(), "CORP\\ada".into()],
        groups: vec!["Finance".into()],
        protocol: RemoteProtocol::Rdp,
        delivery_groups: vec![],
        tags: vec![],
        decided: Decided::Request { user: "admin".into() },
        events_only: false,
    };
    tape.info.session = Some(of.clone());
    agent.open(&tape).await;
    agent.open(&Tape::new("ada")).await;
    let list = house.json(&format!("/site/v1/recordings?session={}", of.id)).await;
    assert_eq!((&list["total"]["value"], &list["items"][0]["id"]), (&1.into(), &json!(tape.id())));
    assert_eq!(list["items"][0]["session"], serde_json::to_value(&of).unwrap());
    assert_eq!(house.json("/site/v1/recordings").await["total"]["value"], 2);
    assert_eq!(house.refused("/site/v1/recordings?session=x").await.0, StatusCode::BAD_REQUEST);
}
