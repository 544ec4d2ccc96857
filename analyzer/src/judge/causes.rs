//! The causes of whatever changed beyond noise, dimension by dimension.

use std::collections::BTreeMap;

use tidemark_stats::Persistence;

use super::rankings::Measure;
use crate::causes::{self, Cause, Classifier, Seen, Share, UnitAccount, sentence, shares};
use crate::error::Error;
use crate::intern::{FastMap, FastSet};
use crate::report::{Affects, CauseReport, FloorBasis, Judgement, MultiplicityReport, RetrievalReport, TrafficReport};
use crate::scores::Scores;
use crate::stage::is_pointwise;
use crate::units::Matched;

/// All that causes are found by.
pub(super) struct Causes<'a> {
    pub(super) matched: &'a Matched<'a>,
    pub(super) classifiers: &'a BTreeMap<u32, Classifier<'a>>,
    pub(super) p: Persistence,
    /// The stages that changed first; their accounts explain what follows them.
    pub(super) first: &'a FastSet<u32>,
    pub(super) last: &'a FastSet<u32>,
    /// The versions that the windows declare.
    pub(super) versions: (&'a [String], &'a [String]),
}

/// What rankings are explained by: the units, what each counts, and what is charged for it.
pub(super) struct Explained {
    units: Vec<usize>,
    weights: Option<Vec<f64>>,
    accounts: Vec<UnitAccount>,
    basis: FloorBasis,
    /// What the judged stages were asked in another way than before, where the change is explained by others.
    requested: Vec<Share>,
}

impl Explained {
    /// The part of each unit's change that no noise can make.
    pub(super) fn proofs(&self, matched: &Matched<'_>) -> FastMap<usize, f64> {
        self.units.iter().copied().zip(causes::proofs(&self.units, &self.accounts, matched)).collect()
    }

    /// The parts of the causes. What stages before the judged ones cannot know, that these were asked for fewer documents or
    /// for other ones, comes first; they share the rest.
    fn shares(&self) -> Vec<Share> {
        let mut all = shares(&self.accounts, self.weights.as_deref(), self.basis);
        let unknown = |share: &&Share| !all.iter().any(|known| known.cause == share.cause);
        let requested: Vec<Share> = self.requested.iter().filter(unknown).copied().collect();
        let rest = 1.0 - requested.iter().map(|share| share.part).sum::<f64>();
        for share in &mut all {
            share.part *= rest;
        }
        all.extend(requested);
        all.sort_by(|a, b| b.part.total_cmp(&a.part));
        all
    }
}

