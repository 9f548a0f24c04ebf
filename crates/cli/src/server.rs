//! `playhead server`: a recording server on its own.

use anyhow::Context as _;
use playhead_protocol::join::JoinToken;
use playhead_server::{Server, Settings};
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use tokio_util::sync::CancellationToken;

/// Run a recording server: take recordings in from agents, keep them, and give them out to the console.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for keys, journal, database and recordings; made when it is not there.
    #[arg(long, value_name = "DIR", env = "PLAYHEAD_DATA")]
    data: PathBuf,
    /// Address on which agents connect, by TLS.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8443")]
    listen_agents: SocketAddr,
    /// Address that agents are told [default: https://<host name>:<port>].
    #[arg(long, value_name = "URL")]
    agents_url: Option<String>,
    /// Further name or address under which agents reach this server, for its certificate; may be repeated.
    #[arg(long = "agents-name", value_name = "NAME")]
    agent_names: Vec<String>,
    /// Join token for the console, from its page of sites or `playhead token --kind server`. Needed at the first start.
    #[arg(long, value_name = "TOKEN", env = "PLAYHEAD_CONSOLE", hide_env_values = true)]
    console: Option<JoinToken>,
    /// Name of the site for people.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The site's database: sqlite:PATH or postgres://USER@HOST/NAME [default: site.db in the data folder].
    #[arg(long, value_name = "URL", env = "PLAYHEAD_DATABASE", hide_env_values = true)]
    database: Option<String>,
    /// Where recordings are stored: a folder or s3://BUCKET/PREFIX with AWS_* in the environment [default: recordings in the
    /// data folder].
    #[arg(long, value_name = "URL")]
    storage: Option<String>,
    /// Hours without a word from its agent after which a live recording counts as finished.
    #[arg(long, value_name = "HOURS", default_value_t = 12.0, value_parser = hours)]
    lost_after_hours: f64,
    /// MiB that must be free on the disk of the data folder; below, nothing is taken in. 2 % of the disk where that is less.
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    least_free_mib: u64,
}

fn hours(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(hours) if (0.01..=24.0 * 365.0).contains(&hours) => Ok(hours),
        _ => Err(format!("expected hours between 0.01 and 8760, got '{text}'")),
    }
}

impl Args {
    fn settings(self) -> Settings {
        Settings {
            name: self.name,
            listen_agents: self.listen_agents,
            agents_url: self.agents_url,
            agent_names: self.agent_names,
            database: self.database,
            storage: self.storage,
            console: self.console,
            lost_after: Duration::from_secs_f64(self.lost_after_hours * 3_600.0),
            least_free: self.least_free_mib.saturating_mul(1 << 20),
            ..Settings::new(self.data)
        }
    }
}

/// Runs until `stop`, then writes down everything that came.
///
/// # Errors
/// The server cannot start.
pub async fn run(args: Args, stop: CancellationToken) -> anyhow::Result<()> {
    let server = Server::start(args.settings()).await.context("the recording server cannot start")?;
    stop.cancelled().await;
    server.shutdown().await;
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

    #[test]
    fn arguments_become_settings_and_nonsense_is_refused() {
        let line = ["playhead", "--data", "/d", "--lost-after-hours", "0.5", "--least-free-mib", "1"];
        let settings = Line::try_parse_from(line).unwrap().args.settings();
        assert_eq!((settings.lost_after.as_secs(), settings.least_free), (1_800, 1 << 20));
        assert_eq!(settings.listen_agents.port(), 8443);
        for wrong in [["--console", "nonsense"], ["--lost-after-hours", "0"], ["--listen-agents", "x"]] {
            assert!(Line::try_parse_from(["playhead", "--data", "/d", wrong[0], wrong[1]]).is_err());
        }
    }
}
