//! The decoder: applies packets to a picture.

mod blocks;
mod touched;

use crate::entropy::ResidualReader;
use crate::error::DecodeError;
use crate::geometry::{Area, Grid, Rect, TILE};
use crate::wire::{self, PacketKind, Streams, op, range, stream};
use touched::Touched;

/// Marks a pixel of a symbol through which the picture shows.
const CLEAR: u32 = u32::MAX;

/// A small drawing that the state remembers.
struct Symbol {
    w: usize,
    h: usize,
    pixels: Box<[u32]>,
}

/// Whether a picture can be built upon.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    None,
    Whole,
}

/// Keeps a picture and applies packets to it.
///
/// After an error the picture is undefined; the decoder then refuses deltas until the next anchor, or the next key
/// when the anchor state is intact (it is, unless the packet in error was an anchor).
///
/// Memory: two pictures of four bytes a pixel, at most as much again four times for saved tiles (never over 32 MiB), and at
/// most 32 MiB of symbols.
pub struct Decoder {
    grid: Grid,
    pixels: Vec<u32>,
    anchor: Vec<u32>,
    slots: Vec<Option<Box<[u32]>>>,
    symbols: Vec<Symbol>,
    /// Symbols that belong to the anchor state.
    anchor_symbols: usize,
    /// Where the next symbol is stored.
    next_symbol: usize,
    current: Trust,
    anchored: Trust,
    work: u64,
    touched: Touched,
    scratch: Box<blocks::Scratch>,
    residuals: ResidualReader,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder without a picture; it needs an anchor first.
    pub fn new() -> Self {
        Self {
            grid: Grid { width: 0, height: 0, cols: 0, rows: 0 },
            pixels: Vec::new(),
            anchor: Vec::new(),
            slots: Vec::new(),
            symbols: Vec::new(),
            anchor_symbols: 0,
            next_symbol: 0,
            current: Trust::None,
            anchored: Trust::None,
            work: 0,
            touched: Touched::default(),
            scratch: Box::default(),
            residuals: ResidualReader::default(),
        }
    }

    /// Width of the picture in pixels, 0 before the first anchor.
    pub fn width(&self) -> u32 {
        self.grid.width as u32
    }

    /// Height of the picture in pixels, 0 before the first anchor.
    pub fn height(&self) -> u32 {
        self.grid.height as u32
    }

    /// The picture by rows, each pixel 0x00RRGGBB. The highest byte is always 0.
    pub fn pixels(&self) -> &[u32] {
        &self.pixels
    }

    /// Applies a packet and returns where the picture may have changed: the whole picture after an anchor or a key, otherwise
    /// rectangles that do not overlap, at most one for each tile of 64x64.
    ///
    /// # Errors
    /// See [`DecodeError`]; the picture is undefined after one.
    pub fn decode(&mut self, packet: &[u8]) -> Result<&[Rect], DecodeError> {
        let before = std::mem::replace(&mut self.current, Trust::None);
        let head = wire::read_head(packet)?;
        if head.kind == PacketKind::Delta && before != Trust::Whole {
            return Err(DecodeError::Missing { kind: "delta", needs: "key or anchor" });
        }
        self.begin(head.kind, head.size, packet.len())?;
        let mut streams = head.streams;
        while streams.get(stream::OPS).len() > 0 {
            self.operation(&mut streams)?;
        }
        self.residuals.finish()?;
        streams.finish()?;
        self.current = Trust::Whole;
        if head.kind == PacketKind::Anchor {
            self.anchor.clear();
            self.anchor.extend_from_slice(&self.pixels);
            self.anchor_symbols = self.symbols.len();
            self.anchored = Trust::Whole;
        }
        if head.kind != PacketKind::Delta {
            self.touched.whole();
        }
        Ok(self.touched.finish(&self.grid))
    }

