//! Binary arithmetic coding with mixed, adaptive probabilities. Integers only, so that every machine computes the same.

/// Contexts whose predictions are mixed for every bit.
pub(super) const MIXED: usize = 3;
/// Bits of a symbol that are told apart within a context: zero, sign, and the steps of the magnitude.
const NODES: usize = 8;
/// Magnitudes less one from here on are written in plain binary.
const ESCAPE: i32 = 6;
/// Sets of weights.
pub(super) const SELECTORS: usize = 64;
/// After so many bits a probability adapts no slower any more.
const SLOWEST: u32 = 60;
/// Errors up to this, of 2,048, leave the weights as they are.
const SURPRISE: i32 = 48;
/// One, in logarithmic odds.
const ODDS: i32 = 256;
const MOST_ODDS: i32 = 2047;

/// Writes or reads bits.
pub(super) trait Coder {
    /// Codes a bit whose probability of being 1 is `p` of 65,536. A reader ignores `bit`; both return what it is.
    fn bit(&mut self, p: u32, bit: bool) -> bool;
}

/// Writes bits.
pub(super) struct BitWriter {
    low: u32,
    high: u32,
    out: Vec<u8>,
}

impl BitWriter {
    pub(super) fn new() -> Self {
        Self { low: 0, high: u32::MAX, out: Vec::new() }
    }

    /// Everything written.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.out.extend_from_slice(&self.high.to_be_bytes());
        self.out
    }
}

/// Where an interval is split: `low` to the result stands for 1. `p` is 1 to 65,535.
#[inline(always)]
fn split(low: u32, high: u32, p: u32) -> u32 {
    low + ((u64::from(high - low) * u64::from(p)) >> 16) as u32
}

impl Coder for BitWriter {
    #[inline(always)]
    fn bit(&mut self, p: u32, bit: bool) -> bool {
        let middle = split(self.low, self.high, p);
        if bit {
            self.high = middle;
        } else {
            self.low = middle + 1;
        }
        while (self.low ^ self.high) >> 24 == 0 {
            self.out.push((self.high >> 24) as u8);
            self.low <<= 8;
            self.high = self.high << 8 | 255;
        }
        bit
    }
}

/// Reads bits. What is read beyond the end is 0.
pub(super) struct BitReader<'a> {
    low: u32,
    high: u32,
    value: u32,
    rest: &'a [u8],
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut reader = Self { low: 0, high: u32::MAX, value: 0, rest: bytes };
        for _ in 0..4 {
            reader.value = reader.value << 8 | reader.next();
        }
        reader
    }

    #[inline(always)]
    fn next(&mut self) -> u32 {
        match self.rest.split_first() {
            Some((&byte, rest)) => {
                self.rest = rest;
                u32::from(byte)
            }
            None => 0,
        }
    }
}

impl Coder for BitReader<'_> {
    #[inline(always)]
    fn bit(&mut self, p: u32, _: bool) -> bool {
        let middle = split(self.low, self.high, p);
        let bit = self.value <= middle;
        if bit {
            self.high = middle;
        } else {
            self.low = middle + 1;
        }
        while (self.low ^ self.high) >> 24 == 0 {
            self.low <<= 8;
            self.high = self.high << 8 | 255;
            self.value = self.value << 8 | self.next();
        }
        bit
    }
}

/// Logarithmic odds and probabilities, each as the other.
struct Curve {
    /// By odds plus 2,048: of 65,536.
    probability: [u16; 4096],
    /// By probability, of 4,096.
    odds: [i16; 4096],
    /// By how often a probability was adapted: how far it goes to the bit, of 65,536.
    step: [u32; 64],
}

static CURVE: Curve = curve();

const fn curve() -> Curve {
    let mut curve = Curve { probability: [0; 4096], odds: [0; 4096], step: [0; 64] };
    // e to the power of -1/256, of 2^60.
    const FALL: u128 = 1_148_426_689_630_428_643;
    let mut power: u128 = 1 << 60;
    let mut x = 0;
    while x < 2048 {
        let p = (65_536u128 << 60) / ((1 << 60) + power);
        let p = if p > 65_512 { 65_512 } else { p as u16 };
        curve.probability[2048 + x] = p;
        if x > 0 {
            curve.probability[2048 - x] = (65_536 - p as u32) as u16;
        }
        power = (power * FALL) >> 60;
        x += 1;
    }
    curve.probability[0] = curve.probability[1];
    let (mut p, mut x) = (0, 1);
    while p < 4096 {
        while x < 4095 && (curve.probability[x] as usize) < p * 16 + 8 {
            x += 1;
        }
        curve.odds[p] = x as i16 - 2048;
        p += 1;
    }
    let mut n = 0;
    while n < 64 {
        curve.step[n] = 655_360 / (10 * n as u32 + 16);
        n += 1;
    }
    curve
}

/// The bits of one context: probabilities of 2^22 in the high bits, how often they were adapted in the low ten.
type Bits = [u32; NODES];

/// What is known of a kind of symbol so far.
pub(super) struct Model {
    contexts: [Vec<Bits>; MIXED],
    weights: Vec<[[i32; MIXED]; NODES]>,
    /// Bits of large magnitudes.
    large: [u16; 128],
}

impl Model {
    /// A model with so many contexts of each sort.
    pub(super) fn new(contexts: [usize; MIXED]) -> Self {
        Self {
            contexts: contexts.map(|count| vec![[1 << 31; NODES]; count]),
            weights: vec![[[22_000; MIXED]; NODES]; SELECTORS],
            large: [1 << 15; 128],
        }
    }

