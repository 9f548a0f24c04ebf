//! How the pixels of an area are written: few colours, or what a prediction leaves.
//!
//! Residuals are differences modulo 256, folded so that small ones of either sign are small numbers. The three planes are B, G, R;
//! a decorrelated area writes B - G and R - G in place of B and R.

use crate::{
    DecodeError,
    grid::{Area, TILE_PIXELS},
    packet::{Bytes, Sections, put_colour},
};

/// Most colours of a palette.
pub(crate) const PALETTE: usize = 32;

/// What a pixel is predicted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Predictor {
    /// The pixel to the left.
    Left,
    /// The pixel above.
    Up,
    /// The mean of both.
    Mean,
    /// The median of left, above, and left + above - above left (the predictor of JPEG-LS).
    Median,
}

impl Predictor {
    pub(crate) const ALL: [Self; 4] = [Self::Left, Self::Up, Self::Mean, Self::Median];

    #[inline(always)]
    fn predict(self, left: u8, up: u8, corner: u8) -> u8 {
        match self {
            Self::Left => left,
            Self::Up => up,
            Self::Mean => ((u16::from(left) + u16::from(up)) / 2) as u8,
            Self::Median => {
                let (low, high) = (left.min(up), left.max(up));
                let gradient = i16::from(left) + i16::from(up) - i16::from(corner);
                gradient.clamp(low.into(), high.into()) as u8
            }
        }
    }
}

/// A pixel's planes; decorrelated when `relative`.
#[inline(always)]
fn planes(pixel: u32, relative: bool) -> [u8; 3] {
    let [blue, green, red, _] = pixel.to_le_bytes();
    if relative { [blue.wrapping_sub(green), green, red.wrapping_sub(green)] } else { [blue, green, red] }
}

#[inline(always)]
fn joined(planes: [u8; 3], relative: bool) -> u32 {
    let [blue, green, red] = planes;
    let add = if relative { green } else { 0 };
    u32::from_le_bytes([blue.wrapping_add(add), green, red.wrapping_add(add), 0])
}

/// 0, -1, 1, -2, 2 … become 0, 1, 2, 3, 4 …
#[inline(always)]
const fn fold(difference: u8) -> u8 {
    (difference << 1) ^ (0u8.wrapping_sub(difference >> 7))
}

#[inline(always)]
const fn unfold(folded: u8) -> u8 {
    (folded >> 1) ^ (0u8.wrapping_sub(folded & 1))
}

/// Gathers the colours of `pixels` in the order of their first appearance, and their indices, unless there are more than [`PALETTE`].
pub(crate) fn palette(pixels: &[u32], colours: &mut Vec<u32>, indices: &mut Vec<u8>) -> bool {
    colours.clear();
    indices.clear();
    let (mut last, mut index) = (u32::MAX, 0);
    for &pixel in pixels {
        if pixel != last {
            last = pixel;
            index = match colours.iter().position(|&colour| colour == pixel) {
                Some(index) => index as u8,
                None if colours.len() == PALETTE => return false,
                None => {
                    colours.push(pixel);
                    (colours.len() - 1) as u8
                }
            };
        }
        indices.push(index);
    }
    true
}

/// Writes a palette and its indices.
pub(crate) fn write_palette(colours: &[u32], indices: &[u8], out: &mut Sections) {
    out.ops.push((colours.len() - 1) as u8);
    colours.iter().for_each(|&colour| put_colour(&mut out.colours, colour));
    out.indices.extend_from_slice(indices);
}

/// Reads a palette area into `picture`.
pub(crate) fn read_palette(
    count: u8,
    colours: &mut Bytes<'_>,
    indices: &mut Bytes<'_>,
    picture: &mut [u32],
    width: usize,
    area: Area,
) -> Result<(), DecodeError> {
    let count = usize::from(count) + 1;
    if count > PALETTE {
        return Err(DecodeError::Palette(count));
    }
    let mut table = [0; 256];
    for colour in &mut table[..count] {
        *colour = colours.colour()?;
    }
    let indices = indices.take(area.pixels())?;
    if indices.iter().any(|&index| usize::from(index) >= count) {
        return Err(DecodeError::Index);
    }
    for (row, indices) in indices.chunks_exact(area.width).enumerate() {
        let start = (area.y + row) * width + area.x;
        for (pixel, &index) in picture[start..start + area.width].iter_mut().zip(indices) {
            *pixel = table[usize::from(index)];
        }
    }
    Ok(())
}

