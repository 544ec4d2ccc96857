use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use qdrant_client::qdrant::condition::ConditionOneOf;
use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::vector_input::Variant as Vector;
use qdrant_client::qdrant::{Condition, Filter, PrefetchQuery, QueryPoints, QueryResponse, ScoredPoint, query};
use qdrant_client::{Qdrant, QdrantError};
use serde_json::{Value, json};
use tidemark_schema::ContentHash;

use crate::event::{Document, Query, Requested, Retrieval, Retriever};
use crate::recorder::Recorder;

/// More results were asked for than the bounds allow: fewer were.
pub const TOP_K_BOUND: &str = "bound.top_k";
/// What Qdrant returns when no limit is given.
const DEFAULT_LIMIT: u64 = 10;
/// Bytes of a filter that are recorded.
const FILTER_BYTES: usize = 4_096;

/// What a tenant may ask for. It is enforced before the query leaves: unlike the policy of the server, which marks what was
/// done, this decides what is done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bounds {
    /// Results of one query at most.
    pub limit: Option<u64>,
    /// Only points whose payload says one of these, whatever else the query asks for.
    pub scope: Option<Scope>,
}

/// A field of the payload and the values that may be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The field, such as `tenant`.
    pub field: String,
    /// Its values.
    pub allowed: Vec<String>,
}

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

/// A client of Qdrant that records each query and holds it to its bounds.
pub struct RecordedQdrant {
    client: Qdrant,
    recorder: Arc<Recorder>,
    /// What every event has: corpus, version, service, retriever.
    template: Retrieval,
    bounds: Bounds,
}

impl RecordedQdrant {
    /// Records into `recorder`; `template` says what every event has, at least the corpus. The index is the collection.
    pub fn new(client: Qdrant, recorder: Arc<Recorder>, template: Retrieval, bounds: Bounds) -> Self {
        Self { client, recorder, template, bounds }
    }

    /// The client, for what is no query. What it is asked directly is neither recorded nor bounded.
    pub fn unrecorded(&self) -> &Qdrant {
        &self.client
    }

    /// Queries points within the bounds, and records what came back. Errors are those of Qdrant; they are not recorded.
    pub async fn query(&self, request: impl Into<QueryPoints>, asked: Asked) -> Result<QueryResponse, QdrantError> {
        let (request, mark) = bounded(request.into(), &self.bounds);
        let begun = Instant::now();
        let response = self.client.query(request.clone()).await?;
        let mut event = retrieval(&self.template, &request, asked, &self.bounds, &response.result);
        event.latency_ms = Some(begun.elapsed().as_secs_f64() * 1e3);
        event.marks.extend(mark.map(str::to_owned));
        self.recorder.record(event);
        Ok(response)
    }
}

/// The query as it may be asked, and the mark of what was cut.
fn bounded(mut request: QueryPoints, bounds: &Bounds) -> (QueryPoints, Option<&'static str>) {
    if let Some(scope) = &bounds.scope {
        request.filter = Some(within(scope, request.filter.take()));
        request.prefetch.iter_mut().for_each(|prefetch| scoped(prefetch, scope));
    }
    let wanted = request.limit.unwrap_or(DEFAULT_LIMIT);
    match bounds.limit {
        Some(limit) if wanted > limit => {
            request.limit = Some(limit);
            (request, Some(TOP_K_BOUND))
        }
        _ => (request, None),
    }
}

/// What is fetched before fusion is bounded too: a point outside of the scope must not take the place of one inside.
fn scoped(prefetch: &mut PrefetchQuery, scope: &Scope) {
    prefetch.filter = Some(within(scope, prefetch.filter.take()));
    prefetch.prefetch.iter_mut().for_each(|inner| scoped(inner, scope));
}

/// Both: what was asked for cannot widen the scope, whatever it says.
fn within(scope: &Scope, asked: Option<Filter>) -> Filter {
    let allowed = Condition::matches(scope.field.clone(), scope.allowed.clone());
    let asked = asked.map(|filter| Condition { condition_one_of: Some(ConditionOneOf::Filter(filter)) });
    Filter::must(std::iter::once(allowed).chain(asked))
}

