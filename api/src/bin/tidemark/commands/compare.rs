//! `tidemark compare`

use std::path::Path;
use std::process::ExitCode;

use tidemark_analyzer::report::Judgement;
use tidemark_analyzer::{Options, Report, Segment};
use tidemark_api::operations::Comparison;
use tidemark_report::{comparison, explanation, markdown, text};

use super::{Session, corpus_name, now, print, print_as_it_is, print_json, shell_word, style};
use crate::arguments::{Compare, Dimension, ReportFormat, StoreArguments};
use crate::failure::Failure;
use crate::progress;

pub(crate) async fn run(store: &StoreArguments, arguments: &Compare) -> Result<ExitCode, Failure> {
    // What was typed is looked at before the store is.
    let corpus = corpus_name(&arguments.corpus)?;
    let segment = Segment::parse(&arguments.segment)?;
    let listed = if arguments.queries.is_some() { TO_LABEL } else { Options::default().queries_listed };
    let options = Options { seed: arguments.seed, queries_listed: listed, ..Options::default() };
    let windows = [arguments.reference.as_str(), arguments.current.as_str()];
    let asked = Comparison::new(&corpus, windows, segment, options, now())?;
    let session = Session::of(store, "compare")?;
    let spinner = progress::spinner("comparing");
    let report = session.operations.compare(&session.caller, asked).await;
    spinner.finish_and_clear();
    let report = report?;
    if let Some(file) = &arguments.queries {
        write_queries(&session, &report, file).await?;
    }
    match arguments.format {
        ReportFormat::Text => {
            print_as_it_is(&text(&comparison(&report), style()))?;
            if arguments.explain {
                print_as_it_is(&format!("\n{}", text(&explanation(&report), style())))?;
            }
            // The report names commands, not stores.
            if let (Some(data), None) = (&store.data, std::env::var_os("TIDEMARK_DATA")) {
                print(&format!("To type these as they are: export TIDEMARK_DATA={}\n", shell_word(data)))?;
            }
        }
        ReportFormat::Markdown => {
            print_as_it_is(&markdown(&comparison(&report)))?;
            if arguments.explain {
                print_as_it_is(&format!("\n{}", markdown(&explanation(&report))))?;
            }
        }
        // The numbers of the explanation are those of the report.
        ReportFormat::Json => print_json(&report)?,
    }
    Ok(exit_code(&report, &arguments.fail_on))
}

/// How many queries are written to be labelled.
const TO_LABEL: usize = 30;

/// Writes the documents of the queries that changed most, one in each line: whoever fills in the last column has judgements.
async fn write_queries(session: &Session, report: &Report, file: &Path) -> Result<(), Failure> {
    let mut text = String::from("query\ttext\tdocument\trank_before\trank_now\tgrade\n");
    // A tab or a line break in a name would begin another column.
    let cell = |text: &str| text.replace(['\t', '\n', '\r'], " ");
    let rank = |rank: Option<usize>| rank.map_or_else(String::new, |rank| rank.to_string());
    for query in &report.queries {
        let (Some(before), Some(now_trace)) = (&query.reference_trace, &query.current_trace) else { continue };
        let (Ok(other), Ok(trace)) = (before.parse(), now_trace.parse()) else { continue };
        let difference = session.operations.diff(&session.caller, trace, Some(other), None).await?;
        let said = cell(difference.current.query.as_deref().unwrap_or_default());
        for document in &difference.documents {
            text.push_str(&format!(
                "{}\t{said}\t{}\t{}\t{}\t\n",
                cell(&query.fingerprint),
                cell(&document.doc_id),
                rank(document.reference_rank),
                rank(document.current_rank)
            ));
        }
    }
    std::fs::write(file, text)
        .map_err(|error| Failure::usage(format!("the queries could not be written to {}: {error}", file.display())))
}

/// 3 if any of the dimensions drifted or a contradiction was found, else 4 if the evidence for any of them is insufficient, else 0.
fn exit_code(report: &Report, dimensions: &[Dimension]) -> ExitCode {
    let verdicts: Vec<Judgement> = dimensions
        .iter()
        .map(|dimension| match dimension {
            Dimension::Retrieval => report.retrieval.verdict,
            // A retriever that gives no scores has none that could drift.
            Dimension::Scores if report.retrieval.scores.queries == 0 => Judgement::Stable,
            Dimension::Scores => report.retrieval.scores.verdict,
            Dimension::Integrity if report.integrity.is_empty() => Judgement::Stable,
            Dimension::Integrity => Judgement::Drift,
            Dimension::Traffic => report.traffic.verdict,
            Dimension::Outputs => report.outputs.verdict,
        })
        .collect();
    if verdicts.contains(&Judgement::Drift) {
        ExitCode::from(3)
    } else if verdicts.contains(&Judgement::InsufficientEvidence) {
        ExitCode::from(4)
    } else {
        ExitCode::SUCCESS
    }
}

/// A comparison of two windows that are named in the program.
pub(super) async fn between(session: &Session, corpus: &str, windows: [&str; 2]) -> Result<Report, Failure> {
    let corpus = corpus_name(corpus)?;
    let asked = Comparison::new(&corpus, windows, Segment::default(), Options::default(), now())?;
    Ok(session.operations.compare(&session.caller, asked).await?)
}
