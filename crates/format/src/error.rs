//! What can be wrong with a recording file.

use crate::ChainError;
use std::io;

/// Why bytes are not the recording file they should be, or could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The file has nothing in it.
    #[error("the file is empty; get it again from where it was recorded")]
    Empty,
    /// The file does not start as an MCAP file.
    #[error(
        "not a recording: expected the mcap magic 89 4d 43 41 50 30 0d 0a at byte 0, got {actual}; give a .mcap file that playhead wrote"
    )]
    NotMcap {
        /// The first bytes, in hexadecimal.
        actual: String,
    },
    /// An MCAP file of another program.
    #[error(
        "not a recording: expected an mcap file with profile 'playhead', got profile '{actual}'; give a .mcap file that playhead wrote"
    )]
    ForeignProfile {
        /// The profile it has.
        actual: String,
    },
    /// A recording made by a later, incompatible version.
    #[error(
        "the recording has profile '{profile}', this program reads 'playhead' only; use a newer version of playhead"
    )]
    Newer {
        /// The profile it has.
        profile: String,
    },
    /// Fewer bytes than there should be.
    #[error(
        "{what} is cut off: expected {expected} bytes, got {actual}; get the file again from where it was recorded"
    )]
    Truncated {
        /// What is cut off.
        what: &'static str,
        /// Bytes it should have at least.
        expected: u64,
        /// Bytes there are.
        actual: u64,
    },
    /// More bytes than there should be.
    #[error("{what} has {count} bytes too many at its end; remove them or get the file again")]
    TrailingBytes {
        /// What is followed by them.
        what: &'static str,
        /// How many.
        count: u64,
    },
    /// Larger than this format allows.
    #[error(
        "{what} has {actual} bytes, more than the {limit} allowed; the file is damaged or not made by playhead"
    )]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The most it may have.
        limit: u64,
        /// What it has or claims.
        actual: u64,
    },
    /// A record of another kind than stands there in a recording.
    #[error("expected record type {expected:#04x}, got {actual:#04x}; the file is damaged at this place")]
    UnexpectedRecord {
        /// The opcode that should stand there.
        expected: u8,
        /// The opcode that does.
        actual: u8,
    },
    /// A chunk's compressed bytes make no sense.
    #[error("the fragment cannot be decompressed: {reason}; the file is damaged at this place")]
    Compression {
        /// What is wrong.
        reason: String,
    },
    /// A checksum differs.
    #[error("{what} has checksum {actual:08x}, expected {expected:08x}; the file is damaged at this place")]
    Checksum {
        /// Over what it is made.
        what: &'static str,
        /// The checksum that stands in the file.
        expected: u32,
        /// The checksum of the bytes.
        actual: u32,
    },
    /// A fragment head, message, index or other part breaks a rule of the format.
    #[error("{what}: {reason}; the file is damaged at this place or not made by playhead")]
    Invalid {
        /// What breaks it.
        what: &'static str,
        /// Which rule, with expected and actual values.
        reason: String,
    },
    /// A fragment does not follow the one before it.
    #[error("{0}; fragments of a segment must follow one another")]
    Chain(#[from] ChainError),
    /// The bytes could not be read or written.
    #[error("cannot read or write the recording: {0}; check the disk and the permissions")]
    Io(#[from] io::Error),
}

impl FormatError {
    /// A short name of what is wrong, for machines: stable, kebab-case.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NotMcap { .. } => "not-mcap",
            Self::ForeignProfile { .. } => "foreign-profile",
            Self::Newer { .. } => "newer",
            Self::Truncated { .. } => "truncated",
            Self::TrailingBytes { .. } => "trailing-bytes",
            Self::TooLarge { .. } => "too-large",
            Self::UnexpectedRecord { .. } => "unexpected-record",
            Self::Compression { .. } => "compression",
            Self::Checksum { .. } => "checksum",
            Self::Invalid { .. } => "invalid",
            Self::Chain(_) => "chain",
            Self::Io(_) => "io",
        }
    }

    pub(crate) fn invalid(what: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid { what, reason: reason.into() }
    }
}
