//! Covers the windows of chosen applications before anything is made of the pictures.
//!
//! **Why nothing of them gets through.** The pixels are read at some time between two moments, `a` and `b`: `a` is when the last event
//! was seen before asking for them, `b` when the display answered. The display sends events and answers in the order in which things
//! happen, so after the answer every change of any window until `b` has been received. All of them are gone through one after the
//! other ([`tree`]), and what is covered is every place that any masked window had at any time from `a` to `b`, besides what they may
//! have left behind ([`trail`]). So it does not matter what moves while pixels are read, and nothing has to be held still meanwhile.
//!
//! **Whose a window is** is asked when its creation is seen, before the picture is finished; what cannot be told is covered
//! ([`judge`]). For asking, the display is held still for a moment (a grab of some hundred microseconds, only when there are new
//! windows or windows say something new), so that what is known of the windows afterwards is what there is.
//!
//! Where a compositing manager draws the desktop, windows may be shown anywhere, at any time: while a masked window is shown, and some
//! time after, everything is covered. What cannot be recognised: pictures of a masked window that another program shows as its own.

mod ask;
mod judge;
mod region;
mod trail;
mod tree;

pub(crate) use region::{Area, Cover};

use crate::capture::Connection;
use ask::{Asked, Atoms};
use judge::{Judge, Process, Verdict, Verdicts};
use playhead_model::Mask;
use playhead_screen::Rect;
use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};
use trail::Trail;
use tree::{Body, Tree, Window};
use x11rb::{
    connection::Connection as _,
    errors::ReplyOrIdError,
    protocol::{
        Event,
        damage::{self, ConnectionExt as _},
        xproto::ConnectionExt as _,
    },
};

/// More windows than this are not followed any more: everything is covered then.
const MOST_WINDOWS: usize = 20_000;
/// Windows that could not be followed are asked about again after this.
const RETRY: Duration = Duration::from_secs(5);
/// A compositing manager may show a window for this long after it is gone.
const LINGER: Duration = Duration::from_secs(2);

/// Follows the windows of one display.
pub(crate) struct Masks {
    root: u32,
    size: (u16, u16),
    atoms: Atoms,
    /// Tells of every drawing, in order with what happens to windows.
    drawings: damage::Damage,
    judge: Judge,
    /// Finds out about the process that made a window.
    process_of: fn(&Connection, u32) -> Result<Process, ReplyOrIdError>,
    verdicts: Verdicts,
    tree: Tree,
    trail: Trail,
    /// Events not gone through yet.
    waiting: VecDeque<Event>,
    /// Windows to ask about.
    unasked: BTreeSet<u32>,
    /// What is known of windows since they were asked about just now.
    bodies: HashMap<u32, Body>,
    /// What of masked windows can be seen now.
    visible: Cover,
    /// What could be seen at any time since the pixels were asked for.
    seen: Cover,
    /// What the picture shows covered: pixels there are not the display's.
    shown: Cover,
    /// Everything has to be covered in this picture.
    everything: bool,
    composited: bool,
    lingers_until: Option<Instant>,
    /// When something that could not be told counts as told.
    judged_until: Option<Instant>,
    /// Bits of the masks that have covered anything.
    applied: u64,
    /// Nothing is known: ask about all windows.
    blank: bool,
    /// The windows could not be followed: they are asked about again after this.
    gave_up: Option<Instant>,
    /// When the picture that is being made was begun.
    begun: Option<Instant>,
}

