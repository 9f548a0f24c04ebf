//! The connection that this server keeps to its console. The console cannot reach the server, so the server dials; then the roles turn
//! round, and the console asks over the same connection.

use crate::{ServerError, Settings, VERSION, api, core::Shared};
use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hyper::{Request, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use playhead_db::site::Site;
use playhead_model::ServerId;
use playhead_net::{DialError, Endpoint, NodeKey, Upgraded};
use playhead_protocol::{
    TUNNEL_CONNECT_PATH, TUNNEL_JOIN_PATH, TUNNEL_UPGRADE,
    join::{Join, JoinKind, JoinToken, Joined},
};
use serde::{Deserialize, Serialize};
use std::{fs, path::Path, time::Duration};
use tower::ServiceExt as _;

/// Purpose that a server's proof is signed for.
const PURPOSE: &str = "tunnel";
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// A connection that lasted this long was a good one: the waiting begins anew after it.
const GOOD: Duration = Duration::from_secs(30);
const PING: Duration = Duration::from_secs(10);

/// What a server remembers of the console it has joined.
#[derive(Serialize, Deserialize)]
pub(crate) struct Link {
    url: String,
    /// The authority to trust there, DER in unpadded URL-safe base64.
    authority: Option<String>,
    server: ServerId,
    console_key: String,
    /// The key that the console knows this server by.
    public_key: String,
}

impl Link {
    pub(crate) fn console_key(&self) -> &str {
        &self.console_key
    }

    fn endpoint(&self) -> Result<Endpoint, DialError> {
        endpoint(&self.url, self.authority.as_deref())
    }
}

fn endpoint(url: &str, authority: Option<&str>) -> Result<Endpoint, DialError> {
    let authority = authority
        .map(|text| URL_SAFE_NO_PAD.decode(text))
        .transpose()
        .map_err(|error| DialError::Answer(format!("the certificate authority cannot be read: {error}")))?;
    Endpoint::new(url, authority.as_deref())
}

/// The link to the console: made now when there is a token, or the one of an earlier start. `None` without either.
pub(crate) async fn link(
    settings: &Settings,
    data: &Path,
    site: &Site,
    key: &NodeKey,
) -> Result<Option<Link>, ServerError> {
    let path = data.join("console.json");
    let known = match fs::read(&path) {
        Ok(bytes) => Some(
            serde_json::from_slice::<Link>(&bytes)
                .map_err(|error| ServerError::Content { path: path.clone(), reason: error.to_string() })?,
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(source) => return Err(ServerError::Data { path, source }),
    };
    let is_known = |link: &Link| link.public_key == key.public();
    let Some(token) = &settings.console else {
        if let Some(link) = known.as_ref().filter(|link| !is_known(link)) {
            tracing::error!(
                console = link.url,
                "the console knows this server by another key than server.key: start it once with a new join token"
            );
        }
        return Ok(known);
    };
    if token.kind != JoinKind::Server {
        return Err(ServerError::TokenKind);
    }
    // The token stays in a unit file or a shell's history; it is used up after the first start, which is as it should be.
    if let Some(known) = known.filter(|known| known.url == token.url && is_known(known)) {
        return Ok(Some(known));
    }
    let link = join(settings, token, site, key).await?;
    // A struct of texts always serialises.
    let json = serde_json::to_vec_pretty(&link).unwrap_or_default();
    playhead_net::write_private(&path, &json)?;
    tracing::info!(console = link.url, server = %link.server, "joined the console");
    Ok(Some(link))
}

async fn join(settings: &Settings, token: &JoinToken, site: &Site, key: &NodeKey) -> Result<Link, DialError> {
    let endpoint = endpoint(&token.url, token.authority.as_deref())?;
    let name = settings.name.clone().unwrap_or_else(|| {
        let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        name.unwrap_or_else(|| site.name.clone())
    });
    let join = Join {
        secret: token.secret.clone(),
        name,
        public_key: key.public(),
        site: site.id,
        version: VERSION.into(),
    };
    let Joined { server, console_key } = endpoint.connect().await?.post(TUNNEL_JOIN_PATH, &join).await?;
    let (url, authority) = (token.url.clone(), token.authority.clone());
    Ok(Link { url, authority, server, console_key, public_key: key.public() })
}

/// Keeps the tunnel up until the server stops.
pub(crate) async fn keep(core: Shared, link: Link, key: NodeKey) {
    let mut wait = FIRST_WAIT;
    while !core.stop.is_cancelled() {
        let began = tokio::time::Instant::now();
        let outcome = tokio::select! {
            () = core.stop.cancelled() => return,
            connected = connect(&link, &key) => connected,
        };
        match outcome {
            Ok(stream) => {
                tracing::info!(console = link.url, "connected to the console");
                serve(&core, stream).await;
                if core.stop.is_cancelled() {
                    return;
                }
                tracing::warn!(console = link.url, "the connection to the console ended; dialling again");
            }
            Err(error) => {
                tracing::warn!(console = link.url, %error, "cannot connect to the console; dialling again");
            }
        }
        if began.elapsed() > GOOD {
            wait = FIRST_WAIT;
        }
        tokio::select! {
            () = core.stop.cancelled() => return,
            () = tokio::time::sleep(jittered(wait)) => {}
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Between half and all of it, so that the servers of a console that was restarted do not come back all at once.
fn jittered(wait: Duration) -> Duration {
    let mut byte = [128];
    // Without random bytes the middle will do.
    let _ = getrandom::fill(&mut byte);
    wait / 2 + wait * u32::from(byte[0]) / 512
}

async fn connect(link: &Link, key: &NodeKey) -> Result<Upgraded, DialError> {
    let connection = link.endpoint()?.connect().await?;
    connection.log_in(TUNNEL_CONNECT_PATH, TUNNEL_UPGRADE, PURPOSE, &link.server.to_string(), key).await
}

/// Answers what the console asks, until the connection ends or the server stops.
async fn serve(core: &Shared, stream: Upgraded) {
    let router = api::router(core.clone());
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        router.clone().oneshot(request.map(Body::new))
    });
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .max_concurrent_streams(1_024)
        .max_header_list_size(64 << 10)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20);
    let connection = builder.serve_connection(stream.into_inner(), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = core.stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let ending = tokio::time::timeout(Duration::from_secs(5), connection).await;
            ending.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "tunnel ended");
    }
}
