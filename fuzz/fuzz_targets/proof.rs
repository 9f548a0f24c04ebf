//! Seals, certificates and revocations, by themselves and in files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use playhead_format::{Seal, scan};
use playhead_proof::{Certificate, ProofState, Trust, prove};
use std::io::Cursor;

const AUTHORITY: &str = include_str!("../../testdata/vectors/authority.pem");

fuzz_target!(|data: &[u8]| {
    let _ = Seal::read(data);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Certificate::from_pem(text);
        let _ = Trust::from_pem(text);
        let _ = Trust::from_pem(&format!("{AUTHORITY}{text}"));
    }
    let trust = Trust::from_pem(AUTHORITY).expect("it is one");
    for trust in [None, Some(&trust)] {
        let proved = prove([("a".to_owned(), scan(Cursor::new(data)))], trust);
        assert_eq!(proved.proofs.len(), proved.report.recordings.len());
        let state = proved.proofs.first().map(|proof| proof.state);
        assert!(trust.is_none() || state != Some(ProofState::NotChecked));
    }
});
