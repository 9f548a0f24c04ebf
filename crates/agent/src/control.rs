//! What the rest of the agent wants of the thread that records a display.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use playhead_format::EventMessage;
use playhead_model::{
    Decided, PictureSettings, RecordingId, RecordingSettings,
    policy::{Action, RuleOptions},
};
use std::{
    collections::HashMap,
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsFd as _, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The most events that wait to be recorded.
const MOST_EVENTS: usize = 256;

/// The newest wishes for one display. Wishes are not queued: a later one replaces an earlier one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// End the recording and the thread.
    pub(crate) stop: bool,
    /// Somebody watches the recording live.
    pub(crate) watched: bool,
    /// How the site wants it recorded; taken once.
    pub(crate) settings: Option<RecordingSettings>,
    /// How its pictures are to be coded; taken once.
    pub(crate) picture: Option<PictureSettings>,
    /// Nothing more is taken into the recording's queue.
    pub(crate) renew: Option<Renew>,
    /// Record nothing as long as this is so.
    pub(crate) hold: bool,
    /// How to record from now on, or from the next roll-over on; taken once.
    pub(crate) plan: Option<(Plan, When)>,
    /// What happened, for the recording; taken once.
    pub(crate) events: Vec<EventMessage>,
}

impl Wishes {
    /// Adds an event. So many at once mean that nothing is being recorded: they are dropped then.
    pub(crate) fn add_event(&mut self, event: EventMessage) {
        if self.events.len() < MOST_EVENTS {
            self.events.push(event);
        }
    }
}

/// How a session is to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// Tells one plan for a session from another.
    pub(crate) number: u64,
    /// What is done.
    pub(crate) action: Action,
    /// How.
    pub(crate) options: RuleOptions,
    /// Who decided.
    pub(crate) decided: Decided,
}

impl Eq for Plan {}

/// From when on something is to be so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// At once.
    Now,
    /// From the next segment on.
    RollOver,
}

/// A recording whose queue is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Renew {
    /// Which.
    pub(crate) recording: RecordingId,
    /// Whether it goes on with a new queue, for the old one failed; otherwise the server takes nothing more, and another begins.
    pub(crate) same: bool,
}

/// The way to wake a thread that waits for something else as well.
pub(crate) struct Bell {
    bell: UnixStream,
    ear: UnixStream,
}

impl Bell {
    /// # Errors
    /// The system gives no more file descriptors.
    pub(crate) fn new() -> io::Result<Self> {
        let (bell, ear) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        ear.set_nonblocking(true)?;
        Ok(Self { bell, ear })
    }

    /// Wakes the thread.
    pub(crate) fn ring(&self) {
        // A full pipe means that it is being woken already.
        let _ = (&self.bell).write(&[1]);
    }

    /// It is awake.
    pub(crate) fn hush(&self) {
        let mut sink = [0; 64];
        while (&self.ear).read(&mut sink).is_ok_and(|count| count == sink.len()) {}
    }

