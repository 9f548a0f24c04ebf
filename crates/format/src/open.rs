//! Looking into one fragment.

use crate::{
    Channel, FormatError, FragmentHead, Hash, MAX_RECORD, MetaMessage, compress, dense,
    input::Input,
    record::{self, Chunk, op},
};
use playhead_model::{AppliedMask, Contents};

/// One message of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The MCAP channel id; [`Channel::from_id`] tells which it is.
    pub channel: u16,
    /// Media time in microseconds.
    pub log_time_us: u64,
    /// Wall clock when it was made, microseconds since the Unix epoch.
    pub publish_time_us: u64,
    /// What it says.
    pub data: &'a [u8],
}

/// A fragment that was checked and decompressed.
#[derive(Debug, Clone)]
pub struct OpenFragment {
    head: FragmentHead,
    hash: Hash,
    records: Vec<u8>,
    start_ns: u64,
    end_ns: u64,
    packed_len: usize,
    compression: &'static str,
}

/// Checks one whole Chunk record and opens it: bounds, checksum, decompression limit, the head first, and every message in
/// order, within the head's times and not cut off. Accepts what later versions may add: channels, longer heads.
///
/// # Errors
/// The first thing that is wrong.
pub fn open_fragment(record: &[u8]) -> Result<OpenFragment, FormatError> {
    if record.len() > MAX_RECORD {
        return Err(FormatError::TooLarge {
            what: "fragment",
            limit: MAX_RECORD as u64,
            actual: record.len() as u64,
        });
    }
    let chunk = Chunk::parse(record::content(record, op::CHUNK, "fragment")?)?;
    let records = compress::unpack(chunk.compression, chunk.records, chunk.uncompressed_size)?;
    let actual = crc32fast::hash(&records);
    if actual != chunk.crc {
        return Err(FormatError::Checksum { what: "fragment", expected: chunk.crc, actual });
    }

    let mut messages = Messages { input: Input::new(&records, "message") };
    let first = messages.next().transpose()?.ok_or_else(|| invalid("it has no messages"))?;
    if first.channel != Channel::Fragment.id() {
        return Err(invalid(format!("expected its head first, on channel 1, got channel {}", first.channel)));
    }
    let head = FragmentHead::parse(first.data)?;
    let last_us = check_messages(&head, first, messages)?;
    if (chunk.start_ns / 1_000, chunk.end_ns / 1_000) != (head.start_us, last_us) {
        return Err(invalid(format!(
            "expected the chunk to name {} to {last_us} us as its messages do, got {} to {} us",
            head.start_us,
            chunk.start_ns / 1_000,
            chunk.end_ns / 1_000
        )));
    }
    Ok(OpenFragment {
        head,
        hash: Hash::of(&records),
        start_ns: chunk.start_ns,
        end_ns: chunk.end_ns,
        packed_len: chunk.records.len(),
        // Others were refused.
        compression: match chunk.compression {
            compress::ZSTD => compress::ZSTD,
            dense::DENSE => dense::DENSE,
            _ => compress::NONE,
        },
        records,
    })
}

/// How many bytes a Chunk record says that it holds when decompressed; 0 when it is too short to say. Nothing is checked: this is for
/// deciding where to open it.
pub fn claimed_len(record: &[u8]) -> u64 {
    // After opcode, length, and two times.
    const AT: usize = 25;
    record.get(AT..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Checks order and times; returns the media time of the last message.
fn check_messages(head: &FragmentHead, first: Message<'_>, others: Messages<'_>) -> Result<u64, FormatError> {
    if first.log_time_us != head.start_us {
        return Err(invalid(format!(
            "expected its head at its start, {} us, got {} us",
            head.start_us, first.log_time_us
        )));
    }
    let mut last_us = head.start_us;
    for message in others {
        let message = message?;
        if message.channel == Channel::Fragment.id() {
            return Err(invalid("it has a second head"));
        }
        if message.log_time_us < last_us || message.log_time_us > head.end_us {
            return Err(invalid(format!(
                "expected a message between {last_us} and {} us, got one at {} us",
                head.end_us, message.log_time_us
            )));
        }
        last_us = message.log_time_us;
    }
    Ok(last_us)
}

fn invalid(reason: impl Into<String>) -> FormatError {
    FormatError::invalid("fragment", reason)
}

impl OpenFragment {
    /// What the fragment says of itself.
    pub const fn head(&self) -> &FragmentHead {
        &self.head
    }

    /// Its hash.
    pub const fn hash(&self) -> Hash {
        self.hash
    }

    /// Its uncompressed records.
    pub fn records(&self) -> &[u8] {
        &self.records
    }

    /// Its messages in order, the head first.
    pub fn messages(&self) -> impl Iterator<Item = Result<Message<'_>, FormatError>> {
        Messages { input: Input::new(&self.records, "message") }
    }

    /// The message whose record starts at `offset` of [`Self::records`], and the offset of the next; `None` at the end.
    /// For readers that stop between two messages and cannot keep the iterator.
    ///
    /// # Errors
    /// An offset at which no message starts.
    pub fn message_at(&self, offset: usize) -> Result<Option<(Message<'_>, usize)>, FormatError> {
        let left = self.records.get(offset..).unwrap_or_default();
        let mut messages = Messages { input: Input::new(left, "message") };
        let message = messages.next().transpose()?;
        let next = self.records.len() - messages.input.rest().len();
        Ok(message.map(|message| (message, next)))
    }

    /// What it has besides pictures that are exact.
    pub fn contents(&self) -> Contents {
        let mut contents = Contents::default();
        for message in self.messages().flatten() {
            match Channel::from_id(message.channel) {
                Some(Channel::Audio) => contents.sound = true,
                Some(Channel::Video) => contents.video = true,
                Some(Channel::Meta) => {
                    // Whoever made the file may have written anything.
                    if let MetaMessage::Mask { masks } = MetaMessage::parse(message.data) {
                        let masks = masks.into_iter().filter(AppliedMask::is_bounded);
                        masks.for_each(|mask| mask.join(&mut contents.masks));
                    }
                }
                _ => {}
            }
        }
        contents
    }

    /// Earliest and latest media time as the chunk names them, in nanoseconds.
    pub(crate) const fn span_ns(&self) -> (u64, u64) {
        (self.start_ns, self.end_ns)
    }

    /// MCAP's name of its compression and the bytes it has compressed.
    pub(crate) const fn packed(&self) -> (&'static str, u64) {
        (self.compression, self.packed_len as u64)
    }

    /// Whether its residuals were coded anew after it was sealed, which only Playhead opens.
    pub fn is_dense(&self) -> bool {
        self.compression == dense::DENSE
    }
}

struct Messages<'a> {
    input: Input<'a>,
}

