//! How long a change on a desktop takes to a reviewer's screen.

use anyhow::{Context as _, Result, ensure};
use playhead_testsuite::{AWAIT_COLOUR, Browser, Display, Layout, Stack};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_on_the_canvas_within_a_second() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut display = Display::start(folder.path(), 1920, 1080, 3)?;
    let stack = Stack::start(folder.path(), Layout::Together).await?;
    let _agent = stack.agent("agent", &[display.name()]).await?;
    let live = stack.recording("live", |_| true).await?;
    let browser = Browser::start(folder.path(), &stack).await?;
    let player = browser.player(live["id"].as_str().context("no id")?, None).await?;
    player.shows(&display.shot()?, Duration::from_secs(10)).await?;

    let mut delays = Vec::new();
    for round in 0..30u32 {
        let colour = 0x10_20_30 + round * 0x07_05_03;
        let [_, red, green, blue] = colour.to_be_bytes();
        let looking = browser.tab.execute_async(AWAIT_COLOUR, vec![red.into(), green.into(), blue.into()]);
        let changing = async {
            // So that the page already looks when the change is made.
            tokio::time::sleep(Duration::from_millis(150 + u64::from(round * 37 % 100))).await;
            display.flash(colour)?;
            Ok::<_, anyhow::Error>(Instant::now())
        };
        let (seen, changed) = tokio::join!(looking, changing);
        let now = Instant::now();
        ensure!(seen? == true, "round {round}: the change never came");
        delays.push(now - changed?);
    }
    delays.sort();
    let (median, late) = (delays[delays.len() / 2], delays[delays.len() * 95 / 100]);
    println!("live delay: median {median:?}, p95 {late:?}, most {:?}", delays[delays.len() - 1]);
    ensure!(median < Duration::from_millis(700), "median {median:?}");
    ensure!(late < Duration::from_secs(1), "p95 {late:?}");
    browser.close().await
}
