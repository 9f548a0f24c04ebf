//! Sound and picture of a session are in step: in the recording, and in the browser.

#![allow(clippy::print_stdout, reason = "what was measured is told")]

use anyhow::{Context as _, Result, ensure};
use fantoccini::{Locator, wd::TimeoutConfiguration};
use opus::{Channels, Decoder as Opus};
use playhead_format::{AudioMessage, Channel, audio::PACKET_US};
use playhead_screen::Decoder;
use playhead_testsuite::{Browser, Display, Layout, SoundServer, Stack, each_message, wait_for};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// The most by which they may differ.
const IN_STEP_US: u64 = 80_000;
/// Samples of both channels in a packet.
const SAMPLES: usize = 1_920;

/// When the picture turned to another colour, and when a tone began, in microseconds of media time.
#[derive(Default)]
struct Moments {
    flashes: Vec<u64>,
    beeps: Vec<u64>,
    /// Messages with sound, and their bytes.
    messages: usize,
    bytes: usize,
}

/// Plays stored files with the decoders alone.
fn moments(files: &[PathBuf]) -> Result<Moments> {
    let mut found = Moments::default();
    let mut screen = Decoder::new();
    let mut opus = Opus::new(48_000, Channels::Stereo)?;
    let (mut colour, mut quiet_until_us) = (None, 0);
    each_message(files, |channel, log_time_us, data| {
        match channel {
            Channel::Screen => {
                screen.decode(data)?;
                let now = screen.pixels()[0];
                if colour.replace(now).is_some_and(|before| before != now) {
                    found.flashes.push(log_time_us);
                }
            }
            Channel::Audio => {
                let sound = AudioMessage::parse(data)?.context("an unknown kind of sound")?;
                ensure!(sound.fits(log_time_us), "sound of {} us at {log_time_us} us", sound.at_us);
                found.messages += 1;
                found.bytes += data.len();
                if sound.begins {
                    opus.reset_state()?;
                }
                for (number, packet) in sound.packets.iter().enumerate() {
                    let mut samples = [0_i16; SAMPLES];
                    opus.decode(packet, &mut samples, false)?;
                    let at_us = sound.at_us + number as u64 * PACKET_US;
                    for (number, _) in
                        samples.iter().enumerate().filter(|(_, sample)| sample.unsigned_abs() > 4_000)
                    {
                        let heard_us = at_us + number as u64 / 2 * 125 / 6;
                        if heard_us > quiet_until_us {
                            found.beeps.push(heard_us);
                        }
                        quiet_until_us = heard_us + 200_000;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flash_and_a_beep_at_the_same_moment_are_recorded_in_step() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut display = Display::start(folder.path(), 640, 480, 5)?;
    let mut room = SoundServer::start(folder.path()).await?;
    let stack = Stack::start(folder.path(), Layout::Together).await?;
    let mut agent = stack
        .agent_with("agent", &[display.name()], &["--audio"], &[("PULSE_SERVER", &room.address())])
        .await?;
    let live = stack.recording("live", |_| true).await?;
    let id = live["id"].as_str().context("no id")?.to_owned();
    stack.until(&id, "a first picture", |recording| recording["duration_us"] != 0).await?;

    // PulseAudio renders two seconds ahead for a sink that nobody has played to yet. What is played into that comes when it comes.
    room.beep()?;
    tokio::time::sleep(Duration::from_secs(4)).await;

    let rounds = 20_u32;
    for round in 0..rounds {
        // In any phase to the server's own rhythm, and now and then after it has gone to sleep.
        let pause = if round % 7 == 6 { 4_000 } else { 700 };
        tokio::time::sleep(Duration::from_millis(pause + u64::from(round * 53 % 97))).await;
        display.flash(if round % 2 == 0 { 0xff_ffff } else { 0x20_2020 })?;
        room.beep()?;
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    agent.stop(Duration::from_secs(20))?;
    stack.until(&id, "ended", |recording| recording["state"] != "live").await?;
    stack.verify(&id).await?;
    let mut found = moments(&stack.sealed(&id).await?)?;
    ensure!(found.beeps.len() > 1, "nothing was heard");
    found.beeps.remove(0);
    println!("flashes at {:?} us\nbeeps at {:?} us", found.flashes, found.beeps);
    ensure!(found.flashes.len() == rounds as usize, "{} flashes of {rounds}", found.flashes.len());
    ensure!(found.beeps.len() == rounds as usize, "{} beeps of {rounds}", found.beeps.len());
    let mut offsets: Vec<i64> =
        found.beeps.iter().zip(&found.flashes).map(|(&beep, &flash)| beep as i64 - flash as i64).collect();
    println!("beep after flash, us: {offsets:?}; {} messages of {} bytes", found.messages, found.bytes);
    offsets.sort_unstable_by_key(|offset| offset.unsigned_abs());
    let (median, worst) = (offsets[offsets.len() / 2], offsets[offsets.len() - 1]);
    println!("in step within: median {median} us, worst {worst} us");
    ensure!(worst.unsigned_abs() <= IN_STEP_US, "{worst} us apart");

    hear_in_browser(&folder.path().join("browser"), &stack, &id, &found).await
}

/// Plays the recording in a browser and compares when the picture turned with when the tone was to be heard.
async fn hear_in_browser(folder: &Path, stack: &Stack, id: &str, recorded: &Moments) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let browser = Browser::start(folder, stack).await?;
    let player = browser.player(id, None).await?;
    // Nobody has touched the page yet: it says so, and is silent.
    let state = wait_for("the player to find sound", Duration::from_secs(20), async || {
        Ok(Some(player.state().await?["sound"].clone()).filter(Value::is_object))
    })
    .await?;
    println!("sound at first: {state}");
    if state["blocked"] == true {
        browser.tab.find(Locator::Css("[data-testid=sound-hint]")).await?;
    }
    browser.tab.find(Locator::Css("body")).await?.send_keys("t").await?;
    wait_for("the browser to let it be heard", Duration::from_secs(20), async || {
        Ok((player.state().await?["sound"]["blocked"] == false).then_some(()))
    })
    .await?;

    // From the start again, noting when the picture turns and what was handed to the sound device.
    let script = r#"
        const done = arguments[arguments.length - 1];
        const [seconds] = arguments;
        const stage = document.querySelector('[data-testid=stage]');
        const copy = document.createElement('canvas');
        copy.width = copy.height = 1;
        const context = copy.getContext('2d', { willReadFrequently: true });
        const flashes = [];
        const scheduled = new Map();
        let before;
        const started = performance.now();
        document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'Home', bubbles: true }));
        const look = () => {
            context.drawImage(stage, 0, 0, 1, 1, 0, 0, 1, 1);
            const [red] = context.getImageData(0, 0, 1, 1).data;
            if (before !== undefined && red !== before) flashes.push(performance.now());
            before = red;
            for (const chunk of window.playhead.sound.scheduled) {
                scheduled.set(chunk.at_us, [chunk.at_us, chunk.length_us, chunk.heard_ms]);
            }
            if (performance.now() - started > seconds * 1000 || window.playhead.status === 'ended')
                done([flashes, [...scheduled.values()]]);
            else requestAnimationFrame(look);
        };
        setTimeout(look, 400);"#;
    let seconds = recorded.flashes.last().copied().unwrap_or_default() / 1_000_000 + 5;
    let timeouts = TimeoutConfiguration::new(Some(Duration::from_secs(seconds + 30)), None, None);
    browser.tab.update_timeouts(timeouts).await?;
    let answer = browser.tab.execute_async(script, vec![seconds.into()]).await?;
    let shown: Vec<f64> = answer[0].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    let chunks: Vec<[f64; 3]> = answer[1]
        .as_array()
        .into_iter()
        .flatten()
        .map(|chunk| [0, 1, 2].map(|field| chunk[field].as_f64().unwrap_or(f64::NAN)))
        .collect();
    ensure!(
        shown.len() == recorded.flashes.len(),
        "{} flashes shown of {}",
        shown.len(),
        recorded.flashes.len()
    );
    let heard_ms = |at_us: u64| {
        let at_us = at_us as f64;
        let holds = |[start, length, _]: &&[f64; 3]| (*start..*start + *length).contains(&at_us);
        chunks.iter().find(holds).map(|[start, _, heard]| heard + (at_us - start) / 1_000.0)
    };
    let mut offsets = Vec::new();
    for ((&beep, &flash), shown) in recorded.beeps.iter().zip(&recorded.flashes).zip(&shown) {
        let heard = heard_ms(beep).with_context(|| format!("the beep at {beep} us was never scheduled"))?;
        // What the recording itself has between the two is not the player's.
        offsets.push(heard - shown - (beep as f64 - flash as f64) / 1_000.0);
    }
    println!("player, sound after picture, ms: {offsets:.1?}");
    offsets.sort_by(|one, other| one.abs().total_cmp(&other.abs()));
    // A machine that runs all tests at once shows some pictures late; that is not the sound's doing.
    let (median, late) = (offsets[offsets.len() / 2], offsets[offsets.len() * 3 / 4]);
    println!("player in step within: median {median:.1} ms, three of four {late:.1} ms");
    ensure!(median.abs() <= 40.0 && late.abs() <= IN_STEP_US as f64 / 1_000.0, "{offsets:?}");

    // M is for mute, and it is remembered.
    browser.tab.find(Locator::Css("body")).await?.send_keys("m").await?;
    wait_for("silence", Duration::from_secs(5), async || {
        Ok((player.state().await?["sound"]["muted"] == true).then_some(()))
    })
    .await?;
    let again = browser.player(id, None).await?;
    wait_for("silence after loading anew", Duration::from_secs(20), async || {
        Ok((again.state().await?["sound"]["muted"] == true).then_some(()))
    })
    .await?;
    browser.close().await
}
