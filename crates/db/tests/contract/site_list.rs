use super::{
    databases::Place,
    site::{agent, at, info, open, progress},
};
use playhead_db::{
    DbError, RowExt as _,
    site::{Filter, Progress, RecordingRow, Sort, Store},
};
use playhead_model::*;

/// Recordings with equal and different values in every column that can be sorted by.
async fn filled(place: &Place) -> (Store, Vec<RecordingRow>) {
    let store = place.site().await;
    let agent = agent(&store, "a").await;
    let mut rows = Vec::new();
    for n in 0i64..23 {
        let user = ["anna", "Anna", "bert", "Zoë", "zoé"][n as usize % 5];
        let host = ["PC_1", "pc%2", "pc3"][n as usize % 3];
        let info = info(user, host, at(n / 2 * 100));
        open(&store, agent, &info).await;
        let state = if n % 4 == 0 { RecordingState::Live } else { RecordingState::Finished };
        let step = Progress {
            state,
            duration_us: (n as u64 % 4) * 10_000_000,
            bytes: n as u64 % 3,
            ..progress(info.id)
        };
        store.set_progress(&[step]).await.unwrap();
        rows.push(store.recording(info.id).await.unwrap().unwrap());
    }
    (store, rows)
}

async fn all(store: &Store, filter: &Filter, sort: Sort, limit: u32) -> Vec<RecordingRow> {
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = store.recordings(filter, sort, limit, cursor.as_deref()).await.unwrap();
        assert!(page.items.len() <= limit as usize);
        cursor = page.items.last().map(|(_, cursor)| cursor.clone());
        found.extend(page.items.into_iter().map(|(row, _)| row));
        assert!(page.total_is_exact);
        if !page.more {
            assert_eq!(page.total, found.len() as u64);
            return found;
        }
    }
}

pub(crate) async fn pages_of_every_order_give_everything_once(place: Place) {
    let (store, rows) = filled(&place).await;
    for (name, key) in [
        (
            "started_at",
            (|row| (row.info.started_at.as_micros(), String::new())) as fn(&RecordingRow) -> (i64, String),
        ),
        ("user", |row| (0, row.info.user.to_lowercase())),
        ("host", |row| (0, row.info.host.to_lowercase())),
        ("duration", |row| (row.duration_us as i64, String::new())),
        ("bytes", |row| (row.bytes as i64, String::new())),
    ] {
        let mut expected = rows.clone();
        expected.sort_by_key(|row| (key(row), row.info.id));
        let ids = |rows: &[RecordingRow]| rows.iter().map(|row| row.info.id).collect::<Vec<_>>();
        for limit in [1, 4, 23, 100] {
            let sort: Sort = name.parse().unwrap();
            assert_eq!(ids(&all(&store, &Filter::default(), sort, limit).await), ids(&expected), "{name}");
        }
        expected.reverse();
        let sort: Sort = format!("-{name}").parse().unwrap();
        assert_eq!(ids(&all(&store, &Filter::default(), sort, 5).await), ids(&expected), "-{name}");
    }
    assert!("size".parse::<Sort>().is_err());
}

pub(crate) async fn filters_find_what_they_should(place: Place) {
    let (store, rows) = filled(&place).await;
    let check = async |filter: Filter, expected: &dyn Fn(&RecordingRow) -> bool| {
        let mut found: Vec<_> =
            all(&store, &filter, Sort::default(), 7).await.iter().map(|row| row.info.id).collect();
        let mut expected: Vec<_> = rows.iter().filter(|row| expected(row)).map(|row| row.info.id).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{filter:?}");
    };
    let user = |text: &str| Filter { user: Some(text.into()), ..Default::default() };
    let host = |text: &str| Filter { host: Some(text.into()), ..Default::default() };
    check(user("NN"), &|row| row.info.user.eq_ignore_ascii_case("anna")).await;
    check(user("ZOË"), &|row| row.info.user == "Zoë").await;
    check(user("\\"), &|_| false).await;
    check(host("_"), &|row| row.info.host == "PC_1").await;
    check(host("C%"), &|row| row.info.host == "pc%2").await;
    check(Filter { state: Some(RecordingState::Live), ..Default::default() }, &|row| {
        row.state == RecordingState::Live
    })
    .await;
    let (from, to) = (at(410), at(600));
    check(Filter { from: Some(from), to: Some(to), ..Default::default() }, &|row| {
        let end = row.info.started_at.plus_micros(row.duration_us as i64);
        row.info.started_at <= to && (end >= from || row.state == RecordingState::Live)
    })
    .await;
    let every = Filter {
        user: Some("anna".into()),
        host: Some("pc".into()),
        state: Some(RecordingState::Finished),
        from: Some(at(0)),
        to: Some(at(500)),
        session: None,
    };
    check(every, &|row| {
        row.info.user.eq_ignore_ascii_case("anna")
            && row.state == RecordingState::Finished
            && row.info.started_at <= at(500)
    })
    .await;
}

