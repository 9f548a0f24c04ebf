//! The verdict: is everything that was acknowledged where it belongs, and is everything else declared?

use crate::{
    faults::{Excuses, Rot, mcap_files},
    ledger::Acknowledged,
    site::Site,
};
use anyhow::{Context as _, Result, ensure};
use playhead_testsuite::{playhead, wait_for};
use serde_json::Value;
use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

/// A location that failed is tried again after five minutes at the latest.
const STORED: Duration = Duration::from_secs(420);

/// Where nothing changes nothing is recorded. But the desktops change all the time, so that a silence that long is a gap. In
/// microseconds of media time.
const SILENCE_US: u64 = 10_000_000;

/// What the judge has seen.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) recordings: usize,
    /// Why, of each one that is quarantined.
    pub(crate) quarantined: Vec<String>,
    pub(crate) fragments: u64,
    pub(crate) acknowledged: u64,
    pub(crate) gaps: usize,
    pub(crate) files: usize,
    /// All that is not as it should be.
    pub(crate) problems: Vec<String>,
}

/// Waits until all sessions, which have ended, are stored, and looks at every recording.
///
/// # Errors
/// Storing does not come to an end, or something cannot be looked at.
pub(crate) async fn judge(site: &mut Site, excuses: &Excuses) -> Result<Verdict> {
    let listed = stored(site).await?;
    let gaps: BTreeMap<String, u64> = listed
        .iter()
        .filter_map(|recording| Some((recording["id"].as_str()?.to_owned(), recording["gaps"].as_u64()?)))
        .collect();
    site.stop()?;
    site.ledger.read()?;
    let mut verdict = Verdict { recordings: listed.len(), ..Verdict::default() };
    for id in site.ledger.recordings().keys().filter(|id| !gaps.contains_key(*id)) {
        verdict.problems.push(format!("recording {id} was acknowledged and is not in the list"));
    }
    verdict.files = mcap_files(&site.stored()).len();
    check_rot(site, &excuses.rotten, &mut verdict)?;
    if let Some(bucket) = &mut site.bucket {
        // It has read the files as they were before they were put right.
        bucket.kill();
        bucket.up().await?;
    }

    let none = Acknowledged::default();
    let mut restarts = 0;
    for recording in &listed {
        let id = recording["id"].as_str().context("no id")?;
        let acknowledged = site.ledger.recordings().get(id).unwrap_or(&none);
        verdict.acknowledged += acknowledged.next();
        let folder = site.download(id);
        if let Some(reason) = recording["quarantine"]["reason"].as_str() {
            verdict.quarantined.push(format!("{id}: {reason}"));
            if excuses.rotten_journals == 0 || !reason.contains("journal") {
                verdict.problems.push(format!("recording {id} is quarantined without a cause: {reason}"));
            }
            // What is stored of it is unchanged all the same; of one that is not over, only the server gives anything.
            if let Ok(folder) = folder {
                let (ok, told) = run("verify", &["--allow-incomplete"], &folder)?;
                if !ok {
                    verdict
                        .problems
                        .push(format!("what is stored of recording {id} does not verify: {told}"));
                }
            }
            continue;
        }
        let folder = match folder {
            Ok(folder) => folder,
            Err(error) => {
                verdict.problems.push(format!("recording {id} cannot be downloaded: {error}"));
                continue;
            }
        };
        let (ok, told) = run("verify", &[], &folder)?;
        if !ok {
            verdict.problems.push(format!("recording {id} does not verify: {told}"));
        }
        let (_, told) = run("inspect", &["--json", "--fragments"], &folder)?;
        let inspected: Value =
            serde_json::from_str(&told).with_context(|| format!("inspect said: {told}"))?;
        let inspected = &inspected["recordings"][0];
        verdict.fragments += inspected["fragments"].as_u64().unwrap_or(0);
        verdict.gaps += inspected["gaps"].as_array().map_or(0, Vec::len);
        restarts += restarted(inspected);
        let found = problems(inspected, acknowledged, excuses, gaps[id]);
        verdict.problems.extend(found.into_iter().map(|problem| format!("recording {id}: {problem}")));
    }
    // Of a quarantined recording nobody can tell how many of its gaps came before the damage.
    let expected = excuses.restarts;
    if restarts > expected || (restarts < expected && verdict.quarantined.is_empty()) {
        verdict.problems.push(format!("expected {expected} gaps after restarts of agents, got {restarts}"));
    }
    Ok(verdict)
}

