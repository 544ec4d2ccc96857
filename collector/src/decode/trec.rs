//! Runs of TREC: one line for each document, `query Q0 document rank score tag`, as `trec_eval` reads them.
//!
//! The query's id becomes its fingerprint and the tag the name of the retriever. A run says nothing about corpus, version
//! and time; those are given with it.

use std::fmt::Display;
use std::io::BufRead;

use indexmap::IndexMap;
use serde_json::{Map, Value, json};
use tidemark_schema::{CorpusName, CorpusVersion, EventId, Retriever, Timestamp};

use super::Rejection;
use super::draft::{EventDraft, Number, QueryDraft, ResultDraft, RetrievalDraft};
use crate::bound;

/// Lines of a run that are read; they are held in memory until its end, because nothing says that a query is complete.
const LINES_MAX: u64 = 20_000_000;
/// Bytes of one line.
const LINE_BYTES: u64 = 4_096;

/// What a run is told to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The corpus that was asked.
    pub corpus: CorpusName,
    /// Its version.
    pub version: Option<CorpusVersion>,
    /// When it was asked.
    pub at: Timestamp,
}

/// The run cannot be read any further.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Reading failed.
    #[error("reading failed in line {line}")]
    Read {
        /// The last line that was seen.
        line: u64,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It has too many lines, or one that is too long.
    #[error("line {line}: {reason}")]
    Size {
        /// Where.
        line: u64,
        /// What is too large.
        reason: String,
    },
}

/// One query of a run as an event, or why one of its lines cannot be part of it; with the line.
pub type Query = (u64, Result<EventDraft, Rejection>);

struct Answer {
    line: u64,
    documents: Vec<(String, u64, f64)>,
}

/// Whether these are the first bytes of a run.
pub fn is_run(bytes: &[u8]) -> bool {
    let first = bytes.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    std::str::from_utf8(first).is_ok_and(|line| parse(line).is_ok())
}

/// Whether these are the first bytes of judgements (qrels): `query iteration document grade`.
pub fn is_judgements(bytes: &[u8]) -> bool {
    let first = bytes.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    let fields: Vec<&str> = std::str::from_utf8(first).unwrap_or_default().split_ascii_whitespace().collect();
    matches!(fields.as_slice(), [_, "0" | "Q0", _, grade] if grade.parse::<i64>().is_ok())
}

/// The queries of a run as events, in the order of their first lines, with at most `depth` results each. A line that cannot
/// be read is given to `refuse`, and the others are read.
pub fn queries<'r, R: BufRead>(
    content: R,
    run: &'r Run,
    depth: usize,
    refuse: &mut dyn FnMut(u64, Rejection),
) -> Result<impl Iterator<Item = Query> + use<'r, R>, RunError> {
    let mut answers: IndexMap<(String, String), Answer> = IndexMap::new();
    each_line(content, |line, text| match text.and_then(parse) {
        Ok((query, document, rank, score, tag)) => {
            let answer = answers.entry((tag.to_owned(), query.to_owned()));
            let answer = answer.or_insert_with(|| Answer { line, documents: Vec::new() });
            answer.documents.push((document.to_owned(), rank, score));
        }
        Err(rejection) => refuse(line, rejection),
    })?;
    Ok(answers
        .into_iter()
        .map(move |((tag, query), answer)| (answer.line, event(run, depth, &tag, &query, answer.documents))))
}

/// Calls `take` with the number of each line that is not blank, and its text.
fn each_line(mut content: impl BufRead, mut take: impl FnMut(u64, Result<&str, Rejection>)) -> Result<(), RunError> {
    let mut bytes = Vec::new();
    for line in 1_u64.. {
        let size = |reason: String| RunError::Size { line, reason };
        bytes.clear();
        let mut limited = std::io::Read::take(&mut content, LINE_BYTES);
        let read = limited.read_until(b'\n', &mut bytes).map_err(|source| RunError::Read { line, source })?;
        if read == 0 {
            return Ok(());
        }
        if read as u64 == LINE_BYTES && bytes.last() != Some(&b'\n') {
            return Err(size(format!("has more than {LINE_BYTES} bytes: this is no file of TREC")));
        }
        if line > LINES_MAX {
            return Err(size(format!("more than {LINES_MAX} lines; split the file")));
        }
        let text = bytes.trim_ascii();
        if !text.is_empty() {
            // Other bytes in place of those that are wrong would be the name of another document.
            take(line, std::str::from_utf8(text).map_err(|_| malformed("is not UTF-8".to_owned())));
        }
    }
    Ok(())
}

