//! Why rankings changed: every unit of distance is charged to a cause, and the charges add up.
//!
//! The truncated distance between two answers is a sum over the documents of the first (`tidemark_stats::charge`). A
//! document that itself changed carries its charge to its own cause; one that did not, and was merely pushed down, passes
//! its charge in equal parts to the documents that stand above it now and did not before, and so to their causes
//! ([`classify`]). Noise is charged like everything else, so the same account is kept over pairs inside the reference and
//! subtracted: what is left adds up to the excess change, and its parts are the shares.

mod classify;
mod evidence;
mod kept;
mod limits;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::Serialize;
use tidemark_stats::Persistence;

pub(crate) use classify::{Classifier, Reason};
pub(crate) use evidence::{Seen, sentence};
pub(crate) use kept::Kept;

use crate::answer::Answer;
use crate::error::Error;
use crate::matched::Answers;
use crate::report::FloorBasis;
use crate::units::{Matched, MatchedUnit, weight_at};

/// What can change a ranking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The requested number of documents, context or freshness differs and explains the absence alone.
    Bounds,
    /// The scope or filter differs and the document lies outside of it.
    Scope,
    /// One document under a new name.
    IdChurn,
    /// The corpus no longer holds the document.
    CorpusRemoved,
    /// The document's content changed.
    CorpusModified,
    /// New documents pushed others down.
    CorpusAdded,
    /// An exact search would have returned the document.
    IndexRecall,
    /// Scores changed and the order of unchanged documents did not.
    Scoring,
    /// Scores and the order of unchanged documents changed.
    Embedding,
    /// Documents of equal score changed places.
    Nondeterminism,
    /// Other queries are asked: a change of traffic, never of retrieval.
    QueryMix,
    /// None of the others.
    Unexplained,
}

impl Cause {
    /// Whether it lies in what was asked for, and not in what was searched.
    pub(crate) fn is_of_the_request(self) -> bool {
        matches!(self, Self::Bounds | Self::Scope)
    }

    /// Every cause, in the order in which they are asked.
    pub const ALL: [Self; 12] = [
        Self::Bounds,
        Self::Scope,
        Self::IdChurn,
        Self::CorpusRemoved,
        Self::CorpusModified,
        Self::CorpusAdded,
        Self::IndexRecall,
        Self::Scoring,
        Self::Embedding,
        Self::Nondeterminism,
        Self::QueryMix,
        Self::Unexplained,
    ];

    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bounds => "bounds",
            Self::Scope => "scope",
            Self::IdChurn => "id_churn",
            Self::CorpusRemoved => "corpus_removed",
            Self::CorpusModified => "corpus_modified",
            Self::CorpusAdded => "corpus_added",
            Self::IndexRecall => "index_recall",
            Self::Scoring => "scoring",
            Self::Embedding => "embedding",
            Self::Nondeterminism => "nondeterminism",
            Self::QueryMix => "query_mix",
            Self::Unexplained => "unexplained",
        }
    }
}

const CAUSES: usize = Cause::ALL.len();

/// How much of a distance is charged to each cause, and how much of that was declared.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Account {
    charged: [f64; CAUSES],
    declared: [f64; CAUSES],
}

/// A cause with what is charged to it, and how much of that was declared.
type Entries = Box<[(Cause, f64, f64)]>;

impl Account {
    pub(crate) fn add(&mut self, reason: Reason, charge: f64) {
        self.charged[reason.cause as usize] += charge;
        if reason.declared {
            self.declared[reason.cause as usize] += charge;
        }
    }

    /// What is not 0 in it: an account of one query has few causes, and there are many queries.
    fn entries(&self) -> Entries {
        let all = Cause::ALL.into_iter().zip(self.charged).zip(self.declared);
        let charged = all.filter(|((_, charged), _)| charged.abs() > 0.0);
        charged.map(|((cause, charged), declared)| (cause, charged, declared)).collect()
    }

    fn of_entries(entries: &Entries) -> Self {
        let mut account = Self::default();
        for (cause, charged, declared) in entries {
            account.charged[*cause as usize] = *charged;
            account.declared[*cause as usize] = *declared;
        }
        account
    }

