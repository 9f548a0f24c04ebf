//! The sessions that there are on this machine: xrdp's, those of Xvnc, and displays without a network.
//!
//! A thread ([`run`]) is woken by the system when a display's socket comes or goes, and looks at the whole every two seconds: for
//! servers that died without a word, and for clients that came or went, of which nothing is told. What it looks at then are three
//! tables of the kernel and one file for each session; whatever has not changed is not looked at closely.

mod clients;
mod log;
pub(crate) mod process;
mod programs;
mod servers;
mod tcp;
mod unix;
pub(crate) mod xrdp;

pub(crate) use clients::Client;
pub(crate) use process::Process;

use crate::{control::Bell, settings::Applications};
use clients::Clients;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use playhead_model::{RemoteProtocol, SessionState, WallTime};
use programs::Programs;
use servers::{SOCKETS, Server, Servers};
use std::{
    collections::HashMap,
    os::fd::AsFd as _,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Everything is looked at this often.
const LOOK: Duration = Duration::from_secs(2);
/// A socket at which nobody listens yet is asked again after this.
const SOON: Duration = Duration::from_millis(30);
/// xrdp connects to the X server of a new session within this time.
pub(crate) const CLIENT: Duration = Duration::from_millis(700);
/// xrdp's session manager starts the program of a new session within this time.
pub(crate) const PROGRAM: Duration = Duration::from_secs(5);
/// Whose session a display of root's is, is looked for once in so many looks.
const RARELY: u32 = 5;

/// A session as it is seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// For example `:10`.
    pub(crate) display: String,
    /// The X server.
    pub(crate) server: Process,
    /// Whose it is.
    pub(crate) user: u32,
    pub(crate) protocol: RemoteProtocol,
    pub(crate) state: SessionState,
    pub(crate) client: Client,
    pub(crate) started_at: WallTime,
    /// The file with the display's cookie, where known.
    pub(crate) xauthority: Option<PathBuf>,
    /// What it was started with, a published program or the desktop, where that is known.
    pub(crate) application: Option<String>,
    /// That will be known in a moment.
    pub(crate) is_starting: bool,
}

/// Which displays are looked for.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// Numbers of displays that the settings name.
    pub(crate) named: Vec<u32>,
    /// All others too.
    pub(crate) all: bool,
    /// The published programs.
    pub(crate) applications: Applications,
}

/// The thread's end, and the way to tell it.
pub(crate) struct Watch {
    pub(crate) bell: Bell,
    pub(crate) stop: AtomicBool,
}

/// Looks until told to stop, and reports all sessions whenever one of them came, changed or went.
pub(crate) fn run(scope: &Scope, watch: &Arc<Watch>, report: impl Fn(Vec<Seen>)) {
    let mut sight = Sight {
        servers: Servers::default(),
        clients: Clients::new(),
        programs: Programs::new(scope.applications.clone()),
        owners: HashMap::new(),
        asked_for: Vec::new(),
        started: HashMap::new(),
        looks: 0,
    };
    let mut events = Events::new();
    let mut last = None;
    while !watch.stop.load(Ordering::Relaxed) {
        events.listen();
        let seen = sight.look(scope);
        if last.as_ref() != Some(&seen) {
            report(seen.clone());
            last = Some(seen);
        }
        let is_soon = sight.servers.is_waiting() || sight.expects_client() || sight.expects_program();
        let pause = if is_soon { SOON } else { LOOK };
        if let Err(error) = watch.bell.wait(events.inotify.as_ref().map(|it| it.as_fd()), Some(pause)) {
            tracing::error!(%error, "sessions are not looked for any more");
            return;
        }
        watch.bell.hush();
        events.forget();
    }
}

/// Words from the system of displays that come and go.
struct Events {
    inotify: Option<Inotify>,
    /// The folder with the sockets is being watched.
    listening: bool,
}

impl Events {
    fn new() -> Self {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)
            .inspect_err(|error| tracing::warn!(%error, "new sessions are seen only every two seconds"))
            .ok();
        Self { inotify, listening: false }
    }

    /// Begins, once the folder is there.
    fn listen(&mut self) {
        let Some(inotify) = self.inotify.as_ref().filter(|_| !self.listening) else { return };
        let flags = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_DELETE | AddWatchFlags::IN_ONLYDIR;
        self.listening = inotify.add_watch(SOCKETS, flags | AddWatchFlags::IN_DELETE_SELF).is_ok();
        if !self.listening {
            // The folder is made with the first display.
            let _ = inotify.add_watch("/tmp", AddWatchFlags::IN_CREATE | AddWatchFlags::IN_ONLYDIR);
        }
    }

    fn forget(&mut self) {
        let Some(inotify) = &self.inotify else { return };
        while let Ok(events) = inotify.read_events() {
            let gone = AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_IGNORED;
            self.listening &= !events.iter().any(|event| event.mask.intersects(gone));
        }
    }
}

