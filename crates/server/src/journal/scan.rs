//! Reading a journal file after a start, whatever state it is in.

use super::entry::{ENTRY_HEADER, ENTRY_MAGIC, EntryHeader, FILE_HEADER, FileHeader};
use playhead_format::{FragmentHead, Hash};
use playhead_model::RecordingId;
use std::{fs::File, io};

/// Bytes read at a time.
const WINDOW: usize = 1 << 20;

/// Something that can be read at any place.
pub(crate) trait ReadAt {
    /// Reads up to `buffer.len()` bytes from `offset` on; fewer at the end only.
    ///
    /// # Errors
    /// The system's.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut read = 0;
        while read < buffer.len() {
            match std::os::unix::fs::FileExt::read_at(self, &mut buffer[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// A whole entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Where its record stands in the file.
    pub(crate) offset: u64,
    /// Bytes of the record.
    pub(crate) length: u32,
    /// The fragment's head.
    pub(crate) head: FragmentHead,
    /// The fragment's hash.
    pub(crate) hash: Hash,
    /// One past the newest fragment of its recording that is known to have been acknowledged when it was written.
    pub(crate) acknowledged: u64,
}

/// What a journal file holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Scan {
    /// The whole entries in the file's order.
    pub(crate) entries: Vec<Found>,
    /// Entries whose record was damaged after it was durable: recording and number of the fragment.
    pub(crate) damaged: Vec<(RecordingId, u64)>,
    /// Bytes that were durable and are no entries any more.
    pub(crate) lost: u64,
    /// Where what was never durable begins: the file is to be cut here.
    pub(crate) end: u64,
}

/// One thing found while walking.
enum Step {
    Whole(Found),
    BadRecord(RecordingId, u64),
    BadHeader,
}

/// Reads what stands at the start of a journal file; `None` when it is none.
///
/// # Errors
/// The system's.
pub(crate) fn read_header<R: ReadAt + ?Sized>(source: &R) -> io::Result<Option<FileHeader>> {
    let mut bytes = [0; FILE_HEADER];
    let read = source.read_at(&mut bytes, 0)?;
    Ok(if read == FILE_HEADER { FileHeader::parse(&bytes) } else { None })
}

/// Walks a journal file. What cannot be read and was durable is damage; what cannot be read and was not durable is the trace of a
/// crash, and ends the file. `durable` is what the next file says of this one, 0 when there is no next.
///
/// # Errors
/// The system's. A file without a header holds nothing.
pub(crate) fn scan<R: ReadAt + ?Sized>(source: &R, durable: u64) -> io::Result<Scan> {
    let Some(header) = read_header(source)? else { return Ok(Scan::default()) };
    let mut steps: Vec<(u64, u64, Step)> = Vec::new();
    let mut durable = durable.max(FILE_HEADER as u64);
    let mut at = FILE_HEADER as u64;
    let mut window = vec![0; WINDOW];
    while let Some(next) = step(source, &header, at, &mut durable, &mut window, &mut steps)? {
        at = next;
    }

    let mut scan = Scan { end: FILE_HEADER as u64, ..Scan::default() };
    for (start, end, step) in steps {
        match step {
            Step::Whole(found) => scan.entries.push(found),
            // Nothing after it was ever called durable either.
            _ if start >= durable => break,
            Step::BadRecord(recording, seq) => scan.damaged.push((recording, seq)),
            Step::BadHeader => scan.lost += end - start,
        }
        scan.end = end;
    }
    Ok(scan)
}

/// Looks at what stands at `at`; gives where to go on, or `None` at the end.
fn step<R: ReadAt + ?Sized>(
    source: &R,
    header: &FileHeader,
    at: u64,
    durable: &mut u64,
    window: &mut [u8],
    steps: &mut Vec<(u64, u64, Step)>,
) -> io::Result<Option<u64>> {
    let mut bytes = [0; ENTRY_HEADER];
    let read = source.read_at(&mut bytes, at)?;
    if read == 0 {
        return Ok(None);
    }
    let entry = if read == ENTRY_HEADER { EntryHeader::parse(&bytes, &header.key, at) } else { None };
    let Some(entry) = entry else {
        let next = find_entry(source, header, at + 1, window)?;
        let end = match next {
            Some(next) => next,
            None => length(source, at, window)?,
        };
        steps.push((at, end, Step::BadHeader));
        return Ok(next);
    };
    *durable = (*durable).max(entry.synced);
    let offset = at + ENTRY_HEADER as u64;
    let end = offset + u64::from(entry.length);
    let Some(crc) = checksum(source, offset, entry.length, window)? else {
        steps.push((at, end, Step::BadRecord(entry.head.recording, entry.head.seq)));
        return Ok(None);
    };
    if crc == entry.crc {
        let acknowledged = entry.acknowledged();
        let EntryHeader { length, head, hash, .. } = entry;
        steps.push((at, end, Step::Whole(Found { offset, length, head, hash, acknowledged })));
    } else {
        steps.push((at, end, Step::BadRecord(entry.head.recording, entry.head.seq)));
    }
    Ok(Some(end))
}

/// Finds the next entry's header at or after `from`.
fn find_entry<R: ReadAt + ?Sized>(
    source: &R,
    header: &FileHeader,
    mut from: u64,
    window: &mut [u8],
) -> io::Result<Option<u64>> {
    loop {
        let read = source.read_at(window, from)?;
        let mut searched = 0;
        while let Some(found) = position(&window[searched..read], &ENTRY_MAGIC) {
            let at = from + (searched + found) as u64;
            let mut bytes = [0; ENTRY_HEADER];
            let whole = source.read_at(&mut bytes, at)? == ENTRY_HEADER;
            if whole && EntryHeader::parse(&bytes, &header.key, at).is_some() {
                return Ok(Some(at));
            }
            searched += found + 1;
        }
        if read < window.len() {
            return Ok(None);
        }
        // A magic may lie across two windows.
        from += (read - ENTRY_MAGIC.len() + 1) as u64;
    }
}

fn position(bytes: &[u8], pattern: &[u8; 4]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

/// The file's length, which is not less than `from`.
fn length<R: ReadAt + ?Sized>(source: &R, mut from: u64, window: &mut [u8]) -> io::Result<u64> {
    loop {
        match source.read_at(window, from)? {
            0 => return Ok(from),
            read => from += read as u64,
        }
    }
}

/// The checksum of `length` bytes; `None` when the file ends before.
fn checksum<R: ReadAt + ?Sized>(
    source: &R,
    mut offset: u64,
    length: u32,
    window: &mut [u8],
) -> io::Result<Option<u32>> {
    let mut hasher = crc32fast::Hasher::new();
    let mut left = length as usize;
    while left > 0 {
        let wanted = left.min(window.len());
        if source.read_at(&mut window[..wanted], offset)? < wanted {
            return Ok(None);
        }
        hasher.update(&window[..wanted]);
        offset += wanted as u64;
        left -= wanted;
    }
    Ok(Some(hasher.finalize()))
}
