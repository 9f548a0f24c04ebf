//! Who is connected to a session, from where.
//!
//! xrdp: a connection to its port belongs to one of its processes, and that is at the other end of a socket of the display's X server.
//! Xvnc: a connection to its own port, which may come from xrdp as well.

use super::{
    log::Log,
    process,
    servers::Server,
    tcp::{self, Connection},
    unix,
    xrdp::{self, Xrdp},
};
use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
};

/// The table of Unix sockets is looked at up to here.
const MOST_BYTES: u64 = 64 << 20;

/// Who is connected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Client {
    /// Address and port.
    pub(crate) address: Option<SocketAddr>,
    /// What it calls itself.
    pub(crate) name: Option<String>,
}

/// The clients of all sessions, looked for when a connection came or went.
pub(super) struct Clients {
    log: Log,
    /// xrdp's port.
    rdp: u16,
    /// What there was when they were last looked for.
    before: Option<(BTreeSet<u64>, Vec<Connection>, Vec<u32>)>,
    /// By display.
    found: HashMap<u32, Client>,
}

impl Clients {
    pub(super) fn new() -> Self {
        let Xrdp { port, log, .. } = Xrdp::read(&std::fs::read_to_string(xrdp::SETTINGS).unwrap_or_default());
        Self { log: Log::new(log), rdp: port, before: None, found: HashMap::new() }
    }

    /// Looks again, closely only where a connection came or went.
    pub(super) fn look<'a>(&mut self, servers: impl Iterator<Item = &'a Server> + Clone) {
        let vnc: BTreeSet<u16> = servers.clone().filter_map(|server| server.vnc_port).collect();
        let rdp = self.rdp;
        let mut connections = tcp::established(|port| port == rdp || vnc.contains(&port));
        connections.sort_unstable();
        let displays: Vec<u32> = servers.clone().map(|server| server.number).collect();
        let now = (display_sockets(), connections, displays);
        if self.before.as_ref() == Some(&now) {
            return;
        }
        self.log.read(|address| now.1.iter().any(|end| end.remote == address));
        self.found = self.find(servers, &now.1);
        self.before = Some(now);
    }

    /// Who is connected to a display.
    pub(super) fn of(&self, display: u32) -> Option<&Client> {
        self.found.get(&display)
    }

    fn find<'a>(
        &self,
        servers: impl Iterator<Item = &'a Server>,
        connections: &[Connection],
    ) -> HashMap<u32, Client> {
        let ends = unix::ends().unwrap_or_else(|error| {
            tracing::debug!(%error, "the system does not tell who is connected to which socket");
            Vec::new()
        });
        let is_xrdp = |pid: &u32| process::name(*pid).as_deref() == Some("xrdp");
        let xrdp: Vec<(u32, Vec<u64>)> =
            process::all().filter(is_xrdp).map(|pid| (pid, process::sockets(pid))).collect();
        let rdp_client = |inode: u64| -> Client {
            // The process that holds one end holds the client's connection as well.
            let Some((pid, own)) = xrdp.iter().find(|(_, own)| own.contains(&inode)) else {
                return Client::default();
            };
            let mut coming =
                connections.iter().filter(|end| end.local.port() == self.rdp && own.contains(&end.inode));
            let address = coming.next().map(|end| end.remote);
            // Where xrdp is set to be one process for all clients, its process says nothing.
            let by_process = if coming.next().is_none() { self.log.name_of(*pid) } else { None };
            let name = by_process.or_else(|| self.log.name(address?)).map(str::to_owned);
            Client { address, name }
        };
        let mut found = HashMap::new();
        for server in servers {
            let own = process::sockets(server.process.pid);
            let suffix = format!("/xrdp_display_{}", server.number);
            let peer = ends.iter().find(|end| end.path.ends_with(&suffix) && own.contains(&end.inode));
            let of_vnc = || {
                let port = server.vnc_port?;
                connections.iter().find(|end| end.local.port() == port && own.contains(&end.inode))
            };
            if let Some(peer) = peer {
                found.insert(server.number, rdp_client(peer.peer));
            } else if let Some(end) = of_vnc() {
                let other =
                    connections.iter().find(|other| (other.local, other.remote) == (end.remote, end.local));
                let through = other.map(|other| rdp_client(other.inode)).filter(|it| it.address.is_some());
                let direct = Client { address: Some(end.remote), name: None };
                found.insert(server.number, through.unwrap_or(direct));
            }
        }
        found
    }
}

/// Inodes of the connected sockets that xrdp and displays have between them.
fn display_sockets() -> BTreeSet<u64> {
    let Ok(file) = File::open("/proc/net/unix") else { return BTreeSet::new() };
    let lines = BufReader::new(file.take(MOST_BYTES)).lines().map_while(Result::ok);
    lines.filter_map(|line| display_socket(&line)).collect()
}

fn display_socket(line: &str) -> Option<u64> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [_, _, _, _, _, state, inode, path] = words.as_slice() else { return None };
    (*state == "03" && path.contains("/xrdp_display_")).then(|| inode.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_connected_sockets_of_displays_count() {
        let line =
            "00000000dd6de55e: 00000003 00000000 00000000 0001 03 2800241 /run/xrdp/sockdir/xrdp_display_10";
        assert_eq!(display_socket(line), Some(2_800_241));
        assert_eq!(display_socket(&line.replace(" 03 ", " 01 ")), None);
        assert_eq!(display_socket(&line.replace("xrdp_display", "xrdpapi")), None);
        assert_eq!(display_socket(""), None);
    }
}
