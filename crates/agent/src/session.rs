//! Which recording a display's session belongs to: a new one, or one that an earlier run of the agent began.
//!
//! The mark is a property of the root window. It lives exactly as long as the session: a restarted agent finds it and goes
//! on with the same recording, even where its queue is gone or damaged; a new session has none.

use crate::{
    capture::{self, CaptureError, Manner, Screen},
    clock::Now,
    control::Registry,
    recorder::{Recorder, end_after},
    settings::DisplaySettings,
    spool::{Queue, Spool, SpoolError, Started},
};
use playhead_format::Signer;
use playhead_model::{
    EndReason, GapCause, RecordedSession, RecordingId, RecordingInfo, RecordingSettings, SessionId, WallTime,
};
use std::{path::Path, str::FromStr, sync::Arc};

/// The root window's property.
const MARK: &str = "_PLAYHEAD_RECORDING";

/// Why no recording could be begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error(transparent)]
    Capture(#[from] CaptureError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error("cannot get random bytes from the system: {0}")]
    Random(#[from] getrandom::Error),
}

/// What a session's mark says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    recording: RecordingId,
    boot_id: String,
    start_boot_us: u64,
    /// Wall clock at the recording's start, and the agent that made it. An earlier version did not say.
    made: Option<(WallTime, String)>,
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.recording, self.boot_id, self.start_boot_us)?;
        match &self.made {
            Some((at, by)) => write!(f, " {} {by}", at.as_micros()),
            None => Ok(()),
        }
    }
}

impl FromStr for Mark {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let words: Vec<&str> = text.split(' ').collect();
        if words.iter().any(|word| word.is_empty()) {
            return Err(());
        }
        let (first, made) = match *words.as_slice() {
            [recording, boot_id, start] => ((recording, boot_id, start), None),
            [recording, boot_id, start, at, by] => {
                let at = WallTime::from_micros(at.parse().map_err(|_| ())?);
                ((recording, boot_id, start), Some((at, by.to_owned())))
            }
            _ => return Err(()),
        };
        let (recording, boot_id, start) = first;
        Ok(Self {
            recording: recording.parse().map_err(|_| ())?,
            boot_id: boot_id.to_owned(),
            start_boot_us: start.parse().map_err(|_| ())?,
            made,
        })
    }
}

impl Mark {
    fn new(started: &Started, host: &Host) -> Self {
        Self {
            recording: started.info.id,
            boot_id: started.boot_id.clone(),
            start_boot_us: started.start_boot_us,
            made: Some((started.info.started_at, host.agent.clone())),
        }
    }
}

/// What is known of the session that a recording is of, as the recording begins.
pub(crate) struct About {
    pub(crate) client: Option<String>,
    pub(crate) client_address: Option<String>,
    pub(crate) session: RecordedSession,
}

/// A recording that is under way on a display.
pub(crate) struct Session {
    pub(crate) recorder: Recorder,
    pub(crate) queue: Arc<Queue>,
}

/// What the agent knows of itself and its machine.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) boot_id: String,
    /// The agent's public key: by this it knows its own marks.
    pub(crate) agent: String,
    /// Signs with the agent's key.
    pub(crate) signer: Signer,
}

