//! Starting and stopping a recording server.

use crate::{
    ServerError, Settings, api,
    certificates::Certificates,
    clock,
    cluster::{self, Cluster, Joining},
    core::{Core, Shared},
    folder, identity, intake,
    journal::{self, GROUPS, Journal, JournalSettings, Outlets},
    keys::Keyring,
    metrics::{Metrics, Monitor},
    playback::IndexCache,
    policy, progress,
    recordings::{Recordings, lock},
    sessions::{self, Agents},
    space::Space,
    stamps::{self, Stamper},
    start,
    storage::{self, Locations, Mover, Tender},
    token, tunnel,
};
use axum::Router;
use playhead_db::{Dialect, site::Store};
use playhead_model::{ServerId, SiteId, WallTime};
use playhead_net::{Authority, Challenges, Listener, NodeKey};
use playhead_protocol::join::JoinToken;
use std::{
    collections::HashSet,
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::AtomicU64},
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, Semaphore, mpsc},
    task::JoinHandle as Task,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

/// How long shared storage and the other servers may still take once the server stops.
const GIVE_UP: Duration = Duration::from_secs(8);
/// How long a start waits for what is read back from shared storage.
const RECALL: Duration = Duration::from_secs(5);
/// Most fragments that are decompressed at a time, each to at most 64 MiB.
const OPENING: usize = 16;

/// A running recording server.
pub struct Server {
    core: Shared,
    agents_address: SocketAddr,
    writer: Option<JoinHandle<()>>,
    /// Puts what is written to shared storage, where that is wanted.
    uploading: Option<Task<()>>,
    /// Those who listen for agents and for other servers.
    listening: Vec<Task<()>>,
    /// Kept locked while the server runs.
    _lock: nix::fcntl::Flock<File>,
}

