//! All storage locations of the site, as this server knows them: which id is whose, and where something new goes.

use super::{
    DEFAULT, StorageError,
    location::{Location, LocationState},
    settings::{LocationSettings, Place},
    shelf,
};
use crate::{ServerError, clock, keys::Keyring};
use bytes::Bytes;
use futures_util::{future::join_all, stream::BoxStream};
use playhead_db::{
    DbError,
    site::{LocationRow, SegmentRow, Store},
};
use playhead_model::{RecordingId, SiteId};
use std::{collections::HashMap, ops::Range, path::Path, sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long a start waits for locations to answer. Those that have not by then are looked at further while the server runs.
const START: Duration = Duration::from_secs(5);
/// What counts as room where nobody knows how much there is, as long as no folder has more.
const UNKNOWN_ROOM: u64 = 1 << 40;

/// The locations. What lies at one that is not in the settings any more is still read.
pub(crate) struct Locations {
    all: Vec<Arc<Location>>,
    /// Opens what is encrypted.
    keys: Option<Arc<Keyring>>,
}

impl Locations {
    /// Opens the locations of the settings, and those of earlier settings that segments lie at. `builtin` is the folder for when the
    /// settings name none.
    ///
    /// # Errors
    /// Settings that make no sense, and the database's. A location that does not answer is no error.
    pub(crate) async fn open(
        settings: &[LocationSettings],
        builtin: &Path,
        store: &Store,
        site: SiteId,
        least_free: u64,
    ) -> Result<Self, ServerError> {
        let known = store.locations().await?;
        let used = store.locations_in_use().await?;
        let settings = match settings {
            [] => vec![LocationSettings::new(builtin.to_string_lossy())],
            settings => settings.to_vec(),
        };
        let mut all: Vec<Arc<Location>> = Vec::new();
        for settings in settings {
            let location = identify(settings, &known, &all, site, least_free).await?;
            let same = |other: &Arc<Location>| other.id == location.id || other.url() == location.url();
            if all.iter().any(same) {
                let reason = format!("there are two of that address or of the id {}", location.id);
                return Err(ServerError::Location { location: location.url(), reason });
            }
            let row = known.iter().find(|row| row.id == location.id);
            register(&location, row, store, site).await?;
            all.push(location);
        }
        for row in &known {
            // Nothing lies there, or it is there already.
            if !used.contains(&row.id) || all.iter().any(|location| location.id == row.id) {
                continue;
            }
            let settings = serde_json::from_str::<LocationSettings>(&row.settings)
                .unwrap_or_else(|_| LocationSettings::new(&*row.url));
            let settings = LocationSettings { read_only: true, ..settings };
            match Location::open(row.id.clone(), settings, least_free) {
                Ok(location) => {
                    tracing::warn!(
                        location = row.id,
                        url = row.url,
                        "a storage location that is not in the settings any more is only read"
                    );
                    all.push(location);
                }
                Err(error) => {
                    tracing::error!(location = row.id, %error, "a storage location of earlier settings cannot be opened; what lies there cannot be played");
                }
            }
        }
        for id in used.iter().filter(|id| !all.iter().any(|location| location.id == **id)) {
            tracing::error!(
                location = id,
                "segments lie at a storage location that this server does not know; name it in the storage settings"
            );
        }
        let locations = Self { all, keys: None };
        locations.modes(&known);
        let _ = timeout(START, join_all(locations.all.iter().map(|location| location.look()))).await;
        Ok(locations)
    }

    /// The locations that the database knows, as servers were last told to open them.
    ///
    /// # Errors
    /// The database's, and no location at all.
    pub(crate) async fn known(store: &Store) -> Result<Self, ServerError> {
        let known = store.locations().await?;
        let mut all = Vec::new();
        for row in &known {
            let settings = serde_json::from_str::<LocationSettings>(&row.settings)
                .unwrap_or_else(|_| LocationSettings::new(&*row.url));
            match Location::open(row.id.clone(), settings, 0) {
                Ok(location) => all.push(location),
                Err(error) => {
                    tracing::warn!(location = row.id, %error, "a storage location cannot be opened");
                }
            }
        }
        if all.is_empty() {
            return Err(ServerError::Move("no storage location is known yet: start the server once".into()));
        }
        let locations = Self { all, keys: None };
        locations.modes(&known);
        let _ = timeout(START, join_all(locations.all.iter().map(|location| location.look()))).await;
        Ok(locations)
    }

    /// The same, able to read what is encrypted.
    pub(crate) fn with_keys(self, keys: &Arc<Keyring>) -> Self {
        Self { keys: Some(Arc::clone(keys)), ..self }
    }

    pub(crate) fn all(&self) -> &[Arc<Location>] {
        &self.all
    }

    pub(crate) fn get(&self, id: &str) -> Result<&Arc<Location>, StorageError> {
        self.all.iter().find(|location| location.id == id).ok_or_else(|| StorageError::Unknown(id.to_owned()))
    }

    /// Takes over from the database which ones people want read-only.
    fn modes(&self, rows: &[LocationRow]) {
        for row in rows {
            if let Ok(location) = self.get(&row.id) {
                location.set_read_only(row.read_only);
            }
        }
    }

    /// The same, asking the database.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn refresh(&self, store: &Store) -> Result<(), DbError> {
        self.modes(&store.locations().await?);
        Ok(())
    }

    /// Looks how all of them are, without waiting for those that do not answer.
    pub(crate) fn look(&self) {
        for location in &self.all {
            let location = Arc::clone(location);
            tokio::spawn(async move { location.look().await });
        }
    }

    /// Where a segment of a recording goes: to where the one before it lies, so that a recording stays together; otherwise spread over
    /// all that can take something, in proportion to their free space. A recording that asks again is told the same, unless the
    /// locations have changed.
    pub(crate) fn choose(
        &self,
        recording: RecordingId,
        previous: Option<&str>,
        without: &[String],
    ) -> Option<Arc<Location>> {
        let usable: Vec<_> = self
            .all
            .iter()
            .filter(|location| !without.contains(&location.id))
            .filter(|location| location.usable_in() == Some(Duration::ZERO))
            .collect();
        if let Some(previous) = usable.iter().find(|location| Some(location.id.as_str()) == previous) {
            return Some(Arc::clone(previous));
        }
        let free = |location: &Location| location.condition().free_bytes;
        let most = usable.iter().filter_map(|location| free(location)).max().unwrap_or(UNKNOWN_ROOM);
        let weighed = usable.into_iter().map(|location| {
            let weight = free(location).unwrap_or(most).max(1);
            (score(recording, &location.id, weight), location)
        });
        weighed.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, location)| Arc::clone(location))
    }

    /// How long until one of them may take something again; `None` when that is for people to bring about.
    pub(crate) fn usable_in(&self) -> Option<Duration> {
        self.all.iter().filter_map(|location| location.usable_in()).min()
    }

    /// Why nothing can be stored although nothing has failed: every location is full.
    pub(crate) fn full(&self) -> Option<String> {
        let wanted: Vec<_> = self.all.iter().filter(|location| location.is_wanted()).collect();
        let all_full = wanted.iter().all(|location| location.condition().state == LocationState::Full);
        (!wanted.is_empty() && all_full).then(|| {
            let names: Vec<_> = wanted.iter().map(|location| location.id.as_str()).collect();
            format!(
                "every storage location is full ({}): make room there, or add a location",
                names.join(", ")
            )
        })
    }

    /// What is wrong with locations, for people.
    pub(crate) fn problems(&self) -> Vec<String> {
        let bad = self.all.iter().filter_map(|location| {
            let condition = location.condition();
            let bad = match condition.state {
                LocationState::Unreachable => true,
                LocationState::Full => location.is_wanted(),
                _ => false,
            };
            bad.then(|| match condition.last_error {
                Some((error, _)) => error,
                None => format!("the storage location {} cannot be used", location.id),
            })
        });
        bad.collect()
    }

    /// Reads a part of a segment's file, as it was before it was encrypted.
    pub(crate) async fn read(&self, segment: &SegmentRow, range: Range<u64>) -> Result<Bytes, StorageError> {
        let location = self.get(&segment.location)?;
        let opener = shelf::opener(self.keys.as_deref(), segment).await?;
        let span = match &opener {
            Some(opener) => opener.span(&range).map_err(|error| shelf::wrong(segment, error))?,
            None => range.clone(),
        };
        let read = location.read(&segment.path, span).await;
        noted(location, &read);
        match opener {
            Some(opener) => shelf::open(opener, segment, range, read?).await,
            None => read,
        }
    }

    /// Reads all of a segment's file, piece by piece, as it was before it was encrypted; also tells its size.
    pub(crate) async fn stream(
        &self,
        segment: &SegmentRow,
    ) -> Result<(u64, BoxStream<'static, Result<Bytes, StorageError>>), StorageError> {
        let location = self.get(&segment.location)?;
        let opener = shelf::opener(self.keys.as_deref(), segment).await?;
        let read = location.stream(&segment.path).await;
        noted(location, &read);
        match opener {
            Some(opener) => shelf::open_all(opener, segment, read?),
            None => read,
        }
    }
}

