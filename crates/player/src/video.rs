//! The video beside the lossless picture: where it is shown, and what its pictures' decoder has to do.
//!
//! The decoder is the browser's; what comes out here are its tasks, in order.

use playhead_format::{CellRuns, FormatError, VideoMessage, video::CELL, video::cells_across};

/// Numbers that tell one task.
pub const VIDEO_FIELDS: usize = 8;
/// The most tasks and bytes that wait for whoever drives; beyond that they are dropped up to the next key frame.
const MOST_TASKS: usize = 4_096;
const MOST_BYTES: usize = 48 << 20;

const BEGIN: f64 = 0.0;
const SAVE: f64 = 1.0;
const RESTORE: f64 = 2.0;
const START: f64 = 3.0;
const NEXT: f64 = 4.0;

/// Where the video is shown: pixels of a colour, within cells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Mask {
    /// `0x00RRGGBB`.
    pub(crate) colour: u32,
    /// By cell of the picture; empty for nowhere.
    pub(crate) cells: Vec<bool>,
}

/// The state of the video, and tasks.
#[derive(Debug, Default)]
pub(crate) struct Video {
    size: (u32, u32),
    pub(crate) mask: Mask,
    anchor_mask: Mask,
    /// Columns of cells and number of cells of the stream under way.
    stream: Option<(usize, u64)>,
    /// Tasks since last asked.
    fields: Vec<f64>,
    rects: Vec<u32>,
    bytes: Vec<u8>,
    /// Too much was waiting: nothing until the next key frame.
    dropped: bool,
    /// As last given out.
    taken: Taken,
}

#[derive(Debug, Default)]
struct Taken {
    fields: Vec<f64>,
    rects: Vec<u32>,
    bytes: Vec<u8>,
}

impl Video {
    /// An anchor packet was decoded: nothing is shown from the video.
    pub(crate) fn begin(&mut self, width: u32, height: u32) {
        self.size = (width, height);
        self.mask = Mask::default();
        self.stream = None;
        self.dropped = false;
        self.task([BEGIN, 0.0, 0.0, width.into(), height.into(), 0.0, 0.0, 0.0]);
    }

