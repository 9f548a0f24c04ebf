//! The way there and back: authorization code with PKCE, state and nonce (OpenID Connect Core 3.1, RFC 7636, RFC 9207).

use super::{
    OpenIdError, Provider, Visitor,
    http::{escape, form, with_query},
    token::{self, Claims, Expected, TokenError},
};
use aws_lc_rs::digest::{SHA256, digest};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use playhead_model::WallTime;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashSet;

/// How long somebody may take to come back, seconds.
pub(crate) const MOST_AGE: i64 = 600;
/// Most groups of one person that count.
const MOST_GROUPS: usize = 2000;

/// Somebody's way to a provider. It stays in that person's browser, as a cookie: it is their own secret, and any console of a site can
/// take them back in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attempt {
    /// The directory's id.
    pub(crate) directory: String,
    /// What the provider gives back with the browser.
    pub(crate) state: String,
    nonce: String,
    verifier: String,
    /// The page to go to afterwards.
    pub(crate) to: String,
    /// When it began, seconds since 1970.
    began: i64,
}

/// What the token endpoint answers.
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: Option<String>,
}

/// What it answers otherwise.
#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl Attempt {
    /// A new one, with secrets of its own.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub(crate) fn new(directory: &str, to: &str, now: WallTime) -> Result<Self, getrandom::Error> {
        Ok(Self {
            directory: directory.to_owned(),
            state: random()?,
            nonce: random()?,
            verifier: random()?,
            to: to.to_owned(),
            began: seconds(now),
        })
    }

    /// As a cookie's value.
    pub(crate) fn to_text(&self) -> String {
        // A struct of texts and a number always serialises.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// From a cookie's value, unless it is too old.
    pub(crate) fn read(text: &str, now: WallTime) -> Option<Self> {
        let attempt: Self = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let age = seconds(now) - attempt.began;
        (0..=MOST_AGE).contains(&age).then_some(attempt)
    }
}

