//! One row of the table of retrievals after another.

use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_array::{Array, Int32Array, PrimitiveArray, RecordBatch, StringArray};
use tidemark_schema::columns::{ColumnError, Columns};
use tidemark_schema::{SimHash, Timestamp};

use crate::answer::Place;
use crate::error::Error;
use crate::intern::Interner;
use crate::marginals::Measured;
use crate::observe::{Attempt, Observations};
use crate::outcome::signature;
use crate::selector::Segment;
use crate::vocabulary::{Context, State, Vocabulary, label};

/// The columns that a comparison needs.
pub(super) const COLUMNS: [&str; 26] = [
    "event_id",
    "occurred_at",
    "operation_id",
    "attempt",
    "trace_id",
    "principal",
    "service",
    "environment",
    "segment",
    "corpus_version",
    "retriever_name",
    "retriever_version",
    "retriever_params",
    "score_kind",
    "index_id",
    "embedder",
    "query_fingerprint",
    "query_simhash",
    "query_embedding",
    "requested_top_k",
    "requested_context_tokens",
    "requested_age_s",
    "requested_scope",
    "requested_filter",
    "results",
    "marks",
];

/// Columns by which traffic is told apart besides the keys that its events declare; a declared key of the same name
/// takes precedence.
const SEGMENT_COLUMNS: [(&str, &str); 4] = [
    ("retriever", "retriever_name"),
    ("service", "service"),
    ("environment", "environment"),
    ("principal", "principal"),
];

