//! Masked windows on a real X server: not a pixel of theirs may come through, whatever they do.

use super::judge::Process;
use crate::capture::{Screen, testing::Display};
use playhead_model::Mask;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};
use x11rb::{
    connection::Connection as _,
    protocol::{
        shape::ConnectionExt as _,
        xproto::{ConnectionExt as _, *},
    },
    rust_connection::RustConnection,
    wrapper::ConnectionExt as _,
};

/// Nothing else has this colour.
const SECRET: u32 = 0x00ff_00ff;
const PLAIN: u32 = 0x0020_8040;
const OTHER: u32 = 0x0060_60c0;

/// A program with windows.
pub(crate) struct Client {
    c: RustConnection,
    root: Window,
    gc: Gcontext,
    colour: u32,
}

impl Client {
    pub(crate) fn new(display: &str, colour: u32) -> Self {
        let (c, screen) = x11rb::connect(Some(display)).unwrap();
        let root = c.setup().roots[screen].root;
        let gc = c.generate_id().unwrap();
        c.create_gc(gc, root, &CreateGCAux::new().foreground(colour).graphics_exposures(0)).unwrap();
        Self { c, root, gc, colour }
    }

    /// A window; without a background it shows what was there before.
    fn window(&self, parent: Window, place: Rectangle, redirect: bool, background: bool) -> Window {
        let id = self.c.generate_id().unwrap();
        let mut values = CreateWindowAux::new().override_redirect(u32::from(redirect));
        if background {
            values = values.background_pixel(self.colour);
        }
        let Rectangle { x, y, width, height } = place;
        let class = WindowClass::INPUT_OUTPUT;
        self.c.create_window(0, id, parent, x, y, width, height, 2, class, 0, &values).unwrap();
        id
    }

    fn class(&self, window: Window, class: &str) {
        let text = format!("{class}\0{class}\0");
        let atom = AtomEnum::WM_CLASS;
        self.c.change_property8(PropMode::REPLACE, window, atom, AtomEnum::STRING, text.as_bytes()).unwrap();
    }

    fn map(&self, window: Window) {
        self.c.map_window(window).unwrap();
    }

    fn draw(&self, window: Window) {
        let all = Rectangle { x: 0, y: 0, width: 2_000, height: 2_000 };
        self.c.poly_fill_rectangle(window, self.gc, &[all]).unwrap();
    }

    fn sync(&self) {
        self.c.sync().unwrap();
    }
}

fn place(x: i16, y: i16, width: u16, height: u16) -> Rectangle {
    Rectangle { x, y, width, height }
}

fn masks(texts: &[&str]) -> Vec<Mask> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn open(display: &Display, texts: &[&str]) -> Screen {
    let mut screen = Screen::open(&display.name, None, &masks(texts)).unwrap();
    each_its_own_process(&mut screen);
    screen.update().unwrap();
    screen
}

/// All clients of a test are of one process: it does as if they were of others.
pub(crate) fn each_its_own_process(screen: &mut Screen) {
    if let Some(masks) = &mut screen.masks {
        masks.process_of = |_, _| Ok(Process::Foreign);
    }
}

fn pixels(screen: &Screen) -> Vec<u32> {
    let picture = screen.picture();
    picture.data.chunks_exact(4).map(|p| u32::from_le_bytes([p[0], p[1], p[2], 0])).collect()
}

fn pixel(screen: &Screen, x: usize, y: usize) -> u32 {
    pixels(screen)[y * screen.picture().width as usize + x]
}

/// Takes pictures until one is as wanted. None of them may show the secret.
fn until(screen: &mut Screen, what: &str, wanted: impl Fn(&[u32]) -> bool) {
    let end = Instant::now() + Duration::from_secs(15);
    loop {
        let happened = screen.events().unwrap();
        if happened.drawn {
            screen.update().unwrap();
        }
        let now = pixels(screen);
        assert!(!now.contains(&SECRET), "the secret shows while waiting for {what}");
        if wanted(&now) {
            return;
        }
        let trail = screen.masks.as_ref().map(|masks| (&masks.trail, &masks.visible, masks.next()));
        assert!(Instant::now() < end, "waited in vain for {what}: {trail:?}");
        let rest = screen.rest().unwrap_or(Duration::from_millis(50)).min(Duration::from_millis(50));
        let mut fds = [nix::poll::PollFd::new(screen.fd(), nix::poll::PollFlags::POLLIN)];
        nix::poll::poll(&mut fds, rest.as_millis() as u16 + 1).unwrap();
    }
}

