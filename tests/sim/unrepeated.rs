//! Verdicts on questions that nobody asks twice.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::BTreeMap;
use tidemark_analyzer::Judged;
use tidemark_analyzer::report::Judgement;
use tidemark_tests::recordings;

use crate::events::judge_rows;
use crate::events::{Operation, Recorded, shuffle};
use crate::long;
use crate::pipelines::{Kind, chat};
use crate::verdicts::each;

/// Between 0 and 1.
fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    f64::from(rng.next_u32()) / 2.0_f64.powi(32)
}

/// Deals operations to two windows; if what is asked shifts, one side of the questions' space to the first window, mostly.
fn dealt(operations: &[Operation], shifts: bool, rng: &mut ChaCha8Rng) -> [Vec<Operation>; 2] {
    let side: Vec<f64> = (0..64).map(|_| uniform(rng) - 0.5).collect();
    let mut windows = [Vec::new(), Vec::new()];
    for operation in operations {
        let embedding = operation.retrievals[0].event.query.embedding.as_ref().unwrap();
        let along: f64 = embedding.iter().zip(&side).map(|(x, side)| f64::from(*x) * side).sum();
        let first = if shifts { 1.0 / (1.0 + (-12.0 * along).exp()) } else { 0.5 };
        windows[usize::from(uniform(rng) >= first)].push(operation.clone());
    }
    windows
}

#[derive(Debug, Default)]
struct Tally {
    comparisons: u32,
    drift: [u32; 4],
    segments: u32,
    insufficient: u32,
    intervals: u32,
    above: u32,
    below: u32,
    excess: f64,
    causes: u32,
    p_below_5: u32,
}

impl Tally {
    fn count(&mut self, judged: &Judged) {
        let verdicts =
            [judged.retrieval.verdict, judged.retrieval.scores.verdict, judged.traffic.verdict, judged.outputs.verdict];
        self.comparisons += 1;
        for (count, verdict) in self.drift.iter_mut().zip(verdicts) {
            *count += u32::from(verdict == Judgement::Drift);
        }
        self.segments += u32::from(judged.segments.iter().any(|segment| segment.verdict == Judgement::Drift));
        self.insufficient += u32::from(judged.retrieval.verdict == Judgement::InsufficientEvidence);
        if let Some([low, high]) = judged.retrieval.interval {
            self.intervals += 1;
            self.above += u32::from(low > 0.0);
            self.below += u32::from(high < 0.0);
            self.excess += judged.retrieval.excess_change.unwrap_or(0.0);
        }
        self.p_below_5 += u32::from(judged.retrieval.p_value.is_some_and(|p| p < 0.05));
        self.causes += u32::from(judged.causes.iter().any(|cause| cause.cause.as_str() != "query_mix"));
    }
}

/// 500 comparisons with `--long`, else 40: half of them with a shift of what is asked.
#[test]
fn null_comparisons_without_repeats() {
    let sources: Vec<Recorded> = recordings("cranfield-u")
        .into_iter()
        .filter(|recording| recording.name.contains("/null"))
        .map(|recording| Recorded::read(&recording))
        .collect();
    assert_eq!(sources.len(), 2);
    let wanted = if long() { 500 } else { 40 };
    let found = each(wanted, |number| {
        let source = &sources[usize::try_from(number % 2).unwrap()];
        let mut rng = ChaCha8Rng::seed_from_u64(number);
        let mut all: Vec<Operation> = source.before.iter().chain(&source.after).cloned().collect();
        shuffle(&mut all, &mut rng);
        let shifts = number % 4 >= 2;
        let [before, after] = dealt(&all, shifts, &mut rng);
        (shifts, source.judge(&before, &after))
    });
    for shifts in [false, true] {
        let mut tally = Tally::default();
        found.iter().filter(|(shifted, _)| *shifted == shifts).for_each(|(_, judged)| tally.count(judged));
        tally.excess /= f64::from(tally.intervals.max(1));
        println!("shift {shifts}: {tally:?}");
    }
}

/// What was found of the changes of one kind and size.
#[derive(Debug, Default, Clone, Copy)]
struct Power {
    changes: u32,
    found: u32,
    estimated: u32,
    estimate: f64,
    truth: f64,
}

/// Operations in each window.
const SIZES: [usize; 4] = [500, 1_000, 2_000, 3_000];

/// 300 changes with `--long`, else 16.
#[test]
fn changes_without_repeats() {
    let wanted = if long() { 304 } else { 16 };
    let found = each(wanted, |number| {
        let at = usize::try_from(number).unwrap();
        let (kind, size) = (Kind::ALL[at % 4], SIZES[at / 4 % 4]);
        let chat = chat(number, size, Some(kind));
        let judged = judge_rows([(&chat.before, &[]), (&chat.after, &[])], &BTreeMap::new());
        (kind, size, chat.true_effect, judged)
    });
    let mut table: BTreeMap<(Kind, usize), Power> = BTreeMap::new();
    for (kind, size, truth, judged) in &found {
        let power = table.entry((*kind, *size)).or_default();
        power.changes += 1;
        power.found += u32::from(judged.retrieval.verdict == Judgement::Drift);
        if let Some(estimate) = judged.retrieval.excess_change {
            power.estimated += 1;
            power.estimate += estimate;
            power.truth += truth;
        }
        println!(
            "{kind:?} {size} truth {truth:.3} estimate {:.3?} {:.3?} coverage {:.2?} groups {} {:?} first {:?}",
            judged.retrieval.excess_change,
            judged.retrieval.interval,
            judged.retrieval.coverage,
            judged.retrieval.neighbours.map_or(0, |n| n.groups),
            judged.retrieval.verdict,
            judged.causes.first().map(|c| c.cause.as_str())
        );
    }
    for ((kind, size), power) in table {
        println!("{kind:?} {size}: {power:?} ratio {:.3}", power.estimate / power.truth);
    }
}
