//! Time stamps (RFC 3161) that lie beside recording files: `FILE.tsr` is over the seal of `FILE`.

use super::{Scanned, plain};
use playhead_format::{Closing, SegmentScan};
use playhead_model::RecordingId;
use playhead_proof::{MAX_STAMP, StampError, StampInfo, StampTrust, TimeStamp};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    path::PathBuf,
};

/// What was found about one time stamp, or that one is missing.
#[derive(Debug, Serialize)]
pub(super) struct Stamped {
    /// The file that it is about.
    pub(super) file: String,
    /// The recording.
    pub(super) recording: RecordingId,
    /// Number of the segment.
    pub(super) segment: u32,
    /// Whether it is over the end of the recording, and so over all of it.
    pub(super) covers_end: bool,
    /// By whom and when; `None` when something is wrong.
    pub(super) stamp: Option<StampInfo>,
    /// What is wrong.
    pub(super) problem: Option<String>,
}

impl Stamped {
    /// In words.
    pub(super) fn text(&self) -> String {
        let what = if self.covers_end { "the whole recording" } else { "the recording up to this segment" };
        match (&self.stamp, &self.problem) {
            (Some(stamp), None) => {
                let trust = if stamp.trusted.is_some() { "" } else { ", whom nobody was asked to trust" };
                let StampInfo { at, authority, serial, .. } = stamp;
                format!(
                    "time stamp of {what}: it was there at {at}, says {}{trust} (number {serial})",
                    plain(authority)
                )
            }
            (_, problem) => {
                format!(
                    "time stamp beside {}: {}",
                    plain(&self.file),
                    plain(problem.as_deref().unwrap_or("there is none"))
                )
            }
        }
    }
}

/// Reads and checks the time stamps beside all files. With authorities to trust, every recording whose end is here must have one over it.
pub(super) fn check(scanned: &[Scanned], trust: Option<&StampTrust>) -> Vec<Stamped> {
    let mut all = Vec::new();
    let mut ends: BTreeMap<RecordingId, (String, u32)> = BTreeMap::new();
    for (file, scan) in scanned {
        let Ok(scan) = scan else { continue };
        let Some(index) = &scan.index else { continue };
        let covers_end = index.closing != Closing::Continues;
        if covers_end {
            ends.insert(index.recording, (file.clone(), index.segment));
        }
        let found = match beside(file) {
            Ok(None) => continue,
            Ok(Some(bytes)) => one(&bytes, scan, trust).map_err(|error| error.to_string()),
            Err(error) => Err(format!("it cannot be read: {error}")),
        };
        let (stamp, problem) = match found {
            Ok(stamp) => (Some(stamp), None),
            Err(problem) => (None, Some(problem)),
        };
        let (recording, segment) = (index.recording, index.segment);
        all.push(Stamped { file: file.clone(), recording, segment, covers_end, stamp, problem });
    }
    for (recording, (file, segment)) in ends.into_iter().filter(|_| trust.is_some()) {
        if !all.iter().any(|stamped| stamped.recording == recording && stamped.covers_end) {
            let problem = Some("there is none over the end of the recording".into());
            all.push(Stamped { file, recording, segment, covers_end: true, stamp: None, problem });
        }
    }
    all
}

fn one(bytes: &[u8], scan: &SegmentScan, trust: Option<&StampTrust>) -> Result<StampInfo, StampError> {
    let stamp = TimeStamp::read(bytes)?;
    let seal = scan.seal.as_deref().ok_or(StampError::Content("the file that it is about has no seal"))?;
    stamp.check(&Sha256::digest(seal).into(), trust)
}

fn beside(file: &str) -> io::Result<Option<Vec<u8>>> {
    let opened = match File::open(PathBuf::from(format!("{file}.tsr"))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    // One more than it may have: too long a file is told of, and not read.
    opened.take(MAX_STAMP as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

#[cfg(test)]
#[path = "../../../proof/tests/authority/mod.rs"]
mod authority;

#[cfg(test)]
mod tests {
    use super::{super::scan_all, authority::Authority, *};
    use playhead_proof::stamp_request;
    use std::{fs, path::Path};

    #[test]
    fn a_stamp_beside_a_file_is_over_its_seal_and_by_somebody_who_is_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(&folder.path().join("tsa"), "ec", "timeStamping");
        let trust = StampTrust::from_pem(&authority.certificate()).unwrap();
        let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors");
        let file = folder.path().join("a.mcap");
        fs::copy(vectors.join("signed.mcap"), &file).unwrap();
        let found =
            |trust: Option<&StampTrust>| check(&scan_all(std::slice::from_ref(&file)).unwrap(), trust);
        assert!(found(None).is_empty(), "none is asked for");
        let missing = found(Some(&trust));
        assert!(missing[0].text().contains("there is none over the end"), "{missing:?}");

        let scanned = scan_all(std::slice::from_ref(&file)).unwrap();
        let seal = scanned[0].1.as_ref().unwrap().seal.clone().unwrap();
        let answer = authority.answer(&stamp_request(&Sha256::digest(&seal).into(), 1)).unwrap();
        let beside = folder.path().join("a.mcap.tsr");
        fs::write(&beside, &answer).unwrap();
        for trust in [Some(&trust), None] {
            let right = found(trust);
            assert!(right.len() == 1 && right[0].problem.is_none() && right[0].covers_end, "{right:?}");
            assert!(right[0].text().contains("the whole recording"), "{}", right[0].text());
        }
        let other = authority.answer(&stamp_request(&[7; 32], 1)).unwrap();
        for wrong in [&other[..], &answer[..answer.len() - 1], b"nonsense", &vec![0; MAX_STAMP + 1]] {
            fs::write(&beside, wrong).unwrap();
            assert!(found(None)[0].problem.is_some());
        }
    }
}
