//! Moving segments from one location to another, and removing files that nothing refers to any more.
//!
//! A segment is copied, read back and compared with what the database says of it; then one transaction says that it lies there and that
//! the old file is to be removed; then that is removed. A crash anywhere is made good by doing the same again: a copy that is there
//! already is taken for what it is, and what was to be removed is still written down.

use super::{
    Locations, StorageError,
    keep::{KeepError, keep, plain},
    location::{Location, LocationState},
};
use crate::{clock, core::Shared};
use futures_util::StreamExt as _;
use playhead_db::{
    DbError,
    site::{MoveRow, MoveState, Removal, SegmentRow, Store},
};
use playhead_model::{RecordingId, ServerId};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

/// Between two looks at what is to be done.
const PERIOD: Duration = Duration::from_secs(5);
/// A move of another server of which nothing was heard for this long is taken over, in microseconds.
const SILENCE: i64 = 120_000_000;
/// Between two reports of how far a move is.
const REPORT: Duration = Duration::from_secs(1);
/// How often one segment is tried before it is left where it is.
const TRIES: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Segments taken from the database at a time.
const PAGE: u32 = 200;
/// Files removed at a time.
const REMOVALS: u32 = 100;
/// Longest time between two tries to remove a file, in microseconds.
const LONGEST_MICROS: i64 = 3_600_000_000;

/// Moves and removes, for one server or for the command line.
pub(crate) struct Mover {
    pub(crate) store: Store,
    pub(crate) storage: Arc<Locations>,
    pub(crate) server: ServerId,
    pub(crate) stop: CancellationToken,
    /// Somebody has asked for a move.
    pub(crate) wanted: Notify,
}

/// Why one segment was not moved.
#[derive(Debug, thiserror::Error)]
enum MoveError {
    #[error("{0}")]
    Storage(#[from] StorageError),
    #[error("{0}")]
    Db(#[from] DbError),
    #[error(
        "its file at {location} is damaged: expected {expected}, got {actual}; restore {path} from a backup"
    )]
    Damaged { location: String, path: String, expected: String, actual: String },
    #[error("no storage location can take it: add one, or make room")]
    Nowhere,
    #[error("{0} and {1} are one place under two names: nothing can be moved between them")]
    Same(String, String),
    #[error("{0} is full: make room there, or move elsewhere")]
    Full(String),
    #[error("the server is stopping")]
    Stopped,
}

impl MoveError {
    /// Whether trying again may help.
    fn may_pass(&self) -> bool {
        matches!(self, Self::Storage(error) if !error.is_missing() && !matches!(error, StorageError::Unknown(_)))
            || matches!(self, Self::Db(_))
    }
}

