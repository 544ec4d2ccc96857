//! What is compared with what: equal questions or, where too few are asked in both windows, similar ones.

use tidemark_stats::Persistence;

use crate::compare::Options;
use crate::effect::{Measured, effect};
use crate::error::Error;
use crate::intern::FastSet;
use crate::matched::{self, UnitChange};
use crate::neighbours::{Compared, Neighbours};
use crate::observe::Observations;
use crate::pipeline::Pipeline;
use crate::report::NeighbourBasis;
use crate::units::{Matched, MatchedUnit, matched};
use crate::vocabulary::Vocabulary;

/// Repeats suffice where they make up at least this part of the current window: less is a head of questions that are asked
/// again and again, and may be answered from a cache.
const REPEATS: f64 = 0.25;

/// Where the same things are asked, at least so large a part of the current answers begin with a document that answers of the
/// reference began with, whatever embeds the questions; where other things are, fewer do.
const FAMILIAR: f64 = 0.25;

/// What questions are matched by.
pub(super) struct Matching<'a> {
    pub(super) pipeline: &'a Pipeline,
    /// The keys that split answers.
    pub(super) learnt: &'a [String],
    /// Whether tenants are not told apart.
    pub(super) as_one: bool,
    pub(super) vocabulary: &'a Vocabulary,
    pub(super) p: Persistence,
    pub(super) options: &'a Options,
}

/// Units of both windows, how far the answers of each are apart, and how much of the current window they are.
pub(super) struct Measure<'a> {
    pub(super) matched: Matched<'a>,
    pub(super) changes: Vec<UnitChange>,
    /// The share of the current operations whose questions are compared.
    pub(super) coverage: f64,
}

impl Matching<'_> {
    /// Matches equal questions.
    pub(super) fn equal<'w>(&self, windows: (&'w Observations, &'w Observations)) -> Matched<'w> {
        matched(windows, self.pipeline, (self.learnt, self.as_one), self.vocabulary)
    }

    /// Groups similar questions, where equal ones, which are a share of the traffic, do not suffice.
    pub(super) fn neighbours(
        &self,
        windows: (&Observations, &Observations),
        (equal, share): (&Matched<'_>, f64),
        stages: &FastSet<u32>,
    ) -> Result<Option<Neighbours>, Error> {
        if share >= REPEATS && equal.of_stages(stages).len() >= self.options.queries_min {
            return Ok(None);
        }
        let (vocabulary, as_one, p) = (self.vocabulary, self.as_one, self.p);
        Neighbours::of(&Compared { windows: [windows.0, windows.1], stages, as_one, vocabulary, p })
    }

    /// Whether answers that begin alike are no longer as alike as they were. If they are, questions have no neighbours
    /// because other things are asked.
    fn have_changed(&self, found: &Measure<'_>, stages: &FastSet<u32>) -> Result<bool, Error> {
        let judged = found.matched.of_stages(stages).into_iter();
        let measured = |unit: usize| Some(Measured { unit, change: *found.changes.get(unit)?, proof: None });
        let measured: Vec<Measured> = judged.filter_map(measured).collect();
        let effect = effect(&measured, &found.matched, (2, self.options.resamples), self.options)?;
        Ok(effect.excess.is_some_and(|excess| excess.low > self.options.threshold))
    }

    /// Measures equal questions, which are so large a part of the traffic.
    pub(super) fn measure_equal<'w>(&self, matched: Matched<'w>, coverage: f64) -> Result<Measure<'w>, Error> {
        let changes = matched::measure(&matched.units, None, self.vocabulary, self.p)?;
        Ok(Measure { matched, changes, coverage })
    }

    /// Matches and measures groups of similar questions, as far as a floor is known for them; none where neighbours agree too
    /// little, or say less than equal questions, which are a share of the traffic. How much they agree is learnt at the judged
    /// stages and holds for the others as well.
    pub(super) fn similar<'n>(
        &self,
        neighbours: &'n Neighbours,
        share: f64,
        stages: &FastSet<u32>,
    ) -> Result<Option<Measure<'n>>, Error> {
        let mut matched = self.equal((&neighbours.before, &neighbours.after));
        let changes = matched::measure(&matched.units, Some(neighbours), self.vocabulary, self.p)?;
        let known = matched.units.into_iter().zip(changes).filter(|(_, change)| change.within_reference.is_some());
        let changes: Vec<UnitChange>;
        (matched.units, changes) = known.unzip();
        let judged = matched.of_stages(stages);
        let floors: Vec<f64> = judged.iter().filter_map(|unit| changes.get(*unit)?.within_reference).collect();
        let Some(times) = neighbours.extrapolation(crate::scores::mean(&floors).unwrap_or(0.0)) else {
            return Ok(None);
        };
        matched.extrapolation = Some(times);
        let coverage = neighbours.eligible * self.coverage(&matched, &neighbours.after);
        let found = Measure { matched, changes, coverage };
        let is_better = match neighbours.basis {
            NeighbourBasis::FirstDocument => coverage >= share.max(FAMILIAR) && self.have_changed(&found, stages)?,
            NeighbourBasis::Embedding | NeighbourBasis::Text => coverage > share,
        };
        Ok(is_better.then_some(found))
    }

    /// The share of the current operations whose questions are compared.
    pub(super) fn coverage(&self, matched: &Matched<'_>, current: &Observations) -> f64 {
        let tenant = |unit: &MatchedUnit<'_>| matched.populations.get(unit.population)?.tenant;
        let compared: FastSet<_> = matched.units.iter().map(|unit| (unit.query, unit.stage, tenant(unit))).collect();
        let (mut all, mut known) = (0.0, 0.0);
        for (unit, sample) in current.units.iter().filter(|(unit, _)| self.pipeline.is_judged(unit.stage)) {
            let tenant = if self.as_one { None } else { self.vocabulary.limits_of(unit.limits).tenant };
            let is_known = compared.contains(&(unit.query, self.pipeline.reference_of(unit.stage), tenant));
            all += sample.weight();
            known += if is_known { sample.weight() } else { 0.0 };
        }
        if all > 0.0 { known / all } else { 0.0 }
    }
}
