//! What every randomisation test reports, and how it draws.
//!
//! `p = (1 + #{permuted statistic >= observed}) / (1 + B)`: the observed arrangement is one of those the null
//! hypothesis makes equally likely, so `p` is never 0 and the test is exact at any `B` (Phipson & Smyth 2010).

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::Result;
use crate::sample::require_count;

/// Outcome of a randomisation test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PermutationTest {
    /// The observed statistic.
    pub statistic: f64,
    /// `(1 + #{as extreme}) / (1 + B)`, in (0, 1].
    pub p_value: f64,
    /// `B`, the rearrangements drawn.
    pub permutations: u32,
}

/// Draws `permutations` rearrangements of a statistic and counts those at least as large as `observed`.
///
/// Sums of the same numbers in another order differ in the last bits; a slack of a few of them keeps equal
/// rearrangements equal.
pub(crate) fn permutation_test(
    observed: f64,
    permutations: u32,
    seed: u64,
    mut rearranged: impl FnMut(&mut ChaCha8Rng) -> f64,
) -> Result<PermutationTest> {
    require_count("permutations", permutations as usize, 1)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let reached = observed - 1e-12 * observed.abs().max(1e-3);
    let extreme = (0..permutations).filter(|_| rearranged(&mut rng) >= reached).count();
    let p_value = (1 + extreme) as f64 / (1.0 + f64::from(permutations));
    Ok(PermutationTest { statistic: observed, p_value, permutations })
}

/// Fisher–Yates over the first `drawn` places: they hold a uniform sample in uniform order.
pub(crate) fn shuffle_front<V>(values: &mut [V], drawn: usize, rng: &mut ChaCha8Rng) {
    for place in 0..drawn.min(values.len().saturating_sub(1)) {
        let other = rng.random_range(place..values.len());
        values.swap(place, other);
    }
}
