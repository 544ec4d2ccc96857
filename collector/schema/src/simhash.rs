use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::fingerprint::normalise_query;

/// A 64-bit locality-sensitive hash of a query text: similar texts differ in few bits.
///
/// Computed over words and over character 3-grams of the normalised text (Charikar 2002, STOC: the sign of a sum of
/// random hyperplanes, one per feature) before any text is dropped, so that queries can be clustered when only the hash
/// is kept. Written as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SimHash(pub u64);

impl SimHash {
    /// The hash of a text; the empty text has hash 0.
    pub fn of(text: &str) -> Self {
        let text = normalise_query(text);
        let characters: Vec<char> = text.chars().collect();
        let mut sums = [0_i32; 64];
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            add(&mut sums, word);
        }
        for gram in characters.windows(3) {
            add(&mut sums, &gram.iter().collect::<String>());
        }
        let bits = sums.iter().enumerate().filter(|(_, sum)| **sum > 0).fold(0, |bits, (i, _)| bits | (1 << i));
        Self(bits)
    }

    /// In how many of the 64 bits two hashes differ.
    pub fn distance(self, other: Self) -> u32 {
        (self.0 ^ other.0).count_ones()
    }
}

fn add(sums: &mut [i32; 64], feature: &str) {
    let digest = blake3::hash(feature.as_bytes());
    let bits = digest.as_bytes().iter().take(8).fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
    for (i, sum) in sums.iter_mut().enumerate() {
        *sum += if bits >> i & 1 == 1 { 1 } else { -1 };
    }
}

impl fmt::Display for SimHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for SimHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match u64::from_str_radix(text, 16) {
            Ok(bits) if text.len() == 16 => Ok(Self(bits)),
            _ => Err(format!("{text:?} is not 16 hexadecimal digits")),
        }
    }
}

impl Serialize for SimHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SimHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paraphrase_is_nearer_than_another_question() {
        let question = SimHash::of("how do I reset my badge at the front desk");
        let paraphrase = SimHash::of("how can I reset my badge at the front desk?");
        let other = SimHash::of("what is the boundary layer thickness on a flat plate");
        assert!(question.distance(paraphrase) < question.distance(other));
        assert_eq!(SimHash::of("A  b"), SimHash::of("a b"));
        assert_eq!(question.to_string().parse(), Ok(question));
    }
}
