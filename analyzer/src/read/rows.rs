//! The columns of a batch of retrievals, and what one row of them adds to a window.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, TimestampMicrosecondType};
use arrow_array::{Array, BinaryArray, Int32Array, ListArray, MapArray, PrimitiveArray, RecordBatch, StringArray};
use tidemark_schema::columns::{ColumnError, Columns, Texts};
use tidemark_schema::{SimHash, Timestamp};

use crate::answer::Place;
use crate::intern::{Interner, QueryNumber};
use crate::observe::{Attempt, Circumstances, Observations, Unit};
use crate::operations::Part;
use crate::outcome::signature;
use crate::read::documents::Documents;
use crate::read::retrievals::{DECLARED, SEGMENT_COLUMNS};
use crate::signatures::Signatures;
use crate::vocabulary::{Context, Vocabulary};

/// What a row declares of how it was retrieved, by its numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Declared {
    pub(super) context: u32,
    pub(super) stage: u32,
    pub(super) version: Option<u32>,
}

/// A row's answer, and what it belongs to.
pub(super) struct Answered<'a> {
    pub(super) declared: Declared,
    pub(super) segment: u32,
    pub(super) limits: u32,
    pub(super) places: &'a [Place],
    pub(super) contents: &'a mut [u32],
    pub(super) digest: u64,
    /// If it is among those that are kept.
    pub(super) query: Option<QueryNumber>,
}

fn text(texts: &StringArray, row: usize) -> Option<&str> {
    texts.is_valid(row).then(|| texts.value(row))
}

/// The columns of a batch.
pub(super) struct Rows<'a> {
    event: &'a BinaryArray,
    occurred_at: &'a PrimitiveArray<TimestampMicrosecondType>,
    operation: &'a StringArray,
    attempt: &'a Int32Array,
    trace: &'a StringArray,
    fingerprint: &'a StringArray,
    simhash: &'a StringArray,
    embedding: &'a ListArray,
    label_map: &'a MapArray,
    pub(super) label_keys: Texts<'a>,
    pub(super) label_values: Texts<'a>,
    /// In the order of [`SEGMENT_COLUMNS`].
    pub(super) label_columns: Vec<Texts<'a>>,
    /// In the order of [`DECLARED`].
    pub(super) declared: Vec<Texts<'a>>,
    pub(super) bounds: Vec<(&'static str, &'a Int32Array)>,
    pub(super) scope: &'a ListArray,
    pub(super) scopes: &'a StringArray,
    marks: &'a ListArray,
    mark: &'a StringArray,
    latency: &'a PrimitiveArray<Float64Type>,
    cost: &'a PrimitiveArray<Float64Type>,
    pub(super) documents: Documents<'a>,
}

impl<'a> Rows<'a> {
    pub(super) fn of(batch: &'a RecordBatch) -> Result<Self, ColumnError> {
        let columns = Columns::of(batch);
        let texts = |names: &[&'static str]| {
            names.iter().map(|name| columns.repeated_texts(name)).collect::<Result<Vec<_>, ColumnError>>()
        };
        let counts = |names: &[&'static str]| {
            names.iter().map(|name| Ok((*name, columns.counts(name)?))).collect::<Result<Vec<_>, ColumnError>>()
        };
        let (label_map, label_keys, label_values) = columns.map_of_texts("segment")?;
        let (scope, scopes) = columns.list_of_texts("requested_scope")?;
        let (marks, mark) = columns.list_of_texts("marks")?;
        Ok(Self {
            event: columns.event_ids("event_id")?,
            occurred_at: columns.times("occurred_at")?,
            operation: columns.texts("operation_id")?,
            attempt: columns.counts("attempt")?,
            trace: columns.texts("trace_id")?,
            fingerprint: columns.texts("query_fingerprint")?,
            simhash: columns.texts("query_simhash")?,
            embedding: columns.list("query_embedding")?,
            label_map,
            label_keys,
            label_values,
            label_columns: texts(&SEGMENT_COLUMNS.map(|(_, column)| column))?,
            declared: texts(&DECLARED)?,
            bounds: counts(&["requested_top_k", "requested_context_tokens", "requested_age_s"])?,
            scope,
            scopes,
            marks,
            mark,
            latency: columns.numbers("latency_ms")?,
            cost: columns.numbers("cost_usd")?,
            documents: Documents::of(&columns)?,
        })
    }

