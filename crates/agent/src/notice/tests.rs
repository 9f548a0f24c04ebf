//! Notices on real X servers, with real keys and clicks.

use super::{card::COVER, *};
use crate::capture::testing::Display;
use std::{
    io::PipeWriter,
    os::fd::AsFd as _,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread::JoinHandle,
    time::{Duration, Instant},
};
use x11rb::{
    connection::Connection as _,
    protocol::{
        xproto::{
            AtomEnum, BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ClientMessageEvent, ConfigureWindowAux,
            ConnectionExt as _, CreateWindowAux, EventMask, GrabMode, GrabStatus, KEY_PRESS_EVENT,
            KEY_RELEASE_EVENT, MapState, StackMode, Window, WindowClass,
        },
        xtest::ConnectionExt as _,
    },
};

const PATIENCE: Duration = Duration::from_secs(20);
const TAB: u32 = 0xff09;
const ENTER: u32 = 0xff0d;
const ESCAPE: u32 = 0xff1b;

/// A notice that is shown by a thread.
struct Shown {
    told: Receiver<Told>,
    thread: Option<JoinHandle<Result<Told, NoticeError>>>,
    stop: Option<PipeWriter>,
    id: Window,
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Shown {
    fn on(display: &Display, kind: Kind) -> Self {
        let request = Request {
            display: display.name.clone(),
            kind,
            language: "en".into(),
            title: "This session is recorded".into(),
            text: "What you do is recorded. ".repeat(5),
            ..Request::default()
        };
        let (reader, writer) = std::io::pipe().unwrap();
        let (sender, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            show(request, reader.as_fd(), &mut |t| sender.send(t.clone()).unwrap())
        });
        assert_eq!(told.recv_timeout(PATIENCE), Ok(Told::Shown));
        let id = until("the window is found", || find(display));
        Self { told, thread: Some(thread), stop: Some(writer), id }
    }

    fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn end(&mut self) -> Told {
        until("it ends", || self.is_over().then_some(()));
        self.thread.take().unwrap().join().unwrap().unwrap()
    }

    fn held(&self) {
        assert_eq!(self.told.recv_timeout(PATIENCE), Ok(Told::Held));
    }

    /// Does something until it ends: the first moment takes no answers.
    fn press_until_over(&mut self, mut press: impl FnMut()) -> Told {
        until("pressing ends it", || {
            press();
            std::thread::sleep(Duration::from_millis(30));
            self.is_over().then_some(())
        });
        self.end()
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.stop.take();
    }
}

fn find(display: &Display) -> Option<Window> {
    let c = &display.connection;
    let mark = c.intern_atom(false, b"_PLAYHEAD_NOTICE").unwrap().reply().unwrap().atom;
    let children = |of| c.query_tree(of).unwrap().reply().map(|tree| tree.children).unwrap_or_default();
    let top = children(display.root);
    let all: Vec<_> = top.iter().copied().chain(top.iter().flat_map(|&window| children(window))).collect();
    all.into_iter().find(|&window| {
        let asked = c.get_property(false, window, mark, AtomEnum::CARDINAL, 0, 1).unwrap().reply();
        asked.is_ok_and(|property| property.value_len == 1)
    })
}

fn press(display: &Display, symbol: u32) {
    let c = &display.connection;
    let setup = c.setup();
    let (first, count) = (setup.min_keycode, setup.max_keycode - setup.min_keycode + 1);
    let map = c.get_keyboard_mapping(first, count).unwrap().reply().unwrap();
    let each = usize::from(map.keysyms_per_keycode);
    let at = map.keysyms.iter().position(|&known| known == symbol).unwrap() / each;
    for kind in [KEY_PRESS_EVENT, KEY_RELEASE_EVENT] {
        c.xtest_fake_input(kind, first + at as u8, 0, x11rb::NONE, 0, 0, 0).unwrap();
    }
    display.sync();
}

fn click(display: &Display, x: i16, y: i16) {
    display.point(x, y);
    for kind in [BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT] {
        display.connection.xtest_fake_input(kind, 1, 0, x11rb::NONE, 0, 0, 0).unwrap();
    }
    display.sync();
}

