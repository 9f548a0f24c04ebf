//! Ten thousand forgeries of real recordings, by somebody who holds the server: its files, its database and the key it seals with, and
//! for some of them even the authority's key. Only the agent's key is out of reach. Every one of them must be found.
#![allow(clippy::unwrap_used, reason = "a test may fail by it")]

mod support;

use playhead_format::{Channel, Closing, Flags, Fragment, MetaMessage, Sealer, Signer, Status};
use playhead_model::EndReason;
use playhead_proof::{ProofState, Trust};
use std::{collections::BTreeMap, sync::Arc};
use support::{
    House, Part, Party, assemble, by_segment, chained, digest, files, judge, record, seal, written,
};

const COUNT: u64 = 10_000;
const SEED: u64 = 0x706c_6179_6865_6164;

/// Numbers that look random and are the same each time.
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % sides as u64) as usize
    }

    /// One of several.
    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.roll(all.len())]
    }
}

/// How a forger treats the signatures in what was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signatures {
    /// Leaves the agent's.
    Stale,
    /// Takes away those after the change.
    StripAfter,
    /// Takes away all, and the agent's certificate.
    StripAll,
    /// Signs with the site's key.
    BySite,
    /// Signs with a key that another authority certified as the agent's.
    ByRogue,
    /// Signs with a key that the site's own authority, whose key was stolen, certified as the agent's.
    ByStolenAuthority,
}

const SIGNATURES: [Signatures; 6] = [
    Signatures::Stale,
    Signatures::StripAfter,
    Signatures::StripAll,
    Signatures::BySite,
    Signatures::ByRogue,
    Signatures::ByStolenAuthority,
];

const KINDS: [&str; 21] = [
    "flip",
    "cut",
    "remove",
    "swap",
    "repeat",
    "insert",
    "exchange",
    "exchange a segment",
    "remove a segment",
    "change and chain anew",
    "remove and chain anew",
    "insert and chain anew",
    "swap and chain anew",
    "add after a signature",
    "replace the seal",
    "remove seals",
    "seal with another key",
    "change a seal's text",
    "roll back",
    "roll back to a forged end",
    "strip the end's signature",
];

#[derive(Clone)]
struct Forger {
    dice: Dice,
    house: Arc<House>,
    site: Party,
    rogue: Party,
    stolen: Party,
    sealer: Sealer,
    /// The recording, and two others to take parts of: by the same agent, and by another.
    real: Vec<Fragment>,
    others: Vec<Vec<Fragment>>,
    files: Vec<Vec<u8>>,
    other_files: Vec<Vec<Vec<u8>>>,
    by_authority: Trust,
    by_pin: Trust,
    by_both: Trust,
}

impl Forger {
    fn new() -> Self {
        let (house, elsewhere) = (Arc::new(House::new("site")), House::new("elsewhere"));
        let (agent, other) = (house.party("agent", "pc1"), house.party("agent", "pc2"));
        let site = house.party("site", "site");
        let sealer = house.sealer(&site, Some(&agent));
        let real = record(1, Some(&agent.signer));
        let others = vec![record(2, Some(&agent.signer)), record(3, Some(&other.signer))];
        let real_files = written(&real, &sealer, &site.signer);
        let other_files = others.iter().map(|other| files(other, false, &sealer, &site.signer)).collect();
        Self {
            dice: Dice(SEED),
            by_authority: house.trust(""),
            by_pin: Trust::from_pem(&format!("{}{}", agent.certificate, site.certificate)).unwrap(),
            by_both: house.trust(&agent.certificate),
            rogue: elsewhere.party("agent", "pc1"),
            stolen: house.party("agent", "pc1"),
            house,
            site,
            sealer,
            real,
            others,
            files: real_files,
            other_files,
        }
    }

    /// A fragment that neither opens nor ends a segment.
    fn inner(&mut self) -> usize {
        loop {
            let at = 1 + self.dice.roll(self.real.len() - 2);
            let opens = |at: usize| self.real[at].head.flags.first_of_segment;
            if !self.real[at].head.flags.anchor && !opens(at) && !opens(at + 1) {
                return at;
            }
        }
    }

    fn parts(&self) -> Vec<Part> {
        self.real.iter().map(Part::of).collect()
    }

