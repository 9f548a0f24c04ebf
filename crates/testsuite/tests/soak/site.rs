//! The site under test: every program a process of its own, each of which can be killed and started again.

use crate::{
    ledger::Ledger,
    outside::{Bucket, Clock, Database, Disk},
    proxy::Proxy,
};
use anyhow::{Context as _, Result, ensure};
use playhead_testsuite::{Api, Display, Program, SoundServer, free_port, playhead, wait_for};
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How long the site may take until everything moves again.
pub(crate) const BOUND: Duration = Duration::from_secs(90);
/// The smallest segments there are, so that storing goes on all the time.
const SETTINGS: &str = r#"{"rollover_bytes":1048576,"rollover_seconds":60}"#;
/// Pause of the busy desktops between two changes.
const PACE: Duration = Duration::from_millis(400);
/// Debug builds of a few sessions stay far below. In bytes: server, console, agent.
const MOST_MEMORY: [u64; 3] = [512 << 20, 384 << 20, 256 << 20];

/// What the site keeps its recordings in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// PostgreSQL and an S3 server.
    PostgresS3,
    /// SQLite and a folder.
    SqliteFolder,
}

/// An agent with its displays.
pub(crate) struct Host {
    name: String,
    program: Program,
    /// Number of its log in the ledger.
    writer: usize,
    displays: Vec<String>,
    pub(crate) disk: Option<Disk>,
    pub(crate) clock: Option<Clock>,
    /// How it records, beyond what all do.
    args: Vec<String>,
}

/// A desktop that is busy until it is told to rest.
struct Desktop {
    rest: Arc<AtomicBool>,
    busy: Option<JoinHandle<Result<()>>>,
}

/// Everything that runs. What is started first is dropped last.
pub(crate) struct Site {
    pub(crate) hosts: Vec<Host>,
    server: Program,
    console: Program,
    pub(crate) agents_line: Proxy,
    pub(crate) storage_line: Option<Proxy>,
    pub(crate) bucket: Option<Bucket>,
    pub(crate) database: Option<Database>,
    desktops: Vec<Desktop>,
    /// What the last host's sessions hear.
    room: SoundServer,
    pub(crate) disk: Option<Disk>,
    pub(crate) clock: Option<Clock>,
    pub(crate) api: Api,
    pub(crate) ledger: Ledger,
    /// Largest resident memory seen of server, console and agents, bytes.
    pub(crate) memory: [u64; 3],
    variant: Variant,
    folder: PathBuf,
    ports: Ports,
}

#[derive(Clone, Copy)]
struct Ports {
    console: u16,
    agents: u16,
    agents_line: u16,
    storage_line: u16,
}

impl Site {
    /// Starts everything below `folder` and waits until every display is recorded.
    ///
    /// # Errors
    /// Something does not start.
    pub(crate) async fn start(folder: &Path, variant: Variant, seed: u64) -> Result<Self> {
        let ports = Ports {
            console: free_port()?,
            agents: free_port()?,
            agents_line: free_port()?,
            storage_line: free_port()?,
        };
        let disk_bytes = if variant == Variant::SqliteFolder { 1 << 30 } else { 512 << 20 };
        let disk = Disk::mount(&folder.join("server"), disk_bytes).ok();
        let (mut database, mut bucket, mut storage_line) = (None, None, None);
        if variant == Variant::PostgresS3 {
            database = Some(Database::start(folder.join("pg")).await?);
            let port = free_port()?;
            bucket = Some(Bucket::start(folder.join("s3"), port).await?);
            storage_line = Some(Proxy::start(ports.storage_line, port).await?);
        }
        let clock = Clock::new(folder.join("server-clock"))?;
        let place = Place { folder, variant, ports, database: database.as_ref(), clock: clock.as_ref() };
        let mut console = place.console()?;
        let ready: Value = serde_json::from_str(&console.line()?)?;
        let text = |key: &str| ready[key].as_str().with_context(|| format!("no {key}"));
        let api = Api::sign_in(text("url")?, text("user")?, text("password")?).await?;
        let token = token(&api, "server").await?;
        let server = place.server(Some(&token))?;
        let agents_line = Proxy::start(ports.agents_line, ports.agents).await?;
        let room = SoundServer::start(folder).await?;
        let mut ledger = Ledger::default();
        ledger.follow(&folder.join("server.log"));
        let mut site = Self {
            hosts: Vec::new(),
            server,
            console,
            agents_line,
            storage_line,
            bucket,
            database,
            desktops: Vec::new(),
            room,
            disk,
            clock,
            api,
            ledger,
            memory: [0; 3],
            variant,
            folder: folder.to_owned(),
            ports,
        };
        site.answers().await?;
        site.small_segments()?;
        for (at, displays) in [2, 1].into_iter().enumerate() {
            let names = (0..displays)
                .map(|_| site.desktop(seed.wrapping_add(site.desktops.len() as u64)))
                .collect::<Result<_>>()?;
            // One records every pixel, the other films and photos as video, and what is heard.
            let args: &[&str] = if at == 0 { &[] } else { &["--picture", "lossy", "--audio"] };
            site.host(&format!("agent{at}"), names, args).await?;
        }
        site.moves().await?;
        Ok(site)
    }

