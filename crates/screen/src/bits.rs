//! Sets of pixels of one tile: 64 rows of 64 bits, bit 0 is the leftmost pixel.

use crate::geometry::{Area, COLOUR, TILE};

/// The pixels of a tile that still have to be coded, or some other set of them.
pub(crate) type TileMask = [u64; TILE];

/// The lowest `n` bits, at most 64.
pub(crate) fn low(n: usize) -> u64 {
    if n >= 64 { !0 } else { (1 << n) - 1 }
}

/// Bits `x .. x + w`.
pub(crate) fn span(x: usize, w: usize) -> u64 {
    low(w) << x
}

/// Gathers 64 bytes of 0 or 1 into a word.
fn pack(flags: &[u8; 64]) -> u64 {
    let mut word = 0;
    for (i, eight) in flags.as_chunks::<8>().0.iter().enumerate() {
        // The factor moves the lowest bit of byte k to bit 56 + k.
        let bits = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        word |= bits << (8 * i);
    }
    word
}

/// Which of up to 64 pixels differ in colour.
pub(crate) fn differing(a: &[u8], b: &[u8]) -> u64 {
    let mut flags = [0u8; 64];
    for ((f, a), b) in flags.iter_mut().zip(a.as_chunks::<4>().0).zip(b.as_chunks::<4>().0) {
        *f = u8::from((u32::from_le_bytes(*a) ^ u32::from_le_bytes(*b)) & COLOUR != 0);
    }
    pack(&flags)
}

/// Which of up to 64 pixels have the colour.
pub(crate) fn having(a: &[u8], colour: u32) -> u64 {
    let mut flags = [0u8; 64];
    for (f, a) in flags.iter_mut().zip(a.as_chunks::<4>().0) {
        *f = u8::from((u32::from_le_bytes(*a) ^ colour) & COLOUR == 0);
    }
    pack(&flags)
}

/// Which of up to 64 bytes are not 0.
pub(crate) fn not_zero(bytes: &[u8]) -> u64 {
    let mut flags = [0u8; 64];
    for (f, b) in flags.iter_mut().zip(bytes) {
        *f = u8::from(*b != 0);
    }
    pack(&flags)
}

/// Number of pixels in the set.
pub(crate) fn count(mask: &[u64]) -> u32 {
    mask.iter().map(|r| r.count_ones()).sum()
}

/// The smallest box around the rows `from .. to` of the set.
pub(crate) fn bounds(mask: &TileMask, from: usize, to: usize) -> Option<Area> {
    let first = (from..to).find(|&y| mask[y] != 0)?;
    let last = (from..to).rfind(|&y| mask[y] != 0)?;
    let all = mask[first..=last].iter().fold(0, |a, r| a | r);
    let x = all.trailing_zeros() as usize;
    Some(Area { x, y: first, w: 64 - all.leading_zeros() as usize - x, h: last + 1 - first })
}

/// Takes a box out of the set.
pub(crate) fn clear(mask: &mut TileMask, area: Area) {
    let keep = !span(area.x, area.w);
    for row in &mut mask[area.y..area.y + area.h] {
        *row &= keep;
    }
}

/// Number of pixels of the set in a box.
pub(crate) fn count_in(mask: &TileMask, area: Area) -> u32 {
    let columns = span(area.x, area.w);
    mask[area.y..area.y + area.h].iter().map(|r| (r & columns).count_ones()).sum()
}

/// Start and length of the longest run of ones.
fn longest_run(mut word: u64) -> (usize, usize) {
    let (mut start, mut length) = (0, 0);
    let mut at = 0;
    while word != 0 {
        let zeros = word.trailing_zeros() as usize;
        word >>= zeros;
        at += zeros;
        let ones = (!word).trailing_zeros() as usize;
        if ones > length {
            (start, length) = (at, ones);
        }
        word = word.checked_shr(ones as u32).unwrap_or(0);
        at += ones;
    }
    (start, length)
}

/// A large box inside of `allowed`, wherever `wanted` has rows; the one with the largest area.
pub(crate) fn largest_box(allowed: &TileMask, wanted: &TileMask) -> Option<Area> {
    let mut best: Option<Area> = None;
    let mut best_size = 0;
    let mut above = 0;
    for y in 0..TILE {
        let row = allowed[y];
        // A box that starts here but could as well start a row higher is found there.
        let fresh = row & !above != 0;
        above = row;
        if row == 0 || wanted[y] == 0 || !fresh {
            continue;
        }
        let mut columns = row;
        for (h, below) in (1..).zip(&allowed[y..]) {
            columns &= below;
            let (x, w) = longest_run(columns);
            if w * (TILE - y) <= best_size {
                break;
            }
            if w * h > best_size {
                best_size = w * h;
                best = Some(Area { x, y, w, h });
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_differences_in_pixel_order() {
        let a = [0u8; 256];
        let mut b = a;
        for x in [0, 1, 9, 31, 63] {
            b[x * 4 + 1] = 1;
        }
        b[5 * 4 + 3] = 0xff; // the byte that does not count
        assert_eq!(differing(&a, &b), 1 | 1 << 1 | 1 << 9 | 1 << 31 | 1 << 63);
        assert_eq!(having(&b[..16], 0), 0b1100);
    }

    #[test]
    fn runs_and_boxes() {
        assert_eq!(longest_run(0), (0, 0));
        assert_eq!(longest_run(!0), (0, 64));
        assert_eq!(longest_run(0b0111_0110), (4, 3));
        let mut mask = [0; TILE];
        for row in &mut mask[10..20] {
            *row = span(5, 30);
        }
        mask[9] = span(0, 64);
        assert_eq!(largest_box(&mask, &mask), Some(Area { x: 5, y: 9, w: 30, h: 11 }));
        assert_eq!(bounds(&mask, 10, 64), Some(Area { x: 5, y: 10, w: 30, h: 10 }));
        assert_eq!(count(&mask), 64 + 300);
        clear(&mut mask, Area { x: 5, y: 9, w: 30, h: 55 });
        assert_eq!(count(&mask), 34);
    }
}
