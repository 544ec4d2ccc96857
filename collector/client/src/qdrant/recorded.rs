//! A query of Qdrant and its answer as an event.

use std::collections::{BTreeMap, BTreeSet};

use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::vector_input::Variant as Vector;
use qdrant_client::qdrant::{Filter, QueryPointGroups, QueryPoints, ScoredPoint, query};
use serde_json::{Value, json};
use tidemark_schema::ContentHash;

use super::bounds::{Bounds, DEFAULT_GROUP_SIZE, DEFAULT_LIMIT};
use crate::event::{Document, Query, Requested, Retrieval, Retriever};

/// Bytes of a filter that are recorded.
const FILTER_BYTES: usize = 4_096;

/// What the application knows about a query that Qdrant does not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// The question that was embedded. Without it and without a fingerprint, the query itself stands for it.
    pub text: Option<String>,
    /// What the query is matched by, if it is not to be made of the text.
    pub fingerprint: Option<String>,
    /// The logical operation.
    pub operation_id: Option<String>,
    /// The application's trace.
    pub trace_id: Option<String>,
    /// Who asked.
    pub principal: Option<String>,
}

impl Asked {
    /// A question.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::default() }
    }
}

/// A query as it was asked within its bounds, and what came back.
pub(super) fn retrieval<'a>(
    template: &Retrieval,
    request: &QueryPoints,
    asked: Asked,
    bounds: &Bounds,
    points: impl Iterator<Item = &'a ScoredPoint>,
) -> Retrieval {
    let fingerprint = asked.fingerprint.or_else(|| {
        // The same query has the same text, whatever its kind.
        let stands = || ContentHash::of_text(&format!("{:?}", request.query)).as_str().to_owned();
        asked.text.is_none().then(stands)
    });
    let retriever = template.retriever.clone().unwrap_or_default();
    // In groups, a point may be there more than once: its best place counts.
    let mut seen = BTreeSet::new();
    let points: Vec<(Document, u64)> = points
        .map(|point| (document(point), point.version))
        .filter(|(document, _)| seen.insert(document.doc_id.clone()))
        .collect();
    let versions: Vec<u64> = points.iter().map(|(_, version)| *version).collect();
    let mut attributes = template.attributes.clone();
    attributes.insert("point_versions".to_owned(), json!(versions));
    Retrieval {
        operation_id: asked.operation_id,
        trace_id: asked.trace_id,
        principal: asked.principal.or_else(|| template.principal.clone()),
        retriever: Some(Retriever {
            index: retriever.index.clone().or_else(|| Some(request.collection_name.clone())),
            params: retriever
                .params
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .chain(params(request))
                .collect(),
            ..retriever
        }),
        query: Query { text: asked.text, fingerprint, embedding: embedding(request) },
        requested: Some(Requested {
            top_k: u32::try_from(request.limit.unwrap_or(DEFAULT_LIMIT)).ok(),
            scope: bounds.scope.as_ref().map(|scope| scope.allowed.clone()).unwrap_or_default(),
            filter: request.filter.as_ref().map(shown),
            ..Requested::default()
        }),
        results: points.into_iter().map(|(document, _)| document).collect(),
        attributes,
        ..template.clone()
    }
}

/// A query for groups, as a query for the points in them; and what only groups have.
pub(super) fn points_of(groups: &QueryPointGroups) -> (QueryPoints, BTreeMap<String, Value>) {
    let size = groups.group_size.unwrap_or(DEFAULT_GROUP_SIZE);
    let points = QueryPoints {
        collection_name: groups.collection_name.clone(),
        prefetch: groups.prefetch.clone(),
        query: groups.query.clone(),
        using: groups.using.clone(),
        filter: groups.filter.clone(),
        params: groups.params.clone(),
        score_threshold: groups.score_threshold,
        limit: Some(groups.limit.unwrap_or(DEFAULT_LIMIT).saturating_mul(size)),
        ..QueryPoints::default()
    };
    let own = [("group_by".to_owned(), json!(groups.group_by)), ("group_size".to_owned(), json!(size))];
    (points, BTreeMap::from(own))
}

