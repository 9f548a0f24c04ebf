//! Writing segments, reading them back, and the verdict on whole, cut and changed ones.
#![allow(clippy::unwrap_used, reason = "a test may fail by it")]

mod support;

use playhead_format::{
    Chain, Channel, Closing, Ending, Flags, Fragment, FragmentBuilder, ProblemKind, RecordSplitter,
    RecordingReport, Report, SegmentReader, SegmentWriter, Status, StreamState, genesis, open_fragment,
    recompress, verify,
};
use playhead_model::RecordingId;
use std::io::Cursor;
use support::{Maker, Plan, RECORDING, file, files, fragments, info, plans};

fn judge<'a>(files: impl IntoIterator<Item = &'a [u8]>) -> Report {
    let named =
        files.into_iter().enumerate().map(|(number, bytes)| (format!("{number}.mcap"), Cursor::new(bytes)));
    verify(named)
}

/// The one recording's verdict.
fn verdict<'a>(files: impl IntoIterator<Item = &'a [u8]>) -> (Status, Vec<ProblemKind>) {
    let report = judge(files);
    let kinds =
        report.recordings.iter().flat_map(|recording| &recording.problems).map(|problem| problem.kind);
    (report.status, kinds.collect())
}

fn only(report: &Report) -> &RecordingReport {
    assert_eq!(report.recordings.len(), 1);
    &report.recordings[0]
}

/// Where the chunks of a file of one segment stand.
fn places(file: &[u8]) -> Vec<(usize, usize)> {
    let reader = SegmentReader::open(Cursor::new(file)).unwrap();
    let entries = &reader.index().entries;
    entries
        .iter()
        .map(|entry| (entry.offset as usize, (entry.offset + u64::from(entry.length)) as usize))
        .collect()
}

/// The file up to the end of its last chunk.
fn unfinished(file: &[u8]) -> Vec<u8> {
    file[..places(file).last().unwrap().1].to_vec()
}

#[test]
fn whole_segments_read_back_and_verify() {
    let (fragments, files) = (fragments(), files());
    for (number, (file, fragments)) in files.iter().zip(fragments.chunks(4)).enumerate() {
        let mut reader = SegmentReader::open(Cursor::new(file)).unwrap();
        assert_eq!(reader.ending(), Ending::Finished);
        assert_eq!(reader.info().unwrap(), info(RECORDING));
        let index = reader.index().clone();
        assert_eq!((index.segment as usize, index.recording), (number, RECORDING));
        assert_eq!(index.closing, if number == 2 { Closing::Ended } else { Closing::Continues });
        assert_eq!(
            (index.previous, index.head),
            (fragments[0].head.previous, fragments.last().unwrap().hash)
        );
        for (position, fragment) in fragments.iter().enumerate() {
            assert_eq!(reader.fragment(position).unwrap(), fragment.bytes);
        }
        assert!(reader.fragment(fragments.len()).is_err());
    }

    let report = judge(files.iter().map(Vec::as_slice));
    let recording = only(&report);
    assert_eq!((report.status, &recording.problems), (Status::Intact, &vec![]));
    assert_eq!((recording.fragments, recording.start_us, recording.end_us), (10, 0, 9_700_000));
    assert_eq!(recording.head, fragments[9].hash);
    assert_eq!(recording.info, Some(info(RECORDING)));
    assert_eq!((recording.gaps[0].from_us, recording.gaps[0].to_us), (5_700_000, 6_000_000));
    assert_eq!(recording.end.unwrap().at_us, 9_700_000);
    assert_eq!(recording.channels[&1].messages, 10);
    assert_eq!(recording.channels[&3].bytes, 1_600);
    // In whatever order they are given.
    assert_eq!(verdict(files.iter().rev().map(Vec::as_slice)).0, Status::Intact);
}

#[test]
fn what_is_written_is_counted_and_an_unfinished_file_is_readable_at_every_moment() {
    let mut writer = SegmentWriter::new(Vec::new()).unwrap();
    assert!(writer.index().is_none());
    for fragment in &fragments()[..4] {
        let at = writer.bytes_written();
        assert_eq!(
            writer.append_open(&fragment.bytes, &open_fragment(&fragment.bytes).unwrap()).unwrap(),
            at
        );
        assert_eq!(writer.bytes_written(), at + fragment.bytes.len() as u64);
    }
    let index = writer.finish().unwrap();
    assert!(writer.finish().is_err() && writer.finish_lost().is_err());
    let bytes = writer.bytes_written();
    let file = writer.into_inner();
    assert_eq!((bytes, &file), (file.len() as u64, &files()[0]));

    for (count, (_, end)) in places(&file).into_iter().enumerate() {
        let reader = SegmentReader::open(Cursor::new(&file[..end])).unwrap();
        assert_eq!(reader.index().entries, index.entries[..=count]);
        assert_eq!(reader.ending(), Ending::Unfinished { torn: 0 });
        let torn = SegmentReader::open(Cursor::new(&file[..end + 7])).unwrap();
        assert_eq!(torn.index().entries, index.entries[..=count]);
        assert_eq!(torn.ending(), Ending::Unfinished { torn: 7 });
    }
}

