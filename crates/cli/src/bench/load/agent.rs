//! A light agent: one connection that sends the fragments of one session as a real agent does, and keeps account of the answers.

use super::{
    figures::Times,
    piece::{Piece, Place, particulars},
    script::Script,
};
use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use playhead_format::{Channel, Flags, FragmentBuilder, FragmentHead, Hash, MetaMessage, genesis};
use playhead_model::{EndReason, RecordingId, RecordingInfo};
use playhead_net::{Endpoint, NodeKey, Upgraded};
use playhead_protocol::{
    AGENT_CONNECT_PATH, AGENT_ENROL_PATH, AGENT_UPGRADE, VERSION,
    frame::{self, MAX_FRAME},
    join::{Enrol, Enrolled},
    message::{self, FromAgent, FromServer, Heartbeat, Hello, Open, Opened, from_server::Kind},
};
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::{OnceCell, Semaphore},
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// A word at least this often.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Bytes that may be under way without an answer, as with real agents.
const WINDOW: usize = 8 << 20;
/// How long answers that are still to come are waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What all agents share.
pub(super) struct Shared {
    pub(super) endpoint: Endpoint,
    pub(super) secret: String,
    pub(super) hosts: Vec<Host>,
    pub(super) scripts: Vec<Script>,
    /// As fast as the window lets them, and not when fragments are due.
    pub(super) flat_out: bool,
    pub(super) counts: Counts,
    /// Whether figures are taken.
    pub(super) measuring: AtomicBool,
    /// Cancelled when sessions are to end.
    pub(super) ending: CancellationToken,
    /// Places for those who connect.
    pub(super) connecting: Semaphore,
}

/// Somebody who may connect.
pub(super) struct Host {
    pub(super) key: NodeKey,
    pub(super) id: OnceCell<String>,
}

/// What happened so far.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) open: AtomicU64,
    pub(super) fragments_sent: AtomicU64,
    pub(super) bytes_sent: AtomicU64,
    pub(super) fragments_acked: AtomicU64,
    pub(super) bytes_acked: AtomicU64,
    /// The same, only while figures are taken.
    pub(super) measured_fragments: AtomicU64,
    pub(super) measured_bytes: AtomicU64,
    pub(super) measured_uncompressed: AtomicU64,
    pub(super) acknowledged: Times,
    /// How much later than due a fragment went out: the generator's own delay.
    pub(super) late: Times,
    pub(super) opened: Times,
    /// Connections that broke.
    pub(super) breaks: AtomicU64,
    pub(super) refused: AtomicU64,
    /// Fragments that were acknowledged and that the server has not.
    pub(super) lost: AtomicU64,
    /// Recordings whose last fragment at the server is another than the one acknowledged.
    pub(super) differ: AtomicU64,
    /// Recordings that the server was asked about at the end and had as they were acknowledged.
    pub(super) checked: AtomicU64,
    pub(super) finished: AtomicU64,
    /// Sessions that could not be ended.
    pub(super) given_up: AtomicU64,
}

fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

struct Flight {
    seq: u64,
    hash: Hash,
    bytes: usize,
    uncompressed: usize,
    sent: Instant,
    /// Whether its answer counts.
    measured: bool,
}

/// One recording on its way.
struct Recording {
    info: RecordingInfo,
    began: Instant,
    began_us: u64,
    /// The next fragment to send.
    next: u64,
    /// Of the last that was sent.
    head: Hash,
    last: Option<FragmentHead>,
    acked: u64,
    acked_hash: Hash,
    flights: VecDeque<Flight>,
    in_flight: usize,
    ended: bool,
}

/// One session.
pub(super) struct Session {
    shared: Arc<Shared>,
    number: usize,
    recording: Recording,
    /// What the server has was compared.
    checked: bool,
    /// The last fragment was sent.
    ending: bool,
}

