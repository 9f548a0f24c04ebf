//! Reading a queue's folder at the start: what is sound is kept, what is not is cut off or passed over.

use super::{
    SpoolError,
    entry::{self, Entry, HEADER, Scan},
    queue::{BREAKS, FILE_BYTES, Piece, SUFFIX, State, write_json},
};
use playhead_format::MAX_RECORD;
use playhead_model::{GapCause, RecordingId};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// The longest file there can be: one that was nearly full when the largest fragment came.
const MAX_FILE: u64 = FILE_BYTES + (MAX_RECORD + HEADER) as u64;

impl State {
    /// Reads the folder at the start.
    pub(super) fn load(&mut self, recording: &RecordingId) -> Result<(), SpoolError> {
        let paths = queue_files(&self.folder)?;
        let count = paths.len();
        let known = self.breaks.clone();
        let dropped_before = known.dropped_before();
        // Something is missing right before what comes next, and no anchor has come since.
        let mut broken = false;
        for (at, path) in paths.into_iter().enumerate() {
            let is_newest = at + 1 == count;
            let bytes = read_bounded(&path)?;
            let Scan { entries, damaged_at, torn } = entry::scan(&bytes);
            if damaged_at.is_some() || (torn > 0 && !is_newest) {
                tracing::error!(%recording, file = %path.display(), offset = ?damaged_at,
                    "the queue is damaged: what cannot be read is left out; check the disk");
            }
            let length = bytes.len() as u64 - if is_newest { torn } else { 0 };
            self.files.push_back(Piece { path, entries: Vec::new(), length });
            let mut sound_to = 0;
            for entry in entries {
                let newest = self.newest().map(|newest| newest.seq);
                let is_old = newest.is_some_and(|newest| entry.seq <= newest);
                if is_old || dropped_before.is_some_and(|first| entry.seq < first) {
                    sound_to = entry.end();
                    continue;
                }
                broken |= entry.offset != sound_to || newest.is_some_and(|newest| entry.seq != newest + 1);
                sound_to = entry.end();
                if broken && entry.is_anchor() {
                    broken = false;
                    match newest {
                        Some(newest) => _ = self.breaks.damaged(newest, entry.seq),
                        None => self.breaks.drop_before(entry.seq, GapCause::QueueDamaged),
                    }
                }
                if let (false, Some(file)) = (broken, self.files.back_mut()) {
                    file.entries.push(entry);
                }
            }
            broken |= torn > 0 && !is_newest;
            if is_newest && torn > 0 {
                tracing::warn!(%recording, torn, "cutting off a half-written fragment");
                self.cut_newest(length)?;
            }
        }
        // What was let go of just before a crash may still be there.
        while self.files.len() > 1 && self.files.front().is_some_and(|file| file.entries.is_empty()) {
            self.delete_front()?;
        }
        if broken {
            self.cut_tail()?;
        }
        self.next_seq = self.newest().map(|entry| entry.seq + 1);
        self.ended = self.newest().is_some_and(Entry::is_last);
        if self.next_seq.is_none() {
            self.breaks = self.breaks.of_nothing();
        }
        if self.breaks != known
            && let Err(error) = write_json(&self.folder.join(BREAKS), &self.breaks)
        {
            // The next start finds the same.
            tracing::error!(%recording, %error, "cannot note what is damaged");
        }
        Ok(())
    }

    /// Nothing after the damage can be used: takes it away, so that what comes next cannot be mistaken for it.
    fn cut_tail(&mut self) -> Result<(), SpoolError> {
        self.lost_tail = true;
        while self.files.len() > 1 && self.files.back().is_some_and(|file| file.entries.is_empty()) {
            if let Some(file) = self.files.pop_back() {
                fs::remove_file(&file.path).map_err(SpoolError::at(&file.path))?;
            }
        }
        self.cut_newest(self.newest().map_or(0, Entry::end))
    }

    fn cut_newest(&mut self, length: u64) -> Result<(), SpoolError> {
        let Some(file) = self.files.back_mut() else { return Ok(()) };
        let cut = File::options().write(true).open(&file.path).and_then(|open| open.set_len(length));
        cut.map_err(SpoolError::at(&file.path))?;
        file.length = length;
        Ok(())
    }
}

/// Whether there is any file with fragments in a folder, or that cannot be told.
pub(super) fn has_files(folder: &Path) -> bool {
    queue_files(folder).map_or(true, |files| !files.is_empty())
}

fn queue_files(folder: &Path) -> Result<Vec<PathBuf>, SpoolError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(SpoolError::at(folder))? {
        let path = entry.map_err(SpoolError::at(folder))?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(SUFFIX)) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, SpoolError> {
    let failed = SpoolError::at(path);
    let length = fs::metadata(path).map_err(SpoolError::at(path))?.len();
    if length > MAX_FILE {
        let reason = format!("expected at most {MAX_FILE} bytes, got {length}");
        return Err(failed(io::Error::new(io::ErrorKind::InvalidData, reason)));
    }
    fs::read(path).map_err(failed)
}
