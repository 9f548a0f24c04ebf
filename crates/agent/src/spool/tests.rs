//! Queues that are cut, damaged, full and reopened.

use super::*;
use crate::testing::{fragments, info};
use playhead_model::GapCause;
use std::os::unix::fs::FileExt as _;
use tempfile::TempDir;

/// Where a recording's folder goes when it is set aside for the first time.
fn aside(folder: &Path) -> PathBuf {
    format!("{}.refused", folder.display()).into()
}

fn settings(quota_bytes: u64, when_full: WhenFull) -> SpoolSettings {
    SpoolSettings { quota_bytes, when_full, ..SpoolSettings::default() }
}

fn open(folder: &Path) -> Spool {
    Spool::open(folder, SpoolSettings::default()).unwrap()
}

fn started(byte: u8) -> Started {
    Started { info: info(byte), boot_id: "boot".into(), start_boot_us: 0 }
}

/// A spool with one queue of two segments of three fragments.
fn filled(folder: &Path) -> (Spool, Arc<Queue>, Vec<Fragment>) {
    let spool = open(folder);
    let queue = spool.create(started(1)).unwrap();
    let made = fragments(&info(1), 2, 3);
    for fragment in &made {
        spool.append(&queue, fragment).unwrap();
    }
    (spool, queue, made)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let queue = folder.join(info(1).id.to_string());
    let mut files: Vec<_> = fs::read_dir(queue).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|suffix| suffix == "queue"));
    files.sort();
    files
}

fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    let name = info(1).id.to_string();
    fs::create_dir(to.path().join(&name)).unwrap();
    for entry in fs::read_dir(from.join(&name)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.path().join(&name).join(path.file_name().unwrap())).unwrap();
    }
    to
}

#[test]
fn what_is_put_in_comes_out_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, queue, made) = filled(folder.path());
    assert!(spool.append(&queue, &made[0]).is_err(), "out of order");
    drop((spool, queue));
    let spool = open(folder.path());
    let queue = spool.get(info(1).id).unwrap();
    assert_eq!(queue.started(), &started(1));
    assert_eq!(queue.tail().unwrap().unwrap(), (made[5].head, made[5].hash));
    assert!(!queue.has_ended() && !queue.lost_tail());
    let lengths: Vec<(u64, u32)> =
        made.iter().map(|fragment| (fragment.head.seq, fragment.bytes.len() as u32)).collect();
    assert_eq!(queue.waiting(0), lengths);
    assert_eq!(queue.waiting(4), lengths[4..]);
    for fragment in &made {
        assert_eq!(queue.seq_of(fragment.head.seq), Some(fragment.head.seq));
        assert_eq!(queue.read(fragment.head.seq).unwrap(), fragment.bytes);
    }
    assert!(matches!(queue.read(6), Err(SpoolError::NotThere { seq: 6, .. })));
    assert_eq!(spool.bytes(), queue.bytes());
}

#[test]
fn the_newest_file_cut_at_any_byte_loses_only_what_was_being_written() {
    let folder = tempfile::tempdir().unwrap();
    let (_, _, made) = filled(folder.path());
    let newest = files(folder.path()).pop().unwrap();
    let whole = fs::read(&newest).unwrap();
    for cut in (0..whole.len()).step_by(7) {
        let copy = copy(folder.path());
        let file = files(copy.path()).pop().unwrap();
        fs::write(&file, &whole[..cut]).unwrap();
        let spool = open(copy.path());
        let queue = spool.get(info(1).id).unwrap();
        let (tail, hash) = queue.tail().unwrap().unwrap();
        assert!(tail.seq >= 2 && hash == made[tail.seq as usize].hash, "cut at {cut}");
        assert!(!queue.lost_tail());
        // It goes on where it stopped, and what comes then survives the next start.
        let next = &made[tail.seq as usize + 1];
        spool.append(&queue, next).unwrap();
        drop((spool, queue));
        let queue = open(copy.path()).get(info(1).id).unwrap();
        assert_eq!(queue.tail().unwrap().unwrap(), (next.head, next.hash), "cut at {cut}");
        assert_eq!(queue.waiting(0).len() as u64, tail.seq + 2);
    }
}

