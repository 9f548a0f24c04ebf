//! Recorded lossily, text still reaches the browser in every pixel, and a film beside it nearly as it was.

use anyhow::{Context as _, Result, ensure};
use playhead_format::Channel;
use playhead_model::WallTime;
use playhead_testsuite::{Browser, Display, Layout, Player, Shot, Stack, each_message, playhead, wait_for};
use std::{
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Where the film is: left, top, columns, rows. Not at edges of the codec's blocks.
const FILM: (usize, usize, usize, usize) = (413, 227, 320, 240);
/// Signal-to-noise ratio that it has at least, in dB.
const LEAST_PSNR: f64 = 30.0;

/// A film on the display that can be held.
struct Film(Child);

impl Film {
    fn start(display: &str) -> Result<Self> {
        let (left, top, width, height) = FILM;
        let source = format!(
            "gradients=size={width}x{height}:rate=20:speed=0.05:c0=0x204080:c1=0xd0a060:c2=0x60b040:n=3,\
             format=yuv420p,noise=alls=5:allf=t"
        );
        let mut command = Command::new("ffplay");
        command.args([
            "-hide_banner",
            "-loglevel",
            "error",
            "-an",
            "-noborder",
            "-f",
            "lavfi",
            "-i",
            &source,
        ]);
        command.args(["-left", &left.to_string(), "-top", &top.to_string()]);
        command.env("DISPLAY", display).env("SDL_VIDEODRIVER", "x11").env("SDL_RENDER_DRIVER", "software");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Ok(Self(child.context("cannot start ffplay: apt-get install ffmpeg")?))
    }

    fn signal(&self, name: &str) -> Result<()> {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.0.id().to_string()]).status()?;
        ensure!(sent.success(), "kill -{name} failed");
        Ok(())
    }
}

impl Drop for Film {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn in_film(at: usize, width: usize) -> bool {
    let (left, top, columns, rows) = FILM;
    let (x, y) = (at % width, at / width);
    (left..left + columns).contains(&x) && (top..top + rows).contains(&y)
}

/// How the picture shown differs: pixels beside the film that are not exact, and the film's signal-to-noise ratio.
fn compare(expected: &Shot, shown: &Shot) -> Result<(usize, f64)> {
    ensure!((expected.width, expected.height) == (shown.width, shown.height), "another size: {shown:?}");
    let width = expected.width as usize;
    let (mut wrong, mut squares, mut film) = (0, 0.0, 0);
    let pixels = expected.rgba.chunks_exact(4).zip(shown.rgba.chunks_exact(4));
    for (at, (expected, shown)) in pixels.enumerate() {
        if in_film(at, width) {
            film += 3;
            squares +=
                (0..3).map(|part| f64::from(expected[part].abs_diff(shown[part])).powi(2)).sum::<f64>();
        } else {
            wrong += usize::from(expected != shown);
        }
    }
    Ok((wrong, 10.0 * (255.0 * 255.0 / (squares / f64::from(film)).max(1e-3)).log10()))
}

/// Waits until the player shows a picture, the film nearly and the rest exactly.
async fn shows(player: &Player<'_>, expected: &Shot, what: &str) -> Result<f64> {
    let mut last = String::new();
    let found = wait_for(what, Duration::from_secs(10), async || {
        let (wrong, psnr) = compare(expected, &player.pixels().await?)?;
        last = format!("{wrong} wrong pixels beside the film, {psnr:.1} dB within");
        Ok((wrong == 0 && psnr > LEAST_PSNR).then_some(psnr))
    })
    .await;
    found.with_context(|| last)
}

/// A shot of a display on which nothing moves.
async fn still(display: &Display) -> Result<Shot> {
    let mut before = display.shot()?;
    wait_for("the display to stand still", Duration::from_secs(5), async || {
        tokio::time::sleep(Duration::from_millis(60)).await;
        let now = display.shot()?;
        let is_still = now == before;
        before = now;
        Ok(is_still.then(|| before.clone()))
    })
    .await
}

fn micros_now() -> Result<i64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros().try_into()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn text_stays_exact_beside_a_film_live_from_storage_and_after_seeks() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut display = Display::start(folder.path(), 1280, 800, 3)?;
    display.flash(0xf0_f0f0)?;
    for line in 0..20 {
        display.write(20 + line * 13 % 50, 20 + line * 37)?;
    }
    let stack = Stack::start(folder.path(), Layout::Together).await?;
    let mut agent = stack
        .agent_with(
            "agent",
            &[display.name()],
            &["--picture", "lossy", "--quality", "high", "--frame-rate", "20"],
            &[],
        )
        .await?;
    let live = stack.recording("live", |_| true).await?;
    let id = live["id"].as_str().context("no id")?;
    stack.until(id, "a first picture", |recording| recording["duration_us"] != 0).await?;
    let browser = Browser::start(folder.path(), &stack).await?;
    let player = browser.player(id, None).await?;
    player.shows(&display.shot()?, Duration::from_secs(10)).await.context("text alone is exact")?;

