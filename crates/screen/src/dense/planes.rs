//! Planes of a box: each value is expected from those around it, from the picture before, and from the planes before it; what it then
//! differs by is coded in the context of what the neighbours differed by.

use super::coder::{Coder, MIXED, Model, SELECTORS};
use super::history::History;
use crate::geometry::{Area, TILE, TILE_PIXELS};

/// Values that an expectation is made of.
pub(super) const TAPS: usize = 17;
/// The first two are to the left, in the row being coded.
const LEFT: usize = 2;
/// Weights of the taps of one plane, in 1/256.
pub(super) type Weights = [i16; TAPS];
/// For each of the three planes.
pub(super) type Filter = [Weights; 3];

/// Where a box is, and what is known of it before its values.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) area: Area,
    /// How far what it shows has moved since the picture before; `None` where that is not known.
    pub(super) moved: Option<(i8, i8)>,
    /// Whether its values are differences from something unknown.
    pub(super) relative: bool,
}

/// Values of a box by planes.
pub(super) type Planes = [Vec<u8>; 3];

/// The rows around the one being coded; places 1 to `width` are the box's, with one more before and two more after.
struct Rows {
    /// The row above, and the one above that.
    up: [[i32; TILE + 3]; 2],
    /// Of the picture before: the row above, the same row, the row below.
    old: [[i32; TILE + 3]; 3],
}

impl Rows {
    fn new() -> Self {
        Self { up: [[0; TILE + 3]; 2], old: [[0; TILE + 3]; 3] }
    }
}

/// Sums of products of taps, for finding weights.
pub(super) struct Sums {
    pub(super) products: [[f64; TAPS]; TAPS],
    pub(super) with_value: [f64; TAPS],
}

/// What each tap of a row says; rows of one tap beside each other, so that processors take many at a time.
struct Taps([[i32; TILE]; TAPS]);

/// Fills in the taps of row `y` except the two to the left, as differences from the row above. `false` in the first row.
fn taps(
    place: &Place,
    planes: &Planes,
    plane: usize,
    y: usize,
    rows: &mut Rows,
    history: &History,
    out: &mut Taps,
) -> bool {
    let (w, values) = (place.area.w, &planes[plane]);
    if let Some(moved) = place.moved {
        for (row, dy) in rows.old.iter_mut().zip(-1..) {
            history.row(plane, place.area, moved, y as i32 + dy, row);
        }
    }
    if y == 0 {
        return false;
    }
    let fill = |row: &mut [i32; TILE + 3], y: usize| {
        let from = &values[y * w..][..w];
        for (to, &value) in row[1..].iter_mut().zip(from) {
            *to = i32::from(value);
        }
        row[0] = row[1];
        row[w + 1] = row[w];
        row[w + 2] = row[w];
    };
    let [up, upper] = &mut rows.up;
    fill(up, y - 1);
    fill(upper, y.saturating_sub(2));
    let (up, upper, old) = (&rows.up[0], &rows.up[1], &rows.old);
    let [_, _, nw, ne, nee, nn, o0, ow, oe, on, os, onw, ose, aw, an, bw, bn] = &mut out.0;
    for x in 0..w {
        let n = up[x + 1];
        nw[x] = up[x] - n;
        ne[x] = up[x + 2] - n;
        nee[x] = up[x + 3] - n;
        nn[x] = upper[x + 1] - n;
    }
    if place.moved.is_some() {
        for x in 0..w {
            let n = up[x + 1];
            o0[x] = old[1][x + 1] - n;
            ow[x] = old[1][x] - n;
            oe[x] = old[1][x + 2] - n;
            on[x] = old[0][x + 1] - n;
            os[x] = old[2][x + 1] - n;
            onw[x] = old[0][x] - n;
            ose[x] = old[2][x + 2] - n;
        }
    } else {
        for tap in [o0, ow, oe, on, os, onw, ose] {
            tap[..w].fill(0);
        }
    }
    let across = |left: &mut [i32; TILE], above: &mut [i32; TILE], values: &[u8]| {
        let (row, over) = (&values[y * w..][..w], &values[(y - 1) * w..][..w]);
        left[0] = 0;
        for x in 1..w {
            left[x] = i32::from(row[x]) - i32::from(row[x - 1]);
        }
        for x in 0..w {
            above[x] = i32::from(row[x]) - i32::from(over[x]);
        }
    };
    if plane > 0 {
        across(aw, an, &planes[0]);
    } else {
        for tap in [aw, an] {
            tap[..w].fill(0);
        }
    }
    if plane > 1 {
        across(bw, bn, &planes[1]);
    } else {
        for tap in [bw, bn] {
            tap[..w].fill(0);
        }
    }
    true
}

