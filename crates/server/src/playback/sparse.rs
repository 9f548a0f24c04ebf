//! Reading an object with code that wants a file: parts are fetched as they turn out to be needed.

use bytes::Bytes;
use std::io::{self, Read, Seek, SeekFrom};

/// A file of which only some parts are here. Reading elsewhere fails and notes what is missing.
#[derive(Debug)]
pub(super) struct Sparse {
    length: u64,
    position: u64,
    parts: Vec<(u64, Bytes)>,
    missing: Option<(u64, u64)>,
}

impl Sparse {
    pub(super) fn new(length: u64) -> Self {
        Self { length, position: 0, parts: Vec::new(), missing: None }
    }

    /// Adds the bytes from `offset` on.
    pub(super) fn add(&mut self, offset: u64, bytes: Bytes) {
        self.parts.push((offset, bytes));
    }

    /// Where the last read that failed began, and how many bytes it wanted at most.
    pub(super) fn take_missing(&mut self) -> Option<(u64, u64)> {
        self.missing.take()
    }
}

impl Read for Sparse {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.position >= self.length {
            return Ok(0);
        }
        for (offset, bytes) in &self.parts {
            let inside = self.position.checked_sub(*offset).and_then(|at| usize::try_from(at).ok());
            if let Some(rest) = inside.and_then(|at| bytes.get(at..)).filter(|rest| !rest.is_empty()) {
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                self.position += count as u64;
                return Ok(count);
            }
        }
        self.missing = Some((self.position, buffer.len() as u64));
        Err(io::Error::other("not fetched yet"))
    }
}

impl Seek for Sparse {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
