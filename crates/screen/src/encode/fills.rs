//! Rows of one colour: page backgrounds, bars and the ground that text stands on.

use super::Pending;
use crate::bits::{self, TileMask};
use crate::geometry::{Area, View, colour};
use crate::wire::{FILL_NONE, Writer, op, stream};

/// Fewer pending pixels than this in a tile are drawn on what is there.
const FEW: u32 = 96;
/// Pixels that filling a row has to set right beyond those that it sets wrong.
const ROW_GAIN: i32 = 8;

/// Fills rows of tiles where that settles pixels. Returns which tiles look like photographs and are not to be taken apart
/// any further.
pub(super) fn fill(pending: &mut Pending, new: View<'_>, writer: &mut Writer) -> Vec<bool> {
    let mut photos = vec![false; pending.masks.len()];
    let mut runs = Vec::new();
    for &tile in &pending.tiles {
        let mask = &mut pending.masks[tile];
        if bits::count(mask) < FEW {
            continue;
        }
        let area = pending.grid.area(tile);
        if is_photo(new, area) {
            photos[tile] = true;
            continue;
        }
        runs.clear();
        fill_tile(mask, new, area, &mut runs);
        if runs.iter().any(|(_, colour)| colour.is_some()) {
            pending.drawn[tile] = true;
            writer.op(op::FILL, tile);
            for &(rows, colour) in &runs {
                writer.stream(stream::FILL).push(rows);
                match colour {
                    Some(colour) => writer.colour(stream::FILL, colour),
                    None => writer.stream(stream::FILL).push(FILL_NONE),
                }
            }
        }
    }
    photos
}

/// Whether few neighbours are equal. Drawn content is flat for the most part, even where text is dense.
fn is_photo(new: View<'_>, area: Area) -> bool {
    if area.w < 8 {
        return false;
    }
    let mut changes = 0;
    let mut seen = 0;
    for y in (area.y..area.y + area.h).step_by(2) {
        let row = new.row(area.x, y, area.w);
        changes += bits::differing(&row[4..], &row[..row.len() - 4]).count_ones() as usize;
        seen += area.w - 1;
    }
    changes * 3 > seen * 2
}

/// Finds the colour of each row, as runs of equal ones, and updates the mask to what the fills leave wrong.
fn fill_tile(mask: &mut TileMask, new: View<'_>, area: Area, runs: &mut Vec<(u8, Option<u32>)>) {
    let valid = bits::low(area.w);
    let mut ground = None;
    for (y, mask) in mask[..area.h].iter_mut().enumerate() {
        let row = new.row(area.x, area.y + y, area.w);
        let wrong = *mask;
        // Setting right minus setting wrong; a row that is all of the colour is never harmed.
        let gain = |c: u32| {
            let same = bits::having(row, c);
            let gain = (same & wrong).count_ones() as i32 - (!same & !wrong & valid).count_ones() as i32;
            (same, if same == valid { gain.max(ROW_GAIN) } else { gain })
        };
        let enough = ROW_GAIN.max(wrong.count_ones() as i32 / 4);
        let mut fill = ground.map(|c| (c, gain(c))).filter(|(_, (_, g))| *g >= enough);
        if fill.is_none() && wrong.count_ones() as i32 >= ROW_GAIN {
            let c = majority(row);
            fill = Some((c, gain(c))).filter(|(_, (_, g))| *g >= ROW_GAIN);
        }
        let colour = fill.map(|(c, (same, _))| {
            *mask = !same & valid;
            ground = Some(c);
            c
        });
        match runs.last_mut() {
            Some((rows, last)) if *last == colour => *rows += 1,
            _ => runs.push((1, colour)),
        }
    }
}

/// The colour of more than half of the pixels, or some colour of the row when there is none.
fn majority(row: &[u8]) -> u32 {
    let (mut candidate, mut lead) = (0, 0u32);
    for p in row.as_chunks::<4>().0 {
        let c = colour(*p);
        if lead == 0 {
            (candidate, lead) = (c, 1);
        } else if c == candidate {
            lead += 1;
        } else {
            lead -= 1;
        }
    }
    candidate
}
