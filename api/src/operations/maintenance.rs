//! What keeps a store small and its evidence complete: looked after every minute by the server, or by `tidemark storage
//! --maintain`.
//!
//! In this order, because each step makes the next one cheaper: partitions that are too old or too much are dropped, small
//! files are merged, removed files and old logs are swept, evidence is packed. A step that fails leaves the store as it was
//! and is tried again with the next look; the others go on.

use serde::Serialize;
use serde_json::{Value, json};
use tidemark_collector::policy;
use tidemark_lake::{CorpusRetention, Retention, Table, due_for_compaction, due_for_removal};
use tidemark_schema::Timestamp;

use super::{Action, Caller, Error, Operations};
use crate::store::Store;

/// How much is kept, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Days and bytes.
    pub retention: Retention,
    /// Seconds for which removed files stay, for readers of earlier versions.
    pub removed_files_s: i64,
}

impl From<&policy::Retention> for Rules {
    fn from(policy: &policy::Retention) -> Self {
        let corpora = policy.corpora.iter().map(|(corpus, own)| {
            let policy::CorpusRetention { days, bytes } = *own;
            (corpus.clone(), CorpusRetention { days, bytes })
        });
        Self {
            retention: Retention { days: policy.days, corpora: corpora.collect(), bytes: policy.bytes },
            removed_files_s: i64::try_from(policy.removed_files_s).unwrap_or(i64::MAX),
        }
    }
}

/// When the store comes near its budget, removed files stay only this long; beyond the budget, not at all.
const PRESSED_S: i64 = 600;
/// From this part of the budget on the store is pressed.
const PRESSED_PART: f64 = 0.9;

/// What one look did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Summary {
    /// Partitions that were dropped.
    pub dropped_partitions: u64,
    /// Rows in them.
    pub dropped_rows: u64,
    /// Partitions that were merged.
    pub compacted_partitions: u64,
    /// Copies of events that are gone.
    pub duplicates: u64,
    /// Files that were deleted.
    pub swept_files: u64,
    /// Bytes that deleting them freed.
    pub freed_bytes: u64,
    /// Bytes that the store takes now.
    pub bytes: u64,
    /// Whether it takes more than its budget, and nothing can be dropped for it.
    pub over_budget: bool,
    /// What failed and will be tried again.
    pub failures: Vec<String>,
}

impl Operations {
    /// Maintains the store of the caller's tenant once, as the policy says. Asks before each merge whether to `go_on` with
    /// them: they take the longest.
    pub async fn maintain(&self, caller: &Caller, go_on: &(dyn Fn() -> bool + Sync)) -> Result<Summary, Error> {
        let store = self.store(caller, Action::MaintainStore).await?;
        let rules = Rules::from(self.policy.retention());
        let record = |action: &str, detail: Value| self.record_if_possible(caller, action, detail);
        Ok(maintain(&store, &rules, &record, self.now(), go_on).await)
    }

    /// Maintains the stores of all tenants, one after the other. What fails for one is in its summary, and the others go on.
    pub async fn maintain_all(
        &self,
        caller: &Caller,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<Summary>, Error> {
        let mut summaries = Vec::new();
        for tenant in self.stores.tenants().await? {
            let caller = caller.of_tenant(tenant);
            summaries.push(self.maintain(&caller, go_on).await.unwrap_or_else(|error| {
                let failure = format!("tenant {}: {error}", caller.tenant);
                tracing::warn!(failure, "maintenance failed and will be tried again");
                Summary { failures: vec![failure], ..Summary::default() }
            }));
        }
        Ok(summaries)
    }
}

async fn maintain(
    store: &Store,
    rules: &Rules,
    record: &(dyn Fn(&str, Value) + Sync),
    now: Timestamp,
    go_on: &(dyn Fn() -> bool + Sync),
) -> Summary {
    let mut look = Look { store, rules, record, now, go_on, summary: Summary::default() };
    for table in Table::ALL {
        let recorded = store.lake.record(table).await;
        look.noted("record", recorded.map_err(Into::into));
    }
    let dropped = look.drop_partitions().await;
    look.noted("retention", dropped);
    for table in Table::ALL {
        let compacted = look.compact(table).await;
        look.noted("compaction", compacted);
    }
    let swept = look.sweep().await;
    look.noted("sweep", swept);
    look.summary
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

struct Look<'a> {
    store: &'a Store,
    rules: &'a Rules,
    /// Records in the audit log what was done.
    record: &'a (dyn Fn(&str, Value) + Sync),
    now: Timestamp,
    go_on: &'a (dyn Fn() -> bool + Sync),
    summary: Summary,
}

impl Look<'_> {
    fn noted(&mut self, step: &str, result: Result<(), Failed>) {
        if let Err(error) = result {
            let causes = std::iter::successors(error.source(), |cause| cause.source());
            let text = causes.fold(format!("{step}: {error}"), |text, cause| format!("{text}: {cause}"));
            tracing::warn!(step, error = text, "maintenance failed and will be tried again");
            self.summary.failures.push(text);
        }
    }

