//! Sessions on Xvnc: by themselves, and behind xrdp.

use crate::{
    alone::Place,
    rdp::{Host, run},
    site::{Site, is_recorded, recording},
};
use anyhow::{Context as _, Result, ensure};
use nix::unistd::User;
use playhead_format::{AudioMessage, Channel};
use playhead_testsuite::{Layout, Program, Stack, each_message, free_port, wait_for};
use serde_json::json;
use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// What people look at such sessions with.
const VIEWER: &str = "/usr/bin/xtigervncviewer";

/// Has a command run as somebody.
fn acting_as(person: &str, program: &str) -> Result<Command> {
    let user = User::from_name(person)?.context("no such account")?;
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={}", user.uid), format!("--regid={}", user.gid)]);
    command.args(["--clear-groups", program]).env("HOME", &user.dir).current_dir(&user.dir);
    command.env_remove("XDG_RUNTIME_DIR").env_remove("PULSE_SERVER");
    Ok(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_comes_and_goes_and_what_its_user_hears_is_recorded() -> Result<()> {
    let place = Place::of("vnc::a_viewer_comes_and_goes_and_what_its_user_hears_is_recorded")?;
    if place.is_elsewhere() {
        return Ok(());
    }
    let missing = [VIEWER, "/usr/bin/Xvnc", "/usr/bin/pulseaudio", "/usr/bin/pacat"]
        .into_iter()
        .find(|program| !Path::new(program).exists());
    if let Some(missing) = missing {
        println!("not run: there is no {missing} (scripts/deps.sh test)");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let person = "phe2e-viewed";
    let Some(host) = Host::start(folder.path(), &[person], &place, &[]).await? else { return Ok(()) };
    let stack = Stack::start(folder.path(), Layout::Together).await?;
    let site = Site::of(&stack).await?;
    let options = json!({ "audio": true });
    let rules =
        json!([{ "name": "Hers", "action": "record", "options": options, "scope": { "users": [person] } }]);
    let revision = site.activate("Ours", rules).await?;
    let mut agent = stack.agent_with("agent", &[], &["--sessions"], &[]).await?;
    site.taken(revision).await?;

    let port = free_port()?;
    let mut command = acting_as(person, "Xvnc")?;
    command.args(["-displayfd", "1", "-geometry", "640x480", "-depth", "24", "-SecurityTypes", "None"]);
    command.args(["-rfbport", &port.to_string(), "-localhost"]);
    let mut server = Program::start(&mut command, &folder.path().join("xvnc.log"))?;
    let display = format!(":{}", server.line()?);
    let session = site.session(person, "recorded", is_recorded).await?;
    let id = recording(&session)?;
    ensure!(session["protocol"] == "vnc" && session["state"] == "disconnected", "{session}");
    ensure!(session["address"].is_null() && session["client"].is_null(), "{session}");

    // Somebody looks, goes away, and comes back.
    let view = || {
        let mut command = Command::new(VIEWER);
        command.args(["-SecurityTypes", "None", &format!("127.0.0.1::{port}")]);
        command.env("DISPLAY", host.screen()).env("HOME", folder.path());
        Program::start(&mut command, &folder.path().join("viewer.log"))
    };
    for _ in 0..2 {
        let mut viewer = view()?;
        let seen = site.session(person, "connected", |session| session["state"] == "connected").await?;
        ensure!(seen["address"] == "127.0.0.1" && seen["id"] == session["id"], "{seen}");
        ensure!(recording(&seen)? == id, "{seen}");
        viewer.kill_hard();
        site.session(person, "disconnected", |session| session["state"] == "disconnected").await?;
    }

    // The sound server is the user's own, where the user's programs find it: below the home folder, with a secret beside it.
    let mut command = acting_as(person, "pulseaudio")?;
    command.env("DISPLAY", &display).args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--realtime=no"]);
    command.args(["--disable-shm=yes", "--high-priority=no", "--log-target=stderr"]);
    command.args(["-L", "module-native-protocol-unix", "-L", "module-null-sink sink_name=room"]);
    let mut sound = Program::start(&mut command, &folder.path().join("pulse.log"))?;
    let noise = folder.path().join("noise");
    let samples: Vec<u8> = (0..48_000 * 60)
        .flat_map(|at| {
            (((f64::from(at) / 48.0 * std::f64::consts::TAU).sin() * 12_000.0) as i16).to_le_bytes().repeat(2)
        })
        .collect();
    std::fs::write(&noise, samples)?;
    let mut play = wait_for("the sound server", Duration::from_secs(20), async || {
        let mut command = acting_as(person, "pactl")?;
        let done = command
            .env("DISPLAY", &display)
            .arg("info")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if !done.success() {
            return Ok(None);
        }
        let mut command = acting_as(person, "pacat")?;
        command.env("DISPLAY", &display).args(["--rate=48000", "--channels=2", "--format=s16le"]);
        command.stdin(std::fs::File::open(&noise)?).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Some(command.spawn()?))
    })
    .await?;
    stack.until(&id, "sound", |row| row["sound"] == true).await?;
    // The agent has found it by now: what is heard from here on is recorded.
    tokio::time::sleep(Duration::from_secs(4)).await;
    play.kill()?;
    play.wait()?;
    agent.stop(Duration::from_secs(30))?;
    stack.until(&id, "ended", |row| row["state"] != "live").await?;
    stack.verify(&id).await?;
    let (mut messages, mut bytes) = (0, 0);
    each_message(&stack.sealed(&id).await?, |channel, _, data| {
        if channel == Channel::Audio {
            let sound = AudioMessage::parse(data)?.context("an unknown kind of sound")?;
            messages += 1;
            bytes += sound.packets.iter().map(|packet| packet.len()).sum::<usize>();
        }
        Ok(())
    })?;
    println!("{messages} messages with {bytes} bytes of sound");
    // Silence takes next to nothing; some seconds of a tone take thousands.
    ensure!(bytes > 5_000, "{bytes} bytes of sound");
    sound.kill_hard();
    server.kill_hard();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn xrdp_before_xvnc_is_seen_through() -> Result<()> {
    let place = Place::of("vnc::xrdp_before_xvnc_is_seen_through")?;
    if place.is_elsewhere() {
        return Ok(());
    }
    if !place.is_copy() {
        println!("not run: settings of xrdp can be changed only in a copy of the machine");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let person = "phe2e-through";
    let settings = [("autorun", "Xvnc"), ("EnableProcessId", "true")];
    let Some(host) = Host::start(folder.path(), &[person], &place, &settings).await? else { return Ok(()) };
    let stack = Stack::start(folder.path(), Layout::Together).await?;
    let site = Site::of(&stack).await?;
    let rules = json!([{ "name": "Hers", "action": "record", "scope": { "users": [person] } }]);
    let revision = site.activate("Ours", rules).await?;
    let mut agent = stack.agent_with("agent", &[], &["--sessions"], &[]).await?;
    site.taken(revision).await?;

    host.start_on_xvnc(person)?;
    let session = site.session(person, "recorded", is_recorded).await?;
    let id = recording(&session)?;
    ensure!(session["protocol"] == "rdp" && session["state"] == "disconnected", "{session}");
    for name in ["PC1", "PC2"] {
        let client = host.sign_in(person, name, "800x600")?;
        let seen = site.session(person, "connected", |session| session["state"] == "connected").await?;
        ensure!(seen["id"] == session["id"] && recording(&seen)? == id, "{seen}");
        ensure!(seen["address"] == "127.0.0.1" && seen["client"] == name, "{seen}");
        ensure!(seen["protocol"] == "rdp", "{seen}");
        drop(client);
        site.session(person, "disconnected", |session| session["state"] == "disconnected").await?;
    }
    // It ends with its desktop.
    run("pkill", &["-u", person, "-x", "sleep"])?;
    site.session(person, "over", |session| session["state"] == "ended").await?;
    stack.until(&id, "ended", |row| row["state"] != "live").await?;
    stack.verify(&id).await?;
    agent.stop(Duration::from_secs(30))?;
    Ok(())
}
