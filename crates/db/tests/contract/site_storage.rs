use super::{
    databases::Place,
    site::{SERVER, agent, at, info, open},
};
use playhead_db::{
    Area, Database, RowExt as _,
    site::{AREA, MoveState, NewMove, SegmentRow, Store, Use},
};
use playhead_model::{RecordingId, ServerId};
use uuid::Uuid;

pub(crate) fn segment(recording: RecordingId, number: u32, location: &str) -> SegmentRow {
    SegmentRow {
        recording,
        number,
        location: location.into(),
        path: format!("{recording}/{number}"),
        bytes: 100,
        blake3: "aa".into(),
        first_seq: 0,
        next_seq: 1,
        start_us: 0,
        end_us: 1,
        events: 0,
        head: "bb".into(),
        vault: None,
        stored_at: at(3),
    }
}

async fn with_segments(store: &Store, locations: &[&str]) -> RecordingId {
    let agent = agent(store, &Uuid::new_v4().to_string()).await;
    let id = open(store, agent, &info("u", "h", at(0))).await.info.id;
    for (number, location) in (0..).zip(locations) {
        store.add_segment(&segment(id, number, location)).await.unwrap();
    }
    id
}

pub(crate) async fn locations_are_known_with_what_lies_there(place: Place) {
    let store = place.site().await;
    assert_eq!(store.locations_in_use().await.unwrap(), Vec::<String>::new());
    for url in ["/old", "/new"] {
        store.register_location("b", url, "{}", at(0)).await.unwrap();
        assert!(store.set_location_read_only("b", true).await.unwrap());
    }
    store.register_location("a", "s3://x", "{}", at(0)).await.unwrap();
    assert!(!store.set_location_read_only("c", true).await.unwrap());
    let rows = store.locations().await.unwrap();
    let seen: Vec<_> = rows.iter().map(|row| (row.id.as_str(), row.url.as_str(), row.read_only)).collect();
    assert_eq!(seen, [("a", "s3://x", false), ("b", "/new", true)]);

    let one = with_segments(&store, &["b", "a", "b"]).await;
    let two = with_segments(&store, &["gone"]).await;
    assert_eq!(store.locations_in_use().await.unwrap(), ["a", "b", "gone"]);
    let of = |location: &str, segments| Use { location: location.into(), segments, bytes: segments * 100 };
    assert_eq!(store.location_use().await.unwrap(), [of("a", 1), of("b", 2), of("gone", 1)]);
    let page = store.segments_at("b", None, 1).await.unwrap();
    assert_eq!(page, [segment(one, 0, "b")]);
    assert_eq!(store.segments_at("b", Some(&page[0].path), 9).await.unwrap(), [segment(one, 2, "b")]);
    assert_eq!(store.segments_at("b", Some(&segment(one, 2, "b").path), 9).await.unwrap(), []);
    assert_eq!(store.segment(two, 0).await.unwrap(), Some(segment(two, 0, "gone")));
    assert_eq!(store.segment(two, 1).await.unwrap(), None);
}

pub(crate) async fn a_moved_segment_leaves_a_file_to_remove(place: Place) {
    let store = place.site().await;
    let id = with_segments(&store, &["a"]).await;
    let before = segment(id, 0, "a");
    let stale = SegmentRow { blake3: "other".into(), ..before.clone() };
    assert!(!store.move_segment(&stale, "b", "p", at(5)).await.unwrap());
    assert_eq!(store.waiting_removals().await.unwrap(), 0);
    assert!(store.move_segment(&before, "b", "p", at(5)).await.unwrap());
    assert!(!store.move_segment(&before, "c", "p", at(5)).await.unwrap(), "it is not there any more");
    let after = SegmentRow { location: "b".into(), path: "p".into(), ..before.clone() };
    assert_eq!(store.segments(id).await.unwrap(), [after]);
    assert!(store.is_to_be_removed("a", &before.path).await.unwrap());
    assert!(!store.is_to_be_removed("b", "p").await.unwrap());
    let removals = store.removals(at(5), 9).await.unwrap();
    assert_eq!((removals.len(), removals[0].location.as_str()), (1, "a"));
    store.removed(&removals[0]).await.unwrap();
    assert_eq!(store.waiting_removals().await.unwrap(), 0);
}

