//! Kitagawa's decomposition of a change of a mean over strata.
//!
//! With shares `v, w` and means `m, n` of the strata in the reference and in the current window:
//!
//! ```text
//! total = sum w n - sum v m,   mix = sum (w - v)(m + n)/2,   within = sum (n - m)(v + w)/2,   total = mix + within
//! ```
//!
//! The symmetric two-term form: neither window is the standard. A stratum seen in one window only has no mean in the
//! other; give it the mean it has, and its whole contribution is mix. Unit: that of the means. Unbounded. Assumes
//! nothing about distributions: it is an identity. Errors: `Empty`, `NonFinite`, `LengthMismatch`, `OutOfRange` (a
//! negative share, or shares that do not sum to 1 within 1e-6). Source: Kitagawa 1955 (J. Am. Stat. Assoc. 50).

use crate::sample::{require_finite, require_same_length, total_mass};
use crate::{Error, Result};

/// Slack for shares that were rounded; they are used as given, so that the parts add up to the numbers reported.
const SHARE_SLACK: f64 = 1e-6;

/// The strata of one window.
#[derive(Debug, Clone, Copy)]
pub struct Strata<'v> {
    /// Share of each stratum, summing to 1.
    pub shares: &'v [f64],
    /// Mean of each stratum.
    pub means: &'v [f64],
}

/// A change of a mean, split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decomposition {
    /// Current mean minus reference mean.
    pub total: f64,
    /// Because the strata have other shares.
    pub mix: f64,
    /// Because the strata have other means.
    pub within: f64,
}

/// Splits the change from `reference` to `current`; strata in the same order.
pub fn kitagawa(reference: Strata<'_>, current: Strata<'_>) -> Result<Decomposition> {
    let strata = reference.shares.len();
    require_same_length(("reference shares", strata), ("reference means", reference.means.len()))?;
    require_same_length(("reference shares", strata), ("current shares", current.shares.len()))?;
    require_same_length(("reference shares", strata), ("current means", current.means.len()))?;
    require_finite("reference means", reference.means)?;
    require_finite("current means", current.means)?;
    require_shares("reference shares", reference.shares)?;
    require_shares("current shares", current.shares)?;
    let mut parts = Decomposition { total: 0.0, mix: 0.0, within: 0.0 };
    let before = reference.shares.iter().zip(reference.means);
    let after = current.shares.iter().zip(current.means);
    for ((v, m), (w, n)) in before.zip(after) {
        parts.total += w * n - v * m;
        parts.mix += (w - v) * f64::midpoint(*m, *n);
        parts.within += (n - m) * f64::midpoint(*v, *w);
    }
    Ok(parts)
}

fn require_shares(what: &'static str, shares: &[f64]) -> Result<()> {
    let total = total_mass(what, shares)?;
    if (total - 1.0).abs() > SHARE_SLACK {
        return Err(Error::OutOfRange { what, value: total, range: "a sum of 1" });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reference: Strata<'_>, current: Strata<'_>, mix: f64, within: f64) {
        let parts = kitagawa(reference, current).unwrap();
        assert!((parts.mix - mix).abs() < 1e-12 && (parts.within - within).abs() < 1e-12, "{parts:?}");
        assert!((parts.total - parts.mix - parts.within).abs() < 1e-12);
    }

    #[test]
    fn other_shares_of_the_same_strata_are_mix_alone() {
        let means = &[0.2, 0.8];
        check(Strata { shares: &[0.5, 0.5], means }, Strata { shares: &[0.25, 0.75], means }, 0.15, 0.0);
    }

    #[test]
    fn other_means_of_the_same_shares_are_within_alone() {
        let shares = &[0.5, 0.5];
        check(Strata { shares, means: &[0.2, 0.8] }, Strata { shares, means: &[0.4, 0.8] }, 0.0, 0.1);
    }

    #[test]
    fn counts_instead_of_shares_are_refused() {
        let strata = Strata { shares: &[5.0, 5.0], means: &[0.2, 0.8] };
        assert!(matches!(kitagawa(strata, strata), Err(Error::OutOfRange { .. })));
    }
}
