//! The wall clock, as a value that tests replace.

use playhead_model::WallTime;
use std::sync::Arc;

/// Tells the time. Clones tell the same time.
#[derive(Clone)]
pub(crate) struct Clock(Arc<dyn Fn() -> WallTime + Send + Sync>);

impl Clock {
    /// The system's clock.
    pub(crate) fn system() -> Self {
        Self(Arc::new(|| WallTime::from_micros(jiff::Timestamp::now().as_microsecond())))
    }

    /// Now.
    pub(crate) fn now(&self) -> WallTime {
        (self.0)()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};

    /// A clock that moves only when told to.
    #[derive(Clone)]
    pub(crate) struct HandClock(Arc<AtomicI64>);

    impl HandClock {
        pub(crate) fn new() -> Self {
            Self(Arc::new(AtomicI64::new(1_790_000_000_000_000)))
        }

        pub(crate) fn clock(&self) -> Clock {
            let micros = Arc::clone(&self.0);
            Clock(Arc::new(move || WallTime::from_micros(micros.load(Ordering::SeqCst))))
        }

        pub(crate) fn advance_seconds(&self, seconds: i64) {
            self.0.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
        }
    }
}
