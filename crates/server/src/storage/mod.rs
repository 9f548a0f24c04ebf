//! Where whole segments lie: a folder or an object store.

mod seal;

pub(crate) use seal::run as run_sealer;

use crate::ServerError;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream::BoxStream};
use object_store::{
    ObjectStore, ObjectStoreExt as _, WriteMultipart, aws::AmazonS3Builder, local::LocalFileSystem,
    path::Path,
};
use playhead_model::RecordingInfo;
use std::{ops::Range, path::PathBuf, sync::Arc};
use tokio::sync::mpsc;

/// Bytes of a part of an upload: the least that S3 takes for all but the last.
const PART: usize = 5 << 20;
/// Id of the location that everything lay at before there were several.
pub(crate) const DEFAULT: &str = "default";
/// Parts under way at a time.
const PARTS: usize = 2;

/// One place for segments.
#[derive(Clone)]
pub(crate) struct Storage {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// The folder, where it is one.
    folder: Option<PathBuf>,
}

impl Storage {
    /// Opens the place at `url`: a folder, `file:///path` or `s3://bucket/prefix`.
    pub(crate) fn open(url: &str) -> Result<Self, ServerError> {
        let failed = |source| ServerError::Storage { url: url.to_owned(), source };
        if let Some(rest) = url.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let store = AmazonS3Builder::from_env().with_bucket_name(bucket).build().map_err(failed)?;
            let prefix = Path::parse(prefix).map_err(|error| failed(error.into()))?;
            return Ok(Self { store: Arc::new(store), prefix, folder: None });
        }
        let folder = PathBuf::from(url.strip_prefix("file://").unwrap_or(url));
        std::fs::create_dir_all(&folder)
            .map_err(|source| ServerError::Data { path: folder.clone(), source })?;
        // Synced: after a segment is stored its copy in the journal goes.
        let store = LocalFileSystem::new_with_prefix(&folder).map_err(failed)?.with_fsync(true);
        Ok(Self { store: Arc::new(store), prefix: Path::default(), folder: Some(folder) })
    }

    /// Where a segment goes: `YYYY/MM/DD/<recording>/<NNNNNN>.mcap`, by the day the recording began, in UTC.
    pub(crate) fn path_of(info: &RecordingInfo, number: u32) -> String {
        let day = info.started_at.to_string();
        // The text form starts with YYYY-MM-DD.
        let day = day.get(..10).unwrap_or("0001-01-01").replace('-', "/");
        format!("{day}/{}/{number:06}.mcap", info.id)
    }

    fn full(&self, path: &str) -> Path {
        path.split('/').fold(self.prefix.clone(), |path, part| path.join(part))
    }

    /// Uploads what comes through `pieces`. Nobody sees it before [`Upload::finish`].
    pub(crate) async fn put(
        &self,
        path: &str,
        pieces: &mut mpsc::Receiver<Bytes>,
    ) -> Result<Upload, object_store::Error> {
        self.sweep(path);
        let path = self.full(path);
        let mut upload = WriteMultipart::new_with_chunk_size(self.store.put_multipart(&path).await?, PART);
        let mut hasher = blake3::Hasher::new();
        let mut bytes = 0;
        while let Some(piece) = pieces.recv().await {
            if let Err(error) = upload.wait_for_capacity(PARTS).await {
                let _ = upload.abort().await;
                return Err(error);
            }
            hasher.update(&piece);
            bytes += piece.len() as u64;
            upload.put(piece);
        }
        Ok(Upload { upload, bytes, blake3: hasher.finalize() })
    }

    /// In a folder, a crash while storing leaves the file under a name of its own beside the final one; this is the time to remove it.
    fn sweep(&self, path: &str) {
        let Some(folder) = &self.folder else { return };
        let path = folder.join(path);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
        else {
            return;
        };
        let Ok(files) = std::fs::read_dir(parent) else { return };
        for file in files.flatten() {
            if file.file_name().to_str().is_some_and(|other| other.starts_with(&format!("{name}#"))) {
                let _ = std::fs::remove_file(file.path());
            }
        }
    }

    /// Reads a part.
    pub(crate) async fn read(&self, path: &str, range: Range<u64>) -> Result<Bytes, object_store::Error> {
        self.store.get_range(&self.full(path), range).await
    }

    /// Reads all of it, piece by piece.
    pub(crate) async fn stream(
        &self,
        path: &str,
    ) -> Result<(u64, BoxStream<'static, Result<Bytes, object_store::Error>>), object_store::Error> {
        let got = self.store.get(&self.full(path)).await?;
        Ok((got.meta.size, got.into_stream()))
    }

    /// Reads all of it back; returns how many bytes it is and their BLAKE3.
    pub(crate) async fn digest(&self, path: &str) -> Result<(u64, blake3::Hash), object_store::Error> {
        let (_, mut pieces) = self.stream(path).await?;
        let mut hasher = blake3::Hasher::new();
        let mut bytes = 0;
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            bytes += piece.len() as u64;
            hasher.update(&piece);
        }
        Ok((bytes, hasher.finalize()))
    }

    /// Whether it can be reached.
    pub(crate) async fn check(&self) -> Result<(), object_store::Error> {
        match self.store.head(&self.full("playhead-check")).await {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// An object whose bytes are all there but which nobody can see yet.
pub(crate) struct Upload {
    upload: WriteMultipart,
    pub(crate) bytes: u64,
    pub(crate) blake3: blake3::Hash,
}

impl Upload {
    /// Makes it visible.
    pub(crate) async fn finish(self) -> Result<(), object_store::Error> {
        self.upload.finish().await.map(|_| ())
    }

    /// Drops it.
    pub(crate) async fn abort(self) {
        let _ = self.upload.abort().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use playhead_model::RecordingId;

    #[tokio::test]
    async fn what_is_put_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path().to_str().unwrap()).unwrap();
        storage.check().await.unwrap();
        let path = "2026/01/02/a/000000.mcap";
        // A leftover of a crash.
        let leftover = folder.path().join(format!("{path}#1"));
        std::fs::create_dir_all(leftover.parent().unwrap()).unwrap();
        std::fs::write(&leftover, "half").unwrap();

        for finish in [false, true] {
            let (sender, mut pieces) = mpsc::channel(4);
            for piece in 0..3u8 {
                sender.send(Bytes::from(vec![piece; 3 << 20])).await.unwrap();
            }
            drop(sender);
            let upload = storage.put(path, &mut pieces).await.unwrap();
            let (bytes, blake3) = (upload.bytes, upload.blake3);
            if finish {
                upload.finish().await.unwrap();
                assert_eq!(storage.digest(path).await.unwrap(), (bytes, blake3));
                assert_eq!(bytes, 9 << 20);
                assert_eq!(storage.read(path, (3 << 20) - 1..(3 << 20) + 1).await.unwrap()[..], [0, 1]);
            } else {
                upload.abort().await;
                assert!(storage.digest(path).await.is_err());
            }
        }
        let names: Vec<_> = std::fs::read_dir(leftover.parent().unwrap()).unwrap().flatten().collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }

    #[test]
    fn segments_lie_by_the_day_they_began() {
        let info = RecordingInfo {
            id: RecordingId::from_bytes([1; 16]),
            host: "h".into(),
            user: "u".into(),
            display: ":1".into(),
            client: None,
            client_address: None,
            application: "desktop".into(),
            started_at: "2026-03-01T23:30:00Z".parse().unwrap(),
            agent_version: "1".into(),
            monitors: vec![],
        };
        assert_eq!(Storage::path_of(&info, 7), "2026/03/01/01010101-0101-0101-0101-010101010101/000007.mcap");
    }

    #[test]
    fn an_address_that_cannot_be_used_is_named() {
        let error = Storage::open("s3://bucket/a//b").err().unwrap();
        assert!(error.to_string().contains("s3://bucket/a//b"), "{error}");
    }
}
