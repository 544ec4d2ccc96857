//! Recordings as the world makes them: what must neither stop a comparison nor mislead it.

use tidemark_analyzer::report::Judgement;
use tidemark_schema::{Finite, Label};
use tidemark_tests::recordings;

use crate::events::{Operation, Recorded};

fn null() -> Recorded {
    let all = recordings("cranfield-a");
    Recorded::read(all.iter().find(|recording| recording.name.ends_with("/null")).unwrap())
}

fn changed(operations: &[Operation], change: impl Fn(usize, &mut Operation)) -> Vec<Operation> {
    let mut operations = operations.to_vec();
    for (number, operation) in operations.iter_mut().enumerate() {
        change(number, operation);
    }
    operations
}

#[test]
fn a_window_that_holds_only_retries_is_judged() {
    let recorded = null();
    let after = changed(&recorded.after, |_, operation| {
        for row in &mut operation.retrievals {
            row.event.attempt = 2;
        }
    });
    assert_eq!(recorded.judge(&recorded.before, &after).retrieval.verdict, Judgement::Stable);
}

/// A reranker works for the same operation as the search before it. Which of the two events comes first says nothing.
#[test]
fn two_retrievers_of_one_operation_stand_for_themselves_in_whatever_order_they_come() {
    let recorded = null();
    let reranked = |operations: &[Operation], first: bool| {
        changed(operations, |_, operation| {
            let mut again = operation.retrievals.clone();
            for row in &mut again {
                let mut id = *row.event.event_id.as_bytes();
                id[0] ^= 0x55;
                row.event.event_id = tidemark_schema::EventId::from_bytes(id);
                row.event.retriever.name = Some("reranker".parse().unwrap());
                row.event.results.reverse();
            }
            if first {
                again.append(&mut operation.retrievals);
                operation.retrievals = again;
            } else {
                operation.retrievals.append(&mut again);
            }
        })
    };
    let before = reranked(&recorded.before, true);
    let [one, other] = [true, false].map(|first| recorded.judge(&before, &reranked(&recorded.after, first)));
    assert_eq!(one.retrieval.verdict, Judgement::Stable);
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
    assert!(one.integrity.is_empty(), "{:?}", one.integrity);
}

#[test]
fn a_collapse_is_found_among_many_evaluations_and_a_constant_one_is_no_exception() {
    let recorded = null();
    let label = |number: usize| format!("evaluation-{number}").parse::<Label>().unwrap();
    let evaluated = |operations: &[Operation], last: fn(usize) -> f64| {
        changed(operations, |number, operation| {
            for row in &mut operation.outputs {
                for evaluation in 0..19 {
                    let value = ((number * 31 + evaluation * 17) % 97) as f64 / 97.0;
                    row.event.scores.insert(label(evaluation), Finite::new(value).unwrap());
                }
                row.event.scores.insert(label(19), Finite::new(last(number)).unwrap());
            }
        })
    };
    let before = evaluated(&recorded.before, |_| 1.0);
    let outputs = recorded.judge(&before, &evaluated(&recorded.after, |n| if n % 3 == 0 { 0.0 } else { 1.0 })).outputs;
    assert_eq!(outputs.verdict, Judgement::Drift);
    let drifting: Vec<&str> = outputs
        .measures
        .iter()
        .filter(|measure| measure.verdict == Judgement::Drift)
        .map(|measure| measure.measure.as_str())
        .collect();
    assert_eq!(drifting, ["score:evaluation-19"]);
}
