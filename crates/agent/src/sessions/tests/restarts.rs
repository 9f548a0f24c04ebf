//! Agents that were killed, and started again.

use super::*;
use crate::spool::Queue;
use playhead_model::GapCause;
use std::{fs, path::Path};
use x11rb::{
    protocol::xproto::{AtomEnum, ConnectionExt as _, PropMode},
    wrapper::ConnectionExt as _,
};

/// What an agent leaves that is killed while it records a display's session.
struct Left {
    display: Display,
    recording: RecordingId,
    folder: TempDir,
    mark: Vec<u8>,
}

impl Left {
    /// Records, and takes up what there is as if the agent had been killed then. `policy` has become active meanwhile, if any.
    fn behind(policy: Option<&str>) -> Self {
        let display = Display::start(320, 240, &[]);
        let mut stage = Stage::start(tempfile::tempdir().unwrap());
        stage.desk.policy(system(1, "record"));
        stage.desk.saw(vec![seen(&display)]);
        let recording = stage.recording("a recording", Action::Record, true).unwrap();
        let queue = stage.spool.get(recording).unwrap();
        until("a first picture", || !queue.is_unused());
        if let Some(policy) = policy {
            stage.desk.policy(system(2, policy));
            let kept = stage.folder.path().join("policy.json");
            until("the policy", || fs::read_to_string(&kept).is_ok_and(|text| text.contains(policy)));
        }
        let known = stage.folder.path().join("sessions.json");
        until("the plan to be remembered", || {
            fs::read_to_string(&known).is_ok_and(|text| text.contains("\"record\""))
        });
        let folder = copy(stage.folder.path());
        let mark = mark(&display);
        assert!(!mark.is_empty());
        stage.stop();
        Self { display, recording, folder, mark }
    }

    /// Changes what is being done with the session.
    fn set_action(&self, action: &str) {
        let known = self.folder.path().join("sessions.json");
        let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&known).unwrap()).unwrap();
        json["sessions"][0]["plan"]["action"] = action.into();
        fs::write(&known, json.to_string()).unwrap();
    }

    /// The next run of the agent, in a folder of its own.
    fn start(&self) -> Stage {
        let c = &self.display.connection;
        c.change_property8(
            PropMode::REPLACE,
            self.display.root,
            atom(&self.display),
            AtomEnum::STRING,
            &self.mark,
        )
        .unwrap();
        self.display.sync();
        Stage::start(copy(self.folder.path()))
    }

    fn queue(&self, stage: &Stage) -> Arc<Queue> {
        stage.spool.get(self.recording).unwrap()
    }
}

fn copy(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    let done = std::process::Command::new("cp").arg("-a").arg(folder.join(".")).arg(copy.path()).status();
    assert!(done.unwrap().success());
    copy
}

fn atom(display: &Display) -> u32 {
    display.connection.intern_atom(false, b"_PLAYHEAD_RECORDING").unwrap().reply().unwrap().atom
}

fn mark(display: &Display) -> Vec<u8> {
    let c = &display.connection;
    c.get_property(false, display.root, atom(display), AtomEnum::STRING, 0, 64)
        .unwrap()
        .reply()
        .unwrap()
        .value
}

pub(super) fn until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn nothing_is_left_open_whenever_the_next_run_is_stopped() {
    let left = Left::behind(None);
    for round in 0..16 {
        let mut stage = left.start();
        if round > 0 {
            stage.desk.saw(vec![seen(&left.display)]);
            // From before the recording could go on to when it does.
            std::thread::sleep(Duration::from_millis(round * round));
        }
        stage.stop();
        let open: Vec<_> = stage.spool.all().into_iter().filter(|queue| !queue.has_ended()).collect();
        assert!(open.is_empty(), "round {round}: {} are open", open.len());
        assert!(left.queue(&stage).has_ended());
        assert!(mark(&left.display).is_empty(), "the next recording is another");
    }
}

#[test]
fn a_recording_goes_on_though_another_policy_waits_for_the_next_segment() {
    let mut left = Left::behind(Some("do-not-record"));
    for _ in 0..8 {
        let mut stage = left.start();
        stage.desk.saw(vec![seen(&left.display)]);
        let on = stage.recording("the same recording", Action::Record, true);
        assert_eq!(on, Some(left.recording));
        let queue = left.queue(&stage);
        until("a gap", || queue.unsent().last_gap.is_some_and(|gap| gap.cause == GapCause::AgentRestarted));
        assert!(!queue.has_ended());
        // The policy comes with the next file all the same.
        let full = RecordingSettings { rollover_seconds: 1, ..RecordingSettings::default() };
        stage.registry.set_settings(left.recording, full);
        left.display.act();
        stage.recording("no recording", Action::Disable, false);
        until("its end to be queued", || queue.has_ended());
    }
}

#[test]
fn a_session_that_is_known_goes_on_without_its_mark() {
    let mut left = Left::behind(None);
    let mark_of_it = std::mem::take(&mut left.mark);
    let mut stage = left.start();
    stage.desk.saw(vec![seen(&left.display)]);
    assert_eq!(stage.recording("the same recording", Action::Record, true), Some(left.recording));
    assert_eq!(mark(&left.display), mark_of_it);
}

#[test]
fn a_recording_of_pictures_does_not_become_one_of_events() {
    let left = Left::behind(None);
    left.set_action("events");
    let mut stage = left.start();
    stage.desk.saw(vec![seen(&left.display)]);
    let other = stage.recording("another recording", Action::Events, true).unwrap();
    assert_ne!(other, left.recording);
    assert!(left.queue(&stage).has_ended());
}

#[test]
fn what_was_to_be_recorded_no_more_is_ended() {
    let left = Left::behind(None);
    left.set_action("disable");
    let mut stage = left.start();
    assert!(!left.queue(&stage).has_ended());
    stage.desk.saw(vec![seen(&left.display)]);
    stage.recording("no recording", Action::Disable, false);
    let queue = left.queue(&stage);
    until("the recording to end", || queue.has_ended());
    until("the mark to be gone", || mark(&left.display).is_empty());
}

#[test]
fn a_session_is_remembered_before_anything_of_it_is_recorded() {
    let display = Display::start(320, 240, &[]);
    let mut stage = Stage::start(tempfile::tempdir().unwrap());
    // Nothing is decided yet, and nothing recorded.
    stage.desk.saw(vec![seen(&display)]);
    let id = stage.until("the session", |sessions| Some(sessions.first()?.id));
    assert_eq!(alive(stage.folder.path(), &clock::boot_id().unwrap()), [id]);
    assert!(stage.spool.all().is_empty());
}
