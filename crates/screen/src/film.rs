//! Films and photographs as their files have them: lightness and two differences of colour in place of red, green and blue.
//!
//! Nearly every film and every JPEG picture is stored so. A program that shows it turns each triple into red, green and blue, and as the
//! new triples are four times as many, most of them never occur; and the differences, stored at half the resolution, are smooth.
//! Who takes the pixels back to the triples they came from has a third fewer bits to code. The coefficients are the customary ones
//! with four digits (ITU-R BT.601 and BT.709 with 16 to 235 for the lightness; JFIF); what a player computed otherwise is corrected
//! pixel by pixel.

/// Matrices, numbered from 1: a film in standard definition, one in high definition, a JPEG picture.
pub(crate) const MATRICES: u8 = 3;

/// How triples and colours belong together.
struct Matrix {
    /// The lightness of black.
    black: i32,
    /// Factors to colours in 1/65536: of the lightness; of the second difference for red; of both for green, subtracted; of the
    /// first for blue.
    light: i32,
    red: i32,
    green: [i32; 2],
    blue: i32,
    /// Factors back in 1/32768, by rows for lightness and differences, by columns for red, green and blue.
    back: [[i32; 3]; 3],
}

const TABLE: [Matrix; MATRICES as usize] = [
    Matrix {
        black: 16,
        light: 76_310,
        red: 104_595,
        green: [25_677, 53_281],
        blue: 132_199,
        back: [[8415, 16_519, 3208], [-4857, -9535, 14_392], [14_392, -12_052, -2341]],
    },
    Matrix {
        black: 16,
        light: 76_310,
        red: 117_486,
        green: [13_972, 34_924],
        blue: 138_438,
        back: [[5983, 20_127, 2031], [-3298, -11_095, 14_393], [14_393, -13_073, -1319]],
    },
    Matrix {
        black: 0,
        light: 65_536,
        red: 91_881,
        green: [22_553, 46_802],
        blue: 116_130,
        back: [[9798, 19_235, 3735], [-5529, -10_855, 16_384], [16_384, -13_720, -2664]],
    },
];

/// A factor as the nearest whole number and what is left of it, so that both factors of a product have 16 bits, which processors
/// multiply many of at a time.
const fn apart(factor: i32) -> (i32, i32) {
    let whole = (factor + 32_768) >> 16;
    (whole, factor - (whole << 16))
}

/// The sum of two products with factors in 1/65536, rounded.
#[inline(always)]
fn sum((whole_a, part_a): (i32, i32), a: i16, (whole_b, part_b): (i32, i32), b: i16) -> i16 {
    let parts = (i32::from(a) * part_a + i32::from(b) * part_b + 32_768) >> 16;
    parts as i16 + a * whole_a as i16 + b * whole_b as i16
}

/// Pixels that are worked on at a time. All lengths below are multiples of it; what is left over is not looked at.
pub(crate) const LANE: usize = 16;
type Lane = [i16; LANE];

/// The colours (red, green, blue) of triples. `M` is the matrix's number less one.
#[inline(always)]
fn colours<const M: usize>([y, u, v]: [&Lane; 3]) -> [Lane; 3] {
    let black = TABLE[M].black as i16;
    let (light, red, blue) = const { (apart(TABLE[M].light), apart(TABLE[M].red), apart(TABLE[M].blue)) };
    let (of_u, of_v) = const { (apart(-TABLE[M].green[0]), apart(-TABLE[M].green[1])) };
    let mut out = [[0; LANE]; 3];
    for i in 0..LANE {
        let (y, u, v) = (y[i] - black, u[i] - 128, v[i] - 128);
        out[0][i] = sum(light, y, red, v).clamp(0, 255);
        out[2][i] = sum(light, y, blue, u).clamp(0, 255);
        let parts = (i32::from(y) * light.1 + i32::from(u) * of_u.1 + i32::from(v) * of_v.1 + 32_768) >> 16;
        out[1][i] = (parts as i16 + y * light.0 as i16 + u * of_u.0 as i16 + v * of_v.0 as i16).clamp(0, 255);
    }
    out
}

