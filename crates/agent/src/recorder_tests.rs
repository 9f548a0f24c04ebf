//! Any row of events makes fragments that follow one another and show the right picture.

use super::*;
use crate::testing::{Canvas, Kept, KeptError, at, info};
use playhead_format::{OpenFragment, open_fragment};
use playhead_screen::Decoder;
use proptest::prelude::*;

fn recorder(settings: RecordingSettings) -> Recorder {
    Recorder::new(info(1), settings, 5)
}

fn metas(open: &OpenFragment) -> Vec<MetaMessage> {
    let messages = open.messages().map(Result::unwrap);
    messages.filter(|message| message.channel == 2).map(|message| MetaMessage::parse(message.data)).collect()
}

fn channels(open: &OpenFragment) -> Vec<u16> {
    open.messages().map(|message| message.unwrap().channel).collect()
}

/// Checks the chain and the rules of the format, and plays everything.
fn play(fragments: &[Fragment]) -> Decoder {
    let mut chain = Chain::new(info(1).id);
    let mut decoder = Decoder::new();
    for fragment in fragments {
        let open = open_fragment(&fragment.bytes).unwrap();
        chain.accept(&open).unwrap();
        let flags = open.head().flags;
        let metas = metas(&open);
        let particulars = matches!(metas.first(), Some(MetaMessage::Recording { .. }));
        assert_eq!(flags.first_of_segment, particulars);
        assert_eq!(flags.gap_before, metas.iter().any(|meta| matches!(meta, MetaMessage::Gap { .. })));
        assert_eq!(flags.last, metas.iter().any(|meta| matches!(meta, MetaMessage::End { .. })));
        let mut is_first = true;
        for message in open.messages().map(Result::unwrap).filter(|message| message.channel == 3) {
            let kind = playhead_screen::packet_kind(message.data).unwrap();
            let expected = match (is_first, flags.anchor, flags.key_frame) {
                (true, true, _) => PacketKind::Anchor,
                (true, false, true) => PacketKind::Key,
                _ => PacketKind::Delta,
            };
            assert_eq!(kind, expected, "fragment {}", open.head().seq);
            is_first = false;
            decoder.decode(message.data).unwrap();
        }
        assert!(!flags.key_frame || !is_first, "a key frame without a picture");
        if flags.key_frame {
            let rest: Vec<u16> = channels(&open).into_iter().filter(|&channel| channel > 2).collect();
            assert_eq!(rest[0], 3, "the whole state first");
        }
    }
    decoder
}

#[test]
fn the_anchor_stands_alone_with_the_pointer_and_nothing_makes_nothing() {
    let (mut recorder, mut kept, mut canvas) =
        (recorder(RecordingSettings::default()), Kept::new(), Canvas::new(40, 30));
    let shape = CursorMessage::Shape { width: 1, height: 1, hot_x: 0, hot_y: 0, rgba: vec![1, 2, 3, 255] };
    recorder.shape(at(0), &shape).unwrap();
    recorder.place(at(0), 3, 4, true).unwrap();
    assert_eq!(recorder.deadline(), None, "the pointer waits for the picture");
    recorder.picture(at(10), &canvas.picture(), &[], &mut kept).unwrap();
    let open = open_fragment(&kept.fragments[0].bytes).unwrap();
    assert_eq!(channels(&open), [1, 2, 3, 4, 4]);
    assert!(open.head().flags.anchor && open.head().flags.first_of_segment);
    assert_eq!((open.head().width, open.head().height), (40, 30));

    for second in 1..100 {
        let now = at(second * 1_000_000);
        recorder.picture(now, &canvas.picture(), &[canvas.whole()], &mut kept).unwrap();
        recorder.place(now, 3, 4, true).unwrap();
        recorder.shape(now, &shape).unwrap();
        recorder.tick(now, &mut kept).unwrap();
    }
    assert_eq!(kept.fragments.len(), 1, "where nothing changes nothing is recorded");

    canvas.dot(1);
    recorder.picture(at(200_000_000), &canvas.picture(), &[canvas.whole()], &mut kept).unwrap();
    assert_eq!(recorder.deadline(), Some(201_000_000));
    recorder.set_watched(true);
    assert_eq!(recorder.deadline(), Some(200_200_000));
    recorder.tick(at(200_199_999), &mut kept).unwrap();
    assert_eq!(kept.fragments.len(), 1);
    recorder.tick(at(200_200_000), &mut kept).unwrap();
    assert_eq!(kept.fragments.len(), 2);
    let head = kept.fragments[1].head;
    assert_eq!((head.start_us, head.end_us, head.anchor_seq), (200_000_000, 200_200_000, 0));
    assert!(head.activity >= 1);
    assert!(play(&kept.fragments).pixels() == canvas.pixels());
}

