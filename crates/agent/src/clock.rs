//! The two clocks of a recording: one that only goes forward, and the one on the wall.

use crate::AgentError;
use nix::time::{ClockId, clock_gettime};
use playhead_model::WallTime;
use std::{fs, io};

/// Names this run of the machine; another one after every boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A moment, on the machine's own clock and on the wall's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    /// Microseconds since the machine started, the time it was suspended included.
    pub(crate) boot_us: u64,
    /// Wall clock.
    pub(crate) wall: WallTime,
}

/// A moment of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Microseconds since the recording's start.
    pub media_us: u64,
    /// Wall clock, microseconds since the Unix epoch.
    pub wall_us: u64,
}

impl Now {
    /// Reads both clocks.
    pub(crate) fn read() -> Self {
        Self { boot_us: micros(ClockId::CLOCK_BOOTTIME), wall: wall() }
    }

    /// This moment in a recording that began at `start_boot_us`.
    pub(crate) fn since(self, start_boot_us: u64) -> Moment {
        Moment {
            media_us: self.boot_us.saturating_sub(start_boot_us),
            wall_us: u64::try_from(self.wall.as_micros()).unwrap_or_default(),
        }
    }
}

/// Identifies this run of the machine.
///
/// # Errors
/// No `/proc`.
pub(crate) fn boot_id() -> Result<String, AgentError> {
    let text =
        fs::read_to_string(BOOT_ID).map_err(|source| AgentError::File { path: BOOT_ID.into(), source })?;
    let id = text.trim();
    if id.is_empty() || id.len() > 64 {
        let source =
            io::Error::new(io::ErrorKind::InvalidData, format!("expected an id, got {} bytes", id.len()));
        return Err(AgentError::File { path: BOOT_ID.into(), source });
    }
    Ok(id.to_owned())
}

fn wall() -> WallTime {
    WallTime::from_micros(i64::try_from(micros(ClockId::CLOCK_REALTIME)).unwrap_or(i64::MAX))
}

fn micros(clock: ClockId) -> u64 {
    // Both clocks exist on every Linux since 2.6.39; a clock that cannot be read stands still at 0.
    let Ok(time) = clock_gettime(clock) else { return 0 };
    let (seconds, nanos) = (time.tv_sec(), time.tv_nsec());
    u64::try_from(seconds).unwrap_or(0) * 1_000_000 + u64::try_from(nanos).unwrap_or(0) / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_time_counts_from_the_start_and_never_below() {
        let now = Now { boot_us: 5_000, wall: WallTime::from_micros(77) };
        assert_eq!(now.since(2_000), Moment { media_us: 3_000, wall_us: 77 });
        assert_eq!(now.since(9_000).media_us, 0);
    }

    #[test]
    fn the_machine_says_its_times_and_its_boot() {
        let (first, second) = (Now::read(), Now::read());
        assert!(second.boot_us >= first.boot_us && first.boot_us > 0);
        assert!(first.wall.as_micros() > 1_700_000_000_000_000);
        assert_eq!(boot_id().unwrap(), boot_id().unwrap());
    }
}
