//! Time stamps by an authority outside the site (RFC 3161): asking for one, reading it, checking it.

use playhead_model::WallTime;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime, pem::PemObject as _};
use serde::Serialize;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use std::{fmt::Write as _, time::Duration};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Most bytes of an authority's answer.
pub const MAX_STAMP: usize = 256 << 10;

/// Most certificates that are looked at.
const MOST_CERTIFICATES: usize = 16;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OID: u8 = 0x06;
const TIME: u8 = 0x18;
/// `[0]`, constructed.
const FIRST: u8 = 0xA0;

const SIGNED_DATA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x02];
const STAMP: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x10, 0x01, 0x04];
const CONTENT_TYPE: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x03];
const MESSAGE_DIGEST: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x04];
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const SHA384: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
const SHA512: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03];
/// id-kp-timeStamping: what the authority's certificate must be for.
const TIME_STAMPING: &[u8] = &[0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];

/// Why a time stamp is none, or proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// The authority did not grant it.
    #[error("the time stamping authority refused with status {0}")]
    Refused(u8),
    /// Not an answer of such an authority.
    #[error("expected a time stamp (RFC 3161): {0}")]
    Content(&'static str),
    /// It is over something else.
    #[error("the time stamp is over another seal: expected {expected}, got {actual}")]
    OtherContent {
        /// SHA-256 of the seal, hexadecimal.
        expected: String,
        /// What it is over.
        actual: String,
    },
    /// The answer is one to another question.
    #[error("the time stamp answers another request")]
    OtherRequest,
    /// The signature does not fit.
    #[error("the time stamp's signature does not fit: it was changed, or its certificate is missing")]
    Signature,
    /// Nobody vouches for its authority.
    #[error("the time stamping authority '{name}' leads to none that is trusted ({reason})")]
    NotTrusted {
        /// Common name in its certificate.
        name: String,
        /// Why.
        reason: String,
    },
    /// No certificate to trust.
    #[error("expected certificates of time stamping authorities (PEM), found none")]
    NoAuthority,
}

/// The time stamping authorities that a verifier trusts.
#[derive(Debug, Clone)]
pub struct StampTrust {
    anchors: Vec<CertificateDer<'static>>,
}

impl StampTrust {
    /// Reads certificates of authorities out of a PEM text.
    ///
    /// # Errors
    /// A text without any, or with one that cannot be read.
    pub fn from_pem(text: &str) -> Result<Self, StampError> {
        let anchors: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
        let anchors = anchors.map_err(|_| StampError::NoAuthority)?;
        let usable = anchors.iter().all(|anchor| anchor_from_trusted_cert(anchor).is_ok());
        if anchors.is_empty() || !usable { Err(StampError::NoAuthority) } else { Ok(Self { anchors }) }
    }
}

/// Who stamped, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StampInfo {
    /// The authority's clock.
    pub at: WallTime,
    /// Common name in the authority's certificate.
    pub authority: String,
    /// Number of the time stamp at the authority, hexadecimal.
    pub serial: String,
    /// Whether the authority is trusted; `None` when it was not asked whom to trust.
    pub trusted: Option<bool>,
}

/// A time stamp, read and not checked yet.
#[derive(Debug, Clone)]
pub struct TimeStamp {
    at: WallTime,
    serial: String,
    imprint: Vec<u8>,
    nonce: Option<Vec<u8>>,
    /// What is signed: the attributes, as the set they stand for.
    attributes: Vec<u8>,
    signature: Vec<u8>,
    certificates: Vec<CertificateDer<'static>>,
}

/// The request for a time stamp over a SHA-256. The nonce tells the answer from earlier ones.
pub fn stamp_request(digest: &[u8; 32], nonce: u64) -> Vec<u8> {
    let algorithm = wrap(SEQUENCE, &[&wrap(OID, SHA256)[..], &[0x05, 0x00]].concat());
    let imprint = wrap(SEQUENCE, &[algorithm, wrap(OCTETS, digest)].concat());
    // The certificate is to be in the answer.
    let parts = [&wrap(INTEGER, &[1])[..], &imprint, &wrap(INTEGER, &integer(nonce)), &[0x01, 0x01, 0xFF]];
    wrap(SEQUENCE, &parts.concat())
}