impl Causes<'_> {
    /// The accounts of the judged units, where rankings changed beyond noise.
    pub(super) fn of_judged(
        &self,
        (retrieval, multiplicity): (&RetrievalReport, &MultiplicityReport),
        measure: &Measure,
    ) -> Result<Option<Explained>, Error> {
        let changed = beyond_noise(retrieval, multiplicity);
        changed.then(|| self.accounts(measure.effect.units.clone(), measure.effect.basis)).transpose()
    }

    /// The accounts of the units that explain the change: those of the stages that changed first, and of the judged ones
    /// where none stands out.
    fn explained(&self, judged: Explained, measure: &Measure) -> Result<Explained, Error> {
        let first: FastSet<u32> = self.first.iter().copied().collect();
        let inherited = !first.is_empty() && first.iter().any(|stage| !self.last.contains(stage));
        if !inherited || measure.effect.basis != FloorBasis::Reference {
            return Ok(judged);
        }
        let repeated = |unit: &usize| self.matched.units.get(*unit).is_some_and(|unit| unit.reference.len() > 1);
        let units = self.matched.of_stages(&first).into_iter().filter(repeated).collect();
        let requested = judged.shares().into_iter().filter(|share| share.cause.is_of_the_request());
        let requested = requested.filter(|share| share.declared > 0.5).collect();
        Ok(Explained { requested, ..self.accounts(units, measure.effect.basis)? })
    }

    fn accounts(&self, units: Vec<usize>, basis: FloorBasis) -> Result<Explained, Error> {
        let weights = self.matched.weights(&units);
        let accounts = causes::accounts(&units, self.matched, self.classifiers, self.p)?;
        Ok(Explained { units, weights, accounts, basis, requested: Vec::new() })
    }

    /// The causes of rankings and scores, where these changed beyond noise.
    pub(super) fn of_all(
        &self,
        (retrieval, measure): (&RetrievalReport, &Measure),
        judged: Option<Explained>,
        (scores, units): (&Scores, &[usize]),
    ) -> Result<Vec<CauseReport>, Error> {
        let mut causes = Vec::new();
        if let Some(judged) = judged {
            causes = self.of_rankings(&self.explained(judged, measure)?);
        }
        if retrieval.scores.verdict == Judgement::Drift {
            causes.extend(self.of_scores(retrieval, scores, units, &causes));
        }
        Ok(causes)
    }

    /// What explains a unit's change by the rules of its stage.
    fn classifier(&self, units: &[usize]) -> Option<&Classifier<'_>> {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for unit in units.iter().filter_map(|unit| self.matched.units.get(*unit)) {
            *counts.entry(unit.stage).or_default() += 1;
        }
        // Of equals the first by its name.
        let name =
            |stage: &u32| self.classifiers.get(stage).map(|classifier| classifier.vocabulary.stage_of(*stage).clone());
        let (stage, _) = counts.into_iter().max_by_key(|(stage, count)| (*count, std::cmp::Reverse(name(stage))))?;
        self.classifiers.get(&stage)
    }

    fn of_rankings(&self, explained: &Explained) -> Vec<CauseReport> {
        let Some(classifier) = self.classifier(&explained.units) else { return Vec::new() };
        let seen = Seen {
            units: explained.units.len(),
            versions: self.versions,
            rescoring: classifier.rescoring,
            usual_lengths: classifier.usual_lengths,
        };
        let report = |share: &Share| CauseReport {
            cause: share.cause,
            affects: Affects::Ranking,
            share: share.part,
            declared: share.declared > 0.5,
            declared_share: share.declared,
            evidence: sentence(share, &seen, classifier.vocabulary),
            since: None,
        };
        explained.shares().iter().map(report).collect()
    }

    /// Why scores of unchanged documents moved. Scores that follow the corpus or the other documents of the answer moved
    /// for whatever changed the rankings.
    fn of_scores(
        &self,
        retrieval: &RetrievalReport,
        found: &Scores,
        units: &[usize],
        rankings: &[CauseReport],
    ) -> Option<CauseReport> {
        let scores = &retrieval.scores;
        let classifier = self.classifiers.get(&found.stage?)?;
        let kind = scores.kind.unwrap_or_default();
        let follows = !is_pointwise(kind);
        let other_version = self.versions.0 != self.versions.1;
        let inherited = rankings.first().filter(|_| follows);
        let moved_corpus = follows.then(|| self.registered_change(classifier)).flatten();
        let (cause, declared_share) = match (moved_corpus, inherited) {
            (Some(cause), _) if other_version => (cause, 1.0),
            (_, Some(first)) => (first.cause, first.declared_share),
            _ => (self.rescoring_cause(classifier, kind, &self.of_stage(units, found.stage)), found.declared),
        };
        let number = |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.3}"));
        let declared = declared_share > 0.5;
        let turned =
            if classifier.rescoring.is_turned() { "; direction turned: what scored high scores low now" } else { "" };
        Some(CauseReport {
            cause,
            affects: Affects::Scores,
            share: 1.0,
            declared,
            declared_share,
            evidence: format!(
                "scores of unchanged documents moved by {} in {} queries: scale {}, order agreement {}{turned}; {}",
                number(scores.shift),
                scores.queries,
                number(scores.scale),
                number(scores.order_agreement),
                match (declared, follows && other_version) {
                    (true, true) => "such scores follow the corpus, and another version of it was declared",
                    (true, false) if cause == Cause::Embedding || cause == Cause::Scoring => {
                        "a change of embedder, index or retriever was declared"
                    }
                    (true, false) => "it follows what changed the rankings, which was declared",
                    (false, _) => "nothing was declared",
                }
            ),
            since: None,
        })
    }

    fn registered_change(&self, classifier: &Classifier<'_>) -> Option<Cause> {
        let pairs = self.versions.0.iter().flat_map(|a| self.versions.1.iter().map(move |b| (a, b)));
        pairs.filter(|(a, b)| a != b).find_map(|(a, b)| classifier.presence.main_change((Some(a), Some(b))))
    }

    fn of_stage(&self, units: &[usize], stage: Option<u32>) -> Vec<usize> {
        let is_of_stage = |unit: &&usize| self.matched.units.get(**unit).map(|unit| unit.stage) == stage;
        units.iter().filter(is_of_stage).copied().collect()
    }

    fn rescoring_cause(&self, classifier: &Classifier<'_>, kind: tidemark_schema::ScoreKind, units: &[usize]) -> Cause {
        use tidemark_schema::ScoreKind;
        let contexts = |window: fn(&crate::units::MatchedUnit<'_>) -> Option<u32>| {
            units.iter().filter_map(move |unit| window(self.matched.units.get(*unit)?))
        };
        let embedders = |window| -> std::collections::BTreeSet<Option<&str>> {
            contexts(window).map(|context| classifier.vocabulary.context_of(context).embedder.as_deref()).collect()
        };
        let before = embedders(|unit| unit.reference.first().map(|observed| observed.context));
        let after = embedders(|unit| unit.current.first().map(|observed| observed.context));
        let is_declared = before != after && !before.contains(&None) && !after.contains(&None);
        let embeds = !matches!(kind, ScoreKind::Bm25 | ScoreKind::Rerank);
        if is_declared || (classifier.embedder_moved && embeds) {
            Cause::Embedding
        } else if classifier.rescoring.is_rescaling() || !embeds {
            Cause::Scoring
        } else {
            Cause::Embedding
        }
    }
}

