//! The tunnels' entrance: recording servers join, prove who they are, and hold a connection over which the console asks.
//!
//! A server dials out, so a site needs no open port. After the upgrade the roles turn around: the console is the HTTP/2 client.

use super::client::Tunnelled;
use crate::{
    api::{Body, Peer},
    core::{Core, Shared},
    problem::Problem,
};
use axum::{
    Json, Router,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use playhead_db::console::{JoinOutcome, Joining, Server};
use playhead_model::ServerId;
use playhead_protocol::{
    CHALLENGE_PATH, TUNNEL_CONNECT_PATH, TUNNEL_JOIN_PATH, TUNNEL_UPGRADE,
    join::{Join, Joined},
    login::{Challenge, Proof},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{MissedTickBehavior, interval, timeout};
use uuid::Uuid;

/// What a server's login is for.
const PURPOSE: &str = "tunnel";
/// A connection on which nothing comes is asked for a sign of life, and given up when none comes.
const PING_AFTER: Duration = Duration::from_secs(10);
const PING_WAIT: Duration = Duration::from_secs(10);
/// How often the database is told that a server is still there.
const NOTE_EVERY: Duration = Duration::from_secs(60);
const UPGRADE_WAIT: Duration = Duration::from_secs(15);
/// What one answer may send ahead of its reader. A slow reader holds up no other: the connection as a whole may hold this
/// for each of its streams.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 256 << 20;

/// The routes on which recording servers come in.
pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route(CHALLENGE_PATH, post(challenge))
        .route(TUNNEL_JOIN_PATH, post(join))
        .route(TUNNEL_CONNECT_PATH, get(connect))
}

async fn challenge(State(core): State<Shared>) -> Result<Json<Challenge>, Problem> {
    let challenge = core.challenges.issue(core.seconds()).map_err(|error| Problem::from_error(&error))?;
    Ok(Json(Challenge { challenge }))
}

async fn join(
    State(core): State<Shared>,
    Peer(address): Peer,
    Body(join): Body<Join>,
) -> Result<Json<Joined>, Problem> {
    let now = core.clock.now();
    // One name for all tokens: a secret cannot be guessed by trying many names.
    const LIMIT: &str = "join token";
    core.limiter.attempt(LIMIT, address, now).map_err(|wait| {
        Problem::too_many(
            format!("Too many wrong join tokens from this address. Try again in {wait} s."),
            wait,
        )
    })?;
    check_text("the server's name", &join.name, 200)?;
    check_text("the server's version", &join.version, 100)?;
    let key = URL_SAFE_NO_PAD.decode(&join.public_key).ok().filter(|key| key.len() == 32);
    if key.is_none() {
        return Err(Problem::bad_request("The public key must be 32 bytes in unpadded URL-safe base64."));
    }
    let joining = Joining {
        secret_hash: blake3::hash(join.secret.as_bytes()).to_hex().to_string(),
        server: ServerId::from(Uuid::now_v7()),
        name: join.name,
        public_key: join.public_key,
        version: join.version,
        database: join.site,
    };
    let refused = match core.store.join(&joining, now).await? {
        JoinOutcome::Joined { server, site } => {
            core.limiter.succeeded(LIMIT, address);
            tracing::info!(%server, %site, name = joining.name, %address, "recording server joined");
            return Ok(Json(Joined { server, console_key: core.sites.public_key() }));
        }
        JoinOutcome::UnknownToken => {
            tracing::warn!(%address, "recording server refused: unknown join token");
            return Err(Problem::unknown_program(
                "This join token is not known here. Make one with 'Connect a server' on the console's Sites page, \
                 or with 'playhead token --kind server'.",
            ));
        }
        JoinOutcome::ExpiredToken { at } => format!("This join token expired at {at}. Make a new one."),
        JoinOutcome::UsedUpToken => "This join token was used as often as it may be. Make a new one.".into(),
        JoinOutcome::OtherSite { name } => format!(
            "This join token is for site “{name}”, of which the servers use another database. Give this server that \
             database, or make a token without a site."
        ),
        JoinOutcome::AlreadyAt { name } => format!(
            "This server's database belongs to site “{name}”, not to the one that the join token is for. Make a token \
             for “{name}”, or one without a site."
        ),
    };
    tracing::warn!(%address, refused, "recording server refused");
    Err(Problem::conflict(refused))
}

fn check_text(what: &str, text: &str, most: usize) -> Result<(), Problem> {
    let characters = text.chars().count();
    if text.trim().is_empty() || characters > most || text.chars().any(char::is_control) {
        return Err(Problem::bad_request(format!(
            "Expected {what} to be 1 to {most} characters without control characters, got {characters}."
        )));
    }
    Ok(())
}

async fn connect(
    State(core): State<Shared>,
    Peer(address): Peer,
    mut request: Request,
) -> Result<Response, Problem> {
    let server = proven(&core, request.headers()).await.inspect_err(|problem| {
        tracing::warn!(%address, error = problem.detail(), "recording server refused");
    })?;
    let named = request.headers().get(header::UPGRADE).and_then(|value| value.to_str().ok());
    if !named.is_some_and(|named| named.eq_ignore_ascii_case(TUNNEL_UPGRADE)) {
        return Err(Problem::bad_request(format!(
            "Expected an upgrade to {TUNNEL_UPGRADE}, got '{}'. Is there a proxy in between that drops upgrades, or does the \
             server have another version?",
            named.unwrap_or("none")
        )));
    }
    let upgrade = hyper::upgrade::on(&mut request);
    let serving = Arc::clone(&core);
    core.tasks.spawn(async move { upgraded(&serving, &server, upgrade).await });
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static(TUNNEL_UPGRADE)),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

/// The server that the request's proof names, when the proof holds.
async fn proven(core: &Core, headers: &HeaderMap) -> Result<Server, Problem> {
    let unknown = || {
        Problem::unknown_program(
            "This console does not know the server, or its key is another one. Join it again with a new join token.",
        )
    };
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let proof: Proof = authorization
        .unwrap_or("")
        .parse()
        .map_err(|error| Problem::unknown_program(format!("Cannot tell who connects: {error}.")))?;
    let id: ServerId = proof.id.parse().map_err(|_| unknown())?;
    let server = core.store.server(id).await?.ok_or_else(unknown)?;
    if core.challenges.check(&proof, PURPOSE, &server.public_key, core.seconds()) {
        Ok(server)
    } else {
        Err(unknown())
    }
}

async fn upgraded(core: &Core, server: &Server, upgrade: OnUpgrade) {
    let stream = match timeout(UPGRADE_WAIT, upgrade).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::warn!(server = %server.id, %error, "a tunnel did not come about"),
        Err(_) => return tracing::warn!(server = %server.id, "a tunnel did not come about in time"),
    };
    if let Err(error) = serve(core, server, stream).await {
        tracing::warn!(server = %server.id, error = error.detail(), "cannot note a recording server's state");
    }
}

