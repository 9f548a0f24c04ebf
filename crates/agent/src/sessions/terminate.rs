//! Ending a session whose user does not consent.

use crate::discover::{Process, Seen, process};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use playhead_model::{RemoteProtocol, SessionId};
use std::{thread, time::Duration};

/// How long each way of ending it may take until the next is tried.
const PATIENCE: Duration = Duration::from_secs(4);
const LOOK: Duration = Duration::from_millis(50);

/// Ends a session, on a thread of its own: in xrdp's way, and in the X server's where that does not help.
pub(super) fn end(session: SessionId, seen: &Seen) {
    let (server, protocol) = (seen.server, seen.protocol);
    let spawned = thread::Builder::new().name("log off".into()).spawn(move || {
        tracing::info!(%session, "ending the session: its user does not consent");
        let manager = (protocol == RemoteProtocol::Rdp).then(|| window_manager(server)).flatten();
        let steps =
            [(manager, Signal::SIGTERM), (Some(server), Signal::SIGTERM), (Some(server), Signal::SIGKILL)];
        for (process, signal) in steps {
            let Some(process) = process else { continue };
            if !server.is_alive() {
                return;
            }
            send(process, signal);
            let mut left = PATIENCE;
            while server.is_alive() && left > Duration::ZERO {
                thread::sleep(LOOK);
                left = left.saturating_sub(LOOK);
            }
        }
        if server.is_alive() {
            tracing::error!(%session, pid = server.pid, "cannot end the session");
        }
    });
    if let Err(error) = spawned {
        tracing::error!(%session, %error, "cannot end the session");
    }
}

/// What xrdp's session manager waits for: its child that is neither the X server nor xrdp's own.
fn window_manager(server: Process) -> Option<Process> {
    let manager = process::parent(server.pid)?;
    if process::name(manager).as_deref() != Some("xrdp-sesman") {
        return None;
    }
    let is_it =
        |pid: &u32| *pid != server.pid && process::name(*pid).is_some_and(|name| !name.starts_with("xrdp-"));
    // It was started first, and so has the lowest number, unless numbers began anew.
    process::children(manager).into_iter().filter(is_it).min().and_then(Process::of)
}

fn send(process: Process, signal: Signal) {
    // Its number may be another process's by now.
    if !process.is_alive() {
        return;
    }
    let Ok(pid) = i32::try_from(process.pid) else { return };
    if let Err(error) = kill(Pid::from_raw(pid), signal) {
        tracing::warn!(pid, %signal, %error, "cannot end a process of the session");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{capture::testing::Display, discover::Client};
    use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
    use playhead_model::{SessionState, WallTime};
    use std::time::Instant;

    #[test]
    fn a_session_without_a_session_manager_ends_with_its_x_server() {
        let display = Display::start(320, 240, &[]);
        let path = format!("/tmp/.X11-unix/X{}", &display.name[1..]);
        let socket = std::os::unix::net::UnixStream::connect(path).unwrap();
        let peer = getsockopt(&socket, PeerCredentials).unwrap();
        let server = Process::of(peer.pid().cast_unsigned()).unwrap();
        let seen = Seen {
            display: display.name.clone(),
            server,
            user: 0,
            protocol: RemoteProtocol::Local,
            state: SessionState::Connected,
            client: Client::default(),
            started_at: WallTime::from_micros(0),
            xauthority: None,
            application: None,
            is_starting: false,
        };
        end(SessionId::from_bytes([1; 16]), &seen);
        let start = Instant::now();
        while server.is_alive() {
            assert!(start.elapsed() < PATIENCE * 3);
            thread::sleep(LOOK);
        }
        send(server, Signal::SIGTERM);
    }
}
