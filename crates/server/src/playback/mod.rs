//! Giving recordings out again: fragments by time or number, live or stored, and timelines.

mod customary;
mod events;
mod index;
mod source;
mod sparse;
mod stream;
mod timeline;

pub use events::{Event, EventReader, EventReport};
pub(crate) use events::{Events, WantedEvents, events};
pub(crate) use index::IndexCache;
pub(crate) use source::Source;
pub(crate) use stream::{From, Wanted, fragments};
pub(crate) use timeline::{Timeline, timeline};

use crate::storage::StorageError;
use playhead_db::DbError;
use tokio::task::JoinError;

/// Why something of a recording cannot be given out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaybackError {
    #[error("{0}")]
    Db(#[from] DbError),
    #[error("{0}")]
    Storage(#[from] StorageError),
    #[error("segment {segment} is damaged in storage: {reason}; restore {path} from a backup")]
    Damaged { segment: u32, path: String, reason: String },
    #[error("cannot read the journal: {0}")]
    Journal(std::io::Error),
    #[error("{0}")]
    Download(String),
    #[error("interrupted: {0}")]
    Interrupted(#[from] JoinError),
    #[error(
        "the recording has nothing between {from_us} and {to_us} us at {at_us} us: ask for a time within"
    )]
    OutOfRange { at_us: u64, from_us: u64, to_us: u64 },
    #[error("nothing of the recording has come yet: try again in a moment")]
    Empty,
    #[error("the recording ends before fragment {after}: its last one is {last}")]
    NoSuchFragment { after: u64, last: u64 },
    #[error("fragment {0} is missing at the server")]
    Missing(u64),
}
