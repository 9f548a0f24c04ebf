//! Certificates as far as proofs need them.

use playhead_format::PublicKey;
use playhead_model::WallTime;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use x509_parser::{
    extensions::GeneralName,
    oid_registry::OID_SIG_ED25519,
    prelude::{ASN1Time, FromDer as _, X509Certificate, X509Name},
};

/// Before the id of an agent in its certificate.
const AGENT: &str = "playhead:agent:";
/// Before the id of a recording server in its certificate.
const SITE: &str = "playhead:site:";

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// An agent signs fragments with its key.
    Agent,
    /// A recording server seals segments with its key.
    Site,
    /// It issues certificates.
    Authority,
    /// Something else, for example TLS.
    Other,
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CertificateInfo {
    /// SHA-256 of the certificate, as other programs show it: pairs of hexadecimal digits with colons.
    pub fingerprint: String,
    /// Common name of the holder: the session host's, or the site's.
    pub name: String,
    /// Common name of the issuer.
    pub issuer: String,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// From when on it is valid.
    pub not_before: WallTime,
    /// Until when.
    pub not_after: WallTime,
    /// What it is for.
    pub role: Role,
    /// Id of the agent or the recording server.
    pub id: Option<String>,
    /// Its key, if that is Ed25519.
    pub key: Option<PublicKey>,
}

/// A certificate with what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// What it says.
    pub info: CertificateInfo,
    pub(crate) der: CertificateDer<'static>,
    pub(crate) issuer: Vec<u8>,
    pub(crate) serial: Vec<u8>,
}

/// Why bytes are no certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read a certificate: {0}")]
pub struct CertificateError(pub(crate) String);

impl Certificate {
    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    /// A text without one.
    pub fn from_pem(text: &str) -> Result<Self, CertificateError> {
        let der = CertificateDer::from_pem_slice(text.as_bytes())
            .map_err(|error| CertificateError(error.to_string()))?;
        Self::from_der(der)
    }

    /// Reads a certificate.
    ///
    /// # Errors
    /// Bytes that are none, or something after it.
    pub fn from_der(der: CertificateDer<'static>) -> Result<Self, CertificateError> {
        let (rest, read) =
            X509Certificate::from_der(&der).map_err(|error| CertificateError(error.to_string()))?;
        if !rest.is_empty() {
            return Err(CertificateError(format!("{} bytes follow it", rest.len())));
        }
        let (role, id) = role(&read);
        let spki = read.public_key();
        let key = (spki.algorithm.algorithm == OID_SIG_ED25519)
            .then(|| <[u8; 32]>::try_from(&spki.subject_public_key.data[..]).ok())
            .flatten();
        let info = CertificateInfo {
            fingerprint: fingerprint(&der),
            name: common_name(read.subject()),
            issuer: common_name(read.issuer()),
            serial: read.raw_serial().iter().fold(String::new(), hex),
            not_before: time(read.validity().not_before),
            not_after: time(read.validity().not_after),
            role,
            id,
            key: key.map(PublicKey::from_bytes),
        };
        let (issuer, serial) = (read.issuer().as_raw().to_vec(), read.raw_serial().to_vec());
        Ok(Self { info, issuer, serial, der })
    }

    /// Whether it is valid at a moment by its own dates.
    pub fn covers(&self, at: WallTime) -> bool {
        self.info.not_before <= at && at <= self.info.not_after
    }
}

/// The certificate's purpose and whom it names. An authority is one whatever else it says.
fn role(certificate: &X509Certificate<'_>) -> (Role, Option<String>) {
    if certificate.is_ca() {
        return (Role::Authority, None);
    }
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.into_iter().flat_map(|names| &names.value.general_names);
    for name in names {
        let GeneralName::URI(uri) = name else { continue };
        for (prefix, role) in [(AGENT, Role::Agent), (SITE, Role::Site)] {
            if let Some(id) = uri.strip_prefix(prefix) {
                return (role, Some(id.to_owned()));
            }
        }
    }
    (Role::Other, None)
}

pub(crate) fn common_name(name: &X509Name<'_>) -> String {
    let found = name.iter_common_name().next().and_then(|name| name.as_str().ok());
    found.map_or_else(|| name.to_string(), str::to_owned)
}

pub(crate) fn time(at: ASN1Time) -> WallTime {
    WallTime::from_micros(at.timestamp().saturating_mul(1_000_000))
}

fn fingerprint(der: &[u8]) -> String {
    let mut text = Sha256::digest(der).iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02X}:");
        text
    });
    text.pop();
    text
}

fn hex(mut text: String, byte: &u8) -> String {
    // Writing to a String cannot fail.
    let _ = write!(text, "{byte:02x}");
    text
}
