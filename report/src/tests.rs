use super::escape::width;
use super::samples::{
    HOSTILE, all_but_retrieval, drift, embedder_moved, everything, hostile, id_churn, no_outputs, pipeline, reembedded,
    rephrased, stable, too_few_queries, trace_diff, undecided,
};
use super::{Document, Style, comparison, explanation, markdown, text, trace};

use tidemark_analyzer::report::{IntegrityReport, Judgement, MultiplicityReport, Report, RetrievalReport, ScoreReport};
use tidemark_analyzer::trace::{DocumentDiff, SimilarQuery, TraceDiff};

/// As a terminal without colours shows it.
fn plain(document: &Document) -> String {
    text(document, Style::Plain)
}

fn all() -> Vec<Report> {
    vec![
        drift(),
        stable(),
        too_few_queries(),
        undecided(),
        reembedded(),
        id_churn(),
        hostile(),
        everything(),
        all_but_retrieval(),
        no_outputs(),
        pipeline(),
        rephrased(),
        embedder_moved(),
    ]
}

/// A terminal's view: without the colours that are ours.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |shown, part| shown + part.split_once('m').unwrap().1)
}

#[test]
fn drift_with_a_declared_and_a_silent_cause() {
    insta::assert_snapshot!("drift", plain(&comparison(&drift())));
    insta::assert_snapshot!("drift_markdown", markdown(&comparison(&drift())));
}

#[test]
fn a_stable_report_is_short() {
    let shown = plain(&comparison(&stable()));
    assert!(shown.lines().count() < 25, "{shown}");
    insta::assert_snapshot!("stable", shown);
    insta::assert_snapshot!("stable_markdown", markdown(&comparison(&stable())));
}

#[test]
fn too_few_queries_say_how_many_would_be_enough() {
    insta::assert_snapshot!("too_few_queries", plain(&comparison(&too_few_queries())));
    insta::assert_snapshot!("too_few_queries_markdown", markdown(&comparison(&too_few_queries())));
    insta::assert_snapshot!("undecided", plain(&comparison(&undecided())));
}

#[test]
fn silent_reembedding_with_score_drift() {
    insta::assert_snapshot!("reembedded", plain(&comparison(&reembedded())));
    insta::assert_snapshot!("reembedded_markdown", markdown(&comparison(&reembedded())));
}

#[test]
fn the_stage_that_changed_first_and_what_follows_it_stand_first() {
    insta::assert_snapshot!("pipeline", plain(&comparison(&pipeline())));
    insta::assert_snapshot!("pipeline_markdown", markdown(&comparison(&pipeline())));
}

#[test]
fn where_nothing_is_asked_twice_the_first_lines_say_what_the_verdict_rests_on() {
    insta::assert_snapshot!("rephrased", plain(&comparison(&rephrased())));
    insta::assert_snapshot!("rephrased_explained", plain(&explanation(&rephrased())));
    insta::assert_snapshot!("embedder_moved_markdown", markdown(&comparison(&embedder_moved())));
    let first: String = plain(&comparison(&rephrased())).lines().take(12).collect();
    assert!(first.contains("176 groups of similar queries (88.4 %"), "{first}");
}

/// What changed, how much, since when, why, declared or not, and what to do.
#[test]
fn twelve_lines_suffice() {
    for report in [drift(), reembedded()] {
        let shown = plain(&comparison(&report));
        let first: String = shown.lines().take(12).collect::<Vec<_>>().join("\n");
        for answer in ["noticed", "how much", "since", "why", "next"] {
            assert!(first.contains(answer), "{answer} is missing in\n{first}");
        }
    }
}

#[test]
fn everything_changed_at_once() {
    insta::assert_snapshot!("everything", plain(&comparison(&everything())));
    insta::assert_snapshot!("everything_markdown", markdown(&comparison(&everything())));
}

