//! Keeping the shared journal small: objects go when nothing in them is needed any more, and many small ones become few. After a start,
//! once everything is here that is there, what the disk's journal holds is put there anew, because nobody knows what of it was there
//! before.

use super::{
    Cluster,
    recall::recall,
    shared::{LARGE, Upload},
};
use crate::{
    core::Shared,
    journal::Object,
    recordings::{Live, lock},
    start::Defect,
};
use futures_util::{StreamExt as _, stream};
use playhead_model::RecordingId;
use std::{
    collections::{BTreeMap, HashSet},
    io,
    sync::Arc,
    time::Duration,
};
use tokio::time::MissedTickBehavior;

/// With more objects than this, the oldest are put together.
const MANY: usize = 256;
/// So many at a time.
const TOGETHER: usize = 192;
/// Fragments read at a time.
const RUN: usize = 256;

/// Between two looks at what is needed.
const PERIOD: Duration = Duration::from_secs(2);
/// Periods between two looks for what came too late to be removed with the rest.
const LEFT: u64 = 150;
/// Objects removed at a time.
const AT_ONCE: usize = 8;

/// Reads back what the disk has lost, then keeps the shared journal small until the server has stopped.
pub(crate) async fn run(core: Shared, defects: Vec<Defect>) {
    tokio::select! {
        () = recall(&core, defects) => {}
        () = core.stop.cancelled() => return,
    }
    let lives = core.recordings.all();
    tokio::select! {
        _ = core.cluster.publish(&lives) => {}
        () = core.stop.cancelled() => return,
    }
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for count in 1u64.. {
        tokio::select! {
            () = core.stop.cancelled() => return,
            _ = ticks.tick() => core.cluster.tidy().await,
        }
        if count.is_multiple_of(LEFT) {
            core.cluster.remove_earlier(core.cluster.owner().epoch).await;
        }
    }
}

/// Fragments of a recording, from one number to another.
type Ranges = BTreeMap<RecordingId, (u64, u64)>;

impl Cluster {
    /// Removes what is not needed any more, and puts together what has become many.
    pub(crate) async fn tidy(&self) {
        let epoch = self.owner().epoch;
        let all = lock(&self.uploads.there).clone();
        let (needed, done): (Vec<_>, Vec<_>) = all.into_iter().partition(|upload| self.is_needed(upload));
        if !done.is_empty() {
            self.remove(&done).await;
        }
        if needed.len() > MANY && self.is_leased(epoch) {
            // The most numerous kind first: small ones, which lie behind those that were put together before.
            let small = needed.iter().position(|upload| upload.first == upload.last).unwrap_or(0);
            let from = if needed.len() - small > TOGETHER { small } else { 0 };
            self.merge(epoch, &needed[from..needed.len().min(from + TOGETHER)]).await;
        }
    }

    fn is_needed(&self, upload: &Upload) -> bool {
        upload.parts.iter().any(|(id, (_, last))| {
            let held = self.recordings.held(*id);
            held.and_then(|live| live.first_held()).is_some_and(|first| first <= *last)
        })
    }

    /// Removes objects. Those that cannot be removed now are tried again.
    async fn remove(&self, done: &[Upload]) {
        let removing: Vec<_> = done
            .iter()
            .map(|upload| {
                let (location, path) = (self.storage.get(&upload.location).cloned(), upload.path.clone());
                async move { location?.remove_object(&path).await.map(|()| path) }
            })
            .collect();
        let removing = stream::iter(removing);
        let removed: Vec<_> = removing.buffer_unordered(AT_ONCE).collect().await;
        if let Some(error) = removed.iter().find_map(|removed| removed.as_ref().err()) {
            tracing::warn!(%error, "cannot remove parts of the shared journal; trying again");
        }
        let gone: HashSet<String> = removed.into_iter().filter_map(Result::ok).collect();
        lock(&self.uploads.there).retain(|upload| !gone.contains(&upload.path));
    }

    /// Puts what is still needed of some objects, which follow each other, into fewer.
    async fn merge(&self, epoch: u64, some: &[Upload]) {
        let (Some(first), Some(last)) = (some.first(), some.last()) else { return };
        let mut ranges = Ranges::new();
        for (id, (from, to)) in some.iter().flat_map(|upload| &upload.parts) {
            let range = ranges.entry(*id).or_insert((*from, *to));
            *range = (range.0.min(*from), range.1.max(*to));
        }
        let Some(made) = self.write(epoch, (first.first, last.last), ranges).await else { return };
        {
            let mut there = lock(&self.uploads.there);
            if self.owner().epoch != epoch {
                return;
            }
            let at = there.iter().position(|upload| upload.first >= first.first).unwrap_or(there.len());
            there.splice(at..at, made);
        }
        self.remove(some).await;
    }