/// Chooses predictor and decorrelation for gathered pixels by trying them on every fourth row.
///
/// The third value is the sum of what is left there.
pub(crate) fn choose(pixels: &[u32], width: usize) -> (Predictor, bool, u32) {
    // Sums of folded residuals: for each predictor, plain and relative.
    let mut sums = [[0u32; 2]; 4];
    let height = pixels.len() / width;
    for row in (0..height).step_by(4) {
        let here = &pixels[row * width..(row + 1) * width];
        let above = if row == 0 { here } else { &pixels[(row - 1) * width..row * width] };
        for (at, (pair, ups)) in here.windows(2).zip(above.windows(2)).enumerate() {
            if at % 2 == 1 {
                continue;
            }
            for (relative, flag) in [(0, false), (1, true)] {
                let (pixel, left) = (planes(pair[1], flag), planes(pair[0], flag));
                let (up, corner) = (planes(ups[1], flag), planes(ups[0], flag));
                for plane in 0..3 {
                    for (sum, predictor) in sums.iter_mut().zip(Predictor::ALL) {
                        let predicted = predictor.predict(left[plane], up[plane], corner[plane]);
                        sum[relative] += u32::from(fold(pixel[plane].wrapping_sub(predicted)));
                    }
                }
            }
        }
    }
    let all = Predictor::ALL.into_iter().zip(sums);
    let each = all.flat_map(|(predictor, sum)| [(sum[0], predictor, false), (sum[1], predictor, true)]);
    let best = each.min_by_key(|&(sum, ..)| sum);
    best.map_or((Predictor::Left, false, u32::MAX), |(sum, predictor, relative)| (predictor, relative, sum))
}

/// Writes what the prediction leaves of gathered pixels.
pub(crate) fn write_spatial(
    pixels: &[u32],
    width: usize,
    predictor: Predictor,
    relative: bool,
    out: &mut Sections,
) {
    match predictor {
        Predictor::Left => spatial::<0>(pixels, width, relative, out),
        Predictor::Up => spatial::<1>(pixels, width, relative, out),
        Predictor::Mean => spatial::<2>(pixels, width, relative, out),
        Predictor::Median => spatial::<3>(pixels, width, relative, out),
    }
}

fn spatial<const PREDICTOR: usize>(pixels: &[u32], width: usize, relative: bool, out: &mut Sections) {
    let predictor = Predictor::ALL[PREDICTOR];
    let mut residuals = [[0; TILE_PIXELS]; 3];
    let mut above = [[0; 3]; crate::grid::TILE];
    for (row, line) in pixels.chunks_exact(width).enumerate() {
        let (mut left, mut corner) = (above[0], above[0]);
        for (column, &pixel) in line.iter().enumerate() {
            let (pixel, up) = (planes(pixel, relative), above[column]);
            for plane in 0..3 {
                let predicted = predictor.predict(left[plane], up[plane], corner[plane]);
                residuals[plane][row * width + column] = fold(pixel[plane].wrapping_sub(predicted));
            }
            (left, corner) = (pixel, up);
            above[column] = pixel;
        }
    }
    for (plane, residuals) in out.planes.iter_mut().zip(residuals) {
        plane.extend_from_slice(&residuals[..pixels.len()]);
    }
}

