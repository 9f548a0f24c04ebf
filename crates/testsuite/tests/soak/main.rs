//! A site is recorded on while everything around it fails, one fault after the other: nothing acknowledged is lost, every gap is
//! declared, nothing gets stuck.
//!
//! Takes long, so it runs only when asked for: `make soak`, or with `SOAK_FAULTS` (200), `SOAK_SEED` (from the clock),
//! `SOAK_VARIANT` (`postgres-s3`, `sqlite-folder`; both) and `SOAK_PLANT` (`journal`, `segment`: lose something on purpose, so
//! that the soak must fail).

// A soak tells how it goes.
#![allow(clippy::print_stdout)]

mod faults;
mod judge;
mod ledger;
mod outside;
mod proxy;
mod site;

use anyhow::{Context as _, Result, bail, ensure};
use faults::{Excuses, mcap_files};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use site::{Site, Variant};
use std::{
    collections::BTreeMap,
    fs::{File, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    time::{Duration, Instant, SystemTime},
};

/// What is lost on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plant {
    /// The end of the journal.
    Journal,
    /// A stored file.
    Segment,
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long: make soak"]
async fn nothing_acknowledged_is_lost() -> Result<()> {
    let count = setting("SOAK_FAULTS", "200")?.parse().context("SOAK_FAULTS must be a number")?;
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let seed = setting("SOAK_SEED", &clock.to_string())?.parse().context("SOAK_SEED must be a number")?;
    let plant = match setting("SOAK_PLANT", "")?.as_str() {
        "" => None,
        "journal" => Some(Plant::Journal),
        "segment" => Some(Plant::Segment),
        other => bail!("SOAK_PLANT must be 'journal' or 'segment', got '{other}'"),
    };
    // The second variant has fewer programs that can fail, so it gets fewer faults.
    let variants = match setting("SOAK_VARIANT", "both")?.as_str() {
        "postgres-s3" => vec![(Variant::PostgresS3, count)],
        "sqlite-folder" => vec![(Variant::SqliteFolder, count)],
        "both" => vec![(Variant::PostgresS3, count - count / 4), (Variant::SqliteFolder, count / 4)],
        other => bail!("SOAK_VARIANT must be 'postgres-s3', 'sqlite-folder' or 'both', got '{other}'"),
    };
    for (variant, count) in variants {
        println!("soak of {variant:?}: {count} faults, SOAK_SEED={seed}");
        let folder = tempfile::Builder::new().prefix("playhead-soak.").tempdir_in("/tmp")?;
        // PostgreSQL runs under another account.
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let mut site = Site::start(folder.path(), variant, seed).await?;
        if let Err(error) = soak(&mut site, count, seed, plant).await {
            let kept = folder.keep();
            keep(&kept);
            drop(site);
            println!("SOAK_SEED={seed}: {error:#}\nlogs and data: {}", kept.display());
            return Err(error);
        }
    }
    Ok(())
}

async fn soak(site: &mut Site, count: usize, seed: u64, plant: Option<Plant>) -> Result<()> {
    let began = Instant::now();
    let mut random = SmallRng::seed_from_u64(seed);
    let mut excuses = Excuses::default();
    let mut done: BTreeMap<faults::Fault, usize> = BTreeMap::new();
    let mut slowest = Duration::ZERO;
    for (at, fault) in faults::plan(site, &mut random, count).into_iter().enumerate() {
        tokio::time::sleep(Duration::from_millis(random.random_range(500..4_000))).await;
        site.beep()?;
        let number = at + 1;
        let what = || format!("fault {number}, {fault:?}");
        let told = fault.inject(site, &mut random, &mut excuses).await.with_context(what)?;
        let took = site.moves().await.with_context(what)?;
        site.answers().await.with_context(what)?;
        site.api.recordings().await.with_context(what)?;
        slowest = slowest.max(took);
        *done.entry(fault).or_default() += usize::from(told.is_some());
        let told = told.as_deref().unwrap_or("nothing to do it to yet");
        println!("{number:3} {fault:?} {told}: all is recorded again after {:.1} s", took.as_secs_f64());
    }
    if plant == Some(Plant::Journal) {
        lose_the_journals_end(site).await?;
        site.moves().await?;
    }
    site.end_sessions().await?;
    if plant == Some(Plant::Segment) {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let file = mcap_files(&site.stored()).pop().context("nothing is stored yet")?;
        std::fs::remove_file(&file)?;
        println!("removed {}", file.display());
    }
    let verdict = judge::judge(site, &excuses).await?;

    println!("done: {done:?}");
    for kind in faults::not_run(site) {
        println!("not run: {kind}");
    }
    let [server, console, agent] = site.memory.map(|bytes| bytes >> 20);
    println!("memory at most: server {server} MiB, console {console} MiB, agent {agent} MiB");
    println!(
        "{} recordings in {} files, {} quarantined; {} fragments acknowledged; {} stored in the others; {} gaps declared",
        verdict.recordings,
        verdict.files,
        verdict.quarantined.len(),
        verdict.acknowledged,
        verdict.fragments,
        verdict.gaps
    );
    verdict.quarantined.iter().for_each(|reason| println!("quarantined {reason}"));
    let seconds = began.elapsed().as_secs();
    println!(
        "{count} faults in {seconds} s; at most {:.1} s until all was recorded again",
        slowest.as_secs_f64()
    );
    let problems = verdict.problems;
    ensure!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    ensure!(verdict.fragments > 0, "nothing was recorded");
    Ok(())
}

/// The server forgets what it called durable last, and so does shared storage.
async fn lose_the_journals_end(site: &mut Site) -> Result<()> {
    site.kill_server();
    let shared = site.stored().join("soak/journal");
    if let Some(bucket) = &mut site.bucket {
        bucket.kill();
        std::fs::remove_dir_all(&shared)?;
        bucket.up().await?;
    }
    let mut files: Vec<_> = std::fs::read_dir(site.journal())?.flatten().map(|file| file.path()).collect();
    files.sort();
    let path = files.pop().context("no journal")?;
    let file = File::options().write(true).open(&path)?;
    let length = file.metadata()?.len();
    file.set_len(length - (length / 2).min(200 << 10))?;
    println!("cut {} from {length} bytes", path.display());
    site.start_server()
}

/// What lies on the small disks goes with them: a copy of it stays for whoever looks into a failure.
fn keep(folder: &Path) {
    for name in ["server", "agent0", "agent1"] {
        let _ = std::fs::remove_file(folder.join(name).join("hog"));
        let _ = Command::new("cp")
            .arg("-a")
            .arg(folder.join(name))
            .arg(folder.join(format!("{name}-kept")))
            .status();
    }
}

fn setting(name: &str, usual: &str) -> Result<String> {
    match std::env::var(name) {
        Ok(value) => Ok(value),
        Err(std::env::VarError::NotPresent) => Ok(usual.to_owned()),
        Err(error) => Err(error).context(name.to_owned()),
    }
}