/// One file that is missing says nothing of the location; every other failure does.
fn noted<T>(location: &Location, read: &Result<T, StorageError>) {
    if let Err(error) = read
        && !error.is_missing()
    {
        location.failed(error, false);
    }
}

/// Greatest for the location that is chosen. Over many recordings each location wins in proportion to its weight.
fn score(recording: RecordingId, location: &str, weight: u64) -> f64 {
    let hash = blake3::Hasher::new().update(recording.as_bytes()).update(location.as_bytes()).finalize();
    let [a, b, c, d, e, f, ..] = *hash.as_bytes();
    let draw = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    // Between 0 and 1, neither of them included.
    let uniform = (draw as f64 + 0.5) / (1u64 << 48) as f64;
    uniform.ln() / weight as f64
}

/// Finds out which location it is: by its name, by the marker in a folder (which may have moved), by its address, or a new one.
async fn identify(
    settings: LocationSettings,
    known: &[LocationRow],
    taken: &[Arc<Location>],
    site: SiteId,
    least_free: u64,
) -> Result<Arc<Location>, ServerError> {
    settings.place()?;
    let open = |id: &str| Location::open(id.to_owned(), settings.clone(), least_free);
    let by_url = known.iter().find(|row| row.url == settings.shown()).map(|row| row.id.clone());
    // One that hangs must not hold up the start; its address tells who it is.
    let location = open(DEFAULT)?;
    let marked = timeout(START, location.marked()).await.ok().flatten();
    let marked = marked.filter(|marker| marker.site == site.to_string()).map(|marker| marker.location);
    if let Some(name) = &settings.name {
        if let Some(other) = marked.or(by_url).filter(|id| id != name) {
            let reason = format!(
                "it is known as '{other}' already: name it so, since segments lie there under that name"
            );
            return Err(ServerError::Location { location: settings.shown(), reason });
        }
        return open(name);
    }
    let known_before = |id: &str| known.iter().any(|row| row.id == id);
    let default_is_free = !known_before(DEFAULT) && !taken.iter().any(|location| location.id == DEFAULT);
    let id = marked.or(by_url).unwrap_or_else(|| {
        if default_is_free {
            return DEFAULT.to_owned();
        }
        let hash = blake3::hash(settings.shown().as_bytes()).to_hex();
        format!("at-{}", &hash[..8])
    });
    open(&id)
}

