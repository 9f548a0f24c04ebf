//! Which windows belong to applications that are masked.
//!
//! An application is a client of the display: whoever made the window. All windows of a client are masked once one of them fits,
//! and so are those of other clients of the same process, and windows that name such a window as their leader or as the one that
//! they are for. What cannot be told yet is masked until it can be.

use playhead_model::{Mask, mask::fits};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// A window may be shown for this long before it says which application's it is; until then it is covered.
const GRACE: Duration = Duration::from_secs(2);
/// Windows are for other windows over at most so many steps; one that goes further is covered.
const STEPS: usize = 32;

/// What a window says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct About {
    /// Instance and class name.
    pub(super) classes: Vec<String>,
    pub(super) titles: Vec<String>,
    pub(super) pid: Option<u32>,
    pub(super) leader: Option<u32>,
    pub(super) transient_for: Option<u32>,
}

/// The process at the other end of a client's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Process {
    /// On another machine, or unknown to the display.
    Foreign,
    /// Its id, and its names; without names when it could not be looked at.
    Local(u32, Option<Vec<String>>),
}

/// Why a window is covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The mask, by its number.
    pub(super) mask: usize,
    /// It fits; otherwise that is not known yet.
    pub(super) certain: bool,
}

/// The windows that are to be covered.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    windows: HashMap<u32, Verdict>,
    /// The window manager's client, and the bits that tell clients apart. `None`: any window may be a frame.
    frames: Option<(u32, u32)>,
}

impl Verdicts {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&u32, &Verdict)> {
        self.windows.iter()
    }

    pub(super) fn get(&self, id: u32) -> Option<Verdict> {
        self.windows.get(&id).copied()
    }

    /// Keeps what was judged before, where nothing is known now.
    pub(super) fn keep(&mut self, before: &Self, id: u32) {
        if let Some(verdict) = before.get(id) {
            self.windows.entry(id).or_insert(verdict);
        }
    }

    pub(super) fn add(&mut self, id: u32, verdict: Verdict) {
        self.windows.entry(id).or_insert(verdict);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// Whether a window that holds another may be a frame around it.
    pub(super) fn is_frame(&self, id: u32) -> bool {
        self.frames.is_none_or(|(client, bits)| id & bits == client)
    }
}

#[derive(Debug, Default)]
struct Known {
    /// Unknown before it was looked at, and for one that was gone by then.
    about: Option<About>,
    redirect: bool,
    since: Option<Instant>,
}

#[derive(Debug, Default)]
struct Client {
    windows: usize,
    process: Option<Process>,
    /// Stays, whatever its windows say later.
    masked: Option<usize>,
    has_class: bool,
    since: Option<Instant>,
}

/// An answer to whether a mask fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    Unknown,
}

impl Answer {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Unknown,
        }
    }

    fn of(fits: bool) -> Self {
        if fits { Self::Yes } else { Self::No }
    }
}

/// Knows the masks, and what the windows say.
#[derive(Debug)]
pub(super) struct Judge {
    masks: Vec<Mask>,
    /// The bits of an id that tell its client.
    client_bits: u32,
    windows: HashMap<u32, Known>,
    clients: HashMap<u32, Client>,
    manager: Option<u32>,
}

impl Judge {
    /// `id_mask` has the bits of an id that a client may choose.
    pub(super) fn new(masks: Vec<Mask>, id_mask: u32) -> Self {
        Self { masks, client_bits: !id_mask, windows: HashMap::new(), clients: HashMap::new(), manager: None }
    }

    pub(super) fn masks(&self) -> &[Mask] {
        &self.masks
    }

    /// Forgets all windows.
    pub(super) fn clear(&mut self) {
        self.windows.clear();
        self.clients.clear();
    }

    /// There is a window.
    pub(super) fn created(&mut self, id: u32, redirect: bool) {
        let bits = self.client_bits;
        self.windows.entry(id).or_insert_with(|| {
            self.clients.entry(id & bits).or_default().windows += 1;
            Known { redirect, ..Known::default() }
        });
    }

    /// It can be seen.
    pub(super) fn mapped(&mut self, id: u32, now: Instant) {
        if let Some(known) = self.windows.get_mut(&id) {
            known.since.get_or_insert(now);
            let client = self.clients.entry(id & self.client_bits).or_default();
            client.since.get_or_insert(now);
        }
    }

