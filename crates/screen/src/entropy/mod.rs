//! Entropy coding of residuals: what zstd does badly, because residuals hardly ever repeat but are far from uniform.
//!
//! Residuals come in chunks. Each chunk has frequency tables for the contexts it uses and is coded by four interleaved
//! range-ANS states (32 bits, 11-bit frequencies, 16 bits at a time). A small chunk is left to zstd.

mod reader;
pub(crate) mod rewrite;
mod sparse;
mod writer;

use crate::geometry::TILE;
pub(crate) use reader::ResidualReader;
pub(crate) use writer::ResidualWriter;

/// Bits of a frequency; those of a context add up to `SCALE`.
const SCALE_BITS: u32 = 11;
const SCALE: u32 = 1 << SCALE_BITS;
/// A state lies in `LOW .. LOW << 16` between symbols.
const LOW: u32 = 1 << 15;
/// Contexts of the first plane: class and how busy the neighbourhood is.
const FIRST: usize = CLASSES * 3;
/// Contexts of the second plane: group of classes and the first plane's residual.
const SECOND: usize = GROUPS * 7;
/// Contexts of the third plane: group of classes and both residuals before.
const THIRD: usize = GROUPS * 35;
/// Contexts of planes that are nearly all zeros.
const SPARSE: usize = 3 * sparse::CONTEXTS;
/// All contexts.
const CONTEXTS: usize = FIRST + SECOND + THIRD + SPARSE;
/// Classes of mean magnitude.
pub(crate) const CLASSES: usize = 8;
const GROUPS: usize = 4;
/// States that take turns.
const STATES: usize = 4;
/// Symbols after which the encoder begins a new chunk.
const CHUNK: usize = 1 << 19;
/// Fewer symbols than this go without tables, and fewer than that without neighbours as context.
const FEW: usize = 1500;
const SOME: usize = 40_000;

/// How a chunk is coded.
const PLAIN: u8 = 0;
const BY_CLASS: u8 = 1;
const BY_CONTEXT: u8 = 2;

/// The class of a plane with this sum of magnitudes over so many residuals.
pub(crate) fn class(sum: u32, of: u32) -> u8 {
    const BOUNDS: [u64; CLASSES - 1] = [4, 10, 18, 30, 50, 90, 160];
    let mean = u64::from(sum) * 16 / u64::from(of.max(1));
    BOUNDS.iter().take_while(|b| mean >= **b).count() as u8
}

/// The magnitude of a residual.
fn magnitude(residual: u8) -> u8 {
    residual.min(residual.wrapping_neg())
}

/// How busy a neighbourhood is from which sum on, for each class: around and above twice the class's mean.
const BUSY: [(u16, u16); CLASSES] =
    [(1, 3), (2, 4), (4, 8), (6, 12), (10, 20), (18, 34), (32, 60), (60, 120)];

/// Contexts of one row of the first plane from the residuals above. Nothing depends on the residual before, so that decoders can work
/// on several at a time.
fn first_contexts(class: u8, above: &[u8], out: &mut [u8]) {
    let n = above.len();
    let mut sizes = [0u16; TILE + 2];
    for (size, &v) in sizes[1..].iter_mut().zip(above) {
        *size = u16::from(magnitude(v));
    }
    let (some, much) = BUSY[usize::from(class)];
    for (x, to) in out[..n].iter_mut().enumerate() {
        let busy = sizes[x] + 2 * sizes[x + 1] + sizes[x + 2];
        *to = class * 3 + u8::from(busy >= some) + u8::from(busy >= much);
    }
}

/// How far residuals of a group of classes are shifted for contexts.
const SHIFTS: [u32; GROUPS] = [0, 0, 1, 2];

/// A residual as part of a context: small ones as they are, -`most` to `most`, counted from 0.
#[inline(always)]
fn near(residual: u8, shift: u32, most: i16) -> u8 {
    ((i16::from(residual as i8) >> shift).clamp(-most, most) + most) as u8
}

/// Contexts of residuals of the second plane from those of the first.
fn second_contexts(class: u8, first: &[u8], out: &mut [u8]) {
    let group = class / 2;
    let (base, shift) = (FIRST as u8 + group * 7, SHIFTS[usize::from(group)]);
    for (to, &a) in out.iter_mut().zip(first) {
        *to = base + near(a, shift, 3);
    }
}

