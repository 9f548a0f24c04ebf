//! A small file system that can be filled, where root may mount one.

use super::{
    fragments::Tape,
    house::{House, until},
};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use playhead_protocol::message::{Refusal, from_server::Kind};
use std::{io::Write as _, path::PathBuf};

pub(crate) struct SmallDisk(pub(crate) PathBuf);

impl SmallDisk {
    /// `None`, with a word about it, when this user may not mount.
    pub(crate) fn new(path: PathBuf, bytes: u64) -> Option<Self> {
        std::fs::create_dir_all(&path).unwrap();
        let options = format!("size={bytes}");
        match mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), Some(options.as_str())) {
            Ok(()) => Some(Self(path)),
            Err(error) => {
                println!("NOT RUN: mounting a small disk needs root ({error})");
                None
            }
        }
    }

    /// Fills it to the last byte.
    pub(crate) fn fill(&self) -> PathBuf {
        let path = self.0.join("hog");
        let mut hog = std::fs::File::create(&path).unwrap();
        while hog.write_all(&[1; 64 << 10]).is_ok() {}
        while hog.write_all(&[1]).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_intake_and_loses_nothing() {
    let mount = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::new(mount.path().join("disk"), 32 << 20) else { return };
    let mut house = House::with(|settings| settings.data = disk.0.join("data")).await;
    let enrolment = house.agent().await;
    let mut agent = enrolment.connect().await;
    let mut tape = Tape::new("u");
    for _ in 0..5 {
        tape.tick(10_000);
    }
    agent.deliver(&tape).await;

    let hog = disk.fill();
    // Until the disk was looked at, the journal itself runs into its end.
    for _ in 0..8 {
        tape.tick(100_000);
    }
    for made in &tape.made[5..] {
        agent.send(&tape, made).await;
    }
    let refused = agent.refused().await;
    assert_eq!(refused.reason, Refusal::Later as i32);
    let health = until(async || {
        let health = house.json("/site/v1/health").await;
        (health["state"] == "intake-stopped").then_some(health)
    })
    .await;
    assert!(health["problems"][0].as_str().unwrap().contains("make room"), "{health}");
    // What there is can be played meanwhile, and a new opening is put off.
    assert_eq!(house.fragments(tape.id(), "at=0").await, tape.bytes(0, 5));
    agent.ask_open(&tape).await;
    assert_eq!(agent.refused().await.reason, Refusal::Later as i32);

    std::fs::remove_file(hog).unwrap();
    until(async || (house.json("/site/v1/health").await["state"] != "intake-stopped").then_some(())).await;
    let opened = agent.open(&tape).await;
    assert_eq!(opened.next_seq, 5, "nothing that was refused counts");
    agent.send_rest(&tape, 5).await;
    house.restart().await;
    assert_eq!(house.fragments(tape.id(), "at=0").await, tape.bytes(0, 13));
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_little_room_is_noticed_before_the_disk_is_full() {
    let house = House::with(|settings| settings.least_free = u64::MAX / 4).await;
    // 2 % of the disk is the most that is asked for; a disk that is fuller than that shows the other side.
    let health = house.json("/site/v1/health").await;
    let enrolment = house.agent().await;
    let mut agent = enrolment.connect().await;
    let tape = Tape::new("u");
    agent.ask_open(&tape).await;
    let answer = agent.hear().await;
    match health["state"].as_str().unwrap() {
        "intake-stopped" => assert!(matches!(answer, Some(Kind::Refused(_))), "{answer:?}"),
        _ => assert!(matches!(answer, Some(Kind::Opened(_))), "{answer:?}"),
    }
}
