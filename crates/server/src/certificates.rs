//! Certificates: the site's authority certifies agents and servers, and servers seal what they store.
//!
//! Everything that was ever issued is kept: an old certificate is still good for what was signed in its time.

use crate::{ServerError, clock, folder, token};
use playhead_db::{
    DbError,
    site::{Agent, CertificateRow, Store},
};
use playhead_format::{PublicKey, Sealer, SegmentIndex, Signer};
use playhead_model::{RecordingId, ServerId, WallTime};
use playhead_net::{Authority, NodeKey, SigningCertificate};
use playhead_proof::Certificate;
use serde::Serialize;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

const AGENT: &str = "agent";
const SITE: &str = "site";
/// File of the key that seals, below the data folder.
const KEY: &str = "seal.key";
const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// A certificate is valid for so long.
const VALID: i64 = 365 * DAY;
/// And from a while before it is issued, for hosts whose clocks are late and for what was recorded before the agent had joined.
const BEFORE: i64 = 7 * DAY;
/// It is replaced when less than this of its time is left.
const RENEW: i64 = VALID / 3;
/// Most certificates of a key that go into a seal.
const MOST: usize = 8;

/// Issues certificates, and knows the key by which this server seals.
pub(crate) struct Certificates {
    authority: Authority,
    store: Store,
    key: PathBuf,
    server: ServerId,
    site: String,
}

/// All that a segment's seal needs but the segment.
#[derive(Clone)]
pub(crate) struct Stamp {
    sealer: Sealer,
    signer: Signer,
    at: WallTime,
}

impl Stamp {
    /// The seal for a segment with this index. The agent's certificates go into it only where the agent `signed`: an older one does
    /// not, and nobody shall think that its signatures were taken away.
    pub(crate) fn seal(mut self, index: &SegmentIndex, signed: bool) -> Option<Vec<u8>> {
        if !signed {
            self.sealer.agent_certificates.clear();
        }
        self.sealer.seal(index, &self.signer, self.at)
    }
}

impl Certificates {
    pub(crate) fn new(
        data: &Path,
        store: Store,
        authority: Authority,
        server: ServerId,
        site: String,
    ) -> Self {
        Self { authority, store, key: data.join(KEY), server, site }
    }

    /// The authority's certificate, DER.
    pub(crate) fn authority(&self) -> &[u8] {
        self.authority.der()
    }

    /// The newest certificate of an agent and those of who issued it, PEM; a new one where there is none or its time is nearly over.
    ///
    /// # Errors
    /// The database's; a name that no certificate can carry.
    pub(crate) async fn for_agent(&self, agent: &Agent, now: WallTime) -> Result<String, ServerError> {
        let Some(key) = agent_key(agent) else { return Ok(String::new()) };
        let row = self.ensure((AGENT, &agent.id.to_string()), &agent.host, key, now).await?;
        Ok(format!("{}{}", row.pem, self.authority.chain()))
    }

