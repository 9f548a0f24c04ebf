//! Commands that work on a site from its server's own machine: where its data lies, and how they answer.

use serde::Serialize;
use std::{
    io::{self, Write as _},
    path::PathBuf,
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
