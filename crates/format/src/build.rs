//! Making fragments.

use crate::{
    Channel, FormatError, FragmentHead, Hash, MAX_MEDIA_US, MAX_UNCOMPRESSED, MetaMessage, Signer,
    compress::{Compressor, ZSTD},
    head::HEAD_LEN,
    open_fragment,
    record::{Chunk, PREFIX, op},
    signature,
};

/// One fragment ready to send or to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// The whole MCAP Chunk record: opcode, length, content.
    pub bytes: Vec<u8>,
    /// Its hash, which the next fragment names as `previous`.
    pub hash: Hash,
    /// What it says of itself.
    pub head: FragmentHead,
}

/// Collects the messages of one fragment, then of the next: it keeps its memory.
///
/// The head is given at the end, when end and activity are known, although it stands first in the bytes.
pub struct FragmentBuilder {
    /// The records, the head's place reserved at the start.
    records: Vec<u8>,
    messages: u32,
    first_us: u64,
    last_us: u64,
    compressor: Compressor,
}

/// Bytes of a Message record before the message's data, opcode and length included.
const MESSAGE_PREFIX: usize = PREFIX + 22;

/// Bytes of the head's Message record.
const HEAD_RECORD: usize = MESSAGE_PREFIX + HEAD_LEN;

impl Default for FragmentBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for FragmentBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FragmentBuilder")
            .field("messages", &self.messages)
            .field("bytes", &self.records.len())
            .finish_non_exhaustive()
    }
}

impl FragmentBuilder {
    /// A builder without messages.
    pub fn new() -> Self {
        Self {
            records: vec![0; HEAD_RECORD],
            messages: 0,
            first_us: 0,
            last_us: 0,
            compressor: Compressor::default(),
        }
    }

    /// Appends a message. `media_us` is its media time; one earlier than the message before is raised to that one's, as
    /// messages stand in order. `wall_us` is the wall clock in microseconds since the Unix epoch.
    ///
    /// # Errors
    /// When the fragment would become larger than [`MAX_UNCOMPRESSED`]; the message is then left out.
    pub fn push(
        &mut self,
        channel: Channel,
        media_us: u64,
        wall_us: u64,
        data: &[u8],
    ) -> Result<(), FormatError> {
        self.push_with(channel, media_us, wall_us, |out| {
            out.extend_from_slice(data);
            Ok::<_, FormatError>(true)
        })
        .map(|_| ())
    }

    /// Appends a message that `write` appends to the vector it is given; it must leave alone what stands there already.
    /// When it returns false the message is dropped as if nothing had been asked. Returns what it returned.
    ///
    /// # Errors
    /// Those of `write`, and when the fragment would become larger than [`MAX_UNCOMPRESSED`]; the message is then left out.
    pub fn push_with<E: From<FormatError>>(
        &mut self,
        channel: Channel,
        media_us: u64,
        wall_us: u64,
        write: impl FnOnce(&mut Vec<u8>) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let media_us = media_us.max(self.last_us).min(MAX_MEDIA_US);
        let start = self.records.len();
        put_message_prefix(&mut self.records, channel, self.messages + 1, media_us, wall_us);
        let written = write(&mut self.records);
        let too_large = self.records.len() > MAX_UNCOMPRESSED;
        if !matches!(written, Ok(true)) || too_large {
            let actual = self.records.len() as u64;
            self.records.truncate(start);
            return match written {
                Ok(true) => {
                    Err(FormatError::TooLarge { what: "fragment", limit: MAX_UNCOMPRESSED as u64, actual }
                        .into())
                }
                other => other,
            };
        }
        set_length(&mut self.records[start..]);
        if self.messages == 0 {
            self.first_us = media_us;
        }
        self.messages += 1;
        self.last_us = media_us;
        Ok(true)
    }

    /// Bytes of the records so far, the head's included.
    pub fn uncompressed_len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no message yet besides the head.
    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// Closes the fragment: puts the head in its place, compresses with zstd's `level` (1 to 19) and empties the builder
    /// for the next one.
    ///
    /// # Errors
    /// A head that contradicts itself or the messages' times; zstd's refusal. The messages are kept then.
    pub fn finish(&mut self, head: FragmentHead, level: i32) -> Result<Fragment, FormatError> {
        self.place_head(&head)?;
        self.pack(head, level)
    }