#[test]
fn damage_in_the_middle_becomes_a_hole_up_to_the_next_anchor() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    let first = files(folder.path()).remove(0);
    // Somewhere in the second fragment of three.
    let at = fs::metadata(&first).unwrap().len() / 2;
    let file = fs::File::options().read(true).write(true).open(&first).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[!byte[0]], at).unwrap();
    for _ in 0..2 {
        let spool = open(folder.path());
        let queue = spool.get(info(1).id).unwrap();
        let numbers: Vec<u64> = queue.waiting(0).into_iter().map(|(number, _)| number).collect();
        let before = numbers.len() as u64 - 3;
        assert!(before < 3);
        assert_eq!(numbers, (0..before + 3).collect::<Vec<_>>());
        assert_eq!(queue.seq_of(before), Some(3));
        let (hole, is_renumbered) = queue.holes(3);
        assert_eq!(hole.unwrap().cause, GapCause::QueueDamaged);
        assert!(is_renumbered && !queue.lost_tail());
        assert_eq!(queue.tail().unwrap().unwrap().0.seq, 5);
    }
}

#[test]
fn damage_without_an_anchor_after_it_costs_the_tail() {
    let folder = tempfile::tempdir().unwrap();
    let (_, _, made) = filled(folder.path());
    let newest = files(folder.path()).pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    // The newest file holds fragments 3, 4 and 5: hit the first byte of 4.
    let at = made[3].bytes.len() + 24;
    bytes[at] ^= 1;
    fs::write(&newest, &bytes).unwrap();
    let spool = open(folder.path());
    let queue = spool.get(info(1).id).unwrap();
    assert!(queue.lost_tail());
    assert_eq!(queue.tail().unwrap().unwrap(), (made[3].head, made[3].hash));
    spool.append(&queue, &made[4]).unwrap();
    drop((spool, queue));
    let queue = open(folder.path()).get(info(1).id).unwrap();
    assert!(!queue.lost_tail());
    assert_eq!(queue.tail().unwrap().unwrap().0.seq, 4);
}

#[test]
fn what_is_durable_leaves_except_for_the_newest_file() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, queue, made) = filled(folder.path());
    let before = spool.bytes();
    queue.forget_before(2).unwrap();
    assert_eq!(spool.bytes(), before, "fragment 2 is not durable yet");
    queue.forget_before(3).unwrap();
    assert_eq!(queue.first(), Some((3, 3)));
    assert_eq!(files(folder.path()).len(), 1);
    assert!(spool.bytes() < before);
    queue.forget_before(6).unwrap();
    assert_eq!(queue.tail().unwrap().unwrap().0, made[5].head);
    spool.remove(info(1).id).unwrap();
    assert_eq!((spool.bytes(), spool.all().len()), (0, 0));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_full_queue_refuses_or_lets_go_of_the_oldest_segment() {
    let made = fragments(&info(1), 4, 3);
    let segment: u64 = made[..3].iter().map(|fragment| fragment.bytes.len() as u64 + 24).sum();
    for when_full in [WhenFull::Pause, WhenFull::StopSession, WhenFull::KeepNewest] {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), settings(segment * 9 / 4, when_full)).unwrap();
        let queue = spool.create(started(1)).unwrap();
        let mut refused = None;
        for fragment in &made {
            if let Err(error) = spool.append(&queue, fragment) {
                refused.get_or_insert(error);
            }
        }
        assert!(spool.bytes() <= segment * 9 / 4);
        match when_full {
            WhenFull::Pause | WhenFull::StopSession => {
                assert!(refused.unwrap().is_full());
                assert!(!spool.has_room());
                queue.forget_before(6).unwrap();
                assert!(spool.has_room());
            }
            WhenFull::KeepNewest => {
                assert!(refused.is_none());
                let (first, _) = queue.first().unwrap();
                assert!(first % 3 == 0 && first > 0, "{first}");
                drop((queue, spool));
                // The server had two fragments when the rest was let go of.
                let spool = open(folder.path());
                let queue = spool.get(info(1).id).unwrap();
                queue.settle(2).unwrap();
                assert_eq!(queue.first(), Some((first, 2)));
                let hole = queue.holes(first).0.unwrap();
                assert_eq!((hole.missing, hole.cause), (first as i64 - 2, GapCause::QueueFull));
                drop((queue, spool));
                let queue = open(folder.path()).get(info(1).id).unwrap();
                queue.settle(2).unwrap();
                assert_eq!(queue.first(), Some((first, 2)), "the same after a restart");
            }
        }
    }
}

