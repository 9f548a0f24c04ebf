//! Going through a whole file, however damaged, and writing down everything that is there and everything that is wrong.

use crate::{
    Channel, Closing, Ending, FormatError, FragmentHead, FragmentSignature, Hash, MAX_RECORD, MetaMessage,
    OpenFragment, Problem, ProblemKind, SegmentIndex, index, open_fragment,
    record::{self, Attachment, ChunkIndex, FOOTER_LEN, Footer, MAGIC, MAX_SMALL_RECORD, PREFIX, op},
    seal,
};
use playhead_model::{AppliedMask, EndReason, Gap, RecordingInfo};
use std::{
    collections::BTreeMap,
    io::{Read, Seek, SeekFrom},
};

/// Messages and bytes of one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct ChannelUse {
    /// How many messages.
    pub messages: u64,
    /// Bytes of their data, uncompressed.
    pub bytes: u64,
}

/// One fragment that was found whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannedFragment {
    /// What it says of itself.
    pub head: FragmentHead,
    /// Its hash.
    pub hash: Hash,
    /// Where its Chunk record starts.
    pub offset: u64,
    /// Bytes of its Chunk record.
    pub length: u64,
    /// Bytes of its records, uncompressed.
    pub uncompressed: u64,
    /// Whether fragments that could not be read stand between the one before it and it.
    pub after_damage: bool,
    /// BLAKE3 of the anchor's packet, if it has an anchor.
    pub anchor: Option<Hash>,
    /// Its agent's signature, if it has one; whether it is right is not known here.
    pub signature: Option<FragmentSignature>,
}

/// What was found in a file.
#[derive(Debug, Clone)]
pub struct SegmentScan {
    /// Length of the file.
    pub bytes: u64,
    /// The whole fragments in the order of the file.
    pub fragments: Vec<ScannedFragment>,
    /// Number of fragments that could not be read.
    pub damaged: u64,
    /// How the file ends.
    pub ending: Ending,
    /// The index, if there is one that can be read.
    pub index: Option<SegmentIndex>,
    /// The site's seal, as it stands in the file; whether it is right is not known here.
    pub seal: Option<Vec<u8>>,
    /// The recording's particulars, from the first fragment that has them.
    pub info: Option<RecordingInfo>,
    /// The gaps that are declared.
    pub gaps: Vec<Gap>,
    /// The masks that cover something, as far as it is told.
    pub masks: Vec<AppliedMask>,
    /// Media time and reason of the end, if it is there.
    pub end: Option<(u64, EndReason)>,
    /// What each channel takes, by channel id.
    pub channels: BTreeMap<u16, ChannelUse>,
    /// What is wrong with this file by itself, in the order of the file.
    pub problems: Vec<Problem>,
}

/// Goes through a whole file.
///
/// # Errors
/// Only when it is no recording that this version reads, or when it cannot be read from. All else is a problem in the scan.
pub fn scan<R: Read + Seek>(mut source: R) -> Result<SegmentScan, FormatError> {
    let length = source.seek(SeekFrom::End(0))?;
    source.seek(SeekFrom::Start(0))?;
    let mut scanner = Scanner::new(source, length);
    scanner.opening()?;
    scanner.records()?;
    Ok(scanner.close())
}

struct Scanner<R> {
    source: R,
    offset: u64,
    data_crc: crc32fast::Hasher,
    /// The data section's checksum up to the record that is being read.
    crc_before: u32,
    summary: Option<Summary>,
    data_ended: bool,
    after_damage: bool,
    chunk_places: Vec<(u64, u64)>,
    indexed_places: Vec<(u64, u64)>,
    scan: SegmentScan,
}

/// The summary section while it is passed through.
struct Summary {
    start: u64,
    crc: crc32fast::Hasher,
}

