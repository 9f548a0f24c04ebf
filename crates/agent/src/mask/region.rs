//! Sets of pixels as rectangles that do not overlap.

use playhead_model::MaskColour;
use playhead_screen::Rect;

/// A region of more rectangles than this becomes the one around them: covering more is always allowed.
const MOST: usize = 1_024;
/// A region of more rectangles than this is put together anew of fewer.
const MANY: usize = 48;

/// A rectangle of the root window; sides may lie outside of it. Right and bottom do not belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Area {
    pub(crate) left: i32,
    pub(crate) top: i32,
    pub(crate) right: i32,
    pub(crate) bottom: i32,
}

impl Area {
    pub(crate) fn new(left: i32, top: i32, width: i32, height: i32) -> Self {
        Self { left, top, right: left.saturating_add(width), bottom: top.saturating_add(height) }
    }

    pub(crate) fn is_empty(self) -> bool {
        self.left >= self.right || self.top >= self.bottom
    }

    pub(crate) fn both(self, other: Self) -> Self {
        Self {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        }
    }

    fn touches(self, other: Self) -> bool {
        !self.both(other).is_empty()
    }

    fn holds(self, other: Self) -> bool {
        self.left <= other.left
            && self.top <= other.top
            && self.right >= other.right
            && self.bottom >= other.bottom
    }

    pub(crate) fn moved(self, dx: i32, dy: i32) -> Self {
        Self {
            left: self.left.saturating_add(dx),
            top: self.top.saturating_add(dy),
            right: self.right.saturating_add(dx),
            bottom: self.bottom.saturating_add(dy),
        }
    }

    /// The part of it within a picture; `None` when there is none.
    pub(crate) fn within(self, width: u32, height: u32) -> Option<Rect> {
        let side = |length: u32| i32::try_from(length).unwrap_or(i32::MAX);
        let part = self.both(Self { left: 0, top: 0, right: side(width), bottom: side(height) });
        if part.is_empty() {
            return None;
        }
        Some(Rect {
            x: part.left.unsigned_abs(),
            y: part.top.unsigned_abs(),
            width: part.left.abs_diff(part.right),
            height: part.top.abs_diff(part.bottom),
        })
    }
}

impl From<Rect> for Area {
    fn from(rect: Rect) -> Self {
        let short = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        Self::new(short(rect.x), short(rect.y), short(rect.width), short(rect.height))
    }
}

/// A set of pixels.
#[derive(Debug, Clone, Default)]
pub(crate) struct Region {
    areas: Vec<Area>,
    /// From so many rectangles on it is worth looking for fewer.
    many: usize,
}

impl PartialEq for Region {
    /// The same rectangles; the same pixels may consist of others.
    fn eq(&self, other: &Self) -> bool {
        self.areas == other.areas
    }
}

impl Region {
    pub(crate) fn areas(&self) -> &[Area] {
        &self.areas
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.areas.is_empty()
    }

    pub(crate) fn touches(&self, area: Area) -> bool {
        self.areas.iter().any(|own| own.touches(area))
    }

    pub(crate) fn add(&mut self, area: Area) {
        if area.is_empty() || self.areas.iter().any(|own| own.holds(area)) {
            return;
        }
        self.areas.retain(|own| !area.holds(*own));
        let mut parts = vec![area];
        for own in self.areas.iter().filter(|own| own.touches(area)) {
            parts = parts.into_iter().flat_map(|part| without(part, *own)).collect();
        }
        self.areas.extend(parts);
        if self.areas.len() > self.many.max(MANY) {
            self.join();
            self.many = self.areas.len() * 2;
        }
        if self.areas.len() > MOST {
            let around = self.areas.iter().copied().reduce(|a, b| Area {
                left: a.left.min(b.left),
                top: a.top.min(b.top),
                right: a.right.max(b.right),
                bottom: a.bottom.max(b.bottom),
            });
            self.areas = around.into_iter().collect();
        }
    }

    /// Makes the same of fewer rectangles: bands from edge to edge, and one of those bands that are alike.
    fn join(&mut self) {
        let mut edges: Vec<i32> = self.areas.iter().flat_map(|area| [area.top, area.bottom]).collect();
        edges.sort_unstable();
        edges.dedup();
        self.areas.sort_unstable_by_key(|area| area.left);
        let mut joined: Vec<Area> = Vec::new();
        let mut before = 0..0;
        for (top, bottom) in edges.iter().copied().zip(edges.iter().copied().skip(1)) {
            let first = joined.len();
            for area in self.areas.iter().filter(|area| area.top <= top && area.bottom >= bottom) {
                match joined.get_mut(first..).and_then(<[Area]>::last_mut) {
                    Some(last) if last.right == area.left => last.right = area.right,
                    _ => joined.push(Area { top, bottom, ..*area }),
                }
            }
            let is_same = |(above, below): (&Area, &Area)| {
                (above.left, above.right, above.bottom) == (below.left, below.right, below.top)
            };
            let band = first..joined.len();
            if before.len() == band.len()
                && joined[before.clone()].iter().zip(&joined[band.clone()]).all(is_same)
            {
                joined.truncate(first);
                joined[before.clone()].iter_mut().for_each(|area| area.bottom = bottom);
            } else {
                before = band;
            }
        }
        self.areas = joined;
    }

    pub(crate) fn add_all(&mut self, other: &Self) {
        other.areas.iter().for_each(|area| self.add(*area));
    }

    pub(crate) fn remove(&mut self, area: Area) {
        if self.touches(area) {
            self.areas = self.areas.iter().flat_map(|own| without(*own, area)).collect();
        }
    }

