//! What people see of the storage, and what they can ask for: through the API, or on the machine itself.

use super::{
    LocationState, Locations, Mover, ObjectLock, Repacking, TendReport, TendSettings, Tender,
    locations::in_use,
    repack::PACKING,
    tend::{self, Done, TendError},
};
use crate::{ServerError, clock, folder, keys::Keyring, server};
use playhead_db::{
    DbError,
    site::{MoveRow, MoveState, NewMove, SegmentRow, Store},
};
use playhead_model::{RecordingId, WallTime};
use serde::Serialize;
use std::{
    collections::HashSet,
    path::Path,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Most moves that are told of.
const MOVES: u32 = 50;
/// Between two looks at how far a running server is with a move.
const POLL: Duration = Duration::from_millis(500);

/// The storage of a site.
#[derive(Debug, Serialize)]
pub struct StorageReport {
    /// Its locations.
    pub locations: Vec<LocationReport>,
    /// The latest moves, newest first.
    pub moves: Vec<MoveReport>,
    /// Files that no segment refers to any more and that are still to be removed.
    pub waiting_removals: u64,
    /// Packing segments denser, and reading them through.
    pub tending: TendReport,
}

/// One location.
#[derive(Debug, Serialize)]
pub struct LocationReport {
    /// Its id.
    pub id: String,
    /// Its address.
    pub url: String,
    /// `folder`, `s3`, `azure`, `google`, or `unknown` when segments lie there but no server knows it.
    pub kind: &'static str,
    /// `active`, `read-only`, `full` or `unreachable`.
    pub state: LocationState,
    /// Free bytes, where that is known.
    pub free_bytes: Option<u64>,
    /// All bytes, where that is known.
    pub total_bytes: Option<u64>,
    /// Segments there.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How long what is stored there is locked.
    pub object_lock: Option<ObjectLock>,
    /// The last thing that went wrong there.
    pub last_error: Option<LastError>,
}

/// Something that went wrong.
#[derive(Debug, Serialize)]
pub struct LastError {
    /// What, and what to do about it.
    pub text: String,
    /// When.
    pub at: WallTime,
}

/// A move of segments between locations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MoveReport {
    /// Its id.
    pub id: String,
    /// The recording, when it is about one.
    pub recording: Option<RecordingId>,
    /// The location, when all of one is moved away.
    pub source: Option<String>,
    /// Where it goes; `None` for wherever there is room.
    pub target: Option<String>,
    /// `waiting`, `running`, `done` or `failed`.
    pub state: &'static str,
    /// Segments moved.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Segments that could not be moved; they are where they were.
    pub failed: u64,
    /// Why not.
    pub error: Option<String>,
    /// Who asked for it.
    pub created_by: String,
    /// When.
    pub created_at: WallTime,
    /// When something last happened.
    pub changed_at: WallTime,
}

impl From<MoveRow> for MoveReport {
    fn from(row: MoveRow) -> Self {
        let NewMove { id, recording, source, target, created_by } = row.wanted;
        Self {
            id,
            recording,
            source,
            target,
            state: row.state.as_str(),
            segments: row.segments,
            bytes: row.bytes,
            failed: row.failed,
            error: row.error,
            created_by,
            created_at: row.created_at,
            changed_at: row.changed_at,
        }
    }
}

/// What is to be moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A recording to a location.
    Recording {
        /// The recording.
        id: RecordingId,
        /// Where it goes.
        to: String,
    },
    /// Everything at a location, which takes nothing new from then on.
    Drain {
        /// The location.
        from: String,
        /// Where it goes; `None` for wherever there is room.
        to: Option<String>,
    },
}

/// Tells of the storage.
///
/// # Errors
/// The database's.
pub(crate) async fn report(
    store: &Store,
    storage: &Locations,
    tending: Option<&TendSettings>,
) -> Result<StorageReport, DbError> {
    let mut used = in_use(store).await?;
    let mut locations: Vec<_> = storage
        .all()
        .iter()
        .map(|location| {
            let condition = location.condition();
            let (segments, bytes) = used.remove(&location.id).unwrap_or_default();
            LocationReport {
                id: location.id.clone(),
                url: location.url(),
                kind: location.kind(),
                state: condition.state,
                free_bytes: condition.free_bytes,
                total_bytes: condition.total_bytes,
                segments,
                bytes,
                object_lock: location.settings.object_lock,
                last_error: condition.last_error.map(|(text, at)| LastError { text, at }),
            }
        })
        .collect();
    locations.extend(used.into_iter().map(|(id, (segments, bytes))| LocationReport {
        id,
        url: String::new(),
        kind: "unknown",
        state: LocationState::Unreachable,
        free_bytes: None,
        total_bytes: None,
        segments,
        bytes,
        object_lock: None,
        last_error: None,
    }));
    Ok(StorageReport {
        locations,
        moves: store.moves(MOVES).await?.into_iter().map(MoveReport::from).collect(),
        waiting_removals: store.waiting_removals().await?,
        tending: tend::report(store, tending).await?,
    })
}

