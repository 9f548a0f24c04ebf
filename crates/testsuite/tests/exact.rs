//! The whole way: what is on a real X server's screen reaches a real browser's canvas, in every pixel.

use anyhow::{Context as _, Result};
use playhead_model::WallTime;
use playhead_testsuite::{Browser, Display, Layout, Shot, Stack};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const MOMENTS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn every_pixel_arrives_live_and_from_storage_in_one_process() -> Result<()> {
    whole_way(Layout::Together, 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_pixel_arrives_live_and_from_storage_through_the_tunnel() -> Result<()> {
    whole_way(Layout::Apart, 2).await
}

async fn whole_way(layout: Layout, seed: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut display = Display::start(folder.path(), 1920, 1080, seed)?;
    let stack = Stack::start(folder.path(), layout).await?;
    let mut agent = stack.agent("agent", &[display.name()]).await?;
    let name = display.name().to_owned();
    let live = stack.recording("live", |recording| recording["display"] == name.as_str()).await?;
    let id = live["id"].as_str().context("no id")?;
    assert_eq!(live["state"], "live");

    let browser = Browser::start(folder.path(), &stack).await?;
    let player = browser.player(id, None).await?;
    player.shows(&display.shot()?, Duration::from_secs(10)).await.context("the first live picture")?;
    let mut moments: Vec<(i64, Shot)> = Vec::new();
    for moment in 0..MOMENTS {
        if moment == MOMENTS / 2 {
            display.resize(1280, 800)?;
        }
        for _ in 0..8 {
            display.act()?;
            // The pace of the script: some of it falls into one picture, some into several.
            tokio::time::sleep(Duration::from_millis(45)).await;
        }
        display.point(100 + 40 * moment as i16, 200)?;
        let shot = display.shot()?;
        player
            .shows(&shot, Duration::from_secs(5))
            .await
            .with_context(|| format!("live, moment {moment}"))?;
        // Nothing has changed since the shot, so it is what the recording shows now.
        moments.push((micros_now()?, shot));
    }
    assert_eq!(agent.stop(Duration::from_secs(10))?, Some(0));
    let finished = stack.until(id, "finished", |recording| recording["state"] == "finished").await?;
    assert_eq!(finished["end_reason"], "agent-stopped");
    assert_eq!(finished["gaps"], 0);

    let started: WallTime = finished["started_at"].as_str().context("no start")?.parse()?;
    for (moment, (at, shot)) in moments.iter().enumerate().rev() {
        let seconds = (at - started.as_micros()) as f64 / 1e6;
        let player = browser.player(id, Some(seconds)).await?;
        player
            .shows(shot, Duration::from_secs(5))
            .await
            .with_context(|| format!("from storage, moment {moment} at {seconds} s"))?;
    }
    browser.close().await
}

fn micros_now() -> Result<i64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros().try_into()?)
}
