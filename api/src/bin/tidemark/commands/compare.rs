//! `tidemark compare`

use std::path::Path;
use std::process::ExitCode;

use tidemark_analyzer::report::Judgement;
use tidemark_analyzer::{Options, Report, Segment, Selector, TraceQuery, compare, diff_trace, render};
use tidemark_api::wire::Store;
use tidemark_schema::Timestamp;

use super::{corpus_name, now, open, print, print_json, shell_word, style};
use crate::arguments::{Compare, Dimension, Place, ReportFormat};
use crate::failure::Failure;
use crate::progress;

pub(crate) async fn run(place: &Place, arguments: &Compare) -> Result<ExitCode, Failure> {
    // What was typed is looked at before the store is.
    let corpus = corpus_name(&arguments.corpus)?;
    let reference: Selector = arguments.reference.parse()?;
    let current: Selector = arguments.current.parse()?;
    let segment = Segment::parse(&arguments.segment)?;
    let now = now();
    let texts = (arguments.reference.as_str(), arguments.current.as_str());
    let (reference, current) = Selector::resolve_pair((&reference, &current), texts, &corpus, now)?;
    let store = open(place).await?;
    let listed = if arguments.queries.is_some() { TO_LABEL } else { Options::default().queries_listed };
    let options = Options { seed: arguments.seed, queries_listed: listed, ..Options::default() };
    let spinner = progress::spinner("comparing");
    let report = compare(&store.lake, &store.registry, (&reference, &current), &segment, &options, now).await;
    spinner.finish_and_clear();
    let report = report?;
    if let Some(file) = &arguments.queries {
        write_queries(&store, &report, file, now).await?;
    }
    match arguments.format {
        ReportFormat::Text => {
            print(&render::text(&report, style()))?;
            if arguments.explain {
                print(&format!("\n{}", render::explain(&report, style())))?;
            }
            // The report names commands, not stores.
            if let (Some(data), None) = (&place.data, std::env::var_os("TIDEMARK_DATA")) {
                print(&format!("To type these as they are: export TIDEMARK_DATA={}\n", shell_word(data)))?;
            }
        }
        ReportFormat::Markdown => {
            print(&render::markdown(&report))?;
            if arguments.explain {
                print(&format!("\n```text\n{}```\n", render::explain(&report, render::Style::Plain)))?;
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
async fn write_queries(store: &Store, report: &Report, file: &Path, now: Timestamp) -> Result<(), Failure> {
    let mut text = String::from("query\ttext\tdocument\trank_before\trank_now\tgrade\n");
    // A tab or a line break in a name would begin another column.
    let cell = |text: &str| text.replace(['\t', '\n', '\r'], " ");
    let rank = |rank: Option<usize>| rank.map_or_else(String::new, |rank| rank.to_string());
    for query in &report.queries {
        let (Some(before), Some(now_trace)) = (&query.reference_trace, &query.current_trace) else { continue };
        let (Ok(other), Ok(trace)) = (before.parse(), now_trace.parse()) else { continue };
        let asked = TraceQuery { trace, other: Some(other), reference: None, now };
        let difference = diff_trace(&store.lake, &store.registry, &asked).await?;
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
pub(crate) async fn between(store: &Store, corpus: &str, windows: [&str; 2]) -> Result<Report, Failure> {
    let corpus = corpus_name(corpus)?;
    let now = now();
    let [reference, current] = windows;
    let reference = reference.parse::<Selector>()?.resolve(reference, &corpus, now);
    let current = current.parse::<Selector>()?.resolve(current, &corpus, now);
    Ok(compare(&store.lake, &store.registry, (&reference, &current), &Segment::default(), &Options::default(), now)
        .await?)
}
