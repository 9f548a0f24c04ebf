//! Several servers of one site behind a load balancer: whichever of them is killed, restarted or stopped for a while, nothing that was
//! acknowledged is lost, and every session stays one recording.

#![allow(clippy::print_stdout, reason = "figures are printed for whoever wants to see them")]

mod gate;
mod site;

use anyhow::{Context as _, Result, ensure};
use futures_util::StreamExt as _;
use gate::Mode;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use playhead_testsuite::wait_for;
use serde_json::Value;
use site::{Desk, LEASE, Site};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_killed_and_restarted_one_after_the_other() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(mut site) = Site::start(folder.path(), "killed").await? else { return Ok(()) };
    let mut desks = [Desk::start(&site, 0).await?, Desk::start(&site, 1).await?];
    let mut load = site.load(9, 24).await?;
    let first = desks[0].recording(&site).await?;
    let id = first["id"].as_str().context("no id")?.to_owned();
    site.live(11).await?;
    goes_on(&site, &desks[0]).await?;

    delays(&site, &desks[0], &id).await?;

    // One is killed: another one takes over, and goes on with exactly what was acknowledged.
    let victim = site.holder(&id)?;
    site.server(victim)?.kill_hard();
    let began = Instant::now();
    let gone = format!("s{victim}");
    wait_for("another server to take over", PATIENCE, async || {
        let all = site.report().await?;
        Ok(all.iter().any(|server| server["name"] == gone && server["state"] == "gone").then_some(()))
    })
    .await?;
    let taken = began.elapsed();
    goes_on(&site, &desks[0]).await?;
    println!("killed: taken over after {taken:?}, acknowledged again after {:?}", began.elapsed());
    ensure!(site.holder(&id)? != victim, "the dead server still holds the recording");
    site.start_server(victim).await?;

    // All are restarted, one after the other: each hands over what it holds first.
    for number in 0..3 {
        let began = Instant::now();
        let server = site.server(number)?;
        let code = server.stop(Duration::from_secs(40))?;
        let log = server.log_tail();
        ensure!(code == Some(0), "server {number} ended with {code:?}:\n{log}");
        let left = site.sql(&format!(
            "SELECT COUNT(*) FROM recordings r JOIN servers s ON s.id = r.server WHERE r.state = 'live' AND s.name = 's{number}'"
        ))?;
        ensure!(left.trim() == "0", "{} recordings were not handed over:\n{log}", left.trim());
        println!("restart of s{number}: stopped in {:?}", began.elapsed());
        site.start_server(number).await?;
        for desk in &desks {
            goes_on(&site, desk).await?;
        }
    }

    let report: Value = serde_json::from_str(&load.line()?)?;
    println!(
        "acknowledged_ms {} breaks {} refused {}",
        report["acknowledged_ms"], report["breaks"], report["refused"]
    );
    nothing_lost(&report, 9)?;
    for desk in &mut desks {
        desk.end()?;
    }
    let all = site.all_proved(11).await?;
    let gaps: u64 = all.iter().filter_map(|recording| recording["gaps"].as_u64()).sum();
    ensure!(gaps == 0, "{gaps} gaps");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_stopped_for_a_while_has_nothing_to_say_any_more() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(mut site) = Site::start(folder.path(), "paused").await? else { return Ok(()) };
    let mut desks = [Desk::start(&site, 0).await?, Desk::start(&site, 1).await?];
    let mut load = site.load(6, 20).await?;
    let first = desks[0].recording(&site).await?;
    let id = first["id"].as_str().context("no id")?.to_owned();
    site.live(8).await?;
    goes_on(&site, &desks[0]).await?;

    // Stopped beyond its lease, then woken.
    let victim = site.holder(&id)?;
    let process = Pid::from_raw(site.server(victim)?.id().cast_signed());
    let name = format!("s{victim}");
    let epoch = epoch_of(&site, &name).await?;
    kill(process, Signal::SIGSTOP)?;
    wait_for("another server to take over", PATIENCE, async || {
        let state = site.sql(&format!("SELECT state FROM servers WHERE name = '{name}'"))?;
        Ok((state.trim() == "gone").then_some(()))
    })
    .await?;
    kill(process, Signal::SIGCONT)?;
    wait_for("the woken server to begin anew", PATIENCE, async || {
        Ok((epoch_of(&site, &name).await? >= epoch + 2).then_some(()))
    })
    .await?;
    for desk in &desks {
        goes_on(&site, desk).await?;
    }

    // The database is away for longer than a lease: nobody acknowledges, nobody takes over.
    let before = epochs(&site)?;
    site.database.set(Mode::Shut);
    tokio::time::sleep(Duration::from_secs(LEASE + 2)).await;
    site.database.set(Mode::Open);
    for desk in &desks {
        goes_on(&site, desk).await?;
    }
    ensure!(epochs(&site)? == before, "somebody took over although only the database was away");

    // Shared storage refuses for a while, then is slow.
    site.storage.set(Mode::Busy);
    tokio::time::sleep(Duration::from_secs(2)).await;
    site.storage.set(Mode::Slow(Duration::from_millis(200)));
    for desk in &desks {
        goes_on(&site, desk).await?;
    }
    site.storage.set(Mode::Open);

    let report: Value = serde_json::from_str(&load.line()?)?;
    println!(
        "acknowledged_ms {} breaks {} refused {}",
        report["acknowledged_ms"], report["breaks"], report["refused"]
    );
    nothing_lost(&report, 6)?;
    for desk in &mut desks {
        desk.end()?;
    }
    let all = site.all_proved(8).await?;
    let gaps: u64 = all.iter().filter_map(|recording| recording["gaps"].as_u64()).sum();
    ensure!(gaps == 0, "{gaps} gaps");
    Ok(())
}