type Line<'a> = (&'a str, &'a str, u64, f64, &'a str);

fn malformed(reason: String) -> Rejection {
    Rejection { field: None, reason, malformed: true }
}

fn parse(line: &str) -> Result<Line<'_>, Rejection> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [query, _, document, rank, score, tag] = fields.as_slice() else {
        let reason = "of a run are `query Q0 document rank score tag`";
        return Err(malformed(format!("has {} fields; the six {reason}", fields.len())));
    };
    let rank = rank.parse().map_err(|_| Rejection::field("rank", format!("is {rank:?}, not a whole number")))?;
    let number: f64 = score.parse().map_err(|_| Rejection::field("score", format!("is {score:?}, not a number")))?;
    Ok((query, document, rank, number, tag))
}

/// In the order of the ranks; if those do not tell documents apart, in that of the scores, as `trec_eval` has it.
fn event(
    run: &Run,
    depth: usize,
    tag: &str,
    query: &str,
    mut documents: Vec<(String, u64, f64)>,
) -> Result<EventDraft, Rejection> {
    let mut ranks: Vec<u64> = documents.iter().map(|(_, rank, _)| *rank).collect();
    ranks.sort_unstable();
    if ranks.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
        // What has no score is last.
        let known = |score: f64| if score.is_nan() { f64::NEG_INFINITY } else { score };
        documents.sort_by(|(_, _, a), (_, _, b)| known(*b).total_cmp(&known(*a)));
    } else {
        documents.sort_by_key(|(_, rank, _)| *rank);
    }
    let total = documents.len();
    documents.truncate(depth);
    let is_cut = total > depth;
    let named = |field: &str, error: &dyn Display| Rejection::field(field, error.to_string());
    let retriever =
        Retriever { name: Some(tag.parse().map_err(|error| named("retriever.name", &error))?), ..Retriever::default() };
    // Without an id of its own the event has that of its content, so importing a run again adds nothing, and nor does what is
    // exported of a deeper run: that is the list as it was cut, without how long it had been.
    let event_id = id_of(run, (tag, query), &documents)?;
    let result = |(place, (id, _, score)): (usize, (String, u64, f64))| {
        let doc_id = id.parse().map_err(|error| named(&format!("results[{place}].doc_id"), &error))?;
        Ok(ResultDraft { score: Some(Number(score)), ..ResultDraft::of(doc_id) })
    };
    Ok(EventDraft::Retrieval(RetrievalDraft {
        event_id: Some(event_id),
        retriever: Some(retriever),
        results_total: is_cut.then(|| u32::try_from(total).unwrap_or(u32::MAX)),
        marks: is_cut.then(|| bound::RESULTS.parse().into_iter().collect()),
        corpus_version: run.version.clone(),
        ..RetrievalDraft::of(
            run.at,
            run.corpus.clone(),
            QueryDraft {
                fingerprint: Some(query.parse().map_err(|error| named("query.fingerprint", &error))?),
                ..QueryDraft::default()
            },
            documents.into_iter().enumerate().map(result).collect::<Result<_, Rejection>>()?,
        )
    }))
}

