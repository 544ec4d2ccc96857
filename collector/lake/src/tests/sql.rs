//! INV-04: whatever is asked in SQL, memory, disk, time and the answer are bounded.

use std::time::{Duration, Instant};

use serde_json::Value;
use tidemark_schema::Ingest;

use super::{DAY, lake, retrieval};
use crate::{Lake, SqlAnswer, SqlError, SqlForm, SqlLimits};

async fn ask(lake: &Lake, query: &str, limits: SqlLimits) -> Result<SqlAnswer, SqlError> {
    let begin = Instant::now();
    let answer = lake.sql(query, SqlForm::Json, limits).await;
    assert!(begin.elapsed() < Duration::from_secs(20), "{query} took {:?}", begin.elapsed());
    answer
}

async fn refusal(query: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    match ask(&lake(directory.path()).await, query, SqlLimits::default()).await {
        Err(error) => error.to_string().lines().next().unwrap().to_owned(),
        Ok(answer) => panic!("{query} has an answer of {} bytes", answer.content.len()),
    }
}

fn rows(answer: &SqlAnswer) -> Vec<Value> {
    serde_json::from_slice(&answer.content).unwrap()
}

#[tokio::test]
async fn functions_that_make_long_values_out_of_short_ones_are_refused_by_name() {
    for call in [
        "repeat('x', 2000000000)",
        "lpad('x', 2000000000)",
        "rpad('x', 2000000000, 'y')",
        "range(1, 1000000000)",
        "generate_series(1, 1000000000)",
        "array_repeat(1, 1000000000)",
        "list_repeat(1, 1000000000)",
        "array_resize([1], 1000000000, 1)",
        "replace('xx', 'x', 'long')",
        "regexp_replace('xx', 'x', 'long', 'g')",
        "array_to_string([1, 2], 'long')",
        "arrow_cast(NULL, 'FixedSizeBinary(2000000000)')",
    ] {
        let name = call.split('(').next().unwrap();
        let expected = format!("the query cannot be answered: {name} is not offered in queries: only functions are");
        // What a table function is given is worked out while the query is planned.
        for query in [format!("SELECT {call}"), format!("SELECT * FROM generate_series(1, length({call}))")] {
            let refused = refusal(&query).await;
            assert!(refused.starts_with(&expected), "{query}: {refused}");
        }
    }
    insta::assert_snapshot!(refusal("SELECT reapet('x', 2)").await, @"the query cannot be answered: Error during planning: Invalid function 'reapet'.");
}

/// `levels` subqueries around `SELECT 'x' AS s`, each of which makes `s` of what is inside.
fn nested(levels: usize, step: &str) -> String {
    format!("{}SELECT 'x' AS s{}", format!("SELECT {step} AS s FROM (").repeat(levels), ")".repeat(levels))
}

#[tokio::test]
async fn doubling_through_subqueries_is_refused_before_it_begins() {
    for step in ["s || s", "concat(s, s)", "encode(CAST(s AS BYTEA), 'hex')", "CASE WHEN true THEN s || s END"] {
        let refused = refusal(&nested(12, step)).await;
        assert!(refused.starts_with("the query needs a function or || over more than 128 values"), "{step}: {refused}");
    }
    for step in ["[s, s]", "struct(s, s)"] {
        assert!(refusal(&nested(12, step)).await.starts_with("the query needs a function or || over"), "{step}");
    }
    let (open, close) = ("SELECT (SELECT max(t.s || t.s) FROM (SELECT 1) u) AS s FROM (", ") t");
    let correlated = format!("{}SELECT 'x' AS s{}", open.repeat(9), close.repeat(9));
    assert!(refusal(&correlated).await.starts_with("the query needs a function or || over"));
    let sums = nested(12, "s + s").replace("'x'", "1");
    assert!(
        refusal(&format!("SELECT * FROM ({sums}) WHERE s > 0")).await.starts_with("the query needs an expression of")
    );
    let literals = format!("SELECT s || s || s || s || s FROM (SELECT '{}' AS s)", "x".repeat(2_000));
    assert!(refusal(&literals).await.starts_with("the query needs a function or ||"));
    let recursive = "WITH RECURSIVE t AS (SELECT 'x' AS s UNION ALL SELECT s || s FROM t) SELECT * FROM t";
    insta::assert_snapshot!(refusal(recursive).await, @"the query cannot be answered: This feature is not implemented: Recursive CTEs are not enabled");
    assert!(refusal("SELECT CAST(NULL AS BIGINT[1000000000])").await.contains("of a fixed length are not offered"));
}

