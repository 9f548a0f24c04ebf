//! How large and how old a segment may become.

use super::Recorder;
use crate::clock::Moment;

impl Recorder {
    /// Whether something that happened can be recorded now: not before a segment's first picture.
    pub(crate) fn takes_events(&self) -> bool {
        !self.fresh
    }

    /// Media time at which the segment is full by its age, at the latest; `None` before anything was kept.
    pub(crate) fn full_at(&self) -> Option<u64> {
        let most_us = u64::from(self.settings.rollover_seconds) * 1_000_000;
        self.newest.is_some().then_some(self.segment_start_us.saturating_add(most_us))
    }

    /// Whether the next picture begins another segment because this one is full.
    pub(crate) fn is_segment_full(&self, at: Moment) -> bool {
        let age = at.media_us.saturating_sub(self.segment_start_us);
        self.newest.is_some()
            && (self.segment_bytes >= self.settings.rollover_bytes
                || age >= u64::from(self.settings.rollover_seconds) * 1_000_000)
    }
}
