//! Queries of a collection, recorded: one, two at once, and two that have no answer:
//! `recorded_qdrant QDRANT_URL TIDEMARK_URL`.

#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use std::sync::Arc;

use qdrant_client::Qdrant;
use qdrant_client::qdrant::{QueryBatchPointsBuilder, QueryPointsBuilder, VectorInput};
use tidemark_client::{Asked, Bounds, RecordedQdrant, Recorder, Retrieval, Scope, Settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(qdrant), Some(tidemark)) = (arguments.next(), arguments.next()) else {
        return Err("two addresses are needed".into());
    };
    let recorder = Arc::new(Recorder::start(Settings::new(tidemark))?);
    let client = Qdrant::from_url(&qdrant).skip_compatibility_check().build()?;
    let template = Retrieval { corpus: "handbook".into(), corpus_version: Some("v12".into()), ..Retrieval::default() };
    let scope = Scope { field: "tenant".into(), allowed: vec!["a".into()] };
    let bounds = Bounds { limit: Some(3), scope: Some(scope) };
    let recorded = RecordedQdrant::new(client, recorder.clone(), template, bounds);
    let query = QueryPointsBuilder::new("handbook").query(vec![0.1, 0.9]).limit(50);
    let answer = recorded.query(query.clone(), Asked::text("how do I reset my badge")).await?;
    for point in &answer.result {
        println!("{:?} {}", point.id, point.score);
    }
    let both = QueryBatchPointsBuilder::new("handbook", vec![query.clone().limit(2).build(), query.offset(1).build()]);
    recorded.query_batch(both, vec![Asked::text("who has a badge"), Asked::text("who has none")]).await?;
    let like_another = QueryPointsBuilder::new("handbook").query(VectorInput::from(1_u64));
    let elsewhere = QueryPointsBuilder::new("nowhere").query(vec![0.1, 0.9]);
    for request in [like_another, elsewhere] {
        if let Err(error) = recorded.query(request, Asked::default()).await {
            println!("{error}");
        }
    }
    println!("{} failed, {} refused", recorded.failed(), recorded.refused());
    recorder.flush(std::time::Duration::from_secs(10));
    Ok(())
}
