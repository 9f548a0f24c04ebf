//! The thread that decides about sessions.

mod commands;

use super::{
    Desk, Managed, Person, Progress,
    decide::Decider,
    desk::Inbox,
    memory::Memory,
    notice::Telling,
    people,
    running::{Change, Running},
};
use crate::{
    clock::Now,
    control::{Bell, Control, Plan, Registry},
    discover::{self, Process, Scope, Seen, Watch},
    display,
    session::{self, Host},
    settings::{DisplaySettings, Settings},
    spool::{Queue, Spool},
    status::Status,
};
use bytes::Bytes;
use commands::Awaited;
use nix::unistd::User;
use playhead_model::{
    Decided, SessionInfo,
    policy::{Action, RuleOptions},
};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// An agent that has never heard a policy waits for one this long before it decides without.
const FIRST_POLICY: Duration = Duration::from_secs(5);
/// How long the recording of a session that is over may take to end by itself.
const LEAVE: Duration = Duration::from_secs(5);

/// What the keeper needs of the rest of the agent.
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) host: Host,
    pub(crate) spool: Arc<Spool>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) status: Arc<Status>,
    pub(crate) desk: Arc<Desk>,
}

/// A session is known by its X server and its user.
type Key = (Process, u32);

/// A display that the settings name, recorded by a thread of its own whether there is a session or not.
struct Fixed {
    display: String,
    control: Arc<Control>,
    progress: Arc<Progress>,
    thread: JoinHandle<()>,
}

/// A recording that is to end.
struct Leaving {
    control: Arc<Control>,
    thread: JoinHandle<()>,
    since: Instant,
}

/// Decides about sessions, on a thread of its own.
pub(crate) struct Keeper {
    parts: Parts,
    started: Instant,
    decider: Decider,
    memory: Memory,
    fixed: Vec<Fixed>,
    sessions: BTreeMap<Key, Running>,
    leaving: Vec<Leaving>,
    awaited: Vec<Awaited>,
    /// Commands and what came of them.
    done: VecDeque<(Bytes, Option<String>)>,
    /// Sessions that are over and not told yet.
    ended: Vec<SessionInfo>,
    plans: u64,
    /// Helpers started so far.
    helpers: u64,
    /// The displays have been looked at.
    has_seen: bool,
}

impl Keeper {
    /// Starts recording the displays that the settings name.
    ///
    /// # Errors
    /// The system gives no thread or file descriptor.
    pub(crate) fn start(parts: Parts) -> io::Result<Self> {
        let Settings { data, sessions, displays, .. } = parts.settings.clone();
        if sessions.discover && !nix::unistd::geteuid().is_root() {
            tracing::warn!(
                "not running as root: only sessions whose cookies this user can read are recorded"
            );
        }
        let mut keeper = Self {
            started: Instant::now(),
            decider: Decider::load(&data, sessions.record_on_error),
            memory: Memory::load(&data, &parts.host.boot_id),
            fixed: Vec::new(),
            sessions: BTreeMap::new(),
            leaving: Vec::new(),
            awaited: Vec::new(),
            done: VecDeque::new(),
            ended: Vec::new(),
            plans: 0,
            helpers: 0,
            has_seen: false,
            parts,
        };
        for display in displays {
            let (control, progress) = (Arc::new(Control::new()?), Arc::new(Progress::to(&keeper.parts.desk)));
            match keeper.record(display.clone(), None, &control, &progress) {
                Ok(thread) => {
                    let display = display.display;
                    keeper.fixed.push(Fixed { display, control, progress, thread });
                }
                Err(error) => {
                    keeper.stop();
                    return Err(error);
                }
            }
        }
        Ok(keeper)
    }

    /// Keeps until told to stop; then ends all recordings.
    pub(crate) fn run(mut self) {
        let watch = self.watch().inspect_err(|error| {
            tracing::error!(%error, "sessions are not looked for");
        });
        loop {
            let inbox = self.parts.desk.take();
            if inbox.stop {
                break;
            }
            self.hear(inbox);
            self.settle();
            if let Err(error) = self.parts.desk.wait(self.next()) {
                tracing::error!(%error, "nothing more is decided about sessions");
                break;
            }
        }
        if let Ok((watch, thread)) = watch {
            watch.stop.store(true, Ordering::Relaxed);
            watch.bell.ring();
            // It catches nothing; should it have failed, that was reported.
            let _ = thread.join();
        }
        self.stop();
    }

