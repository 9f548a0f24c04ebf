//! Cutting a stream of bytes into Chunk records.

use crate::{
    FormatError, MAX_RECORD,
    record::{self, MAGIC, MAX_SMALL_RECORD, PREFIX, op},
};

/// What kind of stream the bytes were so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamState {
    /// Nothing but Chunk records, or nothing at all.
    Bare,
    /// A file whose end was not seen yet.
    File,
    /// A whole file.
    Whole,
}

/// One record of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamRecord<'a> {
    /// Where its first byte stood in the stream.
    pub offset: u64,
    /// The whole Chunk record: opcode, length, content.
    pub bytes: &'a [u8],
}

/// Takes bytes as they come, cut anywhere, and gives whole Chunk records. The stream is either Chunk records one after
/// another, or a whole recording file, whose other records are passed over.
#[derive(Debug)]
pub struct RecordSplitter {
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were given out or passed over.
    used: usize,
    /// Offset in the stream of the buffer's first byte.
    base: u64,
    /// Bytes of a record that are passed over as they come.
    skip: u64,
    state: StreamState,
    expect: Expect,
}

/// What must come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// The stream's first byte, which tells what it is.
    Start,
    /// A file's Header record.
    Header,
    Record,
    /// The magic after the footer.
    EndMagic,
    Nothing,
}

impl Default for RecordSplitter {
    fn default() -> Self {
        Self::new()
    }
}

impl RecordSplitter {
    /// The most bytes it holds: 72 MiB, the largest record and some more.
    pub const MAX_PENDING: usize = 72 << 20;

    /// A splitter at the start of a stream.
    pub const fn new() -> Self {
        Self {
            buffer: Vec::new(),
            used: 0,
            base: 0,
            skip: 0,
            state: StreamState::Bare,
            expect: Expect::Start,
        }
    }

