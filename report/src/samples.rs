//! Reports for the tests of the renderers, in the shapes that comparisons produce.

mod parts;
mod pipeline;
mod rephrased;
mod trace;

use std::collections::BTreeMap;

use tidemark_schema::{ScoreKind, Timestamp};

use tidemark_analyzer::causes::Cause;
use tidemark_analyzer::report::{
    Affects, CauseReport, ClusterShare, ExposureReport, FloorBasis, IntegrityReport, Judgement, OutputMeasure,
    OutputReport, QualityReport, QueryReport, Report, RetrievalReport, ScoreReport, Since, StageName, StageReport,
    SymptomKind, SymptomReport, TrafficBasis, TrafficReport, WindowReport,
};

pub(super) use parts::{all_but_retrieval, everything, no_outputs};
use parts::{
    integrity, multiplicity, outputs_drift, outputs_stable, segment, segments_stable, traffic_drift, traffic_stable,
};
pub(super) use pipeline::pipeline;
pub(super) use rephrased::{embedder_moved, rephrased};
pub(super) use trace::trace_diff;

pub(super) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn window(selector: &str, day: &str, version: &str) -> WindowReport {
    WindowReport {
        selector: selector.to_owned(),
        from: Some(time(&format!("{day}T00:00:03Z"))),
        to: Some(time(&format!("{day}T23:59:58.250Z"))),
        events: 5_012,
        operations: 4_981,
        queries: 812,
        corpus_versions: vec![version.to_owned()],
        table_version: 41,
        outputs_table_version: 39,
        queries_kept: 1.0,
    }
}

pub(super) fn stable() -> Report {
    Report {
        id: "cmp_6f1d3a5284c74b0e".to_owned(),
        corpus: "handbook".parse().unwrap(),
        segment: BTreeMap::new(),
        created_at: time("2026-11-18T02:07:11Z"),
        reference: window("2026-11-16..2026-11-17", "2026-11-16", "v1"),
        current: WindowReport { events: 4_870, queries: 790, ..window("2026-11-17..2026-11-18", "2026-11-17", "v1") },
        verdict: Judgement::Stable,
        symptoms: Vec::new(),
        since: None,
        quality: QualityReport::default(),
        stages: vec![stage("dense", Judgement::Stable, 0.002_34)],
        retrieval: RetrievalReport {
            verdict: Judgement::Stable,
            matched_queries: 640,
            coverage: Some(0.81),
            neighbours: None,
            judged_queries: 402,
            queries_min: 30,
            queries_needed: None,
            mean_overlap: Some(0.985_2),
            mean_rbo: Some(0.987_6),
            mean_jaccard: Some(0.981),
            mean_kendall_top_k: Some(0.979),
            floor_basis: FloorBasis::Reference,
            noise_floor: Some(0.010_2),
            current_noise_floor: Some(0.011_7),
            excess_change: Some(0.002_34),
            interval: Some([-0.000_81, 0.005_5]),
            confidence: 0.95,
            threshold: 0.02,
            p_value: Some(0.412),
            test: Some("kernel_two_sample"),
            scores: ScoreReport {
                verdict: Judgement::Stable,
                queries: 640,
                shift: Some(-0.000_4),
                scale: Some(0.999),
                order_agreement: Some(0.994),
                effect: Some(0.003),
                interval: Some([0.001, 0.006]),
                threshold: 0.05,
                p_value: Some(1.0),
                kind: Some(ScoreKind::Cosine),
            },
        },
        traffic: traffic_stable(),
        outputs: outputs_stable(),
        relevance: None,
        exposure: ExposureReport {
            js_distance: Some(0.047),
            gini_reference: Some(0.62),
            gini_current: Some(0.63),
            first_seen_share: Some(0.004),
        },
        causes: Vec::new(),
        integrity: Vec::new(),
        segments: segments_stable(),
        queries: vec![query(1, 0.92)],
        multiplicity: multiplicity(&[("retrieval", 0.412), ("scores", 1.0), ("traffic", 0.327), ("outputs", 0.61)], 2),
        notes: Vec::new(),
    }
}

