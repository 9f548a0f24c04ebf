//! The thread that records one display.

mod course;
mod trouble;

use crate::{
    audio::Sound,
    capture::{CaptureError, Happened, Manner, Screen},
    clock::{Moment, Now},
    control::{Control, Registry, Renew, When},
    recorder::{RecordError, Sink},
    session::{self, Host, Session, SessionError},
    sessions::{Managed, Progress},
    settings::{AudioSettings, DisplaySettings},
    spool::{Queue, Spool, SpoolError},
    status::{DisplayReport, Status},
};
use course::{Course, Style};
use playhead_format::Fragment;
use playhead_model::{EndReason, Mask, Monitor, PictureSettings};
use std::{sync::Arc, time::Duration};

/// A display that is not there is looked for again after this, and ever more rarely.
const FIRST: Duration = Duration::from_millis(100);
/// While a display is not there it is looked for at this interval at least.
const LOOK: Duration = Duration::from_secs(2);
/// A display that is there but cannot be recorded is tried again after this.
const RETRY: Duration = Duration::from_secs(10);
/// While there is no room, room is looked for at this interval.
const PAUSE: Duration = Duration::from_secs(1);

/// However slowly pictures are made, the next one is begun after this.
const SLOWEST_US: u64 = 2_000_000;

/// What the thread needs of the rest of the agent.
pub(crate) struct Context {
    pub(crate) display: DisplaySettings,
    pub(crate) masks: Vec<Mask>,
    pub(crate) audio: AudioSettings,
    pub(crate) picture: PictureSettings,
    pub(crate) host: Host,
    pub(crate) spool: Arc<Spool>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) control: Arc<Control>,
    pub(crate) status: Arc<Status>,
    /// The session that it is, where it was found and is recorded as the policy says.
    pub(crate) session: Option<Arc<Managed>>,
    /// Where it is told how it goes.
    pub(crate) progress: Arc<Progress>,
}

/// Why recording a session went no further.
enum Outcome {
    /// The agent is told to stop.
    Stopped,
    /// The session ended.
    Ended,
    /// The server takes nothing more for the recording.
    Renewed,
    /// The queue failed: the same recording goes on with a new one.
    Lost,
    /// There is no room, and then the session is to be stopped.
    Full,
    /// Somebody, or the policy, wants it recorded no more, or in a way that makes another recording of it.
    Dropped,
}

impl Outcome {
    /// The queue is closed: because it failed, or because the server takes nothing more.
    fn closed(failed: bool) -> Self {
        if failed { Self::Lost } else { Self::Renewed }
    }
}

/// Why something could not be recorded.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Capture(#[from] CaptureError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// Records the display's sessions, one after another, until told to stop.
pub(crate) fn run(context: &Context) {
    let name = &context.display.display;
    let mut wait = FIRST;
    let mut told = String::new();
    let mut course = Course::default();
    // The recording that has just broken off is to go on.
    let mut goes_on = false;
    if let Some(session) = &context.session {
        course.plan = Some(session.plan());
    }
    let mut tell = |error: &dyn std::fmt::Display| {
        let text = error.to_string();
        context.status.display(name, DisplayReport { error: Some(text.clone()), ..Default::default() });
        context.progress.set(None, Some(text.clone()));
        if text != told {
            tracing::error!(
                display = name,
                error = text,
                "cannot record the display; trying again until it works"
            );
            told = text;
        }
    };
    loop {
        let wishes = context.control.take();
        if wishes.stop {
            break;
        }
        course.hold = wishes.hold;
        match wishes.plan {
            Some((plan, When::Now)) => (course.plan, course.coming) = (Some(plan), None),
            Some((plan, When::RollOver)) => course.coming = Some(plan),
            None => {}
        }
        // What was to come with the next segment comes with the next recording; not with one that only goes on.
        if course.coming.is_some() && !goes_on && !context.is_open() {
            course.plan = course.coming.take();
        }
        goes_on = false;
        if let Some(plan) = &course.plan {
            context.progress.follows(plan.number);
        }
        course.events.extend(wishes.events);
        if !course.records() {
            // What an earlier run of the agent has left open is recorded no more either.
            context.end_what_is_open();
            course.events.clear();
            context.status.display(name, DisplayReport::default());
            context.progress.set(None, None);
            if let Err(error) = context.control.wait(None, None) {
                tell(&error);
                return;
            }
            continue;
        }
        let mut pause = RETRY;
        let style = context.style(course.plan.as_ref());
        match context.open(&style) {
            Ok(screen) => match context.begin(screen, style, &mut course) {
                Ok(recording) => match recording.run() {
                    Outcome::Stopped => break,
                    Outcome::Ended => (wait, pause) = (FIRST, Duration::ZERO),
                    Outcome::Renewed | Outcome::Dropped => pause = Duration::ZERO,
                    Outcome::Lost => (goes_on, pause) = (true, PAUSE),
                    Outcome::Full => {
                        if !context.wait_for_room() {
                            break;
                        }
                        pause = Duration::ZERO;
                    }
                },
                Err(error) => tell(&error),
            },
            Err(error) => {
                if error.is_gone() {
                    session::end_others(&context.spool, &context.host, name, None);
                    pause = wait;
                    wait = (wait * 2).min(LOOK);
                }
                tell(&error);
            }
        }
        if let Err(error) = context.control.wait(None, Some(pause)) {
            tell(&error);
            return;
        }
    }
    // Told to stop before what an earlier run of the agent has left open could go on.
    context.end_what_is_open();
    context.status.display(name, DisplayReport::default());
    context.progress.set(None, None);
}

