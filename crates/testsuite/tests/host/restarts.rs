//! An agent that is killed and stopped at any moment leaves nothing open.

use crate::{
    alone::Place,
    rdp::run,
    site::{Site, is_recorded, recording},
};
use anyhow::{Context as _, Result, ensure};
use nix::unistd::{Uid, User};
use playhead_testsuite::{Layout, Program, Stack, wait_for};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use serde_json::json;
use std::{process::Command, time::Duration};

const PERSON: &str = "phe2e-again";
const ROUNDS: usize = 24;

/// Waits until the server takes no recording for one that grows.
async fn all_closed(stack: &Stack) -> Result<()> {
    wait_for("all recordings to have ended", Duration::from_secs(10), async || {
        let all = stack.api.recordings().await?;
        Ok(all.iter().all(|row| row["state"] != "live").then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stays_open_however_often_the_agent_is_killed_and_stopped() -> Result<()> {
    let place = Place::of("restarts::nothing_stays_open_however_often_the_agent_is_killed_and_stopped")?;
    if place.is_elsewhere() {
        return Ok(());
    }
    if !Uid::effective().is_root() {
        println!("not run: a session host needs root");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    run("userdel", &["--force", "--remove", PERSON]).ok();
    run("useradd", &["--create-home", PERSON])?;
    let user = User::from_name(PERSON)?.context("no such account")?;
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={}", user.uid), format!("--regid={}", user.gid)]);
    command.args(["--clear-groups", "Xvfb", "-displayfd", "1", "-screen", "0", "640x480x24"]);
    command.args(["-nolisten", "tcp"]);
    let mut display = Program::start(&mut command, &folder.path().join("session.log"))?;
    display.line()?;
    let stack = Stack::start(folder.path(), Layout::Together).await?;
    let site = Site::of(&stack).await?;
    let rules = |number: usize| json!([{ "name": format!("Hers {number}"), "action": "record", "scope": { "users": [PERSON] } }]);
    let revision = site.activate("First", rules(0)).await?;
    let mut agent = stack.agent_with("agent", &[], &["--sessions"], &[]).await?;
    site.taken(revision).await?;
    site.session(PERSON, "recorded", is_recorded).await?;

    let seed = rand::random();
    println!("seed {seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let mut kills = 0;
    for round in 0..ROUNDS {
        if random.random_bool(0.3) {
            // Another policy waits for the next file, also in the next run.
            site.activate(&format!("Policy {round}"), rules(round)).await?;
        }
        // From before it has looked at anything to when all goes its way.
        let longest = if random.random_bool(0.5) { 150 } else { 900 };
        tokio::time::sleep(Duration::from_millis(random.random_range(0..longest))).await;
        if random.random_bool(0.6) {
            agent.kill_hard();
            kills += 1;
        } else {
            let code = agent.stop(Duration::from_secs(30))?;
            if code.is_none() {
                // It had not come to listen for signals: it is killed as well.
                kills += 1;
            } else {
                let told = || format!("round {round}: {}", agent.log_tail());
                all_closed(&stack).await.with_context(told)?;
            }
        }
        agent = stack.agent_with("agent", &[], &["--sessions"], &[]).await?;
    }
    // What the server says at first may be of the run before.
    wait_for("a recording that grows", Duration::from_secs(40), async || {
        let session = site.session(PERSON, "recorded in the end", is_recorded).await?;
        let now = stack.look(&recording(&session)?).await?;
        Ok((now["state"] == "live" && now["connected"] == true).then_some(()))
    })
    .await?;
    agent.stop(Duration::from_secs(30))?;
    all_closed(&stack).await?;

    let all = stack.api.recordings().await?;
    println!("{} recordings, killed {kills} times", all.len());
    // Whoever is stopped ends what there is; whoever is killed goes on with it.
    ensure!((1..=ROUNDS + 1 - kills).contains(&all.len()), "{} recordings", all.len());
    for row in all {
        let id = row["id"].as_str().context("no id")?;
        stack.verify(id).await?;
    }
    let left: Vec<_> = std::fs::read_dir(folder.path().join("agent/spool"))?.flatten().collect();
    ensure!(left.is_empty(), "something is still queued: {left:?}; {}", agent.log_tail());
    display.stop(Duration::from_secs(5))?;
    run("userdel", &["--force", "--remove", PERSON])
}