#[test]
fn only_what_can_be_seen_of_a_masked_window_is_covered() {
    let display = Display::start(640, 480, &[]);
    let (secret, other) = (Client::new(&display.name, SECRET), Client::new(&display.name, OTHER));
    let mut screen = open(&display, &["class=secret,colour=white"]);
    let hidden = secret.window(secret.root, place(100, 100, 200, 150), false, true);
    secret.class(hidden, "Secret");
    secret.map(hidden);
    secret.sync();
    let at = |x: usize, y: usize| y * 640 + x;
    until(&mut screen, "the mask", |now| now[at(200, 200)] == 0xff_ffff && now[at(100, 100)] == 0xff_ffff);
    assert_eq!(pixel(&screen, 99, 99), 0);
    assert_eq!(screen.applied_masks(), masks(&["class=secret,colour=white"]));

    let above = other.window(other.root, place(150, 120, 50, 50), false, true);
    other.class(above, "other");
    other.map(above);
    other.sync();
    until(&mut screen, "the window above", |now| {
        now[at(160, 130)] == OTHER && now[at(120, 130)] == 0xff_ffff
    });
    // Seen through a hole in the window above.
    let hole = [place(0, 0, 10, 10)];
    let (set, kind) = (x11rb::protocol::shape::SO::SUBTRACT, x11rb::protocol::shape::SK::BOUNDING);
    other.c.shape_rectangles(set, kind, ClipOrdering::UNSORTED, above, 2, 2, &hole).unwrap();
    other.sync();
    until(&mut screen, "the hole", |now| now[at(160, 130)] == 0xff_ffff);

    secret.c.unmap_window(hidden).unwrap();
    secret.sync();
    until(&mut screen, "the end of the mask", |now| now.iter().all(|pixel| *pixel != 0xff_ffff));
    assert!(pixels(&screen) == display.shot());
    assert_eq!(screen.rest(), None, "nothing is waited for");
}

#[test]
fn what_is_left_behind_stays_covered_until_it_is_drawn_over() {
    let display = Display::start(640, 480, &[]);
    let (secret, hung) = (Client::new(&display.name, SECRET), Client::new(&display.name, PLAIN));
    let manager = Client::new(&display.name, OTHER);
    let frame = manager.window(manager.root, place(45, 45, 410, 310), true, true);
    manager.class(frame, "frame");
    manager.map(frame);
    manager.sync();
    let below = hung.window(frame, place(3, 3, 400, 300), false, false);
    hung.class(below, "hung");
    hung.map(below);
    hung.draw(below);
    hung.sync();
    let mut screen = open(&display, &["class=secret,colour=grey"]);
    let hidden = secret.window(secret.root, place(100, 100, 100, 100), true, true);
    secret.class(hidden, "secret");
    secret.map(hidden);
    secret.sync();
    let at = |x: usize, y: usize| y * 640 + x;
    until(&mut screen, "the mask", |now| now[at(150, 150)] == 0x80_8080);
    secret.c.unmap_window(hidden).unwrap();
    secret.sync();
    assert!(display.shot().contains(&SECRET), "the window below has no background");
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(1) {
        // The window manager draws the frame around it, which changes nothing there.
        manager.draw(frame);
        manager.sync();
        until(&mut screen, "nothing", |now| now[at(150, 150)] == 0x80_8080);
        thread::sleep(Duration::from_millis(20));
    }
    // The window manager moves it: it takes along what it shows.
    manager.c.configure_window(frame, &ConfigureWindowAux::new().x(145).y(145)).unwrap();
    manager.sync();
    until(&mut screen, "the moved trail", |now| now[at(250, 250)] == 0x80_8080);
    assert!(display.shot()[at(250, 250)] == SECRET);
    hung.draw(below);
    hung.sync();
    let shot = display.shot();
    until(&mut screen, "the end of the trail", |now| now == shot);
}