#[test]
fn the_writer_refuses_what_does_not_follow() {
    let fragments = fragments();
    let refuses = |before: &[usize], next: &Fragment| {
        let mut writer = SegmentWriter::new(Vec::new()).unwrap();
        for &number in before {
            writer.append(&fragments[number].bytes, &fragments[number].head).unwrap();
        }
        let length = writer.bytes_written();
        let refused = writer.append(&next.bytes, &next.head).is_err();
        refused && writer.bytes_written() == length
    };
    assert!(refuses(&[], &fragments[1]));
    assert!(refuses(&[0], &fragments[0]));
    assert!(refuses(&[0], &fragments[2]));
    assert!(refuses(&[0, 1, 2, 3], &fragments[4]));
    let mut damaged = fragments[1].clone();
    damaged.bytes[100] ^= 1;
    assert!(refuses(&[0], &damaged));
    let mut other = fragments[1].clone();
    other.head.activity += 1;
    assert!(refuses(&[0], &other));
    assert!(!refuses(&[0], &fragments[1]));
    assert!(SegmentWriter::new(Vec::new()).unwrap().finish().is_err());
}

#[test]
fn a_recording_whose_agent_was_lost_can_be_closed() {
    let fragments = fragments();
    let mut writer = SegmentWriter::new(Vec::new()).unwrap();
    for fragment in &fragments[..3] {
        writer.append(&fragment.bytes, &fragment.head).unwrap();
    }
    assert_eq!(writer.finish_lost().unwrap().closing, Closing::Lost);
    let lost = writer.into_inner();
    assert_eq!(verdict([&lost[..]]), (Status::Intact, vec![]));
    // Without that mark the end is missing.
    assert_eq!(verdict([&file(&fragments[..3])[..]]), (Status::Incomplete, vec![ProblemKind::NoEnd]));
}

#[test]
fn missing_segments_are_noticed() {
    let files = files();
    let of = |numbers: &[usize]| verdict(numbers.iter().map(|&number| &files[number][..]));
    assert_eq!(of(&[0]), (Status::Incomplete, vec![ProblemKind::NoEnd]));
    assert_eq!(of(&[0, 1]), (Status::Incomplete, vec![ProblemKind::NoEnd]));
    assert_eq!(of(&[1, 2]), (Status::Incomplete, vec![ProblemKind::NoBeginning]));
    assert_eq!(of(&[1]), (Status::Incomplete, vec![ProblemKind::NoBeginning, ProblemKind::NoEnd]));
    assert_eq!(of(&[0, 2]), (Status::Damaged, vec![ProblemKind::Missing]));
    assert_eq!(of(&[0, 1, 1, 2]).0, Status::Damaged);
}

/// Two segments, the second beginning with `what` as the anchor of the first once more.
fn with_repeated_anchor(what: &[u8]) -> [Vec<u8>; 2] {
    let mut maker = Maker::new(RECORDING);
    let again = Flags { repeated: true, ..plans()[0].flags };
    let first = maker.make(plans()[0]);
    let repeated = maker.make_with(Plan { flags: again, segment: 1, anchor_seq: 0 }, what);
    let last =
        maker.make(Plan { flags: Flags { key_frame: true, ..plans()[9].flags }, segment: 1, anchor_seq: 0 });
    [file(&[first]), file(&[repeated, last])]
}

#[test]
fn a_repeated_anchor_must_be_the_one_it_repeats() {
    let same = with_repeated_anchor(&0u64.to_le_bytes().repeat(20));
    assert_eq!(verdict(same.iter().map(Vec::as_slice)), (Status::Intact, vec![]));
    let other = with_repeated_anchor(&1u64.to_le_bytes().repeat(20));
    assert_eq!(
        verdict(other.iter().map(Vec::as_slice)),
        (Status::Damaged, vec![ProblemKind::AnchorMismatch])
    );
}