/// Takes a batch of rows into the observations: those that belong to the segment.
pub fn observe(
    batch: &RecordBatch,
    segment: &Segment,
    vocabulary: &mut Vocabulary,
    window: &mut Observations,
) -> Result<(), Error> {
    let rows = Rows::of(batch)?;
    for row in 0..batch.num_rows() {
        if !segment.is_all() && !segment.holds(&rows.labels(row)?) {
            continue;
        }
        rows.observe(row, vocabulary, window)?;
    }
    window.bound(vocabulary);
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
            results,
            document: documents.texts("doc_id")?,
            content: documents.texts("content_hash")?,
            document_scope: documents.texts("scope")?,
            score: documents.numbers("score")?,
            tokens: documents.counts("tokens")?,
            updated_at: documents.times("updated_at")?,
        })
    }

    fn observe(&self, row: usize, vocabulary: &mut Vocabulary, window: &mut Observations) -> Result<(), Error> {
        let occurred_at = Timestamp::from_micros(self.occurred_at.value(row)).unwrap_or(Timestamp::MIN);
        let (from, to) = window.span.unwrap_or((occurred_at, occurred_at));
        window.span = Some((from.min(occurred_at), to.max(occurred_at)));
        window.events += 1;
        let number = u32::try_from(self.attempt.value(row)).unwrap_or(1);
        let retriever = self.declared_text("retriever_name", row).unwrap_or_default();
        let event = Columns::of(self.batch).event_id("event_id", row)?;
        let attempt = Attempt::of(self.operation.value(row), retriever, number, event.as_bytes());
        let first = attempt.number <= 1;
        window.operations += u64::from(first);

        let context = self.context(row, vocabulary)?;
        let places = self.places(row, vocabulary);
        self.sight(row, attempt, occurred_at, (context, &places), vocabulary, window)?;

        let fingerprint = vocabulary.aliases.first_of(self.fingerprint.value(row)).into_owned();
        let fingerprint = fingerprint.as_str();
        if window.scored.wants(attempt.key) {
            let number = vocabulary.fingerprints.number(fingerprint);
            let scores: Vec<Option<f64>> = places.iter().map(|place| place.score()).collect();
            window.scored.insert(attempt.key, Measured::new(number, attempt.number, &scores));
        }
        if !window.wants(fingerprint) {
            return Ok(());
        }
        let number = vocabulary.fingerprints.number(fingerprint);
        let limit = window.per_query();
        let query = window.queries.entry(number).or_default();
        query.operations += u32::from(first);
        if query.wants(attempt, limit) {
            let trace = self.trace.is_valid(row).then(|| self.trace.value(row));
            if query.leads(attempt) {
                query.trace = trace.map(Box::from);
                query.signature = self.signature(row)?;
            }
            let segment = self.segment(row, vocabulary)?;
            query.insert((attempt, limit), (context, segment), trace, places);
        }
        Ok(())
    }

    /// Counts what integrity is judged by.
    fn sight(
        &self,
        row: usize,
        attempt: Attempt,
        occurred_at: Timestamp,
        (context, places): (u32, &[Place]),
        vocabulary: &mut Vocabulary,
        window: &mut Observations,
    ) -> Result<(), ColumnError> {
        // What the policy of the collector allowed, beside what the request asked for.
        let marks: Vec<String> = Columns::of(self.batch).parsed_list("marks", row)?;
        let marked = |of: &[&str]| marks.iter().any(|mark| of.contains(&mark.as_str()));
        if let Some(version) = &vocabulary.context_of(context).corpus_version {
            let version = vocabulary.versions.find(version).unwrap_or_default();
            for place in places {
                *window.sightings.documents.entry((version, place.state())).or_default() += 1;
            }
        }
        let declared = vocabulary.context_of(context);
        let example = || if self.trace.is_valid(row) { self.trace.value(row) } else { self.operation.value(row) };
        let states = || places.iter().map(|place| vocabulary.state_of(place.state()));
        let foreign = |scope: u32| !declared.scope.is_empty() && !declared.scope.contains(&scope);
        if states().any(|state| state.scope.is_some_and(foreign)) || marked(&["bound.scope"]) {
            window.sightings.outside_scope.add(attempt.key, example());
        }
        let tokens: u64 = states().filter_map(|state| state.tokens).map(u64::from).sum();
        if declared.top_k.is_some_and(|top_k| places.len() > top_k as usize)
            || declared.context_tokens.is_some_and(|budget| tokens > u64::from(budget))
            || marked(&["bound.results", "bound.top_k", "bound.context_tokens", "bound.corpus"])
        {
            window.sightings.beyond_bound.add(attempt.key, example());
        }
        let oldest = states().filter_map(|state| state.updated_at).min();
        let too_old = |(age, oldest): (u32, Timestamp)| oldest.plus_seconds(i64::from(age)) < occurred_at;
        if declared.max_age_s.zip(oldest).is_some_and(too_old) || marked(&["bound.document_age"]) {
            window.sightings.too_old.add(attempt.key, example());
        }
        Ok(())
    }

    fn places(&self, row: usize, vocabulary: &mut Vocabulary) -> Vec<Place> {
        let range = Columns::range(self.results, row);
        Place::list(range.map(|i| {
            let number = |interner: &mut Interner, texts: &StringArray| {
                texts.is_valid(i).then(|| interner.number(texts.value(i)))
            };
            let state = State {
                document: vocabulary.documents.number(self.document.value(i)),
                content: number(&mut vocabulary.contents, self.content),
                scope: number(&mut vocabulary.scopes, self.document_scope),
                tokens: self.tokens.is_valid(i).then(|| u32::try_from(self.tokens.value(i)).unwrap_or(0)),
                updated_at: self
                    .updated_at
                    .is_valid(i)
                    .then(|| Timestamp::from_micros(self.updated_at.value(i)).ok())
                    .flatten(),
            };
            let score = self.score.is_valid(i).then(|| self.score.value(i));
            (vocabulary.state(state), score)
        }))
    }

    /// A hash by which similar queries are found: of the query's embedding, else the one made of its text at ingest.
    fn signature(&self, row: usize) -> Result<Option<u64>, ColumnError> {
        let columns = Columns::of(self.batch);
        if let Some(embedding) = columns.vector("query_embedding", row)? {
            return Ok(Some(signature(&embedding)));
        }
        Ok(columns.maybe::<SimHash>("query_simhash", row)?.map(|hash| hash.0))
    }

    /// The keys and values that tell the row's traffic apart.
    fn labels(&self, row: usize) -> Result<Vec<(String, String)>, ColumnError> {
        let columns = Columns::of(self.batch);
        let declared = columns.text_map("segment", row)?;
        let mut labels: Vec<(String, String)> =
            declared.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        for (key, column) in SEGMENT_COLUMNS {
            if let Some(value) = columns.text(column, row)?
                && !labels.iter().any(|(other, _)| other == key)
            {
                labels.push((key.to_owned(), value.to_owned()));
            }
        }
        Ok(labels)
    }

    fn segment(&self, row: usize, vocabulary: &mut Vocabulary) -> Result<u32, ColumnError> {
        let labels = self.labels(row)?;
        let mut numbers: Vec<u32> =
            labels.iter().map(|(key, value)| vocabulary.labels.number(&label(key, value))).collect();
        numbers.sort_unstable();
        Ok(vocabulary.segment(numbers))
    }

    fn context(&self, row: usize, vocabulary: &mut Vocabulary) -> Result<u32, ColumnError> {
        // A key that tells contexts apart is cheaper to build for each row than the context itself.
        let mut key = String::with_capacity(96);
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
        let versions = &mut vocabulary.versions;
        if let Some(version) = self.declared_text("corpus_version", row) {
            versions.number(version);
        }
        Ok(vocabulary.context(&key, |scopes| self.declared_context(row, &scope, scopes)))
    }

    fn declared_text(&self, name: &str, row: usize) -> Option<&'a str> {
        let (_, texts) = self.declared.iter().find(|(column, _)| *column == name)?;
        texts.is_valid(row).then(|| texts.value(row))
    }

    fn declared_context(&self, row: usize, scope: &[String], scopes: &mut Interner) -> Context {
        let text = |name: &str| self.declared_text(name, row).map(str::to_owned);
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
