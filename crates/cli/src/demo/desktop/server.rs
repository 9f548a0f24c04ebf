use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ChildStdout;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;

use super::process::{Family, find};
use super::{DesktopError, Options, Stop};

/// How long the X server may take to start.
const START: Duration = Duration::from_secs(20);

/// The name of the X protocol's cookie authentication.
pub(crate) const COOKIE_NAME: &[u8] = b"MIT-MAGIC-COOKIE-1";

const LOG: &str = "xvfb.log";

/// The X server of a desktop: Xvfb, on a Unix socket only, for those who have its cookie.
pub(crate) struct Server {
    family: Family,
    process: Pid,
    /// Its display number.
    pub(crate) number: u16,
    /// The file with the cookie.
    pub(crate) xauthority: PathBuf,
    /// The cookie.
    pub(crate) cookie: Vec<u8>,
}

impl Server {
    /// Starts it and waits until it takes connections.
    pub(crate) fn start(options: &Options, folder: &Path, stop: &Stop) -> Result<Self, DesktopError> {
        let program = find("Xvfb", "xvfb")?;
        let cookie = uuid::Uuid::new_v4().into_bytes().to_vec();
        let xauthority = folder.join("xauthority");
        write_private(&xauthority, &xauthority_entry(&cookie)).map_err(DesktopError::file(&xauthority))?;
        let log = folder.join(LOG);
        let errors = File::create(&log).map_err(DesktopError::file(&log))?;

        let mut family = Family::new(folder, folder);
        let process = family.start(&program, |command| {
            if let Some(number) = options.display {
                command.arg(format!(":{number}"));
            }
            // It tells its number on this descriptor when it is ready; that makes it do without a lock file too.
            command.args(["-displayfd", "1"]).stdout(std::process::Stdio::piped()).stderr(errors);
            command.args(["-screen", "0", &format!("{}x{}x24", options.width, options.height)]);
            command.args(["-nolisten", "tcp", "-noreset", "-s", "0", "-auth"]).arg(&xauthority);
        })?;
        let told = family.child(process).and_then(|child| child.stdout.take());
        let number = told.map_or(Err("it has no output".into()), |pipe| read_number(pipe, stop));
        stop.check()?;
        let number = number.map_err(|why| DesktopError::Server { why, log: tail(&log) })?;
        Ok(Self { family, process, number, xauthority, cookie })
    }

    /// Where it takes connections.
    pub(crate) fn socket(&self) -> PathBuf {
        format!("/tmp/.X11-unix/X{}", self.number).into()
    }

    /// The end of what it said about errors.
    pub(crate) fn log(&self) -> String {
        self.xauthority.parent().map_or_else(String::new, |folder| tail(&folder.join(LOG)))
    }

    /// Does it still run?
    pub(crate) fn runs(&mut self) -> bool {
        self.family.runs(self.process)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.family.end_all();
        // It removes its socket by itself unless it was killed; another server may have the number by now.
        let left = UnixStream::connect(self.socket());
        if left.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
            let _ = fs::remove_file(self.socket());
        }
    }
}

/// Reads the display number, a line, as soon as it is there.
fn read_number(mut pipe: ChildStdout, stop: &Stop) -> Result<u16, String> {
    let until = Instant::now() + START;
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        if stop.check().is_err() || Instant::now() > until {
            return Err(format!("it was not ready after {} s", START.as_secs()));
        }
        let ready = poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], PollTimeout::from(100u8));
        match ready {
            Ok(0) | Err(nix::errno::Errno::EINTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
        let mut byte = [0];
        match pipe.read(&mut byte) {
            Ok(0) => return Err("it ended at once".into()),
            Ok(_) => line.push(byte[0]),
            Err(error) => return Err(error.to_string()),
        }
    }
    let text = String::from_utf8_lossy(&line);
    text.trim().parse().map_err(|_| format!("it gave '{}' as its display number", text.trim()))
}

/// One entry of an Xauthority file, for any host name and display number: 16-bit family, then four byte strings with
/// a 16-bit length each (address, display number, name, data), big endian.
fn xauthority_entry(cookie: &[u8]) -> Vec<u8> {
    const ANY_FAMILY: [u8; 2] = [0xff, 0xff];
    let mut entry = ANY_FAMILY.to_vec();
    for part in [b"".as_slice(), b"", COOKIE_NAME, cookie] {
        entry.extend(u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
        entry.extend(part);
    }
    entry
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(bytes)
}

/// The last line of a log, in which X servers say why they end.
fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let mut lines: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).rev().take(3).collect();
    lines.reverse();
    if lines.is_empty() { "none".into() } else { lines.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_file_has_the_layout_x_clients_read() {
        let entry = xauthority_entry(&[7; 16]);
        assert_eq!(entry[..8], [0xff, 0xff, 0, 0, 0, 0, 0, 18]);
        assert_eq!(&entry[8..26], COOKIE_NAME);
        assert_eq!(entry[26..28], [0, 16]);
        assert_eq!(entry[28..], [7; 16]);
    }
}
