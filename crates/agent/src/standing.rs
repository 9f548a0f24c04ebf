//! How the queue stands: for the status file, for people, and for the server.

use crate::{
    settings::WhenFull,
    spool::{Queue, Refused, Spool, Standing, Waiting},
};
use playhead_model::{Gap, RecordingId, WallTime};
use playhead_protocol::message;
use serde::{Deserialize, Serialize};

/// Free space is told in whole multiples of this: it changes all the time, and nobody needs to know it exactly.
const STEP: u64 = 16 << 20;

/// What is being done while there is no room in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueueState {
    /// There is room.
    #[default]
    Ok,
    /// Nothing is recorded.
    Paused,
    /// The oldest is let go of.
    LettingGo,
    /// Sessions are stopped.
    Stopping,
}

/// What waits on disk for the server, and what became of what could not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueReport {
    /// Whether there is room, and what is being done otherwise.
    pub state: QueueState,
    /// What the settings say is done when there is no room.
    pub when_full: WhenFull,
    /// Bytes that count against the quota: what waits, and what the server has but was not deleted yet.
    pub used_bytes: u64,
    /// The most of them there may be.
    pub quota_bytes: u64,
    /// Bytes free on the disk, roughly.
    pub free_bytes: u64,
    /// With fewer than these nothing is queued.
    pub least_free_bytes: u64,
    /// Bytes of the fragments that the server does not have.
    pub waiting_bytes: u64,
    /// How many these are.
    pub waiting_fragments: u64,
    /// When the oldest of them was recorded.
    pub oldest: Option<WallTime>,
    /// Gaps since the agent started.
    pub gaps: u64,
    /// Recordings that were let go of whole, for lack of room, since the agent started.
    pub lost_recordings: u64,
    /// Each recording of which something is on disk.
    pub recordings: Vec<QueuedRecording>,
    /// Queues that were set aside, oldest first. They can be deleted by hand.
    pub refused: Vec<RefusedQueue>,
    /// Bytes of all these.
    pub refused_bytes: u64,
    /// How many of them were deleted for lack of room since the agent started.
    pub refused_deleted: u64,
    /// Bytes of these.
    pub refused_deleted_bytes: u64,
}

/// One recording in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedRecording {
    /// Which.
    pub recording: RecordingId,
    /// The display it is of.
    pub display: String,
    /// Whether the recording has ended.
    pub ended: bool,
    /// Fragments that the server does not have.
    pub fragments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest of them was recorded.
    pub oldest: Option<WallTime>,
    /// What keeps it from being queued or sent.
    pub error: Option<String>,
    /// The newest gap since the agent started.
    pub last_gap: Option<Gap>,
}

/// A queue that was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedQueue {
    /// Name of its folder below `spool` in the data folder.
    pub folder: String,
    /// Bytes in it.
    pub bytes: u64,
    /// When it was set aside.
    pub since: WallTime,
    /// Why.
    pub why: String,
}

impl QueueReport {
    /// How the queue stands now; blocking.
    pub(crate) fn of(spool: &Spool) -> Self {
        let Standing { bytes, quota, free, least_free, full, gaps, let_go, refused, refused_deleted } =
            spool.standing();
        let recordings: Vec<_> = spool.all().iter().map(|queue| QueuedRecording::of(queue)).collect();
        let when_full = spool.when_full();
        let state = match (full, when_full) {
            (false, _) => QueueState::Ok,
            (true, WhenFull::Pause) => QueueState::Paused,
            (true, WhenFull::KeepNewest) => QueueState::LettingGo,
            (true, WhenFull::StopSession) => QueueState::Stopping,
        };
        Self {
            state,
            when_full,
            used_bytes: bytes,
            quota_bytes: quota,
            free_bytes: free / STEP * STEP,
            least_free_bytes: least_free,
            waiting_bytes: recordings.iter().map(|recording| recording.bytes).sum(),
            waiting_fragments: recordings.iter().map(|recording| recording.fragments).sum(),
            oldest: recordings.iter().filter_map(|recording| recording.oldest).min(),
            gaps,
            lost_recordings: let_go,
            recordings,
            refused_bytes: refused.iter().map(|refused| refused.bytes).sum(),
            refused: refused.into_iter().map(RefusedQueue::from).collect(),
            refused_deleted: refused_deleted.0,
            refused_deleted_bytes: refused_deleted.1,
        }
    }

