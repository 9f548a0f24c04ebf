//! Keys survive the death of the program at any moment: the real binary, killed again and again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use playhead_db::site::{Enrolment, NewAgent, NewToken, Opening, Progress, Store, WrappedKey};
use playhead_model::{RecordingId, RecordingInfo, RecordingState, ServerId, WallTime};
use playhead_server::{KeyAdmin, Server, Settings};
use playhead_vault::{DataKey, KeyId, NONCE, SiteKey};
use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

fn now() -> WallTime {
    WallTime::from_micros(1_790_000_000_000_000)
}

/// A site with a key in a file.
async fn site(data: &Path) -> Store {
    let settings = Settings { site_key: Some("file".parse().unwrap()), ..Settings::new(data) };
    Server::start(settings).await.unwrap().shutdown().await;
    Store::open(&format!("sqlite:{}", data.join("site.db").display())).await.unwrap()
}

/// The newest key in the file, with its name.
fn site_key(data: &Path) -> (String, SiteKey) {
    let text = std::fs::read_to_string(data.join("site.keys")).unwrap();
    let value = |name: &str| {
        let line = text.lines().rev().find_map(|line| line.strip_prefix(&format!("{name} = \""))).unwrap();
        line.trim_end_matches('"').to_owned()
    };
    let bytes = STANDARD_NO_PAD.decode(value("key")).unwrap();
    (format!("file:{}", value("id")), SiteKey::new(bytes.try_into().unwrap()))
}

/// A finished recording with a data key.
async fn recording(store: &Store, data: &Path, number: u128) -> (RecordingId, DataKey) {
    let token = NewToken {
        hash: number.to_string(),
        uses: 1,
        expires_at: now().plus_micros(1),
        created_by: "t".into(),
    };
    store.add_join_token(&token, now()).await.unwrap();
    let agent = KeyId::from_u128(number).into();
    let new = NewAgent { id: agent, host: "h".into(), public_key: number.to_string(), version: "1".into() };
    assert!(matches!(store.enrol(&token.hash, &new, now()).await.unwrap(), Enrolment::Enrolled(_)));
    let info = RecordingInfo {
        id: KeyId::from_u128(number).into(),
        host: "h".into(),
        user: "u".into(),
        display: ":1".into(),
        client: None,
        client_address: None,
        application: "desktop".into(),
        started_at: now(),
        agent_version: "1".into(),
        monitors: vec![],
        session: None,
    };
    let server = ServerId::from_bytes([1; 16]);
    let Opening::Opened(row) = store.open_recording(agent, server, &info, now()).await.unwrap() else {
        panic!()
    };
    let progress = Progress {
        recording: info.id,
        state: RecordingState::Finished,
        duration_us: 1,
        bytes: 1,
        fragments: 1,
        segments: 1,
        width: 1,
        height: 1,
        events: 0,
        end_reason: None,
        problem: None,
        quarantined_at: None,
        heard_at: row.heard_at,
        connected: false,
        new_gaps: vec![],
    };
    store.set_progress(&[progress]).await.unwrap();
    let key = DataKey::new(KeyId::from_u128(number), [u8::try_from(number % 251).unwrap(); 32]);
    let (name, site) = site_key(data);
    let wrapped = site.wrap(info.id, &key, [u8::try_from(number % 256).unwrap(); NONCE]);
    let wrapped = WrappedKey { site_key: name, wrapped: STANDARD_NO_PAD.encode(wrapped) };
    store.add_data_key(info.id, &key.id().to_string(), &wrapped, now()).await.unwrap();
    (info.id, key)
}

fn playhead(data: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_playhead"));
    command.args(words).arg("--data").arg(data).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Runs it and kills it after a while; whether it was over by then, and well.
fn cut_off(data: &Path, words: &[&str], after: Duration) -> bool {
    let mut child = playhead(data, words).spawn().unwrap();
    // A moment like any other: that is what is tested.
    std::thread::sleep(after);
    let over = child.try_wait().unwrap();
    if over.is_none() {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    over.is_some_and(|status| status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn rewrapping_goes_on_where_it_was_killed_and_no_key_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let store = site(data).await;
    let mut keys = Vec::new();
    for number in 1..=150 {
        keys.push(recording(&store, data, number).await);
    }
    assert!(playhead(data, &["key", "rotate"]).status().unwrap().success());
    let (current, site) = site_key(data);
    let mut cuts = 0;
    for milliseconds in (20..).step_by(25) {
        if cut_off(data, &["key", "rewrap"], Duration::from_millis(milliseconds)) {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 0, "it was killed at least once");
    for (recording, key) in keys {
        let row = store.data_key(recording).await.unwrap().unwrap();
        let wrapped = row.wrapped.unwrap();
        assert_eq!(wrapped.site_key, current);
        let bytes = STANDARD_NO_PAD.decode(wrapped.wrapped).unwrap();
        assert_eq!(site.unwrap(recording, key.id(), &bytes).unwrap(), key);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_shredded_altogether_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let store = site(data).await;
    let (mut gone, mut left) = (0, 0);
    for number in 1..=24 {
        let (recording, _) = recording(&store, data, number).await;
        let id = recording.to_string();
        let after = Duration::from_millis(10 * u64::try_from(number).unwrap());
        cut_off(data, &["shred", &id, "--yes", "--why", "test"], after);
        let key = store.data_key(recording).await.unwrap().unwrap().wrapped;
        let shredded = store.recording(recording).await.unwrap().unwrap().privacy.shredded;
        assert_eq!(key.is_none(), shredded.is_some(), "{recording}");
        if shredded.is_some() {
            gone += 1;
        } else {
            left += 1;
        }
        // Called again it is done.
        assert!(playhead(data, &["shred", &id, "--yes"]).status().unwrap().success());
        assert!(store.data_key(recording).await.unwrap().unwrap().wrapped.is_none());
    }
    assert_eq!(gone + left, 24);
    let admin = KeyAdmin::open(data, None).await.unwrap();
    assert_eq!(admin.report().await.unwrap().keys[0].data_keys, 0);
    admin.close().await;
    store.database().close().await;
    // Nothing of the wrapped keys is left in the database's files.
    let (_, wrapped) = site_key(data);
    let key = DataKey::new(KeyId::from_u128(1), [1; 32]);
    let trace = STANDARD_NO_PAD.encode(wrapped.wrap(KeyId::from_u128(1).into(), &key, [1; NONCE]));
    for file in std::fs::read_dir(data).unwrap().flatten() {
        if file.file_name().to_string_lossy().starts_with("site.db") {
            let bytes = std::fs::read(file.path()).unwrap();
            let found = bytes.windows(trace.len()).any(|window| window == trace.as_bytes());
            assert!(!found, "{}", file.path().display());
        }
    }
}
