//! Samples in, packets of Opus out. Silence makes none.

use super::{AudioError, timing::place_us};
use opus::{Application, Bitrate, Channels, Encoder};
use playhead_format::audio::{MAX_PACKET, SAMPLE_RATE};

/// Samples of a packet, for each of the two channels: 20 ms.
pub(super) const FRAME: usize = 960;

/// Bytes of a sample of both channels.
pub(super) const SAMPLE_BYTES: usize = 4;

/// Samples up to this far from zero count as silence: what dithering leaves.
const QUIET: i16 = 1;

/// Silence as long as this, in packets, ends a stretch of sound. Shorter pauses are cheaper to encode than to begin again.
const PATIENCE: u32 = 10;

/// How hard the encoder tries, 0 to 10: beyond this, processor time grows faster than sound gets better.
const COMPLEXITY: i32 = 5;

/// 20 ms of sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packet {
    /// Where what it decodes to begins in the stream of samples, in microseconds.
    pub(super) place_us: u64,
    /// Whether the encoder began anew with it.
    pub(super) begins: bool,
    /// The last before a silence.
    pub(super) ends: bool,
    /// What Opus made of it.
    pub(super) bytes: Vec<u8>,
}

/// Encodes one stream of samples.
pub(super) struct Packets {
    encoder: Encoder,
    /// By how much what a decoder gives out is later than what went in, in microseconds.
    look_ahead_us: u64,
    /// Samples of both channels that make no whole packet yet.
    waiting: Vec<i16>,
    /// The stream's number of the first of them.
    sample: u64,
    /// How many packets of silence came last; `None` while nothing is heard.
    quiet: Option<u32>,
}

impl Packets {
    /// An encoder of so many bits a second.
    ///
    /// # Errors
    /// Opus refuses, which it does for want of memory alone.
    pub(super) fn new(bits_per_second: u32) -> Result<Self, AudioError> {
        let mut encoder = Encoder::new(SAMPLE_RATE, Channels::Stereo, Application::Audio)?;
        encoder.set_bitrate(Bitrate::Bits(i32::try_from(bits_per_second).unwrap_or(i32::MAX)))?;
        encoder.set_vbr(true)?;
        encoder.set_complexity(COMPLEXITY)?;
        let look_ahead = u64::try_from(encoder.get_lookahead()?).unwrap_or(0);
        Ok(Self { encoder, look_ahead_us: place_us(look_ahead), waiting: Vec::new(), sample: 0, quiet: None })
    }

    /// The number of the next sample that is taken.
    pub(super) fn next_sample(&self) -> u64 {
        self.sample + (self.waiting.len() / 2) as u64
    }

    /// What comes next does not go on where the stream was: what makes no whole packet is dropped.
    pub(super) fn interrupt(&mut self) {
        self.sample = self.next_sample();
        self.waiting.clear();
        self.quiet = None;
    }

