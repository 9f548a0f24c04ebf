//! `playhead bench load`: thousands of light agents in one process, against a server that runs elsewhere.
//!
//! Each session has a connection of its own with TLS and the whole protocol, and sends real fragments made by the agent's recorder
//! ([`script`]), each a part of a chain of its own ([`piece`]). What is acknowledged is kept account of ([`agent`]), and at the end
//! every session connects once more and compares.

mod agent;
mod desktop;
mod disk;
mod figures;
mod piece;
mod report;
mod script;
mod surface;

use crate::process::{Usage, load_average, usage};
use agent::{Counts, Host, Session, Shared};
use anyhow::{Result, ensure};
use playhead_net::{Endpoint, NodeKey};
use playhead_protocol::join::JoinToken;
use report::Report;
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{OnceCell, Semaphore},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// Sessions that connect at a time.
const CONNECTING: usize = 32;
/// Sessions that begin in a second, unless told otherwise.
const PER_SECOND: usize = 50;
/// How long all sessions may take to end.
const END: Duration = Duration::from_secs(300);

/// What sessions do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Profile {
    /// Typing, reading, changing windows; two thirds of the time nothing.
    Office,
    /// The same without rest, and with more scrolling and browsing.
    Busy,
    /// A film all the time.
    Video,
    /// A film's fragments as fast as the server takes them: how much it takes in.
    Bulk,
}

/// Send many sessions to a server, as many hosts would, and measure how it takes them
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Sessions at a time, each with a connection of its own
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    sessions: u32,
    /// What they do
    #[arg(long, value_enum, default_value_t = Profile::Office)]
    profile: Profile,
    /// How long figures are taken, once all sessions are connected
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Join token for agents, good for as many uses as there are hosts
    #[arg(long)]
    join: JoinToken,
    /// Hosts that enrol; sessions are spread over them [default: one for each session]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    hosts: Option<u32>,
    /// Seconds over which the sessions begin [default: 50 sessions a second]
    #[arg(long, value_name = "SECONDS")]
    ramp: Option<u64>,
    /// Different sequences of activity that are shared among the sessions
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    scripts: u32,
    /// Folder with traces by `bench corpus`: real pictures in place of drawn ones
    #[arg(long, value_name = "FOLDER")]
    traces: Option<PathBuf>,
    /// Seed of what happens
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Process of the server on this machine: its processor time and memory are measured
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// Folder on the disk of the server's journal: how fast it writes is measured before and after, in the journal's manner
    #[arg(long, value_name = "FOLDER")]
    disk: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Sends, measures, and prints the report.
///
/// # Errors
/// The server cannot be reached, or has lost something.
pub(crate) async fn run(args: Args) -> Result<()> {
    let sessions = args.sessions as usize;
    let files = crate::limits::open_files().unwrap_or(u64::MAX);
    ensure!(
        files > u64::from(args.sessions) + 64,
        "{sessions} sessions need as many open files, and this shell allows {files}: raise it with `ulimit -n`"
    );
    let ramp = Duration::from_secs(args.ramp.unwrap_or((sessions / PER_SECOND) as u64));
    let scripts = make_scripts(&args, ramp).await?;
    let rates = script::rates(&scripts);
    tracing::info!(
        mb_per_hour = rates.mb_per_hour,
        fragments_per_second = rates.fragments_per_second,
        "fragments made"
    );
    let disk_before = measure_disk(&args).await?;

    let hosts = args.hosts.map_or(sessions, |hosts| hosts as usize).min(sessions);
    let hosts: Result<Vec<_>, _> =
        (0..hosts).map(|_| NodeKey::generate().map(|key| Host { key, id: OnceCell::new() })).collect();
    let ending = CancellationToken::new();
    let shared = Arc::new(Shared {
        endpoint: Endpoint::of(&args.join)?,
        secret: args.join.secret.clone(),
        hosts: hosts?,
        scripts,
        flat_out: args.profile == Profile::Bulk,
        counts: Counts::default(),
        measuring: AtomicBool::new(false),
        ending: ending.clone(),
        connecting: Semaphore::new(CONNECTING),
    });
    let mut running = begin(&shared, sessions, ramp).await?;
    let all_open = async {
        while shared.counts.open.load(Ordering::Relaxed) < sessions as u64 {
            sleep(Duration::from_millis(100)).await;
        }
    };
    let patience = Duration::from_secs(60);
    let open = timeout(patience, all_open).await.is_ok();
    ensure!(
        open,
        "only {} of {sessions} sessions could be opened; see --log debug",
        shared.counts.open.load(Ordering::Relaxed)
    );
    tracing::info!(sessions, "all sessions are open");

    let held = hold(&args, &shared).await?;
    ending.cancel();
    let joined = timeout(END, async { while running.join_next().await.is_some() {} }).await;
    if joined.is_err() {
        tracing::warn!("some sessions did not end");
    }
    let disk = match (disk_before, measure_disk(&args).await?) {
        (Some(before), Some(after)) => Some((before, after)),
        _ => None,
    };
    let report = Report::new(&args, rates, &held, &shared.counts, disk);
    report.say(args.json)?;
    ensure!(report.lost == 0 && report.differ == 0, "the server has lost what it had acknowledged");
    Ok(())
}

