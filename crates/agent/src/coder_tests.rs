//! Lossy pictures on their way into fragments.

use crate::{
    recorder::Recorder,
    testing::{Canvas, Kept, at, info},
};
use playhead_format::{Channel, Fragment, open_fragment};
use playhead_model::{PictureMode, PictureSettings, RecordingSettings};

fn video(fragment: &Fragment) -> Vec<Vec<u8>> {
    let open = open_fragment(&fragment.bytes).unwrap();
    let messages = open.messages().map(Result::unwrap);
    messages
        .filter(|message| message.channel == Channel::Video.id())
        .map(|message| message.data.to_vec())
        .collect()
}

fn lossy() -> PictureSettings {
    PictureSettings { mode: PictureMode::Lossy, ..PictureSettings::default() }
}

#[test]
fn a_photo_is_video_in_the_anchor_and_in_where_it_is_repeated() {
    let settings = RecordingSettings { rollover_seconds: 60, ..RecordingSettings::default() };
    let (mut recorder, mut kept, mut canvas) =
        (Recorder::new(info(1), settings, 5), Kept::new(), Canvas::new(320, 240));
    recorder.set_picture(lossy());
    canvas.noise();
    for second in 0..150 {
        let now = at(second * 1_000_000);
        canvas.dot((second % 3) as u32);
        recorder.picture(now, &canvas.picture(), &[canvas.whole()], &mut kept).unwrap();
        recorder.tick(now, &mut kept).unwrap();
    }
    let first = video(&kept.fragments[0]);
    assert!(first.len() >= 2, "a mask and a picture");
    let repeated: Vec<_> = kept.fragments.iter().filter(|fragment| fragment.head.flags.repeated).collect();
    assert!(!repeated.is_empty(), "no anchor was repeated");
    repeated.iter().for_each(|fragment| assert!(video(fragment) == first));
}

#[test]
fn switching_makes_an_anchor_and_no_gap() {
    let (mut recorder, mut kept, mut canvas) =
        (Recorder::new(info(1), RecordingSettings::default(), 5), Kept::new(), Canvas::new(320, 240));
    canvas.noise();
    for (second, settings) in [lossy(), PictureSettings::default(), lossy()].into_iter().enumerate() {
        let now = at(second as u64 * 1_000_000);
        recorder.set_picture(settings.clone());
        assert!(recorder.needs_picture(now));
        recorder.picture(now, &canvas.picture(), &[], &mut kept).unwrap();
        assert!(!recorder.needs_picture(now));
        // The same once more is no reason for another.
        recorder.set_picture(settings);
        assert!(!recorder.needs_picture(now));
    }
    let seen: Vec<_> = kept
        .fragments
        .iter()
        .map(|fragment| {
            let flags = fragment.head.flags;
            (flags.anchor, flags.first_of_segment, flags.gap_before, video(fragment).is_empty())
        })
        .collect();
    assert_eq!(seen, [(true, true, false, false), (true, false, false, true), (true, false, false, false)]);
}
