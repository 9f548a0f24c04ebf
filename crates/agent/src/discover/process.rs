//! What `/proc` says of a process. Everything in it may be gone a moment later, and much of it is the process's own word.

use std::{
    fs::{self, File},
    io::Read as _,
    os::linux::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// A command line or an environment is looked at up to here.
const MOST_BYTES: u64 = 128 << 10;
/// The most entries of a folder that are looked at.
const MOST_ENTRIES: usize = 100_000;
/// A session's X server is at most so far below xrdp's session manager.
const MOST_ABOVE: usize = 4;
/// Ticks of a second in `/proc`: the same on every Linux.
pub(crate) const TICKS: u64 = 100;

/// A process, and not a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(crate) struct Process {
    /// Its number.
    pub(crate) pid: u32,
    /// Ticks since the machine's start at which it began.
    pub(crate) start: u64,
}

impl Process {
    /// The one that has this number now.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        Some(Self { pid, start: Stat::of(pid)?.start })
    }

    /// Whether somebody has stopped it (SIGSTOP), so that it does nothing.
    pub(crate) fn is_stopped(self) -> bool {
        Stat::of(self.pid).is_some_and(|stat| stat.start == self.start && matches!(stat.state, b'T' | b't'))
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(self) -> bool {
        Stat::of(self.pid).is_some_and(|stat| stat.start == self.start && stat.state != b'Z')
    }
}

/// What stands in a process's `stat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) name: String,
    state: u8,
    pub(super) parent: u32,
    start: u64,
}

impl Stat {
    pub(super) fn of(pid: u32) -> Option<Self> {
        let mut text = Vec::new();
        File::open(format!("/proc/{pid}/stat")).ok()?.take(4 << 10).read_to_end(&mut text).ok()?;
        Self::parse(&String::from_utf8_lossy(&text))
    }

    /// The name stands in parentheses and may itself hold any characters.
    fn parse(text: &str) -> Option<Self> {
        let (before, after) = text.rsplit_once(')')?;
        let (_, name) = before.split_once('(')?;
        let fields: Vec<&str> = after.split_ascii_whitespace().collect();
        Some(Self {
            name: name.to_owned(),
            state: *fields.first()?.as_bytes().first()?,
            parent: fields.get(1)?.parse().ok()?,
            start: fields.get(19)?.parse().ok()?,
        })
    }
}

/// The real user of a process. What `/proc` gives as the owner of its folder is root's where it may not be looked into.
pub(super) fn user(pid: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Its command line.
pub(super) fn arguments(pid: u32) -> Vec<String> {
    let bytes = read(&format!("/proc/{pid}/cmdline"));
    bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// A variable of the environment with which it was started.
pub(crate) fn variable(pid: u32, name: &str) -> Option<String> {
    let bytes = read(&format!("/proc/{pid}/environ"));
    let wanted =
        |entry: &&[u8]| entry.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'='));
    let entry = bytes.split(|byte| *byte == 0).find(wanted)?;
    Some(String::from_utf8_lossy(&entry[name.len() + 1..]).into_owned())
}

/// Its working folder.
pub(super) fn folder(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/cwd")).ok()
}

/// The inodes of its sockets.
pub(super) fn sockets(pid: u32) -> Vec<u64> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let socket = |path: PathBuf| {
        let inode = fs::read_link(path).ok()?;
        inode.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    };
    entries.take(MOST_ENTRIES).flatten().filter_map(|entry| socket(entry.path())).collect()
}

/// All processes.
pub(crate) fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(Path::new("/proc")).ok();
    entries
        .into_iter()
        .flat_map(|entries| entries.take(MOST_ENTRIES))
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The children of a process.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    all().filter(|pid| Stat::of(*pid).is_some_and(|stat| stat.parent == parent)).collect()
}

/// The name of a process's program.
pub(crate) fn name(pid: u32) -> Option<String> {
    Some(Stat::of(pid)?.name)
}

/// The nearest of root's processes above this one whose name is as `wanted`, and the one right below it.
pub(super) fn above(pid: u32, wanted: impl Fn(&str) -> bool) -> Option<(u32, u32)> {
    let mut below = pid;
    for _ in 0..MOST_ABOVE {
        let parent = parent(below).filter(|parent| *parent > 1)?;
        if name(parent).is_some_and(|name| wanted(&name)) && user(parent) == Some(0) {
            return Some((parent, below));
        }
        below = parent;
    }
    None
}

/// The parent of a process.
pub(crate) fn parent(pid: u32) -> Option<u32> {
    Some(Stat::of(pid)?.parent)
}

fn read(path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        // What was read before a failure is as good as the rest.
        let _ = file.take(MOST_BYTES).read_to_end(&mut bytes);
    }
    bytes
}

/// A file, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// Of the file at this path.
    pub(super) fn of(path: impl AsRef<Path>) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self { device: metadata.st_dev(), inode: metadata.st_ino() })
    }

    /// Of the program that a process runs.
    pub(super) fn of_program(pid: u32) -> Option<Self> {
        Self::of(format!("/proc/{pid}/exe"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_what_separates_the_fields() {
        let numbers = (0..30).map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
        let stat = Stat::parse(&format!("77 (a) S 1 (b) R 42 {numbers}")).unwrap();
        assert_eq!((stat.name.as_str(), stat.state, stat.parent, stat.start), ("a) S 1 (b", b'R', 42, 17));
        for wrong in ["", "7 x", "7 (x) S", "7 (x) S one 2 3", "7 (x) S 1 2 3"] {
            assert_eq!(Stat::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_process_is_known_by_its_start() {
        let own = Process::of(std::process::id()).unwrap();
        assert!(own.is_alive());
        assert!(!Process { start: own.start + 1, ..own }.is_alive());
        assert!(Process::of(u32::MAX).is_none());
        assert_eq!(user(own.pid), Some(nix::unistd::getuid().as_raw()));
        assert!(!arguments(own.pid).is_empty());
        assert!(variable(own.pid, "PATH").is_some() && variable(own.pid, "PAT").is_none());
        assert!(all().any(|pid| pid == own.pid));
        assert!(children(parent(own.pid).unwrap()).contains(&own.pid));
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(!sockets(own.pid).is_empty());
        drop(socket);
    }
}
