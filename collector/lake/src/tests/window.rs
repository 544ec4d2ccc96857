use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::datatypes::{DataType, Schema};
use futures::TryStreamExt;
use tidemark_schema::{Ingest, RetrievalEvent, Stored, Timestamp};

use super::{lake, retrieval};
use crate::scan::conform;
use crate::table::Table;
use crate::{Filter, Lake, RowStream, Scan, WindowScan};

const COLUMNS: [&str; 7] =
    ["event_id", "occurred_at", "segment", "corpus_version", "query_embedding", "results", "requested_filter"];

/// Each row as a text, in the order of the texts.
async fn rows(stream: RowStream) -> Vec<String> {
    let fields = Table::Retrievals.schema().unwrap();
    let wanted = COLUMNS.map(|name| fields.field_with_name(name).unwrap().clone()).to_vec();
    let wanted = std::sync::Arc::new(Schema::new(wanted));
    let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
    let batches = batches.iter().map(|batch| conform(batch, &wanted).unwrap());
    let row = |batch: &RecordBatch, at| format!("{:?}", batch.slice(at, 1).columns());
    let mut rows: Vec<String> =
        batches.flat_map(|batch| (0..batch.num_rows()).map(|at| row(&batch, at)).collect::<Vec<_>>()).collect();
    rows.sort();
    rows
}

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn event(number: u8, corpus: &str, version: &str, time: &str) -> Stored<RetrievalEvent> {
    let mut row = retrieval(number, corpus, "2024-05-01", Ingest::Live);
    row.event.occurred_at = at(time);
    row.event.corpus_version = Some(version.parse().unwrap());
    if number.is_multiple_of(3) {
        row.event.results.clear();
    }
    row
}

/// A window holds `count` rows, and those are what a scan with the same conditions finds.
async fn check(lake: &Lake, corpus: Option<&str>, version: Option<&str>, between: Option<[&str; 2]>, count: usize) {
    let table = Table::Retrievals;
    let (corpus, corpus_version) = (corpus.map(|name| name.parse().unwrap()), version.map(|v| v.parse().unwrap()));
    let between = between.map(|[from, to]| (at(from), at(to)));
    let columns = COLUMNS.to_vec();
    let filters = [
        corpus.clone().map(Filter::Corpus),
        corpus_version.clone().map(Filter::CorpusVersion),
        between.map(|(from, to)| Filter::Between(from, to)),
    ];
    let scan =
        Scan { table, filters: filters.into_iter().flatten().collect(), columns: columns.clone(), version: None };
    let newest = lake.version(table).await.unwrap();
    let window = WindowScan {
        table,
        corpus,
        corpus_version,
        between,
        columns,
        without: Vec::new(),
        dictionaries: vec!["corpus_version", "segment"],
        optional: Vec::new(),
        version: newest,
    };
    let found = rows(lake.scan_window(window.clone()).await.unwrap()).await;
    assert_eq!(found, rows(lake.scan(scan).await.unwrap()).await, "{window:?}");
    assert_eq!(found.len(), count, "{window:?}");
}

#[tokio::test]
async fn a_window_holds_what_a_scan_with_the_same_conditions_holds() {
    let directory = tempfile::tempdir().unwrap();
    let lake = lake(directory.path()).await;
    let first = vec![
        event(1, "a b=c", "v1", "2024-05-01T00:00:00Z"),
        event(2, "a b=c", "v1", "2024-05-01T12:00:00Z"),
        event(3, "a b=c", "v2", "2024-05-02T00:00:00Z"),
        event(4, "other", "v1", "2024-05-01T12:00:00Z"),
    ];
    let second = vec![
        event(2, "a b=c", "v1", "2024-05-01T12:00:00Z"),
        event(5, "a b=c", "v2", "2024-05-02T23:59:59.999999Z"),
        event(6, "a b=c", "v2", "2024-05-03T00:00:00Z"),
    ];
    for rows in [first, second] {
        lake.append_retrievals(rows, None).await.unwrap();
    }
    let days = |from, to| Some([from, to]);
    check(&lake, None, None, None, 6).await;
    check(&lake, Some("a b=c"), None, None, 5).await;
    check(&lake, Some("a b=c"), Some("v2"), None, 3).await;
    check(&lake, Some("none"), None, None, 0).await;
    check(&lake, Some("a b=c"), None, days("2024-05-01T00:00:00Z", "2024-05-02T00:00:00Z"), 2).await;
    check(&lake, Some("a b=c"), None, days("2024-05-01T00:00:00.000001Z", "2024-05-02T00:00:00.000001Z"), 2).await;
    check(&lake, Some("a b=c"), None, days("2024-05-02T00:00:00Z", "2024-05-03T00:00:00Z"), 2).await;
    check(&lake, Some("a b=c"), Some("v1"), days("2024-05-01T06:00:00Z", "2024-05-09T00:00:00Z"), 1).await;
}

#[tokio::test]
async fn a_member_in_which_a_file_holds_nothing_may_be_left_out_and_texts_that_repeat_are_dictionaries() {
    let directory = tempfile::tempdir().unwrap();
    let lake = lake(directory.path()).await;
    lake.append_retrievals(vec![event(1, "c", "v1", "2024-05-01T00:00:00Z")], None).await.unwrap();
    let window = WindowScan {
        table: Table::Retrievals,
        corpus: None,
        corpus_version: None,
        between: None,
        columns: vec!["event_id", "segment", "corpus_version", "results"],
        without: vec!["rank"],
        dictionaries: vec!["corpus_version", "segment"],
        optional: vec!["tokens", "scope"],
        version: lake.version(Table::Retrievals).await.unwrap(),
    };
    let batches: Vec<RecordBatch> = lake.scan_window(window).await.unwrap().try_collect().await.unwrap();
    let type_of = |column: &str| batches[0].schema().field_with_name(column).unwrap().data_type().to_string();
    assert_eq!(type_of("corpus_version"), "Dictionary(Int32, Utf8)");
    assert!(type_of("segment").contains("\"value\": Dictionary(Int32, Utf8)"), "{}", type_of("segment"));
    let DataType::List(element) = batches[0].schema().field_with_name("results").unwrap().data_type().clone() else {
        panic!("no list");
    };
    let DataType::Struct(members) = element.data_type() else { panic!("no structs") };
    let members: Vec<String> =
        members.iter().map(|member| format!("{} {}", member.name(), member.data_type())).collect();
    let expected = [
        "doc_id Dictionary(Int32, Utf8)",
        "score Float64",
        "content_hash Dictionary(Int32, Utf8)",
        "tokens Int32",
        "updated_at Timestamp(µs, \"UTC\")",
    ];
    assert_eq!(members, expected);
}
