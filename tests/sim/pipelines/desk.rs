//! How a tenant's questions are answered in one window, stage by stage.

use super::corpus::{Hit, Question, Tenant, Turn, Vector, best, by_score, dot};
use super::dice::Dice;
use super::{ChangeKind, Role, StageSpec};

/// How one stage serves one tenant.
#[derive(Debug, Clone)]
pub(super) struct Serving {
    pub(super) top_k: usize,
    /// How probable it is that a call of a search misses a document.
    pub(super) misses: f64,
    /// What an ensemble weighs its inputs by, and other models the dimensions.
    pub(super) weights: Vector,
    /// The documents that a search no longer finds, as flags; empty for none.
    pub(super) removed: Vec<bool>,
    /// Another embedding than the first one, and what it makes of the documents.
    embedding: Option<(Turn, Vec<Vector>)>,
}

impl Serving {
    pub(super) fn new(top_k: usize, misses: f64, weights: Vector) -> Self {
        Self { top_k, misses, weights, removed: Vec::new(), embedding: None }
    }

    fn change(&mut self, kind: ChangeKind, tenant: &Tenant, dice: &mut Dice) {
        match kind {
            ChangeKind::RemoveDocuments(share) => {
                self.removed = tenant.documents.iter().map(|_| dice.chance(share)).collect();
            }
            ChangeKind::Reembed(strength) => {
                let turn = Turn::new(strength, dice);
                let documents = tenant.documents.iter().map(|document| turn.apply(&document.views.dense)).collect();
                self.embedding = Some((turn, documents));
            }
            ChangeKind::Rescore(strength) => {
                // Up and down by turns, so that the order changes also where there are but two.
                for (place, weight) in self.weights.iter_mut().enumerate() {
                    let step = strength * dice.between(0.5, 1.5);
                    *weight *= if place % 2 == 0 { (-step).exp() } else { step.exp() };
                }
            }
            ChangeKind::LoseRecall(misses) => self.misses = misses,
            ChangeKind::Truncate(top_k) => self.top_k = top_k,
        }
    }
}

/// All stages as they serve one tenant.
#[derive(Debug, Clone)]
pub(super) struct Desk<'a> {
    pub(super) tenant: &'a Tenant,
    pub(super) stages: &'a [StageSpec],
    pub(super) servings: Vec<Serving>,
    /// For each question that is asked again what [`Self::rankings`] says.
    known: Vec<Vec<Vec<Hit>>>,
}

impl<'a> Desk<'a> {
    pub(super) fn new(tenant: &'a Tenant, stages: &'a [StageSpec], servings: Vec<Serving>) -> Self {
        let mut desk = Self { tenant, stages, servings, known: Vec::new() };
        desk.known = tenant.questions.iter().map(|question| desk.rankings(question)).collect();
        desk
    }

    /// The same desk after one of its stages changed.
    pub(super) fn changed(&self, stage: usize, kind: ChangeKind, dice: &mut Dice) -> Self {
        let mut servings = self.servings.clone();
        servings[stage].change(kind, self.tenant, dice);
        match kind {
            ChangeKind::Reembed(_) => Self::new(self.tenant, self.stages, servings),
            _ => Self { servings, ..self.clone() },
        }
    }

    /// The same desk after its first search lost documents.
    pub(super) fn without(&self, removed: Vec<bool>) -> Self {
        let mut desk = self.clone();
        desk.servings[0].removed = removed;
        desk
    }

    /// What each search would find if it missed nothing, a good deal deeper than it is asked for; of other stages nothing.
    pub(super) fn rankings(&self, question: &Question) -> Vec<Vec<Hit>> {
        let documents = &self.tenant.documents;
        let of = |(stage, serving): (&StageSpec, &Serving)| {
            let depth = 4 * stage.top_k + 20;
            match (stage.role, &serving.embedding) {
                (Role::Dense, None) => {
                    let query = &question.views.dense;
                    best(documents.iter().map(|document| dot(query, &document.views.dense)), depth)
                }
                (Role::Dense, Some((turn, documents))) => {
                    let query = turn.apply(&question.views.dense);
                    best(documents.iter().map(|document| dot(&query, document)), depth)
                }
                (Role::Sparse, _) => {
                    let query = &question.views.lexical;
                    best(documents.iter().map(|document| 20.0 * dot(query, &document.views.lexical).max(0.0)), depth)
                }
                _ => Vec::new(),
            }
        };
        self.stages.iter().zip(&self.servings).map(of).collect()
    }

    pub(super) fn known(&self, question: usize) -> &[Vec<Hit>] {
        &self.known[question]
    }

