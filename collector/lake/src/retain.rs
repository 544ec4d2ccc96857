//! What is too old, or too much, goes: whole partitions, oldest first.
//!
//! Dropping a partition is one commit that names its files; nothing is read or rewritten, so its cost does not depend on
//! how many events it held. The bytes are free once the removed files are swept ([`Lake::sweep`]).

use std::collections::BTreeMap;

use deltalake::protocol::DeltaOperation;
use serde_json::json;
use tidemark_schema::{CorpusName, Timestamp};

use crate::error::Error;
use crate::files::{DataFile, Partition};
use crate::table::{Lake, Table};

/// How long and how much is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retention {
    /// Days, for every corpus without days of its own, and for outputs.
    pub days: Option<u32>,
    /// Days and bytes of one corpus.
    pub corpora: BTreeMap<CorpusName, CorpusRetention>,
    /// Bytes of the whole store on disk.
    pub bytes: Option<u64>,
}

/// How long and how much is kept of one corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CorpusRetention {
    /// Days.
    pub days: Option<u32>,
    /// Bytes of its retrievals.
    pub bytes: Option<u64>,
}

/// Why a partition goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It is older than the days that are kept.
    Age,
    /// Its corpus takes more bytes than it may.
    CorpusBytes,
    /// The store takes more bytes than it may.
    StoreBytes,
}

/// A partition that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drop {
    /// Of which table.
    pub table: Table,
    /// Which one.
    pub partition: Partition,
    /// Why.
    pub reason: Reason,
    /// Its files.
    pub files: Vec<DataFile>,
}

impl Drop {
    /// The bytes of its files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The rows of its files.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }
}

/// What goes now. `other_bytes` is what the store takes besides the files that are read: logs, evidence, removed files.
///
/// Days are whole days in UTC: with 30 days, on 31 January the 1st is still there and 31 December is not. The bytes of a
/// corpus and of the store are met by dropping its oldest days. Today's partition never goes, so a budget below one day's
/// events cannot be met.
pub fn due_for_removal(
    files: &[(Table, DataFile)],
    other_bytes: u64,
    retention: &Retention,
    now: Timestamp,
) -> Vec<Drop> {
    let mut partitions: BTreeMap<(Partition, &str), Candidate> = BTreeMap::new();
    for (table, file) in files {
        let candidate = partitions.entry((file.partition.clone(), table.name()));
        candidate.or_insert(Candidate { table: *table, files: Vec::new(), reason: None }).files.push(file.clone());
    }
    let today = now.days();
    for ((partition, _), candidate) in &mut partitions {
        let own = partition.corpus.as_ref().and_then(|corpus| retention.corpora.get(corpus));
        let days = own.and_then(|own| own.days).or(retention.days);
        if days.is_some_and(|days| i64::from(partition.day) < i64::from(today) - i64::from(days)) {
            candidate.reason = Some(Reason::Age);
        }
    }
    for (corpus, own) in &retention.corpora {
        let mine = partitions.iter_mut().filter(|((partition, _), _)| partition.corpus.as_ref() == Some(corpus));
        shrink(
            mine.map(|((partition, _), candidate)| (partition.day, candidate)),
            0,
            own.bytes,
            today,
            Reason::CorpusBytes,
        );
    }
    let all = partitions.iter_mut().map(|((partition, _), candidate)| (partition.day, candidate));
    shrink(all, other_bytes, retention.bytes, today, Reason::StoreBytes);
    let gone = partitions.into_iter().filter_map(|((partition, _), candidate)| {
        let Candidate { table, files, reason } = candidate;
        Some(Drop { table, partition, reason: reason?, files })
    });
    gone.collect()
}

struct Candidate {
    table: Table,
    files: Vec<DataFile>,
    reason: Option<Reason>,
}

