//! What a verifier trusts.

use crate::{
    Certificate, CertificateInfo, Role,
    certificate::{CertificateError, time},
};
use playhead_format::PublicKey;
use playhead_model::WallTime;
use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime, pem::PemObject as _,
};
use std::time::Duration;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::prelude::{CertificateRevocationList, FromDer as _, X509Certificate};

/// The authorities, single agents' and sites' certificates, and revocations that a verifier was given.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    anchors: Vec<Certificate>,
    /// Certificates that are trusted by themselves. Where there are some of agents, no others of agents are.
    pinned: Vec<Certificate>,
    revoked: Vec<Revoked>,
}

#[derive(Debug, Clone)]
struct Revoked {
    issuer: Vec<u8>,
    serial: Vec<u8>,
    at: WallTime,
}

/// A file that says nothing about whom to trust.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A certificate that cannot be read.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// No certificate in it.
    #[error(
        "expected certificates in PEM, found none: export them with 'playhead certificate export', or copy an agent's certificate.pem"
    )]
    Empty,
    /// A revocation list that no authority in the same file has signed.
    #[error("expected revocation lists of the authorities in the same file, got one of {0}")]
    Revocations(String),
}

/// Why a key is not trusted, for people.
pub(crate) type Distrust = String;

impl Trust {
    /// Reads certificates and revocation lists in PEM. Certificates of authorities are trusted to issue others; those of agents and sites
    /// are trusted themselves, and once there are some of agents, an agent must be one of them, whatever an authority says.
    ///
    /// # Errors
    /// A text without certificates, or with some that cannot be read.
    pub fn from_pem(text: &str) -> Result<Self, TrustError> {
        let mut trust = Self::default();
        for der in CertificateDer::pem_slice_iter(text.as_bytes()) {
            let der = der.map_err(|error| CertificateError(error.to_string()))?;
            let certificate = Certificate::from_der(der)?;
            match certificate.info.role {
                Role::Authority => trust.anchors.push(certificate),
                Role::Agent | Role::Site => trust.pinned.push(certificate),
                Role::Other => {}
            }
        }
        if trust.anchors.is_empty() && trust.pinned.is_empty() {
            return Err(TrustError::Empty);
        }
        for der in CertificateRevocationListDer::pem_slice_iter(text.as_bytes()) {
            let der = der.map_err(|error| CertificateError(error.to_string()))?;
            trust.revocations(&der)?;
        }
        Ok(trust)
    }

    /// Trusts authorities alone.
    pub(crate) fn in_authorities(anchors: Vec<Certificate>) -> Self {
        Self { anchors, ..Self::default() }
    }

    fn revocations(&mut self, der: &[u8]) -> Result<(), TrustError> {
        let (_, list) =
            CertificateRevocationList::from_der(der).map_err(|error| CertificateError(error.to_string()))?;
        let is_of = |anchor: &&Certificate| {
            X509Certificate::from_der(&anchor.der).is_ok_and(|(_, anchor)| {
                anchor.subject().as_raw() == list.issuer().as_raw()
                    && list.verify_signature(anchor.public_key()).is_ok()
            })
        };
        if self.anchors.iter().find(is_of).is_none() {
            return Err(TrustError::Revocations(list.issuer().to_string()));
        }
        self.revoked.extend(list.iter_revoked_certificates().map(|revoked| Revoked {
            issuer: list.issuer().as_raw().to_vec(),
            serial: revoked.raw_serial().to_vec(),
            at: time(revoked.revocation_date),
        }));
        Ok(())
    }

    /// The authorities that are trusted.
    pub fn authorities(&self) -> impl Iterator<Item = &CertificateInfo> {
        self.anchors.iter().map(|anchor| &anchor.info)
    }

    /// The agents and sites that are trusted by themselves.
    pub fn pinned(&self) -> impl Iterator<Item = &CertificateInfo> {
        self.pinned.iter().map(|pinned| &pinned.info)
    }

    /// The certificate by which `key` is trusted in a role for something signed at `at`. `given` are the certificates that the recording
    /// has, `others` those of authorities in between. `kept_at` is when the site says to have sealed it, if that is known: a signature whose own
    /// time does not fit, because the host's clock was wrong, counts when that one does. Then the second value is true.
    ///
    /// # Errors
    /// Why it is not trusted.
    pub(crate) fn find<'a>(
        &'a self,
        (key, role): (PublicKey, Role),
        given: &'a [Certificate],
        others: &[Certificate],
        at: WallTime,
        kept_at: Option<WallTime>,
    ) -> Result<(&'a Certificate, bool), Distrust> {
        let pins = || self.pinned.iter().filter(|pin| pin.info.role == role);
        let is_pinned = pins().any(|pin| pin.info.key == Some(key));
        if pins().next().is_some() && !is_pinned && (role == Role::Agent || self.anchors.is_empty()) {
            return Err("it is none of the keys that are trusted".into());
        }
        let fits =
            |certificate: &&Certificate| certificate.info.key == Some(key) && certificate.info.role == role;
        let mut why = String::from("there is no certificate for it");
        for certificate in given.iter().chain(pins()).filter(fits) {
            let times = [(Some(at), false), (kept_at, true)];
            for (time, by_site) in times.into_iter().filter_map(|(time, by)| Some((time?, by))) {
                if !certificate.covers(time) {
                    let CertificateInfo { not_before, not_after, .. } = certificate.info;
                    why = format!("its certificate is valid from {not_before} to {not_after}, not at {at}");
                    continue;
                }
                if let Some(revoked) = self
                    .revocation(certificate)
                    .filter(|revoked| time >= *revoked || kept_at >= Some(*revoked))
                {
                    why = format!("its certificate was revoked at {revoked}");
                    continue;
                }
                // A pinned key is trusted for the time that its pinned certificate has, or another that an authority issued.
                if self.pinned.contains(certificate) {
                    return Ok((certificate, by_site));
                }
                match self.chain(certificate, others, time) {
                    Ok(()) => return Ok((certificate, by_site)),
                    Err(error) => {
                        why = format!(
                            "its certificate {} leads to no authority that is trusted ({error})",
                            certificate.info.fingerprint
                        );
                    }
                }
            }
        }
        Err(why)
    }

    fn revocation(&self, certificate: &Certificate) -> Option<WallTime> {
        let mut all = self.revoked.iter();
        all.find(|revoked| revoked.issuer == certificate.issuer && revoked.serial == certificate.serial)
            .map(|revoked| revoked.at)
    }

    fn chain(&self, leaf: &Certificate, others: &[Certificate], at: WallTime) -> Result<(), webpki::Error> {
        let anchors: Vec<TrustAnchor<'_>> =
            self.anchors.iter().filter_map(|anchor| anchor_from_trusted_cert(&anchor.der).ok()).collect();
        let between: Vec<CertificateDer<'_>> = others.iter().map(|other| other.der.clone()).collect();
        let seconds = u64::try_from(at.as_micros() / 1_000_000).unwrap_or(0);
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        EndEntityCert::try_from(&leaf.der)?
            .verify_for_usage(
                ALL_VERIFICATION_ALGS,
                &anchors,
                &between,
                time,
                KeyUsage::client_auth(),
                None,
                None,
            )
            .map(|_| ())
    }
}
