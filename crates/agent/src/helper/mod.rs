//! The helper: a process in a user's session that runs as that user, and shows what the user is to be told.
//!
//! The agent starts it as root with a socket in place of its standard input; the first thing that it does is to become the user, for good
//! ([`run`]). It has no other file of the agent's, an empty environment but for a handful of words, and ends when the socket does.
//! Orders and words go over the socket as lines of JSON of bounded length; what comes from it is the user's own word. Whether it still
//! runs it is asked now and then ([`Order::Ping`]), and a thread of its own answers, whatever else it does.

use crate::notice::{self, Told};
use nix::{
    sys::{
        prctl,
        resource::{Resource, setrlimit},
    },
    unistd::{Gid, Uid, User, geteuid, initgroups, setresgid, setresuid},
};
use serde::{Deserialize, Serialize};
use std::{
    ffi::CString,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::{fd::AsFd as _, unix::net::UnixStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// Longest order: a notice with all its characters escaped.
const MOST_ORDER: usize = 64 << 10;
/// Longest word of the helper's.
pub(crate) const MOST_WORD: usize = 4 << 10;

/// What the helper is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    /// Show this. Any further order takes it away again.
    Show(notice::Request),
    /// Show nothing.
    Hide,
    /// Say that you are there.
    Ping,
}

/// What the helper tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Word {
    /// What happens to the notice.
    Told(Told),
    /// It cannot be shown.
    Failed(String),
    /// Asked whether it is there, it is.
    Alive,
}

/// Why the helper cannot be what it is to be.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// An account that is not there.
    #[error("there is no account with the number {0}")]
    NoAccount(u32),
    /// The system does not let it become the user.
    #[error("cannot become {user}: {error}; the agent starts its helpers itself, as root")]
    Become {
        /// The account.
        user: String,
        /// Why.
        error: nix::errno::Errno,
    },
    /// The agent is gone, or talks nonsense.
    #[error("lost touch with the agent: {0}")]
    Agent(#[from] io::Error),
}

/// Becomes the user with this number, then does what the agent at the other end of standard input says, until that is closed.
///
/// # Errors
/// It cannot become the user, or the agent makes no sense.
pub fn run(user: u32) -> Result<(), HelperError> {
    become_user(user)?;
    let (mut orders, mouth) = attend(UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?))?;
    while let Some(order) = orders.next()? {
        let Order::Show(request) = order else { continue };
        let mut said = Ok(());
        let mut tell = |told: &Told| said = mouth.say(&Word::Told(told.clone()));
        let shown = {
            let stop = orders.socket.try_clone()?;
            notice::show(request, stop.as_fd(), &mut tell)
        };
        let word = match shown {
            Ok(Told::Withdrawn) => None,
            Ok(end) => Some(Word::Told(end)),
            Err(error) => Some(Word::Failed(error.to_string())),
        };
        said?;
        if let Some(word) = word {
            mouth.say(&word)?;
        }
    }
    Ok(())
}

/// Takes what comes over the agent's socket: says that it is there when asked, and hands on all else.
fn attend(socket: UnixStream) -> io::Result<(Orders, Arc<Mouth>)> {
    let mouth = Arc::new(Mouth(Mutex::new(socket.try_clone()?)));
    let (orders, handed_on) = UnixStream::pair()?;
    let answering = Arc::clone(&mouth);
    // It ends when the agent closes the socket, and the orders with it.
    thread::Builder::new().name("orders".into()).spawn(move || pass_on(socket, &answering, &handed_on))?;
    Ok((Orders { socket: orders, buffer: Vec::new() }, mouth))
}

/// Hands orders on until the agent or whoever obeys them is gone.
fn pass_on(socket: UnixStream, mouth: &Mouth, mut handed_on: &UnixStream) {
    let mut reader = BufReader::new(socket);
    loop {
        let mut line = Vec::new();
        match reader.by_ref().take(MOST_ORDER as u64).read_until(b'\n', &mut line) {
            Ok(length) if length > 0 => {}
            _ => return,
        }
        let done = match serde_json::from_slice(&line) {
            Ok(Order::Ping) => mouth.say(&Word::Alive),
            // Nonsense as well: whoever obeys refuses it.
            _ => handed_on.write_all(&line),
        };
        if done.is_err() {
            return;
        }
    }
}

/// Says things to the agent, one after another.
struct Mouth(Mutex<UnixStream>);

