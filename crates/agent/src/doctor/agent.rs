//! What the agent itself needs: its settings, displays, folder and server.

use super::{Ability, Finding};
use crate::{
    Settings,
    identity::Identity,
    notice::{self, NoticeError},
};
use nix::sys::statvfs::statvfs;
use std::{
    net::{TcpStream, ToSocketAddrs as _},
    path::Path,
    time::Duration,
};
use x11rb::{connection::RequestConnection as _, rust_connection::RustConnection};

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Extensions of the X server, and what is missing without them.
const EXTENSIONS: [(&str, &str); 3] = [
    ("DAMAGE", "no picture can be recorded"),
    ("XFIXES", "no picture can be recorded"),
    ("MIT-SHM", "pictures take many times as long"),
];
const MASK_EXTENSIONS: [(&str, &str); 2] = [
    ("X-Resource", "windows cannot be told by their process"),
    ("SHAPE", "what is seen of a window cannot be told"),
];

pub(super) fn settings(settings: &Settings, findings: &mut Vec<Finding>) {
    findings.push(match settings.check() {
        Ok(()) => Finding::ok(Ability::Settings, true, "the settings can be used"),
        Err(_) if settings.displays.is_empty() && !settings.sessions.discover => {
            let remedy = "in the settings file, /etc/playhead/agent.toml unless another is given, write discover = true into the section [sessions], or name displays: displays = [\":10\"]";
            Finding::missing(Ability::Settings, true, "the settings name nothing to record", remedy)
        }
        Err(error) => {
            let remedy = "correct the settings file, /etc/playhead/agent.toml unless another is given";
            Finding::missing(Ability::Settings, true, error.to_string(), remedy)
        }
    });
}

pub(super) fn displays(settings: &Settings, findings: &mut Vec<Finding>) {
    for display in &settings.displays {
        let name = &display.display;
        let connected = match notice::connect(name, display.xauthority.as_deref()) {
            Ok(connected) => connected,
            Err(error) => {
                let remedy = format!(
                    "start the display, or give the file with its cookie: displays = [{{ display = \"{name}\", xauthority = \"/home/USER/.Xauthority\" }}]"
                );
                let found = match error {
                    NoticeError::Display { display, reason } => {
                        format!("cannot connect to display {display}: {reason}")
                    }
                    other => other.to_string(),
                };
                findings.push(Finding::missing(Ability::Screen, true, found, remedy));
                continue;
            }
        };
        let connection = &connected.connection;
        findings.push(look(connection, name, Ability::Screen, &EXTENSIONS));
        if !settings.masks.is_empty() {
            findings.push(look(connection, name, Ability::Masks, &MASK_EXTENSIONS));
        }
    }
}

fn look(
    connection: &RustConnection,
    display: &str,
    what: Ability,
    needed: &[(&'static str, &str)],
) -> Finding {
    let lacking = needed
        .iter()
        .find(|(extension, _)| !matches!(connection.extension_information(extension), Ok(Some(_))));
    match lacking {
        None => Finding::ok(what, true, format!("display {display} has all that is needed")),
        Some((extension, without)) => Finding::missing(
            what,
            true,
            format!("display {display} has no {extension} extension: {without}"),
            "use Xorg, xorgxrdp or Xvnc with their usual extensions",
        ),
    }
}

pub(super) fn disk(settings: &Settings, findings: &mut Vec<Finding>) {
    let what = Ability::Disk;
    // The folder is made at the first start.
    let folder = settings.data.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    findings.push(match statvfs(folder) {
        Ok(disk) => {
            let free = disk.blocks_available() * disk.fragment_size();
            let least = settings.spool.least_free_bytes;
            let found = format!("{} MiB are free for the queue in {}", free >> 20, settings.data.display());
            if free > least {
                Finding::ok(what, true, found)
            } else {
                let found = format!("{found}, of which {} stay free: nothing can be recorded", least >> 20);
                let remedy =
                    "make room there, put data elsewhere, or lower least_free_bytes in the section [spool]";
                Finding::missing(what, true, found, remedy)
            }
        }
        Err(nix::Error::EACCES) => {
            Finding::unknown(what, true, format!("{} is not for this user to look at", folder.display()))
        }
        Err(error) => {
            let found = format!("cannot look at the disk of {}: {error}", folder.display());
            Finding::missing(what, true, found, "see that the disk is mounted and sound")
        }
    });
}

pub(super) fn server(settings: &Settings, findings: &mut Vec<Finding>) {
    let what = Ability::Server;
    let path = settings.data.join("identity.json");
    let hidden = std::fs::metadata(&path)
        .is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
        || std::fs::File::open(&path)
            .is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied);
    if hidden {
        let found = format!("{} is not for this user to look at", settings.data.display());
        findings.push(Finding::unknown(what, true, found));
        return;
    }
    let has_token = settings.server.join.is_some() || settings.server.join_file.is_some();
    let url = crate::status(&settings.data).ok().and_then(|report| {
        let connected = report.running && report.server.connected;
        report.server.url.map(|url| (url, connected))
    });
    findings.push(match (url, Identity::load(&path)) {
        (Some((url, true)), _) => Finding::ok(what, true, format!("the agent is connected to {url}")),
        (Some((url, false)), _) => match reach(&url) {
            Ok(()) => Finding::ok(what, true, format!("{url} can be reached")),
            Err(error) => Finding::missing(
                what,
                true,
                format!("{url} cannot be reached: {error}"),
                "see that the server runs, that its name is known here, and that the firewall lets its port through",
            ),
        },
        (None, Ok(Some(_))) => Finding::ok(what, true, "the agent has joined a site; it has not run since"),
        (None, Err(error)) => {
            Finding::missing(what, true, error.to_string(), "delete the file and join the site anew")
        }
        (None, Ok(None)) if has_token => {
            Finding::ok(what, true, "there is a join token; the agent joins the site at its first start")
        }
        (None, Ok(None)) => Finding::missing(
            what,
            true,
            "the agent has not joined a site",
            "make a join token for an agent at the console, and put it into the section [server] of the settings: join = \"phj1_…\"",
        ),
    });
}

/// Whether somebody listens at an address such as `https://host:8443`.
fn reach(url: &str) -> std::io::Result<()> {
    let invalid = || std::io::Error::from(std::io::ErrorKind::InvalidInput);
    let uri: http::Uri = url.parse().map_err(|_| invalid())?;
    let host = uri.host().ok_or_else(invalid)?.trim_matches(['[', ']']);
    let mut last = Err(std::io::ErrorKind::NotFound.into());
    for address in (host, uri.port_u16().unwrap_or(443)).to_socket_addrs()? {
        last = TcpStream::connect_timeout(&address, PATIENCE).map(drop);
        if last.is_ok() {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_that_is_not_there_is_named() {
        let displays = vec![crate::DisplaySettings::new(":9999")];
        let mut findings = Vec::new();
        super::displays(&Settings { displays, ..Settings::default() }, &mut findings);
        assert!(findings[0].found.starts_with("cannot connect to display :9999: "), "{findings:?}");
    }

    #[test]
    fn a_server_is_reached_or_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        reach(&format!("https://127.0.0.1:{port}")).unwrap();
        drop(listener);
        assert!(reach(&format!("https://127.0.0.1:{port}")).is_err());
        assert!(reach("nonsense").is_err());
    }
}
