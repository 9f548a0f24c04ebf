//! The applications: how each is started, and how one sees that it is there.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Pid, Uid};
use x11rb::protocol::xproto::Window;

use super::content::PAGES;
use super::process::find;
use super::screen::{Area, wait};
use super::stage::Stage;
use super::{DesktopError, Stop};

/// What a person works with on the desktop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Terminal,
    Editor,
    Browser,
    Player,
}

/// A program to start and how to recognise its window.
struct Recipe {
    program: &'static str,
    package: &'static str,
    /// The window's class.
    class: &'static str,
    /// How long until its window is there, on a slow machine.
    limit: Duration,
}

impl Kind {
    fn recipe(self) -> Recipe {
        let (program, package, class, seconds) = match self {
            Self::Terminal => ("xterm", "xterm", "xterm", 20),
            Self::Editor => ("mousepad", "mousepad", "mousepad", 30),
            Self::Browser => ("chromium", "chromium", "chromium", 90),
            Self::Player => ("ffplay", "ffmpeg", "ffplay", 20),
        };
        Recipe { program, package, class, limit: Duration::from_secs(seconds) }
    }

    /// Where its program is.
    ///
    /// # Errors
    /// [`DesktopError::Missing`], naming the Debian package to install.
    pub(crate) fn program(self) -> Result<PathBuf, DesktopError> {
        let recipe = self.recipe();
        find(recipe.program, recipe.package)
    }
}

/// An application that has been started and shows a window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct App {
    pub(crate) kind: Kind,
    pub(crate) process: Pid,
    pub(crate) window: Window,
}

/// Starts an application, waits for its window and puts it into place.
pub(crate) fn open(stage: &mut Stage, kind: Kind, area: Area) -> Result<App, DesktopError> {
    let recipe = kind.recipe();
    let program = kind.program()?;
    let known = stage.screen.windows()?;
    let home = stage.home().to_owned();
    let files = stage.content.path("");
    let process = match kind {
        Kind::Terminal => start_terminal(stage, &program, &files)?,
        Kind::Editor => start_editor(stage, &program, &home, &files)?,
        Kind::Browser => start_browser(stage, &program, &home, &files, area)?,
        Kind::Player => {
            let clip = make_clip(stage, &files)?;
            start_player(stage, &program, &clip, area)?
        }
    };
    let stop = stage.stop();
    let found = {
        let Stage { screen, family, .. } = stage;
        wait(&stop, recipe.limit, || match screen.find(recipe.class, &known)? {
            Some(window) => Ok(Some(Some(window))),
            None => Ok((!family.runs(process)).then_some(None)),
        })?
    };
    let Some(window) = found.flatten() else {
        stage.family.end(&[process]);
        stop.check()?;
        return Err(DesktopError::NoWindow { program: recipe.program, seconds: recipe.limit.as_secs() });
    };
    if kind == Kind::Browser {
        wait_for_page(stage, window, &stop)?;
    }
    if kind != Kind::Player {
        stage.screen.place(window, area)?;
    }
    stage.bring_up(window)?;
    Ok(App { kind, process, window })
}

fn start_terminal(stage: &mut Stage, program: &Path, files: &Path) -> Result<Pid, DesktopError> {
    stage.family.start(program, |command| {
        command.args(["-fa", "DejaVu Sans Mono", "-fs", "11", "-bg", "#1b2430", "-fg", "#d8dee6"]);
        command.args(["-T", "Terminal", "-e", "sh"]).current_dir(files).env("PS1", "sam@desk:~$ ");
    })
}

fn start_editor(stage: &mut Stage, program: &Path, home: &Path, files: &Path) -> Result<Pid, DesktopError> {
    // A fresh copy in fresh settings: no offer to bring back what an earlier run had open.
    for name in ["config/Mousepad", "data/Mousepad"] {
        let _ = fs::remove_dir_all(home.join(name));
    }
    let copy = home.join("field-notes.txt");
    fs::copy(files.join("note.txt"), &copy).map_err(DesktopError::file(&copy))?;
    stage.family.start(program, |command| {
        command.arg("--disable-server").arg(copy);
    })
}

