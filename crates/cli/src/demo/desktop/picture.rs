use super::random::Random;

/// A picture of 4 bytes a pixel: blue, green, red, unused; rows from the top without padding.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    /// Width in pixels.
    pub(crate) width: usize,
    /// Height in pixels.
    pub(crate) height: usize,
    /// The pixels.
    pub(crate) bytes: Vec<u8>,
}

/// Cells across the picture of each layer of noise, from clouds to leaves.
const LAYERS: [usize; 5] = [4, 8, 16, 48, 120];
/// Weight of each layer relative to the one before.
const FADE: f32 = 0.55;
/// Share of the noise in a pixel; the rest is the light of sky or hill.
const CLOUDS: f32 = 70.0;
const GROUND: f32 = 90.0;
/// Ranges of hills, the farthest first: place of the ridge and its swing (parts of the height), colour (blue, green,
/// red).
const HILLS: [(f32, f32, [f32; 3]); 4] = [
    (0.50, 0.16, [172.0, 150.0, 128.0]),
    (0.62, 0.14, [138.0, 122.0, 88.0]),
    (0.74, 0.12, [92.0, 100.0, 58.0]),
    (0.88, 0.10, [44.0, 62.0, 40.0]),
];
/// The sky's colours at the top and at the horizon (blue, green, red).
const SKY: ([f32; 3], [f32; 3]) = ([168.0, 112.0, 62.0], [176.0, 204.0, 238.0]);

/// A landscape that encoders find as hard as a photograph: smooth shapes of several sizes, edges, and fine grain in
/// every pixel.
pub(crate) fn photo(width: usize, height: usize, seed: u64) -> Picture {
    let mut random = Random::new(seed, 40);
    let layers: Vec<Layer> =
        LAYERS.iter().map(|&cells| Layer::new(cells, width, height, &mut random)).collect();
    let weights: Vec<f32> = (0..).map(|n| FADE.powi(n)).take(layers.len()).collect();
    let total: f32 = weights.iter().sum();
    let ridges = HILLS.map(|(place, swing, _)| ridge(width, height, place, swing, &mut random));
    // Another time of day for each picture.
    let tint = [0, 1, 2].map(|_| 0.8 + 0.4 * fraction(&mut random));

    let mut bytes = Vec::with_capacity(width * height * 4);
    let mut row = vec![0f32; width * 3];
    for y in 0..height {
        row.fill(0.0);
        for (layer, weight) in layers.iter().zip(&weights) {
            layer.add_row(y, weight / total, &mut row);
        }
        let down = y as f32 / height as f32;
        for (x, noise) in row.chunks_exact(3).enumerate() {
            let hill = ridges.iter().rposition(|ridge| y >= ridge[x]);
            let bits = random.next();
            for channel in 0..3 {
                let (light, share) = match hill {
                    Some(hill) => (HILLS[hill].2[channel], GROUND),
                    None => {
                        (SKY.0[channel] + (SKY.1[channel] - SKY.0[channel]) * (down * 1.8).min(1.0), CLOUDS)
                    }
                };
                // Mostly brightness, a little colour.
                let uneven = 0.75 * noise[1] + 0.25 * noise[channel] - 0.5;
                let value = (light + uneven * share * 2.0) * tint[channel];
                bytes.push(clamp(value + grain(bits >> (channel * 6))));
            }
            bytes.push(0);
        }
    }
    Picture { width, height, bytes }
}

/// The first row of a range of hills, for each column.
fn ridge(width: usize, height: usize, place: f32, swing: f32, random: &mut Random) -> Vec<usize> {
    let mut line = vec![0f32; width];
    for (cells, weight) in [(3, 0.55), (7, 0.3), (31, 0.1), (160, 0.05)] {
        let corners: Vec<f32> = (0..cells + 2).map(|_| fraction(random) - 0.5).collect();
        for (value, (left, part)) in line.iter_mut().zip(steps(width, cells)) {
            *value += weight * (corners[left] + (corners[left + 1] - corners[left]) * part);
        }
    }
    line.iter().map(|value| ((place + swing * 2.0 * value) * height as f32).max(0.0) as usize).collect()
}

