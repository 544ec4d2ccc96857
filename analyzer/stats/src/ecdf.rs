//! The difference of two empirical distribution functions, which several distances integrate.

/// A stretch of the real line on which `F_x - F_y` is constant.
pub(crate) struct Step {
    /// Length of the stretch; infinite values cannot occur, the last stretch ends at the largest observation.
    pub(crate) width: f64,
    /// `F_x`, as a count of observations of `x`.
    pub(crate) below_x: usize,
    /// `F_y`, as a count of observations of `y`.
    pub(crate) below_y: usize,
}

/// The stretches between neighbouring distinct values of two sorted samples, then one of width 0 at the end.
pub(crate) fn steps<'s>(x: &'s [f64], y: &'s [f64]) -> impl Iterator<Item = Step> + 's {
    let (mut below_x, mut below_y) = (0, 0);
    std::iter::from_fn(move || {
        let value = match (x.get(below_x), y.get(below_y)) {
            (Some(left), Some(right)) => left.min(*right),
            (Some(only), None) | (None, Some(only)) => *only,
            (None, None) => return None,
        };
        while x.get(below_x).is_some_and(|&next| next <= value) {
            below_x += 1;
        }
        while y.get(below_y).is_some_and(|&next| next <= value) {
            below_y += 1;
        }
        let next = match (x.get(below_x), y.get(below_y)) {
            (Some(left), Some(right)) => left.min(*right),
            (Some(only), None) | (None, Some(only)) => *only,
            (None, None) => value,
        };
        Some(Step { width: next - value, below_x, below_y })
    })
}
