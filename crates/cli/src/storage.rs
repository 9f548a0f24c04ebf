//! `playhead storage`: where recordings are stored, and moving them, on the server's own machine.

use crate::place::{Place, answer};
use crate::tending::How;
use anyhow::Context as _;
use playhead_model::RecordingId;
use playhead_server::{
    LocationReport, LocationState, MoveReport, StorageAdmin, StorageReport, TendDone, Wanted,
};
use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
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
    /// Pack stored segments denser now, without waiting for the server's idle time. The content and its proof stay the same
    Repack {
        /// Only this recording; it is packed again even where it was before
        #[arg(value_name = "RECORDING")]
        recording: Option<RecordingId>,
        /// How: zstd is for any reader of MCAP files, dense is smallest
        #[arg(long = "as", value_enum, value_name = "HOW", default_value = "dense")]
        how: How,
        #[command(flatten)]
        place: Place,
    },
    /// Read stored segments through now, and mend or tell of what is damaged
    Scrub {
        /// Only this recording
        #[arg(value_name = "RECORDING")]
        recording: Option<RecordingId>,
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
        | Command::Repack { place, .. }
        | Command::Scrub { place, .. }
        | Command::Activate { place, .. } => place,
    };
    let admin = StorageAdmin::open(&place.data, place.database.as_deref())
        .await
        .with_context(|| place.unopened("look at the storage"))?;
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
        Command::Repack { recording, how, .. } => {
            let done = admin.repack_now(how.into(), recording, |done| tell(json, done)).await?;
            return answer(json, &done, tended);
        }
        Command::Scrub { recording, .. } => {
            let done = admin.scrub_now(recording, |done| tell(json, done)).await?;
            answer(json, &done, tended)?;
            let damaged = admin.report().await?.tending.damaged;
            for row in damaged.iter().filter(|_| !json) {
                writeln!(io::stderr(), "{}, segment {}: {}", row.recording, row.segment, row.damage)?;
            }
            anyhow::ensure!(done.damaged == 0, "{} stored segments are damaged", done.damaged);
            return Ok(());
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
    let tending = &report.tending;
    let _ = writeln!(
        text,
        "\n{} of {} segments packed again, {} MiB saved; {} read through since they were stored, {} damaged.",
        tending.repacked,
        tending.segments,
        tending.saved_bytes >> 20,
        tending.scrubbed,
        tending.damaged_segments
    );
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

/// Says on standard error how far it is, where somebody looks.
fn tell(json: bool, done: &TendDone) {
    if !json && io::stderr().is_terminal() {
        let _ = write!(io::stderr(), "\r{} segments, {} MiB", done.segments, done.bytes >> 20);
    }
}

fn tended(done: &TendDone) -> String {
    let mut text = format!("{} segments, {} MiB", done.segments, done.bytes >> 20);
    if done.repacked > 0 {
        let _ = write!(text, "; {} packed denser, {} MiB saved", done.repacked, done.saved_bytes >> 20);
    }
    for (count, what) in [
        (done.damaged, "damaged"),
        (done.mended, "mended from another copy"),
        (done.left, "left as they are; the log says why"),
        (done.passed, "passed over: packed before, or at a location that cannot be used for it"),
    ] {
        if count > 0 {
            let _ = write!(text, "; {count} {what}");
        }
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
    use crate::testing::parse_at;
    use playhead_server::{LocationSettings, Server, Settings};

    async fn asked(data: &std::path::Path, line: &[&str]) -> anyhow::Result<()> {
        run(parse_at(data, line)?).await
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