/// From 0 to 1.
fn fraction(random: &mut Random) -> f32 {
    (random.next() & 0xffff) as f32 / 65535.0
}

/// Two dice of eight: -7 to 7, mostly near 0.
fn grain(bits: u64) -> f32 {
    let dice = ((bits & 7) + (bits >> 3 & 7)) as f32;
    dice - 7.0
}

fn clamp(value: f32) -> u8 {
    value.clamp(0.0, 255.0) as u8
}

/// One layer of noise: random colours on a grid, blended in between.
struct Layer {
    /// Colours of the grid's corners, three values each, `across` corners a row.
    corners: Vec<f32>,
    across: usize,
    /// For each pixel column: the corner to its left and how far it is from it, 0 to 1.
    columns: Vec<(usize, f32)>,
    rows: Vec<(usize, f32)>,
}

impl Layer {
    fn new(cells: usize, width: usize, height: usize, random: &mut Random) -> Self {
        let down = (cells * height).div_ceil(width.max(1)).max(1);
        let across = cells + 2;
        let corners = (0..across * (down + 2) * 3).map(|_| fraction(random)).collect();
        Self { corners, across, columns: steps(width, cells), rows: steps(height, down) }
    }

    fn add_row(&self, y: usize, weight: f32, row: &mut [f32]) {
        let (above, down) = self.rows[y];
        let upper = &self.corners[above * self.across * 3..][..self.across * 3];
        let lower = &self.corners[(above + 1) * self.across * 3..][..self.across * 3];
        let line: Vec<f32> = upper.iter().zip(lower).map(|(u, l)| (u + (l - u) * down) * weight).collect();
        for (pixel, &(left, part)) in row.chunks_exact_mut(3).zip(&self.columns) {
            for (channel, value) in pixel.iter_mut().enumerate() {
                let (from, to) = (line[left * 3 + channel], line[left * 3 + 3 + channel]);
                *value += from + (to - from) * part;
            }
        }
    }
}

/// For each of `size` places: its cell of `cells`, and how far it is into it, eased at both ends.
fn steps(size: usize, cells: usize) -> Vec<(usize, f32)> {
    (0..size)
        .map(|place| {
            let scaled = place * cells;
            let part = (scaled % size) as f32 / size as f32;
            (scaled / size, part * part * (3.0 - 2.0 * part))
        })
        .collect()
}

impl Picture {
    /// The picture as an uncompressed BMP file, which every browser shows.
    pub(crate) fn to_bmp(&self) -> Vec<u8> {
        const HEADERS: u32 = 54;
        let size = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
        let mut file = Vec::with_capacity(self.bytes.len() + 54);
        file.extend(b"BM");
        file.extend(size(self.bytes.len() + 54));
        file.extend([0; 4]);
        file.extend(HEADERS.to_le_bytes());
        file.extend(40u32.to_le_bytes());
        file.extend(size(self.width));
        file.extend(size(self.height));
        file.extend([1, 0, 32, 0]);
        file.extend([0; 24]);
        // Rows stand from the bottom up.
        for row in self.bytes.chunks_exact(self.width * 4).rev() {
            file.extend(row);
        }
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photo_has_range_and_grain_and_repeats() {
        let picture = photo(320, 200, 3);
        assert_eq!(picture.bytes.len(), 320 * 200 * 4);
        assert_eq!(picture.bytes, photo(320, 200, 3).bytes);
        assert_ne!(picture.bytes, photo(320, 200, 4).bytes);
        let reds: Vec<u8> = picture.bytes.iter().skip(2).step_by(4).copied().collect();
        assert!(reds.iter().max() > Some(&180) && reds.iter().min() < Some(&70), "flat");
        let changes = reds.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(changes > reds.len() / 2, "{changes} of {} neighbours differ", reds.len());
    }

    #[test]
    fn a_bmp_file_is_upside_down_after_54_bytes() {
        let picture = Picture { width: 1, height: 2, bytes: vec![1, 2, 3, 0, 4, 5, 6, 0] };
        let file = picture.to_bmp();
        assert_eq!(file.len(), 62);
        assert_eq!(file[54..], [4, 5, 6, 0, 1, 2, 3, 0]);
        assert_eq!(file[2..6], 62u32.to_le_bytes());
    }
}
