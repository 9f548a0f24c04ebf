//! How sharp text is after coding, and how close the rest.
//!
//! Text is told by the original alone, so that every encoder is judged by the same pixels: squares of 16 x 16 pixels with one
//! brightness that covers much of them, and strokes that stand out from it.

/// Side of a square that is text or not.
const SIDE: usize = 16;
/// So many of its pixels have the ground's brightness,
const GROUND: u32 = 100;
/// and so many differ from it by at least so much.
const STROKES: usize = 10;
const CONTRAST: u8 = 70;
/// Side of the windows over which structural similarity is taken.
const WINDOW: usize = 8;

/// Mean structural similarity (SSIM) of brightness over text.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sharpness {
    sum: f64,
    windows: u64,
}

impl Sharpness {
    /// Takes the text of a frame; both pictures have four bytes a pixel, blue first.
    pub(super) fn add(&mut self, width: usize, original: &[u8], shown: &[u8]) {
        let rows = original.len() / 4 / width;
        for top in (0..rows.saturating_sub(SIDE - 1)).step_by(SIDE) {
            for left in (0..width.saturating_sub(SIDE - 1)).step_by(SIDE) {
                let one = square(original, width, left, top);
                if is_text(&one) {
                    self.compare(&one, &square(shown, width, left, top));
                }
            }
        }
    }

    fn compare(&mut self, one: &[u8; SIDE * SIDE], other: &[u8; SIDE * SIDE]) {
        for window in 0..(SIDE / WINDOW) * (SIDE / WINDOW) {
            let start = window / (SIDE / WINDOW) * WINDOW * SIDE + window % (SIDE / WINDOW) * WINDOW;
            let pairs = (0..WINDOW * WINDOW).map(|at| {
                let at = start + at / WINDOW * SIDE + at % WINDOW;
                (f64::from(one[at]), f64::from(other[at]))
            });
            self.sum += similarity(pairs);
            self.windows += 1;
        }
    }

    /// The mean; `None` where there was no text.
    pub(super) fn mean(&self) -> Option<f64> {
        (self.windows > 0).then(|| self.sum / self.windows as f64)
    }
}

/// Structural similarity of two windows, with the constants of its inventors.
fn similarity(pairs: impl Iterator<Item = (f64, f64)>) -> f64 {
    const C1: f64 = 6.5025;
    const C2: f64 = 58.5225;
    let (mut count, mut a, mut b, mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    for (one, other) in pairs {
        count += 1.0;
        a += one;
        b += other;
        aa += one * one;
        bb += other * other;
        ab += one * other;
    }
    let (a, b) = (a / count, b / count);
    let (aa, bb, ab) = (aa / count - a * a, bb / count - b * b, ab / count - a * b);
    (2.0 * a * b + C1) * (2.0 * ab + C2) / ((a * a + b * b + C1) * (aa + bb + C2))
}

/// Brightness of a square.
fn square(picture: &[u8], width: usize, left: usize, top: usize) -> [u8; SIDE * SIDE] {
    std::array::from_fn(|at| {
        let pixel = ((top + at / SIDE) * width + left + at % SIDE) * 4;
        let part = |number: usize| u32::from(picture[pixel + number]);
        ((part(2) * 54 + part(1) * 183 + part(0) * 19) >> 8) as u8
    })
}

fn is_text(square: &[u8; SIDE * SIDE]) -> bool {
    let mut counts = [0u32; 256];
    square.iter().for_each(|&value| counts[usize::from(value)] += 1);
    let ground = (0..=255u8).max_by_key(|&value| counts[usize::from(value)]).unwrap_or(0);
    counts[usize::from(ground)] >= GROUND
        && square.iter().filter(|value| value.abs_diff(ground) >= CONTRAST).count() >= STROKES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(pixel: impl Fn(usize, usize) -> u8) -> Vec<u8> {
        (0..32 * 32).flat_map(|at| [pixel(at % 32, at / 32); 4]).collect()
    }

    #[test]
    fn blurred_text_is_less_sharp_and_only_text_counts() {
        let text = picture(|x, y| if x % 5 == 0 && y % 3 > 0 { 20 } else { 240 });
        let blurred = picture(|x, y| {
            if x % 5 == 0 && y % 3 > 0 {
                90
            } else if x % 5 < 2 {
                200
            } else {
                235
            }
        });
        let sharpness = |original: &[u8], shown: &[u8]| {
            let mut sharpness = Sharpness::default();
            sharpness.add(32, original, shown);
            sharpness.mean()
        };
        assert_eq!(sharpness(&text, &text), Some(1.0));
        let less = sharpness(&text, &blurred).unwrap();
        assert!((0.3..0.99).contains(&less), "{less}");
        let slope = picture(|x, y| (x * 3 + y * 4) as u8);
        assert_eq!(sharpness(&slope, &slope), None);
    }
}
