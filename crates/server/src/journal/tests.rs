use super::{writer::Closed, *};
use crate::fragments::{Made, Tape};
use crate::{
    recordings::{Live, Outgoing, Recordings, Session},
    space::Space,
    start::declared,
};
use playhead_db::site::RecordingRow;
use playhead_format::open_fragment;
use playhead_model::{AgentId, RecordingState, ServerId, WallTime};
use playhead_protocol::message::{FromServer, Refusal, from_server::Kind};
use std::collections::BTreeMap;
use tempfile::TempDir;

/// A journal in a folder of its own.
struct Desk {
    folder: TempDir,
    recordings: Arc<Recordings>,
    space: Arc<Space>,
    journal: Journal,
    thread: std::thread::JoinHandle<()>,
    recovered: Known,
}

/// What was in the journal when it was opened: recording and numbers of its fragments.
type Known = BTreeMap<String, Vec<u64>>;

fn known(recovered: &Recovered) -> Known {
    recovered
        .recordings
        .iter()
        .map(|(id, entries)| (id.to_string(), entries.keys().copied().collect()))
        .collect()
}

impl Desk {
    fn open(folder: TempDir, file_bytes: u64) -> Self {
        let recovered = recover(&folder.path().join("journal")).unwrap();
        let recordings = Arc::new(Recordings::default());
        let space = Arc::new(Space::new([folder.path().to_owned()], 0).unwrap());
        let known = known(&recovered);
        let settings = JournalSettings { folder: folder.path().join("journal"), file_bytes };
        let outlets = Outlets {
            recordings: Arc::clone(&recordings),
            space: Arc::clone(&space),
            metrics: crate::metrics::Metrics::new(),
            shared: None,
        };
        let (journal, thread) = Journal::start(settings, recovered, outlets).unwrap();
        Self { folder, recordings, space, journal, thread, recovered: known }
    }

    fn new(file_bytes: u64) -> Self {
        Self::open(tempfile::tempdir().unwrap(), file_bytes)
    }

    fn live(&self, tape: &Tape) -> (Arc<Live>, Arc<Session>) {
        let row = RecordingRow {
            info: tape.info.clone(),
            agent: AgentId::from_bytes([1; 16]),
            server: ServerId::from_bytes([2; 16]),
            state: RecordingState::Live,
            ended_at: None,
            duration_us: 0,
            bytes: 0,
            fragments: 0,
            segments: 0,
            width: 0,
            height: 0,
            gaps: 0,
            events: 0,
            end_reason: None,
            problem: None,
            quarantined_at: None,
            heard_at: WallTime::from_micros(0),
            connected: false,
            contents: playhead_model::Contents::default(),
            privacy: playhead_db::site::Privacy::default(),
        };
        let live = self.recordings.get_or_insert(tape.id(), || Live::new(&row, &[]));
        let session = Session::new(tape.id(), Arc::new(Outgoing::default()));
        live.take_over(&session);
        (live, session)
    }

    async fn append(&self, live: &Arc<Live>, session: &Arc<Session>, made: &Made) -> Result<(), Closed> {
        let opened = open_fragment(&made.bytes).unwrap();
        let (gaps, end) = declared(&opened);
        let append = Append {
            live: Arc::clone(live),
            session: Arc::clone(session),
            record: made.bytes.clone(),
            head: *opened.head(),
            hash: opened.hash(),
            gaps,
            end,
            permit: self.journal.room(made.bytes.len()).await?,
            received: std::time::Instant::now(),
        };
        self.journal.append(append).await
    }

    async fn close(self) -> TempDir {
        self.journal.stop().await;
        self.thread.join().unwrap();
        self.folder
    }

    fn files(&self) -> Vec<String> {
        files(&self.folder)
    }
}