/// Does what is asked for, until the server stops.
pub(crate) async fn run(core: Shared) {
    let mover = &core.mover;
    loop {
        let removed = mover.remove().await;
        let moved = mover.next_move().await;
        match (removed, moved) {
            (Ok(_), Ok(true)) => continue,
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(%error, "cannot look for segments to move; trying again");
            }
            _ => {}
        }
        tokio::select! {
            () = core.stop.cancelled() => return,
            () = mover.wanted.notified() => {}
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}

impl Mover {
    /// Does the next move, if there is one.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn next_move(&self) -> Result<bool, DbError> {
        if self.stop.is_cancelled() {
            return Ok(false);
        }
        let now = clock::now();
        let Some(row) = self.store.take_move(self.server, now.plus_micros(-SILENCE), now).await? else {
            return Ok(false);
        };
        tracing::info!(id = row.wanted.id, recording = ?row.wanted.recording, source = row.wanted.source, target = row.wanted.target,
            "moving segments");
        // What is drained takes nothing new from here on.
        self.storage.refresh(&self.store).await?;
        let mut work = Work { mover: self, row, left: HashSet::new(), reported: Instant::now() };
        match work.run().await {
            Ok(()) => work.row.state = if work.row.failed == 0 { MoveState::Done } else { MoveState::Failed },
            // The next start goes on with it.
            Err(MoveError::Stopped) => return Ok(false),
            Err(MoveError::Db(error)) => return Err(error),
            Err(error) => {
                work.row.state = MoveState::Failed;
                work.row.error = Some(error.to_string());
            }
        }
        let Work { row, .. } = work;
        // When it is over, nothing is left behind but what cannot be removed now.
        while self.remove().await? > 0 {}
        self.store.set_move(&row, clock::now()).await?;
        match &row.error {
            None => tracing::info!(
                id = row.wanted.id,
                segments = row.segments,
                bytes = row.bytes,
                "segments moved"
            ),
            Some(error) => {
                tracing::error!(
                    id = row.wanted.id,
                    segments = row.segments,
                    failed = row.failed,
                    error,
                    "some segments were not moved"
                );
            }
        }
        Ok(true)
    }

    /// Removes files whose time has come. Returns how many are gone.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn remove(&self) -> Result<usize, DbError> {
        let mut count = 0;
        for removal in self.store.removals(clock::now(), REMOVALS).await? {
            if self.stop.is_cancelled() {
                break;
            }
            let Removal { location, path, tries } = &removal;
            let gone = match self.storage.get(location) {
                Ok(location) => location.delete(path).await,
                Err(error) => Err(error),
            };
            match gone {
                Ok(()) => {
                    self.store.removed(&removal).await?;
                    count += 1;
                }
                Err(error) => {
                    let wait = (10_000_000i64 << (*tries).min(16)).min(LONGEST_MICROS);
                    tracing::warn!(location, path, %error, retry_seconds = wait / 1_000_000, "cannot remove a file that nothing refers to");
                    let try_at = clock::now().plus_micros(wait);
                    self.store.removal_failed(&removal, &error.to_string(), try_at).await?;
                }
            }
        }
        Ok(count)
    }

    /// Where a segment of a move without a target goes.
    fn target(&self, recording: RecordingId, source: &str, previous: Option<&str>) -> Option<Arc<Location>> {
        self.storage.choose(recording, previous, &[source.to_owned()])
    }

    /// Moves one segment.
    async fn segment(&self, segment: &SegmentRow, to: &Arc<Location>) -> Result<(), MoveError> {
        let from = self.storage.get(&segment.location)?;
        if self.storage.are_one(from, to) {
            return Err(MoveError::Same(from.id.clone(), to.id.clone()));
        }
        let name = plain(&segment.path);
        let kept = keep(to, &self.store, &name, |sender| {
            let (from, segment) = (Arc::clone(from), segment.clone());
            tokio::spawn(async move {
                let (_, mut pieces) = from.stream(&segment.path).await?;
                let mut hasher = blake3::Hasher::new();
                let mut bytes = 0;
                while let Some(piece) = pieces.next().await {
                    let piece = piece?;
                    hasher.update(&piece);
                    bytes += piece.len() as u64;
                    if sender.send(piece).await.is_err() {
                        break;
                    }
                }
                // What comes through is compared before anybody can see the copy.
                let actual = hasher.finalize().to_hex();
                if bytes != segment.bytes || actual.as_str() != segment.blake3 {
                    return Err(MoveError::Damaged {
                        location: segment.location,
                        path: segment.path,
                        expected: format!("{} bytes with BLAKE3 {}", segment.bytes, segment.blake3),
                        actual: format!("{bytes} bytes with BLAKE3 {actual}"),
                    });
                }
                Ok(())
            })
        });
        let kept = match kept.await {
            Ok(kept) => kept,
            Err(KeepError::Storage(error)) => {
                to.failed(&error, true);
                return Err(error.into());
            }
            Err(KeepError::Db(error)) => return Err(error.into()),
            Err(KeepError::Made(error)) => return Err(error),
        };
        to.worked();
        if self.store.move_segment(segment, &to.id, &kept.path, clock::now()).await? {
            return Ok(());
        }
        // Somebody else has moved it, or stored it anew, meanwhile. Should it not be to here, the copy goes.
        let now = self.store.segment(segment.recording, segment.number).await?;
        if now.is_none_or(|row| (&row.location, &row.path) != (&to.id, &kept.path)) {
            self.store.add_removal(&to.id, &kept.path, clock::now()).await?;
        }
        Ok(())
    }
}

