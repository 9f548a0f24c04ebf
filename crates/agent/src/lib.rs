//! The agent: records the displays of a session host and sends the recordings to its site.
//!
//! Each display has a thread of its own ([`display`]) that captures ([`capture`]), makes fragments ([`recorder`]) and puts
//! them into the queue on disk ([`spool`]). The uplink ([`uplink`]) is asynchronous, sends what is queued and forgets what
//! the server calls durable. The two meet in the spool and in [`control`] alone: capture never waits for the network.

mod audio;
mod capture;
mod clock;
mod coder;
mod control;
mod discover;
mod display;
pub mod doctor;
mod folder;
pub mod helper;
mod identity;
mod mask;
pub mod notice;
mod order;
mod recorder;
mod session;
mod sessions;
mod settings;
mod spool;
mod standing;
mod status;
#[cfg(test)]
mod testing;
mod uplink;

pub use clock::Moment;
pub use order::{Order, order};
pub use recorder::{RecordError, Recorder, Sink};
pub use settings::{
    Applications, AudioSettings, DisplaySettings, ProgramPaths, ServerSettings, SessionSettings, Settings,
    SpoolSettings, TagSettings, WhenFull,
};
pub use spool::SpoolError;
pub use standing::{QueueReport, QueueState, QueuedRecording, RefusedQueue};
pub use status::{DisplayReport, Report, ServerReport, SoundReport, status};

use control::Registry;
use identity::Identity;
use playhead_format::Signer;
use playhead_net::{DialError, NetError, NodeKey};
use playhead_protocol::join::{JoinKind, JoinToken};
use session::Host;
use sessions::{Desk, Keeper, Parts};
use spool::Spool;
use status::Status;
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use uplink::{Shared, Uplink};

/// Version of the agent.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Folder of the queue, below the data folder.
const SPOOL: &str = "spool";

/// File with the certificate that the site has issued, below the data folder.
const CERTIFICATE: &str = "certificate.pem";

/// How long the recordings may take to end when the agent stops. An X server that hangs keeps its thread waiting.
const PATIENCE: Duration = Duration::from_secs(10);

/// Code that is not used is let go of at this interval at the longest.
const TIDY: Duration = Duration::from_secs(300);

