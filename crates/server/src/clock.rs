//! The clocks, read in one place.

use nix::time::{ClockId, clock_gettime};
use playhead_model::WallTime;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now.
pub(crate) fn now() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Time since the machine was started, sleep included. Nobody sets it, and it goes on while the process is stopped.
pub(crate) fn uptime() -> Duration {
    // The clock exists on every Linux; were it not there, no lease would ever end, so the newest time stands for it.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::MAX, Duration::from)
}