#[test]
fn a_window_that_tells_its_class_late_is_never_shown() {
    let display = Display::start(640, 480, &[]);
    let mut screen = open(&display, &["class=secret"]);
    let secret = Client::new(&display.name, SECRET);
    let late = secret.window(secret.root, place(10, 10, 100, 100), false, true);
    secret.map(late);
    secret.sync();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(700) {
        until(&mut screen, "nothing", |_| true);
        thread::sleep(Duration::from_millis(10));
    }
    assert!(screen.applied_masks().is_empty(), "nobody knows yet");
    secret.class(late, "secret");
    secret.sync();
    until(&mut screen, "the mask", |_| true);
    thread::sleep(Duration::from_millis(2_100));
    until(&mut screen, "nothing", |_| true);
    assert!(!screen.applied_masks().is_empty());
    // One that never tells is shown after a while.
    let nameless = Client::new(&display.name, PLAIN);
    let window = nameless.window(nameless.root, place(300, 300, 50, 50), false, true);
    nameless.map(window);
    nameless.sync();
    until(&mut screen, "a window without a class", |now| now[320 * 640 + 320] == PLAIN);
}

#[test]
fn a_process_is_masked_by_its_name_from_the_first_picture_on() {
    let display = Display::start(640, 480, &[]);
    let secret = Client::new(&display.name, SECRET);
    let own = std::env::current_exe().unwrap().file_name().unwrap().to_string_lossy().into_owned();
    let hidden = secret.window(secret.root, place(10, 10, 300, 300), false, true);
    secret.map(hidden);
    secret.sync();
    let texts = ["class=nobody", &format!("process={own},colour=grey")];
    let mut screen = Screen::open(&display.name, None, &masks(&texts)).unwrap();
    screen.update().unwrap();
    assert!(!pixels(&screen).contains(&SECRET));
    assert_eq!(pixel(&screen, 50, 50), 0x80_8080);
    assert_eq!(screen.applied_masks()[0].process.as_deref(), Some(own.as_str()));
}

#[test]
fn under_a_compositing_manager_everything_is_covered() {
    let display = Display::start(640, 480, &[]);
    let (secret, manager) = (Client::new(&display.name, SECRET), Client::new(&display.name, PLAIN));
    let mut screen = open(&display, &["class=secret,colour=white"]);
    let (owner, hidden) = (
        manager.window(manager.root, place(0, 0, 1, 1), false, false),
        secret.window(secret.root, place(10, 10, 30, 30), false, true),
    );
    let atom = manager.c.intern_atom(false, b"_NET_WM_CM_S0").unwrap().reply().unwrap().atom;
    manager.c.set_selection_owner(owner, atom, x11rb::CURRENT_TIME).unwrap();
    manager.sync();
    secret.class(hidden, "secret");
    secret.map(hidden);
    secret.sync();
    until(&mut screen, "everything covered", |now| now.iter().all(|pixel| *pixel == 0xff_ffff));
    secret.c.unmap_window(hidden).unwrap();
    secret.sync();
    until(&mut screen, "the end of it", |now| now.iter().all(|pixel| *pixel == 0));
}

