use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration in whole seconds, written as `90d`, `24h`, `30m`, `15s` or a plain number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(pub u64);

/// A size in bytes, written as `10GiB`, `500MB` or a plain number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// The text is no quantity of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuantity {
    /// Not a duration.
    #[error("is {0:?}, not a duration such as 90d, 24h, 30m, 15s or a number of seconds")]
    Duration(String),
    /// Not a size.
    #[error("is {0:?}, not a size such as 10GiB, 500MB or a number of bytes")]
    Size(String),
}

const DURATIONS: &[(&str, u64)] = &[("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// Powers of 1024 have an `i` (IEC 80000-13), powers of 1000 have none.
const SIZES: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
];

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = unit.trim_start();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit || (unit.is_empty() && name.len() == 1))?;
    let factor = if unit.is_empty() { 1 } else { *factor };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// The largest unit in which the number is whole.
fn write(f: &mut fmt::Formatter<'_>, number: u64, units: &[(&str, u64)]) -> fmt::Result {
    let whole = units.iter().find(|(_, factor)| number >= *factor && number.is_multiple_of(*factor));
    match whole {
        Some((name, factor)) => write!(f, "{}{name}", number / factor),
        None => write!(f, "{number}"),
    }
}

macro_rules! quantities {
    ($($name:ident, $units:ident, $invalid:ident;)*) => {$(
        impl FromStr for $name {
            type Err = InvalidQuantity;

            fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
                parse(text, $units).map(Self).ok_or_else(|| InvalidQuantity::$invalid(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write(f, self.0, $units)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(Deserialize)]
                #[serde(untagged)]
                enum Written {
                    Number(u64),
                    Text(String),
                    Other(serde_json::Value),
                }
                match Written::deserialize(deserializer)? {
                    Written::Number(number) => Ok(Self(number)),
                    Written::Text(text) => text.parse().map_err(de::Error::custom),
                    Written::Other(value) => Err(de::Error::custom(InvalidQuantity::$invalid(value.to_string()))),
                }
            }
        }
    )*};
}

quantities! {
    Seconds, DURATIONS, Duration;
    Bytes, SIZES, Size;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: FromStr<Err = InvalidQuantity> + fmt::Display>(text: &str, shown: &str) {
        let read = text.parse::<T>().map_or_else(|error| error.to_string(), |quantity| quantity.to_string());
        assert_eq!(read, shown);
    }

    #[test]
    fn durations_and_sizes_are_shown_in_the_largest_whole_unit() {
        check::<Seconds>("90d", "90d");
        check::<Seconds>("48h", "2d");
        check::<Seconds>("90 m", "90m");
        check::<Seconds>("61", "61s");
        check::<Bytes>("10GiB", "10GiB");
        check::<Bytes>("500 MB", "500MB");
        check::<Bytes>("8192", "8KiB");
        check::<Bytes>("0", "0");
    }

    #[test]
    fn what_is_no_quantity_is_refused_with_examples() {
        check::<Seconds>("a month", "is \"a month\", not a duration such as 90d, 24h, 30m, 15s or a number of seconds");
        check::<Seconds>("-1d", "is \"-1d\", not a duration such as 90d, 24h, 30m, 15s or a number of seconds");
        check::<Bytes>("10 gigs", "is \"10 gigs\", not a size such as 10GiB, 500MB or a number of bytes");
        check::<Bytes>("99999999TiB", "is \"99999999TiB\", not a size such as 10GiB, 500MB or a number of bytes");
    }
}
