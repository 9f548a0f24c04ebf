//! Handing a recording over between two servers that live. The one that takes asks for it, reads what is in no stored segment yet, writes
//! it into its own journal, and then the recording changes hands in the database, where the one that gives may still withdraw its offer.

use super::peers::{self, Peer, PeerError};
use crate::{
    api::Problem,
    core::Shared,
    journal::{Append, Closed},
    recordings::{Live, Session, lock},
    start::declared_in,
};
use axum::{
    Extension, Json,
    body::Body,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::{Method, Request, header};
use playhead_db::{
    DbError,
    site::{Owner, RecordingRow, ServerRow, ServerState},
};
use playhead_format::{FormatError, FragmentHead, HEAD_LEN, Hash, MAX_RECORD};
use playhead_model::{RecordingId, RecordingState};
use playhead_protocol::message::Elsewhere;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::Notify, time::timeout};

/// How long a whole hand-over may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// After this long without word the giving server withdraws its offer.
const OFFER: Duration = Duration::from_secs(40);
const AGAIN: Duration = Duration::from_secs(1);
/// Bytes read of the journal at a time.
const PIECE: u64 = 1 << 20;
/// Most bytes of a record in the journal: the largest of an agent's, and what encryption adds.
const MOST_RECORD: usize = MAX_RECORD + (1 << 20);
/// Header with the number of the offer.
const OFFER_HEADER: &str = "playhead-offer";
/// Header with the epoch of the one that gives.
const EPOCH_HEADER: &str = "playhead-epoch";
/// Header with the number after the last fragment.
const NEXT_HEADER: &str = "playhead-next";

