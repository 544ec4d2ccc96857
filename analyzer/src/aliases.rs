//! Fingerprints under several keys that mean the same query.
//!
//! While fingerprint keys are rotated, an event carries its query's fingerprint under both. Each such pair tells that the
//! newer fingerprint continues the older one; so a window from after the rotation matches one from before it, for every
//! query that was asked while both were there.

use std::borrow::Cow;
use std::collections::HashMap;

/// How many pairs are kept; queries beyond it do not match across a rotation.
const PAIRS_MAX: usize = 524_288;
/// Rotations that are followed back.
const ROTATIONS_MAX: usize = 8;

/// From fingerprints to the ones that they continue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aliases {
    previous: HashMap<Box<str>, Box<str>>,
    full: bool,
}

impl Aliases {
    /// Takes in that a fingerprint continues an older one.
    pub fn add(&mut self, fingerprint: &str, previous: &str) {
        if self.previous.len() >= PAIRS_MAX {
            self.full = true;
        } else if fingerprint != previous && !self.previous.contains_key(fingerprint) {
            self.previous.insert(fingerprint.into(), previous.into());
        }
    }

    /// The oldest fingerprint that means the same query.
    pub fn first_of<'a>(&self, fingerprint: &'a str) -> Cow<'a, str> {
        let mut oldest = Cow::Borrowed(fingerprint);
        if self.previous.is_empty() {
            return oldest;
        }
        for _ in 0..ROTATIONS_MAX {
            match self.previous.get(oldest.as_ref()) {
                Some(previous) => oldest = Cow::Owned(previous.to_string()),
                None => break,
            }
        }
        oldest
    }

    /// Whether there were more pairs than are kept.
    pub fn is_full(&self) -> bool {
        self.full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotations_are_followed_back_and_a_circle_ends() {
        let mut aliases = Aliases::default();
        for (newer, older) in [("b", "a"), ("c", "b"), ("x", "y"), ("y", "x"), ("z", "z")] {
            aliases.add(newer, older);
        }
        assert_eq!(
            ["a", "b", "c", "d", "z"].map(|text| aliases.first_of(text).into_owned()),
            ["a", "a", "a", "d", "z"]
        );
        assert!(["x", "y"].contains(&aliases.first_of("x").as_ref()));
    }
}
