//! Child processes that never outlive their test.

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

/// A running program whose messages go to a log file beside its data.
pub struct Program {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    log: PathBuf,
}

/// Path of the binary under test: `PLAYHEAD`, or the one built beside this test.
pub fn playhead() -> PathBuf {
    if let Some(path) = std::env::var_os("PLAYHEAD") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a running test has a path");
    let folder = test.ancestors().find(|folder| folder.ends_with("debug") || folder.ends_with("release"));
    let path = folder.expect("tests run from the target folder").join("playhead");
    assert!(path.exists(), "{} is not built: run `cargo build -p playhead-cli` first", path.display());
    path
}

impl Program {
    /// Starts `command`; its standard error goes to `log`.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let errors = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let stdout = child.stdout.take().map(BufReader::new);
        Ok(Self { child, stdout, log: log.to_owned() })
    }

    /// Reads the next line it prints. Blocks until there is one.
    ///
    /// # Errors
    /// It ended instead; the error carries the end of its log.
    pub fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let stdout = self.stdout.as_mut().context("standard output was taken")?;
        if stdout.read_line(&mut line)? == 0 {
            bail!("the program ended without a word; its log ends:\n{}", self.log_tail());
        }
        Ok(line.trim().to_owned())
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends SIGKILL and waits: the program has no chance to do anything more.
    pub fn kill_hard(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end (SIGTERM) and waits.
    ///
    /// # Errors
    /// It does not end within `patience`.
    pub fn stop(&mut self, patience: Duration) -> Result<Option<i32>> {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM)?;
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code());
            }
            if Instant::now() > deadline {
                bail!("the program did not end within {patience:?}; its log ends:\n{}", self.log_tail());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Processor seconds it has used so far, and its resident memory in bytes.
    ///
    /// # Errors
    /// It has ended.
    pub fn usage(&self) -> Result<(f64, u64)> {
        usage(self.child.id())
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        let mut text = String::new();
        let _ = File::open(&self.log).and_then(|mut file| file.read_to_string(&mut text));
        let lines: Vec<_> = text.lines().rev().take(30).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.is_running() && self.stop(Duration::from_secs(5)).is_err() {
            self.kill_hard();
        }
    }
}

fn usage(id: u32) -> Result<(f64, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let after_name = stat.rsplit_once(')').context("malformed stat")?.1;
    let fields: Vec<u64> = after_name.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
    // Fields 14 and 15 of proc(5), counted from 1; the state is field 3 and stands at index 0 here.
    let ticks = fields[11] + fields[12];
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes: u64 = rss.trim().trim_end_matches(" kB").parse()?;
    // USER_HZ is 100 on every Linux that matters.
    Ok((ticks as f64 / 100.0, kilobytes * 1024))
}

/// A TCP port on loopback that was free a moment ago.
///
/// # Errors
/// The system has none.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Asks `check` again and again until it gives a value.
///
/// # Errors
/// It gives none within `patience`; the error says what was waited for.
pub async fn wait_for<T>(
    what: &str,
    patience: Duration,
    mut check: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        let last = check().await;
        if let Ok(Some(value)) = last {
            return Ok(value);
        }
        if Instant::now() > deadline {
            last.with_context(|| format!("while waiting for {what}"))?;
            bail!("waited {patience:?} in vain for {what}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