    pub(crate) fn of(&self, cause: Cause) -> f64 {
        self.charged[cause as usize]
    }

    #[cfg(test)]
    pub(crate) fn total(&self) -> f64 {
        self.charged.iter().sum()
    }

    /// Which part of a cause's charge was declared.
    fn declared_share(&self, cause: Cause) -> f64 {
        let (declared, charged) = (self.declared[cause as usize], self.charged[cause as usize]);
        if charged > 0.0 { (declared / charged).clamp(0.0, 1.0) } else { 0.0 }
    }

    fn combine(mut self, other: &Self, times: f64) -> Self {
        for (mine, theirs) in self.charged.iter_mut().zip(other.charged) {
            *mine += times * theirs;
        }
        for (mine, theirs) in self.declared.iter_mut().zip(other.declared) {
            *mine += times * theirs;
        }
        self
    }
}

/// One cause's part of the change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Share {
    pub(crate) cause: Cause,
    /// Its part of the excess change, between 0 and 1.
    pub(crate) part: f64,
    /// The part of it that events or registry said would happen.
    pub(crate) declared: f64,
    /// In how many units it is charged more than noise is.
    pub(crate) queries: usize,
}

/// What is charged for one unit: between the windows, and inside of the reference if it repeats the unit.
#[derive(Debug)]
pub(crate) struct UnitAccount {
    between: Entries,
    within: Option<Entries>,
}

/// Causes that noise does not make by itself: replicas that miss documents change who is there, never a document's own score,
/// a content, a bound or what a manifest lists. Where repeats show otherwise, they are held against that ([`proofs`]).
const NO_NOISE: [Cause; 7] = [
    Cause::Bounds,
    Cause::Scope,
    Cause::CorpusRemoved,
    Cause::CorpusModified,
    Cause::CorpusAdded,
    Cause::Scoring,
    Cause::Embedding,
];

impl UnitAccount {
    /// Of a unit that does not repeat.
    #[cfg(test)]
    pub(crate) fn of(between: &Account) -> Self {
        Self { between: between.entries(), within: None }
    }

    /// What is charged beyond the noise of repeats; where nothing repeats, what no noise can make.
    fn left(&self, basis: FloorBasis) -> Account {
        match &self.within {
            Some(within) => Account::of_entries(&self.between).combine(&Account::of_entries(within), -1.0),
            None if basis != FloorBasis::Unknown => Account::of_entries(&self.between),
            None => Account::of_entries(
                &self.between.iter().filter(|(cause, _, _)| NO_NOISE.contains(cause)).copied().collect(),
            ),
        }
    }
}

/// The accounts of some units, each by the rules of its stage.
pub(crate) fn accounts(
    units: &[usize],
    matched: &Matched<'_>,
    classifiers: &BTreeMap<u32, Classifier<'_>>,
    p: Persistence,
) -> Result<Vec<UnitAccount>, Error> {
    units
        .par_iter()
        .filter_map(|unit| {
            let unit = matched.units.get(*unit)?;
            Some(unit_account(unit, classifiers.get(&unit.stage)?, p))
        })
        .collect()
}

/// What must be charged between the windows of what repeats are charged with, before it counts as a proof.
const STANDS_OUT: f64 = 2.0;

/// The part of each unit's change that no noise can make.
///
/// Repeats may be charged with such a cause all the same: a second model answers a part of the reference, or fused lists of
/// searches that miss documents are scored anew. A cause that does not stand out from that proves nothing; of one that does,
/// as much is subtracted: what the unit's own repeats are charged with or, if it does not repeat, those of its stage. What was
/// asked once is held against repeats by itself: cached questions that repeat and stayed as they were say nothing of it.
pub(crate) fn proofs(units: &[usize], accounts: &[UnitAccount], matched: &Matched<'_>) -> Vec<f64> {
    let stage = |unit: &usize| matched.units.get(*unit).map_or(0, |unit| unit.stage);
    let mut stages: BTreeMap<u32, Charged> = BTreeMap::new();
    for (unit, account) in units.iter().zip(accounts) {
        let charged = stages.entry(stage(unit)).or_default();
        let between = Account::of_entries(&account.between);
        let (count, sum) = &mut charged.between[usize::from(account.within.is_none())];
        (*count, *sum) = (*count + 1.0, sum.combine(&between, 1.0));
        if let Some(within) = &account.within {
            charged.within = charged.within.combine(&Account::of_entries(within), 1.0);
        }
    }
    let proof = |(unit, account): (&usize, &UnitAccount)| -> f64 {
        let charged = stages.get(&stage(unit)).copied().unwrap_or_default();
        let between = Account::of_entries(&account.between);
        let within = account.within.as_ref().map(Account::of_entries);
        let net = |cause: &Cause| between.of(*cause) - within.map_or(charged.usual(*cause), |own| own.of(*cause));
        NO_NOISE.iter().filter(|cause| charged.stands_out(**cause, within.is_none())).map(net).sum()
    };
    units.iter().zip(accounts).map(proof).collect()
}