    async fn total_bytes(&self) -> Result<u64, Failed> {
        let mut bytes = self.store.lake.bytes_under("corpora").await?;
        for table in Table::ALL {
            bytes += self.store.lake.usage(table).await?.total_bytes();
        }
        Ok(bytes)
    }

    async fn drop_partitions(&mut self) -> Result<(), Failed> {
        let mut files = Vec::new();
        for table in Table::ALL {
            files.extend(self.store.lake.files(table).await?.into_iter().map(|file| (table, file)));
        }
        // Removed files go by themselves; events are not dropped to make room for them.
        let mut other = self.store.lake.bytes_under("corpora").await?;
        for table in Table::ALL {
            let usage = self.store.lake.usage(table).await?;
            other += usage.total_bytes() - usage.bytes - usage.removed_bytes;
        }
        for gone in due_for_removal(&files, other, &self.rules.retention, self.now) {
            self.store.lake.drop_partition(&gone, self.now).await?;
            self.summary.dropped_partitions += 1;
            self.summary.dropped_rows += gone.rows();
            let detail = json!({
                "table": gone.table.name(),
                "corpus": gone.partition.corpus,
                "day": day(gone.partition.day),
                "reason": gone.reason,
                "rows": gone.rows(),
                "bytes": gone.bytes(),
            });
            (self.record)("retention", detail);
        }
        Ok(())
    }

    async fn compact(&mut self, table: Table) -> Result<(), Failed> {
        let files = self.store.lake.files(table).await?;
        for partition in due_for_compaction(&files, self.now) {
            if !(self.go_on)() {
                break;
            }
            let Some(done) = self.store.lake.compact(table, &partition, self.now).await? else { continue };
            self.summary.compacted_partitions += 1;
            self.summary.duplicates += done.duplicates;
            let place = json!({ "table": table.name(), "corpus": partition.corpus, "day": day(partition.day) });
            (self.record)("compaction", json!({ "partition": place, "done": done }));
        }
        Ok(())
    }

    async fn sweep(&mut self) -> Result<(), Failed> {
        let budget = self.rules.retention.bytes.unwrap_or(u64::MAX);
        self.sweep_older_than(self.rules.removed_files_s).await?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a byte count")]
        if self.total_bytes().await? > (budget as f64 * PRESSED_PART) as u64 {
            self.sweep_older_than(self.rules.removed_files_s.min(PRESSED_S)).await?;
        }
        if self.total_bytes().await? > budget {
            // A reader of an earlier version fails and can ask again; a full disk would take no events.
            self.sweep_older_than(0).await?;
        }
        self.summary.bytes = self.total_bytes().await?;
        self.summary.over_budget = self.summary.bytes > budget;
        Ok(())
    }

    async fn sweep_older_than(&mut self, keep_s: i64) -> Result<(), Failed> {
        for table in Table::ALL {
            let swept = self.store.lake.sweep(table, self.now, keep_s).await?;
            let packed = self.store.lake.fold_evidence(table).await?;
            let files = swept.removed_files + swept.uncommitted_files;
            self.summary.swept_files += files;
            self.summary.freed_bytes += swept.bytes;
            if files > 0 {
                (self.record)("sweep", json!({ "table": table.name(), "swept": swept, "evidence_objects": packed }));
            }
        }
        Ok(())
    }
}

/// A day as people write it.
pub(crate) fn day(days: i32) -> String {
    let text = Timestamp::from_micros(i64::from(days) * 86_400_000_000).map(|time| time.to_string());
    text.map_or_else(|_| days.to_string(), |text| text.chars().take(10).collect())
}

#[cfg(test)]
mod tests;
