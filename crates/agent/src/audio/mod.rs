//! What is heard in a session: the monitor of its sound server's default sink, as Opus.
//!
//! A thread of its own for each display ([`Sound`]) finds the session's server ([`place`]), speaks its protocol ([`connection`], [`wire`]),
//! knows when each sample was heard ([`timing`]) and encodes ([`packets`]). What it has heard waits in a bounded box until the
//! display's thread takes it into the recording. A server that is not there, hangs or talks nonsense costs the sound, never the
//! picture.

mod connection;
mod listen;
mod packets;
mod place;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod timing;
mod wire;

use crate::{
    capture,
    control::Control,
    settings::{AudioSettings, DisplaySettings},
    status::{SoundReport, Status},
};
use listen::Listener;
use nix::unistd::User;
use place::Places;
use playhead_format::AudioMessage;
use std::{
    collections::VecDeque,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// A server that is not there is looked for again after this, and ever more rarely.
const FIRST_LOOK: Duration = Duration::from_secs(1);
/// The longest time between two looks.
const RARELY: Duration = Duration::from_secs(15);
/// A connection that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(30);
/// The most stretches that wait to be recorded; beyond that the oldest are dropped.
const MOST_WAITING: usize = 64;
/// Opus works on the stack, within about 100 KiB.
const STACK: usize = 512 << 10;

/// Why nothing is heard.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AudioError {
    /// Nobody listens there.
    #[error(
        "no sound server at {path}: {source}; start PulseAudio or PipeWire in the session, or say where it listens"
    )]
    NoServer {
        /// The likeliest place.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else's server.
    #[error("the sound server at {path} is run by user {actual}, expected the session's user {expected}")]
    Foreign {
        /// Where it listens.
        path: PathBuf,
        /// The session's user.
        expected: u32,
        /// Who runs it.
        actual: u32,
    },
    /// The server says no.
    #[error("the sound server refused a request: {0}")]
    Refused(&'static str),
    /// Nonsense.
    #[error(transparent)]
    Wire(#[from] wire::WireError),
    /// No answer.
    #[error("the sound server does not answer")]
    Silent,
    /// More sound than time.
    #[error("the sound server sends more than there is to hear")]
    Flood,
    /// The connection broke.
    #[error("the sound server is gone: {0}")]
    Lost(io::Error),
    /// The encoder.
    #[error("cannot encode sound: {0}")]
    Encode(#[from] opus::Error),
    /// The agent stops, or the session has ended.
    #[error("listening has been stopped")]
    Stopped,
}

impl AudioError {
    /// Whether there is simply no server.
    fn is_absent(&self) -> bool {
        matches!(self, Self::NoServer { source, .. }
            if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused))
    }
}

/// A stretch of sound without a break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    /// When it began to be heard: microseconds since the machine started.
    boot_us: u64,
    begins: bool,
    packets: Vec<Vec<u8>>,
}

impl Heard {
    /// As a message of a recording that began at `start_boot_us`; `None` if that was later.
    pub(crate) fn message(self, start_boot_us: u64) -> Option<AudioMessage> {
        let at_us = self.boot_us.checked_sub(start_boot_us)?;
        Some(AudioMessage { at_us, begins: self.begins, channels: 2, packets: self.packets })
    }
}

/// What was heard and is not recorded yet.
struct Outbox {
    waiting: Mutex<VecDeque<Heard>>,
    /// Whoever records it.
    reader: Arc<Control>,
}

impl Outbox {
    fn new(reader: Arc<Control>) -> Self {
        Self { waiting: Mutex::default(), reader }
    }

    fn put(&self, heard: Heard) {
        {
            let mut waiting = self.lock();
            if waiting.len() >= MOST_WAITING {
                waiting.pop_front();
            }
            waiting.push_back(heard);
        }
        self.reader.wish(|_| {});
    }

    fn take(&self) -> VecDeque<Heard> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Heard>> {
        // Nothing is ever half in it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listens to one session until it is dropped.
pub(crate) struct Sound {
    control: Arc<Control>,
    outbox: Arc<Outbox>,
    thread: Option<thread::JoinHandle<()>>,
    watched: bool,
}

impl Sound {
    /// Begins to listen to the session on a display. `reader` is woken when something has been heard.
    ///
    /// # Errors
    /// The system gives no thread or file descriptor.
    pub(crate) fn start(
        display: &DisplaySettings,
        settings: &AudioSettings,
        reader: &Arc<Control>,
        status: &Arc<Status>,
    ) -> io::Result<Self> {
        let control = Arc::new(Control::new()?);
        let outbox = Arc::new(Outbox::new(Arc::clone(reader)));
        let ears = Ears {
            display: display.clone(),
            bits_per_second: settings.bit_rate,
            control: Arc::clone(&control),
            outbox: Arc::clone(&outbox),
            status: Arc::clone(status),
        };
        let name = format!("sound {}", display.display);
        let thread = thread::Builder::new().name(name).stack_size(STACK).spawn(move || ears.run())?;
        Ok(Self { control, outbox, thread: Some(thread), watched: false })
    }

    /// Whether somebody watches live: then sound comes in smaller pieces.
    pub(crate) fn set_watched(&mut self, watched: bool) {
        if self.watched != watched {
            self.watched = watched;
            self.control.wish(|wishes| wishes.watched = watched);
        }
    }

    /// What has been heard since last asked.
    pub(crate) fn take(&self) -> VecDeque<Heard> {
        self.outbox.take()
    }

    /// Stops listening. Returns what has been heard since last asked.
    pub(crate) fn finish(mut self) -> VecDeque<Heard> {
        self.stop();
        self.outbox.take()
    }

    fn stop(&mut self) {
        self.control.wish(|wishes| wishes.stop = true);
        if let Some(thread) = self.thread.take() {
            // It waits for nothing but us. A panic has been reported by the process's hook.
            let _ = thread.join();
        }
    }
}

impl Drop for Sound {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What the listening thread needs.
struct Ears {
    display: DisplaySettings,
    bits_per_second: u32,
    control: Arc<Control>,
    outbox: Arc<Outbox>,
    status: Arc<Status>,
}

impl Ears {
    /// Looks for the session's server and listens to it, again and again.
    fn run(&self) {
        let mut pause = FIRST_LOOK;
        let mut told = String::new();
        loop {
            let begun = Instant::now();
            let error = match self.listen() {
                AudioError::Stopped => break,
                error => error,
            };
            let text = error.to_string();
            if text != told {
                tracing::info!(display = self.display.display, error = text, "no sound is recorded for now");
                told.clone_from(&text);
            }
            self.tell(Some(SoundReport { sink: None, error: Some(text) }));
            pause = if begun.elapsed() > GOOD { FIRST_LOOK } else { (pause * 2).min(RARELY) };
            if self.control.wait(None, Some(pause)).is_err() || self.control.take().stop {
                break;
            }
        }
        self.tell(None);
    }

    fn listen(&self) -> AudioError {
        let name = &self.display.display;
        let named = self.display.user.as_deref().and_then(account);
        let account = named.or_else(|| account(&capture::session_user(name)));
        let places = Places::find(name, account.as_ref(), self.display.sound_server.as_deref());
        match Listener::open(&places, self.bits_per_second, &self.control, &self.outbox) {
            Ok(listener) => listener.run(|sink| {
                tracing::info!(display = name, sink, "recording sound");
                let error = sink.is_none().then(|| "the sound server has no sink to listen to".to_owned());
                self.tell(Some(SoundReport { sink: sink.map(str::to_owned), error }));
            }),
            Err(error) => error,
        }
    }

    fn tell(&self, report: Option<SoundReport>) {
        self.status.sound(&self.display.display, report);
    }
}

fn account(name: &str) -> Option<User> {
    User::from_name(name).ok().flatten()
}