#[test]
fn retrieval_is_stable_and_all_else_is_not() {
    insta::assert_snapshot!("all_but_retrieval", plain(&comparison(&all_but_retrieval())));
    insta::assert_snapshot!("all_but_retrieval_markdown", markdown(&comparison(&all_but_retrieval())));
}

#[test]
fn without_outputs_one_sentence_says_so() {
    insta::assert_snapshot!("no_outputs", plain(&comparison(&no_outputs())));
    let said = "\n\nOutputs were not judged: no query has an output in both windows.\n";
    assert!(markdown(&comparison(&no_outputs())).contains(said));
}

#[test]
fn every_step_to_a_verdict_is_explained() {
    insta::assert_snapshot!("everything_explained", plain(&explanation(&everything())));
    insta::assert_snapshot!("everything_explained_markdown", markdown(&explanation(&everything())));
    insta::assert_snapshot!("stable_explained", plain(&explanation(&stable())));
    insta::assert_snapshot!("undecided_explained", plain(&explanation(&undecided())));
    insta::assert_snapshot!("too_few_queries_explained", plain(&explanation(&too_few_queries())));
    insta::assert_snapshot!("hostile_explained", plain(&explanation(&hostile())));
}

#[test]
fn a_verdict_that_its_numbers_do_not_bear_is_told() {
    let denied = "NOT FOLLOW";
    for report in all() {
        let shown = plain(&explanation(&report));
        assert!(!shown.contains(denied) && !shown.contains("NOT ADD UP"), "{shown}");
    }
    let (stable, drift) = (stable(), drift());
    let as_drift = RetrievalReport { verdict: Judgement::Drift, ..stable.retrieval.clone() };
    let as_stable = RetrievalReport { verdict: Judgement::Stable, ..drift.retrieval.clone() };
    let too_few = RetrievalReport { matched_queries: 29, ..stable.retrieval.clone() };
    let untested = MultiplicityReport::default();
    let mut segments = everything();
    segments.segments[3].verdict = Judgement::Drift;
    for report in [
        Report { retrieval: as_drift, ..stable.clone() },
        Report { retrieval: as_stable, ..drift.clone() },
        Report { retrieval: too_few, ..stable },
        Report { multiplicity: untested, ..drift.clone() },
        segments,
    ] {
        let shown = plain(&explanation(&report));
        assert_eq!(shown.matches(denied).count(), 1, "{shown}");
    }
    let mut shares = drift;
    shares.causes[0].share = 0.5;
    assert!(plain(&explanation(&shares)).contains("DOES NOT ADD UP"));
}

#[test]
fn the_first_line_is_not_green_if_anything_needs_a_look() {
    let first = |report: &Report| text(&comparison(report), Style::Coloured).lines().next().unwrap().to_owned();
    let (red, yellow, green) = ("\u{1b}[31m", "\u{1b}[33m", "\u{1b}[32m");
    let old = IntegrityReport { count: 2, reference_count: 2, ..everything().integrity[0].clone() };
    let new = IntegrityReport { count: 3, ..old.clone() };
    for (report, colour) in [
        (stable(), green),
        (all_but_retrieval(), yellow),
        (Report { integrity: vec![old], ..stable() }, yellow),
        (Report { integrity: vec![new], ..stable() }, red),
        (Report { segments: everything().segments, ..stable() }, yellow),
        (drift(), red),
    ] {
        assert!(first(&report).contains(colour), "{}", first(&report));
    }
}

#[test]
fn a_segment_is_compared_with_words_that_a_shell_leaves_alone() {
    let mut report = hostile();
    let readable = stable();
    report.reference = readable.reference;
    report.current.selector = "baseline:it's fine".to_owned();
    report.corpus = readable.corpus;
    report.segment.clear();
    let shown = plain(&comparison(&report));
    // The first segment holds what cannot be typed; the second only has to be quoted.
    let command = r"
      tidemark compare --corpus handbook --reference 2026-11-16..2026-11-17 \
        --current 'baseline:it'\''s fine' --segment 'it'\''s=$(reboot)'
";
    assert!(shown.contains(command), "{shown}");
}

