//! Several questions as one.

use super::{Observations, Observed, SAMPLE, Unit, UnitSample};
use crate::intern::{FastMap, FastSet};

impl Observations {
    /// The operations of some units as those of others, with no more of each than an ordinary unit keeps and none that follows
    /// another one within so many microseconds.
    pub(crate) fn regrouped(&self, of: impl Fn(Unit) -> Option<Unit>, gap: i64) -> Self {
        let mut units: FastMap<Unit, UnitSample> = FastMap::default();
        for (unit, sample) in &self.units {
            if let Some(unit) = of(*unit) {
                units.entry(unit).or_default().merge(sample.clone(), SAMPLE);
            }
        }
        for sample in units.values_mut() {
            sample.space(gap);
        }
        Self {
            events: self.events,
            units,
            span: self.span,
            operations: self.operations.regrouped(of),
            ..Self::default()
        }
    }
}

impl UnitSample {
    /// Leaves out operations of a trace that is there already, or that follow another one too soon.
    fn space(&mut self, gap: i64) {
        let mut in_time: Vec<&Observed> = self.sample.iter().collect();
        in_time.sort_by_key(|observed| (observed.occurred_at, observed.operation));
        let (mut kept, mut traces, mut last) = (FastSet::default(), FastSet::default(), None);
        for observed in in_time {
            let is_late = last.is_none_or(|last| observed.occurred_at - last >= gap);
            if is_late && observed.trace.is_none_or(|trace| traces.insert(trace)) {
                kept.insert(observed.operation);
                last = Some(observed.occurred_at);
            }
        }
        self.sample.retain(|observed| kept.contains(&observed.operation));
    }
}
