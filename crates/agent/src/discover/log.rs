//! Names of client machines: they stand nowhere but in xrdp's log.
//!
//! The log says that a connection came, with its address, and later, without it, what the client calls itself. Where xrdp is set to
//! (`EnableProcessId`), it says which of its processes writes: the one that names the client is the one that holds the connection.
//! Otherwise, of two that come at the same moment nobody can tell which is which; then neither gets a name. Connections that have ended
//! meanwhile do not count: many are somebody's who only looks whether the port is open.

use super::process::Process;
use std::{
    collections::{HashMap, VecDeque},
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

/// At most so much of the log is read at once; of an older one only its end.
const MOST_BYTES: u64 = 256 << 10;
/// So many connections are remembered.
const MOST_CLIENTS: usize = 512;
/// Longest name of a client, in characters. The protocol allows 15; some programs send more.
const MOST_NAME: usize = 64;

/// A connection, and what its client calls itself, once known.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Client {
    address: SocketAddr,
    name: Option<String>,
    /// Its name has not come yet.
    waits: bool,
}

/// What xrdp's log has said so far.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    read: u64,
    /// The beginning of a line whose end is not there yet.
    rest: String,
    clients: VecDeque<Client>,
    /// What the clients of xrdp's processes call themselves.
    by_process: HashMap<Process, String>,
}

impl Log {
    pub(super) fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            read: 0,
            rest: String::new(),
            clients: VecDeque::new(),
            by_process: HashMap::new(),
        }
    }

    /// Reads what came since; `alive` says which clients are connected now. A log that cannot be read costs the names alone.
    pub(super) fn read(&mut self, alive: impl Fn(SocketAddr) -> bool) {
        let mut read = || -> std::io::Result<String> {
            let mut file = File::open(&self.path)?;
            let length = file.metadata()?.len();
            if length < self.read {
                // It was begun anew.
                (self.read, self.rest) = (0, String::new());
            }
            if length - self.read > MOST_BYTES {
                (self.read, self.rest) = (length - MOST_BYTES, String::new());
            }
            file.seek(SeekFrom::Start(self.read))?;
            let mut bytes = Vec::new();
            self.read += file.take(MOST_BYTES).read_to_end(&mut bytes)? as u64;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        match read() {
            Ok(text) => self.take(&text, &alive),
            Err(error) => tracing::debug!(path = %self.path.display(), %error, "no names of client machines"),
        }
        self.by_process.retain(|process, _| process.is_alive());
    }

    /// What the client of one of xrdp's processes calls itself, where the log says so.
    pub(super) fn name_of(&self, pid: u32) -> Option<&str> {
        self.by_process.get(&Process::of(pid)?).map(String::as_str)
    }

    /// What the client with this address calls itself.
    pub(super) fn name(&self, address: SocketAddr) -> Option<&str> {
        let client = self.clients.iter().rev().find(|client| client.address == address)?;
        client.name.as_deref()
    }

    fn take(&mut self, text: &str, alive: &impl Fn(SocketAddr) -> bool) {
        self.rest.push_str(text);
        let text = std::mem::take(&mut self.rest);
        let (whole, rest) = text.rsplit_once('\n').unwrap_or(("", &text));
        whole.lines().for_each(|line| self.line(line, alive));
        if (rest.len() as u64) < MOST_BYTES {
            rest.clone_into(&mut self.rest);
        }
    }

    fn line(&mut self, line: &str, alive: &impl Fn(SocketAddr) -> bool) {
        if let Some((_, at)) = line.split_once("connection received from ") {
            if let Some(address) = address(at) {
                self.clients.push_back(Client { address, name: None, waits: true });
                if self.clients.len() > MOST_CLIENTS {
                    self.clients.pop_front();
                }
            }
            return;
        }
        let name = ["Connected client computer name: ", "connected client computer name: "]
            .iter()
            .find_map(|words| line.split_once(words));
        let Some((_, name)) = name else { return };
        let name: String = name.chars().filter(|letter| !letter.is_control()).take(MOST_NAME).collect();
        let name = Some(name.trim().to_owned()).filter(|name| !name.is_empty());
        // What an earlier process of this number has said is said again by this one before it connects to a session.
        if let (Some(process), Some(name)) = (writer(line).and_then(Process::of), &name)
            && self.by_process.len() < MOST_CLIENTS
        {
            self.by_process.insert(process, name.clone());
        }
        let mut waiting = self.clients.iter_mut().filter(|client| client.waits && alive(client.address));
        let (first, second) = (waiting.next(), waiting.next());
        match (first, second) {
            (Some(client), None) => {
                (client.name, client.waits) = (name, false);
            }
            (Some(_), Some(_)) => self.clients.iter_mut().for_each(|client| client.waits = false),
            // Its connection has ended already.
            (None, _) => {}
        }
    }
}

