//! Dialled connections: HTTP/1.1 for a few requests, then an upgrade to something else.

use crate::NodeKey;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use playhead_protocol::{
    CHALLENGE_PATH,
    join::JoinToken,
    login::{Challenge, Proof, text_to_sign},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{io, sync::Arc, time::Duration};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

const PATIENCE: Duration = Duration::from_secs(15);
const MAX_ANSWER: usize = 1 << 20;

/// The stream after an upgrade.
pub type Upgraded = TokioIo<hyper::upgrade::Upgraded>;

/// An address to dial and whom to trust there.
#[derive(Clone)]
pub struct Endpoint {
    host: String,
    port: u16,
    authority: String,
    tls: Option<Arc<ClientConfig>>,
}

/// A connection on which requests can be made one after another.
pub struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    authority: String,
}

/// Why a connection or a request failed.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// A text that is no address.
    #[error("expected an address such as https://records.example:8443, got '{0}'")]
    Address(String),
    /// Plain HTTP to another machine.
    #[error("'{0}' is plain HTTP to another machine: use https")]
    Plain(String),
    /// The authority to trust cannot be read.
    #[error("cannot trust the given certificate authority: {0}")]
    Trust(rustls::Error),
    /// No TCP or TLS connection came about.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// The address.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The other side took too long.
    #[error("no answer from {0} within {wait} s", wait = PATIENCE.as_secs())]
    Late(String),
    /// HTTP went wrong.
    #[error("the connection broke: {0}")]
    Http(#[from] hyper::Error),
    /// The other side refused.
    #[error("refused ({status}): {detail}")]
    Refused {
        /// Its status.
        status: StatusCode,
        /// What it says about it.
        detail: String,
    },
    /// The answer makes no sense.
    #[error("unexpected answer: {0}")]
    Answer(String),
}

impl Endpoint {
    /// An endpoint at `url` (`https://host:port`; `http://` for loopback alone). Trusts `authority` (DER) and no other, or
    /// the system's authorities when there is none.
    ///
    /// # Errors
    /// A malformed address or certificate.
    pub fn new(url: &str, authority: Option<&[u8]>) -> Result<Self, DialError> {
        let authority: Vec<CertificateDer<'_>> = authority.map(CertificateDer::from).into_iter().collect();
        Self::with(url, || trust(&authority))
    }

    /// The same with TLS as it was settled before.
    ///
    /// # Errors
    /// A malformed address.
    pub fn with_tls(url: &str, tls: &Arc<ClientConfig>) -> Result<Self, DialError> {
        Self::with(url, || Ok(Arc::clone(tls)))
    }

    fn with(
        url: &str,
        tls: impl FnOnce() -> Result<Arc<ClientConfig>, DialError>,
    ) -> Result<Self, DialError> {
        let malformed = || DialError::Address(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| malformed())?;
        let host = uri.host().ok_or_else(malformed)?.trim_matches(['[', ']']).to_owned();
        let tls = match uri.scheme_str() {
            Some("https") => Some(tls()?),
            Some("http") if is_loopback(&host) => None,
            Some("http") => return Err(DialError::Plain(url.to_owned())),
            _ => return Err(malformed()),
        };
        let port = uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
        let authority = uri.authority().ok_or_else(malformed)?.to_string();
        Ok(Self { host, port, authority, tls })
    }

    /// The endpoint that a join token names.
    ///
    /// # Errors
    /// A malformed address or authority.
    pub fn of(token: &JoinToken) -> Result<Self, DialError> {
        Self::trusting(&token.url, token.authority.as_deref())
    }

    /// An endpoint at `url` that trusts an authority given as DER in unpadded URL-safe base64.
    ///
    /// # Errors
    /// A malformed address or authority.
    pub fn trusting(url: &str, authority: Option<&str>) -> Result<Self, DialError> {
        let der = authority.map(|text| URL_SAFE_NO_PAD.decode(text)).transpose();
        let der = der.map_err(|error| DialError::Answer(format!("the authority is no base64: {error}")))?;
        Self::new(url, der.as_deref())
    }

    /// Dials.
    ///
    /// # Errors
    /// Nobody there, nobody to trust, or nobody in time.
    pub async fn connect(&self) -> Result<Connection, DialError> {
        timeout(PATIENCE, self.dial()).await.map_err(|_| DialError::Late(self.authority.clone()))?
    }

    async fn dial(&self) -> Result<Connection, DialError> {
        let failed = |source| DialError::Connect { address: self.authority.clone(), source };
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let sender = match &self.tls {
            Some(config) => {
                let name = ServerName::try_from(self.host.clone())
                    .map_err(|_| DialError::Address(self.authority.clone()))?;
                let stream =
                    TlsConnector::from(Arc::clone(config)).connect(name, stream).await.map_err(failed)?;
                handshake(stream).await?
            }
            None => handshake(stream).await?,
        };
        Ok(Connection { sender, authority: self.authority.clone() })
    }
}

