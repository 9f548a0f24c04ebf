//! What goes into the video, as messages: the mask, photos, and the stream of what moves.

use crate::{
    VideoError,
    grid::{Grid, SIDE, Source},
    h264::{Coding, Encoder},
    planes::{CELL_PIXELS, Planes},
    state::Cell,
};
use playhead_format::{CellRuns, VideoMessage};
use playhead_screen::{PacketKind, Picture};

/// Cells along the side of a block that the encoder codes at a time.
const BLOCK: usize = 2;
/// Photos are coded in strips of at most so many rows of blocks: memory for a large encoder is not taken for a single picture.
const STRIP_BLOCKS: usize = 17;
/// Quantiser at quality 0 and at quality 100.
const QP: (u32, u32) = (36, 12);
/// What stands still is looked at longer: it is coded better by so much.
const STILL_BETTER: u8 = 1;

/// The picture as the streams see it.
pub(crate) struct View<'a> {
    pub(crate) grid: Grid,
    pub(crate) key: u32,
    /// Original pixels, four bytes each.
    pub(crate) plane: &'a [u8],
}

impl View<'_> {
    fn pixels(&self, cell: usize) -> [u32; CELL_PIXELS] {
        let (width, height) = (self.grid.width as u32, self.grid.height as u32);
        let picture = Picture { width, height, stride: self.grid.width * 4, data: self.plane };
        Source::new(&picture).cell(self.grid.area(cell))
    }
}

/// A rectangle of cells, a whole number of blocks; may reach beyond the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    left: usize,
    top: usize,
    columns: usize,
    rows: usize,
}

impl Place {
    /// Around all cells that are wanted, within some rows.
    fn around(grid: &Grid, rows: std::ops::Range<usize>, wanted: impl Fn(usize) -> bool) -> Option<Self> {
        let mut found: Option<[usize; 4]> = None;
        for row in rows {
            for column in 0..grid.columns {
                if wanted(row * grid.columns + column) {
                    let [left, top, right, bottom] = found.unwrap_or([column, row, column, row]);
                    found = Some([left.min(column), top.min(row), right.max(column), bottom.max(row)]);
                }
            }
        }
        let [left, top, right, bottom] = found?;
        let (left, top) = (left / BLOCK * BLOCK, top / BLOCK * BLOCK);
        let size = |from: usize, last: usize| (last + 1 - from).next_multiple_of(BLOCK);
        Some(Self { left, top, columns: size(left, right), rows: size(top, bottom) })
    }

    fn holds(&self, other: &Self) -> bool {
        self.left <= other.left
            && self.top <= other.top
            && self.left + self.columns >= other.left + other.columns
            && self.top + self.rows >= other.top + other.rows
    }

    /// Its cells that lie within the picture: column and row in the place, and the cell's number.
    fn cells(&self, grid: Grid) -> impl Iterator<Item = (usize, usize, usize)> {
        let Self { left, top, columns, rows } = *self;
        (0..rows)
            .flat_map(move |row| (0..columns).map(move |column| (column, row)))
            .filter(move |(column, row)| left + column < grid.columns && top + row < grid.rows)
            .map(move |(column, row)| (column, row, (top + row) * grid.columns + left + column))
    }

    fn runs(&self, grid: Grid, wanted: impl Fn(usize) -> bool) -> CellRuns {
        let mut cells = vec![false; self.columns * self.rows];
        for (column, row, cell) in self.cells(grid) {
            cells[row * self.columns + column] = wanted(cell);
        }
        CellRuns::from_cells(cells)
    }

    const fn size(&self) -> (usize, usize) {
        (self.columns * SIDE, self.rows * SIDE)
    }

    /// The picture of the wanted cells. What lies between them gets their colours, so that it costs next to nothing.
    fn picture(&self, view: &View<'_>, wanted: impl Fn(usize) -> bool) -> Planes {
        let (width, height) = self.size();
        let mut planes = Planes::new(width, height);
        let mut present = vec![false; self.columns * self.rows];
        for (column, row, cell) in self.cells(view.grid) {
            if wanted(cell) {
                planes.take(column, row, &view.pixels(cell));
                present[row * self.columns + column] = true;
            }
        }
        planes.fill_between(&present, self.columns, BLOCK);
        planes
    }
}

/// The stream of what moves.
struct Moving {
    place: Place,
    encoder: Encoder,
    planes: Planes,
    /// The cells that are taken over from it.
    cells: CellRuns,
}

/// All that the video has, and what was said of it.
pub(crate) struct Streams {
    quality: u8,
    moving: Option<Moving>,
    /// As last told, and as told at the anchor.
    mask: Vec<bool>,
    anchor_mask: Vec<bool>,
    anchor_messages: Vec<Vec<u8>>,
    /// What moved stands still.
    settling: bool,
}

impl Streams {
    pub(crate) fn new(quality: u8) -> Self {
        Self {
            quality,
            moving: None,
            mask: Vec::new(),
            anchor_mask: Vec::new(),
            anchor_messages: Vec::new(),
            settling: false,
        }
    }

    pub(crate) fn anchor_messages(&self) -> &[Vec<u8>] {
        &self.anchor_messages
    }

    pub(crate) fn end(&mut self) {
        *self = Self::new(self.quality);
    }

    /// With the next messages all that moved becomes a photo.
    pub(crate) fn settle(&mut self) {
        self.settling = true;
    }

