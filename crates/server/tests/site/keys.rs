//! Encryption at rest: recordings that only the site's key opens.

use super::{
    fragments::Tape,
    house::{House, json, until},
};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use playhead_format::{Status, scan};
use playhead_model::RecordingId;
use playhead_proof::prove;
use playhead_protocol::message::Refusal;
use playhead_server::{KeyAdmin, LocationSettings};
use serde_json::{Value, json as object};
use std::{
    fs,
    io::{Cursor, Read as _},
    path::PathBuf,
};

async fn encrypting() -> House {
    House::with(|settings| settings.site_key = Some("file".parse().unwrap())).await
}

fn tape(segments: usize) -> Tape {
    let mut tape = Tape::new("u");
    for number in 0..segments {
        for part in 0..4 {
            if part == 0 && number > 0 {
                tape.roll_over(50_000)
            } else {
                tape.tick(50_000)
            };
        }
    }
    tape.end();
    tape
}

/// The stored files of the house, by path.
fn stored(house: &House) -> Vec<PathBuf> {
    house.files("recordings").iter().map(|name| house.data().join("recordings").join(name)).collect()
}

/// Whether any file in the data folder but the agents' holds these bytes.
fn holds(house: &House, below: &str, bytes: &[u8]) -> bool {
    house.files(below).iter().any(|name| {
        let content = fs::read(house.data().join(below).join(name)).unwrap();
        content.windows(bytes.len()).any(|window| window == bytes)
    })
}

