//! What is known of a picture's cells, and the two pictures that it is split into.

use crate::{
    classify::{Class, is_photographic},
    grid::{Area, COLOUR, Grid, SIDE, Source},
    moves::{Before, Origin, origins},
    planes::CELL_PIXELS,
};
use playhead_screen::{Picture, Rect};

/// Fewer photographic cells than this at once are no photo: 40 x 40 pixels or so.
const LEAST_CELLS: usize = 24;
/// Changes further apart than this are not those of a film.
const FILM_GAP_US: u64 = 500_000;
/// What is photographic and new for so many pictures in a row is a film. A photo appears once: it stays lossless until the next
/// anchor, for it may be scrolled away soon.
const NEW_STREAK: u8 = 2;
/// A cell of a film's next picture differs in at least so many pixels.
const FILM_PIXELS: usize = CELL_PIXELS * 3 / 4;
/// Beside a film, what changes so often in a row belongs to it.
const FILM_STREAK: u8 = 3;
/// In a film, what looks like text in so many pictures in a row does not belong to it.
const SHARP_STREAK: u8 = 2;

/// Part of a cell, in pixels from its left top corner; right and bottom are exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Extent {
    left: u8,
    top: u8,
    right: u8,
    bottom: u8,
}

impl Extent {
    const WHOLE: Self = Self { left: 0, top: 0, right: SIDE as u8, bottom: SIDE as u8 };

    fn holds(&self, x: usize, y: usize) -> bool {
        let within = |at: usize, from: u8, to: u8| (usize::from(from)..usize::from(to)).contains(&at);
        within(x, self.left, self.right) && within(y, self.top, self.bottom)
    }

    fn join(self, other: Self) -> Self {
        if self == Self::default() {
            return other;
        }
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }
}

/// How much of a cell is shown from the video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Keyed {
    #[default]
    Nothing,
    Some,
    All,
}

/// What is known of a cell.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cell {
    keyed: Keyed,
    /// The part of the video's picture that may be shown here; nothing while the video has nothing here.
    extent: Extent,
    /// In the stream that is under way.
    pub(crate) film: bool,
    /// Its content for the video changed since it was coded.
    pub(crate) fresh: bool,
    /// The video has something else here than at the anchor.
    pub(crate) since_anchor: bool,
    /// Changes in a row.
    streak: u8,
    /// Of these, the last ones to something photographic.
    photos: u8,
    /// In a film, the last ones to something that looks like text.
    sharp: u8,
    changed_us: u64,
}

impl Cell {
    /// Whether the video has something here that may be shown.
    pub(crate) fn is_in_video(&self) -> bool {
        self.extent != Extent::default()
    }

    /// Whether any of it is shown from the video.
    pub(crate) fn is_keyed(&self) -> bool {
        self.keyed != Keyed::Nothing
    }

    /// The video has nothing here any more. Only where nothing of it is shown.
    pub(crate) fn forget(&mut self) {
        debug_assert!(!self.is_keyed(), "what is shown must be there");
        (self.extent, self.film, self.fresh) = (Extent::default(), false, false);
    }
}

/// What belongs to one picture size.
pub(crate) struct State {
    pub(crate) grid: Grid,
    /// The colour that stands for "see the video".
    pub(crate) key: u32,
    /// The picture for the lossless codec.
    pub(crate) shown: Vec<u8>,
    /// The original pixels of what the video has.
    pub(crate) plane: Vec<u8>,
    pub(crate) cells: Vec<Cell>,
    pub(crate) classes: Vec<Class>,
    /// Where the lossless picture may have changed.
    pub(crate) damage: Vec<Rect>,
    /// When a film cell changed last.
    pub(crate) moved_us: Option<u64>,
    /// Pixels that changed within the video.
    pub(crate) changed_pixels: u64,
}

/// What changed in one picture.
pub(crate) struct Change {
    cell: usize,
    pixels: [u32; CELL_PIXELS],
    part: Extent,
    /// How many pixels differ.
    differing: usize,
}

impl State {
    pub(crate) fn first(grid: Grid, source: &Source<'_>) -> Self {
        let mut shown = Vec::with_capacity(grid.width * grid.height * 4);
        (0..grid.height).for_each(|y| shown.extend_from_slice(source.row(y, 0, grid.width)));
        Self {
            grid,
            key: 0,
            plane: vec![0; shown.len()],
            shown,
            cells: vec![Cell::default(); grid.cells()],
            classes: vec![Class::default(); grid.cells()],
            damage: Vec::new(),
            moved_us: None,
            changed_pixels: 0,
        }
    }