#[test]
fn key_frames_come_after_activity_and_not_after_time() {
    let settings = RecordingSettings { key_frame_seconds: 2, ..Default::default() };
    let (mut recorder, mut kept, mut canvas) = (recorder(settings), Kept::new(), Canvas::new(64, 64));
    canvas.noise();
    let mut now = 0;
    // Ten pictures a second for five seconds, an hour apart from five more.
    for round in 0..2 {
        for number in 0..50 {
            canvas.dot(round * 50 + number);
            recorder.picture(at(now), &canvas.picture(), &[canvas.whole()], &mut kept).unwrap();
            recorder.tick(at(now), &mut kept).unwrap();
            now += 100_000;
        }
        now += 3_000_000_000;
        recorder.set_settings(RecordingSettings { rollover_seconds: 86_400, ..recorder.settings().clone() });
    }
    recorder.tick(at(now), &mut kept).unwrap();
    let keys: Vec<u64> = kept
        .fragments
        .iter()
        .filter(|fragment| fragment.head.flags.key_frame && !fragment.head.flags.anchor)
        .map(|fragment| fragment.head.start_us)
        .collect();
    assert!((3..=5).contains(&keys.len()), "{keys:?}");
    assert!(play(&kept.fragments).pixels() == canvas.pixels());
}

#[test]
fn a_segment_repeats_the_anchor_while_the_desktop_looks_like_it() {
    let settings = RecordingSettings { rollover_seconds: 60, ..Default::default() };
    let (mut recorder, mut kept, mut canvas) = (recorder(settings), Kept::new(), Canvas::new(128, 96));
    canvas.noise();
    let mut now = 0;
    let mut work = |canvas: &mut Canvas, recorder: &mut Recorder, kept: &mut Kept, pictures: u32| {
        for number in 0..pictures {
            canvas.dot(number);
            recorder.picture(at(now), &canvas.picture(), &[canvas.whole()], kept).unwrap();
            recorder.tick(at(now + 400_000), kept).unwrap();
            now += 500_000;
        }
    };
    work(&mut canvas, &mut recorder, &mut kept, 300);
    let anchors = |kept: &Kept| -> Vec<FragmentHead> {
        kept.fragments.iter().map(|fragment| fragment.head).filter(|head| head.flags.anchor).collect()
    };
    let begun = anchors(&kept);
    assert_eq!(begun.len(), 3);
    for (head, segment) in begun.iter().zip(0..) {
        assert_eq!((head.flags.first_of_segment, head.segment), (true, segment));
        assert_eq!((head.flags.repeated, head.anchor_seq), (segment > 0, 0));
        let next = kept.fragments[head.seq as usize + 1].head;
        if segment > 0 {
            assert_eq!(next.flags, Flags { key_frame: true, ..Flags::default() });
            assert_eq!(
                (head.start_us, head.end_us, next.start_us),
                (next.start_us, head.start_us, head.end_us)
            );
        }
    }
    // Byte for byte the same packet.
    let packets: Vec<Vec<u8>> = begun
        .iter()
        .map(|head| {
            let open = open_fragment(&kept.fragments[head.seq as usize].bytes).unwrap();
            let packet = open.messages().map(Result::unwrap).find(|message| message.channel == 3).unwrap();
            packet.data.to_vec()
        })
        .collect();
    assert!(packets[0] == packets[1] && packets[0] == packets[2]);

    // Another desktop: its first key frame would cost too much and becomes an anchor, which the next segment repeats.
    canvas.noise();
    work(&mut canvas, &mut recorder, &mut kept, 130);
    let newest = anchors(&kept).pop().unwrap();
    let own = anchors(&kept).into_iter().rfind(|head| !head.flags.repeated).unwrap();
    assert!(own.seq > 0 && newest.flags.repeated && newest.anchor_seq == own.seq, "{newest:?} {own:?}");
    recorder.finish(at(1_000_000_000), EndReason::SessionEnded, &mut kept).unwrap();
    assert!(play(&kept.fragments).pixels() == canvas.pixels());
}

