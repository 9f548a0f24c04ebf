use super::{
    databases::Place,
    site::{SERVER, agent, at, info, open, progress},
};
use playhead_db::{
    DbError,
    site::{NewServer, Owner, Progress, SegmentRow, ServerState, Store},
};
use playhead_model::*;
use uuid::Uuid;

const OTHER: ServerId = ServerId::from_bytes([8; 16]);

fn server(id: ServerId) -> NewServer {
    NewServer {
        id,
        name: id.to_string(),
        url: "https://x:1".into(),
        authority: "a".into(),
        public_key: "k".into(),
        version: "1".into(),
        shared: true,
        lease_ms: 10_000,
    }
}

fn segment(recording: RecordingId) -> SegmentRow {
    SegmentRow {
        recording,
        number: 0,
        location: "default".into(),
        path: "x".into(),
        bytes: 1,
        blake3: "0".repeat(64),
        first_seq: 0,
        next_seq: 5,
        start_us: 0,
        end_us: 1,
        events: 0,
        head: "0".repeat(64),
        vault: None,
        stored_at: at(0),
    }
}

async fn both(store: &Store) -> (Owner, Owner) {
    let one = store.register_server(&server(SERVER)).await.unwrap();
    (one, store.register_server(&server(OTHER)).await.unwrap())
}

pub(crate) async fn a_server_is_known_by_its_signs_of_life(place: Place) {
    let store = place.site().await;
    let (one, other) = both(&store).await;
    assert_eq!((one.epoch, other.epoch), (1, 1));
    assert!(store.beat(one, ServerState::Draining).await.unwrap());
    let rows = store.servers().await.unwrap();
    let row = rows.iter().find(|row| row.server.id == SERVER).unwrap();
    assert_eq!((&row.server, row.beats, row.state), (&server(SERVER), 1, ServerState::Draining));
    assert!(row.age_us < 60_000_000, "{}", row.age_us);
    store.use_journal_location(one, "a").await.unwrap();
    store.use_journal_location(one, "b").await.unwrap();
    store.use_journal_location(one, "a").await.unwrap();

    let again = store.register_server(&NewServer { shared: false, ..server(SERVER) }).await.unwrap();
    assert_eq!(again.epoch, 2);
    assert!(!store.beat(one, ServerState::Running).await.unwrap(), "of the start before");
    assert!(matches!(store.use_journal_location(one, "c").await, Err(DbError::Fenced)));
    let rows = store.servers().await.unwrap();
    let row = rows.iter().find(|row| row.server.id == SERVER).unwrap();
    assert_eq!((row.owner(), row.server.shared, row.state), (again, false, ServerState::Running));
    assert_eq!(row.locations, ["a", "b"]);
}

pub(crate) async fn only_one_takes_over_and_only_from_who_is_still(place: Place) {
    let store = place.site().await;
    let (one, other) = both(&store).await;
    let third = store.register_server(&server(ServerId::from_bytes([7; 16]))).await.unwrap();
    let rows = store.servers().await.unwrap();
    let seen = rows.iter().find(|row| row.server.id == SERVER).unwrap();
    assert!(store.beat(one, ServerState::Running).await.unwrap());
    assert_eq!(store.fence(seen, other).await.unwrap(), None, "it lives");

    let rows = store.servers().await.unwrap();
    let seen = rows.iter().find(|row| row.server.id == SERVER).unwrap();
    let (a, b) = tokio::join!(store.fence(seen, other), store.fence(seen, third));
    let won: Vec<Owner> = [a.unwrap(), b.unwrap()].into_iter().flatten().collect();
    assert_eq!(won, [Owner { epoch: 2, ..one }]);
    assert!(!store.beat(one, ServerState::Running).await.unwrap());
    let lost = won[0];
    store.adopted(lost).await.unwrap();
    assert!(matches!(store.fence(seen, one).await, Err(DbError::Fenced)), "by one that is lost itself");
    let back = store.register_server(&server(SERVER)).await.unwrap();
    assert_eq!(back.epoch, 3);
    assert!(matches!(store.adopted(lost).await, Err(DbError::Fenced)));
}

pub(crate) async fn nobody_writes_for_a_recording_that_is_not_theirs(place: Place) {
    let store = place.site().await;
    let (one, other) = both(&store).await;
    let agent = agent(&store, "k").await;
    let (mine, yours) = (info("u", "h", at(0)), info("u", "h", at(1)));
    open(&store, agent, &mine).await;
    open(&store, agent, &yours).await;
    assert_eq!(store.transfer(&[yours.id], one, other, None).await.unwrap(), [yours.id]);
    assert_eq!(store.transfer(&[yours.id], one, other, None).await.unwrap(), [], "not one's own any more");

    // An offer is taken once, by its number, or withdrawn.
    assert!(store.offer(mine.id, one, 7).await.unwrap());
    assert_eq!(store.transfer(&[mine.id], one, other, Some(8)).await.unwrap(), []);
    assert!(store.withdraw(mine.id, one).await.unwrap());
    assert_eq!(store.transfer(&[mine.id], one, other, Some(7)).await.unwrap(), []);
    assert!(store.offer(mine.id, one, 9).await.unwrap());
    assert_eq!(store.transfer(&[mine.id], one, other, Some(9)).await.unwrap(), [mine.id]);
    assert!(!store.withdraw(mine.id, one).await.unwrap());
    assert!(!store.offer(mine.id, one, 9).await.unwrap());
    assert_eq!(store.transfer(&[mine.id], other, one, None).await.unwrap(), [mine.id]);

    let acting = store.acting_for(one);
    acting.set_progress(&[progress(mine.id), progress(yours.id)]).await.unwrap();
    let row = store.recording(mine.id).await.unwrap().unwrap();
    assert_eq!((row.server, row.fragments, row.connected), (SERVER, 5, true));
    let row = store.recording(yours.id).await.unwrap().unwrap();
    assert_eq!((row.server, row.fragments), (OTHER, 0));
    acting.add_segment(&segment(mine.id)).await.unwrap();
    assert!(
        matches!(acting.add_segment(&segment(yours.id)).await, Err(DbError::NotOwner(id)) if id == yours.id)
    );

    let rows = store.servers().await.unwrap();
    let seen = rows.iter().find(|row| row.server.id == SERVER).unwrap();
    assert_eq!(seen.live_recordings, 1);
    let lost = store.fence(seen, other).await.unwrap().unwrap();
    let late = Progress { fragments: 9, ..progress(mine.id) };
    assert!(matches!(acting.set_progress(&[late]).await, Err(DbError::Fenced)));
    assert!(matches!(acting.add_segment(&segment(mine.id)).await, Err(DbError::Fenced)));
    assert!(matches!(store.transfer(&[mine.id], one, other, None).await, Err(DbError::Fenced)));
    assert_eq!(
        store.transfer(&[mine.id, Uuid::new_v4().into()], lost, other, None).await.unwrap(),
        [mine.id]
    );
    assert_eq!(store.recording(mine.id).await.unwrap().unwrap().fragments, 5);
}
