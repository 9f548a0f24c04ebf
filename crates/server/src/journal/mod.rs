//! The journal: the fragments of all recordings, appended to one file after another, until their segments are stored.
//!
//! One thread writes. It takes what has queued up, appends it, syncs once, and only then says of each fragment that it is durable.
//! Readers read the files in place. A file goes when nothing in it is needed any more; what is needed for long is copied forward, so
//! that the journal stays small.

mod entry;
mod object;
mod recover;
mod scan;
mod writer;

pub(crate) use object::{Object, ObjectFragment, open_object};
pub(crate) use recover::{Recovered, recover};
pub(crate) use scan::Found;
#[cfg(test)]
use scan::scan;
pub use writer::JournalError;
pub(crate) use writer::{Append, Closed, GROUPS, Journal, JournalSettings, Outlets, Written};

use entry::{ENTRY_HEADER, EntryHeader};
use playhead_format::{FragmentHead, Hash};
use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// One file of the journal.
#[derive(Debug)]
pub(crate) struct JournalFile {
    number: u64,
    path: PathBuf,
    file: File,
    /// Entries in it that are still needed.
    needed: AtomicU64,
    /// Bytes of those entries.
    needed_bytes: AtomicU64,
    bytes: AtomicU64,
}

impl JournalFile {
    fn new(number: u64, path: PathBuf, file: File, bytes: u64) -> Arc<Self> {
        let (needed, needed_bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { number, path, file, needed, needed_bytes, bytes: AtomicU64::new(bytes) })
    }

    /// Reads a record.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn read(&self, offset: u64, length: u32) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length as usize];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

impl JournalFile {
    /// Reads a whole entry: the fragment's head and hash, and its record; `None` when it is damaged.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn read_entry(
        &self,
        offset: u64,
        length: u32,
    ) -> io::Result<Option<(FragmentHead, Hash, Vec<u8>)>> {
        let Some(header) = scan::read_header(&self.file)? else { return Ok(None) };
        let Some(at) = offset.checked_sub(ENTRY_HEADER as u64) else { return Ok(None) };
        let mut bytes = [0; ENTRY_HEADER];
        self.file.read_exact_at(&mut bytes, at)?;
        let record = self.read(offset, length)?;
        let entry = EntryHeader::parse(&bytes, &header.key, at);
        let whole = entry.filter(|entry| entry.crc == crc32fast::hash(&record));
        Ok(whole.map(|entry| (entry.head, entry.hash, record)))
    }
}

/// An entry that is needed: its file stays as long as this does.
#[derive(Debug)]
pub(crate) struct Held {
    file: Arc<JournalFile>,
    bytes: u64,
}

impl Held {
    pub(crate) fn new(file: &Arc<JournalFile>, length: u32) -> Self {
        let bytes = u64::from(length);
        file.needed.fetch_add(1, Ordering::AcqRel);
        file.needed_bytes.fetch_add(bytes, Ordering::AcqRel);
        Self { file: Arc::clone(file), bytes }
    }

    pub(crate) fn file(&self) -> Arc<JournalFile> {
        Arc::clone(&self.file)
    }

    pub(crate) fn number(&self) -> u64 {
        self.file.number
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.file.needed_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        self.file.needed.fetch_sub(1, Ordering::AcqRel);
    }
}

fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016x}.journal"))
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
