//! What is done where something cannot be recorded or kept.

use super::{Outcome, Recording, Trouble};
use crate::{capture::CaptureError, session, settings::WhenFull};
use playhead_model::GapCause;
use std::{
    process::{Command, Stdio},
    thread,
    time::Duration,
};

impl Recording<'_> {
    /// The display does not answer. Returns whether its session still goes on.
    pub(super) fn reconnect(&mut self, error: &CaptureError) -> bool {
        let name = &self.context.display.display;
        self.screen = None;
        for _ in 0..3 {
            // A session that ends takes its display with it within a moment.
            let _ = self.context.control.wait(None, Some(Duration::from_millis(150)));
            let Ok(screen) = self.context.open(&self.style) else { continue };
            if !session::is_same(&screen, self.recorder.id()).unwrap_or(false) {
                return false;
            }
            tracing::error!(display = name, %error, "lost touch with the display for a moment");
            self.screen = Some(screen);
            self.recorder.lost(GapCause::CaptureFailed);
            self.begin_again();
            return true;
        }
        false
    }

    /// Something could not be recorded or kept. Returns how the recording ends, if it does.
    pub(super) fn suffer(&mut self, trouble: &Trouble) -> Option<Outcome> {
        let recording = self.recorder.id();
        let name = &self.context.display.display;
        let again = std::mem::replace(&mut self.troubled, true);
        let picture = self.recorder.picture_settings();
        self.context.tell(&self.queue, picture, Some(trouble.to_string()));
        match trouble {
            Trouble::Spool(error) if error.is_full() => {
                self.recorder.lost(GapCause::QueueFull);
                match self.context.spool.when_full() {
                    // What comes next begins a segment: for that, everything before may go. If that did not help, nothing will.
                    WhenFull::KeepNewest if !again => {
                        tracing::error!(%recording, display = name, %error, "something could not be queued");
                        self.begin_again();
                    }
                    WhenFull::Pause | WhenFull::KeepNewest => {
                        tracing::error!(%recording, display = name, %error, "recording is paused until there is room");
                        self.paused = true;
                    }
                    WhenFull::StopSession => {
                        tracing::error!(%recording, display = name, %error, "recording ends for lack of room");
                        return Some(Outcome::Full);
                    }
                }
            }
            Trouble::Spool(error) => {
                tracing::error!(%recording, display = name, %error,
                    "the queue failed: it is set aside, and the recording goes on with a new one");
                if let Err(error) = self.context.spool.set_aside(recording, &error.to_string(), true) {
                    tracing::error!(%recording, %error, "cannot set its queue aside");
                }
                return Some(Outcome::Lost);
            }
            _ => {
                tracing::error!(%recording, display = name, error = %trouble, "a picture could not be recorded");
                self.recorder.lost(GapCause::CaptureFailed);
                self.begin_again();
            }
        }
        None
    }

    /// Does to a session that cannot be recorded what the settings say.
    pub(super) fn stop_session(&self) {
        let Some(command) = self.context.spool.stop_command() else { return };
        let info = &self.queue.started().info;
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::null());
        shell.env("PLAYHEAD_DISPLAY", &info.display).env("PLAYHEAD_USER", &info.user);
        shell.env("PLAYHEAD_RECORDING", info.id.to_string());
        let (name, recording) = (info.display.clone(), info.id);
        // On a thread of its own: it may take as long as it likes, and its end has to be waited for by somebody.
        let waiting = thread::Builder::new().name("stop command".into()).spawn(move || match shell.status() {
            Ok(status) => {
                tracing::warn!(%recording, display = name, %status, "the session was stopped for lack of room");
            }
            Err(error) => tracing::error!(%recording, display = name, %error, "cannot run the stop command"),
        });
        if let Err(error) = waiting {
            tracing::error!(%recording, %error, "cannot run the stop command");
        }
    }
}
