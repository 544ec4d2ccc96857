//! Arbitrary bytes against every decoder and against the recovery of the log.
//!
//! Each target is a function of bytes that panics when an invariant does not hold. The binaries in `targets/` hand it to
//! libFuzzer, which looks for such bytes; `tests/corpus.rs` hands it every input that is kept in `corpus/`.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a target fails by panicking, as a test does")]

mod batch;
mod disk;
mod events;
mod ids;
pub mod input;
mod log_record;
mod manifests;
mod spans;
mod tables;
mod wal_mutation;
mod wal_recovery;

pub use batch::batch;
pub use events::{decode_output, decode_retrieval};
pub use ids::timestamp_and_ids;
pub use log_record::log_record;
pub use manifests::manifest_ndjson;
pub use spans::{spans_json, spans_protobuf};
pub use tables::{arrow_file, arrow_stream, trec_run};
pub use wal_mutation::wal_mutation;
pub use wal_recovery::wal_recovery;

/// What a target is called, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets. Each has a binary in `targets/` and a directory in `corpus/`, both with its name.
pub const TARGETS: [Target; 13] = [
    ("decode_retrieval", decode_retrieval),
    ("decode_output", decode_output),
    ("batch", batch),
    ("log_record", log_record),
    ("wal_recovery", wal_recovery),
    ("wal_mutation", wal_mutation),
    ("manifest_ndjson", manifest_ndjson),
    ("timestamp_and_ids", timestamp_and_ids),
    ("spans_protobuf", spans_protobuf),
    ("spans_json", spans_json),
    ("arrow_stream", arrow_stream),
    ("arrow_file", arrow_file),
    ("trec_run", trec_run),
];

/// The body of a binary in `targets/`.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        libfuzzer_sys::fuzz_target!(
            // libFuzzer's own hook ends the process at any panic, also at one that the product catches (damaged Arrow
            // tables). A panic that nobody catches ends it all the same, and its input is kept.
            init: std::panic::set_hook(Box::new($crate::tell)),
            |bytes: &[u8]| $crate::$name(bytes)
        );
    };
}

/// Says where a panic happened, unless it is one of the many inside of the Arrow decoder, which the product catches.
pub fn tell(panic: &std::panic::PanicHookInfo<'_>) {
    let decoder = panic.location().is_some_and(|place| place.file().contains("arrow-"));
    if !decoder {
        eprintln!("{panic}");
    }
}
