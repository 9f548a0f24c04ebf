//! What a session of xrdp was started with: the desktop, or a program that is published.
//!
//! xrdp's session manager starts one program in each session, as the session's user: what the client asks for, otherwise the desktop. It
//! is known by its file, which no user can give to anything else, and by what it is when it is first seen: what it becomes later is the
//! user's doing.

use super::{
    process::{self, Identity, Process},
    servers::Server,
};
use crate::settings::Applications;
use playhead_model::RemoteProtocol;
use std::{
    collections::HashMap,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// What a session is called that was not started with a published program.
const DESKTOP: &str = "desktop";
/// What is not started by then is not waited for any more: each look goes through all processes.
const LONGEST: Duration = Duration::from_secs(60);
/// The shell by which the session manager starts a program with arguments.
const SHELL: &str = "/bin/sh";
/// A script says in its first bytes what interprets it: no more than this counts, as for the kernel.
const MOST_FIRST_LINE: u64 = 256;
/// Where programs without a path are looked for.
const PATH: [&str; 4] = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/games"];

/// What the sessions were started with.
pub(super) struct Programs {
    applications: Applications,
    /// By X server.
    found: HashMap<Process, Found>,
}

/// What is known of a session.
struct Found {
    since: Instant,
    /// `None` as long as nothing is started.
    application: Option<String>,
}

impl Programs {
    pub(super) fn new(applications: Applications) -> Self {
        Self { applications, found: HashMap::new() }
    }

    /// Looks at sessions of which it is not known yet.
    pub(super) fn look<'a>(&mut self, servers: impl Iterator<Item = &'a Server> + Clone) {
        if self.applications.is_empty() {
            return;
        }
        self.found.retain(|process, _| servers.clone().any(|server| server.process == *process));
        for server in servers.filter(|server| server.protocol == RemoteProtocol::Rdp) {
            let new = || Found { since: Instant::now(), application: server.application.clone() };
            let found = self.found.entry(server.process).or_insert_with(new);
            if found.application.is_some() || found.since.elapsed() > LONGEST {
                continue;
            }
            found.application = first(server.process).map(|program| {
                let name =
                    self.applications.iter().find(|(_, paths)| paths.iter().any(|path| program.is(path)));
                name.map_or(DESKTOP, |(name, _)| name).to_owned()
            });
        }
    }

    /// What a session was started with, where that is known.
    pub(super) fn of(&self, server: Process) -> Option<&str> {
        self.found.get(&server)?.application.as_deref()
    }

    /// Whether that is to be known, but is not yet.
    pub(super) fn expects(&self, server: Process) -> bool {
        self.found.get(&server).is_some_and(|found| found.application.is_none())
    }
}

/// The program that the session manager has started in the session of an X server; `None` before it has.
fn first(server: Process) -> Option<Program> {
    let is_manager = |name: &str| matches!(name, "xrdp-sesman" | "xrdp-sesexec");
    let (manager, branch) = process::above(server.pid, is_manager)?;
    let others = process::children(manager).into_iter().filter(|pid| *pid != branch);
    // It is forked before all others, and waits for the X server.
    let first = others.filter_map(Process::of).min_by_key(|process| (process.start, process.pid))?;
    let program = Program::of(first.pid)?;
    (Some(program.file) != Identity::of_program(manager)).then_some(program)
}

/// A program that runs.
struct Program {
    file: Identity,
    arguments: Vec<String>,
}

impl Program {
    fn of(pid: u32) -> Option<Self> {
        let file = Identity::of_program(pid)?;
        let mut arguments = process::arguments(pid);
        // Each is followed by a zero.
        arguments.pop();
        // It may just have become another.
        (Identity::of_program(pid) == Some(file)).then_some(Self { file, arguments })
    }

    /// Whether it is the program at a path: that file itself, a script that its interpreter runs, or a shell that is about to run it.
    fn is(&self, path: &Path) -> bool {
        let Some(wanted) = Identity::of(path) else { return false };
        self.file == wanted || self.runs_script(path) || self.is_about_to_run(wanted)
    }

    /// As it is written: where a path leads can depend on who goes there.
    fn runs_script(&self, path: &Path) -> bool {
        let Some(Script { interpreter, argument }) = Script::at(path) else { return false };
        let follows = |before: &[&str]| {
            let Some((last, first)) =
                self.arguments.get(1..=before.len() + 1).and_then(<[String]>::split_last)
            else {
                return false;
            };
            first.iter().map(String::as_str).eq(before.iter().copied()) && Path::new(last) == path
        };
        let given: Vec<&str> = argument.as_deref().into_iter().collect();
        if Identity::of(&interpreter) == Some(self.file) && follows(&given) {
            return true;
        }
        // "env" finds the interpreter and becomes it.
        let words: Vec<&str> = given.iter().flat_map(|words| words.split_ascii_whitespace()).collect();
        let words = words.strip_prefix(&["-S"]).unwrap_or(&words);
        match words.split_first() {
            Some((name, before)) if interpreter.file_name().is_some_and(|name| name == "env") => {
                which(name).and_then(Identity::of) == Some(self.file) && follows(before)
            }
            _ => false,
        }
    }

    /// Whether it is a shell with a command of plain words, of which the first is that program: the shell does nothing but start it.
    fn is_about_to_run(&self, wanted: Identity) -> bool {
        let [_, option, command] = self.arguments.as_slice() else { return false };
        let is_plain = |letter: char| letter.is_alphanumeric() || " _./:=,@%+-".contains(letter);
        if option != "-c" || !command.chars().all(is_plain) || Identity::of(SHELL) != Some(self.file) {
            return false;
        }
        let first = command.split(' ').find(|word| !word.is_empty());
        first.and_then(which).and_then(Identity::of) == Some(wanted)
    }
}

