//! The proof that a recording is whole and unchanged.

use crate::{
    Chain, ChainError, Closing, Ending, FormatError, Hash, ScannedFragment, SegmentScan,
    scan::{ChannelUse, scan},
};
use playhead_model::{AppliedMask, EndReason, Gap, RecordingId, RecordingInfo};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    io::{Read, Seek},
};

/// How it stands with a recording or with everything that was verified; the worst comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// All is there, from the first fragment to the end, and nothing was changed.
    Intact,
    /// What is there is unchanged, but the beginning or the end is not there.
    Incomplete,
    /// Something was changed, removed, added or put into another order.
    Damaged,
    /// No recording that this version reads.
    Unreadable,
}

/// What is wrong, for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// The file was not finished: no index, no footer.
    Unfinished,
    /// The file is cut off within a record.
    TornTail,
    /// The recording's first segments are not there.
    NoBeginning,
    /// The recording's end is not there.
    NoEnd,
    /// The file has no fragments.
    Empty,
    /// A fragment cannot be read or its checksum differs.
    DamagedFragment,
    /// A record other than a fragment is damaged.
    DamagedRecord,
    /// The checksum over a part of the file differs.
    Checksum,
    /// The index is damaged.
    DamagedIndex,
    /// The index does not tell what the file has.
    IndexMismatch,
    /// Something follows the end of the file.
    TrailingBytes,
    /// Fragments are missing.
    Missing,
    /// A fragment comes again or too late.
    Repeated,
    /// A fragment names another fragment before it than the one that is there.
    BrokenChain,
    /// A fragment of another recording.
    Foreign,
    /// Times, segments or anchors do not follow.
    OutOfOrder,
    /// An anchor that is said to repeat another is a different one.
    AnchorMismatch,
    /// What the flags say of a gap and what is declared differ.
    GapMismatch,
}

impl ProblemKind {
    /// What a problem of this kind makes of the recording.
    pub const fn status(self) -> Status {
        match self {
            Self::Unfinished | Self::TornTail | Self::NoBeginning | Self::NoEnd | Self::Empty => {
                Status::Incomplete
            }
            _ => Status::Damaged,
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What, for machines.
    pub kind: ProblemKind,
    /// The file, by the name it was given.
    pub file: Option<String>,
    /// Where in the file, in bytes.
    pub offset: Option<u64>,
    /// The number of the fragment.
    pub seq: Option<u64>,
    /// What, for people.
    pub text: String,
}

/// What was found about one file.
#[derive(Debug, Clone, Serialize)]
pub struct SegmentReport {
    /// Its name.
    pub file: String,
    /// Number of the segment; `None` when it has no whole fragment.
    pub segment: Option<u32>,
    /// Length.
    pub bytes: u64,
    /// Whole fragments.
    pub fragments: usize,
    /// Fragments that cannot be read.
    pub damaged: u64,
    /// How it ends.
    pub ending: Ending,
    /// What its index says of what comes after.
    pub closing: Option<Closing>,
}

/// What was found about one recording.
#[derive(Debug, Clone, Serialize)]
pub struct RecordingReport {
    /// The recording.
    pub id: RecordingId,
    /// How it stands with it.
    pub status: Status,
    /// Its particulars, if they can be read.
    pub info: Option<RecordingInfo>,
    /// Its files in their order.
    pub segments: Vec<SegmentReport>,
    /// Whole fragments in all files.
    pub fragments: usize,
    /// Media time at which the first fragment starts.
    pub start_us: u64,
    /// Media time at which the last fragment ends.
    pub end_us: u64,
    /// Hash of the last fragment.
    pub head: Hash,
    /// Media time and reason of the end, if it is there.
    pub end: Option<End>,
    /// Spans of which nothing is recorded, as declared.
    pub gaps: Vec<Gap>,
    /// The masks that cover something, each from the first time on that is told.
    pub masks: Vec<AppliedMask>,
    /// What the channels take, by channel id.
    pub channels: BTreeMap<u16, ChannelUse>,
    /// All that is wrong.
    pub problems: Vec<Problem>,
}

/// The end of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct End {
    /// Media time.
    pub at_us: u64,
    /// Why.
    pub reason: EndReason,
}

/// A file that is no recording.
#[derive(Debug, Clone, Serialize)]
pub struct Unreadable {
    /// Its name.
    pub file: String,
    /// Why not, for machines: [`FormatError::kind`].
    pub kind: &'static str,
    /// Why not, for people.
    pub text: String,
}

/// What was found about all files.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The worst of the recordings; [`Status::Unreadable`] only when no recording is worse than intact.
    pub status: Status,
    /// The recordings, by id.
    pub recordings: Vec<RecordingReport>,
    /// The files that are none.
    pub unreadable: Vec<Unreadable>,
}

