//! An agent's view of one recording on its way to the server.
//!
//! The spool holds fragments `first..end`. What the server calls durable leaves at the front; what the recorder makes comes in
//! at the end; a window bounds how much is under way unacknowledged.

use std::collections::VecDeque;

/// Which fragments are spooled, sent and durable.
#[derive(Debug)]
pub struct Outbox {
    /// The first fragment that is not known to be durable.
    first: u64,
    /// Lengths of the spooled fragments from `first` on.
    lengths: VecDeque<u32>,
    /// The next to send; `None` while the recording is not open at the server.
    next: Option<u64>,
    in_flight: u64,
    window: u64,
}

/// What the server said cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutboxError {
    /// The server wants a fragment that the agent has already let go of.
    #[error(
        "the server wants fragment {wanted}, but the oldest kept here is {first}: the server lost fragments it had called durable"
    )]
    Forgotten {
        /// What the server wants.
        wanted: u64,
        /// The oldest there is.
        first: u64,
    },
    /// The server has or acknowledges fragments that the agent never made.
    #[error("the server is at fragment {actual}, but only {end} were made here")]
    Ahead {
        /// Where the server is.
        actual: u64,
        /// One past the last fragment here.
        end: u64,
    },
}

impl Outbox {
    /// An outbox of the spooled fragments `first..first + lengths.len()`, not yet open at the server. `window` bounds
    /// the bytes sent but not acknowledged; one fragment is always let through.
    pub fn new(first: u64, lengths: impl IntoIterator<Item = u32>, window: u64) -> Self {
        Self { first, lengths: lengths.into_iter().collect(), next: None, in_flight: 0, window }
    }

    /// The first fragment that is not known to be durable.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// One past the last spooled fragment.
    pub fn end(&self) -> u64 {
        self.first + self.lengths.len() as u64
    }

    /// Whether everything spooled is durable.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Bytes waiting to become durable.
    pub fn bytes(&self) -> u64 {
        self.lengths.iter().map(|&length| u64::from(length)).sum()
    }

    /// A fragment of `length` bytes was spooled.
    pub fn spooled(&mut self, length: u32) {
        self.lengths.push_back(length);
    }

    /// The connection broke, or the server closed the recording on it.
    pub fn closed(&mut self) {
        self.next = None;
        self.in_flight = 0;
    }

    /// The server opened the recording and wants `next_seq`. Everything before is durable.
    ///
    /// # Errors
    /// See [`OutboxError`]; the outbox is left closed.
    pub fn opened(&mut self, next_seq: u64) -> Result<(), OutboxError> {
        self.closed();
        if next_seq < self.first {
            return Err(OutboxError::Forgotten { wanted: next_seq, first: self.first });
        }
        self.durable(next_seq)?;
        self.next = Some(next_seq);
        Ok(())
    }

    /// The server called everything before `next_seq` durable.
    ///
    /// # Errors
    /// [`OutboxError::Ahead`].
    pub fn durable(&mut self, next_seq: u64) -> Result<(), OutboxError> {
        if next_seq > self.end() {
            return Err(OutboxError::Ahead { actual: next_seq, end: self.end() });
        }
        while self.first < next_seq {
            // `first < next_seq <= end`, so there is one.
            let length = self.lengths.pop_front().unwrap_or_default();
            if self.next.is_some_and(|next| self.first < next) {
                self.in_flight = self.in_flight.saturating_sub(length.into());
            }
            self.first += 1;
        }
        if let Some(next) = &mut self.next {
            *next = (*next).max(next_seq);
        }
        Ok(())
    }

    /// Takes the number of the fragment to send now, or `None` when nothing is spooled, the window is full or the
    /// recording is not open.
    pub fn take_next(&mut self) -> Option<u64> {
        let next = self.next?;
        let length = u64::from(*self.lengths.get((next - self.first) as usize)?);
        if self.in_flight > 0 && self.in_flight + length > self.window {
            return None;
        }
        self.in_flight += length;
        self.next = Some(next + 1);
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sends_in_order_within_the_window_and_resumes_where_the_server_is() {
        let mut outbox = Outbox::new(3, [10, 10, 10, 10], 20);
        assert_eq!(outbox.take_next(), None, "not open yet");
        outbox.opened(4).unwrap();
        assert_eq!((outbox.first(), outbox.end()), (4, 7));
        assert_eq!([outbox.take_next(), outbox.take_next(), outbox.take_next()], [Some(4), Some(5), None]);
        outbox.durable(5).unwrap();
        assert_eq!([outbox.take_next(), outbox.take_next()], [Some(6), None]);
        outbox.closed();
        outbox.opened(5).unwrap();
        assert_eq!(outbox.take_next(), Some(5), "what was sent but is not durable goes again");
    }

    #[test]
    fn one_fragment_larger_than_the_window_still_goes() {
        let mut outbox = Outbox::new(0, [1_000], 10);
        outbox.opened(0).unwrap();
        assert_eq!(outbox.take_next(), Some(0));
    }

    #[test]
    fn impossible_answers_are_named() {
        let mut outbox = Outbox::new(3, [10], 20);
        assert_eq!(outbox.opened(2), Err(OutboxError::Forgotten { wanted: 2, first: 3 }));
        assert_eq!(outbox.opened(5), Err(OutboxError::Ahead { actual: 5, end: 4 }));
        assert_eq!(outbox.take_next(), None);
    }

    proptest! {
        /// Whatever breaks when, a server that takes fragments in order ends with every one of them exactly once.
        #[test]
        fn everything_arrives_once(steps in prop::collection::vec(0u8..5, 1..200)) {
            let mut outbox = Outbox::new(0, [], 25);
            let (mut made, mut durable, mut received) = (0u64, 0u64, 0u64);
            for step in steps {
                match step {
                    0 => { outbox.spooled(10); made += 1; }
                    1 => while let Some(seq) = outbox.take_next() {
                        prop_assert_eq!(seq, received);
                        received += 1;
                    },
                    2 => { durable = received; outbox.durable(durable).unwrap(); }
                    // The server crashes: what was not durable is gone.
                    3 => { received = durable; outbox.closed(); outbox.opened(durable).unwrap(); }
                    _ => { received = durable; outbox.closed(); prop_assert_eq!(outbox.take_next(), None);
                           outbox.opened(durable).unwrap(); }
                }
                prop_assert_eq!(outbox.end(), made);
                prop_assert_eq!(outbox.first(), durable);
                prop_assert!(outbox.in_flight <= 25);
            }
        }
    }
}
