use super::{
    databases::Place,
    site::{agent, at, info, open},
    site_storage::segment,
};
use playhead_db::site::{NewFile, Progress, SegmentRow, Store, Tending};
use playhead_model::{EndReason, RecordingId, RecordingState};

async fn with_segment(store: &Store) -> SegmentRow {
    let agent = agent(store, "tended").await;
    let id = open(store, agent, &info("u", "h", at(0))).await.info.id;
    let row = segment(id, 0, "a");
    store.add_segment(&row).await.unwrap();
    row
}

fn here() -> Vec<String> {
    vec!["z".into(), "a".into()]
}

fn denser(of: &SegmentRow) -> NewFile {
    NewFile {
        location: of.location.clone(),
        path: format!("{}-p1", of.path),
        bytes: 70,
        blake3: "cc".into(),
        vault: None,
        packing: 1,
        saved: 30,
    }
}

pub(crate) async fn a_segment_is_taken_by_one_and_replaced_with_its_file(place: Place) {
    let store = place.site().await;
    let row = with_segment(&store).await;
    assert_eq!(store.segments_to_pack(&here(), 1, at(3), at(9), 5).await.unwrap(), [], "stored at 3");
    assert_eq!(
        store.segments_to_pack(&here(), 1, at(4), at(9), 5).await.unwrap(),
        std::slice::from_ref(&row)
    );
    assert_eq!(
        store.segments_to_pack(&here()[..1], 1, at(4), at(9), 5).await.unwrap(),
        [],
        "it lies elsewhere"
    );
    assert_eq!(store.segments_to_check(&[], at(4), at(9), 5).await.unwrap(), []);
    assert_eq!(store.segments_to_check(&here(), at(4), at(9), 5).await.unwrap(), std::slice::from_ref(&row));
    assert!(store.take_segment(&row, "s", at(20), at(9)).await.unwrap());
    assert!(!store.take_segment(&row, "s", at(21), at(10)).await.unwrap());
    assert_eq!(store.segments_to_pack(&here(), 1, at(4), at(10), 5).await.unwrap(), []);
    assert_eq!(store.segments_to_check(&here(), at(4), at(10), 5).await.unwrap(), []);
    assert_eq!(
        store.segments_to_pack(&here(), 1, at(4), at(21), 5).await.unwrap(),
        std::slice::from_ref(&row),
        "its server is gone"
    );

    let new = denser(&row);
    store.begin_file(&row, &new.location, &new.path, at(10)).await.unwrap();
    assert!(store.replace_file(&row, &new, at(90), at(11)).await.unwrap());
    let now = store.segment(row.recording, 0).await.unwrap().unwrap();
    let path = new.path.clone();
    assert_eq!(now, SegmentRow { path, bytes: 70, blake3: "cc".into(), ..row.clone() });
    assert_eq!(store.removals(at(89), 9).await.unwrap(), []);
    assert_eq!(store.removals(at(90), 9).await.unwrap()[0].path, row.path);
    assert_eq!(store.segments_to_pack(&here(), 1, at(4), at(12), 5).await.unwrap(), []);
    assert_eq!(store.packing_of(&now).await.unwrap(), (1, 30));
    assert_eq!(store.give_up_files(at(99), at(99)).await.unwrap(), 0);

    // Somebody else was quicker: what was written goes at once.
    let late = NewFile { path: "late".into(), ..new };
    assert!(!store.replace_file(&row, &late, at(90), at(12)).await.unwrap());
    assert_eq!(store.removals(at(12), 9).await.unwrap()[0].path, "late");
    assert_eq!(store.segment(row.recording, 0).await.unwrap(), Some(now));
    let expected =
        Tending { segments: 1, packed: 1, saved: 30, checked: 1, damaged: 0, oldest_check: Some(at(11)) };
    assert_eq!(store.tending(1).await.unwrap(), expected);
}

pub(crate) async fn what_a_crash_leaves_is_removed(place: Place) {
    let store = place.site().await;
    let row = with_segment(&store).await;
    store.begin_file(&row, "a", "left", at(5)).await.unwrap();
    store.begin_file(&row, "a", &row.path, at(5)).await.unwrap();
    assert_eq!(store.give_up_files(at(5), at(9)).await.unwrap(), 0);
    assert_eq!(store.give_up_files(at(6), at(9)).await.unwrap(), 1);
    let removals = store.removals(at(9), 9).await.unwrap();
    assert_eq!(removals.iter().map(|removal| removal.path.as_str()).collect::<Vec<_>>(), ["left"]);
    assert!(store.take_segment(&row, "s", at(20), at(9)).await.unwrap());
    store.release_segments("t").await.unwrap();
    assert!(!store.take_segment(&row, "t", at(20), at(9)).await.unwrap());
    store.release_segments("s").await.unwrap();
    assert!(store.take_segment(&row, "t", at(20), at(9)).await.unwrap());
    store.leave_segment(&row, Some(2)).await.unwrap();
    assert!(store.take_segment(&row, "s", at(20), at(9)).await.unwrap());
    assert_eq!(store.packing_of(&row).await.unwrap(), (2, 0));
}

async fn finished(store: &Store, id: RecordingId) -> (RecordingState, Option<String>) {
    let row = store.recording(id).await.unwrap().unwrap();
    (row.state, row.problem)
}

pub(crate) async fn a_damaged_segment_sets_its_recording_aside_until_it_is_mended(place: Place) {
    let store = place.site().await;
    let row = with_segment(&store).await;
    let id = row.recording;
    store.segment_checked(&row, Some("bent"), at(10)).await.unwrap();
    assert_eq!(finished(&store, id).await, (RecordingState::Live, None), "the rest of it still comes");
    let progress = Progress {
        recording: id,
        state: RecordingState::Finished,
        duration_us: 1,
        bytes: 1,
        fragments: 1,
        segments: 1,
        width: 1,
        height: 1,
        events: 0,
        new_gaps: vec![],
        end_reason: Some(EndReason::SessionEnded),
        problem: None,
        quarantined_at: None,
        heard_at: at(2),
        connected: false,
    };
    store.set_progress(&[progress]).await.unwrap();
    store.segment_checked(&row, Some("bent"), at(11)).await.unwrap();
    let (state, problem) = finished(&store, id).await;
    assert_eq!(state, RecordingState::Quarantined);
    assert!(problem.unwrap().contains("bent"));
    let damaged = store.damaged_segments(9).await.unwrap();
    assert_eq!((damaged.len(), damaged[0].damage.as_str(), damaged[0].checked_at), (1, "bent", at(11)));
    assert_eq!(store.segments_to_pack(&here(), 1, at(99), at(99), 9).await.unwrap(), [], "left alone");

    store.segment_checked(&row, None, at(12)).await.unwrap();
    assert_eq!(finished(&store, id).await, (RecordingState::Finished, None));
    store.segment_checked(&row, Some("bent"), at(13)).await.unwrap();
    let left = format!("2026/01/02/{id}/000000.mcap");
    store.add_removal("b", &left, at(13)).await.unwrap();
    assert_eq!(store.files_left(id).await.unwrap()[0].path, left);
    assert!(store.replace_file(&row, &denser(&row), at(14), at(14)).await.unwrap());
    assert_eq!(finished(&store, id).await, (RecordingState::Finished, None));
    assert_eq!(store.damaged_segments(9).await.unwrap(), []);
}
