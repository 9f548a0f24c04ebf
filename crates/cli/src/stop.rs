//! Ending in an orderly way when told to.

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by Ctrl-C or SIGTERM. A second one ends the program at once.
pub(crate) fn on_signal() -> anyhow::Result<CancellationToken> {
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        let mut next = async || tokio::select! { _ = interrupt.recv() => 130, _ = terminate.recv() => 143 };
        next().await;
        tracing::info!("stopping");
        stop.cancel();
        let status = next().await;
        tracing::warn!("told to stop twice: ending at once");
        std::process::exit(status);
    });
    Ok(token)
}
