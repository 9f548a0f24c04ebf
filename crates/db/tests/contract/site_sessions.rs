use super::{
    databases::Place,
    site::{SERVER, agent, at, info, open},
};
use playhead_db::site::{
    AgentNews, Filter, SessionFilter, SessionNews, SessionRow, Sort, Store, WaitingCommand,
};
use playhead_model::{
    policy::{Action, SessionFacts},
    *,
};
use uuid::Uuid;

const OTHER: ServerId = ServerId::from_bytes([8; 16]);

fn id(number: u128) -> SessionId {
    Uuid::from_u128(number).into()
}

fn session(number: u128, user: &str, host: &str) -> SessionInfo {
    let started_at = at(i64::try_from(number).unwrap());
    SessionInfo {
        id: id(number),
        user: user.into(),
        facts: SessionFacts { users: vec![user.into()], host: host.into(), ..SessionFacts::default() },
        display: ":10".into(),
        protocol: RemoteProtocol::Rdp,
        state: SessionState::Connected,
        client: None,
        client_version: None,
        started_at,
        changed_at: started_at,
        recording: SessionRecording {
            action: Action::Record,
            recording: Some(Uuid::from_u128(number).into()),
            decided: Decided::Policy { revision: 1, policy: "Ours".into(), rule: None },
            trouble: None,
        },
    }
}

async fn say(store: &Store, agent: AgentId, changed: Vec<SessionInfo>, seconds: i64) {
    let news = SessionNews { all: None, changed };
    store.write_sessions(SERVER, &[(agent, news)], &[], at(seconds)).await.unwrap();
}

async fn row(store: &Store, number: u128) -> SessionRow {
    store.session(id(number)).await.unwrap().unwrap()
}

pub(crate) async fn a_session_is_as_its_agent_said_last(place: Place) {
    let store = place.site().await;
    let (one, two) = (agent(&store, "a").await, agent(&store, "b").await);
    say(&store, one, vec![session(1, "ada", "h1"), session(2, "Bob", "h1")], 5).await;
    assert_eq!((row(&store, 1).await.info, row(&store, 1).await.agent), (session(1, "ada", "h1"), one));
    // What no database keeps in a text stops nobody else's words from being written.
    say(&store, two, vec![session(88, "a\0da", "h\0"), session(89, "eve", "h1")], 5).await;
    assert_eq!(
        (row(&store, 88).await.info.user.as_str(), row(&store, 89).await.info.user.as_str()),
        ("a\0da", "eve")
    );
    say(&store, two, vec![SessionInfo { state: SessionState::Ended, ..session(88, "a\0da", "h\0") }], 5)
        .await;
    let mut left = session(1, "ada", "h1");
    left.state = SessionState::Disconnected;
    say(&store, one, vec![left.clone()], 6).await;
    assert_eq!((row(&store, 1).await.info, row(&store, 1).await.heard_at), (left.clone(), at(6)));
    // Another agent's word does not count.
    say(&store, two, vec![session(1, "eve", "h2")], 7).await;
    assert_eq!((row(&store, 1).await.info, row(&store, 1).await.agent), (left, one));
    // Those that are not named have ended unseen, and only the agent's own.
    say(&store, two, vec![session(3, "eve", "h2")], 7).await;
    let all = SessionNews { all: Some([id(2)].into()), changed: vec![] };
    store.write_sessions(SERVER, &[(one, all)], &[], at(8)).await.unwrap();
    let ended = row(&store, 1).await;
    assert_eq!((ended.info.state, ended.ended_at), (SessionState::Ended, Some(at(8))));
    assert_eq!((ended.info.changed_at, ended.info.recording.recording), (at(8), None));
    assert_eq!(row(&store, 2).await.info.state, SessionState::Connected);
    assert_eq!(row(&store, 3).await.info.state, SessionState::Connected);
    // It was there all the same.
    say(&store, one, vec![session(1, "ada", "h1")], 9).await;
    assert_eq!((row(&store, 1).await.info, row(&store, 1).await.ended_at), (session(1, "ada", "h1"), None));
    assert!(store.session(id(9)).await.unwrap().is_none());
}

