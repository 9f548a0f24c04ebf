//! A session host that records itself: real xrdp, real clients, as the site's policy says.

#![allow(clippy::print_stdout, reason = "what was measured is told")]

mod alone;
mod rdp;
mod restarts;
mod site;
mod vnc;

use alone::Place;
use anyhow::{Context as _, Result, ensure};
use playhead_format::{Channel, EventMessage, event::NoticeEvent};
use playhead_testsuite::{Layout, Stack, each_message, wait_for};
use rdp::{Hands, Host};
use serde_json::{Value, json};
use site::{Site, is_recorded, recording};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

const ESCAPE: u32 = 0xff1b;
const ENTER: u32 = 0xff0d;

/// All events of a recording's files.
fn events(files: &[PathBuf]) -> Result<Vec<EventMessage>> {
    let mut found = Vec::new();
    each_message(files, |channel, _, data| {
        if channel == Channel::Event {
            found.push(EventMessage::parse(data));
        }
        Ok(())
    })?;
    Ok(found)
}

fn notice(what: NoticeEvent) -> EventMessage {
    EventMessage::Notice { what }
}

/// Processes that run as a person and are called by these words.
fn processes(person: &str, words: &str) -> Result<Vec<i32>> {
    let told = Command::new("pgrep").args(["-u", person, "-f", words]).output()?;
    Ok(String::from_utf8(told.stdout)?.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
}

/// Seconds from a session's beginning to that of its recording.
fn after(row: &Value, session: &Value) -> Result<f64> {
    let at = |value: &Value| -> Result<f64> {
        let text = value.as_str().context("no time")?;
        let told = Command::new("date").args(["-d", text, "+%s.%N"]).output()?;
        Ok(String::from_utf8(told.stdout)?.trim().parse()?)
    };
    Ok(at(&row["started_at"])? - at(&session["started_at"])?)
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_recorded_as_the_policy_says_and_users_are_told() -> Result<()> {
    let place = Place::of("sessions_are_recorded_as_the_policy_says_and_users_are_told")?;
    if place.is_elsewhere() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let people = ["phe2e-told", "phe2e-denies", "phe2e-left", "phe2e-late"];
    let [told, denies, left, late] = people;
    let Some(host) = Host::start(folder.path(), &people, &place, &[]).await? else { return Ok(()) };
    let stack = Stack::start(folder.path(), Layout::Together).await?;
    let site = Site::of(&stack).await?;
    let scope = |person: &str| json!({ "users": [person] });
    let rules = json!([
        { "name": "Tell", "action": "record-with-notice", "scope": scope(told) },
        { "name": "Ask", "action": "record-with-notice", "options": { "consent": true }, "scope": scope(denies) },
        { "name": "Leave alone", "action": "disable", "scope": { "groups": [left] } },
    ]);
    let revision = site.activate("Ours", rules).await?;
    let mut agent = stack.agent_with("agent", &[], &["--sessions"], &[]).await?;
    site.taken(revision).await?;

    // One is told, one is asked and says no, one is excluded by a group.
    let first = host.sign_in(told, "PC1", "1024x768")?;
    let session = site.session(told, "recorded", is_recorded).await?;
    let id = recording(&session)?;
    let session = site.session(told, "connected", |session| session["state"] == "connected").await?;
    ensure!(session["protocol"] == "rdp" && session["state"] == "connected", "{session}");
    ensure!(session["client"] == "PC1" && session["address"] == "127.0.0.1", "{session}");
    ensure!(session["groups"] == json!([told]) && session["application"] == "desktop", "{session}");
    ensure!(session["recording"]["decided"]["rule"] == "Tell", "{session}");
    let row = stack.until(&id, "a beginning", |_| true).await?;
    ensure!(row["session"]["id"] == session["id"] && row["user"] == told, "{row}");
    ensure!(row["client"] == "PC1" && row["client_address"] == "127.0.0.1", "{row}");
    let display = session["display"].as_str().context("no display")?.to_owned();
    println!("recorded {:.2} s after its X server's start", after(&row, &session)?);

    // The helper runs as the user, without any right. Killed, it comes back and shows the notice again.
    let helper = wait_for("the helper", Duration::from_secs(20), async || {
        Ok(processes(told, "agent helper")?.first().copied())
    })
    .await?;
    let status = std::fs::read_to_string(format!("/proc/{helper}/status"))?;
    for right in ["CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"] {
        ensure!(status.contains(right), "{status}");
    }
    let hands = Hands::at(&display, told)?;
    hands.see_notice().await?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(helper), nix::sys::signal::Signal::SIGKILL)?;
    wait_for("another helper", Duration::from_secs(20), async || {
        Ok(processes(told, "agent helper")?.into_iter().find(|other| *other != helper))
    })
    .await?;
    hands.see_notice().await?;
    // Stopped, it is missed, and another one comes.
    let helper = *processes(told, "agent helper")?.first().context("no helper")?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(helper), nix::sys::signal::Signal::SIGSTOP)?;
    let start = Instant::now();
    wait_for("another helper after one that was stopped", Duration::from_secs(40), async || {
        let now = processes(told, "agent helper")?;
        Ok((!now.is_empty() && !now.contains(&helper)).then_some(()))
    })
    .await?;
    println!("a helper that was stopped was missed after {:?}", start.elapsed());
    hands.see_notice().await?;
    // In its first moment it takes nothing: the user was about to do something else.
    wait_for("the notice to be gone", Duration::from_secs(20), async || {
        hands.click_notice()?;
        Ok(processes(told, "agent helper")?.is_empty().then_some(()))
    })
    .await?;

    let _second = host.sign_in(denies, "PC2", "1280x800")?;
    let asked = site.session(denies, "recorded", is_recorded).await?;
    let denied = recording(&asked)?;
    let hands = Hands::at(asked["display"].as_str().context("no display")?, denies)?;
    hands.see_notice().await?;
    wait_for("the session to end", Duration::from_secs(20), async || {
        // Escape goes to the button that declines; the display may be gone by then.
        hands.press(ESCAPE).and_then(|()| hands.press(ENTER)).ok();
        Ok(processes(denies, "agent helper")?.is_empty().then_some(()))
    })
    .await?;
    drop(hands);
    site.session(denies, "over", |session| session["state"] == "ended").await?;
    stack.until(&denied, "ended", |row| row["state"] != "live").await?;

    let third = host.sign_in(left, "PC3", "800x600")?;
    let excluded = site.session(left, "connected", |session| session["state"] == "connected").await?;
    ensure!(excluded["recording"]["decided"]["rule"] == "Leave alone", "{excluded}");
    ensure!(!is_recorded(&excluded), "{excluded}");

    // Reconnected at another size and from another client, the same recording goes on.
    let hands = Hands::at(&display, told)?;
    drop(first);
    site.session(told, "disconnected", |session| session["state"] == "disconnected").await?;
    let first = host.sign_in(told, "PC9", "1152x864")?;
    let again = site.session(told, "connected again", |session| session["state"] == "connected").await?;
    wait_for("the other size", Duration::from_secs(20), async || {
        Ok((hands.size()? == (1152, 864)).then_some(()))
    })
    .await?;
    drop(hands);
    stack.until(&id, "the other size", |row| row["width"] == 1152).await?;
    ensure!(again["id"] == session["id"] && recording(&again)? == id, "{again}");
    ensure!(again["client"] == "PC9", "{again}");

    // Started and stopped by somebody.
    let path = format!("/api/v1/sessions/{}", excluded["id"].as_str().context("no id")?);
    let start = Instant::now();
    let started = site.post(&format!("{path}/start-recording"), json!({})).await?;
    println!("started in {:?}", start.elapsed());
    ensure!(is_recorded(&started) && started["recording"]["decided"]["by"] == "request", "{started}");
    let by_request = recording(&started)?;
    let start = Instant::now();
    let stopped = site.post(&format!("{path}/stop-recording"), json!({})).await?;
    println!("stopped in {:?}", start.elapsed());
    ensure!(!is_recorded(&stopped), "{stopped}");
    stack.until(&by_request, "ended", |row| row["state"] != "live").await?;

    // Another policy: the host has it at once, new sessions go by it, and those that are recorded wait for their file to be full.
    let start = Instant::now();
    let rules = json!([{ "name": "Events", "action": "events", "scope": scope(late) }]);
    let revision = site.activate("Others", rules).await?;
    site.taken(revision).await?;
    let took = start.elapsed();
    println!("another policy after {took:?}");
    ensure!(took < Duration::from_secs(2), "{took:?}");
    let _fourth = host.sign_in(late, "PC4", "1024x768")?;
    let quiet = site.session(late, "recorded", is_recorded).await?;
    let row = stack.until(&recording(&quiet)?, "a beginning", |row| row["width"] == 16).await?;
    ensure!(row["session"]["events_only"] == true, "{row}");
    let on = site.session(told, "recorded still", is_recorded).await?;
    ensure!(recording(&on)? == id, "{on}");

    // The agent starts again: the same session, the same recording.
    agent.kill_hard();
    let mut agent = stack.agent_with("agent", &[], &["--sessions"], &[]).await?;
    let after = site.session(told, "recorded after a restart", is_recorded).await?;
    ensure!(after["id"] == session["id"] && recording(&after)? == id, "{after}");
    stack.until(&id, "a declared gap", |row| row["gaps"] == 1).await?;

    drop((first, third));
    agent.stop(Duration::from_secs(30))?;
    stack.until(&id, "ended", |row| row["state"] != "live").await?;
    let happened = events(&stack.sealed(&id).await?)?;
    let ended = |signal| EventMessage::HelperEnded { signal: Some(signal) };
    // One that was just started may be ended before it could say that its notice was shown.
    let mut expected = happened.clone();
    expected.retain(|event| *event != notice(NoticeEvent::Shown));
    let expected = expected == [ended(9), ended(19), notice(NoticeEvent::Dismissed)];
    ensure!(expected && happened[happened.len() - 2..][0] == notice(NoticeEvent::Shown), "{happened:?}");
    let happened = events(&stack.sealed(&denied).await?)?;
    ensure!(happened == [notice(NoticeEvent::Asked), notice(NoticeEvent::Denied)], "{happened:?}");
    for id in [&id, &denied, &by_request] {
        stack.verify(id).await?;
    }
    Ok(())
}

