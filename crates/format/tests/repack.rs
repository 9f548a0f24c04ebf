//! Segments with real pictures, packed denser and back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use playhead_format::{
    Channel, Density, Flags, FormatError, FragmentBuilder, FragmentHead, Hash, SegmentReader, SegmentWriter,
    Status, customary, genesis, is_dense, open_fragment, repack, scan, verify,
};
use playhead_model::{EndReason, RecordingId};
use playhead_screen::{Decoder, Encoder, EncoderConfig, Picture, Rect, Want};
use proptest::prelude::*;
use std::io::Cursor;

const ID: RecordingId = RecordingId::from_bytes([7; 16]);
const SEAL: &[u8] = b"{\"version\":1}and sixty-four bytes that nobody looks at here, only keeps as they are.";

/// A picture like a photograph: light that changes slowly, and grain. `shift` moves it.
fn photo(width: usize, height: usize, shift: usize, seed: &mut u32) -> Vec<u8> {
    let mut data = Vec::with_capacity(width * height * 4);
    for y in 0..height {
        for x in 0..width {
            *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let grain = (*seed >> 29) as f32;
            let (fx, fy) = ((x + shift) as f32 / 23.0, y as f32 / 17.0);
            let light = 110.0 + 50.0 * fx.sin() + 40.0 * (fy + fx / 3.0).cos() + grain;
            data.extend([light * 0.8, light, light * 0.9 + 10.0].map(|value| value as u8));
            data.push(0);
        }
    }
    data
}

/// A segment of some fragments with a few pictures each.
fn segment(width: usize, height: usize, fragments: u64, pictures: u64, seed: u32) -> Vec<u8> {
    let mut writer = SegmentWriter::new(Vec::new()).unwrap();
    let mut encoder = Encoder::new(EncoderConfig { seed: 1 });
    let mut builder = FragmentBuilder::new();
    let (mut previous, mut seed) = (genesis(ID), seed);
    for seq in 0..fragments {
        let start_us = seq * 1_000_000;
        for at in 0..pictures {
            let data = photo(width, height, (seq * pictures + at) as usize, &mut seed);
            let (w, h) = (width as u32, height as u32);
            let picture = Picture { width: w, height: h, stride: width * 4, data: &data };
            let want = if seq == 0 && at == 0 { Want::Anchor } else { Want::Delta };
            let all = [Rect { x: 0, y: 0, width: w, height: h }];
            let put = |out: &mut Vec<u8>| {
                Ok::<_, FormatError>(encoder.encode(&picture, &all, want, out).unwrap().is_some())
            };
            builder.push_with(Channel::Screen, start_us + at * 50_000, 0, put).unwrap();
        }
        let last = seq + 1 == fragments;
        if last {
            let end = playhead_format::MetaMessage::End {
                at_us: start_us + 900_000,
                reason: EndReason::SessionEnded,
            };
            builder.push(Channel::Meta, start_us + 900_000, 0, &end.encode()).unwrap();
        }
        let flags = Flags {
            key_frame: seq == 0,
            anchor: seq == 0,
            first_of_segment: seq == 0,
            last,
            ..Flags::default()
        };
        let head = FragmentHead {
            flags,
            segment: 0,
            seq,
            start_us,
            end_us: start_us + 900_000,
            anchor_seq: 0,
            activity: 9,
            events: 0,
            recording: ID,
            previous,
            wall_us: 5,
            width: width as u32,
            height: height as u32,
        };
        let fragment = builder.finish(head, 1).unwrap();
        writer.append(&fragment.bytes, &head).unwrap();
        previous = fragment.hash;
    }
    writer.finish_with(false, |_| Some(SEAL.to_vec())).unwrap();
    writer.into_inner()
}

fn hashes(file: &[u8]) -> Vec<Hash> {
    scan(Cursor::new(file)).unwrap().fragments.iter().map(|fragment| fragment.hash).collect()
}

const DENSE: Density = Density::Dense { least_percent: 1 };

