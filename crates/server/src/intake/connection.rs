//! One agent's connection.

use crate::{
    VERSION, clock,
    cluster::{self, settled},
    core::Shared,
    journal::Append,
    keys::KeyError,
    recordings::{Live, Outgoing, Session, id_bytes, lock, refused},
    sessions::TooManySessions,
    start::declared,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::{Bytes, BytesMut};
use playhead_db::{
    DbError,
    site::{Agent, Opening, RecordingRow},
};
use playhead_format::{FormatError, OpenFragment, claimed_len, open_fragment};
use playhead_model::{RecordingId, RecordingInfo, RecordingState};
use playhead_protocol::{
    VERSION as PROTOCOL,
    frame::{self, FrameError, MAX_FRAME},
    intake::{Event, Intake, IntakeError, MAX_SMALL},
    message::{
        Elsewhere, Fragment, FromAgent, FromServer, Heartbeat, Hello, MessageError, Opened, Queue, Refusal,
        Welcome,
    },
};
use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    task::JoinError,
    time::timeout,
};

/// After this long without a word of ours we send a heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Most characters that are kept of a text in what an agent says of its queue.
const MOST_TEXT: usize = 1_000;
/// Bytes gathered before they are written out.
const WRITE: usize = 64 << 10;
/// A fragment that decompresses to no more than this is opened where it came in: within a millisecond.
const SMALL: u64 = 512 << 10;

/// How long an opening waits for what came before to be durable.
const SETTLE: Duration = Duration::from_secs(8);