/// Marks partitions, which come oldest first, until what stays fits into the budget.
fn shrink<'a>(
    partitions: impl Iterator<Item = (i32, &'a mut Candidate)>,
    other_bytes: u64,
    budget: Option<u64>,
    today: i32,
    reason: Reason,
) {
    let Some(budget) = budget else { return };
    let mut staying: Vec<_> = partitions.filter(|(_, candidate)| candidate.reason.is_none()).collect();
    let bytes = |candidate: &Candidate| candidate.files.iter().map(|file| file.bytes).sum::<u64>();
    let mut total = staying.iter().map(|(_, candidate)| bytes(candidate)).sum::<u64>().saturating_add(other_bytes);
    for (day, candidate) in &mut staying {
        if total <= budget || *day >= today {
            break;
        }
        total = total.saturating_sub(bytes(candidate));
        candidate.reason = Some(reason);
    }
}

impl Lake {
    /// Drops a partition in one commit. Files that are gone already, because another commit replaced them, are left to the
    /// next look.
    pub async fn drop_partition(&self, gone: &Drop, now: Timestamp) -> Result<(), Error> {
        let operation = DeltaOperation::Delete { predicate: Some(format!("event_date day {}", gone.partition.day)) };
        let note = |_: &[DataFile]| json!({ "action": "retention", "reason": gone.reason });
        self.remove_where(gone.table, |file| gone.files.contains(file), operation, note, now).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(table: Table, corpus: Option<&str>, day: i32, bytes: u64) -> (Table, DataFile) {
        let partition = Partition { day, corpus: corpus.map(|corpus| corpus.parse().unwrap()) };
        let remove = deltalake::kernel::Remove::default();
        (table, DataFile { path: String::new(), partition, bytes, rows: 1, written_at: Timestamp::MIN, remove })
    }

    /// Which days of which corpus go, and why, of ten days with 10 bytes of two corpora and 1 byte of outputs each.
    #[track_caller]
    fn check(other: u64, retention: &Retention, expected: &[&str]) {
        let today = Timestamp::from_date("2024-05-10").unwrap();
        let mut files = Vec::new();
        for back in 0..10 {
            let day = today.days() - back;
            files.push(file(Table::Retrievals, Some("a"), day, 10));
            files.push(file(Table::Retrievals, Some("b"), day, 10));
            files.push(file(Table::Outputs, None, day, 1));
        }
        let gone = due_for_removal(&files, other, retention, today.plus_seconds(3_600));
        let shown: Vec<String> = gone
            .iter()
            .map(|drop| {
                let corpus = drop.partition.corpus.as_ref().map_or("outputs", |corpus| corpus.as_str());
                format!("{corpus} {} {:?}", today.days() - drop.partition.day, drop.reason)
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn nothing_goes_without_a_rule() {
        check(u64::MAX, &Retention::default(), &[]);
    }

    #[test]
    fn days_of_a_corpus_stand_before_those_of_all() {
        let corpora = [("a".parse().unwrap(), CorpusRetention { days: Some(9), bytes: None })].into();
        let retention = Retention { days: Some(8), corpora, bytes: None };
        check(0, &retention, &["outputs 9 Age", "b 9 Age"]);
    }

    #[test]
    fn the_oldest_days_go_until_the_bytes_fit() {
        let corpora = [("a".parse().unwrap(), CorpusRetention { days: None, bytes: Some(85) })].into();
        let retention = Retention { days: None, corpora, bytes: Some(195) };
        check(4, &retention, &["a 9 CorpusBytes", "a 8 CorpusBytes"]);
        check(6, &retention, &["outputs 9 StoreBytes", "a 9 CorpusBytes", "a 8 CorpusBytes"]);
        check(7, &retention, &["outputs 9 StoreBytes", "a 9 CorpusBytes", "b 9 StoreBytes", "a 8 CorpusBytes"]);
    }

    #[test]
    fn today_stays_even_when_it_is_too_much() {
        let retention = Retention { days: None, corpora: BTreeMap::new(), bytes: Some(1) };
        let today = Timestamp::from_date("2024-05-10").unwrap();
        let files = [file(Table::Outputs, None, today.days(), 10)];
        assert!(due_for_removal(&files, 0, &retention, today).is_empty());
    }
}
