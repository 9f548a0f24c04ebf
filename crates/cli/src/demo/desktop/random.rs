use std::time::Duration;

/// Repeatable pseudo-random numbers (SplitMix64): the same seed gives the same desktop, on every machine and in
/// every version.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// A sequence of its own for each pair; `stream` keeps the parts of a desktop from influencing each other.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(seed ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03));
        random.next();
        random
    }

    /// 64 random bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// From `low` to `high`, both included; `low` when they are the wrong way round.
    pub(crate) fn range(&mut self, low: i32, high: i32) -> i32 {
        let span = (i64::from(high) - i64::from(low)).max(0).unsigned_abs() + 1;
        let offset = i64::try_from(self.next() % span).unwrap_or(0);
        i32::try_from(i64::from(low) + offset).unwrap_or(low)
    }

    /// True that many times out of a hundred.
    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.next() % 100 < chance
    }

    /// A time between two numbers of milliseconds.
    pub(crate) fn time(&mut self, low_ms: i32, high_ms: i32) -> Duration {
        Duration::from_millis(u64::try_from(self.range(low_ms, high_ms)).unwrap_or(0))
    }

    /// One of `things`, which must not be empty.
    pub(crate) fn pick<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        let count = u64::try_from(things.len()).unwrap_or(u64::MAX);
        &things[usize::try_from(self.next() % count).unwrap_or(0)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_streams_differ() {
        let numbers = |seed, stream| {
            let mut random = Random::new(seed, stream);
            (0..8).map(|_| random.next()).collect::<Vec<_>>()
        };
        assert_eq!(numbers(1, 2), numbers(1, 2));
        assert_ne!(numbers(1, 2), numbers(1, 3));
        assert_ne!(numbers(1, 2), numbers(2, 2));
    }

    #[test]
    fn ranges_hold_their_bounds() {
        let mut random = Random::new(7, 0);
        let drawn: Vec<i32> = (0..500).map(|_| random.range(-2, 2)).collect();
        assert!(drawn.iter().all(|number| (-2..=2).contains(number)));
        assert!((-2..=2).all(|number| drawn.contains(&number)));
        assert_eq!(random.range(5, 3), 5);
        assert_eq!(random.range(i32::MIN, i32::MIN), i32::MIN);
    }
}
