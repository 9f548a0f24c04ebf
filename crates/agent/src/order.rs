//! Orders to an agent that runs, given on its machine: over a socket in its data folder, which is for its user alone.
//!
//! One line of JSON each way for each connection.

use crate::{AgentError, control::Registry};
use playhead_model::PictureSettings;
use serde::{Deserialize, Serialize};
use std::{
    io::{self, Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixListener,
};
use tokio_util::sync::CancellationToken;

/// Name of the socket, below the data folder.
const SOCKET: &str = "orders";
/// An order has at most so many bytes, and so has its answer.
const MOST_BYTES: u64 = 4 << 10;
/// Whoever connects has to say something within this time, and so has the agent.
const PATIENCE: Duration = Duration::from_secs(5);

/// What an agent that runs can be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Record pictures like this, in the recordings under way and in the next ones, until the agent ends.
    Picture(PictureSettings),
}

#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    error: Option<String>,
}

/// Takes orders until `end`. That nobody can give any is no reason not to record.
pub(crate) async fn take(data: &Path, registry: Arc<Registry>, end: CancellationToken) {
    let listener = match listen(data) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%error, "cannot take orders: only a new start changes how it is recorded");
            return;
        }
    };
    loop {
        let mut stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot take an order");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            },
            () = end.cancelled() => break,
        };
        // One after the other: they are few, and none may keep the others waiting for long.
        let served = tokio::time::timeout(PATIENCE, async {
            let (read, mut write) = stream.split();
            let mut text = Vec::new();
            read.take(MOST_BYTES).read_to_end(&mut text).await?;
            let error = obey(&text, &registry).err();
            let answer = serde_json::to_vec(&Answer { error })?;
            write.write_all(&answer).await
        });
        match served.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "an order broke off"),
            Err(_) => tracing::debug!("an order did not come in time"),
        }
    }
    let _ = std::fs::remove_file(data.join(SOCKET));
}

fn listen(data: &Path) -> io::Result<UnixListener> {
    let path = data.join(SOCKET);
    // The folder is held by this agent alone, so what is there was left by one that died.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn obey(text: &[u8], registry: &Registry) -> Result<(), String> {
    let order: Order = serde_json::from_slice(text).map_err(|error| format!("this is no order: {error}"))?;
    match order {
        Order::Picture(settings) => {
            settings.check().map_err(|error| error.to_string())?;
            registry.set_picture(&settings);
        }
    }
    Ok(())
}

/// Gives an order to the agent with its data in `data`; blocking.
///
/// # Errors
/// No agent runs there, or it refuses.
pub fn order(data: &Path, order: &Order) -> Result<(), AgentError> {
    let path = data.join(SOCKET);
    let failed = |source| AgentError::File { path: path.clone(), source };
    if !crate::folder::is_in_use(data) {
        return Err(AgentError::Setting(format!("no agent runs with its data in {}", data.display())));
    }
    let answer = (|| {
        let mut stream = UnixStream::connect(&path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(&serde_json::to_vec(order)?)?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut text = Vec::new();
        stream.take(MOST_BYTES).read_to_end(&mut text)?;
        Ok(serde_json::from_slice::<Answer>(&text)?)
    })();
    match answer.map_err(failed)?.error {
        None => Ok(()),
        Some(error) => Err(AgentError::Setting(format!("the agent refuses: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Control;
    use playhead_model::{PictureMode, RecordingId};

    #[tokio::test]
    async fn orders_reach_the_threads_and_nonsense_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (registry, end) = (Arc::new(Registry::default()), CancellationToken::new());
        let control = Arc::new(Control::new().unwrap());
        registry.begin(RecordingId::from_bytes([1; 16]), &control);
        let lossy = PictureSettings { mode: PictureMode::Lossy, ..Default::default() };
        let path = folder.path().to_owned();
        assert!(order(&path, &Order::Picture(lossy.clone())).is_err(), "no agent runs");

        let _hold = crate::folder::take(&path).unwrap();
        // What a dead agent left.
        std::fs::write(path.join(SOCKET), "").unwrap();
        let taking = {
            let (path, registry, end) = (path.clone(), Arc::clone(&registry), end.clone());
            tokio::spawn(async move { take(&path, registry, end).await })
        };
        while UnixStream::connect(path.join(SOCKET)).is_err() {
            tokio::task::yield_now().await;
        }
        let wrong = PictureSettings { frame_rate: Some(99), ..lossy.clone() };
        let refused = tokio::task::spawn_blocking({
            let (path, lossy) = (path.clone(), lossy.clone());
            move || {
                order(&path, &Order::Picture(lossy)).unwrap();
                order(&path, &Order::Picture(wrong)).unwrap_err().to_string()
            }
        });
        assert!(refused.await.unwrap().contains("between 1 and 30, got 99"));
        assert_eq!(control.take().picture, Some(lossy.clone()));
        assert_eq!(control.take().picture, None, "given out once");
        assert_eq!(registry.picture(), Some(lossy));
        assert!(obey(b"{\"picture\":{\"mode\":\"small\"}}", &registry).is_err());
        assert!(obey(b"", &registry).is_err());
        end.cancel();
        taking.await.unwrap();
        assert!(!path.join(SOCKET).exists());
    }
}
