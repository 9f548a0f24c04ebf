//! Metadata: what sites and consoles keep in a database, on SQLite or PostgreSQL.
//!
//! One query text serves both databases: `$1` placeholders, 64-bit integers, text and nothing else. Times are microseconds since
//! the Unix epoch, ids their text form, booleans 0 and 1, sizes bytes. [`Database`] opens either and brings its tables up to date;
//! each area ([`site`], [`console`]) has its own tables, migrations and store.
//!
//! The crate reads no clock: every function that needs the time is told it.

pub mod console;
mod database;
mod error;
mod migrate;
mod row;
pub mod site;

pub use database::{Database, Dialect, WriteTx};
pub use error::DbError;
pub use migrate::Area;
pub use row::{Content, RowExt};

/// The connection type that queries run on.
pub use sqlx::{AnyConnection, any::AnyRow};
