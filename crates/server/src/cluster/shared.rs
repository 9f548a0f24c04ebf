//! The journal in shared storage: what was written to the disk goes there too, in the same groups, and only then do agents hear that it
//! is durable.
//!
//! Several objects are under way at a time. They count in the order in which they were made, so that of each recording what is
//! acknowledged has no holes.

use super::{ByRecording, Cluster, journal_of};
use crate::{
    journal::{Object, Written},
    recordings::lock,
    storage::Location,
};
use bytes::Bytes;
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesOrdered};
use playhead_db::DbError;
use playhead_format::MAX_RECORD;
use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::mpsc,
    time::{Instant as Later, sleep, sleep_until},
};

/// Objects under way at a time.
const FLIGHTS: usize = 8;
/// While something is under way, the next object begins no sooner than this after the one before: each request costs the same
/// whatever it carries.
const PACE: Duration = Duration::from_millis(25);
/// An object of this many bytes waits for nothing.
pub(super) const LARGE: u64 = 8 << 20;
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// The objects of this server's journal that are there, oldest first.
#[derive(Default)]
pub(crate) struct Uploads {
    pub(super) there: Mutex<Vec<Upload>>,
    /// Number of the next object.
    next: AtomicU64,
    /// Locations that the database knows to be used, and by which epoch.
    noted: Mutex<HashSet<(u64, String)>>,
    /// Objects of earlier starts that stay where they are, as evidence.
    pub(super) kept: Mutex<HashSet<String>>,
}

/// An object that is there.
#[derive(Clone)]
pub(super) struct Upload {
    /// Numbers of the first and the last object that it stands for.
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) location: String,
    pub(super) path: String,
    /// Of each recording the first and the last fragment in it.
    pub(super) parts: ByRecording<(u64, u64)>,
}

