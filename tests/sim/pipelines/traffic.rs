//! Operations as events: when they happen, and what is recorded of them.

use std::collections::BTreeMap;

use tidemark_schema::{
    EventId, Finite, Ingest, Label, OperationId, Query, Requested, RetrievalEvent, RetrievedDocument, Stored,
    Timestamp, TraceId,
};

use super::corpus::{Hit, Question};
use super::desk::Desk;
use super::dice::Dice;
use super::{Role, StageSpec};

const SECOND: usize = 1_000_000;
const DAY: usize = 86_400 * SECOND;

pub(super) fn plus(from: Timestamp, micros: usize) -> Timestamp {
    Timestamp::from_micros(from.micros() + i64::try_from(micros).unwrap()).unwrap()
}

pub(super) fn plus_days(from: Timestamp, days: usize) -> Timestamp {
    plus(from, days * DAY)
}

/// An instant of some days, most often in office hours. The last second stays free, so that no operation leaves the days.
pub(super) fn instant(from: Timestamp, days: usize, dice: &mut Dice) -> Timestamp {
    loop {
        let instant = plus(from, dice.below(days * DAY - SECOND));
        let busy = match instant.micros().div_euclid(3_600_000_000).rem_euclid(24) {
            8..18 => 1.0,
            6..8 | 18..22 => 0.3,
            _ => 0.05,
        };
        if dice.chance(busy) {
            return instant;
        }
    }
}

fn weekday(at: Timestamp) -> &'static str {
    // The first day of 1970 was a Thursday.
    match at.days().rem_euclid(7) {
        0 => "thursday",
        1 => "friday",
        2 => "saturday",
        3 => "sunday",
        4 => "monday",
        5 => "tuesday",
        _ => "wednesday",
    }
}

/// The events of one operation, and its question unless that is asked but once ever, as it is with a probability `once`.
pub(super) fn operation(
    desk: &Desk<'_>,
    begun: Timestamp,
    once: f64,
    dice: &mut Dice,
) -> (Vec<Stored<RetrievalEvent>>, Option<usize>) {
    let number = desk.tenant.ask(dice);
    let question = &desk.tenant.questions[number];
    if dice.chance(once) {
        let question = question.paraphrased(dice);
        let answers = desk.answers(&question, &desk.rankings(&question), dice);
        (record(desk, begun, &question, &answers, dice), None)
    } else {
        let answers = desk.answers(question, desk.known(number), dice);
        (record(desk, begun, question, &answers, dice), Some(number))
    }
}

fn record(
    desk: &Desk<'_>,
    begun: Timestamp,
    question: &Question,
    answers: &[Vec<Hit>],
    dice: &mut Dice,
) -> Vec<Stored<RetrievalEvent>> {
    let operation_id: OperationId = format!("op-{}", dice.digits()).parse().unwrap();
    let trace_id: TraceId = dice.digits().parse().unwrap();
    let keys = [("tenant", desk.tenant.name), ("weekday", weekday(begun))];
    let segment: BTreeMap<Label, Label> = keys.map(|(key, value)| (label(key), label(value))).into();
    let mut ended = begun;
    let mut stored = Vec::with_capacity(answers.len());
    for ((stage, serving), answer) in desk.stages.iter().zip(&desk.servings).zip(answers) {
        let started = if stage.reports_start { begun } else { ended };
        ended = plus(ended, dice.count(2_000..=15_000));
        let latency = (ended.micros() - started.micros()) as f64 / 1_000.0;
        let top_k = stage.requests_top_k.then(|| u32::try_from(serving.top_k).unwrap());
        let event = RetrievalEvent {
            event_id: EventId::from_bytes(dice.bytes()),
            occurred_at: if stage.reports_start { started } else { ended },
            operation_id: operation_id.clone(),
            attempt: 1,
            trace_id: Some(trace_id.clone()),
            span_id: Some(dice.digits()[..16].parse().unwrap()),
            principal: None,
            service: Some(label("assistant")),
            environment: Some(label("prod")),
            segment: segment.clone(),
            corpus: "knowledge".parse().unwrap(),
            corpus_version: None,
            retriever: stage.retriever(),
            query: Query {
                text: None,
                fingerprint: question.fingerprint.clone(),
                previous_fingerprint: None,
                simhash: Some(question.simhash),
                embedding: None,
            },
            requested: Requested { top_k, ..Requested::default() },
            results: answer.iter().map(|hit| result(desk, stage, *hit)).collect(),
            results_total: None,
            model: None,
            prompt_version: None,
            policy_version: None,
            latency_ms: Some(Finite::new(latency).unwrap()),
            cost_usd: None,
            attributes: BTreeMap::new(),
            marks: std::collections::BTreeSet::new(),
        };
        stored.push(Stored { received_at: event.occurred_at.plus_seconds(1), ingest: Ingest::Live, event });
    }
    stored
}

fn result(desk: &Desk<'_>, stage: &StageSpec, (document, score): Hit) -> RetrievedDocument {
    let document = &desk.tenant.documents[document];
    RetrievedDocument {
        doc_id: document.id.clone(),
        score: (stage.role != Role::Compressor).then(|| Finite::new(score).unwrap()),
        content_hash: Some(document.content.clone()),
        tokens: None,
        updated_at: None,
        scope: None,
    }
}

pub(super) fn label(text: &str) -> Label {
    text.parse().unwrap()
}