/// Why a connection ended before the agent ended it.
#[derive(Debug, thiserror::Error)]
enum ConnectionError {
    #[error("nothing was heard for {0} s")]
    Silence(u64),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Message(#[from] MessageError),
    #[error("{0}")]
    Protocol(#[from] IntakeError),
    #[error("{0}")]
    Db(#[from] DbError),
    #[error("{0}")]
    Journal(#[from] crate::journal::Closed),
    #[error("{0}")]
    Sessions(#[from] TooManySessions),
    #[error("interrupted: {0}")]
    Interrupted(#[from] JoinError),
}

/// Serves an agent until it goes, breaks the protocol, falls silent, or the server stops.
pub(super) async fn serve<S>(core: Shared, agent: Agent, peer: SocketAddr, stream: S)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (reader, writer) = tokio::io::split(stream);
    let outgoing = Arc::new(Outgoing::default());
    let writing = tokio::spawn(write(writer, Arc::clone(&outgoing)));
    *lock(&core.connected).entry(agent.id).or_default() += 1;
    let id = agent.id;
    tracing::info!(agent = %id, host = agent.host, %peer, "agent connected");

    let mut connection = Connection {
        core: Arc::clone(&core),
        agent,
        intake: Intake::default(),
        greeted: None,
        open: HashMap::new(),
        outgoing: Arc::clone(&outgoing),
    };
    match connection.read(reader).await {
        Ok(()) => tracing::info!(agent = %id, %peer, "agent disconnected"),
        Err(error) => tracing::warn!(agent = %id, %peer, %error, "agent's connection closed"),
    }
    let now = clock::now();
    for (session, live) in connection.open.values() {
        live.release(session, now);
    }
    if let Some(number) = connection.greeted {
        core.agents.disconnect(id, number);
    }
    outgoing.close.cancel();
    let _ = writing.await;
    let mut connected = lock(&core.connected);
    if let Some(count) = connected.get_mut(&id) {
        *count -= 1;
        if *count == 0 {
            connected.remove(&id);
        }
    }
}

/// Sends what waits, and a heartbeat when nothing does.
async fn write(mut writer: impl AsyncWrite + Unpin, outgoing: Arc<Outgoing>) {
    let mut buffer = BytesMut::new();
    loop {
        let last = tokio::select! {
            () = outgoing.close.cancelled() => true,
            waited = timeout(HEARTBEAT, outgoing.changed.notified()) => {
                if waited.is_err() {
                    outgoing.send(Heartbeat {});
                }
                false
            }
        };
        for message in outgoing.take() {
            if let Err(error) = message.write(&mut buffer) {
                tracing::error!(%error, "an answer is too long to be sent");
            }
            if buffer.len() >= WRITE && writer.write_all_buf(&mut buffer).await.is_err() {
                return outgoing.close.cancel();
            }
        }
        let sent = async {
            writer.write_all_buf(&mut buffer).await?;
            writer.flush().await
        };
        // An agent that does not read must not keep this task for ever once the connection is to end.
        let sent = if last {
            timeout(Duration::from_secs(1), sent).await.unwrap_or(Ok(()))
        } else {
            tokio::select! {
                sent = sent => sent,
                () = outgoing.close.cancelled() => Ok(()),
            }
        };
        if last || sent.is_err() {
            outgoing.close.cancel();
            let _ = timeout(Duration::from_secs(1), writer.shutdown()).await;
            return;
        }
    }
}

struct Connection {
    core: Shared,
    agent: Agent,
    intake: Intake,
    /// Its number among the agents' connections, once the agent has greeted.
    greeted: Option<u64>,
    open: HashMap<RecordingId, (Arc<Session>, Arc<Live>)>,
    outgoing: Arc<Outgoing>,
}

impl Connection {
    async fn read(&mut self, mut reader: impl AsyncRead + Unpin) -> Result<(), ConnectionError> {
        let mut buffer = BytesMut::new();
        let (stop, close) = (self.core.stop.clone(), self.outgoing.close.clone());
        let drain = self.core.cluster.drain.clone();
        let silence = self.core.settings.silence;
        loop {
            let most = if self.greeted.is_some() { MAX_FRAME } else { MAX_SMALL };
            while let Some(frame) = frame::take(&mut buffer, most)? {
                let message = FromAgent::read(frame)?;
                tokio::select! {
                    biased;
                    handled = self.handle(message) => handled?,
                    // Waiting for room in the journal must not keep the server from stopping.
                    () = stop.cancelled() => return Ok(()),
                    () = drain.cancelled() => {
                        self.outgoing.send(Elsewhere {});
                        return Ok(());
                    }
                }
            }
            buffer.reserve(4 << 10);
            let read = tokio::select! {
                biased;
                // Before the other: one that is alone sends nobody elsewhere.
                () = stop.cancelled() => return Ok(()),
                () = drain.cancelled() => {
                    self.outgoing.send(Elsewhere {});
                    return Ok(());
                }
                read = timeout(silence, reader.read_buf(&mut buffer)) => read,
                () = close.cancelled() => return Ok(()),
            };
            match read {
                Err(_) => return Err(ConnectionError::Silence(silence.as_secs())),
                Ok(Ok(0)) => return Ok(()),
                // Without TLS's farewell: the agent was killed, or its machine went away. What it says is framed anyway.
                Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Ok(read) => read?,
            };
        }
    }

    async fn handle(&mut self, message: FromAgent) -> Result<(), ConnectionError> {
        match self.intake.receive(message)? {
            Event::Greeted(hello) => self.greet(hello).await?,
            Event::Open(info) => {
                let id = info.id;
                match self.open(*info).await {
                    // Other recordings of this agent go on.
                    Err(ConnectionError::Db(error)) => {
                        tracing::error!(recording = %id, %error, "a recording cannot be opened");
                        self.refuse(id, Refusal::Later, "the server's database does not answer");
                    }
                    opened => opened?,
                }
            }
            Event::Fragment(recording, fragment) => self.fragment(recording, fragment).await?,
            Event::OutOfOrder { recording, expected, actual } => {
                if let Some((session, _)) = self.open.get(&recording) {
                    self.core.metrics.refused(Refusal::Mismatch);
                    session.refuse(
                        Refusal::Mismatch,
                        format!(
                            "expected fragment {expected}, got fragment {actual}: open the recording again"
                        ),
                    );
                }
            }
            Event::Queue(queue) => self.queue(*queue),
            Event::Session(info) => self.core.agents.session(self.agent.id, *info)?,
            Event::Sessions(all) => self.core.agents.all_sessions(self.agent.id, all),
            Event::PolicyTaken(taken) => self.core.agents.policy_taken(self.agent.id, taken),
            Event::CommandDone(done) => self.core.agents.command_done(self.agent.id, done),
            Event::Stray(_) | Event::Nothing => {}
        }
        Ok(())
    }

    /// Keeps what an agent says of its queue for the list of session hosts.
    fn queue(&self, mut queue: Queue) {
        for text in [&mut queue.when_full, &mut queue.last_gap, &mut queue.error] {
            *text = text.chars().take(MOST_TEXT).collect();
        }
        lock(&self.core.queues).insert(self.agent.id, (queue, clock::now()));
    }

    async fn greet(&mut self, hello: Hello) -> Result<(), ConnectionError> {
        let Hello { host, version, system, .. } = hello;
        // That it is here is written down for all agents together.
        let news = (&host, &version, &system) != (&self.agent.host, &self.agent.version, &self.agent.system);
        if news
            && let Err(error) =
                self.core.store.agent_greeted(self.agent.id, &host, &version, &system, clock::now()).await
        {
            // Only for the list of session hosts; recordings can come all the same.
            tracing::warn!(agent = %self.agent.id, %error, "cannot write down what an agent says of itself");
        }
        // Whole seconds, and never 0.
        let certificate = self.core.certificates.for_agent(&self.agent, clock::now()).await;
        let certificate = certificate.unwrap_or_else(|error| {
            // The next connection gets one; what the agent signs counts by then.
            tracing::error!(agent = %self.agent.id, %error, "cannot issue a certificate to an agent");
            String::new()
        });
        let silence_seconds = u32::try_from(self.core.settings.silence.as_secs()).unwrap_or(u32::MAX).max(1);
        self.outgoing.send(Welcome {
            protocol: PROTOCOL,
            version: VERSION.into(),
            silence_seconds,
            certificate,
        });
        // First it can be told of changes, so that none is missed.
        self.greeted = Some(self.core.agents.connect(self.agent.id, &self.outgoing));
        self.outgoing.tell(self.core.policies.newest());
        Ok(())
    }

    async fn open(&mut self, info: RecordingInfo) -> Result<(), ConnectionError> {
        let id = info.id;
        if let Some(problem) = self.core.space.problem() {
            self.refuse(id, Refusal::Later, format!("the server takes nothing in: {problem}"));
            return Ok(());
        }
        if let Err(problem) = self.core.cluster.may_take() {
            self.refuse(id, Refusal::Later, problem);
            return Ok(());
        }
        let began = Instant::now();
        let opening =
            self.core.store.open_recording(self.agent.id, self.core.server, &info, clock::now()).await?;
        self.core.metrics.database("open", began.elapsed());
        let row = match opening {
            Opening::Opened(row) => row,
            Opening::NotYours => {
                tracing::warn!(agent = %self.agent.id, recording = %id, "an agent asked for another agent's recording");
                self.refuse(id, Refusal::NotYours, "the recording belongs to another agent");
                return Ok(());
            }
        };
        match row.state {
            RecordingState::Quarantined => {
                let problem = row.problem.unwrap_or_default();
                self.refuse(
                    id,
                    Refusal::Quarantined,
                    format!("the recording was set aside at the server: {problem}"),
                );
                return Ok(());
            }
            RecordingState::Live | RecordingState::Finished => {}
        }
        // Before anything of it comes: all of a recording is encrypted, or nothing.
        let key = match row.fragments {
            0 => self.core.keys.begin(id).await,
            _ => self.core.keys.held(id).await,
        };
        match key {
            // It is over, and its agent is told so.
            Ok(_) | Err(KeyError::Shredded) => {}
            Err(error) => {
                self.refuse(id, Refusal::Later, format!("the recording cannot be encrypted: {error}"));
                return Ok(());
            }
        }
        let live = if row.state == RecordingState::Live && row.server != self.core.server {
            match cluster::obtain(&self.core, &row).await {
                Ok(live) => Some(live),
                Err(problem) => {
                    tracing::info!(recording = %id, problem, "a recording stays with another server for now");
                    self.refuse(id, Refusal::Later, problem);
                    return Ok(());
                }
            }
        } else {
            self.find(&row).await?
        };
        let Some(live) = live else {
            self.outgoing.send(Opened {
                recording: id_bytes(id),
                next_seq: row.fragments,
                finished: true,
                end_us: row.duration_us,
                segment: row.segments.saturating_sub(1),
                ..self.opened(id).await?
            });
            return Ok(());
        };
        if let Some(problem) = live.problem() {
            // The database may not say so yet.
            let text = format!("the recording was set aside at the server: {problem}");
            self.refuse(id, Refusal::Quarantined, text);
            return Ok(());
        }
        if live.is_leaving() {
            self.refuse(id, Refusal::Later, "another server of the site is taking the recording over");
            return Ok(());
        }
        let session = Session::new(id, Arc::clone(&self.outgoing));
        if let Some(before) = live.take_over(&session)
            && !Arc::ptr_eq(&before.outgoing, &self.outgoing)
        {
            tracing::info!(recording = %id, "another connection takes the recording over");
            before.outgoing.close.cancel();
        }
        // What the connection before had sent is dealt with first, so that the answer stays true.
        self.core.journal.barrier().await?;
        if settled(&live, SETTLE).await.is_err() {
            let problem = "what comes in is to survive in the site's storage, which does not answer";
            session.refuse(Refusal::Later, problem);
            return Ok(());
        }
        let (next_seq, head, segment, end_us) = live.last();
        let finished = live.follow().borrow().ended;
        let head_hash = if next_seq == 0 { Bytes::new() } else { Bytes::copy_from_slice(head.as_bytes()) };
        self.outgoing.send(Opened {
            next_seq,
            head_hash,
            segment,
            end_us,
            finished,
            anchor_seq: live.chain().anchor_seq(),
            ..self.opened(id).await?
        });
        if !finished {
            self.intake.opened(id, next_seq);
            if live.is_watched() {
                session.watch(true);
            }
            tracing::info!(recording = %id, host = info.host, user = info.user, next_seq, "recording opened");
        }
        self.open.insert(id, (session, live));
        Ok(())
    }

    /// The recording as this server holds it; `None` when it is over.
    async fn find(&self, row: &RecordingRow) -> Result<Option<Arc<Live>>, ConnectionError> {
        let id = row.info.id;
        if let Some(live) = self.core.recordings.get(id) {
            return Ok(Some(live));
        }
        // All live ones are in memory but new ones. It may have been finished and dropped since the row was read, so look again.
        let is_new = match self.core.store.recording(id).await? {
            Some(row) => row.state == RecordingState::Live && row.fragments == 0,
            None => false,
        };
        Ok(is_new.then(|| self.core.recordings.get_or_insert(id, || Live::new(row, &[]))))
    }

    /// An answer with how the site wants its sessions recorded.
    async fn opened(&self, id: RecordingId) -> Result<Opened, ConnectionError> {
        let settings = self.core.store.settings().await?;
        // A struct of numbers always serialises.
        let settings = serde_json::to_string(&settings).unwrap_or_default();
        Ok(Opened { recording: id_bytes(id), settings, ..Opened::default() })
    }

    fn refuse(&self, recording: RecordingId, reason: Refusal, text: impl Into<String>) {
        self.core.metrics.refused(reason);
        self.outgoing.send(FromServer::from(refused(recording, reason, text)));
    }

    async fn fragment(&mut self, recording: RecordingId, fragment: Fragment) -> Result<(), ConnectionError> {
        let received = Instant::now();
        let metrics = &self.core.metrics;
        metrics.fragments.inc();
        metrics.fragment_bytes.inc_by(fragment.record.len() as u64);
        let Some((session, live)) = self.open.get(&recording) else { return Ok(()) };
        if !session.is_open() {
            // Refused meanwhile: what was under way does not count.
            self.intake.closed(recording);
            return Ok(());
        }
        if let Some(problem) = self.core.space.problem() {
            metrics.refused(Refusal::Later);
            session.refuse(Refusal::Later, format!("the server takes nothing in: {problem}"));
            self.intake.closed(recording);
            return Ok(());
        }
        let permit = self.core.journal.room(fragment.record.len()).await?;
        let opened = match open(&self.core, fragment.record.clone()).await? {
            Ok(opened) => opened,
            Err(error) => {
                self.malformed(recording, &error.to_string());
                return Ok(());
            }
        };
        let head = *opened.head();
        if (head.recording, head.seq) != (recording, fragment.seq) {
            let text = format!("it says to be fragment {} of recording {}", head.seq, head.recording);
            self.malformed(recording, &text);
            return Ok(());
        }
        self.core.metrics.uncompressed_bytes.inc_by(opened.records().len() as u64);
        if let Err(text) = signed(&opened, &self.agent.public_key) {
            self.malformed(recording, text);
            return Ok(());
        }
        let (gaps, end) = declared(&opened);
        live.met(opened.contents());
        let protected = self.core.keys.protect((recording, head.seq), &gaps, end, fragment.record).await;
        let record = match protected {
            Ok(record) => record,
            Err(error) => {
                metrics.refused(Refusal::Later);
                session.refuse(Refusal::Later, format!("the recording cannot be encrypted: {error}"));
                self.intake.closed(recording);
                return Ok(());
            }
        };
        let append = Append {
            live: Arc::clone(live),
            session: Arc::clone(session),
            record,
            head,
            hash: opened.hash(),
            gaps,
            end,
            permit,
            received,
        };
        self.core.journal.append(append).await?;
        way("intake", recording, head.seq, received);
        if head.flags.last {
            self.intake.closed(recording);
        }
        Ok(())
    }

    fn malformed(&mut self, recording: RecordingId, text: &str) {
        self.core.metrics.refused(Refusal::Malformed);
        tracing::warn!(agent = %self.agent.id, %recording, error = text, "a fragment was refused as malformed");
        if let Some((session, _)) = self.open.get(&recording) {
            session.refuse(Refusal::Malformed, format!("a fragment was refused: {text}"));
        }
        self.intake.closed(recording);
    }
}

/// A step of a fragment's way is done, for whoever follows it.
fn way(step: &'static str, recording: RecordingId, seq: u64, began: Instant) {
    let took_us = || u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    tracing::trace!(target: "playhead::way", step, %recording, seq, took_us = took_us());
}

/// Checks the signature of a fragment that has one.
///
/// # Errors
/// What is wrong with it.
fn signed(fragment: &OpenFragment, public_key: &str) -> Result<(), &'static str> {
    let Some(signature) = fragment.signature().map_err(|_| "its messages cannot be read")? else {
        return Ok(());
    };
    if !signature.covers_all {
        return Err("its signature does not cover all of it");
    }
    // Of another key it does not fit either.
    if playhead_net::verify(public_key, &signature.statement, signature.signature.as_bytes())
        && URL_SAFE_NO_PAD.encode(signature.key.as_bytes()) == public_key
    {
        Ok(())
    } else {
        Err("its signature does not fit the agent's key")
    }
}

/// Checks and opens a fragment. A few kilobytes may decompress to 64 MiB, so a large one gets a thread of its own, and only some are
/// opened at a time; a small one takes less time than handing it to another thread and back.
async fn open(core: &Shared, record: Bytes) -> Result<Result<OpenFragment, FormatError>, ConnectionError> {
    if claimed_len(&record) <= SMALL {
        return Ok(open_fragment(&record));
    }
    // The semaphore is never closed.
    let _place = core.opening.acquire().await;
    Ok(tokio::task::spawn_blocking(move || open_fragment(&record)).await?)
}
