//! One row of the table of retrievals after another.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, BinaryArray, Float32Array, Int32Array, ListArray, MapArray, PrimitiveArray, RecordBatch, StringArray,
};
use tidemark_schema::columns::{ColumnError, Columns};
use tidemark_schema::{SimHash, Timestamp};

use crate::answer::Place;
use crate::error::Error;
use crate::intern::{FastMap, Interner};
use crate::observe::{Attempt, Circumstances, Observations, Unit};
use crate::operations::Part;
use crate::outcome::signature;
use crate::read::documents::{Documents, Numbers};
use crate::selector::Segment;
use crate::stage::Stage;
use crate::vocabulary::{Context, Limits, Vocabulary, key_and_value, label};

/// The columns that a comparison needs.
pub(super) const COLUMNS: [&str; 29] = [
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
    "retriever_kind",
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
    "latency_ms",
    "cost_usd",
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

/// Keys of segments that name who an answer belongs to.
pub(crate) const TENANT_KEYS: [&str; 3] = ["tenant", "tenant_id", "tenant.id"];

/// Takes batches of rows into the observations of a window: those that belong to the segment.
#[derive(Debug, Default)]
pub struct Reader {
    segment: Segment,
    /// By the text of what a row declares.
    contexts: FastMap<Box<str>, Declared>,
    /// By the text of its labels: whether the row is wanted, its segment and its tenant.
    segments: FastMap<Box<str>, (bool, u32, Option<u32>)>,
    limits: FastMap<(u32, Option<u32>), u32>,
    key: String,
    numbers: Numbers,
    /// The answer of the row that is looked at.
    places: Vec<Place>,
    contents: Vec<u32>,
}

impl Reader {
    /// A reader of the rows of one part of the traffic.
    pub fn new(segment: Segment) -> Self {
        Self { segment, ..Self::default() }
    }

    /// Takes in a batch.
    pub fn observe(
        &mut self,
        batch: &RecordBatch,
        vocabulary: &mut Vocabulary,
        window: &mut Observations,
    ) -> Result<(), Error> {
        let rows = Rows::of(batch)?;
        self.numbers.follow(&rows.documents);
        for row in 0..batch.num_rows() {
            let (wanted, segment, tenant) = self.segment_of(&rows, row, vocabulary);
            let answer = (&mut self.places, &mut self.contents);
            let digest = rows.documents.places(row, (&mut self.numbers, vocabulary), answer);
            if wanted {
                let declared = self.context_of(&rows, row, vocabulary);
                let limits = self.limits_of(declared.context, tenant, vocabulary);
                let (places, contents) = (self.places.as_slice(), self.contents.as_mut_slice());
                let answer = Answered { declared, segment, limits, places, contents, digest };
                rows.observe(row, answer, vocabulary, window);
            } else {
                // What others are answered is still there.
                window.sightings.elsewhere.extend(self.places.iter().map(|place| place.state()));
            }
        }
        window.bound(vocabulary);
        Ok(())
    }

    fn segment_of(&mut self, rows: &Rows<'_>, row: usize, vocabulary: &mut Vocabulary) -> (bool, u32, Option<u32>) {
        self.key.clear();
        for i in rows.labels(row) {
            for text in [&rows.label_keys, &rows.label_values] {
                self.key.push_str(text.value(i));
                self.key.push('\u{1f}');
            }
        }
        for (_, texts) in &rows.label_columns {
            self.key.push('\u{1e}');
            self.key.push_str(text(texts, row).unwrap_or("\u{0}"));
        }
        if let Some(known) = self.segments.get(self.key.as_str()) {
            return *known;
        }
        let mut labels: Vec<(&str, &str)> =
            rows.labels(row).map(|i| (rows.label_keys.value(i), rows.label_values.value(i))).collect();
        for ((key, _), (_, texts)) in SEGMENT_COLUMNS.iter().zip(&rows.label_columns) {
            if let Some(value) = text(texts, row)
                && !labels.iter().any(|(other, _)| other == key)
            {
                labels.push((key, value));
            }
        }
        let wanted = self.segment.holds(&labels);
        let mut numbers: Vec<u32> =
            labels.iter().map(|(key, value)| vocabulary.labels.number(&label(key, value))).collect();
        numbers.sort_unstable();
        let of_key = |key: &&str| {
            numbers.iter().copied().find(|number| key_and_value(vocabulary.labels.text(*number)).0 == *key)
        };
        let tenant = TENANT_KEYS.iter().find_map(of_key);
        let known = (wanted, vocabulary.segment(numbers), tenant);
        self.segments.insert(self.key.as_str().into(), known);
        known
    }

    fn context_of(&mut self, rows: &Rows<'_>, row: usize, vocabulary: &mut Vocabulary) -> Declared {
        self.key.clear();
        for (_, texts) in &rows.declared {
            self.key.push_str(text(texts, row).unwrap_or("\u{0}"));
            self.key.push('\u{1}');
        }
        for (_, counts) in &rows.bounds {
            if counts.is_valid(row) {
                self.key.push_str(&counts.value(row).to_string());
            }
            self.key.push('\u{1}');
        }
        for i in Columns::range(rows.scope, row) {
            self.key.push('\u{1}');
            self.key.push_str(rows.scopes.value(i));
        }
        if let Some(known) = self.contexts.get(self.key.as_str()) {
            return *known;
        }
        let key = std::mem::take(&mut self.key);
        let version = rows.declared_text("corpus_version", row).map(|version| vocabulary.versions.number(version));
        let context = vocabulary.context(&key, |scopes| rows.context(row, scopes));
        let declared = vocabulary.context_of(context);
        let short = |text: &Option<String>| text.as_deref().map(Box::from);
        let stage = Stage {
            retriever: short(&declared.retriever.0),
            kind: short(&declared.kind),
            score_kind: declared.score_kind,
        };
        let known = Declared { context, stage: vocabulary.stage(stage), version };
        self.contexts.insert(key.as_str().into(), known);
        self.key = key;
        known
    }

    fn limits_of(&mut self, context: u32, tenant: Option<u32>, vocabulary: &mut Vocabulary) -> u32 {
        *self.limits.entry((context, tenant)).or_insert_with(|| {
            let declared = vocabulary.context_of(context);
            let mut scope = declared.scope.clone();
            scope.sort_unstable();
            scope.dedup();
            let filter = declared.filter.as_deref().map(Box::from);
            vocabulary.limit(Limits { tenant, scope: scope.into(), filter })
        })
    }
}

/// What a row declares of how it was retrieved, by its numbers.
#[derive(Debug, Clone, Copy)]
struct Declared {
    context: u32,
    stage: u32,
    version: Option<u32>,
}

/// A row's answer, and what it belongs to.
struct Answered<'a> {
    declared: Declared,
    segment: u32,
    limits: u32,
    places: &'a [Place],
    contents: &'a mut [u32],
    digest: u64,
}

