//! The recordings that this server holds something of: those that are live, and those whose last segment is not stored yet.

mod live;
mod session;

pub(crate) use live::{Closing, Commit, Live, Run, Slot, Status, Tip, Unsealed, WatchGuard};
pub(crate) use session::{Outgoing, Session, id_bytes, refused};

use playhead_model::RecordingId;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// All of them, and what is to be done about which.
#[derive(Default)]
pub(crate) struct Recordings {
    all: Mutex<HashMap<RecordingId, Arc<Live>>>,
    to_seal: Mutex<BTreeSet<RecordingId>>,
    /// Somebody wants a recording looked at for segments to store.
    pub(crate) seal: Notify,
    /// Somebody wants progress written down soon.
    pub(crate) progress: Notify,
}

/// A lock that a panic elsewhere does not take away: the state behind our locks is changed in one step each.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recordings {
    pub(crate) fn get(&self, id: RecordingId) -> Option<Arc<Live>> {
        lock(&self.all).get(&id).cloned()
    }

    /// The recording, made by `make` when it is not here yet.
    pub(crate) fn get_or_insert(&self, id: RecordingId, make: impl FnOnce() -> Live) -> Arc<Live> {
        Arc::clone(lock(&self.all).entry(id).or_insert_with(|| Arc::new(make())))
    }

    pub(crate) fn remove(&self, id: RecordingId) {
        lock(&self.all).remove(&id);
    }

    pub(crate) fn all(&self) -> Vec<Arc<Live>> {
        lock(&self.all).values().cloned().collect()
    }

    /// Asks for a recording to be looked at for segments to store.
    pub(crate) fn want_seal(&self, id: RecordingId) {
        lock(&self.to_seal).insert(id);
        self.seal.notify_one();
    }

    /// How many wait to be looked at.
    pub(crate) fn waiting_to_seal(&self) -> usize {
        lock(&self.to_seal).len()
    }

    /// Takes the next recording to look at.
    pub(crate) fn next_to_seal(&self) -> Option<RecordingId> {
        lock(&self.to_seal).pop_first()
    }
}
