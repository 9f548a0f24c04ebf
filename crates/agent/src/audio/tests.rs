//! Listening as a whole, to a server that plays what it is told.

use super::{testing::Server, *};
use crate::clock::Now;
use std::path::Path;

fn tone(seconds: f64) -> Vec<u8> {
    let count = (seconds * 48_000.0) as u32;
    (0..count).flat_map(|at| [((at * 331) as i16 / 4).to_le_bytes(); 2].concat()).collect()
}

fn silence(seconds: f64) -> Vec<u8> {
    vec![0; (seconds * 48_000.0) as usize * 4]
}

struct Room {
    sound: Sound,
    reader: Arc<Control>,
    status: Arc<Status>,
}

impl Room {
    fn enter(path: &Path) -> Self {
        let (reader, status) = (Arc::new(Control::new().unwrap()), Arc::new(Status::default()));
        let display =
            DisplaySettings { sound_server: Some(path.to_owned()), ..DisplaySettings::new(":4321") };
        let settings = AudioSettings { enabled: true, ..AudioSettings::default() };
        let sound = Sound::start(&display, &settings, &reader, &status).unwrap();
        Self { sound, reader, status }
    }

    /// Waits until so many packets have been heard.
    fn hear(&self, packets: usize) -> Vec<Heard> {
        let mut heard = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(20);
        while heard.iter().map(|heard: &Heard| heard.packets.len()).sum::<usize>() < packets {
            assert!(Instant::now() < deadline, "heard only {heard:?}");
            self.reader.wait(None, Some(Duration::from_secs(1))).unwrap();
            self.reader.take();
            heard.extend(self.sound.take());
        }
        heard
    }

    fn wait_for_report(&self, wanted: impl Fn(&SoundReport) -> bool) -> SoundReport {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let report = self.status.sound_of(":4321");
            if let Some(report) = report.clone().filter(&wanted) {
                return report;
            }
            assert!(Instant::now() < deadline, "{report:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn what_is_played_is_heard_and_silence_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("native");
    let mut server = Server::start(&path);
    let mut room = Room::enter(&path);
    room.sound.set_watched(true);
    let before = Now::read().boot_us;
    server.play(&[silence(0.5), tone(0.3), silence(1.0)].concat());
    let heard = room.hear(25);
    // 15 packets of sound and a fifth of a second after it, in stretches of a tenth, since somebody watches.
    assert_eq!(heard.iter().map(|heard| heard.packets.len()).sum::<usize>(), 25);
    assert!(heard[0].begins && heard[1..].iter().all(|heard| !heard.begins && heard.packets.len() <= 5));
    assert!(heard.windows(2).all(|pair| pair[1].boot_us.abs_diff(pair[0].boot_us + 100_000) < 40_000));
    assert!(heard[0].boot_us.saturating_sub(before) > 300_000, "half a second after it began");
    let report = room.wait_for_report(|report| report.sink.is_some());
    assert_eq!((report.sink.as_deref(), report.error), (Some("speaker"), None));
    let message = heard[1].clone().message(heard[1].boot_us - 7).unwrap();
    assert_eq!((message.at_us, message.channels), (7, 2));
    assert_eq!(heard[1].clone().message(heard[1].boot_us + 1), None);
    assert!(room.sound.finish().is_empty());
    assert_eq!(room.status.sound_of(":4321"), None);
}

#[test]
fn a_sink_that_goes_away_and_a_server_that_dies_are_looked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("native");
    let room = Room::enter(&path);
    let report = room.wait_for_report(|report| report.error.is_some());
    assert!(report.error.unwrap().contains("no sound server at"));
    let mut server = Server::start(&path);
    server.play(&tone(0.1));
    // What is no whole stretch yet is handed over when nothing more comes.
    assert!(room.hear(5)[0].begins);
    server.kill();
    server.play(&tone(0.1));
    assert!(room.hear(5)[0].begins);
    server.stop();
    room.wait_for_report(|report| report.error.as_ref().is_some_and(|error| error.contains("is gone")));
}

#[test]
fn what_nobody_takes_is_bounded() {
    let reader = Arc::new(Control::new().unwrap());
    let outbox = Outbox::new(reader);
    for boot_us in 0..1_000 {
        outbox.put(Heard { boot_us, begins: false, packets: vec![vec![1]] });
    }
    let waiting = outbox.take();
    assert_eq!((waiting.len(), waiting.back().map(|heard| heard.boot_us)), (MOST_WAITING, Some(999)));
}
