//! What covered windows left behind.
//!
//! Where a window goes away, the display shows what is below it. A window below that has no background of its own keeps the
//! pixels of the window that was above until its program draws, and a program that hangs does not draw. So the place stays
//! covered until something was drawn there. It was drawn *after* the window had gone, for the display tells of drawings and of
//! windows in one order. A program may move what it has (scroll) before it draws what is missing: whatever is drawn touching such
//! a place within [`SETTLE`] after the first drawing stays covered as well. On a host that is short of processors programs take longer
//! between the two: how long is told by how long looking at the display takes.

use super::region::{Area, Cover, Region};
use std::time::{Duration, Instant};

/// A program that has begun to draw a place anew is done within this time.
const SETTLE: Duration = Duration::from_millis(300);
/// How many times as long as one look at the display took a program may take, and the longest that is waited for it.
const LATE: u32 = 8;
const LATEST: Duration = Duration::from_secs(10);
/// Drawings within this time count as one.
const TOGETHER: Duration = Duration::from_millis(40);

/// A place that is being drawn anew.
#[derive(Debug)]
struct Drying {
    since: Instant,
    cover: Cover,
}

/// All such places.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// Nothing was drawn there since.
    bare: Cover,
    drying: Vec<Drying>,
    /// How long programs may take on a host as slow as this one was lately.
    slow: Duration,
}

impl Trail {
    /// A covered window is not seen here any more.
    pub(super) fn left(&mut self, gone: &Cover) {
        self.bare.add_all(gone);
    }

    /// Something was drawn.
    pub(super) fn drawn(&mut self, area: Area, now: Instant) {
        if self.bare.is_empty() && self.drying.is_empty() {
            return;
        }
        for drying in &mut self.drying {
            let touched: Vec<_> =
                drying.cover.areas().filter(|(_, own)| !own.both(area).is_empty()).collect();
            if let Some((colour, _)) = touched.first() {
                drying.cover.add(*colour, area);
            }
        }
        let colour = self.bare.within(area).areas().next().map(|(colour, _)| colour);
        if let Some(colour) = colour {
            self.bare.remove(area);
            match self.drying.last_mut() {
                Some(newest) if now.saturating_duration_since(newest.since) < TOGETHER => {
                    newest.cover.add(colour, area);
                }
                _ => {
                    let mut cover = Cover::default();
                    cover.add(colour, area);
                    self.drying.push(Drying { since: now, cover });
                }
            }
        }
    }

    /// A window that shows such a place was moved, and takes along what it shows as far as it is `seen` now.
    pub(super) fn carried(&mut self, from: Area, (dx, dy): (i32, i32), seen: &Region) {
        let mut along = self.bare.within(from);
        for drying in &self.drying {
            along.add_all(&drying.cover.within(from));
        }
        let along = along.moved(dx, dy);
        for area in seen.areas() {
            self.bare.add_all(&along.within(*area));
        }
    }

    pub(super) fn touches(&self, area: Area) -> bool {
        self.bare.touches(area) || self.drying.iter().any(|drying| drying.cover.touches(area))
    }

    /// Looking at the display took so long. One slow look counts for some pictures.
    pub(super) fn looked(&mut self, took: Duration) {
        self.slow = (self.slow - self.slow / 8).max(took * LATE).min(LATEST);
    }

    fn settle(&self) -> Duration {
        SETTLE.max(self.slow)
    }

    /// Lets go of what has been drawn for long enough.
    pub(super) fn expire(&mut self, now: Instant) {
        let settle = self.settle();
        self.drying.retain(|drying| now.saturating_duration_since(drying.since) < settle);
    }

    /// When the next place can be let go of.
    pub(super) fn next(&self) -> Option<Instant> {
        self.drying.iter().map(|drying| drying.since + self.settle()).min()
    }

    pub(super) fn add_to(&self, cover: &mut Cover) {
        cover.add_all(&self.bare);
        self.drying.iter().for_each(|drying| cover.add_all(&drying.cover));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use playhead_model::MaskColour::Grey;

    fn covers(trail: &Trail, x: i32, y: i32) -> bool {
        trail.touches(Area::new(x, y, 1, 1))
    }

    #[test]
    fn a_place_stays_covered_until_it_was_drawn_and_some_time_is_over() {
        let mut trail = Trail::default();
        let start = Instant::now();
        let mut gone = Cover::default();
        gone.add(Grey, Area::new(0, 0, 100, 100));
        trail.drawn(Area::new(0, 0, 500, 500), start);
        trail.left(&gone);
        trail.expire(start + SETTLE * 100);
        assert!(covers(&trail, 50, 50), "what was drawn before does not count");
        trail.drawn(Area::new(0, 0, 100, 40), start);
        trail.drawn(Area::new(0, 30, 150, 20), start + SETTLE / 2);
        assert!(covers(&trail, 120, 40), "it may have been moved there");
        trail.expire(start + SETTLE);
        assert!(!covers(&trail, 50, 10));
        assert!(covers(&trail, 50, 45) && covers(&trail, 50, 90));
        trail.expire(start + SETTLE * 2);
        assert!(!covers(&trail, 50, 45));
        assert!(covers(&trail, 50, 90), "nobody drew there");
        assert_eq!(trail.next(), None);
    }

    #[test]
    fn on_a_slow_host_a_place_stays_covered_for_longer() {
        let (mut trail, start) = (Trail::default(), Instant::now());
        let mut gone = Cover::default();
        gone.add(Grey, Area::new(0, 0, 100, 100));
        trail.left(&gone);
        trail.drawn(Area::new(0, 0, 100, 100), start);
        trail.looked(Duration::from_millis(200));
        trail.expire(start + SETTLE);
        assert!(covers(&trail, 50, 50));
        assert_eq!(trail.next(), Some(start + Duration::from_millis(1_600)));
        for _ in 0..40 {
            trail.looked(Duration::from_millis(1));
        }
        trail.expire(start + SETTLE);
        assert!(!covers(&trail, 50, 50), "it is quick again");
    }

    #[test]
    fn a_moved_window_takes_it_along() {
        let mut trail = Trail::default();
        let mut gone = Cover::default();
        gone.add(Grey, Area::new(10, 10, 10, 10));
        trail.left(&gone);
        let mut seen = Region::default();
        seen.add(Area::new(200, 0, 100, 17));
        trail.carried(Area::new(0, 0, 15, 100), (200, 0), &seen);
        assert!(covers(&trail, 210, 15) && covers(&trail, 12, 15));
        assert!(!covers(&trail, 216, 15) && !covers(&trail, 210, 18));
    }
}
