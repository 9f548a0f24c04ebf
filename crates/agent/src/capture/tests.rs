//! Capturing a real X server: every picture must be what the server itself says that it shows.

use super::{testing::Display, *};
use std::time::{Duration, Instant};
use x11rb::protocol::xproto::ChangeWindowAttributesAux;

/// Waits until the display tells of something that `wanted` likes.
fn wait_for(screen: &mut Screen, wanted: impl Fn(Happened) -> bool) -> Happened {
    let until = Instant::now() + Duration::from_secs(10);
    let mut all = Happened::default();
    while Instant::now() < until {
        all.add(screen.events().unwrap());
        if wanted(all) {
            return all;
        }
        let mut fds = [nix::poll::PollFd::new(screen.fd(), nix::poll::PollFlags::POLLIN)];
        nix::poll::poll(&mut fds, 100u8).unwrap();
    }
    panic!("waited in vain, {all:?} happened");
}

fn pixels(screen: &Screen) -> Vec<u32> {
    let picture = screen.picture();
    picture.data.chunks_exact(4).map(|p| u32::from_le_bytes([p[0], p[1], p[2], 0])).collect()
}

#[test]
fn the_copy_equals_the_display_whatever_is_drawn() {
    for arguments in [&[][..], &["-extension", "MIT-SHM"][..]] {
        let mut display = Display::start(640, 480, arguments);
        let mut screen = Screen::open(&display.name, None, &[]).unwrap();
        assert_eq!(screen.update().unwrap(), [Rect { x: 0, y: 0, width: 640, height: 480 }]);
        assert_eq!(pixels(&screen), display.shot());
        for round in 0..60 {
            for _ in 0..=round % 4 {
                display.act();
            }
            wait_for(&mut screen, |happened| happened.drawn);
            let rects = screen.update().unwrap();
            assert!(!rects.is_empty());
            assert!(pixels(&screen) == display.shot(), "{arguments:?} round {round}");
        }
        assert_eq!(screen.update().unwrap(), [], "nobody drew");
    }
}

#[test]
fn another_size_is_taken_over() {
    let Some(mut display) = Display::resizable(1280, 1024, 24) else { return };
    let mut screen = Screen::open(&display.name, None, &[]).unwrap();
    screen.update().unwrap();
    for wanted in [(1024, 768), (640, 480), (1280, 1024)] {
        display.resize(wanted.0, wanted.1);
        display.act();
        wait_for(&mut screen, |happened| happened.resized);
        assert!(screen.resize().unwrap());
        assert!(!screen.resize().unwrap());
        screen.update().unwrap();
        let picture = screen.picture();
        assert_eq!((picture.width, picture.height), (wanted.0.into(), wanted.1.into()));
        assert!(pixels(&screen) == display.shot());
        assert_eq!(screen.monitors().unwrap()[0].width, u32::from(wanted.0));
    }
}

#[test]
fn a_display_that_shrinks_unnoticed_is_no_failure() {
    let Some(mut display) = Display::resizable(1280, 1024, 32) else { return };
    let mut screen = Screen::open(&display.name, None, &[]).unwrap();
    screen.update().unwrap();
    display.act();
    display.resize(640, 480);
    screen.frame.forget();
    screen.update().unwrap();
    assert!(pixels(&screen) == display.shot());
}

#[test]
fn the_pointer_is_followed_without_its_picture_in_the_picture() {
    let display = Display::start(640, 480, &[]);
    let mut screen = Screen::open(&display.name, None, &[]).unwrap();
    screen.update().unwrap();
    screen.events().unwrap();
    let still = display.shot();
    for (x, y) in [(100, 50), (639, 479), (3, 4)] {
        display.point(x, y);
        let happened = wait_for(&mut screen, |happened| happened.moved);
        assert!(!happened.drawn, "moving the pointer draws nothing");
        assert_eq!(screen.place().unwrap(), Place { x: x.into(), y: y.into(), visible: true });
    }
    let c = &display.connection;
    let (font, cursor) = (c.generate_id().unwrap(), c.generate_id().unwrap());
    c.open_font(font, b"cursor").unwrap();
    c.create_glyph_cursor(cursor, font, font, 34, 35, u16::MAX, 0, 0, 0, 0, 0).unwrap();
    c.change_window_attributes(display.root, &ChangeWindowAttributesAux::new().cursor(cursor)).unwrap();
    display.sync();
    wait_for(&mut screen, |happened| happened.reshaped);
    let CursorMessage::Shape { width, height, hot_x, rgba, .. } = screen.shape().unwrap() else { panic!() };
    assert!(width > 4 && height > 4 && hot_x < width);
    assert!(rgba.chunks_exact(4).any(|pixel| pixel == [255, 0, 0, 255]), "a red crosshair");
    screen.update().unwrap();
    assert!(pixels(&screen) == still);
}

