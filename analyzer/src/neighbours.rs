//! Questions that nobody asks twice: similar ones are compared as if they were one.
//!
//! People phrase freely, and in a chat a question hardly ever comes back in the same words. Then neighbouring questions stand
//! in for repeats. The questions of both windows are put into small groups of neighbours without looking at who asked when,
//! and a group is compared as one question is: answers of the current window with those of the reference, beyond what those
//! of the reference are apart. What neighbours are apart because they ask different things is known from the reference, as
//! a function of how different the questions are (the variogram), and is taken out. An exact repeat is a neighbour at
//! distance 0, and a class of its own: "status of order 4711" and "status of order 4712" are near and rightly answered with
//! different documents, the same question asked twice is not.
//!
//! In a conversation a question is asked again in other words. Such neighbours are more alike than those of two windows can be,
//! so of operations that follow each other within minutes one is taken.
//!
//! Where the questions of the current window have no neighbours in the reference at all, either other things are asked or
//! questions are embedded in another way. Then their texts tell or, without these, their answers: what questions get whose
//! answers begin with the same document.

mod groups;
mod learn;

use tidemark_stats::{Persistence, Variogram};

use crate::error::Error;
use crate::intern::{FastMap, FastSet, QueryNumber, stable_hash};
use crate::observe::{Observations, Observed, Unit, UnitSample};
use crate::report::{NeighbourBasis, NeighboursReport};
use crate::signatures::{Hash, Signatures, differing};
use crate::units::MatchedUnit;
use crate::vocabulary::Vocabulary;
use groups::{Groups, Question, questions};
use learn::{Learnt, alike, learn};

/// The part of the agreement that is left at the distance of neighbours: as much as possible, while so large a part of the current ones has one.
const NEAR: [f64; 3] = [0.9, 0.7, 0.5];
const MOST: f64 = 0.3;
/// Where answers to the nearest questions agree by less than this beyond those to any two, a question says nothing of its
/// neighbours' answers.
const INFORMATIVE: f64 = 0.05;
/// Where so large a part of the questions of the reference have neighbours there, and less than this part of that many of the
/// current ones do, the hashes moved or other things are asked.
const OWN: f64 = 0.2;
const MOVED: f64 = 0.1;
/// Of so many questions that both windows asked it is known whether they are hashed in another way.
const REPEATS_MIN: usize = 5;

/// Whoever is not content asks again in other words: within so many microseconds a similar question is about the same thing,
/// as one of another week is not. Of a short window so large a part of it.
const CONVERSATION: i64 = 600_000_000;
const PARTS: i64 = 64;

/// Where less than this part of the agreement of answers to one question is left between neighbours, too little is.
const AGREEMENT_MIN: f64 = 0.3;

/// A question of one tenant.
type Key = (QueryNumber, Option<u32>);

/// What the questions of two windows are looked at by.
pub(crate) struct Compared<'a> {
    pub(crate) windows: [&'a Observations; 2],
    /// The stages whose answers are judged.
    pub(crate) stages: &'a FastSet<u32>,
    /// Whether tenants are not told apart.
    pub(crate) as_one: bool,
    pub(crate) vocabulary: &'a Vocabulary,
    pub(crate) p: Persistence,
}

/// What neighbours are found by, best first.
const HASHES: [(NeighbourBasis, Hash); 2] = [
    (NeighbourBasis::Embedding, |signatures| signatures.embedding),
    (NeighbourBasis::Text, |signatures| signatures.text),
];

impl<'a> Compared<'a> {
    fn key(&self, unit: &Unit) -> Key {
        (unit.query, if self.as_one { None } else { self.vocabulary.limits_of(unit.limits).tenant })
    }

    /// The units of a window that answer the judged stages, in an order that neither numbers nor rows have a part in and
    /// fingerprints none that means anything.
    fn judged(&self, window: usize) -> Vec<(Unit, &'a UnitSample)> {
        let limits = self.vocabulary.limit_ranks();
        let units = self.windows.get(window).into_iter().flat_map(|window| &window.units);
        let judged = units.filter(|(unit, _)| self.stages.contains(&unit.stage));
        let mut judged: Vec<(Unit, &UnitSample)> = judged.map(|(unit, sample)| (*unit, sample)).collect();
        judged.sort_by_cached_key(|(unit, _)| {
            let (fingerprint, stage, limits) = unit.order((self.vocabulary, &limits));
            (stable_hash(fingerprint.as_bytes()), fingerprint, stage, limits)
        });
        judged
    }