impl Recording {
    fn new(number: usize) -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
        let id = RecordingId::from(uuid::Uuid::now_v7());
        Ok(Self {
            info: particulars(id, number, i64::try_from(now)?),
            began: Instant::now(),
            began_us: u64::try_from(now)?,
            next: 0,
            head: genesis(id),
            last: None,
            acked: 0,
            acked_hash: genesis(id),
            flights: VecDeque::new(),
            in_flight: 0,
            ended: false,
        })
    }

    /// The server says where it stands.
    fn opened(&mut self, opened: &Opened, counts: &Counts) -> Result<()> {
        let theirs = match opened.next_seq {
            0 => genesis(self.info.id),
            _ if opened.head_hash.is_empty() => self.acked_hash,
            _ => Hash::from_bytes(opened.head_hash[..].try_into().context("expected a hash of 32 bytes")?),
        };
        if opened.next_seq < self.acked {
            count(&counts.lost, self.acked - opened.next_seq);
        }
        let before = self.flights.iter().find(|flight| flight.seq + 1 == opened.next_seq);
        let ours = before.map_or(self.acked_hash, |flight| flight.hash);
        if opened.next_seq >= self.acked && ours != theirs {
            count(&counts.differ, 1);
        }
        let arrived = self.flights.iter().take_while(|flight| flight.seq < opened.next_seq);
        let (fragments, bytes) = arrived.fold((0, 0), |sum, flight| (sum.0 + 1, sum.1 + flight.bytes as u64));
        count(&counts.fragments_acked, fragments);
        count(&counts.bytes_acked, bytes);
        self.flights.clear();
        (self.in_flight, self.next, self.head) = (0, opened.next_seq, theirs);
        (self.acked, self.acked_hash) = (opened.next_seq, theirs);
        if opened.next_seq == 0 {
            // Nothing arrived, so there is nothing that an end could follow.
            self.last = None;
        }
        self.ended |= opened.finished;
        Ok(())
    }

    fn durable(&mut self, next_seq: u64, counts: &Counts) {
        while let Some(flight) = self.flights.pop_front_if(|flight| flight.seq < next_seq) {
            (self.acked, self.acked_hash) = (flight.seq + 1, flight.hash);
            self.in_flight -= flight.bytes;
            count(&counts.fragments_acked, 1);
            count(&counts.bytes_acked, flight.bytes as u64);
            if flight.measured {
                counts.acknowledged.add(flight.sent.elapsed());
                count(&counts.measured_fragments, 1);
                count(&counts.measured_bytes, flight.bytes as u64);
                count(&counts.measured_uncompressed, flight.uncompressed as u64);
            }
        }
    }

    fn piece<'a>(&self, script: &'a Script) -> Option<&'a Piece> {
        script.pieces.get(usize::try_from(self.next).ok()?)
    }
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, number: usize) -> Result<Self> {
        Ok(Self { shared, number, recording: Recording::new(number)?, checked: false, ending: false })
    }

    /// Sends until told to end, connecting again when the connection breaks; then asks the server what it has, and ends the recording.
    pub(super) async fn run(mut self) {
        let mut is_first = true;
        let ending = self.shared.ending.clone();
        let mut end: Option<Instant> = None;
        loop {
            let shared = Arc::clone(&self.shared);
            let counts = &shared.counts;
            let done = if ending.is_cancelled() { self.end().await } else { self.send(&mut is_first).await };
            match done {
                Ok(()) if ending.is_cancelled() && self.recording.ended => return,
                Ok(()) => continue,
                Err(error) => {
                    count(&counts.breaks, 1);
                    tracing::debug!(session = self.number, error = format!("{error:#}"), "connection ended");
                }
            }
            if ending.is_cancelled() && *end.get_or_insert_with(|| Instant::now() + PATIENCE) < Instant::now()
            {
                tracing::warn!(session = self.number, "a session could not be ended");
                return count(&counts.given_up, 1);
            }
            // Not all at once.
            let pause = Duration::from_millis(200 + self.number as u64 % 800);
            tokio::time::sleep(pause).await;
        }
    }

    async fn connect(&mut self) -> Result<Link> {
        // Never closed.
        let _place = self.shared.connecting.acquire().await;
        let began = Instant::now();
        let host = &self.shared.hosts[self.number % self.shared.hosts.len()];
        let id = host.id.get_or_try_init(|| enrol(&self.shared, host, &self.recording.info.host)).await?;
        let connection = self.shared.endpoint.connect().await?;
        let stream = connection.log_in(AGENT_CONNECT_PATH, AGENT_UPGRADE, "agent", id, &host.key).await?;
        let mut link =
            Link { stream, received: BytesMut::new(), sent: BytesMut::new(), said_at: Instant::now() };
        let hello = Hello {
            protocol: VERSION,
            version: env!("CARGO_PKG_VERSION").into(),
            host: self.recording.info.host.clone(),
            system: "load".into(),
        };
        link.write(&hello.into()).await?;
        let opened = link.open(&self.recording.info).await?;
        self.recording.opened(&opened, &self.shared.counts)?;
        self.shared.counts.opened.add(began.elapsed());
        Ok(link)
    }

    /// Sends what is due until it is to end.
    async fn send(&mut self, is_first: &mut bool) -> Result<()> {
        let mut link = self.connect().await?;
        let shared = Arc::clone(&self.shared);
        let script = &shared.scripts[self.number % shared.scripts.len()];
        if std::mem::take(is_first) {
            count(&shared.counts.open, 1);
            self.recording.began = Instant::now();
        }
        let ending = shared.ending.clone();
        loop {
            let piece = self.recording.piece(script);
            let bytes = piece.map_or(0, Piece::bytes);
            let has_room = self.recording.in_flight == 0 || self.recording.in_flight + bytes <= WINDOW;
            let end_us = piece.map_or(script.seconds * 1_000_000, |piece| piece.head().end_us);
            let due = match shared.flat_out {
                true => Instant::now(),
                false => self.recording.began + Duration::from_micros(end_us),
            };
            let heartbeat = link.said_at + HEARTBEAT;
            tokio::select! {
                biased;
                () = ending.cancelled() => return self.settle(&mut link).await,
                message = link.read() => self.hear(message?)?,
                () = sleep_until(due), if has_room => {
                    let Some(piece) = piece else {
                        self.again(&mut link).await?;
                        continue;
                    };
                    if !shared.flat_out {
                        shared.counts.late.add(due.elapsed());
                    }
                    let began_us = self.recording.began_us;
                    let place = Place { info: &self.recording.info, previous: self.recording.head, began_us };
                    let (head, record, hash) = piece.place(&place)?;
                    self.put(&mut link, head, record.into(), hash, piece.uncompressed()).await?;
                }
                () = sleep_until(heartbeat) => link.write(&Heartbeat {}.into()).await?,
            }
        }
    }

    /// The script is over: ends the recording and begins another.
    async fn again(&mut self, link: &mut Link) -> Result<()> {
        self.last(link).await?;
        self.recording = Recording::new(self.number)?;
        let opened = link.open(&self.recording.info).await?;
        self.recording.opened(&opened, &self.shared.counts)
    }

    async fn put(
        &mut self,
        link: &mut Link,
        head: FragmentHead,
        record: Bytes,
        hash: Hash,
        uncompressed: usize,
    ) -> Result<()> {
        let (recording, seq, bytes) =
            (Bytes::copy_from_slice(self.recording.info.id.as_bytes()), head.seq, record.len());
        let measured = self.shared.measuring.load(Ordering::Relaxed);
        let flight = Flight { seq, hash, bytes, uncompressed, sent: Instant::now(), measured };
        self.recording.flights.push_back(flight);
        self.recording.in_flight += bytes;
        (self.recording.next, self.recording.head, self.recording.last) = (seq + 1, hash, Some(head));
        count(&self.shared.counts.fragments_sent, 1);
        count(&self.shared.counts.bytes_sent, bytes as u64);
        link.write(&message::Fragment { recording, seq, record }.into()).await
    }

    fn hear(&mut self, kind: Option<Kind>) -> Result<()> {
        match kind {
            Some(Kind::Durable(durable)) => self.recording.durable(durable.next_seq, &self.shared.counts),
            Some(Kind::Refused(refused)) => {
                count(&self.shared.counts.refused, 1);
                bail!("the server refused: {}", refused.text);
            }
            _ => {}
        }
        Ok(())
    }

    /// Waits until everything sent is acknowledged.
    async fn settle(&mut self, link: &mut Link) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while !self.recording.flights.is_empty() {
            let message = timeout_at(end, link.read()).await.context("no answer from the server")?;
            self.hear(message?)?;
        }
        Ok(())
    }

    /// Asks on a new connection what the server has, and ends the recording.
    async fn end(&mut self) -> Result<()> {
        let (lost, differ) = (&self.shared.counts.lost, &self.shared.counts.differ);
        let before = (lost.load(Ordering::Relaxed), differ.load(Ordering::Relaxed));
        let mut link = self.connect().await?;
        let (lost, differ) = (&self.shared.counts.lost, &self.shared.counts.differ);
        if before == (lost.load(Ordering::Relaxed), differ.load(Ordering::Relaxed)) {
            // Once, however often the connection breaks before the end has arrived.
            count(&self.shared.counts.checked, u64::from(!std::mem::replace(&mut self.checked, true)));
        }
        if !self.recording.ended {
            self.last(&mut link).await?;
        } else if self.ending {
            // It had arrived when the connection broke.
            count(&self.shared.counts.finished, 1);
        }
        self.recording.ended = true;
        Ok(())
    }

    /// Sends the recording's last fragment and waits for the answer.
    async fn last(&mut self, link: &mut Link) -> Result<()> {
        self.settle(link).await?;
        if let Some(before) = self.recording.last {
            let mut builder = FragmentBuilder::new();
            let reason = EndReason::SessionEnded;
            let end = MetaMessage::End { at_us: before.end_us, reason };
            let wall_us = before.wall_us + (before.end_us - before.start_us);
            builder.push(Channel::Meta, before.end_us, wall_us, &end.encode())?;
            let head = FragmentHead {
                flags: Flags { last: true, ..Flags::default() },
                seq: self.recording.next,
                start_us: before.end_us,
                activity: 0,
                events: 0,
                previous: self.recording.head,
                wall_us,
                ..before
            };
            let made = builder.finish(head, 1)?;
            self.ending = true;
            self.put(link, made.head, made.bytes.into(), made.hash, 0).await?;
            self.settle(link).await?;
            count(&self.shared.counts.finished, 1);
        }
        self.recording.ended = true;
        Ok(())
    }
}

