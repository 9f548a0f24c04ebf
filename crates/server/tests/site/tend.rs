//! Looking after stored segments: packing them denser and reading them through.

use super::{
    fragments::{Painter, Tape},
    house::{House, json, until},
};
use http::StatusCode;
use playhead_format::{Closing, SegmentReader, open_fragment, scan};
use playhead_server::{LocationSettings, Repacking, StorageAdmin, TendSettings};
use serde_json::Value;
use std::{fs, io::Cursor, path::Path, process::Command, time::Duration};

/// Fragments of each segment of a painted tape.
const EACH: usize = 3;

fn painted(user: &str, segments: usize) -> Tape {
    let mut tape = Tape::new(user);
    tape.painter = Some(Painter::new());
    for number in 0..segments {
        for part in 0..EACH {
            if part == 0 && number > 0 {
                tape.roll_over(0)
            } else {
                tape.tick(0)
            };
        }
    }
    tape.end();
    tape
}

/// At once, whatever else the machine does.
fn eager(repacking: Repacking, scrub_every: Option<Duration>) -> TendSettings {
    TendSettings {
        repacking,
        repack_after: Duration::ZERO,
        scrub_every,
        bytes_per_second: 1 << 30,
        most_load: f64::INFINITY,
    }
}

async fn never() -> House {
    House::with(|settings| settings.tending = eager(Repacking::Off, None)).await
}

async fn tending(house: &House) -> Value {
    house.json("/site/v1/storage").await["tending"].clone()
}

/// The records of fragments by themselves, opened: what they are packed with may differ.
fn opened(mut records: &[u8]) -> Vec<(u64, playhead_format::Hash)> {
    let mut found = Vec::new();
    while !records.is_empty() {
        let length = u64::from_le_bytes(records[1..9].try_into().unwrap()) as usize + 9;
        let fragment = open_fragment(&records[..length]).unwrap();
        assert!(!fragment.is_dense(), "a player gets what it opens at once");
        found.push((fragment.head().seq, fragment.hash()));
        records = &records[length..];
    }
    found
}

