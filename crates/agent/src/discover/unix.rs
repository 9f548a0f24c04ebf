//! Who is at the other end of a Unix socket: asked of the kernel by netlink (`sock_diag(7)`), since no file tells.

use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt,
        socket, sockopt::ReceiveTimeout,
    },
    sys::time::{TimeVal, TimeValLike as _},
};
use std::os::fd::AsRawFd as _;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// A request, and for all there are.
const REQUEST_DUMP: u16 = 0x301;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const AF_UNIX: u8 = 1;
/// State of a connected socket, as a bit.
const ESTABLISHED: u32 = 1 << 1;
/// Tell the path and the other end.
const SHOW_NAME_PEER: u32 = 0x1 | 0x4;
const ATTRIBUTE_NAME: u16 = 0;
const ATTRIBUTE_PEER: u16 = 2;
/// Bytes of a netlink message's head, and of what stands before the attributes.
const HEAD: usize = 16;
const BODY: usize = 16;
/// Most bytes of one answer, and most answers.
const ANSWER: usize = 64 << 10;
const MOST_ANSWERS: usize = 10_000;

/// One end of a connected Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    pub(super) inode: u64,
    /// Inode of the other end.
    pub(super) peer: u64,
    /// The path it was accepted at; empty for the end that connected.
    pub(super) path: String,
}

/// All ends of connected Unix sockets.
///
/// # Errors
/// The kernel does not answer, or not in a way that makes sense.
pub(super) fn ends() -> Result<Vec<End>, Errno> {
    let socket =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkSockDiag)?;
    setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(2))?;
    let fd = socket.as_raw_fd();
    sendto(fd, &request(), &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut found = Vec::new();
    let mut answer = vec![0; ANSWER];
    for _ in 0..MOST_ANSWERS {
        let length = recv(fd, &mut answer, MsgFlags::empty())?;
        if take(&answer[..length], &mut found)? {
            return Ok(found);
        }
    }
    Err(Errno::EMSGSIZE)
}

fn request() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(40);
    bytes.extend(40_u32.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(REQUEST_DUMP.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([AF_UNIX, 0, 0, 0]);
    bytes.extend(ESTABLISHED.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend(SHOW_NAME_PEER.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes
}

/// Reads the messages of an answer; whether it was the last.
fn take(mut bytes: &[u8], found: &mut Vec<End>) -> Result<bool, Errno> {
    while bytes.len() >= HEAD {
        let length = word(bytes, 0).unwrap_or(0) as usize;
        let Some(message) = bytes.get(HEAD..length) else { return Err(Errno::EBADMSG) };
        match half(bytes, 4) {
            Some(NLMSG_DONE) => return Ok(true),
            Some(NLMSG_ERROR) => {
                let error = word(message, 0).unwrap_or(0).cast_signed();
                return Err(Errno::from_raw(error.saturating_neg()));
            }
            _ => found.extend(end(message)),
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    Ok(false)
}

fn end(message: &[u8]) -> Option<End> {
    let inode = word(message, 4)?.into();
    let (mut peer, mut path) = (None, String::new());
    let mut left = message.get(BODY..)?;
    while let (Some(length), Some(kind)) = (half(left, 0), half(left, 2)) {
        let Some(value) = left.get(4..usize::from(length)) else { break };
        match kind {
            ATTRIBUTE_PEER => peer = word(value, 0),
            ATTRIBUTE_NAME => path = String::from_utf8_lossy(value).trim_end_matches('\0').to_owned(),
            _ => {}
        }
        left = left.get(usize::from(length).next_multiple_of(4)..).unwrap_or(&[]);
    }
    Some(End { inode, peer: peer?.into(), path })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::{
        linux::fs::MetadataExt as _,
        unix::net::{UnixListener, UnixStream},
    };

    fn inode(socket: &UnixStream) -> u64 {
        std::fs::metadata(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap().st_ino()
    }

    #[test]
    fn both_ends_of_a_connection_name_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let there = UnixStream::connect(&path).unwrap();
        let (here, _) = listener.accept().unwrap();
        let ends = ends().unwrap();
        let expected =
            End { inode: inode(&here), peer: inode(&there), path: path.to_str().unwrap().to_owned() };
        assert!(ends.contains(&expected), "{expected:?}");
    }

    #[test]
    fn any_cut_of_an_answer_is_taken_or_refused() {
        let mut bytes = Vec::new();
        bytes.extend(52_u32.to_ne_bytes());
        bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend([AF_UNIX, 1, 1, 0]);
        bytes.extend(7_u32.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend([8, 0, 2, 0]);
        bytes.extend(9_u32.to_ne_bytes());
        bytes.extend([6, 0, 0, 0, b'/', b'x', 0, 0]);
        bytes.extend([4, 0, 99, 0]);
        let mut found = Vec::new();
        assert_eq!(take(&bytes, &mut found), Ok(false));
        assert_eq!(found, [End { inode: 7, peer: 9, path: "/x".into() }]);
        for cut in 0..bytes.len() {
            let _ = take(&bytes[..cut], &mut Vec::new());
            let mut other = bytes.clone();
            other[cut] ^= 0xff;
            let _ = take(&other, &mut Vec::new());
        }
    }
}
