//! Events as they were sent: every decoder makes these of its bytes and nothing else. Their only way on is
//! [`accept`](crate::accept), which judges them all alike.
//!
//! A field is told from the others by its type, and read leniently where senders differ for no reason of their own: a time
//! may be a count since 1970 or name no zone, a number may be a text, a document its id alone, a query its text alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use tidemark_schema::{
    ContentHash, CorpusName, CorpusVersion, DocumentId, EventId, Fingerprint, InvalidTime, Label, OperationId,
    Requested, Retriever, SimHash, SpanId, Timestamp, TraceId,
};

use super::Kind;
use super::json::lenient;

/// An event of either kind, as it was sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "nearly all events are retrievals, the larger variant")]
pub enum EventDraft {
    /// What a retriever returned.
    Retrieval(RetrievalDraft),
    /// What a model answered.
    Output(OutputDraft),
}

impl EventDraft {
    /// Reads a draft of a known kind.
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(kind: Kind, from: D) -> Result<Self, D::Error> {
        match kind {
            Kind::Retrieval => RetrievalDraft::deserialize(from).map(Self::Retrieval),
            Kind::Output => OutputDraft::deserialize(from).map(Self::Output),
        }
    }

    /// Whether it came with the text of a query or of an output.
    pub fn has_text(&self) -> bool {
        match self {
            Self::Retrieval(draft) => draft.query.text.is_some(),
            Self::Output(draft) => draft.output.as_ref().is_some_and(|output| output.text.is_some()),
        }
    }

    pub(crate) fn event_id(&mut self) -> &mut Option<EventId> {
        match self {
            Self::Retrieval(draft) => &mut draft.event_id,
            Self::Output(draft) => &mut draft.event_id,
        }
    }
}

/// A retrieval as it was sent.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, expecting = "an event, as an object")]
pub struct RetrievalDraft {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) event_id: Option<EventId>,
    pub(crate) occurred_at: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) operation_id: Option<OperationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace_id: Option<TraceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) span_id: Option<SpanId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) principal: Option<Label>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<Label>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) environment: Option<Label>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) segment: Option<BTreeMap<Label, Label>>,
    pub(crate) corpus: CorpusName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) corpus_version: Option<CorpusVersion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retriever: Option<Retriever>,
    pub(crate) query: QueryDraft,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) requested: Option<Requested>,
    pub(crate) results: Vec<ResultDraft>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) results_total: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<Label>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prompt_version: Option<Label>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy_version: Option<Label>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) latency_ms: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cost_usd: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attributes: Option<BTreeMap<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) marks: Option<BTreeSet<Label>>,
}

impl RetrievalDraft {
    /// A retrieval of which only the least is known.
    pub(crate) fn of(at: Timestamp, corpus: CorpusName, query: QueryDraft, results: Vec<ResultDraft>) -> Self {
        Self {
            event_id: None,
            occurred_at: at.into(),
            operation_id: None,
            attempt: None,
            trace_id: None,
            span_id: None,
            principal: None,
            service: None,
            environment: None,
            segment: None,
            corpus,
            corpus_version: None,
            retriever: None,
            query,
            requested: None,
            results,
            results_total: None,
            model: None,
            prompt_version: None,
            policy_version: None,
            latency_ms: None,
            cost_usd: None,
            attributes: None,
            marks: None,
        }
    }
}

/// A query as it was sent.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct QueryDraft {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fingerprint: Option<Fingerprint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) previous_fingerprint: Option<Fingerprint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) simhash: Option<SimHash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) embedding: Option<Vector>,
}

/// A document of a result as it was sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ResultDraft {
    pub(crate) doc_id: DocumentId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rank: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) score: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_hash: Option<ContentHash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) updated_at: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<Label>,
}

/// An output as it was sent.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, expecting = "an event, as an object")]
pub struct OutputDraft {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) event_id: Option<EventId>,
    pub(crate) occurred_at: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) operation_id: Option<OperationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace_id: Option<TraceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) principal: Option<Label>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<Label>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<Label>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prompt_version: Option<Label>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy_version: Option<Label>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<AnswerDraft>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) citations: Option<Vec<DocumentId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refusal: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scores: Option<BTreeMap<Label, Option<Number>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) feedback: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) latency_ms: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cost_usd: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) marks: Option<BTreeSet<Label>>,
}

/// An answer as it was sent.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct AnswerDraft {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hash: Option<ContentHash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) embedding: Option<Vector>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tokens: Option<u32>,
}

