//! `playhead policy`: the recording policies of a site, on its server's own machine.

mod shown;

use crate::place::{Place, answer, who};
use anyhow::Context as _;
use playhead_model::{Notice, SessionId, policy::Policy};
use playhead_server::{PolicyAdmin, Simulation, SimulationFacts};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    fs::File,
    io::{self, Read},
    net::IpAddr,
    path::{Path, PathBuf},
};

/// Longest file that is read.
const LONGEST: u64 = 4 << 20;

/// Show, change and try the policies that decide which sessions are recorded
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show all policies, and which one is active
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Show one with its rules
    Show {
        /// Its id or name
        policy: String,
        #[command(flatten)]
        place: Place,
    },
    /// Make a policy out of a JSON file
    Create {
        /// The file; - for standard input. `show --json` has one under "policy"
        file: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// Replace a policy by a JSON file. The version before is kept
    Change {
        /// Its id or name
        policy: String,
        /// The file; - for standard input
        file: PathBuf,
        /// The version that the file was made from: refused where there is a newer one [default: the newest]
        #[arg(long, value_name = "NUMBER")]
        version: Option<u32>,
        #[command(flatten)]
        place: Place,
    },
    /// Make a policy with the rules of another one; of one of the system's, with one rule for everyone that does the same
    Duplicate {
        /// Its id or name
        policy: String,
        /// Name of the new one
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Make a policy the one that decides, from now on and everywhere
    Activate {
        /// Its id or name
        policy: String,
        #[command(flatten)]
        place: Place,
    },
    /// Delete a policy. Its versions can still be shown by its id
    Delete {
        /// Its id or name
        policy: String,
        #[command(flatten)]
        place: Place,
    },
    /// Ask what would be done with a session, and why
    Simulate(Box<Simulate>),
    /// Show who made which version when
    Versions {
        /// Its id or name
        policy: String,
        #[command(flatten)]
        place: Place,
    },
    /// Show what differs between two versions
    Diff {
        /// Its id or name
        policy: String,
        /// The version to start from
        from: u32,
        /// The version that it leads to
        to: u32,
        #[command(flatten)]
        place: Place,
    },
    /// Show what was active when
    History {
        #[command(flatten)]
        place: Place,
    },
    /// Show or change what users are told
    Notices {
        /// A JSON file to replace it by: {"items": [{"language", "title", "text", "consent"}]}; - for standard input
        #[arg(long, value_name = "FILE")]
        set: Option<PathBuf>,
        #[command(flatten)]
        place: Place,
    },
}

/// What is asked of a policy.
#[derive(Debug, clap::Args)]
struct Simulate {
    /// The policy's id or name [default: the active one]
    #[arg(long, conflicts_with = "draft")]
    policy: Option<String>,
    /// A JSON file with a policy that is not kept yet; - for standard input
    #[arg(long, value_name = "FILE")]
    draft: Option<PathBuf>,
    /// A session that the site knows, in place of one that is made up
    #[arg(long, conflicts_with_all = ["user", "group", "application", "delivery_group", "host", "address", "tag"])]
    session: Option<SessionId>,
    /// One of the user's names; may be repeated, as those below
    #[arg(long)]
    user: Vec<String>,
    /// A group of the user's
    #[arg(long)]
    group: Vec<String>,
    /// The published application
    #[arg(long, default_value = "desktop")]
    application: String,
    /// A delivery group of the host
    #[arg(long)]
    delivery_group: Vec<String>,
    /// The session host
    #[arg(long, default_value = "")]
    host: String,
    /// Address of the user's own machine
    #[arg(long)]
    address: Option<IpAddr>,
    /// A tag of how the session was reached
    #[arg(long)]
    tag: Vec<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Notices {
    items: Vec<Notice>,
}

#[derive(Serialize)]
struct Deleted {
    id: String,
}

impl Command {
    fn place(&self) -> &Place {
        match self {
            Self::List { place }
            | Self::Show { place, .. }
            | Self::Create { place, .. }
            | Self::Change { place, .. }
            | Self::Duplicate { place, .. }
            | Self::Activate { place, .. }
            | Self::Delete { place, .. }
            | Self::Versions { place, .. }
            | Self::Diff { place, .. }
            | Self::History { place }
            | Self::Notices { place, .. } => place,
            Self::Simulate(simulate) => &simulate.place,
        }
    }
}

/// Does what is asked and prints what came of it.
///
/// # Errors
/// No server was ever started with the folder; a file that is no policy; whatever the site refuses.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let place = args.command.place();
    let admin = PolicyAdmin::open(&place.data, place.database.as_deref(), &who())
        .await
        .with_context(|| place.unopened("look at the policies"))?;
    let json = place.json;
    let done = act(args.command, json, &admin).await;
    admin.close().await;
    done
}

async fn act(command: Command, json: bool, admin: &PolicyAdmin) -> anyhow::Result<()> {
    match command {
        Command::List { .. } => answer(json, &admin.list().await?, shown::list),
        Command::Show { policy, .. } => {
            answer(json, &admin.one(&known(admin, &policy).await?).await?, shown::one)
        }
        Command::Create { file, .. } => answer(json, &admin.create(read(&file)?).await?, shown::one),
        Command::Change { policy, file, version, .. } => {
            let id = known(admin, &policy).await?;
            let version = match version {
                Some(version) => version,
                // One of the system's has none; the change is refused for what it is.
                None => admin.one(&id).await?.version.unwrap_or(0),
            };
            answer(json, &admin.change(&id, version, read::<Policy>(&file)?).await?, shown::one)
        }
        Command::Duplicate { policy, name, .. } => {
            answer(json, &admin.duplicate(&known(admin, &policy).await?, name).await?, shown::one)
        }
        Command::Activate { policy, .. } => {
            answer(json, &admin.activate(&known(admin, &policy).await?).await?, shown::active)
        }
        Command::Delete { policy, .. } => {
            let id = known(admin, &policy).await?;
            admin.remove(&id).await?;
            answer(json, &Deleted { id }, |_| format!("The policy '{policy}' is deleted."))
        }
        Command::Simulate(simulate) => {
            let asked = question(admin, *simulate).await?;
            answer(json, &admin.simulate(asked).await?, shown::simulated)
        }
        Command::Versions { policy, .. } => {
            answer(json, &admin.versions(&known(admin, &policy).await?).await?, shown::versions)
        }
        Command::Diff { policy, from, to, .. } => {
            answer(json, &admin.diff(&known(admin, &policy).await?, from, to).await?, shown::diff)
        }
        Command::History { .. } => answer(json, &admin.history().await?, shown::history),
        Command::Notices { set, .. } => {
            if let Some(file) = set {
                admin.set_notices(&read::<Notices>(&file)?.items).await?;
            }
            answer(json, &Notices { items: admin.notices().await? }, |notices| shown::notices(&notices.items))
        }
    }
}

async fn question(admin: &PolicyAdmin, asked: Simulate) -> anyhow::Result<Simulation> {
    let facts = SimulationFacts {
        users: asked.user,
        groups: asked.group,
        application: Some(asked.application),
        delivery_groups: asked.delivery_group,
        host: asked.host,
        address: asked.address,
        tags: asked.tag,
    };
    let policy = match asked.policy {
        Some(policy) => Some(known(admin, &policy).await?),
        None => None,
    };
    Ok(Simulation {
        facts: asked.session.is_none().then_some(facts),
        session: asked.session,
        policy,
        draft: asked.draft.as_deref().map(read).transpose()?,
    })
}

/// The id of a policy that is given by its id or name. What is neither may be the id of one that is deleted.
async fn known(admin: &PolicyAdmin, text: &str) -> anyhow::Result<String> {
    let name = text.trim().to_lowercase();
    let all = admin.list().await?.items;
    let found = all.into_iter().find(|policy| policy.id == name || policy.name.to_lowercase() == name);
    Ok(found.map_or_else(|| text.to_owned(), |policy| policy.id))
}

fn read<T: DeserializeOwned>(file: &Path) -> anyhow::Result<T> {
    let mut text = Vec::new();
    let name = if file == Path::new("-") { "standard input".into() } else { file.display().to_string() };
    let reader: Box<dyn Read> = match file.to_str() {
        Some("-") => Box::new(io::stdin().lock()),
        _ => Box::new(File::open(file).with_context(|| format!("cannot read {name}"))?),
    };
    reader.take(LONGEST + 1).read_to_end(&mut text).with_context(|| format!("cannot read {name}"))?;
    anyhow::ensure!(text.len() as u64 <= LONGEST, "{name} is longer than {} MiB", LONGEST >> 20);
    serde_json::from_slice(&text).with_context(|| format!("{name} is not as expected"))
}

#[cfg(test)]
mod tests;