    /// Whether the agent's key is not good any more.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn is_revoked(&self, agent: &Agent) -> Result<bool, DbError> {
        let Some(key) = agent_key(agent).map(|key| key.to_string()) else { return Ok(false) };
        let rows = self.store.certificates_of(AGENT, &agent.id.to_string()).await?;
        Ok(rows.iter().any(|row| row.public_key == key && row.revoked_at.is_some()))
    }

    /// Makes sure that this server has a key and a certificate to seal with.
    ///
    /// # Errors
    /// A key file that cannot be used; the database's.
    pub(crate) async fn for_site(&self, now: WallTime) -> Result<Signer, ServerError> {
        let path = self.key.clone();
        // The file is read each time, so that a key that was replaced beside the running server counts at once.
        let key = tokio::task::spawn_blocking(move || NodeKey::load_or_create(&path)).await;
        let key = Arc::new(key.map_err(|error| self.unusable(std::io::Error::other(error)))??);
        let public = key.public_bytes();
        let owner = self.server.to_string();
        self.ensure((SITE, &owner), &self.site, PublicKey::from_bytes(public), now).await?;
        Ok(Signer::new(public, move |statement| key.sign(statement)))
    }

    fn unusable(&self, source: std::io::Error) -> ServerError {
        ServerError::Data { path: self.key.clone(), source }
    }

    /// What the seal of a segment says besides the segment. For the same segment it is the same again.
    ///
    /// # Errors
    /// A key file that cannot be used; the database's.
    pub(crate) async fn stamp(
        &self,
        recording: RecordingId,
        number: u32,
        now: WallTime,
    ) -> Result<Stamp, ServerError> {
        let at = self.store.sealing(recording, number, now).await?;
        let signer = self.for_site(now).await?;
        let key = signer.key();
        let text = key.to_string();
        let rows = self.store.certificates_of(SITE, &self.server.to_string()).await?;
        let own = rows.into_iter().filter(|row| row.public_key == text);
        let certificates = own.take(MOST).map(|row| row.pem).collect();
        let agent = match self.store.recording(recording).await? {
            Some(row) => self.store.certificates_of(AGENT, &row.agent.to_string()).await?,
            None => Vec::new(),
        };
        let sealer = Sealer {
            site: self.site.clone(),
            key,
            certificates,
            agent_certificates: agent.into_iter().take(MOST).map(|row| row.pem).collect(),
            authorities: split(self.authority.chain()),
        };
        Ok(Stamp { sealer, signer, at })
    }

    async fn ensure(
        &self,
        (role, owner): (&str, &str),
        name: &str,
        key: PublicKey,
        now: WallTime,
    ) -> Result<CertificateRow, ServerError> {
        let text = key.to_string();
        let rows = self.store.certificates_of(role, owner).await?;
        let good = rows.into_iter().find(|row| {
            row.public_key == text && row.revoked_at.is_none() && row.not_after >= now.plus_micros(RENEW)
        });
        match good {
            Some(row) => Ok(row),
            None => self.issue((role, owner), name, key, now).await,
        }
    }

    /// Issues a certificate and keeps it.
    async fn issue(
        &self,
        (role, owner): (&str, &str),
        name: &str,
        key: PublicKey,
        now: WallTime,
    ) -> Result<CertificateRow, ServerError> {
        let pem = self.authority.issue(SigningCertificate {
            role,
            id: owner,
            name,
            key: *key.as_bytes(),
            not_before: now.plus_micros(-BEFORE).as_micros() / SECOND,
            not_after: now.plus_micros(VALID).as_micros() / SECOND,
        })?;
        let info = Certificate::from_pem(&pem)?.info;
        let row = CertificateRow {
            fingerprint: info.fingerprint,
            role: role.into(),
            owner: owner.into(),
            name: name.into(),
            public_key: key.to_string(),
            serial: info.serial,
            pem,
            not_before: info.not_before,
            not_after: info.not_after,
            issued_at: now,
            revoked_at: None,
        };
        self.store.add_certificate(&row).await?;
        tracing::info!(role, owner, name, fingerprint = row.fingerprint, until = %row.not_after, "certificate issued");
        Ok(row)
    }
}

/// The agent's key; `None` for one that was enrolled with something else.
fn agent_key(agent: &Agent) -> Option<PublicKey> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let bytes = URL_SAFE_NO_PAD.decode(&agent.public_key).ok()?;
    Some(PublicKey::from_bytes(bytes.try_into().ok()?))
}

/// The certificates of a PEM text, one by one.
fn split(chain: &str) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    let parts = chain.split_inclusive(END).filter(|part| part.contains(END));
    parts.map(|part| format!("{}\n", part.trim())).collect()
}

/// A certificate in a report.
#[derive(Debug, Serialize)]
pub struct IssuedCertificate {
    /// SHA-256 as pairs of hexadecimal digits with colons.
    pub fingerprint: String,
    /// `agent` or `site`.
    pub role: String,
    /// Id of the agent or the server.
    pub owner: String,
    /// Name of the session host or the site.
    pub name: String,
    /// The Ed25519 key, hexadecimal.
    pub public_key: String,
    /// From when on it is valid.
    pub not_before: WallTime,
    /// Until when.
    pub not_after: WallTime,
    /// When it was revoked.
    pub revoked_at: Option<WallTime>,
    /// Whether it is the newest of its key's and good now.
    pub current: bool,
}

/// The certificates of a site.
#[derive(Debug, Serialize)]
pub struct CertificateReport {
    /// SHA-256 of the authority's certificate.
    pub authority: String,
    /// All that it issued to agents and servers, by role and name, the newest first.
    pub certificates: Vec<IssuedCertificate>,
}

/// Shows, renews, revokes and exports certificates on the server's own machine, whether the server runs or not.
pub struct CertificateAdmin {
    certificates: Certificates,
}

