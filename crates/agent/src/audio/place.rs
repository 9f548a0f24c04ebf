//! Where the sound server of a session listens, and the secret that it asks for.
//!
//! Much of this is told by the recorded user's own processes and files. So a path that they name is only ever connected to, whoever
//! answers there must be that user, and a secret is sent only if it is a file of theirs that looks like one.

use super::wire::COOKIE;
use nix::{
    fcntl::OFlag,
    unistd::{Uid, User},
};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::Read as _,
    os::unix::{
        ffi::OsStringExt as _,
        fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

/// A process's environment is looked at up to here.
const MOST_ENVIRONMENT: u64 = 128 << 10;
/// The most processes that are looked at.
const MOST_PROCESSES: usize = 20_000;

/// What tells where the server is.
const NAMES: [&str; 4] = ["PULSE_SERVER", "PULSE_RUNTIME_PATH", "XDG_RUNTIME_DIR", "PULSE_COOKIE"];

type Environment = BTreeMap<&'static str, PathBuf>;

/// Where to look for a session's server, the likeliest place first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// Sockets.
    pub(super) sockets: Vec<PathBuf>,
    /// Files with the secret.
    cookies: Vec<PathBuf>,
    /// Who must answer.
    pub(super) user: Uid,
}

impl Places {
    /// Those of the session of `account` on `display`. `given` is where the settings say that it listens.
    pub(super) fn find(display: &str, account: Option<&User>, given: Option<&Path>) -> Self {
        let own = Uid::effective();
        let user = account.map_or(own, |account| account.uid);
        let session = session_environment(Path::new("/proc"), display, user);
        let mine = (user == own).then(own_environment).unwrap_or_default();
        Self::of(user, account.map(|account| account.dir.as_path()), given, &[session, mine])
    }

    fn of(user: Uid, home: Option<&Path>, given: Option<&Path>, told: &[Environment]) -> Self {
        let mut sockets: Vec<PathBuf> = given.map(Path::to_owned).into_iter().collect();
        let mut cookies = Vec::new();
        for environment in told {
            if given.is_none() {
                let server = environment.get("PULSE_SERVER").and_then(|server| server.to_str());
                sockets.extend(server.into_iter().flat_map(local_sockets));
                sockets.extend(environment.get("PULSE_RUNTIME_PATH").map(|folder| folder.join("native")));
                sockets.extend(environment.get("XDG_RUNTIME_DIR").map(|folder| folder.join("pulse/native")));
            }
            cookies.extend(environment.get("PULSE_COOKIE").cloned());
        }
        if given.is_none() {
            sockets.push(format!("/run/user/{user}/pulse/native").into());
            sockets.extend(home.into_iter().flat_map(old_sockets));
        }
        if let Some(home) = home {
            cookies.extend([home.join(".config/pulse/cookie"), home.join(".pulse-cookie")]);
        }
        let mut seen = Vec::new();
        sockets.retain(|path| {
            path.is_absolute() && !seen.contains(path) && {
                seen.push(path.clone());
                true
            }
        });
        Self { sockets, cookies, user }
    }

    /// The secret; zeros where there is none, since a server also takes its own user's word, and PipeWire asks for none.
    pub(super) fn cookie(&self) -> [u8; COOKIE] {
        self.cookies.iter().find_map(|path| read_cookie(path, self.user)).unwrap_or([0; COOKIE])
    }
}

/// The addresses on this machine in a list as `PULSE_SERVER` has it.
fn local_sockets(list: &str) -> impl Iterator<Item = PathBuf> {
    list.split_ascii_whitespace().filter_map(|address| {
        // An address may be preceded by the machine for which it is meant, in braces.
        let address = address.split_once('}').map_or(address, |(_, address)| address);
        let path = address.strip_prefix("unix:").unwrap_or(address);
        path.starts_with('/').then(|| path.into())
    })
}

/// Where servers listen that know no folder for run time data: `MACHINE-runtime`, a link in the user's settings.
fn old_sockets(home: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(home.join(".config/pulse")) else { return Vec::new() };
    entries
        .take(100)
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().ends_with("-runtime"))
        .map(|entry| entry.path().join("native"))
        .collect()
}

fn own_environment() -> Environment {
    NAMES.iter().filter_map(|&name| Some((name, PathBuf::from(std::env::var_os(name)?)))).collect()
}

/// What the user's processes on the display say: that of the first one that says anything.
fn session_environment(processes: &Path, display: &str, user: Uid) -> Environment {
    let Ok(entries) = fs::read_dir(processes) else { return Environment::new() };
    let wanted = display.strip_suffix(".0").unwrap_or(display);
    for entry in entries.take(MOST_PROCESSES).flatten() {
        let is_process = entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit());
        if !is_process || !entry.metadata().is_ok_and(|metadata| metadata.uid() == user.as_raw()) {
            continue;
        }
        let mut bytes = Vec::new();
        let file = File::open(entry.path().join("environ"));
        if file.and_then(|file| file.take(MOST_ENVIRONMENT).read_to_end(&mut bytes)).is_err() {
            continue;
        }
        let told = environment_of(&bytes, wanted);
        if !told.is_empty() {
            return told;
        }
    }
    Environment::new()
}

