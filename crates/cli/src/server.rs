//! `playhead server`: a recording server on its own.

use crate::{
    data::default_folder,
    locations::Locations,
    metrics::{self, Watched, Watching},
    stop,
    tending::Tending,
};
use playhead_protocol::join::JoinToken;
use playhead_server::{Durable, Server, Settings};
use serde::Serialize;
use std::{
    io::{self, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// Run a recording server: it takes recordings in from agents, keeps them, and gives them out to its console
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder for keys, journal, database and recordings [default: playhead/server in the user's data folder]
    #[arg(long, value_name = "FOLDER", env = "PLAYHEAD_DATA")]
    data: Option<PathBuf>,
    /// Address on which agents connect, by TLS
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8443")]
    listen_agents: SocketAddr,
    /// Address that agents are told [default: https://<host name>:<port>]
    #[arg(long, value_name = "URL")]
    agents_url: Option<String>,
    /// Further name or address under which agents reach this server, for its certificate; may be repeated
    #[arg(long = "agents-name", value_name = "NAME")]
    agent_names: Vec<String>,
    /// Join token for the console, from its page of sites or `playhead token --kind server`. Needed at the first start only
    #[arg(long, value_name = "TOKEN", env = "PLAYHEAD_JOIN", hide_env_values = true)]
    join: Option<JoinToken>,
    /// Name of the site for people
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The site's database: sqlite:PATH or postgres://USER@HOST/NAME [default: site.db in the data folder]
    #[arg(long, value_name = "URL", env = "PLAYHEAD_DATABASE", hide_env_values = true)]
    database: Option<String>,
    #[command(flatten)]
    locations: Locations,
    #[command(flatten)]
    tending: Tending,
    /// Name of this server for people [default: the host's name]
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// Where the other servers of the site connect, by TLS, when they share a database on PostgreSQL. Port 0 lets the system choose
    /// [default: the agents' address with port 0]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen_peers: Option<SocketAddr>,
    /// Address that the other servers are told [default: https://<host name>:<port>]
    #[arg(long, value_name = "URL")]
    peers_url: Option<String>,
    /// What acknowledged fragments survive: the server's crash (disk) or its loss (shared) [default: shared with PostgreSQL and a bucket]
    #[arg(long, value_enum, value_name = "WHAT", env = "PLAYHEAD_DURABLE")]
    durable: Option<Durability>,
    /// Seconds without a sign of life after which another server takes over
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..=600))]
    lease_seconds: u64,
    /// Hours without a word from its agent after which a live recording counts as finished
    #[arg(long, value_name = "HOURS", default_value_t = 12.0, value_parser = hours)]
    lost_after_hours: f64,
    /// MiB that must be free on the disk of the data folder; below, nothing is taken in. 2 % of the disk where that is less
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    least_free_mib: u64,
    #[command(flatten)]
    watching: metrics::Args,
    /// For scripts: print one JSON line when ready
    #[arg(long)]
    json: bool,
}

/// What acknowledged fragments survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Durability {
    Disk,
    Shared,
}

impl From<Durability> for Durable {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Disk => Self::Disk,
            Durability::Shared => Self::Shared,
        }
    }
}

/// What is said on standard output when the server is ready.
#[derive(Serialize)]
struct Ready<'a> {
    /// Address for agents.
    agents: &'a str,
    /// Folder with the data.
    data: &'a Path,
    /// Id and name of the site.
    site: String,
    name: &'a str,
}

impl Ready<'_> {
    fn say(&self, json: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if json {
            writeln!(out, "{}", serde_json::to_string(self)?)?;
        } else {
            let (name, agents, data) = (self.name, self.agents, self.data.display());
            writeln!(
                out,
                "The recording server is ready.\n\n  Site       {name}\n  Agents     {agents}\n  Data       {data}\n\nCtrl-C stops it."
            )?;
        }
        out.flush()
    }
}

fn hours(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(hours) if (0.01..=24.0 * 365.0).contains(&hours) => Ok(hours),
        _ => Err(format!("expected hours between 0.01 and 8760, got '{text}'")),
    }
}

impl Args {
    fn settings(self) -> anyhow::Result<Settings> {
        let data = self.data.map_or_else(|| default_folder("server"), Ok)?;
        Ok(Settings {
            name: self.name,
            listen_agents: self.listen_agents,
            agents_url: self.agents_url,
            agent_names: self.agent_names,
            database: self.database,
            storage: self.locations.settings()?,
            tending: self.tending.settings(),
            stamps: self.locations.stamps(),
            site_key: self.locations.site_key,
            console: self.join,
            server_name: self.server_name,
            listen_peers: self.listen_peers,
            peers_url: self.peers_url,
            durable: self.durable.map(Durable::from),
            lease: Duration::from_secs(self.lease_seconds),
            lost_after: Duration::from_secs_f64(self.lost_after_hours * 3_600.0),
            least_free: self.least_free_mib.saturating_mul(1 << 20),
            ..Settings::new(data)
        })
    }
}

/// Runs a recording server until it is told to stop, then writes down everything that came.
///
/// # Errors
/// It cannot start.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let stop = stop::on_signal()?;
    let json = args.json;
    let watching = args.watching.clone();
    let settings = args.settings()?;
    let data = settings.data.clone();
    let server = Server::start(settings).await?;
    let watched = Watched { server: Some(server.monitor()), console: None };
    let watching = match Watching::start(&watching, watched).await {
        Ok(watching) => watching,
        Err(error) => {
            server.shutdown().await;
            return Err(error);
        }
    };
    let (site, agents) = (server.site().to_string(), server.agents_url());
    Ready { agents, data: &data, site, name: server.name() }.say(json)?;
    stop.cancelled().await;
    server.shutdown().await;
    watching.stop().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::parse;

    #[test]
    fn arguments_become_settings_and_nonsense_is_refused() {
        let line = ["--data", "/d", "--lost-after-hours", "0.5", "--least-free-mib", "1"];
        let settings = parse::<Args>(line).unwrap().settings().unwrap();
        assert_eq!((settings.lost_after.as_secs(), settings.least_free), (1_800, 1 << 20));
        assert_eq!(settings.listen_agents.port(), 8443);
        let line = ["--data", "/d", "--durable", "shared", "--lease-seconds", "3"];
        let settings = parse::<Args>(line).unwrap().settings().unwrap();
        assert_eq!((settings.durable, settings.lease.as_secs()), (Some(Durable::Shared), 3));
        assert!(parse::<Args>(["--data", "/d", "--lease-seconds", "1"]).is_err());
        for wrong in [["--join", "nonsense"], ["--lost-after-hours", "0"], ["--listen-agents", "x"]] {
            assert!(parse::<Args>(["--data", "/d", wrong[0], wrong[1]]).is_err());
        }
    }
}
