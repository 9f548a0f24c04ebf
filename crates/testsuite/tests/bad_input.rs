//! What goes wrong outside is answered clearly, and disturbs nothing else.

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use playhead_testsuite::{Api, Display, Layout, Stack, playhead};
use reqwest::Method;
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_and_tokens_are_refused_clearly() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let stack = Stack::start(folder.path(), Layout::Together).await?;
    let stranger = Api::new(&stack.url)?;
    let (status, problem) = stranger.call(Method::GET, "/api/v1/recordings", None).await?;
    assert_eq!(status, 401, "{problem}");
    let wrong = json!({ "user": "admin", "password": "wrong" });
    let (status, problem) = stranger.call(Method::POST, "/api/v1/sign-in", Some(wrong)).await?;
    assert_eq!(status, 401, "{problem}");
    ensure!(problem["detail"].is_string(), "{problem}");

    let display = Display::start(folder.path(), 640, 480, 1)?;
    for (token, expected) in [("nonsense", "join token"), (&forged(&stack).await?, "refused")] {
        let run = Command::new(playhead())
            .args(["agent", "--display", display.name(), "--join", token, "--data"])
            .arg(folder.path().join("stranger"))
            .output()?;
        let text = String::from_utf8_lossy(&run.stderr).to_lowercase();
        ensure!(!run.status.success() && text.contains(expected), "expected '{expected}': {text}");
    }
    Ok(())
}

