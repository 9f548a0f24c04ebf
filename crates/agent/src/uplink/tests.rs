//! The uplink against a server that does what a test tells it to, over real TLS.

use super::*;
use crate::{
    identity::Identity,
    recorder::Recorder,
    settings::{SpoolSettings, WhenFull},
    spool::{SpoolError, Started},
    testing::{fragments, fragments_of, info, rolling},
};
use axum::{Json, Router, extract::State, routing::get, routing::post};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use hyper_util::rt::TokioIo;
use playhead_format::{Chain, MetaMessage, open_fragment};
use playhead_model::{AgentId, GapCause, RecordingId, RecordingSettings, SiteId};
use playhead_net::{Authority, Challenges, Listener};
use playhead_protocol::{
    AGENT_ENROL_PATH, CHALLENGE_PATH, VERSION, frame,
    intake::{Event, Intake},
    join::{Enrol, Enrolled, JoinKind},
    login::{Challenge, Proof},
    message::*,
};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const AGENT: AgentId = AgentId::from_bytes([8; 16]);

/// What the server has, and what it is to do wrong.
struct Site {
    challenges: Challenges,
    keys: Mutex<Vec<String>>,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    recordings: HashMap<RecordingId, Taken>,
    connections: u32,
    /// Close the connection after so many fragments.
    break_after: Option<u32>,
    /// Refuse the next fragment so.
    refuse: Option<Refusal>,
    /// What it was last told of the queue.
    queue: Option<Queue>,
    /// Say at the next opening that the recording has ended.
    finished: bool,
}

struct Taken {
    chain: Chain,
    records: Vec<Bytes>,
    end: (u32, u64),
}

impl Site {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap()
    }

    fn count(&self, id: RecordingId) -> usize {
        self.told().recordings.get(&id).map_or(0, |taken| taken.records.len())
    }
}

async fn challenge(State(site): State<Arc<Site>>) -> Json<Challenge> {
    Json(Challenge { challenge: site.challenges.issue(100).unwrap() })
}