    /// Brings the state to where the packet's operations start.
    fn begin(&mut self, kind: PacketKind, size: Option<(u32, u32)>, bytes: usize) -> Result<(), DecodeError> {
        match kind {
            PacketKind::Anchor => {
                let (width, height) = size.unwrap_or_default();
                let (width, height) = (u64::from(width), u64::from(height));
                let refused = DecodeError::Size { width, height, bytes };
                let grid = Grid::new(width, height).ok_or_else(|| refused.clone())?;
                // Every tile of an anchor is drawn by some operation of two bytes or more, so that a few bytes cannot
                // claim a large picture.
                if bytes / 2 < grid.tiles() {
                    return Err(refused);
                }
                self.anchored = Trust::None;
                self.grid = grid;
                self.anchor.clear();
                self.pixels.clear();
                self.pixels.resize(grid.pixels(), 0);
                self.symbols.clear();
                self.anchor_symbols = 0;
            }
            PacketKind::Key => {
                if self.anchored != Trust::Whole {
                    return Err(DecodeError::Missing { kind: "key", needs: "anchor" });
                }
                self.pixels.copy_from_slice(&self.anchor);
                self.symbols.truncate(self.anchor_symbols);
            }
            PacketKind::Delta => {}
        }
        if kind != PacketKind::Delta {
            self.slots.clear();
            self.next_symbol = self.symbols.len();
        }
        self.work = wire::work_limit(&self.grid);
        self.touched.begin(&self.grid);
        self.residuals.begin();
        Ok(())
    }

    fn operation(&mut self, streams: &mut Streams<'_>) -> Result<(), DecodeError> {
        let code = streams.get(stream::OPS).byte()?;
        match code {
            op::COPY => return self.copy(streams),
            op::SYMBOLS => return self.draw_symbols(streams),
            _ => {}
        }
        if !(op::SAVE..=op::RESIDUAL_BOX).contains(&code) {
            return Err(DecodeError::Reserved { what: "operation", actual: u32::from(code) });
        }
        let tile = streams.tile(self.grid.tiles())?;
        let area = self.grid.area(tile);
        match code {
            op::SAVE => self.save(streams, area),
            op::LOAD => self.load(streams, area, area),
            op::LOAD_BOX => {
                let part = read_box(streams, area)?;
                self.load(streams, area, part)
            }
            op::ANCHOR => self.show_anchor(area),
            op::ANCHOR_BOX => {
                let part = read_box(streams, area)?;
                self.show_anchor(part)
            }
            op::FILL => self.fill(streams, area),
            op::PALETTE => self.palette(streams, area),
            op::PALETTE_BOX => {
                let part = read_box(streams, area)?;
                self.palette(streams, part)
            }
            op::RESIDUAL => self.residual(streams, area),
            _ => {
                let part = read_box(streams, area)?;
                self.residual(streams, part)
            }
        }
    }

    /// Counts pixels against the bound for one packet and notes them as changed.
    fn draws(&mut self, area: Area) -> Result<(), DecodeError> {
        self.spend((area.w * area.h) as u64)?;
        self.touched.mark(&self.grid, area);
        Ok(())
    }

    fn spend(&mut self, pixels: u64) -> Result<(), DecodeError> {
        self.work =
            self.work.checked_sub(pixels).ok_or(DecodeError::Work { limit: wire::work_limit(&self.grid) })?;
        Ok(())
    }

    fn row(&mut self, x: usize, y: usize, w: usize) -> &mut [u32] {
        let at = y * self.grid.width + x;
        &mut self.pixels[at..at + w]
    }

    fn copy(&mut self, streams: &mut Streams<'_>) -> Result<(), DecodeError> {
        let ops = streams.get(stream::OPS);
        let count = ops.varint()?;
        let mut moves = Vec::new();
        let mut total = 0u64;
        for _ in 0..count {
            let (x, y, w, h) = (ops.varint()?, ops.varint()?, ops.varint()?, ops.varint()?);
            let (dx, dy) = (ops.signed()?, ops.signed()?);
            let to = self.inside(i64::from(x), i64::from(y), w, h)?;
            let from = self.inside(i64::from(x) - i64::from(dx), i64::from(y) - i64::from(dy), w, h)?;
            total += (to.w * to.h) as u64;
            if total > self.grid.pixels() as u64 {
                return Err(DecodeError::Work { limit: self.grid.pixels() as u64 });
            }
            moves.push((from, to));
        }
        // All sources are read before any destination is written.
        let mut held = Vec::with_capacity(total as usize);
        for (from, _) in &moves {
            for y in from.y..from.y + from.h {
                held.extend_from_slice(self.row(from.x, y, from.w));
            }
        }
        let mut held = held.as_slice();
        for (_, to) in moves {
            self.draws(to)?;
            for y in to.y..to.y + to.h {
                let (row, rest) = held.split_at(to.w);
                self.row(to.x, y, to.w).copy_from_slice(row);
                held = rest;
            }
        }
        Ok(())
    }

