//! A real desktop: needs the programs that `make deps` installs.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::screen::Screen;
use super::{Activity, Desktop, DesktopError, Options};

fn options(work_dir: &Path, only: Option<Activity>) -> Options {
    Options { display: None, width: 800, height: 600, seed: 1, work_dir: work_dir.to_owned(), only }
}

fn socket(desktop: &Desktop) -> PathBuf {
    format!("/tmp/.X11-unix/X{}", desktop.display().trim_start_matches(':')).into()
}

fn connect(desktop: &Desktop) -> Screen {
    let cookie = fs::read(desktop.xauthority()).unwrap();
    Screen::connect(&socket(desktop), &cookie[cookie.len() - 16..]).unwrap()
}

/// Waits until `done` says so; fails after half a minute.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(30), "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The running processes that have this folder among their arguments or in their environment.
fn processes_of(folder: &Path) -> Vec<String> {
    let name = folder.to_str().unwrap().as_bytes();
    let mentions =
        |file: String| fs::read(file).is_ok_and(|text| text.windows(name.len()).any(|part| part == name));
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()) && *id != std::process::id().to_string())
        .filter(|id| mentions(format!("/proc/{id}/cmdline")) || mentions(format!("/proc/{id}/environ")))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desktop_plays_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let desktop = Desktop::start(options(folder.path(), Some(Activity::Terminal))).await.unwrap();
    let socket = socket(&desktop);
    assert!(socket.exists());

    let screen = connect(&desktop);
    let first = screen.picture().unwrap();
    let colours: HashSet<&[u8]> = first.chunks_exact(4).collect();
    assert!(colours.len() > 1000, "the wallpaper has only {} colours", colours.len());
    until("a terminal", || screen.find("xterm", &[]).unwrap().is_some()).await;
    let mut pictures = HashSet::new();
    until("three different pictures", || {
        pictures.insert(screen.picture().unwrap());
        pictures.len() > 2
    })
    .await;
    assert!(processes_of(folder.path()).len() >= 3, "X server, window manager and terminal");

    drop(screen);
    desktop.shutdown().await;
    assert_eq!(processes_of(folder.path()), Vec::<String>::new());
    assert!(!socket.exists());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desktop_that_is_dropped_while_it_starts_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let starting = Desktop::start(options(folder.path(), None));
    let limit = tokio::time::timeout(Duration::from_millis(100), starting).await;
    drop(limit);
    assert_eq!(processes_of(folder.path()), Vec::<String>::new());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_x_server_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let desktop = Desktop::start(options(folder.path(), Some(Activity::Idle))).await.unwrap();
    let socket = socket(&desktop);
    let server = processes_of(folder.path())
        .into_iter()
        .find(|id| fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.trim() == "Xvfb"));
    kill(Pid::from_raw(server.unwrap().parse().unwrap()), Signal::SIGKILL).unwrap();
    let reason = tokio::time::timeout(Duration::from_secs(60), desktop.ended()).await.unwrap();
    assert!(!matches!(*reason, DesktopError::Stopped), "{reason}");
    drop(desktop);
    assert_eq!(processes_of(folder.path()), Vec::<String>::new());
    assert!(!socket.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_display_and_a_tiny_one_are_refused() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let desktop = Desktop::start(options(one.path(), Some(Activity::Idle))).await.unwrap();
    let number = desktop.display().trim_start_matches(':').parse().unwrap();
    let taken = Options { display: Some(number), ..options(two.path(), None) };
    let error = Desktop::start(taken).await.unwrap_err();
    assert!(error.to_string().contains("Xvfb: it ended at once"), "{error}");
    let tiny = Options { width: 100, ..options(two.path(), None) };
    assert!(matches!(Desktop::start(tiny).await.unwrap_err(), DesktopError::Size { width: 100, .. }));
    desktop.shutdown().await;
}