impl Uploads {
    /// They are another server's business now.
    pub(super) fn forget(&self) {
        lock(&self.there).clear();
    }

    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

/// What came of putting an object.
struct Flight {
    upload: Option<Upload>,
    epoch: u64,
    written: Vec<Written>,
}

/// Puts what is written to shared storage until nobody writes any more.
pub(crate) async fn run(cluster: Arc<Cluster>, mut groups: mpsc::Receiver<Vec<Written>>) {
    let mut waiting: VecDeque<Written> = VecDeque::new();
    let mut bytes = 0u64;
    let mut flights: FuturesOrdered<BoxFuture<'static, Flight>> = FuturesOrdered::new();
    let mut last = Instant::now();
    let mut open = true;
    while open || !waiting.is_empty() || !flights.is_empty() {
        let may_start = !waiting.is_empty() && flights.len() < FLIGHTS;
        if may_start && (flights.is_empty() || bytes >= LARGE || last.elapsed() >= PACE || !open) {
            let mut some = Vec::new();
            let mut size = 0;
            while size < LARGE
                && let Some(written) = waiting.pop_front()
            {
                size += written.record.len() as u64;
                some.push(written);
            }
            bytes -= size;
            last = Instant::now();
            flights.push_back(Box::pin(fly(Arc::clone(&cluster), some)));
            continue;
        }
        tokio::select! {
            group = groups.recv(), if open => match group {
                Some(group) => {
                    bytes += group.iter().map(|written| written.record.len() as u64).sum::<u64>();
                    waiting.extend(group);
                }
                None => open = false,
            },
            Some(flight) = flights.next(), if !flights.is_empty() => landed(&cluster, flight).await,
            () = sleep_until(Later::from_std(last + PACE)), if may_start => {}
        }
    }
}

async fn fly(cluster: Arc<Cluster>, written: Vec<Written>) -> Flight {
    let epoch = cluster.owner().epoch;
    let number = cluster.uploads.number();
    let object = Object::new(number).map(|mut object| {
        for one in &written {
            object.add(&one.head, one.hash, one.record.clone(), one.live.acknowledged());
        }
        object
    });
    let upload = match object {
        Ok(object) => cluster.put(epoch, (number, number), 0, object).await,
        Err(error) => {
            tracing::error!(%error, "cannot make a part of the shared journal");
            None
        }
    };
    Flight { upload, epoch, written }
}

/// Tells agents, if this server may still speak for the recordings.
async fn landed(cluster: &Arc<Cluster>, flight: Flight) {
    let Flight { upload, epoch, written } = flight;
    let Some(upload) = upload else { return };
    // The object was there before this is asked: should the lease be held now, whoever takes over later finds it.
    if !cluster.permitted(epoch).await {
        return;
    }
    lock(&cluster.uploads.there).push(upload);
    let mut ended = false;
    for written in written {
        written.live.durable(written.head.seq + 1);
        ended |= written.head.flags.last;
        written.acknowledge(&cluster.metrics);
    }
    if ended {
        cluster.recordings.progress.notify_one();
    }
}

impl Cluster {
    /// Puts an object to shared storage, wherever it is taken, for as long as it takes. `None` when another server has taken over or
    /// this one stops.
    pub(super) async fn put(
        &self,
        epoch: u64,
        (first, last): (u64, u64),
        part: u32,
        object: Object,
    ) -> Option<Upload> {
        debug_assert!(object.len() < LARGE * 4 + MAX_RECORD as u64, "objects are bounded");
        let path = format!("{}/{epoch:010}/{first:012}-{last:012}-{part:04}", journal_of(self.server.id));
        let (pieces, parts) = object.finish();
        let mut wait = FIRST_WAIT;
        let mut failed: Option<String> = None;
        loop {
            if self.has_peers && self.owner().epoch != epoch {
                return None;
            }
            let began = Instant::now();
            match self.try_put(epoch, &path, &pieces, failed.as_deref()).await {
                Ok(location) => {
                    self.metrics.shared_put.observe(began.elapsed().as_secs_f64());
                    return Some(Upload { first, last, location, path, parts });
                }
                Err((location, error)) => {
                    self.metrics.shared_errors.inc();
                    tracing::warn!(
                        location,
                        error,
                        "cannot put a part of the journal to shared storage; trying again"
                    );
                    failed = location;
                }
            }
            tokio::select! {
                () = sleep(wait) => {}
                () = self.give_up.cancelled() => return None,
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Tries one location: another one than that which has failed last, where there is one.
    async fn try_put(
        &self,
        epoch: u64,
        path: &str,
        pieces: &[Bytes],
        failed: Option<&str>,
    ) -> Result<String, (Option<String>, String)> {
        let Some(location) = self.journal_location(failed) else {
            return Err((None, "there is no storage location that all servers share".into()));
        };
        let named = |error: String| (Some(location.id.clone()), error);
        let noted = (epoch, location.id.clone());
        if !lock(&self.uploads.noted).contains(&noted) {
            let owner = self.owner();
            self.store
                .use_journal_location(owner, &location.id)
                .await
                .map_err(|error| named(error.to_string()))?;
            lock(&self.uploads.noted).insert(noted);
        }
        location.put_object(path, pieces).await.map_err(|error| named(error.to_string()))?;
        Ok(location.id.clone())
    }

    /// Where parts of the journal go.
    pub(super) fn journal_location(&self, failed: Option<&str>) -> Option<Arc<Location>> {
        let all: Vec<_> = self.storage.all().iter().filter(|location| !location.settings.read_only).collect();
        // With a bucket among them, folders are most likely not the same for all servers.
        let buckets: Vec<_> = all.iter().copied().filter(|location| location.is_bucket()).collect();
        let usable = if buckets.is_empty() { all } else { buckets };
        let good =
            usable.iter().find(|location| location.is_usable() && Some(location.id.as_str()) != failed);
        let next = || usable.iter().find(|location| Some(location.id.as_str()) != failed);
        good.or_else(next).or(usable.first()).map(|location| Arc::clone(location))
    }

    /// Everything below a server's journal, at all locations that it has used: location, then names in order.
    ///
    /// # Errors
    /// A location that cannot be asked: then nobody can say what there is.
    pub(super) async fn list_journal(
        &self,
        server: playhead_model::ServerId,
        locations: &[String],
    ) -> Result<Vec<(String, Arc<Location>)>, ListError> {
        let mut names = Vec::new();
        for id in locations {
            let location = self.storage.get(id)?;
            let listed = location.list_objects(&journal_of(server)).await?;
            names.extend(listed.into_iter().map(|name| (name, Arc::clone(location))));
        }
        names.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(names)
    }
}

/// Why a shared journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ListError {
    #[error("{0}")]
    Storage(#[from] crate::storage::StorageError),
    #[error("{0}")]
    Db(#[from] DbError),
}
