//! A certificate authority of one's own, so that TLS is on from the first minute.

use crate::{NetError, file};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ED25519,
    PublicKeyData, RevokedCertParams, SanType, SerialNumber, SignatureAlgorithm,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _},
};
use std::{path::Path, sync::Arc};
use time::OffsetDateTime;

/// The authority of one console or site: made at the first start, kept in a folder, trusted by those who join.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
    /// Its certificate and those of who issued it, PEM, the root last.
    chain: String,
}

/// A certificate for a signing key that is to be issued.
#[derive(Debug, Clone, Copy)]
pub struct SigningCertificate<'a> {
    /// What it is for: `agent` or `site`.
    pub role: &'a str,
    /// Id of the agent or the server.
    pub id: &'a str,
    /// Name of the session host or the site, for people.
    pub name: &'a str,
    /// The Ed25519 public key.
    pub key: [u8; 32],
    /// From when on it is valid, in seconds since the Unix epoch.
    pub not_before: i64,
    /// Until when.
    pub not_after: i64,
}

/// An Ed25519 public key to be certified.
struct RawKey([u8; 32]);

impl PublicKeyData for RawKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
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
            return Ok(Self { issuer, der, chain: cert });
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
        Ok(Self { issuer: Issuer::new(params, key), der, chain: cert.pem() })
    }

    /// The authority's certificate, then those of who issued it, PEM.
    pub fn chain(&self) -> &str {
        &self.chain
    }

    /// Issues a certificate for a signing key; PEM.
    ///
    /// # Errors
    /// A name or a time that no certificate can carry; no random bytes for the serial number.
    pub fn issue(&self, wanted: SigningCertificate<'_>) -> Result<String, NetError> {
        let mut serial = [0; 16];
        getrandom::fill(&mut serial)?;
        // Positive, and of full length.
        serial[0] = serial[0] & 0x3f | 0x40;
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.not_before = moment(wanted.not_before)?;
        params.not_after = moment(wanted.not_after)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, wanted.name);
        params.distinguished_name.push(DnType::OrganizationalUnitName, format!("Playhead {}", wanted.role));
        let uri = format!("playhead:{}:{}", wanted.role, wanted.id);
        params.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        Ok(params.signed_by(&RawKey(wanted.key), &self.issuer)?.pem())
    }

    /// A list of revoked certificates, each with its serial number and when it was revoked in seconds since the Unix epoch; PEM.
    ///
    /// # Errors
    /// A time that no list can carry; a given authority that may not sign such lists.
    pub fn revocations(&self, revoked: &[(Vec<u8>, i64)], now: i64) -> Result<String, NetError> {
        const WEEK: i64 = 7 * 86_400;
        let revoked_certs = revoked.iter().map(|(serial, at)| {
            Ok(RevokedCertParams {
                serial_number: SerialNumber::from_slice(serial),
                revocation_time: moment(*at)?,
                reason_code: None,
                invalidity_date: None,
            })
        });
        let params = CertificateRevocationListParams {
            this_update: moment(now)?,
            next_update: moment(now + WEEK)?,
            crl_number: SerialNumber::from(now.unsigned_abs()),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect::<Result<_, NetError>>()?,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(&self.issuer)?.pem()?)
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
        params.distinguished_name = DistinguishedName::new();
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

/// A moment as certificates have it.
fn moment(seconds: i64) -> Result<OffsetDateTime, NetError> {
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| rcgen::Error::Time.into())
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
