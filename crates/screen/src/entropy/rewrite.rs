//! Coded residuals once more, byte for byte as they were.
//!
//! Sealed recordings are kept with their residuals coded in another way (`dense`), and must come back exactly. So this says for good what
//! the coding of a chunk is, given its mode and its tables; which of these the encoder chooses may change.

use super::writer::{normalise, write_table};
use super::{
    BY_CLASS, BY_CONTEXT, CONTEXTS, LOW, PLAIN, SCALE, SCALE_BITS, STATES, by_rank, class_context,
    first_contexts, second_contexts, sparse, sparse_contexts, third_contexts,
};
use crate::error::DecodeError;
use crate::geometry::TILE;
use crate::wire::{Cursor, put_varint, range};

/// A chunk of residuals without them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk<'a> {
    pub(crate) mode: u8,
    /// Number of its symbols.
    pub(crate) count: usize,
    /// Its tables as they stand in the stream; `None` when they follow from the residuals.
    pub(crate) tables: Option<&'a [u8]>,
}

/// One box's residuals among those of a packet: the planes one after another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    /// Values of one plane.
    pub(crate) pixels: usize,
    pub(crate) width: usize,
    pub(crate) classes: [u8; 3],
}

/// What a packet's residuals are in: tables, coded, plain.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) tables: Vec<u8>,
    pub(crate) coded: Vec<u8>,
    pub(crate) plain: Vec<u8>,
}

/// Finds the chunks in the stream of tables.
///
/// # Errors
/// What `begin_chunk` of the reader refuses too.
pub(crate) fn chunks(stream: &[u8]) -> Result<Vec<Chunk<'_>>, DecodeError> {
    let mut rest = Cursor::new(stream);
    let mut chunks = Vec::new();
    while rest.len() > 0 {
        let (mode, count) = (rest.byte()?, rest.varint()? as usize);
        let before = rest.rest();
        if mode != PLAIN {
            skip_tables(&mut rest)?;
        }
        let tables = &before[..before.len() - rest.len()];
        chunks.push(Chunk { mode, count, tables: Some(tables) });
    }
    Ok(chunks)
}

/// Passes over the tables of a chunk.
pub(crate) fn skip_tables(rest: &mut Cursor<'_>) -> Result<(), DecodeError> {
    while rest.byte()? != u8::MAX {
        for _ in 0..=rest.byte()? {
            rest.varint()?;
        }
    }
    Ok(())
}

/// Frequency and first slot of every residual in every context.
struct Tables(Vec<u32>);

impl Tables {
    fn set(&mut self, context: usize, frequencies: &[u32; 256]) {
        let mut start = 0;
        for (to, &frequency) in self.0[context * 256..].iter_mut().zip(frequencies) {
            *to = frequency << 16 | start;
            start += frequency;
        }
    }
}

