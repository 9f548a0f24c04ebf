//! What a recording has besides pictures that are exact.

use crate::AppliedMask;

/// What was met in a recording so far. Nothing of it is ever unmet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    /// Sound.
    pub sound: bool,
    /// Parts of pictures as video, which are not exact.
    pub video: bool,
    /// Masks that have covered windows, at most [`crate::Mask::MOST`].
    pub masks: Vec<AppliedMask>,
}

impl Contents {
    /// Adds what else was met.
    pub fn join(&mut self, other: Self) {
        self.sound |= other.sound;
        self.video |= other.video;
        other.masks.into_iter().for_each(|mask| mask.join(&mut self.masks));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mask;

    #[test]
    fn what_was_met_stays() {
        let mask = |text: &str, at| text.parse::<Mask>().unwrap().applied(at);
        let mut all = Contents { sound: true, ..Contents::default() };
        all.join(Contents { video: true, masks: vec![mask("class=a", 7)], ..Contents::default() });
        all.join(Contents { masks: vec![mask("class=b", 9), mask("class=a", 5)], ..Contents::default() });
        let masks = vec![mask("class=a", 5), mask("class=b", 9)];
        assert_eq!(all, Contents { sound: true, video: true, masks });
    }
}