/// Why a recording was not taken.
#[derive(Debug, thiserror::Error)]
enum TakeError {
    #[error("{0}")]
    Db(#[from] DbError),
    #[error("{0}")]
    Peer(#[from] PeerError),
    #[error("{0}")]
    Journal(#[from] Closed),
    #[error("what the other server sends is no fragment: {0}")]
    Format(#[from] FormatError),
    #[error("the other server's answer broke off: {0}")]
    Body(#[from] axum::Error),
    #[error("the other server's answer lacks the header {0}")]
    Header(&'static str),
    #[error("what the other server sends makes no sense: {0}")]
    Content(String),
    #[error("expected fragment {expected}, the other server sent {actual}")]
    Order { expected: u64, actual: u64 },
    #[error("it is on its way here already")]
    UnderWay,
    #[error("it did not become durable here in time")]
    Late,
    #[error("the other server has kept it")]
    Kept,
}

/// Gets a live recording that another server holds.
///
/// # Errors
/// Why it has to stay there for now, for people.
pub(crate) async fn obtain(core: &Shared, row: &RecordingRow) -> Result<Arc<Live>, String> {
    let cluster = &core.cluster;
    let held = format!("the recording is held by server {}", row.server);
    if !cluster.has_peers {
        return Err(format!("{held}: connect to that one"));
    }
    let id = row.info.id;
    if !lock(&cluster.taking).insert(id) {
        return Err(format!("{held} and on its way to this one"));
    }
    // A task of its own: once the recording may have changed hands, it must come to its end whoever still waits for it.
    let (shared, row) = (Arc::clone(core), row.clone());
    let taking = core.tasks.spawn(async move {
        // The semaphore is never closed.
        let _place = shared.cluster.places.acquire().await;
        let taken = find_and_take(&shared, id, &row).await;
        lock(&shared.cluster.taking).remove(&id);
        taken
    });
    match timeout(PATIENCE, taking).await {
        Ok(Ok(Ok(live))) => Ok(live),
        Ok(Ok(Err(error))) => Err(format!("{held} and cannot be taken from there now: {error}")),
        Ok(Err(_)) | Err(_) => Err(format!("{held} and could not be taken from there in time")),
    }
}

/// Gives recordings from one server to this one, and finds out which of them it has then, whatever becomes of the connection to the
/// database meanwhile.
///
/// # Errors
/// One of the two is not what it was, and nothing has changed hands; the server stops.
pub(super) async fn surely(
    core: &Shared,
    recordings: &[RecordingId],
    (from, to): (Owner, Owner),
    offer: Option<u32>,
) -> Result<HashSet<RecordingId>, DbError> {
    let store = &core.cluster.store;
    let mut doubt = false;
    loop {
        let moved = store.transfer(recordings, from, to, offer).await;
        match moved {
            Ok(moved) if !doubt => return Ok(moved.into_iter().collect()),
            Err(DbError::Fenced) if !doubt => return Err(DbError::Fenced),
            Ok(_) | Err(DbError::Fenced) => {
                // A try before this one may have taken effect.
                if let Ok(have) = having(core, recordings, to).await {
                    return Ok(have);
                }
            }
            Err(error) => {
                doubt = true;
                tracing::warn!(%error, "cannot find out whether recordings have changed hands; trying again");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = core.cluster.give_up.cancelled() => return Err(DbError::Fenced),
        }
    }
}

/// Which of the recordings are this server's.
async fn having(
    core: &Shared,
    recordings: &[RecordingId],
    to: Owner,
) -> Result<HashSet<RecordingId>, DbError> {
    let mut have = HashSet::new();
    if core.cluster.owner() != to {
        return Ok(have);
    }
    for &id in recordings {
        if core.cluster.store.recording(id).await?.is_some_and(|row| row.server == to.server) {
            have.insert(id);
        }
    }
    Ok(have)
}

async fn find_and_take(core: &Shared, id: RecordingId, row: &RecordingRow) -> Result<Arc<Live>, TakeError> {
    let cluster = &core.cluster;
    // Another opening may have brought it here meanwhile.
    let now = cluster.store.recording(id).await?;
    let owner = now.map_or(row.server, |row| row.server);
    if let Some(live) = core.recordings.get(id).filter(|_| owner == cluster.server.id) {
        return Ok(live);
    }
    let from = cluster.row_of(owner).await?;
    let alive = |row: &Arc<ServerRow>| matches!(row.state, ServerState::Running | ServerState::Draining);
    let Some(from) = from.filter(|row| alive(row) && !row.server.url.is_empty()) else {
        return Err(PeerError::Away.into());
    };
    let began = Instant::now();
    let taken = take(core, id, &from).await;
    // Whatever has come of it, the other one need not wait any longer to find out.
    let (shared, giver) = (Arc::clone(core), Arc::clone(&from));
    core.tasks.spawn(async move {
        let request = peers::post(format!("/peer/v1/recordings/{id}/settled"), Body::empty());
        if let Err(error) = shared.cluster.links.send(&shared.cluster, &giver, request).await {
            tracing::debug!(%error, "could not tell the giving server; it finds out by itself");
        }
    });
    let live = taken?;
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(recording = %id, from = from.server.name, took_ms, next_seq = live.last().0, "recording taken from another server");
    Ok(live)
}

async fn take(core: &Shared, id: RecordingId, from: &ServerRow) -> Result<Arc<Live>, TakeError> {
    let cluster = &core.cluster;
    let to = cluster.owner();
    let request = peers::post(format!("/peer/v1/recordings/{id}/hand-over"), Body::empty());
    let (parts, body) = cluster.links.send(cluster, from, request).await?.into_parts();
    let number = |name: &'static str| {
        let value = parts.headers.get(name).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        value.ok_or(TakeError::Header(name))
    };
    let (epoch, offer, expected) = (number(EPOCH_HEADER)?, number(OFFER_HEADER)?, number(NEXT_HEADER)?);
    // In this order: whatever has left the other one's journal before it answered is among the segments.
    let row = cluster.store.recording(id).await?.ok_or(TakeError::Kept)?;
    let segments = cluster.store.segments(id).await?;
    let incoming = core.recordings.begin_incoming(Live::new(&row, &segments)).ok_or(TakeError::UnderWay)?;
    let live = Arc::clone(&incoming.live);
    let session = Session::unheard(id);
    let mut next = live.chain().next_seq();
    let mut buffer = BytesMut::new();
    let mut body = body.into_data_stream();
    while let Some(piece) = body.next().await {
        buffer.extend_from_slice(&piece?);
        while let Some((head, hash, record)) = take_entry(&mut buffer)? {
            if head.seq < next {
                continue;
            }
            if head.seq != next || head.recording != id {
                return Err(TakeError::Order { expected: next, actual: head.seq });
            }
            let (gaps, end) = if head.flags.gap_before || head.flags.last {
                declared_in(&record).map_err(TakeError::Content)?
            } else {
                (Vec::new(), None)
            };
            let permit = core.journal.room(record.len()).await?;
            let (live, session) = (Arc::clone(&live), Arc::clone(&session));
            let received = Instant::now();
            let append = Append { live, session, record, head, hash, gaps, end, permit, received };
            core.journal.append(append).await?;
            next += 1;
        }
    }
    if next < expected {
        return Err(TakeError::Order { expected, actual: next });
    }
    core.journal.barrier().await?;
    if live.chain().next_seq() < next {
        return Err(TakeError::Late);
    }
    settled(&live, PATIENCE).await.map_err(|()| TakeError::Late)?;
    let giver = Owner { server: from.server.id, epoch };
    let offer = u32::try_from(offer).map_err(|_| TakeError::Header(OFFER_HEADER))?;
    if surely(core, &[id], (giver, to), Some(offer)).await?.is_empty() {
        return Err(TakeError::Kept);
    }
    // A segment may have been stored there at the last moment; from now on that cannot happen any more. Should the database be away just
    // now, it is stored once more.
    for segment in cluster.store.segments(id).await.unwrap_or_default().iter().skip(segments.len()) {
        live.sealed(segment);
    }
    core.recordings.arrived(&incoming);
    core.recordings.want_seal(id);
    core.recordings.progress.notify_one();
    Ok(live)
}

/// An entry between two servers: length of the record, the fragment's hash and head, the record as it stands in the journal.
fn put_entry(out: &mut BytesMut, head: &FragmentHead, hash: Hash, record: &[u8]) {
    // A record of the journal is far shorter than that.
    out.put_u32_le(u32::try_from(record.len()).unwrap_or(u32::MAX));
    out.put_slice(hash.as_bytes());
    out.put_slice(&head.encode());
    out.put_slice(record);
}

/// Takes the next entry off the front, once it is whole.
fn take_entry(buffer: &mut BytesMut) -> Result<Option<(FragmentHead, Hash, Bytes)>, TakeError> {
    const BEFORE: usize = 4 + 32 + HEAD_LEN;
    let Some(length) = buffer.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if length > MOST_RECORD {
        return Err(TakeError::Content(format!(
            "expected a record of at most {MOST_RECORD} bytes, got {length}"
        )));
    }
    let Some((before, _)) = buffer.split_first_chunk::<BEFORE>().filter(|(_, rest)| rest.len() >= length)
    else {
        buffer.reserve(BEFORE + length - buffer.len().min(BEFORE + length));
        return Ok(None);
    };
    let mut hash = [0; 32];
    hash.copy_from_slice(&before[4..36]);
    let head = FragmentHead::parse(&before[36..])?;
    buffer.advance(BEFORE);
    Ok(Some((head, Hash::from_bytes(hash), buffer.split_to(length).freeze())))
}

/// Waits until everything that came is durable.
///
/// # Errors
/// It takes too long.
pub(crate) async fn settled(live: &Arc<Live>, patience: Duration) -> Result<(), ()> {
    let mut tip = live.follow();
    let wait = tip.wait_for(|tip| tip.durable >= tip.next_seq);
    match timeout(patience, wait).await {
        Ok(Ok(_)) => Ok(()),
        _ => Err(()),
    }
}

/// Gives a recording to the server that asks for it.
pub(super) async fn hand_over(
    State(core): State<Shared>,
    Extension(Peer(to)): Extension<Peer>,
    Path(id): Path<RecordingId>,
) -> Result<Response, Problem> {
    let cluster = &core.cluster;
    if !cluster.is_recalled() {
        return Err(Problem::not_ready("the server still reads back what belongs to the recording"));
    }
    let live = match core.recordings.get(id) {
        Some(live) => live,
        None => not_held(&core, id).await?,
    };
    let busy = || Problem::not_ready("the recording is set aside, or on its way to another server");
    let session = live.leave().ok_or_else(busy)?;
    if let Some(session) = session {
        session.outgoing.send(Elsewhere {});
        session.outgoing.close.cancel();
    }
    let owner = cluster.owner();
    let offered = async {
        // What had come in before is part of it.
        core.journal.barrier().await.map_err(Problem::internal)?;
        let mut number = [0; 4];
        getrandom::fill(&mut number).map_err(Problem::internal)?;
        let number = u32::from_le_bytes(number) | 1;
        Ok(cluster.store.offer(id, owner, number).await?.then_some(number))
    };
    let offer = match offered.await {
        Ok(Some(offer)) => offer,
        Ok(None) => {
            live.stay();
            return Err(busy());
        }
        Err(problem) => {
            live.stay();
            return Err(problem);
        }
    };
    tracing::info!(recording = %id, %to, "handing a recording over to another server");
    let taken = Arc::new(Notify::new());
    lock(&cluster.links.taken).insert(id, Arc::clone(&taken));
    core.tasks.spawn(see_through(Arc::clone(&core), Arc::clone(&live), owner, taken));
    let next = live.last().0;
    let state = (live, live_start(&core, id));
    let pieces = futures_util::stream::try_unfold(state, |(live, from)| async move {
        let Some(from) = from else { return Ok::<_, std::io::Error>(None) };
        let mut size = 0;
        let run = live.run_from(from, 4_096).into_iter();
        let run: Vec<_> = run
            .take_while(|(_, entry)| {
                let take = size == 0 || size + u64::from(entry.length) <= PIECE;
                size += u64::from(entry.length);
                take
            })
            .collect();
        let Some(last) = run.last().map(|(_, entry)| entry.seq) else { return Ok(None) };
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = BytesMut::new();
            for (file, entry) in run {
                let whole = file.read_entry(entry.offset, entry.length)?;
                let damaged =
                    || std::io::Error::new(std::io::ErrorKind::InvalidData, "damaged in the journal");
                let (head, hash, record) = whole.ok_or_else(damaged)?;
                put_entry(&mut bytes, &head, hash, &record);
            }
            Ok::<_, std::io::Error>(bytes.freeze())
        });
        let bytes = read.await.map_err(std::io::Error::other)??;
        Ok(Some((bytes, (live, Some(last + 1)))))
    });
    let mut response = Body::from_stream(pieces).into_response();
    for (name, value) in [(EPOCH_HEADER, owner.epoch), (OFFER_HEADER, offer.into()), (NEXT_HEADER, next)] {
        response.headers_mut().insert(name, value.into());
    }
    Ok(response)
}

/// A recording that is this server's and of which it has nothing in its journal: an opening was under way when it was lost for a while.
async fn not_held(core: &Shared, id: RecordingId) -> Result<Arc<Live>, Problem> {
    let missing = || Problem::not_found("this server does not hold that recording");
    let row = core.cluster.store.recording(id).await?.ok_or_else(missing)?;
    if row.server != core.cluster.server.id || row.state != RecordingState::Live {
        return Err(missing());
    }
    let segments = core.cluster.store.segments(id).await?;
    Ok(core.recordings.get_or_insert(id, || Live::new(&row, &segments)))
}

/// Where the journal's part of the recording begins.
fn live_start(core: &Shared, id: RecordingId) -> Option<u64> {
    core.recordings.get(id).and_then(|live| live.first_held())
}

/// Waits until the recording is taken, or the time is over; then it is gone, or stays for good.
async fn see_through(core: Shared, live: Arc<Live>, owner: Owner, taken: Arc<Notify>) {
    let id = live.id();
    tokio::select! {
        _ = timeout(OFFER, taken.notified()) => {}
        () = core.stop.cancelled() => {}
    }
    lock(&core.cluster.links.taken).remove(&id);
    let stays = loop {
        // Either this takes effect or the taking does; the database decides.
        match core.cluster.store.withdraw(id, owner).await {
            Ok(stays) => break stays,
            Err(DbError::Fenced) => break false,
            Err(error) => {
                tracing::warn!(recording = %id, %error, "cannot find out who has a recording now; trying again");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            // The next start finds out.
            () = core.cluster.give_up.cancelled() => return,
        }
    };
    if stays {
        live.stay();
        core.recordings.want_seal(id);
        return;
    }
    live.abandon();
    core.recordings.remove_this(&live);
    core.journal.tidy();
}

/// The other server has it, or does not take it.
pub(super) async fn decided(State(core): State<Shared>, Path(id): Path<RecordingId>) -> Json<Done> {
    if let Some(taken) = lock(&core.cluster.links.taken).get(&id) {
        taken.notify_one();
    }
    Json(Done {})
}

/// Recordings that a server which is about to stop wants taken.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    pub(super) recordings: Vec<RecordingId>,
}

#[derive(Serialize)]
pub(super) struct Done {}

/// Takes recordings whose agents are not here.
pub(super) async fn take_some(
    State(core): State<Shared>,
    Extension(Peer(from)): Extension<Peer>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<Done>, Problem> {
    for id in wanted.recordings {
        let row = core.store.recording(id).await?;
        let Some(row) = row.filter(|row| row.server == from && row.state != RecordingState::Quarantined)
        else {
            continue;
        };
        if let Err(error) = obtain(&core, &row).await {
            tracing::warn!(recording = %id, %from, error, "cannot take a recording from a server that stops");
        }
    }
    Ok(Json(Done {}))
}

/// Asks another server to take recordings.
pub(super) async fn ask_to_take(
    core: &Shared,
    peer: &ServerRow,
    recordings: Vec<RecordingId>,
) -> Result<(), PeerError> {
    // A list of ids always serialises.
    let body = serde_json::to_vec(&Wanted { recordings }).unwrap_or_default();
    let request = Request::builder()
        .method(Method::POST)
        .uri("http://peer/peer/v1/take")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body));
    let request = request.map_err(|error| PeerError::Answer(error.to_string()))?;
    core.cluster.links.send_within(&core.cluster, peer, request, PATIENCE).await.map(|_| ())
}
