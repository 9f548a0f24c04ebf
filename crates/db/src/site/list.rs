//! The list of recordings: filters, sorting and pages.

use super::{
    RecordingRow, Store,
    recordings::{COLUMNS, fold},
};
use crate::{Content as _, DbError};
use playhead_model::{RecordingId, RecordingState, SessionId, WallTime};
use sqlx::{Any, AssertSqlSafe, any::AnyArguments, query::Query};
use std::str::FromStr;

/// Up to how many recordings the total is exact. Counting further would cost more than anybody gets from it.
const COUNT_LIMIT: u64 = 10_000;
/// So many that are found by their names are put in order afterwards.
const FEW: usize = 500;

/// Which recordings to list. What is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those that go on after this moment.
    pub from: Option<WallTime>,
    /// Those that began no later than this moment.
    pub to: Option<WallTime>,
    /// Part of the user's name, whatever its case.
    pub user: Option<String>,
    /// Part of the session host's name, whatever its case.
    pub host: Option<String>,
    /// Those in this state.
    pub state: Option<RecordingState>,
    /// Those of this session.
    pub session: Option<SessionId>,
}

/// By what to sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    /// Wall clock at the start.
    StartedAt,
    /// The user's name in lower case, by its bytes.
    User,
    /// The session host's name in lower case, by its bytes.
    Host,
    /// Media time up to which it goes.
    Duration,
    /// Bytes.
    Bytes,
}

/// An order. Recordings with the same key are sorted by their id, in the same direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// By what.
    pub key: SortKey,
    /// Greatest first.
    pub descending: bool,
}

/// A text that names no order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected one of started_at, user, host, duration, bytes, or one of them after '-' for the other direction, got '{0}'"
)]
pub struct SortError(String);

impl Default for Sort {
    fn default() -> Self {
        Self { key: SortKey::StartedAt, descending: true }
    }
}

impl FromStr for Sort {
    type Err = SortError;

    fn from_str(text: &str) -> Result<Self, SortError> {
        let (descending, name) = text.strip_prefix('-').map_or((false, text), |name| (true, name));
        let key = match name {
            "started_at" => SortKey::StartedAt,
            "user" => SortKey::User,
            "host" => SortKey::Host,
            "duration" => SortKey::Duration,
            "bytes" => SortKey::Bytes,
            _ => return Err(SortError(text.chars().take(64).collect())),
        };
        Ok(Self { key, descending })
    }
}

/// One page of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The recordings, each with the cursor that goes on right after it.
    pub items: Vec<(RecordingRow, String)>,
    /// Whether there are more after them.
    pub more: bool,
    /// How many there are on all pages.
    pub total: u64,
    /// Whether the total is exact; otherwise there are at least as many.
    pub total_is_exact: bool,
}

/// A value of the sort's column.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    Number(i64),
    Text(String),
}

impl SortKey {
    const fn column(self) -> &'static str {
        match self {
            Self::StartedAt => "started_at",
            Self::User => "user_key",
            Self::Host => "host_key",
            Self::Duration => "duration_us",
            Self::Bytes => "bytes",
        }
    }

    fn of(self, row: &RecordingRow) -> Key {
        match self {
            Self::StartedAt => Key::Number(row.info.started_at.as_micros()),
            Self::User => Key::Text(fold(&row.info.user)),
            Self::Host => Key::Text(fold(&row.info.host)),
            Self::Duration => Key::Number(row.duration_us.stored()),
            Self::Bytes => Key::Number(row.bytes.stored()),
        }
    }

    /// A cursor is the recording's id, a dot, and the value sorted by.
    fn cursor(self, row: &RecordingRow) -> String {
        match self.of(row) {
            Key::Number(number) => format!("{}.{number}", row.info.id),
            Key::Text(text) => format!("{}.{text}", row.info.id),
        }
    }

    fn read_cursor(self, cursor: &str) -> Result<(RecordingId, Key), DbError> {
        let refuse = || DbError::Cursor(cursor.chars().take(80).collect());
        let (id, value) = cursor.split_once('.').ok_or_else(refuse)?;
        let id = id.parse().map_err(|_| refuse())?;
        let key = match self {
            Self::User | Self::Host => Key::Text(value.to_owned()),
            _ => Key::Number(value.parse().map_err(|_| refuse())?),
        };
        Ok((id, key))
    }
}

/// Conditions and the values bound to their placeholders, in order.
#[derive(Default)]
struct Conditions {
    text: String,
    values: Vec<Key>,
}

impl Conditions {
    /// Adds a condition; each `?` in it becomes the placeholder of the next value.
    fn add(&mut self, condition: &str, values: impl IntoIterator<Item = Key>) {
        self.text.push_str(if self.text.is_empty() { " WHERE " } else { " AND " });
        let mut values = values.into_iter();
        for piece in condition.split_inclusive('?') {
            match (piece.strip_suffix('?'), values.next()) {
                (Some(before), Some(value)) => {
                    self.values.push(value);
                    self.text.push_str(before);
                    self.text.push_str(&format!("${}", self.values.len()));
                }
                _ => self.text.push_str(piece),
            }
        }
    }

