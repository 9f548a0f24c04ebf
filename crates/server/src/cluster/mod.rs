//! The servers of one site together: who is alive, who holds which recording, and how a recording gets from one to another.
//!
//! * `join`: what a server says of itself to the others;
//! * `lease`: signs of life, and what a server may do while they come through;
//! * `shared`: the journal in shared storage, for what an acknowledgement is to survive;
//! * `recall`: reading back from there what the disk has lost;
//! * `upkeep`: keeping that journal small, and writing it anew after a start;
//! * `adopt`: taking over from a server that is dead;
//! * `taking`: a recording on its way from a shared journal into one's own;
//! * `transfer`: handing a recording over between two that live;
//! * `drain`: handing over everything before an orderly stop;
//! * `peers`: the connections between them;
//! * `forward`: what people ask of a recording that another server holds;
//! * `report`: what people see of it.

mod adopt;
mod drain;
mod forward;
mod join;
mod lease;
mod peers;
mod recall;
mod report;
mod shared;
mod taking;
mod transfer;
mod upkeep;

pub(crate) use drain::drain;
pub(crate) use forward::{forward, pass_to};
pub(crate) use join::listen;
pub(crate) use lease::run as keep_lease;
pub(crate) use peers::{Links, router as peers_router};
pub(crate) use report::report;
pub use report::{ServerReport, ServersAdmin};
pub(crate) use shared::{Uploads, run as upload};
pub(crate) use transfer::{obtain, settled};
pub(crate) use upkeep::run as keep_small;

use crate::{
    clock,
    metrics::Metrics,
    recordings::{Recordings, lock},
    storage::Locations,
};
use playhead_db::{
    DbError,
    site::{NewServer, Owner, ServerRow, ServerState, Store},
};
use playhead_model::{RecordingId, ServerId};
use playhead_net::NodeKey;
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Recordings that are taken from other servers at a time.
const TAKING: usize = 32;

/// This server among those of its site.
pub(crate) struct Cluster {
    /// What the others know of it.
    pub(crate) server: NewServer,
    /// Whether other servers may use the same database.
    pub(crate) has_peers: bool,
    /// Connections of its own: signs of life must not wait for others' queries.
    pub(crate) store: Store,
    pub(crate) storage: Arc<Locations>,
    pub(crate) recordings: Arc<Recordings>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) key: NodeKey,
    /// Which of its starts this is; 0 while another server has taken over.
    epoch: AtomicU64,
    /// Until when it may act, in microseconds of the machine's uptime.
    until: AtomicU64,
    /// Changes with every sign of life that came through.
    renewed: watch::Sender<u64>,
    state: Mutex<ServerState>,
    /// Somebody wants a sign of life now.
    pub(crate) beat: Notify,
    /// The servers as last read.
    known: Mutex<Vec<ServerRow>>,
    uploads: Uploads,
    links: Links,
    /// Recordings that are on their way here.
    taking: Mutex<HashSet<RecordingId>>,
    /// How many of them at a time.
    places: Semaphore,
    /// Servers that are being taken over from.
    adopting: Mutex<HashSet<ServerId>>,
    /// Whether everything is here that this server had put to shared storage before its start.
    recalled: watch::Sender<bool>,
    /// Agents are to go to other servers.
    pub(crate) drain: CancellationToken,
    /// Nothing is tried any further.
    pub(crate) give_up: CancellationToken,
}

/// What a server joins its site with.
pub(crate) struct Joining {
    pub(crate) server: NewServer,
    pub(crate) has_peers: bool,
    pub(crate) store: Store,
    pub(crate) storage: Arc<Locations>,
    pub(crate) recordings: Arc<Recordings>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) key: NodeKey,
    /// Stops everything.
    pub(crate) stop: CancellationToken,
}

