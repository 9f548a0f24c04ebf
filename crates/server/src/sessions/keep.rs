//! Writing down what agents say of sessions, and forgetting what ended long ago.

use super::command;
use crate::{clock, core::Shared};
use playhead_db::DbError;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// What comes within this time is written down together.
const GATHER: Duration = Duration::from_millis(100);
/// After a failure.
const AGAIN: Duration = Duration::from_secs(2);
/// Between two looks for commands that somebody beside the server has left.
const COMMANDS: Duration = Duration::from_secs(1);
/// Looks from one clearing away to the next: an hour.
const CLEARING: u64 = 3_600;
/// For how long a session that has ended is kept.
const KEPT_MICROS: i64 = 30 * 86_400_000_000;
/// For how long a command is kept that nobody has cleared away.
const COMMANDS_KEPT_MICROS: i64 = 3_600_000_000;

/// Writes down what agents say, does what was left to be done, and forgets, until the server stops.
pub(crate) async fn run(core: Shared) {
    tokio::join!(write(&core), look_after(&core));
}

async fn write(core: &Shared) {
    loop {
        let is_last = tokio::select! {
            () = core.stop.cancelled() => true,
            () = core.agents.wanted.notified() => false,
        };
        let failed = match flush(core).await {
            Ok(()) => false,
            Err(error) => {
                tracing::warn!(%error, "cannot write down what agents say of sessions; trying again");
                core.agents.wanted.notify_one();
                true
            }
        };
        if is_last {
            return;
        }
        tokio::select! {
            () = core.stop.cancelled() => {}
            () = tokio::time::sleep(if failed { AGAIN } else { GATHER }) => {}
        }
    }
}

/// Writes down what agents said so far.
///
/// # Errors
/// The database's; nothing is lost.
pub(crate) async fn flush(core: &Shared) -> Result<(), DbError> {
    let _one_at_a_time = core.agents.writing.lock().await;
    while let Some(batch) = core.agents.take() {
        let written =
            core.store.write_sessions(core.server, &batch.sessions, &batch.agents, clock::now()).await;
        if let Err(error) = written {
            core.agents.give_back(batch);
            return Err(error);
        }
    }
    Ok(())
}

async fn look_after(core: &Shared) {
    let mut ticks = tokio::time::interval(COMMANDS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut count = 0u64;
    loop {
        tokio::select! {
            () = core.stop.cancelled() => return,
            _ = ticks.tick() => count += 1,
        }
        if let Err(error) = command::take_left(core).await {
            tracing::debug!(%error, "cannot ask the database for commands");
        }
        if count % CLEARING == 60
            && let Err(error) = forget(core).await
        {
            tracing::warn!(%error, "cannot clear away sessions that ended long ago");
        }
    }
}

async fn forget(core: &Shared) -> Result<(), DbError> {
    let now = clock::now();
    let gone = core.store.prune_sessions(now.plus_micros(-KEPT_MICROS)).await?;
    if gone > 0 {
        tracing::info!(sessions = gone, "sessions that ended long ago are forgotten");
    }
    core.store.prune_commands(now.plus_micros(-COMMANDS_KEPT_MICROS)).await
}