async fn handshake<S>(stream: S) -> Result<http1::SendRequest<Full<Bytes>>, hyper::Error>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends when the sender is dropped, or hands the stream over at the upgrade.
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "dialled connection ended");
        }
    });
    Ok(sender)
}

impl Connection {
    /// Makes a GET request.
    ///
    /// # Errors
    /// The connection broke, or the answer is too long.
    pub async fn get(&mut self, path: &str) -> Result<(StatusCode, Bytes), DialError> {
        let request = self.request(Method::GET, path).body(Full::default());
        let response = self.send(request).await?;
        Ok((response.status(), read(response).await?))
    }

    /// Makes any request with a body that is there already, and reads the answer.
    ///
    /// # Errors
    /// The connection broke, or the answer is too long.
    pub async fn ask(
        &mut self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), DialError> {
        let mut request = self.request(method, path);
        if let Some(own) = request.headers_mut() {
            own.extend(headers);
        }
        let response = self.send(request.body(Full::new(body))).await?;
        Ok((response.status(), read(response).await?))
    }

    /// Posts JSON and reads JSON.
    ///
    /// # Errors
    /// [`DialError::Refused`] with the other side's reason for any status but success.
    pub async fn post<B: Serialize, A: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &B,
    ) -> Result<A, DialError> {
        let json = serde_json::to_vec(body).map_err(|error| DialError::Answer(error.to_string()))?;
        let request = self
            .request(Method::POST, path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(json));
        let response = self.send(request).await?;
        let status = response.status();
        let body = read(response).await?;
        if !status.is_success() {
            return Err(refused(status, &body));
        }
        serde_json::from_slice(&body).map_err(|error| DialError::Answer(error.to_string()))
    }

    /// Asks for a challenge, proves to be `id` by signing it for `purpose`, and upgrades.
    ///
    /// # Errors
    /// [`DialError::Refused`] when the other side does not know the key.
    pub async fn log_in(
        mut self,
        path: &str,
        protocol: &str,
        purpose: &str,
        id: &str,
        key: &NodeKey,
    ) -> Result<Upgraded, DialError> {
        let Challenge { challenge } = self.post(CHALLENGE_PATH, &serde_json::json!({})).await?;
        let signature = key.sign(&text_to_sign(purpose, id, &challenge));
        let proof = Proof { id: id.to_owned(), challenge, signature };
        self.upgrade(path, protocol, Some(&proof.to_string())).await
    }

    /// Upgrades the connection to `protocol`.
    ///
    /// # Errors
    /// [`DialError::Refused`] when the other side does not switch.
    pub async fn upgrade(
        mut self,
        path: &str,
        protocol: &str,
        authorization: Option<&str>,
    ) -> Result<Upgraded, DialError> {
        let mut request = self
            .request(Method::GET, path)
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, protocol);
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let mut response = self.send(request.body(Full::default())).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let status = response.status();
            return Err(refused(status, &read(response).await?));
        }
        Ok(TokioIo::new(hyper::upgrade::on(&mut response).await?))
    }

    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(path).header(header::HOST, &self.authority)
    }

    async fn send(
        &mut self,
        request: Result<Request<Full<Bytes>>, http::Error>,
    ) -> Result<Response<Incoming>, DialError> {
        let request = request.map_err(|error| DialError::Answer(error.to_string()))?;
        let late = || DialError::Late(self.authority.clone());
        let sending = async {
            self.sender.ready().await?;
            self.sender.send_request(request).await
        };
        Ok(timeout(PATIENCE, sending).await.map_err(|_| late())??)
    }
}

async fn read(response: Response<Incoming>) -> Result<Bytes, DialError> {
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect();
    let late = |_| DialError::Late("the other side".into());
    match timeout(PATIENCE, body).await.map_err(late)? {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) => Err(DialError::Answer(error.to_string())),
    }
}

/// A refusal with the problem document's own words where there are any.
fn refused(status: StatusCode, body: &[u8]) -> DialError {
    #[derive(serde::Deserialize)]
    struct Problem {
        detail: String,
    }
    let detail = match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => problem.detail,
        Err(_) => String::from_utf8_lossy(body).chars().take(200).collect(),
    };
    DialError::Refused { status, detail }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// TLS for dialling that trusts these authorities and no other, or the system's when there are none.
///
/// # Errors
/// An authority's certificate cannot be read.
pub fn trust(authorities: &[CertificateDer<'_>]) -> Result<Arc<ClientConfig>, DialError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone().into_owned()).map_err(DialError::Trust)?;
    }
    if authorities.is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(DialError::Trust)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        assert!(Endpoint::new("https://a.example:8443", None).is_ok());
        assert!(Endpoint::new("http://[::1]:80", None).is_ok());
        assert!(matches!(Endpoint::new("http://a.example", None), Err(DialError::Plain(_))));
        for bad in ["a.example", "ftp://a.example", "https://", ""] {
            assert!(matches!(Endpoint::new(bad, None), Err(DialError::Address(_))), "{bad}");
        }
    }
}