/// The parameters of a search that change its results.
fn params(request: &QueryPoints) -> BTreeMap<String, Value> {
    let mut params = BTreeMap::new();
    let mut add = |name: &str, value: Option<Value>| params.extend(value.map(|value| (name.to_owned(), value)));
    add("using", request.using.as_ref().map(|using| json!(using)));
    add("score_threshold", request.score_threshold.map(|threshold| json!(threshold)));
    add("offset", request.offset.map(|offset| json!(offset)));
    add("prefetch", (!request.prefetch.is_empty()).then(|| json!(request.prefetch.len())));
    if let Some(search) = &request.params {
        add("hnsw_ef", search.hnsw_ef.map(|ef| json!(ef)));
        add("exact", search.exact.map(|exact| json!(exact)));
        add("indexed_only", search.indexed_only.map(|only| json!(only)));
        add("quantization", search.quantization.as_ref().map(|quantization| json!(format!("{quantization:?}"))));
    }
    params
}

fn embedding(request: &QueryPoints) -> Option<Vec<f32>> {
    match request.query.as_ref()?.variant.as_ref()? {
        query::Variant::Nearest(input) => match input.variant.as_ref()? {
            Vector::Dense(dense) => Some(dense.data.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn shown(filter: &Filter) -> String {
    let mut text = format!("{filter:?}");
    let end = (0..=FILTER_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    text.truncate(end);
    text
}

fn document(point: &ScoredPoint) -> Document {
    let id = point.id.as_ref().and_then(|id| id.point_id_options.as_ref());
    let doc_id = match id {
        Some(PointIdOptions::Num(number)) => number.to_string(),
        Some(PointIdOptions::Uuid(uuid)) => uuid.clone(),
        None => String::new(),
    };
    Document::scored(doc_id, f64::from(point.score))
}

#[cfg(test)]
mod tests {
    use qdrant_client::qdrant::{QueryPointGroupsBuilder, QueryPointsBuilder, SearchParamsBuilder};

    use super::*;

    #[test]
    fn what_was_asked_and_what_came_back_is_in_the_event() {
        let request = QueryPointsBuilder::new("handbook-7")
            .query(vec![0.5, 1.0])
            .limit(3)
            .params(SearchParamsBuilder::default().hnsw_ef(128).exact(false))
            .build();
        let point = ScoredPoint { id: Some(7.into()), score: 0.25, version: 12, ..ScoredPoint::default() };
        let template = Retrieval { corpus: "handbook".to_owned(), ..Retrieval::default() };
        let event = retrieval(&template, &request, Asked::text("q"), &Bounds::default(), [&point, &point].into_iter());
        assert_eq!(event.results, [Document::scored("7", 0.25)], "once, however often it came");
        assert_eq!(event.attributes["point_versions"], json!([12]));
        let retriever = event.retriever.unwrap();
        assert_eq!(retriever.index.as_deref(), Some("handbook-7"));
        assert_eq!(json!(retriever.params), json!({ "hnsw_ef": 128, "exact": false }));
        assert_eq!(event.query.embedding, Some(vec![0.5, 1.0]));
        assert_eq!((event.query.text.as_deref(), event.query.fingerprint), (Some("q"), None));
        let unnamed = retrieval(&template, &request, Asked::default(), &Bounds::default(), [].into_iter());
        assert!(unnamed.query.fingerprint.is_some(), "the same vector is the same query");
    }

    #[test]
    fn groups_are_a_search_for_all_of_their_points() {
        let groups = QueryPointGroupsBuilder::new("handbook-7", "page").limit(2u64).group_size(4u64).build();
        let (points, own) = points_of(&groups);
        assert_eq!((points.collection_name.as_str(), points.limit), ("handbook-7", Some(8)));
        assert_eq!(json!(own), json!({ "group_by": "page", "group_size": 4 }));
    }
}