/// The settings of an agent that knows a published application.
fn published(folder: &Path) -> Result<String> {
    let path = folder.join("agent.toml");
    std::fs::write(&path, "[sessions]\ndiscover = true\n[applications]\nTerminal = \"/usr/bin/xterm\"\n")?;
    Ok(path.to_string_lossy().into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_come_at_the_same_moment_have_their_names_and_programs() -> Result<()> {
    let place = Place::of("clients_that_come_at_the_same_moment_have_their_names_and_programs")?;
    if place.is_elsewhere() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let people = ["phe2e-one", "phe2e-two", "phe2e-three", "phe2e-four"];
    let settings = [("EnableProcessId", "true")];
    let Some(host) = Host::start(folder.path(), &people, &place, &settings).await? else { return Ok(()) };
    let stack = Stack::start(folder.path(), Layout::Together).await?;
    let site = Site::of(&stack).await?;
    let rules = json!([
        { "name": "Programs", "action": "record", "scope": { "applications": ["Terminal"] } },
        { "name": "Desktops", "action": "disable", "scope": { "applications": ["desktop"] } },
    ]);
    let revision = site.activate("By application", rules).await?;
    let settings = published(folder.path())?;
    let mut agent = stack.agent_with("agent", &[], &["--settings", &settings], &[]).await?;
    site.taken(revision).await?;

    // A desktop that ends up as the program, the program, the same with arguments, and another one.
    host.write_session("phe2e-one", "exec xterm\n")?;
    let programs = [None, Some("/usr/bin/xterm"), Some("xterm -bg black"), Some("openbox")];
    let clients: Vec<_> = people
        .iter()
        .zip(programs)
        .enumerate()
        .map(|(number, (person, program))| {
            host.sign_in_to(person, &format!("PC{number}"), "800x600", program)
        })
        .collect::<Result<_>>()?;
    for (number, (person, is_program)) in people.iter().zip([false, true, true, false]).enumerate() {
        let what = "connected and decided";
        let session = site
            .session(person, what, |session| {
                session["state"] == "connected" && session["recording"]["decided"]["rule"].is_string()
            })
            .await?;
        println!("{person}: {} from {}", session["application"], session["client"]);
        let (application, rule) = if is_program { ("Terminal", "Programs") } else { ("desktop", "Desktops") };
        ensure!(session["application"] == application, "{session}");
        ensure!(session["recording"]["decided"]["rule"] == rule, "{session}");
        // Without the setting nobody can tell which is which.
        ensure!(!place.is_copy() || session["client"] == format!("PC{number}"), "{session}");
        if !is_program {
            ensure!(!is_recorded(&session), "{session}");
            continue;
        }
        let session = site.session(person, "recorded", is_recorded).await?;
        let row = stack.until(&recording(&session)?, "a beginning", |_| true).await?;
        ensure!(row["application"] == "Terminal", "{row}");
        println!("recorded {:.2} s after its X server's start", after(&row, &session)?);
    }

    // Started again, the agent knows what they were started with: by now the first one is that program as well.
    wait_for("the desktop to be a program", Duration::from_secs(20), async || {
        Ok((!processes("phe2e-one", "^xterm$")?.is_empty()).then_some(()))
    })
    .await?;
    agent.kill_hard();
    let mut agent = stack.agent_with("agent", &[], &["--settings", &settings], &[]).await?;
    let id = recording(&site.session("phe2e-two", "recorded", is_recorded).await?)?;
    stack.until(&id, "a declared gap", |row| row["gaps"] == 1).await?;
    let session = site.session("phe2e-one", "the same", |session| session["state"] == "connected").await?;
    ensure!(session["application"] == "desktop" && !is_recorded(&session), "{session}");
    drop(clients);
    agent.stop(Duration::from_secs(30))?;
    Ok(())
}