/// What a row's values are expected to be, times 256, without the two taps to the left.
fn expected(weights: &Weights, taps: &Taps, up: &[i32; TILE + 3], w: usize, out: &mut [i32; TILE]) {
    for (to, n) in out[..w].iter_mut().zip(&up[1..]) {
        *to = n << 8;
    }
    for (&weight, tap) in weights.iter().zip(&taps.0).skip(LEFT).filter(|(weight, _)| **weight != 0) {
        let weight = i32::from(weight);
        for (to, value) in out[..w].iter_mut().zip(tap) {
            *to += weight * value;
        }
    }
}

/// How large a sum of errors is: 0 to 15.
#[inline(always)]
fn size(sum: i32) -> usize {
    if sum < 4 {
        return sum as usize;
    }
    let top = sum.ilog2();
    ((2 * top + (sum as u32 >> (top - 1) & 1)) as usize).min(15)
}

/// A number within -`most` to `most`, counted from 0.
#[inline(always)]
fn near(number: i32, most: i32) -> usize {
    (number.clamp(-most, most) + most) as usize
}

/// Contexts of each sort.
const CONTEXTS: [usize; MIXED] = [3 * 16 * 4 * 16, 3 * 343 * 4, 3 * 25 * 27 * 3];
const _: () = assert!(SELECTORS >= 3 * 8);

/// Codes planes.
pub(super) struct PlaneCoder {
    models: [Model; 3],
    rows: Box<Rows>,
    taps: Box<Taps>,
}

impl PlaneCoder {
    pub(super) fn new() -> Self {
        Self {
            models: [(); 3].map(|()| Model::new(CONTEXTS)),
            rows: Box::new(Rows::new()),
            taps: Box::new(Taps([[0; TILE]; TAPS])),
        }
    }

    /// Codes the planes of a box. A reader ignores what is in `planes` and fills it.
    pub(super) fn code(
        &mut self,
        coder: &mut impl Coder,
        place: &Place,
        filter: &Filter,
        planes: &mut Planes,
        history: &History,
    ) {
        for (plane, weights) in filter.iter().enumerate() {
            self.plane(coder, place, weights, plane, planes, history);
        }
    }