    /// It is gone.
    pub(super) fn destroyed(&mut self, id: u32) {
        if self.windows.remove(&id).is_some() {
            let client = id & self.client_bits;
            if let Some(known) = self.clients.get_mut(&client) {
                known.windows -= 1;
                if known.windows == 0 {
                    self.clients.remove(&client);
                }
            }
        }
    }

    /// What it says of itself.
    pub(super) fn says(&mut self, id: u32, about: About) {
        if let Some(known) = self.windows.get_mut(&id) {
            let client = self.clients.entry(id & self.client_bits).or_default();
            client.has_class |= !about.classes.is_empty();
            known.about = Some(about);
        }
    }

    /// The clients whose processes are not known, each with a window of its own.
    pub(super) fn unknown_processes(&self) -> Vec<(u32, u32)> {
        let mut found: HashMap<u32, u32> = HashMap::new();
        for &id in self.windows.keys() {
            let client = id & self.client_bits;
            if self.clients.get(&client).is_some_and(|known| known.process.is_none()) {
                found.insert(client, id);
            }
        }
        found.into_iter().collect()
    }

    pub(super) fn set_process(&mut self, client: u32, process: Process) {
        if let Some(known) = self.clients.get_mut(&client) {
            known.process = Some(process);
        }
    }

    /// The window manager, by a window of its own.
    pub(super) fn set_manager(&mut self, window: Option<u32>) {
        self.manager = window.map(|id| id & self.client_bits);
    }

    /// Goes through all windows. Second is when something that is not known now counts as known.
    pub(super) fn judge(&mut self, now: Instant) -> (Verdicts, Option<Instant>) {
        self.judge_clients(now);
        let mut windows = HashMap::new();
        let mut titled: HashMap<u32, usize> = HashMap::new();
        let mut next: Option<Instant> = None;
        for (&id, known) in &self.windows {
            let client = id & self.client_bits;
            let mut found = self.clients.get(&client).and_then(|client| client.masked);
            let mut unknown = None;
            for (at, mask) in self.masks.iter().enumerate() {
                match self.answer(mask, id, known, now) {
                    Answer::Yes => {
                        found = found.or(Some(at));
                        if mask.title.is_some() {
                            titled.insert(client, at);
                        }
                    }
                    Answer::Unknown => unknown = unknown.or(Some(at)),
                    Answer::No => {}
                }
            }
            if let Some(mask) = found {
                windows.insert(id, Verdict { mask, certain: true });
            } else if let Some(mask) = unknown {
                windows.insert(id, Verdict { mask, certain: false });
                let since = [known.since, self.clients.get(&client).and_then(|client| client.since)];
                let over = since.into_iter().flatten().map(|since| since + GRACE).filter(|at| *at > now);
                next = next.into_iter().chain(over).min();
            }
        }
        for (&id, known) in &self.windows {
            if windows.get(&id).is_some_and(|verdict: &Verdict| verdict.certain) {
                continue;
            }
            let pop_up = titled.get(&(id & self.client_bits)).copied().filter(|_| known.redirect);
            if let Some(mask) = pop_up.or_else(|| self.belongs(id, &titled)) {
                windows.insert(id, Verdict { mask, certain: true });
            }
        }
        let frames = self.manager.map(|client| (client, self.client_bits));
        (Verdicts { windows, frames }, next)
    }

    /// About one window, before it is forgotten.
    pub(super) fn judge_one(&self, id: u32, now: Instant) -> Option<Verdict> {
        let known = self.windows.get(&id)?;
        let masked = self.clients.get(&(id & self.client_bits)).and_then(|client| client.masked);
        let answers = self.masks.iter().map(|mask| self.answer(mask, id, known, now));
        let fits = masked.or_else(|| answers.clone().position(|answer| answer == Answer::Yes));
        let unknown = || answers.clone().position(|answer| answer == Answer::Unknown);
        fits.map(|mask| Verdict { mask, certain: true })
            .or_else(|| unknown().map(|mask| Verdict { mask, certain: false }))
    }