/// Does everything that windows can do, for as long as wanted.
pub(crate) fn misbehave(display: &str, seed: u64, stop: &AtomicBool) {
    let mut state = seed | 1;
    let mut random = move |below: u32| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u32 % below
    };
    let manager = Client::new(display, OTHER);
    let innocent = Client::new(display, PLAIN);
    let mut secret = Client::new(display, SECRET);
    let mut hidden: Vec<Window> = Vec::new();
    let frame = manager.window(manager.root, place(20, 20, 300, 250), false, true);
    manager.class(frame, "frame");
    manager.map(frame);
    let others: Vec<Window> = (0..4)
        .map(|at| {
            let spot = place(at * 90, at * 70, 220, 180);
            // Two of them keep what was there before until they draw.
            let window = innocent.window(innocent.root, spot, false, at % 2 == 0);
            innocent.class(window, "innocent");
            innocent.map(window);
            innocent.draw(window);
            window
        })
        .collect();
    manager.sync();
    innocent.sync();
    while !stop.load(Ordering::Relaxed) {
        let spot = place(
            random(640) as i16 - 60,
            random(480) as i16 - 60,
            20 + random(250) as u16,
            20 + random(200) as u16,
        );
        let other = others[random(others.len() as u32) as usize];
        let any = hidden.get(random(hidden.len().max(1) as u32) as usize).copied();
        let moved = ConfigureWindowAux::new().x(i32::from(spot.x)).y(i32::from(spot.y));
        match (random(20), any) {
            (0..=2, _) | (_, None) if hidden.len() < 8 => {
                let parent = if random(5) == 0 { frame } else { secret.root };
                let window = secret.window(parent, spot, random(3) == 0, random(3) > 0);
                if hidden.is_empty() || random(2) == 0 {
                    secret.class(window, "secret");
                }
                secret.map(window);
                secret.draw(window);
                hidden.push(window);
            }
            (3..=5, Some(window)) => _ = secret.c.configure_window(window, &moved).unwrap(),
            (6, Some(window)) => {
                let size = moved.width(u32::from(spot.width)).height(u32::from(spot.height));
                secret.c.configure_window(window, &size).unwrap();
                secret.draw(window);
            }
            (7, Some(window)) => _ = secret.c.unmap_window(window).unwrap(),
            (8, Some(window)) => {
                secret.map(window);
                secret.draw(window);
            }
            (9, Some(window)) => {
                let mode = if random(2) == 0 { StackMode::ABOVE } else { StackMode::BELOW };
                secret.c.configure_window(window, &ConfigureWindowAux::new().stack_mode(mode)).unwrap();
            }
            (10, Some(window)) => {
                secret.c.copy_area(window, window, secret.gc, 0, 0, 15, 20, spot.width, spot.height).unwrap();
            }
            (11, Some(window)) => {
                // As window managers do it.
                let parent = if random(2) == 0 { frame } else { manager.root };
                manager.c.reparent_window(window, parent, spot.x / 3, spot.y / 3).unwrap();
                manager.map(window);
            }
            (12, _) => _ = manager.c.configure_window(frame, &moved).unwrap(),
            (13 | 14, _) => {
                let mode = if random(2) == 0 { StackMode::ABOVE } else { StackMode::BELOW };
                innocent.c.configure_window(other, &moved.stack_mode(mode)).unwrap();
            }
            (15, _) => {
                // Scrolls, and draws what is missing a moment later, as programs do.
                innocent.c.copy_area(other, other, innocent.gc, 0, 10, 0, 0, 300, 300).unwrap();
                innocent.draw(other);
            }
            (16, _) => {
                manager.c.circulate_window(Circulate::RAISE_LOWEST, manager.root).unwrap();
            }
            (17, Some(window)) => {
                secret.c.destroy_window(window).unwrap();
                hidden.retain(|other| *other != window);
            }
            (18, Some(_)) if random(8) == 0 => {
                // The application ends and is started again.
                hidden.clear();
                secret = Client::new(display, SECRET);
            }
            (_, Some(window)) => secret.draw(window),
            _ => {}
        }
        if random(3) == 0 {
            secret.sync();
            manager.sync();
            innocent.sync();
        }
        thread::sleep(Duration::from_micros(u64::from(random(1_500))));
    }
    // What is left behind is drawn over.
    drop(secret);
    others.iter().for_each(|other| _ = innocent.c.destroy_window(*other).unwrap());
    manager.c.destroy_window(frame).unwrap();
    manager.sync();
    innocent.sync();
}

#[test]
fn whatever_windows_do_nothing_of_the_masked_ones_comes_through() {
    for (seed, shared) in [(1, &[][..]), (2, &[][..]), (3, &["-extension", "MIT-SHM"][..])] {
        let display = Display::start(640, 480, shared);
        let mut screen = open(&display, &["class=secret,colour=grey"]);
        let stop = AtomicBool::new(false);
        let (mut pictures, mut covered) = (0, 0);
        thread::scope(|scope| {
            let worker = scope.spawn(|| misbehave(&display.name, seed, &stop));
            let end = Instant::now() + Duration::from_secs(6);
            let mut wrong = None;
            // On a machine that is busy otherwise it takes as long as it takes.
            while (Instant::now() < end || pictures <= 20 || covered <= pictures / 2)
                && wrong.is_none()
                && !worker.is_finished()
            {
                screen.events().unwrap();
                screen.update().unwrap();
                let now = pixels(&screen);
                pictures += 1;
                covered += usize::from(now.contains(&0x80_8080));
                wrong = now.iter().position(|pixel| *pixel == SECRET);
                thread::sleep(Duration::from_millis(2));
            }
            stop.store(true, Ordering::Relaxed);
            worker.join().unwrap();
            assert_eq!(wrong.map(|at| (at % 640, at / 640)), None, "seed {seed}, picture {pictures}");
        });
        assert!(pictures > 20 && covered > pictures / 2, "{pictures} pictures, {covered} with a mask");
        let shot = display.shot();
        until(&mut screen, "the desktop without them", |now| now == shot);
    }
}
