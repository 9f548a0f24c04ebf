//! Our files in the hands of other MCAP readers.
#![allow(clippy::unwrap_used, reason = "a test may fail by it")]

mod support;

use std::{path::Path, process::Command};
use support::{files, fragments};

#[test]
fn the_mcap_crate_reads_summary_chunks_and_messages() {
    for (file, fragments) in files().iter().zip(fragments().chunks(4)) {
        let summary = mcap::Summary::read(file).unwrap().unwrap();
        let stats = summary.stats.as_ref().unwrap();
        assert_eq!(stats.chunk_count as usize, fragments.len());
        assert_eq!((stats.attachment_count, stats.channel_count, stats.schema_count), (1, 7, 0));
        let topics: Vec<&str> = summary.channels.values().map(|channel| channel.topic.as_str()).collect();
        assert_eq!(topics.len(), 7);
        assert!(topics.contains(&"screen") && topics.contains(&"cursor"));

        let mut count = 0;
        for (index, fragment) in summary.chunk_indexes.iter().zip(fragments) {
            let (start, length) = (index.chunk_start_offset as usize, index.chunk_length as usize);
            assert_eq!(file[start..start + length], fragment.bytes);
            let messages: Vec<_> = summary.stream_chunk(file, index).unwrap().map(Result::unwrap).collect();
            assert_eq!(messages[0].data[..], fragment.head.encode());
            assert_eq!(messages[0].log_time, fragment.head.start_us * 1_000);
            assert_eq!(index.message_end_time, messages.last().unwrap().log_time);
            count += messages.len() as u64;
        }
        assert_eq!(count, stats.message_count);
        assert_eq!(mcap::MessageStream::new(file).unwrap().map(Result::unwrap).count() as u64, count);

        let index = &summary.attachment_indexes[0];
        assert_eq!(
            (index.name.as_str(), index.media_type.as_str()),
            ("playhead/index", "application/x-playhead-index")
        );
        let attachment = mcap::read::attachment(file, index).unwrap();
        assert_eq!(attachment.data.len() as u64, index.data_size);
    }
}

#[test]
fn every_record_has_the_checksums_that_a_strict_reader_asks_for() {
    for file in files() {
        let mut reader = mcap::sans_io::LinearReader::new_with_options(
            mcap::sans_io::LinearReaderOptions::default()
                .with_validate_data_section_crc(true)
                .with_validate_summary_section_crc(true)
                .with_validate_chunk_crcs(true)
                .with_prevalidate_chunk_crcs(true),
        );
        let (mut left, mut records) = (&file[..], 0);
        while let Some(event) = reader.next_event() {
            match event.unwrap() {
                mcap::sans_io::LinearReadEvent::ReadRequest(count) => {
                    let count = count.min(left.len());
                    reader.insert(count).copy_from_slice(&left[..count]);
                    reader.notify_read(count);
                    left = &left[count..];
                }
                mcap::sans_io::LinearReadEvent::Record { .. } => records += 1,
            }
        }
        assert!(records > 20, "{records}");
    }
}

#[test]
fn channels_of_later_versions_are_declared() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors/later-version.mcap");
    let file = std::fs::read(path).unwrap();
    let summary = mcap::Summary::read(&file).unwrap().unwrap();
    let stats = summary.stats.unwrap();
    assert_eq!((summary.channels.len(), stats.channel_count), (9, 9));
    assert_eq!(summary.channels[&300].topic, "channel-300");
    assert_eq!(stats.channel_message_counts[&300], u64::from(stats.chunk_count));
    let messages = mcap::MessageStream::new(&file).unwrap().map(Result::unwrap);
    assert_eq!(messages.filter(|message| message.channel.id == 300).count(), stats.chunk_count as usize);
}

/// The public Python package, as an auditor would use it. It is installed under `target` when the machine lacks it.
#[test]
fn the_python_package_reads_our_files() {
    let directory = tempfile::tempdir().unwrap();
    let mut script = Command::new("python3");
    script.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/check_with_mcap.py"));
    for (number, file) in files().iter().enumerate() {
        let path = directory.path().join(format!("{number}.mcap"));
        std::fs::write(&path, file).unwrap();
        script.arg(path);
    }
    let output = script.output().expect("python3 is needed for this test: install it");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].contains("4 fragments") && lines[2].contains("2 fragments"), "{text}");
}
