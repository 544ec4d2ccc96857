//! Outputs to the operations that they belong to.

use arrow_array::RecordBatch;
use tidemark_schema::columns::Columns;
use tidemark_schema::{DocumentId, OperationId};

use crate::error::Error;
use crate::intern::{DocumentNumber, stable_hash};
use crate::observe::{Observations, Unit};
use crate::outcome::{Outcome, direction};
use crate::vocabulary::Vocabulary;

pub(super) const COLUMNS: [&str; 13] = [
    "event_id",
    "occurred_at",
    "operation_id",
    "attempt",
    "trace_id",
    "model",
    "prompt_version",
    "output_hash",
    "output_embedding",
    "citations",
    "refusal",
    "scores",
    "feedback",
];

/// Finds the sampled operation of an output: by its operation, else by its trace.
pub(super) struct Join {
    /// The hash of an operation or of a trace, and the unit and the operation that it leads to.
    operations: Vec<(u64, Unit, u64)>,
    traces: Vec<(u64, Unit, u64)>,
}

impl Join {
    pub(super) fn new(window: &Observations) -> Self {
        let all = || window.units.iter().flat_map(|(unit, asked)| asked.sample.iter().map(|o| (*unit, o)));
        let mut operations: Vec<_> =
            all().map(|(unit, observed)| (observed.operation, unit, observed.operation)).collect();
        let mut traces: Vec<_> =
            all().filter_map(|(unit, observed)| Some((observed.trace?.get(), unit, observed.operation))).collect();
        operations.sort_unstable();
        traces.sort_unstable();
        Self { operations, traces }
    }

    /// The units and operations of all retrievals that belong to an operation or a trace.
    fn find(known: &[(u64, Unit, u64)], hash: u64) -> &[(u64, Unit, u64)] {
        let from = known.partition_point(|(other, _, _)| *other < hash);
        let to = known.partition_point(|(other, _, _)| *other <= hash);
        known.get(from..to).unwrap_or_default()
    }

    pub(super) fn take(
        &self,
        batch: &RecordBatch,
        vocabulary: &mut Vocabulary,
        window: &mut Observations,
    ) -> Result<(), Error> {
        let columns = Columns::of(batch);
        for row in 0..batch.num_rows() {
            let operation: OperationId = columns.parsed("operation_id", row)?;
            let mut found = Self::find(&self.operations, stable_hash(operation.as_str().as_bytes()));
            if let (true, Some(trace)) = (found.is_empty(), columns.text("trace_id", row)?) {
                // An output whose sender knew no operation carries its trace in both places.
                found = Self::find(&self.traces, stable_hash(trace.as_bytes()));
            }
            if found.is_empty() {
                continue;
            }
            let outcome = outcome(&columns, row, vocabulary)?;
            for (_, unit, operation) in found {
                let asked = window.units.get_mut(unit);
                let Some(observed) = asked.and_then(|asked| asked.find(*operation)) else { continue };
                if observed.outcome.as_ref().is_none_or(|earlier| earlier.precedence < outcome.precedence) {
                    observed.outcome = Some(Box::new(outcome.clone()));
                }
            }
        }
        Ok(())
    }
}

fn outcome(columns: &Columns<'_>, row: usize, vocabulary: &mut Vocabulary) -> Result<Outcome, Error> {
    let mut numbered = |name: &str| -> Result<Option<u32>, Error> {
        Ok(columns.text(name, row)?.map(|text| vocabulary.outputs.number(text)))
    };
    let (model, prompt, output) = (numbered("model")?, numbered("prompt_version")?, numbered("output_hash")?);
    let mut citations: Vec<DocumentNumber> = columns
        .parsed_list::<DocumentId>("citations", row)?
        .iter()
        .map(|document| vocabulary.document(document.as_str()))
        .collect();
    citations.sort_unstable();
    citations.dedup();
    #[expect(clippy::cast_possible_truncation, reason = "24 bits are enough for an evaluation")]
    let mut scores: Vec<(u32, f32)> = columns
        .number_map("scores", row)?
        .iter()
        .map(|(name, score)| (vocabulary.outputs.number(name.as_str()), score.get() as f32))
        .collect();
    scores.sort_unstable_by_key(|(name, _)| *name);
    let attempt = columns.count("attempt", row)?.unwrap_or(1);
    let output_hash = columns.text("output_hash", row)?.map_or(0, |hash| stable_hash(hash.as_bytes()));
    Ok(Outcome {
        hash: output,
        model,
        prompt,
        refusal: columns.flag("refusal", row)?,
        citations: citations.into(),
        scores: scores.into(),
        #[expect(clippy::cast_possible_truncation, reason = "24 bits are enough for what a person said")]
        feedback: columns.number("feedback", row)?.map(|feedback| feedback.get() as f32),
        embedding: columns.vector("output_embedding", row)?.and_then(|vector| direction(&vector)),
        precedence: (attempt, columns.time("occurred_at", row)?.micros(), output_hash),
        attempt,
    })
}

/// Takes a batch of outputs into the observations.
pub fn join_outputs(batch: &RecordBatch, vocabulary: &mut Vocabulary, window: &mut Observations) -> Result<(), Error> {
    Join::new(window).take(batch, vocabulary, window)
}