    /// [`Self::finish`] with a signature over everything in the fragment, made at `wall_us` of the wall clock, as its last message.
    ///
    /// # Errors
    /// Those of [`Self::finish`], and a fragment that the signature makes too large. The messages are kept then.
    pub fn finish_signed(
        &mut self,
        head: FragmentHead,
        level: i32,
        signer: &Signer,
        wall_us: u64,
    ) -> Result<Fragment, FormatError> {
        self.place_head(&head)?;
        let media_us = self.last_us.max(head.start_us);
        // As a reader gets it out of nanoseconds.
        let wall_us = wall_us.min(MAX_MEDIA_US);
        let before = Hash::of(&self.records);
        let statement = signature::statement(head.recording, head.seq, before, media_us, wall_us);
        let message = MetaMessage::Signature { key: signer.key(), signature: signer.sign(&statement) };
        let (length, messages, first_us, last_us) =
            (self.records.len(), self.messages, self.first_us, self.last_us);
        self.push(Channel::Meta, media_us, wall_us, &message.encode())?;
        let packed = self.pack(head, level);
        if packed.is_err() {
            self.records.truncate(length);
            (self.messages, self.first_us, self.last_us) = (messages, first_us, last_us);
        }
        packed
    }

    fn place_head(&mut self, head: &FragmentHead) -> Result<(), FormatError> {
        head.check()?;
        if !self.is_empty() && (self.first_us < head.start_us || self.last_us > head.end_us) {
            return Err(FormatError::invalid(
                "fragment head",
                format!(
                    "expected messages from {} to {} us, got some from {} to {} us",
                    head.start_us, head.end_us, self.first_us, self.last_us
                ),
            ));
        }
        let mut head_record = Vec::with_capacity(HEAD_RECORD);
        put_message_prefix(&mut head_record, Channel::Fragment, 0, head.start_us, head.wall_us);
        head_record.extend(head.encode());
        set_length(&mut head_record);
        self.records[..HEAD_RECORD].copy_from_slice(&head_record);
        Ok(())
    }

    fn pack(&mut self, head: FragmentHead, level: i32) -> Result<Fragment, FormatError> {
        let last_us = self.last_us.max(head.start_us);
        let packed = self.compressor.pack(&self.records, level)?;
        let bytes = chunk_bytes(&self.records, packed, ZSTD, head.start_us * 1_000, last_us * 1_000);
        let hash = Hash::of(&self.records);
        self.clear();
        Ok(Fragment { bytes, hash, head })
    }

    /// Drops the messages.
    pub fn clear(&mut self) {
        /// A fragment with a large picture must not make the agent keep its memory for ever.
        const KEEP: usize = 1 << 20;
        self.records.truncate(HEAD_RECORD);
        self.records.shrink_to(KEEP);
        (self.messages, self.first_us, self.last_us) = (0, 0, 0);
    }
}

/// Packs a Chunk record anew with another level; content and hash stay the same.
///
/// # Errors
/// A record that [`open_fragment`] refuses; zstd's refusal.
pub fn recompress(record: &[u8], level: i32) -> Result<Vec<u8>, FormatError> {
    let open = open_fragment(record)?;
    let packed = Compressor::default().pack(open.records(), level)?;
    let (start_ns, end_ns) = open.span_ns();
    Ok(chunk_bytes(open.records(), packed, ZSTD, start_ns, end_ns))
}

/// The Chunk record around packed records, in the memory of these.
pub(crate) fn chunk_bytes(
    records: &[u8],
    mut packed: Vec<u8>,
    compression: &'static str,
    start_ns: u64,
    end_ns: u64,
) -> Vec<u8> {
    let chunk = Chunk {
        start_ns,
        end_ns,
        uncompressed_size: records.len() as u64,
        crc: crc32fast::hash(records),
        compression,
        records: &[],
    };
    let length = packed.len() as u64;
    let mut bytes = Vec::with_capacity(64);
    chunk.put(&mut bytes);
    // Its last field is the length of the records, which follow at once.
    let length_at = bytes.len() - 8;
    bytes[length_at..].copy_from_slice(&length.to_le_bytes());
    let whole = (bytes.len() - PREFIX) as u64 + length;
    bytes[1..PREFIX].copy_from_slice(&whole.to_le_bytes());
    packed.splice(0..0, bytes);
    // zstd was given room for the worst.
    packed.shrink_to_fit();
    packed
}

/// Appends what stands before a message's data; the length is set afterwards by [`set_length`].
fn put_message_prefix(out: &mut Vec<u8>, channel: Channel, sequence: u32, media_us: u64, wall_us: u64) {
    out.push(op::MESSAGE);
    out.extend([0; 8]);
    out.extend(channel.id().to_le_bytes());
    out.extend(sequence.to_le_bytes());
    out.extend((media_us * 1_000).to_le_bytes());
    out.extend(wall_us.saturating_mul(1_000).to_le_bytes());
}