impl Context {
    fn open(&self, style: &Style) -> Result<Screen, CaptureError> {
        let manner = Manner {
            xauthority: self.display.xauthority.as_deref(),
            masks: &style.masks,
            server: self.session.as_ref().map(|session| session.server.pid),
            quiet: style.events_only,
        };
        Screen::connect(&self.display.display, &manner)
    }

    /// The recordings of this session, or of this display where it is recorded without one, that have not ended.
    fn open_recordings(&self) -> impl Iterator<Item = Arc<Queue>> {
        let own = |queue: &Arc<Queue>| {
            let info = &queue.started().info;
            let is_it = match (&self.session, &info.session) {
                (Some(managed), Some(session)) => session.id == managed.id,
                (None, None) => info.display == self.display.display,
                _ => false,
            };
            is_it && !queue.has_ended()
        };
        self.spool.all().into_iter().filter(own)
    }

    /// Whether an earlier run of the agent, or an earlier attempt, has begun a recording that is to go on.
    fn is_open(&self) -> bool {
        self.open_recordings().next().is_some()
    }

    /// Ends what nobody goes on with.
    fn end_what_is_open(&self) {
        for queue in self.open_recordings() {
            let server = self.session.as_ref().map(|session| session.server.pid);
            session::end_left(&self.spool, &self.host, &queue, self.display.xauthority.as_deref(), server);
        }
    }

    fn begin<'a>(
        &'a self,
        screen: Screen,
        style: Style,
        course: &'a mut Course,
    ) -> Result<Recording<'a>, SessionError> {
        let about = self.session.as_ref().map(|session| session.about(course.plan.as_ref()));
        let Session { mut recorder, queue } =
            session::begin(&screen, &self.display, &self.host, &self.spool, &self.registry, about)?;
        recorder.set_picture(self.registry.picture().unwrap_or_else(|| style.picture.clone()));
        // Nobody watches what has just begun, and its queue is new.
        self.control.wish(|wishes| (wishes.watched, wishes.renew) = (false, None));
        self.registry.begin(queue.id(), &self.control);
        self.tell(&queue, recorder.picture_settings(), None);
        let sound = self.listen(&style.audio);
        let everything = Happened { drawn: true, moved: true, reshaped: true, resized: true };
        Ok(Recording {
            context: self,
            course,
            style,
            screen: Some(screen),
            sound,
            recorder,
            queue,
            pending: everything,
            monitors: None,
            next_us: 0,
            paused: false,
            troubled: false,
        })
    }

    /// Begins to listen, where sound is to be recorded. That it cannot is no reason not to record the picture.
    fn listen(&self, audio: &AudioSettings) -> Option<Sound> {
        let sound = audio.enabled.then(|| Sound::start(&self.display, audio, &self.control, &self.status))?;
        sound
            .inspect_err(|error| {
                tracing::error!(display = self.display.display, %error, "cannot record sound");
            })
            .ok()
    }

    /// Nothing is recorded until there is room again. Returns whether there is; otherwise the agent is told to stop.
    fn wait_for_room(&self) -> bool {
        while !self.spool.has_room() {
            let wishes = self.control.peek();
            if wishes.stop || self.control.wait(None, Some(PAUSE)).is_err() {
                return false;
            }
            if wishes.hold {
                break;
            }
        }
        true
    }

    fn tell(&self, queue: &Queue, picture: &PictureSettings, error: Option<String>) {
        self.progress.set(Some(queue.id()), error.clone());
        let report = DisplayReport { recording: Some(queue.id()), error, picture: picture.clone() };
        self.status.display(&self.display.display, report);
    }
}

