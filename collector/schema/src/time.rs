//! Instants in UTC, and the only clock.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An instant in microseconds since 1970-01-01T00:00:00Z, between the years 2000 and 2100.
///
/// Outside that range a time is nearly always a wrong unit (seconds read as milliseconds) or a placeholder, and one such
/// event would make every "last week" empty and every partition list endless; so it is refused where it enters.
/// Written and read as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text or number is not an instant that can be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTime {
    /// Not RFC 3339.
    #[error("{0:?} is not an RFC 3339 time such as 2026-11-18T09:30:00Z")]
    Syntax(String),
    /// Outside of 2000 to 2099.
    #[error("{0} lies outside of the years 2000 to 2099; check the clock and the unit of the sender")]
    Range(String),
}

const MICROS_PER_DAY: i64 = 86_400_000_000;
/// 2000-01-01T00:00:00Z.
const EARLIEST: i64 = 946_684_800_000_000;
/// 2100-01-01T00:00:00Z.
const LATEST: i64 = 4_102_444_800_000_000;

impl Timestamp {
    /// The earliest instant that can be stored.
    pub const MIN: Self = Self(EARLIEST);
    /// The end of the range: usable as an open end of a window.
    pub const MAX: Self = Self(LATEST);

    /// From microseconds since the Unix epoch.
    pub fn from_micros(micros: i64) -> Result<Self, InvalidTime> {
        if (EARLIEST..=LATEST).contains(&micros) {
            Ok(Self(micros))
        } else {
            let shown = DateTime::<Utc>::from_timestamp_micros(micros)
                .map_or_else(|| format!("{micros} µs since 1970"), |t| t.to_rfc3339_opts(SecondsFormat::Secs, true));
            Err(InvalidTime::Range(shown))
        }
    }

    /// Microseconds since the Unix epoch.
    pub fn micros(self) -> i64 {
        self.0
    }

    /// Whole days since the Unix epoch: the partition of the tables.
    pub fn days(self) -> i32 {
        i32::try_from(self.0.div_euclid(MICROS_PER_DAY)).unwrap_or(i32::MAX)
    }

    /// Whether a day begins with it.
    pub fn is_midnight(self) -> bool {
        self.0.rem_euclid(MICROS_PER_DAY) == 0
    }

    /// The same instant moved by some seconds, held inside the range.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)).clamp(EARLIEST, LATEST))
    }

    /// Midnight UTC at the start of a day such as `2026-11-18`.
    pub fn from_date(text: &str) -> Result<Self, InvalidTime> {
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| InvalidTime::Syntax(text.to_owned()))?;
        let days = i64::from(date.num_days_from_ce()) - 719_163;
        Self::from_micros(days * MICROS_PER_DAY)
    }
}

impl Timestamp {
    /// A time that names no zone, such as `2026-11-18T09:30:00`, `2026-11-18 09:30:00.5` or `2026-11-18`, read as UTC.
    pub fn assume_utc(text: &str) -> Result<Self, InvalidTime> {
        if text.len() == "2026-11-18".len() {
            return Self::from_date(text);
        }
        let forms = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
        let local = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
        let local = local.ok_or_else(|| InvalidTime::Syntax(text.to_owned()))?;
        Self::from_micros(local.and_utc().timestamp_micros())
    }

    /// A count since the Unix epoch in seconds, milliseconds, microseconds or nanoseconds: no number is a time between the
    /// years 2000 and 2100 in two of these units.
    pub fn from_epoch(count: i64) -> Result<Self, InvalidTime> {
        let in_unit = |(multiplier, divisor): (i64, i64)| {
            let micros = count.checked_mul(multiplier)? / divisor;
            (EARLIEST..=LATEST).contains(&micros).then_some(Self(micros))
        };
        let units = [(1_000_000, 1), (1_000, 1), (1, 1), (1, 1_000)];
        units.into_iter().find_map(in_unit).ok_or_else(|| InvalidTime::Range(format!("{count} since 1970")))
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let instant = DateTime::parse_from_rfc3339(text).map_err(|_| InvalidTime::Syntax(text.to_owned()))?;
        Self::from_micros(instant.timestamp_micros())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = DateTime::<Utc>::from_timestamp_micros(self.0).unwrap_or_default();
        let precision = match self.0 {
            whole if whole % 1_000_000 == 0 => SecondsFormat::Secs,
            millis if millis % 1_000 == 0 => SecondsFormat::Millis,
            _ => SecondsFormat::Micros,
        };
        f.write_str(&instant.to_rfc3339_opts(precision, true))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Where the present comes from: the system's clock in production, a hand-set one in tests and simulations.
pub trait Clock: Send + Sync {
    /// The present.
    fn now(&self) -> Timestamp;
}

/// The clock of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
        let now = std::time::SystemTime::now();
        let micros = now
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(EARLIEST, |d| i64::try_from(d.as_micros()).unwrap_or(LATEST));
        Timestamp(micros.clamp(EARLIEST, LATEST))
    }
}

/// A clock that stands until it is moved.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.0))
    }

    /// Moves the clock.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = match text.parse::<Timestamp>() {
            Ok(time) => time.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn times_are_shown_in_utc_with_the_precision_they_have() {
        check("2026-11-18T09:30:00.123456Z", "2026-11-18T09:30:00.123456Z");
        check("2026-11-18T10:30:00+01:00", "2026-11-18T09:30:00Z");
        check("2026-11-18T09:30:00.5Z", "2026-11-18T09:30:00.500Z");
    }

    #[test]
    fn a_time_in_the_year_9999_is_refused_with_the_likely_reason() {
        check(
            "9999-12-31T00:00:00Z",
            "9999-12-31T00:00:00Z lies outside of the years 2000 to 2099; check the clock and the unit of the sender",
        );
        check("yesterday", "\"yesterday\" is not an RFC 3339 time such as 2026-11-18T09:30:00Z");
    }

    #[test]
    fn a_time_without_a_zone_can_be_read_as_utc() {
        for text in ["2026-11-18T09:30:00.5", "2026-11-18 09:30:00.500"] {
            assert_eq!(Timestamp::assume_utc(text).unwrap().to_string(), "2026-11-18T09:30:00.500Z");
        }
        assert_eq!(Timestamp::assume_utc("2026-11-18").unwrap().to_string(), "2026-11-18T00:00:00Z");
        assert!(Timestamp::assume_utc("18.11.2026").is_err());
    }

    #[test]
    fn a_count_since_the_epoch_is_a_time_in_one_unit_only() {
        for count in [1_763_458_200, 1_763_458_200_000, 1_763_458_200_000_000, 1_763_458_200_000_000_000] {
            assert_eq!(Timestamp::from_epoch(count).unwrap().to_string(), "2025-11-18T09:30:00Z");
        }
        let reason = Timestamp::from_epoch(12).unwrap_err().to_string();
        let expected =
            "12 since 1970 lies outside of the years 2000 to 2099; check the clock and the unit of the sender";
        assert_eq!(reason, expected);
    }

    #[test]
    fn a_date_is_its_midnight_and_counts_days_since_1970() {
        let time = Timestamp::from_date("2026-11-18").unwrap();
        assert_eq!(time.to_string(), "2026-11-18T00:00:00Z");
        assert_eq!(time.days(), 20_775);
    }
}
