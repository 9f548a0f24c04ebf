//! What a cell shows: something photographic, something with sharp edges, or nothing much.

use crate::{grid::Grid, grid::SIDE, planes::CELL_PIXELS};

/// Looked at by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Class {
    /// One colour, stripes, or a slope along one axis: the lossless codec says it in a few bytes.
    #[default]
    Plain,
    /// Letters and lines: strong edges on an even ground.
    Sharp,
    /// Soft changes. Part of a photo if its neighbours are.
    Soft,
    /// Hardly two pixels alike.
    Photo,
}

/// Of 49 pixels with a neighbour to the left and above, so many differ from both.
const BUSY_PHOTO: u32 = 18;
const BUSY_SOFT: u32 = 6;
/// Of 56 pixels with a neighbour to the left, so many are the same as it where there is an even ground.
const EVEN_GROUND: u32 = 12;
/// Difference between the brightest and the darkest pixel that a letter has to its ground, in 255ths.
const CONTRAST: u32 = 100;

impl Class {
    /// Looks at a cell's pixels (`0x00RRGGBB`).
    pub(crate) fn of(pixels: &[u32; CELL_PIXELS]) -> Self {
        let (mut busy, mut even) = (0, 0);
        for row in 0..SIDE {
            for column in 1..SIDE {
                let at = row * SIDE + column;
                let left = pixels[at] == pixels[at - 1];
                even += u32::from(left);
                busy += u32::from(row > 0 && !left && pixels[at] != pixels[at - SIDE]);
            }
        }
        if busy < BUSY_SOFT {
            // A lone stroke of a letter is sharp as well, but there is nothing to keep apart.
            return Self::Plain;
        }
        let brightness = pixels.map(|pixel| {
            let [blue, green, red, _] = pixel.to_le_bytes().map(u32::from);
            (red * 2 + green * 5 + blue) / 8
        });
        let (least, most) =
            brightness.iter().fold((u32::MAX, 0), |(a, b), &value| (a.min(value), b.max(value)));
        if most - least >= CONTRAST && even >= EVEN_GROUND {
            Self::Sharp
        } else if busy >= BUSY_PHOTO {
            Self::Photo
        } else if most - least < CONTRAST {
            Self::Soft
        } else {
            Self::Sharp
        }
    }
}

/// Whether a cell belongs to something photographic, by itself and by what is around it.
pub(crate) fn is_photographic(grid: &Grid, classes: &[Class], cell: usize) -> bool {
    let photos = || grid.around(cell).filter(|&other| classes[other] == Class::Photo).count();
    match classes[cell] {
        Class::Photo => photos() >= 3,
        Class::Soft => photos() >= 4,
        Class::Plain | Class::Sharp => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(pixel: impl Fn(usize, usize) -> u32) -> Class {
        Class::of(&std::array::from_fn(|at| pixel(at % SIDE, at / SIDE)))
    }

    #[test]
    fn text_slopes_and_photos_are_told_apart() {
        assert_eq!(cell(|_, _| 0x12_3456), Class::Plain);
        assert_eq!(cell(|_, y| y as u32 * 0x01_0101), Class::Plain, "a title bar's slope");
        assert_eq!(cell(|x, y| ((x * 31 + y * 17 + x * y * 5) % 23) as u32 * 0x02_0305), Class::Photo);
        // An upright stroke with soft edges beside a slanted one, on white.
        let stroke = |x: usize, y: usize| match (x, (x + 7 - y) % 8) {
            (2, _) => 0x10_1010,
            (1 | 3, _) => 0xa0_a0a0 + y as u32,
            (_, 2) => 0x30_3030,
            _ => 0xff_ffff,
        };
        assert_eq!(cell(stroke), Class::Sharp);
        let white_on_blue = cell(|x, y| if (x * y) % 5 == 1 { 0xff_ffff } else { 0x20_40a0 });
        assert_eq!(white_on_blue, Class::Sharp);
    }

    #[test]
    fn a_cell_alone_is_no_photo() {
        let grid = Grid::new(80, 80);
        let mut classes = vec![Class::Plain; grid.cells()];
        classes[55] = Class::Photo;
        assert!(!is_photographic(&grid, &classes, 55));
        for cell in [44, 45, 54] {
            classes[cell] = Class::Photo;
        }
        assert!(is_photographic(&grid, &classes, 55));
        classes[56] = Class::Soft;
        assert!(!is_photographic(&grid, &classes, 56));
    }
}
