//! The end of a recording that nobody is recording any more.

use super::LEVEL;
use playhead_format::{
    Channel, Flags, FormatError, Fragment, FragmentBuilder, FragmentHead, Hash, MetaMessage, Signer,
};
use playhead_model::EndReason;

/// The last fragment of a recording whose session is over without anybody having recorded its end.
///
/// # Errors
/// A fragment that cannot be made.
pub(crate) fn end_after(
    head: &FragmentHead,
    hash: Hash,
    reason: EndReason,
    signer: &Signer,
) -> Result<Fragment, FormatError> {
    let wall_us = head.wall_us.saturating_add(head.end_us - head.start_us);
    let mut builder = FragmentBuilder::new();
    let end = MetaMessage::End { at_us: head.end_us, reason };
    builder.push(Channel::Meta, head.end_us, wall_us, &end.encode())?;
    let last = FragmentHead {
        flags: Flags { last: true, ..Flags::default() },
        seq: head.seq + 1,
        start_us: head.end_us,
        activity: 0,
        events: 0,
        previous: hash,
        wall_us,
        ..*head
    };
    builder.finish_signed(last, LEVEL, signer, wall_us)
}
