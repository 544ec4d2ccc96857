use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number that is neither NaN nor infinite.
///
/// Scores, latencies, costs and embeddings are finite once they are past the decoder, so no comparison after it has to
/// ask what NaN means.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Finite(f64);

/// The number was NaN or infinite.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{0} is not a finite number; send null when the value is not known")]
pub struct NotFinite(pub f64);

impl Finite {
    /// Accepts any finite number.
    pub fn new(value: f64) -> Result<Self, NotFinite> {
        if value.is_finite() { Ok(Self(value)) } else { Err(NotFinite(value)) }
    }

    /// The number itself.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Serialize for Finite {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

impl<'de> Deserialize<'de> for Finite {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(f64::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infinite_and_nan_are_refused_and_zero_is_kept() {
        assert!(Finite::new(f64::NAN).is_err());
        assert!(Finite::new(f64::INFINITY).is_err());
        assert_eq!(Finite::new(0.0).map(Finite::get), Ok(0.0));
    }

    #[test]
    fn a_number_that_overflows_json_is_refused() {
        assert!(serde_json::from_str::<Finite>("1e999").is_err());
        assert!(serde_json::from_str::<Finite>("\"0.5\"").is_err());
    }
}
