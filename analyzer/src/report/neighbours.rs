//! How similar questions were compared.

use serde::Serialize;

/// What similar questions are found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NeighbourBasis {
    /// The embeddings of the questions.
    Embedding,
    /// Features of their texts.
    Text,
    /// The document that their answers begin with: where questions are embedded in another way and texts are not known.
    FirstDocument,
}

/// Groups of similar questions, each compared as if it were one question.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct NeighboursReport {
    /// What they are found by.
    pub basis: NeighbourBasis,
    /// How many groups are compared.
    pub groups: usize,
    /// In how many of 64 bits the hashes of a group's questions differ at most from those of its first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub differing_bits: Option<u32>,
    /// Distance of answers to one question in the reference: of repeats, else the variogram at 0.
    pub nugget: f64,
    /// Distance of answers to questions that have nothing to do with each other.
    pub sill: f64,
    /// Whether questions are embedded in another way than in the reference: hardly any has a neighbour there by its embedding,
    /// though their texts or their answers do.
    pub embedder_moved: bool,
}
