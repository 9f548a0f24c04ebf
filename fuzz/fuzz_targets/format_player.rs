//! The player: raw bytes as a stream, and fragments that are whole in themselves but hold anything, in any order, with steps
//! and seeks between.
#![no_main]

use libfuzzer_sys::fuzz_target;
use playhead_format::{Channel, Flags, FormatError, FragmentBuilder, FragmentHead, genesis};
use playhead_model::RecordingId;
use playhead_player::{Player, SOUND_FIELDS, Sound, Step};

fuzz_target!(|data: &[u8]| {
    let mut player = Player::new();
    player.push(data);
    play(&mut player, u64::MAX);
    hear(data);

    let mut player = Player::new();
    let mut script = Script { left: data };
    let mut builder = FragmentBuilder::new();
    let recording = RecordingId::from_bytes([1; 16]);
    let mut previous = genesis(recording);
    let (mut seq, mut anchor_seq, mut end_us) = (0, 0, 0);
    while let Some(action) = script.byte() {
        match action % 8 {
            0 => play(&mut player, end_us / 2),
            1 => player.seek(u64::from(script.byte().unwrap_or(0))),
            2 => seq = u64::from(script.byte().unwrap_or(0)),
            _ => {
                let start_us = end_us;
                while let Some(channel) = script.byte().filter(|byte| *byte < 200) {
                    end_us += u64::from(channel) * 100;
                    let channel = Channel::ALL[1 + usize::from(channel) % 6];
                    builder.push(channel, end_us, 0, script.piece()).expect("small messages fit");
                }
                let key_frame = action & 8 != 0;
                let anchor = key_frame && action & 16 != 0 || seq == 0;
                let repeated = anchor && seq > 0 && action & 32 != 0;
                if anchor && !repeated {
                    anchor_seq = seq;
                }
                let flags = Flags {
                    key_frame: key_frame || anchor,
                    anchor,
                    first_of_segment: seq == 0,
                    last: action == 255,
                    gap_before: false,
                    repeated,
                };
                let head = FragmentHead {
                    flags,
                    segment: 0,
                    seq,
                    start_us,
                    end_us,
                    anchor_seq,
                    activity: 0,
                    events: 0,
                    recording,
                    previous,
                    wall_us: 0,
                    width: 0,
                    height: 0,
                };
                match builder.finish(head, 1) {
                    Ok(fragment) => {
                        previous = fragment.hash;
                        player.push(&fragment.bytes);
                        hear(&fragment.bytes);
                        seq += 1;
                    }
                    Err(FormatError::Invalid { .. }) => builder.clear(),
                    Err(error) => panic!("{error}"),
                }
                play(&mut player, end_us);
            }
        }
    }
});

fn play(player: &mut Player, until_us: u64) {
    loop {
        let step = player.step(until_us);
        let _ = player.next_seq();
        match step {
            Step::Again => {}
            Step::Error => {
                assert!(!player.error().is_empty());
                break;
            }
            _ => break,
        }
    }
    player.take_dirty();
    let expected = player.rgba().len();
    assert!(player.dirty().is_empty() || expected >= player.width() as usize * player.height() as usize * 4);
    player.take_meta();
    player.pointer().take_changed();
}

fn hear(record: &[u8]) {
    let mut sound = Sound::default();
    let packets = sound.read(record);
    let lengths = sound.fields().chunks(SOUND_FIELDS).map(|fields| fields[3] as usize);
    assert_eq!((lengths.clone().count(), lengths.sum::<usize>()), (packets, sound.bytes().len()));
}

/// What the fuzzer's bytes ask for.
struct Script<'a> {
    left: &'a [u8],
}

impl<'a> Script<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, left) = self.left.split_first()?;
        self.left = left;
        Some(byte)
    }

    /// Some bytes, their number told by the first two.
    fn piece(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte().unwrap_or(0)) | usize::from(self.byte().unwrap_or(0) & 15) << 8;
        let (piece, left) = self.left.split_at(length.min(self.left.len()));
        self.left = left;
        piece
    }
}