    /// What the server is told of it at the time `now`.
    pub(crate) fn message(&self, now: WallTime) -> message::Queue {
        let age = self.oldest.map_or(0, |oldest| now.as_micros().saturating_sub(oldest.as_micros()) / 1_000);
        let gap = self.recordings.iter().rev().find_map(|recording| recording.last_gap.as_ref());
        let error = self.recordings.iter().find_map(|recording| recording.error.clone());
        message::Queue {
            waiting_bytes: self.waiting_bytes,
            waiting_fragments: self.waiting_fragments,
            oldest_ms: u64::try_from(age).unwrap_or(0),
            quota_bytes: self.quota_bytes,
            free_bytes: self.free_bytes,
            least_free_bytes: self.least_free_bytes,
            when_full: self.when_full.as_str().into(),
            full: self.state != QueueState::Ok,
            gaps: self.gaps,
            last_gap: gap.map(|gap| gap.cause.to_string()).unwrap_or_default(),
            refused: self.refused.len() as u64,
            refused_bytes: self.refused_bytes,
            lost_recordings: self.lost_recordings,
            error: error.unwrap_or_default(),
        }
    }

    /// Whether the server should hear of this at once when it was last told of `before`.
    pub(crate) fn is_news_after(&self, before: &Self) -> bool {
        let telling = |report: &Self| {
            let errors: Vec<_> =
                report.recordings.iter().filter_map(|recording| recording.error.clone()).collect();
            (report.state, report.gaps, report.lost_recordings, report.refused.len(), errors)
        };
        telling(self) != telling(before)
    }
}

impl QueuedRecording {
    fn of(queue: &Queue) -> Self {
        let Waiting { fragments, bytes, oldest_us, trouble, last_gap } = queue.unsent();
        let info = &queue.started().info;
        let at = |us: u64| info.started_at.plus_micros(i64::try_from(us).unwrap_or(i64::MAX));
        Self {
            recording: info.id,
            display: info.display.clone(),
            ended: queue.has_ended(),
            fragments,
            bytes,
            oldest: oldest_us.map(at),
            error: trouble,
            last_gap,
        }
    }
}

impl From<Refused> for RefusedQueue {
    fn from(Refused { name, bytes, since, why }: Refused) -> Self {
        let since = since.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let since = WallTime::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
        Self { folder: name, bytes, since, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        settings::SpoolSettings,
        spool::Started,
        testing::{fragments, info},
    };
    use playhead_model::GapCause;

    #[test]
    fn a_report_tells_what_waits_and_what_became_of_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let made = fragments(&info(1), 2, 3);
        let segment: u64 = made[..3].iter().map(|fragment| fragment.bytes.len() as u64 + 24).sum();
        let settings = SpoolSettings {
            quota_bytes: segment + segment / 10,
            when_full: WhenFull::KeepNewest,
            ..SpoolSettings::default()
        };
        let spool = Spool::open(folder.path(), settings).unwrap();
        let start = |byte| Started { info: info(byte), boot_id: "boot".into(), start_boot_us: 0 };
        let (queue, aside) = (spool.create(start(1)).unwrap(), spool.create(start(2)).unwrap());
        spool.set_aside(aside.id(), "not ours", false).unwrap();
        for fragment in &made[..2] {
            spool.append(&queue, fragment).unwrap();
        }
        queue.forget_before(1).unwrap();
        let before = QueueReport::of(&spool);
        assert_eq!((before.waiting_fragments, before.waiting_bytes), (1, made[1].bytes.len() as u64));
        let recorded_at = |us: u64| info(1).started_at.plus_micros(us as i64);
        assert_eq!(before.oldest, Some(recorded_at(made[1].head.start_us)));
        assert_eq!((before.state, before.refused[0].why.as_str()), (QueueState::Ok, "not ours"));

        for fragment in &made[2..] {
            spool.append(&queue, fragment).unwrap();
        }
        let after = QueueReport::of(&spool);
        assert!(after.is_news_after(&before) && !after.is_news_after(&after));
        assert_eq!((after.state, after.gaps), (QueueState::LettingGo, 1));
        let gap = Gap { from_us: 0, to_us: made[3].head.start_us, cause: GapCause::QueueFull };
        assert_eq!(after.recordings[0].last_gap, Some(gap));
        let now = recorded_at(made[3].head.start_us + 5_000_000);
        let told = after.message(now);
        assert_eq!((told.oldest_ms, told.last_gap.as_str(), told.full), (5_000, "queue-full", true));
        assert_eq!((told.refused, told.waiting_fragments), (1, 3));
        let json = serde_json::to_string(&after).unwrap();
        assert_eq!(serde_json::from_str::<QueueReport>(&json).unwrap(), after);
        assert!(json.contains("\"letting-go\"") && json.contains("\"keep-newest\""));
    }
}