impl Masks {
    /// Begins to follow the windows of a display.
    ///
    /// # Errors
    /// The display is gone, or lacks what is needed.
    pub(crate) fn new(
        connection: &Connection,
        screen: usize,
        root: u32,
        masks: &[Mask],
    ) -> Result<Self, ReplyOrIdError> {
        let atoms = Atoms::new(connection, screen)?;
        ask::watch(connection, root, &atoms)?;
        let drawings = connection.generate_id()?;
        connection.damage_create(drawings, root, damage::ReportLevel::RAW_RECTANGLES)?.check()?;
        let id_mask = connection.setup().resource_id_mask;
        Ok(Self {
            root,
            size: (0, 0),
            atoms,
            drawings,
            judge: Judge::new(masks.to_vec(), id_mask),
            process_of: ask::process,
            verdicts: Verdicts::default(),
            tree: Tree::new(root, 0, 0),
            trail: Trail::default(),
            waiting: VecDeque::new(),
            unasked: BTreeSet::new(),
            bodies: HashMap::new(),
            visible: Cover::default(),
            seen: Cover::default(),
            shown: Cover::default(),
            everything: false,
            composited: false,
            lingers_until: None,
            judged_until: None,
            applied: 0,
            blank: true,
            gave_up: None,
            begun: None,
        })
    }

    /// Takes an event if it is about windows. Returns `None` if it was not, and otherwise whether the picture may be another now.
    pub(crate) fn take(&mut self, event: &Event) -> Option<bool> {
        let matters = match event {
            Event::DamageNotify(e) if e.damage == self.drawings => false,
            // That is for others.
            Event::ConfigureNotify(e) if e.window == self.root => return None,
            Event::PropertyNotify(e) if !self.atoms.matter(e.atom) => return Some(false),
            Event::CreateNotify(_)
            | Event::DestroyNotify(_)
            | Event::MapNotify(_)
            | Event::UnmapNotify(_)
            | Event::ConfigureNotify(_)
            | Event::GravityNotify(_)
            | Event::ReparentNotify(_)
            | Event::CirculateNotify(_)
            | Event::ShapeNotify(_)
            | Event::PropertyNotify(_)
            | Event::XfixesSelectionNotify(_) => true,
            _ => return None,
        };
        self.waiting.push_back(event.clone());
        Some(matters)
    }

    /// When the picture may change although nothing happens.
    pub(crate) fn next(&self) -> Option<Instant> {
        let again = self.gave_up.map(|since| since + RETRY);
        [self.trail.next(), self.judged_until, self.lingers_until, again].into_iter().flatten().min()
    }

    /// Before pixels are asked for: goes through what has happened. Returns what has to be read because it is not covered any more.
    ///
    /// # Errors
    /// The display is gone.
    pub(crate) fn begin(
        &mut self,
        connection: &Connection,
        size: (u16, u16),
        other: &mut dyn FnMut(&Event),
        now: Instant,
    ) -> Result<Vec<Area>, ReplyOrIdError> {
        self.size = size;
        self.tree.resize(size.0, size.1);
        self.everything = false;
        self.begun = Some(now);
        self.go_through(connection, other, now)?;
        // Only now: what was drawn within the time may have been heard of just now.
        self.trail.expire(now);
        if self.judged_until.is_some_and(|until| until <= now) {
            self.judge(now);
        }
        self.seen = self.visible.clone();
        let mut open = self.shown.clone();
        open.remove_all(&self.cover(now));
        Ok(open.areas().map(|(_, area)| area).collect())
    }

    /// After pixels of `read` were read: what the picture has to show covered, and whether more of it could be read now.
    ///
    /// # Errors
    /// The display is gone.
    pub(crate) fn end(
        &mut self,
        connection: &Connection,
        read: &[Rect],
        other: &mut dyn FnMut(&Event),
        now: Instant,
    ) -> Result<Covered, ReplyOrIdError> {
        self.go_through(connection, other, now)?;
        if let Some(begun) = self.begun.take() {
            self.trail.looked(now.saturating_duration_since(begun));
        }
        let cover = self.cover(now);
        let mut left = std::mem::take(&mut self.shown);
        let before = left.clone();
        read.iter().for_each(|rect| left.remove(Area::from(*rect)));
        left.remove_all(&cover);
        let is_more = !left.is_empty() || self.everything && self.gave_up.is_none();
        self.shown = cover;
        self.shown.add_all(&left);
        Ok(Covered { is_new: self.shown != before, is_more })
    }

    /// What the picture shows covered.
    pub(crate) fn shown(&self) -> &Cover {
        &self.shown
    }

