//! What a notice does from the moment it is shown to its end.

use super::connect::Connected;
use super::{
    Force, Kind, NoticeError, Request, Stopped, Told,
    canvas::Area,
    card::{Card, Choice, Look, choices},
    keys::{Key, Keys},
    plain::Plain,
    text::Type,
    window::{self, Window},
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::{
    os::fd::{AsFd as _, BorrowedFd},
    time::{Duration, Instant},
};
use x11rb::{
    connection::Connection as _,
    protocol::{
        Event,
        xproto::{ConnectionExt as _, Mapping, Visibility},
    },
};

/// Nothing is pressed in the first moment: the user was about to do something else.
const CALM: Duration = Duration::from_millis(500);
/// While somebody else has keyboard or pointer, they are asked for at this interval.
const ASK: Duration = Duration::from_millis(100);
/// And so often it is made sure that they are still held.
const CHECK: Duration = Duration::from_secs(1);
/// A window manager that has just started may miss that a window is to be shown: it is told again after this.
const MAP: Duration = Duration::from_secs(1);
/// Two programs that both want to be on top must not keep the display busy: the pause doubles up to these.
const LEAST_PAUSE: Duration = Duration::from_millis(20);
const MOST_PAUSE_CONSENT: Duration = Duration::from_millis(100);
const MOST_PAUSE_NOTICE: Duration = Duration::from_secs(2);
/// After so long on top, the other one has given up.
const PEACE: Duration = Duration::from_secs(5);
/// Lines that a turn of the mouse wheel scrolls.
const WHEEL: i32 = 3;

/// Shows it, and waits for the end.
pub(super) fn run(
    connected: &Connected,
    request: &Request,
    stop: BorrowedFd<'_>,
    tell: &mut dyn FnMut(&Told),
) -> Result<Told, Stopped> {
    let (connection, root) = (&connected.connection, connected.screen.root);
    let fonts = match Type::of_host(&request.language) {
        Some(fonts) => fonts,
        None => Type::Plain(Plain::load(connection, root)?),
    };
    let mut stage = Stage::set_up(connected, request, fonts)?;
    loop {
        while let Some(event) = connection.poll_for_event()? {
            if let Some(end) = stage.take(event)? {
                return Ok(end);
            }
        }
        stage.settle(tell)?;
        connection.flush()?;
        // Answers that were waited for may have brought events along.
        if let Some(event) = connection.poll_for_event()? {
            if let Some(end) = stage.take(event)? {
                return Ok(end);
            }
            continue;
        }
        let mut fds = [
            PollFd::new(connection.stream().as_fd(), PollFlags::POLLIN),
            PollFd::new(stop, PollFlags::POLLIN),
        ];
        match poll(&mut fds, stage.patience()) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(NoticeError::Wait(error.into()).into()),
        }
        if fds[1].revents().is_some_and(|events| !events.is_empty()) {
            return Ok(Told::Withdrawn);
        }
    }
}

/// A notice that is shown.
struct Stage<'c> {
    window: Window<'c>,
    request: &'c Request,
    fonts: Type,
    keys: Keys,
    /// One for a notice, one on every monitor for consent.
    cards: Vec<Card>,
    look: Look,
    /// The button on which the mouse went down.
    pressed: Option<Choice>,
    /// Since when it is shown.
    shown: Option<Instant>,
    /// What has to be done when there is time.
    paint: bool,
    lay_out: bool,
    map: bool,
    /// Not mapped yet, though it was asked for: when to ask again.
    unmapped: Option<Instant>,
    raise: Option<Instant>,
    pause: Duration,
    raised: Option<Instant>,
    /// Consent: when to take keyboard and pointer.
    hold: Option<Instant>,
    /// They were taken once.
    held: bool,
    told_shown: bool,
    told_held: bool,
}

impl<'c> Stage<'c> {
    fn set_up(connected: &'c Connected, request: &'c Request, mut fonts: Type) -> Result<Self, Stopped> {
        let (area, cards) = lay_out(&connected.connection, connected.screen.root, request, &mut fonts)?;
        let window = Window::make(connected, request, area)?;
        let keys = Keys::load(window.connection)?;
        Ok(Self {
            window,
            request,
            fonts,
            keys,
            cards,
            look: Look::default(),
            pressed: None,
            shown: None,
            paint: true,
            lay_out: false,
            map: true,
            unmapped: None,
            raise: None,
            pause: LEAST_PAUSE,
            raised: None,
            hold: (request.kind == Kind::Consent).then(Instant::now),
            held: false,
            told_shown: false,
            told_held: false,
        })
    }

