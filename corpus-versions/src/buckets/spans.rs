use std::ops::Range;

use super::index::Index;
use crate::merkle::Subtree;

/// Consecutive buckets of an older and of a newer manifest, to be read at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) before: Range<usize>,
    pub(crate) after: Range<usize>,
}

/// The buckets that are wanted, by what is known of them in both manifests, which are compared at the smaller depth.
///
/// Neighbours make a span as long as their blocks have at most `bytes` together.
pub(crate) fn spans(
    [before, after]: [&Index; 2],
    bytes: u64,
    mut wanted: impl FnMut(Subtree, Subtree) -> bool,
) -> Vec<Span> {
    let depth = before.depth().min(after.depth());
    let within = |index: &Index, number: usize| {
        let finer = index.depth() - depth;
        number << finer..(number + 1) << finer
    };
    let bytes_of = |span: &Span| {
        let ranges = [before.range(span.before.clone()), after.range(span.after.clone())];
        ranges.into_iter().map(|range| range.end - range.start).sum::<u64>()
    };
    let mut spans: Vec<Span> = Vec::new();
    for number in 0..1 << depth {
        let span = Span { before: within(before, number), after: within(after, number) };
        if !wanted(before.subtree(span.before.clone()), after.subtree(span.after.clone())) {
            continue;
        }
        if let Some(last) = spans.last_mut()
            && last.before.end == span.before.start
            && bytes_of(last) + bytes_of(&span) <= bytes
        {
            last.before.end = span.before.end;
            last.after.end = span.after.end;
        } else {
            spans.push(span);
        }
    }
    spans
}
