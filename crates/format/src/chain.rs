//! The proof that one fragment follows another.

use crate::{Flags, FragmentHead, Hash, OpenFragment, genesis};
use playhead_model::RecordingId;

/// What a recording's fragments have been so far, and what must come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    recording: RecordingId,
    next_seq: u64,
    head: Hash,
    /// Segment, end and last anchor of what came before; `None` before the first fragment.
    before: Option<Before>,
    ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Before {
    segment: u32,
    end_us: u64,
    /// Number of the newest anchor; `None` when it is not known.
    anchor_seq: Option<u64>,
}

/// Why a fragment does not follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// It belongs to another recording.
    #[error("expected a fragment of recording {expected}, got one of recording {actual}")]
    Recording {
        /// The recording that is checked.
        expected: RecordingId,
        /// The recording it names.
        actual: RecordingId,
    },
    /// It came before: a repetition, or out of order.
    #[error("expected fragment {expected}, got fragment {actual} again or too late")]
    Repeated {
        /// The number that should come.
        expected: u64,
        /// The number it has.
        actual: u64,
    },
    /// Fragments before it are missing.
    #[error("expected fragment {expected}, got fragment {actual}: {} missing", actual - expected)]
    Missing {
        /// The number that should come.
        expected: u64,
        /// The number it has.
        actual: u64,
    },
    /// It names another fragment as the one before it.
    #[error(
        "fragment {seq} names {actual} as the hash before it, expected {expected}: the fragment before was changed or exchanged"
    )]
    Previous {
        /// Its number.
        seq: u64,
        /// The hash of the fragment before.
        expected: Hash,
        /// The hash it names.
        actual: Hash,
    },
    /// It begins before the one before it ended.
    #[error("fragment {seq} starts at {actual} us, expected no earlier than {expected} us")]
    Time {
        /// Its number.
        seq: u64,
        /// The end of the fragment before.
        expected: u64,
        /// Its start.
        actual: u64,
    },
    /// Its segment number does not follow.
    #[error("fragment {seq} is {} segment {actual}, expected segment {expected} or a new one after it", if *first { "first of" } else { "in" })]
    Segment {
        /// Its number.
        seq: u64,
        /// The segment before.
        expected: u32,
        /// The segment it names.
        actual: u32,
        /// Whether it says that it opens the segment.
        first: bool,
    },
    /// It rests on an anchor that is not the newest.
    #[error("fragment {seq} rests on the anchor in fragment {actual}, expected {expected}")]
    Anchor {
        /// Its number.
        seq: u64,
        /// The newest anchor.
        expected: u64,
        /// The anchor it names.
        actual: u64,
    },
    /// The recording had ended.
    #[error("fragment {seq} follows the end of the recording")]
    AfterEnd {
        /// Its number.
        seq: u64,
    },
}

impl Chain {
    /// A recording of which nothing is known yet: fragment 0 comes next.
    pub fn new(recording: RecordingId) -> Self {
        Self { recording, next_seq: 0, head: genesis(recording), before: None, ended: false }
    }

    /// Goes on after a fragment that was accepted earlier: `next_seq` comes next and names `head_hash`; the fragment
    /// before it was in `segment` and ended at `end_us`. With `next_seq` 0 this is [`Self::new`].
    pub fn resume(recording: RecordingId, next_seq: u64, head_hash: Hash, segment: u32, end_us: u64) -> Self {
        if next_seq == 0 {
            return Self::new(recording);
        }
        Self {
            recording,
            next_seq,
            head: head_hash,
            before: Some(Before { segment, end_us, anchor_seq: None }),
            ended: false,
        }
    }

    /// Goes on after a fragment.
    pub fn after(head: &FragmentHead, hash: Hash) -> Self {
        let Flags { last, .. } = head.flags;
        Self {
            recording: head.recording,
            next_seq: head.seq.saturating_add(1),
            head: hash,
            before: Some(Before {
                segment: head.segment,
                end_us: head.end_us,
                anchor_seq: Some(head.anchor_seq),
            }),
            ended: last,
        }
    }

    /// Takes the next fragment.
    ///
    /// # Errors
    /// Why it does not follow; the chain is then as before.
    pub fn accept(&mut self, fragment: &OpenFragment) -> Result<(), ChainError> {
        self.accept_head(fragment.head(), fragment.hash())
    }

    /// Takes the next fragment, of which head and hash are known.
    ///
    /// # Errors
    /// Why it does not follow; the chain is then as before.
    pub fn accept_head(&mut self, head: &FragmentHead, hash: Hash) -> Result<(), ChainError> {
        self.check(head)?;
        *self = Self::after(head, hash);
        Ok(())
    }

