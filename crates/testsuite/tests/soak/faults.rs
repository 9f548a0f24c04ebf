//! What is done to the site, and how it is made good again.

use crate::{outside::Disk, proxy::Line, site::Site};
use anyhow::{Context as _, Result, ensure};
use playhead_testsuite::playhead;
use rand::{Rng, RngExt as _, rngs::SmallRng, seq::SliceRandom as _};
use std::{
    collections::BTreeSet,
    fs::File,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// Bytes at the end of the journal that are left alone. A server cannot tell damage there from what a crash cut off: nothing
/// that follows says that it had been durable. As much as a group with a key frame of each display can have.
const JOURNAL_END: u64 = 1536 << 10;
/// How far before that a byte is damaged, so that it is one that still matters.
const JOURNAL_REACH: u64 = 768 << 10;

/// After this at the latest programs notice that the clock has jumped.
const CLOCK: Duration = Duration::from_secs(2);

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    KillAgent,
    KillServer,
    KillConsole,
    KillDatabase,
    KillStorage,
    /// All of Playhead's programs together.
    KillAll,
    CutNetwork,
    SilentNetwork,
    LossyNetwork,
    SlowStorage,
    CutStorage,
    FullServerDisk,
    FullAgentDisk,
    SlowServerDisk,
    SlowAgentDisk,
    ServerClock,
    AgentClock,
    /// A byte of a stored segment is not what it was.
    RottenSegment,
    /// A byte of the journal is not what it was.
    RottenJournal,
    /// The journal's folder is gone.
    LostJournal,
    /// Stored segments are packed denser, which ends at some moment.
    KillRepacking,
}

/// How often each kind comes in a round. A round has them all.
const ROUND: [(Fault, usize); 21] = [
    (Fault::KillAgent, 2),
    (Fault::KillServer, 3),
    (Fault::KillConsole, 1),
    (Fault::KillDatabase, 2),
    (Fault::KillStorage, 2),
    (Fault::KillAll, 1),
    (Fault::CutNetwork, 2),
    (Fault::SilentNetwork, 1),
    (Fault::LossyNetwork, 2),
    (Fault::SlowStorage, 1),
    (Fault::CutStorage, 1),
    (Fault::FullServerDisk, 1),
    (Fault::FullAgentDisk, 1),
    (Fault::SlowServerDisk, 1),
    (Fault::SlowAgentDisk, 1),
    (Fault::ServerClock, 1),
    (Fault::AgentClock, 1),
    (Fault::RottenSegment, 1),
    (Fault::RottenJournal, 1),
    (Fault::LostJournal, 1),
    (Fault::KillRepacking, 1),
];

/// A byte that was changed.
#[derive(Clone, Debug)]
pub(crate) struct Rot {
    pub(crate) path: PathBuf,
    offset: u64,
    bit: u8,
}

/// What the faults so far explain.
#[derive(Debug, Default)]
pub(crate) struct Excuses {
    /// Causes of gaps.
    pub(crate) gaps: BTreeSet<&'static str>,
    /// Recordings that went on after their agent was killed, added up: so many gaps must be declared.
    pub(crate) restarts: usize,
    /// Stored files with a changed byte.
    pub(crate) rotten: Vec<Rot>,
    /// How often a journal of which there is no copy was damaged. Each time recordings may be quarantined.
    pub(crate) rotten_journals: usize,
}

/// Faults in the order in which they come: rounds of all that are possible here, each shuffled.
pub(crate) fn plan(site: &Site, random: &mut SmallRng, count: usize) -> Vec<Fault> {
    let mut plan = Vec::new();
    while plan.len() < count {
        let possible = ROUND.iter().filter(|(fault, _)| missing(site, *fault).is_none());
        let mut round: Vec<_> =
            possible.flat_map(|&(fault, times)| std::iter::repeat_n(fault, times)).collect();
        round.shuffle(random);
        plan.extend(round);
    }
    plan.truncate(count);
    plan
}

/// The kinds that cannot be tried here, and why.
pub(crate) fn not_run(site: &Site) -> Vec<String> {
    ROUND.iter().filter_map(|(fault, _)| Some(format!("{fault:?}: {}", missing(site, *fault)?))).collect()
}