    /// Puts the whole journal of the disk to shared storage, then removes what earlier starts have left there.
    ///
    /// # Errors
    /// The disk's; nothing counts as durable then.
    pub(crate) async fn publish(&self, lives: &[Arc<Live>]) -> bool {
        let epoch = self.owner().epoch;
        let mut ranges = Ranges::new();
        for live in lives {
            if let (Some(first), Some(last)) = (live.first_held(), live.last().0.checked_sub(1)) {
                ranges.insert(live.id(), (first, last));
            }
        }
        if !ranges.is_empty() {
            let number = self.uploads.number();
            let Some(made) = self.write(epoch, (number, number), ranges.clone()).await else { return false };
            if !self.permitted(epoch).await {
                return false;
            }
            lock(&self.uploads.there).extend(made);
        }
        for live in lives {
            if let Some((_, last)) = ranges.get(&live.id()) {
                live.durable(last + 1);
            }
        }
        self.recordings.progress.notify_one();
        self.remove_earlier(epoch).await;
        true
    }

    /// Removes what this server's earlier starts have left in shared storage. What cannot be removed now, the next start finds.
    async fn remove_earlier(&self, epoch: u64) {
        let known = self.known();
        let row = known.iter().find(|row| row.server.id == self.server.id);
        let mut locations = row.map(|row| row.locations.clone()).unwrap_or_default();
        let now = self.journal_location(None).map(|location| location.id.clone());
        locations.extend(now.filter(|now| !locations.contains(now)));
        let listed = match self.list_journal(self.server.id, &locations).await {
            Ok(listed) => listed,
            Err(error) => {
                tracing::warn!(%error, "cannot look what is left of the shared journal of earlier starts");
                return;
            }
        };
        let kept = lock(&self.uploads.kept).clone();
        let earlier = |name: &String| self.is_earlier(name, epoch) && !kept.contains(name);
        for (name, location) in listed.into_iter().filter(|(name, _)| earlier(name)) {
            if let Err(error) = location.remove_object(&name).await {
                tracing::warn!(%error, name, "cannot remove a part of an earlier start's shared journal");
                return;
            }
        }
    }

    /// Writes fragments out of the disk's journal as objects. `None` when that cannot be done; nothing has to be kept then.
    async fn write(&self, epoch: u64, numbers: (u64, u64), ranges: Ranges) -> Option<Vec<Upload>> {
        let mut made = Vec::new();
        let mut part = 0;
        let mut object = Object::new(numbers.0).ok()?;
        for (id, (first, last)) in ranges {
            let Some(live) = self.recordings.held(id) else { continue };
            // What has been stored meanwhile is not needed.
            let mut next = live.first_held().map_or(last + 1, |held| held.max(first));
            while next <= last {
                let run = live.run_from(next, RUN.min(usize::try_from(last - next + 1).unwrap_or(RUN)));
                if run.is_empty() {
                    break;
                }
                let mut fragments = run.into_iter();
                while fragments.len() > 0 {
                    let room = LARGE * 2 - object.len().min(LARGE * 2);
                    let mut some = Vec::new();
                    let mut size = 0;
                    while size < room
                        && let Some((file, entry)) = fragments.next()
                    {
                        size += u64::from(entry.length);
                        some.push((file, entry));
                    }
                    let read = tokio::task::spawn_blocking(move || {
                        let read =
                            some.iter().map(|(file, entry)| file.read_entry(entry.offset, entry.length));
                        read.collect::<io::Result<Vec<_>>>()
                    });
                    let read = match read.await {
                        Ok(Ok(read)) => read,
                        Ok(Err(error)) => {
                            tracing::error!(%error, recording = %id, "cannot read the journal");
                            return None;
                        }
                        Err(_) => return None,
                    };
                    for entry in read {
                        let Some((head, hash, record)) = entry else {
                            live.quarantine(format!("fragment {next} was damaged in the server's journal"));
                            break;
                        };
                        next = head.seq + 1;
                        object.add(&head, hash, record.into(), live.acknowledged());
                    }
                    if live.problem().is_some() {
                        break;
                    }
                    if object.len() >= LARGE * 2 {
                        let full = std::mem::replace(&mut object, Object::new(numbers.0).ok()?);
                        made.push(self.put(epoch, numbers, part, full).await?);
                        part += 1;
                    }
                }
                if live.problem().is_some() {
                    break;
                }
            }
        }
        if !object.is_empty() {
            made.push(self.put(epoch, numbers, part, object).await?);
        }
        Some(made)
    }
}
