//! Giving fragments after a hole in the queue the place in the recording that the server has for them.
//!
//! The content stays; number, segment and the hash of the fragment before change, and the first one after the hole says what
//! is missing. It costs opening and packing the fragment once more, and happens only after the queue had to let go of some.

use playhead_format::{
    Channel, Flags, FormatError, Fragment, FragmentBuilder, FragmentHead, Hash, MetaMessage, Signer,
    open_fragment,
};
use playhead_model::{Gap, GapCause, RecordingInfo};

/// The place after the last fragment that the server has, or was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// Number of the next fragment.
    pub(super) next: u64,
    /// Hash of the one before it.
    pub(super) hash: Hash,
    /// Its segment; none when there is none before it.
    pub(super) segment: Option<u32>,
    /// Media time at which it ends.
    pub(super) end_us: u64,
    /// Number under which the anchor it rests on was sent, where that is known.
    pub(super) anchor: Option<u64>,
}

impl Position {
    /// The place after a fragment.
    pub(super) fn after(head: &FragmentHead, hash: Hash) -> Self {
        Self {
            next: head.seq + 1,
            hash,
            segment: Some(head.segment),
            end_us: head.end_us,
            anchor: Some(head.anchor_seq),
        }
    }
}

/// Makes the fragment that goes to `position` out of a recorded one. `anchor` is the number under which its anchor was sent,
/// should the position not tell; `hole` says why something is missing right before it. A repeated anchor becomes one of its own: what
/// it repeats may be missing. What was signed is signed again, as it is sent, and so is what begins a segment.
///
/// # Errors
/// What was recorded is no fragment.
pub(super) fn renumber(
    record: &[u8],
    position: &Position,
    anchor: u64,
    hole: Option<GapCause>,
    info: &RecordingInfo,
    signer: &Signer,
) -> Result<Fragment, FormatError> {
    let open = open_fragment(record)?;
    let old = *open.head();
    let begins = old.flags.first_of_segment || hole.is_some() || position.segment.is_none();
    let segment = match position.segment {
        Some(segment) => segment + u32::from(begins),
        None => 0,
    };
    let head = FragmentHead {
        flags: Flags {
            first_of_segment: begins,
            gap_before: old.flags.gap_before || hole.is_some(),
            repeated: false,
            ..old.flags
        },
        segment,
        seq: position.next,
        anchor_seq: if old.flags.anchor { position.next } else { position.anchor.unwrap_or(anchor) },
        previous: position.hash,
        ..old
    };
    let mut builder = FragmentBuilder::new();
    let meta = |builder: &mut FragmentBuilder, message: MetaMessage| {
        builder.push(Channel::Meta, old.start_us, old.wall_us, &message.encode())
    };
    if begins {
        meta(&mut builder, MetaMessage::Recording { info: Box::new(info.clone()) })?;
    }
    if let Some(cause) = hole {
        let gap = Gap { from_us: position.end_us, to_us: old.start_us, cause };
        meta(&mut builder, gap.into())?;
    }
    for message in open.messages().skip(1) {
        let message = message?;
        // The hole's gap goes from what the server has to this fragment, whatever the agent took for missing when it was recorded.
        let is_replaced = message.channel == Channel::Meta.id()
            && match MetaMessage::parse(message.data) {
                MetaMessage::Recording { .. } => begins,
                MetaMessage::Gap { .. } => hole.is_some(),
                MetaMessage::Signature { .. } => true,
                _ => false,
            };
        if let Some(channel) = Channel::from_id(message.channel).filter(|_| !is_replaced) {
            builder.push(channel, message.log_time_us, message.publish_time_us, message.data)?;
        }
    }
    // The new signature has the time of the old one: sent twice, the fragment is the same.
    let signed_at = open.signature()?.map(|signature| signature.wall_us);
    match signed_at.or(begins.then_some(old.wall_us)) {
        Some(wall_us) => builder.finish_signed(head, 1, signer, wall_us),
        None => builder.finish(head, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fragments, info, signer};
    use playhead_format::Chain;

    #[test]
    fn what_follows_a_hole_continues_what_the_server_has() {
        let info = info(3);
        // Two segments of three fragments; the queue lost 1 and 2.
        let recorded = fragments(&info, 2, 3);
        let mut chain = Chain::new(info.id);
        chain.accept_head(&recorded[0].head, recorded[0].hash).unwrap();
        let mut position = Position::after(&recorded[0].head, recorded[0].hash);
        for (at, fragment) in recorded[3..].iter().enumerate() {
            let hole = (at == 0).then_some(GapCause::QueueFull);
            let anchor = fragment.head.anchor_seq - 2;
            let sent = renumber(&fragment.bytes, &position, anchor, hole, &info, &signer()).unwrap();
            let open = open_fragment(&sent.bytes).unwrap();
            chain.accept(&open).unwrap();
            assert_eq!(open.head().flags.gap_before, at == 0);
            let metas: Vec<_> = open.messages().flatten().filter(|message| message.channel == 2).collect();
            if at == 0 {
                assert!(matches!(MetaMessage::parse(metas[0].data), MetaMessage::Recording { .. }));
                let MetaMessage::Gap { from_us, to_us, cause } = MetaMessage::parse(metas[1].data) else {
                    panic!()
                };
                assert_eq!((from_us, to_us), (recorded[0].head.end_us, fragment.head.start_us));
                assert_eq!(cause, GapCause::QueueFull);
                assert_eq!(metas.len(), 3);
                let signature = open.signature().unwrap().unwrap();
                assert!(signature.covers_all);
                assert_eq!(signature.signature, signer().sign(&signature.statement));
            }
            position = Position::after(&sent.head, sent.hash);
        }
        assert_eq!(chain.next_seq(), 4);
    }

    #[test]
    fn a_server_that_has_nothing_gets_a_recording_that_starts_with_a_gap() {
        let info = info(4);
        let recorded = fragments(&info, 2, 2);
        let start = Chain::new(info.id);
        let position = Position { next: 0, hash: start.head(), segment: None, end_us: 0, anchor: None };
        let sent =
            renumber(&recorded[2].bytes, &position, 0, Some(GapCause::QueueFull), &info, &signer()).unwrap();
        assert_eq!((sent.head.seq, sent.head.segment), (0, 0));
        let mut chain = start;
        chain.accept(&open_fragment(&sent.bytes).unwrap()).unwrap();
    }
}
