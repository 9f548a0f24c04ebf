//! What all parts of the server share.

use crate::{
    Settings,
    certificates::Certificates,
    cluster::Cluster,
    journal::Journal,
    keys::Keyring,
    metrics::Metrics,
    playback::IndexCache,
    policy::Telling,
    recordings::{Recordings, lock},
    sessions::Agents,
    space::Space,
    stamps::Stamper,
    storage::{Locations, Mover, Tender},
};
use playhead_db::site::{Site, Store};
use playhead_model::{AgentId, ServerId, WallTime};
use playhead_net::Challenges;
use playhead_protocol::message::Queue;
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Instant,
};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The server's inside. One for all tasks and requests.
pub(crate) struct Core {
    pub(crate) settings: Settings,
    pub(crate) site: Site,
    pub(crate) server: ServerId,
    pub(crate) store: Store,
    pub(crate) recordings: Arc<Recordings>,
    /// This server among those of its site.
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) journal: Journal,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) storage: Arc<Locations>,
    /// The keys of encrypted recordings.
    pub(crate) keys: Arc<Keyring>,
    /// Asks for time stamps, where that is wanted.
    pub(crate) stamper: Option<Stamper>,
    /// Moves segments between locations.
    pub(crate) mover: Mover,
    /// Packs stored segments denser and reads them through.
    pub(crate) tender: Tender,
    pub(crate) indexes: IndexCache,
    pub(crate) space: Arc<Space>,
    pub(crate) challenges: Challenges,
    /// Issues certificates and seals segments.
    pub(crate) certificates: Certificates,
    /// Address that agents are told.
    pub(crate) agents_url: String,
    /// The certificate authority that agents trust, DER.
    pub(crate) authority: Vec<u8>,
    pub(crate) started: Instant,
    /// Public keys whose statements count.
    pub(crate) console_keys: Mutex<HashSet<String>>,
    /// How many connections each agent has.
    pub(crate) connected: Mutex<HashMap<AgentId, usize>>,
    /// The agents' connections, and what they say of sessions.
    pub(crate) agents: Agents,
    /// What agents are told of policies.
    pub(crate) policies: Telling,
    /// How the agents' queues stand, as they last said here, and when that was.
    pub(crate) queues: Mutex<HashMap<AgentId, (Queue, WallTime)>>,
    /// Why segments cannot be stored at the moment.
    pub(crate) storage_problem: Mutex<Option<String>>,
    pub(crate) limiter: crate::intake::Limiter,
    /// Places for fragments being opened.
    pub(crate) opening: Semaphore,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

/// A handle to [`Core`].
pub(crate) type Shared = Arc<Core>;

impl Core {
    /// Seconds of a clock that nobody sets.
    pub(crate) fn seconds(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    /// Whether a connection of the agent is open here.
    pub(crate) fn is_connected(&self, agent: AgentId) -> bool {
        lock(&self.connected).contains_key(&agent)
    }
}
