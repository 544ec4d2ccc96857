//! Verdicts on simulated traffic of several stages and tenants, where the truth is known.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tidemark_analyzer::Judged;
use tidemark_analyzer::report::Judgement;
use tidemark_schema::Timestamp;

use crate::events::judge_rows;
use crate::long;
use crate::pipelines::{Simulation, begins, simulate, step_change};

/// An effect up to this is of no practical significance.
const THRESHOLD: f64 = 0.02;

/// Looks at every number below `count` on both cores; what is found, in the order of the numbers.
pub(crate) fn each<T: Send>(count: u64, look: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let (next, found) = (AtomicU64::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= count {
                        return;
                    }
                    let seen = look(number);
                    found.lock().unwrap().insert(number, seen);
                }
            });
        }
    });
    found.into_inner().unwrap().into_values().collect()
}

fn judged(simulation: &Simulation) -> Judged {
    judge_rows([(&simulation.before, &[]), (&simulation.after, &[])], &BTreeMap::new())
}

/// What was found of one simulation.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    unchanged: u32,
    false_drift: u32,
    excludes_zero: u32,
    intervals: u32,
    changed: u32,
    named: u32,
}

fn names(values: impl IntoIterator<Item = String>) -> String {
    values.into_iter().collect::<Vec<_>>().join(", ")
}

fn look(seed: u64, faults: &Mutex<Vec<String>>) -> Tally {
    let simulation = simulate(seed);
    let judged = judged(&simulation);
    let drifting: Vec<_> = judged.segments.iter().filter(|segment| segment.verdict == Judgement::Drift).collect();
    let stages = || judged.stages.iter().filter(|stage| stage.verdict == Judgement::Drift);
    let mut tally = Tally::default();
    let Some(change) = &simulation.change else {
        tally.unchanged = 1;
        let drift = judged.retrieval.verdict == Judgement::Drift || stages().count() > 0 || !drifting.is_empty();
        tally.false_drift = u32::from(drift);
        if let Some([low, high]) = judged.retrieval.interval {
            tally.intervals = 1;
            tally.excludes_zero = u32::from(low > 1e-12 || high < -1e-12);
        }
        if drift {
            faults.lock().unwrap().push(format!(
                "{seed}: drift in {} {}",
                names(stages().map(|stage| stage.stage.as_str().to_owned())),
                names(drifting.iter().map(|segment| format!("{:?}", segment.segment)))
            ));
        }
        return tally;
    };
    let effect = match &change.tenant {
        None => simulation.true_effect.unwrap_or(0.0),
        Some(tenant) => simulation.true_effect_in_tenant.get(tenant).copied().unwrap_or(0.0),
    };
    if effect <= THRESHOLD {
        return tally;
    }
    tally.changed = 1;
    let first: Vec<&str> =
        judged.stages.iter().filter(|stage| stage.first_to_change).map(|stage| stage.stage.as_str()).collect();
    let stage_named = first == [change.stage.as_str()];
    let tenant_named = change.tenant.as_ref().is_some_and(|tenant| {
        drifting
            .first()
            .is_some_and(|segment| segment.segment.len() == 1 && segment.segment.get("tenant") == Some(tenant))
    });
    tally.named = u32::from(stage_named || tenant_named);
    if tally.named == 0 {
        faults.lock().unwrap().push(format!(
            "{seed}: {change:?} with effect {effect:.3} (all {:.3}): {:?}, first {first:?}, stages {}, segments {}",
            simulation.true_effect.unwrap_or(0.0),
            judged.retrieval.verdict,
            names(judged.stages.iter().map(|stage| format!(
                "{} {} {:?} {:.3?} of {}{}",
                stage.position,
                stage.stage.as_str(),
                stage.verdict,
                stage.excess_change,
                stage.matched_queries,
                if stage.last { " last" } else { "" }
            ))),
            names(drifting.iter().map(|segment| format!("{:?}", segment.segment)))
        ));
    }
    tally
}

/// 200 pipelines with `--long`, else 24.
#[test]
fn the_stage_or_the_tenant_that_changed_is_named_first_and_nothing_is_named_where_nothing_changed() {
    let faults = Mutex::new(Vec::new());
    let all = each(if long() { 200 } else { 24 }, |seed| look(seed, &faults)).into_iter().fold(
        Tally::default(),
        |sum, one| Tally {
            unchanged: sum.unchanged + one.unchanged,
            false_drift: sum.false_drift + one.false_drift,
            excludes_zero: sum.excludes_zero + one.excludes_zero,
            intervals: sum.intervals + one.intervals,
            changed: sum.changed + one.changed,
            named: sum.named + one.named,
        },
    );
    let faults = faults.into_inner().unwrap().join("\n");
    println!("{all:?}\n{faults}");
    assert!(f64::from(all.false_drift) <= 0.01 * f64::from(all.unchanged), "{all:?}\n{faults}");
    // Of 100 intervals at 95 % more than 10 exclude the truth once in a hundred times, of 12 more than 3.
    assert!(all.excludes_zero <= if long() { 10 } else { 3 }, "{all:?}\n{faults}");
    assert!(f64::from(all.named) >= 0.95 * f64::from(all.changed) - 0.5, "{all:?}\n{faults}");
}

