//! The sessions of this machine's users: which there are, what the policy wants of each, and that it is done.
//!
//! One thread ([`keeper`]) decides everything. What it is to know comes to its [`Desk`]: the sessions that are seen ([`crate::discover`]),
//! their users' names and groups, the policy and the commands that the server sends, and how recording goes. What the server is to
//! hear lies there too, until the uplink takes it.

mod decide;
mod desk;
mod helper;
mod keeper;
mod memory;
mod notice;
mod people;
mod running;
mod terminate;
#[cfg(test)]
mod tests;

pub(crate) use desk::Desk;
pub(crate) use keeper::{Keeper, Parts};
pub(crate) use memory::alive;

use crate::{
    control::Plan,
    discover::{Process, Seen},
    session::About,
};
use people::Person;
use playhead_model::{
    Decided, RecordedSession, RecordingId, SessionId,
    policy::{Action, RuleOptions, SessionFacts},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A session that is recorded as the policy says, as the thread that records it sees it.
pub(crate) struct Managed {
    pub(crate) id: SessionId,
    /// Its X server.
    pub(crate) server: Process,
    known: Mutex<Known>,
}

/// What is known of it now.
struct Known {
    plan: Plan,
    seen: Seen,
    facts: SessionFacts,
}

impl Managed {
    fn new(id: SessionId, seen: Seen) -> Self {
        let plan = Plan {
            number: 0,
            action: Action::Disable,
            options: RuleOptions::default(),
            decided: Decided::NoPolicy,
        };
        let server = seen.server;
        Self { id, server, known: Mutex::new(Known { plan, seen, facts: SessionFacts::default() }) }
    }

    /// What is to be done with it.
    pub(crate) fn plan(&self) -> Plan {
        self.lock().plan.clone()
    }

    /// What a recording that begins now says of it.
    pub(crate) fn about(&self, plan: Option<&Plan>) -> About {
        let known = self.lock();
        let plan = plan.unwrap_or(&known.plan);
        let Known { seen, facts, .. } = &*known;
        About {
            client: seen.client.name.clone(),
            client_address: facts.address.map(|address| address.to_string()),
            session: RecordedSession {
                id: self.id,
                users: facts.users.clone(),
                groups: facts.groups.clone(),
                protocol: seen.protocol,
                delivery_groups: facts.delivery_groups.clone(),
                tags: facts.tags.clone(),
                decided: plan.decided.clone(),
                events_only: !plan.action.records_screen(),
            },
        }
    }

    fn set_plan(&self, plan: &Plan) {
        self.lock().plan.clone_from(plan);
    }

    fn set_facts(&self, seen: &Seen, facts: &SessionFacts) {
        let mut known = self.lock();
        known.seen.clone_from(seen);
        known.facts.clone_from(facts);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Plain values, changed one at a time.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How recording a display goes; told by its thread.
#[derive(Default)]
pub(crate) struct Progress {
    now: Mutex<Going>,
    desk: Option<Arc<Desk>>,
}

/// How it goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Going {
    /// What grows.
    pub(crate) recording: Option<RecordingId>,
    /// Why nothing does, or why it is paused.
    pub(crate) trouble: Option<String>,
    /// The plan that is being followed.
    pub(crate) plan: u64,
}

impl Progress {
    /// Told to whoever reads the desk.
    fn to(desk: &Arc<Desk>) -> Self {
        Self { now: Mutex::default(), desk: Some(Arc::clone(desk)) }
    }

    /// This recording grows, or nothing does.
    pub(crate) fn set(&self, recording: Option<RecordingId>, trouble: Option<String>) {
        self.change(|going| (going.recording, going.trouble) = (recording, trouble));
    }

    /// This plan is followed from now on.
    pub(crate) fn follows(&self, plan: u64) {
        self.change(|going| going.plan = plan);
    }

    fn now(&self) -> Going {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Going)) {
        let is_news = {
            // Plain values.
            let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
            let before = now.clone();
            change(&mut now);
            *now != before
        };
        if let (true, Some(desk)) = (is_news, &self.desk) {
            desk.ring();
        }
    }
}
