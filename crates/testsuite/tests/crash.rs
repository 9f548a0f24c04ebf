//! Programs are killed while they record: nothing acknowledged is lost, every gap is declared.

use anyhow::{Context as _, Result, ensure};
use playhead_testsuite::{Display, Layout, Stack, wait_for};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Victim {
    Agent,
    Server,
    Both,
    /// The agent, and everything it had queued.
    Queue,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_is_killed_ten_times() -> Result<()> {
    survives(Victim::Agent, 11).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_killed_ten_times() -> Result<()> {
    survives(Victim::Server, 12).await
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_and_server_are_killed_together_ten_times() -> Result<()> {
    survives(Victim::Both, 13).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_is_killed_and_its_queue_deleted_ten_times() -> Result<()> {
    survives(Victim::Queue, 14).await
}

async fn survives(victim: Victim, seed: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut display = Display::start(folder.path(), 1024, 768, seed)?;
    let name = display.name().to_owned();
    let mut stack = Stack::start(folder.path(), Layout::Together).await?;
    let mut agent = stack.agent("agent", &[&name]).await?;
    let recording = stack.recording("live", |recording| recording["state"] == "live").await?;
    let id = recording["id"].as_str().context("no id")?.to_owned();

    // The desktop is busy all the time, whatever happens to the programs.
    let still_busy = Arc::new(AtomicBool::new(true));
    let go_on = Arc::clone(&still_busy);
    let busy = std::thread::spawn(move || -> Result<Display> {
        while go_on.load(Ordering::Relaxed) {
            display.act()?;
            std::thread::sleep(Duration::from_millis(40));
        }
        Ok(display)
    });

    let mut random = SmallRng::seed_from_u64(seed);
    for round in 0..10 {
        tokio::time::sleep(Duration::from_millis(random.random_range(200..1_500))).await;
        let acknowledged = fragments(&stack, &id).await?;
        match victim {
            Victim::Agent => agent.kill_hard(),
            Victim::Server => stack.server().kill_hard(),
            Victim::Queue => {
                agent.kill_hard();
                std::fs::remove_dir_all(folder.path().join("agent/spool"))?;
            }
            Victim::Both => {
                agent.kill_hard();
                stack.server().kill_hard();
            }
        }
        if matches!(victim, Victim::Server | Victim::Both) {
            stack.start_server().await.with_context(|| format!("round {round}"))?;
            let kept = fragments(&stack, &id).await?;
            ensure!(
                kept >= acknowledged,
                "round {round}: {acknowledged} fragments were durable, {kept} are left"
            );
        }
        if victim != Victim::Server {
            agent = stack.agent("agent", &[&name]).await?;
        }
        let what = format!("round {round}: the recording to go on");
        wait_for(&what, Duration::from_secs(20), async || {
            Ok((fragments(&stack, &id).await? > acknowledged).then_some(()))
        })
        .await?;
    }

    let hosts = stack.api.get("/api/v1/session-hosts").await?;
    let queue = &hosts["items"][0]["queue"];
    ensure!(queue["state"] == "ok" && queue["quota_bytes"].as_u64() > Some(0), "the agent's queue: {queue}");

    still_busy.store(false, Ordering::Relaxed);
    let display = busy.join().map_err(|_| anyhow::anyhow!("the busy desktop failed"))??;
    assert_eq!(agent.stop(Duration::from_secs(15))?, Some(0));
    let finished = stack.until(&id, "finished", |recording| recording["state"] == "finished").await?;
    ensure!(stack.api.recordings().await?.len() == 1, "the session was torn into several recordings");
    let gaps = finished["gaps"].as_u64().context("no gaps")?;
    match victim {
        Victim::Server => ensure!(gaps == 0, "the agent's queue should have bridged the breaks, {gaps} gaps"),
        _ => ensure!(gaps >= 1, "no gap was declared"),
    }
    stack.verify(&id).await?;

    // It plays at any time, from the first fragment to the last.
    let end = finished["duration_us"].as_u64().context("no duration")?;
    for _ in 0..10 {
        let at = random.random_range(0..end);
        let bytes = stack.api.bytes(&format!("/api/v1/recordings/{id}/fragments?at={at}&until={at}")).await?;
        ensure!(!bytes.is_empty(), "nothing at {at}");
    }
    drop(display);
    Ok(())
}

/// How many fragments the server calls its own. It shows none that are not durable.
async fn fragments(stack: &Stack, id: &str) -> Result<u64> {
    let segments = stack.api.get(&format!("/api/v1/recordings/{id}/segments")).await?;
    let items = segments["items"].as_array().context("no segments")?;
    Ok(items.iter().filter_map(|segment| segment["fragments"].as_u64()).sum())
}