/// Types that are written as an object, or shortly as the text of one of its fields. A text that holds an object, as a table
/// without structs has it, is that object.
macro_rules! object_or_text {
    ($($name:ident, $object:ident { $($field:ident: $type:ty,)* } of a text $short:expr, expecting $expecting:literal;)*) => {$(
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, expecting = $expecting)]
        struct $object {
            $($field: $type,)*
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct ObjectOrText;

                impl<'de> Visitor<'de> for ObjectOrText {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<$name, A::Error> {
                        let object = $object::deserialize(de::value::MapAccessDeserializer::new(map))?;
                        Ok($name { $($field: object.$field,)* })
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        if text.trim_start().starts_with('{') && let Ok(object) = lenient::<$object>(text) {
                            return Ok($name { $($field: object.$field,)* });
                        }
                        let of_text: fn(&str) -> Result<$name, String> = $short;
                        of_text(text).map_err(E::custom)
                    }

                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<$name, E> {
                        self.visit_str(&number.to_string())
                    }

                    fn visit_i64<E: de::Error>(self, number: i64) -> Result<$name, E> {
                        self.visit_str(&number.to_string())
                    }
                }

                deserializer.deserialize_any(ObjectOrText)
            }
        }
    )*};
}

object_or_text! {
    QueryDraft, QueryObject {
        text: Option<String>,
        fingerprint: Option<Fingerprint>,
        previous_fingerprint: Option<Fingerprint>,
        simhash: Option<SimHash>,
        embedding: Option<Vector>,
    } of a text |text| Ok(QueryDraft { text: Some(text.to_owned()), ..QueryDraft::default() }),
    expecting "an object with `text` or `fingerprint`, or a text";

    ResultDraft, ResultObject {
        doc_id: DocumentId,
        rank: Option<u32>,
        score: Option<Number>,
        content_hash: Option<ContentHash>,
        tokens: Option<u32>,
        updated_at: Option<Moment>,
        scope: Option<Label>,
    } of a text |id| id.parse().map(ResultDraft::of).map_err(|error: tidemark_schema::InvalidId| error.to_string()),
    expecting "an object with `doc_id`, or the id of a document";

    AnswerDraft, AnswerObject {
        text: Option<String>,
        hash: Option<ContentHash>,
        embedding: Option<Vector>,
        tokens: Option<u32>,
    } of a text |text| Ok(AnswerDraft { text: Some(text.to_owned()), ..AnswerDraft::default() }),
    expecting "an object, or a text";
}

impl ResultDraft {
    /// A document of which nothing but its id is known.
    pub(crate) fn of(doc_id: DocumentId) -> Self {
        Self { doc_id, rank: None, score: None, content_hash: None, tokens: None, updated_at: None, scope: None }
    }
}

/// An instant as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) at: Timestamp,
    /// Whether it named no zone and is taken as UTC.
    pub(crate) assumed_utc: bool,
}

impl Moment {
    /// The name under which deserializers are asked for one.
    pub(super) const NAME: &'static str = "Moment";
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
                while let Some(Number(component)) = components.next_element()? {
                    #[expect(clippy::cast_possible_truncation, reason = "what is too large becomes infinite")]
                    vector.push(component as f32);
                }
                Ok(Vector(vector))
            }
        }

        deserializer.deserialize_seq(Components)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: for<'de> Deserialize<'de> + PartialEq + fmt::Debug>(json: &str, expected: Result<T, &str>) {
        let read = serde_json::from_str::<T>(json).map_err(|error| error.to_string());
        match (read, expected) {
            (Err(reason), Err(part)) => assert!(reason.contains(part), "{reason}"),
            (read, expected) => assert_eq!(read, expected.map_err(str::to_owned)),
        }
    }

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
    }

    #[test]
    fn a_document_may_be_its_id_and_a_query_its_text() {
        let of = |id: &str| Ok(ResultDraft::of(id.parse().unwrap()));
        check("\"a\"", of("a"));
        check("12", of("12"));
        check("{\"doc_id\":\"a\"}", of("a"));
        check("\"{\\\"doc_id\\\":\\\"a\\\"}\"", of("a"));
        check::<ResultDraft>("[]", Err("expected an object with `doc_id`, or the id of a document"));
        let query = |text: &str| Ok(QueryDraft { text: Some(text.to_owned()), ..QueryDraft::default() });
        check("\"why\"", query("why"));
        check("{\"text\":\"why\"}", query("why"));
        check("\"{why}\"", query("{why}"));
    }
}
