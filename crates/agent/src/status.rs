//! What an agent does and what troubles it, in a file for people and scripts.

use crate::{
    AgentError,
    spool::{Spool, SpoolError},
    standing::QueueReport,
};
use playhead_model::{PictureSettings, RecordingId, SessionInfo, WallTime};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The file is written at most this often.
const INTERVAL: Duration = Duration::from_secs(2);
/// The queue is looked at this often.
const LOOK: Duration = Duration::from_secs(10);

/// Name of the file, below the data folder.
pub(crate) const FILE: &str = "status.json";

/// What an agent tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Version of the agent.
    pub version: String,
    /// The connection to the recording server.
    pub server: ServerReport,
    /// Each display by its name.
    pub displays: BTreeMap<String, DisplayReport>,
    /// The sessions of this machine's users.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<SessionInfo>,
    /// What is heard on each display; nothing where sound is not recorded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sound: BTreeMap<String, SoundReport>,
    /// The queue on disk.
    #[serde(default)]
    pub queue: QueueReport,
    /// When this was written.
    pub at: WallTime,
    /// Bytes that wait on disk, as of the reading of this report.
    #[serde(default)]
    pub queue_bytes: u64,
    /// Whether an agent runs on the folder, as of the reading of this report.
    #[serde(default)]
    pub running: bool,
}

/// The connection to the recording server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServerReport {
    /// Where it is, once known.
    pub url: Option<String>,
    /// Whether the agent is connected.
    pub connected: bool,
    /// What went wrong last; none while connected.
    pub error: Option<String>,
}

/// One display.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DisplayReport {
    /// What is being recorded there.
    pub recording: Option<RecordingId>,
    /// Why nothing is, or why it is paused.
    pub error: Option<String>,
    /// How its pictures are recorded.
    #[serde(default)]
    pub picture: PictureSettings,
}

/// How it stands with a session's sound.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SoundReport {
    /// The sink that is listened to.
    pub sink: Option<String>,
    /// Why none is.
    pub error: Option<String>,
}

/// The report under way.
pub(crate) struct Status {
    report: Mutex<Report>,
    changed: Notify,
}

impl Default for Status {
    fn default() -> Self {
        let report = Report {
            version: crate::VERSION.into(),
            server: ServerReport::default(),
            displays: BTreeMap::new(),
            sessions: Vec::new(),
            sound: BTreeMap::new(),
            queue: QueueReport::default(),
            at: crate::clock::Now::read().wall,
            queue_bytes: 0,
            running: true,
        };
        Self { report: Mutex::new(report), changed: Notify::new() }
    }
}

impl Status {
    /// How it stands with the server.
    pub(crate) fn server(&self, change: impl FnOnce(&mut ServerReport)) {
        self.change(|report| change(&mut report.server));
    }

    /// How it stands with a display.
    pub(crate) fn display(&self, name: &str, now: DisplayReport) {
        self.change(|report| _ = report.displays.insert(name.to_owned(), now));
    }

    /// What sessions there are. Displays without one are forgotten, unless they are recorded.
    pub(crate) fn sessions(&self, now: Vec<SessionInfo>) {
        self.change(|report| {
            let before = std::mem::replace(&mut report.sessions, now);
            let gone = |name: &String| {
                let is_it = |session: &SessionInfo| session.display == *name;
                before.iter().any(is_it) && !report.sessions.iter().any(is_it)
            };
            report.displays.retain(|name, display| display.recording.is_some() || !gone(name));
        });
    }

    /// How it stands with a display's sound; `None` when it is not recorded any more.
    pub(crate) fn sound(&self, name: &str, now: Option<SoundReport>) {
        self.change(|report| match now {
            Some(now) => _ = report.sound.insert(name.to_owned(), now),
            None => _ = report.sound.remove(name),
        });
    }

    #[cfg(test)]
    pub(crate) fn sound_of(&self, name: &str) -> Option<SoundReport> {
        self.lock().sound.get(name).cloned()
    }

    fn change(&self, change: impl FnOnce(&mut Report)) {
        let mut report = self.lock();
        let before = report.clone();
        change(&mut report);
        if *report != before {
            self.changed.notify_one();
        }
    }

    /// Writes the file whenever something changed, the queue included, until `stop`, and once more then.
    pub(crate) async fn keep(&self, path: PathBuf, spool: Arc<Spool>, stop: CancellationToken) {
        let mut written: Option<Report> = None;
        loop {
            let queue = Arc::clone(&spool);
            if let Ok(queue) = tokio::task::spawn_blocking(move || QueueReport::of(&queue)).await {
                self.lock().queue = queue;
            }
            let stopping = stop.is_cancelled();
            let report = self.lock().clone();
            if stopping || written.as_ref() != Some(&report) {
                let (target, now) = (path.clone(), crate::clock::Now::read().wall);
                let dated = Report { at: now, ..report.clone() };
                let done = tokio::task::spawn_blocking(move || write(&target, &dated)).await;
                if let Ok(Err(error)) = done {
                    tracing::warn!(%error, "cannot write the status");
                }
                written = Some(report);
            }
            if stopping {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = stop.cancelled() => continue,
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = tokio::time::sleep(LOOK - INTERVAL) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Report> {
        // A report half changed by a panic is still a report.
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Replaces the file whole. It need not survive the machine's death, so nothing is synced.
fn write(path: &Path, report: &Report) -> Result<(), SpoolError> {
    let partial = path.with_extension("part");
    let json = serde_json::to_vec_pretty(report).map_err(|error| SpoolError::at(path)(error.into()))?;
    fs::write(&partial, json).and_then(|()| fs::rename(&partial, path)).map_err(SpoolError::at(path))
}

/// What the agent with its data in `data` does, or did last.
///
/// # Errors
/// No agent ever ran there, or its folder cannot be read.
pub fn status(data: &Path) -> Result<Report, AgentError> {
    let path = data.join(FILE);
    let failed = |source| AgentError::File { path: path.clone(), source };
    let text = fs::read(&path).map_err(failed)?;
    let mut report: Report = serde_json::from_slice(&text).map_err(|error| failed(error.into()))?;
    report.running = crate::folder::is_in_use(data);
    report.server.connected &= report.running;
    report.queue_bytes = crate::spool::bytes_below(&data.join(crate::SPOOL));
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::SpoolSettings;

    #[tokio::test]
    async fn the_file_says_what_changed_last() {
        let folder = tempfile::tempdir().unwrap();
        let (status, stop) = (Arc::new(Status::default()), CancellationToken::new());
        let keeping = {
            let (status, stop, path) = (Arc::clone(&status), stop.clone(), folder.path().join(FILE));
            let spool = Spool::open(&folder.path().join("spool"), SpoolSettings::default()).unwrap();
            tokio::spawn(async move { status.keep(path, Arc::new(spool), stop).await })
        };
        status.server(|server| server.connected = true);
        status.display(":7", DisplayReport { error: Some("gone".into()), ..Default::default() });
        stop.cancel();
        keeping.await.unwrap();
        let report = super::status(folder.path()).unwrap();
        assert_eq!(report.displays[":7"].error.as_deref(), Some("gone"));
        assert!(!report.running && !report.server.connected, "no agent holds the folder");
        assert_eq!(report.queue.quota_bytes, SpoolSettings::default().quota_bytes);
        assert!(super::status(&folder.path().join("none")).is_err());
    }
}
