//! Residuals of a packet to bytes.

use super::{
    BY_CLASS, BY_CONTEXT, CHUNK, CONTEXTS, FEW, LOW, PLAIN, SCALE, SCALE_BITS, SOME, STATES, by_rank,
    class_context, first_contexts, second_contexts, sparse, sparse_contexts, third_contexts,
};
use crate::geometry::TILE;
use crate::wire::{Writer, put_varint, stream};

/// What a symbol does to a state when encoded; the division by the frequency is a multiplication.
#[derive(Clone, Copy, Default)]
struct Step {
    limit: u32,
    reciprocal: u32,
    bias: u32,
    complement: u16,
    shift: u16,
}

impl Step {
    fn new(start: u32, frequency: u32) -> Self {
        let limit = frequency << (31 - SCALE_BITS);
        let complement = (SCALE - frequency) as u16;
        if frequency < 2 {
            // x * (2^32 - 1) >> 32 is x - 1 for every state; the bias makes up for it.
            return Self { limit, reciprocal: u32::MAX, bias: start + SCALE - 1, complement, shift: 0 };
        }
        let shift = 32 - (frequency - 1).leading_zeros();
        let reciprocal = ((1u64 << (shift + 31)).div_ceil(u64::from(frequency))) as u32;
        Self { limit, reciprocal, bias: start, complement, shift: (shift - 1) as u16 }
    }
}

/// Gathers the residuals of a packet and writes them chunk by chunk.
#[derive(Default)]
pub(crate) struct ResidualWriter {
    contexts: Vec<u8>,
    symbols: Vec<u8>,
    counts: Vec<u32>,
    other_counts: Vec<u32>,
    steps: Vec<Step>,
    words: Vec<u16>,
}

impl ResidualWriter {
    /// Takes the planes of a box, each of `width` columns, with their classes.
    pub(crate) fn push(&mut self, planes: [&[u8]; 3], classes: [u8; 3], width: usize, writer: &mut Writer) {
        let [first, second, _] = planes;
        for (number, (plane, class)) in planes.into_iter().zip(classes).enumerate() {
            if class == sparse::CLASS {
                sparse::write(plane, sparse_contexts(number), &mut self.contexts, &mut self.symbols);
                continue;
            }
            self.symbols.extend_from_slice(plane);
            let start = self.contexts.len();
            self.contexts.resize(start + plane.len(), 0);
            let to = &mut self.contexts[start..];
            match number {
                0 => {
                    for (y, to) in to.chunks_exact_mut(width).enumerate() {
                        let above =
                            if y == 0 { &[0; TILE][..width] } else { &first[(y - 1) * width..][..width] };
                        first_contexts(class, above, to);
                    }
                }
                1 => second_contexts(class, first, to),
                _ => third_contexts(class, first, second, to),
            }
        }
        if self.symbols.len() >= CHUNK {
            self.flush(writer);
        }
    }

    /// Writes what has been gathered.
    pub(crate) fn flush(&mut self, writer: &mut Writer) {
        let n = self.symbols.len();
        if n == 0 {
            return;
        }
        let mode = if n < FEW {
            PLAIN
        } else if n < SOME {
            BY_CLASS
        } else {
            BY_CONTEXT
        };
        let head = writer.stream(stream::TABLES);
        head.push(mode);
        put_varint(head, n as u32);
        if mode == PLAIN {
            writer.stream(stream::PLAIN).extend_from_slice(&self.symbols);
        } else {
            if mode == BY_CLASS {
                for context in &mut self.contexts {
                    *context = class_context(usize::from(*context)) as u8;
                }
            }
            self.write_tables(writer);
            self.write_symbols(writer);
        }
        self.contexts.clear();
        self.symbols.clear();
    }

    /// Frees what an anchor needed.
    pub(crate) fn shrink(&mut self) {
        self.contexts.shrink_to(64 << 10);
        self.symbols.shrink_to(64 << 10);
        self.words.shrink_to(64 << 10);
    }

