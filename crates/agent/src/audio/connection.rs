//! A connection to a sound server: frames in, requests out, and never a wait without an end.

use super::{
    AudioError,
    place::Places,
    wire::{self, Fields, Frame, WireError},
};
use crate::control::Control;
use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket, sockopt::PeerCredentials,
    },
    unistd::Uid,
};
use std::{
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsFd as _, AsRawFd as _},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// A server that leaves a question open for so long is given up.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most that is read at once: more than a second of sound.
const MOST_AT_ONCE: usize = 256 << 10;

/// What came in besides answers.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// Samples of the stream.
    pub(super) sound: Vec<u8>,
    /// The stream was ended by the server.
    pub(super) killed: bool,
    /// Something about the server changed.
    pub(super) changed: bool,
}

/// A connection that the server has accepted.
pub(super) struct Connection<'a> {
    socket: UnixStream,
    control: &'a Control,
    buffer: Vec<u8>,
    tag: u32,
    /// The stream whose sound is wanted.
    pub(super) stream: Option<u32>,
    pub(super) incoming: Incoming,
}

impl<'a> Connection<'a> {
    /// Connects to the first server that answers.
    ///
    /// # Errors
    /// None answers, or it lets nobody in.
    pub(super) fn open(places: &Places, control: &'a Control) -> Result<Self, AudioError> {
        let mut failure = None;
        for path in &places.sockets {
            match dial(path, places.user) {
                Ok(socket) => {
                    let (buffer, incoming) = (Vec::new(), Incoming::default());
                    let mut connection = Self { socket, control, buffer, tag: 0, stream: None, incoming };
                    let cookie = places.cookie();
                    connection.ask(|tag| wire::auth(tag, &cookie), |mut fields| fields.u32())?;
                    connection.ask(wire::set_client_name, |_| Ok(()))?;
                    connection.ask(wire::subscribe, |_| Ok(()))?;
                    return Ok(connection);
                }
                // The first is the likeliest; what is wrong there is worth telling. That a place is empty tells little.
                Err(error) => match (&failure, error.is_absent()) {
                    (None, _) => failure = Some(error),
                    (Some(before), false) if before.is_absent() => failure = Some(error),
                    _ => {}
                },
            }
        }
        Err(failure.unwrap_or_else(|| AudioError::NoServer {
            path: PathBuf::from("/run"),
            source: io::ErrorKind::NotFound.into(),
        }))
    }

