//! Two servers of one site on a PostgreSQL that `PLAYHEAD_TEST_POSTGRES` names (`scripts/with-postgres`) and a folder that they share.

use super::{
    agent::Enrolment,
    fragments::Tape,
    house::{House, until},
};
use axum::body::Body;
use http::StatusCode;
use playhead_db::{Area, Database};
use playhead_model::ServerId;
use playhead_net::{DialError, Endpoint, NodeKey};
use playhead_protocol::{PEER_CONNECT_PATH, PEER_UPGRADE};
use playhead_server::{Durable, LocationSettings, Settings};
use std::{path::Path, sync::Arc, time::Duration};

const NOTHING: Area = Area { name: "nothing", migrations: &[] };

/// The address of an empty schema; `None`, with a word about it, without a database.
async fn schema(name: &str) -> Option<String> {
    let Ok(base) = std::env::var("PLAYHEAD_TEST_POSTGRES") else {
        println!("NOT RUN on PostgreSQL: set PLAYHEAD_TEST_POSTGRES=postgres://…, or use `make test`");
        return None;
    };
    let schema = format!("two_{name}_{}", std::process::id());
    let database = Database::open(&base, &NOTHING).await.unwrap();
    let mut tx = database.write().await.unwrap();
    for text in [format!("DROP SCHEMA IF EXISTS {schema} CASCADE"), format!("CREATE SCHEMA {schema}")] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    database.close().await;
    let separator = if base.contains('?') { '&' } else { '?' };
    Some(format!("{base}{separator}options[search_path]={schema}"))
}

fn change(settings: &mut Settings, database: &str, share: &Path, durable: Durable) {
    settings.database = Some(database.to_owned());
    settings.storage = vec![LocationSettings::new(share.to_str().unwrap())];
    settings.durable = Some(durable);
    settings.lease = Duration::from_secs(2);
}

/// Two servers with one authority and one console.
async fn two(name: &str, share: &Path, durable: Durable) -> Option<(House, House)> {
    let database = schema(name).await?;
    let one = House::with(|settings| change(settings, &database, share, durable)).await;
    let key = Arc::clone(&one.key);
    let authority = one.data().to_owned();
    let mut other = House::with(|settings| {
        change(settings, &database, share, durable);
        std::fs::create_dir_all(&settings.data).unwrap();
        for file in ["authority.pem", "authority.key"] {
            std::fs::copy(authority.join(file), settings.data.join(file)).unwrap();
        }
        settings.console_keys = vec![key.public()];
    })
    .await;
    other.key = key;
    Some((one, other))
}

/// The same agent at the other server.
fn at(agent: &Enrolment, house: &House) -> Enrolment {
    let authority = authority_of(house.data());
    let endpoint = Endpoint::new(house.server().agents_url(), Some(&authority)).unwrap();
    Enrolment { endpoint, key: Arc::clone(&agent.key), id: agent.id }
}

/// The authority's certificate, DER.
fn authority_of(data: &Path) -> Vec<u8> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let text = std::fs::read_to_string(data.join("authority.pem")).unwrap();
    let body: String = text.lines().skip(1).take_while(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(body).unwrap()
}