/// A stage that the model saw, alone in its pipeline.
pub(super) fn stage(name: &str, verdict: Judgement, excess: f64) -> StageReport {
    StageReport {
        stage: StageName { retriever: Some(name.to_owned()), kind: None, score_kind: ScoreKind::Cosine },
        position: 1,
        last: true,
        recorded_in_reference: true,
        recorded_in_current: true,
        operations: [1.0, 1.0],
        replaced_by: None,
        verdict,
        matched_queries: 640,
        excess_change: Some(excess),
        interval: Some([excess - 0.02, excess + 0.02]),
        noise_floor: Some(0.010_2),
        first_to_change: verdict == Judgement::Drift,
    }
}

fn query(n: u64, rbo: f64) -> QueryReport {
    let hex = |seed: u64| {
        let half = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{half:016x}{:016x}", half.rotate_left(29) ^ seed)
    };
    QueryReport {
        fingerprint: format!("fp:{}", hex(n)),
        excess_change: 1.0 - rbo,
        rbo,
        reference_trace: Some(hex(100 + n)),
        current_trace: Some(hex(200 + n)),
    }
}

pub(super) fn symptom(kind: SymptomKind, [reference, current]: [f64; 2], text: &str) -> SymptomReport {
    let difference = current - reference;
    SymptomReport { kind, reference, current, interval: [difference - 0.02, difference + 0.02], text: text.to_owned() }
}

/// Documents were removed with a new version, and besides the index was rebuilt without a word.
pub(super) fn drift() -> Report {
    let stable = stable();
    Report {
        reference: window("version:v1", "2026-11-16", "v1"),
        current: WindowReport { events: 4_870, queries: 790, ..window("version:v2", "2026-11-17", "v2") },
        verdict: Judgement::Drift,
        symptoms: vec![symptom(SymptomKind::DocumentsDiffer, [0.01, 0.29], "2.9 of 10 documents differ")],
        since: Some(Since {
            rise: 0.4,
            at: time("2026-11-17T09:14:00Z"),
            interval: [time("2026-11-17T09:02:00Z"), time("2026-11-17T09:17:00Z")],
            coincides_with: vec!["corpus_version v2".to_owned()],
        }),
        stages: vec![stage("dense", Judgement::Drift, 0.281_3)],
        retrieval: RetrievalReport {
            verdict: Judgement::Drift,
            mean_overlap: Some(0.708_5),
            mean_rbo: Some(0.718_3),
            mean_jaccard: Some(0.664),
            mean_kendall_top_k: Some(0.702),
            noise_floor: Some(0.010_2),
            current_noise_floor: Some(0.011_7),
            excess_change: Some(0.281_3),
            interval: Some([0.262_1, 0.300_9]),
            p_value: Some(0.000_5),
            ..stable.retrieval.clone()
        },
        multiplicity: multiplicity(
            &[("retrieval", 0.000_5), ("scores", 1.0), ("traffic", 0.327), ("outputs", 0.61)],
            2,
        ),
        causes: vec![
            CauseReport {
                cause: Cause::CorpusRemoved,
                affects: Affects::Ranking,
                share: 0.618,
                declared: true,
                declared_share: 1.0,
                since: None,
                evidence: "318 of 640 queries lost documents that version v2 removed".to_owned(),
            },
            CauseReport {
                cause: Cause::IndexRecall,
                affects: Affects::Ranking,
                share: 0.382,
                declared: false,
                declared_share: 0.0,
                since: None,
                evidence:
                    "205 of 640 queries lost or found documents that are unchanged and whose known score beats the \
                           last one returned; embedder, index and retriever are declared unchanged"
                        .to_owned(),
            },
        ],
        queries: vec![query(7, 0.031), query(2, 0.103), QueryReport { reference_trace: None, ..query(5, 0.25) }],
        notes: vec![
            "version v1 of handbook has no registered manifest, so removed and added documents cannot be told from the \
             rest: `tidemark corpus register handbook v1 MANIFEST`"
                .to_owned(),
        ],
        ..stable
    }
}

