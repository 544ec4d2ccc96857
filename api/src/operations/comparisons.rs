//! Two windows, one report.

use std::future::Future;

use tidemark_analyzer::{Options, Report, Segment, Selector, Window, compare};
use tidemark_schema::{CorpusName, Timestamp};

use super::{Action, Caller, Error, Operations};

/// Which windows are compared, and how.
#[derive(Debug, Clone)]
pub struct Comparison {
    windows: [Window; 2],
    segment: Segment,
    options: Options,
    now: Timestamp,
}

impl Comparison {
    /// A comparison of the windows that two texts select, such as `version:v1` and `last:7d`. `now` is what `last` and
    /// `before` count from.
    pub fn new(
        corpus: &CorpusName,
        [reference, current]: [&str; 2],
        segment: Segment,
        options: Options,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let selectors: (Selector, Selector) = (reference.parse()?, current.parse()?);
        let selectors = (&selectors.0, &selectors.1);
        let (reference, current) = Selector::resolve_pair(selectors, (reference, current), corpus, now)?;
        Ok(Self { windows: [reference, current], segment, options, now })
    }
}

impl Operations {
    /// Compares two windows. What it gives can be awaited on another thread: it computes as much as it waits.
    pub fn compare(
        &self,
        caller: &Caller,
        comparison: Comparison,
    ) -> impl Future<Output = Result<Report, Error>> + Send + 'static {
        let (operations, caller) = (self.clone(), caller.clone());
        async move {
            let store = operations.store(&caller, Action::CompareWindows).await?;
            let Comparison { windows: [reference, current], segment, options, now } = &comparison;
            let windows = (reference, current);
            Ok(compare(&store.lake, &store.registry, windows, segment, options, *now).await?)
        }
    }
}
