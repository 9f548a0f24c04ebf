//! Predictors of photographic content: what a byte of a plane is expected to be from its decoded neighbours.

use crate::geometry::TILE;

/// No neighbour: the middle of the range is expected.
pub(crate) const NONE: u8 = 0;

/// A mean of eighteen neighbours in three rows: of a smooth surface under grain they tell more than the four nearest.
pub(crate) const WIDE: u8 = 8;

/// How a plane is predicted and in which class its residuals are, as one byte.
pub(crate) fn choice(class: u8, predictor: u8) -> u8 {
    class << 3 | predictor & 7 | (predictor & WIDE) << 3
}

/// The class and the predictor of a byte; `None` where it is reserved.
pub(crate) fn class_and_predictor(choice: u8) -> Option<(u8, u8)> {
    let predictor = choice & 7 | choice >> 3 & WIDE;
    (choice < 0x80 && predictor <= WIDE).then_some((choice >> 3 & 7, predictor))
}

/// Expected byte from the left, upper, upper left and upper right neighbours.
#[inline(always)]
fn expect<const P: u8>(w: u8, n: u8, nw: u8, ne: u8) -> u8 {
    let (wi, ni, nwi, nei) = (i16::from(w), i16::from(n), i16::from(nw), i16::from(ne));
    match P {
        1 => w,
        2 => n,
        3 => ((wi + ni) >> 1) as u8,
        // The median of left, up and left + up - upper left: follows edges of both directions.
        4 => {
            let (low, high) = (wi.min(ni), wi.max(ni));
            (wi + ni - nwi).clamp(low, high) as u8
        }
        5 => ((3 * wi + 3 * ni - 2 * nwi + 2) >> 2).clamp(0, 255) as u8,
        // Means of more neighbours: the grain of a photograph averages out.
        6 => ((wi + nwi + ni + nei + 2) >> 2) as u8,
        _ => ((2 * wi + ni + nei + 2) >> 2) as u8,
    }
}

/// A row with the neighbours that its edges lack: before it the left neighbour of its first byte.
type Padded = [u8; TILE + 2];

fn pad_above(above: &[u8]) -> Padded {
    let mut up = [0; TILE + 2];
    let w = above.len();
    up[0] = above[0];
    up[1..=w].copy_from_slice(above);
    up[w + 1] = above[w - 1];
    up
}

/// What a plane's first byte is expected to be.
const START: u8 = 128;

/// How far [`WIDE`] looks to either side, and to the left in its own row.
const REACH: usize = 3;
const BEFORE: usize = 4;

/// The row `y` of a plane of `w` columns, what comes before it and the two rows above: the nearer one, and the one above that or the
/// nearer one again. `None` for the first row.
fn rows_above(before: &[u8], w: usize) -> Option<(&[u8], &[u8])> {
    let near = before.len().checked_sub(w)?;
    Some((&before[near..], &before[near.saturating_sub(w)..][..w]))
}

/// What the two rows above give to what [`WIDE`] expects, times 32 and with half of that for rounding.
fn wide_above(near: &[u8], far: &[u8]) -> [u16; TILE] {
    fn padded(row: &[u8]) -> [u16; TILE + 2 * REACH] {
        let (w, mut out) = (row.len(), [u16::from(row[row.len() - 1]); TILE + 2 * REACH]);
        out[..REACH].fill(u16::from(row[0]));
        out[REACH..REACH + w].iter_mut().zip(row).for_each(|(to, &from)| *to = u16::from(from));
        out
    }
    let (near, far) = (padded(near), padded(far));
    let mut out = [0; TILE];
    for (i, out) in out.iter_mut().enumerate() {
        let (n, f) = (&near[i..i + 7], &far[i..i + 7]);
        *out = 16
            + n[0]
            + 2 * (n[1] + n[2] + n[3] + n[4] + n[5])
            + 3 * n[6]
            + (f[0] + f[1] + f[2] + f[3] + f[4])
            + 2 * (f[5] + f[6]);
    }
    out
}

