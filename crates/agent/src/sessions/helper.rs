//! The agent's side of a session's helper.

use super::Desk;
use crate::helper::{MOST_WORD, Order, Word};
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
    sync::Arc,
    thread,
    time::Duration,
};

/// How long the helper may keep the agent waiting for it to take an order.
const PATIENCE: Duration = Duration::from_secs(2);
/// The program that runs now, even where its file has been replaced since.
const SELF: &str = "/proc/self/exe";

/// What is heard of a helper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    Word(Word),
    /// It has ended, by a signal or by itself.
    Ended(Option<i32>),
}

/// A helper that runs. It ends with this value.
pub(super) struct Helper {
    socket: UnixStream,
    /// Tells one from the next.
    pub(super) number: u64,
}

impl Helper {
    /// Starts one for a user.
    ///
    /// # Errors
    /// The system gives no process, thread or file descriptor.
    pub(super) fn start(desk: &Arc<Desk>, session: SessionId, number: u64, user: u32) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let reader = socket.try_clone()?;
        let mut command = Command::new(SELF);
        command.arg0("playhead");
        command.args(["agent", "helper", "--user", &user.to_string()]).env_clear();
        // Fonts and messages are looked for by these.
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LANG", "C.UTF-8").current_dir("/");
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn()?;
        // The command has kept its end of the socket.
        drop(command);
        let desk = Arc::clone(desk);
        thread::Builder::new()
            .name("helper".into())
            .spawn(move || listen(&desk, session, number, reader, child))?;
        Ok(Self { socket, number })
    }

    /// Gives an order.
    ///
    /// # Errors
    /// It does not take it.
    pub(super) fn order(&self, order: &Order) -> io::Result<()> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        (&self.socket).write_all(&line)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It ends by itself then.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

fn listen(desk: &Desk, session: SessionId, number: u64, reader: UnixStream, mut child: Child) {
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        match reader.by_ref().take(MOST_WORD as u64).read_until(b'\n', &mut line) {
            Ok(length) if length > 0 => {}
            _ => break,
        }
        match serde_json::from_slice(&line) {
            Ok(word) => desk.heard(session, number, Heard::Word(word)),
            Err(error) => {
                tracing::warn!(%session, %error, "the session's helper talks nonsense: starting another");
                break;
            }
        }
    }
    // It has nothing more to say; one that hangs is in the way.
    for _ in 0..20 {
        if matches!(child.try_wait(), Ok(Some(_))) {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    let _ = child.kill();
    let signal = child.wait().ok().and_then(|status| status.signal());
    desk.heard(session, number, Heard::Ended(signal));
}