async fn archive(house: &House, id: RecordingId, wanted: Value) -> (StatusCode, Vec<u8>) {
    let response = house.ask(Method::POST, &format!("/site/v1/recordings/{id}/download"), Some(wanted)).await;
    let status = response.status();
    (status, response.into_body().collect().await.unwrap().to_bytes().to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_recording_lies_anywhere_in_the_clear_and_it_plays_all_the_same() {
    let mut house = encrypting().await;
    let enrolment = house.agent().await;
    let mut agent = enrolment.connect().await;
    let mut tape = Tape::new("u");
    for _ in 0..5 {
        tape.tick(50_000);
    }
    agent.deliver(&tape).await;
    let taste = |tape: &Tape, at: usize| tape.made[at].bytes[1_000..1_064].to_vec();
    assert!(!holds(&house, "journal", &taste(&tape, 2)));
    // From the journal, before and after a restart.
    assert_eq!(house.fragments(tape.id(), "at=0").await, tape.bytes(0, 5));
    house.restart().await;
    assert_eq!(house.fragments(tape.id(), "at=0").await, tape.bytes(0, 5));
    let mut agent = enrolment.connect().await;
    let opened = agent.open(&tape).await;
    assert_eq!(opened.next_seq, 5);
    tape.roll_over(200_000);
    tape.end();
    agent.send_rest(&tape, 5).await;
    house.stored(tape.id(), 2).await;
    assert_eq!(stored(&house).len(), 2);
    assert!(!holds(&house, "recordings", &taste(&tape, 2)));
    assert_eq!(&fs::read(&stored(&house)[0]).unwrap()[..8], b"\x89PHVLT\r\n");
    // From storage: all of it, parts of it, and as a file.
    assert_eq!(house.fragments(tape.id(), "at=0").await, tape.bytes(0, 7));
    assert_eq!(house.fragments(tape.id(), "after=2&max_bytes=1").await, tape.bytes(3, 4));
    house.json(&format!("/site/v1/recordings/{}/timeline", tape.id())).await;
    let response = house.get(&format!("/site/v1/recordings/{}/segments/0", tape.id())).await;
    let length: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let file = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(file.len(), length);
    assert_eq!(prove([("0".to_owned(), scan(Cursor::new(&file)))], None).report.unreadable.len(), 0);
    let row = house.json(&format!("/site/v1/recordings/{}", tape.id())).await;
    assert_eq!((&row["encrypted"], &row["shredded"]), (&true.into(), &Value::Null));

    let (status, archived) = archive(&house, tape.id(), object!({})).await;
    assert_eq!(status, StatusCode::OK);
    let mut archived = tar::Archive::new(Cursor::new(archived));
    let scans: Vec<_> = archived
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (name, scan(Cursor::new(bytes)))
        })
        .collect();
    let names: Vec<_> = scans.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names, [0, 1].map(|number| format!("{}/{number:06}.mcap", tape.id())));
    assert_eq!(prove(scans, None).status(), Status::Intact);
    let report = house.json("/site/v1/encryption").await;
    assert_eq!((&report["enabled"], &report["keys"][0]["data_keys"]), (&true.into(), &1.into()), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_goes_over_to_encryption_and_back_while_old_recordings_stay_as_they_are() {
    let mut house = House::new().await;
    let enrolment = house.agent().await;
    let mut running = Tape::new("u");
    running.tick(5_000);
    enrolment.connect().await.deliver(&running).await;
    let plain = tape(1);
    enrolment.connect().await.deliver(&plain).await;
    house.stored(plain.id(), 1).await;
    house.settings.site_key = Some("file".parse().unwrap());
    house.restart().await;
    let covered = tape(2);
    enrolment.connect().await.deliver(&covered).await;
    house.stored(covered.id(), 2).await;
    // One that had begun before stays as it began, to its end.
    running.tick(5_000);
    running.end();
    let mut agent = enrolment.connect().await;
    agent.open(&running).await;
    agent.send_rest(&running, 1).await;
    house.stored(running.id(), 1).await;
    house.settings.site_key = Some("none".parse().unwrap());
    house.restart().await;
    let last = tape(1);
    enrolment.connect().await.deliver(&last).await;
    house.stored(last.id(), 1).await;
    for (tape, encrypted, count) in
        [(&plain, false, 5), (&covered, true, 9), (&running, false, 3), (&last, false, 5)]
    {
        assert_eq!(house.fragments(tape.id(), "at=0").await, tape.bytes(0, count));
        let row = house.json(&format!("/site/v1/recordings/{}", tape.id())).await;
        assert_eq!(row["encrypted"], encrypted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shredded_recording_is_gone_from_every_copy_and_the_list_says_by_whom() {
    let mut house = encrypting().await;
    let enrolment = house.agent().await;
    let (tape, other) = (tape(2), tape(1));
    for tape in [&tape, &other] {
        enrolment.connect().await.deliver(tape).await;
    }
    house.stored(tape.id(), 2).await;
    house.stored(other.id(), 1).await;
    let path = format!("/site/v1/recordings/{}/shred", tape.id());
    let live = Tape::new("v");
    enrolment.connect().await.open(&live).await;
    let response =
        house.ask(Method::POST, &format!("/site/v1/recordings/{}/shred", live.id()), Some(object!({}))).await;
    assert_eq!(response.status(), StatusCode::CONFLICT, "it is still being made");
    house.fragments(tape.id(), "at=0").await;
    let response = house.ask(Method::POST, &path, Some(object!({ "why": "asked for" }))).await;
    assert_eq!(response.status(), StatusCode::OK);
    let done = json(response).await;
    assert_eq!((&done["by"], &done["why"]), (&"admin".into(), &"asked for".into()));
    for _ in 0..2 {
        for what in ["fragments?at=0", "timeline", "segments/0"] {
            let (status, problem) = house.refused(&format!("/site/v1/recordings/{}/{what}", tape.id())).await;
            assert_eq!(status, StatusCode::GONE, "{what}: {problem}");
            assert!(problem["detail"].as_str().unwrap().contains("shredded by admin"), "{problem}");
        }
        assert_eq!(archive(&house, tape.id(), object!({})).await.0, StatusCode::GONE);
        let row = house.json(&format!("/site/v1/recordings/{}", tape.id())).await;
        assert_eq!((&row["shredded"]["by"], &row["state"]), (&"admin".into(), &"finished".into()));
        house.fragments(other.id(), "at=0").await;
        house.restart().await;
    }
    // Saying so again changes nothing.
    let again = json(house.ask(Method::POST, &path, Some(object!({ "why": "other" }))).await).await;
    assert_eq!(again, done);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_on_the_disk_is_found_and_not_given_out() {
    let house = encrypting().await;
    let enrolment = house.agent().await;
    let (tape, other) = (tape(2), tape(2));
    for tape in [&tape, &other] {
        enrolment.connect().await.deliver(tape).await;
        house.stored(tape.id(), 2).await;
    }
    let of = |tape: &Tape, number: u32| {
        let name = format!("{}/{number:06}.mcap", tape.id());
        stored(&house).into_iter().find(|path| path.to_str().unwrap().ends_with(&name)).unwrap()
    };
    let whole = fs::read(of(&tape, 0)).unwrap();
    let path = format!("/site/v1/recordings/{}/segments/0", tape.id());
    let broken = async |bytes: &[u8]| {
        fs::write(of(&tape, 0), bytes).unwrap();
        let response = house.get(&path).await;
        response.status() != StatusCode::OK || response.into_body().collect().await.is_err()
    };
    let block = (64 << 10) + 16;
    let mut flipped = whole.clone();
    flipped[96 + block + 5] ^= 1;
    let mut swapped = whole.clone();
    let (a, b) = swapped[96..].split_at_mut(block);
    a.swap_with_slice(&mut b[..block]);
    for (what, bytes) in [
        ("flipped", flipped),
        ("swapped", swapped),
        ("cut at a block", whole[..96 + block].to_vec()),
        ("another segment's", fs::read(of(&tape, 1)).unwrap()),
        ("another recording's", fs::read(of(&other, 0)).unwrap()),
        ("in the clear", tape.bytes(0, 4)),
    ] {
        assert!(broken(&bytes).await, "{what}");
    }
    assert!(!broken(&whole).await);
    assert_eq!(house.fragments(tape.id(), "at=0").await, tape.bytes(0, 9));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_sites_key_away_running_recordings_go_on_and_new_ones_wait_at_their_agents() {
    let mut house = encrypting().await;
    let enrolment = house.agent().await;
    let mut agent = enrolment.connect().await;
    let mut running = Tape::new("u");
    running.tick(5_000);
    agent.deliver(&running).await;
    let (file, away) = (house.data().join("site.keys"), house.data().join("away"));
    fs::rename(&file, &away).unwrap();
    running.roll_over(5_000);
    agent.send_rest(&running, 1).await;
    house.stored(running.id(), 1).await;
    let new = tape(1);
    agent.ask_open(&new).await;
    let refused = agent.refused().await;
    assert_eq!(Refusal::try_from(refused.reason), Ok(Refusal::Later));
    assert!(refused.text.contains("restore it from a backup"), "{}", refused.text);
    let health = house.json("/site/v1/health").await;
    assert_eq!(health["state"], "degraded");
    assert!(health["problems"][0].as_str().unwrap().contains("new recordings wait"), "{health}");
    // Started without it, the server takes nothing encrypted in, and says why; nothing is lost.
    house.restart().await;
    let mut agent = enrolment.connect().await;
    agent.ask_open(&running).await;
    let refused = agent.refused().await;
    assert_eq!(Refusal::try_from(refused.reason), Ok(Refusal::Later));
    let (status, problem) =
        house.refused(&format!("/site/v1/recordings/{}/fragments?at=0", running.id())).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
    fs::rename(&away, &file).unwrap();
    until(async || (house.json("/site/v1/health").await["state"] == "ok").then_some(())).await;
    running.end();
    let mut agent = enrolment.connect().await;
    // What asked before the file was back may fail after it is: the agent asks again then.
    let opened = until(async || {
        agent.ask_open(&running).await;
        agent.opened_or_later().await
    });
    assert_eq!(opened.await.next_seq, 2);
    agent.send_rest(&running, 2).await;
    house.stored(running.id(), 2).await;
    assert_eq!(house.fragments(running.id(), "at=0").await, running.bytes(0, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated_and_rewrapped_beside_the_server_and_old_databases_lose_their_use() {
    let house = encrypting().await;
    let enrolment = house.agent().await;
    let (first, second) = (tape(1), tape(1));
    enrolment.connect().await.deliver(&first).await;
    let admin = KeyAdmin::open(house.data(), None).await.unwrap();
    admin.rotate(None).await.unwrap();
    enrolment.connect().await.deliver(&second).await;
    house.stored(second.id(), 1).await;
    let counts = |report: &playhead_server::KeyReport| -> Vec<u64> {
        report.keys.iter().map(|key| key.data_keys).collect()
    };
    let report = admin.report().await.unwrap();
    assert_eq!(counts(&report), [1, 1]);
    let old = report.keys[1].id.clone();
    assert!(admin.destroy(&old).await.unwrap_err().to_string().contains("still wraps 1"));
    let rewrapped = admin.rewrap(|_| ()).await.unwrap();
    assert_eq!((rewrapped.rewrapped, rewrapped.failed), (1, 0));
    assert_eq!(admin.rewrap(|_| ()).await.unwrap().rewrapped, 0);
    assert_eq!(counts(&admin.report().await.unwrap()), [2, 0]);
    admin.destroy(&old).await.unwrap();
    for tape in [&first, &second] {
        assert_eq!(house.fragments(tape.id(), "at=0").await, tape.bytes(0, 5));
    }
    admin.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_files_move_as_they_are_and_play_throughout() {
    let at = |folder: &std::path::Path, name: &str| LocationSettings {
        name: Some(name.into()),
        ..LocationSettings::new(folder.join(name).to_string_lossy())
    };
    let house = House::with(|settings| {
        settings.storage = vec![at(&settings.data, "a"), at(&settings.data, "b")];
        settings.site_key = Some("file".parse().unwrap());
    })
    .await;
    let tape = tape(3);
    house.agent().await.connect().await.deliver(&tape).await;
    house.stored(tape.id(), 3).await;
    for to in ["a", "b"] {
        let path = format!("/site/v1/recordings/{}/move", tape.id());
        let asked = json(house.ask(Method::POST, &path, Some(object!({ "location": to }))).await).await;
        until(async || {
            assert_eq!(house.fragments(tape.id(), "at=0").await, tape.bytes(0, 13));
            let report = house.json("/site/v1/storage").await;
            let all = report["moves"].as_array().unwrap().clone();
            all.into_iter().find(|row| row["id"] == asked["id"] && row["state"] == "done")
        })
        .await;
        assert_eq!(house.files(to).len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_is_encrypted_to_whom_it_is_for_and_a_passphrase_is_never_told() {
    let house = encrypting().await;
    let tape = tape(2);
    house.agent().await.connect().await.deliver(&tape).await;
    house.stored(tape.id(), 2).await;
    let recipient = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
    let (status, file) = archive(&house, tape.id(), object!({ "recipients": [recipient] })).await;
    assert_eq!(status, StatusCode::OK);
    assert!(file.starts_with(b"age-encryption.org/v1\n-> X25519 ") && file.len() > tape.bytes(0, 9).len());
    let (status, file) = archive(&house, tape.id(), object!({ "passphrase": "correct horse battery" })).await;
    assert_eq!(status, StatusCode::OK);
    assert!(file.starts_with(b"age-encryption.org/v1\n-> scrypt "));
    for wrong in [
        object!({ "passphrase": "short" }),
        object!({ "passphrase": "correct horse battery", "recipients": [recipient] }),
        object!({ "recipients": ["age1nobody"] }),
        object!({ "passphrase": ["hush hush hush"] }),
        object!({ "password": "correct horse battery" }),
    ] {
        let (status, problem) = archive(&house, tape.id(), wrong.clone()).await;
        let problem = String::from_utf8(problem).unwrap();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}");
        assert!(!problem.contains("hush") && !problem.contains("horse"), "{problem}");
    }
    let live = Tape::new("v");
    house.agent().await.connect().await.open(&live).await;
    assert_eq!(archive(&house, live.id(), object!({})).await.0, StatusCode::CONFLICT);
}

/// A key store that speaks AWS KMS's language, from `scripts/with-s3`.
fn key_store() -> Option<playhead_server::SiteKeyAddress> {
    let address = std::env::var("PLAYHEAD_TEST_KMS").ok();
    if address.is_none() {
        println!("NOT RUN: use scripts/with-s3");
    }
    address.map(|address| address.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_goes_over_to_a_key_store_with_all_it_has() {
    let Some(store) = key_store() else { return };
    let mut house = encrypting().await;
    let enrolment = house.agent().await;
    let (first, second) = (tape(1), tape(1));
    enrolment.connect().await.deliver(&first).await;
    house.stored(first.id(), 1).await;
    let admin = KeyAdmin::open(house.data(), None).await.unwrap();
    admin.rotate(Some(&store)).await.unwrap();
    house.settings.site_key = None;
    house.restart().await;
    enrolment.connect().await.deliver(&second).await;
    house.stored(second.id(), 1).await;
    let report = admin.report().await.unwrap();
    assert!(report.keys[0].id.starts_with("arn:aws:kms:") && report.keys[0].current, "{report:?}");
    assert_eq!((report.keys[0].data_keys, report.keys[1].data_keys), (1, 1));
    assert_eq!(admin.rewrap(|_| ()).await.unwrap().rewrapped, 1);
    // Without the file, everything opens by the key store alone.
    fs::remove_file(house.data().join("site.keys")).unwrap();
    house.restart().await;
    for tape in [&first, &second] {
        assert_eq!(house.fragments(tape.id(), "at=0").await, tape.bytes(0, 5));
    }
    assert_eq!(house.json("/site/v1/health").await["state"], "ok");
    admin.close().await;
}
