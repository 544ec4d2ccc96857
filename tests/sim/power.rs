//! Is a change found that only a part of the traffic sees?

use std::collections::{BTreeMap, HashMap};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::Value;
use tidemark_analyzer::report::Judgement;
use tidemark_schema::Fingerprint;
use tidemark_tests::{Recording, recordings};

use crate::events::{Operation, Recorded};

fn query(operation: &Operation) -> &Fingerprint {
    &operation.retrievals[0].event.query.fingerprint
}

fn locale(operation: &Operation) -> &str {
    let segment = &operation.retrievals[0].event.segment;
    segment.iter().find(|(key, _)| key.as_str() == "locale").map_or("", |(_, value)| value.as_str())
}

/// An operation as another one of its query was answered, at its own time and under its own name.
fn answered_as(operation: &Operation, other: &Operation) -> Operation {
    let (first, mut copy) = (&operation.retrievals[0].event, other.clone());
    let name = |attempt: u32| format!("again-{}-{attempt}", first.operation_id);
    for row in &mut copy.retrievals {
        row.event.operation_id = name(0).parse().unwrap();
        row.event.occurred_at = first.occurred_at;
    }
    for row in &mut copy.outputs {
        row.event.operation_id = name(0).parse().unwrap();
        row.event.occurred_at = first.occurred_at;
    }
    copy
}

/// The current window as if the change had reached only this share of its operations: the others are answered as an
/// operation of the reference was.
fn reached(recorded: &Recorded, share: f64) -> Vec<Operation> {
    let mut earlier: HashMap<&Fingerprint, Vec<&Operation>> = HashMap::new();
    for operation in &recorded.before {
        earlier.entry(query(operation)).or_default().push(operation);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let mut window = Vec::new();
    for operation in &recorded.after {
        if f64::from(rng.next_u32()) / 2.0_f64.powi(32) < share {
            window.push(operation.clone());
        } else if let Some(same) = earlier.get(query(operation)) {
            let drawn = usize::try_from(rng.next_u64() % same.len() as u64).unwrap();
            window.push(answered_as(operation, same[drawn]));
        }
    }
    window
}

fn set(name: &str) -> BTreeMap<String, Recording> {
    let scenario = |recording: Recording| (recording.name.rsplit('/').next().unwrap_or_default().to_owned(), recording);
    recordings(name).into_iter().map(scenario).collect()
}

#[test]
fn a_change_that_reached_a_third_of_the_answers_is_found_with_its_first_cause() {
    let mut missed = Vec::new();
    for (name, recording) in set("cranfield-a") {
        if recording.text("retrieval") != "drift" {
            continue;
        }
        let recorded = Recorded::read(&recording);
        let judged = recorded.judge(&recorded.before, &reached(&recorded, 0.35));
        let first = judged.causes.first().map_or("none", |cause| cause.cause.as_str());
        let expected = recording.truth["causes"].as_array().unwrap().iter().filter_map(Value::as_str);
        if judged.retrieval.verdict != Judgement::Drift || !expected.into_iter().any(|cause| cause == first) {
            missed.push(format!("{name}: {:?}, {first}", judged.retrieval.verdict));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// One locale of three has a tenth of the operations; only there the embedding changed.
#[test]
fn a_change_in_a_tenth_of_the_traffic_is_named_by_its_segment() {
    let (null, changed) = (&set("cranfield-a")["null"], &set("cranfield-a")["embedding_silent"]);
    let (null, changed) = (Recorded::read(null), Recorded::read(changed));
    let elsewhere = null.after.iter().filter(|operation| locale(operation) != "fr");
    let there = changed.after.iter().filter(|operation| locale(operation) == "fr");
    let after: Vec<Operation> = elsewhere.chain(there).cloned().collect();
    let share = after.iter().filter(|operation| locale(operation) == "fr").count() as f64 / after.len() as f64;
    assert!((0.07..0.13).contains(&share), "{share}");
    let judged = null.judge(&null.before, &after);
    let drifting: Vec<_> = judged.segments.iter().filter(|segment| segment.verdict == Judgement::Drift).collect();
    assert_eq!(drifting.len(), 1, "{:?}", judged.segments);
    assert_eq!(drifting[0].segment, BTreeMap::from([("locale".to_owned(), "fr".to_owned())]));
}
