//! Time stamps of a real authority, that of `openssl ts`, behind a small HTTP server.

use super::{
    fragments::Tape,
    house::{House, until},
};
use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use playhead_format::scan;
use playhead_proof::{StampTrust, TimeStamp};
use playhead_server::StampSettings;
use sha2::{Digest as _, Sha256};
use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

#[path = "../../../proof/tests/authority/mod.rs"]
mod authority;

use authority::Authority;

/// The authority, and whether it answers.
type Office = Arc<(Authority, AtomicBool)>;

async fn answer(State(office): State<Office>, request: Bytes) -> Result<Vec<u8>, StatusCode> {
    if !office.1.load(Ordering::Relaxed) {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    office.0.answer(&request).ok_or(StatusCode::BAD_REQUEST)
}

async fn open(office: &Office) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/", post(answer)).with_state(Arc::clone(office));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

fn tape() -> Tape {
    let mut tape = Tape::new("u");
    for part in 0..4 {
        if part == 2 {
            tape.roll_over(2_000)
        } else {
            tape.tick(2_000)
        };
    }
    tape.end();
    tape
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_recording_is_stamped_as_soon_as_the_authority_answers_and_the_stamp_lies_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let office: Office =
        Arc::new((Authority::new(folder.path(), "rsa:2048", "timeStamping"), AtomicBool::new(false)));
    let address = open(&office).await;
    let root = folder.path().join("root.pem");
    let house = House::with(|settings| {
        let authorities = Some(root.clone());
        settings.stamps = Some(StampSettings { url: format!("http://{address}/"), authorities });
    })
    .await;
    let tape = tape();
    house.agent().await.connect().await.deliver(&tape).await;
    // The authority is away: everything is stored all the same, and health says so.
    house.stored(tape.id(), 2).await;
    let health = house.degraded().await;
    assert!(health["problems"][0].as_str().unwrap().contains("503"), "{health}");
    office.1.store(true, Ordering::Relaxed);
    let stamps = until(async || {
        let files = house.files("recordings");
        let found: Vec<_> = files.into_iter().filter(|name| name.ends_with(".tsr")).collect();
        (!found.is_empty()).then_some(found)
    })
    .await;
    assert_eq!(stamps.len(), 1);
    assert!(stamps[0].ends_with("000001.mcap.tsr"), "over the end: {stamps:?}");
    let path = house.data().join("recordings").join(&stamps[0]);
    let file = fs::File::open(path.to_str().unwrap().strip_suffix(".tsr").unwrap()).unwrap();
    let seal = scan(file).unwrap().seal.unwrap();
    let trust = StampTrust::from_pem(&office.0.certificate()).unwrap();
    let stamp = TimeStamp::read(&fs::read(&path).unwrap()).unwrap();
    let info = stamp.check(&Sha256::digest(&seal).into(), Some(&trust)).unwrap();
    assert_eq!(info.authority, "Test TSA");
    until(async || (house.json("/site/v1/health").await["state"] == "ok").then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_is_not_trusted_stamps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let made = |name: &str| Authority::new(&folder.path().join(name), "ec", "timeStamping");
    let office: Office = Arc::new((made("stranger"), AtomicBool::new(true)));
    made("own");
    let address = open(&office).await;
    let root = folder.path().join("own/root.pem");
    let house = House::with(|settings| {
        settings.stamps = Some(StampSettings { url: format!("http://{address}/"), authorities: Some(root) });
    })
    .await;
    let tape = tape();
    house.agent().await.connect().await.deliver(&tape).await;
    let health = house.degraded().await;
    assert!(health["problems"][0].as_str().unwrap().contains("leads to none that is trusted"), "{health}");
    assert!(house.files("recordings").iter().all(|name| !name.ends_with(".tsr")));
}