/// Where a button of this colour is, as the screen shows it.
fn button(display: &Display, colour: u32) -> Option<(i16, i16)> {
    let (width, shot) = (display.size().0 as usize, display.shot());
    let places: Vec<_> = shot
        .iter()
        .enumerate()
        .filter(|(_, pixel)| **pixel & 0xff_ffff == colour)
        .map(|(at, _)| at)
        .collect();
    // The bar at the top of a card has the same colour; a button is below it.
    let last = *places.last()?;
    let row = last / width - 4;
    let in_row: Vec<_> = places.iter().filter(|&&at| at / width == row).collect();
    let middle = (**in_row.first()? % width + **in_row.last()? % width) / 2;
    Some((middle as i16, row as i16))
}

/// A window of somebody else.
fn other(display: &Display, area: (i16, i16, u16, u16)) -> Window {
    let c = &display.connection;
    let id = c.generate_id().unwrap();
    let values = CreateWindowAux::new()
        .override_redirect(1)
        .background_pixel(0x55_aa55)
        .event_mask(EventMask::KEY_PRESS);
    let class = WindowClass::INPUT_OUTPUT;
    c.create_window(24, id, display.root, area.0, area.1, area.2, area.3, 0, class, 0, &values).unwrap();
    c.map_window(id).unwrap();
    display.sync();
    id
}

fn is_on_top(display: &Display, window: Window) -> bool {
    display.connection.query_tree(display.root).unwrap().reply().unwrap().children.last() == Some(&window)
}

#[test]
fn a_notice_is_dismissed_by_mouse_or_keyboard() {
    let display = Display::start(800, 600, &[]);
    let mut shown = Shown::on(&display, Kind::Notice);
    // Enter alone must not do it, however often.
    (0..3).for_each(|_| press(&display, ENTER));
    let place = until("the button is painted", || button(&display, 0x0b_4aa2));
    assert_eq!(shown.press_until_over(|| click(&display, place.0, place.1)), Told::Dismissed);

    let mut shown = Shown::on(&display, Kind::Notice);
    display.point(400, 300);
    let told = shown.press_until_over(|| {
        press(&display, TAB);
        press(&display, ENTER);
    });
    assert_eq!(told, Told::Dismissed);

    let mut shown = Shown::on(&display, Kind::Notice);
    display.point(400, 300);
    assert_eq!(shown.press_until_over(|| press(&display, ESCAPE)), Told::Dismissed);
}

#[test]
fn consent_covers_everything_and_holds_keyboard_and_pointer() {
    let display = Display::start(900, 700, &[]);
    let beneath = other(&display, (0, 0, 900, 700));
    let c = &display.connection;
    c.set_input_focus(x11rb::protocol::xproto::InputFocus::POINTER_ROOT, beneath, x11rb::CURRENT_TIME)
        .unwrap();
    let mut shown = Shown::on(&display, Kind::Consent);
    shown.held();
    until("all is covered", || {
        let shot = display.shot();
        let is_covered = shot.iter().all(|pixel| pixel & 0xff_ffff != 0x55_aa55);
        (is_covered && shot[0] & 0xff_ffff == COVER && shot[900 * 700 - 1] & 0xff_ffff == COVER).then_some(())
    });
    let mode = GrabMode::ASYNC;
    let grab = c.grab_keyboard(false, beneath, x11rb::CURRENT_TIME, mode, mode).unwrap().reply().unwrap();
    assert_eq!(grab.status, GrabStatus::ALREADY_GRABBED);
    while c.poll_for_event().unwrap().is_some() {}
    for symbol in [ENTER, ESCAPE, u32::from(b'a')] {
        press(&display, symbol);
    }
    display.sync();
    let events: Vec<_> = std::iter::from_fn(|| c.poll_for_event().unwrap()).collect();
    let is_key = |event: &x11rb::protocol::Event| matches!(event, x11rb::protocol::Event::KeyPress(_));
    assert!(!events.iter().any(is_key), "{events:?}");
    // Something that comes up later is covered too.
    let later = other(&display, (100, 100, 200, 200));
    until("the cover is above", || is_on_top(&display, shown.id).then_some(()));
    assert!(!shown.is_over());
    let place = until("the button is painted", || button(&display, 0x0b_4aa2));
    assert_eq!(shown.press_until_over(|| click(&display, place.0, place.1)), Told::Accepted);
    // Afterwards everything is there again.
    let grab = until("the keyboard is free", || {
        let grab = c.grab_keyboard(false, later, x11rb::CURRENT_TIME, mode, mode).unwrap().reply().unwrap();
        (grab.status == GrabStatus::SUCCESS).then_some(grab)
    });
    assert_eq!(grab.status, GrabStatus::SUCCESS);
}

