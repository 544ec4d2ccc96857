//! How often monitors are wrong and how fast they are, on streams with a known mean; every stream has its own seed.
//!
//! The tables of this crate's README are [`tables`]; `UPDATE_TABLES=1 cargo test` writes them there.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use tidemark_stats::Cusum;

use super::*;

const NULL_MEAN: f64 = 0.06;
const LOOKS: u64 = 10_000;
const STREAMS: u64 = 1_000;

/// What observations look like. All have the mean that is asked for, given the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// 0 or 1/5: a probe that now and then loses its last document.
    TwoValued,
    /// Mostly 0, else anything up to 0.6: matched queries of which few change.
    ZeroInflated,
    /// Never 0, skewed to the right: distances under an approximate index.
    Skewed,
    /// 0 or 1: a rate.
    Rate,
    /// A rate for some time, then small distances for some time: a variance that depends on the past.
    Bursty,
}

impl Kind {
    const ALL: [Self; 5] = [Self::TwoValued, Self::ZeroInflated, Self::Skewed, Self::Rate, Self::Bursty];

    fn words(self) -> &'static str {
        match self {
            Self::TwoValued => "0 or 0.2",
            Self::ZeroInflated => "mostly 0, else up to 0.6",
            Self::Skewed => "never 0, skewed",
            Self::Rate => "0 or 1",
            Self::Bursty => "bursts of 0 or 1",
        }
    }

    fn variance(self, mean: f64) -> f64 {
        let square = match self {
            Self::TwoValued => 0.2 * mean,
            Self::ZeroInflated => 0.4 * mean,
            Self::Skewed => 16.0 / 9.0 * mean * mean,
            Self::Rate => mean,
            Self::Bursty => 0.5 * mean + 2.0 / 3.0 * mean * mean,
        };
        square - mean * mean
    }

    /// An endless stream, whose mean may be set.
    fn stream(self, mean: f64, seed: u64) -> Stream {
        Stream { kind: self, mean, bursting: seed.is_multiple_of(2), rng: ChaCha8Rng::seed_from_u64(seed) }
    }
}

struct Stream {
    kind: Kind,
    mean: f64,
    bursting: bool,
    rng: ChaCha8Rng,
}

impl Stream {
    fn draw(&mut self) -> f64 {
        let Self { kind, mean, rng, .. } = self;
        let mut rate = |value: f64| if rng.random_bool(*mean / value) { value } else { 0.0 };
        match kind {
            Kind::TwoValued => rate(0.2),
            Kind::ZeroInflated => rate(0.3) * 2.0 * rng.random::<f64>(),
            Kind::Skewed => 4.0 * *mean * rng.random::<f64>() * rng.random::<f64>(),
            Kind::Rate => rate(1.0),
            Kind::Bursty => {
                let value = if self.bursting { rate(1.0) } else { 2.0 * *mean * rng.random::<f64>() };
                if rng.random_bool(0.02) {
                    self.bursting = !self.bursting;
                }
                value
            }
        }
    }
}

fn monitor(null_mean: f64, levels: Levels) -> Monitor {
    Monitor::new(NullMean::known(Quantity::RankDistance, null_mean), levels).unwrap()
}

fn chart(kind: Kind) -> Cusum {
    Cusum::textbook(NULL_MEAN, kind.variance(NULL_MEAN).sqrt()).unwrap()
}

/// The look, from 1, at which each method first alarms: e-process, e-detector, CUSUM.
type FirstAlarms = [Option<u64>; 3];

/// Runs all methods on one stream until each has alarmed or `looks` are over.
fn first_alarms(stream: &mut Stream, monitor: &mut Monitor, chart: &mut Cusum, looks: u64) -> FirstAlarms {
    let mut first = [None; 3];
    for look in 1..=looks {
        let value = stream.draw();
        monitor.observe(Timestamp::MIN, value).unwrap();
        let alarms =
            [monitor.reached(Basis::SinceStart), monitor.reached(Basis::Recent), chart.observe(value).unwrap()];
        for (first, alarm) in first.iter_mut().zip(alarms) {
            if alarm {
                first.get_or_insert(look);
            }
        }
        if first.iter().all(Option::is_some) {
            break;
        }
    }
    first
}

/// First alarms of stable streams.
fn stable(kind: Kind, mean: f64, streams: u64) -> Vec<FirstAlarms> {
    let run = |seed| {
        let mut monitor = monitor(NULL_MEAN, Levels::default());
        first_alarms(&mut kind.stream(mean, seed), &mut monitor, &mut chart(kind), LOOKS)
    };
    (0..streams).into_par_iter().map(run).collect()
}

fn alarmed(runs: &[FirstAlarms], method: usize) -> usize {
    runs.iter().filter(|run| run[method].is_some()).count()
}

