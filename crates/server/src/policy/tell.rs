//! Agents get to know which policy is active: after their greeting, and when it changes. A change by this server is told at once; one by
//! another server of the site, or by a command beside it, is seen when the database is asked, every second.

use crate::core::Shared;
use playhead_db::{DbError, site::Store};
use playhead_model::PolicyDocument;
use playhead_protocol::message::Policy;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::Notify, time::MissedTickBehavior};

/// Between two looks at the database: a change is to reach every agent within two seconds.
const PERIOD: Duration = Duration::from_secs(1);

/// What agents are told.
#[derive(Debug)]
pub(crate) struct Document {
    /// Grows with every document that this process made: a later one is never followed by an earlier one.
    pub(crate) number: u64,
    pub(crate) revision: u64,
    pub(crate) message: Policy,
}

/// The newest document.
pub(crate) struct Telling {
    newest: Mutex<Arc<Document>>,
    /// Somebody has changed something.
    pub(crate) look: Notify,
}

impl Telling {
    /// Reads what is active.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn load(store: &Store) -> Result<Self, DbError> {
        Ok(Self { newest: Mutex::new(Arc::new(read(store, 1).await?)), look: Notify::new() })
    }

    pub(crate) fn newest(&self) -> Arc<Document> {
        Arc::clone(&crate::recordings::lock(&self.newest))
    }
}

async fn read(store: &Store, number: u64) -> Result<Document, DbError> {
    // First what has the revision: should the texts change in between, the next look finds a newer one.
    let active = store.active_policy().await?;
    let notices = store.notices().await?;
    let revision = active.revision;
    let document = PolicyDocument { revision, id: active.id, policy: active.policy, notices };
    let document = serde_json::to_string(&document)
        .map_err(|_| DbError::Content { column: "body", expected: "policy" })?;
    Ok(Document { number, revision, message: Policy { document } })
}

/// Tells all agents that are connected here of every change, until the server stops.
pub(crate) async fn run(core: Shared) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_away = false;
    loop {
        tokio::select! {
            () = core.stop.cancelled() => return,
            _ = ticks.tick() => {}
            () = core.policies.look.notified() => {}
        }
        match look(&core).await {
            Ok(()) => is_away = false,
            // Said once: agents go by what they have.
            Err(error) if !is_away => {
                is_away = true;
                tracing::warn!(%error, "cannot ask the database which policy is active; agents go by the last one");
            }
            Err(_) => {}
        }
    }
}

async fn look(core: &Shared) -> Result<(), DbError> {
    let known = core.policies.newest();
    if core.store.policy_revision().await? == known.revision {
        return Ok(());
    }
    let newest = Arc::new(read(&core.store, known.number + 1).await?);
    *crate::recordings::lock(&core.policies.newest) = Arc::clone(&newest);
    let agents = core.agents.tell(&newest);
    tracing::info!(revision = newest.revision, agents, "agents are told of another recording policy");
    Ok(())
}
