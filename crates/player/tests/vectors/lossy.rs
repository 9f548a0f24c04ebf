//! Recordings with parts of the picture as video.
//!
//! The access units are no H.264: what is tested is what a player's core hands to the browser's decoder, and where the picture is clear.

use crate::make::finished_with;
use playhead_format::{
    CellRuns, Channel, Fragment, FragmentBuilder, FragmentHead, VideoMessage, open_fragment,
    video::cells_across,
};

/// The plain ground of the vectors' pictures, `0x00RRGGBB`: there the video is shown.
const GROUND: u32 = 0x00eb_e6e1;

/// Names, descriptions and files.
pub(crate) fn all(fragments: &[Fragment]) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    vec![
        (
            "lossy",
            "parts of the picture as video: in an anchor, after key frames, of another size, and messages of the future",
            with_video(fragments, messages),
        ),
        (
            "lossy-no-stream",
            "video that goes on after a key frame without having begun",
            with_video(fragments, |head| {
                let next = VideoMessage::Next { cells: None, unit: b"goes on" };
                if head.seq == 3 { vec![encoded(&next)] } else { messages(head) }
            }),
        ),
        (
            "lossy-wrong-cells",
            "a mask for a picture of another size",
            with_video(fragments, |head| {
                let cells = CellRuns::from_cells(vec![true; 41]);
                if head.seq == 1 {
                    vec![encoded(&VideoMessage::Mask { colour: GROUND, cells })]
                } else {
                    messages(head)
                }
            }),
        ),
    ]
}

fn encoded(message: &VideoMessage<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    bytes
}

/// The messages of a fragment, by its place in the recording.
fn messages(head: &FragmentHead) -> Vec<Vec<u8>> {
    let (across, down) = (cells_across(head.width), cells_across(head.height));
    // A part of the picture's right side, not of its first and last rows.
    let of_picture = |from: u32| {
        let cells =
            (0..across * down).map(|cell| cell % across >= from && (1..down - 1).contains(&(cell / across)));
        VideoMessage::Mask { colour: GROUND, cells: CellRuns::from_cells(cells) }
    };
    let unit: Vec<u8> = (0..20 + head.seq as u8).map(|byte| byte.wrapping_mul(37)).collect();
    let cells = |some: [bool; 4]| CellRuns::from_cells(some);
    let start = |x, y| {
        let cells = cells([true, true, false, true]);
        encoded(&VideoMessage::Start { x, y, width: 16, height: 16, cells, unit: &unit })
    };
    let next = |cells| encoded(&VideoMessage::Next { cells, unit: &unit[3..] });
    match head.seq {
        // Of the anchor: key frames go back to it.
        0 => vec![encoded(&of_picture(4)), start(32, 8)],
        1 => vec![next(None), vec![0x1f, 1, 2], vec![0x71], next(Some(cells([false, true, true, true])))],
        2 => vec![encoded(&of_picture(6))],
        3 => vec![start(40, 16), next(None)],
        5 => vec![encoded(&of_picture(3)), start(24, 8)],
        // Nothing is shown from the video any more.
        7 => {
            let cells = CellRuns::from_cells(vec![false; (across * down) as usize]);
            vec![encoded(&VideoMessage::Mask { colour: GROUND, cells })]
        }
        _ => Vec::new(),
    }
}

/// The same fragments, with these messages right after the first picture of each, or first where it has none.
fn with_video(fragments: &[Fragment], messages: impl Fn(&FragmentHead) -> Vec<Vec<u8>>) -> Vec<u8> {
    let mut previous = fragments[0].head.previous;
    let mut made = Vec::new();
    for fragment in fragments {
        let open = open_fragment(&fragment.bytes).unwrap();
        let mut builder = FragmentBuilder::new();
        let mut video = messages(&fragment.head);
        let wall_us = |at_us: u64| fragment.head.wall_us + at_us - fragment.head.start_us;
        for message in open.messages().skip(1).map(Result::unwrap) {
            let channel = Channel::from_id(message.channel).unwrap();
            builder.push(channel, message.log_time_us, message.publish_time_us, message.data).unwrap();
            if channel == Channel::Screen {
                for data in video.drain(..) {
                    builder
                        .push(Channel::Video, message.log_time_us, message.publish_time_us, &data)
                        .unwrap();
                }
            }
        }
        for data in video {
            let at_us = fragment.head.end_us;
            builder.push(Channel::Video, at_us, wall_us(at_us), &data).unwrap();
        }
        let fragment = builder.finish(FragmentHead { previous, ..fragment.head }, 3).unwrap();
        previous = fragment.hash;
        made.push(fragment);
    }
    finished_with(&made, false, |_| None)
}
