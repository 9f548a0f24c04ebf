//! The recordings that this server holds something of: those that are live, and those whose last segment is not stored yet.

mod live;
mod session;

pub(crate) use live::{Closing, Commit, Live, Run, Slot, Status, Tip, Unsealed, WatchGuard};
pub(crate) use session::{Outgoing, Session, id_bytes, refused};

use playhead_model::RecordingId;
use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// All of them, and what is to be done about which.
#[derive(Default)]
pub(crate) struct Recordings {
    all: Mutex<HashMap<RecordingId, Arc<Live>>>,
    /// Those that are being taken over from another server: nobody else sees them yet.
    incoming: Mutex<HashMap<RecordingId, Arc<Live>>>,
    to_seal: Mutex<BTreeSet<RecordingId>>,
    /// Somebody wants a recording looked at for segments to store.
    pub(crate) seal: Notify,
    /// Somebody wants progress written down soon.
    pub(crate) progress: Notify,
}

/// A recording on its way here. Nobody but its taker sees it, and what the journal has of it is kept as long as this.
pub(crate) struct Incoming {
    pub(crate) live: Arc<Live>,
    recordings: Arc<Recordings>,
}

impl Drop for Incoming {
    fn drop(&mut self) {
        lock(&self.recordings.incoming).remove(&self.live.id());
    }
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

    /// Keeps a recording that is being taken over until the guard is dropped; `None` when that is under way already.
    pub(crate) fn begin_incoming(self: &Arc<Self>, live: Live) -> Option<Incoming> {
        match lock(&self.incoming).entry(live.id()) {
            Entry::Occupied(_) => None,
            Entry::Vacant(place) => {
                let live = Arc::clone(place.insert(Arc::new(live)));
                Some(Incoming { live, recordings: Arc::clone(self) })
            }
        }
    }

    /// It was taken over: from now on it is one like all others.
    pub(crate) fn arrived(&self, incoming: &Incoming) {
        lock(&self.all).insert(incoming.live.id(), Arc::clone(&incoming.live));
    }

    /// Whatever of the recording lies in the journal, be it still on its way here.
    pub(crate) fn held(&self, id: RecordingId) -> Option<Arc<Live>> {
        self.get(id).or_else(|| lock(&self.incoming).get(&id).cloned())
    }

    /// All of them, and those on their way here.
    pub(crate) fn all_held(&self) -> Vec<Arc<Live>> {
        let mut all = self.all();
        all.extend(lock(&self.incoming).values().cloned());
        all
    }

    pub(crate) fn remove(&self, id: RecordingId) {
        lock(&self.all).remove(&id);
    }

    /// Removes the recording if it is this very one: it may have come back meanwhile.
    pub(crate) fn remove_this(&self, live: &Arc<Live>) {
        let mut all = lock(&self.all);
        if all.get(&live.id()).is_some_and(|here| Arc::ptr_eq(here, live)) {
            all.remove(&live.id());
        }
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