    // --- finding what changed

    pub(crate) fn changes(&self, source: &Source<'_>, damage: &[Rect]) -> Vec<Change> {
        let mut touched = vec![false; self.grid.cells()];
        for rect in damage {
            let (columns, rows) = self.grid.touched(rect);
            for row in rows {
                let start = row * self.grid.columns;
                touched[start + columns.start..start + columns.end].fill(true);
            }
        }
        let mut changes = Vec::new();
        for row in 0..self.grid.rows {
            let (mut cell, end) = (row * self.grid.columns, (row + 1) * self.grid.columns);
            while cell < end {
                if !touched[cell] {
                    cell += 1;
                    continue;
                }
                // Neighbours of the same kind are compared in one go, which is quickest where nothing changed.
                let (first, keyed) = (cell, self.cells[cell].keyed);
                while cell < end && touched[cell] && self.cells[cell].keyed == keyed {
                    cell += 1;
                }
                self.compare(source, first..cell, keyed, &mut changes);
            }
        }
        changes
    }

    fn compare(
        &self,
        source: &Source<'_>,
        cells: std::ops::Range<usize>,
        keyed: Keyed,
        changes: &mut Vec<Change>,
    ) {
        let (first, last) = (self.grid.area(cells.start), self.grid.area(cells.end - 1));
        let before = match keyed {
            Keyed::Nothing => Some(&self.shown),
            Keyed::All => Some(&self.plane),
            Keyed::Some => None,
        };
        let is_same = |y: usize, before: &[u8]| {
            let at = (y * self.grid.width) * 4;
            same_colours(
                source.row(y, first.left, last.right),
                &before[at + first.left * 4..at + last.right * 4],
            )
        };
        if before.is_some_and(|before| (first.top..first.bottom).all(|y| is_same(y, before))) {
            return;
        }
        for cell in cells {
            let pixels = source.cell(self.grid.area(cell));
            let before = self.cell_before(cell);
            if let Some(part) = difference(&pixels, &before) {
                let differing = pixels.iter().zip(&before).filter(|(now, before)| now != before).count();
                changes.push(Change { cell, pixels, part, differing });
            }
        }
    }

    /// What a cell showed.
    fn cell_before(&self, cell: usize) -> [u32; CELL_PIXELS] {
        match self.cells[cell].keyed {
            Keyed::Nothing => self.read(&self.shown, cell),
            Keyed::All => self.read(&self.plane, cell),
            Keyed::Some => {
                let (shown, video) = (self.read(&self.shown, cell), self.read(&self.plane, cell));
                std::array::from_fn(|at| if shown[at] == self.key { video[at] } else { shown[at] })
            }
        }
    }

    fn read(&self, data: &[u8], cell: usize) -> [u32; CELL_PIXELS] {
        let (width, height) = (self.grid.width as u32, self.grid.height as u32);
        let picture = Picture { width, height, stride: self.grid.width * 4, data };
        Source::new(&picture).cell(self.grid.area(cell))
    }

    // --- deciding what goes where

    pub(crate) fn take(&mut self, at_us: u64, changes: Vec<Change>) {
        for Change { cell, pixels, differing, .. } in &changes {
            let class = Class::of(pixels);
            self.classes[*cell] = class;
            let cell = &mut self.cells[*cell];
            let goes_on = at_us.saturating_sub(cell.changed_us) <= FILM_GAP_US;
            cell.streak = if goes_on { cell.streak.saturating_add(1) } else { 1 };
            // What comes out from behind a window does so bit by bit; a film's next picture differs nearly everywhere.
            let is_photo = matches!(class, Class::Photo | Class::Soft) && *differing >= FILM_PIXELS;
            cell.photos = if is_photo { if goes_on { cell.photos.saturating_add(1) } else { 1 } } else { 0 };
            cell.changed_us = at_us;
        }
        let mut in_video: Vec<bool> = changes.iter().map(|change| self.stays_film(change.cell)).collect();
        let mut is_film: Vec<bool> = self.cells.iter().map(|cell| cell.film).collect();
        for change in self.newly_photographic(&changes, &in_video) {
            in_video[change] = true;
            is_film[changes[change].cell] = true;
        }
        // What flickers along a film's edge is its edge.
        for (change, in_video) in changes.iter().zip(&mut in_video) {
            let is_edge = || self.grid.around(change.cell).filter(|&other| is_film[other]).count() >= 2;
            *in_video |=
                self.cells[change.cell].streak >= FILM_STREAK && self.is_reachable(change.cell) && is_edge();
        }
        for (change, in_video) in changes.into_iter().zip(in_video) {
            if in_video {
                self.enter(&change);
                self.moved_us = Some(at_us);
            } else {
                self.draw(&change);
            }
        }
    }