fn retrieval(
    template: &Retrieval,
    request: &QueryPoints,
    asked: Asked,
    bounds: &Bounds,
    points: &[ScoredPoint],
) -> Retrieval {
    let fingerprint = asked.fingerprint.or_else(|| {
        // The same query has the same text, whatever its kind.
        let stands = || ContentHash::of_text(&format!("{:?}", request.query)).as_str().to_owned();
        asked.text.is_none().then(stands)
    });
    let retriever = template.retriever.clone().unwrap_or_default();
    let versions: Vec<u64> = points.iter().map(|point| point.version).collect();
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
        }),
        results: points.iter().map(document).collect(),
        attributes,
        ..template.clone()
    }
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
    use qdrant_client::qdrant::{PrefetchQueryBuilder, QueryPointsBuilder, SearchParamsBuilder};

    use super::*;

    fn tenant() -> Bounds {
        let scope = Scope { field: "tenant".to_owned(), allowed: vec!["a".to_owned()] };
        Bounds { limit: Some(5), scope: Some(scope) }
    }

    #[test]
    fn a_query_beyond_its_limit_asks_for_less_and_is_marked() {
        let wide = QueryPointsBuilder::new("handbook").query(vec![0.5, 1.0]).limit(50).build();
        let (request, mark) = bounded(wide, &tenant());
        assert_eq!((request.limit, mark), (Some(5), Some(TOP_K_BOUND)));
        let narrow = QueryPointsBuilder::new("handbook").limit(5).build();
        assert_eq!(bounded(narrow.clone(), &Bounds::default()), (narrow, None));
        let default = QueryPointsBuilder::new("handbook").build();
        assert_eq!(bounded(default, &tenant()).0.limit, Some(5), "ten is what Qdrant takes for no limit");
    }

    #[test]
    fn no_filter_and_no_prefetch_leads_out_of_the_scope() {
        let asked = Filter::should([Condition::matches("tenant", "b".to_owned())]);
        let prefetch = PrefetchQueryBuilder::default().query(vec![0.5]).build();
        let request = QueryPointsBuilder::new("handbook").filter(asked.clone()).add_prefetch(prefetch).build();
        let (request, _) = bounded(request, &tenant());
        let allowed = Condition::matches("tenant", vec!["a".to_owned()]);
        let nested = Condition { condition_one_of: Some(ConditionOneOf::Filter(asked)) };
        assert_eq!(request.filter, Some(Filter::must([allowed.clone(), nested])));
        assert_eq!(request.prefetch[0].filter, Some(Filter::must([allowed])));
    }

    #[test]
    fn what_was_asked_and_what_came_back_is_in_the_event() {
        let request = QueryPointsBuilder::new("handbook-7")
            .query(vec![0.5, 1.0])
            .limit(3)
            .params(SearchParamsBuilder::default().hnsw_ef(128).exact(false))
            .build();
        let point = ScoredPoint { id: Some(7.into()), score: 0.25, version: 12, ..ScoredPoint::default() };
        let template = Retrieval { corpus: "handbook".to_owned(), ..Retrieval::default() };
        let event = retrieval(&template, &request, Asked::text("q"), &Bounds::default(), &[point]);
        assert_eq!(event.results, [Document::scored("7", 0.25)]);
        assert_eq!(event.attributes["point_versions"], json!([12]));
        let retriever = event.retriever.unwrap();
        assert_eq!(retriever.index.as_deref(), Some("handbook-7"));
        assert_eq!(json!(retriever.params), json!({ "hnsw_ef": 128, "exact": false }));
        assert_eq!(event.query.embedding, Some(vec![0.5, 1.0]));
        assert_eq!((event.query.text.as_deref(), event.query.fingerprint), (Some("q"), None));
        let unnamed = retrieval(&template, &request, Asked::default(), &Bounds::default(), &[]);
        assert!(unnamed.query.fingerprint.is_some(), "the same vector is the same query");
    }
}
