//! What a Rust service links to record its retrievals.
