//! What can go wrong, and what the caller can do about it.

/// A picture that cannot be coded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The size is zero or over the limits.
    #[error(
        "picture of {width}x{height} pixels, expected 1 to 16384 each way and at most 67108864 in all; capture a smaller area"
    )]
    Size {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The buffer is shorter than size and stride ask for, or the stride shorter than a row.
    #[error(
        "picture buffer of {actual} bytes with stride {stride}, expected at least {expected} bytes; pass the whole picture"
    )]
    Buffer {
        /// Bytes passed.
        actual: usize,
        /// Bytes needed.
        expected: usize,
        /// Bytes from one row to the next.
        stride: usize,
    },
}

/// A packet that cannot be applied. The decoder refuses deltas after it until the next anchor, or the next key if the
/// anchor that the key rests on is still there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The packet ends before its contents do.
    #[error("packet ends early, {needed} more bytes expected; fetch it again or seek to another key frame")]
    Truncated {
        /// Bytes missing, at least.
        needed: usize,
    },
    /// Bytes are left over after the last operation.
    #[error(
        "{extra} bytes left over in stream {stream}; fetch the packet again or seek to another key frame"
    )]
    LeftOver {
        /// Number of the stream.
        stream: usize,
        /// Bytes not used.
        extra: usize,
    },
    /// Another version of the codec, or no packet at all.
    #[error("first byte {actual:#04x} is no packet kind of version 1; update the player or check the file")]
    Kind {
        /// The byte found.
        actual: u8,
    },
    /// An operation, mode or stream that is reserved.
    #[error("{what} {actual} is not defined in version 1; update the player or check the file")]
    Reserved {
        /// What was read.
        what: &'static str,
        /// The value found.
        actual: u32,
    },
    /// Size zero, over the limits or not plausible for so short a packet.
    #[error(
        "picture of {width}x{height} pixels in a packet of {bytes} bytes is over the limits; seek to another key frame"
    )]
    Size {
        /// Width in pixels.
        width: u64,
        /// Height in pixels.
        height: u64,
        /// Length of the packet.
        bytes: usize,
    },
    /// A place, index or count outside of what exists.
    #[error("{what} {actual} is out of range, expected less than {limit}; seek to another key frame")]
    Range {
        /// What was read.
        what: &'static str,
        /// The value found.
        actual: u64,
        /// The first value not allowed.
        limit: u64,
    },
    /// More pixels written than any honest packet needs.
    #[error("packet draws more than {limit} pixels; seek to another key frame")]
    Work {
        /// The bound for this picture size.
        limit: u64,
    },
    /// The packet rests on a picture that this decoder does not have.
    #[error("{kind} packet without its {needs}; decode the {needs} first")]
    Missing {
        /// What was passed.
        kind: &'static str,
        /// What has to come before it.
        needs: &'static str,
    },
}
