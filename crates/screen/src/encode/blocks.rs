//! Boxes of pixels that nothing else explains: by a palette or as residuals of a prediction.

use super::Pending;
use super::history::put_box;
use crate::bits::{self, TileMask};
use crate::entropy::{self, ResidualWriter};
use crate::film;
use crate::geometry::{Area, TILE, TILE_PIXELS, View, colour};
use crate::predict;
use crate::wire::{Writer, mode, op, put_varint, stream};

/// Empty rows that part two boxes of a tile.
const GAP: usize = 6;
/// Smaller boxes are not freed from flat edges, and thinner edges stay.
const TRIMMED: usize = 1024;
const THIN: usize = 3;
/// Fewer pixels than this are not asked whether they are a film's.
const FILM: usize = 256;
/// Pixels that are asked first, and how many of them have to fit a matrix.
const ASKED: usize = 64;
const FITTING: usize = 58;
/// One pixel in so many may not fit.
const WRONG: usize = 40;
/// Places in the table of a palette's colours, a power of two.
const COLOUR_PLACES: usize = 1024;

/// Buffers for one box.
pub(super) struct Blocks {
    pixels: [u32; TILE_PIXELS],
    old: [u32; TILE_PIXELS],
    /// Green, red, blue, red - green, blue - green; then the same of the differences from the old picture.
    planes: [[u8; TILE_PIXELS]; 10],
    coded: [[u8; TILE_PIXELS]; 3],
    residuals: ResidualWriter,
    indices: [u8; TILE_PIXELS],
    places: [u16; COLOUR_PLACES],
    palette: Vec<u32>,
    uses: [u32; 256],
    /// The matrix that fitted last, asked first.
    matrix: u8,
    /// In which bits the pixels of the triples differ from the box.
    wrong: [u32; TILE_PIXELS],
}

impl Default for Blocks {
    fn default() -> Self {
        Self {
            pixels: [0; TILE_PIXELS],
            old: [0; TILE_PIXELS],
            planes: [[0; TILE_PIXELS]; 10],
            coded: [[0; TILE_PIXELS]; 3],
            residuals: ResidualWriter::default(),
            indices: [0; TILE_PIXELS],
            places: [0; COLOUR_PLACES],
            palette: Vec::with_capacity(256),
            uses: [0; 256],
            matrix: 1,
            wrong: [0; TILE_PIXELS],
        }
    }
}

/// How a plane is predicted and how well.
#[derive(Clone, Copy)]
struct Choice {
    predictor: u8,
    /// Sum of magnitudes and number of residuals looked at.
    sum: u32,
    of: u32,
}

impl Choice {
    /// About the bits for each value.
    fn bits(&self) -> f32 {
        (1.0 + 5.0 * self.sum as f32 / self.of as f32).log2()
    }
}

/// How the planes of a box are made.
struct Plan {
    mode: u8,
    choices: [Choice; 3],
}

impl Plan {
    /// About the bits for each pixel.
    fn bits(&self) -> f32 {
        self.choices.iter().map(Choice::bits).sum()
    }
}

impl Blocks {
    /// Codes everything that is pending. `old` is the decoder's picture where this packet has drawn nothing.
    pub(super) fn draw(
        &mut self,
        pending: &Pending,
        photos: &[bool],
        old: Option<View<'_>>,
        new: View<'_>,
        writer: &mut Writer,
    ) {
        for &tile in &pending.tiles {
            let area = pending.grid.area(tile);
            let mask = &pending.masks[tile];
            let old = old.filter(|_| !pending.drawn[tile]);
            let mut from = 0;
            while let Some((part, next)) = next_box(mask, from, area.h) {
                let inner = within_flat_edges(new, area, part);
                for edge in edges(part, inner) {
                    self.draw_box(tile, area, edge, false, old, new, writer);
                }
                self.draw_box(tile, area, inner, photos[tile], old, new, writer);
                from = next;
            }
        }
        self.residuals.flush(writer);
    }

    /// Frees what an anchor needed.
    pub(super) fn shrink(&mut self) {
        self.residuals.shrink();
    }