    /// The masks that have covered something so far.
    pub(crate) fn applied(&self) -> impl Iterator<Item = &Mask> {
        let has = |at: &usize| self.applied >> at & 1 != 0;
        self.judge.masks().iter().enumerate().filter(move |(at, _)| has(at)).map(|(_, mask)| mask)
    }

    fn whole(&self) -> Area {
        Area::new(0, 0, self.size.0.into(), self.size.1.into())
    }

    fn cover(&mut self, now: Instant) -> Cover {
        let mut cover = self.seen.clone();
        self.trail.add_to(&mut cover);
        if self.composited && !cover.is_empty() {
            self.lingers_until = Some(now + LINGER);
        }
        self.lingers_until = self.lingers_until.filter(|until| *until > now);
        if self.everything || self.lingers_until.is_some() {
            let colour = self.judge.masks().first().map(|mask| mask.colour).unwrap_or_default();
            cover = Cover::default();
            cover.add(colour, self.whole());
        }
        cover
    }

    /// Receives what has happened, asks about new windows, and goes through all of it.
    fn go_through(
        &mut self,
        connection: &Connection,
        other: &mut dyn FnMut(&Event),
        now: Instant,
    ) -> Result<(), ReplyOrIdError> {
        self.receive(connection, other)?;
        if self.gave_up.is_some_and(|since| now < since + RETRY) {
            self.waiting.clear();
            self.unasked.clear();
            self.everything = true;
            return Ok(());
        }
        if self.blank || !self.unasked.is_empty() {
            connection.grab_server()?;
            let asked = self.ask_everything(connection, other, now);
            // Whatever happened, the display goes on.
            connection.ungrab_server()?;
            connection.flush()?;
            asked?;
        } else {
            self.apply(true, now);
        }
        if self.tree.is_doubtful() || self.tree.len() > MOST_WINDOWS {
            if self.gave_up.is_none() {
                tracing::error!(
                    windows = self.tree.len(),
                    "the display's windows cannot be followed: everything is covered until they can"
                );
            }
            (self.everything, self.blank, self.gave_up) = (true, true, Some(now));
        } else {
            self.gave_up = None;
        }
        Ok(())
    }

    fn receive(
        &mut self,
        connection: &Connection,
        other: &mut dyn FnMut(&Event),
    ) -> Result<(), ReplyOrIdError> {
        while let Some(event) = connection.poll_for_event()? {
            if self.take(&event).is_none() {
                other(&event);
            }
        }
        for event in &self.waiting {
            match event {
                Event::CreateNotify(e) => _ = self.unasked.insert(e.window),
                Event::PropertyNotify(e) => _ = self.unasked.insert(e.window),
                Event::ShapeNotify(e) => _ = self.unasked.insert(e.affected_window),
                Event::XfixesSelectionNotify(e) => self.composited = e.owner != x11rb::NONE,
                _ => {}
            }
        }
        Ok(())
    }

    /// With the display held still: asks about windows until there is none that was not asked about, and brings everything up to date.
    fn ask_everything(
        &mut self,
        connection: &Connection,
        other: &mut dyn FnMut(&Event),
        now: Instant,
    ) -> Result<(), ReplyOrIdError> {
        // Every event from before the grab is here after this answer.
        connection.get_input_focus()?.reply()?;
        self.receive(connection, other)?;
        if self.blank {
            return self.ask_all(connection, now);
        }
        let gone = self.meet(now);
        let mut unasked = std::mem::take(&mut self.unasked);
        if unasked.remove(&self.root) {
            self.ask_root(connection)?;
        }
        let made: HashSet<u32> = self.waiting.iter().filter_map(created).collect();
        let mut inside = Vec::new();
        let mut done = HashSet::new();
        while !unasked.is_empty() {
            let ids: Vec<u32> = std::mem::take(&mut unasked).into_iter().collect();
            done.extend(ids.iter().copied());
            for asked in ask::ask(connection, &self.atoms, &ids)? {
                let is_known = self.tree.get(asked.id).is_some() && !made.contains(&asked.id);
                self.judge.created(asked.id, asked.redirect);
                self.judge.says(asked.id, asked.about.clone());
                self.bodies.insert(asked.id, asked.body());
                // A window may have got children before anybody listened.
                if !is_known {
                    unasked.extend(asked.children.iter().filter(|child| !done.contains(*child)));
                    inside.push(asked);
                }
            }
        }
        self.ask_processes(connection)?;
        let before = std::mem::take(&mut self.verdicts);
        self.judge(now);
        // What went away meanwhile was there before.
        for &id in gone.keys() {
            self.verdicts.keep(&before, id);
        }
        for (id, verdict) in gone {
            if let Some(verdict) = verdict {
                self.verdicts.add(id, verdict);
            }
        }
        self.apply(false, now);
        self.join(inside, now);
        for id in std::mem::take(&mut self.bodies).into_keys() {
            self.tree.set_old(id);
        }
        self.judge(now);
        Ok(())
    }

