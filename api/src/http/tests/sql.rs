use insta::assert_snapshot;

use super::*;

impl Server {
    async fn sql(&self, query: &str) -> Answer {
        self.post("/v1/sql", serde_json::json!({ "query": query }).to_string()).await
    }
}

#[tokio::test]
async fn tables_are_asked_in_sql() {
    let server = server().await;
    server.post("/v1/retrievals", (1..=3).map(retrieval).collect::<Vec<_>>().join("\n")).await;
    server.flush().await;
    let answer = server
        .sql("SELECT corpus, count(*) AS documents, max(d['score']) AS best FROM (SELECT corpus, unnest(results) AS d FROM retrievals) GROUP BY corpus")
        .await;
    assert_snapshot!(answer.text, @r#"{"columns":["corpus","documents","best"],"rows":[{"corpus":"handbook","documents":6,"best":0.9}],"truncated":false}"#);
    assert_eq!(answer.header("tidemark-truncated"), "false");
    let none = server.sql("SELECT 1 AS one FROM outputs").await;
    assert_snapshot!(none.text, @r#"{"columns":["one"],"rows":[],"truncated":false}"#);
}

#[tokio::test]
async fn an_answer_is_an_arrow_stream_for_those_who_want_one() {
    let server = server().await;
    let request = Request::post("/v1/sql").header("accept", "text/html, application/vnd.apache.arrow.stream;q=0.9");
    let request = request.header(header::HOST, "localhost:7700").body(Body::from(r#"{"query":"SELECT 7 AS seven"}"#));
    let response = server.router.clone().oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/vnd.apache.arrow.stream");
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let mut batches = arrow_ipc::reader::StreamReader::try_new(&bytes[..], None).unwrap();
    let batch = batches.next().unwrap().unwrap();
    assert_eq!((batch.num_rows(), batch.schema().field(0).name().as_str()), (1, "seven"));
}

#[tokio::test]
async fn whoever_asks_in_sql_reads_tables_and_nothing_else() {
    let server = server().await;
    let mut answers = Vec::new();
    for query in [
        "SELEC 1",
        "SELECT nothing FROM outputs",
        "SELECT 1; SELECT 2",
        "DELETE FROM retrievals",
        "DROP TABLE retrievals",
        "COPY retrievals TO 'out.parquet'",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "SET datafusion.execution.batch_size = 1",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM information_schema.tables",
        "EXPLAIN SELECT 1",
    ] {
        let refusal = server.sql(query).await.refusal();
        // A column that is not there is answered with those that are.
        answers.push(refusal.lines().next().unwrap().to_owned());
    }
    answers.push(server.post("/v1/sql", r#"{"sql":"SELECT 1"}"#).await.refusal());
    assert_snapshot!(answers.join("\n"), @r#"
    422 invalid: the query cannot be answered: SQL error: ParserError("Expected: an SQL statement, found: SELEC at Line: 1, Column: 1")
    422 invalid: the query cannot be answered: Schema error: No field named nothing.
    422 invalid: the query cannot be answered: This feature is not implemented: The context currently only supports a single SQL statement
    422 invalid: the query cannot be answered: Error during planning: DML not supported: Delete
    422 invalid: the query cannot be answered: Error during planning: DDL not supported: DropTable
    422 invalid: the query cannot be answered: COPY is not supported
    422 invalid: the query cannot be answered: Error during planning: DDL not supported: CreateExternalTable
    422 invalid: the query cannot be answered: Error during planning: Statement not supported: SetVariable
    422 invalid: the query cannot be answered: Error during planning: table 'datafusion.public./etc/passwd' not found
    422 invalid: the query cannot be answered: Error during planning: table 'datafusion.information_schema.tables' not found
    422 invalid: the query cannot be answered: EXPLAIN is not supported
    422 invalid: the body is not what is expected: unknown field `sql`, expected `query` at line 1 column 6
    "#);
}

/// INV-04: nothing grows without a bound.
#[tokio::test]
async fn what_a_query_takes_is_bounded() {
    let mut options = Options::default();
    options.limits.sql = tidemark_lake::SqlLimits { rows: 5, time: Duration::from_millis(1_500), ..options.limits.sql };
    let server = server_with(options).await;
    let answer = server.sql("SELECT value FROM generate_series(1, 7)").await;
    assert_eq!((&answer.json()["truncated"], answer.json()["rows"].as_array().unwrap().len()), (&true.into(), 5));
    assert_eq!(answer.header("tidemark-truncated"), "true");
    assert_snapshot!(server.sql(&format!("SELECT '{}'", "x".repeat(4 * 1024))).await.refusal(), @"422 invalid: the query needs 4105 bytes of text, the limit is 4096");
    let endless = "SELECT count(*) FROM generate_series(1, 1000000000000) a";
    assert_snapshot!(server.sql(endless).await.refusal(), @"422 invalid: the query needs more than 1.5 s");
    let greedy = "SELECT string_agg(CAST(value AS VARCHAR), ',') FROM generate_series(1, 1000000000)";
    assert_eq!(server.sql(greedy).await.status, 422);
    assert_snapshot!(server.sql("SELECT repeat('x', 2000000000)").await.refusal(), @"422 invalid: the query cannot be answered: repeat is not offered in queries: only functions are whose results are about as long as their arguments");
    // As deep as the text is long.
    for deep in [
        format!("SELECT 1{}", "+1".repeat(2_040)),
        format!("SELECT {}1{}", "(".repeat(2_000), ")".repeat(2_000)),
        format!("SELECT {}1", "NOT ".repeat(1_000)),
    ] {
        let answer = server.sql(&deep).await;
        assert!([200, 422].contains(&answer.status), "{}", answer.text);
    }
    assert_eq!(server.get("/livez").await.status, 200);
}

#[tokio::test]
async fn an_answer_in_json_is_no_longer_than_its_limit_and_is_whole_json() {
    let mut options = Options::default();
    options.limits.sql.bytes = 10_000;
    let server = server_with(options).await;
    let answer = server.sql("SELECT value AS a_long_name_that_each_row_repeats FROM generate_series(1, 9000)").await;
    assert_eq!((answer.status, answer.header("tidemark-truncated")), (200, "true"));
    assert!(answer.text.len() < 10_200, "{}", answer.text.len());
    let json = answer.json();
    assert_eq!(json["truncated"], true);
    assert!((150..300).contains(&json["rows"].as_array().unwrap().len()));
}
