//! Bringing tables up to date.

use crate::{DbError, Dialect, RowExt as _};
use sqlx::{AnyConnection, AssertSqlSafe};

/// The tables of one part of the program, and how they came about: migration n (from 1) leads to version n. A migration that was
/// released is never changed; a new one is added.
///
/// Migrations are SQL for both databases. `{text}` stands for the type of text columns, which must compare bytes (PostgreSQL
/// would otherwise sort by language).
#[derive(Debug, Clone, Copy)]
pub struct Area {
    /// Name of the area, as it stands in the table of versions.
    pub name: &'static str,
    /// The migrations in order.
    pub migrations: &'static [&'static str],
}

/// The lock that keeps two programs from migrating one PostgreSQL database at a time. Any number, the same in all versions.
const LOCK: i64 = 0x706c_6179_6865_6164;

/// Runs the migrations that are missing, inside the caller's write transaction.
pub(crate) async fn migrate(
    connection: &mut AnyConnection,
    dialect: Dialect,
    area: &Area,
) -> Result<(), DbError> {
    if dialect == Dialect::Postgres {
        // Held until the transaction ends. On SQLite, BEGIN IMMEDIATE has the same effect.
        sqlx::query("SELECT CAST(pg_advisory_xact_lock($1) AS TEXT)")
            .bind(LOCK)
            .execute(&mut *connection)
            .await?;
    }
    let known = area.migrations.len() as i64;
    let failed = |version| move |source| DbError::Migration { area: area.name, version, source };
    let versions =
        "CREATE TABLE IF NOT EXISTS schema_version (area {text} PRIMARY KEY, version BIGINT NOT NULL)";
    run(connection, dialect, versions).await.map_err(failed(0))?;
    let row = sqlx::query("SELECT version FROM schema_version WHERE area = $1")
        .bind(area.name)
        .fetch_optional(&mut *connection)
        .await?;
    let current = row.map_or(Ok(0), |row| row.integer("version"))?;
    if current > known {
        return Err(DbError::Newer { area: area.name, expected: known, actual: current });
    }
    for (version, migration) in (1..).zip(area.migrations).filter(|&(version, _)| version > current) {
        run(connection, dialect, migration).await.map_err(failed(version))?;
        sqlx::query(
            "INSERT INTO schema_version (area, version) VALUES ($1, $2)
             ON CONFLICT (area) DO UPDATE SET version = excluded.version",
        )
        .bind(area.name)
        .bind(version)
        .execute(&mut *connection)
        .await?;
        tracing::info!(area = area.name, version, "brought the database's tables up to date");
    }
    Ok(())
}

async fn run(connection: &mut AnyConnection, dialect: Dialect, sql: &str) -> Result<(), sqlx::Error> {
    let text = match dialect {
        Dialect::Sqlite => "TEXT",
        Dialect::Postgres => "TEXT COLLATE \"C\"",
    };
    // The text comes from this program alone.
    sqlx::raw_sql(AssertSqlSafe(sql.replace("{text}", text))).execute(connection).await.map(|_| ())
}