    /// Ends all recordings; blocking.
    fn stop(&mut self) {
        let running = self.sessions.values_mut().filter(|session| !session.is_fixed);
        let running = running.filter_map(|session| Some((session.control.take()?, session.thread.take()?)));
        let leaving = self.leaving.drain(..).map(|leaving| (leaving.control, leaving.thread));
        let fixed = self.fixed.drain(..).map(|fixed| (fixed.control, fixed.thread));
        let all: Vec<_> = running.chain(leaving).chain(fixed).collect();
        all.iter().for_each(|(control, _)| control.wish(|wishes| wishes.stop = true));
        for (_, thread) in all {
            // The thread catches its panics itself.
            let _ = thread.join();
        }
        // What an earlier run has left open and this one has not come to go on with. Nobody knows when there is a next run.
        let open = self.parts.spool.all().into_iter().filter(|queue| !queue.has_ended());
        open.for_each(|queue| self.end_left(&queue));
    }

    /// Ends a recording that an earlier run has left open and that nobody goes on with.
    fn end_left(&self, queue: &Queue) {
        let info = &queue.started().info;
        let is_it = |fixed: &&DisplaySettings| info.session.is_none() && fixed.display == info.display;
        let fixed = self.parts.settings.displays.iter().find(is_it);
        let xauthority = fixed.and_then(|fixed| fixed.xauthority.as_deref());
        let server = info.session.as_ref().and_then(|session| self.memory.server(session.id));
        let server = server.map(|server| server.pid);
        session::end_left(&self.parts.spool, &self.parts.host, queue, xauthority, server);
    }

    /// Begins to look for sessions.
    fn watch(&self) -> io::Result<(Arc<Watch>, JoinHandle<()>)> {
        let watch = Arc::new(Watch { bell: Bell::new()?, stop: AtomicBool::new(false) });
        let number =
            |display: &DisplaySettings| display.display.strip_prefix(':')?.split('.').next()?.parse().ok();
        let named = self.parts.settings.displays.iter().filter_map(number).collect();
        let Settings { sessions, applications, .. } = &self.parts.settings;
        let scope = Scope { named, all: sessions.discover, applications: applications.clone() };
        let (looking, desk) = (Arc::clone(&watch), Arc::clone(&self.parts.desk));
        let thread = thread::Builder::new()
            .name("sessions".into())
            .spawn(move || discover::run(&scope, &looking, |seen| desk.saw(seen)))?;
        Ok((watch, thread))
    }

    fn hear(&mut self, inbox: Inbox) {
        if let Some(seen) = inbox.seen {
            self.see(seen);
        }
        for (server, user, person) in inbox.people {
            self.know((server, user), person);
        }
        if let Some(policy) = inbox.policy {
            self.take_policy(&policy);
        }
        for (session, number, heard) in inbox.words {
            let notices = self.decider.notices();
            if let Some(running) = self.sessions.values_mut().find(|running| running.id() == session) {
                let (telling, means) = running.means(&self.parts.desk, notices, &mut self.helpers);
                telling.hear(number, heard, &means);
            }
        }
        for (id, command) in inbox.commands {
            self.obey(id, &command);
        }
    }

    /// These sessions there are now.
    fn see(&mut self, seen: Vec<Seen>) {
        self.has_seen = true;
        let ignored = &self.parts.settings.sessions.ignore_users;
        let seen: BTreeMap<Key, Seen> = seen
            .into_iter()
            .filter(|seen| seen.user == 0 || !is_ignored(seen.user, ignored))
            .map(|seen| ((seen.server, seen.user), seen))
            .collect();
        let gone: Vec<Key> = self.sessions.keys().filter(|key| !seen.contains_key(key)).copied().collect();
        for key in gone {
            self.end(key);
        }
        for (key, seen) in seen {
            if !self.sessions.contains_key(&key) {
                self.begin(key, seen);
                continue;
            }
            let Some(session) = self.sessions.get_mut(&key) else { continue };
            let is_other = session.see(seen);
            session.complete(&self.parts.host.name, &self.parts.settings.sessions);
            // Whoever comes from another place is asked about anew, as at a sign-in.
            if is_other && !session.is_fixed && !session.is_by_request() && session.plan.is_some() {
                let plan = self.decide(key);
                self.follow(key, plan);
            }
        }
    }

