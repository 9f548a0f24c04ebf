//! `playhead session`: the sessions of users at a site's hosts, on its server's own machine.

use crate::place::{Place, answer, who};
use anyhow::Context as _;
use playhead_model::{Decided, SessionId};
use playhead_server::{SessionAdmin, SessionList, SessionQuery, SessionReport, StateQuery};
use std::fmt::Write as _;

/// Show the sessions of users, and start or stop recording one
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show sessions, those first that began last
    List {
        /// Those whose user's name holds this text
        #[arg(long, value_name = "TEXT")]
        user: Option<String>,
        /// Those whose host's name holds this text
        #[arg(long, value_name = "TEXT")]
        host: Option<String>,
        /// Where they stand [default: running, unless --all]
        #[arg(long, value_enum)]
        state: Option<State>,
        /// Also those that have ended; they are kept for 30 days
        #[arg(long, conflicts_with = "state")]
        all: bool,
        /// Those that are recorded now (true), or are not (false)
        #[arg(long, value_name = "BOOL")]
        recorded: Option<bool>,
        /// How many at most
        #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
        /// `next` of the answer before
        #[arg(long)]
        cursor: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Record a running session from now on, whatever the policy says
    StartRecording {
        /// The session
        session: SessionId,
        /// Tell the user
        #[arg(long)]
        notify: bool,
        #[command(flatten)]
        place: Place,
    },
    /// End the recording of a session, until somebody starts it or the user signs in anew
    StopRecording {
        /// The session
        session: SessionId,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum State {
    /// Not at an end.
    Running,
    /// Somebody is connected.
    Connected,
    /// Nobody is.
    Disconnected,
    /// It is over.
    Ended,
}

impl From<State> for StateQuery {
    fn from(state: State) -> Self {
        match state {
            State::Running => Self::Running,
            State::Connected => Self::Connected,
            State::Disconnected => Self::Disconnected,
            State::Ended => Self::Ended,
        }
    }
}

/// Does what is asked and prints what came of it.
///
/// # Errors
/// No server was ever started with the folder; there is no such session, it has ended, or its host's agent is away.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let place = match &args.command {
        Command::List { place, .. }
        | Command::StartRecording { place, .. }
        | Command::StopRecording { place, .. } => place,
    };
    let admin = SessionAdmin::open(&place.data, place.database.as_deref(), &who())
        .await
        .with_context(|| place.unopened("look at the sessions"))?;
    let json = place.json;
    let done = act(args.command, json, &admin).await;
    admin.close().await;
    done
}

async fn act(command: Command, json: bool, admin: &SessionAdmin) -> anyhow::Result<()> {
    match command {
        Command::List { user, host, state, all, recorded, limit, cursor, .. } => {
            let state = state.map(StateQuery::from).or((!all).then_some(StateQuery::Running));
            let query = SessionQuery { user, host, state, recorded, limit: Some(limit), cursor };
            answer(json, &admin.list(query).await?, listed)
        }
        Command::StartRecording { session, notify, .. } => {
            answer(json, &admin.start_recording(session, notify).await?, line)
        }
        Command::StopRecording { session, .. } => answer(json, &admin.stop_recording(session).await?, line),
    }
}

fn listed(list: &SessionList) -> String {
    if list.items.is_empty() {
        return "There are none.".into();
    }
    let mut text: String = list.items.iter().map(|listed| format!("{}\n", line(&listed.session))).collect();
    if let Some(next) = &list.next {
        // Writing to a String cannot fail.
        let _ = write!(text, "\nThere are more: --cursor {next}");
    }
    text
}

fn line(session: &SessionReport) -> String {
    let recording = &session.recording;
    let mut text = format!(
        "{}  {} at {} {}, {} by {} since {}",
        session.id,
        session.user,
        session.host,
        session.display,
        session.state.as_str(),
        session.protocol.as_str(),
        session.changed_at
    );
    let _ = match recording.recording {
        Some(id) => write!(text, "\n    recorded as {id}"),
        None => write!(text, "\n    not recorded"),
    };
    let _ = match &recording.decided {
        Decided::Policy { policy, rule: Some(rule), .. } => {
            write!(text, ", by rule '{rule}' of the policy '{policy}'")
        }
        Decided::Policy { policy, rule: None, .. } => write!(text, ", by the policy '{policy}'"),
        Decided::Request { user } => write!(text, ", as {user} wanted"),
        Decided::NoPolicy => write!(text, ", as its agent has never heard a policy"),
        Decided::Settings => write!(text, ", by the host's own settings"),
    };
    if let Some(trouble) = &recording.trouble {
        let _ = write!(text, "\n    trouble: {trouble}");
    }
    if !session.reachable && session.ended_at.is_none() {
        text.push_str("\n    the host's agent is away: this may be old");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::parse_at;
    use playhead_server::{Server, Settings};
    use std::path::Path;

    async fn asked(data: &Path, line: &[&str]) -> anyhow::Result<()> {
        run(parse_at(data, line)?).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_site_without_sessions_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        assert!(asked(data, &["list"]).await.unwrap_err().to_string().contains("was a recording server"));
        Server::start(Settings::new(data)).await.unwrap().shutdown().await;
        asked(data, &["list", "--state", "ended", "--recorded", "false"]).await.unwrap();
        let nobody = "00000000-0000-0000-0000-000000000001";
        for what in ["start-recording", "stop-recording"] {
            let error = asked(data, &[what, nobody]).await.unwrap_err().to_string();
            assert!(error.contains("no session"), "{error}");
        }
        let error = asked(data, &["list", "--cursor", "x"]).await.unwrap_err().to_string();
        assert!(error.contains("cursor"), "{error}");
        let admin = SessionAdmin::open(data, None, "t").await.unwrap();
        assert_eq!(listed(&admin.list(SessionQuery::default()).await.unwrap()), "There are none.");
        admin.close().await;
    }
}