/// Every vector rebuilt from the first tokens of its text, under the same name.
pub(super) fn reembedded() -> Report {
    let drift = drift();
    Report {
        reference: window("last:7d", "2026-11-16", "v2"),
        current: window("last:1d", "2026-11-17", "v2"),
        retrieval: RetrievalReport {
            scores: ScoreReport {
                verdict: Judgement::Drift,
                queries: 633,
                shift: Some(-0.041_2),
                scale: Some(0.873),
                order_agreement: Some(0.421),
                effect: Some(1.27),
                interval: Some([1.19, 1.36]),
                threshold: 0.05,
                p_value: Some(0.000_499_75),
                kind: Some(ScoreKind::Cosine),
            },
            ..drift.retrieval.clone()
        },
        multiplicity: multiplicity(
            &[("retrieval", 0.000_5), ("scores", 0.000_499_75), ("traffic", 0.327), ("outputs", 0.61)],
            2,
        ),
        causes: vec![
            CauseReport {
                cause: Cause::Embedding,
                affects: Affects::Ranking,
                share: 0.973,
                declared: false,
                declared_share: 0.0,
                since: None,
                evidence: "in 598 of 640 queries, unchanged documents changed their scores and their order (order \
                           agreement 0.42); embedder, index and retriever are declared unchanged"
                    .to_owned(),
            },
            CauseReport {
                cause: Cause::Unexplained,
                affects: Affects::Ranking,
                share: 0.026_9,
                declared: false,
                declared_share: 0.0,
                since: None,
                evidence: "31 of 640 queries changed in ways that no rule explains; a manifest per version (`tidemark \
                           corpus register CORPUS v2 FILE`) lets removed and added documents be told from the rest"
                    .to_owned(),
            },
            CauseReport {
                cause: Cause::Nondeterminism,
                affects: Affects::Ranking,
                share: 0.000_1,
                declared: false,
                declared_share: 0.0,
                since: None,
                evidence: "1 of 640 queries show documents of equal standing in another order".to_owned(),
            },
            CauseReport {
                cause: Cause::Embedding,
                affects: Affects::Scores,
                share: 1.0,
                declared: false,
                declared_share: 0.0,
                since: None,
                evidence: "scores of unchanged documents moved by -0.041 in 633 queries: scale 0.873, order agreement \
                           0.421; nothing was declared"
                    .to_owned(),
            },
        ],
        notes: Vec::new(),
        ..drift
    }
}

pub(super) fn too_few_queries() -> Report {
    let stable = stable();
    Report {
        current: WindowReport { events: 14, queries: 13, ..stable.current.clone() },
        retrieval: RetrievalReport {
            verdict: Judgement::InsufficientEvidence,
            matched_queries: 12,
            coverage: Some(0.81),
            neighbours: None,
            judged_queries: 12,
            queries_needed: Some(30),
            floor_basis: FloorBasis::Unknown,
            noise_floor: None,
            current_noise_floor: None,
            excess_change: Some(0.094),
            interval: Some([0.012, 0.188]),
            p_value: Some(0.081),
            test: Some("bootstrap"),
            scores: ScoreReport { queries: 12, ..ScoreReport::default() },
            ..stable.retrieval.clone()
        },
        traffic: TrafficReport {
            operations: [4_998, 14],
            operations_min: 100,
            operations_needed: Some(100),
            classes: 9,
            basis: TrafficBasis::Fingerprints,
            threshold: 0.05,
            ..TrafficReport::default()
        },
        outputs: OutputReport { matched_queries: 9, queries_needed: Some(30), ..OutputReport::default() },
        relevance: None,
        exposure: ExposureReport::default(),
        segments: vec![segment(&[("locale", "en")], Judgement::InsufficientEvidence, (1.0, 12), None, 1.0)],
        multiplicity: multiplicity(&[("retrieval", 0.081)], 0),
        verdict: Judgement::InsufficientEvidence,
        notes: vec![
            "too few queries repeat within a window, so the noise floor is unknown: only a change that noise cannot make is \
             called drift; ask 30 of these queries twice to know it"
                .to_owned(),
        ],
        ..stable
    }
}

/// Every interval but that of scores lies across its threshold.
pub(super) fn undecided() -> Report {
    let stable = stable();
    Report {
        retrieval: RetrievalReport {
            verdict: Judgement::InsufficientEvidence,
            queries_needed: Some(1_830),
            excess_change: Some(0.031),
            interval: Some([0.014, 0.049]),
            p_value: Some(0.021),
            ..stable.retrieval.clone()
        },
        traffic: TrafficReport {
            verdict: Judgement::InsufficientEvidence,
            operations_needed: Some(11_200),
            js_distance: Some(0.093_1),
            excess_distance: Some(0.058_3),
            interval: Some([0.044_1, 0.072_4]),
            p_value: Some(0.004),
            ..traffic_stable()
        },
        outputs: OutputReport {
            verdict: Judgement::InsufficientEvidence,
            queries_needed: Some(1_130),
            measures: vec![OutputMeasure {
                current: 0.097,
                effect: 0.059,
                interval: [0.041, 0.077],
                verdict: Judgement::InsufficientEvidence,
                p_value: 0.003,
                ..outputs_stable().measures[0].clone()
            }],
            ..outputs_stable()
        },
        multiplicity: multiplicity(&[("retrieval", 0.021), ("scores", 1.0), ("traffic", 0.004), ("outputs", 0.003)], 2),
        ..stable
    }
}

