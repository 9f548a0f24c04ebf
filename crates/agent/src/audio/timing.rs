//! When sound was heard: which moment of the machine's clock belongs to which sample.
//!
//! A sound server hands samples over in pieces: some when the last of a piece is heard, some ahead, when it was rendered; and late when something is
//! busy. So the median delay of the last seconds is followed, which neither the early nor the late ones move. A device's clock runs a little faster
//! or slower than the machine's, hence it is followed slowly; what is far off is taken over at once.

use std::collections::VecDeque;

/// Sound is asked for in pieces of this length: each wakes us, and what is on the way when the agent dies is lost.
pub(super) const PIECE_US: u64 = 40_000;

/// The median is that of the pieces of this time.
const WINDOW_US: u64 = 4_000_000;
/// When the relation is newly found, the median is taken over at once during this time.
const SETTLING_US: u64 = 1_000_000;
/// Further off than this, something was lost or stood still.
const JUMP_US: i64 = 60_000;
/// After a pause as long as this the relation may be another one.
const PAUSE_US: u64 = 300_000;
/// A device's clock is at most this many millionths off; the relation is not followed faster.
const FASTEST_PPM: u64 = 500;
/// The most pieces that are remembered.
const MOST_PIECES: usize = 256;
/// Delays that a server tells beyond this are not believed.
const LONGEST_DELAY_US: u64 = 2_000_000;

/// How long after it was rendered sound is heard: half a piece, so that it is wrong by no more than that for servers that hand sound over when it
/// is rendered as well as for those that hold it back until it cannot be changed any more.
const AHEAD_US: i64 = PIECE_US as i64 / 2;

/// The relation between samples and the machine's clock.
#[derive(Debug, Default)]
pub(super) struct Timing {
    /// When a piece came, and by how much that lies after its last sample's place in the stream.
    pieces: VecDeque<(u64, i64)>,
    /// What is added to a sample's place in the stream to get the time at which it was heard.
    offset_us: Option<i64>,
    settling_until_us: u64,
    last_us: u64,
    delay_us: u64,
}

/// Where a sample stands in its stream, in microseconds.
pub(super) const fn place_us(sample: u64) -> u64 {
    // 48 samples a millisecond; years of them stay far below overflow.
    sample * 125 / 6
}

impl Timing {
    /// The server tells how long its newest sound was under way before it came into the stream.
    pub(super) fn told(&mut self, delay_us: u64) {
        self.delay_us = delay_us.min(LONGEST_DELAY_US);
    }

    /// Everything up to the sample `end` has arrived. Returns whether the stream goes on without a break; otherwise what comes now
    /// has nothing to do with what came before.
    pub(super) fn arrived(&mut self, now_us: u64, end: u64) -> bool {
        let lag = now_us as i64 - place_us(end) as i64 - self.delay_us as i64;
        let pause = now_us.saturating_sub(self.last_us);
        let passed = pause.min(WINDOW_US);
        self.last_us = now_us;
        let Some(offset) = self.offset_us else {
            self.begin(now_us, lag);
            return false;
        };
        if pause > PAUSE_US && lag - offset > JUMP_US {
            self.begin(now_us, lag);
            return false;
        }
        while self.pieces.front().is_some_and(|&(at, _)| at + WINDOW_US < now_us)
            || self.pieces.len() >= MOST_PIECES
        {
            self.pieces.pop_front();
        }
        self.pieces.push_back((now_us, lag));
        let median = self.median();
        let error = median - offset;
        let is_settling = now_us < self.settling_until_us;
        if error.abs() > JUMP_US && !is_settling {
            self.begin(now_us, median);
            return false;
        }
        let most = (passed * FASTEST_PPM / 1_000_000) as i64;
        let step = if is_settling { error } else { error.clamp(-most, most) };
        self.offset_us = Some(offset + step);
        true
    }

    fn median(&self) -> i64 {
        let mut lags: Vec<i64> = self.pieces.iter().map(|&(_, lag)| lag).collect();
        let middle = lags.len() / 2;
        // There is at least the one that has just come.
        *lags.select_nth_unstable(middle).1
    }