/// Puts fragments into the spool.
struct ToSpool<'a>(&'a Spool, &'a Queue);

impl Sink for ToSpool<'_> {
    type Error = Trouble;

    fn keep(&mut self, fragment: &Fragment) -> Result<(), Trouble> {
        Ok(self.0.append(self.1, fragment)?)
    }
}

/// One session being recorded.
struct Recording<'a> {
    context: &'a Context,
    course: &'a mut Course,
    style: Style,
    /// Gone once the session is.
    screen: Option<Screen>,
    /// Gone where sound is not recorded.
    sound: Option<Sound>,
    recorder: crate::recorder::Recorder,
    queue: Arc<Queue>,
    /// What happened and is not recorded yet.
    pending: Happened,
    /// The monitors, when they may be others than those that are recorded.
    monitors: Option<Vec<Monitor>>,
    /// Media time before which no picture is taken.
    next_us: u64,
    /// There is no room in the queue.
    paused: bool,
    /// Something went wrong, and nothing was recorded since.
    troubled: bool,
}

impl Recording<'_> {
    fn run(mut self) -> Outcome {
        let outcome = loop {
            match self.step() {
                Ok(None) => {}
                Ok(Some(outcome)) => break outcome,
                Err(Trouble::Capture(error)) => {
                    tracing::debug!(display = self.context.display.display, %error, "the display does not answer");
                    if !self.reconnect(&error) {
                        break Outcome::Ended;
                    }
                }
                Err(Trouble::Spool(SpoolError::Closed { failed, .. })) => break Outcome::closed(failed),
                Err(trouble) => {
                    if let Some(outcome) = self.suffer(&trouble) {
                        break outcome;
                    }
                }
            }
        };
        let reason = match outcome {
            Outcome::Stopped => Some(EndReason::AgentStopped),
            Outcome::Ended => Some(EndReason::SessionEnded),
            Outcome::Full | Outcome::Dropped => Some(EndReason::Stopped),
            Outcome::Renewed | Outcome::Lost => None,
        };
        let id = self.recorder.id();
        if matches!(outcome, Outcome::Renewed)
            && let Some(screen) = &self.screen
        {
            // Otherwise the next one would be taken for this one without its queue.
            session::unmark(screen);
        }
        if matches!(outcome, Outcome::Stopped | Outcome::Dropped) {
            self.take_last();
        }
        self.hear_last();
        self.context.registry.end(id);
        self.context.progress.set(None, None);
        if let Some(reason) = reason {
            self.note_last();
            self.finish(reason);
        }
        if matches!(outcome, Outcome::Full) {
            self.stop_session();
        }
        self.context.spool.touch();
        outcome
    }

    /// One round: what is wished, what happened, what is due; then a wait.
    fn step(&mut self) -> Result<Option<Outcome>, Trouble> {
        let wishes = self.context.control.take();
        if wishes.stop {
            return Ok(Some(Outcome::Stopped));
        }
        self.course.events.extend(wishes.events);
        self.course.hold = wishes.hold;
        let plan = match wishes.plan {
            Some((plan, When::Now)) => Some(plan),
            Some((plan, When::RollOver)) => {
                self.course.coming = Some(plan);
                None
            }
            None => None,
        };
        let renewed = wishes.renew.filter(|renew| renew.recording == self.recorder.id());
        if let Some(outcome) = match (renewed, wishes.hold) {
            (Some(Renew { same, .. }), _) => Some(Outcome::closed(same)),
            (None, true) => Some(Outcome::Dropped),
            (None, false) => None,
        } {
            self.course.plan = plan.or(self.course.plan.take());
            return Ok(Some(outcome));
        }
        if let Some(plan) = plan
            && let Some(outcome) = self.follow(plan)?
        {
            return Ok(Some(outcome));
        }
        if let Some(settings) = wishes.settings {
            self.recorder.set_settings(settings);
        }
        if let Some(picture) = wishes.picture {
            tracing::info!(recording = %self.recorder.id(), mode = picture.mode.as_str(), quality = picture.quality.percent(), "pictures are recorded differently");
            self.recorder.set_picture(picture);
            if !self.troubled {
                self.context.tell(&self.queue, self.recorder.picture_settings(), None);
            }
            // Where nobody draws, the change must come into effect as well.
            self.pending.drawn = true;
        }
        self.recorder.set_watched(wishes.watched);
        if let Some(sound) = &mut self.sound {
            sound.set_watched(wishes.watched);
        }
        let Some(screen) = &mut self.screen else { return Ok(Some(Outcome::Ended)) };
        self.pending.add(screen.events()?);
        if std::mem::take(&mut self.pending.resized) {
            self.pending.drawn |= screen.resize()?;
            self.monitors = Some(screen.monitors()?);
            // Where the pointer is, is to be looked at again too; and that makes this something to record.
            self.pending.moved = true;
        }
        if self.paused {
            if self.context.spool.has_room() {
                self.go_on();
                return Ok(None);
            }
            // What is heard meanwhile is not recorded either.
            self.sound.iter().for_each(|sound| drop(sound.take()));
        } else {
            let now = self.now();
            if let Some(plan) = self.course.coming.take_if(|_| self.recorder.is_segment_full(now)) {
                return self.follow(plan);
            }
            self.note(now)?;
            self.hear(now)?;
            if self.pending.is_something() && now.media_us >= self.next_us {
                self.next_us = now.media_us + self.interval();
                self.take()?;
                let spent_us = self.now().media_us.saturating_sub(now.media_us);
                self.next_us = now.media_us + pace(self.interval(), spent_us);
                // While the display answered, more may have come in.
                return Ok(None);
            }
            self.recorder.tick(now, &mut ToSpool(&self.context.spool, &self.queue))?;
        }
        self.wait()?;
        Ok(None)
    }

    /// Records what has been heard.
    fn hear(&mut self, at: Moment) -> Result<(), Trouble> {
        let Some(sound) = &self.sound else { return Ok(()) };
        for heard in sound.take() {
            if let Some(message) = heard.message(self.queue.started().start_boot_us) {
                self.recorder.sound(at, &message)?;
            }
            // Where nobody draws, sound alone must make segments end and key frames come.
            self.pending.drawn |= self.recorder.needs_picture(at);
        }
        Ok(())
    }

    /// Stops listening; what was heard up to now still belongs to the recording.
    fn hear_last(&mut self) {
        let Some(sound) = self.sound.take() else { return };
        let (heard, at) = (sound.finish(), self.now());
        if self.paused {
            return;
        }
        let start_boot_us = self.queue.started().start_boot_us;
        for message in heard.into_iter().filter_map(|heard| heard.message(start_boot_us)) {
            if let Err(error) = self.recorder.sound(at, &message) {
                tracing::warn!(%error, "cannot record the last sound");
            }
        }
    }

    /// Records what is pending.
    fn take(&mut self) -> Result<(), Trouble> {
        let at = self.now();
        let Some(screen) = &mut self.screen else { return Ok(()) };
        let mut pending = std::mem::take(&mut self.pending);
        if screen.is_quiet() {
            (pending.reshaped, pending.moved, self.monitors) = (false, false, None);
        }
        if pending.reshaped {
            self.recorder.shape(at, &screen.shape()?)?;
        }
        if pending.moved {
            let place = screen.place()?;
            self.recorder.place(at, place.x, place.y, place.visible)?;
        }
        if let Some(monitors) = self.monitors.take() {
            self.recorder.monitors(at, monitors)?;
        }
        let needed = self.recorder.needs_picture(at);
        if pending.drawn || needed {
            let rects = screen.update()?;
            self.recorder.masked(at, &screen.applied_masks())?;
            if needed || !rects.is_empty() {
                let mut sink = ToSpool(&self.context.spool, &self.queue);
                self.recorder.picture(at, &screen.picture(), &rects, &mut sink)?;
            }
        }
        self.recorder.tick(at, &mut ToSpool(&self.context.spool, &self.queue))?;
        if std::mem::take(&mut self.troubled) {
            self.context.tell(&self.queue, self.recorder.picture_settings(), None);
        }
        Ok(())
    }

    /// What was drawn since the last picture still belongs to the recording.
    fn take_last(&mut self) {
        let Some(screen) = &mut self.screen else { return };
        let Ok(more) = screen.events() else { return };
        self.pending.add(more);
        if self.pending.is_something()
            && !self.paused
            && let Err(error) = self.take()
        {
            tracing::warn!(%error, "cannot take the last picture");
        }
    }

    /// Waits for the display, for wishes, or for what is due next.
    fn wait(&self) -> Result<(), Trouble> {
        let now = self.now().media_us;
        let until = |at: u64| Duration::from_micros(at.saturating_sub(now));
        let close = self.recorder.deadline().map(until);
        let roll = self.course.coming.as_ref().and(self.recorder.full_at()).map(until);
        // Within the interval after a picture nothing is looked at, however much happens. What is pending must not wait for
        // the display: it says only once that something was drawn.
        let resting = self.pending.is_something() && !self.paused;
        let fd = self.screen.as_ref().filter(|_| !self.paused && !resting).map(Screen::fd);
        let rest = resting.then(|| until(self.next_us));
        let reveal = self.screen.as_ref().filter(|_| !self.paused && !resting).and_then(Screen::rest);
        let pause = self.paused.then_some(PAUSE);
        let most = [close, roll, rest, reveal, pause].into_iter().flatten().min();
        self.context.control.wait(fd, most).map_err(|error| CaptureError::Request(error.to_string()).into())
    }

    fn go_on(&mut self) {
        self.paused = false;
        tracing::info!(recording = %self.recorder.id(), "recording goes on");
        self.begin_again();
        self.next_us = 0;
    }

    /// Everything counts as new, after a moment's rest.
    fn begin_again(&mut self) {
        self.pending = Happened { drawn: true, moved: true, reshaped: true, resized: true };
        self.next_us = self.now().media_us + 1_000_000;
    }

    fn finish(&mut self, reason: EndReason) {
        let at = self.now();
        let recording = self.recorder.id();
        if matches!(reason, EndReason::AgentStopped | EndReason::Stopped)
            && let Some(screen) = &self.screen
        {
            session::unmark(screen);
        }
        let mut sink = ToSpool(&self.context.spool, &self.queue);
        match self.recorder.finish(at, reason, &mut sink) {
            Ok(()) => tracing::info!(%recording, %reason, "recording has ended"),
            Err(error) => tracing::error!(%recording, %error, "cannot queue the end of the recording"),
        }
        if self.queue.is_unused()
            && let Err(error) = self.context.spool.remove(recording)
        {
            tracing::warn!(%recording, %error, "cannot remove an empty queue");
        }
    }

    fn now(&self) -> Moment {
        Now::read().since(self.queue.started().start_boot_us)
    }

    fn interval(&self) -> u64 {
        let own = self.recorder.picture_settings().frame_rate;
        1_000_000 / u64::from(own.unwrap_or(self.recorder.settings().frame_rate).max(1))
    }
}

/// Time from the beginning of one picture to that of the next, where the last took so long: at least as much again is left to
/// others. What takes long is either much to do, or a processor on which others are at work; both pass, and so does this.
fn pace(interval_us: u64, spent_us: u64) -> u64 {
    interval_us.max(spent_us.saturating_mul(2).min(SLOWEST_US))
}

#[cfg(test)]
#[path = "display_tests.rs"]
mod tests;