/// Residuals of row `y` of a plane of `w` columns, at most a tile wide, into `out`.
pub(crate) fn residual_row(predictor: u8, plane: &[u8], w: usize, y: usize, out: &mut [u8]) {
    fn with<const P: u8>(row: &[u8], above: &[u8], out: &mut [u8]) {
        let n = row.len();
        let up = pad_above(above);
        let mut left = [0u8; TILE + 1];
        left[0] = above[0];
        left[1..=n].copy_from_slice(row);
        let (up_left, up, up_right) = (&up[..n], &up[1..=n], &up[2..n + 2]);
        let (left, out) = (&left[..n], &mut out[..n]);
        for i in 0..n {
            out[i] = row[i].wrapping_sub(expect::<P>(left[i], up[i], up_left[i], up_right[i]));
        }
    }
    fn wide(row: &[u8], near: &[u8], far: &[u8], out: &mut [u8]) {
        let n = row.len();
        let above = wide_above(near, far);
        let mut left = [u16::from(near[0]); TILE + BEFORE];
        left[BEFORE..BEFORE + n].iter_mut().zip(row).for_each(|(to, &from)| *to = u16::from(from));
        for (i, (out, &v)) in out.iter_mut().zip(row).enumerate() {
            let l = &left[i..i + BEFORE];
            *out = v.wrapping_sub(((above[i] + 3 * l[3] + 2 * (l[2] + l[1] + l[0])) >> 5) as u8);
        }
    }
    let (before, row) = (&plane[..y * w], &plane[y * w..][..w]);
    match (predictor, rows_above(before, w)) {
        (NONE, _) => {
            for (o, &v) in out.iter_mut().zip(row) {
                *o = v.wrapping_sub(START);
            }
        }
        (_, None) => {
            let mut w = START;
            for (o, &v) in out.iter_mut().zip(row) {
                *o = v.wrapping_sub(w);
                w = v;
            }
        }
        (1, Some((above, _))) => with::<1>(row, above, out),
        (2, Some((above, _))) => with::<2>(row, above, out),
        (3, Some((above, _))) => with::<3>(row, above, out),
        (4, Some((above, _))) => with::<4>(row, above, out),
        (5, Some((above, _))) => with::<5>(row, above, out),
        (6, Some((above, _))) => with::<6>(row, above, out),
        (7, Some((above, _))) => with::<7>(row, above, out),
        (_, Some((near, far))) => wide(row, near, far, out),
    }
}

/// The inverse of [`residual_row`] for all rows: `plane` holds residuals and is turned into values in place.
pub(crate) fn restore(predictor: u8, plane: &mut [u8], w: usize) {
    fn with<const P: u8>(row: &mut [u8], above: &[u8]) {
        let up = pad_above(above);
        let mut w = above[0];
        for (i, v) in row.iter_mut().enumerate() {
            w = v.wrapping_add(expect::<P>(w, up[i + 1], up[i], up[i + 2]));
            *v = w;
        }
    }
    fn wide(row: &mut [u8], near: &[u8], far: &[u8]) {
        let above = wide_above(near, far);
        let [mut a, mut b, mut c, mut d] = [u16::from(near[0]); BEFORE];
        for (v, above) in row.iter_mut().zip(above) {
            // The newest neighbour last: it is what everything waits for.
            *v = v.wrapping_add(((above + 2 * (a + b + c) + 3 * d) >> 5) as u8);
            (a, b, c, d) = (b, c, d, u16::from(*v));
        }
    }
    for y in 0..plane.len() / w {
        let (before, rest) = plane.split_at_mut(y * w);
        let row = &mut rest[..w];
        match (predictor, rows_above(before, w)) {
            (NONE, _) => row.iter_mut().for_each(|v| *v = v.wrapping_add(START)),
            (_, None) => {
                let mut w = START;
                for v in row {
                    w = v.wrapping_add(w);
                    *v = w;
                }
            }
            (1, Some((above, _))) => with::<1>(row, above),
            (2, Some((above, _))) => with::<2>(row, above),
            (3, Some((above, _))) => with::<3>(row, above),
            (4, Some((above, _))) => with::<4>(row, above),
            (5, Some((above, _))) => with::<5>(row, above),
            (6, Some((above, _))) => with::<6>(row, above),
            (7, Some((above, _))) => with::<7>(row, above),
            (_, Some((near, far))) => wide(row, near, far),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_predictor_is_undone() {
        let mut seed = 7u32;
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        };
        for (width, height) in [(1, 5), (2, 3), (3, 4), (17, 9), (64, 64)] {
            let plane: Vec<u8> = (0..width * height).map(|_| next()).collect();
            for predictor in 0..=WIDE {
                let mut coded = vec![0; plane.len()];
                for (y, out) in coded.chunks_exact_mut(width).enumerate() {
                    residual_row(predictor, &plane, width, y, out);
                }
                restore(predictor, &mut coded, width);
                assert_eq!(coded, plane, "predictor {predictor}, {width} x {height}");
            }
        }
    }

    #[test]
    fn a_choice_is_read_as_it_was_made() {
        for class in 0..8 {
            for predictor in 0..=WIDE {
                assert_eq!(class_and_predictor(choice(class, predictor)), Some((class, predictor)));
            }
        }
        assert_eq!((0..=255).filter(|byte| class_and_predictor(*byte).is_some()).count(), 72);
    }
}