    /// Checks that a rectangle lies inside the picture.
    fn inside(&self, x: i64, y: i64, w: u32, h: u32) -> Result<Area, DecodeError> {
        let fits = |at: i64, length: u32, side: usize| {
            let end = at + i64::from(length);
            if at >= 0 && length > 0 && end <= side as i64 {
                Ok((at as usize, length as usize))
            } else {
                Err(range("edge of a rectangle", end as u64, side as u64 + 1))
            }
        };
        let (x, w) = fits(x, w, self.grid.width)?;
        let (y, h) = fits(y, h, self.grid.height)?;
        Ok(Area { x, y, w, h })
    }

    fn slot_index(&self, streams: &mut Streams<'_>) -> Result<usize, DecodeError> {
        let (slot, limit) = (streams.get(stream::OPS).varint()?, wire::slots(&self.grid) as u64);
        if u64::from(slot) >= limit { Err(range("slot", slot.into(), limit)) } else { Ok(slot as usize) }
    }

    fn save(&mut self, streams: &mut Streams<'_>, area: Area) -> Result<(), DecodeError> {
        let slot = self.slot_index(streams)?;
        self.spend((area.w * area.h) as u64)?;
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        let mut kept = Vec::with_capacity(area.w * area.h);
        for y in area.y..area.y + area.h {
            kept.extend_from_slice(self.row(area.x, y, area.w));
        }
        self.slots[slot] = Some(kept.into_boxed_slice());
        Ok(())
    }

    fn load(&mut self, streams: &mut Streams<'_>, tile: Area, part: Area) -> Result<(), DecodeError> {
        let slot = self.slot_index(streams)?;
        self.draws(part)?;
        let width = self.grid.width;
        let kept = self.slots.get(slot).and_then(Option::as_deref).filter(|k| k.len() == tile.w * tile.h);
        let kept = kept.ok_or_else(|| range("empty or other sized slot", slot as u64, 0))?;
        for y in part.y..part.y + part.h {
            let from = (y - tile.y) * tile.w + part.x - tile.x;
            let at = y * width + part.x;
            self.pixels[at..at + part.w].copy_from_slice(&kept[from..from + part.w]);
        }
        Ok(())
    }

    fn show_anchor(&mut self, part: Area) -> Result<(), DecodeError> {
        self.draws(part)?;
        if self.anchor.len() != self.pixels.len() {
            return Err(DecodeError::Missing { kind: "anchor", needs: "anchor before its own end" });
        }
        for y in part.y..part.y + part.h {
            let at = y * self.grid.width + part.x;
            self.pixels[at..at + part.w].copy_from_slice(&self.anchor[at..at + part.w]);
        }
        Ok(())
    }

    fn fill(&mut self, streams: &mut Streams<'_>, area: Area) -> Result<(), DecodeError> {
        self.draws(area)?;
        let mut y = 0;
        while y < area.h {
            let rows = usize::from(streams.get(stream::FILL).byte()?);
            if rows == 0 || rows > area.h - y {
                return Err(range("rows of a fill", rows as u64, (area.h - y) as u64 + 1));
            }
            if let Some(colour) = streams.colour(stream::FILL)? {
                for row in y..y + rows {
                    self.row(area.x, area.y + row, area.w).fill(colour);
                }
            }
            y += rows;
        }
        Ok(())
    }

