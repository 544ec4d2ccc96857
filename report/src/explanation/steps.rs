//! The numbers on the way to each verdict, and whether they pass.

use tidemark_analyzer::Report;
use tidemark_analyzer::report::{FloorBasis, Judgement, NeighbourBasis};

use crate::comparison::{classes, is_two_sided, operations};
use crate::document::{Inline, Text};
use crate::number::{count, known, number, size};
use crate::wording::{groups, queries, test_name};

/// The way to one verdict.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chain {
    /// The name of the verdict among the tests.
    pub(super) name: &'static str,
    pub(super) question: &'static str,
    pub(super) verdict: Judgement,
    pub(super) seen: String,
    /// Whether that is enough for a verdict.
    pub(super) enough: bool,
    /// What would be enough, in words.
    pub(super) needed: Option<String>,
    /// What the effect is measured from: a name and a sentence each.
    pub(super) remarks: Vec<(&'static str, String)>,
    /// One of them has to pass.
    pub(super) effects: Vec<Effect>,
    pub(super) test: &'static str,
    pub(super) p_value: Option<f64>,
    /// After the correction for several tests.
    pub(super) adjusted: Option<f64>,
    alpha: f64,
}

impl Chain {
    pub(super) fn effect_passes(&self) -> bool {
        self.effects.iter().any(Effect::passes)
    }

    pub(super) fn test_passes(&self) -> bool {
        self.adjusted.is_some_and(|adjusted| adjusted < self.alpha)
    }

    /// Whether the numbers bear the verdict.
    pub(super) fn follows(&self) -> bool {
        let drifts = self.enough && self.effect_passes() && self.test_passes();
        match self.verdict {
            Judgement::Drift => drifts,
            Judgement::Stable => self.enough && !drifts,
            Judgement::InsufficientEvidence => !drifts,
        }
    }
}

/// An effect against what matters.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Effect {
    /// Which, where there are several.
    pub(super) what: Option<Text>,
    pub(super) estimate: f64,
    pub(super) interval: Option<[f64; 2]>,
    pub(super) threshold: f64,
    /// Whether a fall matters as a rise does.
    pub(super) is_two_sided: bool,
}

impl Effect {
    /// Whether the whole interval lies beyond what matters.
    pub(super) fn passes(&self) -> bool {
        self.interval.is_some_and(|[low, high]| low > self.threshold || (self.is_two_sided && high < -self.threshold))
    }

    /// Whether the interval holds effects that matter and others that do not.
    pub(super) fn is_undecided(&self) -> bool {
        let inside = |[low, high]: [f64; 2]| high <= self.threshold && (!self.is_two_sided || low >= -self.threshold);
        !self.passes() && self.interval.is_some_and(|interval| !inside(interval))
    }

    /// Where the interval lies.
    pub(super) fn lies(&self) -> String {
        let threshold = number(self.threshold);
        let bounds = if self.is_two_sided { format!("±{threshold}") } else { threshold.clone() };
        match self.interval {
            None => "has no interval".to_owned(),
            Some([low, _]) if low > self.threshold => format!("lies above {threshold}"),
            Some(_) if self.passes() => format!("lies below -{threshold}"),
            Some(_) if self.is_undecided() => format!("reaches across {bounds}"),
            Some(_) if self.is_two_sided => format!("lies within {bounds}"),
            Some(_) => format!("does not exceed {threshold}"),
        }
    }
}

/// The ways to the verdicts, in the order of the report.
pub(super) fn chains(report: &Report) -> [Chain; 4] {
    [retrieval(report), scores(report), outputs_chain(report), traffic_chain(report)]
}

fn chain(report: &Report, name: &'static str, question: &'static str, verdict: Judgement) -> Chain {
    let multiplicity = &report.multiplicity;
    let tested = multiplicity.tests.iter().find(|test| test.verdict == name);
    Chain {
        name,
        question,
        verdict,
        seen: String::new(),
        enough: false,
        needed: None,
        remarks: Vec::new(),
        effects: Vec::new(),
        test: "test",
        p_value: tested.map(|test| test.p_value),
        adjusted: tested.map(|test| test.adjusted_p_value),
        alpha: multiplicity.alpha,
    }
}

fn effect(estimate: Option<f64>, interval: Option<[f64; 2]>, threshold: f64) -> Vec<Effect> {
    let effect = |estimate| Effect { what: None, estimate, interval, threshold, is_two_sided: false };
    estimate.map(effect).into_iter().collect()
}

/// `640 queries that both windows asked; at least 30 are needed`
fn seen(report: &Report, n: usize, which: &str) -> String {
    format!("{} {which}; at least {} are needed", queries(n), size(report.retrieval.queries_min))
}

