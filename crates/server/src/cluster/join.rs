//! What a server says of itself to the others of its site, and where they reach it.

use crate::{Durable, ServerError, Settings, VERSION, storage::Locations};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use playhead_db::site::NewServer;
use playhead_model::ServerId;
use playhead_net::{Authority, Listener, NodeKey};
use std::net::SocketAddr;

/// Listens for the other servers, where there may be any, and describes this one.
///
/// # Errors
/// An address that cannot be listened on; something that is to survive the server's loss and cannot.
pub(crate) async fn listen(
    settings: &Settings,
    authority: &Authority,
    mut names: Vec<String>,
    (server, key): (ServerId, &NodeKey),
    (has_peers, storage): (bool, &Locations),
) -> Result<(Option<Listener>, NewServer), ServerError> {
    let shared = is_shared(settings, has_peers, storage)?;
    let hostname = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let mut described = NewServer {
        id: server,
        name: settings.server_name.clone().or_else(|| hostname.clone()).unwrap_or_else(|| server.to_string()),
        url: String::new(),
        authority: URL_SAFE_NO_PAD.encode(authority.der()),
        public_key: key.public(),
        version: VERSION.into(),
        shared,
        lease_ms: u64::try_from(settings.lease.as_millis()).unwrap_or(u64::MAX),
    };
    if !has_peers {
        return Ok((None, described));
    }
    let wanted = settings.listen_peers.unwrap_or(SocketAddr::new(settings.listen_agents.ip(), 0));
    let told = settings.peers_url.as_deref().and_then(|url| url.parse::<http::Uri>().ok());
    names.extend(told.and_then(|url| Some(url.host()?.trim_matches(['[', ']']).to_owned())));
    if !wanted.ip().is_unspecified() {
        names.push(wanted.ip().to_string());
    }
    let listener = Listener::bind(wanted, Some(authority.server_config(&names)?)).await?;
    let bound = listener.address();
    described.url = settings.peers_url.clone().unwrap_or_else(|| {
        let host = match bound.ip() {
            ip if ip.is_unspecified() => hostname.unwrap_or_else(|| "localhost".into()),
            std::net::IpAddr::V6(ip) => format!("[{ip}]"),
            ip => ip.to_string(),
        };
        format!("https://{host}:{}", bound.port())
    });
    Ok((Some(listener), described))
}

/// Whether what is acknowledged is to be in shared storage.
fn is_shared(settings: &Settings, has_peers: bool, storage: &Locations) -> Result<bool, ServerError> {
    let mut usable = storage.all().iter().filter(|location| !location.settings.read_only);
    match settings.durable {
        Some(Durable::Disk) => Ok(false),
        None => Ok(has_peers && usable.any(|location| location.is_bucket())),
        Some(Durable::Shared) if !has_peers => {
            Err(ServerError::Durable("the site's database is a file of this server: give one on PostgreSQL"))
        }
        Some(Durable::Shared) if settings.storage.is_empty() || usable.next().is_none() => {
            Err(ServerError::Durable(
                "no storage that the site's servers share is set: give a bucket, or a folder that all of them mount",
            ))
        }
        Some(Durable::Shared) => Ok(true),
    }
}
