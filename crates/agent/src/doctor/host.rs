//! What the host's files tell.

use super::{Ability, Finding, records_sessions};
use crate::{
    Settings,
    discover::xrdp::{self, Xrdp},
    notice,
};
use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// Capabilities by their number: see capabilities(7).
const DAC_READ_SEARCH: u32 = 2;
const SETUID: u32 = 7;
const NET_ADMIN: u32 = 12;
const SYS_PTRACE: u32 = 19;
const SYS_ADMIN: u32 = 21;

/// No file that is read here is longer.
const MOST_BYTES: u64 = 1 << 20;

/// What a file says.
enum Text {
    Says(String),
    Absent,
    NotAllowed,
}

fn at(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn read(root: &Path, path: &str) -> Text {
    let mut text = Vec::new();
    let done = fs::File::open(at(root, path)).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut text));
    match done {
        Ok(_) => Text::Says(String::from_utf8_lossy(&text).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Text::NotAllowed,
        Err(_) => Text::Absent,
    }
}

fn any_of(root: &Path, paths: &[&str]) -> bool {
    paths.iter().any(|path| at(root, path).exists())
}

/// The capabilities of this process; `None` where they cannot be read.
fn capabilities(root: &Path) -> Option<u64> {
    let Text::Says(status) = read(root, "/proc/self/status") else { return None };
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn may(root: &Path, capability: u32) -> bool {
    capabilities(root).is_some_and(|all| all >> capability & 1 == 1)
}

pub(super) fn permissions(settings: &Settings, root: &Path, findings: &mut Vec<Finding>) {
    let (what, asked) = (Ability::Permissions, records_sessions(settings));
    let needed = [
        (DAC_READ_SEARCH, "read users' cookies"),
        (SETUID, "act as a session's user"),
        (SYS_PTRACE, "see to whom processes belong"),
    ];
    let lacking: Vec<_> =
        needed.iter().filter(|(number, _)| !may(root, *number)).map(|(_, purpose)| *purpose).collect();
    findings.push(if lacking.is_empty() {
        Finding::ok(what, asked, "other users' sessions can be recorded")
    } else {
        let found = format!("whoever runs this cannot {}", lacking.join(", nor "));
        let remedy =
            "run the agent as root: systemctl start playhead-agent; and this too: sudo playhead agent doctor";
        Finding::missing(what, asked, found, remedy)
    });
}

pub(super) fn sessions(settings: &Settings, root: &Path, findings: &mut Vec<Finding>) {
    let asked = records_sessions(settings);
    let has_xrdp = any_of(root, &["/usr/sbin/xrdp", "/usr/local/sbin/xrdp"]);
    let driver =
        ["/usr/lib/xorg/modules/drivers/xrdpdev_drv.so", "/usr/lib64/xorg/modules/drivers/xrdpdev_drv.so"];
    findings.push(match (has_xrdp, any_of(root, &driver)) {
        (false, _) => Finding::missing(
            Ability::Xrdp,
            false,
            "xrdp is not installed: there are no sessions by RDP",
            "apt-get install xrdp xorgxrdp",
        ),
        (true, false) => Finding::missing(
            Ability::Xrdp,
            asked,
            "xrdp has no Xorg driver: its sessions run on Xvnc, or not at all",
            "apt-get install xorgxrdp",
        ),
        (true, true) => xrdp_log(asked, root),
    });
    if has_xrdp {
        findings.push(match read(root, "/etc/pam.d/xrdp-sesman") {
            Text::Says(text) if sets_login_uid(&text) => {
                Finding::ok(Ability::LoginUid, false, "processes know to which sign-in they belong")
            }
            Text::NotAllowed => Finding::unknown(
                Ability::LoginUid,
                false,
                "/etc/pam.d/xrdp-sesman is not for this user to read",
            ),
            Text::Says(_) | Text::Absent => Finding::missing(
                Ability::LoginUid,
                false,
                "processes of xrdp's sessions do not know to which sign-in they belong; recordings do without it",
                "add this line to /etc/pam.d/xrdp-sesman: session required pam_loginuid.so",
            ),
        });
    }
    let vnc = ["/usr/bin/Xvnc", "/usr/bin/Xtigervnc", "/usr/local/bin/Xvnc"];
    findings.push(if any_of(root, &vnc) {
        Finding::ok(Ability::Xvnc, asked, "Xvnc is installed")
    } else {
        let found = "Xvnc is not installed: there are no sessions by VNC";
        Finding::missing(Ability::Xvnc, false, found, "apt-get install tigervnc-standalone-server")
    });
    let others = ["/usr/bin/Xorg", "/usr/lib/xorg/Xorg", "/usr/bin/Xvfb", "/usr/local/bin/Xorg"];
    if asked && !has_xrdp && !any_of(root, &vnc) && !any_of(root, &others) {
        let found = "there is no X server on this host: it has no sessions that could be recorded";
        let remedy = "for sessions by RDP: apt-get install xrdp xorgxrdp; by VNC: apt-get install tigervnc-standalone-server";
        findings.push(Finding::missing(Ability::Screen, true, found, remedy));
    }
}

/// What xrdp's log tells of clients.
fn xrdp_log(asked: bool, root: &Path) -> Finding {
    let what = Ability::Xrdp;
    let settings = match read(root, xrdp::SETTINGS) {
        Text::Says(text) => text,
        Text::Absent | Text::NotAllowed => String::new(),
    };
    let Xrdp { log, names_processes, .. } = Xrdp::read(&settings);
    let name = log.display();
    match (read(root, &log.to_string_lossy()), names_processes) {
        (Text::Says(_), true) => Finding::ok(what, asked, "xrdp with xorgxrdp, and its log"),
        (Text::Says(_), false) => Finding::missing(
            what,
            false,
            format!(
                "xrdp's log {name} does not say which process writes: of clients that come at the same moment the names stay unknown"
            ),
            "set EnableProcessId=true in the section [Logging] of /etc/xrdp/xrdp.ini, then: systemctl restart xrdp",
        ),
        (Text::Absent, _) => Finding::missing(
            what,
            false,
            format!("xrdp writes no {name}: the names of clients stay unknown"),
            "set LogFile=/var/log/xrdp.log and EnableProcessId=true in the section [Logging] of /etc/xrdp/xrdp.ini, then: systemctl restart xrdp",
        ),
        (Text::NotAllowed, _) => {
            Finding::unknown(what, asked, format!("{name} is not for this user to read"))
        }
    }
}

/// The published applications.
pub(super) fn applications(settings: &Settings, root: &Path, findings: &mut Vec<Finding>) {
    let what = Ability::Applications;
    if settings.applications.is_empty() {
        return;
    }
    let is_there = |path: &Path| at(root, &path.to_string_lossy()).is_file();
    let lacking: Vec<String> = settings
        .applications
        .iter()
        .filter(|(_, paths)| !paths.iter().any(is_there))
        .map(|(name, _)| format!("'{name}'"))
        .collect();
    findings.push(if lacking.is_empty() {
        Finding::ok(what, true, "the published applications are there")
    } else {
        let found = format!("of these published applications there is no file: {}", lacking.join(", "));
        let remedy = "give the paths of their programs in the section [applications] of the settings, or take them out of it";
        Finding::missing(what, true, found, remedy)
    });
    let Text::Says(sesman) = read(root, "/etc/xrdp/sesman.ini") else { return };
    let is_off = |line: &str| {
        line.split_once('=').is_some_and(|(key, value)| {
            let no = ["0", "false", "no", "off"];
            key.trim().eq_ignore_ascii_case("AllowAlternateShell")
                && no.iter().any(|no| value.trim().eq_ignore_ascii_case(no))
        })
    };
    if sesman.lines().any(is_off) {
        findings.push(Finding::missing(
            what,
            true,
            "xrdp does not let clients ask for a program: each of its sessions is a desktop",
            "set AllowAlternateShell=true in the section [Security] of /etc/xrdp/sesman.ini, then: systemctl restart xrdp-sesman",
        ));
    }
}

/// Whether a line that is not a comment has PAM set the login uid, itself or by what it includes.
fn sets_login_uid(text: &str) -> bool {
    text.lines().map(str::trim).any(|line| !line.starts_with('#') && line.contains("pam_loginuid.so"))
}

pub(super) fn sound(settings: &Settings, root: &Path, findings: &mut Vec<Finding>) {
    let (what, asked) = (Ability::Sound, settings.audio.enabled);
    let servers = ["/usr/bin/pipewire-pulse", "/usr/bin/pulseaudio", "/usr/local/bin/pulseaudio"];
    findings.push(if any_of(root, &servers) {
        Finding::ok(what, asked, "a sound server is installed")
    } else {
        let found = "there is no PulseAudio and no PipeWire: sessions have no sound to record";
        Finding::missing(what, asked, found, "apt-get install pipewire-pulse wireplumber")
    });
}

pub(super) fn notices(settings: &Settings, root: &Path, findings: &mut Vec<Finding>) {
    let (what, asked) = (Ability::Notices, records_sessions(settings));
    findings.push(if notice::has_fonts(root) {
        let found = "there are fonts for notices; which scripts they have depends on the packages fonts-noto-core and fonts-noto-cjk";
        Finding::ok(what, asked, found)
    } else {
        let found = "there are no fonts: notices are shown in the X server's own, Latin letters only";
        Finding::missing(what, asked, found, "apt-get install fonts-noto-core fonts-noto-cjk")
    });
}

/// Process events, file events.
pub(super) fn watching(root: &Path, findings: &mut Vec<Finding>) {
    let what = Ability::Processes;
    let tells = matches!(read(root, "/proc/net/connector"), Text::Says(text) if text.contains("cn_proc"));
    findings.push(match (tells, may(root, NET_ADMIN)) {
        (true, true) => Finding::ok(what, false, "the kernel tells when programs start and end"),
        (true, false) => {
            Finding::unknown(what, false, "the kernel tells of programs only to those with CAP_NET_ADMIN")
        }
        (false, _) => Finding::missing(
            what,
            false,
            "the kernel does not tell when programs start and end; recordings do without it",
            "use a kernel with CONFIG_PROC_EVENTS=y, as Debian's have; in a container, run the agent on its host",
        ),
    });
    files(root, findings);
}

fn files(root: &Path, findings: &mut Vec<Finding>) {
    let what = Ability::Files;
    let has_fanotify = at(root, "/proc/sys/fs/fanotify").exists();
    findings.push(match (has_fanotify, may(root, SYS_ADMIN)) {
        (true, true) => Finding::ok(what, false, "the kernel tells when files change"),
        (true, false) => {
            Finding::unknown(what, false, "the kernel tells of files only to those with CAP_SYS_ADMIN")
        }
        (false, _) => Finding::missing(
            what,
            false,
            "the kernel does not tell when files change; recordings do without it",
            "use a kernel with CONFIG_FANOTIFY=y of version 5.13 or later, as Debian's are",
        ),
    });
}

pub(super) fn printing(root: &Path, findings: &mut Vec<Finding>) {
    let what = Ability::Printing;
    findings.push(if any_of(root, &["/usr/sbin/cupsd"]) {
        Finding::ok(what, false, "CUPS is installed")
    } else {
        let found = "CUPS is not installed; recordings do without it";
        Finding::missing(what, false, found, "apt-get install cups")
    });
}

pub(super) fn clock(root: &Path, findings: &mut Vec<Finding>) {
    let what = Ability::Clock;
    let signs = [
        "/run/systemd/timesync/synchronized",
        "/run/chrony/chronyd.pid",
        "/run/ntpd.pid",
        "/run/openntpd.sock",
    ];
    findings.push(if any_of(root, &signs) {
        Finding::ok(what, false, "the clock is kept right")
    } else {
        let found = "nothing is seen that keeps the clock right: recordings may tell wrong times";
        Finding::missing(
            what,
            false,
            found,
            "apt-get install systemd-timesyncd, unless the machine's host keeps its clock",
        )
    });
}
