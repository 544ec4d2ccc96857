//! One row of the table of retrievals after another.

use arrow_array::{Array, RecordBatch};
use tidemark_schema::columns::Columns;

use crate::answer::Place;
use crate::error::Error;
use crate::intern::{FastMap, Interner, QueryNumber};
use crate::observe::Observations;
use crate::read::dictionary::Dictionary;
use crate::read::documents::Numbers;
use crate::read::rows::{Answered, Declared, Rows};
use crate::selector::Segment;
use crate::stage::Stage;
use crate::vocabulary::{Limits, Vocabulary, key_and_value, label};

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

/// Columns by which a retrieval is told apart from others that were made in another way.
pub(super) const DECLARED: [&str; 9] = [
    "corpus_version",
    "retriever_name",
    "retriever_kind",
    "retriever_version",
    "retriever_params",
    "index_id",
    "embedder",
    "requested_filter",
    "score_kind",
];

/// Columns by which traffic is told apart besides the keys that its events declare; a declared key of the same name
/// takes precedence.
pub(super) const SEGMENT_COLUMNS: [(&str, &str); 4] = [
    ("retriever", "retriever_name"),
    ("service", "service"),
    ("environment", "environment"),
    ("principal", "principal"),
];

/// Columns whose texts repeat from row to row.
pub(super) fn repeated() -> Vec<&'static str> {
    DECLARED.into_iter().chain(SEGMENT_COLUMNS.map(|(_, column)| column)).chain(["segment"]).collect()
}

/// Keys of segments that name who an answer belongs to.
pub(crate) const TENANT_KEYS: [&str; 3] = ["tenant", "tenant_id", "tenant.id"];

/// Takes batches of rows into the observations of a window: those that belong to the segment.
#[derive(Debug, Default)]
pub struct Reader {
    segment: Segment,
    /// By the numbers of what a row declares.
    contexts: FastMap<Box<[u32]>, Declared>,
    /// By the numbers of its labels.
    segments: FastMap<Box<[u32]>, PartOfTraffic>,
    limits: FastMap<(u32, Option<u32>), u32>,
    texts: Repeated,
    key: Vec<u32>,
    numbers: Numbers,
    /// The answer of the row that is looked at.
    places: Vec<Place>,
    contents: Vec<u32>,
    /// Of the rows of a batch, the part of the traffic and the query that each belongs to.
    rows: Vec<(PartOfTraffic, Option<QueryNumber>)>,
}

/// The part of the traffic that a row belongs to.
#[derive(Debug, Clone, Copy)]
struct PartOfTraffic {
    /// Whether it is looked at.
    wanted: bool,
    segment: u32,
    tenant: Option<u32>,
}

/// Numbers of texts that repeat from row to row, column by column.
#[derive(Debug, Default)]
struct Repeated {
    all: Interner,
    declared: [Dictionary<u32>; DECLARED.len()],
    label_columns: [Dictionary<u32>; SEGMENT_COLUMNS.len()],
    label_keys: Dictionary<u32>,
    label_values: Dictionary<u32>,
}

/// No text.
const NONE: u32 = u32::MAX;

impl Repeated {
    fn follow(&mut self, rows: &Rows<'_>) {
        let declared = self.declared.iter_mut().zip(&rows.declared);
        let columns = self.label_columns.iter_mut().zip(&rows.label_columns);
        for (dictionary, texts) in declared.chain(columns) {
            dictionary.follow(texts.values());
        }
        self.label_keys.follow(rows.label_keys.values());
        self.label_values.follow(rows.label_values.values());
    }

    /// Puts the numbers of a row's labels into a list.
    fn labels(&mut self, rows: &Rows<'_>, row: usize, key: &mut Vec<u32>) {
        key.clear();
        for i in rows.labels(row) {
            key.push(number(&mut self.label_keys, rows.label_keys.place(i), &mut self.all));
            key.push(number(&mut self.label_values, rows.label_values.place(i), &mut self.all));
        }
        for (dictionary, texts) in self.label_columns.iter_mut().zip(&rows.label_columns) {
            key.push(number(dictionary, texts.place(row), &mut self.all));
        }
    }