/// The process that wrote a line: `[20261122-17:10:07] [INFO ] [pid:86 tid:139898532996928] …`. What a client may have written comes later.
fn writer(line: &str) -> Option<u32> {
    let mut rest = line;
    for _ in 0..2 {
        rest = rest.strip_prefix('[')?.split_once("] ")?.1;
    }
    rest.strip_prefix("[pid:")?.split_once(' ')?.0.parse().ok()
}

/// `::ffff:192.0.2.7 port 52140`
fn address(text: &str) -> Option<SocketAddr> {
    let mut words = text.split_ascii_whitespace();
    let address: IpAddr = words.next()?.parse().ok()?;
    let port = words.nth(1)?.parse().ok()?;
    Some(SocketAddr::new(address.to_canonical(), port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    const CAME: &str =
        "[20261122-13:55:54] [INFO ] Socket 12: AF_INET6 connection received from ::ffff:192.0.2.1 port 5\n";

    #[test]
    fn a_name_goes_to_the_one_connection_that_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("xrdp.log");
        let mut file = File::create(&path).unwrap();
        let mut log = Log::new(&path);
        let (one, two) = ("192.0.2.1:5".parse().unwrap(), "192.0.2.1:6".parse().unwrap());
        write!(file, "{CAME}[INFO ] Connected client comp").unwrap();
        log.read(|_| true);
        assert_eq!(log.name(one), None);
        file.write_all(b"uter name: PC\x071\n").unwrap();
        log.read(|_| true);
        assert_eq!(log.name(one), Some("PC1"));

        // Two at the same moment.
        let other = CAME.replace("port 5", "port 6");
        write!(
            file,
            "{CAME}{other}x Connected client computer name: A\nx Connected client computer name: B\n"
        )
        .unwrap();
        log.read(|_| true);
        assert_eq!((log.name(one), log.name(two)), (None, None));

        // One of them has only looked whether somebody listens.
        writeln!(file, "{CAME}{other}x Connected client computer name: A").unwrap();
        log.read(|address| address == two);
        assert_eq!((log.name(one), log.name(two)), (None, Some("A")));

        // Begun anew.
        std::fs::write(&path, format!("{other}connected client computer name: C\n")).unwrap();
        log.read(|address| address == two);
        assert_eq!(log.name(two), Some("C"));
        assert_eq!(Log::new("/none").name(two), None);
    }

    #[test]
    fn the_process_that_writes_a_name_holds_the_connection() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("xrdp.log");
        let own = std::process::id();
        let other = std::os::unix::process::parent_id();
        let name = |pid: u32, name: &str| {
            format!(
                "[20261122-13:55:54] [INFO ] [pid:{pid} tid:139] Connected client computer name: {name}\n"
            )
        };
        let listener = CAME.replace("[INFO ] ", "[INFO ] [pid:1 tid:139] ");
        let second = listener.replace("port 5", "port 6");
        let text = format!("{listener}{second}{}{}", name(other, "B"), name(own, "A"));
        std::fs::write(&path, format!("{text}{}", name(u32::MAX, "nobody"))).unwrap();
        let mut log = Log::new(&path);
        log.read(|_| true);
        assert_eq!((log.name_of(own), log.name_of(other)), (Some("A"), Some("B")));
        assert_eq!((log.name_of(u32::MAX), log.name("192.0.2.1:5".parse().unwrap())), (None, None));
        // What a client writes is not taken for what xrdp does.
        for line in [
            format!("[x] [INFO ] Connected client computer name: [pid:{own} tid:1"),
            format!("[x] [INFO ] other [pid:{own} tid:1] Connected client computer name: C"),
            "[pid:7".to_owned(),
            String::new(),
        ] {
            assert_eq!(writer(&line), None, "{line}");
        }
    }
}