/// Verifies files, each with the name it is called by: every file by itself, then the files of each recording as one chain.
pub fn verify<R: Read + Seek>(segments: impl IntoIterator<Item = (String, R)>) -> Report {
    let scans = segments.into_iter().map(|(name, source)| (name, scan(source)));
    verify_scans(scans)
}

/// Verifies files that were gone through already.
pub fn verify_scans(scans: impl IntoIterator<Item = (String, Result<SegmentScan, FormatError>)>) -> Report {
    let mut recordings: BTreeMap<RecordingId, Vec<(String, SegmentScan)>> = BTreeMap::new();
    let mut unreadable = Vec::new();
    for (file, scan) in scans {
        match scan {
            Ok(scan) => match recording_of(&scan) {
                Some(id) => recordings.entry(id).or_default().push((file, scan)),
                None => unreadable.push(nothing_in(file, &scan)),
            },
            Err(error) => unreadable.push(Unreadable { file, kind: error.kind(), text: error.to_string() }),
        }
    }
    let recordings: Vec<RecordingReport> =
        recordings.into_iter().map(|(id, files)| Judge::new(id).judge(files)).collect();
    let worst = recordings.iter().map(|recording| recording.status).max();
    let status = match worst {
        Some(worst) if worst > Status::Intact || unreadable.is_empty() => worst,
        _ => Status::Unreadable,
    };
    Report { status, recordings, unreadable }
}

/// The recording a file belongs to: that of its first fragment, or of its index when no fragment is whole.
fn recording_of(scan: &SegmentScan) -> Option<RecordingId> {
    let first = scan.fragments.first().map(|fragment| fragment.head.recording);
    first.or(scan.index.as_ref().map(|index| index.recording))
}

fn nothing_in(file: String, scan: &SegmentScan) -> Unreadable {
    let what: Vec<&str> = scan.problems.iter().map(|problem| problem.text.as_str()).collect();
    let text =
        format!("expected a recording, found no whole fragment: {}; get the file again", what.join("; "));
    Unreadable { file, kind: "no-fragments", text }
}

/// Follows the chain through the files of one recording.
struct Judge {
    id: RecordingId,
    chain: Chain,
    /// Whether the chain knows the hash before the next fragment.
    started: bool,
    /// The newest anchor: the fragment that had it first, and the hash of its packet.
    anchor: Option<(u64, Hash)>,
    problems: Vec<Problem>,
}

impl Judge {
    fn new(id: RecordingId) -> Self {
        Self { id, chain: Chain::new(id), started: false, anchor: None, problems: Vec::new() }
    }

    fn judge(mut self, mut files: Vec<(String, SegmentScan)>) -> RecordingReport {
        files.sort_by_key(|(name, scan)| (first_seq(scan), segment_of(scan), name.clone()));
        for (file, scan) in &files {
            let mut own = scan.problems.clone();
            own.iter_mut().for_each(|problem| problem.file = Some(file.clone()));
            self.problems.append(&mut own);
            for fragment in &scan.fragments {
                self.take(file, fragment);
            }
        }
        self.end(&files);
        self.report(files)
    }

    fn take(&mut self, file: &str, fragment: &ScannedFragment) {
        let head = &fragment.head;
        self.compare_anchor(file, fragment);
        if !self.started {
            self.started = true;
            // What stands before the first fragment that is there cannot be known unless it is the very first.
            if head.recording == self.id && head.seq > 0 {
                if !fragment.after_damage {
                    let text = format!(
                        "the recording begins with fragment {} (segment {}): expected fragment 0; give all its files",
                        head.seq, head.segment
                    );
                    self.problem(ProblemKind::NoBeginning, file, fragment, text);
                }
                self.chain = Chain::after(head, fragment.hash);
                return;
            }
        }
        let Err(error) = self.chain.accept_head(head, fragment.hash) else { return };
        // A fragment that cannot be read is reported by itself; that the next does not follow the one before it is no news.
        let known = fragment.after_damage
            && matches!(
                error,
                ChainError::Missing { .. } | ChainError::Segment { .. } | ChainError::Anchor { .. }
            );
        if !known {
            self.problem(kind_of(&error), file, fragment, error.to_string());
        }
        // Go on from here, so that one break is reported once; but neither from another recording nor back again.
        if !matches!(error, ChainError::Recording { .. } | ChainError::Repeated { .. }) {
            self.chain = Chain::after(head, fragment.hash);
        }
    }

