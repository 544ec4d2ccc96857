//! Whether what was asked for keeps a document out: bounds on number, length and age, scopes and filters.

use crate::answer::Answer;
use crate::vocabulary::{Context, State, Vocabulary};

/// Whether a bound that only `b` had, or had tighter, keeps the document at place `i` of `a` out.
pub(super) fn outside_bounds(
    (vocabulary, i, state): (&Vocabulary, usize, &State),
    (first, second): (&Answer, &Answer),
    (a, b): (&Context, &Context),
) -> bool {
    let tighter =
        |before: Option<u32>, after: Option<u32>| after.filter(|after| before.is_none_or(|before| *after < before));
    if tighter(a.top_k, b.top_k).is_some_and(|top_k| i >= top_k as usize) {
        return true;
    }
    if let Some(budget) = tighter(a.context_tokens, b.context_tokens) {
        let tokens = (0..=i)
            .filter_map(|place| first.states.get(place).map(|state| vocabulary.state_of(*state))?.tokens)
            .map(u64::from);
        if tokens.sum::<u64>() > u64::from(budget) {
            return true;
        }
    }
    tighter(a.max_age_s, b.max_age_s).is_some_and(|age| {
        // The answer's own time is not kept; a document older than the bound beside the freshest one of the answer is
        // older than the bound at any time the answer was given.
        let newest = second.states.iter().filter_map(|state| vocabulary.state_of(*state).updated_at).max();
        matches!((state.updated_at, newest), (Some(updated), Some(newest)) if updated.plus_seconds(i64::from(age)) < newest)
    })
}

/// Whether a restriction that `b` had and `a` did not keeps a document of this scope out.
pub(super) fn outside_scope(a: &Context, b: &Context, scope: Option<u32>) -> bool {
    if a.scope == b.scope && a.filter == b.filter {
        return false;
    }
    match scope {
        Some(scope) if !b.scope.is_empty() => !b.scope.contains(&scope),
        // The filter changed and nothing says what it let through.
        _ => a.filter != b.filter && b.filter.is_some(),
    }
}
