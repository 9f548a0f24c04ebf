//! Holes in a queue: fragments that were recorded and will never be sent, or numbers that the server has used already.
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
    /// How many numbers it takes away; below 0 where the server has fragments that are not known here any more.
    pub(crate) missing: i64,
    /// Why.
    pub(crate) cause: GapCause,
}

/// From some fragment on it is not known which number the server wants for it: what was recorded before was lost here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Unsure {
    /// The first fragment after the loss, as recorded. An anchor.
    first: u64,
    cause: GapCause,
    /// Nothing at all is left of what came before.
    whole: bool,
}

/// All holes of a recording. Kept beside its queue, for the numbers must stay the same after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Breaks {
    holes: Vec<Break>,
    /// Everything before this one was let go of; how many numbers that takes away is known only once the server says
    /// how far it came.
    dropped_before: Option<u64>,
    /// Why, when not for lack of room.
    #[serde(default)]
    dropped_cause: Option<GapCause>,
    #[serde(default)]
    unsure: Option<Unsure>,
}

impl Breaks {
    /// Those of a queue that goes on with a recording of which everything here was lost.
    pub(crate) fn after_loss(cause: GapCause) -> Self {
        Self { unsure: Some(Unsure { first: 0, cause, whole: true }), ..Self::default() }
    }

    /// The same for a queue in which nothing is left: its next fragment has number 0 again.
    pub(crate) fn of_nothing(&self) -> Self {
        let cause = match (&self.unsure, self.dropped_before) {
            (Some(unsure), _) => unsure.cause,
            (None, Some(_)) => self.dropped_cause.unwrap_or(GapCause::QueueFull),
            (None, None) if self.holes.is_empty() => return Self::default(),
            (None, None) => GapCause::QueueDamaged,
        };
        Self::after_loss(cause)
    }

    /// The number under which the fragment `seq` is sent.
    pub(crate) fn number(&self, seq: u64) -> u64 {
        let missing: i64 = self.holes.iter().filter(|hole| hole.first <= seq).map(|hole| hole.missing).sum();
        seq.saturating_add_signed(missing.saturating_neg())
    }

    /// The hole right before the fragment `seq`.
    pub(crate) fn before(&self, seq: u64) -> Option<&Break> {
        self.holes.iter().find(|hole| hole.first == seq)
    }

    /// Whether any hole lies before the fragment `seq`.
    pub(crate) fn any_before(&self, seq: u64) -> bool {
        self.holes.iter().any(|hole| hole.first <= seq)
    }

    /// The front of the queue was let go of and it is not known yet what the server lacks.
    pub(crate) fn dropped_before(&self) -> Option<u64> {
        self.dropped_before
    }

    /// Notes that everything before `seq` is let go of.
    pub(crate) fn drop_before(&mut self, seq: u64, cause: GapCause) {
        self.dropped_before = Some(seq);
        self.dropped_cause = Some(cause);
    }

    /// Notes that the newest fragments before `seq`, the next one, are lost here. The server may have some of them.
    pub(crate) fn lost_before(&mut self, seq: u64, cause: GapCause) {
        // An earlier loss that is not settled yet covers this one.
        self.unsure.get_or_insert(Unsure { first: seq, cause, whole: false });
    }

    /// Notes that what stood between `before` and `first` is damaged. Returns whether that is news.
    pub(crate) fn damaged(&mut self, before: u64, first: u64) -> bool {
        let news = self.before(first).is_none();
        if news {
            let missing = i64::try_from(first - before - 1).unwrap_or(i64::MAX);
            self.holes.push(Break { first, missing, cause: GapCause::QueueDamaged });
        }
        news
    }

    /// The server wants `number` next: now it is known what is missing. Returns whether that is news.
    pub(crate) fn settle(&mut self, wanted: u64) -> bool {
        if self.dropped_before.is_none() && self.unsure.is_none() {
            return false;
        }
        let mut unsure = self.unsure.take();
        if let Some(first) = self.dropped_before.take() {
            let cause = self.dropped_cause.take().unwrap_or(GapCause::QueueFull);
            // Where what was let go of includes the place of a loss, numbers do not tell whether anything is missing.
            let is_unsure = unsure.take_if(|unsure| unsure.first <= first).is_some();
            if is_unsure || self.number(first) > wanted {
                self.put(first, wanted, cause);
            }
        }
        if let Some(Unsure { first, cause, whole }) = unsure
            && (whole || self.number(first) < wanted)
        {
            self.put(first, wanted, cause);
        }
        true
    }