fn files(folder: &TempDir) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder.path().join("journal"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn file(folder: &TempDir, name: &str) -> PathBuf {
    folder.path().join("journal").join(name)
}

fn said(session: &Session) -> Vec<Kind> {
    session.outgoing.take().into_iter().filter_map(|FromServer { kind }| kind).collect()
}

/// Two recordings, taking turns, in one file.
async fn filled() -> (TempDir, [Tape; 2]) {
    let desk = Desk::new(1 << 30);
    let mut tapes = [Tape::new("a"), Tape::new("b")];
    for round in 0..5 {
        for tape in &mut tapes {
            let made = tape.tick(10 + 30 * round);
            let (live, session) = desk.live(tape);
            desk.append(&live, &session, &made).await.unwrap();
            // One sync for each, so that every entry but the last is known to be durable.
            desk.journal.barrier().await.unwrap();
        }
    }
    (desk.close().await, tapes)
}

/// Opens the journal and reads everything that is there.
fn reread(folder: &TempDir, tapes: &[Tape; 2]) -> Recovered {
    let recovered = recover(&folder.path().join("journal")).unwrap();
    for tape in tapes {
        for (seq, (file, found)) in recovered.recordings.get(&tape.id()).into_iter().flatten() {
            let record = file.read(found.offset, found.length).unwrap();
            assert_eq!(record, tape.made[*seq as usize].bytes, "fragment {seq}");
            assert_eq!(open_fragment(&record).unwrap().hash(), found.hash);
        }
    }
    recovered
}

fn counts(recovered: &Recovered, tapes: &[Tape; 2]) -> [usize; 2] {
    [0, 1].map(|at| recovered.recordings.get(&tapes[at].id()).map_or(0, BTreeMap::len))
}

#[tokio::test]
async fn what_is_durable_is_there_after_a_restart() {
    let (folder, tapes) = filled().await;
    let recovered = reread(&folder, &tapes);
    assert_eq!(counts(&recovered, &tapes), [5, 5]);
    assert_eq!((recovered.damaged.len(), recovered.lost), (0, 0));
    // Nothing holds what was found: a start that needs nothing of it clears it away.
    let desk = Desk::open(folder, 1 << 30);
    desk.journal.tidy();
    desk.journal.barrier().await.unwrap();
    assert_eq!(desk.files(), Vec::<String>::new());
}

#[tokio::test]
async fn a_file_torn_at_any_byte_keeps_everything_before() {
    let (folder, tapes) = filled().await;
    let name = files(&folder).pop().unwrap();
    let whole = std::fs::read(file(&folder, &name)).unwrap();
    let ends: Vec<u64> = {
        let scan = scan(&whole[..], 0).unwrap();
        scan.entries.iter().map(|found| found.offset + u64::from(found.length)).collect()
    };
    for cut in 0..whole.len() {
        let expected = ends.iter().filter(|&&end| end <= cut as u64).count();
        let found = scan(&whole[..cut], 0).unwrap();
        assert_eq!((found.entries.len(), found.damaged.len(), found.lost), (expected, 0, 0), "cut at {cut}");
        // Through files it is the same, but takes its time.
        if cut % 37 != 0 {
            continue;
        }
        std::fs::write(file(&folder, &name), &whole[..cut]).unwrap();
        let recovered = reread(&folder, &tapes);
        assert_eq!(counts(&recovered, &tapes), [expected.div_ceil(2), expected / 2], "cut at {cut}");
        assert_eq!((recovered.damaged.len(), recovered.lost), (0, 0), "cut at {cut}");
        // The rest was cut off, so that nothing takes it for something later.
        let left = std::fs::metadata(file(&folder, &name)).unwrap().len();
        assert!(expected == 0 || left == ends[expected - 1], "cut at {cut}: {left}");
    }
}

#[tokio::test]
async fn a_group_of_which_only_a_later_part_reached_the_disk_does_not_count() {
    let (folder, tapes) = filled().await;
    let name = files(&folder).pop().unwrap();
    let mut bytes = std::fs::read(file(&folder, &name)).unwrap();
    // The last entry was written in the last group, which nothing after it calls durable: a hole in it is the trace of a crash.
    let last = scan(&bytes[..], 0).unwrap().entries.pop().unwrap();
    let at = last.offset as usize - ENTRY_HEADER;
    bytes[at..at + 100].fill(0);
    std::fs::write(file(&folder, &name), &bytes).unwrap();
    let recovered = reread(&folder, &tapes);
    assert_eq!(counts(&recovered, &tapes), [5, 4]);
    assert_eq!((recovered.damaged.len(), recovered.lost), (0, 0));
}

#[tokio::test]
async fn damage_in_the_middle_is_noticed_wherever_it_is_and_hits_one_fragment() {
    let (folder, tapes) = filled().await;
    let name = files(&folder).pop().unwrap();
    let whole = std::fs::read(file(&folder, &name)).unwrap();
    let entries = scan(&whole[..], 0).unwrap().entries;
    let (start, end) =
        (entries[2].offset as usize - ENTRY_HEADER, entries[2].offset as usize + entries[2].length as usize);
    for at in start..end {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        let scan = scan(&bytes[..], 0).unwrap();
        let left: Vec<u64> = scan.entries.iter().map(|found| found.offset).collect();
        let expected: Vec<u64> =
            entries.iter().map(|found| found.offset).filter(|&o| o != entries[2].offset).collect();
        let reserved = (start + 20..start + 24).contains(&at);
        if at >= entries[2].offset as usize {
            assert_eq!(left, expected, "byte {at}");
            assert_eq!(scan.damaged, [(tapes[0].id(), 1)], "byte {at}");
        } else if !reserved {
            assert_eq!(left, expected, "byte {at}");
            assert_eq!(scan.lost, (end - start) as u64, "byte {at}");
        }
        assert_eq!(scan.end, whole.len() as u64);
    }
}

#[tokio::test]
async fn bytes_that_look_like_entries_are_none_at_another_place_or_of_another_file() {
    let (folder, _) = filled().await;
    let bytes = std::fs::read(file(&folder, &files(&folder)[0])).unwrap();
    let (other, _) = filled().await;
    let other = std::fs::read(file(&other, &files(&other)[0])).unwrap();
    let entries = scan(&bytes[..], 0).unwrap().entries;
    let start = |at: usize| entries[at].offset as usize - ENTRY_HEADER;
    // An agent may put anything into a fragment; here it stands where the search for the next entry comes by.
    let (from, to) = (start(2), start(6));
    for smuggled in [&bytes[start(0)..], &other[entry::FILE_HEADER..], &other[entry::FILE_HEADER + 4..]] {
        let mut bytes = bytes.clone();
        bytes[from..to].copy_from_slice(&smuggled[..to - from]);
        let scan = scan(&bytes[..], 0).unwrap();
        let expected: Vec<_> = entries[..2].iter().chain(&entries[6..]).cloned().collect();
        assert_eq!(scan.entries, expected);
        assert_eq!(scan.lost, (to - from) as u64);
    }
}

#[tokio::test]
async fn each_agent_hears_of_its_own_in_order() {
    let desk = Desk::new(1 << 30);
    let mut tapes = [Tape::new("a"), Tape::new("b"), Tape::new("c")];
    let lives: Vec<_> = tapes.iter().map(|tape| desk.live(tape)).collect();
    for _ in 0..50 {
        for (tape, (live, session)) in tapes.iter_mut().zip(&lives) {
            desk.append(live, session, &tape.tick(100)).await.unwrap();
        }
    }
    desk.journal.barrier().await.unwrap();
    for (tape, (live, session)) in tapes.iter().zip(&lives) {
        let told = said(session);
        let [Kind::Durable(durable)] = &told[..] else { panic!("{told:?}") };
        assert_eq!(durable.next_seq, 50);
        let run = live.run_from(0, 100);
        let read: Vec<_> =
            run.iter().map(|(file, entry)| file.read(entry.offset, entry.length).unwrap()).collect();
        assert!(read.iter().zip(&tape.made).all(|(read, made)| *read == made.bytes));
    }
}

#[tokio::test]
async fn what_does_not_follow_is_refused_and_what_comes_after_it_passed_over() {
    let desk = Desk::new(1 << 30);
    let mut tape = Tape::new("a");
    let (live, session) = desk.live(&tape);
    let made: Vec<_> = (0..4).map(|_| tape.tick(10)).collect();
    for at in [0, 2, 3] {
        desk.append(&live, &session, &made[at]).await.unwrap();
    }
    desk.journal.barrier().await.unwrap();
    let told = said(&session);
    let Some(Kind::Refused(refused)) = told.last() else { panic!("{told:?}") };
    assert_eq!((refused.reason, live.last().0), (Refusal::Mismatch as i32, 1));
    // A new opening goes on; the old one does not count any more.
    let (_, again) = desk.live(&tape);
    desk.append(&live, &session, &made[1]).await.unwrap();
    desk.journal.barrier().await.unwrap();
    assert_eq!(live.last().0, 1);
    for made in &made[1..] {
        desk.append(&live, &again, made).await.unwrap();
    }
    desk.journal.barrier().await.unwrap();
    assert_eq!(live.last().0, 4);
}

#[tokio::test]
async fn files_go_when_nothing_in_them_is_needed_and_the_journal_stays_small() {
    let desk = Desk::new(20_000);
    // A long recording that is never rolled over, and one that is often.
    let (mut quiet, mut busy) = (Tape::new("quiet"), Tape::new("busy"));
    let (quiet_live, quiet_session) = desk.live(&quiet);
    let (busy_live, busy_session) = desk.live(&busy);
    let mut most = 0;
    for round in 0..60u64 {
        desk.append(&quiet_live, &quiet_session, &quiet.tick(300)).await.unwrap();
        for _ in 0..5 {
            desk.append(&busy_live, &busy_session, &busy.tick(2_000)).await.unwrap();
        }
        desk.journal.barrier().await.unwrap();
        // Everything of the busy one is stored by now.
        busy_live.sealed(&playhead_db::site::SegmentRow {
            recording: busy.id(),
            number: 0,
            location: "default".into(),
            path: String::new(),
            bytes: 0,
            blake3: String::new(),
            first_seq: 0,
            next_seq: round * 5 + 5,
            start_us: 0,
            end_us: 0,
            events: 0,
            head: String::new(),
            vault: None,
            stored_at: WallTime::from_micros(0),
        });
        desk.journal.tidy();
        desk.journal.barrier().await.unwrap();
        let bytes: u64 =
            desk.files().iter().map(|name| file(&desk.folder, name).metadata().unwrap().len()).sum();
        most = most.max(bytes);
    }
    // 600 kB went through it; 30 kB are needed.
    assert!(most < 140_000, "{most} bytes");
    let run = quiet_live.run_from(0, 100);
    assert_eq!(run.len(), 60);
    for ((file, entry), made) in run.iter().zip(&quiet.made) {
        assert_eq!(file.read(entry.offset, entry.length).unwrap(), made.bytes);
    }
    // What was copied forward is found once, and whole, after a restart.
    let folder = desk.close().await;
    let again = Desk::open(folder, 20_000);
    assert_eq!(again.recovered[&quiet.id().to_string()], (0..60).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_recording_that_has_left_and_is_still_read_holds_nobody_up() {
    let desk = Desk::new(20_000);
    let (mut leaving, mut other) = (Tape::new("leaving"), Tape::new("other"));
    let (read, session) = desk.live(&leaving);
    {
        let (live, others) = desk.live(&other);
        for _ in 0..12 {
            desk.append(&read, &session, &leaving.tick(10)).await.unwrap();
            desk.append(&live, &others, &other.tick(19_000)).await.unwrap();
            desk.journal.barrier().await.unwrap();
        }
        desk.recordings.remove(other.id());
    }
    desk.recordings.remove(leaving.id());
    let before = desk.files();
    desk.journal.tidy();
    let tidied = tokio::time::timeout(std::time::Duration::from_secs(20), desk.journal.barrier()).await;
    tidied.expect("the writing thread is stuck").unwrap();
    // Whoever reads it finds all of it. How full the newest file is depends on what was written together: there may be another.
    let after = desk.files();
    assert!(
        before.iter().all(|file| after.contains(file)) && after.len() <= before.len() + 1,
        "{before:?}, then {after:?}"
    );
    for ((file, entry), made) in read.run_from(0, 20).iter().zip(&leaving.made) {
        assert!(file.read(entry.offset, entry.length).unwrap() == made.bytes);
    }
    drop((read, session));
    desk.journal.tidy();
    desk.journal.barrier().await.unwrap();
    assert!(desk.files().len() <= 1, "{:?}", desk.files());
}

#[tokio::test]
async fn an_entry_larger_than_the_buffer_and_a_group_over_a_file_s_end_are_whole() {
    let desk = Desk::new(1_000_000);
    let mut tape = Tape::new("a");
    let (live, session) = desk.live(&tape);
    for size in [3 << 20, 10, 1 << 20, 900_000, 10] {
        desk.append(&live, &session, &tape.tick(size)).await.unwrap();
    }
    desk.journal.barrier().await.unwrap();
    desk.append(&live, &session, &tape.tick(5)).await.unwrap();
    desk.journal.barrier().await.unwrap();
    assert!(desk.files().len() >= 2);
    for ((file, entry), made) in live.run_from(0, 10).iter().zip(&tape.made) {
        assert!(file.read(entry.offset, entry.length).unwrap() == made.bytes);
    }
    let again = Desk::open(desk.close().await, 1_000_000);
    assert_eq!(again.recovered[&tape.id().to_string()], [0, 1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_file_that_cannot_be_begun_refuses_for_now_and_goes_on_later() {
    let desk = Desk::new(1 << 30);
    let mut tape = Tape::new("a");
    let (live, session) = desk.live(&tape);
    let away = desk.folder.path().join("away");
    std::fs::rename(desk.folder.path().join("journal"), &away).unwrap();
    let made = tape.tick(10);
    desk.append(&live, &session, &made).await.unwrap();
    desk.journal.barrier().await.unwrap();
    let told = said(&session);
    let [Kind::Refused(refused)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(refused.reason, Refusal::Later as i32);
    assert!(desk.space.problem().is_some());
    std::fs::rename(&away, desk.folder.path().join("journal")).unwrap();
    let (_, session) = desk.live(&tape);
    desk.append(&live, &session, &made).await.unwrap();
    desk.journal.barrier().await.unwrap();
    assert_eq!(live.last().0, 1);
}
