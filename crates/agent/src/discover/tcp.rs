//! The machine's TCP connections, from `/proc/net/tcp` and `/proc/net/tcp6`.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// The tables are looked at up to here: some hundred thousand connections.
const MOST_BYTES: u64 = 64 << 20;

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Connection {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    /// Of its socket.
    pub(super) inode: u64,
}

/// All that are established, with this port at either end.
pub(super) fn established(port: impl Fn(u16) -> bool) -> Vec<Connection> {
    let mut found = Vec::new();
    for path in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let Ok(file) = File::open(path) else { continue };
        let lines = BufReader::new(file.take(MOST_BYTES)).lines().map_while(Result::ok);
        let wanted =
            |connection: &Connection| port(connection.local.port()) || port(connection.remote.port());
        found.extend(lines.filter_map(|line| parse(&line)).filter(wanted));
    }
    found
}

/// One line of the tables; `None` where it is no established connection.
fn parse(line: &str) -> Option<Connection> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, remote) = (words.next()?, words.next()?);
    if words.next()? != "01" {
        return None;
    }
    Some(Connection { local: address(local)?, remote: address(remote)?, inode: words.nth(5)?.parse().ok()? })
}

/// An address as the kernel writes it: words of its own byte order, a colon, and the port. IPv4 within IPv6 is IPv4.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = address.get(at..at + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (number, part) in bytes.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                *part = word(number * 8)?;
            }
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_tables_are_read() {
        let four = "   6: 0100007F:CBAC 0100007F:0D3D 01 00000000:00000000 02:000000AD 00000000     0        0 2800959 2 0 20";
        let six = "   3: 0000000000000000FFFF00000100007F:0D3D 0000000000000000FFFF00000100007F:CBAC 01 00000000:00000000 02:000AFA41 00000000     0        0 2800960 2";
        let (four, six) = (parse(four).unwrap(), parse(six).unwrap());
        assert_eq!((four.local, four.inode), ("127.0.0.1:52140".parse().unwrap(), 2_800_959));
        assert_eq!((six.local, six.remote), (four.remote, four.local));
        let real = parse(
            "0: B80D0120000000000000000001000000:0001 B80D0120000000000000000002000000:0002 01 0 0 0 0 0 5",
        );
        assert_eq!(real.unwrap().remote, "[2001:db8::2]:2".parse().unwrap());
        for wrong in [
            "",
            "0: 0100007F:CBAC 0100007F:0D3D 0A 0 0 0 0 0 5",
            "0: é100007F:CBAC 0100007F:0D3D 01 0 0 0 0 0 5",
            "0: 01:1 02:2 01 0 0 0 0 0 5",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_connection_of_ones_own_is_found_at_both_ends() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let there = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let _here = listener.accept().unwrap();
        let found = established(|other| other == port);
        let mine = there.local_addr().unwrap();
        assert!(found.iter().any(|end| end.local == mine && end.remote.port() == port));
        assert!(found.iter().any(|end| end.remote == mine && end.local.port() == port));
    }
}
