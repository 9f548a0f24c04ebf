//! Asking a provider over HTTP.

use super::{OpenIdError, Provider};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use playhead_net::{DialError, Endpoint};
use serde::de::DeserializeOwned;
use std::fmt::Write as _;

impl Provider {
    /// Gets JSON, as the bearer of a token where there is one.
    ///
    /// # Errors
    /// Nobody there, or another answer.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        address: &str,
        bearer: Option<&str>,
    ) -> Result<T, OpenIdError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(token) = bearer.and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok()) {
            headers.insert(header::AUTHORIZATION, token);
        }
        let (status, body) = self.ask(Method::GET, address, headers, Bytes::new()).await?;
        if !status.is_success() {
            return Err(OpenIdError::Answer {
                address: address.to_owned(),
                expected: "an answer",
                actual: format!("status {status}"),
            });
        }
        serde_json::from_slice(&body).map_err(|error| OpenIdError::Answer {
            address: address.to_owned(),
            expected: "what OpenID Connect describes",
            actual: error.to_string(),
        })
    }

    /// Makes one request.
    ///
    /// # Errors
    /// Nobody there.
    pub(super) async fn ask(
        &self,
        method: Method,
        address: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), OpenIdError> {
        let away = |source| OpenIdError::Away { address: address.to_owned(), source };
        let uri: Uri =
            address.parse().map_err(|_| away(DialError::Address(address.chars().take(200).collect())))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let endpoint = Endpoint::with_tls(address, &self.tls).map_err(away)?;
        let mut connection = endpoint.connect().await.map_err(away)?;
        connection.ask(method, path, headers, body).await.map_err(away)
    }
}

/// Names and values as a form or a query carries them.
pub(super) fn form(pairs: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (at, (name, value)) in pairs.iter().enumerate() {
        if at > 0 {
            text.push('&');
        }
        escape(name, &mut text);
        text.push('=');
        escape(value, &mut text);
    }
    text
}

/// A text with everything escaped that could mean something in an address.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::new();
    escape(text, &mut out);
    out
}

/// Appends a text with everything escaped that could mean something in an address.
pub(super) fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// An address with more in its query.
pub(super) fn with_query(address: &str, pairs: &[(&str, &str)]) -> String {
    let between = if address.contains('?') { '&' } else { '?' };
    format!("{address}{between}{}", form(pairs))
}