/// What an environment says of the sound server, if it is that of a process on the display.
fn environment_of(bytes: &[u8], display: &str) -> Environment {
    let mut told = Environment::new();
    let mut is_there = false;
    for entry in bytes.split(|&byte| byte == 0) {
        let Some(equals) = entry.iter().position(|&byte| byte == b'=') else { continue };
        let (name, value) = (&entry[..equals], &entry[equals + 1..]);
        if name == b"DISPLAY" {
            is_there = value.strip_suffix(b".0").unwrap_or(value) == display.as_bytes();
        } else if let Some(known) = NAMES.iter().find(|known| known.as_bytes() == name)
            && !value.is_empty()
        {
            told.insert(known, OsString::from_vec(value.to_vec()).into());
        }
    }
    if is_there { told } else { Environment::new() }
}

/// The secret in a file of the user's own. Nothing else is read for anybody: not a link, not another's file, not one of another size.
fn read_cookie(path: &Path, user: Uid) -> Option<[u8; COOKIE]> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let mut file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).ok()?;
    let metadata = file.metadata().ok()?;
    let is_cookie = metadata.is_file()
        && metadata.uid() == user.as_raw()
        && metadata.nlink() == 1
        && metadata.len() == COOKIE as u64;
    let mut cookie = [0; COOKIE];
    (is_cookie && file.read_exact(&mut cookie).is_ok()).then_some(cookie)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(entries: &[(&'static str, &str)]) -> Environment {
        entries.iter().map(|&(name, value)| (name, value.into())).collect()
    }

    #[test]
    fn the_session_goes_before_ourselves_and_the_settings_before_both() {
        let user = Uid::from_raw(1_234);
        let session = told(&[("PULSE_SERVER", "{0123abc}unix:/a tcp:pc2 /b"), ("XDG_RUNTIME_DIR", "/run/x")]);
        let mine =
            told(&[("PULSE_RUNTIME_PATH", "/p"), ("XDG_RUNTIME_DIR", "/run/x"), ("PULSE_SERVER", "pc3")]);
        let places = Places::of(user, None, None, &[session.clone(), mine]);
        let expected = ["/a", "/b", "/run/x/pulse/native", "/p/native", "/run/user/1234/pulse/native"];
        assert_eq!(places.sockets, expected.map(PathBuf::from));
        let given = Places::of(user, None, Some(Path::new("/s")), &[session]);
        assert_eq!(given.sockets, [PathBuf::from("/s")]);
    }

    #[test]
    fn only_processes_on_the_display_count() {
        let folder = tempfile::tempdir().unwrap();
        let user = Uid::from_raw(fs::metadata(folder.path()).unwrap().uid());
        for (number, text) in [
            ("1", "DISPLAY=:1\0PULSE_SERVER=/one\0"),
            ("2", "DISPLAY=:22.0\0"),
            ("3", "PULSE_SERVER=/three\0nonsense\0=\0DISPLAY=:22.0\0XDG_RUNTIME_DIR="),
            ("self", "DISPLAY=:22\0PULSE_SERVER=/self\0"),
        ] {
            fs::create_dir(folder.path().join(number)).unwrap();
            fs::write(folder.path().join(number).join("environ"), text).unwrap();
        }
        let found = |display| session_environment(folder.path(), display, user);
        assert_eq!(found(":22"), told(&[("PULSE_SERVER", "/three")]));
        assert_eq!(found(":22.0"), found(":22"));
        assert_eq!(found(":1"), told(&[("PULSE_SERVER", "/one")]));
        assert!(found(":2").is_empty());
        assert!(session_environment(folder.path(), ":1", Uid::from_raw(user.as_raw() + 1)).is_empty());
    }

    #[test]
    fn a_secret_is_a_file_of_the_users_own() {
        let folder = tempfile::tempdir().unwrap();
        let user = Uid::from_raw(fs::metadata(folder.path()).unwrap().uid());
        let path = |name: &str| folder.path().join(name);
        fs::write(path("good"), [7; COOKIE]).unwrap();
        fs::write(path("long"), [7; COOKIE + 1]).unwrap();
        std::os::unix::fs::symlink(path("good"), path("link")).unwrap();
        assert_eq!(read_cookie(&path("good"), user), Some([7; COOKIE]));
        for bad in ["long", "link", "none"] {
            assert_eq!(read_cookie(&path(bad), user), None, "{bad}");
        }
        assert_eq!(read_cookie(&path("good"), Uid::from_raw(user.as_raw() + 1)), None);
        fs::hard_link(path("good"), path("hard")).unwrap();
        assert_eq!(read_cookie(&path("good"), user), None);
        let places = Places { sockets: Vec::new(), cookies: vec![path("none")], user };
        assert_eq!(places.cookie(), [0; COOKIE]);
    }
}
