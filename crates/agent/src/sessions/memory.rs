//! What is remembered of sessions, so that an agent that is started again knows them.
//!
//! A session is known by its X server's process: it has the same id as long as that runs. The file is the agent's alone; nothing that a
//! session's user can change is asked for this.

use super::Person;
use crate::{control::Plan, discover::Process};
use playhead_model::{
    Decided, SessionId, WallTime,
    policy::{Action, RuleOptions},
};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Name of the file, below the data folder.
const FILE: &str = "sessions.json";

/// One session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) id: SessionId,
    pub(super) server: Process,
    pub(super) user: u32,
    pub(super) started_at: WallTime,
    /// Names and groups, as they were when they were last looked up.
    #[serde(default)]
    pub(super) person: Option<Person>,
    /// What it was started with, once known.
    #[serde(default)]
    pub(super) application: Option<String>,
    /// What is being done with it; `None` while nothing is decided.
    #[serde(default)]
    pub(super) plan: Option<KnownPlan>,
    /// The user was told, or has accepted, whatever was to be.
    #[serde(default)]
    pub(super) told: bool,
}

/// A plan that is being followed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct KnownPlan {
    action: Action,
    options: RuleOptions,
    decided: Decided,
}

impl From<&Plan> for KnownPlan {
    fn from(plan: &Plan) -> Self {
        Self { action: plan.action, options: plan.options.clone(), decided: plan.decided.clone() }
    }
}

impl From<KnownPlan> for Plan {
    fn from(KnownPlan { action, options, decided }: KnownPlan) -> Self {
        Self { number: 0, action, options, decided }
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    boot_id: String,
    sessions: Vec<Known>,
}

/// The sessions that an earlier run of the agent knew and that still run.
pub(crate) fn alive(data: &Path, boot_id: &str) -> Vec<SessionId> {
    Memory::load(data, boot_id).ids()
}

/// The file.
pub(super) struct Memory {
    path: PathBuf,
    boot_id: String,
    written: Vec<Known>,
}

impl Memory {
    /// Reads it. Sessions whose X server is gone are not remembered.
    pub(super) fn load(data: &Path, boot_id: &str) -> Self {
        let path = data.join(FILE);
        let stored = match fs::read(&path) {
            Ok(text) => serde_json::from_slice::<Stored>(&text)
                .inspect_err(|error| {
                    tracing::error!(path = %path.display(), %error, "cannot read which sessions there were: they count as new");
                })
                .ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "cannot read which sessions there were");
                None
            }
        };
        let mut written =
            stored.filter(|stored| stored.boot_id == boot_id).map_or(Vec::new(), |it| it.sessions);
        written.retain(|known| known.server.is_alive());
        Self { path, boot_id: boot_id.to_owned(), written }
    }

    /// The session of an X server and a user, if it was there before.
    pub(super) fn find(&self, server: Process, user: u32) -> Option<&Known> {
        self.written.iter().find(|known| known.server == server && known.user == user)
    }

    /// The X server of a session.
    pub(super) fn server(&self, session: SessionId) -> Option<Process> {
        self.written.iter().find(|known| known.id == session).map(|known| known.server)
    }

    /// All that there were.
    pub(super) fn ids(&self) -> Vec<SessionId> {
        self.written.iter().map(|known| known.id).collect()
    }

    /// Writes what there is now, if that is news. What is not seen for a moment, but runs, is not forgotten.
    pub(super) fn keep(&mut self, mut now: Vec<Known>) {
        for before in &self.written {
            let is_there = now.iter().any(|known| (known.server, known.user) == (before.server, before.user));
            if !is_there && before.server.is_alive() {
                now.push(before.clone());
            }
        }
        if now == self.written {
            return;
        }
        let stored = Stored { boot_id: self.boot_id.clone(), sessions: now };
        let json = serde_json::to_vec_pretty(&stored).map_err(io::Error::from);
        let partial = self.path.with_extension("part");
        // Replaced whole; it need not survive the machine's death.
        let done =
            json.and_then(|json| fs::write(&partial, json)).and_then(|()| fs::rename(&partial, &self.path));
        if let Err(error) = done {
            tracing::warn!(path = %self.path.display(), %error, "cannot remember which sessions there are");
        }
        self.written = stored.sessions;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_known_again_as_long_as_their_server_runs() {
        let folder = tempfile::tempdir().unwrap();
        let server = Process::of(std::process::id()).unwrap();
        let known = |server, byte| Known {
            id: SessionId::from_bytes([byte; 16]),
            server,
            user: 7,
            started_at: WallTime::from_micros(5),
            person: None,
            application: None,
            plan: Some(KnownPlan {
                action: Action::Record,
                options: RuleOptions::default(),
                decided: Decided::NoPolicy,
            }),
            told: true,
        };
        let gone = Process { start: server.start + 1, ..server };
        let mut memory = Memory::load(folder.path(), "boot");
        memory.keep(vec![known(server, 1), known(gone, 2)]);
        let again = Memory::load(folder.path(), "boot");
        assert_eq!(again.find(server, 7), Some(&known(server, 1)));
        assert_eq!((again.find(server, 8), again.find(gone, 7)), (None, None));
        assert_eq!(again.ids(), [SessionId::from_bytes([1; 16])]);
        assert!(Memory::load(folder.path(), "another boot").ids().is_empty());
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(Memory::load(folder.path(), "boot").ids().is_empty());
    }
}