    fn draw_symbols(&mut self, streams: &mut Streams<'_>) -> Result<(), DecodeError> {
        let count = streams.get(stream::OPS).varint()?;
        let (mut right, mut bottom) = (0i64, 0i64);
        for _ in 0..count {
            let low = streams.get(stream::SYMBOL_LOW).byte()?;
            let high = streams.get(stream::SYMBOL_HIGH).byte()?;
            let code = usize::from(high) << 8 | usize::from(low);
            let step_x = i64::from(streams.get(stream::SYMBOL_X).signed()?);
            let step_y = i64::from(streams.get(stream::SYMBOL_Y).signed()?);
            let once;
            let symbol = match code {
                wire::SYMBOL_ONCE => {
                    once = read_symbol(streams)?;
                    &once
                }
                wire::SYMBOL_NEW => {
                    let symbol = read_symbol(streams)?;
                    let at = self.store(symbol)?;
                    &self.symbols[at]
                }
                code => {
                    let limit = self.symbols.len() as u64;
                    self.symbols.get(code - 1).ok_or_else(|| range("symbol", code as u64 - 1, limit))?
                }
            };
            let (x, y) = (right + step_x, bottom + step_y - symbol.h as i64);
            let area = self.inside(x, y, symbol.w as u32, symbol.h as u32)?;
            (right, bottom) = (x + area.w as i64, y + area.h as i64);
            let limit = wire::work_limit(&self.grid);
            self.work = self.work.checked_sub((area.w * area.h) as u64).ok_or(DecodeError::Work { limit })?;
            self.touched.mark(&self.grid, area);
            for (dy, from) in symbol.pixels.chunks_exact(area.w).enumerate() {
                let at = (area.y + dy) * self.grid.width + area.x;
                for (to, &p) in self.pixels[at..at + area.w].iter_mut().zip(from) {
                    if p != CLEAR {
                        *to = p;
                    }
                }
            }
        }
        Ok(())
    }

    /// Keeps a symbol in the next place; the places of the anchor's symbols are never used again.
    fn store(&mut self, symbol: Symbol) -> Result<usize, DecodeError> {
        let in_anchor = self.anchored != Trust::Whole;
        if in_anchor && self.next_symbol >= wire::ANCHOR_SYMBOLS {
            return Err(range(
                "symbols stored by an anchor",
                self.next_symbol as u64,
                wire::ANCHOR_SYMBOLS as u64,
            ));
        }
        if self.next_symbol >= wire::SYMBOLS {
            self.next_symbol = self.anchor_symbols;
        }
        let at = self.next_symbol;
        if at < self.symbols.len() {
            self.symbols[at] = symbol;
        } else {
            self.symbols.push(symbol);
        }
        self.next_symbol += 1;
        Ok(at)
    }
}

/// Reads a box inside of a tile.
fn read_box(streams: &mut Streams<'_>, tile: Area) -> Result<Area, DecodeError> {
    let b = streams.get(stream::OPS).take(4)?;
    let (x, y) = (usize::from(b[0]), usize::from(b[1]));
    let (w, h) = (usize::from(b[2]) + 1, usize::from(b[3]) + 1);
    if x + w > tile.w || y + h > tile.h {
        return Err(range("edge of a box", (x + w).max(y + h) as u64, TILE as u64 + 1));
    }
    Ok(Area { x: tile.x + x, y: tile.y + y, w, h })
}

fn read_symbol(streams: &mut Streams<'_>) -> Result<Symbol, DecodeError> {
    let size = streams.get(stream::SYMBOL_SIZE).take(2)?;
    let (w, h) = (usize::from(size[0]) + 1, usize::from(size[1]) + 1);
    if w > wire::SYMBOL_SIDE || h > wire::SYMBOL_SIDE || w * h > wire::SYMBOL_AREA {
        return Err(range("pixels of a symbol", (w * h) as u64, wire::SYMBOL_AREA as u64 + 1));
    }
    let mask = streams.get(stream::SYMBOL_MASK).take((w * h).div_ceil(8))?;
    let opaque = |i: usize| mask[i / 8] >> (i % 8) & 1 != 0;
    let n = (0..w * h).filter(|&i| opaque(i)).count();
    let green = streams.get(stream::SYMBOL_G).take(n)?;
    let red = streams.get(stream::SYMBOL_R).take(n)?;
    let blue = streams.get(stream::SYMBOL_B).take(n)?;
    let mut pixels = vec![CLEAR; w * h];
    let values = green.iter().zip(red).zip(blue);
    for (at, ((&g, &r), &b)) in (0..w * h).filter(|&i| opaque(i)).zip(values) {
        pixels[at] = blocks::join(g, r.wrapping_add(g), b.wrapping_add(g));
    }
    Ok(Symbol { w, h, pixels: pixels.into_boxed_slice() })
}
