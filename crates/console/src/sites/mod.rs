//! The sites: which of their servers are connected, and asking them on a person's behalf.

mod client;
mod fan_out;
mod statement;
#[cfg(test)]
mod tests;
mod tunnel;

pub(crate) use client::{InProcess, SiteClient};
pub(crate) use fan_out::{ask_all, ask_for};
pub(crate) use tunnel::routes as tunnel_routes;

use crate::{accounts::Caller, clock::Clock, problem::Problem};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use playhead_model::{ServerId, SiteId};
use playhead_net::NodeKey;
use playhead_protocol::STATEMENT_HEADER;
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// The ways to all sites that are connected now.
pub(crate) struct Sites {
    links: RwLock<HashMap<SiteId, Vec<Link>>>,
    key: NodeKey,
    clock: Clock,
    last_link: AtomicU64,
    turn: AtomicUsize,
}

/// One connected server.
struct Link {
    number: u64,
    server: ServerId,
    client: Arc<dyn SiteClient>,
}

/// Which site is meant, with the name that people know it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SiteName {
    pub(crate) id: SiteId,
    pub(crate) name: String,
}

/// A request for a site, kept so that it can be sent again by another way.
#[derive(Debug, Clone)]
pub(crate) struct SiteRequest {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl SiteRequest {
    /// A GET without headers.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), headers: HeaderMap::new(), body: Bytes::new() }
    }
}

impl Sites {
    pub(crate) fn new(key: NodeKey, clock: Clock) -> Self {
        Self { links: RwLock::default(), key, clock, last_link: AtomicU64::new(0), turn: AtomicUsize::new(0) }
    }

    /// The public key by which sites check statements.
    pub(crate) fn public_key(&self) -> String {
        self.key.public()
    }

    /// Makes a server's connection usable and returns its number. An earlier connection of the same server gives way: it
    /// has most likely died without a word.
    pub(crate) fn attach(&self, site: SiteId, server: ServerId, client: Arc<dyn SiteClient>) -> u64 {
        let number = self.last_link.fetch_add(1, Ordering::Relaxed);
        let mut links = self.links.write().unwrap_or_else(PoisonError::into_inner);
        let links = links.entry(site).or_default();
        links.retain(|link| link.server != server);
        links.push(Link { number, server, client });
        number
    }

    /// Forgets a connection. `false` when another one of the same server has taken its place already.
    pub(crate) fn detach(&self, site: SiteId, number: u64) -> bool {
        let mut all = self.links.write().unwrap_or_else(PoisonError::into_inner);
        let Some(links) = all.get_mut(&site) else { return false };
        let before = links.len();
        links.retain(|link| link.number != number);
        let found = links.len() < before;
        if links.is_empty() {
            all.remove(&site);
        }
        found
    }

    /// The servers that are connected.
    pub(crate) fn connected(&self) -> HashSet<ServerId> {
        let links = self.links.read().unwrap_or_else(PoisonError::into_inner);
        let open = links.values().flatten().filter(|link| link.client.is_open());
        open.map(|link| link.server).collect()
    }

    /// Asks a site and waits up to `patience` for the head of its answer. With several servers they take turns; one whose
    /// connection breaks is passed over where the request changes nothing.
    pub(crate) async fn ask(
        &self,
        site: &SiteName,
        caller: &Caller,
        request: &SiteRequest,
        patience: Duration,
    ) -> Result<Response<Body>, Problem> {
        let deadline = Instant::now() + patience;
        let mut ways = self.ways(site.id).into_iter();
        let mut broken = None;
        for client in ways.by_ref() {
            let signed = self.signed(caller, request)?;
            match timeout_at(deadline, client.send(signed)).await {
                Ok(Ok(response)) => return checked(site, response),
                Ok(Err(error)) => {
                    tracing::warn!(site = %site.id, %error, "a recording server did not answer");
                    broken = Some(error);
                    if !request.method.is_safe() {
                        break;
                    }
                }
                Err(_) => {
                    return Err(Problem::site_late(format!(
                        "Site “{}” did not answer within {} s. Try again; when it goes on, look at its recording servers.",
                        site.name,
                        patience.as_secs()
                    )));
                }
            }
        }
        Err(match broken {
            Some(error) => Problem::site_failed(format!(
                "The connection to site “{}” broke before it answered ({error}). Try again.",
                site.name
            )),
            None => Problem::site_not_connected(format!(
                "No recording server of site “{}” is connected. Start one, or check that it reaches this console.",
                site.name
            )),
        })
    }

    /// The open ways to a site, each time beginning with the next one.
    fn ways(&self, site: SiteId) -> Vec<Arc<dyn SiteClient>> {
        let links = self.links.read().unwrap_or_else(PoisonError::into_inner);
        let open = links.get(&site).into_iter().flatten().filter(|link| link.client.is_open());
        let mut ways: Vec<_> = open.map(|link| Arc::clone(&link.client)).collect();
        if !ways.is_empty() {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % ways.len();
            ways.rotate_left(turn);
        }
        ways
    }

    fn signed(&self, caller: &Caller, request: &SiteRequest) -> Result<Request<Body>, Problem> {
        let mut signed = Request::builder()
            .method(&request.method)
            // HTTP/2 wants a whole address; a site does not look at this one.
            .uri(format!("http://site{}", request.path))
            .body(Body::from(request.body.clone()))
            .map_err(|_| Problem::bad_request("The address holds characters that cannot be sent on."))?;
        *signed.headers_mut() = request.headers.clone();
        let statement = statement::sign(&self.key, caller, self.clock.now());
        signed.headers_mut().insert(STATEMENT_HEADER, statement);
        Ok(signed)
    }
}

/// An answer that may be handed on. A site's own 401 is about this console, not about the person at it.
fn checked(site: &SiteName, response: Response<Body>) -> Result<Response<Body>, Problem> {
    if response.status() == http::StatusCode::UNAUTHORIZED {
        return Err(Problem::site_failed(format!(
            "Site “{}” did not accept this console's statement of who asks. Check that the clocks of both machines \
             are right; if they are, join the site's recording server to this console again.",
            site.name
        )));
    }
    Ok(response)
}