    fn of(filter: &Filter) -> Self {
        let mut conditions = Self::default();
        if let Some(to) = filter.to {
            conditions.add("started_at <= ?", [Key::Number(to.as_micros())]);
        }
        if let Some(from) = filter.from {
            // A live recording goes on, whatever has come of it so far.
            conditions.add("(until_at >= ? OR state = 'live')", [Key::Number(from.as_micros())]);
        }
        if let Some(user) = &filter.user {
            conditions.add("user_key LIKE ? ESCAPE '\\'", [Key::Text(contains(user))]);
        }
        if let Some(host) = &filter.host {
            conditions.add("host_key LIKE ? ESCAPE '\\'", [Key::Text(contains(host))]);
        }
        if let Some(state) = filter.state {
            conditions.add("state = ?", [Key::Text(state.as_str().to_owned())]);
        }
        if let Some(session) = filter.session {
            conditions.add("session = ?", [Key::Text(session.to_string())]);
        }
        conditions
    }

    /// Those with one of these ids. None of them where there is none.
    fn one_of(ids: &[String]) -> Self {
        let mut conditions = Self::default();
        let places = if ids.is_empty() { "NULL".to_owned() } else { vec!["?"; ids.len()].join(", ") };
        conditions.add(&format!("id IN ({places})"), ids.iter().cloned().map(Key::Text));
        conditions
    }

    fn bind(self, mut query: Query<'_, Any, AnyArguments>) -> Query<'_, Any, AnyArguments> {
        for value in self.values {
            query = match value {
                Key::Number(number) => query.bind(number),
                Key::Text(text) => query.bind(text),
            };
        }
        query
    }
}

/// A pattern for LIKE that finds the text anywhere.
pub(super) fn contains(text: &str) -> String {
    let mut pattern = String::from("%");
    // Not folded as what is kept: a text with NUL is in nothing, and must not find everything.
    for char in text.to_lowercase().chars() {
        if matches!(char, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(char);
    }
    pattern.push('%');
    pattern
}

impl Store {
    /// One page of at most `limit` recordings, from the start or after `cursor`.
    ///
    /// # Errors
    /// The database's, or a cursor that is none of this order.
    pub async fn recordings(
        &self,
        filter: &Filter,
        sort: Sort,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<Page, DbError> {
        let few = self.few(filter).await?;
        let mut conditions = match &few {
            Some(ids) => Conditions::one_of(ids),
            None => Conditions::of(filter),
        };
        let column = sort.key.column();
        if let Some(cursor) = cursor {
            let (id, key) = sort.key.read_cursor(cursor)?;
            let condition = if sort.descending {
                format!("({column}, id) < (?, ?)")
            } else {
                format!("({column}, id) > (?, ?)")
            };
            conditions.add(&condition, [key, Key::Text(id.to_string())]);
        }
        let direction = if sort.descending { "DESC" } else { "ASC" };
        let text = format!(
            "SELECT {COLUMNS} FROM recordings{} ORDER BY {column} {direction}, id {direction} LIMIT {}",
            conditions.text,
            u64::from(limit) + 1
        );
        let rows = conditions.bind(sqlx::query(AssertSqlSafe(text))).fetch_all(self.db.reader()).await?;
        let mut items = Vec::with_capacity(rows.len());
        for row in rows.iter().take(limit as usize) {
            let row = RecordingRow::read(row)?;
            let cursor = sort.key.cursor(&row);
            items.push((row, cursor));
        }
        let counted = match few {
            Some(ids) => ids.len() as u64,
            None => self.count(filter).await?,
        };
        Ok(Page {
            items,
            more: rows.len() > limit as usize,
            total: counted.min(COUNT_LIMIT),
            total_is_exact: counted <= COUNT_LIMIT,
        })
    }

    /// All that fit a filter for names, where they are few. Names are looked for by their parts, so that every one must be looked at: for
    /// few this goes by an index alone, and the order is made afterwards. Where there are many, the first of them in their order are soon
    /// met.
    async fn few(&self, filter: &Filter) -> Result<Option<Vec<String>>, DbError> {
        use crate::RowExt as _;
        if filter.user.is_none() && filter.host.is_none() {
            return Ok(None);
        }
        let conditions = Conditions::of(filter);
        let text = format!("SELECT id FROM recordings{} LIMIT {}", conditions.text, FEW + 1);
        let rows = conditions.bind(sqlx::query(AssertSqlSafe(text))).fetch_all(self.db.reader()).await?;
        if rows.len() > FEW {
            return Ok(None);
        }
        rows.iter().map(|row| row.text("id")).collect::<Result<_, _>>().map(Some)
    }

    /// Counts, one further than the limit at most.
    async fn count(&self, filter: &Filter) -> Result<u64, DbError> {
        use crate::RowExt as _;
        let conditions = Conditions::of(filter);
        let text = format!(
            "SELECT COUNT(*) AS counted FROM (SELECT id FROM recordings{} LIMIT {}) AS found",
            conditions.text,
            COUNT_LIMIT + 1
        );
        let row = conditions.bind(sqlx::query(AssertSqlSafe(text))).fetch_one(self.db.reader()).await?;
        row.count("counted")
    }
}
