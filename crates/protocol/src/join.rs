//! Joining: how a new agent or recording server becomes known.
//!
//! An administrator makes a **join token** at the console. It names the address to join, the certificate authority to trust there, and
//! carries a secret that is good for a limited time and number of uses. The new program makes a key pair, presents the secret
//! with its public key once, and from then on proves itself by its key (see [`crate::login`]).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use playhead_model::{AgentId, ServerId, SiteId};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

const PREFIX: &str = "phj1_";
const MAX_LENGTH: usize = 16 << 10;

/// What a token lets its bearer become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JoinKind {
    /// A session host's agent, at a recording server.
    Agent,
    /// A recording server, at a console.
    Server,
}

impl JoinKind {
    /// The name used in JSON and databases.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Server => "server",
        }
    }
}

/// A join token, shown as one word that can be pasted into a command.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// What its bearer becomes.
    pub kind: JoinKind,
    /// Address to join, `https://host:port`.
    pub url: String,
    /// Certificate authority to trust there, DER in unpadded URL-safe base64. Without it the system's authorities count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// The secret.
    pub secret: String,
}

/// A text that is no join token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no join token: expected one word that starts with {PREFIX}, copied whole from the console")]
pub struct JoinTokenError;

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_vec(self).map_err(|_| fmt::Error)?;
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(json))
    }
}

impl fmt::Debug for JoinToken {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken").field("kind", &self.kind).field("url", &self.url).finish_non_exhaustive()
    }
}

impl FromStr for JoinToken {
    type Err = JoinTokenError;

    fn from_str(text: &str) -> Result<Self, JoinTokenError> {
        let text = text.trim();
        if text.len() > MAX_LENGTH {
            return Err(JoinTokenError);
        }
        let body = text.strip_prefix(PREFIX).ok_or(JoinTokenError)?;
        let json = URL_SAFE_NO_PAD.decode(body).map_err(|_| JoinTokenError)?;
        serde_json::from_slice(&json).map_err(|_| JoinTokenError)
    }
}

/// Body of an agent's enrolment.
#[derive(Serialize, Deserialize)]
pub struct Enrol {
    /// The token's secret.
    pub secret: String,
    /// Name of the session host.
    pub host: String,
    /// The agent's Ed25519 public key, unpadded URL-safe base64.
    pub public_key: String,
    /// Version of the agent.
    pub version: String,
}

/// Answer to [`Enrol`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// Who the agent is from now on.
    pub agent: AgentId,
    /// The site it belongs to.
    pub site: SiteId,
}

/// Body of a recording server's joining.
#[derive(Serialize, Deserialize)]
pub struct Join {
    /// The token's secret.
    pub secret: String,
    /// Name of the server.
    pub name: String,
    /// The server's Ed25519 public key, unpadded URL-safe base64.
    pub public_key: String,
    /// The site as its database knows it. Servers that share a site database say the same.
    pub site: SiteId,
    /// Version of the server.
    pub version: String,
}

/// Answer to [`Join`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// Who the server is at this console.
    pub server: ServerId,
    /// The console's Ed25519 public key, by which the site checks its statements; unpadded URL-safe base64.
    pub console_key: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> JoinToken {
        JoinToken {
            kind: JoinKind::Agent,
            url: "https://records.example:8443".into(),
            authority: Some("AAAA".into()),
            secret: "s3cret".into(),
        }
    }

    #[test]
    fn a_token_is_one_word_and_reads_back() {
        let text = token().to_string();
        assert!(text.starts_with("phj1_") && !text.contains(char::is_whitespace));
        assert_eq!(format!("  {text}\n").parse(), Ok(token()));
    }

    #[test]
    fn a_cut_token_is_refused_and_debug_hides_the_secret() {
        let text = token().to_string();
        assert_eq!(text[..text.len() - 3].parse::<JoinToken>(), Err(JoinTokenError));
        assert_eq!("phj1_".parse::<JoinToken>(), Err(JoinTokenError));
        assert!(!format!("{:?}", token()).contains("s3cret"));
    }
}
