//! Counting and timing while many tasks run.

use serde::Serialize;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Powers of two that are told apart, and parts of each.
const POWERS: usize = 40;
const PARTS: usize = 32;

/// How long things took, to about three percent.
pub(super) struct Times {
    counts: Vec<AtomicU64>,
    longest_us: AtomicU64,
}

/// The times below which so many lie, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) count: u64,
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

impl Default for Times {
    fn default() -> Self {
        let counts = (0..POWERS * PARTS).map(|_| AtomicU64::new(0)).collect();
        Self { counts, longest_us: AtomicU64::new(0) }
    }
}

impl Times {
    pub(super) fn add(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.longest_us.fetch_max(us, Ordering::Relaxed);
        if let Some(count) = self.counts.get(place(us)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn spread(&self) -> Spread {
        let counts: Vec<u64> = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let count: u64 = counts.iter().sum();
        let longest = self.longest_us.load(Ordering::Relaxed);
        let below = |share: f64| {
            let wanted = (count as f64 * share).ceil() as u64;
            let mut seen = 0;
            let found = counts.iter().position(|count| {
                seen += count;
                seen >= wanted
            });
            found.map_or(0, end).min(longest) as f64 / 1e3
        };
        Spread { count, p50: below(0.5), p95: below(0.95), p99: below(0.99), max: longest as f64 / 1e3 }
    }
}

fn place(us: u64) -> usize {
    if us < PARTS as u64 {
        return us as usize;
    }
    let power = us.ilog2() as usize - PARTS.ilog2() as usize;
    ((power + 1) * PARTS + (us >> power) as usize - PARTS).min(POWERS * PARTS - 1)
}

/// The largest time that is counted at a place.
fn end(place: usize) -> u64 {
    match (place / PARTS, (place % PARTS) as u64) {
        (0, part) => part,
        (power, part) => ((part + PARTS as u64 + 1) << (power - 1)) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_to_three_percent() {
        let times = Times::default();
        for us in 1..=100_000 {
            times.add(Duration::from_micros(us));
        }
        let spread = times.spread();
        assert_eq!((spread.count, spread.max), (100_000, 100.0));
        for (is, should) in [(spread.p50, 50.0), (spread.p95, 95.0), (spread.p99, 99.0)] {
            assert!((is / should - 1.0).abs() < 0.035, "{is} {should}");
        }
        for us in [0, 31, 32, 33, 1_000, 123_456, 1 << 30] {
            assert!(end(place(us)) >= us && place(end(place(us))) == place(us), "{us}");
        }
        times.add(Duration::MAX);
    }
}