    /// The fragment `first` is sent as `wanted`, after a hole.
    fn put(&mut self, first: u64, wanted: u64, cause: GapCause) {
        self.holes.retain(|hole| hole.first != first);
        let (number, wanted) = (i64::try_from(self.number(first)), i64::try_from(wanted));
        let missing = number.unwrap_or(i64::MAX).saturating_sub(wanted.unwrap_or(i64::MAX));
        self.holes.push(Break { first, missing, cause });
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

        breaks.drop_before(500, GapCause::QueueFull);
        assert!(breaks.settle(300));
        assert!(!breaks.settle(300));
        assert_eq!(breaks.number(500), 300);
        assert_eq!(breaks.before(500).map(|hole| hole.cause), Some(GapCause::QueueFull));
        breaks.drop_before(900, GapCause::QueueFull);
        breaks.settle(310);
        assert_eq!([breaks.number(900), breaks.number(905)], [310, 315]);
    }

    #[test]
    fn nothing_is_missing_when_the_server_had_it_all() {
        for wanted in [500, 505] {
            let mut breaks = Breaks::default();
            breaks.drop_before(500, GapCause::QueueFull);
            breaks.settle(wanted);
            assert_eq!((breaks.number(500), breaks.before(500)), (500, None));
        }
    }

    #[test]
    fn a_hole_that_grows_stays_one_hole() {
        let mut breaks = Breaks::default();
        breaks.damaged(13, 20);
        breaks.drop_before(20, GapCause::QueueFull);
        breaks.settle(10);
        assert_eq!((breaks.number(20), breaks.number(21)), (10, 11));
        assert_eq!(breaks.holes.len(), 1);
    }

    #[test]
    fn a_recording_whose_queue_was_lost_goes_on_where_the_server_is() {
        for wanted in [0, 7] {
            let mut breaks = Breaks::after_loss(GapCause::AgentRestarted);
            assert!(breaks.settle(wanted) && !breaks.settle(wanted));
            assert_eq!([breaks.number(0), breaks.number(3)], [wanted, wanted + 3]);
            assert!(breaks.any_before(0) && breaks.before(0).unwrap().cause == GapCause::AgentRestarted);
            let json = serde_json::to_string(&breaks).unwrap();
            assert_eq!(serde_json::from_str::<Breaks>(&json).unwrap(), breaks);
        }
        // The queue ran over before the server could be asked.
        let mut breaks = Breaks::after_loss(GapCause::QueueDamaged);
        breaks.drop_before(40, GapCause::QueueFull);
        breaks.settle(40);
        assert_eq!((breaks.number(41), breaks.any_before(40), breaks.any_before(39)), (41, true, false));
    }

    #[test]
    fn a_lost_tail_matters_only_where_the_server_has_more() {
        for (wanted, number) in [(2, 4), (4, 4), (6, 6)] {
            let mut breaks = Breaks::default();
            breaks.lost_before(4, GapCause::QueueDamaged);
            breaks.lost_before(6, GapCause::QueueDamaged);
            assert!(breaks.settle(wanted));
            assert_eq!((breaks.number(3), breaks.number(4)), (3, number));
            assert_eq!(breaks.any_before(4), number > 4);
        }
        // The server is ahead, then a whole segment goes for lack of room.
        let mut breaks = Breaks::default();
        breaks.lost_before(4, GapCause::QueueDamaged);
        breaks.settle(9);
        breaks.drop_before(8, GapCause::QueueFull);
        breaks.settle(11);
        assert_eq!([breaks.number(4), breaks.number(8), breaks.number(9)], [9, 11, 12]);
    }

    #[test]
    fn what_an_earlier_version_wrote_is_read() {
        let text = r#"{"holes":[{"first":9,"missing":2,"cause":"queue-full"}],"dropped_before":30}"#;
        let mut breaks: Breaks = serde_json::from_str(text).unwrap();
        breaks.settle(20);
        assert_eq!((breaks.number(10), breaks.number(30)), (8, 20));
    }
}
