//! Simulated traffic: tenants that ask pipelines of several retrievers over two weeks, between which one stage may change.
//!
//! Nothing is measured or judged here. Documents and questions are vectors around common subjects ([`corpus`]), each stage
//! works on what the stages before it answered ([`desk`]), and each call of a stage becomes an event ([`traffic`]). As the
//! generator knows how noisy answers come about, it knows how large a change is in truth. The same seed gives the same
//! events.

mod chat;
mod corpus;
mod desk;
mod dice;
mod step;
mod tests;
mod traffic;

use std::collections::BTreeMap;

use tidemark_schema::{RetrievalEvent, Retriever, ScoreKind, Stored, Timestamp};

use corpus::{Tenant, Vector};
use desk::{Desk, Serving};
use dice::{Dice, cumulated};

pub(crate) use chat::{Kind, chat};
pub(crate) use step::step_change;

/// What a stage does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Searches by the cosine of embeddings.
    Dense,
    /// Searches by BM25.
    Sparse,
    /// Fuses the answers of its inputs.
    Ensemble,
    /// Keeps the documents that help, in their order and without scores.
    Compressor,
    /// Puts the best in front by a score of its own.
    Reranker,
}

/// One retriever of a pipeline.
#[derive(Debug, Clone)]
pub(crate) struct StageSpec {
    /// The name of the retriever.
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    /// The stages whose answers it works on, by their places; none for a search.
    pub(crate) inputs: Vec<usize>,
    /// How many documents it answers with at most, before any change.
    pub(crate) top_k: usize,
    /// Whether its events say of what kind it and its scores are.
    pub(crate) declares_kind: bool,
    /// Whether its events carry the time at which it began, and so come before those of its inputs.
    pub(crate) reports_start: bool,
    /// Whether its events say how many documents were asked for.
    pub(crate) requests_top_k: bool,
}

/// What changed, and how strongly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ChangeKind {
    /// A search no longer finds this share of the documents; nothing says so.
    RemoveDocuments(f64),
    /// The embedding of documents and queries is another one.
    Reembed(f64),
    /// A derived stage weighs otherwise.
    Rescore(f64),
    /// A search misses each document with this probability.
    LoseRecall(f64),
    /// A stage answers with at most so many documents.
    Truncate(usize),
}

/// The one thing that differs between the windows, but for shares of traffic.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// The name of the retriever that changed; those behind it follow.
    pub(crate) stage: String,
    /// The tenant that the change is confined to.
    pub(crate) tenant: Option<String>,
    pub(crate) kind: ChangeKind,
}

/// Two windows of a week each, in the order of their events, and what is true of them.
#[derive(Debug, Clone)]
pub(crate) struct Simulation {
    pub(crate) seed: u64,
    /// In the order in which they run; the last one gives the answer.
    pub(crate) stages: Vec<StageSpec>,
    pub(crate) before: Vec<Stored<RetrievalEvent>>,
    pub(crate) after: Vec<Stored<RetrievalEvent>>,
    pub(crate) change: Option<Change>,
    /// By how much the change moved the last stage's answers beyond noise: truncated RBO distance, persistence 0.9, averaged
    /// over the questions that are asked again as often as the reference asked them. None without a change.
    pub(crate) true_effect: Option<f64>,
    /// The same within each tenant, 0 where the change did not reach; empty without a change.
    pub(crate) true_effect_in_tenant: BTreeMap<String, f64>,
}

impl Role {
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Dense => &["vector-search", "QdrantRetriever", "dense"],
            Self::Sparse => &["keyword-search", "BM25Retriever", "bm25"],
            Self::Ensemble => &["fusion", "EnsembleRetriever", "hybrid"],
            Self::Compressor => &["context-filter", "LLMChainFilter", "compressor"],
            Self::Reranker => &["best-passages", "CrossEncoderReranker", "reranker"],
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Sparse => "sparse",
            Self::Ensemble => "hybrid",
            Self::Compressor => "filter",
            Self::Reranker => "rerank",
        }
    }

    fn score_kind(self) -> ScoreKind {
        match self {
            Self::Dense => ScoreKind::Cosine,
            Self::Sparse => ScoreKind::Bm25,
            Self::Ensemble => ScoreKind::Rrf,
            Self::Compressor => ScoreKind::Other,
            Self::Reranker => ScoreKind::Rerank,
        }
    }

    fn top_k(self, dice: &mut Dice) -> usize {
        match self {
            Self::Dense => dice.count(15..=30),
            Self::Sparse => dice.count(10..=25),
            Self::Ensemble => dice.count(8..=15),
            Self::Compressor => dice.count(12..=20),
            Self::Reranker => dice.count(4..=8),
        }
    }

    /// What an ensemble weighs its inputs by, and other models the dimensions: never alike, so that no two scores are.
    fn weights(self, dice: &mut Dice) -> Vector {
        match self {
            Self::Ensemble => {
                let first = dice.between(0.52, 0.7);
                let mut weights = Vector::default();
                weights[..2].copy_from_slice(&[first, 1.0 - first]);
                weights
            }
            _ => Vector::default().map(|_| (0.2 * dice.normal()).exp()),
        }
    }

    fn is_search(self) -> bool {
        matches!(self, Self::Dense | Self::Sparse)
    }
}

