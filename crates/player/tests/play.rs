//! Playing: steps, seeks, anchors, broken connections, damage.
#![allow(clippy::unwrap_used, reason = "a test may fail by it")]

use playhead_format::RecordSplitter;
use playhead_player::{Player, Step};
use std::{fs, path::Path};

/// The Chunk records of a vector. `whole` has anchors in 0 and 5, key frames in 3 and 6, the end in 7; fragment n covers n
/// to n.9 seconds, but 6 starts at 6.5.
fn records(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors").join(name);
    let mut splitter = RecordSplitter::new();
    splitter.push(&fs::read(path).unwrap()).unwrap();
    let mut records = Vec::new();
    while let Some(record) = splitter.next().unwrap() {
        records.push(record.bytes.to_vec());
    }
    records
}

/// Steps until something else than "again" comes.
fn run(player: &mut Player, until_us: u64) -> Step {
    loop {
        match player.step(until_us) {
            Step::Again => {}
            step => return step,
        }
    }
}

fn picture(player: &mut Player) -> (u32, u32, Vec<u8>) {
    player.take_dirty();
    (player.width(), player.height(), player.rgba().to_vec())
}

/// What is shown at a moment when everything is played from the start.
fn expected(until_us: u64) -> (u32, u32, Vec<u8>) {
    let mut player = Player::new();
    assert!(player.push(&records("whole.mcap").concat()));
    run(&mut player, until_us);
    picture(&mut player)
}

#[test]
fn steps_stop_between_messages_and_wait_for_bytes() {
    let records = records("whole.mcap");
    let mut player = Player::new();
    assert_eq!((player.step(0), player.position_us(), player.width()), (Step::NeedMore, None, 0));
    player.push(&records[0][..50]);
    assert_eq!((player.step(0), player.next_seq()), (Step::NeedMore, None));
    player.push(&records[0][50..]);
    assert_eq!(player.step(100_000), Step::Reached);
    assert_eq!((player.position_us(), player.anchor_seq()), (Some(100_000), Some(0)));
    assert!(player.take_resized() && !player.take_resized());
    let before = picture(&mut player);
    assert_eq!(player.step(299_999), Step::Reached);
    assert!(player.take_dirty() == 0);
    assert_eq!(player.step(300_000), Step::Reached);
    assert_ne!(picture(&mut player), before);
    // Time does not run back without a seek.
    assert_eq!((player.step(5), player.position_us()), (Step::Reached, Some(300_000)));

    assert_eq!((player.step(900_000), player.position_us()), (Step::Reached, Some(900_000)));
    assert_eq!((player.step(950_000), player.position_us()), (Step::NeedMore, Some(900_000)));
    player.push(&records[1]);
    // The next fragment tells that nothing happened in between.
    assert_eq!((player.step(950_000), player.position_us()), (Step::Reached, Some(950_000)));
    player.push(&records[2..].concat());
    assert_eq!(player.step(u64::MAX), Step::Again);
    assert_eq!(run(&mut player, u64::MAX), Step::End);
    assert_eq!((player.position_us(), player.pending(), player.chain_ok()), (Some(8_900_000), 0, true));
}

#[test]
fn a_seek_needs_the_anchor_once() {
    let records = records("whole.mcap");
    let mut player = Player::new();
    player.seek(3);
    player.push(&records[3]);
    assert_eq!(player.step(3_400_000), Step::Error);
    assert!(player.error().contains("push that fragment first"), "{}", player.error());

    player.seek(3);
    player.push(&[&records[0][..], &records[3], &records[4]].concat());
    assert_eq!(run(&mut player, 3_400_000), Step::Reached);
    assert_eq!((player.error(), player.anchor_seq()), ("", Some(0)));
    assert!(picture(&mut player) == expected(3_400_000));
    assert_eq!(player.head().unwrap().seq, 3);
    // Nothing of the anchor's fragment was told.
    assert!(player.take_meta().is_empty());

    // Held: back and forth without fetching it again.
    player.seek(3);
    player.push(&records[3]);
    assert_eq!(run(&mut player, 3_700_000), Step::Reached);
    assert!(picture(&mut player) == expected(3_700_000));

    // Another anchor, another size.
    player.seek(6);
    player.push(&records[5]);
    assert_eq!((player.step(u64::MAX), player.width(), player.position_us()), (Step::NeedMore, 64, None));
    player.push(&records[6..].concat());
    player.take_resized();
    assert_eq!(run(&mut player, 6_900_000), Step::Reached);
    assert!(player.take_resized());
    assert!(picture(&mut player) == expected(6_900_000));
    assert_eq!(run(&mut player, u64::MAX), Step::End);
    assert!(picture(&mut player) == expected(u64::MAX));
    assert!(player.chain_ok());
}