    /// The messages that go with a packet.
    pub(crate) fn emit(
        &mut self,
        kind: PacketKind,
        view: &View<'_>,
        cells: &mut [Cell],
    ) -> Result<Vec<Vec<u8>>, VideoError> {
        let mut messages = Vec::new();
        if kind != PacketKind::Delta {
            self.moving = None;
            self.forget_hidden(kind, cells);
        }
        match kind {
            PacketKind::Anchor => self.mask = Vec::new(),
            PacketKind::Key => self.mask.clone_from(&self.anchor_mask),
            PacketKind::Delta => {}
        }
        let settling = std::mem::take(&mut self.settling);
        self.tell_mask(view, cells, &mut messages);
        // What the player does not have (any more), and what is to look better.
        let is_photo = |cell: &Cell| match kind {
            PacketKind::Anchor => cell.is_keyed() && (settling || !cell.film),
            PacketKind::Key => cell.is_keyed() && cell.since_anchor && (settling || !cell.film),
            PacketKind::Delta => settling && cell.film,
        };
        self.photos(view, &|cell| is_photo(&cells[cell]), &mut messages)?;
        if settling {
            self.moving = None;
            cells.iter_mut().for_each(|cell| (cell.film, cell.fresh) = (false, false));
        }
        let all = kind != PacketKind::Delta;
        if cells.iter().any(|cell| cell.film && (cell.fresh || all && cell.since_anchor)) {
            self.film(view, cells, &mut messages)?;
        }
        cells.iter_mut().for_each(|cell| cell.fresh = false);
        if kind == PacketKind::Anchor {
            cells.iter_mut().for_each(|cell| cell.since_anchor = false);
            self.anchor_mask.clone_from(&self.mask);
            self.anchor_messages.clone_from(&messages);
        }
        Ok(messages)
    }

    /// At a key frame the player's video is what it was at the anchor, at an anchor nothing: what is not shown need not be made again.
    fn forget_hidden(&self, kind: PacketKind, cells: &mut [Cell]) {
        for cell in cells.iter_mut().filter(|cell| !cell.is_keyed()) {
            if kind == PacketKind::Anchor || cell.since_anchor {
                cell.forget();
            }
        }
    }

    fn tell_mask(&mut self, view: &View<'_>, cells: &[Cell], messages: &mut Vec<Vec<u8>>) {
        let is_same = self.mask.len() == cells.len()
            && self.mask.iter().zip(cells).all(|(&told, cell)| told == cell.is_in_video());
        let is_nothing = self.mask.is_empty() && !cells.iter().any(Cell::is_in_video);
        if is_same || is_nothing {
            return;
        }
        self.mask = cells.iter().map(Cell::is_in_video).collect();
        let cells = CellRuns::from_cells(self.mask.iter().copied());
        put(&VideoMessage::Mask { colour: view.key, cells }, messages);
    }

    /// Codes cells as single pictures, in strips.
    fn photos(
        &self,
        view: &View<'_>,
        wanted: &impl Fn(usize) -> bool,
        messages: &mut Vec<Vec<u8>>,
    ) -> Result<(), VideoError> {
        let coding = Coding { qp: self.qp().saturating_sub(STILL_BETTER), moving: false };
        for top in (0..view.grid.rows).step_by(STRIP_BLOCKS * BLOCK) {
            let rows = top..(top + STRIP_BLOCKS * BLOCK).min(view.grid.rows);
            let Some(place) = Place::around(&view.grid, rows, wanted) else { continue };
            let mut unit = Vec::new();
            Encoder::new(place.size(), coding)?.encode(&place.picture(view, wanted), &mut unit)?;
            start(place, place.runs(view.grid, wanted), &unit, messages);
        }
        Ok(())
    }

    /// Codes what moves.
    fn film(
        &mut self,
        view: &View<'_>,
        cells: &[Cell],
        messages: &mut Vec<Vec<u8>>,
    ) -> Result<(), VideoError> {
        let is_film = |cell: usize| cells[cell].film;
        let Some(needed) = Place::around(&view.grid, 0..view.grid.rows, is_film) else { return Ok(()) };
        let mut unit = Vec::new();
        if let Some(moving) = self.moving.as_mut().filter(|moving| moving.place.holds(&needed)) {
            for (column, row, cell) in moving.place.cells(view.grid) {
                if cells[cell].film && cells[cell].fresh {
                    moving.planes.take(column, row, &view.pixels(cell));
                }
            }
            moving.encoder.encode(&moving.planes, &mut unit)?;
            let runs = moving.place.runs(view.grid, is_film);
            let changed = runs != moving.cells;
            if changed {
                moving.cells = runs.clone();
            }
            put(&VideoMessage::Next { cells: changed.then_some(runs), unit: &unit }, messages);
            return Ok(());
        }
        // The old one's memory first.
        self.moving = None;
        let mut encoder = Encoder::new(needed.size(), Coding { qp: self.qp(), moving: true })?;
        let planes = needed.picture(view, is_film);
        encoder.encode(&planes, &mut unit)?;
        let runs = needed.runs(view.grid, is_film);
        start(needed, runs.clone(), &unit, messages);
        self.moving = Some(Moving { place: needed, encoder, planes, cells: runs });
        Ok(())
    }

    fn qp(&self) -> u8 {
        let (worst, best) = QP;
        (worst - (worst - best) * u32::from(self.quality.min(100)) / 100) as u8
    }
}

fn start(place: Place, cells: CellRuns, unit: &[u8], messages: &mut Vec<Vec<u8>>) {
    // Places lie within the encoder's limits, far below 2^16.
    let [x, y] = [place.left, place.top].map(|edge| (edge * SIDE) as u16);
    let (width, height) = place.size();
    put(&VideoMessage::Start { x, y, width: width as u16, height: height as u16, cells, unit }, messages);
}

fn put(message: &VideoMessage<'_>, messages: &mut Vec<Vec<u8>>) {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    messages.push(bytes);
}
