//! What a server is started with.

use crate::{LocationSettings, SiteKeyAddress, StampSettings, TendSettings};
use playhead_protocol::join::JoinToken;
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// What acknowledged fragments survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// A crash and a power cut of the server: they are on its disk.
    Disk,
    /// The loss of the server: they are in storage that the site's servers share, too.
    Shared,
}

/// Everything that can be set. [`Settings::new`] gives the defaults.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The data folder: keys, journal, and, unless set elsewhere, database and storage. Made when it is not there.
    pub data: PathBuf,
    /// Name of the site for people; the one it has had when not given.
    pub name: Option<String>,
    /// Where agents connect. Port 0 lets the system choose at the first start; the choice is kept.
    pub listen_agents: SocketAddr,
    /// Address that agents are told, `https://host:port`; made from the host's name and the port when not given.
    pub agents_url: Option<String>,
    /// Further names and addresses under which agents reach this server, for its certificate.
    pub agent_names: Vec<String>,
    /// The site's database, `sqlite:PATH` or `postgres://…`; `site.db` in the data folder when not given.
    pub database: Option<String>,
    /// Where segments go; `recordings` in the data folder when there is none.
    pub storage: Vec<LocationSettings>,
    /// Where the key is by which the site encrypts new recordings; what its database says when not given.
    pub site_key: Option<SiteKeyAddress>,
    /// Who stamps finished recordings; nobody when not given.
    pub stamps: Option<StampSettings>,
    /// The console to join. Needed once; afterwards the server knows its console.
    pub console: Option<JoinToken>,
    /// Public keys of consoles in this process, unpadded URL-safe base64.
    pub console_keys: Vec<String>,
    /// Name of this server for people; the host's name when not given.
    pub server_name: Option<String>,
    /// Where the site's other servers connect, with a database that they share; the system chooses the port for port 0. The agents'
    /// address when not given.
    pub listen_peers: Option<SocketAddr>,
    /// Address that the other servers are told, `https://host:port`; made from the host's name and the port when not given.
    pub peers_url: Option<String>,
    /// What acknowledged fragments survive; by what the site shares when not given.
    pub durable: Option<Durable>,
    /// For how long a server may act after a sign of life: so long another one waits before it takes over.
    pub lease: Duration,
    /// After how long without a word from its agent a live recording counts as finished.
    pub lost_after: Duration,
    /// Below this many free bytes on the disk of the journal or of the database, or 2 % of it where that is less, nothing is taken in; a
    /// folder for segments with less counts as full.
    pub least_free: u64,
    /// Bytes of one file of the journal.
    pub journal_file_bytes: u64,
    /// Bytes of segment indexes that are kept in memory for playback.
    pub index_cache_bytes: usize,
    /// After how long without a word an agent's connection is given up.
    pub silence: Duration,
    /// What is done with stored segments when there is time.
    pub tending: TendSettings,
}

impl Settings {
    /// The defaults, with everything in `data`.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            name: None,
            listen_agents: SocketAddr::from(([127, 0, 0, 1], 0)),
            agents_url: None,
            agent_names: Vec::new(),
            database: None,
            storage: Vec::new(),
            site_key: None,
            stamps: None,
            console: None,
            console_keys: Vec::new(),
            server_name: None,
            listen_peers: None,
            peers_url: None,
            durable: None,
            lease: Duration::from_secs(10),
            lost_after: Duration::from_secs(12 * 3_600),
            least_free: 512 << 20,
            journal_file_bytes: 64 << 20,
            index_cache_bytes: 64 << 20,
            silence: Duration::from_secs(30),
            tending: TendSettings::default(),
        }
    }
}
