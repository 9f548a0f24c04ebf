//! What Playhead stands on and does not own: the database server, the S3 server, disks, and the host's clock.

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid},
};
use playhead_testsuite::{Program, wait_for};
use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// For how long a slow disk takes nothing.
const STILL: Duration = Duration::from_millis(700);
/// How long something may take to start on a busy machine. It says nothing about the programs under test.
const START: Duration = Duration::from_secs(240);

/// A private PostgreSQL server on a Unix socket.
pub(crate) struct Database {
    folder: PathBuf,
    server: Option<Program>,
}

impl Database {
    /// Makes a database in `folder` and starts its server.
    ///
    /// # Errors
    /// PostgreSQL is not installed or does not start.
    pub(crate) async fn start(folder: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&folder)?;
        if geteuid().is_root() {
            // PostgreSQL refuses to run as root; its package makes the account for it.
            let status = Command::new("chown").arg("postgres:").arg(&folder).status()?;
            ensure!(status.success(), "there is no account 'postgres': install the package postgresql");
        }
        let mut database = Self { folder, server: None };
        let mut init = database.command("initdb")?;
        init.args(["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync", "-D"]);
        let made = init.arg(database.folder.join("data")).env("LC_ALL", "C").output()?;
        ensure!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        database.up().await?;
        let mut made = Command::new("psql");
        made.arg(database.url("postgres")).args(["-c", "CREATE DATABASE playhead"]);
        ensure!(made.output()?.status.success(), "the database could not be made");
        Ok(database)
    }

    /// Address of a database of its.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("postgres://postgres@localhost/{name}?host={}", self.folder.display())
    }

    /// Ends the server and every process of it at once, as a power cut does, apart from what the kernel has in memory.
    pub(crate) fn kill(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        let id = server.id();
        let children = children(id);
        server.kill_hard();
        for child in children {
            let _ = kill(Pid::from_raw(child), Signal::SIGKILL);
        }
    }

    /// Starts the server again.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) async fn up(&mut self) -> Result<()> {
        let mut command = self.command("postgres")?;
        command.arg("-D").arg(self.folder.join("data")).arg("-k").arg(&self.folder);
        // The processes are killed, not the machine: what was written is with the kernel.
        command.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=100"]);
        command.current_dir(&self.folder);
        let log = self.folder.with_extension("log");
        let url = self.url("postgres");
        let mut server = Program::start(&mut command, &log)?;
        wait_for("PostgreSQL", START, async || {
            if !server.is_running() {
                // A process of the one before still held its memory.
                tokio::time::sleep(Duration::from_millis(200)).await;
                server = Program::start(&mut command, &log)?;
            }
            let asked = Command::new("psql").arg(&url).args(["-c", "SELECT 1"]).output()?;
            Ok(asked.status.success().then_some(()))
        })
        .await?;
        self.server = Some(server);
        Ok(())
    }

    /// Whether it runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.server.as_mut().is_some_and(Program::is_running)
    }

    fn command(&self, name: &str) -> Result<Command> {
        let mut found: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
            .context("PostgreSQL is not installed")?
            .flatten()
            .map(|version| version.path().join("bin").join(name))
            .filter(|program| program.exists())
            .collect();
        found.sort();
        let program = found.pop().with_context(|| format!("PostgreSQL has no program '{name}'"))?;
        if !geteuid().is_root() {
            return Ok(Command::new(program));
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "postgres", "--regid", "postgres", "--init-groups"]).arg(program);
        command.current_dir(&self.folder);
        Ok(command)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.kill();
    }
}

fn children(of: u32) -> Vec<i32> {
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(id) = process.file_name().to_string_lossy().parse::<i32>() else { continue };
        let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        if parent == Some(of) {
            found.push(id);
        }
    }
    found
}

/// A private S3 server that keeps its objects in files.
pub(crate) struct Bucket {
    folder: PathBuf,
    port: u16,
    server: Option<Program>,
}

impl Bucket {
    /// Starts it on `port`, with its files below `folder`.
    ///
    /// # Errors
    /// It is not installed or does not start.
    pub(crate) async fn start(folder: PathBuf, port: u16) -> Result<Self> {
        std::fs::create_dir_all(&folder)?;
        let mut bucket = Self { folder, port, server: None };
        bucket.up().await?;
        Ok(bucket)
    }

