use std::fs::{self, DirBuilder};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use x11rb::protocol::xproto::Window;

use super::apps::{self, App, Kind};
use super::content::Content;
use super::picture::photo;
use super::process::{Family, find};
use super::screen::{Area, Screen, wait};
use super::server::Server;
use super::{DesktopError, Options, Stop};

/// Chromium puts a socket into its folder for temporary files, and a socket's path may have 107 bytes.
const LONGEST_TEMPORARY: usize = 48;

/// The desktop as the script sees it: the screen, and the applications on it. Must be dropped by the thread that
/// opened it; takes everything down in order: applications, window manager, X server, files.
pub(crate) struct Stage {
    pub(crate) screen: Screen,
    pub(crate) content: Content,
    pub(crate) family: Family,
    apps: Vec<App>,
    display: String,
    stop: Arc<Stop>,
    home: PathBuf,
    // After `family`: fields are dropped in this order.
    server: Server,
    _folders: Folders,
}

impl Stage {
    /// Starts X server and window manager, and hangs up the wallpaper.
    pub(crate) fn open(options: &Options, stop: Arc<Stop>) -> Result<Self, DesktopError> {
        let (width, height) = (options.width, options.height);
        if width < 640 || height < 480 {
            return Err(DesktopError::Size { width, height });
        }
        // Before anything is started: what cannot be done without.
        let manager = find("openbox", "openbox")?;
        Kind::Terminal.program()?;

        let folders = Folders::make(&options.work_dir)?;
        let server = Server::start(options, &folders.root, &stop)?;
        let screen = Screen::connect(&server.socket(), &server.cookie)?;
        let home = folders.root.join("home");
        let mut family = Family::new(&home, &folders.temporary);
        let display = format!(":{}", server.number);
        family.set("DISPLAY", &display);
        family.set("XAUTHORITY", &server.xauthority);
        write_menu(&home)?;
        family.start(&manager, |_| {})?;
        if !screen.wait_for_manager(&stop, Duration::from_secs(20))? {
            return Err(DesktopError::NoWindow { program: "openbox", seconds: 20 });
        }
        screen.set_wallpaper(&photo(width.into(), height.into(), options.seed))?;
        let content = Content::write(&folders.root.join("content"), options.seed)?;
        Ok(Self { screen, content, family, apps: Vec::new(), display, stop, home, server, _folders: folders })
    }

    /// The X display, such as `:1`.
    pub(crate) fn display(&self) -> &str {
        &self.display
    }

    /// The file with the X server's cookie.
    pub(crate) fn xauthority(&self) -> &Path {
        &self.server.xauthority
    }

    /// Another connection to its X server.
    pub(crate) fn connect(&self) -> Result<Screen, DesktopError> {
        Screen::connect(&self.server.socket(), &self.server.cookie)
    }

    /// The home folder of its applications.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// What tells it to stop.
    pub(crate) fn stop(&self) -> Arc<Stop> {
        Arc::clone(&self.stop)
    }

    /// Does nothing for a while, but sees it when the X server ends.
    pub(crate) fn pause(&mut self, time: Duration) -> Result<(), DesktopError> {
        const LOOK: Duration = Duration::from_millis(500);
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            self.stop.pause(left.min(LOOK))?;
            if left <= LOOK {
                return Ok(());
            }
            if !self.server.runs() {
                return Err(DesktopError::Server { why: "it ended".into(), log: self.server.log() });
            }
        }
    }

    /// The window of an application, which is started when it is not there.
    pub(crate) fn app(&mut self, kind: Kind, area: Area) -> Result<App, DesktopError> {
        if let Some(&app) = self.apps.iter().find(|app| app.kind == kind) {
            if self.family.runs(app.process) && self.screen.area(app.window)?.is_some() {
                return Ok(app);
            }
            self.close(&[kind]);
        }
        let app = apps::open(self, kind, area)?;
        self.apps.push(app);
        Ok(app)
    }

    /// Ends applications.
    pub(crate) fn close(&mut self, kinds: &[Kind]) {
        let processes: Vec<_> =
            self.apps.iter().filter(|app| kinds.contains(&app.kind)).map(|app| app.process).collect();
        self.family.end(&processes);
        self.apps.retain(|app| !kinds.contains(&app.kind));
    }

    /// Raises a window and waits, if need be, until it has the keyboard.
    pub(crate) fn bring_up(&self, window: Window) -> Result<(), DesktopError> {
        const LIMIT: Duration = Duration::from_secs(2);
        self.screen.activate(window)?;
        wait(&self.stop, LIMIT, || Ok((self.screen.active()? == Some(window)).then_some(())))?;
        Ok(())
    }

    /// An area given in thousandths of the screen, so that the same script fits every size.
    pub(crate) fn area(&self, x: i32, y: i32, width: i32, height: i32) -> Area {
        let (across, down) = (i32::from(self.screen.width), i32::from(self.screen.height));
        Area {
            x: x * across / 1000,
            y: y * down / 1000,
            width: width * across / 1000,
            height: height * down / 1000,
        }
    }
}

/// The window manager's menu; its own would offer to end it.
fn write_menu(home: &Path) -> Result<(), DesktopError> {
    const ITEMS: [&str; 7] =
        ["Terminal", "Text editor", "Web browser", "Files", "Calculator", "Settings", "Help"];
    let folder = home.join("config/openbox");
    fs::create_dir_all(&folder).map_err(DesktopError::file(&folder))?;
    let items: String = ITEMS.map(|item| format!("<item label=\"{item}\"/>")).concat();
    let menu = format!(
        "<openbox_menu xmlns=\"http://openbox.org/3.4/menu\">\
         <menu id=\"root-menu\" label=\"Desktop\">{items}</menu></openbox_menu>\n"
    );
    let path = folder.join("menu.xml");
    fs::write(&path, menu).map_err(DesktopError::file(&path))
}

/// The folders of a desktop, removed with it.
struct Folders {
    root: PathBuf,
    temporary: PathBuf,
}

impl Folders {
    fn make(work_dir: &Path) -> Result<Self, DesktopError> {
        fs::create_dir_all(work_dir).map_err(DesktopError::file(work_dir))?;
        let root = work_dir.canonicalize().map_err(DesktopError::file(work_dir))?.join("desktop");
        // Of an earlier one that was killed.
        remove(&root)?;
        let mut temporary = root.join("tmp");
        if temporary.as_os_str().len() > LONGEST_TEMPORARY {
            // One name for each folder, so that the next desktop here finds and removes what a killed one left.
            let mut hasher = DefaultHasher::new();
            root.hash(&mut hasher);
            temporary = PathBuf::from(format!("/tmp/playhead-desktop-{:016x}", hasher.finish()));
            remove(&temporary)?;
        }
        let folders = Self { root, temporary };
        for folder in [&folders.root, &folders.temporary] {
            DirBuilder::new().mode(0o700).create(folder).map_err(DesktopError::file(folder))?;
        }
        let home = folders.root.join("home");
        fs::create_dir(&home).map_err(DesktopError::file(&home))?;
        Ok(folders)
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        for folder in [&self.temporary, &self.root] {
            if let Err(error) = remove(folder) {
                tracing::warn!(error = %error, "could not remove a folder of the desktop");
            }
        }
    }
}

fn remove(folder: &Path) -> Result<(), DesktopError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(DesktopError::file(folder)(error)),
        _ => Ok(()),
    }
}