/// Finds or begins the recording of the session on `screen`. What an earlier session on this display left unended is ended.
///
/// # Errors
/// The display is gone, or nothing can be written.
pub(crate) fn begin(
    screen: &Screen,
    settings: &DisplaySettings,
    host: &Host,
    spool: &Spool,
    registry: &Registry,
    about: Option<About>,
) -> Result<Session, SessionError> {
    let mark = screen.mark(MARK)?.and_then(|text| text.parse::<Mark>().ok());
    let mark = mark.filter(|mark| mark.boot_id == host.boot_id);
    let marked = mark.as_ref().and_then(|mark| spool.get(mark.recording));
    // The mark is on a display that belongs to the session's user. One of events does not become one of pictures.
    let kind = |session: &RecordedSession| (session.id, session.events_only);
    let wanted = about.as_ref().map(|about| kind(&about.session));
    let fits = |queue: &Arc<Queue>| {
        let info = &queue.started().info;
        !queue.has_ended() && info.display == settings.display && info.session.as_ref().map(kind) == wanted
    };
    let is_over = marked.as_ref().is_some_and(|queue| !fits(queue));
    // A session that is known needs no mark, and may have none: an X server that nobody uses for a moment forgets everything.
    let known = wanted.and_then(|_| spool.all().into_iter().rfind(fits));
    let found = known.or(marked.filter(fits));
    end_others(spool, host, &settings.display, found.as_ref().map(|queue| queue.id()));
    let wanted = registry.settings();
    let seed = seed()?;
    let mut cause = GapCause::AgentRestarted;
    if let Some(queue) = found {
        match go_on(&queue, wanted.clone(), seed) {
            Ok(recorder) => {
                let recorder = recorder.signed_by(host.signer.clone());
                if mark.is_none_or(|mark| mark.recording != queue.id()) {
                    screen.set_mark(MARK, Some(&Mark::new(queue.started(), host).to_string()))?;
                }
                tracing::info!(recording = %queue.id(), display = settings.display, "going on with the session's recording");
                return Ok(Session { recorder, queue });
            }
            Err(error) => {
                tracing::error!(recording = %queue.id(), %error, "the queue of the session's recording is damaged: setting it aside");
                spool.set_aside(queue.id(), &error.to_string(), true)?;
            }
        }
    }
    let now = Now::read();
    let lost = mark.filter(|mark| {
        // One without a name may be another agent's; it is an earlier version's in any case.
        !is_over && mark.made.as_ref().is_some_and(|(_, agent)| *agent == host.agent)
    });
    if lost.as_ref().is_some_and(|mark| spool.has_set_aside(mark.recording)) {
        cause = GapCause::QueueDamaged;
    }
    let (id, start_boot_us, started_at) = match &lost {
        Some(Mark { recording, start_boot_us, made: Some((at, _)), .. }) => (*recording, *start_boot_us, *at),
        _ => (uuid::Uuid::now_v7().into(), now.boot_us, now.wall),
    };
    let (client, client_address, session) = match about {
        Some(About { client, client_address, session }) => (client, client_address, Some(session)),
        None => (None, None, None),
    };
    let info = RecordingInfo {
        id,
        host: host.name.clone(),
        user: settings.user.clone().unwrap_or_else(|| capture::session_user(&settings.display)),
        display: settings.display.clone(),
        client,
        client_address,
        application: settings.application.clone().unwrap_or_else(|| "desktop".into()),
        started_at,
        agent_version: crate::VERSION.into(),
        monitors: screen.monitors()?,
        session,
    };
    let user = info.user.clone();
    let started = Started { info: info.clone(), boot_id: host.boot_id.clone(), start_boot_us };
    let mark = Mark::new(&started, host);
    let queue = if lost.is_some() {
        tracing::error!(recording = %id, display = settings.display, %cause,
            "the queue of the session's recording is gone: going on after what the server has of it");
        spool.create_after_loss(started, cause)?
    } else {
        spool.create(started)?
    };
    // The mark comes after the queue: found without a queue it means that the queue was lost.
    screen.set_mark(MARK, Some(&mark.to_string()))?;
    if lost.is_none() {
        tracing::info!(recording = %id, display = settings.display, user, "recording begins");
    }
    Ok(Session { recorder: Recorder::new(info, wanted, seed).signed_by(host.signer.clone()), queue })
}

/// Goes on where the queue of an earlier run ends.
///
/// # Errors
/// The queue cannot be read.
fn go_on(queue: &Queue, wanted: RecordingSettings, seed: u64) -> Result<Recorder, SpoolError> {
    let info = queue.started().info.clone();
    let tail = queue.tail()?;
    let mut cause = GapCause::AgentRestarted;
    if queue.lost_tail() {
        queue.note_lost_tail()?;
        cause = GapCause::QueueDamaged;
    }
    Ok(match tail {
        Some(tail) => Recorder::resume(info, wanted, seed, tail, cause),
        None => Recorder::new(info, wanted, seed),
    })
}

