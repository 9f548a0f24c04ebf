//! The windows of a display as the display's events tell of them: where each is, and which is above which.

use super::{
    judge::{Verdict, Verdicts},
    region::{Area, Cover, Region},
};
use playhead_model::Mask;
use std::collections::HashMap;
use x11rb::protocol::{
    Event,
    xproto::{ConfigureNotifyEvent, Place as Circulate},
};

/// Windows lie no deeper than this, or nothing is known of them.
const DEEPEST: usize = 256;

/// Outer upper left corner relative to the parent, inner size, and border.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) width: i32,
    pub(super) height: i32,
    pub(super) border: i32,
}

impl Shape {
    fn outer(self) -> Area {
        Area::new(self.x, self.y, self.width + 2 * self.border, self.height + 2 * self.border)
    }
}

/// Where nothing is seen through a window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Body {
    /// Nobody knows.
    #[default]
    Unknown,
    /// Nowhere: the window itself is not seen.
    Nothing,
    /// In all of it.
    Full,
    /// Here, in its own coordinates.
    Parts(Vec<Area>),
}

/// One window.
#[derive(Debug, Clone, Default)]
pub(super) struct Window {
    pub(super) parent: u32,
    /// From the lowest to the topmost.
    pub(super) children: Vec<u32>,
    pub(super) shape: Shape,
    pub(super) mapped: bool,
    /// What hides something: nothing of it is known at first.
    pub(super) body: Body,
    /// Until a moment ago it may have had another.
    pub(super) is_new: bool,
}

/// A window's place on the display.
struct Placed {
    /// The part that its ancestors do not cut off.
    area: Area,
    /// Its ancestor below the root, or itself.
    top: u32,
}

/// All windows.
#[derive(Debug)]
pub(super) struct Tree {
    root: u32,
    windows: HashMap<u32, Window>,
    /// Something does not fit together: nothing of it can be trusted.
    doubtful: bool,
}

impl Tree {
    /// Nothing but a root window.
    pub(super) fn new(root: u32, width: u16, height: u16) -> Self {
        let shape = Shape { width: width.into(), height: height.into(), ..Shape::default() };
        let window = Window { shape, mapped: true, ..Window::default() };
        Self { root, windows: HashMap::from([(root, window)]), doubtful: false }
    }