    fn begin(&mut self, key: Key, seen: Seen) {
        let (server, user) = key;
        let known = self.memory.find(server, user).cloned();
        let id = known.as_ref().map_or_else(|| uuid::Uuid::now_v7().into(), |known| known.id);
        let seen = match &known {
            // The wall's clock may have been set since.
            // The program may have become another since.
            Some(known) => Seen {
                started_at: known.started_at,
                application: known.application.clone().or(seen.application),
                ..seen
            },
            None => seen,
        };
        let fixed = self.fixed.iter().find(|fixed| fixed.display == seen.display);
        let (control, progress) = match fixed {
            Some(fixed) => (Some(Arc::clone(&fixed.control)), Arc::clone(&fixed.progress)),
            None => (None, Arc::new(Progress::to(&self.parts.desk))),
        };
        tracing::info!(session = %id, display = seen.display, protocol = %seen.protocol, uid = user, "a session is there");
        let mut session = Running {
            managed: Arc::new(Managed::new(id, seen.clone())),
            progress,
            since: Instant::now(),
            changed_at: Now::read().wall,
            person: known.as_ref().and_then(|known| known.person.clone()),
            facts: Default::default(),
            plan: None,
            is_provisional: false,
            coming: None,
            is_fixed: fixed.is_some(),
            control,
            thread: None,
            telling: Telling::known(known.as_ref().is_some_and(|known| known.told)),
            seen,
        };
        session.complete(&self.parts.host.name, &self.parts.settings.sessions);
        self.sessions.insert(key, session);
        if known.is_none() {
            // Before anything of it is recorded: a recording whose session the next run does not know would end there.
            self.remember();
        }
        self.look_up(key);
        if let Some(plan) = known.and_then(|known| known.plan) {
            // It goes on as it was. What has become of the policy since comes with the next segment.
            self.follow(key, Plan::from(plan));
        }
    }

    fn end(&mut self, key: Key) {
        let Some(mut session) = self.sessions.remove(&key) else { return };
        tracing::info!(session = %session.id(), display = session.seen.display, "a session is over");
        self.ended.push(session.ended());
        if session.is_fixed {
            // What was wanted of this session is not wanted of the next.
            if let Some(control) = &session.control {
                control.wish(|wishes| wishes.hold = false);
            }
        } else if let (Some(control), Some(thread)) = (session.control.take(), session.thread.take()) {
            self.leaving.push(Leaving { control, thread, since: Instant::now() });
        }
    }

    /// Finds out names and groups, on a thread of its own: a directory may not answer for long.
    fn look_up(&self, (server, user): Key) {
        let desk = Arc::clone(&self.parts.desk);
        let domains = self.parts.settings.sessions.domains.clone();
        let spawned = thread::Builder::new()
            .name("groups".into())
            .spawn(move || desk.know(server, user, people::look_up(user, &domains)));
        if let Err(error) = spawned {
            tracing::error!(%error, "cannot look up a user's groups");
        }
    }