    #[allow(clippy::too_many_arguments)]
    fn draw_box(
        &mut self,
        tile: usize,
        area: Area,
        part: Area,
        photo: bool,
        old: Option<View<'_>>,
        new: View<'_>,
        writer: &mut Writer,
    ) {
        let n = part.w * part.h;
        take_pixels(new, area, part, &mut self.pixels[..n]);
        let whole = part.w == area.w && part.h == area.h;
        let begin = |writer: &mut Writer, all: u8, boxed: u8| {
            writer.op(if whole { all } else { boxed }, tile);
            if !whole {
                put_box(writer, part);
            }
        };
        let by_palette = (!photo || n < 1024) && self.find_palette(n);
        if by_palette && self.palette.len() <= 4 {
            begin(writer, op::PALETTE, op::PALETTE_BOX);
            return self.write_palette(n, part.w, writer);
        }
        if let Some(old) = old {
            take_pixels(old, area, part, &mut self.old[..n]);
        }
        let plan = match self.find_matrix(n) {
            Some(matrix) => self.plan_film(matrix, n, part.w, part.h, old.is_some()),
            None => self.plan(n, part.w, part.h, old.is_some()),
        };
        if by_palette && self.palette_bits(n) < plan.bits() * n as f32 {
            begin(writer, op::PALETTE, op::PALETTE_BOX);
            return self.write_palette(n, part.w, writer);
        }
        begin(writer, op::RESIDUAL, op::RESIDUAL_BOX);
        let mut classes = [0; 3];
        let ops = writer.stream(stream::OPS);
        ops.push(plan.mode);
        for (((choice, &plane), coded), class) in plan
            .choices
            .iter()
            .zip(planes_of(plan.mode & (mode::APART | mode::OVER)))
            .zip(&mut self.coded)
            .zip(&mut classes)
        {
            let values = &self.planes[plane][..n];
            let mut sum = 0;
            for (y, to) in coded[..n].chunks_exact_mut(part.w).enumerate() {
                predict::residual_row(choice.predictor, values, part.w, y, to);
                sum += magnitudes(to);
            }
            *class = entropy::class(sum, n as u32);
            ops.push(predict::choice(*class, choice.predictor));
        }
        if plan.mode >> mode::MATRIX != 0 {
            self.write_wrong(n, writer);
        }
        let [first, second, third] = &self.coded;
        self.residuals.push([&first[..n], &second[..n], &third[..n]], classes, part.w, writer);
    }

    /// The matrix that nearly all pixels of the box fit. The box's triples are the first planes then.
    fn find_matrix(&mut self, n: usize) -> Option<u8> {
        if n < FILM {
            return None;
        }
        let pixels = &self.pixels[..n];
        let mut asked = [0; ASKED];
        asked.iter_mut().enumerate().for_each(|(i, pixel)| *pixel = pixels[i * n / ASKED]);
        let some = asked.as_chunks().0;
        let fitting = |matrix| some.iter().map(|some| film::fitting(matrix, some)).sum::<usize>();
        let others = (1..=film::MATRICES).filter(|m| *m != self.matrix);
        let matrix = std::iter::once(self.matrix).chain(others).find(|&m| fitting(m) >= FITTING)?;
        let [y, u, v, ..] = &mut self.planes;
        let all = n.next_multiple_of(film::LANE);
        film::split(matrix, &self.pixels[..all], [y, u, v].map(|p| &mut p[..all]), &mut self.wrong[..all]);
        let wrong = self.wrong[..n].iter().filter(|w| **w != 0).count();
        self.matrix = matrix;
        (wrong * WRONG <= n).then_some(matrix)
    }

