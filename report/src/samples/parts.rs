//! What reports hold besides retrieval: traffic, outputs, segments, integrity.

use std::collections::BTreeMap;

use super::{drift, stable};
use tidemark_analyzer::causes::Cause;
use tidemark_analyzer::report::{
    Affects, Because, CauseReport, ChangedBy, ClusterShare, DoseResponse, ExposureReport, Factors, Grounding,
    IntegrityKind, IntegrityReport, Judgement, MarginalReport, MultiplicityReport, OutputMeasure, OutputReport, Report,
    RetrievalReport, ScoreReport, SegmentReport, StratifiedDifference, TestReport, TrafficBasis, TrafficReport,
};

pub(crate) fn traffic_stable() -> TrafficReport {
    TrafficReport {
        verdict: Judgement::Stable,
        operations: [4_998, 4_861],
        operations_min: 100,
        operations_needed: None,
        fingerprint_overlap: Some(0.842),
        basis: TrafficBasis::QueryClusters,
        classes: 24,
        js_distance: Some(0.036_1),
        noise_floor: Some(0.034_8),
        excess_distance: Some(0.001_3),
        interval: Some([-0.003_2, 0.007_4]),
        threshold: 0.05,
        p_value: Some(0.327),
        shifted: Vec::new(),
        mixes: Vec::new(),
        marginals: Vec::new(),
    }
}

/// A new client asks about one thing, and less is asked about the rest.
pub(crate) fn traffic_drift() -> TrafficReport {
    let class = |example: Option<&str>, reference_share, current_share| ClusterShare {
        example: example.map(str::to_owned),
        reference_share,
        current_share,
    };
    let marginal = |measure, [reference, current]: [f64; 2], mix| MarginalReport {
        measure,
        reference,
        current,
        change: current - reference,
        mix,
        within: current - reference - mix,
        wasserstein_1: Some(0.41),
        psi: Some(0.27),
        ks_p_value: Some(0.000_01),
    };
    TrafficReport {
        verdict: Judgement::Drift,
        fingerprint_overlap: Some(0.463),
        js_distance: Some(0.312_7),
        excess_distance: Some(0.277_9),
        interval: Some([0.259_1, 0.296_6]),
        p_value: Some(1.3e-12),
        shifted: vec![
            class(Some("fp:538454127b0964934f612c926a708a85"), 0.031, 0.287),
            class(None, 0.412, 0.268),
            class(Some("fp:1715609f7c746c69ef8e8d8d22e2ac16"), 0.094, 0.042),
        ],
        marginals: vec![
            marginal("top_score", [0.712, 0.655], -0.052),
            marginal("gap_1_k", [0.121, 0.124], 0.002),
            marginal("results", [9.93, 7.21], -2.64),
        ],
        ..traffic_stable()
    }
}

pub(crate) fn outputs_stable() -> OutputReport {
    OutputReport {
        verdict: Judgement::Stable,
        matched_queries: 412,
        queries_needed: None,
        p_value: Some(0.2),
        changed: Some(0.041),
        base_rate: Some(0.040),
        exposed_rate: Some(0.049),
        risk_difference: Some(0.009),
        interval: Some([-0.018, 0.061]),
        stratified: None,
        attributable_fraction: Some(0.18),
        because: None,
        dose_response: None,
        what_changed: Vec::new(),
        measures: vec![measure("hash", Judgement::Stable, [0.038, 0.041], 0.003, 0.61)],
        grounding: Grounding { citations: 1_204, not_retrieved: 0, cited_share: Some(0.213) },
    }
}

fn measure(name: &str, verdict: Judgement, [reference, current]: [f64; 2], half: f64, p_value: f64) -> OutputMeasure {
    let effect = current - reference;
    OutputMeasure {
        measure: name.to_owned(),
        verdict,
        queries: 412,
        reference,
        current,
        effect,
        interval: [effect - half, effect + half],
        threshold: 0.05,
        p_value,
        adjusted_p_value: p_value,
    }
}