    pub(crate) fn remove_all(&mut self, other: &Self) {
        other.areas.iter().for_each(|area| self.remove(*area));
    }

    /// What both have.
    pub(crate) fn within(&self, area: Area) -> Self {
        let both = self.areas.iter().map(|own| own.both(area)).filter(|both| !both.is_empty());
        Self { areas: both.collect(), many: 0 }
    }

    pub(crate) fn moved(&self, dx: i32, dy: i32) -> Self {
        Self { areas: self.areas.iter().map(|area| area.moved(dx, dy)).collect(), many: 0 }
    }
}

/// What is left of an area without another: up to four parts.
fn without(area: Area, hole: Area) -> impl Iterator<Item = Area> {
    let both = area.both(hole);
    let parts = if both.is_empty() {
        [Some(area), None, None, None]
    } else {
        [
            Some(Area { bottom: both.top, ..area }),
            Some(Area { top: both.bottom, ..area }),
            Some(Area { top: both.top, bottom: both.bottom, right: both.left, ..area }),
            Some(Area { top: both.top, bottom: both.bottom, left: both.right, ..area }),
        ]
    };
    parts.into_iter().flatten().filter(|part| !part.is_empty())
}

const COLOURS: [MaskColour; 3] = [MaskColour::Black, MaskColour::Grey, MaskColour::White];

/// What is covered, and by which colour. Where colours overlap, any of them will do.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Cover([Region; COLOURS.len()]);

impl Cover {
    pub(crate) fn add(&mut self, colour: MaskColour, area: Area) {
        self.0[place(colour)].add(area);
    }

    pub(crate) fn add_all(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(own, other)| own.add_all(other));
    }

    pub(crate) fn remove(&mut self, area: Area) {
        self.0.iter_mut().for_each(|own| own.remove(area));
    }

    /// Takes away what the other has, in whatever colour.
    pub(crate) fn remove_all(&mut self, other: &Self) {
        for own in &mut self.0 {
            other.0.iter().for_each(|region| own.remove_all(region));
        }
    }

    pub(crate) fn touches(&self, area: Area) -> bool {
        self.0.iter().any(|own| own.touches(area))
    }

    pub(crate) fn within(&self, area: Area) -> Self {
        Self(std::array::from_fn(|at| self.0[at].within(area)))
    }

    pub(crate) fn moved(&self, dx: i32, dy: i32) -> Self {
        Self(std::array::from_fn(|at| self.0[at].moved(dx, dy)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(Region::is_empty)
    }

    /// All of it, with the colours.
    pub(crate) fn areas(&self) -> impl Iterator<Item = (MaskColour, Area)> {
        COLOURS
            .iter()
            .flat_map(|&colour| self.0[place(colour)].areas().iter().map(move |area| (colour, *area)))
    }
}

const fn place(colour: MaskColour) -> usize {
    match colour {
        MaskColour::Black => 0,
        MaskColour::Grey => 1,
        MaskColour::White => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIDE: i32 = 24;

    fn area() -> impl Strategy<Value = Area> {
        (0..SIDE, 0..SIDE, 0..SIDE, 0..SIDE).prop_map(|(x, y, w, h)| Area::new(x, y, w, h))
    }

    fn has(region: &Region, x: i32, y: i32) -> bool {
        region.touches(Area::new(x, y, 1, 1))
    }

    proptest! {
        #[test]
        fn regions_are_sets_of_pixels(steps in proptest::collection::vec((any::<bool>(), area()), 1..30), window in area()) {
            let mut region = Region::default();
            let mut pixels = std::collections::HashSet::new();
            for (adds, area) in steps {
                let inside = (area.left..area.right).flat_map(|x| (area.top..area.bottom).map(move |y| (x, y)));
                if adds {
                    region.add(area);
                    pixels.extend(inside);
                } else {
                    region.remove(area);
                    inside.for_each(|pixel| _ = pixels.remove(&pixel));
                }
            }
            let mut other = region.clone();
            other.join();
            prop_assert!(other.areas().iter().all(|area| !area.is_empty()));
            let part = region.within(window).moved(3, 5);
            for (x, y) in (0..2 * SIDE).flat_map(|x| (0..2 * SIDE).map(move |y| (x, y))) {
                prop_assert_eq!(has(&region, x, y), pixels.contains(&(x, y)));
                prop_assert_eq!(has(&other, x, y), pixels.contains(&(x, y)));
                let inside = x >= window.left && x < window.right && y >= window.top && y < window.bottom;
                prop_assert_eq!(has(&part, x + 3, y + 5), inside && pixels.contains(&(x, y)));
            }
            for (at, one) in region.areas().iter().enumerate() {
                prop_assert!(region.areas()[..at].iter().all(|other| !one.touches(*other)));
            }
        }
    }

    #[test]
    fn a_region_of_too_many_parts_covers_more_not_less() {
        let mut region = Region::default();
        for at in 0..1_500 {
            region.add(Area::new(at * 3, at * 2, 2, 1));
        }
        assert!(region.areas().len() <= MOST);
        (0..1_500).for_each(|at| assert!(has(&region, at * 3 + 1, at * 2)));
    }

    #[test]
    fn what_lies_outside_of_the_picture_is_cut_off() {
        let rect = Area::new(-10, 5, 30, 1_000).within(100, 50).unwrap();
        assert_eq!(rect, Rect { x: 0, y: 5, width: 20, height: 45 });
        assert_eq!(Area::new(100, 0, 5, 5).within(100, 50), None);
        assert!(Area::new(i32::MAX, 0, 5, 5).is_empty());
    }
}
