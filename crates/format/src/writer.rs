//! Writing a segment.

use crate::{
    Chain, Channel, Closing, FormatError, FragmentHead, OpenFragment, SegmentIndex, index, open_fragment,
    record::{Attachment, ChunkIndex, FOOTER_LEN, MAGIC, PROFILE, op, put_record, put_text},
    seal,
};
use std::{collections::BTreeMap, io::Write};

/// Writes one segment: opening, fragments, index, summary. What it has written is a readable unfinished file at every
/// moment between two calls.
#[derive(Debug)]
pub struct SegmentWriter<W> {
    out: W,
    written: u64,
    /// Over everything written, for DataEnd.
    crc: crc32fast::Hasher,
    state: Option<State>,
    counts: BTreeMap<u16, u64>,
    chunks: Vec<ChunkIndex>,
    finished: bool,
}

/// What is known once there is a fragment.
#[derive(Debug)]
struct State {
    chain: Chain,
    index: SegmentIndex,
}

impl<W: Write> SegmentWriter<W> {
    /// Begins a segment: writes the magic, the header and the channels.
    ///
    /// # Errors
    /// When `out` cannot be written to.
    pub fn new(out: W) -> Result<Self, FormatError> {
        let mut writer = Self {
            out,
            written: 0,
            crc: crc32fast::Hasher::new(),
            state: None,
            counts: BTreeMap::new(),
            chunks: Vec::new(),
            finished: false,
        };
        let mut opening = MAGIC.to_vec();
        put_record(&mut opening, op::HEADER, |out| {
            put_text(out, PROFILE);
            put_text(out, concat!("playhead/", env!("CARGO_PKG_VERSION")));
        });
        put_channels(&mut opening);
        writer.write(&opening)?;
        Ok(writer)
    }

    /// Appends a fragment's Chunk record, byte for byte, after checking that it is whole, that its head is `head` and that
    /// it follows the one before. Returns where it stands in the file.
    ///
    /// # Errors
    /// A fragment that is damaged, is another one, or does not follow (nothing is written then); an `out` that cannot be
    /// written to.
    pub fn append(&mut self, record: &[u8], head: &FragmentHead) -> Result<u64, FormatError> {
        let fragment = open_fragment(record)?;
        if fragment.head() != head {
            return Err(FormatError::invalid(
                "fragment",
                format!("expected fragment {}, got fragment {}", head.seq, fragment.head().seq),
            ));
        }
        self.append_open(record, &fragment)
    }

    /// [`Self::append`] for a caller that has opened exactly this record already.
    ///
    /// # Errors
    /// A fragment that does not follow (nothing is written then); an `out` that cannot be written to.
    pub fn append_open(&mut self, record: &[u8], fragment: &OpenFragment) -> Result<u64, FormatError> {
        let head = fragment.head();
        if self.finished {
            return Err(FormatError::invalid(
                "segment",
                format!("fragment {} comes after its end", head.seq),
            ));
        }
        match &mut self.state {
            Some(state) if head.flags.first_of_segment => {
                return Err(FormatError::invalid(
                    "segment",
                    format!(
                        "expected fragments of segment {}, got the first of segment {}",
                        state.index.segment, head.segment
                    ),
                ));
            }
            Some(state) => state.chain.accept(fragment)?,
            None if head.flags.first_of_segment => {
                let chain = Chain::after(head, fragment.hash());
                self.state = Some(State { chain, index: SegmentIndex::empty(head.recording) });
            }
            None => {
                return Err(FormatError::invalid(
                    "segment",
                    format!("expected its first fragment, got fragment {} of it", head.seq),
                ));
            }
        }

        self.count_messages(fragment)?;
        let offset = self.written;
        self.write(record)?;
        // An opened fragment is at most MAX_RECORD bytes long.
        let length = record.len() as u32;
        let (start_ns, end_ns) = fragment.span_ns();
        let (compression, compressed_size) = fragment.packed();
        self.chunks.push(ChunkIndex {
            start_ns,
            end_ns,
            offset,
            length: record.len() as u64,
            compression,
            compressed_size,
            uncompressed_size: fragment.records().len() as u64,
        });
        if let Some(state) = &mut self.state {
            state.index.push(head, fragment.hash(), offset, length);
        }
        Ok(offset)
    }