    fn begin(&mut self, now_us: u64, lag: i64) {
        self.pieces.clear();
        self.pieces.push_back((now_us, lag));
        self.offset_us = Some(lag);
        self.settling_until_us = now_us + SETTLING_US;
    }

    /// When what stands at a place of the stream was heard, by the machine's clock; `None` while nothing is known.
    pub(super) fn heard_us(&self, place_us: u64) -> Option<u64> {
        let at = self.offset_us?.saturating_add(i64::try_from(place_us).ok()?).saturating_add(AHEAD_US);
        Some(u64::try_from(at).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: u64 = 1_920;
    const START: u64 = 50_000_000;

    /// Pieces of a device that is `ppm` fast, for so many seconds, each as late as `late` says.
    fn run(timing: &mut Timing, seconds: u64, ppm: i64, late: impl Fn(u64) -> u64) -> (u64, u64) {
        run_in(PIECE, timing, seconds, ppm, late)
    }

    fn run_in(
        piece: u64,
        timing: &mut Timing,
        seconds: u64,
        ppm: i64,
        late: impl Fn(u64) -> u64,
    ) -> (u64, u64) {
        let (mut sample, mut now) = (0, START);
        for number in 0..seconds * 48_000 / piece {
            sample += piece;
            let true_us = place_us(sample) as i64;
            now = START + (true_us - true_us * ppm / 1_000_000) as u64;
            timing.arrived(now + late(number), sample);
        }
        (sample, now)
    }

    #[test]
    fn early_and_late_pieces_move_nothing() {
        let mut timing = Timing::default();
        assert_eq!(timing.heard_us(0), None);
        // Now and then something is busy for a while, or a piece comes well ahead.
        let late = |number| match number % 9 {
            0 => 90_000,
            1 => 0,
            _ => 40_000 + number * 7_919 % 4_000,
        };
        let (sample, now) = run(&mut timing, 60, 0, late);
        let error = timing.heard_us(place_us(sample)).unwrap() as i64 - now as i64 - AHEAD_US - 42_000;
        assert!(error.abs() < 2_000, "{error} us");
    }

    #[test]
    fn eight_hours_of_a_clock_that_is_off_stay_in_step() {
        for ppm in [-100, 100, 40] {
            let mut timing = Timing::default();
            // Larger pieces, as there are so many.
            let (sample, now) =
                run_in(PIECE * 6, &mut timing, 8 * 3_600, ppm, |number| (number * 7_919) % 20_000);
            let error = timing.heard_us(place_us(sample)).unwrap() as i64 - now as i64 - AHEAD_US - 10_000;
            assert!(error.abs() < 5_000, "{error} us at {ppm} ppm");
        }
    }

    #[test]
    fn a_hiccup_changes_nothing_and_a_pause_begins_anew() {
        let mut timing = Timing::default();
        let (sample, now) = run(&mut timing, 10, 0, |_| 0);
        let before = timing.heard_us(place_us(sample)).unwrap();
        // Late by half a second, then everything at once.
        assert!(timing.arrived(now + 500_000, sample + 12 * PIECE));
        assert!(timing.heard_us(place_us(sample)).unwrap().abs_diff(before) < 25_000);
        // A minute without a sample: what comes then was heard then.
        let later = now + 60_000_000;
        assert!(!timing.arrived(later, sample + 13 * PIECE));
        assert_eq!(timing.heard_us(place_us(sample + 13 * PIECE)), Some(later + AHEAD_US as u64));
        assert!(timing.arrived(later + 40_000, sample + 14 * PIECE));
    }

    #[test]
    fn what_the_server_dropped_is_noticed_and_told_delays_count() {
        let mut timing = Timing::default();
        timing.told(30_000);
        let (sample, now) = run(&mut timing, 10, 0, |_| 0);
        assert_eq!(timing.heard_us(place_us(sample)), Some(now - 30_000 + AHEAD_US as u64));
        // A tenth of a second is missing: all pieces come that much later than their places say.
        let (mut broke, mut at) = (false, now);
        for number in 1..=200 {
            at = now + 100_000 + number * 40_000;
            broke |= !timing.arrived(at, sample + number * PIECE);
        }
        assert!(broke);
        assert_eq!(timing.heard_us(place_us(sample + 200 * PIECE)), Some(at - 30_000 + AHEAD_US as u64));
    }
}