/// Whether rankings changed beyond noise, be it by less than matters: whoever waits for more evidence, or wonders about a
/// small change, is helped by knowing where to look.
fn beyond_noise(retrieval: &RetrievalReport, multiplicity: &MultiplicityReport) -> bool {
    let test = multiplicity.tests.iter().find(|test| test.verdict == "retrieval");
    // Between neighbours a small effect may be one of what was asked, whatever the variogram takes out.
    let (units, least) = match &retrieval.neighbours {
        None => (retrieval.matched_queries, 0.0),
        Some(neighbours) => (neighbours.groups, retrieval.threshold),
    };
    retrieval.verdict == Judgement::Drift
        || (units >= retrieval.queries_min
            && retrieval.excess_change.is_some_and(|excess| excess > least)
            && test.is_some_and(|test| test.adjusted_p_value < multiplicity.alpha))
}

/// Nobody declares what users will ask.
pub(super) fn of_traffic(traffic: &TrafficReport) -> CauseReport {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let mut evidence = format!(
        "the windows have {} of their operations in common, by fingerprint",
        percent(traffic.fingerprint_overlap.unwrap_or(0.0))
    );
    if let Some(mix) = traffic.mixes.first().filter(|mix| mix.excess_distance > traffic.threshold)
        && let Some(value) = mix.shifted.first()
    {
        evidence.push_str(&format!(
            "; {}={} went from {} to {} of the operations",
            mix.key,
            value.value,
            percent(value.reference_share),
            percent(value.current_share)
        ));
    } else if let Some(class) = traffic.shifted.first() {
        let named =
            class.example.as_ref().map_or_else(|| "rare queries".to_owned(), |name| format!("queries like {name}"));
        evidence.push_str(&format!(
            "; {named} went from {} to {} of the operations",
            percent(class.reference_share),
            percent(class.current_share)
        ));
    }
    if let Some(top) = traffic.marginals.iter().find(|marginal| marginal.measure == "top_score") {
        evidence.push_str(&format!(
            "; the mean top score changed by {:.4}, {:.4} of it through the mix of queries",
            top.change, top.mix
        ));
    }
    CauseReport {
        cause: Cause::QueryMix,
        affects: Affects::Traffic,
        share: 1.0,
        declared: false,
        declared_share: 0.0,
        evidence,
        since: None,
    }
}

/// Documents under new names.
pub(super) fn of_ids(renamed: usize, queries: usize, declared: bool) -> CauseReport {
    CauseReport {
        cause: Cause::IdChurn,
        affects: Affects::Identity,
        share: 1.0,
        declared,
        declared_share: f64::from(u8::from(declared)),
        evidence: format!(
            "{renamed} of {queries} queries return documents under new ids with unchanged content; rankings are compared by content"
        ),
        since: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::Reason;

    #[test]
    fn what_the_judged_stage_was_asked_for_comes_first_and_the_others_share_the_rest() {
        let share = |cause, part, declared| Share { cause, part, declared, queries: 1 };
        let mut account = causes::Account::default();
        account.add(Reason { cause: Cause::IndexRecall, declared: false }, 0.2);
        account.add(Reason { cause: Cause::Bounds, declared: false }, 0.2);
        let explained = |requested| Explained {
            units: vec![0],
            weights: None,
            accounts: vec![UnitAccount::of(&account)],
            basis: FloorBasis::Reference,
            requested,
        };
        let parts = |requested| {
            let shares = explained(requested).shares();
            shares.iter().map(|share| (share.cause, share.part, share.declared)).collect::<Vec<_>>()
        };
        let scope = share(Cause::Scope, 0.6, 1.0);
        assert_eq!(
            parts(vec![scope]),
            [(Cause::Scope, 0.6, 1.0), (Cause::Bounds, 0.2, 0.0), (Cause::IndexRecall, 0.2, 0.0)]
        );
        // What the stages that changed first know of as well is not counted twice.
        assert_eq!(
            parts(vec![share(Cause::Bounds, 0.6, 1.0)]),
            [(Cause::Bounds, 0.5, 0.0), (Cause::IndexRecall, 0.5, 0.0)]
        );
    }
}