/// Waits until more of the desk's recording is acknowledged than now.
async fn goes_on(site: &Site, desk: &Desk) -> Result<()> {
    let before = desk.recorded_us(site).await?;
    wait_for("the recording to go on", PATIENCE, async || {
        Ok((desk.recorded_us(site).await? > before + 300_000).then_some(()))
    })
    .await
}

/// Measures how long a change takes to those who watch, whichever server their console asks.
async fn delays(site: &Site, desk: &Desk, id: &str) -> Result<()> {
    desk.set_at_work(false);
    let mut delays = Vec::new();
    // The console asks the servers in turn, so three streams come by three ways.
    for way in 0..3u32 {
        let at = desk.recorded_us(site).await?.saturating_sub(500_000);
        let mut stream =
            site.api.stream(&format!("/api/v1/recordings/{id}/fragments?at={at}&follow=true")).await?;
        // The picture so far, until nothing more comes.
        while tokio::time::timeout(Duration::from_millis(700), stream.next())
            .await
            .is_ok_and(|piece| piece.is_some())
        {}
        for round in 0..4u32 {
            let changed = Instant::now();
            desk.flash.send(0x10_20_30 + (way * 16 + round) * 0x03_05_07)?;
            let piece = tokio::time::timeout(Duration::from_secs(10), stream.next()).await;
            piece.context("nothing came")?.context("the stream ended")??;
            delays.push(changed.elapsed());
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
    desk.set_at_work(true);
    delays.sort();
    let (median, most) = (delays[delays.len() / 2], delays[delays.len() - 1]);
    println!("from a change to who watches through any server: median {median:?}, most {most:?}");
    ensure!(
        median < Duration::from_millis(800) && most < Duration::from_secs(3),
        "median {median:?}, most {most:?}"
    );
    Ok(())
}

fn nothing_lost(report: &Value, sessions: u64) -> Result<()> {
    for name in ["lost", "differ", "given_up"] {
        ensure!(report[name] == 0, "{name}: {report:#}");
    }
    ensure!(report["checked"] == sessions && report["finished"] == sessions, "{report:#}");
    Ok(())
}

async fn epoch_of(site: &Site, name: &str) -> Result<u64> {
    let epoch = site.sql(&format!("SELECT epoch FROM servers WHERE name = '{name}'"))?;
    epoch.trim().parse().context("no epoch")
}

fn epochs(site: &Site) -> Result<String> {
    site.sql("SELECT name, epoch FROM servers ORDER BY name")
}
