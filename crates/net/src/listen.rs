//! A listener for an axum router: TLS, HTTP/1.1 with upgrades and HTTP/2, bounded in time and number.

use crate::NetError;
use axum::{Router, extract::ConnectInfo};
use hyper::{Request, body::Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

/// Most connections at a time; more wait in the system's queue.
const MAX_CONNECTIONS: usize = 16_384;
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long requests under way may still take once the listener is told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// The peer's address, as a request extension ([`ConnectInfo`]).
pub type PeerAddr = ConnectInfo<SocketAddr>;

/// A bound address, ready to serve.
pub struct Listener {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    address: SocketAddr,
}

impl Listener {
    /// Binds `address`. Without TLS only a loopback address is taken.
    ///
    /// # Errors
    /// [`NetError::PlainRefused`], or the system's refusal.
    pub async fn bind(address: SocketAddr, tls: Option<Arc<rustls::ServerConfig>>) -> Result<Self, NetError> {
        if tls.is_none() && !address.ip().is_loopback() {
            return Err(NetError::PlainRefused(address));
        }
        let failed = |source| NetError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, tls: tls.map(TlsAcceptor::from), address })
    }

    /// The address that was bound, with the port that the system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it speaks TLS.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Serves `router` until `stop`; then lets requests under way finish for a short while. Handlers find the peer's
    /// address as [`PeerAddr`].
    pub async fn serve(self, router: Router, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let tasks = TaskTracker::new();
        loop {
            // The semaphore is never closed.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
            let (stream, peer) = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        // Most likely out of file descriptors: connections that end make room.
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                },
            };
            let (router, tls, stop) = (router.clone(), self.tls.clone(), stop.clone());
            tasks.spawn(async move {
                if let Err(error) = connection(stream, peer, router, tls, stop, place).await {
                    tracing::debug!(%peer, %error, "connection ended");
                }
            });
        }
        tasks.close();
        let _ = timeout(GRACE, tasks.wait()).await;
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    match tls {
        Some(tls) => {
            let stream = timeout(HANDSHAKE, tls.accept(stream)).await??;
            requests(stream, peer, router, stop).await
        }
        None => requests(stream, peer, router, stop).await,
    }
}

async fn requests<S>(stream: S, peer: SocketAddr, router: Router, stop: CancellationToken) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request.map(axum::body::Body::new))
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(Some(Duration::from_secs(30)));
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Some(Duration::from_secs(30)));
    builder.http2().max_concurrent_streams(256).max_header_list_size(64 << 10);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    ended.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Authority, Endpoint};
    use axum::routing::get;

    #[tokio::test]
    async fn plain_http_is_refused_beyond_loopback() {
        let error = Listener::bind("0.0.0.0:0".parse().unwrap(), None).await.err().unwrap();
        assert!(error.to_string().contains("needs TLS"), "{error}");
    }

    #[tokio::test]
    async fn requests_and_upgrades_go_through_tls_that_trusts_our_authority_alone() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(folder.path(), "test").unwrap();
        let tls = authority.server_config(&["127.0.0.1".into()]).unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), Some(tls)).await.unwrap();
        let address = listener.address();
        let router = Router::new()
            .route("/x", get(|ConnectInfo(peer): PeerAddr| async move { peer.ip().to_string() }))
            .route(
                "/up",
                get(|mut request: axum::extract::Request| async move {
                    let upgrade = hyper::upgrade::on(&mut request);
                    tokio::spawn(async move {
                        let mut io = TokioIo::new(upgrade.await.unwrap());
                        let mut bytes = [0; 4];
                        tokio::io::AsyncReadExt::read_exact(&mut io, &mut bytes).await.unwrap();
                        tokio::io::AsyncWriteExt::write_all(&mut io, &bytes).await.unwrap();
                    });
                    (
                        http::StatusCode::SWITCHING_PROTOCOLS,
                        [("connection", "upgrade"), ("upgrade", "echo/1")],
                    )
                }),
            );
        let stop = CancellationToken::new();
        let serving = tokio::spawn(listener.serve(router, stop.clone()));

        let endpoint = Endpoint::new(&format!("https://{address}"), Some(authority.der())).unwrap();
        let mut connection = endpoint.connect().await.unwrap();
        let (status, body) = connection.get("/x").await.unwrap();
        assert_eq!((status.as_u16(), &body[..]), (200, &b"127.0.0.1"[..]));
        let mut echo = connection.upgrade("/up", "echo/1", None).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut echo, b"ping").await.unwrap();
        let mut bytes = [0; 4];
        tokio::io::AsyncReadExt::read_exact(&mut echo, &mut bytes).await.unwrap();
        assert_eq!(&bytes, b"ping");

        let other = tempfile::tempdir().unwrap();
        let other = Authority::load_or_create(other.path(), "other").unwrap();
        let stranger = Endpoint::new(&format!("https://{address}"), Some(other.der())).unwrap();
        assert!(stranger.connect().await.is_err());
        drop(echo);
        stop.cancel();
        serving.await.unwrap();
    }
}
