//! The generator does what it says.

use std::collections::{BTreeMap, HashMap, HashSet};

use tidemark_schema::{RetrievalEvent, ScoreKind, Stored};

use super::desk::{distance, mean};
use super::{Role, Simulation, begins, simulate, step_change, traffic};

type Row = Stored<RetrievalEvent>;

fn documents(row: &Row) -> Vec<&str> {
    row.event.results.iter().map(|result| result.doc_id.as_str()).collect()
}

fn retriever(row: &Row) -> &str {
    row.event.retriever.name.as_ref().unwrap().as_str()
}

/// The events of each operation by the names of their retrievers.
fn operations(rows: &[Row]) -> BTreeMap<&str, HashMap<&str, &Row>> {
    let mut operations: BTreeMap<&str, HashMap<&str, &Row>> = BTreeMap::new();
    for row in rows {
        let twice = operations.entry(row.event.operation_id.as_str()).or_default().insert(retriever(row), row);
        assert_eq!(twice, None);
    }
    operations
}

/// The answers to each question.
fn by_question<'r>(rows: impl Iterator<Item = &'r Row>) -> HashMap<&'r str, Vec<Vec<&'r str>>> {
    let mut answers: HashMap<&str, Vec<Vec<&str>>> = HashMap::new();
    for row in rows {
        answers.entry(row.event.query.fingerprint.as_str()).or_default().push(documents(row));
    }
    answers
}

/// By how much answers to the same questions differ between windows, beyond what they differ by inside the reference:
/// averaged over the questions of which there are enough, as often as the reference asked them.
fn excess<'r>(before: impl Iterator<Item = &'r Row>, after: impl Iterator<Item = &'r Row>) -> f64 {
    let after = by_question(after);
    let (mut sum, mut count) = (0.0, 0.0);
    for (question, earlier) in by_question(before) {
        let Some(later) = after.get(question).filter(|_| earlier.len() > 1) else { continue };
        let across = earlier.iter().take(12).flat_map(|a| later.iter().take(12).map(|b| distance(a, b)));
        let repeats = earlier.iter().take(12).enumerate();
        let repeats = repeats.flat_map(|(i, a)| earlier[..i].iter().map(|b| distance(a, b)));
        sum += earlier.len() as f64 * (mean(across) - mean(repeats));
        count += earlier.len() as f64;
    }
    sum / count
}

fn last_answers<'r>(simulation: &'r Simulation, rows: &'r [Row]) -> impl Iterator<Item = &'r Row> {
    let last = simulation.stages.last().unwrap().name;
    rows.iter().filter(move |row| retriever(row) == last)
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 0.03 + 0.1 * expected
}

#[test]
fn the_distance_is_zero_for_equal_answers_and_one_for_disjoint_ones() {
    assert!(distance::<u8>(&[], &[]).abs() < 1e-12 && distance(&[1, 2], &[1, 2]).abs() < 1e-12);
    assert!((distance(&[1, 2], &[3, 4]) - 1.0).abs() < 1e-12 && (distance(&[], &[3, 4]) - 1.0).abs() < 1e-12);
    // Half of the depths, of which the first counts 1 and the second 0.9.
    assert!((distance(&[1, 2], &[2, 1]) - 1.0 / 1.9).abs() < 1e-12);
    assert!((distance(&[1], &[1, 2]) - 0.45 / 1.9).abs() < 1e-12);
}

#[test]
fn the_same_seed_gives_the_same_events() {
    let [one, other, another] = [7, 7, 8].map(simulate);
    assert_eq!((one.seed, another.seed), (7, 8));
    assert!(one.before == other.before && one.after == other.after && one.before != another.before);
}

