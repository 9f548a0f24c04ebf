//! Several locations: spreading, going on when one fails, moving.

use super::{
    disk::SmallDisk,
    fragments::Tape,
    house::{House, json, until},
};
use http::{Method, StatusCode};
use playhead_protocol::message::Refusal;
use playhead_server::{LocationSettings, StorageAdmin, Wanted};
use serde_json::{Value, json as object};
use std::{fs, path::Path, process::Command, time::Duration};

fn at(folder: &Path, name: &str) -> LocationSettings {
    LocationSettings {
        name: Some(name.into()),
        patience_seconds: Some(5),
        ..LocationSettings::new(folder.join(name).to_string_lossy())
    }
}

async fn with_two() -> House {
    House::with(|settings| settings.storage = vec![at(&settings.data, "a"), at(&settings.data, "b")]).await
}

fn tape(user: &str, segments: usize) -> Tape {
    let mut tape = Tape::new(user);
    for number in 0..segments {
        for part in 0..2 {
            if part == 0 && number > 0 {
                tape.roll_over(3_000)
            } else {
                tape.tick(3_000)
            };
        }
    }
    tape.end();
    tape
}

async fn location(house: &House, id: &str) -> Value {
    let report = house.json("/site/v1/storage").await;
    let all = report["locations"].as_array().unwrap();
    all.iter().find(|location| location["id"] == id).unwrap().clone()
}

async fn in_state(house: &House, id: &str, state: &str) -> Value {
    until(async || Some(location(house, id).await).filter(|location| location["state"] == state)).await
}