impl<R: Read + Seek> Scanner<R> {
    fn new(source: R, length: u64) -> Self {
        Self {
            source,
            offset: 0,
            data_crc: crc32fast::Hasher::new(),
            crc_before: 0,
            summary: None,
            data_ended: false,
            after_damage: false,
            chunk_places: Vec::new(),
            indexed_places: Vec::new(),
            scan: SegmentScan {
                bytes: length,
                fragments: Vec::new(),
                damaged: 0,
                ending: Ending::Unfinished { torn: 0 },
                index: None,
                seal: None,
                info: None,
                gaps: Vec::new(),
                masks: Vec::new(),
                end: None,
                channels: BTreeMap::new(),
                problems: Vec::new(),
            },
        }
    }

    fn left(&self) -> u64 {
        self.scan.bytes - self.offset
    }

    /// Reads the next `count` bytes, of which the caller knows that they are there and not too many.
    fn take(&mut self, count: u64) -> Result<Vec<u8>, FormatError> {
        let mut bytes = Vec::new();
        self.source.by_ref().take(count).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != count {
            return Err(FormatError::Truncated {
                what: "the recording file",
                expected: self.offset + count,
                actual: self.offset + bytes.len() as u64,
            });
        }
        self.note(&bytes);
        Ok(bytes)
    }

    /// Passes over `count` bytes that are there.
    fn pass(&mut self, mut count: u64) -> Result<(), FormatError> {
        const STEP: u64 = 1 << 20;
        while count > 0 {
            let step = count.min(STEP);
            self.take(step)?;
            count -= step;
        }
        Ok(())
    }

    fn note(&mut self, bytes: &[u8]) {
        self.offset += bytes.len() as u64;
        match &mut self.summary {
            Some(summary) => summary.crc.update(bytes),
            None => self.data_crc.update(bytes),
        }
    }

    fn problem(&mut self, kind: ProblemKind, offset: u64, text: impl Into<String>) {
        self.scan.problems.push(Problem {
            kind,
            file: None,
            offset: Some(offset),
            seq: None,
            text: text.into(),
        });
    }

    /// An index that does not agree with the file; once is enough.
    fn mismatch(&mut self, offset: u64, text: impl Into<String>) {
        let told = self.scan.problems.iter().any(|problem| problem.kind == ProblemKind::IndexMismatch);
        if !told {
            self.problem(ProblemKind::IndexMismatch, offset, text);
        }
    }

    /// Magic and header, without which it is no recording.
    fn opening(&mut self) -> Result<(), FormatError> {
        let magic = self.take(self.left().min(MAGIC.len() as u64))?;
        record::check_magic(&magic)?;
        if self.left() < PREFIX as u64 {
            return Err(cut_opening(self.scan.bytes));
        }
        let (opcode, length) = self.prefix()?;
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
        if length > self.left() {
            return Err(cut_opening(self.scan.bytes));
        }
        let header = self.take(length)?;
        record::check_header(&header)
    }

    fn prefix(&mut self) -> Result<(u8, u64), FormatError> {
        let bytes = self.take(PREFIX as u64)?;
        let mut prefix = [0; PREFIX];
        prefix.copy_from_slice(&bytes);
        Ok(record::prefix(prefix))
    }

    fn records(&mut self) -> Result<(), FormatError> {
        while self.left() > 0 {
            let at = self.offset;
            self.crc_before = self.data_crc.clone().finalize();
            let whole = self.left() >= PREFIX as u64;
            let (opcode, length) = if whole { self.prefix()? } else { (self.take(1)?[0], 0) };
            if !whole || length > self.left() || opcode == 0 {
                self.stop_at(at, opcode, length)?;
                return Ok(());
            }
            match opcode {
                op::CHUNK => self.chunk(at, length)?,
                op::CHANNEL => self.channel(at, length)?,
                op::ATTACHMENT => self.attachment(at, length)?,
                op::DATA_END => self.data_end(at, length)?,
                op::CHUNK_INDEX => self.chunk_index(at, length)?,
                op::FOOTER => {
                    self.footer(at, length)?;
                    return self.after_footer();
                }
                _ => self.pass(length)?,
            }
        }
        Ok(())
    }

