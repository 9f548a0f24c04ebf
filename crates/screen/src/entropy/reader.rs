//! Bytes to the residuals of a packet.

use super::{
    BY_CLASS, BY_CONTEXT, CONTEXTS, FIRST, LOW, PLAIN, SCALE, SCALE_BITS, SECOND, STATES, by_rank,
    first_contexts, second_contexts, sparse, sparse_contexts, third_contexts,
};
use crate::error::DecodeError;
use crate::geometry::TILE;
use crate::wire::{Cursor, Streams, range, stream};

/// For each slot of a state its symbol (8 bits), its frequency less one (12 bits) and its place among the symbol's slots (12 bits).
type Table = [u32; SCALE as usize];

/// Reads the residuals of a packet.
#[derive(Default)]
pub(crate) struct ResidualReader {
    /// The first table stands for contexts that have none.
    tables: Vec<Table>,
    of_context: Vec<u8>,
    contexts: Vec<u8>,
    mode: u8,
    left: usize,
    states: [u32; STATES],
    turn: usize,
    slots: u64,
}

/// The planes of a box, of `width` columns each.
struct Planes<'a> {
    first: &'a mut [u8],
    second: &'a mut [u8],
    third: &'a mut [u8],
    width: usize,
}

impl Planes<'_> {
    fn get(&mut self, number: usize) -> &mut [u8] {
        match number {
            0 => self.first,
            1 => self.second,
            _ => self.third,
        }
    }
}

impl ResidualReader {
    /// Begins a packet.
    pub(crate) fn begin(&mut self) {
        (self.left, self.slots) = (0, 0);
    }

    /// Table slots filled since the last call.
    pub(crate) fn take_slots(&mut self) -> u64 {
        std::mem::take(&mut self.slots)
    }

