//! What integrity is judged by: counted over every row of a window, because a breach is rare by nature and a sample
//! would miss it.

use std::collections::BTreeMap;

use crate::intern::{FastMap, FastSet};
use crate::vocabulary::{Renumbering, renumbered};

/// Which documents were returned as what, and what went beyond its bounds.
#[derive(Debug, Default)]
pub struct Sightings {
    /// In how many retrievals a state of a document was returned.
    pub documents: StateCounts,
    /// States of documents that other parts of the traffic were answered.
    pub elsewhere: FastSet<u32>,
    /// Retrievals that returned one content more than once.
    pub repeated_content: Breaches,
    /// Retrievals that returned a document from outside of the requested scopes.
    pub outside_scope: Breaches,
    /// Retrievals that returned more documents or tokens than were requested.
    pub beyond_bound: Breaches,
    /// Retrievals that returned a document older than was requested.
    pub too_old: Breaches,
}

/// How often something was seen of a state, by the version of the corpus that was declared then (its number, or none).
#[derive(Debug, Default)]
pub struct StateCounts {
    /// By the state's number, the version under which it was seen first: most are seen under no other.
    first: Vec<(Option<u32>, u32)>,
    others: FastMap<(Option<u32>, u32), u32>,
}

impl StateCounts {
    /// Counts a state under a version.
    pub fn add(&mut self, version: Option<u32>, state: u32, times: u32) {
        let at = state as usize;
        if at >= self.first.len() {
            self.first.resize(at + 1, (None, 0));
        }
        match self.first.get_mut(at) {
            Some((known, count)) if *count == 0 || *known == version => {
                *known = version;
                *count += times;
            }
            _ => *self.others.entry((version, state)).or_default() += times,
        }
    }

    /// Each version and state that was seen, and how often.
    pub fn iter(&self) -> impl Iterator<Item = ((Option<u32>, u32), u32)> {
        let first = (0_u32..).zip(&self.first).filter(|(_, (_, count))| *count > 0);
        let others = self.others.iter().map(|(seen, count)| (*seen, *count));
        first.map(|(state, (version, count))| ((*version, state), *count)).chain(others)
    }
}

impl Sightings {
    /// The sightings under a declared version of the corpus, by its number and the state's, and how many there are.
    pub(crate) fn declared(&self) -> impl Iterator<Item = ((u32, u32), u32)> {
        self.documents.iter().filter_map(|((version, state), count)| Some(((version?, state), count)))
    }

    /// The sightings that declare no version, by the state's number.
    pub(crate) fn undeclared(&self) -> impl Iterator<Item = (u32, u32)> {
        self.documents.iter().filter(|((version, _), _)| version.is_none()).map(|((_, state), count)| (state, count))
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.elsewhere.extend(other.elsewhere);
        for ((version, state), count) in other.documents.iter() {
            self.documents.add(version, state, count);
        }
        for (mine, theirs) in [
            (&mut self.repeated_content, other.repeated_content),
            (&mut self.outside_scope, other.outside_scope),
            (&mut self.beyond_bound, other.beyond_bound),
            (&mut self.too_old, other.too_old),
        ] {
            mine.count += theirs.count;
            for (key, example) in theirs.examples {
                mine.keep(key, &example);
            }
        }
    }

    pub(crate) fn renumber(self, new: &Renumbering) -> Self {
        let mut documents = StateCounts::default();
        for ((version, state), count) in self.documents.iter() {
            let version = version.map(|version| renumbered(&new.versions, version, u32::MAX));
            documents.add(version, renumbered(&new.states, state, state), count);
        }
        let elsewhere = self.elsewhere.iter().map(|state| renumbered(&new.states, *state, *state)).collect();
        Self { documents, elsewhere, ..self }
    }
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
        self.keep(key, example);
    }

    fn keep(&mut self, key: u64, example: &str) {
        // Of two examples of one operation the smaller one stands, whichever comes first.
        if let Some(known) = self.examples.get_mut(&key) {
            if example < &**known {
                *known = example.into();
            }
            return;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_counted_for_each_version_under_which_they_were_seen() {
        let mut counts = StateCounts::default();
        for (version, state, times) in [(Some(1), 5, 2), (None, 5, 1), (Some(1), 5, 1), (None, 0, 4), (Some(2), 5, 0)] {
            counts.add(version, state, times);
        }
        let mut seen: Vec<_> = counts.iter().filter(|(_, count)| *count > 0).collect();
        seen.sort_unstable();
        assert_eq!(seen, [((None, 0), 4), ((None, 5), 1), ((Some(1), 5), 3)]);
    }
}