impl StageSpec {
    /// A search that nothing follows.
    fn search() -> Self {
        Self {
            name: "vector-search",
            role: Role::Dense,
            inputs: Vec::new(),
            top_k: 10,
            declares_kind: true,
            reports_start: false,
            requests_top_k: true,
        }
    }

    fn retriever(&self) -> Retriever {
        let kind = self.declares_kind.then(|| traffic::label(self.role.kind()));
        Retriever {
            name: Some(traffic::label(self.name)),
            kind,
            score_kind: if self.declares_kind { self.role.score_kind() } else { ScoreKind::Other },
            embedder: (self.role == Role::Dense).then(|| traffic::label("all-minilm-l6-v2")),
            ..Retriever::default()
        }
    }

    fn change(&self, dice: &mut Dice) -> ChangeKind {
        let removed = ChangeKind::RemoveDocuments(dice.between(0.05, 0.3));
        let reembedded = ChangeKind::Reembed(dice.between(0.15, 0.8));
        let rescored = ChangeKind::Rescore(dice.between(0.2, 0.8));
        let missed = ChangeKind::LoseRecall(dice.between(0.1, 0.25));
        let truncated = ChangeKind::Truncate(self.top_k * dice.count(40..=80) / 100);
        match self.role {
            Role::Dense => dice.pick(&[removed, reembedded, missed, truncated]),
            Role::Sparse => dice.pick(&[removed, missed, truncated]),
            Role::Ensemble | Role::Compressor | Role::Reranker => dice.pick(&[rescored, rescored, truncated]),
        }
    }
}

/// Midnight of the Mondays on which the two windows begin. Each lasts seven days.
pub(crate) fn begins() -> [Timestamp; 2] {
    ["2026-11-02", "2026-11-09"].map(|day| Timestamp::from_date(day).unwrap())
}

impl Change {
    fn reaches(&self, tenant: &Tenant) -> bool {
        self.tenant.as_ref().is_none_or(|name| name == tenant.name)
    }
}

/// One simulation, of which everything is drawn from the seed.
pub(crate) fn simulate(seed: u64) -> Simulation {
    let mut dice = Dice::new(seed);
    let stages = pipeline(&mut dice);
    let tenants = tenants(&mut dice);
    let weights: Vec<Vector> = stages.iter().map(|stage| stage.role.weights(&mut dice)).collect();
    let noisy = dice.pick(&[0.0, 0.5, 1.0]);
    let desk = |tenant| {
        let misses = if dice.chance(noisy) { dice.between(0.02, 0.04) } else { 0.0 };
        let serving = |(stage, weights): (&StageSpec, &Vector)| Serving::new(stage.top_k, misses, *weights);
        Desk::new(tenant, &stages, stages.iter().zip(&weights).map(serving).collect())
    };
    let desks: Vec<Desk<'_>> = tenants.iter().map(desk).collect();

    let change = dice.chance(0.5).then(|| {
        // A search as often as a derived stage.
        let searches = stages.iter().filter(|stage| stage.role.is_search()).count();
        let place =
            if dice.chance(0.5) { dice.below(searches) } else { searches + dice.below(stages.len() - searches) };
        let stage = &stages[place];
        let tenant = dice.chance(0.5).then(|| tenants[dice.below(tenants.len())].name.to_owned());
        (place, Change { stage: stage.name.to_owned(), tenant, kind: stage.change(&mut dice) })
    });
    let later = desks.iter().map(|desk| match &change {
        // All tenants get the same model and the same weights.
        Some((place, change)) if change.reaches(desk.tenant) => {
            desk.changed(*place, change.kind, &mut Dice::new(!seed))
        }
        _ => desk.clone(),
    });
    let later: Vec<Desk<'_>> = later.collect();

    let shares = shares(tenants.len(), &mut dice);
    let (operations, once) = (dice.count(800..=2_000), dice.between(0.1, 0.3));
    let [reference, current] = begins();
    let (before, asked) = window(&desks, &shares[0], (reference, operations, once), &mut dice);
    let (after, _) = window(&later, &shares[1], (current, operations, once), &mut dice);

    let change = change.map(|(_, change)| change);
    let (true_effect, true_effect_in_tenant) = match &change {
        Some(change) => effects(change, &desks, &later, &asked, &mut dice),
        None => (None, BTreeMap::new()),
    };
    Simulation { seed, stages, before, after, change, true_effect, true_effect_in_tenant }
}