    /// Takes samples of 16 bits, little endian, left and right in turn, and gives the packets that they complete.
    ///
    /// # Errors
    /// Opus refuses.
    pub(super) fn push(&mut self, bytes: &[u8], mut give: impl FnMut(Packet)) -> Result<(), AudioError> {
        let (samples, _) = bytes.as_chunks::<2>();
        self.waiting.extend(samples.iter().map(|&sample| i16::from_le_bytes(sample)));
        let mut done = 0;
        while let Some(frame) = self.waiting.get(done..done + FRAME * 2) {
            let is_quiet = frame.iter().all(|&sample| sample.unsigned_abs() <= QUIET.unsigned_abs());
            let begins = self.quiet.is_none();
            self.quiet = match (self.quiet, is_quiet) {
                (None, true) => None,
                (_, false) => Some(0),
                (Some(quiet), true) => Some(quiet + 1),
            };
            if let Some(quiet) = self.quiet {
                if begins {
                    self.encoder.reset_state()?;
                }
                let ends = quiet >= PATIENCE;
                let packet = Packet {
                    place_us: place_us(self.sample).saturating_sub(self.look_ahead_us),
                    begins,
                    ends,
                    bytes: self.encoder.encode_vec(frame, MAX_PACKET)?,
                };
                give(packet);
                if ends {
                    self.quiet = None;
                }
            }
            self.sample += FRAME as u64;
            done += FRAME * 2;
        }
        self.waiting.drain(..done);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `seconds` of a tone, or of silence.
    fn pcm(seconds: f64, hertz: Option<f64>) -> Vec<u8> {
        let count = (seconds * f64::from(SAMPLE_RATE)) as u64;
        let sample = |at: u64| match hertz {
            Some(hertz) => {
                let phase = at as f64 / f64::from(SAMPLE_RATE) * hertz * std::f64::consts::TAU;
                (phase.sin() * 12_000.0) as i16
            }
            None => (at % 2) as i16,
        };
        (0..count).flat_map(|at| [sample(at).to_le_bytes(), sample(at).to_le_bytes()].concat()).collect()
    }

    fn all(packets: &mut Packets, bytes: &[u8], piece: usize) -> Vec<Packet> {
        let mut made = Vec::new();
        bytes.chunks(piece).for_each(|piece| packets.push(piece, |packet| made.push(packet)).unwrap());
        made
    }

    #[test]
    fn silence_costs_nothing_and_sound_what_it_may() {
        let mut packets = Packets::new(48_000).unwrap();
        assert!(all(&mut packets, &pcm(30.0, None), 7_680).is_empty());
        let made = all(&mut packets, &pcm(10.0, Some(440.0)), 7_680);
        assert_eq!(made.len(), 500);
        assert!(made[0].begins && made[1..].iter().all(|packet| !packet.begins && !packet.ends));
        let bytes: usize = made.iter().map(|packet| packet.bytes.len()).sum();
        assert!((10_000..80_000).contains(&bytes), "{bytes} bytes for 10 s");
        // It ends a fifth of a second after the sound does.
        let after = all(&mut packets, &pcm(5.0, None), 7_680);
        assert_eq!(after.len() as u32, PATIENCE);
        assert!(after.last().unwrap().ends);
        assert!(all(&mut packets, &pcm(1.0, Some(440.0)), 7_680)[0].begins);
    }

    #[test]
    fn places_follow_the_samples_whatever_the_pieces() {
        for piece in [4, 1_000, 3_840, 100_000] {
            let mut packets = Packets::new(32_000).unwrap();
            let bytes = [pcm(1.0, None), pcm(0.5, Some(700.0))].concat();
            let made = all(&mut packets, &bytes, piece);
            assert_eq!((made.len(), packets.next_sample()), (25, 72_000), "pieces of {piece}");
            assert_eq!(made[0].place_us, 1_000_000 - packets.look_ahead_us);
            assert!(made.windows(2).all(|pair| pair[1].place_us - pair[0].place_us == 20_000));
        }
    }

    #[test]
    fn after_an_interruption_it_begins_anew() {
        let mut packets = Packets::new(48_000).unwrap();
        let made = all(&mut packets, &pcm(0.105, Some(440.0)), 3_840);
        assert_eq!(made.len(), 5);
        packets.interrupt();
        assert_eq!(packets.next_sample(), 5_040);
        let made = all(&mut packets, &pcm(0.02, Some(440.0)), 3_840);
        assert!(made[0].begins && made[0].place_us == 105_000 - packets.look_ahead_us);
    }

    #[test]
    fn what_comes_out_of_a_decoder_stands_where_the_packet_says() {
        let mut packets = Packets::new(64_000).unwrap();
        let bytes = [pcm(0.5, None), pcm(0.3, Some(1_000.0))].concat();
        let made = all(&mut packets, &bytes, 3_840);
        let mut decoder = opus::Decoder::new(SAMPLE_RATE, Channels::Stereo).unwrap();
        let mut sound = Vec::new();
        for packet in &made {
            let mut out = [0_i16; FRAME * 2];
            assert_eq!(decoder.decode(&packet.bytes, &mut out, false).unwrap(), FRAME);
            sound.extend(out);
        }
        let loud = sound.iter().position(|sample| sample.unsigned_abs() > 3_000).unwrap() / 2;
        let heard_us = made[0].place_us + place_us(loud as u64);
        assert!(heard_us.abs_diff(500_000) < 3_000, "the tone begins at 500000 us, heard at {heard_us} us");
    }
}
