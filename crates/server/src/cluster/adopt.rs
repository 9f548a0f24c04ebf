//! Taking over from a server that is dead: its shared journal is read, written into one's own, and only then do its recordings change
//! hands. Broken off anywhere, it can be begun again, by this server or another one.

use super::{
    shared::ListError,
    taking::{Taking, TakingError},
    transfer::{settled, surely},
};
use crate::{
    core::Shared,
    journal::{Closed, open_object},
    recordings::{Live, lock},
    storage::StorageError,
};
use playhead_db::{
    DbError,
    site::{Owner, ServerRow},
};
use playhead_model::{RecordingId, RecordingState};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// Recordings that change hands in one transaction.
const BATCH: usize = 500;
const AGAIN: Duration = Duration::from_secs(2);

/// Why taking over did not come to its end.
#[derive(Debug, thiserror::Error)]
enum AdoptError {
    #[error("{0}")]
    Db(#[from] DbError),
    #[error("{0}")]
    List(#[from] ListError),
    #[error("{0}")]
    Storage(#[from] StorageError),
    #[error("{0}")]
    Journal(#[from] Closed),
    #[error("recording {0} is on its way here already")]
    Busy(RecordingId),
    #[error("recording {0} does not get to shared storage in time")]
    Late(RecordingId),
    #[error("{0}")]
    Taking(#[from] TakingError),
}

/// Takes over from the server, unless that is under way.
pub(super) fn begin(core: &Shared, row: &ServerRow) {
    let id = row.server.id;
    if !lock(&core.cluster.adopting).insert(id) {
        return;
    }
    let (core, row) = (Arc::clone(core), row.clone());
    core.tasks.clone().spawn(async move {
        tokio::select! {
            () = take_over(&core, &row) => {}
            () = core.stop.cancelled() => {}
            () = core.cluster.drain.cancelled() => {}
        }
        lock(&core.cluster.adopting).remove(&id);
    });
}

async fn take_over(core: &Shared, row: &ServerRow) {
    let cluster = &core.cluster;
    let (server, name) = (row.server.id, &row.server.name);
    let lost = match cluster.store.fence(row, cluster.owner()).await {
        Ok(Some(lost)) => lost,
        // It lives, or another one takes over.
        Ok(None) => return,
        Err(error) => return tracing::warn!(%server, %error, "cannot take over from a lost server"),
    };
    let began = Instant::now();
    tracing::warn!(%server, name, "nothing is heard of a server of the site: taking over its recordings");
    loop {
        let owner = cluster.owner();
        match adopt(core, lost, owner).await {
            Ok(count) => {
                let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                return tracing::info!(%server, name, recordings = count, took_ms, "took over from a lost server");
            }
            // Started again, or another one has begun to take over.
            Err(AdoptError::Db(DbError::Fenced)) => {
                return tracing::info!(%server, name, "left taking over to another server");
            }
            Err(error) => {
                tracing::error!(%server, name, %error, "cannot take over from a lost server; trying again");
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn adopt(core: &Shared, lost: Owner, owner: Owner) -> Result<usize, AdoptError> {
    let cluster = &core.cluster;
    // Read after the epoch was raised: nothing is added to it any more.
    let row = cluster.row_of(lost.server).await?.filter(|row| row.owner() == lost).ok_or(DbError::Fenced)?;
    let mut all: HashMap<RecordingId, Option<Taking>> = HashMap::new();
    for recording in cluster.store.live_recordings(lost.server).await? {
        let taking = taking(core, recording.info.id, lost).await?;
        all.insert(recording.info.id, taking);
    }
    let objects = cluster.list_journal(lost.server, &row.locations).await?;
    let mut damaged = false;
    // Something that is set aside is kept where it is, as evidence.
    let mut kept = HashSet::new();
    for (name, location) in &objects {
        let bytes = location.read_object(name).await?;
        let fragments = match tokio::task::spawn_blocking(move || open_object(&bytes)).await {
            Ok(Ok(fragments)) => fragments,
            Ok(Err(error)) => {
                tracing::error!(%error, name, "a part of the lost server's journal is damaged; recordings that miss fragments are quarantined");
                damaged = true;
                kept.insert(name.clone());
                continue;
            }
            Err(error) => return Err(StorageError::from(error).into()),
        };
        for fragment in fragments {
            let id = fragment.head.recording;
            let taking = match all.entry(id) {
                std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::hash_map::Entry::Vacant(new) => new.insert(taking(core, id, lost).await?),
            };
            let Some(taking) = taking else { continue };
            taking.take_out_of(name, core, fragment).await?;
        }
    }
    core.journal.barrier().await?;
    let takings: Vec<Taking> = all.into_values().flatten().collect();
    takings.iter().try_for_each(Taking::check)?;
    for taking in &takings {
        let live = &taking.live;
        if (damaged && taking.hole) || taking.is_short() {
            let text =
                format!("fragment {} is missing in the journal of a server that was lost", taking.next);
            live.quarantine(text);
        } else if live.problem().is_none() {
            let late = AdoptError::Late(live.id());
            settled(live, Duration::from_secs(60)).await.map_err(|()| late)?;
        }
    }
    kept.extend(takings.iter().flat_map(Taking::evidence));
    let mut count = 0;
    for some in takings.chunks(BATCH) {
        let ids: Vec<_> = some.iter().map(|taking| taking.live.id()).collect();
        let moved = surely(core, &ids, (lost, owner), None).await?;
        for taking in some {
            let live = &taking.live;
            if let Some(incoming) = taking.incoming.as_ref().filter(|_| moved.contains(&live.id())) {
                core.recordings.arrived(incoming);
                core.recordings.want_seal(live.id());
                count += 1;
            }
        }
    }
    core.recordings.progress.notify_one();
    cluster.store.adopted(lost).await?;
    for (name, location) in objects.iter().filter(|(name, _)| !kept.contains(name)) {
        if let Err(error) = location.remove_object(name).await {
            tracing::warn!(%error, name, "cannot remove a part of a lost server's journal");
        }
    }
    Ok(count)
}

/// The recording, to be taken from the lost server; `None` when it is not that server's, or nothing is left to take.
async fn taking(core: &Shared, id: RecordingId, lost: Owner) -> Result<Option<Taking>, AdoptError> {
    let store = &core.cluster.store;
    let Some(row) = store.recording(id).await?.filter(|row| row.server == lost.server) else {
        return Ok(None);
    };
    let segments = store.segments(id).await?;
    let stored = segments.last().map_or(0, |segment| segment.next_seq);
    if row.state == RecordingState::Finished && stored >= row.fragments {
        return Ok(None);
    }
    let busy = AdoptError::Busy(id);
    let incoming = core.recordings.begin_incoming(Live::new(&row, &segments)).ok_or(busy)?;
    Ok(Some(Taking::new(Arc::clone(&incoming.live), Some(incoming), row.fragments)))
}
