//! What all of Playhead's programs need to talk to each other over a network: a certificate authority of one's own, TLS listeners and
//! dialled connections with an HTTP upgrade, and keys that prove who connects.
//!
//! The rules of the house live here once: a listener on any address but loopback speaks TLS or does not start; a dialled
//! connection trusts the authority it was told of and no other; private keys are readable by their owner only.

mod authority;
mod challenge;
mod dial;
mod file;
mod http_metrics;
mod key;
mod listen;

pub use authority::{Authority, SigningCertificate, server_config};
pub use challenge::Challenges;
pub use dial::{Connection, DialError, Endpoint, Upgraded, trust};
pub use file::write_private;
pub use http_metrics::{HttpMetrics, count_requests};
pub use key::{NodeKey, verify};
pub use listen::{Listener, PeerAddr};

/// What can go wrong with certificates, keys and listeners.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// A file of ours could not be read or written.
    #[error("cannot use {path}: {source}")]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error(
        "{path} holds no valid {expected}: restore it from a backup, or move it away to have a new one made"
    )]
    Content {
        /// The file.
        path: std::path::PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// TLS could not be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// Plain HTTP on an address that others can reach.
    #[error(
        "{0} can be reached from other machines and needs TLS: give a certificate, or listen on a loopback address such as 127.0.0.1:8080"
    )]
    PlainRefused(std::net::SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The machine gives no random bytes.
    #[error("cannot get random bytes from the system: {0}")]
    Random(#[from] getrandom::Error),
}
