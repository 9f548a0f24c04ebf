//! Sound, read out of fragments before their pictures are due: it has to be decoded and handed to the sound device ahead of time.

use playhead_format::{
    AudioMessage, Channel,
    audio::{PACKET_US, SAMPLE_RATE},
    open_fragment,
};

/// The most packets that are read out of one fragment: a minute. A fragment of an agent has at most some seconds.
const MOST_PACKETS: usize = 3_000;

/// Fields of a packet: when it is heard in microseconds of media time, whether the encoder began anew, channels, bytes.
pub const SOUND_FIELDS: usize = 4;

/// The sound of one fragment at a time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sound {
    fields: Vec<f64>,
    bytes: Vec<u8>,
}

impl Sound {
    /// Reads the sound of a fragment's Chunk record and nothing else of it. Returns the number of packets; messages that make no sense have
    /// none. A record that cannot be opened has none either: whoever plays it says what is wrong with it.
    pub fn read(&mut self, record: &[u8]) -> usize {
        self.fields.clear();
        self.bytes.clear();
        let Ok(fragment) = open_fragment(record) else { return 0 };
        if fragment.head().flags.repeated {
            return 0;
        }
        let messages = fragment.messages().map_while(Result::ok);
        for message in messages.filter(|message| message.channel == Channel::Audio.id()) {
            if let Ok(Some(sound)) = AudioMessage::parse(message.data)
                && sound.fits(message.log_time_us)
            {
                self.add(&sound);
            }
        }
        self.packets()
    }

    fn add(&mut self, sound: &AudioMessage) {
        let room = MOST_PACKETS - self.packets();
        for (number, packet) in sound.packets.iter().enumerate().take(room) {
            let at_us = sound.at_us.saturating_add(number as u64 * PACKET_US);
            let begins = f64::from(u8::from(sound.begins && number == 0));
            self.fields.extend([at_us as f64, begins, sound.channels.into(), packet.len() as f64]);
            self.bytes.extend(packet);
        }
    }

    /// How many packets were read.
    pub fn packets(&self) -> usize {
        self.fields.len() / SOUND_FIELDS
    }

    /// [`SOUND_FIELDS`] numbers for each packet.
    pub fn fields(&self) -> &[f64] {
        &self.fields
    }

    /// The packets, one after the other.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Samples a second of all sound.
    pub const fn sample_rate() -> u32 {
        SAMPLE_RATE
    }
}
