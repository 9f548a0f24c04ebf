//! Who the agent is at which site.

use crate::AgentError;
use playhead_model::{AgentId, SiteId};
use playhead_net::{DialError, Endpoint, NodeKey};
use playhead_protocol::{
    AGENT_ENROL_PATH,
    join::{Enrol, Enrolled, JoinToken},
};
use serde::{Deserialize, Serialize};
use std::{fs, io, path::Path};

/// What an agent got when it joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The server's address.
    pub(crate) url: String,
    /// The authority to trust there, DER in unpadded URL-safe base64; without it the system's authorities count.
    #[serde(default)]
    pub(crate) authority: Option<String>,
    /// Who the agent is.
    pub(crate) agent: AgentId,
    /// The site it belongs to.
    pub(crate) site: SiteId,
}

impl Identity {
    /// Reads it; `None` before the agent has joined.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(crate) fn load(path: &Path) -> Result<Option<Self>, AgentError> {
        let failed = |source| AgentError::File { path: path.to_owned(), source };
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| failed(error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Writes it for the next start.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn save(&self, path: &Path) -> Result<(), AgentError> {
        let json = serde_json::to_vec_pretty(self)
            .map_err(|error| AgentError::File { path: path.to_owned(), source: error.into() })?;
        Ok(playhead_net::write_private(path, &json)?)
    }

    /// The server as an endpoint to dial.
    ///
    /// # Errors
    /// An address or authority that makes no sense.
    pub(crate) fn endpoint(&self) -> Result<Endpoint, DialError> {
        Endpoint::trusting(&self.url, self.authority.as_deref())
    }

    /// The identity with which to go on when a join token is given as well: another address of the same authority is the
    /// same site, anything else means joining anew.
    pub(crate) fn reconcile(self, token: &JoinToken) -> Option<Self> {
        match self.url == token.url || (token.authority.is_some() && self.authority == token.authority) {
            true => Some(Self { url: token.url.clone(), authority: token.authority.clone(), ..self }),
            false => None,
        }
    }
}

/// Joins with a token.
///
/// # Errors
/// The server cannot be reached, or refuses.
pub(crate) async fn enrol(token: &JoinToken, key: &NodeKey, host: &str) -> Result<Identity, DialError> {
    let mut connection = Endpoint::of(token)?.connect().await?;
    let enrol = Enrol {
        secret: token.secret.clone(),
        host: host.to_owned(),
        public_key: key.public(),
        version: crate::VERSION.into(),
    };
    let Enrolled { agent, site } = connection.post(AGENT_ENROL_PATH, &enrol).await?;
    Ok(Identity { url: token.url.clone(), authority: token.authority.clone(), agent, site })
}

#[cfg(test)]
mod tests {
    use super::*;
    use playhead_protocol::join::JoinKind;

    #[test]
    fn an_identity_is_kept_and_moves_with_its_site() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.json");
        assert_eq!(Identity::load(&path).unwrap(), None);
        let identity = Identity {
            url: "https://a.example:1".into(),
            authority: Some("AAAA".into()),
            agent: AgentId::from_bytes([1; 16]),
            site: SiteId::from_bytes([2; 16]),
        };
        identity.save(&path).unwrap();
        assert_eq!(Identity::load(&path).unwrap(), Some(identity.clone()));
        let token = |url: &str, authority: Option<&str>| JoinToken {
            kind: JoinKind::Agent,
            url: url.into(),
            authority: authority.map(Into::into),
            secret: "s".into(),
        };
        let moved = identity.clone().reconcile(&token("https://a.example:2", Some("AAAA"))).unwrap();
        assert_eq!((moved.url.as_str(), moved.agent), ("https://a.example:2", identity.agent));
        assert_eq!(identity.clone().reconcile(&token("https://b.example:1", Some("BBBB"))), None);
        assert_eq!(identity.clone().reconcile(&token("https://b.example:1", None)), None);
        fs::write(&path, "{").unwrap();
        assert!(Identity::load(&path).unwrap_err().to_string().contains("identity.json"));
    }
}
