//! Verdicts on questions that nobody asks twice.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tidemark_analyzer::Judged;
use tidemark_analyzer::report::{Judgement, NeighbourBasis};
use tidemark_schema::{Finite, SimHash};
use tidemark_tests::{Recording, recordings};

use crate::events::{Operation, Recorded, judge_rows, shuffle};
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

/// What null comparisons came to.
#[derive(Debug, Default)]
struct Tally {
    comparisons: u32,
    /// Drift of rankings, scores, outputs, or any segment.
    drift: u32,
    /// Intervals of the excess, and those that hold 0.
    intervals: u32,
    holds_zero: u32,
    excess: f64,
}

impl Tally {
    fn count(&mut self, judged: &Judged) {
        let [retrieval, scores, _, outputs] = verdicts(judged);
        let segments = judged.segments.iter().map(|segment| segment.verdict);
        let any = [retrieval, scores, outputs].into_iter().chain(segments).any(|verdict| verdict == Judgement::Drift);
        self.comparisons += 1;
        self.drift += u32::from(any);
        if let (Some([low, high]), Some(excess)) = (judged.retrieval.interval, judged.retrieval.excess_change) {
            self.intervals += 1;
            self.holds_zero += u32::from(low <= 0.0 && high >= 0.0);
            self.excess += excess;
        }
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
        println!("shift {shifts}: {tally:?}, mean excess {:.5}", tally.excess / f64::from(tally.intervals));
        assert_eq!(tally.intervals, tally.comparisons);
        // At most 1 in 100 may be drift; of 20 comparisons 1 is, by chance, once in five times.
        assert!(tally.drift <= (tally.comparisons / 100).max(1), "{tally:?}");
        // Of 20 intervals at 95 % fewer than 16 hold 0 once in four hundred times.
        let least = if long() { 0.91 } else { 0.8 };
        assert!(f64::from(tally.holds_zero) >= least * f64::from(tally.intervals), "{tally:?}");
    }
}

/// The operations with hashes of their questions in place of the embeddings: on which side of 64 planes these lie.
fn hashed(operations: &[Operation], keeps_embedding: impl Fn(&[f32]) -> Option<Vec<f32>>) -> Vec<Operation> {
    let mut rng = ChaCha8Rng::seed_from_u64(64);
    let planes: Vec<[f64; 16]> = (0..64).map(|_| std::array::from_fn(|_| uniform(&mut rng) - 0.5)).collect();
    let above = |plane: &[f64; 16], vector: &[f32]| {
        plane.iter().zip(vector).map(|(side, x)| side * f64::from(*x)).sum::<f64>() > 0.0
    };
    let mut operations = operations.to_vec();
    for row in operations.iter_mut().flat_map(|operation| &mut operation.retrievals) {
        let query = &mut row.event.query;
        let vector = query.embedding.take().unwrap();
        let bits = planes.iter().fold(0, |bits, plane| (bits << 1) | u64::from(above(plane, &vector)));
        query.simhash = Some(SimHash(bits));
        query.embedding = keeps_embedding(&vector);
    }
    operations
}

fn verdicts(judged: &Judged) -> [Judgement; 4] {
    [judged.retrieval.verdict, judged.retrieval.scores.verdict, judged.traffic.verdict, judged.outputs.verdict]
}

