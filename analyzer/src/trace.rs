//! One trace, document by document, against another or against what the same query got before.

mod nearest;

use std::collections::BTreeMap;

use futures::TryStreamExt;
use serde::Serialize;
use tidemark_corpus::Registry;
use tidemark_lake::{Filter, Lake, Scan, Table};
use tidemark_schema::columns::retrievals;
use tidemark_schema::{CorpusVersion, ErrorKind, Label, Query, RetrievalEvent, Retriever, Stored, Timestamp, TraceId};
use tidemark_stats::{Persistence, Ranking};

use crate::answer::{Answer, overlap};
use crate::causes::{Cause, Classifier};
use crate::error::Error;
use crate::intern::DocumentNumber;
use crate::observe::Observations;
use crate::presence::{Presence, contents};
use crate::read::{TENANT_KEYS, observe};
use crate::scores::{Rescoring, common_scores};
use crate::selector::{Segment, Selector};
use crate::stage::Stage;
use crate::vocabulary::Vocabulary;

pub use nearest::SimilarQuery;
use nearest::{Similar, nearest};

/// What to compare.
#[derive(Debug, Clone)]
pub struct TraceQuery {
    /// The trace, or the operation, that is looked at.
    pub trace: TraceId,
    /// The one it is compared with; none means what the same query got before.
    pub other: Option<TraceId>,
    /// Where "before" is looked for; none means all that is stored.
    pub reference: Option<Selector>,
    /// The present, for a reference such as `last:7d`.
    pub now: Timestamp,
}

/// The documents of two retrievals side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TraceDiff {
    /// Extrapolated rank-biased overlap, persistence 0.9; 1 is the same.
    pub rbo: f64,
    /// The earlier retrieval.
    pub reference: RetrievalSummary,
    /// The one that is looked at.
    pub current: RetrievalSummary,
    /// Every document of either, in the order of the current ranks, then of the reference's.
    pub documents: Vec<DocumentDiff>,
    /// Where the query was never asked before: the nearest ones that were, nearest first. The first is the reference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub similar: Vec<SimilarQuery>,
    /// What a reader should know besides.
    pub notes: Vec<String>,
}

/// What a retrieval declares.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetrievalSummary {
    /// Its trace.
    pub trace_id: Option<String>,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// Its corpus.
    pub corpus: String,
    /// The version of the corpus that it declares.
    pub corpus_version: Option<String>,
    /// The fingerprint of its query.
    pub fingerprint: String,
    /// The text of its query, if it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The model that embedded the query.
    pub embedder: Option<String>,
    /// The index.
    pub index: Option<String>,
}

/// What became of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentChange {
    /// Only the current retrieval returned it.
    Entered,
    /// Only the earlier retrieval returned it.
    Left,
    /// Both did, at different ranks.
    Moved,
    /// Both did, at the same rank.
    Same,
}

impl DocumentChange {
    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Entered => "entered",
            Self::Left => "left",
            Self::Moved => "moved",
            Self::Same => "same",
        }
    }
}

/// One document in both retrievals.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DocumentDiff {
    /// Which.
    pub doc_id: String,
    /// What became of it.
    pub change: DocumentChange,
    /// Its rank before, from 1.
    pub reference_rank: Option<usize>,
    /// Its rank now, from 1.
    pub current_rank: Option<usize>,
    /// Its score before.
    pub reference_score: Option<f64>,
    /// Its score now.
    pub current_score: Option<f64>,
    /// Why; none for a document that stayed where it was.
    pub cause: Option<Cause>,
}

/// Whether two queries are the same, by either of their fingerprints.
fn same_query(a: &Query, b: &Query) -> bool {
    let of_a = [Some(&a.fingerprint), a.previous_fingerprint.as_ref()];
    let of_b = [Some(&b.fingerprint), b.previous_fingerprint.as_ref()];
    of_a.iter().flatten().any(|fingerprint| of_b.contains(&Some(fingerprint)))
}

