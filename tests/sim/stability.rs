//! Does a verdict depend on what must not matter?

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tidemark_analyzer::Judged;
use tidemark_tests::{Recording, recordings};

use crate::events::{Operation, Recorded, judge_halves, judge_rows, shuffle};
use crate::pipelines::simulate;

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

/// Samples are merged, not added up: a window read in two parts, each with numbers of its own, is the window.
#[test]
fn two_halves_of_a_window_give_the_same_report_as_the_whole() {
    for seed in [1, 4] {
        let simulation = simulate(seed);
        let rows = [(simulation.before.as_slice(), [].as_slice()), (simulation.after.as_slice(), [].as_slice())];
        let whole = judge_rows(rows, &std::collections::BTreeMap::new());
        assert_eq!(format!("{whole:?}"), format!("{:?}", judge_halves(rows)), "seed {seed}");
    }
}
