//! OpenID Connect: people are sent to their provider, and come back with a code for a signed token.

mod flow;
mod http;
mod token;

#[cfg(test)]
mod tests;

pub(crate) use flow::{Attempt, MOST_AGE};
pub(crate) use http::escaped;

use super::{
    ldap::{Step, Steps, Verdict},
    settings::{OpenIdSettings, tls},
};
use playhead_model::WallTime;
use playhead_net::DialError;
use rustls::ClientConfig;
use serde::Deserialize;
use std::sync::{Arc, Mutex, PoisonError};
use token::{Key, Keys, TokenError};

/// How long what a provider says of itself is believed without asking again.
const KNOWN_FOR: i64 = 3_600_000_000;
/// How long at least between two looks at its keys, so that tokens with made-up keys cost it nothing.
const KEYS_EVERY: i64 = 10_000_000;

/// A provider as it is to be asked.
pub(crate) struct Provider {
    settings: OpenIdSettings,
    secret: Option<String>,
    tls: Arc<ClientConfig>,
    known: Mutex<Known>,
}

/// What is remembered of a provider.
#[derive(Default)]
struct Known {
    discovered: Option<(Arc<Discovered>, WallTime)>,
    keys: Option<(Arc<Vec<Key>>, WallTime)>,
}

/// What a provider says of itself.
#[derive(Debug, Deserialize)]
struct Discovered {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    code_challenge_methods_supported: Option<Vec<String>>,
}

/// Why a provider could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenIdError {
    /// The settings are not good any more.
    #[error("{0}")]
    Settings(String),
    /// It cannot be reached.
    #[error("cannot ask the provider at {address}: {source}")]
    Away { address: String, source: DialError },
    /// It answers something else.
    #[error("expected {expected} at {address}, got {actual}")]
    Answer { address: String, expected: &'static str, actual: String },
    /// It calls itself something else.
    #[error(
        "expected the provider to call itself '{expected}', got '{actual}': the issuer must be the same to the letter"
    )]
    Issuer { expected: String, actual: String },
    /// It refused the code.
    #[error("the provider refused to give a token: {0}")]
    Refused(String),
    /// The token is not believed.
    #[error("the provider's token is not believed: {0}")]
    Token(#[from] TokenError),
    /// It does not say what it must.
    #[error("the provider gives no claim '{0}': see to its scopes and mappers, or set another claim")]
    Missing(String),
}

/// Who came back from a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Visitor {
    /// The provider's own name for the person, which stays.
    pub(crate) subject: String,
    /// What the person signs in with.
    pub(crate) name: String,
    /// The person's groups.
    pub(crate) groups: Vec<String>,
}

impl Provider {
    /// The provider with these settings.
    ///
    /// # Errors
    /// The settings will not do.
    pub(crate) fn new(settings: OpenIdSettings, secret: Option<String>) -> Result<Self, OpenIdError> {
        let settings = settings.settle().map_err(OpenIdError::Settings)?;
        let tls = tls(settings.authority.as_deref()).map_err(OpenIdError::Settings)?;
        Ok(Self { settings, secret, tls, known: Mutex::default() })
    }

    /// What the provider says of itself; when it does not answer, what it said before.
    async fn discovered(&self, now: WallTime) -> Result<Arc<Discovered>, OpenIdError> {
        let before = self.known().discovered.clone();
        if let Some((known, at)) = &before
            && now.as_micros() - at.as_micros() < KNOWN_FOR
        {
            return Ok(Arc::clone(known));
        }
        let found = self.discover().await;
        match (found, before) {
            (Ok(found), _) => {
                let found = Arc::new(found);
                self.known().discovered = Some((Arc::clone(&found), now));
                Ok(found)
            }
            (Err(OpenIdError::Away { .. }), Some((known, _))) => Ok(known),
            (Err(error), _) => Err(error),
        }
    }

    async fn discover(&self) -> Result<Discovered, OpenIdError> {
        let issuer = &self.settings.issuer;
        let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let found: Discovered = self.get(&address, None).await?;
        if found.issuer != *issuer {
            let actual = found.issuer.chars().take(200).collect();
            return Err(OpenIdError::Issuer { expected: issuer.clone(), actual });
        }
        let mut addresses = vec![&found.authorization_endpoint, &found.token_endpoint, &found.jwks_uri];
        addresses.extend(&found.userinfo_endpoint);
        addresses.extend(&found.end_session_endpoint);
        for endpoint in addresses {
            super::settings::check_address(endpoint, "address of the provider").map_err(|actual| {
                OpenIdError::Answer { address: address.clone(), expected: "safe addresses", actual }
            })?;
        }
        Ok(found)
    }

    /// The keys that it signs with. Asked for again when `fresh` is wanted, but not too often.
    async fn keys(&self, now: WallTime, fresh: bool) -> Result<Arc<Vec<Key>>, OpenIdError> {
        let before = self.known().keys.clone();
        let good_for = if fresh { KEYS_EVERY } else { KNOWN_FOR };
        if let Some((keys, at)) = &before
            && now.as_micros() - at.as_micros() < good_for
        {
            return Ok(Arc::clone(keys));
        }
        let discovered = self.discovered(now).await?;
        let keys: Keys = self.get(&discovered.jwks_uri, None).await?;
        let keys = Arc::new(keys.usable());
        self.known().keys = Some((Arc::clone(&keys), now));
        Ok(keys)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries everything that can be tried without a person.
    pub(crate) async fn probe(&self, redirect: &str) -> Vec<Step> {
        let mut steps = Steps::new();
        let found = match self.discover().await {
            Ok(found) => found,
            Err(error) => return steps.fail("discovery", &error, &["keys"]),
        };
        let methods = found.code_challenge_methods_supported.as_ref();
        if methods.is_some_and(|methods| !methods.iter().any(|method| method == "S256")) {
            let text = "The provider answers, but does not offer PKCE with S256; it is used all the same.";
            steps.add("discovery", Verdict::Doubtful, text);
        } else {
            steps.add("discovery", Verdict::Ok, format!("The provider calls itself {}.", found.issuer));
        }
        match self.get::<Keys>(&found.jwks_uri, None).await.map(Keys::usable) {
            Ok(keys) if keys.is_empty() => {
                steps.add(
                    "keys",
                    Verdict::Failed,
                    "It publishes no key that signatures could be checked with.",
                );
            }
            Ok(keys) => {
                steps.add("keys", Verdict::Ok, format!("Keys that it publishes: {}.", keys.len()));
                let text = format!(
                    "Whether it knows “{}”, with the address {redirect} to come back to, shows at the first sign-in.",
                    self.settings.client_id
                );
                steps.add("client", Verdict::Doubtful, text);
            }
            Err(error) => return steps.fail("keys", &error, &[]),
        }
        steps.steps
    }
}