    /// The anchor's fragment ends: key frames go back to this.
    pub(crate) fn save(&mut self) {
        self.anchor_mask.clone_from(&self.mask);
        self.task([SAVE, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }

    /// A key packet was decoded.
    pub(crate) fn restore(&mut self) {
        self.mask.clone_from(&self.anchor_mask);
        self.stream = None;
        self.dropped = false;
        self.task([RESTORE, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }

    /// Takes a message; returns whether the mask changed.
    pub(crate) fn apply(&mut self, at_us: u64, message: &[u8]) -> Result<bool, FormatError> {
        let at_us = at_us as f64;
        match VideoMessage::parse(message)? {
            Some(VideoMessage::Mask { colour, cells }) => {
                let count = u64::from(cells_across(self.size.0)) * u64::from(cells_across(self.size.1));
                check(&cells, count)?;
                let mut mask = vec![false; count as usize];
                cells.ranges().for_each(|range| mask[range].fill(true));
                self.mask = Mask { colour, cells: mask };
                return Ok(true);
            }
            Some(VideoMessage::Start { x, y, width, height, cells, unit }) => {
                let columns = cells_across(width.into()) as usize;
                self.stream = Some((columns, cells.cells()));
                let place = [x, y, width, height].map(f64::from);
                self.picture(START, place, Some((&cells, columns)), unit, at_us);
            }
            Some(VideoMessage::Next { cells, unit }) => {
                let Some((columns, count)) = self.stream else {
                    return Err(FormatError::Invalid {
                        what: "video message",
                        reason: "expected a stream to begin, got one that goes on".into(),
                    });
                };
                if let Some(cells) = &cells {
                    check(cells, count)?;
                }
                let cells = cells.as_ref().map(|cells| (cells, columns));
                self.picture(NEXT, [0.0; 4], cells, unit, at_us);
            }
            None => {}
        }
        Ok(false)
    }

    fn picture(
        &mut self,
        kind: f64,
        [x, y, width, height]: [f64; 4],
        cells: Option<(&CellRuns, usize)>,
        unit: &[u8],
        at_us: f64,
    ) {
        // Without new cells those of before go on to be taken over.
        let rects = match cells {
            Some((cells, columns)) => {
                let before = self.rects.len();
                rectangles(cells, columns, &mut self.rects);
                ((self.rects.len() - before) / 4) as f64
            }
            None => -1.0,
        };
        self.bytes.extend(unit);
        self.task([kind, x, y, width, height, rects, unit.len() as f64, at_us]);
    }

    fn task(&mut self, fields: [f64; VIDEO_FIELDS]) {
        self.fields.extend(fields);
        if self.fields.len() > MOST_TASKS * VIDEO_FIELDS || self.bytes.len() > MOST_BYTES {
            self.dropped = true;
        }
        if self.dropped {
            self.fields.clear();
            self.rects.clear();
            self.bytes.clear();
        }
    }

    /// Gives out the tasks since last asked; returns how many.
    pub(crate) fn take(&mut self) -> usize {
        let Self { fields, rects, bytes, taken, .. } = self;
        taken.fields.clear();
        taken.rects.clear();
        taken.bytes.clear();
        std::mem::swap(fields, &mut taken.fields);
        std::mem::swap(rects, &mut taken.rects);
        std::mem::swap(bytes, &mut taken.bytes);
        taken.fields.len() / VIDEO_FIELDS
    }

    /// [`VIDEO_FIELDS`] numbers for each task given out last: what (0 begin, 1 save, 2 restore, 3 start, 4 next), place, how many
    /// rectangles are taken over from now on (-1: as before), bytes, media time.
    pub(crate) fn fields(&self) -> &[f64] {
        &self.taken.fields
    }

    /// The rectangles of all tasks, in pixels of the stream: x, y, width, height each.
    pub(crate) fn rects(&self) -> &[u32] {
        &self.taken.rects
    }

    /// The access units of all tasks, one after the other.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.taken.bytes
    }
}

fn check(cells: &CellRuns, expected: u64) -> Result<(), FormatError> {
    if cells.cells() == expected {
        return Ok(());
    }
    Err(FormatError::Invalid {
        what: "video message",
        reason: format!("expected a set of {expected} cells, got {}", cells.cells()),
    })
}

/// Cells as few rectangles of pixels: rows of the same run become one.
fn rectangles(cells: &CellRuns, columns: usize, out: &mut Vec<u32>) {
    let first = out.len();
    // Where the rectangles that reach down to the row before begin in `out`.
    let mut open: Vec<usize> = Vec::new();
    let (mut row, mut next) = (0, Vec::new());
    let mut put = |at: usize, from: usize, to: usize, out: &mut Vec<u32>| {
        if at != row {
            open = if at == row + 1 { std::mem::take(&mut next) } else { Vec::new() };
            next.clear();
            row = at;
        }
        let [x, y, width] = [from, at, to - from].map(|cells| cells as u32 * CELL);
        let above = open.iter().copied().find(|&start| out[start] == x && out[start + 2] == width);
        next.push(above.unwrap_or(out.len()));
        match above {
            Some(start) => out[start + 3] += CELL,
            None => out.extend([x, y, width, CELL]),
        }
    };
    for range in cells.ranges() {
        let mut from = range.start;
        while from < range.end {
            let to = range.end.min((from / columns + 1) * columns);
            put(from / columns, from % columns, from % columns + (to - from), out);
            from = to;
        }
    }
    debug_assert!((out.len() - first).is_multiple_of(4), "whole rectangles");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rects(rows: &[&str]) -> Vec<Vec<u32>> {
        let cells = CellRuns::from_cells(rows.concat().chars().map(|cell| cell == '#'));
        let mut out = Vec::new();
        rectangles(&cells, rows[0].len(), &mut out);
        out.chunks(4).map(<[u32]>::to_vec).collect()
    }

    #[test]
    fn cells_become_few_rectangles() {
        assert_eq!(rects(&["####", "####", "####"]), [[0, 0, 32, 24]]);
        assert_eq!(rects(&[".##.", ".##.", "#..#"]), [[8, 0, 16, 16], [0, 16, 8, 8], [24, 16, 8, 8]]);
        assert_eq!(rects(&["##..", "....", "##.."]), [[0, 0, 16, 8], [0, 16, 16, 8]]);
        assert_eq!(rects(&["....", "...."]), Vec::<Vec<u32>>::new());
    }

    #[test]
    fn tasks_come_in_order_and_only_so_many() {
        let mut video = Video::default();
        video.begin(32, 16);
        let cells = CellRuns::from_cells([true, true, false, true]);
        let mut bytes = Vec::new();
        VideoMessage::Start { x: 8, y: 0, width: 16, height: 16, cells, unit: &[7, 8] }.encode(&mut bytes);
        assert!(!video.apply(5, &bytes).unwrap());
        video.save();
        assert!(!video.apply(6, &[0x13, 9]).unwrap());
        video.restore();
        assert!(video.apply(7, &[0x13, 9]).is_err(), "the stream ended with the key frame");
        assert_eq!(video.take(), 5);
        let kinds: Vec<f64> = video.fields().iter().step_by(VIDEO_FIELDS).copied().collect();
        assert_eq!(kinds, [BEGIN, START, SAVE, NEXT, RESTORE]);
        assert_eq!(video.fields()[8..16], [START, 8.0, 0.0, 16.0, 16.0, 2.0, 2.0, 5.0]);
        assert_eq!((video.rects(), video.bytes()), (&[0, 0, 16, 8, 8, 8, 8, 8][..], &[7, 8, 9][..]));
        assert_eq!(video.take(), 0);

        video.apply(8, &bytes).unwrap();
        for _ in 0..MOST_TASKS * 2 {
            video.apply(9, &[0x13, 9]).unwrap();
        }
        assert_eq!(video.take(), 0, "nothing is better than a part");
        video.restore();
        assert_eq!(video.take(), 1);
    }

    #[test]
    fn masks_of_another_picture_are_refused() {
        let mut video = Video::default();
        video.begin(32, 16);
        let mask = |cells: usize| {
            let mut bytes = Vec::new();
            let cells = CellRuns::from_cells(vec![true; cells]);
            VideoMessage::Mask { colour: 9, cells }.encode(&mut bytes);
            bytes
        };
        assert!(video.apply(0, &mask(7)).is_err());
        assert!(video.apply(0, &mask(8)).unwrap());
        video.save();
        video.begin(32, 16);
        assert!(video.mask.cells.is_empty());
        video.restore();
        assert_eq!(video.mask.cells.len(), 8);
    }
}
