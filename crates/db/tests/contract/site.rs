use super::databases::Place;
use playhead_db::site::{Enrolment, NewAgent, NewToken, Opening, Progress, RecordingRow, SegmentRow, Store};
use playhead_model::*;
use uuid::Uuid;

pub(crate) const NOW: i64 = 1_790_000_000_000_000;
pub(crate) const SERVER: ServerId = ServerId::from_bytes([9; 16]);

pub(crate) fn at(seconds: i64) -> WallTime {
    WallTime::from_micros(NOW + seconds * 1_000_000)
}

fn token(hash: &str, uses: u32) -> NewToken {
    NewToken { hash: hash.into(), uses, expires_at: at(60), created_by: "admin".into() }
}

fn new_agent(key: &str) -> NewAgent {
    NewAgent { id: Uuid::new_v4().into(), host: "pc1".into(), public_key: key.into(), version: "1".into() }
}

pub(crate) async fn agent(store: &Store, key: &str) -> AgentId {
    store.add_join_token(&token(key, 1), at(0)).await.unwrap();
    match store.enrol(key, &new_agent(key), at(0)).await.unwrap() {
        Enrolment::Enrolled(id) => id,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn info(user: &str, host: &str, started_at: WallTime) -> RecordingInfo {
    RecordingInfo {
        id: Uuid::new_v4().into(),
        host: host.into(),
        user: user.into(),
        display: ":1".into(),
        client: None,
        client_address: None,
        application: "desktop".into(),
        started_at,
        agent_version: "1".into(),
        monitors: vec![],
        session: None,
    }
}

pub(crate) async fn open(store: &Store, agent: AgentId, info: &RecordingInfo) -> RecordingRow {
    match store.open_recording(agent, SERVER, info, at(1)).await.unwrap() {
        Opening::Opened(row) => *row,
        Opening::NotYours => panic!("not yours"),
    }
}

pub(crate) fn progress(recording: RecordingId) -> Progress {
    Progress {
        recording,
        state: RecordingState::Live,
        duration_us: 5_000_000,
        bytes: 1_000,
        fragments: 5,
        segments: 1,
        width: 800,
        height: 600,
        events: 3,
        end_reason: None,
        problem: None,
        quarantined_at: None,
        heard_at: at(9),
        connected: true,
        new_gaps: vec![],
    }
}

pub(crate) async fn the_identity_is_made_once(place: Place) {
    let (one, two) = (place.site().await, place.site().await);
    let ids: [SiteId; 2] = [Uuid::new_v4().into(), Uuid::new_v4().into()];
    let (first, second) = tokio::join!(
        one.identity(ids[0], Some("Berlin"), at(0)),
        two.identity(ids[1], Some("Berlin"), at(0))
    );
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first, second);
    assert!(ids.contains(&first.id));
    let renamed = one.identity(ids[0], Some("Bonn"), at(9)).await.unwrap();
    assert_eq!((renamed.id, renamed.name.as_str(), renamed.created_at), (first.id, "Bonn", at(0)));
    assert_eq!(two.identity(ids[1], None, at(9)).await.unwrap(), renamed);
}

pub(crate) async fn settings_are_kept(place: Place) {
    let store = place.site().await;
    assert_eq!(store.settings().await.unwrap(), RecordingSettings::default());
    for frame_rate in [5, 20] {
        let settings = RecordingSettings { frame_rate, ..Default::default() };
        store.set_settings(&settings, at(0)).await.unwrap();
        assert_eq!(store.settings().await.unwrap(), settings);
    }
}

pub(crate) async fn a_token_is_good_for_its_uses_and_time(place: Place) {
    let store = place.site().await;
    store.add_join_token(&token("t", 2), at(0)).await.unwrap();
    let enrol =
        async |hash: &str, key: &str, seconds| store.enrol(hash, &new_agent(key), at(seconds)).await.unwrap();
    assert_eq!(enrol("other", "k", 1).await, Enrolment::Unknown);
    assert_eq!(enrol("t", "k", 60).await, Enrolment::Expired);
    assert!(matches!(enrol("t", "k1", 59).await, Enrolment::Enrolled(_)));
    assert!(matches!(enrol("t", "k2", 59).await, Enrolment::Enrolled(_)));
    assert_eq!(enrol("t", "k3", 59).await, Enrolment::UsedUp);
    assert_eq!(store.hosts(10).await.unwrap().len(), 2);

    store.add_join_token(&token("v", 3), at(0)).await.unwrap();
    let good = store.join_tokens(at(59)).await.unwrap();
    let shown: Vec<_> = good.iter().map(|token| (token.hash.as_str(), token.uses_left)).collect();
    assert_eq!(shown, [("v", 3)], "the used-up one is left out");
    assert_eq!((good[0].created_at, good[0].created_by.as_str()), (at(0), "admin"));
    assert_eq!(store.join_tokens(at(60)).await.unwrap(), [], "expired");
    assert!(store.remove_join_token("v").await.unwrap());
    assert!(!store.remove_join_token("v").await.unwrap());
    assert_eq!(enrol("v", "k4", 1).await, Enrolment::Unknown, "revoked");
    // A day later it is cleared away when another is made.
    store.add_join_token(&token("u", 1), at(90_000)).await.unwrap();
    assert_eq!(enrol("t", "k", 1).await, Enrolment::Unknown);
}

pub(crate) async fn a_token_is_not_used_twice_by_two_at_once(place: Place) {
    let store = place.site().await;
    store.add_join_token(&token("t", 1), at(0)).await.unwrap();
    let tries: Vec<_> = (0..8)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.enrol("t", &new_agent(&format!("k{n}")), at(1)).await.unwrap() })
        })
        .collect();
    let mut enrolled = 0;
    for done in tries {
        match done.await.unwrap() {
            Enrolment::Enrolled(_) => enrolled += 1,
            other => assert_eq!(other, Enrolment::UsedUp),
        }
    }
    assert_eq!(enrolled, 1);
}