#[tokio::test]
async fn a_plan_that_is_used_again_and_again_is_refused_before_it_is_walked_through() {
    let doubled = |levels| {
        let steps = (1..=levels).map(|level| format!(", t{level} AS (SELECT a.n FROM t{0} a, t{0} b)", level - 1));
        format!("WITH t0 AS (SELECT 1 AS n){} SELECT * FROM t{levels}", steps.collect::<String>())
    };
    insta::assert_snapshot!(refusal(&doubled(60)).await, @"the query needs more than 24 tables and subqueries by name");
    insta::assert_snapshot!(refusal(&doubled(11)).await, @"the query needs more than 256 steps once its subqueries are written out");
}

#[tokio::test]
async fn what_is_usual_is_answered() {
    let directory = tempfile::tempdir().unwrap();
    let lake = lake(directory.path()).await;
    lake.append_retrievals(vec![retrieval(1, "c", DAY, Ingest::Live)], None).await.unwrap();
    let in_list = (0..200).map(|number| format!("'d{number}'")).collect::<Vec<_>>().join(",");
    for query in [
        "SELECT corpus || '/' || corpus_version || ':' || lower(query_fingerprint) AS name FROM retrievals".to_owned(),
        format!("SELECT count(*) FROM (SELECT unnest(results)['doc_id'] AS d FROM retrievals) WHERE d NOT IN ({in_list})"),
        "SELECT corpus, array_sort(array_agg(DISTINCT operation_id)) FROM retrievals GROUP BY corpus".to_owned(),
        "SELECT row_number() OVER (PARTITION BY corpus ORDER BY occurred_at) AS n, encode(event_id, 'hex') FROM retrievals"
            .to_owned(),
        "WITH a AS (SELECT * FROM retrievals), b AS (SELECT corpus, count(*) AS n FROM a GROUP BY corpus) \
         SELECT a.corpus, b.n FROM a JOIN b ON a.corpus = b.corpus WHERE EXISTS (SELECT 1 FROM b WHERE b.corpus = a.corpus)"
            .to_owned(),
        "SELECT corpus FROM retrievals UNION ALL SELECT 'x' ORDER BY 1 LIMIT 1".to_owned(),
        "DESCRIBE retrievals".to_owned(),
    ] {
        let answer = ask(&lake, &query, SqlLimits::default()).await;
        assert!(answer.as_ref().is_ok_and(|answer| !rows(answer).is_empty()), "{query}: {answer:?}");
    }
}

#[tokio::test]
async fn an_answer_ends_at_its_limit_in_the_form_in_which_it_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    let lake = lake(directory.path()).await;
    let limits = SqlLimits { bytes: 20_000, ..SqlLimits::default() };
    // Eight bytes in memory, and more than a hundred as JSON.
    let query = format!("SELECT value AS {} FROM generate_series(1, 1000000)", "n".repeat(100));
    let answer = ask(&lake, &query, limits).await.unwrap();
    assert!(answer.truncated && (19_000..=20_001).contains(&answer.content.len()), "{}", answer.content.len());
    assert!((150..200).contains(&rows(&answer).len()));
    let answer = lake.sql(&query, SqlForm::ArrowStream, limits).await.unwrap();
    assert!(answer.truncated && answer.content.len() <= 20_010, "{}", answer.content.len());
    let stream = arrow_ipc::reader::StreamReader::try_new(answer.content.as_slice(), None).unwrap();
    let rows: usize = stream.map(|batch| batch.unwrap().num_rows()).sum();
    assert!(rows > 1_000, "{rows}");
    for form in [SqlForm::Json, SqlForm::ArrowStream] {
        let long = format!("SELECT '{}' AS text", "x".repeat(2_000));
        let refused = lake.sql(&long, form, SqlLimits { bytes: 1_000, ..limits }).await;
        let expected = "the query needs more than 1000 bytes for the first row of its answer";
        assert_eq!(refused.unwrap_err().to_string(), expected);
        let none = lake.sql("SELECT 1 AS one FROM outputs", form, limits).await.unwrap();
        assert!(!none.truncated);
    }
}

#[tokio::test]
async fn rows_beyond_the_limit_are_left_out_and_as_many_as_it_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let lake = lake(directory.path()).await;
    for (there, truncated) in [(1_023, false), (1_024, false), (1_025, true), (5_000, true)] {
        let limits = SqlLimits { rows: 1_024, ..SqlLimits::default() };
        let answer = ask(&lake, &format!("SELECT value FROM generate_series(1, {there})"), limits).await.unwrap();
        assert_eq!((rows(&answer).len(), answer.truncated), (there.min(1_024), truncated));
    }
}

#[tokio::test]
async fn what_a_query_puts_aside_on_disk_is_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let lake = lake(directory.path()).await;
    let query =
        "SELECT count(*) FROM (SELECT value FROM generate_series(1, 20000000) ORDER BY -value, value % 7 OFFSET 1)";
    let limits = SqlLimits { spill_bytes: 1024 * 1024, ..SqlLimits::default() };
    insta::assert_snapshot!(ask(&lake, query, limits).await.unwrap_err(), @"the query needs more memory or disk than a query may take; ask for fewer columns, rows or groups");
}
