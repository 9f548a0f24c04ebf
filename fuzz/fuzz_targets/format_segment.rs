//! Whole files: reading, going through, verifying, splitting.
#![no_main]

use libfuzzer_sys::fuzz_target;
use playhead_format::{RecordSplitter, SegmentIndex, SegmentReader, Status, open_fragment, scan, verify};
use std::io::Cursor;

fuzz_target!(|data: &[u8]| {
    if let Ok(mut reader) = SegmentReader::open(Cursor::new(data)) {
        let _ = reader.info();
        for position in 0..reader.index().entries.len().min(100) {
            let _ = reader.fragment(position).map(|record| open_fragment(&record).is_ok());
        }
        let index = reader.index();
        let _ = index.key_frame_at(index.entries.first().map_or(0, |entry| entry.end_us));
        assert_eq!(SegmentIndex::parse(&index.encode()).expect("what was read reads again"), *index);
    }
    let _ = SegmentIndex::parse(data);

    let found = scan(Cursor::new(data));
    let report = verify([("a".to_owned(), Cursor::new(data)), ("b".to_owned(), Cursor::new(data))]);
    assert_eq!(found.is_err() && report.recordings.is_empty(), found.is_err());
    // The same file twice is never intact.
    assert_ne!(report.status, Status::Intact);

    let pieces = |size: usize| {
        let (mut splitter, mut records) = (RecordSplitter::new(), Vec::new());
        for piece in data.chunks(size) {
            if splitter.push(piece).is_err() {
                return records;
            }
            while let Ok(Some(record)) = splitter.next() {
                records.push(record.bytes.to_vec());
            }
        }
        records
    };
    assert_eq!(pieces(7), pieces(data.len().max(1)));
});