#[test]
fn a_disk_that_is_full_changes_nothing_and_says_so() {
    if !nix::unistd::geteuid().is_root() {
        println!("not run: mounting a small disk needs root");
        return;
    }
    let disk = SmallDisk::mount();
    let spool = open(&disk.0.path().join("spool"));
    let queue = spool.create(started(1)).unwrap();
    let made = fragments(&info(1), 2, 3);
    for fragment in &made[..2] {
        spool.append(&queue, fragment).unwrap();
    }
    let hog = disk.0.path().join("hog");
    let file = fs::File::create(&hog).unwrap();
    let mut at = 0;
    for step in [4096, 1] {
        while file.write_all_at(&vec![0; step], at).is_ok() {
            at += step as u64;
        }
    }
    drop(file);
    let mut large = made[2].clone();
    large.bytes.resize(100_000, 0);
    for _ in 0..2 {
        let error = spool.append(&queue, &large).unwrap_err();
        assert!(error.is_full(), "{error}");
    }
    assert_eq!(queue.waiting(0).len(), 2);
    fs::remove_file(&hog).unwrap();
    for fragment in &made[2..] {
        spool.append(&queue, fragment).unwrap();
    }
    drop((spool, queue));
    let queue = open(&disk.0.path().join("spool")).get(info(1).id).unwrap();
    assert_eq!(queue.tail().unwrap().unwrap(), (made[5].head, made[5].hash));
}

/// A file system of one mebibyte.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=1m", "playhead-test"];
        let done = std::process::Command::new("mount").args(mount).arg(folder.path()).status().unwrap();
        assert!(done.success());
        Self(folder)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn folders_that_are_no_queue_do_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    let broken = folder.path().join(info(9).id.to_string());
    fs::create_dir(&broken).unwrap();
    fs::write(broken.join("info.json"), "{").unwrap();
    fs::create_dir(folder.path().join("something")).unwrap();
    let spool = open(folder.path());
    assert_eq!(spool.all().len(), 1);
    assert!(aside(&broken).exists() && !broken.exists());

    spool.set_aside(info(1).id, "the server refused it", false).unwrap();
    assert_eq!(spool.all().len(), 0);
    let aside = aside(&folder.path().join(info(1).id.to_string()));
    assert_eq!(fs::read_to_string(aside.join("why.txt")).unwrap(), "the server refused it\n");
    let again = open(folder.path());
    assert_eq!((again.bytes(), again.standing().refused.len()), (0, 2), "it has room of its own");
}

#[test]
fn a_queue_set_aside_takes_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    let queue = spool.create(started(1)).unwrap();
    let made = fragments(&info(1), 1, 2);
    spool.append(&queue, &made[0]).unwrap();
    spool.set_aside(queue.id(), "x", false).unwrap();
    assert!(matches!(spool.append(&queue, &made[1]), Err(SpoolError::Closed { .. })));
}

#[test]
fn the_newest_stays_when_there_is_but_one_segment() {
    let made = fragments(&info(1), 2, 3);
    let segment: u64 = made[..3].iter().map(|fragment| fragment.bytes.len() as u64 + 24).sum();
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), settings(segment + 10, WhenFull::KeepNewest)).unwrap();
    // A session that is over has one segment too: it goes first, and whole.
    let over = spool.create(started(2)).unwrap();
    let other = fragments(&info(2), 1, 1);
    spool.append(&over, &other[0]).unwrap();
    let end = crate::recorder::end_after(
        &other[0].head,
        other[0].hash,
        playhead_model::EndReason::AgentLost,
        &crate::testing::signer(),
    );
    spool.append(&over, &end.unwrap()).unwrap();
    let queue = spool.create(started(1)).unwrap();
    for fragment in &made[..3] {
        spool.append(&queue, fragment).unwrap();
    }
    assert!(spool.get(info(2).id).is_none());
    assert_eq!((spool.standing().let_go, spool.standing().full), (1, true));
    spool.append(&queue, &made[3]).unwrap();
    assert_eq!(queue.first().unwrap().0, 3, "everything before the new segment");
    // Killed before the new segment was written: the next run numbers from 0, after a gap.
    let (cut, _) = (copy(folder.path()), drop((queue, spool)));
    for file in files(cut.path()) {
        fs::remove_file(file).unwrap();
    }
    let queue = open(cut.path()).get(info(1).id).unwrap();
    queue.settle(2).unwrap();
    assert_eq!((queue.number(0), queue.holes(0).0.unwrap().cause), (2, GapCause::QueueFull));
}

