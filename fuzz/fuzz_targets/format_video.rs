//! Messages of the video channel: any bytes are read, refused or ignored, and what is read says the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use playhead_format::VideoMessage;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some(message)) = VideoMessage::parse(bytes) {
        let mut again = Vec::new();
        message.encode(&mut again);
        assert_eq!(VideoMessage::parse(&again).expect("what was read once"), Some(message));
    }
});
