//! Which server this is: the database says by its id whose journal holds what. The folder keeps it; where it was lost, the key tells.

use crate::{ServerError, folder, journal};
use playhead_db::{Dialect, site::Store};
use playhead_model::ServerId;
use playhead_net::NodeKey;
use std::{io, path::Path};
use uuid::Uuid;

/// This server's own id, made at its first start.
///
/// # Errors
/// The folder's and the database's; a journal of a server that only its disk has, and that this one cannot prove to be.
pub(crate) async fn own_id(data: &Path, store: &Store, key: &NodeKey) -> Result<ServerId, ServerError> {
    if let Some(id) = folder::known_id(data)? {
        return Ok(id);
    }
    let id = match found_again(store, key).await? {
        Some(id) => {
            tracing::warn!(server = %id, "the data folder has lost this server's id; the site's database knows it");
            id
        }
        None => {
            belongs_to_nobody(data, store).await?;
            ServerId::from(Uuid::now_v7())
        }
    };
    folder::keep_id(data, id)?;
    Ok(id)
}

/// The server that the database knows by the folder's key. A database in a file has one server, whatever its key.
async fn found_again(store: &Store, key: &NodeKey) -> Result<Option<ServerId>, ServerError> {
    let known = store.servers().await?;
    let mine = known.iter().find(|row| row.server.public_key == key.public());
    let alone = known.first().filter(|_| store.database().dialect() == Dialect::Sqlite && known.len() == 1);
    Ok(mine.or(alone).map(|row| row.server.id))
}

/// Looks whether the folder's journal would be lost with a new id: what is in shared storage too, other servers take over.
async fn belongs_to_nobody(data: &Path, store: &Store) -> Result<(), ServerError> {
    let folder = data.join("journal");
    if !folder.exists() {
        return Ok(());
    }
    let recover = folder.clone();
    let recovered = tokio::task::spawn_blocking(move || journal::recover(&recover)).await;
    let failed = |source| ServerError::Data { path: data.to_owned(), source };
    let recovered = recovered.map_err(|error| failed(io::Error::other(error)))??;
    let known = store.servers().await?;
    for &recording in recovered.recordings.keys() {
        let Some(row) = store.recording(recording).await? else { continue };
        let owner = known.iter().find(|known| known.server.id == row.server);
        if owner.is_some_and(|owner| !owner.server.shared) {
            let id = folder::id_path(data);
            return Err(ServerError::NoId { journal: folder, recording, owner: row.server, id });
        }
    }
    Ok(())
}
