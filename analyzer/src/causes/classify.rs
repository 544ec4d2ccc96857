//! Which cause a document's charge belongs to: the first rule that holds.

use tidemark_schema::ScoreKind;
use tidemark_stats::{Persistence, charges};

use super::limits::{outside_bounds, outside_scope};
use super::{Account, Cause, Kept};
use crate::answer::{Answer, aligned};
use crate::intern::DocumentNumber;
use crate::presence::{Contents, Membership, Presence};
use crate::scores::{Direction, Rescoring, common_scores, direction};
use crate::vocabulary::{Context, State, Vocabulary};

/// A cause, and whether it was declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reason {
    pub(crate) cause: Cause,
    pub(crate) declared: bool,
}

impl Reason {
    fn declared(cause: Cause, declared: bool) -> Self {
        Self { cause, declared }
    }

    fn silent(cause: Cause) -> Self {
        Self { cause, declared: false }
    }
}

/// All that is known besides the two answers.
pub(crate) struct Classifier<'a> {
    pub(crate) vocabulary: &'a Vocabulary,
    pub(crate) presence: &'a Presence,
    pub(crate) rescoring: Rescoring,
    /// How many documents an answer of the reference and of the current window usually holds, where nearly all hold as
    /// many.
    pub(crate) usual_lengths: Option<[usize; 2]>,
    /// Whether the stage searches by itself; one that works on what recorded stages found misses only what it was not given.
    pub(crate) searches: bool,
    /// Of a keyword search: what it still has.
    pub(crate) kept: Kept,
    /// Whether the query embedder is known to have changed between the windows.
    pub(crate) embedder_moved: bool,
    pub(crate) reference: &'a Contents,
    pub(crate) current: &'a Contents,
}

impl<'a> Classifier<'a> {
    /// Whether two contexts declare different searches. Where both windows use several side by side, pairs across them are
    /// as frequent inside of the reference, and are subtracted with its noise.
    pub(crate) fn declares_other_search(&self, before: u32, after: u32) -> bool {
        before != after && self.vocabulary.context_of(before).search() != self.vocabulary.context_of(after).search()
    }

    /// For pairs of an answer of the reference and one of the current window.
    pub(crate) fn between(&self, p: Persistence) -> Pairs<'_, 'a> {
        Pairs { known: self, before: self.reference, after: self.current, moved: self.embedder_moved, p }
    }

    /// For pairs inside the reference.
    pub(crate) fn within(&self, p: Persistence) -> Pairs<'_, 'a> {
        Pairs { known: self, before: self.reference, after: self.reference, moved: false, p }
    }
}

/// The account of pairs of answers.
pub(crate) struct Pairs<'c, 'a> {
    known: &'c Classifier<'a>,
    before: &'c Contents,
    after: &'c Contents,
    /// Whether the query embedder changed between the two answers.
    moved: bool,
    p: Persistence,
}

/// One pair: the earlier answer, the later one, and what holds for both as a whole.
#[expect(clippy::struct_excessive_bools, reason = "each says of one thing whether it holds for the pair")]
struct Pair<'p> {
    a: &'p Answer,
    b: &'p Answer,
    context_a: &'p Context,
    context_b: &'p Context,
    /// Most unchanged documents of both changed their scores; of a pair without a common document: as those of the other pairs.
    rescored: bool,
    scores_comparable: bool,
    /// A score is a function of the question and the document alone, or of a corpus that did not change.
    pointwise: bool,
    /// The scores of one run downwards, those of the other upwards; or only the first follows its scores at all.
    turned: bool,
    /// A document of a fused list has a lower score: documents that others lost can only raise it.
    fell: bool,
    /// How far the score of a common document moved at most.
    moved: f64,
}

impl Pairs<'_, '_> {
    /// Charges the whole distance from `a` to `b`.
    pub(crate) fn account(&self, a: &Answer, b: &Answer) -> Account {
        let (a, b) = aligned(a, b);
        let (a, b) = (a.as_ref(), b.as_ref());
        let charged = charges(&a.ranking, &b.ranking, self.p);
        let mut account = Account::default();
        if charged.by_item.iter().all(|charge| *charge <= 0.0) && charged.unfilled <= 0.0 {
            return account;
        }
        let pair = self.pair(a, b);
        for (i, charge) in charged.by_item.iter().enumerate().filter(|(_, charge)| **charge > 0.0) {
            for (reason, part) in self.lost(&pair, i) {
                account.add(reason, charge * part);
            }
        }
        if charged.unfilled > 0.0 {
            for (reason, part) in self.unfilled(&pair) {
                account.add(reason, charged.unfilled * part);
            }
        }
        account
    }

