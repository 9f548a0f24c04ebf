//! What comes over a network from other programs: frames, messages in any order, join tokens, proofs.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use playhead_model::RecordingId;
use playhead_protocol::{
    frame,
    intake::{Event, Intake, MAX_OPEN},
    join::JoinToken,
    login::Proof,
    message::{FromAgent, FromServer, Hello},
};

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(token) = text.parse::<JoinToken>() {
            assert!(token.to_string().parse() == Ok(token));
        }
        if let Ok(proof) = text.parse::<Proof>() {
            assert!(proof.to_string().parse::<Proof>().is_ok_and(|again| again == proof));
        }
    }
    let _ = FromServer::read(Bytes::copy_from_slice(data));

    let mut stream = BytesMut::from(data);
    let mut intake = Intake::default();
    // Most inputs would fail for want of a greeting.
    if data.first().is_some_and(|first| first % 2 == 0) {
        let hello = Hello { protocol: playhead_protocol::VERSION, ..Default::default() };
        intake.receive(hello.into()).expect("a good greeting is taken");
        intake.opened(RecordingId::from_bytes([0; 16]), 0);
    }
    while let Ok(Some(bytes)) = frame::take(&mut stream, 64 << 10) {
        let Ok(message) = FromAgent::read(bytes) else { break };
        match intake.receive(message) {
            Ok(Event::Open(info)) => intake.opened(info.id, 0),
            Ok(_) => {}
            Err(_) => break,
        }
        assert!(intake.recordings().count() <= MAX_OPEN);
    }
});
