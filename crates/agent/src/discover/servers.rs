//! The X servers of this machine.
//!
//! Who listens at a display's socket is asked of the kernel: names in `/tmp` can be made by anybody.

use super::process::{self, Process};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket, sockopt::PeerCredentials,
};
use playhead_model::RemoteProtocol;
use std::{
    collections::BTreeMap,
    fs,
    os::{fd::AsRawFd as _, linux::fs::MetadataExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Where the sockets of displays are.
pub(super) const SOCKETS: &str = "/tmp/.X11-unix";
/// A socket at which nobody listens yet is asked again for this long: it comes into being a moment before its server listens.
const YOUNG: Duration = Duration::from_secs(5);
/// The most displays.
const MOST: usize = 1_024;

/// An X server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// Number of its display.
    pub(super) number: u32,
    pub(super) process: Process,
    /// Who runs it.
    pub(super) user: u32,
    pub(super) protocol: RemoteProtocol,
    /// Its file with cookies, where its command line names one.
    pub(super) xauthority: Option<PathBuf>,
    /// The program that is published, where whoever started the session says so.
    pub(super) application: Option<String>,
    /// The port at which an Xvnc listens.
    pub(super) vnc_port: Option<u16>,
}

/// What is known of a display's socket.
struct Socket {
    inode: u64,
    since: Instant,
    server: Option<Server>,
}

/// All displays of the machine, kept up to date.
#[derive(Default)]
pub(super) struct Servers(BTreeMap<u32, Socket>);

impl Servers {
    /// Looks again. Only what has changed is looked at closely.
    pub(super) fn look(&mut self, wanted: impl Fn(u32) -> bool) {
        let mut present = BTreeMap::new();
        for entry in fs::read_dir(SOCKETS).into_iter().flatten().take(MOST).flatten() {
            let number = entry.file_name().to_str().and_then(|name| name.strip_prefix('X')?.parse().ok());
            if let (Some(number), Ok(metadata)) = (number, entry.metadata())
                && wanted(number)
            {
                present.insert(number, metadata.st_ino());
            }
        }
        self.0.retain(|number, socket| present.get(number) == Some(&socket.inode));
        for (number, inode) in present {
            let socket =
                self.0.entry(number).or_insert(Socket { inode, since: Instant::now(), server: None });
            let is_gone = socket.server.as_ref().is_some_and(|server| !server.process.is_alive());
            if is_gone {
                // Whoever else holds the socket now, it is another server.
                *socket = Socket { inode, since: Instant::now(), server: None };
            }
            if socket.server.is_none() && socket.since.elapsed() < YOUNG {
                socket.server = server(number);
            }
        }
    }

    /// Those that run.
    pub(super) fn all(&self) -> impl Iterator<Item = &Server> + Clone {
        self.0.values().filter_map(|socket| socket.server.as_ref())
    }

    /// Whether somebody may begin to listen any moment.
    pub(super) fn is_waiting(&self) -> bool {
        self.0.values().any(|socket| socket.server.is_none() && socket.since.elapsed() < YOUNG)
    }
}

/// Who listens at a display's socket.
fn server(number: u32) -> Option<Server> {
    let path = format!("{SOCKETS}/X{number}");
    let socket =
        socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)
            .ok()?;
    connect(socket.as_raw_fd(), &UnixAddr::new(Path::new(&path)).ok()?).ok()?;
    let credentials = getsockopt(&socket, PeerCredentials).ok()?;
    let pid = u32::try_from(credentials.pid()).ok().filter(|pid| *pid > 0)?;
    let process = Process::of(pid)?;
    let name = process::name(pid)?;
    // What it shows is shown again, piece by piece, in a session that has a display of its own.
    if name == "Xwayland" {
        return None;
    }
    let arguments = process::arguments(pid);
    let sesman = process::above(pid, |name| name == "xrdp-sesman").is_some();
    let is_vnc = name.to_ascii_lowercase().contains("vnc");
    let protocol = match (sesman, is_vnc) {
        (true, _) => RemoteProtocol::Rdp,
        (false, true) => RemoteProtocol::Vnc,
        (false, false) => RemoteProtocol::Local,
    };
    let option = |name: &str| arguments.windows(2).find(|pair| pair[0] == name).map(|pair| &pair[1]);
    let xauthority = option("-auth").map(PathBuf::from);
    let xauthority = xauthority.and_then(|path| {
        if path.is_absolute() { Some(path) } else { Some(process::folder(pid)?.join(path)) }
    });
    let default = u16::try_from(number).ok().and_then(|number| number.checked_add(5_900));
    let vnc_port = is_vnc.then(|| option("-rfbport").map_or(default, |port| port.parse().ok())).flatten();
    // Of a server that a user starts, the environment is the user's own word.
    let application = sesman
        .then(|| process::variable(pid, "PLAYHEAD_APPLICATION"))
        .flatten()
        .map(|name| name.chars().filter(|letter| !letter.is_control()).take(200).collect::<String>())
        .filter(|name| !name.trim().is_empty());
    Some(Server { number, process, user: credentials.uid(), protocol, xauthority, application, vnc_port })
}
