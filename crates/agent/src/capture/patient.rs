//! A display's socket that gives up: on a server that does not answer, and on one that says more than there is to say.
//!
//! A session's X server belongs to the session's user, who may have put anything in its place. The library waits for an answer as long
//! as it takes, keeps every event that comes meanwhile, and makes room for an answer of any length that is announced.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use x11rb::{
    rust_connection::{DefaultStream, PollMode, Stream},
    utils::RawFdContainer,
};

/// Everything that is done with a display at once has to be over within this time.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most that is read meanwhile.
const MOST_BYTES: usize = 128 << 20;
/// The longest answer: several times a strip of a picture.
const MOST_ANSWER: usize = 32 << 20;
/// Bytes of every event, error and answer, to which answers and some events add more.
const PACKET: usize = 32;
/// What stands at the beginning of the server's first answer.
const SETUP: usize = 8;
const REPLY: u8 = 1;
const GENERIC_EVENT: u8 = 35;

/// The socket.
pub(crate) struct Patient {
    stream: DefaultStream,
    flow: Mutex<Flow>,
}

/// What came, as far as it matters.
struct Flow {
    since: Instant,
    bytes: usize,
    /// Bytes that are still to come of what was announced.
    left: usize,
    head: Vec<u8>,
    /// The first answer is over.
    is_set_up: bool,
}

impl Patient {
    pub(super) fn new(stream: DefaultStream) -> Self {
        let flow = Flow {
            since: Instant::now(),
            bytes: 0,
            left: 0,
            head: Vec::with_capacity(PACKET),
            is_set_up: false,
        };
        Self { stream, flow: Mutex::new(flow) }
    }

    /// Something new is being done.
    pub(super) fn begin(&self) {
        let mut flow = self.lock();
        (flow.since, flow.bytes) = (Instant::now(), 0);
    }

    fn lock(&self) -> MutexGuard<'_, Flow> {
        // Plain values; what a panic leaves is noticed as nonsense at the worst.
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flow {
    /// Follows what came.
    fn take(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len();
        if self.bytes > MOST_BYTES {
            return Err(io::Error::other("the display says too much at once"));
        }
        while !bytes.is_empty() {
            if self.left > 0 {
                let passed = self.left.min(bytes.len());
                self.left -= passed;
                bytes = &bytes[passed..];
                continue;
            }
            let whole = if self.is_set_up { PACKET } else { SETUP };
            let (head, rest) = bytes.split_at((whole - self.head.len()).min(bytes.len()));
            self.head.extend_from_slice(head);
            bytes = rest;
            if self.head.len() < whole {
                break;
            }
            self.left = self.announced();
            if self.left > MOST_ANSWER {
                return Err(io::Error::other("the display announces an answer that is too long"));
            }
            self.head.clear();
            self.is_set_up = true;
        }
        Ok(())
    }

    /// Bytes that come after the head.
    fn announced(&self) -> usize {
        let head = &self.head;
        if !self.is_set_up {
            return usize::from(u16::from_ne_bytes([head[6], head[7]])) * 4;
        }
        match head[0] & 0x7f {
            REPLY | GENERIC_EVENT => {
                let words = u32::from_ne_bytes([head[4], head[5], head[6], head[7]]);
                usize::try_from(words).unwrap_or(usize::MAX).saturating_mul(4)
            }
            _ => 0,
        }
    }
}

impl AsFd for Patient {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Stream for Patient {
    fn poll(&self, mode: PollMode) -> io::Result<()> {
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::POLLIN, mode.readable());
        wanted.set(PollFlags::POLLOUT, mode.writable());
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the display does not answer");
        loop {
            let left = PATIENCE.checked_sub(self.lock().since.elapsed()).ok_or_else(late)?;
            let most = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.stream.as_fd(), wanted)], most) {
                Ok(0) => {}
                Ok(_) => return Ok(()),
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn read(&self, buf: &mut [u8], fds: &mut Vec<RawFdContainer>) -> io::Result<usize> {
        let length = self.stream.read(buf, fds)?;
        // Nobody asks a display for files.
        fds.clear();
        self.lock().take(&buf[..length])?;
        Ok(length)
    }

    fn write(&self, buf: &[u8], fds: &mut Vec<RawFdContainer>) -> io::Result<usize> {
        self.stream.write(buf, fds)
    }

    fn write_vectored(&self, bufs: &[io::IoSlice<'_>], fds: &mut Vec<RawFdContainer>) -> io::Result<usize> {
        self.stream.write_vectored(bufs, fds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow() -> Flow {
        Flow { since: Instant::now(), bytes: 0, left: 0, head: Vec::new(), is_set_up: false }
    }

    fn answer(words: u32) -> Vec<u8> {
        let mut bytes = vec![0; PACKET];
        bytes[0] = REPLY;
        bytes[4..8].copy_from_slice(&words.to_ne_bytes());
        bytes
    }

    #[test]
    fn packets_are_followed_however_they_are_cut() {
        let mut stream = vec![1, 0, 0, 0, 0, 0, 3, 0];
        stream.extend([0xff; 12]);
        stream.extend(answer(2));
        stream.extend([0xff; 8]);
        stream.extend([7; PACKET]);
        let long = answer(u32::MAX);
        for cut in 1..stream.len() {
            let mut flow = flow();
            for piece in stream.chunks(cut) {
                flow.take(piece).unwrap();
            }
            assert!(flow.is_set_up && flow.left == 0 && flow.head.is_empty(), "cut at {cut}");
            assert!(flow.take(&long).unwrap_err().to_string().contains("too long"));
        }
    }

    #[test]
    fn what_never_ends_is_given_up() {
        let mut flow = flow();
        flow.is_set_up = true;
        let events = vec![7; 1 << 20];
        let failed = (0..200).find_map(|_| flow.take(&events).err()).unwrap();
        assert!(failed.to_string().contains("too much"));
    }
}
