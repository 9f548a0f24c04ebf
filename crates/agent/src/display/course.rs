//! What is to be recorded of a display, and how: by the settings, or by a plan that may change while the session goes on.

use super::{Context, Outcome, Recording, Trouble};
use crate::capture::Happened;
use crate::{clock::Moment, control::Plan, settings::AudioSettings};
use playhead_format::EventMessage;
use playhead_model::{Mask, PictureSettings};

/// How a session is recorded.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Style {
    pub(super) masks: Vec<Mask>,
    pub(super) audio: AudioSettings,
    pub(super) picture: PictureSettings,
    /// Nothing but events.
    pub(super) events_only: bool,
}

/// What is to be recorded, from one recording to the next.
#[derive(Default)]
pub(super) struct Course {
    pub(super) plan: Option<Plan>,
    /// From the next segment on.
    pub(super) coming: Option<Plan>,
    /// What happened and is not recorded yet.
    pub(super) events: Vec<EventMessage>,
    pub(super) hold: bool,
}

impl Course {
    pub(super) fn records(&self) -> bool {
        !self.hold && self.plan.as_ref().is_none_or(|plan| plan.action.records())
    }
}

impl Context {
    /// How it is recorded by a plan; without one, as the settings say.
    pub(super) fn style(&self, plan: Option<&Plan>) -> Style {
        let Self { masks, audio, picture, .. } = self;
        let mut style = Style {
            masks: masks.clone(),
            audio: audio.clone(),
            picture: picture.clone(),
            events_only: false,
        };
        if let Some(Plan { action, options, .. }) = plan {
            let new = options.masks.iter().filter(|mask| !masks.contains(mask));
            style.masks.extend(new.cloned());
            style.events_only = !action.records_screen();
            style.audio.enabled = options.audio && !style.events_only;
            style.picture = options.picture.clone().unwrap_or_default();
        }
        style
    }
}

impl Recording<'_> {
    /// Goes by another plan from now on. Returns how the recording ends, if it does.
    pub(super) fn follow(&mut self, plan: Plan) -> Result<Option<Outcome>, Trouble> {
        let style = self.context.style(Some(&plan));
        self.context.progress.follows(plan.number);
        let records = plan.action.records();
        (self.course.plan, self.course.coming) = (Some(plan), None);
        // A recording of events has no pictures, from its beginning to its end; one with pictures is not left without.
        if !records || style.events_only != self.style.events_only {
            return Ok(Some(Outcome::Dropped));
        }
        let before = std::mem::replace(&mut self.style, style);
        if before.masks != self.style.masks {
            self.screen = None;
            self.screen = Some(self.context.open(&self.style)?);
            self.pending = Happened { drawn: true, moved: true, reshaped: true, resized: true };
        }
        if before.audio != self.style.audio {
            self.hear_last();
            self.sound = self.context.listen(&self.style.audio);
        }
        if before.picture != self.style.picture {
            self.recorder.set_picture(self.style.picture.clone());
        }
        // Where nobody draws, what is due because the segment is full must come as well.
        self.pending.drawn = true;
        Ok(None)
    }

    /// Records what happened.
    pub(super) fn note(&mut self, at: Moment) -> Result<(), Trouble> {
        if self.course.events.is_empty() {
            return Ok(());
        }
        if self.recorder.needs_picture(at) {
            // They come after it.
            self.pending.drawn = true;
            return Ok(());
        }
        for event in self.course.events.drain(..) {
            self.recorder.event(at, &event)?;
        }
        Ok(())
    }

    /// What happened up to now still belongs to the recording, also what came while nobody looked: a session that ends because of it
    /// may be gone by then.
    pub(super) fn note_last(&mut self) {
        self.course.events.extend(self.context.control.take_events());
        let at = self.now();
        if self.paused || !self.recorder.takes_events() {
            return;
        }
        for event in self.course.events.drain(..) {
            if let Err(error) = self.recorder.event(at, &event) {
                tracing::warn!(%error, "cannot record the last events");
                break;
            }
        }
    }
}
