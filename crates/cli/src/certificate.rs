//! `playhead certificate`: who signs at a site, on the server's own machine.

use crate::place::{Place, answer};
use anyhow::Context as _;
use playhead_server::{CertificateAdmin, CertificateReport};
use std::{fmt::Write as _, path::PathBuf};

/// Show, renew, revoke and export the certificates by which recordings are signed
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show the authority and all certificates it issued, the old and the revoked included
    Show {
        #[command(flatten)]
        place: Place,
    },
    /// Give this server a new key to seal recordings with; old certificates stay good for what was signed with them
    Rotate {
        /// Issue new certificates to all agents as well
        #[arg(long)]
        agents: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Revoke an agent's certificates: it cannot connect with its key any more, and what it signs from now on does not count
    Revoke {
        /// The session host's name, or the agent's id
        #[arg(value_name = "AGENT")]
        agent: String,
        #[command(flatten)]
        place: Place,
    },
    /// Write what verifiers need: the authority's certificate and the revocations
    Export {
        /// The certificates of all agents and servers as well, so that verification accepts no others
        #[arg(long)]
        pin: bool,
        /// The file [default: standard output]
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        place: Place,
    },
}

/// Does what is asked and prints what came of it.
///
/// # Errors
/// No server was ever started with the folder; an agent that nobody knows; a file that cannot be written.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let place = match &args.command {
        Command::Show { place }
        | Command::Rotate { place, .. }
        | Command::Revoke { place, .. }
        | Command::Export { place, .. } => place,
    };
    let admin = CertificateAdmin::open(&place.data, place.database.as_deref())
        .await
        .with_context(|| place.unopened("look at the certificates"))?;
    let json = place.json;
    let done = act(args.command, json, &admin).await;
    admin.close().await;
    done
}

async fn act(command: Command, json: bool, admin: &CertificateAdmin) -> anyhow::Result<()> {
    match command {
        Command::Show { .. } => {}
        Command::Rotate { agents, .. } => admin.rotate(agents).await?,
        Command::Revoke { agent, .. } => {
            admin.revoke(&agent).await?;
        }
        Command::Export { pin, output, .. } => {
            let pem = admin.export(pin).await?;
            if let Some(path) = output {
                std::fs::write(&path, &pem).with_context(|| format!("cannot write {}", path.display()))?;
                return Ok(());
            }
            return answer(json, &serde_json::json!({ "pem": pem }), |_| pem.clone());
        }
    }
    answer(json, &admin.report().await?, listed)
}

fn listed(report: &CertificateReport) -> String {
    let mut text = format!("authority {}\n", report.authority);
    for certificate in &report.certificates {
        let state = match (certificate.revoked_at, certificate.current) {
            (Some(at), _) => format!("revoked {at}"),
            (None, true) => "current".into(),
            (None, false) => "old".into(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{} {} ({})\n    {state}, valid {} to {}\n    SHA-256 {}",
            certificate.role,
            certificate.name,
            certificate.owner,
            certificate.not_before,
            certificate.not_after,
            certificate.fingerprint
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use playhead_server::{Server, Settings};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_key_is_replaced_beside_a_running_server_and_what_to_trust_is_exported() {
        let folder = tempfile::tempdir().unwrap();
        let place = || Place { data: folder.path().to_owned(), database: None, json: true };
        let asked = |command| run(Args { command });
        let error = asked(Command::Show { place: place() }).await.unwrap_err().to_string();
        assert!(error.contains("was a recording server started"), "{error}");

        let server = Server::start(Settings::new(folder.path())).await.unwrap();
        asked(Command::Rotate { agents: true, place: place() }).await.unwrap();
        let admin = CertificateAdmin::open(folder.path(), None).await.unwrap();
        let report = admin.report().await.unwrap();
        let current: Vec<bool> = report.certificates.iter().map(|certificate| certificate.current).collect();
        assert_eq!(current, [true, false]);
        assert!(listed(&report).contains("current") && listed(&report).contains("old"));
        let nobody = Command::Revoke { agent: "nobody".into(), place: place() };
        assert!(asked(nobody).await.unwrap_err().to_string().contains("got 'nobody'"));
        let path = folder.path().join("trust.pem");
        asked(Command::Export { pin: true, output: Some(path.clone()), place: place() }).await.unwrap();
        let trust = playhead_proof::Trust::from_pem(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!((trust.authorities().count(), trust.pinned().count()), (1, 2));
        admin.close().await;
        server.shutdown().await;
    }
}
