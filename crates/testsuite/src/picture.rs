//! Pictures to compare.

use sha2::{Digest as _, Sha256};

/// A picture as opaque RGBA, the way a canvas gives it.
#[derive(Clone, PartialEq, Eq)]
pub struct Shot {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Rows of R, G, B, 255.
    pub rgba: Vec<u8>,
}

impl Shot {
    /// Takes the bytes of an X image of depth 24 or 32.
    pub fn from_bgrx(width: u32, height: u32, bytes: &[u8]) -> Self {
        let rgba = bytes.chunks_exact(4).flat_map(|pixel| [pixel[2], pixel[1], pixel[0], 255]).collect();
        Self { width, height, rgba }
    }

    /// Where another picture differs, for people.
    pub fn difference(&self, other: &Self) -> String {
        if (self.width, self.height) != (other.width, other.height) {
            return format!("{other:?} has another size");
        }
        let pixels = self.rgba.chunks_exact(4).zip(other.rgba.chunks_exact(4)).enumerate();
        let wrong: Vec<(usize, &[u8], &[u8])> =
            pixels.filter(|(_, (a, b))| a != b).map(|(at, (a, b))| (at, a, b)).collect();
        let Some(&(first, expected, actual)) = wrong.first() else { return "nothing differs".into() };
        let width = self.width as usize;
        let (columns, rows) = (wrong.iter().map(|w| w.0 % width), wrong.iter().map(|w| w.0 / width));
        let (left, right) = (columns.clone().min().unwrap_or(0), columns.max().unwrap_or(0));
        let (top, bottom) = (first / width, rows.max().unwrap_or(0));
        format!(
            "{} pixels differ, in columns {left} to {right} and rows {top} to {bottom}; the first is {actual:?} in place of {expected:?}",
            wrong.len()
        )
    }

    /// SHA-256 over the RGBA bytes, in hexadecimal.
    pub fn hash(&self) -> String {
        Sha256::digest(&self.rgba).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl std::fmt::Debug for Shot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{} {}", self.width, self.height, &self.hash()[..12])
    }
}
