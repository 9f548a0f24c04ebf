//! `playhead token`: makes join tokens on the machine itself, without signing in.

use crate::{
    front::Known,
    place::{console_folder, unopened},
};
use anyhow::Context as _;
use playhead_console::{Console, Password, Settings};
use playhead_model::SiteId;
use playhead_protocol::join::JoinToken;
use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// Make a join token for an agent or a recording server
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What the token's bearer becomes
    #[arg(long, value_enum)]
    kind: Kind,
    /// Data folder of the `playhead up` or `playhead server` that agents should join, or of the `playhead up` or `playhead console` that a
    /// server should join
    #[arg(long, value_name = "FOLDER", env = "PLAYHEAD_DATA")]
    data: PathBuf,
    /// The database of that program, when it does not lie in its data folder
    #[arg(long, value_name = "ADDRESS")]
    database: Option<String>,
    /// The site that a server should join; without it the server's own database decides
    #[arg(long, value_name = "ID")]
    site: Option<SiteId>,
    /// Minutes for which the token is good
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=43_200))]
    valid_minutes: u32,
    /// How often it can be used
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    uses: u32,
    /// For scripts: print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// A session host's agent, at a recording server.
    Agent,
    /// A recording server, at a console.
    Server,
}

/// Makes a token and prints it.
///
/// # Errors
/// No such program was ever started with the folder, or its database cannot be used.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let (token, expires_at) = match args.kind {
        Kind::Agent => {
            anyhow::ensure!(
                args.site.is_none(),
                "an agent's site is that of the server it joins: leave --site out"
            );
            let seconds = args.valid_minutes * 60;
            let made =
                playhead_server::agent_token(&args.data, args.database.as_deref(), seconds, args.uses).await;
            made.with_context(|| unopened("make a token for agents", &args.data))?
        }
        Kind::Server => {
            let valid = Duration::from_secs(u64::from(args.valid_minutes) * 60);
            let settings = console(&args.data, args.database.clone())?;
            Console::server_token(&settings, args.site, args.uses, valid).await?
        }
    };
    let mut out = io::stdout().lock();
    if args.json {
        let made = serde_json::json!({ "token": token.to_string(), "expires_at": expires_at });
        writeln!(out, "{made}")?;
    } else {
        writeln!(out, "{token}")?;
        drop(out);
        writeln!(
            io::stderr(),
            "Good until {expires_at}, {}. Use it like this:\n  {}",
            times(args.uses),
            command(&token)
        )?;
    }
    Ok(())
}

/// The settings of the console that was started with this folder, as far as tokens need them.
fn console(data: &Path, database: Option<String>) -> anyhow::Result<Settings> {
    let data = console_folder(data);
    let Known { url, authority } = Known::read(&data)?;
    let secure = url.starts_with("https://");
    Ok(Settings { data, database, secure, public_url: url, authority, password: Password::Told })
}

fn command(token: &JoinToken) -> String {
    match token.kind {
        playhead_protocol::join::JoinKind::Agent => format!("playhead agent --display :0 --join {token}"),
        playhead_protocol::join::JoinKind::Server => format!("playhead server --join {token}"),
    }
}

fn times(uses: u32) -> String {
    if uses == 1 { "once".into() } else { format!("{uses} times") }
}