    /// What starts at `at` is no whole record.
    fn stop_at(&mut self, at: u64, opcode: u8, length: u64) -> Result<(), FormatError> {
        let count = self.scan.bytes - at;
        // A writer that was cut off leaves the start of a record of which it wrote a sensible prefix.
        let torn = matches!(opcode, op::FOOTER | op::CHANNEL | op::CHUNK..=op::DATA_END)
            && length <= index::MAX_INDEX.max(MAX_RECORD as u64);
        if torn && !self.ends_like_a_file()? {
            self.scan.ending = Ending::Unfinished { torn: count };
            self.problem(
                ProblemKind::TornTail,
                at,
                format!("the file is cut off within a record: the last {count} bytes cannot be used"),
            );
        } else {
            self.scan.ending = Ending::Damaged { bytes: count };
            self.problem(
                ProblemKind::DamagedRecord,
                at,
                format!("what starts here is no record (type {opcode:#04x}): the {count} bytes up to the end of the file cannot be used"),
            );
        }
        Ok(())
    }

    /// Whether a footer and the magic stand at the end, so that the file was not cut off.
    fn ends_like_a_file(&mut self) -> Result<bool, FormatError> {
        let tail = (FOOTER_LEN + MAGIC.len()) as u64;
        if self.scan.bytes < tail {
            return Ok(false);
        }
        self.source.seek(SeekFrom::End(-(tail as i64)))?;
        let mut bytes = [0; FOOTER_LEN + MAGIC.len()];
        self.source.read_exact(&mut bytes)?;
        Ok(bytes[0] == op::FOOTER && bytes[FOOTER_LEN..] == MAGIC)
    }

    fn chunk(&mut self, at: u64, length: u64) -> Result<(), FormatError> {
        if length > MAX_RECORD as u64 {
            self.pass(length)?;
            self.damaged(
                at,
                &FormatError::TooLarge { what: "fragment", limit: MAX_RECORD as u64, actual: length },
            );
            return Ok(());
        }
        let mut bytes = vec![op::CHUNK];
        bytes.extend(length.to_le_bytes());
        bytes.extend(self.take(length)?);
        self.chunk_places.push((at, bytes.len() as u64));
        if self.data_ended {
            self.problem(ProblemKind::DamagedRecord, at, "a fragment stands after the end of the data");
        }
        match open_fragment(&bytes) {
            Ok(fragment) => self.fragment(at, bytes.len() as u64, &fragment),
            Err(error) => self.damaged(at, &error),
        }
        Ok(())
    }

    fn damaged(&mut self, at: u64, error: &FormatError) {
        self.after_damage = true;
        self.scan.damaged += 1;
        self.problem(ProblemKind::DamagedFragment, at, error.to_string());
    }

    fn fragment(&mut self, offset: u64, length: u64, fragment: &OpenFragment) {
        let flags = fragment.head().flags;
        let (mut anchor, mut has_gap) = (None, false);
        // The fragment was checked as a whole, so none of its messages is left out here.
        for message in fragment.messages().flatten() {
            let channel = self.scan.channels.entry(message.channel).or_default();
            channel.messages += 1;
            channel.bytes += message.data.len() as u64;
            if message.channel == Channel::Meta.id() {
                match MetaMessage::parse(message.data) {
                    MetaMessage::Recording { info } => self.scan.info = self.scan.info.take().or(Some(*info)),
                    MetaMessage::Gap { from_us, to_us, cause } => {
                        has_gap = true;
                        self.scan.gaps.push(Gap { from_us, to_us, cause });
                    }
                    MetaMessage::End { at_us, reason } => self.scan.end = Some((at_us, reason)),
                    MetaMessage::Mask { masks } => {
                        let known = &mut self.scan.masks;
                        masks.into_iter().for_each(|mask| mask.join(known));
                    }
                    MetaMessage::Monitors { .. } | MetaMessage::Signature { .. } | MetaMessage::Unknown => {}
                }
            } else if message.channel == Channel::Screen.id() && flags.anchor && anchor.is_none() {
                anchor = Some(Hash::of(message.data));
            }
        }
        if has_gap != flags.gap_before {
            let text = match has_gap {
                true => "a gap is declared that the fragment's flags do not tell of",
                false => "the fragment's flags tell of a gap that is not declared",
            };
            self.scan.problems.push(Problem {
                kind: ProblemKind::GapMismatch,
                file: None,
                offset: Some(offset),
                seq: Some(fragment.head().seq),
                text: text.into(),
            });
        }
        self.scan.fragments.push(ScannedFragment {
            head: *fragment.head(),
            hash: fragment.hash(),
            offset,
            length,
            uncompressed: fragment.records().len() as u64,
            after_damage: std::mem::take(&mut self.after_damage),
            anchor,
            // The fragment was checked as a whole, so looking for its signature cannot fail.
            signature: fragment.signature().unwrap_or_default(),
        });
    }