    /// Tells the judge of windows that came and went, in order: the ids of those that went may be in use again. Returns what was thought
    /// of them.
    fn meet(&mut self, now: Instant) -> HashMap<u32, Option<Verdict>> {
        let mut gone = HashMap::new();
        for event in &self.waiting {
            match event {
                Event::CreateNotify(e) => self.judge.created(e.window, e.override_redirect),
                Event::DestroyNotify(e) => {
                    gone.insert(e.window, self.judge.judge_one(e.window, now));
                    self.judge.destroyed(e.window);
                }
                _ => {}
            }
        }
        gone
    }

    /// Puts what was found inside of new windows into the tree, after all events.
    fn join(&mut self, found: Vec<Asked>, now: Instant) {
        let mut more = false;
        for asked in found {
            let Asked { id, parent, shape, mapped, .. } = asked;
            if self.tree.get(id).is_none() {
                more = true;
                self.tree.insert(id, Window { parent, shape, mapped, ..Window::default() });
                self.tree.set_body(id, asked.body());
                if mapped {
                    self.judge.mapped(id, now);
                }
                if let Some(verdict) = self.verdicts.get(id) {
                    // Where it was before somebody listened is not known: somewhere inside of its parent.
                    let around = self.tree.area(parent).unwrap_or(self.whole());
                    let colour = self.judge.masks().get(verdict.mask).map(|mask| mask.colour);
                    self.seen.add(colour.unwrap_or_default(), around);
                }
            }
        }
        if more {
            self.judge(now);
        }
        self.look_again();
    }

    /// Forgets everything and asks about all windows.
    fn ask_all(&mut self, connection: &Connection, now: Instant) -> Result<(), ReplyOrIdError> {
        self.waiting.retain(|event| matches!(event, Event::DamageNotify(_)));
        self.unasked.clear();
        self.judge.clear();
        self.tree = Tree::new(self.root, self.size.0, self.size.1);
        self.ask_root(connection)?;
        let mut level = connection.query_tree(self.root)?.reply()?.children;
        // What was shown before, and where, is not known.
        self.everything = true;
        while !level.is_empty() && self.tree.len() <= MOST_WINDOWS {
            let mut next = Vec::new();
            // From the lowest to the topmost, as they were listed.
            for asked in ask::ask(connection, &self.atoms, &level)? {
                let body = asked.body();
                let Asked { id, parent, shape, mapped, redirect, about, children, .. } = asked;
                self.judge.created(id, redirect);
                self.judge.says(id, about);
                if mapped {
                    self.judge.mapped(id, now);
                }
                next.extend(children);
                let window = Window { parent, shape, mapped, body, ..Window::default() };
                self.tree.insert(id, window);
            }
            level = next;
        }
        self.ask_processes(connection)?;
        self.blank = false;
        self.judge(now);
        self.apply(true, now);
        // At the very beginning nothing was shown before.
        if self.shown.is_empty() && !self.tree.is_doubtful() && self.tree.len() <= MOST_WINDOWS {
            self.everything = false;
        }
        Ok(())
    }