/// Why an agent cannot run.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A file that cannot be used.
    #[error("cannot use {path}: {source}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A settings file that says something wrong.
    #[error("cannot use the settings in {path}: {reason}")]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        reason: String,
    },
    /// A setting that cannot be.
    #[error("{0}")]
    Setting(String),
    /// Another agent uses the data folder.
    #[error("another agent uses {0}: stop it, or give this one another folder with --data")]
    InUse(PathBuf),
    /// A key or certificate of ours.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The queue.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The agent has not joined a site and cannot.
    #[error(
        "this agent has not joined a site yet: make a join token for an agent at the console and give it with --join, or as join in the settings"
    )]
    NoToken,
    /// A token that is none.
    #[error(transparent)]
    Token(#[from] playhead_protocol::join::JoinTokenError),
    /// A token for something else.
    #[error(
        "this join token is for a recording server, not for an agent: make one for an agent at the console"
    )]
    TokenKind,
    /// The server refused the token.
    #[error("{url} refused the join token ({status}): {detail}; make a new one at the console")]
    Join {
        /// The server.
        url: String,
        /// Its status.
        status: String,
        /// What it says.
        detail: String,
    },
    /// The server cannot be reached.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The system gives no thread or file descriptor.
    #[error("cannot start recording: {0}")]
    System(#[from] io::Error),
    /// A part of the agent failed.
    #[error("a part of the agent failed: {0}")]
    Failed(#[from] tokio::task::JoinError),
}

/// Runs an agent until `stop` is cancelled: then it ends its recordings, sends what it can within seconds, and leaves the
/// rest in its queue for the next start.
///
/// # Errors
/// It cannot start, or the server refuses its join token. Displays that are not there and servers that cannot be
/// reached are no errors: they are waited for.
pub async fn run(settings: Settings, stop: CancellationToken) -> Result<(), AgentError> {
    settings.check()?;
    capture::return_large_buffers();
    let _hold = folder::take(&settings.data)?;
    let key = Arc::new(NodeKey::load_or_create(&settings.data.join("key"))?);
    let signer = signer(&key);
    let path = settings.data.join("identity.json");
    let join = token(&settings.server)?;
    let mut identity = Identity::load(&path)?;
    if let (Some(known), Some(token)) = (identity.take_if(|_| join.is_some()), &join) {
        identity = known.reconcile(token);
        if let Some(identity) = &identity {
            identity.save(&path)?;
        }
    }
    if identity.is_none() && join.is_none() {
        return Err(AgentError::NoToken);
    }

    let folder = settings.data.join(SPOOL);
    let queue = settings.spool.clone();
    let spool = tokio::task::spawn_blocking(move || Spool::open(&folder, queue)).await??;
    let spool = Arc::new(spool);
    let host = Host {
        name: host_name(settings.host.as_deref()),
        boot_id: clock::boot_id()?,
        agent: key.public(),
        signer: signer.clone(),
    };
    let known =
        if settings.sessions.discover { sessions::alive(&settings.data, &host.boot_id) } else { Vec::new() };
    session::end_orphans(&spool, &host, &settings.displays, |session| known.contains(&session));
    let (registry, status) = (Arc::new(Registry::default()), Arc::new(Status::default()));
    let desk = Arc::new(Desk::new()?);
    capture::forget_unused_code();
    let keeping = keep_sessions(Parts {
        settings: settings.clone(),
        host: host.clone(),
        spool: Arc::clone(&spool),
        registry: Arc::clone(&registry),
        status: Arc::clone(&status),
        desk: Arc::clone(&desk),
    })?;

    let (drain, end) = (CancellationToken::new(), CancellationToken::new());
    let keeper = {
        let (status, path, end) = (Arc::clone(&status), settings.data.join(status::FILE), end.clone());
        let spool = Arc::clone(&spool);
        tokio::spawn(async move { status.keep(path, spool, end).await })
    };
    let tidying = tokio::spawn(tidy(end.clone()));
    let ordering = {
        let (data, registry, end) = (settings.data.clone(), Arc::clone(&registry), end.clone());
        tokio::spawn(async move { order::take(&data, registry, end).await })
    };
    let certificate = settings.data.join(CERTIFICATE);
    let shared = Shared {
        spool,
        registry,
        status,
        desk: Arc::clone(&desk),
        host: host.name,
        system: system(),
        signer,
        certificate,
    };
    let uplink = Uplink { shared: Arc::new(shared), key, path, identity, join };
    let mut sending = start_uplink(uplink, drain.clone())?;

    let early = tokio::select! {
        () = stop.cancelled() => None,
        ended = &mut sending => Some(ended),
    };
    // First the recordings end, then what is queued of them is sent.
    desk.stop();
    let ending = tokio::task::spawn_blocking(move || keeping.join());
    let ended = tokio::time::timeout(PATIENCE, ending).await;
    drain.cancel();
    let sent = match early {
        Some(sent) => sent,
        None => sending.await,
    };
    end.cancel();
    keeper.await?;
    tidying.await?;
    ordering.await?;
    match ended {
        // The thread catches its panics itself where they matter.
        Ok(ended) => drop(ended?),
        Err(_) => tracing::error!("a display does not answer: its recording ends at the next start"),
    }
    sent.map_err(|_| AgentError::System(io::Error::other("the uplink failed")))?
}

/// Signs recordings with the agent's key.
fn signer(key: &Arc<NodeKey>) -> Signer {
    let signing = Arc::clone(key);
    Signer::new(key.public_bytes(), move |statement| signing.sign(statement))
}

/// Lets go of code that is not used any more: once the first pictures are recorded and sent, and now and then for what came since.
async fn tidy(end: CancellationToken) {
    let mut pause = Duration::from_secs(1);
    while tokio::time::timeout(pause, end.cancelled()).await.is_err() {
        if tokio::task::spawn_blocking(capture::forget_unused_code).await.is_err() {
            return;
        }
        pause = (pause * 4).min(TIDY);
    }
}

/// Runs the uplink on a thread of its own. With one thread that may block there is one heap that keeps the room of large
/// fragments, not one for each of the process's threads; and whatever else the process does, sending goes on.
fn start_uplink(
    uplink: Uplink,
    drain: CancellationToken,
) -> Result<oneshot::Receiver<Result<(), AgentError>>, AgentError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build()?;
    let (done, ended) = oneshot::channel();
    thread::Builder::new().name("uplink".into()).spawn(move || {
        let sent = runtime.block_on(uplink.run(drain));
        // Nobody listens any more only when the agent itself was given up.
        let _ = done.send(sent);
        runtime.shutdown_background();
    })?;
    Ok(ended)
}

/// Starts to record displays and to look after sessions.
fn keep_sessions(parts: Parts) -> Result<thread::JoinHandle<()>, AgentError> {
    let keeper = Keeper::start(parts)?;
    Ok(thread::Builder::new().name("keeper".into()).spawn(move || keeper.run())?)
}

fn token(settings: &ServerSettings) -> Result<Option<JoinToken>, AgentError> {
    let text = match (&settings.join, &settings.join_file) {
        (Some(text), _) => text.clone(),
        (None, Some(path)) => {
            std::fs::read_to_string(path).map_err(|source| AgentError::File { path: path.clone(), source })?
        }
        (None, None) => return Ok(None),
    };
    let token: JoinToken = text.parse()?;
    if token.kind != JoinKind::Agent {
        return Err(AgentError::TokenKind);
    }
    Ok(Some(token))
}

fn host_name(given: Option<&str>) -> String {
    let system = || nix::unistd::gethostname().ok().map(|name| name.to_string_lossy().into_owned());
    given
        .map(str::to_owned)
        .or_else(system)
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".into())
}

/// Name of the operating system, for people.
fn system() -> String {
    let text = std::fs::read_to_string(Path::new("/etc/os-release")).unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "Linux".into(), |name| name.trim_matches('"').chars().take(200).collect())
}
