//! `playhead key`: the keys of a site, on its server's own machine.

use crate::place::{Place, answer};
use anyhow::Context as _;
use playhead_server::{KeyAdmin, KeyReport, RewrapReport, SiteKeyAddress};
use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
};

/// Show, renew and destroy the keys by which a site encrypts recordings
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show the site's keys, and how many recordings' keys each of them wraps
    Show {
        #[command(flatten)]
        place: Place,
    },
    /// Make a new key for recordings to come; the old ones stay for what they have wrapped
    Rotate {
        /// Go over to the key at another place: `file`, `file:/PATH` or `awskms:KEY`. New recordings are encrypted from now on
        #[arg(long, value_name = "PLACE")]
        to: Option<SiteKeyAddress>,
        #[command(flatten)]
        place: Place,
    },
    /// Have the current key wrap the keys of all recordings anew. Files stay as they are; broken off, call it again
    Rewrap {
        #[command(flatten)]
        place: Place,
    },
    /// Destroy a key that wraps nothing any more, so that old copies of the database are of no use
    Destroy {
        /// The key's id, as `show` gives it
        #[arg(value_name = "KEY")]
        key: String,
        #[command(flatten)]
        place: Place,
    },
}

/// Does what is asked and prints what came of it.
///
/// # Errors
/// No server was ever started with the folder; a key that cannot be used; data keys that could not be rewrapped.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let place = match &args.command {
        Command::Show { place }
        | Command::Rotate { place, .. }
        | Command::Rewrap { place }
        | Command::Destroy { place, .. } => place,
    };
    let admin = KeyAdmin::open(&place.data, place.database.as_deref())
        .await
        .with_context(|| place.unopened("look at the keys"))?;
    let json = place.json;
    let done = act(args.command, json, &admin).await;
    admin.close().await;
    done
}

async fn act(command: Command, json: bool, admin: &KeyAdmin) -> anyhow::Result<()> {
    match command {
        Command::Show { .. } => {}
        Command::Rotate { to, .. } => admin.rotate(to.as_ref()).await?,
        Command::Destroy { key, .. } => admin.destroy(&key).await?,
        Command::Rewrap { .. } => {
            let telling = !json && io::stderr().is_terminal();
            let report = admin
                .rewrap(|count| {
                    if telling {
                        // Nobody may be there to read it.
                        let _ = write!(io::stderr(), "\r{count} keys");
                    }
                })
                .await?;
            answer(json, &report, rewrapped)?;
            anyhow::ensure!(
                report.failed == 0,
                "some keys are as they were: {}",
                report.error.unwrap_or_default()
            );
            return Ok(());
        }
    }
    answer(json, &admin.report().await?, shown)
}

fn rewrapped(report: &RewrapReport) -> String {
    format!("{} keys of recordings were wrapped anew, {} could not be.", report.rewrapped, report.failed)
}

fn shown(report: &KeyReport) -> String {
    let mut text = match (&report.address, report.enabled) {
        (None, _) => return "Recordings of this site are not encrypted, and never were.".into(),
        (Some(address), true) => format!("New recordings are encrypted; the key is at {address}.\n"),
        (Some(address), false) => {
            format!("New recordings are not encrypted; earlier ones are, by {address}.\n")
        }
    };
    for key in &report.keys {
        let state = match (key.current, key.found) {
            (true, _) => "current",
            (false, true) => "old",
            (false, false) => "not found here",
        };
        let made = key.created_at.map_or(String::new(), |at| format!(", made {at}"));
        // Writing to a String cannot fail.
        let _ =
            write!(text, "\n{}\n    {state}{made}, wraps the keys of {} recordings\n", key.id, key.data_keys);
    }
    if let Some(problem) = &report.problem {
        let _ = write!(text, "\nProblem: {problem}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{parse, parse_at};
    use playhead_server::{Server, Settings};

    async fn asked(data: &std::path::Path, line: &[&str]) -> anyhow::Result<()> {
        run(parse_at(data, line)?).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn keys_are_shown_rotated_rewrapped_and_destroyed_beside_a_running_server() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        assert!(asked(data, &["show"]).await.unwrap_err().to_string().contains("was a recording server"));
        let server = Server::start(Settings::new(data)).await.unwrap();
        asked(data, &["show"]).await.unwrap();
        assert!(asked(data, &["rotate"]).await.unwrap_err().to_string().contains("--site-key"));
        asked(data, &["rotate", "--to", "file"]).await.unwrap();
        asked(data, &["rotate"]).await.unwrap();
        asked(data, &["rewrap"]).await.unwrap();
        let admin = KeyAdmin::open(data, None).await.unwrap();
        let report = admin.report().await.unwrap();
        assert!(report.enabled && report.keys.len() == 2 && report.keys[0].current, "{report:?}");
        assert!(shown(&report).contains("New recordings are encrypted") && shown(&report).contains("old"));
        let current = asked(data, &["destroy", &report.keys[0].id]).await.unwrap_err().to_string();
        assert!(current.contains("current"), "{current}");
        asked(data, &["destroy", &report.keys[1].id]).await.unwrap();
        assert_eq!(admin.report().await.unwrap().keys.len(), 1);
        admin.close().await;
        server.shutdown().await;
        assert!(parse::<Args>(["rotate", "--to", "vault:x", "--data", "/d"]).is_err());
    }
}