#[test]
fn an_anchor_that_key_frames_have_outgrown_is_replaced_but_not_again_and_again() {
    let settings = RecordingSettings { key_frame_seconds: 1, ..Default::default() };
    let (mut recorder, mut kept, mut canvas) = (recorder(settings), Kept::new(), Canvas::new(256, 256));
    canvas.noise();
    let quarter = canvas.data.len() / 4;
    for number in 0..400 {
        // A film in the upper quarter: no anchor makes its key frames smaller.
        let below = canvas.data[quarter..].to_vec();
        canvas.noise();
        canvas.data[quarter..].copy_from_slice(&below);
        let now = at(number * 500_000);
        recorder.picture(now, &canvas.picture(), &[canvas.whole()], &mut kept).unwrap();
    }
    let count =
        |is: fn(&Flags) -> bool| kept.fragments.iter().filter(|fragment| is(&fragment.head.flags)).count();
    let (anchors, keys) = (count(|flags| flags.anchor), count(|flags| flags.key_frame && !flags.anchor));
    assert!((3..=12).contains(&anchors), "{anchors} anchors");
    assert!(keys > anchors * 5, "{keys} key frames on {anchors} anchors");
    play(&kept.fragments);
}

#[test]
fn much_change_brings_a_key_frame_early() {
    let settings = RecordingSettings { key_frame_seconds: 600, ..Default::default() };
    let (mut recorder, mut kept, mut canvas) = (recorder(settings), Kept::new(), Canvas::new(256, 256));
    for number in 0..40 {
        canvas.noise();
        let now = at(number * 100_000);
        recorder.picture(now, &canvas.picture(), &[canvas.whole()], &mut kept).unwrap();
        recorder.tick(now, &mut kept).unwrap();
    }
    let mut since = 0;
    for fragment in &kept.fragments {
        since = if fragment.head.flags.key_frame { 0 } else { since + fragment.bytes.len() };
        assert!(since < 3 << 20, "{since} bytes without a key frame");
    }
    play(&kept.fragments);
}

#[test]
fn a_segment_ends_by_size_and_by_age_and_a_new_size_brings_an_anchor() {
    let settings = RecordingSettings { rollover_bytes: 1 << 20, rollover_seconds: 60, ..Default::default() };
    let (mut recorder, mut kept, mut canvas) = (recorder(settings), Kept::new(), Canvas::new(256, 256));
    let mut now = 0;
    for _ in 0..30 {
        canvas.noise();
        recorder.picture(at(now), &canvas.picture(), &[canvas.whole()], &mut kept).unwrap();
        recorder.tick(at(now), &mut kept).unwrap();
        now += 1_000_000;
    }
    let by_size = kept.fragments.last().unwrap().head.segment;
    assert!(by_size >= 2, "{by_size}");
    let mut other = Canvas::new(100, 50);
    let mut begun = 0;
    for width in [100, 80] {
        other = Canvas::new(width, 50);
        other.noise();
        now += 100_000;
        recorder.picture(at(now), &other.picture(), &[other.whole()], &mut kept).unwrap();
        let head = kept.fragments.last().unwrap().head;
        assert!(head.flags.anchor && (head.width, head.height) == (width, 50));
        begun += usize::from(head.flags.first_of_segment);
    }
    assert!(begun <= 1, "another size alone begins no segment");

    now += 61_000_000;
    assert!(recorder.needs_picture(at(now)));
    recorder.place(at(now), 1, 1, true).unwrap();
    recorder.picture(at(now), &other.picture(), &[], &mut kept).unwrap();
    let head = kept.fragments.last().unwrap().head;
    assert!(head.flags.first_of_segment && !head.flags.gap_before);
    assert!(!recorder.needs_picture(at(now)));
    assert!(play(&kept.fragments).pixels() == other.pixels());
}

#[test]
fn what_could_not_be_kept_becomes_a_gap_with_an_anchor_after_it() {
    let (mut recorder, mut kept, mut canvas) =
        (recorder(RecordingSettings::default()), Kept::new(), Canvas::new(32, 32));
    recorder.picture(at(0), &canvas.picture(), &[], &mut kept).unwrap();
    canvas.dot(1);
    recorder.picture(at(500_000), &canvas.picture(), &[canvas.whole()], &mut kept).unwrap();
    kept.is_full = true;
    let error = recorder.tick(at(2_000_000), &mut kept).unwrap_err();
    assert!(matches!(error, KeptError::Full));
    recorder.lost(GapCause::QueueFull);
    recorder.place(at(3_000_000), 9, 9, true).unwrap();
    assert_eq!(recorder.deadline(), None);
    kept.is_full = false;
    canvas.dot(2);
    recorder.picture(at(9_000_000), &canvas.picture(), &[], &mut kept).unwrap();
    let open = open_fragment(&kept.fragments[1].bytes).unwrap();
    let gap = Gap { from_us: 0, to_us: 9_000_000, cause: GapCause::QueueFull };
    assert_eq!(metas(&open)[1], gap.into());
    assert_eq!((open.head().seq, open.head().segment), (1, 1));
    recorder.finish(at(9_500_000), EndReason::SessionEnded, &mut kept).unwrap();
    assert!(play(&kept.fragments).pixels() == canvas.pixels());
}

