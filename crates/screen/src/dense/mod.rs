//! Packets of sealed recordings, kept in fewer bytes.
//!
//! Nearly all bytes of photographs and films are coded residuals, made fast by an agent that has little time. Here they are taken out of
//! the packets of one fragment and coded again with better expectations and adaptive probabilities, and put back so that every byte is as
//! it was. What cannot be taken out and put back exactly stays in the packet. `docs/dense.md` describes the bytes.

mod coder;
mod filters;
mod history;
mod packet;
mod planes;

use crate::entropy::ResidualReader;
use crate::entropy::rewrite::{self, Chunk, Part};
use crate::error::DecodeError;
use crate::geometry::Grid;
use crate::predict;
use crate::wire::{self, Cursor, put_varint, range, stream};
use coder::{BitReader, BitWriter};
use filters::Filters;
use history::History;
use packet::Block;
use planes::{Place, PlaneCoder, Planes};

/// Most residuals that are taken out of one packet: a picture of ten million pixels.
const MOST: usize = 32 << 20;
/// Fewer coded bytes than this stay in their packet.
const LEAST: usize = 64;
/// The streams that are taken out.
const TAKEN: [usize; 3] = [stream::TABLES, stream::CODED, stream::PLAIN];

/// Takes the residuals out of the packets of one fragment.
pub struct DensePacker {
    grid: Option<Grid>,
    history: Option<History>,
    planes: Option<PlaneCoder>,
    coder: BitWriter,
    /// Residuals that may still be taken out.
    left: u64,
}

impl DensePacker {
    /// For a fragment whose pictures have this size, in pixels; at most `most` residuals are taken out of it. A size that is not allowed
    /// makes every packet stay as it is.
    pub fn new(width: u32, height: u32, most: u64) -> Self {
        let grid = Grid::new(width.into(), height.into());
        Self { grid, history: None, planes: None, coder: BitWriter::new(), left: most }
    }

    /// Appends a packet without its residuals to `out` and keeps these for [`Self::finish`]. Returns `false`, and does nothing, when the
    /// packet stays as it is: it has few residuals, or they would not come back byte for byte.
    pub fn pack(&mut self, packet: &[u8], out: &mut Vec<u8>) -> bool {
        self.try_pack(packet, out).is_some()
    }

    /// Ends the fragment: its residuals.
    pub fn finish(self) -> Vec<u8> {
        self.coder.finish()
    }

    fn try_pack(&mut self, packet: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let grid = self.grid?;
        let taken = Taken::out_of(packet, &grid)?;
        self.left = self.left.checked_sub(taken.residuals.len() as u64)?;
        let history = self.history.get_or_insert_with(|| History::new(grid));
        let coder = self.planes.get_or_insert_with(PlaneCoder::new);
        let mut boxes = Vec::with_capacity(taken.blocks.len());
        let mut start = (0, 0);
        let mut rest = taken.residuals.as_slice();
        for block in &taken.blocks {
            let (of_block, after) = rest.split_at(block.pixels() * 3);
            rest = after;
            let mut planes = values(block, of_block);
            let mut place = place(block, history);
            if block.is_over() && !place.relative {
                history.rebase(block.area, &mut planes, true);
            }
            if let Some(moved) = &mut place.moved {
                *moved = history.search(block.area, &planes, start);
                start = *moved;
            }
            boxes.push((place, planes));
        }
        let filters = Filters::find(coder, &boxes, history);

        out.extend_from_slice(taken.stays);
        taken.streams.iter().for_each(|stream| out.extend_from_slice(stream));
        put_varint(out, taken.chunks.len() as u32);
        for chunk in &taken.chunks {
            out.push(chunk.mode);
            put_varint(out, chunk.count as u32);
            out.push(u8::from(chunk.tables.is_some()));
            out.extend_from_slice(chunk.tables.unwrap_or_default());
        }
        filters.write(out);
        let moved = || boxes.iter().filter_map(|(place, _)| place.moved);
        out.extend(moved().map(|moved| moved.0 as u8));
        out.extend(moved().map(|moved| moved.1 as u8));
        for ((place, planes), of_block) in boxes.iter_mut().zip(&filters.of_box) {
            coder.code(&mut self.coder, place, filters.get(*of_block), planes, history);
        }
        remember(history, &taken.blocks, &boxes);
        Some(())
    }
}

/// Puts the residuals back into the packets of one fragment.
pub struct DenseUnpacker<'a> {
    grid: Option<Grid>,
    history: Option<History>,
    planes: Option<PlaneCoder>,
    coder: BitReader<'a>,
    /// Residuals that may still be made, so that few bytes cannot ask for work without end.
    left: u64,
}

