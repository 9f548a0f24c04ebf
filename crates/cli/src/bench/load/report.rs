//! What a run has shown.

use super::{Args, Held, Profile, Used, agent::Counts, figures::Spread, script::Rates};
use anyhow::Result;
use serde::Serialize;
use std::{
    io::{self, Write as _},
    sync::atomic::{AtomicU64, Ordering},
};

/// The report. Times in milliseconds, sizes in bytes unless named otherwise.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    profile: Profile,
    sessions: u32,
    hosts: u32,
    /// How long figures were taken.
    seconds: f64,
    /// What a session sends.
    rates: Rates,
    /// From the moment a fragment is handed to the connection until its acknowledgement is read.
    acknowledged_ms: Spread,
    /// How much later than due the generator sent.
    late_ms: Spread,
    /// From dialling until the recording is open.
    opened_ms: Spread,
    /// While figures were taken.
    fragments_per_second: f64,
    mb_per_second: f64,
    uncompressed_mb_per_second: f64,
    /// From the first connection to the last.
    fragments_sent: u64,
    fragments_acknowledged: u64,
    bytes_sent: u64,
    bytes_acknowledged: u64,
    /// Fragments that were acknowledged and that the server has not.
    pub(super) lost: u64,
    /// Recordings whose last fragment at the server is another than the acknowledged one.
    pub(super) differ: u64,
    /// Recordings compared at the end on a new connection.
    checked: u64,
    finished: u64,
    breaks: u64,
    refused: u64,
    given_up: u64,
    generator: Process,
    server: Option<Process>,
    /// MB a second that the server's disk writes, before and after.
    disk_mb_per_second: Option<(f64, f64)>,
    /// MB taken in for each second of the server's processor time.
    server_mb_per_cpu_second: Option<f64>,
    /// The machine's load average over a minute, before and after: what else ran counts.
    load_average: (f64, f64),
}

#[derive(Debug, Serialize)]
struct Process {
    /// Cores in use on average.
    cores: f64,
    /// Processor time for each session and second, in microseconds.
    cpu_us_per_session_second: f64,
    rss_bytes: u64,
    threads: u64,
}

impl Process {
    fn new(used: &Used, seconds: f64, sessions: u32) -> Self {
        let cores = (used.to.cpu_seconds - used.from.cpu_seconds) / seconds;
        Self {
            cores,
            cpu_us_per_session_second: cores * 1e6 / f64::from(sessions),
            rss_bytes: used.most_rss,
            threads: used.to.threads,
        }
    }
}

impl Report {
    pub(super) fn new(
        args: &Args,
        rates: Rates,
        held: &Held,
        counts: &Counts,
        disk: Option<(f64, f64)>,
    ) -> Self {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let a_second = |counter: &AtomicU64| get(counter) as f64 / held.seconds;
        let process = |used: &Used| Process::new(used, held.seconds, args.sessions);
        let server = held.server.as_ref().map(process);
        let mb_per_second = a_second(&counts.measured_bytes) / 1e6;
        Self {
            profile: args.profile,
            sessions: args.sessions,
            hosts: args.hosts.unwrap_or(args.sessions),
            seconds: held.seconds,
            rates,
            acknowledged_ms: counts.acknowledged.spread(),
            late_ms: counts.late.spread(),
            opened_ms: counts.opened.spread(),
            fragments_per_second: a_second(&counts.measured_fragments),
            mb_per_second,
            uncompressed_mb_per_second: a_second(&counts.measured_uncompressed) / 1e6,
            fragments_sent: get(&counts.fragments_sent),
            fragments_acknowledged: get(&counts.fragments_acked),
            bytes_sent: get(&counts.bytes_sent),
            bytes_acknowledged: get(&counts.bytes_acked),
            lost: get(&counts.lost),
            differ: get(&counts.differ),
            checked: get(&counts.checked),
            finished: get(&counts.finished),
            breaks: get(&counts.breaks),
            refused: get(&counts.refused),
            given_up: get(&counts.given_up),
            generator: process(&held.generator),
            server_mb_per_cpu_second: server.as_ref().map(|server| mb_per_second / server.cores.max(1e-9)),
            server,
            disk_mb_per_second: disk,
            load_average: (held.load_before, held.load_after),
        }
    }

    pub(super) fn say(&self, json: bool) -> Result<()> {
        let mut out = io::stdout().lock();
        if json {
            writeln!(out, "{}", serde_json::to_string(self)?)?;
            return Ok(());
        }
        let profile = format!("{:?}", self.profile).to_lowercase();
        writeln!(
            out,
            "Sessions       {} ({profile}, {} hosts), {:.0} s",
            self.sessions, self.hosts, self.seconds
        )?;
        let Rates { mb_per_hour, mb_per_active_hour, active_share, .. } = &self.rates;
        let share = active_share * 100.0;
        writeln!(
            out,
            "Each           {mb_per_hour:.1} MB/h; {mb_per_active_hour:.0} MB/h in the {share:.0} % of seconds with a change"
        )?;
        let (fragments, mb) = (self.fragments_per_second, self.mb_per_second);
        writeln!(out, "Taken in       {fragments:.0} fragments/s, {mb:.1} MB/s")?;
        for (name, spread) in [
            ("Acknowledged", &self.acknowledged_ms),
            ("Sent late", &self.late_ms),
            ("Opened", &self.opened_ms),
        ] {
            let Spread { p50, p95, p99, max, .. } = spread;
            writeln!(out, "{name:14} p50 {p50:.1}, p95 {p95:.1}, p99 {p99:.1}, max {max:.1} ms")?;
        }
        let (sent, acked) = (self.fragments_sent, self.fragments_acknowledged);
        writeln!(out, "Fragments      {sent} sent, {acked} acknowledged, {} lost", self.lost)?;
        writeln!(
            out,
            "Recordings     {} compared, {} differ, {} finished",
            self.checked, self.differ, self.finished
        )?;
        writeln!(
            out,
            "Connections    {} broke, {} refusals, {} sessions given up",
            self.breaks, self.refused, self.given_up
        )?;
        let process = |process: &Process| {
            let Process { cores, cpu_us_per_session_second, rss_bytes, threads } = process;
            let mib = rss_bytes >> 20;
            format!(
                "{cores:.2} cores ({cpu_us_per_session_second:.0} us a session and second), {mib} MiB, {threads} threads"
            )
        };
        writeln!(out, "Generator      {}", process(&self.generator))?;
        if let Some(server) = &self.server {
            writeln!(out, "Server         {}", process(server))?;
        }
        if let Some(mb) = self.server_mb_per_cpu_second {
            writeln!(out, "               {mb:.0} MB for a second of its processor time")?;
        }
        if let Some((before, after)) = self.disk_mb_per_second {
            writeln!(out, "Disk           {before:.0} MB/s before, {after:.0} MB/s after")?;
        }
        writeln!(out, "Load average   {:.1} before, {:.1} after", self.load_average.0, self.load_average.1)?;
        Ok(())
    }
}