/// Reads a predicted area into `picture`.
pub(crate) fn read_spatial(
    sections: &mut [Bytes<'_>; 3],
    picture: &mut [u32],
    width: usize,
    area: Area,
    predictor: Predictor,
    relative: bool,
) -> Result<(), DecodeError> {
    match predictor {
        Predictor::Left => unspatial::<0>(sections, picture, width, area, relative),
        Predictor::Up => unspatial::<1>(sections, picture, width, area, relative),
        Predictor::Mean => unspatial::<2>(sections, picture, width, area, relative),
        Predictor::Median => unspatial::<3>(sections, picture, width, area, relative),
    }
}

fn unspatial<const PREDICTOR: usize>(
    sections: &mut [Bytes<'_>; 3],
    picture: &mut [u32],
    width: usize,
    area: Area,
    relative: bool,
) -> Result<(), DecodeError> {
    let predictor = Predictor::ALL[PREDICTOR];
    let [first, second, third] = sections;
    let residuals = [first.take(area.pixels())?, second.take(area.pixels())?, third.take(area.pixels())?];
    let mut above = [[0; 3]; crate::grid::TILE];
    for row in 0..area.height {
        let (mut left, mut corner) = (above[0], above[0]);
        let start = (area.y + row) * width + area.x;
        let from = row * area.width;
        let [first, second, third] = residuals.map(|plane| &plane[from..from + area.width]);
        let line = &mut picture[start..start + area.width];
        for (column, out) in line.iter_mut().enumerate() {
            let (up, residual) = (above[column], [first[column], second[column], third[column]]);
            let mut pixel = [0; 3];
            for plane in 0..3 {
                let predicted = predictor.predict(left[plane], up[plane], corner[plane]);
                pixel[plane] = unfold(residual[plane]).wrapping_add(predicted);
            }
            *out = joined(pixel, relative);
            (left, corner) = (pixel, up);
            above[column] = pixel;
        }
    }
    Ok(())
}

/// Writes the differences to what stood there before.
pub(crate) fn write_temporal(pixels: &[u32], before: &[u32], out: &mut Sections) {
    let [first, second, third] = &mut out.planes;
    for (&pixel, &before) in pixels.iter().zip(before) {
        let (pixel, before) = (planes(pixel, false), planes(before, false));
        let [blue, green, red] = [0, 1, 2].map(|plane| pixel[plane].wrapping_sub(before[plane]));
        first.push(fold(blue.wrapping_sub(green)));
        second.push(fold(green));
        third.push(fold(red.wrapping_sub(green)));
    }
}

/// Reads differences to what stands in `picture`.
pub(crate) fn read_temporal(
    sections: &mut [Bytes<'_>; 3],
    picture: &mut [u32],
    width: usize,
    area: Area,
) -> Result<(), DecodeError> {
    let [first, second, third] = sections;
    let residuals = [first.take(area.pixels())?, second.take(area.pixels())?, third.take(area.pixels())?];
    for row in 0..area.height {
        let start = (area.y + row) * width + area.x;
        for (column, out) in picture[start..start + area.width].iter_mut().enumerate() {
            let [blue, green, red] = residuals.map(|plane| unfold(plane[row * area.width + column]));
            let before = planes(*out, false);
            let difference = [blue.wrapping_add(green), green, red.wrapping_add(green)];
            *out = joined([0, 1, 2].map(|plane| before[plane].wrapping_add(difference[plane])), false);
        }
    }
    Ok(())
}

/// Sum of the folded differences to what stood before, on every fourth row, comparable with what a spatial prediction leaves there.
pub(crate) fn temporal_cost(pixels: &[u32], before: &[u32], width: usize) -> u32 {
    let rows = pixels.chunks_exact(width).zip(before.chunks_exact(width)).step_by(4);
    let pairs = rows.flat_map(|(here, before)| here.iter().zip(before).step_by(2));
    pairs
        .map(|(&pixel, &before)| {
            let (pixel, before) = (planes(pixel, false), planes(before, false));
            let [blue, green, red] = [0, 1, 2].map(|plane| pixel[plane].wrapping_sub(before[plane]));
            u32::from(fold(blue.wrapping_sub(green)))
                + u32::from(fold(green))
                + u32::from(fold(red.wrapping_sub(green)))
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_is_undone_for_every_byte() {
        assert_eq!([0, 255, 1, 254].map(fold), [0, 1, 2, 3]);
        assert!((0..=255).all(|byte| unfold(fold(byte)) == byte));
    }

    #[test]
    fn planes_are_joined_again() {
        for pixel in [0, 0xff_ff_ff, 0x12_34_56, 0xff_00_80] {
            assert_eq!(joined(planes(pixel, true), true), pixel);
            assert_eq!(joined(planes(pixel, false), false), pixel);
        }
    }
}