/// Makes the location known. A folder that is new gets its marker; one that should have it and does not is not touched.
async fn register(
    location: &Arc<Location>,
    row: Option<&LocationRow>,
    store: &Store,
    site: SiteId,
) -> Result<(), ServerError> {
    let url = location.url();
    let new = row.is_none();
    if new && let Err(error) = location.begin(site.to_string()).await {
        if location.folder().is_some() {
            return Err(ServerError::Location { location: url, reason: error.to_string() });
        }
        location.failed(&error, false);
    }
    // Under a new address only what proves to be that location, or has nothing to prove it by.
    let moved = row.is_some_and(|row| row.url != url);
    if moved && location.folder().is_some() && location.marked().await.is_none() {
        return Ok(());
    }
    // A struct of texts and numbers always serialises.
    let settings = serde_json::to_string(&location.settings).unwrap_or_default();
    if new || row.is_some_and(|row| row.url != url || row.settings != settings) {
        store.register_location(&location.id, &url, &settings, clock::now()).await?;
    }
    Ok(())
}

impl Locations {
    /// Whether two locations are one place under two names: then nothing may be moved between them.
    pub(super) fn are_one(&self, a: &Location, b: &Location) -> bool {
        let place = |location: &Location| location.settings.place().ok();
        let folder = |place: &Place| match place {
            Place::Folder(folder) => folder.canonicalize().ok(),
            _ => None,
        };
        match (place(a), place(b)) {
            (Some(a), Some(b)) if a == b => true,
            (Some(a), Some(b)) => folder(&a).is_some_and(|a| Some(a) == folder(&b)),
            _ => false,
        }
    }

