//! Two retrievals side by side.

use tidemark_analyzer::TraceDiff;
use tidemark_analyzer::trace::{DocumentChange, DocumentDiff, RetrievalSummary, SimilarQuery};

use crate::document::{Block, Document, Layout, Section, Table, Text, Tone, name, own};
use crate::number::{UNKNOWN, decimals_for, fixed, number};
use crate::wording::{known_name, notes};

/// One trace against another as a document, their overlap in its title.
pub fn trace(diff: &TraceDiff) -> Document {
    // Not only the overlap: documents of equal score that changed places leave it at 1.
    let same = diff.documents.iter().all(|document| document.change == DocumentChange::Same);
    let (tone, says) = if same {
        (Tone::Good, "the same documents in the same order".to_owned())
    } else {
        (Tone::Bad, tally(&diff.documents))
    };
    let mut sections = vec![retrievals(&diff.reference, &diff.current), documents(&diff.documents)];
    sections.extend(similar(&diff.similar));
    sections.extend(notes(&diff.notes));
    let title = own(format!("RBO {} (1 = same): {says}", number(diff.rbo))).toned(tone);
    Document { title, subtitle: None, sections }
}

/// One thing that a retrieval declares.
type Part = fn(&RetrievalSummary) -> Option<Text>;

fn retrievals(before: &RetrievalSummary, now: &RetrievalSummary) -> Section {
    let parts: [(&str, Part); 8] = [
        ("trace", |retrieval| retrieval.trace_id.as_ref().map(name)),
        ("time", |retrieval| Some(own(retrieval.occurred_at.to_string()))),
        ("corpus", |retrieval| Some(name(&retrieval.corpus))),
        ("corpus version", |retrieval| retrieval.corpus_version.as_ref().map(name)),
        ("embedder", |retrieval| retrieval.embedder.as_ref().map(name)),
        ("index", |retrieval| retrieval.index.as_ref().map(name)),
        ("query", |retrieval| Some(name(&retrieval.fingerprint))),
        ("query text", |retrieval| retrieval.query.as_ref().map(name)),
    ];
    let rows = parts.into_iter().map(|(part, of)| (part, of(before), of(now)));
    let rows = rows.filter(|(part, before, now)| *part != "query text" || before.is_some() || now.is_some());
    let rows = rows.map(|(part, before, now)| {
        // Two retrievals always differ in these.
        let may_differ = matches!(part, "trace" | "time") || before == now;
        let differs = own(if may_differ { "" } else { "≠" }).toned(Tone::Unsure);
        let shown = |value: Option<Text>| value.unwrap_or_else(|| own(UNKNOWN));
        [own(part), shown(before), differs, shown(now)]
    });
    let columns = [("", Layout::Left), ("before", Layout::Left), ("", Layout::Left), ("now", Layout::Left)];
    Section::headed("Retrievals", vec![Block::Table(Table::new(columns, rows))])
}

fn documents(documents: &[DocumentDiff]) -> Section {
    if documents.is_empty() {
        return Section::headed("Documents", vec![Block::Paragraph(own("none in either"))]);
    }
    let scores: Vec<_> = documents.iter().map(|document| (document.reference_score, document.current_score)).collect();
    let decimals = decimals_for(&scores);
    let score = |score: Option<f64>| own(score.map_or_else(|| UNKNOWN.to_owned(), |score| fixed(score, decimals)));
    let digits = |rank: Option<usize>| rank.map_or_else(|| UNKNOWN.to_owned(), |rank| rank.to_string());
    let ranks = documents.iter().flat_map(|document| [document.reference_rank, document.current_rank]);
    let width = ranks.map(|rank| digits(rank).len()).max().unwrap_or(1);
    let columns = [
        ("rank", Layout::Left),
        ("document", Layout::Left),
        ("score before", Layout::Right),
        ("score now", Layout::Right),
        ("cause", Layout::Left),
    ];
    let rows = documents.iter().map(|document| {
        let (mark, tone) = mark(document);
        let (before, now) = (digits(document.reference_rank), digits(document.current_rank));
        [
            own(format!("{mark} {before:>width$} → {now:>width$}")).toned(tone),
            name(&document.doc_id),
            score(document.reference_score),
            score(document.current_score),
            document.cause.map_or_else(|| own(""), |cause| name(cause.as_str())),
        ]
    });
    let legend = own("↑ moved up, ↓ moved down, + entered, − left").toned(Tone::Quiet);
    Section::headed("Documents", vec![Block::Table(Table::new(columns, rows)), Block::Paragraph(legend)])
}

/// What a query that was never asked before is compared with, and what else was near.
fn similar(similar: &[SimilarQuery]) -> Option<Section> {
    let columns = [("bits", Layout::Right), ("query", Layout::Elided), ("trace", Layout::Left), ("time", Layout::Left)];
    let rows = similar.iter().map(|query| {
        [
            own(query.differing_bits.to_string()),
            name(query.query.as_deref().unwrap_or(&query.fingerprint)),
            known_name(query.trace_id.as_deref()),
            own(query.occurred_at.to_string()),
        ]
    });
    let heading = "Nearest queries that were asked before (bits: of 64, in which the hashes differ)";
    (!similar.is_empty()).then(|| Section::headed(heading, vec![Block::Table(Table::new(columns, rows))]))
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

fn mark(document: &DocumentDiff) -> (char, Tone) {
    match document.change {
        DocumentChange::Entered => ('+', Tone::Good),
        DocumentChange::Left => ('−', Tone::Bad),
        DocumentChange::Moved if document.current_rank < document.reference_rank => ('↑', Tone::Unsure),
        DocumentChange::Moved => ('↓', Tone::Unsure),
        DocumentChange::Same => (' ', Tone::Plain),
    }
}