/// A positive number in as few bytes as it needs.
fn integer(number: u64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let skip = bytes.iter().take_while(|byte| **byte == 0).count().min(7);
    let mut all = Vec::new();
    if bytes[skip] & 0x80 != 0 {
        all.push(0);
    }
    all.extend(&bytes[skip..]);
    all
}

/// One value with its tag. Only short ones are made here.
fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
    let mut all = if length < 0x80 { vec![tag, length] } else { vec![tag, 0x81, length] };
    all.extend(content);
    all
}

/// Values one after another (DER).
struct Reader<'a>(&'a [u8]);

/// One value.
struct Item<'a> {
    tag: u8,
    content: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<Item<'a>> {
        let [tag, length, rest @ ..] = self.0 else { return None };
        // Tags of several bytes do not occur here.
        if tag & 0x1F == 0x1F {
            return None;
        }
        let (length, rest) = match length {
            0..=0x7F => (usize::from(*length), rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7F))?;
                (bytes.iter().fold(0usize, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, after) = rest.split_at_checked(length)?;
        let whole = &self.0[..self.0.len() - after.len()];
        self.0 = after;
        Some(Item { tag: *tag, content, whole })
    }

    /// The next value, which must have this tag.
    fn take(&mut self, tag: u8, what: &'static str) -> Result<Item<'a>, StampError> {
        self.next().filter(|item| item.tag == tag).ok_or(StampError::Content(what))
    }

    /// The next value if it has this tag.
    fn optional(&mut self, tag: u8) -> Option<Item<'a>> {
        if self.0.first() == Some(&tag) { self.next() } else { None }
    }
}

/// The object identifier that an algorithm begins with.
fn algorithm<'a>(item: &Item<'a>) -> Result<&'a [u8], StampError> {
    Ok(Reader(item.content).take(OID, "it names no algorithm")?.content)
}

impl TimeStamp {
    /// Reads the answer of a time stamping authority.
    ///
    /// # Errors
    /// It was refused, or is none. Whether it is right, [`TimeStamp::check`] tells.
    pub fn read(response: &[u8]) -> Result<Self, StampError> {
        use StampError::Content;
        if response.len() > MAX_STAMP {
            return Err(Content("it is too long"));
        }
        let mut response = Reader(Reader(response).take(SEQUENCE, "it is no answer")?.content);
        let status = response.take(SEQUENCE, "it has no status")?;
        match Reader(status.content).take(INTEGER, "it has no status")?.content {
            [0 | 1] => {}
            [status] => return Err(StampError::Refused(*status)),
            _ => return Err(Content("it has no status")),
        }
        let token = response.take(SEQUENCE, "there is no time stamp in it")?;
        let mut token = Reader(token.content);
        if token.take(OID, "it is of no kind")?.content != SIGNED_DATA {
            return Err(Content("it is not signed"));
        }
        let signed = token.take(FIRST, "it is empty")?;
        let mut signed = Reader(Reader(signed.content).take(SEQUENCE, "it is empty")?.content);
        signed.take(INTEGER, "it has no version")?;
        signed.take(SET, "it names no digests")?;
        let mut content = Reader(signed.take(SEQUENCE, "it has no content")?.content);
        if content.take(OID, "its content is of no kind")?.content != STAMP {
            return Err(Content("its content is something else"));
        }
        let content = content.take(FIRST, "it has no content")?;
        let content = Reader(content.content).take(OCTETS, "it has no content")?.content;
        let mut certificates = Vec::new();
        if let Some(all) = signed.optional(FIRST) {
            let mut all = Reader(all.content);
            while let Some(one) = all.next().filter(|_| certificates.len() < MOST_CERTIFICATES) {
                certificates.push(CertificateDer::from(one.whole.to_vec()));
            }
        }
        // Revocations, which nobody needs here.
        signed.optional(0xA1);
        let signer = signed.take(SET, "nobody has signed it")?;
        let (attributes, signature) = signer_of(signer.content, content)?;
        Self::content(content, attributes, signature, certificates)
    }

