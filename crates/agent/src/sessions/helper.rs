//! The agent's side of a session's helper.

use super::Desk;
use crate::{
    discover::Process,
    helper::{MOST_WORD, Order, Word},
};
use nix::sys::signal::Signal;
use playhead_model::SessionId;
use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::Shutdown,
    os::{
        fd::OwnedFd,
        unix::{
            net::UnixStream,
            process::{CommandExt as _, ExitStatusExt as _},
        },
    },
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

/// How long the helper may keep the agent waiting for it to take an order.
const PATIENCE: Duration = Duration::from_secs(2);
/// A helper of which nothing is heard for so long is asked whether it is there.
const PING: Duration = Duration::from_secs(2);
/// One that has been asked so often without a word does nothing any more: somebody has stopped it.
const MOST_PINGS: u32 = 3;
/// The program that runs now, even where its file has been replaced since.
const SELF: &str = "/proc/self/exe";

/// What is heard of a helper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    Word(Word),
    /// It has ended, by a signal or by itself. One that was stopped has been ended because of that signal.
    Ended(Option<i32>),
}

/// A helper that runs. It ends with this value.
pub(super) struct Helper {
    line: Arc<Line>,
    /// Tells one from the next.
    pub(super) number: u64,
}

/// The way to a helper, for one order at a time.
struct Line(Mutex<UnixStream>);

impl Line {
    fn say(&self, order: &Order) -> io::Result<()> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        // An order half said is nonsense to the helper, which ends then.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line)
    }
}

impl Helper {
    /// Starts one for a user.
    ///
    /// # Errors
    /// The system gives no process, thread or file descriptor.
    pub(super) fn start(desk: &Arc<Desk>, session: SessionId, number: u64, user: u32) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        let mut command = Command::new(SELF);
        command.arg0("playhead");
        command.args(["agent", "helper", "--user", &user.to_string()]).env_clear();
        // Fonts and messages are looked for by these.
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LANG", "C.UTF-8").current_dir("/");
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn()?;
        // The command has kept its end of the socket.
        drop(command);
        let (line, listening) = Listening::to(socket, child, PING)?;
        let desk = Arc::clone(desk);
        thread::Builder::new()
            .name("helper".into())
            .spawn(move || listening.run(session, |heard| desk.heard(session, number, heard)))?;
        Ok(Self { line, number })
    }

    /// Gives an order.
    ///
    /// # Errors
    /// It does not take it.
    pub(super) fn order(&self, order: &Order) -> io::Result<()> {
        self.line.say(order)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It ends by itself then.
        let _ = self.line.0.lock().unwrap_or_else(PoisonError::into_inner).shutdown(Shutdown::Both);
    }
}

/// Listens to a helper until its end.
struct Listening {
    line: Arc<Line>,
    reader: BufReader<UnixStream>,
    child: Child,
}

/// Why nothing more is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    /// It has hung up, or talks nonsense.
    Over,
    /// It does not say whether it is there.
    Unanswered,
}

impl Listening {
    fn to(socket: UnixStream, child: Child, ping: Duration) -> io::Result<(Arc<Line>, Self)> {
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.set_read_timeout(Some(ping))?;
        let reader = BufReader::new(socket.try_clone()?);
        let line = Arc::new(Line(Mutex::new(socket)));
        Ok((Arc::clone(&line), Self { line, reader, child }))
    }

    fn run(mut self, session: SessionId, tell: impl Fn(Heard)) {
        let silence = self.listen(session, &tell);
        let mut stopped = None;
        if silence == Silence::Unanswered {
            let is_stopped = Process::of(self.child.id()).is_some_and(Process::is_stopped);
            tracing::warn!(%session, is_stopped, "the session's helper does not answer: ending it");
            stopped = is_stopped.then_some(Signal::SIGSTOP as i32);
        } else {
            // It has nothing more to say; one that hangs is in the way.
            for _ in 0..20 {
                if matches!(self.child.try_wait(), Ok(Some(_))) {
                    break;
                }
                thread::sleep(Duration::from_millis(50));
            }
        }
        let _ = self.child.kill();
        let ended = self.child.wait().ok().and_then(|status| status.signal());
        tell(Heard::Ended(stopped.or(ended)));
    }

