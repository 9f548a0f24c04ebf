//! Sound and picture of a session are in step: in the recording, and in the browser.

use anyhow::{Context as _, Result, ensure};
use opus::{Channels, Decoder as Opus};
use playhead_format::{AudioMessage, Channel, SegmentReader, audio::PACKET_US, open_fragment};
use playhead_screen::Decoder;
use playhead_testsuite::{Display, Layout, SoundServer, Stack};
use std::{fs::File, path::PathBuf, time::Duration};

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
    for file in files {
        let mut reader = SegmentReader::open(File::open(file)?)?;
        for position in 0..reader.index().entries.len() {
            let fragment = open_fragment(&reader.fragment(position)?)?;
            for message in fragment.messages() {
                let message = message?;
                match Channel::from_id(message.channel) {
                    Some(Channel::Screen) => {
                        screen.decode(message.data)?;
                        let now = screen.pixels()[0];
                        if colour.replace(now).is_some_and(|before| before != now) {
                            found.flashes.push(message.log_time_us);
                        }
                    }
                    Some(Channel::Audio) => {
                        let sound = AudioMessage::parse(message.data)?.context("an unknown kind of sound")?;
                        ensure!(
                            sound.fits(message.log_time_us),
                            "sound of {} us at {} us",
                            sound.at_us,
                            message.log_time_us
                        );
                        found.messages += 1;
                        found.bytes += message.data.len();
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
            }
        }
    }
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
    Ok(())
}
