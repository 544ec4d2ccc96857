//! Which documents answer which queries, as people judged it: the qrels of TREC.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};

use serde::{Deserialize, Serialize};
use tidemark_schema::{DocumentId, Fingerprint};

/// Qrels of one corpus; the queries by their fingerprints, grades from 0 (not relevant) upwards.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Qrels(BTreeMap<Fingerprint, BTreeMap<DocumentId, u32>>);

/// Bytes of a file of judgements that are read.
const MOST_BYTES: u64 = 256 * 1024 * 1024;

/// Why a file of judgements was not taken. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum InvalidQrels {
    /// It cannot be read.
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    /// It is larger than any such file.
    #[error("it has more than {MOST_BYTES} bytes")]
    TooLarge,
    /// A line is none of `query iteration document grade`.
    #[error("line {line}: {reason}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// Nothing is in it.
    #[error("it holds no judgement")]
    Empty,
}

impl Qrels {
    /// Reads lines of `query iteration document grade`, as `trec_eval` does: the second field says nothing, and a grade
    /// below 0 (spam) counts as 0. A document that is judged twice for a query has to be judged alike.
    pub fn read_trec(content: impl BufRead) -> Result<Self, InvalidQrels> {
        let mut text = String::new();
        content.take(MOST_BYTES + 1).read_to_string(&mut text)?;
        if text.len() as u64 > MOST_BYTES {
            return Err(InvalidQrels::TooLarge);
        }
        let mut qrels = Self::default();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            qrels.add(line).map_err(|reason| InvalidQrels::Line { line: number + 1, reason })?;
        }
        if qrels.0.is_empty() { Err(InvalidQrels::Empty) } else { Ok(qrels) }
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [query, _, document, grade] = fields.as_slice() else {
            return Err(format!("has {} fields; a judgement has four: query iteration document grade", fields.len()));
        };
        let parsed: i64 = grade.parse().map_err(|_| format!("the grade is {grade:?}, not a whole number"))?;
        let grade = u32::try_from(parsed.max(0)).map_err(|_| format!("the grade {parsed} is too large"))?;
        let query: Fingerprint = query.parse().map_err(|error| format!("the query {error}"))?;
        let document: DocumentId = document.parse().map_err(|error| format!("the document {error}"))?;
        match self.0.entry(query).or_default().insert(document.clone(), grade) {
            Some(before) if before != grade => Err(format!("{document} is judged {before} and {grade} for one query")),
            _ => Ok(()),
        }
    }

    /// The grades of the documents that were judged for a query.
    pub fn of(&self, query: &str) -> Option<&BTreeMap<DocumentId, u32>> {
        // A text that is no fingerprint was judged by nobody.
        self.0.get(&query.parse::<Fingerprint>().ok()?)
    }

    /// How many queries have judgements.
    pub fn queries(&self) -> usize {
        self.0.len()
    }

    /// How many judgements there are.
    pub fn len(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, problem: &str) {
        assert_eq!(Qrels::read_trec(text.as_bytes()).unwrap_err().to_string(), problem);
    }

    #[test]
    fn lines_are_read_as_trec_eval_reads_them() {
        let judgements = Qrels::read_trec("1 0 184 2\n1 0 29 -1\n\n2 Q0 12\t1\r\n".as_bytes()).unwrap();
        assert_eq!((judgements.queries(), judgements.len()), (2, 3));
        let first: Vec<_> = judgements.of("1").unwrap().iter().map(|(id, grade)| (id.as_str(), *grade)).collect();
        assert_eq!(first, [("184", 2), ("29", 0)]);
        assert_eq!(judgements.of("3"), None);
    }

    #[test]
    fn a_line_that_is_wrong_is_named() {
        check("1 0 184 2\n1 0 29\n", "line 2: has 3 fields; a judgement has four: query iteration document grade");
        check("1 0 184 high\n", "line 1: the grade is \"high\", not a whole number");
        check("1 0 184 2\n1 0 184 1\n", "line 2: 184 is judged 2 and 1 for one query");
        check("\n", "it holds no judgement");
    }
}
