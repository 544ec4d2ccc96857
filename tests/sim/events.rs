//! A recording as events in memory, and windows made of any part of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use flate2::read::GzDecoder;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use tidemark_analyzer::observe::merge_parts;
use tidemark_analyzer::read::{join_outputs, observe};
use tidemark_analyzer::vocabulary::Vocabulary;
use tidemark_analyzer::{Judged, Observations, Options, Segment, Windows, judge};
use tidemark_collector::decode::{Context, Event, Kind, Limits, decode};
use tidemark_collector::policy::Policy;
use tidemark_corpus::{DEFAULT_MAX_ENTRIES, Manifest, read_ndjson};
use tidemark_schema::columns::{outputs, retrievals};
use tidemark_schema::{FingerprintKey, Ingest, OutputEvent, RetrievalEvent, Stored, Timestamp};
use tidemark_tests::Recording;

/// All attempts of one operation and its outputs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Operation {
    pub(crate) retrievals: Vec<Stored<RetrievalEvent>>,
    pub(crate) outputs: Vec<Stored<OutputEvent>>,
}

/// The operations of a recording in its two windows, and its manifests.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) before: Vec<Operation>,
    pub(crate) after: Vec<Operation>,
    manifests: BTreeMap<String, Manifest>,
}

impl Recorded {
    pub(crate) fn read(recording: &Recording) -> Self {
        let mut operations: BTreeMap<String, Operation> = BTreeMap::new();
        for event in events(&recording.directory.join("retrievals.ndjson.gz")) {
            if let Event::Retrieval(event) = event {
                let operation = operations.entry(event.operation_id.to_string()).or_default();
                operation.retrievals.push(stored(event.occurred_at, Arc::unwrap_or_clone(event)));
            }
        }
        for event in events(&recording.directory.join("outputs.ndjson.gz")) {
            if let Event::Output(event) = event {
                let operation = operations.entry(event.operation_id.to_string()).or_default();
                operation.outputs.push(stored(event.occurred_at, Arc::unwrap_or_clone(event)));
            }
        }
        let begin = |key: &str| {
            let (from, _) = recording.text(key).split_once("..").unwrap();
            Timestamp::from_date(from).unwrap()
        };
        let boundary = begin("current");
        let (before, after) =
            operations.into_values().partition(|operation| operation.retrievals[0].event.occurred_at < boundary);
        let manifests = ["v1", "v2"].into_iter().filter_map(|version| {
            let file = File::open(recording.directory.join(format!("manifest-{version}.ndjson.gz"))).ok()?;
            Some((version.to_owned(), read_ndjson(BufReader::new(GzDecoder::new(file)), DEFAULT_MAX_ENTRIES).unwrap()))
        });
        Self { before, after, manifests: manifests.collect() }
    }

    /// What a comparison of two windows of such operations says. Only manifests of declared versions are known, as when
    /// they come from a registry.
    pub(crate) fn judge(&self, before: &[Operation], after: &[Operation]) -> Judged {
        let rows = |operations: &[Operation]| -> (Vec<_>, Vec<_>) {
            let retrievals = operations.iter().flat_map(|operation| operation.retrievals.iter().cloned());
            let outputs = operations.iter().flat_map(|operation| operation.outputs.iter().cloned());
            (retrievals.collect(), outputs.collect())
        };
        let (before, after) = (rows(before), rows(after));
        judge_rows([(&before.0, &before.1), (&after.0, &after.1)], &self.manifests)
    }
}

/// What a window holds: its retrievals and its outputs.
pub(crate) type Rows<'a> = (&'a [Stored<RetrievalEvent>], &'a [Stored<OutputEvent>]);

/// What a comparison of two windows says, in memory.
pub(crate) fn judge_rows(rows: [Rows<'_>; 2], manifests: &BTreeMap<String, Manifest>) -> Judged {
    let mut windows = Windows {
        vocabulary: Vocabulary::default(),
        before: Observations::default(),
        after: Observations::default(),
        manifests: BTreeMap::new(),
        qrels: None,
    };
    for ((retrieved, answered), window) in rows.into_iter().zip([&mut windows.before, &mut windows.after]) {
        let batch = retrievals::encode(retrieved).unwrap();
        observe(&batch, &Segment::default(), &mut windows.vocabulary, window).unwrap();
        join_outputs(&outputs::encode(answered).unwrap(), &mut windows.vocabulary, window).unwrap();
    }
    let declared: Vec<String> = windows.declared_versions().into_iter().flatten().collect();
    windows.manifests = manifests.clone();
    windows.manifests.retain(|version, _| declared.contains(version));
    judge(windows, &Options::default()).unwrap()
}

/// The same where each window is read in two parts that know nothing of each other.
pub(crate) fn judge_halves(rows: [Rows<'_>; 2]) -> Judged {
    let read = |rows: Vec<Stored<RetrievalEvent>>| {
        let (mut vocabulary, mut part) = (Vocabulary::default(), Observations::default());
        observe(&retrievals::encode(&rows).unwrap(), &Segment::default(), &mut vocabulary, &mut part).unwrap();
        (vocabulary, part)
    };
    let half = |rows: &[Stored<RetrievalEvent>], half| read(rows.iter().skip(half).step_by(2).cloned().collect());
    let mut vocabulary = Vocabulary::default();
    let [before, after] = rows.map(|(retrieved, _)| {
        let mut window = Observations::default();
        for part in [1, 0] {
            merge_parts((&mut vocabulary, &mut window), half(retrieved, part));
        }
        window
    });
    let windows = Windows { vocabulary, before, after, manifests: BTreeMap::new(), qrels: None };
    judge(windows, &Options::default()).unwrap()
}

fn stored<E>(received_at: Timestamp, event: E) -> Stored<E> {
    Stored { received_at, ingest: Ingest::Imported, event }
}

fn events(path: &Path) -> Vec<Event> {
    let key = FingerprintKey::new([7; 32]);
    let context = Context { now: None, keys: &key.into(), policy: &Policy::default(), limits: Limits::default() };
    let lines = BufReader::new(GzDecoder::new(File::open(path).unwrap())).lines();
    lines
        .map(|line| {
            let line = line.unwrap();
            decode(line.as_bytes(), Kind::of(line.as_bytes()).unwrap(), &context).unwrap()
        })
        .collect()
}

/// Puts a list into a random order (Fisher–Yates; the remainder's bias is far below what is measured here).
pub(crate) fn shuffle<T>(list: &mut [T], rng: &mut ChaCha8Rng) {
    for i in (1..list.len()).rev() {
        let j = usize::try_from(rng.next_u64() % (i as u64 + 1)).unwrap();
        list.swap(i, j);
    }
}
