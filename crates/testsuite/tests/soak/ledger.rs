//! What was acknowledged, written down while it happens from what servers and agents log of every fragment's way.
//!
//! The programs are killed, so their own memory is no witness. Their logs are: a line is with the kernel before the program goes on.

use anyhow::Result;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    time::Instant,
};

/// What is known of one recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    /// One past the newest fragment that the server called durable.
    pub(crate) by_server: u64,
    /// The same as its agent heard it.
    pub(crate) at_agent: u64,
    /// Fragments that the server called durable again after it had done so before: it had lost them meanwhile.
    pub(crate) twice: BTreeSet<u64>,
}

impl Acknowledged {
    /// One past the newest fragment that anybody was told is durable.
    pub(crate) fn next(&self) -> u64 {
        self.by_server.max(self.at_agent)
    }
}

/// When an agent last recorded and last heard of a recording.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    queued: Option<Instant>,
    durable: Option<Instant>,
}

/// A log that is being written.
struct Log {
    path: PathBuf,
    read: u64,
    rest: Vec<u8>,
}

/// Reads logs as they grow.
#[derive(Default)]
pub(crate) struct Ledger {
    logs: Vec<Log>,
    recordings: BTreeMap<String, Acknowledged>,
    seen: BTreeMap<(usize, String), Seen>,
    panics: Vec<String>,
}

impl Ledger {
    /// Follows a log, which need not exist yet. Its number stands for its writer.
    pub(crate) fn follow(&mut self, path: &Path) -> usize {
        self.logs.push(Log { path: path.to_owned(), read: 0, rest: Vec::new() });
        self.logs.len() - 1
    }

    /// Reads what is new.
    ///
    /// # Errors
    /// A log cannot be read.
    pub(crate) fn read(&mut self) -> Result<()> {
        for writer in 0..self.logs.len() {
            let log = &mut self.logs[writer];
            if !log.path.exists() {
                continue;
            }
            let mut file = File::open(&log.path)?;
            file.seek(SeekFrom::Start(log.read))?;
            log.read += file.read_to_end(&mut log.rest)? as u64;
            let whole = log.rest.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            let lines: Vec<u8> = log.rest.drain(..whole).collect();
            let now = Instant::now();
            for line in String::from_utf8_lossy(&lines).lines() {
                self.line(writer, line, now);
            }
        }
        Ok(())
    }

    /// All recordings of which a fragment was acknowledged.
    pub(crate) fn recordings(&self) -> &BTreeMap<String, Acknowledged> {
        &self.recordings
    }

    /// How many recordings a writer has both recorded and heard of since that moment.
    pub(crate) fn alive(&self, writer: usize, since: Instant) -> usize {
        let after = |moment: Option<Instant>| moment.is_some_and(|moment| moment > since);
        let mine = self.seen.iter().filter(|((by, _), _)| *by == writer);
        mine.filter(|(_, seen)| after(seen.queued) && after(seen.durable)).count()
    }

    /// Lines that tell of a panic.
    pub(crate) fn panics(&self) -> &[String] {
        &self.panics
    }

    fn line(&mut self, writer: usize, line: &str, now: Instant) {
        if line.contains("panicked at") {
            self.panics.push(line.to_owned());
        }
        // A killed writer's last line goes on as the first of the next one.
        let line = line.rfind(r#"{"timestamp""#).map_or(line, |at| &line[at..]);
        let Ok(line) = serde_json::from_str::<Value>(line) else { return };
        let (Some(step), Some(recording)) = (line["step"].as_str(), line["recording"].as_str()) else {
            return;
        };
        let key = || (writer, recording.to_owned());
        match (step, line["seq"].as_u64(), line["next_seq"].as_u64()) {
            ("queue", ..) => {
                self.seen.entry(key()).or_default().queued = Some(now);
            }
            ("durable", _, Some(next)) => {
                self.seen.entry(key()).or_default().durable = Some(now);
                let known = self.recordings.entry(recording.to_owned()).or_default();
                known.at_agent = known.at_agent.max(next);
            }
            ("acknowledge", Some(seq), _) => {
                let known = self.recordings.entry(recording.to_owned()).or_default();
                // A server that was killed between its sync and its log has more than its log says: numbers that are
                // passed over are no loss, and the recording's chain proves that nothing is missing.
                if seq < known.by_server {
                    known.twice.insert(seq);
                }
                known.by_server = known.by_server.max(seq + 1);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn acknowledgements_are_counted_and_a_second_one_is_told() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("log");
        let mut ledger = Ledger::default();
        let writer = ledger.follow(&path);
        ledger.read()?;
        let began = Instant::now();
        let mut file = File::create(&path)?;
        let acknowledge = |seq: u64| {
            format!(r#"{{"timestamp":"t","step":"acknowledge","recording":"a","seq":{seq},"target":"x"}}"#)
        };
        writeln!(file, "{}\n{}", acknowledge(0), acknowledge(1))?;
        // Killed while it wrote.
        write!(file, r#"{{"timestamp":"t","step":"ackno"#)?;
        ledger.read()?;
        assert_eq!(ledger.recordings()["a"].by_server, 2);
        writeln!(file, "{}\n{}", acknowledge(2), acknowledge(1))?;
        writeln!(file, r#"{{"timestamp":"t","step":"durable","recording":"a","seq":2,"next_seq":4}}"#)?;
        assert_eq!(ledger.alive(writer, began), 0);
        writeln!(file, r#"{{"timestamp":"t","step":"queue","recording":"a","seq":4}}"#)?;
        writeln!(file, "thread 'main' panicked at lib.rs:1")?;
        ledger.read()?;
        let known = &ledger.recordings()["a"];
        assert_eq!((known.by_server, known.next()), (3, 4));
        assert_eq!(known.twice, BTreeSet::from([1]));
        assert_eq!((ledger.alive(writer, began), ledger.alive(writer, Instant::now())), (1, 0));
        assert_eq!(ledger.panics().len(), 1);
        Ok(())
    }
}
