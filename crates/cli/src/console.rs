//! `playhead console`: the console alone. Recording servers dial in.

use crate::{
    data::{Folder, default_folder},
    front::{self, Front},
    metrics::{self, Watched, Watching},
    ready::{self, Ready},
    stop,
};
use playhead_console::{Console, Settings};
use std::path::PathBuf;

/// Run a console: sign-in, recordings, player. Recording servers connect to it
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    front: front::Args,
    /// Folder for the console's database and keys [default: playhead/console in the user's data folder]
    #[arg(long, value_name = "FOLDER", env = "PLAYHEAD_DATA")]
    data: Option<PathBuf>,
    /// The console's database, `sqlite:PATH` or `postgres://…` [default: a SQLite file in the data folder]
    #[arg(long, value_name = "ADDRESS", env = "PLAYHEAD_CONSOLE_DATABASE")]
    database: Option<String>,
    #[command(flatten)]
    watching: metrics::Args,
    /// For scripts: print one JSON line when ready. The administrator's password is kept in the data folder and need not be changed
    #[arg(long)]
    json: bool,
}

/// Runs a console until it is told to stop.
///
/// # Errors
/// It cannot start.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let stop = stop::on_signal()?;
    let folder = Folder::take(&args.data.map_or_else(|| default_folder("console"), Ok)?)?;
    let handling = ready::handling(args.json);
    let Front { listener, url, authority } = Front::open(&args.front, folder.path()).await?;
    let console = Console::start(Settings {
        data: folder.path().to_owned(),
        database: args.database,
        secure: listener.is_tls(),
        public_url: url.clone(),
        authority,
        password: handling,
    })
    .await?;
    let watched = Watched { server: None, console: Some(console.monitor()) };
    let watching = match Watching::start(&args.watching, watched).await {
        Ok(watching) => watching,
        Err(error) => {
            console.shutdown().await;
            return Err(error);
        }
    };
    let serving = tokio::spawn(listener.serve(console.router(), stop.clone()));
    Ready::new(&url, folder.path(), console.first_sign_in(), handling).say(args.json)?;
    stop.cancelled().await;
    console.release();
    let served = serving.await;
    console.shutdown().await;
    watching.stop().await;
    Ok(served?)
}