    /// Why the document at place `i` of `a` left or moved down, in parts that sum to 1.
    pub(crate) fn reasons_lost(&self, a: &Answer, b: &Answer, i: usize) -> Vec<(Reason, f64)> {
        self.lost(&self.pair(a, b), i)
    }

    /// Why the document at place `j` of `b` entered or moved up.
    pub(crate) fn reason_gained(&self, a: &Answer, b: &Answer, j: usize) -> Reason {
        self.gained(&self.pair(a, b), j)
    }

    fn pair<'p>(&'p self, a: &'p Answer, b: &'p Answer) -> Pair<'p> {
        let vocabulary = self.known.vocabulary;
        let (context_a, context_b) = (vocabulary.context_of(a.context), vocabulary.context_of(b.context));
        let (mut common, mut changed) = (0_u32, 0_u32);
        let (mut lower, mut moved) = (false, 0.0_f64);
        for (_, _, before, after) in common_scores(vocabulary, a, b) {
            common += 1;
            changed += u32::from((after - before).abs() > self.known.rescoring.tolerance);
            lower |= before - after > self.known.rescoring.tolerance;
            moved = moved.max((after - before).abs());
        }
        // An edit changes one score, another model or scale all of them.
        let rescored = if common > 0 { changed * 2 > common } else { self.known.rescoring.seen };
        let scores_comparable = context_a.score_kind == context_b.score_kind;
        let same_corpus = || context_a.corpus_version.is_some() && context_a.corpus_version == context_b.corpus_version;
        let pointwise = scores_comparable
            && match context_a.score_kind {
                ScoreKind::Rrf => false,
                ScoreKind::Bm25 => same_corpus(),
                _ => true,
            };
        let turned = scores_comparable
            && matches!(
                (direction(&a.scores), direction(&b.scores)),
                (Some(Direction::Down), Some(Direction::Up) | None)
                    | (Some(Direction::Up), Some(Direction::Down) | None)
            )
            && b.scores.iter().flatten().count() > 1;
        let fell =
            lower && context_a.score_kind == ScoreKind::Rrf && context_a.corpus_version == context_b.corpus_version;
        let rescored = (rescored || (self.moved && context_b.embeds())) && pointwise;
        Pair { a, b, context_a, context_b, rescored, scores_comparable, pointwise, turned, fell, moved }
    }

    fn lost(&self, pair: &Pair<'_>, i: usize) -> Vec<(Reason, f64)> {
        let Some(state) = state_at(self.known.vocabulary, pair.a, i) else { return unexplained() };
        let place = pair.b.ranking.items().iter().position(|document| *document == state.document);
        if let Some(reason) = self.own(pair, i, state, place) {
            return vec![(reason, 1.0)];
        }
        // It did not change: whatever stands above it now and did not before has pushed it down.
        let above = place.unwrap_or(pair.b.ranking.len());
        let pushed: Vec<usize> = (0..above)
            .filter(|j| {
                let Some(other) = pair.b.ranking.items().get(*j) else { return false };
                let before = pair.a.ranking.items().iter().position(|document| document == other);
                before.is_none_or(|before| before > i)
            })
            .collect();
        if pushed.is_empty() {
            return unexplained();
        }
        let part = 1.0 / pushed.len() as f64;
        pushed.into_iter().map(|j| (self.gained(pair, j), part)).collect()
    }

    /// The document's own cause, if it itself changed.
    fn own(&self, pair: &Pair<'_>, i: usize, state: &State, place: Option<usize>) -> Option<Reason> {
        let absent = place.is_none();
        if absent
            && outside_bounds((self.known.vocabulary, i, state), (pair.a, pair.b), (pair.context_a, pair.context_b))
        {
            return Some(Reason::declared(Cause::Bounds, true));
        }
        if absent && i >= pair.b.ranking.len() && (self.is_cut_short(pair) || is_prefix(pair)) {
            return Some(Reason::silent(Cause::Bounds));
        }
        if absent && outside_scope(pair.context_a, pair.context_b, state.scope) {
            return Some(Reason::declared(Cause::Scope, true));
        }
        let now = place.and_then(|j| state_at(self.known.vocabulary, pair.b, j));
        if let Some(reason) = self.corpus_change(pair, state.document, Some(state), now) {
            return Some(reason);
        }
        if pair.turned {
            return Some(self.rescored(pair));
        }
        if absent {
            return self.absent_unchanged(pair, i);
        }
        let j = place?;
        let (before, after) = (score_at(pair.a, i)?, score_at(pair.b, j)?);
        let rescored = pair.scores_comparable && (after - before).abs() > self.known.rescoring.tolerance;
        (rescored && (pair.pointwise || corpus_moved(pair))).then(|| self.rescored(pair))
    }

    /// Answers of the current window hold fewer documents, nearly all of them as many, and nothing declares a bound: this
    /// one ends where they all end.
    fn is_cut_short(&self, pair: &Pair<'_>) -> bool {
        let declared = pair.context_a.top_k.is_some() && pair.context_a.top_k == pair.context_b.top_k;
        let ends = |[before, now]: [usize; 2]| now > 0 && now < before && pair.b.ranking.len() == now;
        !declared && self.known.usual_lengths.is_some_and(ends)
    }

    /// A document that is still there, as it was, and was not returned.
    fn absent_unchanged(&self, pair: &Pair<'_>, i: usize) -> Option<Reason> {
        if self.is_missed(pair, i) {
            return Some(self.index_recall(pair));
        }
        if pair.rescored || !pair.scores_comparable || pair.fell || (!pair.pointwise && corpus_moved(pair)) {
            return Some(self.rescored(pair));
        }
        // Without a manifest a document is known to be there still only if another query got it.
        let document = state_at(self.known.vocabulary, pair.a, i).map(|state| state.document)?;
        if !self.is_there(pair.context_b, document, self.after) {
            return Some(Reason::silent(Cause::Unexplained));
        }
        let full = |answer: &Answer, top_k: u32| answer.ranking.len() >= top_k as usize;
        let short = pair.context_b.top_k.is_some_and(|top_k| !full(pair.b, top_k) && full(pair.a, top_k))
            && pair.context_a.top_k == pair.context_b.top_k;
        let last = pair.b.scores.last().copied().flatten();
        match (score_at(pair.a, i), last) {
            _ if short => Some(self.index_recall(pair)),
            _ if self.is_outscored(pair, document) => Some(self.rescored(pair)),
            (Some(score), Some(last)) if self.better(pair, score, last) => Some(self.index_recall(pair)),
            _ => None,
        }
    }

    /// Of a keyword search over an unchanged corpus: what is missing beats the last that was returned by more than any score
    /// moved, as frequencies move when an index loses documents.
    fn is_missed(&self, pair: &Pair<'_>, i: usize) -> bool {
        let listed = || {
            let document = state_at(self.known.vocabulary, pair.a, i).map(|state| state.document);
            let version = pair.context_b.corpus_version.as_deref();
            document.is_some_and(|document| {
                matches!(self.known.presence.membership(version, document), Membership::Present(_))
                    && !self.is_outscored(pair, document)
            })
        };
        let last = pair.b.scores.last().copied().flatten();
        pair.context_a.score_kind == ScoreKind::Bm25
            && pair.scores_comparable
            && !corpus_moved(pair)
            && listed()
            && score_at(pair.a, i).zip(last).is_some_and(|(score, last)| score - last > pair.moved)
    }

    /// Of a keyword search whose scores moved: a document that other questions still get was not lost, it scores less.
    fn is_outscored(&self, pair: &Pair<'_>, document: DocumentNumber) -> bool {
        self.moved_by_keywords(pair) && self.known.kept.holds(document)
    }

    /// Whether a keyword search scores the documents of both answers otherwise.
    fn moved_by_keywords(&self, pair: &Pair<'_>) -> bool {
        pair.context_a.score_kind == ScoreKind::Bm25
            && pair.scores_comparable
            && pair.moved > self.known.rescoring.tolerance
    }

    /// Why the document at place `j` of `b` stands above one that it did not stand above before.
    fn gained(&self, pair: &Pair<'_>, j: usize) -> Reason {
        let Some(state) = state_at(self.known.vocabulary, pair.b, j) else { return Reason::silent(Cause::Unexplained) };
        let before = pair.a.ranking.items().iter().position(|document| *document == state.document);
        let earlier = before.and_then(|i| state_at(self.known.vocabulary, pair.a, i));
        if before.is_none() && outside_scope(pair.context_b, pair.context_a, state.scope) {
            return Reason::declared(Cause::Scope, true);
        }
        if let Some(reason) = self.corpus_change(pair, state.document, earlier, Some(state)) {
            return reason;
        }
        if pair.turned {
            return self.rescored(pair);
        }
        let score = score_at(pair.b, j);
        match before {
            Some(_) if !pair.pointwise && pair.scores_comparable => self.moved_with_others(pair),
            Some(i) => match (score_at(pair.a, i), score) {
                (Some(before), Some(after)) if (after - before).abs() > self.known.rescoring.tolerance => {
                    self.rescored(pair)
                }
                (Some(_), Some(_)) if pair.rescored => self.rescored(pair),
                // Neither it nor what it passed has another score: only equals change places for no reason.
                (Some(_), Some(_)) => Reason::silent(Cause::Nondeterminism),
                _ => Reason::silent(Cause::Unexplained),
            },
            None if pair.rescored || !pair.scores_comparable || (!pair.pointwise && corpus_moved(pair)) => {
                self.rescored(pair)
            }
            // Without a manifest it may be new as well as not found before.
            None if !self.is_there(pair.context_a, state.document, self.before) => Reason::silent(Cause::Unexplained),
            None => match (score, pair.a.scores.last().copied().flatten()) {
                // It may have had another score.
                (Some(score), Some(last)) if self.moved_by_keywords(pair) && (score - last).abs() <= pair.moved => {
                    self.rescored(pair)
                }
                // It had the score to be there before, and was not found.
                (Some(score), Some(last)) if self.better(pair, score, last) => self.index_recall(pair),
                (Some(_), Some(_)) => Reason::silent(Cause::Nondeterminism),
                _ => Reason::silent(Cause::Unexplained),
            },
        }
    }

    /// Places that the earlier answer did not have.
    fn unfilled(&self, pair: &Pair<'_>) -> Vec<(Reason, f64)> {
        let differ = pair.context_a.top_k != pair.context_b.top_k
            || pair.context_a.context_tokens != pair.context_b.context_tokens
            || pair.context_a.max_age_s != pair.context_b.max_age_s;
        if differ {
            return vec![(Reason::declared(Cause::Bounds, true), 1.0)];
        }
        let undeclared = pair.context_a.top_k.is_none() || pair.context_a.top_k != pair.context_b.top_k;
        if undeclared && self.known.usual_lengths.is_some_and(|[before, now]| before > 0 && before < now) {
            return vec![(Reason::silent(Cause::Bounds), 1.0)];
        }
        let new: Vec<usize> = (0..pair.b.ranking.len())
            .filter(|j| {
                pair.b.ranking.items().get(*j).is_some_and(|document| !pair.a.ranking.items().contains(document))
            })
            .collect();
        let part = 1.0 / new.len().max(1) as f64;
        new.into_iter()
            .map(|j| match self.gained(pair, j) {
                // A place that was empty is not taken from anybody: whoever fills it was not found before.
                Reason { cause: Cause::Nondeterminism, .. } => (self.index_recall(pair), part),
                reason => (reason, part),
            })
            .collect()
    }

    /// Whether the corpus explains a document's change: it is gone, new, or has another content.
    fn corpus_change(
        &self,
        pair: &Pair<'_>,
        document: DocumentNumber,
        before: Option<&State>,
        after: Option<&State>,
    ) -> Option<Reason> {
        let (version_a, version_b) =
            (pair.context_a.corpus_version.as_deref(), pair.context_b.corpus_version.as_deref());
        let presence = self.known.presence;
        let (was, is) = (presence.membership(version_a, document), presence.membership(version_b, document));
        let other_version = version_a != version_b;
        match (was, is) {
            // What was retrieved was there, whatever the manifest says; what it no longer lists is gone.
            (Membership::Present(_) | Membership::Unknown, Membership::Absent) if after.is_none() => {
                return Some(Reason::declared(Cause::CorpusRemoved, other_version));
            }
            (Membership::Absent, Membership::Present(_)) if before.is_none() => {
                return Some(Reason::declared(Cause::CorpusAdded, other_version));
            }
            // Returned, and in no manifest: it came in beside the registry.
            (Membership::Absent, Membership::Absent) if before.is_none() && after.is_some() => {
                return Some(Reason::silent(Cause::CorpusAdded));
            }
            _ => {}
        }
        let listed = |standing| match standing {
            Membership::Present(content) => Some(content),
            _ => None,
        };
        let seen = |state: Option<&State>, contents: &Contents| {
            state.and_then(|state| state.content).or_else(|| {
                // Not in this answer: other answers of the window say what it said then.
                contents
                    .get(&document)
                    .filter(|contents| contents.len() == 1)
                    .and_then(|contents| contents.first().copied())
            })
        };
        let before = seen(before, self.before).or(listed(was))?;
        let after = seen(after, self.after).or(listed(is))?;
        if !self.known.vocabulary.contents_differ(before, after) {
            return None;
        }
        let registry_says = match (listed(was), listed(is)) {
            (Some(was), Some(is)) => self.known.vocabulary.contents_differ(was, is),
            _ => true,
        };
        Some(Reason::declared(Cause::CorpusModified, other_version && registry_says))
    }

    /// Why unchanged documents have another score or, where scores are of another kind, another place.
    fn rescored(&self, pair: &Pair<'_>) -> Reason {
        let (a, b) = (pair.context_a, pair.context_b);
        if !pair.pointwise && pair.scores_comparable && corpus_moved(pair) {
            // Frequencies, lengths and ranks follow the corpus.
            let versions = (a.corpus_version.as_deref(), b.corpus_version.as_deref());
            return match self.known.presence.main_change(versions) {
                Some(cause) => Reason::declared(cause, true),
                None => Reason::silent(Cause::Unexplained),
            };
        }
        let other_embedder =
            (self.moved && b.embeds()) || (a.embedder != b.embedder && a.embedder.is_some() && b.embedder.is_some());
        let cause = if other_embedder {
            Cause::Embedding
        } else if !pair.scores_comparable
            || pair.turned
            || !self.known.searches
            || !b.embeds()
            || self.best_moved(pair)
            || (pair.rescored && self.known.rescoring.is_rescaling())
        {
            Cause::Scoring
        } else {
            Cause::Embedding
        };
        Reason::declared(cause, self.known.declares_other_search(pair.a.context, pair.b.context))
    }

    /// The best score that a fused list can have is another one: weights or constants were changed, and not what was found.
    fn best_moved(&self, pair: &Pair<'_>) -> bool {
        let [before, now] = self.known.rescoring.best;
        pair.context_a.score_kind == ScoreKind::Rrf && (now - before).abs() > 0.01 * before.abs()
    }

    /// A document of a fused list that changed its place in an unchanged corpus: it moves when others leave or enter.
    fn moved_with_others(&self, pair: &Pair<'_>) -> Reason {
        if corpus_moved(pair) {
            return self.rescored(pair);
        }
        let left = pair.a.ranking.items().iter().any(|document| {
            !pair.b.ranking.items().contains(document)
                && self.is_there(pair.context_b, *document, self.after)
                && !self.is_outscored(pair, *document)
        });
        if left && !pair.fell { self.index_recall(pair) } else { self.rescored(pair) }
    }

    /// Whether the corpus held a document, as far as its manifest or, without one, the window's answers tell.
    fn is_there(&self, context: &Context, document: DocumentNumber, seen: &Contents) -> bool {
        match self.known.presence.membership(context.corpus_version.as_deref(), document) {
            Membership::Present(_) | Membership::Absent => true,
            Membership::Unknown => seen.contains_key(&document),
        }
    }

    /// Something that was there was not found. A stage that only works on what others found and scores each document by
    /// itself was not given it; one that scores by what else it was given may have weighed it otherwise.
    fn index_recall(&self, pair: &Pair<'_>) -> Reason {
        if !self.known.searches && (pair.rescored || !pair.pointwise) {
            return self.rescored(pair);
        }
        Reason::declared(Cause::IndexRecall, self.known.declares_other_search(pair.a.context, pair.b.context))
    }

    /// Whether one score stands above another, in the direction in which the answers run.
    fn better(&self, pair: &Pair<'_>, score: f64, than: f64) -> bool {
        let seen = direction(&pair.b.scores).or_else(|| direction(&pair.a.scores));
        let upwards = seen.map_or(pair.context_b.score_kind.ranks_upwards(), |seen| seen == Direction::Up);
        let lead = if upwards { than - score } else { score - than };
        lead > self.known.rescoring.tolerance
    }
}

/// Whether the corpus is declared to be another one.
fn corpus_moved(pair: &Pair<'_>) -> bool {
    pair.context_a.corpus_version != pair.context_b.corpus_version
}

/// The later answer is the beginning of the earlier one: nothing was missed, it ends sooner.
fn is_prefix(pair: &Pair<'_>) -> bool {
    let (a, b) = (pair.a.ranking.items(), pair.b.ranking.items());
    !b.is_empty() && b.len() < a.len() && a.starts_with(b)
}

fn unexplained() -> Vec<(Reason, f64)> {
    vec![(Reason::silent(Cause::Unexplained), 1.0)]
}

fn state_at<'v>(vocabulary: &'v Vocabulary, answer: &Answer, place: usize) -> Option<&'v State> {
    answer.states.get(place).map(|state| vocabulary.state_of(*state))
}

fn score_at(answer: &Answer, place: usize) -> Option<f64> {
    answer.scores.get(place).copied().flatten()
}