/// The triples that are nearest to colours.
#[inline(always)]
fn triples<const M: usize>(colours: [&Lane; 3]) -> [Lane; 3] {
    [plane::<M, 0>(colours), plane::<M, 1>(colours), plane::<M, 2>(colours)]
}

/// Number `P` of a triple.
#[inline(always)]
fn plane<const M: usize, const P: usize>([r, g, b]: [&Lane; 3]) -> Lane {
    let [fr, fg, fb] = const { TABLE[M].back[P] };
    let middle = const { if P == 0 { TABLE[M].black as i16 } else { 128 } };
    let mut out = [0; LANE];
    for i in 0..LANE {
        let value = fr * i32::from(r[i]) + fg * i32::from(g[i]) + fb * i32::from(b[i]);
        out[i] = (((value + 16_384) >> 15) as i16 + middle).clamp(0, 255);
    }
    out
}

/// The colours of pixels.
#[inline(always)]
fn take(pixels: &[u32; LANE]) -> [Lane; 3] {
    let mut out = [[0; LANE]; 3];
    for i in 0..LANE {
        out[0][i] = (pixels[i] >> 16 & 255) as i16;
        out[1][i] = (pixels[i] >> 8 & 255) as i16;
        out[2][i] = (pixels[i] & 255) as i16;
    }
    out
}

#[inline(always)]
fn pixel([r, g, b]: &[Lane; 3], i: usize) -> u32 {
    (r[i] as u32) << 16 | (g[i] as u32) << 8 | b[i] as u32
}

/// How many of some pixels are the pixels of their triples.
pub(crate) fn fitting(matrix: u8, pixels: &[u32; LANE]) -> usize {
    let mut planes = [[0; LANE]; 3];
    let mut wrong = [0; LANE];
    let [y, u, v] = &mut planes;
    split(matrix, pixels, [y, u, v], &mut wrong);
    wrong.iter().filter(|w| **w == 0).count()
}

/// The triples of pixels, and as `wrong` the bits in which the pixels of those differ, mostly none.
pub(crate) fn split(matrix: u8, pixels: &[u32], planes: [&mut [u8]; 3], wrong: &mut [u32]) {
    fn with<const M: usize>(pixels: &[u32], planes: [&mut [u8]; 3], wrong: &mut [u32]) {
        let (pixels, wrong) = (pixels.as_chunks().0, wrong.as_chunks_mut::<LANE>().0);
        for ((pixels, wrong), planes) in pixels.iter().zip(wrong).zip(lanes(planes)) {
            let [r, g, b] = take(pixels);
            let triples = triples::<M>([&r, &g, &b]);
            let back = colours::<M>(triples.each_ref());
            for (plane, triples) in planes.into_iter().zip(&triples) {
                (0..LANE).for_each(|i| plane[i] = triples[i] as u8);
            }
            (0..LANE).for_each(|i| wrong[i] = pixel(&back, i) ^ pixels[i]);
        }
    }
    match matrix {
        1 => with::<0>(pixels, planes, wrong),
        2 => with::<1>(pixels, planes, wrong),
        _ => with::<2>(pixels, planes, wrong),
    }
}

/// Takes the triples of pixels from those in `planes` and adds 128 (modulo 256).
pub(crate) fn subtract(matrix: u8, pixels: &[u32], planes: [&mut [u8]; 3]) {
    fn with<const M: usize>(pixels: &[u32], planes: [&mut [u8]; 3]) {
        for (pixels, planes) in pixels.as_chunks().0.iter().zip(lanes(planes)) {
            let [r, g, b] = take(pixels);
            let triples = triples::<M>([&r, &g, &b]);
            for (plane, triples) in planes.into_iter().zip(&triples) {
                (0..LANE).for_each(|i| plane[i] = plane[i].wrapping_sub(triples[i] as u8).wrapping_add(128));
            }
        }
    }
    match matrix {
        1 => with::<0>(pixels, planes),
        2 => with::<1>(pixels, planes),
        _ => with::<2>(pixels, planes),
    }
}

