//! Predictors of photographic content: what a byte of a plane is expected to be from its decoded neighbours.

use crate::geometry::TILE;

/// No neighbour: the middle of the range is expected.
pub(crate) const NONE: u8 = 0;

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

/// Residuals of `row` (at most a tile wide) into `out`; `above` is the row over it, `None` for the first row.
pub(crate) fn residual_row(predictor: u8, row: &[u8], above: Option<&[u8]>, out: &mut [u8]) {
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
    match (predictor, above) {
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
        (1, Some(above)) => with::<1>(row, above, out),
        (2, Some(above)) => with::<2>(row, above, out),
        (3, Some(above)) => with::<3>(row, above, out),
        (4, Some(above)) => with::<4>(row, above, out),
        (5, Some(above)) => with::<5>(row, above, out),
        (6, Some(above)) => with::<6>(row, above, out),
        (_, Some(above)) => with::<7>(row, above, out),
    }
}

/// The inverse of [`residual_row`]: `row` holds residuals and is turned into values in place.
pub(crate) fn restore_row(predictor: u8, row: &mut [u8], above: Option<&[u8]>) {
    fn with<const P: u8>(row: &mut [u8], above: &[u8]) {
        let up = pad_above(above);
        let mut w = above[0];
        for (i, v) in row.iter_mut().enumerate() {
            w = v.wrapping_add(expect::<P>(w, up[i + 1], up[i], up[i + 2]));
            *v = w;
        }
    }
    match (predictor, above) {
        (NONE, _) => row.iter_mut().for_each(|v| *v = v.wrapping_add(START)),
        (_, None) => {
            let mut w = START;
            for v in row {
                w = v.wrapping_add(w);
                *v = w;
            }
        }
        (1, Some(above)) => with::<1>(row, above),
        (2, Some(above)) => with::<2>(row, above),
        (3, Some(above)) => with::<3>(row, above),
        (4, Some(above)) => with::<4>(row, above),
        (5, Some(above)) => with::<5>(row, above),
        (6, Some(above)) => with::<6>(row, above),
        (_, Some(above)) => with::<7>(row, above),
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
        for width in [1, 2, 3, 17, 64] {
            let above: Vec<u8> = (0..width).map(|_| next()).collect();
            let row: Vec<u8> = (0..width).map(|_| next()).collect();
            for predictor in 0..8 {
                for up in [None, Some(above.as_slice())] {
                    let mut coded = vec![0; width];
                    residual_row(predictor, &row, up, &mut coded);
                    restore_row(predictor, &mut coded, up);
                    assert_eq!(coded, row, "predictor {predictor}, width {width}");
                }
            }
        }
    }
}
