//! Rules by the names that they ask for, quickly: names are neither copied nor put into small letters to be looked up.

use super::folded;

/// Rules of a policy by folded names.
#[derive(Default)]
pub(super) struct Names {
    /// Hash and number of the entry, `EMPTY` where there is none. Twice as many slots as entries at least, a power of two.
    slots: Vec<(u64, u32)>,
    entries: Vec<(Box<[u8]>, Rules)>,
}

/// Rules that ask for a name.
enum Rules {
    /// A few numbers.
    Few(Vec<u32>),
    /// A set of them.
    Many(Vec<u64>),
}

const EMPTY: u32 = u32::MAX;

impl Names {
    /// `words` is the length of a set of rules; each rule comes after those with smaller numbers.
    pub(super) fn new<'a>(words: usize, asked: impl Iterator<Item = (usize, &'a [String])>) -> Self {
        let mut entries: Vec<(Box<[u8]>, Vec<u32>)> = Vec::new();
        let mut known = std::collections::HashMap::<Box<[u8]>, usize>::new();
        for (rule, names) in asked {
            for name in names {
                let name: Box<[u8]> = folded(name).into_bytes().into();
                let at = *known.entry(name.clone()).or_insert(entries.len());
                if at == entries.len() {
                    entries.push((name, Vec::new()));
                }
                let rules = &mut entries[at].1;
                if rules.last() != Some(&(rule as u32)) {
                    rules.push(rule as u32);
                }
            }
        }
        let mut slots = vec![(0, EMPTY); (entries.len() * 2).next_power_of_two()];
        for (number, (name, _)) in entries.iter().enumerate() {
            let hash = hash(name);
            let mut at = hash as usize & (slots.len() - 1);
            while slots[at].1 != EMPTY {
                at = (at + 1) & (slots.len() - 1);
            }
            slots[at] = (hash, number as u32);
        }
        let entries = entries.into_iter().map(|(name, rules)| (name, Rules::new(words, rules)));
        Self { slots, entries: entries.collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds the rules that ask for this name.
    pub(super) fn add(&self, name: &str, some: &mut [u64]) {
        let bytes = name.as_bytes();
        // Nothing to trim, and nothing but letters of which each has one small one.
        let is_plain = matches!((bytes.first(), bytes.last()), (Some(0x21..=0x7e), Some(0x21..=0x7e)));
        let found =
            if is_plain && name.is_ascii() { self.get(bytes) } else { self.get(folded(name).as_bytes()) };
        match found {
            None => {}
            Some(Rules::Few(rules)) => rules.iter().for_each(|rule| set(some, *rule as usize)),
            Some(Rules::Many(rules)) => some.iter_mut().zip(rules).for_each(|(some, rules)| *some |= rules),
        }
    }

    fn get(&self, name: &[u8]) -> Option<&Rules> {
        let hash = hash(name);
        let last = self.slots.len() - 1;
        let mut at = hash as usize & last;
        loop {
            let (of, entry) = *self.slots.get(at)?;
            let (known, rules) = self.entries.get(entry as usize)?;
            if of == hash && known.eq_ignore_ascii_case(name) {
                return Some(rules);
            }
            at = (at + 1) & last;
        }
    }
}

impl Rules {
    fn new(words: usize, rules: Vec<u32>) -> Self {
        if rules.len() <= words {
            return Self::Few(rules);
        }
        let mut all = vec![0; words];
        rules.into_iter().for_each(|rule| set(&mut all, rule as usize));
        Self::Many(all)
    }
}

pub(super) fn set(bits: &mut [u64], rule: usize) {
    bits[rule / 64] |= 1 << (rule % 64);
}

/// A hash that takes no notice of the case of ASCII letters. Nobody from outside adds names, so it need not withstand an attack.
fn hash(name: &[u8]) -> u64 {
    let mut hash = name.len() as u64;
    let mut words = name.chunks_exact(8);
    for word in words.by_ref() {
        hash = mix(hash, word_of(word));
    }
    mix(hash, words.remainder().iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
}

fn word_of(eight: &[u8]) -> u64 {
    eight.try_into().map_or(0, u64::from_le_bytes)
}

fn mix(hash: u64, word: u64) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let product = u128::from(hash ^ small(word)).wrapping_mul(u128::from(ODD));
    (product as u64) ^ (product >> 64) as u64
}

/// Eight ASCII letters at a time in small letters; other bytes as they are.
fn small(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let low = word & (0x7f * EACH);
    let from_a = low + (0x80 - u64::from(b'A')) * EACH;
    let behind_z = low + (0x7f - u64::from(b'Z')) * EACH;
    let capitals = (from_a ^ behind_z) & !word & (0x80 * EACH);
    word | capitals >> 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_case_of_letters_is_all_that_does_not_count() {
        for byte in 0..=255u8 {
            assert_eq!(small(u64::from(byte) * 0x0101), u64::from(byte.to_ascii_lowercase()) * 0x0101);
        }
        assert_eq!(hash(b"CORP\\Ada Lovelace"), hash(b"corp\\ada lovelace"));
        assert_ne!(hash(b"a"), hash(b"a\0"));
    }

    #[test]
    fn names_are_found_in_any_form() {
        let lists: Vec<Vec<String>> =
            (0..500).map(|n| vec![format!("Name {n}"), "Everybody".into(), " Ärzte ".into()]).collect();
        let names = Names::new(8, lists.iter().map(Vec::as_slice).enumerate());
        let found = |name: &str| {
            let mut some = [0; 8];
            names.add(name, &mut some);
            some.iter().map(|word| word.count_ones()).sum::<u32>()
        };
        for number in 0..500 {
            assert_eq!(found(&format!(" nAME {number}\t")), 1);
        }
        assert_eq!((found("everybody"), found("ÄRZTE"), found("ärzte"), found("arzte")), (500, 500, 500, 0));
        assert_eq!((found(""), found("Name"), found("Name 500")), (0, 0, 0));
        let none = Names::new(0, std::iter::empty());
        none.add("x", &mut []);
    }
}
