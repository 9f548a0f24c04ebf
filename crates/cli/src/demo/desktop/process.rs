use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getppid};

use super::DesktopError;

/// How long processes may take to end by themselves before they are killed.
const PATIENCE: Duration = Duration::from_secs(3);

/// The environment variable that marks every process of a desktop, whoever started it.
const MARK: &str = "PLAYHEAD_DESKTOP";

/// The processes of one desktop: each a process group of its own, in an environment that shows them nothing of the
/// user's, ended when this is dropped or when the thread that started them ends in any way.
pub(crate) struct Family {
    mark: String,
    environment: BTreeMap<&'static str, OsString>,
    children: Vec<Child>,
}

impl Family {
    /// `home` and `temporary` are the folders its processes write to.
    pub(crate) fn new(home: &Path, temporary: &Path) -> Self {
        let mark = uuid::Uuid::new_v4().to_string();
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        let environment = BTreeMap::from([
            (MARK, mark.clone().into()),
            ("PATH", path),
            ("HOME", home.into()),
            ("TMPDIR", temporary.into()),
            ("XDG_RUNTIME_DIR", temporary.into()),
            ("XDG_CONFIG_HOME", home.join("config").into()),
            ("XDG_CACHE_HOME", home.join("cache").into()),
            ("XDG_DATA_HOME", home.join("data").into()),
            ("LANG", "C.UTF-8".into()),
            ("TZ", "UTC".into()),
            ("SHELL", "/bin/sh".into()),
            // Neither the user's settings and session bus nor processes of our own that would serve them.
            ("GSETTINGS_BACKEND", "memory".into()),
            ("DBUS_SESSION_BUS_ADDRESS", "disabled:".into()),
            ("NO_AT_BRIDGE", "1".into()),
        ]);
        Self { mark, environment, children: Vec::new() }
    }

