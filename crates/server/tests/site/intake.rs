use super::{
    agent::Enrolment,
    fragments::Tape,
    house::{House, until},
};
use bytes::Bytes;
use playhead_net::DialError;
use playhead_protocol::{
    message::{Hello, Refusal, from_server::Kind},
    outbox::Outbox,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn reason(refused: &playhead_protocol::message::Refused) -> Refusal {
    Refusal::try_from(refused.reason).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_arrives_and_is_told_of() {
    let house = House::new().await;
    let mut agent = house.agent().await.connect().await;
    let mut tape = Tape::new("anna");
    let opened = agent.open(&tape).await;
    assert_eq!((opened.next_seq, opened.head_hash.len(), opened.finished), (0, 0, false));
    let settings: playhead_model::RecordingSettings = serde_json::from_str(&opened.settings).unwrap();
    settings.check().unwrap();
    for _ in 0..7 {
        tape.tick(2_000);
    }
    agent.send_rest(&tape, 0).await;
    let recording = house.json(&format!("/site/v1/recordings/{}", tape.id())).await;
    assert_eq!(recording["state"], "live");
    assert_eq!(recording["connected"], true);
    assert_eq!(recording["user"], "anna");
    assert_eq!(recording["duration_us"], 6_900_000);
    assert_eq!(recording["bytes"], tape.bytes(0, 7).len());
    assert_eq!(
        (&recording["width"], &recording["segments"], &recording["events"]),
        (&640.into(), &1.into(), &1.into())
    );
    assert_eq!(recording["site"]["name"], "Test");

    drop(agent);
    house.until(tape.id(), |recording| recording["connected"] == false).await;
    let list = house.json("/site/v1/recordings?user=ANN&state=live").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["total"], serde_json::json!({ "value": 1, "exact": true }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_resumes_where_the_server_is() {
    let mut house = House::new().await;
    let agent = house.agent().await;
    let mut tape = Tape::new("u");
    for _ in 0..9 {
        tape.tick(500);
    }
    let mut outbox = Outbox::new(0, tape.made.iter().map(|made| made.bytes.len() as u32), 1_200);
    // The connection breaks again and again, at other places, and once the server is started anew.
    let mut round = 0;
    while !outbox.is_empty() {
        let mut connection = agent.connect().await;
        let opened = connection.open(&tape).await;
        outbox.opened(opened.next_seq).unwrap();
        if let Some(seq) = outbox.take_next() {
            connection.send(&tape, &tape.made[seq as usize]).await;
            if round % 2 == 0 {
                connection.durable(&tape, seq + 1).await;
                outbox.durable(seq + 1).unwrap();
            }
        }
        drop(connection);
        round += 1;
        if round == 4 {
            house.restart().await;
        }
        assert!(round < 40, "it does not come forward");
    }
    assert_eq!(house.fragments(tape.id(), "at=0").await, tape.bytes(0, 9));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_continue_the_recording_is_refused_and_may_be_opened_again() {
    let house = House::new().await;
    let mut agent = house.agent().await.connect().await;
    let mut tape = Tape::new("u");
    let mut other = Tape::new("u");
    for _ in 0..4 {
        tape.tick(100);
        other.tick(100);
    }
    agent.open(&tape).await;
    agent.send(&tape, &tape.made[0]).await;
    agent.durable(&tape, 1).await;

    // A hole.
    agent.send(&tape, &tape.made[2]).await;
    assert_eq!(reason(&agent.refused().await), Refusal::Mismatch);
    // What was under way when the refusal came is passed over.
    agent.send(&tape, &tape.made[3]).await;
    assert_eq!(agent.open(&tape).await.next_seq, 1);

    // The right number in another chain: the same fragment built on another fragment 0.
    let mut forged = Tape::of(&tape.info);
    forged.tick(999);
    let second = forged.tick(100);
    agent.send(&tape, &second).await;
    let refused = agent.refused().await;
    assert_eq!(reason(&refused), Refusal::Mismatch);
    assert!(refused.text.contains("names"), "{}", refused.text);

    // A fragment of another recording, and bytes that are none.
    for (record, text) in [
        (other.made[1].bytes.clone(), "it says to be fragment 1 of recording"),
        (Bytes::from_static(b"nonsense"), "refused"),
    ] {
        assert_eq!(agent.open(&tape).await.next_seq, 1);
        agent.send_as(tape.id(), 1, record).await;
        let refused = agent.refused().await;
        assert_eq!(reason(&refused), Refusal::Malformed);
        assert!(refused.text.contains(text), "{}", refused.text);
    }
    // After all that it goes on, and another recording never noticed.
    agent.deliver(&other).await;
    agent.deliver(&tape).await;
    assert_eq!(house.fragments(tape.id(), "at=0").await, tape.bytes(0, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_may_not_touch_anothers_recording() {
    let house = House::new().await;
    let mut owner = house.agent().await.connect().await;
    let mut thief = house.agent().await.connect().await;
    let mut tape = Tape::new("u");
    tape.tick(100);
    owner.deliver(&tape).await;
    thief.ask_open(&tape).await;
    assert_eq!(reason(&thief.refused().await), Refusal::NotYours);
    // Sending without an opening does nothing, and the owner goes on.
    let next = tape.tick(100);
    thief.send(&tape, &next).await;
    owner.send(&tape, &next).await;
    owner.durable(&tape, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_connection_takes_the_recording_over() {
    let house = House::new().await;
    let enrolment = house.agent().await;
    let mut first = enrolment.connect().await;
    let mut tape = Tape::new("u");
    tape.tick(100);
    first.deliver(&tape).await;
    let mut second = enrolment.connect().await;
    assert_eq!(second.open(&tape).await.next_seq, 1);
    assert_eq!(first.hear().await, None, "the first connection is closed");
    let next = tape.tick(100);
    second.send(&tape, &next).await;
    second.durable(&tape, 2).await;
    assert_eq!(house.json(&format!("/site/v1/recordings/{}", tape.id())).await["connected"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn breaking_the_protocol_ends_the_connection_and_nothing_else() {
    let house = House::new().await;
    let enrolment = house.agent().await;
    let mut good = enrolment.connect().await;
    let mut tape = Tape::new("u");
    tape.tick(100);
    good.deliver(&tape).await;
    let long_frame = 70_000u32.to_le_bytes().to_vec();
    let endless_frame = u32::MAX.to_le_bytes().to_vec();
    let no_message = [&3u32.to_le_bytes()[..], &[0xff; 3]].concat();
    for (name, bytes) in
        [("long before the greeting", long_frame), ("endless", endless_frame), ("no message", no_message)]
    {
        let mut stream = enrolment.log_in().await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty(), "{name}");
    }
    let mut agent = enrolment.connect().await;
    agent.say(Hello { protocol: 1, ..Default::default() }).await;
    assert_eq!(agent.hear().await, None, "a second greeting");
    let next = tape.tick(100);
    good.send(&tape, &next).await;
    good.durable(&tape, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_agent_is_given_up() {
    let house = House::with(|settings| settings.silence = std::time::Duration::from_millis(300)).await;
    let enrolment = house.agent().await;
    let mut agent = enrolment.connect().await;
    assert_eq!(agent.hear().await, None);
    until(async || {
        let hosts = house.json("/site/v1/session-hosts").await;
        (hosts["items"][0]["state"] == "inactive").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_are_wrong_expired_or_used_up_are_told_apart() {
    let house = House::new().await;
    let good = house.server().make_join_token(3_600, 1).await.unwrap();
    let refusal = async |token| match Enrolment::new(token).await.err().unwrap() {
        DialError::Refused { status, detail } => (status.as_u16(), detail),
        other => panic!("{other}"),
    };
    Enrolment::new(&good).await.unwrap();
    let (status, detail) = refusal(&good).await;
    assert_eq!(status, 401);
    assert!(detail.contains("used as often"), "{detail}");
    let mut wrong = good.clone();
    wrong.secret = "wrong".into();
    assert!(refusal(&wrong).await.1.contains("not known"));
    let expired = house.server().make_join_token(0, 1).await.unwrap();
    assert!(refusal(&expired).await.1.contains("expired"));
    // After a few failures nothing is tried any more for a while, not even a good token.
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(refusal(&wrong).await.0);
    }
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_holder_of_the_key_connects() {
    let house = House::new().await;
    let mut enrolment = house.agent().await;
    enrolment.log_in().await.unwrap();
    enrolment.key = std::sync::Arc::new(playhead_net::NodeKey::generate().unwrap());
    let error = enrolment.log_in().await.err().unwrap();
    assert!(matches!(error, DialError::Refused { status, .. } if status == 401), "{error}");
    // Without a proof.
    let connection = enrolment.endpoint.connect().await.unwrap();
    assert!(connection.upgrade("/agent/v1/connect", "playhead-agent/1", None).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_recording_takes_nothing_more() {
    let house = House::new().await;
    let mut agent = house.agent().await.connect().await;
    let mut tape = Tape::new("u");
    tape.tick(100);
    tape.end();
    agent.deliver(&tape).await;
    house.until(tape.id(), |recording| recording["state"] == "finished").await;
    assert!(agent.open(&tape).await.finished);
    house.stored(tape.id(), 1).await;
    let opened = agent.open(&tape).await;
    assert_eq!((opened.finished, opened.next_seq), (true, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_learns_when_somebody_watches() {
    let house = House::new().await;
    let enrolment = house.agent().await;
    let mut agent = enrolment.connect().await;
    let mut tape = Tape::new("u");
    tape.tick(100);
    agent.deliver(&tape).await;
    let path = format!("/site/v1/recordings/{}/fragments?at=0&follow=true", tape.id());
    let (one, two) = (house.get(&path).await, house.get(&path).await);
    let watched = async |agent: &mut super::agent::Agent| match agent.hear().await {
        Some(Kind::Watch(watch)) => watch.watched,
        other => panic!("{other:?}"),
    };
    assert!(watched(&mut agent).await);
    // A new connection is told as well.
    let mut agent = enrolment.connect().await;
    agent.open(&tape).await;
    assert!(watched(&mut agent).await);
    drop(one);
    drop(two);
    assert!(!watched(&mut agent).await);
}
