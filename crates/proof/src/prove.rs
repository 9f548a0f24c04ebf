//! The proof of a recording: chain, signatures, seals, certificates.

use crate::{Certificate, CertificateInfo, Role, Trust, verify};
use playhead_format::{
    Closing, Ending, FormatError, FragmentSignature, PublicKey, Report, Seal, SegmentIndex, SegmentScan,
    SignedSeal, Status, verify_scans,
};
use playhead_model::{RecordingId, WallTime};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The most certificates of a kind that are read from a seal.
const MOST_CERTIFICATES: usize = 16;
/// The most problems of one recording that are told.
const MOST_PROBLEMS: usize = 100;

/// How it stands with a recording's signatures; the worst comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProofState {
    /// Signed by its agent from beginning to end, sealed by its site, and both are trusted.
    Proved,
    /// The signatures are right, but it was not asked whom to trust.
    NotChecked,
    /// There are no signatures, and none were asked for.
    NotSigned,
    /// What is signed is proved, but the agent's signature under the end is not there.
    EndNotProved,
    /// A signature or seal is wrong, missing, or by somebody who is not trusted.
    NotProved,
}

/// What is wrong with signatures, for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProofKind {
    /// Who verifies asks for signatures, and there are none.
    NotSigned,
    /// A signature does not fit what it stands under.
    WrongSignature,
    /// The recording is signed by more than one key.
    OtherKey,
    /// The recording is signed, but a signature that must be there is not.
    MissingSignature,
    /// The agent's signature under the end of the recording is not there, because the agent was lost or because it was taken away.
    EndNotSigned,
    /// A seal cannot be read, its signature is wrong, or it is another segment's.
    WrongSeal,
    /// A finished segment has no seal, though the recording is sealed or signatures are asked for.
    MissingSeal,
    /// A signer has no certificate that is trusted for the time of signing.
    NotTrusted,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProofProblem {
    /// What, for machines.
    pub kind: ProofKind,
    /// The file.
    pub file: Option<String>,
    /// The number of the fragment.
    pub seq: Option<u64>,
    /// What, for people.
    pub text: String,
}

/// Who signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignerReport {
    /// The key.
    pub key: PublicKey,
    /// How many signatures of it are right.
    pub signatures: u64,
    /// Wall clock of the signer at the first of them.
    pub first_at: Option<WallTime>,
    /// At the last.
    pub last_at: Option<WallTime>,
    /// The certificates by which it is known.
    pub certificates: Vec<CertificateInfo>,
    /// Whether it was found to be trusted; `None` when it was not asked whom to trust.
    pub trusted: Option<bool>,
}

/// What the agent's signatures cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Covered {
    /// The last fragment that is covered; everything before it is too.
    pub seq: u64,
    /// Media time at which it ends.
    pub end_us: u64,
    /// Whether it is the end of the recording.
    pub is_end: bool,
}

/// The seal of one segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SealReport {
    /// The file.
    pub file: String,
    /// Number of the segment.
    pub segment: u32,
    /// The site's name, as it says.
    pub site: String,
    /// The site's key.
    pub key: PublicKey,
    /// When it was sealed, as the site says.
    pub sealed_at: WallTime,
    /// Whether seal and signature are right.
    pub right: bool,
}

/// What was found about the signatures of one recording.
#[derive(Debug, Clone, Serialize)]
pub struct Proof {
    /// The recording.
    pub recording: RecordingId,
    /// How it stands.
    pub state: ProofState,
    /// What the agent's signatures cover.
    pub covered: Option<Covered>,
    /// Fragments after the last that the agent's signatures cover.
    pub not_covered: u64,
    /// The agent's keys; a sound recording has at most one.
    pub agents: Vec<SignerReport>,
    /// The sites' keys. Servers of one site have each their own.
    pub sites: Vec<SignerReport>,
    /// The seals, in the order of the segments.
    pub seals: Vec<SealReport>,
    /// The authorities that the seals name.
    pub authorities: Vec<CertificateInfo>,
    /// What is wrong.
    pub problems: Vec<ProofProblem>,
    /// What is not proved, in words.
    pub not_proved: Vec<String>,
}

/// What was found about all files.
#[derive(Debug, Clone, Serialize)]
pub struct Proved {
    /// The chain and the files themselves.
    pub report: Report,
    /// The signatures, for each of the report's recordings.
    pub proofs: Vec<Proof>,
}

