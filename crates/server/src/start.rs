//! What a start finds: the journal's fragments go back to their recordings.

use crate::{
    journal::{Found, Held, JournalFile, Recovered},
    recordings::{Commit, Live, Recordings, Slot},
};
use playhead_db::{
    DbError,
    site::{RecordingRow, Store},
};
use playhead_format::{Channel, IndexEntry, MetaMessage, OpenFragment, open_fragment};
use playhead_model::{EndReason, Gap, RecordingId, ServerId};
use playhead_vault::{Declared, SealedRecord, is_sealed};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// What the meta messages of a fragment declare.
pub(crate) fn declared(fragment: &OpenFragment) -> (Vec<Gap>, Option<EndReason>) {
    let (mut gaps, mut end) = (Vec::new(), None);
    for message in fragment.messages().flatten().filter(|message| message.channel == Channel::Meta.id()) {
        match MetaMessage::parse(message.data) {
            MetaMessage::Gap { from_us, to_us, cause } => gaps.push(Gap { from_us, to_us, cause }),
            MetaMessage::End { reason, .. } => end = Some(reason),
            _ => {}
        }
    }
    if fragment.head().flags.last {
        // A fragment that is marked as the last ends the recording, whatever it says of the reason.
        end = end.or(Some(EndReason::SessionEnded));
    } else {
        end = None;
    }
    (gaps, end)
}

/// What a record in the journal declares, encrypted or not: the key need not be at hand.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn declared_in(record: &[u8]) -> Result<(Vec<Gap>, Option<EndReason>), String> {
    if is_sealed(record) {
        let Declared { gaps, end } = SealedRecord::parse(record).map_err(|error| error.to_string())?.declared;
        return Ok((gaps, end));
    }
    let fragment = open_fragment(record).map_err(|error| error.to_string())?;
    Ok(declared(&fragment))
}

/// A recording of which the journal on the disk has less than it should have.
pub(crate) struct Defect {
    pub(crate) live: Arc<Live>,
    /// One past the newest fragment that must be there: more than that no agent was told to be durable.
    pub(crate) needed: u64,
    /// What is missing, for people.
    problem: String,
    /// What stands in the journal and makes no sense.
    bad: Vec<Slot>,
}

impl Defect {
    fn new(live: &Arc<Live>, needed: u64, problem: String) -> Self {
        Self { live: Arc::clone(live), needed, problem, bad: Vec::new() }
    }

    /// Sets the recording aside; what makes no sense is kept as evidence.
    pub(crate) fn set_aside(self) {
        self.live.quarantine(self.problem);
        for slot in self.bad {
            self.live.keep_stray(slot);
        }
    }
}

/// Builds up the recordings that are live or have fragments in the journal, unless another server has taken them over. With `durable`
/// unset, what is in the journal has to be put to shared storage before agents hear of it. Returns the recordings that lack something;
/// fragments of theirs behind a hole are kept as strays.
///
/// # Errors
/// The database's.
pub(crate) async fn restore(
    store: &Store,
    server: ServerId,
    recordings: &Recordings,
    recovered: &mut Recovered,
    durable: bool,
) -> Result<Vec<Defect>, DbError> {
    let mut found = std::mem::take(&mut recovered.recordings);
    let mut defects: HashMap<RecordingId, Defect> = HashMap::new();
    for row in store.live_recordings(server).await? {
        let segments = store.segments(row.info.id).await?;
        let live = recordings.get_or_insert(row.info.id, || Live::new(&row, &segments));
        let defect = fill(&live, &row, found.remove(&row.info.id).unwrap_or_default(), durable);
        defects.extend(defect.or_else(|| short(&live, &row)).map(|defect| (row.info.id, defect)));
    }
    for (id, entries) in found {
        let Some(row) = store.recording(id).await? else {
            tracing::warn!(recording = %id, fragments = entries.len(), "the journal has fragments of an unknown recording; passed over");
            continue;
        };
        if row.server != server {
            tracing::info!(recording = %id, owner = %row.server, "another server has taken a recording over; passed over");
            continue;
        }
        let segments = store.segments(id).await?;
        let live = Live::new(&row, &segments);
        let next_seq = live.chain().next_seq();
        if entries.keys().all(|&seq| seq < next_seq) {
            continue;
        }
        let live = recordings.get_or_insert(id, || live);
        let defect = fill(&live, &row, entries, durable);
        defects.extend(defect.or_else(|| short(&live, &row)).map(|defect| (id, defect)));
    }
    for &(id, seq) in &recovered.damaged {
        let Some(live) = recordings.get(id).filter(|live| seq >= live.last().0) else { continue };
        let problem = format!("fragment {seq} was damaged in the server's journal");
        let defect = defects.entry(id).or_insert_with(|| Defect::new(&live, 0, problem));
        if durable {
            defect.needed = defect.needed.max(seq + 1);
        }
    }
    if recovered.lost > 0 {
        tracing::error!(bytes = recovered.lost, "a part of the journal is damaged");
    }
    for live in recordings.all() {
        recordings.want_seal(live.id());
    }
    Ok(defects.into_values().collect())
}

/// Whether fragments are missing that the site's database knows to have been durable.
fn short(live: &Arc<Live>, row: &RecordingRow) -> Option<Defect> {
    let next = live.chain().next_seq();
    let problem = || {
        format!(
            "expected {} fragments, as the site's database knows them, the server's journal ends after {next}",
            row.fragments
        )
    };
    (next < row.fragments).then(|| Defect::new(live, row.fragments, problem()))
}

/// Gives a recording its fragments back, up to the first one that is missing.
fn fill(
    live: &Arc<Live>,
    row: &RecordingRow,
    entries: BTreeMap<u64, (Arc<JournalFile>, Found)>,
    durable: bool,
) -> Option<Defect> {
    let acknowledged = entries.values().map(|(_, found)| found.acknowledged).max();
    let acknowledged = acknowledged.unwrap_or(0).max(row.fragments);
    let needed = |seq: u64| if durable { seq + 1 } else { acknowledged };
    let mut defect: Option<Defect> = None;
    for (seq, (file, found)) in entries {
        let expected = live.chain().next_seq();
        if seq < expected {
            continue;
        }
        let entry = IndexEntry::new(&found.head, found.offset, found.length);
        let slot = || Slot { entry, segment: found.head.segment, file: Held::new(&file, found.length) };
        if defect.is_none() && seq > expected {
            let problem = format!("fragment {expected} is missing in the server's journal");
            defect = Some(Defect::new(live, needed(seq), problem));
        }
        if let Some(defect) = &mut defect {
            defect.needed = needed(seq);
            live.keep_stray(slot());
            continue;
        }
        let committed = look_into(&file, &found)
            .map_err(|problem| format!("fragment {seq} was damaged in the server's journal: {problem}"))
            .and_then(|(gaps, end)| {
                let commit = Commit { head: found.head, hash: found.hash, slot: slot(), gaps, end, durable };
                let committed = live.commit(commit, None);
                committed.map_err(|error| format!("the server's journal does not hold together: {error}"))
            });
        if let Err(problem) = committed {
            let bad = vec![slot()];
            defect = Some(Defect { bad, ..Defect::new(live, needed(seq), problem) });
        }
    }
    defect
}

/// Only fragments that declare something need to be opened.
fn look_into(file: &JournalFile, found: &Found) -> Result<(Vec<Gap>, Option<EndReason>), String> {
    let flags = found.head.flags;
    if !flags.gap_before && !flags.last {
        return Ok((Vec::new(), None));
    }
    let record = file.read(found.offset, found.length).map_err(|error| error.to_string())?;
    declared_in(&record)
}
