//! The fragment head, the first message of every fragment.

use crate::{FormatError, Hash, MAX_MEDIA_US, input::Input};
use playhead_model::RecordingId;

/// Bytes of a version 1 head.
pub const HEAD_LEN: usize = 112;

const VERSION: u8 = 1;
const WHAT: &str = "fragment head";

/// What is special about a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags {
    /// It starts with the whole state, coded against the anchor.
    pub key_frame: bool,
    /// It starts with the whole state and needs nothing before it. A key frame as well.
    pub anchor: bool,
    /// It is the first of its segment.
    pub first_of_segment: bool,
    /// It is the last of the recording.
    pub last: bool,
    /// A gap before it is declared in its meta messages.
    pub gap_before: bool,
    /// Its anchor is that of an earlier fragment, `anchor_seq`, once more: whoever holds that one needs not read it.
    pub repeated: bool,
}

impl Flags {
    /// Whether playing can begin with the fragment's picture.
    pub const fn is_entrance(self) -> bool {
        self.key_frame && !self.repeated
    }

    /// The flags as the byte that stands in files.
    pub const fn bits(self) -> u8 {
        (self.key_frame as u8)
            | (self.anchor as u8) << 1
            | (self.first_of_segment as u8) << 2
            | (self.last as u8) << 3
            | (self.gap_before as u8) << 4
            | (self.repeated as u8) << 5
    }

    /// Takes the flags from that byte; bits that this version does not know are dropped.
    pub const fn from_bits(bits: u8) -> Self {
        Self {
            key_frame: bits & 1 != 0,
            anchor: bits & 2 != 0,
            first_of_segment: bits & 4 != 0,
            last: bits & 8 != 0,
            gap_before: bits & 16 != 0,
            repeated: bits & 32 != 0,
        }
    }
}

/// What a fragment says of itself. Everything an index needs, and the link to the fragment before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FragmentHead {
    /// What is special about it.
    pub flags: Flags,
    /// Number of its segment, from 0.
    pub segment: u32,
    /// Its number in the whole recording, from 0.
    pub seq: u64,
    /// Media time of the first thing in it.
    pub start_us: u64,
    /// Media time up to which it tells everything.
    pub end_us: u64,
    /// The fragment with the anchor its pictures rest on; its own number when it has one.
    pub anchor_seq: u64,
    /// Changed pixels, saturating.
    pub activity: u32,
    /// Number of its messages on the event channel.
    pub events: u32,
    /// The recording.
    pub recording: RecordingId,
    /// Hash of the fragment before it; [`crate::genesis`] for number 0.
    pub previous: Hash,
    /// Wall clock at `start_us`, microseconds since the Unix epoch.
    pub wall_us: u64,
    /// Width of the picture after it, 0 before the first picture.
    pub width: u32,
    /// Height of the picture after it.
    pub height: u32,
}

impl FragmentHead {
    /// The head's bytes as they stand in the file.
    pub fn encode(&self) -> [u8; HEAD_LEN] {
        let mut bytes = [0; HEAD_LEN];
        let mut at = 0;
        let mut put = |field: &[u8]| {
            bytes[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        };
        put(&[VERSION, self.flags.bits(), 0, 0]);
        put(&self.segment.to_le_bytes());
        for field in [self.seq, self.start_us, self.end_us, self.anchor_seq] {
            put(&field.to_le_bytes());
        }
        put(&self.activity.to_le_bytes());
        put(&self.events.to_le_bytes());
        put(self.recording.as_bytes());
        put(self.previous.as_bytes());
        put(&self.wall_us.to_le_bytes());
        put(&self.width.to_le_bytes());
        put(&self.height.to_le_bytes());
        bytes
    }

    /// Reads a head and checks what it says against itself. A longer head of a version above 1 is accepted; what it
    /// has beyond version 1 is passed over.
    ///
    /// # Errors
    /// A head that is too short, of version 0, of version 1 with another length, or that contradicts itself.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut input = Input::new(bytes, WHAT);
        if bytes.len() < HEAD_LEN {
            return Err(FormatError::Truncated {
                what: WHAT,
                expected: HEAD_LEN as u64,
                actual: bytes.len() as u64,
            });
        }
        let version = input.u8()?;
        if version == 0 || (version == VERSION && bytes.len() != HEAD_LEN) {
            return Err(FormatError::invalid(
                WHAT,
                format!(
                    "expected version 1 with {HEAD_LEN} bytes, got version {version} with {}",
                    bytes.len()
                ),
            ));
        }
        let flags = Flags::from_bits(input.u8()?);
        input.u16()?;
        let head = Self {
            flags,
            segment: input.u32()?,
            seq: input.u64()?,
            start_us: input.u64()?,
            end_us: input.u64()?,
            anchor_seq: input.u64()?,
            activity: input.u32()?,
            events: input.u32()?,
            recording: RecordingId::from_bytes(input.array()?),
            previous: Hash::from_bytes(input.array()?),
            wall_us: input.u64()?,
            width: input.u32()?,
            height: input.u32()?,
        };
        head.check()?;
        Ok(head)
    }

