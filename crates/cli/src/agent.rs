//! `playhead agent`: records the displays of this machine.

use crate::{data::default_folder, stop};
use anyhow::Context as _;
use playhead_agent::{DisplaySettings, Report, Settings, WhenFull};
use std::{
    io::{self, Write as _},
    path::PathBuf,
};

/// Record displays of this machine and send the recordings to the site
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Settings file; flags go before what stands in it
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Display to record, such as :10; may be repeated
    #[arg(long = "display", value_name = "DISPLAY")]
    displays: Vec<String>,
    /// Join token for an agent, from the console. Needed at the first start only
    #[arg(long, value_name = "TOKEN", env = "PLAYHEAD_JOIN", hide_env_values = true)]
    join: Option<String>,
    /// Folder for key, identity and queue [default: playhead/agent in the user's data folder, or as in the settings file]
    #[arg(long, value_name = "FOLDER", env = "PLAYHEAD_DATA")]
    data: Option<PathBuf>,
    /// Name of this machine in recordings [default: its host name]
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// MiB that may wait on disk while the server cannot be reached [default: 1024]
    #[arg(long, value_name = "MIB")]
    quota_mib: Option<u64>,
    /// What to do when they are used up: pause or keep-newest [default: pause]
    #[arg(long, value_name = "WHAT")]
    when_full: Option<WhenFull>,
    /// Say what the agent with this data folder does, and record nothing
    #[arg(long)]
    status: bool,
    /// With --status: for scripts, as JSON
    #[arg(long, requires = "status")]
    json: bool,
}

impl Args {
    fn settings(self) -> anyhow::Result<Settings> {
        let mut settings = match &self.settings {
            Some(path) => Settings::load(path)?,
            None => Settings { data: PathBuf::new(), ..Settings::default() },
        };
        if let Some(data) = self.data {
            settings.data = data;
        } else if self.settings.is_none() {
            settings.data = default_folder("agent")?;
        }
        if !self.displays.is_empty() {
            // A display of the file keeps what the file says of it.
            let known = std::mem::take(&mut settings.displays);
            let find = |name: String| {
                let found = known.iter().find(|display| display.display == name).cloned();
                found.unwrap_or_else(|| DisplaySettings::new(name))
            };
            settings.displays = self.displays.into_iter().map(find).collect();
        }
        if self.join.is_some() {
            settings.server.join = self.join;
            settings.server.join_file = None;
        }
        settings.host = self.host.or(settings.host);
        if let Some(mib) = self.quota_mib {
            settings.spool.quota_bytes = mib.saturating_mul(1 << 20);
        }
        settings.spool.when_full = self.when_full.unwrap_or(settings.spool.when_full);
        Ok(settings)
    }
}

/// Records until told to stop; then ends the recordings and sends what it can.
///
/// # Errors
/// It cannot start, or the site refuses it.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let (status, json) = (args.status, args.json);
    let settings = args.settings()?;
    if status {
        let report = playhead_agent::status(&settings.data)
            .with_context(|| format!("no agent ever ran with its data in {}", settings.data.display()))?;
        return say(&report, json);
    }
    let stop = stop::on_signal()?;
    Ok(playhead_agent::run(settings, stop).await?)
}

fn say(report: &Report, json: bool) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(report)?)?;
        return Ok(());
    }
    let Report { server, running, displays, queue_bytes, at, .. } = report;
    let state = match (running, server.connected) {
        (true, true) => "connected",
        (true, false) => "running, not connected",
        (false, _) => "not running",
    };
    writeln!(out, "Agent      {state} (as of {at})")?;
    writeln!(out, "Server     {}", server.url.as_deref().unwrap_or("not joined yet"))?;
    if let Some(error) = &server.error {
        writeln!(out, "           {error}")?;
    }
    writeln!(out, "Queue      {queue_bytes} bytes")?;
    for (name, display) in displays {
        let recording = display.recording.map_or_else(|| "not recorded".into(), |id| id.to_string());
        writeln!(out, "Display    {name} {recording}")?;
        if let Some(error) = &display.error {
            writeln!(out, "           {error}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn settings(line: &[&str]) -> anyhow::Result<Settings> {
        Line::try_parse_from([&["playhead", "--data", "/d"], line].concat())?.args.settings()
    }

    #[test]
    fn flags_go_before_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        let text = "data = \"/x\"\nhost = \"pc1\"\ndisplays = [{ display = \":3\", user = \"anna\" }, \":4\"]\n\
                    [spool]\nquota_bytes = 100000000\nwhen_full = \"keep-newest\"\n";
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap();
        let plain = settings(&["--settings", path]).unwrap();
        assert_eq!((plain.displays.len(), plain.spool.quota_bytes), (2, 100_000_000));
        assert_eq!(plain.data, PathBuf::from("/d"));
        let line =
            ["--settings", path, "--display", ":3", "--display", ":9", "--quota-mib", "200", "--host", "pc2"];
        let flagged = settings(&line).unwrap();
        assert_eq!(flagged.displays[0].user.as_deref(), Some("anna"));
        assert_eq!(flagged.displays[1], DisplaySettings::new(":9"));
        assert_eq!((flagged.spool.quota_bytes, flagged.host.as_deref()), (200 << 20, Some("pc2")));
        assert_eq!(flagged.spool.when_full, WhenFull::KeepNewest);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(settings(&["--when-full", "panic"]).is_err());
        assert!(settings(&["--settings", "/none/agent.toml"]).is_err());
        assert!(settings(&["--json"]).is_err());
    }
}
