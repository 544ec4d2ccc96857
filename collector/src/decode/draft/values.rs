//! Times, numbers and embeddings as senders write them.

use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tidemark_schema::{InvalidTime, Timestamp};

/// An instant as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) at: Timestamp,
    /// Whether it named no zone and is taken as UTC.
    pub(crate) assumed_utc: bool,
}

impl Moment {
    /// The name under which deserializers are asked for one.
    pub(in crate::decode) const NAME: &'static str = "Moment";
}

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        Self { at, assumed_utc: false }
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.at.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Instant;

        impl<'de> Visitor<'de> for Instant {
            type Value = Moment;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as 2026-11-18T09:30:00Z")
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Moment, D::Error> {
                deserializer.deserialize_any(self)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Moment, E> {
                let with_zone = |error: InvalidTime| match error {
                    InvalidTime::Syntax(_) => Timestamp::assume_utc(text)
                        .map(|at| Moment { at, assumed_utc: true })
                        .map_err(|local| match local {
                            InvalidTime::Syntax(_) => error,
                            InvalidTime::Range(_) => local,
                        }),
                    InvalidTime::Range(_) => Err(error),
                };
                text.parse().map(Timestamp::into).or_else(with_zone).map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, count: i64) -> Result<Moment, E> {
                Timestamp::from_epoch(count).map(Timestamp::into).map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, count: u64) -> Result<Moment, E> {
                self.visit_i64(i64::try_from(count).unwrap_or(i64::MAX))
            }

            /// Seconds or milliseconds with a fraction, as `time.time()` gives them.
            #[expect(clippy::cast_possible_truncation, reason = "what does not fit saturates, and is no time")]
            fn visit_f64<E: de::Error>(self, count: f64) -> Result<Moment, E> {
                let whole = count.trunc() as i64;
                let per_unit = match whole.unsigned_abs() {
                    0..100_000_000_000 => 1e6,
                    100_000_000_000..100_000_000_000_000 => 1e3,
                    _ => return self.visit_i64(whole),
                };
                Timestamp::from_epoch(whole).map_err(E::custom)?;
                self.visit_i64((count * per_unit).round() as i64)
            }
        }

        deserializer.deserialize_newtype_struct(Self::NAME, Instant)
    }
}

/// A number as it was sent, which may be NaN or infinite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Number(pub(crate) f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyNumber;

        impl Visitor<'_> for AnyNumber {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_f64<E>(self, number: f64) -> Result<Number, E> {
                Ok(Number(number))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
                Ok(Number(number as f64))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number as f64))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                let number = text.trim().parse().map(Number);
                number.map_err(|_| E::invalid_type(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_any(AnyNumber)
    }
}

/// An embedding as it was sent, whose components may be NaN or infinite.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Vector(pub(crate) Vec<f32>);

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Components;

        impl<'de> Visitor<'de> for Components {
            type Value = Vector;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of numbers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut components: A) -> Result<Vector, A::Error> {
                // An announced length is not trusted beyond that of an ordinary embedding.
                let mut vector = Vec::with_capacity(components.size_hint().unwrap_or(0).min(4_096));
                while let Some(component) = components.next_element::<Option<Number>>()? {
                    let Number(component) = component.unwrap_or(Number(f64::NAN));
                    #[expect(clippy::cast_possible_truncation, reason = "what is too large becomes infinite")]
                    vector.push(component as f32);
                }
                Ok(Vector(vector))
            }
        }

        deserializer.deserialize_seq(Components)
    }
}

/// Elements of a list: a few bytes each become hundreds.
const ELEMENTS: usize = 100_000;

/// A list of so many elements at most.
pub(super) fn bounded<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct Elements<T>(std::marker::PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Elements<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(element) = elements.next_element()? {
                if list.len() >= ELEMENTS {
                    return Err(de::Error::custom(format_args!("has more than {ELEMENTS} elements, the limit")));
                }
                list.push(element);
            }
            Ok(list)
        }
    }

    deserializer.deserialize_seq(Elements(std::marker::PhantomData))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn a_time_is_a_text_with_a_zone_or_without_or_a_count_since_1970() {
        let at: Timestamp = "2025-11-18T09:30:00Z".parse().unwrap();
        let known = || Ok(Moment::from(at));
        check("\"2025-11-18T10:30:00+01:00\"", known());
        check("1763458200", known());
        check("1763458200000", known());
        check("1763458200.0", known());
        check("1763458200000.0", known());
        check("\"2025-11-18 09:30:00\"", Ok(Moment { at, assumed_utc: true }));
        check::<Moment>("\"yesterday\"", Err("is not an RFC 3339 time"));
        check::<Moment>("12", Err("12 since 1970 lies outside"));
        check::<Moment>("1e300", Err("since 1970 lies outside"));
        check::<Moment>("[]", Err("expected a time such as 2026-11-18T09:30:00Z"));
    }

    #[test]
    fn a_number_may_be_a_text_and_need_not_be_finite() {
        check("0.5", Ok(Number(0.5)));
        check("\"0.91\"", Ok(Number(0.91)));
        check("\"Infinity\"", Ok(Number(f64::INFINITY)));
        check::<Number>("\"high\"", Err("invalid type: string \"high\", expected a number"));
        check("[1, \"2\", 1e300]", Ok(Vector(vec![1.0, 2.0, f32::INFINITY])));
        assert!(serde_json::from_str::<Vector>("[null]").unwrap().0[0].is_nan());
    }
}