    /// Kills the recording server.
    pub(crate) fn kill_server(&mut self) {
        self.server.kill_hard();
    }

    /// Starts the recording server again.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start_server(&mut self) -> Result<()> {
        self.server = self.place().server(None)?;
        Ok(())
    }

    /// Kills the console.
    pub(crate) fn kill_console(&mut self) {
        self.console.kill_hard();
    }

    /// Starts the console again.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start_console(&mut self) -> Result<()> {
        self.console = self.place().console()?;
        Ok(())
    }

    /// Kills an agent. Returns how many displays it was recording.
    pub(crate) fn kill_agent(&mut self, at: usize) -> usize {
        self.hosts[at].program.kill_hard();
        self.hosts[at].displays.len()
    }

    /// Starts an agent again.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start_agent(&mut self, at: usize) -> Result<()> {
        let host = &self.hosts[at];
        let plan = HostPlan {
            name: &host.name,
            displays: &host.displays,
            args: &host.args,
            clock: host.clock.as_ref(),
        };
        self.hosts[at].program = plan.start(&self.folder, &self.room.address(), None)?;
        Ok(())
    }

    /// Something is heard.
    ///
    /// # Errors
    /// The sound server is gone.
    pub(crate) fn beep(&mut self) -> Result<()> {
        self.room.beep()
    }

    /// Whether what is acknowledged is in shared storage too.
    pub(crate) fn is_shared(&self) -> bool {
        self.variant == Variant::PostgresS3
    }

    /// Whether recordings are encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.variant == Variant::SqliteFolder
    }

    /// Begins to pack what is stored denser, beside the running server.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn repack(&self) -> Result<Child> {
        let log = File::options().create(true).append(true).open(self.folder.join("repack.log"))?;
        let mut command = self.admin(&["storage", "repack"]);
        command.stdout(Stdio::null()).stderr(log);
        Ok(command.spawn()?)
    }

    /// A command that works on the site from its server's own machine.
    pub(crate) fn admin(&self, args: &[&str]) -> Command {
        let mut command = Command::new(playhead());
        command.args(args).arg("--data").arg(self.folder.join("server"));
        self.place().reach(&mut command);
        command
    }

    /// A recording's files as the server gives them to somebody, in a folder of their own.
    ///
    /// # Errors
    /// It does not give them.
    pub(crate) fn download(&self, id: &str) -> Result<PathBuf> {
        let folder = self.folder.join("download").join(id);
        std::fs::create_dir_all(&folder)?;
        let archive = folder.with_extension("tar");
        let ran = self.admin(&["download", id]).arg("--output").arg(&archive).output()?;
        ensure!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let ran = Command::new("tar").arg("xf").arg(&archive).arg("-C").arg(&folder).output()?;
        ensure!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        Ok(folder)
    }

    /// Waits until the console answers and has its server.
    ///
    /// # Errors
    /// Not within the bound.
    pub(crate) async fn answers(&self) -> Result<()> {
        wait_for("the console to have its server", BOUND, async || {
            let sites = self.api.get("/api/v1/sites").await?;
            let sites = sites["items"].as_array().into_iter().flatten();
            let mut servers = sites.flat_map(|site| site["servers"].as_array()).flatten();
            Ok(servers.any(|server| server["state"] == "available").then_some(()))
        })
        .await
    }

    /// Waits until what every display shows from now on was recorded and acknowledged. Returns how long that took.
    ///
    /// # Errors
    /// Not within the bound, or a program ended by itself.
    pub(crate) async fn moves(&mut self) -> Result<Duration> {
        let began = Instant::now();
        // What an agent queues in order is acknowledged in order: the second time, it is about something recorded since.
        for _ in 0..2 {
            self.ledger.read()?;
            let since = Instant::now();
            loop {
                self.all_run()?;
                self.ledger.read()?;
                let is_stuck = |host: &&Host| self.ledger.alive(host.writer, since) < host.displays.len();
                let Some(stuck) = self.hosts.iter().find(is_stuck) else { break };
                ensure!(
                    began.elapsed() < BOUND,
                    "recording does not go on within {BOUND:?}: the log of {} ends:\n{}\nthe server's:\n{}",
                    stuck.name,
                    told(&stuck.program),
                    told(&self.server)
                );
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(began.elapsed())
    }

    /// Looks whether every program runs, none has panicked, and none has grown.
    ///
    /// # Errors
    /// What is not as it should be.
    pub(crate) fn all_run(&mut self) -> Result<()> {
        let panics = self.ledger.panics();
        ensure!(panics.is_empty(), "a program panicked: {}", panics.join("\n"));
        ensure!(self.database.as_mut().is_none_or(Database::is_running), "PostgreSQL ended by itself");
        ensure!(self.bucket.as_mut().is_none_or(Bucket::is_running), "the S3 server ended by itself");
        let agents = self.hosts.iter_mut().map(|host| (2, host.name.as_str(), &mut host.program));
        let programs = [(0, "the server", &mut self.server), (1, "the console", &mut self.console)];
        for (kind, name, program) in programs.into_iter().chain(agents) {
            ensure!(program.is_running(), "{name} ended by itself; its log ends:\n{}", program.log_tail());
            let (_, bytes) = program.usage()?;
            self.memory[kind] = self.memory[kind].max(bytes);
            let most = MOST_MEMORY[kind];
            ensure!(bytes <= most, "{name} takes {bytes} bytes of memory, expected at most {most}");
        }
        Ok(())
    }

    /// The desktops rest and the agents end in an orderly way.
    ///
    /// # Errors
    /// An agent does not end, or says that something went wrong.
    pub(crate) async fn end_sessions(&mut self) -> Result<()> {
        for desktop in &mut self.desktops {
            desktop.rest()?;
        }
        // Whatever is on its way arrives.
        tokio::time::sleep(Duration::from_secs(3)).await;
        for host in &mut self.hosts {
            let code = host.program.stop(Duration::from_secs(60))?;
            ensure!(code == Some(0), "{} ended with {code:?}: {}", host.name, host.program.log_tail());
        }
        self.ledger.read()
    }

    /// The folder with everything that is stored.
    pub(crate) fn stored(&self) -> PathBuf {
        match &self.bucket {
            Some(bucket) => bucket.files(),
            None => self.folder.join("server/recordings"),
        }
    }

    /// The folder of the server's journal.
    pub(crate) fn journal(&self) -> PathBuf {
        self.folder.join("server/journal")
    }

    /// Ends the rest in an orderly way.
    ///
    /// # Errors
    /// Something does not end.
    pub(crate) fn stop(&mut self) -> Result<()> {
        for program in [&mut self.server, &mut self.console] {
            let code = program.stop(Duration::from_secs(60))?;
            ensure!(code == Some(0), "a program ended with {code:?}: {}", program.log_tail());
        }
        Ok(())
    }

    fn place(&self) -> Place<'_> {
        let (database, clock) = (self.database.as_ref(), self.clock.as_ref());
        Place { folder: &self.folder, variant: self.variant, ports: self.ports, database, clock }
    }

    fn small_segments(&self) -> Result<()> {
        let change =
            format!("INSERT INTO settings (name, value, changed_at) VALUES ('recording', '{SETTINGS}', 0)");
        let mut command = match &self.database {
            Some(database) => {
                let mut command = Command::new("psql");
                command.args([&database.url("playhead"), "-c"]);
                command
            }
            None => {
                let mut command = Command::new("python3");
                let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=30); c.execute(sys.argv[2]); c.commit()";
                command.args(["-c", script]).arg(self.folder.join("server/site.db"));
                command
            }
        };
        let told = command.arg(change).output()?;
        ensure!(
            told.status.success(),
            "cannot set the size of segments: {}",
            String::from_utf8_lossy(&told.stderr)
        );
        Ok(())
    }

    fn desktop(&mut self, seed: u64) -> Result<String> {
        let folder = self.folder.join(format!("desktop{}", self.desktops.len()));
        std::fs::create_dir_all(&folder)?;
        let mut display = Display::start(&folder, 800, 600, seed)?;
        let name = display.name().to_owned();
        let rest = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&rest);
        let busy = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                display.act()?;
                std::thread::sleep(PACE);
            }
            // The X server goes when its agent has gone.
            while Arc::strong_count(&told) > 1 {
                std::thread::sleep(PACE);
            }
            Ok(())
        });
        self.desktops.push(Desktop { rest, busy: Some(busy) });
        Ok(name)
    }

    async fn host(&mut self, name: &str, displays: Vec<String>, args: &[&str]) -> Result<()> {
        let disk = Disk::mount(&self.folder.join(name), 256 << 20).ok();
        let clock = Clock::new(self.folder.join(format!("{name}-clock")))?;
        let token = token(&self.api, "agent").await?;
        let writer = self.ledger.follow(&self.folder.join(format!("{name}.log")));
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let plan = HostPlan { name, displays: &displays, args: &args, clock: clock.as_ref() };
        let program = plan.start(&self.folder, &self.room.address(), Some(&token))?;
        let name = name.to_owned();
        self.hosts.push(Host { name, program, writer, displays, disk, clock, args });
        Ok(())
    }
}

