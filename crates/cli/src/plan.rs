//! `playhead plan`: what a site of so many sessions needs, from what was measured.

use anyhow::Result;
use serde::Serialize;
use std::io::{self, Write as _};

/// Forecast the servers and the storage that a site needs
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Sessions at the same time, at the busiest hour
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    sessions: u32,
    /// Hours a day that a session goes on
    #[arg(long, default_value_t = 8.0, value_name = "HOURS", value_parser = hours)]
    active_hours: f64,
    /// Days a week with sessions
    #[arg(long, default_value_t = 5, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=7))]
    days_a_week: u32,
    /// What people do
    #[arg(long, value_enum, default_value_t = Profile::Office)]
    profile: Profile,
    /// Days that recordings are kept
    #[arg(long, default_value_t = 90, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    retention_days: u32,
    /// Of a hundred sessions, so many are watched live or played at the same time
    #[arg(long, default_value_t = 1.0, value_name = "PERCENT", value_parser = percent)]
    watched_percent: f64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Profile {
    /// Typing, reading, changing windows; two thirds of the time nothing
    Office,
    /// The same without rest
    Busy,
    /// A film all the time
    Video,
}

/// What one session of a profile costs, each number with the run it was measured in.
struct Measured {
    /// MB an hour of session, with the first picture spread over eight hours.
    mb_per_hour: f64,
    /// Fragments a second, over the whole session.
    fragments_per_second: f64,
    source: &'static str,
}

/// What a server costs, whatever its sessions do.
struct Server {
    /// Processor microseconds for a fragment: receiving, checking, writing, acknowledging, storing.
    us_per_fragment: f64,
    /// Processor milliseconds for a MB of fragments: 3.5 for taking it in, the rest for storing it.
    ms_per_mb: f64,
    /// Bytes of memory for a connected session: 60 kB measured, and the places of an hour's fragments.
    bytes_per_session: f64,
    /// Bytes of memory without sessions.
    bytes_alone: f64,
    /// Sessions that one server was measured with.
    most_sessions: f64,
    source: &'static str,
}

const OFFICE: Measured = Measured {
    mb_per_hour: 45.0,
    fragments_per_second: 0.33,
    source: "bench load --profile office, drawn desktop 1920x1080, 19 to 72 MB/h by seed and length, 2026-11-22",
};
const BUSY: Measured = Measured {
    mb_per_hour: 160.0,
    fragments_per_second: 0.9,
    source: "bench load --profile busy, drawn desktop 1920x1080, 2026-11-22",
};
const VIDEO: Measured = Measured {
    mb_per_hour: 5_550.0,
    fragments_per_second: 7.0,
    source: "docs/benchmarks.md, segment video, lossless, 2026-11-22",
};
const SERVER: Server = Server {
    us_per_fragment: 150.0,
    ms_per_mb: 6.0,
    bytes_per_session: 180e3,
    bytes_alone: 60e6,
    most_sessions: 5_000.0,
    source: "bench load, 2,000 and 5,000 office sessions and bulk, on 2 cores of an AMD EPYC, 2026-11-22",
};

/// A processor is planned to be this busy at the busiest hour.
const BUSY_SHARE: f64 = 0.5;
/// The hour with the most fragments has this much more than the average one.
const PEAK: f64 = 1.5;
/// The journal keeps about twice what is not stored yet: an hour's fragments when segments end by time.
const JOURNAL_HOURS: f64 = 2.0;
/// Free room that storage should have.
const SPARE: f64 = 1.2;
/// Memory left to the system's cache and other programs.
const SYSTEM_BYTES: f64 = 1e9;

/// The forecast. Sizes in bytes.
#[derive(Debug, PartialEq, Serialize)]
struct Plan {
    sessions: u32,
    servers: u32,
    /// Of each server.
    cores_per_server: u32,
    memory_bytes_per_server: u64,
    journal_bytes_per_server: u64,
    /// Each server's disk must write so much, counting the journal and a storage on the same disk.
    disk_mb_per_second_per_server: f64,
    /// Of the site, at the busiest hour.
    network_in_mbit_per_second: f64,
    network_out_mbit_per_second: f64,
    stored_bytes_per_day: u64,
    storage_bytes: u64,
    /// Where the figures come from.
    measured: [&'static str; 2],
}

fn hours(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(hours) if hours > 0.0 && hours <= 24.0 => Ok(hours),
        _ => Err(format!("expected hours above 0 and up to 24, got '{text}'")),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err(format!("expected a percentage between 0 and 100, got '{text}'")),
    }
}

/// Forecasts and prints.
///
/// # Errors
/// Nobody takes the output.
pub(crate) fn run(args: &Args) -> Result<std::process::ExitCode> {
    say(args, &plan(args))?;
    Ok(std::process::ExitCode::SUCCESS)
}