    /// What each stage answers in one call, given the rankings of the question.
    pub(super) fn answers(&self, question: &Question, rankings: &[Vec<Hit>], dice: &mut Dice) -> Vec<Vec<Hit>> {
        let mut answers: Vec<Vec<Hit>> = Vec::with_capacity(self.stages.len());
        for ((stage, serving), ranking) in self.stages.iter().zip(&self.servings).zip(rankings) {
            let answer = match stage.role {
                Role::Dense | Role::Sparse => {
                    let gone = |document: usize| serving.removed.get(document).copied().unwrap_or(false);
                    let found = ranking.iter().filter(|hit| !gone(hit.0) && !dice.chance(serving.misses));
                    found.take(serving.top_k).copied().collect()
                }
                Role::Ensemble => fused(stage.inputs.iter().map(|&input| &answers[input]), serving),
                Role::Compressor => self.kept(question, &answers[stage.inputs[0]], serving),
                Role::Reranker => self.reranked(question, &answers[stage.inputs[0]], serving),
            };
            answers.push(answer);
        }
        answers
    }

    /// A model says of each document whether it helps.
    fn kept(&self, question: &Question, input: &[Hit], serving: &Serving) -> Vec<Hit> {
        let relevance = self.relevance(question, serving);
        input.iter().filter(|hit| relevance(hit.0) > 0.6).take(serving.top_k).copied().collect()
    }

    fn reranked(&self, question: &Question, input: &[Hit], serving: &Serving) -> Vec<Hit> {
        let relevance = self.relevance(question, serving);
        let score = |document: usize| 1.0 / (1.0 + (2.0 - 4.0 * relevance(document)).exp());
        let mut hits: Vec<Hit> = input.iter().map(|&(document, _)| (document, score(document))).collect();
        hits.sort_unstable_by(by_score);
        hits.truncate(serving.top_k);
        hits
    }

    /// How well a document answers a question by the weights of a stage.
    fn relevance(&self, question: &Question, serving: &Serving) -> impl Fn(usize) -> f64 {
        let mut query = question.views.meaning;
        for (value, weight) in query.iter_mut().zip(&serving.weights) {
            *value *= weight;
        }
        move |document| dot(&query, &self.tenant.documents[document].views.meaning)
    }

    /// The documents of the last stage's answer to a question that is asked again.
    fn last_answer(&self, question: usize, dice: &mut Dice) -> Vec<usize> {
        let mut answers = self.answers(&self.tenant.questions[question], self.known(question), dice);
        answers.pop().unwrap_or_default().into_iter().map(|(document, _)| document).collect()
    }

    fn is_exact(&self) -> bool {
        self.servings.iter().all(|serving| serving.misses <= 0.0)
    }
}

/// Reciprocal rank fusion.
fn fused<'h>(inputs: impl Iterator<Item = &'h Vec<Hit>>, serving: &Serving) -> Vec<Hit> {
    let mut hits: Vec<Hit> = Vec::new();
    for (input, weight) in inputs.zip(&serving.weights) {
        for (place, &(document, _)) in input.iter().enumerate() {
            let score = weight / (61.0 + place as f64);
            match hits.iter_mut().find(|hit| hit.0 == document) {
                Some(hit) => hit.1 += score,
                None => hits.push((document, score)),
            }
        }
    }
    hits.sort_unstable_by(by_score);
    hits.truncate(serving.top_k);
    hits
}

/// By how much the last answers to a question differ between two desks beyond what they differ by at the first one.
pub(super) fn effect(before: &Desk<'_>, after: &Desk<'_>, question: usize, dice: &mut Dice) -> f64 {
    let calls = if before.is_exact() && after.is_exact() { 1 } else { 6 };
    let earlier: Vec<_> = (0..calls).map(|_| before.last_answer(question, dice)).collect();
    let later: Vec<_> = (0..calls).map(|_| after.last_answer(question, dice)).collect();
    let across = earlier.iter().flat_map(|a| later.iter().map(|b| distance(a, b)));
    let repeats = earlier.iter().enumerate().flat_map(|(i, a)| earlier[..i].iter().map(|b| distance(a, b)));
    mean(across) - mean(repeats)
}

/// The mean, and 0 of nothing.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / f64::max(count, 1.0)
}

/// The distance that belongs to rank-biased overlap at a persistence of 0.9, truncated at the longer of two rankings
/// and normalised; without ties.
pub(super) fn distance<T: PartialEq>(a: &[T], b: &[T]) -> f64 {
    let weights = depth_weights(a.len().max(b.len()));
    let missing = |depth: usize| {
        let (a, b) = (&a[..depth.min(a.len())], &b[..depth.min(b.len())]);
        depth - a.iter().filter(|item| b.contains(item)).count()
    };
    weights.iter().zip(1..).map(|(weight, depth)| weight / depth as f64 * missing(depth) as f64).sum()
}

/// How much each depth counts in the distance of rankings of a length.
pub(super) fn depth_weights(length: usize) -> Vec<f64> {
    let weights: Vec<f64> = std::iter::successors(Some(1.0), |weight| Some(weight * 0.9)).take(length).collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}
