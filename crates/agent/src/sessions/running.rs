//! One session: what is known of it, what is to be done with it, and the thread that does it.

use super::{
    Desk, Going, Managed, Person, Progress, memory,
    notice::{Means, Telling},
};
use crate::{
    clock::Now,
    control::{Control, Plan, When},
    discover::{CLIENT, PROGRAM, Seen},
    settings::SessionSettings,
};
use playhead_model::{
    Decided, Notice, RemoteProtocol, SessionId, SessionInfo, SessionRecording, SessionState, WallTime,
    policy::{Action, AtRollover, SessionFacts, at_rollover},
};
use std::{
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// A session is decided about without its user's groups if they are not known by then.
const GROUPS: Duration = Duration::from_millis(700);

/// A session that there is.
pub(super) struct Running {
    pub(super) seen: Seen,
    pub(super) managed: Arc<Managed>,
    pub(super) progress: Arc<Progress>,
    pub(super) since: Instant,
    pub(super) changed_at: WallTime,
    /// Names and groups of its user, once known.
    pub(super) person: Option<Person>,
    pub(super) facts: SessionFacts,
    /// What is being done; `None` while nothing is decided.
    pub(super) plan: Option<Plan>,
    /// It was decided before everything was known.
    pub(super) is_provisional: bool,
    /// What is to be done from the next segment on.
    pub(super) coming: Option<Plan>,
    /// The settings name its display.
    pub(super) is_fixed: bool,
    pub(super) control: Option<Arc<Control>>,
    pub(super) thread: Option<JoinHandle<()>>,
    /// Where it stands with telling its user.
    pub(super) telling: Telling,
}

/// What a change of plan means for its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Nothing,
    /// Another plan is followed from now on.
    Followed,
}

impl Running {
    pub(super) fn id(&self) -> SessionId {
        self.managed.id
    }

    pub(super) fn going(&self) -> Going {
        self.progress.now()
    }

    /// When it may be decided about: rules may ask for groups, for the address of a client that is about to connect, and for the
    /// program that is about to start.
    pub(super) fn decidable_at(&self) -> Instant {
        let groups = if self.person.is_some() { self.since } else { self.since + GROUPS };
        let is_expected = self.seen.protocol == RemoteProtocol::Rdp && self.seen.client.address.is_none();
        let client = is_expected.then(|| self.since + CLIENT);
        let program = self.seen.is_starting.then(|| self.since + PROGRAM);
        [Some(groups), client, program].into_iter().flatten().max().unwrap_or(groups)
    }

