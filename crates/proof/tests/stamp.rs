//! Time stamps of a real authority: that of `openssl ts`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod authority;

use authority::Authority;
use playhead_proof::{StampError, StampTrust, TimeStamp, stamp_request};

#[test]
fn what_openssl_stamps_is_read_and_checked_and_every_change_is_found() {
    let folder = tempfile::tempdir().unwrap();
    for kind in ["rsa:2048", "ec"] {
        let authority = Authority::new(&folder.path().join(kind.replace(':', "-")), kind, "timeStamping");
        let trust = StampTrust::from_pem(&authority.certificate()).unwrap();
        let digest = [9; 32];
        let response = authority.answer(&stamp_request(&digest, 77)).unwrap();
        let stamp = TimeStamp::read(&response).unwrap();
        stamp.answers(77).unwrap();
        assert_eq!(stamp.answers(78), Err(StampError::OtherRequest));
        let info = stamp.check(&digest, Some(&trust)).unwrap();
        assert_eq!((info.authority.as_str(), info.trusted), ("Test TSA", Some(true)));
        assert_eq!(stamp.check(&digest, None).unwrap().trusted, None);
        assert!(matches!(stamp.check(&[8; 32], None), Err(StampError::OtherContent { .. })));
        let stranger =
            Authority::new(&folder.path().join(format!("other-{}", kind.len())), kind, "timeStamping");
        let other = StampTrust::from_pem(&stranger.certificate()).unwrap();
        assert!(matches!(stamp.check(&digest, Some(&other)), Err(StampError::NotTrusted { .. })));
        // Some bytes carry nothing (the signer's name, for whose key fits is the signer), but none makes it say something else.
        for at in 0..response.len() {
            let mut changed = response.clone();
            changed[at] ^= 1;
            if let Ok(Ok(found)) = TimeStamp::read(&changed).map(|stamp| stamp.check(&digest, Some(&trust))) {
                assert_eq!((found.at, &found.serial), (info.at, &info.serial), "byte {at}");
            }
            assert!(TimeStamp::read(&response[..at]).is_err(), "cut at {at}");
        }
    }
}

#[test]
fn a_certificate_for_something_else_stamps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // OpenSSL itself refuses to stamp with it.
    let authority = Authority::new(folder.path(), "rsa:2048", "codeSigning");
    assert!(authority.answer(&stamp_request(&[9; 32], 1)).is_none());
}