    /// The better of the ways to make planes of triples.
    fn plan_film(&mut self, matrix: u8, n: usize, w: usize, h: usize, with_old: bool) -> Plan {
        let mut mode = matrix << mode::MATRIX;
        let mut from = 0;
        if with_old {
            self.film_over(matrix, n);
            let bits =
                |planes: [usize; 3]| planes.map(|p| self.choose(p, w, h, &[4]).bits()).iter().sum::<f32>();
            if bits([5, 6, 7]) < bits([0, 1, 2]) {
                mode |= mode::OVER;
                from = 5;
            }
        }
        let (first, others): (&[u8], &[u8]) = if from == 0 {
            (&[4, 5, 6, 3], &[4, 3, 5])
        } else {
            (&[4, 5, 3, predict::NONE], &[4, 3, 5, predict::NONE])
        };
        let choices = [(from, first), (from + 1, others), (from + 2, others)];
        Plan { mode, choices: choices.map(|(plane, some)| self.choose(plane, w, h, some)) }
    }

    /// Makes the planes of differences from the old picture's triples.
    fn film_over(&mut self, matrix: u8, n: usize) {
        self.planes.copy_within(0..3, 5);
        let [_, _, _, _, _, y, u, v, ..] = &mut self.planes;
        let all = n.next_multiple_of(film::LANE);
        film::subtract(matrix, &self.old[..all], [y, u, v].map(|p| &mut p[..all]));
    }

    /// Writes which pixels are not those of their triples.
    fn write_wrong(&self, n: usize, writer: &mut Writer) {
        let wrong = || self.wrong[..n].iter().enumerate().filter(|(_, w)| **w != 0);
        put_varint(writer.stream(stream::OPS), wrong().count() as u32);
        let mut next = 0;
        for (at, &wrong) in wrong() {
            let out = writer.stream(stream::WRONG);
            put_varint(out, (at - next) as u32);
            out.extend_from_slice(&wrong.to_le_bytes()[..3]);
            next = at + 1;
        }
    }

    /// The best of the ways to make three planes of a box.
    fn plan(&mut self, n: usize, w: usize, h: usize, with_old: bool) -> Plan {
        split_planes(self.pixels[..n].iter().map(|p| p.to_le_bytes()), &mut self.planes[..5], 0);
        let green = self.choose(0, w, h, &[1, 2, 3, 4, 5, 6, 7, predict::WIDE]);
        let some = [green.predictor, 4, 3];
        let mut best =
            Plan { mode: 0, choices: [green, self.choose(1, w, h, &some), self.choose(2, w, h, &some)] };
        let apart = Plan {
            mode: mode::APART,
            choices: [green, self.choose(3, w, h, &some), self.choose(4, w, h, &some)],
        };
        if apart.bits() < best.bits() {
            best = apart;
        }
        if with_old {
            let differences = self.pixels[..n].iter().zip(&self.old).map(|(new, old)| {
                let ([b, g, r, _], [b0, g0, r0, _]) = (new.to_le_bytes(), old.to_le_bytes());
                [b.wrapping_sub(b0), g.wrapping_sub(g0), r.wrapping_sub(r0), 0]
            });
            split_planes(differences, &mut self.planes[5..], 128);
            let some = [predict::NONE, 4, 3];
            let green = self.choose(5, w, h, &some);
            // A green plane that is much worse is not made up for by the others.
            if green.sum as f32 * best.choices[0].of as f32
                <= best.choices[0].sum as f32 * green.of as f32 * 1.5
            {
                let apart = best.mode & mode::APART;
                let planes = planes_of(mode::OVER | apart);
                let over = |plane: usize| self.choose(plane, w, h, &some);
                let plan =
                    Plan { mode: mode::OVER | apart, choices: [green, over(planes[1]), over(planes[2])] };
                if plan.bits() < best.bits() {
                    best = plan;
                }
            }
        }
        best
    }

    /// Gathers the colours of the box in the order they appear; false when there are too many.
    fn find_palette(&mut self, n: usize) -> bool {
        self.places.fill(0);
        self.palette.clear();
        self.uses.fill(0);
        let most = (n / 4).clamp(2, 254);
        let mut last = (u32::MAX, 0u8);
        for (pixel, index) in self.pixels[..n].iter().zip(&mut self.indices) {
            if *pixel != last.0 {
                let mut at = pixel.wrapping_mul(0x9e37_79b1) as usize >> 22;
                loop {
                    let place = self.places[at];
                    if place == 0 {
                        if self.palette.len() == most {
                            return false;
                        }
                        self.palette.push(*pixel);
                        self.places[at] = self.palette.len() as u16;
                        last = (*pixel, (self.palette.len() - 1) as u8);
                        break;
                    }
                    if self.palette[usize::from(place) - 1] == *pixel {
                        last = (*pixel, (place - 1) as u8);
                        break;
                    }
                    at = (at + 1) % COLOUR_PLACES;
                }
            }
            *index = last.1;
            self.uses[usize::from(last.1)] += 1;
        }
        true
    }

