//! The hashes by which similar queries are found: in how many bits two differ says how different the queries are.

/// Which of them is looked at.
pub(crate) type Hash = fn(Signatures) -> Option<u64>;

/// The 64-bit `SimHash`es of one query (Charikar 2002).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Signatures {
    /// Of its embedding, if the event carried one.
    pub embedding: Option<u64>,
    /// Of its text, made at ingest.
    pub text: Option<u64>,
}

impl Signatures {
    /// The one that tells most.
    pub fn best(self) -> Option<u64> {
        self.embedding.or(self.text)
    }
}