    fn know(&mut self, key: Key, mut person: Person) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let display = session.is_fixed.then_some(&session.seen.display);
        let settings = self.parts.settings.displays.iter().find(|fixed| Some(&fixed.display) == display);
        if let Some(name) = settings.and_then(|fixed| fixed.user.clone()) {
            // Whose session it is stands in the settings, as in the recording.
            (person.user, person.names) = (name.clone(), vec![name]);
        }
        if person.is_partial {
            tracing::warn!(session = %session.id(), user = person.user, "not all names and groups of the user could be found out");
        }
        session.person = Some(person);
        session.complete(&self.parts.host.name, &self.parts.settings.sessions);
        if std::mem::take(&mut session.is_provisional) {
            let plan = self.decide(key);
            self.follow(key, plan);
        } else {
            // What has become of the policy since an earlier run of the agent.
            self.roll_over(key);
        }
    }

    fn take_policy(&mut self, text: &str) {
        match self.decider.take(text) {
            Ok((revision, is_other)) => {
                self.parts.desk.taken(revision, String::new());
                if !is_other {
                    return;
                }
                tracing::info!(revision, "another policy is active");
                let keys: Vec<Key> = self.sessions.keys().copied().collect();
                for key in keys {
                    self.roll_over(key);
                }
            }
            Err((revision, error)) => {
                tracing::error!(revision, %error, "the server's policy cannot be gone by: the last one stays in force");
                self.parts.desk.taken(revision, error.to_string());
            }
        }
    }

    /// The policy in force may be another than the one by which a session was decided about.
    fn roll_over(&mut self, key: Key) {
        let Some(session) = self.sessions.get(&key) else { return };
        let Some(now) = session.plan.clone().filter(|_| !session.is_fixed && !session.is_by_request()) else {
            return;
        };
        let is_without = now.decided == Decided::NoPolicy;
        if is_without && self.decider.revision().is_none() {
            return;
        }
        // Groups that are not known yet come soon, and then this is asked again.
        if session.person.is_none() {
            return;
        }
        let plan = self.decide(key);
        if is_without {
            // That was nobody's decision: it does not last until the segment is full.
            self.follow(key, plan);
        } else if plan.decided != now.decided
            && let Some(session) = self.sessions.get_mut(&key)
        {
            session.roll_over_to(plan);
        }
    }

    fn decide(&mut self, key: Key) -> Plan {
        self.plans += 1;
        let Some(session) = self.sessions.get(&key) else {
            return Plan {
                number: self.plans,
                action: Action::Disable,
                options: RuleOptions::default(),
                decided: Decided::NoPolicy,
            };
        };
        let is_partial = session.person.as_ref().is_none_or(|person| person.is_partial);
        Plan { number: self.plans, ..self.decider.decide(&session.facts, is_partial) }
    }

    /// Does this with a session from now on.
    fn follow(&mut self, key: Key, plan: Plan) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        tracing::info!(session = %session.id(), user = session.user(), action = ?plan.action, decided = ?plan.decided, "decided");
        let records = plan.action.records();
        session.follow(plan);
        if session.thread.is_some() || session.is_fixed {
            return;
        }
        let id = session.id();
        if records {
            self.start_recording(key);
            return;
        }
        // An earlier run may have been ended before it had ended what is to be recorded no more.
        let is_its = |queue: &Queue| queue.started().info.session.as_ref().is_some_and(|its| its.id == id);
        let open = self.parts.spool.all().into_iter().filter(|queue| is_its(queue) && !queue.has_ended());
        open.for_each(|queue| self.end_left(&queue));
    }

    fn start_recording(&mut self, key: Key) {
        let Some(session) = self.sessions.get(&key) else { return };
        let display = DisplaySettings {
            xauthority: session.seen.xauthority.clone(),
            user: Some(session.user()),
            application: Some(session.facts.application.clone()),
            ..DisplaySettings::new(session.seen.display.clone())
        };
        let (managed, progress) = (Arc::clone(&session.managed), Arc::clone(&session.progress));
        let started = Control::new().map(Arc::new).and_then(|control| {
            let thread = self.record(display, Some(managed), &control, &progress)?;
            Ok((control, thread))
        });
        let Some(session) = self.sessions.get_mut(&key) else { return };
        match started {
            Ok((control, thread)) => (session.control, session.thread) = (Some(control), Some(thread)),
            Err(error) => {
                tracing::error!(session = %session.id(), %error, "cannot start recording");
                session.progress.set(None, Some(format!("cannot start recording: {error}")));
            }
        }
    }

    /// Starts the thread that records a display.
    fn record(
        &self,
        display: DisplaySettings,
        session: Option<Arc<Managed>>,
        control: &Arc<Control>,
        progress: &Arc<Progress>,
    ) -> io::Result<JoinHandle<()>> {
        let Parts { settings, host, spool, registry, status, .. } = &self.parts;
        let name = format!("display {}", display.display);
        let context = display::Context {
            display,
            masks: settings.masks.clone(),
            audio: settings.audio.clone(),
            picture: settings.picture.clone(),
            host: host.clone(),
            spool: Arc::clone(spool),
            registry: Arc::clone(registry),
            control: Arc::clone(control),
            status: Arc::clone(status),
            session,
            progress: Arc::clone(progress),
        };
        thread::Builder::new().name(name).spawn(move || record(&context))
    }

    /// Does what is due: decisions, threads that have ended, answers, and what the server is to hear.
    fn settle(&mut self) {
        self.decide_what_is_due();
        for session in self.sessions.values_mut() {
            if session.catch_up() == Change::Followed {
                tracing::info!(session = %session.id(), "goes by another policy");
            }
        }
        let notices = self.decider.notices();
        for session in self.sessions.values_mut() {
            let (telling, mut means) = session.means(&self.parts.desk, notices, &mut self.helpers);
            telling.settle(&mut means);
        }
        let now = Instant::now();
        for leaving in std::mem::take(&mut self.leaving) {
            if leaving.thread.is_finished() {
                let _ = leaving.thread.join();
                continue;
            }
            if now.duration_since(leaving.since) > LEAVE {
                leaving.control.wish(|wishes| wishes.stop = true);
            }
            self.leaving.push(leaving);
        }
        if !self.has_seen {
            return;
        }
        let infos: BTreeMap<_, _> =
            self.sessions.values().map(|session| (session.id(), session.info())).collect();
        self.parts.status.sessions(infos.values().cloned().collect());
        self.parts.desk.tell(&infos, std::mem::take(&mut self.ended));
        self.answer_what_is_done(&infos, now);
        self.remember();
    }

    fn remember(&mut self) {
        let known = self.sessions.values().map(Running::known).collect();
        self.memory.keep(known);
    }

    fn decide_what_is_due(&mut self) {
        let now = Instant::now();
        let may_decide = self.decider.revision().is_some() || self.started.elapsed() >= FIRST_POLICY;
        let is_due =
            |session: &Running| !session.is_fixed && session.plan.is_none() && session.decidable_at() <= now;
        let due: Vec<Key> = self
            .sessions
            .iter()
            .filter(|(_, session)| may_decide && is_due(session))
            .map(|(key, _)| *key)
            .collect();
        for key in due {
            if let Some(session) = self.sessions.get_mut(&key) {
                session.is_provisional = session.person.is_none();
            }
            let plan = self.decide(key);
            self.follow(key, plan);
        }
    }

    /// How long nothing is due.
    fn next(&self) -> Option<Duration> {
        let now = Instant::now();
        let undecided = self.sessions.values().filter(|session| session.plan.is_none() && !session.is_fixed);
        let first =
            if self.decider.revision().is_some() { self.started } else { self.started + FIRST_POLICY };
        let decide = undecided.map(|session| first.max(session.decidable_at()));
        let leaving = self.leaving.iter().map(|_| now + Duration::from_millis(200));
        let tell = self.sessions.values().filter_map(|session| session.telling.next());
        let awaited = self.awaited.iter().map(|awaited| awaited.until);
        let next = decide.chain(leaving).chain(tell).chain(awaited).min()?;
        Some(next.saturating_duration_since(now))
    }
}

/// Whether displays of this account are nobody's session.
fn is_ignored(user: u32, names: &[String]) -> bool {
    names
        .iter()
        .any(|name| matches!(User::from_name(name), Ok(Some(account)) if account.uid.as_raw() == user))
}

/// Records a display, whatever happens: one that fails must not take the others with it.
fn record(context: &display::Context) {
    while catch_unwind(AssertUnwindSafe(|| display::run(context))).is_err() {
        // The panic itself is reported by the process's hook.
        tracing::error!(display = context.display.display, "recording the display failed: beginning again");
        let _ = context.control.wait(None, Some(Duration::from_secs(1)));
    }
}
