//! What somebody wants done with a session while it runs.

use super::{Keeper, Key};
use crate::control::Plan;
use bytes::Bytes;
use playhead_model::{
    Decided, SessionCommand, SessionId, SessionInfo,
    policy::{Action, RuleOptions},
};
use playhead_protocol::message::CommandDone;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// How long a command may take until it is called done all the same: what troubles it is told with the session.
const OBEY: Duration = Duration::from_secs(2);
/// Commands that were obeyed are known again.
const MOST_DONE: usize = 256;

/// A command whose effect is awaited.
pub(super) struct Awaited {
    command: Bytes,
    session: SessionId,
    records: bool,
    pub(super) until: Instant,
}

impl Keeper {
    /// Does what somebody wants with a session, once.
    pub(super) fn obey(&mut self, id: Bytes, command: &SessionCommand) {
        if let Some((_, came)) = self.done.iter().find(|(other, _)| *other == id) {
            if let Some(error) = came.clone() {
                self.parts.desk.answer(CommandDone { command: id, error });
            }
            return;
        }
        self.done.push_back((id.clone(), None));
        if self.done.len() > MOST_DONE {
            self.done.pop_front();
        }
        let session = command.session();
        let key = self.sessions.iter().find(|(_, running)| running.id() == session).map(|(key, _)| *key);
        let Some(key) = key else {
            self.answer(id, format!("there is no session {session} on this host, or it is over"));
            return;
        };
        let records = match command {
            SessionCommand::StartRecording { notify, by, .. } => {
                self.start_by_request(key, *notify, by);
                true
            }
            SessionCommand::StopRecording { by, .. } => {
                self.stop_by_request(key, by);
                false
            }
        };
        self.awaited.push(Awaited { command: id, session, records, until: Instant::now() + OBEY });
    }

    fn start_by_request(&mut self, key: Key, notify: bool, by: &str) {
        self.plans += 1;
        let Some(session) = self.sessions.get(&key) else { return };
        let is_recorded = match &session.plan {
            Some(plan) => plan.action.records_screen(),
            None => session.is_fixed,
        };
        if is_recorded {
            return;
        }
        // What the policy wants covered stays covered; for the rest it wants no recording.
        let policy = self.decider.decide(&session.facts, false);
        let options = if policy.action.records_screen() { policy.options } else { RuleOptions::default() };
        let action = if notify { Action::RecordWithNotice } else { Action::Record };
        let options = RuleOptions { consent: false, ..options };
        let decided = Decided::Request { user: by.to_owned() };
        self.follow(key, Plan { number: self.plans, action, options, decided });
    }

    fn stop_by_request(&mut self, key: Key, by: &str) {
        self.plans += 1;
        let Some(session) = self.sessions.get(&key) else { return };
        if session.plan.as_ref().is_some_and(|plan| !plan.action.records() && session.is_by_request()) {
            return;
        }
        let decided = Decided::Request { user: by.to_owned() };
        let plan =
            Plan { number: self.plans, action: Action::Disable, options: RuleOptions::default(), decided };
        self.follow(key, plan);
    }

    fn answer(&mut self, command: Bytes, error: String) {
        if let Some((_, came)) = self.done.iter_mut().find(|(id, _)| *id == command) {
            *came = Some(error.clone());
        }
        self.parts.desk.answer(CommandDone { command, error });
    }

    /// Answers commands whose effect the server was told of, or that have taken too long.
    pub(super) fn answer_what_is_done(&mut self, told: &BTreeMap<SessionId, SessionInfo>, now: Instant) {
        for awaited in std::mem::take(&mut self.awaited) {
            let error = match told.get(&awaited.session) {
                None => Some("the session has ended".to_owned()),
                Some(SessionInfo { recording, .. }) => {
                    let is_done = recording.recording.is_some() == awaited.records;
                    let is_late = now >= awaited.until;
                    let trouble = recording.trouble.clone().filter(|_| is_late && !is_done);
                    (is_done || is_late).then(|| trouble.unwrap_or_default())
                }
            };
            match error {
                Some(error) => self.answer(awaited.command, error),
                None => self.awaited.push(awaited),
            }
        }
    }
}
