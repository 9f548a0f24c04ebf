//! Going on with a recording that an earlier run of the agent began.

use super::Recorder;
use playhead_format::{Chain, FragmentHead, Hash};
use playhead_model::{GapCause, RecordingInfo, RecordingSettings};

impl Recorder {
    /// Goes on with a recording after its newest fragment; `cause` says why there is a gap since then.
    pub(crate) fn resume(
        info: RecordingInfo,
        settings: RecordingSettings,
        seed: u64,
        (head, hash): (FragmentHead, Hash),
        cause: GapCause,
    ) -> Self {
        let mut recorder = Self::new(info, settings, seed);
        recorder.chain = Chain::after(&head, hash);
        // The segment before is as old as it will ever be. What waits for a full one waits for the next.
        recorder.segment_start_us = head.end_us;
        recorder.newest = Some(head);
        recorder.lost(cause);
        recorder
    }
}