/// The id of the JSON that one would write by hand for such an event.
fn id_of(run: &Run, (tag, query): (&str, &str), documents: &[(String, u64, f64)]) -> Result<EventId, Rejection> {
    let results: Vec<Value> = documents.iter().map(|(id, _, score)| json!({ "doc_id": id, "score": score })).collect();
    let mut event = Map::from_iter([
        ("occurred_at".to_owned(), json!(run.at)),
        ("corpus".to_owned(), json!(run.corpus)),
        ("retriever".to_owned(), json!({ "name": tag })),
        ("query".to_owned(), json!({ "fingerprint": query })),
        ("results".to_owned(), Value::Array(results)),
    ]);
    if let Some(version) = &run.version {
        event.insert("corpus_version".to_owned(), json!(version));
    }
    let bytes = serde_json::to_vec(&event).map_err(|error| malformed(error.to_string()))?;
    Ok(EventId::of_content(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "2 Q0 b 2 0.5 bm25\n1 Q0 x 1 9 bm25\n\n2 Q0 a 1 0.75 bm25\r\n";

    /// A draft as JSON, without what is not known.
    fn known(draft: EventDraft) -> Value {
        let mut event = serde_json::to_value(draft).unwrap();
        let objects = event["results"].as_array_mut().unwrap().iter_mut().map(|result| result.as_object_mut().unwrap());
        objects.for_each(|result| result.retain(|_, field| !field.is_null()));
        event
    }

    fn read(text: impl AsRef<[u8]>) -> Vec<(u64, Result<Value, String>)> {
        let run = Run { corpus: "cran".parse().unwrap(), version: None, at: "2026-10-01T00:00:00Z".parse().unwrap() };
        let mut read = Vec::new();
        let mut refuse = |line, rejection| read.push((line, Err(rejection)));
        let queries = queries(text.as_ref(), &run, 3, &mut refuse).unwrap();
        let queries: Vec<_> = queries.collect();
        let told = |rejection: Rejection| format!("{} {}", rejection.field.unwrap_or_default(), rejection.reason);
        let read = read.into_iter().chain(queries);
        read.map(|(line, event)| (line, event.map(known).map_err(told))).collect()
    }

    #[track_caller]
    fn check(line: impl AsRef<[u8]>, problem: &str) {
        let read = read([line.as_ref(), b"\n", RUN.as_bytes()].concat());
        assert_eq!(read[0], (1, Err(problem.to_owned())));
        assert_eq!(read.len(), 3, "the rest is read");
    }

    #[test]
    fn lines_are_gathered_by_query_and_ordered_by_rank() {
        let read = read(RUN);
        let (line, event) = (read[0].0, read[0].1.as_ref().unwrap());
        assert_eq!(
            (line, &event["query"]["fingerprint"], &event["retriever"]["name"]),
            (1, &json!("2"), &json!("bm25"))
        );
        assert_eq!(event["results"], json!([{ "doc_id": "a", "score": 0.75 }, { "doc_id": "b", "score": 0.5 }]));
        assert_eq!(read[1].0, 2);
    }

    #[test]
    fn ranks_that_are_all_the_same_leave_the_order_to_the_scores() {
        let read = read("1 Q0 a 0 1 t\n1 Q0 b 0 2 t\n");
        assert_eq!(read[0].1.as_ref().unwrap()["results"][0]["doc_id"], "b");
    }

    #[test]
    fn a_line_that_is_wrong_is_refused_alone_and_told_why() {
        check("1 Q0 a 1 0.5", " has 5 fields; the six of a run are `query Q0 document rank score tag`");
        check("1 Q0 a one 0.5 t", "rank is \"one\", not a whole number");
        check("1 Q0 a 1 high t", "score is \"high\", not a number");
        check(b"1 Q0 caf\xe9 1 0.5 t", " is not UTF-8");
    }

    #[test]
    fn white_space_is_that_of_ascii() {
        let read = read("1\tQ0 a\u{a0}b  1 -1.5e-3 t\u{3000}\n");
        let event = read[0].1.as_ref().unwrap();
        assert_eq!(event["results"], json!([{ "doc_id": "a\u{a0}b", "score": -0.0015 }]));
        assert_eq!(event["retriever"]["name"], "t\u{3000}");
    }

    #[test]
    fn a_list_that_is_cut_has_the_id_of_what_is_kept_of_it() {
        let lines: Vec<String> = (1..=5).map(|rank| format!("1 Q0 d{rank} {rank} {} t\n", 9 - rank)).collect();
        let (deep, cut) = (&read(lines.concat())[0].1, &read(lines[..3].concat())[0].1);
        let (deep, cut) = (deep.as_ref().unwrap(), cut.as_ref().unwrap());
        assert_eq!((&deep["results"], &deep["results_total"]), (&cut["results"], &json!(5)));
        assert_eq!(deep["marks"], json!(["bound.results"]));
        assert_eq!((&cut["results_total"], &deep["event_id"]), (&Value::Null, &cut["event_id"]));
    }

    #[test]
    fn a_run_is_recognised_by_its_first_line() {
        assert!(is_run(b"\n1 Q0 a 1 0.5 t\n"));
        assert!(!is_run(b"1 0 a 1\n") && is_judgements(b"1 0 a 1\n"), "judgements are none");
        assert!(!is_run(br#"{"occurred_at":"2026-10-01T00:00:00Z"}"#));
    }
}