    /// Whether all symbols that the chunks announced have been read.
    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        match self.left {
            0 => Ok(()),
            extra => Err(DecodeError::LeftOver { stream: stream::CODED, extra }),
        }
    }

    /// Reads the planes of a box of `width` columns.
    pub(crate) fn read(
        &mut self,
        streams: &mut Streams<'_>,
        planes: [&mut [u8]; 3],
        classes: [u8; 3],
        width: usize,
    ) -> Result<(), DecodeError> {
        if self.left == 0 {
            self.begin_chunk(streams)?;
        }
        let [first, second, third] = planes;
        let n = first.len();
        let mut contexts = std::mem::take(&mut self.contexts);
        contexts.resize(n.max(contexts.len()), 0);
        let mut planes = Planes { first, second, third, width };
        let result = (0..3)
            .try_for_each(|number| self.plane(streams, &mut planes, number, classes, &mut contexts[..n]));
        self.contexts = contexts;
        result
    }

    fn plane(
        &mut self,
        streams: &mut Streams<'_>,
        planes: &mut Planes<'_>,
        number: usize,
        classes: [u8; 3],
        contexts: &mut [u8],
    ) -> Result<(), DecodeError> {
        if classes[number] == sparse::CLASS {
            let base = sparse_contexts(number);
            let plane = planes.get(number);
            return sparse::read(plane, |context| self.symbol(streams, base + context), range);
        }
        self.use_up(contexts.len())?;
        if self.mode == PLAIN {
            planes.get(number).copy_from_slice(streams.get(stream::PLAIN).take(contexts.len())?);
            return Ok(());
        }
        self.read_coded(planes, number, classes[number], streams.get(stream::CODED), contexts)
    }

    /// Counts symbols of the chunk.
    fn use_up(&mut self, n: usize) -> Result<(), DecodeError> {
        let left = self.left.checked_sub(n);
        self.left = left.ok_or_else(|| range("residuals of a box", n as u64, self.left as u64 + 1))?;
        Ok(())
    }

    /// Reads a single symbol.
    fn symbol(&mut self, streams: &mut Streams<'_>, context: u8) -> Result<u8, DecodeError> {
        self.use_up(1)?;
        if self.mode == PLAIN {
            return streams.get(stream::PLAIN).byte();
        }
        let mut out = [0];
        self.symbols(&[context], &mut out, streams.get(stream::CODED))?;
        Ok(out[0])
    }

    fn read_coded(
        &mut self,
        planes: &mut Planes<'_>,
        number: usize,
        class: u8,
        words: &mut Cursor<'_>,
        contexts: &mut [u8],
    ) -> Result<(), DecodeError> {
        if self.mode == BY_CLASS {
            let group = usize::from(class / 2);
            let of_planes = [usize::from(class) * 3, FIRST + group * 7, FIRST + SECOND + group * 35];
            contexts.fill(of_planes[number] as u8);
            return self.symbols(contexts, planes.get(number), words);
        }
        let Planes { first, second, third, width } = planes;
        let width = *width;
        match number {
            0 => {
                for y in 0..first.len() / width {
                    let (above, row) = first.split_at_mut(y * width);
                    let above = if y == 0 { &[0; TILE][..width] } else { &above[(y - 1) * width..] };
                    first_contexts(class, above, contexts);
                    self.symbols(&contexts[..width], &mut row[..width], words)?;
                }
                Ok(())
            }
            1 => {
                second_contexts(class, first, contexts);
                self.symbols(contexts, second, words)
            }
            _ => {
                third_contexts(class, first, second, contexts);
                self.symbols(contexts, third, words)
            }
        }
    }

    /// Decodes symbols of known contexts.
    fn symbols(
        &mut self,
        contexts: &[u8],
        out: &mut [u8],
        words: &mut Cursor<'_>,
    ) -> Result<(), DecodeError> {
        let (tables, of_context) = (self.tables.as_slice(), &self.of_context[..256]);
        let bytes = words.rest();
        let mut at = 0;
        let mut missing = false;
        let mut get = |x: &mut u32, context: u8| {
            let number = usize::from(of_context[usize::from(context)]);
            missing |= number == 0;
            let slot = *x & (SCALE - 1);
            let entry = tables[number][slot as usize];
            let next = ((entry >> 8 & 0xfff) + 1) * (*x >> SCALE_BITS) + (entry >> 20);
            // Looked at in any case; a branch would be mispredicted often. What is read beyond the end is found out below.
            let word = match bytes.get(at..at + 2) {
                Some(&[low, high]) => u32::from(low) | u32::from(high) << 8,
                _ => 0,
            };
            let empty = next < LOW;
            at += usize::from(empty) * 2;
            *x = if empty { next << 16 | word } else { next };
            entry as u8
        };
        // The turns begin where the last call ended.
        self.states.rotate_left(self.turn);
        let [mut a, mut b, mut c, mut d] = self.states;
        let (contexts, last_contexts) = contexts.as_chunks::<STATES>();
        let (four, last) = out.as_chunks_mut::<STATES>();
        for (to, of) in four.iter_mut().zip(contexts) {
            *to = [get(&mut a, of[0]), get(&mut b, of[1]), get(&mut c, of[2]), get(&mut d, of[3])];
        }
        let mut states = [a, b, c, d];
        for ((to, &of), x) in last.iter_mut().zip(last_contexts).zip(&mut states) {
            *to = get(x, of);
        }
        states.rotate_right(self.turn);
        self.states = states;
        self.turn = (self.turn + last.len()) % STATES;
        if missing {
            return Err(DecodeError::Reserved { what: "context without a table", actual: 0 });
        }
        words.take(at).map(|_| ())
    }

    fn begin_chunk(&mut self, streams: &mut Streams<'_>) -> Result<(), DecodeError> {
        let head = streams.get(stream::TABLES);
        self.mode = head.byte()?;
        self.left = head.varint()? as usize;
        self.turn = 0;
        match self.mode {
            PLAIN => return Ok(()),
            BY_CLASS | BY_CONTEXT => {}
            mode => return Err(DecodeError::Reserved { what: "chunk mode", actual: u32::from(mode) }),
        }
        self.of_context.clear();
        self.of_context.resize(256, 0);
        if self.tables.is_empty() {
            self.tables.push([0; SCALE as usize]);
        }
        let (mut context, mut used) = (0, 0);
        loop {
            let unused = head.byte()?;
            if unused == u8::MAX {
                break;
            }
            context += usize::from(unused);
            if context >= CONTEXTS {
                return Err(range("context", context as u64, CONTEXTS as u64));
            }
            used += 1;
            if used == self.tables.len() {
                self.tables.push([0; SCALE as usize]);
            }
            read_table(head, &mut self.tables[used])?;
            self.slots += u64::from(SCALE);
            self.of_context[context] = used as u8;
            context += 1;
        }
        let words = streams.get(stream::CODED);
        for x in &mut self.states {
            let b = words.take(4)?;
            *x = u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            if !(LOW..LOW << 16).contains(x) {
                return Err(range("state", u64::from(*x), u64::from(LOW) << 16));
            }
        }
        Ok(())
    }
}

fn read_table(head: &mut Cursor<'_>, table: &mut Table) -> Result<(), DecodeError> {
    let last = usize::from(head.byte()?);
    let mut frequencies = [0u32; 256];
    let mut sum = 0;
    for rank in 0..=last {
        let frequency = head.varint()?;
        if frequency > SCALE - sum {
            return Err(range(
                "sum of frequencies",
                u64::from(frequency) + u64::from(sum),
                u64::from(SCALE) + 1,
            ));
        }
        sum += frequency;
        frequencies[by_rank(rank)] = frequency;
    }
    if sum != SCALE {
        return Err(range("missing frequencies", u64::from(SCALE - sum), 1));
    }
    let mut slots = table.iter_mut();
    for (symbol, &frequency) in frequencies.iter().enumerate().filter(|(_, f)| **f > 0) {
        for (place, slot) in (0..frequency).zip(&mut slots) {
            *slot = symbol as u32 | (frequency - 1) << 8 | place << 20;
        }
    }
    Ok(())
}