#[test]
fn a_restarted_recorder_goes_on_and_one_that_never_began_ends_without_a_word() {
    let (mut first, mut kept, mut canvas) =
        (recorder(RecordingSettings::default()), Kept::new(), Canvas::new(32, 32));
    first.finish(at(0), EndReason::SessionEnded, &mut kept).unwrap();
    assert!(kept.fragments.is_empty());
    let mut first = recorder(RecordingSettings::default());
    first.picture(at(0), &canvas.picture(), &[], &mut kept).unwrap();
    canvas.dot(1);
    first.picture(at(5), &canvas.picture(), &[canvas.whole()], &mut kept).unwrap();
    first.tick(at(1_000_005), &mut kept).unwrap();

    let tail = kept.fragments.last().map(|fragment| (fragment.head, fragment.hash)).unwrap();
    let mut second =
        Recorder::resume(info(1), RecordingSettings::default(), 6, tail, GapCause::AgentRestarted);
    canvas.dot(2);
    second.picture(at(7_000_000), &canvas.picture(), &[], &mut kept).unwrap();
    let end = end_after(
        &kept.fragments[2].head,
        kept.fragments[2].hash,
        EndReason::AgentLost,
        &crate::testing::signer(),
    )
    .unwrap();
    kept.fragments.push(end);
    let decoder = play(&kept.fragments);
    assert!(decoder.pixels() == canvas.pixels());
    let gap = Gap { from_us: 1_000_005, to_us: 7_000_000, cause: GapCause::AgentRestarted };
    assert_eq!(metas(&open_fragment(&kept.fragments[2].bytes).unwrap())[1], gap.into());
}

fn sound(at_us: u64, packets: usize, length: usize) -> AudioMessage {
    AudioMessage { at_us, begins: false, channels: 2, packets: vec![vec![7; length]; packets] }
}

fn sounds(open: &OpenFragment) -> Vec<AudioMessage> {
    let messages = open.messages().map(Result::unwrap);
    messages
        .filter(|message| message.channel == 5)
        .map(|message| {
            let sound = AudioMessage::parse(message.data).unwrap().unwrap();
            assert!(sound.fits(message.log_time_us));
            sound
        })
        .collect()
}

#[test]
fn sound_comes_after_the_first_picture_and_makes_few_fragments() {
    let (mut recorder, mut kept, canvas) =
        (recorder(RecordingSettings::default()), Kept::new(), Canvas::new(40, 30));
    recorder.sound(at(900_000), &sound(500_000, 5, 9)).unwrap();
    assert_eq!(recorder.deadline(), None, "no sound without a picture");
    recorder.picture(at(1_000_000), &canvas.picture(), &[], &mut kept).unwrap();
    for round in 1..=60_u64 {
        let now = at(1_000_000 + round * 1_000_000);
        recorder.sound(now, &sound(now.media_us - 1_030_000, 50, 120)).unwrap();
        recorder.tick(at(now.media_us + 500_000), &mut kept).unwrap();
    }
    recorder.finish(at(62_000_000), EndReason::SessionEnded, &mut kept).unwrap();
    assert!((20..=32).contains(&kept.fragments.len()), "{} fragments a minute", kept.fragments.len());
    let heard: Vec<_> =
        kept.fragments.iter().flat_map(|fragment| sounds(&open_fragment(&fragment.bytes).unwrap())).collect();
    assert_eq!(heard.len(), 60);
    assert!(kept.fragments.iter().all(|fragment| fragment.head.end_us - fragment.head.start_us <= 2_500_000));
    play(&kept.fragments);

    // Somebody watches: sound is not held back.
    let mut watched = self::recorder(RecordingSettings::default());
    watched.picture(at(0), &canvas.picture(), &[], &mut Kept::new()).unwrap();
    watched.set_watched(true);
    watched.sound(at(100_000), &sound(0, 5, 9)).unwrap();
    assert_eq!(watched.deadline(), Some(300_000));
}

