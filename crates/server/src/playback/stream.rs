//! A stream of fragments as it was asked for.

use super::{
    PlaybackError,
    source::{Place, Source},
};
use crate::{
    core::Shared,
    recordings::{Tip, WatchGuard},
};
use bytes::Bytes;
use futures_util::{Stream, stream};
use playhead_format::IndexEntry;
use playhead_model::RecordingId;
use tokio::sync::watch;

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// At the key frame that shows this media time, with the anchor it rests on before it.
    At(u64),
    /// After this fragment.
    After(u64),
}

/// What of a recording is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) from: From,
    /// The fragment with the anchor that the reader has already.
    pub(crate) anchor: Option<u64>,
    /// Media time after which nothing more is wanted.
    pub(crate) until: Option<u64>,
    /// Bytes after which no further fragment is begun.
    pub(crate) max_bytes: Option<u64>,
    /// Whether to go on with what comes.
    pub(crate) follow: bool,
}

struct Streaming {
    source: Source,
    wanted: Wanted,
    /// Sent before everything else.
    anchor: Option<u64>,
    next: u64,
    sent: u64,
    /// Fragments up to the one that tells of this media time go out however many bytes they are, and the first one in any case.
    at_least: Option<u64>,
    following: Option<(watch::Receiver<Tip>, Option<WatchGuard>)>,
    /// What is left of the stored segment that is being read.
    rest: Option<Place>,
}

/// The fragments as wanted, as Chunk records one after another. The first are looked for at once, so that refusals come as such.
///
/// # Errors
/// Times or numbers outside the recording; what the database and the storage say.
pub(crate) async fn fragments(
    core: &Shared,
    recording: RecordingId,
    wanted: Wanted,
) -> Result<impl Stream<Item = Result<Bytes, PlaybackError>> + Send + use<>, PlaybackError> {
    let source = Source::new(core, recording);
    let following = source.live.as_ref().filter(|_| wanted.follow).map(|live| {
        let tip = live.follow();
        let ended = tip.borrow().ended;
        (tip, (!ended).then(|| live.watch()))
    });
    let mut streaming =
        Streaming { source, wanted, anchor: None, next: 0, sent: 0, at_least: None, following, rest: None };
    match wanted.from {
        From::At(at_us) => {
            let (key, anchor) = streaming.source.key_frame(at_us).await?;
            streaming.next = key.seq;
            streaming.at_least = Some(at_us);
            streaming.wanted.until = wanted.until.map(|until| until.max(at_us));
            if anchor != key.seq && wanted.anchor != Some(key.anchor_seq) {
                streaming.anchor = Some(anchor);
            }
        }
        From::After(after) => {
            streaming.next = after.saturating_add(1);
            streaming.check_number(after).await?;
        }
    }
    Ok(stream::try_unfold(streaming, |mut streaming| async move {
        Ok(streaming.step().await?.map(|bytes| (bytes, streaming)))
    }))
}

impl Streaming {
    /// A number may be the last there is, not one that does not exist yet.
    async fn check_number(&self, after: u64) -> Result<(), PlaybackError> {
        if self.source.from(after).await?.is_some() {
            return Ok(());
        }
        let stored = self.source.core.store.last_segment(self.source.recording).await?;
        let live = self.source.live.as_ref().map_or(0, |live| live.last().0);
        match stored.map_or(0, |segment| segment.next_seq).max(live).checked_sub(1) {
            Some(last) if after <= last => Ok(()),
            Some(last) => Err(PlaybackError::NoSuchFragment { after, last }),
            None => Err(PlaybackError::Empty),
        }
    }

    /// The next bytes; `None` at the end.
    async fn step(&mut self) -> Result<Option<Bytes>, PlaybackError> {
        if let Some(anchor) = self.anchor.take() {
            let place = self.source.from(anchor).await?.ok_or(PlaybackError::Missing(anchor))?;
            let (bytes, _) = self.source.read(&place, 1).await?;
            return Ok(Some(bytes));
        }
        loop {
            // Caught up: there is nothing to look for.
            let caught_up =
                self.following.as_ref().is_some_and(|(tip, _)| tip.borrow().next_seq <= self.next);
            if caught_up {
                if self.wait().await {
                    continue;
                }
                return Ok(None);
            }
            let place = match self.rest.take() {
                Some(rest) => Some(rest),
                None => self.source.from(self.next).await?,
            };
            if let Some(place) = place {
                return self.some_of(place).await;
            }
            return Ok(None);
        }
    }

    /// Sends as much of the place as the bounds let through.
    async fn some_of(&mut self, place: Place) -> Result<Option<Bytes>, PlaybackError> {
        let mut count = 0;
        let mut sent = self.sent;
        let mut at_least = self.at_least;
        for entry in place.entries() {
            let is_first = count == 0 && self.sent == 0;
            if !is_first && !self.wants(entry, sent, at_least) {
                break;
            }
            if at_least.is_some_and(|at_us| entry.end_us > at_us) {
                at_least = None;
            }
            sent += u64::from(entry.length);
            count += 1;
        }
        if count == 0 {
            return Ok(None);
        }
        let (bytes, read) = self.source.read(&place, count).await?;
        for entry in place.entries().take(read) {
            if self.at_least.is_some_and(|at_us| entry.end_us > at_us) {
                self.at_least = None;
            }
            self.next = entry.seq + 1;
        }
        self.sent += bytes.len() as u64;
        self.rest = place.after(read);
        Ok(Some(bytes))
    }

    fn wants(&self, entry: &IndexEntry, sent: u64, at_least: Option<u64>) -> bool {
        let in_time = self.wanted.until.is_none_or(|until| entry.start_us <= until);
        let in_size = at_least.is_some() || self.wanted.max_bytes.is_none_or(|most| sent < most);
        in_time && in_size
    }

    /// Waits for the next fragment; `false` when none will come.
    async fn wait(&mut self) -> bool {
        let Some((tip, _)) = &mut self.following else { return false };
        loop {
            let Tip { next_seq, ended, .. } = *tip.borrow_and_update();
            if next_seq > self.next {
                return true;
            }
            if ended {
                return false;
            }
            tokio::select! {
                changed = tip.changed() => if changed.is_err() { return false },
                () = self.source.core.stop.cancelled() => return false,
            }
        }
    }
}