/// Answers change where other documents are retrieved.
pub(crate) fn outputs_drift() -> OutputReport {
    let changed_by = |factors, queries, changed| ChangedBy { factors, queries, changed };
    OutputReport {
        verdict: Judgement::Drift,
        p_value: Some(0.001),
        changed: Some(0.312),
        exposed_rate: Some(0.447),
        risk_difference: Some(0.407),
        interval: Some([0.341, 0.472]),
        stratified: Some(StratifiedDifference { risk_difference: 0.396, interval: [0.329, 0.463], strata: 4 }),
        attributable_fraction: Some(0.911),
        because: Some(Because::Retrieval),
        dose_response: Some(DoseResponse {
            queries: 380,
            spearman: 0.518,
            spearman_p_value: 0.000_5,
            distance_correlation: 0.544,
            distance_correlation_p_value: 0.000_5,
        }),
        what_changed: vec![
            changed_by(Factors::Retrieval, 264, 118),
            changed_by(Factors::Model, 0, 0),
            changed_by(Factors::Prompt, 12, 5),
            changed_by(Factors::Several, 3, 1),
            changed_by(Factors::None, 133, 5),
        ],
        measures: vec![
            measure("hash", Judgement::Drift, [0.038, 0.312], 0.043, 0.000_5),
            measure("embedding", Judgement::Drift, [0.021, 0.184], 0.031, 0.000_5),
            measure("refusal", Judgement::Stable, [0.012, 0.031], 0.017, 0.031),
            measure("citations", Judgement::Drift, [0.102, 0.377], 0.038, 0.000_5),
            measure("score:faithfulness", Judgement::Drift, [0.871, 0.712], 0.052, 0.000_5),
        ],
        grounding: Grounding { citations: 1_204, not_retrieved: 17, cited_share: Some(0.213) },
        ..outputs_stable()
    }
}

pub(super) fn segment(
    pairs: &[(&str, &str)],
    verdict: Judgement,
    (traffic_share, matched_queries): (f64, usize),
    change: Option<(f64, f64)>,
    p_value: f64,
) -> SegmentReport {
    SegmentReport {
        segment: pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        verdict,
        traffic_share,
        matched_queries,
        excess_change: change.map(|(change, _)| change),
        interval: change.map(|(change, half)| [change - half, change + half]),
        p_value: change.map(|_| p_value),
        q_value: change.map(|_| (p_value * 2.5).min(1.0)),
        since: None,
    }
}

pub(crate) fn segments_stable() -> Vec<SegmentReport> {
    vec![
        segment(&[("locale", "en")], Judgement::Stable, (0.71, 451), Some((0.002, 0.004)), 0.42),
        segment(&[("locale", "de")], Judgement::Stable, (0.24, 163), Some((0.003, 0.007)), 0.27),
        segment(&[("locale", "ja")], Judgement::InsufficientEvidence, (0.05, 11), None, 1.0),
    ]
}

pub(crate) fn segments_drift() -> Vec<SegmentReport> {
    let stable = Judgement::Stable;
    let tenants = [
        ("acme", 0.101, 97),
        ("birch", 0.094, 88),
        ("cobalt", 0.081, 85),
        ("dune", 0.072, 61),
        ("elm", 0.064, 55),
        ("fjord", 0.031, 44),
        ("grove", 0.022, 38),
        ("heath", 0.021, 36),
        ("isle", 0.009, 33),
    ];
    let mut segments = vec![
        segment(&[("locale", "de")], Judgement::Drift, (0.24, 163), Some((0.502, 0.041)), 0.000_5),
        segment(&[("locale", "de"), ("tenant", "acme")], Judgement::Drift, (0.061, 42), Some((0.481, 0.078)), 0.001),
    ];
    segments.extend(tenants.map(|(tenant, share, queries)| {
        segment(&[("tenant", tenant)], stable, (share, queries), Some((0.004, 0.009)), 0.3)
    }));
    segments.push(segment(&[("locale", "ja")], Judgement::InsufficientEvidence, (0.05, 11), None, 1.0));
    segments
}