    fn plane(
        &mut self,
        coder: &mut impl Coder,
        place: &Place,
        weights: &Weights,
        plane: usize,
        planes: &mut Planes,
        history: &History,
    ) {
        let (w, h) = (place.area.w, place.area.h);
        let group = if place.relative { 2 } else { usize::from(place.moved.is_some()) };
        let (left, more_left) = (i32::from(weights[0]), i32::from(weights[1]));
        let mut errors = [[0i32; TILE + 4]; 2];
        let mut most = [0; TILE];
        for y in 0..h {
            let inner = taps(place, planes, plane, y, &mut self.rows, history, &mut self.taps);
            let rows = &*self.rows;
            if inner {
                expected(weights, &self.taps, &rows.up[0], w, &mut most);
            }
            errors.swap(0, 1);
            let [now, before] = &mut errors;
            (now[0], now[1]) = (0, 0);
            let mut west = if inner { rows.up[0][1] } else { 128 };
            let mut wester = west;
            for x in 0..w {
                let (sum, north) = if inner {
                    let n = rows.up[0][x + 1];
                    (most[x] + left * (west - n) + more_left * (wester - n), n)
                } else if place.moved.is_some() {
                    (rows.old[1][x + 1] << 8, west)
                } else {
                    (west << 8, west)
                };
                let fine = (sum + 128).clamp(0, 255 << 8);
                let centre = fine >> 8;
                let part = (fine >> 6 & 3) as usize;
                let (ew, eww) = (now[x + 1], now[x]);
                let (enw, en, ene) = (before[x + 1], before[x + 2], before[x + 3]);
                let busy = size(2 * (ew.abs() + en.abs()) + enw.abs() + ene.abs() + eww.abs());
                let (to_west, to_north) = (west - centre, north - centre);
                let to_old = if place.moved.is_some() { rows.old[1][x + 1] - centre } else { 0 };
                let (nw, ne, nn) =
                    if inner { (self.taps.0[2][x], self.taps.0[3][x], self.taps.0[5][x]) } else { (0, 0, 0) };
                let other = if plane == 2 && y > 0 {
                    1 + usize::from(planes[1][y * w + x] != planes[1][(y - 1) * w + x])
                } else {
                    0
                };
                let contexts = [
                    ((group * 16 + busy) * 4 + part) * 16 + near(to_west, 3) + 8 * usize::from(west == north),
                    (((group * 7 + near(to_west, 3)) * 7 + near(to_north, 3)) * 7 + near(to_old, 3)) * 4
                        + part,
                    (((((group * 5 + near(ew, 2)) * 5 + near(en, 2)) * 3 + near(nw, 1)) * 3 + near(ne, 1))
                        * 3
                        + near(nn, 1))
                        * 3
                        + other,
                ];
                let at = y * w + x;
                let number = i32::from((planes[plane][at]).wrapping_sub(centre as u8) as i8);
                let number = self.models[plane].number(coder, contexts, group * 8 + busy / 2, number);
                let value = centre.wrapping_add(number) as u8;
                planes[plane][at] = value;
                now[x + 2] = number;
                wester = west;
                west = i32::from(value);
            }
            (now[w + 2], now[w + 3]) = (0, 0);
        }
    }

    /// Adds up what the weights of a plane of a box are found from: of every second value, in every row.
    pub(super) fn sums(&mut self, place: &Place, plane: usize, planes: &Planes, history: &History) -> Sums {
        let (w, h) = (place.area.w, place.area.h);
        let mut whole = Sums { products: [[0.0; TAPS]; TAPS], with_value: [0.0; TAPS] };
        let mut column = [[0f32; TAPS + 1]; TILE];
        let values = &planes[plane];
        for y in 1..h {
            taps(place, planes, plane, y, &mut self.rows, history, &mut self.taps);
            let row = &values[y * w..][..w];
            let up = &self.rows.up[0];
            let mut used = 0;
            for x in (y & 1..w).step_by(2) {
                let n = up[x + 1];
                let to = &mut column[used];
                used += 1;
                let west = if x > 0 { i32::from(row[x - 1]) } else { up[1] };
                let wester = if x > 1 { i32::from(row[x - 2]) } else { west };
                to[0] = (west - n) as f32;
                to[1] = (wester - n) as f32;
                for (to, tap) in to[LEFT..TAPS].iter_mut().zip(&self.taps.0[LEFT..]) {
                    *to = tap[x] as f32;
                }
                to[TAPS] = (i32::from(row[x]) - n) as f32;
            }
            for i in 0..TAPS {
                let mut sums = [0f32; TAPS + 1];
                for taps in &column[..used] {
                    let value = taps[i];
                    for (sum, other) in sums.iter_mut().zip(taps) {
                        *sum += value * other;
                    }
                }
                for (to, sum) in whole.products[i].iter_mut().zip(sums) {
                    *to += f64::from(sum);
                }
                whole.with_value[i] += f64::from(sums[TAPS]);
            }
        }
        whole
    }
}

/// An empty box of planes.
pub(super) fn empty(area: Area) -> Planes {
    debug_assert!(area.w * area.h <= TILE_PIXELS);
    [(); 3].map(|()| vec![0; area.w * area.h])
}
