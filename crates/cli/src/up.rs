//! `playhead up`: console and one site's recording server in one process.

use crate::{
    data::{Folder, default_folder},
    front::{self, Front},
    locations::Locations,
    metrics::{self, Watched, Watching},
    ready::{self, Ready},
    stop,
    tending::Tending,
};
use playhead_console::{Console, FirstSignIn, LocalSite, Password, Settings};
use playhead_server::Server;
use std::{net::SocketAddr, path::PathBuf};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Folder of the console, below the data folder.
pub(crate) const CONSOLE: &str = "console";

/// Run a console and a recording server together, on one machine
#[derive(Debug, clap::Args)]
#[group(id = "up")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) house: HouseArgs,
    #[command(flatten)]
    watching: metrics::Args,
    /// For scripts: print one JSON line when ready. The administrator's password is kept in the data folder and need not be changed
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flags of what runs together.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "house")]
pub(crate) struct HouseArgs {
    #[command(flatten)]
    pub(crate) front: front::Args,
    /// Folder for databases, keys, journal and recordings [default: a folder in the user's data folder]
    #[arg(long, value_name = "FOLDER", env = "PLAYHEAD_DATA")]
    pub(crate) data: Option<PathBuf>,
    /// Where agents connect, always with TLS. Port 0 lets the system choose at the first start; the choice is kept
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0", env = "PLAYHEAD_AGENTS")]
    agents: SocketAddr,
    /// Address under which agents reach the server, when it is not the one it listens on
    #[arg(long, value_name = "https://HOST:PORT", env = "PLAYHEAD_AGENTS_URL")]
    agents_url: Option<String>,
    /// Name of the site
    #[arg(long, env = "PLAYHEAD_NAME")]
    name: Option<String>,
    /// The site's database, `sqlite:PATH` or `postgres://…` [default: a SQLite file in the data folder]
    #[arg(long, value_name = "ADDRESS", env = "PLAYHEAD_DATABASE")]
    database: Option<String>,
    /// The console's database, likewise
    #[arg(long, value_name = "ADDRESS", env = "PLAYHEAD_CONSOLE_DATABASE")]
    console_database: Option<String>,
    #[command(flatten)]
    locations: Locations,
    #[command(flatten)]
    tending: Tending,
}

/// Console and server, running.
pub(crate) struct House {
    console: Console,
    pub(crate) server: Server,
    serving: JoinHandle<()>,
    stop: CancellationToken,
    url: String,
    agents: String,
    data: PathBuf,
    handling: Password,
    // Last, so that the folder is free only when all the rest has ended.
    _folder: Folder,
}

/// Runs both until told to stop.
///
/// # Errors
/// They cannot start.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let stop = stop::on_signal()?;
    let house = House::start(&args.house, "up", ready::handling(args.json)).await?;
    let watched = Watched { server: Some(house.server.monitor()), console: Some(house.console.monitor()) };
    let watching = match Watching::start(&args.watching, watched).await {
        Ok(watching) => watching,
        Err(error) => {
            house.shutdown().await;
            return Err(error);
        }
    };
    house.ready().say(args.json)?;
    stop.cancelled().await;
    house.shutdown().await;
    watching.stop().await;
    Ok(())
}