/// What the units of a stage are charged with.
#[derive(Debug, Clone, Copy, Default)]
struct Charged {
    /// Between the windows, of the units that repeat and of those that do not: how many, and the sum.
    between: [(f64, Account); 2],
    /// Inside of the reference, of the units that repeat.
    within: Account,
}

impl Charged {
    /// What a repeat is charged with on average.
    fn usual(&self, cause: Cause) -> f64 {
        let (count, _) = self.between[0];
        if count > 0.0 { self.within.of(cause) / count } else { 0.0 }
    }

    fn stands_out(&self, cause: Cause, asked_once: bool) -> bool {
        let (count, sum) = &self.between[usize::from(asked_once)];
        self.usual(cause) <= 0.0 || sum.of(cause) >= STANDS_OUT * self.usual(cause) * count
    }
}

fn unit_account(unit: &MatchedUnit<'_>, classifier: &Classifier<'_>, p: Persistence) -> Result<UnitAccount, Error> {
    let (between, within) = account_of(&unit.answers(classifier.vocabulary)?, classifier, p);
    Ok(UnitAccount { between: between.entries(), within: within.map(|within| within.entries()) })
}

/// The parts of the causes in the change of some units, largest first. A cause that is charged less between the windows
/// than inside of the reference has no part in the change.
pub(crate) fn shares(accounts: &[UnitAccount], weights: Option<&[f64]>, basis: FloorBasis) -> Vec<Share> {
    let mut excess = Account::default();
    let mut affected = [0_usize; CAUSES];
    for (at, account) in accounts.iter().enumerate() {
        let left = account.left(basis);
        for (count, charged) in affected.iter_mut().zip(left.charged) {
            *count += usize::from(charged > 1e-9);
        }
        let weight = weight_at(weights, at);
        excess = excess.combine(&left, weight);
    }
    let total: f64 = excess.charged.iter().map(|charged| charged.max(0.0)).sum();
    let mut shares: Vec<Share> = Cause::ALL
        .into_iter()
        .filter(|cause| total > 0.0 && excess.of(*cause) > total * 1e-6)
        .map(|cause| Share {
            cause,
            part: excess.of(cause) / total,
            declared: excess.declared_share(cause),
            queries: affected[cause as usize],
        })
        .collect();
    shares.sort_by(|a, b| b.part.total_cmp(&a.part));
    shares
}

/// The mean account between the windows, and the one inside the reference.
fn account_of(answers: &Answers, classifier: &Classifier<'_>, p: Persistence) -> (Account, Option<Account>) {
    let Answers { reference, current } = answers;
    let operations = |answers: &[(Answer, f64)]| answers.iter().map(|(_, times)| times).sum::<f64>();
    let pairs = operations(reference) * operations(current);
    let mut between = Account::default();
    for (a, times_a) in reference {
        for (b, times_b) in current {
            between = between.combine(&classifier.between(p).account(a, b), times_a * times_b / pairs);
        }
    }
    let repeats = operations(reference);
    if repeats < 2.0 {
        return (between, None);
    }
    let mut within = Account::default();
    for (i, (a, times_a)) in reference.iter().enumerate() {
        for (j, (b, times_b)) in reference.iter().enumerate() {
            if i != j {
                let account = classifier.within(p).account(a, b);
                within = within.combine(&account, times_a * times_b / (repeats * (repeats - 1.0)));
            }
        }
    }
    (between, Some(within))
}