/// Compares a trace with another, or with what its query got before.
pub async fn diff_trace(lake: &Lake, registry: &Registry, query: &TraceQuery) -> Result<TraceDiff, Error> {
    let current = retrieval_of(lake, &query.trace).await?;
    let mut notes = Vec::new();
    let (reference, similar) = match &query.other {
        Some(other) => (retrieval_of(lake, other).await?, Vec::new()),
        None => before(lake, &current, query, &mut notes).await?,
    };
    if tenant(&reference.event) != tenant(&current.event) {
        let (trace, other) =
            (query.trace.to_string(), query.other.as_ref().map(ToString::to_string).unwrap_or_default());
        return Err(Error::OtherTenant { trace, other });
    }
    let limits = |event: &RetrievalEvent| (event.requested.scope.clone(), event.requested.filter.clone());
    if limits(&reference.event) != limits(&current.event) {
        notes.push("the two traces were asked within different scopes or filters".to_owned());
    }
    if stage(&reference.event) != stage(&current.event) {
        notes.push("the two traces were answered by different retrievers".to_owned());
    }
    if similar.is_empty() && !same_query(&reference.event.query, &current.event.query) {
        notes.push("the two traces asked different queries".to_owned());
    }
    if reference.event.corpus != current.event.corpus {
        notes.push("the two traces asked different corpora".to_owned());
    }

    // The same way into numbers as a comparison of windows takes, with one row in each window.
    let mut vocabulary = Vocabulary::default();
    let (a, window_a) = observed(&reference, &mut vocabulary)?;
    let (b, window_b) = observed(&current, &mut vocabulary)?;
    let mut manifests = BTreeMap::new();
    for event in [&reference.event, &current.event] {
        if let Some(version) = &event.corpus_version {
            match manifest(registry, event, version).await? {
                Some(manifest) => {
                    manifests.insert(version.to_string(), manifest);
                }
                None => notes.push(format!("version {version} of {} has no registered manifest", event.corpus)),
            }
        }
    }
    notes.dedup();
    let presence = Presence::new(&manifests, &mut vocabulary);
    let p = Persistence::default();
    let (contents_a, contents_b) = (contents(&window_a, &vocabulary), contents(&window_b, &vocabulary));
    let classifier = Classifier {
        vocabulary: &vocabulary,
        presence: &presence,
        rescoring: pair_rescoring(&vocabulary, &a, &b),
        reference: &contents_a,
        current: &contents_b,
        usual_lengths: None,
        kept: crate::causes::Kept::default(),
        searches: true,
        embedder_moved: false,
    };
    Ok(TraceDiff {
        rbo: overlap(&a, &b, p),
        documents: documents(&a, &b, &classifier, p),
        reference: summary(&reference),
        current: summary(&current),
        similar,
        notes,
    })
}

/// Who an answer belongs to.
fn tenant(event: &RetrievalEvent) -> Option<&str> {
    tenant_of(&event.segment)
}

fn tenant_of(segment: &BTreeMap<Label, Label>) -> Option<&str> {
    let of_key = |wanted: &&str| segment.iter().find(|(key, _)| key.as_str() == *wanted);
    TENANT_KEYS.iter().find_map(of_key).map(|(_, value)| value.as_str())
}

/// Who answered.
fn stage(event: &RetrievalEvent) -> Stage {
    let short = |label: &Option<Label>| label.as_ref().map(|label| label.as_str().into());
    let Retriever { name, kind, score_kind, .. } = &event.retriever;
    Stage { retriever: short(name), kind: short(kind), score_kind: *score_kind }
}

/// The retrieval of a trace; of several the last attempt of the first operation, of its stages the one that stands last in
/// the pipeline. An operation id is taken as well.
async fn retrieval_of(lake: &Lake, trace: &TraceId) -> Result<Stored<RetrievalEvent>, Error> {
    let mut filters = vec![Filter::Trace(trace.clone())];
    if let Ok(operation) = trace.as_str().parse() {
        filters.push(Filter::Operation(operation));
    }
    for filter in filters {
        let mut found = retrievals_where(lake, vec![filter]).await?;
        found.sort_by_key(|row| (row.event.occurred_at, row.event.event_id));
        let first = found.first().map(|row| row.event.operation_id.clone());
        let attempts = found.into_iter().filter(|row| Some(&row.event.operation_id) == first.as_ref());
        // What the model saw: the stage that chooses last, by what it declares, then by the time.
        let last = attempts.max_by_key(|row| {
            (stage(&row.event).level(), row.event.attempt, row.event.occurred_at, row.event.event_id)
        });
        if let Some(last) = last {
            return Ok(last);
        }
    }
    Err(Error::NoTrace(trace.to_string()))
}

/// So far back similar queries are looked for, in days, where no reference is named.
const SIMILAR_DAYS: i64 = 30;