    fn channel(&mut self, at: u64, length: u64) -> Result<(), FormatError> {
        if length > MAX_SMALL_RECORD {
            self.problem(ProblemKind::DamagedRecord, at, format!("a channel record has {length} bytes"));
            return self.pass(length);
        }
        let content = self.take(length)?;
        let mut input = crate::input::Input::new(&content, "channel record");
        let read = (|| {
            let id = input.u16()?;
            input.u16()?;
            Ok::<_, FormatError>((id, input.text()?))
        })();
        match read {
            Ok((id, topic)) => {
                let expected = Channel::from_id(id).map(Channel::topic);
                if expected.is_some_and(|expected| expected != topic) {
                    self.problem(
                        ProblemKind::DamagedRecord,
                        at,
                        format!("expected channel {id} to be '{}'", expected.unwrap_or_default()),
                    );
                }
            }
            Err(error) => self.problem(ProblemKind::DamagedRecord, at, error.to_string()),
        }
        Ok(())
    }

    fn attachment(&mut self, at: u64, length: u64) -> Result<(), FormatError> {
        if length > index::MAX_INDEX {
            return self.pass(length);
        }
        let content = self.take(length)?;
        let attachment = match Attachment::parse(&content) {
            Ok(attachment) => attachment,
            Err(error) => {
                self.problem(ProblemKind::DamagedIndex, at, error.to_string());
                return Ok(());
            }
        };
        match attachment.name {
            index::NAME => match SegmentIndex::parse(attachment.data) {
                Ok(index) => self.scan.index = Some(index),
                Err(error) => self.problem(ProblemKind::DamagedIndex, at, error.to_string()),
            },
            seal::NAME if self.scan.seal.is_some() => {
                self.problem(ProblemKind::DamagedRecord, at, "the file has a second seal");
            }
            seal::NAME if attachment.data.len() > seal::MAX_SEAL => {
                let text = format!(
                    "expected a seal of at most {} bytes, got {}",
                    seal::MAX_SEAL,
                    attachment.data.len()
                );
                self.problem(ProblemKind::DamagedRecord, at, text);
            }
            seal::NAME => self.scan.seal = Some(attachment.data.to_vec()),
            _ => {}
        }
        Ok(())
    }

    fn data_end(&mut self, at: u64, length: u64) -> Result<(), FormatError> {
        let actual = self.crc_before;
        let content = self.take(length.min(MAX_SMALL_RECORD))?;
        self.pass(length - content.len() as u64)?;
        let expected = content.first_chunk::<4>().map(|&bytes| u32::from_le_bytes(bytes));
        match expected {
            Some(expected) if expected == 0 || expected == actual => {}
            Some(expected) => self.problem(
                ProblemKind::Checksum,
                at,
                FormatError::Checksum { what: "the data section", expected, actual }.to_string(),
            ),
            None => self.problem(ProblemKind::DamagedRecord, at, "the end of the data is cut off"),
        }
        self.data_ended = true;
        self.summary = Some(Summary { start: self.offset, crc: crc32fast::Hasher::new() });
        Ok(())
    }

    fn chunk_index(&mut self, at: u64, length: u64) -> Result<(), FormatError> {
        if length > MAX_SMALL_RECORD {
            return self.pass(length);
        }
        let content = self.take(length)?;
        match ChunkIndex::parse_place(&content) {
            Ok(place) => self.indexed_places.push(place),
            Err(error) => self.problem(ProblemKind::DamagedIndex, at, error.to_string()),
        }
        Ok(())
    }