async fn enrol(
    State(site): State<Arc<Site>>,
    Json(enrol): Json<Enrol>,
) -> Result<Json<Enrolled>, (http::StatusCode, String)> {
    if enrol.secret != "secret" {
        return Err((http::StatusCode::FORBIDDEN, r#"{"detail":"this token was used up"}"#.into()));
    }
    site.keys.lock().unwrap().push(enrol.public_key);
    Ok(Json(Enrolled { agent: AGENT, site: SiteId::from_bytes([9; 16]) }))
}

async fn connect(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    mut request: axum::extract::Request,
) -> (http::StatusCode, HeaderMap) {
    let proof: Proof = headers["authorization"].to_str().unwrap().parse().unwrap();
    let keys = site.keys.lock().unwrap().clone();
    let known = keys.iter().any(|key| site.challenges.check(&proof, "agent", key, 100));
    if !known || proof.id != AGENT.to_string() {
        return (http::StatusCode::FORBIDDEN, HeaderMap::new());
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let stream = TokioIo::new(upgrade.await.unwrap());
        let _ = serve(stream, site).await;
    });
    let mut headers = HeaderMap::new();
    headers.insert("connection", "upgrade".parse().unwrap());
    headers.insert("upgrade", AGENT_UPGRADE.parse().unwrap());
    (http::StatusCode::SWITCHING_PROTOCOLS, headers)
}

async fn serve(mut stream: TokioIo<hyper::upgrade::Upgraded>, site: Arc<Site>) -> std::io::Result<()> {
    site.told().connections += 1;
    let (mut intake, mut buffer) = (Intake::default(), BytesMut::new());
    let mut taken = 0;
    loop {
        while let Some(frame) = frame::take(&mut buffer, frame::MAX_FRAME).unwrap() {
            let event = intake.receive(FromAgent::read(frame).unwrap()).unwrap();
            let mut out = BytesMut::new();
            for answer in answers(&site, &mut intake, event, &mut taken) {
                answer.write(&mut out).unwrap();
            }
            stream.write_all(&out).await?;
            let break_after = site.told().break_after;
            if break_after.is_some_and(|most| taken >= most) {
                site.told().break_after = None;
                return Ok(());
            }
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

fn answers(site: &Site, intake: &mut Intake, event: Event, taken: &mut u32) -> Vec<FromServer> {
    let mut told = site.told();
    let bytes = |id: RecordingId| Bytes::copy_from_slice(id.as_bytes());
    match event {
        Event::Greeted(_) => {
            vec![
                Welcome {
                    protocol: VERSION,
                    version: "0".into(),
                    silence_seconds: 30,
                    certificate: "certified".into(),
                }
                .into(),
            ]
        }
        Event::Open(info) => {
            let finished = std::mem::take(&mut told.finished);
            let held = told.recordings.entry(info.id).or_insert_with(|| Taken {
                chain: Chain::new(info.id),
                records: Vec::new(),
                end: (0, 0),
            });
            let next_seq = held.chain.next_seq();
            let settings = RecordingSettings { frame_rate: 7, ..Default::default() };
            if !finished {
                intake.opened(info.id, next_seq);
            }
            let opened = Opened {
                recording: bytes(info.id),
                next_seq,
                head_hash: match next_seq {
                    0 => Bytes::new(),
                    _ => Bytes::copy_from_slice(held.chain.head().as_bytes()),
                },
                segment: held.end.0,
                end_us: held.end.1,
                settings: serde_json::to_string(&settings).unwrap(),
                finished,
                anchor_seq: held.chain.anchor_seq(),
            };
            vec![opened.into(), Watch { recording: bytes(info.id), watched: true }.into()]
        }
        Event::Fragment(id, fragment) => {
            if let Some(reason) = told.refuse.take() {
                intake.closed(id);
                return vec![
                    Refused { recording: bytes(id), reason: reason as i32, text: "told to".into() }.into(),
                ];
            }
            let held = told.recordings.get_mut(&id).unwrap();
            let open = open_fragment(&fragment.record).unwrap();
            held.chain.accept(&open).unwrap();
            held.end = (open.head().segment, open.head().end_us);
            held.records.push(fragment.record);
            *taken += 1;
            vec![Durable { recording: bytes(id), next_seq: fragment.seq + 1 }.into()]
        }
        Event::OutOfOrder { recording, .. } => {
            vec![
                Refused {
                    recording: bytes(recording),
                    reason: Refusal::Mismatch as i32,
                    text: "order".into(),
                }
                .into(),
            ]
        }
        Event::Queue(queue) => {
            told.queue = Some(*queue);
            Vec::new()
        }
        _ => Vec::new(),
    }
}

/// A server, a spool and an uplink between them.
struct Stage {
    folder: TempDir,
    site: Arc<Site>,
    token: JoinToken,
    spool: Arc<Spool>,
    registry: Arc<Registry>,
    _stop: tokio_util::sync::DropGuard,
}

impl Stage {
    async fn new(settings: SpoolSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(folder.path(), "test").unwrap();
        let tls = authority.server_config(&["127.0.0.1".into()]).unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), Some(tls)).await.unwrap();
        let url = format!("https://{}", listener.address());
        let site = Arc::new(Site {
            challenges: Challenges::new().unwrap(),
            keys: Mutex::default(),
            told: Mutex::default(),
        });
        let router = Router::new()
            .route(CHALLENGE_PATH, post(challenge))
            .route(AGENT_ENROL_PATH, post(enrol))
            .route(AGENT_CONNECT_PATH, get(connect))
            .with_state(Arc::clone(&site));
        let stop = CancellationToken::new();
        tokio::spawn(listener.serve(router, stop.clone()));
        let token = JoinToken {
            kind: JoinKind::Agent,
            url,
            authority: Some(URL_SAFE_NO_PAD.encode(authority.der())),
            secret: "secret".into(),
        };
        let spool = Arc::new(Spool::open(&folder.path().join("spool"), settings).unwrap());
        let registry = Arc::new(Registry::default());
        Self { folder, site, token, spool, registry, _stop: stop.drop_guard() }
    }

    fn uplink(&self) -> Uplink {
        let path = self.folder.path().join("identity.json");
        let shared = Shared {
            spool: Arc::clone(&self.spool),
            registry: Arc::clone(&self.registry),
            desk: Arc::new(Desk::new().unwrap()),
            status: Arc::default(),
            host: "pc1".into(),
            system: "Linux".into(),
            signer: crate::testing::signer(),
            certificate: self.folder.path().join("certificate.pem"),
        };
        Uplink {
            shared: Arc::new(shared),
            key: Arc::new(NodeKey::load_or_create(&self.folder.path().join("key")).unwrap()),
            identity: Identity::load(&path).unwrap(),
            path,
            join: Some(self.token.clone()),
        }
    }

    /// Queues two segments of three fragments.
    fn fill(&self, byte: u8) -> Arc<crate::spool::Queue> {
        let started = Started { info: info(byte), boot_id: "boot".into(), start_boot_us: 0 };
        let queue = self.spool.create(started).unwrap();
        for fragment in fragments(&info(byte), 2, 3) {
            match self.spool.append(&queue, &fragment) {
                // The server may have refused the first of them already.
                Err(SpoolError::Closed { .. }) => break,
                appended => appended.unwrap(),
            }
        }
        queue
    }

    fn end(&self, queue: &crate::spool::Queue) {
        let (head, hash) = queue.tail().unwrap().unwrap();
        let end = crate::recorder::end_after(
            &head,
            hash,
            playhead_model::EndReason::AgentStopped,
            &crate::testing::signer(),
        )
        .unwrap();
        self.spool.append(queue, &end).unwrap();
    }
}

async fn until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain for {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_though_the_connection_breaks_and_what_has_ended_is_forgotten() {
    let stage = Stage::new(SpoolSettings::default()).await;
    let (one, two) = (stage.fill(1), stage.fill(2));
    stage.site.told().break_after = Some(4);
    let drain = CancellationToken::new();
    let running = tokio::spawn(stage.uplink().run(drain.clone()));
    until("both recordings", || stage.site.count(one.id()) == 6 && stage.site.count(two.id()) == 6).await;
    assert!(stage.site.told().connections >= 2);
    until("the settings", || stage.registry.settings().frame_rate == 7).await;
    stage.end(&one);
    until("the end", || stage.site.count(one.id()) == 7).await;
    until("the ended queue to go", || stage.spool.get(one.id()).is_none()).await;
    drain.cancel();
    running.await.unwrap().unwrap();
    assert!(stage.spool.get(two.id()).is_some(), "it has not ended");
    assert!(two.first().unwrap().0 >= 3, "the durable segment was deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_queued_at_the_stop_is_still_sent_and_a_restart_needs_no_token() {
    let stage = Stage::new(SpoolSettings::default()).await;
    let queue = stage.fill(1);
    stage.end(&queue);
    let drain = CancellationToken::new();
    drain.cancel();
    stage.uplink().run(drain.clone()).await.unwrap();
    assert_eq!(stage.site.count(queue.id()), 7);
    assert!(stage.spool.all().is_empty());

    let queue = stage.fill(2);
    let again = Uplink { join: None, ..stage.uplink() };
    again.run(drain).await.unwrap();
    assert_eq!(stage.site.count(queue.id()), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_ends_the_agent_and_says_what_to_do() {
    let mut stage = Stage::new(SpoolSettings::default()).await;
    stage.token.secret = "another".into();
    let error = stage.uplink().run(CancellationToken::new()).await.unwrap_err().to_string();
    assert!(error.contains("refused") && error.contains("this token was used up"), "{error}");
    let uplink = Uplink { join: None, ..stage.uplink() };
    let error = uplink.run(CancellationToken::new()).await.unwrap_err().to_string();
    assert!(error.contains("--join"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mismatch_is_cleared_by_opening_again_and_a_malformed_fragment_is_kept_aside() {
    let stage = Stage::new(SpoolSettings::default()).await;
    let (one, control) = (stage.fill(1), Arc::new(crate::control::Control::new().unwrap()));
    stage.registry.begin(one.id(), &control);
    stage.site.told().refuse = Some(Refusal::Mismatch);
    let drain = CancellationToken::new();
    let running = tokio::spawn(stage.uplink().run(drain.clone()));
    until("the recording after a mismatch", || stage.site.count(one.id()) == 6).await;
    assert!(control.take().watched);
    assert_eq!(stage.site.told().connections, 1);

    stage.site.told().refuse = Some(Refusal::Malformed);
    let two = stage.fill(2);
    until("the refused queue to be set aside", || stage.spool.get(two.id()).is_none()).await;
    let aside = stage.folder.path().join(format!("spool/{}.refused", two.id()));
    until("the note", || aside.join("why.txt").exists()).await;
    assert!(std::fs::read_to_string(aside.join("why.txt")).unwrap().contains("told to"));
    stage.end(&one);
    until("the other recording to go on", || stage.site.count(one.id()) == 7).await;
    drain.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_comes_with_the_last_answer_is_not_forgotten() {
    let stage = Stage::new(SpoolSettings::default()).await;
    let queue = stage.fill(1);
    let (head, hash) = queue.tail().unwrap().unwrap();
    let mut lane = lane::Lane::new(Arc::clone(&queue));
    let opened = Opened {
        recording: Bytes::copy_from_slice(queue.id().as_bytes()),
        next_seq: 6,
        head_hash: Bytes::copy_from_slice(hash.as_bytes()),
        segment: head.segment,
        end_us: head.end_us,
        ..Opened::default()
    };
    lane.opened(&opened).unwrap();
    assert!(lane.is_empty() && !lane.is_done());
    // It is queued, and the lane has not heard of it.
    stage.end(&queue);
    assert!(lane.is_empty() && queue.has_ended() && !lane.is_done());
    lane.queued(&queue.waiting(lane.end()));
    assert!(!lane.is_done());
    lane.next().unwrap();
    lane.durable(7).unwrap();
    assert!(lane.is_done());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_the_server_has_ended_is_begun_anew() {
    let stage = Stage::new(SpoolSettings::default()).await;
    let (one, control) = (stage.fill(1), Arc::new(crate::control::Control::new().unwrap()));
    let drain = CancellationToken::new();
    let running = tokio::spawn(stage.uplink().run(drain.clone()));
    until("the recording", || stage.site.count(one.id()) == 6).await;
    drain.cancel();
    running.await.unwrap().unwrap();

    stage.registry.begin(one.id(), &control);
    stage.site.told().finished = true;
    let drain = CancellationToken::new();
    let running = tokio::spawn(stage.uplink().run(drain.clone()));
    until("the display to begin anew", || {
        control.take().renew.is_some_and(|renew| renew.recording == one.id())
    })
    .await;
    until("the queue to go", || stage.spool.get(one.id()).is_none()).await;
    drain.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_full_queue_let_go_of_is_declared_and_the_rest_still_follows() {
    let made = fragments(&info(1), 4, 3);
    let segment: u64 = made[..3].iter().map(|fragment| fragment.bytes.len() as u64 + 24).sum();
    let settings = SpoolSettings {
        quota_bytes: segment * 5 / 2,
        when_full: WhenFull::KeepNewest,
        ..SpoolSettings::default()
    };
    let stage = Stage::new(settings).await;
    let started = Started { info: info(1), boot_id: "boot".into(), start_boot_us: 0 };
    let queue = stage.spool.create(started).unwrap();
    // Some of it arrives before the queue overflows.
    stage.spool.append(&queue, &made[0]).unwrap();
    stage.spool.append(&queue, &made[1]).unwrap();
    let drain = CancellationToken::new();
    let running = tokio::spawn(stage.uplink().run(drain.clone()));
    until("the first two", || stage.site.count(queue.id()) == 2).await;
    drain.cancel();
    running.await.unwrap().unwrap();

    for fragment in &made[2..] {
        stage.spool.append(&queue, fragment).unwrap();
    }
    stage.end(&queue);
    let kept = made.len() as u64 + 1 - queue.first().unwrap().0;
    let drain = CancellationToken::new();
    drain.cancel();
    stage.uplink().run(drain).await.unwrap();
    assert_eq!(stage.site.count(queue.id()) as u64, 2 + kept, "the server checked the chain of each");
    let told = stage.site.told();
    let first = open_fragment(&told.recordings[&queue.id()].records[2]).unwrap();
    assert!(first.head().flags.gap_before && first.head().flags.first_of_segment);
    drop(told);
    assert!(stage.spool.all().is_empty());
}

/// What a server has and what follows, as (gaps declared, number of fragments).
fn gaps(stage: &Stage, id: RecordingId) -> Vec<(u64, u64, GapCause)> {
    let told = stage.site.told();
    let mut gaps = Vec::new();
    for record in &told.recordings[&id].records {
        let open = open_fragment(record).unwrap();
        for message in open.messages().map(Result::unwrap).filter(|message| message.channel == 2) {
            if let MetaMessage::Gap { from_us, to_us, cause } = MetaMessage::parse(message.data) {
                gaps.push((from_us, to_us, cause));
            }
        }
    }
    gaps
}

impl Stage {
    /// Sends what is queued.
    async fn send(&self) {
        let drain = CancellationToken::new();
        drain.cancel();
        self.uplink().run(drain).await.unwrap();
    }

    /// What a restarted agent finds.
    fn reopen(&mut self) {
        self.spool =
            Arc::new(Spool::open(&self.folder.path().join("spool"), SpoolSettings::default()).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_whose_queue_is_gone_goes_on_after_what_the_server_has() {
    for known in [true, false] {
        let mut stage = Stage::new(SpoolSettings::default()).await;
        let old = stage.fill(1);
        let end_us = fragments(&info(1), 2, 3)[5].head.end_us;
        if known {
            stage.send().await;
            assert_eq!(stage.site.count(old.id()), 6);
        }
        std::fs::remove_dir_all(stage.folder.path().join("spool")).unwrap();
        stage.reopen();
        let started = Started { info: info(1), boot_id: "boot".into(), start_boot_us: 0 };
        let queue = stage.spool.create_after_loss(started, GapCause::AgentRestarted).unwrap();
        let more = fragments_of(Recorder::new(info(1), rolling(), 2), 400_000_000, 2, 2);
        for fragment in &more[..3] {
            stage.spool.append(&queue, fragment).unwrap();
        }
        stage.send().await;
        // Again a restart, an ordinary one: the numbers stay.
        drop(queue);
        stage.reopen();
        let queue = stage.spool.get(info(1).id).unwrap();
        stage.spool.append(&queue, &more[3]).unwrap();
        stage.end(&queue);
        stage.send().await;
        let before = if known { 6 } else { 0 };
        assert_eq!(stage.site.count(queue.id()), before + 5, "the server checked the chain of each");
        let from_us = if known { end_us } else { 0 };
        assert_eq!(gaps(&stage, queue.id()), [(from_us, 400_000_000, GapCause::AgentRestarted)]);
        assert!(stage.spool.all().is_empty() && stage.spool.standing().refused.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_more_than_a_damaged_queue_gets_what_follows() {
    for sent in [2, 3, 6] {
        let mut stage = Stage::new(SpoolSettings::default()).await;
        let queue =
            stage.spool.create(Started { info: info(1), boot_id: "boot".into(), start_boot_us: 0 }).unwrap();
        let made = fragments(&info(1), 2, 3);
        for fragment in &made[..sent] {
            stage.spool.append(&queue, fragment).unwrap();
        }
        stage.send().await;
        for fragment in &made[sent..] {
            stage.spool.append(&queue, fragment).unwrap();
        }
        let path = stage.folder.path().join("spool").join(queue.id().to_string());
        drop(queue);
        // Fragments 3 to 5 are in the newest file: the disk loses 4 and 5.
        let newest = path.join(format!("{:020}.queue", 3));
        let mut bytes = std::fs::read(&newest).unwrap();
        let at = made[3].bytes.len() + 24;
        bytes[at] ^= 1;
        std::fs::write(&newest, bytes).unwrap();
        stage.reopen();
        let queue = stage.spool.get(info(1).id).unwrap();
        assert!(queue.lost_tail());
        queue.note_lost_tail().unwrap();
        let tail = queue.tail().unwrap().unwrap();
        assert_eq!(tail.0.seq, 3);
        let recorder = Recorder::resume(info(1), rolling(), 3, tail, GapCause::QueueDamaged);
        for fragment in fragments_of(recorder, 400_000_000, 1, 3) {
            stage.spool.append(&queue, &fragment).unwrap();
        }
        stage.send().await;
        stage.end(&queue);
        stage.send().await;
        let have = sent.max(4);
        assert_eq!(stage.site.count(queue.id()), have + 4, "{sent} sent before");
        let from_us = made[have - 1].head.end_us;
        assert_eq!(gaps(&stage, queue.id()), [(from_us, 400_000_000, GapCause::QueueDamaged)]);
        assert!(stage.spool.all().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_cannot_be_read_is_set_aside_and_the_others_go_on() {
    let stage = Stage::new(SpoolSettings::default()).await;
    let (one, two) = (stage.fill(1), stage.fill(2));
    let control = Arc::new(crate::control::Control::new().unwrap());
    stage.registry.begin(one.id(), &control);
    let folder = stage.folder.path().join("spool").join(one.id().to_string());
    let first = folder.join(format!("{:020}.queue", 0));
    let length = std::fs::metadata(&first).unwrap().len();
    std::fs::write(&first, vec![7; length as usize]).unwrap();
    let drain = CancellationToken::new();
    let running = tokio::spawn(stage.uplink().run(drain.clone()));
    until("the other recording", || stage.site.count(two.id()) == 6).await;
    assert!(stage.site.told().queue.as_ref().is_some_and(|queue| queue.when_full == "pause"));
    until("the display to go on", || control.take().renew.is_some_and(|renew| renew.same)).await;
    assert_eq!(stage.site.count(one.id()), 0);
    assert!(stage.spool.standing().refused[0].why.contains("damaged"));
    let error = stage.spool.append(&one, &fragments(&info(1), 3, 3)[6]).unwrap_err();
    assert!(matches!(error, SpoolError::Closed { failed: true, .. }));
    // The same recording with a new queue, while the connection lasts.
    let started = Started { info: info(1), boot_id: "boot".into(), start_boot_us: 0 };
    let again = stage.spool.create_after_loss(started, GapCause::QueueDamaged).unwrap();
    for fragment in fragments_of(Recorder::new(info(1), rolling(), 2), 400_000_000, 1, 2) {
        stage.spool.append(&again, &fragment).unwrap();
    }
    until("the recording to go on", || stage.site.count(one.id()) == 2).await;
    assert_eq!(gaps(&stage, one.id()), [(0, 400_000_000, GapCause::QueueDamaged)]);
    drain.cancel();
    running.await.unwrap().unwrap();
}
