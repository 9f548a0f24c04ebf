//! Where everything that the keeper of sessions is to know comes together, and what the server is to hear lies until it is taken.

use super::{Person, helper::Heard};
use crate::{
    control::Bell,
    discover::{Process, Seen},
};
use bytes::Bytes;
use playhead_model::{SessionCommand, SessionId, SessionInfo};
use playhead_protocol::message::{CommandDone, FromAgent, PolicyTaken};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// The most commands that wait to be obeyed; more are refused.
const MOST_COMMANDS: usize = 64;
/// The most answers, and the most sessions that have ended, that wait to be told.
const MOST_WAITING: usize = 256;

/// What came in.
#[derive(Default)]
pub(super) struct Inbox {
    pub(super) stop: bool,
    /// All sessions there are, when they changed.
    pub(super) seen: Option<Vec<Seen>>,
    /// Names and groups that were looked up for a session.
    pub(super) people: Vec<(Process, u32, Person)>,
    /// The newest policy.
    pub(super) policy: Option<String>,
    pub(super) commands: VecDeque<(Bytes, SessionCommand)>,
    /// What helpers say, with their numbers.
    pub(super) words: Vec<(SessionId, u64, Heard)>,
}

/// What the server is to hear.
#[derive(Default)]
pub(crate) struct Tellings {
    /// All sessions there are; `None` as long as nobody has looked.
    pub(crate) sessions: Option<BTreeMap<SessionId, SessionInfo>>,
    /// Sessions that are over, as they were last. Taken once.
    pub(crate) ended: VecDeque<SessionInfo>,
    /// Taken once.
    pub(crate) answers: VecDeque<FromAgent>,
}

/// The desk.
pub(crate) struct Desk {
    bell: Bell,
    inbox: Mutex<Inbox>,
    tellings: Mutex<Tellings>,
    changed: Notify,
}

impl Desk {
    /// # Errors
    /// The system gives no more file descriptors.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            bell: Bell::new()?,
            inbox: Mutex::default(),
            tellings: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// Everything is to end.
    pub(crate) fn stop(&self) {
        self.put(|inbox| inbox.stop = true);
    }

    /// The server's policy. Of two that nobody has looked at yet the newer one counts.
    pub(crate) fn policy(&self, document: String) {
        self.put(|inbox| inbox.policy = Some(document));
    }

    /// A command of the server's.
    pub(crate) fn command(&self, id: Bytes, command: &str) {
        let read = serde_json::from_str::<SessionCommand>(command);
        let refused = match read {
            Err(error) => Some(format!("this agent does not understand the command: {error}")),
            Ok(command) => self.put(|inbox| {
                let is_full = inbox.commands.len() >= MOST_COMMANDS;
                if !is_full {
                    inbox.commands.push_back((id.clone(), command));
                }
                is_full.then(|| "too many commands wait already: try again".to_owned())
            }),
        };
        if let Some(error) = refused {
            self.answer(CommandDone { command: id, error });
        }
    }

    /// These sessions there are now.
    pub(super) fn saw(&self, seen: Vec<Seen>) {
        self.put(|inbox| inbox.seen = Some(seen));
    }

    /// This was found out of a session's user.
    pub(super) fn know(&self, server: Process, user: u32, person: Person) {
        self.put(|inbox| inbox.people.push((server, user, person)));
    }

    /// A session's helper says this.
    pub(super) fn heard(&self, session: SessionId, number: u64, heard: Heard) {
        self.put(|inbox| {
            // A helper that floods is the user's doing; that it ended is always heard.
            if inbox.words.len() < MOST_WAITING || matches!(heard, Heard::Ended(_)) {
                inbox.words.push((session, number, heard));
            }
        });
    }

    /// Something is to be looked at.
    pub(super) fn ring(&self) {
        self.bell.ring();
    }

    /// What came since the last call.
    pub(super) fn take(&self) -> Inbox {
        self.bell.hush();
        let mut inbox = self.lock_inbox();
        let stop = inbox.stop;
        Inbox { stop, ..std::mem::replace(&mut *inbox, Inbox { stop, ..Inbox::default() }) }
    }

    /// Waits until something comes, or the time is up.
    pub(super) fn wait(&self, most: Option<Duration>) -> io::Result<()> {
        self.bell.wait(None, most)
    }

    /// The server is to hear what sessions there are.
    pub(super) fn tell(&self, sessions: &BTreeMap<SessionId, SessionInfo>, ended: Vec<SessionInfo>) {
        let mut tellings = self.lock_tellings();
        if tellings.sessions.as_ref() == Some(sessions) && ended.is_empty() {
            return;
        }
        tellings.sessions = Some(sessions.clone());
        tellings.ended.extend(ended);
        while tellings.ended.len() > MOST_WAITING {
            tellings.ended.pop_front();
        }
        drop(tellings);
        self.changed.notify_one();
    }

    pub(super) fn taken(&self, revision: u64, error: String) {
        self.answer(PolicyTaken { revision, error });
    }

    pub(super) fn answer(&self, answer: impl Into<FromAgent>) {
        {
            let answers = &mut self.lock_tellings().answers;
            if answers.len() >= MOST_WAITING {
                answers.pop_front();
            }
            answers.push_back(answer.into());
        }
        self.changed.notify_one();
    }

    /// Something is to be told.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What is to be told now.
    pub(crate) fn tellings(&self) -> Tellings {
        let mut tellings = self.lock_tellings();
        let (ended, answers) = (std::mem::take(&mut tellings.ended), std::mem::take(&mut tellings.answers));
        Tellings { sessions: tellings.sessions.clone(), ended, answers }
    }

    fn put<T>(&self, change: impl FnOnce(&mut Inbox) -> T) -> T {
        let made = change(&mut self.lock_inbox());
        self.bell.ring();
        made
    }

    fn lock_inbox(&self) -> MutexGuard<'_, Inbox> {
        // Lists of whole things.
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_tellings(&self) -> MutexGuard<'_, Tellings> {
        // Lists of whole things.
        self.tellings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use playhead_protocol::message::from_agent::Kind;

    #[test]
    fn what_cannot_be_obeyed_is_answered_at_once() {
        let desk = Desk::new().unwrap();
        desk.command(Bytes::from_static(b"0123456789abcdef"), "{\"do\":\"dance\"}");
        let stop = serde_json::json!({ "do": "stop-recording", "session": SessionId::from_bytes([1; 16]), "by": "ada" });
        for _ in 0..=MOST_COMMANDS {
            desk.command(Bytes::from_static(b"0123456789abcdef"), &stop.to_string());
        }
        let errors: Vec<String> = desk
            .tellings()
            .answers
            .into_iter()
            .filter_map(|answer| match answer.kind {
                Some(Kind::CommandDone(done)) => Some(done.error),
                _ => None,
            })
            .collect();
        assert_eq!(errors.len(), 2);
        assert!(errors[0].contains("does not understand") && errors[1].contains("too many"), "{errors:?}");
        assert_eq!(desk.take().commands.len(), MOST_COMMANDS);
        assert!(desk.take().commands.is_empty() && desk.tellings().answers.is_empty());
        desk.stop();
        assert!(desk.take().stop && desk.take().stop, "once said, it stays so");
    }
}