/// The tests of the verdicts and what Holm's correction makes of them, smallest first.
pub(crate) fn multiplicity(p_values: &[(&'static str, f64)], segments_tested: usize) -> MultiplicityReport {
    let mut ordered = p_values.to_vec();
    ordered.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut least: f64 = 0.0;
    let tests = ordered.iter().enumerate().map(|(place, (verdict, p_value))| {
        least = least.max((p_value * (ordered.len() - place) as f64).min(1.0));
        TestReport { verdict, p_value: *p_value, adjusted_p_value: least }
    });
    MultiplicityReport {
        method: "holm",
        alpha: 0.05,
        tests: tests.collect(),
        segment_false_discovery_rate: 0.05,
        segments_tested,
    }
}

pub(super) fn integrity() -> Vec<IntegrityReport> {
    let examples = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    vec![
        IntegrityReport {
            kind: IntegrityKind::SilentMutation,
            count: 3,
            unit: "documents",
            reference_count: 0,
            examples: examples(&["hr/badges.md#3", "hr/leave.md#1", "it/vpn.md#12"]),
            evidence: "3 documents have another content than the manifest of version v2 lists".to_owned(),
            advice: "find what wrote to the index outside of the ingestion job, and register what is there as a version",
        },
        IntegrityReport {
            kind: IntegrityKind::Hub,
            count: 1,
            unit: "documents",
            reference_count: 0,
            examples: examples(&["hr/all-hands-2026.md#1"]),
            evidence: "1 document that came in is returned for 311 of 790 queries; in the reference no document is \
                       returned for more than 42"
                .to_owned(),
            advice: "look at the document: boilerplate, a broken embedding or planted text attracts unrelated queries",
        },
        IntegrityReport {
            kind: IntegrityKind::CitationNotRetrieved,
            count: 17,
            unit: "outputs",
            reference_count: 21,
            examples: examples(&[
                "4bf92f3577b34da6a3ce929d0e0e4736",
                "a3ce929d0e0e47364bf92f3577b34da6",
                "0a1a7fe8b7ad705e16f5ae0bc1434f9b",
                "d7c60c5e70c5e892ce18bd125af8c141",
            ]),
            evidence: "17 of 1,204 citations name a document that the operation did not retrieve".to_owned(),
            advice: "treat these answers as not grounded, and check that citations are made from document ids",
        },
    ]
}

pub(super) fn query_mix() -> CauseReport {
    CauseReport {
        cause: Cause::QueryMix,
        affects: Affects::Traffic,
        share: 1.0,
        declared: false,
        declared_share: 0.0,
        since: None,
        evidence: "214 of 790 queries belong to classes that are asked more or less often than in the reference"
            .to_owned(),
    }
}

/// Everything changed at once.
pub(crate) fn everything() -> Report {
    let drift = drift();
    let mut causes = drift.causes.clone();
    causes.push(CauseReport {
        cause: Cause::Scoring,
        affects: Affects::Scores,
        share: 1.0,
        declared: true,
        declared_share: 1.0,
        since: None,
        evidence: "scores of unchanged documents moved by 0.112 in 640 queries: scale 1.131, order agreement 0.994; a \
                   change of embedder, index or retriever was declared"
            .to_owned(),
    });
    causes.push(query_mix());
    Report {
        retrieval: RetrievalReport {
            scores: ScoreReport {
                verdict: Judgement::Drift,
                shift: Some(0.112),
                scale: Some(1.131),
                effect: Some(0.847),
                interval: Some([0.801, 0.892]),
                p_value: Some(0.000_5),
                ..drift.retrieval.scores.clone()
            },
            ..drift.retrieval.clone()
        },
        traffic: traffic_drift(),
        outputs: outputs_drift(),
        exposure: ExposureReport {
            js_distance: Some(0.381),
            gini_reference: Some(0.62),
            gini_current: Some(0.71),
            first_seen_share: Some(0.142),
        },
        causes,
        integrity: integrity(),
        segments: segments_drift(),
        multiplicity: multiplicity(
            &[("retrieval", 0.000_5), ("scores", 0.000_5), ("traffic", 1.3e-12), ("outputs", 0.000_5)],
            11,
        ),
        ..drift
    }
}

/// Retrieval is stable; users ask other things, another model answers, and one segment got other context.
pub(crate) fn all_but_retrieval() -> Report {
    let stable = stable();
    let mut outputs = outputs_drift();
    outputs.because = Some(Because::Model);
    outputs.exposed_rate = None;
    outputs.risk_difference = None;
    outputs.interval = None;
    outputs.stratified = None;
    outputs.attributable_fraction = None;
    outputs.dose_response = None;
    outputs.what_changed = vec![
        ChangedBy { factors: Factors::Model, queries: 279, changed: 124 },
        ChangedBy { factors: Factors::None, queries: 133, changed: 5 },
    ];
    outputs.measures.truncate(1);
    outputs.grounding = Grounding::default();
    let mut segments = segments_drift();
    segments.truncate(3);
    segments.remove(1);
    Report {
        segment: BTreeMap::from([("route".to_owned(), "chat".to_owned())]),
        traffic: traffic_drift(),
        outputs,
        causes: vec![query_mix()],
        segments,
        multiplicity: multiplicity(
            &[("retrieval", 0.412), ("scores", 1.0), ("traffic", 1.3e-12), ("outputs", 0.000_5)],
            2,
        ),
        ..stable
    }
}

pub(crate) fn no_outputs() -> Report {
    Report {
        outputs: OutputReport { queries_needed: Some(30), ..OutputReport::default() },
        multiplicity: multiplicity(&[("retrieval", 0.412), ("scores", 1.0), ("traffic", 0.327)], 2),
        ..stable()
    }
}
