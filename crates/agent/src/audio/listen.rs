//! Listening to the default sink of a session: where it is, what it plays, and when that was heard.

use super::{
    AudioError, Heard, Outbox,
    connection::Connection,
    packets::{Packet, Packets, SAMPLE_BYTES},
    place::Places,
    timing::{PIECE_US, Timing, place_us},
    wire,
};
use crate::{clock::Now, control::Control};
use playhead_format::audio::{MAX_PACKETS, PACKET_US};
use std::time::Duration;

/// The delays are asked for this often while sound comes in.
const ASK_DELAYS_US: u64 = 2_000_000;
/// Without sound for so long, what waits is handed over.
const PAUSE_US: u64 = 200_000;
/// A server without a sink, or whose sink has just gone, is asked again after this if it says nothing by itself.
const REST: Duration = Duration::from_secs(2);
/// Packets are handed over in stretches of this many: a second, or a tenth while somebody watches.
const STRETCH: usize = 50;
const WATCHED_STRETCH: usize = 5;
/// The most sound that may come in ahead of the clock. A server keeps up to twenty seconds for whoever is slow to take it.
const MOST_AHEAD_US: u64 = 30_000_000;

/// Listens through one connection.
pub(super) struct Listener<'a> {
    connection: Connection<'a>,
    packets: Packets,
    timing: Timing,
    outbox: &'a Outbox,
    /// Packets not handed over yet.
    stretch: Vec<Packet>,
    watched: bool,
    /// When what was handed over last had been heard.
    end_us: u64,
    connected_us: u64,
    /// When sound came in last.
    heard_us: u64,
    asked_us: u64,
}

impl<'a> Listener<'a> {
    /// Connects to the server of a session.
    ///
    /// # Errors
    /// There is none, or it lets nobody in.
    pub(super) fn open(
        places: &Places,
        bits_per_second: u32,
        control: &'a Control,
        outbox: &'a Outbox,
    ) -> Result<Self, AudioError> {
        Ok(Self {
            connection: Connection::open(places, control)?,
            packets: Packets::new(bits_per_second)?,
            timing: Timing::default(),
            outbox,
            stretch: Vec::new(),
            watched: false,
            end_us: 0,
            connected_us: Now::read().boot_us,
            heard_us: 0,
            asked_us: 0,
        })
    }

    /// Listens to whatever is the default sink; `tell` is told its name, or that there is none.
    ///
    /// # Errors
    /// Always in the end: the server is gone, or the agent stops. What was heard is handed over first.
    pub(super) fn run(mut self, mut tell: impl FnMut(Option<&str>)) -> AudioError {
        loop {
            let sink = match self.connection.ask(wire::get_server_info, wire::default_sink) {
                Ok(sink) => sink,
                Err(error) => return error,
            };
            let done = match sink {
                Some(sink) => {
                    tell(Some(&String::from_utf8_lossy(&sink)));
                    self.listen(&sink)
                }
                None => {
                    tell(None);
                    self.connection.wait(Some(REST)).and_then(|_| self.connection.look())
                }
            };
            self.hand_over();
            match done {
                Ok(()) => {}
                // It went away between the question and the request.
                Err(AudioError::Refused(_)) => {
                    tell(None);
                    if let Err(error) = self.connection.wait(Some(REST)) {
                        return error;
                    }
                }
                Err(error) => return error,
            }
        }
    }

    /// Listens to a sink until it goes away or another one becomes the default.
    fn listen(&mut self, sink: &[u8]) -> Result<(), AudioError> {
        let piece = (PIECE_US * 48 / 1_000) as u32 * SAMPLE_BYTES as u32;
        let source = [sink, b".monitor"].concat();
        let create = |tag| wire::create_record_stream(tag, &source, piece);
        let channel = self.connection.ask(create, |mut fields| fields.u32())?;
        self.connection.stream = Some(channel);
        self.connection.incoming.killed = false;
        self.timing = Timing::default();
        let listened = self.follow(sink, channel);
        self.connection.stream = None;
        self.connection.incoming.sound.clear();
        self.packets.interrupt();
        listened
    }

    fn follow(&mut self, sink: &[u8], channel: u32) -> Result<(), AudioError> {
        loop {
            let most = (!self.stretch.is_empty()).then_some(Duration::from_micros(PAUSE_US));
            self.watched = self.connection.wait(most)?;
            self.connection.look()?;
            self.encode()?;
            if Now::read().boot_us >= self.heard_us + PAUSE_US {
                self.hand_over();
            }
            if std::mem::take(&mut self.connection.incoming.killed) {
                return Ok(());
            }
            if std::mem::take(&mut self.connection.incoming.changed) {
                let now = self.connection.ask(wire::get_server_info, wire::default_sink)?;
                if now.as_deref() != Some(sink) {
                    return self.connection.ask(|tag| wire::delete_record_stream(tag, channel), |_| Ok(()));
                }
            }
        }
    }

    /// Makes packets of what came in.
    fn encode(&mut self) -> Result<(), AudioError> {
        let mut sound = std::mem::take(&mut self.connection.incoming.sound);
        let whole = sound.len() - sound.len() % SAMPLE_BYTES;
        if whole == 0 {
            self.connection.incoming.sound = sound;
            return Ok(());
        }
        let now_us = Now::read().boot_us;
        let end = self.packets.next_sample() + (whole / SAMPLE_BYTES) as u64;
        if place_us(end) > now_us.saturating_sub(self.connected_us) + MOST_AHEAD_US {
            return Err(AudioError::Flood);
        }
        self.heard_us = now_us;
        if !self.timing.arrived(now_us, end) {
            self.hand_over();
            self.packets.interrupt();
        }
        let mut made = Vec::new();
        let encoded = self.packets.push(&sound[..whole], |packet| made.push(packet));
        sound.drain(..whole);
        self.connection.incoming.sound = sound;
        encoded?;
        for packet in made {
            let ends = packet.ends;
            if packet.begins {
                self.hand_over();
            }
            self.stretch.push(packet);
            let most = if self.watched { WATCHED_STRETCH } else { STRETCH };
            if ends || self.stretch.len() >= most.min(MAX_PACKETS) {
                self.hand_over();
            }
        }
        if now_us >= self.asked_us + ASK_DELAYS_US
            && let Some(channel) = self.connection.stream
        {
            self.asked_us = now_us;
            let delay =
                self.connection.ask(|tag| wire::get_record_latency(tag, channel), wire::source_delay)?;
            self.timing.told(delay);
        }
        Ok(())
    }

    /// Hands over what waits.
    fn hand_over(&mut self) {
        let stretch = std::mem::take(&mut self.stretch);
        let Some(first) = stretch.first() else { return };
        let Some(boot_us) = self.timing.heard_us(first.place_us) else { return };
        // What is rendered but not heard yet still counts as known now.
        let boot_us = boot_us.min(Now::read().boot_us);
        // After a break the clocks may have been found to be otherwise: nothing is heard twice.
        if boot_us + PACKET_US < self.end_us {
            return;
        }
        self.end_us = boot_us + stretch.len() as u64 * PACKET_US;
        let begins = first.begins;
        let packets = stretch.into_iter().map(|packet| packet.bytes).collect();
        self.outbox.put(Heard { boot_us, begins, packets });
    }
}
