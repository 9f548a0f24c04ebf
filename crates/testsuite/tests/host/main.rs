//! A session host that records itself: real xrdp, real clients, as the site's policy says.

#![allow(clippy::print_stdout, reason = "what was measured is told")]

mod rdp;

use anyhow::{Context as _, Result, ensure};
use playhead_format::{Channel, EventMessage, event::NoticeEvent};
use playhead_testsuite::{Layout, Stack, each_message, wait_for};
use rdp::{Hands, Host};
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

const ESCAPE: u32 = 0xff1b;
const ENTER: u32 = 0xff0d;

/// What is asked of the console.
struct Site<'a> {
    stack: &'a Stack,
    id: String,
}

impl<'a> Site<'a> {
    async fn of(stack: &'a Stack) -> Result<Self> {
        let sites = stack.api.get("/api/v1/sites").await?;
        let id = sites["items"][0]["id"].as_str().context("no site")?.to_owned();
        Ok(Self { stack, id })
    }

    /// Makes a policy of these rules the active one; returns its revision.
    async fn activate(&self, name: &str, rules: Value) -> Result<u64> {
        let body = json!({ "name": name, "rules": rules });
        let policy = self.post(&format!("/api/v1/sites/{}/policies", self.id), body).await?;
        let id = policy["id"].as_str().context("no policy")?;
        let active =
            self.post(&format!("/api/v1/sites/{}/policies/{id}/activate", self.id), json!({})).await?;
        active["active"]["revision"].as_u64().with_context(|| format!("no revision: {active}"))
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value> {
        let (status, answer) = self.stack.api.call(Method::POST, path, Some(body)).await?;
        ensure!(status.is_success(), "{path}: {status} {answer}");
        Ok(answer)
    }

    /// Waits until the host goes by this revision of what is active; how long that took.
    async fn taken(&self, revision: u64) -> Result<Duration> {
        let start = Instant::now();
        wait_for("the host to go by the policy", Duration::from_secs(20), async || {
            let hosts = self.stack.api.get("/api/v1/session-hosts").await?;
            let taken = hosts["items"][0]["policy"]["revision"].as_u64();
            Ok((taken == Some(revision)).then_some(()))
        })
        .await?;
        Ok(start.elapsed())
    }

    /// A person's session once it is as `wanted`.
    async fn session(&self, person: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        wait_for(&format!("{person}'s session: {what}"), Duration::from_secs(40), async || {
            let found = self.stack.api.get(&format!("/api/v1/sessions?user={person}")).await?;
            let all = found["items"].as_array().context("no items")?;
            Ok(all.iter().find(|session| session["user"] == person && wanted(session)).cloned())
        })
        .await
    }
}

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

fn is_recorded(session: &Value) -> bool {
    session["recording"]["recording"].is_string()
}

fn recording(session: &Value) -> Result<String> {
    Ok(session["recording"]["recording"].as_str().context("nothing is recorded")?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_recorded_as_the_policy_says_and_users_are_told() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let people = ["phe2e-told", "phe2e-denies", "phe2e-left", "phe2e-late"];
    let [told, denies, left, late] = people;
    let Some(host) = Host::start(folder.path(), &people).await? else { return Ok(()) };
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
    let began = |of: &Value| -> Result<f64> {
        let at = |value: &Value| -> Result<f64> {
            let text = value.as_str().context("no time")?;
            let told = Command::new("date").args(["-d", text, "+%s.%N"]).output()?;
            Ok(String::from_utf8(told.stdout)?.trim().parse()?)
        };
        Ok(at(&row["started_at"])? - at(&of["started_at"])?)
    };
    println!("recorded {:.2} s after its X server's start", began(&session)?);

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
    let killed = EventMessage::HelperEnded { signal: Some(9) };
    // The first helper may have been killed before it could say that its notice was shown.
    let expected = [killed, notice(NoticeEvent::Shown), notice(NoticeEvent::Dismissed)];
    ensure!(happened.ends_with(&expected), "{happened:?}");
    let happened = events(&stack.sealed(&denied).await?)?;
    ensure!(happened == [notice(NoticeEvent::Asked), notice(NoticeEvent::Denied)], "{happened:?}");
    for id in [&id, &denied, &by_request] {
        stack.verify(id).await?;
    }
    Ok(())
}
