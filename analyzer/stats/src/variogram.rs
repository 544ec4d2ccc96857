//! How far answers are apart as a function of how far their questions are apart.
//!
//! ```text
//! gamma(h) = mean of d(r_i, r_j) over pairs of questions at distance h        made non-decreasing in h
//! ```
//!
//! For a distance `d = 1 - k` with a kernel `k` for which `k(r, r) = 1` (the truncated rank-biased overlap is one) this is
//! the variogram of geostatistics, half of the mean squared difference, of the rankings' feature vectors:
//! `|f(a) - f(b)|^2 / 2 = 1 - k(a, b)`. Its value at 0, the nugget, is how far answers to one question are apart by
//! themselves: a noise floor that needs no repeats. Its value at the largest distance is the sill.
//!
//! The means of the distances are made non-decreasing by isotonic regression (pool adjacent violators, weighted with the
//! numbers of pairs), since answers to questions farther apart are not more alike; a distance at which no pair was seen
//! takes the value between its neighbours.
//!
//! Unit: that of `d`; `h` in bits. Errors: `Empty`, `NonFinite`. Assumes that the variogram is the same everywhere
//! (stationarity): where it is not, it is a mean over the places that the pairs were taken from.
//! Source: Matheron 1963; Cressie 1993, section 2.4; Barlow et al. 1972 (pool adjacent violators).

use crate::{Error, Result};

/// A variogram over whole distances from 0 on.
#[derive(Debug, Clone, PartialEq)]
pub struct Variogram {
    values: Vec<f64>,
}

/// Neighbouring distances with one value.
struct Block {
    sum: f64,
    pairs: f64,
    distances: Vec<usize>,
}

impl Block {
    fn mean(&self) -> f64 {
        self.sum / self.pairs
    }
}

impl Variogram {
    /// Fits a variogram up to a largest distance to pairs `(h, d)`; pairs farther apart count as that far.
    pub fn fit(pairs: impl IntoIterator<Item = (u32, f64)>, largest: u32) -> Result<Self> {
        let mut sums = vec![(0.0, 0.0); largest as usize + 1];
        for (index, (h, d)) in pairs.into_iter().enumerate() {
            if !d.is_finite() {
                return Err(Error::NonFinite { what: "distances of answers", index });
            }
            if let Some((sum, count)) = sums.get_mut(h.min(largest) as usize) {
                *sum += d;
                *count += 1.0;
            }
        }
        let mut blocks: Vec<Block> = Vec::new();
        for (h, (sum, pairs)) in sums.iter().enumerate().filter(|(_, (_, pairs))| *pairs > 0.0) {
            let mut block = Block { sum: *sum, pairs: *pairs, distances: vec![h] };
            while let Some(last) = blocks.pop_if(|last| last.mean() >= block.mean()) {
                let distances = [last.distances, block.distances].concat();
                block = Block { sum: last.sum + block.sum, pairs: last.pairs + block.pairs, distances };
            }
            blocks.push(block);
        }
        let known: Vec<(usize, f64)> =
            blocks.iter().flat_map(|block| block.distances.iter().map(|h| (*h, block.mean()))).collect();
        let (Some((_, first)), Some((_, last))) = (known.first().copied(), known.last().copied()) else {
            return Err(Error::Empty { what: "pairs of questions" });
        };
        let value = |h: usize| {
            let after = known.partition_point(|(known, _)| *known < h);
            match (after.checked_sub(1).and_then(|before| known.get(before)), known.get(after)) {
                (_, Some((at, value))) if *at == h => *value,
                (Some((low, below)), Some((high, above))) => {
                    below + (above - below) * (h - low) as f64 / (high - low) as f64
                }
                (None, _) => first,
                (_, None) => last,
            }
        };
        Ok(Self { values: (0..sums.len()).map(value).collect() })
    }

    /// The value at a distance; beyond the largest one, the value there.
    pub fn at(&self, h: u32) -> f64 {
        self.values.get(h as usize).or(self.values.last()).copied().unwrap_or(0.0)
    }

    /// How far answers to one question are apart by themselves.
    pub fn nugget(&self) -> f64 {
        self.at(0)
    }

    /// How far answers to questions are apart that have nothing to do with each other.
    pub fn sill(&self) -> f64 {
        self.at(u32::MAX)
    }

    /// The largest distance at which at least a part of the agreement beyond that of strangers is left.
    pub fn reach(&self, part: f64) -> u32 {
        let least = self.sill() - part * (self.sill() - self.nugget());
        let within = self.values.iter().take_while(|value| **value <= least).count();
        u32::try_from(within.saturating_sub(1)).unwrap_or(u32::MAX)
    }
}