    /// Checks the rules that a head must keep by itself.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(&self) -> Result<(), FormatError> {
        let Self { flags, seq, segment, start_us, end_us, anchor_seq, .. } = *self;
        let rules = [
            (
                start_us <= end_us && end_us <= MAX_MEDIA_US,
                "the end lies before the start or beyond all time",
            ),
            (!flags.anchor || flags.key_frame, "an anchor must be a key frame"),
            (!flags.first_of_segment || flags.anchor, "the first fragment of a segment must be an anchor"),
            (
                anchor_seq <= seq && (anchor_seq == seq) == (flags.anchor && !flags.repeated),
                "the anchor's number does not fit",
            ),
            (!flags.repeated || flags.anchor, "only an anchor can be repeated"),
            ((seq != 0) || (flags.first_of_segment && segment == 0), "number 0 must open segment 0"),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            None => Ok(()),
            Some((_, rule)) => Err(FormatError::invalid(
                WHAT,
                format!(
                    "{rule} (fragment {seq}, segment {segment}, {start_us} to {end_us} us, anchor {anchor_seq}, \
                     flags {:#04x})",
                    flags.bits()
                ),
            )),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample() -> FragmentHead {
        FragmentHead {
            flags: Flags { key_frame: true, anchor: true, first_of_segment: true, ..Flags::default() },
            segment: 0x0102_0304,
            seq: 7,
            start_us: 1_000,
            end_us: 2_000,
            anchor_seq: 7,
            activity: 9,
            events: 3,
            recording: RecordingId::from_bytes([0xaa; 16]),
            previous: Hash::from_bytes([0xbb; 32]),
            wall_us: 1_772_357_400_000_000,
            width: 1920,
            height: 1080,
        }
    }

    #[test]
    fn layout_is_that_of_the_specification() {
        let bytes = sample().encode();
        assert_eq!(bytes[..8], [1, 0b111, 0, 0, 4, 3, 2, 1]);
        assert_eq!(bytes[8..16], 7u64.to_le_bytes());
        assert_eq!(bytes[32..40], 7u64.to_le_bytes());
        assert_eq!(bytes[48..64], [0xaa; 16]);
        assert_eq!(bytes[64..96], [0xbb; 32]);
        assert_eq!(bytes[104..112], [0x80, 7, 0, 0, 0x38, 4, 0, 0]);
        assert_eq!(FragmentHead::parse(&bytes).unwrap(), sample());
    }

    #[test]
    fn a_later_version_may_be_longer_and_an_earlier_one_is_refused() {
        let mut bytes = sample().encode().to_vec();
        bytes.extend([1, 2, 3]);
        assert_eq!(FragmentHead::parse(&bytes).unwrap_err().kind(), "invalid");
        bytes[0] = 2;
        bytes[1] |= 0xc0;
        assert_eq!(FragmentHead::parse(&bytes).unwrap(), sample());
        bytes[0] = 0;
        assert!(FragmentHead::parse(&bytes).is_err());
        assert_eq!(FragmentHead::parse(&sample().encode()[..111]).unwrap_err().kind(), "truncated");
    }

    #[test]
    fn contradictions_are_refused() {
        let broken: [fn(&mut FragmentHead); 7] = [
            |head| head.end_us = head.start_us - 1,
            |head| head.end_us = u64::MAX,
            |head| head.flags.key_frame = false,
            |head| head.flags.anchor = false,
            |head| head.anchor_seq = 8,
            |head| head.anchor_seq = 6,
            |head| (head.seq, head.anchor_seq) = (0, 0),
        ];
        for (number, change) in broken.into_iter().enumerate() {
            let mut head = sample();
            change(&mut head);
            assert!(FragmentHead::parse(&head.encode()).is_err(), "change {number}");
        }
    }

    #[test]
    fn flags_go_both_ways() {
        for bits in 0..64 {
            assert_eq!(Flags::from_bits(bits).bits(), bits);
        }
    }
}