pub(super) fn id_churn() -> Report {
    Report {
        causes: vec![CauseReport {
            cause: Cause::IdChurn,
            affects: Affects::Identity,
            share: 1.0,
            declared: false,
            declared_share: 0.0,
            since: None,
            evidence:
                "412 of 790 queries return documents under new ids with unchanged content; rankings are compared by \
                       content"
                    .to_owned(),
        }],
        ..stable()
    }
}

/// What a sender could put into every name, as far as types let it and farther.
pub(super) const HOSTILE: &str = "\u{1b}[31m\u{202e}a|b`c\n</td><script>@all #1 $(reboot)";

pub(super) fn hostile() -> Report {
    let drift = drift();
    let corpus = "team|`x`<b>@all $(reboot)\u{202e}";
    let window = |window: &WindowReport| WindowReport {
        selector: format!("version:{HOSTILE}"),
        corpus_versions: vec![HOSTILE.to_owned(), "| --- |".to_owned()],
        ..window.clone()
    };
    Report {
        id: HOSTILE.to_owned(),
        segment: BTreeMap::from([(HOSTILE.to_owned(), HOSTILE.to_owned())]),
        traffic: TrafficReport {
            shifted: vec![ClusterShare {
                example: Some(HOSTILE.repeat(4)),
                reference_share: 0.1,
                current_share: 0.000_2,
            }],
            ..traffic_drift()
        },
        outputs: OutputReport {
            measures: vec![OutputMeasure {
                measure: format!("score:{}", HOSTILE.repeat(4)),
                ..outputs_drift().measures[0].clone()
            }],
            ..outputs_drift()
        },
        integrity: vec![IntegrityReport {
            examples: vec![HOSTILE.to_owned(), HOSTILE.repeat(3), "`|`".to_owned()],
            evidence: format!("version {HOSTILE} has another content"),
            ..integrity()[0].clone()
        }],
        segments: vec![
            segment(&[(HOSTILE, HOSTILE), ("a|b", "`c`")], Judgement::Drift, (0.3, 40), Some((0.4, 0.1)), 0.001),
            segment(&[("it's", "$(reboot)")], Judgement::Drift, (0.3, 40), Some((0.4, 0.1)), 0.001),
        ],
        corpus: corpus.parse().unwrap(),
        reference: window(&drift.reference),
        current: WindowReport { corpus_versions: vec!["v 2; ls".to_owned()], ..window(&drift.current) },
        causes: vec![CauseReport {
            evidence: format!("118 of 640 queries lost documents that version {HOSTILE} removed"),
            share: 1.0,
            ..drift.causes[0].clone()
        }],
        multiplicity: multiplicity(
            &[("retrieval", 0.000_5), ("scores", 1.0), ("traffic", 1.3e-12), ("outputs", 0.000_5)],
            2,
        ),
        queries: vec![
            QueryReport {
                excess_change: 0.4,
                fingerprint: HOSTILE.to_owned(),
                rbo: 0.1,
                reference_trace: Some(HOSTILE.repeat(5)),
                current_trace: Some("-rf".to_owned()),
            },
            QueryReport {
                excess_change: 0.4,
                fingerprint: "手册手册手册手册手册手册手册".to_owned(),
                rbo: 0.2,
                reference_trace: Some("it's 1".to_owned()),
                current_trace: Some("`two`|2".to_owned()),
            },
        ],
        notes: vec![
            format!(
                "version v 2; ls of {corpus} has no registered manifest, so removed and added documents cannot be told \
                 from the rest: `tidemark corpus register {corpus} v 2; ls MANIFEST`"
            ),
            HOSTILE.to_owned(),
        ],
        ..drift
    }
}