/// Asks for a move; a server does it.
///
/// # Errors
/// Locations or recordings that do not exist, and the database's.
pub(crate) async fn request(
    store: &Store,
    storage: &Locations,
    wanted: Wanted,
    by: &str,
) -> Result<MoveReport, ServerError> {
    let known = |id: &str| {
        storage.get(id).map_err(|_| {
            ServerError::Move(format!("there is no storage location '{id}'; there are {}", storage.names()))
        })
    };
    let (recording, source, target) = match wanted {
        Wanted::Recording { id, to } => {
            if store.recording(id).await?.is_none() {
                return Err(ServerError::Move(format!("there is no recording {id} at this site")));
            }
            (Some(id), None, Some(to))
        }
        Wanted::Drain { from, to } => {
            known(&from)?;
            (None, Some(from), to)
        }
    };
    if let Some(to) = &target {
        if !known(to)?.is_wanted() {
            return Err(ServerError::Move(format!("the storage location '{to}' is read-only")));
        }
        if source.as_ref() == Some(to) {
            return Err(ServerError::Move(format!("expected another location than '{to}' to move to")));
        }
    } else if let Some(source) = &source
        && !storage.all().iter().any(|location| location.id != *source && location.is_wanted())
    {
        return Err(ServerError::Move(format!(
            "there is nowhere to move to from '{source}': add a storage location"
        )));
    }
    if let Some(source) = &source {
        set_read_only(store, storage, source, true).await?;
    }
    let now = clock::now();
    let wanted =
        NewMove { id: Uuid::now_v7().to_string(), recording, source, target, created_by: by.to_owned() };
    store.add_move(&wanted, now).await?;
    let row = MoveRow {
        wanted,
        state: MoveState::Waiting,
        server: None,
        segments: 0,
        bytes: 0,
        failed: 0,
        error: None,
        created_at: now,
        changed_at: now,
    };
    Ok(row.into())
}

/// Says whether something new may be stored at a location.
///
/// # Errors
/// A location that does not exist, and the database's.
pub(crate) async fn set_read_only(
    store: &Store,
    storage: &Locations,
    id: &str,
    read_only: bool,
) -> Result<(), ServerError> {
    let unknown =
        || ServerError::Move(format!("there is no storage location '{id}'; there are {}", storage.names()));
    let location = storage.get(id).map_err(|_| unknown())?;
    if !read_only && location.settings.read_only {
        return Err(ServerError::Move(format!(
            "the server's settings say that '{id}' is read-only: change them"
        )));
    }
    if !store.set_location_read_only(id, read_only).await? {
        return Err(unknown());
    }
    storage.refresh(store).await?;
    tracing::info!(location = id, read_only, "a storage location was changed");
    Ok(())
}

/// What came of packing segments again, or of reading them through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TendDone {
    /// Segments looked at.
    pub segments: u64,
    /// Their bytes before.
    pub bytes: u64,
    /// Those that were packed denser.
    pub repacked: u64,
    /// Bytes that this has saved.
    pub saved_bytes: u64,
    /// Those that are damaged.
    pub damaged: u64,
    /// Those that were mended from another copy.
    pub mended: u64,
    /// Those that were left as they are: at work elsewhere, moved meanwhile, or not to be had just now.
    pub left: u64,
    /// Those that were passed over: at locations that cannot be used for it, or packed before.
    pub passed: u64,
}

impl TendDone {
    fn count(&mut self, segment: &SegmentRow, outcome: Result<Done, TendError>) -> Result<(), ServerError> {
        self.segments += 1;
        self.bytes += segment.bytes;
        match outcome {
            Ok(Done::Replaced { saved }) => {
                self.repacked += 1;
                self.saved_bytes += saved;
            }
            Ok(Done::Fine) => {}
            Ok(Done::Damaged) | Err(TendError::Damaged(_)) => self.damaged += 1,
            Ok(Done::Mended) => self.mended += 1,
            Err(TendError::Db(error)) => return Err(error.into()),
            Ok(Done::Gone) | Err(_) => self.left += 1,
        }
        Ok(())
    }
}

/// Segments taken from the database at a time.
const PAGE: u32 = 500;

/// The storage of a server's data folder, for whoever works on the machine itself. The server may run or not.
pub struct StorageAdmin {
    mover: Mover,
    tender: Tender,
    /// Held while no server runs: then moves are done here.
    lock: Option<nix::fcntl::Flock<std::fs::File>>,
}

