//! A certificate authority of one's own, so that TLS is on from the first minute.

use crate::{NetError, file};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _},
};
use std::{path::Path, sync::Arc};

/// The authority of one console or site: made at the first start, kept in a folder, trusted by those who join.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
}

impl Authority {
    /// Reads the authority from `folder` (`authority.pem`, `authority.key`), or makes one under `name` and writes it there.
    ///
    /// # Errors
    /// Files that cannot be used, or one without the other.
    pub fn load_or_create(folder: &Path, name: &str) -> Result<Self, NetError> {
        let (cert_path, key_path) = (folder.join("authority.pem"), folder.join("authority.key"));
        if let Some(key) = file::read_text(&key_path)? {
            let content = |path: &Path, expected| NetError::Content { path: path.to_owned(), expected };
            let cert = file::read_text(&cert_path)?.ok_or_else(|| content(&cert_path, "certificate"))?;
            let key = KeyPair::from_pem(&key).map_err(|_| content(&key_path, "private key"))?;
            let der = CertificateDer::from_pem_slice(cert.as_bytes())
                .map_err(|_| content(&cert_path, "certificate"))?;
            let issuer =
                Issuer::from_ca_cert_der(&der, key).map_err(|_| content(&cert_path, "certificate"))?;
            return Ok(Self { issuer, der });
        }
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("Playhead authority of {name}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let cert = params.self_signed(&key)?;
        // The key goes last: a crash in between leaves a certificate without a key, which the next start replaces.
        file::write_private(&cert_path, cert.pem().as_bytes())?;
        file::write_private(&key_path, key.serialize_pem().as_bytes())?;
        let der = cert.der().clone();
        Ok(Self { issuer: Issuer::new(params, key), der })
    }

    /// The authority's certificate, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// TLS for a listener reached under `names` (host names or addresses), with a certificate made now.
    ///
    /// # Errors
    /// A name that no certificate can carry.
    pub fn server_config(&self, names: &[String]) -> Result<Arc<ServerConfig>, NetError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names.to_vec())?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(name) = names.first() {
            params.distinguished_name.push(DnType::CommonName, name.as_str());
        }
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let cert = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        server_config(vec![cert.der().clone(), self.der.clone()], key)
    }
}

/// TLS for a listener with a given certificate chain and key. Speaks HTTP/1.1 and HTTP/2.
///
/// # Errors
/// A key that does not belong to the certificate.
pub fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, NetError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_stays_the_same_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let first = Authority::load_or_create(folder.path(), "test").unwrap();
        let second = Authority::load_or_create(folder.path(), "test").unwrap();
        assert_eq!(first.der(), second.der());
        second.server_config(&["localhost".into(), "127.0.0.1".into()]).unwrap();
    }

    #[test]
    fn a_lost_certificate_is_named() {
        let folder = tempfile::tempdir().unwrap();
        Authority::load_or_create(folder.path(), "test").unwrap();
        std::fs::remove_file(folder.path().join("authority.pem")).unwrap();
        let error = Authority::load_or_create(folder.path(), "test").err().unwrap();
        assert!(error.to_string().contains("authority.pem holds no valid certificate"), "{error}");
    }
}