    /// Whether somebody has decided about it while it ran.
    pub(super) fn is_by_request(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| matches!(plan.decided, Decided::Request { .. }))
    }

    /// Takes over what is seen of it now. Returns whether its user has come back from another place, or its program has become known.
    pub(super) fn see(&mut self, seen: Seen) -> bool {
        if self.seen.state != seen.state || self.seen.client != seen.client {
            self.changed_at = Now::read().wall;
        }
        let before = self.facts.address;
        let came = seen.client.address.map(|address| address.ip());
        let is_elsewhere = came.is_some() && before.is_some() && came != before;
        // What it was started with it stays, whatever that becomes.
        let application = self.seen.application.take();
        let is_known_now = application.is_none() && seen.application.is_some();
        self.seen = Seen { application: application.or(seen.application), ..seen };
        is_elsewhere || is_known_now
    }

    /// Puts together what a policy is asked with.
    pub(super) fn complete(&mut self, host: &str, settings: &SessionSettings) {
        let (users, groups) = match &self.person {
            Some(person) => (person.names.clone(), person.groups.clone()),
            None => (vec![self.seen.user.to_string()], Vec::new()),
        };
        // Where the user was last counts while nobody is connected.
        let address = self.seen.client.address.map(|address| address.ip()).or(self.facts.address);
        let application = self.seen.application.clone().unwrap_or_else(|| "desktop".into());
        self.facts = SessionFacts {
            users,
            groups,
            application,
            host: host.into(),
            address,
            ..SessionFacts::default()
        };
        settings.complete(&mut self.facts, self.seen.protocol);
        self.managed.set_facts(&self.seen, &self.facts);
    }

    /// Does this from now on.
    pub(super) fn follow(&mut self, plan: Plan) {
        self.managed.set_plan(&plan);
        self.coming = None;
        self.telling.follow(self.plan.as_ref(), &plan);
        if let Some(control) = &self.control {
            let (hold, plan) = (self.is_fixed && !plan.action.records(), plan.clone());
            let is_fixed = self.is_fixed;
            control.wish(|wishes| {
                wishes.hold = hold;
                if !is_fixed {
                    wishes.plan = Some((plan, When::Now));
                }
            });
        }
        self.plan = Some(plan);
    }

    /// Another policy is active: does as the table of roll-overs says.
    pub(super) fn roll_over_to(&mut self, plan: Plan) {
        let Some(now) = &self.plan else { return };
        if at_rollover(now.action, plan.action) == AtRollover::Unchanged {
            return;
        }
        if let Some(control) = &self.control {
            let plan = plan.clone();
            control.wish(|wishes| {
                // What nobody has begun to do is not done any more.
                let is_unseen = matches!(wishes.plan, Some((_, When::Now)));
                wishes.plan = Some((plan, if is_unseen { When::Now } else { When::RollOver }));
            });
        }
        self.coming = Some(plan);
    }

    /// Notices that what was to come with the next segment has come.
    pub(super) fn catch_up(&mut self) -> Change {
        let followed = self.progress.now().plan;
        match self.coming.take_if(|coming| coming.number == followed) {
            Some(plan) => {
                self.telling.follow(self.plan.as_ref(), &plan);
                self.managed.set_plan(&plan);
                self.plan = Some(plan);
                Change::Followed
            }
            None => Change::Nothing,
        }
    }

    /// As the server is told it.
    pub(super) fn info(&self) -> SessionInfo {
        let Going { recording, trouble, .. } = self.going();
        let (action, decided) = match &self.plan {
            Some(plan) => (plan.action, plan.decided.clone()),
            None if self.is_fixed => (Action::Record, Decided::Settings),
            None => (Action::Disable, Decided::NoPolicy),
        };
        SessionInfo {
            id: self.id(),
            user: self.user(),
            facts: self.facts.clone(),
            display: self.seen.display.clone(),
            protocol: self.seen.protocol,
            state: self.seen.state,
            client: self.seen.client.name.clone(),
            client_version: None,
            started_at: self.seen.started_at,
            changed_at: self.changed_at,
            recording: SessionRecording {
                action,
                recording,
                decided,
                trouble: trouble.filter(|_| action.records()),
            },
        }
    }

    /// The same once it is over.
    pub(super) fn ended(&self) -> SessionInfo {
        let mut info = self.info();
        (info.state, info.changed_at) = (SessionState::Ended, Now::read().wall);
        info.recording.trouble = None;
        info
    }

    /// The account's name.
    pub(super) fn user(&self) -> String {
        self.person.as_ref().map_or_else(|| self.seen.user.to_string(), |person| person.user.clone())
    }

    /// What is needed to tell its user something.
    pub(super) fn means<'a>(
        &'a mut self,
        desk: &'a Arc<Desk>,
        notices: &'a [Notice],
        number: &'a mut u64,
    ) -> (&'a mut Telling, Means<'a>) {
        let Self { telling, seen, managed, control, .. } = self;
        let session = managed.id;
        (telling, Means { desk, session, seen, notices, control: control.as_ref(), number })
    }

    pub(super) fn known(&self) -> memory::Known {
        memory::Known {
            id: self.id(),
            server: self.seen.server,
            user: self.seen.user,
            started_at: self.seen.started_at,
            person: self.person.clone(),
            application: self.seen.application.clone(),
            plan: self.plan.as_ref().filter(|_| !self.is_provisional).map(Into::into),
            told: self.telling.is_told,
        }
    }
}
