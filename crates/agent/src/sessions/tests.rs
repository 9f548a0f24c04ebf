//! A real display's session under policies and commands.

mod restarts;

use super::*;
use crate::{
    capture::testing::Display,
    clock,
    control::Registry,
    discover::Client,
    session::Host,
    settings::{Settings, SpoolSettings},
    spool::Spool,
    status::Status,
};
use bytes::Bytes;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use playhead_model::{
    RecordingSettings, RemoteProtocol, SessionInfo, SessionState, WallTime, policy::Action,
};
use playhead_protocol::message::{FromAgent, from_agent::Kind};
use serde_json::json;
use std::{
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tempfile::TempDir;

struct Stage {
    desk: Arc<Desk>,
    registry: Arc<Registry>,
    spool: Arc<Spool>,
    folder: TempDir,
    thread: Option<JoinHandle<()>>,
    answers: Vec<FromAgent>,
}

impl Stage {
    fn start(folder: TempDir) -> Self {
        let spool = Spool::open(&folder.path().join("spool"), SpoolSettings::default()).unwrap();
        let (desk, registry, spool) = (Arc::new(Desk::new().unwrap()), Arc::default(), Arc::new(spool));
        let settings = Settings { data: folder.path().to_owned(), ..Settings::default() };
        let host = Host {
            name: "pc1".into(),
            boot_id: clock::boot_id().unwrap(),
            agent: "agent".into(),
            signer: crate::testing::signer(),
        };
        let parts = Parts {
            settings,
            host,
            spool: Arc::clone(&spool),
            registry: Arc::clone(&registry),
            status: Arc::new(Status::default()),
            desk: Arc::clone(&desk),
        };
        let keeper = Keeper::start(parts).unwrap();
        let thread = Some(std::thread::spawn(move || keeper.run()));
        let mut stage = Self { desk, registry, spool, folder, thread, answers: Vec::new() };
        // The first look finds nothing, for nothing is to be looked for.
        stage.until("a first look", |_| Some(()));
        stage
    }

    /// Waits until the sessions are as wanted.
    fn until<T>(&mut self, what: &str, wanted: impl Fn(&[SessionInfo]) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            let tellings = self.desk.tellings();
            self.answers.extend(tellings.answers);
            if let Some(sessions) = tellings.sessions {
                let all: Vec<SessionInfo> = sessions.into_values().chain(tellings.ended).collect();
                if let Some(found) = wanted(&all) {
                    return found;
                }
            }
            assert!(start.elapsed() < Duration::from_secs(20), "waited in vain for {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for the end of a recording, or for one.
    fn recording(&mut self, what: &str, action: Action, records: bool) -> Option<RecordingId> {
        self.until(what, |sessions| {
            let now = &sessions.first()?.recording;
            (now.action == action && now.recording.is_some() == records).then_some(now.recording)
        })
    }

    fn command(&mut self, number: u8, what: &str, session: SessionId) -> String {
        let id = Bytes::copy_from_slice(&[number; 16]);
        let command = json!({ "do": what, "session": session, "notify": false, "by": "ada" });
        self.desk.command(id.clone(), &command.to_string());
        let start = Instant::now();
        loop {
            self.answers.extend(self.desk.tellings().answers);
            let done = self.answers.iter().rev().find_map(|answer| match &answer.kind {
                Some(Kind::CommandDone(done)) if done.command == id => Some(done.error.clone()),
                _ => None,
            });
            if let Some(error) = done {
                return error;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "no answer to {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn stop(&mut self) {
        self.desk.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop();
    }
}

fn seen(display: &Display) -> Seen {
    let path = format!("/tmp/.X11-unix/X{}", &display.name[1..]);
    let socket = std::os::unix::net::UnixStream::connect(path).unwrap();
    let peer = getsockopt(&socket, PeerCredentials).unwrap();
    Seen {
        display: display.name.clone(),
        server: Process::of(peer.pid().cast_unsigned()).unwrap(),
        user: nix::unistd::getuid().as_raw(),
        protocol: RemoteProtocol::Local,
        state: SessionState::Connected,
        client: Client::default(),
        started_at: WallTime::from_micros(1),
        xauthority: None,
        application: None,
        is_starting: false,
    }
}

fn system(revision: u64, id: &str) -> String {
    json!({ "revision": revision, "id": id }).to_string()
}

#[test]
fn policies_come_with_the_next_segment_and_commands_at_once() {
    let mut display = Display::start(320, 240, &[]);
    let mut stage = Stage::start(tempfile::tempdir().unwrap());
    stage.desk.policy(system(1, "record"));
    let start = Instant::now();
    stage.desk.saw(vec![seen(&display)]);
    let first = stage.recording("a recording", Action::Record, true).unwrap();
    let took = start.elapsed();
    assert!(took < Duration::from_secs(2), "recorded after {took:?}");
    let info = stage.spool.get(first).unwrap().started().info.clone();
    let session = info.session.unwrap();
    assert!(!session.events_only && matches!(session.decided, Decided::Policy { revision: 1, .. }));

    // Another policy waits for the segment to be full, also where nobody draws.
    stage.desk.policy(system(2, "do-not-record"));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(stage.recording("the same recording", Action::Record, true), Some(first));
    let full = RecordingSettings { rollover_seconds: 2, ..RecordingSettings::default() };
    stage.registry.set_settings(first, full);
    display.act();
    stage.recording("no recording", Action::Disable, false);
    let ended = stage.spool.get(first).unwrap();
    restarts::until("its end to be queued", || ended.has_ended());

    // What is not recorded stays so when a policy would record it, until somebody wants it.
    stage.desk.policy(system(3, "record"));
    std::thread::sleep(Duration::from_millis(300));
    stage.recording("no recording", Action::Disable, false);
    assert_eq!(stage.command(1, "start-recording", session.id), "");
    let second = stage.recording("one by request", Action::Record, true).unwrap();
    assert_ne!(first, second);
    let start = Instant::now();
    assert_eq!(stage.command(2, "stop-recording", session.id), "");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    stage.recording("no recording", Action::Disable, false);
    assert_eq!(stage.command(2, "stop-recording", session.id), "", "the same command once more");
    assert_eq!(stage.command(3, "stop-recording", session.id), "", "nothing to stop");
    let unknown = stage.command(4, "stop-recording", SessionId::from_bytes([9; 16]));
    assert!(unknown.contains("no session"), "{unknown}");

    // The session's end.
    display.stop();
    stage.desk.saw(Vec::new());
    stage.until("the session's end", |sessions| {
        sessions.iter().any(|session| session.state == SessionState::Ended).then_some(())
    });
    let revisions: Vec<u64> = stage
        .answers
        .iter()
        .filter_map(|answer| match &answer.kind {
            Some(Kind::PolicyTaken(taken)) if taken.error.is_empty() => Some(taken.revision),
            _ => None,
        })
        .collect();
    assert_eq!(revisions, [1, 2, 3]);
}

#[test]
fn an_agent_that_is_started_again_goes_on_with_the_same_session_and_recording() {
    let display = Display::start(320, 240, &[]);
    let mut stage = Stage::start(tempfile::tempdir().unwrap());
    stage.desk.policy(system(1, "events"));
    stage.desk.saw(vec![seen(&display)]);
    let recording = stage.recording("a recording of events", Action::Events, true).unwrap();
    let info = stage.spool.get(recording).unwrap().started().info.clone();
    let session = info.session.unwrap();
    assert!(session.events_only);
    assert!(!session.users.is_empty());
    let known = std::fs::read_to_string(stage.folder.path().join("sessions.json")).unwrap();
    assert!(known.contains(&session.id.to_string()));
    stage.stop();
    let folder = std::mem::replace(&mut stage.folder, tempfile::tempdir().unwrap());
    drop(stage);
    assert_eq!(alive(folder.path(), &clock::boot_id().unwrap()), [session.id]);

    // It was stopped in an orderly way: the recording has ended, the session has not.
    let mut stage = Stage::start(folder);
    stage.desk.saw(vec![seen(&display)]);
    let again = stage.recording("another recording", Action::Events, true).unwrap();
    assert_ne!(again, recording);
    let info = stage.spool.get(again).unwrap().started().info.clone();
    assert_eq!(info.session.map(|session| session.id), Some(session.id));
}

#[test]
fn without_a_policy_the_settings_count_and_the_first_policy_comes_at_once() {
    let display = Display::start(320, 240, &[]);
    let mut stage = Stage::start(tempfile::tempdir().unwrap());
    stage.desk.saw(vec![seen(&display)]);
    let start = Instant::now();
    stage.recording("a recording all the same", Action::RecordWithNotice, true);
    assert!(start.elapsed() > Duration::from_secs(2), "a policy is waited for");
    stage.desk.policy(system(1, "do-not-record"));
    stage.recording("none", Action::Disable, false);
}
