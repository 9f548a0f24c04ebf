//! One connection to the server, from the greeting to its end.

use super::{
    Shared,
    lane::{Lane, LaneError, Phase, Ready},
};
use crate::{spool::Queue, standing::QueueReport};
use bytes::{Bytes, BytesMut};
use playhead_model::{RecordingId, RecordingSettings, SessionId, SessionInfo};
use playhead_net::Upgraded;
use playhead_protocol::{
    VERSION,
    frame::{self, FrameError, MAX_FRAME},
    intake::recording_id,
    message::{
        Command, Durable, Fragment, FromAgent, FromServer, Heartbeat, Hello, MessageError, Open, Opened,
        Policy, Refusal, Refused, Session, Sessions, Welcome, from_server::Kind,
    },
};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf},
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

/// A word at least this often.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long the server's greeting may take.
const GREETING: Duration = Duration::from_secs(15);
/// A recording that the server does not take now is offered again after this.
const LATER: Duration = Duration::from_secs(5);
/// How long what is queued may still be sent once the agent stops.
const DRAIN: Duration = Duration::from_secs(5);
/// The server is told of the queue at most this often, and of what changes all the time at this interval.
const TELL_SOON: Duration = Duration::from_secs(2);
const TELL: Duration = Duration::from_secs(30);
/// Frames that wait for the one being written. Each may hold a large fragment.
const FRAMES: usize = 1;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("the connection to the server broke: {0}")]
    Io(#[from] io::Error),
    #[error("the server closed the connection")]
    Closed,
    #[error("the server sends this agent to another one of its site")]
    Elsewhere,
    #[error("nothing was heard of the server for {} s", .0.as_secs())]
    Silent(Duration),
    #[error("the server's bytes make no sense: {0}")]
    Frame(#[from] FrameError),
    #[error("the server's bytes make no sense: {0}")]
    Message(#[from] MessageError),
    #[error("expected the server's greeting")]
    NoWelcome,
    #[error(
        "the server speaks protocol version {0}, this agent {VERSION}: use an agent and a server of the same major version"
    )]
    Version(u32),
    #[error("the server names no recording: {0}")]
    Id(#[from] playhead_protocol::intake::IntakeError),
    #[error("reading the queue failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// Greets, then sends what is queued until the connection breaks or, once `drain` is cancelled, all is sent.
///
/// # Errors
/// Why the connection ended; nothing is lost, the next one goes on.
pub(super) async fn talk(
    stream: Upgraded,
    shared: &Arc<Shared>,
    drain: &CancellationToken,
) -> Result<(), LinkError> {
    let (reader, writer) = tokio::io::split(stream);
    let (frames, writing) = mpsc::channel(FRAMES);
    let now = Instant::now();
    let mut link = Link {
        shared,
        reader: Reader { stream: reader, buffer: BytesMut::new() },
        frames,
        out: VecDeque::new(),
        ready: None,
        lanes: BTreeMap::new(),
        turn: None,
        silence: Duration::from_secs(30),
        heard_at: now,
        said_at: now,
        told: None,
        untold: false,
        sessions: None,
    };
    let mut writer = Writer(tokio::spawn(write(writer, writing)));
    let ended = link.run(drain, &mut writer.0).await;
    shared.registry.nobody_watches();
    ended
}

/// The task that writes; ends with the link.
struct Writer(JoinHandle<io::Result<()>>);

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn write(mut stream: WriteHalf<Upgraded>, mut frames: mpsc::Receiver<Bytes>) -> io::Result<()> {
    while let Some(frame) = frames.recv().await {
        stream.write_all(&frame).await?;
        if frames.is_empty() {
            stream.flush().await?;
        }
    }
    stream.shutdown().await
}

struct Reader {
    stream: ReadHalf<Upgraded>,
    buffer: BytesMut,
}

impl Reader {
    /// The next message. May be dropped while it waits: nothing is lost.
    async fn next(&mut self) -> Result<FromServer, LinkError> {
        loop {
            if let Some(frame) = frame::take(&mut self.buffer, MAX_FRAME)? {
                return Ok(FromServer::read(frame)?);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(LinkError::Closed);
            }
        }
    }
}

struct Link<'a> {
    shared: &'a Arc<Shared>,
    reader: Reader,
    frames: mpsc::Sender<Bytes>,
    /// Small messages that go before any fragment.
    out: VecDeque<FromAgent>,
    /// The next fragment.
    ready: Option<Ready>,
    lanes: BTreeMap<RecordingId, Lane>,
    /// Whose fragment was read last; the next one is another's.
    turn: Option<RecordingId>,
    silence: Duration,
    heard_at: Instant,
    said_at: Instant,
    /// What the server was told of the queue last, and when.
    told: Option<(QueueReport, Instant)>,
    /// Something was queued since.
    untold: bool,
    /// What the server was told of sessions; `None` before it was told which there are.
    sessions: Option<BTreeMap<SessionId, SessionInfo>>,
}

impl Link<'_> {
    async fn run(
        &mut self,
        drain: &CancellationToken,
        writer: &mut JoinHandle<io::Result<()>>,
    ) -> Result<(), LinkError> {
        self.greet().await?;
        self.shared.connected();
        self.refresh().await?;
        self.tell_queue().await?;
        self.tell_sessions();
        let mut end: Option<Instant> = None;
        loop {
            self.prepare().await?;
            let nothing_left = self.out.is_empty() && self.lanes.values().all(Lane::is_empty);
            if end.is_some_and(|end| nothing_left || end <= Instant::now()) {
                return Ok(());
            }
            let has_more = !self.out.is_empty() || self.ready.is_some();
            let again = self.lanes.values().filter_map(|lane| match lane.phase {
                Phase::Later(at) => Some(at),
                _ => None,
            });
            let again = again.min();
            let (said_at, heard_at) = (self.said_at, self.heard_at);
            let pause = if self.untold { TELL_SOON } else { TELL };
            let tell = self.told.as_ref().map_or(said_at, |(_, at)| *at) + pause;
            let frames = self.frames.clone();
            tokio::select! {
                message = self.reader.next() => {
                    self.heard_at = Instant::now();
                    self.hear(message?).await?;
                }
                permit = frames.reserve(), if has_more => {
                    let Ok(permit) = permit else { return Err(LinkError::Closed) };
                    let mut frame = BytesMut::new();
                    take_message(&mut self.out, &mut self.ready).write(&mut frame)?;
                    permit.send(frame.freeze());
                    self.said_at = Instant::now();
                }
                () = self.shared.spool.changed() => {
                    self.refresh().await?;
                    self.tell_queue().await?;
                }
                () = self.shared.desk.changed() => self.tell_sessions(),
                () = sleep_until(tell) => self.tell_queue().await?,
                () = sleep_until(said_at + HEARTBEAT) => {
                    self.said_at = Instant::now();
                    if !has_more {
                        self.out.push_back(Heartbeat {}.into());
                    }
                }
                () = sleep_until(heard_at + self.silence) => return Err(LinkError::Silent(self.silence)),
                () = sleep_until(again.unwrap_or(said_at)), if again.is_some() => self.open_closed(),
                () = drain.cancelled(), if end.is_none() => {
                    end = Some(Instant::now() + DRAIN);
                    self.refresh().await?;
                }
                () = sleep_until(end.unwrap_or(said_at)), if end.is_some() => {}
                written = &mut *writer => {
                    return Err(written?.map_or_else(LinkError::Io, |()| LinkError::Closed));
                }
            }
        }
    }

    async fn greet(&mut self) -> Result<(), LinkError> {
        let hello = Hello {
            protocol: VERSION,
            version: crate::VERSION.into(),
            host: self.shared.host.clone(),
            system: self.shared.system.clone(),
        };
        let mut frame = BytesMut::new();
        FromAgent::from(hello).write(&mut frame)?;
        self.frames.send(frame.freeze()).await.map_err(|_| LinkError::Closed)?;
        let answer =
            timeout(GREETING, self.reader.next()).await.map_err(|_| LinkError::Silent(GREETING))??;
        let Some(Kind::Welcome(welcome)) = answer.kind else {
            return Err(LinkError::NoWelcome);
        };
        let Welcome { protocol, version, silence_seconds, certificate } = welcome;
        if protocol != VERSION {
            return Err(LinkError::Version(protocol));
        }
        self.silence = Duration::from_secs(silence_seconds.clamp(15, 600).into());
        self.heard_at = Instant::now();
        let shared = Arc::clone(self.shared);
        tokio::task::spawn_blocking(move || shared.certified(&certificate)).await?;
        tracing::info!(server_version = version, "connected to the server");
        Ok(())
    }

    /// Looks what was queued since.
    async fn refresh(&mut self) -> Result<(), LinkError> {
        let known: BTreeMap<RecordingId, (Arc<Queue>, u64)> =
            self.lanes.iter().map(|(&id, lane)| (id, (Arc::clone(&lane.queue), lane.end()))).collect();
        let spool = Arc::clone(&self.shared.spool);
        let news = tokio::task::spawn_blocking(move || {
            let queues = spool.all().into_iter().filter(|queue| !queue.is_unused());
            queues
                .map(|queue| match known.get(&queue.id()) {
                    Some((known, end)) if Arc::ptr_eq(known, &queue) => {
                        (queue.id(), None, queue.waiting(*end))
                    }
                    // New, or after the one before it failed.
                    _ => (queue.id(), Some(Lane::new(queue)), Vec::new()),
                })
                .collect::<Vec<_>>()
        })
        .await?;
        let present: std::collections::BTreeSet<RecordingId> = news.iter().map(|(id, ..)| *id).collect();
        self.lanes.retain(|id, _| present.contains(id));
        for (id, new, more) in news {
            if let Some(lane) = new {
                self.ready = self.ready.take().filter(|ready| ready.recording != id);
                self.lanes.insert(id, lane);
            }
            if let Some(lane) = self.lanes.get_mut(&id) {
                lane.queued(&more);
            }
        }
        self.open_closed();
        Ok(())
    }

    /// Tells the server how the queue stands, if that is news.
    async fn tell_queue(&mut self) -> Result<(), LinkError> {
        let now = Instant::now();
        self.untold = self.told.as_ref().is_some_and(|(_, at)| now < *at + TELL_SOON);
        if self.untold {
            return Ok(());
        }
        let spool = Arc::clone(&self.shared.spool);
        let report = tokio::task::spawn_blocking(move || QueueReport::of(&spool)).await?;
        let is_news = match &self.told {
            None => true,
            Some((before, at)) => report.is_news_after(before) || (now >= *at + TELL && report != *before),
        };
        if is_news {
            self.out.push_back(report.message(crate::clock::Now::read().wall).into());
            self.told = Some((report, now));
        } else if let Some((_, at)) = self.told.as_mut().filter(|(_, at)| now >= *at + TELL) {
            *at = now;
        }
        Ok(())
    }

    /// Tells the server which sessions there are, what has changed of them, and what came of its commands.
    fn tell_sessions(&mut self) {
        let tellings = self.shared.desk.tellings();
        let Some(now) = tellings.sessions else {
            self.out.extend(tellings.answers);
            return;
        };
        let told = self.sessions.get_or_insert_with(|| {
            let sessions = now.keys().map(|id| Bytes::copy_from_slice(id.as_bytes())).collect();
            self.out.push_back(Sessions { sessions }.into());
            BTreeMap::new()
        });
        let news = now.values().filter(|info| told.get(&info.id) != Some(*info));
        for info in news.chain(&tellings.ended) {
            // Particulars without a way to become JSON do not exist: plain texts and numbers.
            if let Ok(info) = serde_json::to_string(info) {
                self.out.push_back(Session { info }.into());
            }
        }
        *told = now;
        // In this order: what a command has changed is known before it is called done.
        self.out.extend(tellings.answers);
    }

    /// Asks the server to open what is not open.
    fn open_closed(&mut self) {
        let now = Instant::now();
        for lane in self.lanes.values_mut() {
            let due = match lane.phase {
                Phase::Closed => true,
                Phase::Later(at) => at <= now,
                Phase::Asked | Phase::Open => false,
            };
            // Particulars without a way to become JSON do not exist: plain texts and numbers.
            if let (true, Ok(info)) = (due, serde_json::to_string(&lane.queue.started().info)) {
                let recording = Bytes::copy_from_slice(lane.recording().as_bytes());
                self.out.push_back(Open { recording, info }.into());
                lane.phase = Phase::Asked;
            }
        }
    }

    /// Reads the next fragment, each recording in its turn.
    async fn prepare(&mut self) -> Result<(), LinkError> {
        while self.ready.is_none() {
            let turn = self.turn;
            let after = self.lanes.iter().map(|(&id, _)| id).filter(|id| turn.is_none_or(|turn| *id > turn));
            let order: Vec<RecordingId> = after.chain(self.lanes.keys().copied()).collect();
            let request = order.into_iter().find_map(|id| self.lanes.get_mut(&id)?.next());
            let Some(request) = request else { return Ok(()) };
            let id = request.recording();
            self.turn = Some(id);
            let signer = self.shared.signer.clone();
            match tokio::task::spawn_blocking(move || request.read(&signer)).await? {
                Ok(ready) => {
                    if let Some(lane) = self.lanes.get_mut(&id) {
                        lane.advance(&ready);
                        self.ready = Some(ready);
                    }
                }
                Err(LaneError::Spool(crate::spool::SpoolError::NotThere { .. })) => {
                    tracing::info!(recording = %id, "the queue let go of what was to be sent next: opening the recording again");
                    self.reopen(id);
                }
                Err(error @ (LaneError::Spool(_) | LaneError::Format(_))) => {
                    tracing::error!(recording = %id, %error,
                        "what is queued cannot be read: it is kept in spool/{id}.refused, and the recording goes on with a new queue; check the disk");
                    self.set_aside(id, &error.to_string(), true).await?;
                }
                Err(error) => self.give_up(id, &error.to_string()).await?,
            }
        }
        Ok(())
    }

    fn reopen(&mut self, id: RecordingId) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.close(Phase::Closed);
        }
        self.ready = self.ready.take().filter(|ready| ready.recording != id);
        self.open_closed();
    }

    async fn hear(&mut self, message: FromServer) -> Result<(), LinkError> {
        match message.kind {
            Some(Kind::Opened(opened)) => self.opened(opened).await,
            Some(Kind::Durable(durable)) => self.durable(durable).await,
            Some(Kind::Refused(refused)) => self.refused(refused).await,
            Some(Kind::Watch(watch)) => {
                self.shared.registry.set_watched(recording_id(&watch.recording)?, watch.watched);
                Ok(())
            }
            Some(Kind::Elsewhere(_)) => Err(LinkError::Elsewhere),
            Some(Kind::Policy(Policy { document })) => {
                self.shared.desk.policy(document);
                Ok(())
            }
            Some(Kind::Command(Command { id, command })) => {
                self.shared.desk.command(id, &command);
                Ok(())
            }
            Some(Kind::Welcome(_) | Kind::Heartbeat(_)) | None => Ok(()),
        }
    }

    async fn opened(&mut self, opened: Opened) -> Result<(), LinkError> {
        let id = recording_id(&opened.recording)?;
        match serde_json::from_str::<RecordingSettings>(&opened.settings) {
            Ok(settings) if settings.check().is_ok() => self.shared.registry.set_settings(id, settings),
            _ => {
                tracing::warn!(recording = %id, settings = opened.settings, "the server's settings make no sense: keeping the old ones");
            }
        }
        let Some(mut lane) = self.lanes.remove(&id) else { return Ok(()) };
        let finished = opened.finished;
        let (lane, taken) = tokio::task::spawn_blocking(move || {
            let taken = lane.opened(&opened);
            (lane, taken)
        })
        .await?;
        let (nothing_waits, has_ended) = (lane.is_empty(), lane.queue.has_ended());
        self.lanes.insert(id, lane);
        match taken {
            Err(error) => self.give_up(id, &error.to_string()).await,
            Ok(()) if finished && !nothing_waits => {
                self.give_up(
                    id,
                    "the server says that the recording has ended, but more of it is queued here",
                )
                .await
            }
            Ok(()) if finished && !has_ended => {
                tracing::info!(recording = %id, "the server says that the recording has ended: beginning another");
                // In this order: a display that begins anew must not find the old queue.
                self.forget(id).await?;
                self.shared.registry.renew(id, false);
                Ok(())
            }
            Ok(()) => self.forget_if_done(id).await,
        }
    }

    async fn durable(&mut self, durable: Durable) -> Result<(), LinkError> {
        let id = recording_id(&durable.recording)?;
        let Some(lane) = self.lanes.get_mut(&id) else { return Ok(()) };
        if lane.phase != Phase::Open {
            return Ok(());
        }
        if let Err(error) = lane.durable(durable.next_seq) {
            return self.give_up(id, &error.to_string()).await;
        }
        let queue = Arc::clone(&lane.queue);
        let forgotten = tokio::task::spawn_blocking(move || queue.forget_before(durable.next_seq)).await?;
        if let Err(error) = forgotten {
            tracing::warn!(recording = %id, %error, "cannot delete what the server has");
        }
        self.forget_if_done(id).await
    }

    async fn refused(&mut self, refused: Refused) -> Result<(), LinkError> {
        let id = recording_id(&refused.recording)?;
        let Some(lane) = self.lanes.get_mut(&id) else { return Ok(()) };
        let text = refused.text.as_str();
        self.ready = self.ready.take().filter(|ready| ready.recording != id);
        match Refusal::try_from(refused.reason).unwrap_or(Refusal::Unspecified) {
            Refusal::Unspecified | Refusal::Later => {
                tracing::warn!(recording = %id, reason = text, "the server takes nothing now: trying again in {} s", LATER.as_secs());
                lane.queue.note_stuck(format!("the server takes nothing now: {text}"));
                lane.close(Phase::Later(Instant::now() + LATER));
                Ok(())
            }
            Refusal::Mismatch if lane.mismatches == 0 => {
                tracing::warn!(recording = %id, reason = text, "the server expected something else: opening the recording again");
                lane.close(Phase::Closed);
                lane.mismatches = 1;
                self.open_closed();
                Ok(())
            }
            refusal => self.give_up(id, &format!("the server refused it ({refusal:?}): {text}")).await,
        }
    }

    /// Nothing more of a recording can be sent: keeps what is queued out of the way, and has its display recorded anew.
    async fn give_up(&mut self, id: RecordingId, why: &str) -> Result<(), LinkError> {
        tracing::error!(recording = %id, error = why,
            "this recording cannot be sent any further: what is queued is kept in spool/{id}.refused; tell the administrator of the server");
        self.set_aside(id, why, false).await
    }

    /// Closes a queue and keeps it out of the way. Its display goes on with the same recording, or with another.
    async fn set_aside(&mut self, id: RecordingId, why: &str, same: bool) -> Result<(), LinkError> {
        self.lanes.remove(&id);
        self.ready = self.ready.take().filter(|ready| ready.recording != id);
        let (spool, why) = (Arc::clone(&self.shared.spool), why.to_owned());
        if let Err(error) = tokio::task::spawn_blocking(move || spool.set_aside(id, &why, same)).await? {
            tracing::error!(recording = %id, %error, "cannot set its queue aside");
        }
        // In this order: a display that begins anew must not find the old queue.
        self.shared.registry.renew(id, same);
        Ok(())
    }

    async fn forget_if_done(&mut self, id: RecordingId) -> Result<(), LinkError> {
        match self.lanes.get(&id) {
            Some(lane) if lane.is_done() => self.forget(id).await,
            _ => Ok(()),
        }
    }

    /// The server has all of a recording.
    async fn forget(&mut self, id: RecordingId) -> Result<(), LinkError> {
        self.lanes.remove(&id);
        let spool = Arc::clone(&self.shared.spool);
        if let Err(error) = tokio::task::spawn_blocking(move || spool.remove(id)).await? {
            tracing::warn!(recording = %id, %error, "cannot delete the queue of a recording that the server has");
        }
        Ok(())
    }
}

fn take_message(out: &mut VecDeque<FromAgent>, ready: &mut Option<Ready>) -> FromAgent {
    if let Some(message) = out.pop_front() {
        return message;
    }
    match ready.take() {
        Some(Ready { recording, number, record, .. }) => {
            tracing::trace!(target: "playhead::way", step = "send", %recording, seq = number);
            Fragment { recording: Bytes::copy_from_slice(recording.as_bytes()), seq: number, record }.into()
        }
        None => Heartbeat {}.into(),
    }
}
