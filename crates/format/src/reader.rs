//! Reading a segment at any place.

use crate::{
    FormatError, MAX_RECORD, MetaMessage, SegmentIndex,
    index::{MAX_INDEX, NAME},
    open_fragment,
    record::{self, Attachment, FOOTER_LEN, Footer, MAGIC, MAX_SMALL_RECORD, PREFIX, op},
    scan::{self, scan},
};
use playhead_model::RecordingInfo;
use std::io::{Read, Seek, SeekFrom};

/// How a file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub enum Ending {
    /// With index and footer.
    Finished,
    /// Without them: a crash, or a copy of a recording that was still written.
    Unfinished {
        /// Bytes at the end that are the start of a record that was not written whole.
        torn: u64,
    },
    /// With something that does not belong there, or with a footer that cannot be used.
    Damaged {
        /// Bytes at the end that cannot be used.
        bytes: u64,
    },
}

/// Reads fragments of one segment in any order.
#[derive(Debug)]
pub struct SegmentReader<R> {
    source: R,
    index: SegmentIndex,
    ending: Ending,
}

impl<R: Read + Seek> SegmentReader<R> {
    /// Opens a segment. A finished one costs reading its index only; one without a usable index is gone through, and what
    /// stands before the first damage is taken.
    ///
    /// # Errors
    /// A file that is no recording this version reads, that has no whole fragment, or that cannot be read from.
    pub fn open(mut source: R) -> Result<Self, FormatError> {
        check_opening(&mut source)?;
        match read_index(&mut source) {
            Ok(index) => return Ok(Self { source, index, ending: Ending::Finished }),
            Err(error @ FormatError::Io(_)) => return Err(error),
            // No index to be had: the fragments tell.
            Err(_) => {}
        }
        let found = scan(&mut source)?;
        let whole = found.fragments.iter().take_while(|fragment| !fragment.after_damage).count();
        let whole: Vec<_> = found.fragments.into_iter().take(whole).collect();
        let index = scan::rebuilt(&whole)
            .ok_or_else(|| FormatError::invalid("recording file", "expected at least one whole fragment"))?;
        // An index that cannot be trusted must not be served either, so it obeys the rules of a stored one.
        let index = SegmentIndex::parse(&index.encode())?;
        let ending = match found.ending {
            Ending::Finished if found.damaged > 0 => Ending::Damaged { bytes: 0 },
            ending => ending,
        };
        Ok(Self { source, index, ending })
    }

    /// The segment's index.
    pub const fn index(&self) -> &SegmentIndex {
        &self.index
    }

    /// How the file ends.
    pub const fn ending(&self) -> Ending {
        self.ending
    }

    /// The Chunk record of the fragment at a position of the index, not opened yet.
    ///
    /// # Errors
    /// A position beyond the index, an index that does not tell what the file has there, a file that cannot be read from.
    pub fn fragment(&mut self, position: usize) -> Result<Vec<u8>, FormatError> {
        let entry = self.index.entries.get(position).ok_or_else(|| {
            let count = self.index.entries.len();
            FormatError::invalid("segment", format!("expected a position below {count}, got {position}"))
        })?;
        let (offset, length) = (entry.offset, u64::from(entry.length));
        if length > MAX_RECORD as u64 {
            return Err(FormatError::TooLarge { what: "fragment", limit: MAX_RECORD as u64, actual: length });
        }
        let bytes = read_at(&mut self.source, offset, length, "fragment")?;
        record::content(&bytes, op::CHUNK, "fragment")?;
        Ok(bytes)
    }

    /// The recording's particulars, from the first fragment.
    ///
    /// # Errors
    /// A first fragment that is damaged or has none.
    pub fn info(&mut self) -> Result<RecordingInfo, FormatError> {
        let fragment = open_fragment(&self.fragment(0)?)?;
        for message in fragment.messages() {
            let message = message?;
            if message.channel == crate::Channel::Meta.id()
                && let MetaMessage::Recording { info } = MetaMessage::parse(message.data)
            {
                return Ok(*info);
            }
        }
        Err(FormatError::invalid(
            "segment",
            "expected the recording's particulars in its first fragment, found none",
        ))
    }

    /// Gives back what is read from.
    pub fn into_inner(self) -> R {
        self.source
    }
}