/// Writes chunks. `residuals` are those of all `parts`; no part reaches over the end of a chunk.
///
/// # Errors
/// Chunks and parts that do not belong together, and tables without a residual that occurs.
pub(crate) fn write(residuals: &[u8], parts: &[Part], chunks: &[Chunk<'_>]) -> Result<Written, DecodeError> {
    let mut out = Written::default();
    let mut tables = Tables(vec![0; CONTEXTS * 256]);
    let (mut residuals, mut parts) = (residuals, parts.iter());
    let (mut contexts, mut symbols) = (Vec::new(), Vec::new());
    for chunk in chunks {
        contexts.clear();
        symbols.clear();
        while symbols.len() < chunk.count {
            let Some(part) = parts.next() else { break };
            let (of_part, after) = residuals.split_at_checked(part.pixels * 3).ok_or_else(|| {
                range("residuals of a box", part.pixels as u64 * 3, residuals.len() as u64 + 1)
            })?;
            residuals = after;
            add_symbols(part, of_part, &mut contexts, &mut symbols);
        }
        if symbols.len() != chunk.count {
            return Err(range("symbols of a chunk", symbols.len() as u64, chunk.count as u64 + 1));
        }
        out.tables.push(chunk.mode);
        put_varint(&mut out.tables, chunk.count as u32);
        match chunk.mode {
            PLAIN => {
                out.plain.extend_from_slice(&symbols);
                continue;
            }
            BY_CLASS => {
                contexts.iter_mut().for_each(|context| *context = class_context(usize::from(*context)) as u8);
            }
            BY_CONTEXT => {}
            mode => return Err(DecodeError::Reserved { what: "chunk mode", actual: u32::from(mode) }),
        }
        match chunk.tables {
            Some(bytes) => {
                read_tables(bytes, &mut tables)?;
                out.tables.extend_from_slice(bytes);
            }
            None => make_tables(&symbols, &contexts, &mut tables, &mut out.tables),
        }
        write_symbols(&symbols, &contexts, &tables, &mut out.coded)?;
    }
    match parts.count() {
        0 => Ok(out),
        extra => Err(range("boxes without a chunk", extra as u64, 1)),
    }
}

/// The symbols of a box's residuals, and their contexts.
fn add_symbols(part: &Part, residuals: &[u8], contexts: &mut Vec<u8>, symbols: &mut Vec<u8>) {
    let n = part.pixels;
    let (first, others) = residuals.split_at(n);
    let (second, third) = others.split_at(n);
    for (number, (plane, class)) in [first, second, third].into_iter().zip(part.classes).enumerate() {
        if class == sparse::CLASS {
            sparse::write(plane, sparse_contexts(number), contexts, symbols);
            continue;
        }
        symbols.extend_from_slice(plane);
        let start = contexts.len();
        contexts.resize(start + n, 0);
        let to = &mut contexts[start..];
        match number {
            0 => {
                for (y, to) in to.chunks_exact_mut(part.width).enumerate() {
                    let above = match y.checked_sub(1) {
                        Some(above) => &first[above * part.width..][..part.width],
                        None => &[0; TILE][..part.width],
                    };
                    first_contexts(class, above, to);
                }
            }
            1 => second_contexts(class, first, to),
            _ => third_contexts(class, first, second, to),
        }
    }
}

/// Tables as an encoder of version 1 makes them: counted, and scaled so that nothing that occurs gets 0.
fn make_tables(symbols: &[u8], contexts: &[u8], tables: &mut Tables, out: &mut Vec<u8>) {
    let mut counts = vec![0u32; CONTEXTS * 256];
    for (&context, &symbol) in contexts.iter().zip(symbols) {
        counts[usize::from(context) << 8 | usize::from(symbol)] += 1;
    }
    let mut unused = 0u8;
    for (context, counts) in counts.as_chunks_mut::<256>().0.iter_mut().enumerate() {
        if counts.iter().all(|count| *count == 0) {
            unused += 1;
            continue;
        }
        out.push(unused);
        unused = 0;
        normalise(counts);
        write_table(counts, out);
        tables.set(context, counts);
    }
    out.push(u8::MAX);
}

fn read_tables(bytes: &[u8], tables: &mut Tables) -> Result<(), DecodeError> {
    tables.0.fill(0);
    let (mut rest, mut context) = (Cursor::new(bytes), 0);
    loop {
        let unused = rest.byte()?;
        if unused == u8::MAX {
            return Ok(());
        }
        context += usize::from(unused);
        if context >= CONTEXTS {
            return Err(range("context", context as u64, CONTEXTS as u64));
        }
        let (mut frequencies, mut sum) = ([0; 256], 0);
        for rank in 0..=usize::from(rest.byte()?) {
            let frequency = rest.varint()?;
            if frequency > SCALE - sum {
                return Err(range(
                    "sum of frequencies",
                    u64::from(sum) + u64::from(frequency),
                    u64::from(SCALE) + 1,
                ));
            }
            sum += frequency;
            frequencies[by_rank(rank)] = frequency;
        }
        tables.set(context, &frequencies);
        context += 1;
    }
}

fn write_symbols(
    symbols: &[u8],
    contexts: &[u8],
    tables: &Tables,
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let mut words = Vec::with_capacity(symbols.len() / 4 + 8);
    let mut states = [LOW; STATES];
    for (at, (&symbol, &context)) in symbols.iter().zip(contexts).enumerate().rev() {
        let entry = tables.0[usize::from(context) << 8 | usize::from(symbol)];
        let (frequency, start) = (entry >> 16, entry & 0xffff);
        if frequency == 0 {
            return Err(DecodeError::Reserved {
                what: "residual without a frequency",
                actual: u32::from(symbol),
            });
        }
        let state = &mut states[at % STATES];
        if *state >= frequency << (31 - SCALE_BITS) {
            words.push(*state as u16);
            *state >>= 16;
        }
        *state = (*state / frequency) << SCALE_BITS | (*state % frequency + start);
    }
    for state in states {
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.reserve(words.len() * 2);
    out.extend(words.iter().rev().flat_map(|word| word.to_le_bytes()));
    Ok(())
}