async fn goes_along(name: &str, durable: Durable) {
    let share = tempfile::tempdir().unwrap();
    let Some((mut one, other)) = two(name, share.path(), durable).await else { return };
    let enrolled = one.agent().await;
    let mut tape = Tape::new("u");
    (0..30).for_each(|_| drop(tape.tick(5_000)));
    let mut agent = enrolled.connect().await;
    agent.deliver(&tape).await;

    // The other server passes on what this one holds.
    assert_eq!(other.fragments(tape.id(), "at=0").await, tape.bytes(0, 30));
    assert_eq!(other.json(&format!("/site/v1/recordings/{}", tape.id())).await["connected"], true);

    // The agent comes to the other one: the recording goes along, and on with the next fragment.
    let mut agent = at(&enrolled, &other).connect().await;
    assert_eq!(agent.open(&tape).await.next_seq, 30);
    (0..5).for_each(|_| drop(tape.tick(5_000)));
    agent.send_rest(&tape, 30).await;
    assert_eq!(other.fragments(tape.id(), "at=0").await, tape.bytes(0, 35));
    assert_eq!(one.fragments(tape.id(), "at=0").await, tape.bytes(0, 35));
    let servers = one.json("/site/v1/servers").await;
    let live: Vec<_> =
        servers["items"].as_array().unwrap().iter().map(|server| &server["live_recordings"]).collect();
    assert!(live.contains(&&0.into()) && live.contains(&&1.into()), "{servers}");

    // And back, since this one stops: what the agent has not sent anywhere is all that is missing.
    drop(agent);
    let mut other = other;
    other.stop().await;
    let mut agent = enrolled.connect().await;
    assert_eq!(agent.open(&tape).await.next_seq, 35);
    tape.end();
    agent.send_rest(&tape, 35).await;
    one.stored(tape.id(), 1).await;
    assert_eq!(one.fragments(tape.id(), "at=0").await, tape.bytes(0, 36));
    // Nothing of the shared journal is left once all of it is stored.
    until(async || {
        let left = std::fs::read_dir(share.path().join("journal")).into_iter().flatten().flatten();
        let files = left.flat_map(|server| walk(&server.path()));
        (files.count() == 0).then_some(())
    })
    .await;
    one.stop().await;
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => files.extend(walk(&path)),
            path => files.push(path),
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_goes_along_with_its_agent() {
    goes_along("shared", Durable::Shared).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_so_where_servers_share_nothing_but_the_database_and_the_recordings() {
    goes_along("disk", Durable::Disk).await;
}

/// One server whose acknowledgements survive its loss.
async fn one(name: &str, share: &Path, durable: Durable) -> Option<House> {
    let database = schema(name).await?;
    Some(House::with(|settings| change(settings, &database, share, durable)).await)
}

/// The newest file of a server's journal.
fn last_file(house: &House) -> std::path::PathBuf {
    house.data().join("journal").join(house.files("journal").pop().unwrap())
}

/// What happens to a disk while its server is down.
fn lose(house: &House, how: &str, tape: &Tape) {
    let journal = house.data().join("journal");
    match how {
        "the folder" => std::fs::remove_dir_all(journal).unwrap(),
        "the end" => {
            let file = std::fs::File::options().write(true).open(last_file(house)).unwrap();
            file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        }
        "the head of a file" => {
            let path = last_file(house);
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[..64].fill(0);
            std::fs::write(path, bytes).unwrap();
        }
        "a byte" => {
            let record = &tape.made[3].bytes;
            for path in walk(&journal) {
                let mut bytes = std::fs::read(&path).unwrap();
                if let Some(at) = bytes.windows(record.len()).position(|window| window == record) {
                    bytes[at + 1_000] ^= 1;
                    std::fs::write(&path, bytes).unwrap();
                }
            }
        }
        "the id" => std::fs::remove_file(house.data().join("server-id")).unwrap(),
        "the key" => std::fs::remove_file(house.data().join("server.key")).unwrap(),
        _ => {
            for path in ["server-id", "server.key"] {
                std::fs::remove_file(house.data().join(path)).unwrap();
            }
            std::fs::remove_dir_all(journal).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_servers_disk_has_lost_comes_back_from_shared_storage() {
    let share = tempfile::tempdir().unwrap();
    let Some(mut house) = one("recall", share.path(), Durable::Shared).await else { return };
    let enrolled = house.agent().await;
    let (mut tape, mut quiet) = (Tape::new("u"), Tape::new("quiet"));
    (0..3).for_each(|_| drop(quiet.tick(3_000)));
    enrolled.connect().await.deliver(&quiet).await;
    let ways = ["the folder", "the end", "a byte", "the head of a file", "the id", "the key", "all"];
    for (round, how) in ways.into_iter().enumerate() {
        let next = tape.made.len();
        let mut agent = enrolled.connect().await;
        for _ in 0..10 {
            let made = tape.tick(3_000);
            if made.seq as usize == next {
                // What a new server takes over from the old one is here once that is done.
                until(async || {
                    agent.ask_open(&tape).await;
                    agent.opened_or_later().await
                })
                .await;
            }
            agent.send(&tape, &made).await;
            agent.durable(&tape, made.seq + 1).await;
        }
        drop(agent);
        let id = house.server().id();
        house.stop().await;
        lose(&house, how, &tape);
        house.start().await;
        assert_eq!(house.server().id() == id, how != "all", "{how}");
        for (tape, count) in [(&tape, (round as u64 + 1) * 10), (&quiet, 3)] {
            let path = format!("/site/v1/recordings/{}", tape.id());
            until(async || {
                let row = house.json(&path).await;
                assert_eq!(row["state"], "live", "{how}: {row}");
                let answer = house.get(&format!("{path}/fragments?at=0")).await;
                let bytes = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
                (bytes == tape.bytes(0, count)).then_some(())
            })
            .await;
        }
    }
    for tape in [&mut tape, &mut quiet] {
        tape.end();
        let next = tape.made.len() as u64 - 1;
        let mut agent = enrolled.connect().await;
        assert_eq!(agent.open(tape).await.next_seq, next);
        agent.send_rest(tape, next).await;
        house.stored(tape.id(), 1).await;
        assert_eq!(house.fragments(tape.id(), "at=0").await, tape.bytes(0, next + 1));
    }
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_neither_the_disk_nor_shared_storage_has_is_told() {
    let share = tempfile::tempdir().unwrap();
    let Some(mut house) = one("twice", share.path(), Durable::Shared).await else { return };
    let enrolled = house.agent().await;
    let (mut hit, mut other) = (Tape::new("hit"), Tape::new("other"));
    for tape in [&mut hit, &mut other] {
        // One object for each.
        let mut agent = enrolled.connect().await;
        for _ in 0..5 {
            let made = tape.tick(3_000);
            if made.seq == 0 {
                agent.open(tape).await;
            }
            agent.send(tape, &made).await;
            agent.durable(tape, made.seq + 1).await;
        }
    }
    let journal = share.path().join("journal");
    let objects = walk(&journal);
    assert!(objects.len() >= 10, "{objects:?}");
    house.stop().await;
    std::fs::remove_dir_all(house.data().join("journal")).unwrap();
    let record = &hit.made[2].bytes;
    let lost: Vec<_> = objects
        .iter()
        .filter(|path| std::fs::read(path).unwrap().windows(record.len()).any(|window| window == record))
        .collect();
    assert_eq!(lost.len(), 1);
    std::fs::remove_file(lost[0]).unwrap();
    house.start().await;
    let row = house.until(hit.id(), |row| row["state"] == "quarantined").await;
    assert!(row["problem"].as_str().unwrap().contains("fragment 2 is missing"), "{row}");
    assert_eq!(house.fragments(hit.id(), "at=0").await, hit.bytes(0, 2), "what is whole still plays");
    // No other suffers, and what is left of this one stays.
    let mut agent = enrolled.connect().await;
    assert_eq!(agent.open(&other).await.next_seq, 5);
    let kept = &hit.made[4].bytes;
    // Objects come and go while the server works.
    let has = |path: &std::path::PathBuf| {
        std::fs::read(path).is_ok_and(|bytes| bytes.windows(kept.len()).any(|window| window == kept))
    };
    assert!(walk(&journal).iter().any(has));
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_lost_before_anybody_was_told_it_is_durable_is_asked_for_again() {
    let share = tempfile::tempdir().unwrap();
    let Some(mut house) = one("untold", share.path(), Durable::Shared).await else { return };
    let enrolled = house.agent().await;
    let mut tape = Tape::new("u");
    let mut agent = enrolled.connect().await;
    (0..2).for_each(|_| drop(tape.tick(3_000)));
    agent.deliver(&tape).await;
    // From now on nothing gets to shared storage, and what comes is on the disk alone.
    let objects = share.path().join("journal").join(house.server().id().to_string());
    let away = share.path().join("away");
    std::fs::rename(&objects, &away).unwrap();
    std::fs::write(&objects, "").unwrap();
    for _ in 0..3 {
        let made = tape.tick(3_000);
        agent.send(&tape, &made).await;
    }
    let newest = &tape.made[4].bytes;
    let has = |path: std::path::PathBuf| {
        std::fs::read(path).unwrap().windows(newest.len()).any(|window| window == newest)
    };
    until(async || walk(&house.data().join("journal")).into_iter().any(has).then_some(())).await;
    drop(agent);
    house.stop().await;
    lose(&house, "a byte", &tape);
    std::fs::remove_file(&objects).unwrap();
    std::fs::rename(&away, &objects).unwrap();

    house.start().await;
    let mut agent = enrolled.connect().await;
    let opened = until(async || {
        agent.ask_open(&tape).await;
        agent.opened_or_later().await
    })
    .await;
    assert_eq!(opened.next_seq, 3, "fragment 2 is on the disk, 3 is damaged, and 4 is of no use without it");
    agent.send_rest(&tape, 3).await;
    house.restart().await;
    assert_eq!(house.fragments(tape.id(), "at=0").await, tape.bytes(0, 5));
    tape.end();
    enrolled.connect().await.deliver(&tape).await;
    house.stored(tape.id(), 1).await;
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_of_which_there_is_no_copy_is_not_passed_over() {
    let share = tempfile::tempdir().unwrap();
    let Some(mut house) = one("noid", share.path(), Durable::Disk).await else { return };
    let mut tape = Tape::new("u");
    (0..5).for_each(|_| drop(tape.tick(3_000)));
    house.agent().await.connect().await.deliver(&tape).await;
    let id = house.server().id();
    house.stop().await;
    for path in ["server-id", "server.key"] {
        std::fs::remove_file(house.data().join(path)).unwrap();
    }
    let refused = playhead_server::Server::start(house.settings.clone()).await.err().unwrap().to_string();
    assert!(refused.contains(&format!("write {id} into")), "{refused}");
    std::fs::write(house.data().join("server-id"), id.to_string()).unwrap();
    house.start().await;
    assert_eq!(house.fragments(tape.id(), "at=0").await, tape.bytes(0, 5));
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_no_servers_of_the_site() {
    let share = tempfile::tempdir().unwrap();
    let Some((one, mut other)) = two("strangers", share.path(), Durable::Shared).await else { return };
    let servers = one.json("/site/v1/servers").await;
    let row = servers["items"].as_array().unwrap().iter().find(|server| server["this"] == true).unwrap();
    let authority = authority_of(one.data());
    let endpoint = Endpoint::new(row["url"].as_str().unwrap(), Some(&authority)).unwrap();
    let log_in = async |id: &str, purpose: &str, key: &NodeKey| {
        let connection = endpoint.connect().await.unwrap();
        connection.log_in(PEER_CONNECT_PATH, PEER_UPGRADE, purpose, id, key).await.map(|_| ())
    };
    let refused = |result: Result<(), DialError>| match result {
        Err(DialError::Refused { status, .. }) => status,
        other => panic!("{other:?}"),
    };
    let key = NodeKey::generate().unwrap();
    let unknown = ServerId::from(uuid::Uuid::now_v7()).to_string();
    assert_eq!(refused(log_in(&unknown, "peer", &key).await), StatusCode::UNAUTHORIZED);
    assert_eq!(refused(log_in("nonsense", "peer", &key).await), StatusCode::UNAUTHORIZED);
    let known = other.server().id().to_string();
    assert_eq!(refused(log_in(&known, "peer", &key).await), StatusCode::UNAUTHORIZED, "another's id");
    let own = NodeKey::load_or_create(&other.data().join("server.key")).unwrap();
    assert_eq!(refused(log_in(&known, "agent", &own).await), StatusCode::UNAUTHORIZED, "for something else");
    log_in(&known, "peer", &own).await.unwrap();
    // Nothing is answered before the proof.
    let (status, _) = endpoint.connect().await.unwrap().get("/site/v1/servers").await.unwrap();
    assert_eq!(status, StatusCode::NOT_FOUND);
    // A request that was passed on once is not passed on again.
    let id = uuid::Uuid::now_v7();
    let request = http::Request::get(format!("/site/v1/recordings/{id}")).header("playhead-forwarded", "1");
    let request = request.header(playhead_protocol::STATEMENT_HEADER, one.statement()).body(Body::empty());
    let answer = tower::ServiceExt::oneshot(other.server().router(), request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_and_a_command_reach_an_agent_at_the_other_server() {
    use super::sessions::{obey, post, session, tell, until_session};
    let share = tempfile::tempdir().unwrap();
    let Some((one, other)) = two("policies", share.path(), Durable::Disk).await else { return };
    let enrolled = one.agent().await;
    let mut agent = at(&enrolled, &other).connect().await;
    assert_eq!(agent.policy().await.revision, 0);
    post(&one, "/site/v1/policies/record/activate", serde_json::Value::Null).await;
    let began = std::time::Instant::now();
    let told = agent.policy().await;
    assert_eq!((told.revision, told.id.as_str()), (1, "record"));
    println!("a change at one server reached an agent at the other after {:?}", began.elapsed());

    let mut ada = session(1, "ada");
    tell(&mut agent, &ada).await;
    until_session(&one, ada.id, |session| session["reachable"] == true).await;
    let path = format!("/site/v1/sessions/{}/start-recording", ada.id);
    let ((status, shown), _) =
        tokio::join!(post(&one, &path, serde_json::json!({})), obey(&mut agent, &mut ada));
    assert_eq!(
        (status, &shown["recording"]["decided"]["user"]),
        (StatusCode::OK, &"admin".into()),
        "{shown}"
    );
    // It comes to this one, and then goes altogether.
    let mut here = enrolled.connect().await;
    drop(agent);
    let stop = format!("/site/v1/sessions/{}/stop-recording", ada.id);
    let stopped = async {
        let stopping = async || post(&one, &stop, serde_json::json!({})).await;
        until(async || Some(stopping().await).filter(|(status, _)| *status == StatusCode::OK)).await
    };
    let obeying = async {
        obey(&mut here, &mut ada).await;
        drop(here);
    };
    let ((_, shown), ()) = tokio::join!(stopped, obeying);
    assert_eq!(shown["recording"]["recording"], serde_json::Value::Null);
    until_session(&other, ada.id, |session| session["reachable"] == false).await;
    assert_eq!(post(&other, &path, serde_json::json!({})).await.0, StatusCode::SERVICE_UNAVAILABLE);
}
