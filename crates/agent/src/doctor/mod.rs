//! What is missing on this host for what an agent can do, and how to get it.
//!
//! Most of it is read from files below a root folder, so that tests can make hosts up. What only the running system can tell, such as
//! whether a display lets us in, is asked when the root is `/`.

mod agent;
mod host;
#[cfg(test)]
mod tests;

use crate::Settings;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What was found on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Diagnosis {
    /// One for each thing that was looked at.
    pub findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// What it is needed for, such as `screen` or `sound`.
    pub ability: Ability,
    /// How it is.
    pub state: State,
    /// Whether the settings ask for it.
    pub asked: bool,
    /// What was found, for people.
    pub found: String,
    /// What to do about it: a command, or a line to change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// All that is needed is there.
    Ok,
    /// Something is missing.
    Missing,
    /// It could not be looked at, for lack of permission.
    Unknown,
}

/// What something is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ability {
    /// The settings themselves.
    Settings,
    /// Permission to look at other people's sessions.
    Permissions,
    /// Recording screens.
    Screen,
    /// Covering applications.
    Masks,
    /// Sessions of xrdp.
    Xrdp,
    /// Sessions of Xvnc.
    Xvnc,
    /// Telling published applications from the desktop.
    Applications,
    /// Recording sound.
    Sound,
    /// Telling users in any script.
    Notices,
    /// Seeing at once that programs start and end.
    Processes,
    /// Seeing that files are changed.
    Files,
    /// Knowing to which sign-in a process belongs.
    LoginUid,
    /// Seeing what is printed.
    Printing,
    /// Room for the queue.
    Disk,
    /// The time of day.
    Clock,
    /// The way to the server.
    Server,
}

impl Ability {
    /// Its name, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Permissions => "permissions",
            Self::Screen => "screen",
            Self::Masks => "masks",
            Self::Xrdp => "xrdp",
            Self::Xvnc => "xvnc",
            Self::Applications => "applications",
            Self::Sound => "sound",
            Self::Notices => "notices",
            Self::Processes => "processes",
            Self::Files => "files",
            Self::LoginUid => "login-uid",
            Self::Printing => "printing",
            Self::Disk => "disk",
            Self::Clock => "clock",
            Self::Server => "server",
        }
    }
}

impl Diagnosis {
    /// Whether nothing is missing that the settings ask for.
    pub fn is_well(&self) -> bool {
        !self.findings.iter().any(|finding| finding.asked && finding.state == State::Missing)
    }
}

impl Finding {
    fn ok(ability: Ability, asked: bool, found: impl Into<String>) -> Self {
        Self { ability, state: State::Ok, asked, found: found.into(), remedy: None }
    }

    fn missing(ability: Ability, asked: bool, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        let remedy = Some(remedy.into());
        Self { ability, state: State::Missing, asked, found: found.into(), remedy }
    }

    fn unknown(ability: Ability, asked: bool, found: impl Into<String>) -> Self {
        let remedy = Some("run it as root: sudo playhead agent doctor".into());
        Self { ability, state: State::Unknown, asked, found: found.into(), remedy }
    }
}

/// Whether other people's sessions are to be recorded, and not only displays that are named.
fn records_sessions(settings: &Settings) -> bool {
    settings.sessions.discover
}

/// Looks at the host whose files lie below `root` (`/` for this one) with an agent's settings in mind. Changes nothing.
pub fn examine(settings: &Settings, root: &Path) -> Diagnosis {
    let mut findings = Vec::new();
    agent::settings(settings, &mut findings);
    host::permissions(settings, root, &mut findings);
    if root == Path::new("/") {
        agent::displays(settings, &mut findings);
    }
    host::sessions(settings, root, &mut findings);
    host::applications(settings, root, &mut findings);
    host::sound(settings, root, &mut findings);
    host::notices(settings, root, &mut findings);
    host::watching(root, &mut findings);
    host::printing(root, &mut findings);
    agent::disk(settings, &mut findings);
    host::clock(root, &mut findings);
    agent::server(settings, &mut findings);
    Diagnosis { findings }
}