fn dense_files(house: &House) -> Vec<String> {
    house.files("recordings").into_iter().filter(|name| name.ends_with("-p1.mcap")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_segments_are_packed_in_idle_time_and_play_all_the_while() {
    let mut house = never().await;
    let mut agent = house.agent().await.connect().await;
    let tape = painted("u", 3);
    agent.deliver(&tape).await;
    let before = house.stored(tape.id(), 3).await;
    let all = tape.bytes(0, tape.made.len() as u64);
    assert_eq!(house.fragments(tape.id(), "at=0").await, all);
    // The index of what is there now is held; so is a stream that has begun.
    let seals: Vec<_> = house
        .files("recordings")
        .iter()
        .map(|name| {
            scan(Cursor::new(fs::read(house.data().join("recordings").join(name)).unwrap())).unwrap().seal
        })
        .collect();
    house.settings.tending = eager(Repacking::Dense, None);
    house.restart().await;
    let done = until(async || Some(tending(&house).await).filter(|report| report["repacked"] == 3)).await;
    assert!(done["saved_bytes"].as_u64().unwrap() > 0, "{done}");
    assert_eq!(opened(&house.fragments(tape.id(), "at=0").await), opened(&all));
    let late = 7 * 1_000_000;
    assert!(!house.fragments(tape.id(), &format!("at={late}")).await.is_empty());

    let files = dense_files(&house);
    assert_eq!(files.len(), 3);
    for (name, seal) in files.iter().zip(&seals) {
        let file = fs::read(house.data().join("recordings").join(name)).unwrap();
        let found = scan(Cursor::new(&file)).unwrap();
        assert!(found.problems.is_empty() && found.seal == *seal && seal.is_some());
        let mut reader = SegmentReader::open(Cursor::new(&file)).unwrap();
        assert!(open_fragment(&reader.fragment(1).unwrap()).unwrap().is_dense());
    }
    let closings = files.iter().map(|name| {
        let file = fs::read(house.data().join("recordings").join(name)).unwrap();
        scan(Cursor::new(file)).unwrap().index.unwrap().closing
    });
    assert_eq!(closings.collect::<Vec<_>>(), [Closing::Continues, Closing::Continues, Closing::Ended]);
    let bytes = |list: &[Value]| list.iter().map(|segment| segment["bytes"].as_u64().unwrap()).sum::<u64>();
    let after = house.stored(tape.id(), 3).await;
    assert_eq!(bytes(&before) - bytes(&after), done["saved_bytes"].as_u64().unwrap());

    // The old files go when nobody can be reading them any more; another start packs nothing again.
    assert_eq!(house.json("/site/v1/storage").await["waiting_removals"], 3);
    house.restart().await;
    assert_eq!(opened(&house.fragments(tape.id(), "at=0").await), opened(&all));
    assert_eq!(dense_files(&house), files);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_that_has_begun_goes_on_when_the_file_is_replaced_and_removed() {
    let house = never().await;
    let mut agent = house.agent().await.connect().await;
    let tape = painted("u", 2);
    agent.deliver(&tape).await;
    house.stored(tape.id(), 2).await;
    let all = tape.bytes(0, tape.made.len() as u64);
    assert_eq!(house.fragments(tape.id(), "at=0").await, all, "its indexes are held from now on");
    let admin = StorageAdmin::open(house.data(), None).await.unwrap();
    let done = admin.repack_now(Repacking::Dense, Some(tape.id()), |_| ()).await.unwrap();
    assert_eq!((done.repacked, done.left, done.damaged), (2, 0, 0));
    admin.close().await;
    for name in house.files("recordings").iter().filter(|name| !name.ends_with("-p1.mcap")) {
        fs::remove_file(house.data().join("recordings").join(name)).unwrap();
    }
    assert_eq!(opened(&house.fragments(tape.id(), "at=0").await), opened(&all));
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_found_told_and_taken_back_and_a_leftover_copy_mends() {
    let mut house = never().await;
    let mut agent = house.agent().await.connect().await;
    let tapes = [painted("one", 1), painted("two", 1)];
    for tape in &tapes {
        agent.deliver(tape).await;
        house.stored(tape.id(), 1).await;
        house.until(tape.id(), |recording| recording["state"] == "finished").await;
    }
    let file = |tape: &Tape, house: &House| {
        let name = house.files("recordings").into_iter().find(|name| name.contains(&tape.id().to_string()));
        house.data().join("recordings").join(name.unwrap())
    };
    let hit = file(&tapes[0], &house);
    let good = fs::read(&hit).unwrap();
    let mut bad = good.clone();
    bad[1_000] ^= 1;
    fs::write(&hit, &bad).unwrap();
    house.settings.tending = eager(Repacking::Off, Some(Duration::from_millis(300)));
    house.restart().await;
    let told =
        until(async || Some(tending(&house).await).filter(|report| report["damaged_segments"] == 1)).await;
    assert_eq!(told["damaged"][0]["recording"], tapes[0].id().to_string());
    assert!(told["damaged"][0]["damage"].as_str().unwrap().contains("restore"), "{told}");
    let recording = house.until(tapes[0].id(), |recording| recording["state"] == "quarantined").await;
    assert!(recording["quarantine"]["reason"].as_str().unwrap().contains("damaged"), "{recording}");
    until(async || Some(house.json("/site/v1/health").await).filter(|health| health["state"] == "degraded"))
        .await;
    // Restored from a backup: the next look takes back what was said.
    fs::write(&hit, &good).unwrap();
    house.until(tapes[0].id(), |recording| recording["state"] == "finished").await;
    until(async || Some(house.json("/site/v1/health").await).filter(|health| health["state"] == "ok")).await;
    house.stop().await;

    // What packing has left behind is a copy as good as any, for as long as it is there.
    let admin = StorageAdmin::open(house.data(), None).await.unwrap();
    let done = admin.repack_now(Repacking::Dense, Some(tapes[1].id()), |_| ()).await.unwrap();
    assert_eq!(done.repacked, 1);
    let dense = house.data().join("recordings").join(&dense_files(&house)[0]);
    fs::write(&dense, b"gone bad").unwrap();
    let done = admin.scrub_now(None, |_| ()).await.unwrap();
    assert_eq!((done.segments, done.mended, done.damaged), (2, 1, 0));
    admin.close().await;
    house.settings.tending = eager(Repacking::Off, None);
    house.start().await;
    let all = tapes[1].bytes(0, tapes[1].made.len() as u64);
    assert_eq!(opened(&house.fragments(tapes[1].id(), "at=0").await), opened(&all));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_is_not_packed_and_what_is_locked_is_left_alone() {
    let mut house = never().await;
    let mut agent = house.agent().await.connect().await;
    let tape = painted("u", 2);
    agent.deliver(&tape).await;
    house.stored(tape.id(), 2).await;
    house.stop().await;
    let hit = house.data().join("recordings").join(&house.files("recordings")[0]);
    let mut bytes = fs::read(&hit).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&hit, &bytes).unwrap();
    let admin = StorageAdmin::open(house.data(), None).await.unwrap();
    let done = admin.repack_now(Repacking::Dense, None, |_| ()).await.unwrap();
    admin.close().await;
    assert_eq!(done.repacked, 1);
    assert!(hit.exists() && fs::read(&hit).unwrap() == bytes);
    let read_only = LocationSettings {
        name: Some("default".into()),
        read_only: true,
        ..LocationSettings::new(house.data().join("recordings").to_string_lossy())
    };
    house.settings.storage = vec![read_only];
    house.start().await;
    assert_eq!(tending(&house).await["damaged_segments"], 1);
    let admin = StorageAdmin::open(house.data(), None).await.unwrap();
    let done = admin.repack_now(Repacking::Zstd, Some(tape.id()), |_| ()).await.unwrap();
    assert_eq!((done.segments, done.passed), (0, 2), "a location that takes nothing is left as it is");
    admin.close().await;
    let response = house.get("/site/v1/storage").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(json(response).await["tending"]["segments"] == 2);
}

/// Runs as a process of its own when the test below starts it.
#[tokio::test(flavor = "multi_thread")]
async fn packs_in_a_process_of_its_own() {
    let Ok(data) = std::env::var("PLAYHEAD_TEST_REPACK") else { return };
    let admin = StorageAdmin::open(Path::new(&data), None).await.unwrap();
    let done = admin.repack_now(Repacking::Dense, None, |_| ()).await.unwrap();
    assert_eq!((done.left, done.damaged), (0, 0), "{done:?}");
    admin.close().await;
    // Only then everything is over.
    println!("PACKED");
}

#[tokio::test(flavor = "multi_thread")]
async fn packing_is_killed_at_any_moment_and_loses_nothing() {
    let mut house = never().await;
    let mut agent = house.agent().await.connect().await;
    let tapes: Vec<_> = (0..4).map(|number| painted(&format!("u{number}"), 2)).collect();
    for tape in &tapes {
        agent.deliver(tape).await;
    }
    for tape in &tapes {
        house.stored(tape.id(), 2).await;
    }
    house.stop().await;
    let mut kills = 0;
    loop {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "site::tend::packs_in_a_process_of_its_own", "--nocapture"])
            .env("PLAYHEAD_TEST_REPACK", house.data())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // At another moment each time.
        if kills < 10 {
            tokio::time::sleep(Duration::from_millis(150 + kills * 137 % 1_500)).await;
            let _ = child.kill();
        }
        let output = child.wait_with_output().unwrap();
        if String::from_utf8_lossy(&output.stdout).contains("PACKED") {
            break;
        }
        assert!(kills < 10, "{}", String::from_utf8_lossy(&output.stdout));
        kills += 1;
    }
    println!("killed {kills} times");
    house.start().await;
    for tape in &tapes {
        let all = tape.bytes(0, tape.made.len() as u64);
        assert_eq!(opened(&house.fragments(tape.id(), "at=0").await), opened(&all));
    }
    let report = house.json("/site/v1/storage").await;
    assert_eq!(report["tending"]["repacked"], 8);
    assert_eq!(dense_files(&house).len(), 8);
    let waiting = report["waiting_removals"].as_u64().unwrap() as usize;
    assert_eq!(house.files("recordings").len(), 8 + waiting, "every other file is known to be removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_encrypted_stays_so_when_it_is_packed_and_what_is_shredded_is_left() {
    let mut house = House::with(|settings| {
        settings.tending = eager(Repacking::Off, None);
        settings.site_key = Some("file".parse().unwrap());
    })
    .await;
    let mut agent = house.agent().await.connect().await;
    let tapes = [painted("one", 1), painted("two", 1)];
    for tape in &tapes {
        agent.deliver(tape).await;
        house.stored(tape.id(), 1).await;
        house.until(tape.id(), |recording| recording["state"] == "finished").await;
    }
    house.stop().await;
    let keys = playhead_server::KeyAdmin::open(house.data(), None).await.unwrap();
    keys.shred(tapes[1].id(), "admin", "no longer wanted").await.unwrap();
    keys.close().await;
    let admin = StorageAdmin::open(house.data(), None).await.unwrap();
    let done = admin.repack_now(Repacking::Dense, None, |_| ()).await.unwrap();
    assert_eq!((done.segments, done.repacked, done.left, done.damaged), (2, 1, 0, 0));
    let done = admin.scrub_now(None, |_| ()).await.unwrap();
    assert_eq!((done.segments, done.damaged), (2, 0));
    admin.close().await;
    let files = dense_files(&house);
    assert_eq!(files.len(), 1);
    let file = fs::read(house.data().join("recordings").join(&files[0])).unwrap();
    assert!(scan(Cursor::new(&file)).is_err(), "it is no MCAP file without its key");
    house.start().await;
    let all = tapes[0].bytes(0, tapes[0].made.len() as u64);
    assert_eq!(opened(&house.fragments(tapes[0].id(), "at=0").await), opened(&all));
}