    let film = Film::start(display.name())?;
    let has_film = |shot: &Shot| {
        let middle = ((FILM.1 + 120) * 1280 + FILM.0 + 160) * 4;
        shot.rgba[middle..middle + 3] != [0xf0, 0xf0, 0xf0] && shot.rgba[middle..middle + 3] != [0, 0, 0]
    };
    wait_for("the film to begin", Duration::from_secs(15), async || {
        Ok(has_film(&display.shot()?).then_some(()))
    })
    .await?;
    let mut moments: Vec<(i64, Shot)> = Vec::new();
    for moment in 0..4u16 {
        // Some of the film goes by, with something written beside it meanwhile.
        for line in 0..6 {
            tokio::time::sleep(Duration::from_millis(200)).await;
            display.write(760 + line * 7, 40 + moment * 180 + line * 25)?;
        }
        film.signal("STOP")?;
        let shot = still(&display).await?;
        ensure!(has_film(&shot), "the film is gone");
        let psnr = shows(&player, &shot, &format!("moment {moment}, live")).await?;
        println!("live, moment {moment}: {psnr:.1} dB");
        moments.push((micros_now()?, shot));
        film.signal("CONT")?;
    }

    // Switched to lossless while it is recorded, and back.
    for (mode, is_exact) in [("lossless", true), ("lossy", false)] {
        let mut order = Command::new(playhead());
        order.args(["agent", "picture", mode, "--quality", "high", "--frame-rate", "20", "--data"]);
        let told = order.arg(folder.path().join("agent")).output()?;
        ensure!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        film.signal("STOP")?;
        let shot = still(&display).await?;
        if is_exact {
            player.shows(&shot, Duration::from_secs(10)).await.context("lossless again")?;
        } else {
            shows(&player, &shot, "lossy again").await?;
        }
        moments.push((micros_now()?, shot));
        film.signal("CONT")?;
    }
    drop(film);
    agent.stop(Duration::from_secs(20))?;
    let finished = stack.until(id, "finished", |recording| recording["state"] == "finished").await?;
    ensure!(finished["gaps"] == 0, "{finished}");
    stack.verify(id).await?;
    let videos = video_messages(&stack.sealed(id).await?)?;
    println!("{videos} video messages");
    ensure!(videos > 30, "the film was not recorded as one: {videos} messages");

    let started: WallTime = finished["started_at"].as_str().context("no start")?.parse()?;
    for (moment, (at, shot)) in moments.iter().enumerate().rev() {
        let us = at - started.as_micros();
        let page = browser.player(id, Some(us as f64 / 1e6)).await?;
        let psnr = shows(&page, shot, &format!("moment {moment}, from storage")).await?;
        println!("from storage, moment {moment}: {psnr:.1} dB");
    }
    let troubles = browser.player(id, Some(1.0)).await?.state().await?["troubles"].clone();
    ensure!(troubles == serde_json::json!([]), "{troubles}");
    browser.close().await
}

/// Messages of the video channel in stored files.
fn video_messages(files: &[std::path::PathBuf]) -> Result<usize> {
    let mut found = 0;
    each_message(files, |channel, _, _| {
        found += usize::from(channel == Channel::Video);
        Ok(())
    })?;
    Ok(found)
}