    pub(super) fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    pub(super) fn get(&self, id: u32) -> Option<&Window> {
        self.windows.get(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.windows.len()
    }

    /// Puts a window in, on top of its siblings.
    pub(super) fn insert(&mut self, id: u32, window: Window) {
        if self.windows.contains_key(&id) {
            return;
        }
        let parent = window.parent;
        match self.windows.get_mut(&parent) {
            Some(parent) => parent.children.push(id),
            None => {
                self.doubtful = true;
                return;
            }
        }
        self.windows.insert(id, window);
    }

    pub(super) fn set_body(&mut self, id: u32, body: Body) {
        if let Some(window) = self.windows.get_mut(&id) {
            (window.body, window.is_new) = (body, true);
        }
    }

    /// The root has another size.
    pub(super) fn resize(&mut self, width: u16, height: u16) {
        if let Some(root) = self.windows.get_mut(&self.root) {
            (root.shape.width, root.shape.height) = (width.into(), height.into());
        }
    }

    pub(super) fn set_old(&mut self, id: u32) {
        if let Some(window) = self.windows.get_mut(&id) {
            window.is_new = false;
        }
    }

    /// Takes over what an event says of a window. Returns the windows that are gone.
    pub(super) fn apply(&mut self, event: &Event) -> Vec<u32> {
        match event {
            Event::CreateNotify(e) => {
                let shape = Shape {
                    x: e.x.into(),
                    y: e.y.into(),
                    width: e.width.into(),
                    height: e.height.into(),
                    border: e.border_width.into(),
                };
                self.insert(e.window, Window { parent: e.parent, shape, ..Window::default() });
            }
            Event::DestroyNotify(e) => return self.remove(e.window),
            Event::MapNotify(e) => self.change(e.window, |window| window.mapped = true),
            Event::UnmapNotify(e) => self.change(e.window, |window| window.mapped = false),
            Event::ConfigureNotify(e) => self.configure(e),
            Event::GravityNotify(e) => self.change(e.window, |window| {
                (window.shape.x, window.shape.y) = (e.x.into(), e.y.into());
            }),
            Event::ReparentNotify(e) => {
                self.unlink(e.window);
                match self.windows.get_mut(&e.parent) {
                    Some(parent) => parent.children.push(e.window),
                    None => self.doubtful = true,
                }
                self.change(e.window, |window| {
                    window.parent = e.parent;
                    (window.shape.x, window.shape.y) = (e.x.into(), e.y.into());
                });
            }
            Event::CirculateNotify(e) => self.restack(e.window, |siblings, id| {
                let to = if e.place == Circulate::ON_TOP { siblings.len() } else { 0 };
                siblings.insert(to, id);
                true
            }),
            _ => {}
        }
        Vec::new()
    }

    fn configure(&mut self, e: &ConfigureNotifyEvent) {
        self.change(e.window, |window| {
            window.shape = Shape {
                x: e.x.into(),
                y: e.y.into(),
                width: e.width.into(),
                height: e.height.into(),
                border: e.border_width.into(),
            };
        });
        if e.window == self.root {
            return;
        }
        self.restack(e.window, |siblings, id| {
            let below = siblings.iter().position(|sibling| *sibling == e.above_sibling);
            let is_lowest = e.above_sibling == x11rb::NONE;
            siblings.insert(below.map_or(0, |below| below + 1), id);
            is_lowest || below.is_some()
        });
    }

    fn change(&mut self, id: u32, change: impl FnOnce(&mut Window)) {
        match self.windows.get_mut(&id) {
            Some(window) => change(window),
            None => self.doubtful = true,
        }
    }

    fn remove(&mut self, id: u32) -> Vec<u32> {
        self.unlink(id);
        let (mut left, mut gone) = (vec![id], Vec::new());
        while let Some(id) = left.pop() {
            if let Some(window) = self.windows.remove(&id) {
                gone.push(id);
                left.extend(window.children);
            }
        }
        gone
    }

    fn unlink(&mut self, id: u32) {
        let parent = self.windows.get(&id).map_or(x11rb::NONE, |window| window.parent);
        if let Some(parent) = self.windows.get_mut(&parent) {
            parent.children.retain(|child| *child != id);
        }
    }

    /// Gives a window another place among its siblings; `put` says whether it knew where.
    fn restack(&mut self, id: u32, put: impl FnOnce(&mut Vec<u32>, u32) -> bool) {
        let parent = self.windows.get(&id).map_or(x11rb::NONE, |window| window.parent);
        let Some(parent) = self.windows.get_mut(&parent) else {
            self.doubtful = true;
            return;
        };
        parent.children.retain(|child| *child != id);
        self.doubtful |= !put(&mut parent.children, id);
    }

    /// Where a window is seen; `None` when it is not, at least nothing of it.
    fn placed(&self, id: u32) -> Option<Placed> {
        let mut window = self.windows.get(&id).filter(|window| window.mapped)?;
        let (mut area, mut top) = (window.shape.outer(), id);
        for _ in 0..DEEPEST {
            if window.parent == self.root {
                return (!area.is_empty()).then_some(Placed { area, top });
            }
            top = window.parent;
            window = self.windows.get(&top).filter(|window| window.mapped)?;
            let Shape { x, y, width, height, border } = window.shape;
            area = area.both(Area::new(0, 0, width, height)).moved(x + border, y + border);
        }
        Some(Placed { area: Area::new(0, 0, i32::MAX, i32::MAX), top })
    }

    /// The whole of a window that is mapped, be it cut off or not.
    pub(super) fn outer(&self, id: u32) -> Option<Area> {
        let mut window = self.windows.get(&id).filter(|window| window.mapped)?;
        let mut area = window.shape.outer();
        for _ in 0..DEEPEST {
            if window.parent == self.root {
                return Some(area);
            }
            window = self.windows.get(&window.parent)?;
            area = area.moved(window.shape.x + window.shape.border, window.shape.y + window.shape.border);
        }
        None
    }

    /// What a window of the root hides, if it is seen itself.
    fn hidden_by(&self, top: u32, trusted: bool, mut hide: impl FnMut(Area)) {
        let Some(window) = self.windows.get(&top).filter(|window| window.mapped) else { return };
        if !trusted && window.is_new {
            return;
        }
        let outer = window.shape.outer();
        let Shape { x, y, border, .. } = window.shape;
        match &window.body {
            Body::Full => hide(outer),
            Body::Parts(parts) => {
                parts.iter().for_each(|part| hide(part.moved(x + border, y + border).both(outer)));
            }
            Body::Nothing | Body::Unknown => {}
        }
    }

    /// What can be seen of a window and what is in it.
    pub(super) fn unhidden(&self, id: u32) -> Region {
        let mut region = Region::default();
        let (Some(Placed { area, top }), Some(root)) = (self.placed(id), self.windows.get(&self.root)) else {
            return region;
        };
        region.add(area.both(root.shape.outer()));
        for above in root.children.iter().rev().take_while(|other| **other != top) {
            self.hidden_by(*above, true, |area| region.remove(area));
        }
        region
    }

    /// The area of a window that can be seen if nothing is above it.
    pub(super) fn area(&self, id: u32) -> Option<Area> {
        self.placed(id).map(|placed| placed.area)
    }

    /// The window itself, or the window manager's frame around it. Without knowing the window manager: the outermost.
    fn framed(&self, id: u32, is_frame: impl Fn(u32) -> bool) -> u32 {
        let mut at = id;
        for _ in 0..DEEPEST {
            let Some(window) = self.windows.get(&at) else { break };
            if window.parent == self.root || !is_frame(window.parent) {
                break;
            }
            at = window.parent;
        }
        at
    }

    /// What of the windows with a verdict can be seen, and, as bits, by which masks. New windows hide nothing if they are not `trusted`.
    pub(super) fn visible(&self, verdicts: &Verdicts, masks: &[Mask], trusted: bool) -> (Cover, u64) {
        let mut tops: HashMap<u32, Vec<(Area, Verdict, bool)>> = HashMap::new();
        let mut applied = 0;
        for (&id, &verdict) in verdicts.iter() {
            if self.windows.get(&id).is_none_or(|window| window.body == Body::Nothing) {
                continue;
            }
            let covered = self.framed(id, |parent| verdicts.is_frame(parent));
            if let (Some(_), Some(placed)) = (self.placed(id), self.placed(covered)) {
                let is_top = placed.top == covered;
                tops.entry(placed.top).or_default().push((placed.area, verdict, is_top));
                applied |= u64::from(verdict.certain) << verdict.mask;
            }
        }
        let mut cover = Cover::default();
        if tops.is_empty() {
            return (cover, applied);
        }
        let Some(root) = self.windows.get(&self.root) else { return (cover, applied) };
        for top in &root.children {
            let pieces = tops.remove(top).unwrap_or_default();
            if !pieces.iter().any(|(_, _, whole)| *whole) {
                self.hidden_by(*top, trusted, |area| cover.remove(area));
            }
            for (area, verdict, _) in pieces {
                cover.add(masks.get(verdict.mask).map(|mask| mask.colour).unwrap_or_default(), area);
            }
        }
        (cover, applied)
    }
}
