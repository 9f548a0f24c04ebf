use super::{
    fragments::{SECOND, Tape},
    house::{House, read_some, until},
};
use http::StatusCode;

/// A recording of three segments: 0..6 and 6..12 stored, 12.. in the journal.
async fn played(house: &House) -> (super::agent::Agent, Tape) {
    let mut agent = house.agent().await.connect().await;
    let mut tape = Tape::new("u");
    for seq in 0..18 {
        if seq == 6 || seq == 12 {
            tape.roll_over(3_000);
        } else {
            tape.tick(1_000);
        }
    }
    agent.deliver(&tape).await;
    house.stored(tape.id(), 2).await;
    (agent, tape)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_gives_the_anchor_then_the_key_frame_and_what_follows() {
    let house = House::new().await;
    let (_agent, tape) = played(&house).await;
    let get = async |query: String| house.fragments(tape.id(), &query).await;
    // Key frames are 0, 4, 6, 8, 12, 16; anchors 0, 6, 12.
    for (at_us, anchor, key) in [
        (0, None, 0),
        (3 * SECOND + 999_999, None, 0),
        (4 * SECOND, Some(0), 4),
        (5_950_000, Some(0), 4),
        (6 * SECOND, None, 6),
        (9 * SECOND, Some(6), 8),
        (12 * SECOND - 1, Some(6), 8),
        (12 * SECOND, None, 12),
        (17_900_000, Some(12), 16),
    ] {
        let mut expected: Vec<u8> = anchor.map(|seq| tape.bytes(seq, seq + 1)).unwrap_or_default();
        let mut without = tape.bytes(key, 18);
        assert_eq!(get(format!("at={at_us}&anchor={}", anchor.unwrap_or(key))).await, without, "at {at_us}");
        expected.append(&mut without);
        assert_eq!(get(format!("at={at_us}")).await, expected, "at {at_us}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_anchor_stands_for_the_first_and_for_no_picture() {
    let house = House::new().await;
    let mut agent = house.agent().await.connect().await;
    let mut tape = Tape::new("u");
    // Segments 0..5, 5..10 and 10.. on the anchor of 0: 5 and 10 repeat it, 6 and 11 are the key frames at the same moments.
    for ticks in [5, 3, 3] {
        if !tape.made.is_empty() {
            tape.roll_over_repeated(3_000);
        }
        for _ in 0..ticks {
            tape.tick(1_000);
        }
    }
    agent.deliver(&tape).await;
    house.stored(tape.id(), 2).await;
    let get = async |query: &str| house.fragments(tape.id(), query).await;
    // Key frames are 0, 4, 6 (at 5 s), 8 (at 7 s), 11 (at 9 s) and 12 (at 10 s).
    for (at_us, carrier, key, end) in [
        (4_990_000, 0, 4, 5),
        (5 * SECOND, 5, 6, 7),
        (6_500_000, 5, 6, 8),
        (7_200_000, 5, 8, 9),
        (9 * SECOND, 10, 11, 12),
        (10_500_000, 10, 12, 13),
    ] {
        let wanted = format!("at={at_us}&until={at_us}");
        let without = tape.bytes(key, end);
        assert_eq!(get(&format!("{wanted}&anchor=0")).await.len(), without.len(), "at {at_us}, anchor held");
        assert!(get(&wanted).await == [tape.bytes(carrier, carrier + 1), without].concat(), "at {at_us}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_are_kept_but_what_shows_the_time_always_comes() {
    let house = House::new().await;
    let (_agent, tape) = played(&house).await;
    let get = async |query: &str| house.fragments(tape.id(), query).await;
    assert_eq!(get("at=0&until=2500000").await, tape.bytes(0, 3));
    assert_eq!(get("at=1500000&until=0").await, tape.bytes(0, 2), "up to one that goes past the time");
    assert_eq!(get("at=2950000&max_bytes=1").await, tape.bytes(0, 4), "fragment 2 ends before the time");
    let three = tape.bytes(0, 3).len();
    assert_eq!(get(&format!("at=0&max_bytes={three}")).await, tape.bytes(0, 3));
    assert_eq!(get(&format!("at=0&max_bytes={}", three + 1)).await, tape.bytes(0, 4));
    assert_eq!(get("at=5000000&until=13500000").await, [tape.bytes(0, 1), tape.bytes(4, 14)].concat());
    assert_eq!(get("after=4&until=7000000").await, tape.bytes(5, 8));
    assert_eq!(get("after=10&max_bytes=1").await, tape.bytes(11, 12));
    assert_eq!(get("after=17").await, Vec::<u8>::new(), "the last one is held: nothing more yet");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_outside_the_recording_is_refused_with_its_range() {
    let house = House::new().await;
    let (_agent, tape) = played(&house).await;
    let path = |query: &str| format!("/site/v1/recordings/{}/fragments?{query}", tape.id());
    for (query, status, text) in [
        ("at=17900001", 416, "between 0 and 17900000 us"),
        ("at=-1", 416, "0 us or later"),
        ("at=99999999999999999999", 416, "0 us or later"),
        ("after=18", 416, "its last one is 17"),
        ("at=1.5", 400, "whole microseconds"),
        ("at=x", 400, "whole microseconds"),
        ("", 400, "either 'at'"),
        ("at=0&after=1", 400, "either 'at'"),
        ("at=0&speed=2", 400, "speed"),
    ] {
        let (actual, problem) = house.refused(&path(query)).await;
        assert_eq!(actual.as_u16(), status, "{query}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(text), "{query}: {problem}");
    }
    let other = "/site/v1/recordings/00000000-0000-0000-0000-000000000001";
    for path in [other, &format!("{other}/timeline"), "/site/v1/recordings/x", "/site/v1/none"] {
        assert_eq!(house.refused(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn following_a_live_recording_gives_what_comes_until_it_ends() {
    let house = House::new().await;
    let (mut agent, mut tape) = played(&house).await;
    let path = format!("/site/v1/recordings/{}/fragments?at=17000000&follow=true", tape.id());
    let mut body = house.get(&path).await.into_body().into_data_stream();
    let first = [tape.bytes(12, 13), tape.bytes(16, 18)].concat();
    assert_eq!(read_some(&mut body, first.len()).await, first);
    // Across a roll-over, while the segment before goes to storage.
    for seq in 18..24 {
        let made = if seq == 20 { tape.roll_over(500) } else { tape.tick(500) };
        agent.send(&tape, &made).await;
        assert_eq!(read_some(&mut body, made.bytes.len()).await, made.bytes);
    }
    let last = tape.end();
    agent.send(&tape, &last).await;
    assert_eq!(read_some(&mut body, last.bytes.len()).await, last.bytes);
    use futures_util::StreamExt as _;
    assert!(body.next().await.is_none(), "the stream ends with the recording");

    house.stored(tape.id(), 4).await;
    let again = house.fragments(tape.id(), "after=17&follow=true").await;
    assert_eq!(again, tape.bytes(18, 25), "following what is finished is like reading it");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_server_ends_those_who_follow() {
    let mut house = House::new().await;
    let (_agent, tape) = played(&house).await;
    let path = format!("/site/v1/recordings/{}/fragments?after=17&follow=true", tape.id());
    let mut body = house.get(&path).await.into_body().into_data_stream();
    house.stop().await;
    use futures_util::StreamExt as _;
    assert!(tokio::time::timeout(super::agent::PATIENCE, body.next()).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeline_is_the_same_from_journal_and_storage() {
    let house = House::new().await;
    let mut agent = house.agent().await.connect().await;
    let mut tape = Tape::new("u");
    for _ in 0..5 {
        tape.tick(100);
    }
    // Ten seconds of nothing, which a gap declares.
    let (_, gap) = tape.after_silence(10);
    agent.deliver(&tape).await;
    let path = format!("/site/v1/recordings/{}/timeline?buckets=16&idle_ms=2000", tape.id());
    let live = house.json(&path).await;
    assert_eq!((&live["live"], &live["duration_us"]), (&true.into(), &15_900_000.into()));
    assert_eq!(live["idle"], serde_json::json!([[4_900_000, 15_000_000]]));
    assert_eq!(live["buckets"].as_array().unwrap().len(), 16);
    assert_eq!(live["events"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>(), 1);
    until(async || {
        let gaps = house.json(&path).await["gaps"].clone();
        (gaps == serde_json::json!([{ "from_us": gap.from_us, "to_us": gap.to_us, "cause": "agent-restarted" }]))
            .then_some(())
    })
    .await;

    let last = tape.end();
    agent.send(&tape, &last).await;
    agent.durable(&tape, 7).await;
    house.stored(tape.id(), 2).await;
    let stored = house.json(&path).await;
    assert_eq!(stored["live"], false);
    assert_eq!(stored["idle"], live["idle"]);
    for query in ["buckets=0", "buckets=2001", "buckets=x", "idle=5"] {
        let path = format!("/site/v1/recordings/{}/timeline?{query}", tape.id());
        assert_eq!(house.refused(&path).await.0, StatusCode::BAD_REQUEST, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_are_listed_and_the_stored_ones_downloaded() {
    use http_body_util::BodyExt as _;
    let house = House::new().await;
    let (_agent, tape) = played(&house).await;
    let path = format!("/site/v1/recordings/{}/segments", tape.id());
    let segments = house.json(&path).await;
    let told: Vec<_> = segments["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| {
            (s["number"].as_u64().unwrap(), s["fragments"].as_u64().unwrap(), s["state"].as_str().unwrap())
        })
        .collect();
    assert_eq!(told, [(0, 6, "stored"), (1, 6, "stored"), (2, 6, "writing")]);

    let response = house.get(&format!("{path}/1")).await;
    let headers = response.headers().clone();
    assert_eq!(headers["content-type"], "application/mcap");
    assert_eq!(headers["content-disposition"], format!("attachment; filename=\"{}-000001.mcap\"", tape.id()));
    let file = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(headers["content-length"], file.len().to_string());
    let mut reader = playhead_format::SegmentReader::open(std::io::Cursor::new(file)).unwrap();
    assert_eq!(reader.info().unwrap(), tape.info);
    for position in 0..6 {
        assert_eq!(reader.fragment(position).unwrap(), tape.made[6 + position].bytes);
    }
    assert_eq!(house.refused(&format!("{path}/2")).await.0, StatusCode::CONFLICT);
    assert_eq!(house.refused(&format!("{path}/3")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(house.refused(&format!("{path}/x")).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_segment_is_read_in_parts() {
    let house = House::with(|settings| settings.index_cache_bytes = 0).await;
    let mut agent = house.agent().await.connect().await;
    let mut tape = Tape::new("u");
    // The index is far longer than what is read of the end at first.
    for _ in 0..2_500 {
        tape.tick(20);
    }
    tape.end();
    agent.deliver(&tape).await;
    house.stored(tape.id(), 1).await;
    assert_eq!(house.fragments(tape.id(), "at=0").await, tape.bytes(0, 2_501));
    let at = 1_777 * SECOND;
    let expected = [tape.bytes(0, 1), tape.bytes(1_776, 1_780)].concat();
    assert_eq!(house.fragments(tape.id(), &format!("at={at}&until={}", at + 2 * SECOND)).await, expected);
}