    /// Codes a number of -128 to 127; a reader ignores `number`. What a reader makes of damaged bytes is within -140 to 140.
    #[inline(always)]
    pub(super) fn number(
        &mut self,
        coder: &mut impl Coder,
        contexts: [usize; MIXED],
        selector: usize,
        number: i32,
    ) -> i32 {
        let [a, b, c] = &mut self.contexts;
        let mut bits = [&mut a[contexts[0]], &mut b[contexts[1]], &mut c[contexts[2]]];
        let weights = &mut self.weights[selector];
        let mut code =
            |node: usize, bit: bool| mixed(coder, &mut bits, &mut weights[node % NODES], node % NODES, bit);
        if code(0, number == 0) {
            return 0;
        }
        let negative = code(1, number < 0);
        let magnitude = number.abs() - 1;
        let mut at = 0;
        while at < ESCAPE && !code(2 + at as usize, magnitude == at) {
            at += 1;
        }
        if at == ESCAPE {
            let more = (magnitude - ESCAPE) as u32;
            let mut node = 1;
            for shift in (0..7).rev() {
                let p = &mut self.large[node];
                let bit = coder.bit(u32::from(*p).clamp(64, 65_472), more >> shift & 1 != 0);
                *p = if bit { *p + ((u16::MAX - *p) >> 5) } else { *p - (*p >> 5) };
                node = node * 2 + usize::from(bit);
            }
            at += node as i32 - 128;
        }
        if negative { -1 - at } else { 1 + at }
    }
}

/// Codes one bit by what several contexts say of it, and lets them learn from it.
#[inline(always)]
fn mixed(
    coder: &mut impl Coder,
    contexts: &mut [&mut Bits; MIXED],
    weights: &mut [i32; MIXED],
    node: usize,
    bit: bool,
) -> bool {
    let mut odds = [0i32; MIXED];
    let mut sum = 0;
    for ((to, bits), weight) in odds.iter_mut().zip(&*contexts).zip(&*weights) {
        *to = i32::from(CURVE.odds[(bits[node] >> 20) as usize]);
        sum += *to * weight;
    }
    let p = u32::from(CURVE.probability[((sum >> 16).clamp(-MOST_ODDS, MOST_ODDS) + 2048) as usize]);
    let bit = coder.bit(p, bit);
    let error = ((i32::from(bit) << 16) - p as i32) >> 5;
    // What was foreseen teaches nothing.
    if error.abs() > SURPRISE {
        for (weight, odds) in weights.iter_mut().zip(odds) {
            *weight = (*weight + ((odds * error + (1 << 9)) >> 10)).clamp(-(1 << 18), 1 << 18);
        }
    }
    let target = if bit { (1 << 22) - 1 } else { 0 };
    for bits in contexts {
        let state = &mut bits[node];
        let (p, count) = ((*state >> 10) as i32, *state & 1023);
        let step = i64::from(CURVE.step[count as usize % CURVE.step.len()]);
        let p = p + ((i64::from(target - p) * step) >> 16) as i32;
        *state = (p as u32) << 10 | (count + u32::from(count < SLOWEST));
    }
    bit
}

/// Room for rounding: three sums of odds and weights at their largest.
const _: () = assert!((MOST_ODDS as i64 + 1) * (1 << 18) * (MIXED as i64) < i32::MAX as i64 && ODDS == 256);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odds_and_probabilities_belong_together() {
        assert_eq!(CURVE.probability[2048], 32_768);
        assert!(CURVE.probability.windows(2).all(|pair| pair[0] <= pair[1]));
        assert!(CURVE.probability.iter().all(|p| (1..=65_535).contains(p)));
        // ln 3 makes three to one.
        let at = CURVE.probability[2048 + 281];
        assert!((49_100..49_200).contains(&at), "{at}");
        for p in [1usize, 100, 2047, 2048, 4000, 4095] {
            let back = CURVE.probability[(CURVE.odds[p] + 2048) as usize];
            assert!(usize::from(back).abs_diff(p * 16 + 8) < 140, "{p}: {back}");
        }
    }

    #[test]
    fn numbers_come_back() {
        let mut seed = 1u32;
        let mut next = |spread: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) % spread
        };
        let sent: Vec<(usize, i32)> = (0..50_000u32)
            .map(|i| {
                let spread = if i % 1000 < 10 { 128 } else { 1 + i % 9 };
                (next(7) as usize, next(spread) as i32 - next(spread) as i32)
            })
            .chain((-128..128).map(|number| (0, number)))
            .collect();
        let mut writer = BitWriter::new();
        let mut model = Model::new([7, 1, 3]);
        for &(context, number) in &sent {
            model.number(&mut writer, [context, 0, context % 3], context, number);
        }
        let bytes = writer.finish();
        let mut reader = BitReader::new(&bytes);
        let mut model = Model::new([7, 1, 3]);
        for &(context, number) in &sent {
            assert_eq!(model.number(&mut reader, [context, 0, context % 3], context, 0), number);
        }
        // Anything can be read from anything.
        let mut reader = BitReader::new(&[0x5a; 100]);
        let mut model = Model::new([1, 1, 1]);
        for _ in 0..10_000 {
            assert!(model.number(&mut reader, [0, 0, 0], 0, 0).abs() <= 140);
        }
    }
}