/// How many of a recording's gaps tell of an agent that was started again.
fn restarted(inspected: &Value) -> usize {
    let gaps = inspected["gaps"].as_array().into_iter().flatten();
    gaps.filter(|gap| gap["cause"] == "agent-restarted").count()
}

/// What is wrong with a recording that is not quarantined, by what `playhead inspect` tells of its files.
fn problems(
    inspected: &Value,
    acknowledged: &Acknowledged,
    excuses: &Excuses,
    listed_gaps: u64,
) -> Vec<String> {
    let mut problems = Vec::new();
    let fragments: Vec<&Value> = inspected["segments"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|segment| segment["table"].as_array())
        .flatten()
        .collect();
    let next = acknowledged.next();
    if (fragments.len() as u64) < next {
        let stored = fragments.len();
        problems.push(format!("LOST: {next} fragments were acknowledged, {stored} are stored"));
    }
    if !acknowledged.twice.is_empty() {
        let twice = &acknowledged.twice;
        problems.push(format!("LOST: fragments {twice:?} were acknowledged, gone, and acknowledged again"));
    }
    let gaps = inspected["gaps"].as_array().map(Vec::as_slice).unwrap_or_default();
    if gaps.len() as u64 != listed_gaps {
        problems.push(format!("{} gaps are declared, the list tells of {listed_gaps}", gaps.len()));
    }
    for gap in gaps {
        if !gap["cause"].as_str().is_some_and(|cause| excuses.gaps.contains(cause)) {
            problems.push(format!("a gap that nothing explains: {gap}"));
        }
    }
    let mut end_us = 0;
    for (at, fragment) in fragments.iter().enumerate() {
        if fragment["seq"].as_u64() != Some(at as u64) {
            problems.push(format!("expected fragment {at}, got {}", fragment["seq"]));
            break;
        }
        let start_us = fragment["start_us"].as_u64().unwrap_or(u64::MAX);
        let is_declared = gaps.iter().any(|gap| {
            gap["from_us"].as_u64().is_some_and(|from| from <= end_us)
                && gap["to_us"].as_u64().is_some_and(|to| to >= start_us)
        });
        if (start_us < end_us || start_us - end_us > SILENCE_US) && !is_declared {
            problems
                .push(format!("between {end_us} and {start_us} us nothing is recorded and nothing declared"));
        }
        end_us = fragment["end_us"].as_u64().unwrap_or(0);
    }
    problems
}

/// Every changed byte is still found; put right, the file must be what it was. One whose content lies in another file by now, packed
/// denser before the byte changed, is of no interest to anybody.
fn check_rot(site: &Site, rotten: &[Rot], verdict: &mut Verdict) -> Result<()> {
    let rotten: Vec<_> = rotten.iter().filter(|rot| rot.path.exists()).collect();
    for rot in &rotten {
        let name = rot.path.display();
        if site.is_encrypted() {
            let id = rot.path.parent().and_then(Path::file_name).context("no folder")?;
            let ran = site.admin(&["storage", "scrub", &id.to_string_lossy()]).output()?;
            if ran.status.success() {
                verdict.problems.push(format!("the server does not find the damage of {name}"));
            }
            continue;
        }
        let (ok, told) = run("verify", &["--allow-incomplete"], &rot.path)?;
        let is_named = rot.path.file_name().is_some_and(|name| told.contains(&*name.to_string_lossy()));
        if ok || !is_named {
            verdict.problems.push(format!("verify does not name the damaged file {name}: {told}"));
        }
    }
    rotten.iter().try_for_each(|rot| rot.flip())
}

