//! Messages of the audio channel: Opus packets with the media time at which they were heard.
//!
//! Sound is known later than the picture of the same moment: it has to be captured, encoded and gathered. So a message carries its
//! own time, which lies before that of its record, sometimes even before the start of its fragment.

use crate::{FormatError, MAX_MEDIA_US, input::Input};

/// Samples a second of every channel of sound.
pub const SAMPLE_RATE: u32 = 48_000;

/// How long the sound of one packet lasts, in microseconds.
pub const PACKET_US: u64 = 20_000;

/// The most packets in one message: two seconds.
pub const MAX_PACKETS: usize = 100;

/// The most bytes of a packet: what one frame of Opus can have.
pub const MAX_PACKET: usize = 1_276;

/// The most by which a message may come later than its sound began, in microseconds: 10 seconds.
pub const MAX_LATENESS_US: u64 = 10_000_000;

const WHAT: &str = "audio message";
const OPUS: u8 = 1;
const BEGINS: u8 = 1;

/// A stretch of sound without a break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioMessage {
    /// Media time at which its first sample was heard, in microseconds.
    pub at_us: u64,
    /// Whether the encoder began anew with it: nothing before is needed to decode it.
    pub begins: bool,
    /// 1 or 2.
    pub channels: u8,
    /// Opus packets of [`PACKET_US`] each: 1 to [`MAX_PACKETS`] of 1 to [`MAX_PACKET`] bytes.
    pub packets: Vec<Vec<u8>>,
}

impl AudioMessage {
    /// The message's bytes as they stand in a fragment.
    pub fn encode(&self) -> Vec<u8> {
        let length = self.packets.iter().map(|packet| packet.len() + 2).sum::<usize>();
        let mut bytes = Vec::with_capacity(length + 12);
        bytes.extend([OPUS, if self.begins { BEGINS } else { 0 }, self.channels, 0]);
        bytes.extend(self.at_us.to_le_bytes());
        for packet in &self.packets {
            // Within its bound; a longer one makes a message that readers refuse.
            bytes.extend(u16::try_from(packet.len()).unwrap_or(u16::MAX).to_le_bytes());
            bytes.extend(packet);
        }
        bytes
    }

    /// Reads a message; `None` for a kind that this version does not know.
    ///
    /// # Errors
    /// A message of a known kind that is too short or too long, or that breaks a bound.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, FormatError> {
        let mut input = Input::new(bytes, WHAT);
        if input.u8()? != OPUS {
            return Ok(None);
        }
        let (flags, channels, _) = (input.u8()?, input.u8()?, input.u8()?);
        let at_us = input.u64()?;
        if !matches!(channels, 1 | 2) {
            return Err(FormatError::invalid(WHAT, format!("expected 1 or 2 channels, got {channels}")));
        }
        if at_us > MAX_MEDIA_US {
            return Err(FormatError::invalid(
                WHAT,
                format!("expected a media time of at most {MAX_MEDIA_US} us, got {at_us}"),
            ));
        }
        let mut packets = Vec::new();
        while !input.is_empty() {
            let length = usize::from(input.u16()?);
            if length == 0 || length > MAX_PACKET || packets.len() == MAX_PACKETS {
                return Err(FormatError::invalid(
                    WHAT,
                    format!(
                        "expected at most {MAX_PACKETS} packets of 1 to {MAX_PACKET} bytes, got one of {length} after {}",
                        packets.len()
                    ),
                ));
            }
            packets.push(input.take(length)?.to_vec());
        }
        if packets.is_empty() {
            return Err(FormatError::invalid(WHAT, "expected at least one packet, got none"));
        }
        Ok(Some(Self { at_us, begins: flags & BEGINS != 0, channels, packets }))
    }

    /// Whether a record of this media time may carry it: its sound began before, and not long before.
    pub const fn fits(&self, record_us: u64) -> bool {
        self.at_us <= record_us && record_us - self.at_us <= MAX_LATENESS_US
    }

    /// Media time at which its sound ends, in microseconds.
    pub const fn end_us(&self) -> u64 {
        self.at_us.saturating_add(self.packets.len() as u64 * PACKET_US)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(packets: Vec<Vec<u8>>) -> AudioMessage {
        AudioMessage { at_us: 0x0102_0304, begins: true, channels: 2, packets }
    }

    #[test]
    fn the_layout_is_that_of_the_specification() {
        let message = message(vec![vec![9, 8, 7], vec![6]]);
        let bytes = message.encode();
        assert_eq!(bytes, [1, 1, 2, 0, 4, 3, 2, 1, 0, 0, 0, 0, 3, 0, 9, 8, 7, 1, 0, 6]);
        assert_eq!(AudioMessage::parse(&bytes).unwrap(), Some(message.clone()));
        assert_eq!(message.end_us(), message.at_us + 40_000);
        let mut later = bytes;
        // Another kind, reserved flags and the reserved byte.
        (later[1], later[3]) = (0xfe, 7);
        assert_eq!(AudioMessage::parse(&later).unwrap().map(|read| read.begins), Some(false));
        later[0] = 2;
        assert_eq!(AudioMessage::parse(&later).unwrap(), None);
    }

    #[test]
    fn bounds_hold() {
        for good in [vec![vec![1; MAX_PACKET]; MAX_PACKETS], vec![vec![0]]] {
            assert!(AudioMessage::parse(&message(good).encode()).unwrap().is_some());
        }
        for bad in [
            vec![],
            vec![vec![]],
            vec![vec![1; MAX_PACKET + 1]],
            vec![vec![1; 70_000]],
            vec![vec![1]; MAX_PACKETS + 1],
        ] {
            assert!(AudioMessage::parse(&message(bad).encode()).is_err());
        }
        let good = message(vec![vec![1, 2, 3]]).encode();
        for cut in 0..good.len() {
            assert!(AudioMessage::parse(&good[..cut]).is_err(), "cut at {cut}");
        }
        for (place, byte) in [(2, 0), (2, 3), (11, 0xff)] {
            let mut bad = good.clone();
            bad[place] = byte;
            assert!(AudioMessage::parse(&bad).is_err(), "byte {place}");
        }
    }

    #[test]
    fn sound_comes_after_it_was_heard_and_not_long_after() {
        let message = AudioMessage { at_us: 5_000_000, ..message(vec![vec![1]]) };
        assert!(message.fits(5_000_000) && message.fits(15_000_000));
        assert!(!message.fits(4_999_999) && !message.fits(15_000_001));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let with_kind = [&[OPUS][..], &bytes].concat();
            if let Ok(Some(read)) = AudioMessage::parse(&with_kind) {
                let again = AudioMessage::parse(&read.encode()).unwrap();
                prop_assert_eq!(again, Some(read));
            }
        }
    }
}