    /// Sets a variable for the processes started from now on.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.environment.insert(name, value.into());
    }

    /// Starts a process in the folder `HOME`, without input, and returns its id.
    ///
    /// # Errors
    /// [`DesktopError::Spawn`].
    pub(crate) fn start(
        &mut self,
        program: &Path,
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Pid, DesktopError> {
        let mut command = Command::new(program);
        command.env_clear().envs(&self.environment).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(home) = self.environment.get("HOME") {
            command.current_dir(home);
        }
        prepare(&mut command);
        die_with_parent(&mut command);
        let child = command
            .spawn()
            .map_err(|source| DesktopError::Spawn { program: program.display().to_string(), source })?;
        let id = pid(&child);
        self.children.push(child);
        Ok(id)
    }

    /// The child with this id, for its pipes and its end.
    pub(crate) fn child(&mut self, id: Pid) -> Option<&mut Child> {
        self.children.iter_mut().find(|child| pid(child) == id)
    }

    /// Does it still run?
    pub(crate) fn runs(&mut self, id: Pid) -> bool {
        self.child(id).is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Ends these processes with all of their groups: asks, waits, kills, and collects them.
    pub(crate) fn end(&mut self, ids: &[Pid]) {
        let (mut ending, staying): (Vec<Child>, Vec<Child>) =
            self.children.drain(..).partition(|child| ids.contains(&pid(child)));
        self.children = staying;
        signal_groups(&ending, Signal::SIGTERM);
        let until = Instant::now() + PATIENCE;
        while ending.iter_mut().any(|child| matches!(child.try_wait(), Ok(None))) && Instant::now() < until {
            thread::sleep(Duration::from_millis(10));
        }
        // The groups once more: a leader may end and leave others behind.
        signal_groups(&ending, Signal::SIGKILL);
        for mut child in ending {
            let _ = child.wait();
        }
    }

    /// Ends everything started here, and what those processes have started outside their groups.
    pub(crate) fn end_all(&mut self) {
        let ids: Vec<Pid> = self.children.iter().map(pid).collect();
        self.end(&ids);
        let until = Instant::now() + PATIENCE;
        loop {
            let strays = marked(&format!("{MARK}={}", self.mark));
            if strays.is_empty() || Instant::now() > until {
                break;
            }
            for stray in strays {
                let _ = kill(stray, Signal::SIGKILL);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        self.end_all();
    }
}

/// One process in a family of its own.
pub(crate) struct Process {
    family: Family,
}

impl Process {
    /// Starts it with `folder` as its home; it ends with the starting thread, or when this is dropped.
    ///
    /// # Errors
    /// [`DesktopError::Spawn`].
    pub(crate) fn start(
        program: &Path,
        folder: &Path,
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Self, DesktopError> {
        let mut family = Family::new(folder, folder);
        family.start(program, prepare)?;
        Ok(Self { family })
    }

    /// Its pipes and its end.
    pub(crate) fn child(&mut self) -> &mut Child {
        // Made with one child, which nothing takes away.
        &mut self.family.children[0]
    }
}

/// Has the kernel end the process when the thread that starts it ends, `kill -9` of this process included.
#[expect(unsafe_code, reason = "only code that runs in the child before its program can ask for this")]
fn die_with_parent(command: &mut Command) {
    let parent = nix::unistd::getpid();
    // SAFETY: the closure runs between fork and exec; it makes two system calls, takes no lock and allocates nothing.
    unsafe {
        command.pre_exec(move || {
            prctl::set_pdeathsig(Signal::SIGTERM)?;
            // The parent may have ended before the request was made.
            if getppid() == parent { Ok(()) } else { Err(std::io::ErrorKind::BrokenPipe.into()) }
        });
    }
}

fn pid(child: &Child) -> Pid {
    // Process ids are positive and far below 2^31 on Linux.
    Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX))
}

fn signal_groups(children: &[Child], signal: Signal) {
    for child in children {
        // Fails when nobody of the group is left, which is what is wanted.
        let _ = killpg(pid(child), signal);
    }
}

/// The running processes whose environment has this entry.
fn marked(entry: &str) -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    processes
        .filter_map(|process| process.ok()?.file_name().to_str()?.parse().ok())
        .filter(|id: &i32| {
            fs::read(format!("/proc/{id}/environ")).is_ok_and(|environment| {
                environment.split(|&byte| byte == 0).any(|one| one == entry.as_bytes())
            })
        })
        .map(Pid::from_raw)
        .collect()
}

/// Looks a program up on the `PATH`.
///
/// # Errors
/// [`DesktopError::Missing`], naming the Debian package to install.
pub(crate) fn find(program: &'static str, package: &'static str) -> Result<PathBuf, DesktopError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/bin")])
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .ok_or(DesktopError::Missing { program, package })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ending_reaches_a_stubborn_process_and_one_that_left_its_group() {
        let home = tempfile::tempdir().unwrap();
        let mut family = Family::new(home.path(), home.path());
        let shell = find("sh", "dash").unwrap();
        let file = home.path().join("ready");
        let script = "trap '' TERM; setsid sleep 600 & echo $! >ready.new; mv ready.new ready; while :; do sleep 1; done";
        let id = family
            .start(&shell, |command| {
                command.args(["-c", script]);
            })
            .unwrap();
        while !file.exists() {
            assert!(family.runs(id));
            thread::sleep(Duration::from_millis(10));
        }
        let mark = format!("{MARK}={}", family.mark);
        assert!(marked(&mark).len() >= 2);
        drop(family);
        assert_eq!(marked(&mark), []);
        assert!(!Path::new(&format!("/proc/{id}")).exists(), "ended but not collected");
    }

    #[test]
    fn a_process_ends_with_the_thread_that_started_it() {
        let home = tempfile::tempdir().unwrap();
        let sleep = find("sleep", "coreutils").unwrap();
        let mut family = thread::scope(|scope| {
            scope
                .spawn(|| {
                    let mut family = Family::new(home.path(), home.path());
                    family
                        .start(&sleep, |command| {
                            command.arg("600");
                        })
                        .unwrap();
                    family
                })
                .join()
                .unwrap()
        });
        let status = family.children[0].wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(Signal::SIGTERM as i32));
    }

    #[test]
    fn a_missing_program_names_its_package() {
        let error = find("no-such-program", "some-package").unwrap_err();
        assert_eq!(
            error.to_string(),
            "no-such-program is not installed: install the Debian package some-package"
        );
    }
}