#[test]
fn a_mark_stays_with_the_display() {
    let display = Display::start(320, 200, &[]);
    let screen = Screen::open(&display.name, None, &[]).unwrap();
    assert_eq!(screen.mark("_PLAYHEAD_TEST").unwrap(), None);
    screen.set_mark("_PLAYHEAD_TEST", Some("abc def")).unwrap();
    drop(screen);
    let screen = Screen::open(&display.name, None, &[]).unwrap();
    assert_eq!(screen.mark("_PLAYHEAD_TEST").unwrap().as_deref(), Some("abc def"));
    screen.set_mark("_PLAYHEAD_TEST", None).unwrap();
    assert_eq!(screen.mark("_PLAYHEAD_TEST").unwrap(), None);
}

#[test]
fn displays_that_cannot_be_captured_are_named() {
    let error = Screen::open(":7999", None, &[]).err().unwrap();
    assert!(error.is_gone());
    assert!(error.to_string().contains("there is no display :7999"), "{error}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth");
    let cookie = |display: &str, data: &[u8]| {
        let mut bytes = 0xffffu16.to_be_bytes().to_vec();
        for text in [b"", display.as_bytes(), b"MIT-MAGIC-COOKIE-1", data] {
            bytes.extend((text.len() as u16).to_be_bytes());
            bytes.extend(text);
        }
        bytes
    };
    std::fs::write(&path, cookie("", &[7; 16])).unwrap();
    let mut server = std::process::Command::new("Xvfb");
    server.args(["-displayfd", "1", "-nolisten", "tcp", "-screen", "0", "320x200x24", "-auth"]).arg(&path);
    let mut server =
        server.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    let mut pipe = std::io::BufReader::new(server.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut pipe, &mut line).unwrap();
    let name = format!(":{}", line.trim());

    let mut screen = Screen::open(&name, Some(&path), &[]).unwrap();
    assert!(screen.monitors().unwrap().len() == 1);
    let other = folder.path().join("other");
    std::fs::write(&other, cookie("", &[8; 16])).unwrap();
    let error = Screen::open(&name, Some(&other), &[]).err().unwrap().to_string();
    assert!(error.contains("XAUTHORITY") && error.contains("other"), "{error}");
    let error = Screen::open(&name, Some(&folder.path().join("none")), &[]).err().unwrap().to_string();
    assert!(error.contains("none"), "{error}");

    server.kill().unwrap();
    server.wait().unwrap();
    let error = loop {
        match screen.events() {
            Ok(_) => std::thread::yield_now(),
            Err(error) => break error,
        }
    };
    assert!(error.is_gone(), "{error}");
    let number = line.trim();
    for path in [format!("/tmp/.X{number}-lock"), format!("/tmp/.X11-unix/X{number}")] {
        let _ = std::fs::remove_file(path);
    }
    // Two bytes a pixel.
    let display = std::process::Command::new("Xvfb")
        .args(["-displayfd", "1", "-nolisten", "tcp", "-screen", "0", "320x200x16"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn();
    let mut display = display.unwrap();
    let mut line = String::new();
    let mut pipe = std::io::BufReader::new(display.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut pipe, &mut line).unwrap();
    let error = Screen::open(&format!(":{}", line.trim()), None, &[]).err().unwrap().to_string();
    assert!(error.contains("depth 16"), "{error}");
    let _ =
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(display.id() as i32), nix::sys::signal::SIGTERM);
    display.wait().unwrap();
}

#[test]
fn monitors_are_told_and_looked_at_again_when_they_change() {
    let display = Display::start(640, 480, &[]);
    for masks in [vec![], vec!["class=nobody".parse().unwrap()]] {
        let mut screen = Screen::open(&display.name, None, &masks).unwrap();
        screen.update().unwrap();
        let before = screen.monitors().unwrap();
        display.divide(100 + 100 * before.len() as u16);
        let happened = wait_for(&mut screen, |happened| happened.resized);
        assert!(!screen.resize().unwrap(), "the picture is as large as before, {happened:?}");
        let monitors = screen.monitors().unwrap();
        let wide: Vec<_> = monitors.iter().map(|monitor| (monitor.name.as_str(), monitor.width)).collect();
        let left = 100 + 100 * before.len() as u32;
        assert!(wide.contains(&("left", left)) && wide.contains(&("right", 640 - left)), "{wide:?}");
    }
}
