//! What a Rust service links to record its retrievals.
//!
//! ```no_run
//! use tidemark_client::{Document, Query, Recorder, Retrieval, Settings};
//!
//! let recorder = Recorder::start(Settings::new("http://127.0.0.1:7700"))?;
//! recorder.record(Retrieval {
//!     corpus: "handbook".into(),
//!     query: Query { text: Some("how do I reset my badge".into()), ..Query::default() },
//!     results: vec![Document::scored("hr/badges.md#3", 0.83)],
//!     ..Retrieval::default()
//! });
//! # Ok::<(), tidemark_client::StartError>(())
//! ```
//!
//! # What is promised
//!
//! - [`Recorder::record`] moves the event into a bounded queue and returns: no request, no file, no error.
//! - One thread groups events, tries again with growing pauses, and puts aside on disk what cannot be sent, if it was given a
//!   place ([`Settings::spill`]); another makes the requests, so that one that hangs holds nothing up. Memory and disk have
//!   limits.
//! - Each event is stored once: it gets an id before it is first sent, and the server knows it again.
//! - What is not stored is counted, with the reason ([`Counters`], [`Recorder::last_error`]).
//!
//! What is absent: async. A thread that sleeps costs less than a runtime, and a service without one can use it.

mod answer;
mod backoff;
mod counters;
mod event;
#[cfg(feature = "qdrant")]
mod qdrant;
mod queue;
mod recorder;
mod sender;
mod settings;
mod spill;
mod transport;

pub use counters::Counters;
pub use event::{Answer, Document, Output, Query, Requested, Retrieval, Retriever};
#[cfg(feature = "qdrant")]
pub use qdrant::{Asked, Bounds, OutOfBounds, QueryError, RecordedQdrant, Scope, TOP_K_BOUND};
pub use recorder::{Recorder, StartError};
pub use settings::{Settings, Spill};
pub use tidemark_schema::{ScoreKind, Timestamp};