#[test]
fn a_gap_is_told_by_flag_and_message_alike() {
    for (flag, message) in [(true, false), (false, true)] {
        let mut maker = Maker::new(RECORDING);
        let first = maker.make(plans()[0]);
        maker.declare = Some(message);
        let flags = Flags { gap_before: flag, ..plans()[9].flags };
        let last = maker.make(Plan { flags, segment: 0, anchor_seq: 0 });
        let expected = (Status::Damaged, vec![ProblemKind::GapMismatch]);
        assert_eq!(verdict([&file(&[first, last])[..]]), expected, "flag {flag}, message {message}");
    }
}

#[test]
fn every_cut_of_a_file_is_noticed() {
    let file = file(&single());
    assert_eq!(verdict([&file[..]]), (Status::Intact, vec![]));
    let last_chunk = places(&file).last().unwrap().1;
    for length in 0..file.len() {
        let (status, problems) = verdict([&file[..length]]);
        assert!(status > Status::Intact, "cut at {length}");
        if length > last_chunk {
            // No fragment is lost then.
            assert_eq!(status, Status::Incomplete, "cut at {length}: {problems:?}");
        }
    }
    assert_eq!(verdict([&file[..last_chunk]]), (Status::Incomplete, vec![ProblemKind::Unfinished]));
    assert_eq!(verdict([&file[..last_chunk - 1]]), (Status::Incomplete, vec![ProblemKind::TornTail]));
}

#[test]
fn every_changed_byte_of_a_file_is_noticed() {
    let file = file(&single());
    for at in 0..file.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = file.clone();
            changed[at] ^= flip;
            let (status, _) = verdict([&changed[..]]);
            assert!(status > Status::Intact, "flip {flip:#x} at {at}");
        }
    }
}

/// A whole recording in one segment, short enough to try every byte of.
fn single() -> Vec<Fragment> {
    let mut maker = Maker::new(RECORDING);
    let (first, last) = (plans()[0], plans()[9]);
    [first, Plan::default(), Plan { segment: 0, anchor_seq: 0, ..last }].map(|plan| maker.make(plan)).into()
}

#[test]
fn bytes_after_the_end_are_noticed() {
    let file = file(&single());
    let with = |bytes: &[u8], tail: &[u8]| verdict([&[bytes, tail].concat()[..]]);
    assert_eq!(with(&file, &[0]), (Status::Damaged, vec![ProblemKind::TrailingBytes]));
    assert_eq!(with(&file, &[6; 5_000]), (Status::Damaged, vec![ProblemKind::TrailingBytes]));
    assert_eq!(with(&file, &file), (Status::Damaged, vec![ProblemKind::TrailingBytes]));
    let unfinished = unfinished(&file);
    assert_eq!(with(&unfinished, &[0; 4_096]), (Status::Damaged, vec![ProblemKind::DamagedRecord]));
    assert_eq!(with(&unfinished, &[0xee; 100]), (Status::Damaged, vec![ProblemKind::DamagedRecord]));
    let padded = [&file[..], &[0; 9]].concat();
    let reader = SegmentReader::open(Cursor::new(&padded)).unwrap();
    assert_eq!((reader.index().entries.len(), reader.ending()), (3, Ending::Damaged { bytes: 9 }));
}

#[test]
fn removed_swapped_repeated_and_exchanged_fragments_are_noticed() {
    let file = unfinished(&file(&single()));
    let chunks: Vec<&[u8]> = places(&file).into_iter().map(|(start, end)| &file[start..end]).collect();
    let opening = &file[..places(&file)[0].0];
    let of = |chunks: &[&[u8]]| {
        let (status, mut problems) = verdict([&[opening, &chunks.concat()[..]].concat()[..]]);
        assert_eq!(status, Status::Damaged);
        problems.retain(|kind| *kind != ProblemKind::Unfinished);
        problems
    };
    let [one, two, three] = chunks[..] else { panic!("expected three chunks") };
    assert_eq!(of(&[one, three]), [ProblemKind::Missing]);
    assert_eq!(of(&[one, three, two]), [ProblemKind::Missing, ProblemKind::Repeated]);
    assert_eq!(of(&[one, two, two, three]), [ProblemKind::Repeated]);

    let mut builder = FragmentBuilder::new();
    builder.push(Channel::Screen, 1_200_000, 0, b"another picture").unwrap();
    let head = *open_fragment(two).unwrap().head();
    let exchanged = builder.finish(head, 1).unwrap();
    assert_eq!(of(&[one, &exchanged.bytes, three]), [ProblemKind::BrokenChain]);

    let mut maker = Maker::new(RecordingId::from_bytes([1; 16]));
    maker.make(plans()[0]);
    let foreign = maker.make(Plan::default());
    assert_eq!(of(&[one, &foreign.bytes, two, three]), [ProblemKind::Foreign]);

    let mut damaged = two.to_vec();
    damaged[60] ^= 1;
    assert_eq!(of(&[one, &damaged, three]), [ProblemKind::DamagedFragment]);
    assert_eq!(of(&[&damaged, three]), [ProblemKind::DamagedFragment]);

    // Packed denser by the server: the same proof.
    let dense: Vec<Vec<u8>> = chunks.iter().map(|chunk| recompress(chunk, 19).unwrap()).collect();
    let dense = [opening, &dense.concat()[..]].concat();
    assert_eq!(verdict([&dense[..]]), (Status::Incomplete, vec![ProblemKind::Unfinished]));
}

