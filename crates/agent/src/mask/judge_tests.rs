//! Whose windows are masked.

use super::*;

const BITS: u32 = 0xfff;

fn judge(masks: &[&str]) -> Judge {
    Judge::new(masks.iter().map(|mask| mask.parse().unwrap()).collect(), BITS)
}

fn about(class: &str, title: &str) -> About {
    let list = |text: &str| if text.is_empty() { Vec::new() } else { vec![text.to_owned()] };
    About { classes: list(class), titles: list(title), ..About::default() }
}

/// A mapped window that says something.
fn window(judge: &mut Judge, id: u32, redirect: bool, about: About, now: Instant) {
    judge.created(id, redirect);
    judge.mapped(id, now);
    judge.says(id, about);
    let names = Some(vec![format!("p{}", id >> 12)]);
    judge.set_process(id & !BITS, Process::Local(id >> 12, names));
}

/// The windows of which it is certain, and those of which it is not known.
fn found(judge: &mut Judge, now: Instant) -> (Vec<u32>, Vec<u32>) {
    let (verdicts, _) = judge.judge(now);
    let of = |certain: bool| {
        let mut ids: Vec<u32> =
            verdicts.iter().filter(|(_, verdict)| verdict.certain == certain).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    };
    (of(true), of(false))
}

#[test]
fn all_windows_of_an_application_are_masked_whatever_they_say() {
    let (mut judge, now) = (judge(&["class=Secret"]), Instant::now());
    window(&mut judge, 0x1001, false, about("secret", "x"), now);
    window(&mut judge, 0x1002, true, about("", ""), now);
    window(&mut judge, 0x2001, false, about("other", "secret"), now);
    // Another connection of the same process, a dialog of another process, one with the leader, one with the process's number.
    window(&mut judge, 0x3001, false, about("x", ""), now);
    judge.set_process(0x3000, Process::Local(1, None));
    window(&mut judge, 0x4001, false, About { transient_for: Some(0x4002), ..about("y", "") }, now);
    window(&mut judge, 0x4002, false, About { transient_for: Some(0x1001), ..about("y", "") }, now);
    window(&mut judge, 0x5001, false, About { leader: Some(0x1005), ..about("z", "") }, now);
    window(&mut judge, 0x6001, false, About { pid: Some(1), ..about("z", "") }, now);
    let all = vec![0x1001, 0x1002, 0x3001, 0x4001, 0x4002, 0x5001, 0x6001];
    assert_eq!(found(&mut judge, now), (all.clone(), vec![]));
    // What it says later does not help.
    judge.says(0x1001, about("harmless", ""));
    assert_eq!(found(&mut judge, now), (all, vec![]));
    for id in [0x1001, 0x1002] {
        judge.destroyed(id);
    }
    window(&mut judge, 0x1001, false, about("harmless", ""), now);
    judge.set_process(0x1000, Process::Foreign);
    assert!(!found(&mut judge, now).0.contains(&0x1001), "another client with the same number");
}

#[test]
fn what_is_not_known_is_masked_for_a_while() {
    let (mut judge, now) = (judge(&["class=secret"]), Instant::now());
    judge.created(0x1001, false);
    assert_eq!(found(&mut judge, now), (vec![], vec![0x1001]));
    window(&mut judge, 0x1001, false, about("", "x"), now);
    assert_eq!(found(&mut judge, now + GRACE / 2), (vec![], vec![0x1001]));
    assert_eq!(judge.judge(now).1, Some(now + GRACE));
    let mut late = judge;
    assert_eq!(found(&mut late, now + GRACE), (vec![], vec![]));
    late.says(0x1001, about("secret", "x"));
    assert_eq!(found(&mut late, now + GRACE), (vec![0x1001], vec![]));
}

#[test]
fn a_window_manager_is_never_unknown() {
    let (mut judge, now) = (judge(&["class=secret"]), Instant::now());
    window(&mut judge, 0x1001, false, about("", ""), now);
    judge.set_manager(Some(0x1005));
    assert_eq!(found(&mut judge, now), (vec![], vec![]));
    let (verdicts, _) = judge.judge(now);
    assert!(verdicts.is_frame(0x1007) && !verdicts.is_frame(0x2007));
}

#[test]
fn a_title_masks_its_windows_and_what_pops_up_over_them() {
    let (mut judge, now) = (judge(&["class=browser,title=*bank*"]), Instant::now());
    window(&mut judge, 0x1001, false, about("browser", "My Bank"), now);
    window(&mut judge, 0x1002, false, about("browser", "News"), now);
    window(&mut judge, 0x1003, true, about("", ""), now);
    window(
        &mut judge,
        0x1004,
        false,
        About { transient_for: Some(0x1001), ..about("browser", "Sure?") },
        now,
    );
    window(&mut judge, 0x1005, false, about("browser", ""), now);
    window(&mut judge, 0x2001, false, about("editor", "bank.txt"), now);
    assert_eq!(found(&mut judge, now), (vec![0x1001, 0x1003, 0x1004], vec![0x1005]));
    judge.says(0x1001, about("browser", "News"));
    assert_eq!(found(&mut judge, now + GRACE), (vec![], vec![]));
}

#[test]
fn a_process_that_cannot_be_looked_at_is_masked() {
    let (mut judge, now) = (judge(&["process=p1"]), Instant::now());
    window(&mut judge, 0x1001, false, about("a", ""), now);
    window(&mut judge, 0x2001, false, about("a", ""), now);
    window(&mut judge, 0x3001, false, about("a", ""), now);
    judge.set_process(0x3000, Process::Local(7, None));
    window(&mut judge, 0x4001, false, about("a", ""), now);
    judge.set_process(0x4000, Process::Foreign);
    assert_eq!(found(&mut judge, now + GRACE * 9), (vec![0x1001], vec![0x3001]));
}

#[test]
fn windows_that_are_for_each_other_end() {
    let (mut judge, now) = (judge(&["class=secret"]), Instant::now());
    window(&mut judge, 0x1001, false, About { transient_for: Some(0x1002), ..about("a", "") }, now);
    window(&mut judge, 0x1002, false, About { transient_for: Some(0x1001), ..about("a", "") }, now);
    assert_eq!(found(&mut judge, now).0, [0x1001, 0x1002], "too far to follow");
}