    /// Chains parts anew from a place on and seals the files with the site's key.
    fn anew(&mut self, mut parts: Vec<Part>, from: usize, lost: bool) -> (Vec<Vec<u8>>, bool) {
        let how = *self.dice.pick(&SIGNATURES);
        let mut from = from;
        match how {
            Signatures::StripAfter => parts[from..].iter_mut().for_each(Part::strip),
            Signatures::StripAll => {
                from = 0;
                parts.iter_mut().for_each(Part::strip);
            }
            // A key must be one for the whole recording.
            Signatures::ByRogue | Signatures::ByStolenAuthority => from = 0,
            Signatures::Stale | Signatures::BySite => {}
        }
        let signer = match how {
            Signatures::BySite => Some(&self.site.signer),
            Signatures::ByRogue => Some(&self.rogue.signer),
            Signatures::ByStolenAuthority => Some(&self.stolen.signer),
            _ => None,
        };
        let fragments = chained(&self.real, parts, from, signer);
        let sealer = match how {
            Signatures::StripAll => self.house.sealer(&self.site, None),
            Signatures::ByRogue => self.house.sealer(&self.site, Some(&self.rogue)),
            Signatures::ByStolenAuthority => self.house.sealer(&self.site, Some(&self.stolen)),
            _ => self.sealer.clone(),
        };
        let made = files(&fragments, lost, &sealer, &self.site.signer);
        (made, how == Signatures::ByStolenAuthority)
    }

    /// Files of fragments that need not follow one another.
    fn loose(&self, fragments: &[Fragment]) -> Vec<Vec<u8>> {
        files(fragments, false, &self.sealer, &self.site.signer)
    }

    /// A forgery; also tells whether it needs the authority's key.
    fn forge(&mut self, kind: &str) -> (Vec<Vec<u8>>, bool) {
        let mut made = self.files.clone();
        let at = self.inner();
        let file = self.dice.roll(made.len());
        match kind {
            "flip" => {
                let place = self.dice.roll(made[file].len());
                made[file][place] ^= 1 << self.dice.roll(8);
            }
            "cut" => {
                let length = self.dice.roll(made[file].len());
                made[file].truncate(length);
            }
            "remove" | "swap" | "repeat" | "insert" | "exchange" => {
                let mut fragments = self.real.clone();
                let other = self.dice.roll(self.others.len());
                let other = &self.others[other];
                let foreign = other[at.min(other.len() - 1)].clone();
                match kind {
                    "remove" => drop(fragments.remove(at)),
                    "swap" => fragments.swap(at, at + 1),
                    "repeat" => fragments.insert(at, fragments[at].clone()),
                    "insert" => fragments.insert(at, foreign),
                    _ => fragments[at] = foreign,
                }
                made = self.loose(&fragments);
            }
            "exchange a segment" => {
                let other = self.dice.roll(self.other_files.len());
                made[file] = self.other_files[other][file].clone();
            }
            "remove a segment" => drop(made.remove(file)),
            "change and chain anew" => {
                let mut parts = self.parts();
                let message = self.dice.roll(parts[at].messages.len());
                let data = &mut parts[at].messages[message].3;
                let place = self.dice.roll(data.len());
                data[place] ^= 1 << self.dice.roll(8);
                return self.anew(parts, at, false);
            }
            "remove and chain anew" => {
                let mut parts = self.parts();
                parts.remove(at);
                return self.anew(parts, at, false);
            }
            "insert and chain anew" => {
                let mut parts = self.parts();
                let other = self.dice.roll(self.others.len());
                let mut foreign = Part::of(&self.others[other][1 + at % 5]);
                foreign.head.flags = Flags::default();
                foreign.head.segment = parts[at].head.segment;
                foreign.at(parts[at - 1].head.end_us);
                parts.insert(at, foreign);
                return self.anew(parts, at, false);
            }
            "swap and chain anew" => {
                let mut parts = self.parts();
                let (one, two) = (parts[at - 1].messages.clone(), parts[at].messages.clone());
                let (start, next) = (parts[at - 1].head.start_us, parts[at].head.start_us);
                parts[at - 1].messages = two;
                parts[at].messages = one;
                parts[at - 1].messages.iter_mut().for_each(|message| message.1 = start);
                parts[at].messages.iter_mut().for_each(|message| message.1 = next);
                // What tells of segments and ends stays where it was, so that nothing else gives the forgery away.
                return self.anew(parts, at - 1, false);
            }
            "add after a signature" => {
                let mut parts = self.parts();
                let signed: Vec<usize> = (0..parts.len()).filter(|&at| parts[at].is_signed()).collect();
                let at = *self.dice.pick(&signed);
                let end_us = parts[at].head.end_us;
                parts[at].messages.push((
                    Channel::Cursor.id(),
                    end_us,
                    0,
                    vec![0, 9, 0, 0, 0, 9, 0, 0, 0, 1],
                ));
                let fragments = chained(&self.real, parts, at, None);
                made = self.loose(&fragments);
            }
            "replace the seal" => {
                let segments = by_segment(&self.real);
                let others = by_segment(&self.others[self.dice.roll(2)]);
                let closing = if file + 1 == segments.len() { Closing::Ended } else { Closing::Continues };
                let wrong = self.dice.roll(3);
                made[file] = assemble(&segments[file], closing, |index| {
                    let mut index = index.clone();
                    match wrong {
                        0 => index.head = others[file].last().unwrap().hash,
                        1 => index.segment += 1,
                        _ => index.closing = Closing::Lost,
                    }
                    seal(&self.sealer, &self.site.signer, &index)
                });
            }
            "remove seals" => {
                let segments = by_segment(&self.real);
                let all = self.dice.roll(2) == 0;
                for (number, segment) in
                    segments.iter().enumerate().filter(|(number, _)| all || *number == file)
                {
                    let closing =
                        if number + 1 == segments.len() { Closing::Ended } else { Closing::Continues };
                    made[number] = assemble(segment, closing, |_| None);
                }
            }
            "seal with another key" => {
                // The key is another, the name and certificate are the site's; or all is a stranger's.
                let mut sealer = self.sealer.clone();
                let signer: &Signer = &self.rogue.signer;
                match self.dice.roll(3) {
                    0 => {}
                    1 => sealer.key = signer.key(),
                    _ => {
                        sealer.key = signer.key();
                        sealer.certificates = vec![self.rogue.certificate.clone()];
                    }
                }
                made = files(&self.real, false, &sealer, signer);
            }
            "change a seal's text" => {
                let segments = by_segment(&self.real);
                let closing = if file + 1 == segments.len() { Closing::Ended } else { Closing::Continues };
                let dice = &mut self.dice;
                made[file] = assemble(&segments[file], closing, |index| {
                    let mut bytes = seal(&self.sealer, &self.site.signer, index)?;
                    let place = dice.roll(bytes.len());
                    bytes[place] ^= 1 << dice.roll(8);
                    Some(bytes)
                });
            }
            "roll back" => {
                let keep = 1 + self.dice.roll(self.real.len() - 1);
                made = files(&self.real[..keep], true, &self.sealer, &self.site.signer);
            }
            "roll back to a forged end" => {
                let mut parts = self.parts();
                parts.truncate(at + 1);
                let end_us = parts[at].head.end_us;
                parts[at].head.flags.last = true;
                let end = MetaMessage::End { at_us: end_us, reason: EndReason::SessionEnded };
                let place = self.dice.roll(parts[at].messages.len() + 1);
                let media_us = parts[at].messages.get(place).map_or(end_us, |message| message.1);
                parts[at].messages.insert(place, (Channel::Meta.id(), media_us, 0, end.encode()));
                return self.anew(parts, at, false);
            }
            "strip the end's signature" => {
                let mut parts = self.parts();
                let last = parts.len() - 1;
                parts[last].strip();
                made = self.loose(&chained(&self.real, parts, last, None));
            }
            other => panic!("no forgery is called {other}"),
        }
        (made, false)
    }
}