#[test]
fn declining_takes_two_keys_and_waits_for_the_keyboard() {
    let display = Display::start(640, 480, &[]);
    let beneath = other(&display, (0, 0, 10, 10));
    let (c, mode) = (&display.connection, GrabMode::ASYNC);
    c.grab_keyboard(false, beneath, x11rb::CURRENT_TIME, mode, mode).unwrap().reply().unwrap();
    let mut shown = Shown::on(&display, Kind::Consent);
    assert!(shown.told.recv_timeout(Duration::from_millis(300)).is_err());
    c.ungrab_keyboard(x11rb::CURRENT_TIME).unwrap();
    display.sync();
    shown.held();
    let told = shown.press_until_over(|| {
        press(&display, ESCAPE);
        press(&display, ENTER);
    });
    assert_eq!(told, Told::Denied);
}

#[test]
fn whoever_takes_a_notice_away_is_found_out() {
    let mut display = Display::start(640, 480, &[]);
    let c = &display.connection;

    let mut shown = Shown::on(&display, Kind::Consent);
    c.kill_client(shown.id).unwrap();
    display.sync();
    assert_eq!(shown.end(), Told::ClosedByForce { how: Force::Killed });

    let mut shown = Shown::on(&display, Kind::Notice);
    c.destroy_window(shown.id).unwrap();
    display.sync();
    assert_eq!(shown.end(), Told::ClosedByForce { how: Force::Destroyed });

    let mut shown = Shown::on(&display, Kind::Notice);
    c.unmap_window(shown.id).unwrap();
    display.sync();
    until("it is mapped again", || {
        let attributes = c.get_window_attributes(shown.id).unwrap().reply().unwrap();
        (attributes.map_state == MapState::VIEWABLE).then_some(())
    });
    let away = ConfigureWindowAux::new().x(5_000).y(5_000);
    c.configure_window(shown.id, &away).unwrap();
    until("it comes back", || {
        let geometry = c.get_geometry(shown.id).unwrap().reply().unwrap();
        ((0..640).contains(&geometry.x) && (0..480).contains(&geometry.y)).then_some(())
    });
    let above = other(&display, (0, 0, 640, 480));
    until("it is on top", || is_on_top(&display, shown.id).then_some(()));
    // Two that both want to be on top do not keep the display busy, and neither gives up.
    for _ in 0..20 {
        c.configure_window(above, &ConfigureWindowAux::new().stack_mode(StackMode::ABOVE)).unwrap();
        display.sync();
    }
    until("it is on top again", || is_on_top(&display, shown.id).then_some(()));

    drop(shown.stop.take());
    assert_eq!(shown.end(), Told::Withdrawn);
    let mut shown = Shown::on(&display, Kind::Consent);
    display.stop();
    assert_eq!(shown.end(), Told::DisplayGone);
}

#[test]
fn consent_goes_before_notices_without_a_fight() {
    let display = Display::start(640, 480, &[]);
    let notice = Shown::on(&display, Kind::Notice);
    let mut consent = Shown::on(&display, Kind::Consent);
    let top =
        || display.connection.query_tree(display.root).unwrap().reply().unwrap().children.last().copied();
    until("consent is above", || (top() != Some(notice.id)).then_some(()));
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(400) {
        assert_ne!(top(), Some(notice.id));
    }
    drop(consent.stop.take());
    assert_eq!(consent.end(), Told::Withdrawn);
    until("the notice is seen", || (top() == Some(notice.id)).then_some(()));
}

