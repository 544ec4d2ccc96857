//! Two mass distributions over the same categories, brought to sum 1.

use crate::Result;
use crate::sample::{require_same_length, total_mass};

/// Pairs of shares `(p, q)`, category by category.
pub(crate) fn shares(reference: &[f64], current: &[f64]) -> Result<impl Iterator<Item = (f64, f64)>> {
    require_same_length(("reference", reference.len()), ("current", current.len()))?;
    let (before, after) = (total_mass("reference", reference)?, total_mass("current", current)?);
    Ok(reference.iter().zip(current).map(move |(p, q)| (p / before, q / after)))
}