    /// What is there by id, for people.
    pub(crate) fn names(&self) -> String {
        let names: Vec<_> = self.all.iter().map(|location| location.id.as_str()).collect();
        names.join(", ")
    }
}

/// What lies at each location, by id.
pub(crate) async fn in_use(store: &Store) -> Result<HashMap<String, (u64, u64)>, DbError> {
    let used = store.location_use().await?;
    Ok(used.into_iter().map(|used| (used.location, (used.segments, used.bytes))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    struct Fixture {
        folder: tempfile::TempDir,
        store: Store,
        site: SiteId,
    }

    impl Fixture {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite:{}", folder.path().join("site.db").display());
            let store = Store::open(&url).await.unwrap();
            Self { folder, store, site: SiteId::from_bytes([1; 16]) }
        }

        fn at(&self, name: &str) -> String {
            self.folder.path().join(name).to_string_lossy().into_owned()
        }

        fn settings(&self, name: &str) -> LocationSettings {
            LocationSettings::new(self.at(name))
        }

        async fn open(&self, settings: &[LocationSettings]) -> Result<Locations, ServerError> {
            let builtin = self.folder.path().join("recordings");
            Locations::open(settings, &builtin, &self.store, self.site, 0).await
        }
    }

    fn ids(locations: &Locations) -> Vec<(String, String)> {
        let all = locations.all().iter();
        all.map(|location| (location.id.clone(), location.url())).collect()
    }

    #[tokio::test]
    async fn a_location_stays_who_it_is_whatever_the_settings_say_of_it() {
        let fixture = Fixture::new().await;
        let builtin = fixture.open(&[]).await.unwrap();
        assert_eq!(ids(&builtin), [(DEFAULT.into(), fixture.at("recordings"))]);
        // In another order, with another beside it, and moved.
        let both = [fixture.settings("b"), fixture.settings("recordings")];
        let first = ids(&fixture.open(&both).await.unwrap());
        assert!(first[0].0.starts_with("at-") && first[1].0 == DEFAULT, "{first:?}");
        std::fs::rename(fixture.at("recordings"), fixture.at("moved")).unwrap();
        let moved = fixture.open(&[fixture.settings("moved"), fixture.settings("b")]).await.unwrap();
        assert_eq!(ids(&moved)[0], (DEFAULT.into(), fixture.at("moved")));
        assert_eq!(ids(&moved)[1].0, first[0].0);
        // A name for what has one already, twice the same, and two names for one.
        let named =
            |name: &str, at: &str| LocationSettings { name: Some(name.into()), ..fixture.settings(at) };
        let error = fixture.open(&[named("x", "moved")]).await.err().unwrap().to_string();
        assert!(error.contains("known as 'default'"), "{error}");
        assert!(fixture.open(&[fixture.settings("b"), fixture.settings("b")]).await.is_err());
        assert!(fixture.open(&[named("x", "c"), named("x", "d")]).await.is_err());
        // Nothing lies at the others, so nobody misses them.
        assert_eq!(ids(&fixture.open(&[named("y", "e")]).await.unwrap()), [("y".into(), fixture.at("e"))]);
    }

    #[tokio::test]
    async fn an_empty_folder_where_a_location_should_be_mounted_is_not_written() {
        let fixture = Fixture::new().await;
        let settings = [fixture.settings("mount")];
        fixture.open(&settings).await.unwrap();
        std::fs::rename(fixture.at("mount"), fixture.at("away")).unwrap();
        std::fs::create_dir(fixture.at("mount")).unwrap();
        let locations = fixture.open(&settings).await.unwrap();
        let condition = locations.all()[0].condition();
        assert_eq!(condition.state, LocationState::Unreachable);
        assert!(condition.last_error.unwrap().0.contains("is the file system mounted?"));
        assert!(locations.problems()[0].contains("mounted"));
        assert_eq!(std::fs::read_dir(fixture.at("mount")).unwrap().count(), 0);
        std::fs::remove_dir(fixture.at("mount")).unwrap();
        std::fs::rename(fixture.at("away"), fixture.at("mount")).unwrap();
        locations.all()[0].look().await;
        assert_eq!(locations.all()[0].condition().state, LocationState::Active);
    }

    #[tokio::test]
    async fn recordings_are_spread_and_each_stays_together() {
        let fixture = Fixture::new().await;
        let settings = ["a", "b", "c"].map(|at| LocationSettings {
            name: Some(at.into()),
            read_only: at == "c",
            ..fixture.settings(at)
        });
        let locations = fixture.open(&settings).await.unwrap();
        let recordings: Vec<RecordingId> = (0..1_000).map(|number| Uuid::from_u128(number).into()).collect();
        let count = |of: &str| {
            let chosen = recordings.iter().filter_map(|&id| locations.choose(id, None, &[]));
            chosen.filter(|location| location.id == of).count()
        };
        // One disk, so about as much room at both.
        let (a, b) = (count("a"), count("b"));
        assert!(a > 400 && b > 400 && a + b == 1_000, "{a} {b}");
        let id = recordings[0];
        let chosen = |previous: Option<&str>, without: &[String]| {
            locations.choose(id, previous, without).map(|location| location.id.clone())
        };
        for previous in ["a", "b"] {
            assert_eq!(chosen(Some(previous), &[]).as_deref(), Some(previous));
        }
        assert_ne!(chosen(Some("c"), &[]).as_deref(), Some("c"));
        assert_eq!(chosen(Some("a"), &["a".into()]).as_deref(), Some("b"));
        assert_eq!(chosen(None, &["a".into(), "b".into()]), None);
        // A failing one is passed over until its time has come, one that people have closed for good.
        let failure = StorageError::Late { location: "a".into(), seconds: 1 };
        locations.get("a").unwrap().failed(&failure, true);
        assert_eq!(chosen(Some("a"), &[]).as_deref(), Some("b"));
        assert!(fixture.store.set_location_read_only("b", true).await.unwrap());
        locations.refresh(&fixture.store).await.unwrap();
        assert_eq!(chosen(None, &[]), None);
        assert!(locations.usable_in().is_some_and(|wait| wait <= Duration::from_secs(1)));
        assert_eq!(locations.full(), None);
    }

    #[test]
    fn weights_decide_how_much_goes_where() {
        let wins = (0..10_000u128)
            .filter(|&number| {
                let id = RecordingId::from(Uuid::from_u128(number));
                score(id, "big", 3_000) > score(id, "small", 1_000)
            })
            .count();
        assert!((7_300..7_700).contains(&wins), "{wins}");
    }
}