impl<'a> Messages<'a> {
    fn read(&mut self) -> Result<Message<'a>, FormatError> {
        let opcode = self.input.u8()?;
        if opcode != op::MESSAGE {
            return Err(FormatError::UnexpectedRecord { expected: op::MESSAGE, actual: opcode });
        }
        let mut input = Input::new(self.input.prefixed_long()?, "message");
        let channel = input.u16()?;
        input.u32()?;
        let (log_time, publish_time) = (input.u64()?, input.u64()?);
        Ok(Message {
            channel,
            log_time_us: log_time / 1_000,
            publish_time_us: publish_time / 1_000,
            data: input.rest(),
        })
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.input.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            // After an error there is no telling where the next message starts.
            self.input = Input::new(&[], "message");
        }
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FragmentBuilder, head::tests::sample, record::put_record};

    fn fragment() -> Vec<u8> {
        let mut builder = FragmentBuilder::new();
        builder.push(Channel::Meta, 1_200, 1, b"{\"type\":\"x\"}").unwrap();
        builder.push(Channel::Screen, 1_500, 2, &[9; 300]).unwrap();
        builder.finish(sample(), 1).unwrap().bytes
    }

    /// A chunk around any records, its checksum right.
    fn chunk(records: &[u8], start_us: u64, end_us: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        Chunk {
            start_ns: start_us * 1_000,
            end_ns: end_us * 1_000,
            uncompressed_size: records.len() as u64,
            crc: crc32fast::hash(records),
            compression: "",
            records,
        }
        .put(&mut bytes);
        bytes
    }

    fn message(channel: u16, at_us: u64, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_record(&mut bytes, op::MESSAGE, |out| {
            out.extend(channel.to_le_bytes());
            out.extend([0; 4]);
            out.extend((at_us * 1_000).to_le_bytes());
            out.extend([0; 8]);
            out.extend(data);
        });
        bytes
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_noticed() {
        let good = fragment();
        let hash = open_fragment(&good).unwrap().hash();
        for at in 0..good.len() {
            assert!(open_fragment(&good[..at]).is_err(), "cut at {at}");
            for bit in [1, 0x80] {
                let mut bad = good.clone();
                bad[at] ^= bit;
                // A bit that nothing depends on (the frame's unused one) may change; then the content is the same.
                if let Ok(open) = open_fragment(&bad) {
                    assert_eq!(open.hash(), hash, "flip {bit:#x} at {at}");
                }
            }
        }
        assert_eq!(open_fragment(&[good, vec![0]].concat()).unwrap_err().kind(), "trailing-bytes");
    }

    #[test]
    fn rules_about_messages_are_enforced() {
        let head = message(1, 1_000, &sample().encode());
        let good = [&head[..], &message(300, 1_500, b"of a later version")].concat();
        assert_eq!(open_fragment(&chunk(&good, 1_000, 1_500)).unwrap().messages().count(), 2);

        for (name, records, end_us) in [
            ("nothing", vec![], 1_000),
            ("no head", message(2, 1_000, b"{}"), 1_000),
            ("head at another time", message(1, 1_001, &sample().encode()), 1_001),
            ("second head", [&head[..], &head].concat(), 1_000),
            ("backwards", [&head[..], &message(2, 1_500, b""), &message(2, 1_400, b"")].concat(), 1_400),
            ("after the end", [&head[..], &message(2, 2_001, b"")].concat(), 2_001),
            ("chunk names other times", good.clone(), 1_600),
            ("cut message", good[..good.len() - 1].to_vec(), 1_500),
            ("another record", [&head[..], &[3, 0, 0, 0, 0, 0, 0, 0, 0]].concat(), 1_000),
            ("short message", [&head[..], &[5, 2, 0, 0, 0, 0, 0, 0, 0, 1, 1]].concat(), 1_000),
            ("endless message", [&head[..], &[5], &[0xff; 8]].concat(), 1_000),
        ] {
            assert!(open_fragment(&chunk(&records, 1_000, end_us)).is_err(), "{name}");
        }
    }

    #[test]
    fn message_at_walks_like_the_iterator() {
        let open = open_fragment(&fragment()).unwrap();
        let (mut walked, mut offset) = (Vec::new(), 0);
        while let Some((message, next)) = open.message_at(offset).unwrap() {
            walked.push(message);
            offset = next;
        }
        assert_eq!(walked, open.messages().map(Result::unwrap).collect::<Vec<_>>());
        assert!(open.message_at(1).is_err());
        assert_eq!(open.message_at(usize::MAX).unwrap(), None);
    }
}
