//! What a query of Qdrant may ask for. It is cut to that, or refused, before it leaves.

use qdrant_client::qdrant::condition::ConditionOneOf;
use qdrant_client::qdrant::vector_input::Variant as Vector;
use qdrant_client::qdrant::{
    Condition, ContextInput, Filter, LookupLocation, PrefetchQuery, Query, QueryPointGroups, QueryPoints, VectorInput,
    query,
};

/// More results were asked for than the bounds allow: fewer were.
pub const TOP_K_BOUND: &str = "bound.top_k";
/// What Qdrant returns when no limit is given, of points and of groups,
pub(super) const DEFAULT_LIMIT: u64 = 10;
/// and of points in each group.
pub(super) const DEFAULT_GROUP_SIZE: u64 = 3;

/// What a tenant may ask for. It is enforced before the query leaves: unlike the policy of the server, which marks what was
/// done, this decides what is done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bounds {
    /// Results of one query at most: its limit with its offset, all groups together, and each prefetch.
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

/// A query that no cut brings within its bounds. It was not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutOfBounds {
    /// Nothing may be seen where the query begins.
    #[error("the offset is beyond the results that this query may have; ask for earlier ones")]
    Offset,
    /// The vector of a point tells of it, whether or not the point is within the scope.
    #[error("a query within a scope may not name points by their id; give their vectors")]
    PointId,
    /// Vectors or payloads of another collection are not filtered.
    #[error("a query within a scope may not look up points in another collection; leave the lookup out")]
    Lookup,
}

impl Bounds {
    /// The query as it may be asked, and the mark of what was cut.
    pub(super) fn points(&self, mut asked: QueryPoints) -> Result<(QueryPoints, Option<&'static str>), OutOfBounds> {
        let mut cut =
            self.search(asked.query.as_ref(), asked.lookup_from.as_ref(), &mut asked.filter, &mut asked.prefetch)?;
        if let Some(bound) = self.limit {
            let left = bound.saturating_sub(asked.offset.unwrap_or_default());
            if left == 0 {
                return Err(OutOfBounds::Offset);
            }
            cut |= cut_to(&mut asked.limit, DEFAULT_LIMIT, left);
        }
        Ok((asked, cut.then_some(TOP_K_BOUND)))
    }

    /// The same for groups.
    pub(super) fn groups(
        &self,
        mut asked: QueryPointGroups,
    ) -> Result<(QueryPointGroups, Option<&'static str>), OutOfBounds> {
        if self.scope.is_some() && asked.with_lookup.is_some() {
            return Err(OutOfBounds::Lookup);
        }
        let mut cut =
            self.search(asked.query.as_ref(), asked.lookup_from.as_ref(), &mut asked.filter, &mut asked.prefetch)?;
        if let Some(bound) = self.limit {
            if bound == 0 {
                return Err(OutOfBounds::Offset);
            }
            cut |= cut_to(&mut asked.limit, DEFAULT_LIMIT, bound);
            let groups = asked.limit.unwrap_or(DEFAULT_LIMIT).max(1);
            cut |= cut_to(&mut asked.group_size, DEFAULT_GROUP_SIZE, bound / groups);
        }
        Ok((asked, cut.then_some(TOP_K_BOUND)))
    }

    /// What all queries have in common; whether something was cut.
    fn search(
        &self,
        query: Option<&Query>,
        lookup: Option<&LookupLocation>,
        filter: &mut Option<Filter>,
        prefetch: &mut [PrefetchQuery],
    ) -> Result<bool, OutOfBounds> {
        if let Some(scope) = &self.scope {
            if lookup.is_some() {
                return Err(OutOfBounds::Lookup);
            }
            if query.is_some_and(names_points) {
                return Err(OutOfBounds::PointId);
            }
            *filter = Some(scope.within(filter.take()));
        }
        let mut cut = false;
        // What is fetched before fusion is bounded too: a point outside of the scope must not take the place of one inside.
        for inner in prefetch {
            let (query, lookup) = (inner.query.as_ref(), inner.lookup_from.as_ref());
            cut |= self.search(query, lookup, &mut inner.filter, &mut inner.prefetch)?;
            if let Some(bound) = self.limit {
                cut |= cut_to(&mut inner.limit, DEFAULT_LIMIT, bound);
            }
        }
        Ok(cut)
    }
}

