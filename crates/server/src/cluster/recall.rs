//! Reading back, at a start, what this server's earlier starts have put to shared storage and its disk has lost since: the journal's
//! folder, the end of a file, a byte. Until that is done nothing is taken in and nothing handed over, for agents have let go of it.

use super::{
    Cluster, journal_of,
    shared::ListError,
    taking::{Taking, TakingError},
};
use crate::{
    core::Shared,
    journal::{Closed, ObjectFragment, open_object},
    recordings::{Live, lock},
    start::Defect,
    storage::{Location, StorageError},
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use playhead_db::DbError;
use playhead_model::{RecordingId, RecordingState};
use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Objects that are read at a time.
const AT_ONCE: usize = 4;
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Why reading back did not come to its end.
#[derive(Debug, thiserror::Error)]
enum RecallError {
    #[error("{0}")]
    Db(#[from] DbError),
    #[error("{0}")]
    List(#[from] ListError),
    #[error("{0}")]
    Storage(#[from] StorageError),
    #[error("{0}")]
    Journal(#[from] Closed),
    #[error("{0}")]
    Taking(#[from] TakingError),
}

type Takings = HashMap<RecordingId, Option<Taking>>;

/// Reads back until everything is here that is there, however long shared storage is away. Recordings that lack something even then
/// are set aside.
pub(super) async fn recall(core: &Shared, defects: Vec<Defect>) {
    let cluster = &core.cluster;
    let epoch = cluster.owner().epoch;
    let began = Instant::now();
    let mut wait = FIRST_WAIT;
    loop {
        if cluster.has_peers && cluster.epoch.load(Ordering::Acquire) != epoch {
            // Another server has all of it now.
            break;
        }
        match read_back(core, epoch, &defects).await {
            Ok((0, 0)) => break,
            Ok((recordings, fragments)) => {
                let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(
                    recordings,
                    fragments,
                    took_ms,
                    "read back from shared storage what the journal had lost"
                );
                break;
            }
            Err(error) => {
                tracing::error!(%error, "cannot read back what was put to shared storage before this start; nothing is taken in until then");
            }
        }
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
    for defect in defects {
        let live = Arc::clone(&defect.live);
        if live.problem().is_none() && live.chain().next_seq() < defect.needed {
            defect.set_aside();
        } else if live.problem().is_none() {
            let (again, next) = (live.drop_strays(), live.chain().next_seq());
            if again > 0 {
                tracing::warn!(recording = %live.id(), next, fragments = again, "fragments that nobody was told to be durable are lost; their agent sends them again");
            }
        }
        live.stay();
        core.recordings.want_seal(live.id());
    }
    core.recordings.progress.notify_one();
    cluster.recalled.send_replace(true);
}

/// Gives how many recordings had lost how many fragments.
async fn read_back(core: &Shared, epoch: u64, defects: &[Defect]) -> Result<(usize, u64), RecallError> {
    let cluster = &core.cluster;
    let id = cluster.server.id;
    let row = cluster.row_of(id).await?;
    let locations = row.map(|row| row.locations.clone()).unwrap_or_default();
    let mut objects = cluster.list_journal(id, &locations).await?;
    objects.retain(|(name, _)| cluster.is_earlier(name, epoch));

    let mut takings = Takings::new();
    for defect in defects {
        let mut taking = Taking::new(Arc::clone(&defect.live), None, 0);
        take_strays(core, &mut taking).await?;
        takings.insert(defect.live.id(), Some(taking));
    }
    let mut kept = HashSet::new();
    let mut damaged = false;
    let mut reading = stream::iter(objects.into_iter().map(read)).buffered(AT_ONCE);
    while let Some((name, bytes)) = reading.next().await {
        let fragments = match tokio::task::spawn_blocking({
            let bytes = bytes?;
            move || open_object(&bytes)
        })
        .await
        {
            Ok(Ok(fragments)) => fragments,
            Ok(Err(error)) => {
                tracing::error!(%error, name, "a part of this server's journal in shared storage is damaged; it stays where it is");
                kept.insert(name);
                damaged = true;
                continue;
            }
            Err(error) => return Err(StorageError::from(error).into()),
        };
        for fragment in fragments {
            let id = fragment.head.recording;
            let taking = match takings.entry(id) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => place.insert(taking(core, id).await?),
            };
            let Some(taking) = taking else { continue };
            taking.take_out_of(&name, core, fragment).await?;
            take_strays(core, taking).await?;
        }
    }
    core.journal.barrier().await?;
    let takings: Vec<Taking> = takings.into_values().flatten().collect();
    takings.iter().try_for_each(Taking::check)?;
    for taking in &takings {
        let live = &taking.live;
        // Several objects are under way at a time, and an agent hears nothing of one before those before it are there. So a hole alone
        // tells of no loss.
        if ((damaged && taking.hole) || taking.is_short()) && live.problem().is_none() {
            let next = taking.next;
            live.quarantine(format!(
                "fragment {next} is missing in the server's journal, on its disk and in shared storage"
            ));
        }
        if let Some(incoming) =
            taking.incoming.as_ref().filter(|_| live.problem().is_some() || taking.count > 0)
        {
            core.recordings.arrived(incoming);
            core.recordings.want_seal(live.id());
        }
    }
    kept.extend(takings.iter().flat_map(Taking::evidence));
    *lock(&cluster.uploads.kept) = kept;
    let read: Vec<u64> = takings.iter().map(|taking| taking.count).filter(|count| *count > 0).collect();
    Ok((read.len(), read.iter().sum()))
}

async fn read((name, location): (String, Arc<Location>)) -> (String, Result<Bytes, StorageError>) {
    let bytes = location.read_object(&name).await;
    (name, bytes)
}

/// A recording of which shared storage has something; `None` when it is not this server's, or all of it is stored.
async fn taking(core: &Shared, id: RecordingId) -> Result<Option<Taking>, RecallError> {
    if let Some(live) = core.recordings.get(id) {
        return Ok(Some(Taking::new(live, None, 0)).filter(|taking| taking.live.problem().is_none()));
    }
    let store = &core.cluster.store;
    let row = store.recording(id).await?;
    let Some(row) = row.filter(|row| row.server == core.server && row.state != RecordingState::Quarantined)
    else {
        return Ok(None);
    };
    let segments = store.segments(id).await?;
    let stored = segments.last().map_or(0, |segment| segment.next_seq);
    if row.state == RecordingState::Finished && stored >= row.fragments {
        return Ok(None);
    }
    let incoming = core.recordings.begin_incoming(Live::new(&row, &segments));
    Ok(incoming.map(|incoming| Taking::new(Arc::clone(&incoming.live), Some(incoming), row.fragments)))
}

/// Goes on with what lay behind the hole.
async fn take_strays(core: &Shared, taking: &mut Taking) -> Result<(), RecallError> {
    while let Some((file, entry)) = taking.live.stray(taking.next) {
        let read = tokio::task::spawn_blocking(move || file.read_entry(entry.offset, entry.length));
        let read = read.await.map_err(StorageError::from)?;
        let Ok(Some((head, hash, record))) = read else { break };
        let next = taking.next;
        let fragment = ObjectFragment { head, hash, record: record.into(), acknowledged: 0 };
        taking.take(core, fragment).await?;
        if taking.next == next {
            break;
        }
    }
    Ok(())
}

impl Cluster {
    /// Whether an object of this server's journal is from before that epoch.
    pub(super) fn is_earlier(&self, name: &str, epoch: u64) -> bool {
        *name < *format!("{}/{epoch:010}/", journal_of(self.server.id))
    }
}
