//! Pictures as the encoder wants them: brightness, and colour at half the columns and rows (BT.709, limited range).

use playhead_format::video::CELL;

const SIDE: usize = CELL as usize;
const HALF: usize = SIDE / 2;
/// Pixels of a whole cell.
pub(crate) const CELL_PIXELS: usize = SIDE * SIDE;
/// Half of what the weights are multiples of.
const HALF_STEP: i32 = 1 << 15;

/// Three planes of a picture with even sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planes {
    width: usize,
    height: usize,
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
}

impl Planes {
    /// Grey all over; both sides are even.
    pub(crate) fn new(width: usize, height: usize) -> Self {
        debug_assert!(
            width.is_multiple_of(2) && height.is_multiple_of(2),
            "colour has half the columns and rows"
        );
        let quarter = width / 2 * (height / 2);
        Self { width, height, y: vec![128; width * height], u: vec![128; quarter], v: vec![128; quarter] }
    }

    pub(crate) const fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    pub(crate) fn planes(&self) -> [&[u8]; 3] {
        [&self.y, &self.u, &self.v]
    }

    pub(crate) fn planes_mut(&mut self) -> [&mut [u8]; 3] {
        [&mut self.y, &mut self.u, &mut self.v]
    }

    /// Takes over one cell, given as its pixels row by row (`0x00RRGGBB`).
    pub(crate) fn take(&mut self, column: usize, row: usize, pixels: &[u32; CELL_PIXELS]) {
        let (left, top) = (column * SIDE, row * SIDE);
        debug_assert!(
            left + SIDE <= self.width && top + SIDE <= self.height,
            "the cell lies within the picture"
        );
        for (number, line) in pixels.chunks_exact(SIDE).enumerate() {
            let at = (top + number) * self.width + left;
            for (to, &pixel) in self.y[at..at + SIDE].iter_mut().zip(line) {
                let [blue, green, red, _] = pixel.to_le_bytes().map(i32::from);
                *to = (((11_966 * red + 40_254 * green + 4_064 * blue + HALF_STEP) >> 16) + 16) as u8;
            }
        }
        for number in 0..HALF {
            let at = (top / 2 + number) * (self.width / 2) + left / 2;
            for place in 0..HALF {
                let first = number * 2 * SIDE + place * 2;
                let four = [first, first + 1, first + SIDE, first + SIDE + 1].map(|at| pixels[at]);
                let sum = |shift: u32| four.iter().map(|pixel| (pixel >> shift & 255) as i32).sum::<i32>();
                let (red, green, blue) = (sum(16), sum(8), sum(0));
                // Sums of four: two more bits to shift away.
                self.u[at + place] =
                    (((-6_596 * red - 22_189 * green + 28_784 * blue + 2 * HALF_STEP) >> 18) + 128) as u8;
                self.v[at + place] =
                    (((28_784 * red - 26_145 * green - 2_639 * blue + 2 * HALF_STEP) >> 18) + 128) as u8;
            }
        }
    }

    /// Gives the cells that are not there the mean of those that are in the same block of so many by so many cells, or what the
    /// block to the left got.
    pub(crate) fn fill_between(&mut self, present: &[bool], columns: usize, block: usize) {
        for top in (0..present.len() / columns).step_by(block) {
            let mut last = [128; 3];
            for left in (0..columns).step_by(block) {
                let cells: Vec<_> = (top..top + block)
                    .flat_map(|row| (left..left + block).map(move |column| (column, row)))
                    .filter(|(column, row)| *column < columns && row * columns + column < present.len())
                    .collect();
                let is_there = |&(column, row): &(usize, usize)| present[row * columns + column];
                let there: Vec<_> = cells.iter().copied().filter(is_there).collect();
                if there.len() < cells.len() {
                    if !there.is_empty() {
                        last = self.mean(&there);
                    }
                    cells.iter().filter(|cell| !is_there(cell)).for_each(|&cell| self.paint(cell, last));
                } else if let Some(&cell) = there.last() {
                    last = self.mean(&[cell]);
                }
            }
        }
    }

    fn mean(&self, cells: &[(usize, usize)]) -> [u8; 3] {
        let mut sums = [0; 3];
        for &(column, row) in cells {
            for (number, plane) in self.planes().into_iter().enumerate() {
                let (side, width) = if number == 0 { (SIDE, self.width) } else { (HALF, self.width / 2) };
                for y in row * side..(row + 1) * side {
                    let line = &plane[y * width + column * side..][..side];
                    sums[number] += line.iter().map(|&value| usize::from(value)).sum::<usize>();
                }
            }
        }
        let [y, u, v] = sums;
        let pixels = cells.len() * CELL_PIXELS;
        [(y / pixels) as u8, (u * 4 / pixels) as u8, (v * 4 / pixels) as u8]
    }

    fn paint(&mut self, (column, row): (usize, usize), colour: [u8; 3]) {
        let full = self.width;
        for (number, plane) in self.planes_mut().into_iter().enumerate() {
            let (side, width) = if number == 0 { (SIDE, full) } else { (HALF, full / 2) };
            for y in row * side..(row + 1) * side {
                plane[y * width + column * side..][..side].fill(colour[number]);
            }
        }
    }

    /// One cell's pixels (`0x00RRGGBB`), as a player shows them.
    pub(crate) fn show(&self, column: usize, row: usize) -> [u32; CELL_PIXELS] {
        std::array::from_fn(|at| {
            let (x, y) = (column * SIDE + at % SIDE, row * SIDE + at / SIDE);
            let colour = y / 2 * (self.width / 2) + x / 2;
            let luma = 76_309 * (i32::from(self.y[y * self.width + x]) - 16);
            let (u, v) = (i32::from(self.u[colour]) - 128, i32::from(self.v[colour]) - 128);
            let clamp = |value: i32| ((value + HALF_STEP) >> 16).clamp(0, 255) as u32;
            let red = clamp(luma + 117_489 * v);
            let green = clamp(luma - 13_975 * u - 34_925 * v);
            let blue = clamp(luma + 138_438 * u);
            red << 16 | green << 8 | blue
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_come_back_nearly_as_they_were() {
        let mut planes = Planes::new(16, 16);
        for colour in [0, 0xff_ffff, 0xff_0000, 0x00_ff00, 0x00_00ff, 0x12_3456, 0x80_8080, 0xfe_dcba] {
            planes.take(1, 0, &[colour; CELL_PIXELS]);
            let back = planes.show(1, 0)[9];
            for shift in [0, 8, 16] {
                let (was, is) = ((colour >> shift & 255) as i32, (back >> shift & 255) as i32);
                assert!((was - is).abs() <= 3, "{colour:06x} became {back:06x}");
            }
        }
        assert!(
            planes.show(0, 1).iter().all(|&pixel| pixel == planes.show(0, 0)[0]),
            "others are left alone"
        );
    }
}