pub(crate) async fn removals_wait_for_their_time(place: Place) {
    let store = place.site().await;
    let id = with_segments(&store, &["a"]).await;
    // Whatever asks for it: a file that a segment lies in stays.
    store.add_removal("a", &segment(id, 0, "a").path, at(0)).await.unwrap();
    for path in ["x", "y", "x"] {
        store.add_removal("a", path, at(0)).await.unwrap();
    }
    let found = store.removals(at(0), 9).await.unwrap();
    assert_eq!(found.iter().map(|removal| removal.path.as_str()).collect::<Vec<_>>(), ["x", "y"]);
    store.removal_failed(&found[0], "locked", at(60)).await.unwrap();
    let found = store.removals(at(59), 9).await.unwrap();
    assert_eq!(found.iter().map(|removal| removal.path.as_str()).collect::<Vec<_>>(), ["y"]);
    let found = store.removals(at(60), 9).await.unwrap();
    assert_eq!((found[1].path.as_str(), found[1].tries), ("x", 1));
    assert_eq!(store.waiting_removals().await.unwrap(), 3);
}

pub(crate) async fn a_move_is_taken_by_one_server_until_it_falls_silent(place: Place) {
    let store = place.site().await;
    let other: ServerId = Uuid::new_v4().into();
    let wanted = |id: &str| NewMove {
        id: id.into(),
        recording: None,
        source: Some("a".into()),
        target: None,
        created_by: "admin".into(),
    };
    store.add_move(&wanted("1"), at(0)).await.unwrap();
    let tries: Vec<_> = [SERVER, other]
        .into_iter()
        .map(|server| {
            let store = store.clone();
            tokio::spawn(async move { store.take_move(server, at(-100), at(1)).await.unwrap() })
        })
        .collect();
    let mut taken = Vec::new();
    for done in tries {
        taken.extend(done.await.unwrap());
    }
    assert_eq!(taken.len(), 1);
    let row = taken.remove(0);
    assert_eq!((&row.wanted, row.state), (&wanted("1"), MoveState::Running));
    let (mine, theirs) = if row.server == Some(SERVER) { (SERVER, other) } else { (other, SERVER) };
    // Its own server finds it again after a crash, another one when nothing was heard of it.
    assert!(store.take_move(mine, at(-100), at(2)).await.unwrap().is_some());
    assert_eq!(store.take_move(theirs, at(2), at(3)).await.unwrap(), None);
    let mut row = store.take_move(theirs, at(3), at(4)).await.unwrap().unwrap();
    (row.segments, row.bytes, row.failed, row.state) = (3, 300, 1, MoveState::Failed);
    row.error = Some("one is damaged".into());
    store.set_move(&row, at(5)).await.unwrap();
    row.changed_at = at(5);
    assert_eq!(store.take_move(mine, at(99), at(100)).await.unwrap(), None);
    store.add_move(&wanted("2"), at(6)).await.unwrap();
    assert_eq!(store.move_by_id("1").await.unwrap().as_ref(), Some(&row));
    let ids: Vec<_> = store.moves(9).await.unwrap().into_iter().map(|row| row.wanted.id).collect();
    assert_eq!(ids, ["2", "1"]);
}

pub(crate) async fn what_was_stored_before_lies_at_the_default_location(place: Place) {
    const FIRST: Area = Area { migrations: &[AREA.migrations[0]], ..AREA };
    let database = Database::open(&place.url, &FIRST).await.unwrap();
    let mut tx = database.write().await.unwrap();
    for text in [
        "INSERT INTO agents (id, host, public_key, version, system, enrolled_at, last_seen)
         VALUES ('a', 'h', 'k', '1', 's', 0, 0)",
        "INSERT INTO recordings (id, agent, server, info, host_key, user_key, state, started_at, until_at, duration_us, bytes,
            fragments, segments, width, height, gaps, events, heard_at)
         VALUES ('00000000-0000-0000-0000-000000000001', 'a', 's', '{}', 'h', 'u', 'quarantined', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 77)",
        "INSERT INTO segments (recording, number, path, bytes, blake3, fragments, first_seq, next_seq, start_us, end_us, events,
            head, stored_at)
         VALUES ('00000000-0000-0000-0000-000000000001', 0, 'p', 1, 'b', 1, 0, 1, 0, 1, 0, 'h', 5)",
    ] {
        sqlx::query(sqlx::AssertSqlSafe(text)).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    database.close().await;
    let store = place.site().await;
    let id = RecordingId::from(Uuid::from_u128(1));
    assert_eq!(store.segments(id).await.unwrap()[0].location, "default");
    let row = sqlx::query("SELECT quarantined_at FROM recordings")
        .fetch_one(store.database().reader())
        .await
        .unwrap();
    assert_eq!(row.integer("quarantined_at").unwrap(), 77);
}
