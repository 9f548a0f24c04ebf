use super::{shared, *};
use crate::fragments::Tape;
use crate::{
    LocationSettings,
    journal::{Append, GROUPS, Journal, JournalSettings, Outlets, open_object, recover},
    recordings::{Live, Session},
    space::Space,
    start::declared,
};
use playhead_db::site::{Enrolment, NewAgent, NewToken, Opening, SegmentRow};
use playhead_format::open_fragment;
use playhead_model::{SiteId, WallTime};
use std::{path::Path, time::Instant};
use tokio::sync::mpsc;

fn now() -> WallTime {
    WallTime::from_micros(1_790_000_000_000_000)
}

async fn cluster(folder: &Path) -> Arc<Cluster> {
    let store = Store::open(&format!("sqlite:{}", folder.join("site.db").display())).await.unwrap();
    let settings = [LocationSettings::new(folder.join("share").to_str().unwrap())];
    let site = SiteId::from_bytes([1; 16]);
    let storage = Locations::open(&settings, folder, &store, site, 0).await.unwrap();
    let key = NodeKey::generate().unwrap();
    let server = NewServer {
        id: ServerId::from_bytes([2; 16]),
        name: "s".into(),
        url: String::new(),
        authority: String::new(),
        public_key: key.public(),
        version: "1".into(),
        shared: true,
        lease_ms: 10_000,
    };
    let joining = Joining {
        server,
        has_peers: false,
        store,
        storage: Arc::new(storage),
        recordings: Arc::default(),
        metrics: Metrics::new(),
        key,
        stop: CancellationToken::new(),
    };
    Cluster::join(joining).await.unwrap()
}

/// A recording of which nothing is there yet.
async fn live(cluster: &Cluster, tape: &Tape) -> Arc<Live> {
    let store = &cluster.store;
    let token =
        NewToken { hash: "t".into(), uses: 9, expires_at: now().plus_micros(1), created_by: "x".into() };
    let _ = store.add_join_token(&token, now()).await;
    let agent = NewAgent {
        id: uuid::Uuid::from_u128(7).into(),
        host: "h".into(),
        public_key: "k".into(),
        version: "1".into(),
    };
    let Enrolment::Enrolled(agent) = store.enrol("t", &agent, now()).await.unwrap() else {
        panic!("no agent")
    };
    match store.open_recording(agent, cluster.server.id, &tape.info, now()).await.unwrap() {
        Opening::Opened(row) => cluster.recordings.get_or_insert(tape.id(), || Live::new(&row, &[])),
        Opening::NotYours => panic!("another agent's"),
    }
}

/// Everything before a fragment is stored.
fn stored(live: &Live, next_seq: u64) -> SegmentRow {
    SegmentRow {
        recording: live.id(),
        number: 0,
        location: "default".into(),
        path: "x".into(),
        bytes: 1,
        blake3: "0".repeat(64),
        first_seq: 0,
        next_seq,
        start_us: 0,
        end_us: 1,
        events: 0,
        head: "0".repeat(64),
        stored_at: now(),
        vault: None,
    }
}

/// How far one gets who reads all objects in the order of their names, as somebody does who takes over.
async fn readable(cluster: &Cluster, from: u64, id: RecordingId) -> (usize, u64) {
    let all: Vec<String> = cluster.storage.all().iter().map(|location| location.id.clone()).collect();
    let objects = cluster.list_journal(cluster.server.id, &all).await.unwrap();
    let mut next = from;
    for (name, location) in &objects {
        for fragment in open_object(&location.read_object(name).await.unwrap()).unwrap() {
            next += u64::from((fragment.head.recording, fragment.head.seq) == (id, next));
        }
    }
    (objects.len(), next)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_read_back_however_often_it_was_put_together() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = cluster(folder.path()).await;
    let (groups, uploads) = mpsc::channel(GROUPS);
    let uploading = tokio::spawn(shared::run(Arc::clone(&cluster), uploads));
    let settings = JournalSettings { folder: folder.path().join("journal"), file_bytes: 1 << 16 };
    let outlets = Outlets {
        recordings: Arc::clone(&cluster.recordings),
        space: Arc::new(Space::new([folder.path().to_owned()], 0).unwrap()),
        metrics: Arc::clone(&cluster.metrics),
        shared: Some(groups),
    };
    let recovered = recover(&settings.folder).unwrap();
    let (journal, thread) = Journal::start(settings, recovered, outlets).unwrap();

    let mut tapes = [Tape::new("a"), Tape::new("b")];
    let lives = [live(&cluster, &tapes[0]).await, live(&cluster, &tapes[1]).await];
    let sessions = [0, 1].map(|at: usize| Session::new(lives[at].id(), Arc::default()));
    for round in 0..600usize {
        let (tape, live, session) = (&mut tapes[round % 2], &lives[round % 2], &sessions[round % 2]);
        let made = tape.tick(20);
        let opened = open_fragment(&made.bytes).unwrap();
        let (gaps, end) = declared(&opened);
        let permit = journal.room(made.bytes.len()).await.unwrap();
        let append = Append {
            live: Arc::clone(live),
            session: Arc::clone(session),
            record: made.bytes,
            head: *opened.head(),
            hash: opened.hash(),
            gaps,
            end,
            permit,
            received: Instant::now(),
        };
        journal.append(append).await.unwrap();
        journal.barrier().await.unwrap();
        // One object for each.
        settled(live, Duration::from_secs(20)).await.unwrap();
        if round == 300 {
            lives[1].sealed(&stored(&lives[1], 40));
        }
        if round > 0 && round % 270 == 0 {
            cluster.tidy().await;
        }
    }
    let (count, a) = readable(&cluster, 0, lives[0].id()).await;
    let (_, b) = readable(&cluster, 40, lives[1].id()).await;
    assert_eq!((a, b), (300, 300));
    assert!(count < 450, "{count} objects");

    // Started again: written anew from the disk, and nothing is left of before.
    assert!(cluster.publish(&lives.clone()).await);
    let (_, a) = readable(&cluster, 0, lives[0].id()).await;
    assert_eq!(a, 300);
    for live in &lives {
        live.sealed(&stored(live, 300));
    }
    cluster.tidy().await;
    assert_eq!(readable(&cluster, 0, lives[0].id()).await, (0, 0));

    journal.stop().await;
    thread.join().unwrap();
    uploading.await.unwrap();
}