    /// Waits until it rings, `other` is readable, or the time is up.
    ///
    /// # Errors
    /// The system refuses to wait.
    pub(crate) fn wait(&self, other: Option<BorrowedFd<'_>>, most: Option<Duration>) -> io::Result<()> {
        let mut fds = vec![PollFd::new(self.ear.as_fd(), PollFlags::POLLIN)];
        fds.extend(other.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        // Whole milliseconds, rounded up: to wake too early would mean to wait twice.
        let millis = most.map(|most| most.as_micros().div_ceil(1_000));
        let timeout = match millis {
            Some(millis) => PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX),
            None => PollTimeout::NONE,
        };
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Wishes for one display's thread, and the way to wake it.
pub(crate) struct Control {
    wishes: Mutex<Wishes>,
    bell: Bell,
}

impl Control {
    /// # Errors
    /// The system gives no more file descriptors.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { wishes: Mutex::default(), bell: Bell::new()? })
    }

    /// Changes the wishes and wakes the thread.
    pub(crate) fn wish(&self, change: impl FnOnce(&mut Wishes)) {
        change(&mut self.lock());
        self.bell.ring();
    }

    /// The wishes now. What is to be done once is given out once.
    pub(crate) fn take(&self) -> Wishes {
        self.bell.hush();
        let mut wishes = self.lock();
        let (settings, picture, plan) = (wishes.settings.take(), wishes.picture.take(), wishes.plan.take());
        let events = std::mem::take(&mut wishes.events);
        Wishes { settings, picture, plan, events, ..wishes.clone() }
    }

    /// What happened and was not given out yet; everything else stays as it is.
    pub(crate) fn take_events(&self) -> Vec<EventMessage> {
        std::mem::take(&mut self.lock().events)
    }

    /// The wishes now, without taking any.
    pub(crate) fn peek(&self) -> Wishes {
        self.bell.hush();
        self.lock().clone()
    }

    /// Waits until there are new wishes, `other` is readable, or the time is up.
    ///
    /// # Errors
    /// The system refuses to wait.
    pub(crate) fn wait(&self, other: Option<BorrowedFd<'_>>, most: Option<Duration>) -> io::Result<()> {
        self.bell.wait(other, most)
    }

    fn lock(&self) -> MutexGuard<'_, Wishes> {
        // Plain values, changed one at a time.
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which thread records what, and how the site wants it.
#[derive(Default)]
pub(crate) struct Registry(Mutex<Registered>);

#[derive(Default)]
struct Registered {
    recordings: HashMap<RecordingId, Arc<Control>>,
    settings: RecordingSettings,
    /// How pictures are to be coded, once somebody said so while the agent ran.
    picture: Option<PictureSettings>,
}

impl Registry {
    /// A thread records this from now on.
    pub(crate) fn begin(&self, recording: RecordingId, control: &Arc<Control>) {
        self.lock().recordings.insert(recording, Arc::clone(control));
    }

    /// It does not any more.
    pub(crate) fn end(&self, recording: RecordingId) {
        self.lock().recordings.remove(&recording);
    }

    /// How the site wanted its recordings when it last said so.
    pub(crate) fn settings(&self) -> RecordingSettings {
        self.lock().settings.clone()
    }

    /// The site says how it wants a recording, and so the next ones too.
    pub(crate) fn set_settings(&self, recording: RecordingId, settings: RecordingSettings) {
        let control = {
            let mut registered = self.lock();
            registered.settings = settings.clone();
            registered.recordings.get(&recording).cloned()
        };
        if let Some(control) = control {
            control.wish(|wishes| wishes.settings = Some(settings));
        }
    }

    /// How pictures are to be coded, once somebody said so while the agent ran.
    pub(crate) fn picture(&self) -> Option<PictureSettings> {
        self.lock().picture.clone()
    }

    /// Pictures are to be coded like this, those of the recordings under way and of the next ones.
    pub(crate) fn set_picture(&self, picture: &PictureSettings) {
        let controls: Vec<_> = {
            let mut registered = self.lock();
            registered.picture = Some(picture.clone());
            registered.recordings.values().cloned().collect()
        };
        controls.iter().for_each(|control| control.wish(|wishes| wishes.picture = Some(picture.clone())));
    }

    /// Somebody begins or ends to watch a recording.
    pub(crate) fn set_watched(&self, recording: RecordingId, watched: bool) {
        if let Some(control) = self.control(recording) {
            control.wish(|wishes| wishes.watched = watched);
        }
    }

    /// Nobody can watch anything: the connection is gone.
    pub(crate) fn nobody_watches(&self) {
        let controls: Vec<_> = self.lock().recordings.values().cloned().collect();
        controls.iter().for_each(|control| control.wish(|wishes| wishes.watched = false));
    }

    /// Nothing more is taken into a recording's queue: its display gets another recording, or the same one another queue.
    pub(crate) fn renew(&self, recording: RecordingId, same: bool) {
        if let Some(control) = self.control(recording) {
            control.wish(|wishes| wishes.renew = Some(Renew { recording, same }));
        }
    }

    fn control(&self, recording: RecordingId) -> Option<Arc<Control>> {
        self.lock().recordings.get(&recording).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Registered> {
        // Maps and plain values, changed one at a time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_wakes_whoever_waits_and_settings_come_once() {
        let control = Arc::new(Control::new().unwrap());
        let waiting = Arc::clone(&control);
        let waiter = std::thread::spawn(move || {
            waiting.wait(None, None).unwrap();
            waiting.take()
        });
        control.wish(|wishes| wishes.settings = Some(RecordingSettings::default()));
        assert!(waiter.join().unwrap().settings.is_some());
        assert_eq!(control.take(), Wishes::default());
        for _ in 0..100_000 {
            control.wish(|wishes| wishes.watched = true);
        }
        assert!(control.take().watched);
        control.wish(|wishes| {
            wishes.stop = true;
            wishes.add_event(EventMessage::Unknown);
        });
        assert_eq!(control.take_events(), [EventMessage::Unknown]);
        let left = control.take();
        assert!(left.stop && left.events.is_empty());
    }

    #[test]
    fn wishes_reach_the_thread_of_their_recording() {
        let registry = Registry::default();
        let control = Arc::new(Control::new().unwrap());
        let (mine, other) = (RecordingId::from_bytes([1; 16]), RecordingId::from_bytes([2; 16]));
        registry.begin(mine, &control);
        registry.set_watched(other, true);
        assert!(!control.take().watched);
        registry.set_watched(mine, true);
        assert!(control.take().watched);
        registry.nobody_watches();
        assert!(!control.take().watched);
        registry.renew(mine, true);
        assert_eq!(control.take().renew, Some(Renew { recording: mine, same: true }));
        registry.end(mine);
        registry.set_watched(mine, true);
        assert!(!control.take().watched);
    }
}
