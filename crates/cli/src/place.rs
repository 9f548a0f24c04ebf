//! Commands that work on a site from its server's own machine: where its data lies, and how they answer.

use crate::up;
use serde::Serialize;
use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// Data folder of the `playhead up` or `playhead server`, which may run or not
    #[arg(long, value_name = "FOLDER", env = "PLAYHEAD_DATA")]
    pub(crate) data: PathBuf,
    /// The site's database, when it does not lie in the data folder
    #[arg(long, value_name = "ADDRESS", env = "PLAYHEAD_DATABASE", hide_env_values = true)]
    pub(crate) database: Option<String>,
    /// For scripts: print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

impl Place {
    /// What to say when the site's data cannot be opened, and so something `cannot` be done.
    pub(crate) fn unopened(&self, cannot: &str) -> String {
        unopened(cannot, &self.data)
    }
}

/// The same for a folder.
pub(crate) fn unopened(cannot: &str, data: &Path) -> String {
    format!("cannot {cannot}: was a recording server started with {}?", data.display())
}

/// Where the data of a console lies, and how its commands answer.
#[derive(Debug, clap::Args)]
pub(crate) struct ConsolePlace {
    /// Data folder of the `playhead up` or `playhead console`, which may run or not
    #[arg(long, value_name = "FOLDER", env = "PLAYHEAD_DATA")]
    data: PathBuf,
    /// The console's database, when it does not lie in the data folder
    #[arg(long, value_name = "ADDRESS", env = "PLAYHEAD_CONSOLE_DATABASE", hide_env_values = true)]
    pub(crate) database: Option<String>,
    /// For scripts: print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

impl ConsolePlace {
    /// The console's own folder.
    pub(crate) fn folder(&self) -> PathBuf {
        console_folder(&self.data)
    }
}

/// The console's own folder: that of a `playhead up` holds it.
pub(crate) fn console_folder(data: &Path) -> PathBuf {
    let within = data.join(up::CONSOLE);
    if within.is_dir() { within } else { data.to_owned() }
}

/// Who does it, for what is written down.
pub(crate) fn who() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.name);
    format!("{} (command line)", user.as_deref().unwrap_or("somebody"))
}

/// Prints an answer: as one JSON object, or as text for people.
///
/// # Errors
/// Nobody reads it.
pub(crate) fn answer<T: Serialize>(
    json: bool,
    answer: &T,
    text: impl Fn(&T) -> String,
) -> anyhow::Result<()> {
    let text = if json { serde_json::to_string(answer)? } else { text(answer) };
    let mut out = io::stdout().lock();
    writeln!(out, "{}", text.trim_end())?;
    Ok(out.flush()?)
}