/// Replaces pixels by those of the triples in `planes`; with `over`, of their own triples plus those less 128.
pub(crate) fn join(matrix: u8, over: bool, planes: [&mut [u8]; 3], pixels: &mut [u32]) {
    fn with<const M: usize>(over: bool, planes: [&mut [u8]; 3], pixels: &mut [u32]) {
        for (pixels, planes) in pixels.as_chunks_mut().0.iter_mut().zip(lanes(planes)) {
            let mut new = planes.map(|plane| plane.map(i16::from));
            if over {
                let [r, g, b] = take(pixels);
                let old = triples::<M>([&r, &g, &b]);
                for (new, old) in new.iter_mut().zip(&old) {
                    (0..LANE).for_each(|i| new[i] = (new[i] + old[i] - 128) & 255);
                }
            }
            let colours = colours::<M>(new.each_ref());
            (0..LANE).for_each(|i| pixels[i] = pixel(&colours, i));
        }
    }
    match matrix {
        1 => with::<0>(over, planes, pixels),
        2 => with::<1>(over, planes, pixels),
        _ => with::<2>(over, planes, pixels),
    }
}

/// Three planes side by side.
fn lanes([a, b, c]: [&mut [u8]; 3]) -> impl Iterator<Item = [&mut [u8; LANE]; 3]> {
    let chunks = a.as_chunks_mut().0.iter_mut().zip(b.as_chunks_mut().0).zip(c.as_chunks_mut().0);
    chunks.map(|((a, b), c)| [a, b, c])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triples_within_the_range_of_colours_come_back() {
        for matrix in 1..=MATRICES {
            let (mut fit, mut all) = (0, 0);
            for y in (16..=235).step_by(3) {
                for u in (16..=240).step_by(3) {
                    for v in (16..=240).step_by(3) {
                        let mut pixel = [0; LANE];
                        join(matrix, false, [&mut [y; LANE], &mut [u; LANE], &mut [v; LANE]], &mut pixel);
                        let clipped = pixel[0].to_le_bytes()[..3].iter().any(|c| [0, 255].contains(c));
                        if clipped {
                            continue;
                        }
                        all += 1;
                        fit += fitting(matrix, &pixel) / LANE;
                    }
                }
            }
            assert!(fit * 1000 >= all * 999, "matrix {matrix}: {fit} of {all}");
        }
    }

    #[test]
    fn other_pixels_seldom_fit() {
        for matrix in 1..=MATRICES {
            let pixels: Vec<u32> = (0..16_000u32).map(|n| n.wrapping_mul(0x9e37_79b1) >> 8).collect();
            let fit: usize = pixels.as_chunks().0.iter().map(|some| fitting(matrix, some)).sum();
            assert!((800..5_600).contains(&fit), "matrix {matrix}: {fit} of 16000");
        }
    }

    #[test]
    fn what_is_wrong_makes_every_pixel_exact() {
        let pixels: Vec<u32> = (0..4096u32).map(|n| n.wrapping_mul(0x9e37_79b1) >> 8).collect();
        let old: Vec<u32> = (0..4096u32).map(|n| n.wrapping_mul(0x85eb_ca6b) >> 8).collect();
        for matrix in 1..=MATRICES {
            for over in [false, true] {
                let mut planes = vec![vec![0; pixels.len()]; 3];
                let mut wrong = vec![0; pixels.len()];
                let [y, u, v] = planes.as_mut_slice() else { unreachable!() };
                split(matrix, &pixels, [&mut *y, &mut *u, &mut *v], &mut wrong);
                if over {
                    subtract(matrix, &old, [&mut *y, &mut *u, &mut *v]);
                }
                let mut back = old.clone();
                join(matrix, over, [y, u, v], &mut back);
                back.iter_mut().zip(&wrong).for_each(|(pixel, wrong)| *pixel ^= wrong);
                assert_eq!(back, pixels, "matrix {matrix}, over {over}");
            }
        }
    }
}
