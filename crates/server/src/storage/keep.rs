//! Writing a file so that it is surely there: under a name of its own, read back and compared.

use super::{StorageError, location::Location};
use crate::clock;
use bytes::Bytes;
use playhead_db::{DbError, site::Store};
use std::sync::Arc;
use tokio::{sync::mpsc, task::JoinHandle};

/// How many names are tried: the plain one, and others when something else has it.
const NAMES: u32 = 10;

/// A file that is there.
pub(super) struct Kept<T> {
    pub(super) path: String,
    pub(super) bytes: u64,
    pub(super) blake3: blake3::Hash,
    /// What making it came to.
    pub(super) made: T,
}

/// Why a file is not there.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeepError<E> {
    /// The location's fault: another one may do better.
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Db(#[from] DbError),
    /// The file could not be made.
    #[error("{0}")]
    Made(E),
}

/// Writes a file at a location. `make` sends its bytes, each time it is called; `path` is the name it should have.
///
/// Nothing is ever written under a name that waits to be removed, and object stores never replace an object: where something is in the
/// way, it is taken for the file when it has the same bytes (a crash came between writing it and writing that down), and otherwise the
/// next name is tried.
pub(super) async fn keep<T, E>(
    location: &Arc<Location>,
    store: &Store,
    path: &str,
    mut make: impl FnMut(mpsc::Sender<Bytes>) -> JoinHandle<Result<T, E>>,
) -> Result<Kept<T>, KeepError<E>> {
    let mut last = path.to_owned();
    for number in 0..NAMES {
        let name = named(path, number);
        if store.is_to_be_removed(&location.id, &name).await? {
            continue;
        }
        let (sender, mut pieces) = mpsc::channel(4);
        let making = make(sender);
        let put = location.put(&name, &mut pieces).await;
        // Dropping the receiver ends a maker whose bytes nobody takes any more.
        drop(pieces);
        let made = making.await.map_err(StorageError::from)?;
        let (upload, made) = match (put, made) {
            (Ok(upload), Ok(made)) => (upload, made),
            (Ok(upload), Err(error)) => {
                location.abort(upload);
                return Err(KeepError::Made(error));
            }
            // The maker found nobody to take its bytes, most likely because of this.
            (Err(error), _) => return Err(error.into()),
        };
        let (bytes, blake3) = (upload.bytes, upload.blake3);
        let taken = match location.finish(upload).await {
            Ok(()) => false,
            Err(error) if error.is_taken() => true,
            Err(error) => return Err(error.into()),
        };
        let actual = match location.digest(&name).await {
            Ok(actual) => actual,
            Err(error) => {
                // It may turn up later, when nobody knows of it.
                if !taken {
                    store.add_removal(&location.id, &name, clock::now()).await?;
                }
                return Err(error.into());
            }
        };
        if actual != (bytes, blake3) {
            if taken {
                tracing::warn!(
                    location = location.id,
                    path = name,
                    "another file has this name already; taking the next one"
                );
                last = name;
                continue;
            }
            store.add_removal(&location.id, &name, clock::now()).await?;
            let differs = StorageError::Differs {
                location: location.id.clone(),
                expected: format!("{bytes} bytes with BLAKE3 {blake3}"),
                actual: format!("{} bytes with BLAKE3 {}", actual.0, actual.1),
            };
            return Err(differs.into());
        }
        location.protect(&name).await?;
        return Ok(Kept { path: name, bytes, blake3, made });
    }
    Err(StorageError::Taken { location: location.id.clone(), path: last }.into())
}

/// The name for another try: `000007.mcap`, `000007-1.mcap` and so on.
fn named(path: &str, number: u32) -> String {
    match (number, path.strip_suffix(".mcap")) {
        (0, _) => path.to_owned(),
        (_, Some(stem)) => format!("{stem}-{number}.mcap"),
        (_, None) => format!("{path}-{number}"),
    }
}

