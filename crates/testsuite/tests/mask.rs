//! A masked application never leaves the host: not live, not in what is stored, and the viewer is told.

use anyhow::{Context as _, Result, ensure};
use playhead_format::Channel;
use playhead_screen::Decoder;
use playhead_testsuite::{Browser, Display, Layout, Player, Shot, Stack, each_message, wait_for};
use serde_json::Value;
use std::{
    path::PathBuf,
    process::{Child, Command},
    time::Duration,
};
use x11rb::{
    connection::Connection as _,
    protocol::xproto::{AtomEnum, ConnectionExt as _, MapState},
};

/// What it is filled with, and what nothing else on the display looks like.
const SECRET: u32 = 0x00fe_0187;
/// What covers it.
const GREY: [u8; 3] = [0x80; 3];

/// An application that is to be masked, with its one window.
struct Secret {
    program: Child,
    /// Left, top, columns, rows.
    place: (u16, u16, u16, u16),
}

impl Secret {
    /// A program of its own: a window of this one would have all windows of this one masked.
    async fn show(display: &str) -> Result<Self> {
        let (connection, screen) = x11rb::connect(Some(display))?;
        let root = connection.setup().roots[screen].root;
        let colour = format!("#{SECRET:06x}");
        let program = Command::new("xterm")
            .args(["-display", display, "-class", "Vault", "-name", "vault", "-geometry", "50x15+213+127"])
            .args([
                "-b", "0", "-bw", "0", "+sb", "-bg", &colour, "-fg", &colour, "-cr", &colour, "-e", "sleep",
                "600",
            ])
            .spawn()
            .context("cannot start xterm")?;
        let place = wait_for("xterm's window", Duration::from_secs(10), async || {
            for window in connection.query_tree(root)?.reply()?.children {
                let (class, string) = (AtomEnum::WM_CLASS, AtomEnum::STRING);
                let class = connection.get_property(false, window, class, string, 0, 64)?.reply()?;
                let shown = connection.get_window_attributes(window)?.reply()?.map_state;
                if class.value.starts_with(b"vault\0") && shown == MapState::VIEWABLE {
                    let area = connection.get_geometry(window)?.reply()?;
                    return Ok(Some((area.x.try_into()?, area.y.try_into()?, area.width, area.height)));
                }
            }
            Ok(None)
        });
        Ok(Self { place: place.await?, program })
    }

    fn close(mut self) -> Result<()> {
        self.program.kill()?;
        self.program.wait()?;
        Ok(())
    }
}

/// The display as the recording may show it: grey where the window is.
fn covered(shot: &Shot, (left, top, columns, rows): (u16, u16, u16, u16)) -> Shot {
    let mut rgba = shot.rgba.clone();
    for y in top..top + rows {
        for x in left..left + columns {
            let at = (usize::from(y) * shot.width as usize + usize::from(x)) * 4;
            rgba[at..at + 3].copy_from_slice(&GREY);
        }
    }
    Shot { rgba, ..*shot }
}

fn secret_pixels(shot: &Shot) -> usize {
    let [blue, green, red, _] = SECRET.to_le_bytes();
    shot.rgba.chunks_exact(4).filter(|pixel| pixel[..3] == [red, green, blue]).count()
}

/// Pictures in stored files, of which none may show a pixel of the secret.
fn stored_pictures(files: &[PathBuf]) -> Result<usize> {
    let (mut pictures, mut decoder) = (0, Decoder::new());
    each_message(files, |channel, at_us, data| {
        if channel == Channel::Screen {
            decoder.decode(data)?;
            pictures += 1;
            let leaked = decoder.pixels().iter().filter(|pixel| **pixel & 0x00ff_ffff == SECRET).count();
            ensure!(leaked == 0, "{leaked} pixels of the window at {at_us} us");
        }
        Ok(())
    })?;
    Ok(pictures)
}

/// What the note above the picture says; `None` when there is none.
async fn note(player: &Player<'_>) -> Result<Option<String>> {
    let script = "return document.querySelector('[data-testid=masks] ul')?.textContent ?? null";
    Ok(player.run(script, vec![]).await?.as_str().map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_masked_window_is_never_seen_and_the_viewer_is_told() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut display = Display::start(folder.path(), 800, 600, 4)?;
    display.flash(0xf0_f0f0)?;
    for line in 0..12 {
        display.write(20 + line * 11 % 60, 15 + line * 45)?;
    }
    let stack = Stack::start(folder.path(), Layout::Together).await?;
    let mask = ["--mask", "class=vault,colour=grey"];
    let mut agent = stack.agent_with("agent", &[display.name()], &mask, &[]).await?;
    let live = stack.recording("live", |_| true).await?;
    let id = live["id"].as_str().context("no id")?;
    let before = stack.until(id, "a first picture", |recording| recording["duration_us"] != 0).await?;
    ensure!(before["masks"] == serde_json::json!([]), "{before}");
    let browser = Browser::start(folder.path(), &stack).await?;
    let player = browser.player(id, None).await?;
    let bare = display.shot()?;
    player.shows(&bare, Duration::from_secs(10)).await.context("nothing is masked yet")?;
    let bare_us = player.state().await?["painted_us"].as_u64().context("no time")?;
    ensure!(note(&player).await?.is_none(), "a note before there was a mask");

    let secret = Secret::show(display.name()).await?;
    let shot = wait_for("the window's colour", Duration::from_secs(10), async || {
        Ok(Some(display.shot()?).filter(|shot| secret_pixels(shot) > 10_000))
    });
    let shot = shot.await?;
    player
        .shows(&covered(&shot, secret.place), Duration::from_secs(10))
        .await
        .context("the window is grey")?;
    // What is drawn beside it still comes, exactly.
    display.write(580, 400)?;
    player
        .shows(&covered(&display.shot()?, secret.place), Duration::from_secs(10))
        .await
        .context("beside the window")?;
    let masked =
        stack.until(id, "a mask", |recording| recording["masks"].as_array().is_some_and(|m| !m.is_empty()));
    let applied = masked.await?["masks"][0].clone();
    ensure!(
        (applied["class"].as_str(), applied["colour"].as_str()) == (Some("vault"), Some("grey")),
        "{applied}"
    );

    secret.close()?;
    let after = wait_for("the window to be gone", Duration::from_secs(10), async || {
        Ok(Some(display.shot()?).filter(|shot| secret_pixels(shot) == 0))
    });
    let after = after.await?;
    player.shows(&after, Duration::from_secs(10)).await.context("the window is gone")?;

    agent.stop(Duration::from_secs(20))?;
    stack.until(id, "finished", |recording| recording["state"] == "finished").await?;
    stack.verify(id).await?;
    let pictures = stored_pictures(&stack.sealed(id).await?)?;
    ensure!(pictures >= 3, "only {pictures} pictures were recorded");
    let found = stack.look(id).await?;
    ensure!(found["masks"] == Value::Array(vec![applied.clone()]), "{found}");

    // From storage: told from the moment on at which something may be missing, not before.
    let first = applied["first_us"].as_u64().context("no time")? as f64 / 1e6;
    let page = browser.player(id, Some(first + 0.2)).await?;
    let told = wait_for("the note", Duration::from_secs(10), async || note(&page).await).await?;
    ensure!(told == "vault is hidden by policy.", "{told}");
    ensure!(secret_pixels(&page.pixels().await?) == 0, "the player shows the window");
    let early = browser.player(id, Some(bare_us as f64 / 1e6)).await?;
    early.shows(&bare, Duration::from_secs(10)).await.context("before the mask")?;
    ensure!(note(&early).await?.is_none(), "a note before the mask covers anything");
    browser.close().await
}