#[test]
fn much_sound_on_a_still_desktop_brings_key_frames_and_ends_segments() {
    let settings = RecordingSettings { rollover_seconds: 600, ..Default::default() };
    let (mut recorder, mut kept, canvas) = (recorder(settings), Kept::new(), Canvas::new(64, 64));
    recorder.picture(at(0), &canvas.picture(), &[], &mut kept).unwrap();
    let mut state = 1_u32;
    for second in 1..1_800 {
        let now = at(second * 1_000_000);
        let mut message = sound(now.media_us - 900_000, 50, 120);
        for byte in message.packets.iter_mut().flatten() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (state >> 24) as u8;
        }
        recorder.sound(now, &message).unwrap();
        if recorder.needs_picture(now) {
            recorder.picture(now, &canvas.picture(), &[], &mut kept).unwrap();
        }
        recorder.tick(now, &mut kept).unwrap();
    }
    let mut since = 0;
    for fragment in &kept.fragments {
        since = if fragment.head.flags.key_frame { 0 } else { since + fragment.bytes.len() };
        assert!(since < 512 << 10, "{since} bytes without a key frame");
    }
    assert_eq!(kept.fragments.last().unwrap().head.segment, 2);
    play(&kept.fragments);
}

#[test]
fn nothing_heard_in_a_gap_is_recorded() {
    let (mut recorder, mut kept, canvas) =
        (recorder(RecordingSettings::default()), Kept::new(), Canvas::new(32, 32));
    recorder.picture(at(0), &canvas.picture(), &[], &mut kept).unwrap();
    recorder.lost(GapCause::QueueFull);
    recorder.sound(at(4_000_000), &sound(3_900_000, 5, 9)).unwrap();
    recorder.picture(at(5_000_000), &canvas.picture(), &[], &mut kept).unwrap();
    recorder.sound(at(5_200_000), &sound(4_900_000, 5, 9)).unwrap();
    recorder.sound(at(5_300_000), &sound(5_000_000, 5, 9)).unwrap();
    recorder.finish(at(6_000_000), EndReason::SessionEnded, &mut kept).unwrap();
    let heard: Vec<_> =
        kept.fragments.iter().flat_map(|kept| sounds(&open_fragment(&kept.bytes).unwrap())).collect();
    assert_eq!(heard, [sound(5_000_000, 5, 9)]);
    play(&kept.fragments);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Draws, moves, waits, fails and resizes at random: what was kept always plays to the last picture that was kept.
    #[test]
    fn any_row_of_events_makes_a_sound_recording(
        steps in prop::collection::vec((0u8..10, 0u64..3_000_000), 1..80),
    ) {
        let settings = RecordingSettings {
            key_frame_seconds: 1, rollover_seconds: 60, rollover_bytes: 1 << 20, ..Default::default()
        };
        let (mut recorder, mut kept, mut canvas) = (recorder(settings), Kept::new(), Canvas::new(48, 40));
        let mut now = 0;
        for (number, (step, wait)) in steps.into_iter().enumerate() {
            now += wait;
            let moment = at(now);
            let done = match step {
                0..=3 => {
                    canvas.dot(number as u32);
                    recorder.picture(moment, &canvas.picture(), &[canvas.whole()], &mut kept)
                }
                4 => {
                    canvas.noise();
                    recorder.picture(moment, &canvas.picture(), &[canvas.whole()], &mut kept)
                }
                5 => recorder.place(moment, number as i32, 1, true).map_err(KeptError::from),
                6 => {
                    canvas = Canvas::new(30 + number as u32 % 40, 20);
                    recorder.picture(moment, &canvas.picture(), &[canvas.whole()], &mut kept)
                }
                8 => {
                    let heard = sound(now.saturating_sub(1_000_000), 50, 80);
                    recorder.sound(moment, &heard).map_err(KeptError::from)
                }
                7 => { kept.is_full = !kept.is_full; Ok(()) }
                _ => Ok(()),
            };
            if done.and_then(|()| recorder.tick(moment, &mut kept)).is_err() {
                recorder.lost(GapCause::QueueFull);
            }
        }
        kept.is_full = false;
        recorder.picture(at(now), &canvas.picture(), &[canvas.whole()], &mut kept).unwrap();
        recorder.finish(at(now), EndReason::AgentStopped, &mut kept).unwrap();
        let decoder = play(&kept.fragments);
        prop_assert!(decoder.pixels() == canvas.pixels());
    }
}