/// Waits until every recording is finished and stored, or quarantined. Returns the list.
async fn stored(site: &Site) -> Result<Vec<Value>> {
    wait_for("every recording to be stored", STORED, async || {
        let listed = site.api.recordings().await?;
        for recording in &listed {
            if !recording["quarantine"].is_null() {
                continue;
            }
            let id = recording["id"].as_str().context("no id")?;
            let segments = site.api.get(&format!("/api/v1/recordings/{id}/segments")).await?;
            let mut segments = segments["items"].as_array().context("no segments")?.iter();
            ensure!(recording["state"] == "finished", "recording {id} is {}", recording["state"]);
            ensure!(segments.all(|segment| segment["state"] == "stored"), "recording {id} is not stored yet");
        }
        Ok(Some(listed))
    })
    .await
}

/// Runs the program over a folder; whether it ended well, and what it said.
fn run(command: &str, args: &[&str], folder: &Path) -> Result<(bool, String)> {
    let run = Command::new(playhead()).arg(command).args(args).arg(folder).output()?;
    Ok((run.status.success(), String::from_utf8_lossy(&run.stdout).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeSet;

    /// Three fragments in two segments, with a gap before the last.
    fn inspected() -> Value {
        let fragment = |seq: u64, start_us: u64| json!({ "seq": seq, "start_us": start_us, "end_us": start_us + 1_000_000 });
        json!({
            "gaps": [{ "from_us": 2_000_000, "to_us": 50_000_000, "cause": "agent-restarted" }],
            "segments": [
                { "table": [fragment(0, 0), fragment(1, 1_000_000)] },
                { "table": [fragment(2, 50_000_000)] },
            ],
        })
    }

    fn acknowledged(by_server: u64, at_agent: u64) -> Acknowledged {
        Acknowledged { by_server, at_agent, ..Acknowledged::default() }
    }

    fn excuses() -> Excuses {
        Excuses { gaps: BTreeSet::from(["agent-restarted"]), ..Excuses::default() }
    }

    #[test]
    fn a_whole_recording_is_in_order() {
        let none: [String; 0] = [];
        assert_eq!(problems(&inspected(), &acknowledged(3, 2), &excuses(), 1), none);
    }

    #[test]
    fn every_loss_is_told() {
        let found = |inspected: &Value, acknowledged: &Acknowledged, excuses: &Excuses, listed: u64| {
            let found = problems(inspected, acknowledged, excuses, listed);
            assert_eq!(found.len(), 1, "{found:?}");
            found.concat()
        };
        let whole = inspected();
        assert!(found(&whole, &acknowledged(4, 0), &excuses(), 1).contains("LOST: 4 fragments"));
        assert!(found(&whole, &acknowledged(0, 4), &excuses(), 1).contains("LOST: 4 fragments"));
        let twice = Acknowledged { twice: BTreeSet::from([1]), ..acknowledged(3, 3) };
        assert!(found(&whole, &twice, &excuses(), 1).contains("acknowledged again"));
        assert!(found(&whole, &acknowledged(3, 3), &Excuses::default(), 1).contains("nothing explains"));
        assert!(found(&whole, &acknowledged(3, 3), &excuses(), 2).contains("the list tells of 2"));

        let mut undeclared = inspected();
        undeclared["gaps"] = json!([]);
        assert!(found(&undeclared, &acknowledged(3, 3), &excuses(), 0).contains("nothing declared"));
        let mut torn = inspected();
        torn["segments"][0]["table"].as_array_mut().map(|table| table.remove(1));
        assert!(problems(&torn, &acknowledged(2, 2), &excuses(), 1).concat().contains("expected fragment 1"));
    }
}