    /// Operations of a window that follow each other sooner, in microseconds, may be of one conversation.
    fn gap(&self, window: usize) -> i64 {
        let span = self.windows.get(window).and_then(|window| window.span);
        span.map_or(0, |(from, to)| CONVERSATION.min((to.micros() - from.micros()) / PARTS))
    }

    /// How many questions each window asked.
    fn asked(&self) -> [usize; 2] {
        self.windows.map(|window| window.units.keys().map(|unit| self.key(unit)).collect::<FastSet<Key>>().len())
    }

    /// Whether questions that both windows asked have another hash in the second; unknown where there are hardly any.
    fn repeats_moved(&self, hash: Hash) -> Option<bool> {
        let (both, differing) = differing(self.windows, hash, |unit| self.key(unit));
        (both >= REPEATS_MIN).then_some(2 * differing > both)
    }
}

/// Two windows whose similar questions are asked as one.
pub(crate) struct Neighbours {
    /// The reference.
    pub(crate) before: Observations,
    /// The current window.
    pub(crate) after: Observations,
    /// What similar questions are found by.
    pub(crate) basis: NeighbourBasis,
    /// Whether questions are embedded in another way than in the reference, as far as that is known by another basis.
    pub(crate) moved: bool,
    /// How far answers to neighbouring questions are apart, inside the reference.
    pub(crate) variogram: Variogram,
    /// Hashes of neighbours differ in at most so many bits.
    pub(crate) radius: u32,
    /// How far answers to the same question are apart, where any repeats.
    repeats: Option<f64>,
    /// The share of the current operations that could be in a group.
    pub(crate) eligible: f64,
    /// Who asked what, by operation.
    asked: FastMap<u64, (QueryNumber, u64)>,
}

impl Neighbours {
    /// Groups the questions of two windows; none where questions have no hashes or say nothing of their neighbours' answers.
    pub(crate) fn of(compared: &Compared<'_>) -> Result<Option<Self>, Error> {
        let asked = compared.asked();
        let mut moved = None;
        for (basis, hash) in HASHES {
            let questions = questions(compared, hash);
            let known = |window: usize| questions.iter().filter(|question| question.asked[window] > 0).count();
            if [0, 1].iter().any(|window| 2 * known(*window) <= asked[*window]) {
                continue;
            }
            let Some(learnt) = learn(compared, &questions)? else { continue };
            if learnt.variogram.sill() - learnt.variogram.nugget() < INFORMATIVE {
                continue;
            }
            let groups = nearest(&questions, &learnt.variogram);
            if groups.covered[1] >= MOVED * groups.covered[0] {
                return Ok(Some(Self::grouped(compared, (&questions, &groups), learnt, (basis, moved.is_some()))));
            }
            if basis == NeighbourBasis::Text {
                // The texts say it: other things are asked.
                return Ok(None);
            }
            if groups.covered[0] >= OWN && compared.repeats_moved(hash) != Some(false) {
                moved = Some((questions, groups.radius));
            }
        }
        let Some((questions, radius)) = moved else { return Ok(None) };
        let Some((learnt, groups)) = alike(compared, &questions, radius)? else { return Ok(None) };
        Ok(Some(Self::grouped(compared, (&questions, &groups), learnt, (NeighbourBasis::FirstDocument, true))))
    }

    fn grouped(
        compared: &Compared<'_>,
        (questions, groups): (&[Question], &Groups),
        Learnt { variogram, repeats }: Learnt,
        (basis, moved): (NeighbourBasis, bool),
    ) -> Self {
        let mut leaders: FastMap<Key, QueryNumber> = FastMap::default();
        for group in &groups.members {
            let members = || group.iter().filter_map(|at| questions.get(*at));
            let Some(first) = members().next() else { continue };
            leaders.extend(members().map(|question| (question.key, first.key.0)));
        }
        let leader = |unit: Unit| Some(Unit { query: *leaders.get(&compared.key(&unit))?, ..unit });
        let [before, after] = [0, 1].map(|window| compared.windows[window].regrouped(leader, compared.gap(window)));
        let hashes: FastMap<Key, u64> = questions.iter().map(|question| (question.key, question.hash)).collect();
        let mut asked = FastMap::default();
        let judged = [0, 1].map(|window| compared.judged(window));
        for (unit, sample) in judged.iter().flatten() {
            let key = compared.key(unit);
            let Some(hash) = hashes.get(&key).filter(|_| leaders.contains_key(&key)) else { continue };
            for observed in &sample.sample {
                asked.entry(observed.operation).or_insert((unit.query, *hash));
            }
        }
        let (mut all, mut known) = (0.0, 0.0);
        for (unit, sample) in &judged[1] {
            let key = compared.key(unit);
            let may_be_compared = match basis {
                NeighbourBasis::FirstDocument => leaders.contains_key(&key),
                // Beyond so many groups those that there are stand for the others.
                NeighbourBasis::Embedding | NeighbourBasis::Text => hashes.contains_key(&key),
            };
            all += sample.weight();
            known += if may_be_compared { sample.weight() } else { 0.0 };
        }
        let eligible = if all > 0.0 { known / all } else { 0.0 };
        Self { before, after, basis, moved, variogram, radius: groups.radius, repeats, asked, eligible }
    }

