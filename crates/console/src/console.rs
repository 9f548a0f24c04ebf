//! Starting and stopping a console.

use crate::{
    accounts::{Cookie, IDLE, LIFE, Limiter, PasswordError, Passwords, generate_password},
    api::{self, Downloads},
    clock::Clock,
    core::{Core, Homes, Shared},
    directories::{Directories, SecretError, keep_checking},
    sites::{InProcess, Sites},
    streams::Streams,
    token,
    web::Web,
};
use axum::Router;
use playhead_db::{
    DbError,
    console::{Account, Server, Store},
};
use playhead_model::{Role, ServerId, SiteId, WallTime};
use playhead_net::{Challenges, HttpMetrics, NetError, NodeKey, write_private};
use playhead_protocol::join::JoinToken;
use prometheus_client::{encoding::text::encode_registry, registry::Registry};
use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

/// Name of the administrator that is there from the first start on.
const FIRST_USER: &str = "admin";
/// File in the data folder with the generated password, where it is kept.
const PASSWORD_FILE: &str = "admin-password";
/// How often expired sessions and tokens are removed. They are void anyway.
const CLEAN_EVERY: Duration = Duration::from_secs(600);
/// How long a join token stays after it expired, so that who uses it is told so, microseconds.
const REMEMBER_TOKENS: i64 = 7 * 86_400_000_000;
/// How long tunnels may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// How a console is started.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Folder for the console's key and, where the database is not elsewhere, its SQLite file. Made when it is not there.
    pub data: PathBuf,
    /// The database, `sqlite:PATH` or `postgres://…`; `console.db` in the data folder when `None`.
    pub database: Option<String>,
    /// Whether the listener speaks TLS.
    pub secure: bool,
    /// Where recording servers reach this console, `https://host:port`.
    pub public_url: String,
    /// The certificate authority that they should trust there, DER; the system's when `None`.
    pub authority: Option<Vec<u8>>,
    /// What becomes of the first administrator's generated password.
    pub password: Password,
}

/// What becomes of the first administrator's generated password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Password {
    /// It must be changed at the first sign-in and is told once, at the very first start.
    Told,
    /// It must be changed at the first sign-in. Until then it is kept in the data folder, readable by its owner only: for programs whose
    /// output goes to a log.
    Filed,
    /// It may be kept, and is told at every start, for which it is kept in the data folder, readable by its owner only. For trying
    /// out and for scripts.
    Kept,
}

/// How to sign in for the first time.
#[derive(Clone, PartialEq, Eq)]
pub struct FirstSignIn {
    /// The user's name.
    pub user: String,
    /// The password. Never log it.
    pub password: String,
    /// The file that it is kept in, if it is.
    pub file: Option<PathBuf>,
}

impl std::fmt::Debug for FirstSignIn {
    /// Leaves the password out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FirstSignIn").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A site whose server runs in the same process.
pub struct LocalSite {
    /// The id that the site's database has.
    pub id: SiteId,
    /// Name of the site, used when it is new.
    pub name: String,
    /// Name of the server.
    pub server: String,
    /// Version of the server.
    pub version: String,
    /// The site's API.
    pub router: Router,
}

/// Why a console did not start.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// The data folder cannot be used.
    #[error("cannot use the folder {path}: {source}")]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database.
    #[error(transparent)]
    Database(#[from] DbError),
    /// Keys.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The first password could not be made.
    #[error("cannot make the administrator's password: {0}")]
    Password(String),
    /// The key of the directories' secrets.
    #[error("{0}")]
    Secrets(String),
    /// A directory cannot be worked on.
    #[error("{0}")]
    Directory(String),
    /// A join token could not be made.
    #[error("cannot make a join token: {0}")]
    Token(String),
}

impl From<PasswordError> for ConsoleError {
    fn from(error: PasswordError) -> Self {
        Self::Password(error.to_string())
    }
}

impl From<SecretError> for ConsoleError {
    fn from(error: SecretError) -> Self {
        Self::Secrets(error.to_string())
    }
}

/// A view on a running console for those who watch over it.
#[derive(Clone)]
pub struct Monitor(Shared);

impl Monitor {
    /// Appends all figures in OpenMetrics' text form, without its end mark.
    pub fn encode(&self, out: &mut String) {
        // A text takes everything.
        let _ = encode_registry(out, &self.0.registry);
    }

