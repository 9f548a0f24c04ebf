use super::{
    fragments::{SECOND, Tape},
    house::House,
};
use playhead_server::Server;
use std::{path::Path, time::Duration};

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_on_after_a_restart() {
    let mut house = House::new().await;
    let enrolment = house.agent().await;
    let mut tape = Tape::new("u");
    for _ in 0..6 {
        tape.tick(500);
    }
    enrolment.connect().await.deliver(&tape).await;
    let before = house.until(tape.id(), |row| row["connected"] == false).await;
    let site = house.server().site();
    let url = house.server().agents_url().to_owned();
    house.restart().await;
    assert_eq!((house.server().site(), house.server().agents_url()), (site, url.as_str()));
    let after = house.json(&format!("/site/v1/recordings/{}", tape.id())).await;
    assert_eq!(after, before);

    // The chain is that of before, and the segment goes on.
    let mut agent = enrolment.connect().await;
    let opened = agent.open(&tape).await;
    assert_eq!((opened.next_seq, opened.segment, opened.end_us), (6, 0, 5_900_000));
    let hash = playhead_format::open_fragment(&tape.made[5].bytes).unwrap().hash();
    assert_eq!(opened.head_hash[..], hash.as_bytes()[..]);
    tape.tick(500);
    tape.end();
    agent.send_rest(&tape, 6).await;
    let segments = house.stored(tape.id(), 1).await;
    assert_eq!(segments[0]["fragments"], 8);
    house.restart().await;
    assert_eq!(house.fragments(tape.id(), "at=0").await, tape.bytes(0, 8));
    let row = house.json(&format!("/site/v1/recordings/{}", tape.id())).await;
    assert_eq!((&row["state"], &row["end_reason"]), (&"finished".into(), &"session-ended".into()));
    assert_eq!(row["events"], 1);
}

/// A copy of a running server's folder is what a power cut leaves: whatever was called durable must be in it.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_moment_the_server_dies_at_nothing_durable_is_missing() {
    let house = House::with(|settings| settings.journal_file_bytes = 30_000).await;
    let mut agent = house.agent().await.connect().await;
    let mut tape = Tape::new("u");
    agent.open(&tape).await;
    for round in 0..12u64 {
        for _ in 0..3 {
            let made = match tape.made.len() {
                n if n > 0 && n.is_multiple_of(5) => tape.roll_over(2_000),
                _ => tape.tick(2_000),
            };
            agent.send(&tape, &made).await;
        }
        let durable = tape.made.len() as u64;
        agent.durable(&tape, durable).await;
        let folder = tempfile::tempdir().unwrap();
        copy(&house, folder.path());
        let mut again = house.on(folder).await;
        let bytes = again.fragments(tape.id(), "at=0").await;
        assert_eq!(bytes, tape.bytes(0, durable), "round {round}");
        let row = again.json(&format!("/site/v1/recordings/{}", tape.id())).await;
        assert_eq!(row["duration_us"], (durable - 1) * SECOND + SECOND * 9 / 10);
        assert_eq!(row["state"], "live");
        again.stop().await;
    }
}