    /// Whether a cell of a film that changed remains one.
    fn stays_film(&mut self, cell: usize) -> bool {
        if !self.cells[cell].film {
            return false;
        }
        let is_text = matches!(self.classes[cell], Class::Sharp | Class::Plain) && !self.is_amid_film(cell);
        let state = &mut self.cells[cell];
        state.sharp = if is_text { state.sharp + 1 } else { 0 };
        if state.sharp >= SHARP_STREAK {
            state.sharp = 0;
            state.film = false;
        }
        state.film
    }

    /// Which changes are photographic and were nowhere before, or were in the video at another place.
    fn newly_photographic(&self, changes: &[Change], in_video: &[bool]) -> Vec<usize> {
        let is_candidate = |number: &usize| {
            let Change { cell, pixels, .. } = &changes[*number];
            !in_video[*number]
                && self.is_reachable(*cell)
                && is_photographic(&self.grid, &self.classes, *cell)
                && !self.is_there(*cell, pixels)
        };
        let candidates: Vec<usize> = (0..changes.len()).filter(is_candidate).collect();
        let beside_film = |number: &&usize| self.films_around(changes[**number].cell) >= 3;
        if candidates.len() < LEAST_CELLS {
            return candidates.iter().filter(beside_film).copied().collect();
        }
        let cells: Vec<_> =
            candidates.iter().map(|&number| (changes[number].cell, changes[number].pixels)).collect();
        let origins = origins(&self.grid, self, &cells);
        // While something scrolls, what comes in at its edge will scroll on with it. What moved out of the video is drawn losslessly
        // once, and then moves for nothing.
        let moved = origins.iter().filter(|&&origin| origin != Origin::New).count();
        let scrolls = moved * 16 >= cells.len();
        let chosen = candidates.iter().zip(origins).filter(|(number, origin)| {
            let cell = &self.cells[changes[**number].cell];
            let goes_on = cell.is_keyed() && cell.since_anchor || cell.photos >= NEW_STREAK;
            *origin == Origin::New && (!scrolls && goes_on || beside_film(number))
        });
        chosen.map(|(&number, _)| number).collect()
    }

    /// Whether the video has most of it already: something that was in front went away.
    fn is_there(&self, cell: usize, pixels: &[u32; CELL_PIXELS]) -> bool {
        if !self.cells[cell].is_in_video() {
            return false;
        }
        let video = self.read(&self.plane, cell);
        pixels.iter().zip(video).filter(|(one, other)| **one == *other).count() * 2 > CELL_PIXELS
    }

    fn films_around(&self, cell: usize) -> usize {
        self.grid.around(cell).filter(|&other| self.cells[other].film).count()
    }

    pub(crate) fn is_amid_film(&self, cell: usize) -> bool {
        self.films_around(cell) >= 5
    }

    /// The video's picture has its limits; what lies beyond stays lossless.
    fn is_reachable(&self, cell: usize) -> bool {
        let (width, height) = crate::h264::MOST_SIDES;
        let area = self.grid.area(cell);
        area.left < width && area.top < height
    }

    // --- drawing

    /// A cell is coded as video.
    fn enter(&mut self, change: &Change) {
        let Change { cell, pixels, part, .. } = change;
        let (area, was_film) = (self.grid.area(*cell), self.cells[*cell].film);
        self.put(Plane::Video, area, pixels);
        let state = &mut self.cells[*cell];
        // Only what is shown from the video already goes on being shown from it: beside it there may be letters.
        state.extent = if state.keyed == Keyed::All || was_film { state.extent.join(*part) } else { *part };
        (state.film, state.fresh, state.since_anchor) = (true, true, true);
        self.changed_pixels += u64::from(part.right - part.left) * u64::from(part.bottom - part.top);
        self.key_in(*cell, pixels);
    }

