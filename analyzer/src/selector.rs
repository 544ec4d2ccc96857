use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use tidemark_lake::Filter;
use tidemark_schema::{CorpusName, CorpusVersion, Timestamp};

use crate::error::Error;

/// Names a window of events, as it is typed: `version:v2`, `2026-11-01..2026-11-08`, `last:7d`, `before:7d`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// All events that declare a version of the corpus.
    Version(CorpusVersion),
    /// Events between two instants, the second excluded.
    Between(Timestamp, Timestamp),
    /// Events of the last so many seconds.
    Last(i64),
    /// Events of so many seconds before the other window begins.
    Before(i64),
}

/// A window: which events of a corpus, once the present is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// How it was asked for.
    pub selector: String,
    /// The corpus.
    pub corpus: CorpusName,
    /// Only events that declare this version.
    pub version: Option<CorpusVersion>,
    /// Only events at or after this instant.
    pub from: Timestamp,
    /// Only events before this instant.
    pub to: Timestamp,
}

/// A part of the traffic: keys with the values that they must have. None means all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Segment(BTreeMap<String, String>);

impl Segment {
    /// Whether it is all of the traffic.
    pub fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn holds(&self, labels: &[(&str, &str)]) -> bool {
        self.0.iter().all(|(key, value)| labels.iter().any(|(k, v)| k == key && v == value))
    }

    /// The keys and values.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// The segment with these keys and values.
    pub fn new(labels: BTreeMap<String, String>) -> Result<Self, Error> {
        match labels.iter().find(|(key, value)| key.is_empty() || value.is_empty()) {
            Some((key, value)) => Err(Error::Segment {
                text: format!("{key}={value}"),
                reason: "its key or its value is empty".to_owned(),
            }),
            None => Ok(Self(labels)),
        }
    }

    /// The segment that several texts like `locale=de` name together.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, Error> {
        let mut labels = BTreeMap::new();
        for text in texts.iter().map(AsRef::as_ref) {
            let invalid = |reason: &str| Error::Segment { text: text.to_owned(), reason: reason.to_owned() };
            let (key, value) = text.split_once('=').ok_or_else(|| invalid("it is not of the form KEY=VALUE"))?;
            if labels.insert(key.to_owned(), value.to_owned()).is_some_and(|other| other != value) {
                return Err(invalid("the key has another value already, and no event has both"));
            }
        }
        Self::new(labels)
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (key, value)) in self.0.iter().enumerate() {
            write!(f, "{}{key}={value}", if i > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

impl Selector {
    /// The window that it names for a corpus at an instant. `before:7d` ends now: it has no other window.
    pub fn resolve(&self, text: &str, corpus: &CorpusName, now: Timestamp) -> Window {
        let (version, from, to) = match self {
            Self::Version(version) => (Some(version.clone()), Timestamp::MIN, Timestamp::MAX),
            Self::Between(from, to) => (None, *from, *to),
            Self::Last(seconds) | Self::Before(seconds) => (None, now.plus_seconds(-seconds), now),
        };
        Window { selector: text.to_owned(), corpus: corpus.clone(), version, from, to }
    }

    /// The windows that two selectors name, of which one may say where it lies by the other.
    pub fn resolve_pair(
        (reference, current): (&Self, &Self),
        texts: (&str, &str),
        corpus: &CorpusName,
        now: Timestamp,
    ) -> Result<(Window, Window), Error> {
        let before = |seconds: i64, text: &str, other: &Window| {
            if other.version.is_some() {
                let reason = "the other window is a version, which begins at no time of its own".to_owned();
                return Err(Error::Selector { text: text.to_owned(), reason });
            }
            let from = other.from.plus_seconds(-seconds);
            Ok(Window { selector: text.to_owned(), corpus: corpus.clone(), version: None, from, to: other.from })
        };
        match (reference, current) {
            (Self::Before(_), Self::Before(_)) => {
                let reason = "each window is to lie before the other one".to_owned();
                Err(Error::Selector { text: texts.1.to_owned(), reason })
            }
            (Self::Before(seconds), _) => {
                let current = current.resolve(texts.1, corpus, now);
                Ok((before(*seconds, texts.0, &current)?, current))
            }
            (_, Self::Before(seconds)) => {
                let reference = reference.resolve(texts.0, corpus, now);
                let current = before(*seconds, texts.1, &reference)?;
                Ok((reference, current))
            }
            _ => Ok((reference.resolve(texts.0, corpus, now), current.resolve(texts.1, corpus, now))),
        }
    }
}

impl Window {
    /// The instants between which it lies, if it does not span all times.
    pub(crate) fn between(&self) -> Option<(Timestamp, Timestamp)> {
        let span = (self.from, self.to);
        (span != (Timestamp::MIN, Timestamp::MAX)).then_some(span)
    }

    pub(crate) fn filters(&self) -> Vec<Filter> {
        let mut filters = vec![Filter::Corpus(self.corpus.clone())];
        filters.extend(self.version.clone().map(Filter::CorpusVersion));
        filters.extend(self.between().map(|(from, to)| Filter::Between(from, to)));
        filters
    }
}

impl FromStr for Selector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = |reason: String| Error::Selector { text: text.to_owned(), reason };
        if let Some(version) = text.strip_prefix("version:") {
            return version.parse().map(Self::Version).map_err(|error| invalid(format!("the version {error}")));
        }
        if let Some(length) = text.strip_prefix("last:") {
            return last(length)
                .map(Self::Last)
                .ok_or_else(|| invalid(format!("{length:?} is no length of time such as 90m, 36h, 7d or 2w")));
        }
        if let Some(length) = text.strip_prefix("before:") {
            return last(length)
                .map(Self::Before)
                .ok_or_else(|| invalid(format!("{length:?} is no length of time such as 90m, 36h, 7d or 2w")));
        }
        if text.starts_with("baseline:") {
            return Err(invalid("this store has no named baselines".to_owned()));
        }
        let Some((from, to)) = text.split_once("..") else {
            return Err(invalid("it has none of the known forms".to_owned()));
        };
        let instant = |text: &str| match text.len() {
            10 => Timestamp::from_date(text),
            _ => text.parse(),
        };
        let from = instant(from).map_err(|error| invalid(error.to_string()))?;
        let to = instant(to).map_err(|error| invalid(error.to_string()))?;
        if from >= to {
            return Err(invalid(format!("it ends ({to}) before it begins ({from})")));
        }
        Ok(Self::Between(from, to))
    }
}