impl CertificateAdmin {
    /// Opens the data folder of a server that was started before. `database` as the server is told it.
    ///
    /// # Errors
    /// No server was started with this folder, or its database cannot be used.
    pub async fn open(data: &Path, database: Option<&str>) -> Result<Self, ServerError> {
        let path = data.join(token::ADDRESS);
        fs::metadata(&path).map_err(|source| ServerError::Data { path, source })?;
        let server = folder::server_id(data)?;
        let store = folder::open_store(data, database).await?;
        let site = store.identity(uuid::Uuid::now_v7().into(), None, clock::now()).await?;
        let authority = Authority::load_or_create(data, &site.name)?;
        Ok(Self { certificates: Certificates::new(data, store, authority, server, site.name) })
    }

    /// Closes the database.
    pub async fn close(self) {
        self.certificates.store.database().close().await;
    }

    /// What there is.
    ///
    /// # Errors
    /// The database's; an authority's certificate that cannot be read.
    pub async fn report(&self) -> Result<CertificateReport, ServerError> {
        let now = clock::now();
        let mut seen = std::collections::HashSet::new();
        let rows = self.certificates.store.certificates().await?.into_iter().map(|row| {
            let newest = seen.insert((row.role.clone(), row.owner.clone()));
            let good = row.revoked_at.is_none() && row.not_before <= now && now <= row.not_after;
            IssuedCertificate {
                fingerprint: row.fingerprint,
                role: row.role,
                owner: row.owner,
                name: row.name,
                public_key: row.public_key,
                not_before: row.not_before,
                not_after: row.not_after,
                revoked_at: row.revoked_at,
                current: newest && good,
            }
        });
        let certificates = rows.collect();
        let authority = Certificate::from_pem(self.certificates.authority.chain())?;
        Ok(CertificateReport { authority: authority.info.fingerprint, certificates })
    }

    /// Gives this server a new key to seal with, and its certificate; with `agents`, issues new certificates to all agents as well, which
    /// they get when they next connect. The old ones stay good for what was signed with them.
    ///
    /// # Errors
    /// The key cannot be replaced; the database's.
    pub async fn rotate(&self, agents: bool) -> Result<(), ServerError> {
        let now = clock::now();
        NodeKey::replace(&self.certificates.key)?;
        self.certificates.for_site(now).await?;
        if agents {
            for host in self.certificates.store.hosts(u32::MAX).await? {
                let agent = host.agent;
                if let Some(key) = agent_key(&agent)
                    && !self.certificates.is_revoked(&agent).await?
                {
                    self.certificates.issue((AGENT, &agent.id.to_string()), &agent.host, key, now).await?;
                }
            }
        }
        Ok(())
    }

    /// Revokes the certificates of an agent, by its id or its host's name: it cannot connect any more with this key, and what it signs from
    /// now on does not count. Returns how many certificates these were.
    ///
    /// # Errors
    /// Nobody of that name has a certificate; the database's.
    pub async fn revoke(&self, agent: &str) -> Result<u64, ServerError> {
        let store = &self.certificates.store;
        let rows = store.certificates().await?;
        let owners: std::collections::BTreeSet<String> = rows
            .into_iter()
            .filter(|row| row.role == AGENT && (row.owner == agent || row.name == agent))
            .map(|row| row.owner)
            .collect();
        if owners.is_empty() {
            return Err(ServerError::NoSuchAgent(agent.to_owned()));
        }
        let mut count = 0;
        for owner in owners {
            count += store.revoke_certificates(AGENT, &owner, clock::now()).await?;
        }
        Ok(count)
    }

    /// What a verifier needs, PEM: the authority's certificate and the list of what was revoked; with `pins`, the certificates of all
    /// agents and servers as well, so that no others count.
    ///
    /// # Errors
    /// The database's; a given authority that may not sign lists of revocations.
    pub async fn export(&self, pins: bool) -> Result<String, ServerError> {
        let rows = self.certificates.store.certificates().await?;
        let serials =
            rows.iter().filter_map(|row| Some((serial(&row.serial)?, row.revoked_at?.as_micros() / SECOND)));
        let serials: Vec<_> = serials.collect();
        let mut text = self.certificates.authority.chain().to_owned();
        if !serials.is_empty() {
            let now = clock::now().as_micros() / SECOND;
            text.push_str(&self.certificates.authority.revocations(&serials, now)?);
        }
        if pins {
            rows.iter().for_each(|row| text.push_str(&row.pem));
        }
        Ok(text)
    }
}

/// A serial number out of its hexadecimal digits.
fn serial(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits?;
    digits.chunks(2).map(|pair| Some(pair.first()? << 4 | pair.get(1)?)).collect()
}
