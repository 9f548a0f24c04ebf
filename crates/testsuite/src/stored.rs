//! What is in stored files.

use anyhow::Result;
use playhead_format::{Channel, SegmentReader, open_fragment};
use std::{fs::File, path::PathBuf};

/// Goes through all messages of a recording's segments, in order: their channel, media time in microseconds, and bytes. Those of
/// channels that this version does not know are left out.
///
/// # Errors
/// A file that cannot be read, and whatever `each` says.
pub fn each_message(
    files: &[PathBuf],
    mut each: impl FnMut(Channel, u64, &[u8]) -> Result<()>,
) -> Result<()> {
    for file in files {
        let mut reader = SegmentReader::open(File::open(file)?)?;
        for position in 0..reader.index().entries.len() {
            let fragment = open_fragment(&reader.fragment(position)?)?;
            for message in fragment.messages() {
                let message = message?;
                if let Some(channel) = Channel::from_id(message.channel) {
                    each(channel, message.log_time_us, message.data)?;
                }
            }
        }
    }
    Ok(())
}
