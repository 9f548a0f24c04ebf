//! Slows down whoever guesses: after a few failures each further one doubles the wait.

use playhead_model::WallTime;
use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
};

/// Failures that cost nothing.
const FREE: u32 = 5;
/// The same for an address over all names: several people may sit behind one.
const FREE_PER_ADDRESS: u32 = 50;
/// Longest wait, and how long a failure is remembered, in seconds.
const LONGEST: i64 = 15 * 60;
/// Most names and addresses remembered; the oldest give way.
const MOST: usize = 20_000;
const SECOND: i64 = 1_000_000;

/// Counts failures by name and address, and by address alone.
pub(crate) struct Limiter {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    by_name: HashMap<([u8; 32], IpAddr), Failures>,
    by_address: HashMap<IpAddr, Failures>,
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: WallTime,
}

impl Failures {
    /// Seconds until the next attempt is let through.
    fn wait(self, free: u32, now: WallTime) -> i64 {
        let Some(over) = self.count.checked_sub(free) else { return 0 };
        let wait = if over >= 10 { LONGEST } else { LONGEST.min(1 << over) };
        wait - self.age(now)
    }

    /// Seconds since the last one. A clock that was set back counts as no time passed.
    fn age(self, now: WallTime) -> i64 {
        (now.as_micros() - self.last.as_micros()).max(0) / SECOND
    }
}

impl Limiter {
    pub(crate) fn new() -> Self {
        Self { inner: Mutex::default() }
    }

    /// Counts an attempt as failed before its outcome is known, so that many at once gain nothing; [`Limiter::succeeded`]
    /// takes it back.
    ///
    /// # Errors
    /// Seconds to wait.
    pub(crate) fn attempt(&self, name: &str, address: IpAddr, now: WallTime) -> Result<(), u64> {
        let address = network(address);
        let key = (name_key(name), address);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let of_name = inner.by_name.get(&key).map_or(0, |failures| failures.wait(FREE, now));
        let of_address =
            inner.by_address.get(&address).map_or(0, |failures| failures.wait(FREE_PER_ADDRESS, now));
        let wait = of_name.max(of_address);
        if wait > 0 {
            return Err(wait.unsigned_abs());
        }
        count(&mut inner.by_name, key, now);
        count(&mut inner.by_address, address, now);
        Ok(())
    }

    /// Forgets the failures of a name at an address. Those of the address are kept but for this one: otherwise whoever has one
    /// account could guess others' at will.
    pub(crate) fn succeeded(&self, name: &str, address: IpAddr) {
        let address = network(address);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.by_name.remove(&(name_key(name), address));
        if let Some(failures) = inner.by_address.get_mut(&address) {
            failures.count = failures.count.saturating_sub(1);
        }
    }
}

fn count<K: Hash + Eq + Copy>(map: &mut HashMap<K, Failures>, key: K, now: WallTime) {
    if map.len() >= MOST && !map.contains_key(&key) {
        map.retain(|_, failures| failures.age(now) < LONGEST);
        if map.len() >= MOST {
            // A tenth at a time, so that a flood of names does not pay this for each of them.
            let mut times: Vec<WallTime> = map.values().map(|failures| failures.last).collect();
            let (_, &mut oldest, _) = times.select_nth_unstable(MOST / 10);
            map.retain(|_, failures| failures.last > oldest);
        }
    }
    let failures = map.entry(key).or_insert(Failures { count: 0, last: now });
    if failures.age(now) >= LONGEST {
        failures.count = 0;
    }
    failures.count = failures.count.saturating_add(1);
    failures.last = now;
}

/// Names may be long and come from anyone: a hash of each takes the same room. Letter case makes no other account.
fn name_key(name: &str) -> [u8; 32] {
    *blake3::hash(name.to_lowercase().as_bytes()).as_bytes()
}

/// An IPv6 customer has a whole /64 to come from.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn at(seconds: i64) -> WallTime {
        WallTime::from_micros(1_790_000_000_000_000 + seconds * SECOND)
    }

    #[test]
    fn five_failures_are_free_and_then_the_wait_doubles() {
        let limiter = Limiter::new();
        for _ in 0..5 {
            limiter.attempt("admin", HOME, at(0)).unwrap();
        }
        assert_eq!(limiter.attempt("Admin", HOME, at(0)), Err(1), "letter case is no other name");
        limiter.attempt("admin", HOME, at(1)).unwrap();
        assert_eq!(limiter.attempt("admin", HOME, at(1)), Err(2));
        limiter.attempt("admin", HOME, at(3)).unwrap();
        assert_eq!(limiter.attempt("admin", HOME, at(3)), Err(4));
        limiter.attempt("other", HOME, at(3)).unwrap();
        limiter.attempt("admin", "10.0.0.1".parse().unwrap(), at(3)).unwrap();
    }

    #[test]
    fn the_wait_ends_at_a_quarter_of_an_hour_and_is_then_forgotten() {
        let limiter = Limiter::new();
        let mut now = 0;
        for _ in 0..40 {
            while let Err(wait) = limiter.attempt("admin", HOME, at(now)) {
                assert!(wait <= 900, "{wait}");
                now += i64::try_from(wait).unwrap();
            }
        }
        now += 900;
        for _ in 0..5 {
            limiter.attempt("admin", HOME, at(now)).unwrap();
        }
    }

    #[test]
    fn success_forgets_the_name_but_not_the_address() {
        let limiter = Limiter::new();
        for name in 0..50 {
            limiter.attempt(&format!("name {name}"), HOME, at(0)).unwrap();
        }
        limiter.succeeded("name 1", HOME);
        limiter.attempt("name 1", HOME, at(0)).unwrap();
        assert_eq!(limiter.attempt("name 99", HOME, at(0)), Err(1));
    }

    #[test]
    fn addresses_of_one_network_count_together() {
        let limiter = Limiter::new();
        for last in 0..5 {
            limiter.attempt("admin", format!("2001:db8::{last}").parse().unwrap(), at(0)).unwrap();
        }
        assert!(limiter.attempt("admin", "2001:db8::99".parse().unwrap(), at(0)).is_err());
        limiter.attempt("admin", "2001:db8:0:1::1".parse().unwrap(), at(0)).unwrap();
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let limiter = Limiter::new();
        for index in 0..30_000u32 {
            let address = IpAddr::V4(std::net::Ipv4Addr::from(index));
            limiter.attempt("x", address, at(i64::from(index / 1000))).unwrap();
        }
        let inner = limiter.inner.lock().unwrap();
        assert!(inner.by_name.len() <= MOST && inner.by_address.len() <= MOST);
    }
}