fn start_browser(
    stage: &mut Stage,
    program: &Path,
    home: &Path,
    files: &Path,
    area: Area,
) -> Result<Pid, DesktopError> {
    let profile = home.join("browser");
    let _ = fs::remove_dir_all(&profile);
    stage.family.start(program, |command| {
        command.arg(format!("--user-data-dir={}", profile.display()));
        command.arg(format!("--window-size={},{}", area.width, area.height));
        command.args([
            "--no-first-run",
            "--no-default-browser-check",
            "--disable-background-networking",
            "--disable-breakpad",
            "--disable-component-update",
            "--disable-crash-reporter",
            "--disable-gpu",
            "--disable-sync",
            "--password-store=basic",
            "--lang=en",
            // No bars about flags and missing API keys.
            "--test-type",
        ]);
        // Its sandbox refuses to work for root.
        if Uid::effective().is_root() {
            command.arg("--no-sandbox");
        }
        command.args(PAGES.map(|(file, _)| format!("file://{}", files.join(file).display())));
    })
}

/// Waits until the first tab is there; its title shows in the window's.
fn wait_for_page(stage: &Stage, window: Window, stop: &Stop) -> Result<(), DesktopError> {
    const LIMIT: Duration = Duration::from_secs(30);
    let title = PAGES[0].1;
    if wait(stop, LIMIT, || Ok(stage.screen.title(window)?.contains(title).then_some(())))?.is_none() {
        tracing::warn!(title, "the browser is slow to show its page");
    }
    Ok(())
}

fn start_player(stage: &mut Stage, program: &Path, clip: &Path, area: Area) -> Result<Pid, DesktopError> {
    stage.family.start(program, |command| {
        command.args(["-loglevel", "quiet", "-an", "-loop", "0", "-noborder", "-window_title", "Clip"]);
        for (name, value) in [("-x", area.width), ("-y", area.height), ("-left", area.x), ("-top", area.y)] {
            command.args([name, &value.to_string()]);
        }
        command.arg(clip).env("SDL_AUDIODRIVER", "dummy");
    })
}

/// A clip of 12 s that encoders find as hard as a filmed one: a slow camera move over a photograph, with grain.
fn make_clip(stage: &mut Stage, files: &Path) -> Result<PathBuf, DesktopError> {
    const LIMIT: Duration = Duration::from_secs(120);
    const MOVE: &str = "zoompan=z='1+0.0015*on':x='iw/5+1.5*on':y='ih/6+on/2':d=1:s=640x360:fps=15,\
                        noise=alls=3:allf=t,format=yuv420p";
    let clip = files.join("clip.mp4");
    if clip.exists() {
        return Ok(clip);
    }
    let unfinished = files.join("unfinished.mp4");
    let program = find("ffmpeg", "ffmpeg")?;
    let process = stage.family.start(&program, |command| {
        command.args(["-loglevel", "quiet", "-nostdin", "-y", "-threads", "1", "-loop", "1", "-t", "12"]);
        command.args(["-framerate", "15", "-i"]).arg(files.join("photo3.bmp"));
        command.args(["-vf", MOVE, "-c:v", "libx264", "-preset", "veryfast", "-crf", "23"]).arg(&unfinished);
    })?;
    let stop = stage.stop();
    let family = &mut stage.family;
    let status = wait(&stop, LIMIT, || Ok(family.child(process).and_then(|child| child.try_wait().ok()?)))?;
    stage.family.end(&[process]);
    if !status.is_some_and(|status| status.success()) {
        let source = std::io::Error::other("it could not make a video clip with libx264");
        return Err(DesktopError::Spawn { program: program.display().to_string(), source });
    }
    fs::rename(&unfinished, &clip).map_err(DesktopError::file(&clip))?;
    Ok(clip)
}