/// A length of time as it is typed, in the largest unit that divides it.
pub(crate) fn length(seconds: i64) -> String {
    let units = [(604_800, 'w'), (86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')];
    // Seven days are what people say, and one week is the same.
    let unit = units.iter().find(|(unit, name)| seconds % unit == 0 && (*name != 'w' || seconds / unit > 1));
    unit.map_or_else(|| format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit))
}

fn last(length: &str) -> Option<i64> {
    let unit = match length.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let count: i64 = length.get(..length.len() - 1)?.parse().ok()?;
    count.checked_mul(unit).filter(|seconds| *seconds > 0)
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "version:{version}"),
            Self::Between(from, to) => write!(f, "{from}..{to}"),
            Self::Last(seconds) => write!(f, "last:{seconds}s"),
            Self::Before(seconds) => write!(f, "before:{seconds}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = match text.parse::<Selector>() {
            Ok(selector) => selector.to_string(),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn windows_are_named_by_version_by_dates_and_by_length() {
        check("version:2026-11-18", "version:2026-11-18");
        check("2026-11-01..2026-11-08", "2026-11-01T00:00:00Z..2026-11-08T00:00:00Z");
        check("2026-11-01T06:00:00Z..2026-11-01T07:00:00+00:00", "2026-11-01T06:00:00Z..2026-11-01T07:00:00Z");
        check("last:7d", "last:604800s");
    }

    #[test]
    fn what_selects_nothing_is_refused_with_its_reason() {
        check("yesterday", "error: \"yesterday\" selects no window: it has none of the known forms");
        check("last:7", "error: \"last:7\" selects no window: \"7\" is no length of time such as 90m, 36h, 7d or 2w");
        check("last:", "error: \"last:\" selects no window: \"\" is no length of time such as 90m, 36h, 7d or 2w");
        check(
            "2026-11-08..2026-11-01",
            "error: \"2026-11-08..2026-11-01\" selects no window: it ends (2026-11-01T00:00:00Z) before it begins (2026-11-08T00:00:00Z)",
        );
        check(
            "2026-13-01..2026-11-01",
            "error: \"2026-13-01..2026-11-01\" selects no window: \"2026-13-01\" is not an RFC 3339 time such as 2026-11-18T09:30:00Z",
        );
    }
}