impl Cluster {
    /// Makes the server known to the site. From now on it holds what the database says that it holds.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn join(joining: Joining) -> Result<Arc<Self>, DbError> {
        let Joining { server, has_peers, store, storage, recordings, metrics, key, stop } = joining;
        let began = clock::uptime();
        let owner = store.register_server(&server).await?;
        let known = store.servers().await?;
        let recalled = watch::Sender::new(!server.shared);
        let cluster = Self {
            server,
            has_peers,
            store,
            storage,
            recordings,
            metrics,
            key,
            epoch: AtomicU64::new(owner.epoch),
            until: AtomicU64::new(0),
            renewed: watch::Sender::new(0),
            state: Mutex::new(ServerState::Running),
            beat: Notify::new(),
            known: Mutex::new(known),
            uploads: Uploads::default(),
            links: Links::default(),
            taking: Mutex::default(),
            places: Semaphore::new(TAKING),
            adopting: Mutex::default(),
            recalled,
            drain: stop.child_token(),
            give_up: CancellationToken::new(),
        };
        cluster.extend(began);
        Ok(Arc::new(cluster))
    }

    /// For whom this server acts now. Of one that was taken over nothing is accepted.
    pub(crate) fn owner(&self) -> Owner {
        Owner { server: self.server.id, epoch: self.epoch.load(Ordering::Acquire) }
    }

    /// Whether what this server acknowledges is to survive its loss.
    pub(crate) fn is_shared(&self) -> bool {
        self.server.shared
    }

    /// Whether it may take recordings in: its signs of life come through, and it is not about to stop.
    ///
    /// # Errors
    /// Why not, for people.
    pub(crate) fn may_take(&self) -> Result<(), &'static str> {
        if self.drain.is_cancelled() {
            return Err("the server is about to stop: connect to another one");
        }
        if !self.is_recalled() {
            return Err(
                "the server still reads back from shared storage what it had put there before its start",
            );
        }
        if self.has_peers && !self.is_leased(self.owner().epoch) {
            return Err("the server's signs of life do not reach the site's database");
        }
        Ok(())
    }

    /// Whether it has all it should have of its recordings.
    pub(crate) fn is_recalled(&self) -> bool {
        *self.recalled.borrow()
    }

    /// Waits until it has, but no longer than that.
    pub(crate) async fn recalled(&self, patience: Duration) {
        let mut recalled = self.recalled.subscribe();
        let _ = timeout(patience, recalled.wait_for(|recalled| *recalled)).await;
    }

    /// Whether the server may act for the epoch at this moment.
    fn is_leased(&self, epoch: u64) -> bool {
        !self.has_peers
            || (epoch != 0
                && self.epoch.load(Ordering::Acquire) == epoch
                && micros(clock::uptime()) < self.until.load(Ordering::Acquire))
    }

    /// Waits until the server may act for the epoch; `false` when it never will again.
    async fn permitted(&self, epoch: u64) -> bool {
        let mut renewed = self.renewed.subscribe();
        loop {
            renewed.borrow_and_update();
            if self.has_peers && self.epoch.load(Ordering::Acquire) != epoch {
                return false;
            }
            if self.is_leased(epoch) {
                return true;
            }
            tokio::select! {
                changed = renewed.changed() => if changed.is_err() { return false },
                () = self.give_up.cancelled() => return false,
            }
        }
    }

    /// A sign of life that was sent at `began` came through.
    fn extend(&self, began: Duration) {
        let until = micros(began) + self.server.lease_ms * 1_000;
        self.until.store(until, Ordering::Release);
        self.renewed.send_modify(|count| *count += 1);
    }

    pub(crate) fn set_state(&self, state: ServerState) {
        *lock(&self.state) = state;
        self.beat.notify_one();
    }

    pub(crate) fn state(&self) -> ServerState {
        *lock(&self.state)
    }

    /// The servers as last read from the database.
    pub(crate) fn known(&self) -> Vec<ServerRow> {
        lock(&self.known).clone()
    }

    /// The other servers that take recordings in.
    fn running_peers(&self) -> Vec<ServerRow> {
        let mut known = self.known();
        known.retain(|row| {
            row.server.id != self.server.id
                && row.state == ServerState::Running
                && !row.server.url.is_empty()
                && row.age_us < row.server.lease_ms * 1_000
        });
        known
    }
}

/// Milliseconds and more never come near the end of 64 bits.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Names below which the parts of one server's journal lie.
fn journal_of(server: ServerId) -> String {
    format!("journal/{server}")
}

/// Groups what was read by its recording.
type ByRecording<T> = HashMap<RecordingId, T>;

#[cfg(test)]
mod tests;
