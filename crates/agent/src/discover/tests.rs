//! Real X servers come and go.

use super::*;
use crate::capture::testing::Display;
use std::{
    sync::mpsc::{Receiver, channel},
    thread::{self, JoinHandle},
};

struct Looking {
    watch: Arc<Watch>,
    seen: Receiver<Vec<Seen>>,
    thread: Option<JoinHandle<()>>,
}

impl Looking {
    fn start(named: Vec<u32>, all: bool) -> Self {
        let watch = Arc::new(Watch { bell: Bell::new().unwrap(), stop: AtomicBool::new(false) });
        let (sender, seen) = channel();
        let looking = Arc::clone(&watch);
        let scope = Scope { named, all, applications: Applications::default() };
        let thread = thread::spawn(move || run(&scope, &looking, |seen| sender.send(seen).unwrap()));
        Self { watch, seen, thread: Some(thread) }
    }

    /// The first report that is wanted, and how long it took.
    fn until<T>(&self, wanted: impl Fn(Vec<Seen>) -> Option<T>) -> (T, Duration) {
        let start = Instant::now();
        loop {
            let seen = self.seen.recv_timeout(Duration::from_secs(20)).expect("a report in time");
            if let Some(found) = wanted(seen) {
                return (found, start.elapsed());
            }
        }
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.watch.stop.store(true, Ordering::Relaxed);
        self.watch.bell.ring();
        self.thread.take().unwrap().join().unwrap();
    }
}

#[test]
fn a_display_is_seen_as_it_comes_and_as_it_goes() {
    let looking = Looking::start(Vec::new(), true);
    let mut display = Display::start(320, 240, &[]);
    let name = display.name.clone();
    let find = |seen: Vec<Seen>| seen.into_iter().find(|session| session.display == name);
    let (session, took) = looking.until(find);
    assert!(took < Duration::from_secs(2), "seen after {took:?}");
    assert_eq!((session.protocol, session.state), (RemoteProtocol::Local, SessionState::Connected));
    assert!(session.server.is_alive());
    let age = crate::clock::Now::read().wall.as_micros() - session.started_at.as_micros();
    assert!((0..20_000_000).contains(&age), "{age} us old");
    display.stop();
    let (_, took) = looking.until(|seen| seen.iter().all(|session| session.display != name).then_some(()));
    assert!(took < Duration::from_secs(4), "gone after {took:?}");
}

#[test]
fn an_xvnc_is_one_and_only_named_displays_are_looked_for_where_that_is_wanted() {
    let Some(display) = Display::resizable(320, 240, 24) else { return };
    let other = Display::start(320, 240, &[]);
    let number: u32 = display.name[1..].parse().unwrap();
    let looking = Looking::start(vec![number], false);
    let (session, _) = looking.until(|mut seen| {
        assert!(seen.iter().all(|session| session.display != other.name));
        seen.pop()
    });
    assert_eq!((session.display.as_str(), session.protocol), (display.name.as_str(), RemoteProtocol::Vnc));
    assert_eq!((session.state, session.client), (SessionState::Disconnected, Client::default()));
}

#[test]
fn a_socket_at_which_nobody_listens_is_no_session() {
    let path = std::path::Path::new(SOCKETS).join("X7654");
    let _ = std::fs::remove_file(&path);
    let listener = std::os::unix::net::UnixListener::bind(&path);
    drop(listener.unwrap());
    let looking = Looking::start(vec![7_654], false);
    let (seen, _) = looking.until(Some);
    assert_eq!(seen, []);
    drop(looking);
    std::fs::remove_file(&path).unwrap();
}