    /// What an event means. The answer, if it is one.
    fn take(&mut self, event: Event) -> Result<Option<Told>, Stopped> {
        let id = self.window.id;
        match event {
            Event::Expose(event) if event.window == id => self.paint |= event.count == 0,
            Event::VisibilityNotify(event) => self.seen(event.state),
            Event::MapNotify(event) if event.window == id => {
                (self.paint, self.unmapped) = (true, None);
                if !self.window.managed && self.request.kind == Kind::Notice {
                    self.window.focus(true)?;
                }
            }
            // A notice that is put away is put back.
            Event::UnmapNotify(event) if event.window == id => self.map = true,
            Event::DestroyNotify(event) if event.window == id => {
                return Ok(Some(Told::ClosedByForce { how: Force::Destroyed }));
            }
            Event::ConfigureNotify(event) if event.window == self.window.root => self.lay_out = true,
            Event::ConfigureNotify(event) if event.window == id => self.moved()?,
            Event::RandrScreenChangeNotify(_) => self.lay_out = true,
            Event::MappingNotify(event) if event.request != Mapping::POINTER => {
                self.keys = Keys::load(self.window.connection)?;
            }
            Event::KeyPress(event) => {
                if let Some(key) = self.keys.meaning(event.detail, event.state) {
                    return Ok(self.key(key));
                }
            }
            Event::MotionNotify(event) => {
                let under = self.choice_at(event.event_x.into(), event.event_y.into());
                self.change(Look { lit: under, ..self.look });
            }
            Event::LeaveNotify(_) => self.change(Look { lit: None, ..self.look }),
            Event::ButtonPress(event) => return self.button_down(&event),
            Event::ButtonRelease(event) if event.detail == 1 => {
                let under = self.choice_at(event.event_x.into(), event.event_y.into());
                let pressed = self.pressed.take();
                if pressed.is_some() && pressed == under && self.is_calm() {
                    return Ok(pressed.map(answer));
                }
            }
            Event::ClientMessage(event)
                if event.format == 32 && event.type_ == self.window.atoms.WM_PROTOCOLS =>
            {
                let protocol = event.data.as_data32()[0];
                if protocol == self.window.atoms.WM_DELETE_WINDOW {
                    return Ok(Some(Told::ClosedByForce { how: Force::Closed }));
                }
                if protocol == self.window.atoms._NET_WM_PING {
                    self.window.pong(event)?;
                }
            }
            // A request about a window that is gone by now; what matters of them is asked for with an answer.
            _ => {}
        }
        Ok(None)
    }

    fn button_down(
        &mut self,
        event: &x11rb::protocol::xproto::ButtonPressEvent,
    ) -> Result<Option<Told>, Stopped> {
        match event.detail {
            1 => {
                self.pressed = self.choice_at(event.event_x.into(), event.event_y.into());
                if !self.window.managed && self.request.kind == Kind::Notice {
                    self.window.focus(false)?;
                }
            }
            4 => self.scroll(-WHEEL * self.line()),
            5 => self.scroll(WHEEL * self.line()),
            _ => {}
        }
        Ok(None)
    }

    fn key(&mut self, key: Key) -> Option<Told> {
        let buttons = choices(self.request.kind);
        let at = self.look.focus.and_then(|focus| buttons.iter().position(|&choice| choice == focus));
        let count = buttons.len();
        let to = |at: usize| Look { focus: buttons.get(at).copied(), ..self.look };
        match key {
            Key::Next => self.change(to(at.map_or(0, |at| (at + 1) % count))),
            Key::Previous => self.change(to(at.map_or(count - 1, |at| (at + count - 1) % count))),
            // Whoever declines may lose the session: Escape alone must not do that, nor may Enter while nothing is chosen.
            Key::Escape if self.request.kind == Kind::Consent => self.change(to(0)),
            Key::Escape if self.is_calm() => return Some(Told::Dismissed),
            Key::Press if self.is_calm() => return self.look.focus.map(answer),
            Key::Lines(lines) => self.scroll(lines.saturating_mul(self.line())),
            Key::Pages(pages) => {
                let page = self.cards.first().map_or(0, Card::page);
                self.scroll(pages.saturating_mul((page - self.line()).max(1)));
            }
            Key::Escape | Key::Press => {}
        }
        None
    }

    fn line(&self) -> i32 {
        self.cards.first().map_or(16, |card| card.line)
    }

    fn scroll(&mut self, by: i32) {
        let most = self.cards.iter().map(Card::most_scroll).max().unwrap_or_default();
        let scroll = self.look.scroll.saturating_add(by).clamp(0, most);
        self.change(Look { scroll, ..self.look });
    }

    fn change(&mut self, look: Look) {
        self.paint |= look != self.look;
        self.look = look;
    }

    fn is_calm(&self) -> bool {
        self.shown.is_some_and(|shown| shown.elapsed() >= CALM)
    }

    /// The button at a place in the window.
    fn choice_at(&self, x: i32, y: i32) -> Option<Choice> {
        self.cards.iter().find_map(|card| {
            let (left, top) = self.corner(card);
            card.choice_at(x - left, y - top)
        })
    }

    /// Where a card is in the window: a notice's window is its card, consent's is the whole screen.
    fn corner(&self, card: &Card) -> (i32, i32) {
        match self.request.kind {
            Kind::Notice => (0, 0),
            Kind::Consent => (card.area.x, card.area.y),
        }
    }

