//! One fragment: as raw bytes, and as arbitrary records in a chunk whose checksum and times are right, since no fuzzer
//! guesses those.
#![no_main]

use libfuzzer_sys::fuzz_target;
use playhead_format::{
    AudioMessage, CursorMessage, EventMessage, MetaMessage, OpenFragment, open_fragment, recompress,
};

fuzz_target!(|data: &[u8]| {
    look(data);
    look(&wrapped(data));
});

fn look(record: &[u8]) {
    let Ok(open) = open_fragment(record) else { return };
    read(&open);
    let again = recompress(record, 1).expect("what opens can be packed anew");
    let again = open_fragment(&again).expect("what was packed anew opens");
    assert_eq!(again.hash(), open.hash());
    assert_eq!(again.head(), open.head());
}

fn read(open: &OpenFragment) {
    for message in open.messages() {
        let message = message.expect("an open fragment's messages are whole");
        let _ = MetaMessage::parse(message.data);
        let _ = EventMessage::parse(message.data);
        if let Ok(Some(message)) = AudioMessage::parse(message.data) {
            assert_eq!(
                AudioMessage::parse(&message.encode()).expect("what was read reads again"),
                Some(message)
            );
        }
        if let Ok(Some(message)) = CursorMessage::parse(message.data) {
            assert_eq!(
                CursorMessage::parse(&message.encode()).expect("what was read reads again"),
                Some(message)
            );
        }
    }
}

fn wrapped(records: &[u8]) -> Vec<u8> {
    let (mut times, mut left) = (Vec::new(), records);
    while let Some((&[_, length @ ..], rest)) = left.split_first_chunk::<9>() {
        let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
        let Some((message, rest)) = rest.split_at_checked(length) else { break };
        if let Some(time) = message.get(6..14) {
            times.push(u64::from_le_bytes(time.try_into().expect("eight bytes")));
        }
        left = rest;
    }
    let mut content = Vec::new();
    for field in [times.first().copied(), times.last().copied(), Some(records.len() as u64)] {
        content.extend(field.unwrap_or(0).to_le_bytes());
    }
    content.extend(crc32fast::hash(records).to_le_bytes());
    content.extend(0u32.to_le_bytes());
    content.extend((records.len() as u64).to_le_bytes());
    content.extend(records);
    let mut record = vec![6];
    record.extend((content.len() as u64).to_le_bytes());
    record.extend(content);
    record
}
