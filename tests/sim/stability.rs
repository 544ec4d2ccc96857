//! Does a verdict depend on what must not matter?

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tidemark_analyzer::Judged;
use tidemark_tests::{Recording, recordings};

use crate::events::{Operation, Recorded, shuffle};

fn first_cause(judged: &Judged) -> String {
    judged.causes.first().map_or_else(|| "none".to_owned(), |cause| cause.cause.as_str().to_owned())
}

fn for_each_recording(look: impl Fn(&Recording) -> Vec<String> + Sync) {
    let all: Vec<Recording> = ["cranfield-a", "cranfield-b"].into_iter().flat_map(recordings).collect();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(recording) = all.get(next.fetch_add(1, Ordering::SeqCst)) {
                    found.lock().unwrap().extend(look(recording));
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Every operation of either half in its window; `half` is 0 or 1.
fn halved(operations: &[Operation], half: usize) -> Vec<Operation> {
    operations.iter().skip(half).step_by(2).cloned().collect()
}

#[test]
fn half_of_the_events_name_the_same_first_cause() {
    for_each_recording(|recording| {
        let recorded = Recorded::read(recording);
        let whole = first_cause(&recorded.judge(&recorded.before, &recorded.after));
        let other = |half: usize| {
            let found = first_cause(&recorded.judge(&halved(&recorded.before, half), &halved(&recorded.after, half)));
            (found != whole).then(|| format!("{}: {found} in half {half}, {whole} in the whole", recording.name))
        };
        [0, 1].into_iter().filter_map(other).collect()
    });
}

/// INV-08: the same events give the same report, in whatever order they lie.
#[test]
fn the_order_of_the_events_does_not_change_a_single_digit() {
    for_each_recording(|recording| {
        let recorded = Recorded::read(recording);
        let before = recorded.judge(&recorded.before, &recorded.after);
        let mut reordered = (recorded.before.clone(), recorded.after.clone());
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        shuffle(&mut reordered.0, &mut rng);
        shuffle(&mut reordered.1, &mut rng);
        let after = recorded.judge(&reordered.0, &reordered.1);
        let same = format!("{before:?}") == format!("{after:?}");
        (!same).then(|| format!("{}: another report", recording.name)).into_iter().collect()
    });
}

#[test]
#[ignore = "experiment"]
fn diluted() {
    use rand_chacha::rand_core::Rng;
    for_each_recording(|recording| {
        let recorded = Recorded::read(recording);
        for f in [0.6, 0.35] {
            let mut rng = ChaCha8Rng::seed_from_u64(9);
            let mut after = Vec::new();
            let query = |o: &Operation| o.retrievals[0].event.query.fingerprint.clone();
            for op in &recorded.after {
                if (rng.next_u32() as f64 / 4294967296.0) < f {
                    after.push(op.clone());
                } else {
                    let same: Vec<_> = recorded.before.iter().filter(|b| query(b) == query(op)).collect();
                    if same.is_empty() {
                        continue;
                    }
                    let mut n = same[(rng.next_u64() % same.len() as u64) as usize].clone();
                    for r in &mut n.retrievals {
                        r.event.operation_id = format!("x-{}", op.retrievals[0].event.operation_id).parse().unwrap();
                        r.event.occurred_at = op.retrievals[0].event.occurred_at;
                    }
                    for r in &mut n.outputs {
                        r.event.operation_id = format!("x-{}", op.retrievals[0].event.operation_id).parse().unwrap();
                        r.event.occurred_at = op.retrievals[0].event.occurred_at;
                    }
                    after.push(n);
                }
            }
            let j = recorded.judge(&recorded.before, &after);
            let causes: Vec<String> =
                j.causes.iter().map(|c| format!("{}:{:.2}:{}", c.cause.as_str(), c.share, c.declared)).collect();
            let want: Vec<&str> =
                recording.truth["causes"].as_array().unwrap().iter().filter_map(|v| v.as_str()).collect();
            println!(
                "DIL {:?} {:?} {} {f} {:?} {:?} S {:?} T {:?} O {:?} {:?} {causes:?} want {want:?} I {:?} seg {:?}",
                j.retrieval.interval.map(|i| ((i[0] * 1000.0).round() / 1000.0, (i[1] * 1000.0).round() / 1000.0)),
                j.retrieval.p_value,
                recording.name,
                j.retrieval.verdict,
                j.retrieval.excess_change.map(|x| (x * 1000.0).round() / 1000.0),
                j.retrieval.scores.verdict,
                j.traffic.verdict,
                j.outputs.verdict,
                j.outputs.because,
                j.integrity.iter().map(|i| (i.kind.as_str(), i.count)).collect::<Vec<_>>(),
                j.segments
                    .iter()
                    .filter(|s| s.verdict == tidemark_analyzer::report::Judgement::Drift)
                    .map(|s| &s.segment)
                    .collect::<Vec<_>>()
            );
        }
        Vec::new()
    });
}