fn retrieval(report: &Report) -> Chain {
    let retrieval = &report.retrieval;
    let question = "Retrieval: does the same query get different context?";
    let (units, seen) = match &retrieval.neighbours {
        None => (retrieval.matched_queries, seen(report, retrieval.matched_queries, "that both windows asked")),
        Some(neighbours) => {
            let least = size(retrieval.queries_min);
            (neighbours.groups, format!("{}; at least {least} are needed", groups(neighbours)))
        }
    };
    Chain {
        seen,
        enough: units >= retrieval.queries_min,
        needed: retrieval.queries_needed.map(queries),
        remarks: remarks(report),
        effects: effect(retrieval.excess_change, retrieval.interval, retrieval.threshold),
        test: test_name(retrieval.test).unwrap_or("test"),
        p_value: retrieval.p_value,
        ..chain(report, "retrieval", question, retrieval.verdict)
    }
}

/// What the change of rankings is measured from.
fn remarks(report: &Report) -> Vec<(&'static str, String)> {
    let mut remarks = vec![("floor", floor(report))];
    let neighbours = report.retrieval.neighbours.as_ref().filter(|n| n.basis != NeighbourBasis::FirstDocument);
    remarks.extend(neighbours.map(|neighbours| {
        let says = format!(
            "answers to the nearest queries are {} apart in the reference, to any two {}",
            number(neighbours.nugget),
            number(neighbours.sill)
        );
        ("variogram", says)
    }));
    remarks
}

/// The noise floor and where it comes from.
fn floor(report: &Report) -> String {
    let retrieval = &report.retrieval;
    let judged = queries(retrieval.judged_queries);
    if let (Some(neighbours), Some(floor)) = (&retrieval.neighbours, retrieval.noise_floor) {
        return format!("{}, measured: mean distance in the reference within {}", number(floor), groups(neighbours));
    }
    match (retrieval.floor_basis, retrieval.noise_floor) {
        (FloorBasis::Reference, Some(floor)) => format!(
            "{}, measured: mean distance of repeats of {judged} in the reference; current {}",
            number(floor),
            known(retrieval.current_noise_floor)
        ),
        (FloorBasis::Current, Some(floor)) => {
            format!("{}, that of repeats of {judged} in the current window", number(floor))
        }
        _ => "unknown: too few queries repeat; the effect is the part that no noise can make".to_owned(),
    }
}

fn scores(report: &Report) -> Chain {
    let scores = &report.retrieval.scores;
    let question = "Scores: do unchanged documents get different scores?";
    let unit = "standard deviations of the reference's scores".to_owned();
    Chain {
        seen: seen(report, scores.queries, "with a common unchanged document"),
        enough: scores.queries >= report.retrieval.queries_min,
        remarks: vec![("floor", "repeats in the reference are subtracted for each query".to_owned()), ("unit", unit)],
        effects: effect(scores.effect, scores.interval, scores.threshold),
        test: "bootstrap over queries",
        p_value: scores.p_value,
        ..chain(report, "scores", question, scores.verdict)
    }
}

fn traffic_chain(report: &Report) -> Chain {
    let judged = &report.traffic;
    let distance =
        judged.js_distance.map(|distance| format!("{} between the mixes, over {}", number(distance), classes(judged)));
    let floor = judged
        .noise_floor
        .map(|floor| format!("{}, the distance that two samples of one mix would show", number(floor)));
    Chain {
        seen: format!("{}; at least {} in each are needed", operations(judged), count(judged.operations_min)),
        enough: judged.operations.iter().all(|seen| *seen >= judged.operations_min),
        needed: judged.operations_needed.map(|needed| format!("{} operations", count(needed))),
        remarks: [("distance", distance), ("floor", floor)]
            .into_iter()
            .filter_map(|(name, says)| says.map(|says| (name, says)))
            .collect(),
        effects: effect(judged.excess_distance, judged.interval, judged.threshold),
        test: "G-test of homogeneity",
        p_value: judged.p_value,
        ..chain(report, "traffic", "Traffic: do users ask different things?", judged.verdict)
    }
}

fn outputs_chain(report: &Report) -> Chain {
    let judged = &report.outputs;
    let question = "Outputs: did the answers change?";
    let floor = "repeats in the reference are subtracted; one of the measures has to pass".to_owned();
    let measured = judged.measures.iter().map(|measure| Effect {
        what: Some(Inline::LongName(measure.measure.clone()).into()),
        estimate: measure.effect,
        interval: Some(measure.interval),
        threshold: measure.threshold,
        is_two_sided: is_two_sided(measure),
    });
    Chain {
        seen: seen(report, judged.matched_queries, "with an output in both windows"),
        enough: judged.matched_queries >= report.retrieval.queries_min,
        needed: judged.queries_needed.map(queries),
        remarks: (!judged.measures.is_empty()).then_some(("floor", floor)).into_iter().collect(),
        effects: measured.collect(),
        test: "over all measures",
        ..chain(report, "outputs", question, judged.verdict)
    }
}