fn check_opening<R: Read + Seek>(source: &mut R) -> Result<(), FormatError> {
    source.seek(SeekFrom::Start(0))?;
    let opening = read_some(source, (MAGIC.len() + PREFIX) as u64)?;
    record::check_magic(opening.get(..MAGIC.len()).unwrap_or(&opening))?;
    let what = "file header";
    let prefix = opening[MAGIC.len()..].first_chunk::<PREFIX>().copied().ok_or(FormatError::Truncated {
        what,
        expected: PREFIX as u64,
        actual: (opening.len() - MAGIC.len()) as u64,
    })?;
    let (opcode, length) = record::prefix(prefix);
    if opcode != op::HEADER {
        return Err(FormatError::UnexpectedRecord { expected: op::HEADER, actual: opcode });
    }
    if length > MAX_SMALL_RECORD {
        return Err(FormatError::TooLarge { what, limit: MAX_SMALL_RECORD, actual: length });
    }
    let header = read_some(source, length)?;
    record::check_header(&header)
}

/// Finds the index by way of footer and summary.
fn read_index<R: Read + Seek>(source: &mut R) -> Result<SegmentIndex, FormatError> {
    let file_len = source.seek(SeekFrom::End(0))?;
    let tail_len = (FOOTER_LEN + MAGIC.len()) as u64;
    let footer_at = file_len.checked_sub(tail_len).ok_or(FormatError::Empty)?;
    let tail = read_at(source, footer_at, tail_len, "footer")?;
    let (footer, magic) = tail.split_at(FOOTER_LEN);
    record::check_magic(magic)?;
    let Footer { summary_start, crc: expected, .. } =
        Footer::parse(record::content(footer, op::FOOTER, "footer")?)?;

    let summary_len = footer_at.checked_sub(summary_start).filter(|&length| length <= MAX_INDEX);
    let summary_len = summary_len.ok_or_else(|| {
        FormatError::invalid(
            "footer",
            format!("expected a summary before byte {footer_at}, got {summary_start}"),
        )
    })?;
    let summary = read_at(source, summary_start, summary_len, "summary")?;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&summary);
    crc.update(&footer[..FOOTER_LEN - 4]);
    let actual = crc.finalize();
    if expected != 0 && expected != actual {
        return Err(FormatError::Checksum { what: "summary", expected, actual });
    }

    let (offset, length) = attachment_place(&summary)?;
    if length > MAX_INDEX {
        return Err(FormatError::TooLarge { what: "segment index", limit: MAX_INDEX, actual: length });
    }
    let bytes = read_at(source, offset, length, "segment index")?;
    let attachment = Attachment::parse(record::content(&bytes, op::ATTACHMENT, "segment index")?)?;
    let index = SegmentIndex::parse(attachment.data)?;
    let end = index.entries.last().and_then(|last| last.offset.checked_add(u64::from(last.length)));
    match end {
        Some(end) if end <= offset => Ok(index),
        _ => Err(FormatError::invalid("segment index", "expected fragments before it")),
    }
}

/// Finds the index attachment in the summary.
fn attachment_place(mut summary: &[u8]) -> Result<(u64, u64), FormatError> {
    while let Some((&prefix, rest)) = summary.split_first_chunk::<PREFIX>() {
        let (opcode, length) = record::prefix(prefix);
        let split = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
        let (content, rest) = split.ok_or(FormatError::Truncated {
            what: "summary",
            expected: length,
            actual: rest.len() as u64,
        })?;
        if opcode == op::ATTACHMENT_INDEX {
            let (offset, length, name) = Attachment::parse_index(content)?;
            if name == NAME {
                return Ok((offset, length));
            }
        }
        summary = rest;
    }
    Err(FormatError::invalid("summary", "expected a segment index, found none"))
}

fn read_at<R: Read + Seek>(
    source: &mut R,
    offset: u64,
    length: u64,
    what: &'static str,
) -> Result<Vec<u8>, FormatError> {
    source.seek(SeekFrom::Start(offset))?;
    let bytes = read_some(source, length)?;
    if bytes.len() as u64 == length {
        Ok(bytes)
    } else {
        Err(FormatError::Truncated { what, expected: length, actual: bytes.len() as u64 })
    }
}

/// Reads up to `count` bytes; fewer at the end of the file. Takes memory only for what is there.
fn read_some<R: Read>(source: &mut R, count: u64) -> Result<Vec<u8>, FormatError> {
    let mut bytes = Vec::new();
    source.take(count).read_to_end(&mut bytes)?;
    Ok(bytes)
}