/// Contexts of residuals of the third plane from those of both others.
fn third_contexts(class: u8, first: &[u8], second: &[u8], out: &mut [u8]) {
    let group = class / 2;
    let (base, shift) = ((FIRST + SECOND) as u8 + group * 35, SHIFTS[usize::from(group)]);
    for ((to, &a), &b) in out.iter_mut().zip(first).zip(second) {
        *to = base + near(b, shift, 3) * 5 + near(a, shift, 2);
    }
}

/// The first context of a sparse plane, by its number.
fn sparse_contexts(number: usize) -> u8 {
    (CONTEXTS - SPARSE + number * sparse::CONTEXTS) as u8
}

/// The context that stands for all of the same plane and class.
fn class_context(context: usize) -> usize {
    if context < FIRST {
        context / 3 * 3
    } else if context < FIRST + SECOND {
        FIRST + (context - FIRST) / 7 * 7
    } else if context < CONTEXTS - SPARSE {
        FIRST + SECOND + (context - FIRST - SECOND) / 35 * 35
    } else {
        context
    }
}

const _: () = assert!(CONTEXTS < 256);

/// The residual that is `rank`-th in the order 0, -1, 1, -2, 2 and so on.
fn by_rank(rank: usize) -> usize {
    (if rank.is_multiple_of(2) { rank / 2 } else { 256 - rank.div_ceil(2) }) % 256
}

#[cfg(test)]
mod tests {
    use super::writer::normalise;
    use super::*;
    use crate::wire::{PacketKind, Writer, read_head};

    fn noise(seed: &mut u32, spread: u32) -> u8 {
        let mut sum = 0;
        for _ in 0..4 {
            *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            sum += (*seed >> 16) % spread;
        }
        (sum as i32 - 2 * (spread as i32 - 1)) as u8
    }

    #[test]
    fn chunks_of_every_mode_come_back() {
        let mut seed = 1;
        for (boxes, w, h) in [(1, 1, 1), (1, 20, 20), (3, 64, 64), (40, 64, 64), (90, 61, 63)] {
            let mut writer = Writer::new();
            let mut residuals = ResidualWriter::default();
            let mut sent = Vec::new();
            for i in 0..boxes {
                let spread = 1 + i % 40;
                let planes: Vec<Vec<u8>> =
                    (0..3).map(|_| (0..w * h).map(|_| noise(&mut seed, spread)).collect()).collect();
                let sums =
                    [0, 1, 2].map(|p: usize| planes[p].iter().map(|&v| u32::from(magnitude(v))).sum::<u32>());
                let classes = sums.map(|sum| class(sum, (w * h) as u32));
                residuals.push([&planes[0], &planes[1], &planes[2]], classes, w, &mut writer);
                sent.push((planes, classes));
            }
            residuals.flush(&mut writer);
            let mut packet = Vec::new();
            writer.finish(PacketKind::Delta, None, &mut packet);
            let mut streams = read_head(&packet).unwrap().streams;
            let mut reader = ResidualReader::default();
            reader.begin();
            for (planes, classes) in &sent {
                let mut got = [vec![0; w * h], vec![0; w * h], vec![0; w * h]];
                let [a, b, c] = &mut got;
                reader.read(&mut streams, [a, b, c], *classes, w).unwrap();
                assert_eq!(&got[..], &planes[..]);
            }
            reader.finish().unwrap();
            streams.finish().unwrap();
        }
    }

    #[test]
    fn frequencies_add_up() {
        let mut seed = 3;
        for used in [1usize, 2, 7, 255, 256] {
            let mut counts = [0u32; 256];
            for (i, c) in counts[..used].iter_mut().enumerate() {
                *c = 1 + u32::from(noise(&mut seed, 60)) * u32::from(i == 3) * 100_000;
            }
            normalise(&mut counts);
            assert_eq!(counts.iter().sum::<u32>(), SCALE);
            assert!(counts[..used].iter().all(|c| *c > 0));
        }
    }

    #[test]
    fn ranks_cover_all_residuals() {
        let mut seen = [false; 256];
        for rank in 0..256 {
            assert!(!std::mem::replace(&mut seen[by_rank(rank)], true));
        }
        assert_eq!([0, 1, 2, 3].map(by_rank), [0, 255, 1, 254]);
    }
}