    /// Shows a cell's part of the video, and its pixels around it.
    fn key_in(&mut self, cell: usize, pixels: &[u32; CELL_PIXELS]) {
        let (area, extent) = (self.grid.area(cell), self.cells[cell].extent);
        let key = self.key;
        let keyed =
            std::array::from_fn(|at| if extent.holds(at % SIDE, at / SIDE) { key } else { pixels[at] });
        // A pixel that has the key's colour by chance would show the video: then all of the cell does.
        let by_chance = |at: usize| !extent.holds(at % SIDE, at / SIDE) && pixels[at] == key;
        if (0..CELL_PIXELS).any(by_chance) {
            self.cells[cell].extent = Extent::WHOLE;
            self.put(Plane::Shown, area, &[key; CELL_PIXELS]);
            self.cells[cell].keyed = Keyed::All;
            return;
        }
        self.put(Plane::Shown, area, &keyed);
        let is_all = extent.left == 0
            && extent.top == 0
            && usize::from(extent.right) >= area.right - area.left
            && usize::from(extent.bottom) >= area.bottom - area.top;
        self.cells[cell].keyed = if is_all { Keyed::All } else { Keyed::Some };
    }

    /// A cell is coded losslessly, but for what the video has just like it.
    fn draw(&mut self, change: &Change) {
        let Change { cell, pixels, .. } = change;
        let (area, state) = (self.grid.area(*cell), self.cells[*cell]);
        if !state.is_in_video() {
            return self.leave(*cell, Some(pixels));
        }
        let (key, mut keyed, mut inside, mut all) = (self.key, *pixels, 0, 0);
        for y in area.top..area.bottom {
            for x in area.left..area.right {
                let (column, row) = (x - area.left, y - area.top);
                let at = row * SIDE + column;
                let same = state.extent.holds(column, row) && self.video_pixel(x, y) == pixels[at];
                if !same && pixels[at] == key {
                    return self.leave(*cell, Some(pixels));
                }
                if same {
                    keyed[at] = key;
                    inside += 1;
                }
                all += 1;
            }
        }
        self.put(Plane::Shown, area, &keyed);
        let state = &mut self.cells[*cell];
        state.film = false;
        state.keyed = match inside {
            0 => Keyed::Nothing,
            inside if inside == all => Keyed::All,
            _ => Keyed::Some,
        };
    }

    /// Nothing of a cell is shown from the video any more. Without pixels it shows losslessly what it shows.
    pub(crate) fn leave(&mut self, cell: usize, pixels: Option<&[u32; CELL_PIXELS]>) {
        let area = self.grid.area(cell);
        let own = match pixels {
            Some(pixels) => *pixels,
            None => self.cell_before(cell),
        };
        if pixels.is_none() {
            self.damage.push(self.grid.rect(cell));
        }
        self.put(Plane::Shown, area, &own);
        self.cells[cell].keyed = Keyed::Nothing;
        self.cells[cell].forget();
    }

    /// Looks at the whole picture anew: what is photographic goes into the video, the rest out of it.
    pub(crate) fn begin_anew(&mut self, source: &Source<'_>, seed: u64) {
        for cell in 0..self.cells.len() {
            self.classes[cell] = Class::of(&source.cell(self.grid.area(cell)));
        }
        let photos = self.photos();
        self.key = self.absent_colour(source, seed);
        for (cell, is_photo) in photos.into_iter().enumerate() {
            let pixels = source.cell(self.grid.area(cell));
            if self.cells[cell].film {
                self.key_in(cell, &pixels);
            } else if is_photo {
                self.put(Plane::Video, self.grid.area(cell), &pixels);
                self.cells[cell].extent = Extent::WHOLE;
                self.key_in(cell, &pixels);
            } else {
                self.leave(cell, Some(&pixels));
            }
        }
    }

    /// Cells of photos large enough to be worth it. Small ones, icons for example, stay sharp.
    fn photos(&self) -> Vec<bool> {
        let is_photo =
            |cell: usize| self.is_reachable(cell) && is_photographic(&self.grid, &self.classes, cell);
        let mut found: Vec<bool> = (0..self.cells.len()).map(is_photo).collect();
        let (mut seen, mut group) = (vec![false; found.len()], Vec::new());
        for cell in 0..found.len() {
            if !found[cell] || seen[cell] {
                continue;
            }
            group.clear();
            group.push(cell);
            seen[cell] = true;
            let mut at = 0;
            while let Some(&next) = group.get(at) {
                at += 1;
                for other in self.grid.around(next) {
                    if found[other] && !seen[other] {
                        seen[other] = true;
                        group.push(other);
                    }
                }
            }
            if group.len() < LEAST_CELLS * 2 {
                group.iter().for_each(|&cell| found[cell] = false);
            }
        }
        found
    }

