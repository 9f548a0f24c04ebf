use super::{
    fragments::Tape,
    house::{House, until},
};
use playhead_format::{Closing, SegmentReader, Status, scan};
use playhead_proof::{ProofState, Trust, prove};
use playhead_server::CertificateAdmin;
use std::{fs, os::unix::fs::PermissionsExt as _};

#[tokio::test(flavor = "multi_thread")]
async fn segments_go_to_storage_and_out_of_the_journal() {
    let house = House::with(|settings| settings.journal_file_bytes = 1 << 10).await;
    let mut agent = house.agent().await.connect().await;
    let mut tape = Tape::new("u");
    for seq in 0..12 {
        if seq % 4 == 0 && seq > 0 {
            tape.roll_over(2_000)
        } else {
            tape.tick(2_000)
        };
    }
    tape.end();
    agent.deliver(&tape).await;
    house.stored(tape.id(), 3).await;
    let names = house.files("recordings");
    let expected: Vec<_> = (0..3).map(|n| format!("2026/09/21/{}/{n:06}.mcap", tape.id())).collect();
    assert_eq!(names, expected);
    for (number, name) in names.iter().enumerate() {
        let file = fs::File::open(house.data().join("recordings").join(name)).unwrap();
        let mut reader = SegmentReader::open(file).unwrap();
        let (first, count) = (number * 4, if number == 2 { 5 } else { 4 });
        assert_eq!(reader.index().entries.len(), count);
        assert_eq!(reader.index().closing, if number == 2 { Closing::Ended } else { Closing::Continues });
        for position in 0..count {
            assert_eq!(reader.fragment(position).unwrap(), tape.made[first + position].bytes);
        }
    }
    // Sealed, though the agent, an old one, does not sign.
    let scans = names.iter().map(|name| {
        let file = fs::File::open(house.data().join("recordings").join(name)).unwrap();
        (name.clone(), scan(file))
    });
    let proved = prove(scans, None);
    assert_eq!((proved.status(), proved.proofs[0].seals.len()), (Status::Intact, 3), "{proved:#?}");
    // One more fragment, so that the file that was being written is an earlier one; then none of them is needed.
    let mut next = Tape::new("v");
    next.tick(2_000);
    agent.deliver(&next).await;
    until(async || (house.files("journal").len() == 1).then_some(())).await;
}

/// Root may write everywhere, so the storage is made unusable by a file where a folder should be.
#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_fails_is_tried_again_and_nothing_else_is_disturbed() {
    let house = House::new().await;
    let mut agent = house.agent().await.connect().await;
    let mut tape = Tape::new("u");
    let blocked = house.data().join("recordings/2026");
    fs::write(&blocked, "in the way").unwrap();
    for _ in 0..3 {
        tape.tick(100);
    }
    tape.end();
    agent.deliver(&tape).await;
    let health = house.degraded().await;
    assert!(health["problems"][0].as_str().unwrap().contains("cannot store segments"), "{health}");
    // It plays from the journal, and another recording comes in.
    assert_eq!(house.fragments(tape.id(), "at=0").await, tape.bytes(0, 4));
    let mut other = Tape::new("v");
    other.tick(100);
    agent.deliver(&other).await;
    fs::remove_file(&blocked).unwrap();
    house.stored(tape.id(), 1).await;
    assert_eq!(house.json("/site/v1/health").await["state"], "ok");
    assert_eq!(house.fragments(tape.id(), "at=0").await, tape.bytes(0, 4));
}

/// A crash after each step of storing leaves one of these behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_step_of_storing_is_made_good() {
    let mut house = House::new().await;
    let enrolment = house.agent().await;
    let mut tapes = Vec::new();
    let folder = house.data().join("recordings/2026");
    fs::write(&folder, "in the way").unwrap();
    for _ in 0..3 {
        let mut tape = Tape::new("u");
        for _ in 0..3 {
            tape.tick(5_000);
        }
        tape.end();
        enrolment.connect().await.deliver(&tape).await;
        tapes.push(tape);
    }
    house.stop().await;
    fs::remove_file(&folder).unwrap();
    let path = |tape: &Tape, end: &str| folder.join(format!("09/21/{}/000000.mcap{end}", tape.id()));
    for tape in &tapes {
        fs::create_dir_all(path(tape, "").parent().unwrap()).unwrap();
    }
    // While writing: a part under another name. Written, but cut short by the file system. Something else altogether.
    fs::write(path(&tapes[0], "#1"), "a part").unwrap();
    fs::write(path(&tapes[1], ""), &tapes[1].made[0].bytes[..100]).unwrap();
    fs::write(path(&tapes[2], ""), vec![7; 1 << 20]).unwrap();
    house.start().await;
    for tape in &tapes {
        house.stored(tape.id(), 1).await;
        assert_eq!(house.fragments(tape.id(), "at=0").await, tape.bytes(0, 4));
        let mut reader = SegmentReader::open(fs::File::open(path(tape, "")).unwrap()).unwrap();
        assert_eq!(reader.info().unwrap(), tape.info);
    }
    assert!(!path(&tapes[0], "#1").exists());
    assert_eq!(house.files("recordings").len(), 3);
}

