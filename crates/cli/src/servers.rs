//! `playhead servers`: the servers of a site, on the machine of one of them.

use crate::place::{Place, answer};
use anyhow::Context as _;
use playhead_server::{ServerReport, ServersAdmin};
use serde::Serialize;
use std::fmt::Write as _;

/// Show the servers of the site: which are alive, and how many live recordings each holds
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    place: Place,
}

#[derive(Serialize)]
struct Servers {
    items: Vec<ServerReport>,
}

/// Prints the servers.
///
/// # Errors
/// No server was ever started with the folder; its database cannot be reached.
pub(crate) async fn run(Args { place }: Args) -> anyhow::Result<()> {
    let admin = ServersAdmin::open(&place.data, place.database.as_deref())
        .await
        .with_context(|| place.unopened("look at the servers"))?;
    let items = admin.report().await;
    admin.close().await;
    answer(place.json, &Servers { items: items? }, text)
}

fn text(servers: &Servers) -> String {
    let mut text = String::new();
    for server in &servers.items {
        let ServerReport { name, state, durable, live_recordings, lease_ms, age_ms, .. } = server;
        let this = if server.this { " (this one)" } else { "" };
        // Writing to a text does not fail.
        let _ = writeln!(
            text,
            "{name}{this}\n  {state}, {live_recordings} live recordings, last sign of life {:.1} s ago (lease {} s), durable: {durable}\n  {}",
            *age_ms as f64 / 1e3,
            lease_ms / 1_000,
            if server.url.is_empty() { "no other servers" } else { &server.url },
        );
    }
    text
}