/// Mean looks to the first alarm; a run without one counts as all looks, so the true mean is not less.
fn run_length(runs: &[FirstAlarms], method: usize) -> f64 {
    runs.iter().map(|run| run[method].unwrap_or(LOOKS) as f64).sum::<f64>() / runs.len() as f64
}

/// What a monitor sees before the mean changes: how many looks, at which mean.
type Before = (u64, f64);

const BEFORE: [Before; 3] = [(0, NULL_MEAN), (1_000, NULL_MEAN), (1_000, NULL_MEAN - 0.02)];

/// Median looks from the change to the first alarm, for each method. What alarmed before the change was acknowledged,
/// as an operator would: detector and chart started over. Streams whose e-process alarmed are left out.
fn delays(kind: Kind, before: Before, mean: f64) -> [u64; 3] {
    let run = |seed| {
        let mut monitor = monitor(NULL_MEAN, Levels::default());
        let mut cusum = chart(kind);
        let mut stream = kind.stream(before.1, 1_000_000 + seed);
        for _ in 0..before.0 {
            let value = stream.draw();
            if monitor.observe(Timestamp::MIN, value).unwrap().is_some() {
                monitor.acknowledge();
            }
            if cusum.observe(value).unwrap() {
                cusum = chart(kind);
            }
        }
        stream.mean = mean;
        (!monitor.proven).then(|| first_alarms(&mut stream, &mut monitor, &mut cusum, LOOKS))
    };
    let runs: Vec<FirstAlarms> = (0..300_u64).into_par_iter().filter_map(run).collect();
    [0, 1, 2].map(|method| {
        let mut looks: Vec<u64> = runs.iter().map(|run| run[method].unwrap_or(LOOKS)).collect();
        looks.sort_unstable();
        looks[looks.len() / 2]
    })
}

/// The measured part of the README.
fn tables() -> String {
    format!("{}\n{}", false_alarms_table(), delays_table())
}

fn false_alarms_table() -> String {
    let mut text = format!(
        "Stable streams, {STREAMS} of each kind, {LOOKS} looks at each; mean {NULL_MEAN}, held against a null mean of \
         {NULL_MEAN} (and\nmean 0.04, as with a margin of 0.02). A run without alarm counts as {LOOKS} looks.\n\n\
         | observations | e-process ever alarms | e-detector alarms | mean run | alarms with margin | CUSUM alarms \
         | mean run |\n| --- | --- | --- | --- | --- | --- | --- |\n"
    );
    let share = |runs: &[_], method| format!("{:.1} %", 100.0 * alarmed(runs, method) as f64 / runs.len() as f64);
    for kind in Kind::ALL {
        let runs = stable(kind, NULL_MEAN, STREAMS);
        let with_margin = stable(kind, NULL_MEAN - 0.02, STREAMS);
        text += &format!(
            "| {} | {} | {} | {:.0} | {} | {} | {:.0} |\n",
            kind.words(),
            share(&runs, 0),
            share(&runs, 1),
            run_length(&runs, 1),
            share(&with_margin, 1),
            share(&runs, 2),
            run_length(&runs, 2),
        );
    }
    text
}

fn delays_table() -> String {
    let mut text = "Median looks from a change of the mean to the alarm, the same streams for all methods: changed at \
                    the first look,\nafter 1,000 looks at the null mean, after 1,000 looks at 0.04.\n\n\
                    | observations | mean moves to | e-process | e-detector | CUSUM |\n\
                    | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for kind in Kind::ALL {
        for mean in [0.08, 0.12, 0.20] {
            let measured = BEFORE.map(|before| delays(kind, before, mean));
            let [process, detector, cusum] = [0, 1, 2].map(|method| {
                let looks = measured.map(|looks| looks[method].to_string());
                looks.join(", ")
            });
            text += &format!("| {} | {mean:.2} | {process} | {detector} | {cusum} |\n", kind.words());
        }
    }
    text
}

#[test]
fn the_tables_of_the_readme_are_what_is_measured() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let (begin, end) = ("<!-- monitors: measured -->\n", "<!-- monitors: end -->");
    let (head, rest) = readme.split_once(begin).unwrap();
    let (stated, tail) = rest.split_once(end).unwrap();
    let measured = format!("\n{}\n", tables());
    if std::env::var_os("UPDATE_TABLES").is_some() {
        std::fs::write(path, format!("{head}{begin}{measured}{end}{tail}")).unwrap();
    } else {
        assert_eq!(stated, measured, "UPDATE_TABLES=1 writes what is measured");
    }
}