    /// How far the answers of two operations are apart because of what they were asked.
    pub(crate) fn expected(&self, a: &Observed, b: &Observed) -> f64 {
        match (self.asked.get(&a.operation), self.asked.get(&b.operation)) {
            _ if self.basis == NeighbourBasis::FirstDocument => self.variogram.nugget(),
            (Some((a, _)), Some((b, _))) if a == b => self.repeats.unwrap_or(0.0),
            (Some((_, a)), Some((_, b))) => self.variogram.at((a ^ b).count_ones()),
            _ => self.variogram.nugget(),
        }
    }

    /// How far answers to one question are apart.
    pub(crate) fn nugget(&self) -> f64 {
        self.repeats.unwrap_or_else(|| self.variogram.nugget())
    }

    /// How far answers of a unit are apart because of what they were asked, on average over the pairs between the windows.
    pub(crate) fn expected_between(&self, unit: &MatchedUnit<'_>) -> f64 {
        let pairs = unit.reference.iter().flat_map(|a| unit.current.iter().map(move |b| self.expected(a, b)));
        crate::scores::mean(&pairs.collect::<Vec<_>>()).unwrap_or(self.variogram.nugget())
    }

    /// How far answers of a unit would be apart between the windows without a change: as those of the reference are, and by as
    /// much more or less as the variogram says of questions so far apart. None of a unit with one answer in the reference:
    /// the variogram is a mean over all questions, and no floor for one.
    pub(crate) fn floor(&self, unit: &MatchedUnit<'_>, within: Option<f64>) -> Option<f64> {
        if self.basis == NeighbourBasis::FirstDocument {
            return Some(self.variogram.nugget());
        }
        let later = |i: usize| unit.reference.iter().skip(i + 1);
        let pairs = unit.reference.iter().enumerate().flat_map(|(i, a)| later(i).map(move |b| self.expected(a, b)));
        let inside = crate::scores::mean(&pairs.collect::<Vec<_>>())?;
        Some(within? + self.expected_between(unit) - inside)
    }

    /// What a change between answers to neighbours is multiplied with to be one between answers to one question, given how far
    /// answers to neighbours are apart without it: the inverse square of the part of their agreement that is left.
    ///
    /// A document that a change takes away is only missed where both answers held it: that part. What takes its place is only
    /// new where it is not in the other answer already; documents that neighbours differ by stand just below the end, and so
    /// many of the first that take a place are: that part again. Where no question repeats, answers to one question are taken
    /// to be equal, which overstates the change of retrieval that disagrees with itself. Of answers that begin alike it is not
    /// known what they would have in common: the change is at least what it seems.
    /// None where so little is left that it says nothing.
    pub(crate) fn extrapolation(&self, apart: f64) -> Option<f64> {
        let left = (1.0 - apart) / (1.0 - self.repeats.unwrap_or(0.0)).max(f64::EPSILON);
        match self.basis {
            NeighbourBasis::FirstDocument => Some(1.0),
            _ => (left >= AGREEMENT_MIN).then(|| left.min(1.0).powi(-2)),
        }
    }

    /// What a report says of it, given how many groups were compared.
    pub(crate) fn report(&self, groups: usize) -> NeighboursReport {
        NeighboursReport {
            basis: self.basis,
            groups,
            differing_bits: (self.basis != NeighbourBasis::FirstDocument).then_some(self.radius),
            nugget: self.nugget(),
            sill: self.variogram.sill(),
            embedder_moved: self.moved,
        }
    }

    /// The hash that questions of both windows have in common, for those who group them by it.
    pub(crate) fn common_hash(&self) -> Hash {
        match self.basis {
            NeighbourBasis::Embedding => Signatures::best,
            NeighbourBasis::Text => |signatures| signatures.text,
            NeighbourBasis::FirstDocument => |_| None,
        }
    }
}

/// Groups of the nearest questions, as near as they can be while most of the current ones have a neighbour.
fn nearest(questions: &[Question], variogram: &Variogram) -> Groups {
    let mut radius = 0;
    for part in NEAR {
        radius = variogram.reach(part);
        if Groups::tried(questions, radius).covered[1] >= MOST {
            break;
        }
    }
    Groups::all(questions, radius)
}
