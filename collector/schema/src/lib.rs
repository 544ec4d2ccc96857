//! The vocabulary of Tidemark: what a retrieval, an output and a corpus are called, and what values they may hold.
//!
//! Start with [`RetrievalEvent`] (one answer of one retriever to one query) and [`OutputEvent`] (what the model made of
//! it). Both are plain values: every text that identifies something is a newtype that was parsed once ([`ids`]), every
//! number is finite ([`Finite`]), every time is UTC in microseconds ([`Timestamp`]). The tables' columns are declared
//! here and nowhere else ([`columns`]).
//!
//! What is absent: no I/O, no async runtime, no HTTP. The one clock lives in [`time::SystemClock`]; everything else is
//! handed the time.

pub mod columns;
mod error_kind;
mod event;
mod fingerprint;
pub mod ids;
mod number;
mod output;
mod simhash;
pub mod time;

pub use error_kind::ErrorKind;
pub use event::{Ingest, Query, Requested, RetrievalEvent, RetrievedDocument, Retriever, ScoreKind, Stored};
pub use fingerprint::{FingerprintKey, FingerprintKeys, normalise_query};
pub use ids::{
    ContentHash, CorpusName, CorpusVersion, DocumentId, EventId, Fingerprint, InvalidId, Label, OperationId, SpanId,
    TenantName, TraceId,
};
pub use number::{Finite, NotFinite};
pub use output::{OutputBody, OutputEvent};
pub use simhash::SimHash;
pub use time::{Clock, InvalidTime, ManualClock, SystemClock, Timestamp};
