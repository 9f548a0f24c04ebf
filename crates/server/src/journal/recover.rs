//! Opening the journal after a stop of any kind.

use super::{
    JournalFile, path_of,
    scan::{self, Found, Scan},
    writer::{JournalError, Last},
};
use playhead_model::RecordingId;
use std::{
    collections::{BTreeMap, HashMap},
    fs::OpenOptions,
    path::Path,
    sync::Arc,
};

/// What stands in the journal.
pub(crate) struct Recovered {
    /// For each recording its fragments by number; where there are copies, the newest.
    pub(crate) recordings: HashMap<RecordingId, BTreeMap<u64, (Arc<JournalFile>, Found)>>,
    /// Fragments that were durable and cannot be read any more.
    pub(crate) damaged: Vec<(RecordingId, u64)>,
    /// Bytes that were durable and of which nobody can say what they were.
    pub(crate) lost: u64,
    pub(super) files: Vec<Arc<JournalFile>>,
    pub(super) last: Last,
}

/// Reads all files, cuts off what was never durable, and tells what there is.
///
/// # Errors
/// A folder or file that cannot be used.
pub(crate) fn recover(folder: &Path) -> Result<Recovered, JournalError> {
    let failed = |source| JournalError { path: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut numbers = Vec::new();
    for file in std::fs::read_dir(folder).map_err(failed)? {
        let name = file.map_err(failed)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".journal"));
        numbers.extend(number.and_then(|number| u64::from_str_radix(number, 16).ok()));
    }
    numbers.sort_unstable();

    let mut recovered = Recovered {
        recordings: HashMap::new(),
        damaged: Vec::new(),
        lost: 0,
        files: Vec::new(),
        last: Last { number: numbers.last().copied().unwrap_or(0), durable: 0 },
    };
    // Backwards: each file tells how much of the one before was durable.
    let mut before: Option<(u64, u64)> = None;
    let mut scans = Vec::new();
    for &number in numbers.iter().rev() {
        let path = path_of(folder, number);
        let failed = |source| JournalError { path: path.clone(), source };
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(failed)?;
        let header = scan::read_header(&file).map_err(failed)?;
        let durable = before.filter(|&(previous, _)| previous == number).map_or(0, |(_, durable)| durable);
        let scan = scan::scan(&file, durable).map_err(failed)?;
        before = header.and_then(|header| Some((number.checked_sub(1)?, header.before)));
        let length = file.metadata().map_err(failed)?.len();
        if header.is_none() {
            // Begun and never used, or its first block is damaged: then the chains show what is missing.
            tracing::warn!(file = %path.display(), "journal file without a header");
            recovered.lost += durable;
        }
        if length > scan.end && header.is_some() {
            tracing::info!(file = %path.display(), bytes = length - scan.end, "cut off what was never durable");
            file.set_len(scan.end).and_then(|()| file.sync_all()).map_err(failed)?;
        }
        if recovered.last.number == number {
            recovered.last.durable = scan.end;
        }
        scans.push((JournalFile::new(number, path.clone(), file, scan.end), scan));
    }
    for (file, scan) in scans.into_iter().rev() {
        recovered.take(file, scan);
    }
    Ok(recovered)
}

impl Recovered {
    fn take(&mut self, file: Arc<JournalFile>, scan: Scan) {
        self.lost += scan.lost;
        self.damaged.extend(scan.damaged);
        for found in scan.entries {
            let recording = self.recordings.entry(found.head.recording).or_default();
            recording.insert(found.head.seq, (Arc::clone(&file), found));
        }
        self.files.push(file);
    }
}
