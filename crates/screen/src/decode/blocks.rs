//! Boxes of pixels given by a palette or by residuals.

use super::Decoder;
use crate::error::DecodeError;
use crate::film;
use crate::geometry::{Area, TILE_PIXELS};
use crate::predict;
use crate::wire::{Cursor, Streams, mode, range, stream};

/// The planes of a box while it is decoded.
pub(super) struct Scratch {
    planes: [[u8; TILE_PIXELS]; 3],
    pixels: [u32; TILE_PIXELS],
}

impl Default for Scratch {
    fn default() -> Self {
        Self { planes: [[0; TILE_PIXELS]; 3], pixels: [0; TILE_PIXELS] }
    }
}

/// A pixel from its three colours.
pub(super) fn join(g: u8, r: u8, b: u8) -> u32 {
    u32::from_le_bytes([b, g, r, 0])
}

impl Decoder {
    pub(super) fn palette(&mut self, streams: &mut Streams<'_>, area: Area) -> Result<(), DecodeError> {
        self.draws(area)?;
        let count = usize::from(streams.get(stream::PALETTE).byte()?) + 1;
        let mut colours = [0u32; 256];
        for c in &mut colours[..count] {
            let read = streams.colour(stream::PALETTE)?;
            *c = read.ok_or(DecodeError::Reserved { what: "colour code", actual: 254 })?;
        }
        let bits = match count {
            1 => 0,
            2 => 1,
            3..=4 => 2,
            5..=16 => 4,
            _ => 8,
        };
        let check = |index: usize| {
            if index < count {
                Ok(colours[index])
            } else {
                Err(range("palette index", index as u64, count as u64))
            }
        };
        for y in area.y..area.y + area.h {
            let row = self.row(area.x, y, area.w);
            match bits {
                0 => row.fill(colours[0]),
                8 => {
                    let indices = streams.get(stream::INDEX_BYTES).take(area.w)?;
                    for (p, &i) in row.iter_mut().zip(indices) {
                        *p = check(usize::from(i))?;
                    }
                }
                _ => {
                    let per = 8 / bits;
                    let packed = streams.get(stream::INDEX_BITS).take(area.w.div_ceil(per))?;
                    for (x, p) in row.iter_mut().enumerate() {
                        *p = check(usize::from(packed[x / per]) >> (x % per * bits) & ((1 << bits) - 1))?;
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn residual(&mut self, streams: &mut Streams<'_>, area: Area) -> Result<(), DecodeError> {
        self.draws(area)?;
        let modes = streams.get(stream::OPS).take(4)?;
        let (apart, over) = (modes[0] & mode::APART != 0, modes[0] & mode::OVER != 0);
        let matrix = modes[0] >> mode::MATRIX;
        if matrix > film::MATRICES || (matrix > 0 && apart) {
            return Err(DecodeError::Reserved { what: "residual mode", actual: u32::from(modes[0]) });
        }
        let (mut classes, mut predictors) = ([0; 3], [0; 3]);
        for ((&choice, class), predictor) in modes[1..].iter().zip(&mut classes).zip(&mut predictors) {
            let known = predict::class_and_predictor(choice);
            let reserved = DecodeError::Reserved { what: "residual predictor", actual: u32::from(choice) };
            (*class, *predictor) = known.ok_or(reserved)?;
        }
        let n = area.w * area.h;
        let wrong = if matrix > 0 { streams.get(stream::OPS).varint()? } else { 0 };
        let [first, second, third] = &mut self.scratch.planes;
        self.residuals.read(
            streams,
            [&mut first[..n], &mut second[..n], &mut third[..n]],
            classes,
            area.w,
        )?;
        let slots = self.residuals.take_slots();
        self.spend(slots)?;
        for (plane, predictor) in self.scratch.planes.iter_mut().zip(predictors) {
            predict::restore(predictor, &mut plane[..n], area.w);
        }
        if matrix > 0 {
            self.join_film(matrix, over, area);
            return self.correct(wrong, streams.get(stream::WRONG), area);
        }
        let [g, r, b] = &self.scratch.planes;
        for y in 0..area.h {
            let at = y * area.w..(y + 1) * area.w;
            let start = (area.y + y) * self.grid.width + area.x;
            let row = &mut self.pixels[start..start + area.w];
            let values = g[at.clone()].iter().zip(&r[at.clone()]).zip(&b[at]);
            for (p, ((&g, &r), &b)) in row.iter_mut().zip(values) {
                // Planes are around 128 where they are differences.
                let [old_b, old_g, old_r, _] = if over { p.to_le_bytes() } else { [0; 4] };
                let g = if over { g.wrapping_sub(128) } else { g };
                let base = if apart { g } else { 0 };
                let bias = if apart || over { 128 } else { 0 };
                let [r, b] = [r, b].map(|v| v.wrapping_sub(bias).wrapping_add(base));
                *p = join(g.wrapping_add(old_g), r.wrapping_add(old_r), b.wrapping_add(old_b));
            }
        }
        Ok(())
    }

    /// Draws the triples in the planes.
    fn join_film(&mut self, matrix: u8, over: bool, area: Area) {
        let rows = (area.y..area.y + area.h).map(|y| y * self.grid.width + area.x);
        if over {
            for (to, from) in self.scratch.pixels.chunks_exact_mut(area.w).zip(rows.clone()) {
                to.copy_from_slice(&self.pixels[from..from + area.w]);
            }
        }
        let all = (area.w * area.h).next_multiple_of(film::LANE);
        let planes = self.scratch.planes.each_mut().map(|plane| &mut plane[..all]);
        film::join(matrix, over, planes, &mut self.scratch.pixels[..all]);
        for (from, to) in self.scratch.pixels.chunks_exact(area.w).zip(rows) {
            self.pixels[to..to + area.w].copy_from_slice(from);
        }
    }

    /// Sets pixels right that are not those of their triples.
    fn correct(&mut self, count: u32, wrong: &mut Cursor<'_>, area: Area) -> Result<(), DecodeError> {
        let mut next = 0u64;
        for _ in 0..count {
            let at = next + u64::from(wrong.varint()?);
            let n = (area.w * area.h) as u64;
            if at >= n {
                return Err(range("corrected pixel", at, n));
            }
            let bytes = wrong.take(3)?;
            let (x, y) = (at as usize % area.w, at as usize / area.w);
            let pixel = &mut self.pixels[(area.y + y) * self.grid.width + area.x + x];
            *pixel ^= u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
            next = at + 1;
        }
        Ok(())
    }
}