#[test]
fn every_operation_has_one_event_of_each_stage_and_a_stage_answers_from_its_inputs() {
    for seed in 0..8 {
        let simulation = simulate(seed);
        let [boundary, end] = begins().map(|begin| traffic::plus_days(begin, 7));
        assert!(simulation.before.iter().all(|row| row.event.occurred_at < boundary), "{seed}");
        assert!(simulation.after.iter().all(|row| (boundary..end).contains(&row.event.occurred_at)), "{seed}");
        for operation in operations(&simulation.before).values().chain(operations(&simulation.after).values()) {
            assert_eq!(operation.len(), simulation.stages.len());
            let traces: HashSet<_> = operation.values().map(|row| &row.event.trace_id).collect();
            let segments: HashSet<_> = operation.values().map(|row| &row.event.segment).collect();
            assert_eq!((traces.len(), segments.len()), (1, 1));
            for stage in &simulation.stages {
                let row = operation[stage.name];
                let answer = documents(row);
                assert!(answer.len() <= stage.top_k && row.event.requested.top_k.is_some() == stage.requests_top_k);
                assert_eq!(row.event.retriever.kind.is_some(), stage.declares_kind);
                let unknown = !stage.declares_kind || stage.role == Role::Compressor;
                assert_eq!(row.event.retriever.score_kind == ScoreKind::Other, unknown);
                let inputs: Vec<&Row> = stage.inputs.iter().map(|&at| operation[simulation.stages[at].name]).collect();
                for input in &inputs {
                    assert_eq!(row.event.occurred_at < input.event.occurred_at, stage.reports_start, "{seed}");
                }
                let known: HashSet<&str> = inputs.iter().flat_map(|input| documents(input)).collect();
                assert!(inputs.is_empty() || answer.iter().all(|document| known.contains(document)), "{seed}");
            }
        }
    }
}

#[test]
fn the_true_effect_is_what_the_events_show() {
    let (mut changed, mut felt) = (0, 0);
    for seed in 0..16 {
        let simulation = simulate(seed);
        let found = excess(last_answers(&simulation, &simulation.before), last_answers(&simulation, &simulation.after));
        let Some(change) = &simulation.change else {
            assert!(simulation.true_effect.is_none() && simulation.true_effect_in_tenant.is_empty());
            assert!(close(found, 0.0), "{seed}: {found}");
            continue;
        };
        let expected = simulation.true_effect.unwrap();
        assert!(close(found, expected), "{seed}: {found}, {expected}, {change:?}");
        assert!(simulation.stages.iter().any(|stage| stage.name == change.stage), "{change:?}");
        for (tenant, expected) in &simulation.true_effect_in_tenant {
            if change.tenant.as_ref().is_some_and(|only| only != tenant) {
                assert!(expected.abs() < 1e-12, "{seed}: {expected}");
            }
            let own = |row: &&Row| row.event.segment.values().any(|value| value.as_str() == tenant);
            let before = last_answers(&simulation, &simulation.before).filter(own);
            let found = excess(before, last_answers(&simulation, &simulation.after).filter(own));
            // Of a tenant with little traffic few answers are seen.
            assert!((found - expected).abs() < 0.1, "{seed}, {tenant}: {found}, {expected}, {change:?}");
        }
        changed += 1;
        felt += usize::from(expected > 0.02);
    }
    assert!((4..=12).contains(&changed) && felt * 2 > changed, "{changed}, {felt}");
}

#[test]
fn a_step_has_its_size_from_its_instant_on() {
    let at = traffic::plus(begins()[1], 300_000_000_000);
    for (seed, size) in [(1, 0.05), (3, 0.3), (4, 0.6)] {
        let (reference, current) = step_change(seed, size, Some(at));
        assert_eq!((reference.len(), current.len()), (14_000, 14_000));
        let (old, new) = current.split_at(current.partition_point(|row| row.event.occurred_at < at));
        let (floor, found) = (excess(reference.iter(), old.iter()), excess(reference.iter(), new.iter()));
        assert!(floor.abs() < 0.02 && close(found, size), "{seed}: {floor}, {found}, {size}");
    }
}

#[test]
fn without_an_instant_nothing_changes_and_nights_are_quiet() {
    for seed in 1..=2 {
        let (reference, current) = step_change(seed, 0.3, None);
        let found = excess(reference.iter(), current.iter());
        assert!(found.abs() < 0.02, "{seed}: {found}");
        let hour = |row: &&Row| row.event.occurred_at.micros().div_euclid(3_600_000_000).rem_euclid(24);
        let at_night = current.iter().filter(|row| hour(row) < 6).count();
        assert!((100..700).contains(&at_night), "{at_night}");
    }
}