impl Provider {
    /// Where to send somebody who wants to sign in.
    ///
    /// # Errors
    /// The provider does not say.
    pub(crate) async fn way_there(
        &self,
        attempt: &Attempt,
        redirect: &str,
        now: WallTime,
    ) -> Result<String, OpenIdError> {
        let discovered = self.discovered(now).await?;
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, attempt.verifier.as_bytes()));
        let mut scope = "openid".to_owned();
        for more in &self.settings.scopes {
            scope.push(' ');
            scope.push_str(more);
        }
        Ok(with_query(
            &discovered.authorization_endpoint,
            &[
                ("response_type", "code"),
                ("client_id", &self.settings.client_id),
                ("redirect_uri", redirect),
                ("scope", &scope),
                ("state", &attempt.state),
                ("nonce", &attempt.nonce),
                ("code_challenge", &challenge),
                ("code_challenge_method", "S256"),
            ],
        ))
    }

    /// Where to send somebody who signs out, if the provider wants to know.
    pub(crate) async fn way_out(&self, back: &str, now: WallTime) -> Option<String> {
        let discovered = self.discovered(now).await.ok()?;
        let end = discovered.end_session_endpoint.as_deref()?;
        let client = &self.settings.client_id;
        Some(with_query(end, &[("client_id", client), ("post_logout_redirect_uri", back)]))
    }

    /// Who it is that came back with a code.
    ///
    /// # Errors
    /// The provider refuses the code, or what it says is not believed.
    pub(crate) async fn welcome(
        &self,
        attempt: &Attempt,
        code: &str,
        issuer: Option<&str>,
        redirect: &str,
        now: WallTime,
    ) -> Result<Visitor, OpenIdError> {
        let expected = &self.settings.issuer;
        if let Some(issuer) = issuer
            && issuer != expected
        {
            let actual = issuer.chars().take(200).collect();
            return Err(OpenIdError::Issuer { expected: expected.clone(), actual });
        }
        let tokens = self.redeem(attempt, code, redirect, now).await?;
        let claims = self.signed(&tokens.id_token, now).await?;
        self.expected(&attempt.nonce, now).check(&claims)?;
        let claims = self.with_more(claims, tokens.access_token.as_deref(), now).await?;
        self.visitor(&claims)
    }

    /// Who has left the provider, as it says by this token: the person's subject, and the time up to which their sessions end.
    ///
    /// # Errors
    /// What it says is not believed.
    pub(crate) async fn farewell(
        &self,
        token: &str,
        now: WallTime,
    ) -> Result<(String, WallTime), OpenIdError> {
        let claims = self.signed(token, now).await?;
        let (subject, at) = self.expected("", now).farewell(&claims)?;
        // By the provider's clock, which may be behind; and whole seconds.
        let until = at.saturating_add(i64::from(self.settings.clock_skew_seconds) + 1);
        Ok((subject.to_owned(), WallTime::from_micros(until.saturating_mul(1_000_000))))
    }

    /// The claims of a token that the provider has signed.
    async fn signed(&self, token: &str, now: WallTime) -> Result<Claims, OpenIdError> {
        let keys = self.keys(now, false).await?;
        Ok(match token::open(token, &keys) {
            // The provider may have changed its keys.
            Err(TokenError::UnknownKey(_)) => token::open(token, &self.keys(now, true).await?[..]),
            opened => opened,
        }?)
    }

    fn expected<'a>(&'a self, nonce: &'a str, now: WallTime) -> Expected<'a> {
        Expected {
            issuer: &self.settings.issuer,
            client: &self.settings.client_id,
            nonce,
            now: seconds(now),
            skew: self.settings.clock_skew_seconds.into(),
        }
    }

    async fn redeem(
        &self,
        attempt: &Attempt,
        code: &str,
        redirect: &str,
        now: WallTime,
    ) -> Result<Tokens, OpenIdError> {
        let discovered = self.discovered(now).await?;
        let address = &discovered.token_endpoint;
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect),
            ("client_id", &self.settings.client_id),
            ("code_verifier", &attempt.verifier),
        ];
        let mut headers = HeaderMap::new();
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(header::CONTENT_TYPE, form_type);
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let methods = &discovered.token_endpoint_auth_methods_supported;
        // Basic is what counts where a provider says nothing.
        let posts = !methods.is_empty() && !methods.iter().any(|method| method == "client_secret_basic");
        match &self.secret {
            Some(secret) if posts => pairs.push(("client_secret", secret)),
            Some(secret) => {
                let (mut text, client) = (String::new(), &self.settings.client_id);
                escape(client, &mut text);
                text.push(':');
                escape(secret, &mut text);
                let value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(text)));
                let mut value = value.map_err(|error| OpenIdError::Settings(error.to_string()))?;
                value.set_sensitive(true);
                headers.insert(header::AUTHORIZATION, value);
            }
            None => {}
        }
        let (status, body) = self.ask(Method::POST, address, headers, Bytes::from(form(&pairs))).await?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|_| OpenIdError::Answer {
                address: address.clone(),
                expected: "an identity token",
                actual: "something else".into(),
            });
        }
        let refusal: Result<Refusal, _> = serde_json::from_slice(&body);
        let said = refusal.map_or_else(
            |_| format!("status {status}"),
            |refusal| format!("{} {}", refusal.error, refusal.error_description),
        );
        let said: String = said.chars().filter(|char| !char.is_control()).take(300).collect();
        Err(OpenIdError::Refused(said.trim_end().to_owned()))
    }

    /// Claims that are not in the token may be had by asking; then they must be of the same person.
    async fn with_more(
        &self,
        mut claims: Claims,
        access: Option<&str>,
        now: WallTime,
    ) -> Result<Claims, OpenIdError> {
        let there = |name: &str| at(&claims, name).is_some();
        if there(&self.settings.user_claim) && self.settings.groups_claims().all(there) {
            return Ok(claims);
        }
        let discovered = self.discovered(now).await?;
        let (Some(address), Some(access)) = (&discovered.userinfo_endpoint, access) else {
            return Ok(claims);
        };
        let more: Claims = self.get(address, Some(access)).await?;
        if more.get("sub") != claims.get("sub") {
            return Err(OpenIdError::Token(TokenError::Claim {
                what: "the subject",
                expected: "that of the token".into(),
                actual: "another".into(),
            }));
        }
        for (name, value) in more {
            claims.entry(name).or_insert(value);
        }
        Ok(claims)
    }

    fn visitor(&self, claims: &Claims) -> Result<Visitor, OpenIdError> {
        let wanted = &self.settings.user_claim;
        let missing = || OpenIdError::Missing(wanted.clone());
        let name = at(claims, wanted).and_then(Value::as_str).and_then(presentable).ok_or_else(missing)?;
        // The check has seen that it is there.
        let subject = claims.get("sub").and_then(Value::as_str).and_then(presentable).ok_or_else(missing)?;
        let found = self.settings.groups_claims().filter_map(|name| at(claims, name));
        let groups: Vec<&Value> = found
            .flat_map(|value| match value {
                Value::Array(all) => all.iter().collect(),
                one => vec![one],
            })
            .collect();
        if groups.len() > MOST_GROUPS || claims.contains_key("_claim_names") {
            tracing::warn!(
                user = name,
                count = groups.len(),
                "the provider gives more groups than are taken, or says that they stand elsewhere"
            );
        }
        let mut seen = HashSet::new();
        let groups = groups.into_iter().take(MOST_GROUPS).filter_map(Value::as_str).filter_map(presentable);
        let groups = groups.filter(|group| seen.insert(group.clone())).collect();
        Ok(Visitor { subject, name, groups })
    }
}

/// A claim by its name, or by the way to it through objects.
fn at<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let mut steps = name.split('.');
    let first = claims.get(steps.next()?)?;
    steps.try_fold(first, |value, step| value.get(step))
}

/// A text as it may be kept: on one line, at most 256 characters, not empty.
fn presentable(text: &str) -> Option<String> {
    let good = !text.trim().is_empty() && text.chars().count() <= 256 && !text.contains(char::is_control);
    good.then(|| text.to_owned())
}

fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn seconds(time: WallTime) -> i64 {
    time.as_micros().div_euclid(1_000_000)
}