/// Joins the site.
async fn enrol(shared: &Shared, host: &Host, name: &str) -> Result<String> {
    let enrol = Enrol {
        secret: shared.secret.clone(),
        host: name.into(),
        public_key: host.key.public(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    let mut connection = shared.endpoint.connect().await?;
    let Enrolled { agent, .. } = connection.post(AGENT_ENROL_PATH, &enrol).await?;
    Ok(agent.to_string())
}

struct Link {
    stream: Upgraded,
    received: BytesMut,
    sent: BytesMut,
    said_at: Instant,
}

impl Link {
    async fn open(&mut self, info: &RecordingInfo) -> Result<Opened> {
        let recording = Bytes::copy_from_slice(info.id.as_bytes());
        let open = Open { recording: recording.clone(), info: serde_json::to_string(info)? };
        self.write(&open.into()).await?;
        let end = Instant::now() + PATIENCE;
        loop {
            match timeout_at(end, self.read()).await.context("no answer from the server")?? {
                Some(Kind::Opened(opened)) if opened.recording == recording => return Ok(opened),
                Some(Kind::Refused(refused)) => bail!("the server refused the recording: {}", refused.text),
                _ => {}
            }
        }
    }

    async fn write(&mut self, message: &FromAgent) -> Result<()> {
        self.sent.clear();
        message.write(&mut self.sent)?;
        self.stream.write_all(&self.sent).await?;
        self.stream.flush().await?;
        self.said_at = Instant::now();
        // An anchor must not leave its room with every session.
        if self.sent.capacity() > 256 << 10 {
            self.sent = BytesMut::new();
        }
        Ok(())
    }

    /// The next message. May be dropped while it waits: nothing is lost.
    async fn read(&mut self) -> Result<Option<Kind>> {
        loop {
            if let Some(bytes) = frame::take(&mut self.received, MAX_FRAME)? {
                return Ok(FromServer::read(bytes)?.kind);
            }
            self.received.reserve(512);
            let read = self.stream.read_buf(&mut self.received).await?;
            ensure!(read > 0, "the server closed the connection");
        }
    }
}