impl Server {
    /// Starts: opens the database, reads the journal, listens for agents, and keeps a tunnel to its console where there is one.
    ///
    /// # Errors
    /// See [`ServerError`]; nothing keeps running.
    pub async fn start(settings: Settings) -> Result<Self, ServerError> {
        let folder = settings.data.clone();
        let unusable = |source| ServerError::Data { path: folder.clone(), source };
        make_private_folder(&folder).map_err(unusable)?;
        // Absolute, for messages and for a program that changes its folder.
        let data = folder.canonicalize().map_err(unusable)?;
        let failed = |source| ServerError::Data { path: data.clone(), source };
        let lock_file = lock_folder(&data)?;

        let database = folder::database_of(&data, settings.database.as_deref());
        let store = Store::open(&database).await?;
        let now = clock::now();
        let site = store.identity(Uuid::now_v7().into(), settings.name.as_deref(), now).await?;
        let builtin = data.join("recordings");
        let least = settings.least_free;
        let stamper = settings.stamps.as_ref().map(Stamper::open).transpose()?;
        let keys = Arc::new(Keyring::open(&data, settings.site_key.as_ref(), store.clone()).await?);
        let storage = Locations::open(&settings.storage, &builtin, &store, site.id, least).await?;
        let storage = storage.with_keys(&keys);
        let storage = Arc::new(storage);
        let key = NodeKey::load_or_create(&data.join("server.key"))?;
        let server = identity::own_id(&data, &store, &key).await?;
        let link = tunnel::link(&settings, &data, &site, &key).await?;

        let authority = Authority::load_or_create(&data, &site.name)?;
        let has_peers = store.database().dialect() == Dialect::Postgres;
        let own = NodeKey::load_or_create(&data.join("server.key"))?;
        let (peers, described) =
            cluster::listen(&settings, &authority, names(&settings), (server, &own), (has_peers, &storage))
                .await?;
        let recordings = Arc::new(Recordings::default());
        let metrics = Metrics::new();
        let stop = CancellationToken::new();
        // Before it is asked which recordings are this server's: from now on nobody takes them from it unnoticed.
        let cluster = Cluster::join(Joining {
            server: described,
            has_peers,
            store: if has_peers { Store::open(&database).await? } else { store.clone() },
            storage: Arc::clone(&storage),
            recordings: Arc::clone(&recordings),
            metrics: Arc::clone(&metrics),
            key: own,
            stop: stop.clone(),
        })
        .await?;
        let folder = data.join("journal");
        let recover = folder.clone();
        let recovering = tokio::task::spawn_blocking(move || journal::recover(&recover));
        let mut recovered = recovering.await.map_err(|error| failed(std::io::Error::other(error)))??;
        let mut defects =
            start::restore(&store, server, &recordings, &mut recovered, !cluster.is_shared()).await?;
        if !cluster.is_shared() {
            // Nobody else has it.
            defects.drain(..).for_each(start::Defect::set_aside);
        }
        for defect in &defects {
            // Nothing of it is stored before the rest has been read back.
            defect.live.leave();
        }
        let watched = std::iter::once(data.clone()).chain(database_folder(&database));
        let space = Arc::new(Space::new(watched, least).map_err(failed)?);

        let listener = listen(&settings, &data, &authority).await?;
        let agents_address = listener.address();
        let (groups, uploads) = mpsc::channel(GROUPS);
        let outlets = Outlets {
            recordings: Arc::clone(&recordings),
            space: Arc::clone(&space),
            metrics: Arc::clone(&metrics),
            shared: cluster.is_shared().then_some(groups),
        };
        let journal_settings = JournalSettings { folder, file_bytes: settings.journal_file_bytes };
        let (journal, writer) = Journal::start(journal_settings, recovered, outlets)?;
        let uploading =
            cluster.is_shared().then(|| tokio::spawn(cluster::upload(Arc::clone(&cluster), uploads)));

        let mut console_keys: HashSet<String> = settings.console_keys.iter().cloned().collect();
        console_keys.extend(link.as_ref().map(|link| link.console_key().to_owned()));
        let agents_url = agents_url(&settings, agents_address);
        playhead_net::write_private(&data.join(token::ADDRESS), agents_url.as_bytes())?;
        let mover = Mover {
            store: store.clone(),
            storage: Arc::clone(&storage),
            server,
            stop: stop.clone(),
            wanted: Notify::new(),
        };
        let tender = Tender {
            store: store.clone(),
            storage: Arc::clone(&storage),
            keys: Arc::clone(&keys),
            settings: settings.tending.clone(),
            name: server.to_string(),
            metrics: Arc::clone(&metrics.tending),
            stop: stop.clone(),
            damaged: AtomicU64::new(0),
        };
        let certificates = Certificates::new(&data, store.clone(), authority, server, site.name.clone());
        certificates.for_site(now).await?;
        store.forget_connections(server).await?;
        let policies = policy::Telling::load(&store).await?;
        let core = Arc::new(Core {
            agents_url,
            authority: certificates.authority().to_vec(),
            certificates,
            indexes: IndexCache::new(settings.index_cache_bytes),
            settings,
            site,
            server,
            store,
            recordings,
            cluster,
            journal,
            metrics,
            storage,
            keys,
            stamper,
            mover,
            tender,
            space,
            challenges: Challenges::new()?,
            started: Instant::now(),
            console_keys: Mutex::new(console_keys),
            connected: Mutex::default(),
            agents: Agents::default(),
            policies,
            queues: Mutex::default(),
            storage_problem: Mutex::default(),
            limiter: intake::Limiter::default(),
            opening: Semaphore::new(OPENING),
            stop,
            tasks: TaskTracker::new(),
        });
        core.tasks.spawn(progress::run(Arc::clone(&core)));
        core.tasks.spawn(progress::chores(Arc::clone(&core)));
        core.tasks.spawn(policy::tell(Arc::clone(&core)));
        core.tasks.spawn(sessions::keep(Arc::clone(&core)));
        core.tasks.spawn(storage::run_sealer(Arc::clone(&core)));
        core.tasks.spawn(storage::run_moves(Arc::clone(&core)));
        core.tasks.spawn(storage::run_tender(Arc::clone(&core)));
        core.tasks.spawn(stamps::run(Arc::clone(&core)));
        if let Some(link) = link {
            core.tasks.spawn(tunnel::keep(Arc::clone(&core), link, key));
        }
        if core.cluster.is_shared() {
            core.tasks.spawn(cluster::keep_small(Arc::clone(&core), defects));
        }
        if peers.is_some() {
            core.tasks.spawn(cluster::keep_lease(Arc::clone(&core)));
        }
        // Otherwise agents would only be told to come again. With storage that does not answer, all else goes on.
        core.cluster.recalled(RECALL).await;
        let agents = listener.serve(intake::router(Arc::clone(&core)), core.cluster.drain.clone());
        let mut listening = vec![tokio::spawn(agents)];
        if let Some(peers) = peers {
            let peers = peers.serve(cluster::peers_router(Arc::clone(&core)), core.stop.clone());
            listening.push(tokio::spawn(peers));
        }
        tracing::info!(site = core.site.name, agents = core.agents_url, "recording server started");
        Ok(Self { core, agents_address, writer: Some(writer), uploading, listening, _lock: lock_file })
    }

    /// The site's REST API, for a console in the same process.
    pub fn router(&self) -> Router {
        api::router(Arc::clone(&self.core))
    }

    /// Figures and readiness, for those who watch over the server.
    pub fn monitor(&self) -> Monitor {
        Monitor::new(Arc::clone(&self.core))
    }

    /// The site that this server belongs to.
    pub fn site(&self) -> SiteId {
        self.core.site.id
    }

    /// The site's name.
    pub fn name(&self) -> &str {
        &self.core.site.name
    }

    /// This server, as it has named itself; consoles give it ids of their own.
    pub fn id(&self) -> ServerId {
        self.core.server
    }

    /// Where agents connect.
    pub fn agents_address(&self) -> SocketAddr {
        self.agents_address
    }

    /// The address that agents are told, `https://host:port`.
    pub fn agents_url(&self) -> &str {
        &self.core.agents_url
    }

    /// Lets statements count that are signed with this key: unpadded URL-safe base64 of an Ed25519 public key.
    pub fn trust_console(&self, key: &str) {
        lock(&self.core.console_keys).insert(key.to_owned());
    }

