//! What our readers make of a vector's files.

use playhead_format::{ScannedFragment, StreamState, scan};
use playhead_player::{Player, SOUND_FIELDS, Sound, Step, VIDEO_FIELDS};
use playhead_proof::{ProofState, Trust, prove};
use serde_json::{Value, json};
use std::io::Cursor;

/// Later than anything, and exact in JavaScript.
const NEVER_US: u64 = (1 << 53) - 1;

/// The reading of a vector: the verdict on all its files, and each file's fragments and pictures.
pub(crate) fn reading(about: &str, files: &[(String, Vec<u8>)]) -> Value {
    let scanned = files.iter().map(|(name, bytes)| (name.clone(), scan(Cursor::new(bytes))));
    let scanned: Vec<_> = scanned.collect();
    let played: Vec<Value> = files
        .iter()
        .zip(&scanned)
        .map(|((name, bytes), (_, scan))| {
            let fragments = scan.as_ref().map(|scan| scan.fragments.clone()).unwrap_or_default();
            let mut file = json!({
                "name": name,
                "bytes": bytes.len(),
                "fragments": fragments.iter().map(fragment_json).collect::<Vec<_>>(),
                "play": play(bytes, &fragments),
            });
            let heard: Vec<Value> =
                fragments.iter().filter_map(|fragment| sound_json(bytes, fragment)).collect();
            if !heard.is_empty() {
                file["sound"] = heard.into();
            }
            file
        })
        .collect();

    let trust = Trust::from_pem(include_str!("../../../../testdata/vectors/authority.pem")).unwrap();
    // Most vectors have nothing to do with signatures.
    let is_signed = files.iter().any(|(name, _)| name.starts_with("signed"));
    let proved = prove(scanned, Some(&trust).filter(|_| is_signed));
    let report = &proved.report;
    let recordings: Vec<Value> = report
        .recordings
        .iter()
        .zip(&proved.proofs)
        .map(|(recording, proof)| {
            let problems: Vec<Value> = recording
                .problems
                .iter()
                .map(|problem| json!({ "kind": problem.kind, "file": problem.file, "offset": problem.offset, "seq": problem.seq }))
                .collect();
            let mut reading = json!({
                "id": recording.id,
                "status": recording.status,
                "info": recording.info,
                "head": recording.head,
                "gaps": recording.gaps,
                "end": recording.end,
                "problems": problems,
            });
            if proof.state != ProofState::NotSigned {
                let problems: Vec<Value> = proof
                    .problems
                    .iter()
                    .map(|problem| json!({ "kind": problem.kind, "file": problem.file, "seq": problem.seq }))
                    .collect();
                reading["proof"] = json!({ "state": proof.state, "problems": problems });
            }
            reading
        })
        .collect();
    let unreadable: Vec<Value> =
        report.unreadable.iter().map(|file| json!({ "file": file.file, "kind": file.kind })).collect();
    json!({
        "about": about,
        "status": report.status,
        "recordings": recordings,
        "unreadable": unreadable,
        "files": played,
    })
}

fn fragment_json(fragment: &ScannedFragment) -> Value {
    let head = &fragment.head;
    json!({
        "seq": head.seq,
        "segment": head.segment,
        "start_us": head.start_us,
        "end_us": head.end_us,
        "anchor_seq": head.anchor_seq,
        "flags": head.flags.bits(),
        "width": head.width,
        "height": head.height,
        "offset": fragment.offset,
        "length": fragment.length,
        "hash": fragment.hash,
    })
}

/// The sound of a fragment, if it has any.
fn sound_json(bytes: &[u8], fragment: &ScannedFragment) -> Option<Value> {
    let mut sound = Sound::default();
    let start = usize::try_from(fragment.offset).unwrap();
    let packets = sound.read(&bytes[start..start + usize::try_from(fragment.length).unwrap()]);
    let fields: Vec<u64> = sound.fields().iter().map(|&field| field as u64).collect();
    assert_eq!(fields.len(), packets * SOUND_FIELDS);
    (packets > 0).then(|| {
        json!({
            "seq": fragment.head.seq,
            "packets": fields.chunks(SOUND_FIELDS).collect::<Vec<_>>(),
            "crc32": format!("{:08x}", crc32fast::hash(sound.bytes())),
        })
    })
}

/// Plays the whole file from its start: up to the end of each whole fragment, then as far as it goes.
fn play(bytes: &[u8], fragments: &[ScannedFragment]) -> Value {
    let mut player = Player::new();
    assert!(player.push(bytes));
    let mut moments: Vec<u64> = fragments.iter().map(|fragment| fragment.head.end_us).collect();
    moments.push(NEVER_US);
    let mut steps = Vec::new();
    for until_us in moments {
        let result = loop {
            match player.step(until_us) {
                Step::Again => {}
                step => break step,
            }
        };
        player.take_dirty();
        let picture = (player.width() > 0).then(|| format!("{:08x}", crc32fast::hash(player.rgba())));
        steps.push(json!({
            "until_us": until_us,
            "result": match result {
                Step::NeedMore => "need-more",
                Step::Reached => "reached",
                Step::End => "end",
                Step::Error => "error",
                Step::Again => unreachable!(),
            },
            "position_us": player.position_us(),
            "width": player.width(),
            "height": player.height(),
            "picture_crc32": picture,
            "pointer": player.pointer().fields,
        }));
        if result == Step::Error {
            break;
        }
    }
    let meta: Value = serde_json::from_slice(player.take_meta()).unwrap_or(Value::Null);
    let mut played = json!({
        "steps": steps,
        "chain_ok": player.chain_ok(),
        "whole_file": player.stream_state() == StreamState::Whole,
        "bytes_left": player.pending() > 0,
        "meta": meta,
    });
    if let Some(video) = video(&mut player) {
        played["video"] = video;
    }
    played
}

/// What the video's decoder was told to do, if there is any video.
fn video(player: &mut Player) -> Option<Value> {
    /// A stream starts. Before that there is nothing to decode.
    const START: u64 = 3;
    player.take_video();
    let (fields, rects, bytes) = player.video_tasks();
    let numbers: Vec<i64> = fields.iter().map(|&field| field as i64).collect();
    let tasks: Vec<_> = numbers.chunks(VIDEO_FIELDS).collect();
    let any = tasks.iter().any(|task| task[0] as u64 == START);
    any.then(|| json!({ "tasks": tasks, "rects": rects, "crc32": format!("{:08x}", crc32fast::hash(bytes)) }))
}