    fn ask_root(&mut self, connection: &Connection) -> Result<(), ReplyOrIdError> {
        self.judge.set_manager(ask::manager(connection, self.root, &self.atoms)?);
        self.composited = ask::is_composited(connection, &self.atoms)?;
        Ok(())
    }

    fn ask_processes(&mut self, connection: &Connection) -> Result<(), ReplyOrIdError> {
        for (client, window) in self.judge.unknown_processes() {
            let process = (self.process_of)(connection, window)?;
            self.judge.set_process(client, process);
        }
        Ok(())
    }

    fn judge(&mut self, now: Instant) {
        let (verdicts, until) = self.judge.judge(now);
        self.verdicts = verdicts;
        self.judged_until = until;
        self.look();
    }

    /// What can be seen of masked windows is another now.
    fn look(&mut self) {
        if self.verdicts.is_empty() {
            self.visible = Cover::default();
            return;
        }
        let (visible, applied) = self.tree.visible(&self.verdicts, self.judge.masks(), true);
        self.visible = visible;
        self.applied |= applied;
        self.seen.add_all(&self.visible);
        if !self.bodies.is_empty() {
            self.seen.add_all(&self.tree.visible(&self.verdicts, self.judge.masks(), false).0);
        }
    }

    /// The same after windows changed: what cannot be seen any more may have left something behind.
    fn look_again(&mut self) {
        if self.verdicts.is_empty() {
            return;
        }
        let mut gone = self.visible.clone();
        self.look();
        gone.remove_all(&self.visible);
        self.trail.left(&gone);
    }

    /// Goes through what has happened, one after the other; `forgets` when the judge is to hear of windows that are gone.
    fn apply(&mut self, forgets: bool, now: Instant) {
        let mut is_known = true;
        while let Some(event) = self.waiting.pop_front() {
            match &event {
                Event::DamageNotify(e) => {
                    let area = &e.area;
                    let area = Area::new(area.x.into(), area.y.into(), area.width.into(), area.height.into());
                    self.trail.drawn(area, now);
                    continue;
                }
                Event::PropertyNotify(_) | Event::XfixesSelectionNotify(_) => continue,
                Event::MapNotify(e) => self.judge.mapped(e.window, now),
                _ => {}
            }
            let moved = match &event {
                Event::ConfigureNotify(e) => Some(e.window),
                Event::GravityNotify(e) => Some(e.window),
                _ => None,
            };
            let from = moved.and_then(|id| self.tree.outer(id).map(|area| (id, area)));
            for gone in self.tree.apply(&event).into_iter().filter(|_| forgets) {
                self.judge.destroyed(gone);
            }
            let shaped = match &event {
                Event::ShapeNotify(e) => Some(e.affected_window),
                other => created(other),
            };
            if let Some(id) = shaped {
                let body = self.bodies.get(&id).cloned().unwrap_or_default();
                self.tree.set_body(id, body);
            }
            if let Some((id, from)) = from {
                self.carry(id, from);
            }
            self.look_again();
            is_known &= !matches!(event, Event::MapNotify(_));
        }
        if forgets && !is_known {
            // Their time begins.
            self.judge(now);
        }
    }

    /// A window that shows something left behind by others takes it along when it moves.
    fn carry(&mut self, id: u32, from: Area) {
        let Some(to) = self.tree.outer(id) else { return };
        if to == from || !self.trail.touches(from) {
            return;
        }
        let seen = self.tree.unhidden(id);
        // Its content stays at the upper left edge, unless it is one of those whose content stays at another.
        for dx in [to.left - from.left, to.right - from.right] {
            for dy in [to.top - from.top, to.bottom - from.bottom] {
                self.trail.carried(from, (dx, dy), &seen);
            }
        }
    }
}

/// What came of covering a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Covered {
    /// Other places are covered than in the picture before.
    pub(crate) is_new: bool,
    /// Something is covered that need not be any more: it can be read with the next picture.
    pub(crate) is_more: bool,
}

/// The window that an event tells the creation of.
fn created(event: &Event) -> Option<u32> {
    match event {
        Event::CreateNotify(e) => Some(e.window),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests;
