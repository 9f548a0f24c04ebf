//! `playhead shred`: makes a recording unreadable for good, on the server's own machine.

use crate::place::{Place, answer, who};
use anyhow::Context as _;
use playhead_model::RecordingId;
use playhead_server::{KeyAdmin, ShredReport};
use std::io::{self, IsTerminal as _, Write as _};

/// Delete the key of an encrypted recording: nobody can read it any more, wherever copies of its files lie
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The recording
    #[arg(value_name = "RECORDING")]
    recording: RecordingId,
    /// Why, for the list of recordings
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    place: Place,
}

/// Shreds and prints what was written down.
///
/// # Errors
/// Nobody has said yes; there is no such recording, it is still being made, or not encrypted.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let Args { recording, why, yes, place } = args;
    anyhow::ensure!(yes || confirmed(recording)?, "nothing was done: say --yes to shred {recording}");
    let admin = KeyAdmin::open(&place.data, place.database.as_deref())
        .await
        .with_context(|| place.unopened("shred"))?;
    let done = admin.shred(recording, &who(), &why).await;
    admin.close().await;
    answer(place.json, &done?, |ShredReport { recording, at, by, .. }| {
        format!("Recording {recording} was shredded by {by} at {at}. Nobody can read it any more.")
    })
}

fn confirmed(recording: RecordingId) -> io::Result<bool> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    write!(io::stderr(), "Nobody will ever be able to read recording {recording} again. Shred it? [y/N] ")?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