impl Desktop {
    fn rest(&mut self) -> Result<()> {
        self.rest.store(true, Ordering::Relaxed);
        match &self.busy {
            Some(busy) if busy.is_finished() => match self.busy.take().map(JoinHandle::join) {
                Some(Ok(done)) => done.context("a desktop failed"),
                _ => anyhow::bail!("a desktop panicked"),
            },
            _ => Ok(()),
        }
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        self.rest.store(true, Ordering::Relaxed);
        // Its thread sees that nobody else holds the flag any more, and ends the X server.
        self.rest = Arc::default();
        let _ = self.busy.take().map(JoinHandle::join);
    }
}

/// What a program needs to know to start.
struct Place<'a> {
    folder: &'a Path,
    variant: Variant,
    ports: Ports,
    database: Option<&'a Database>,
    clock: Option<&'a Clock>,
}

impl Place<'_> {
    fn console(&self) -> Result<Program> {
        let mut command = role(self.folder, "console", self.clock);
        command.arg("--json").args(["--listen", &format!("127.0.0.1:{}", self.ports.console)]);
        Program::start(&mut command, &self.folder.join("console.log"))
    }

    fn server(&self, token: Option<&str>) -> Result<Program> {
        let mut command = role(self.folder, "server", self.clock);
        command.arg("--json").args(["--listen-agents", &format!("127.0.0.1:{}", self.ports.agents)]);
        command.args(["--agents-url", &format!("https://127.0.0.1:{}", self.ports.agents_line)]);
        if let Some(token) = token {
            command.args(["--join", token]);
        }
        match self.variant {
            Variant::PostgresS3 => command.args(["--storage", "s3://playhead/soak"]),
            Variant::SqliteFolder => command.args(["--site-key", "file"]),
        };
        self.reach(&mut command);
        Program::start(&mut command, &self.folder.join("server.log"))
    }

    /// Tells a program where the database is and how to reach storage.
    fn reach(&self, command: &mut Command) {
        if let Some(database) = self.database {
            command.args(["--database", &database.url("playhead")]);
        }
        if self.variant == Variant::PostgresS3 {
            command.env("AWS_ENDPOINT", format!("http://127.0.0.1:{}", self.ports.storage_line));
            command.envs([("AWS_ALLOW_HTTP", "true"), ("AWS_REGION", "us-east-1")]);
            command.envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")]);
        }
    }
}