struct Sight {
    servers: Servers,
    clients: Clients,
    programs: Programs,
    /// By display, the first user other than root who has a program there, as of the last time that was asked.
    owners: HashMap<u32, u32>,
    /// The servers of root's that it was asked for.
    asked_for: Vec<Process>,
    /// When a session began, and when it was first seen.
    started: HashMap<Process, (WallTime, Instant)>,
    looks: u32,
}

impl Sight {
    fn look(&mut self, scope: &Scope) -> Vec<Seen> {
        self.looks = self.looks.wrapping_add(1);
        self.servers.look(|number| scope.all || scope.named.contains(&number));
        self.clients.look(self.servers.all());
        self.programs.look(self.servers.all());
        self.look_for_owners();
        let servers: Vec<Server> = self.servers.all().cloned().collect();
        let alive = |process: &Process| servers.iter().any(|server| server.process == *process);
        self.started.retain(|process, _| alive(process));
        servers.into_iter().map(|server| self.session(server)).collect()
    }

    fn session(&mut self, server: Server) -> Seen {
        let user = if server.user == 0 { self.owner(&server) } else { server.user };
        let Server { number, process, protocol, xauthority, application, .. } = server;
        let client = self.clients.of(number).cloned();
        // A display without a network has its user in front of it.
        let is_connected = client.is_some() || protocol == RemoteProtocol::Local;
        let state = if is_connected { SessionState::Connected } else { SessionState::Disconnected };
        let (started_at, first) =
            *self.started.entry(process).or_insert_with(|| (began(process), Instant::now()));
        let is_starting = self.programs.expects(process) && first.elapsed() < PROGRAM;
        let application = application.or_else(|| self.programs.of(process).map(str::to_owned));
        Seen {
            display: format!(":{number}"),
            server: process,
            user,
            protocol,
            state,
            client: client.unwrap_or_default(),
            started_at,
            xauthority,
            application,
            is_starting,
        }
    }

    /// Whether xrdp is about to connect to a session that it has just had started.
    fn expects_client(&self) -> bool {
        self.servers.all().any(|server| {
            let is_new = self.started.get(&server.process).is_some_and(|(_, first)| first.elapsed() < CLIENT);
            is_new && server.protocol == RemoteProtocol::Rdp && self.clients.of(server.number).is_none()
        })
    }

    /// Whether xrdp's session manager is about to start the program of a session.
    fn expects_program(&self) -> bool {
        let is_new = |process| self.started.get(process).is_some_and(|(_, first)| first.elapsed() < PROGRAM);
        self.servers.all().any(|server| self.programs.expects(server.process) && is_new(&server.process))
    }

    /// Whose session it is where root runs the X server: that of a program on it that is not root's.
    fn owner(&self, server: &Server) -> u32 {
        self.owners.get(&server.number).copied().unwrap_or(0)
    }

    /// Finds out who has programs on displays of root's, all at once and now and then: every process is asked.
    fn look_for_owners(&mut self) {
        let of_root: Vec<Process> =
            self.servers.all().filter(|server| server.user == 0).map(|server| server.process).collect();
        let is_due = of_root != self.asked_for || self.looks.is_multiple_of(RARELY);
        self.asked_for = of_root;
        if self.asked_for.is_empty() || !is_due {
            return;
        }
        self.owners.clear();
        for pid in process::all() {
            let Some(user) = process::user(pid).filter(|user| *user != 0) else { continue };
            let display = process::variable(pid, "DISPLAY");
            let number = display.and_then(|name| name.strip_prefix(':')?.split('.').next()?.parse().ok());
            if let Some(number) = number {
                self.owners.entry(number).or_insert(user);
            }
        }
    }
}

/// When a process began, on the wall's clock.
fn began(process: Process) -> WallTime {
    let now = crate::clock::Now::read();
    let began_us = process.start.saturating_mul(1_000_000 / process::TICKS);
    let ago = i64::try_from(now.boot_us.saturating_sub(began_us)).unwrap_or(i64::MAX);
    now.wall.plus_micros(-ago)
}

#[cfg(test)]
mod tests;