#[test]
fn the_index_must_tell_what_is_there() {
    let good = file(&single());
    // The same file with another file's end: a fragment less.
    let other = file(&single()[..2]);
    let (end, other_end) = (places(&good)[2].1, places(&other)[1].1);
    let mixed = [&good[..end], &other[other_end..]].concat();
    let (status, problems) = verdict([&mixed[..]]);
    assert_eq!(status, Status::Damaged);
    assert!(problems.contains(&ProblemKind::IndexMismatch), "{problems:?}");
}

#[test]
fn what_is_no_recording_is_told_apart() {
    let good = file(&single());
    let newer = {
        let mut bytes = good[..8].to_vec();
        bytes.extend([1, 18, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0]);
        bytes.extend(b"playhead/2\0\0\0\0");
        bytes
    };
    let cases: [(&[u8], &str); 7] = [
        (b"", "empty"),
        (b"hello, world", "not-mcap"),
        (&good[..5], "truncated"),
        (&good[..20], "truncated"),
        (&newer, "newer"),
        (&[&good[..8], &[1, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]].concat(), "foreign-profile"),
        (&good[..47], "no-fragments"),
    ];
    for (bytes, kind) in cases {
        let report = judge([bytes]);
        assert_eq!((report.status, report.unreadable[0].kind), (Status::Unreadable, kind));
        if kind != "no-fragments" {
            assert_eq!(SegmentReader::open(Cursor::new(bytes)).unwrap_err().kind(), kind);
        }
    }
    // Beside a recording that is well, the file that is none decides; a damaged recording is worse.
    assert_eq!(judge([&good[..], b"x"]).status, Status::Unreadable);
    assert_eq!(judge([&good[..100], b"x"]).status, Status::Unreadable);
    assert_eq!(judge([&good[..good.len() - 1], b"x"]).status, Status::Incomplete);
}

#[test]
fn a_stream_of_a_file_is_the_chain_of_its_fragments() {
    let files = files();
    let mut chain = Chain::new(RECORDING);
    assert_eq!(chain.head(), genesis(RECORDING));
    for file in &files {
        let mut splitter = RecordSplitter::new();
        for piece in file.chunks(100) {
            splitter.push(piece).unwrap();
            while let Some(record) = splitter.next().unwrap() {
                chain.accept(&open_fragment(record.bytes).unwrap()).unwrap();
            }
        }
        assert_eq!(splitter.state(), StreamState::Whole);
    }
    assert!(chain.ended());
    assert_eq!(chain.next_seq(), 10);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Whatever messages go into a fragment come out of it, and out of a file, in their order.
    #[test]
    fn any_messages_go_both_ways(
        messages in proptest::collection::vec((1usize..7, 0u64..5_000, proptest::collection::vec(0u8.., 0..300)), 0..40),
        level in 1i32..5,
    ) {
        let mut builder = FragmentBuilder::new();
        let mut pushed = Vec::new();
        let mut at_us = 0;
        for (channel, after_us, data) in messages {
            at_us += after_us;
            let channel = Channel::ALL[channel];
            builder.push(channel, at_us, 7 + at_us, &data).unwrap();
            pushed.push((channel.id(), at_us, 7 + at_us, data));
        }
        let mut head = Maker::new(RECORDING).make(plans()[0]).head;
        head.end_us = at_us;
        let fragment = builder.finish(head, level).unwrap();
        let mut writer = SegmentWriter::new(Vec::new()).unwrap();
        writer.append(&fragment.bytes, &head).unwrap();
        writer.finish().unwrap();
        let mut reader = SegmentReader::open(Cursor::new(writer.into_inner())).unwrap();
        let open = open_fragment(&reader.fragment(0).unwrap()).unwrap();
        let read: Vec<_> = open
            .messages()
            .skip(1)
            .map(Result::unwrap)
            .map(|message| (message.channel, message.log_time_us, message.publish_time_us, message.data.to_vec()))
            .collect();
        proptest::prop_assert_eq!(read, pushed);
        proptest::prop_assert_eq!(open.hash(), fragment.hash);
    }
}
