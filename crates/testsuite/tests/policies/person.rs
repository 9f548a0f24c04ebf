//! Somebody with an account on this machine, who signs in and out.

use crate::page::PATIENCE;
use anyhow::{Context as _, Result, ensure};
use nix::unistd::Uid;
use playhead_testsuite::Program;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// An account and its session. Both are gone with this value.
pub(crate) struct Person {
    name: String,
    log: PathBuf,
    session: Option<Program>,
}

impl Person {
    /// Makes the account; `None`, with a word about it, where that is not possible.
    pub(crate) fn add(name: &str, folder: &Path) -> Result<Option<Self>> {
        if !Uid::effective().is_root() {
            println!("not run: accounts and their sessions need root");
            return Ok(None);
        }
        let person = Self { name: name.to_owned(), log: folder.join("session.log"), session: None };
        person.remove();
        let made = Command::new("useradd").args(["--create-home", name]).output()?;
        ensure!(made.status.success(), "useradd: {}", String::from_utf8_lossy(&made.stderr));
        Ok(Some(person))
    }

    /// Begins a session: an X server of the account's own.
    pub(crate) fn sign_in(&mut self) -> Result<()> {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &self.name, "--regid", &self.name, "--init-groups", "--reset-env"]);
        command.args(["Xvnc", "-displayfd", "1", "-SecurityTypes", "None", "-rfbport", "-1", "-noreset"]);
        command.args(["-geometry", "800x600", "-depth", "24", "-nolisten", "tcp", "-rfbunixpath"]);
        command.arg(format!("/home/{}/vnc", self.name)).current_dir("/");
        let mut session = Program::start(&mut command, &self.log)?;
        session.line().context("Xvnc gives no display")?;
        self.session = Some(session);
        Ok(())
    }

    /// Ends it.
    pub(crate) fn sign_out(&mut self) -> Result<()> {
        let mut session = self.session.take().context("nobody is signed in")?;
        session.stop(PATIENCE)?;
        Ok(())
    }

    fn remove(&self) {
        // A session belongs to its account.
        let _ = Command::new("pkill").args(["-KILL", "-u", &self.name]).output();
        let _ = Command::new("userdel").args(["--force", "--remove", &self.name]).output();
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        drop(self.session.take());
        self.remove();
    }
}