fn pipeline(dice: &mut Dice) -> Vec<StageSpec> {
    let plan: &[(Role, &[usize])] = match dice.below(4) {
        0 => &[(Role::Dense, &[]), (Role::Reranker, &[0])],
        1 => &[(Role::Dense, &[]), (Role::Sparse, &[]), (Role::Ensemble, &[0, 1])],
        2 => &[(Role::Dense, &[]), (Role::Sparse, &[]), (Role::Ensemble, &[0, 1]), (Role::Reranker, &[2])],
        _ => &[(Role::Dense, &[]), (Role::Compressor, &[0]), (Role::Reranker, &[1])],
    };
    let (declared, parents_report_start, requests_top_k) = (dice.chance(0.5), dice.chance(1.0 / 3.0), dice.chance(0.5));
    let stage = |&(role, inputs): &(Role, &[usize])| StageSpec {
        name: dice.pick(role.names()),
        role,
        inputs: inputs.to_vec(),
        top_k: role.top_k(dice),
        declares_kind: declared || role.is_search(),
        // What works on a search calls it.
        reports_start: parents_report_start && inputs.iter().any(|&input| plan[input].0.is_search()),
        requests_top_k,
    };
    plan.iter().map(stage).collect()
}

fn tenants(dice: &mut Dice) -> Vec<Tenant> {
    let mut names = ["acme", "borealis", "cygnus"];
    dice.shuffle(&mut names);
    let count = dice.count(2..=3);
    let tenant = |name| {
        let (documents, questions) = (dice.count(600..=1_500), dice.count(150..=400));
        Tenant::new(name, documents, questions, dice)
    };
    names.into_iter().take(count).map(tenant).collect()
}

/// The shares of the tenants in the traffic of both windows, each up to and with a tenant. They shift in half of all cases.
fn shares(tenants: usize, dice: &mut Dice) -> [Vec<f64>; 2] {
    let weights: &[f64] = if tenants == 2 { &[0.7, 0.3] } else { &[0.6, 0.25, 0.15] };
    let before: Vec<f64> = weights.iter().map(|weight| weight * dice.between(0.8, 1.2)).collect();
    let shift = if dice.chance(0.5) { 0.75 } else { 0.0 };
    let after: Vec<f64> =
        before.iter().zip(before.iter().rev()).map(|(own, other)| (1.0 - shift) * own + shift * other).collect();
    [cumulated(&before), cumulated(&after)]
}

/// The events of one window, and how often it asked each question of each tenant.
fn window(
    desks: &[Desk<'_>],
    shares: &[f64],
    (begin, operations, once): (Timestamp, usize, f64),
    dice: &mut Dice,
) -> (Vec<Stored<RetrievalEvent>>, Vec<Vec<f64>>) {
    let mut events = Vec::new();
    let mut asked: Vec<Vec<f64>> = desks.iter().map(|desk| vec![0.0; desk.tenant.questions.len()]).collect();
    for _ in 0..operations {
        let tenant = dice.place(shares);
        let begun = traffic::instant(begin, 7, dice);
        let (operation, question) = traffic::operation(&desks[tenant], begun, once, dice);
        events.extend(operation);
        if let Some(question) = question {
            asked[tenant][question] += 1.0;
        }
    }
    events.sort_by_key(|row: &Stored<RetrievalEvent>| row.event.occurred_at);
    (events, asked)
}

/// What a change comes to over all questions, and over those of each tenant.
fn effects(
    change: &Change,
    before: &[Desk<'_>],
    after: &[Desk<'_>],
    asked: &[Vec<f64>],
    dice: &mut Dice,
) -> (Option<f64>, BTreeMap<String, f64>) {
    let (mut in_tenant, mut sum, mut count) = (BTreeMap::new(), 0.0, 0.0);
    for ((before, after), asked) in before.iter().zip(after).zip(asked) {
        let mut own = 0.0;
        if change.reaches(before.tenant) {
            for (question, times) in asked.iter().enumerate().filter(|(_, times)| **times > 0.0) {
                own += times * desk::effect(before, after, question, dice);
            }
        }
        let times: f64 = asked.iter().sum();
        in_tenant.insert(before.tenant.name.to_owned(), own / times);
        sum += own;
        count += times;
    }
    (Some(sum / count), in_tenant)
}