/// Sets the length of the one record that `record` is.
fn set_length(record: &mut [u8]) {
    let length = (record.len() - PREFIX) as u64;
    record[1..PREFIX].copy_from_slice(&length.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::tests::sample;

    #[test]
    fn what_goes_in_comes_out() {
        let mut builder = FragmentBuilder::new();
        assert!(builder.is_empty());
        builder.push(Channel::Meta, 1_000, 5, b"{}").unwrap();
        let kept = builder.push_with(Channel::Screen, 1_500, 6, |out| {
            out.extend(b"packet");
            Ok::<_, FormatError>(true)
        });
        assert!(kept.unwrap());
        // Earlier than the one before: raised to its time.
        builder.push(Channel::Cursor, 1_400, 7, b"\x02").unwrap();
        let length = builder.uncompressed_len();

        let fragment = builder.finish(sample(), 1).unwrap();
        assert!(builder.is_empty());
        let open = open_fragment(&fragment.bytes).unwrap();
        assert_eq!((open.head(), open.hash()), (&sample(), fragment.hash));
        assert_eq!(open.records().len(), length);
        let messages: Vec<_> = open
            .messages()
            .map(|message| message.unwrap())
            .map(|message| (message.channel, message.log_time_us, message.publish_time_us, message.data))
            .collect();
        assert_eq!(messages[0], (1, 1_000, sample().wall_us, &sample().encode()[..]));
        assert_eq!(messages[1], (2, 1_000, 5, &b"{}"[..]));
        assert_eq!(messages[2], (3, 1_500, 6, &b"packet"[..]));
        assert_eq!(messages[3], (4, 1_500, 7, &b"\x02"[..]));
    }

    #[test]
    fn a_dropped_or_failed_message_leaves_no_trace() {
        let mut builder = FragmentBuilder::new();
        let dropped = builder.push_with(Channel::Screen, 1_000, 0, |out| {
            out.extend([1; 100]);
            Ok::<_, FormatError>(false)
        });
        assert!(!dropped.unwrap());
        let failed = builder.push_with(Channel::Screen, 1_000, 0, |_| Err(FormatError::Empty));
        assert!(failed.is_err());
        let huge = builder.push_with(Channel::Screen, 1_000, 0, |out| {
            out.resize(MAX_UNCOMPRESSED + 1, 0);
            Ok::<_, FormatError>(true)
        });
        assert_eq!(huge.unwrap_err().kind(), "too-large");
        assert!(builder.is_empty());
        assert_eq!(builder.uncompressed_len(), HEAD_RECORD);
        let alone = builder.finish(sample(), 1).unwrap();
        assert_eq!(open_fragment(&alone.bytes).unwrap().messages().count(), 1);
    }

    #[test]
    fn a_head_that_does_not_fit_the_messages_is_refused() {
        for media_us in [999, 2_001] {
            let mut builder = FragmentBuilder::new();
            builder.push(Channel::Meta, media_us, 0, b"{}").unwrap();
            assert_eq!(builder.finish(sample(), 1).unwrap_err().kind(), "invalid");
        }
    }

    #[test]
    fn a_signature_covers_all_before_it_and_must_be_last() {
        let signer = Signer::new([7; 32], |statement| {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(Hash::of(statement).as_bytes());
            signature
        });
        let mut builder = FragmentBuilder::new();
        builder.push(Channel::Meta, 1_500, 5, b"{}").unwrap();
        let fragment = builder.finish_signed(sample(), 1, &signer, 77).unwrap();
        let open = open_fragment(&fragment.bytes).unwrap();
        let found = open.signature().unwrap().unwrap();
        assert_eq!((found.key, found.wall_us, found.covers_all), (signer.key(), 77, true));
        assert_eq!(found.signature, signer.sign(&found.statement));
        let open = recompress(&fragment.bytes, 9).unwrap();
        assert_eq!(open_fragment(&open).unwrap().signature().unwrap(), Some(found.clone()));

        // The same messages with one more after the signature.
        let signed = open_fragment(&fragment.bytes).unwrap();
        for message in signed.messages().skip(1).map(Result::unwrap) {
            let channel = Channel::from_id(message.channel).unwrap();
            builder.push(channel, message.log_time_us, message.publish_time_us, message.data).unwrap();
        }
        builder.push(Channel::Meta, 1_600, 0, b"{}").unwrap();
        let longer = builder.finish(sample(), 1).unwrap();
        let longer = open_fragment(&longer.bytes).unwrap().signature().unwrap().unwrap();
        assert_eq!(longer, crate::FragmentSignature { covers_all: false, ..found });
        let unsigned = builder.finish(sample(), 1).unwrap();
        assert_eq!(open_fragment(&unsigned.bytes).unwrap().signature().unwrap(), None);
    }

    #[test]
    fn recompression_keeps_the_proof() {
        let mut builder = FragmentBuilder::new();
        let text: Vec<u8> = (0..50_000u32).flat_map(|n| (n * n / 7).to_le_bytes()).collect();
        builder.push(Channel::Screen, 1_000, 0, &text).unwrap();
        let fragment = builder.finish(sample(), 1).unwrap();
        let dense = recompress(&fragment.bytes, 19).unwrap();
        assert!(dense.len() < fragment.bytes.len());
        let open = open_fragment(&dense).unwrap();
        assert_eq!(open.hash(), fragment.hash);
        assert_eq!(open.records(), open_fragment(&fragment.bytes).unwrap().records());
    }
}
