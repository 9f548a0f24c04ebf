//! An orderly stop: agents are told to go elsewhere, and every recording gets to another server of the site before this one ends.

use super::transfer;
use crate::core::Shared;
use playhead_db::site::ServerState;
use playhead_model::RecordingId;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long it may take.
const LONGEST: Duration = Duration::from_secs(60);
/// After this long without their agents turning up at another server, recordings are offered.
const ALONE: Duration = Duration::from_millis(700);
/// Recordings offered at a time.
const SOME: usize = 32;
const LOOK: Duration = Duration::from_millis(50);

/// Hands everything over. Returns at once when there is nobody to hand over to; the next start goes on then.
pub(crate) async fn drain(core: &Shared) {
    let cluster = &core.cluster;
    if !cluster.has_peers {
        return;
    }
    // Read anew: the last look may have been before another server went.
    if let Ok(rows) = cluster.store.servers().await {
        *crate::recordings::lock(&cluster.known) = rows;
    }
    let has_peers = !cluster.running_peers().is_empty();
    cluster.set_state(ServerState::Draining);
    cluster.drain.cancel();
    // What is not whole here stays: the next start reads it back, or whoever takes over.
    if !has_peers || !cluster.is_recalled() {
        return;
    }
    let held = core.recordings.all().len();
    tracing::info!(recordings = held, "handing recordings over to the site's other servers");
    let began = Instant::now();
    let mut turn = 0;
    while began.elapsed() < LONGEST {
        let left = left(core);
        if left.is_empty() {
            break;
        }
        let peers = cluster.running_peers();
        if peers.is_empty() {
            break;
        }
        if began.elapsed() < ALONE {
            sleep(LOOK).await;
            continue;
        }
        let waiting: Vec<RecordingId> =
            left.into_iter().filter(|(_, leaving)| !leaving).map(|(id, _)| id).collect();
        if waiting.is_empty() {
            sleep(LOOK).await;
            continue;
        }
        for some in waiting.chunks(SOME) {
            turn += 1;
            let peer = &peers[turn % peers.len()];
            if let Err(error) = transfer::ask_to_take(core, peer, some.to_vec()).await {
                tracing::warn!(server = peer.server.name, %error, "a server of the site does not take recordings over");
            }
        }
        sleep(LOOK).await;
    }
    let left = left(core).len();
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    if left == 0 {
        tracing::info!(recordings = held, took_ms, "everything was handed over");
    } else {
        tracing::warn!(
            left,
            took_ms,
            "some recordings could not be handed over; they go on when this server starts again"
        );
    }
}

/// Recordings that are still held here, and whether each is on its way.
fn left(core: &Shared) -> Vec<(RecordingId, bool)> {
    let all = core.recordings.all().into_iter().filter(|live| live.problem().is_none());
    all.map(|live| (live.id(), live.is_leaving())).collect()
}
