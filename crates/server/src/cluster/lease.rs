//! Signs of life.
//!
//! A server writes them down every fifth of its lease. It may act until the lease is over, counted from before the last one that came
//! through. Others watch: only when a server's signs of life have not changed for longer than its lease, by their own clocks and with the
//! database answering throughout, do they take over. So what happens is right whatever the time of day is on any machine: a server has
//! stopped acting by itself before another one begins, and one that was stopped for a while finds its epoch over.

use super::{Cluster, adopt};
use crate::{clock, core::Shared, recordings::lock};
use playhead_db::{
    DbError,
    site::{ServerRow, ServerState},
};
use playhead_model::ServerId;
use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::{MissedTickBehavior, timeout};

/// Signs of life in a lease.
const BEATS: u32 = 5;

/// When a server's newest sign of life was seen first.
type Seen = HashMap<ServerId, (u64, u64, Duration)>;

/// Keeps the lease until the server has stopped.
pub(crate) async fn run(core: Shared) {
    let cluster = &core.cluster;
    let lease = Duration::from_millis(cluster.server.lease_ms);
    let mut ticks = tokio::time::interval(lease / BEATS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = Seen::new();
    let mut told = false;
    loop {
        tokio::select! {
            () = core.stop.cancelled() => return,
            _ = ticks.tick() => {}
            () = cluster.beat.notified() => {}
        }
        // A database that hangs must not keep the next sign of life from being tried.
        let beat = timeout(lease / 2, beat(&core, &mut seen)).await;
        let error = match beat {
            Ok(Ok(())) => {
                if std::mem::take(&mut told) {
                    tracing::info!("signs of life reach the site's database again");
                }
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the database does not answer".into(),
        };
        // While it is away, nobody can say for how long a server's signs of life have stayed the same.
        seen.clear();
        if !std::mem::replace(&mut told, true) {
            tracing::error!(
                error,
                "no sign of life reaches the site's database; nothing is acknowledged once the lease is over"
            );
        }
    }
}

async fn beat(core: &Shared, seen: &mut Seen) -> Result<(), DbError> {
    let cluster = &core.cluster;
    let began = clock::uptime();
    let owner = cluster.owner();
    if owner.epoch != 0 && cluster.store.beat(owner, cluster.state()).await? {
        cluster.extend(began);
    } else {
        begin_anew(core).await?;
    }
    let known = cluster.store.servers().await?;
    let now = clock::uptime();
    for row in known.iter().filter(|row| row.server.id != cluster.server.id) {
        let at = seen.entry(row.server.id).or_insert((row.epoch, row.beats, now));
        if (at.0, at.1) != (row.epoch, row.beats) {
            *at = (row.epoch, row.beats, now);
        }
        let silent = now.saturating_sub(at.2);
        let may = cluster.is_shared() && !cluster.drain.is_cancelled();
        if may && is_for_adoption(row, silent, cluster.server.id, &known) {
            adopt::begin(core, row);
        }
    }
    *lock(&cluster.known) = known;
    Ok(())
}

/// Whether somebody has to take over from the server.
fn is_for_adoption(row: &ServerRow, silent: Duration, own: ServerId, known: &[ServerRow]) -> bool {
    if !row.server.shared {
        return false;
    }
    let lease = Duration::from_millis(row.server.lease_ms);
    // Some more than the lease: both clocks may run a little differently.
    let dead = silent > lease + lease / 5;
    match row.state {
        ServerState::Running | ServerState::Draining => dead,
        // It had nobody to hand over to when it stopped.
        ServerState::Stopped => row.live_recordings > 0,
        ServerState::Lost => {
            // Whoever takes over may be lost itself. That it begins twice at worst does no harm.
            let adopter = row.adopter.and_then(|id| known.iter().find(|other| other.server.id == id));
            row.adopter == Some(own)
                || adopter.is_none_or(|adopter| {
                    adopter.state != ServerState::Running || adopter.age_us > adopter.server.lease_ms * 2_000
                })
        }
        // Something came to it after all: an opening that was under way when it was lost.
        ServerState::Gone => row.live_recordings > 0,
    }
}

/// Another server has taken over: gives everything up and starts from the beginning.
async fn begin_anew(core: &Shared) -> Result<(), DbError> {
    let cluster = &core.cluster;
    if cluster.epoch.swap(0, Ordering::AcqRel) != 0 {
        tracing::error!(
            "another server of the site has taken over what this one held: its signs of life came too late"
        );
        cluster.renewed.send_modify(|count| *count += 1);
        for live in core.recordings.all_held() {
            if let Some(session) = live.abandon() {
                session.outgoing.close.cancel();
            }
            core.recordings.remove(live.id());
        }
        cluster.uploads.forget();
        core.journal.tidy();
    }
    let began = clock::uptime();
    let owner = cluster.store.register_server(&cluster.server).await?;
    cluster.epoch.store(owner.epoch, Ordering::Release);
    cluster.extend(began);
    tracing::warn!(epoch = owner.epoch, "the server takes part in the site again");
    Ok(())
}

impl Cluster {
    /// The last sign of life: nobody has to wait for the lease to end.
    pub(crate) async fn say_stopped(&self) {
        let owner = self.owner();
        if owner.epoch == 0 {
            return;
        }
        let said = timeout(Duration::from_secs(2), self.store.beat(owner, ServerState::Stopped)).await;
        if !matches!(said, Ok(Ok(true))) {
            tracing::warn!("could not say that this server stops; others notice when its lease is over");
        }
    }

    /// The server's row as it is now.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn row_of(&self, id: ServerId) -> Result<Option<Arc<ServerRow>>, DbError> {
        let rows = self.store.servers().await?;
        Ok(rows.into_iter().find(|row| row.server.id == id).map(Arc::new))
    }
}
