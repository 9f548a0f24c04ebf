//! Writing down how far recordings have come, and what else is to be done now and then.

use crate::{
    clock,
    core::Shared,
    recordings::{Live, lock},
};
use playhead_db::DbError;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::MissedTickBehavior;

/// Between two writings.
const PERIOD: Duration = Duration::from_secs(1);
/// Most recordings in one transaction.
const BATCH: usize = 500;
/// Recordings that are written down in every period; with more, each has its turn less often.
const EVERY_TIME: usize = 200;
/// Periods until every recording has had its turn, however many there are.
const LONGEST_ROUND: u64 = 15;

/// Writes progress down about once a second, and at once when a recording ends. A server with thousands of recordings lets each wait
/// for its turn: what is not written down yet is in the journal, and lists ask [`Live`] first.
pub(crate) async fn run(core: Shared) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut turn = 0;
    loop {
        let ticked = tokio::select! {
            () = core.stop.cancelled() => break,
            _ = ticks.tick() => true,
            () = core.recordings.progress.notified() => false,
        };
        let mut all = core.recordings.all();
        if ticked {
            turn += 1;
        }
        let round = (all.len() / EVERY_TIME).clamp(1, LONGEST_ROUND as usize) as u64;
        all.retain(|live| live.is_news() || (ticked && has_turn(live, turn, round)));
        if let Err(error) = write(&core, &all).await {
            tracing::error!(%error, "cannot write down how far recordings have come; trying again");
            // Without this a database that is away would be asked in a tight loop while recordings end.
            tokio::time::sleep(PERIOD).await;
        }
    }
}

/// Whether it is the recording's turn in a round of so many.
fn has_turn(live: &Live, turn: u64, round: u64) -> bool {
    let [.., a, b, c, d] = *live.id().as_bytes();
    u64::from(u32::from_le_bytes([a, b, c, d])) % round == turn % round
}

/// Writes down the progress of these recordings.
///
/// # Errors
/// The database's; it will be tried again with the next progress.
pub(crate) async fn write(core: &Shared, all: &[Arc<Live>]) -> Result<(), DbError> {
    for some in all.chunks(BATCH) {
        // Asked before what is to be written: whoever takes over in between makes it void.
        let store = core.store.acting_for(core.cluster.owner());
        note_contents(core, some).await?;
        let (lives, changed): (Vec<_>, Vec<_>) =
            some.iter().filter_map(|live| Some((live, live.take_progress()?))).unzip();
        if changed.is_empty() {
            continue;
        }
        let began = Instant::now();
        let written = store.set_progress(&changed).await;
        core.metrics.database("progress", began.elapsed());
        if let Err(error) = written {
            for (live, progress) in lives.into_iter().zip(changed) {
                live.give_back(progress);
            }
            return Err(error);
        }
    }
    Ok(())
}

/// Writes down what was met in these recordings; a few times in the life of each.
async fn note_contents(core: &Shared, some: &[Arc<Live>]) -> Result<(), DbError> {
    let (lives, met): (Vec<_>, Vec<_>) =
        some.iter().filter_map(|live| Some((live, (live.id(), live.take_contents()?)))).unzip();
    if met.is_empty() {
        return Ok(());
    }
    let noted = core.store.note_contents(&met).await;
    if noted.is_err() {
        lives.iter().for_each(|live| live.give_contents_back());
    }
    noted
}

/// Looks at the disk, at lost agents and at the journal every few seconds.
pub(crate) async fn chores(core: Shared) {
    let mut ticks = tokio::time::interval(Duration::from_secs(2));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut count = 0u64;
    loop {
        tokio::select! {
            () = core.stop.cancelled() => break,
            _ = ticks.tick() => count += 1,
        }
        let space = Arc::clone(&core.space);
        let _ = tokio::task::spawn_blocking(move || space.look()).await;
        core.storage.look();
        core.space.set_storage(core.storage.full());
        core.journal.tidy();
        end_lost(&core).await;
        if count % 15 == 1 {
            let agents: Vec<_> = lock(&core.connected).keys().copied().collect();
            if let Err(error) = core.store.agents_seen(&agents, clock::now()).await {
                tracing::warn!(%error, "cannot write down which agents are connected");
            }
        }
        if count % 5 == 1 {
            core.keys.look().await;
        }
        if count % 5 == 1
            && let Err(error) = core.storage.refresh(&core.store).await
        {
            tracing::warn!(%error, "cannot ask the database which storage locations are read-only");
        }
    }
}

/// Finishes recordings whose agent was not heard of for too long.
async fn end_lost(core: &Shared) {
    // After a start agents get some time to come back.
    const FIRST: Duration = Duration::from_secs(600);
    if core.started.elapsed() < core.settings.lost_after.min(FIRST) {
        return;
    }
    let wait = i64::try_from(core.settings.lost_after.as_micros()).unwrap_or(i64::MAX);
    let before = clock::now().plus_micros(wait.saturating_neg());
    for live in core.recordings.all() {
        if !live.end_if_lost(before) {
            continue;
        }
        if live.is_empty() {
            match core.store.forget_empty(live.id()).await {
                Ok(()) => core.recordings.remove(live.id()),
                Err(error) => {
                    tracing::warn!(%error, recording = %live.id(), "cannot forget an empty recording");
                }
            }
            continue;
        }
        tracing::warn!(recording = %live.id(), host = live.info.host, "the agent was lost: the recording is finished");
        core.recordings.want_seal(live.id());
    }
}