/// What the same query got before: the newest earlier answer that differs, else the newest earlier one. Of a query that was
/// never asked before, what the nearest one got, and which were near.
async fn before(
    lake: &Lake,
    current: &Stored<RetrievalEvent>,
    query: &TraceQuery,
    notes: &mut Vec<String>,
) -> Result<(Stored<RetrievalEvent>, Vec<SimilarQuery>), Error> {
    let filters = match &query.reference {
        Some(selector) => selector.resolve(&selector.to_string(), &current.event.corpus, query.now).filters(),
        None => vec![
            Filter::Corpus(current.event.corpus.clone()),
            Filter::Between(Timestamp::MIN, current.event.occurred_at),
        ],
    };
    let Query { fingerprint, previous_fingerprint, .. } = &current.event.query;
    let same = [Some(fingerprint), previous_fingerprint.as_ref()].into_iter().flatten().cloned().collect();
    let mut found = retrievals_where(lake, [filters.clone(), vec![Filter::Fingerprints(same)]].concat()).await?;
    // Only what the same stage answered the same tenant.
    let (asked, by) = (tenant(&current.event), stage(&current.event));
    found.retain(|row| row.event.operation_id != current.event.operation_id && tenant(&row.event) == asked);
    if found.iter().any(|row| stage(&row.event) == by) {
        found.retain(|row| stage(&row.event) == by);
    } else if !found.is_empty() {
        notes.push("this query was never asked of the same retriever before".to_owned());
    }
    let limits = |event: &RetrievalEvent| (event.requested.scope.clone(), event.requested.filter.clone());
    let limited = limits(&current.event);
    let asked_before = !found.is_empty();
    found.retain(|row| limits(&row.event) == limited);
    if found.is_empty() && asked_before {
        return Err(Error::OtherLimits(query.trace.to_string()));
    }
    found.sort_by_key(|row| std::cmp::Reverse((row.event.occurred_at, row.event.event_id)));
    let documents = |event: &RetrievalEvent| event.results.iter().map(|d| d.doc_id.clone()).collect::<Vec<_>>();
    let now = documents(&current.event);
    if query.reference.is_none()
        && let Some(differing) = found.iter().position(|row| documents(&row.event) != now)
    {
        notes.push(match differing {
            0 => "compared with the last time this query was asked".to_owned(),
            n => format!("compared with the last different answer; this query was answered as now {n} times since"),
        });
        return Ok((found.swap_remove(differing), Vec::new()));
    }
    if !found.is_empty() && query.reference.is_none() {
        notes.push(format!("this query was answered the same all {} times it was asked before", found.len()));
    }
    if let Some(newest) = found.into_iter().next() {
        return Ok((newest, Vec::new()));
    }
    let days = query.reference.is_none().then(|| {
        let since = current.event.occurred_at.plus_seconds(-SIMILAR_DAYS * 86_400);
        Filter::Between(since, current.event.occurred_at)
    });
    let similar = nearest(lake, &current.event, filters.into_iter().chain(days).collect()).await?;
    let reports = similar.iter().map(Similar::report).collect();
    let Some(first) = similar.into_iter().next() else { return Err(Error::NoReference(query.trace.to_string())) };
    let never = if query.reference.is_none() { "never asked before" } else { "not asked in the reference" };
    notes.push(format!(
        "this query was {never}: compared with the nearest one that was, whose hash differs in {} of 64 bits; what differs \
         may be due to the question",
        first.differing_bits
    ));
    Ok((first.row, reports))
}

async fn retrievals_where(lake: &Lake, filters: Vec<Filter>) -> Result<Vec<Stored<RetrievalEvent>>, Error> {
    let rows = lake.scan(Scan { table: Table::Retrievals, filters, columns: Vec::new(), version: None }).await?;
    let batches: Vec<_> = rows.try_collect().await?;
    let mut events = Vec::new();
    for batch in &batches {
        events.extend(retrievals::decode(batch)?);
    }
    Ok(events)
}

