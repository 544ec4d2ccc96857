mod faults;
mod faulty;
mod load;
mod maintenance;
mod partitions;
mod sql;
mod window;

use futures::TryStreamExt;
use tidemark_schema::columns::{outputs, retrievals};
use tidemark_schema::{Ingest, OutputEvent, RetrievalEvent, Stored, Timestamp};

use crate::{Appended, Filter, Lake, Location, Position, Scan, Table};

/// An event of a corpus, a day and an operation. The decoder lives in another crate, so it is made here.
fn retrieval(number: u8, corpus: &str, day: &str, ingest: Ingest) -> Stored<RetrievalEvent> {
    let occurred_at = Timestamp::from_date(day).unwrap();
    Stored {
        received_at: occurred_at,
        ingest,
        event: RetrievalEvent {
            event_id: tidemark_schema::EventId::from_bytes([number; 16]),
            occurred_at,
            operation_id: format!("op-{number}").parse().unwrap(),
            attempt: 1,
            trace_id: Some(format!("trace-{number}").parse().unwrap()),
            span_id: None,
            principal: None,
            service: Some("support".parse().unwrap()),
            environment: None,
            segment: [("locale".parse().unwrap(), "de".parse().unwrap())].into(),
            corpus: corpus.parse().unwrap(),
            corpus_version: Some("v1".parse().unwrap()),
            retriever: tidemark_schema::Retriever::default(),
            query: tidemark_schema::Query {
                text: None,
                fingerprint: format!("q{}", 200 - number).parse().unwrap(),
                previous_fingerprint: Some("old".parse().unwrap()),
                simhash: Some(tidemark_schema::SimHash(7)),
                embedding: Some(vec![0.5, -0.25]),
            },
            requested: tidemark_schema::Requested {
                top_k: Some(10),
                scope: vec!["public".parse().unwrap()],
                ..tidemark_schema::Requested::default()
            },
            results: vec![document("a", Some(0.9)), document("https://example.com/b?c=d#e", None)],
            results_total: None,
            model: None,
            prompt_version: None,
            policy_version: None,
            latency_ms: tidemark_schema::Finite::new(12.5).ok(),
            cost_usd: None,
            marks: ["bound.results".parse().unwrap()].into(),
            attributes: [("note".to_owned(), serde_json::json!({"a": [1]}))].into(),
        },
    }
}

fn document(id: &str, score: Option<f64>) -> tidemark_schema::RetrievedDocument {
    tidemark_schema::RetrievedDocument {
        doc_id: id.parse().unwrap(),
        score: score.and_then(|score| tidemark_schema::Finite::new(score).ok()),
        content_hash: Some("b3:1".parse().unwrap()),
        tokens: Some(3),
        updated_at: Timestamp::from_date("2024-01-01").ok(),
        scope: None,
    }
}

fn output(number: u8) -> Stored<OutputEvent> {
    let occurred_at = Timestamp::from_date("2024-05-01").unwrap();
    let event = OutputEvent {
        event_id: tidemark_schema::EventId::from_bytes([number; 16]),
        occurred_at,
        operation_id: format!("op-{number}").parse().unwrap(),
        attempt: 2,
        trace_id: None,
        principal: None,
        service: None,
        model: Some("m".parse().unwrap()),
        prompt_version: None,
        policy_version: None,
        output: tidemark_schema::OutputBody { tokens: Some(9), ..tidemark_schema::OutputBody::default() },
        citations: vec!["a".parse().unwrap()],
        refusal: Some(false),
        scores: [("faithfulness".parse().unwrap(), tidemark_schema::Finite::new(0.5).unwrap())].into(),
        feedback: None,
        latency_ms: None,
        cost_usd: None,
        marks: ["redacted.email".parse().unwrap()].into(),
    };
    Stored { received_at: occurred_at, ingest: Ingest::Live, event }
}

pub(super) async fn lake(directory: &std::path::Path) -> Lake {
    Lake::create(Location::parse(&directory.to_string_lossy(), std::iter::empty()).unwrap()).await.unwrap()
}

pub(super) async fn read(lake: &Lake, filters: Vec<Filter>, version: Option<u64>) -> Vec<Stored<RetrievalEvent>> {
    let scan = Scan { table: Table::Retrievals, filters, columns: Vec::new(), version };
    let batches: Vec<_> = lake.scan(scan).await.unwrap().try_collect().await.unwrap();
    batches.iter().flat_map(|batch| retrievals::decode(batch).unwrap()).collect()
}

const DAY: &str = "2024-05-01";

#[tokio::test]
async fn what_is_written_is_read_back_field_by_field() {
    let directory = tempfile::tempdir().unwrap();
    let lake = lake(directory.path()).await;
    let event = retrieval(1, "handbook", DAY, Ingest::Live);
    lake.append_retrievals(vec![event.clone()], None).await.unwrap();
    assert_eq!(read(&lake, Vec::new(), None).await, [event]);
    lake.append_outputs(vec![output(1)], None).await.unwrap();
    let scan = Scan { table: Table::Outputs, filters: Vec::new(), columns: Vec::new(), version: None };
    let batches: Vec<_> = lake.scan(scan).await.unwrap().try_collect().await.unwrap();
    assert_eq!(outputs::decode(&batches[0]).unwrap(), [output(1)]);
}

#[tokio::test]
async fn a_corpus_with_an_odd_name_stays_inside_the_table() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let lake = lake(&store).await;
    let names = ["team/handbook", "a b=c", "50%", "Ünïcode:*?", "x..y", "..."];
    for (number, name) in (1..).zip(names) {
        lake.append_retrievals(vec![retrieval(number, name, DAY, Ingest::Live)], None).await.unwrap();
    }
    for name in names {
        let found = read(&lake, vec![Filter::Corpus(name.parse().unwrap())], None).await;
        assert_eq!(found.len(), 1, "{name}");
        assert_eq!(found[0].event.corpus.as_str(), name);
    }
    let beside: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(beside, ["store"]);
}