pub(crate) async fn an_agent_with_a_known_key_stays_who_it_is(place: Place) {
    let store = place.site().await;
    let first = agent(&store, "key").await;
    store.add_join_token(&token("again", 1), at(0)).await.unwrap();
    let again = NewAgent { host: "renamed".into(), ..new_agent("key") };
    assert_eq!(store.enrol("again", &again, at(5)).await.unwrap(), Enrolment::Enrolled(first));
    let agent = store.agent(first).await.unwrap().unwrap();
    assert_eq!((agent.host.as_str(), agent.enrolled_at, agent.last_seen), ("renamed", at(0), at(5)));
    assert_eq!(store.agent(Uuid::new_v4().into()).await.unwrap(), None);
}

pub(crate) async fn hosts_tell_when_they_were_seen_and_what_they_record(place: Place) {
    let store = place.site().await;
    let (a, b) = (agent(&store, "a").await, agent(&store, "b").await);
    store.agent_greeted(a, "zeta", "2", "Debian", at(7)).await.unwrap();
    store.agents_seen(&[a], at(8)).await.unwrap();
    for _ in 0..2 {
        open(&store, a, &info("u", "zeta", at(0))).await;
    }
    let ended = open(&store, a, &info("u", "zeta", at(0))).await;
    let end = Progress { state: RecordingState::Finished, ..progress(ended.info.id) };
    store.set_progress(&[end]).await.unwrap();

    let hosts = store.hosts(10).await.unwrap();
    let seen: Vec<_> = hosts
        .iter()
        .map(|h| (h.agent.id, h.agent.host.as_str(), h.agent.last_seen, h.live_recordings))
        .collect();
    assert_eq!(seen, [(b, "pc1", at(0), 0), (a, "zeta", at(8), 2)]);
    assert_eq!((hosts[1].agent.version.as_str(), hosts[1].agent.system.as_str()), ("2", "Debian"));
    assert_eq!(store.hosts(1).await.unwrap().len(), 1);
}

pub(crate) async fn a_recording_belongs_to_its_agent(place: Place) {
    let store = place.site().await;
    let (a, b) = (agent(&store, "a").await, agent(&store, "b").await);
    let info = info("Zoë", "pc1", at(0));
    let row = open(&store, a, &info).await;
    assert_eq!((&row.info, row.agent, row.state, row.server), (&info, a, RecordingState::Live, SERVER));
    assert_eq!((row.fragments, row.ended_at, row.heard_at), (0, None, at(1)));
    // Opening again finds it as it is.
    store.set_progress(&[progress(info.id)]).await.unwrap();
    assert_eq!(open(&store, a, &info).await.fragments, 5);
    let stolen = store.open_recording(b, SERVER, &info, at(2)).await.unwrap();
    assert_eq!(stolen, Opening::NotYours);
    assert_eq!(store.recording(info.id).await.unwrap().unwrap().agent, a);
    assert_eq!(store.recording(Uuid::new_v4().into()).await.unwrap(), None);
}

pub(crate) async fn what_was_met_in_a_recording_is_kept(place: Place) {
    let store = place.site().await;
    let agent = agent(&store, "a").await;
    let row = open(&store, agent, &info("u", "h", at(0))).await;
    assert_eq!(row.contents, Contents::default());
    let id = row.info.id;
    let sound = Contents { sound: true, ..Contents::default() };
    store.note_contents(&[(id, sound.clone())]).await.unwrap();
    assert_eq!(store.recording(id).await.unwrap().unwrap().contents, sound);
    store.set_progress(&[progress(id)]).await.unwrap();
    let mask = "title=*Größe 'x'*,colour=grey".parse::<Mask>().unwrap().applied(7);
    let all = Contents { video: true, masks: vec![mask], ..sound.clone() };
    store.note_contents(&[(id, all.clone()), (Uuid::new_v4().into(), sound)]).await.unwrap();
    store.note_contents(&[]).await.unwrap();
    assert_eq!(store.recording(id).await.unwrap().unwrap().contents, all);
}