    /// About the bits that the palette's indices take; repetition makes them less than their entropy.
    fn palette_bits(&self, n: usize) -> f32 {
        let uses = self.uses.iter().filter(|u| **u > 0).map(|&u| u as f32);
        let entropy: f32 = uses.map(|u| u * (n as f32 / u).log2()).sum();
        entropy * 0.7 + self.palette.len() as f32 * 14.0
    }

    fn write_palette(&self, n: usize, width: usize, writer: &mut Writer) {
        let count = self.palette.len();
        writer.stream(stream::PALETTE).push((count - 1) as u8);
        for &c in &self.palette {
            writer.colour(stream::PALETTE, c);
        }
        let per = match count {
            1 => return,
            2 => 8,
            3..=4 => 4,
            5..=16 => 2,
            _ => return writer.stream(stream::INDEX_BYTES).extend_from_slice(&self.indices[..n]),
        };
        let bits = 8 / per;
        let out = writer.stream(stream::INDEX_BITS);
        for row in self.indices[..n].chunks_exact(width) {
            out.extend(row.chunks(per).map(|some| some.iter().rev().fold(0, |byte, i| byte << bits | i)));
        }
    }

    /// The predictor that leaves the least, judged by some rows.
    fn choose(&self, plane: usize, w: usize, h: usize, predictors: &[u8]) -> Choice {
        let values = &self.planes[plane][..w * h];
        let step = (h / 6).max(1);
        let rows = || (h.min(2) - 1..h).step_by(step);
        let mut best = Choice { predictor: 1, sum: u32::MAX, of: 1 };
        let mut coded = [0u8; TILE];
        for &predictor in predictors {
            let mut sum = 0;
            for y in rows() {
                predict::residual_row(predictor, values, w, y, &mut coded);
                sum += magnitudes(&coded[..w]);
            }
            if sum < best.sum {
                best = Choice { predictor, sum, of: (rows().count() * w) as u32 };
            }
        }
        best
    }
}

/// Which of the ten planes a mode uses.
fn planes_of(mode: u8) -> &'static [usize; 3] {
    match mode {
        0 => &[0, 1, 2],
        mode::APART => &[0, 3, 4],
        mode::OVER => &[5, 6, 7],
        _ => &[5, 8, 9],
    }
}

/// Sum of the magnitudes of residuals.
fn magnitudes(residuals: &[u8]) -> u32 {
    residuals.iter().map(|&v| u32::from(v.min(v.wrapping_neg()))).sum()
}

fn take_pixels(view: View<'_>, area: Area, part: Area, out: &mut [u32]) {
    for (y, to) in out.chunks_exact_mut(part.w).enumerate() {
        let row = view.row(area.x + part.x, area.y + part.y + y, part.w);
        for (to, from) in to.iter_mut().zip(row.as_chunks::<4>().0) {
            *to = colour(*from);
        }
    }
}

/// Makes five planes of pixels: each colour plus `bias`, and red and blue as differences from green, around 128 so that small ones do
/// not wrap.
fn split_planes(pixels: impl Iterator<Item = [u8; 4]>, planes: &mut [[u8; TILE_PIXELS]], bias: u8) {
    let [g, r, b, rg, bg] = planes else { return };
    let planes = g.iter_mut().zip(r).zip(b.iter_mut().zip(rg)).zip(bg);
    for ([blue, green, red, _], (((g, r), (b, rg)), bg)) in pixels.zip(planes) {
        (*g, *r, *b) = (green.wrapping_add(bias), red.wrapping_add(bias), blue.wrapping_add(bias));
        *rg = red.wrapping_sub(green).wrapping_add(128);
        *bg = blue.wrapping_sub(green).wrapping_add(128);
    }
}

