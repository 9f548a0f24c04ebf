//! `playhead storage`: where recordings are stored, and moving them, on the server's own machine.

use crate::place::{Place, answer};
use anyhow::Context as _;
use playhead_model::RecordingId;
use playhead_server::{LocationReport, LocationState, MoveReport, StorageAdmin, StorageReport, Wanted};
use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

/// Show where recordings are stored, and move them between storage locations
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show the storage locations, what lies there, and the latest moves
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Move a recording's stored segments to a location
    Move {
        /// The recording
        #[arg(value_name = "RECORDING")]
        recording: RecordingId,
        /// The location it goes to
        #[arg(value_name = "LOCATION")]
        to: String,
        #[command(flatten)]
        place: Place,
    },
    /// Store nothing new at a location and move everything away from it
    Drain {
        /// The location
        #[arg(value_name = "LOCATION")]
        from: String,
        /// The location it goes to [default: wherever there is room]
        #[arg(long, value_name = "LOCATION")]
        to: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Let new segments be stored at a location again after it was drained
    Activate {
        /// The location
        #[arg(value_name = "LOCATION")]
        location: String,
        #[command(flatten)]
        place: Place,
    },
}

/// Does what is asked and prints what came of it.
///
/// # Errors
/// No server was ever started with the folder; locations or recordings that do not exist; something that could not be moved.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let place = match &args.command {
        Command::List { place }
        | Command::Move { place, .. }
        | Command::Drain { place, .. }
        | Command::Activate { place, .. } => place,
    };
    let admin = StorageAdmin::open(&place.data, place.database.as_deref()).await.with_context(|| {
        format!("cannot look at the storage: was a recording server started with {}?", place.data.display())
    })?;
    let json = place.json;
    let done = act(args.command, json, &admin).await;
    admin.close().await;
    done
}

async fn act(command: Command, json: bool, admin: &StorageAdmin) -> anyhow::Result<()> {
    let wanted = match command {
        Command::List { .. } => {
            return answer(json, &admin.report().await?, listed);
        }
        Command::Activate { location, .. } => {
            admin.set_read_only(&location, false).await?;
            return answer(json, &admin.report().await?, listed);
        }
        Command::Move { recording, to, .. } => Wanted::Recording { id: recording, to },
        Command::Drain { from, to, .. } => Wanted::Drain { from, to },
    };
    if !json && admin.server_runs() {
        writeln!(io::stderr(), "The running server moves; this waits for it.")?;
    }
    let report = admin.move_now(wanted).await?;
    answer(json, &report, moved)?;
    anyhow::ensure!(
        report.failed == 0 && report.state == "done",
        "not everything could be moved; what is left lies where it was: {}",
        report.error.unwrap_or_default()
    );
    Ok(())
}

fn listed(report: &StorageReport) -> String {
    let mut text = String::new();
    for location in &report.locations {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", line(location));
    }
    if report.waiting_removals > 0 {
        let _ = writeln!(text, "\n{} files are still to be removed.", report.waiting_removals);
    }
    for row in report.moves.iter().filter(|row| row.state == "waiting" || row.state == "running") {
        let _ = writeln!(text, "\n{}", moved(row));
    }
    text
}

fn line(location: &LocationReport) -> String {
    let state = match location.state {
        LocationState::Active => "active",
        LocationState::ReadOnly => "read-only",
        LocationState::Full => "full",
        LocationState::Unreachable => "unreachable",
    };
    let free = location.free_bytes.map_or(String::new(), |free| format!(", {} MiB free", free >> 20));
    let (segments, mib) = (location.segments, location.bytes >> 20);
    let mut text =
        format!("{}  {}\n    {state}, {segments} segments, {mib} MiB{free}", location.id, location.url);
    if let Some(error) = &location.last_error {
        let _ = write!(text, "\n    last problem, {}: {}", error.at, error.text);
    }
    text
}

fn moved(report: &MoveReport) -> String {
    let what = match (&report.recording, &report.source) {
        (Some(recording), _) => format!("recording {recording}"),
        (None, Some(source)) => format!("everything at {source}"),
        (None, None) => "nothing".into(),
    };
    let to = report.target.as_deref().unwrap_or("wherever there is room");
    let (state, segments, mib) = (report.state, report.segments, report.bytes >> 20);
    format!("Moving {what} to {to}: {state}, {segments} segments and {mib} MiB moved, {} left", report.failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::parse;
    use playhead_server::{LocationSettings, Server, Settings};

    async fn asked(data: &std::path::Path, line: &[&str]) -> anyhow::Result<()> {
        let data = data.to_str().unwrap();
        run(parse(line.iter().copied().chain(["--data", data, "--json"]))?).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn locations_are_drained_beside_a_running_server_and_without_one() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        assert!(asked(data, &["list"]).await.unwrap_err().to_string().contains("was a recording server"));
        let at = |name: &str| LocationSettings {
            name: Some(name.into()),
            ..LocationSettings::new(data.join(name).to_str().unwrap())
        };
        let settings = Settings { storage: vec![at("a"), at("b")], ..Settings::new(data) };
        let server = Server::start(settings).await.unwrap();
        asked(data, &["list"]).await.unwrap();
        asked(data, &["drain", "a", "--to", "b"]).await.unwrap();
        server.shutdown().await;
        let error = asked(data, &["drain", "b", "--to", "a"]).await.unwrap_err().to_string();
        assert!(error.contains("read-only"), "{error}");
        asked(data, &["activate", "a"]).await.unwrap();
        asked(data, &["drain", "b"]).await.unwrap();
        let nobody = "00000000-0000-0000-0000-000000000001";
        let error = asked(data, &["move", nobody, "a"]).await.unwrap_err().to_string();
        assert!(error.contains("no recording"), "{error}");
        let admin = StorageAdmin::open(data, None).await.unwrap();
        let report = admin.report().await.unwrap();
        assert!(
            listed(&report).contains("b  ") && listed(&report).contains("read-only"),
            "{}",
            listed(&report)
        );
        assert_eq!(report.moves.len(), 2);
        assert!(moved(&report.moves[0]).contains("everything at b"));
        admin.close().await;
    }
}