    /// Puts the numbers of what a row declares into a list.
    fn declarations(&mut self, rows: &Rows<'_>, row: usize, key: &mut Vec<u32>) {
        key.clear();
        for (dictionary, texts) in self.declared.iter_mut().zip(&rows.declared) {
            key.push(number(dictionary, texts.place(row), &mut self.all));
        }
        for (_, counts) in &rows.bounds {
            key.push(if counts.is_valid(row) { u32::try_from(counts.value(row)).unwrap_or(0) } else { NONE });
        }
        key.extend(Columns::range(rows.scope, row).map(|i| self.all.number(rows.scopes.value(i))));
    }
}

fn number(dictionary: &mut Dictionary<u32>, place: Option<usize>, all: &mut Interner) -> u32 {
    place.map_or(NONE, |place| dictionary.number(place, |text| all.number(text)))
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
        self.texts.follow(&rows);
        // Queries first: finding one waits for memory, and a processor waits for several at a time if nothing lies between.
        let mut belonging = std::mem::take(&mut self.rows);
        belonging.clear();
        for row in 0..batch.num_rows() {
            let part = self.part_of(&rows, row, vocabulary);
            belonging.push((part, part.wanted.then(|| rows.kept_query(row, vocabulary, window)).flatten()));
        }
        for (row, (part, query)) in belonging.iter().enumerate() {
            let answer = (&mut self.places, &mut self.contents);
            let digest = rows.documents.places(row, (&mut self.numbers, vocabulary), answer);
            if part.wanted {
                let declared = self.context_of(&rows, row, vocabulary);
                let limits = self.limits_of(declared.context, part.tenant, vocabulary);
                let (places, contents) = (self.places.as_slice(), self.contents.as_mut_slice());
                let answer =
                    Answered { declared, segment: part.segment, limits, places, contents, digest, query: *query };
                rows.observe(row, answer, vocabulary, window);
            } else {
                // What others are answered is still there.
                window.sightings.elsewhere.extend(self.places.iter().map(|place| place.state()));
            }
        }
        self.rows = belonging;
        window.bound(vocabulary);
        Ok(())
    }

    fn part_of(&mut self, rows: &Rows<'_>, row: usize, vocabulary: &mut Vocabulary) -> PartOfTraffic {
        self.texts.labels(rows, row, &mut self.key);
        if let Some(known) = self.segments.get(self.key.as_slice()) {
            return *known;
        }
        let pair = |i| Some((rows.label_keys.text(i)?, rows.label_values.text(i).unwrap_or_default()));
        let mut labels: Vec<(&str, &str)> = rows.labels(row).filter_map(pair).collect();
        for ((key, _), texts) in SEGMENT_COLUMNS.iter().zip(&rows.label_columns) {
            if let Some(value) = texts.text(row)
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
        let known = PartOfTraffic { wanted, segment: vocabulary.segment(numbers), tenant };
        self.segments.insert(self.key.as_slice().into(), known);
        known
    }

    fn context_of(&mut self, rows: &Rows<'_>, row: usize, vocabulary: &mut Vocabulary) -> Declared {
        self.texts.declarations(rows, row, &mut self.key);
        if let Some(known) = self.contexts.get(self.key.as_slice()) {
            return *known;
        }
        let version = rows.declared_text("corpus_version", row).map(|version| vocabulary.versions.number(version));
        let context = vocabulary.context(&rows.declarations(row), |scopes| rows.context(row, scopes));
        let declared = vocabulary.context_of(context);
        let short = |text: &Option<String>| text.as_deref().map(Box::from);
        let stage = Stage {
            retriever: short(&declared.retriever.0),
            kind: short(&declared.kind),
            score_kind: declared.score_kind,
        };
        let known = Declared { context, stage: vocabulary.stage(stage), version };
        self.contexts.insert(self.key.as_slice().into(), known);
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

/// Takes one batch into a window of all traffic.
pub fn observe(
    batch: &RecordBatch,
    segment: &Segment,
    vocabulary: &mut Vocabulary,
    window: &mut Observations,
) -> Result<(), Error> {
    Reader::new(segment.clone()).observe(batch, vocabulary, window)
}