/// A token of the right form whose secret the server never made.
async fn forged(stack: &Stack) -> Result<String> {
    let body = json!({ "kind": "agent", "valid_seconds": 3600, "uses": 1 });
    let (_, answer) = stack.api.call(Method::POST, "/api/v1/join-tokens", Some(body)).await?;
    let token = answer["token"].as_str().context("no token")?.to_owned();
    // Used up: the second program that comes with it is a stranger.
    let folder = tempfile::tempdir()?;
    let display = Display::start(folder.path(), 640, 480, 1)?;
    let mut command = Command::new(playhead());
    command
        .args(["agent", "--display", display.name(), "--join", &token, "--data"])
        .arg(folder.path().join("a"));
    let mut agent = playhead_testsuite::Program::start(&mut command, &folder.path().join("a.log"))?;
    let name = display.name().to_owned();
    stack.recording("the first use", |recording| recording["display"] == name.as_str()).await?;
    agent.stop(Duration::from_secs(10))?;
    Ok(token)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_display_that_goes_away_ends_its_recording_and_no_other() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut first = Display::start(&made(folder.path(), "x1")?, 800, 600, 1)?;
    let mut second = Display::start(&made(folder.path(), "x2")?, 800, 600, 2)?;
    let stack = Stack::start(folder.path(), Layout::Together).await?;
    let _agent = stack.agent("agent", &[first.name(), second.name()]).await?;
    let of = async |display: &Display| -> Result<String> {
        let name = display.name().to_owned();
        let found =
            stack.recording("of the display", |recording| recording["display"] == name.as_str()).await?;
        Ok(found["id"].as_str().context("no id")?.to_owned())
    };
    let (one, two) = (of(&first).await?, of(&second).await?);
    first.kill();
    let ended = stack.until(&one, "finished", |recording| recording["state"] == "finished").await?;
    assert_eq!(ended["end_reason"], "session-ended");
    let before = stack.look(&two).await?["duration_us"].as_u64().context("no duration")?;
    second.act()?;
    stack.until(&two, "going on", |recording| recording["duration_us"].as_u64() > Some(before)).await?;
    assert_eq!(stack.look(&two).await?["state"], "live");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn times_outside_a_recording_and_unknown_recordings_are_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let display = Display::start(folder.path(), 640, 480, 1)?;
    let stack = Stack::start(folder.path(), Layout::Together).await?;
    let mut agent = stack.agent("agent", &[display.name()]).await?;
    let live = stack.recording("live", |_| true).await?;
    let id = live["id"].as_str().context("no id")?;
    agent.stop(Duration::from_secs(10))?;
    stack.until(id, "finished", |recording| recording["state"] == "finished").await?;
    for (path, expected) in [
        (format!("/api/v1/recordings/{id}/fragments?at=999999999999"), 416),
        (format!("/api/v1/recordings/{id}/fragments?at=-5"), 416),
        (format!("/api/v1/recordings/{id}/fragments"), 400),
        (format!("/api/v1/recordings/{id}/timeline?buckets=1000000"), 400),
        ("/api/v1/recordings/00000000-0000-7000-8000-000000000000".into(), 404),
        ("/api/v1/recordings/not-an-id".into(), 404),
        ("/api/v1/recordings?from=yesterday".into(), 400),
        ("/api/v1/recordings?limit=0".into(), 400),
        ("/api/v1/nothing".into(), 404),
    ] {
        let (status, problem) = stack.api.call(Method::GET, &path, None).await?;
        ensure!(status == expected, "{path}: expected {expected}, got {status} {problem}");
        ensure!(problem["title"].is_string() && problem["detail"].is_string(), "{path}: {problem}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_disk_loses_nothing() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        println!("not run: mounting a small disk needs root");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let disk = SmallDisk::mount(made(folder.path(), "server")?, 48 << 20)?;
    let mut display = Display::start(folder.path(), 1024, 768, 5)?;
    let stack = Stack::start_with(folder.path(), Layout::Apart, &["--least-free-mib", "0"]).await?;
    let mut agent = stack.agent("agent", &[display.name()]).await?;
    let live = stack.recording("live", |_| true).await?;
    let id = live["id"].as_str().context("no id")?.to_owned();

    // Somebody else fills the disk to the last byte.
    let hog = disk.0.join("hog");
    let mut file = std::fs::File::create(&hog)?;
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    drop(file);
    let stuck = stack.look(&id).await?["duration_us"].as_u64();
    for _ in 0..40 {
        display.act()?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(stack.look(&id).await?["state"], "live", "a full disk ends no recording");
    std::fs::remove_file(&hog)?;
    stack
        .until(&id, "going on once there is room", |recording| recording["duration_us"].as_u64() > stuck)
        .await?;
    agent.stop(Duration::from_secs(20))?;
    let finished = stack.until(&id, "finished", |recording| recording["state"] == "finished").await?;
    assert_eq!(finished["gaps"], 0, "the agent's queue bridges the time");
    stack.verify(&id).await?;
    drop(stack);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_and_foreign_files_are_told_apart() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut display = Display::start(folder.path(), 640, 480, 1)?;
    let stack = Stack::start(folder.path(), Layout::Together).await?;
    let mut agent = stack.agent("agent", &[display.name()]).await?;
    let live = stack.recording("live", |_| true).await?;
    let id = live["id"].as_str().context("no id")?.to_owned();
    for _ in 0..30 {
        display.act()?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    agent.stop(Duration::from_secs(10))?;
    stack.until(&id, "finished", |recording| recording["state"] == "finished").await?;
    let files = stack.sealed(&id).await?;
    let good = std::fs::read(&files[0])?;

    let verify = |name: &str, bytes: &[u8]| -> Result<(i32, String)> {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes)?;
        let run = Command::new(playhead()).arg("verify").arg(&path).output()?;
        let text =
            format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        Ok((run.status.code().unwrap_or(-1), text))
    };
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 4;
    for (name, bytes, expected) in [
        ("good.mcap", &good[..], 0),
        ("flipped.mcap", &flipped[..], 1),
        ("cut.mcap", &good[..good.len() - 100], 1),
        ("picture.mcap", b"\x89PNG\r\n\x1a\n and more", 2),
        ("empty.mcap", b"", 2),
    ] {
        let (code, text) = verify(name, bytes)?;
        ensure!(code == expected, "{name}: expected exit code {expected}, got {code}: {text}");
        ensure!(!text.trim().is_empty(), "{name}: no word of explanation");
    }
    let missing = Command::new(playhead()).args(["verify", "/nonexistent.mcap"]).output()?;
    assert_eq!(missing.status.code(), Some(2));
    Ok(())
}

fn made(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    std::fs::create_dir_all(&path)?;
    Ok(path)
}

/// A file system of a few megabytes.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: PathBuf, bytes: u64) -> Result<Self> {
        let options = format!("size={bytes}");
        mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), Some(options.as_str()))
            .context("cannot mount a small disk")?;
        Ok(Self(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}
