//! The way to the server: joining once, connecting again and again, sending what is queued.

mod lane;
mod link;
mod renumber;
#[cfg(test)]
mod tests;

use crate::{
    AgentError,
    control::Registry,
    identity::{self, Identity},
    sessions::Desk,
    spool::Spool,
    status::Status,
};
use link::LinkError;
use playhead_format::Signer;
use playhead_net::{DialError, NodeKey, Upgraded};
use playhead_protocol::{AGENT_CONNECT_PATH, AGENT_UPGRADE, join::JoinToken};
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);
/// How long an attempt to connect may still take once the agent stops.
const LAST_ATTEMPT: Duration = Duration::from_secs(5);

/// What the connection needs of the rest of the agent.
pub(crate) struct Shared {
    pub(crate) spool: Arc<Spool>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) status: Arc<Status>,
    /// What the server is to hear of sessions, and what it says of them.
    pub(crate) desk: Arc<Desk>,
    /// Name of this machine.
    pub(crate) host: String,
    /// Its operating system, for people.
    pub(crate) system: String,
    /// Signs with the agent's key.
    pub(crate) signer: Signer,
    /// Where the agent's certificate is kept.
    pub(crate) certificate: PathBuf,
}

impl Shared {
    /// Keeps the certificate that the site has issued, so that it can be given to those who verify recordings.
    fn certified(&self, certificate: &str) {
        let known = std::fs::read_to_string(&self.certificate).is_ok_and(|known| known == certificate);
        if certificate.is_empty() || known {
            return;
        }
        match playhead_net::write_private(&self.certificate, certificate.as_bytes()) {
            Ok(()) => tracing::info!(path = %self.certificate.display(), "the site has issued a certificate"),
            Err(error) => tracing::warn!(%error, "cannot keep the certificate that the site has issued"),
        }
    }

    fn connected(&self) {
        self.status.server(|server| (server.connected, server.error) = (true, None));
    }

    fn disconnected(&self, error: String) {
        self.status.server(|server| (server.connected, server.error) = (false, Some(error)));
    }
}

/// Who the agent is and how it joins.
pub(crate) struct Uplink {
    pub(crate) shared: Arc<Shared>,
    pub(crate) key: Arc<NodeKey>,
    /// Where the identity is kept.
    pub(crate) path: PathBuf,
    pub(crate) identity: Option<Identity>,
    pub(crate) join: Option<JoinToken>,
}

/// Pauses between attempts: longer each time, and never quite the same, so that many agents do not come back at once.
struct Backoff(Duration);

impl Backoff {
    fn next(&mut self) -> Duration {
        let mut random = [0];
        // Without random bytes the pauses are merely regular.
        let _ = getrandom::fill(&mut random);
        let pause = self.0.mul_f64(0.5 + f64::from(random[0]) / 256.0);
        self.0 = (self.0 * 2).min(LONGEST);
        pause
    }
}

impl Uplink {
    /// Sends what is queued until `drain` is cancelled and all is sent, or no more can be.
    ///
    /// # Errors
    /// The server refuses the join token: nothing can ever be sent.
    pub(crate) async fn run(mut self, drain: CancellationToken) -> Result<(), AgentError> {
        let mut backoff = Backoff(SHORTEST);
        let mut told = String::new();
        loop {
            // What was queued last has one more try, however the one before went.
            let is_last = drain.is_cancelled();
            let connected = tokio::select! {
                connected = self.connect() => connected,
                () = late(&drain) => return Ok(()),
            };
            let error = match connected {
                Ok(stream) => {
                    (backoff, told) = (Backoff(SHORTEST), String::new());
                    let began = Instant::now();
                    match link::talk(stream, &self.shared, &drain).await {
                        Ok(()) => return Ok(()),
                        // Another server waits. One that says so at once is not asked again without a pause.
                        Err(LinkError::Elsewhere) if began.elapsed() > LONGEST => {
                            tracing::info!("the server sends this agent to another one of its site");
                            continue;
                        }
                        Err(error) => error.to_string(),
                    }
                }
                Err(AgentError::Dial(error)) => error.to_string(),
                Err(fatal) => return Err(fatal),
            };
            self.shared.disconnected(error.clone());
            if error != told {
                tracing::warn!(
                    error,
                    "no connection to the server: recordings are queued here, trying again until it works"
                );
                told = error;
            }
            if is_last {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next()) => {}
                () = drain.cancelled() => {}
            }
        }
    }

    async fn connect(&mut self) -> Result<Upgraded, AgentError> {
        let identity = match &self.identity {
            Some(identity) => identity.clone(),
            None => self.enrol().await?,
        };
        let url = identity.url.clone();
        self.shared.status.server(|server| server.url = Some(url));
        match self.log_in(&identity).await {
            Err(DialError::Refused { status, detail }) if is_final(status) && self.join.is_some() => {
                tracing::warn!(%status, detail, "the server does not know this agent: joining again");
                match self.enrol().await {
                    Ok(identity) => Ok(self.log_in(&identity).await?),
                    // What is queued still belongs to the site that once took this agent in: it must not stop.
                    Err(AgentError::Join { .. }) => Err(DialError::Refused { status, detail }.into()),
                    Err(other) => Err(other),
                }
            }
            other => Ok(other?),
        }
    }

    async fn log_in(&self, identity: &Identity) -> Result<Upgraded, DialError> {
        let connection = identity.endpoint()?.connect().await?;
        let agent = identity.agent.to_string();
        connection.log_in(AGENT_CONNECT_PATH, AGENT_UPGRADE, "agent", &agent, &self.key).await
    }

    /// Joins with the token, once.
    async fn enrol(&mut self) -> Result<Identity, AgentError> {
        let Some(token) = &self.join else { return Err(AgentError::NoToken) };
        match identity::enrol(token, &self.key, &self.shared.host).await {
            Ok(identity) => {
                identity.save(&self.path)?;
                tracing::info!(agent = %identity.agent, site = %identity.site, url = identity.url, "joined the site");
                self.join = None;
                self.identity = Some(identity.clone());
                Ok(identity)
            }
            Err(DialError::Refused { status, detail }) if is_final(status) => {
                Err(AgentError::Join { url: token.url.clone(), status: status.to_string(), detail })
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether asking again would be answered the same.
fn is_final(status: http::StatusCode) -> bool {
    use http::StatusCode;
    status.is_client_error() && !matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

/// Returns when the agent has stopped and a connection would come too late.
async fn late(drain: &CancellationToken) {
    drain.cancelled().await;
    tokio::time::sleep(LAST_ATTEMPT).await;
}

#[cfg(test)]
mod backoff_tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_within_bounds() {
        let mut backoff = Backoff(SHORTEST);
        let pauses: Vec<Duration> = (0..20).map(|_| backoff.next()).collect();
        assert!(pauses[0] >= SHORTEST / 2 && pauses[0] < SHORTEST * 2);
        assert!(pauses.iter().all(|pause| *pause < LONGEST * 2));
        assert!(pauses[19] >= LONGEST / 2);
    }
}
