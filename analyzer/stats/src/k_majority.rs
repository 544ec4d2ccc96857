//! Clusters of 64-bit locality-sensitive hashes: k-means with the Hamming distance, whose centres are majorities.
//!
//! ```text
//! cluster(x) = argmin over j of popcount(x xor c_j)        bit i of c_j = 1 where most members of cluster j have it
//! ```
//!
//! The first centre is the first point; each further one is drawn with probability proportional to the squared distance
//! to the nearest centre so far (k-means++). Then assignment and majority alternate until nothing moves, at most 25
//! times. A cluster that lost all its members keeps its centre. Ties go to the centre with the lower number and, in a
//! majority, to 0. The same points in the same order with the same seed give the same centres.
//!
//! Unit: bits. Errors: `Empty`. Source: Grana et al. 2013 (k-majority); Arthur & Vassilvitskii 2007 (k-means++).

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Error, Result};

const ROUNDS: usize = 25;

/// At most `k` centres of the points; fewer if there are fewer different points.
pub fn k_majority(points: &[u64], k: usize, seed: u64) -> Result<Vec<u64>> {
    let first = *points.first().ok_or(Error::Empty { what: "points" })?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut centres = vec![first];
    let mut squared: Vec<u64> = points.iter().map(|point| u64::from((point ^ first).count_ones()).pow(2)).collect();
    while centres.len() < k {
        let total: u64 = squared.iter().sum();
        if total == 0 {
            break;
        }
        // The remainder's bias is below the total over 2^64.
        let mut draw = rng.next_u64() % total;
        let next = squared.iter().position(|weight| {
            let here = draw < *weight;
            draw = draw.saturating_sub(*weight);
            here
        });
        let Some(centre) = next.and_then(|at| points.get(at)).copied() else { break };
        centres.push(centre);
        for (weight, point) in squared.iter_mut().zip(points) {
            *weight = (*weight).min(u64::from((point ^ centre).count_ones()).pow(2));
        }
    }
    let mut assigned: Vec<usize> = Vec::new();
    for _ in 0..ROUNDS {
        let nearest: Vec<usize> = points.iter().map(|point| nearest(&centres, *point)).collect();
        if nearest == assigned {
            break;
        }
        assigned = nearest;
        centres = majorities(points, &assigned, &centres);
    }
    Ok(centres)
}

/// The number of the centre that is nearest to a point; 0 if there is none.
pub fn nearest(centres: &[u64], point: u64) -> usize {
    let distance = |centre: &u64| (centre ^ point).count_ones();
    centres
        .iter()
        .enumerate()
        .min_by_key(|(number, centre)| (distance(centre), *number))
        .map_or(0, |(number, _)| number)
}

fn majorities(points: &[u64], assigned: &[usize], centres: &[u64]) -> Vec<u64> {
    let mut ones = vec![[0_usize; 64]; centres.len()];
    let mut members = vec![0_usize; centres.len()];
    for (point, &cluster) in points.iter().zip(assigned) {
        members[cluster] += 1;
        for (bit, count) in ones[cluster].iter_mut().enumerate() {
            *count += usize::from(point >> bit & 1 == 1);
        }
    }
    let majority = |(cluster, centre): (usize, &u64)| {
        if members[cluster] == 0 {
            return *centre;
        }
        let set = |bit: &usize| 2 * ones[cluster][*bit] > members[cluster];
        (0..64).filter(set).fold(0, |bits, bit| bits | 1 << bit)
    };
    centres.iter().enumerate().map(majority).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scattered(centre: u64, n: u64) -> impl Iterator<Item = u64> {
        // Each differs from the centre in two bits.
        (0..n).map(move |i| centre ^ (1 << (i % 61)) ^ (1 << ((i * 7 + 3) % 61)))
    }

    #[test]
    fn points_around_two_centres_fall_into_two_clusters() {
        let (a, b) = (0x0f0f_0f0f_0f0f_0f0f, 0xffff_0000_ffff_0000);
        let points: Vec<u64> = scattered(a, 50).chain(scattered(b, 50)).collect();
        let centres = k_majority(&points, 2, 1).unwrap();
        let numbers: Vec<usize> = points.iter().map(|point| nearest(&centres, *point)).collect();
        assert!(numbers[..50].iter().all(|number| *number == numbers[0]), "{numbers:?}");
        assert!(numbers[50..].iter().all(|number| *number != numbers[0]), "{numbers:?}");
        let mut found = centres.clone();
        found.sort_unstable();
        assert_eq!(found, [a, b]);
    }

    #[test]
    fn there_are_no_more_clusters_than_different_points() {
        assert_eq!(k_majority(&[5, 5, 5], 4, 1), Ok(vec![5]));
        assert_eq!(k_majority(&[], 4, 1), Err(Error::Empty { what: "points" }));
    }

    #[test]
    fn the_same_seed_gives_the_same_centres() {
        let points: Vec<u64> = (1..200_u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        assert_eq!(k_majority(&points, 8, 3), k_majority(&points, 8, 3));
    }
}