    /// Finds the clients that are masked as a whole.
    fn judge_clients(&mut self, now: Instant) {
        let fits_whole =
            |mask: &Mask, id, known| mask.title.is_none() && self.answer(mask, id, known, now) == Answer::Yes;
        let mut masked = Vec::new();
        for (&id, known) in &self.windows {
            if let Some(at) = self.masks.iter().position(|mask| fits_whole(mask, id, known)) {
                masked.push((id & self.client_bits, at));
            }
        }
        for (client, at) in masked {
            if let Some(known) = self.clients.get_mut(&client) {
                known.masked = known.masked.or(Some(at));
            }
        }
        let by_process: HashMap<u32, usize> = self
            .clients
            .values()
            .filter_map(|client| match (client.masked, &client.process) {
                (Some(mask), Some(Process::Local(pid, _))) if *pid != 0 => Some((*pid, mask)),
                _ => None,
            })
            .collect();
        if by_process.is_empty() {
            return;
        }
        for client in self.clients.values_mut() {
            if let Some(Process::Local(pid, _)) = &client.process {
                client.masked = client.masked.or_else(|| by_process.get(pid).copied());
            }
        }
        for (id, known) in &self.windows {
            let mask = known.about.as_ref().and_then(|about| about.pid).and_then(|pid| by_process.get(&pid));
            if let (Some(&mask), Some(client)) = (mask, self.clients.get_mut(&(id & self.client_bits))) {
                client.masked = client.masked.or(Some(mask));
            }
        }
    }

    /// The mask of the window that a window names as its leader or as the one that it is for.
    fn belongs(&self, id: u32, titled: &HashMap<u32, usize>) -> Option<usize> {
        let mut at = id;
        for _ in 0..STEPS {
            let about = self.windows.get(&at).and_then(|known| known.about.as_ref())?;
            let leader = about.leader.and_then(|leader| self.clients.get(&(leader & self.client_bits)));
            if let Some(mask) = leader.and_then(|client| client.masked) {
                return Some(mask);
            }
            at = about.transient_for.filter(|next| *next != at)?;
            let client = at & self.client_bits;
            if let Some(mask) = self.clients.get(&client).and_then(|client| client.masked) {
                return Some(mask);
            }
            if titled.contains_key(&client)
                && let Some(known) = self.windows.get(&at)
                && let Some(mask) = self
                    .masks
                    .iter()
                    .position(|mask| mask.title.is_some() && title_fits(mask, known) == Answer::Yes)
            {
                return Some(mask);
            }
        }
        Some(0)
    }

    fn answer(&self, mask: &Mask, id: u32, known: &Known, now: Instant) -> Answer {
        let client_id = id & self.client_bits;
        if self.manager == Some(client_id)
            && known.about.as_ref().is_none_or(|about| about.classes.is_empty())
        {
            // Frames around the windows of others.
            return Answer::No;
        }
        let Some(client) = self.clients.get(&client_id) else { return Answer::Unknown };
        let in_grace = |since: Option<Instant>| since.is_none_or(|since| now < since + GRACE);
        let mut answer = Answer::Yes;
        if let Some(pattern) = &mask.process {
            answer = answer.and(match &client.process {
                Some(Process::Foreign) => Answer::No,
                Some(Process::Local(_, Some(names))) => {
                    Answer::of(names.iter().any(|name| fits(pattern, name)))
                }
                Some(Process::Local(_, None)) | None => Answer::Unknown,
            });
        }
        if let Some(pattern) = &mask.class {
            let classes = known.about.as_ref().map_or(&[][..], |about| &about.classes);
            answer = answer.and(match classes {
                [] if client.has_class || !in_grace(client.since) => Answer::No,
                [] => Answer::Unknown,
                _ => Answer::of(classes.iter().any(|class| fits(pattern, class))),
            });
        }
        if mask.title.is_some() {
            answer = answer.and(match title_fits(mask, known) {
                // What is inside of a window, pop-ups and the like have no title and need none.
                Answer::Unknown if known.redirect || !in_grace(known.since) => Answer::No,
                Answer::Unknown if known.about.as_ref().is_some_and(|about| about.classes.is_empty()) => {
                    Answer::No
                }
                other => other,
            });
        }
        answer
    }
}

fn title_fits(mask: &Mask, known: &Known) -> Answer {
    let titles = known.about.as_ref().map_or(&[][..], |about| &about.titles);
    match (&mask.title, titles) {
        (None, _) => Answer::Yes,
        (Some(_), []) => Answer::Unknown,
        (Some(pattern), titles) => Answer::of(titles.iter().any(|title| fits(pattern, title))),
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