    /// A colour that the picture does not have; nearly so if it has them all.
    fn absent_colour(&self, source: &Source<'_>, seed: u64) -> u32 {
        let candidate = |number: u64| {
            let mixed = seed.wrapping_add(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (mixed >> 33) as u32 & COLOUR
        };
        let is_absent = |colour: u32| {
            (0..self.grid.height).all(|y| {
                let (row, _) = source.row(y, 0, self.grid.width).as_chunks::<4>();
                row.iter().all(|&pixel| u32::from_le_bytes(pixel) & COLOUR != colour)
            })
        };
        (0..16).map(candidate).find(|&colour| is_absent(colour)).unwrap_or_else(|| candidate(0))
    }

    fn put(&mut self, plane: Plane, area: Area, pixels: &[u32; CELL_PIXELS]) {
        let target = match plane {
            Plane::Shown => &mut self.shown,
            Plane::Video => &mut self.plane,
        };
        for y in area.top..area.bottom {
            let at = (y * self.grid.width + area.left) * 4;
            let (row, _) = target[at..at + (area.right - area.left) * 4].as_chunks_mut::<4>();
            for (column, to) in row.iter_mut().enumerate() {
                *to = pixels[(y - area.top) * SIDE + column].to_le_bytes();
            }
        }
    }

    fn video_pixel(&self, x: usize, y: usize) -> u32 {
        let at = (y * self.grid.width + x) * 4;
        u32::from_le_bytes([self.plane[at], self.plane[at + 1], self.plane[at + 2], 0])
    }
}

/// One of the two pictures.
#[derive(Clone, Copy)]
enum Plane {
    Shown,
    Video,
}

impl Before for State {
    fn pixel(&self, x: usize, y: usize) -> u32 {
        let at = (y * self.grid.width + x) * 4;
        let shown = u32::from_le_bytes([self.shown[at], self.shown[at + 1], self.shown[at + 2], 0]);
        let is_video = shown == self.key && self.cells[y / SIDE * self.grid.columns + x / SIDE].is_keyed();
        if is_video { self.video_pixel(x, y) } else { shown }
    }
}

/// The part of a cell that differs.
fn difference(now: &[u32; CELL_PIXELS], before: &[u32; CELL_PIXELS]) -> Option<Extent> {
    let mut part = Extent::default();
    for (y, (now, before)) in now.chunks_exact(SIDE).zip(before.chunks_exact(SIDE)).enumerate() {
        if now == before {
            continue;
        }
        let differs = |&x: &usize| now[x] != before[x];
        let (Some(left), Some(right)) = ((0..SIDE).find(differs), (0..SIDE).rfind(differs)) else { continue };
        let y = y as u8;
        part = part.join(Extent { left: left as u8, top: y, right: right as u8 + 1, bottom: y + 1 });
    }
    (part != Extent::default()).then_some(part)
}

/// Whether rows of pixels are alike in all that counts.
fn same_colours(one: &[u8], other: &[u8]) -> bool {
    let ((one, _), (other, _)) = (one.as_chunks::<4>(), other.as_chunks::<4>());
    let differing = |(one, other): (&[[u8; 4]], &[[u8; 4]])| {
        let pairs = one.iter().zip(other);
        pairs.fold(0, |sum, (&one, &other)| sum | (u32::from_le_bytes(one) ^ u32::from_le_bytes(other)))
            & COLOUR
    };
    // In stretches, so that a difference ends it early and yet many pixels are compared at a time.
    one.chunks(256).zip(other.chunks(256)).all(|stretches| differing(stretches) == 0)
}

/// A rectangle with the rest of the cells that it touches.
pub(crate) fn widened(grid: &Grid, rect: &Rect) -> Rect {
    let (columns, rows) = grid.touched(rect);
    let (right, bottom) = ((columns.end * SIDE).min(grid.width), (rows.end * SIDE).min(grid.height));
    let (x, y) = (columns.start * SIDE, rows.start * SIDE);
    let size = |from: usize, to: usize| to.saturating_sub(from) as u32;
    Rect { x: x as u32, y: y as u32, width: size(x, right), height: size(y, bottom) }
}