#[test]
fn new_ids_for_the_same_documents() {
    insta::assert_snapshot!("id_churn", plain(&comparison(&id_churn())));
    insta::assert_snapshot!("id_churn_markdown", markdown(&comparison(&id_churn())));
}

#[test]
fn hostile_names_are_spelt_out() {
    insta::assert_snapshot!("hostile", plain(&comparison(&hostile())));
    insta::assert_snapshot!("hostile_markdown", markdown(&comparison(&hostile())));
}

#[test]
fn two_retrievals_side_by_side() {
    insta::assert_snapshot!("trace_diff", plain(&trace(&trace_diff())));
    insta::assert_snapshot!("trace_diff_markdown", markdown(&trace(&trace_diff())));
}

/// Every document of the samples.
fn documents() -> Vec<Document> {
    let of_reports = all().iter().flat_map(|report| [comparison(report), explanation(report)]).collect::<Vec<_>>();
    of_reports.into_iter().chain([trace_diff(), hostile_diff()].iter().map(trace)).collect()
}

#[test]
fn nothing_but_our_own_colours_reaches_a_terminal() {
    for document in documents() {
        let (plain, coloured) = (text(&document, Style::Plain), text(&document, Style::Coloured));
        let harmful = |c: char| c != '\n' && (c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c));
        assert!(!plain.contains(harmful), "{plain}");
        assert_ne!(coloured, plain);
        assert_eq!(without_colours(&coloured), plain);
        assert!(!markdown(&document).contains(harmful));
    }
}

fn hostile_diff() -> TraceDiff {
    let mut diff = trace_diff();
    diff.reference.trace_id = Some(HOSTILE.repeat(9));
    diff.reference.query = Some(HOSTILE.repeat(90));
    diff.current.corpus = HOSTILE.to_owned();
    diff.current.embedder = Some(HOSTILE.to_owned());
    diff.documents = vec![DocumentDiff { doc_id: HOSTILE.repeat(20), ..diff.documents[0].clone() }];
    diff.similar = vec![SimilarQuery {
        fingerprint: HOSTILE.repeat(3),
        query: Some(HOSTILE.repeat(30)),
        differing_bits: 64,
        trace_id: Some(HOSTILE.repeat(9)),
        occurred_at: diff.current.occurred_at,
    }];
    diff.notes = vec![HOSTILE.repeat(4)];
    diff
}

#[test]
fn no_line_is_wider_than_a_hundred_columns_and_none_ends_in_spaces() {
    let pages: Vec<String> = documents().iter().map(plain).collect();
    for line in pages.iter().flat_map(|page| page.lines()) {
        assert!(width(line) <= 100, "{} columns: {line}", width(line));
        assert_eq!(line.trim_end(), line);
    }
}

#[test]
fn every_row_of_a_markdown_table_has_as_many_cells_as_its_heading() {
    for document in documents() {
        let shown = markdown(&document);
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
        (
            InsufficientEvidence,
            Stable,
            "INSUFFICIENT EVIDENCE: 640 queries were asked in both windows, and some of them were asked once, so that a change \
             cannot be told from noise",
        ),
        (
            InsufficientEvidence,
            Drift,
            "DRIFT: the same documents get different scores; too little was seen to judge the context",
        ),
    ] {
        let report = verdicts(retrieval, scores);
        let shown = plain(&comparison(&report));
        let beginning = shown.split("\ncorpus").next().map(|beginning| beginning.replace('\n', " "));
        assert_eq!(beginning.as_deref(), Some(first));
        assert_eq!(markdown(&comparison(&report)).lines().next(), Some(format!("## {first}").as_str()));
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
    insta::assert_snapshot!("unknown", plain(&comparison(&nothing)));
    let shown = format!("{}{}", plain(&comparison(&nothing)), markdown(&comparison(&nothing)));
    assert!(!shown.contains("Some(") && !shown.contains("None"), "{shown}");
}
