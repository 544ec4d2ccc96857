use super::escape::width;
use super::samples::{HOSTILE, drift, hostile, id_churn, reembedded, stable, too_few_queries, trace_diff, undecided};
use super::{Style, markdown, text, trace_text};
use crate::report::{Judgement, Report, RetrievalReport, ScoreReport};
use crate::trace::{DocumentDiff, TraceDiff};

fn all() -> [Report; 7] {
    [drift(), stable(), too_few_queries(), undecided(), reembedded(), id_churn(), hostile()]
}

/// A terminal's view: without the colours that are ours.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |shown, part| shown + part.split_once('m').unwrap().1)
}

#[test]
fn drift_with_a_declared_and_a_silent_cause() {
    insta::assert_snapshot!("drift", text(&drift(), Style::Plain));
    insta::assert_snapshot!("drift_markdown", markdown(&drift()));
}

#[test]
fn a_stable_report_is_short() {
    let shown = text(&stable(), Style::Plain);
    assert!(shown.lines().count() < 25, "{shown}");
    insta::assert_snapshot!("stable", shown);
    insta::assert_snapshot!("stable_markdown", markdown(&stable()));
}

#[test]
fn too_few_queries_say_how_many_would_be_enough() {
    insta::assert_snapshot!("too_few_queries", text(&too_few_queries(), Style::Plain));
    insta::assert_snapshot!("too_few_queries_markdown", markdown(&too_few_queries()));
    insta::assert_snapshot!("undecided", text(&undecided(), Style::Plain));
}

#[test]
fn silent_reembedding_with_score_drift() {
    insta::assert_snapshot!("reembedded", text(&reembedded(), Style::Plain));
    insta::assert_snapshot!("reembedded_markdown", markdown(&reembedded()));
}

#[test]
fn new_ids_for_the_same_documents() {
    insta::assert_snapshot!("id_churn", text(&id_churn(), Style::Plain));
    insta::assert_snapshot!("id_churn_markdown", markdown(&id_churn()));
}

#[test]
fn hostile_names_are_spelt_out() {
    insta::assert_snapshot!("hostile", text(&hostile(), Style::Plain));
    insta::assert_snapshot!("hostile_markdown", markdown(&hostile()));
}

#[test]
fn two_retrievals_side_by_side() {
    insta::assert_snapshot!("trace_diff", trace_text(&trace_diff(), Style::Plain));
}

#[test]
fn nothing_but_our_own_colours_reaches_a_terminal() {
    let diff = hostile_diff();
    let mut pages: Vec<[String; 2]> =
        all().iter().map(|report| [Style::Plain, Style::Coloured].map(|style| text(report, style))).collect();
    pages.push([Style::Plain, Style::Coloured].map(|style| trace_text(&diff, style)));
    for [plain, coloured] in pages {
        let harmful = |c: char| c != '\n' && (c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c));
        assert!(!plain.contains(harmful), "{plain}");
        assert_ne!(coloured, plain);
        assert_eq!(without_colours(&coloured), plain);
    }
    for report in all() {
        assert!(!markdown(&report).contains(|c: char| c != '\n' && (c.is_control() || c == '\u{202e}')));
    }
}

fn hostile_diff() -> TraceDiff {
    let mut diff = trace_diff();
    diff.reference.trace_id = Some(HOSTILE.repeat(9));
    diff.reference.query = Some(HOSTILE.repeat(90));
    diff.current.corpus = HOSTILE.to_owned();
    diff.current.embedder = Some(HOSTILE.to_owned());
    diff.documents = vec![DocumentDiff { doc_id: HOSTILE.repeat(20), ..diff.documents[0].clone() }];
    diff.notes = vec![HOSTILE.repeat(4)];
    diff
}

#[test]
fn no_line_is_wider_than_a_hundred_columns_and_none_ends_in_spaces() {
    let pages = all().map(|report| text(&report, Style::Plain));
    let traces = [trace_diff(), hostile_diff()].map(|diff| trace_text(&diff, Style::Plain));
    for line in pages.iter().chain(&traces).flat_map(|page| page.lines()) {
        assert!(width(line) <= 100, "{} columns: {line}", width(line));
        assert_eq!(line.trim_end(), line);
    }
}

#[test]
fn every_row_of_a_markdown_table_has_as_many_cells_as_its_heading() {
    for report in all() {
        let shown = markdown(&report);
        let mut cells_before = None;
        for line in shown.lines() {
            let cells = line.starts_with('|').then(|| line.replace(r"\|", "").matches('|').count());
            if let (Some(before), Some(now)) = (cells_before, cells) {
                assert_eq!(now, before, "{line}");
            }
            cells_before = cells;
        }
    }
}

#[test]
fn a_verdict_is_in_words_in_the_first_line() {
    use Judgement::{Drift, InsufficientEvidence, Stable};

    let verdicts = |retrieval, scores| Report {
        retrieval: RetrievalReport {
            verdict: retrieval,
            scores: ScoreReport { verdict: scores, ..stable().retrieval.scores },
            ..stable().retrieval
        },
        ..stable()
    };
    for (retrieval, scores, first) in [
        (Drift, Stable, "DRIFT: the same queries get different context"),
        (Drift, Drift, "DRIFT: the same queries get different context and different scores"),
        (Stable, Drift, "DRIFT: the same queries get the same context with different scores"),
        (Stable, Stable, "STABLE: the same queries get the same context"),
        (Stable, InsufficientEvidence, "STABLE: the same queries get the same context; scores were not judged"),
        (InsufficientEvidence, Stable, "INSUFFICIENT EVIDENCE: 640 queries were asked in both windows"),
        (
            InsufficientEvidence,
            Drift,
            "DRIFT: the same documents get different scores; too little was seen to judge the context",
        ),
    ] {
        let report = verdicts(retrieval, scores);
        assert_eq!(text(&report, Style::Plain).lines().next(), Some(first));
        assert_eq!(markdown(&report).lines().next(), Some(format!("## {first}").as_str()));
    }
}

#[test]
fn what_is_unknown_is_a_dash() {
    let nothing = Report {
        retrieval: RetrievalReport {
            verdict: Judgement::InsufficientEvidence,
            matched_queries: 0,
            queries_needed: Some(30),
            mean_rbo: None,
            mean_jaccard: None,
            mean_kendall_top_k: None,
            noise_floor: None,
            current_noise_floor: None,
            excess_change: None,
            interval: None,
            p_value: None,
            test: None,
            scores: ScoreReport::default(),
            ..stable().retrieval
        },
        queries: Vec::new(),
        ..stable()
    };
    insta::assert_snapshot!("unknown", text(&nothing, Style::Plain));
    let shown = format!("{}{}", text(&nothing, Style::Plain), markdown(&nothing));
    assert!(!shown.contains("Some(") && !shown.contains("None"), "{shown}");
}