/// Holds the tunnel until its connection ends or the console stops.
async fn serve(core: &Core, server: &Server, stream: Upgraded) -> Result<(), Problem> {
    let handshake = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_WAIT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake(stream);
    let (sender, connection) = match handshake.await {
        Ok(made) => made,
        Err(error) => {
            tracing::warn!(server = %server.id, %error, "a tunnel's connection broke at its start");
            return Ok(());
        }
    };
    let mut connection = std::pin::pin!(connection);
    core.store.server_connected(server.id, core.clock.now()).await?;
    let link = core.sites.attach(server.site, server.id, Arc::new(Tunnelled(sender)));
    tracing::info!(server = %server.id, site = %server.site, name = server.name, "recording server connected");
    let mut note = interval(NOTE_EVERY);
    note.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ended = loop {
        tokio::select! {
            ended = &mut connection => break ended,
            () = core.stop.cancelled() => break Ok(()),
            _ = note.tick() => {
                if let Err(error) = core.store.server_seen(server.id, core.clock.now()).await {
                    tracing::warn!(server = %server.id, %error, "cannot note that a recording server is there");
                }
            }
        }
    };
    let last = core.sites.detach(server.site, link);
    match ended {
        Ok(()) => tracing::info!(server = %server.id, "recording server disconnected"),
        Err(error) => tracing::warn!(server = %server.id, %error, "recording server lost"),
    }
    if last {
        core.store.server_disconnected(server.id, core.clock.now()).await?;
    }
    Ok(())
}