impl Mouth {
    fn say(&self, word: &Word) -> io::Result<()> {
        let mut line = serde_json::to_vec(word)?;
        line.truncate(MOST_WORD - 1);
        line.push(b'\n');
        // A word half said is nonsense to the agent, which starts another helper then.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line)
    }
}

/// Gives up every right but the user's, for good: groups and numbers, what a program could regain by another program, and dumps of memory.
fn become_user(user: u32) -> Result<(), HelperError> {
    let uid = Uid::from_raw(user);
    let account = User::from_uid(uid).ok().flatten();
    let (name, gid) = match account {
        Some(account) => (account.name, account.gid),
        None => return Err(HelperError::NoAccount(user)),
    };
    let failed = |error| HelperError::Become { user: name.clone(), error };
    // A user without rights can be nobody else than before.
    if geteuid() != uid {
        let text = CString::new(name.as_bytes()).map_err(|_| HelperError::NoAccount(user))?;
        initgroups(&text, gid).map_err(failed)?;
        setresgid(gid, gid, gid).map_err(failed)?;
        setresuid(uid, uid, uid).map_err(failed)?;
    }
    prctl::set_no_new_privs().map_err(failed)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(failed)?;
    let is_done = geteuid() == uid && (uid.is_root() || nix::unistd::setuid(Uid::from_raw(0)).is_err());
    debug_assert!(Gid::effective() == gid || uid.is_root());
    if is_done { Ok(()) } else { Err(failed(nix::errno::Errno::EPERM)) }
}

/// Lines of the agent's.
struct Orders {
    socket: UnixStream,
    buffer: Vec<u8>,
}

impl Orders {
    /// The newest order; `None` once the agent has closed the socket.
    fn next(&mut self) -> io::Result<Option<Order>> {
        loop {
            if let Some(end) = self.buffer.iter().rposition(|byte| *byte == b'\n') {
                let lines: Vec<u8> = self.buffer.drain(..=end).collect();
                let newest = lines[..end].split(|byte| *byte == b'\n').next_back().unwrap_or_default();
                return Ok(Some(serde_json::from_slice(newest)?));
            }
            if self.buffer.len() > MOST_ORDER {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "an order is too long"));
            }
            let mut bytes = [0; 4 << 10];
            match self.socket.read(&mut bytes)? {
                0 => return Ok(None),
                length => self.buffer.extend_from_slice(&bytes[..length]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_order_counts_and_nonsense_is_refused() {
        let (mut agent, socket) = UnixStream::pair().unwrap();
        let mut orders = Orders { socket, buffer: Vec::new() };
        let show = Order::Show(notice::Request { display: ":1".into(), ..Default::default() });
        let line = serde_json::to_string(&show).unwrap();
        agent.write_all(format!("{line}\n\"hide\"\n{line}\n\"hi").as_bytes()).unwrap();
        assert_eq!(orders.next().unwrap(), Some(show));
        agent.write_all(b"de\"\n").unwrap();
        assert_eq!(orders.next().unwrap(), Some(Order::Hide));
        agent.write_all(b"{\n").unwrap();
        assert!(orders.next().is_err());
        drop(agent);
        assert_eq!(orders.next().unwrap(), None);
    }

    #[test]
    fn it_says_that_it_is_there_while_nobody_obeys() {
        let (mut agent, socket) = UnixStream::pair().unwrap();
        let (mut orders, mouth) = attend(socket).unwrap();
        agent.write_all(b"\"hide\"\n\"ping\"\n").unwrap();
        let mut words = BufReader::new(agent.try_clone().unwrap()).lines();
        assert_eq!(words.next().unwrap().unwrap(), serde_json::to_string(&Word::Alive).unwrap());
        mouth.say(&Word::Failed("x".into())).unwrap();
        assert!(words.next().unwrap().unwrap().contains("failed"));
        assert_eq!(orders.next().unwrap(), Some(Order::Hide));
        agent.write_all(b"nonsense\n").unwrap();
        assert!(orders.next().is_err());
        agent.shutdown(std::net::Shutdown::Both).unwrap();
        assert_eq!(orders.next().unwrap(), None);
    }

    #[test]
    fn nobody_becomes_a_user_who_is_not_there() {
        let error = become_user(3_999_999_999).unwrap_err();
        assert!(error.to_string().contains("no account"), "{error}");
    }
}