    /// Counts a fragment's messages by channel, and writes the Channel records of those that have none yet: of the channels that
    /// not every file declares, and of those that this version does not know, as a later agent may have some.
    fn count_messages(&mut self, fragment: &OpenFragment) -> Result<(), FormatError> {
        let mut declared = Vec::new();
        for message in fragment.messages() {
            let id = message?.channel;
            if self.counts.insert(id, self.counts.get(&id).map_or(1, |count| count + 1)).is_none()
                && !is_in_every_file(id)
            {
                put_channel_met(&mut declared, id);
            }
        }
        self.write(&declared)
    }

    /// Ends the segment: writes index, summary and footer, and flushes. Returns the index.
    ///
    /// # Errors
    /// A segment without fragments or already finished; an `out` that cannot be written to.
    pub fn finish(&mut self) -> Result<SegmentIndex, FormatError> {
        self.finish_with(false, |_| None)
    }

    /// Ends the recording's last segment although its last fragment is not marked as the last, because the agent was lost
    /// and nothing will follow. Verification then takes the recording as complete and says so.
    ///
    /// # Errors
    /// Those of [`Self::finish`].
    pub fn finish_lost(&mut self) -> Result<SegmentIndex, FormatError> {
        self.finish_with(true, |_| None)
    }

    /// [`Self::finish`], or [`Self::finish_lost`] where `lost`, with the seal that `seal` makes for the index; see
    /// [`crate::Sealer::seal`].
    ///
    /// # Errors
    /// Those of [`Self::finish`].
    pub fn finish_with(
        &mut self,
        lost: bool,
        seal: impl FnOnce(&SegmentIndex) -> Option<Vec<u8>>,
    ) -> Result<SegmentIndex, FormatError> {
        let state = if self.finished { None } else { self.state.as_ref() };
        let mut index = state.map(|state| state.index.clone()).ok_or_else(|| {
            FormatError::invalid("segment", "expected one with fragments and without an end")
        })?;
        if lost && index.closing == Closing::Continues {
            index.closing = Closing::Lost;
        }
        let seal = seal(&index);
        if let Some(length) = seal.as_ref().map(Vec::len).filter(|&length| length > seal::MAX_SEAL) {
            return Err(FormatError::TooLarge {
                what: "seal",
                limit: seal::MAX_SEAL as u64,
                actual: length as u64,
            });
        }
        self.finished = true;
        let tail = self.tail(&index, seal.as_deref());
        self.write(&tail)?;
        self.out.flush()?;
        Ok(index)
    }

    /// Everything after the last chunk.
    fn tail(&self, index: &SegmentIndex, seal: Option<&[u8]>) -> Vec<u8> {
        let data = index.encode();
        let start_ns = self.chunks.iter().map(|chunk| chunk.start_ns).min().unwrap_or(0);
        let end_ns = self.chunks.iter().map(|chunk| chunk.end_ns).max().unwrap_or(0);
        let attachment = |name, media_type, data| Attachment {
            name,
            media_type,
            log_time_ns: end_ns,
            create_time_ns: end_ns,
            data,
        };
        let mut attachments = vec![attachment(index::NAME, index::MEDIA_TYPE, &data[..])];
        attachments.extend(seal.map(|seal| attachment(seal::NAME, seal::MEDIA_TYPE, seal)));
        let mut out = Vec::with_capacity(data.len() + self.chunks.len() * 96 + 1_024);
        let mut places = Vec::new();
        for attachment in &attachments {
            let start = out.len();
            attachment.put(&mut out);
            places.push((self.written + start as u64, (out.len() - start) as u64));
        }
        let mut crc = self.crc.clone();
        crc.update(&out);
        put_record(&mut out, op::DATA_END, |out| out.extend(crc.finalize().to_le_bytes()));

        let summary_at = out.len();
        let mut groups: Vec<(u8, u64, u64)> = Vec::new();
        let mut group = |out: &mut Vec<u8>, opcode: u8, put: &dyn Fn(&mut Vec<u8>)| {
            let start = out.len();
            put(out);
            groups.push((opcode, self.written + start as u64, (out.len() - start) as u64));
        };
        group(&mut out, op::CHANNEL, &|out| {
            put_channels(out);
            self.further_channels().for_each(|id| put_channel_met(out, id));
        });
        group(&mut out, op::CHUNK_INDEX, &|out| self.chunks.iter().for_each(|chunk| chunk.put(out)));
        group(&mut out, op::ATTACHMENT_INDEX, &|out| {
            for (attachment, (at, length)) in attachments.iter().zip(&places) {
                attachment.put_index(*at, *length, out);
            }
        });
        let count = attachments.len() as u32;
        group(&mut out, op::STATISTICS, &|out| self.put_statistics(count, start_ns, end_ns, out));

        let summary_offset_start = self.written + out.len() as u64;
        for (opcode, start, length) in groups {
            put_record(&mut out, op::SUMMARY_OFFSET, |out| {
                out.push(opcode);
                out.extend(start.to_le_bytes());
                out.extend(length.to_le_bytes());
            });
        }
        self.put_footer(summary_at, summary_offset_start, &mut out);
        out.extend(MAGIC);
        out
    }