impl Proved {
    /// The worst of files, chain and signatures: wrong signatures are damage, an end that is not proved is incomplete.
    pub fn status(&self) -> Status {
        let worst = self.proofs.iter().map(|proof| match proof.state {
            ProofState::Proved | ProofState::NotChecked | ProofState::NotSigned => Status::Intact,
            ProofState::EndNotProved => Status::Incomplete,
            ProofState::NotProved => Status::Damaged,
        });
        let worst = worst.max().unwrap_or(Status::Intact);
        match self.report.status {
            Status::Unreadable if worst > Status::Intact => worst,
            status => status.max(worst),
        }
    }
}

/// Verifies files as [`verify_scans`] does, and the signatures in them. With a `trust`, recordings must be signed by an agent and sealed by a
/// site that are trusted; without, signatures that are there must fit.
pub fn prove(
    scans: impl IntoIterator<Item = (String, Result<SegmentScan, FormatError>)>,
    trust: Option<&Trust>,
) -> Proved {
    let mut pieces: BTreeMap<RecordingId, Vec<Piece>> = BTreeMap::new();
    let scans: Vec<_> = scans
        .into_iter()
        .map(|(file, scan)| {
            if let Some((id, piece)) = scan.as_ref().ok().and_then(|scan| Piece::of(&file, scan)) {
                pieces.entry(id).or_default().push(piece);
            }
            (file, scan)
        })
        .collect();
    let report = verify_scans(scans);
    let proofs = report.recordings.iter().map(|recording| {
        let pieces = pieces.remove(&recording.id).unwrap_or_default();
        Judge::new(recording.id, trust).judge(pieces)
    });
    let proofs = proofs.collect();
    Proved { report, proofs }
}

/// One file, as far as signatures go.
struct Piece {
    file: String,
    segment: Option<u32>,
    finished: bool,
    index: Option<SegmentIndex>,
    seal: Option<Vec<u8>>,
    fragments: Vec<Part>,
}

/// One fragment, as far as signatures go.
struct Part {
    seq: u64,
    end_us: u64,
    is_last: bool,
    signature: Option<FragmentSignature>,
}

impl Piece {
    fn of(file: &str, scan: &SegmentScan) -> Option<(RecordingId, Self)> {
        let first = scan.fragments.first().map(|fragment| fragment.head.recording);
        let id = first.or(scan.index.as_ref().map(|index| index.recording))?;
        // Fragments of other recordings are damage already.
        let own = scan.fragments.iter().filter(|fragment| fragment.head.recording == id);
        let fragments = own.map(|fragment| Part {
            seq: fragment.head.seq,
            end_us: fragment.head.end_us,
            is_last: fragment.head.flags.last,
            signature: fragment.signature.clone(),
        });
        let segment = scan.fragments.first().map(|fragment| fragment.head.segment);
        let piece = Self {
            file: file.to_owned(),
            segment: segment.or(scan.index.as_ref().map(|index| index.segment)),
            finished: scan.ending == Ending::Finished,
            index: scan.index.clone(),
            seal: scan.seal.clone(),
            fragments: fragments.collect(),
        };
        Some((id, piece))
    }

    fn first_seq(&self) -> Option<u64> {
        self.fragments.first().map(|part| part.seq)
    }
}

/// A seal that is right in itself.
struct Sealed {
    file: String,
    seal: Seal,
    certificates: Vec<Certificate>,
}

/// A signature that is right in itself.
struct Signed {
    file: String,
    seq: u64,
    key: PublicKey,
    at: WallTime,
    /// When its segment was sealed.
    sealed_at: Option<WallTime>,
}

struct Judge<'a> {
    id: RecordingId,
    trust: Option<&'a Trust>,
    problems: Vec<ProofProblem>,
    not_proved: Vec<String>,
    agent_certificates: Vec<Certificate>,
    authorities: Vec<Certificate>,
}

impl<'a> Judge<'a> {
    fn new(id: RecordingId, trust: Option<&'a Trust>) -> Self {
        Self {
            id,
            trust,
            problems: Vec::new(),
            not_proved: Vec::new(),
            agent_certificates: Vec::new(),
            authorities: Vec::new(),
        }
    }