impl<'a> DenseUnpacker<'a> {
    /// For a fragment whose pictures have this size, from what [`DensePacker::finish`] returned. At most `most` residuals are made.
    pub fn new(width: u32, height: u32, residuals: &'a [u8], most: u64) -> Self {
        let grid = Grid::new(width.into(), height.into());
        Self { grid, history: None, planes: None, coder: BitReader::new(residuals), left: most }
    }

    /// Takes what [`DensePacker::pack`] made of a packet of `length` bytes from the front of `input` and appends the packet to `out`.
    ///
    /// # Errors
    /// What is no such thing. Whether the packet is the one that was packed, only its fragment's hash tells.
    pub fn unpack(&mut self, input: &mut &[u8], length: usize, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let grid = self.grid.ok_or_else(|| range("width of a picture without one", 0, 1))?;
        let head = wire::read_lengths(input)?;
        let stays_all: usize =
            (0..stream::COUNT).filter(|i| !TAKEN.contains(i)).map(|i| head.lengths[i]).sum();
        let all = head.lengths.iter().sum::<usize>().saturating_add(head.bytes);
        if all != length {
            return Err(range("length of a packet", all as u64, length as u64 + 1));
        }
        let mut rest = Cursor::new(input);
        let stays = rest.take(head.bytes)?;
        let kept = rest.take(stays_all)?;
        let ops = &kept[..head.lengths[stream::OPS]];
        let blocks =
            packet::blocks(ops, &grid).ok_or(DecodeError::Reserved { what: "operation", actual: 0 })?;
        let count = blocks.iter().map(|block| block.pixels() * 3).sum::<usize>();
        self.left =
            self.left.checked_sub(count as u64).filter(|_| count <= MOST).ok_or_else(|| {
                range("residuals of a fragment", count as u64, self.left.min(MOST as u64) + 1)
            })?;
        // A box has at most two symbols for each of its residuals.
        let chunks = read_chunks(&mut rest, count * 2)?;
        let history = self.history.get_or_insert_with(|| History::new(grid));
        let coder = self.planes.get_or_insert_with(PlaneCoder::new);
        let filters = Filters::read(&mut rest, blocks.len())?;
        let mut places: Vec<Place> = blocks.iter().map(|block| place(block, history)).collect();
        let moving = places.iter().filter(|place| place.moved.is_some()).count();
        let (dx, dy) = (rest.take(moving)?, rest.take(moving)?);
        let moves = dx.iter().zip(dy).map(|(&dx, &dy)| (dx as i8, dy as i8));
        for (moved, by) in places.iter_mut().filter_map(|place| place.moved.as_mut()).zip(moves) {
            if !History::is_near(by) {
                return Err(range("move", u64::from(by.0.unsigned_abs().max(by.1.unsigned_abs())), 16));
            }
            *moved = by;
        }
        *input = rest.rest();

        let mut residuals = Vec::with_capacity(count);
        let mut boxes = Vec::with_capacity(blocks.len());
        for ((block, place), of_block) in blocks.iter().zip(places).zip(&filters.of_box) {
            let mut planes = planes::empty(block.area);
            coder.code(&mut self.coder, &place, filters.get(*of_block), &mut planes, history);
            put_residuals(block, &place, &planes, history, &mut residuals);
            boxes.push((place, planes));
        }
        remember(history, &blocks, &boxes);
        let written = rewrite::write(&residuals, &parts(&blocks), &chunks)?;
        let lengths = [written.tables.len(), written.coded.len(), written.plain.len()];
        for (stream, length) in TAKEN.into_iter().zip(lengths) {
            if head.lengths[stream] != length {
                return Err(range("length of residuals", length as u64, head.lengths[stream] as u64 + 1));
            }
        }
        out.extend_from_slice(stays);
        let mut kept = kept;
        for (stream, length) in head.lengths.into_iter().enumerate() {
            match stream {
                stream::TABLES => out.extend_from_slice(&written.tables),
                stream::CODED => out.extend_from_slice(&written.coded),
                stream::PLAIN => out.extend_from_slice(&written.plain),
                _ => {
                    let (of_stream, after) = kept.split_at(length);
                    out.extend_from_slice(of_stream);
                    kept = after;
                }
            }
        }
        Ok(())
    }
}

/// A packet in parts.
struct Taken<'a> {
    /// Everything before the streams.
    stays: &'a [u8],
    /// The streams that stay.
    streams: Vec<&'a [u8]>,
    blocks: Vec<Block>,
    residuals: Vec<u8>,
    chunks: Vec<Chunk<'a>>,
}

