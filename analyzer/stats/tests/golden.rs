//! Every statistic against the values of the files in `golden`, which `SciPy` or brute force computed from the definition
//! that each case names in `source`.

#![expect(clippy::unwrap_used, reason = "a test stops where its premise fails")]

use std::collections::BTreeMap;

use serde_json::Value;
use tidemark_stats::{
    BettingProcess, Interval, KsMethod, Persistence, Proportion, Ranking, Strata, TwoByTwo, Variogram,
    benjamini_hochberg, change_point, cramer_von_mises_two_sample, distance_correlation, e_bh, energy_distance,
    footrule_top_k, g_test, gini, hellinger, jaccard, jensen_shannon_distance, kendall_tau_b, kendall_top_k, kitagawa,
    ks_two_sample, mann_whitney_u, mantel_haenszel_odds_ratio, mantel_haenszel_risk_difference, mmd2_unbiased,
    population_stability_index, rbo, rbo_min, risk_difference_newcombe, spearman, total_variation, wasserstein_1,
};

/// The files are ours; a case that is lost or not checked is a mistake.
const FILES: [(&str, usize); 3] = [
    (include_str!("golden/statistics.json"), 160),
    (include_str!("golden/change_point.json"), 11),
    (include_str!("golden/variogram.json"), 9),
];

/// The inputs of one case.
struct Inputs<'v>(&'v Value);

