//! Two retrievals side by side, for a terminal.

use crate::causes::Cause;
use crate::trace::{DocumentChange, DocumentDiff, RetrievalSummary, SimilarQuery, TraceDiff};

use super::Style;
use super::number::{UNKNOWN, decimals_for, fixed, number};
use super::page::{Page, Role, Span};
use super::table::{Column, Table};
use super::text::write_notes;

/// One trace against another as text of at most 100 columns, their overlap in the first line.
pub fn trace_text(diff: &TraceDiff, style: Style) -> String {
    let mut page = Page::new(style);
    // Not only the overlap: documents of equal score that changed places leave it at 1.
    let same = diff.documents.iter().all(|document| document.change == DocumentChange::Same);
    let (role, says) = if same {
        (Role::Good, "the same documents in the same order".to_owned())
    } else {
        (Role::Bad, tally(&diff.documents))
    };
    page.paragraph(0, &Span::new(role, &format!("RBO {} (1 = same): {says}", number(diff.rbo))));
    write_retrievals(&mut page, &diff.reference, &diff.current);
    write_documents(&mut page, &diff.documents);
    write_similar(&mut page, &diff.similar);
    write_notes(&mut page, &diff.notes);
    page.finish()
}

/// One thing that a retrieval declares.
type Part = fn(&RetrievalSummary) -> Option<String>;

fn write_retrievals(page: &mut Page, before: &RetrievalSummary, now: &RetrievalSummary) {
    page.heading("Retrievals");
    let mut table = Table::new(&[Column::Left, Column::Left, Column::Left, Column::Left]);
    table.headings(&["", "before", "", "now"]);
    let rows: [(&str, Part); 8] = [
        ("trace", |retrieval| retrieval.trace_id.clone()),
        ("time", |retrieval| Some(retrieval.occurred_at.to_string())),
        ("corpus", |retrieval| Some(retrieval.corpus.clone())),
        ("corpus version", |retrieval| retrieval.corpus_version.clone()),
        ("embedder", |retrieval| retrieval.embedder.clone()),
        ("index", |retrieval| retrieval.index.clone()),
        ("query", |retrieval| Some(retrieval.fingerprint.clone())),
        ("query text", |retrieval| retrieval.query.clone()),
    ];
    for (name, of) in rows {
        let values = (of(before), of(now));
        if name == "query text" && values == (None, None) {
            continue;
        }
        // Two retrievals always differ in these.
        let may_differ = matches!(name, "trace" | "time") || values.0 == values.1;
        let differs = if may_differ { Span::plain("") } else { Span::new(Role::Unsure, "≠") };
        let shown = |value: &Option<String>| Span::plain(value.as_deref().unwrap_or(UNKNOWN));
        table.row([Span::plain(name), shown(&values.0), differs, shown(&values.1)]);
    }
    table.write(page);
}

fn write_documents(page: &mut Page, documents: &[DocumentDiff]) {
    page.heading("Documents");
    if documents.is_empty() {
        page.line(&[(2, Span::plain("none in either"))]);
        return;
    }
    let scores: Vec<_> = documents.iter().map(|document| (document.reference_score, document.current_score)).collect();
    let decimals = decimals_for(&scores);
    let score = |score: Option<f64>| score.map_or_else(|| UNKNOWN.to_owned(), |score| fixed(score, decimals));
    let digits = |rank: Option<usize>| rank.map_or_else(|| UNKNOWN.to_owned(), |rank| rank.to_string());
    let ranks = || documents.iter().flat_map(|document| [document.reference_rank, document.current_rank]);
    let rank_columns = ranks().map(|rank| digits(rank).len()).max().unwrap_or(1);

    let mut table = Table::new(&[Column::Left, Column::Left, Column::Right, Column::Right, Column::Left]);
    table.headings(&["rank", "document", "score before", "score now", "cause"]);
    for document in documents {
        let (mark, role) = mark(document);
        let (before, now) = (digits(document.reference_rank), digits(document.current_rank));
        table.row([
            Span::new(role, &format!("{mark} {before:>rank_columns$} → {now:>rank_columns$}")),
            Span::plain(&document.doc_id),
            Span::plain(&score(document.reference_score)),
            Span::plain(&score(document.current_score)),
            Span::plain(document.cause.map_or("", Cause::as_str)),
        ]);
    }
    table.write(page);
    page.line(&[(2, Span::new(Role::Quiet, "↑ moved up, ↓ moved down, + entered, − left"))]);
}

/// What a query that was never asked before is compared with, and what else was near.
fn write_similar(page: &mut Page, similar: &[SimilarQuery]) {
    if similar.is_empty() {
        return;
    }
    page.heading("Nearest queries that were asked before (bits: of 64, in which the hashes differ)");
    let mut table = Table::new(&[Column::Right, Column::Elided, Column::Left, Column::Left]);
    table.headings(&["bits", "query", "trace", "time"]);
    for query in similar {
        table.row([
            Span::plain(&query.differing_bits.to_string()),
            Span::plain(query.query.as_deref().unwrap_or(&query.fingerprint)),
            Span::plain(query.trace_id.as_deref().unwrap_or(UNKNOWN)),
            Span::plain(&query.occurred_at.to_string()),
        ]);
    }
    table.write(page);
}

/// How many documents did what.
fn tally(documents: &[DocumentDiff]) -> String {
    let of = |change| documents.iter().filter(|document| document.change == change).count();
    let kinds = [
        (DocumentChange::Entered, "entered"),
        (DocumentChange::Left, "left"),
        (DocumentChange::Moved, "moved"),
        (DocumentChange::Same, "stayed"),
    ];
    let parts = kinds.map(|(change, name)| (of(change), name));
    let said = parts.into_iter().filter(|(n, _)| *n > 0).map(|(n, name)| format!("{n} {name}"));
    said.collect::<Vec<_>>().join(", ")
}

fn mark(document: &DocumentDiff) -> (char, Role) {
    match document.change {
        DocumentChange::Entered => ('+', Role::Good),
        DocumentChange::Left => ('−', Role::Bad),
        DocumentChange::Moved if document.current_rank < document.reference_rank => ('↑', Role::Unsure),
        DocumentChange::Moved => ('↓', Role::Unsure),
        DocumentChange::Same => (' ', Role::Plain),
    }
}