pub(crate) async fn sessions_are_found_and_paged(place: Place) {
    let store = place.site().await;
    let agent = agent(&store, "a").await;
    let mut all: Vec<_> = (1..=7).map(|number| session(number, "ada", "pc_1")).collect();
    all[2].user = "B%b".into();
    all[3].facts.host = "PC-2".into();
    all[4].recording.recording = None;
    all[5].state = SessionState::Ended;
    all[6].state = SessionState::Disconnected;
    // At the same time: told apart by their ids.
    all[1].started_at = all[0].started_at;
    say(&store, agent, all, 50).await;
    let find = async |filter: SessionFilter| -> Vec<u128> {
        let (mut found, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = store.sessions(&filter, 2, cursor.as_deref()).await.unwrap();
            found.extend(
                page.items.iter().map(|(row, _)| Uuid::from_bytes(*row.info.id.as_bytes()).as_u128()),
            );
            cursor = page.items.last().map(|(_, cursor)| cursor.clone());
            if !page.more {
                return found;
            }
        }
    };
    let none = SessionFilter::default();
    assert_eq!(find(none.clone()).await, [7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(find(SessionFilter { user: Some("b%".into()), ..none.clone() }).await, [3]);
    assert_eq!(find(SessionFilter { host: Some("pc_".into()), ..none.clone() }).await, [7, 6, 5, 3, 2, 1]);
    assert_eq!(find(SessionFilter { host: Some("c-2".into()), ..none.clone() }).await, [4]);
    assert_eq!(find(SessionFilter { recorded: Some(false), ..none.clone() }).await, [6, 5]);
    let states = Some(vec![SessionState::Ended, SessionState::Disconnected]);
    assert_eq!(find(SessionFilter { states, ..none.clone() }).await, [7, 6]);
    for cursor in
        ["", "x.1", "00000000-0000-0000-0000-000000000001.x", "00000000-0000-0000-0000-000000000001"]
    {
        let error = store.sessions(&none, 2, Some(cursor)).await.unwrap_err();
        assert!(error.to_string().contains("cursor"), "{cursor}: {error}");
    }
}

pub(crate) async fn an_agent_is_known_to_be_at_one_server(place: Place) {
    let store = place.site().await;
    let agent = agent(&store, "a").await;
    say(&store, agent, vec![session(1, "ada", "h")], 1).await;
    let say = async |server: ServerId, connected: Option<bool>, policy: Option<(u64, Option<String>)>| {
        let news = AgentNews { connected, policy };
        store.write_sessions(server, &[], &[(agent, news)], at(2)).await.unwrap();
        row(&store, 1).await.server
    };
    assert_eq!(say(SERVER, Some(true), None).await, Some(SERVER));
    assert_eq!(say(OTHER, Some(true), Some((3, None))).await, Some(OTHER));
    // It is gone here, having come to the other one before.
    assert_eq!(say(SERVER, Some(false), None).await, Some(OTHER));
    assert_eq!(say(SERVER, None, Some((4, Some("no".into())))).await, Some(OTHER));
    assert_eq!(store.hosts(9).await.unwrap()[0].policy, Some((4, Some("no".into()))));
    store.forget_connections(SERVER).await.unwrap();
    assert_eq!(row(&store, 1).await.server, Some(OTHER));
    store.forget_connections(OTHER).await.unwrap();
    assert_eq!(row(&store, 1).await.server, None);
}

pub(crate) async fn what_has_ended_long_ago_is_forgotten(place: Place) {
    let store = place.site().await;
    let (here, lost) = (agent(&store, "a").await, agent(&store, "b").await);
    let mut ended = session(1, "ada", "h");
    ended.state = SessionState::Ended;
    say(&store, here, vec![ended.clone(), session(2, "bob", "h")], 100).await;
    say(&store, lost, vec![session(3, "eve", "x")], 100).await;
    store.agents_seen(&[here], at(5_000)).await.unwrap();
    assert_eq!(store.prune_sessions(at(100)).await.unwrap(), 0);
    assert_eq!(store.prune_sessions(at(1_000)).await.unwrap(), 2);
    assert!(store.session(id(1)).await.unwrap().is_none());
    assert!(store.session(id(3)).await.unwrap().is_none(), "nothing was heard of its agent");
    assert_eq!(row(&store, 2).await.info.state, SessionState::Connected);
}

pub(crate) async fn a_command_is_taken_once_by_the_server_that_has_the_agent(place: Place) {
    let store = place.site().await;
    let agent = agent(&store, "a").await;
    let command = SessionCommand::StopRecording { session: id(1), by: "root".into() };
    let waiting = WaitingCommand { id: Uuid::from_u128(5), agent, command };
    store.add_command(&waiting, at(10)).await.unwrap();
    assert_eq!(store.take_commands(SERVER, at(0)).await.unwrap(), [], "nobody has the agent");
    let connected = AgentNews { connected: Some(true), policy: None };
    store.write_sessions(SERVER, &[], &[(agent, connected)], at(2)).await.unwrap();
    assert_eq!(store.take_commands(OTHER, at(0)).await.unwrap(), []);
    assert_eq!(store.take_commands(SERVER, at(11)).await.unwrap(), [], "nobody waits for it any more");
    assert_eq!(store.take_commands(SERVER, at(0)).await.unwrap(), std::slice::from_ref(&waiting));
    assert_eq!(store.take_commands(SERVER, at(0)).await.unwrap(), []);
    assert!(!store.remove_command(waiting.id).await.unwrap());
    assert_eq!(store.command_outcome(waiting.id).await.unwrap(), None);
    store.finish_command(waiting.id, "no").await.unwrap();
    assert_eq!(store.command_outcome(waiting.id).await.unwrap(), Some("no".into()));
    assert!(store.remove_command(waiting.id).await.unwrap());
    store.add_command(&waiting, at(10)).await.unwrap();
    store.prune_commands(at(11)).await.unwrap();
    assert_eq!(store.take_commands(SERVER, at(0)).await.unwrap(), []);
}

pub(crate) async fn recordings_are_found_by_their_session(place: Place) {
    let store = place.site().await;
    let agent = agent(&store, "a").await;
    let mut of_session = info("ada", "h", at(1));
    of_session.session = Some(RecordedSession {
        id: id(4),
        users: vec!["ada".into()],
        groups: vec!["staff".into()],
        protocol: RemoteProtocol::Vnc,
        delivery_groups: vec![],
        tags: vec![],
        decided: Decided::NoPolicy,
        events_only: true,
    });
    open(&store, agent, &of_session).await;
    open(&store, agent, &info("ada", "h", at(1))).await;
    let find = async |session| {
        let filter = Filter { session: Some(session), ..Filter::default() };
        store.recordings(&filter, Sort::default(), 10, None).await.unwrap()
    };
    let found = find(id(4)).await;
    assert_eq!((found.total, found.items[0].0.info.clone()), (1, of_session));
    assert_eq!(find(id(5)).await.total, 0);
}