    fn put_statistics(&self, attachments: u32, start_ns: u64, end_ns: u64, out: &mut Vec<u8>) {
        put_record(out, op::STATISTICS, |out| {
            out.extend(self.counts.values().sum::<u64>().to_le_bytes());
            // No schemas, the channels, the attachments, no metadata.
            out.extend(0u16.to_le_bytes());
            let channels = Channel::ALL.len() + self.further_channels().count();
            out.extend((channels as u32).to_le_bytes());
            out.extend(attachments.to_le_bytes());
            out.extend(0u32.to_le_bytes());
            out.extend((self.chunks.len() as u32).to_le_bytes());
            out.extend(start_ns.to_le_bytes());
            out.extend(end_ns.to_le_bytes());
            out.extend((self.counts.len() as u32 * 10).to_le_bytes());
            for (id, count) in &self.counts {
                out.extend(id.to_le_bytes());
                out.extend(count.to_le_bytes());
            }
        });
    }

    /// Channels met that not every file declares.
    fn further_channels(&self) -> impl Iterator<Item = u16> {
        self.counts.keys().copied().filter(|&id| !is_in_every_file(id))
    }

    /// The footer's checksum covers the summary and the footer up to the checksum itself.
    fn put_footer(&self, summary_at: usize, summary_offset_start: u64, out: &mut Vec<u8>) {
        let summary_start = self.written + summary_at as u64;
        put_record(out, op::FOOTER, |out| {
            out.extend(summary_start.to_le_bytes());
            out.extend(summary_offset_start.to_le_bytes());
            out.extend(0u32.to_le_bytes());
        });
        // The footer's length is part of what is summed, so the checksum is put in last.
        let crc_at = out.len() - 4;
        debug_assert_eq!(out[crc_at + 4 - FOOTER_LEN], op::FOOTER);
        let crc = crc32fast::hash(&out[summary_at..crc_at]);
        out[crc_at..].copy_from_slice(&crc.to_le_bytes());
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), FormatError> {
        self.out.write_all(bytes)?;
        self.crc.update(bytes);
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Bytes written so far: the length of the file.
    pub const fn bytes_written(&self) -> u64 {
        self.written
    }

    /// The index of what was appended so far; `None` before the first fragment.
    pub fn index(&self) -> Option<&SegmentIndex> {
        self.state.as_ref().map(|state| &state.index)
    }

    /// Gives back what was written to.
    pub fn into_inner(self) -> W {
        self.out
    }
}

fn is_in_every_file(id: u16) -> bool {
    Channel::ALL.iter().any(|channel| channel.id() == id)
}

/// The record of a channel that is declared where it is met.
fn put_channel_met(out: &mut Vec<u8>, id: u16) {
    match Channel::from_id(id) {
        Some(channel) => put_channel(out, id, channel.topic(), channel.encoding()),
        None => put_channel(out, id, &format!("channel-{id}"), ""),
    }
}

fn put_channels(out: &mut Vec<u8>) {
    for channel in Channel::ALL {
        put_channel(out, channel.id(), channel.topic(), channel.encoding());
    }
}

fn put_channel(out: &mut Vec<u8>, id: u16, topic: &str, encoding: &str) {
    put_record(out, op::CHANNEL, |out| {
        out.extend(id.to_le_bytes());
        out.extend(0u16.to_le_bytes());
        put_text(out, topic);
        put_text(out, encoding);
        // No metadata.
        out.extend(0u32.to_le_bytes());
    });
}
