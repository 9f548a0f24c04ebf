//! Cookies in `.Xauthority` files.

use std::path::{Path, PathBuf};

/// The one scheme that X servers on a session host use.
pub(crate) const COOKIE: &[u8] = b"MIT-MAGIC-COOKIE-1";
/// A file longer than this is no `.Xauthority`.
const MOST_BYTES: u64 = 1 << 20;
/// The family that stands for any host.
const WILD: u16 = 0xffff;

/// Finds the cookie for a display in a file. `is_family` says whether an entry's family is that of the connection.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn find(
    path: &Path,
    is_family: impl Fn(u16) -> bool,
    address: &[u8],
    display: u16,
) -> std::io::Result<Option<Vec<u8>>> {
    use std::{io::Read as _, os::unix::fs::OpenOptionsExt as _};
    let mut bytes = Vec::new();
    // It lies where the session's user says: a pipe there must not keep anybody waiting.
    let flags = nix::fcntl::OFlag::O_NONBLOCK | nix::fcntl::OFlag::O_CLOEXEC;
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    let number = display.to_string();
    let mut left = &bytes[..];
    while let Some(entry) = take_entry(&mut left) {
        let here = entry.family == WILD || (is_family(entry.family) && entry.address == address);
        if here && (entry.number.is_empty() || entry.number == number.as_bytes()) && entry.name == COOKIE {
            return Ok(Some(entry.data.to_vec()));
        }
    }
    Ok(None)
}

struct Entry<'a> {
    family: u16,
    address: &'a [u8],
    number: &'a [u8],
    name: &'a [u8],
    data: &'a [u8],
}

fn take_entry<'a>(left: &mut &'a [u8]) -> Option<Entry<'a>> {
    Some(Entry {
        family: take_u16(left)?,
        address: take_text(left)?,
        number: take_text(left)?,
        name: take_text(left)?,
        data: take_text(left)?,
    })
}

fn take_u16(left: &mut &[u8]) -> Option<u16> {
    let (head, rest) = left.split_first_chunk()?;
    *left = rest;
    Some(u16::from_be_bytes(*head))
}

fn take_text<'a>(left: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_u16(left)?;
    let (head, rest) = left.split_at_checked(length.into())?;
    *left = rest;
    Some(head)
}

/// The files in which a display's cookie may lie, most likely first. `given` is used alone.
pub(crate) fn candidates(given: Option<&Path>, session_home: Option<PathBuf>) -> Vec<PathBuf> {
    if let Some(given) = given {
        return vec![given.to_owned()];
    }
    let own = std::env::var_os("HOME").map(PathBuf::from);
    let homes = [session_home, own].into_iter().flatten().map(|home| home.join(".Xauthority"));
    let mut paths: Vec<PathBuf> =
        std::env::var_os("XAUTHORITY").map(PathBuf::from).into_iter().chain(homes).collect();
    paths.dedup();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(family: u16, address: &[u8], number: &[u8], name: &[u8], data: &[u8]) -> Vec<u8> {
        let mut bytes = family.to_be_bytes().to_vec();
        for text in [address, number, name, data] {
            bytes.extend((text.len() as u16).to_be_bytes());
            bytes.extend(text);
        }
        bytes
    }

    #[test]
    fn the_entry_for_host_and_display_is_found_in_any_cut_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("auth");
        let whole = [
            entry(256, b"other", b"7", COOKIE, b"1"),
            entry(256, b"pc1", b"8", COOKIE, b"2"),
            entry(256, b"pc1", b"7", b"XDM-AUTHORIZATION-1", b"3"),
            entry(256, b"pc1", b"7", COOKIE, b"4"),
            entry(WILD, b"", b"", COOKIE, b"5"),
        ]
        .concat();
        let look = |address: &[u8], display| find(&path, |family| family == 256, address, display).unwrap();
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(look(b"pc1", 7).as_deref(), Some(&b"4"[..]));
        assert_eq!(look(b"pc2", 7).as_deref(), Some(&b"5"[..]));
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let _ = look(b"pc1", 7);
        }
        assert!(find(&folder.path().join("none"), |_| true, b"", 0).is_err());
    }
}
