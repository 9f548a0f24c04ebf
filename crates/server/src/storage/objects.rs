//! Small objects beside the segments: parts of the shared journal.

use super::{StorageError, location::Location};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::{ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use std::{sync::Arc, time::Duration};

impl Location {
    /// Whether every server of the site surely means the same place by it: a bucket. Folders may be shared or not.
    pub(crate) fn is_bucket(&self) -> bool {
        self.folder().is_none()
    }

    /// Whether it may be tried now.
    pub(crate) fn is_usable(&self) -> bool {
        self.usable_in() == Some(Duration::ZERO)
    }

    /// Writes an object whole, over whatever has the name.
    ///
    /// # Errors
    /// The location's; the object may be there nevertheless, now or later.
    pub(crate) async fn put_object(&self, path: &str, pieces: &[Bytes]) -> Result<(), StorageError> {
        self.in_place().await?;
        let (store, path) = (Arc::clone(&self.backend.store), self.full(path));
        let payload: PutPayload = pieces.iter().cloned().collect();
        let put = async move { store.put_opts(&path, payload, PutOptions::from(PutMode::Overwrite)).await };
        self.within(put).await?.map(|_| ()).map_err(|source| self.failure(source))
    }

    /// The names of all objects below a name, in order.
    ///
    /// # Errors
    /// The location's.
    pub(crate) async fn list_objects(&self, below: &str) -> Result<Vec<String>, StorageError> {
        self.in_place().await?;
        let (store, path) = (Arc::clone(&self.backend.store), self.full(below));
        let list = async move { store.list(Some(&path)).try_collect::<Vec<_>>().await };
        let listed = match self.within(list).await? {
            Err(object_store::Error::NotFound { .. }) => Vec::new(),
            listed => listed.map_err(|source| self.failure(source))?,
        };
        let name = |path: &object_store::path::Path| {
            let parts: Vec<_> = path.prefix_match(&self.backend.prefix)?.collect();
            Some(parts.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join("/"))
        };
        let mut names: Vec<String> = listed.iter().filter_map(|meta| name(&meta.location)).collect();
        names.sort();
        Ok(names)
    }

    /// Reads an object whole.
    ///
    /// # Errors
    /// The location's.
    pub(crate) async fn read_object(&self, path: &str) -> Result<Bytes, StorageError> {
        let (store, path) = (Arc::clone(&self.backend.store), self.full(path));
        let read = async move { store.get(&path).await?.bytes().await };
        self.within(read).await?.map_err(|source| self.failure(source))
    }

    /// Removes an object. One that is not there is removed already.
    ///
    /// # Errors
    /// The location's.
    pub(crate) async fn remove_object(&self, path: &str) -> Result<(), StorageError> {
        self.delete(path).await
    }
}