impl Scope {
    /// Both: what was asked for cannot widen the scope, whatever it says.
    fn within(&self, asked: Option<Filter>) -> Filter {
        let allowed = Condition::matches(self.field.clone(), self.allowed.clone());
        let asked = asked.map(|filter| Condition { condition_one_of: Some(ConditionOneOf::Filter(filter)) });
        Filter::must(std::iter::once(allowed).chain(asked))
    }
}

/// Whether less is left than was asked for.
fn cut_to(asked: &mut Option<u64>, default: u64, bound: u64) -> bool {
    let cut = asked.unwrap_or(default) > bound;
    if cut {
        *asked = Some(bound);
    }
    cut
}

/// Whether a query says "like this point" of a point that it does not show.
fn names_points(query: &Query) -> bool {
    let named = |input: &VectorInput| matches!(input.variant, Some(Vector::Id(_)));
    let in_context =
        |context: &ContextInput| context.pairs.iter().any(|pair| pair.positive.iter().chain(&pair.negative).any(named));
    match &query.variant {
        Some(query::Variant::Nearest(input)) => named(input),
        Some(query::Variant::NearestWithMmr(input)) => input.nearest.iter().any(named),
        Some(query::Variant::Recommend(input)) => input.positive.iter().chain(&input.negative).any(named),
        Some(query::Variant::Discover(input)) => input.target.iter().any(named) || input.context.iter().any(in_context),
        Some(query::Variant::Context(input)) => in_context(input),
        Some(query::Variant::RelevanceFeedback(input)) => {
            let examples = input.feedback.iter().filter_map(|item| item.example.as_ref());
            input.target.iter().chain(examples).any(named)
        }
        Some(
            query::Variant::OrderBy(_)
            | query::Variant::Fusion(_)
            | query::Variant::Sample(_)
            | query::Variant::Formula(_)
            | query::Variant::Rrf(_)
            | query::Variant::Text(_),
        )
        | None => false,
    }
}

#[cfg(test)]
mod tests {
    use qdrant_client::qdrant::{
        ContextInputPair, DiscoverInput, FeedbackItem, NearestInputWithMmr, PointId, PrefetchQueryBuilder,
        QueryPointGroupsBuilder, QueryPointsBuilder, RecommendInput, RelevanceFeedbackInput, WithLookup,
    };

    use super::*;

    fn tenant() -> Bounds {
        let scope = Scope { field: "tenant".to_owned(), allowed: vec!["a".to_owned()] };
        Bounds { limit: Some(5), scope: Some(scope) }
    }

    fn allowed() -> Condition {
        Condition::matches("tenant", vec!["a".to_owned()])
    }

    fn named() -> VectorInput {
        VectorInput { variant: Some(Vector::Id(PointId::from(7))) }
    }

    #[test]
    fn a_query_beyond_its_limit_asks_for_less_and_is_marked() {
        let wide = QueryPointsBuilder::new("handbook").query(vec![0.5, 1.0]).limit(50).build();
        let (request, mark) = tenant().points(wide).unwrap();
        assert_eq!((request.limit, mark), (Some(5), Some(TOP_K_BOUND)));
        let narrow = QueryPointsBuilder::new("handbook").limit(5).build();
        assert_eq!(Bounds::default().points(narrow.clone()), Ok((narrow, None)));
        let default = QueryPointsBuilder::new("handbook").build();
        assert_eq!(tenant().points(default).unwrap().0.limit, Some(5), "ten is what Qdrant takes for no limit");
    }

    #[test]
    fn an_offset_counts_as_what_was_seen() {
        let check = |limit, offset, expected| {
            let asked = QueryPointsBuilder::new("handbook").limit(limit).offset(offset).build();
            assert_eq!(tenant().points(asked).map(|(asked, _)| asked.limit), expected, "{limit} from {offset}");
        };
        check(2, 3, Ok(Some(2)));
        check(4, 3, Ok(Some(2)));
        check(1, 5, Err(OutOfBounds::Offset));
        check(1, u64::MAX, Err(OutOfBounds::Offset));
    }

    #[test]
    fn groups_hold_no_more_points_together_than_the_limit() {
        let check = |limit, size, expected| {
            let asked = QueryPointGroupsBuilder::new("handbook", "page").limit(limit).group_size(size).build();
            let (asked, mark) = tenant().groups(asked).unwrap();
            assert_eq!((asked.limit, asked.group_size, mark.is_some()), expected, "{limit} groups of {size}");
        };
        check(2u64, 2u64, (Some(2), Some(2), false));
        check(2, 9, (Some(2), Some(2), true));
        check(9, 1, (Some(5), Some(1), true));
        let default = QueryPointGroupsBuilder::new("handbook", "page").build();
        let (default, _) = tenant().groups(default).unwrap();
        assert_eq!((default.limit, default.group_size), (Some(5), Some(1)));
        assert!(default.filter.is_some());
    }

