//! The whole way from a real X server into the queue: what is queued must play to what the display shows.

use super::*;
use crate::{
    capture::testing::Display,
    settings::{SpoolSettings, WhenFull},
};
use playhead_format::{
    Chain, Channel, CursorMessage, EventMessage, FragmentHead, MetaMessage, event::NoticeEvent, open_fragment,
};
use playhead_model::{GapCause, RecordingId, RecordingSettings};
use playhead_screen::Decoder;
use std::{
    path::Path,
    process::Command,
    thread::{self, JoinHandle},
    time::Instant,
};
use tempfile::TempDir;

/// A display's thread and what it needs.
struct Stage {
    folder: TempDir,
    spool: Arc<Spool>,
    registry: Arc<Registry>,
    control: Arc<Control>,
    thread: Option<JoinHandle<()>>,
    display: String,
}

impl Stage {
    fn start(display: &str, quota_bytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::in_folder(folder, display, quota_bytes)
    }

    fn in_folder(folder: TempDir, display: &str, quota_bytes: u64) -> Self {
        Self::with(folder, display, SpoolSettings { quota_bytes, ..SpoolSettings::default() })
    }

    fn with(folder: TempDir, display: &str, settings: SpoolSettings) -> Self {
        Self::masked(folder, display, settings, Vec::new())
    }

    fn masked(folder: TempDir, display: &str, settings: SpoolSettings, masks: Vec<Mask>) -> Self {
        let spool = Arc::new(Spool::open(&folder.path().join("spool"), settings).unwrap());
        let registry = Arc::new(Registry::default());
        let control = Arc::new(Control::new().unwrap());
        let context = Context {
            display: DisplaySettings::new(display),
            masks,
            audio: AudioSettings::default(),
            picture: PictureSettings::default(),
            host: Host {
                name: "pc1".into(),
                boot_id: "boot".into(),
                agent: "agent".into(),
                signer: crate::testing::signer(),
            },
            spool: Arc::clone(&spool),
            registry: Arc::clone(&registry),
            control: Arc::clone(&control),
            status: Arc::default(),
            session: None,
            progress: Arc::default(),
        };
        let thread = Some(thread::spawn(move || run(&context)));
        Self { folder, spool, registry, control, thread, display: display.into() }
    }

    fn stop(&mut self) {
        self.control.wish(|wishes| wishes.stop = true);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    /// The only recording there is, once it plays to `shot`.
    fn until_it_shows(&self, id: RecordingId, shot: &[u32]) -> Played {
        wait_for("the picture", || {
            let played = self.play(id);
            (played.pixels == shot).then_some(played)
        })
    }

    fn newest(&self) -> Option<RecordingId> {
        let all = self.spool.all();
        let newest = all.last().filter(|queue| !queue.is_unused())?;
        assert_eq!(newest.started().info.display, self.display);
        Some(newest.id())
    }

    /// Checks and plays a recording's whole queue.
    fn play(&self, id: RecordingId) -> Played {
        self.play_watching(id, |_| {})
    }

    /// The same, looking at every picture.
    fn play_watching(&self, id: RecordingId, look: impl Fn(&[u32])) -> Played {
        let queue = self.spool.get(id).unwrap();
        let (mut chain, mut decoder, mut played) = (Chain::new(id), Decoder::new(), Played::default());
        for (number, _) in queue.waiting(0) {
            let open = open_fragment(&queue.read(number).unwrap()).unwrap();
            chain.accept(&open).unwrap();
            played.heads.push(*open.head());
            for message in open.messages().map(Result::unwrap) {
                match Channel::from_id(message.channel) {
                    Some(Channel::Screen) => {
                        decoder.decode(message.data).unwrap();
                        played.pictures.push(message.log_time_us);
                        look(decoder.pixels());
                    }
                    Some(Channel::Event) => played.events.push(EventMessage::parse(message.data)),
                    Some(Channel::Meta) => played.metas.push(MetaMessage::parse(message.data)),
                    Some(Channel::Cursor) => {
                        played.pointer.extend(CursorMessage::parse(message.data).unwrap());
                    }
                    _ => {}
                }
            }
        }
        played.size = (decoder.width(), decoder.height());
        played.pixels = decoder.pixels().to_vec();
        played
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop();
    }
}

#[derive(Default)]
struct Played {
    heads: Vec<FragmentHead>,
    metas: Vec<MetaMessage>,
    pointer: Vec<CursorMessage>,
    events: Vec<EventMessage>,
    /// Media times.
    pictures: Vec<u64>,
    size: (u32, u32),
    pixels: Vec<u32>,
}

impl Played {
    fn gaps(&self) -> Vec<(u64, u64, GapCause)> {
        let gap = |meta: &MetaMessage| match *meta {
            MetaMessage::Gap { from_us, to_us, cause } => Some((from_us, to_us, cause)),
            _ => None,
        };
        self.metas.iter().filter_map(gap).collect()
    }

