//! The snippet of the README.

#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use tidemark_client::{Document, Query, Recorder, Retrieval, Settings};

fn main() -> Result<(), tidemark_client::StartError> {
    let url = std::env::var("TIDEMARK_URL").unwrap_or_else(|_| "http://127.0.0.1:7700".to_owned());
    let recorder = Recorder::start(Settings::new(url))?;
    recorder.record(Retrieval {
        corpus: "handbook".into(),
        query: Query { text: Some("how do I reset my badge".into()), ..Query::default() },
        results: vec![Document::scored("hr/badges.md#3", 0.83)],
        ..Retrieval::default()
    });
    println!("{:?}", recorder.close());
    Ok(())
}