    /// Hands on what it says until there is nothing more to hear.
    fn listen(&mut self, session: SessionId, tell: &impl Fn(Heard)) -> Silence {
        let (mut line, mut pings) = (Vec::new(), 0);
        loop {
            let left = MOST_WORD.saturating_sub(line.len());
            match self.reader.by_ref().take(left as u64).read_until(b'\n', &mut line) {
                Ok(0) => return Silence::Over,
                Ok(_) if !line.ends_with(b"\n") && line.len() < MOST_WORD => continue,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    if pings == MOST_PINGS {
                        return Silence::Unanswered;
                    }
                    pings += 1;
                    if self.line.say(&Order::Ping).is_err() {
                        return Silence::Over;
                    }
                    continue;
                }
                Err(_) => return Silence::Over,
            }
            pings = 0;
            match serde_json::from_slice(&line) {
                Ok(Word::Alive) => {}
                Ok(word) => tell(Heard::Word(word)),
                Err(error) => {
                    tracing::warn!(%session, %error, "the session's helper talks nonsense: starting another");
                    return Silence::Over;
                }
            }
            line.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::Told;
    use nix::{sys::signal::kill, unistd::Pid};
    use std::sync::mpsc::{Receiver, channel};

    /// Listens to a process that stands for a helper.
    fn listen() -> (UnixStream, Pid, Receiver<Heard>, Arc<Line>) {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = Pid::from_raw(child.id().cast_signed());
        let (socket, theirs) = UnixStream::pair().unwrap();
        let (line, listening) = Listening::to(socket, child, Duration::from_millis(50)).unwrap();
        let (sender, heard) = channel();
        thread::spawn(move || {
            listening.run(SessionId::from_bytes([1; 16]), |heard| sender.send(heard).unwrap());
        });
        (theirs, pid, heard, line)
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_helper_that_is_stopped_is_ended_and_one_that_answers_is_not() {
        let (theirs, pid, heard, _line) = listen();
        let mut orders = BufReader::new(theirs.try_clone().unwrap()).lines();
        for _ in 0..3 * MOST_PINGS {
            assert_eq!(orders.next().unwrap().unwrap(), "\"ping\"");
            (&theirs).write_all(b"\"alive\"\n").unwrap();
        }
        let shown = serde_json::to_vec(&Word::Told(Told::Shown)).unwrap();
        let (start, end) = shown.split_at(4);
        (&theirs).write_all(start).unwrap();
        // A pause in the middle of a word loses nothing of it.
        assert_eq!(orders.next().unwrap().unwrap(), "\"ping\"");
        (&theirs).write_all(end).unwrap();
        (&theirs).write_all(b"\n").unwrap();
        assert_eq!(heard.recv_timeout(LONG), Ok(Heard::Word(Word::Told(Told::Shown))));
        kill(pid, Signal::SIGSTOP).unwrap();
        assert_eq!(heard.recv_timeout(LONG), Ok(Heard::Ended(Some(Signal::SIGSTOP as i32))));
        assert!(kill(pid, None).is_err(), "it is gone");
    }

    #[test]
    fn a_helper_that_is_killed_that_hangs_or_that_talks_nonsense_has_ended() {
        let (theirs, pid, heard, _line) = listen();
        kill(pid, Signal::SIGTERM).unwrap();
        drop(theirs);
        assert_eq!(heard.recv_timeout(LONG), Ok(Heard::Ended(Some(Signal::SIGTERM as i32))));
        let (_theirs, _, heard, _line) = listen();
        assert_eq!(heard.recv_timeout(LONG), Ok(Heard::Ended(Some(Signal::SIGKILL as i32))));
        for nonsense in [b"{}\n".to_vec(), vec![b'x'; 2 * MOST_WORD]] {
            let (theirs, _, heard, _line) = listen();
            (&theirs).write_all(&nonsense).unwrap();
            assert_eq!(heard.recv_timeout(LONG), Ok(Heard::Ended(Some(Signal::SIGKILL as i32))));
        }
    }
}
