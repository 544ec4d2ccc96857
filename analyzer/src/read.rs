//! Rows of the lake into observations, batch by batch, so that memory follows the number of queries and not of events.

use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_array::{Array, Int32Array, PrimitiveArray, RecordBatch, StringArray};
use futures::StreamExt;
use tidemark_lake::{Lake, Scan, Table};
use tidemark_schema::Timestamp;
use tidemark_schema::columns::{ColumnError, Columns};
use tidemark_stats::Ranking;

use crate::error::Error;
use crate::intern::Interner;
use crate::observe::{Answer, Context, Observations, Place, State, Vocabulary};
use crate::selector::Window;

/// The columns that a comparison needs.
const COLUMNS: [&str; 19] = [
    "occurred_at",
    "operation_id",
    "attempt",
    "trace_id",
    "corpus_version",
    "retriever_name",
    "retriever_version",
    "retriever_params",
    "score_kind",
    "index_id",
    "embedder",
    "query_fingerprint",
    "requested_top_k",
    "requested_context_tokens",
    "requested_age_s",
    "requested_scope",
    "requested_filter",
    "results",
    "event_id",
];

/// Reads a window at a version of the table.
pub async fn read_window(
    lake: &Lake,
    window: &Window,
    version: u64,
    vocabulary: &mut Vocabulary,
) -> Result<Observations, Error> {
    let scan =
        Scan { table: Table::Retrievals, filters: window.filters(), columns: COLUMNS.to_vec(), version: Some(version) };
    let mut observations = Observations::default();
    let mut rows = lake.scan(scan).await?;
    while let Some(batch) = rows.next().await {
        observe(&batch?, vocabulary, &mut observations)?;
    }
    Ok(observations)
}

/// Takes a batch of rows into the observations.
pub fn observe(batch: &RecordBatch, vocabulary: &mut Vocabulary, window: &mut Observations) -> Result<(), Error> {
    let rows = Rows::of(batch)?;
    for row in 0..batch.num_rows() {
        let occurred_at = Timestamp::from_micros(rows.occurred_at.value(row)).unwrap_or(Timestamp::MIN);
        let (from, to) = window.span.unwrap_or((occurred_at, occurred_at));
        window.span = Some((from.min(occurred_at), to.max(occurred_at)));
        window.events += 1;
        let fingerprint = vocabulary.fingerprints.number(rows.fingerprint.value(row));
        let query = window.queries.entry(fingerprint).or_default();
        query.events += 1;
        let attempt = u32::try_from(rows.attempt.value(row)).unwrap_or(1);
        let place = Place::of(rows.operation.value(row), attempt);
        if query.wants(place) {
            let trace = rows.trace.is_valid(row).then(|| rows.trace.value(row));
            let answer = rows.answer(row, vocabulary)?;
            query.insert(place, occurred_at, trace, answer);
        }
    }
    Ok(())
}

struct Rows<'a> {
    batch: &'a RecordBatch,
    occurred_at: &'a PrimitiveArray<TimestampMicrosecondType>,
    operation: &'a StringArray,
    attempt: &'a Int32Array,
    trace: &'a StringArray,
    fingerprint: &'a StringArray,
    score_kind: &'a StringArray,
    declared: Vec<(&'static str, &'a StringArray)>,
    bounds: Vec<(&'static str, &'a Int32Array)>,
    scope: &'a arrow_array::ListArray,
    results: &'a arrow_array::ListArray,
    document: &'a StringArray,
    content: &'a StringArray,
    document_scope: &'a StringArray,
    score: &'a PrimitiveArray<Float64Type>,
    tokens: &'a Int32Array,
    updated_at: &'a PrimitiveArray<TimestampMicrosecondType>,
}