#[test]
fn little_space_on_the_disk_counts_as_full() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    let queue = spool.create(started(1)).unwrap();
    let made = fragments(&info(1), 1, 2);
    spool.append(&queue, &made[0]).unwrap();
    spool.take_space(u64::MAX);
    let error = spool.append(&queue, &made[1]).unwrap_err();
    assert!(error.is_full() && error.to_string().contains("least_free_bytes"), "{error}");
    assert!(!spool.has_room() && spool.standing().full);
    assert!(queue.unsent().trouble.unwrap().contains("free"));
    spool.take_space(0);
    assert!(spool.has_room());
    spool.append(&queue, &made[1]).unwrap();
    let standing = spool.standing();
    assert!(!standing.full && standing.free > standing.least_free);
    let waiting = queue.unsent();
    let bytes: usize = made.iter().map(|fragment| fragment.bytes.len()).sum();
    assert_eq!((waiting.fragments, waiting.bytes, waiting.oldest_us), (2, bytes as u64, Some(0)));
    queue.forget_before(1).unwrap();
    let waiting = queue.unsent();
    assert_eq!((waiting.fragments, waiting.oldest_us), (1, Some(made[1].head.start_us)));
    assert_eq!(waiting.trouble, None);
}

#[test]
fn a_damaged_queue_never_stops_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    for byte in 1..=6 {
        let queue = spool.create(started(byte)).unwrap();
        for fragment in fragments(&info(byte), 2, 3) {
            spool.append(&queue, &fragment).unwrap();
        }
    }
    drop(spool);
    let of = |byte: u8| folder.path().join(info(byte).id.to_string());
    let first = |byte: u8| {
        let files = fs::read_dir(of(byte)).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|suffix| suffix == "queue")).min().unwrap()
    };
    fs::write(of(1).join("info.json"), b"\xff").unwrap();
    fs::write(of(2).join("breaks.json"), b"[").unwrap();
    fs::remove_file(of(3).join("info.json")).unwrap();
    fs::write(first(4), vec![0x50; 5_000]).unwrap();
    let file = first(5);
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();

    let spool = open(folder.path());
    let open: Vec<RecordingId> = spool.all().iter().map(|queue| queue.id()).collect();
    assert_eq!(open, [info(4).id, info(6).id]);
    assert_eq!(spool.get(info(4).id).unwrap().first().unwrap().0, 3, "from the next anchor on");
    assert_eq!(spool.get(info(6).id).unwrap().waiting(0).len(), 6);
    let refused = spool.standing().refused;
    assert_eq!(refused.len(), 4);
    assert!(refused.iter().all(|refused| !refused.why.is_empty() && refused.name.ends_with(".refused")));
}

#[test]
fn what_was_being_made_or_deleted_is_no_queue() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, queue, _) = filled(folder.path());
    let made = spool.create(started(2)).unwrap();
    let path = |queue: &Queue| folder.path().join(queue.id().to_string());
    fs::rename(path(&queue), path(&queue).with_extension("gone")).unwrap();
    fs::rename(path(&made).join("info.json"), path(&made).join("info.json.part")).unwrap();
    assert!(open(folder.path()).all().is_empty());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    // Fragments without it are kept.
    let (spool, queue, _) = filled(folder.path());
    fs::remove_file(path(&queue).join("info.json")).unwrap();
    assert!(open(folder.path()).all().is_empty() && aside(&path(&queue)).exists());
    fs::remove_dir_all(aside(&path(&queue))).unwrap();
    drop(spool);
    let (spool, queue, _) = filled(folder.path());
    spool.remove(queue.id()).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