#[test]
fn they_follow_the_screen() {
    let Some(display) = Display::resizable(1024, 768, 24) else { return };
    let shown = Shown::on(&display, Kind::Consent);
    shown.held();
    display.resize(800, 600);
    let c = &display.connection;
    for (width, height) in [(800, 600), (1280, 960), (1024, 768)] {
        display.resize(width, height);
        until("the cover fits", || {
            let geometry = c.get_geometry(shown.id).unwrap().reply().unwrap();
            (geometry.width == width && geometry.height == height).then_some(())
        });
        until("all is covered, with a card in the middle", || {
            let (shot, width) = (display.shot(), usize::from(width));
            let at = |x: usize, y: usize| shot[y * width + x] & 0xff_ffff;
            let corners = [at(0, 0), at(width - 1, 0), at(width - 1, usize::from(height) - 1)];
            (corners == [COVER; 3] && shot.iter().filter(|&&p| p & 0xff_ffff == 0xff_ffff).count() > 20_000)
                .then_some(())
        });
    }
    display.divide(512);
    until("there is a card on both monitors", || {
        let shot = display.shot();
        let white = |from: usize, to: usize| {
            (0..768).any(|y| (from..to).any(|x| shot[y * 1024 + x] & 0xff_ffff == 0xff_ffff))
        };
        (white(0, 512) && white(512, 1024)).then_some(())
    });
}

/// A window manager, which ends with the test.
struct Manager(Child);

impl Manager {
    fn start(display: &Display) -> Option<Self> {
        let started = Command::new("openbox")
            .env("DISPLAY", &display.name)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = started else {
            println!("not run: there is no openbox");
            return None;
        };
        let c = &display.connection;
        until("openbox manages the display", || {
            let attributes = c.get_window_attributes(display.root).unwrap().reply().unwrap();
            attributes.all_event_masks.contains(EventMask::SUBSTRUCTURE_REDIRECT).then_some(())
        });
        Some(Self(child))
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn closing_through_the_window_manager_is_no_answer() {
    let display = Display::start(800, 600, &[]);
    let Some(_manager) = Manager::start(&display) else { return };
    let c = &display.connection;
    let mut shown = Shown::on(&display, Kind::Notice);
    let atom = |name: &[u8]| c.intern_atom(false, name).unwrap().reply().unwrap().atom;
    let close = ClientMessageEvent::new(32, shown.id, atom(b"_NET_CLOSE_WINDOW"), [0, 2, 0, 0, 0]);
    let mask = EventMask::SUBSTRUCTURE_NOTIFY | EventMask::SUBSTRUCTURE_REDIRECT;
    c.send_event(false, display.root, mask, close).unwrap();
    display.sync();
    assert_eq!(shown.end(), Told::ClosedByForce { how: Force::Closed });

    // Put away, it comes back.
    let mut shown = Shown::on(&display, Kind::Notice);
    let iconic = ClientMessageEvent::new(32, shown.id, atom(b"WM_CHANGE_STATE"), [3, 0, 0, 0, 0]);
    c.send_event(false, display.root, mask, iconic).unwrap();
    display.sync();
    until("it is seen again", || {
        let attributes = c.get_window_attributes(shown.id).unwrap().reply().unwrap();
        (attributes.map_state == MapState::VIEWABLE).then_some(())
    });
    let told = shown.press_until_over(|| {
        if let Some((x, y)) = button(&display, 0x0b_4aa2) {
            click(&display, x, y);
        }
    });
    assert_eq!(told, Told::Dismissed);

    let shown = Shown::on(&display, Kind::Consent);
    shown.held();
    until("all is covered", || (display.shot()[0] & 0xff_ffff == COVER).then_some(()));
}

#[test]
fn requests_that_cannot_be_are_refused() {
    let good = || Request { display: ":1".into(), title: "T".into(), ..Request::default() };
    for (request, expected) in [
        (Request { display: String::new(), ..good() }, "the display"),
        (Request { title: String::new(), ..good() }, "1 to 200 characters, got 0"),
        (Request { title: "x".repeat(201), ..good() }, "got 201"),
        (Request { text: "x".repeat(4_001), ..good() }, "got 4001"),
        (Request { language: "x".repeat(65), ..good() }, "65 bytes"),
    ] {
        let error = request.checked().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let clean = Request { title: "a\u{7}b\nc".into(), ..good() }.checked().unwrap();
    assert_eq!(clean.title, "ab c");
    let nowhere = Request { display: ":4711".into(), ..good() };
    let (reader, _writer) = std::io::pipe().unwrap();
    let error = show(nowhere, reader.as_fd(), &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("display :4711"), "{error}");
}
