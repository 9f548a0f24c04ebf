//! A session of which events alone are recorded: what happened stands in the player as a time line, in place of a picture.

#![allow(clippy::print_stdout, reason = "a test that is not run says so")]

use anyhow::{Context as _, Result, ensure};
use fantoccini::Locator;
use nix::unistd::{Uid, User};
use playhead_testsuite::{Browser, Layout, Player, Program, Stack, wait_for};
use reqwest::Method;
use serde_json::{Value, json};
use std::{path::Path, process::Command, time::Duration};

const PERSON: &str = "phe2e-quiet";
const PATIENCE: Duration = Duration::from_secs(30);

/// An account of this machine with a display, which is a session of it. Both are gone with this value.
struct Session {
    display: Program,
}

impl Session {
    /// Starts one; `None` where that is not possible, which is told.
    fn start(folder: &Path) -> Result<Option<Self>> {
        if !Uid::effective().is_root() {
            println!("not run: a session host needs root");
            return Ok(None);
        }
        run("userdel", &["--force", "--remove", PERSON]).ok();
        run("useradd", &["--create-home", PERSON])?;
        let user = User::from_name(PERSON)?.context("no such account")?;
        let mut command = Command::new("setpriv");
        command.args([format!("--reuid={}", user.uid), format!("--regid={}", user.gid)]);
        command.args(["--clear-groups", "Xvfb", "-displayfd", "1", "-screen", "0", "800x600x24"]);
        command.args(["-nolisten", "tcp"]);
        let started = Program::start(&mut command, &folder.join("session.log")).and_then(|mut display| {
            display.line().context("Xvfb gives no display")?;
            Ok(Self { display })
        });
        if started.is_err() {
            run("userdel", &["--force", "--remove", PERSON]).ok();
        }
        started.map(Some)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.display.stop(Duration::from_secs(5));
        let _ = run("userdel", &["--force", "--remove", PERSON]);
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let done = Command::new(program).args(arguments).output()?;
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    ensure!(done.status.success(), "{program} {arguments:?}: {said}");
    Ok(())
}

async fn post(stack: &Stack, path: &str, body: Value) -> Result<Value> {
    let (status, answer) = stack.api.call(Method::POST, path, Some(body)).await?;
    ensure!(status.is_success(), "{path}: {status} {answer}");
    Ok(answer)
}

/// Has the events of this person's sessions recorded and the person told, and nothing of anybody else.
async fn activate(stack: &Stack) -> Result<()> {
    let sites = stack.api.get("/api/v1/sites").await?;
    let site = sites["items"][0]["id"].as_str().context("no site")?.to_owned();
    let rules = json!([{ "name": "Quiet", "action": "events-with-notice", "scope": { "users": [PERSON] } }]);
    let body = json!({ "name": "Events", "rules": rules });
    let policy = post(stack, &format!("/api/v1/sites/{site}/policies"), body).await?;
    let id = policy["id"].as_str().context("no policy")?;
    post(stack, &format!("/api/v1/sites/{site}/policies/{id}/activate"), json!({})).await?;
    Ok(())
}

/// What the page's time line says, line by line.
async fn rows(player: &Player<'_>) -> Result<Vec<String>> {
    let script = "return [...document.querySelectorAll('[data-testid=event] .event-words')].map(row => row.textContent)";
    Ok(serde_json::from_value(player.run(script, vec![]).await?)?)
}

/// Waits until the page's time line has a row that holds these words.
async fn told(player: &Player<'_>, words: &str) -> Result<()> {
    wait_for(&format!("a row: {words}"), PATIENCE, async || {
        Ok(rows(player).await?.iter().any(|row| row.contains(words)).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_without_pictures_is_a_time_line_of_its_events() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(_session) = Session::start(folder.path())? else { return Ok(()) };
    let stack = Stack::start(folder.path(), Layout::Together).await?;
    activate(&stack).await?;
    let mut agent = stack.agent_with("agent", &[], &["--sessions"], &[]).await?;
    let row = stack.recording("of events", |row| row["user"] == PERSON).await?;
    let id = row["id"].as_str().context("no id")?;
    ensure!(row["session"]["events_only"] == true, "{row}");
    let path = format!("/api/v1/recordings/{id}/events");
    let page = wait_for("the notice in the events", PATIENCE, async || {
        let page = stack.api.get(&path).await?;
        Ok((page["items"] != json!([])).then_some(page))
    })
    .await?;
    let shown = &page["items"][0];
    ensure!(shown["type"] == "notice" && shown["particulars"] == json!({ "what": "shown" }), "{page}");
    ensure!(page["more"] == false && page["next"].is_string(), "{page}");

    let browser = Browser::start(folder.path(), &stack).await?;
    browser.open("/recordings").await?;
    let badge = Locator::Css("[data-testid=events-only]");
    let badge = browser.tab.wait().at_most(PATIENCE).for_element(badge).await?.text().await?;
    ensure!(badge == "Events only", "{badge}");
    let player = browser.player(id, None).await?;
    told(&player, "The user was told").await?;
    let canvas = player.run("return document.querySelector('[data-testid=stage]') !== null", vec![]).await?;
    ensure!(canvas == false, "a picture of a recording that has none");

    // Whoever ends the helper is seen doing that, live.
    let helper = wait_for("the helper", PATIENCE, async || {
        let parent = agent.id().to_string();
        let told =
            Command::new("pgrep").args(["-P", &parent, "-u", PERSON, "-f", "agent helper"]).output()?;
        Ok(String::from_utf8(told.stdout)?.split_whitespace().next().map(str::parse::<i32>).transpose()?)
    })
    .await?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(helper), nix::sys::signal::Signal::SIGKILL)?;
    told(&player, "killed (signal 9)").await?;

    agent.stop(PATIENCE)?;
    stack.until(id, "finished", |row| row["state"] == "finished").await?;
    stack.verify(id).await?;
    stack.sealed(id).await?;
    let page = stack.api.get(&path).await?;
    let items = page["items"].as_array().context("no items")?;
    ensure!(page["next"].is_null() && items.len() >= 2, "{page}");
    let killed = items.iter().find(|event| event["type"] == "helper-ended").context("nobody killed")?;
    ensure!(killed["particulars"] == json!({ "signal": 9 }), "{killed}");

    // Stored: choosing an event moves the playhead there, and that one is marked.
    let player = browser.player(id, Some(0.0)).await?;
    told(&player, "killed (signal 9)").await?;
    let at_us = killed["at_us"].as_u64().context("no time")?;
    let choose = "[...document.querySelectorAll('[data-testid=event]')].find(row => row.textContent.includes('killed')).click()";
    player.run(choose, vec![]).await?;
    wait_for("the playhead at the event", PATIENCE, async || {
        let at = player.state().await?["position_us"].as_u64();
        let current = "return document.querySelector('[data-testid=event][aria-current]')?.textContent ?? ''";
        let current = player.run(current, vec![]).await?;
        let there = at == Some(at_us) && current.as_str().is_some_and(|text| text.contains("killed"));
        Ok(there.then_some(()))
    })
    .await?;
    // Play goes on from there, without pictures.
    browser.tab.find(Locator::Css("[data-testid=play]")).await?.click().await?;
    wait_for("the playhead to move", PATIENCE, async || {
        Ok((player.state().await?["position_us"].as_u64() > Some(at_us)).then_some(()))
    })
    .await?;
    browser.close().await
}
