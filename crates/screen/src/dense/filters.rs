//! How values are expected from their neighbours: several sets of weights for a packet, found for it, and which box uses which.

use super::history::History;
use super::planes::{Filter, Place, PlaneCoder, Planes, Sums, TAPS, Weights};
use crate::error::DecodeError;
use crate::wire::{Cursor, range};

/// Packets with fewer values in a plane use what is customary.
const FEW: usize = 2_000;
/// With so many more, boxes are told apart in so many more ways.
const STEPS: [usize; 4] = [12_000, 30_000, 80_000, 200_000];
/// Times that boxes choose among sets of weights, and these are found anew.
const ROUNDS: usize = 4;
/// Largest weight.
const LARGEST: f64 = 1_000.0;

/// The sets, and each box's.
pub(super) struct Filters {
    sets: Vec<Filter>,
    pub(super) of_box: Vec<u8>,
}

/// Without anything known: the values to the left and above, less the one between them.
const CUSTOMARY: Weights = {
    let mut weights = [0; TAPS];
    (weights[0], weights[2], weights[3]) = (176, -112, 32);
    weights
};
const CUSTOMARY_FILTER: Filter = [CUSTOMARY; 3];

impl Filters {
    pub(super) fn get(&self, of_box: u8) -> &Filter {
        self.sets.get(usize::from(of_box)).unwrap_or(&CUSTOMARY_FILTER)
    }

    /// Finds weights for boxes whose values are known.
    pub(super) fn find(coder: &mut PlaneCoder, boxes: &[(Place, Planes)], history: &History) -> Self {
        let mut filters = Self { sets: Vec::new(), of_box: vec![0; boxes.len()] };
        let pixels = |places: &[usize]| places.iter().map(|&i| boxes[i].1[0].len()).sum::<usize>();
        let all: Vec<usize> = (0..boxes.len()).collect();
        if pixels(&all) < FEW {
            return filters;
        }
        // Boxes with a picture before them have more to go by.
        for with_old in [false, true] {
            let group: Vec<usize> =
                all.iter().copied().filter(|&i| boxes[i].0.moved.is_some() == with_old).collect();
            if group.is_empty() {
                continue;
            }
            let ways = 1 << STEPS.iter().filter(|step| pixels(&group) >= **step).count();
            let sums: Vec<[Sums; 3]> = group
                .iter()
                .map(|&i| [0, 1, 2].map(|plane| coder.sums(&boxes[i].0, plane, &boxes[i].1, history)))
                .collect();
            let first = filters.sets.len();
            let mut choices: Vec<usize> = (0..group.len()).map(|i| i * ways / group.len()).collect();
            let mut sets = Vec::new();
            for round in 0..ROUNDS {
                sets = (0..ways).map(|way| solve_all(&sums, &choices, way)).collect();
                if ways == 1 || round + 1 == ROUNDS {
                    break;
                }
                for (choice, sums) in choices.iter_mut().zip(&sums) {
                    let cost = |set: &[[f64; TAPS]; 3]| -> f64 {
                        sums.iter().zip(set).map(|(s, w)| error(s, w)).sum()
                    };
                    let costs = sets.iter().map(cost).enumerate();
                    *choice = costs.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(way, _)| way);
                }
            }
            let whole = |weights: &[f64; TAPS]| {
                weights.map(|weight| (weight * 256.0).round().clamp(-LARGEST, LARGEST) as i16)
            };
            filters.sets.extend(sets.iter().map(|set| set.each_ref().map(whole)));
            for (&at, choice) in group.iter().zip(choices) {
                filters.of_box[at] = (first + choice) as u8;
            }
        }
        filters
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(self.sets.len() as u8);
        out.extend(self.sets.iter().flatten().flatten().flat_map(|weight| weight.to_le_bytes()));
        if self.sets.len() > 1 {
            out.extend_from_slice(&self.of_box);
        }
    }

    pub(super) fn read(rest: &mut Cursor<'_>, boxes: usize) -> Result<Self, DecodeError> {
        let count = usize::from(rest.byte()?);
        let mut sets = Vec::with_capacity(count);
        for _ in 0..count {
            let mut filter: Filter = [[0; TAPS]; 3];
            for weights in &mut filter {
                let bytes = rest.take(TAPS * 2)?;
                for (weight, bytes) in weights.iter_mut().zip(bytes.as_chunks::<2>().0) {
                    *weight = i16::from_le_bytes(*bytes);
                }
            }
            sets.push(filter);
        }
        let of_box = if count > 1 { rest.take(boxes)?.to_vec() } else { vec![0; boxes] };
        match of_box.iter().find(|set| usize::from(**set) >= count.max(1)) {
            Some(&set) => Err(range("set of weights", set.into(), count as u64)),
            None => Ok(Self { sets, of_box }),
        }
    }
}

/// The weights with the least squares of errors over the boxes that chose a set.
fn solve_all(sums: &[[Sums; 3]], choices: &[usize], way: usize) -> [[f64; TAPS]; 3] {
    [0, 1, 2].map(|plane| {
        let mut products = [[0.0; TAPS]; TAPS];
        let mut with_value = [0.0; TAPS];
        for (of_box, _) in sums.iter().zip(choices).filter(|(_, choice)| **choice == way) {
            let of_plane = &of_box[plane];
            for (to, row) in products.iter_mut().zip(&of_plane.products) {
                to.iter_mut().zip(row).for_each(|(to, value)| *to += value);
            }
            with_value.iter_mut().zip(&of_plane.with_value).for_each(|(to, value)| *to += value);
        }
        solve(&mut products, &mut with_value)
    })
}

/// Twice what the squares of errors come to, less what does not depend on the weights.
fn error(sums: &Sums, weights: &[f64; TAPS]) -> f64 {
    let rows = sums.products.iter().zip(&sums.with_value).zip(weights);
    rows.map(|((row, with_value), weight)| {
        let product: f64 = row.iter().zip(weights).map(|(a, b)| a * b).sum();
        weight * (product - 2.0 * with_value)
    })
    .sum()
}

/// Solves a symmetric system of equations, held away from weights that little speaks for.
fn solve(products: &mut [[f64; TAPS]; TAPS], values: &mut [f64; TAPS]) -> [f64; TAPS] {
    for (i, row) in products.iter_mut().enumerate() {
        row[i] += 0.5 + row[i] * 1e-4;
    }
    for i in 0..TAPS {
        for below in i + 1..TAPS {
            let factor = products[below][i] / products[i][i];
            let row = products[i];
            products[below].iter_mut().zip(row).skip(i).for_each(|(to, value)| *to -= factor * value);
            values[below] -= factor * values[i];
        }
    }
    let mut weights = [0.0; TAPS];
    for i in (0..TAPS).rev() {
        let known: f64 = products[i].iter().zip(&weights).skip(i + 1).map(|(a, b)| a * b).sum();
        weights[i] = (values[i] - known) / products[i][i];
    }
    weights
}
