//! What of xrdp's settings matters here.

use std::path::PathBuf;

/// Where the settings are.
pub(crate) const SETTINGS: &str = "/etc/xrdp/xrdp.ini";
/// xrdp's port, unless its settings say another one.
const PORT: u16 = 3_389;
/// Where its log is, unless they say so.
const LOG: &str = "/var/log/xrdp.log";

/// xrdp's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Xrdp {
    /// Where it listens.
    pub(crate) port: u16,
    pub(crate) log: PathBuf,
    /// The log says which process a line is of.
    pub(crate) names_processes: bool,
}

impl Xrdp {
    /// Those in the text of `xrdp.ini`.
    pub(crate) fn read(text: &str) -> Self {
        let value = |name: &str| {
            let pairs = text.lines().filter_map(|line| line.split_once('='));
            let mut values = pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name));
            values.next().map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
        };
        // One of several addresses, each of which may have something before the port.
        let port = value("port").and_then(|ports| {
            let first = ports.split([' ', ',']).next()?;
            first.rsplit([':', '/']).next()?.parse().ok()
        });
        let log = value("LogFile").map_or_else(
            || LOG.into(),
            |file| if file.starts_with('/') { file.into() } else { format!("/var/log/{file}").into() },
        );
        let is_yes =
            |value: &str| ["1", "true", "yes", "on"].iter().any(|yes| value.eq_ignore_ascii_case(yes));
        Self {
            port: port.unwrap_or(PORT),
            log,
            names_processes: value("EnableProcessId").is_some_and(is_yes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_of_xrdp_are_read() {
        let read = |text: &str| {
            let Xrdp { port, log, names_processes } = Xrdp::read(text);
            (port, log.to_str().unwrap().to_owned(), names_processes)
        };
        assert_eq!(read(""), (3_389, LOG.into(), false));
        let text = "[Globals]\nport=3389\n[Logging]\nLogFile=xrdp.log\n#EnableProcessId=true\n";
        assert_eq!(read(text), (3_389, "/var/log/xrdp.log".into(), false));
        let text = "port = tcp://:3391 vsock\nlogfile=/x/y\nenableprocessid = True\n";
        assert_eq!(read(text), (3_391, "/x/y".into(), true));
        assert_eq!(read("port=vsock://any\n").0, 3_389);
        assert_eq!(read("LogFile=\n").1, LOG);
    }
}