impl<'a> Taken<'a> {
    /// Takes the residuals out if they come back as they were.
    fn out_of(packet: &'a [u8], grid: &Grid) -> Option<Self> {
        let mut head = wire::read_head(packet).ok()?;
        if head.size.is_some_and(|size| size != (grid.width as u32, grid.height as u32)) {
            return None;
        }
        let all: [&[u8]; stream::COUNT] = std::array::from_fn(|i| head.streams.get(i).rest());
        if TAKEN.iter().map(|&i| all[i].len()).sum::<usize>() < LEAST {
            return None;
        }
        let blocks = packet::blocks(all[stream::OPS], grid)?;
        let count = blocks.iter().map(|block| block.pixels() * 3).sum::<usize>();
        if count == 0 || count > MOST {
            return None;
        }
        let mut residuals = vec![0; count];
        let mut reader = ResidualReader::default();
        reader.begin();
        let mut rest = residuals.as_mut_slice();
        for block in &blocks {
            let n = block.pixels();
            let (of_block, after) = std::mem::take(&mut rest).split_at_mut(n * 3);
            rest = after;
            let (first, others) = of_block.split_at_mut(n);
            let (second, third) = others.split_at_mut(n);
            let classes = block.classes;
            reader.read(&mut head.streams, [first, second, third], classes, block.area.w).ok()?;
        }
        reader.finish().ok()?;
        let mut chunks = rewrite::chunks(all[stream::TABLES]).ok()?;
        let parts = parts(&blocks);
        let same = |chunks: &[Chunk<'_>]| {
            rewrite::write(&residuals, &parts, chunks).is_ok_and(|written| {
                written.tables == all[stream::TABLES]
                    && written.coded == all[stream::CODED]
                    && written.plain == all[stream::PLAIN]
            })
        };
        let made: Vec<Chunk<'_>> = chunks.iter().map(|chunk| Chunk { tables: None, ..*chunk }).collect();
        if same(&made) {
            chunks = made;
        } else if !same(&chunks) {
            return None;
        }
        let length: usize = all.iter().map(|stream| stream.len()).sum();
        let streams = (0..stream::COUNT).filter(|i| !TAKEN.contains(i)).map(|i| all[i]).collect();
        Some(Self { stays: &packet[..packet.len() - length], streams, blocks, residuals, chunks })
    }
}

fn parts(blocks: &[Block]) -> Vec<Part> {
    let part = |block: &Block| Part { pixels: block.pixels(), width: block.area.w, classes: block.classes };
    blocks.iter().map(part).collect()
}

fn read_chunks<'a>(rest: &mut Cursor<'a>, most: usize) -> Result<Vec<Chunk<'a>>, DecodeError> {
    let (mut chunks, mut left) = (Vec::new(), most);
    for _ in 0..rest.varint()? {
        let (mode, count) = (rest.byte()?, rest.varint()? as usize);
        left = left
            .checked_sub(count)
            .filter(|_| count > 0)
            .ok_or_else(|| range("symbols of a chunk", count as u64, left as u64 + 1))?;
        let tables = match rest.byte()? {
            0 => None,
            _ => {
                let before = rest.rest();
                if mode != 0 {
                    rewrite::skip_tables(rest)?;
                }
                Some(&before[..before.len() - rest.len()])
            }
        };
        chunks.push(Chunk { mode, count, tables });
    }
    Ok(chunks)
}

/// What is known of a box before its values.
fn place(block: &Block, history: &History) -> Place {
    let known = history.knows(block.area, block.kind());
    Place { area: block.area, moved: known.then_some((0, 0)), relative: block.is_over() && !known }
}

/// Values from residuals.
fn values(block: &Block, residuals: &[u8]) -> Planes {
    let n = block.pixels();
    let w = block.area.w;
    let mut planes = [0, 1, 2].map(|plane| residuals[plane * n..][..n].to_vec());
    for (plane, predictor) in planes.iter_mut().zip(block.predictors) {
        predict::restore(predictor, plane, w);
    }
    planes
}

/// Residuals from values.
fn put_residuals(block: &Block, place: &Place, planes: &Planes, history: &History, out: &mut Vec<u8>) {
    let w = block.area.w;
    let rebased;
    let planes = if block.is_over() && !place.relative {
        let mut differences = planes.clone();
        history.rebase(block.area, &mut differences, false);
        rebased = differences;
        &rebased
    } else {
        planes
    };
    for (plane, predictor) in planes.iter().zip(block.predictors) {
        for y in 0..block.area.h {
            let start = out.len();
            out.resize(start + w, 0);
            predict::residual_row(predictor, plane, w, y, &mut out[start..]);
        }
    }
}

/// After a packet: what its boxes show is what comes before the next one's.
fn remember(history: &mut History, blocks: &[Block], boxes: &[(Place, Planes)]) {
    for (block, (place, planes)) in blocks.iter().zip(boxes) {
        if place.relative {
            history.forget(block.area);
        } else {
            history.keep(block.area, block.kind(), planes);
        }
    }
}