/// The file of a program's name.
fn which(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| path.is_absolute());
    }
    PATH.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

/// What stands in a script's first line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Script {
    interpreter: PathBuf,
    argument: Option<String>,
}

impl Script {
    fn at(path: &Path) -> Option<Self> {
        let mut bytes = Vec::new();
        File::open(path).ok()?.take(MOST_FIRST_LINE).read_to_end(&mut bytes).ok()?;
        let line = bytes.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
        let line = std::str::from_utf8(line).ok()?.trim_matches([' ', '\t', '\r']);
        let (interpreter, argument) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let argument = Some(argument.trim_matches([' ', '\t']).to_owned());
        Some(Self {
            interpreter: Some(PathBuf::from(interpreter)).filter(|path| path.is_absolute())?,
            argument: argument.filter(|argument| !argument.is_empty()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        os::unix::{
            fs::PermissionsExt as _,
            process::{CommandExt as _, parent_id},
        },
        process::{Child, Command, Stdio},
    };

    /// A process that ends with the test.
    struct Running(Child);

    impl Running {
        fn start(command: &mut Command) -> Self {
            Self(command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap())
        }

        /// Waits until it is the program at a path.
        fn becomes(&self, path: &Path) {
            let start = Instant::now();
            while !Program::of(self.0.id()).is_some_and(|program| program.is(path)) {
                assert!(start.elapsed() < Duration::from_secs(20), "it is not {}", path.display());
                std::thread::sleep(Duration::from_millis(5));
            }
        }

        fn is(&self, path: &Path) -> bool {
            Program::of(self.0.id()).unwrap().is(path)
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn a_program_is_its_file_whatever_it_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let (cat, own) = (Path::new("/bin/cat"), folder.path().join("cat"));
        let running = Running::start(Command::new(cat).arg0("/usr/bin/other"));
        running.becomes(cat);
        assert!(!running.is(Path::new("/usr/bin/other")) && !running.is(Path::new("/bin/sh")));
        // A link is the same program, a copy is another.
        std::os::unix::fs::symlink(cat, folder.path().join("link")).unwrap();
        assert!(running.is(&folder.path().join("link")));
        fs::copy(cat, &own).unwrap();
        let copy = Running::start(Command::new(&own).arg0("/bin/cat"));
        copy.becomes(&own);
        assert!(!copy.is(cat));
    }

    #[test]
    fn a_script_is_known_by_what_interprets_it() {
        let folder = tempfile::tempdir().unwrap();
        let plain = script(folder.path(), "plain", "#!/bin/sh\nread line\n");
        let with = script(folder.path(), "with", "#! /bin/sh -e\nread line\n");
        let env = script(folder.path(), "env", "#!/usr/bin/env sh\nread line\n");
        for path in [&plain, &with, &env] {
            let running = Running::start(&mut Command::new(path));
            running.becomes(path);
            assert!([&plain, &with, &env].iter().filter(|path| running.is(path)).count() == 1);
        }
        // Given to an interpreter that is not its own, or after something else, it is not run as itself.
        let quiet = |program: &str, arguments: &[&str]| {
            let running = Running::start(Command::new(program).args(arguments));
            running.becomes(Path::new(program));
            running.is(&plain)
        };
        let path = plain.to_str().unwrap();
        assert!(!quiet("/bin/cat", &["-", path]));
        assert!(!quiet("/bin/sh", &["-c", "read line", path]));
        assert!(!quiet("/bin/sh", &["-e", path]));
    }

    #[test]
    fn a_shell_that_only_starts_a_program_counts_as_that() {
        let cat = Path::new("/bin/cat");
        let file = Identity::of(SHELL).unwrap();
        let is = |command: &str| {
            let arguments = ["sh", "-c", command].map(str::to_owned).to_vec();
            Program { file, arguments }.is(cat)
        };
        assert!(is("/bin/cat -u") && is(" cat /tmp/a=b"));
        for other in ["cat; id", "cat & id", "x=1 cat", "$SHELL", "id", "./cat", "", "cat `id`", "cat\nid"] {
            assert!(!is(other), "{other}");
        }
    }

    #[test]
    fn the_first_line_of_a_script_is_read_as_the_kernel_does() {
        let folder = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            Script::at(&script(folder.path(), "s", text)).map(|it| (it.interpreter, it.argument))
        };
        assert_eq!(read("#!/bin/sh\n"), Some(("/bin/sh".into(), None)));
        assert_eq!(read("#! /bin/sh\t-e x \nmore"), Some(("/bin/sh".into(), Some("-e x".into()))));
        for wrong in ["", "#!", "#!\n", "#!sh\n", "\u{7f}ELF", "# !/bin/sh"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert!(Script::at(Path::new("/none")).is_none());
    }

    #[test]
    fn what_is_not_a_session_of_xrdp_has_no_first_program() {
        assert!(first(Process::of(std::process::id()).unwrap()).is_none());
        assert!(process::above(std::process::id(), |_| false).is_none());
        let parent = process::name(parent_id()).unwrap();
        let found = process::above(std::process::id(), |name| name == parent);
        if nix::unistd::geteuid().is_root() {
            assert_eq!(found.map(|(_, below)| below), Some(std::process::id()));
        }
    }
}
