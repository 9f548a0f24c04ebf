//! Packing one stored segment denser: the same fragments with the same hashes and seal, in fewer bytes.
//!
//! The new file is made in memory and compared with the old one fragment by fragment, written beside it under another name, read back and
//! compared; then one transaction says that the segment lies there and that the old file is to be removed after a while. A crash anywhere
//! leaves the old file in use or the new one, never none, and what is left over is known by name.

use super::tend::{Done, MOST, TendError, Tender};
use crate::clock;
use playhead_db::site::SegmentRow;
use playhead_format::{Density, FormatError, repack};
use std::{
    io::ErrorKind,
    thread,
    time::{Duration, Instant},
};

/// The way that segments are packed by this version; those packed in an older one are packed again.
pub(super) const PACKING: u32 = 1;
/// A fragment whose residuals take less than so many hundredths fewer bytes is left to zstd: opening it takes longer.
pub(super) const LEAST_PERCENT: u8 = 8;
/// A file that would be less than so many hundredths shorter stays as it is.
const WORTH_PERCENT: u64 = 2;
/// For every part of the time that a processor works, so many it rests.
const REST: u32 = 1;
/// Most that it rests at a time.
const LONGEST: Duration = Duration::from_secs(2);

/// Packs a segment that was taken.
pub(super) async fn one(tender: &Tender, segment: &SegmentRow, density: Density) -> Result<Done, TendError> {
    let (_, saved_before) = tender.store.packing_of(segment).await?;
    if segment.bytes > MOST {
        tender.store.leave_segment(segment, Some(PACKING)).await?;
        return Ok(Done::Fine);
    }
    let file = match tender.read(segment).await {
        Err(TendError::Damaged(damage)) => {
            tender.store.segment_checked(segment, Some(&damage), clock::now()).await?;
            return Err(TendError::Damaged(damage));
        }
        file => file?,
    };
    let old = file.len() as u64;
    let stop = tender.stop.clone();
    let packing = tokio::task::spawn_blocking(move || {
        let mut began = Instant::now();
        let packed = repack(&file, density, || {
            thread::sleep((began.elapsed() * REST).min(LONGEST));
            began = Instant::now();
            !stop.is_cancelled()
        })?;
        Ok::<_, FormatError>(packed.bytes)
    });
    let packed = match packing.await? {
        Ok(packed) => packed,
        Err(FormatError::Io(error)) if error.kind() == ErrorKind::Interrupted => {
            return Err(TendError::Stopped);
        }
        // Its file is as it was stored, so it was stored so: people have to look at it.
        Err(error) => {
            let damage = format!("{error}; see what playhead verify says of {}", segment.path);
            tender.store.segment_checked(segment, Some(&damage), clock::now()).await?;
            return Err(TendError::Damaged(damage));
        }
    };
    let saved = old.saturating_sub(packed.len() as u64);
    if saved * 100 < old * WORTH_PERCENT {
        tender.store.leave_segment(segment, Some(PACKING)).await?;
        return Ok(Done::Fine);
    }
    match tender.replace(segment, packed, (PACKING, saved_before + saved)).await? {
        Some(_) => Ok(Done::Replaced { saved }),
        None => Ok(Done::Gone),
    }
}
