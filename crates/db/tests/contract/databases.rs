//! A fresh database for each test.

use playhead_db::{Area, Database};
use std::future::Future;

/// Where a test's database is.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) url: String,
}

impl Place {
    pub(crate) async fn site(&self) -> playhead_db::site::Store {
        playhead_db::site::Store::open(&self.url).await.unwrap()
    }
}

fn run<F: Future<Output = ()>>(test: impl FnOnce(Place) -> F, url: String) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test(Place { url }));
}

pub(crate) fn on_sqlite<F: Future<Output = ()>>(test: impl FnOnce(Place) -> F) {
    let folder = tempfile::tempdir().unwrap();
    // A path with characters that mean something in addresses.
    let path = folder.path().join("100% of #1?.db");
    run(test, format!("sqlite:{}", path.display()));
}

/// An empty area, to run plain SQL through the crate's own connections.
const NOTHING: Area = Area { name: "nothing", migrations: &[] };

pub(crate) fn on_postgres<F: Future<Output = ()>>(name: &str, test: impl FnOnce(Place) -> F) {
    let Ok(base) = std::env::var("PLAYHEAD_TEST_POSTGRES") else {
        println!("NOT RUN on PostgreSQL: set PLAYHEAD_TEST_POSTGRES=postgres://…, or use `make test`");
        return;
    };
    let schema = format!("test_{name}_{}", std::process::id());
    let admin = base.clone();
    let create = schema.clone();
    run(
        |_| async move {
            let database = Database::open(&admin, &NOTHING).await.unwrap();
            let mut tx = database.write().await.unwrap();
            for text in [format!("DROP SCHEMA IF EXISTS {create} CASCADE"), format!("CREATE SCHEMA {create}")]
            {
                sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&mut *tx).await.unwrap();
            }
            tx.commit().await.unwrap();
            database.close().await;
        },
        String::new(),
    );
    let separator = if base.contains('?') { '&' } else { '?' };
    run(test, format!("{base}{separator}options[search_path]={schema}"));
}