#[test]
fn of_a_thousand_null_streams_looked_at_ten_thousand_times_one_in_a_hundred_ever_alarms_at_most() {
    // All of one kind, and one stream in five of each kind.
    let mixed = |seed| {
        let kind = Kind::ALL[usize::try_from(seed).unwrap() % Kind::ALL.len()];
        let mut monitor = monitor(NULL_MEAN, Levels::default());
        let mut stream = kind.stream(NULL_MEAN, 2_000_000 + seed);
        first_alarms(&mut stream, &mut monitor, &mut chart(kind), LOOKS)
    };
    let mixture: Vec<FirstAlarms> = (0..STREAMS).into_par_iter().map(mixed).collect();
    for (name, runs) in [("two-valued", stable(Kind::TwoValued, NULL_MEAN, STREAMS)), ("mixture", mixture)] {
        assert!(alarmed(&runs, 0) <= 10, "{name}: {}", alarmed(&runs, 0));
        assert!(run_length(&runs, 1) >= 1_000.0, "{name}: {}", run_length(&runs, 1));
        assert_eq!(alarmed(&runs, 2), runs.len(), "{name}: each CUSUM alarms on a stable stream");
    }
}

#[test]
fn the_mean_run_length_of_the_detector_is_at_least_one_over_its_level() {
    for kind in Kind::ALL {
        let levels = Levels { per_look: 0.01, ..Levels::default() };
        let run = |seed| {
            let mut monitor = monitor(NULL_MEAN, levels);
            let mut stream = kind.stream(NULL_MEAN, seed);
            let mut alarms = |_: &u64| {
                monitor.observe(Timestamp::MIN, stream.draw()).unwrap();
                monitor.reached(Basis::Recent)
            };
            (1..=LOOKS).find(|look| alarms(look)).unwrap_or(LOOKS)
        };
        let looks = (0..STREAMS).into_par_iter().map(run).sum::<u64>() / STREAMS;
        assert!(looks >= 100, "{kind:?}: {looks}");
    }
}

#[test]
fn a_change_that_begins_late_costs_the_e_process_its_speed_and_the_detector_nothing() {
    for kind in [Kind::TwoValued, Kind::Skewed, Kind::Rate] {
        let [at_once, late, late_with_margin] = BEFORE.map(|before| delays(kind, before, 0.12));
        assert!(late[0] >= 2 * at_once[0] && late_with_margin[0] >= late[0], "{kind:?}: {at_once:?}, {late:?}");
        for delay in [late[1], late_with_margin[1]] {
            assert!(delay * 10 <= at_once[1] * 12, "{kind:?}: {delay} after {at_once:?}");
        }
    }
}

#[test]
fn a_null_mean_learnt_without_a_margin_is_below_the_true_mean_in_one_of_a_hundred_references_at_most() {
    for (kind, size) in [(Kind::TwoValued, 300), (Kind::Rate, 300), (Kind::Skewed, 100), (Kind::ZeroInflated, 1_000)] {
        let learn = |seed| {
            let mut stream = kind.stream(NULL_MEAN, 3_000_000 + seed);
            let reference: Vec<f64> = (0..size).map(|_| stream.draw()).collect();
            NullMean::learn(Quantity::RankDistance, &reference, 0.0).unwrap().value()
        };
        let mut learnt: Vec<f64> = (0..STREAMS).into_par_iter().map(learn).collect();
        learnt.sort_unstable_by(f64::total_cmp);
        let below = learnt.iter().filter(|value| **value < NULL_MEAN).count();
        assert!(below <= 10, "{kind:?}: {below}");
        assert!(learnt[500] < 0.15, "{kind:?}: {}", learnt[500]);
    }
}

#[test]
fn one_fixed_calibration_set_is_strange_in_itself_and_a_learnt_null_mean_allows_for_it() {
    let references = 200;
    let run = |seed| {
        let mut rng = ChaCha8Rng::seed_from_u64(4_000_000_u64 + seed);
        let score = |rng: &mut ChaCha8Rng| (rng.random::<f64>() + rng.random::<f64>()).sqrt();
        let calibration = Calibration::new((0..500).map(|_| score(&mut rng)).collect()).unwrap();
        let mut strangeness = || {
            let (score, tie_break) = (score(&mut rng), rng.random());
            calibration.strangeness(score, Stranger::Lower, tie_break).unwrap()
        };
        let held_out: Vec<f64> = (0..500).map(|_| strangeness()).collect();
        let learnt = NullMean::learn(Quantity::ScoreStrangeness, &held_out, 0.02).unwrap();
        let assumed = NullMean::known(Quantity::ScoreStrangeness, 0.5);
        let mut monitors = [learnt, assumed].map(|null_mean| Monitor::new(null_mean, Levels::default()).unwrap());
        for _ in 0..LOOKS {
            let value = strangeness();
            for monitor in &mut monitors {
                monitor.observe(Timestamp::MIN, value).unwrap();
            }
        }
        monitors.map(|monitor| monitor.proven)
    };
    let proven: Vec<[bool; 2]> = (0..references).into_par_iter().map(run).collect();
    let [learnt, assumed] = [0, 1].map(|which| proven.iter().filter(|proven| proven[which]).count());
    assert!(learnt <= 4, "{learnt}");
    assert!(assumed > 20, "{assumed}");
}