#[test]
fn every_forgery_is_found() {
    let forger = Forger::new();
    for trust in [&forger.by_authority, &forger.by_pin, &forger.by_both] {
        let real = judge(&forger.files, Some(trust));
        assert_eq!(real.status(), Status::Intact, "{real:#?}");
        assert_eq!(real.proofs[0].state, ProofState::Proved, "{:#?}", real.proofs);
    }
    // Put together by the forger's own means, the same is as good: what is found is not the tools.
    let again = forger.loose(&forger.real);
    assert_eq!(judge(&again, Some(&forger.by_both)).proofs[0].state, ProofState::Proved);
    let original = digest(&forger.files);
    let mut found: BTreeMap<&str, u64> = BTreeMap::new();
    // Every forgery is thrown by itself, so that threads may share them and each is the same every time.
    let share = |first: u64, step: u64| {
        let mut forger = forger.clone();
        let mut found: BTreeMap<&str, u64> = BTreeMap::new();
        for number in (first..COUNT).step_by(step as usize) {
            forger.dice = Dice(SEED ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d));
            let kind = KINDS[number as usize % KINDS.len()];
            let (files, needs_pin) = loop {
                let (files, needs_pin) = forger.forge(kind);
                if digest(&files) != original {
                    break (files, needs_pin);
                }
            };
            let trust = match forger.dice.roll(3) {
                0 if !needs_pin => &forger.by_authority,
                1 => &forger.by_pin,
                _ => &forger.by_both,
            };
            let verdict = judge(&files, Some(trust));
            assert_ne!(verdict.status(), Status::Intact, "forgery {number}, {kind}: {verdict:#?}");
            *found.entry(kind).or_default() += 1;
        }
        found
    };
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let share = &share;
    let shares: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|first| scope.spawn(move || share(first, threads))).collect();
        running.into_iter().map(|running| running.join().unwrap()).collect()
    });
    for (kind, count) in shares.into_iter().flatten() {
        *found.entry(kind).or_default() += count;
    }
    assert_eq!(found.values().sum::<u64>(), COUNT);
    assert_eq!(found.len(), KINDS.len());
}