    fn footer(&mut self, at: u64, length: u64) -> Result<(), FormatError> {
        const CRC_LEN: u64 = 4;
        if length != (FOOTER_LEN - PREFIX) as u64 {
            self.problem(ProblemKind::DamagedRecord, at, format!("the footer has {length} bytes"));
            return self.pass(length);
        }
        let mut content = self.take(length - CRC_LEN)?;
        let summary = self.summary.take();
        content.extend(self.take(CRC_LEN)?);
        let footer = Footer::parse(&content)?;
        let Some(summary) = summary else {
            self.problem(
                ProblemKind::DamagedRecord,
                at,
                "the end of the data is not marked before the footer",
            );
            return Ok(());
        };
        let actual = summary.crc.finalize();
        if footer.crc != 0 && footer.crc != actual {
            let error = FormatError::Checksum { what: "the summary", expected: footer.crc, actual };
            self.problem(ProblemKind::Checksum, at, error.to_string());
        }
        if footer.summary_start != summary.start || footer.summary_offset_start > at {
            let text = format!(
                "the footer says that the summary starts at {}, it starts at {}",
                footer.summary_start, summary.start
            );
            self.mismatch(at, text);
        }
        Ok(())
    }

    fn after_footer(&mut self) -> Result<(), FormatError> {
        let at = self.offset;
        let count = self.left();
        let magic = self.take(count.min(MAGIC.len() as u64))?;
        if magic == MAGIC && self.left() == 0 {
            self.scan.ending = Ending::Finished;
        } else if magic == MAGIC {
            let bytes = self.left();
            self.scan.ending = Ending::Damaged { bytes };
            self.problem(
                ProblemKind::TrailingBytes,
                self.offset,
                format!("{bytes} bytes follow the end of the recording file"),
            );
        } else if MAGIC.starts_with(&magic) {
            self.scan.ending = Ending::Unfinished { torn: count };
            self.problem(ProblemKind::TornTail, at, "the file is cut off within the magic at its end");
        } else {
            self.scan.ending = Ending::Damaged { bytes: count };
            self.problem(ProblemKind::DamagedRecord, at, "the magic does not follow the footer");
        }
        Ok(())
    }

    /// Compares the indexes with what was found.
    fn close(mut self) -> SegmentScan {
        let end = self.scan.bytes;
        if self.scan.ending == (Ending::Unfinished { torn: 0 }) {
            self.problem(ProblemKind::Unfinished, end, "the file has no index and no end");
        }
        if self.scan.fragments.is_empty() && self.scan.damaged == 0 {
            self.problem(ProblemKind::Empty, end, "the file has no fragments");
        }
        if self.scan.ending == Ending::Finished {
            let differs = match (&self.scan.index, rebuilt(&self.scan.fragments)) {
                (Some(index), Some(rebuilt)) => {
                    *index != SegmentIndex { closing: closing(index, &rebuilt), ..rebuilt }
                }
                (None, _) => true,
                (Some(_), None) => false,
            };
            // With damaged fragments the index cannot agree; that they are damaged is said already.
            if differs && self.scan.damaged == 0 {
                self.mismatch(end, "the index does not tell what the fragments are");
            }
            if self.chunk_places != self.indexed_places {
                self.mismatch(end, "the chunk indexes in the summary do not tell where the fragments are");
            }
        }
        self.scan
    }
}

/// The closing that the index should have: whoever finishes the file may say that the agent was lost.
fn closing(index: &SegmentIndex, rebuilt: &SegmentIndex) -> Closing {
    match (index.closing, rebuilt.closing) {
        (Closing::Lost, Closing::Continues) => Closing::Lost,
        (_, closing) => closing,
    }
}

/// The index that the fragments should have.
pub(crate) fn rebuilt(fragments: &[ScannedFragment]) -> Option<SegmentIndex> {
    let mut index = SegmentIndex::empty(fragments.first()?.head.recording);
    for fragment in fragments {
        // A scanned fragment is at most MAX_RECORD bytes long.
        index.push(&fragment.head, fragment.hash, fragment.offset, fragment.length as u32);
    }
    Some(index)
}

fn cut_opening(actual: u64) -> FormatError {
    FormatError::Truncated { what: "the start of the recording file", expected: actual + 1, actual }
}
