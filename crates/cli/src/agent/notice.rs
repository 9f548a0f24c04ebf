//! `playhead agent notice`: shows a notice on a session's own screen. The agent starts it as the session's user.

use anyhow::{Context as _, ensure};
use playhead_agent::notice::{Request, Told, show};
use std::{
    io::{self, Read, Write as _},
    os::fd::AsFd as _,
};

/// Longest request, in bytes.
const MOST_BYTES: usize = 64 << 10;

/// Show a notice on the user's screen: a request as one line of JSON on standard input, what happens as lines on standard output
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Shows it until there is an answer, or standard input is closed.
///
/// # Errors
/// The request cannot be, or the display cannot show it.
pub(crate) fn run(_: &Args) -> anyhow::Result<()> {
    let input = io::stdin();
    let request = request(&mut unbuffered(&input))?;
    let mut tell = |told: &Told| {
        let mut out = io::stdout().lock();
        // Whoever does not listen any more closes standard input too.
        let _ = serde_json::to_writer(&mut out, told);
        let _ = out.write_all(b"\n").and_then(|()| out.flush());
    };
    let told = show(request, input.as_fd(), &mut tell)?;
    tell(&told);
    Ok(())
}

/// Reads past the buffer: what comes after the first line must be seen by who waits for it.
fn unbuffered(input: &io::Stdin) -> impl Read + '_ {
    struct Unbuffered<'a>(&'a io::Stdin);
    impl Read for Unbuffered<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            nix::unistd::read(self.0, buffer).map_err(Into::into)
        }
    }
    Unbuffered(input)
}

/// The first line.
fn request(input: &mut impl Read) -> anyhow::Result<Request> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    // One at a time: what comes after the line is for somebody else.
    while line.len() < MOST_BYTES
        && input.read(&mut byte).context("cannot read the request from standard input")? == 1
        && byte != [b'\n']
    {
        line.push(byte[0]);
    }
    ensure!(!line.is_empty(), "expected a request as a line of JSON on standard input, got nothing");
    serde_json::from_slice(&line).context("expected a request as a line of JSON on standard input")
}

#[cfg(test)]
mod tests {
    use super::*;
    use playhead_agent::notice::Kind;

    #[test]
    fn a_request_is_one_line_with_nothing_else_in_it() {
        let line = "{\"display\": \":3\", \"kind\": \"consent\", \"title\": \"T\", \"text\": \"x\"}\nmore";
        let mut input = line.as_bytes();
        let got = request(&mut input).unwrap();
        assert_eq!((got.kind, got.display.as_str(), input), (Kind::Consent, ":3", &b"more"[..]));
        let long = vec![b' '; 70 << 10];
        for wrong in [&b""[..], b"\n{}", b"{\"displai\": 1}", b"\xff\xff", &long] {
            assert!(request(&mut &wrong[..]).is_err());
        }
    }

    #[test]
    fn what_happens_is_told_in_the_words_of_the_protocol() {
        let told = Told::ClosedByForce { how: playhead_agent::notice::Force::Killed };
        let text = serde_json::to_string(&told).unwrap();
        assert_eq!(text, "{\"event\":\"closed-by-force\",\"how\":\"killed\"}");
        assert_eq!(serde_json::to_string(&Told::Shown).unwrap(), "{\"event\":\"shown\"}");
    }
}