    /// Where the objects of the bucket lie as files.
    pub(crate) fn files(&self) -> PathBuf {
        self.folder.join("playhead")
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill_hard();
        }
    }

    /// Starts it again, with what its files hold now.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) async fn up(&mut self) -> Result<()> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let ready = self.folder.with_extension("port");
        let _ = std::fs::remove_file(&ready);
        let mut command = Command::new(root.join("target/venv/bin/python"));
        command
            .arg(root.join("scripts/s3_server.py"))
            .arg(&ready)
            .arg(&self.folder)
            .arg(self.port.to_string());
        let mut server = Program::start(&mut command, &self.folder.with_extension("log"))
            .context("the S3 server is not installed: run 'scripts/deps.sh test'")?;
        wait_for("the S3 server", START, async || {
            ensure!(server.is_running(), "it ended: {}", server.log_tail());
            Ok(ready.exists().then_some(()))
        })
        .await?;
        self.server = Some(server);
        Ok(())
    }

    /// Whether it runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.server.as_mut().is_some_and(Program::is_running)
    }
}

/// A small file system that can be filled up and held still.
pub(crate) struct Disk {
    path: PathBuf,
    hog: PathBuf,
    /// Whether it lies in a file; one in memory cannot be held still.
    is_real: bool,
}

impl Disk {
    /// Mounts it at `path`: in a file beside it, or in memory where that is not possible.
    ///
    /// # Errors
    /// Neither is allowed here.
    pub(crate) fn mount(path: &Path, bytes: u64) -> Result<Self> {
        std::fs::create_dir_all(path)?;
        let is_real = mount_file(path, bytes).is_ok();
        if !is_real {
            let options = format!("size={bytes}");
            mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), Some(options.as_str()))
                .context("cannot mount a small disk")?;
        }
        Ok(Self { path: path.to_owned(), hog: path.join("hog"), is_real })
    }

    /// Whether it can be slow.
    pub(crate) fn can_stall(&self) -> bool {
        self.is_real
    }

    /// Nothing gets onto it but in short moments, for `time`.
    ///
    /// # Errors
    /// It cannot be held still.
    pub(crate) async fn stall(&self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.freeze("--freeze")?;
            tokio::time::sleep(STILL).await;
            self.freeze("--unfreeze")?;
            tokio::time::sleep(STILL / 10).await;
        }
        Ok(())
    }

    fn freeze(&self, how: &str) -> Result<()> {
        run(Command::new("fsfreeze").arg(how).arg(&self.path))
    }

    /// Somebody else takes all the room.
    ///
    /// # Errors
    /// The disk is not there.
    pub(crate) fn fill(&self) -> Result<()> {
        let mut file = File::create(&self.hog)?;
        // Large pieces first, then whatever still fits.
        for piece in [1 << 20, 4096] {
            let piece = vec![0; piece];
            while file.write_all(&piece).is_ok() {}
        }
        Ok(())
    }

    /// There is room again.
    ///
    /// # Errors
    /// The disk is not there.
    pub(crate) fn free(&self) -> Result<()> {
        Ok(std::fs::remove_file(&self.hog)?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
        let _ = std::fs::remove_file(self.path.with_extension("disk"));
    }
}

/// A file system in a file, which is no larger than what lies in it.
fn mount_file(path: &Path, bytes: u64) -> Result<()> {
    let file = path.with_extension("disk");
    File::create(&file)?.set_len(bytes)?;
    // No room is set apart for root, so that it can be filled to the last byte.
    run(Command::new("mkfs.ext4").args(["-q", "-m", "0", "-O", "^has_journal"]).arg(&file))?;
    run(Command::new("mount").args(["-o", "loop"]).arg(&file).arg(path))?;
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let ran = command.output()?;
    ensure!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
    Ok(())
}

/// A host's clock that can jump while its programs run.
pub(crate) struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// A clock that is right so far; nothing when libfaketime is neither installed nor named in `SOAK_FAKETIME`.
    ///
    /// # Errors
    /// `file` cannot be written.
    pub(crate) fn new(file: PathBuf) -> Result<Option<Self>> {
        let named = std::env::var_os("SOAK_FAKETIME").map(PathBuf::from);
        let usual = || {
            let machines = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
            machines
                .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"))
                .find(|path| path.exists())
        };
        let Some(library) = named.or_else(usual) else { return Ok(None) };
        if !library.exists() {
            bail!("expected libfaketime at {}", library.display());
        }
        let clock = Self { library, file };
        clock.jump(0)?;
        Ok(Some(clock))
    }

    /// The clock is that many seconds ahead from now on.
    ///
    /// # Errors
    /// Its file cannot be written.
    pub(crate) fn jump(&self, seconds: i64) -> Result<()> {
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{seconds:+}s\n"))?;
        Ok(std::fs::rename(new, &self.file)?)
    }

    /// Makes a program live by this clock.
    pub(crate) fn govern(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("FAKETIME_TIMESTAMP_FILE", &self.file);
        // Waiting goes by the monotonic clock, which does not jump.
        command.envs([("FAKETIME_DONT_FAKE_MONOTONIC", "1"), ("FAKETIME_CACHE_DURATION", "1")]);
    }
}