/// The stages of one simulation that changed first.
#[track_caller]
fn check(seed: u64, first: &[&str]) {
    let judged = judged(&simulate(seed));
    let found: Vec<&str> =
        judged.stages.iter().filter(|stage| stage.first_to_change).map(|stage| stage.stage.as_str()).collect();
    assert_eq!(found, first, "{:?}", judged.stages);
}

#[test]
fn a_search_that_hands_on_fewer_documents_is_named_and_not_the_reranker_that_follows() {
    check(27, &["QdrantRetriever"]);
}

#[test]
fn a_reranker_that_is_not_given_the_same_documents_twice_has_not_changed() {
    check(180, &[]);
}

#[test]
fn a_tenant_whose_answers_end_sooner_is_found_among_replicas_that_disagree() {
    let judged = judged(&simulate(43));
    let drifting = judged.segments.iter().filter(|segment| segment.verdict == Judgement::Drift);
    let tenants: Vec<_> = drifting.map(|segment| segment.segment.clone()).collect();
    assert_eq!(tenants, [BTreeMap::from([("tenant".to_owned(), "borealis".to_owned())])], "{:?}", judged.segments);
}

#[test]
fn a_tenant_that_only_one_window_names_keeps_nothing_from_being_compared() {
    let (mut before, after) = step_change(7, 0.2, None);
    for row in &mut before {
        row.event.segment.retain(|key, _| key.as_str() != "tenant");
    }
    let judged = judge_rows([(&before, &[]), (&after, &[])], &BTreeMap::new());
    assert_eq!(judged.retrieval.verdict, Judgement::Stable, "{:?}", judged.retrieval);
    assert!(judged.notes.iter().any(|note| note.contains("only one window names tenants")), "{:?}", judged.notes);
}

#[test]
fn windows_of_other_weekdays_differ_by_their_weekdays_and_that_is_no_other_traffic() {
    let (before, after) = step_change(7, 0.2, None);
    let [first, second] = begins();
    let days = |from: Timestamp, rows: Vec<_>, wanted: std::ops::Range<i64>| -> Vec<_> {
        let day = |row: &tidemark_schema::Stored<tidemark_schema::RetrievalEvent>| {
            (row.event.occurred_at.micros() - from.micros()).div_euclid(86_400_000_000)
        };
        rows.into_iter().filter(|row| wanted.contains(&day(row))).collect()
    };
    let (before, after) = (days(first, before, 0..4), days(second, after, 3..7));
    let traffic = judge_rows([(&before, &[]), (&after, &[])], &BTreeMap::new()).traffic;
    assert_ne!(traffic.verdict, Judgement::Drift, "{:?}", traffic.mixes);
    assert!(traffic.mixes.iter().all(|mix| mix.key != "weekday"), "{:?}", traffic.mixes);
}

/// 100 steps with `--long`, else 12, and as many weeks in which nothing changed.
#[test]
fn the_moment_of_a_step_is_found_within_an_hour_and_none_where_nothing_changed() {
    let count = if long() { 100 } else { 12 };
    let [_, week] = begins();
    let steps = each(count, |seed| {
        // From the first day to the last, sizes from 0.1 on.
        let share = (seed as f64 + 0.5) / count as f64;
        let size = 0.1 + 0.4 * ((seed * 7) % 10) as f64 / 10.0;
        #[expect(clippy::cast_possible_truncation, reason = "seconds of a week")]
        let at = week.plus_seconds((share * 6.8 * 86_400.0) as i64 + 3_600);
        let (before, after) = step_change(seed, size, Some(at));
        let since = judge_rows([(&before, &[]), (&after, &[])], &BTreeMap::new()).since;
        let error = |found: Timestamp| (found.micros() - at.micros()) as f64 / 3.6e9;
        (size, at, since.map(|since| error(since.at)))
    });
    let within = steps.iter().filter(|(_, _, error)| error.is_some_and(|hours| hours.abs() <= 1.0)).count();
    let missed: Vec<_> = steps.iter().filter(|(_, _, error)| error.is_none_or(|hours| hours.abs() > 1.0)).collect();
    let unchanged = each(count, |seed| {
        let (before, after) = step_change(1_000 + seed, 0.2, None);
        judge_rows([(&before, &[]), (&after, &[])], &BTreeMap::new()).since.is_some()
    });
    let named = unchanged.iter().filter(|named| **named).count();
    println!("{within} of {count} within an hour; {named} of {count} named where nothing changed; {missed:?}");
    assert!(within as f64 >= 0.9 * count as f64 - 0.5, "{missed:?}");
    assert!(named as f64 <= 0.05 * count as f64, "{named}");
}
