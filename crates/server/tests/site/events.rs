use super::{
    agent::Agent,
    fragments::{SECOND, Tape},
    house::{House, until},
};
use playhead_format::{EventMessage, event::NoticeEvent};
use serde_json::{Value, json};

fn notice(what: NoticeEvent) -> Vec<u8> {
    EventMessage::Notice { what }.encode()
}

/// Two stored segments, 0..6 and 6..12, and one in the journal; events in fragments 1, 7 and 13, of which others count some too.
async fn recorded(house: &House) -> (Agent, Tape) {
    let mut agent = house.agent().await.connect().await;
    let mut tape = Tape::new("u");
    for seq in 0..16 {
        tape.events = match seq {
            1 => vec![notice(NoticeEvent::Asked), notice(NoticeEvent::Accepted)],
            7 => vec![
                EventMessage::HelperEnded { signal: Some(9) }.encode(),
                br#"{"type":"of-a-later-version","depth":{"a":[1]}}"#.to_vec(),
                b"\xff{".to_vec(),
            ],
            13 => vec![notice(NoticeEvent::Dismissed)],
            _ => vec![],
        };
        if seq == 6 || seq == 12 {
            tape.roll_over(100);
        } else {
            tape.tick(100);
        }
    }
    agent.deliver(&tape).await;
    house.stored(tape.id(), 2).await;
    (agent, tape)
}

fn expected() -> Value {
    let at = |us: u64| playhead_model::WallTime::from_micros(1_790_000_000_000_000 + us as i64).to_string();
    json!([
        { "at_us": SECOND, "at": at(SECOND), "type": "notice", "particulars": { "what": "asked" } },
        { "at_us": 1_100_000, "at": at(1_100_000), "type": "notice", "particulars": { "what": "accepted" } },
        { "at_us": 7 * SECOND, "at": at(7 * SECOND), "type": "helper-ended", "particulars": { "signal": 9 } },
        { "at_us": 7_100_000, "at": at(7_100_000), "type": "of-a-later-version", "particulars": { "depth": { "a": [1] } } },
        { "at_us": 7_200_000, "at": at(7_200_000), "type": "unknown", "particulars": {} },
        { "at_us": 13 * SECOND, "at": at(13 * SECOND), "type": "notice", "particulars": { "what": "dismissed" } },
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_from_journal_and_storage_and_go_on_where_a_page_ended() {
    let house = House::new().await;
    let (mut agent, mut tape) = recorded(&house).await;
    let base = format!("/site/v1/recordings/{}/events", tape.id());
    let all = house.json(&base).await;
    assert_eq!((&all["items"], &all["more"]), (&expected(), &false.into()));
    let later = all["next"].as_str().unwrap().to_owned();

    for limit in 1..=7 {
        let (mut items, mut cursor) = (vec![], String::new());
        loop {
            let page = house.json(&format!("{base}?limit={limit}{cursor}")).await;
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            cursor = format!("&cursor={}", page["next"].as_str().unwrap());
            if page["more"] == false {
                break;
            }
            assert_eq!(page["items"].as_array().unwrap().len(), limit);
        }
        assert_eq!(Value::from(items), expected(), "{limit} at a time");
    }
    for (from_us, first) in [(SECOND, 0), (SECOND + 1, 1), (7_150_000, 4), (8 * SECOND, 5), (u64::MAX, 6)] {
        let found = house.json(&format!("{base}?from_us={from_us}")).await;
        assert_eq!(found["items"].as_array().unwrap()[..], expected().as_array().unwrap()[first..]);
    }

    // What comes later comes once; at the end there is no going on.
    let path = format!("{base}?cursor={later}");
    assert_eq!(house.json(&path).await, json!({ "items": [], "next": later, "more": false }));
    tape.events = vec![notice(NoticeEvent::Closed)];
    let made = tape.tick(10);
    agent.send(&tape, &made).await;
    let came = until(async || {
        let page = house.json(&path).await;
        (page["items"] != json!([])).then_some(page)
    })
    .await;
    assert_eq!(came["items"][0]["particulars"], json!({ "what": "closed" }));
    let path = format!("{base}?cursor={}", came["next"].as_str().unwrap());
    assert_eq!(house.json(&path).await["items"], json!([]));
    let last = tape.end();
    agent.send(&tape, &last).await;
    house.stored(tape.id(), 3).await;
    assert_eq!(house.json(&path).await, json!({ "items": [], "next": null, "more": false }));
    let stored = house.json(&base).await;
    assert_eq!(stored["items"].as_array().unwrap().len(), 7);
    assert_eq!(stored["items"].as_array().unwrap()[..6], expected().as_array().unwrap()[..]);
    assert_eq!(stored["next"], Value::Null);

    // The same beside the server, out of storage alone.
    let reader = playhead_server::EventReader::open(house.data(), None).await.unwrap();
    let first = reader.read(tape.id(), 0, 3, None).await.unwrap();
    let rest = reader.read(tape.id(), 0, 1000, first.next.as_deref()).await.unwrap();
    let told = serde_json::to_value([first.items, rest.items].concat()).unwrap();
    assert_eq!((&told, rest.next, rest.whole), (&stored["items"], None, true));
    let error = reader.read(tape.id(), 0, 3, Some("x")).await.unwrap_err().to_string();
    assert!(error.contains("got 'x'"), "{error}");
    reader.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_in_which_nothing_is_an_event_has_none() {
    let house = House::new().await;
    let mut agent = house.agent().await.connect().await;
    let mut tape = Tape::new("u");
    // Their heads count some that are not there.
    (0..10).for_each(|_| drop(tape.tick(10)));
    agent.deliver(&tape).await;
    let page = house.json(&format!("/site/v1/recordings/{}/events", tape.id())).await;
    assert_eq!((&page["items"], &page["more"]), (&json!([]), &false.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_page_may_open_are_told_one_page_after_another() {
    let house = House::new().await;
    let mut agent = house.agent().await.connect().await;
    let mut tape = Tape::new("u");
    for _ in 0..300 {
        tape.events = vec![b"x".to_vec()];
        tape.tick(1);
    }
    agent.deliver(&tape).await;
    let base = format!("/site/v1/recordings/{}/events?limit=1000", tape.id());
    let first = house.json(&base).await;
    assert_eq!((first["items"].as_array().unwrap().len(), &first["more"]), (256, &true.into()));
    let next = first["next"].as_str().unwrap();
    let rest = house.json(&format!("{base}&cursor={next}")).await;
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["more"]), (44, &false.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_that_make_no_sense_are_refused() {
    let house = House::new().await;
    let (_agent, tape) = recorded(&house).await;
    let base = format!("/site/v1/recordings/{}/events", tape.id());
    for (query, text) in [
        ("limit=0", "between 1 and 1000"),
        ("limit=1001", "between 1 and 1000"),
        ("limit=x", "limit"),
        ("from_us=-1", "from_us"),
        ("cursor=7", "cursor"),
        ("cursor=x-y", "cursor"),
        ("at=7", "at"),
    ] {
        let (status, problem) = house.refused(&format!("{base}?{query}")).await;
        assert_eq!(status, 400, "{query}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(text), "{query}: {problem}");
    }
    let beyond = house.json(&format!("{base}?cursor=18446744073709551615-18446744073709551615")).await;
    assert_eq!(beyond["items"], json!([]));
    let other = "/site/v1/recordings/00000000-0000-0000-0000-000000000001/events";
    assert_eq!(house.refused(other).await.0, 404);
}
