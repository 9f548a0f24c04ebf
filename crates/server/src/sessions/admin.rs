//! Sessions for whoever works on a server's machine. To start and stop recording, a server of the site must run.

use super::{
    SessionList, SessionQuery, SessionReport, SessionSite,
    command::{self, FRESH, Wanted},
    report,
};
use crate::{ServerError, asked::AskError, clock, folder};
use playhead_db::site::{ServerRow, SessionRow, Site, Store, WaitingCommand};
use playhead_model::SessionId;
use std::{path::Path, time::Duration};
use tokio::time::Instant;
use uuid::Uuid;

/// Between two looks at what came of a command.
const PERIOD: Duration = Duration::from_millis(100);

/// The sessions of a site.
pub struct SessionAdmin {
    store: Store,
    site: Site,
    by: String,
}

impl SessionAdmin {
    /// Opens them. `database` as the server is told it; what is done is done in the name of `by`.
    ///
    /// # Errors
    /// No server was ever started with the folder, or its database cannot be used.
    pub async fn open(data: &Path, database: Option<&str>, by: &str) -> Result<Self, ServerError> {
        let store = folder::open_store(data, database).await?;
        let site = store.identity(Uuid::now_v7().into(), None, clock::now()).await?;
        Ok(Self { store, site, by: by.to_owned() })
    }

    /// One page of the sessions.
    ///
    /// # Errors
    /// A cursor or limit that makes no sense; the database's.
    pub async fn list(&self, query: SessionQuery) -> Result<SessionList, AskError> {
        let servers = self.store.servers().await?;
        let page = report::page(&self.store, query).await?;
        Ok(report::listed(page, |row| self.report(&servers, row)))
    }

    /// Has a session recorded from now on.
    ///
    /// # Errors
    /// There is no such session, or it has ended; its agent is away, refuses, or does not answer; the database's.
    pub async fn start_recording(&self, id: SessionId, notify: bool) -> Result<SessionReport, AskError> {
        self.command(id, Wanted::Start { notify }).await
    }

    /// Ends the recording of a session.
    ///
    /// # Errors
    /// Those of [`SessionAdmin::start_recording`].
    pub async fn stop_recording(&self, id: SessionId) -> Result<SessionReport, AskError> {
        self.command(id, Wanted::Stop).await
    }

    async fn command(&self, id: SessionId, wanted: Wanted) -> Result<SessionReport, AskError> {
        let row = report::find(&self.store, id).await?;
        command::may_be_told(&row)?;
        let servers = self.store.servers().await?;
        if !row.server.is_some_and(|server| report::is_alive(&servers, server)) {
            return Err(command::away(&row.info.facts.host));
        }
        let waiting =
            WaitingCommand { id: Uuid::new_v4(), agent: row.agent, command: wanted.command(id, &self.by) };
        self.store.add_command(&waiting, clock::now()).await?;
        let outcome = self.outcome(waiting.id).await;
        let is_over = self.store.remove_command(waiting.id).await?;
        match outcome? {
            Some(why) if why.is_empty() => {}
            Some(why) => return Err(AskError::Conflict(why)),
            None if is_over => {
                return Err(AskError::Away(
                    "no server has taken it up: is the server running that the session host's agent is connected to?".into(),
                ));
            }
            None => {
                return Err(AskError::Late(
                    "the server has passed it on, and nothing came back: look whether the session is recorded, and try again"
                        .into(),
                ));
            }
        }
        let row = report::find(&self.store, id).await?;
        Ok(self.report(&servers, row))
    }

    /// Waits for what comes of a command.
    async fn outcome(&self, id: Uuid) -> Result<Option<String>, AskError> {
        let end = Instant::now() + FRESH;
        loop {
            let outcome = self.store.command_outcome(id).await?;
            if outcome.is_some() || Instant::now() >= end {
                return Ok(outcome);
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    fn report(&self, servers: &[ServerRow], row: SessionRow) -> SessionReport {
        let reachable = row.server.is_some_and(|server| report::is_alive(servers, server));
        let site = SessionSite { id: self.site.id, name: self.site.name.clone() };
        SessionReport::new(row, site, reachable)
    }

    /// Closes the database.
    pub async fn close(self) {
        self.store.database().close().await;
    }
}
