//! What of a packet has to be known to take its residuals out: where the boxes are.

use crate::film;
use crate::geometry::{Area, Grid};
use crate::predict;
use crate::wire::{self, Cursor, op};

/// A box whose residuals stand in a packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub(super) area: Area,
    /// What its planes are.
    pub(super) mode: u8,
    /// The class of each plane.
    pub(super) classes: [u8; 3],
    /// The predictor of each.
    pub(super) predictors: [u8; 3],
}

impl Block {
    pub(super) fn pixels(&self) -> usize {
        self.area.w * self.area.h
    }

    /// Whether its planes are differences from what was there.
    pub(super) fn is_over(&self) -> bool {
        self.mode & wire::mode::OVER != 0
    }

    /// What its planes would be without.
    pub(super) fn kind(&self) -> u8 {
        self.mode & !wire::mode::OVER
    }
}

/// Goes through the operations; `None` when there is something that this does not know or that does not hold together.
pub(super) fn blocks(ops: &[u8], grid: &Grid) -> Option<Vec<Block>> {
    let mut rest = Cursor::new(ops);
    let (mut blocks, mut tile) = (Vec::new(), 0i64);
    while rest.len() > 0 {
        let code = rest.byte().ok()?;
        match code {
            op::COPY => {
                for _ in 0..rest.varint().ok()? {
                    for _ in 0..6 {
                        rest.varint().ok()?;
                    }
                }
                continue;
            }
            op::SYMBOLS => {
                rest.varint().ok()?;
                continue;
            }
            _ => {}
        }
        tile += i64::from(rest.signed().ok()?);
        let whole =
            usize::try_from(tile).ok().filter(|tile| *tile < grid.tiles()).map(|tile| grid.area(tile))?;
        match code {
            op::SAVE | op::LOAD => {
                rest.varint().ok()?;
            }
            op::LOAD_BOX => {
                rest.take(4).ok()?;
                rest.varint().ok()?;
            }
            op::ANCHOR_BOX | op::PALETTE_BOX => {
                rest.take(4).ok()?;
            }
            op::ANCHOR | op::FILL | op::PALETTE => {}
            op::RESIDUAL => blocks.push(block(&mut rest, whole)?),
            op::RESIDUAL_BOX => {
                let &[x, y, w, h] = rest.take(4).ok()? else { return None };
                let (x, y, w, h) = (usize::from(x), usize::from(y), usize::from(w) + 1, usize::from(h) + 1);
                if x + w > whole.w || y + h > whole.h {
                    return None;
                }
                blocks.push(block(&mut rest, Area { x: whole.x + x, y: whole.y + y, w, h })?);
            }
            _ => return None,
        }
    }
    Some(blocks)
}

fn block(rest: &mut Cursor<'_>, area: Area) -> Option<Block> {
    let &[mode, a, b, c] = rest.take(4).ok()? else { return None };
    let matrix = mode >> wire::mode::MATRIX;
    if matrix > film::MATRICES || (matrix > 0 && mode & wire::mode::APART != 0) {
        return None;
    }
    if matrix > 0 {
        rest.varint().ok()?;
    }
    let (mut classes, mut predictors) = ([0; 3], [0; 3]);
    for ((choice, class), predictor) in [a, b, c].into_iter().zip(&mut classes).zip(&mut predictors) {
        (*class, *predictor) = predict::class_and_predictor(choice)?;
    }
    Some(Block { area, mode, classes, predictors })
}