    fn judge(mut self, mut pieces: Vec<Piece>) -> Proof {
        pieces.sort_by_key(|piece| (piece.first_seq(), piece.segment, piece.file.clone()));
        let (sealed, seals) = self.seals(&pieces);
        let (signed, covered) = self.signatures(&pieces, &sealed);
        let is_signed = pieces.iter().flat_map(|piece| &piece.fragments).any(|part| part.signature.is_some())
            || !self.agent_certificates.is_empty();
        self.missing_seals(&pieces);
        self.end(&pieces, covered, is_signed);
        let agents = self.agents(&signed);
        let sites = self.sites(&sealed);
        let parts = || pieces.iter().flat_map(|piece| &piece.fragments);
        let not_covered = parts().filter(|part| covered.is_none_or(|covered| part.seq > covered.seq)).count();
        self.notes(&sealed, is_signed, not_covered as u64);
        Proof {
            recording: self.id,
            state: self.state(is_signed || !sealed.is_empty()),
            covered,
            not_covered: not_covered as u64,
            agents,
            sites,
            seals,
            authorities: self.authorities.into_iter().map(|authority| authority.info).collect(),
            problems: self.problems,
            not_proved: self.not_proved,
        }
    }

    fn problem(&mut self, kind: ProofKind, file: &str, seq: Option<u64>, text: impl Into<String>) {
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push(ProofProblem { kind, file: Some(file.to_owned()), seq, text: text.into() });
        }
    }

    /// Checks the seals by themselves and takes the certificates out of those that are right.
    fn seals(&mut self, pieces: &[Piece]) -> (Vec<Sealed>, Vec<SealReport>) {
        let (mut right, mut reports) = (Vec::new(), Vec::new());
        for piece in pieces {
            let Some(bytes) = &piece.seal else { continue };
            let SignedSeal { seal, signature, statement } = match Seal::read(bytes) {
                Ok(signed) => signed,
                Err(error) => {
                    self.problem(ProofKind::WrongSeal, &piece.file, None, error.to_string());
                    continue;
                }
            };
            let fits = piece.index.as_ref().is_some_and(|index| seal.is_of(index));
            let is_signed = verify(&seal.sealer.key, &statement, &signature);
            reports.push(SealReport {
                file: piece.file.clone(),
                segment: seal.segment,
                site: seal.sealer.site.clone(),
                key: seal.sealer.key,
                sealed_at: seal.sealed_at,
                right: fits && is_signed,
            });
            if !is_signed {
                let text = "the seal's signature does not fit: the seal was changed, or is not by this key";
                self.problem(ProofKind::WrongSeal, &piece.file, None, text);
            } else if !fits {
                let text = format!(
                    "the seal is for segment {} with head {}, which is not what the file has",
                    seal.segment, seal.head
                );
                self.problem(ProofKind::WrongSeal, &piece.file, None, text);
            } else {
                let certificates = self.take(&piece.file, &seal);
                right.push(Sealed { file: piece.file.clone(), seal, certificates });
            }
        }
        (right, reports)
    }

    /// Reads a seal's certificates; returns the site's.
    fn take(&mut self, file: &str, seal: &Seal) -> Vec<Certificate> {
        let mut read = |texts: &[String]| {
            let mut all = Vec::new();
            for text in texts.iter().take(MOST_CERTIFICATES) {
                match Certificate::from_pem(text) {
                    Ok(certificate) => all.push(certificate),
                    Err(error) => self.problem(ProofKind::WrongSeal, file, None, error.to_string()),
                }
            }
            all
        };
        let agents = read(&seal.sealer.agent_certificates);
        let authorities = read(&seal.sealer.authorities);
        let site = read(&seal.sealer.certificates);
        for (known, new) in [(&mut self.agent_certificates, agents), (&mut self.authorities, authorities)] {
            for certificate in new {
                if known.len() < MOST_CERTIFICATES && !known.contains(&certificate) {
                    known.push(certificate);
                }
            }
        }
        site
    }

    /// Checks the agent's signatures by themselves.
    fn signatures(&mut self, pieces: &[Piece], sealed: &[Sealed]) -> (Vec<Signed>, Option<Covered>) {
        let mut right: Vec<Signed> = Vec::new();
        let mut covered = None;
        for piece in pieces {
            let seal = sealed.iter().find(|sealed| sealed.file == piece.file);
            for part in &piece.fragments {
                let Some(signature) = &part.signature else { continue };
                let seq = Some(part.seq);
                if !signature.covers_all {
                    let text = "something follows the fragment's signature, which it does not cover";
                    self.problem(ProofKind::WrongSignature, &piece.file, seq, text);
                } else if !verify(&signature.key, &signature.statement, &signature.signature) {
                    let text = format!(
                        "the signature of key {} does not fit: the fragment or what was before it was changed after it was signed",
                        signature.key
                    );
                    self.problem(ProofKind::WrongSignature, &piece.file, seq, text);
                } else if let Some(first) = right.first().filter(|first| first.key != signature.key) {
                    let text = format!(
                        "expected a signature of key {}, got one of key {}",
                        first.key, signature.key
                    );
                    self.problem(ProofKind::OtherKey, &piece.file, seq, text);
                } else {
                    covered = Some(Covered { seq: part.seq, end_us: part.end_us, is_end: part.is_last });
                    right.push(Signed {
                        file: piece.file.clone(),
                        seq: part.seq,
                        key: signature.key,
                        at: wall(signature.wall_us),
                        sealed_at: seal.map(|sealed| sealed.seal.sealed_at),
                    });
                }
            }
        }
        (right, covered)
    }

    fn missing_seals(&mut self, pieces: &[Piece]) {
        let mut sealed = false;
        for piece in pieces {
            sealed |= piece.seal.is_some();
            // Segments from before the server sealed are let pass, unless signatures are asked for.
            if piece.finished && piece.seal.is_none() && (sealed || self.trust.is_some()) {
                let text = match sealed {
                    true => "the segment has no seal, others of the recording have one",
                    false => "the segment has no seal, and signatures are asked for",
                };
                self.problem(ProofKind::MissingSeal, &piece.file, None, text);
            }
        }
    }

    /// Whether the agent's signature is under the end.
    fn end(&mut self, pieces: &[Piece], covered: Option<Covered>, is_signed: bool) {
        let Some(piece) = pieces.iter().rev().find(|piece| !piece.fragments.is_empty()) else { return };
        if !is_signed {
            if self.trust.is_some() {
                let text = "the recording is not signed by an agent, and signatures are asked for";
                self.problem(ProofKind::NotSigned, &piece.file, None, text);
            }
            return;
        }
        if covered.is_some_and(|covered| covered.is_end) {
            return;
        }
        let last = pieces.iter().flat_map(|piece| &piece.fragments).max_by_key(|part| part.seq);
        if let Some(last) = last.filter(|last| last.is_last) {
            // A signature that is there and wrong has been told already.
            if last.signature.is_none() {
                let text =
                    "the recording's last fragment is not signed, others are: the signature was taken away";
                self.problem(ProofKind::MissingSignature, &piece.file, Some(last.seq), text);
            }
            return;
        }
        let lost = piece.index.as_ref().is_some_and(|index| index.closing == Closing::Lost);
        let text = if lost {
            "the site closed the recording without the agent's word, because the agent was lost: that nothing is missing at its end is the \
             site's word alone"
        } else {
            "the agent's signature under the end of the recording is not in these files"
        };
        if self.trust.is_some() {
            self.problem(ProofKind::EndNotSigned, &piece.file, None, text);
        }
        self.not_proved.push(text.into());
    }

    /// Whom to trust: what the verifier says, or, to see at least that all fits together, what the seals say.
    fn trust(&self) -> Trust {
        self.trust.cloned().unwrap_or_else(|| Trust::in_authorities(self.authorities.clone()))
    }

    fn agents(&mut self, signed: &[Signed]) -> Vec<SignerReport> {
        let Some(first) = signed.first() else { return Vec::new() };
        let trust = self.trust();
        let certificates = self.agent_certificates.clone();
        let authorities = self.authorities.clone();
        // Without certificates there is nothing that could not fit, unless trust is asked for.
        let asked = self.trust.is_some() || !certificates.is_empty();
        let mut used: BTreeSet<String> = BTreeSet::new();
        let mut known: Vec<CertificateInfo> = Vec::new();
        let mut trusted = true;
        let mut by_site = 0u64;
        // All between two moments at which one certificate is valid are, too; so the ends of each file's signatures are enough.
        for (at, signature) in signed.iter().enumerate() {
            let inside = at > 0
                && at + 1 < signed.len()
                && signed[at - 1].file == signature.file
                && signed[at + 1].file == signature.file
                && (signed[at - 1].at..=signed[at + 1].at).contains(&signature.at);
            if inside || !asked {
                continue;
            }
            let who = (signature.key, Role::Agent);
            let found = trust.find(who, &certificates, &authorities, signature.at, signature.sealed_at);
            match found {
                Ok((certificate, by)) => {
                    by_site += u64::from(by);
                    if used.insert(certificate.info.fingerprint.clone()) {
                        known.push(certificate.info.clone());
                    }
                }
                Err(why) => {
                    trusted = false;
                    let text = format!("the agent's key {} is not trusted: {why}", signature.key);
                    self.problem(ProofKind::NotTrusted, &signature.file, Some(signature.seq), text);
                }
            }
        }
        if by_site > 0 {
            self.not_proved.push(
                "when the agent signed: its clock and its certificate's dates do not fit; the site's word for the time was taken".into(),
            );
        }
        vec![SignerReport {
            key: first.key,
            signatures: signed.len() as u64,
            first_at: signed.iter().map(|signature| signature.at).min(),
            last_at: signed.iter().map(|signature| signature.at).max(),
            certificates: known,
            trusted: self.trust.is_some().then_some(trusted),
        }]
    }

    fn sites(&mut self, sealed: &[Sealed]) -> Vec<SignerReport> {
        let trust = self.trust();
        let authorities = self.authorities.clone();
        let mut reports: BTreeMap<PublicKey, SignerReport> = BTreeMap::new();
        for Sealed { file, seal, certificates } in sealed {
            let key = seal.sealer.key;
            let report = reports.entry(key).or_insert_with(|| SignerReport {
                key,
                signatures: 0,
                first_at: None,
                last_at: None,
                certificates: Vec::new(),
                trusted: self.trust.is_some().then_some(true),
            });
            report.signatures += 1;
            let at = seal.sealed_at;
            report.first_at = Some(report.first_at.map_or(at, |first| first.min(at)));
            report.last_at = Some(report.last_at.map_or(at, |last| last.max(at)));
            match trust.find((key, Role::Site), certificates, &authorities, at, None) {
                Ok((certificate, _)) => {
                    if !report.certificates.contains(&certificate.info) {
                        report.certificates.push(certificate.info.clone());
                    }
                }
                Err(why) => {
                    report.trusted = self.trust.is_some().then_some(false);
                    let text = format!("the site's key {key} is not trusted: {why}");
                    self.problem(ProofKind::NotTrusted, file, None, text);
                }
            }
        }
        reports.into_values().collect()
    }

    fn notes(&mut self, sealed: &[Sealed], is_signed: bool, not_covered: u64) {
        if !is_signed {
            self.not_proved.push("by whom it was recorded: it is not signed".into());
        } else if not_covered > 0 {
            self.not_proved.push(format!(
                "that the last {not_covered} fragments are the agent's: they come after its last signature"
            ));
        }
        if sealed.is_empty() {
            self.not_proved.push("by which site and when it was stored: it is not sealed".into());
        } else {
            self.not_proved
                .push("when it was recorded and stored, but by the clocks of host and site".into());
        }
        if self.trust.is_none() && (is_signed || !sealed.is_empty()) {
            self.not_proved.push(
                "that the signers are who they say: it was not checked against an authority that you trust"
                    .into(),
            );
        }
        if self.trust.is_some_and(|trust| !trust.pinned().any(|pinned| pinned.role == Role::Agent))
            && is_signed
        {
            self.not_proved.push(
                "that nobody who holds the authority's key issued a false certificate: give the agent's own certificate to rule that out".into(),
            );
        }
    }

    fn state(&self, any: bool) -> ProofState {
        let worst = self.problems.iter().map(|problem| match problem.kind {
            ProofKind::EndNotSigned => ProofState::EndNotProved,
            _ => ProofState::NotProved,
        });
        match (worst.max(), any, self.trust.is_some()) {
            (Some(worst), ..) => worst,
            (None, false, _) => ProofState::NotSigned,
            (None, true, false) => ProofState::NotChecked,
            (None, true, true) => ProofState::Proved,
        }
    }
}

fn wall(us: u64) -> WallTime {
    WallTime::from_micros(i64::try_from(us).unwrap_or(i64::MAX))
}