async fn make_scripts(args: &Args, ramp: Duration) -> Result<Vec<script::Script>> {
    let (profile, seed, traces) = (args.profile, args.seed, args.traces.clone());
    // Those who begin first go on for longest. A film is long enough when it is repeated, in another recording each time.
    let (seconds, count) = match profile {
        Profile::Office => (args.seconds + ramp.as_secs() + 60, args.scripts as usize),
        Profile::Busy => ((args.seconds + ramp.as_secs() + 60).min(300), args.scripts as usize),
        Profile::Video | Profile::Bulk => (30, args.scripts.min(2) as usize),
    };
    let making = tokio::task::spawn_blocking(move || {
        script::make(&script::Wanted { profile, seconds, count, seed, traces: traces.as_deref() })
    });
    making.await?
}

async fn measure_disk(args: &Args) -> Result<Option<f64>> {
    let Some(folder) = args.disk.clone() else { return Ok(None) };
    Ok(Some(tokio::task::spawn_blocking(move || disk::measure(&folder)).await??))
}

/// Begins all sessions, evenly over the time.
async fn begin(shared: &Arc<Shared>, sessions: usize, ramp: Duration) -> Result<JoinSet<()>> {
    let mut running = JoinSet::new();
    let began = Instant::now();
    for number in 0..sessions {
        tokio::time::sleep_until(began + ramp.mul_f64(number as f64 / sessions as f64)).await;
        let session = Session::new(Arc::clone(shared), number)?;
        running.spawn(session.run());
    }
    Ok(running)
}

/// What the processes used while figures were taken.
struct Held {
    seconds: f64,
    generator: Used,
    server: Option<Used>,
    load_before: f64,
    load_after: f64,
}

/// What a process used from one moment to another.
#[derive(Debug, Clone, Copy)]
struct Used {
    from: Usage,
    to: Usage,
    most_rss: u64,
}

impl Used {
    fn begin(process: u32) -> Result<Self> {
        let from = usage(process)?;
        Ok(Self { from, to: from, most_rss: from.rss_bytes })
    }

    fn look(&mut self, process: u32) -> Result<()> {
        self.to = usage(process)?;
        self.most_rss = self.most_rss.max(self.to.rss_bytes);
        Ok(())
    }
}

async fn hold(args: &Args, shared: &Shared) -> Result<Held> {
    let me = std::process::id();
    let load_before = load_average();
    let mut generator = Used::begin(me)?;
    let mut server = args.server_pid.map(Used::begin).transpose()?;
    shared.measuring.store(true, Ordering::Relaxed);
    let began = Instant::now();
    let end = began + Duration::from_secs(args.seconds);
    while Instant::now() < end {
        tokio::time::sleep_until(end.min(Instant::now() + Duration::from_secs(1))).await;
        generator.look(me)?;
        if let (Some(server), Some(process)) = (&mut server, args.server_pid) {
            server.look(process)?;
        }
    }
    shared.measuring.store(false, Ordering::Relaxed);
    let seconds = began.elapsed().as_secs_f64();
    Ok(Held { seconds, generator, server, load_before, load_after: load_average() })
}