pub(crate) async fn a_foreign_cursor_is_refused(place: Place) {
    let store = place.site().await;
    for cursor in
        ["", "x", "1.2", "00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000.x"]
    {
        let error = store.recordings(&Filter::default(), Sort::default(), 5, Some(cursor)).await.unwrap_err();
        assert!(matches!(error, DbError::Cursor(_)), "{cursor}: {error}");
    }
}

pub(crate) async fn the_total_is_exact_up_to_its_limit(place: Place) {
    let (store, rows) = filled(&place).await;
    // 10,001 rows in one statement: copies of one row under other ids.
    let text = "INSERT INTO recordings (id, agent, server, info, host_key, user_key, state, started_at, until_at,
            duration_us, bytes, fragments, segments, width, height, gaps, events, heard_at)
        WITH RECURSIVE numbers (n) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT n + 1 FROM numbers WHERE n < $2)
        SELECT 'copy' || CAST(n AS TEXT), agent, server, info, host_key, 'copied', state, started_at, until_at, duration_us, bytes,
            fragments, segments, width, height, gaps, events, heard_at
        FROM recordings, numbers WHERE id = $1";
    let mut tx = store.database().write().await.unwrap();
    sqlx::query(text).bind(rows[0].info.id.to_string()).bind(10_001i64).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let copies = Filter { user: Some("copied".into()), ..Default::default() };
    let page = store.recordings(&copies, Sort::default(), 1, None).await.unwrap();
    assert_eq!((page.total, page.total_is_exact, page.more), (10_000, false, true));
    let mut tx = store.database().write().await.unwrap();
    sqlx::query("DELETE FROM recordings WHERE id = 'copy1'").execute(&mut *tx).await.unwrap();
    let counted = sqlx::query("SELECT COUNT(*) AS n FROM recordings").fetch_one(&mut *tx).await.unwrap();
    assert_eq!(counted.count("n").unwrap(), 10_023);
    tx.commit().await.unwrap();
    let page = store.recordings(&copies, Sort::default(), 1, None).await.unwrap();
    assert_eq!((page.total, page.total_is_exact), (10_000, true));
}

pub(crate) async fn many_of_a_name_come_in_their_order_as_few_do(place: Place) {
    let store = place.site().await;
    let agent = agent(&store, "a").await;
    let many = 510;
    for n in 0..many {
        let user = if n % 100 == 0 { "rare" } else { "common" };
        open(&store, agent, &info(user, "pc", at((n * 7919) % many))).await;
    }
    let sort = "-started_at".parse().unwrap();
    for (filter, expected) in [
        (Filter { host: Some("P".into()), ..Filter::default() }, 510),
        (Filter { user: Some("omm".into()), host: Some("pc".into()), ..Filter::default() }, 504),
        (Filter { user: Some("RARE".into()), ..Filter::default() }, 6),
        (Filter { user: Some("nobody".into()), ..Filter::default() }, 0),
    ] {
        let found = all(&store, &filter, sort, 200).await;
        assert_eq!(found.len(), expected, "{filter:?}");
        assert!(
            found.is_sorted_by_key(|row| std::cmp::Reverse((row.info.started_at, row.info.id.to_string())))
        );
    }
}