    /// A repeated anchor must be the one it repeats, for players that hold that one do not read it.
    fn compare_anchor(&mut self, file: &str, fragment: &ScannedFragment) {
        let head = &fragment.head;
        let Some(actual) = fragment.anchor.filter(|_| head.recording == self.id) else { return };
        let newest = self.anchor.replace((head.anchor_seq, actual));
        if let Some((_, expected)) = newest.filter(|(seq, _)| head.flags.repeated && *seq == head.anchor_seq)
            && expected != actual
        {
            let text = format!(
                "fragment {} repeats the anchor of fragment {} as one with hash {actual}, expected {expected}",
                head.seq, head.anchor_seq
            );
            self.problem(ProblemKind::AnchorMismatch, file, fragment, text);
        }
    }

    fn problem(&mut self, kind: ProblemKind, file: &str, fragment: &ScannedFragment, text: String) {
        self.problems.push(Problem {
            kind,
            file: Some(file.to_owned()),
            offset: Some(fragment.offset),
            seq: Some(fragment.head.seq),
            text,
        });
    }

    /// Whether the end is there.
    fn end(&mut self, files: &[(String, SegmentScan)]) {
        let Some((file, last)) = files.last() else { return };
        let lost = last.index.as_ref().is_some_and(|index| index.closing == Closing::Lost);
        let cut = last.ending != Ending::Finished;
        // A file that is cut off lacks the end by that, and says so.
        if self.chain.ended() || lost || cut {
            return;
        }
        self.problems.push(Problem {
            kind: ProblemKind::NoEnd,
            file: Some(file.clone()),
            offset: None,
            seq: Some(self.chain.next_seq()),
            text: format!(
                "the recording goes on after this file: expected fragment {} or an end; give all its files, or wait until it \
                 has ended",
                self.chain.next_seq()
            ),
        });
    }

    fn report(self, files: Vec<(String, SegmentScan)>) -> RecordingReport {
        let fragments = || files.iter().flat_map(|(_, scan)| &scan.fragments);
        let mut channels: BTreeMap<u16, ChannelUse> = BTreeMap::new();
        for (id, used) in files.iter().flat_map(|(_, scan)| &scan.channels) {
            let sum = channels.entry(*id).or_default();
            sum.messages += used.messages;
            sum.bytes += used.bytes;
        }
        let end = files.iter().rev().find_map(|(_, scan)| scan.end);
        RecordingReport {
            id: self.id,
            status: self.problems.iter().map(|problem| problem.kind.status()).max().unwrap_or(Status::Intact),
            info: files.iter().find_map(|(_, scan)| scan.info.clone()),
            fragments: fragments().count(),
            start_us: fragments().map(|fragment| fragment.head.start_us).min().unwrap_or(0),
            end_us: fragments().map(|fragment| fragment.head.end_us).max().unwrap_or(0),
            head: self.chain.head(),
            end: end.map(|(at_us, reason)| End { at_us, reason }),
            gaps: files.iter().flat_map(|(_, scan)| scan.gaps.iter().cloned()).collect(),
            masks: files.iter().flat_map(|(_, scan)| &scan.masks).fold(Vec::new(), |mut known, mask| {
                mask.clone().join(&mut known);
                known
            }),
            channels,
            segments: files.into_iter().map(|(file, scan)| segment_report(file, &scan)).collect(),
            problems: self.problems,
        }
    }
}

fn segment_report(file: String, scan: &SegmentScan) -> SegmentReport {
    SegmentReport {
        file,
        segment: segment_of(scan),
        bytes: scan.bytes,
        fragments: scan.fragments.len(),
        damaged: scan.damaged,
        ending: scan.ending,
        closing: scan.index.as_ref().map(|index| index.closing),
    }
}

fn segment_of(scan: &SegmentScan) -> Option<u32> {
    let first = scan.fragments.first().map(|fragment| fragment.head.segment);
    first.or(scan.index.as_ref().map(|index| index.segment))
}

fn first_seq(scan: &SegmentScan) -> Option<u64> {
    // The index, where there is one, knows the first fragment even when that one is damaged.
    let indexed = scan.index.as_ref().and_then(|index| index.entries.first()).map(|entry| entry.seq);
    indexed.or(scan.fragments.iter().map(|fragment| fragment.head.seq).min())
}

fn kind_of(error: &ChainError) -> ProblemKind {
    match error {
        ChainError::Recording { .. } => ProblemKind::Foreign,
        ChainError::Repeated { .. } => ProblemKind::Repeated,
        ChainError::Missing { .. } => ProblemKind::Missing,
        ChainError::Previous { .. } => ProblemKind::BrokenChain,
        ChainError::Time { .. }
        | ChainError::Segment { .. }
        | ChainError::Anchor { .. }
        | ChainError::AfterEnd { .. } => ProblemKind::OutOfOrder,
    }
}
