//! MCAP's records, as far as a recording has them: <https://mcap.dev/spec>.

use crate::{FormatError, input::Input};

/// First and last bytes of every MCAP file.
pub(crate) const MAGIC: [u8; 8] = [0x89, b'M', b'C', b'A', b'P', b'0', b'\r', b'\n'];

/// Opcode and length before every record's content.
pub(crate) const PREFIX: usize = 9;

/// The profile of every recording.
pub(crate) const PROFILE: &str = "playhead";

/// The most bytes of any record but a chunk or an index; such records are small, the bound only keeps out nonsense.
pub(crate) const MAX_SMALL_RECORD: u64 = 1 << 20;

/// Bytes of a Footer record, opcode and length included.
pub(crate) const FOOTER_LEN: usize = PREFIX + 20;

/// Opcodes of the records that a recording has.
pub(crate) mod op {
    pub(crate) const HEADER: u8 = 0x01;
    pub(crate) const FOOTER: u8 = 0x02;
    pub(crate) const CHANNEL: u8 = 0x04;
    pub(crate) const MESSAGE: u8 = 0x05;
    pub(crate) const CHUNK: u8 = 0x06;
    pub(crate) const CHUNK_INDEX: u8 = 0x08;
    pub(crate) const ATTACHMENT: u8 = 0x09;
    pub(crate) const ATTACHMENT_INDEX: u8 = 0x0a;
    pub(crate) const STATISTICS: u8 = 0x0b;
    pub(crate) const SUMMARY_OFFSET: u8 = 0x0e;
    pub(crate) const DATA_END: u8 = 0x0f;
}

/// Appends a record: the opcode, then the length of what `content` appends, then that.
pub(crate) fn put_record(out: &mut Vec<u8>, opcode: u8, content: impl FnOnce(&mut Vec<u8>)) {
    out.push(opcode);
    let length_at = out.len();
    out.extend([0; 8]);
    let content_at = out.len();
    content(out);
    let length = (out.len() - content_at) as u64;
    out[length_at..content_at].copy_from_slice(&length.to_le_bytes());
}

/// Appends text preceded by its length in 32 bits. Texts here are names of a few bytes.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

/// A record's opcode and the length of its content.
pub(crate) fn prefix(bytes: [u8; PREFIX]) -> (u8, u64) {
    let [opcode, length @ ..] = bytes;
    (opcode, u64::from_le_bytes(length))
}

/// Takes the content of the one record that `bytes` must be.
pub(crate) fn content<'a>(bytes: &'a [u8], opcode: u8, what: &'static str) -> Result<&'a [u8], FormatError> {
    let mut input = Input::new(bytes, what);
    let actual = input.u8()?;
    if actual != opcode {
        return Err(FormatError::UnexpectedRecord { expected: opcode, actual });
    }
    let content = input.prefixed_long()?;
    input.end()?;
    Ok(content)
}

/// Checks a Header record's content: whether the file is a recording of ours that this version reads.
pub(crate) fn check_header(content: &[u8]) -> Result<(), FormatError> {
    let profile = Input::new(content, "file header").text()?;
    if profile == PROFILE {
        Ok(())
    } else if profile.strip_prefix(PROFILE).is_some_and(|version| version.starts_with('/')) {
        Err(FormatError::Newer { profile: clipped(profile) })
    } else {
        Err(FormatError::ForeignProfile { actual: clipped(profile) })
    }
}

/// Checks the first bytes of a file.
pub(crate) fn check_magic(bytes: &[u8]) -> Result<(), FormatError> {
    if bytes == MAGIC {
        Ok(())
    } else if bytes.is_empty() {
        Err(FormatError::Empty)
    } else if MAGIC.starts_with(bytes) {
        Err(FormatError::Truncated {
            what: "the start of the recording file",
            expected: MAGIC.len() as u64,
            actual: bytes.len() as u64,
        })
    } else {
        let actual: Vec<String> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Err(FormatError::NotMcap { actual: actual.join(" ") })
    }
}

fn clipped(text: &str) -> String {
    text.chars().take(64).collect()
}

/// The fields of a Chunk record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunk<'a> {
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    pub(crate) uncompressed_size: u64,
    pub(crate) crc: u32,
    pub(crate) compression: &'a str,
    pub(crate) records: &'a [u8],
}

