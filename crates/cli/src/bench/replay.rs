//! `playhead bench replay`: a long recording out of short traces, sent to a server as an agent sends one.
//!
//! For measuring what depends on a recording's length: seeking, memory, sealing. The traces are repeated until the wanted media time is
//! reached, through the agent's own recorder; only the clock is not real.

use super::trace::{Trace, traces};
use anyhow::{Context as _, Result, bail};
use bytes::{Bytes, BytesMut};
use playhead_agent::{Moment, Recorder, Sink};
use playhead_format::Fragment;
use playhead_model::{EndReason, RecordingId, RecordingInfo, RecordingSettings, WallTime};
use playhead_net::{Endpoint, NodeKey};
use playhead_protocol::{
    AGENT_CONNECT_PATH, AGENT_ENROL_PATH, AGENT_UPGRADE, VERSION,
    frame::{self, MAX_FRAME},
    join::{Enrol, Enrolled, JoinToken},
    message::{self, FromAgent, FromServer, Hello, Open, from_server::Kind},
};
use playhead_screen::{Picture, Rect};
use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
};

/// Fragments made but not sent.
const AHEAD: usize = 16;

/// Send a long recording made of traces (NAME.json and NAME.mkv)
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder of the traces
    folder: PathBuf,
    /// Join token for an agent
    #[arg(long)]
    join: JoinToken,
    /// Media time of the recording
    #[arg(long, default_value_t = 3_600, value_name = "SECONDS")]
    seconds: u64,
    /// Name of the session host
    #[arg(long, default_value = "replay")]
    host: String,
}