/// What of a box is left when rows and then columns of one colour each are taken from its edges: a window's frame and ground beside a
/// photograph would spoil what is expected of the photograph. All of the box where that leaves nothing.
fn within_flat_edges(new: View<'_>, area: Area, part: Area) -> Area {
    if part.w * part.h < TRIMMED {
        return part;
    }
    let pixel = |x: usize, y: usize| new.row(area.x + part.x + x, area.y + part.y + y, 1);
    let flat_row = |y: usize| {
        let row = new.row(area.x + part.x, area.y + part.y + y, part.w);
        row[4..] == row[..row.len() - 4]
    };
    let thick = |edge: usize| if edge < THIN { 0 } else { edge };
    let top = thick((0..part.h).take_while(|&y| flat_row(y)).count());
    let bottom = thick((top..part.h).rev().take_while(|&y| flat_row(y)).count());
    let rows = top..part.h - bottom;
    let flat_column = |x: usize| rows.clone().all(|y| pixel(x, y) == pixel(x, rows.start));
    let left = thick((0..part.w).take_while(|&x| flat_column(x)).count());
    let right = thick((left..part.w).rev().take_while(|&x| flat_column(x)).count());
    if rows.is_empty() || left + right >= part.w {
        return part;
    }
    Area { x: part.x + left, y: part.y + top, w: part.w - left - right, h: rows.len() }
}

/// What of a box is around another one in it: above, below, to the left, to the right.
fn edges(part: Area, inner: Area) -> impl Iterator<Item = Area> {
    let (right, bottom) = (inner.x + inner.w, inner.y + inner.h);
    let beside = |x: usize, w: usize| Area { x, w, ..inner };
    let over = |y: usize, h: usize| Area { y, h, ..part };
    [
        over(part.y, inner.y - part.y),
        over(bottom, part.y + part.h - bottom),
        beside(part.x, inner.x - part.x),
        beside(right, part.x + part.w - right),
    ]
    .into_iter()
    .filter(|edge| edge.w > 0 && edge.h > 0)
}

/// The next box of pending pixels from row `from` on, and the row after it.
fn next_box(mask: &TileMask, from: usize, height: usize) -> Option<(Area, usize)> {
    let first = (from..height).find(|&y| mask[y] != 0)?;
    let (mut last, mut y) = (first, first + 1);
    while y < height && y - last <= GAP {
        if mask[y] != 0 {
            last = y;
        }
        y += 1;
    }
    bits::bounds(mask, first, last + 1).map(|area| (area, last + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photograph_beside_a_frame_is_coded_alone() {
        let (w, h) = (64, 64);
        let mut pixels = vec![0u8; w * h * 4];
        // Grain, three flat rows above, a flat row below that is too thin, five flat columns to the right.
        for (at, pixel) in pixels.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let (x, y) = (at % w, at / w);
            let grain = (at as u32).wrapping_mul(0x9e37_79b1) >> 8;
            let value = match (x, y) {
                (_, 0..3) => 7 + y as u32,
                (_, 63) => 3,
                (59.., _) => x as u32,
                _ => grain,
            };
            *pixel = value.to_le_bytes();
        }
        let new = View { data: &pixels, stride: w * 4 };
        let part = Area { x: 0, y: 0, w, h };
        let inner = within_flat_edges(new, part, part);
        assert_eq!((inner.x, inner.y, inner.w, inner.h), (0, 3, 64, 61));
        let lower = Area { x: 0, y: 3, w, h: 60 };
        let inner = within_flat_edges(new, part, lower);
        assert_eq!((inner.x, inner.y, inner.w, inner.h), (0, 3, 59, 60));
        let around: usize = edges(lower, inner).map(|edge| edge.w * edge.h).sum();
        assert_eq!(around + inner.w * inner.h, lower.w * lower.h);
        let flat = Area { x: 0, y: 0, w, h: 3 };
        let inner = within_flat_edges(new, part, flat);
        assert_eq!((inner.w, inner.h), (w, 3), "nothing would be left");
    }
}