    #[test]
    fn no_filter_and_no_prefetch_leads_out_of_the_scope_or_beyond_the_limit() {
        let asked = Filter::should([Condition::matches("tenant", "b".to_owned())]);
        let inner = PrefetchQueryBuilder::default().query(vec![0.5]).limit(100u64).build();
        let outer = PrefetchQueryBuilder::default().query(vec![0.5]).prefetch(vec![inner]).build();
        let request = QueryPointsBuilder::new("handbook").filter(asked.clone()).add_prefetch(outer).limit(1).build();
        let (request, mark) = tenant().points(request).unwrap();
        let nested = Condition { condition_one_of: Some(ConditionOneOf::Filter(asked)) };
        assert_eq!(request.filter, Some(Filter::must([allowed(), nested])));
        let outer = &request.prefetch[0];
        assert_eq!((&outer.filter, outer.limit), (&Some(Filter::must([allowed()])), Some(5)));
        let inner = &outer.prefetch[0];
        assert_eq!((&inner.filter, inner.limit), (&Some(Filter::must([allowed()])), Some(5)));
        assert_eq!(mark, Some(TOP_K_BOUND));
    }

    #[test]
    fn within_a_scope_no_query_leans_on_a_point_that_it_may_not_see() {
        let pair = ContextInputPair { positive: None, negative: Some(named()) };
        let context = ContextInput { pairs: vec![pair] };
        let feedback = vec![FeedbackItem { example: Some(named()), score: 1.0 }];
        let variants = [
            query::Variant::Nearest(named()),
            query::Variant::NearestWithMmr(NearestInputWithMmr { nearest: Some(named()), mmr: None }),
            query::Variant::Recommend(RecommendInput { positive: vec![named()], ..RecommendInput::default() }),
            query::Variant::Recommend(RecommendInput { negative: vec![named()], ..RecommendInput::default() }),
            query::Variant::Discover(DiscoverInput { target: Some(named()), context: None }),
            query::Variant::Discover(DiscoverInput { target: None, context: Some(context.clone()) }),
            query::Variant::Context(context),
            query::Variant::RelevanceFeedback(RelevanceFeedbackInput { feedback, ..RelevanceFeedbackInput::default() }),
        ];
        for variant in variants {
            let query = Some(Query { variant: Some(variant) });
            let points = QueryPoints { query: query.clone(), ..QueryPoints::default() };
            assert_eq!(tenant().points(points.clone()), Err(OutOfBounds::PointId), "{points:?}");
            let limit = Bounds { scope: None, ..tenant() };
            assert!(limit.points(points).is_ok(), "without a scope every point may be seen");
            let groups = QueryPointGroups { query: query.clone(), ..QueryPointGroups::default() };
            assert_eq!(tenant().groups(groups), Err(OutOfBounds::PointId));
            let prefetch = vec![PrefetchQuery { query, ..PrefetchQuery::default() }];
            let nested = vec![PrefetchQuery { prefetch, ..PrefetchQuery::default() }];
            let points = QueryPoints { prefetch: nested, ..QueryPoints::default() };
            assert_eq!(tenant().points(points), Err(OutOfBounds::PointId));
        }
    }

    #[test]
    fn within_a_scope_no_query_looks_up_another_collection() {
        let lookup_from = Some(LookupLocation { collection_name: "other".to_owned(), ..LookupLocation::default() });
        let points = QueryPoints { lookup_from: lookup_from.clone(), ..QueryPoints::default() };
        assert_eq!(tenant().points(points), Err(OutOfBounds::Lookup));
        let prefetch = vec![PrefetchQuery { lookup_from, ..PrefetchQuery::default() }];
        let points = QueryPoints { prefetch, ..QueryPoints::default() };
        assert_eq!(tenant().points(points), Err(OutOfBounds::Lookup));
        let groups = QueryPointGroups { with_lookup: Some(WithLookup::default()), ..QueryPointGroups::default() };
        assert_eq!(tenant().groups(groups), Err(OutOfBounds::Lookup));
    }
}
