//! How a site is reached: its router in this process, or a tunnel that one of its servers dialled.

use async_trait::async_trait;
use axum::{Router, body::Body};
use http::{Request, Response};
use hyper::client::conn::http2::SendRequest;
use tower::ServiceExt as _;

/// One way to a site's API. Bodies stream both ways; dropping an answer's body tells the site to stop.
#[async_trait]
pub(crate) trait SiteClient: Send + Sync {
    /// Sends a request and waits for the head of its answer.
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, SiteError>;

    /// Whether it may be used; `false` once the connection has ended.
    fn is_open(&self) -> bool;
}

/// The way to a site broke.
#[derive(Debug, thiserror::Error)]
#[error("the connection to the recording server broke: {0}")]
pub(crate) struct SiteError(#[from] hyper::Error);

/// A site in the same process.
pub(crate) struct InProcess(pub(crate) Router);

#[async_trait]
impl SiteClient for InProcess {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, SiteError> {
        Ok(self.0.clone().oneshot(request).await.unwrap_or_else(|never| match never {}))
    }

    fn is_open(&self) -> bool {
        true
    }
}

/// A site at the other end of a tunnel.
pub(crate) struct Tunnelled(pub(crate) SendRequest<Body>);

#[async_trait]
impl SiteClient for Tunnelled {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, SiteError> {
        let mut sender = self.0.clone();
        sender.ready().await?;
        Ok(sender.send_request(request).await?.map(Body::new))
    }

    fn is_open(&self) -> bool {
        !self.0.is_closed()
    }
}