fn plan(args: &Args) -> Plan {
    let of = match args.profile {
        Profile::Office => OFFICE,
        Profile::Busy => BUSY,
        Profile::Video => VIDEO,
    };
    let sessions = f64::from(args.sessions);
    let mb_per_second = sessions * of.mb_per_hour / 3_600.0;
    let peak_mb = mb_per_second * PEAK;
    let cores = sessions * of.fragments_per_second * PEAK * SERVER.us_per_fragment / 1e6
        + peak_mb * SERVER.ms_per_mb / 1e3;
    /// Larger machines were not measured.
    const CORES: f64 = 8.0;
    let by_cores = cores / (CORES * BUSY_SHARE);
    let servers = by_cores.max(sessions / SERVER.most_sessions).ceil().max(1.0);
    let each = sessions / servers;
    let memory = SERVER.bytes_alone + each * SERVER.bytes_per_session + SYSTEM_BYTES;
    let mb_per_hour = mb_per_second * 3_600.0;
    let days = f64::from(args.retention_days) * f64::from(args.days_a_week) / 7.0;
    let per_day = mb_per_hour * 1e6 * args.active_hours;
    // Whoever watches gets what the session makes, and at the start a picture.
    let watched = mb_per_second * args.watched_percent / 100.0;
    Plan {
        sessions: args.sessions,
        // Numbers of machines and cores: small.
        servers: servers as u32,
        cores_per_server: (cores / servers / BUSY_SHARE).ceil().max(2.0) as u32,
        memory_bytes_per_server: memory as u64,
        journal_bytes_per_server: (mb_per_hour * 1e6 / servers * JOURNAL_HOURS) as u64,
        disk_mb_per_second_per_server: peak_mb * 2.0 / servers,
        network_in_mbit_per_second: peak_mb * 8.0,
        network_out_mbit_per_second: watched * PEAK * 8.0,
        stored_bytes_per_day: per_day as u64,
        storage_bytes: (per_day * days * SPARE) as u64,
        measured: [of.source, SERVER.source],
    }
}

fn size(bytes: u64) -> String {
    let bytes = bytes as f64;
    match bytes {
        1e12.. => format!("{:.1} TB", bytes / 1e12),
        1e9.. => format!("{:.1} GB", bytes / 1e9),
        _ => format!("{:.0} MB", bytes / 1e6),
    }
}

fn say(args: &Args, plan: &Plan) -> Result<()> {
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(plan)?)?;
        return Ok(());
    }
    let Plan { sessions, servers, cores_per_server, .. } = plan;
    writeln!(out, "Sessions        {sessions}")?;
    writeln!(out, "Servers         {servers}; one more lets one fail without a wait")?;
    writeln!(out, "  each          {cores_per_server} cores, {} memory", size(plan.memory_bytes_per_server))?;
    let disk = plan.disk_mb_per_second_per_server;
    writeln!(
        out,
        "  journal       {}, on a disk that writes {disk:.0} MB/s",
        size(plan.journal_bytes_per_server)
    )?;
    let (inward, outward) = (plan.network_in_mbit_per_second, plan.network_out_mbit_per_second);
    writeln!(out, "Network         {inward:.0} Mbit/s in, {outward:.1} Mbit/s out to those who watch")?;
    writeln!(
        out,
        "Storage         {} a day with sessions, {} for {} days",
        size(plan.stored_bytes_per_day),
        size(plan.storage_bytes),
        args.retention_days
    )?;
    for source in plan.measured {
        writeln!(out, "Measured        {source}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::parse;

    fn of(line: &[&str]) -> Plan {
        plan(&parse(line).unwrap())
    }

    #[test]
    fn more_of_anything_needs_more() {
        let small = of(&["--sessions", "100"]);
        assert_eq!((small.servers, small.cores_per_server), (1, 2));
        let large = of(&["--sessions", "20000"]);
        assert!(large.servers >= 4, "{large:?}");
        assert!(large.memory_bytes_per_server > small.memory_bytes_per_server);
        let times = large.storage_bytes as f64 / small.storage_bytes as f64;
        assert!((times - 200.0).abs() < 0.001, "{times}");
        let video = of(&["--sessions", "100", "--profile", "video"]);
        assert!(
            video.cores_per_server >= small.cores_per_server
                && video.storage_bytes > 100 * small.storage_bytes
        );
        let kept = of(&["--sessions", "100", "--retention-days", "180"]);
        assert_eq!(kept.storage_bytes / 1_000_000, small.storage_bytes * 2 / 1_000_000);
        assert_eq!(
            of(&["--sessions", "100", "--active-hours", "4"]).stored_bytes_per_day * 2,
            small.stored_bytes_per_day
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for wrong in
            [["--sessions", "0"], ["--active-hours", "25"], ["--watched-percent", "-1"], ["--profile", "x"]]
        {
            assert!(parse::<Args>(["--sessions", "1", wrong[0], wrong[1]]).is_err());
        }
    }
}
