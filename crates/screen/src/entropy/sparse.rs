//! Planes that are nearly all zeros: how many zeros come next, and what ends them.
//!
//! A film's colours change slowly, and so do flat drawings: nine of ten residuals are 0. Saying how many is quicker than saying each.

use crate::bits;

/// A token below this is three times a number of zeros, plus what follows them: 0 for 1, 1 for -1, 2 for another residual, which
/// is the next symbol. Where the zeros reach the end of the plane nothing follows.
const MOST: usize = 84;
/// Token for `MOST` zeros and nothing.
const ZEROS: u8 = (MOST * 3) as u8;
/// Zeros after which the next ones are expected to be few: `FEW` or less.
const FEW: usize = 5;

/// Contexts of a plane: a token after few and after many zeros, and a residual.
pub(super) const CONTEXTS: usize = 3;
const AFTER_MANY: u8 = 1;
const VALUE: u8 = 2;

/// Class of planes that are written so.
pub(super) const CLASS: u8 = 0;

/// Appends the tokens and residuals of a plane, and their contexts from `base` on.
pub(super) fn write(plane: &[u8], base: u8, contexts: &mut Vec<u8>, symbols: &mut Vec<u8>) {
    let start = symbols.len();
    let most = start + plane.len() * 2;
    contexts.resize(most, 0);
    symbols.resize(most, 0);
    let mut used = start;
    let mut context = base;
    // A residual is written after each token and kept where the token says so; a branch would be mispredicted often.
    let mut put = |token: usize, residual: u8, run: usize| {
        (contexts[used], symbols[used]) = (context, token as u8);
        if let (Some(of), Some(symbol)) = (contexts.get_mut(used + 1), symbols.get_mut(used + 1)) {
            (*of, *symbol) = (base + VALUE, residual);
        }
        used += 1 + usize::from(token % 3 == 2);
        context = base + u8::from(run > FEW) * AFTER_MANY;
    };
    let mut at = 0;
    for (row, part) in plane.chunks(64).enumerate() {
        let mut others = bits::not_zero(part);
        while others != 0 {
            let next = row * 64 + others.trailing_zeros() as usize;
            others &= others - 1;
            while next - at >= MOST {
                put(ZEROS.into(), 0, MOST);
                at += MOST;
            }
            let residual = plane[next];
            let kind = match residual {
                1 => 0,
                255 => 1,
                _ => 2,
            };
            put((next - at) * 3 + kind, residual, next - at);
            at = next + 1;
        }
    }
    while plane.len() - at >= MOST {
        put(ZEROS.into(), 0, MOST);
        at += MOST;
    }
    if at < plane.len() {
        put((plane.len() - at) * 3, 0, 0);
    }
    contexts.truncate(used);
    symbols.truncate(used);
}

/// The inverse of [`write`]: fills `plane`; `get` gives the next symbol of a context.
///
/// # Errors
/// Those of `get`, and a message where zeros go beyond the plane or the symbol is no token.
pub(super) fn read<E>(
    plane: &mut [u8],
    mut get: impl FnMut(u8) -> Result<u8, E>,
    wrong: impl Fn(&'static str, u64, u64) -> E,
) -> Result<(), E> {
    plane.fill(0);
    let (mut at, mut context) = (0, 0);
    while at < plane.len() {
        let token = get(context)?;
        if token > ZEROS {
            return Err(wrong("token", u64::from(token), u64::from(ZEROS) + 1));
        }
        let run = usize::from(token / 3);
        let left = plane.len() - at;
        if run > left {
            return Err(wrong("zeros", run as u64, left as u64 + 1));
        }
        at += run;
        context = if run > FEW { AFTER_MANY } else { 0 };
        if token == ZEROS || at == plane.len() {
            continue;
        }
        plane[at] = match token % 3 {
            0 => 1,
            1 => 255,
            _ => get(VALUE)?,
        };
        at += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_come_back() {
        let mut seed = 5u32;
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) as usize
        };
        for n in [1, 2, 83, 84, 85, 168, 169, 4096] {
            for every in [1, 2, 7, 60, 84, 85, 300, 10_000] {
                let plane: Vec<u8> = (0..n)
                    .map(|_| if next().is_multiple_of(every) { [1, 255, 2, 200][next() % 4] } else { 0 })
                    .collect();
                let (mut contexts, mut symbols) = (vec![7], vec![7]);
                write(&plane, 40, &mut contexts, &mut symbols);
                let mut symbols = contexts.iter().zip(&symbols).skip(1);
                let mut back = vec![9; n];
                let get = |context| match symbols.next() {
                    Some((&of, &symbol)) if of == 40 + context => Ok(symbol),
                    other => Err(format!("{other:?} in place of {context}")),
                };
                read(&mut back, get, |what, actual, _| format!("{what} {actual}")).unwrap();
                assert_eq!(back, plane, "{n} every {every}");
                assert!(symbols.next().is_none());
            }
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let read_all = |bytes: &[u8], n| {
            let mut bytes = bytes.iter();
            let get = |_| bytes.next().copied().ok_or("ends");
            read(&mut vec![0; n], get, |what, _, _| what)
        };
        assert_eq!(read_all(&[253], 100), Err("token"));
        assert_eq!(read_all(&[33], 10), Err("zeros"));
        assert_eq!(read_all(&[2], 10), Err("ends"));
        assert_eq!(read_all(&[30], 10), Ok(()));
    }
}
