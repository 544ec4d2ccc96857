//! What uses the disk, what happens when it fills, and what can be freed without losing an event that is kept.

use serde::Serialize;
use tidemark_lake::{Table, Usage};

use super::maintenance::{Rules, day};
use super::{Action, Caller, Error, Operations};

/// What a store takes on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Storage {
    /// Where it lies.
    pub store: String,
    /// Bytes of everything in it.
    pub total_bytes: u64,
    /// Bytes that it may take; none means no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_bytes: Option<u64>,
    /// Bytes that are free on the disk of the write-ahead log; none if that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
    /// The two tables.
    pub tables: Vec<Usage>,
    /// Events by corpus, the largest first.
    pub corpora: Vec<CorpusStorage>,
    /// Bytes of the manifests of corpus versions.
    pub manifest_bytes: u64,
    /// Bytes of the write-ahead log.
    pub log_bytes: u64,
    /// Bytes of the audit log.
    pub audit_bytes: u64,
    /// Bytes that a sweep frees at once: files that were removed from the tables and wait for readers of earlier versions.
    pub freeable_bytes: u64,
    /// What happens when it fills, in words.
    pub when_full: Vec<String>,
    /// What can be done to free bytes, in words.
    pub advice: Vec<String>,
}

/// What the retrievals of a corpus take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CorpusStorage {
    /// Which corpus; outputs belong to none.
    pub corpus: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// Rows, copies included.
    pub rows: u64,
    /// Files.
    pub files: u64,
    /// The first day.
    pub from: String,
    /// The last day.
    pub to: String,
    /// How many days are kept; none means all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_kept: Option<u32>,
    /// How many bytes are kept; none means all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_kept: Option<u64>,
}

impl Operations {
    /// What the store of the caller's tenant takes on disk.
    pub async fn storage(&self, caller: &Caller) -> Result<Storage, Error> {
        let store = self.store(caller, Action::ShowStorage).await?;
        let rules = Rules::from(self.policy.retention());
        let mut tables = Vec::new();
        for table in Table::ALL {
            tables.push(store.lake.usage(table).await?);
        }
        let manifest_bytes = store.lake.bytes_under("corpora").await?;
        // What is there for all tenants is counted once.
        let (log_bytes, audit_bytes) = if caller.tenant.is_default() {
            (directory_bytes(&self.stores.log_directory()), self.stores.audit().bytes())
        } else {
            (0, 0)
        };
        let in_tables: u64 = tables.iter().map(Usage::total_bytes).sum();
        let freeable_bytes = tables.iter().map(|usage| usage.removed_bytes).sum();
        let total_bytes = in_tables + manifest_bytes + log_bytes + audit_bytes;
        let corpora = by_corpus(&tables, &rules);
        let budget_bytes = rules.retention.bytes;
        let advice = advice(&rules, freeable_bytes, &corpora, total_bytes);
        Ok(Storage {
            store: store.lake.location().to_string(),
            total_bytes,
            budget_bytes,
            free_bytes: tidemark_collector::FreeBytes::of_directory(self.stores.state().to_owned()).ask(),
            tables,
            corpora,
            manifest_bytes,
            log_bytes,
            audit_bytes,
            freeable_bytes,
            when_full: when_full(budget_bytes),
            advice,
        })
    }
}

fn by_corpus(tables: &[Usage], rules: &Rules) -> Vec<CorpusStorage> {
    let mut corpora: std::collections::BTreeMap<String, (CorpusStorage, i32, i32)> = std::collections::BTreeMap::new();
    for usage in tables {
        for (partition, used) in &usage.partitions {
            let name = partition.corpus.as_ref().map_or_else(|| "(outputs)".to_owned(), ToString::to_string);
            let own = partition.corpus.as_ref().and_then(|corpus| rules.retention.corpora.get(corpus));
            let entry = corpora.entry(name.clone()).or_insert_with(|| {
                let corpus = CorpusStorage {
                    corpus: name,
                    bytes: 0,
                    rows: 0,
                    files: 0,
                    from: String::new(),
                    to: String::new(),
                    days_kept: own.and_then(|own| own.days).or(rules.retention.days),
                    bytes_kept: own.and_then(|own| own.bytes),
                };
                (corpus, partition.day, partition.day)
            });
            entry.0.bytes += used.bytes;
            entry.0.rows += used.rows;
            entry.0.files += used.files;
            entry.1 = entry.1.min(partition.day);
            entry.2 = entry.2.max(partition.day);
        }
    }
    let dated =
        corpora.into_values().map(|(corpus, from, to)| CorpusStorage { from: day(from), to: day(to), ..corpus });
    let mut corpora: Vec<_> = dated.collect();
    corpora.sort_by_key(|corpus| std::cmp::Reverse(corpus.bytes));
    corpora
}

fn when_full(budget: Option<u64>) -> Vec<String> {
    let mut words = vec![
        "a full disk: the collector becomes read_only and answers 503 with Retry-After; what was acknowledged is safe, \
         reads go on, and events are taken again as soon as there is room"
            .to_owned(),
        "a full write-ahead log (the tables do not take events): the collector sheds load with 503 and Retry-After"
            .to_owned(),
    ];
    words.push(match budget {
        Some(_) => {
            "the budget: the oldest days are dropped; removed files are swept after 10 minutes when it is near, and at \
                    once beyond it; today's events are never dropped"
                .to_owned()
        }
        None => "there is no budget: set `retention.bytes` in the policy so that the oldest days go by themselves"
            .to_owned(),
    });
    words
}

fn advice(rules: &Rules, freeable: u64, corpora: &[CorpusStorage], total: u64) -> Vec<String> {
    let mut advice = Vec::new();
    if freeable > 0 {
        let hours = rules.removed_files_s / 3_600;
        advice.push(format!(
            "{} of removed files go by themselves {hours} h after their removal; `tidemark storage --maintain` looks now",
            size(freeable)
        ));
    }
    if let Some(largest) = corpora.iter().find(|corpus| corpus.days_kept.is_none() && corpus.bytes * 2 > total) {
        advice.push(format!(
            "{} takes {} and is kept for ever: set `retention.corpora.{}.days` in the policy",
            largest.corpus,
            size(largest.bytes),
            largest.corpus
        ));
    }
    advice
}

fn directory_bytes(directory: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok().filter(std::fs::Metadata::is_file)).map(|file| file.len()).sum()
}

/// Bytes with the unit that people read best.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_a_unit_that_people_read() {
        let shown: Vec<String> = [0, 1023, 1024, 1_572_864, u64::MAX].into_iter().map(size).collect();
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "16777216.0 TiB"]);
    }
}