fn missing(site: &Site, fault: Fault) -> Option<&'static str> {
    let clock = "libfaketime is not installed";
    let disk = "mounting a small disk is not allowed";
    let still = "mounting a file as a disk is not allowed";
    match fault {
        Fault::KillDatabase if site.database.is_none() => Some("there is no database server"),
        Fault::KillStorage | Fault::SlowStorage | Fault::CutStorage if site.bucket.is_none() => {
            Some("there is no storage server")
        }
        Fault::FullServerDisk if site.disk.is_none() => Some(disk),
        Fault::FullAgentDisk if site.hosts.iter().any(|host| host.disk.is_none()) => Some(disk),
        Fault::SlowServerDisk if !site.disk.as_ref().is_some_and(Disk::can_stall) => Some(still),
        Fault::SlowAgentDisk
            if site.hosts.iter().any(|host| !host.disk.as_ref().is_some_and(Disk::can_stall)) =>
        {
            Some(still)
        }
        Fault::LostJournal if !site.is_shared() => Some("the journal is nowhere else"),
        Fault::ServerClock if site.clock.is_none() => Some(clock),
        Fault::AgentClock if site.hosts.iter().any(|host| host.clock.is_none()) => Some(clock),
        _ => None,
    }
}

impl Fault {
    /// Does it, waits, and makes it good. Returns what was done in particular; nothing when there was nothing to do it to.
    ///
    /// # Errors
    /// Something cannot be started again, or damage is not found where it was done.
    pub(crate) async fn inject(
        self,
        site: &mut Site,
        random: &mut SmallRng,
        excuses: &mut Excuses,
    ) -> Result<Option<String>> {
        let host = random.random_range(0..site.hosts.len());
        let down = Duration::from_millis(random.random_range(100..5_000));
        let waited = tokio::time::sleep(down);
        let mut told = format!("for {:.1} s", down.as_secs_f64());
        match self {
            Self::KillAgent => {
                excuses.gaps.insert("agent-restarted");
                excuses.restarts += site.kill_agent(host);
                waited.await;
                site.start_agent(host)?;
                told = format!("agent{host} {told}");
            }
            Self::KillServer => {
                site.kill_server();
                waited.await;
                site.start_server()?;
            }
            Self::KillConsole => {
                site.kill_console();
                waited.await;
                site.start_console()?;
            }
            Self::KillAll => {
                excuses.gaps.insert("agent-restarted");
                for host in 0..site.hosts.len() {
                    excuses.restarts += site.kill_agent(host);
                }
                site.kill_server();
                site.kill_console();
                waited.await;
                site.start_console()?;
                site.start_server()?;
                for host in 0..site.hosts.len() {
                    site.start_agent(host)?;
                }
            }
            Self::KillDatabase => {
                let database = site.database.as_mut().context("no database")?;
                database.kill();
                waited.await;
                database.up().await?;
            }
            Self::KillStorage => {
                let bucket = site.bucket.as_mut().context("no bucket")?;
                bucket.kill();
                waited.await;
                bucket.up().await?;
            }
            Self::CutNetwork => told = on_line(&site.agents_line, Line::Cut, down).await,
            Self::SilentNetwork => told = on_line(&site.agents_line, Line::Silent, down).await,
            Self::LossyNetwork => told = on_line(&site.agents_line, Line::Lossy(0.2), down * 2).await,
            Self::SlowStorage => {
                let line = site.storage_line.as_ref().context("no storage line")?;
                told = on_line(line, Line::Slow(Duration::from_millis(500)), down * 2).await;
            }
            Self::CutStorage => {
                let line = site.storage_line.as_ref().context("no storage line")?;
                told = on_line(line, Line::Cut, down).await;
            }
            Self::FullServerDisk => {
                let disk = site.disk.as_ref().context("no disk")?;
                disk.fill()?;
                waited.await;
                disk.free()?;
            }
            Self::FullAgentDisk => {
                excuses.gaps.insert("queue-full");
                let disk = site.hosts[host].disk.as_ref().context("no disk")?;
                disk.fill()?;
                waited.await;
                disk.free()?;
                told = format!("agent{host} {told}");
            }
            Self::SlowServerDisk => site.disk.as_ref().context("no disk")?.stall(down * 2).await?,
            Self::SlowAgentDisk => {
                site.hosts[host].disk.as_ref().context("no disk")?.stall(down * 2).await?;
                told = format!("agent{host} {told}");
            }
            Self::ServerClock => {
                let clock = site.clock.as_ref().context("no clock")?;
                let seconds = jump(random);
                clock.jump(seconds)?;
                tokio::time::sleep(down + CLOCK).await;
                clock.jump(0)?;
                told = format!("{seconds:+} s for {:.1} s", (down + CLOCK).as_secs_f64());
            }
            Self::AgentClock => {
                let clock = site.hosts[host].clock.as_ref().context("no clock")?;
                let seconds = jump(random);
                clock.jump(seconds)?;
                tokio::time::sleep(down + CLOCK).await;
                clock.jump(0)?;
                told = format!("agent{host} {seconds:+} s for {:.1} s", (down + CLOCK).as_secs_f64());
            }
            Self::RottenSegment => {
                let taken: BTreeSet<_> = excuses.rotten.iter().map(|rot| rot.path.clone()).collect();
                let files: Vec<_> =
                    mcap_files(&site.stored()).into_iter().filter(|file| !taken.contains(file)).collect();
                if files.is_empty() {
                    return Ok(None);
                }
                let path = files[random.random_range(0..files.len())].clone();
                site.kill_server();
                if let Some(bucket) = &mut site.bucket {
                    bucket.kill();
                }
                let rot = Rot::within(path, 0..u64::MAX, random)?;
                // Nobody but the server reads what is encrypted.
                let is_readable = !site.is_encrypted();
                ensure!(!is_readable || is_sound(&rot.path)?, "{} was damaged already", rot.path.display());
                rot.flip()?;
                ensure!(!is_readable || !is_sound(&rot.path)?, "verify does not find the damage {rot:?}");
                told = format!("byte {} of {}", rot.offset, rot.path.display());
                excuses.rotten.push(rot);
                if let Some(bucket) = &mut site.bucket {
                    bucket.up().await?;
                }
                site.start_server()?;
            }
            Self::RottenJournal => {
                site.kill_server();
                let found = journal_file(&site.journal())?;
                if let Some((path, length)) = &found {
                    let end = if site.is_shared() { *length } else { length - JOURNAL_END };
                    let rot = Rot::within(path.clone(), end.saturating_sub(JOURNAL_REACH)..end, random)?;
                    rot.flip()?;
                    told = format!("byte {} of {length} of {}", rot.offset, rot.path.display());
                    excuses.rotten_journals += usize::from(!site.is_shared());
                }
                site.start_server()?;
                if found.is_none() {
                    return Ok(None);
                }
            }
            Self::LostJournal => {
                site.kill_server();
                std::fs::remove_dir_all(site.journal())?;
                waited.await;
                site.start_server()?;
            }
            Self::KillRepacking => {
                let mut packing = site.repack()?;
                let end = tokio::time::Instant::now() + down * 2;
                while packing.try_wait()?.is_none() && tokio::time::Instant::now() < end {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                told = match packing.try_wait()? {
                    Some(status) => format!("ended with {status}"),
                    None => format!("killed after {:.1} s", (down * 2).as_secs_f64()),
                };
                packing.kill()?;
                packing.wait()?;
            }
        }
        Ok(Some(told))
    }
}

async fn on_line(proxy: &crate::proxy::Proxy, line: Line, time: Duration) -> String {
    proxy.set(line);
    tokio::time::sleep(time).await;
    proxy.set(Line::Good);
    format!("{line:?} for {:.1} s", time.as_secs_f64())
}

/// Seconds by which a clock jumps: as a wrong time zone, a dead battery or a correction does.
fn jump(random: &mut impl Rng) -> i64 {
    let far = [2, 45, 600, 3_600][random.random_range(0..4)];
    if random.random_bool(0.5) { far } else { -far }
}

impl Rot {
    /// Some bit within that part of a file.
    ///
    /// # Errors
    /// There is no such part.
    fn within(path: PathBuf, part: std::ops::Range<u64>, random: &mut impl Rng) -> Result<Self> {
        let end = std::fs::metadata(&path)?.len().min(part.end);
        ensure!(part.start < end, "{} is empty", path.display());
        let (offset, bit) = (random.random_range(part.start..end), random.random_range(0..8));
        Ok(Self { path, offset, bit })
    }

    /// Changes it, or changes it back.
    ///
    /// # Errors
    /// The file is not there.
    pub(crate) fn flip(&self) -> Result<()> {
        let file = File::options().read(true).write(true).open(&self.path)?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, self.offset)?;
        file.write_all_at(&[byte[0] ^ 1 << self.bit], self.offset)?;
        Ok(())
    }
}

/// The newest journal file that is long enough to be damaged where it matters, and its length.
fn journal_file(folder: &Path) -> Result<Option<(PathBuf, u64)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        files.push((entry.path(), entry.metadata()?.len()));
    }
    files.sort();
    Ok(files.into_iter().rev().find(|(_, length)| *length > 2 * JOURNAL_END))
}

/// Whether a stored file that is not encrypted is what it was when it was stored.
fn is_sound(file: &Path) -> Result<bool> {
    Ok(Command::new(playhead()).args(["verify", "--allow-incomplete"]).arg(file).output()?.status.success())
}

/// Every recording file below a folder.
pub(crate) fn mcap_files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "mcap") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