#[test]
fn a_stream_can_start_anywhere_only_at_key_frames() {
    let records = records("whole.mcap");
    let mut player = Player::new();
    player.push(&records[1]);
    assert_eq!(player.step(u64::MAX), Step::Error);
    assert!(player.error().contains("got fragment 1, which has none"), "{}", player.error());
    // Live: the newest anchor comes first.
    let mut player = Player::new();
    player.push(&records[5..].concat());
    assert_eq!(run(&mut player, u64::MAX), Step::End);
    assert!(picture(&mut player) == expected(u64::MAX));
}

#[test]
fn a_broken_connection_goes_on_where_it_broke() {
    let records = records("whole.mcap");
    let mut player = Player::new();
    player.push(&[&records[0][..], &records[1], &records[2][..30]].concat());
    assert_eq!(player.step(100_000), Step::Reached);
    player.reset_stream();
    assert_eq!(player.next_seq(), Some(2));
    player.push(&records[2..].concat());
    assert_eq!(run(&mut player, u64::MAX), Step::End);
    assert!(player.chain_ok());
    assert!(picture(&mut player) == expected(u64::MAX));
}

#[test]
fn what_comes_twice_is_passed_over_and_what_is_missing_is_told() {
    let records = records("whole.mcap");
    let mut player = Player::new();
    player.push(&[&records[..2].concat()[..], &records[1], &records[2..].concat()].concat());
    assert_eq!(run(&mut player, u64::MAX), Step::End);
    assert!(!player.chain_ok());
    assert!(picture(&mut player) == expected(u64::MAX));

    let mut player = Player::new();
    player.push(&[&records[0][..], &records[2]].concat());
    assert_eq!(run(&mut player, u64::MAX), Step::Error);
    assert!(player.error().contains("1 missing; play on from the next key frame"), "{}", player.error());
    assert!(!player.chain_ok());

    // A key frame after missing ones shows the right picture, so play goes on; the break is told.
    let mut player = Player::new();
    player.push(&[&records[0][..], &records[3]].concat());
    assert_eq!(run(&mut player, 3_400_000), Step::Reached);
    assert!(picture(&mut player) == expected(3_400_000));
    assert!(!player.chain_ok());
}

#[test]
fn after_damage_play_goes_on_from_the_next_key_frame() {
    let records = records("whole.mcap");
    let mut damaged = records[1].clone();
    damaged[60] ^= 4;
    let mut player = Player::new();
    player.push(&[&records[0][..], &damaged, &records[2]].concat());
    assert_eq!(run(&mut player, u64::MAX), Step::Error);
    assert_eq!(player.step(u64::MAX), Step::Error);
    assert_eq!(player.position_us(), Some(900_000));
    player.seek(3);
    player.push(&records[3..].concat());
    assert_eq!(run(&mut player, u64::MAX), Step::End);
    assert!(picture(&mut player) == expected(u64::MAX));
}

#[test]
fn meta_messages_come_as_json_and_the_pointer_as_it_is() {
    let mut player = Player::new();
    player.push(&records("whole.mcap").concat());
    run(&mut player, u64::MAX);
    let meta: serde_json::Value = serde_json::from_slice(player.take_meta()).unwrap();
    assert_eq!(meta[0]["message"]["info"]["user"], "alice");
    assert_eq!(meta[1]["at_us"], 6_500_000);
    assert_eq!(meta[1]["message"]["cause"], "agent-restarted");
    assert_eq!(meta[2]["message"]["reason"], "session-ended");
    assert!(player.take_meta().is_empty());
    assert_eq!(player.pointer().take_changed(), 3);
    assert_eq!(player.pointer().fields[2..], [1, 2, 2, 1, 0]);
    assert_eq!(player.pointer().rgba.len(), 16);
}
