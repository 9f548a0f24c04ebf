//! What a start finds: the journal's fragments go back to their recordings.

use crate::{
    journal::{Found, Held, JournalFile, Recovered},
    recordings::{Commit, Live, Recordings, Slot},
};
use playhead_db::{DbError, site::Store};
use playhead_format::{Channel, IndexEntry, MetaMessage, OpenFragment, open_fragment};
use playhead_model::{EndReason, Gap, ServerId};
use playhead_vault::{Declared, SealedRecord, is_sealed};
use std::{collections::BTreeMap, sync::Arc};

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

/// Builds up the recordings that are live or have fragments in the journal, unless another server has taken them over. With `durable`
/// unset, what is in the journal has to be put to shared storage before agents hear of it.
///
/// # Errors
/// The database's.
pub(crate) async fn restore(
    store: &Store,
    server: ServerId,
    recordings: &Recordings,
    recovered: &mut Recovered,
    durable: bool,
) -> Result<(), DbError> {
    let mut found = std::mem::take(&mut recovered.recordings);
    for row in store.live_recordings(server).await? {
        let segments = store.segments(row.info.id).await?;
        let live = recordings.get_or_insert(row.info.id, || Live::new(&row, &segments));
        fill(&live, found.remove(&row.info.id).unwrap_or_default(), durable);
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
        fill(&live, entries, durable);
    }
    for &(id, seq) in &recovered.damaged {
        if let Some(live) = recordings.get(id)
            && seq >= live.last().0
        {
            live.quarantine(format!("fragment {seq} was damaged in the server's journal"));
        }
    }
    if recovered.lost > 0 {
        tracing::error!(
            bytes = recovered.lost,
            "a part of the journal is damaged; recordings that miss fragments are quarantined"
        );
    }
    for live in recordings.all() {
        recordings.want_seal(live.id());
    }
    Ok(())
}

/// Gives a recording its fragments back, up to the first one that is missing.
fn fill(live: &Arc<Live>, entries: BTreeMap<u64, (Arc<JournalFile>, Found)>, durable: bool) {
    let mut broken = false;
    for (seq, (file, found)) in entries {
        let expected = live.chain().next_seq();
        if seq < expected {
            continue;
        }
        let entry = IndexEntry::new(&found.head, found.offset, found.length);
        let slot = Slot { entry, segment: found.head.segment, file: Held::new(&file, found.length) };
        broken |= seq > expected;
        if broken {
            live.quarantine(format!("fragment {expected} is missing in the server's journal"));
            live.keep_stray(slot);
            continue;
        }
        let (gaps, end) = match look_into(&file, &found) {
            Ok(declared) => declared,
            Err(problem) => {
                live.quarantine(format!("fragment {seq} was damaged in the server's journal: {problem}"));
                live.keep_stray(slot);
                broken = true;
                continue;
            }
        };
        let commit = Commit { head: found.head, hash: found.hash, slot, gaps, end, durable };
        if let Err(error) = live.commit(commit, None) {
            broken = true;
            live.quarantine(format!("the server's journal does not hold together: {error}"));
        }
    }
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