impl House {
    /// Starts console and server. `kind` names the folder below the user's data folder.
    ///
    /// # Errors
    /// A folder, address, file or database that cannot be used; nothing keeps running.
    pub(crate) async fn start(args: &HouseArgs, kind: &str, password: Password) -> anyhow::Result<Self> {
        let data = args.data.clone().map_or_else(|| default_folder(kind), Ok)?;
        let folder = Folder::take(&data)?;
        let data = folder.path().to_owned();
        // The server takes the folder itself for its own.
        let own = data.join(CONSOLE);
        let Front { listener, url, authority } = Front::open(&args.front, &own).await?;
        let console = Console::start(Settings {
            data: own,
            database: args.console_database.clone(),
            secure: listener.is_tls(),
            public_url: url.clone(),
            authority,
            password,
        })
        .await?;
        let server = match Server::start(playhead_server::Settings {
            name: args.name.clone(),
            listen_agents: args.agents,
            agents_url: args.agents_url.clone(),
            database: args.database.clone(),
            storage: args.locations.settings()?,
            tending: args.tending.settings(),
            site_key: args.locations.site_key.clone(),
            stamps: args.locations.stamps(),
            console_keys: vec![console.public_key()],
            ..playhead_server::Settings::new(&data)
        })
        .await
        {
            Ok(server) => server,
            Err(error) => {
                console.shutdown().await;
                return Err(error.into());
            }
        };
        let stop = CancellationToken::new();
        let serving = tokio::spawn(listener.serve(console.router(), stop.clone()));
        let agents = server.agents_url().to_owned();
        let house =
            Self { console, server, serving, stop, url, agents, data, handling: password, _folder: folder };
        let local = LocalSite {
            id: house.server.site(),
            // Like that of a server that joins.
            name: args.name.clone().unwrap_or_else(front::host_name),
            server: front::host_name(),
            version: playhead_server::VERSION.into(),
            router: house.server.router(),
        };
        if let Err(error) = house.console.attach(local).await {
            house.shutdown().await;
            return Err(error.into());
        }
        Ok(house)
    }

    /// What to say when all is ready.
    pub(crate) fn ready(&self) -> Ready<'_> {
        let first: Option<&FirstSignIn> = self.console.first_sign_in();
        Ready { agents: Some(&self.agents), ..Ready::new(&self.url, &self.data, first, self.handling) }
    }

    /// Folder with the data.
    pub(crate) fn data(&self) -> &std::path::Path {
        &self.data
    }

    /// Stops both: first nobody can ask, then the rest ends.
    pub(crate) async fn shutdown(self) {
        self.stop.cancel();
        self.console.release();
        // A panic there was reported when it happened.
        let _ = self.serving.await;
        self.console.shutdown().await;
        self.server.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::parse;
    use playhead_net::{DialError, Endpoint};
    use serde_json::{Value, json};
    use std::ffi::OsString;

    async fn start(folder: &std::path::Path) -> House {
        let line: [OsString; 4] = ["--listen".into(), "127.0.0.1:0".into(), "--data".into(), folder.into()];
        let args: Args = parse(line).unwrap();
        House::start(&args.house, "up", Password::Kept).await.unwrap()
    }

    async fn sign_in(house: &House) -> Result<Value, DialError> {
        let first = house.console.first_sign_in().unwrap();
        let body = json!({ "user": first.user, "password": first.password });
        let endpoint = Endpoint::new(&house.url, None).unwrap();
        endpoint.connect().await?.post("/api/v1/sign-in", &body).await
    }

    #[tokio::test]
    async fn a_second_start_finds_what_the_first_one_made() {
        let folder = tempfile::tempdir().unwrap();
        let house = start(folder.path()).await;
        assert_eq!(sign_in(&house).await.unwrap()["must_change_password"], false);
        let (agents, site) = (house.agents.clone(), house.server.site());
        let token = house.server.make_join_token(60, 1).await.unwrap();
        assert_eq!(token.url, agents);
        house.shutdown().await;

        let house = start(folder.path()).await;
        assert_eq!((&house.agents, house.server.site()), (&agents, site));
        sign_in(&house).await.unwrap();
        house.shutdown().await;
    }

    #[tokio::test]
    async fn two_on_one_folder_are_one_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let house = start(folder.path()).await;
        let line = parse::<Args>(["--listen", "127.0.0.1:0"]).unwrap();
        let args = HouseArgs { data: Some(folder.path().to_owned()), ..line.house };
        let error = House::start(&args, "up", Password::Kept).await.err().unwrap().to_string();
        assert!(error.starts_with("another playhead uses the folder"), "{error}");
        house.shutdown().await;
    }
}
