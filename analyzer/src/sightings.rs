//! What integrity is judged by: counted over every row of a window, because a breach is rare by nature and a sample
//! would miss it.

use std::collections::{BTreeMap, HashMap};

/// Which documents were returned as what, and what went beyond its bounds.
#[derive(Debug, Default)]
pub struct Sightings {
    /// In how many retrievals that declare a version of the corpus (its number) a state of a document was returned.
    pub documents: HashMap<(u32, u32), u32>,
    /// Retrievals that returned a document from outside of the requested scopes.
    pub outside_scope: Breaches,
    /// Retrievals that returned more documents or tokens than were requested.
    pub beyond_bound: Breaches,
    /// Retrievals that returned a document older than was requested.
    pub too_old: Breaches,
}

/// How many examples of a breach are kept.
const EXAMPLES: usize = 3;

/// How often something happened, and a few examples: those with the smallest hashes, so that they do not depend on the
/// order of the rows.
#[derive(Debug, Default, Clone)]
pub struct Breaches {
    /// How often.
    pub count: u64,
    examples: BTreeMap<u64, Box<str>>,
}

impl Breaches {
    pub(crate) fn add(&mut self, key: u64, example: &str) {
        self.count += 1;
        if self.examples.len() < EXAMPLES || self.examples.keys().next_back().is_some_and(|last| key < *last) {
            self.examples.insert(key, example.into());
            if self.examples.len() > EXAMPLES {
                self.examples.pop_last();
            }
        }
    }

    /// Traces, or operations where there is no trace.
    pub fn examples(&self) -> Vec<String> {
        self.examples.values().map(ToString::to_string).collect()
    }
}