    /// How much of the window can be seen has changed.
    fn seen(&mut self, state: Visibility) {
        let now = Instant::now();
        if state == Visibility::UNOBSCURED {
            self.raise = None;
        } else {
            if self.raised.is_none_or(|raised| now.duration_since(raised) > PEACE) {
                self.pause = LEAST_PAUSE;
            }
            let soon = self.raised.map_or(now, |raised| now.max(raised + self.pause));
            self.raise = Some(soon);
        }
        if state != Visibility::FULLY_OBSCURED {
            self.shown.get_or_insert(now);
        }
    }

    /// Somebody has moved the window: where its middle cannot be seen any more, it comes back.
    fn moved(&mut self) -> Result<(), Stopped> {
        let Some(card) = self.cards.first() else { return Ok(()) };
        let (x, y) = self.window.origin()?;
        let now = Area::new(x, y, card.area.width, card.area.height);
        let (_, monitors) = window::monitors(self.window.connection, self.window.root)?;
        let (x, y) = match self.request.kind {
            Kind::Notice => now.middle(),
            Kind::Consent => (x, y),
        };
        let seen = monitors.iter().any(|monitor| monitor.holds(x, y));
        let fits = self.request.kind == Kind::Notice || (x, y) == (0, 0);
        self.lay_out |= !seen || !fits;
        Ok(())
    }

    /// Does what there is to do.
    fn settle(&mut self, tell: &mut dyn FnMut(&Told)) -> Result<(), Stopped> {
        if std::mem::take(&mut self.lay_out) {
            self.place()?;
        }
        let again = self.unmapped.is_some_and(|due| due <= Instant::now());
        if std::mem::take(&mut self.map) || again {
            self.window.map()?;
            self.unmapped = Some(Instant::now() + MAP);
            if self.request.kind == Kind::Consent {
                self.hold = Some(Instant::now());
            }
        }
        if std::mem::take(&mut self.paint) {
            for card in &self.cards {
                let corner = self.corner(card);
                self.window.paint(&card.paint(&mut self.fonts, self.look), corner)?;
            }
        }
        let now = Instant::now();
        if self.raise.is_some_and(|due| due <= now) {
            self.raise_now(now)?;
        }
        if self.hold.is_some_and(|due| due <= now) {
            let held = self.window.is_viewable()? && self.window.hold()?;
            self.hold = Some(now + if held { CHECK } else { ASK });
            self.held |= held;
        }
        if self.shown.is_some() && !self.told_shown {
            self.told_shown = true;
            tell(&Told::Shown);
        }
        if self.told_shown && self.held && !self.told_held {
            self.told_held = true;
            tell(&Told::Held);
        }
        Ok(())
    }

    fn raise_now(&mut self, now: Instant) -> Result<(), Stopped> {
        if !self.window.raise()? {
            // One of ours is above: it goes away some time, and that is an event.
            self.raise = None;
            return Ok(());
        }
        let most = match self.request.kind {
            Kind::Notice => MOST_PAUSE_NOTICE,
            Kind::Consent => MOST_PAUSE_CONSENT,
        };
        self.pause = (self.pause * 2).min(most);
        self.raised = Some(now);
        // Until the display says that the whole of it is seen.
        self.raise = Some(now + self.pause);
        Ok(())
    }

    /// Finds places anew after the screen has changed.
    fn place(&mut self) -> Result<(), Stopped> {
        let (area, cards) = lay_out(self.window.connection, self.window.root, self.request, &mut self.fonts)?;
        self.cards = cards;
        self.scroll(0);
        self.window.place(area)?;
        self.paint = true;
        Ok(())
    }

    /// How long nothing has to be done.
    fn patience(&self) -> PollTimeout {
        let Some(due) = [self.raise, self.hold, self.unmapped].into_iter().flatten().min() else {
            return PollTimeout::NONE;
        };
        // A millisecond more: a wait that ends too early would turn in circles.
        let left = due.saturating_duration_since(Instant::now()).as_millis() as u16;
        PollTimeout::from(left.saturating_add(1))
    }
}

/// What pressing a button answers.
fn answer(choice: Choice) -> Told {
    match choice {
        Choice::Dismiss => Told::Dismissed,
        Choice::Accept => Told::Accepted,
        Choice::Deny => Told::Denied,
    }
}

/// Where the window goes, and its cards: a notice on the monitor with the pointer, consent on all.
fn lay_out(
    connection: &x11rb::rust_connection::RustConnection,
    root: u32,
    request: &Request,
    fonts: &mut Type,
) -> Result<(Area, Vec<Card>), Stopped> {
    let (whole, mut monitors) = window::monitors(connection, root)?;
    if request.kind == Kind::Notice {
        let pointer = connection.query_pointer(root)?.reply()?;
        let (x, y) = (pointer.root_x.into(), pointer.root_y.into());
        let chosen = monitors.iter().position(|monitor| monitor.holds(x, y)).unwrap_or_default();
        monitors = vec![monitors.swap_remove(chosen)];
    }
    let mut cards = Vec::with_capacity(monitors.len());
    for monitor in monitors {
        let scale = window::scale(connection, root, monitor)?;
        cards.push(Card::set(fonts, request, monitor, scale));
    }
    let area = match (request.kind, cards.first()) {
        (Kind::Notice, Some(card)) => card.area,
        _ => whole,
    };
    Ok((area, cards))
}
