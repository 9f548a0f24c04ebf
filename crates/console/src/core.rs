//! What every handler works with.

use crate::{
    accounts::{Cookie, Limiter, Passwords},
    api::Downloads,
    clock::Clock,
    directories::Directories,
    sites::Sites,
    streams::Streams,
    web::Web,
};
use lru::LruCache;
use playhead_db::console::Store;
use playhead_model::{RecordingId, SiteId};
use playhead_net::{Challenges, HttpMetrics};
use prometheus_client::registry::Registry;
use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How many recordings' sites are remembered.
const MOST_HOMES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);

/// The console's inside. One for all requests.
pub(crate) struct Core {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) cookie: Cookie,
    pub(crate) passwords: Passwords,
    pub(crate) limiter: Limiter,
    pub(crate) directories: Directories,
    pub(crate) sites: Sites,
    pub(crate) streams: Streams,
    pub(crate) challenges: Challenges,
    pub(crate) web: Web,
    /// Where recording servers join, `https://host:port`.
    pub(crate) public_url: String,
    /// The certificate authority that recording servers should trust there, DER.
    pub(crate) authority: Option<Vec<u8>>,
    pub(crate) started: Instant,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) homes: Homes,
    /// Downloads that pages have prepared.
    pub(crate) downloads: Downloads,
    pub(crate) registry: Registry,
    pub(crate) http: HttpMetrics,
}

/// A handle to [`Core`].
pub(crate) type Shared = Arc<Core>;

/// Which site a recording was last found at.
pub(crate) struct Homes(Mutex<LruCache<RecordingId, SiteId>>);

impl Homes {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(LruCache::new(MOST_HOMES)))
    }

    pub(crate) fn get(&self, recording: RecordingId) -> Option<SiteId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&recording).copied()
    }

    pub(crate) fn put(&self, recording: RecordingId, site: SiteId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(recording, site);
    }

    pub(crate) fn forget(&self, recording: RecordingId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop(&recording);
    }
}

impl Core {
    /// Seconds of a clock that nobody sets, for challenges.
    pub(crate) fn seconds(&self) -> u64 {
        self.started.elapsed().as_secs()
    }
}