#[tokio::test]
async fn the_position_of_a_log_is_committed_with_its_rows() {
    let directory = tempfile::tempdir().unwrap();
    let lake = lake(directory.path()).await;
    let position = |next| Some(Position { writer: "log-1".to_owned(), next });
    assert_eq!(lake.committed(Table::Retrievals, "log-1").await.unwrap(), None);
    lake.append_retrievals(vec![retrieval(1, "c", DAY, Ingest::Live)], position(17)).await.unwrap();
    lake.append_retrievals(vec![retrieval(2, "c", DAY, Ingest::Live)], position(20)).await.unwrap();
    assert_eq!(lake.committed(Table::Retrievals, "log-1").await.unwrap(), Some(20));
    assert_eq!(lake.committed(Table::Retrievals, "log-2").await.unwrap(), None);
    assert_eq!(lake.committed(Table::Outputs, "log-1").await.unwrap(), None);
}

#[tokio::test]
async fn an_event_that_is_not_live_is_looked_up_before_it_is_stored() {
    let directory = tempfile::tempdir().unwrap();
    let lake = lake(directory.path()).await;
    let event = |number, ingest| retrieval(number, "c", DAY, ingest);
    lake.append_retrievals(vec![event(1, Ingest::Live)], None).await.unwrap();
    let again = vec![event(1, Ingest::Late), event(2, Ingest::Late), event(2, Ingest::Imported)];
    let appended = lake.append_retrievals(again, None).await.unwrap();
    assert_eq!(appended, Appended { rows: 1, duplicates: 2 });
    assert_eq!(read(&lake, Vec::new(), None).await.len(), 2);
}

#[tokio::test]
async fn a_copy_that_slipped_into_the_files_is_read_once() {
    let directory = tempfile::tempdir().unwrap();
    let lake = lake(directory.path()).await;
    for _ in 0..2 {
        lake.append_retrievals(vec![retrieval(1, "c", DAY, Ingest::Live)], None).await.unwrap();
    }
    assert_eq!(read(&lake, Vec::new(), None).await.len(), 1);
    let scan = Scan { table: Table::Retrievals, filters: Vec::new(), columns: vec!["corpus"], version: None };
    let batches: Vec<_> = lake.scan(scan).await.unwrap().try_collect().await.unwrap();
    assert_eq!(batches.iter().map(deltalake::arrow::array::RecordBatch::num_rows).sum::<usize>(), 1);
    assert_eq!(batches[0].num_columns(), 1, "the id that tells copies apart was not asked for");
}

#[tokio::test]
async fn filters_select_and_an_old_version_is_read_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let lake = lake(directory.path()).await;
    lake.append_retrievals(vec![retrieval(1, "c", DAY, Ingest::Live)], None).await.unwrap();
    let version = lake.version(Table::Retrievals).await.unwrap();
    lake.append_retrievals(vec![retrieval(2, "c", "2024-05-02", Ingest::Live)], None).await.unwrap();
    assert_eq!(read(&lake, Vec::new(), Some(version)).await.len(), 1);
    let between = |from: &str, to: &str| {
        vec![Filter::Between(Timestamp::from_date(from).unwrap(), Timestamp::from_date(to).unwrap())]
    };
    assert_eq!(read(&lake, between(DAY, "2024-05-02"), None).await.len(), 1, "the end of a window is not in it");
    assert_eq!(read(&lake, between(DAY, "2024-05-03"), None).await.len(), 2);
    assert_eq!(read(&lake, vec![Filter::Trace("trace-2".parse().unwrap())], None).await.len(), 1);
    assert_eq!(read(&lake, vec![Filter::Operation("op-9".parse().unwrap())], None).await.len(), 0);
    assert_eq!(read(&lake, vec![Filter::Fingerprints(vec!["q199".parse().unwrap()])], None).await.len(), 1);
    assert_eq!(read(&lake, vec![Filter::CorpusVersion("v1".parse().unwrap())], None).await.len(), 2);
    // A value is a value, whatever it looks like.
    assert_eq!(read(&lake, vec![Filter::Trace("' OR '1'='1".parse().unwrap())], None).await.len(), 0);
}

#[tokio::test]
async fn a_store_that_is_not_there_is_said_to_be_missing() {
    let directory = tempfile::tempdir().unwrap();
    let location = Location::parse(&directory.path().join("x").to_string_lossy(), std::iter::empty()).unwrap();
    assert!(matches!(Lake::open(location).await, Err(crate::Error::NoStore(_))));
}

#[test]
fn the_page_about_the_tables_lists_their_columns() {
    let page = include_str!("../../TABLE.md");
    for table in Table::ALL {
        for field in table.schema().unwrap().fields() {
            let name = field.name();
            let listed = [format!("| {name}"), format!(", {name}")].iter().any(|cell| {
                page.match_indices(cell.as_str())
                    .any(|(at, found)| page[at + found.len()..].starts_with([' ', ',', '*']))
            });
            assert!(listed, "TABLE.md does not list {name} of {}", table.name());
        }
    }
}

#[test]
fn the_schemas_of_the_tables_are_what_readers_rely_on() {
    for table in Table::ALL {
        let schema = table.schema().unwrap();
        let lines: Vec<String> = schema.fields().iter().map(|f| format!("{}: {}", f.name(), f.data_type())).collect();
        insta::assert_snapshot!(table.name(), lines.join("\n"));
    }
}