/// Copies the folder while the server runs, in the order that a backup takes: what leaves the journal meanwhile was in the database and
/// in the storage before.
fn copy(house: &House, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for name in ["journal", "site.db", "site.db-wal", "recordings", "server-id"] {
        // Files may vanish while they are copied, which `cp` reports.
        let _ = std::process::Command::new("cp").arg("-r").arg(house.data().join(name)).arg(to).output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_is_gone_is_told_and_a_lost_id_is_found_again() {
    let mut house = House::new().await;
    let enrolment = house.agent().await;
    let mut tape = Tape::new("u");
    (0..4).for_each(|_| drop(tape.tick(500)));
    enrolment.connect().await.deliver(&tape).await;
    let id = house.server().id();
    house.stop().await;
    for path in ["server-id", "server.key"] {
        std::fs::remove_file(house.data().join(path)).unwrap();
    }
    house.start().await;
    assert_eq!(house.server().id(), id);
    assert_eq!(house.fragments(tape.id(), "at=0").await, tape.bytes(0, 4));
    house.stop().await;
    std::fs::remove_dir_all(house.data().join("journal")).unwrap();
    house.start().await;
    let row = house.json(&format!("/site/v1/recordings/{}", tape.id())).await;
    assert_eq!(row["state"], "quarantined");
    assert!(row["problem"].as_str().unwrap().contains("expected 4 fragments"), "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_in_the_journal_sets_one_recording_aside_and_no_other() {
    let mut house = House::new().await;
    let enrolment = house.agent().await;
    let mut agent = enrolment.connect().await;
    let (mut hit, mut other) = (Tape::new("hit"), Tape::new("other"));
    for _ in 0..6 {
        let (one, two) = (hit.tick(3_000), other.tick(3_000));
        if one.seq == 0 {
            agent.open(&hit).await;
            agent.open(&other).await;
        }
        agent.send(&hit, &one).await;
        agent.durable(&hit, one.seq + 1).await;
        agent.send(&other, &two).await;
        agent.durable(&other, two.seq + 1).await;
    }
    house.stop().await;
    // Fragment 3 rots on the disk.
    let name = house.files("journal").pop().unwrap();
    let path = house.data().join("journal").join(name);
    let mut bytes = std::fs::read(&path).unwrap();
    let record = &hit.made[3].bytes;
    let at = bytes.windows(record.len()).position(|window| window == record).unwrap();
    bytes[at + 1_000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    house.start().await;

    let row = house.json(&format!("/site/v1/recordings/{}", hit.id())).await;
    assert_eq!(row["state"], "quarantined");
    assert!(row["problem"].as_str().unwrap().contains("fragment 3"), "{row}");
    assert_eq!(row["quarantine"]["reason"], row["problem"]);
    let since = row["quarantine"]["since"].as_str().unwrap().to_owned();
    assert_eq!(house.fragments(hit.id(), "at=0").await, hit.bytes(0, 3), "what is whole still plays");
    let mut agent = enrolment.connect().await;
    agent.ask_open(&hit).await;
    let refused = agent.refused().await;
    assert_eq!(refused.reason, playhead_protocol::message::Refusal::Quarantined as i32);
    other.tick(10);
    other.end();
    agent.deliver(&other).await;
    house.stored(other.id(), 1).await;
    assert_eq!(house.fragments(other.id(), "at=0").await, other.bytes(0, 8));

    // It stays so, and nothing of it is thrown away.
    house.restart().await;
    let list = house.json("/site/v1/recordings?state=quarantined").await;
    assert_eq!(list["items"][0]["id"], hit.id().to_string());
    assert_eq!(list["items"][0]["quarantine"]["since"], since);
    let sound = house.json(&format!("/site/v1/recordings/{}", other.id())).await;
    assert!(sound["quarantine"].is_null(), "{sound}");
    assert_eq!(house.fragments(hit.id(), "at=0").await, hit.bytes(0, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_agent_s_recording_is_finished_after_a_while() {
    let house = House::with(|settings| settings.lost_after = Duration::from_millis(500)).await;
    let mut agent = house.agent().await.connect().await;
    let (mut lost, mut kept) = (Tape::new("lost"), Tape::new("kept"));
    let empty = Tape::new("empty");
    lost.tick(100);
    kept.tick(100);
    let mut other = house.agent().await.connect().await;
    other.deliver(&kept).await;
    agent.deliver(&lost).await;
    agent.open(&empty).await;
    drop(agent);
    let row = house.until(lost.id(), |row| row["state"] == "finished").await;
    assert_eq!(row["end_reason"], "agent-lost");
    house.stored(lost.id(), 1).await;
    let name = house.files("recordings").pop().unwrap();
    let file = std::fs::File::open(house.data().join("recordings").join(name)).unwrap();
    let reader = playhead_format::SegmentReader::open(file).unwrap();
    assert_eq!(reader.index().closing, playhead_format::Closing::Lost);
    super::house::until(async || {
        let list = house.json("/site/v1/recordings").await;
        (list["total"]["value"] == 2).then_some(())
    })
    .await;
    let row = house.json(&format!("/site/v1/recordings/{}", kept.id())).await;
    assert_eq!((&row["state"], &row["connected"]), (&"live".into(), &true.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_has_one_server_and_a_damaged_one_is_named() {
    let mut house = House::new().await;
    let error = Server::start(house.settings.clone()).await.err().unwrap();
    assert!(error.to_string().contains("in use by another server"), "{error}");
    house.stop().await;
    std::fs::write(house.data().join("server-id"), "nonsense").unwrap();
    let error = Server::start(house.settings.clone()).await.err().unwrap();
    assert!(error.to_string().contains("server-id"), "{error}");
}
