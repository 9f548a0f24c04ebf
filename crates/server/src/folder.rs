//! A server's data folder, as the server and the commands beside it read it: whose it is, and where its site's database lies.

use crate::error::ServerError;
use playhead_db::site::Store;
use playhead_model::ServerId;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Where a server's own id stands.
pub(crate) fn id_path(data: &Path) -> PathBuf {
    data.join("server-id")
}

/// The id of the server that was started with the folder.
///
/// # Errors
/// No server was ever started with it, it cannot be read, or has something else in the id's place.
pub(crate) fn server_id(data: &Path) -> Result<ServerId, ServerError> {
    let path = id_path(data);
    let text =
        fs::read_to_string(&path).map_err(|source| ServerError::Data { path: path.clone(), source })?;
    text.trim().parse().map_err(|_| ServerError::Content { path, reason: "expected the server's id".into() })
}

/// The same; `None` when no server was ever started with it.
///
/// # Errors
/// The others of [`server_id`].
pub(crate) fn known_id(data: &Path) -> Result<Option<ServerId>, ServerError> {
    match server_id(data) {
        Err(ServerError::Data { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        known => known.map(Some),
    }
}

/// Keeps the id of a server that is started for the first time.
///
/// # Errors
/// The folder cannot be written.
pub(crate) fn keep_id(data: &Path, id: ServerId) -> Result<(), ServerError> {
    Ok(playhead_net::write_private(&id_path(data), id.to_string().as_bytes())?)
}

/// Address of the site's database: the one that is told, or the folder's own.
pub(crate) fn database_of(data: &Path, database: Option<&str>) -> String {
    database.map_or_else(|| format!("sqlite:{}", data.join("site.db").display()), str::to_owned)
}

/// Opens the site's database for a command that works beside the server, or without it.
///
/// # Errors
/// No server was ever started with the folder, or its database cannot be used.
pub(crate) async fn open_store(data: &Path, database: Option<&str>) -> Result<Store, ServerError> {
    let path = id_path(data);
    // Looked at first: opening would make a database where there is none.
    fs::metadata(&path).map_err(|source| ServerError::Data { path, source })?;
    Ok(Store::open(&database_of(data, database)).await?)
}