impl StorageAdmin {
    /// Opens it. `database` as the server is told it.
    ///
    /// # Errors
    /// No server was ever started with the folder, or its database cannot be used.
    pub async fn open(data: &Path, database: Option<&str>) -> Result<Self, ServerError> {
        let id = folder::server_id(data)?;
        let lock = match server::lock_folder(data) {
            Ok(lock) => Some(lock),
            Err(ServerError::InUse { .. }) => None,
            Err(error) => return Err(error),
        };
        let store = folder::open_store(data, database).await?;
        let keys = Arc::new(Keyring::open(data, None, store.clone()).await?);
        let storage = Arc::new(Locations::known(&store).await?.with_keys(&keys));
        let stop = CancellationToken::new();
        let tender = Tender {
            store: store.clone(),
            storage: Arc::clone(&storage),
            keys,
            settings: TendSettings::default(),
            name: format!("{id}/command line"),
            metrics: Arc::default(),
            stop: stop.clone(),
            damaged: AtomicU64::new(0),
        };
        Ok(Self { mover: Mover { store, storage, server: id, stop, wanted: Notify::new() }, tender, lock })
    }

    /// Whether a server runs with the folder; it does the moves then.
    pub fn server_runs(&self) -> bool {
        self.lock.is_none()
    }

    /// Tells of the storage, as it looks from here.
    ///
    /// # Errors
    /// The database's.
    pub async fn report(&self) -> Result<StorageReport, ServerError> {
        Ok(report(&self.mover.store, &self.mover.storage, None).await?)
    }

    /// Lets new segments be stored at a location again, or not any more.
    ///
    /// # Errors
    /// A location that does not exist, and the database's.
    pub async fn set_read_only(&self, location: &str, read_only: bool) -> Result<(), ServerError> {
        set_read_only(&self.mover.store, &self.mover.storage, location, read_only).await
    }

    /// Moves, and waits until that is over. Broken off, the server or the next call goes on with it.
    ///
    /// # Errors
    /// Locations or recordings that do not exist, and the database's. What could not be moved stands in the report.
    pub async fn move_now(&self, wanted: Wanted) -> Result<MoveReport, ServerError> {
        let id = request(&self.mover.store, &self.mover.storage, wanted, "command line").await?.id;
        loop {
            if self.lock.is_some() {
                // An earlier one that was broken off may come first.
                self.mover.next_move().await?;
            }
            match self.mover.store.move_by_id(&id).await? {
                Some(row) if row.state.is_over() => return Ok(row.into()),
                Some(_) if self.lock.is_none() => tokio::time::sleep(POLL).await,
                Some(_) => {}
                None => {
                    return Err(ServerError::Move(format!("the move {id} has vanished from the database")));
                }
            }
        }
    }

    /// Packs segments again, of one recording or all, without waiting for idle time, also beside a running server. Broken off, what was
    /// done stays done. `progress` hears of each segment.
    ///
    /// # Errors
    /// The database's. What could not be done stands in the report.
    pub async fn repack_now(
        &self,
        repacking: Repacking,
        recording: Option<RecordingId>,
        mut progress: impl FnMut(&TendDone),
    ) -> Result<TendDone, ServerError> {
        let mut done = TendDone::default();
        let Some(density) = repacking.density() else { return Ok(done) };
        self.mover.store.release_segments(&self.tender.name).await?;
        let writable = self.tender.writable();
        for segment in self.segments(recording).await? {
            let (packing, _) = self.mover.store.packing_of(&segment).await?;
            // Those that were packed are packed again only where they were named.
            if !writable.contains(&segment.location) || (packing >= PACKING && recording.is_none()) {
                done.passed += 1;
                continue;
            }
            let outcome = self.tender.repack(&segment, density).await;
            done.count(&segment, outcome)?;
            progress(&done);
        }
        Ok(done)
    }

    /// Reads segments through, of one recording or all, also beside a running server.
    ///
    /// # Errors
    /// The database's. What is damaged stands in the report.
    pub async fn scrub_now(
        &self,
        recording: Option<RecordingId>,
        mut progress: impl FnMut(&TendDone),
    ) -> Result<TendDone, ServerError> {
        let mut done = TendDone::default();
        self.mover.store.release_segments(&self.tender.name).await?;
        let readable = self.tender.readable();
        for segment in self.segments(recording).await? {
            if !readable.contains(&segment.location) {
                done.passed += 1;
                continue;
            }
            let outcome = self.tender.scrub(&segment).await;
            done.count(&segment, outcome)?;
            progress(&done);
        }
        Ok(done)
    }

    /// The segments of one recording, or of all.
    async fn segments(&self, recording: Option<RecordingId>) -> Result<Vec<SegmentRow>, ServerError> {
        let store = &self.mover.store;
        if let Some(id) = recording {
            if store.recording(id).await?.is_none() {
                return Err(ServerError::Move(format!("there is no recording {id} at this site")));
            }
            return Ok(store.segments(id).await?);
        }
        let (mut all, mut seen) = (Vec::new(), HashSet::new());
        for location in self.mover.storage.all() {
            let mut after = None::<String>;
            loop {
                let page = store.segments_at(&location.id, after.as_deref(), PAGE).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.path.clone());
                all.extend(page.into_iter().filter(|row| seen.insert((row.recording, row.number))));
            }
        }
        Ok(all)
    }

    /// Ends.
    pub async fn close(self) {
        self.mover.store.database().close().await;
    }
}
