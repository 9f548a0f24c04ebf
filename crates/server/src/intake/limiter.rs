//! Slowing down those who try secrets.

use crate::recordings::lock;
use lru::LruCache;
use std::{net::IpAddr, num::NonZeroUsize, sync::Mutex};

/// Addresses that are remembered.
const MOST: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);
/// Failures that cost nothing.
const FREE: u32 = 5;
/// The longest wait, in seconds.
const LONGEST: u64 = 300;

/// Failures by address. After a few, each doubles the time during which nothing more is tried for that address.
pub(crate) struct Limiter(Mutex<LruCache<IpAddr, Failures>>);

#[derive(Default)]
struct Failures {
    count: u32,
    /// Second of the server's clock from which on it may try again.
    again: u64,
}

impl Default for Limiter {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(MOST)))
    }
}

impl Limiter {
    /// Whether the address may try now.
    ///
    /// # Errors
    /// In how many seconds it may.
    pub(crate) fn check(&self, address: IpAddr, now: u64) -> Result<(), u64> {
        match lock(&self.0).get(&address.to_canonical()) {
            Some(failures) if failures.again > now => Err(failures.again - now),
            _ => Ok(()),
        }
    }

    pub(crate) fn failed(&self, address: IpAddr, now: u64) {
        let mut all = lock(&self.0);
        let failures = all.get_or_insert_mut(address.to_canonical(), Failures::default);
        failures.count = failures.count.saturating_add(1);
        if failures.count >= FREE {
            failures.again = now + (1u64 << (failures.count - FREE).min(16)).min(LONGEST);
        }
    }

    pub(crate) fn succeeded(&self, address: IpAddr) {
        lock(&self.0).pop(&address.to_canonical());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end_with_a_success() {
        let limiter = Limiter::default();
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let mut now = 0;
        for _ in 0..FREE {
            assert_eq!(limiter.check(address, now), Ok(()));
            limiter.failed(address, now);
        }
        for wait in [1, 2, 4] {
            assert_eq!(limiter.check(address, now), Err(wait));
            assert_eq!(limiter.check("192.0.2.2".parse().unwrap(), now), Ok(()));
            now += wait;
            assert_eq!(limiter.check(address, now), Ok(()));
            limiter.failed(address, now);
        }
        for _ in 0..40 {
            limiter.failed(address, now);
        }
        assert_eq!(limiter.check(address, now), Err(LONGEST));
        limiter.succeeded(address);
        assert_eq!(limiter.check(address, now), Ok(()));
    }
}
