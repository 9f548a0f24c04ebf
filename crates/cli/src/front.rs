//! The console's listener: its address, its certificate, and how others reach it.

use anyhow::Context as _;
use playhead_net::{Authority, Listener, server_config, write_private};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    net::{IpAddr, SocketAddr},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

/// File with the console's address and authority.
const KNOWN: &str = "address.json";

/// Flags of a console's listener.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "front")]
pub(crate) struct Args {
    /// Where browsers and recording servers connect. Plain HTTP on a loopback address, TLS on any other
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", env = "PLAYHEAD_LISTEN")]
    pub(crate) listen: SocketAddr,
    /// Certificate chain in PEM. Without it one is made by an authority of our own, kept in the data folder
    #[arg(long, value_name = "FILE", requires = "tls_key", env = "PLAYHEAD_TLS_CERT")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert", env = "PLAYHEAD_TLS_KEY")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Address under which others reach this console, when it is not the one it listens on
    #[arg(long, value_name = "https://HOST:PORT", env = "PLAYHEAD_URL")]
    pub(crate) url: Option<String>,
}

/// An open listener and what others need to know of it.
pub(crate) struct Front {
    pub(crate) listener: Listener,
    /// Its address for people and programs.
    pub(crate) url: String,
    /// The authority that others should trust, DER; none when the certificate is from elsewhere or there is no TLS.
    pub(crate) authority: Option<Vec<u8>>,
}

impl Front {
    /// Opens the listener. An authority of our own is kept in `data`.
    ///
    /// # Errors
    /// The address is taken, or a certificate cannot be used.
    pub(crate) async fn open(args: &Args, data: &Path) -> anyhow::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data)
            .with_context(|| format!("cannot make the folder {}", data.display()))?;
        let (tls, authority) = match (&args.tls_cert, &args.tls_key) {
            (Some(cert), Some(key)) => {
                let chain = CertificateDer::pem_file_iter(cert)
                    .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                    .with_context(|| format!("cannot read the certificate {}", cert.display()))?;
                let key = PrivateKeyDer::from_pem_file(key)
                    .with_context(|| format!("cannot read the private key {}", key.display()))?;
                (Some(server_config(chain, key)?), None)
            }
            _ if args.listen.ip().is_loopback() => (None, None),
            _ => {
                let authority = Authority::load_or_create(data, &host_name())?;
                let config = authority.server_config(&names(args))?;
                (Some(config), Some(authority.der().to_vec()))
            }
        };
        let listener = Listener::bind(args.listen, tls).await?;
        let url = match &args.url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => url_of(&listener),
        };
        let known = Known { url, authority };
        known.keep(data)?;
        Ok(Self { listener, url: known.url, authority: known.authority })
    }
}

/// What others need to know of a console's listener: kept in its folder, so that join tokens can be made while it does not run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Known {
    /// Its address.
    pub(crate) url: String,
    /// The authority to trust there, DER.
    pub(crate) authority: Option<Vec<u8>>,
}

impl Known {
    /// Reads what the last start of the console in this folder has kept.
    ///
    /// # Errors
    /// It was never started.
    pub(crate) fn read(data: &Path) -> anyhow::Result<Self> {
        let path = data.join(KNOWN);
        let text = fs::read(&path).with_context(|| {
            format!("no console was ever started with the folder {}: start it once, or give its folder with --data", data.display())
        })?;
        serde_json::from_slice(&text)
            .with_context(|| format!("{} is damaged: start the console again", path.display()))
    }

    fn keep(&self, data: &Path) -> anyhow::Result<()> {
        Ok(write_private(&data.join(KNOWN), &serde_json::to_vec(self)?)?)
    }
}

fn url_of(listener: &Listener) -> String {
    format!("{}://{}", scheme(listener.is_tls()), reachable(listener.address()))
}

const fn scheme(tls: bool) -> &'static str {
    if tls { "https" } else { "http" }
}

/// The address, with this machine's name in place of "all addresses".
fn reachable(address: SocketAddr) -> String {
    match address.ip() {
        ip if ip.is_unspecified() => format!("{}:{}", host_name(), address.port()),
        _ => address.to_string(),
    }
}

/// Names that a certificate of our own should carry.
fn names(args: &Args) -> Vec<String> {
    let mut names = vec![host_name(), "localhost".into(), "127.0.0.1".into(), "::1".into()];
    if !args.listen.ip().is_unspecified() {
        names.push(args.listen.ip().to_string());
    }
    let given = args.url.as_deref().and_then(|url| url.split("://").nth(1));
    let given = given.map(|rest| rest.split('/').next().unwrap_or(rest));
    if let Some(host) = given.map(without_port) {
        names.push(host.to_owned());
    }
    names.sort();
    names.dedup();
    names
}

fn without_port(authority: &str) -> &str {
    if authority.parse::<IpAddr>().is_ok() {
        return authority;
    }
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        _ => authority,
    };
    host.trim_matches(['[', ']'])
}

/// This machine's name.
pub(crate) fn host_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(listen: &str, url: Option<&str>) -> Args {
        Args { listen: listen.parse().unwrap(), tls_cert: None, tls_key: None, url: url.map(str::to_owned) }
    }

    #[tokio::test]
    async fn loopback_is_plain_and_anything_else_has_tls() {
        let folder = tempfile::tempdir().unwrap();
        let plain = Front::open(&args("127.0.0.1:0", None), folder.path()).await.unwrap();
        assert!(!plain.listener.is_tls() && plain.authority.is_none());
        assert_eq!(plain.url, format!("http://{}", plain.listener.address()));
        let secure = Front::open(&args("0.0.0.0:0", None), folder.path()).await.unwrap();
        assert!(secure.listener.is_tls() && secure.authority.is_some());
        assert_eq!(secure.url, format!("https://{}:{}", host_name(), secure.listener.address().port()));
    }

    #[test]
    fn the_certificate_carries_the_name_that_others_use() {
        let named = |url| names(&args("0.0.0.0:443", Some(url)));
        assert!(named("https://records.example").contains(&"records.example".into()));
        assert!(named("https://records.example:8443/").contains(&"records.example".into()));
        assert!(named("https://[2001:db8::1]:8443").contains(&"2001:db8::1".into()));
    }
}