    fn end(&self) -> Option<EndReason> {
        self.metas.iter().find_map(|meta| match meta {
            MetaMessage::End { reason, .. } => Some(*reason),
            _ => None,
        })
    }
}

fn wait_for<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until {
        if let Some(done) = done() {
            return done;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("waited in vain for {what}");
}

const ROOM: u64 = 1 << 30;

#[test]
fn a_session_plays_to_what_the_display_shows() {
    let mut display = Display::start(800, 600, &[]);
    let mut stage = Stage::start(&display.name, ROOM);
    let id = wait_for("a recording", || stage.newest());
    stage.until_it_shows(id, &display.shot());
    stage.registry.set_watched(id, true);
    for round in 0..12 {
        for _ in 0..=round % 5 {
            display.act();
        }
        display.point(round * 20, round * 10);
        stage.until_it_shows(id, &display.shot());
    }
    // Drawn in the last moment.
    display.act();
    let shot = display.shot();
    stage.stop();
    let played = stage.play(id);
    assert!(played.pixels == shot);
    assert_eq!((played.end(), played.gaps().len()), (Some(EndReason::AgentStopped), 0));
    assert!(played.pointer.contains(&CursorMessage::Place { x: 220, y: 110, visible: true }));
    assert!(played.pointer.iter().any(|message| matches!(message, CursorMessage::Shape { .. })));
    assert!(Screen::open(&display.name, None, &[]).unwrap().mark("_PLAYHEAD_RECORDING").unwrap().is_none());
    let info = stage.spool.get(id).unwrap().started().info.clone();
    assert_eq!((info.host.as_str(), info.monitors[0].width), ("pc1", 800));
}

#[test]
fn a_new_size_is_recorded() {
    let Some(mut display) = Display::resizable(1024, 768, 24) else { return };
    let stage = Stage::start(&display.name, ROOM);
    let id = wait_for("a recording", || stage.newest());
    for (width, height) in [(800, 600), (1280, 720), (640, 480)] {
        display.act();
        display.resize(width, height);
        display.act();
        let played = stage.until_it_shows(id, &display.shot());
        assert_eq!(played.size, (width.into(), height.into()));
        assert!(played.heads.last().unwrap().segment == 0);
    }
}

#[test]
fn a_still_display_makes_nothing() {
    let display = Display::start(640, 480, &[]);
    let stage = Stage::start(&display.name, ROOM);
    let id = wait_for("a recording", || stage.newest());
    stage.until_it_shows(id, &display.shot());
    let before = stage.play(id).heads.len();
    thread::sleep(Duration::from_secs(2));
    assert_eq!(stage.play(id).heads.len(), before);
}

#[test]
fn the_end_of_the_display_ends_the_recording_and_the_next_session_is_another() {
    let mut display = Display::start(640, 480, &[]);
    let name = display.name.clone();
    let mut stage = Stage::start(&name, ROOM);
    let first = wait_for("a recording", || stage.newest());
    display.act();
    stage.until_it_shows(first, &display.shot());
    display.stop();
    let played = wait_for("the end", || Some(stage.play(first)).filter(|played| played.end().is_some()));
    assert_eq!((played.end(), played.gaps().len()), (Some(EndReason::SessionEnded), 0));

    let mut display = Display::start(320, 200, &[&name]);
    assert_eq!(display.name, name);
    let second = wait_for("the next recording", || stage.newest().filter(|id| *id != first));
    display.act();
    stage.until_it_shows(second, &display.shot());
    stage.stop();
}

#[test]
fn what_ended_a_session_is_recorded_though_that_is_gone_by_then() {
    let mut display = Display::start(320, 240, &[]);
    let stage = Stage::start(&display.name, ROOM);
    let id = wait_for("a recording", || stage.newest());
    let denied = EventMessage::Notice { what: NoticeEvent::Denied };
    display.stop();
    stage.control.wish(|wishes| wishes.add_event(denied.clone()));
    let queue = stage.spool.get(id).unwrap();
    wait_for("its end", || queue.has_ended().then_some(()));
    assert_eq!(stage.play(id).events, [denied]);
}

#[test]
fn a_killed_agent_goes_on_with_the_same_recording_and_declares_the_gap() {
    let mut display = Display::start(640, 480, &[]);
    let mut first = Stage::start(&display.name, ROOM);
    let id = wait_for("a recording", || first.newest());
    display.act();
    let before = first.until_it_shows(id, &display.shot());
    // What a killed agent leaves: its queue with a half-written fragment, and its mark on the display.
    let screen = Screen::open(&display.name, None, &[]).unwrap();
    let mark = screen.mark("_PLAYHEAD_RECORDING").unwrap().unwrap();
    let left = copy(first.folder.path());
    first.stop();
    screen.set_mark("_PLAYHEAD_RECORDING", Some(&mark)).unwrap();

    let mut second = Stage::in_folder(left, &display.name, ROOM);
    display.act();
    let after = wait_for("the recording to go on", || {
        Some(second.play(id)).filter(|played| played.gaps().len() == 1 && played.pixels == display.shot())
    });
    assert_eq!(second.newest(), Some(id));
    let [(from_us, to_us, GapCause::AgentRestarted)] = after.gaps()[..] else { panic!("{:?}", after.gaps()) };
    assert_eq!(from_us, before.heads.last().unwrap().end_us);
    assert!(to_us > from_us);
    assert_eq!(after.heads.last().unwrap().segment, 1);
    second.stop();
    assert_eq!(second.play(id).end(), Some(EndReason::AgentStopped));

    // An agent that finds an unended recording of a display that has gone ends it.
    let left = copy(second.folder.path());
    display.stop();
    let queue = std::fs::read_dir(left.path().join("spool").join(id.to_string())).unwrap();
    let newest =
        queue.map(|entry| entry.unwrap().path()).filter(|path| path.to_string_lossy().ends_with(".queue"));
    let newest = newest.max().unwrap();
    let length = std::fs::metadata(&newest).unwrap().len();
    std::fs::File::options().write(true).open(&newest).unwrap().set_len(length - 5).unwrap();
    let third = Stage::in_folder(left, &display.name, ROOM);
    wait_for("the end", || third.play(id).end().filter(|reason| *reason == EndReason::AgentLost));
}

#[test]
fn a_full_queue_pauses_the_recording_and_declares_the_gap() {
    let mut display = Display::start(640, 480, &[]);
    let mut stage = Stage::start(&display.name, 1_500_000);
    let id = wait_for("a recording", || stage.newest());
    stage
        .registry
        .set_settings(id, RecordingSettings { frame_rate: 30, fragment_ms: 100, ..Default::default() });
    wait_for("the queue to be full", || {
        display.noise();
        (!stage.spool.has_room()).then_some(())
    });
    let queue = stage.spool.get(id).unwrap();
    let full = wait_for("the pause", || {
        let before = queue.waiting(0).len();
        display.noise();
        thread::sleep(Duration::from_millis(400));
        (queue.waiting(0).len() == before).then_some(before)
    });
    stage.spool.raise_quota(ROOM);
    let played = stage.until_it_shows(id, &display.shot());
    assert!(played.heads.len() > full);
    let gaps = played.gaps();
    assert!(gaps.iter().all(|gap| gap.2 == GapCause::QueueFull) && !gaps.is_empty());
    stage.stop();
    assert_eq!(stage.play(id).end(), Some(EndReason::AgentStopped));
}

#[test]
fn an_agent_whose_queue_is_gone_goes_on_with_the_same_recording() {
    let mut display = Display::start(640, 480, &[]);
    let mut first = Stage::start(&display.name, ROOM);
    let id = wait_for("a recording", || first.newest());
    display.act();
    first.until_it_shows(id, &display.shot());
    let info = first.spool.get(id).unwrap().started().clone();
    let screen = Screen::open(&display.name, None, &[]).unwrap();
    let mark = screen.mark("_PLAYHEAD_RECORDING").unwrap().unwrap();
    first.stop();
    screen.set_mark("_PLAYHEAD_RECORDING", Some(&mark)).unwrap();

    let mut second = Stage::start(&display.name, ROOM);
    display.act();
    let played = wait_for("the recording to go on", || {
        let played = second.spool.get(id).map(|_| second.play(id))?;
        (played.pixels == display.shot()).then_some(played)
    });
    assert_eq!(second.newest(), Some(id));
    assert!(played.heads[0].start_us > 0, "media time goes on");
    let queue = second.spool.get(id).unwrap();
    let again = queue.started();
    assert_eq!((&again.info, again.start_boot_us), (&info.info, info.start_boot_us));
    queue.settle(17).unwrap();
    assert_eq!((queue.number(0), queue.holes(0).0.unwrap().cause), (17, GapCause::AgentRestarted));

    // Deleted while it runs: what comes next cannot be queued, and goes into a new queue.
    std::fs::remove_dir_all(second.folder.path().join("spool")).unwrap();
    second.registry.set_settings(
        id,
        RecordingSettings { rollover_seconds: 60, rollover_bytes: 1 << 20, ..Default::default() },
    );
    wait_for("another queue", || {
        display.noise();
        let now = second.spool.get(id)?;
        (!Arc::ptr_eq(&now, &queue) && !now.is_unused()).then_some(())
    });
    assert_eq!(second.newest(), Some(id));
    second.stop();

    // Another agent's mark is none of ours.
    screen.set_mark("_PLAYHEAD_RECORDING", Some(&mark.replace(" agent", " other"))).unwrap();
    let third = Stage::start(&display.name, ROOM);
    let other = wait_for("a recording", || third.newest());
    assert_ne!(other, id);
}

#[test]
fn the_newest_is_kept_and_a_full_disk_pauses_all_the_same() {
    let mut display = Display::start(640, 480, &[]);
    let folder = tempfile::tempdir().unwrap();
    let settings =
        SpoolSettings { quota_bytes: 2_500_000, when_full: WhenFull::KeepNewest, ..SpoolSettings::default() };
    let mut stage = Stage::with(folder, &display.name, settings);
    let id = wait_for("a recording", || stage.newest());
    stage
        .registry
        .set_settings(id, RecordingSettings { frame_rate: 30, fragment_ms: 100, ..Default::default() });
    let queue = stage.spool.get(id).unwrap();
    // One segment fills the queue: it goes, and another begins.
    wait_for("the first segment to go", || {
        display.noise();
        (queue.first().is_some_and(|(first, _)| first > 0)).then_some(())
    });
    wait_for("the newest picture", || {
        let newest = queue.waiting(0).last()?.0;
        let open = open_fragment(&queue.read(queue.seq_of(newest)?).ok()?).ok()?;
        display.act();
        (open.head().segment > 0).then_some(())
    });
    // Others fill the disk, and there is nothing left to let go of.
    stage.spool.take_space(u64::MAX);
    let report = || crate::standing::QueueReport::of(&stage.spool);
    wait_for("the pause", || {
        display.act();
        report().recordings.first()?.error.clone().filter(|error| error.contains("free"))
    });
    stage.spool.take_space(0);
    wait_for("the recording to go on", || {
        display.act();
        report().recordings[0].error.is_none().then_some(())
    });
    assert!(report().gaps >= 2);
    stage.stop();
}

#[test]
fn a_full_queue_stops_the_session_and_what_comes_later_is_another_recording() {
    let mut display = Display::start(640, 480, &[]);
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told");
    let command = format!("echo $PLAYHEAD_DISPLAY $PLAYHEAD_RECORDING >> {}", told.display());
    let settings = SpoolSettings {
        quota_bytes: 1_500_000,
        when_full: WhenFull::StopSession,
        stop_command: Some(command),
        ..SpoolSettings::default()
    };
    let mut stage = Stage::with(folder, &display.name, settings);
    let id = wait_for("a recording", || stage.newest());
    stage
        .registry
        .set_settings(id, RecordingSettings { frame_rate: 30, fragment_ms: 100, ..Default::default() });
    let played = wait_for("the end", || {
        display.noise();
        Some(stage.play(id)).filter(|played| played.end().is_some())
    });
    assert_eq!(played.end(), Some(EndReason::Stopped));
    let text =
        wait_for("the command", || std::fs::read_to_string(&told).ok().filter(|text| text.ends_with('\n')));
    assert_eq!(text, format!("{} {id}\n", display.name));
    stage.spool.raise_quota(ROOM);
    display.act();
    let next = wait_for("the next recording", || stage.newest().filter(|next| *next != id));
    stage.until_it_shows(next, &display.shot());
    stage.stop();
    assert_eq!(std::fs::read_to_string(told).unwrap(), text, "once");
}

fn copy(folder: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    let done = Command::new("cp").arg("-r").arg(folder.join("spool")).arg(to.path()).status();
    assert!(done.unwrap().success());
    to
}

#[test]
fn pictures_come_slower_where_they_take_long_and_never_stop() {
    assert_eq!(pace(100_000, 3_000), 100_000);
    assert_eq!(pace(33_333, 20_000), 40_000);
    assert_eq!(pace(33_333, 16_000), 33_333, "and back again");
    assert_eq!(pace(33_333, u64::MAX), SLOWEST_US);
}

#[test]
fn thirty_pictures_a_second_and_none_where_nothing_happens() {
    let mut display = Display::start(320, 240, &[]);
    let mut stage = Stage::start(&display.name, ROOM);
    let id = wait_for("a recording", || stage.newest());
    stage.control.wish(|wishes| {
        wishes.settings = Some(RecordingSettings { frame_rate: 30, ..RecordingSettings::default() });
    });
    let shot = display.shot();
    stage.until_it_shows(id, &shot);
    for _ in 0..200 {
        display.act();
        thread::sleep(Duration::from_millis(5));
    }
    let shot = display.shot();
    stage.until_it_shows(id, &shot);
    thread::sleep(Duration::from_millis(500));
    stage.stop();
    let played = stage.play(id);
    let apart: Vec<u64> = played.pictures.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // The first few are still at the rate from before.
    assert!(apart.iter().skip(2).all(|apart| *apart >= 33_333), "{apart:?}");
    assert!(apart.iter().filter(|apart| **apart < 70_000).count() > 6, "faster than by default: {apart:?}");
    assert!(apart.len() < 60, "{}", apart.len());
}

#[test]
fn no_picture_that_is_recorded_shows_a_masked_window() {
    use crate::mask::tests::misbehave;
    const SECRET: u32 = 0x00ff_00ff;
    let display = Display::start(640, 480, &[]);
    // The clients of this test are one process: the innocent ones among them are masked as well, but never uncovered by that.
    let masks = vec!["class=secret,colour=white".parse().unwrap()];
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::masked(folder, &display.name, SpoolSettings::default(), masks);
    let id = wait_for("a recording", || stage.newest());
    let stop = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| misbehave(&display.name, 11, &stop));
        thread::sleep(Duration::from_secs(5));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    // Where the machine is slow, everything was covered for most of the time. Not for ever.
    stage.until_it_shows(id, &display.shot());
    stage.stop();
    let played = stage.play_watching(id, |pixels| assert!(!pixels.contains(&SECRET)));
    let mask = played.metas.iter().find_map(|meta| match meta {
        MetaMessage::Mask { masks } => masks.first(),
        _ => None,
    });
    assert_eq!(mask.and_then(|mask| mask.class.as_deref()), Some("secret"));
    assert!(played.pictures.len() > 2, "{}", played.pictures.len());
}

#[test]
fn monitors_that_change_are_noted_and_stand_in_later_segments() {
    let display = Display::start(640, 480, &[]);
    let mut stage = Stage::start(&display.name, ROOM);
    let id = wait_for("a recording", || stage.newest());
    let names = |meta: &MetaMessage| match meta {
        MetaMessage::Monitors { monitors } => Some(monitors.iter().map(|one| one.name.clone()).collect()),
        _ => None,
    };
    let told = |stage: &Stage| stage.play(id).metas.iter().filter_map(names).next_back();
    display.divide(300);
    wait_for("word of the monitors", || {
        let told: Option<Vec<String>> = told(&stage);
        told.filter(|names| names.iter().any(|name| name == "right"))
    });
    stage.control.wish(|wishes| {
        wishes.settings = Some(RecordingSettings { rollover_seconds: 0, ..RecordingSettings::default() });
    });
    let at_start = wait_for("another segment", || {
        display.divide(301);
        let metas = stage.play(id).metas;
        let infos = metas.into_iter().filter_map(|meta| match meta {
            MetaMessage::Recording { info } => Some(info.monitors),
            _ => None,
        });
        Some(infos.collect::<Vec<_>>()).filter(|infos| infos.len() > 1)
    });
    assert_eq!(at_start[0].len(), 1);
    assert!(at_start.last().unwrap().iter().any(|monitor| monitor.name == "right"));
    stage.stop();
}