    fn content(
        content: &[u8],
        attributes: Vec<u8>,
        signature: Vec<u8>,
        certificates: Vec<CertificateDer<'static>>,
    ) -> Result<Self, StampError> {
        let mut content = Reader(Reader(content).take(SEQUENCE, "its content cannot be read")?.content);
        content.take(INTEGER, "it has no version")?;
        content.take(OID, "it has no policy")?;
        let mut imprint = Reader(content.take(SEQUENCE, "it is over nothing")?.content);
        if algorithm(&imprint.take(SEQUENCE, "it is over nothing")?)? != SHA256 {
            return Err(StampError::Content("it is not over a SHA-256"));
        }
        let imprint = imprint.take(OCTETS, "it is over nothing")?.content.to_vec();
        let serial = content.take(INTEGER, "it has no number")?.content;
        let at = time(content.take(TIME, "it has no time")?.content)
            .ok_or(StampError::Content("its time makes no sense"))?;
        // How exact it is, and whether stamps are ordered.
        content.optional(SEQUENCE);
        content.optional(0x01);
        let nonce = content.optional(INTEGER).map(|nonce| nonce.content.to_vec());
        let serial = hexadecimal(serial.get(..serial.len().min(32)).unwrap_or_default());
        Ok(Self { at, serial, imprint, nonce, attributes, signature, certificates })
    }

    /// Whether it answers the request with this nonce.
    ///
    /// # Errors
    /// It does not.
    pub fn answers(&self, nonce: u64) -> Result<(), StampError> {
        if self.nonce.as_deref() == Some(&integer(nonce)[..]) {
            Ok(())
        } else {
            Err(StampError::OtherRequest)
        }
    }

    /// Checks that it is over this SHA-256 and signed; with a `trust`, by whom one can rely on.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, digest: &[u8; 32], trust: Option<&StampTrust>) -> Result<StampInfo, StampError> {
        if self.imprint != digest {
            let (expected, actual) = (hexadecimal(digest), hexadecimal(&self.imprint));
            return Err(StampError::OtherContent { expected, actual: actual.chars().take(128).collect() });
        }
        let signer = self
            .certificates
            .iter()
            .find(|certificate| self.is_by(certificate))
            .ok_or(StampError::Signature)?;
        let name = match X509Certificate::from_der(signer) {
            Ok((_, read)) => crate::certificate::common_name(read.subject()),
            Err(_) => return Err(StampError::Signature),
        };
        if let Some(trust) = trust {
            self.chain(signer, trust)
                .map_err(|error| StampError::NotTrusted { name: name.clone(), reason: error.to_string() })?;
        }
        Ok(StampInfo {
            at: self.at,
            authority: name,
            serial: self.serial.clone(),
            trusted: trust.map(|_| true),
        })
    }

    fn is_by(&self, certificate: &CertificateDer<'_>) -> bool {
        EndEntityCert::try_from(certificate).is_ok_and(|certificate| {
            let fits = |algorithm: &&'static dyn rustls_pki_types::SignatureVerificationAlgorithm| {
                certificate.verify_signature(*algorithm, &self.attributes, &self.signature).is_ok()
            };
            ALL_VERIFICATION_ALGS.iter().any(fits)
        })
    }

    /// The certificate must lead to an authority that is trusted, be for time stamping, and have been valid at the time.
    fn chain(&self, signer: &CertificateDer<'_>, trust: &StampTrust) -> Result<(), webpki::Error> {
        let anchors: Vec<TrustAnchor<'_>> =
            trust.anchors.iter().filter_map(|anchor| anchor_from_trusted_cert(anchor).ok()).collect();
        let seconds = u64::try_from(self.at.as_micros() / 1_000_000).unwrap_or(0);
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let usage = KeyUsage::required(TIME_STAMPING);
        EndEntityCert::try_from(signer)?
            .verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, &self.certificates, time, usage, None, None)
            .map(|_| ())
    }
}

