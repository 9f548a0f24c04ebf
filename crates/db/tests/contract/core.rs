use super::databases::Place;
use playhead_db::{Area, Database, DbError, RowExt as _};

const ONE: Area = Area {
    name: "example",
    migrations: &["CREATE TABLE example (id BIGINT PRIMARY KEY, name {text} NOT NULL)"],
};
const TWO: Area = Area {
    name: "example",
    migrations: &[
        ONE.migrations[0],
        "ALTER TABLE example ADD COLUMN more BIGINT; INSERT INTO example VALUES (1, 'a', 2)",
    ],
};

pub(crate) async fn tables_are_made_once_by_many_at_once(place: Place) {
    let opening: Vec<_> = (0..4)
        .map(|_| {
            let place = place.clone();
            tokio::spawn(async move { Database::open(&place.url, &TWO).await.unwrap() })
        })
        .collect();
    for opening in opening {
        let database = opening.await.unwrap();
        let rows = sqlx::query("SELECT name, more FROM example").fetch_all(database.reader()).await.unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].text("name").unwrap(), rows[0].count("more").unwrap()), ("a".into(), 2));
        database.close().await;
    }
}

pub(crate) async fn a_newer_version_is_refused(place: Place) {
    Database::open(&place.url, &ONE).await.unwrap().close().await;
    // One version further: the tables are brought up to date.
    Database::open(&place.url, &TWO).await.unwrap().close().await;
    let error = Database::open(&place.url, &ONE).await.unwrap_err();
    assert!(matches!(error, DbError::Newer { expected: 1, actual: 2, .. }), "{error}");
    // Other areas are not concerned.
    Database::open(&place.url, &Area { name: "other", migrations: &[] }).await.unwrap();
}

pub(crate) async fn a_failed_migration_leaves_nothing(place: Place) {
    const BROKEN: Area =
        Area { name: "example", migrations: &[ONE.migrations[0], "INSERT INTO absent VALUES (1)"] };
    let error = Database::open(&place.url, &BROKEN).await.unwrap_err();
    assert!(matches!(error, DbError::Migration { version: 2, .. }), "{error}");
    // Had the first one stayed, this would fail.
    Database::open(&place.url, &ONE).await.unwrap();
}

pub(crate) async fn a_dropped_transaction_leaves_nothing(place: Place) {
    let database = Database::open(&place.url, &ONE).await.unwrap();
    for commit in [false, true] {
        let mut tx = database.write().await.unwrap();
        let insert = sqlx::query("INSERT INTO example VALUES ($1, $2)").bind(7i64).bind("x");
        insert.execute(&mut *tx).await.unwrap();
        if commit {
            tx.commit().await.unwrap();
        }
    }
    let rows = sqlx::query("SELECT id FROM example").fetch_all(database.reader()).await.unwrap();
    assert_eq!(rows.len(), 1);
    let mut tx = database.write().await.unwrap();
    let again = sqlx::query("INSERT INTO example VALUES ($1, $2)").bind(7i64).bind("x");
    let error = DbError::from(again.execute(&mut *tx).await.unwrap_err());
    assert!(error.is_conflict(), "{error}");
}

pub(crate) async fn writers_wait_for_each_other(place: Place) {
    let database = Database::open(&place.url, &ONE).await.unwrap();
    let mut tx = database.write().await.unwrap();
    sqlx::query("INSERT INTO example VALUES (1, '0')").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let adding: Vec<_> = (0..20)
        .map(|_| {
            let database = database.clone();
            tokio::spawn(async move {
                let mut tx = database.write().await.unwrap();
                sqlx::query("UPDATE example SET name = CAST(CAST(name AS BIGINT) + 1 AS TEXT) WHERE id = 1")
                    .execute(&mut *tx)
                    .await
                    .unwrap();
                tx.commit().await.unwrap();
            })
        })
        .collect();
    for adding in adding {
        adding.await.unwrap();
    }
    let row = sqlx::query("SELECT name FROM example").fetch_one(database.reader()).await.unwrap();
    assert_eq!(row.text("name").unwrap(), "20");
}
