use super::{
    databases::Place,
    site::{agent, at, info, open},
    site_storage::segment,
};
use playhead_db::site::{Privacy, Store, WrappedKey};
use playhead_model::RecordingId;

fn key(site_key: &str, wrapped: &str) -> WrappedKey {
    WrappedKey { site_key: site_key.into(), wrapped: wrapped.into() }
}

async fn recording(store: &Store, name: &str) -> RecordingId {
    let agent = agent(store, name).await;
    open(store, agent, &info("u", "h", at(0))).await.info.id
}

pub(crate) async fn a_data_key_is_given_once_and_rewrapped_unless_shredded(place: Place) {
    let store = place.site().await;
    let (a, b) = (recording(&store, "a").await, recording(&store, "b").await);
    assert_eq!(store.data_key(a).await.unwrap(), None);
    assert_eq!(store.recording(a).await.unwrap().unwrap().privacy, Privacy::default());
    let first = store.add_data_key(a, "id1", &key("s1", "w1"), at(1)).await.unwrap();
    assert_eq!(store.add_data_key(a, "id2", &key("s1", "w2"), at(2)).await.unwrap(), first);
    assert_eq!(first.wrapped, Some(key("s1", "w1")));
    store.add_data_key(b, "id3", &key("s2", "w3"), at(2)).await.unwrap();
    assert!(store.recording(a).await.unwrap().unwrap().privacy.encrypted);

    let counts = |used: Vec<playhead_db::site::KeyUse>| -> Vec<(String, u64)> {
        used.into_iter().map(|one| (one.site_key, one.data_keys)).collect()
    };
    assert_eq!(counts(store.key_use().await.unwrap()), [("s1".into(), 1), ("s2".into(), 1)]);
    let old = store.data_keys_to_rewrap("s2", None, 10).await.unwrap();
    assert_eq!(old, [first]);
    assert_eq!(store.data_keys_to_rewrap("s2", Some(a.max(b)), 10).await.unwrap(), []);
    assert!(store.rewrapped(&old[0], &key("s2", "w1b"), at(3)).await.unwrap());
    assert!(!store.rewrapped(&old[0], &key("s2", "w1c"), at(3)).await.unwrap(), "it is another one by now");
    assert_eq!(counts(store.key_use().await.unwrap()), [("s2".into(), 2)]);

    let before = store.data_key(a).await.unwrap().unwrap();
    let shredded = store.shred(a, "anna", "asked for", at(4)).await.unwrap().unwrap();
    assert_eq!((shredded.by.as_str(), shredded.why.as_str(), shredded.at), ("anna", "asked for", at(4)));
    store.purge_deleted_keys().await.unwrap();
    assert_eq!(store.shred(a, "bert", "", at(5)).await.unwrap().unwrap(), shredded, "once is enough");
    assert!(!store.rewrapped(&before, &key("s3", "w"), at(6)).await.unwrap(), "gone is gone");
    assert_eq!(store.data_key(a).await.unwrap().unwrap().wrapped, None);
    let late = store.add_data_key(a, "id9", &key("s3", "w"), at(7)).await.unwrap();
    assert_eq!(late.wrapped, None, "it does not get another one");
    let privacy = store.recording(a).await.unwrap().unwrap().privacy;
    assert_eq!((privacy.encrypted, privacy.shredded), (true, Some(shredded)));
    assert_eq!(store.recording(b).await.unwrap().unwrap().privacy.shredded, None);
    let plain = recording(&store, "c").await;
    assert_eq!(store.shred(plain, "anna", "", at(8)).await.unwrap(), None);
    assert_eq!(store.encryption().await.unwrap(), None);
    store.set_encryption("x", at(9)).await.unwrap();
    store.set_encryption("y", at(9)).await.unwrap();
    assert_eq!(store.encryption().await.unwrap().as_deref(), Some("y"));
}

pub(crate) async fn a_time_stamp_is_wanted_once_and_follows_its_segment(place: Place) {
    let store = place.site().await;
    let id = recording(&store, "a").await;
    for _ in 0..2 {
        store.want_time_stamp(id, 3, "d1", at(0)).await.unwrap();
    }
    let row = store.time_stamps_to_get(at(1), 10).await.unwrap().remove(0);
    assert_eq!((row.number, row.digest.as_str(), row.tries), (3, "d1", 0));
    store.time_stamp_failed(&row, "away", at(10)).await.unwrap();
    assert_eq!(store.time_stamps_to_get(at(9), 10).await.unwrap(), []);
    assert_eq!(store.time_stamps_waiting().await.unwrap(), (1, Some("away".into())));
    let row = store.time_stamps_to_get(at(10), 10).await.unwrap().remove(0);
    assert_eq!(row.tries, 1);
    store.time_stamped(&row, "answer", at(11)).await.unwrap();
    store.want_time_stamp(id, 3, "d1", at(12)).await.unwrap();
    assert_eq!(store.time_stamps_waiting().await.unwrap(), (0, None));

    assert_eq!(store.time_stamps_to_put(10).await.unwrap(), [], "the segment is not stored yet");
    store.add_segment(&segment(id, 3, "l1")).await.unwrap();
    let row = store.time_stamps_to_put(10).await.unwrap().remove(0);
    let path = format!("{id}/3.tsr");
    store.time_stamp_put(&row, "l1", &path).await.unwrap();
    assert_eq!(store.time_stamps_to_put(10).await.unwrap(), []);
    let stored = store.segment(id, 3).await.unwrap().unwrap();
    assert!(store.move_segment(&stored, "l2", "p", at(13)).await.unwrap());
    assert_eq!(store.time_stamps_to_put(10).await.unwrap()[0].place, Some(("l1".into(), path)));
    // Another seal is another matter.
    store.want_time_stamp(id, 4, "d2", at(14)).await.unwrap();
    let row = store.time_stamp(id).await.unwrap().unwrap();
    assert_eq!((row.number, row.response, row.tries), (4, None, 0));
}
