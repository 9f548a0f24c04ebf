//! Holes in a queue: fragments that were recorded and will never be sent.
//!
//! A server takes a recording's fragments numbered without a hole. When the queue had to let go of some, or lost
//! some, those after the hole get other numbers on their way, and the first of them declares the gap. Two kinds of
//! numbers then: `seq` as recorded, and `number` as sent.

use playhead_model::GapCause;
use serde::{Deserialize, Serialize};

/// One hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Break {
    /// The first fragment after it, as recorded. An anchor.
    pub(crate) first: u64,
    /// How many numbers it takes away.
    pub(crate) missing: u64,
    /// Why.
    pub(crate) cause: GapCause,
}

/// All holes of a recording. Kept beside its queue, for the numbers must stay the same after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Breaks {
    holes: Vec<Break>,
    /// Everything before this one was let go of; how many numbers that takes away is known only once the server says
    /// how far it came.
    dropped_before: Option<u64>,
}

impl Breaks {
    /// The number under which the fragment `seq` is sent.
    pub(crate) fn number(&self, seq: u64) -> u64 {
        let missing: u64 = self.holes.iter().filter(|hole| hole.first <= seq).map(|hole| hole.missing).sum();
        seq.saturating_sub(missing)
    }

    /// The hole right before the fragment `seq`.
    pub(crate) fn before(&self, seq: u64) -> Option<&Break> {
        self.holes.iter().find(|hole| hole.first == seq)
    }

    /// The front of the queue was let go of and it is not known yet what the server lacks.
    pub(crate) fn dropped_before(&self) -> Option<u64> {
        self.dropped_before
    }

    /// Notes that everything before `seq` is let go of.
    pub(crate) fn drop_before(&mut self, seq: u64) {
        self.dropped_before = Some(seq);
    }

    /// Notes that what stood between `before` and `first` is damaged. Returns whether that is news.
    pub(crate) fn damaged(&mut self, before: u64, first: u64) -> bool {
        let news = self.before(first).is_none();
        if news {
            self.holes.push(Break { first, missing: first - before - 1, cause: GapCause::QueueDamaged });
        }
        news
    }

    /// The server wants `number` next: now it is known what is missing at the front. Returns whether that is news.
    pub(crate) fn settle(&mut self, wanted: u64) -> bool {
        let Some(first) = self.dropped_before.take() else { return false };
        let missing = self.number(first).saturating_sub(wanted);
        if missing > 0 {
            self.holes.retain(|hole| hole.first != first);
            let missing = self.number(first).saturating_sub(wanted);
            self.holes.push(Break { first, missing, cause: GapCause::QueueFull });
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_close_the_holes() {
        let mut breaks = Breaks::default();
        assert_eq!(breaks.number(7), 7);
        assert!(breaks.damaged(13, 20));
        assert!(!breaks.damaged(13, 20), "the same damage is seen at every start");
        assert_eq!([breaks.number(13), breaks.number(20), breaks.number(21)], [13, 14, 15]);

        breaks.drop_before(500);
        assert!(breaks.settle(300));
        assert!(!breaks.settle(300));
        assert_eq!(breaks.number(500), 300);
        assert_eq!(breaks.before(500).map(|hole| hole.cause), Some(GapCause::QueueFull));
        breaks.drop_before(900);
        breaks.settle(310);
        assert_eq!([breaks.number(900), breaks.number(905)], [310, 315]);
    }

    #[test]
    fn nothing_is_missing_when_the_server_had_it_all() {
        for wanted in [500, 505] {
            let mut breaks = Breaks::default();
            breaks.drop_before(500);
            breaks.settle(wanted);
            assert_eq!((breaks.number(500), breaks.before(500)), (500, None));
        }
    }

    #[test]
    fn a_hole_that_grows_stays_one_hole() {
        let mut breaks = Breaks::default();
        breaks.damaged(13, 20);
        breaks.drop_before(20);
        breaks.settle(10);
        assert_eq!((breaks.number(20), breaks.number(21)), (10, 11));
        assert_eq!(breaks.holes.len(), 1);
    }
}
