//! A machine of one's own for a test: accounts, settings and ports in it are nobody else's.

use anyhow::{Context as _, Result, ensure};
use playhead_testsuite::playhead;
use std::{
    path::Path,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What the script ends with where there can be no copy of the machine.
const NOT_RUN: i32 = 77;

/// Where a test runs.
pub(crate) enum Place {
    /// It has run in a copy of this machine.
    Elsewhere,
    /// It runs here, in a copy.
    Copy,
    /// It runs here, on the machine itself, and alone of those that need one.
    Machine {
        /// As long as it has this.
        _turn: MutexGuard<'static, ()>,
    },
}

static TURN: Mutex<()> = Mutex::new(());

impl Place {
    /// Runs the test of this name in a copy of the machine, where there can be one.
    pub(crate) fn of(test: &str) -> Result<Self> {
        if std::env::var_os("IN_COPY").is_some() {
            return Ok(Self::Copy);
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/with-copy");
        let (own, playhead) = (std::env::current_exe()?, playhead());
        let mut program = std::ffi::OsString::from("PLAYHEAD=");
        program.push(&playhead);
        // They may lie where the copy has nothing of this machine.
        let brought = [&own, &playhead].into_iter().filter_map(|file| file.parent());
        let run = Command::new(script)
            .args(brought.flat_map(|folder| [Path::new("--bring"), folder]))
            .arg("--")
            .arg("env")
            .arg(program)
            .arg(&own)
            .args(["--exact", test, "--nocapture"])
            .output()
            .context("cannot run scripts/with-copy")?;
        let told = [run.stdout, run.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        print!("{told}");
        if run.status.code() == Some(NOT_RUN) {
            // A test that failed before this one has left nothing behind that matters here.
            let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
            return Ok(Self::Machine { _turn });
        }
        ensure!(run.status.success(), "{test}, in a copy of this machine: {}", run.status);
        Ok(Self::Elsewhere)
    }

    /// Whether it has run already.
    pub(crate) fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Elsewhere)
    }

    /// Whether settings of the machine may be changed.
    pub(crate) fn is_copy(&self) -> bool {
        matches!(self, Self::Copy)
    }
}