    fn check(&self, head: &FragmentHead) -> Result<(), ChainError> {
        let seq = head.seq;
        if head.recording != self.recording {
            return Err(ChainError::Recording { expected: self.recording, actual: head.recording });
        }
        if seq < self.next_seq {
            return Err(ChainError::Repeated { expected: self.next_seq, actual: seq });
        }
        if seq > self.next_seq {
            return Err(ChainError::Missing { expected: self.next_seq, actual: seq });
        }
        if self.ended {
            return Err(ChainError::AfterEnd { seq });
        }
        if head.previous != self.head {
            return Err(ChainError::Previous { seq, expected: self.head, actual: head.previous });
        }
        let Some(before) = self.before else { return Ok(()) };
        if head.start_us < before.end_us {
            return Err(ChainError::Time { seq, expected: before.end_us, actual: head.start_us });
        }
        let first = head.flags.first_of_segment;
        let segment = if first { before.segment.checked_add(1) } else { Some(before.segment) };
        if segment != Some(head.segment) {
            let expected = before.segment;
            return Err(ChainError::Segment { seq, expected, actual: head.segment, first });
        }
        match before.anchor_seq {
            Some(expected) if (!head.flags.anchor || head.flags.repeated) && head.anchor_seq != expected => {
                Err(ChainError::Anchor { seq, expected, actual: head.anchor_seq })
            }
            _ => Ok(()),
        }
    }

    /// Hash of the last fragment accepted, which the next must name.
    pub const fn head(&self) -> Hash {
        self.head
    }

    /// The fragment whose anchor the last one accepted rests on; `None` when it is not known.
    pub fn anchor_seq(&self) -> Option<u64> {
        self.before.and_then(|before| before.anchor_seq)
    }

    /// Number that comes next.
    pub const fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The recording.
    pub const fn recording(&self) -> RecordingId {
        self.recording
    }

    /// Whether the last fragment accepted was the last of the recording.
    pub const fn ended(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDING: RecordingId = RecordingId::from_bytes([3; 16]);
    const HASH: Hash = Hash::from_bytes([4; 32]);

    fn first() -> FragmentHead {
        FragmentHead {
            flags: Flags { key_frame: true, anchor: true, first_of_segment: true, ..Flags::default() },
            segment: 0,
            seq: 0,
            start_us: 0,
            end_us: 1_000,
            anchor_seq: 0,
            activity: 0,
            events: 0,
            recording: RECORDING,
            previous: genesis(RECORDING),
            wall_us: 0,
            width: 1,
            height: 1,
        }
    }

    fn second() -> FragmentHead {
        FragmentHead {
            flags: Flags::default(),
            seq: 1,
            start_us: 1_000,
            end_us: 2_000,
            previous: HASH,
            ..first()
        }
    }

    #[test]
    fn a_right_row_is_accepted() {
        let mut chain = Chain::new(RECORDING);
        chain.accept_head(&first(), HASH).unwrap();
        let resumed = Chain::resume(RECORDING, 1, chain.head(), 0, 1_000);
        for mut chain in [chain, resumed] {
            chain.accept_head(&second(), Hash::from_bytes([5; 32])).unwrap();
            assert_eq!((chain.next_seq(), chain.head()), (2, Hash::from_bytes([5; 32])));
        }
        assert_eq!(Chain::resume(RECORDING, 0, HASH, 9, 9), Chain::new(RECORDING));
    }

    #[test]
    fn a_new_segment_needs_the_next_number_and_its_flag() {
        let opening = Flags { key_frame: true, anchor: true, first_of_segment: true, ..Flags::default() };
        let accepts = |segment, flags: Flags| {
            let anchor_seq = if flags.anchor { 1 } else { 0 };
            let head = FragmentHead { segment, flags, anchor_seq, ..second() };
            Chain::after(&first(), HASH).accept_head(&head, HASH).is_ok()
        };
        assert!(accepts(1, opening));
        assert!(accepts(0, Flags::default()));
        assert!(!accepts(0, opening));
        assert!(!accepts(2, opening));
        assert!(!accepts(1, Flags::default()));
    }

    #[test]
    fn every_break_is_named() {
        type Break = (fn(&mut FragmentHead), &'static str);
        let breaks: [Break; 7] = [
            (|head| head.recording = RecordingId::from_bytes([9; 16]), "one of recording 09090909"),
            (|head| head.seq = 0, "again or too late"),
            (|head| head.seq = 4, "expected fragment 1, got fragment 4: 3 missing"),
            (|head| head.previous = Hash::from_bytes([8; 32]), "names 0808"),
            (|head| head.start_us = 999, "starts at 999 us, expected no earlier than 1000 us"),
            (|head| head.segment = 1, "in segment 1"),
            (|head| head.anchor_seq = 1, "rests on the anchor in fragment 1, expected 0"),
        ];
        for (change, text) in breaks {
            let mut head = second();
            change(&mut head);
            let mut chain = Chain::after(&first(), HASH);
            let error = chain.accept_head(&head, HASH).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
            assert_eq!(chain, Chain::after(&first(), HASH));
        }
        let mut last = first();
        last.flags.last = true;
        let error = Chain::after(&last, HASH).accept_head(&second(), HASH).unwrap_err();
        assert_eq!(error, ChainError::AfterEnd { seq: 1 });
        let mut wrong = first();
        wrong.previous = HASH;
        assert!(Chain::new(RECORDING).accept_head(&wrong, HASH).is_err());
    }
}