/// Written down in the database, but still in the journal: a copy of the journal of before is put back.
#[tokio::test(flavor = "multi_thread")]
async fn fragments_that_are_stored_already_are_passed_over_in_the_journal() {
    let mut house = House::new().await;
    let enrolment = house.agent().await;
    let mut tape = Tape::new("u");
    for _ in 0..4 {
        tape.tick(1_000);
    }
    enrolment.connect().await.deliver(&tape).await;
    house.stop().await;
    let before: Vec<_> = house
        .files("journal")
        .into_iter()
        .map(|name| (name.clone(), fs::read(house.data().join("journal").join(name)).unwrap()))
        .collect();
    assert!(!before.is_empty());
    house.start().await;
    tape.roll_over(1_000);
    enrolment.connect().await.deliver(&tape).await;
    house.stored(tape.id(), 1).await;
    house.stop().await;
    for (name, bytes) in before {
        fs::write(house.data().join("journal").join(name), bytes).unwrap();
    }
    house.start().await;
    assert_eq!(house.fragments(tape.id(), "at=0").await, tape.bytes(0, 5));
    assert_eq!(house.json(&format!("/site/v1/recordings/{}", tape.id())).await["state"], "live");
}

/// What rots in the journal while the server runs is found when it is to be stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_does_not_verify_sets_its_recording_aside_and_no_other() {
    let house = House::new().await;
    let mut agent = house.agent().await.connect().await;
    let (mut hit, mut other) = (Tape::new("hit"), Tape::new("other"));
    for _ in 0..3 {
        hit.tick(3_000);
        other.tick(3_000);
    }
    agent.deliver(&hit).await;
    agent.deliver(&other).await;
    let path = house.data().join("journal").join(house.files("journal").pop().unwrap());
    let mut bytes = fs::read(&path).unwrap();
    let record = &hit.made[1].bytes;
    let at = bytes.windows(record.len()).position(|window| window == record).unwrap();
    bytes[at + 1_000] ^= 1;
    fs::write(&path, bytes).unwrap();
    hit.roll_over(10);
    other.roll_over(10);
    agent.send(&hit, &hit.made[3]).await;
    let row = house.until(hit.id(), |row| row["state"] == "quarantined").await;
    let reason = row["quarantine"]["reason"].as_str().unwrap();
    assert!(reason.contains("segment 0 cannot be stored"), "{row}");
    assert!(row["quarantine"]["since"].is_string());
    let mut agent = house.agent().await.connect().await;
    let mut next = Tape::new("next");
    next.tick(10);
    next.end();
    agent.deliver(&next).await;
    house.stored(next.id(), 1).await;
    assert!(house.files("recordings").iter().all(|name| !name.contains(&hit.id().to_string())));
    // What is whole of it plays.
    assert_eq!(house.fragments(hit.id(), "at=0&until=100000&max_bytes=1").await, hit.bytes(0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_segment_in_storage_is_named_and_the_rest_plays() {
    let house = House::with(|settings| settings.index_cache_bytes = 0).await;
    let mut agent = house.agent().await.connect().await;
    let mut tape = Tape::new("u");
    for seq in 0..8 {
        if seq == 4 {
            tape.roll_over(1_000)
        } else {
            tape.tick(1_000)
        };
    }
    tape.end();
    agent.deliver(&tape).await;
    house.stored(tape.id(), 2).await;
    let name = house.files("recordings").remove(0);
    let path = house.data().join("recordings").join(name);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o002, 0);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let (status, problem) = house.refused(&format!("/site/v1/recordings/{}/fragments?at=0", tape.id())).await;
    assert_eq!(status.as_u16(), 503, "{problem}");
    assert_eq!(house.fragments(tape.id(), "at=4000000").await, tape.bytes(4, 9));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_is_signed_sealed_and_proved_by_what_the_site_exports() {
    let house = House::new().await;
    let enrolment = house.agent().await;
    let mut agent = enrolment.connect().await;
    let mut tape = Tape::new("u");
    tape.signer = Some(enrolment.signer());
    for seq in 0..8 {
        if seq == 4 {
            tape.roll_over(500)
        } else {
            tape.tick(500)
        };
    }
    tape.end();
    agent.deliver(&tape).await;
    house.stored(tape.id(), 2).await;

    let admin = CertificateAdmin::open(house.data(), None).await.unwrap();
    let judge = |pem: &str| {
        let files = house.files("recordings").into_iter().map(|name| {
            let file = fs::File::open(house.data().join("recordings").join(&name)).unwrap();
            (name, scan(file))
        });
        prove(files, Some(&Trust::from_pem(pem).unwrap()))
    };
    for pin in [false, true] {
        let proved = judge(&admin.export(pin).await.unwrap());
        let state = (proved.status(), proved.proofs[0].state);
        assert_eq!(state, (Status::Intact, ProofState::Proved), "{proved:#?}");
        assert_eq!((proved.proofs[0].seals.len(), proved.proofs[0].not_covered), (2, 0));
    }
    let stranger = House::new().await;
    let other = CertificateAdmin::open(stranger.data(), None).await.unwrap();
    let proved = judge(&other.export(false).await.unwrap());
    assert_eq!(proved.status(), Status::Damaged);

    // Once revoked, it cannot connect, and the export tells those who verify.
    assert!(admin.revoke("pc1").await.unwrap() > 0);
    let export = admin.export(true).await.unwrap();
    assert!(export.contains("X509 CRL"), "{export}");
    Trust::from_pem(&export).unwrap();
    assert!(enrolment.log_in().await.is_err());
    admin.close().await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_of_another_key_is_refused() {
    let house = House::new().await;
    let (enrolment, other) = (house.agent().await, house.agent().await);
    let mut agent = enrolment.connect().await;
    let mut tape = Tape::new("u");
    tape.signer = Some(other.signer());
    let made = tape.tick(100);
    agent.open(&tape).await;
    agent.send(&tape, &made).await;
    let refused = agent.refused().await;
    assert!(refused.text.contains("does not fit the agent's key"), "{}", refused.text);
}