    pub(super) fn labels(&self, row: usize) -> std::ops::Range<usize> {
        let offsets = self.label_map.value_offsets();
        let at = |i: usize| offsets.get(i).and_then(|offset| usize::try_from(*offset).ok()).unwrap_or(0);
        if self.label_map.is_null(row) { 0..0 } else { at(row)..at(row + 1) }
    }

    /// The number of a row's query, if it is among those that the window keeps.
    pub(super) fn kept_query(
        &self,
        row: usize,
        vocabulary: &mut Vocabulary,
        window: &Observations,
    ) -> Option<QueryNumber> {
        let fingerprint = vocabulary.aliases.first_of(self.fingerprint.value(row));
        window.wants(&fingerprint).then(|| vocabulary.queries.number(&fingerprint))
    }

    pub(super) fn observe(
        &self,
        row: usize,
        answer: Answered<'_>,
        vocabulary: &mut Vocabulary,
        window: &mut Observations,
    ) {
        let micros = self.occurred_at.value(row);
        let occurred_at = Timestamp::from_micros(micros).unwrap_or(Timestamp::MIN);
        let (from, to) = window.span.unwrap_or((occurred_at, occurred_at));
        window.span = Some((from.min(occurred_at), to.max(occurred_at)));
        window.events += 1;
        let number = u32::try_from(self.attempt.value(row)).unwrap_or(1);
        let attempt = Attempt::of(self.operation.value(row), number, self.event.value(row));
        let first = attempt.number <= 1;

        let Answered { declared: Declared { context, stage, .. }, segment, limits, places, digest, query, .. } = answer;
        self.sight(row, (attempt, occurred_at), answer, vocabulary, window);

        let sampled = window.operations.wants(attempt.operation);
        let kept = query.is_some();
        if !sampled && !kept {
            return;
        }
        let number = || vocabulary.queries.number(&vocabulary.aliases.first_of(self.fingerprint.value(row)));
        let unit = Unit { query: query.unwrap_or_else(number), stage, limits };
        if sampled {
            let scores = places.iter().map(|place| place.score());
            let part = Part::new((unit, attempt), (context, segment), (micros, digest), scores);
            window.operations.insert(attempt.operation, part, places.iter().map(|place| place.state()));
        }
        if !kept {
            return;
        }
        let limit = window.per_unit();
        let sample = window.units.entry(unit).or_default();
        sample.operations += u32::from(first);
        if sample.wants(attempt, limit) {
            let trace = text(self.trace, row);
            if sample.leads(attempt) {
                sample.trace = trace.map(Box::from);
                sample.signatures = self.signatures(row);
            }
            let value = |numbers: &PrimitiveArray<Float64Type>| numbers.is_valid(row).then(|| numbers.value(row));
            let (latency_ms, cost_usd) = (value(self.latency), value(self.cost));
            let told = Circumstances { occurred_at: micros, context, segment, trace, latency_ms, cost_usd, digest };
            sample.insert((attempt, limit), told, places);
        }
    }