    /// What keeps the console from answering: nothing when it is ready.
    pub async fn not_ready(&self) -> Vec<String> {
        match timeout(GRACE, self.0.store.ping()).await {
            Ok(Ok(())) => Vec::new(),
            Ok(Err(error)) => vec![format!("the console's database does not answer: {error}")],
            Err(_) => vec![format!("the console's database did not answer within {} s", GRACE.as_secs())],
        }
    }
}

/// A running console.
pub struct Console {
    core: Shared,
    first_sign_in: Option<FirstSignIn>,
    attached: Mutex<Vec<ServerId>>,
}

impl Console {
    /// Opens the database, makes the first administrator when there is none, and gets ready to serve.
    ///
    /// # Errors
    /// A folder, file or database that cannot be used.
    pub async fn start(settings: Settings) -> Result<Self, ConsoleError> {
        Self::start_with(settings, Clock::system()).await
    }

    pub(crate) async fn start_with(settings: Settings, clock: Clock) -> Result<Self, ConsoleError> {
        let Settings { data, database, secure, public_url, authority, password } = settings;
        let folder = |source| ConsoleError::Folder { path: data.clone(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&data).map_err(folder)?;
        let key = NodeKey::load_or_create(&data.join("console.key"))?;
        let directories = Directories::open(&data)?;
        let store = Store::open(&database.unwrap_or_else(|| in_folder(&data))).await?;
        let passwords = tokio::task::spawn_blocking(Passwords::new)
            .await
            .map_err(|error| ConsoleError::Password(error.to_string()))??;
        let first_sign_in = first_sign_in(&store, &passwords, &data, password, clock.now()).await?;
        let mut registry = Registry::with_prefix("playhead_console");
        let http = HttpMetrics::new(&mut registry);
        let core = Arc::new(Core {
            sites: Sites::new(key, clock.clone()),
            store,
            clock,
            cookie: Cookie { secure },
            passwords,
            limiter: Limiter::new(),
            directories,
            streams: Streams::new(),
            challenges: Challenges::new()?,
            web: Web::default(),
            public_url,
            authority,
            started: Instant::now(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            homes: Homes::new(),
            downloads: Downloads::default(),
            registry,
            http,
        });
        let preparing = Arc::clone(&core);
        core.tasks.spawn_blocking(move || preparing.web.prepare());
        core.tasks.spawn(clean(Arc::clone(&core)));
        core.tasks.spawn(keep_checking(Arc::clone(&core)));
        Ok(Self { core, first_sign_in, attached: Mutex::default() })
    }

    /// All that the console serves: REST API, tunnels' entrance, web app.
    pub fn router(&self) -> Router {
        api::router(Arc::clone(&self.core))
    }

    /// Figures and readiness, for those who watch over the console.
    pub fn monitor(&self) -> Monitor {
        Monitor(Arc::clone(&self.core))
    }

    #[cfg(test)]
    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// The public key by which sites check this console's statements; unpadded URL-safe base64.
    pub fn public_key(&self) -> String {
        self.core.sites.public_key()
    }

    /// How to sign in for the first time, where that may be told.
    pub fn first_sign_in(&self) -> Option<&FirstSignIn> {
        self.first_sign_in.as_ref()
    }

    /// Makes a site in this process known and usable.
    ///
    /// # Errors
    /// The database failed.
    pub async fn attach(&self, local: LocalSite) -> Result<(), ConsoleError> {
        let now = self.core.clock.now();
        let new = Server {
            id: ServerId::from(Uuid::now_v7()),
            // A new site has the same id here as in its own database.
            site: local.id,
            name: local.server,
            // No key reads like this, so nobody can log in as this server.
            public_key: format!("in-process {}", local.id),
            version: local.version,
            connected_at: None,
            last_seen: None,
        };
        let server = self.core.store.attach(local.id, &new, &local.name, now).await?;
        self.core.store.server_connected(server.id, now).await?;
        self.core.sites.attach(server.site, server.id, Arc::new(InProcess(local.router)));
        self.attached.lock().unwrap_or_else(PoisonError::into_inner).push(server.id);
        Ok(())
    }

    /// Ends streams under way, so that a listener that was told to stop need not wait for live viewers.
    pub fn release(&self) {
        self.core.streams.end_all();
    }

    /// Ends streams and tunnels and closes the database. The listener should have stopped before.
    pub async fn shutdown(self) {
        self.core.stop.cancel();
        self.core.streams.end_all();
        self.core.tasks.close();
        if timeout(GRACE, self.core.tasks.wait()).await.is_err() {
            tracing::warn!("some tunnels did not end in time");
        }
        let attached = self.attached.into_inner().unwrap_or_else(PoisonError::into_inner);
        for server in attached {
            if let Err(error) = self.core.store.server_disconnected(server, self.core.clock.now()).await {
                tracing::warn!(%error, "cannot note that the recording server stopped");
            }
        }
        self.core.store.close().await;
    }

    /// Makes a join token for a recording server in the database of the console with these settings, whether it runs or not. Gives
    /// the token and when it expires.
    ///
    /// # Errors
    /// The database cannot be used.
    pub async fn server_token(
        settings: &Settings,
        site: Option<SiteId>,
        uses: u32,
        valid: Duration,
    ) -> Result<(JoinToken, WallTime), ConsoleError> {
        let database = settings.database.clone().unwrap_or_else(|| in_folder(&settings.data));
        let store = Store::open(&database).await?;
        let wanted = token::Wanted {
            url: &settings.public_url,
            authority: settings.authority.as_deref(),
            site,
            uses,
            made_by: "command line",
            now: Clock::system().now(),
            valid_micros: i64::try_from(valid.as_micros()).unwrap_or(i64::MAX),
        };
        let made = token::issue(&store, &wanted)
            .await
            .map_err(|problem| ConsoleError::Token(problem.detail().into()));
        store.close().await;
        made
    }
}

/// The database's address when nothing else is set.
pub(crate) fn in_folder(data: &Path) -> String {
    format!("sqlite:{}", data.join("console.db").display())
}

/// Makes the first administrator when there is no account yet, and tells how to sign in where that may be told.
async fn first_sign_in(
    store: &Store,
    passwords: &Passwords,
    data: &Path,
    handling: Password,
    now: WallTime,
) -> Result<Option<FirstSignIn>, ConsoleError> {
    let file = data.join(PASSWORD_FILE);
    if store.accounts().await? > 0 {
        return kept(store, passwords, file).await;
    }
    let password = generate_password()?;
    if handling != Password::Told {
        // Before the account: a crash in between leaves a password for nothing, which the next start replaces.
        write_private(&file, password.as_bytes())?;
    }
    let account = Account {
        id: Uuid::now_v7().to_string(),
        name: FIRST_USER.into(),
        password: passwords.hash(&password).await?,
        role: Role::Full,
        must_change_password: handling != Password::Kept,
    };
    // Another console on the same database may have been faster.
    let made = store.create_account(&account, now).await?;
    tracing::info!(user = FIRST_USER, made, "no account was there: made the administrator");
    let file = (handling != Password::Told).then_some(file);
    Ok(made.then_some(FirstSignIn { user: account.name, password, file }))
}

/// The password kept in the file, as long as it is still the administrator's.
async fn kept(
    store: &Store,
    passwords: &Passwords,
    file: PathBuf,
) -> Result<Option<FirstSignIn>, ConsoleError> {
    let failed = |source| ConsoleError::Folder { path: file.clone(), source };
    let password = match fs::read_to_string(&file) {
        Ok(password) => password,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    if let Some(account) = store.account(FIRST_USER).await?
        && passwords.verify(&password, Some(&account.password)).await?
    {
        return Ok(Some(FirstSignIn { user: account.name, password, file: Some(file) }));
    }
    tracing::info!("the administrator's password was changed: removing the file with the generated one");
    fs::remove_file(&file).map_err(failed)?;
    Ok(None)
}

/// Removes what has expired, now and then.
async fn clean(core: Shared) {
    let mut tick = interval(CLEAN_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = core.stop.cancelled() => break,
            _ = tick.tick() => {}
        }
        let now = core.clock.now();
        let (opened, used) = (now.plus_micros(-LIFE), now.plus_micros(-IDLE));
        match core.store.remove_expired(opened, used, now.plus_micros(-REMEMBER_TOKENS)).await {
            Ok(0) => {}
            Ok(removed) => tracing::debug!(removed, "removed expired sessions and join tokens"),
            Err(error) => tracing::warn!(%error, "cannot remove expired sessions and join tokens"),
        }
        if let Err(error) = core.store.remove_expired_api_tokens(now).await {
            tracing::warn!(%error, "cannot remove expired tokens of API clients");
        }
    }
}