/// One move under way.
struct Work<'a> {
    mover: &'a Mover,
    row: MoveRow,
    /// Segments that could not be moved.
    left: HashSet<(RecordingId, u32)>,
    reported: Instant,
}

impl Work<'_> {
    async fn run(&mut self) -> Result<(), MoveError> {
        if let Some(target) = &self.row.wanted.target {
            self.mover.storage.get(target)?;
        }
        match (self.row.wanted.recording, self.row.wanted.source.clone()) {
            (Some(recording), _) => {
                for segment in self.mover.store.segments(recording).await? {
                    self.one(segment).await?;
                }
            }
            (None, Some(source)) => self.all_at(&source).await?,
            (None, None) => {}
        }
        Ok(())
    }

    /// Everything at a location; again from the start while something new was found, since a segment may have been on its way there.
    async fn all_at(&mut self, source: &str) -> Result<(), MoveError> {
        loop {
            let (mut after, mut found) = (None::<String>, false);
            loop {
                let page = self.mover.store.segments_at(source, after.as_deref(), PAGE).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.path.clone());
                for segment in page {
                    if !self.left.contains(&(segment.recording, segment.number)) {
                        found = true;
                        self.one(segment).await?;
                    }
                }
            }
            if !found {
                return Ok(());
            }
        }
    }

    /// Moves one segment, trying again for a while. One that cannot be moved is left where it is and counted.
    async fn one(&mut self, segment: SegmentRow) -> Result<(), MoveError> {
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            if self.mover.stop.is_cancelled() {
                return Err(MoveError::Stopped);
            }
            let error = match self.attempt(&segment).await {
                Ok(moved) => {
                    if moved {
                        self.row.segments += 1;
                        self.row.bytes += segment.bytes;
                    }
                    break;
                }
                Err(error) => error,
            };
            tracing::warn!(recording = %segment.recording, segment = segment.number, %error, attempt, "cannot move a segment");
            if attempt < TRIES && error.may_pass() {
                tokio::select! {
                    () = self.mover.stop.cancelled() => return Err(MoveError::Stopped),
                    () = tokio::time::sleep(wait) => {}
                }
                wait *= 2;
                continue;
            }
            self.left.insert((segment.recording, segment.number));
            self.row.failed += 1;
            let text = format!("segment {} of {}: {error}", segment.number, segment.recording);
            self.row.error.get_or_insert(text);
            break;
        }
        if self.reported.elapsed() > REPORT {
            self.reported = Instant::now();
            self.mover.store.set_move(&self.row, clock::now()).await?;
        }
        Ok(())
    }

    /// Returns whether there was something to do.
    async fn attempt(&self, segment: &SegmentRow) -> Result<bool, MoveError> {
        let to = match &self.row.wanted.target {
            Some(target) => Arc::clone(self.mover.storage.get(target)?),
            None => {
                let source = &segment.location;
                // Where the recording's other segments have gone.
                let before = match segment.number.checked_sub(1) {
                    Some(number) => self.mover.store.segment(segment.recording, number).await?,
                    None => None,
                };
                let previous = before.as_ref().map(|row| row.location.as_str());
                self.mover.target(segment.recording, source, previous).ok_or(MoveError::Nowhere)?
            }
        };
        if to.id == segment.location {
            return Ok(false);
        }
        if to.condition().state == LocationState::Full {
            return Err(MoveError::Full(to.id.clone()));
        }
        self.mover.segment(segment, &to).await?;
        Ok(true)
    }
}
