//! `playhead api-client`: programs that use the console without anybody signing in, on the console's own machine.

use crate::{
    front::Known,
    place::{ConsolePlace, answer, who},
};
use playhead_console::{ApiClientAdmin, KeptApiClient, NewApiClient};
use playhead_model::Permission;
use serde::Serialize;

/// Make, show and revoke API clients: programs that use the console without anybody signing in
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make one; its secret is shown this once
    Create {
        /// What people call it
        #[arg(long)]
        name: String,
        /// What it may do, such as view-sessions; may be repeated [default: view-sessions and manage-sessions, to find, start and stop]
        #[arg(long = "permission", value_name = "PERMISSION")]
        permissions: Vec<Permission>,
        /// Days for which it is good
        #[arg(long, value_name = "NUMBER", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3_650))]
        valid_days: u32,
        #[command(flatten)]
        place: ConsolePlace,
    },
    /// Show those there are
    List {
        #[command(flatten)]
        place: ConsolePlace,
    },
    /// Revoke one at once, with all its tokens
    Revoke {
        /// Its id or its name
        client: String,
        #[command(flatten)]
        place: ConsolePlace,
    },
}

/// All clients.
#[derive(Serialize)]
struct Clients {
    items: Vec<KeptApiClient>,
}

/// Does what is asked and prints what came of it.
///
/// # Errors
/// No console was ever started with the folder, a name is taken, or there is no such client.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let (Command::Create { place, .. } | Command::List { place } | Command::Revoke { place, .. }) =
        &args.command;
    let data = place.folder();
    let Known { url, .. } = Known::read(&data)?;
    let admin = ApiClientAdmin::open(&data, place.database.as_deref(), &who()).await?;
    let done = act(args.command, &admin, &url).await;
    admin.close().await;
    done
}

async fn act(command: Command, admin: &ApiClientAdmin, url: &str) -> anyhow::Result<()> {
    match command {
        Command::Create { name, mut permissions, valid_days, place } => {
            if permissions.is_empty() {
                permissions = vec![Permission::ViewSessions, Permission::ManageSessions];
            }
            let made = admin.create(&name, &permissions, valid_days).await?;
            answer(place.json, &made, |made| for_people(made, url))
        }
        Command::List { place } => {
            let clients = Clients { items: admin.list().await? };
            answer(place.json, &clients, |clients| listed(&clients.items))
        }
        Command::Revoke { client, place } => {
            let revoked = admin.revoke(&client).await?;
            answer(place.json, &revoked, |client| format!("Revoked {} ({}).", client.name, client.id))
        }
    }
}

fn for_people(made: &NewApiClient, url: &str) -> String {
    let sites: Vec<_> = made.sites.iter().map(|site| format!("{}  {}", site.id, site.name)).collect();
    let sites = if sites.is_empty() { "none yet".into() } else { sites.join("\n             ") };
    format!(
        "Client       {}\nSecret       {}\n             It is shown only now.\nMay          {}\nGood until   {}\nTokens       {url}/cctrustoauth2/{}/tokens/clients\nCustomer id  {}\nSites        {sites}",
        made.id,
        made.secret,
        words(&made.permissions),
        made.expires_at,
        made.customer_id,
        made.customer_id,
    )
}

fn listed(clients: &[KeptApiClient]) -> String {
    if clients.is_empty() {
        return "There are none.".into();
    }
    let line = |client: &KeptApiClient| {
        let until = if client.expired { "expired" } else { "good until" };
        let used = match client.last_used_at {
            Some(at) => format!("last used {at}"),
            None => "never used".into(),
        };
        format!(
            "{}  {}\n    {}; {until} {}, {used}, made by {}",
            client.id,
            client.name,
            words(&client.permissions),
            client.expires_at,
            client.made_by
        )
    };
    clients.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn words(permissions: &[Permission]) -> String {
    permissions.iter().map(|permission| permission.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{front, testing::parse_at, up};
    use std::path::Path;

    async fn asked(data: &Path, line: &[&str]) -> anyhow::Result<()> {
        run(parse_at(data, line)?).await
    }

    #[tokio::test]
    async fn clients_are_made_listed_and_revoked_beside_a_console() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let error = asked(data, &["list"]).await.unwrap_err().to_string();
        assert!(error.contains("no console was ever started"), "{error}");
        // As `up` has it: the console's folder in that of all.
        let listen = ["--listen", "127.0.0.1:0"];
        let front: front::Args = crate::testing::parse(listen).unwrap();
        front::Front::open(&front, &data.join(up::CONSOLE)).await.unwrap();
        asked(data, &["list"]).await.unwrap();
        asked(data, &["create", "--name", "nightly"]).await.unwrap();
        let taken = asked(data, &["create", "--name", "Nightly"]).await.unwrap_err().to_string();
        assert!(taken.contains("already"), "{taken}");
        for wrong in [&["--permission", "fly"][..], &["--valid-days", "0"], &["--valid-days", "4000"]] {
            let line = [&["create", "--name", "x"], wrong].concat();
            assert!(parse_at::<Args>(data, &line).is_err(), "{wrong:?}");
        }
        let admin = ApiClientAdmin::open(&data.join(up::CONSOLE), None, "t").await.unwrap();
        let [kept] = admin.list().await.unwrap().try_into().unwrap();
        assert_eq!(kept.permissions, [Permission::ViewSessions, Permission::ManageSessions]);
        assert!(listed(std::slice::from_ref(&kept)).contains("never used"));
        let made = admin.create("other", &[Permission::ViewSites], 1).await.unwrap();
        let shown = for_people(&made, "http://x");
        assert!(shown.contains(&made.secret) && shown.contains("none yet"), "{shown}");
        assert!(!format!("{made:?}").contains(&made.secret));
        admin.close().await;
        asked(data, &["revoke", "nightly"]).await.unwrap();
        let gone = asked(data, &["revoke", "nightly"]).await.unwrap_err().to_string();
        assert!(gone.contains("no API client"), "{gone}");
    }
}