#[test]
fn a_denser_segment_holds_the_same_and_plays_the_same() {
    let file = segment(200, 150, 4, 5, 1);
    let dense = repack(&file, DENSE, || true).unwrap();
    assert_eq!((dense.fragments, dense.dense), (4, 4));
    assert!(dense.bytes.len() * 100 < file.len() * 97, "{} of {}", dense.bytes.len(), file.len());
    assert_eq!(hashes(&dense.bytes), hashes(&file));
    assert_eq!(scan(Cursor::new(&dense.bytes)).unwrap().seal.as_deref(), Some(SEAL));

    let mut decoder = Decoder::new();
    let mut reader = SegmentReader::open(Cursor::new(&dense.bytes)).unwrap();
    for position in 0..4 {
        let record = reader.fragment(position).unwrap();
        assert!(is_dense(&record));
        let plain = customary(&record).unwrap();
        assert!(!is_dense(&plain));
        let (one, other) = (open_fragment(&record).unwrap(), open_fragment(&plain).unwrap());
        assert_eq!((one.hash(), one.records()), (other.hash(), other.records()));
        for message in
            one.messages().map(Result::unwrap).filter(|message| message.channel == Channel::Screen.id())
        {
            decoder.decode(message.data).unwrap();
        }
    }
    // And back: what any reader opens.
    let plain = repack(&dense.bytes, Density::Zstd, || true).unwrap();
    assert_eq!((hashes(&plain.bytes), plain.dense), (hashes(&file), 0));
    // Once dense, it stays so.
    assert_eq!(repack(&dense.bytes, DENSE, || true).unwrap().bytes, dense.bytes);
}

#[test]
fn it_is_verified_as_before() {
    let file = segment(130, 70, 3, 3, 9);
    let dense = repack(&file, DENSE, || true).unwrap().bytes;
    for (name, bytes) in [("old", &file), ("new", &dense)] {
        let report = verify([(name.to_owned(), Cursor::new(bytes))]);
        assert_eq!(report.recordings[0].status, Status::Intact, "{name}: {report:?}");
    }
}

#[test]
fn fragments_that_gain_little_stay_open_to_all() {
    let file = segment(200, 150, 2, 2, 3);
    let packed = repack(&file, Density::Dense { least_percent: 90 }, || true).unwrap();
    assert_eq!(packed.dense, 0);
    assert!(packed.bytes.len() <= file.len());
}

#[test]
fn it_can_be_interrupted_and_refuses_what_is_damaged() {
    let mut file = segment(64, 64, 3, 2, 4);
    let mut left = 2;
    let error = repack(&file, DENSE, || {
        left -= 1;
        left >= 0
    });
    assert!(matches!(error, Err(FormatError::Io(error)) if error.kind() == std::io::ErrorKind::Interrupted));
    assert!(repack(&file[..file.len() - 9], DENSE, || true).is_err());
    let middle = file.len() / 2;
    file[middle] ^= 1;
    assert!(repack(&file, DENSE, || true).is_err());
}

#[test]
fn a_damaged_dense_fragment_is_refused_and_nothing_worse() {
    let file = segment(96, 64, 1, 3, 5);
    let dense = repack(&file, DENSE, || true).unwrap().bytes;
    let record = SegmentReader::open(Cursor::new(&dense)).unwrap().fragment(0).unwrap();
    assert!(is_dense(&record));
    let whole = open_fragment(&record).unwrap();
    for at in (0..record.len()).step_by(41).chain(0..70) {
        for bit in [1u8, 0x80] {
            let mut damaged = record.clone();
            damaged[at] ^= bit;
            // The last bytes of the coder's are not all needed.
            if let Ok(open) = open_fragment(&damaged) {
                assert_eq!(open.records(), whole.records(), "byte {at}");
            }
        }
        assert!(open_fragment(&record[..at]).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_size_comes_back(width in 1usize..150, height in 1usize..150, pictures in 1u64..4, seed: u32) {
        let file = segment(width, height, 2, pictures, seed);
        let dense = repack(&file, DENSE, || true).unwrap();
        prop_assert_eq!(hashes(&dense.bytes), hashes(&file));
        prop_assert!(dense.bytes.len() <= file.len());
    }
}
