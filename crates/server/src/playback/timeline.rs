//! What happens when in a recording, out of its indexes alone.

use super::{PlaybackError, Source};
use crate::core::Shared;
use playhead_db::site::RecordingRow;
use playhead_format::IndexEntry;
use playhead_model::{Gap, RecordingState};
use serde::Serialize;
use std::{cmp::Reverse, collections::BinaryHeap};

/// Most idle periods and gaps that are told.
const MOST: usize = 5_000;

/// A recording at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Timeline {
    pub(crate) duration_us: u64,
    pub(crate) live: bool,
    /// How much happens in each part of the time: 0 nothing, 255 the most of this recording.
    pub(crate) buckets: Vec<u8>,
    pub(crate) bucket_us: u64,
    /// Periods without anything, in order; the longest ones where there are too many.
    pub(crate) idle: Vec<(u64, u64)>,
    pub(crate) gaps: Vec<Gap>,
    /// Detected events in each part of the time.
    pub(crate) events: Vec<u64>,
}

/// Gathers a timeline from index entries in order.
struct Gathering {
    bucket_us: u64,
    activity: Vec<f64>,
    any: Vec<bool>,
    events: Vec<u64>,
    idle_us: u64,
    /// The longest idle periods: length, start.
    idle: BinaryHeap<Reverse<(u64, u64)>>,
    /// Up to here everything is accounted for.
    until: u64,
}

impl Gathering {
    fn new(duration_us: u64, buckets: usize, idle_us: u64) -> Self {
        let bucket_us = duration_us.div_ceil(buckets as u64).max(1);
        Self {
            bucket_us,
            activity: vec![0.0; buckets],
            any: vec![false; buckets],
            events: vec![0; buckets],
            idle_us,
            idle: BinaryHeap::new(),
            until: 0,
        }
    }

    fn add(&mut self, entry: &IndexEntry) {
        self.pause(entry.start_us);
        self.until = self.until.max(entry.end_us);
        let last = self.activity.len() - 1;
        let bucket = |at_us: u64| usize::try_from(at_us / self.bucket_us).unwrap_or(last).min(last);
        let (first, end) = (bucket(entry.start_us), bucket(entry.end_us.max(entry.start_us + 1) - 1));
        self.events[first] += u64::from(entry.events);
        let share = f64::from(entry.activity) / (end - first + 1) as f64;
        for at in first..=end {
            self.activity[at] += share;
            self.any[at] = true;
        }
    }

    /// Nothing happened up to `to_us`.
    fn pause(&mut self, to_us: u64) {
        let length = to_us.saturating_sub(self.until);
        if length >= self.idle_us && length > 0 {
            self.idle.push(Reverse((length, self.until)));
            if self.idle.len() > MOST {
                self.idle.pop();
            }
        }
    }

    fn finish(mut self, duration_us: u64, live: bool, gaps: Vec<Gap>) -> Timeline {
        self.pause(duration_us);
        let most = self.activity.iter().copied().fold(0.0, f64::max).ln_1p();
        let height = |(&activity, &any): (&f64, &bool)| match (any, most > 0.0) {
            (false, _) => 0,
            (true, false) => 1,
            // Between 1 and 255: by orders of magnitude, or typing would vanish beside a film.
            (true, true) => (1.0 + 254.0 * activity.ln_1p() / most).round() as u8,
        };
        let buckets = self.activity.iter().zip(&self.any).map(height).collect();
        let mut idle: Vec<_> =
            self.idle.into_iter().map(|Reverse((length, from))| (from, from + length)).collect();
        idle.sort_unstable();
        Timeline { duration_us, live, buckets, bucket_us: self.bucket_us, idle, gaps, events: self.events }
    }
}

/// The timeline of a recording in `buckets` parts (at least one). `idle_us` is the shortest idle period that is told.
///
/// # Errors
/// The database's and the storage's.
pub(crate) async fn timeline(
    core: &Shared,
    row: &RecordingRow,
    buckets: usize,
    idle_us: u64,
) -> Result<Timeline, PlaybackError> {
    let source = Source::new(core, row.info.id);
    let held = source.live.as_ref().map(|live| live.entries()).unwrap_or_default();
    let segments = core.store.segments(row.info.id).await?;
    let stored_end = segments.last().map_or(0, |segment| segment.end_us);
    let duration_us = held.last().map_or(stored_end, |(_, entry)| entry.end_us);
    let live = match &source.live {
        Some(live) => !live.follow().borrow().ended,
        None => row.state == RecordingState::Live,
    };
    let mut gathering = Gathering::new(duration_us, buckets.max(1), idle_us);
    let mut next_seq = 0;
    for segment in &segments {
        let index = core.indexes.get(&core.storage, segment).await?;
        index.entries.iter().for_each(|entry| gathering.add(entry));
        next_seq = segment.next_seq;
    }
    held.iter().filter(|(_, entry)| entry.seq >= next_seq).for_each(|(_, entry)| gathering.add(entry));
    // Bounded far below what a count of this type can be.
    let gaps = core.store.gaps(row.info.id, MOST as u32).await?;
    Ok(gathering.finish(duration_us, live, gaps))
}

#[cfg(test)]
mod tests {
    use super::*;
    use playhead_format::Flags;

    fn entry(start_ms: u64, end_ms: u64, activity: u32, events: u32) -> IndexEntry {
        IndexEntry {
            seq: 0,
            start_us: start_ms * 1_000,
            end_us: end_ms * 1_000,
            anchor_seq: 0,
            offset: 0,
            length: 0,
            activity,
            events,
            flags: Flags::default(),
            wall_us: 0,
            width: 1,
            height: 1,
        }
    }

    #[test]
    fn activity_idle_and_events_fall_into_place() {
        let mut gathering = Gathering::new(10_000_000, 10, 2_000_000);
        for entry in [
            entry(0, 1_000, 1_000_000, 0),
            entry(1_500, 2_500, 10, 3),
            entry(6_000, 6_000, 0, 1),
            entry(7_000, 8_000, 100, 0),
        ] {
            gathering.add(&entry);
        }
        let timeline = gathering.finish(10_000_000, true, vec![]);
        assert_eq!(timeline.bucket_us, 1_000_000);
        assert_eq!(timeline.idle, [(2_500_000, 6_000_000), (8_000_000, 10_000_000)]);
        assert_eq!(timeline.events, [0, 3, 0, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(timeline.buckets[0], 255);
        assert_eq!(timeline.buckets[6], 1, "something, but no pixel");
        assert_eq!([timeline.buckets[3], timeline.buckets[9]], [0, 0]);
        assert!(timeline.buckets[1] > 1 && timeline.buckets[1] == timeline.buckets[2]);
        assert!(timeline.buckets[7] > timeline.buckets[1]);
    }

    #[test]
    fn nothing_at_all_is_a_timeline_too() {
        let timeline = Gathering::new(0, 3, 1_000).finish(0, false, vec![]);
        assert_eq!((timeline.buckets, timeline.idle), (vec![0; 3], vec![]));
    }

    #[test]
    fn of_too_many_idle_periods_the_longest_stay() {
        let mut gathering = Gathering::new(1 << 40, 10, 1);
        let mut at = 0;
        for n in 0..MOST as u64 + 100 {
            at += 10 + n;
            gathering.add(&entry(at, at, 1, 0));
        }
        let timeline = gathering.finish(at * 1_000, false, vec![]);
        assert_eq!(timeline.idle.len(), MOST);
        assert!(timeline.idle.iter().all(|(from, to)| to - from >= 110_000));
        assert!(timeline.idle.is_sorted());
    }
}