/// Takes one batch into a window of all traffic.
pub fn observe(
    batch: &RecordBatch,
    segment: &Segment,
    vocabulary: &mut Vocabulary,
    window: &mut Observations,
) -> Result<(), Error> {
    Reader::new(segment.clone()).observe(batch, vocabulary, window)
}

fn text(texts: &StringArray, row: usize) -> Option<&str> {
    texts.is_valid(row).then(|| texts.value(row))
}

struct Rows<'a> {
    event: &'a BinaryArray,
    occurred_at: &'a PrimitiveArray<TimestampMicrosecondType>,
    operation: &'a StringArray,
    attempt: &'a Int32Array,
    trace: &'a StringArray,
    fingerprint: &'a StringArray,
    simhash: &'a StringArray,
    embedding: &'a ListArray,
    label_map: &'a MapArray,
    label_keys: &'a StringArray,
    label_values: &'a StringArray,
    label_columns: Vec<(&'static str, &'a StringArray)>,
    declared: Vec<(&'static str, &'a StringArray)>,
    bounds: Vec<(&'static str, &'a Int32Array)>,
    scope: &'a ListArray,
    scopes: &'a StringArray,
    marks: &'a ListArray,
    mark: &'a StringArray,
    latency: &'a PrimitiveArray<Float64Type>,
    cost: &'a PrimitiveArray<Float64Type>,
    documents: Documents<'a>,
}

impl<'a> Rows<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, ColumnError> {
        let columns = Columns::of(batch);
        let texts = |names: &[&'static str]| {
            names.iter().map(|name| Ok((*name, columns.texts(name)?))).collect::<Result<Vec<_>, ColumnError>>()
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
            declared: texts(&[
                "corpus_version",
                "retriever_name",
                "retriever_kind",
                "retriever_version",
                "retriever_params",
                "index_id",
                "embedder",
                "requested_filter",
                "score_kind",
            ])?,
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

    fn labels(&self, row: usize) -> std::ops::Range<usize> {
        let offsets = self.label_map.value_offsets();
        let at = |i: usize| offsets.get(i).and_then(|offset| usize::try_from(*offset).ok()).unwrap_or(0);
        if self.label_map.is_null(row) { 0..0 } else { at(row)..at(row + 1) }
    }

    fn observe(&self, row: usize, answer: Answered<'_>, vocabulary: &mut Vocabulary, window: &mut Observations) {
        let micros = self.occurred_at.value(row);
        let occurred_at = Timestamp::from_micros(micros).unwrap_or(Timestamp::MIN);
        let (from, to) = window.span.unwrap_or((occurred_at, occurred_at));
        window.span = Some((from.min(occurred_at), to.max(occurred_at)));
        window.events += 1;
        let number = u32::try_from(self.attempt.value(row)).unwrap_or(1);
        let attempt = Attempt::of(self.operation.value(row), number, self.event.value(row));
        let first = attempt.number <= 1;

        let Answered { declared: Declared { context, stage, .. }, segment, limits, places, digest, .. } = answer;
        self.sight(row, (attempt, occurred_at), answer, vocabulary, window);

        let fingerprint = self.fingerprint.value(row);
        let fingerprint = vocabulary.aliases.first_of(fingerprint);
        let sampled = window.operations.wants(attempt.operation);
        let kept = window.wants(&fingerprint);
        if !sampled && !kept {
            return;
        }
        let unit = Unit { query: vocabulary.queries.number(&fingerprint), stage, limits };
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
                sample.signature = self.signature(row);
            }
            let value = |numbers: &PrimitiveArray<Float64Type>| numbers.is_valid(row).then(|| numbers.value(row));
            let (latency_ms, cost_usd) = (value(self.latency), value(self.cost));
            let told = Circumstances { context, segment, trace, latency_ms, cost_usd, digest };
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

    /// A hash by which similar queries are found: of the query's embedding, else the one made of its text at ingest.
    fn signature(&self, row: usize) -> Option<u64> {
        if self.embedding.is_valid(row) {
            let vector = self.embedding.value(row);
            let vector: Option<&Float32Array> = vector.as_primitive_opt::<Float32Type>();
            return vector.map(|vector| signature(vector.values()));
        }
        text(self.simhash, row).and_then(|hash| hash.parse::<SimHash>().ok()).map(|hash| hash.0)
    }

    fn declared_text(&self, name: &str, row: usize) -> Option<&'a str> {
        let (_, texts) = self.declared.iter().find(|(column, _)| *column == name)?;
        text(texts, row)
    }

    fn context(&self, row: usize, scopes: &mut Interner) -> Context {
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