/// Whether the session on `screen` is still the one that this recording is of.
///
/// # Errors
/// The display is gone.
pub(crate) fn is_same(screen: &Screen, recording: RecordingId) -> Result<bool, CaptureError> {
    Ok(screen
        .mark(MARK)?
        .and_then(|text| text.parse::<Mark>().ok())
        .is_some_and(|mark| mark.recording == recording))
}

/// Takes the mark away: the recording has ended before its session.
pub(crate) fn unmark(screen: &Screen) {
    if let Err(error) = screen.set_mark(MARK, None) {
        tracing::debug!(%error, "cannot take the mark off the display");
    }
}

/// Ends every unended recording of a display but one: their sessions are over, and nobody saw their end.
pub(crate) fn end_others(spool: &Spool, host: &Host, display: &str, but: Option<RecordingId>) {
    for queue in spool.all() {
        if queue.started().info.display == display && Some(queue.id()) != but {
            end_unseen(spool, host, &queue);
        }
    }
}

/// Ends the recordings that no session can belong to any more: of an earlier run of the machine, of displays that are not recorded any
/// more, or of sessions that `is_alive` does not know.
pub(crate) fn end_orphans(
    spool: &Spool,
    host: &Host,
    displays: &[DisplaySettings],
    is_alive: impl Fn(SessionId) -> bool,
) {
    for queue in spool.all() {
        let started = queue.started();
        let known = match &started.info.session {
            Some(session) => is_alive(session.id),
            None => displays.iter().any(|display| display.display == started.info.display),
        };
        if started.boot_id != host.boot_id || !known {
            end_unseen(spool, host, &queue);
        }
    }
}

/// Ends a recording that an earlier run of the agent has left open and that nobody goes on with, though its session may. `server` is the
/// process that must be the display's X server, where that is known.
pub(crate) fn end_left(
    spool: &Spool,
    host: &Host,
    queue: &Queue,
    xauthority: Option<&Path>,
    server: Option<u32>,
) {
    end_unseen(spool, host, queue);
    // Otherwise the session's next recording would be taken for this one, without its queue.
    let manner = Manner { xauthority, masks: &[], server, quiet: true };
    match Screen::connect(&queue.started().info.display, &manner) {
        Ok(screen) if is_same(&screen, queue.id()).unwrap_or(false) => unmark(&screen),
        Ok(_) => {}
        Err(error) => {
            tracing::debug!(recording = %queue.id(), %error, "cannot take the mark off the display");
        }
    }
}

fn end_unseen(spool: &Spool, host: &Host, queue: &Queue) {
    if queue.has_ended() {
        return;
    }
    let ended = (|| -> Result<(), SpoolError> {
        let Some((head, hash)) = queue.tail()? else { return spool.remove(queue.id()) };
        spool.append(queue, &end_after(&head, hash, EndReason::AgentLost, &host.signer)?)
    })();
    match ended {
        Ok(()) => tracing::info!(recording = %queue.id(), "an earlier session's recording has ended"),
        Err(error) => {
            tracing::error!(recording = %queue.id(), %error, "cannot end an earlier session's recording");
        }
    }
}

fn seed() -> Result<u64, getrandom::Error> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed)?;
    Ok(u64::from_le_bytes(seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back_and_others_are_passed_over() {
        let mark = Mark {
            recording: RecordingId::from_bytes([7; 16]),
            boot_id: "5e8ec6b6-7d3f".into(),
            start_boot_us: 12,
            made: None,
        };
        let text = mark.to_string();
        assert_eq!(text.parse(), Ok(mark.clone()));
        let by = Mark { made: Some((WallTime::from_micros(77), "key".into())), ..mark };
        assert_eq!(by.to_string().parse(), Ok(by));
        for bad in ["", "x y z", &format!("{text} more"), text.trim_end_matches("12"), &format!("{text} x y")]
        {
            assert_eq!(bad.parse::<Mark>(), Err(()), "{bad}");
        }
    }
}
