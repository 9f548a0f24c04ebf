use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::DesktopError;

/// Tells the desktop's thread to stop, in the middle of a pause too.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Ends the running pause and every later one at once.
    pub(crate) fn stop(&self) {
        *self.lock() = true;
        self.changed.notify_all();
    }

    /// Waits for `time`.
    ///
    /// # Errors
    /// [`DesktopError::Stopped`] as soon as it is told to stop.
    pub(crate) fn pause(&self, time: Duration) -> Result<(), DesktopError> {
        let until = Instant::now() + time;
        let mut stopped = self.lock();
        while !*stopped {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            stopped = self.changed.wait_timeout(stopped, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Err(DesktopError::Stopped)
    }

    /// Is it still to go on?
    ///
    /// # Errors
    /// [`DesktopError::Stopped`] if not.
    pub(crate) fn check(&self) -> Result<(), DesktopError> {
        if *self.lock() { Err(DesktopError::Stopped) } else { Ok(()) }
    }

    // A flag cannot be left half changed: a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stopping_ends_a_long_pause() {
        let stop = Stop::default();
        std::thread::scope(|scope| {
            let pausing = scope.spawn(|| stop.pause(Duration::from_secs(3600)));
            stop.stop();
            assert!(matches!(pausing.join().unwrap(), Err(DesktopError::Stopped)));
        });
        assert!(stop.check().is_err());
        assert!(stop.pause(Duration::ZERO).is_err());
    }

    #[test]
    fn a_pause_lasts_its_time() {
        let began = Instant::now();
        Stop::default().pause(Duration::from_millis(30)).unwrap();
        assert!(began.elapsed() >= Duration::from_millis(30));
    }
}
