//! The wall clock, read in one place.

use playhead_model::WallTime;
use std::time::{SystemTime, UNIX_EPOCH};

/// Now.
pub(crate) fn now() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