    fn write_tables(&mut self, writer: &mut Writer) {
        self.counts.clear();
        self.counts.resize(CONTEXTS * 256, 0);
        // In turns: the same counter twice in a row would wait for itself.
        self.other_counts.clear();
        self.other_counts.resize(CONTEXTS * 256, 0);
        let place = |context: u8, symbol: u8| usize::from(context) << 8 | usize::from(symbol);
        let (contexts, last_contexts) = self.contexts.as_chunks::<2>();
        let (symbols, last_symbols) = self.symbols.as_chunks::<2>();
        for (context, symbol) in contexts.iter().zip(symbols) {
            self.counts[place(context[0], symbol[0])] += 1;
            self.other_counts[place(context[1], symbol[1])] += 1;
        }
        for (&context, &symbol) in last_contexts.iter().zip(last_symbols) {
            self.counts[place(context, symbol)] += 1;
        }
        self.counts.iter_mut().zip(&self.other_counts).for_each(|(count, other)| *count += other);
        self.steps.resize(CONTEXTS * 256, Step::default());
        let out = writer.stream(stream::TABLES);
        let mut unused = 0u8;
        for (counts, steps) in self.counts.chunks_exact_mut(256).zip(self.steps.chunks_exact_mut(256)) {
            if counts.iter().all(|c| *c == 0) {
                unused += 1;
                continue;
            }
            out.push(unused);
            unused = 0;
            normalise(counts);
            write_table(counts, out);
            let mut start = 0;
            for (step, &frequency) in steps.iter_mut().zip(&*counts).filter(|(_, f)| **f > 0) {
                *step = Step::new(start, frequency);
                start += frequency;
            }
        }
        out.push(u8::MAX);
    }

    fn write_symbols(&mut self, writer: &mut Writer) {
        let n = self.symbols.len();
        if self.words.len() < n {
            self.words.resize(n, 0);
        }
        let (words, steps) = (&mut self.words[..n], &self.steps);
        let mut used = 0;
        let mut put = |x: &mut u32, context: u8, symbol: u8| {
            let step = &steps[usize::from(context) << 8 | usize::from(symbol)];
            // Written in any case and kept when the state is too large; a branch would be mispredicted often.
            words[used] = *x as u16;
            let full = *x >= step.limit;
            used += usize::from(full);
            *x = if full { *x >> 16 } else { *x };
            let quotient = ((u64::from(*x) * u64::from(step.reciprocal)) >> 32) as u32 >> step.shift;
            *x = (*x).wrapping_add(step.bias).wrapping_add(quotient.wrapping_mul(u32::from(step.complement)));
        };
        let mut states = [LOW; STATES];
        let (contexts, last_contexts) = self.contexts.as_chunks::<STATES>();
        let (symbols, last_symbols) = self.symbols.as_chunks::<STATES>();
        for (i, x) in states.iter_mut().enumerate().take(last_symbols.len()).rev() {
            put(x, last_contexts[i], last_symbols[i]);
        }
        let [mut a, mut b, mut c, mut d] = states;
        for (context, symbol) in contexts.iter().zip(symbols).rev() {
            put(&mut d, context[3], symbol[3]);
            put(&mut c, context[2], symbol[2]);
            put(&mut b, context[1], symbol[1]);
            put(&mut a, context[0], symbol[0]);
        }
        let out = writer.stream(stream::CODED);
        for x in [a, b, c, d] {
            out.extend_from_slice(&x.to_le_bytes());
        }
        out.extend(words[..used].iter().rev().flat_map(|w| w.to_le_bytes()));
    }
}

/// Scales counts to frequencies that add up to `SCALE`, none of a symbol that occurs being 0. Dense files (`docs/dense.md`) are undone by
/// doing this again: it stays as it is.
pub(super) fn normalise(counts: &mut [u32]) {
    let total: u64 = counts.iter().map(|&c| u64::from(c)).sum();
    let mut sum = 0;
    for c in counts.iter_mut().filter(|c| **c > 0) {
        *c = ((u64::from(*c) * u64::from(SCALE) / total) as u32).max(1);
        sum += *c;
    }
    // What rounding lost goes to the most frequent; what it added is taken from them.
    while sum != SCALE {
        let most = counts.iter().enumerate().max_by_key(|(_, c)| **c).map_or(0, |(i, _)| i);
        if sum < SCALE {
            counts[most] += SCALE - sum;
            sum = SCALE;
        } else {
            let take = (sum - SCALE).min(counts[most] / 4).max(1);
            counts[most] -= take;
            sum -= take;
        }
    }
}

/// Appends a context's table.
pub(super) fn write_table(frequencies: &[u32], out: &mut Vec<u8>) {
    let last = (0..256).rfind(|&rank| frequencies[by_rank(rank)] > 0).unwrap_or(0);
    out.push(last as u8);
    for rank in 0..=last {
        put_varint(out, frequencies[by_rank(rank)]);
    }
}
