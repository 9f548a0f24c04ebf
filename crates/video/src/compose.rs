//! The two layers put together again: what a player shows. The reference for players, and for measuring.

use crate::{
    VideoError,
    grid::{Grid, SIDE},
    h264::Decoder,
    planes::Planes,
};
use playhead_format::{CellRuns, VideoMessage};

/// The video's picture, and where it is shown.
#[derive(Clone, Default)]
struct Shown {
    /// `0x00RRGGBB` by rows.
    plane: Vec<u32>,
    key: u32,
    mask: Vec<bool>,
}

/// A stream under way.
struct Running {
    x: usize,
    y: usize,
    planes: Planes,
    cells: CellRuns,
    decoder: Decoder,
}

/// Puts video over the lossless picture.
#[derive(Default)]
pub struct Composer {
    size: (u32, u32),
    now: Shown,
    anchor: Shown,
    running: Option<Running>,
}

impl Composer {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// An anchor packet was decoded, to a picture of this size: there is no video.
    pub fn begin(&mut self, width: u32, height: u32) {
        self.size = (width, height);
        let plane = vec![0; width as usize * height as usize];
        self.now = Shown { plane, ..Shown::default() };
        self.running = None;
    }

    /// The fragment with the anchor ends: key frames go back to this.
    pub fn end_anchor(&mut self) {
        self.anchor.clone_from(&self.now);
    }

    /// A key packet was decoded.
    pub fn key(&mut self) {
        self.now.clone_from(&self.anchor);
        self.running = None;
    }

    /// Takes a message of the video channel.
    ///
    /// # Errors
    /// A message that breaks the format's rules, or a picture that cannot be decoded.
    pub fn apply(&mut self, message: &[u8]) -> Result<(), VideoError> {
        match VideoMessage::parse(message)? {
            Some(VideoMessage::Mask { colour, cells }) => {
                let count = Grid::new(self.size.0, self.size.1).cells();
                if cells.cells() != count as u64 {
                    return Err(VideoError::Decode { code: -1 });
                }
                self.now.key = colour;
                self.now.mask = vec![false; count];
                cells.ranges().for_each(|range| self.now.mask[range].fill(true));
            }
            Some(VideoMessage::Start { x, y, width, height, cells, unit }) => {
                let planes = Planes::new(width.into(), height.into());
                let decoder = Decoder::new()?;
                self.running = Some(Running { x: x.into(), y: y.into(), planes, cells, decoder });
                self.picture(unit)?;
            }
            Some(VideoMessage::Next { cells, unit }) => {
                let running = self.running.as_mut().ok_or(VideoError::Decode { code: -1 })?;
                if let Some(cells) = cells {
                    if cells.cells() != running.cells.cells() {
                        return Err(VideoError::Decode { code: -1 });
                    }
                    running.cells = cells;
                }
                self.picture(unit)?;
            }
            None => {}
        }
        Ok(())
    }

    fn picture(&mut self, unit: &[u8]) -> Result<(), VideoError> {
        let Some(Running { x, y, planes, cells, decoder }) = &mut self.running else { return Ok(()) };
        decoder.decode(unit, planes)?;
        let columns = planes.size().0.div_ceil(SIDE);
        let (width, height) = (self.size.0 as usize, self.size.1 as usize);
        for cell in cells.ranges().flatten() {
            let (column, row) = (cell % columns, cell / columns);
            for (at, pixel) in planes.show(column, row).into_iter().enumerate() {
                let (x, y) = (*x + column * SIDE + at % SIDE, *y + row * SIDE + at / SIDE);
                if x < width && y < height {
                    self.now.plane[y * width + x] = pixel;
                }
            }
        }
        Ok(())
    }

    /// The picture that is shown, given the lossless one (`0x00RRGGBB` by rows, of the anchor's size).
    pub fn show(&self, sharp: &[u32]) -> Vec<u32> {
        let grid = Grid::new(self.size.0, self.size.1);
        let mut picture = sharp.to_vec();
        for (cell, _) in self.now.mask.iter().enumerate().filter(|(_, is_video)| **is_video) {
            let area = grid.area(cell);
            for y in area.top..area.bottom {
                for at in y * grid.width + area.left..y * grid.width + area.right {
                    if picture.get(at).is_some_and(|pixel| pixel & 0x00ff_ffff == self.now.key) {
                        picture[at] = self.now.plane[at];
                    }
                }
            }
        }
        picture
    }

    /// For each pixel whether it is shown from the video, given the lossless picture.
    pub fn is_video(&self, sharp: &[u32]) -> Vec<bool> {
        let grid = Grid::new(self.size.0, self.size.1);
        let is_video = |(at, pixel): (usize, &u32)| {
            let cell = at / grid.width / SIDE * grid.columns + at % grid.width / SIDE;
            self.now.mask.get(cell).is_some_and(|&masked| masked) && pixel & 0x00ff_ffff == self.now.key
        };
        sharp.iter().enumerate().map(is_video).collect()
    }
}