/// What the first signer has signed, and the signature. What is signed must name the content by its digest.
fn signer_of(signers: &[u8], content: &[u8]) -> Result<(Vec<u8>, Vec<u8>), StampError> {
    let mut signer = Reader(Reader(signers).take(SEQUENCE, "nobody has signed it")?.content);
    signer.take(INTEGER, "its signer has no version")?;
    // Who: by issuer and number, or by the key's id. Whose key fits, is.
    signer.next().ok_or(StampError::Content("its signer is nobody"))?;
    let digest = signer.take(SEQUENCE, "its signer names no digest")?;
    let digest = match algorithm(&digest)? {
        SHA256 => Sha256::digest(content).to_vec(),
        SHA384 => Sha384::digest(content).to_vec(),
        SHA512 => Sha512::digest(content).to_vec(),
        _ => return Err(StampError::Content("its digest is none of SHA-256, SHA-384 and SHA-512")),
    };
    let attributes = signer.take(FIRST, "its signer has signed no attributes")?;
    signer.take(SEQUENCE, "its signer names no algorithm")?;
    let signature = signer.take(OCTETS, "it has no signature")?.content.to_vec();
    let (mut kind, mut fits) = (false, false);
    let mut all = Reader(attributes.content);
    while let Some(attribute) = all.next() {
        let mut attribute = Reader(attribute.content);
        let name = attribute.take(OID, "an attribute has no name")?.content;
        let value = attribute.take(SET, "an attribute has no value")?;
        let value = Reader(value.content).next().map(|value| value.content);
        kind |= name == CONTENT_TYPE && value == Some(STAMP);
        fits |= name == MESSAGE_DIGEST && value == Some(&digest);
    }
    if !kind || !fits {
        return Err(StampError::Signature);
    }
    // They are signed as the set that they are, whose tag is left out where they stand.
    let mut signed = attributes.whole.to_vec();
    if let Some(tag) = signed.first_mut() {
        *tag = SET;
    }
    Ok((signed, signature))
}

/// `YYYYMMDDHHMMSS[.f…]Z`.
fn time(text: &[u8]) -> Option<WallTime> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits =
        |text: &str| !text.is_empty() && text.len() <= 14 && text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() != 14 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let part = |from: usize, to: usize| &whole[from..to];
    let fraction = fraction.get(..fraction.len().min(6))?;
    let (date, hour) = (format!("{}-{}-{}", part(0, 4), part(4, 6), part(6, 8)), part(8, 10));
    format!("{date}T{hour}:{}:{}.{fraction}Z", part(10, 12), part(12, 14)).parse().ok()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_what_the_standard_asks_for() {
        let request = stamp_request(&[7; 32], 0x80);
        assert_eq!(&request[..7], [0x30, 0x3D, 0x02, 0x01, 0x01, 0x30, 0x31]);
        assert_eq!(&request[request.len() - 7..], [0x02, 0x02, 0x00, 0x80, 0x01, 0x01, 0xFF]);
        assert_eq!((integer(0), integer(255), integer(256)), (vec![0], vec![0, 255], vec![1, 0]));
    }

    #[test]
    fn times_are_read_and_nonsense_is_refused() {
        let text = |text: &str| time(text.as_bytes()).map(|time| time.to_string());
        assert_eq!(
            text("20260102030405Z"),
            "2026-01-02T03:04:05Z".parse().ok().map(|time: WallTime| time.to_string())
        );
        assert!(text("20260102030405.25Z").is_some_and(|text| text.contains("05.25")));
        for wrong in [
            "",
            "Z",
            "20260102030405",
            "20261302030405Z",
            "2026010203040Z",
            "2026010203040xZ",
            "20260102030405.Z",
        ] {
            assert_eq!(text(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_no_time_stamp_is_refused() {
        for wrong in [
            &[][..],
            &[0x30],
            &[0x30, 0x84, 255, 255, 255, 255],
            &[0x30, 0x80],
            &[0x30, 0x03, 0x30, 0x01, 0x02],
        ] {
            assert!(matches!(TimeStamp::read(wrong), Err(StampError::Content(_))));
        }
        let refused = wrap(SEQUENCE, &wrap(SEQUENCE, &wrap(INTEGER, &[2])));
        assert_eq!(TimeStamp::read(&refused).err(), Some(StampError::Refused(2)));
        assert_eq!(StampTrust::from_pem("nothing").err(), Some(StampError::NoAuthority));
    }
}