pub(crate) async fn progress_gaps_and_end_are_kept(place: Place) {
    let store = place.site().await;
    let agent = agent(&store, "a").await;
    let id = open(&store, agent, &info("u", "h", at(0))).await.info.id;
    let gap = |from_us| Gap { from_us, to_us: from_us + 10, cause: GapCause::AgentRestarted };
    let step = Progress { new_gaps: vec![gap(5), gap(90)], ..progress(id) };
    store.set_progress(std::slice::from_ref(&step)).await.unwrap();
    // Told again after a crash: counted once.
    let again = Progress { new_gaps: vec![gap(90), gap(7)], ..step };
    store.set_progress(&[again]).await.unwrap();
    let row = store.recording(id).await.unwrap().unwrap();
    assert_eq!((row.duration_us, row.bytes, row.fragments, row.segments), (5_000_000, 1_000, 5, 1));
    assert_eq!((row.width, row.height, row.events, row.gaps), (800, 600, 3, 3));
    assert_eq!((row.state, row.ended_at, row.heard_at), (RecordingState::Live, None, at(9)));
    assert_eq!(store.gaps(id, 10).await.unwrap(), [gap(5), gap(7), gap(90)]);
    assert_eq!(store.gaps(id, 1).await.unwrap(), [gap(5)]);
    assert_eq!(store.live_recordings(SERVER).await.unwrap(), [row]);
    assert_eq!(store.live_recordings(Uuid::new_v4().into()).await.unwrap(), []);

    let end = Progress {
        state: RecordingState::Finished,
        end_reason: Some(EndReason::SessionEnded),
        ..progress(id)
    };
    store.set_progress(&[end]).await.unwrap();
    let row = store.recording(id).await.unwrap().unwrap();
    assert_eq!((row.state, row.end_reason), (RecordingState::Finished, Some(EndReason::SessionEnded)));
    assert_eq!(row.ended_at, Some(at(5)));
    let broken = Progress {
        state: RecordingState::Quarantined,
        problem: Some("fragment 3 is missing".into()),
        quarantined_at: Some(at(20)),
        ..progress(id)
    };
    store.set_progress(std::slice::from_ref(&broken)).await.unwrap();
    // Told again after a restart: since when stays.
    store.set_progress(&[Progress { quarantined_at: Some(at(30)), ..broken }]).await.unwrap();
    let row = store.recording(id).await.unwrap().unwrap();
    assert_eq!((row.problem.as_deref(), row.quarantined_at), (Some("fragment 3 is missing"), Some(at(20))));
    assert_eq!(store.live_recordings(SERVER).await.unwrap(), []);
}

pub(crate) async fn an_empty_recording_can_be_forgotten(place: Place) {
    let store = place.site().await;
    let agent = agent(&store, "a").await;
    let (empty, full) = (info("u", "h", at(0)), info("u", "h", at(0)));
    open(&store, agent, &empty).await;
    open(&store, agent, &full).await;
    store.set_progress(&[progress(full.id)]).await.unwrap();
    for id in [empty.id, full.id] {
        store.forget_empty(id).await.unwrap();
    }
    assert_eq!(store.recording(empty.id).await.unwrap(), None);
    assert!(store.recording(full.id).await.unwrap().is_some());
}

pub(crate) async fn segments_are_kept_once_each(place: Place) {
    let store = place.site().await;
    let agent = agent(&store, "a").await;
    let id = open(&store, agent, &info("u", "h", at(0))).await.info.id;
    let segment = |number: u32| SegmentRow {
        recording: id,
        number,
        location: "default".into(),
        path: format!("2026/01/01/{id}/{number:06}.mcap"),
        bytes: 100,
        blake3: "aa".into(),
        first_seq: u64::from(number) * 10,
        next_seq: u64::from(number) * 10 + 10,
        start_us: u64::from(number) * 1_000,
        end_us: u64::from(number) * 1_000 + 900,
        events: 4,
        head: "bb".into(),
        vault: Some("cc".into()),
        stored_at: at(3),
    };
    assert_eq!(store.last_segment(id).await.unwrap(), None);
    for number in [1, 0, 2, 1] {
        store.add_segment(&segment(number)).await.unwrap();
    }
    let changed = SegmentRow { bytes: 200, ..segment(1) };
    store.add_segment(&changed).await.unwrap();
    assert_eq!(store.segments(id).await.unwrap(), [segment(0), changed, segment(2)]);
    assert_eq!(store.last_segment(id).await.unwrap(), Some(segment(2)));
    assert_eq!(store.segments(Uuid::new_v4().into()).await.unwrap(), []);
}
