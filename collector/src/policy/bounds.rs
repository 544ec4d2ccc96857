use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tidemark_schema::{CorpusName, Label};

use super::PolicyError;
use super::quantity::{Bytes, Seconds};

/// What an event may be at most; none where nothing is bounded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bounds {
    /// Documents of one retrieval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub results: Option<u32>,
    /// Bytes of a query's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_bytes: Option<Bytes>,
    /// Bytes of an answer's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<Bytes>,
    /// Keys of the attributes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<u32>,
    /// Bytes of all attributes as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribute_bytes: Option<Bytes>,
    /// Tokens of the context: those asked for, and those of all results together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    /// Seconds between the last change of a document and its retrieval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document_age: Option<Seconds>,
    /// The corpora that may be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corpora: Option<BTreeSet<CorpusName>>,
    /// The scopes that may be asked for and come back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<BTreeSet<Label>>,
    /// Events of one principal per second, in the long run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events_per_second: Option<u32>,
    /// Events of one principal at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
}

/// The smaller of two; the other where one is not bounded.
fn least<T: Ord + Copy>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn common<T: Ord + Clone>(a: Option<&BTreeSet<T>>, b: Option<&BTreeSet<T>>) -> Option<BTreeSet<T>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.intersection(b).cloned().collect()),
        (a, b) => a.or(b).cloned(),
    }
}

impl Bounds {
    /// What both allow.
    #[must_use]
    pub fn within(&self, other: &Self) -> Self {
        Self {
            results: least(self.results, other.results),
            query_bytes: least(self.query_bytes, other.query_bytes),
            output_bytes: least(self.output_bytes, other.output_bytes),
            attributes: least(self.attributes, other.attributes),
            attribute_bytes: least(self.attribute_bytes, other.attribute_bytes),
            context_tokens: least(self.context_tokens, other.context_tokens),
            document_age: least(self.document_age, other.document_age),
            corpora: common(self.corpora.as_ref(), other.corpora.as_ref()),
            scopes: common(self.scopes.as_ref(), other.scopes.as_ref()),
            events_per_second: least(self.events_per_second, other.events_per_second),
            burst: least(self.burst, other.burst),
        }
    }

    /// Puts in the burst that goes without saying: ten seconds of the rate.
    pub(super) fn filled(&self) -> Self {
        let burst = self.burst.or_else(|| self.events_per_second.map(|rate| rate.saturating_mul(10)));
        Self { burst, ..self.clone() }
    }

    /// Refuses bounds that would keep nothing.
    pub(super) fn check_values(&self, path: &str) -> Result<(), PolicyError> {
        let zero = [
            ("results", self.results == Some(0)),
            ("query_bytes", self.query_bytes == Some(Bytes(0))),
            ("output_bytes", self.output_bytes == Some(Bytes(0))),
            ("attribute_bytes", self.attribute_bytes == Some(Bytes(0))),
            ("context_tokens", self.context_tokens == Some(0)),
            ("document_age", self.document_age == Some(Seconds(0))),
            ("events_per_second", self.events_per_second == Some(0)),
            ("burst", self.burst == Some(0)),
        ];
        if let Some((key, _)) = zero.into_iter().find(|(_, zero)| *zero) {
            let reason = "is 0, which no event could keep to; leave the key out where nothing is bounded";
            return Err(PolicyError::field(format!("{path}.{key}"), reason));
        }
        let empty = [
            ("corpora", self.corpora.as_ref().is_some_and(BTreeSet::is_empty)),
            ("scopes", self.scopes.as_ref().is_some_and(BTreeSet::is_empty)),
        ];
        match empty.into_iter().find(|(_, empty)| *empty) {
            Some((key, _)) => {
                let reason = "is an empty list, which allows none; leave the key out to allow all";
                Err(PolicyError::field(format!("{path}.{key}"), reason))
            }
            None => Ok(()),
        }
    }

    /// Refuses to allow more than a parent does. The bounds of both are taken with the burst put in.
    pub(super) fn check_within(&self, path: &str, parent: &Self, parent_path: &str) -> Result<(), PolicyError> {
        let (child, parent) = (self.filled(), parent.filled());
        // A burst that was not written follows the rate, and the rate is checked.
        let burst = self.burst.and(child.burst);
        let wider = wider("results", child.results, parent.results)
            .or_else(|| wider("query_bytes", child.query_bytes, parent.query_bytes))
            .or_else(|| wider("output_bytes", child.output_bytes, parent.output_bytes))
            .or_else(|| wider("attributes", child.attributes, parent.attributes))
            .or_else(|| wider("attribute_bytes", child.attribute_bytes, parent.attribute_bytes))
            .or_else(|| wider("context_tokens", child.context_tokens, parent.context_tokens))
            .or_else(|| wider("document_age", child.document_age, parent.document_age))
            .or_else(|| outside("corpora", child.corpora.as_ref(), parent.corpora.as_ref()))
            .or_else(|| outside("scopes", child.scopes.as_ref(), parent.scopes.as_ref()))
            .or_else(|| wider("events_per_second", child.events_per_second, parent.events_per_second))
            .or_else(|| wider("burst", burst, parent.burst));
        match wider {
            None => Ok(()),
            Some(Wider { key, value, allowed }) => Err(PolicyError::Widens {
                path: format!("{path}.{key}"),
                value,
                parent: format!("{parent_path}.{key}"),
                allowed,
            }),
        }
    }
}

struct Wider {
    key: &'static str,
    value: String,
    allowed: String,
}

fn wider<T: Ord + ToString>(key: &'static str, child: Option<T>, parent: Option<T>) -> Option<Wider> {
    let (child, parent) = (child?, parent?);
    (child > parent).then(|| Wider { key, value: child.to_string(), allowed: parent.to_string() })
}

fn outside<T: Ord + ToString>(
    key: &'static str,
    child: Option<&BTreeSet<T>>,
    parent: Option<&BTreeSet<T>>,
) -> Option<Wider> {
    let (child, parent) = (child?, parent?);
    let joined = |set: &BTreeSet<T>| set.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    (!child.is_subset(parent)).then(|| Wider { key, value: joined(child), allowed: joined(parent) })
}