async fn moved(house: &House, path: &str, body: Value) -> Value {
    let response = house.ask(Method::POST, path, Some(body)).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let asked = json(response).await;
    until(async || {
        let report = house.json("/site/v1/storage").await;
        let found = report["moves"].as_array().unwrap().iter().find(|row| row["id"] == asked["id"]).cloned();
        found.filter(|row| row["state"] == "done" || row["state"] == "failed")
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_are_spread_and_a_location_that_goes_away_stops_nothing() {
    let house = with_two().await;
    let enrolment = house.agent().await;
    let tapes: Vec<_> = (0..24).map(|number| tape(&format!("u{number}"), 2)).collect();
    let mut agent = enrolment.connect().await;
    for tape in &tapes {
        agent.deliver(tape).await;
    }
    for tape in &tapes {
        house.stored(tape.id(), 2).await;
    }
    let (a, b) = (house.files("a"), house.files("b"));
    assert!(!a.is_empty() && !b.is_empty() && a.len() + b.len() == 48);
    assert!(a.len() % 2 == 0, "a recording stays together: {a:?}");
    assert_eq!(location(&house, "a").await["segments"], a.len());
    let in_a = tapes.iter().find(|tape| a[0].contains(&tape.id().to_string())).unwrap();

    // As when a network share is gone: only the empty folder is left.
    fs::rename(house.data().join("a"), house.data().join("away")).unwrap();
    fs::create_dir(house.data().join("a")).unwrap();
    let more: Vec<_> = (0..8).map(|number| tape(&format!("v{number}"), 1)).collect();
    for tape in &more {
        agent.deliver(tape).await;
    }
    for tape in &more {
        house.stored(tape.id(), 1).await;
    }
    assert_eq!(house.files("b").len(), b.len() + 8);
    assert!(house.files("a").is_empty(), "nothing is written where the share should be");
    let gone = in_state(&house, "a", "unreachable").await;
    assert!(gone["last_error"]["text"].as_str().unwrap().contains("mounted"), "{gone}");
    let health = house.json("/site/v1/health").await;
    assert_eq!(health["state"], "degraded", "{health}");
    let (status, problem) = house.refused(&format!("/site/v1/recordings/{}/segments/0", in_a.id())).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(problem["detail"].as_str().unwrap().contains("storage location a"), "{problem}");

    fs::remove_dir(house.data().join("a")).unwrap();
    fs::rename(house.data().join("away"), house.data().join("a")).unwrap();
    in_state(&house, "a", "active").await;
    assert_eq!(house.fragments(in_a.id(), "at=0").await, in_a.bytes(0, 5));
    until(async || (house.json("/site/v1/health").await["state"] == "ok").then_some(())).await;
}

/// A pipe that nobody writes to hangs whoever reads it, as a network share does whose server is away.
#[tokio::test(flavor = "multi_thread")]
async fn a_location_that_hangs_holds_up_nobody_for_long() {
    let house = House::with(|settings| {
        let impatient =
            |name: &str| LocationSettings { patience_seconds: Some(1), ..at(&settings.data, name) };
        settings.storage = vec![impatient("a"), impatient("b")];
    })
    .await;
    let marker = house.data().join("a/.playhead-location");
    let kept = fs::read(&marker).unwrap();
    // At no moment is there no file: that would be another fault.
    let pipe = house.data().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::hard_link(&pipe, house.data().join("other")).unwrap();
    fs::rename(house.data().join("other"), &marker).unwrap();
    let mut agent = house.agent().await.connect().await;
    let tapes: Vec<_> = (0..12).map(|number| tape(&format!("u{number}"), 1)).collect();
    for tape in &tapes {
        agent.deliver(tape).await;
    }
    for tape in &tapes {
        house.stored(tape.id(), 1).await;
    }
    assert_eq!((house.files("a").len(), house.files("b").len()), (0, 12));
    let hanging = in_state(&house, "a", "unreachable").await;
    assert!(
        hanging["last_error"]["text"].as_str().unwrap().contains("did not answer within 1 s"),
        "{hanging}"
    );
    // Whoever waits is let go, so that the test can end.
    fs::write(house.data().join("kept"), kept).unwrap();
    fs::rename(house.data().join("kept"), &marker).unwrap();
    drop(fs::OpenOptions::new().write(true).open(&pipe));
    in_state(&house, "a", "active").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_location_is_left_for_another_and_with_none_left_nothing_is_taken_in() {
    let mount = tempfile::tempdir().unwrap();
    let (small, other) = (mount.path().join("a"), mount.path().join("b"));
    let (Some(small), Some(other)) = (SmallDisk::new(small, 8 << 20), SmallDisk::new(other, 64 << 20)) else {
        return;
    };
    let house = House::with(|settings| {
        // What is asked for at most is 2 % of a disk.
        settings.least_free = 1 << 20;
        settings.storage = vec![at(mount.path(), "a"), at(mount.path(), "b")];
    })
    .await;
    let hog = small.fill();
    let mut agent = house.agent().await.connect().await;
    let tapes: Vec<_> = (0..12).map(|number| tape(&format!("u{number}"), 1)).collect();
    for tape in &tapes {
        agent.deliver(tape).await;
    }
    for tape in &tapes {
        house.stored(tape.id(), 1).await;
    }
    let full = in_state(&house, "a", "full").await;
    assert!(
        full["last_error"]["text"].as_str().unwrap().contains("room")
            || full["last_error"]["text"].as_str().unwrap().contains("space"),
        "{full}"
    );
    assert_eq!(location(&house, "b").await["segments"], 12);

    let second = other.fill();
    let health = until(async || {
        let health = house.json("/site/v1/health").await;
        (health["state"] == "intake-stopped").then_some(health)
    })
    .await;
    assert!(health["problems"][0].as_str().unwrap().contains("every storage location is full"), "{health}");
    let mut late = Tape::new("late");
    late.tick(100);
    agent.ask_open(&late).await;
    assert_eq!(agent.refused().await.reason, Refusal::Later as i32);
    assert_eq!(house.fragments(tapes[0].id(), "at=0").await, tapes[0].bytes(0, 3));

    fs::remove_file(second).unwrap();
    fs::remove_file(hog).unwrap();
    until(async || (house.json("/site/v1/health").await["state"] == "ok").then_some(())).await;
    agent.deliver(&late).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_moved_while_it_is_watched_and_a_location_is_drained() {
    let house = with_two().await;
    let mut agent = house.agent().await.connect().await;
    let tapes: Vec<_> = (0..6).map(|number| tape(&format!("u{number}"), 3)).collect();
    let mut live = Tape::new("live");
    live.tick(100);
    live.roll_over(100);
    agent.deliver(&live).await;
    for tape in &tapes {
        agent.deliver(tape).await;
        house.stored(tape.id(), 3).await;
    }
    house.stored(live.id(), 1).await;
    let one = &tapes[0];
    let path = format!("/site/v1/recordings/{}/move", one.id());
    for to in ["a", "b", "a"] {
        let stream = house.get(&format!("/site/v1/recordings/{}/fragments?at=0", one.id())).await;
        let row = moved(&house, &path, object!({ "location": to })).await;
        assert_eq!(row["state"], "done", "{row}");
        let of_one = |names: Vec<String>| {
            names.into_iter().filter(|name| name.contains(&one.id().to_string())).count()
        };
        let other = if to == "a" { "b" } else { "a" };
        assert_eq!((of_one(house.files(to)), of_one(house.files(other))), (3, 0));
        // What was begun before goes on from wherever the rest lies now.
        let bytes = http_body_util::BodyExt::collect(stream.into_body()).await.unwrap().to_bytes();
        assert_eq!(bytes, one.bytes(0, 7));
        assert_eq!(house.fragments(one.id(), "at=2500000").await, one.bytes(2, 7));
    }

    let row = moved(&house, "/site/v1/storage/a/drain", object!({})).await;
    assert_eq!((&row["state"], &row["created_by"]), (&"done".into(), &"admin".into()));
    assert!(house.files("a").is_empty());
    assert_eq!(location(&house, "a").await["state"], "read-only");
    // What goes on being recorded goes to the other one now.
    live.end();
    agent.deliver(&live).await;
    house.stored(live.id(), 2).await;
    assert!(house.files("a").is_empty());
    for tape in &tapes {
        assert_eq!(house.fragments(tape.id(), "at=0").await, tape.bytes(0, 7));
    }
    let report = house.json("/site/v1/storage").await;
    assert_eq!(report["waiting_removals"], 0);

    for (path, body, says) in [
        (path.as_str(), object!({ "location": "c" }), "there are a, b"),
        (path.as_str(), object!({ "location": "a" }), "read-only"),
        ("/site/v1/storage/b/drain", object!({}), "nowhere"),
        ("/site/v1/storage/c/drain", object!({}), "no storage location 'c'"),
    ] {
        let response = house.ask(Method::POST, path, Some(body)).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        let problem = json(response).await;
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
    }
    assert_eq!(location(&house, "b").await["state"], "active", "what was refused changed nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_segment_stays_where_it_is_and_the_rest_is_moved() {
    let house = with_two().await;
    let mut agent = house.agent().await.connect().await;
    let tape = tape("u", 3);
    agent.deliver(&tape).await;
    house.stored(tape.id(), 3).await;
    let (from, to) = if house.files("a").is_empty() { ("b", "a") } else { ("a", "b") };
    let hit = house.data().join(from).join(&house.files(from)[1]);
    let mut bytes = fs::read(&hit).unwrap();
    bytes[1_000] ^= 1;
    fs::write(&hit, bytes).unwrap();
    let row = moved(&house, &format!("/site/v1/storage/{from}/drain"), object!({ "location": to })).await;
    assert_eq!((&row["state"], &row["segments"], &row["failed"]), (&"failed".into(), &2.into(), &1.into()));
    assert!(row["error"].as_str().unwrap().contains("damaged"), "{row}");
    assert_eq!((house.files(from).len(), house.files(to).len()), (1, 2));
    assert!(hit.exists());
}

/// Runs as a process of its own when the test below starts it.
#[tokio::test(flavor = "multi_thread")]
async fn drains_in_a_process_of_its_own() {
    let Ok(data) = std::env::var("PLAYHEAD_TEST_DRAIN") else { return };
    let admin = StorageAdmin::open(Path::new(&data), None).await.unwrap();
    assert!(!admin.server_runs());
    let wanted = Wanted::Drain { from: "a".into(), to: Some("b".into()) };
    let report = admin.move_now(wanted).await.unwrap();
    assert_eq!(report.state, "done", "{report:?}");
    admin.close().await;
    // Only then everything is over.
    println!("DRAINED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_is_killed_at_any_moment_and_loses_and_leaves_nothing() {
    let mut house = with_two().await;
    let mut agent = house.agent().await.connect().await;
    let tapes: Vec<_> = (0..30).map(|number| tape(&format!("u{number}"), 3)).collect();
    for tape in &tapes {
        agent.deliver(tape).await;
    }
    for tape in &tapes {
        house.stored(tape.id(), 3).await;
    }
    house.stop().await;
    let mut kills = 0;
    let drained = loop {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "site::storage::drains_in_a_process_of_its_own", "--nocapture"])
            .env("PLAYHEAD_TEST_DRAIN", house.data())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // At another moment each time; the first ones come before it has begun.
        let moment = Duration::from_millis(20 + kills * 13 % 170);
        if kills < 25 {
            tokio::time::sleep(moment).await;
            let _ = child.kill();
        }
        let output = child.wait_with_output().unwrap();
        if String::from_utf8_lossy(&output.stdout).contains("DRAINED") {
            break kills;
        }
        assert!(kills < 25, "{}", String::from_utf8_lossy(&output.stdout));
        kills += 1;
    };
    println!("killed {drained} times");
    assert!(house.files("a").is_empty(), "{:?}", house.files("a"));
    assert_eq!(house.files("b").len(), 90);
    house.start().await;
    for tape in &tapes {
        assert_eq!(house.fragments(tape.id(), "at=0").await, tape.bytes(0, 7));
    }
    let report = house.json("/site/v1/storage").await;
    assert_eq!((&report["waiting_removals"], &report["moves"][0]["state"]), (&0.into(), &"done".into()));
}