async fn manifest(
    registry: &Registry,
    event: &RetrievalEvent,
    version: &CorpusVersion,
) -> Result<Option<tidemark_corpus::Manifest>, Error> {
    match registry.manifest(&event.corpus, version).await {
        Ok(manifest) => Ok(Some(manifest)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn observed(row: &Stored<RetrievalEvent>, vocabulary: &mut Vocabulary) -> Result<(Answer, Observations), Error> {
    let layout = |source| tidemark_lake::Error::Layout { table: Table::Retrievals.name(), source };
    let batch = retrievals::encode(std::slice::from_ref(row)).map_err(layout)?;
    let mut window = Observations::default();
    observe(&batch, &Segment::default(), vocabulary, &mut window)?;
    let first = window.sampled().next();
    let Some(observed) = first else { return Err(Error::NoTrace(row.event.operation_id.to_string())) };
    let mut answer = Answer::of(&observed.places, observed.context, vocabulary)?;
    // A window keeps 24 bits of a score; here there is room for all of it.
    answer.scores = row.event.results.iter().map(|result| result.score.map(tidemark_schema::Finite::get)).collect();
    answer.ranking = Ranking::with_scores(answer.ranking.items().to_vec(), &answer.scores)?;
    Ok((answer, window))
}

/// A single pair has no repeats to learn noise from: what is not the representation of the same number has changed.
fn pair_rescoring(vocabulary: &Vocabulary, a: &Answer, b: &Answer) -> Rescoring {
    let common: Vec<_> = common_scores(vocabulary, a, b).collect();
    let largest = common.iter().map(|(_, _, before, _)| before.abs()).fold(0.0, f64::max);
    let tolerance = largest * crate::scores::REPRESENTATION;
    let seen = common.iter().any(|(_, _, before, after)| (after - before).abs() > tolerance);
    let kept = common.windows(2).all(|pair| matches!(pair, [x, y] if x.1 < y.1));
    let best = |answer: &Answer| answer.scores.iter().flatten().fold(f64::NEG_INFINITY, |best, score| best.max(*score));
    Rescoring {
        tolerance,
        rounding: 0.0,
        best: [best(a), best(b)],
        seen,
        order_agreement: if kept { 1.0 } else { 0.0 },
    }
}

fn documents(a: &Answer, b: &Answer, classifier: &Classifier<'_>, p: Persistence) -> Vec<DocumentDiff> {
    let pairs = classifier.between(p);
    let name = |document: DocumentNumber| classifier.vocabulary.documents.text(document).to_owned();
    let score = |answer: &Answer, place: usize| answer.scores.get(place).copied().flatten();
    let place =
        |answer: &Answer, document: DocumentNumber| answer.ranking.items().iter().position(|other| *other == document);
    let mut documents = Vec::new();
    for (j, document) in b.ranking.items().iter().enumerate() {
        let i = place(a, *document);
        let (change, cause) = match i {
            None => (DocumentChange::Entered, Some(pairs.reason_gained(a, b, j).cause)),
            Some(i) if i == j => (DocumentChange::Same, None),
            Some(i) if i < j => (DocumentChange::Moved, strongest(&pairs.reasons_lost(a, b, i))),
            Some(_) => (DocumentChange::Moved, Some(pairs.reason_gained(a, b, j).cause)),
        };
        documents.push(DocumentDiff {
            doc_id: name(*document),
            change,
            reference_rank: i.map(|i| i + 1),
            current_rank: Some(j + 1),
            reference_score: i.and_then(|i| score(a, i)),
            current_score: score(b, j),
            cause,
        });
    }
    for (i, document) in a.ranking.items().iter().enumerate().filter(|(_, document)| place(b, **document).is_none()) {
        documents.push(DocumentDiff {
            doc_id: name(*document),
            change: DocumentChange::Left,
            reference_rank: Some(i + 1),
            current_rank: None,
            reference_score: score(a, i),
            current_score: None,
            cause: strongest(&pairs.reasons_lost(a, b, i)),
        });
    }
    documents
}

fn strongest(reasons: &[(crate::causes::Reason, f64)]) -> Option<Cause> {
    let mut parts: BTreeMap<Cause, f64> = BTreeMap::new();
    for (reason, part) in reasons {
        *parts.entry(reason.cause).or_default() += part;
    }
    parts.into_iter().max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(cause, _)| cause)
}

fn summary(row: &Stored<RetrievalEvent>) -> RetrievalSummary {
    let event = &row.event;
    RetrievalSummary {
        trace_id: event.trace_id.as_ref().map(ToString::to_string),
        occurred_at: event.occurred_at,
        corpus: event.corpus.to_string(),
        corpus_version: event.corpus_version.as_ref().map(ToString::to_string),
        fingerprint: event.query.fingerprint.to_string(),
        query: event.query.text.clone(),
        embedder: event.retriever.embedder.as_ref().map(ToString::to_string),
        index: event.retriever.index.as_ref().map(ToString::to_string),
    }
}