impl<'a> Rows<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, ColumnError> {
        let columns = Columns::of(batch);
        let results = columns.list("results")?;
        let documents = Columns::of_elements(results, "results")?;
        let declared = [
            "corpus_version",
            "retriever_name",
            "retriever_version",
            "retriever_params",
            "index_id",
            "embedder",
            "requested_filter",
        ];
        let bounds = ["requested_top_k", "requested_context_tokens", "requested_age_s"];
        Ok(Self {
            batch,
            occurred_at: columns.times("occurred_at")?,
            operation: columns.texts("operation_id")?,
            attempt: columns.counts("attempt")?,
            trace: columns.texts("trace_id")?,
            fingerprint: columns.texts("query_fingerprint")?,
            score_kind: columns.texts("score_kind")?,
            declared: declared
                .into_iter()
                .map(|name| Ok((name, columns.texts(name)?)))
                .collect::<Result<_, ColumnError>>()?,
            bounds: bounds
                .into_iter()
                .map(|name| Ok((name, columns.counts(name)?)))
                .collect::<Result<_, ColumnError>>()?,
            scope: columns.list("requested_scope")?,
            results,
            document: documents.texts("doc_id")?,
            content: documents.texts("content_hash")?,
            document_scope: documents.texts("scope")?,
            score: documents.numbers("score")?,
            tokens: documents.counts("tokens")?,
            updated_at: documents.times("updated_at")?,
        })
    }

    fn answer(&self, row: usize, vocabulary: &mut Vocabulary) -> Result<Answer, Error> {
        let range = Columns::range(self.results, row);
        let mut documents = Vec::with_capacity(range.len());
        let mut states = Vec::with_capacity(range.len());
        let mut scores = Vec::with_capacity(range.len());
        for i in range {
            let document = vocabulary.documents.number(self.document.value(i));
            let number = |interner: &mut Interner, texts: &StringArray| {
                texts.is_valid(i).then(|| interner.number(texts.value(i)))
            };
            let state = State {
                document,
                content: number(&mut vocabulary.contents, self.content),
                scope: number(&mut vocabulary.scopes, self.document_scope),
                tokens: self.tokens.is_valid(i).then(|| u32::try_from(self.tokens.value(i)).unwrap_or(0)),
                updated_at: self
                    .updated_at
                    .is_valid(i)
                    .then(|| Timestamp::from_micros(self.updated_at.value(i)).ok())
                    .flatten(),
            };
            documents.push(document);
            states.push(vocabulary.state(state));
            scores.push(self.score.is_valid(i).then(|| self.score.value(i)));
        }
        let context = self.context(row, vocabulary)?;
        Ok(Answer { ranking: Ranking::with_scores(documents, &scores)?, states, scores, context })
    }

    fn context(&self, row: usize, vocabulary: &mut Vocabulary) -> Result<u32, ColumnError> {
        // A key that tells contexts apart is cheaper to build for each row than the context itself.
        let mut key = String::new();
        let text = |texts: &'a StringArray| texts.is_valid(row).then(|| texts.value(row));
        for (_, texts) in &self.declared {
            key.push_str(text(texts).unwrap_or("\u{0}"));
            key.push('\u{1}');
        }
        for (_, counts) in &self.bounds {
            key.push_str(&counts.is_valid(row).then(|| counts.value(row)).map_or_else(String::new, |n| n.to_string()));
            key.push('\u{1}');
        }
        key.push_str(self.score_kind.value(row));
        let scope: Vec<String> = Columns::of(self.batch).parsed_list("requested_scope", row)?;
        for scope in &scope {
            key.push('\u{1}');
            key.push_str(scope);
        }
        debug_assert_eq!(Columns::range(self.scope, row).len(), scope.len());
        Ok(vocabulary.context(&key, |scopes| self.declared_context(row, &scope, scopes)))
    }

    fn declared_context(&self, row: usize, scope: &[String], scopes: &mut Interner) -> Context {
        let text = |name: &str| {
            let column = self.declared.iter().find(|(column, _)| *column == name);
            column.and_then(|(_, texts)| texts.is_valid(row).then(|| texts.value(row).to_owned()))
        };
        let count = |name: &str| {
            let column = self.bounds.iter().find(|(column, _)| *column == name);
            column.and_then(|(_, counts)| counts.is_valid(row).then(|| u32::try_from(counts.value(row)).unwrap_or(0)))
        };
        Context {
            corpus_version: text("corpus_version"),
            retriever: (text("retriever_name"), text("retriever_version")),
            index: text("index_id"),
            embedder: text("embedder"),
            params: text("retriever_params"),
            score_kind: self.score_kind.value(row).parse().unwrap_or_default(),
            top_k: count("requested_top_k"),
            context_tokens: count("requested_context_tokens"),
            max_age_s: count("requested_age_s"),
            scope: scope.iter().map(|scope| scopes.number(scope)).collect(),
            filter: text("requested_filter"),
        }
    }
}