    /// Takes more bytes of the stream.
    ///
    /// # Errors
    /// When it would hold more than [`Self::MAX_PENDING`]; nothing is taken then. Take records out first.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), FormatError> {
        // Only an empty buffer lets bytes pass by: those in it come first.
        if self.pending() == 0 {
            let passed = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
            self.skip -= passed as u64;
            self.base += (self.buffer.len() + passed) as u64;
            self.buffer.clear();
            self.used = 0;
            bytes = &bytes[passed..];
        }
        let actual = self.pending().saturating_add(bytes.len());
        if actual > Self::MAX_PENDING {
            return Err(FormatError::TooLarge {
                what: "what is waiting to be played",
                limit: Self::MAX_PENDING as u64,
                actual: actual as u64,
            });
        }
        // Moving what is left to the front costs its length; it is worth it once as much was used up.
        if self.used > self.buffer.len() / 2 {
            self.buffer.drain(..self.used);
            self.base += self.used as u64;
            self.used = 0;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Takes the next whole Chunk record out; `None` when more bytes are needed.
    ///
    /// # Errors
    /// Bytes that are no recording. The splitter is of no use after that until [`Self::clear`].
    #[expect(
        clippy::should_implement_trait,
        reason = "the record borrows from the splitter, which no iterator can do"
    )]
    pub fn next(&mut self) -> Result<Option<StreamRecord<'_>>, FormatError> {
        loop {
            let passed = usize::try_from(self.skip).unwrap_or(usize::MAX).min(self.pending());
            self.used += passed;
            self.skip -= passed as u64;
            if self.skip > 0 {
                return Ok(None);
            }
            match self.expect {
                Expect::Start => match self.buffer.get(self.used) {
                    None => return Ok(None),
                    Some(&op::CHUNK) => self.expect = Expect::Record,
                    Some(_) => {
                        let magic = self.left().get(..MAGIC.len()).unwrap_or(self.left());
                        if magic.len() < MAGIC.len() && MAGIC.starts_with(magic) {
                            return Ok(None);
                        }
                        record::check_magic(magic)?;
                        self.used += MAGIC.len();
                        self.state = StreamState::File;
                        self.expect = Expect::Header;
                    }
                },
                Expect::Header | Expect::Record => {
                    let Some((opcode, length)) = self.prefix() else { return Ok(None) };
                    if opcode == op::CHUNK && self.expect == Expect::Record {
                        return self.chunk(length);
                    }
                    if !self.other(opcode, length)? {
                        return Ok(None);
                    }
                }
                Expect::EndMagic => {
                    let Some(magic) = self.left().get(..MAGIC.len()) else { return Ok(None) };
                    record::check_magic(magic)?;
                    self.used += MAGIC.len();
                    self.state = StreamState::Whole;
                    self.expect = Expect::Nothing;
                }
                Expect::Nothing if self.pending() == 0 => return Ok(None),
                Expect::Nothing => {
                    let count = self.pending() as u64;
                    return Err(FormatError::TrailingBytes { what: "the recording file", count });
                }
            }
        }
    }

    /// Gives the Chunk record at the front, once it is whole.
    fn chunk(&mut self, length: u64) -> Result<Option<StreamRecord<'_>>, FormatError> {
        let limit = (MAX_RECORD - PREFIX) as u64;
        if length > limit {
            return Err(FormatError::TooLarge { what: "fragment", limit, actual: length });
        }
        let start = self.used;
        let end = start + PREFIX + length as usize;
        if self.buffer.len() < end {
            return Ok(None);
        }
        self.used = end;
        Ok(Some(StreamRecord { offset: self.base + start as u64, bytes: &self.buffer[start..end] }))
    }

    /// Passes over a record that is no chunk; false when more bytes are needed.
    fn other(&mut self, opcode: u8, length: u64) -> Result<bool, FormatError> {
        if self.state == StreamState::Bare {
            return Err(FormatError::UnexpectedRecord { expected: op::CHUNK, actual: opcode });
        }
        if self.expect == Expect::Header {
            if opcode != op::HEADER {
                return Err(FormatError::UnexpectedRecord { expected: op::HEADER, actual: opcode });
            }
            if length > MAX_SMALL_RECORD {
                return Err(FormatError::TooLarge {
                    what: "file header",
                    limit: MAX_SMALL_RECORD,
                    actual: length,
                });
            }
            let Some(content) = self.left().get(PREFIX..PREFIX + length as usize) else {
                return Ok(false);
            };
            record::check_header(content)?;
            self.expect = Expect::Record;
        } else if opcode == op::FOOTER {
            self.expect = Expect::EndMagic;
        } else if opcode == 0 {
            return Err(FormatError::UnexpectedRecord { expected: op::CHUNK, actual: opcode });
        }
        self.used += PREFIX;
        self.skip = length;
        Ok(true)
    }

    fn prefix(&self) -> Option<(u8, u64)> {
        self.left().first_chunk::<PREFIX>().map(|&bytes| record::prefix(bytes))
    }

    fn left(&self) -> &[u8] {
        // `used` never passes the buffer's end: it grows only by what was found in the buffer.
        &self.buffer[self.used..]
    }

    /// Bytes held and not given out yet.
    pub const fn pending(&self) -> usize {
        self.buffer.len() - self.used
    }

    /// What kind of stream it was so far.
    pub const fn state(&self) -> StreamState {
        self.state
    }

    /// Forgets everything: the next byte is the first of a new stream.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Number of whole records held, of a stream of bare Chunk records.
    pub fn whole_records(&self) -> u64 {
        self.whole().0
    }

    /// Keeps the whole records and drops the incomplete one at the end: the next byte is the first of a record again. For a
    /// stream of bare Chunk records that broke off.
    pub fn drop_incomplete(&mut self) {
        let (_, end) = self.whole();
        self.buffer.truncate(end);
    }

    /// Number of whole records held, and where in the buffer the last of them ends.
    fn whole(&self) -> (u64, usize) {
        let (mut count, mut end) = (0, self.used);
        while let Some(&bytes) = self.buffer[end..].first_chunk::<PREFIX>() {
            let (_, length) = record::prefix(bytes);
            let next = usize::try_from(length).ok().and_then(|length| length.checked_add(end + PREFIX));
            match next.filter(|&next| next <= self.buffer.len()) {
                Some(next) => end = next,
                None => break,
            }
            count += 1;
        }
        (count, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{put_record, put_text};

    fn chunk(content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_record(&mut bytes, op::CHUNK, |out| out.extend(content));
        bytes
    }

    fn file() -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        put_record(&mut bytes, op::HEADER, |out| {
            put_text(out, "playhead");
            put_text(out, "x");
        });
        put_record(&mut bytes, op::CHANNEL, |out| out.extend([7; 20]));
        bytes.extend(chunk(b"one"));
        put_record(&mut bytes, 0x90, |out| out.extend([op::CHUNK; 50]));
        bytes.extend(chunk(b"two"));
        put_record(&mut bytes, op::FOOTER, |out| out.extend([0; 20]));
        bytes.extend(MAGIC);
        bytes
    }

    /// Pushes in pieces of that size and takes everything out.
    fn split(bytes: &[u8], piece: usize) -> (Vec<(u64, Vec<u8>)>, StreamState) {
        let mut splitter = RecordSplitter::new();
        let mut records = Vec::new();
        for piece in bytes.chunks(piece) {
            splitter.push(piece).unwrap();
            while let Some(record) = splitter.next().unwrap() {
                records.push((record.offset, record.bytes.to_vec()));
            }
        }
        (records, splitter.state())
    }

    #[test]
    fn pieces_of_any_size_give_the_same_records() {
        let bare = [chunk(b"a"), chunk(b""), chunk(&[5; 1_000])].concat();
        for piece in [1, 2, 7, 9, 10, 100, 5_000] {
            let (records, state) = split(&bare, piece);
            assert_eq!(records, [(0, chunk(b"a")), (10, chunk(b"")), (19, chunk(&[5; 1_000]))]);
            assert_eq!(state, StreamState::Bare);

            let (records, state) = split(&file(), piece);
            let (offsets, records): (Vec<_>, Vec<_>) = records.into_iter().unzip();
            assert_eq!(records, [chunk(b"one"), chunk(b"two")]);
            for (offset, record) in offsets.into_iter().zip(&records) {
                assert!(file()[offset as usize..].starts_with(record));
            }
            assert_eq!(state, StreamState::Whole);
        }
        assert_eq!(split(&file()[..file().len() - 1], 8).1, StreamState::File);
    }

    #[test]
    fn what_is_no_recording_is_refused() {
        let refuse = |bytes: &[u8]| {
            let mut splitter = RecordSplitter::new();
            splitter.push(bytes).unwrap();
            loop {
                match splitter.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => return "nothing",
                    Err(error) => return error.kind(),
                }
            }
        };
        assert_eq!(refuse(b"GIF89a"), "not-mcap");
        assert_eq!(refuse(&[&file()[..], &[0]].concat()), "trailing-bytes");
        assert_eq!(refuse(&[chunk(b""), vec![5; 9]].concat()), "unexpected-record");
        assert_eq!(refuse(&[&[op::CHUNK][..], &[0xff; 8]].concat()), "too-large");
        assert_eq!(refuse(&[&MAGIC[..], &chunk(b"")].concat()), "unexpected-record");
        assert_eq!(refuse(&[&MAGIC[..], &[op::HEADER], &[0xff; 8]].concat()), "too-large");
        let mut foreign = MAGIC.to_vec();
        put_record(&mut foreign, op::HEADER, |out| put_text(out, "ros2"));
        assert_eq!(refuse(&foreign), "foreign-profile");
        let mut newer = MAGIC.to_vec();
        put_record(&mut newer, op::HEADER, |out| put_text(out, "playhead/2"));
        assert_eq!(refuse(&newer), "newer");
    }

    #[test]
    fn memory_is_bounded() {
        let mut splitter = RecordSplitter::new();
        splitter.push(&vec![op::CHUNK; RecordSplitter::MAX_PENDING]).unwrap();
        assert_eq!(splitter.push(&[0]).unwrap_err().kind(), "too-large");
        splitter.clear();
        assert_eq!(splitter.pending(), 0);

        // A long record that is passed over is never held.
        let mut opening = file();
        opening.truncate(8 + 9 + 17);
        opening.push(op::ATTACHMENT);
        opening.extend((1u64 << 40).to_le_bytes());
        let mut splitter = RecordSplitter::new();
        splitter.push(&opening).unwrap();
        for _ in 0..100 {
            assert_eq!(splitter.next().unwrap(), None);
            splitter.push(&[1; 1 << 20]).unwrap();
        }
        assert!(splitter.buffer.capacity() < 4 << 20);
    }

    #[test]
    fn after_a_broken_connection_the_whole_records_stay() {
        let mut splitter = RecordSplitter::new();
        let (one, two) = (chunk(b"one"), chunk(b"two"));
        splitter.push(&[&one[..], &two, &chunk(b"three")[..5]].concat()).unwrap();
        assert_eq!(splitter.next().unwrap().unwrap().bytes, one);
        assert_eq!(splitter.whole_records(), 1);
        splitter.drop_incomplete();
        assert_eq!(splitter.pending(), two.len());
        splitter.push(&chunk(b"three")).unwrap();
        assert_eq!(splitter.next().unwrap().unwrap().bytes, two);
        assert_eq!(splitter.next().unwrap().unwrap().bytes, chunk(b"three"));
        assert_eq!(splitter.next().unwrap(), None);
    }
}