/// All but the one in which the embeddings moved: what is hashed stands for a text, which says then that other things are
/// asked.
#[test]
fn hashes_of_the_questions_alone_are_enough() {
    let mut wrong = Vec::new();
    let same_space = |recording: &Recording| !recording.name.ends_with("/embedding_silent");
    for recording in recordings("cranfield-u").into_iter().filter(same_space) {
        let recorded = Recorded::read(&recording);
        let [before, after] = [&recorded.before, &recorded.after].map(|window| hashed(window, |_| None));
        let judged = recorded.judge(&before, &after);
        let expected = ["retrieval", "scores", "traffic", "outputs"].map(|key| recording.text(key));
        let found = verdicts(&judged).map(Judgement::as_str);
        let first = judged.causes.first().map(|cause| (cause.cause.as_str(), cause.declared));
        let right = expected.iter().zip(found).all(|(expected, found)| *expected == "any" || *expected == found)
            && recording.truth["causes"][0].as_str() == first.map(|(name, _)| name)
            && recording.truth["declared"]
                .as_bool()
                .is_none_or(|declared| first.is_some_and(|(_, said)| said == declared));
        if !right {
            wrong.push(format!("{}: {found:?}, first {first:?}", recording.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every embedding of the current window has its coordinates in another order; answers are those of the recording.
#[test]
fn embeddings_that_moved_as_a_body_are_told_from_other_questions_by_the_texts() {
    let check = |name: &str, expected: Judgement| {
        let recording = recordings("cranfield-u").into_iter().find(|recording| recording.name.ends_with(name)).unwrap();
        let recorded = Recorded::read(&recording);
        let before = hashed(&recorded.before, |vector| Some(vector.to_vec()));
        let after = hashed(&recorded.after, |vector| Some(vector.iter().rev().map(|x| -x).collect()));
        let judged = recorded.judge(&before, &after);
        let neighbours = judged.retrieval.neighbours.unwrap();
        assert_eq!((neighbours.basis, neighbours.embedder_moved), (NeighbourBasis::Text, true));
        assert_eq!(judged.retrieval.verdict, expected, "{name}");
        assert_eq!(judged.traffic.verdict, Judgement::Stable, "{name}");
    };
    check("/null", Judgement::Stable);
    check("/truncation_silent", Judgement::Drift);
}

/// What is ordered.
const GOODS: [&str; 12] = [
    "winter boots",
    "desk lamp",
    "leather sofa",
    "garden hose",
    "espresso machine",
    "mountain bike",
    "wool blanket",
    "chess board",
    "camping stove",
    "violin strings",
    "snow shovel",
    "picture frame",
];

/// The operation as a question for the status of an order: documents on what was ordered, and on that order.
fn of_order(operation: &Operation, order: u32, words: &str, fingerprint: &str) -> Operation {
    let mut operation = operation.clone();
    for row in &mut operation.retrievals {
        let query = &mut row.event.query;
        query.embedding = None;
        let goods = GOODS[order as usize % GOODS.len()];
        query.simhash = Some(SimHash::of(&words.replace('#', &format!("{order:05} of the {goods}"))));
        query.fingerprint = fingerprint.parse().unwrap();
        for (place, document) in (0_u8..).zip(&mut row.event.results) {
            let of = if place > 4 { format!("order-{order:05}") } else { goods.replace(' ', "-") };
            document.doc_id = format!("{of}-{place}").parse().unwrap();
            document.content_hash = None;
            let score = 0.9 - 0.05 * f64::from(place) - 1e-5 * f64::from(order * 7_919 % 1_000);
            document.score = Some(Finite::new(score).unwrap());
        }
    }
    operation
}

#[track_caller]
fn check_orders(before: &[Operation], after: &[Operation], recorded: &Recorded) {
    let judged = recorded.judge(before, after);
    assert!(judged.retrieval.neighbours.is_some(), "{:?}", judged.retrieval);
    assert_ne!(judged.retrieval.verdict, Judgement::Drift, "{:?}", judged.retrieval);
    assert_ne!(judged.retrieval.scores.verdict, Judgement::Drift, "{:?}", judged.retrieval.scores);
}

fn null_recording() -> Recorded {
    let recordings = recordings("cranfield-u");
    Recorded::read(recordings.iter().find(|recording| recording.name.ends_with("/null")).unwrap())
}

/// Such questions are near to each other, and each is rightly answered with documents of its own. Some are asked again.
#[test]
fn templates_that_differ_in_a_number_and_have_answers_of_their_own_are_no_drift() {
    let recorded = null_recording();
    for again in [0.0, 0.05, 0.15] {
        let mut rng = ChaCha8Rng::seed_from_u64(4_711);
        let mut window = |operations: &[Operation], first: u32| -> Vec<Operation> {
            // Some of the same hundred orders in both windows, and else one that nobody asked for yet.
            let mut order = |at| if uniform(&mut rng) < again { rng.next_u32() % 100 } else { first + at };
            let asked = (0..).zip(operations).map(|(at, operation)| (order(at), operation));
            let words = "what is the status of order #";
            asked.map(|(order, operation)| of_order(operation, order, words, &format!("order-{order:05}"))).collect()
        };
        let (before, after) = (window(&recorded.before, 10_000), window(&recorded.after, 20_000));
        check_orders(&before, &after, &recorded);
    }
}

/// Nothing that the first window asks is near to what the second one asks.
#[test]
fn other_topics_alone_are_no_drift_of_retrieval() {
    let recorded = null_recording();
    let all: Vec<Operation> = recorded.before.iter().chain(&recorded.after).cloned().collect();
    for seed in 0..12 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let side: Vec<f64> = (0..16).map(|_| uniform(&mut rng) - 0.5).collect();
        let along = |operation: &Operation| -> f64 {
            let embedding = operation.retrievals[0].event.query.embedding.as_ref().unwrap();
            embedding.iter().zip(&side).map(|(x, side)| f64::from(*x) * side).sum()
        };
        let mut sorted = all.clone();
        sorted.sort_by(|a, b| along(a).total_cmp(&along(b)));
        let (before, after) = (&sorted[..1_100], &sorted[1_300..]);
        let judged = recorded.judge(before, after);
        assert_ne!(judged.retrieval.verdict, Judgement::Drift, "{seed}: {:?}", judged.retrieval);
        assert_ne!(judged.retrieval.scores.verdict, Judgement::Drift, "{seed}: {:?}", judged.retrieval);
        assert_eq!(judged.traffic.verdict, Judgement::Drift, "{seed}");
    }
}

/// Whoever asks for an order asks three times within minutes, in other words.
#[test]
fn conversations_that_ask_again_in_other_words_are_no_drift() {
    let recorded = null_recording();
    let words = ["what is the status of order #", "so what is the status of order # now", "status of order # please"];
    let window = |operations: &[Operation], first: u32| -> Vec<Operation> {
        let mut window = Vec::new();
        for (order, operations) in (first..).zip(operations.chunks(3)) {
            let begun = operations[0].retrievals[0].event.occurred_at;
            for ((at, words), operation) in (0..).zip(words).zip(operations) {
                let mut asked = of_order(operation, order, words, &format!("order-{order:05}-{at}"));
                for row in &mut asked.retrievals {
                    row.event.occurred_at = begun.plus_seconds(70 * at);
                }
                window.push(asked);
            }
        }
        window
    };
    check_orders(&window(&recorded.before, 10_000), &window(&recorded.after, 20_000), &recorded);
}

/// What was found of the changes of one kind and size.
#[derive(Debug, Default, Clone, Copy)]
struct Power {
    changes: u32,
    found: u32,
    /// Sums of the estimates and of the true effects.
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
            power.estimate += estimate;
            power.truth += truth;
        }
    }
    println!(
        "| change | {} |\n| --- | --- | --- | --- | --- |",
        SIZES.map(|size| format!("{size} a window")).join(" | ")
    );
    for kind in Kind::ALL {
        let of = |size| table.get(&(kind, size)).copied().unwrap_or_default();
        let cell = |size| {
            let power = of(size);
            format!("{} of {}, {:.2}", power.found, power.changes, power.estimate / power.truth)
        };
        println!("| {kind:?} | {} |", SIZES.map(cell).join(" | "));
        let all = SIZES.map(of);
        let sum = |value: fn(&Power) -> f64| all.iter().map(value).sum::<f64>();
        let ratio = sum(|power| power.estimate) / sum(|power| power.truth);
        // Of four changes one may be too small to be found.
        let least = if long() { 0.85 } else { 0.7 };
        let share = sum(|power| f64::from(power.found)) / sum(|power| f64::from(power.changes));
        assert!(share >= least, "{kind:?}: {share} are found");
        let margin = if long() { 0.25 } else { 0.4 };
        assert!((ratio - 1.0).abs() <= margin, "{kind:?}: the estimate is {ratio} of the truth");
    }
}