/// The plain name of a file that may have got another one.
pub(super) fn plain(path: &str) -> String {
    let stem = path.strip_suffix(".mcap");
    let file = stem.map(|stem| (stem.rfind('/').map_or(0, |at| at + 1), stem));
    match file.and_then(|(at, stem)| Some((at + stem.get(at..)?.find('-')?, stem))) {
        Some((dash, stem)) => format!("{}.mcap", &stem[..dash]),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::settings::LocationSettings, *};

    #[test]
    fn names_are_made_and_made_plain_again() {
        let path = "2026/01/02/0a-0b/000007.mcap";
        assert_eq!(named(path, 0), path);
        assert_eq!(named(path, 3), "2026/01/02/0a-0b/000007-3.mcap");
        assert_eq!(plain(&named(path, 3)), path);
        assert_eq!(plain(path), path);
        assert_eq!(plain("odd"), "odd");
    }

    /// Characters that mean something in addresses.
    const HERE: &str = "ä b/50% #1?";

    struct Fixture {
        folder: tempfile::TempDir,
        location: Arc<Location>,
        store: Store,
    }

    impl Fixture {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let settings = LocationSettings::new(folder.path().join(HERE).to_str().unwrap());
            let location = Location::open("a".into(), settings, 0).unwrap();
            location.begin("site".into()).await.unwrap();
            let url = format!("sqlite:{}", folder.path().join("site.db").display());
            Self { folder, location, store: Store::open(&url).await.unwrap() }
        }

        async fn keep(&self, size: usize, fail: bool) -> Result<Kept<()>, KeepError<String>> {
            keep(&self.location, &self.store, "x/000000.mcap", |sender| {
                tokio::spawn(async move {
                    for piece in vec![7u8; size].chunks(1 << 20) {
                        sender
                            .send(Bytes::copy_from_slice(piece))
                            .await
                            .map_err(|error| error.to_string())?;
                    }
                    if fail { Err("no".into()) } else { Ok(()) }
                })
            })
            .await
        }

        fn files(&self) -> Vec<String> {
            let files =
                std::fs::read_dir(self.folder.path().join(HERE).join("x")).into_iter().flatten().flatten();
            let mut names: Vec<_> =
                files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names
        }
    }

    #[tokio::test]
    async fn what_is_kept_is_there_whole_or_not_at_all() {
        let fixture = Fixture::new().await;
        std::fs::create_dir_all(fixture.folder.path().join(HERE).join("x")).unwrap();
        std::fs::write(fixture.folder.path().join(HERE).join("x/000000.mcap#1"), "left by a crash").unwrap();
        for size in [10, 17 << 20] {
            assert!(matches!(fixture.keep(size, true).await, Err(KeepError::Made(_))));
            let kept = fixture.keep(size, false).await.unwrap();
            assert_eq!((kept.path.as_str(), kept.bytes), ("x/000000.mcap", size as u64));
            assert_eq!(fixture.location.digest(&kept.path).await.unwrap(), (kept.bytes, kept.blake3));
            let range = (kept.bytes - 3)..kept.bytes;
            assert_eq!(fixture.location.read(&kept.path, range).await.unwrap()[..], [7; 3]);
            assert_eq!(fixture.files(), ["000000.mcap"]);
        }
    }

    #[tokio::test]
    async fn a_name_that_waits_to_be_removed_is_not_used() {
        let fixture = Fixture::new().await;
        fixture.store.add_removal("a", "x/000000.mcap", clock::now()).await.unwrap();
        assert_eq!(fixture.keep(10, false).await.unwrap().path, "x/000000-1.mcap");
        for path in ["x/000000-1.mcap", "x/000000-1.mcap", "x/none.mcap"] {
            fixture.location.delete(path).await.unwrap();
        }
        assert_eq!(fixture.files(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_location_that_goes_away_is_named_and_nothing_is_removed_there() {
        let fixture = Fixture::new().await;
        let (here, away) = (fixture.folder.path().join(HERE), fixture.folder.path().join("away"));
        std::fs::rename(&here, away).unwrap();
        std::fs::create_dir(&here).unwrap();
        let error = fixture.keep(10, false).await.err().unwrap().to_string();
        assert!(error.contains("mounted"), "{error}");
        assert!(
            fixture.location.delete("x/000000.mcap").await.is_err(),
            "nothing was looked for in the wrong place"
        );
        assert_eq!(std::fs::read_dir(here).unwrap().count(), 0);
    }
}
