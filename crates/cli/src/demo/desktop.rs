//! A virtual desktop: an X server without a screen, a window manager, a wallpaper, real applications, and a script
//! that works with them as a person would, the same way for the same seed.
//!
//! Everything runs on one thread of its own, which starts the processes too: the kernel ends a process's children
//! (`PR_SET_PDEATHSIG`) when the *thread* that started them ends, so that thread must last as long as they do.

mod apps;
mod content;
mod error;
mod picture;
mod process;
mod random;
mod screen;
mod script;
mod server;
mod stage;
mod stop;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{oneshot, watch};

pub(crate) use error::DesktopError;
pub(crate) use process::{Process, find};
pub(crate) use screen::Screen;
pub(crate) use script::{Activity, Script};
pub(crate) use stage::Stage;
pub(crate) use stop::Stop;

/// What a desktop is to be like.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// X display number; the server takes the first free one when there is none.
    pub(crate) display: Option<u16>,
    /// Width in pixels, at least 640.
    pub(crate) width: u16,
    /// Height in pixels, at least 480.
    pub(crate) height: u16,
    /// What the script does and the pictures show follows from this number.
    pub(crate) seed: u64,
    /// Where its files may lie. Only the sub-folder `desktop` is used, emptied at the start and removed at the end.
    pub(crate) work_dir: PathBuf,
    /// What happens on it; one after the other for ever when there is none.
    pub(crate) only: Option<Activity>,
}

/// A running desktop. Dropping it stops it and waits for its processes (a few hundred milliseconds); prefer
/// [`Desktop::shutdown`] on an async runtime.
#[derive(Debug)]
pub(crate) struct Desktop {
    place: Place,
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
    ended: watch::Receiver<Option<Arc<DesktopError>>>,
}

/// How X clients find the desktop.
#[derive(Clone, Debug, Default)]
struct Place {
    display: String,
    xauthority: PathBuf,
}

impl Desktop {
    /// Starts the desktop and returns as soon as the window manager runs and the wallpaper is up; the applications
    /// follow while it already plays.
    ///
    /// # Errors
    /// A program it cannot do without is not installed (the error names the Debian package), the display is taken,
    /// or a process or file could not be made.
    pub(crate) async fn start(options: Options) -> Result<Self, DesktopError> {
        let stop = Arc::new(Stop::default());
        let (ready, started) = oneshot::channel();
        let (end, ended) = watch::channel(None);
        let thread = std::thread::Builder::new()
            .name("desktop".into())
            .spawn({
                let stop = Arc::clone(&stop);
                move || live(&options, stop, ready, &end)
            })
            .map_err(|source| DesktopError::Spawn { program: "the desktop's thread".into(), source })?;
        // Made before the first wait: whoever gives up waiting drops it, and that stops the thread.
        let mut desktop = Self { place: Place::default(), stop, thread: Some(thread), ended };
        desktop.place = started.await.map_err(|_| DesktopError::Stopped)??;
        Ok(desktop)
    }

    /// The X display, such as `:1`.
    pub(crate) fn display(&self) -> &str {
        &self.place.display
    }

    /// The file with the cookie that the X server asks for; its entry fits any display and host name.
    pub(crate) fn xauthority(&self) -> &Path {
        &self.place.xauthority
    }

    /// Waits until the desktop ends without having been told to, and says why: its X server died, say.
    pub(crate) async fn ended(&self) -> Arc<DesktopError> {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_else(|| Arc::new(DesktopError::Stopped)),
            Err(_) => Arc::new(DesktopError::Stopped),
        }
    }

    /// Stops the script, ends all processes and removes all files.
    pub(crate) async fn shutdown(mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            // A failure here is a panic on the thread, which its own output has told.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The desktop's thread, from the first process to the last.
fn live(
    options: &Options,
    stop: Arc<Stop>,
    ready: oneshot::Sender<Result<Place, DesktopError>>,
    end: &watch::Sender<Option<Arc<DesktopError>>>,
) {
    let mut stage = match Stage::open(options, Arc::clone(&stop)) {
        Ok(stage) => stage,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let place = Place { display: stage.display().to_owned(), xauthority: stage.xauthority().to_owned() };
    if ready.send(Ok(place)).is_ok()
        && let Err(error) = script::play(&mut stage, options)
        && !matches!(error, DesktopError::Stopped)
    {
        tracing::error!(error = %error, "the demonstration desktop ended");
        let _ = end.send(Some(Arc::new(error)));
    }
}