impl<'a> Chunk<'a> {
    pub(crate) fn parse(content: &'a [u8]) -> Result<Self, FormatError> {
        let mut input = Input::new(content, "fragment");
        let chunk = Self {
            start_ns: input.u64()?,
            end_ns: input.u64()?,
            uncompressed_size: input.u64()?,
            crc: input.u32()?,
            compression: input.text()?,
            records: input.prefixed_long()?,
        };
        input.end()?;
        Ok(chunk)
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_record(out, op::CHUNK, |out| {
            for field in [self.start_ns, self.end_ns, self.uncompressed_size] {
                out.extend(field.to_le_bytes());
            }
            out.extend(self.crc.to_le_bytes());
            put_text(out, self.compression);
            out.extend((self.records.len() as u64).to_le_bytes());
            out.extend(self.records);
        });
    }
}

/// The fields of a ChunkIndex record, without message indexes, of which we have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChunkIndex {
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) compression: &'static str,
    pub(crate) compressed_size: u64,
    pub(crate) uncompressed_size: u64,
}

impl ChunkIndex {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_record(out, op::CHUNK_INDEX, |out| {
            for field in [self.start_ns, self.end_ns, self.offset, self.length] {
                out.extend(field.to_le_bytes());
            }
            // The map of message indexes and their length: there are none.
            out.extend(0u32.to_le_bytes());
            out.extend(0u64.to_le_bytes());
            put_text(out, self.compression);
            out.extend(self.compressed_size.to_le_bytes());
            out.extend(self.uncompressed_size.to_le_bytes());
        });
    }

    /// Where the chunk is and how long, from a record's content.
    pub(crate) fn parse_place(content: &[u8]) -> Result<(u64, u64), FormatError> {
        let mut input = Input::new(content, "chunk index");
        input.take(16)?;
        Ok((input.u64()?, input.u64()?))
    }
}

/// The fields of an Attachment record.
#[derive(Debug)]
pub(crate) struct Attachment<'a> {
    pub(crate) name: &'a str,
    pub(crate) media_type: &'a str,
    pub(crate) log_time_ns: u64,
    pub(crate) create_time_ns: u64,
    pub(crate) data: &'a [u8],
}

impl<'a> Attachment<'a> {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_record(out, op::ATTACHMENT, |out| {
            let start = out.len();
            out.extend(self.log_time_ns.to_le_bytes());
            out.extend(self.create_time_ns.to_le_bytes());
            put_text(out, self.name);
            put_text(out, self.media_type);
            out.extend((self.data.len() as u64).to_le_bytes());
            out.extend(self.data);
            let crc = crc32fast::hash(&out[start..]);
            out.extend(crc.to_le_bytes());
        });
    }

    pub(crate) fn put_index(&self, offset: u64, length: u64, out: &mut Vec<u8>) {
        put_record(out, op::ATTACHMENT_INDEX, |out| {
            for field in [offset, length, self.log_time_ns, self.create_time_ns, self.data.len() as u64] {
                out.extend(field.to_le_bytes());
            }
            put_text(out, self.name);
            put_text(out, self.media_type);
        });
    }

    pub(crate) fn parse(content: &'a [u8]) -> Result<Self, FormatError> {
        const WHAT: &str = "attachment";
        let mut input = Input::new(content, WHAT);
        let (log_time_ns, create_time_ns) = (input.u64()?, input.u64()?);
        let (name, media_type, data) = (input.text()?, input.text()?, input.prefixed_long()?);
        let expected = input.u32()?;
        input.end()?;
        let actual = crc32fast::hash(&content[..content.len() - 4]);
        // MCAP: a checksum of 0 means that none was made.
        if expected != 0 && expected != actual {
            return Err(FormatError::Checksum { what: WHAT, expected, actual });
        }
        Ok(Self { name, media_type, log_time_ns, create_time_ns, data })
    }

    /// Offset, length and name from an AttachmentIndex record's content.
    pub(crate) fn parse_index(content: &[u8]) -> Result<(u64, u64, &str), FormatError> {
        let mut input = Input::new(content, "attachment index");
        let (offset, length) = (input.u64()?, input.u64()?);
        input.take(24)?;
        Ok((offset, length, input.text()?))
    }
}

/// The fields of a Footer record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Footer {
    pub(crate) summary_start: u64,
    pub(crate) summary_offset_start: u64,
    pub(crate) crc: u32,
}

impl Footer {
    pub(crate) fn parse(content: &[u8]) -> Result<Self, FormatError> {
        let mut input = Input::new(content, "footer");
        let footer =
            Self { summary_start: input.u64()?, summary_offset_start: input.u64()?, crc: input.u32()? };
        input.end()?;
        Ok(footer)
    }
}