    /// Puts a request and waits for its answer. What comes in meanwhile is kept.
    ///
    /// # Errors
    /// It is refused, or not answered in time; the agent stops.
    pub(super) fn ask<T>(
        &mut self,
        request: impl FnOnce(u32) -> Vec<u8>,
        read: impl FnOnce(Fields<'_>) -> Result<T, WireError>,
    ) -> Result<T, AudioError> {
        self.tag = self.tag.wrapping_add(1);
        let tag = self.tag;
        // Requests are a few hundred bytes: a server that has no room for that is stuck.
        self.socket.write_all(&request(tag)).map_err(AudioError::Lost)?;
        let deadline = Instant::now() + PATIENCE;
        let mut read = Some(read);
        loop {
            let mut answer = None;
            self.frames(|frame| match frame {
                Frame::Reply(number, fields) if number == tag => {
                    if let Some(read) = read.take() {
                        answer = Some(read(fields).map_err(AudioError::from));
                    }
                }
                Frame::Refused(number, code) if number == tag => {
                    answer = Some(Err(AudioError::Refused(wire::refusal(code))));
                }
                _ => {}
            })?;
            if let Some(answer) = answer {
                return answer;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(AudioError::Silent);
            }
            self.wait(Some(left))?;
        }
    }

    /// Waits until something comes in, at most `most`, and keeps it. Returns whether somebody watches.
    ///
    /// # Errors
    /// The server is gone or talks nonsense; the agent stops.
    pub(super) fn wait(&mut self, most: Option<Duration>) -> Result<bool, AudioError> {
        self.control.wait(Some(self.socket.as_fd()), most).map_err(AudioError::Lost)?;
        let wishes = self.control.take();
        if wishes.stop {
            return Err(AudioError::Stopped);
        }
        self.read()?;
        Ok(wishes.watched)
    }

    /// Looks at what came in and answers no question.
    ///
    /// # Errors
    /// The server talks nonsense.
    pub(super) fn look(&mut self) -> Result<(), AudioError> {
        self.frames(|_| {})
    }

    fn read(&mut self) -> Result<(), AudioError> {
        let mut piece = [0; 16 << 10];
        let mut count = 0;
        while count < MOST_AT_ONCE {
            match self.socket.read(&mut piece) {
                Ok(0) => return Err(AudioError::Lost(io::ErrorKind::UnexpectedEof.into())),
                Ok(length) => {
                    self.buffer.extend(&piece[..length]);
                    count += length;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(AudioError::Lost(error)),
            }
        }
        Ok(())
    }

    /// Takes all whole frames.
    fn frames(&mut self, mut answer: impl FnMut(Frame<'_>)) -> Result<(), AudioError> {
        let mut done = 0;
        while let Some((frame, length)) = wire::frame(&self.buffer[done..])? {
            match frame {
                Frame::Sound(channel, bytes) if Some(channel) == self.stream => {
                    self.incoming.sound.extend(bytes);
                }
                Frame::Killed => self.incoming.killed = true,
                Frame::Changed => self.incoming.changed = true,
                other => answer(other),
            }
            done += length;
        }
        self.buffer.drain(..done);
        Ok(())
    }
}

/// Connects without waiting, and makes sure that it is `user` who listens there, or we ourselves.
fn dial(path: &Path, user: Uid) -> Result<UnixStream, AudioError> {
    let failed = |error: Errno| AudioError::NoServer { path: path.to_owned(), source: error.into() };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None).map_err(failed)?;
    let address = UnixAddr::new(path).map_err(failed)?;
    // One whose queue is full answers "again": it is tried again later, as any other that does not answer.
    connect(socket.as_raw_fd(), &address).map_err(failed)?;
    let peer = getsockopt(&socket, PeerCredentials).map_err(failed)?.uid();
    if peer != user.as_raw() && peer != Uid::effective().as_raw() {
        return Err(AudioError::Foreign { path: path.to_owned(), expected: user.as_raw(), actual: peer });
    }
    Ok(UnixStream::from(socket))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::testing::Server;

    fn places(path: &Path) -> Places {
        Places::find(":99", None, Some(path))
    }

    #[test]
    fn nobody_there_is_told_and_somebody_is_let_in() {
        let folder = tempfile::tempdir().unwrap();
        let control = Control::new().unwrap();
        let path = folder.path().join("native");
        let error = Connection::open(&places(&path), &control).err().unwrap();
        assert!(error.is_absent() && error.to_string().contains("native"), "{error}");
        let server = Server::start(&path);
        let mut connection = Connection::open(&places(&path), &control).unwrap();
        let sink = connection.ask(wire::get_server_info, wire::default_sink).unwrap();
        assert_eq!(sink.as_deref(), Some(&b"speaker"[..]));
        server.stop();
        assert!(matches!(connection.wait(None), Err(AudioError::Lost(_))));
    }

    #[test]
    fn whoever_says_nothing_or_nonsense_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let (control, path) = (Control::new().unwrap(), folder.path().join("native"));
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let talk = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
            let mut sink = Vec::new();
            let _ = socket.read_to_end(&mut sink);
        });
        let error = Connection::open(&places(&path), &control).err().unwrap();
        assert!(matches!(error, AudioError::Wire(_)), "{error}");
        talk.join().unwrap();
    }

    #[test]
    fn a_stop_ends_every_wait() {
        let folder = tempfile::tempdir().unwrap();
        let (control, path) = (Control::new().unwrap(), folder.path().join("native"));
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        control.wish(|wishes| wishes.stop = true);
        assert!(matches!(Connection::open(&places(&path), &control), Err(AudioError::Stopped)));
    }
}