impl Inputs<'_> {
    fn number(&self, name: &str) -> f64 {
        self.0[name].as_f64().unwrap_or_else(|| panic!("{name} is no number"))
    }

    fn count(&self, name: &str) -> u64 {
        self.0[name].as_u64().unwrap_or_else(|| panic!("{name} is no count"))
    }

    fn numbers(&self, name: &str) -> Vec<f64> {
        serde_json::from_value(self.0[name].clone()).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn counts(&self, name: &str) -> Vec<u64> {
        serde_json::from_value(self.0[name].clone()).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn p(&self) -> Persistence {
        Persistence::new(self.number("p")).unwrap()
    }

    fn rankings(&self) -> (Ranking<&str>, Ranking<&str>) {
        (ranking(&self.0["a"]), ranking(&self.0["b"]))
    }

    fn tables(&self) -> Vec<TwoByTwo> {
        let tables: Vec<[[u64; 2]; 2]> = serde_json::from_value(self.0["tables"].clone()).unwrap();
        tables
            .iter()
            .map(|[[a, b], [c, d]]| TwoByTwo {
                exposed_events: *a,
                exposed_others: *b,
                unexposed_events: *c,
                unexposed_others: *d,
            })
            .collect()
    }

    fn proportion(&self, successes: &str, trials: &str) -> Proportion {
        Proportion { successes: self.count(successes), trials: self.count(trials) }
    }
}

/// A list of items, or of items with scores.
fn ranking(list: &Value) -> Ranking<&str> {
    let list = list.as_array().unwrap();
    match list.first() {
        Some(Value::Array(_)) => {
            let items = list.iter().map(|pair| pair[0].as_str().unwrap()).collect();
            let scores: Vec<_> = list.iter().map(|pair| pair[1].as_f64()).collect();
            Ranking::with_scores(items, &scores).unwrap()
        }
        _ => Ranking::new(list.iter().map(|item| item.as_str().unwrap()).collect()).unwrap(),
    }
}

/// What a statistic returned, in the shape the file uses.
#[derive(Debug)]
enum Outcome {
    One(f64),
    List(Vec<f64>),
    Named(BTreeMap<&'static str, f64>),
}

fn named<const N: usize>(fields: [(&'static str, f64); N]) -> Outcome {
    Outcome::Named(BTreeMap::from(fields))
}

fn rankings_compared(statistic: &str, inputs: &Inputs<'_>) -> Option<Outcome> {
    let compared = match statistic {
        "rbo_ext" | "rbo_ext_tied" => {
            let (a, b) = inputs.rankings();
            Outcome::One(rbo(&a, &b, inputs.p()))
        }
        "rbo_min" => {
            let (a, b) = inputs.rankings();
            Outcome::One(rbo_min(&a, &b, inputs.p()))
        }
        "kendall_top_k" => {
            let (a, b) = inputs.rankings();
            let distance = kendall_top_k(&a, &b, inputs.number("penalty")).unwrap();
            named([("raw", distance.raw), ("normalised", distance.normalised)])
        }
        "footrule_top_k" => {
            let (a, b) = inputs.rankings();
            let distance = footrule_top_k(&a, &b);
            named([("raw", distance.raw), ("normalised", distance.normalised)])
        }
        "jaccard" => {
            let (a, b) = inputs.rankings();
            Outcome::One(jaccard(&a, &b))
        }
        "ranking_mmd2_unbiased" => {
            let lists = |name: &str| -> Vec<_> { inputs.0[name].as_array().unwrap().iter().map(ranking).collect() };
            let (x, y) = (lists("x"), lists("y"));
            let (x, y): (Vec<_>, Vec<_>) = (x.iter().collect(), y.iter().collect());
            Outcome::One(mmd2_unbiased(&x, &y, inputs.p()).unwrap())
        }
        _ => return None,
    };
    Some(compared)
}

fn samples_compared(statistic: &str, inputs: &Inputs<'_>) -> Option<Outcome> {
    let xy = || (inputs.numbers("x"), inputs.numbers("y"));
    let tested = |test: tidemark_stats::TestResult| named([("statistic", test.statistic), ("p_value", test.p_value)]);
    let compared = match statistic {
        "ks_two_sample" => {
            let method = match inputs.0["method"].as_str() {
                Some("exact") => KsMethod::Exact,
                Some("asymptotic") => KsMethod::Asymptotic,
                other => panic!("unknown method {other:?}"),
            };
            tested(ks_two_sample(&xy().0, &xy().1, method).unwrap())
        }
        "wasserstein_1" => Outcome::One(wasserstein_1(&xy().0, &xy().1).unwrap()),
        "energy_distance" => Outcome::One(energy_distance(&xy().0, &xy().1).unwrap()),
        "cramer_von_mises_two_sample" => tested(cramer_von_mises_two_sample(&xy().0, &xy().1).unwrap()),
        "mann_whitney_u" => tested(mann_whitney_u(&xy().0, &xy().1).unwrap()),
        "spearman" => Outcome::One(spearman(&xy().0, &xy().1).unwrap()),
        "kendall_tau_b" => Outcome::One(kendall_tau_b(&xy().0, &xy().1).unwrap()),
        "distance_correlation" => Outcome::One(distance_correlation(&xy().0, &xy().1).unwrap()),
        "population_stability_index" => {
            let bins = usize::try_from(inputs.count("bins")).unwrap();
            let (reference, current) = (inputs.numbers("reference"), inputs.numbers("current"));
            Outcome::One(population_stability_index(&reference, &current, bins).unwrap())
        }
        _ => return None,
    };
    Some(compared)
}

fn moments_found(statistic: &str, inputs: &Inputs<'_>) -> Option<Outcome> {
    if statistic != "change_point" {
        return None;
    }
    let trim = usize::try_from(inputs.count("trim")).unwrap();
    let change = change_point(&inputs.numbers("values"), trim, inputs.number("confidence")).unwrap();
    Some(named([
        ("index", change.index as f64),
        ("low", change.low as f64),
        ("high", change.high as f64),
        ("before", change.before),
        ("after", change.after),
        ("statistic", change.statistic),
        ("p_value", change.p_value),
    ]))
}

fn neighbours_compared(statistic: &str, inputs: &Inputs<'_>) -> Option<Outcome> {
    if statistic != "variogram" {
        return None;
    }
    let bits = |count: u64| u32::try_from(count).unwrap();
    let largest = bits(inputs.count("largest"));
    let pairs = inputs.counts("distances").into_iter().map(bits).zip(inputs.numbers("values"));
    let variogram = Variogram::fit(pairs, largest).unwrap();
    let reach = [0.9, 0.5].map(|part| f64::from(variogram.reach(part)));
    Some(Outcome::List((0..=largest).map(|h| variogram.at(h)).chain(reach).collect()))
}

fn distributions_compared(statistic: &str, inputs: &Inputs<'_>) -> Option<Outcome> {
    let windows = || (inputs.numbers("reference"), inputs.numbers("current"));
    let compared = match statistic {
        "jensen_shannon_distance" => Outcome::One(jensen_shannon_distance(&windows().0, &windows().1).unwrap()),
        "hellinger" => Outcome::One(hellinger(&windows().0, &windows().1).unwrap()),
        "total_variation" => Outcome::One(total_variation(&windows().0, &windows().1).unwrap()),
        "g_test" => {
            let test = g_test(&inputs.counts("reference"), &inputs.counts("current")).unwrap();
            named([("statistic", test.statistic), ("df", test.df as f64), ("p_value", test.p_value)])
        }
        "gini" => Outcome::One(gini(&inputs.numbers("counts")).unwrap()),
        "kitagawa" => {
            let (before, after) = (inputs.numbers("reference_weight"), inputs.numbers("current_weight"));
            let (low, high) = (inputs.numbers("reference_mean"), inputs.numbers("current_mean"));
            let parts =
                kitagawa(Strata { shares: &before, means: &low }, Strata { shares: &after, means: &high }).unwrap();
            named([("total", parts.total), ("mix", parts.mix), ("within", parts.within)])
        }
        _ => return None,
    };
    Some(compared)
}

fn evidence_combined(statistic: &str, inputs: &Inputs<'_>) -> Option<Outcome> {
    let estimate = |interval: Interval| Outcome::One(interval.estimate);
    let combined = match statistic {
        "benjamini_hochberg" => Outcome::List(benjamini_hochberg(&inputs.numbers("p_values")).unwrap()),
        "e_bh" => {
            let rejected = e_bh(&inputs.numbers("e_values"), inputs.number("alpha")).unwrap();
            Outcome::List(rejected.iter().map(|&index| index as f64).collect())
        }
        "mantel_haenszel_odds_ratio" => estimate(mantel_haenszel_odds_ratio(&inputs.tables(), 0.95).unwrap()),
        "mantel_haenszel_risk_difference" => estimate(mantel_haenszel_risk_difference(&inputs.tables(), 0.95).unwrap()),
        "risk_difference_newcombe" => {
            let (first, second) = (inputs.proportion("k1", "n1"), inputs.proportion("k2", "n2"));
            let interval = risk_difference_newcombe(first, second, inputs.number("confidence")).unwrap();
            named([("difference", interval.estimate), ("low", interval.low), ("high", interval.high)])
        }
        "betting_log_e_process" => {
            let mut process = BettingProcess::new(inputs.number("null_mean"), inputs.number("clip")).unwrap();
            let observations = inputs.numbers("observations");
            Outcome::List(observations.iter().map(|&observation| process.observe(observation).unwrap()).collect())
        }
        _ => return None,
    };
    Some(combined)
}

fn evaluate(statistic: &str, inputs: &Inputs<'_>) -> Outcome {
    rankings_compared(statistic, inputs)
        .or_else(|| samples_compared(statistic, inputs))
        .or_else(|| moments_found(statistic, inputs))
        .or_else(|| distributions_compared(statistic, inputs))
        .or_else(|| neighbours_compared(statistic, inputs))
        .or_else(|| evidence_combined(statistic, inputs))
        .unwrap_or_else(|| panic!("no function computes {statistic}"))
}

/// Relative tolerance, with the same absolute one around 0.
fn close(found: f64, expected: f64, tolerance: f64) -> bool {
    (found - expected).abs() <= tolerance * expected.abs().max(f64::MIN_POSITIVE)
        || (expected == 0.0 && found.abs() <= tolerance)
}

fn agrees(found: &Outcome, expected: &Value, tolerance: f64) -> bool {
    let same = |found: f64, expected: &Value| expected.as_f64().is_some_and(|number| close(found, number, tolerance));
    match (found, expected) {
        (Outcome::One(found), Value::Number(_)) => same(*found, expected),
        (Outcome::List(found), Value::Array(expected)) => {
            found.len() == expected.len() && found.iter().zip(expected).all(|(found, expected)| same(*found, expected))
        }
        (Outcome::Named(found), Value::Object(expected)) => {
            found.len() == expected.len()
                && found.iter().all(|(name, found)| expected.get(*name).is_some_and(|value| same(*found, value)))
        }
        _ => false,
    }
}

#[test]
fn every_golden_case_is_reproduced() {
    let mut wrong = Vec::new();
    for (text, cases_of_file) in FILES {
        let file: Value = serde_json::from_str(text).unwrap();
        let cases = file["cases"].as_array().unwrap();
        for (number, case) in cases.iter().enumerate() {
            let statistic = case["fn"].as_str().unwrap();
            let tolerance = case["rel_tol"].as_f64().unwrap();
            let found = evaluate(statistic, &Inputs(&case["inputs"]));
            if !agrees(&found, &case["expected"], tolerance) {
                wrong.push(format!("case {number}, {statistic}: {found:?}, expected {}", case["expected"]));
            }
        }
        assert_eq!(cases.len(), cases_of_file);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
