//! Which part of a picture goes where: the agent's end of the lossy layer.

use crate::{
    VideoError,
    classify::is_photographic,
    grid::{Grid, Source},
    state::{State, widened},
    stream::Streams,
};
use playhead_screen::{PacketKind, Picture, Rect};

/// After this long without a change a film is taken as a photo, and coded better once.
const STILL_US: u64 = 1_000_000;

/// Keeps what is photographic apart from what is sharp.
///
/// For each picture: [`Self::split`], then encode [`Self::sharp`] losslessly, then [`Self::emit`] with what that became and put the
/// messages behind it.
///
/// Memory: two pictures of four bytes a pixel, and while something moves, what the video encoder needs.
pub struct Layer {
    seed: u64,
    streams: Streams,
    state: Option<State>,
}

impl Layer {
    /// Nothing seen yet. `seed` is random. `quality` is 0 to 100.
    pub fn new(seed: u64, quality: u8) -> Self {
        Self { seed, streams: Streams::new(quality), state: None }
    }

    /// Takes a picture; `damage` covers at least what changed since the last. With `anchor` it is looked at from the ground up.
    pub fn split(&mut self, at_us: u64, picture: &Picture<'_>, damage: &[Rect], anchor: bool) {
        let grid = Grid::new(picture.width, picture.height);
        let source = Source::new(picture);
        let whole = Rect { x: 0, y: 0, width: picture.width, height: picture.height };
        if self.state.as_ref().is_none_or(|state| state.grid != grid) {
            // The old pictures are given back before new ones are made.
            self.state = None;
            self.streams.end();
            self.state = Some(State::first(grid, &source));
        }
        let Some(state) = &mut self.state else { return };
        state.changed_pixels = 0;
        state.damage =
            if anchor { vec![whole] } else { damage.iter().map(|rect| widened(&grid, rect)).collect() };
        let everything = [whole];
        let changes = state.changes(&source, if anchor { &everything } else { damage });
        state.take(at_us, changes);
        if anchor {
            self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.begin_anew(&source, self.seed);
        }
    }

    /// The picture for the lossless codec; `None` before the first.
    pub fn sharp(&self) -> Option<Picture<'_>> {
        let State { grid, shown, .. } = self.state.as_ref()?;
        Some(Picture {
            width: grid.width as u32,
            height: grid.height as u32,
            stride: grid.width * 4,
            data: shown,
        })
    }

    /// Where that picture may have changed.
    pub fn damage(&self) -> &[Rect] {
        self.state.as_ref().map_or(&[], |state| &state.damage)
    }

    /// Pixels of the last picture that changed within the video.
    pub fn changed_pixels(&self) -> u64 {
        self.state.as_ref().map_or(0, |state| state.changed_pixels)
    }

    /// The messages that go with the packet that [`Self::sharp`] became; `None` when it became none, nothing being different.
    ///
    /// # Errors
    /// The encoder fails. Nothing may be shown from the video then: begin anew without this.
    pub fn emit(&mut self, kind: Option<PacketKind>) -> Result<Vec<Vec<u8>>, VideoError> {
        let Some(state) = &mut self.state else { return Ok(Vec::new()) };
        let view = crate::stream::View { grid: state.grid, key: state.key, plane: &state.plane };
        self.streams.emit(kind.unwrap_or(PacketKind::Delta), &view, &mut state.cells)
    }

    /// The messages of the last anchor, for where it is repeated.
    pub fn anchor_messages(&self) -> &[Vec<u8>] {
        self.streams.anchor_messages()
    }

    /// When [`Self::settle`] is due, media time; `None` while nothing moves.
    pub fn still_at(&self) -> Option<u64> {
        let moved_us = self.state.as_ref()?.moved_us?;
        Some(moved_us + STILL_US)
    }

    /// What moved stands still now. Goes on as after [`Self::split`]: with a delta.
    pub fn settle(&mut self) {
        let Some(state) = &mut self.state else { return };
        state.moved_us = None;
        state.changed_pixels = 0;
        state.damage.clear();
        for cell in 0..state.cells.len() {
            if !state.cells[cell].film {
                continue;
            }
            if is_photographic(&state.grid, &state.classes, cell) || state.is_amid_film(cell) {
                state.cells[cell].fresh = true;
            } else {
                state.leave(cell, None);
            }
        }
        self.streams.settle();
    }
}

#[cfg(test)]
#[path = "layer_tests.rs"]
mod tests;
