//! Events as they were sent: every decoder makes these of its bytes and nothing else. Their only way on is
//! [`accept`](crate::accept), which judges them all alike.
//!
//! A field is told from the others by its type, and read leniently where senders differ for no reason of their own: a time
//! may be a count since 1970 or name no zone, a number may be a text, a document its id alone, a query its text alone.

mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use tidemark_schema::{
    ContentHash, CorpusName, CorpusVersion, DocumentId, EventId, Fingerprint, Label, OperationId, Requested, Retriever,
    SimHash, SpanId, Timestamp, TraceId,
};

use super::Kind;
use crate::accept::NOT_FINITE;
pub(crate) use values::{Moment, Number, Vector};

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

    /// How many documents it has.
    pub fn documents(&self) -> usize {
        match self {
            Self::Retrieval(draft) => draft.results.len(),
            Self::Output(_) => 0,
        }
    }

    /// Marks that a number of it was NaN or infinite.
    pub(super) fn not_finite(mut self) -> Self {
        let marks = match &mut self {
            Self::Retrieval(draft) => &mut draft.marks,
            Self::Output(draft) => &mut draft.marks,
        };
        marks.get_or_insert_default().extend(NOT_FINITE.parse::<Label>().ok());
        self
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
    #[serde(deserialize_with = "values::bounded")]
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

/// The name under which deserializers are asked for an object or a text: in a table without structs the text may hold the object.
pub(super) const OBJECT_OR_TEXT: &str = "ObjectOrText";

/// Types that are written as an object, or shortly as the text of one of its fields.
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

                    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<$name, D::Error> {
                        deserializer.deserialize_any(self)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
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

                deserializer.deserialize_newtype_struct(OBJECT_OR_TEXT, ObjectOrText)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    pub(super) fn check<T: for<'de> Deserialize<'de> + PartialEq + fmt::Debug>(json: &str, expected: Result<T, &str>) {
        let read = serde_json::from_str::<T>(json).map_err(|error| error.to_string());
        match (read, expected) {
            (Err(reason), Err(part)) => assert!(reason.contains(part), "{reason}"),
            (read, expected) => assert_eq!(read, expected.map_err(str::to_owned)),
        }
    }

    #[test]
    fn a_document_may_be_its_id_and_a_query_its_text() {
        let of = |id: &str| Ok(ResultDraft::of(id.parse().unwrap()));
        check("\"a\"", of("a"));
        check("12", of("12"));
        check("{\"doc_id\":\"a\"}", of("a"));
        check::<ResultDraft>("[]", Err("expected an object with `doc_id`, or the id of a document"));
        let query = |text: &str| Ok(QueryDraft { text: Some(text.to_owned()), ..QueryDraft::default() });
        check("\"why\"", query("why"));
        check("{\"text\":\"why\"}", query("why"));
        check("\"{}\"", query("{}"));
    }
}