    /// Makes a token with which `uses` agents can enrol within `valid_seconds`.
    ///
    /// # Errors
    /// The database's, or no random bytes.
    pub async fn make_join_token(&self, valid_seconds: u32, uses: u32) -> Result<JoinToken, ServerError> {
        Ok(make_join_token(&self.core, valid_seconds, uses, "server").await?.0)
    }

    /// Stops: hands what it holds over to the site's other servers, where there are any, takes nothing more in, writes down everything
    /// that came, and closes what is open.
    pub async fn shutdown(mut self) {
        cluster::drain(&self.core).await;
        self.core.stop.cancel();
        let cluster = Arc::clone(&self.core.cluster);
        let giving_up = tokio::spawn(async move {
            tokio::time::sleep(GIVE_UP).await;
            cluster.give_up.cancel();
        });
        for listening in self.listening {
            let _ = listening.await;
        }
        self.core.tasks.close();
        self.core.tasks.wait().await;
        self.core.journal.stop().await;
        if let Some(writer) = self.writer.take() {
            let _ = tokio::task::spawn_blocking(move || writer.join()).await;
        }
        if let Some(uploading) = self.uploading.take() {
            let _ = uploading.await;
            // What was handed over or stored leaves nothing behind, also should this server never come back.
            let _ = tokio::time::timeout(GIVE_UP, self.core.cluster.tidy()).await;
        }
        giving_up.abort();
        if let Err(error) = progress::write(&self.core, &self.core.recordings.all()).await {
            tracing::error!(%error, "cannot write down how far recordings have come; the next start finds it in the journal");
        }
        self.core.cluster.say_stopped().await;
        self.core.cluster.store.database().close().await;
        self.core.store.database().close().await;
        tracing::info!("recording server stopped");
    }
}

/// Makes a join token for agents; also returns until when it is good.
pub(crate) async fn make_join_token(
    core: &Core,
    valid_seconds: u32,
    uses: u32,
    by: &str,
) -> Result<(JoinToken, WallTime), ServerError> {
    token::issue(&core.store, &core.authority, &core.agents_url, token::Wanted { valid_seconds, uses, by })
        .await
}

/// The folder of a database that is a file.
fn database_folder(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite:")?;
    let path = Path::new(path.strip_prefix("//").unwrap_or(path)).parent()?;
    Some(if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_owned() })
}

fn make_private_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Two servers on one journal would destroy it.
pub(crate) fn lock_folder(data: &Path) -> Result<nix::fcntl::Flock<File>, ServerError> {
    use nix::fcntl::{Flock, FlockArg};
    let path = data.join("server.lock");
    let failed = |source| ServerError::Data { path: path.clone(), source };
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
        nix::errno::Errno::EWOULDBLOCK => ServerError::InUse { path: data.to_owned() },
        error => failed(error.into()),
    })
}

/// Listens for agents. A port that the system chose is chosen again at the next start: agents remember it.
async fn listen(settings: &Settings, data: &Path, authority: &Authority) -> Result<Listener, ServerError> {
    let tls = authority.server_config(&names(settings))?;
    let wanted = settings.listen_agents;
    let path = data.join("agents-port");
    let kept = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<u16>().ok());
    if let (0, Some(port)) = (wanted.port(), kept) {
        match Listener::bind(SocketAddr::new(wanted.ip(), port), Some(Arc::clone(&tls))).await {
            Ok(listener) => return Ok(listener),
            Err(error) => {
                tracing::warn!(%error, "the agents' port of the last start is taken; agents enrolled with it will not find this server");
            }
        }
    }
    let listener = Listener::bind(wanted, Some(tls)).await?;
    playhead_net::write_private(&path, listener.address().port().to_string().as_bytes())?;
    Ok(listener)
}

/// Names and addresses under which agents may reach this server.
fn names(settings: &Settings) -> Vec<String> {
    let mut names = settings.agent_names.clone();
    let url = settings.agents_url.as_deref().and_then(|url| url.parse::<http::Uri>().ok());
    names.extend(url.and_then(|url| Some(url.host()?.trim_matches(['[', ']']).to_owned())));
    names.extend(hostname());
    if !settings.listen_agents.ip().is_unspecified() {
        names.push(settings.listen_agents.ip().to_string());
    }
    names.extend(["localhost", "127.0.0.1", "::1"].map(String::from));
    let mut seen = HashSet::new();
    names.retain(|name| !name.is_empty() && seen.insert(name.clone()));
    names
}

fn hostname() -> Option<String> {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok())
}

fn agents_url(settings: &Settings, bound: SocketAddr) -> String {
    if let Some(url) = &settings.agents_url {
        return url.clone();
    }
    let host = if bound.ip().is_unspecified() {
        hostname().unwrap_or_else(|| "localhost".into())
    } else if bound.is_ipv6() {
        format!("[{}]", bound.ip())
    } else {
        bound.ip().to_string()
    };
    format!("https://{host}:{}", bound.port())
}

impl Core {
    /// Whether other servers may share the site's database.
    pub(crate) fn shares_site(&self) -> bool {
        self.store.database().dialect() == Dialect::Postgres
    }
}
