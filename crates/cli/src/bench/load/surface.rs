//! Drawing something like a desktop: text, photographs, windows.

use playhead_screen::Rect;

/// Random numbers that are the same for the same seed.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number (the generator known as SplitMix64).
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below `end`.
    pub(super) fn below(&mut self, end: u32) -> u32 {
        // The remainder is below a number of 32 bits.
        (self.next() >> 16) as u32 % end.max(1)
    }

    pub(super) fn between(&mut self, least: u32, most: u32) -> u32 {
        least + self.below(most - least + 1)
    }

    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }
}

/// Pixels of four bytes: blue, green, red and one that is ignored.
#[derive(Clone)]
pub(super) struct Surface {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) data: Vec<u8>,
}

/// Columns and rows of a letter.
pub(super) const LETTER: (u32, u32) = (8, 18);
/// How many different letters there are.
const LETTERS: u64 = 64;

impl Surface {
    pub(super) fn new(width: u32, height: u32, color: [u8; 3]) -> Self {
        let [blue, green, red] = color;
        let data = [blue, green, red, 0].repeat(width as usize * height as usize);
        Self { width, height, data }
    }

    fn at(&self, x: u32, y: u32) -> usize {
        (y as usize * self.width as usize + x as usize) * 4
    }

    pub(super) fn set(&mut self, x: u32, y: u32, color: [u8; 3]) {
        let at = self.at(x, y);
        self.data[at..at + 3].copy_from_slice(&color);
    }

    pub(super) fn fill(&mut self, rect: Rect, color: [u8; 3]) {
        for y in rect.y..rect.y + rect.height {
            for x in rect.x..rect.x + rect.width {
                self.set(x, y, color);
            }
        }
    }

    /// Copies a part of another surface to `x`, `y` of this one.
    pub(super) fn copy(&mut self, from: &Self, part: Rect, x: u32, y: u32) {
        let bytes = part.width as usize * 4;
        for row in 0..part.height {
            let (source, target) = (from.at(part.x, part.y + row), self.at(x, y + row));
            self.data[target..target + bytes].copy_from_slice(&from.data[source..source + bytes]);
        }
    }

    /// Moves a part's content up by `rows`; what is below stays to be drawn.
    pub(super) fn scroll(&mut self, part: Rect, rows: u32) {
        let bytes = part.width as usize * 4;
        for row in part.y..(part.y + part.height).saturating_sub(rows) {
            let (target, source) = (self.at(part.x, row), self.at(part.x, row + rows));
            self.data.copy_within(source..source + bytes, target);
        }
    }

    /// Draws a letter, black and smoothed, over a light ground.
    pub(super) fn letter(&mut self, code: u64, x: u32, y: u32) {
        let mut random = Random::new(code % LETTERS + 1);
        let mut ink = [[0u8; 8]; 12];
        for _ in 0..3 {
            let (upright, at, from) = (random.chance(60), random.between(1, 5), random.between(0, 4));
            let length = random.between(3, 7);
            for step in from..from + length {
                let (column, row) = if upright { (at, step) } else { (step, at * 2) };
                if let Some(cell) = ink.get_mut(row as usize).and_then(|row| row.get_mut(column as usize)) {
                    *cell = 230;
                }
                if let Some(cell) = ink.get_mut(row as usize).and_then(|row| row.get_mut(column as usize + 1))
                {
                    *cell = (*cell).max([0, 60, 110][(code % 3) as usize]);
                }
            }
        }
        for (row, cells) in (0..).zip(&ink) {
            for (column, &cell) in (0..).zip(cells) {
                if cell > 0 && x + column < self.width && y + 3 + row < self.height {
                    let shade = 250 - cell;
                    self.set(x + column, y + 3 + row, [shade; 3]);
                }
            }
        }
    }

    /// Draws words up to the end of the line; the same line for the same seed.
    pub(super) fn line(&mut self, seed: u64, x: u32, y: u32, width: u32) {
        let mut random = Random::new(seed);
        let letters = width / LETTER.0;
        let end = letters * random.between(55, 98) / 100;
        let mut column = 0;
        while column < end {
            for _ in 0..random.between(2, 9).min(end - column) {
                self.letter(random.next() >> 8, x + column * LETTER.0, y);
                column += 1;
            }
            column += 1;
        }
    }

    /// Draws something like a photograph: large shapes, soft edges, and the noise of a camera.
    pub(super) fn photograph(&mut self, rect: Rect, seed: u64) {
        let shade = |x: u32, y: u32, cell: u32, salt: u64| {
            let corner = |x: u32, y: u32| {
                (Random::new(seed ^ salt ^ (u64::from(x / cell) << 32) ^ u64::from(y / cell)).next() >> 56)
                    as u32
            };
            let (fx, fy) = (x % cell, y % cell);
            let top = corner(x, y) * (cell - fx) + corner(x + cell, y) * fx;
            let bottom = corner(x, y + cell) * (cell - fx) + corner(x + cell, y + cell) * fx;
            (top / cell * (cell - fy) + bottom / cell * fy) / cell
        };
        let mut noise = Random::new(seed);
        for y in 0..rect.height {
            for x in 0..rect.width {
                let (large, small) = (shade(x, y, 160, 1), shade(x, y, 24, 2));
                let grain = noise.next();
                let color = [0u32, 1, 2].map(|channel| {
                    let tint = (large * (3 + channel) / 5 + small / 5).min(250);
                    // Within a byte: at most 250 and a grain of 2.
                    (tint + ((grain >> (channel * 8)) & 1) as u32 + ((grain >> (channel * 8 + 1)) & 1) as u32)
                        as u8
                });
                self.set(rect.x + x, rect.y + y, color);
            }
        }
    }
}