    /// Counts what integrity is judged by.
    fn sight(
        &self,
        row: usize,
        (attempt, occurred_at): (Attempt, Timestamp),
        answer: Answered<'_>,
        vocabulary: &Vocabulary,
        window: &mut Observations,
    ) {
        let Answered { declared: Declared { context, version, .. }, places, contents, .. } = answer;
        // What the policy of the collector allowed, beside what the request asked for.
        let marks = Columns::range(self.marks, row);
        let marked = |of: &[&str]| marks.clone().any(|i| of.contains(&self.mark.value(i)));
        let declared = vocabulary.context_of(context);
        for place in places {
            window.sightings.documents.add(version, place.state(), 1);
        }
        let example = || text(self.trace, row).unwrap_or_else(|| self.operation.value(row));
        let states = || places.iter().map(|place| vocabulary.state_of(place.state()));
        contents.sort_unstable();
        if contents.windows(2).any(|pair| pair[0] == pair[1]) {
            window.sightings.repeated_content.add(attempt.operation, example());
        }
        let foreign = |scope: u32| !declared.scope.contains(&scope);
        let crossed = !declared.scope.is_empty() && states().any(|state| state.scope.is_some_and(foreign));
        if crossed || marked(&["bound.scope"]) {
            window.sightings.outside_scope.add(attempt.operation, example());
        }
        let tokens = || states().filter_map(|state| state.tokens).map(u64::from).sum::<u64>();
        if declared.top_k.is_some_and(|top_k| places.len() > top_k as usize)
            || declared.context_tokens.is_some_and(|budget| tokens() > u64::from(budget))
            || marked(&["bound.results", "bound.top_k", "bound.context_tokens", "bound.corpus"])
        {
            window.sightings.beyond_bound.add(attempt.operation, example());
        }
        let oldest = || states().filter_map(|state| state.updated_at).min();
        let too_old = |age: u32| oldest().is_some_and(|oldest| oldest.plus_seconds(i64::from(age)) < occurred_at);
        if declared.max_age_s.is_some_and(too_old) || marked(&["bound.document_age"]) {
            window.sightings.too_old.add(attempt.operation, example());
        }
    }

    /// The hashes by which similar queries are found: of the query's embedding, and the one made of its text at ingest.
    fn signatures(&self, row: usize) -> Signatures {
        let vector = self.embedding.is_valid(row).then(|| self.embedding.value(row));
        let values = vector.as_ref().and_then(|vector| vector.as_primitive_opt::<Float32Type>());
        Signatures {
            embedding: values.map(|values| signature(values.values())),
            text: text(self.simhash, row).and_then(|hash| hash.parse::<SimHash>().ok()).map(|hash| hash.0),
        }
    }

    pub(super) fn declared_text(&self, name: &str, row: usize) -> Option<&'a str> {
        let (_, texts) = DECLARED.iter().zip(&self.declared).find(|(column, _)| **column == name)?;
        texts.text(row)
    }

    /// What a row declares as one text, the same in every window.
    pub(super) fn declarations(&self, row: usize) -> String {
        let mut all = String::new();
        for texts in &self.declared {
            all.push_str(texts.text(row).unwrap_or("\u{0}"));
            all.push('\u{1}');
        }
        for (_, counts) in &self.bounds {
            if counts.is_valid(row) {
                all.push_str(&counts.value(row).to_string());
            }
            all.push('\u{1}');
        }
        for i in Columns::range(self.scope, row) {
            all.push('\u{1}');
            all.push_str(self.scopes.value(i));
        }
        all
    }

    pub(super) fn context(&self, row: usize, scopes: &mut Interner) -> Context {
        let text = |name: &str| self.declared_text(name, row).map(str::to_owned);
        let count = |name: &str| {
            let column = self.bounds.iter().find(|(column, _)| *column == name);
            column.and_then(|(_, counts)| counts.is_valid(row).then(|| u32::try_from(counts.value(row)).unwrap_or(0)))
        };
        Context {
            corpus_version: text("corpus_version"),
            retriever: (text("retriever_name"), text("retriever_version")),
            kind: text("retriever_kind"),
            index: text("index_id"),
            embedder: text("embedder"),
            params: text("retriever_params"),
            score_kind: self.declared_text("score_kind", row).and_then(|kind| kind.parse().ok()).unwrap_or_default(),
            top_k: count("requested_top_k"),
            context_tokens: count("requested_context_tokens"),
            max_age_s: count("requested_age_s"),
            scope: Columns::range(self.scope, row).map(|i| scopes.number(self.scopes.value(i))).collect(),
            filter: text("requested_filter"),
        }
    }
}