/// The end of a program's log without what it tells of every fragment.
fn told(program: &Program) -> String {
    let log = program.log_tail();
    log.lines().filter(|line| !line.contains(r#""level":"TRACE""#)).collect::<Vec<_>>().join("\n")
}

/// What an agent needs to know to start.
struct HostPlan<'a> {
    name: &'a str,
    displays: &'a [String],
    args: &'a [String],
    clock: Option<&'a Clock>,
}

impl HostPlan<'_> {
    fn start(&self, folder: &Path, room: &str, token: Option<&str>) -> Result<Program> {
        let mut command = Command::new(playhead());
        command.arg("agent").arg("--data").arg(folder.join(self.name)).args(["--host", self.name]);
        command.args(self.args).env("PULSE_SERVER", room);
        for display in self.displays {
            command.args(["--display", display]);
        }
        if let Some(token) = token {
            command.args(["--join", token]);
        }
        Program::start(common(&mut command, self.clock), &folder.join(format!("{}.log", self.name)))
    }
}

fn role(folder: &Path, role: &str, clock: Option<&Clock>) -> Command {
    let mut command = Command::new(playhead());
    command.arg(role).arg("--data").arg(folder.join(role));
    common(&mut command, clock);
    command
}

fn common<'a>(command: &'a mut Command, clock: Option<&Clock>) -> &'a mut Command {
    if let Some(clock) = clock {
        clock.govern(command);
    }
    command.args(["--log", "info,playhead::way=trace", "--log-format", "json"]).env_remove("DISPLAY")
}

async fn token(api: &Api, kind: &str) -> Result<String> {
    let (status, answer) =
        api.call(Method::POST, "/api/v1/join-tokens", Some(json!({ "kind": kind }))).await?;
    Ok(answer["token"].as_str().with_context(|| format!("no token: {status} {answer}"))?.to_owned())
}