/// Makes and sends the recording, and prints its id once all of it is durable.
///
/// # Errors
/// Traces that cannot be read, a server that does not take it.
pub(crate) async fn run(args: Args) -> Result<()> {
    let traces = traces(&args.folder)?;
    let endpoint = Endpoint::of(&args.join)?;
    let key = NodeKey::generate()?;
    let enrol = Enrol {
        secret: args.join.secret.clone(),
        host: args.host.clone(),
        public_key: key.public(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    let mut connection = endpoint.connect().await?;
    let Enrolled { agent, .. } = connection.post(AGENT_ENROL_PATH, &enrol).await?;
    let connection = endpoint.connect().await?;
    let stream =
        connection.log_in(AGENT_CONNECT_PATH, AGENT_UPGRADE, "agent", &agent.to_string(), &key).await?;
    let mut link = Link { stream, received: BytesMut::new(), sent: BytesMut::new() };
    let info = info(&args)?;
    let settings = link.open(&info).await?;

    let (fragments, mut made) = mpsc::channel(AHEAD);
    let (id, seconds) = (info.id, args.seconds);
    let making = tokio::task::spawn_blocking(move || make(&traces, seconds, info, settings, fragments));
    let mut last = 0;
    while let Some(fragment) = made.recv().await {
        last = fragment.head.seq + 1;
        link.send(id, fragment).await?;
    }
    making.await??;
    link.durable(last).await?;
    #[allow(clippy::print_stdout, reason = "the id is what the user asked for")]
    {
        println!("{id}");
    }
    Ok(())
}

fn info(args: &Args) -> Result<RecordingInfo> {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?;
    let began =
        WallTime::from_micros(now).plus_micros(-i64::try_from(args.seconds)?.saturating_mul(1_000_000));
    Ok(RecordingInfo {
        id: RecordingId::from(uuid::Uuid::now_v7()),
        host: args.host.clone(),
        user: "replay".into(),
        display: ":0".into(),
        client: None,
        client_address: None,
        application: "desktop".into(),
        started_at: began,
        agent_version: env!("CARGO_PKG_VERSION").into(),
        monitors: Vec::new(),
        session: None,
    })
}

/// Hands finished fragments to the sender.
struct Outlet(mpsc::Sender<Fragment>);

impl Sink for Outlet {
    type Error = anyhow::Error;

    fn keep(&mut self, fragment: &Fragment) -> Result<()> {
        self.0.blocking_send(fragment.clone()).context("the connection to the server ended")
    }
}

/// Plays the traces one after another until `seconds` are over.
fn make(
    traces: &[Trace],
    seconds: u64,
    info: RecordingInfo,
    settings: RecordingSettings,
    fragments: mpsc::Sender<Fragment>,
) -> Result<()> {
    let began = u64::try_from(info.started_at.as_micros())?;
    let moment = |media_us: u64| Moment { media_us, wall_us: began + media_us };
    let mut recorder = Recorder::new(info, settings, 1);
    let mut outlet = Outlet(fragments);
    let (end_us, mut start_us) = (seconds * 1_000_000, 0);
    'repeat: loop {
        for trace in traces {
            let (width, height) = (trace.particulars.width, trace.particulars.height);
            let mut data = vec![0; trace.picture_bytes()];
            let mut pictures = trace.pictures()?;
            for at_ms in &trace.particulars.timestamps_ms {
                let at_us = start_us + at_ms * 1_000;
                if !pictures.next(&mut data)? {
                    break;
                }
                if at_us >= end_us {
                    break 'repeat;
                }
                if let Some(deadline) = recorder.deadline().filter(|&deadline| deadline <= at_us) {
                    recorder.tick(moment(deadline), &mut outlet)?;
                }
                let picture = Picture { width, height, stride: width as usize * 4, data: &data };
                let whole = [Rect { x: 0, y: 0, width, height }];
                recorder.picture(moment(at_us), &picture, &whole, &mut outlet)?;
            }
            start_us += (trace.particulars.seconds * 1e6) as u64;
        }
    }
    recorder.finish(moment(end_us), EndReason::SessionEnded, &mut outlet)
}

/// The connection to the server.
struct Link {
    stream: playhead_net::Upgraded,
    received: BytesMut,
    sent: BytesMut,
}

impl Link {
    async fn open(&mut self, info: &RecordingInfo) -> Result<RecordingSettings> {
        let hello = Hello {
            protocol: VERSION,
            version: env!("CARGO_PKG_VERSION").into(),
            host: info.host.clone(),
            system: "replay".into(),
        };
        let recording = Bytes::copy_from_slice(info.id.as_bytes());
        let open = Open { recording, info: serde_json::to_string(info)? };
        self.write(&hello.into()).await?;
        self.write(&open.into()).await?;
        loop {
            match self.read().await? {
                Some(Kind::Opened(opened)) => return Ok(serde_json::from_str(&opened.settings)?),
                Some(Kind::Refused(refused)) => bail!("the server refused the recording: {}", refused.text),
                _ => {}
            }
        }
    }

    async fn send(&mut self, id: RecordingId, fragment: Fragment) -> Result<()> {
        let recording = Bytes::copy_from_slice(id.as_bytes());
        let seq = fragment.head.seq;
        self.write(&message::Fragment { recording, seq, record: fragment.bytes.into() }.into()).await?;
        // A queue of unread answers would fill: a few hundred fragments may be under way.
        if seq % 64 == 63 { self.durable(seq.saturating_sub(256)).await } else { Ok(()) }
    }

    /// Waits until everything before `seq` is durable.
    async fn durable(&mut self, seq: u64) -> Result<()> {
        if seq == 0 {
            return Ok(());
        }
        loop {
            match self.read().await? {
                Some(Kind::Durable(durable)) if durable.next_seq >= seq => return Ok(()),
                Some(Kind::Refused(refused)) => bail!("the server refused a fragment: {}", refused.text),
                _ => {}
            }
        }
    }

    async fn write(&mut self, message: &FromAgent) -> Result<()> {
        self.sent.clear();
        message.write(&mut self.sent)?;
        Ok(self.stream.write_all(&self.sent).await?)
    }

    async fn read(&mut self) -> Result<Option<Kind>> {
        loop {
            if let Some(bytes) = frame::take(&mut self.received, MAX_FRAME)? {
                return Ok(FromServer::read(bytes)?.kind);
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                bail!("the server closed the connection");
            }
        }
    }
}
