//! What came of a retrieval: the output of its operation, in a bounded size.

use crate::intern::DocumentNumber;
use crate::vocabulary::{Renumbering, renumbered};

/// An output.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The number of its hash, if it was sent.
    pub hash: Option<u32>,
    /// The number of the model.
    pub model: Option<u32>,
    /// The number of the prompt's version.
    pub prompt: Option<u32>,
    /// Whether the model refused, if that is known.
    pub refusal: Option<bool>,
    /// The numbers of the cited documents, ascending.
    pub citations: Box<[DocumentNumber]>,
    /// Evaluation scores by the numbers of their names, ascending.
    pub scores: Box<[(u32, f32)]>,
    /// What a person said of it, from -1 to 1 by convention.
    pub feedback: Option<f32>,
    /// The direction of its embedding, in at most [`DIMENSIONS`] dimensions.
    pub embedding: Option<Box<[f32]>>,
    /// Which of several outputs of one operation stands for it: the last attempt, then the latest, then the largest hash.
    pub(crate) precedence: (u32, i64, u64),
    /// The attempt that it answers.
    pub(crate) attempt: u32,
}

impl Outcome {
    pub(crate) fn renumber(&mut self, new: &Renumbering) {
        let output = |old: u32| renumbered(&new.outputs, old, u32::MAX);
        (self.hash, self.model, self.prompt) = (self.hash.map(output), self.model.map(output), self.prompt.map(output));
        for document in &mut self.citations {
            *document = renumbered(&new.documents, *document, *document);
        }
        self.citations.sort_unstable();
        for (name, _) in &mut self.scores {
            *name = output(*name);
        }
        self.scores.sort_unstable_by_key(|(name, _)| *name);
    }
}

/// An embedding with more dimensions is projected onto so many random directions (Johnson & Lindenstrauss 1984 with the
/// signs of Achlioptas 2003), which keeps squared distances right on average: half a squared distance of two directions
/// is 1 minus their cosine.
pub const DIMENSIONS: usize = 16;

/// Sixty-four signs for one coordinate, the same on every machine (the finalizer of `SplitMix64`, Steele et al. 2014).
fn signs(coordinate: usize) -> u64 {
    let mut z = (coordinate as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The sums of a vector along `N` random directions of signs.
fn projected<const N: usize>(vector: &[f32]) -> [f64; N] {
    let mut sums = [0.0_f64; N];
    for (coordinate, value) in vector.iter().enumerate() {
        let signs = signs(coordinate);
        for (bit, sum) in sums.iter_mut().enumerate() {
            if signs >> bit & 1 == 1 { *sum += f64::from(*value) } else { *sum -= f64::from(*value) }
        }
    }
    sums
}

/// The direction of an embedding; none if it has none.
#[expect(clippy::cast_possible_truncation, reason = "embeddings are 32-bit floats")]
pub(crate) fn direction(vector: &[f32]) -> Option<Box<[f32]>> {
    let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if !length.is_finite() || length <= 0.0 {
        return None;
    }
    if vector.len() <= DIMENSIONS {
        return Some(vector.iter().map(|value| (f64::from(*value) / length) as f32).collect());
    }
    let scale = length * (DIMENSIONS as f64).sqrt();
    Some(projected::<DIMENSIONS>(vector).iter().map(|sum| (sum / scale) as f32).collect())
}

/// The 64-bit `SimHash` of an embedding: on which side of 64 random hyperplanes it lies (Charikar 2002). The share of bits
/// in which two differ is their angle over pi, on average.
pub(crate) fn signature(vector: &[f32]) -> u64 {
    projected::<64>(vector).iter().enumerate().filter(|(_, sum)| **sum > 0.0).fold(0, |bits, (i, _)| bits | 1 << i)
}

/// 1 minus the cosine of two directions of the same kind.
pub(crate) fn cosine_distance(a: &[f32], b: &[f32]) -> Option<f64> {
    let squared = |(x, y): (&f32, &f32)| (f64::from(*x) - f64::from(*y)).powi(2);
    (a.len() == b.len()).then(|| a.iter().zip(b).map(squared).sum::<f64>() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turned(dimensions: usize, angle: f32) -> Vec<f32> {
        let mut vector = vec![0.0_f32; dimensions];
        (vector[3], vector[7]) = (angle.cos(), angle.sin());
        vector
    }

    /// The mean over many pairs that stand at one angle.
    #[test]
    fn a_projection_keeps_distances_right_on_average() {
        let (mut sum, count) = (0.0, 300);
        for shift in 0..count {
            let place = |vector: Vec<f32>| [vec![0.0; shift], vector].concat();
            let (a, b) = (direction(&place(turned(40, 0.0))).unwrap(), direction(&place(turned(40, 0.6))).unwrap());
            sum += cosine_distance(&a, &b).unwrap();
        }
        let expected = 1.0 - 0.6_f64.cos();
        assert!((sum / count as f64 / expected - 1.0).abs() < 0.1, "{} for {expected}", sum / count as f64);
    }

    #[test]
    fn short_embeddings_keep_their_cosine() {
        let (a, b) = (direction(&[3.0, 0.0]).unwrap(), direction(&[5.0, 5.0]).unwrap());
        assert!((cosine_distance(&a, &b).unwrap() - (1.0 - 0.5_f64.sqrt())).abs() < 1e-6);
        assert_eq!(direction(&[0.0, 0.0]), None);
    }

    #[test]
    fn signatures_differ_in_a_share_of_bits_that_is_the_angle_over_pi() {
        // The direction of a dense vector, turned by 0.5 in every pair of coordinates.
        let dense = |turn: f32| (0..400_u16).map(|i| (f32::from(i) * 0.7 + turn).sin()).collect::<Vec<_>>();
        let differing = (signature(&dense(0.0)) ^ signature(&dense(0.5))).count_ones();
        assert!((4..=18).contains(&differing), "{differing} bits at an angle of 0.5, expected about 10");
        assert_eq!(signature(&dense(0.0)), signature(&dense(0.0)));
    }
}
