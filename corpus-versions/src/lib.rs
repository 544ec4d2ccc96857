//! What each corpus version held: which documents, with which content, and what changed between two versions.
//!
//! A manifest comes in as NDJSON or Parquet ([`encode_ndjson`], [`read_parquet`]), is sorted and stands for itself by its
//! Merkle root ([`merkle`]), is put on record under a name that never changes its content ([`Registry::register`]), and is
//! compared with another one ([`diff()`]), so that a document which a retriever lost can be told from one that the corpus lost.
//!
//! What is absent: no clock (the time of a registration is an argument), no contents (hashes only), no decompression, no
//! embedding model, no vector store; and no judgement: whether a change explains a drift is the analyzer's business.
//!
//! Read three types first: [`Manifest`], the documents of one version in memory, sorted and each there once;
//! [`EncodedManifest`], the same in its stored form, which is made entry by entry; and [`Registry`], the versions in an
//! object store.

mod buckets;
mod diff;
mod encoding;
mod error;
mod hint;
mod manifest;
pub mod merkle;
mod qrels;
mod read;
mod registry;
#[cfg(test)]
mod samples;
mod version;
mod write;

pub use buckets::EncodedManifest;
pub use diff::{DiffExamples, DiffSummary, ManifestDiff, diff};
pub use error::{Error, Fault};
pub use manifest::{Manifest, ManifestEntry};
pub use merkle::{InvalidRoot, MerkleRoot};
pub use qrels::{InvalidQrels, Qrels};
pub use read::{DEFAULT_MAX_ENTRIES, MAX_LINE_BYTES, encode_ndjson, read_ndjson, read_parquet};
pub use registry::{Registered, Registry};
pub use version::{CorpusVersionRecord, ManifestFormat, NewVersion, State};
pub use write::write_parquet;
