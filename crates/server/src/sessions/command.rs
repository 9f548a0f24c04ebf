//! Starting and stopping to record a running session. The agent of its host does it; the server that has the agent tells it.

use super::{flush, report};
use crate::{asked::AskError, clock, core::Shared, sessions::SessionReport};
use bytes::Bytes;
use playhead_db::{
    DbError,
    site::{SessionRow, WaitingCommand},
};
use playhead_model::{AgentId, SessionCommand, SessionId, SessionState};
use playhead_protocol::message::Command;
use std::time::Duration;
use uuid::Uuid;

/// How long an agent has to do it: shorter than whoever asks through a console waits.
const PATIENCE: Duration = Duration::from_secs(4);
/// A command that somebody has left is done if it is no older: whoever left it is gone by then.
pub(super) const FRESH: Duration = Duration::from_secs(10);

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    /// Record it; perhaps tell the user.
    Start { notify: bool },
    /// Do not.
    Stop,
}

impl Wanted {
    pub(super) fn command(self, session: SessionId, by: &str) -> SessionCommand {
        let by = by.to_owned();
        match self {
            Self::Start { notify } => SessionCommand::StartRecording { session, notify, by },
            Self::Stop => SessionCommand::StopRecording { session, by },
        }
    }
}

/// Has the session's agent do it, if that is connected here.
///
/// # Errors
/// There is no such session, or it has ended; its agent is away, refuses, or does not answer; the database's.
pub(crate) async fn command(
    core: &Shared,
    row: &SessionRow,
    wanted: Wanted,
    by: &str,
) -> Result<SessionReport, AskError> {
    let id = row.info.id;
    may_be_told(row)?;
    tell(core, row.agent, &wanted.command(id, by)).await?;
    tracing::info!(user = by, session = %id, ?wanted, "whether a session is recorded was decided by hand");
    flush(core).await?;
    report::one(core, id).await
}

/// Whether anything can be done with the session.
///
/// # Errors
/// It has ended.
pub(super) fn may_be_told(row: &SessionRow) -> Result<(), AskError> {
    if row.info.state == SessionState::Ended {
        let at = row.ended_at.map_or(String::new(), |at| format!(" at {at}"));
        return Err(AskError::Conflict(format!("session {} has ended{at}", row.info.id)));
    }
    Ok(())
}

pub(super) fn away(host: &str) -> AskError {
    AskError::Away(format!(
        "the agent of session host '{host}' is not connected: nothing can be changed there until it is back"
    ))
}

async fn tell(core: &Shared, agent: AgentId, command: &SessionCommand) -> Result<(), AskError> {
    let id = Uuid::new_v4();
    let json = serde_json::to_string(command).map_err(AskError::invalid)?;
    let message = Command { id: Bytes::copy_from_slice(id.as_bytes()), command: json };
    let not_here = || AskError::Away("the session host's agent is not connected".into());
    let answer = core.agents.send(agent, id, message).ok_or_else(not_here)?;
    let answer = tokio::time::timeout(PATIENCE, answer).await;
    core.agents.forget(id);
    match answer {
        Ok(Ok(done)) if done.error.is_empty() => Ok(()),
        Ok(Ok(done)) => {
            let why: String = done.error.chars().take(1_000).collect();
            Err(AskError::Conflict(format!("the session host could not do it: {why}")))
        }
        Ok(Err(_)) => Err(AskError::Away(
            "the session host's agent went away before it answered: look whether the session is recorded, and try again".into(),
        )),
        Err(_) => Err(AskError::Late(format!(
            "the session host's agent did not answer within {} s: look whether the session is recorded, and try again",
            PATIENCE.as_secs()
        ))),
    }
}

/// Does what somebody beside the server has left to be done.
///
/// # Errors
/// The database's.
pub(super) async fn take_left(core: &Shared) -> Result<(), DbError> {
    let fresh = i64::try_from(FRESH.as_micros()).unwrap_or(i64::MAX);
    let since = clock::now().plus_micros(-fresh);
    for WaitingCommand { id, agent, command } in core.store.take_commands(core.server, since).await? {
        let core_of_it = core.clone();
        core.tasks.spawn(async move {
            let told = tell(&core_of_it, agent, &command).await;
            let outcome = match (told, flush(&core_of_it).await) {
                (Ok(()), _) => String::new(),
                (Err(error), _) => error.to_string(),
            };
            tracing::info!(session = %command.session(), ?command, outcome, "a command from beside the server was passed on");
            if let Err(error) = core_of_it.store.finish_command(id, &outcome).await {
                tracing::warn!(%error, "cannot write down what came of a command");
            }
        });
    }
    Ok(())
}
